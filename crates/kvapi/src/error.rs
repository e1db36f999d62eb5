//! Errors of the key-value layer, each a decision for whoever receives it ([`KvError::disposition`]).

use clock::Timestamp;
use keys::{Key, RangeId};
use thiserror::Error;

use crate::{Lease, RangeDescriptor, TxnId, TxnMeta};

/// Why a transaction must start over at a newer read timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RestartReason {
    /// A row it wanted to write has a version newer than its snapshot.
    WriteTooOld,
    /// Something it read has changed below its commit timestamp.
    RefreshFailed,
    /// A value lies within its uncertainty interval.
    Uncertainty,
    /// A lock it relied on was lost with its leaseholder and the row has changed since.
    LockLost,
    /// Its commit timestamp had to rise above the deadline given with the commit.
    DeadlineExceeded,
    /// Another transaction aborted it (expired heartbeat, or a push by a higher priority), or the node is gone that knew it to be open: it
    /// needs a new id.
    Aborted,
}

impl RestartReason {
    pub fn describe(self) -> &'static str {
        match self {
            RestartReason::WriteTooOld => "a row was written by a concurrent transaction",
            RestartReason::RefreshFailed => "what was read has been changed by a concurrent transaction",
            RestartReason::Uncertainty => "a value lies within the clock uncertainty interval",
            RestartReason::LockLost => "a row lock was lost and the row has changed since",
            RestartReason::DeadlineExceeded => "the commit timestamp rose above the deadline",
            RestartReason::Aborted => {
                "the transaction was aborted by a concurrent one, or the node that knew of it has failed"
            }
        }
    }
}

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Nothing was done; route again with what the error tells. Never leaves `kvclient`.
    Reroute,
    /// Nothing was done; wait a little and try again. Leaves `kvclient` only when its patience ends.
    Backoff,
    /// Start the statement (read committed) or the transaction over; the client is told only if that
    /// cannot be done behind its back.
    Restart,
    /// It may or may not have been done, and nobody can know.
    Ambiguous,
    /// Tell the client.
    Fail,
}

/// Why a batch was not answered.
///
/// Unless [`Disposition::Ambiguous`], nothing that the batch asked to replicate has happened or will happen.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KvError {
    /// The range does not hold the keys asked for (any more). Carries what is known of those that do.
    #[error("range does not hold the requested keys")]
    RangeMismatch { descriptors: Vec<RangeDescriptor> },
    #[error("range {range:?} has no replica here")]
    RangeNotFound { range: RangeId },
    #[error("not the leaseholder of range {range:?}")]
    NotLeaseholder { range: RangeId, lease: Option<Box<Lease>> },
    /// No leader, no quorum, overload, or a node that cannot be reached before anything was sent.
    #[error("range unavailable: {reason}")]
    Unavailable { reason: String },
    /// `timestamp` is where the retry should read to get past the conflict.
    #[error("transaction must restart: {}", reason.describe())]
    Restart { reason: RestartReason, timestamp: Timestamp, key: Option<Key> },
    /// A reader or writer met intents it could not wait for; the server resolves and retries. Never leaves
    /// `kvserver`.
    #[error("{} conflicting intents", intents.len())]
    IntentConflict { intents: Vec<(Key, TxnMeta)> },
    /// The lock is held by another transaction and the wait policy was `NoWait`.
    #[error("could not obtain lock on key")]
    LockNotAvailable { key: Key, holder: TxnId },
    /// The lock timeout passed while waiting.
    #[error("lock wait timed out")]
    LockTimeout { key: Key, holder: TxnId },
    /// Chosen as the victim of a deadlock among `cycle`, this transaction first.
    #[error("deadlock detected")]
    Deadlock { key: Key, cycle: Vec<TxnId> },
    /// A key that must not exist does.
    #[error("key already exists")]
    ConditionFailed { key: Key, value: Vec<u8> },
    /// The read timestamp lies below what garbage collection has kept.
    #[error("read timestamp {timestamp:?} lies below the garbage collection threshold {threshold:?}")]
    BelowGcThreshold { timestamp: Timestamp, threshold: Timestamp },
    /// The outcome of a commit or another write cannot be known.
    #[error("result is ambiguous: {reason}")]
    Ambiguous { reason: String },
    /// The request breaks a rule of this interface (a bound, an order, a missing transaction).
    #[error("invalid request: {reason}")]
    Invalid { reason: String },
    /// Stored bytes are not what they must be. An operator must look.
    #[error("corruption: {reason}")]
    Corruption { reason: String },
}

impl KvError {
    pub fn disposition(&self) -> Disposition {
        match self {
            KvError::RangeMismatch { .. }
            | KvError::RangeNotFound { .. }
            | KvError::NotLeaseholder { .. } => Disposition::Reroute,
            KvError::Unavailable { .. } | KvError::IntentConflict { .. } => Disposition::Backoff,
            KvError::Restart { .. } => Disposition::Restart,
            KvError::Ambiguous { .. } => Disposition::Ambiguous,
            KvError::LockNotAvailable { .. }
            | KvError::LockTimeout { .. }
            | KvError::Deadlock { .. }
            | KvError::ConditionFailed { .. }
            | KvError::BelowGcThreshold { .. }
            | KvError::Invalid { .. }
            | KvError::Corruption { .. } => Disposition::Fail,
        }
    }

    /// What kind of error it is, in words for metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            KvError::RangeMismatch { .. } => "range mismatch",
            KvError::RangeNotFound { .. } => "range not found",
            KvError::NotLeaseholder { .. } => "not leaseholder",
            KvError::Unavailable { .. } => "unavailable",
            KvError::Restart { reason, .. } => match reason {
                RestartReason::WriteTooOld => "restart: write too old",
                RestartReason::RefreshFailed => "restart: refresh failed",
                RestartReason::Uncertainty => "restart: uncertainty",
                RestartReason::LockLost => "restart: lock lost",
                RestartReason::DeadlineExceeded => "restart: deadline exceeded",
                RestartReason::Aborted => "restart: aborted",
            },
            KvError::IntentConflict { .. } => "intent conflict",
            KvError::LockNotAvailable { .. } => "lock not available",
            KvError::LockTimeout { .. } => "lock timeout",
            KvError::Deadlock { .. } => "deadlock",
            KvError::ConditionFailed { .. } => "condition failed",
            KvError::BelowGcThreshold { .. } => "below garbage threshold",
            KvError::Ambiguous { .. } => "ambiguous",
            KvError::Invalid { .. } => "invalid",
            KvError::Corruption { .. } => "corruption",
        }
    }

    pub fn is_restart(&self) -> bool {
        self.disposition() == Disposition::Restart
    }

    pub fn is_ambiguous(&self) -> bool {
        self.disposition() == Disposition::Ambiguous
    }

    pub fn unavailable(reason: impl Into<String>) -> KvError {
        KvError::Unavailable { reason: reason.into() }
    }

    pub fn ambiguous(reason: impl Into<String>) -> KvError {
        KvError::Ambiguous { reason: reason.into() }
    }

    pub fn invalid(reason: impl Into<String>) -> KvError {
        KvError::Invalid { reason: reason.into() }
    }

    pub fn corruption(reason: impl Into<String>) -> KvError {
        KvError::Corruption { reason: reason.into() }
    }
}
