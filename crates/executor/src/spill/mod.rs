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
use std::sync::Arc;

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

/// Bytes of the disk that temporary files leave free: the node's data lies there too, and must be able to go on.
const FREE_BYTES_MIN: u64 = 1 << 30;

/// Bytes free on a disk; `None`: not known.
pub type FreeBytes = Arc<dyn Fn() -> Option<u64> + Send + Sync>;

/// Files without names in a folder.
pub struct FileSpill {
    folder: PathBuf,
    free_bytes: FreeBytes,
}

impl std::fmt::Debug for FileSpill {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileSpill").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl FileSpill {
    /// Takes a folder for itself: makes it, or empties it of what an earlier process left (files without names leave
    /// nothing where the file system has them). `free_bytes` is asked before anything is written, so that the last of the disk is not
    /// taken (53100). Errors: 53100, 58030.
    pub fn open(folder: impl Into<PathBuf>, free_bytes: FreeBytes) -> PgResult<FileSpill> {
        let folder = folder.into();
        match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io_error(error)),
            _ => {}
        }
        std::fs::create_dir_all(&folder).map_err(io_error)?;
        Ok(FileSpill { folder, free_bytes })
    }
}

impl SpillStore for FileSpill {
    fn create(&self) -> PgResult<Box<dyn SpillFile>> {
        let file = tempfile::tempfile_in(&self.folder).map_err(io_error)?;
        Ok(Box::new(OnDisk { file, free_bytes: self.free_bytes.clone() }))
    }
}

struct OnDisk {
    file: File,
    free_bytes: FreeBytes,
}

impl SpillFile for OnDisk {
    fn append(&mut self, bytes: &[u8]) -> PgResult<()> {
        let free = (self.free_bytes)().unwrap_or(u64::MAX);
        if free < FREE_BYTES_MIN + bytes.len() as u64 {
            return Err(PgError::new(
                SqlState::DISK_FULL,
                "could not write to a temporary file: the disk is nearly full",
            )
            .detail(format!("{free} bytes are free; temporary files leave {FREE_BYTES_MIN}.")));
        }
        self.file.seek(SeekFrom::End(0)).and_then(|_| self.file.write_all(bytes)).map_err(io_error)
    }

    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> PgResult<()> {
        self.file.seek(SeekFrom::Start(offset)).and_then(|_| self.file.read_exact(buffer)).map_err(io_error)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporary_files_leave_a_part_of_the_disk_free() {
        let folder = tempfile::tempdir().expect("made");
        let free = |bytes: u64| -> FreeBytes { Arc::new(move || Some(bytes)) };
        let store = FileSpill::open(folder.path().join("a"), free(FREE_BYTES_MIN + 10)).expect("opens");
        let mut file = store.create().expect("made");
        file.append(&[7; 10]).expect("fits");
        let error = file.append(&[7; 11]).expect_err("would take what is to be left");
        assert_eq!(error.code(), SqlState::DISK_FULL);
        let mut byte = [0];
        file.read(9, &mut byte).expect("reads");
        assert_eq!(byte, [7]);
    }
}
