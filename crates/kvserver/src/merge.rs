//! Merging two neighbouring ranges into one.
//!
//! Ranges that have become small cost as much as large ones: a Raft group, a lease, a look by every queue, and a commit over two of them a second
//! phase. What a split has cut for size or load, or for something that is not wanted any more, is put together again when both parts have been
//! small and quiet for a while.
//!
//! ```text
//!   leaseholder of both                       right's log          left's log
//!     latches left's descriptor
//!     latches everything of right
//!     command: freeze for left, generation 7 --> #12
//!     every replica of right has #12 durably?
//!     command: absorb right as of #12, if my generation is 7 --------> #30
//!                                                                     applied on each replica, once it has applied right's #12:
//!                                                                     right ends there
//! ```
//!
//! # Who decides
//!
//! The left range's log, and nothing else. A freeze names the left range's generation, and the left range absorbs under no other: so of "absorb"
//! and of whatever else raises the generation exactly one comes first. There is no transaction over the two ranges, and no coordinator that must not die:
//! whoever leads a right range that stays frozen asks the left one to raise its generation (*bar* the merge: [`kvapi::BarMergeRequest`]).
//! What that answers is final. If the answer's span has the right range's first key, the merge has happened, and the replica here ends when the left one
//! has come so far; else the range is thawed. A range holds its first key as long as it exists, so the answer cannot be misread, also if the left
//! range itself has been absorbed since.
//!
//! # What must be so before
//!
//! - Both ranges are leased here and have voters on the same stores, nothing else: then the two can serve and be cut off only together, and each store has
//!   what it needs to apply the merge (`replication`'s `merge`). The latch of the left descriptor keeps its members as they are until the
//!   outcome is known; the freeze those of the right one.
//! - Each of the right one's replicas has the freeze in its log, durably, before the merge is proposed. One that lags in *applying* does so from
//!   its own log, told by the merge that this is committed. One that gets a snapshot from after the merge loses the right replica with it.
//! - No one waits for ever: the freeze comes last, after all logs were found to be equal, and is given up after [`FROZEN_MAX`].
//!
//! # What becomes of what a leaseholder knows
//!
//! | of the right range | after the merge |
//! | --- | --- |
//! | reads | all counted as at the *floor*: the clock when everything was latched, reads included. It goes with the command: no later lease of the whole begins below |
//! | locks | gone, as when a lease moves: commits check what they claim |
//! | marks of ended transactions | kept; if the lease has moved since the freeze, what began below the floor counts as forgotten |
//! | observed clocks | nothing observed below the floor counts, and nothing moved up to the maximum offset above it |
//! | what was closed | lies below the floor; what the left one has closed holds for what it absorbs as well: nothing is written at or below it, as the floor of its timestamp cache is above |
//! | garbage threshold | the higher one of both |
//! | intents, records of transactions | are where they were: by key |
//!
//! # Addressing
//!
//! As after a split the records follow, from a queue: the one of the whole replaces the right one's, and those within are deleted (see
//! `queues`). Whoever still goes by the old ones finds no range, or one that has more than was thought.
//!
//! # Which
//!
//! Which pairs are merged, and how their leases come to one store: see `mergeable`.
//!
//! # Where a crash of the leaseholder may come
//!
//! | after | what becomes of it |
//! | --- | --- |
//! | the freeze is proposed | it is in the log or not; if it is, the next leaseholder of the right range bars and thaws |
//! | the merge is proposed | it is in the left one's log or not: the next leaseholder of that has applied it before it answers anybody |
//! | it is applied somewhere | it is applied everywhere |
//! | before the addressing records are written | the next lease tells them again |

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use clock::Timestamp;
use env::timeout;
use keys::local::{self, RangeItem, range_item};
use keys::{RangeId, Span};
use kvapi::planted::Bug;
use kvapi::wire::{Malformed, Reader, Writer};
use kvapi::{BarMergeRequest, BatchRequest, BatchResponse, Header, KvError, RangeDescriptor, Response};
use replication::{Index, Position, Term};
use storage::mvcc::Statistics;
use storage::{Keyspace, WriteBatch};

use crate::absorb::common_threshold;
use crate::command::{self, AbsorbEffect, Effects, FreezeEffect, Head, MergeEffect};
use crate::machine::ACCEPTED;
use crate::mergeable::{Due, Looks, Step, are_together};
use crate::replica::Replica;
use crate::store::{Inner, next_round};
use crate::write::Sequenced;

/// How long a range is frozen before its freeze is given up.
const FROZEN_MAX: Duration = Duration::from_secs(1);
/// How often is looked whether all replicas have the freeze.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);
/// A freeze that is older than this is looked after by whoever leads the range.
const SETTLE_AFTER: Duration = Duration::from_secs(3);
/// How long a thaw may take.
const THAW_MAX: Duration = Duration::from_secs(10);

