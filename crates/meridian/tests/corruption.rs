//! Damage to each file of a data folder, one at a time: the next start refuses and names what is wrong, or everything is there.
//! Never does a node serve less than what it acknowledged.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use support::{Started, node, output_of, try_start};

/// What all rows come to: one line that changes if one of them does.
const SUM: &str = "SELECT count(*), sum(k), md5(string_agg(v, ',' ORDER BY k)) FROM kept; SELECT count(*), sum(a) FROM late";

#[derive(Clone, Copy, Debug)]
enum Damage {
    Removed,
    Emptied,
    Halved,
    /// One bit, at so many thousandths of what is in use of the file.
    Flipped(usize),
}

const DAMAGES: [Damage; 6] = [
    Damage::Removed,
    Damage::Emptied,
    Damage::Halved,
    Damage::Flipped(50),
    Damage::Flipped(500),
    Damage::Flipped(950),
];

impl Damage {
    fn inflict(self, path: &Path) {
        let mut bytes = std::fs::read(path).expect("reads");
        // Write-ahead logs are longer than what is in them.
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        match self {
            Damage::Removed => return std::fs::remove_file(path).expect("removes"),
            Damage::Emptied => bytes.clear(),
            Damage::Halved => bytes.truncate(used / 2),
            Damage::Flipped(_) if used == 0 => return,
            Damage::Flipped(thousandths) => bytes[(used * thousandths / 1000).min(used - 1)] ^= 0x40,
        }
        std::fs::write(path, bytes).expect("writes");
    }
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("makes a folder");
    for entry in std::fs::read_dir(from).expect("lists") {
        let entry = entry.expect("lists");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("copies");
        }
    }
}

fn files(folder: &Path, inside: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> =
        std::fs::read_dir(folder.join(inside)).expect("lists").map(|entry| entry.expect("lists")).collect();
    entries.sort_by_key(|entry| entry.file_name());
    for entry in entries {
        let name = inside.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            files(folder, &name, found);
        } else {
            found.push(name);
        }
    }
}

fn psql(port: u16, sql: &str) -> Command {
    let mut command = Command::new("psql");
    command.args(["--no-psqlrc", "-At", "-v", "ON_ERROR_STOP=1", "-c", sql]);
    command.arg(format!("postgresql://postgres@127.0.0.1:{port}/postgres"));
    command
}

/// A folder with tables in files, Raft entries in files and in the write-ahead log, left by a process that was killed.
fn make(folder: &Path) -> String {
    let mut node = node();
    output_of(&mut psql(
        node.port(),
        "CREATE TABLE kept (k int PRIMARY KEY, v text); CREATE TABLE late (a int)",
    ));
    output_of(&mut psql(
        node.port(),
        "INSERT INTO kept SELECT g, repeat(md5(g::text), 3) FROM generate_series(1, 5000) g",
    ));
    node.stop();
    node.start_again().expect("it starts again");
    output_of(&mut psql(node.port(), "INSERT INTO late SELECT generate_series(1, 300)"));
    for k in 6000..6020 {
        output_of(&mut psql(node.port(), &format!("INSERT INTO kept VALUES ({k}, 'late {k}')")));
    }
    let sum = output_of(&mut psql(node.port(), SUM));
    node.process().signal("KILL");
    node.process().wait(std::time::Duration::from_secs(20)).expect("it ends");
    copy_folder(&node.data(), folder);
    sum
}

/// Files that hold nothing that was acknowledged: RocksDB's own log, lock files, and a record of its options.
fn is_immaterial(name: &str) -> bool {
    name.starts_with("LOG") || name == "LOCK" || name.starts_with("OPTIONS") || name == "IDENTITY"
}

/// The end of the log being written: cut off, it cannot be told from a write that was under way when the process died.
fn is_cut_tail(file: &Path, damage: Damage) -> bool {
    file.starts_with("log")
        && file.extension().is_some_and(|extension| extension == "log")
        && matches!(damage, Damage::Emptied | Damage::Halved)
}

#[test]
fn damage_is_refused_and_named_or_harmless() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let original = root.path().join("original");
    let sum = make(&original);
    let mut all = Vec::new();
    files(&original, Path::new(""), &mut all);
    let mut refusals = 0;
    let mut wrong = Vec::new();
    for file in &all {
        let name = file.file_name().expect("a name").to_string_lossy().into_owned();
        for damage in DAMAGES.into_iter().filter(|damage| !is_cut_tail(file, *damage)) {
            let copy = root.path().join("copy");
            copy_folder(&original, &copy);
            damage.inflict(&copy.join(file));
            match try_start(&copy, &[]) {
                Started::Refused(told) => {
                    refusals += 1;
                    let last = told.lines().last().unwrap_or("").to_string();
                    if is_immaterial(&name) || !last.contains("meridian: error: ") || !names(&last, file) {
                        wrong.push(format!("{} {damage:?}: refused with {last}", file.display()));
                    }
                }
                Started::Running(node) => {
                    let output = psql(node.port, SUM).stdin(Stdio::null()).output().expect("psql runs");
                    let (printed, errors) =
                        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
                    // What is not read at the start may tell when it is read.
                    if printed != sum && !errors.to_lowercase().contains("corruption") {
                        wrong.push(format!("{} {damage:?}: serves {printed}{errors}", file.display()));
                    }
                }
            }
            std::fs::remove_dir_all(&copy).expect("removes");
        }
    }
    println!("{} files, {refusals} refusals", all.len());
    assert!(wrong.is_empty(), "expected {sum}\n{}", wrong.join("\n"));
    assert!(refusals > 30, "{refusals}");
}

/// Does the message say where to look: the file, its side of the folder, or the range whose log it is?
fn names(told: &str, file: &Path) -> bool {
    let name = file.file_name().expect("a name").to_string_lossy();
    let side = file.parent().and_then(Path::file_name).map(|side| side.to_string_lossy().into_owned());
    told.contains(&*name) || side.is_some_and(|side| told.contains(&side)) || told.contains("range")
}
