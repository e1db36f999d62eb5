//! The ranges of a store, as the applier and the evaluators share them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use clock::Clock;
use env::Env;
use keys::{Key, RangeId, Span, StoreId};
use kvapi::{KvError, RangeDescriptor};
use parking_lot::{Mutex, RwLock};
use replication::Leadership;
use stdx::Histogram;
use storage::Engine;

use crate::check::Checks;
use crate::closed::Closed;
use crate::contention::ContentionLog;
use crate::events::Events;
use crate::fold::ScanCounts;
use crate::liveness::Liveness;
use crate::merge::MergeCounts;
use crate::replica::Replica;
use crate::splits::SplitCounts;
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
    pub scans: ScanCounts,
    pub checks: Checks,
    pub splits: SplitCounts,
    pub merges: MergeCounts,
    /// Only this node is known: observations of its clock tell everything.
    pub is_alone: AtomicBool,
    /// Where snapshots are on their way to. Lock order: leaf, and before a range's state.
    arriving: Mutex<BTreeMap<RangeId, Span>>,
    /// Right halves whose left ones may have been cut already, and that are not in the map yet. Lock order: leaf.
    beginning: Mutex<BTreeSet<RangeId>>,
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
            closed: Closed::new(liveness.incarnation()),
            follower_reads: FollowerReads::default(),
            scans: ScanCounts::default(),
            checks: Checks::new(&*env),
            splits: SplitCounts::default(),
            merges: MergeCounts::default(),
            liveness,
            env,
            is_alone: AtomicBool::new(true),
            arriving: Mutex::new(BTreeMap::new()),
            beginning: Mutex::new(BTreeSet::new()),
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

    /// A range is about to be split: from the moment on at which the left half is cut, and until the right one is added, the right
    /// one's place is taken all the same.
    pub fn begin(&self, right: RangeId) {
        self.beginning.lock().insert(right);
    }

    /// Adds a range, and tells it of a leadership that was faster.
    pub fn add(&self, replica: Arc<Replica>) {
        let id = replica.id;
        self.map.write().insert(id, replica.clone());
        self.beginning.lock().remove(&id);
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
        self.checks.forget(range);
        let removed = self.map.write().remove(&range);
        if let Some(replica) = removed {
            {
                let mut state = replica.state.lock();
                state.freeze();
                // Nobody will lead it: whoever waits for locks that a split has passed on would wait for ever.
                state.inherited = None;
            }
            replica.end_lease(None);
        }
    }

    /// Reserves a span for the snapshot of a range, `is_first` if that has no state here. Says whose it is if it is not free: the range's
    /// own if a split has just made it. `generation` is that of the range as it is in the snapshot: ranges that it proves to be no
    /// more (see [`Ranges::is_over`]), and that no other here has yet to absorb, are not in the way, and named.
    pub fn reserve(
        &self,
        range: RangeId,
        span: &Span,
        is_first: bool,
        generation: u64,
    ) -> Result<Vec<RangeId>, RangeId> {
        let mut arriving = self.arriving.lock();
        let other = arriving.iter().find(|(other, taken)| **other != range && taken.overlaps(span));
        if let Some((other, _)) = other {
            return Err(*other);
        }
        let mut over = Vec::new();
        for other in self.all().iter().filter(|other| other.id != range) {
            let descriptor = other.state.lock().descriptor.clone();
            if !descriptor.span.overlaps(span) {
                continue;
            }
            let is_over = Ranges::is_over(&descriptor, span, generation);
            // What a later range has in its place is not what it takes to get there: the one before it may have absorbed it, and have
            // yet to do so here.
            let is_needed = descriptor.span.start == span.start
                && self.ending_at(&descriptor.span.start).is_some_and(|before| before.id != range);
            if !is_over || is_needed {
                return Err(other.id);
            }
            over.push(other.id);
        }
        // Looked at last: whoever has cut the left half, so that nothing overlaps, has noted the right one before.
        if is_first && (self.beginning.lock().contains(&range) || self.contains(range)) {
            return Err(range);
        }
        arriving.insert(range, span.clone());
        Ok(over)
    }

    /// Whether a range, of which a replica has this descriptor, is no more: another range, of this generation, has this span. A range holds its
    /// first key as long as it exists, and generations rise from one holder of a key to the next.
    pub fn is_over(known: &RangeDescriptor, other: &Span, generation: u64) -> bool {
        known.generation < generation && other.contains(&known.span.start)
    }

    /// The replica here whose range ends at a key.
    pub fn ending_at(&self, end: &Key) -> Option<Arc<Replica>> {
        self.all().into_iter().find(|replica| replica.state.lock().descriptor.span.end == *end)
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clock::{ClockConfig, WallSource};
    use env::Simulation;
    use keys::{NodeId, ReplicaId};
    use stdx::WallTime;
    use storage::MemoryEngine;
    use storage::mvcc::Statistics;

    use super::*;

    struct Still;

    impl WallSource for Still {
        fn wall(&self) -> WallTime {
            WallTime::from_unix_nanos(1 << 60)
        }

        fn monotonic(&self) -> Duration {
            Duration::ZERO
        }
    }

    fn span(start: &[u8], end: &[u8]) -> Span {
        Span { start: Key::copy_from(start), end: Key::copy_from(end) }
    }

    fn descriptor(id: RangeId, span: Span) -> RangeDescriptor {
        RangeDescriptor { id, span, generation: 1, next_replica: ReplicaId(1), replicas: Vec::new() }
    }

    fn replica(ranges: &Arc<Ranges>, id: RangeId, span: Span) -> Arc<Replica> {
        Replica::new(Arc::clone(ranges), descriptor(id, span), Statistics::default(), 0)
    }

    /// A first snapshot that is let in between the cut of the left half and the beginning of the right one would be installed in a
    /// replica whose place the split takes: with what it has acknowledged.
    #[test]
    fn the_right_half_of_a_split_takes_no_first_snapshot() {
        let (left, right) = (RangeId(12), RangeId(14));
        let simulation = Simulation::new(1);
        let clock = Arc::new(Clock::bounded(Still, ClockConfig::default(), None));
        let config = StoreConfig::new(NodeId(1), StoreId(1));
        let ranges = Ranges::new(config, simulation.machine(), clock, MemoryEngine::new(), false);
        let own = replica(&ranges, left, span(b"a", b"z"));
        ranges.add(Arc::clone(&own));
        let upper = span(b"m", b"z");
        assert_eq!(ranges.reserve(right, &upper, true, 1), Err(left), "the split is not applied yet");
        ranges.begin(right);
        assert_eq!(ranges.reserve(right, &upper, true, 1), Err(left));
        let cut = descriptor(left, span(b"a", b"m"));
        own.state.lock().descriptor = Arc::new(cut);
        assert_eq!(
            ranges.reserve(right, &upper, true, 1),
            Err(right),
            "it is cut, and the other half is not there yet"
        );
        ranges.add(replica(&ranges, right, upper.clone()));
        assert_eq!(
            ranges.reserve(right, &upper, true, 1),
            Err(right),
            "what waits for it is about to be replaced"
        );
        let taken = ranges.reserve(right, &upper, false, 1);
        assert_eq!(taken, Ok(Vec::new()), "one that lags behind may get one");
    }

    /// Whoever has absorbed a range replaces its replica as well; a snapshot from before the range began does not.
    #[test]
    fn a_snapshot_takes_the_place_of_a_range_that_is_no_more() {
        let (left, right) = (RangeId(12), RangeId(14));
        let simulation = Simulation::new(1);
        let clock = Arc::new(Clock::bounded(Still, ClockConfig::default(), None));
        let config = StoreConfig::new(NodeId(1), StoreId(1));
        let ranges = Ranges::new(config, simulation.machine(), clock, MemoryEngine::new(), false);
        ranges.add(replica(&ranges, left, span(b"a", b"m")));
        let other = replica(&ranges, right, span(b"m", b"z"));
        other.state.lock().descriptor =
            Arc::new(RangeDescriptor { generation: 5, ..descriptor(right, span(b"m", b"z")) });
        ranges.add(other);
        let whole = span(b"a", b"z");
        assert_eq!(ranges.reserve(left, &whole, false, 4), Err(right), "from before it was split off");
        assert_eq!(
            ranges.reserve(left, &span(b"a", b"n"), false, 6),
            Ok(vec![right]),
            "and split again since"
        );
        assert_eq!(ranges.reserve(left, &whole, false, 6), Ok(vec![right]));
        ranges.unreserve(left);
        let above = span(b"n", b"z");
        assert_eq!(ranges.reserve(RangeId(15), &above, true, 6), Err(right), "its first key tells, not any");
        assert_eq!(
            ranges.reserve(RangeId(15), &span(b"m", b"z"), true, 6),
            Err(right),
            "the left one needs it to come so far"
        );
        assert_eq!(ranges.ending_at(&Key::from("m")).map(|replica| replica.id), Some(left));
        ranges.remove(left);
        assert_eq!(
            ranges.reserve(RangeId(15), &span(b"m", b"z"), true, 6),
            Ok(vec![right]),
            "nobody needs it"
        );
    }
}
