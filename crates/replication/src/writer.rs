//! A round of the log writer: what all marked groups want persisted, in one batch, with one sync.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use keys::StoreId;
use raft::{Body, Group, Message, Ready, WriteNumber};
use storage::{Durability, Ingest, WriteBatch};

use crate::range_log::StoredLog;
use crate::record::{self, AppliedState};
use crate::replica::{Applying, Replica, ReplicaState};
use crate::store::Shared;
use crate::{Envelope, RaftBatch};

/// What a round has gathered.
#[derive(Default)]
struct Round {
    batch: WriteBatch,
    /// The batch has something that must be synced, not only a cut-off log.
    needs_sync: bool,
    written: Vec<(Arc<Replica>, WriteNumber)>,
    committed: Vec<Arc<Replica>>,
    outgoing: Outgoing,
}

/// Messages by store, and snapshots, which go their own way.
#[derive(Default)]
struct Outgoing {
    messages: BTreeMap<StoreId, Vec<Envelope>>,
    snapshots: Vec<(Arc<Replica>, Message)>,
}

impl Shared {
    /// Writes what the marked replicas want written, and syncs it if need be (always, but for a planted bug). Gives those that
    /// have something to apply.
    pub fn write_round(self: &Arc<Self>, marked: &mut Vec<Arc<Replica>>, syncs: bool) -> Vec<Arc<Replica>> {
        if self.failure.is_failed() {
            return Vec::new();
        }
        let mut round = Round::default();
        for replica in marked.drain(..) {
            if let Err(error) = self.gather(&replica, &mut round) {
                self.fail(&format!("range {}: {error}", replica.range));
                return Vec::new();
            }
        }
        // A leader's appends leave before its own disk has synced.
        self.dispatch(std::mem::take(&mut round.outgoing));
        if !round.batch.is_empty() {
            let durability =
                if round.needs_sync && syncs { Durability::Synced } else { Durability::Buffered };
            let began = self.env.monotonic();
            let result = self.engine.write(&round.batch, durability);
            self.write_times.observe(self.env.monotonic().saturating_sub(began));
            if let Err(error) = result {
                self.fail(&format!("writing the Raft log: {error}"));
                return Vec::new();
            }
        }
        for (replica, number) in std::mem::take(&mut round.written) {
            if let Err(error) = self.confirm(&replica, number, &mut round) {
                self.fail(&format!("range {}: {error}", replica.range));
                return Vec::new();
            }
        }
        self.dispatch(round.outgoing);
        round.committed
    }

    /// Asks one group what there is to do.
    fn gather(self: &Arc<Self>, replica: &Arc<Replica>, round: &mut Round) -> Result<(), String> {
        let mut guard = replica.state.lock();
        let state = &mut *guard;
        // From here on a change marks the replica again.
        replica.marked.store(false, Ordering::Release);
        if state.destroyed {
            return Ok(());
        }
        if let Some(upto) = state.truncate_to.take()
            && upto.index > state.log.truncated.index
        {
            state.log.truncate(&mut round.batch, replica.range, upto);
        }
        if let Some(upto) = state.note_commit_to.take() {
            round.needs_sync |= state.log.note_commit(&mut round.batch, replica.range, upto);
        }
        let ready = self.ready(replica.range, state, Group::ready)?;
        let write = self.take_ready(replica, state, ready, round);
        state.writes.extend(write);
        while let Some(write) = state.writes.pop_front() {
            if write.snapshot.is_some() {
                if matches!(state.applying, Applying::Running) {
                    // The applier is still on what the snapshot replaces; it marks the replica when it is done.
                    state.writes.push_front(write);
                    break;
                }
                self.install_snapshot(replica, state, &write)?;
                self.go_on_absorbing(replica.range);
            }
            state.log.write(&mut round.batch, replica.range, &write);
            round.needs_sync = true;
            round.written.push((Arc::clone(replica), write.number));
        }
        self.after_change(replica, state);
        Ok(())
    }

