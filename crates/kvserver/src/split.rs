//! Splitting a range in two.
//!
//! One command of the left range, when its replicas have the log: under a latch over everything the range holds, both descriptors are written and the new
//! range begins. Locks and the timestamp cache are divided when the command has been applied, see `machine`; the addressing
//! records follow from a queue, see `queues`.

use std::sync::Arc;
use std::time::Duration;

use clock::Timestamp;
use env::BoxFuture;
use keys::local::{self, RangeItem, range_item};
use keys::{Key, RangeId, ReplicaId, Span, split};
use kvapi::{
    BatchResponse, KeyBlock, KvError, RangeDescriptor, ReplicaDescriptor, Response, SplitRequest,
    SplitResponse,
};
use kvclient::{Locking, Txn, TxnOptions};
use smallvec::SmallVec;
use storage::mvcc::{self, Statistics};
use storage::{Keyspace, WriteBatch};

use crate::command::{Effects, SplitEffect};
use crate::replica::{LatchGuard, Replica};
use crate::splits::SplitReason;
use crate::store::{Inner, storage_error};
use crate::write::Sequenced;

/// Ranges up to this size are counted exactly when they split; of larger ones the halves are estimated.
const COUNTED_BYTES_MAX: u64 = 4 << 20;
/// How long a split waits for replicas that lack some of the log, and how often it looks at first.
const FOLLOWERS_WAIT_MAX: Duration = Duration::from_secs(3);
const FOLLOWERS_LOOK_INTERVAL: Duration = Duration::from_millis(2);

/// What is told of both halves.
///
/// - The statistics of the whole, corrected, less those of the right half are those of the left one. If the halves are counted that
///   is exact. Were only the right one counted, whatever the whole was estimated too high would stay with the left half for good,
///   and keep it above a small limit until it holds a single key.
struct SplitStatistics {
    correction: Statistics,
    right: Statistics,
}

impl Inner {
    pub async fn split(
        self: &Arc<Self>,
        replica: Arc<Replica>,
        request: &SplitRequest,
        reason: SplitReason,
    ) -> Result<BatchResponse, KvError> {
        let at = &request.at;
        split::check_split_key(at).map_err(|error| KvError::invalid(error.to_string()))?;
        if let Some(response) = self.is_split_at(&replica, at)? {
            return Ok(response);
        }
        self.await_followers(&replica).await?;
        let new_id = self.allocate_range_id().await?;
        let (sequenced, descriptor) = self.latch_everything(&replica, waits_unless_alone).await?;
        if let Some(response) = self.is_split_at(&replica, at)? {
            return Ok(response);
        }
        if descriptor.is_joint() {
            return Err(KvError::unavailable("the replicas of the range are being changed"));
        }
        let is_shared = descriptor.replicas.len() > 1;
        let (left, right) = halves(&descriptor, at, new_id);
        let SplitStatistics { correction, right: right_statistics } =
            self.divide_statistics(&replica, &left, &right)?;
        let mut batch = WriteBatch::new();
        for half in [&left, &right] {
            let key = local::range_descriptor(&half.span.start);
            batch.put(Keyspace::RangeLocal, &key, &half.encode());
        }
        // What was collected before the split is gone from the right half as well.
        let threshold = replica.state.lock().gc_threshold;
        let item = range_item(right.id, RangeItem::GcThreshold);
        batch.put(Keyspace::RangeLocal, &item, &threshold.to_bytes());
        // Whether it may be merged again.
        let item = range_item(right.id, RangeItem::Origin);
        batch.put(Keyspace::RangeLocal, &item, &[reason.code()]);
        // Readers of the range wait by now, if others could lead the right half.
        let floor = if is_shared { self.ranges.clock.now() } else { Timestamp::ZERO };
        let split = SplitEffect { left: left.clone(), right: right.clone(), right_statistics, floor };
        let effects = Effects { split: Some(Box::new(split)), ..Effects::default() };
        self.replicate(&replica, sequenced, correction, effects, &batch, None).await?;
        Ok(self.split_response(left, right))
    }

    /// Completes when every replica whose store is alive has the log, or after a while. One that has not would need a snapshot of each
    /// half, and has no room for the right one's before it has got the left one's.
    pub(crate) async fn await_followers(&self, replica: &Replica) -> Result<(), KvError> {
        let deadline = self.env.monotonic() + FOLLOWERS_WAIT_MAX;
        let mut wait = FOLLOWERS_LOOK_INTERVAL;
        loop {
            let descriptor = replica.leased_descriptor()?;
            let followers = self.consensus()?.followers(replica.id);
            let lacks = |there: &&ReplicaDescriptor| {
                there.store != self.ranges.config.store
                    && self.ranges.liveness.is_supported_by(there.store)
                    && !followers
                        .iter()
                        .any(|follower| follower.replica == there.replica && follower.is_current)
            };
            if descriptor.replicas.iter().find(lacks).is_none() || self.env.monotonic() >= deadline {
                return Ok(());
            }
            self.env.sleep(wait).await;
            wait = (2 * wait).min(20 * FOLLOWERS_LOOK_INTERVAL);
        }
    }

    fn split_response(&self, left: RangeDescriptor, right: RangeDescriptor) -> BatchResponse {
        let response = Response::Split(Box::new(SplitResponse { left, right }));
        self.respond(response, Timestamp::ZERO, Timestamp::ZERO)
    }

