//! Do all replicas of a range hold the same?
//!
//! They should: the same commands in the same order on the same state. What breaks that is a fault of ours, of the disk, of memory, or somebody
//! who wrote to a store's files; and nobody would notice until the lease moves and rows change as if by themselves. So every range is
//! looked at from time to time, on its leaseholder's initiative:
//!
//! ```text
//!   leaseholder                                    every replica, itself included
//!     command "check 17" ----- Raft log ----->       applies it: its state now is that of this index
//!                                                    takes a snapshot of it, and reads that on a lane of its own, slowly
//!     asks each, again and again   <----------       the checksum, when it has it
//!     all the same: good
//!     one is another: says so, loudly
//!     command "check 17: 8f..." --- Raft log ->      has it another checksum for check 17? Then the store stops, for good
//! ```
//!
//! # What is compared
//!
//! Everything that a snapshot of the range would send, but what differs by design: how far the log is applied, who the replica is, and the
//! statistics, which are kept as estimates (see `machine`). The replica counts while it reads, and sets its own statistics right if they have drifted.
//!
//! # Who is wrong
//!
//! The replicas that differ from what more than half of all have. Nothing is repaired: what one store got wrong it may have got wrong elsewhere as
//! well, and a copy that repairs itself hides the cause. Its store writes down why and ends its node, and does so again whenever it is
//! started: the others make new replicas once the node counts as dead, or is decommissioned, and its folder can be looked
//! at. If no copy has a majority (one against one), nobody can tell, and all that happens is that it is said.
//!
//! The verdict passes through the log and not by a message, so that it comes after the check on every replica and needs no other proof of its
//! sender. A replica that was restarted since does not remember its checksum, and goes on: the next check finds it again.
//!
//! # What it costs
//!
//! One log entry per range and interval (a day by default: `StoreTuning::check_interval`), and a read of all data at
//! [`BYTES_PER_SECOND`] at most per store. A snapshot keeps old versions of files alive while it is read: [`AT_ONCE_MAX`] at most.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use clock::Timestamp;
use env::{Env, Lane, timeout};
use keys::local::{self, RangeItem, StoreItem, store_item};
use keys::{RangeId, StoreId};
use kvapi::{
    BatchRequest, BatchResponse, CheckOutcome, CheckReplicasRequest, ChecksumRequest, ChecksumStanding,
    Header, KeyBlock, KvError, RangeDescriptor, ReplicaCheckResponse, ReplicaChecksum, ReplicaDescriptor,
    Response,
};
use parking_lot::Mutex;
use smallvec::SmallVec;
use stdx::hash::Fingerprint;
use storage::mvcc::{self, Statistics};
use storage::{Checkpoint, Durability, Engine, Keyspace, Operation, StorageError, WriteBatch};

use crate::command::{CheckEffect, Effects, Verdict};
use crate::ranges::Ranges;
use crate::replica::{LatchGuard, Replica};
use crate::store::{Inner, next_round};
use crate::tuning::StoreTuning;
use crate::write::Sequenced;

/// What a store reads for checks.
const BYTES_PER_SECOND: u64 = 16 << 20;
/// What is read without a pause.
const CHUNK_BYTES: usize = 256 << 10;
/// Checks whose snapshots a store holds.
const AT_ONCE_MAX: usize = 4;
/// How often replicas are asked for their checksums: first, and at last.
const ASK_INTERVAL: Duration = Duration::from_millis(20);
const ASK_INTERVAL_MAX: Duration = Duration::from_secs(2);
/// How long one question may take.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// How long a replica may be behind in its log, beside the time that reading takes.
const LAG_MAX: Duration = Duration::from_secs(10);
/// Between two checks on one leaseholder at the least.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// How long a store without leases waits before it looks again.
const IDLE_PAUSE: Duration = Duration::from_secs(10);

/// The last check of a replica here.
struct Check {
    id: u64,
    standing: ChecksumStanding,
    /// Its statistics are set right otherwise.
    is_counted: bool,
}

/// How checks have ended, here as the leaseholder, since the store was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckCounts {
    pub same: u64,
    pub different: u64,
    /// Not every replica has answered.
    pub incomplete: u64,
    /// Replicas here whose statistics were set right.
    pub recounted: u64,
    /// Read for checks.
    pub bytes: u64,
}

/// What a leaseholder found when it last checked a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckReport {
    /// Nanoseconds since 1970.
    pub ended: u64,
    pub found: ReplicaCheckResponse,
}

