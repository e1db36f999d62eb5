//! [`WriteBatch`]: writes that happen together, as bytes.
//!
//! A batch is the unit of atomicity of an engine and what a Raft entry carries from the leaseholder that evaluated a
//! request to the replicas that apply it. It is therefore built directly in the form in which it is replicated: one
//! growing buffer, no allocation per operation, nothing to serialise at the end.
//!
//! # Format, version 1
//!
//! ```text
//! batch  := version:u8 = 1, count:u32 (big-endian), operation*
//! operation := head:u8 = kind << 4 | keyspace
//!   kind 1  put            key, value
//!   kind 2  delete         key
//!   kind 3  delete range   start, end
//! key, value, start, end := length (LEB128), bytes
//! ```

use std::fmt;

use bytes::Bytes;
use keys::Span;
use stdx::Escaped;

use crate::{Keyspace, Misuse, Side, StorageError};

const VERSION: u8 = 1;
const HEADER_SIZE: usize = 5;
const KIND_PUT: u8 = 1;
const KIND_DELETE: u8 = 2;
const KIND_DELETE_RANGE: u8 = 3;

/// Writes that happen together, in order.
///
/// - The buffer always is a complete batch in the format of the module documentation.
/// - `count` is the number of operations in the buffer, and `sides` says which sides they touch.
#[derive(Clone, PartialEq, Eq)]
pub struct WriteBatch {
    buffer: Vec<u8>,
    count: u32,
    sides: Sides,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Sides {
    state: bool,
    log: bool,
}

/// One operation of a batch.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Operation<'a> {
    /// Sets the value of a key.
    Put(Keyspace, &'a [u8], &'a [u8]),
    /// Removes a key. It is no error if there is none.
    Delete(Keyspace, &'a [u8]),
    /// Removes all keys from the first (included) to the second (excluded).
    DeleteRange(Keyspace, &'a [u8], &'a [u8]),
}

impl Operation<'_> {
    /// Where it writes.
    pub fn keyspace(&self) -> Keyspace {
        match self {
            Operation::Put(keyspace, ..)
            | Operation::Delete(keyspace, ..)
            | Operation::DeleteRange(keyspace, ..) => *keyspace,
        }
    }
}

impl Default for WriteBatch {
    fn default() -> WriteBatch {
        WriteBatch::new()
    }
}

impl WriteBatch {
    /// An empty batch.
    pub fn new() -> WriteBatch {
        WriteBatch::with_capacity(0)
    }

    /// An empty batch with room for this many bytes of operations.
    pub fn with_capacity(bytes: usize) -> WriteBatch {
        let mut buffer = Vec::with_capacity(HEADER_SIZE + bytes);
        buffer.extend_from_slice(&[VERSION, 0, 0, 0, 0]);
        WriteBatch { buffer, count: 0, sides: Sides::default() }
    }

    /// Sets the value of a key.
    pub fn put(&mut self, keyspace: Keyspace, key: &[u8], value: &[u8]) {
        self.put_parts(keyspace, &[key], &[value]);
    }

    /// Sets the value of a key, both given in parts, which saves putting them together first.
    pub fn put_parts(&mut self, keyspace: Keyspace, key: &[&[u8]], value: &[&[u8]]) {
        self.start(KIND_PUT, keyspace);
        put_parts(&mut self.buffer, key);
        put_parts(&mut self.buffer, value);
    }

    /// Removes a key. It is no error if there is none.
    pub fn delete(&mut self, keyspace: Keyspace, key: &[u8]) {
        self.start(KIND_DELETE, keyspace);
        put_parts(&mut self.buffer, &[key]);
    }

    /// Removes all keys of a span. Cheap to write, and not so cheap for readers until compacted: not for everyday use.
    pub fn delete_range(&mut self, keyspace: Keyspace, span: &Span) {
        if span.is_empty() {
            return;
        }
        self.start(KIND_DELETE_RANGE, keyspace);
        put_parts(&mut self.buffer, &[&span.start]);
        put_parts(&mut self.buffer, &[&span.end]);
    }

    /// Appends all operations of another batch.
    pub fn append(&mut self, other: &WriteBatch) {
        self.buffer.extend_from_slice(&other.buffer[HEADER_SIZE..]);
        self.set_count(
            self.count.checked_add(other.count).expect("a batch has far fewer than 2^32 operations"),
        );
        self.sides.state |= other.sides.state;
        self.sides.log |= other.sides.log;
    }

