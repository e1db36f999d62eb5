//! Keyspaces that nobody reads any more: of dropped and truncated tables, of indexes dropped or rewritten.
//!
//! A transaction that makes a keyspace useless writes a record of it (`/table/4/...`), so that the record exists exactly if the
//! transaction commits. A background task clears what the records name, record last: a crash anywhere leaves work to be
//! done again, never data lost.
//!
//! A table rewritten in bulk goes the other way round: the record of its new keyspace is written *before* it is filled, in a
//! transaction of its own, and deleted by the transaction that puts the keyspace to use. What an aborted or crashed rewrite leaves
//! is garbage like any other. Rewrites in progress are registered in memory, so that nobody clears under their hands; after a
//! restart there are none.

use std::collections::BTreeSet;
use std::sync::Arc;

use executor::{ExecError, ExecResult};
use futures::StreamExt;
use futures::channel::mpsc;
use keys::encoding::Decoder;
use keys::{IndexId, TableId, table};
use kvclient::{Db, Locking, ScanOptions, Txn, TxnOptions};
use parking_lot::Mutex;
use types::PgError;

use crate::catalog::store::{GARBAGE, garbage_key};
use crate::small_transaction::in_own_transaction;

/// Rows deleted in one transaction.
const ROWS_PER_STEP: u64 = 1000;
/// Stands for all indexes of a table in a record.
pub const WHOLE_TABLE: u32 = 0;

/// The collector's handle.
pub struct Garbage {
    db: Db,
    wake: mpsc::Sender<()>,
    /// Keyspaces that rewrites in progress are filling.
    in_progress: Mutex<BTreeSet<u32>>,
}

impl Garbage {
    /// Starts the collector's task; it looks once right away.
    pub fn start(env: &Arc<dyn env::Env>, db: Db) -> Arc<Garbage> {
        let (wake, mut woken) = mpsc::channel(1);
        let garbage = Arc::new(Garbage { db, wake, in_progress: Mutex::default() });
        let collector = Arc::downgrade(&garbage);
        drop(env.spawn(
            "sql-garbage",
            Box::pin(async move {
                loop {
                    let Some(garbage) = collector.upgrade() else { return };
                    if let Err(error) = garbage.collect().await {
                        tracing::warn!(error = %error.into_pg_error(), "clearing dropped data failed; it is tried again later");
                    }
                    drop(garbage);
                    if woken.next().await.is_none() {
                        return;
                    }
                }
            }),
        ));
        garbage.kick();
        garbage
    }

    /// There is something to clear.
    pub fn kick(&self) {
        // A full channel: a look is due anyway.
        let _ = self.wake.clone().try_send(());
    }

    /// Announces a keyspace that is about to be filled. Dropping the guard makes it collectable, unless its record has been
    /// deleted by then.
    pub async fn begin_rewrite(self: &Arc<Self>, storage_id: u32) -> ExecResult<Rewrite> {
        self.in_progress.lock().insert(storage_id);
        let rewrite = Rewrite { garbage: self.clone(), storage_id };
        let key = garbage_key(storage_id, WHOLE_TABLE);
        in_own_transaction!(self.db, |txn| txn.put(&key, b"").map_err(ExecError::from))?;
        Ok(rewrite)
    }

    async fn collect(&self) -> ExecResult<()> {
        for (storage_id, storage_index) in self.records().await? {
            if self.in_progress.lock().contains(&storage_id) {
                continue;
            }
            // A keyspace that was being filled when the records were read may have come into use since: only what is still
            // on record, now that nobody fills it, is garbage.
            let key = garbage_key(storage_id, storage_index);
            if !self.is_recorded(&key).await? {
                continue;
            }
            self.clear(storage_id, storage_index).await?;
            in_own_transaction!(self.db, |txn| txn.delete(&key).map_err(ExecError::from))?;
        }
        Ok(())
    }

    async fn records(&self) -> ExecResult<Vec<(u32, u32)>> {
        let txn = self.db.begin(TxnOptions { read_only: true, ..TxnOptions::default() });
        let mut scan = txn.scan(ScanOptions::forward(table::index_span(GARBAGE, IndexId::PRIMARY)));
        let mut records = Vec::new();
        while let Some(page) = scan.next_page(&txn).await? {
            for row in page.iter() {
                let broken = |_| ExecError::from(PgError::internal("a garbage record's key cannot be read"));
                let (_, _, mut columns) = table::parse(row.key).map_err(broken)?;
                records.push(take_ids(&mut columns).map_err(broken)?);
            }
        }
        txn.rollback().await;
        Ok(records)
    }

    async fn is_recorded(&self, key: &[u8]) -> ExecResult<bool> {
        let found =
            in_own_transaction!(self.db, |txn| txn.get(key, Locking::NONE).await.map_err(ExecError::from))?;
        Ok(found.is_some())
    }

    async fn clear(&self, storage_id: u32, storage_index: u32) -> ExecResult<()> {
        let span = match storage_index {
            WHOLE_TABLE => table::table_span(TableId(storage_id)),
            index => table::index_span(TableId(storage_id), IndexId(index)),
        };
        loop {
            let deleted = in_own_transaction!(self.db, |txn| delete_some(&txn, &span).await)?;
            if deleted < ROWS_PER_STEP {
                return Ok(());
            }
        }
    }
}

/// Deletes the first rows of a span; answers how many there were.
async fn delete_some(txn: &Txn, span: &keys::Span) -> ExecResult<u64> {
    let mut scan = txn.scan(ScanOptions::forward(span.clone()).limit(ROWS_PER_STEP));
    let mut deleted = 0;
    while let Some(page) = scan.next_page(txn).await? {
        for row in page.iter() {
            txn.delete(row.key)?;
            deleted += 1;
        }
    }
    Ok(deleted)
}

fn take_ids(columns: &mut Decoder<'_>) -> Result<(u32, u32), keys::KeyError> {
    Ok((columns.take_u32()?, columns.take_u32()?))
}

/// A keyspace being filled. See [`Garbage::begin_rewrite`].
pub struct Rewrite {
    garbage: Arc<Garbage>,
    storage_id: u32,
}

impl Drop for Rewrite {
    fn drop(&mut self) {
        self.garbage.in_progress.lock().remove(&self.storage_id);
        self.garbage.kick();
    }
}
