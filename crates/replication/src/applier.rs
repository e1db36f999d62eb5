//! A round of applying: the committed commands of several ranges, in one batch without a log, and then everybody who waited.
//!
//! Nothing here is durable when it is answered, and need not be: the commands are, in the Raft logs, and are applied again after
//! a crash.

use std::sync::Arc;

use raft::{ConfChange, Entry, EntryKind, Position};
use storage::{Durability, WriteBatch};

use crate::record::{self, AppliedState};
use crate::replica::{Applying, Replica};
use crate::store::Shared;
use crate::{Applied, ApplyEffect, Committed, ProposalError, RangeChange};

/// A batch is written when it is about this big, so that it stays in caches and below the engine's limits.
const BATCH_BYTES_MAX: usize = 1 << 20;

/// A command that is in the batch, and what it did.
struct Done {
    position: Position,
    effect: ApplyEffect,
    /// A membership change that took no effect, and why.
    refusal: Option<String>,
    /// The machine is to see this one applied before it is passed the next.
    changes_range: bool,
}

/// The commands of one range in the batch.
struct Chunk {
    replica: Arc<Replica>,
    done: Vec<Done>,
    /// The last entry of the chunk, whether or not it was a command.
    upto: Position,
    /// Nothing of this replica follows in this round.
    is_last: bool,
}

/// A round in progress.
///
/// - What is in `batch` are the effects of exactly `chunks`.
#[derive(Default)]
struct Round {
    batch: WriteBatch,
    chunks: Vec<Chunk>,
}

impl Shared {
    /// Applies what is committed in these replicas.
    pub fn apply_round(self: &Arc<Self>, replicas: &[Arc<Replica>]) {
        if self.failure.is_failed() {
            return;
        }
        let mut round = Round::default();
        let began = self.env.monotonic();
        for replica in replicas {
            let result = self.apply_replica(replica, &mut round);
            if let Err(error) = result.and_then(|()| self.finish_if_big(&mut round)) {
                self.fail(&format!("range {}: applying: {error}", replica.range));
                return;
            }
        }
        if let Err(error) = self.finish(&mut round) {
            self.fail(&format!("applying: {error}"));
        }
        self.apply_times.observe(self.env.monotonic().saturating_sub(began));
    }

    fn apply_replica(self: &Arc<Self>, replica: &Arc<Replica>, round: &mut Round) -> Result<(), String> {
        let entries = {
            let mut state = replica.state.lock();
            if state.destroyed {
                return Ok(());
            }
            match std::mem::replace(&mut state.applying, Applying::Running) {
                Applying::Queued(entries) => entries,
                other => {
                    // A snapshot has replaced what was queued.
                    state.applying = other;
                    return Ok(());
                }
            }
        };
        let mut done = Vec::with_capacity(entries.len());
        let mut entries = entries.into_iter().peekable();
        while let Some(entry) = entries.next() {
            let upto = Position { index: entry.index, term: entry.term };
            if let Some(awaited) = self.awaited(replica.range, &entry)
                && !self.may_absorb(&awaited)?
            {
                let before = Position { index: entry.index.previous(), term: entry.term };
                if !done.is_empty() {
                    let before = done.last().map_or(before, |done: &Done| done.position);
                    self.close_chunk(replica, std::mem::take(&mut done), before, false, round);
                }
                self.finish(round)?;
                let rest = std::iter::once(entry).chain(entries).collect();
                return self.wait_to_absorb(replica, rest, &awaited);
            }
            let applied = self.apply_entry(replica, entry, &mut round.batch)?;
            let changes_ranges = applied.as_ref().is_some_and(|done| done.changes_range);
            // What comes after the end of the range here is nobody's business here.
            let ends = applied.as_ref().is_some_and(|done| {
                done.effect.change == Some(RangeChange::Destroy(replica.range)) && done.refusal.is_none()
            });
            done.extend(applied);
            let is_last = ends || entries.peek().is_none();
            if changes_ranges || is_last || round.batch.byte_size() > BATCH_BYTES_MAX {
                self.close_chunk(replica, std::mem::take(&mut done), upto, is_last, round);
            }
            if changes_ranges || (!is_last && round.batch.byte_size() > BATCH_BYTES_MAX) {
                self.finish(round)?;
            }
            if ends {
                break;
            }
        }
        Ok(())
    }

    /// Adds one entry's effects to the batch. `None` if it has none.
    fn apply_entry(
        &self,
        replica: &Replica,
        entry: Entry,
        batch: &mut WriteBatch,
    ) -> Result<Option<Done>, String> {
        let position = Position { index: entry.index, term: entry.term };
        let conf_change = match entry.kind {
            EntryKind::Empty => return Ok(None),
            EntryKind::Normal => None,
            EntryKind::ConfChange => {
                Some(ConfChange::decode(&entry.payload).map_err(|error| error.to_string())?)
            }
        };
        let command = match &conf_change {
            Some(change) => change.context.clone(),
            None => entry.payload,
        };
        let committed = Committed { position, command, conf_change };
        let effect =
            self.machine.apply(replica.range, &committed, batch).map_err(|error| error.to_string())?;
        let changes_range = effect.change.is_some() || committed.conf_change.is_some();
        let refusal = committed.conf_change.and_then(|change| {
            let veto = effect.change == Some(RangeChange::Veto);
            self.apply_conf_change(replica, position, &change, veto)
        });
        Ok(Some(Done { position, effect, refusal, changes_range }))
    }

