//! The keyspace: what every key means, in which order keys sort, how they are printed.
//!
//! # Why one crate owns this
//!
//! Routing, replication, transactions and SQL all cut the same ordered space of byte strings into pieces.
//! They agree on it here and nowhere else: a key is *built* and *taken apart* by functions of this crate.
//! Nothing here reads a clock, performs I/O or knows what a row contains.
//!
//! # The layout, in sort order
//!
//! Addressed keys. They are replicated, versioned by timestamp, and belong to exactly one range each:
//!
//! ```text
//! first byte   printed as                        what it holds
//! (empty)      /min                              lower bound; never holds a value
//! 0x02         /meta1/<key>                      descriptors of the ranges that hold /meta2, by range end key
//! 0x03         /meta2/<key>                      descriptors of all other ranges, by range end key
//! 0x04         /system/...                       see `system`: id allocators, node liveness, settings
//! 0x10         /table/<table>/<index>/<columns>  rows and index entries, see `table`
//! 0xff         /max                              upper bound; never holds a value
//! ```
//!
//! Local keys. They are never routed to; they live in keyspaces of their own inside a store (see
//! `storage::Keyspace`) and have first bytes of their own only so that any key can be printed:
//!
//! ```text
//! 0x01 'a'     /local/anchor/<key>/...           range-local, moves with the anchor key on a split or merge:
//!                                                the range descriptor, transaction records
//! 0x01 'i'     /local/range/<range id>/...       range-local by id: applied state, lease, thresholds, statistics
//! 0x01 'r'     /local/raft/<range id>/...        the Raft log and hard state of this store's replica
//! 0x01 's'     /local/store/...                  this store alone: identity, clock upper bound
//! ```
//!
//! # Addressing
//!
//! A descriptor is stored under the *end* key of its range, so that the first record above the position of a
//! key is the descriptor of the range that contains it; see [`addressing`]. `/meta2` splits like any other
//! part of the space. `/meta1` does not: it is inside the first range, whose id is fixed.
//!
//! # Splitting
//!
//! One row is one key-value pair and one index entry is one key-value pair, hence every key of the addressed
//! space is a row boundary, and a split key is safe if [`split::check_split_key`] accepts it. No one below SQL
//! decodes a row in order to split a range.
//!
//! # Printing
//!
//! [`Key`]'s `Display` and [`print::parse`] are inverse to each other for every byte string.

pub mod addressing;
pub mod encoding;
pub mod id;
mod key;
pub mod local;
pub mod print;
mod span;
pub mod split;
pub mod system;
pub mod table;

pub use encoding::{Direction, KeyError};
pub use id::{DatabaseId, IndexId, NodeId, RangeId, ReplicaId, SchemaId, StoreId, TableId};
pub use key::Key;
pub use span::Span;

/// First bytes of the areas of the keyspace; see the layout in the crate documentation.
pub mod prefix {
    /// Local keys, never addressed.
    pub const LOCAL: u8 = 0x01;
    /// First level of addressing.
    pub const META1: u8 = 0x02;
    /// Second level of addressing.
    pub const META2: u8 = 0x03;
    /// System records.
    pub const SYSTEM: u8 = 0x04;
    /// Rows and index entries.
    pub const TABLE: u8 = 0x10;
    /// The byte that is above every addressed key.
    pub const MAX: u8 = 0xff;

    const _: () = assert!(LOCAL < META1 && META1 < META2 && META2 < SYSTEM && SYSTEM < TABLE && TABLE < MAX);
    // addressing relies on these three areas being adjacent.
    const _: () = assert!(META1 + 1 == META2 && META2 + 1 == SYSTEM);
}
