//! What can go wrong, as decisions for the caller.

use keys::{RangeId, ReplicaId};
use storage::StorageError;
use thiserror::Error;

/// The store cannot be opened: what is on disk is not what a correct store wrote, or cannot be read. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OpenError {
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A record of the log or of the applied state is damaged.
    #[error("{}: {what}", place(*range))]
    Corrupt {
        range: Option<RangeId>,
        /// Which record, and what is wrong with it.
        what: String,
    },
    /// The records are sound, but something between them is missing.
    #[error("range {range}: {what}")]
    Missing { range: RangeId, what: String },
    /// Log and state contradict each other.
    #[error("range {range}: {source}")]
    Raft { range: RangeId, source: raft::OpenError },
}

fn place(range: Option<RangeId>) -> String {
    range.map_or("the store".to_string(), |range| format!("range {range}"))
}

/// A proposal was not applied, or nobody knows.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProposalError {
    /// Not applied, never will be. Ask the leader.
    #[error("not the leader of the range")]
    NotLeader { leader: Option<ReplicaId> },
    /// Not applied, never will be. Retry here after a while: leadership is moving, or too much is in flight.
    #[error("the range takes no proposals at the moment: {0}")]
    Busy(String),
    /// Not applied, never will be: another leader's command took its place. Retry.
    #[error("another leader's command took the place of this one")]
    Superseded,
    /// Not applied, never will be: the membership change makes no sense, or was vetoed.
    #[error("the membership change was refused: {0}")]
    Refused(String),
    /// The range is not on this store (any more). If it was when this was proposed, the command may have been
    /// applied: see `is_ambiguous`.
    #[error("the range is not on this store")]
    NoSuchRange { was_proposed: bool },
    /// The store stopped, or lost track of the command by a snapshot. It may have been applied, or may be later.
    #[error("whether the command was applied is not known: {0}")]
    Unknown(String),
}

impl ProposalError {
    /// Whether the command may have been applied, or may yet be.
    pub fn is_ambiguous(&self) -> bool {
        matches!(self, ProposalError::Unknown(_) | ProposalError::NoSuchRange { was_proposed: true })
    }

    /// Whether the same command may succeed if it is proposed again here.
    pub fn is_retryable(&self) -> bool {
        matches!(self, ProposalError::Busy(_) | ProposalError::Superseded)
    }
}

/// The store has stopped: after a failed write nobody knows what is on disk. Only a restart helps.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the store has stopped: {0}")]
pub struct Stopped(pub String);
