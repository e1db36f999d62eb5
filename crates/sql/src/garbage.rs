//! Keyspaces that nobody reads any more: of dropped and truncated tables, of indexes dropped or rewritten.
//!
//! A transaction that makes a keyspace useless writes a record of it (`/table/4/...`), so that the record exists exactly if the
//! transaction commits. Snapshots older than that may still read the keyspace, for as long as garbage lives (the node's time
//! to live): a collector on every node notes when it first saw a record, which is after the commit, and clears what the record
//! names when that is long enough ago; the record goes last. A crash anywhere leaves work to be done again, never data lost.
//!
//! ```text
//!   empty ---(a collector)---> seen at t ---(time to live)---> keyspace cleared, record removed
//!   stamp zero: at once (temporary tables, which no other session reads)
//! ```
//!
//! A table rewritten in bulk goes the other way round: a record that its new keyspace is being filled is written *before* it is, in a
//! transaction of its own; the transaction that puts the keyspace to use writes a second record, that it is in use. (It does not touch
//! the first: at REPEATABLE READ it could not, that one being newer than its snapshot.) While the keyspace is filled its record is
//! stamped anew again and again, and it must be put to use before the last stamp is as old as garbage may be. So nobody on any node
//! clears it under the writer's hands, and what an aborted or crashed rewrite leaves is garbage like any other.
//!
//! Whoever stamps or clears holds a lock on the record: of two collectors one finds it done.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clock::Timestamp;
use env::{Env, TaskHandle};
use executor::{ExecError, ExecResult};
use futures::channel::mpsc;
use futures::future::{Either, select};
use futures::{StreamExt, pin_mut};
use keys::encoding::Decoder;
use keys::{IndexId, TableId, table};
use kvclient::{Db, Locking, ScanOptions, Txn, TxnOptions};
use parking_lot::Mutex;
use types::PgError;

use crate::catalog::store::{GARBAGE, garbage_key};
use crate::small_transaction::in_own_transaction;

/// Stands for all indexes of a table in a record.
pub const WHOLE_TABLE: u32 = 0;
/// In the place of an index: the whole keyspace is being filled.
const FILLING: u32 = u32::MAX - 1;
/// The keyspace that was being filled is a table's.
const IN_USE: u32 = u32::MAX;
/// A record of what may be cleared at once.
pub const AT_ONCE: [u8; Timestamp::ENCODED_SIZE] = Timestamp::ZERO.to_bytes();

/// Between two looks of a collector.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// What is on record of a keyspace.
struct Record {
    key: Vec<u8>,
    storage_id: u32,
    /// Of one index, or one of the values that stand for more.
    storage_index: u32,
    /// When the record was first seen, or by when its keyspace was still being filled; `None`: not seen yet.
    stamp: Option<Timestamp>,
}

impl Record {
    /// What it names.
    fn span(&self) -> keys::Span {
        match self.storage_index {
            WHOLE_TABLE | FILLING => table::table_span(TableId(self.storage_id)),
            index => table::index_span(TableId(self.storage_id), IndexId(index)),
        }
    }
}

/// A keyspace that is to be cleared, or would be if whoever fills it died.
pub struct GarbageStanding {
    pub storage_id: u32,
    /// `None`: all of it.
    pub storage_index: Option<u32>,
    pub is_being_filled: bool,
    /// When it was first seen, or up to when it was known to be filled.
    pub stamp: Option<Timestamp>,
    /// From when on it is cleared; `None`: not known yet.
    pub due: Option<Timestamp>,
}

/// The collector's handle.
pub struct Garbage {
    env: Arc<dyn Env>,
    db: Db,
    wake: mpsc::Sender<()>,
    /// How long what was dropped stays, in milliseconds.
    time_to_live_ms: AtomicU64,
    /// How long a keyspace that is being filled is safe from the last stamp on. The same on all nodes and for good: a rewrite relies on
    /// every other node's.
    filling_time: Duration,
}

