//! Intents: the provisional writes of a transaction that cannot commit in one step.
//!
//! # Format, version 1
//!
//! ```text
//! key   := key
//! value := version:u8 = 1, kind:u8 (0 value, 1 deletion), size:u32 of meta, meta (kvapi::TxnMeta), payload
//! ```
//!
//! `meta.sequence` is the sequence of this write and `meta.write_timestamp` is where it stands.

use clock::Timestamp;
use keys::{Key, Span};
use kvapi::{TxnId, TxnMeta};

use super::error::Conflict;
use super::view::{OnConflict, ReadView};
use crate::{Cursor, CursorOptions, Keyspace, Reader, StorageError, WriteBatch};

const VERSION: u8 = 1;
const KIND_VALUE: u8 = 0;
const KIND_DELETION: u8 = 1;
const PREFIX_SIZE: usize = 6;

/// A provisional write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// Whose it is, and where it stands.
    pub txn: TxnMeta,
    /// What is to be written; `None` for a deletion.
    pub value: Option<Vec<u8>>,
}

impl Intent {
    /// Reads a stored intent.
    pub fn decode(stored: &[u8]) -> Result<Intent, StorageError> {
        let malformed = || StorageError::corruption("a stored intent is malformed");
        let (prefix, rest) = stored.split_first_chunk::<PREFIX_SIZE>().ok_or_else(malformed)?;
        let size = u32::from_be_bytes([prefix[2], prefix[3], prefix[4], prefix[5]]) as usize;
        let (meta, payload) = rest.split_at_checked(size).ok_or_else(malformed)?;
        let txn = TxnMeta::decode(meta).map_err(|_| malformed())?;
        let value = match (prefix[0], prefix[1]) {
            (VERSION, KIND_VALUE) => Some(payload.to_vec()),
            (VERSION, KIND_DELETION) if payload.is_empty() => None,
            _ => return Err(malformed()),
        };
        Ok(Intent { txn, value })
    }

    /// Appends this intent on a key to a batch, and returns the size of key and value.
    pub(super) fn put(batch: &mut WriteBatch, key: &[u8], txn: &TxnMeta, value: Option<&[u8]>) -> usize {
        let mut head = vec![VERSION, if value.is_some() { KIND_VALUE } else { KIND_DELETION }, 0, 0, 0, 0];
        txn.encode(&mut head);
        let size = u32::try_from(head.len() - PREFIX_SIZE).expect("metadata is far below 4 GiB");
        head[2..PREFIX_SIZE].copy_from_slice(&size.to_be_bytes());
        let payload = value.unwrap_or_default();
        batch.put_parts(Keyspace::Intents, &[key], &[&head, payload]);
        key.len() + head.len() + payload.len()
    }
}

/// The intent on a key.
pub fn find_intent(reader: &dyn Reader, key: &[u8]) -> Result<Option<Intent>, StorageError> {
    reader.get(Keyspace::Intents, key)?.map(|stored| Intent::decode(&stored)).transpose()
}

/// The intents in a span, up to a number of them.
pub fn find_intents(
    reader: &dyn Reader,
    span: &Span,
    count_max: usize,
) -> Result<Vec<(Key, Intent)>, StorageError> {
    let mut cursor = reader.cursor(Keyspace::Intents, CursorOptions::span(span))?;
    let mut found = Vec::new();
    let mut valid = cursor.seek_first()?;
    while valid && found.len() < count_max {
        found.push((Key::copy_from(cursor.key()), Intent::decode(cursor.value())?));
        valid = cursor.next()?;
    }
    Ok(found)
}

/// What an intent means to a reader.
pub(super) enum Meaning {
    /// As if it were not there: above what is read, or the reader's own of an earlier epoch or a later sequence.
    Invisible,
    /// The reader's own write.
    Own(Option<Vec<u8>>),
    /// Another transaction's write that the reader might have to see.
    Conflict(Conflict),
    /// As `Conflict`, but the reader wants such keys left out.
    Skip,
}

impl Intent {
    pub(super) fn meaning(self, key: &[u8], view: &ReadView) -> Meaning {
        match view.own {
            Some((id, epoch)) if id == self.txn.id => {
                if self.txn.epoch == epoch && self.txn.sequence <= view.own_sequence {
                    Meaning::Own(self.value)
                } else {
                    Meaning::Invisible
                }
            }
            // A reader that refuses newer versions is about to write: any intent is in its way.
            _ if (self.txn.write_timestamp > view.uncertainty_limit || self.is_passed(view))
                && view.newer == super::NewerVersions::Ignore =>
            {
                Meaning::Invisible
            }
            _ if view.on_conflict == OnConflict::Skip => Meaning::Skip,
            _ => Meaning::Conflict(Conflict { key: Key::copy_from(key), txn: self.txn }),
        }
    }

