//! Keys that are never routed to: range-local, Raft and store-local keys.
//!
//! In sort order:
//!
//! ```text
//! /local/anchor/<key>/descriptor           the range descriptor, under the start key of the range (replicated)
//! /local/anchor/<key>/transaction/<id>     the record of a transaction anchored at <key>          (replicated)
//! /local/range/<range id>/<item>           see `RangeItem`                                        (replicated)
//! /local/raft/<range id>/<item>            see `RaftItem`                                         (this store's log)
//! /local/raft/<range id>/log/<index>       one Raft log entry                                     (this store's log)
//! /local/store/<item>                      see `StoreItem`                                        (this store)
//! ```
//!
//! A split divides the anchored keys as it divides the addressed keys: all of a range's anchored keys are in
//! [`anchored_span`] of its span. What is kept by range id stays with the id.

use crate::encoding::{self, Decoder, KeyError};
use crate::{Key, RangeId, Span, prefix};

pub(crate) const AREA_ANCHOR: u8 = b'a';
pub(crate) const AREA_RANGE: u8 = b'i';
pub(crate) const AREA_RAFT: u8 = b'r';
pub(crate) const AREA_STORE: u8 = b's';

pub(crate) const ANCHOR_DESCRIPTOR: u8 = b'd';
pub(crate) const ANCHOR_TRANSACTION: u8 = b't';

const _: () = assert!(AREA_ANCHOR < AREA_RANGE && AREA_RANGE < AREA_RAFT && AREA_RAFT < AREA_STORE);

/// Replicated state of a range that is kept by its id. The byte is what is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum RangeItem {
    /// Raft index and term of the last entry applied, in the same atomic unit as what the entry wrote.
    AppliedState = b'a',
    /// Below which timestamp versions may have been collected.
    GcThreshold = b'g',
    /// The lease.
    Lease = b'l',
    /// The range is frozen, to be absorbed by its left neighbour.
    Merging = b'm',
    /// Why the range was cut off from the one that ends where it begins.
    Origin = b'o',
    /// The statistics of the range's contents.
    Statistics = b's',
    /// Marks a range id that was merged away or whose replica was removed, so that no late message revives it.
    Tombstone = b't',
}

impl RangeItem {
    /// All items in sort order.
    pub const ALL: [RangeItem; 7] = [
        RangeItem::AppliedState,
        RangeItem::GcThreshold,
        RangeItem::Lease,
        RangeItem::Merging,
        RangeItem::Origin,
        RangeItem::Statistics,
        RangeItem::Tombstone,
    ];

    /// The name that is printed.
    pub const fn name(self) -> &'static str {
        match self {
            RangeItem::AppliedState => "applied-state",
            RangeItem::GcThreshold => "gc-threshold",
            RangeItem::Lease => "lease",
            RangeItem::Merging => "merging",
            RangeItem::Origin => "origin",
            RangeItem::Statistics => "statistics",
            RangeItem::Tombstone => "tombstone",
        }
    }
}

/// Raft state of this store's replica of a range. The byte is what is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum RaftItem {
    /// Term, vote and commit index.
    HardState = b'h',
    /// The id of this store's replica.
    ReplicaId = b'p',
    /// Index and term up to which the log has been cut off.
    TruncatedState = b't',
}

impl RaftItem {
    /// All items in sort order.
    pub const ALL: [RaftItem; 3] = [RaftItem::HardState, RaftItem::ReplicaId, RaftItem::TruncatedState];

    /// The name that is printed.
    pub const fn name(self) -> &'static str {
        match self {
            RaftItem::HardState => "hard-state",
            RaftItem::ReplicaId => "replica-id",
            RaftItem::TruncatedState => "truncated-state",
        }
    }
}

/// Log entries sort after the items of [`RaftItem`].
pub(crate) const RAFT_LOG: u8 = b'z';
const _: () = assert!((RaftItem::TruncatedState as u8) < RAFT_LOG);

/// State of one store alone. The byte is what is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum StoreItem {
    /// The timestamp that no clock reading of this store has exceeded.
    ClockUpperBound = b'c',
    /// Why the store is not to be used any more.
    Condemned = b'd',
    /// What [`StoreItem::ClockUpperBound`] was before the processes that no other node has welcomed yet.
    BoundFound = b'f',
    /// Cluster id, node id and store id.
    Identity = b'i',
    /// Written once bootstrap is complete.
    Bootstrapped = b'o',
    /// Last known addresses of other nodes.
    Peers = b'p',
    /// The version of the cluster that this store has seen.
    ClusterVersion = b'v',
}