    /// Tells a group that its write is durable.
    fn confirm(
        self: &Arc<Self>,
        replica: &Arc<Replica>,
        number: WriteNumber,
        round: &mut Round,
    ) -> Result<(), String> {
        let mut guard = replica.state.lock();
        let state = &mut *guard;
        state.group.persisted(number);
        let ready = self.ready(replica.range, state, Group::ready_without_write)?;
        let write = self.take_ready(replica, state, ready, round);
        debug_assert!(write.is_none(), "no write was asked for");
        if state.group.has_work() {
            self.mark(replica);
        }
        self.after_change(replica, state);
        Ok(())
    }

    fn ready(
        &self,
        range: keys::RangeId,
        state: &mut ReplicaState,
        ask: impl FnOnce(&mut Group, &dyn raft::LogReader) -> Result<Ready, raft::LogError>,
    ) -> Result<Ready, String> {
        let stored = StoredLog { engine: &*self.engine, range, log: &state.log };
        ask(&mut state.group, &stored).map_err(|error| error.to_string())
    }

    /// Distributes what a group handed out, except for its write, which is returned.
    fn take_ready(
        &self,
        replica: &Arc<Replica>,
        state: &mut ReplicaState,
        ready: Ready,
        round: &mut Round,
    ) -> Option<raft::Write> {
        for message in ready.messages {
            if matches!(message.body, Body::Snapshot(_)) {
                round.outgoing.snapshots.push((Arc::clone(replica), message));
                continue;
            }
            if let Some(store) = self.address(replica, state, message.to) {
                let support = self.promise(state, &message, store);
                let envelope = Envelope { range: replica.range, support, message };
                round.outgoing.messages.entry(store).or_default().push(envelope);
            }
        }
        if let Some(last) = ready.committed.last() {
            state.waiters.committed(last.index);
            debug_assert!(matches!(state.applying, Applying::Idle), "one batch at a time");
            state.applying = Applying::Queued(ready.committed);
            round.committed.push(Arc::clone(replica));
        }
        ready.write
    }

    fn dispatch(self: &Arc<Self>, outgoing: Outgoing) {
        for (store, envelopes) in outgoing.messages {
            let stamp = self.machine.stamp(store);
            self.transport.send(store, RaftBatch { from: self.own, stamp, envelopes });
        }
        for (replica, message) in outgoing.snapshots {
            self.send_snapshot(replica, message);
        }
    }

    /// Replaces the state of a range by a snapshot that has arrived. The log follows with the round's batch; a crash in
    /// between is recognised by the applied state's base.
    fn install_snapshot(
        &self,
        replica: &Arc<Replica>,
        state: &mut ReplicaState,
        write: &raft::Write,
    ) -> Result<(), String> {
        let snapshot = write.snapshot.as_ref().expect("the caller has looked");
        let later = state.incoming.split_off(&snapshot.index.next());
        let incoming = std::mem::replace(&mut state.incoming, later).remove(&snapshot.index);
        let incoming = incoming.ok_or("the state of a snapshot is not here")?;
        state.applying = Applying::Idle;
        let mut last = WriteBatch::new();
        let applied = AppliedState {
            position: incoming.position,
            base: incoming.position.index,
            replica: replica.id,
            configuration: snapshot.configuration.clone(),
        };
        record::put_applied_state(&mut last, replica.range, &applied);
        let mut replaced = incoming.parts;
        for range in &incoming.ends {
            replaced.extend(self.machine.snapshot_parts(*range));
            self.put_last_tombstone(*range, &mut last);
        }
        let ingest = Ingest { replaced, chunks: incoming.chunks, last };
        self.engine.ingest(ingest).map_err(|error| error.to_string())?;
        for range in incoming.ends {
            self.machine.ends(range);
            self.end_range(range);
        }
        let lost = crate::ProposalError::Unknown("a snapshot overtook it".to_string());
        state.waiters.skip(incoming.position, &lost);
        let installed = Some(incoming.position);
        self.machine.snapshot_ended(replica.range, installed).map_err(|error| error.to_string())
    }
}
