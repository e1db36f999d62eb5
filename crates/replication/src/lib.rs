//! Many Raft groups on one store: their logs, their messages, and the order of disk writes.
//!
//! This crate knows ranges by id and commands as bytes. It does not know keys, transactions or leases: what a command does is the
//! business of a [`StateMachine`], where messages go that of a [`RaftTransport`].
//!
//! ```text
//!   propose --> Group (raft) --+
//!   propose --> Group ---------+--> log writer: one batch, one sync --> apply: one batch, no log --> proposers wake
//!   receive --> Group ---------+        (RaftLog, synced)                 (state side, buffered)
//! ```
//!
//! # One sync per commit
//!
//! A proposal is appended to its group in memory, and the group is marked. One lane (a thread) per store writes: it takes all marked groups,
//! gathers what each wants persisted into one batch, syncs once, and tells the groups. What is committed then is applied, all groups in one batch
//! again, without a log: the Raft log is the log. While one sync runs the next batch gathers, so that concurrent proposals share syncs without any timer.
//! If nothing waits to be written the writer applies by itself, and a lone proposal costs two thread switches: to the writer and
//! back. If something waits, applying moves to a second lane and overlaps with the next sync.
//!
//! # After a crash
//!
//! The applied position of a range is written in the same batch as the effects of its commands, so that the state found after
//! a crash is the state at the position found with it. The log is cut off only up to positions that are flushed. So: read
//! the applied positions, read the logs, apply again what is behind. Every record has a checksum; a gap, a damaged record or a missing log
//! refuse to open and say what is wrong.
//!
//! A split writes the new range's state with its parent's batch, and its log later. Found without a log, a new range begins
//! where its state says; a log found without its range waits for the parent to be applied again up to the split: see `split`.
//! A range that absorbs another waits for that one's log to be applied: see `merge`.
//!
//! # Use
//!
//! - [`Store::open`] reads everything; [`Store::start`] lets the groups run; [`Store::create`] makes the first ranges.
//! - [`Store::range`] gives a [`RangeHandle`]: [`RangeHandle::propose`], [`RangeHandle::leading`] (one atomic load).
//! - [`Store::failure`] completes when a write has failed: the process should end.

mod applier;
mod error;
mod failure;
mod merge;
mod outgoing;
mod peers;
mod range_log;
mod receive;
mod record;
mod recovery;
mod replica;
mod seam;
mod split;
mod store;
mod ticker;
mod truncation;
mod waiters;
mod work;
mod writer;

pub use error::{OpenError, ProposalError, Stopped};
pub use raft::{Change, ConfChange, Configuration, Index, Position, Term, Transition};
pub use replica::RangeStatus;
pub use seam::{
    ApplyEffect, ApplyError, Awaited, Committed, Envelope, INITIAL_INDEX, INITIAL_TERM, Leadership, NewRange,
    NoTransport, RaftBatch, RaftTransport, RangeChange, ReceivedSnapshot, SendError, SnapshotStream,
    StateMachine, configuration_of, raft_id, replica_id,
};
pub use store::{Applied, Proposal, RangeHandle, Store, StoreOptions, StoreReadings, StoreWorld};
