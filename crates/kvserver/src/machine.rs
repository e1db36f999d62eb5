//! The state machine: applies commands to the state of ranges, the same on every replica.
//!
//! `apply` only appends to a batch and remembers what the command will change in memory; `applied` makes it visible once
//! the batch is in the engine. In between requests see the old descriptor and the old state, which fit each other.
//!
//! # The count of intents
//!
//! Reads skip looking for intents when a range has none, so the count must be exact. It is counted when the store opens, on
//! the state that is found; every command carries by how much it changes; after a split, when both halves are at rest, it is counted
//! again if there were any.
//!
//! The other statistics steer splits and garbage collection and are estimates: they are stored with every
//! [`STORE_STATISTICS_EVERY`]th command only.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use keys::local::{RangeItem, range_item};
use keys::{RangeId, ReplicaId, Span, StoreId};
use kvapi::RangeDescriptor;
use replication::{
    ApplyEffect, ApplyError, Committed, Leadership, NewRange, Position, RangeChange, StateMachine,
    configuration_of,
};
use storage::mvcc::{self, Statistics};
use storage::{Keyspace, WriteBatch};

use crate::command::{self, Effects, SplitEffect};
use crate::ranges::{Event, Ranges};
use crate::replica::Replica;

/// Commands between two stored statistics.
const STORE_STATISTICS_EVERY: u64 = 16;

/// The answer of a command that was evaluated under another lease.
pub(crate) const REJECTED: &[u8] = b"r";
/// The answer of a command that took effect.
pub(crate) const ACCEPTED: &[u8] = b"a";

/// What a command will change in memory.
#[derive(Default)]
pub(crate) struct Pending {
    delta: Statistics,
    effects: Effects,
}

/// Applies commands to the ranges of a store.
pub(crate) struct Machine {
    ranges: Arc<Ranges>,
}

impl Machine {
    pub fn new(ranges: Arc<Ranges>) -> Arc<Machine> {
        Arc::new(Machine { ranges })
    }

    fn replica(&self, range: RangeId) -> Result<Arc<Replica>, ApplyError> {
        self.ranges
            .get(range)
            .map_err(|_| ApplyError(format!("a command for range {range}, which is not here")))
    }

    fn new_range(&self, right: &RangeDescriptor) -> Result<NewRange, ApplyError> {
        let here = right.replica_on(self.ranges.config.store);
        let here =
            here.ok_or_else(|| ApplyError(format!("range {} has no replica on this store", right.id)))?;
        let voters = right.replicas.iter().filter(|replica| replica.kind == kvapi::ReplicaKind::Voter);
        let configuration = configuration_of(voters.map(|replica| replica.replica));
        Ok(NewRange { range: right.id, replica: here.replica, configuration })
    }

    fn applied_one(&self, replica: &Arc<Replica>, pending: Pending) {
        if pending.delta.intent_count != 0 {
            replica.intents.fetch_add(pending.delta.intent_count, Ordering::AcqRel);
        }
        if let Some(threshold) = pending.effects.gc_threshold {
            let mut state = replica.state.lock();
            state.gc_threshold = state.gc_threshold.max(threshold);
            replica.gc_threshold_wall.store(state.gc_threshold.wall, Ordering::Release);
        }
        if let Some(split) = pending.effects.split {
            self.split(replica, *split);
        }
        self.watch_size(replica);
    }

    fn watch_size(&self, replica: &Replica) {
        let size = replica.size_bytes.load(Ordering::Relaxed);
        if size > self.ranges.config.range_bytes_max && !replica.split_queued.swap(true, Ordering::AcqRel) {
            self.ranges.tell(Event::TooLarge(replica.id));
        }
    }

    /// What is applied is in the engine, and nothing else: the count must agree.
    #[cfg(debug_assertions)]
    fn check_intents(&self, replica: &Replica) {
        let span = replica.state.lock().descriptor.span.clone();
        let Ok(found) = mvcc::find_intents(&*self.ranges.engine, &span, usize::MAX) else { return };
        let counted = replica.intents.load(Ordering::Acquire);
        assert_eq!(found.len() as i64, counted, "the count of intents of range {} is wrong", replica.id);
    }

