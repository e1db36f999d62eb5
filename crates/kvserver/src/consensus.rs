//! The seam to replication: somebody who puts commands in order and has them applied.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use keys::RangeId;
use parking_lot::Mutex;
use replication::{Committed, Index, Leadership, Position, ProposalError, RangeChange, StateMachine, Term};
use storage::{Durability, Engine, WriteBatch};

/// Orders and applies commands. `replication::Store` does it with a log; [`Direct`] without.
pub trait Consensus: Send + Sync + 'static {
    /// Proposes a command. Completes with what the state machine answered once it is applied on this store. The future owns
    /// what it needs; dropping it does not take the command back.
    fn propose(&self, range: RangeId, command: Bytes) -> BoxFuture<'static, Result<Bytes, ProposalError>>;
}

impl Consensus for replication::Store {
    fn propose(&self, range: RangeId, command: Bytes) -> BoxFuture<'static, Result<Bytes, ProposalError>> {
        let proposal = replication::Store::propose(self, range, command);
        Box::pin(async move { proposal.await.map(|applied| applied.answer) })
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
