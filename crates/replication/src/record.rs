//! The stored records, version 1. Their bytes do not change.
//!
//! ```text
//! record        := crc:u32 body            crc32 of the record's key and the body
//! log entry     := version=1:u8 kind:u8 term:u64 payload
//! hard state    := version=1:u8 term:u64 vote:u64 (0: none) commit:u64
//! truncated     := version=1:u8 index:u64 term:u64
//! applied state := version=1:u8 index:u64 term:u64 base:u64 replica:u32 configuration (see raft)
//! ```
//!
//! Numbers are little-endian. The key is part of the checksum, so that a record that lands under another key is noticed.

use bytes::Bytes;
use keys::local::{self, RaftItem, RangeItem};
use keys::{Key, RangeId, ReplicaId};
use raft::{Configuration, Entry, EntryKind, HardState, Index, Position, Term};
use storage::{Keyspace, WriteBatch};

use crate::OpenError;

const VERSION: u8 = 1;
const CRC_SIZE: usize = 4;

/// What is stored with a range's state: how far it is, in the same atomic unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AppliedState {
    /// The last entry applied.
    pub position: Position,
    /// The log may begin right after this index without anything before it: where the range was made, or where a snapshot
    /// replaced it.
    pub base: Index,
    /// Which replica this store has.
    pub replica: ReplicaId,
    /// The membership as of `position`.
    pub configuration: Configuration,
}

pub(crate) fn applied_state_key(range: RangeId) -> Key {
    local::range_item(range, RangeItem::AppliedState)
}

pub(crate) fn put_entry(batch: &mut WriteBatch, range: RangeId, entry: &Entry) {
    let key = local::raft_log_entry(range, entry.index.0);
    let mut head = [0u8; 10];
    head[0] = VERSION;
    head[1] = entry.kind as u8;
    head[2..].copy_from_slice(&entry.term.0.to_le_bytes());
    let crc = checksum(&key, &[&head, &entry.payload]);
    batch.put_parts(Keyspace::RaftLog, &[&key], &[&crc, &head, &entry.payload]);
}

pub(crate) fn decode_entry(range: RangeId, index: Index, value: &[u8]) -> Result<Entry, OpenError> {
    let key = local::raft_log_entry(range, index.0);
    let what = || format!("log entry {index}");
    let mut body = open_record(range, &key, value, what)?;
    let kind = body.u8()?;
    let kind = EntryKind::from_number(kind).ok_or_else(|| body.broken(&format!("unknown kind {kind}")))?;
    let term = Term(body.u64()?);
    Ok(Entry { index, term, kind, payload: Bytes::copy_from_slice(body.rest) })
}

pub(crate) fn put_hard_state(batch: &mut WriteBatch, range: RangeId, state: HardState) {
    let mut body = vec![VERSION];
    for number in [state.term.0, state.vote.map_or(0, |vote| vote.0), state.commit.0] {
        body.extend_from_slice(&number.to_le_bytes());
    }
    put_record(batch, Keyspace::RaftLog, &local::raft_item(range, RaftItem::HardState), &body);
}

pub(crate) fn decode_hard_state(range: RangeId, value: &[u8]) -> Result<HardState, OpenError> {
    let key = local::raft_item(range, RaftItem::HardState);
    let mut body = open_record(range, &key, value, || "the hard state".to_string())?;
    let (term, vote, commit) = (Term(body.u64()?), body.u64()?, Index(body.u64()?));
    body.end()?;
    let vote = (vote != 0).then_some(raft::ReplicaId(vote));
    Ok(HardState { term, vote, commit })
}

pub(crate) fn put_truncated(batch: &mut WriteBatch, range: RangeId, truncated: Position) {
    let mut body = vec![VERSION];
    body.extend_from_slice(&truncated.index.0.to_le_bytes());
    body.extend_from_slice(&truncated.term.0.to_le_bytes());
    put_record(batch, Keyspace::RaftLog, &local::raft_item(range, RaftItem::TruncatedState), &body);
}

pub(crate) fn decode_truncated(range: RangeId, value: &[u8]) -> Result<Position, OpenError> {
    let key = local::raft_item(range, RaftItem::TruncatedState);
    let mut body = open_record(range, &key, value, || "the truncated state".to_string())?;
    let position = Position { index: Index(body.u64()?), term: Term(body.u64()?) };
    body.end()?;
    Ok(position)
}

pub(crate) fn put_applied_state(batch: &mut WriteBatch, range: RangeId, state: &AppliedState) {
    let configuration = state.configuration.encode();
    let mut body = Vec::with_capacity(29 + configuration.len());
    body.push(VERSION);
    for number in [state.position.index.0, state.position.term.0, state.base.0] {
        body.extend_from_slice(&number.to_le_bytes());
    }
    body.extend_from_slice(&state.replica.get().to_le_bytes());
    body.extend_from_slice(&configuration);
    put_record(batch, Keyspace::RangeLocal, &applied_state_key(range), &body);
}

pub(crate) fn decode_applied_state(range: RangeId, value: &[u8]) -> Result<AppliedState, OpenError> {
    let key = applied_state_key(range);
    let mut body = open_record(range, &key, value, || "the applied state".to_string())?;
    let position = Position { index: Index(body.u64()?), term: Term(body.u64()?) };
    let base = Index(body.u64()?);
    let replica = ReplicaId(body.u32()?);
    let configuration = Configuration::decode(body.rest).map_err(|error| body.broken(&error.to_string()))?;
    Ok(AppliedState { position, base, replica, configuration })
}

