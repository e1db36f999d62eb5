//! Garbage: versions that no read at or above a threshold can see.
//!
//! A superseded version is garbage when its *successor* is at or below the threshold: whoever reads at or above the threshold sees
//! the successor or something newer. A deletion in `Current` is garbage when it is itself at or below the threshold; by
//! the invariants of `mvcc` there is then something of its key in `History`, so that reading `History` finds all garbage.
//!
//! ```text
//! History of k:  9  7  4  2        Current of k: 12        threshold 8
//!                |  |  |  `-- successor 4 <= 8: garbage
//!                |  |  `----- successor 7 <= 8: garbage
//!                |  `-------- successor 9 >  8: stays (a read at 8 sees it)
//!                `----------- successor 12 > 8: stays
//! ```
//!
//! Finding and removing are apart, because finding reads much and is done beside the traffic, from a snapshot, while removing
//! is a replicated command, with latches, that verifies again what it removes.

use clock::Timestamp;
use keys::{Key, Span};

use super::error::MvccError;
use super::statistics::Statistics;
use super::version::{Version, history_key, history_span, parse_history_key};
use crate::{CursorOptions, Keyspace, Reader, WriteBatch};

/// How much is looked at in one go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GarbageBudget {
    /// Keys with garbage to return at most.
    pub keys_max: usize,
    /// Superseded versions to look at, at most (a key is finished nevertheless).
    pub versions_max: usize,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Garbage {
    /// Keys with garbage, each with the timestamp at or below which its versions may go.
    pub keys: Vec<(Key, Timestamp)>,
    /// Bytes that removing it frees.
    pub bytes: u64,
    /// What the budget has left unread.
    pub resume: Option<Span>,
}

/// Finds what no read at or above `threshold` can see.
pub fn find_garbage(
    reader: &dyn Reader,
    span: &Span,
    threshold: Timestamp,
    budget: GarbageBudget,
) -> Result<Garbage, MvccError> {
    let mut garbage = Garbage::default();
    let bounds = history_span(span);
    let mut cursor =
        reader.cursor(Keyspace::History, CursorOptions { bulk: true, ..CursorOptions::span(&bounds) })?;
    let mut valid = cursor.seek_first()?;
    let mut looked_at = 0;
    while valid {
        let (key, first) = parse_history_key(cursor.key())?;
        if garbage.keys.len() >= budget.keys_max || looked_at >= budget.versions_max {
            garbage.resume = Some(Span { start: key, end: span.end.clone() });
            break;
        }
        let prefix = cursor.key()[..cursor.key().len() - Timestamp::ENCODED_SIZE].to_vec();
        let mut collector = Collector::new(reader, &key, threshold)?;
        let mut timestamp = first;
        loop {
            looked_at += 1;
            collector.look_at(timestamp, cursor.key().len() + cursor.value().len());
            valid = cursor.next()?;
            if !valid || !cursor.key().starts_with(&prefix) {
                break;
            }
            timestamp = parse_history_key(cursor.key())?.1;
        }
        if let Some(upto) = collector.upto {
            garbage.keys.push((key, upto));
            garbage.bytes += collector.bytes;
        }
    }
    Ok(garbage)
}

/// Goes through the versions of one key, newest first.
struct Collector {
    threshold: Timestamp,
    /// The timestamp of the version above the one looked at; `None` if nothing is above it.
    successor: Option<Timestamp>,
    /// The newest timestamp whose version is garbage.
    upto: Option<Timestamp>,
    bytes: u64,
}

impl Collector {
    fn new(reader: &dyn Reader, key: &[u8], threshold: Timestamp) -> Result<Collector, MvccError> {
        let mut collector = Collector { threshold, successor: None, upto: None, bytes: 0 };
        if let Some(stored) = reader.get(Keyspace::Current, key)? {
            let current = Version::decode(&stored)?;
            collector.successor = Some(current.timestamp);
            if current.value.is_none() && current.timestamp <= threshold {
                collector.upto = Some(current.timestamp);
                collector.bytes = (key.len() + stored.len()) as u64;
            }
        }
        Ok(collector)
    }

    fn look_at(&mut self, timestamp: Timestamp, size: usize) {
        // Without a successor the version is an orphan, which does not happen; it would be left alone.
        if self.successor.is_some_and(|successor| successor <= self.threshold) {
            self.upto = self.upto.max(Some(timestamp));
            self.bytes += size as u64;
        }
        self.successor = Some(timestamp);
    }
}

/// Appends the removal of the versions of a key at or below `upto`, as far as they are garbage at `threshold`. Returns how many
/// versions go. Repeating it is harmless.
pub fn remove_garbage(
    reader: &dyn Reader,
    key: &[u8],
    upto: Timestamp,
    threshold: Timestamp,
    batch: &mut WriteBatch,
    delta: &mut Statistics,
) -> Result<usize, MvccError> {
    let Some(stored) = reader.get(Keyspace::Current, key)? else { return Ok(0) };
    let current = Version::decode(&stored)?;
    let mut removed = 0;
    let mut successor = current.timestamp;
    if current.value.is_none() && current.timestamp <= threshold && current.timestamp <= upto {
        batch.delete(Keyspace::Current, key);
        delta.count_current(true, key.len() + stored.len(), -1);
        removed += 1;
    }
    // A deletion that stays needs something below it, by which it will be found.
    let mut kept_below_deletion = current.value.is_none() && removed == 0;
    let bounds = Span::prefix(history_key_prefix(key));
    let mut cursor = reader.cursor(Keyspace::History, CursorOptions::span(&bounds))?;
    let mut valid = cursor.seek_first()?;
    while valid {
        let (_, timestamp) = parse_history_key(cursor.key())?;
        let is_garbage = successor <= threshold && timestamp <= upto;
        if is_garbage && !std::mem::take(&mut kept_below_deletion) {
            batch.delete(Keyspace::History, cursor.key());
            delta.count_history(cursor.key().len() + cursor.value().len(), -1);
            removed += 1;
        }
        kept_below_deletion = false;
        successor = timestamp;
        valid = cursor.next()?;
    }
    Ok(removed)
}

fn history_key_prefix(key: &[u8]) -> Vec<u8> {
    let mut prefix = history_key(key, Timestamp::ZERO);
    prefix.truncate(prefix.len() - Timestamp::ENCODED_SIZE);
    prefix
}