/// The checks of a store. Lock order: leaves.
pub(crate) struct Checks {
    lane: Lane,
    /// Whose turn it is to read.
    pace: Arc<futures::lock::Mutex<()>>,
    held: AtomicUsize,
    checks: Mutex<BTreeMap<RangeId, Check>>,
    /// Ranges that are being checked from here.
    running: Mutex<BTreeSet<RangeId>>,
    reports: Mutex<BTreeMap<RangeId, CheckReport>>,
    same: AtomicU64,
    different: AtomicU64,
    incomplete: AtomicU64,
    recounted: AtomicU64,
    bytes: AtomicU64,
}

impl Checks {
    pub fn new(env: &dyn Env) -> Checks {
        Checks {
            lane: env.lane("range-checks"),
            pace: Arc::default(),
            held: AtomicUsize::new(0),
            checks: Mutex::default(),
            running: Mutex::default(),
            reports: Mutex::default(),
            same: AtomicU64::new(0),
            different: AtomicU64::new(0),
            incomplete: AtomicU64::new(0),
            recounted: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        }
    }

    pub fn counts(&self) -> CheckCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CheckCounts {
            same: read(&self.same),
            different: read(&self.different),
            incomplete: read(&self.incomplete),
            recounted: read(&self.recounted),
            bytes: read(&self.bytes),
        }
    }

    /// What was found of ranges that were checked from here, by range.
    pub fn reports(&self) -> Vec<(RangeId, CheckReport)> {
        self.reports.lock().iter().map(|(range, report)| (*range, report.clone())).collect()
    }

    /// The replica here has ended.
    pub fn forget(&self, range: RangeId) {
        self.checks.lock().remove(&range);
        self.reports.lock().remove(&range);
    }

    /// The statistics of the replica here are set right by a command: a check that is under way leaves them.
    pub fn counted_otherwise(&self, range: RangeId) {
        if let Some(check) = self.checks.lock().get_mut(&range) {
            check.is_counted = true;
        }
    }

    fn is_counted(&self, range: RangeId, id: u64) -> bool {
        self.checks.lock().get(&range).is_none_or(|check| check.id != id || check.is_counted)
    }

    fn standing(&self, range: RangeId, id: u64) -> ChecksumStanding {
        let checks = self.checks.lock();
        let check = checks.get(&range).filter(|check| check.id == id);
        check.map_or(ChecksumStanding::Unknown, |check| check.standing.clone())
    }

    /// Notes how a check stands, if it still is the last one.
    fn note(&self, range: RangeId, id: u64, standing: ChecksumStanding) {
        if let Some(check) = self.checks.lock().get_mut(&range).filter(|check| check.id == id) {
            check.standing = standing;
        }
    }

    /// A verdict is applied: what is wrong with the replica here, if it is against it.
    pub fn judge(&self, range: RangeId, verdict: &Verdict) -> Option<String> {
        match self.standing(range, verdict.id) {
            ChecksumStanding::Done { index, checksum }
                if index == verdict.index && checksum != verdict.checksum =>
            {
                Some(format!(
                    "the replica of range {range} here differs from those on most other stores: at log index {index} its checksum is \
                     {checksum:016x}, theirs is {:016x}; this store is not to be used any more: take its node out of the cluster \
                     (meridian node decommission), keep its folder for finding out why, and let a new node join with an empty one",
                    verdict.checksum
                ))
            }
            _ => None,
        }
    }
}

/// Writes down that the store is not to be used any more.
pub(crate) fn condemn(engine: &dyn Engine, why: &str) -> Result<(), StorageError> {
    let mut batch = WriteBatch::new();
    batch.put(Keyspace::StoreLocal, &store_item(StoreItem::Condemned), why.as_bytes());
    engine.write(&batch, Durability::Synced)
}

/// Why the store is not to be used any more, if it is not.
pub(crate) fn condemned(engine: &dyn Engine) -> Result<Option<String>, StorageError> {
    let why = engine.get(Keyspace::StoreLocal, &store_item(StoreItem::Condemned))?;
    Ok(why.map(|why| String::from_utf8_lossy(&why).into_owned()))
}

/// The sum and the counts of a range, as it is read.
#[derive(Default)]
struct Reading {
    sum: Fingerprint,
    counted: Statistics,
}

impl Reading {
    fn add(&mut self, chunk: &WriteBatch) -> Result<(), StorageError> {
        for operation in chunk.iter() {
            let Operation::Put(keyspace, key, value) = operation else {
                return Err(StorageError::corruption("a snapshot has something else than keys with values"));
            };
            if keyspace == Keyspace::RangeLocal && is_own(key) {
                continue;
            }
            self.sum.number(keyspace as u64);
            self.sum.number(key.len() as u64);
            self.sum.bytes(key);
            self.sum.number(value.len() as u64);
            self.sum.bytes(value);
            self.counted.count(keyspace, key, value)?;
        }
        Ok(())
    }
}

