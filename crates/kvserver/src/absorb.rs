//! What the steps of a merge do to the replicas of a store: the part of `machine` that is about them. See `merge`.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use clock::Timestamp;
use keys::local::{self, RangeItem, range_item};
use keys::{RangeId, Span};
use kvapi::RangeDescriptor;
use replication::{Awaited, Position, RangeChange, SendError};
use storage::mvcc;
use storage::{Keyspace, Operation, WriteBatch};

use crate::command::{AbsorbEffect, Effects, MergeEffect};
use crate::machine::Machine;
use crate::merge::Merging;
use crate::replica::Replica;

/// Whether a command comes in time: a frozen range takes nothing but the end of that freeze, and steps of a merge are for the range as it was
/// when they were decided on. The same on every replica.
pub(crate) fn is_timely(replica: &Replica, effects: &Effects) -> bool {
    if effects.merge.is_none() && !replica.is_merging.load(Ordering::Acquire) {
        return true;
    }
    let state = replica.state.lock();
    let frozen = state.merging.as_ref().map(|merging| merging.frozen.index.0);
    let generation = state.descriptor.generation;
    match (effects.merge.as_deref(), frozen) {
        (Some(MergeEffect::Thaw(index)), frozen) => frozen == Some(*index),
        (_, Some(_)) => false,
        (Some(MergeEffect::Absorb(absorb)), None) => generation == absorb.generation,
        (Some(MergeEffect::Bar(descriptor)), None) => generation + 1 == descriptor.generation,
        (Some(MergeEffect::Freeze(_)) | None, None) => true,
    }
}

/// What a command waits for.
pub(crate) fn awaited(effects: &Effects) -> Option<Awaited> {
    match effects.merge.as_deref()? {
        MergeEffect::Absorb(absorb) => Some(Awaited { range: absorb.right.id, upto: absorb.frozen }),
        MergeEffect::Freeze(_) | MergeEffect::Bar(_) | MergeEffect::Thaw(_) => None,
    }
}

/// What a step adds to the batch of its command.
pub(crate) fn apply(
    range: RangeId,
    merge: &MergeEffect,
    position: Position,
    batch: &mut WriteBatch,
) -> RangeChange {
    let item = range_item(range, RangeItem::Merging);
    match merge {
        MergeEffect::Freeze(freeze) => {
            let merging = Merging::new(freeze.clone(), position);
            batch.put(Keyspace::RangeLocal, &item, &merging.encode());
        }
        MergeEffect::Thaw(_) => batch.delete(Keyspace::RangeLocal, &item),
        MergeEffect::Bar(_) => {}
        MergeEffect::Absorb(absorb) => {
            batch.delete_range(Keyspace::RangeLocal, &local::range_span(absorb.right.id));
            return RangeChange::Merge(absorb.right.id);
        }
    }
    // Whatever comes next is to be judged by this.
    RangeChange::Pause
}

/// The generation of the range that a snapshot holds. Refused if the range is not the span that was read: it was split or has absorbed another
/// while the sender looked.
pub(crate) fn generation_of(range: RangeId, span: &Span, chunks: &[WriteBatch]) -> Result<u64, SendError> {
    let key = local::range_descriptor(&span.start);
    let stored = chunks.iter().flat_map(WriteBatch::iter).find_map(|operation| match operation {
        Operation::Put(Keyspace::RangeLocal, found, value) if found == &key[..] => Some(value),
        _ => None,
    });
    let refuse = |why: &str| SendError(format!("range {range}: a snapshot {why}"));
    let stored = stored.ok_or_else(|| refuse("without descriptor"))?;
    let descriptor = RangeDescriptor::decode(stored).map_err(|error| refuse(&error.to_string()))?;
    if descriptor.id != range || descriptor.span != *span {
        return Err(refuse("of what the range was a moment before or after"));
    }
    Ok(descriptor.generation)
}

impl Replica {
    /// For whom the range is frozen, if it is.
    pub fn set_merging(&self, merging: Option<Merging>) {
        let is_merging = merging.is_some();
        self.state.lock().merging = merging.map(Box::new);
        self.is_merging.store(is_merging, Ordering::Release);
    }
}

impl Machine {
    /// A step is in the engine; now requests are told.
    pub(crate) fn merge_applied(&self, replica: &Arc<Replica>, merge: MergeEffect, at: Position) {
        match merge {
            MergeEffect::Freeze(freeze) => {
                let since = self.ranges.env.monotonic();
                replica.set_merging(Some(Merging { since, ..Merging::new(freeze, at) }));
            }
            MergeEffect::Thaw(_) => replica.set_merging(None),
            MergeEffect::Bar(descriptor) => {
                let leads = {
                    let mut state = replica.state.lock();
                    state.descriptor = Arc::new(descriptor.clone());
                    state.lease.is_some()
                };
                if leads {
                    self.ranges.events.tell_described(descriptor);
                }
            }
            MergeEffect::Absorb(absorb) => self.absorb(replica, absorb),
        }
    }

    /// The left range has become both. What the right one's leaseholder had in memory is taken over as after a move of its lease: reads up to the floor
    /// may have happened, locks are gone. Its marks of transactions are kept if its lease was here.
    fn absorb(&self, left: &Arc<Replica>, absorb: AbsorbEffect) {
        let AbsorbEffect { merged, right: right_descriptor, floor, .. } = absorb;
        let ranges = &self.ranges;
        if let Err(error) = ranges.clock.observe(floor) {
            tracing::warn!(%error, "a merge was made by a node whose clock is far ahead");
        }
        let right = ranges.get(right_descriptor.id).ok();
        let had_intents =
            !left.has_no_intents() || right.as_ref().is_none_or(|right| !right.has_no_intents());
        let mut wakes = Vec::new();
        let leads = {
            let mut guard = left.state.lock();
            let state = &mut *guard;
            if had_intents {
                let found = mvcc::find_intents(&*ranges.engine, &merged.span, usize::MAX);
                let count = found.expect("the engine was written to just now").len() as i64;
                left.intents.store(count, Ordering::Release);
            }
            state.lease_floor = state.lease_floor.max(floor);
            state.moved_to = state.moved_to.max(floor.saturating_add(ranges.clock.offset_max()));
            state.descriptor = Arc::new(merged.clone());
            if let Some(lease) = &mut state.lease {
                // What was placed in the right range before may have been placed by others.
                lease.start = lease.start.max(floor);
                state.manager.reads.read_span(&right_descriptor.span, floor, None);
                // Two ranges' mutexes: the left one's first, as everywhere.
                let right_state = right.as_ref().map(|right| right.state.lock());
                match right_state.filter(|right| right.lease.is_some()) {
                    Some(right) => state.marks.absorb(&right.marks),
                    None => state.marks.raise_floor(floor),
                }
            } else {
                // What a split has passed on is of no use to whoever leads it next.
                state.inherited = None;
                state.manager.locks.clear(&mut wakes);
            }
            state.lease.is_some()
        };
        ranges.room.wake(wakes);
        if let Some(right) = right {
            // Readers that are not through: see `check_not_collected`.
            right.gc_threshold_wall.store(u64::MAX, Ordering::Release);
            ranges.remove(right.id);
        }
        if leads {
            ranges.merges.count_merged();
            ranges.events.tell_described(merged);
        }
    }
}

/// The higher of two thresholds holds for both.
pub(crate) fn common_threshold(left: &Replica, right: &Replica) -> Timestamp {
    let of = |replica: &Replica| replica.state.lock().gc_threshold;
    of(left).max(of(right))
}
