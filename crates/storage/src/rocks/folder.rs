//! The data folder: its lock, its version, and whether it is complete.
//!
//! ```text
//! LOCK        locked by the process that has the store open
//! CREATING    present while a store is being created: what is there may be thrown away
//! FORMAT      "meridian store\nversion <number>\n": written last
//! log/        RocksDB of the log side
//! state/      RocksDB of the state side
//! ```

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::{Side, StorageError};

/// The format that this program writes, and the newest that it reads.
const FORMAT_VERSION: u32 = 1;
const FORMAT_TITLE: &str = "meridian store";
const LOCK: &str = "LOCK";
const CREATING: &str = "CREATING";
const FORMAT: &str = "FORMAT";

/// The name of the subfolder of a side.
pub(super) fn side_name(side: Side) -> &'static str {
    match side {
        Side::Log => "log",
        Side::State => "state",
    }
}

/// A locked data folder. Dropping it releases the lock.
pub(super) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// What somebody without privileges can still write there.
    pub(super) fn free_bytes(&self) -> Option<u64> {
        let there = rustix::fs::statvfs(&self.path).ok()?;
        Some(there.f_bavail.saturating_mul(there.f_frsize))
    }

    /// Creates the folder if need be, for nobody but its owner, and locks it.
    pub(super) fn lock(path: &Path) -> Result<Folder, StorageError> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|error| at(path, error))?;
        let lock_path = path.join(LOCK);
        // A folder of something else is left without a trace of ours.
        if !lock_path.exists() && !path.join(FORMAT).exists() {
            check_empty_or_ours(path)?;
        }
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&lock_path);
        let lock = lock.map_err(|error| at(&lock_path, error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Folder { path: path.to_path_buf(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(StorageError::Locked { path: path.to_path_buf() }),
            Err(TryLockError::Error(error)) => Err(at(&lock_path, error)),
        }
    }

    /// Verifies the folder, or prepares it for a new store: true if there is none yet.
    pub(super) fn prepare(&self) -> Result<bool, StorageError> {
        match fs::read_to_string(self.path.join(FORMAT)) {
            Ok(text) => {
                self.check_format(&text)?;
                self.check_complete()?;
                // The creation was complete, all but this.
                self.remove_creating()?;
                Ok(false)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.begin_creation()?;
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                Err(StorageError::corruption(format!("{} is not text", self.path.join(FORMAT).display())))
            }
            Err(error) => Err(at(&self.path.join(FORMAT), error)),
        }
    }

    fn check_format(&self, text: &str) -> Result<(), StorageError> {
        let version = text.strip_prefix(FORMAT_TITLE).and_then(|rest| rest.strip_prefix("\nversion "));
        let version =
            version.and_then(|rest| rest.strip_suffix('\n')).and_then(|number| number.parse::<u32>().ok());
        match version {
            None | Some(0) => {
                Err(StorageError::corruption(format!("{} is malformed", self.path.join(FORMAT).display())))
            }
            Some(found) if found > FORMAT_VERSION => {
                Err(StorageError::NewerVersion { path: self.path.clone(), found, supported: FORMAT_VERSION })
            }
            Some(_) => Ok(()),
        }
    }

    fn check_complete(&self) -> Result<(), StorageError> {
        for side in [Side::Log, Side::State] {
            let current = self.path.join(side_name(side)).join("CURRENT");
            if !current.exists() {
                return Err(StorageError::corruption(format!("{} is missing", current.display())));
            }
        }
        self.check_has_write_ahead_log()
    }

    /// An open log side always has a write-ahead log that is written to; RocksDB itself takes a store without one as a store whose
    /// memtables were empty, and would drop what was acknowledged since the last flush.
    fn check_has_write_ahead_log(&self) -> Result<(), StorageError> {
        let path = self.path.join(side_name(Side::Log));
        for entry in fs::read_dir(&path).map_err(|error| at(&path, error))? {
            let name = entry.map_err(|error| at(&path, error))?.file_name();
            if Path::new(&name).extension().is_some_and(|extension| extension == "log") {
                return Ok(());
            }
        }
        Err(StorageError::corruption(format!("the write-ahead log (*.log) in {} is missing", path.display())))
    }

    fn begin_creation(&self) -> Result<(), StorageError> {
        if self.path.join(CREATING).exists() {
            // The first start died before it was complete: no one has been promised anything.
            for side in [Side::Log, Side::State] {
                let path = self.path.join(side_name(side));
                match fs::remove_dir_all(&path) {
                    Err(error) if error.kind() != ErrorKind::NotFound => return Err(at(&path, error)),
                    _ => {}
                }
            }
            return Ok(());
        }
        check_empty_or_ours(&self.path)?;
        for side in [Side::Log, Side::State] {
            if self.path.join(side_name(side)).exists() {
                let missing = self.path.join(FORMAT);
                return Err(StorageError::corruption(format!("{} is missing", missing.display())));
            }
        }
        self.write_synced(CREATING, "")
    }

    /// Declares the store complete.
    pub(super) fn finish_creation(&self) -> Result<(), StorageError> {
        self.write_synced(FORMAT, &format!("{FORMAT_TITLE}\nversion {FORMAT_VERSION}\n"))?;
        self.remove_creating()
    }

    fn remove_creating(&self) -> Result<(), StorageError> {
        match fs::remove_file(self.path.join(CREATING)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(at(&self.path.join(CREATING), error)),
            _ => Ok(()),
        }
    }

    /// Writes a file so that after a crash it is there whole or not at all.
    fn write_synced(&self, name: &str, text: &str) -> Result<(), StorageError> {
        let temporary = self.path.join(format!("{name}.new"));
        let write = || -> std::io::Result<()> {
            let mut file = File::create(&temporary)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&temporary, self.path.join(name))?;
            File::open(&self.path)?.sync_all()
        };
        write().map_err(|error| at(&temporary, error))
    }
}

/// Fails if there is something in the folder that no store has.
fn check_empty_or_ours(path: &Path) -> Result<(), StorageError> {
    let ours = [LOCK, CREATING, FORMAT, "CREATING.new", "FORMAT.new", "log", "state"];
    let mut foreign = Vec::new();
    for entry in fs::read_dir(path).map_err(|error| at(path, error))? {
        let name = entry.map_err(|error| at(path, error))?.file_name();
        if !ours.iter().any(|known| name.as_os_str() == *known) {
            foreign.push(name.to_string_lossy().into_owned());
        }
    }
    foreign.sort();
    match foreign.first() {
        None => Ok(()),
        Some(name) => Err(StorageError::NotAStore {
            path: path.to_path_buf(),
            reason: format!("it has no {FORMAT} and contains {name:?}"),
        }),
    }
}

fn at(path: &Path, error: std::io::Error) -> StorageError {
    StorageError::Io(format!("{}: {error}", path.display()))
}

/// Why RocksDB could not be opened: on an existing store everything but the operating system's refusals is damage.
pub(super) fn open_error(path: &Path, error: &rocksdb::Error) -> StorageError {
    let text = error.to_string();
    match error.kind() {
        rocksdb::ErrorKind::IOError if text.contains("LOCK") => {
            StorageError::Locked { path: path.to_path_buf() }
        }
        rocksdb::ErrorKind::IOError if !text.contains("No such file") => {
            StorageError::Io(format!("{}: {text}", path.display()))
        }
        _ => StorageError::corruption(format!("{}: {text}", path.display())),
    }
}
