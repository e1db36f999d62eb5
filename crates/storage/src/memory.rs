//! An engine in memory, and the disk that it pretends to be on.
//!
//! For deterministic simulation and for tests. It keeps the rules of [`Engine`] as strictly as a real disk, and no more: what
//! was not flushed or synced can be taken away by [`MemoryDisk::crash`].
//!
//! # How
//!
//! Every keyspace is a persistent (structurally shared) red-black tree, so that a copy of the whole store is six reference
//! counts. A snapshot is a copy. Each side keeps, besides the live copy, the one that is durable and the ones after
//! each write since: a crash puts back any of them, which are exactly the prefixes that rule 2 and rule 3 of [`Engine`] allow.
//!
//! ```text
//!            durable        buffered writes             live
//!   log    ----[M3]----[M4]----[M5]----[M6]  ==  [M6]
//!   state  ----[M1]----[M2] ... [M6]         ==  [M6]
//!                 ^ crash() goes back to one of these, each side on its own
//! ```
//!
//! # Disk and engine
//!
//! The disk outlives the process. A [`MemoryEngine`] is one opening of it: a second one is refused, and after a crash
//! the engine that was open is dead: what tasks of the crashed process still try to write goes nowhere.

use std::collections::VecDeque;
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use keys::Span;
use parking_lot::RwLock;
use rpds::RedBlackTreeMapSync;

use crate::engine::Pinned;
use crate::{
    Checkpoint, Cursor, CursorOptions, Durability, Engine, EngineStatistics, Ingest, Keyspace, Misuse,
    Operation, PinnedValue, Reader, Side, StorageError, WriteBatch,
};

type Map = RedBlackTreeMapSync<Bytes, Bytes>;

/// How many buffered writes a side can give up one by one; older ones are lost or kept together with their successors.
const PENDING_COUNT_MAX: usize = 64;

/// One state of all keyspaces; cheap to copy.
#[derive(Clone)]
struct Maps([Map; Keyspace::COUNT]);

impl Maps {
    fn new() -> Maps {
        Maps(std::array::from_fn(|_| Map::new_sync()))
    }

    fn get(&self, keyspace: Keyspace) -> &Map {
        &self.0[keyspace.index()]
    }

    fn apply(&mut self, operation: Operation<'_>) -> u64 {
        let map = &mut self.0[operation.keyspace().index()];
        match operation {
            Operation::Put(_, key, value) => {
                map.insert_mut(Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
                (key.len() + value.len()) as u64
            }
            Operation::Delete(_, key) => {
                map.remove_mut(key);
                key.len() as u64
            }
            Operation::DeleteRange(_, start, end) => {
                if start < end {
                    let bounds = (Bound::Included(start), Bound::Excluded(end));
                    let doomed: Vec<Bytes> =
                        map.range::<[u8], _>(bounds).map(|(key, _)| key.clone()).collect();
                    for key in doomed {
                        map.remove_mut(&key[..]);
                    }
                }
                (start.len() + end.len()) as u64
            }
        }
    }
}

/// The states that one side can be found in after a crash.
///
/// - `pending` holds the state after each write since `durable`, oldest first, the last being the live one; bounded.
struct History {
    durable: Maps,
    pending: VecDeque<Maps>,
    pending_bytes: u64,
}

impl History {
    fn new() -> History {
        History { durable: Maps::new(), pending: VecDeque::new(), pending_bytes: 0 }
    }

    fn record(&mut self, live: &Maps, bytes: u64, durable: bool) {
        if durable {
            self.durable = live.clone();
            self.pending.clear();
            self.pending_bytes = 0;
        } else {
            if self.pending.len() == PENDING_COUNT_MAX {
                self.pending.pop_front();
            }
            self.pending.push_back(live.clone());
            self.pending_bytes += bytes;
        }
    }

    /// What is there after a crash that lets the given number of pending states pass.
    fn survivor(&self, kept: usize) -> &Maps {
        match kept.min(self.pending.len()) {
            0 => &self.durable,
            kept => &self.pending[kept - 1],
        }
    }
}

struct DiskState {
    live: Maps,
    state: History,
    log: History,
    /// Counts openings and crashes: an engine of an older generation is dead.
    generation: u64,
    open: bool,
    full: bool,
}

/// What a [`MemoryEngine`] stores to. Outlives it as a disk outlives a process.
#[derive(Clone)]
pub struct MemoryDisk(Arc<RwLock<DiskState>>);

/// How an opening of a [`MemoryDisk`] behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryOptions {
    /// The state side is flushed when this many bytes are buffered, as a real engine does when its memtables are full.
    pub flush_bytes: u64,
    /// The disk says that a write is synced and has only buffered it: to see that a simulation notices.
    pub lies: bool,
}

