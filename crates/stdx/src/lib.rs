//! Small, self-contained tools that carry no database words.
//!
//! Everything here is synchronous and deterministic: a value that needs randomness takes a [`Prng`],
//! a value that needs time takes it as an argument. Nothing reads a clock, spawns, or does I/O.
//!
//! | module | what |
//! | --- | --- |
//! | [`prng`] | seeded pseudo-random numbers |
//! | [`backoff`] | exponential backoff with jitter |
//! | [`queue`] | a queue that refuses what exceeds its bound |
//! | [`escape`] | bytes for human eyes |
//! | [`histogram`] | counts of durations |
//! | [`human`] | sizes and durations for human eyes, and back |
//! | [`hash`] | a small stable hash: same value on every machine, every version |
//! | [`wall`] | a reading of a wall clock |

pub mod backoff;
pub mod escape;
pub mod hash;
pub mod histogram;
pub mod human;
pub mod prng;
pub mod queue;
pub mod wall;

pub use backoff::Backoff;
pub use escape::{Escaped, escape_bytes};
pub use histogram::{Histogram, HistogramReading};
pub use human::{HumanDuration, HumanSize};
pub use prng::Prng;
pub use queue::BoundedQueue;
pub use wall::WallTime;
