//! What the tests of clients share.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sqltests::server::Meridian;

/// A node on an empty folder.
pub fn node() -> Meridian {
    Meridian::start(Path::new(env!("CARGO_BIN_EXE_meridian")), &[]).expect("the node starts")
}

/// What a command prints; it must succeed.
pub fn output_of(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{:?} cannot be run: {error}", command.get_program()));
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{:?}: {}\n{printed}\n{errors}", command, output.status);
    printed
}

/// A Python that can import psycopg 3: the machine's own, or one in a folder of this test with the package installed.
pub fn python_with_psycopg() -> Option<PathBuf> {
    let imports = |python: &Path| {
        let mut command = Command::new(python);
        command.args(["-c", "import psycopg, psycopg.pq"]).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let usual = PathBuf::from("python3");
    if imports(&usual) {
        return Some(usual);
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("psycopg");
    let own = folder.join("bin").join("python");
    if !imports(&own) {
        let quietly = |command: &mut Command| {
            command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
        };
        let made = quietly(Command::new("python3").args(["-m", "venv"]).arg(&folder))
            && quietly(Command::new(&own).args(["-m", "pip", "install", "--quiet", "psycopg[binary]"]));
        if !made {
            return None;
        }
    }
    imports(&own).then_some(own)
}
