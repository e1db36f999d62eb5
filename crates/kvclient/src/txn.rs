//! Transactions as their user sees them.

use std::time::Duration;

use kvapi::{Isolation, KeyBlock, KvBlock, KvError, Timestamp, TxnId};

use crate::{Conflict, InsertCheck, Locking, RestartScope, Savepoint, Scan, ScanOptions};

/// One transaction. See the crate's documentation for the rules of its use.
pub struct Txn {}

impl Txn {
    pub fn id(&self) -> TxnId {
        unimplemented!()
    }

    pub fn isolation(&self) -> Isolation {
        unimplemented!()
    }

    pub fn is_read_only(&self) -> bool {
        unimplemented!()
    }

    /// Where the statement in progress reads.
    pub fn read_timestamp(&self) -> Timestamp {
        unimplemented!()
    }

    /// Set before the first statement (SET TRANSACTION). `Invalid` once something was read or written.
    pub fn set_isolation(&self, isolation: Isolation) -> Result<(), KvError> {
        unimplemented!()
    }

    /// From now on writes and locking reads are refused (SET TRANSACTION READ ONLY).
    pub fn set_read_only(&self) {
        unimplemented!()
    }

    pub fn set_lock_timeout(&self, timeout: Option<Duration>) {
        unimplemented!()
    }

    /// The commit must happen below `deadline` (a descriptor lease's end); keeps the lowest.
    pub fn limit_commit_timestamp(&self, deadline: Timestamp) {
        unimplemented!()
    }

    /// Draws the line between statements: reads now see all writes so far and none made after it. Under
    /// read committed also takes a new snapshot. Call it before every statement, and within one where a
    /// part must see what an earlier part has written (cascades of foreign keys, which pass
    /// `new_snapshot: false`).
    pub fn begin_statement(&self, new_snapshot: bool) {
        unimplemented!()
    }

    /// Reads one key.
    pub async fn get(&self, key: &[u8], locking: Locking) -> Result<Option<Vec<u8>>, KvError> {
        unimplemented!()
    }

    /// Reads many keys, in any order, duplicates allowed. One row per key in the order asked for, absent
    /// ones without value; under `SkipLocked` the skipped keys have no row.
    pub async fn multi_get(&self, keys: &KeyBlock, locking: Locking) -> Result<KvBlock, KvError> {
        unimplemented!()
    }

    /// Begins a scan; nothing is read until its first page is asked for.
    pub fn scan(&self, options: ScanOptions) -> Scan {
        unimplemented!()
    }

    /// Buffers a write: of a row read before under a lock or in this snapshot, or a blind one. Sends nothing;
    /// who writes much calls [`Txn::flow`] now and then.
    pub fn put(&self, key: &[u8], value: &[u8]) -> Result<(), KvError> {
        unimplemented!()
    }

    /// Buffers a deletion, like [`Txn::put`]. A key without value may be deleted.
    pub fn delete(&self, key: &[u8]) -> Result<(), KvError> {
        unimplemented!()
    }

    /// Inserts rows whose keys must not exist, in any order. On a conflict nothing of the block is
    /// written, and the first conflicting row (by position) is told; a key that stands twice in the block
    /// conflicts with itself. With [`InsertCheck::AtCommit`] only conflicts with the own writes are told
    /// here. Calls [`Txn::flow`].
    pub async fn insert(&self, rows: &KvBlock, check: InsertCheck) -> Result<Option<Conflict>, KvError> {
        unimplemented!()
    }

    /// Flushes buffered writes as intents if there are more than `DbConfig::buffer_bytes_max` bytes.
    pub async fn flow(&self) -> Result<(), KvError> {
        unimplemented!()
    }

    pub fn savepoint(&self) -> Savepoint {
        unimplemented!()
    }

    /// Undoes all writes made since. The savepoint stays valid.
    pub async fn rollback_to(&self, savepoint: Savepoint) -> Result<(), KvError> {
        unimplemented!()
    }

    /// What it takes to get past `error`, or `None` if the client must be told.
    pub fn can_restart(&self, error: &KvError) -> Option<RestartScope> {
        unimplemented!()
    }

    /// Undoes the writes of the statement in progress and moves to a snapshot that lies beyond the conflict
    /// that `error` tells of. Locks are kept, so that repeated attempts make progress.
    pub async fn restart_statement(&self, error: &KvError) -> Result<(), KvError> {
        unimplemented!()
    }

    /// Undoes everything and begins again at a newer timestamp. Locks are kept unless the transaction was
    /// aborted by another one.
    pub async fn restart(&self, error: &KvError) -> Result<(), KvError> {
        unimplemented!()
    }

    /// Makes the writes permanent. Answers with the commit timestamp. After an error nothing was committed,
    /// unless its disposition is `Ambiguous`; after `Restart` the transaction can be restarted.
    pub async fn commit(&self) -> Result<Timestamp, KvError> {
        unimplemented!()
    }

    /// Gives everything up. Never fails: what cannot be cleaned up now is found by others later.
    pub async fn rollback(&self) {
        unimplemented!()
    }
}
