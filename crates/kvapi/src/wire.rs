//! The byte forms of what the key-value layer persists: transaction records, range descriptors, the
//! metadata in intents. Frozen from version 1 by the tests below.
//!
//! Integers are big-endian and of fixed width; byte strings carry a 32-bit length; a record begins with its
//! version. Readers refuse what is truncated, too long, or of an unknown version: stored bytes are never
//! guessed at.

use clock::Timestamp;
use keys::{Key, NodeId, RangeId, ReplicaId, Span, StoreId};

use crate::{
    Isolation, Priority, RangeDescriptor, ReplicaDescriptor, ReplicaKind, TxnId, TxnMeta, TxnRecord,
    TxnStatus,
};

/// The bytes are not what the reader expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed bytes: {0}")]
pub struct Malformed(pub &'static str);

/// The version written first into every record of this module.
pub const VERSION: u8 = 1;

/// Appends fields to a buffer.
pub struct Writer<'a>(pub &'a mut Vec<u8>);

impl Writer<'_> {
    pub fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    pub fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.u32(u32::try_from(bytes.len()).expect("fields are far below 4 GiB"));
        self.0.extend_from_slice(bytes);
    }

    pub fn timestamp(&mut self, timestamp: Timestamp) {
        self.0.extend_from_slice(&timestamp.to_bytes());
    }

    pub fn span(&mut self, span: &Span) {
        self.bytes(&span.start);
        self.bytes(&span.end);
    }

    pub fn count(&mut self, count: usize) {
        self.u32(u32::try_from(count).expect("lists are far below 2^32 members"));
    }

    pub fn replica(&mut self, replica: &ReplicaDescriptor) {
        self.u32(replica.node.0);
        self.u32(replica.store.0);
        self.u32(replica.replica.0);
        self.u8(replica.kind as u8);
    }

    pub fn meta(&mut self, meta: &TxnMeta) {
        self.0.extend_from_slice(&meta.id.to_bytes());
        match &meta.anchor {
            None => self.u8(0),
            Some(anchor) => {
                self.u8(1);
                self.bytes(anchor);
            }
        }
        self.u32(meta.epoch);
        self.u32(meta.sequence);
        self.u8(meta.isolation as u8);
        self.u8(meta.priority.0);
        self.timestamp(meta.start);
        self.timestamp(meta.write_timestamp);
    }
}

/// Takes fields from a buffer.
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (head, tail) = self.0.split_at_checked(count).ok_or(Malformed("truncated"))?;
        self.0 = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        Ok(self.take(N)?.try_into().expect("took N bytes"))
    }

    pub fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.array::<1>()?[0])
    }

    pub fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    pub fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.u32()?;
        self.take(length as usize)
    }

    pub fn key(&mut self) -> Result<Key, Malformed> {
        Ok(Key::from(self.bytes()?))
    }

    pub fn timestamp(&mut self) -> Result<Timestamp, Malformed> {
        Ok(Timestamp::from_bytes(self.array()?))
    }

    pub fn span(&mut self) -> Result<Span, Malformed> {
        Ok(Span { start: self.key()?, end: self.key()? })
    }

    /// A list's length. Every member takes at least one byte, which bounds it by what is left.
    pub fn count(&mut self) -> Result<usize, Malformed> {
        let count = self.u32()? as usize;
        if count > self.0.len() { Err(Malformed("list longer than its bytes")) } else { Ok(count) }
    }

    pub fn replica(&mut self) -> Result<ReplicaDescriptor, Malformed> {
        Ok(ReplicaDescriptor {
            node: NodeId(self.u32()?),
            store: StoreId(self.u32()?),
            replica: ReplicaId(self.u32()?),
            kind: ReplicaKind::from_code(self.u8()?).ok_or(Malformed("replica kind"))?,
        })
    }

    pub fn meta(&mut self) -> Result<TxnMeta, Malformed> {
        let id = TxnId::from_bytes(self.array()?);
        let anchor = match self.u8()? {
            0 => None,
            1 => Some(self.key()?),
            _ => return Err(Malformed("anchor flag")),
        };
        Ok(TxnMeta {
            id,
            anchor,
            epoch: self.u32()?,
            sequence: self.u32()?,
            isolation: Isolation::from_code(self.u8()?).ok_or(Malformed("isolation"))?,
            priority: Priority(self.u8()?),
            start: self.timestamp()?,
            write_timestamp: self.timestamp()?,
        })
    }

    pub fn version(&mut self) -> Result<(), Malformed> {
        if self.u8()? == VERSION { Ok(()) } else { Err(Malformed("unknown version")) }
    }

    /// Nothing may be left.
    pub fn finish(self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed("trailing bytes")) }
    }
}

impl TxnMeta {
    /// The form in which intents carry it, after a version byte.
    pub fn encode(&self, into: &mut Vec<u8>) {
        let mut writer = Writer(into);
        writer.u8(VERSION);
        writer.meta(self);
    }

