//! The engine on disk: two RocksDB instances in one folder.
//!
//! # Why two
//!
//! The log side is written with a write-ahead log and synced; the state side is written without one. One RocksDB could hold both as
//! column families, with `atomic_flush` for the state. Two were chosen because:
//!
//! - RocksDB writes through one queue per instance. In a shared one, an unlogged apply, which needs a microsecond, queues behind the
//!   `fdatasync` of whatever log write came first: the writes of both kinds cannot share a write group, and the pipelined queue that
//!   would help is not available together with `atomic_flush`. Apart, applying overlaps with syncing.
//! - `atomic_flush` flushes every column family. Shared, a full state memtable would force Raft entries into files that
//!   are about to be deleted; apart, most entries are cut off in the memtable and are never written a second time.
//! - The write-ahead log of a shared instance is kept until every column family has flushed past it; of a separate one only as
//!   long as the log's own memtable.
//! - The rule "what is flushed" is simple for an instance none of whose writes is logged: everything in memory is lost,
//!   everything in files is not.
//!
//! The price is a second set of background state (a few hundred KiB) and that no batch spans both sides, which the design does
//! not need: the log is ahead of the state by definition.
//!
//! # What a crash leaves
//!
//! *Log*: the write-ahead log is replayed with `TolerateCorruptedTailRecords`: a record that was being written when the process died
//! is dropped (it was never acknowledged), any other damage refuses to open. Synced writes and everything before them are there.
//!
//! *State*: memtables are gone. What is in files is the state at one point of the sequence of writes, in all column families
//! together: with `atomic_flush`, RocksDB picks the memtables of all column families at the same point of the write queue and records
//! all resulting files in one atomic edit of its manifest. A batch is never split: it holds one place in the queue. Compactions rearrange
//! files and change no content. Hence rule 3 of [`Engine`].
//!
//! *How far*: [`Engine::flushed`] reads at the tier of persisted data, which looks at files only. RocksDB syncs the manifest
//! before it lets readers see the new files, so that a value seen there is durable, and by atomicity everything written before it is too.
//! That tier skips memtables only in an instance that has seen an unlogged write, which `open` therefore makes at once.
//!
//! # Failure
//!
//! An error of a write leaves open what is on disk. The engine then refuses all further writes ([`StorageError::Poisoned`]): a retried
//! sync can report success for data that the kernel has already dropped.

mod checkpoint;
mod folder;
mod options;
mod read;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use keys::Span;
use parking_lot::Mutex;
use rocksdb::{ColumnFamily, DB, ErrorKind, FlushOptions, ReadOptions, ReadTier, WriteOptions};

use self::folder::Folder;
use self::read::{RocksCursor, RocksSnapshot};
use crate::engine::{Pinned, check_state_parts};
use crate::{
    Checkpoint, Cursor, CursorOptions, Durability, Engine, EngineStatistics, Ingest, Keyspace, Misuse,
    Operation, PinnedValue, Reader, Side, StorageError, WriteBatch,
};

pub use self::options::RocksOptions;

/// Both instances, and the handles of their column families.
///
/// - `handles` point into the instances, which never create or drop a column family after opening: the pointers stay valid as
///   long as the instances live. They spare a lookup by name on every access.
struct Databases {
    log: DB,
    state: DB,
    handles: [*const ColumnFamily; Keyspace::COUNT],
}

// SAFETY: the pointers are to column families owned by the instances next to them, which are immutable after opening, and
// `ColumnFamily` itself is `Send` and `Sync`.
unsafe impl Send for Databases {}
unsafe impl Sync for Databases {}

impl Databases {
    fn open(folder: &Path, options: &RocksOptions) -> Result<Databases, StorageError> {
        let shared = options::Shared::new(options);
        let log = open_one(folder, Side::Log, &Keyspace::LOG, &shared)?;
        let state = open_one(folder, Side::State, &Keyspace::STATE, &shared)?;
        let mut handles = [std::ptr::null(); Keyspace::COUNT];
        for keyspace in Keyspace::ALL {
            let db = if keyspace.side() == Side::Log { &log } else { &state };
            handles[keyspace.index()] =
                db.cf_handle(keyspace.name()).expect("all column families were opened");
        }
        Ok(Databases { log, state, handles })
    }

    fn of(&self, keyspace: Keyspace) -> &DB {
        match keyspace.side() {
            Side::Log => &self.log,
            Side::State => &self.state,
        }
    }

    fn handle(&self, keyspace: Keyspace) -> &ColumnFamily {
        // SAFETY: see the invariant on the type; the instances live at least as long as `self`.
        unsafe { &*self.handles[keyspace.index()] }
    }

    fn property(&self, keyspace: Keyspace, name: &str) -> u64 {
        self.of(keyspace).property_int_value_cf(self.handle(keyspace), name).ok().flatten().unwrap_or(0)
    }
}