/// Whether a key is of a record that each replica has its own of.
fn is_own(key: &[u8]) -> bool {
    local::parse_range_item(key).is_ok_and(|(_, item)| match item {
        RangeItem::AppliedState | RangeItem::Statistics | RangeItem::Tombstone => true,
        RangeItem::GcThreshold | RangeItem::Lease | RangeItem::Merging | RangeItem::Origin => false,
    })
}

/// The check stands in the log at an index, and everything up to there has just been applied. `counted`: the statistics as of then.
pub(crate) fn begin(replica: &Arc<Replica>, id: u64, index: u64, counted: Statistics) {
    let ranges = &replica.ranges;
    let checks = &ranges.checks;
    let range = replica.id;
    checks
        .checks
        .lock()
        .insert(range, Check { id, standing: ChecksumStanding::Computing, is_counted: false });
    if checks.held.fetch_add(1, Ordering::AcqRel) >= AT_ONCE_MAX {
        checks.held.fetch_sub(1, Ordering::AcqRel);
        let busy = "its store has too many other checks under way".to_string();
        checks.note(range, id, ChecksumStanding::Failed(busy));
        return;
    }
    let (generation, freezes, span) = {
        let state = replica.state.lock();
        (state.descriptor.generation, state.freezes, state.descriptor.span.clone())
    };
    let checkpoint = ranges.engine.checkpoint(&mvcc::replicated_parts(range, &span));
    // Does not keep the store alive, which may end while this reads.
    let (ranges, env) = (Arc::downgrade(ranges), ranges.env.clone());
    let weak = Arc::downgrade(replica);
    let task = async move {
        let read = match checkpoint {
            Ok(checkpoint) => read(&env, &ranges, checkpoint).await,
            Err(error) => Err(error),
        };
        let Some(ranges) = ranges.upgrade() else { return };
        ranges.checks.held.fetch_sub(1, Ordering::AcqRel);
        let standing = match read {
            Ok(Some(reading)) => {
                if let Some(replica) = weak.upgrade() {
                    recount(&replica, id, (generation, freezes), &counted, &reading.counted);
                }
                ChecksumStanding::Done { index, checksum: reading.sum.value() }
            }
            Ok(None) => return,
            Err(error) => {
                tracing::error!(%range, %error, "the replica of a range here cannot be read");
                ChecksumStanding::Failed(error.to_string())
            }
        };
        ranges.checks.note(range, id, standing);
    };
    drop(env_of(replica).spawn("range-check", Box::pin(task)));
}

fn env_of(replica: &Replica) -> &Arc<dyn Env> {
    &replica.ranges.env
}

/// Reads a snapshot to its end, slowly. `None`: the store is gone.
async fn read(
    env: &Arc<dyn Env>,
    ranges: &Weak<Ranges>,
    checkpoint: Box<dyn Checkpoint>,
) -> Result<Option<Reading>, StorageError> {
    let mut under_way = (checkpoint, Reading::default());
    loop {
        let Some((lane, pace)) = ranges.upgrade().map(|r| (r.checks.lane.clone(), r.checks.pace.clone()))
        else {
            return Ok(None);
        };
        let turn = pace.lock_owned().await;
        let (mut checkpoint, mut reading) = under_way;
        let result = lane
            .run(move || {
                let chunk = checkpoint.next_chunk(CHUNK_BYTES)?;
                let bytes = chunk.as_ref().map(|chunk| chunk.byte_size() as u64);
                chunk.map_or(Ok(()), |chunk| reading.add(&chunk))?;
                Ok::<_, StorageError>((bytes, checkpoint, reading))
            })
            .await?;
        let (bytes, checkpoint, reading) = result;
        let Some(bytes) = bytes else { return Ok(Some(reading)) };
        under_way = (checkpoint, reading);
        if let Some(ranges) = ranges.upgrade() {
            ranges.checks.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        env.sleep(Duration::from_micros(bytes * 1_000_000 / BYTES_PER_SECOND)).await;
        drop(turn);
    }
}

/// Sets the statistics of a replica right. What was written since is in both what is kept and what it should be; but not if the range was
/// split meanwhile, or its state replaced.
fn recount(replica: &Replica, id: u64, since: (u64, u64), kept: &Statistics, counted: &Statistics) {
    let mut drift = *counted;
    drift.subtract(kept);
    if drift == Statistics::default() {
        return;
    }
    let now = {
        let state = replica.state.lock();
        (state.descriptor.generation, state.freezes)
    };
    if now != since || replica.ranges.checks.is_counted(replica.id, id) {
        return;
    }
    let mut side = replica.apply.lock();
    side.statistics.add(&drift);
    replica.set_sizes(&side.statistics);
    drop(side);
    replica.ranges.checks.recounted.fetch_add(1, Ordering::Relaxed);
    tracing::debug!(range = %replica.id, ?drift, "the statistics of a range had drifted, and are right again");
}

/// Marks a range as being checked until it is dropped.
struct Turn<'a> {
    checks: &'a Checks,
    range: RangeId,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.checks.running.lock().remove(&self.range);
    }
}