    /// Whether the key starts the range already: then there is nothing to do.
    fn is_split_at(&self, replica: &Replica, at: &Key) -> Result<Option<BatchResponse>, KvError> {
        let mut state = replica.state.lock();
        state.check_lease(&self.ranges)?;
        state.check_key(at, &self.ranges)?;
        if state.descriptor.span.start != *at {
            return Ok(None);
        }
        let descriptor = (*state.descriptor).clone();
        Ok(Some(self.split_response(descriptor.clone(), descriptor)))
    }

    /// Latches all keys of the range and all its records, as of a write `at` which reads at or above wait for.
    pub(crate) async fn latch_everything(
        &self,
        replica: &Arc<Replica>,
        at: fn(&RangeDescriptor) -> Timestamp,
    ) -> Result<(Sequenced, Arc<RangeDescriptor>), KvError> {
        let (mut latch, before) = {
            let mut guard = replica.state.lock();
            let state = &mut *guard;
            state.check_lease(&self.ranges)?;
            let span = state.descriptor.span.clone();
            let spans: SmallVec<[Span; 1]> = SmallVec::from_iter([local::anchored_span(&span), span]);
            let at = at(&state.descriptor);
            let latch = LatchGuard::take(replica, state, KeyBlock::new(), spans, at);
            (latch, state.descriptor.clone())
        };
        latch.granted().await?;
        let mut state = replica.state.lock();
        let lease = state.check_lease(&self.ranges)?;
        if state.descriptor.generation != before.generation {
            return Err(KvError::unavailable("the range has just been split otherwise"));
        }
        drop(state);
        Ok((Sequenced { latch, lease, timestamp: Timestamp::MAX }, before))
    }

    /// What each half holds. Nothing else changes the range meanwhile: the latch is held.
    fn divide_statistics(
        &self,
        replica: &Replica,
        left: &RangeDescriptor,
        right: &RangeDescriptor,
    ) -> Result<SplitStatistics, KvError> {
        let whole = replica.apply.lock().statistics;
        if whole.total_bytes() > COUNTED_BYTES_MAX {
            return Ok(SplitStatistics { correction: Statistics::default(), right: whole.half() });
        }
        let right = self.count(right)?;
        let mut counted = self.count(left)?;
        counted.add(&right);
        Ok(SplitStatistics { correction: correction(counted, &whole), right })
    }

    /// Counts a range that is not as large as was thought, so that it is not split for nothing.
    pub(crate) async fn correct_statistics(&self, replica: &Arc<Replica>) -> Result<(), KvError> {
        let (sequenced, descriptor) = self.latch_everything(replica, waits_unless_alone).await?;
        self.ranges.checks.counted_otherwise(replica.id);
        let counted = self.count(&descriptor)?;
        let correction = correction(counted, &replica.apply.lock().statistics);
        self.replicate(replica, sequenced, correction, Effects::default(), &WriteBatch::new(), None).await
    }

    fn count(&self, range: &RangeDescriptor) -> Result<Statistics, KvError> {
        mvcc::compute_statistics(&*self.ranges.engine, &range.span).map_err(storage_error)
    }

    /// A range id that was never used: counted up in the system keyspace.
    async fn allocate_range_id(&self) -> Result<RangeId, KvError> {
        let key = keys::system::allocator(RANGE_ALLOCATOR);
        let id = self.db()?.transact(TxnOptions::default(), |txn| count_up(txn, key.clone())).await?;
        Ok(RangeId(id))
    }
}

/// If nobody else has a replica no read needs to wait: no value changes. Otherwise reads wait as well: another replica may apply the split first, lead
/// the right half and write there, while this one still takes itself for its leaseholder.
fn waits_unless_alone(descriptor: &RangeDescriptor) -> Timestamp {
    if descriptor.replicas.len() == 1 { Timestamp::MAX } else { Timestamp::ZERO }
}

/// What makes what was counted of what was thought. Not of the number of intents: by that of a command's delta replicas keep their own
/// exact counts (`machine`), which were right before.
fn correction(counted: Statistics, thought: &Statistics) -> Statistics {
    let mut correction = counted;
    correction.subtract(thought);
    correction.intent_count = 0;
    correction
}

fn count_up(txn: &Txn, key: Key) -> BoxFuture<'_, Result<u64, KvError>> {
    Box::pin(async move {
        let stored = txn.get(&key, Locking::NO_KEY_UPDATE).await?;
        let bytes = stored.as_deref().and_then(|stored| <[u8; 8]>::try_from(stored).ok());
        let next = bytes.map(u64::from_be_bytes);
        let next =
            next.ok_or_else(|| KvError::corruption("the allocator of range ids is missing or malformed"))?;
        txn.put(&key, &(next + 1).to_be_bytes())?;
        Ok(next)
    })
}

/// The counter of range ids: the next one to be given out, eight bytes, big-endian.
pub(crate) const RANGE_ALLOCATOR: &str = "range";

fn halves(whole: &RangeDescriptor, at: &Key, new_id: RangeId) -> (RangeDescriptor, RangeDescriptor) {
    let generation = whole.generation + 1;
    let left = RangeDescriptor {
        span: Span { start: whole.span.start.clone(), end: at.clone() },
        generation,
        ..whole.clone()
    };
    // Replica numbers begin anew in a range of its own.
    let replicas = whole.replicas.iter().zip(1..);
    let replicas: Vec<_> = replicas
        .map(|(replica, number)| kvapi::ReplicaDescriptor { replica: ReplicaId(number), ..*replica })
        .collect();
    let right = RangeDescriptor {
        id: new_id,
        span: Span { start: at.clone(), end: whole.span.end.clone() },
        generation,
        next_replica: ReplicaId(replicas.len() as u32 + 1),
        replicas,
    };
    (left, right)
}