fn open_one(
    folder: &Path,
    side: Side,
    keyspaces: &[Keyspace],
    shared: &options::Shared<'_>,
) -> Result<DB, StorageError> {
    let path = folder.join(folder::side_name(side));
    let columns = keyspaces.iter().map(|keyspace| (keyspace.name(), shared.column_family(*keyspace)));
    DB::open_cf_with_opts(&shared.database(side), &path, columns)
        .map_err(|error| folder::open_error(&path, &error))
}

/// The store in a folder.
///
/// - The lock on the folder is held as long as the engine lives.
/// - Dropped, it flushes the state side: a restart after an orderly stop replays nothing.
pub struct RocksEngine {
    databases: Arc<Databases>,
    read: ReadOptions,
    read_flushed: ReadOptions,
    write_synced: WriteOptions,
    write_logged: WriteOptions,
    write_unlogged: WriteOptions,
    poisoned: AtomicBool,
    poison: Mutex<Option<String>>,
    /// Declared last: the lock is released after the instances are closed.
    folder: Folder,
}

impl RocksEngine {
    /// Opens the store in a folder; creates it if the folder is empty or does not exist.
    ///
    /// Refuses a folder that another process has open, that a newer program has written, that is not a store, or in which
    /// something is missing or damaged; the error names it. Nothing is repaired.
    pub fn open(path: &Path, options: &RocksOptions) -> Result<RocksEngine, StorageError> {
        let folder = Folder::lock(path)?;
        let created = folder.prepare()?;
        let databases = Databases::open(path, options)?;
        if created {
            folder.finish_creation()?;
        }
        let mut write_synced = WriteOptions::default();
        write_synced.set_sync(true);
        let mut write_unlogged = WriteOptions::default();
        write_unlogged.disable_wal(true);
        let mut read_flushed = ReadOptions::default();
        read_flushed.set_read_tier(ReadTier::Persisted);
        let engine = RocksEngine {
            databases: Arc::new(databases),
            read: ReadOptions::default(),
            read_flushed,
            write_synced,
            write_logged: WriteOptions::default(),
            write_unlogged,
            poisoned: AtomicBool::new(false),
            poison: Mutex::new(None),
            folder,
        };
        engine.mark_unlogged()?;
        Ok(engine)
    }

    /// Makes the state instance know that it has data in no log; see "how far" above.
    fn mark_unlogged(&self) -> Result<(), StorageError> {
        let written = self.databases.state.put_opt(b"opened", b"", &self.write_unlogged);
        written.map_err(|error| self.fail(&error))
    }

    /// Reads everything, verifying all checksums: what a check on demand does. Returns the number of entries read.
    pub fn verify(&self) -> Result<u64, StorageError> {
        let mut count = 0;
        for keyspace in Keyspace::ALL {
            let mut cursor =
                self.cursor(keyspace, CursorOptions { bulk: true, ..CursorOptions::default() })?;
            let mut found = cursor.seek_first()?;
            while found {
                count += 1;
                found = cursor.next()?;
            }
        }
        Ok(count)
    }

    /// Merges the files of a keyspace as far as they can be: for benchmarks and maintenance.
    pub fn compact(&self, keyspace: Keyspace) {
        let db = self.databases.of(keyspace);
        db.compact_range_cf(self.databases.handle(keyspace), None::<&[u8]>, None::<&[u8]>);
    }

    fn check_alive(&self) -> Result<(), StorageError> {
        if !self.poisoned.load(Ordering::Acquire) {
            return Ok(());
        }
        Err(StorageError::Poisoned(self.poison.lock().clone().unwrap_or_default()))
    }

    /// Stops all further writes, and gives the error to return for this one.
    fn fail(&self, error: &rocksdb::Error) -> StorageError {
        self.poison.lock().get_or_insert_with(|| error.to_string());
        self.poisoned.store(true, Ordering::Release);
        storage_error(error)
    }

    fn write_options(&self, side: Side, durability: Durability) -> Result<&WriteOptions, StorageError> {
        match (side, durability) {
            (Side::Log, Durability::Synced) => Ok(&self.write_synced),
            (Side::Log, Durability::Buffered) => Ok(&self.write_logged),
            (Side::State, Durability::Buffered) => Ok(&self.write_unlogged),
            (Side::State, Durability::Synced) => Err(StorageError::Misuse(Misuse::SyncedState)),
        }
    }

    fn translate(&self, batch: &WriteBatch) -> rocksdb::WriteBatch {
        // Its own header and a column family number per operation come on top.
        let mut out = rocksdb::WriteBatch::with_capacity_bytes(batch.byte_size() + 2 * batch.len() + 12);
        for operation in batch.iter() {
            let handle = self.databases.handle(operation.keyspace());
            match operation {
                Operation::Put(_, key, value) => out.put_cf(handle, key, value),
                Operation::Delete(_, key) => out.delete_cf(handle, key),
                Operation::DeleteRange(_, start, end) => out.delete_range_cf(handle, start, end),
            }
        }
        out
    }
}

