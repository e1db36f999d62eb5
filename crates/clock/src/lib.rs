//! Hybrid logical clocks: timestamps that order everything, close to wall time, never going back.
//!
//! A [`Timestamp`] is a wall clock reading with a counter. A [`Clock`] gives out timestamps that strictly increase,
//! and that are above every timestamp the node has been told of ([`Clock::observe`]). If event `a` can have
//! influenced event `b`, then `a`'s timestamp is below `b`'s. Source: Kulkarni, Demirbas, Madappa, Avva, Leone,
//! "Logical Physical Clocks and Consistent Snapshots in Globally Distributed Databases" (2014).
//!
//! # Who relies on what
//!
//! - *Strictly increasing*: transaction starts, the timestamp cache, lease starts.
//! - *Bounded offset*: a transaction that begins at `t` on one node sees everything that was committed before in real
//!   time if every node's clock is within the maximum offset: values in `(t, t + offset_max]` count as uncertain.
//!   A peer further ahead is refused with [`OffsetExceeded`], before it has touched the clock; a node that finds *itself*
//!   beyond the offset stops.
//! - *Never back across a restart*: reads leave no trace on disk, so that a write after a restart must not be placed below
//!   a read that was served before it. [`Clock`] never gives out a wall part above a bound that the node
//!   has persisted, and starts above the bound that it finds. See [`Clock::bound_to_persist`].
//!
//! # What this crate does not do
//!
//! It reads no clock: [`WallSource`] is an argument. It stores nothing: the bound is handed out and confirmed. It does not
//! depend on `env`, which is in the same layer: whoever composes a node adapts the one to the other in three lines.
//!
//! # The crate `hybrid_clocks`
//!
//! It keeps the state and merges readings. Three of its properties are kept away from callers: it adopts a higher `epoch`
//! for good (ours is 0 on the way in, always), it counts up even when told something old (stale observations are not
//! passed on), and its counter is added to unchecked (before the counter runs out, the wall part is moved up instead).

mod clock;
mod timestamp;

pub use crate::clock::{Clock, ClockConfig, ClockJump, OffsetExceeded, WallSource};
pub use stdx::WallTime;
pub use timestamp::{Timestamp, TimestampParseError};
