//! The seam to replication: somebody who puts commands in order and has them applied.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use keys::{RangeId, ReplicaId, StoreId};
use parking_lot::Mutex;
use replication::{
    Committed, ConfChange, Index, Leadership, Position, ProposalError, RangeChange, StateMachine, Term,
    replica_id,
};
use storage::{Durability, Engine, WriteBatch};

/// Orders and applies commands. `replication::Store` does it with a log; [`Direct`] without.
pub trait Consensus: Send + Sync + 'static {
    /// Proposes a command. Completes with what the state machine answered once it is applied on this store. The future owns
    /// what it needs; dropping it does not take the command back.
    fn propose(&self, range: RangeId, command: Bytes) -> BoxFuture<'static, Result<Bytes, ProposalError>>;

    /// Proposes a membership change, whose context is a command; as [`Consensus::propose`].
    fn propose_change(
        &self,
        _range: RangeId,
        _change: ConfChange,
    ) -> BoxFuture<'static, Result<Bytes, ProposalError>> {
        let refused = ProposalError::Refused("there are no other replicas here".to_string());
        Box::pin(std::future::ready(Err(refused)))
    }

    /// As leader: how far the other replicas are.
    fn followers(&self, _range: RangeId) -> Vec<Follower> {
        Vec::new()
    }

    /// Up to where the replica here has applied its log.
    fn applied_index(&self, _range: RangeId) -> u64 {
        0
    }

    /// Hands leadership over, if that is possible.
    fn transfer(&self, _range: RangeId, _to: ReplicaId) -> Result<(), String> {
        Err("there are no other replicas here".to_string())
    }

    /// Whether the replica here knows a leader, itself included.
    fn knows_leader(&self, _range: RangeId) -> bool {
        true
    }

    /// See [`replication::Store::reconsider`].
    fn reconsider(&self, _store: StoreId, _campaign: bool) {}

    /// Says what there is to say to a store, and nothing else.
    fn send_stamp(&self, _to: StoreId) {}

    /// Ends this store's replica of a range with what is stored of it: it is no member any more. See [`replication::Store::destroy`].
    fn destroy(&self, _range: RangeId, _replica: ReplicaId) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }

    /// Forgets replicas for which no snapshot has come for long.
    fn drop_waiting(&self) {}

    /// Whether nothing is applied any more, so that what was proposed may or may not be in the log for ever.
    fn has_stopped(&self) -> bool {
        false
    }
}

/// How far another replica is, as its leader knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Follower {
    pub replica: ReplicaId,
    /// Up to this index its log is the leader's.
    pub matched: u64,
    /// It gets the log as it grows, and lacks nothing but the last moments.
    pub is_current: bool,
    /// It was heard from lately.
    pub is_active: bool,
}

/// Ticks after which a replica for which no snapshot has come is forgotten.
const WAITING_TICKS_MAX: u64 = 600;
/// A replica that lacks no more entries than this is current.
const CURRENT_LAG_MAX: u64 = 64;

impl Consensus for replication::Store {
    fn propose(&self, range: RangeId, command: Bytes) -> BoxFuture<'static, Result<Bytes, ProposalError>> {
        let proposal = replication::Store::propose(self, range, command);
        Box::pin(async move { proposal.await.map(|applied| applied.answer) })
    }

    fn propose_change(
        &self,
        range: RangeId,
        change: ConfChange,
    ) -> BoxFuture<'static, Result<Bytes, ProposalError>> {
        let Some(handle) = self.range(range) else {
            let gone = ProposalError::NoSuchRange { was_proposed: false };
            return Box::pin(std::future::ready(Err(gone)));
        };
        let proposal = handle.propose_conf_change(&change);
        Box::pin(async move { proposal.await.map(|applied| applied.answer) })
    }

    fn followers(&self, range: RangeId) -> Vec<Follower> {
        let Some(handle) = self.range(range) else { return Vec::new() };
        let last = handle.status().last.0;
        let followers = handle.followers().into_iter().filter_map(|follower| {
            let is_current = follower.replicates() && follower.matched.0 + CURRENT_LAG_MAX >= last;
            let (replica, matched) = (replica_id(follower.id)?, follower.matched.0);
            Some(Follower { replica, matched, is_current, is_active: follower.active })
        });
        followers.collect()
    }

    fn applied_index(&self, range: RangeId) -> u64 {
        self.range(range).map_or(0, |handle| handle.applied_index().0)
    }

    fn transfer(&self, range: RangeId, to: ReplicaId) -> Result<(), String> {
        let handle = self.range(range).ok_or("the range is not here")?;
        handle.transfer_leadership(to).map_err(|error| error.to_string())
    }

    fn knows_leader(&self, range: RangeId) -> bool {
        let Some(handle) = self.range(range) else { return false };
        match handle.status().leadership {
            Leadership::Leading { .. } => true,
            Leadership::Following { leader, .. } => leader.is_some(),
        }
    }

    fn reconsider(&self, store: StoreId, campaign: bool) {
        replication::Store::reconsider(self, store, campaign);
    }

    fn send_stamp(&self, to: StoreId) {
        replication::Store::send_stamp(self, to);
    }

    fn destroy(&self, range: RangeId, replica: ReplicaId) -> BoxFuture<'static, ()> {
        Box::pin(replication::Store::destroy(self, range, replica))
    }

    fn drop_waiting(&self) {
        replication::Store::drop_waiting(self, WAITING_TICKS_MAX);
    }

    fn has_stopped(&self) -> bool {
        self.failed().is_some()
    }
}

/// Applies every command at once, without log: for tests of what lies above replication, and for throw-away databases in memory.
///
/// - One command at a time, over all ranges.
pub struct Direct {
    engine: Arc<dyn Engine>,
    machine: Arc<dyn StateMachine>,
    state: Mutex<DirectState>,
}

struct DirectState {
    index: u64,
}

/// The term of everything that is applied directly.
const TERM: Term = Term(1);

impl Direct {
    pub fn new(engine: Arc<dyn Engine>, machine: Arc<dyn StateMachine>) -> Arc<Direct> {
        Arc::new(Direct { engine, machine, state: Mutex::new(DirectState { index: 0 }) })
    }

    /// Makes this store the leader of ranges that are there.
    pub fn lead(&self, ranges: &[RangeId]) {
        for range in ranges {
            self.machine.leadership_changed(*range, Leadership::Leading { term: TERM });
        }
    }

    fn apply(&self, range: RangeId, command: Bytes) -> Result<Bytes, ProposalError> {
        let mut state = self.state.lock();
        state.index += 1;
        let position = Position { index: Index(state.index), term: TERM };
        let committed = Committed { position, command, conf_change: None };
        let unknown = |error: String| ProposalError::Unknown(error);
        let mut batch = WriteBatch::new();
        let effect =
            self.machine.apply(range, &committed, &mut batch).map_err(|error| unknown(error.to_string()))?;
        if !batch.is_empty() {
            let written = self.engine.write(&batch, Durability::Buffered);
            written.map_err(|error| unknown(error.to_string()))?;
        }
        let answer = effect.answer.clone();
        let change = effect.change.clone();
        self.machine.applied(range, position, &[effect]);
        if let Some(RangeChange::Split(new)) = change {
            self.machine.leadership_changed(new.range, Leadership::Leading { term: TERM });
        }
        Ok(answer)
    }
}

impl Consensus for Direct {
    fn propose(&self, range: RangeId, command: Bytes) -> BoxFuture<'static, Result<Bytes, ProposalError>> {
        Box::pin(std::future::ready(self.apply(range, command)))
    }
}
