//! Messages and snapshots from other stores, and snapshots to them.

use std::sync::Arc;

use keys::{RangeId, ReplicaId, Span};
use raft::{Body, Message, Position, Snapshot, StepError};
use storage::{Keyspace, Operation, WriteBatch};

use crate::range_log::StoredLog;
use crate::record;
use crate::replica::{Replica, ReplicaState};
use crate::seam::replica_id;
use crate::store::Shared;
use crate::{Envelope, SendError, SnapshotStream};

/// The state of a snapshot that has arrived and is not installed yet.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub position: Position,
    pub parts: Vec<(Keyspace, Span)>,
    pub chunks: Vec<WriteBatch>,
}

impl Shared {
    /// Takes messages from another store. What is malformed or for a range that is not here is dropped.
    pub fn receive(self: &Arc<Self>, envelopes: Vec<Envelope>) {
        for Envelope { range, message } in envelopes {
            // A snapshot comes with its state, by `receive_snapshot`.
            if matches!(message.body, Body::Snapshot(_)) {
                continue;
            }
            if let Some(replica) = self.replica(range) {
                let mut state = replica.state.lock();
                self.step(&replica, &mut state, message);
            }
        }
    }

    fn step(self: &Arc<Self>, replica: &Arc<Replica>, state: &mut ReplicaState, message: Message) {
        if state.destroyed || self.failure.is_failed() {
            return;
        }
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
    pub fn receive_snapshot(
        self: &Arc<Self>,
        range: RangeId,
        mut message: Message,
        parts: Vec<(Keyspace, Span)>,
        chunks: Vec<WriteBatch>,
    ) -> Result<(), SendError> {
        let refuse = |why: &str| SendError(format!("range {range}: {why}"));
        let replica = self.replica(range).ok_or_else(|| refuse("no replica waits for it here"))?;
        let Body::Snapshot(snapshot) = &mut message.body else {
            return Err(refuse("the message is not a snapshot"));
        };
        // The header was written when the snapshot was decided on; the state is the one that was read later.
        let key = record::applied_state_key(range);
        let record = chunks.iter().flat_map(WriteBatch::iter).find_map(|operation| match operation {
            Operation::Put(Keyspace::RangeLocal, found, value) if found == &key[..] => Some(value),
            _ => None,
        });
        let record = record.ok_or_else(|| refuse("it has no applied state"))?;
        let applied =
            record::decode_applied_state(range, record).map_err(|error| SendError(error.to_string()))?;
        *snapshot = Snapshot {
            index: applied.position.index,
            term: applied.position.term,
            configuration: applied.configuration,
            metadata: snapshot.metadata.clone(),
        };
        let position = applied.position;
        let mut guard = replica.state.lock();
        let state = &mut *guard;
        if state.destroyed {
            return Err(refuse("the replica is gone"));
        }
        state.incoming.insert(position.index, Incoming { position, parts, chunks });
        self.step(&replica, state, message);
        if state.group.pending_snapshot() != Some(position.index) {
            // The group has no use for it: it has the log up to there.
            state.incoming.remove(&position.index);
        }
        Ok(())
    }

    /// Reads a range's state and sends it, in a task of its own.
    pub fn send_snapshot(self: &Arc<Self>, replica: Arc<Replica>, message: Message) {
        let shared = Arc::clone(self);
        let task = async move {
            let to = message.to;
            let result = shared.deliver_snapshot(&replica, message).await;
            if let Err(error) = &result {
                tracing::info!(range = replica.range.get(), %error, "a snapshot is sent again later");
            }
            let mut state = replica.state.lock();
            state.group.report_snapshot(to, result.is_ok());
            shared.mark(&replica);
            shared.after_change(&replica, &mut state);
        };
        drop(self.env.spawn("raft-snapshot", Box::pin(task)));
    }

    async fn deliver_snapshot(&self, replica: &Replica, message: Message) -> Result<(), SendError> {
        let range = replica.range;
        let to = replica_id(message.to).and_then(|to: ReplicaId| self.machine.store_of(range, to));
        let to = to.ok_or_else(|| SendError(format!("where replica {} is, is not known", message.to)))?;
        let parts = self.machine.snapshot_parts(range);
        let checkpoint = self.engine.checkpoint(&parts).map_err(|error| SendError(error.to_string()))?;
        self.transport.send_snapshot(to, SnapshotStream { range, message, parts, checkpoint }).await
    }
}
