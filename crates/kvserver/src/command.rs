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
//!   bit 7: a step of a merge follows: kind:u8
//!     1 freeze := the left range's id, its first key, its generation
//!     2 absorb := generation:u64, the left range as it becomes, the right range as it was, index:u64, term:u64, its statistics, floor:timestamp
//!     3 bar    := the left range as it becomes
//!     4 thaw   := index:u64
//! batch   := storage::WriteBatch, to the end
//! ```
//!
//! Integers are big-endian. A replica that meets an unknown version or flag stops rather than diverge.

use bytes::Bytes;
use clock::Timestamp;
use keys::{Key, RangeId};
use kvapi::RangeDescriptor;
use kvapi::wire::{Malformed, Reader, Writer};
use replication::{Index, Position, Term};
use storage::WriteBatch;
use storage::mvcc::Statistics;

const VERSION: u8 = 1;
/// Behind the version and the term.
const FLAGS_AT: usize = 9;
const HAS_STATISTICS: u8 = 1;
const HAS_SPLIT: u8 = 2;
const HAS_THRESHOLD: u8 = 4;
const HAS_FLOOR: u8 = 8;
const HAS_REPLICAS: u8 = 16;
const HAS_CHECK: u8 = 32;
const HAS_VERDICT: u8 = 64;
const HAS_MERGE: u8 = 128;

const FREEZE: u8 = 1;
const ABSORB: u8 = 2;
const BAR: u8 = 3;
const THAW: u8 = 4;

/// What a command changes beside keys and values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Effects {
    pub split: Option<Box<SplitEffect>>,
    pub gc_threshold: Option<Timestamp>,
    /// The range with other replicas: only in the context of a membership change.
    pub replicas: Option<Box<RangeDescriptor>>,
    /// See `check`.
    pub check: Option<Box<CheckEffect>>,
    /// See `merge`.
    pub merge: Option<Box<MergeEffect>>,
}

/// A step of a merge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MergeEffect {
    /// Of the right range: nothing but a thaw is applied after this.
    Freeze(FreezeEffect),
    /// Of the left range: it absorbs the right one.
    Absorb(AbsorbEffect),
    /// Of the left range: it has another generation from now on, and so absorbs nobody who was frozen for the one before.
    Bar(RangeDescriptor),
    /// Of the right range: the freeze at this index of its log is over.
    Thaw(u64),
}

/// For whom a range is frozen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FreezeEffect {
    pub left: RangeId,
    pub left_start: Key,
    /// Of the left range: under another one it does not absorb.
    pub generation: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AbsorbEffect {
    /// Of the left range, as it was.
    pub generation: u64,
    pub merged: RangeDescriptor,
    /// As it was.
    pub right: RangeDescriptor,
    /// The freeze in the right range's log.
    pub frozen: Position,
    /// Of the right range. An estimate.
    pub right_statistics: Statistics,
    /// Up to here the leaseholder of the right range may have served reads.
    pub floor: Timestamp,
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
    let Effects { split, gc_threshold, replicas, check, merge } = &head.effects;
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
        | flag(merge.is_some(), HAS_MERGE)
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
    if let Some(merge) = merge {
        put_merge(&mut writer, merge);
    }
    bytes.extend_from_slice(batch.as_bytes());
    Bytes::from(bytes)
}

fn put_merge(writer: &mut Writer<'_>, merge: &MergeEffect) {
    match merge {
        MergeEffect::Freeze(freeze) => {
            writer.u8(FREEZE);
            writer.u64(freeze.left.get());
            writer.bytes(&freeze.left_start);
            writer.u64(freeze.generation);
        }
        MergeEffect::Absorb(absorb) => {
            writer.u8(ABSORB);
            writer.u64(absorb.generation);
            writer.bytes(&absorb.merged.encode());
            writer.bytes(&absorb.right.encode());
            writer.u64(absorb.frozen.index.0);
            writer.u64(absorb.frozen.term.0);
            writer.0.extend_from_slice(&absorb.right_statistics.encode());
            writer.timestamp(absorb.floor);
        }
        MergeEffect::Bar(descriptor) => {
            writer.u8(BAR);
            writer.bytes(&descriptor.encode());
        }
        MergeEffect::Thaw(index) => {
            writer.u8(THAW);
            writer.u64(*index);
        }
    }
}

