//! One range on this store: what it is, who may serve it, who waits for whom.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use clock::Timestamp;
use concurrency::{LatchId, Latched, Manager, TimestampCache, Wake};
use env::timeout;
use keys::{RangeId, ReplicaId, Span};
use kvapi::planted::Bug;
use kvapi::{
    KeyBlock, KvError, Lease, RangeDescriptor, ReplicaDescriptor, ReplicaKind, RestartReason, TxnId, TxnMeta,
    TxnStatus,
};
use parking_lot::Mutex;
use smallvec::SmallVec;
use storage::mvcc::Statistics;

use crate::hot::Heat;
use crate::marks::{Mark, TxnMarks};
use crate::merge::Merging;
use crate::placing::LoadCounter;
use crate::ranges::Ranges;
use crate::wait::{Receiver, Told};

/// How often whoever waits for latches looks whether the lease is still held.
pub(crate) const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The right of this store to serve the range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HeldLease {
    pub term: u64,
    pub start: Timestamp,
    /// Nobody else has a say in the range: the lease does not run out.
    pub is_alone: bool,
    /// Up to this wall time a quorum keeps the leader, as far as was last looked.
    pub until: u64,
}

/// What changes under the range's mutex.
///
/// - `descriptor` is the applied one. It changes only while a latch over the whole range is held by the split.
/// - Without `lease` nothing is served, and no lock is held. With it, something is served only while it has not run out.
pub(crate) struct RangeState {
    pub descriptor: Arc<RangeDescriptor>,
    pub lease: Option<HeldLease>,
    pub manager: Manager,
    pub marks: TxnMarks,
    pub gc_threshold: Timestamp,
    /// The state above was handed over by the left half of a split, whose lease began then; good for the first lease.
    pub inherited: Option<Timestamp>,
    /// Whom the others take for the leader.
    pub leader: Option<ReplicaId>,
    /// In which terms and epochs other replicas have promised to keep this one as the leader.
    pub followed: BTreeMap<ReplicaId, (u64, u64)>,
    /// No lease begins below this: up to there the left half's leaseholder has served what is now the right half.
    pub lease_floor: Timestamp,
    /// The highest timestamp to which an intent was moved when it was resolved: see `read`.
    pub moved_to: Timestamp,
    /// Nothing that is not here yet is written at or below this: see `closed`.
    pub closed: Timestamp,
    /// What is stored is about to be replaced or to end: nobody reads it without the lease.
    pub is_frozen: bool,
    /// How often that began.
    pub freezes: u64,
    /// The range is frozen, to be absorbed by its left neighbour: nothing is served. See `merge`.
    pub merging: Option<Box<Merging>>,
}

/// What the applier keeps, apart from what requests see.
pub(crate) struct ApplySide {
    pub statistics: Statistics,
    /// Of commands that were passed to the machine and whose batch is not known to be written.
    pub pending: std::collections::VecDeque<crate::machine::Pending>,
}

/// This store's replica of a range.
///
/// Lock order: `state` before the waiting rooms and the engine; `state` is never held while a command is proposed. `apply`
/// is taken by the applier alone, never together with `state`.
pub(crate) struct Replica {
    pub id: RangeId,
    pub ranges: Arc<Ranges>,
    pub state: Mutex<RangeState>,
    pub apply: Mutex<ApplySide>,
    /// Intents in the applied state, exactly.
    pub intents: AtomicI64,
    /// Bytes in the applied state, roughly.
    pub size_bytes: AtomicU64,
    /// Bytes of superseded versions and deletions, roughly.
    pub garbage_bytes: AtomicU64,
    pub load: LoadCounter,
    pub heat: Heat,
    /// The queue of splits knows of it.
    pub split_queued: AtomicBool,
    /// Whether `merging` is set in its state: for the applier.
    pub is_merging: AtomicBool,
    /// The threshold of garbage collection, wall part, for readers that have finished.
    pub gc_threshold_wall: AtomicU64,
    /// Up to this index of the log everything is applied here; zero: not known yet.
    pub applied_index: AtomicU64,
}

impl Replica {
    /// The descriptor, if the lease is here.
    pub fn leased_descriptor(&self) -> Result<Arc<RangeDescriptor>, KvError> {
        let mut state = self.state.lock();
        state.check_lease(&self.ranges)?;
        Ok(state.descriptor.clone())
    }

    /// What the applied state holds, as far as that is counted.
    pub fn set_sizes(&self, applied: &Statistics) {
        self.size_bytes.store(applied.total_bytes(), Ordering::Relaxed);
        self.garbage_bytes.store(applied.garbage_bytes(), Ordering::Relaxed);
    }

