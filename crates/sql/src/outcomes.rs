//! What became of a transaction, for whoever knows its id: `pg_current_xact_id` and `pg_xact_status` (PostgreSQL 15, section 9.26.7).
//!
//! A client that is told 40003, or loses its connection while it commits, must find out before it does its work again. Who has asked
//! for the transaction's id before can: each id has a key (`/table/6/1/<id>`), which the transaction locks for as long as it lasts, and
//! where its commit writes a row with all its other writes. So the row is there exactly if the transaction has committed.
//!
//! ```text
//!   pg_xact_status:  lock the key ─ not to be had ──────────────────────────▶ in progress
//!                         │ had
//!                         ├─ a row ─────────────────────────────────────────▶ what it says
//!                         └─ none ─▶ write "aborted" there, as a transaction ▶ aborted
//! ```
//!
//! The last step makes the answer final: locks are memory of a leaseholder and may be lost, and a commit may still be under way on a node that
//! nobody reaches. Whichever row comes first stands, and a commit that finds the other one there fails (40001).
//!
//! Rows are kept for [`KEPT`]. After that an id without row may have had one: its status is NULL, as PostgreSQL's is once it has forgotten. A
//! transaction older than [`COMMITTED_BEFORE`] may have been declared aborted by a row that is gone, and does not commit any more.
//!
//! A read-only transaction writes nothing: another one, which commits just after it, holds the key and writes the row in its stead.

use std::sync::Arc;
use std::time::Duration;

use executor::{ExecError, ExecResult};
use keys::encoding::put_u64;
use keys::{IndexId, Key, Span, table};
use kvclient::{Db, InsertCheck, KvBlock, KvError, Locking, ScanOptions, Timestamp, Txn, TxnOptions};
use types::{PgError, SqlState};

use crate::catalog::store::OUTCOMES;
use crate::server::SqlServer;
use crate::small_transaction::in_own_transaction;

/// For how long an outcome is kept.
const KEPT: Duration = Duration::from_secs(24 * 3600);
/// The age up to which a transaction with an id commits.
const COMMITTED_BEFORE: Duration = Duration::from_secs(23 * 3600);
/// Between two looks for rows to be deleted.
const COLLECT_PAUSE: Duration = Duration::from_secs(600);
/// Rows deleted by one transaction.
const COLLECT_ROWS: u64 = 1_000;
/// How long to wait for a key before its transaction is in progress. Long enough for the leaseholder to find out that it is not.
const PATIENCE: Duration = Duration::from_millis(200);
/// Ids of other nodes may be ahead of this node's clock by less than this.
const CLOCKS_APART_MAX: Duration = Duration::from_secs(10);

/// The status of a transaction that has not ended.
pub const IN_PROGRESS: &str = "in progress";

/// The version of a row: this byte, the outcome, when it was written (nanoseconds since 1970).
const VERSION: u8 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Aborted,
    Committed,
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Outcome::Aborted => "aborted",
            Outcome::Committed => "committed",
        }
    }
}

fn key_of(id: i64) -> Vec<u8> {
    let mut key = table::start_key(OUTCOMES, IndexId::PRIMARY);
    put_u64(&mut key, id as u64);
    key
}

fn encode(outcome: Outcome, written: Timestamp) -> Vec<u8> {
    let mut row = vec![VERSION, outcome as u8];
    put_u64(&mut row, written.wall);
    row
}

fn decode(row: &[u8]) -> Option<(Outcome, Timestamp)> {
    let [VERSION, outcome, written @ ..] = row else { return None };
    let outcome = match outcome {
        0 => Outcome::Aborted,
        1 => Outcome::Committed,
        _ => return None,
    };
    Some((outcome, Timestamp::new(u64::from_be_bytes(written.try_into().ok()?), 0)))
}

/// A transaction's id, once it was asked for.
pub struct AssignedId {
    id: i64,
    /// Of a read-only transaction: what holds the key in its stead.
    stand_in: Option<Txn>,
}

impl AssignedId {
    /// Gives a transaction an id, and takes the key for it.
    pub async fn new(db: &Db, txn: &Txn) -> ExecResult<AssignedId> {
        let id = db.unique_numbers(1);
        let stand_in = txn.is_read_only().then(|| db.begin(TxnOptions::default()));
        stand_in.as_ref().unwrap_or(txn).hold(&key_of(id)).await?;
        Ok(AssignedId { id, stand_in })
    }

    pub fn get(&self) -> i64 {
        self.id
    }

    /// Has the transaction tell of its commit.
    ///
    /// Errors: 40001 if it is too old for that.
    pub async fn record(&self, db: &Db, txn: &Txn) -> ExecResult<()> {
        if self.stand_in.is_some() { Ok(()) } else { record_commit(db, txn, self.id).await }
    }

    /// The transaction has committed.
    pub async fn committed(self, db: &Db) {
        let AssignedId { id, stand_in: Some(txn) } = self else { return };
        let recorded: ExecResult<()> = async {
            record_commit(db, &txn, id).await?;
            txn.commit().await?;
            Ok(())
        }
        .await;
        if let Err(error) = recorded {
            tracing::warn!(id, error = %error.into_pg_error(), "that a read-only transaction has committed was not noted");
        }
    }

