//! Workloads: generators of load that know what must hold afterwards.
//!
//! One [`Workload`] serves the simulation, the crash test with real processes, and benchmarks: it is written against a small
//! [`Client`] (a statement goes in, rows of text come out), draws everything from a seed, and leaves time and tasks to `env`.
//!
//! ```text
//!            drive: clients x steps                      faults come from whoever drives: sim, the crash test
//!   Workload::set_up ─▶ step step step ... ─▶ check ─▶ step ... ─▶ check ─▶ verify
//!                         │  │                  │                             │
//!                         ▼  ▼                  ▼                             ▼
//!                       Journal         invariants of the data          histories: `check`
//! ```
//!
//! - [`Workload::step`] does one thing as one client, and remembers what it was told: committed, aborted, or unknown.
//! - [`Workload::check`] reads the data and compares them with what was remembered. It may be called at any moment, also while
//!   clients run and right after a restart.
//! - [`Workload::verify`] looks at the recorded history, without a client, when all is over.
//!
//! # What is told, and what follows from it
//!
//! | [`Fate`] | when | what must hold |
//! | --- | --- | --- |
//! | `Committed` | the commit was acknowledged | every effect is there, for ever |
//! | `Aborted` | an error other than 40003, or the connection was lost before COMMIT was sent | no effect is ever seen |
//! | `Unknown` | 40003, or the connection was lost with COMMIT under way | all of its effects or none |
//!
//! # The workloads
//!
//! | module | what | would catch |
//! | --- | --- | --- |
//! | [`bank`] | transfers over one or several tables, with a ledger | lost updates, torn commits, lost or resurrected commits |
//! | [`unique`] | many clients insert the same values | duplicates in a unique index, index and table that disagree |
//! | [`sets`] | batches of inserts over many ranges, read back | lost inserts, half of a batch |
//! | [`write_skew`] | predicate reads that exclude each other | write skew, phantoms |
//! | [`sequential`] | writes in an order, read in the opposite one | a later write without an earlier one |
//! | [`register`] | reads, writes and compare-and-set of single keys | stale reads: not linearizable |
//! | [`monotonic`] | the highest number of all tables, and one more | lost or repeated numbers, reads of the past |
//! | [`outcomes`] | transactions asked about by their ids | a status that is wrong, or does not stay |
//! | [`savepoints`] | writes, some of them gone back over | what was undone comes true, or what was not is lost |
//! | [`tpcc`] | TPC-C's transactions with its consistency conditions | torn transactions over many tables |
//! | [`list_append`] | transactions of appends and reads | any cycle of dependencies: not strictly serializable |
//!
//! The checkers in [`check`] are pure functions of a history, tested with histories that have each anomaly.

pub mod check;
mod client;
mod drive;
mod journal;
mod transaction;
mod workload;
mod workloads;

pub use client::{Answer, Client, Connector, Failure, Parameter};
pub use drive::{Drive, DriveOptions, checked};
pub use journal::{Counts, Journal, Tick};
pub use transaction::{Fate, Isolation, begin, finish, single};
pub use workload::{ClientNumber, Seat, Trouble, Violation, Workload};
pub use workloads::{
    bank, list_append, monotonic, outcomes, register, savepoints, sequential, sets, tpcc, unique, write_skew,
};
