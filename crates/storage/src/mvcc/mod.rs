//! Versions of keys: what was true at which timestamp, and what transactions intend to make true.
//!
//! # Three keyspaces
//!
//! ```text
//! Current   key                  -> (timestamp, value or deletion)      the newest committed version, alone
//! History   key, timestamp desc  -> (timestamp, value or deletion)      every older version
//! Intents   key                  -> (transaction, value or deletion)    at most one provisional write per key
//! ```
//!
//! The textbook layout keeps all versions in one map under `key + timestamp`, which makes every point read a seek (no
//! filter of whole keys helps, a merging iterator has to be built) and makes a scan step over every superseded version of every
//! hot row until it is collected. Here the newest version stands alone under the key itself: a point read is one `get`
//! that filters and hashes help; a scan meets each key once, whatever was updated how often; an insert that finds no
//! key pays nothing for history. The price is paid by an update, which moves the version it replaces: one more
//! write of the old value, of which the evaluator has to read the timestamp anyway. And what can be garbage is exactly what is
//! in `History`: collection reads garbage, not tables. (Measured by `examples/bench.rs`; the figures are there.)
//!
//! # Invariants
//!
//! - Of one key, the version in `Current` is newer than all in `History`; timestamps of one key differ.
//! - If `Current` holds a deletion, `History` holds at least one version of the key (one at [`Timestamp::ZERO`], itself a
//!   deletion, if the key never had a value): collecting garbage finds deletions by reading `History` alone.
//! - An intent is the only write of its key that is not committed, and it is newer than the version in `Current`.
//! - Every function here that changes something appends to a [`crate::WriteBatch`] and to a [`Statistics`] delta, and writes nothing.
//!
//! # Life of a write
//!
//! ```text
//! one range:       prepare --> commit ----------------------> Current (old version -> History)
//! several ranges:  prepare --> place_intents --> Intents --> resolve: committed --> Current (old version -> History)
//!                                                    |------> resolve: aborted  --> nothing
//!                                                    `------> resolve: pushed   --> the intent at a later timestamp
//! History: collected once its successor is older than the threshold
//! ```
//!
//! # Reading without a snapshot
//!
//! A read needs no snapshot of the engine. Whoever calls holds a latch that excludes writes at or below the timestamps
//! it reads, so that only writes above that can happen meanwhile, and the keyspaces are read in the order in which versions
//! move: first `Intents`, then `Current`, then `History`. A version that moves on while we read is met at the place that we read
//! later. Two things are left to the caller: garbage collection must be latched as a write at its threshold, and a range's
//! intent count ([`ReadView::without_intents`]) must be read after the latch was taken.
//!
//! # Caveats
//!
//! - A write never lands below an existing version: [`Prepared::newest`] says above what.
//! - Deleting a key that does not exist leaves a deletion behind: the timestamp matters to later writers.

mod clear;
mod error;
mod garbage;
mod get;
mod history;
mod intent;
mod lookup;
mod refresh;
mod resolve;
mod scan;
mod split;
mod statistics;
mod version;
mod view;
mod write;

pub use clear::clear_span;
pub use error::{Conflict, MvccError};
pub use garbage::{Garbage, GarbageBudget, find_garbage, remove_garbage};
pub use get::{get, get_into, get_many};
pub use intent::{Intent, find_intent, find_intents};
pub use refresh::{Changed, find_change};
pub use resolve::{Resolution, Resolved, ResolvedSpan, resolve_key, resolve_span};
pub use scan::{Scan, ScanResult, scan};
pub use split::{SplitPoint, find_split_key, replicated_parts};
pub use statistics::{Statistics, compute_statistics};
pub use version::{Version, history_key, parse_history_key};
pub use view::{NewerVersions, OnConflict, Passed, ReadView};
pub use write::{Prepared, prepare};