    /// Lets a membership change take effect. Gives why not, if it does not.
    fn apply_conf_change(
        &self,
        replica: &Replica,
        position: Position,
        change: &ConfChange,
        veto: bool,
    ) -> Option<String> {
        let mut state = replica.state.lock();
        if state.group.applied_index() >= position.index {
            // A snapshot has overtaken the applier and brought its own membership.
            return Some("a snapshot overtook it".to_string());
        }
        if veto {
            state.group.reject_conf_change(position.index);
            return Some("it was vetoed".to_string());
        }
        match state.group.apply_conf_change(position.index, change) {
            Ok(configuration) => {
                state.log.configuration = configuration.clone();
                None
            }
            Err(error) => Some(error.to_string()),
        }
    }

    /// Ends a range's part of the batch with its applied state.
    fn close_chunk(
        &self,
        replica: &Arc<Replica>,
        done: Vec<Done>,
        upto: Position,
        is_last: bool,
        round: &mut Round,
    ) {
        let ends_itself = |done: &Done| done.effect.change == Some(RangeChange::Destroy(replica.range));
        if !done.iter().any(ends_itself) {
            let state = replica.state.lock();
            let applied = AppliedState {
                position: upto,
                base: state.log.base,
                replica: replica.id,
                configuration: state.log.configuration.clone(),
            };
            record::put_applied_state(&mut round.batch, replica.range, &applied);
        }
        for done in &done {
            match &done.effect.change {
                Some(RangeChange::Split(new)) => self.put_new_range(new, &mut round.batch),
                Some(RangeChange::Destroy(range)) => self.put_tombstone(*range, replica.id, &mut round.batch),
                Some(RangeChange::Merge(range)) => self.put_last_tombstone(*range, &mut round.batch),
                Some(RangeChange::Veto | RangeChange::Pause) | None => {}
            }
        }
        round.chunks.push(Chunk { replica: Arc::clone(replica), done, upto, is_last });
    }

    fn finish_if_big(self: &Arc<Self>, round: &mut Round) -> Result<(), String> {
        if round.batch.byte_size() > BATCH_BYTES_MAX { self.finish(round) } else { Ok(()) }
    }

    /// Writes the batch and tells everybody.
    fn finish(self: &Arc<Self>, round: &mut Round) -> Result<(), String> {
        if !round.batch.is_empty() {
            self.engine.write(&round.batch, Durability::Buffered).map_err(|error| error.to_string())?;
            round.batch.clear();
        }
        for chunk in round.chunks.drain(..) {
            self.finish_chunk(chunk)?;
        }
        Ok(())
    }

    fn finish_chunk(self: &Arc<Self>, chunk: Chunk) -> Result<(), String> {
        let Chunk { replica, done, upto, is_last } = chunk;
        let (done, effects): (Vec<_>, Vec<_>) =
            done.into_iter().map(|done| ((done.position, done.refusal), done.effect)).unzip();
        self.machine.applied(replica.range, upto, &effects);
        for effect in &effects {
            match &effect.change {
                // Nothing follows a split in its chunk.
                Some(RangeChange::Split(new)) => {
                    self.begin_range(&replica, upto.index, new).map_err(|error| error.to_string())?
                }
                Some(RangeChange::Destroy(range) | RangeChange::Merge(range)) => self.end_range(*range),
                Some(RangeChange::Veto | RangeChange::Pause) | None => {}
            }
        }
        let mut guard = replica.state.lock();
        let state = &mut *guard;
        if upto.index > state.log.applied.index {
            state.log.applied = upto;
        }
        state.group.applied(upto.index);
        // After a restart it may have learnt only now that nobody else has a say.
        let group = &mut state.group;
        if group.role() == raft::RoleName::Follower && group.configuration().is_sole_voter(group.id()) {
            group.campaign();
            self.mark(&replica);
        }
        for ((position, refusal), effect) in done.into_iter().zip(effects) {
            state.waiters.applied(position, || match refusal {
                Some(reason) => Err(ProposalError::Refused(reason)),
                None => Ok(Applied { position, answer: effect.answer }),
            });
        }
        // Where a proposal was to stand may now be an entry that is no command, of another leader. No command need come after it: whoever
        // waits may hold what stands in the way of all others.
        state.waiters.skip(upto, &ProposalError::Superseded);
        if is_last {
            state.applying = Applying::Idle;
        }
        if state.group.has_work() || !state.writes.is_empty() {
            self.mark(&replica);
        }
        self.consider_truncating(&replica, state);
        self.after_change(&replica, state);
        drop(guard);
        self.go_on_absorbing(replica.range);
        Ok(())
    }
}