    /// What a commit's error has to do with the id, if anything: 40001 if somebody was told that it would not happen, 40003 with the id to ask for.
    pub fn worded(&self, error: &KvError) -> Option<PgError> {
        let id = self.id;
        match error {
            KvError::ConditionFailed { key, .. } if key[..] == key_of(id)[..] => {
                let message = format!(
                    "transaction {id} cannot commit: its status was asked for while it could not be found"
                );
                let told = PgError::new(SqlState::SERIALIZATION_FAILURE, message);
                Some(
                    told.detail("Whoever asked was told that it is aborted.")
                        .hint("The transaction might succeed if retried."),
                )
            }
            KvError::Ambiguous { .. } => {
                let hint = format!("SELECT pg_xact_status('{id}') tells whether it was.");
                Some(executor::kv_error(error).detail(format!("It is transaction {id}.")).hint(hint))
            }
            _ => None,
        }
    }
}

async fn record_commit(db: &Db, txn: &Txn, id: i64) -> ExecResult<()> {
    let now = db.now();
    if begun(id).saturating_add(COMMITTED_BEFORE) < now {
        let message = format!("transaction {id} cannot commit: it is older than outcomes are kept");
        return Err(PgError::new(SqlState::SERIALIZATION_FAILURE, message).into());
    }
    let mut row = KvBlock::new();
    row.push(&key_of(id), &encode(Outcome::Committed, now));
    // A conflict is found by the commit: nothing has written to the key before.
    txn.insert(&row, InsertCheck::AtCommit).await?;
    Ok(())
}

fn begun(id: i64) -> Timestamp {
    kvclient::unique_number_time(id)
}

/// What became of a transaction; `None` if it is too long ago.
///
/// Errors: 22023 for an id that nobody can have yet.
pub async fn status(db: &Db, id: u64) -> ExecResult<Option<&'static str>> {
    let now = db.now();
    let id = match i64::try_from(id) {
        Ok(0) => return Ok(None),
        // What PostgreSQL calls the bootstrap and the frozen transaction.
        Ok(1 | 2) => return Ok(Some(Outcome::Committed.name())),
        Ok(id) if begun(id) <= now.saturating_add(CLOCKS_APART_MAX) => id,
        _ => {
            let message = format!("transaction ID {id} is in the future");
            return Err(PgError::new(SqlState::INVALID_PARAMETER_VALUE, message).into());
        }
    };
    match in_own_transaction!(db, |txn| settle(&txn, id, now).await) {
        Ok(outcome) => Ok(outcome.map(Outcome::name)),
        Err(ExecError::Kv(KvError::LockTimeout { .. })) => Ok(Some(IN_PROGRESS)),
        Err(error) => Err(error),
    }
}

/// Reads what became of a transaction that does not hold its key, and makes it final.
async fn settle(txn: &Txn, id: i64, now: Timestamp) -> ExecResult<Option<Outcome>> {
    txn.set_lock_timeout(Some(PATIENCE));
    let key = key_of(id);
    if let Some(row) = txn.get(&key, Locking::INSERT).await? {
        let (outcome, _) = decode(&row).ok_or_else(|| {
            let message = format!("the outcome at {} cannot be read", Key::copy_from(&key));
            PgError::new(SqlState::DATA_CORRUPTED, message)
        })?;
        return Ok(Some(outcome));
    }
    if begun(id).saturating_add(KEPT) < now {
        return Ok(None);
    }
    txn.put(&key, &encode(Outcome::Aborted, now))?;
    Ok(Some(Outcome::Aborted))
}

/// Starts the task that deletes outcomes which are no longer kept. It ends with the server.
pub fn start_collector(server: &Arc<SqlServer>) {
    let (env, of_node) = (server.env.clone(), Arc::downgrade(server));
    let task = async move {
        loop {
            env.sleep(COLLECT_PAUSE).await;
            let Some(server) = of_node.upgrade() else { return };
            if let Err(error) = collect(&server.db).await {
                tracing::warn!(error = %error.into_pg_error(), "deleting old outcomes of transactions failed; it is tried again later");
            }
        }
    };
    drop(server.env.spawn("sql-outcomes", Box::pin(task)));
}

/// Deletes what is no longer kept.
async fn collect(db: &Db) -> ExecResult<()> {
    let written_before = db.now().saturating_sub(KEPT);
    let end = kvclient::first_unique_number(written_before);
    let mut span = Span { start: key_of(0).into(), end: key_of(end).into() };
    loop {
        let next = in_own_transaction!(db, |txn| delete_page(&txn, &span, written_before).await)?;
        match next {
            Some(next) => span.start = next,
            None => return Ok(()),
        }
    }
}

/// Deletes among the first rows of a span those written before a time. Answers with where to go on.
async fn delete_page(txn: &Txn, span: &Span, written_before: Timestamp) -> ExecResult<Option<Key>> {
    let mut scan = txn.scan(ScanOptions::forward(span.clone()).limit(COLLECT_ROWS));
    let mut last = None;
    while let Some(page) = scan.next_page(txn).await? {
        for row in page.iter() {
            if row.value.and_then(decode).is_none_or(|(_, written)| written < written_before) {
                txn.delete(row.key)?;
            }
            last = Some(Key::copy_from(row.key).next());
        }
    }
    Ok(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stored_form_is_frozen() {
        let key = key_of(0x0102_0304);
        assert_eq!(key[key.len() - 8..], [0, 0, 0, 0, 1, 2, 3, 4]);
        let row = encode(Outcome::Committed, Timestamp::new(258, 9));
        assert_eq!(row, [1, 1, 0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(decode(&row), Some((Outcome::Committed, Timestamp::new(258, 0))));
        assert_eq!(
            decode(&encode(Outcome::Aborted, Timestamp::ZERO)),
            Some((Outcome::Aborted, Timestamp::ZERO))
        );
        assert_eq!(decode(&[1, 2, 0, 0, 0, 0, 0, 0, 1, 2]), None);
        for cut in 0..row.len() {
            assert_eq!(decode(&row[..cut]), None);
        }
    }
}
