//! A state machine that remembers every command, an engine that counts, and stores on simulated machines.

#![allow(dead_code)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use env::{BoxFuture, Env};
use keys::{RangeId, ReplicaId, Span, StoreId, local};
use parking_lot::Mutex;
use raft::Position;
use replication::{
    ApplyEffect, ApplyError, Awaited, Committed, Leadership, NewRange, NoTransport, OpenError, RaftBatch,
    RaftTransport, RangeChange, ReceivedSnapshot, SendError, SnapshotStream, StateMachine, Store,
    StoreOptions, StoreWorld, configuration_of,
};
use storage::{
    Checkpoint, Cursor, CursorOptions, Durability, Engine, EngineStatistics, Ingest, Keyspace, PinnedValue,
    Reader, StorageError, WriteBatch,
};

/// Keeps all commands of a range in order, each under its number. A command that is applied twice, or not at all, shows.
///
/// `split N` begins range N with the same replicas; `destroy N` ends it; `absorb N INDEX TERM` ends it once it has applied the entry
/// there, and notes how many commands it had; `bad` cannot be applied.
pub struct Journal {
    engine: Arc<dyn Engine>,
    replica: ReplicaId,
    voters: Vec<ReplicaId>,
    counts: Mutex<BTreeMap<RangeId, u64>>,
    /// Ranges whose splits were applied by this process.
    born: Mutex<Vec<RangeId>>,
    pub leaderships: Mutex<Vec<(RangeId, Leadership)>>,
}

impl Journal {
    pub fn new(engine: Arc<dyn Engine>, replica: ReplicaId, voters: Vec<ReplicaId>) -> Arc<Journal> {
        Arc::new(Journal {
            engine,
            replica,
            voters,
            counts: Mutex::new(BTreeMap::new()),
            born: Mutex::new(Vec::new()),
            leaderships: Mutex::new(Vec::new()),
        })
    }

    pub fn new_range(&self, range: RangeId) -> NewRange {
        NewRange {
            range,
            replica: self.replica,
            configuration: configuration_of(self.voters.iter().copied()),
        }
    }

    /// Every command of a range that is in the engine.
    pub fn history(&self, range: RangeId) -> Vec<String> {
        let span = part(range);
        let mut cursor =
            self.engine.cursor(Keyspace::Current, CursorOptions::span(&span)).expect("memory can be read");
        let mut commands = Vec::new();
        let mut found = cursor.seek(&span.start).expect("memory can be read");
        while found {
            assert_eq!(cursor.key(), key(range, commands.len() as u64), "no command is missing");
            commands.push(String::from_utf8(cursor.value().to_vec()).expect("commands are text"));
            found = cursor.next().expect("memory can be read");
        }
        commands
    }
}

fn part(range: RangeId) -> Span {
    Span::prefix([b"j".as_slice(), &range.get().to_be_bytes()].concat())
}

fn key(range: RangeId, number: u64) -> Vec<u8> {
    [b"j".as_slice(), &range.get().to_be_bytes(), &number.to_be_bytes()].concat()
}

/// What a command is to absorb.
fn absorbed(text: &str) -> Option<Awaited> {
    let numbers = text.strip_prefix("absorb ")?.split(':').next()?;
    let numbers: Vec<u64> = numbers.split(' ').filter_map(|number| number.parse().ok()).collect();
    let [range, index, term] = numbers[..] else { return None };
    Some(Awaited {
        range: RangeId(range),
        upto: Position { index: raft::Index(index), term: raft::Term(term) },
    })
}

impl StateMachine for Journal {
    fn apply(
        &self,
        range: RangeId,
        command: &Committed,
        batch: &mut WriteBatch,
    ) -> Result<ApplyEffect, ApplyError> {
        let text =
            String::from_utf8(command.command.to_vec()).map_err(|error| ApplyError(error.to_string()))?;
        if text == "bad" {
            return Err(ApplyError("a bad command".to_string()));
        }
        let text = match absorbed(&text) {
            Some(awaited) => format!("{text}: {}", self.history(awaited.range).len()),
            None => text,
        };
        let mut counts = self.counts.lock();
        let count = counts.entry(range).or_insert_with(|| self.history(range).len() as u64);
        batch.put(Keyspace::Current, &key(range, *count), text.as_bytes());
        *count += 1;
        let answer = Bytes::from(format!("{range}:{count}"));
        let change = match text.split_once(' ') {
            Some(("split", number)) => {
                let new = RangeId(number.parse().expect("the tests write numbers"));
                batch.put(Keyspace::Current, &key(new, 0), format!("born of {range}").as_bytes());
                self.born.lock().push(new);
                Some(RangeChange::Split(self.new_range(new)))
            }
            Some(("destroy", number)) => {
                let old = RangeId(number.parse().expect("the tests write numbers"));
                batch.delete_range(Keyspace::Current, &part(old));
                Some(RangeChange::Destroy(old))
            }
            Some(("absorb", _)) => absorbed(&text).map(|awaited| RangeChange::Merge(awaited.range)),
            Some(("veto", _)) => Some(RangeChange::Veto),
            _ => None,
        };
        Ok(ApplyEffect { answer, change })
    }

