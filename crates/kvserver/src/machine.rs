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
use kvapi::planted::Bug;
#[cfg(debug_assertions)]
use kvapi::planted::Planted;
use kvapi::{RangeDescriptor, ReplicaKind};
use replication::{
    ApplyEffect, ApplyError, Awaited, Committed, Leadership, NewRange, Position, RangeChange, SendError,
    StateMachine, Term, configuration_of, raft_id,
};
use storage::mvcc::{self, Statistics};
use storage::{Keyspace, WriteBatch};

use crate::command::{self, CheckEffect, Effects, MergeEffect, SplitEffect, Verdict};
use crate::liveness::Rest;
use crate::ranges::Ranges;
use crate::replica::Replica;
use crate::{absorb, bootstrap, check};

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
    /// Of the range once the command is applied; `None`: as before.
    after: Option<Statistics>,
    effects: Effects,
}

/// Applies commands to the ranges of a store.
pub(crate) struct Machine {
    pub ranges: Arc<Ranges>,
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
        let of_kind = |kind| {
            let replicas = right.replicas.iter().filter(move |replica| replica.kind == kind);
            replicas.map(|replica| replica.replica)
        };
        let mut configuration = configuration_of(of_kind(ReplicaKind::Voter));
        configuration.learners = of_kind(ReplicaKind::Learner).map(raft_id).collect();
        configuration.learners.sort_unstable();
        Ok(NewRange { range: right.id, replica: here.replica, configuration })
    }

    fn applied_one(&self, replica: &Arc<Replica>, pending: Pending, upto: Position) {
        if pending.delta.intent_count != 0 {
            replica.intents.fetch_add(pending.delta.intent_count, Ordering::AcqRel);
        }
        if let Some(threshold) = pending.effects.gc_threshold {
            let mut state = replica.state.lock();
            if !self.ranges.config.planted.has(Bug::CollectTooEarly) {
                state.raise_gc_threshold(threshold);
            }
            replica.gc_threshold_wall.fetch_max(state.gc_threshold.wall, Ordering::AcqRel);
        }
        match (pending.effects.split, pending.after) {
            (Some(split), Some(after)) => self.split(replica, *split, &after),
            (_, Some(after)) => replica.set_sizes(&after),
            (_, None) => {}
        }
        if let Some(merge) = pending.effects.merge {
            self.merge_applied(replica, *merge, upto);
        }
        if let (Some(CheckEffect::Begin(id)), Some(after)) = (pending.effects.check.as_deref(), pending.after)
        {
            check::begin(replica, *id, upto.index.0, after);
        }
        if let Some(descriptor) = pending.effects.replicas {
            self.replicas_changed(replica, *descriptor);
        }
        self.ranges.watch_size(replica);
    }

    /// What is applied is in the engine, and nothing else: the count must agree.
    #[cfg(debug_assertions)]
    fn check_intents(&self, replica: &Replica) {
        if self.ranges.config.planted != Planted::NONE {
            return;
        }
        let span = replica.state.lock().descriptor.span.clone();
        let Ok(found) = mvcc::find_intents(&*self.ranges.engine, &span, usize::MAX) else { return };
        let counted = replica.intents.load(Ordering::Acquire);
        assert_eq!(found.len() as i64, counted, "the count of intents of range {} is wrong", replica.id);
    }

    /// The range has other replicas now. What was promised to keep the leader is looked at anew.
    fn replicas_changed(&self, replica: &Replica, descriptor: RangeDescriptor) {
        if descriptor.replica_on(self.ranges.config.store).is_none() {
            let has_lease = replica.state.lock().lease.is_some();
            assert!(!has_lease, "range {}: a leaseholder removes itself: see `liveness`", replica.id);
            self.ranges.remove(replica.id);
            return;
        }
        let leads = {
            let mut state = replica.state.lock();
            let is_alone = descriptor.replicas.len() == 1;
            state.descriptor = Arc::new(descriptor.clone());
            if let Some(lease) = &mut state.lease {
                (lease.is_alone, lease.until) = (is_alone, 0);
            }
            state.lease.is_some()
        };
        if leads {
            self.ranges.events.tell_described(descriptor);
        }
    }

    /// A membership change, with a command in its context. Vetoed alike by all replicas if it was decided on otherwise.
    fn apply_change(
        &self,
        replica: &Replica,
        command: &Committed,
        batch: &mut WriteBatch,
    ) -> Result<ApplyEffect, ApplyError> {
        let veto = || ApplyEffect { answer: Bytes::from_static(REJECTED), change: Some(RangeChange::Veto) };
        let Ok((head, body)) = command::decode(&command.command) else { return Ok(veto()) };
        let Some(descriptor) = &head.effects.replicas else { return Ok(veto()) };
        let before = replica.state.lock().descriptor.clone();
        let is_late = head.term != command.position.term.0 || descriptor.generation != before.generation + 1;
        if is_late || replica.is_merging.load(Ordering::Acquire) {
            return Ok(veto());
        }
        let malformed = |error: String| ApplyError(format!("range {}: {error}", replica.id));
        batch.append_encoded(body).map_err(|error| malformed(error.to_string()))?;
        let mut change = None;
        if descriptor.replica_on(self.ranges.config.store).is_none() {
            change = Some(RangeChange::Destroy(replica.id));
            replica.state.lock().freeze();
            for (keyspace, span) in mvcc::replicated_parts(replica.id, &before.span) {
                batch.delete_range(keyspace, &span);
            }
        }
        let pending = Pending { delta: head.delta, after: None, effects: head.effects };
        replica.apply.lock().pending.push_back(pending);
        Ok(ApplyEffect { answer: Bytes::from_static(ACCEPTED), change })
    }

    /// The store is not to be used any more if its replica of the range is not what most others have.
    fn judge(&self, range: RangeId, verdict: &Verdict) -> Result<(), ApplyError> {
        let Some(why) = self.ranges.checks.judge(range, verdict) else { return Ok(()) };
        if let Err(error) = check::condemn(&*self.ranges.engine, &why) {
            tracing::error!(%error, "that the store is not to be used any more cannot be written");
        }
        Err(ApplyError(why))
    }

    /// Both halves are in the engine; now requests are told. The left one's bounds and size (`after`) change in one step.
    fn split(&self, left: &Arc<Replica>, split: SplitEffect, after: &Statistics) {
        let SplitEffect { left: left_descriptor, right: right_descriptor, right_statistics, floor } = split;
        if let Err(error) = self.ranges.clock.observe(floor) {
            tracing::warn!(%error, "a split was made by a node whose clock is far ahead");
        }
        if self.ranges.contains(right_descriptor.id) {
            left.set_sizes(after);
            return;
        }
        let count = |span: &Span| -> i64 {
            let found = mvcc::find_intents(&*self.ranges.engine, span, usize::MAX);
            found.expect("the engine was written to just now").len() as i64
        };
        let recounts = !self.ranges.config.planted.has(Bug::NoIntentRecount);
        let had_intents = recounts && !left.has_no_intents();
        let right_intents = if had_intents { count(&right_descriptor.span) } else { 0 };
        let right =
            Replica::new(self.ranges.clone(), right_descriptor.clone(), right_statistics, right_intents);
        let mut wakes = Vec::new();
        self.ranges.begin(right.id);
        {
            let mut state = left.state.lock();
            if had_intents {
                left.intents.store(count(&left_descriptor.span), Ordering::Release);
            }
            state.descriptor = Arc::new(left_descriptor.clone());
            left.set_sizes(after);
            // Nobody else knows the right half yet: its mutex is free.
            let mut right_state = right.state.lock();
            right_state.lease_floor = floor;
            right_state.closed = left.closed_at(&mut state);
            right_state.gc_threshold = state.gc_threshold;
            if let Some(lease) = state.lease {
                right_state.manager = state.manager.split_off(&right_descriptor.span.start, &mut wakes);
                right_state.marks = state.marks.clone();
                right_state.inherited = Some(lease.start);
            }
        }
        left.split_queued.store(false, Ordering::Release);
        right.gc_threshold_wall.store(left.gc_threshold_wall.load(Ordering::Acquire), Ordering::Release);
        self.ranges.add(right.clone());
        self.ranges.room.wake(wakes);
        if left.state.lock().lease.is_some() {
            for descriptor in [right_descriptor, left_descriptor] {
                self.ranges.events.tell_described(descriptor);
            }
        }
        self.ranges.watch_size(&right);
    }
}

