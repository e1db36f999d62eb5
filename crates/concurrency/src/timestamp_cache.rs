//! The timestamp cache: up to where each key has been read, so that no write slips in below a read.
//!
//! Reads of points go into a hash table. Reads of spans go into a step function over the keyspace: a sorted map
//! in which each entry gives the value of its key and, until the next entry, of the keys after it. Both are
//! bounded: when one is full it becomes the *previous generation*, and what the previous generation held is
//! forgotten into a floor below which every key counts as read.
//!
//! ```text
//!   steps:  [a: 5) [c: 9) [f: 5) [m: floor)          a scan of [c,f) at 9 over one of [a,m) at 5
//! ```
//!
//! An entry names its transaction as long as one alone has read at that timestamp: its own reads do not push
//! its writes.

use std::collections::BTreeMap;
use std::ops::Bound;

use clock::Timestamp;
use keys::{Key, Span};
use kvapi::TxnId;
use rustc_hash::FxHashMap;

use crate::hash_key;

/// The latest read of a key: when, and by whom if by one transaction alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastRead {
    pub timestamp: Timestamp,
    pub txn: Option<TxnId>,
}

impl LastRead {
    const NEVER: LastRead = LastRead { timestamp: Timestamp::ZERO, txn: None };

    fn merge(&mut self, other: LastRead) {
        if other.timestamp > self.timestamp {
            *self = other;
        } else if other.timestamp == self.timestamp && other.txn != self.txn {
            self.txn = None;
        }
    }
}

/// Both kinds of reads of one period.
#[derive(Clone, Default)]
struct Generation {
    points: FxHashMap<u64, LastRead>,
    steps: BTreeMap<Key, LastRead>,
    /// The highest timestamp inside.
    latest: Timestamp,
}

impl Generation {
    fn is_empty(&self) -> bool {
        self.points.is_empty() && self.steps.is_empty()
    }

    fn step_at(&self, key: &[u8]) -> LastRead {
        let below = self.steps.range::<[u8], _>((Bound::Unbounded, Bound::Included(key)));
        below.last().map_or(LastRead::NEVER, |(_, read)| *read)
    }

    fn lookup(&self, hash: u64, key: &[u8]) -> LastRead {
        let mut last = self.points.get(&hash).copied().unwrap_or(LastRead::NEVER);
        if !self.steps.is_empty() {
            last.merge(self.step_at(key));
        }
        last
    }

    fn read_span(&mut self, span: &Span, read: LastRead) {
        if !self.steps.contains_key(&span.end) {
            let after = self.step_at(&span.end);
            self.steps.insert(span.end.clone(), after);
        }
        if !self.steps.contains_key(&span.start) {
            let before = self.step_at(&span.start);
            self.steps.insert(span.start.clone(), before);
        }
        for (_, step) in self.steps.range_mut::<Key, _>(&span.start..&span.end) {
            step.merge(read);
        }
        self.latest = self.latest.max(read.timestamp);
    }
}

/// Bounds of a [`TimestampCache`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampCacheConfig {
    /// Point entries of one generation (24 bytes each and slack).
    pub points_max: usize,
    /// Steps of one generation.
    pub steps_max: usize,
}

impl Default for TimestampCacheConfig {
    fn default() -> Self {
        TimestampCacheConfig { points_max: 32_768, steps_max: 4_096 }
    }
}

/// The reads of one range.
///
/// - A key's answer never falls.
/// - It is at least the timestamp of every read of that key ever entered.
/// - Memory is bounded by two generations.
#[derive(Clone)]
pub struct TimestampCache {
    config: TimestampCacheConfig,
    current: Generation,
    previous: Generation,
    floor: Timestamp,
}

impl TimestampCache {
    /// A cache that counts everything as read at `floor`: the start of the lease.
    pub fn new(config: TimestampCacheConfig, floor: Timestamp) -> TimestampCache {
        TimestampCache { config, current: Generation::default(), previous: Generation::default(), floor }
    }

    pub fn floor(&self) -> Timestamp {
        self.floor
    }

    /// From now on everything counts as read at `floor` or later.
    pub fn raise_floor(&mut self, floor: Timestamp) {
        self.floor = self.floor.max(floor);
    }