impl Garbage {
    /// Starts the collector's task; it looks once right away.
    pub fn start(env: &Arc<dyn Env>, db: Db, time_to_live: Duration) -> Arc<Garbage> {
        let (wake, mut woken) = mpsc::channel(1);
        let garbage = Arc::new(Garbage {
            env: env.clone(),
            db,
            wake,
            time_to_live_ms: AtomicU64::new(milliseconds(time_to_live)),
            filling_time: time_to_live,
        });
        let (collector, env) = (Arc::downgrade(&garbage), env.clone());
        let task = async move {
            loop {
                let Some(garbage) = collector.upgrade() else { return };
                if let Err(error) = garbage.collect().await {
                    tracing::warn!(error = %error.into_pg_error(), "clearing dropped data failed; it is tried again later");
                }
                let shortest = garbage.time_to_live().min(garbage.filling_time);
                let pause = (shortest / 16).clamp(PAUSE_MIN, PAUSE_MAX);
                drop(garbage);
                let (next, due) = (woken.next(), env.sleep(pause));
                pin_mut!(next);
                if let Either::Left((None, _)) = select(next, due).await {
                    return;
                }
            }
        };
        drop(garbage.env.spawn("sql-garbage", Box::pin(task)));
        garbage.kick();
        garbage
    }

    /// Changes how long what was dropped stays.
    pub fn set_time_to_live(&self, time_to_live: Duration) {
        let new = milliseconds(time_to_live);
        if self.time_to_live_ms.swap(new, Ordering::Relaxed) != new {
            self.kick();
        }
    }

    pub fn time_to_live(&self) -> Duration {
        Duration::from_millis(self.time_to_live_ms.load(Ordering::Relaxed))
    }

    /// How long after its stamp the keyspace of a record is kept.
    fn kept_for(&self, record: &Record) -> Duration {
        if record.storage_index == FILLING { self.filling_time } else { self.time_to_live() }
    }

    /// There is something to clear at once.
    pub fn kick(&self) {
        // A full channel: a look is due anyway.
        let _ = self.wake.clone().try_send(());
    }

    /// Announces a keyspace that is about to be filled. See [`Rewrite`].
    pub async fn begin_rewrite(self: &Arc<Self>, storage_id: u32) -> ExecResult<Rewrite> {
        let key = garbage_key(storage_id, FILLING);
        let stamp = self.db.now();
        in_own_transaction!(self.db, |txn| txn.put(&key, &stamp.to_bytes()).map_err(ExecError::from))?;
        let stamp = Arc::new(Mutex::new(stamp));
        let (garbage, kept) = (self.clone(), stamp.clone());
        let task = async move {
            loop {
                garbage.env.sleep(garbage.filling_time / 8).await;
                let now = garbage.db.now();
                match in_own_transaction!(garbage.db, |txn| stamp_anew(&txn, &key, now).await) {
                    Ok(true) => *kept.lock() = now,
                    Ok(false) => return,
                    Err(error) => {
                        tracing::warn!(error = %error.into_pg_error(), "a rewrite in progress could not be noted; it is tried again");
                    }
                }
            }
        };
        let task = self.env.spawn("sql-rewrite", Box::pin(task));
        Ok(Rewrite { storage_id, stamp, time_to_live: self.filling_time, task })
    }