impl Default for MemoryOptions {
    fn default() -> MemoryOptions {
        MemoryOptions { flush_bytes: 4 << 20, lies: false }
    }
}

impl Default for MemoryDisk {
    fn default() -> MemoryDisk {
        MemoryDisk::new()
    }
}

impl MemoryDisk {
    /// An empty disk.
    pub fn new() -> MemoryDisk {
        MemoryDisk(Arc::new(RwLock::new(DiskState {
            live: Maps::new(),
            state: History::new(),
            log: History::new(),
            generation: 0,
            open: false,
            full: false,
        })))
    }

    /// Opens the disk. Refused while another engine has it open.
    pub fn open(&self, options: MemoryOptions) -> Result<Arc<MemoryEngine>, StorageError> {
        let mut disk = self.0.write();
        if disk.open {
            return Err(StorageError::Locked { path: PathBuf::from("memory") });
        }
        disk.open = true;
        disk.generation += 1;
        let generation = disk.generation;
        Ok(Arc::new(MemoryEngine { disk: self.0.clone(), options, generation }))
    }

    /// How many buffered writes each side could lose one by one: (log, state).
    pub fn pending_counts(&self) -> (usize, usize) {
        let disk = self.0.read();
        (disk.log.pending.len(), disk.state.pending.len())
    }

    /// The process dies and the machine loses power. Of the writes that were only buffered, the first `log_kept` of the log
    /// side and the first `state_kept` of the state side (of those counted by [`MemoryDisk::pending_counts`]) happen to be on disk.
    pub fn crash(&self, log_kept: usize, state_kept: usize) {
        let mut disk = self.0.write();
        let log = disk.log.survivor(log_kept).clone();
        let state = disk.state.survivor(state_kept).clone();
        for keyspace in Keyspace::ALL {
            let survivor = if keyspace.side() == Side::Log { &log } else { &state };
            disk.live.0[keyspace.index()] = survivor.get(keyspace).clone();
        }
        let live = disk.live.clone();
        disk.log.record(&live, 0, true);
        disk.state.record(&live, 0, true);
        disk.generation += 1;
        disk.open = false;
    }

    /// From now on every write fails, or works again: a full disk.
    pub fn set_full(&self, full: bool) {
        self.0.write().full = full;
    }
}

/// One opening of a [`MemoryDisk`].
///
/// - Dropped without a crash, it leaves everything durable, as a store that is closed in order does.
pub struct MemoryEngine {
    disk: Arc<RwLock<DiskState>>,
    options: MemoryOptions,
    generation: u64,
}

impl MemoryEngine {
    /// An engine on an empty disk of its own, for tests that need no crash.
    pub fn new() -> Arc<MemoryEngine> {
        MemoryDisk::new().open(MemoryOptions::default()).expect("a new disk is not open")
    }

    fn maps(&self) -> Maps {
        self.disk.read().live.clone()
    }

    fn check_alive(&self, disk: &DiskState) -> Result<(), StorageError> {
        if disk.generation != self.generation {
            return Err(StorageError::Poisoned("the process has crashed".to_string()));
        }
        if disk.full {
            return Err(StorageError::Io("no space left on device".to_string()));
        }
        Ok(())
    }

    fn write_state(
        &self,
        disk: &mut DiskState,
        operations: &mut dyn Iterator<Item = Operation<'_>>,
        durable: bool,
    ) {
        let bytes = operations.map(|operation| disk.live.apply(operation)).sum::<u64>();
        let DiskState { live, state, .. } = disk;
        let flush = durable || state.pending_bytes + bytes >= self.options.flush_bytes;
        state.record(live, bytes, flush);
    }
}

impl Drop for MemoryEngine {
    fn drop(&mut self) {
        let mut disk = self.disk.write();
        if disk.generation == self.generation {
            let live = disk.live.clone();
            disk.log.record(&live, 0, true);
            disk.state.record(&live, 0, true);
            disk.open = false;
        }
    }
}

impl Reader for MemoryEngine {
    fn get(&self, keyspace: Keyspace, key: &[u8]) -> Result<Option<PinnedValue<'_>>, StorageError> {
        let disk = self.disk.read();
        Ok(disk.live.get(keyspace).get(key).map(|value| PinnedValue(Pinned::Shared(value.clone()))))
    }

    fn cursor(
        &self,
        keyspace: Keyspace,
        options: CursorOptions<'_>,
    ) -> Result<Box<dyn Cursor + '_>, StorageError> {
        let map = self.disk.read().live.get(keyspace).clone();
        Ok(Box::new(MemoryCursor::new(map, options)))
    }
}

