//! What is replicated: the result of an evaluation, in bytes.
//!
//! # Format, version 1
//!
//! ```text
//! command := version:u8 = 1, term:u64, flags:u8, [statistics], [effect], batch
//!   flags bit 0: statistics follow (fixed size), bit 1: a split follows, bit 2: a GC threshold follows
//!   split     := left descriptor, right descriptor (each with a 32-bit length), statistics of the right half
//!   threshold := timestamp
//! batch   := storage::WriteBatch, to the end
//! ```
//!
//! Integers are big-endian. A replica that meets an unknown version or flag stops rather than diverge.

use bytes::Bytes;
use clock::Timestamp;
use kvapi::RangeDescriptor;
use kvapi::wire::{Malformed, Reader, Writer};
use storage::WriteBatch;
use storage::mvcc::Statistics;

const VERSION: u8 = 1;
const HAS_STATISTICS: u8 = 1;
const HAS_SPLIT: u8 = 2;
const HAS_THRESHOLD: u8 = 4;

/// What a command changes beside keys and values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Effects {
    pub split: Option<Box<SplitEffect>>,
    pub gc_threshold: Option<Timestamp>,
}

/// The range becomes `left`; `right` begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SplitEffect {
    pub left: RangeDescriptor,
    pub right: RangeDescriptor,
    /// Of the right half, as of the split. An estimate.
    pub right_statistics: Statistics,
}

/// Everything of a command but its batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// The leader's term under which it was evaluated. Applied under no other.
    pub term: u64,
    pub delta: Statistics,
    pub effects: Effects,
}

/// Puts a command together.
pub(crate) fn encode(head: &Head, batch: &WriteBatch) -> Bytes {
    let Effects { split, gc_threshold } = &head.effects;
    let mut bytes = Vec::with_capacity(96 + batch.byte_size());
    let mut writer = Writer(&mut bytes);
    writer.u8(VERSION);
    writer.u64(head.term);
    let statistics = if head.delta == Statistics::default() { 0 } else { HAS_STATISTICS };
    let split_flag = if split.is_some() { HAS_SPLIT } else { 0 };
    writer.u8(statistics | split_flag | if gc_threshold.is_some() { HAS_THRESHOLD } else { 0 });
    if statistics != 0 {
        writer.0.extend_from_slice(&head.delta.encode());
    }
    if let Some(split) = split {
        writer.bytes(&split.left.encode());
        writer.bytes(&split.right.encode());
        writer.0.extend_from_slice(&split.right_statistics.encode());
    }
    if let Some(threshold) = gc_threshold {
        writer.timestamp(*threshold);
    }
    bytes.extend_from_slice(batch.as_bytes());
    Bytes::from(bytes)
}

/// Takes a command apart into its head and the bytes of its batch.
pub(crate) fn decode(bytes: &[u8]) -> Result<(Head, &[u8]), Malformed> {
    let mut reader = Reader(bytes);
    if reader.u8()? != VERSION {
        return Err(Malformed("unknown version of a command"));
    }
    let term = reader.u64()?;
    let flags = reader.u8()?;
    if flags & !(HAS_STATISTICS | HAS_SPLIT | HAS_THRESHOLD) != 0 {
        return Err(Malformed("unknown effect of a command"));
    }
    let delta =
        if flags & HAS_STATISTICS != 0 { take_statistics(&mut reader)? } else { Statistics::default() };
    let split = if flags & HAS_SPLIT != 0 {
        Some(Box::new(SplitEffect {
            left: RangeDescriptor::decode(reader.bytes()?)?,
            right: RangeDescriptor::decode(reader.bytes()?)?,
            right_statistics: take_statistics(&mut reader)?,
        }))
    } else {
        None
    };
    let gc_threshold = if flags & HAS_THRESHOLD != 0 { Some(reader.timestamp()?) } else { None };
    Ok((Head { term, delta, effects: Effects { split, gc_threshold } }, reader.0))
}

fn take_statistics(reader: &mut Reader<'_>) -> Result<Statistics, Malformed> {
    let size = Statistics::default().encode().len();
    Statistics::decode(reader.take(size)?).map_err(|_| Malformed("statistics"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use keys::{Key, RangeId, Span};
    use storage::Keyspace;

    #[test]
    fn commands_survive_and_damage_is_refused() {
        let descriptor = RangeDescriptor {
            id: RangeId(7),
            span: Span::new("a", "b"),
            generation: 2,
            replicas: Vec::new(),
            next_replica: keys::ReplicaId(2),
        };
        let split = SplitEffect {
            left: descriptor.clone(),
            right: descriptor,
            right_statistics: Statistics { live_count: 5, ..Statistics::default() },
        };
        let head = Head {
            term: 9,
            delta: Statistics { intent_count: -3, ..Statistics::default() },
            effects: Effects { split: Some(Box::new(split)), gc_threshold: Some(Timestamp::new(3, 4)) },
        };
        let mut batch = WriteBatch::new();
        batch.put(Keyspace::Current, &Key::from("k"), b"v");
        let bytes = encode(&head, &batch);
        let (decoded, rest) = decode(&bytes).expect("well-formed");
        assert_eq!((decoded, rest), (head.clone(), batch.as_bytes()));
        for end in 0..bytes.len() - batch.byte_size() {
            assert!(decode(&bytes[..end]).is_err(), "truncated at {end}");
        }
        let plain = Head { delta: Statistics::default(), effects: Effects::default(), ..head };
        assert_eq!(decode(&encode(&plain, &batch)).expect("well-formed").0, plain);
    }
}
