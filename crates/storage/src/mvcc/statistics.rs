//! [`Statistics`]: how much there is in a range, kept exactly.
//!
//! # Format, version 1
//!
//! ```text
//! version:u8 = 1, then eight i64, big-endian, in the order of the fields
//! ```

use keys::Span;

use super::version::{Version, history_span};
use crate::{CursorOptions, Keyspace, Reader, StorageError};

const VERSION: u8 = 1;
const FIELD_COUNT: usize = 8;
const ENCODED_SIZE: usize = 1 + FIELD_COUNT * 8;

/// How much there is in a range; also a difference between two such. Bytes are those of keys and values as stored,
/// before compression.
///
/// - Every function of `mvcc` that appends to a batch adds to a delta what the batch changes, exactly: applied in the same
///   atomic unit as the batch, the sum is what [`compute_statistics`] would count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Keys that have a committed value.
    pub live_count: i64,
    /// Bytes of these keys and their current values.
    pub live_bytes: i64,
    /// Keys whose current version is a deletion.
    pub deletion_count: i64,
    /// Bytes of these.
    pub deletion_bytes: i64,
    /// Superseded versions.
    pub history_count: i64,
    /// Bytes of these.
    pub history_bytes: i64,
    /// Intents.
    pub intent_count: i64,
    /// Bytes of these.
    pub intent_bytes: i64,
}

impl Statistics {
    /// All keys, versions and intents together, in bytes: what a range is split by.
    pub fn total_bytes(&self) -> u64 {
        (self.live_bytes + self.deletion_bytes + self.history_bytes + self.intent_bytes).max(0) as u64
    }

    /// Bytes that garbage collection might free.
    pub fn garbage_bytes(&self) -> u64 {
        (self.deletion_bytes + self.history_bytes).max(0) as u64
    }

    /// Whether there is nothing at all.
    pub fn is_empty(&self) -> bool {
        self.live_count == 0 && self.deletion_count == 0 && self.history_count == 0 && self.intent_count == 0
    }

    /// Adds a difference.
    pub fn add(&mut self, delta: &Statistics) {
        self.combine(delta, |field, change| field + change);
    }

    /// Takes a part away, as a split does.
    pub fn subtract(&mut self, part: &Statistics) {
        self.combine(part, |field, change| field - change);
    }

    /// What a half holds if both halves hold the same.
    pub fn half(&self) -> Statistics {
        let mut half = *self;
        half.fields().into_iter().for_each(|field| *field /= 2);
        half
    }

    /// Counts a stored entry of a state-side keyspace.
    pub fn count(&mut self, keyspace: Keyspace, key: &[u8], value: &[u8]) -> Result<(), StorageError> {
        let size = key.len() + value.len();
        match keyspace {
            Keyspace::Current => self.count_current(Version::decode(value)?.value.is_none(), size, 1),
            Keyspace::History => self.count_history(size, 1),
            Keyspace::Intents => self.count_intent(size, 1),
            Keyspace::RangeLocal | Keyspace::RaftLog | Keyspace::StoreLocal => {}
        }
        Ok(())
    }

    /// The stored form.
    pub fn encode(&self) -> [u8; ENCODED_SIZE] {
        let mut out = [0; ENCODED_SIZE];
        out[0] = VERSION;
        let mut copy = *self;
        for (chunk, field) in out[1..].chunks_exact_mut(8).zip(copy.fields()) {
            chunk.copy_from_slice(&field.to_be_bytes());
        }
        out
    }

    /// Reads the stored form.
    pub fn decode(stored: &[u8]) -> Result<Statistics, StorageError> {
        if stored.len() != ENCODED_SIZE || stored[0] != VERSION {
            return Err(StorageError::corruption("stored range statistics are malformed"));
        }
        let mut statistics = Statistics::default();
        for (chunk, field) in stored[1..].chunks_exact(8).zip(statistics.fields()) {
            *field = i64::from_be_bytes(chunk.try_into().expect("chunks of 8"));
        }
        Ok(statistics)
    }

    fn combine(&mut self, other: &Statistics, operation: fn(i64, i64) -> i64) {
        let mut other = *other;
        for (field, change) in self.fields().into_iter().zip(other.fields()) {
            *field = operation(*field, *change);
        }
    }

    fn fields(&mut self) -> [&mut i64; FIELD_COUNT] {
        [
            &mut self.live_count,
            &mut self.live_bytes,
            &mut self.deletion_count,
            &mut self.deletion_bytes,
            &mut self.history_count,
            &mut self.history_bytes,
            &mut self.intent_count,
            &mut self.intent_bytes,
        ]
    }

    /// A current version of `size` bytes (key and stored value) comes, or goes (`sign` -1).
    pub(super) fn count_current(&mut self, deletion: bool, size: usize, sign: i64) {
        if deletion {
            self.deletion_count += sign;
            self.deletion_bytes += sign * size as i64;
        } else {
            self.live_count += sign;
            self.live_bytes += sign * size as i64;
        }
    }

    /// A superseded version comes or goes.
    pub(super) fn count_history(&mut self, size: usize, sign: i64) {
        self.history_count += sign;
        self.history_bytes += sign * size as i64;
    }

    /// An intent comes or goes.
    pub(super) fn count_intent(&mut self, size: usize, sign: i64) {
        self.intent_count += sign;
        self.intent_bytes += sign * size as i64;
    }
}

/// Counts what is in a span by reading all of it.
pub fn compute_statistics(reader: &dyn Reader, span: &Span) -> Result<Statistics, StorageError> {
    let mut statistics = Statistics::default();
    let history = history_span(span);
    for (keyspace, span) in
        [(Keyspace::Current, span), (Keyspace::History, &history), (Keyspace::Intents, span)]
    {
        for_each(reader, keyspace, span, |key, value| statistics.count(keyspace, key, value))?;
    }
    Ok(statistics)
}

fn for_each(
    reader: &dyn Reader,
    keyspace: Keyspace,
    span: &Span,
    mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), StorageError>,
) -> Result<(), StorageError> {
    let mut cursor = reader.cursor(keyspace, CursorOptions { bulk: true, ..CursorOptions::span(span) })?;
    let mut valid = cursor.seek_first()?;
    while valid {
        visit(cursor.key(), cursor.value())?;
        valid = cursor.next()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frozen_bytes() {
        let statistics =
            Statistics { live_count: 1, live_bytes: -2, intent_bytes: 256, ..Statistics::default() };
        let stored = statistics.encode();
        assert_eq!(stored[..17], [1, 0, 0, 0, 0, 0, 0, 0, 1, 255, 255, 255, 255, 255, 255, 255, 254]);
        assert_eq!(stored[57..], [0, 0, 0, 0, 0, 0, 1, 0]);
        assert_eq!(Statistics::decode(&stored), Ok(statistics));
        assert!(Statistics::decode(&stored[1..]).is_err());
    }

    #[test]
    fn addition_and_subtraction_are_inverse() {
        let delta = Statistics { live_count: 3, history_bytes: 7, ..Statistics::default() };
        let mut sum = delta;
        sum.add(&delta);
        assert_eq!(sum.live_count, 6);
        sum.subtract(&delta);
        assert_eq!(sum, delta);
    }
}