    async fn collect(&self) -> ExecResult<()> {
        for record in self.records().await? {
            let now = self.db.now();
            match record.stamp {
                _ if record.storage_index == IN_USE => {}
                None => drop(in_own_transaction!(self.db, |txn| stamp_new(&txn, &record.key, now).await)?),
                Some(stamp) if stamp.saturating_add(self.kept_for(&record)) < now || stamp.is_zero() => {
                    in_own_transaction!(self.db, |txn| self.clear(&txn, &record, stamp).await)?;
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Clears a keyspace if its record is still as it was found, and there is none that it is in use.
    async fn clear(&self, txn: &Txn, record: &Record, stamp: Timestamp) -> ExecResult<()> {
        let found = txn.get(&record.key, Locking::UPDATE).await?;
        if found.as_deref() != Some(&stamp.to_bytes()) {
            return Ok(());
        }
        txn.delete(&record.key)?;
        if record.storage_index == FILLING {
            let in_use = garbage_key(record.storage_id, IN_USE);
            if txn.get(&in_use, Locking::NONE).await?.is_some() {
                return Ok(txn.delete(&in_use)?);
            }
        }
        Ok(self.db.clear_span(&record.span(), stamp).await?)
    }

    /// What is on record, for people.
    pub async fn standings(&self) -> ExecResult<Vec<GarbageStanding>> {
        let records = self.records().await?;
        let mut in_use: Vec<u32> = Vec::new();
        in_use.extend(records.iter().filter(|record| record.storage_index == IN_USE).map(|r| r.storage_id));
        let counts = |record: &Record| {
            let is_marked = matches!(record.storage_index, FILLING | IN_USE);
            !(is_marked && in_use.contains(&record.storage_id))
        };
        let standing = |record: Record| GarbageStanding {
            storage_id: record.storage_id,
            storage_index: Some(record.storage_index).filter(|index| ![WHOLE_TABLE, FILLING].contains(index)),
            is_being_filled: record.storage_index == FILLING,
            stamp: record.stamp.filter(|stamp| !stamp.is_zero()),
            due: record.stamp.map(|stamp| match stamp.is_zero() {
                true => stamp,
                false => stamp.saturating_add(self.kept_for(&record)),
            }),
        };
        Ok(records.into_iter().filter(counts).map(standing).collect())
    }

    async fn records(&self) -> ExecResult<Vec<Record>> {
        let txn = self.db.begin(TxnOptions { read_only: true, ..TxnOptions::default() });
        let mut scan = txn.scan(ScanOptions::forward(table::index_span(GARBAGE, IndexId::PRIMARY)));
        let mut records = Vec::new();
        while let Some(page) = scan.next_page(&txn).await? {
            for row in page.iter() {
                let broken = |_| ExecError::from(PgError::internal("a garbage record's key cannot be read"));
                let (_, _, mut columns) = table::parse(row.key).map_err(broken)?;
                let (storage_id, storage_index) = take_ids(&mut columns).map_err(broken)?;
                let stamp = row.value.and_then(|value| value.try_into().ok()).map(Timestamp::from_bytes);
                records.push(Record { key: row.key.to_vec(), storage_id, storage_index, stamp });
            }
        }
        txn.rollback().await;
        Ok(records)
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Notes when a record was first seen.
async fn stamp_new(txn: &Txn, key: &[u8], now: Timestamp) -> ExecResult<()> {
    if txn.get(key, Locking::UPDATE).await?.is_some_and(|value| value.is_empty()) {
        txn.put(key, &now.to_bytes())?;
    }
    Ok(())
}

/// False: the record is gone.
async fn stamp_anew(txn: &Txn, key: &[u8], now: Timestamp) -> ExecResult<bool> {
    let exists = txn.get(key, Locking::UPDATE).await?.is_some();
    if exists {
        txn.put(key, &now.to_bytes())?;
    }
    Ok(exists)
}

fn take_ids(columns: &mut Decoder<'_>) -> Result<(u32, u32), keys::KeyError> {
    Ok((columns.take_u32()?, columns.take_u32()?))
}

/// A keyspace being filled: kept from the collectors. Dropping it leaves the keyspace to them, unless it was put to use.
pub struct Rewrite {
    storage_id: u32,
    stamp: Arc<Mutex<Timestamp>>,
    time_to_live: Duration,
    task: TaskHandle,
}

impl Rewrite {
    /// Puts the keyspace to use when `txn` commits.
    pub fn put_to_use(&self, txn: &Txn) -> ExecResult<()> {
        Ok(txn.put(&garbage_key(self.storage_id, IN_USE), b"")?)
    }

    /// The transaction that puts the keyspace to use must commit before this.
    pub fn deadline(&self) -> Timestamp {
        self.stamp.lock().saturating_add(self.time_to_live)
    }
}

impl Drop for Rewrite {
    fn drop(&mut self) {
        self.task.abort();
    }
}