    /// Removes all operations and keeps the memory.
    pub fn clear(&mut self) {
        self.buffer.truncate(HEADER_SIZE);
        self.set_count(0);
        self.sides = Sides::default();
    }

    /// The number of operations.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The size of the encoded batch.
    pub fn byte_size(&self) -> usize {
        self.buffer.len()
    }

    /// The encoded batch: what is replicated.
    pub fn as_bytes(&self) -> &[u8] {
        &self.buffer
    }

    /// Gives the batch up for its encoded form, without copying.
    pub fn into_bytes(self) -> Bytes {
        Bytes::from(self.buffer)
    }

    /// Takes an encoded batch back. All of it is verified, so that iterating over it cannot fail.
    pub fn decode(bytes: impl Into<Vec<u8>>) -> Result<WriteBatch, StorageError> {
        let buffer = bytes.into();
        let (count, sides) = verify(&buffer).ok_or_else(|| {
            StorageError::corruption(format!("a write batch of {} bytes is malformed", buffer.len()))
        })?;
        Ok(WriteBatch { buffer, count, sides })
    }

    /// Appends all operations of an encoded batch, as a replica does that applies many entries in one write.
    pub fn append_encoded(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        let (count, sides) = verify(bytes).ok_or_else(|| {
            StorageError::corruption(format!("a write batch of {} bytes is malformed", bytes.len()))
        })?;
        self.buffer.extend_from_slice(&bytes[HEADER_SIZE..]);
        self.set_count(self.count.checked_add(count).expect("a batch has far fewer than 2^32 operations"));
        self.sides.state |= sides.state;
        self.sides.log |= sides.log;
        Ok(())
    }

    /// The operations in order.
    pub fn iter(&self) -> Operations<'_> {
        Operations { rest: &self.buffer[HEADER_SIZE..] }
    }

    /// Which side all operations are on; `None` for an empty batch.
    pub fn side(&self) -> Result<Option<Side>, StorageError> {
        match (self.sides.state, self.sides.log) {
            (true, true) => Err(StorageError::Misuse(Misuse::MixedSides)),
            (true, false) => Ok(Some(Side::State)),
            (false, true) => Ok(Some(Side::Log)),
            (false, false) => Ok(None),
        }
    }

    fn start(&mut self, kind: u8, keyspace: Keyspace) {
        self.buffer.push(kind << 4 | keyspace as u8);
        self.set_count(self.count.checked_add(1).expect("a batch has far fewer than 2^32 operations"));
        self.sides.add(keyspace);
    }

    fn set_count(&mut self, count: u32) {
        self.count = count;
        self.buffer[1..HEADER_SIZE].copy_from_slice(&count.to_be_bytes());
    }
}

impl Sides {
    fn add(&mut self, keyspace: Keyspace) {
        match keyspace.side() {
            Side::State => self.state = true,
            Side::Log => self.log = true,
        }
    }
}

fn put_parts(out: &mut Vec<u8>, parts: &[&[u8]]) {
    let mut length = parts.iter().map(|part| part.len()).sum::<usize>();
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    for part in parts {
        out.extend_from_slice(part);
    }
}

/// The number of operations and their sides, if the bytes are a batch.
fn verify(bytes: &[u8]) -> Option<(u32, Sides)> {
    let header: [u8; HEADER_SIZE] = bytes.get(..HEADER_SIZE)?.try_into().ok()?;
    if header[0] != VERSION {
        return None;
    }
    let expected = u32::from_be_bytes([header[1], header[2], header[3], header[4]]);
    let mut rest = &bytes[HEADER_SIZE..];
    let mut count = 0u32;
    let mut sides = Sides::default();
    while !rest.is_empty() {
        sides.add(take_operation(&mut rest)?.keyspace());
        count += 1;
    }
    (count == expected).then_some((count, sides))
}

fn take_operation<'a>(rest: &mut &'a [u8]) -> Option<Operation<'a>> {
    let (&head, tail) = rest.split_first()?;
    *rest = tail;
    let keyspace = Keyspace::from_code(head & 0x0f)?;
    let key = take_bytes(rest)?;
    match head >> 4 {
        KIND_PUT => Some(Operation::Put(keyspace, key, take_bytes(rest)?)),
        KIND_DELETE => Some(Operation::Delete(keyspace, key)),
        KIND_DELETE_RANGE => Some(Operation::DeleteRange(keyspace, key, take_bytes(rest)?)),
        _ => None,
    }
}

