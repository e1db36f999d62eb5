//! Errors of execution.

use kvclient::KvError;
use types::{PgError, PgResult, SqlState};

/// Why a statement failed: for good, or in a way that doing it over may cure.
///
/// [`ExecError::Kv`] is kept as it came from the KV layer as long as the statement may still be retried inside the server;
/// the session asks `Txn::can_restart` and turns it into words only when it gives up.
#[derive(Debug, Clone, PartialEq)]
pub enum ExecError {
    Sql(PgError),
    Kv(KvError),
}

pub type ExecResult<T> = Result<T, ExecError>;

impl From<PgError> for ExecError {
    fn from(error: PgError) -> Self {
        ExecError::Sql(error)
    }
}

impl From<KvError> for ExecError {
    fn from(error: KvError) -> Self {
        ExecError::Kv(error)
    }
}

impl ExecError {
    /// What a client is told. Constraint violations found at commit need the catalog to be worded: the caller has
    /// replaced them before.
    pub fn into_pg_error(self) -> PgError {
        match self {
            ExecError::Sql(error) => error,
            ExecError::Kv(error) => kv_error(&error),
        }
    }
}

/// Words a KV error for a client. Every text says what happened and what to do about it.
pub fn kv_error(error: &KvError) -> PgError {
    match error {
        KvError::Restart { reason, .. } => PgError::new(
            SqlState::SERIALIZATION_FAILURE,
            "could not serialize access due to concurrent update",
        )
        .detail(format!("The transaction could not be retried inside the server: {}.", reason.describe()))
        .hint("The transaction might succeed if retried."),
        KvError::LockNotAvailable { .. } => {
            PgError::new(SqlState::LOCK_NOT_AVAILABLE, "could not obtain lock on row")
        }
        KvError::LockTimeout { .. } => {
            PgError::new(SqlState::LOCK_NOT_AVAILABLE, "canceling statement due to lock timeout")
        }
        KvError::Deadlock { cycle, .. } => {
            let chain: Vec<String> = cycle.iter().map(ToString::to_string).collect();
            PgError::new(SqlState::DEADLOCK_DETECTED, "deadlock detected")
                .detail(format!("Transactions wait for one another: {}.", chain.join(" -> ")))
                .hint("The transaction might succeed if retried.")
        }
        KvError::ConditionFailed { .. } => {
            PgError::new(SqlState::UNIQUE_VIOLATION, "duplicate key value violates unique constraint")
        }
        KvError::BelowGcThreshold { timestamp, threshold } => PgError::new(
            SqlState::SERIALIZATION_FAILURE,
            "could not serialize access because the snapshot is too old",
        )
        .detail(format!(
            "Data as of {timestamp} has been garbage collected: the oldest that can be read is {threshold}."
        ))
        .hint("The transaction might succeed if retried."),
        KvError::Ambiguous { reason } => PgError::new(
            SqlState::STATEMENT_COMPLETION_UNKNOWN,
            format!("it is not known whether the transaction was committed: {reason}"),
        )
        .hint(
            "Check whether its effects are there before doing it again. What became of a transaction that has called \
             pg_current_xact_id() is told by pg_xact_status().",
        ),
        KvError::Corruption { reason } => PgError::new(SqlState::DATA_CORRUPTED, reason.clone()),
        KvError::Unavailable { reason } => {
            PgError::new(SqlState::CANNOT_CONNECT_NOW, format!("a range is not available: {reason}"))
        }
        KvError::RangeMismatch { .. }
        | KvError::RangeNotFound { .. }
        | KvError::NotLeaseholder { .. }
        | KvError::IntentConflict { .. }
        | KvError::Invalid { .. } => PgError::internal(error.to_string()),
    }
}

/// For code that has no transaction to retry.
pub fn kv_result<T>(result: Result<T, KvError>) -> PgResult<T> {
    result.map_err(|error| kv_error(&error))
}
