//! The seam between what is stored and how: traits, and the rules that every engine keeps.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Deref;

use bytes::Bytes;
use keys::{Key, Span};

use crate::{Keyspace, Misuse, Side, StorageError, WriteBatch};

/// Memory taken ahead for a piece of a checkpoint, whatever size is asked for.
const CHUNK_RESERVE_MAX: usize = 1 << 20;

/// What must be on disk when a write returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Durability {
    /// The write has been synced. Log side only: a write to the state cannot be synced, it is flushed.
    Synced,
    /// Nothing yet. State side: lost in a crash unless flushed. Log side: it is in the write-ahead log, and becomes
    /// durable with the next synced write.
    Buffered,
}

/// Reads. Implemented by engines (every call sees the latest state) and by snapshots (all calls see one state).
pub trait Reader: Send + Sync {
    /// The value of a key.
    fn get(&self, keyspace: Keyspace, key: &[u8]) -> Result<Option<PinnedValue<'_>>, StorageError>;

    /// A cursor over a keyspace, positioned nowhere. It sees the state at the moment of this call, whatever is written later.
    fn cursor(
        &self,
        keyspace: Keyspace,
        options: CursorOptions<'_>,
    ) -> Result<Box<dyn Cursor + '_>, StorageError>;
}

/// What a cursor may see, and how it should behave.
#[derive(Debug, Clone, Copy, Default)]
pub struct CursorOptions<'a> {
    /// No key below this.
    pub lower: Option<&'a [u8]>,
    /// No key at or above this.
    pub upper: Option<&'a [u8]>,
    /// Reads much that will not be read again soon: leave the cache alone and read ahead.
    pub bulk: bool,
}

impl<'a> CursorOptions<'a> {
    /// Bounded to a span.
    pub fn span(span: &'a Span) -> CursorOptions<'a> {
        CursorOptions { lower: Some(&span.start), upper: Some(&span.end), bulk: false }
    }
}

/// A position in a keyspace. Every movement tells whether there is an entry at the new position.
///
/// - `key` and `value` may be called only at an entry; they panic elsewhere.
/// - `next` and `previous` may be called only at an entry. When they run off an end, only a seek brings the cursor back.
pub trait Cursor: Send {
    /// To the first entry at or above `key`.
    fn seek(&mut self, key: &[u8]) -> Result<bool, StorageError>;

    /// To the last entry strictly below `key`.
    fn seek_before(&mut self, key: &[u8]) -> Result<bool, StorageError>;

    /// To the first entry.
    fn seek_first(&mut self) -> Result<bool, StorageError>;

    /// To the last entry.
    fn seek_last(&mut self) -> Result<bool, StorageError>;

    /// To the following entry.
    fn next(&mut self) -> Result<bool, StorageError>;

    /// To the preceding entry.
    fn previous(&mut self) -> Result<bool, StorageError>;

    /// Whether there is an entry at the position.
    fn is_valid(&self) -> bool;

    /// The key at the position.
    fn key(&self) -> &[u8];

    /// The value at the position.
    fn value(&self) -> &[u8];
}

/// A store. A trait object: what is above does not care where the bytes are.
///
/// # Two sides
///
/// The *log* side ([`Keyspace::LOG`]) has a write-ahead log. The *state* side ([`Keyspace::STATE`]) has none. A batch
/// writes to one side only. Engines keep these rules, under crashes at any moment:
///
/// 1. A batch is applied whole or not at all.
/// 2. Log side: if a synced write is there after a crash, so is every write made before it.
/// 3. State side: what is there after a crash is the state after some prefix of the writes made, across all four
///    keyspaces together. The prefix contains at least what was written before the last [`Engine::flush`] that returned.
/// 4. [`Engine::flushed`] reads from such a durable prefix: what it returned once, no crash takes back.
///
/// A range's applied index is written in the same batch as the effects of the entries. By rule 3 the index that is found
/// after a crash is the index of the state that is found, and by rule 4 the log may be cut off up to the index that
/// [`Engine::flushed`] returns.
///
/// Writers of one range must be ordered by the caller. Any number of threads may read and write different ranges.
pub trait Engine: Reader + 'static {
    /// One state of both sides, unaffected by later writes, for as long as it is held. Hold it briefly: it keeps old values alive.
    /// For a single read it is not needed: read from the engine itself.
    fn snapshot(&self) -> Box<dyn Reader + '_>;

    /// Applies a batch.
    fn write(&self, batch: &WriteBatch, durability: Durability) -> Result<(), StorageError>;

    /// The value of a key of the state side as a crash right now would leave it, at the least: without what is
    /// still buffered. Used with a range's applied state, to know how far its log is no longer needed.
    fn flushed(&self, keyspace: Keyspace, key: &[u8]) -> Result<Option<PinnedValue<'_>>, StorageError>;

    /// Makes everything written to the state side so far durable. Expensive: at shutdown, after bootstrap, after receiving
    /// a snapshot, and when logs have grown large that cannot be cut off.
    fn flush(&self) -> Result<(), StorageError>;

    /// Bytes written to the state side since the last flush: what a crash would have to replay, roughly.
    fn unflushed_bytes(&self) -> u64;

