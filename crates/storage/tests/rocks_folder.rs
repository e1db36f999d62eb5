//! The folder of the engine on disk: who may open it, and what is found to be wrong with it.

#![cfg(feature = "rocks")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use storage::{Durability, Engine, Keyspace, Reader, RocksEngine, StorageError, WriteBatch};
use support::rocks::{copy_folder, small_options};

fn open(path: &Path) -> Result<RocksEngine, StorageError> {
    RocksEngine::open(path, &small_options())
}

fn refusal(path: &Path) -> StorageError {
    open(path).err().expect("the folder is refused")
}

/// A store with files, a write-ahead log, and entries in each.
fn make(path: &Path) {
    let engine = open(path).expect("creates");
    for number in 0..2000u32 {
        let (key, value) = (number.to_be_bytes(), [number as u8; 100]);
        let mut log = WriteBatch::new();
        log.put(Keyspace::RaftLog, &key, &value);
        engine.write(&log, Durability::Buffered).expect("writes");
        let mut state = WriteBatch::new();
        state.put(Keyspace::Current, &key, &value);
        state.put(Keyspace::RangeLocal, b"applied", &key);
        engine.write(&state, Durability::Buffered).expect("writes");
    }
    engine.flush().expect("flushes");
}

fn files(path: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(path)
        .expect("lists")
        .map(|entry| entry.expect("lists").path())
        .filter(|path| path.to_string_lossy().ends_with(ending))
        .collect();
    found.sort();
    found
}

fn flip(path: &Path, position: usize) {
    let mut bytes = fs::read(path).expect("reads");
    bytes[position] ^= 0x40;
    fs::write(path, bytes).expect("writes");
}

/// Makes a store once and hands out copies to be damaged.
struct Copies {
    root: tempfile::TempDir,
    count: usize,
}

impl Copies {
    fn new() -> Copies {
        let root = tempfile::tempdir().expect("a temporary folder");
        make(&root.path().join("original"));
        Copies { root, count: 0 }
    }

    fn next(&mut self) -> PathBuf {
        self.count += 1;
        let copy = self.root.path().join(self.count.to_string());
        copy_folder(&self.root.path().join("original"), &copy);
        copy
    }
}

fn assert_corruption(path: &Path, mentions: &str) {
    let error = refusal(path);
    assert!(matches!(error, StorageError::Corruption { .. }), "{error}");
    assert!(error.to_string().contains(mentions), "{error} should mention {mentions}");
}

#[test]
fn a_new_folder_is_its_owners_alone() {
    let root = tempfile::tempdir().expect("a folder");
    let path = root.path().join("above").join("data");
    make(&path);
    for made in [path.as_path(), path.parent().expect("a parent")] {
        let mode = fs::metadata(made).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}", made.display());
    }
}

#[test]
fn an_undamaged_copy_opens_and_verifies() {
    let copy = Copies::new().next_kept();
    let engine = open(&copy.1).expect("opens");
    assert_eq!(engine.verify(), Ok(4001));
}

impl Copies {
    /// For a test that needs one copy: with what keeps the folder alive.
    fn next_kept(mut self) -> (Copies, PathBuf) {
        let path = self.next();
        (self, path)
    }
}

#[test]
fn missing_files_are_named() {
    let mut copies = Copies::new();
    let table = |folder: &Path| files(&folder.join("state"), ".sst").remove(0);
    let manifest = |folder: &Path| {
        files(folder, "").into_iter().find(|path| path.to_string_lossy().contains("MANIFEST"))
    };

    let path = copies.next();
    let missing = table(&path);
    fs::remove_file(&missing).expect("removes");
    assert_corruption(&path, &missing.file_name().expect("a file").to_string_lossy());

    let path = copies.next();
    fs::remove_file(manifest(&path.join("state")).expect("there is one")).expect("removes");
    assert_corruption(&path, "MANIFEST");

    for side in ["state", "log"] {
        let path = copies.next();
        fs::remove_file(path.join(side).join("CURRENT")).expect("removes");
        assert_corruption(&path, &format!("{side}/CURRENT"));

        let path = copies.next();
        fs::remove_dir_all(path.join(side)).expect("removes");
        assert_corruption(&path, &format!("{side}/CURRENT"));
    }

    let path = copies.next();
    files(&path.join("log"), ".log").into_iter().for_each(|log| fs::remove_file(log).expect("removes"));
    assert_corruption(&path, "the write-ahead log");

    let path = copies.next();
    fs::remove_file(path.join("FORMAT")).expect("removes");
    assert_corruption(&path, "FORMAT is missing");
}