impl StateMachine for Machine {
    fn apply(
        &self,
        range: RangeId,
        command: &Committed,
        batch: &mut WriteBatch,
    ) -> Result<ApplyEffect, ApplyError> {
        let replica = self.replica(range)?;
        if command.conf_change.is_some() {
            return self.apply_change(&replica, command, batch);
        }
        let malformed = |error: String| ApplyError(format!("range {range}, {:?}: {error}", command.position));
        let (head, body) = command::decode(&command.command).map_err(|error| malformed(error.to_string()))?;
        let is_timely = head.term == command.position.term.0 && absorb::is_timely(&replica, &head.effects);
        let mut side = replica.apply.lock();
        if !is_timely {
            side.pending.push_back(Pending::default());
            return Ok(ApplyEffect { answer: Bytes::from_static(REJECTED), change: None });
        }
        batch.append_encoded(body).map_err(|error| malformed(error.to_string()))?;
        replica.load.written(body.len());
        side.statistics.add(&head.delta);
        if let Some(threshold) = head.effects.gc_threshold
            && !self.ranges.config.planted.has(Bug::CollectTooEarly)
        {
            // Before it is collected: whoever reads here without the lease looks at this afterwards.
            replica.gc_threshold_wall.fetch_max(threshold.wall, Ordering::AcqRel);
        }
        let mut change = None;
        if let Some(split) = &head.effects.split {
            side.statistics.subtract(&split.right_statistics);
            change = Some(RangeChange::Split(self.new_range(&split.right)?));
            put_statistics(batch, split.right.id, &split.right_statistics);
        }
        if let Some(merge) = &head.effects.merge {
            change = Some(absorb::apply(range, merge, command.position, batch));
            if let MergeEffect::Absorb(absorb) = &**merge {
                side.statistics.add(&absorb.right_statistics);
            }
        }
        match head.effects.check.as_deref() {
            Some(CheckEffect::Begin(_)) => change = Some(RangeChange::Pause),
            Some(CheckEffect::Verdict(verdict)) => self.judge(range, verdict)?,
            None => {}
        }
        if change.is_some() || command.position.index.0 % STORE_STATISTICS_EVERY == 0 {
            put_statistics(batch, range, &side.statistics);
        }
        let after = Some(side.statistics);
        side.pending.push_back(Pending { delta: head.delta, after, effects: head.effects });
        Ok(ApplyEffect { answer: Bytes::from_static(ACCEPTED), change })
    }