impl StoreItem {
    /// All items in sort order.
    pub const ALL: [StoreItem; 7] = [
        StoreItem::ClockUpperBound,
        StoreItem::Condemned,
        StoreItem::BoundFound,
        StoreItem::Identity,
        StoreItem::Bootstrapped,
        StoreItem::Peers,
        StoreItem::ClusterVersion,
    ];

    /// The name that is printed.
    pub const fn name(self) -> &'static str {
        match self {
            StoreItem::ClockUpperBound => "clock-upper-bound",
            StoreItem::Condemned => "condemned",
            StoreItem::BoundFound => "bound-found",
            StoreItem::Identity => "identity",
            StoreItem::Bootstrapped => "bootstrapped",
            StoreItem::Peers => "peers",
            StoreItem::ClusterVersion => "cluster-version",
        }
    }
}

/// Bytes in a transaction id.
pub const TRANSACTION_ID_SIZE: usize = 16;

fn anchor_prefix(anchor: &[u8], extra: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(anchor.len() + 8 + extra);
    out.extend_from_slice(&[prefix::LOCAL, AREA_ANCHOR]);
    encoding::put_bytes_terminated(&mut out, anchor);
    out
}

/// Where the descriptor of the range that starts at `start` is kept, beside its addressing record.
pub fn range_descriptor(start: &[u8]) -> Key {
    let mut out = anchor_prefix(start, 1);
    out.push(ANCHOR_DESCRIPTOR);
    Key::from(out)
}

/// Where the record of a transaction is kept: beside its anchor key, wherever that moves.
pub fn transaction_record(anchor: &[u8], transaction: &[u8; TRANSACTION_ID_SIZE]) -> Key {
    let mut out = anchor_prefix(anchor, 1 + TRANSACTION_ID_SIZE);
    out.push(ANCHOR_TRANSACTION);
    out.extend_from_slice(transaction);
    Key::from(out)
}

/// Takes a transaction record's key apart into anchor key and transaction id.
pub fn parse_transaction_record(key: &[u8]) -> Result<(Key, [u8; TRANSACTION_ID_SIZE]), KeyError> {
    let mut decoder = Decoder::new(key);
    expect_byte(&mut decoder, prefix::LOCAL)?;
    expect_byte(&mut decoder, AREA_ANCHOR)?;
    let anchor = decoder.take_bytes_terminated()?;
    expect_byte(&mut decoder, ANCHOR_TRANSACTION)?;
    let id = decoder.take(TRANSACTION_ID_SIZE)?.try_into().expect("take returns what was asked for");
    decoder.finish()?;
    Ok((Key::from(anchor), id))
}

fn expect_byte(decoder: &mut Decoder<'_>, expected: u8) -> Result<(), KeyError> {
    let byte = decoder.take_u8()?;
    if byte == expected { Ok(()) } else { Err(KeyError::Invalid(byte)) }
}

/// All anchored keys of a range with the given span.
pub fn anchored_span(span: &Span) -> Span {
    let bound = |key: &Key| {
        let mut out = vec![prefix::LOCAL, AREA_ANCHOR];
        encoding::put_bytes_terminated(&mut out, key);
        Key::from(out)
    };
    Span { start: bound(&span.start), end: bound(&span.end) }
}

fn range_prefix(range: RangeId) -> Vec<u8> {
    let mut out = Vec::with_capacity(12);
    out.extend_from_slice(&[prefix::LOCAL, AREA_RANGE]);
    encoding::put_u64(&mut out, range.get());
    out
}

/// Where an item of a range's replicated state is kept.
pub fn range_item(range: RangeId, item: RangeItem) -> Key {
    let mut out = range_prefix(range);
    out.push(item as u8);
    Key::from(out)
}

/// Everything that is kept by the id of a range.
pub fn range_span(range: RangeId) -> Span {
    Span::prefix(range_prefix(range))
}

/// Everything that is kept by range id, of all ranges: to find the ranges of a store.
pub fn all_ranges_span() -> Span {
    Span::prefix(vec![prefix::LOCAL, AREA_RANGE])
}

/// All anchored keys, of all ranges.
pub fn all_anchored_span() -> Span {
    Span::prefix(vec![prefix::LOCAL, AREA_ANCHOR])
}

/// Takes the key of a range's item apart.
pub fn parse_range_item(key: &[u8]) -> Result<(RangeId, RangeItem), KeyError> {
    let mut decoder = Decoder::new(key);
    expect_byte(&mut decoder, prefix::LOCAL)?;
    expect_byte(&mut decoder, AREA_RANGE)?;
    let range = RangeId(decoder.take_u64()?);
    let byte = decoder.take_u8()?;
    decoder.finish()?;
    let item = RangeItem::ALL.into_iter().find(|item| *item as u8 == byte).ok_or(KeyError::Invalid(byte))?;
    Ok((range, item))
}