    /// Whether the reader has pushed it above what it reads.
    fn is_passed(&self, view: &ReadView) -> bool {
        self.txn.write_timestamp > view.timestamp && view.passed.contains(self.txn.id)
    }

    /// Whether it belongs to this transaction and epoch.
    pub(super) fn belongs_to(&self, id: TxnId, epoch: u32) -> bool {
        self.txn.id == id && self.txn.epoch == epoch
    }

    /// Where it stands.
    pub fn timestamp(&self) -> Timestamp {
        self.txn.write_timestamp
    }
}

/// Moves through the intents beside a scan. Nothing is opened when they are known to be absent.
pub(super) struct IntentCursor<'a> {
    cursor: Option<Box<dyn Cursor + 'a>>,
    reverse: bool,
}

impl<'a> IntentCursor<'a> {
    /// Stands at the first intent of the span (the last one when `reverse`).
    pub(super) fn open(
        reader: &'a dyn Reader,
        span: &Span,
        view: &ReadView,
        reverse: bool,
    ) -> Result<IntentCursor<'a>, StorageError> {
        if view.intents_absent {
            return Ok(IntentCursor { cursor: None, reverse });
        }
        let mut cursor = reader.cursor(Keyspace::Intents, CursorOptions::span(span))?;
        let found = if reverse { cursor.seek_last()? } else { cursor.seek_first()? };
        Ok(IntentCursor { cursor: found.then_some(cursor), reverse })
    }

    /// The key of the intent at the position; `None` when there are no more.
    #[inline]
    pub(super) fn key(&self) -> Option<&[u8]> {
        self.cursor.as_ref().map(|cursor| cursor.key())
    }

    /// Whether there are no more.
    #[inline]
    pub(super) fn is_exhausted(&self) -> bool {
        self.cursor.is_none()
    }

    /// The size of the stored intent at the position.
    pub(super) fn value_size(&self) -> usize {
        self.cursor.as_ref().map_or(0, |cursor| cursor.value().len())
    }

    /// Takes the intent at the position and moves on.
    pub(super) fn take(&mut self) -> Result<(Vec<u8>, Intent), StorageError> {
        let cursor = self.cursor.as_mut().expect("take is called at an intent");
        let taken = (cursor.key().to_vec(), Intent::decode(cursor.value())?);
        let found = if self.reverse { cursor.previous()? } else { cursor.next()? };
        if !found {
            self.cursor = None;
        }
        Ok(taken)
    }

    /// Moves forward to the first intent at or above `key`.
    pub(super) fn advance_to(&mut self, key: &[u8]) -> Result<(), StorageError> {
        if let Some(cursor) = &mut self.cursor
            && cursor.key() < key
            && !cursor.seek(key)?
        {
            self.cursor = None;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Operation;
    use kvapi::{Isolation, Priority};
    use proptest::prelude::*;

    fn meta() -> TxnMeta {
        TxnMeta {
            id: TxnId(7),
            anchor: Some(Key::from("k")),
            epoch: 1,
            sequence: 2,
            isolation: Isolation::Snapshot,
            priority: Priority::NORMAL,
            start: Timestamp::new(3, 0),
            write_timestamp: Timestamp::new(4, 5),
        }
    }

    fn stored(value: Option<&[u8]>) -> Vec<u8> {
        let mut batch = WriteBatch::new();
        let size = Intent::put(&mut batch, b"key", &meta(), value);
        match batch.iter().next() {
            Some(Operation::Put(Keyspace::Intents, b"key", stored)) => {
                assert_eq!(size, 3 + stored.len());
                stored.to_vec()
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_stored_decodes() {
        for value in [None, Some(&b""[..]), Some(b"value")] {
            let intent = Intent { txn: meta(), value: value.map(<[u8]>::to_vec) };
            assert_eq!(Intent::decode(&stored(value)), Ok(intent));
        }
    }

    /// These bytes are on disks. A change here is a change of format.
    #[test]
    fn frozen_bytes() {
        let mut encoded_meta = Vec::new();
        meta().encode(&mut encoded_meta);
        let size = encoded_meta.len() as u8;
        assert_eq!(stored(Some(b"v")), [&[1, 0, 0, 0, 0, size][..], &encoded_meta, b"v"].concat());
        assert_eq!(stored(None), [&[1, 1, 0, 0, 0, size][..], &encoded_meta].concat());
        let mut unknown = stored(None);
        unknown[0] = 2;
        assert!(Intent::decode(&unknown).is_err());
        let deletion_with_payload = [stored(None), b"x".to_vec()].concat();
        assert!(Intent::decode(&deletion_with_payload).is_err());
    }

    proptest! {
        #[test]
        fn damaged_bytes_are_refused_or_read_but_never_panic(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut bytes = stored(Some(b"value"));
            let position = at.index(bytes.len());
            bytes[position] = byte;
            let _ = Intent::decode(&bytes);
            let _ = Intent::decode(&bytes[..position]);
        }
    }
}