    pub fn new(
        ranges: Arc<Ranges>,
        descriptor: RangeDescriptor,
        statistics: Statistics,
        intents: i64,
    ) -> Arc<Replica> {
        let config = ranges.config.timestamp_cache;
        Arc::new(Replica {
            id: descriptor.id,
            ranges,
            state: Mutex::new(RangeState {
                descriptor: Arc::new(descriptor),
                lease: None,
                manager: Manager::new(config, Timestamp::ZERO),
                marks: TxnMarks::new(Timestamp::ZERO),
                gc_threshold: Timestamp::ZERO,
                inherited: None,
                leader: None,
                followed: BTreeMap::new(),
                lease_floor: Timestamp::ZERO,
                moved_to: Timestamp::ZERO,
                closed: Timestamp::ZERO,
                is_frozen: false,
                freezes: 0,
                merging: None,
            }),
            size_bytes: AtomicU64::new(statistics.total_bytes()),
            garbage_bytes: AtomicU64::new(statistics.garbage_bytes()),
            apply: Mutex::new(ApplySide { statistics, pending: std::collections::VecDeque::new() }),
            intents: AtomicI64::new(intents),
            load: LoadCounter::default(),
            heat: Heat::default(),
            split_queued: AtomicBool::new(false),
            is_merging: AtomicBool::new(false),
            gc_threshold_wall: AtomicU64::new(0),
            applied_index: AtomicU64::new(0),
        })
    }

    /// Whether the range has no intent: to be asked after a read was sequenced.
    #[inline]
    pub fn has_no_intents(&self) -> bool {
        self.intents.load(Ordering::Acquire) == 0
    }

    /// Leadership began: so does the lease.
    pub fn begin_lease(&self, term: u64) {
        let now = self.ranges.clock.now();
        let mut wakes = Vec::new();
        {
            let mut state = self.state.lock();
            let start = now.max(state.lease_floor.next()).max(state.closed.next());
            let inherited = state.inherited.take();
            if inherited.is_none() {
                // Latches stay: commands of an earlier lease may still be in flight under them.
                state.manager.locks.clear(&mut wakes);
                let floor =
                    if self.ranges.config.planted.has(Bug::NoLeaseFloor) { Timestamp::ZERO } else { start };
                state.manager.reads = TimestampCache::new(self.ranges.config.timestamp_cache, floor);
                state.marks = TxnMarks::new(floor);
            }
            // What was moved in earlier leases is not known: it cannot lie further ahead than clocks may differ.
            state.moved_to = start.saturating_add(self.ranges.clock.offset_max());
            state.leader = None;
            state.followed.retain(|_, (promised, _)| *promised == term);
            let start = inherited.unwrap_or(start);
            let is_alone = state.descriptor.replicas.len() == 1;
            state.lease = Some(HeldLease { term, start, is_alone, until: 0 });
        }
        self.ranges.room.wake(wakes);
        let descriptor = (*self.state.lock().descriptor).clone();
        self.ranges.events.tell_described(descriptor);
    }

    /// Leadership is gone, or was never here, and with it everything that only a leaseholder knows. What was inherited stays
    /// until somebody else leads.
    pub fn end_lease(&self, leader: Option<ReplicaId>) {
        let mut wakes = Vec::new();
        {
            let mut state = self.state.lock();
            state.leader = leader;
            if state.lease.take().is_some() || leader.is_some() {
                state.inherited = None;
            }
            if state.inherited.is_none() {
                state.manager.locks.clear(&mut wakes);
            }
        }
        self.ranges.room.wake(wakes);
    }

    /// Another replica promises to keep this one as the leader of a term.
    pub fn note_followed(&self, replica: ReplicaId, term: u64, epoch: u64) {
        self.state.lock().followed.insert(replica, (term, epoch));
    }

    /// Releases the locks of a transaction that has ended. One that was aborted takes no more here: it does not know yet, and
    /// would go on as if it had held them all the time.
    pub fn release_locks_of(&self, txn: &TxnMeta, status: TxnStatus) {
        let mut wakes: Vec<Wake> = Vec::new();
        {
            let mut state = self.state.lock();
            state.manager.locks.release_all(txn.id, &mut wakes);
            if status == TxnStatus::Aborted {
                state.marks.set(txn.id, txn.start, Mark::Aborted);
            }
        }
        self.ranges.room.wake(wakes);
    }

