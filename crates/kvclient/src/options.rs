//! The arguments and small answers of the public interface.

use std::time::Duration;

use keys::Span;
use kvapi::{Isolation, LockStrength, Priority, Timestamp, WaitPolicy};

/// How a transaction begins. The default is serializable, read-write, at normal priority.
#[derive(Clone, Debug, Default)]
pub struct TxnOptions {
    pub isolation: Isolation,
    /// Locking reads and writes are refused with `KvError::Invalid`; nothing is tracked for refresh beyond
    /// what uncertainty may require.
    pub read_only: bool,
    /// Read as of this timestamp (a stale read): implies `read_only`, meets no uncertainty, never restarts.
    pub as_of: Option<Timestamp>,
    pub priority: Priority,
    /// Bounds each wait for a lock. `None`: no bound (deadlocks are found all the same).
    pub lock_timeout: Option<Duration>,
}

/// Whether and how a read locks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Locking {
    pub strength: LockStrength,
    pub wait: WaitPolicy,
    /// Lock also keys that have no value (`get` and `multi_get` only), so that they stay without one.
    pub absent: bool,
}

impl Locking {
    /// A plain read.
    pub const NONE: Locking =
        Locking { strength: LockStrength::None, wait: WaitPolicy::Block, absent: false };
    /// What UPDATE needs of rows whose key stays.
    pub const NO_KEY_UPDATE: Locking =
        Locking { strength: LockStrength::NoKeyUpdate, wait: WaitPolicy::Block, absent: false };
    /// What DELETE, and UPDATE of key columns, need.
    pub const UPDATE: Locking =
        Locking { strength: LockStrength::Update, wait: WaitPolicy::Block, absent: false };
    /// What INSERT needs of keys that must not exist.
    pub const INSERT: Locking =
        Locking { strength: LockStrength::Update, wait: WaitPolicy::Block, absent: true };
    /// What a foreign key check needs of the referenced row.
    pub const KEY_SHARE: Locking =
        Locking { strength: LockStrength::KeyShare, wait: WaitPolicy::Block, absent: false };

    pub fn is_locking(self) -> bool {
        self.strength.is_locking()
    }
}

/// What a scan reads. Pages are cut by rows and bytes, whichever comes first.
#[derive(Clone, Debug, Default)]
pub struct ScanOptions {
    pub span: Span,
    pub reverse: bool,
    pub locking: Locking,
    /// Rows wanted in all; 0: all there are.
    pub rows_max: u64,
    /// Rows of one page; 0: the default, [`crate::scan::PAGE_ROWS`].
    pub page_rows: u64,
}

impl ScanOptions {
    pub fn forward(span: Span) -> ScanOptions {
        ScanOptions { span, ..ScanOptions::default() }
    }

    pub fn backward(span: Span) -> ScanOptions {
        ScanOptions { span, reverse: true, ..ScanOptions::default() }
    }

    pub fn locking(mut self, locking: Locking) -> ScanOptions {
        self.locking = locking;
        self
    }

    pub fn limit(mut self, rows_max: u64) -> ScanOptions {
        self.rows_max = rows_max;
        self
    }
}

/// When [`crate::Txn::insert`] finds out that a key exists already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InsertCheck {
    /// Before it returns, by locking the absent keys: waits for a concurrent inserter of the same key, as
    /// PostgreSQL does. For transactions of several statements.
    Now,
    /// With the commit (or an early flush), as `KvError::ConditionFailed`. Saves the round trip: for
    /// statements that commit by themselves.
    AtCommit,
}

/// The first row of an insert whose key has a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Position in the inserted block.
    pub index: usize,
    pub key: Vec<u8>,
    /// The value that is there.
    pub value: Vec<u8>,
    /// Some row of the block met what is newer than the one snapshot that the transaction keeps: this may be it.
    pub is_newer: bool,
}

/// A mark in a transaction's writes and locks. Valid until rolled back to an older one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Savepoint {
    pub(crate) sequence: u32,
    /// Counts savepoints, from 1: locks go by it, for they may be taken between two writes.
    pub(crate) number: u32,
}

/// What must be done over to get past an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartScope {
    /// The statement in progress: [`crate::Txn::restart_statement`]. What earlier statements did stands.
    Statement,
    /// All of it: [`crate::Txn::restart`], unless the client has already seen something.
    Transaction,
}
