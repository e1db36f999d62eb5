//! What can go wrong, as decisions for the caller.

use thiserror::Error;

use crate::{ConfError, Index, ReplicaId, Term};

/// Reading the log failed, or the log is not what it must be. The caller poisons the replica: nothing
/// that this crate could do would be safe.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("raft log: {0}")]
pub struct LogError(pub String);

/// What is stored cannot have been written by a correct replica.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OpenError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("the log ends at index {last}, before the applied index {applied}")]
    LogEndsBeforeApplied { last: Index, applied: Index },
    #[error("the log ends at index {last}, before the committed index {commit}")]
    LogEndsBeforeCommit { last: Index, commit: Index },
    #[error("the log starts after index {truncated}, but entries are applied only up to index {applied}")]
    GapBeforeLog { truncated: Index, applied: Index },
    #[error("the last entry has term {last_term}, but the stored current term is {term}")]
    TermBehindLog { last_term: Term, term: Term },
    #[error("the entry at index {index} is not a membership change: {reason}")]
    BadConfChange { index: Index, reason: String },
    #[error("replica id 0 is not a replica")]
    NoReplicaId,
}

/// A message was refused. The group is unchanged by it unless the error is [`StepError::Log`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StepError {
    #[error(transparent)]
    Log(#[from] LogError),
    /// The message contradicts itself, or is for another replica. Drop it.
    #[error("malformed message: {0}")]
    Malformed(&'static str),
    /// The message contradicts what this replica knows to be committed: one of the two replicas has lost
    /// or corrupted data. A human must look.
    #[error("the message contradicts committed state: {0}")]
    ContradictsCommitted(String),
}

impl StepError {
    /// Whether the replica must stop, rather than only drop the message.
    pub fn is_fatal(&self) -> bool {
        !matches!(self, StepError::Malformed(_))
    }
}

/// A proposal was not taken; nothing was appended.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProposeError {
    /// Ask the leader, if one is known.
    #[error("not the leader")]
    NotLeader { leader: Option<ReplicaId> },
    /// Leadership is on its way to this replica. Retry there.
    #[error("leadership is being transferred to replica {to}")]
    Transferring { to: ReplicaId },
    /// Too much is proposed and not committed. Retry later.
    #[error("too many uncommitted bytes")]
    Overloaded,
    /// Another membership change is in the log and not applied yet. Retry later.
    #[error("the membership change at index {index} is not applied yet")]
    ConfChangePending { index: Index },
    /// The change makes no sense in the current configuration.
    #[error(transparent)]
    BadConfChange(#[from] ConfError),
}

impl ProposeError {
    /// Whether the same proposal may succeed later, here or at the leader.
    pub fn is_retryable(&self) -> bool {
        !matches!(self, ProposeError::BadConfChange(_))
    }
}

/// A read index was not given.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReadIndexError {
    #[error("not the leader")]
    NotLeader { leader: Option<ReplicaId> },
    /// The leader has not committed an entry of its own term, so it does not know yet what is
    /// committed. Retry later.
    #[error("the leader has not committed in its term yet")]
    TermNotCommitted,
}

/// A transfer was not started.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TransferError {
    #[error("not the leader")]
    NotLeader { leader: Option<ReplicaId> },
    #[error("replica {to} is not a voter")]
    NotVoter { to: ReplicaId },
}