    fn awaits(&self, range: RangeId, at: Position, command: &[u8]) -> Option<Awaited> {
        let head = command::decode_merge(command)?;
        let replica = self.ranges.get(range).ok()?;
        let is_timely = head.term == at.term.0 && absorb::is_timely(&replica, &head.effects);
        let waits = is_timely && !self.ranges.config.planted.has(Bug::AbsorbUnapplied);
        absorb::awaited(&head.effects).filter(|_| waits)
    }

    fn applied(&self, range: RangeId, upto: Position, effects: &[ApplyEffect]) {
        let Ok(replica) = self.ranges.get(range) else { return };
        for effect in effects {
            if effect.change == Some(RangeChange::Veto) {
                continue;
            }
            let pending = replica.apply.lock().pending.pop_front();
            self.applied_one(&replica, pending.expect("every effect told was passed to apply before"), upto);
        }
        replica.applied_index.fetch_max(upto.index.0, Ordering::AcqRel);
        #[cfg(debug_assertions)]
        if self.ranges.contains(range) {
            self.check_intents(&replica);
        }
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
        descriptor.replica(replica).map(|other| other.store)
    }

    fn stamp(&self, to: StoreId) -> Bytes {
        self.ranges.liveness.stamp(to, None)
    }

    fn full_stamp(&self, to: StoreId) -> Bytes {
        let rest = Rest { edges: self.ranges.room.edges(), closed: self.ranges.closed.message(to) };
        self.ranges.liveness.stamp(to, Some(&rest))
    }

