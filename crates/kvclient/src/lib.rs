//! The client of the key-value layer: transactions over all ranges, as if there were one.
//!
//! [`Db`] begins transactions; [`Txn`] reads, buffers writes and commits. Below them a router finds the
//! range of each key and cuts batches at range boundaries.
//!
//! ```text
//!   sql / executor
//!        |  get, multi_get, scan, put, insert, savepoint, commit
//!      Txn        coordinator: write buffer, read spans, locks held, timestamps
//!        |  batches (any keys)
//!      Router     range cache, cutting, retries with backoff
//!        |  batches (one range)
//!   dyn Sender    the store of this node in process, gRPC otherwise
//! ```
//!
//! # What the user of a transaction must know
//!
//! - **Methods take `&self`**: operators of one statement may share a transaction through `Arc<Txn>`.
//!   No lock is held across an await. Any future here may be dropped (cancel); the transaction stays usable,
//!   except that a dropped `commit` leaves the outcome unknown.
//! - **Writes are buffered** and seen by the own reads: those of earlier statements only, because a
//!   statement does not see its own writes ([`Txn::begin_statement`] draws the line).
//! - **Locks**: a read with a [`Locking`] takes in-memory locks at the leaseholder and waits in a fair
//!   queue; under it the newest version is read. Row updates should read their rows with a lock; a write
//!   to a row so read is checked at commit against the row having changed in spite of the lock. A lock that is held grows when a
//!   stronger one is asked for, also on what the transaction itself has written. Rolling back to a savepoint releases those first taken since.
//! - **Errors**: [`KvError::disposition`] says what to do. On `Restart` ask [`Txn::can_restart`]:
//!   a statement or the whole transaction can be done over, if the caller has not yet let results out.
//! - **Ending**: `commit` or `rollback`. Dropping an unfinished transaction rolls it back in the background.

mod buffer;
mod db;
mod footprint;
mod nearest;
mod options;
mod probe;
mod router;
pub mod scan;
mod txn;
mod unique;

pub use db::{CommitCounts, Db, DbConfig, FirstRange};
pub use kvapi::{
    Disposition, Isolation, KeyBlock, KvBlock, KvError, LockStrength, Priority, RangeDescriptor,
    RestartReason, Row, Timestamp, TxnId, WaitPolicy,
};
pub use options::{Conflict, InsertCheck, Locking, RestartScope, Savepoint, ScanOptions, TxnOptions};
pub use probe::{Probe, Probed, ProbedPage};
pub use router::Place;
pub use scan::{Folded, FoldedPage, Scan};
pub use txn::Txn;
pub use unique::{UNIQUE_NUMBER_STEP, first_unique_number, unique_number_time};
