//! What the tests share: a disk that can be opened, closed and crashed, in memory or in a folder.

#![allow(dead_code)]

use std::sync::Arc;

use clock::Timestamp;
use keys::Key;
use kvapi::{Isolation, Priority, TxnId, TxnMeta};
use storage::{Engine, MemoryDisk, MemoryOptions, StorageError};

/// Something that outlives an engine.
pub trait Disk {
    fn open(&mut self) -> Result<Arc<dyn Engine>, StorageError>;

    /// The process is killed: what the operating system has been given stays. The engine opened last must not be used any more.
    fn kill(&mut self);
}

pub struct InMemory(pub MemoryDisk);

impl InMemory {
    pub fn new() -> InMemory {
        InMemory(MemoryDisk::new())
    }
}

impl Disk for InMemory {
    fn open(&mut self) -> Result<Arc<dyn Engine>, StorageError> {
        Ok(self.0.open(MemoryOptions::default())?)
    }

    fn kill(&mut self) {
        self.0.crash(usize::MAX, 0);
    }
}

#[cfg(feature = "rocks")]
pub mod rocks {
    use super::*;
    use std::fs;
    use std::path::{Path, PathBuf};
    use storage::{RocksEngine, RocksOptions};

    /// Small memory, so that tests are quick.
    pub fn small_options() -> RocksOptions {
        RocksOptions {
            cache_bytes: 8 << 20,
            memtable_bytes: 4 << 20,
            log_memtable_bytes: 4 << 20,
            ..RocksOptions::default()
        }
    }

    /// A folder. Killing copies it as it is, which is what the next process would find, and goes on in the copy.
    pub struct InFolder {
        pub root: tempfile::TempDir,
        count: usize,
    }

    impl InFolder {
        pub fn new() -> InFolder {
            InFolder { root: tempfile::tempdir().expect("a temporary folder"), count: 0 }
        }

        pub fn path(&self) -> PathBuf {
            self.root.path().join(self.count.to_string())
        }
    }

    impl Disk for InFolder {
        fn open(&mut self) -> Result<Arc<dyn Engine>, StorageError> {
            Ok(Arc::new(RocksEngine::open(&self.path(), &small_options())?))
        }

        fn kill(&mut self) {
            let from = self.path();
            self.count += 1;
            copy_folder(&from, &self.path());
        }
    }

    pub fn copy_folder(from: &Path, to: &Path) {
        fs::create_dir_all(to).expect("creates the copy");
        for entry in fs::read_dir(from).expect("lists the folder") {
            let entry = entry.expect("lists the folder");
            let target = to.join(entry.file_name());
            if entry.path().is_dir() {
                copy_folder(&entry.path(), &target);
            } else {
                fs::copy(entry.path(), target).expect("copies a file");
            }
        }
    }
}

/// `12` or `12.3`: wall and logical part.
pub fn parse_timestamp(text: &str) -> Result<Timestamp, Box<dyn std::error::Error>> {
    let (wall, logical) = text.split_once('.').unwrap_or((text, "0"));
    Ok(Timestamp::new(wall.parse()?, logical.parse()?))
}

pub fn show(timestamp: Timestamp) -> String {
    match timestamp.logical {
        0 => timestamp.wall.to_string(),
        logical => format!("{}.{logical}", timestamp.wall),
    }
}

/// Transactions are named by one letter.
pub fn txn(name: &str, epoch: u32, write_timestamp: Timestamp) -> TxnMeta {
    TxnMeta {
        id: txn_id(name),
        anchor: Some(Key::from("anchor")),
        epoch,
        sequence: 0,
        isolation: Isolation::Serializable,
        priority: Priority::NORMAL,
        start: write_timestamp,
        write_timestamp,
    }
}

pub fn txn_id(name: &str) -> TxnId {
    TxnId(name.as_bytes()[0] as u128)
}

pub fn txn_name(id: TxnId) -> char {
    id.0 as u8 as char
}