fn raft_prefix(range: RangeId) -> Vec<u8> {
    let mut out = Vec::with_capacity(20);
    out.extend_from_slice(&[prefix::LOCAL, AREA_RAFT]);
    encoding::put_u64(&mut out, range.get());
    out
}

/// Where an item of the Raft state of this store's replica is kept.
pub fn raft_item(range: RangeId, item: RaftItem) -> Key {
    let mut out = raft_prefix(range);
    out.push(item as u8);
    Key::from(out)
}

/// Where the Raft log entry with the given index is kept.
pub fn raft_log_entry(range: RangeId, index: u64) -> Key {
    let mut out = raft_prefix(range);
    out.push(RAFT_LOG);
    encoding::put_u64(&mut out, index);
    Key::from(out)
}

/// The log entries with indexes from `start` (included) to `end` (excluded).
pub fn raft_log_span(range: RangeId, start: u64, end: u64) -> Span {
    Span { start: raft_log_entry(range, start), end: raft_log_entry(range, end) }
}

/// All of the Raft state of one range: items and log.
pub fn raft_span(range: RangeId) -> Span {
    Span::prefix(raft_prefix(range))
}

/// The Raft state of all ranges of a store.
pub fn all_raft_span() -> Span {
    Span::prefix(vec![prefix::LOCAL, AREA_RAFT])
}

/// Takes the key of an item of the Raft state apart.
pub fn parse_raft_item(key: &[u8]) -> Result<(RangeId, RaftItem), KeyError> {
    let mut decoder = Decoder::new(key);
    expect_byte(&mut decoder, prefix::LOCAL)?;
    expect_byte(&mut decoder, AREA_RAFT)?;
    let range = RangeId(decoder.take_u64()?);
    let byte = decoder.take_u8()?;
    decoder.finish()?;
    let item = RaftItem::ALL.into_iter().find(|item| *item as u8 == byte).ok_or(KeyError::Invalid(byte))?;
    Ok((range, item))
}

/// The index of the log entry with the given key.
pub fn parse_raft_log_entry(key: &[u8]) -> Result<(RangeId, u64), KeyError> {
    let mut decoder = Decoder::new(key);
    expect_byte(&mut decoder, prefix::LOCAL)?;
    expect_byte(&mut decoder, AREA_RAFT)?;
    let range = RangeId(decoder.take_u64()?);
    expect_byte(&mut decoder, RAFT_LOG)?;
    let index = decoder.take_u64()?;
    decoder.finish()?;
    Ok((range, index))
}

/// Where an item of the store is kept.
pub fn store_item(item: StoreItem) -> Key {
    Key::from(vec![prefix::LOCAL, AREA_STORE, item as u8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anchored_keys_follow_their_anchor_through_a_split() {
        let (left, right) = (Span::new("a", "m"), Span::new("m", "z"));
        for anchor in ["a", "l", "l\0\0", "m", "m\0", "y"] {
            let key = transaction_record(anchor.as_bytes(), &[7; 16]);
            let expected = left.contains(anchor.as_bytes());
            assert_eq!(anchored_span(&left).contains(&key), expected, "{anchor:?}");
            assert_eq!(anchored_span(&right).contains(&key), !expected, "{anchor:?}");
            assert_eq!(parse_transaction_record(&key), Ok((Key::from(anchor), [7; 16])));
        }
    }

    #[test]
    fn a_log_sorts_by_index_after_the_items_of_its_range() {
        let range = RangeId(7);
        let keys = [
            raft_item(range, RaftItem::HardState),
            raft_item(range, RaftItem::TruncatedState),
            raft_log_entry(range, 9),
            raft_log_entry(range, 300),
            raft_item(RangeId(8), RaftItem::HardState),
        ];
        assert!(keys.is_sorted());
        assert!(keys[..4].iter().all(|key| raft_span(range).contains(key)));
        assert!(!raft_span(range).contains(&keys[4]));
        assert!(
            raft_log_span(range, 9, 300).contains(&keys[2])
                && !raft_log_span(range, 9, 300).contains(&keys[3])
        );
        assert_eq!(parse_raft_log_entry(&keys[3]), Ok((range, 300)));
        assert_eq!(parse_raft_item(&keys[1]), Ok((range, RaftItem::TruncatedState)));
        assert!(parse_raft_item(&keys[2]).is_err());
    }
}