    /// Enters a read of one key.
    #[inline]
    pub fn read_key(&mut self, key: &[u8], timestamp: Timestamp, txn: Option<TxnId>) {
        if timestamp <= self.floor {
            return;
        }
        let read = LastRead { timestamp, txn };
        self.current.points.entry(hash_key(key)).or_insert(LastRead::NEVER).merge(read);
        self.current.latest = self.current.latest.max(timestamp);
        if self.current.points.len() >= self.config.points_max {
            self.rotate();
        }
    }

    /// Enters a read of a span.
    pub fn read_span(&mut self, span: &Span, timestamp: Timestamp, txn: Option<TxnId>) {
        if timestamp <= self.floor || span.is_empty() {
            return;
        }
        self.current.read_span(span, LastRead { timestamp, txn });
        if self.current.steps.len() >= self.config.steps_max {
            self.rotate();
        }
    }

    /// The latest read of a key.
    #[inline]
    pub fn last_read(&self, key: &[u8]) -> LastRead {
        let mut last = LastRead { timestamp: self.floor, txn: None };
        let hash = hash_key(key);
        last.merge(self.current.lookup(hash, key));
        if !self.previous.is_empty() {
            last.merge(self.previous.lookup(hash, key));
        }
        last
    }

    /// The lowest timestamp at which `txn` may write `key`, if it wants to at `at`.
    #[inline]
    pub fn allowed_write(&self, key: &[u8], at: Timestamp, txn: Option<TxnId>) -> Timestamp {
        let last = self.last_read(key);
        if last.timestamp < at || (last.timestamp == at && last.txn.is_some() && last.txn == txn) {
            return at;
        }
        if last.txn.is_some() && last.txn == txn && last.timestamp > at {
            // Its own read moved ahead of the write: a refresh has not yet carried the write along.
            return last.timestamp;
        }
        last.timestamp.next()
    }

    fn rotate(&mut self) {
        self.floor = self.floor.max(self.previous.latest);
        self.previous = std::mem::take(&mut self.current);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(wall: u64) -> Timestamp {
        Timestamp::new(wall, 0)
    }

    #[test]
    fn a_write_goes_above_others_reads_and_not_above_its_own() {
        let mut cache = TimestampCache::new(TimestampCacheConfig::default(), at(1));
        cache.read_key(b"k", at(5), Some(TxnId(1)));
        assert_eq!(cache.allowed_write(b"k", at(5), Some(TxnId(1))), at(5));
        assert_eq!(cache.allowed_write(b"k", at(5), Some(TxnId(2))), at(5).next());
        cache.read_key(b"k", at(5), Some(TxnId(2)));
        assert_eq!(cache.allowed_write(b"k", at(5), Some(TxnId(1))), at(5).next(), "two have read at 5");
        assert_eq!(cache.allowed_write(b"other", at(1), None), at(1).next(), "the floor counts as read");
        cache.read_span(&Span::new("a", "m"), at(9), None);
        assert_eq!(cache.allowed_write(b"k", at(5), Some(TxnId(1))), at(9).next());
        assert_eq!(cache.allowed_write(b"m", at(5), Some(TxnId(1))), at(5));
    }

    proptest! {
        /// Against a model that remembers every read of a small keyspace: never below it; and exactly it while
        /// nothing has been forgotten.
        #[test]
        fn never_forgets_a_read_below_its_answer(
            reads in prop::collection::vec((0u8..20, 1u8..6, 1u64..50, 0u128..3), 1..120),
            bound in 2usize..60,
        ) {
            let config = TimestampCacheConfig { points_max: bound, steps_max: bound };
            let mut cache = TimestampCache::new(config, Timestamp::ZERO);
            let mut model = [Timestamp::ZERO; 32];
            for (start, width, wall, txn) in reads {
                let txn = (txn > 0).then_some(TxnId(txn));
                if width == 1 {
                    cache.read_key(&[start], at(wall), txn);
                } else {
                    cache.read_span(&Span::new(vec![start], vec![start + width]), at(wall), txn);
                }
                for key in start..start + width {
                    model[key as usize] = model[key as usize].max(at(wall));
                }
                for key in 0..25u8 {
                    let told = cache.last_read(&[key]).timestamp;
                    let expected = model[key as usize].max(cache.floor());
                    prop_assert!(told >= model[key as usize]);
                    prop_assert_eq!(told, expected);
                }
            }
        }
    }
}
