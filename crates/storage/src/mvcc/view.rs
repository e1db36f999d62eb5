//! [`ReadView`]: as of when, and for whom, is read.

use clock::Timestamp;
use kvapi::{Txn, TxnId};

/// What a read does about an intent of another transaction that it would have to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OnConflict {
    /// Fail with [`super::MvccError::Conflicts`].
    #[default]
    Fail,
    /// Leave the key out (SKIP LOCKED).
    Skip,
}

/// What a read does about a version newer than its timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum NewerVersions {
    /// It did not happen yet.
    #[default]
    Ignore,
    /// Fail with [`super::MvccError::Newer`]: what is read is about to be written (a locking read).
    Refuse,
}

/// As of when, and for whom, is read.
///
/// - `uncertainty_limit >= timestamp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadView {
    /// Versions at or below this are seen, the newest of them.
    pub timestamp: Timestamp,
    /// A version above `timestamp` and at or below this may have been committed before the reader began.
    pub uncertainty_limit: Timestamp,
    /// The reader's own transaction and epoch: its intents are seen.
    pub own: Option<(TxnId, u32)>,
    /// Of its own intents the reader sees those up to this sequence: a statement does not see what it writes.
    pub own_sequence: u32,
    /// What to do about other transactions' intents.
    pub on_conflict: OnConflict,
    /// What to do about newer versions.
    pub newer: NewerVersions,
    /// It is known that there are no intents in what is read; see [`ReadView::without_intents`].
    pub intents_absent: bool,
    pub passed: Passed,
}

/// Transactions that were found pending after the reader began, and pushed above what it reads: they commit after it began, be it ever so little above.
/// The last few of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Passed([Option<TxnId>; 4]);

impl Passed {
    pub fn note(&mut self, txn: TxnId) {
        if !self.contains(txn) {
            self.0.rotate_right(1);
            self.0[0] = Some(txn);
        }
    }

    pub fn contains(&self, txn: TxnId) -> bool {
        self.0.contains(&Some(txn))
    }
}

impl ReadView {
    /// A read at a timestamp by no transaction, certain of its time.
    pub fn at(timestamp: Timestamp) -> ReadView {
        ReadView {
            timestamp,
            uncertainty_limit: timestamp,
            own: None,
            own_sequence: u32::MAX,
            on_conflict: OnConflict::Fail,
            newer: NewerVersions::Ignore,
            intents_absent: false,
            passed: Passed::default(),
        }
    }

    /// A read by a transaction, with the uncertainty limit that holds at this node.
    pub fn of(txn: &Txn, uncertainty_limit: Timestamp) -> ReadView {
        ReadView {
            uncertainty_limit: uncertainty_limit.max(txn.read_timestamp),
            own: Some((txn.meta.id, txn.meta.epoch)),
            own_sequence: txn.read_sequence,
            ..ReadView::at(txn.read_timestamp)
        }
    }

    /// Skips looking for intents. Correct only if the exact intent count of the range was zero at a moment after the reader
    /// had its latches: an intent that comes later is above everything that is read.
    pub fn without_intents(self) -> ReadView {
        ReadView { intents_absent: true, ..self }
    }

    /// Leaves out keys that are locked by an intent.
    pub fn skipping_conflicts(self) -> ReadView {
        ReadView { on_conflict: OnConflict::Skip, ..self }
    }

    /// Refuses to read beneath a newer version.
    pub fn refusing_newer(self) -> ReadView {
        ReadView { newer: NewerVersions::Refuse, ..self }
    }
}
