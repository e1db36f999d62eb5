//! The bytes in which messages travel between replicas.
//!
//! ```text
//! Message := version=1:u8 from:u64 to:u64 term:u64 kind:u8 body
//! entries := count:u32 { index:u64 term:u64 kind:u8 length:u32 payload }*
//! ```
//!
//! Numbers are little-endian. They are not stored: two programs understand each other if they speak one version. Reading
//! allocates nothing that is larger than what was given; payloads share the memory of the input.

use bytes::{Buf, Bytes};

use crate::codec::DecodeError;
use crate::{Body, Configuration, Entry, EntryKind, Index, Message, Position, ReplicaId, Snapshot, Term};

/// The version of these bytes.
pub const MESSAGE_VERSION: u8 = 1;

/// Fixed bytes of an entry.
const ENTRY_HEADER_BYTES: usize = 8 + 8 + 1 + 4;

impl Message {
    /// Appends the bytes in which it travels.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(MESSAGE_VERSION);
        for number in [self.from.0, self.to.0, self.term.0] {
            put_u64(out, number);
        }
        out.push(kind(&self.body));
        match &self.body {
            Body::PreVote { last_index, last_term } => put_position(out, *last_index, *last_term),
            Body::PreVoteResponse { granted, committed } | Body::VoteResponse { granted, committed } => {
                out.push(u8::from(*granted));
                put_position(out, committed.index, committed.term);
            }
            Body::Vote { last_index, last_term, transfer } => {
                put_position(out, *last_index, *last_term);
                out.push(u8::from(*transfer));
            }
            Body::Append { previous_index, previous_term, entries, commit } => {
                put_position(out, *previous_index, *previous_term);
                put_u64(out, commit.0);
                put_entries(out, entries);
            }
            Body::AppendResponse { matched } => put_u64(out, matched.0),
            Body::AppendRejected { rejected, hint_index, hint_term } => {
                put_u64(out, rejected.0);
                put_position(out, *hint_index, *hint_term);
            }
            Body::Heartbeat { commit, round } => {
                put_u64(out, commit.0);
                put_u64(out, *round);
            }
            Body::HeartbeatResponse { round } => put_u64(out, *round),
            Body::Snapshot(snapshot) => {
                put_position(out, snapshot.index, snapshot.term);
                put_bytes(out, &snapshot.configuration.encode());
                put_bytes(out, &snapshot.metadata);
            }
            Body::TimeoutNow | Body::Wake => {}
            Body::Quiesce { last_index } => put_u64(out, last_index.0),
        }
    }

    /// Takes a message back. Nothing may be left over.
    pub fn decode(bytes: &Bytes) -> Result<Message, DecodeError> {
        let mut input = bytes.clone();
        match take_u8(&mut input)? {
            MESSAGE_VERSION => {}
            other => return Err(DecodeError::UnknownVersion(other)),
        }
        let (from, to) = (ReplicaId(take_u64(&mut input)?), ReplicaId(take_u64(&mut input)?));
        let term = Term(take_u64(&mut input)?);
        let body = take_body(&mut input)?;
        if input.has_remaining() {
            return Err(DecodeError::Invalid("length"));
        }
        Ok(Message { from, to, term, body })
    }
}

fn kind(body: &Body) -> u8 {
    match body {
        Body::PreVote { .. } => 1,
        Body::PreVoteResponse { .. } => 2,
        Body::Vote { .. } => 3,
        Body::VoteResponse { .. } => 4,
        Body::Append { .. } => 5,
        Body::AppendResponse { .. } => 6,
        Body::AppendRejected { .. } => 7,
        Body::Heartbeat { .. } => 8,
        Body::HeartbeatResponse { .. } => 9,
        Body::Snapshot(_) => 10,
        Body::TimeoutNow => 11,
        Body::Quiesce { .. } => 12,
        Body::Wake => 13,
    }
}

fn take_body(input: &mut Bytes) -> Result<Body, DecodeError> {
    Ok(match take_u8(input)? {
        1 => {
            let Position { index, term } = take_position(input)?;
            Body::PreVote { last_index: index, last_term: term }
        }
        2 => Body::PreVoteResponse { granted: take_flag(input)?, committed: take_position(input)? },
        3 => {
            let Position { index, term } = take_position(input)?;
            Body::Vote { last_index: index, last_term: term, transfer: take_flag(input)? }
        }
        4 => Body::VoteResponse { granted: take_flag(input)?, committed: take_position(input)? },
        5 => {
            let Position { index, term } = take_position(input)?;
            let commit = Index(take_u64(input)?);
            let entries = take_entries(input)?;
            Body::Append { previous_index: index, previous_term: term, entries, commit }
        }
        6 => Body::AppendResponse { matched: Index(take_u64(input)?) },
        7 => {
            let rejected = Index(take_u64(input)?);
            let Position { index, term } = take_position(input)?;
            Body::AppendRejected { rejected, hint_index: index, hint_term: term }
        }
        8 => Body::Heartbeat { commit: Index(take_u64(input)?), round: take_u64(input)? },
        9 => Body::HeartbeatResponse { round: take_u64(input)? },
        10 => {
            let Position { index, term } = take_position(input)?;
            let configuration = Configuration::decode(&take_bytes(input)?)?;
            Body::Snapshot(Snapshot { index, term, configuration, metadata: take_bytes(input)? })
        }
        11 => Body::TimeoutNow,
        12 => Body::Quiesce { last_index: Index(take_u64(input)?) },
        13 => Body::Wake,
        _ => return Err(DecodeError::Invalid("kind of message")),
    })
}

