//! Why a read or a write at a timestamp was not done.

use clock::Timestamp;
use keys::Key;
use kvapi::TxnMeta;

use crate::StorageError;

/// An intent of another transaction that is in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The key it is on.
    pub key: Key,
    /// Whose it is.
    pub txn: TxnMeta,
}

/// Why a read or a write at a timestamp was not done. Nothing has been changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MvccError {
    /// The engine failed, or what it returned does not make sense.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Intents of other transactions must be resolved first. Never empty; not necessarily all there are.
    #[error("{} conflicting intents", .0.len())]
    Conflicts(Vec<Conflict>),
    /// A version lies in the uncertainty interval of the reader.
    #[error("{key} has a version at {timestamp}, within the uncertainty interval")]
    Uncertain {
        /// Where.
        key: Key,
        /// A read at or above this sees it.
        timestamp: Timestamp,
    },
    /// A version is newer than the reader allows ([`crate::mvcc::NewerVersions::Refuse`]), or than a write was told to
    /// expect (`WriteCheck::UnchangedSince`).
    #[error("{key} has a newer version at {timestamp}")]
    Newer {
        /// Where.
        key: Key,
        /// The timestamp of the newest version.
        timestamp: Timestamp,
    },
    /// A write was told to expect no value (`WriteCheck::MustNotExist`).
    #[error("{key} exists")]
    Exists {
        /// Where.
        key: Key,
        /// The value that is there.
        value: Vec<u8>,
    },
}

impl MvccError {
    /// Whether the transaction may succeed at a later timestamp.
    pub fn is_retryable(&self) -> bool {
        !matches!(self, MvccError::Storage(_) | MvccError::Exists { .. })
    }
}
