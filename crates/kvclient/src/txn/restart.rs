//! Doing a statement or the whole transaction over, behind the client's back.

use kvapi::{Isolation, KvError, RestartReason, Timestamp};

use super::{Phase, Txn, commit::Leftovers};
use crate::RestartScope;

impl Txn {
    /// What it takes to get past `error`, or `None` if the client must be told.
    ///
    /// An error of a commit under read committed needs the whole transaction: pass it here only after
    /// `commit` has failed and the answer says so.
    pub fn can_restart(&self, error: &KvError) -> Option<RestartScope> {
        let needs_new_snapshot = match error {
            KvError::Restart { reason, .. } => {
                matches!(reason, RestartReason::WriteTooOld | RestartReason::Uncertainty)
            }
            // The snapshot is older than garbage lives: it has lasted, or a clock went far ahead.
            KvError::BelowGcThreshold { .. } => true,
            _ => return None,
        };
        let state = self.shared.state.lock();
        if state.stale || state.phase != Phase::Open {
            return None;
        }
        let can_undo = state.restart_sequence >= state.doubtful_sequence;
        let statement = state.isolation() == Isolation::ReadCommitted && needs_new_snapshot && can_undo;
        Some(if statement && !state.aborted { RestartScope::Statement } else { RestartScope::Transaction })
    }

    /// Undoes the writes of the statement in progress and moves to a snapshot that lies beyond the conflict
    /// that `error` tells of. Locks are kept, so that repeated attempts make progress.
    pub async fn restart_statement(&self, error: &KvError) -> Result<(), KvError> {
        let start = {
            let state = self.shared.state.lock();
            if state.isolation() != Isolation::ReadCommitted {
                return Err(KvError::invalid("only read committed restarts single statements"));
            }
            state.restart_sequence
        };
        self.undo_writes(start).await?;
        let mut state = self.shared.state.lock();
        self.shared.db.take_snapshot(&mut state);
        state.advance_to(beyond(error));
        Ok(())
    }

    /// Undoes everything and begins again at a newer timestamp. Locks are kept unless the transaction was
    /// aborted by another one or has flushed writes. The caller starts with its first statement.
    pub async fn restart(&self, error: &KvError) -> Result<(), KvError> {
        let leftovers = {
            let mut state = self.shared.state.lock();
            if state.phase != Phase::Open {
                return Err(KvError::invalid("the transaction has ended"));
            }
            let timestamp = beyond(error).max(self.shared.db.clock.now());
            let aborted =
                state.aborted || matches!(error, KvError::Restart { reason: RestartReason::Aborted, .. });
            let leftovers = if aborted || state.recorded || !state.flushed.is_empty() {
                let leftovers = Leftovers::take(&mut state);
                if state.registered {
                    self.shared.db.unregister(state.txn.id());
                }
                let id = self.shared.db.draw_id();
                state.restart_as(id, self.shared.db.env.monotonic(), timestamp);
                Some(leftovers)
            } else {
                state.restart_at(timestamp);
                None
            };
            self.shared.db.take_snapshot(&mut state);
            state.advance_to(timestamp);
            leftovers
        };
        if let Some(leftovers) = leftovers {
            self.shared.db.clean_up(leftovers).await;
        }
        Ok(())
    }
}

/// The timestamp past which the conflict lies.
fn beyond(error: &KvError) -> Timestamp {
    match error {
        KvError::Restart { timestamp, .. } => *timestamp,
        KvError::BelowGcThreshold { threshold, .. } => *threshold,
        _ => Timestamp::ZERO,
    }
}