/// Checks one range after the other, so that each has its turn once in an interval.
pub(crate) async fn run(store: Weak<Inner>) {
    // After a restart it does not begin with the same ones each time.
    let mut last = store.upgrade().map_or(RangeId(0), |inner| inner.draw_range());
    loop {
        let pause = |inner: &Inner, tuning: &StoreTuning| match tuning.check_interval {
            Duration::ZERO => IDLE_PAUSE,
            interval => (interval / inner.leases_held().max(1) as u32).max(PAUSE_MIN),
        };
        let Some(inner) = next_round(&store, pause).await else { return };
        if inner.ranges.tuning.get().check_interval.is_zero() {
            continue;
        }
        let Some(replica) = inner.next_leased(last) else { continue };
        last = replica.id;
        if let Err(error) = inner.check_replicas(&replica).await {
            tracing::debug!(%error, range = %replica.id, "a range could not be checked");
        }
    }
}

impl Inner {
    fn draw_range(&self) -> RangeId {
        let all = self.ranges.all();
        let position = self.env.entropy() as usize % all.len().max(1);
        all.get(position).map_or(RangeId(0), |replica| replica.id)
    }

    fn leases_held(&self) -> usize {
        self.ranges.all().iter().filter(|replica| replica.state.lock().lease.is_some()).count()
    }

    /// The first range after another, in a circle, whose lease is here.
    fn next_leased(&self, after: RangeId) -> Option<Arc<Replica>> {
        let leased: Vec<Arc<Replica>> =
            self.ranges.all().into_iter().filter(|replica| replica.state.lock().lease.is_some()).collect();
        leased.iter().find(|replica| replica.id > after).or(leased.first()).cloned()
    }

    /// A replica's checksum, for the leaseholder.
    pub fn checksum(&self, replica: &Replica, request: &ChecksumRequest) -> BatchResponse {
        let standing = self.ranges.checks.standing(replica.id, request.check);
        self.respond(Response::Checksum(standing), Timestamp::ZERO, Timestamp::ZERO)
    }

    /// Compares all replicas of a range because somebody wants to know.
    pub async fn check_when_asked(
        self: &Arc<Self>,
        replica: Arc<Replica>,
        request: &CheckReplicasRequest,
    ) -> Result<BatchResponse, KvError> {
        {
            let mut state = replica.state.lock();
            state.check_lease(&self.ranges)?;
            state.check_key(&request.key, &self.ranges)?;
        }
        let found = self.check_replicas(&replica).await?;
        Ok(self.respond(Response::ReplicaCheck(Box::new(found)), Timestamp::ZERO, Timestamp::ZERO))
    }