fn put_record(batch: &mut WriteBatch, keyspace: Keyspace, key: &[u8], body: &[u8]) {
    let crc = checksum(key, &[body]);
    batch.put_parts(keyspace, &[key], &[&crc, body]);
}

fn checksum(key: &[u8], body: &[&[u8]]) -> [u8; CRC_SIZE] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    for part in body {
        hasher.update(part);
    }
    hasher.finalize().to_le_bytes()
}

fn open_record<'a>(
    range: RangeId,
    key: &[u8],
    value: &'a [u8],
    what: impl Fn() -> String,
) -> Result<Body<'a>, OpenError> {
    let corrupt = |why: &str| OpenError::Corrupt { range: Some(range), what: format!("{}: {why}", what()) };
    let Some((crc, rest)) = value.split_at_checked(CRC_SIZE) else {
        return Err(corrupt("the record is too short"));
    };
    if crc != checksum(key, &[rest]) {
        return Err(corrupt("the checksum does not match"));
    }
    let mut body = Body { range, what: what(), rest };
    match body.u8()? {
        VERSION => Ok(body),
        other => Err(body.broken(&format!("unknown format version {other}"))),
    }
}

/// The body of a record whose checksum is right.
struct Body<'a> {
    range: RangeId,
    what: String,
    rest: &'a [u8],
}

impl Body<'_> {
    fn broken(&self, why: &str) -> OpenError {
        OpenError::Corrupt { range: Some(self.range), what: format!("{}: {why}", self.what) }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], OpenError> {
        let Some((taken, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(self.broken("the record is too short"));
        };
        self.rest = rest;
        Ok(*taken)
    }

    fn u8(&mut self) -> Result<u8, OpenError> {
        Ok(self.take::<1>()?[0])
    }

    fn u32(&mut self) -> Result<u32, OpenError> {
        Ok(u32::from_le_bytes(self.take()?))
    }

    fn u64(&mut self) -> Result<u64, OpenError> {
        Ok(u64::from_le_bytes(self.take()?))
    }

    fn end(&self) -> Result<(), OpenError> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.broken("the record is too long")) }
    }
}

#[cfg(test)]
mod tests {
    use storage::Operation;

    use super::*;

    fn only_put(batch: &WriteBatch) -> (Vec<u8>, Vec<u8>) {
        match batch.iter().next() {
            Some(Operation::Put(_, key, value)) => (key.to_vec(), value.to_vec()),
            other => panic!("a put was expected, not {other:?}"),
        }
    }

    fn an_entry() -> Entry {
        Entry {
            index: Index(300),
            term: Term(7),
            kind: EntryKind::Normal,
            payload: Bytes::from_static(b"payload"),
        }
    }

    #[test]
    fn records_come_back_as_they_were() {
        let range = RangeId(9);
        let mut batch = WriteBatch::new();
        put_entry(&mut batch, range, &an_entry());
        assert_eq!(decode_entry(range, Index(300), &only_put(&batch).1), Ok(an_entry()));

        let hard_state = HardState { term: Term(3), vote: Some(raft::ReplicaId(2)), commit: Index(11) };
        batch.clear();
        put_hard_state(&mut batch, range, hard_state);
        assert_eq!(decode_hard_state(range, &only_put(&batch).1), Ok(hard_state));

        let truncated = Position { index: Index(10), term: Term(5) };
        batch.clear();
        put_truncated(&mut batch, range, truncated);
        assert_eq!(decode_truncated(range, &only_put(&batch).1), Ok(truncated));

        let applied = AppliedState {
            position: truncated,
            base: Index(10),
            replica: ReplicaId(4),
            configuration: Configuration::of_voters([raft::ReplicaId(4)]),
        };
        batch.clear();
        put_applied_state(&mut batch, range, &applied);
        assert_eq!(decode_applied_state(range, &only_put(&batch).1), Ok(applied));
    }

    #[test]
    fn the_bytes_are_frozen() {
        let mut batch = WriteBatch::new();
        put_entry(&mut batch, RangeId(9), &an_entry());
        let (key, value) = only_put(&batch);
        assert_eq!(value[CRC_SIZE..], [&[1, 0, 7, 0, 0, 0, 0, 0, 0, 0][..], b"payload"].concat());
        assert_eq!(value[..CRC_SIZE], checksum(&key, &[&value[CRC_SIZE..]]));
        assert_eq!(checksum(b"123", &[b"456", b"789"]), 0xCBF4_3926u32.to_le_bytes());
    }

    #[test]
    fn every_flipped_bit_and_every_wrong_key_is_noticed() {
        let range = RangeId(9);
        let mut batch = WriteBatch::new();
        put_entry(&mut batch, range, &an_entry());
        let (_, value) = only_put(&batch);
        for bit in 0..value.len() * 8 {
            let mut damaged = value.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(decode_entry(range, Index(300), &damaged).is_err(), "bit {bit}");
        }
        for length in 0..value.len() {
            assert!(decode_entry(range, Index(300), &value[..length]).is_err(), "cut to {length}");
        }
        assert!(decode_entry(range, Index(301), &value).is_err());
        assert!(decode_entry(RangeId(8), Index(300), &value).is_err());
    }
}