impl Engine for MemoryEngine {
    fn snapshot(&self) -> Box<dyn Reader + '_> {
        Box::new(self.maps())
    }

    fn write(&self, batch: &WriteBatch, durability: Durability) -> Result<(), StorageError> {
        let Some(side) = batch.side()? else { return Ok(()) };
        let mut disk = self.disk.write();
        self.check_alive(&disk)?;
        match (side, durability) {
            (Side::State, Durability::Synced) => return Err(StorageError::Misuse(Misuse::SyncedState)),
            (Side::State, Durability::Buffered) => self.write_state(&mut disk, &mut batch.iter(), false),
            (Side::Log, durability) => {
                let DiskState { live, log, .. } = &mut *disk;
                let bytes = batch.iter().map(|operation| live.apply(operation)).sum::<u64>();
                log.record(live, bytes, durability == Durability::Synced && !self.options.lies);
            }
        }
        Ok(())
    }

    fn flushed(&self, keyspace: Keyspace, key: &[u8]) -> Result<Option<PinnedValue<'_>>, StorageError> {
        let disk = self.disk.read();
        Ok(disk.state.durable.get(keyspace).get(key).map(|value| PinnedValue(Pinned::Shared(value.clone()))))
    }

    fn flush(&self) -> Result<(), StorageError> {
        let mut disk = self.disk.write();
        self.check_alive(&disk)?;
        let DiskState { live, state, .. } = &mut *disk;
        state.record(live, 0, true);
        Ok(())
    }

    fn unflushed_bytes(&self) -> u64 {
        self.disk.read().state.pending_bytes
    }

    fn checkpoint(&self, parts: &[(Keyspace, Span)]) -> Result<Box<dyn Checkpoint>, StorageError> {
        crate::engine::check_state_parts(parts)?;
        let whole: VecDeque<_> = parts.iter().cloned().collect();
        Ok(Box::new(MemoryCheckpoint { maps: self.maps(), parts: whole.clone(), whole }))
    }

    fn ingest(&self, ingest: Ingest) -> Result<(), StorageError> {
        let batch = ingest.into_batch()?;
        let mut disk = self.disk.write();
        self.check_alive(&disk)?;
        self.write_state(&mut disk, &mut batch.iter(), true);
        Ok(())
    }

    fn approximate_size(&self, keyspace: Keyspace, span: &Span) -> Result<u64, StorageError> {
        if span.is_empty() {
            return Ok(0);
        }
        let map = self.disk.read().live.get(keyspace).clone();
        let bounds = (Bound::Included(&span.start[..]), Bound::Excluded(&span.end[..]));
        Ok(map.range::<[u8], _>(bounds).map(|(key, value)| (key.len() + value.len()) as u64).sum())
    }

    fn statistics(&self) -> EngineStatistics {
        EngineStatistics { memtable_bytes: self.unflushed_bytes(), ..EngineStatistics::default() }
    }

    fn free_bytes(&self) -> Option<u64> {
        None
    }
}

/// A snapshot.
impl Reader for Maps {
    fn get(&self, keyspace: Keyspace, key: &[u8]) -> Result<Option<PinnedValue<'_>>, StorageError> {
        Ok(Maps::get(self, keyspace).get(key).map(|value| PinnedValue(Pinned::Shared(value.clone()))))
    }

    fn cursor(
        &self,
        keyspace: Keyspace,
        options: CursorOptions<'_>,
    ) -> Result<Box<dyn Cursor + '_>, StorageError> {
        Ok(Box::new(MemoryCursor::new(Maps::get(self, keyspace).clone(), options)))
    }
}

/// Entries that a cursor on its way looks ahead, at most.
const AHEAD_MAX: usize = 32;

/// A cursor that is free of borrows from the tree: it finds its place anew, logarithmically, and takes the next entries along, the
/// more of them the farther it has gone in one direction.
///
/// - `ahead` holds the entries that follow `entry` in the direction of `backward`, without a gap. The tree does not change.
struct MemoryCursor {
    map: Map,
    lower: Bound<Bytes>,
    upper: Bound<Bytes>,
    entry: Option<(Bytes, Bytes)>,
    ahead: VecDeque<(Bytes, Bytes)>,
    backward: bool,
    steps: usize,
}

impl MemoryCursor {
    fn new(map: Map, options: CursorOptions<'_>) -> MemoryCursor {
        let lower =
            options.lower.map_or(Bound::Unbounded, |key| Bound::Included(Bytes::copy_from_slice(key)));
        let upper =
            options.upper.map_or(Bound::Unbounded, |key| Bound::Excluded(Bytes::copy_from_slice(key)));
        let ahead = VecDeque::new();
        MemoryCursor { map, lower, upper, entry: None, ahead, backward: false, steps: 0 }
    }

