//! Snapshots: the state of a range, streamed to another store.
//!
//! ```text
//!   header (range, message, parts)   chunk, chunk, ... (each with its checksum)   end (count, checksum of checksums)
//! ```
//!
//! The sender ([`send`]) reads one chunk ahead of what the connection takes, on a lane, and keeps to a rate that all its snapshots
//! share. The receiver ([`receive`]) refuses before it takes anything in when it has enough to do, and gives up what becomes too
//! large; what it takes is handed over only when the end has come and all checksums are right.
//!
//! # When the connection breaks
//!
//! The receiver keeps what came for a while ([`receive::Kept`]), under the number that the sender drew for the snapshot. The sender,
//! whose checkpoint still stands, connects again for a while, asks how many chunks are there, and goes on with the next one. What
//! has arrived damaged, or was refused, is not kept: the snapshot then begins anew, by its group's decision.

mod rate;
mod receive;
mod send;
#[cfg(test)]
mod tests;

pub(crate) use rate::RateLimit;
pub(crate) use receive::{Kept, receive};
pub(crate) use send::send;
