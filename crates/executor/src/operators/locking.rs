//! Row locks: the plan's words for them and the KV layer's, and reading rows again under a lock.
//!
//! A locking read takes the newest version, which may be newer than the snapshot that chose the row. PostgreSQL's rule under READ
//! COMMITTED (EvalPlanQual): the newest version counts if it still satisfies the conditions, else the row is left out.
//! So rows are chosen by plain reads and a filter, locked by primary key, and what was locked goes through the filter
//! and the index span again. Under the stricter levels the KV layer answers with a restart where a newer version is
//! met, so the second look changes nothing.

use kvclient::{KeyBlock, KvError, LockStrength, Locking, WaitPolicy};
use planner::ast;
use planner::plan::RowLock;
use types::{PgError, SqlState};

use crate::error::ExecError;
use crate::error::ExecResult;
use crate::operator::Run;
use kvclient::KvBlock;

/// How the rows of a scan are locked; [`Locking::NONE`] without a lock.
pub(crate) fn row_locking(lock: Option<RowLock>) -> Locking {
    let Some(lock) = lock else { return Locking::NONE };
    let strength = match lock.strength {
        ast::LockStrength::KeyShare => LockStrength::KeyShare,
        ast::LockStrength::Share => LockStrength::Share,
        ast::LockStrength::NoKeyUpdate => LockStrength::NoKeyUpdate,
        ast::LockStrength::Update => LockStrength::Update,
    };
    let wait = match lock.wait {
        ast::LockWait::Block => WaitPolicy::Block,
        ast::LockWait::Error => WaitPolicy::NoWait,
        ast::LockWait::Skip => WaitPolicy::SkipLocked,
    };
    Locking { strength, wait, absent: false }
}

/// NOWAIT's error names the relation.
pub(crate) fn word_lock_error(error: KvError, relation: &str) -> ExecError {
    match error {
        KvError::LockNotAvailable { .. } => PgError::new(
            SqlState::LOCK_NOT_AVAILABLE,
            format!("could not obtain lock on row in relation \"{relation}\""),
        )
        .into(),
        other => other.into(),
    }
}

/// Locks rows by their primary keys and reads them. A row that is gone has no value; one that is skipped is not there.
pub(crate) async fn lock_rows(
    run: &Run,
    keys: &KeyBlock,
    locking: Locking,
    relation: &str,
) -> ExecResult<KvBlock> {
    let rows = run.context.txn.multi_get(keys, locking).await;
    rows.map_err(|error| word_lock_error(error, relation))
}