/// An error of a read, or of a write that was refused before it began.
fn storage_error(error: &rocksdb::Error) -> StorageError {
    match error.kind() {
        ErrorKind::Corruption => StorageError::corruption(error.to_string()),
        _ => StorageError::Io(error.to_string()),
    }
}

impl Reader for RocksEngine {
    fn get(&self, keyspace: Keyspace, key: &[u8]) -> Result<Option<PinnedValue<'_>>, StorageError> {
        let db = self.databases.of(keyspace);
        let found = db.get_pinned_cf_opt(self.databases.handle(keyspace), key, &self.read);
        found
            .map(|value| value.map(|value| PinnedValue(Pinned::Rocks(value))))
            .map_err(|error| storage_error(&error))
    }

    fn cursor(
        &self,
        keyspace: Keyspace,
        options: CursorOptions<'_>,
    ) -> Result<Box<dyn Cursor + '_>, StorageError> {
        let handle = self.databases.handle(keyspace);
        let iterator = self.databases.of(keyspace).raw_iterator_cf_opt(handle, read::cursor_options(options));
        Ok(Box::new(RocksCursor::new(iterator)))
    }
}

impl Engine for RocksEngine {
    fn snapshot(&self) -> Box<dyn Reader + '_> {
        Box::new(RocksSnapshot::new(&self.databases))
    }

    fn write(&self, batch: &WriteBatch, durability: Durability) -> Result<(), StorageError> {
        let Some(side) = batch.side()? else { return Ok(()) };
        let options = self.write_options(side, durability)?;
        self.check_alive()?;
        let db = match side {
            Side::Log => &self.databases.log,
            Side::State => &self.databases.state,
        };
        db.write_opt(self.translate(batch), options).map_err(|error| self.fail(&error))
    }

    fn flushed(&self, keyspace: Keyspace, key: &[u8]) -> Result<Option<PinnedValue<'_>>, StorageError> {
        let db = self.databases.of(keyspace);
        let found = db.get_pinned_cf_opt(self.databases.handle(keyspace), key, &self.read_flushed);
        found
            .map(|value| value.map(|value| PinnedValue(Pinned::Rocks(value))))
            .map_err(|error| storage_error(&error))
    }

    fn flush(&self) -> Result<(), StorageError> {
        self.check_alive()?;
        let handles = Keyspace::STATE.map(|keyspace| self.databases.handle(keyspace));
        let mut options = FlushOptions::default();
        options.set_wait(true);
        self.databases.state.flush_cfs_opt(&handles, &options).map_err(|error| self.fail(&error))
    }

    fn unflushed_bytes(&self) -> u64 {
        let sizes =
            Keyspace::STATE.map(|keyspace| self.databases.property(keyspace, options::MEMTABLE_BYTES));
        sizes.iter().sum()
    }

    fn checkpoint(&self, parts: &[(Keyspace, Span)]) -> Result<Box<dyn Checkpoint>, StorageError> {
        check_state_parts(parts)?;
        Ok(Box::new(checkpoint::RocksCheckpoint::new(self.databases.clone(), parts)))
    }

    fn ingest(&self, ingest: Ingest) -> Result<(), StorageError> {
        self.write(&ingest.into_batch()?, Durability::Buffered)?;
        self.flush()
    }

    fn approximate_size(&self, keyspace: Keyspace, span: &Span) -> Result<u64, StorageError> {
        if span.is_empty() {
            return Ok(0);
        }
        let range = rocksdb::Range::new(&span.start, &span.end);
        let handle = self.databases.handle(keyspace);
        Ok(self.databases.of(keyspace).get_approximate_sizes_cf(handle, &[range]).iter().sum())
    }

    fn statistics(&self) -> EngineStatistics {
        let total =
            |name: &str| Keyspace::ALL.iter().map(|keyspace| self.databases.property(*keyspace, name)).sum();
        let files = self.databases.state.live_files().map_or(0, |files| files.len())
            + self.databases.log.live_files().map_or(0, |files| files.len());
        let level0 = Keyspace::STATE.map(|keyspace| self.databases.property(keyspace, options::LEVEL0_FILES));
        EngineStatistics {
            memtable_bytes: total(options::MEMTABLE_BYTES),
            file_bytes: total(options::FILE_BYTES),
            file_count: files as u64,
            cache_bytes: self.databases.property(Keyspace::Current, options::CACHE_BYTES),
            level0_file_count: level0.iter().sum(),
        }
    }

    fn free_bytes(&self) -> Option<u64> {
        self.folder.free_bytes()
    }
}

impl Drop for RocksEngine {
    fn drop(&mut self) {
        // RocksDB flushes unlogged data when it is closed; doing it here makes it independent of that. An error has
        // nowhere to go: what is lost will be replayed.
        let _ = self.flush();
    }
}
