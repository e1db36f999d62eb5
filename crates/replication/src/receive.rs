//! Messages and snapshots from other stores.

use std::sync::Arc;

use keys::{RangeId, Span, StoreId};
use raft::{Body, Index, Message, Position, Snapshot, StepError};
use storage::{Keyspace, Operation, WriteBatch};

use crate::range_log::StoredLog;
use crate::record::{self, AppliedState};
use crate::replica::{Replica, ReplicaState};
use crate::seam::replica_id;
use crate::store::Shared;
use crate::{Envelope, RaftBatch, ReceivedSnapshot, SendError};

/// The state of a snapshot that has arrived and is not installed yet.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub position: Position,
    pub parts: Vec<(Keyspace, Span)>,
    pub chunks: Vec<WriteBatch>,
    /// Ranges that are no more, and whose replicas here end with it: stopped.
    pub ends: Vec<RangeId>,
}

impl Shared {
    /// Takes messages from another store. What is malformed or for a range that is not here is dropped.
    pub fn receive(self: &Arc<Self>, batch: RaftBatch) {
        let RaftBatch { from, stamp, envelopes } = batch;
        if let Err(error) = self.machine.stamped(from, &stamp) {
            tracing::debug!(%from, %error, "a batch of Raft messages is dropped");
            return;
        }
        for Envelope { range, support, message } in envelopes {
            // A snapshot comes with its state, by `receive_snapshot`.
            if matches!(message.body, Body::Snapshot(_)) {
                continue;
            }
            if let Some(replica) = self.addressee(range, &message) {
                let mut state = replica.state.lock();
                let sender = replica_id(message.from);
                let term = message.term;
                if let Some(sender) = sender {
                    state.addresses.insert(sender, from);
                }
                self.step(&replica, &mut state, message);
                if let Some(sender) = sender
                    && term == state.group.term()
                {
                    self.note_followed(&replica, &mut state, sender, support);
                }
            } else {
                self.answer_for_gone(from, range, &message);
            }
        }
    }

    fn step(self: &Arc<Self>, replica: &Arc<Replica>, state: &mut ReplicaState, message: Message) {
        if state.destroyed || self.failure.is_failed() {
            return;
        }
        self.restrain(state);
        let text = message.to_string();
        let stored = StoredLog { engine: &*self.engine, range: replica.range, log: &state.log };
        match state.group.step(message, &stored) {
            Ok(()) => {}
            Err(StepError::Malformed(why)) => {
                tracing::warn!(range = replica.range.get(), message = text, why, "a Raft message is dropped");
            }
            Err(error @ (StepError::Log(_) | StepError::ContradictsCommitted(_))) => {
                self.fail(&format!("range {}: {text}: {error}", replica.range));
                return;
            }
        }
        self.mark(replica);
        self.after_change(replica, state);
    }

    /// Takes a snapshot that has arrived whole.
    pub fn receive_snapshot(self: &Arc<Self>, received: ReceivedSnapshot) -> Result<(), SendError> {
        let ReceivedSnapshot { range, from, stamp, mut message, parts, chunks } = received;
        self.machine.stamped(from, &stamp)?;
        let refuse = |why: &str| SendError(format!("range {range}: {why}"));
        let applied = applied_state_of(range, &chunks)?;
        let Body::Snapshot(snapshot) = &mut message.body else {
            return Err(refuse("the message is not a snapshot"));
        };
        // The header was written when the snapshot was decided on; the state is the one that was read later.
        *snapshot = Snapshot {
            index: applied.position.index,
            term: applied.position.term,
            configuration: applied.configuration,
            metadata: snapshot.metadata.clone(),
        };
        let position = applied.position;
        let replica =
            self.addressee(range, &message).ok_or_else(|| refuse("no replica may wait for it here"))?;
        if replica.is_replaying() {
            return Err(refuse("it applies again what it has, and may need no snapshot"));
        }
        let is_first = replica.state.lock().is_waiting();
        let ends = self.machine.begin_snapshot(range, &parts, is_first, &chunks)?;
        let unneeded =
            || self.machine.snapshot_ended(range, None).map_err(|error| SendError(error.to_string()));
        let halted = match self.halt(&ends) {
            Ok(halted) => halted,
            Err(why) => {
                unneeded()?;
                return Err(refuse(&why));
            }
        };
        let incoming = Incoming { position, parts, chunks, ends };
        let pending = self.step_snapshot(&replica, from, message, incoming);
        if pending != Some(position.index) {
            self.resume(&halted);
        }
        if pending.is_none() {
            // The group has no use for it: it has the log up to there.
            unneeded()?;
        }
        Ok(())
    }

    /// The snapshot that the group now waits for to be installed, this one or another.
    fn step_snapshot(
        self: &Arc<Self>,
        replica: &Arc<Replica>,
        from: StoreId,
        message: Message,
        incoming: Incoming,
    ) -> Option<Index> {
        let index = incoming.position.index;
        let mut guard = replica.state.lock();
        let state = &mut *guard;
        if state.destroyed {
            return None;
        }
        if let Some(sender) = replica_id(message.from) {
            state.addresses.insert(sender, from);
        }
        let known = state.incoming.contains_key(&index);
        state.incoming.insert(index, incoming);
        self.step(replica, state, message);
        let pending = state.group.pending_snapshot();
        if pending != Some(index) && !known {
            state.incoming.remove(&index);
        }
        pending
    }
}

/// The applied state among the contents of a snapshot.
fn applied_state_of(range: RangeId, chunks: &[WriteBatch]) -> Result<AppliedState, SendError> {
    let key = record::applied_state_key(range);
    let record = chunks.iter().flat_map(WriteBatch::iter).find_map(|operation| match operation {
        Operation::Put(Keyspace::RangeLocal, found, value) if found == &key[..] => Some(value),
        _ => None,
    });
    let record = record.ok_or_else(|| SendError(format!("range {range}: it has no applied state")))?;
    record::decode_applied_state(range, record).map_err(|error| SendError(error.to_string()))
}