fn put_u64(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("payloads are far below 4 GiB");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(bytes);
}

fn put_position(out: &mut Vec<u8>, index: Index, term: Term) {
    put_u64(out, index.0);
    put_u64(out, term.0);
}

fn put_entries(out: &mut Vec<u8>, entries: &[Entry]) {
    let count = u32::try_from(entries.len()).expect("a message has far fewer than 2^32 entries");
    out.extend_from_slice(&count.to_le_bytes());
    for entry in entries {
        put_position(out, entry.index, entry.term);
        out.push(entry.kind as u8);
        put_bytes(out, &entry.payload);
    }
}

fn take_u8(input: &mut Bytes) -> Result<u8, DecodeError> {
    input.try_get_u8().map_err(|_| DecodeError::Truncated)
}

fn take_flag(input: &mut Bytes) -> Result<bool, DecodeError> {
    match take_u8(input)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(DecodeError::Invalid("flag")),
    }
}

fn take_u64(input: &mut Bytes) -> Result<u64, DecodeError> {
    input.try_get_u64_le().map_err(|_| DecodeError::Truncated)
}

fn take_bytes(input: &mut Bytes) -> Result<Bytes, DecodeError> {
    let length = input.try_get_u32_le().map_err(|_| DecodeError::Truncated)? as usize;
    if length > input.len() { Err(DecodeError::Truncated) } else { Ok(input.split_to(length)) }
}

fn take_position(input: &mut Bytes) -> Result<Position, DecodeError> {
    Ok(Position { index: Index(take_u64(input)?), term: Term(take_u64(input)?) })
}

fn take_entries(input: &mut Bytes) -> Result<Vec<Entry>, DecodeError> {
    let count = input.try_get_u32_le().map_err(|_| DecodeError::Truncated)? as usize;
    // What is left bounds the count, and the count what is allocated.
    if count.saturating_mul(ENTRY_HEADER_BYTES) > input.len() {
        return Err(DecodeError::Truncated);
    }
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        let Position { index, term } = take_position(input)?;
        let kind = EntryKind::from_number(take_u8(input)?).ok_or(DecodeError::Invalid("kind of entry"))?;
        entries.push(Entry { index, term, kind, payload: take_bytes(input)? });
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bodies() -> Vec<Body> {
        let (index, term) = (Index(7), Term(3));
        let committed = Position { index, term };
        let entry = |number: u64, kind| Entry {
            index: Index(number),
            term,
            kind,
            payload: Bytes::from(vec![number as u8; number as usize]),
        };
        let configuration = Configuration::of_voters([ReplicaId(1), ReplicaId(2)]);
        vec![
            Body::PreVote { last_index: index, last_term: term },
            Body::PreVoteResponse { granted: true, committed },
            Body::Vote { last_index: index, last_term: term, transfer: true },
            Body::VoteResponse { granted: false, committed },
            Body::Append {
                previous_index: index,
                previous_term: term,
                entries: vec![entry(0, EntryKind::Empty), entry(3, EntryKind::Normal)],
                commit: Index(6),
            },
            Body::AppendResponse { matched: index },
            Body::AppendRejected { rejected: index, hint_index: Index(5), hint_term: Term(2) },
            Body::Heartbeat { commit: index, round: 9 },
            Body::HeartbeatResponse { round: 9 },
            Body::Snapshot(Snapshot { index, term, configuration, metadata: Bytes::from_static(b"here") }),
            Body::TimeoutNow,
            Body::Quiesce { last_index: index },
            Body::Wake,
        ]
    }

    #[test]
    fn every_message_travels_and_damage_is_refused() {
        let mut frozen = Vec::new();
        for body in bodies() {
            let message = Message { from: ReplicaId(1), to: ReplicaId(2), term: Term(4), body };
            let mut bytes = Vec::new();
            message.encode(&mut bytes);
            assert_eq!(Message::decode(&Bytes::copy_from_slice(&bytes)), Ok(message));
            for end in 0..bytes.len() {
                assert!(Message::decode(&Bytes::copy_from_slice(&bytes[..end])).is_err(), "cut at {end}");
                let mut damaged = bytes.clone();
                damaged[end] ^= 0xff;
                // Another message or none: this looks for panics.
                drop(Message::decode(&Bytes::from(damaged)));
            }
            let longer = [bytes.as_slice(), &[0]].concat();
            assert!(Message::decode(&Bytes::from(longer)).is_err());
            frozen.extend(bytes);
        }
        assert_eq!(stdx::hash::fingerprint(&frozen), 1_194_594_809_375_352_998, "version 1 is frozen");
    }
}