    /// Compares all replicas of a range whose lease is here.
    pub async fn check_replicas(
        self: &Arc<Self>,
        replica: &Arc<Replica>,
    ) -> Result<ReplicaCheckResponse, KvError> {
        let checks = &self.ranges.checks;
        if !checks.running.lock().insert(replica.id) {
            return Err(KvError::unavailable("the range is being checked already"));
        }
        let _turn = Turn { checks, range: replica.id };
        let id = self.env.entropy();
        let descriptor = self.place_check(replica, CheckEffect::Begin(id)).await?;
        let standings = self.collect(replica, &descriptor, id).await;
        let found = compare(&descriptor, standings);
        let report = CheckReport { ended: self.ranges.clock.now().wall, found: found.clone() };
        checks.reports.lock().insert(replica.id, report);
        let counter = match found.outcome {
            CheckOutcome::Same => &checks.same,
            CheckOutcome::Different => &checks.different,
            CheckOutcome::Incomplete => &checks.incomplete,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        if found.outcome == CheckOutcome::Different {
            let range = replica.id;
            let sums = text_of(&found);
            tracing::error!(%range, index = found.index, sums, "the replicas of a range differ");
            if let Some(checksum) = found.majority {
                let verdict = Verdict { id, index: found.index, checksum };
                self.place_check(replica, CheckEffect::Verdict(verdict)).await?;
            }
        }
        Ok(found)
    }

    /// Puts a step of a check into the log. Answers with the range as it is there.
    async fn place_check(
        self: &Arc<Self>,
        replica: &Arc<Replica>,
        effect: CheckEffect,
    ) -> Result<Arc<RangeDescriptor>, KvError> {
        let (sequenced, descriptor) = {
            let mut guard = replica.state.lock();
            let state = &mut *guard;
            let lease = state.check_lease(&self.ranges)?;
            let latch = LatchGuard::take(replica, state, KeyBlock::new(), SmallVec::new(), Timestamp::MAX);
            (Sequenced { latch, lease, timestamp: Timestamp::MAX }, state.descriptor.clone())
        };
        let effects = Effects { check: Some(Box::new(effect)), ..Effects::default() };
        let nothing = WriteBatch::new();
        self.replicate(replica, sequenced, Statistics::default(), effects, &nothing, None).await?;
        Ok(descriptor)
    }

    /// Asks every replica until all have answered, or until one could have if it were there.
    async fn collect(
        &self,
        replica: &Replica,
        descriptor: &RangeDescriptor,
        id: u64,
    ) -> BTreeMap<StoreId, ChecksumStanding> {
        let size = replica.size_bytes.load(Ordering::Relaxed);
        let reading = Duration::from_micros(size.saturating_mul(1_000_000) / BYTES_PER_SECOND);
        let deadline = self.env.monotonic() + LAG_MAX + 2 * AT_ONCE_MAX as u32 * reading;
        let mut standings = BTreeMap::new();
        let mut wait = ASK_INTERVAL;
        loop {
            let mut open = false;
            for other in &descriptor.replicas {
                let standing = standings.entry(other.store).or_insert(ChecksumStanding::Unknown);
                if !standing.is_final() {
                    *standing = self.ask_checksum(replica.id, other, id).await;
                    let is_silent = other.store != self.ranges.config.store
                        && !self.ranges.liveness.is_supported_by(other.store);
                    open |= !standing.is_final() && !is_silent;
                }
            }
            if !open || self.env.monotonic() >= deadline || self.tasks.is_stopped() {
                return standings;
            }
            self.env.sleep(wait).await;
            wait = (wait * 2).min(ASK_INTERVAL_MAX);
        }
    }

    async fn ask_checksum(&self, range: RangeId, other: &ReplicaDescriptor, id: u64) -> ChecksumStanding {
        if other.store == self.ranges.config.store {
            return self.ranges.checks.standing(range, id);
        }
        let Some(Ok(sender)) = self.dial(other.node) else {
            return ChecksumStanding::Unknown;
        };
        let header = Header { range, ..Header::default() };
        let batch = BatchRequest::new(header, ChecksumRequest { check: id });
        let answer = timeout(&*self.env, ANSWER_MAX, sender.send(&batch)).await;
        match answer.map(|answer| answer.map(|mut answer| answer.responses.pop())) {
            Ok(Ok(Some(Response::Checksum(standing)))) => standing,
            // It may be away for a moment.
            _ => ChecksumStanding::Unknown,
        }
    }
}

/// What the answers say.
fn compare(
    descriptor: &RangeDescriptor,
    mut standings: BTreeMap<StoreId, ChecksumStanding>,
) -> ReplicaCheckResponse {
    let mut groups: BTreeMap<u64, usize> = BTreeMap::new();
    let mut at = 0;
    let mut replicas = Vec::new();
    for replica in &descriptor.replicas {
        let standing = standings.remove(&replica.store).unwrap_or(ChecksumStanding::Unknown);
        if let ChecksumStanding::Done { index, checksum } = &standing {
            at = *index;
            *groups.entry(*checksum).or_default() += 1;
        }
        replicas.push(ReplicaChecksum { node: replica.node, store: replica.store, standing });
    }
    let answered: usize = groups.values().sum();
    let outcome = match groups.len() {
        0 | 1 if answered < replicas.len() => CheckOutcome::Incomplete,
        0 | 1 => CheckOutcome::Same,
        _ => CheckOutcome::Different,
    };
    let majority = groups.iter().find(|(_, count)| **count * 2 > replicas.len()).map(|(sum, _)| *sum);
    ReplicaCheckResponse { descriptor: descriptor.clone(), outcome, index: at, majority, replicas }
}

/// Which store has which checksum, for people.
fn text_of(found: &ReplicaCheckResponse) -> String {
    let each = found.replicas.iter().map(|replica| format!("store {}: {}", replica.store, replica.standing));
    each.collect::<Vec<_>>().join(", ")
}
