//! What is replicated: the result of an evaluation, in bytes.
//!
//! # Format, version 1
//!
//! ```text
//! command := version:u8 = 1, term:u64, flags:u8, [statistics], [effect], batch
//!   flags bit 0: statistics follow (fixed size), bit 1: a split follows, bit 2: a GC threshold follows
//!   split     := left descriptor, right descriptor (each with a 32-bit length), statistics of the right half
//!   threshold := timestamp
//!   bit 3: a timestamp follows, the split's floor; bit 4: a descriptor follows, with other replicas
//!   bit 5: a check begins, its number follows; bit 6: a check is decided: its number, an index and a checksum follow
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
const HAS_FLOOR: u8 = 8;
const HAS_REPLICAS: u8 = 16;
const HAS_CHECK: u8 = 32;
const HAS_VERDICT: u8 = 64;

/// What a command changes beside keys and values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Effects {
    pub split: Option<Box<SplitEffect>>,
    pub gc_threshold: Option<Timestamp>,
    /// The range with other replicas: only in the context of a membership change.
    pub replicas: Option<Box<RangeDescriptor>>,
    /// See `check`.
    pub check: Option<Box<CheckEffect>>,
}

/// A step of a comparison of all replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CheckEffect {
    /// Each computes a checksum of its state as of here. With the number of the check.
    Begin(u64),
    Verdict(Verdict),
}

/// What most replicas have: those that have something else stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// The check.
    pub id: u64,
    /// Up to here in the log the replicas were compared.
    pub index: u64,
    pub checksum: u64,
}

/// The range becomes `left`; `right` begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SplitEffect {
    pub left: RangeDescriptor,
    pub right: RangeDescriptor,
    /// Of the right half, as of the split. An estimate.
    pub right_statistics: Statistics,
    /// Up to here the leaseholder of the whole may have served reads of the right half. Zero: it is the only replica.
    pub floor: Timestamp,
}

/// Everything of a command but its batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// The leader's term under which it was evaluated. Applied under no other.
    pub term: u64,
    /// How the statistics change. Its `intent_count` is exactly by how many intents the batch makes more or fewer.
    pub delta: Statistics,
    pub effects: Effects,
}

/// Puts a command together.
pub(crate) fn encode(head: &Head, batch: &WriteBatch) -> Bytes {
    let Effects { split, gc_threshold, replicas, check } = &head.effects;
    let mut bytes = Vec::with_capacity(96 + batch.byte_size());
    let mut writer = Writer(&mut bytes);
    writer.u8(VERSION);
    writer.u64(head.term);
    let statistics = if head.delta == Statistics::default() { 0 } else { HAS_STATISTICS };
    let floor = split.as_ref().map(|split| split.floor).filter(|floor| !floor.is_zero());
    let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
    let check_flag = match check.as_deref() {
        Some(CheckEffect::Begin(_)) => HAS_CHECK,
        Some(CheckEffect::Verdict(_)) => HAS_VERDICT,
        None => 0,
    };
    writer.u8(statistics
        | check_flag
        | flag(split.is_some(), HAS_SPLIT)
        | flag(gc_threshold.is_some(), HAS_THRESHOLD)
        | flag(floor.is_some(), HAS_FLOOR)
        | flag(replicas.is_some(), HAS_REPLICAS));
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
    if let Some(floor) = floor {
        writer.timestamp(floor);
    }
    if let Some(replicas) = replicas {
        writer.bytes(&replicas.encode());
    }
    match check.as_deref() {
        Some(CheckEffect::Begin(id)) => writer.u64(*id),
        Some(CheckEffect::Verdict(Verdict { id, index, checksum })) => {
            [*id, *index, *checksum].into_iter().for_each(|number| writer.u64(number));
        }
        None => {}
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
    let known = HAS_STATISTICS | HAS_SPLIT | HAS_THRESHOLD | HAS_FLOOR | HAS_REPLICAS;
    if flags & !(known | HAS_CHECK | HAS_VERDICT) != 0 || flags & HAS_CHECK != 0 && flags & HAS_VERDICT != 0 {
        return Err(Malformed("unknown effect of a command"));
    }
    let delta =
        if flags & HAS_STATISTICS != 0 { take_statistics(&mut reader)? } else { Statistics::default() };
    let mut split = if flags & HAS_SPLIT != 0 {
        Some(Box::new(SplitEffect {
            left: RangeDescriptor::decode(reader.bytes()?)?,
            right: RangeDescriptor::decode(reader.bytes()?)?,
            right_statistics: take_statistics(&mut reader)?,
            floor: Timestamp::ZERO,
        }))
    } else {
        None
    };
    let gc_threshold = if flags & HAS_THRESHOLD != 0 { Some(reader.timestamp()?) } else { None };
    if flags & HAS_FLOOR != 0 {
        let floor = reader.timestamp()?;
        split.as_mut().ok_or(Malformed("a floor without a split"))?.floor = floor;
    }
    let replicas = if flags & HAS_REPLICAS != 0 {
        Some(Box::new(RangeDescriptor::decode(reader.bytes()?)?))
    } else {
        None
    };
    let check = if flags & HAS_CHECK != 0 {
        Some(Box::new(CheckEffect::Begin(reader.u64()?)))
    } else if flags & HAS_VERDICT != 0 {
        let (id, index, checksum) = (reader.u64()?, reader.u64()?, reader.u64()?);
        Some(Box::new(CheckEffect::Verdict(Verdict { id, index, checksum })))
    } else {
        None
    };
    Ok((Head { term, delta, effects: Effects { split, gc_threshold, replicas, check } }, reader.0))
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
            right: descriptor.clone(),
            right_statistics: Statistics { live_count: 5, ..Statistics::default() },
            floor: Timestamp::new(7, 0),
        };
        let head = Head {
            term: 9,
            delta: Statistics { intent_count: -3, ..Statistics::default() },
            effects: Effects {
                split: Some(Box::new(split)),
                gc_threshold: Some(Timestamp::new(3, 4)),
                replicas: Some(Box::new(descriptor)),
                check: Some(Box::new(CheckEffect::Verdict(Verdict { id: 1, index: 2, checksum: 3 }))),
            },
        };
        let mut batch = WriteBatch::new();
        batch.put(Keyspace::Current, &Key::from("k"), b"v");
        let bytes = encode(&head, &batch);
        let (decoded, rest) = decode(&bytes).expect("well-formed");
        assert_eq!((decoded, rest), (head.clone(), batch.as_bytes()));
        for end in 0..bytes.len() - batch.byte_size() {
            assert!(decode(&bytes[..end]).is_err(), "truncated at {end}");
        }
        let begin = Effects { check: Some(Box::new(CheckEffect::Begin(7))), ..Effects::default() };
        let begin = Head { effects: begin, ..head.clone() };
        assert_eq!(decode(&encode(&begin, &batch)).expect("well-formed").0, begin);
        let plain = Head { delta: Statistics::default(), effects: Effects::default(), ..head };
        assert_eq!(decode(&encode(&plain, &batch)).expect("well-formed").0, plain);
    }
}