    /// Gives back a latch and, after an end, what the transaction held.
    fn release(&self, latch: Option<LatchId>, ended: Option<Ended>) {
        let mut wakes: Vec<Wake> = Vec::new();
        {
            let mut state = self.state.lock();
            if let Some(latch) = latch {
                state.manager.latches.release(latch, &mut wakes);
            }
            if let Some(Ended { id, start, mark }) = ended {
                state.manager.locks.release_all(id, &mut wakes);
                if let Some(mark) = mark {
                    state.marks.set(id, start, mark);
                }
            }
        }
        self.ranges.room.wake(wakes);
    }
}

impl RangeState {
    /// May this store serve the range now?
    #[inline]
    pub fn check_lease(&mut self, ranges: &Ranges) -> Result<HeldLease, KvError> {
        if self.merging.is_some() {
            return Err(being_merged());
        }
        match self.lease {
            Some(lease) if lease.is_alone => Ok(lease),
            Some(lease) => self.check_support(lease, ranges),
            None => Err(self.not_leaseholder(ranges)),
        }
    }

    /// Whether a quorum still keeps this leader: by promises known, or by newer ones.
    fn check_support(&mut self, mut lease: HeldLease, ranges: &Ranges) -> Result<HeldLease, KvError> {
        let offset_max = u64::try_from(ranges.clock.offset_max().as_nanos()).unwrap_or(u64::MAX);
        let served_until = ranges.clock.now().wall.saturating_add(offset_max);
        if served_until >= lease.until {
            lease.until = self.promised_until(lease.term, ranges);
            self.lease = Some(lease);
        }
        if served_until < lease.until { Ok(lease) } else { Err(self.not_leaseholder(ranges)) }
    }

    /// Up to which wall time a quorum has promised to keep this leader.
    fn promised_until(&self, term: u64, ranges: &Ranges) -> u64 {
        let own = ranges.config.store;
        let promised = |replica: &ReplicaDescriptor| {
            if replica.store == own {
                return u64::MAX;
            }
            match self.followed.get(&replica.replica) {
                Some((promised, epoch)) if *promised == term => {
                    ranges.liveness.supported_until(replica.store, *epoch)
                }
                _ => 0,
            }
        };
        let quorum = |votes: fn(ReplicaKind) -> bool| {
            let voters = self.descriptor.replicas.iter().filter(|replica| votes(replica.kind));
            let mut promises: SmallVec<[u64; 5]> = voters.map(promised).collect();
            promises.sort_unstable_by(|a, b| b.cmp(a));
            promises.get(promises.len() / 2).copied().unwrap_or(0)
        };
        quorum(ReplicaKind::is_incoming_voter).min(quorum(ReplicaKind::is_outgoing_voter))
    }

    /// Who else could be asked.
    #[cold]
    fn not_leaseholder(&self, ranges: &Ranges) -> KvError {
        let other = self.known_leader().filter(|leader| leader.store != ranges.config.store);
        let lease = other.map(|holder| Box::new(Lease { holder, term: 0, start: Timestamp::ZERO }));
        KvError::NotLeaseholder { range: self.descriptor.id, lease }
    }

    /// Which replica leads, as far as known here.
    pub fn known_leader(&self) -> Option<ReplicaDescriptor> {
        self.leader.and_then(|leader| self.descriptor.replica(leader)).copied()
    }

    /// A transaction that is known here to have been aborted locks and commits nothing.
    pub fn check_not_aborted(&self, txn: &TxnMeta) -> Result<(), KvError> {
        match self.marks.get(txn.id) {
            Some(Mark::Aborted) => Err(KvError::Restart {
                reason: RestartReason::Aborted,
                timestamp: txn.write_timestamp,
                key: None,
            }),
            _ => Ok(()),
        }
    }

    #[inline]
    pub fn check_key(&self, key: &[u8], ranges: &Ranges) -> Result<(), KvError> {
        if self.descriptor.contains(key) {
            Ok(())
        } else {
            Err(self.mismatch(&Span::point(key.into()), ranges))
        }
    }

    pub fn check_span(&self, span: &Span, ranges: &Ranges) -> Result<(), KvError> {
        if self.descriptor.contains_span(span) { Ok(()) } else { Err(self.mismatch(span, ranges)) }
    }

    /// Tells what is known here about the ranges that hold what was asked for.
    #[cold]
    fn mismatch(&self, span: &Span, ranges: &Ranges) -> KvError {
        let mut descriptors = vec![(*self.descriptor).clone()];
        descriptors.extend(ranges.hints(span, self.descriptor.id));
        KvError::RangeMismatch { descriptors }
    }