#[test]
fn damaged_files_are_named() {
    let mut copies = Copies::new();

    let path = copies.next();
    let wal = files(&path.join("log"), ".log").pop().expect("there is a write-ahead log");
    let size = fs::metadata(&wal).expect("is there").len() as usize;
    flip(&wal, size / 2);
    assert_corruption(&path, "log");

    let path = copies.next();
    let manifest =
        files(&path.join("state"), "").into_iter().find(|path| path.to_string_lossy().contains("MANIFEST"));
    flip(&manifest.expect("there is one"), 60);
    assert_corruption(&path, "state");

    let path = copies.next();
    let table = files(&path.join("state"), ".sst").remove(0);
    let bytes = fs::read(&table).expect("reads");
    fs::write(&table, &bytes[..bytes.len() / 2]).expect("writes");
    assert_corruption(&path, &table.file_name().expect("a file").to_string_lossy());

    fs::write(copies.root.path().join("1").join("FORMAT"), "meridian store\nversion x\n").expect("writes");
    assert_corruption(&copies.root.path().join("1"), "FORMAT is malformed");
}

#[test]
fn a_damaged_block_is_found_when_it_is_read() {
    let (_copies, path) = Copies::new().next_kept();
    for table in files(&path.join("state"), ".sst") {
        flip(&table, 100);
    }
    // Opening does not read every block; reading one tells.
    if let Ok(engine) = open(&path) {
        assert!(matches!(engine.verify(), Err(StorageError::Corruption { .. })));
        let read = engine.get(Keyspace::Current, &0u32.to_be_bytes());
        assert!(matches!(read, Err(StorageError::Corruption { .. })), "{read:?}");
    }
}

#[test]
fn a_write_ahead_log_that_ends_in_a_torn_record_opens() {
    let (_copies, path) = Copies::new().next_kept();
    let wal = files(&path.join("log"), ".log").pop().expect("there is a write-ahead log");
    let bytes = fs::read(&wal).expect("reads");
    let end = bytes.iter().rposition(|byte| *byte != 0).expect("there are records");
    fs::write(&wal, &bytes[..end - 20]).expect("writes");
    let engine = open(&path).expect("opens");
    assert!(engine.get(Keyspace::RaftLog, &1998u32.to_be_bytes()).expect("reads").is_some());
    assert!(engine.get(Keyspace::RaftLog, &1999u32.to_be_bytes()).expect("reads").is_none());
}

#[test]
fn a_second_opening_is_refused_and_leaves_no_harm() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let engine = open(root.path()).expect("creates");
    assert_eq!(refusal(root.path()), StorageError::Locked { path: root.path().to_path_buf() });
    let mut batch = WriteBatch::new();
    batch.put(Keyspace::RaftLog, b"k", b"v");
    engine.write(&batch, Durability::Synced).expect("still works");
    drop(engine);
    assert!(open(root.path()).expect("opens").get(Keyspace::RaftLog, b"k").expect("reads").is_some());
}

#[test]
fn a_newer_format_is_refused() {
    let root = tempfile::tempdir().expect("a temporary folder");
    drop(open(root.path()).expect("creates"));
    assert_eq!(fs::read_to_string(root.path().join("FORMAT")).expect("reads"), "meridian store\nversion 1\n");
    fs::write(root.path().join("FORMAT"), "meridian store\nversion 2\n").expect("writes");
    let expected = StorageError::NewerVersion { path: root.path().to_path_buf(), found: 2, supported: 1 };
    assert_eq!(refusal(root.path()), expected);
}

#[test]
fn a_folder_of_something_else_is_left_alone() {
    let root = tempfile::tempdir().expect("a temporary folder");
    fs::write(root.path().join("thesis.txt"), "important").expect("writes");
    assert!(matches!(refusal(root.path()), StorageError::NotAStore { .. }));
    assert_eq!(fs::read_dir(root.path()).expect("lists").count(), 1);
}

#[test]
fn a_creation_that_was_interrupted_is_begun_again() {
    let root = tempfile::tempdir().expect("a temporary folder");
    drop(open(root.path()).expect("creates"));
    fs::remove_file(root.path().join("FORMAT")).expect("removes");
    fs::write(root.path().join("CREATING"), "").expect("writes");
    fs::remove_file(root.path().join("state/CURRENT")).expect("removes");
    drop(open(root.path()).expect("creates again"));
    assert!(!root.path().join("CREATING").exists());
    drop(open(root.path()).expect("opens"));
}
