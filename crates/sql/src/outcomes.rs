//! What became of a transaction, for whoever knows its id: `pg_current_xact_id` and `pg_xact_status` (PostgreSQL 15, section 9.26.7).
//!
//! A client that is told 40003, or loses its connection while it commits, must find out before it does its work again. Who has asked
//! for the transaction's id before can: each id has a key (`/table/6/1/<id>`), which the transaction locks for as long as it lasts, and
//! where its commit writes a row with all its other writes. So the row is there exactly if the transaction has committed.
//!
//! ```text
//!   pg_xact_status:  read the key ─ a row ───────────────────────────────────▶ what it says
//!                         │ none
//!                    lock the key ─ not to be had ─▶ read once more, no row ─▶ in progress
//!                         │ had
//!                         ├─ a row ──────────────────────────────────────────▶ what it says
//!                         └─ none ─▶ write "aborted" there, as a transaction ▶ aborted
//! ```
//!
//! Reading comes first because two who ask would find each other's locks. The last step makes the answer final: locks are memory of a leaseholder and may be lost, and a commit may still be under way on a node that
//! nobody reaches. Whichever row comes first stands, and a commit that finds the other one there fails (40001).
//!
//! Rows are told for [`KEPT`]. After that an id without row may have had one: its status is NULL, as PostgreSQL's is once it has forgotten. A
//! transaction older than [`COMMITTED_BEFORE`] may have been declared aborted by a row that is gone, and does not commit any more.

use std::sync::Arc;
use std::time::Duration;

use executor::{ExecError, ExecResult};
use keys::encoding::put_u64;
use keys::{IndexId, Key, Span, table};
use kvclient::{Db, KvError, Locking, ScanOptions, Timestamp, Txn};
use types::{PgError, SqlState};

use crate::catalog::store::OUTCOMES;
use crate::server::SqlServer;
use crate::small_transaction::in_own_transaction;

/// For how long an outcome is told.
const KEPT: Duration = Duration::from_secs(24 * 3600);
/// For how long its row is there: past every clock, and every request under way, for which it is still told.
const STORED: Duration = Duration::from_secs(25 * 3600);
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

/// A transaction's id, once it was asked for. The transaction holds the id's key.
#[derive(Clone, Copy)]
pub struct AssignedId(i64);

impl AssignedId {
    /// Gives a transaction an id.
    pub async fn new(db: &Db, txn: &Txn) -> ExecResult<AssignedId> {
        loop {
            let id = AssignedId(db.unique_numbers(1));
            // Else somebody has asked about a number that nobody had yet.
            if id.hold(txn).await? {
                return Ok(id);
            }
        }
    }

    pub fn get(self) -> i64 {
        self.0
    }

    /// Takes the id's key for a transaction that has begun, or begun anew. False: it has been declared aborted.
    pub async fn hold(&self, txn: &Txn) -> ExecResult<bool> {
        Ok(txn.hold(&key_of(self.0)).await?.is_none())
    }

    /// Has the transaction tell of its commit.
    ///
    /// Errors: 40001 if it is too old for that.
    pub fn record(&self, db: &Db, txn: &Txn) -> ExecResult<()> {
        let (id, now) = (self.0, db.now());
        if begun(id).saturating_add(COMMITTED_BEFORE) < now {
            let message = format!("transaction {id} cannot commit: it is older than outcomes are kept");
            return Err(PgError::new(SqlState::SERIALIZATION_FAILURE, message).into());
        }
        Ok(txn.put_held(&key_of(id), &encode(Outcome::Committed, now))?)
    }

    /// What a commit's error has to do with the id, if anything: 40001 if the transaction may have been declared aborted, 40003 with the id to ask
    /// for.
    pub fn worded(&self, error: &KvError) -> Option<PgError> {
        let id = self.0;
        match error {
            KvError::Restart { key: Some(key), .. } if key[..] == key_of(id)[..] => {
                let message = format!("transaction {id} cannot commit: it may have been declared aborted");
                let told = PgError::new(SqlState::SERIALIZATION_FAILURE, message);
                let detail =
                    "The node that knew of it has failed, and somebody may have asked for its status since.";
                Some(told.detail(detail).hint("The transaction might succeed if retried."))
            }
            KvError::Ambiguous { .. } => {
                let hint = format!("SELECT pg_xact_status('{id}') tells whether it was.");
                Some(executor::kv_error(error).detail(format!("It is transaction {id}.")).hint(hint))
            }
            _ => None,
        }
    }
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
    if let Some(outcome) = in_own_transaction!(db, |txn| told(&txn, id, Locking::NONE).await)? {
        return Ok(Some(outcome.name()));
    }
    let outcome = match in_own_transaction!(db, |txn| settle(&txn, id).await) {
        // It is held: by the transaction, or by somebody else who asks.
        Err(ExecError::Kv(KvError::LockTimeout { .. })) => {
            let outcome = in_own_transaction!(db, |txn| told(&txn, id, Locking::NONE).await)?;
            return Ok(Some(outcome.map_or(IN_PROGRESS, Outcome::name)));
        }
        // Of who asks, not of the transaction that is asked about.
        Err(ExecError::Kv(KvError::Ambiguous { reason })) => Err(KvError::unavailable(reason))?,
        settled => settled?,
    };
    Ok(outcome.map(Outcome::name))
}

/// What is on record of a transaction.
async fn told(txn: &Txn, id: i64, locking: Locking) -> ExecResult<Option<Outcome>> {
    let key = key_of(id);
    let Some(row) = txn.get(&key, locking).await? else { return Ok(None) };
    let (outcome, _) = decode(&row).ok_or_else(|| {
        let message = format!("the outcome at {} cannot be read", Key::copy_from(&key));
        PgError::new(SqlState::DATA_CORRUPTED, message)
    })?;
    Ok(Some(outcome))
}

/// What became of a transaction that does not hold its key; from now on, for good.
async fn settle(txn: &Txn, id: i64) -> ExecResult<Option<Outcome>> {
    txn.set_lock_timeout(Some(PATIENCE));
    let told = told(txn, id, Locking::INSERT).await?;
    let now = txn.read_timestamp();
    if told.is_some() || begun(id).saturating_add(KEPT) < now {
        return Ok(told);
    }
    txn.put(&key_of(id), &encode(Outcome::Aborted, now))?;
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
    let written_before = db.now().saturating_sub(STORED);
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