fn take_merge(reader: &mut Reader<'_>) -> Result<MergeEffect, Malformed> {
    Ok(match reader.u8()? {
        FREEZE => MergeEffect::Freeze(FreezeEffect {
            left: RangeId(reader.u64()?),
            left_start: reader.key()?,
            generation: reader.u64()?,
        }),
        ABSORB => MergeEffect::Absorb(AbsorbEffect {
            generation: reader.u64()?,
            merged: RangeDescriptor::decode(reader.bytes()?)?,
            right: RangeDescriptor::decode(reader.bytes()?)?,
            frozen: Position { index: Index(reader.u64()?), term: Term(reader.u64()?) },
            right_statistics: take_statistics(reader)?,
            floor: reader.timestamp()?,
        }),
        BAR => MergeEffect::Bar(RangeDescriptor::decode(reader.bytes()?)?),
        THAW => MergeEffect::Thaw(reader.u64()?),
        _ => return Err(Malformed("an unknown step of a merge")),
    })
}

/// The head of a command that is a step of a merge. Costs nothing for all others.
pub(crate) fn decode_merge(bytes: &[u8]) -> Option<Head> {
    if bytes.len() <= FLAGS_AT || bytes[FLAGS_AT] & HAS_MERGE == 0 {
        return None;
    }
    // What cannot be read will be found when it is applied.
    decode(bytes).ok().map(|(head, _)| head)
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
    if flags & !(known | HAS_CHECK | HAS_VERDICT | HAS_MERGE) != 0
        || flags & HAS_CHECK != 0 && flags & HAS_VERDICT != 0
    {
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
    let merge = if flags & HAS_MERGE != 0 { Some(Box::new(take_merge(&mut reader)?)) } else { None };
    Ok((Head { term, delta, effects: Effects { split, gc_threshold, replicas, check, merge } }, reader.0))
}

fn take_statistics(reader: &mut Reader<'_>) -> Result<Statistics, Malformed> {
    let size = Statistics::default().encode().len();
    Statistics::decode(reader.take(size)?).map_err(|_| Malformed("statistics"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use keys::Span;
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
                replicas: Some(Box::new(descriptor.clone())),
                check: Some(Box::new(CheckEffect::Verdict(Verdict { id: 1, index: 2, checksum: 3 }))),
                merge: Some(Box::new(MergeEffect::Thaw(5))),
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
        let freeze = FreezeEffect { left: RangeId(4), left_start: Key::from("a"), generation: 3 };
        let frozen = Position { index: Index(11), term: Term(9) };
        let absorb = AbsorbEffect {
            generation: 3,
            merged: descriptor.clone(),
            right: descriptor.clone(),
            frozen,
            right_statistics: Statistics { live_count: 7, ..Statistics::default() },
            floor: Timestamp::new(8, 1),
        };
        let steps = [MergeEffect::Freeze(freeze), MergeEffect::Bar(descriptor), MergeEffect::Absorb(absorb)];
        for merge in steps {
            let effects = Effects { merge: Some(Box::new(merge)), ..Effects::default() };
            let step = Head { effects, ..head.clone() };
            let bytes = encode(&step, &batch);
            assert_eq!(decode(&bytes).expect("well-formed").0, step);
            assert_eq!(decode_merge(&bytes), Some(step));
        }
        assert_eq!(decode_merge(&encode(&begin, &batch)), None);
        let plain = Head { delta: Statistics::default(), effects: Effects::default(), ..head };
        assert_eq!(decode(&encode(&plain, &batch)).expect("well-formed").0, plain);
    }
}
