//! Where things are, and the environment that every cargo call of ours gets.
//!
//! RocksDB costs about 25 CPU-minutes per profile and target folder. Hence one profile (release) for whatever
//! links it, one target folder per user outside of every checkout (so that the second clean checkout finds the
//! build of the first), and ccache before the compiler where it is installed (so that an emptied target folder
//! costs minutes, not half an hour).

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

const CCACHE_FOLDER: &str = "/usr/lib/ccache";

/// The top folder of this checkout.
pub fn root() -> PathBuf {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let manifest = manifest.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
    manifest.parent().expect("xtask lies in the top folder").to_path_buf()
}

/// `CARGO_TARGET_DIR`, or a folder in the user's cache.
pub fn target_folder() -> PathBuf {
    if let Some(folder) = set_variable("CARGO_TARGET_DIR") {
        return root().join(folder);
    }
    let cache = set_variable("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| set_variable("HOME").map(|home| PathBuf::from(home).join(".cache")));
    match cache {
        Some(cache) => cache.join("meridian").join("target"),
        None => root().join("target"),
    }
}

fn set_variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// A cargo call in the top folder, with the shared target folder and the compiler cache.
pub fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).args(arguments).env("CARGO_TARGET_DIR", target_folder());
    // What the outer `cargo xtask` set for us is not meant for the inner cargo.
    for name in ["CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH"] {
        command.env_remove(name);
    }
    if Path::new(CCACHE_FOLDER).is_dir() {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(PathBuf::from(CCACHE_FOLDER))
            .chain(std::env::split_paths(&path).filter(|folder| folder != Path::new(CCACHE_FOLDER)));
        command.env("PATH", std::env::join_paths(folders).expect("the folders came from a PATH"));
    }
    command
}

/// Runs a command to its end; tells the command line when it fails.
pub fn run(command: &mut Command) -> Result<(), String> {
    let shown = shown(command);
    eprintln!("xtask: {shown}");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{shown}` failed: {status}")),
        Err(error) => Err(format!("`{shown}` cannot be run: {error}")),
    }
}

/// Whether a command can be run and succeeds; its output is thrown away.
pub fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    std::iter::once(program)
        .chain(command.get_args())
        .map(|part| part.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}
