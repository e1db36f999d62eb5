//! What building needs beside the Rust toolchain: libclang (RocksDB's bindings) and a C++ compiler; ccache helps.
//!
//! On Debian and Ubuntu the missing ones are installed, when this runs as root or sudo asks no password.
//! Elsewhere the user is told what to install.

use std::path::Path;
use std::process::Command;

use crate::workspace::{run, succeeds};

/// One thing that building needs.
struct Prerequisite {
    what: &'static str,
    package: &'static str,
    found: fn() -> bool,
    /// Building works without it.
    optional: bool,
}

const PREREQUISITES: [Prerequisite; 3] = [
    Prerequisite {
        what: "libclang (RocksDB's bindings are generated with it)",
        package: "libclang-dev",
        found: has_libclang,
        optional: false,
    },
    Prerequisite {
        what: "a C++ compiler with C++20",
        package: "g++",
        found: has_cpp_compiler,
        optional: false,
    },
    Prerequisite {
        what: "ccache (a second build of RocksDB takes minutes instead of half an hour)",
        package: "ccache",
        found: || is_program("ccache"),
        optional: true,
    },
];

/// Finds everything, or installs what is missing, or says what to install.
pub fn ensure() -> Result<(), String> {
    let missing: Vec<&Prerequisite> = PREREQUISITES.iter().filter(|one| !(one.found)()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().map(|one| one.package).collect();
    match apt_get() {
        Some(prefix) => {
            if let Err(error) = install(&prefix, &packages) {
                eprintln!("xtask: {error}");
            }
        }
        None => eprintln!("xtask: cannot install packages here (no apt-get, or neither root nor sudo)"),
    }
    let still: Vec<&Prerequisite> = missing.into_iter().filter(|one| !(one.found)()).collect();
    for one in still.iter().filter(|one| one.optional) {
        eprintln!("xtask: going on without {}", one.what);
    }
    let needed: Vec<String> = still
        .iter()
        .filter(|one| !one.optional)
        .map(|one| format!("  - {}: package {} on Debian and Ubuntu", one.what, one.package))
        .collect();
    if needed.is_empty() {
        return Ok(());
    }
    Err(format!(
        "building needs, beside the Rust toolchain:\n{}\n\
         Install it (Fedora: clang-devel gcc-c++; Arch: clang gcc; macOS: xcode-select --install) and try again. \
         If libclang lies in an unusual folder, set LIBCLANG_PATH to it.",
        needed.join("\n")
    ))
}

/// How to call apt-get with the rights to install; `None` where that is impossible.
fn apt_get() -> Option<Vec<&'static str>> {
    if !is_program("apt-get") {
        return None;
    }
    let user = Command::new("id").arg("-u").output().ok()?;
    if user.stdout.trim_ascii() == b"0" {
        return Some(vec!["apt-get"]);
    }
    // -n: never ask for a password in the middle of a build.
    succeeds(Command::new("sudo").args(["-n", "true"])).then(|| vec!["sudo", "-n", "apt-get"])
}

fn install(prefix: &[&str], packages: &[&str]) -> Result<(), String> {
    let call = |arguments: &[&str]| {
        let mut command = Command::new(prefix[0]);
        command.args(&prefix[1..]).args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
        command
    };
    let mut arguments = vec!["install", "-y", "--no-install-recommends"];
    arguments.extend(packages);
    // The package lists of a fresh machine may be absent or old: a failed first attempt refreshes them.
    if succeeds(&mut call(&arguments)) {
        return Ok(());
    }
    run(&mut call(&["update"]))?;
    run(&mut call(&arguments))
}

fn is_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
}

fn has_cpp_compiler() -> bool {
    std::env::var_os("CXX").is_some() || ["c++", "g++", "clang++"].into_iter().any(is_program)
}

/// Looks where the bindings' generator looks: LIBCLANG_PATH, the loader's folders, LLVM's own folders.
fn has_libclang() -> bool {
    if let Some(path) = std::env::var_os("LIBCLANG_PATH") {
        let path = Path::new(&path);
        return path.is_file() || holds_libclang(path);
    }
    let folders = [
        "/usr/lib",
        "/usr/lib64",
        "/usr/local/lib",
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/Library/Developer/CommandLineTools/usr/lib",
        "/opt/homebrew/opt/llvm/lib",
    ];
    folders.into_iter().any(|folder| holds_libclang(Path::new(folder)))
        || llvm_folders().any(|f| holds_libclang(&f))
}

fn llvm_folders() -> impl Iterator<Item = std::path::PathBuf> {
    let entries = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("llvm"))
        .map(|entry| entry.path().join("lib"))
}

fn holds_libclang(folder: &Path) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        // libclang-cpp is another library, which the generator cannot use.
        let is_ours =
            name.starts_with("libclang.so") || name.starts_with("libclang-") || name == "libclang.dylib";
        is_ours && !name.starts_with("libclang-cpp") && (name.contains(".so") || name.ends_with(".dylib"))
    })
}