    /// Both halves are in the engine; now requests are told.
    fn split(&self, left: &Arc<Replica>, split: SplitEffect) {
        let SplitEffect { left: left_descriptor, right: right_descriptor, right_statistics } = split;
        if self.ranges.contains(right_descriptor.id) {
            return;
        }
        let count = |span: &Span| -> i64 {
            let found = mvcc::find_intents(&*self.ranges.engine, span, usize::MAX);
            found.expect("the engine was written to just now").len() as i64
        };
        let had_intents = !left.has_no_intents();
        let right_intents = if had_intents { count(&right_descriptor.span) } else { 0 };
        let right =
            Replica::new(self.ranges.clone(), right_descriptor.clone(), right_statistics, right_intents);
        let mut wakes = Vec::new();
        {
            let mut state = left.state.lock();
            if had_intents {
                left.intents.store(count(&left_descriptor.span), Ordering::Release);
            }
            state.descriptor = Arc::new(left_descriptor.clone());
            if let Some(lease) = state.lease {
                // Nobody else knows the right half yet: its mutex is free.
                let mut right_state = right.state.lock();
                right_state.manager = state.manager.split_off(&right_descriptor.span.start, &mut wakes);
                right_state.marks = state.marks.clone();
                right_state.gc_threshold = state.gc_threshold;
                right_state.inherited = Some(lease.start);
            }
        }
        left.split_queued.store(false, Ordering::Release);
        right.gc_threshold_wall.store(left.gc_threshold_wall.load(Ordering::Acquire), Ordering::Release);
        self.ranges.add(right.clone());
        self.ranges.room.wake(wakes);
        self.ranges.tell(Event::Described(vec![right_descriptor, left_descriptor]));
        self.watch_size(&right);
    }
}

impl StateMachine for Machine {
    fn apply(
        &self,
        range: RangeId,
        command: &Committed,
        batch: &mut WriteBatch,
    ) -> Result<ApplyEffect, ApplyError> {
        if command.conf_change.is_some() {
            // Replicas are added and removed by a later version of this program.
            let change = Some(RangeChange::Veto);
            return Ok(ApplyEffect { answer: Bytes::from_static(REJECTED), change });
        }
        let replica = self.replica(range)?;
        let malformed = |error: String| ApplyError(format!("range {range}, {:?}: {error}", command.position));
        let (head, body) = command::decode(&command.command).map_err(|error| malformed(error.to_string()))?;
        let mut side = replica.apply.lock();
        if head.term != command.position.term.0 {
            side.pending.push_back(Pending::default());
            return Ok(ApplyEffect { answer: Bytes::from_static(REJECTED), change: None });
        }
        batch.append_encoded(body).map_err(|error| malformed(error.to_string()))?;
        side.statistics.add(&head.delta);
        let mut change = None;
        if let Some(split) = &head.effects.split {
            side.statistics.subtract(&split.right_statistics);
            change = Some(RangeChange::Split(self.new_range(&split.right)?));
            put_statistics(batch, split.right.id, &split.right_statistics);
        }
        if change.is_some() || command.position.index.0 % STORE_STATISTICS_EVERY == 0 {
            put_statistics(batch, range, &side.statistics);
        }
        replica.size_bytes.store(side.statistics.total_bytes(), Ordering::Relaxed);
        replica.garbage_bytes.store(side.statistics.garbage_bytes(), Ordering::Relaxed);
        side.pending.push_back(Pending { delta: head.delta, effects: head.effects });
        Ok(ApplyEffect { answer: Bytes::from_static(ACCEPTED), change })
    }

    fn applied(&self, range: RangeId, _upto: Position, effects: &[ApplyEffect]) {
        let Ok(replica) = self.ranges.get(range) else { return };
        for effect in effects {
            if effect.change == Some(RangeChange::Veto) {
                continue;
            }
            let pending = replica.apply.lock().pending.pop_front();
            self.applied_one(&replica, pending.expect("every effect told was passed to apply before"));
        }
        #[cfg(debug_assertions)]
        self.check_intents(&replica);
    }

    fn leadership_changed(&self, range: RangeId, leadership: Leadership) {
        self.ranges.leadership_changed(range, leadership);
    }

    fn snapshot_parts(&self, range: RangeId) -> Vec<(Keyspace, Span)> {
        match self.ranges.get(range) {
            Ok(replica) => mvcc::replicated_parts(range, &replica.state.lock().descriptor.span),
            Err(_) => Vec::new(),
        }
    }

    fn store_of(&self, range: RangeId, replica: ReplicaId) -> Option<StoreId> {
        let descriptor = self.ranges.get(range).ok()?.state.lock().descriptor.clone();
        descriptor.replicas.iter().find(|other| other.replica == replica).map(|other| other.store)
    }
}

fn put_statistics(batch: &mut WriteBatch, range: RangeId, statistics: &Statistics) {
    batch.put(Keyspace::RangeLocal, &range_item(range, RangeItem::Statistics), &statistics.encode());
}