    fn stamped(&self, from: StoreId, stamp: &[u8]) -> Result<(), SendError> {
        if let Some(Rest { edges, closed }) = self.ranges.liveness.stamped(from, stamp)? {
            self.ranges.room.hear(from, self.ranges.clock.monotonic(), edges);
            self.ranges.closed.hear(from, closed);
        }
        Ok(())
    }

    fn supports(&self, store: StoreId) -> u64 {
        self.ranges.liveness.supports(store)
    }

    fn is_supported_by(&self, store: StoreId) -> bool {
        self.ranges.liveness.is_supported_by(store)
    }

    fn is_promised_by(&self, store: StoreId, epoch: u64) -> bool {
        epoch != 0 && self.ranges.liveness.supported_until(store, epoch) > 0
    }

    fn is_forgetful(&self) -> bool {
        self.ranges.liveness.is_forgetful()
    }

    fn followed(&self, range: RangeId, replica: ReplicaId, term: Term, epoch: u64) {
        if let Ok(own) = self.ranges.get(range) {
            own.note_followed(replica, term.0, epoch);
        }
    }

    fn begin_snapshot(
        &self,
        range: RangeId,
        parts: &[(Keyspace, Span)],
        is_first: bool,
        chunks: &[WriteBatch],
    ) -> Result<Vec<RangeId>, SendError> {
        let span = parts.iter().find(|(keyspace, _)| *keyspace == Keyspace::Current);
        let (_, span) = span.ok_or_else(|| SendError(format!("range {range}: a snapshot without data")))?;
        let generation = absorb::generation_of(range, span, chunks)?;
        let ends = self.ranges.reserve(range, span, is_first, generation).map_err(|other| {
            // It may have been removed without knowing it: nobody else would look before its turn comes.
            self.ranges.events.replaced.tell(other, ());
            SendError(format!("range {range}: its place is still taken by range {other}"))
        })?;
        for range in ends.iter().chain([&range]) {
            if let Ok(replica) = self.ranges.get(*range) {
                replica.state.lock().freeze();
            }
        }
        Ok(ends)
    }

    fn snapshot_ended(&self, range: RangeId, installed: Option<Position>) -> Result<(), ApplyError> {
        let span = self.ranges.unreserve(range);
        let Some(position) = installed else {
            if let Ok(replica) = self.ranges.get(range) {
                replica.state.lock().thaw();
            }
            return Ok(());
        };
        let span = span.ok_or_else(|| ApplyError(format!("range {range}: an unexpected snapshot")))?;
        let loaded = bootstrap::load_snapshot(&self.ranges, range, &span);
        loaded.map_err(|error| ApplyError(format!("range {range}: {error}")))?;
        self.replica(range)?.applied_index.fetch_max(position.index.0, Ordering::AcqRel);
        Ok(())
    }

    fn ends(&self, range: RangeId) {
        self.ranges.remove(range);
    }

    fn replaced(&self, range: RangeId, _here: ReplicaId) {
        self.ranges.events.replaced.tell(range, ());
    }
}

fn put_statistics(batch: &mut WriteBatch, range: RangeId, statistics: &Statistics) {
    batch.put(Keyspace::RangeLocal, &range_item(range, RangeItem::Statistics), &statistics.encode());
}
