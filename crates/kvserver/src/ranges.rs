//! The ranges of a store, as the applier and the evaluators share them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use clock::Clock;
use env::Env;
use keys::{RangeId, Span, StoreId};
use kvapi::{KvError, RangeDescriptor};
use parking_lot::{Mutex, RwLock};
use replication::Leadership;
use stdx::Histogram;
use storage::Engine;

use crate::closed::Closed;
use crate::contention::ContentionLog;
use crate::events::Events;
use crate::liveness::Liveness;
use crate::replica::Replica;
use crate::store::StoreConfig;
use crate::tuning::Tuning;
use crate::wait::WaitRoom;

/// Descriptors told with a mismatch.
const HINTS_MAX: usize = 4;

/// Reads that came to a replica without the lease, and are old enough for it.
#[derive(Default)]
pub(crate) struct FollowerReads {
    pub served: AtomicU64,
    pub refused: AtomicU64,
}

/// What the state machine, the evaluators and the queues of a store share.
pub(crate) struct Ranges {
    pub config: StoreConfig,
    /// What of `config` may have changed since.
    pub tuning: Tuning,
    pub env: Arc<dyn Env>,
    pub clock: Arc<Clock>,
    pub engine: Arc<dyn Engine>,
    pub room: WaitRoom,
    pub contention: ContentionLog,
    /// From a proposal to its effect here.
    pub replicate_times: Histogram,
    /// Waits for locks, however they ended.
    pub lock_wait_times: Histogram,
    pub liveness: Liveness,
    pub closed: Closed,
    pub follower_reads: FollowerReads,
    /// Only this node is known: observations of its clock tell everything.
    pub is_alone: AtomicBool,
    /// Where snapshots are on their way to. Lock order: leaf, and before a range's state.
    arriving: Mutex<BTreeMap<RangeId, Span>>,
    map: RwLock<BTreeMap<RangeId, Arc<Replica>>>,
    /// Leadership told before the range was known. Lock order: leaf.
    early: Mutex<BTreeMap<RangeId, Leadership>>,
    pub events: Events,
}

impl Ranges {
    /// `is_used`: the store has had ranges before.
    pub fn new(
        config: StoreConfig,
        env: Arc<dyn Env>,
        clock: Arc<Clock>,
        engine: Arc<dyn Engine>,
        is_used: bool,
    ) -> Arc<Ranges> {
        let liveness = Liveness::new(clock.clone(), is_used);
        Arc::new(Ranges {
            tuning: Tuning::new(&config),
            config,
            env,
            closed: Closed::new(liveness.incarnation()),
            follower_reads: FollowerReads::default(),
            liveness,
            is_alone: AtomicBool::new(true),
            arriving: Mutex::new(BTreeMap::new()),
            clock,
            engine,
            room: WaitRoom::new(),
            contention: ContentionLog::default(),
            replicate_times: Histogram::default(),
            lock_wait_times: Histogram::default(),
            map: RwLock::new(BTreeMap::new()),
            early: Mutex::new(BTreeMap::new()),
            events: Events::default(),
        })
    }

    #[inline]
    pub fn get(&self, range: RangeId) -> Result<Arc<Replica>, KvError> {
        match self.map.read().get(&range) {
            Some(replica) => Ok(replica.clone()),
            None => Err(KvError::RangeNotFound { range }),
        }
    }

    pub fn all(&self) -> Vec<Arc<Replica>> {
        self.map.read().values().cloned().collect()
    }

    /// Adds a range, and tells it of a leadership that was faster.
    pub fn add(&self, replica: Arc<Replica>) {
        let id = replica.id;
        self.map.write().insert(id, replica.clone());
        let early = self.early.lock().remove(&id);
        if let Some(leadership) = early {
            Ranges::lead(&replica, leadership);
        }
    }

    pub fn contains(&self, range: RangeId) -> bool {
        self.map.read().contains_key(&range)
    }

    pub fn leadership_changed(&self, range: RangeId, leadership: Leadership) {
        // Looked up with the early ones locked, so that `add` cannot pass in between.
        let mut early = self.early.lock();
        let replica = self.map.read().get(&range).cloned();
        match replica {
            Some(replica) => {
                drop(early);
                Ranges::lead(&replica, leadership);
            }
            None => {
                early.insert(range, leadership);
            }
        }
    }

    fn lead(replica: &Replica, leadership: Leadership) {
        match leadership {
            Leadership::Leading { term } => replica.begin_lease(term.0),
            Leadership::Following { leader, .. } => replica.end_lease(leader),
        }
    }

    /// Takes a range away whose replica here has ended.
    pub fn remove(&self, range: RangeId) {
        self.early.lock().remove(&range);
        let removed = self.map.write().remove(&range);
        if let Some(replica) = removed {
            replica.state.lock().freeze();
            replica.end_lease(None);
        }
    }

    /// Reserves a span for the snapshot of a range. Says whose it is if it is not free.
    pub fn reserve(&self, range: RangeId, span: &Span) -> Result<(), RangeId> {
        let mut arriving = self.arriving.lock();
        let other = arriving.iter().find(|(other, taken)| **other != range && taken.overlaps(span));
        if let Some((other, _)) = other {
            return Err(*other);
        }
        let overlaps = |replica: &&Arc<Replica>| {
            replica.id != range && replica.state.lock().descriptor.span.overlaps(span)
        };
        if let Some(other) = self.all().iter().find(overlaps) {
            return Err(other.id);
        }
        arriving.insert(range, span.clone());
        Ok(())
    }

    /// The span that was reserved for a range, which no longer is.
    pub fn unreserve(&self, range: RangeId) -> Option<Span> {
        self.arriving.lock().remove(&range)
    }

    /// The stores that share ranges with this one.
    pub fn neighbours(&self) -> BTreeSet<StoreId> {
        let mut stores = BTreeSet::new();
        for replica in self.all() {
            let descriptor = replica.state.lock().descriptor.clone();
            stores.extend(descriptor.replicas.iter().map(|replica| replica.store));
        }
        stores.remove(&self.config.store);
        stores
    }

    /// Has a range split if it is too large.
    pub fn watch_size(&self, replica: &Replica) {
        let size = replica.size_bytes.load(Ordering::Relaxed);
        if size > self.tuning.get().range_bytes_max && !replica.split_queued.swap(true, Ordering::AcqRel) {
            self.events.too_large.tell(replica.id, ());
        }
    }

    /// Other ranges here that overlap a span: told to those who asked the wrong one.
    pub fn hints(&self, span: &Span, except: RangeId) -> Vec<RangeDescriptor> {
        let replicas = self.all();
        let others = replicas.iter().filter(|replica| replica.id != except);
        // Never two ranges' mutexes at once: whoever asks holds one, so the others are only tried.
        let descriptors = others.filter_map(|replica| Some(replica.state.try_lock()?.descriptor.clone()));
        let overlapping = descriptors.filter(|descriptor| descriptor.span.overlaps(span));
        overlapping.take(HINTS_MAX).map(|descriptor| (*descriptor).clone()).collect()
    }
}
