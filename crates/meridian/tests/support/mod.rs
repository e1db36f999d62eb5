//! What the tests of clients share.

// Each test uses a part of it.
#![allow(dead_code)]

pub mod cluster;

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sqltests::server::{Meridian, ServerProcess, free_port};

pub fn binary() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_meridian"))
}

/// A node on an empty folder.
pub fn node() -> Meridian {
    Meridian::start(&binary(), &[]).expect("the node starts")
}

/// A base port from which on as many nodes have their three ports free, ten apart.
///
/// Below those that the system gives to connections as their own (from 32768 on, as Linux has it): one of these could be taken between this look
/// and the start, or while a node is down. Tests that run side by side begin to look at different places.
pub fn free_base_port(nodes: u32) -> u16 {
    const FIRST: u32 = 10_000;
    const PLACES: u32 = 250;
    const PORTS: u32 = 90;
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    assert!(10 * nodes <= PORTS, "{nodes} nodes find room");
    for _ in 0..PLACES {
        let place = (std::process::id() + TAKEN.fetch_add(1, Ordering::Relaxed)) % PLACES;
        let base = (FIRST + PORTS * place) as u16;
        let mut wanted = (0..nodes as u16).flat_map(|node| (0..3).map(move |offset| 10 * node + offset));
        if wanted.all(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, base + port)).is_ok()) {
            return base;
        }
    }
    panic!("no free ports");
}

/// How a start on a data folder ends.
pub enum Started {
    /// It was refused, with this on the error stream.
    Refused(String),
    /// It runs; dropping it stops it.
    Running(ServerProcess),
}

/// Tries to start a node on an existing folder.
pub fn try_start(data: &Path, flags: &[&str]) -> Started {
    let port = free_port().expect("there are free ports");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let log = folder.path().join("log");
    let mut command = Command::new(binary());
    command.arg("start").arg("--data-dir").arg(data);
    command.args(["--listen-http", "127.0.0.1:0", "--listen-rpc", "127.0.0.1:0"]);
    command.args(["--listen-sql", &format!("127.0.0.1:{port}")]).args(flags);
    let told = || std::fs::read_to_string(&log).expect("the node writes one");
    let Ok(mut process) = ServerProcess::start(command, port, &log, "TERM") else {
        return Started::Refused(told());
    };
    // It listens before it looks at the folder: clients wait meanwhile.
    while !told().contains("meridian is ready") {
        if process.wait(Duration::from_millis(5)).is_some() {
            return Started::Refused(told());
        }
    }
    Started::Running(process)
}

/// What a node says that refuses to start on a folder.
pub fn start_refused(data: &Path, flags: &[&str]) -> String {
    // A flag given twice is a mistake: the port is passed here unless the caller does.
    let mut command = Command::new(binary());
    command.arg("start").arg("--data-dir").arg(data);
    if !flags.contains(&"--listen-sql") {
        command.args(["--listen-sql", "127.0.0.1:0"]);
    }
    command.args(["--listen-http", "127.0.0.1:0", "--listen-rpc", "127.0.0.1:0"]);
    let output = command.args(flags).stdin(Stdio::null()).output();
    let output = output.expect("the binary runs");
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("meridian: error: "), "{told}");
    told
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