/// For whom a range is frozen, and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Merging {
    pub freeze: FreezeEffect,
    /// Where the freeze stands in the log.
    pub frozen: Position,
    /// Since when that is known here.
    pub since: Duration,
}

/// Stored, version 1: `version:u8, the left range's id, its first key, its generation, index:u64, term:u64`.
impl Merging {
    pub fn new(freeze: FreezeEffect, frozen: Position) -> Merging {
        Merging { freeze, frozen, since: Duration::ZERO }
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = Writer(&mut bytes);
        writer.u8(1);
        writer.u64(self.freeze.left.get());
        writer.bytes(&self.freeze.left_start);
        [self.freeze.generation, self.frozen.index.0, self.frozen.term.0]
            .into_iter()
            .for_each(|number| writer.u64(number));
        bytes
    }

    pub fn decode(stored: &[u8], since: Duration) -> Result<Merging, Malformed> {
        let mut reader = Reader(stored);
        reader.version()?;
        let freeze = FreezeEffect {
            left: RangeId(reader.u64()?),
            left_start: reader.key()?,
            generation: reader.u64()?,
        };
        let frozen = Position { index: Index(reader.u64()?), term: Term(reader.u64()?) };
        reader.finish()?;
        Ok(Merging { freeze, frozen, since })
    }
}

/// Merges that were made, or begun, here as the leaseholder since the store was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MergeReadings {
    pub merged: u64,
    /// Begun, and given up.
    pub given_up: u64,
    /// Frozen ranges that were thawed.
    pub thawed: u64,
    /// Pairs that are small enough, as of the last look.
    pub candidates: u64,
}

/// Counts them.
#[derive(Debug, Default)]
pub(crate) struct MergeCounts {
    merged: AtomicU64,
    given_up: AtomicU64,
    thawed: AtomicU64,
    candidates: AtomicU64,
}

impl MergeCounts {
    pub fn set_candidates(&self, candidates: u64) {
        self.candidates.store(candidates, Ordering::Relaxed);
    }

    pub fn count_merged(&self) {
        self.merged.fetch_add(1, Ordering::Relaxed);
    }

    pub fn read(&self) -> MergeReadings {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        MergeReadings {
            merged: read(&self.merged),
            given_up: read(&self.given_up),
            thawed: read(&self.thawed),
            candidates: read(&self.candidates),
        }
    }
}

/// Looks at pairs of ranges whose leases are here or can be brought together, and after ranges that stay frozen.
pub(crate) async fn run(store: Weak<Inner>) {
    let mut looks = Looks::default();
    loop {
        let Some(inner) = next_round(&store, |_, tuning| tuning.replicate_interval).await else { return };
        inner.settle_merges().await;
        let due = match inner.mergeable(&mut looks) {
            Ok(due) => due,
            Err(error) => {
                tracing::debug!(%error, "which ranges could be merged is not known");
                continue;
            }
        };
        for Due { left, right, step } in due {
            if inner.tasks.is_stopped() {
                return;
            }
            let result = match step {
                Step::Merge => inner.merge(&left, &right).await,
                Step::HandOver(to) => inner.hand_over_to(&right, to).await,
                Step::Gather(moving) if moving == left.id => inner.gather(&left, &right).await,
                Step::Gather(_) => inner.gather(&right, &left).await,
            };
            if let Err(error) = result {
                inner.ranges.merges.given_up.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(%error, left = %left.id, right = %right.id, ?step, "two ranges stay apart");
            }
        }
    }
}

impl Inner {
    // ---- merging ------------------------------------------------------------------------------------

    /// Merges two neighbours whose leases are here.
    pub(crate) async fn merge(
        self: &Arc<Self>,
        left: &Arc<Replica>,
        right: &Arc<Replica>,
    ) -> Result<(), KvError> {
        self.await_followers(left).await?;
        self.await_followers(right).await?;
        for range in [left, right] {
            self.check_current(range)?;
        }
        let descriptor = left.leased_descriptor()?;
        let start = &descriptor.span.start;
        let latched = self.latch_record(left, start, &local::range_descriptor(start)).await?;
        let descriptor = left.state.lock().descriptor.clone();
        let result = match self.freeze(&descriptor, right).await {
            Ok(floor) => self.absorb(left, latched, &descriptor, right, floor).await,
            Err(error) => {
                drop(latched);
                Err(error)
            }
        };
        if result.is_err() {
            // Perhaps it has happened all the same, or will: the left range knows.
            if let Err(error) = self.settle(right).await {
                tracing::debug!(%error, range = %right.id, "a range stays frozen for now");
            }
        } else {
            tracing::info!(range = %left.id, right = %right.id, at = %descriptor.span.end, "two ranges were merged");
        }
        result
    }