    /// One state of parts of the state side, to be sent to another store.
    fn checkpoint(&self, parts: &[(Keyspace, Span)]) -> Result<Box<dyn Checkpoint>, StorageError>;

    /// Replaces parts of the state side by what a checkpoint of another store gave; durable when it returns, and atomic.
    fn ingest(&self, ingest: Ingest) -> Result<(), StorageError>;

    /// The approximate size of a part of a keyspace, in bytes on disk and in memory.
    fn approximate_size(&self, keyspace: Keyspace, span: &Span) -> Result<u64, StorageError>;

    /// Numbers for people and metrics.
    fn statistics(&self) -> EngineStatistics;

    /// Bytes that can still be written to the disk, as far as that is known. Asks the system: seldom.
    fn free_bytes(&self) -> Option<u64>;
}

/// What [`Engine::checkpoint`] gives: one state, read piece by piece.
pub trait Checkpoint: Send {
    /// The next piece, of about the given size, as a batch of puts; `None` at the end.
    fn next_chunk(&mut self, bytes: usize) -> Result<Option<WriteBatch>, StorageError>;

    /// Begins anew: with the same sizes asked for the same pieces follow.
    fn rewind(&mut self);
}

/// What [`Engine::ingest`] takes.
#[derive(Debug, Clone, Default)]
pub struct Ingest {
    /// The parts that are emptied first.
    pub replaced: Vec<(Keyspace, Span)>,
    /// The pieces of the checkpoint, in order.
    pub chunks: Vec<WriteBatch>,
    /// Written last, in the same atomic unit: the applied state that goes with the contents.
    pub last: WriteBatch,
}

/// Numbers for people and metrics, in bytes unless named otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EngineStatistics {
    /// Written but not in files yet.
    pub memtable_bytes: u64,
    /// In files.
    pub file_bytes: u64,
    /// Number of files.
    pub file_count: u64,
    /// In the block cache.
    pub cache_bytes: u64,
    /// Files at level 0 of the state, a sign of compaction falling behind.
    pub level0_file_count: u64,
}

/// A value that is kept in place as long as this is held: in the block cache, in a table, or owned.
pub struct PinnedValue<'a>(pub(crate) Pinned<'a>);

pub(crate) enum Pinned<'a> {
    Shared(Bytes),
    #[cfg(feature = "rocks")]
    Rocks(rocksdb::DBPinnableSlice<'a>),
    #[cfg(not(feature = "rocks"))]
    #[allow(dead_code)]
    Borrowed(&'a [u8]),
}

impl Deref for PinnedValue<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Pinned::Shared(bytes) => bytes,
            #[cfg(feature = "rocks")]
            Pinned::Rocks(slice) => slice,
            #[cfg(not(feature = "rocks"))]
            Pinned::Borrowed(slice) => slice,
        }
    }
}

impl fmt::Debug for PinnedValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl Ingest {
    /// Everything as one batch of the state side.
    pub(crate) fn into_batch(self) -> Result<WriteBatch, StorageError> {
        check_state_parts(&self.replaced)?;
        let bytes = self.chunks.iter().map(WriteBatch::byte_size).sum::<usize>() + self.last.byte_size();
        let mut batch = WriteBatch::with_capacity(bytes + 128);
        for (keyspace, span) in &self.replaced {
            batch.delete_range(*keyspace, span);
        }
        for chunk in self.chunks.iter().chain([&self.last]) {
            batch.append(chunk);
        }
        match batch.side()? {
            Some(Side::Log) => Err(StorageError::Misuse(Misuse::SnapshotOf(Side::Log))),
            _ => Ok(batch),
        }
    }
}

/// Refuses parts of the log side.
pub(crate) fn check_state_parts(parts: &[(Keyspace, Span)]) -> Result<(), StorageError> {
    match parts.iter().find(|(keyspace, _)| keyspace.side() == Side::Log) {
        Some(_) => Err(StorageError::Misuse(Misuse::SnapshotOf(Side::Log))),
        None => Ok(()),
    }
}

/// Takes about `bytes` from the front of `parts`, which are shortened accordingly.
pub(crate) fn fill_chunk(
    reader: &dyn Reader,
    parts: &mut VecDeque<(Keyspace, Span)>,
    bytes: usize,
) -> Result<Option<WriteBatch>, StorageError> {
    let mut batch = WriteBatch::with_capacity(bytes.min(CHUNK_RESERVE_MAX));
    while let Some((keyspace, span)) = parts.front_mut() {
        let mut cursor =
            reader.cursor(*keyspace, CursorOptions { bulk: true, ..CursorOptions::span(span) })?;
        let mut found = cursor.seek_first()?;
        while found && (batch.is_empty() || batch.byte_size() < bytes) {
            batch.put(*keyspace, cursor.key(), cursor.value());
            found = cursor.next()?;
        }
        if found {
            let resume = Key::copy_from(cursor.key());
            drop(cursor);
            span.start = resume;
            break;
        }
        drop(cursor);
        parts.pop_front();
    }
    Ok(if batch.is_empty() { None } else { Some(batch) })
}