fn take_bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let mut length = 0usize;
    // Four groups of seven bits: up to 256 MiB, far above any key or value.
    for shift in [0, 7, 14, 21] {
        let (&byte, tail) = rest.split_first()?;
        *rest = tail;
        length |= ((byte & 0x7f) as usize) << shift;
        if byte & 0x80 == 0 {
            let (taken, tail) = rest.split_at_checked(length)?;
            *rest = tail;
            return Some(taken);
        }
    }
    None
}

/// The operations of a batch, in order.
pub struct Operations<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Operations<'a> {
    type Item = Operation<'a>;

    fn next(&mut self) -> Option<Operation<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        Some(take_operation(&mut self.rest).expect("a batch was built or verified"))
    }
}

impl fmt::Debug for Operation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Operation::Put(keyspace, key, value) => {
                write!(f, "put {keyspace} {}={}", Escaped(key), Escaped(value))
            }
            Operation::Delete(keyspace, key) => write!(f, "delete {keyspace} {}", Escaped(key)),
            Operation::DeleteRange(keyspace, start, end) => {
                write!(f, "clear {keyspace} [{}, {})", Escaped(start), Escaped(end))
            }
        }
    }
}

impl fmt::Debug for WriteBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_batch() -> impl Strategy<Value = WriteBatch> {
        let bytes = || {
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..20),
                prop::collection::vec(any::<u8>(), 120..300)
            ]
        };
        let operation = (0u8..3, 0usize..Keyspace::COUNT, bytes(), bytes());
        prop::collection::vec(operation, 0..12).prop_map(|operations| {
            let mut batch = WriteBatch::new();
            for (kind, keyspace, first, second) in operations {
                let keyspace = Keyspace::ALL[keyspace];
                match kind {
                    0 => batch.put(keyspace, &first, &second),
                    1 => batch.delete(keyspace, &first),
                    _ => batch.delete_range(keyspace, &Span::new(first, second)),
                }
            }
            batch
        })
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_the_same(batch in any_batch(), other in any_batch()) {
            let decoded = WriteBatch::decode(batch.as_bytes()).expect("a batch decodes");
            prop_assert_eq!(&decoded, &batch);
            prop_assert_eq!(decoded.iter().count(), batch.len());
            let mut joined = batch.clone();
            joined.append(&other);
            let mut joined_encoded = batch.clone();
            joined_encoded.append_encoded(other.as_bytes()).expect("a batch decodes");
            prop_assert_eq!(&joined, &joined_encoded);
            prop_assert_eq!(joined.iter().collect::<Vec<_>>(), batch.iter().chain(other.iter()).collect::<Vec<_>>());
            prop_assert_eq!(WriteBatch::decode(joined.as_bytes()).expect("a batch decodes"), joined);
        }

        #[test]
        fn damaged_bytes_are_refused_or_read_but_never_panic(
            batch in any_batch(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = batch.as_bytes().to_vec();
            let position = at.index(bytes.len());
            bytes[position] = byte;
            if let Ok(read) = WriteBatch::decode(bytes) {
                prop_assert_eq!(read.iter().count(), read.len());
            }
            let cut = cut.index(batch.byte_size());
            prop_assert!(WriteBatch::decode(&batch.as_bytes()[..cut]).is_err());
        }
    }

    #[test]
    fn frozen_bytes() {
        let mut batch = WriteBatch::new();
        batch.put_parts(Keyspace::Current, &[b"a", b"b"], &[b"", b"v"]);
        batch.delete(Keyspace::Intents, b"a");
        batch.delete_range(Keyspace::History, &Span::new("a", "c"));
        batch.delete_range(Keyspace::History, &Span::new("c", "c"));
        let expected = [&[1, 0, 0, 0, 3][..], b"\x11\x02ab\x01v", b"\x23\x01a", b"\x32\x01a\x01c"].concat();
        assert_eq!(batch.as_bytes(), expected);
        let mut long = WriteBatch::new();
        long.put(Keyspace::RaftLog, &[7; 300], b"");
        assert_eq!(&long.as_bytes()[..9], [1, 0, 0, 0, 1, 0x15, 0xac, 0x02, 7]);
    }

    #[test]
    fn sides_are_told_apart() {
        let mut batch = WriteBatch::new();
        assert_eq!(batch.side(), Ok(None));
        batch.put(Keyspace::RaftLog, b"k", b"v");
        assert_eq!(batch.side(), Ok(Some(Side::Log)));
        batch.put(Keyspace::RangeLocal, b"k", b"v");
        assert_eq!(batch.side(), Err(StorageError::Misuse(Misuse::MixedSides)));
        batch.clear();
        assert_eq!(batch, WriteBatch::new());
    }
}