    /// Every replica gets the log as it grows: then a freeze is not likely to last.
    fn check_current(&self, replica: &Replica) -> Result<(), KvError> {
        let descriptor = replica.leased_descriptor()?;
        let followers = self.consensus()?.followers(replica.id);
        let is_current = |there: &kvapi::ReplicaDescriptor| {
            there.store == self.ranges.config.store
                || followers.iter().any(|it| {
                    it.replica == there.replica
                        && it.is_current
                        && self.ranges.liveness.is_supported_by(there.store)
                })
        };
        match descriptor.replicas.iter().all(is_current) {
            true => Ok(()),
            false => Err(KvError::unavailable("not every replica is up to date")),
        }
    }

    /// Nothing changes in the right range from now on, nor is anything read. Gives up to where it may have been read.
    async fn freeze(
        self: &Arc<Self>,
        left: &RangeDescriptor,
        right: &Arc<Replica>,
    ) -> Result<Timestamp, KvError> {
        // Reads as well, also if nobody else has a replica: what they have read is not handed over one by one.
        let (sequenced, descriptor) = self.latch_everything(right, |_| Timestamp::ZERO).await?;
        if !are_together(left, &descriptor) {
            return Err(KvError::unavailable("the ranges have just been changed"));
        }
        let forgets = self.ranges.config.planted.has(Bug::NoMergeFloor);
        let floor = if forgets { Timestamp::ZERO } else { self.ranges.clock.now() };
        let freeze =
            FreezeEffect { left: left.id, left_start: left.span.start.clone(), generation: left.generation };
        let merge = Some(Box::new(MergeEffect::Freeze(freeze)));
        let effects = Effects { merge, ..Effects::default() };
        let nothing = WriteBatch::new();
        self.replicate(right, sequenced, Statistics::default(), effects, &nothing, None).await?;
        Ok(floor)
    }

    /// The left range absorbs the right one, which is frozen for it.
    async fn absorb(
        &self,
        left: &Arc<Replica>,
        latched: Sequenced,
        before: &RangeDescriptor,
        right: &Arc<Replica>,
        floor: Timestamp,
    ) -> Result<(), KvError> {
        let frozen = right.state.lock().merging.as_ref().map(|merging| merging.frozen);
        let frozen = frozen.ok_or_else(|| KvError::unavailable("the range was thawed at once"))?;
        let right_descriptor = (*right.state.lock().descriptor).clone();
        self.await_freeze(right, &right_descriptor, frozen.index.0).await?;
        let merged = RangeDescriptor {
            span: Span { start: before.span.start.clone(), end: right_descriptor.span.end.clone() },
            generation: before.generation.max(right_descriptor.generation) + 1,
            ..before.clone()
        };
        let threshold = common_threshold(left, right);
        let mut batch = WriteBatch::new();
        let key = local::range_descriptor(&merged.span.start);
        batch.put(Keyspace::RangeLocal, &key, &merged.encode());
        batch.delete(Keyspace::RangeLocal, &local::range_descriptor(&right_descriptor.span.start));
        let item = range_item(left.id, RangeItem::GcThreshold);
        batch.put(Keyspace::RangeLocal, &item, &threshold.to_bytes());
        let absorb = AbsorbEffect {
            generation: before.generation,
            merged,
            right: right_descriptor,
            frozen,
            right_statistics: right.apply.lock().statistics,
            floor,
        };
        let merge = Some(Box::new(MergeEffect::Absorb(absorb)));
        let effects = Effects { merge, gc_threshold: Some(threshold), ..Effects::default() };
        self.replicate(left, latched, Statistics::default(), effects, &batch, None).await
    }

    /// Completes when every replica of the range has its log up to the freeze, durably.
    async fn await_freeze(
        &self,
        right: &Replica,
        descriptor: &RangeDescriptor,
        index: u64,
    ) -> Result<(), KvError> {
        let own = self.ranges.config.store;
        let give_up_at = self.env.monotonic() + FROZEN_MAX;
        loop {
            let followers = self.consensus()?.followers(right.id);
            let has_it = |replica: &kvapi::ReplicaDescriptor| {
                replica.store == own
                    || followers.iter().any(|it| it.replica == replica.replica && it.matched >= index)
            };
            if descriptor.replicas.iter().all(has_it) {
                return Ok(());
            }
            if self.env.monotonic() >= give_up_at {
                return Err(KvError::unavailable("not every replica of the right range has its log"));
            }
            self.env.sleep(LOOK_INTERVAL).await;
        }
    }

