//! Where operators put what does not fit into memory.
//!
//! A [`SpillStore`] hands out temporary files: in a folder of the node in production ([`FileSpill`]), in memory for
//! simulation and tests ([`MemorySpill`]), so that a simulated node touches no disk. A file is written once from
//! front to end as a sequence of batches, then read from front to end, any number of times; it is gone when dropped.
//!
//! Calls block. Writes go to the page cache and reads come from it as a rule; nothing is ever synced.

mod bounded;
mod buffer;
pub(crate) mod codec;
mod partition;
mod run;

pub use bounded::BoundedSpill;
pub use buffer::{BufferCursor, RowBuffer};
pub use partition::Partitions;
pub use run::{SpillReader, SpillWriter};

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use types::{PgError, PgResult, SqlState};

/// Makes temporary files.
pub trait SpillStore: Send + Sync + std::fmt::Debug {
    /// A new, empty file. 53100 when the disk is full, 58030 for other I/O errors.
    fn create(&self) -> PgResult<Box<dyn SpillFile>>;
}

/// A temporary file.
pub trait SpillFile: Send {
    /// Appends.
    fn append(&mut self, bytes: &[u8]) -> PgResult<()>;

    /// Fills `buffer` from `offset`; all of it lies within what was appended.
    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> PgResult<()>;
}

/// Files without names in a folder.
#[derive(Debug)]
pub struct FileSpill {
    folder: PathBuf,
}

impl FileSpill {
    /// Takes a folder for itself: makes it, or empties it of what an earlier process left (files without names leave
    /// nothing where the file system has them). Errors: 53100, 58030.
    pub fn open(folder: impl Into<PathBuf>) -> PgResult<FileSpill> {
        let folder = folder.into();
        match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io_error(error)),
            _ => {}
        }
        std::fs::create_dir_all(&folder).map_err(io_error)?;
        Ok(FileSpill { folder })
    }
}

impl SpillStore for FileSpill {
    fn create(&self) -> PgResult<Box<dyn SpillFile>> {
        let file = tempfile::tempfile_in(&self.folder).map_err(io_error)?;
        Ok(Box::new(OnDisk(file)))
    }
}

struct OnDisk(File);

impl SpillFile for OnDisk {
    fn append(&mut self, bytes: &[u8]) -> PgResult<()> {
        self.0.seek(SeekFrom::End(0)).and_then(|_| self.0.write_all(bytes)).map_err(io_error)
    }

    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> PgResult<()> {
        self.0.seek(SeekFrom::Start(offset)).and_then(|_| self.0.read_exact(buffer)).map_err(io_error)
    }
}

fn io_error(error: std::io::Error) -> PgError {
    let code = match error.kind() {
        std::io::ErrorKind::StorageFull => SqlState::DISK_FULL,
        _ => SqlState::IO_ERROR,
    };
    PgError::new(code, format!("could not use a temporary file: {error}"))
}

/// "Files" in memory, not counted: for simulation and tests.
#[derive(Debug, Default)]
pub struct MemorySpill {}

impl SpillStore for MemorySpill {
    fn create(&self) -> PgResult<Box<dyn SpillFile>> {
        Ok(Box::new(InMemory(Vec::new())))
    }
}

struct InMemory(Vec<u8>);

impl SpillFile for InMemory {
    fn append(&mut self, bytes: &[u8]) -> PgResult<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> PgResult<()> {
        let range = usize::try_from(offset).ok().and_then(|from| self.0.get(from..from + buffer.len()));
        let bytes = range.ok_or_else(|| PgError::internal("a temporary file is read beyond its end"))?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }
}
