//! What can go wrong below MVCC, as decisions for the caller.

use std::fmt;
use std::path::PathBuf;

use crate::Side;

/// Why a store did not do what it was asked to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    /// What is on disk is not what was written. Nothing was dropped or repaired; an operator must look.
    #[error("corruption: {what}")]
    Corruption {
        /// Which file or record, and what is wrong with it.
        what: String,
    },
    /// Another process has the folder open.
    #[error("the data folder {} is in use by another process", path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// The folder was written by a newer program.
    #[error(
        "the data folder {} has format version {found}; this program supports up to {supported}",
        path.display()
    )]
    NewerVersion {
        /// The folder.
        path: PathBuf,
        /// The version found there.
        found: u32,
        /// The newest version that this program can open.
        supported: u32,
    },
    /// The folder holds something else than a store.
    #[error("{} is not a data folder: {reason}", path.display())]
    NotAStore {
        /// The folder.
        path: PathBuf,
        /// What speaks against it.
        reason: String,
    },
    /// The operating system refused an operation: disk full, no permission, a failed sync.
    #[error("input/output error: {0}")]
    Io(String),
    /// An earlier write failed in a way that leaves open what is on disk. Only a restart helps.
    #[error("the store has stopped after a failed write: {0}")]
    Poisoned(String),
    /// A batch that mixes keyspaces of both sides, or asks for a durability that its side does not have.
    #[error("{0}")]
    Misuse(Misuse),
}

/// A request that breaks a rule of [`crate::Engine::write`]: a programmer error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misuse {
    /// State and log are separate; no batch is atomic across them.
    MixedSides,
    /// The state machine has no write-ahead log to sync.
    SyncedState,
    /// Only the state side is sent and received as snapshots.
    SnapshotOf(Side),
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Misuse::MixedSides => f.write_str("a batch may not write to both the state and the log"),
            Misuse::SyncedState => f.write_str("a write to the state cannot be synced: flush it instead"),
            Misuse::SnapshotOf(side) => write!(f, "{side:?} keyspaces are not part of snapshots"),
        }
    }
}

impl StorageError {
    /// A corruption, with what is wrong.
    pub fn corruption(what: impl Into<String>) -> StorageError {
        StorageError::Corruption { what: what.into() }
    }

    /// Whether the same call may succeed later on the same open store. A failed write never may: see
    /// [`StorageError::Poisoned`].
    pub fn is_retryable(&self) -> bool {
        matches!(self, StorageError::Locked { .. })
    }

    /// Whether the store must not be used further.
    pub fn is_fatal(&self) -> bool {
        !matches!(self, StorageError::Locked { .. } | StorageError::Misuse(_))
    }
}

impl From<std::io::Error> for StorageError {
    fn from(error: std::io::Error) -> StorageError {
        StorageError::Io(error.to_string())
    }
}
