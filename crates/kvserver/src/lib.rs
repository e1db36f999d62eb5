//! Ranges on a store: evaluates what is asked of a range on its leaseholder, and replicates what it changes.
//!
//! # Life of a request
//!
//! ```text
//!   kvapi::Sender::send(batch)
//!      |
//!   range by id; lease held? keys in bounds?                       -> NotLeaseholder, RangeMismatch: route again
//!      |
//!   sequence: locks, latches, timestamp cache (crate `concurrency`) -> wait in line, push dead holders
//!      |
//!   evaluate against storage::mvcc                                  -> conflicts with intents: push, resolve, again
//!      |
//!      |---- a read: answer
//!      |
//!   a write: command = term + statistics + effects + write batch
//!      |
//!   Consensus::propose -- Raft log, one sync --> StateMachine::apply on every replica --> applied
//!      |
//!   release latches and locks, wake who waits, answer
//! ```
//!
//! A read on the fast path (nothing in flight on its key, no intent) runs to its end inside `send` and returns a future
//! that is ready: one hold of one mutex, one read of the engine, no task switch.
//!
//! # Modules
//!
//! | module | what |
//! | --- | --- |
//! | [`store`] | the store: its ranges, the `Sender`, start and stop |
//! | [`bootstrap`] | the first ranges of a new cluster |
//! | `replica` | one range here: descriptor, lease, concurrency, marks of ended transactions |
//! | `command` | what is replicated: its bytes |
//! | `machine` | applies commands: `replication::StateMachine` |
//! | [`consensus`] | the seam to replication, and an implementation without log for tests |
//! | `wait` | waiting rooms, lock waits with timeout, deadlock victims |
//! | `contention` | waits that have ended, for people |
//! | `conflict` | intents in the way: push, recover, resolve |
//! | `read`, `fold`, `probe`, `lock`, `write`, `commit`, `transaction`, `resolve`, `split`, `garbage` | one file per kind of command |
//! | `liveness` | promises between stores, on which leases rely |
//! | `closed` | up to where a range is finished, and reads by replicas without the lease |
//! | `changes` | replicas added and removed, leases handed over |
//! | `moves` | changes under way: how many at once, and when one that failed is tried again |
//! | `placing`, `replicate` | which range should have which replicas (by the crate `placement`), and seeing to it |
//! | `check` | whether all replicas hold the same |
//! | `mergeable`, `merge`, `absorb` | neighbours that have become small are merged: which, who decides, and what it does to replicas |
//! | `hot`, `splits` | ranges that are asked too often; why ranges are split |
//! | `events` | what background work is told to look at |
//! | `tuning` | values that may change while the store runs |
//! | `queues` | background work, each kind bounded: resolution, splits by size, garbage, addressing records |
//!
//! # Leases
//!
//! The leader of a range's Raft group is its leaseholder: [`replication::StateMachine::leadership_changed`] begins and
//! ends leases. A lease starts at the clock's now, which is above every timestamp at which an earlier one has served a read (on
//! one store because the clock never goes back, not even across a restart). What earlier leaseholders had in memory is
//! unknown to the new one: the timestamp cache starts with a floor at the lease's start, locks are gone (commits check
//! what they were for), and a transaction that began before and has no record cannot make one any more: who gives a lease away makes
//! records of those that are open (`Inner::record_open`). A command carries the term under which it was evaluated, and is not applied under another.
//!
//! With several replicas the lease is bounded by promises of the other stores: see `liveness`.
//!
//! # Splits
//!
//! A split is a command of the left range: descriptors, and the new range as such, change in one atomic step. The
//! addressing records are written afterwards by a queue; until then they name the left range for keys of the right one, which
//! answers with both descriptors. They carry the generation of the descriptor, and a newer one is never replaced. Ranges are the
//! truth, addressing is a hint that is soon correct: that is why a split needs no distributed transaction.
//!
//! # Where this is fragile
//!
//! - A read evaluates without latch or snapshot: see `concurrency` for why, and `storage::mvcc` for the order of keyspaces.
//! - A future that is dropped while its command is in flight leaves a task behind that releases the latches when the
//!   command is through, not before.
//! - The count of intents of a range lets reads skip looking for them: it must be exact, see `machine`, and be read under the
//!   range's mutex: a split moves what is counted to another range.
//! - Whoever waits for latches looks at the bounds again when they are granted: a split may have passed. What forgets it writes
//!   to keys of another range behind that one's latches; a bank in simulation then has 1595 instead of 1600.
//! - What changed and was collected as garbage passes for unchanged: refreshes, claims and checks of writes ask
//!   `RangeState::knows_changes_since`.
//! - A claim on a lock in another range is verified before the commit, up to a timestamp above which the transaction then does not
//!   commit without verifying it again: a lease that moves in between would let the row change unnoticed. See `kvclient::txn`.
//! - Observed timestamps: a value resolved above its intent's timestamp by a transaction that coordinated elsewhere may have been
//!   acknowledged before a local reader began that would count it as later. So a range remembers up to where intents were moved
//!   (`RangeState::moved_to`), and up to there nothing that was observed counts; a new lease assumes the worst. Whatever is placed here
//!   moves the own clock up first.
//! - A lease runs out by promises of other stores (see `liveness`); it is looked at whenever something is sequenced. What was sequenced
//!   may be evaluated later: at a timestamp below what the next leaseholder may write at.

mod absorb;
pub mod bootstrap;
mod changes;
mod check;
mod closed;
mod command;
mod commit;
mod conflict;
pub mod consensus;
mod contention;
mod events;
mod fold;
mod garbage;
mod hot;
mod liveness;
mod lock;
mod machine;
mod marks;
mod merge;
mod mergeable;
mod moves;
mod placing;
mod probe;
mod queues;
mod ranges;
mod read;
mod replica;
mod replicate;
mod resolve;
mod signs;
mod split;
mod splits;
pub mod store;
mod transaction;
mod tuning;
mod wait;
mod write;

pub use check::{CheckCounts, CheckReport};
pub use consensus::{Consensus, Direct, Follower};
pub use contention::{Contention, WaitEnd};
pub use merge::MergeReadings;
pub use placement::voters_of;
pub use splits::SplitReadings;
pub use store::{
    LeaseStanding, LockStanding, RangeStanding, Store, StoreConfig, StoreMetrics, StoreReadings,
};
pub use tuning::StoreTuning;
