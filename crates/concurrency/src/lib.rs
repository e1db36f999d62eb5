//! Concurrency control of one range: who may go, who waits for whom, and below which timestamp nobody may
//! write any more.
//!
//! Everything here is synchronous. A call says *go* or *wait*; whoever must wait gives a [`Ticket`], and a later
//! call by somebody else returns that ticket in a list of wakes. Waiting itself, timeouts and wake-ups belong to
//! the shell in `kvserver`.
//!
//! # Four mechanisms
//!
//! | module | isolates | for how long | conflicts end in |
//! | --- | --- | --- | --- |
//! | [`latch`] | requests from one another | from evaluation until applied | waiting, first come first served |
//! | [`lock_table`] | transactions from one another | until the transaction ends | waiting in a fair queue per key |
//! | [`timestamp_cache`] | a past read from a later write | until forgotten (a floor remains) | a higher write timestamp |
//! | [`wait_graph`] | the queues of all ranges from deadlock | while anybody waits | one victim |
//!
//! # The paths
//!
//! A **read without lock** takes no latch. Under the range's mutex it is entered in the timestamp cache and the
//! writes in flight at or below its timestamp are looked for; it waits for those alone. Then it reads without
//! any protection: a later write was, by the cache, placed above it, and multi-version storage shows it
//! nothing above its timestamp. (Storage must look for intents before it looks for versions, so that an
//! intent turning into a version in between is seen as one or the other.) A reader can not be starved by a stream
//! of writers: having entered the cache, it waits for at most those that were in flight then.
//!
//! ```text
//!   read:    mutex { cache.read(span, t); latches.await_writers(span, t) } -> wait for them? -> evaluate
//!   lock:    mutex { locks.acquire(key) } -> wait for a grant? -> await_writers -> evaluate the newest version
//!   write:   mutex { locks: held or free? } -> wait for a grant?
//!            mutex { latches.acquire(keys) } -> wait for older ones? -> mutex { t = max(t, cache.above(keys)) }
//!            -> evaluate -> replicate -> apply -> mutex { latches.release; locks.release_all } -> wakes
//! ```
//!
//! A **lock** on a point is taken before the row is evaluated: once it is held nobody can write the key, and
//! the row read is the newest. A grant is handed over at release: the first waiter *is* the holder when it
//! wakes, so nobody barges in. Who conflicts with no holder does not queue at all ([`lock_table`]).
//!
//! A **write** needs no entry in the lock table as long as nobody contends: its latch covers it.
//!
//! # Where this is fragile
//!
//! - Locks and timestamp cache are memory of the leaseholder. After a change of lease the cache starts with a
//!   floor at the lease's start, and locks are gone: commits check what the locks were for
//!   (`kvapi::WriteCheck`, `kvapi::LockClaim`).
//! - Past `locks_max` a lock is granted without being remembered, which is the same as losing it at once.

pub mod latch;
pub mod lock_table;
mod manager;
pub mod timestamp_cache;
pub mod wait_graph;

pub use latch::{LatchId, LatchTable, Latched};
pub use lock_table::{Acquired, LockTable, LockWait};
pub use manager::Manager;
pub use timestamp_cache::TimestampCache;
pub use wait_graph::{Deadlock, WaitGraph};

/// Stands for one waiting request of a store. Drawn by the shell; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// A waiting request may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wake {
    pub ticket: Ticket,
    pub reason: WakeReason,
}

/// Why a waiting request may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WakeReason {
    /// The latches or the writes it waited for are gone.
    Latched,
    /// It holds the lock now.
    Granted,
    /// The key has moved to another range, or the lease is gone: sequence again from the start.
    Moved,
}

/// A 64-bit hash of a key. Equal hashes of different keys cost a needless wait and nothing else.
fn hash_key(key: &[u8]) -> u64 {
    use std::hash::Hasher;
    let mut hasher = rustc_hash::FxHasher::default();
    hasher.write(key);
    hasher.finish()
}