    pub fn decode(bytes: &[u8]) -> Result<TxnMeta, Malformed> {
        let mut reader = Reader(bytes);
        reader.version()?;
        let meta = reader.meta()?;
        reader.finish()?;
        Ok(meta)
    }
}

impl TxnRecord {
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = Writer(&mut bytes);
        writer.u8(VERSION);
        writer.meta(&self.meta);
        writer.u8(self.status as u8);
        writer.timestamp(self.heartbeat);
        writer.count(self.in_flight.len());
        for intent in &self.in_flight {
            writer.bytes(&intent.key);
            writer.u32(intent.sequence);
        }
        writer.count(self.intents.len());
        for span in &self.intents {
            writer.span(span);
        }
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Result<TxnRecord, Malformed> {
        let mut reader = Reader(bytes);
        reader.version()?;
        let meta = reader.meta()?;
        let status = TxnStatus::from_code(reader.u8()?).ok_or(Malformed("transaction status"))?;
        let heartbeat = reader.timestamp()?;
        let mut in_flight = Vec::new();
        for _ in 0..reader.count()? {
            in_flight.push(crate::IntentRef { key: reader.key()?, sequence: reader.u32()? });
        }
        let mut intents = Vec::new();
        for _ in 0..reader.count()? {
            intents.push(reader.span()?);
        }
        reader.finish()?;
        Ok(TxnRecord { meta, status, heartbeat, in_flight, intents })
    }
}

impl RangeDescriptor {
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = Writer(&mut bytes);
        writer.u8(VERSION);
        writer.u64(self.id.0);
        writer.span(&self.span);
        writer.u64(self.generation);
        writer.u32(self.next_replica.0);
        writer.count(self.replicas.len());
        for replica in &self.replicas {
            writer.replica(replica);
        }
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Result<RangeDescriptor, Malformed> {
        let mut reader = Reader(bytes);
        reader.version()?;
        let id = RangeId(reader.u64()?);
        let span = reader.span()?;
        let generation = reader.u64()?;
        let next_replica = ReplicaId(reader.u32()?);
        let mut replicas = Vec::new();
        for _ in 0..reader.count()? {
            replicas.push(reader.replica()?);
        }
        reader.finish()?;
        Ok(RangeDescriptor { id, span, generation, replicas, next_replica })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::IntentRef;

    fn meta() -> TxnMeta {
        TxnMeta {
            id: TxnId(7),
            anchor: Some(Key::from("k")),
            epoch: 1,
            sequence: 2,
            isolation: Isolation::Snapshot,
            priority: Priority::NORMAL,
            start: Timestamp::new(3, 4),
            write_timestamp: Timestamp::new(5, 6),
        }
    }

    #[test]
    fn metadata_has_frozen_bytes() {
        let mut bytes = Vec::new();
        meta().encode(&mut bytes);
        let expected: &[&[u8]] = &[
            &[VERSION],
            &[0; 15],
            &[7],
            &[1, 0, 0, 0, 1, b'k'],
            &[0, 0, 0, 1],
            &[0, 0, 0, 2],
            &[2, 100],
            &[0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 4],
            &[0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 6],
        ];
        assert_eq!(bytes, expected.concat());
        assert_eq!(TxnMeta::decode(&bytes), Ok(meta()));
    }

    #[test]
    fn records_and_descriptors_survive_and_damage_is_refused() {
        let record = TxnRecord {
            meta: meta(),
            status: TxnStatus::Staging,
            heartbeat: Timestamp::new(9, 0),
            in_flight: vec![IntentRef { key: Key::from("a"), sequence: 1 }],
            intents: vec![Span::new("a", "b")],
        };
        let bytes = record.encode();
        assert_eq!(stdx::hash::fingerprint(&bytes), 7_161_630_130_497_630_894, "the format is frozen");
        assert_eq!(TxnRecord::decode(&bytes), Ok(record));
        for end in 0..bytes.len() {
            assert!(TxnRecord::decode(&bytes[..end]).is_err(), "truncated at {end}");
        }
        assert!(TxnRecord::decode(&[bytes.as_slice(), &[0]].concat()).is_err());

        let descriptor = RangeDescriptor {
            id: RangeId(3),
            span: Span::new("a", "c"),
            generation: 4,
            replicas: vec![ReplicaDescriptor {
                node: NodeId(1),
                store: StoreId(2),
                replica: ReplicaId(3),
                kind: ReplicaKind::Voter,
            }],
            next_replica: ReplicaId(4),
        };
        let bytes = descriptor.encode();
        assert_eq!(stdx::hash::fingerprint(&bytes), 13_816_009_063_583_739_495, "the format is frozen");
        assert_eq!(RangeDescriptor::decode(&bytes), Ok(descriptor));
        for end in 0..bytes.len() {
            assert!(RangeDescriptor::decode(&bytes[..end]).is_err(), "truncated at {end}");
        }
    }
}
