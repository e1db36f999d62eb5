//! Raft for one group, without input or output.
//!
//! A [`Group`] is one replica's part in one consensus group: a state machine that is told what happened ([`Group::step`],
//! [`Group::tick`], [`Group::propose`], [`Group::persisted`], [`Group::applied`]) and says what to do
//! ([`Group::ready`]). It never touches a disk, a network, a clock or a source of randomness: the log is read through
//! [`LogReader`], time is counted in ticks, and the only random choice, the election timeout, comes from a seed. The
//! same calls give the same answers.
//!
//! ```text
//!    messages --step-->+---------------------+--> messages, to send at once
//!    time -----tick--->|        Group        |--> a write, to make durable --+
//!    commands-propose->| (term, vote, role,  |--> committed, to apply -----+ |
//!                      |  tail of the log)   |                            | |
//!               +----->+---------------------+<-- applied(upto) ----------+ |
//!   LogReader --+                           ^---- persisted(number) --------+
//! ```
//!
//! What stands: elections with pre-vote and check-quorum (`election.rs`), replication with flow control and conflict
//! repair by term (`replication.rs`), asynchronous log writes (`ready.rs`), simple and joint membership changes with
//! learners (`configuration.rs`), snapshots whose data the caller moves, leader transfer, linearizable reads by a round of
//! heartbeats, and groups that fall asleep when they have nothing to do.
//!
//! # Caveats
//!
//! - A membership change takes effect when it is applied. Only one may be unapplied in the log at a time, and a replica that has
//!   a committed one unapplied does not campaign.
//! - Proposals are not forwarded: a follower names the leader that it knows.
//! - A group of one voter commits when its own write is durable. After a restart it has to be elected
//!   ([`Group::campaign`]) before it knows that its log is committed.
//! - Pre-vote and check-quorum are always on. There is no reading under a leader's lease here: leases need a clock and belong to the caller.
//!
//! Source: Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm" (2014); Ongaro's thesis (2014). Where
//! these leave a choice, the behaviour is that of etcd's scenario tests.

mod codec;
mod config;
mod configuration;
mod election;
mod entry;
mod error;
mod group;
mod ids;
mod leadership;
mod log;
mod message;
mod message_codec;
mod progress;
mod quorum;
mod ready;
mod replication;
mod step;
mod tail;
mod writes;

pub use bytes::Bytes;
pub use codec::{DecodeError, LIST_MAX};
pub use config::Config;
pub use configuration::{Change, ConfChange, ConfError, Configuration, Transition};
pub use entry::{Entry, EntryKind, Position};
pub use error::{LogError, OpenError, ProposeError, ReadIndexError, StepError, TransferError};
pub use group::{FollowerStatus, Group, Restraint, RoleName, Stored};
pub use ids::{Index, ReplicaId, Term, WriteNumber};
pub use log::{LogBounds, LogReader};
pub use message::{Body, Message, Snapshot};
pub use message_codec::MESSAGE_VERSION;
pub use progress::ProgressState;
pub use ready::{HardState, ReadReady, Ready, Write};