    // ---- ending what was begun ----------------------------------------------------------------------

    /// See [`BarMergeRequest`].
    pub async fn bar_merge(
        self: &Arc<Self>,
        replica: Arc<Replica>,
        request: &BarMergeRequest,
    ) -> Result<BatchResponse, KvError> {
        let start = replica.leased_descriptor()?.span.start.clone();
        let record = local::range_descriptor(&start);
        let sequenced = self.latch_record(&replica, &request.key, &record).await?;
        let mut descriptor = (*replica.state.lock().descriptor).clone();
        if descriptor.id == request.range && descriptor.generation == request.generation {
            descriptor.generation += 1;
            let mut batch = WriteBatch::new();
            batch.put(Keyspace::RangeLocal, &record, &descriptor.encode());
            let merge = Some(Box::new(MergeEffect::Bar(descriptor.clone())));
            let effects = Effects { merge, ..Effects::default() };
            self.replicate(&replica, sequenced, Statistics::default(), effects, &batch, None).await?;
        }
        let response = Response::Descriptor(Box::new(descriptor));
        Ok(self.respond(response, Timestamp::ZERO, Timestamp::ZERO))
    }

    /// Looks after ranges led from here that have been frozen for too long: whoever froze them is gone, or does not get on.
    async fn settle_merges(self: &Arc<Self>) {
        let now = self.env.monotonic();
        for replica in self.ranges.all() {
            let is_due = {
                let state = replica.state.lock();
                let since = state.merging.as_ref().map(|merging| merging.since);
                state.lease.is_some() && since.is_some_and(|since| now >= since + SETTLE_AFTER)
            };
            if !is_due {
                continue;
            }
            if let Err(error) = self.settle(&replica).await {
                tracing::debug!(%error, range = %replica.id, "a range stays frozen for now");
            }
        }
    }

    /// Asks the left range what has become of the merge for which a range is frozen, for good, and thaws that if it has come to nothing.
    async fn settle(self: &Arc<Self>, right: &Arc<Replica>) -> Result<(), KvError> {
        let (merging, start) = {
            let state = right.state.lock();
            let Some(merging) = state.merging.as_deref().cloned() else { return Ok(()) };
            (merging, state.descriptor.span.start.clone())
        };
        let FreezeEffect { left, left_start, generation } = merging.freeze;
        let request = BarMergeRequest { key: left_start.clone(), range: left, generation };
        let mut batch = BatchRequest::new(Header::default(), request);
        let mut response = self.db()?.send(&left_start, &mut batch).await?;
        let Some(Response::Descriptor(now)) = response.responses.pop() else {
            return Err(KvError::corruption("a merge that was to be barred was answered otherwise"));
        };
        if now.id != right.id && now.contains(&start) {
            // It has happened: the replica here ends when the left one has come so far.
            return Ok(());
        }
        let Some(lease) = right.state.lock().lease else { return Ok(()) };
        let merge = Some(Box::new(MergeEffect::Thaw(merging.frozen.index.0)));
        let effects = Effects { merge, ..Effects::default() };
        let head = Head { term: lease.term, delta: Statistics::default(), effects };
        let command = command::encode(&head, &WriteBatch::new());
        let proposal = self.consensus()?.propose(right.id, command);
        match timeout(&*self.env, THAW_MAX, proposal).await {
            Ok(Ok(answer)) if answer[..] == *ACCEPTED => {
                self.ranges.merges.thawed.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(range = %right.id, %left, "a merge was given up");
                Ok(())
            }
            Ok(Ok(_)) => Err(KvError::unavailable("the lease has moved")),
            Ok(Err(error)) => Err(KvError::unavailable(error.to_string())),
            Err(_) => Err(KvError::unavailable("no quorum takes the thaw")),
        }
    }
}

#[cfg(test)]
mod tests {
    use keys::Key;

    use super::*;

    #[test]
    fn what_is_stored_of_a_freeze_is_frozen() {
        let freeze = FreezeEffect { left: RangeId(4), left_start: Key::from("k"), generation: 3 };
        let merging = Merging::new(freeze, Position { index: Index(2), term: Term(1) });
        let stored = merging.encode();
        let numbers = |number: u64| number.to_be_bytes();
        let expected =
            [&[1][..], &numbers(4), &[0, 0, 0, 1, b'k'], &numbers(3), &numbers(2), &numbers(1)].concat();
        assert_eq!(stored, expected);
        assert_eq!(Merging::decode(&stored, Duration::ZERO), Ok(merging));
        for end in 0..stored.len() {
            assert!(Merging::decode(&stored[..end], Duration::ZERO).is_err(), "cut to {end}");
        }
    }
}