    fn awaits(&self, _: RangeId, _: Position, command: &[u8]) -> Option<Awaited> {
        absorbed(std::str::from_utf8(command).ok()?)
    }

    fn applied(&self, range: RangeId, _upto: Position, effects: &[ApplyEffect]) {
        if effects.is_empty() {
            // Perhaps a snapshot: count again.
            self.counts.lock().remove(&range);
        }
    }

    fn leadership_changed(&self, range: RangeId, leadership: Leadership) {
        self.leaderships.lock().push((range, leadership));
    }

    fn snapshot_parts(&self, range: RangeId) -> Vec<(Keyspace, Span)> {
        vec![(Keyspace::Current, part(range)), (Keyspace::RangeLocal, local::range_span(range))]
    }

    fn store_of(&self, _range: RangeId, replica: ReplicaId) -> Option<StoreId> {
        Some(StoreId(replica.get()))
    }

    /// The place of a right half is its parent's until that is known here to have been split; and if this process has applied the split, it
    /// is the right half's own.
    fn begin_snapshot(
        &self,
        range: RangeId,
        _: &[(Keyspace, Span)],
        is_first: bool,
        _: &[WriteBatch],
    ) -> Result<Vec<RangeId>, SendError> {
        if !is_first || range == RangeId(1) {
            return Ok(Vec::new());
        }
        let split = format!("split {}", range.get());
        let is_split = (1..range.get()).any(|parent| self.history(RangeId(parent)).contains(&split));
        if is_split && !self.born.lock().contains(&range) {
            return Ok(Vec::new());
        }
        Err(SendError("its place is taken".to_string()))
    }
}

/// An engine that counts its writes.
pub struct CountingEngine {
    inner: Arc<dyn Engine>,
    pub syncs: AtomicUsize,
    pub state_writes: AtomicUsize,
}

impl CountingEngine {
    pub fn new(inner: Arc<dyn Engine>) -> Arc<CountingEngine> {
        Arc::new(CountingEngine { inner, syncs: AtomicUsize::new(0), state_writes: AtomicUsize::new(0) })
    }
}

impl Reader for CountingEngine {
    fn get(&self, keyspace: Keyspace, key: &[u8]) -> Result<Option<PinnedValue<'_>>, StorageError> {
        self.inner.get(keyspace, key)
    }

    fn cursor(
        &self,
        keyspace: Keyspace,
        options: CursorOptions<'_>,
    ) -> Result<Box<dyn Cursor + '_>, StorageError> {
        self.inner.cursor(keyspace, options)
    }
}

impl Engine for CountingEngine {
    fn snapshot(&self) -> Box<dyn Reader + '_> {
        self.inner.snapshot()
    }

    fn write(&self, batch: &WriteBatch, durability: Durability) -> Result<(), StorageError> {
        match durability {
            Durability::Synced => self.syncs.fetch_add(1, Ordering::Relaxed),
            Durability::Buffered => self.state_writes.fetch_add(1, Ordering::Relaxed),
        };
        self.inner.write(batch, durability)
    }

    fn flushed(&self, keyspace: Keyspace, key: &[u8]) -> Result<Option<PinnedValue<'_>>, StorageError> {
        self.inner.flushed(keyspace, key)
    }

    fn flush(&self) -> Result<(), StorageError> {
        self.inner.flush()
    }

    fn unflushed_bytes(&self) -> u64 {
        self.inner.unflushed_bytes()
    }

    fn checkpoint(&self, parts: &[(Keyspace, Span)]) -> Result<Box<dyn Checkpoint>, StorageError> {
        self.inner.checkpoint(parts)
    }

    fn ingest(&self, ingest: Ingest) -> Result<(), StorageError> {
        self.inner.ingest(ingest)
    }

    fn approximate_size(&self, keyspace: Keyspace, span: &Span) -> Result<u64, StorageError> {
        self.inner.approximate_size(keyspace, span)
    }

    fn statistics(&self) -> EngineStatistics {
        self.inner.statistics()
    }
    fn free_bytes(&self) -> Option<u64> {
        self.inner.free_bytes()
    }
}