    /// One entry on from the present one.
    fn step(&mut self, backward: bool) -> bool {
        if self.backward != backward {
            self.ahead.clear();
            (self.backward, self.steps) = (backward, 0);
        }
        if self.ahead.is_empty() {
            self.steps = (2 * self.steps).clamp(1, AHEAD_MAX);
            let key = self.current().0.clone();
            let (lower, upper) = match backward {
                true => (as_slice(&self.lower), Bound::Excluded(&key[..])),
                false => (Bound::Excluded(&key[..]), as_slice(&self.upper)),
            };
            if !is_crossed(lower, upper) {
                let cloned = |(key, value): (&Bytes, &Bytes)| (key.clone(), value.clone());
                let range = self.map.range::<[u8], _>((lower, upper));
                match backward {
                    true => self.ahead.extend(range.rev().take(self.steps).map(cloned)),
                    false => self.ahead.extend(range.take(self.steps).map(cloned)),
                }
            }
        }
        self.entry = self.ahead.pop_front();
        self.entry.is_some()
    }

    /// To the first (or last) entry inside both the cursor's and the given bounds.
    fn find(&mut self, lower: Bound<&[u8]>, upper: Bound<&[u8]>, last: bool) -> bool {
        self.ahead.clear();
        self.steps = 0;
        let lower = tighter(lower, as_slice(&self.lower), |a, b| a > b);
        let upper = tighter(upper, as_slice(&self.upper), |a, b| a < b);
        // The tree panics on bounds that cross; for us they contain nothing.
        self.entry = if is_crossed(lower, upper) {
            None
        } else {
            let mut range = self.map.range::<[u8], _>((lower, upper));
            let found = if last { range.next_back() } else { range.next() };
            found.map(|(key, value)| (key.clone(), value.clone()))
        };
        self.entry.is_some()
    }

    fn current(&self) -> &(Bytes, Bytes) {
        self.entry.as_ref().expect("the cursor is at an entry")
    }
}

fn as_slice(bound: &Bound<Bytes>) -> Bound<&[u8]> {
    match bound {
        Bound::Included(key) => Bound::Included(key),
        Bound::Excluded(key) => Bound::Excluded(key),
        Bound::Unbounded => Bound::Unbounded,
    }
}

/// The bound that admits less. Bounds of the cursor (`b`) win ties only where both mean the same.
fn tighter<'a>(a: Bound<&'a [u8]>, b: Bound<&'a [u8]>, beyond: fn(&[u8], &[u8]) -> bool) -> Bound<&'a [u8]> {
    match (a, b) {
        (Bound::Unbounded, other) | (other, Bound::Unbounded) => other,
        (Bound::Excluded(x), Bound::Included(y)) => {
            if x == y || beyond(x, y) {
                a
            } else {
                b
            }
        }
        (Bound::Included(x), Bound::Excluded(y)) => {
            if x != y && beyond(x, y) {
                a
            } else {
                b
            }
        }
        (Bound::Included(x), Bound::Included(y)) | (Bound::Excluded(x), Bound::Excluded(y)) => {
            if beyond(x, y) { a } else { b }
        }
    }
}

fn is_crossed(lower: Bound<&[u8]>, upper: Bound<&[u8]>) -> bool {
    match (lower, upper) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(x), Bound::Included(y)) => x > y,
        (Bound::Included(x) | Bound::Excluded(x), Bound::Included(y) | Bound::Excluded(y)) => x >= y,
    }
}

impl Cursor for MemoryCursor {
    fn seek(&mut self, key: &[u8]) -> Result<bool, StorageError> {
        Ok(self.find(Bound::Included(key), Bound::Unbounded, false))
    }

    fn seek_before(&mut self, key: &[u8]) -> Result<bool, StorageError> {
        Ok(self.find(Bound::Unbounded, Bound::Excluded(key), true))
    }

    fn seek_first(&mut self) -> Result<bool, StorageError> {
        Ok(self.find(Bound::Unbounded, Bound::Unbounded, false))
    }

    fn seek_last(&mut self) -> Result<bool, StorageError> {
        Ok(self.find(Bound::Unbounded, Bound::Unbounded, true))
    }

    fn next(&mut self) -> Result<bool, StorageError> {
        Ok(self.step(false))
    }

    fn previous(&mut self) -> Result<bool, StorageError> {
        Ok(self.step(true))
    }

    fn is_valid(&self) -> bool {
        self.entry.is_some()
    }

    fn key(&self) -> &[u8] {
        &self.current().0
    }

    fn value(&self) -> &[u8] {
        &self.current().1
    }
}

struct MemoryCheckpoint {
    maps: Maps,
    whole: VecDeque<(Keyspace, Span)>,
    /// What is left of it.
    parts: VecDeque<(Keyspace, Span)>,
}

impl Checkpoint for MemoryCheckpoint {
    fn next_chunk(&mut self, bytes: usize) -> Result<Option<WriteBatch>, StorageError> {
        crate::engine::fill_chunk(&self.maps, &mut self.parts, bytes)
    }

    fn rewind(&mut self) {
        self.parts.clone_from(&self.whole);
    }
}