    /// Reads below the threshold are refused from now on, and writes go above it.
    pub fn raise_gc_threshold(&mut self, threshold: Timestamp) {
        self.gc_threshold = self.gc_threshold.max(threshold);
        self.manager.reads.raise_floor(self.gc_threshold);
    }

    /// Can changes after `since` still be told, or may they have been collected? What changed and was collected would pass for
    /// unchanged.
    pub fn knows_changes_since(&self, since: Timestamp) -> bool {
        since >= self.gc_threshold
    }

    #[inline]
    pub fn check_threshold(&self, timestamp: Timestamp) -> Result<(), KvError> {
        if timestamp >= self.gc_threshold {
            Ok(())
        } else {
            Err(KvError::BelowGcThreshold { timestamp, threshold: self.gc_threshold })
        }
    }

    /// The lease as others see it.
    pub fn lease_for_others(&self, ranges: &Ranges) -> Option<Lease> {
        let lease = self.lease?;
        let holder = self.descriptor.replica_on(ranges.config.store).copied()?;
        Some(Lease { holder, term: lease.term, start: lease.start })
    }
}

#[cold]
fn being_merged() -> KvError {
    KvError::unavailable("the range is about to become part of its left neighbour")
}

/// A transaction has ended in this range.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    pub id: TxnId,
    pub start: Timestamp,
    /// For its anchor, if it leaves no record.
    pub mark: Option<Mark>,
}

/// Latches held, or waited for. Given back when dropped.
pub(crate) struct LatchGuard {
    replica: Arc<Replica>,
    id: Option<LatchId>,
    /// Set while it still waits.
    waiting: Option<(concurrency::Ticket, Receiver)>,
}

impl LatchGuard {
    /// Takes latches; the caller holds the range's mutex and has verified lease and bounds.
    pub fn take(
        replica: &Arc<Replica>,
        state: &mut RangeState,
        keys: KeyBlock,
        spans: SmallVec<[Span; 1]>,
        at: Timestamp,
    ) -> LatchGuard {
        let room = &replica.ranges.room;
        if state.manager.latches.is_empty() {
            let latched = state.manager.latches.acquire(keys, spans, at, concurrency::Ticket(room.number()));
            return LatchGuard { replica: replica.clone(), id: Some(latched.id()), waiting: None };
        }
        let (ticket, receiver) = room.enter();
        let latched = state.manager.latches.acquire(keys, spans, at, ticket);
        let waiting = match latched {
            Latched::Granted(_) => {
                room.leave(ticket);
                None
            }
            Latched::Waiting(_) => Some((ticket, receiver)),
        };
        LatchGuard { replica: replica.clone(), id: Some(latched.id()), waiting }
    }

    /// Completes when the latches are granted. What they wait for may never end if the range has lost its quorum: fails when
    /// the lease is gone.
    pub async fn granted(&mut self) -> Result<(), KvError> {
        let Some((_, receiver)) = &mut self.waiting else { return Ok(()) };
        let _step = env::trace::span(|| "wait for latches");
        let ranges = &self.replica.ranges;
        loop {
            match timeout(&*ranges.env, LOOK_INTERVAL, &mut *receiver).await {
                Ok(told) => {
                    // A closed room means that the store is gone: whatever comes next fails by itself.
                    debug_assert!(!matches!(told, Ok(Told::Deadlock(_))), "latches do not deadlock");
                    self.waiting = None;
                    return Ok(());
                }
                Err(_) => drop(self.replica.state.lock().check_lease(ranges)?),
            }
        }
    }

    pub fn id(&self) -> LatchId {
        self.id.expect("a guard holds its latch until it is given back")
    }

    /// Keeps the latches for good: the store has stopped, and what they cover may or may not have happened. Nobody is to read
    /// or write it before another process has found out.
    pub fn keep_for_good(mut self) {
        self.id = None;
    }

    /// Gives the latches back together with what an ended transaction held, under one hold of the mutex.
    pub fn finish(mut self, ended: Option<Ended>) {
        let id = self.id.take();
        self.replica.release(id, ended);
    }
}

impl Drop for LatchGuard {
    fn drop(&mut self) {
        if let Some((ticket, _)) = self.waiting.take() {
            self.replica.ranges.room.leave(ticket);
        }
        if let Some(id) = self.id.take() {
            self.replica.release(Some(id), None);
        }
    }
}