/// A store of one replica per range, on any world.
pub struct Node {
    pub store: Store,
    pub journal: Arc<Journal>,
}

/// Opens a store that is alone. The first time it makes range 1.
pub fn open_alone(
    env: Arc<dyn Env>,
    engine: Arc<dyn Engine>,
    options: StoreOptions,
) -> Result<Node, OpenError> {
    let replica = ReplicaId(1);
    let journal = Journal::new(Arc::clone(&engine), replica, vec![replica]);
    let machine: Arc<dyn StateMachine> = journal.clone();
    let world = StoreWorld { store: StoreId(1), env, engine, machine, transport: Arc::new(NoTransport) };
    let store = Store::open(world, options)?;
    store.start();
    if store.ranges().is_empty() && store.pending_ranges().is_empty() {
        store.create(&[journal.new_range(RangeId(1))], WriteBatch::new())?;
    }
    Ok(Node { store, journal })
}

pub fn text(text: impl Into<String>) -> Bytes {
    Bytes::from(text.into())
}

/// A network between stores in one process. Loses what it is told to, delays by a drawn time, so that messages overtake.
pub struct Network {
    pub env: Arc<dyn Env>,
    pub stores: Mutex<BTreeMap<StoreId, Store>>,
    pub cut: Mutex<Vec<StoreId>>,
    /// Who takes no messages for which range.
    pub deaf: Mutex<Vec<(StoreId, RangeId)>>,
    pub snapshots: AtomicUsize,
    /// Snapshots under way, and the most of them at one time.
    under_way: AtomicUsize,
    pub under_way_max: AtomicUsize,
    /// Every snapshot is refused.
    pub refuses_snapshots: AtomicBool,
}

impl Network {
    pub fn new(env: Arc<dyn Env>) -> Arc<Network> {
        Arc::new(Network {
            env,
            stores: Mutex::new(BTreeMap::new()),
            cut: Mutex::new(Vec::new()),
            deaf: Mutex::new(Vec::new()),
            snapshots: AtomicUsize::new(0),
            under_way: AtomicUsize::new(0),
            under_way_max: AtomicUsize::new(0),
            refuses_snapshots: AtomicBool::new(false),
        })
    }

    fn reach(&self, from: StoreId, to: StoreId) -> Option<Store> {
        let cut = self.cut.lock();
        if cut.contains(&from) || cut.contains(&to) {
            return None;
        }
        self.stores.lock().get(&to).cloned()
    }
}

/// One store's end of a [`Network`].
pub struct Link {
    pub network: Arc<Network>,
    pub own: StoreId,
}

impl RaftTransport for Link {
    fn send(&self, to: StoreId, mut batch: RaftBatch) {
        let (network, own) = (Arc::clone(&self.network), self.own);
        let deaf = network.deaf.lock().clone();
        batch.envelopes.retain(|envelope| !deaf.contains(&(to, envelope.range)));
        let delay = Duration::from_micros(100 + network.env.entropy() % 2_000);
        let lost = network.env.entropy() % 50 == 0;
        let env = Arc::clone(&network.env);
        let task = async move {
            network.env.sleep(delay).await;
            if !lost && let Some(store) = network.reach(own, to) {
                store.receive(batch);
            }
        };
        drop(env.spawn("network", Box::pin(task)));
    }

    fn send_snapshot(
        &self,
        to: StoreId,
        snapshot: SnapshotStream,
    ) -> BoxFuture<'static, Result<(), SendError>> {
        let (network, own) = (Arc::clone(&self.network), self.own);
        Box::pin(async move {
            network.snapshots.fetch_add(1, Ordering::Relaxed);
            let under_way = network.under_way.fetch_add(1, Ordering::Relaxed) + 1;
            network.under_way_max.fetch_max(under_way, Ordering::Relaxed);
            let SnapshotStream { range, from, stamp, message, parts, mut checkpoint } = snapshot;
            let mut chunks = Vec::new();
            while let Some(chunk) = checkpoint.next_chunk(64).map_err(|error| SendError(error.to_string()))? {
                chunks.push(chunk);
                network.env.sleep(Duration::from_micros(200)).await;
            }
            network.under_way.fetch_sub(1, Ordering::Relaxed);
            if network.refuses_snapshots.load(Ordering::Relaxed) {
                return Err(SendError("it has enough to do".to_string()));
            }
            if network.deaf.lock().contains(&(to, range)) {
                return Err(SendError("it does not listen".to_string()));
            }
            let store = network.reach(own, to).ok_or_else(|| SendError("unreachable".to_string()))?;
            store.receive_snapshot(ReceivedSnapshot { range, from, stamp, message, parts, chunks })
        })
    }
}
