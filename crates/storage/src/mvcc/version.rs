//! The stored form of versions.
//!
//! # Format, version 1
//!
//! ```text
//! value in Current and in History := flags:u8, wall:u64, [logical:u32,] payload
//!   flags bit 0: a deletion (no payload)     bit 1: logical follows (else it is 0)     other bits: 0
//! key in Current and in Intents   := key
//! key in History                  := key escaped and terminated, timestamp inverted (12 bytes)
//! ```
//!
//! Numbers are big-endian. The key is escaped in `History` because what follows would otherwise mix with longer keys that
//! begin with it. A version moves from `Current` to `History` as it is, without being encoded anew.

use clock::Timestamp;
use keys::encoding::{Decoder, put_bytes_terminated};
use keys::{Key, Span};

use crate::StorageError;

const FLAG_DELETION: u8 = 1;
const FLAG_LOGICAL: u8 = 2;
const HEADER_SIZE_MAX: usize = 13;

/// A version as stored in `Current` or `History`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version<'a> {
    /// When it was committed.
    pub timestamp: Timestamp,
    /// The value; `None` if it is a deletion.
    pub value: Option<&'a [u8]>,
}

impl<'a> Version<'a> {
    /// Reads a stored version.
    #[inline]
    pub fn decode(stored: &'a [u8]) -> Result<Version<'a>, StorageError> {
        // The common case first: a value, no logical part.
        if let Some((header, payload)) = stored.split_first_chunk::<9>()
            && header[0] == 0
        {
            let wall = u64::from_be_bytes(header[1..].try_into().expect("8 of 9 bytes"));
            return Ok(Version { timestamp: Timestamp { wall, logical: 0 }, value: Some(payload) });
        }
        decode_uncommon(stored)
            .ok_or_else(|| StorageError::corruption("a stored version has a malformed header"))
    }

    /// The size of the stored form.
    pub fn stored_size(&self) -> usize {
        Header::new(self.timestamp, self.value.is_none()).as_slice().len() + self.value.map_or(0, <[u8]>::len)
    }
}

fn decode_uncommon(stored: &[u8]) -> Option<Version<'_>> {
    let (&flags, rest) = stored.split_first()?;
    if flags & !(FLAG_DELETION | FLAG_LOGICAL) != 0 {
        return None;
    }
    let (wall, mut rest) = rest.split_first_chunk::<8>()?;
    let mut timestamp = Timestamp { wall: u64::from_be_bytes(*wall), logical: 0 };
    if flags & FLAG_LOGICAL != 0 {
        let (logical, after) = rest.split_first_chunk::<4>()?;
        timestamp.logical = u32::from_be_bytes(*logical);
        rest = after;
    }
    if flags & FLAG_DELETION != 0 {
        return rest.is_empty().then_some(Version { timestamp, value: None });
    }
    Some(Version { timestamp, value: Some(rest) })
}

/// The bytes before the payload of a version.
pub(crate) struct Header {
    bytes: [u8; HEADER_SIZE_MAX],
    size: usize,
}

impl Header {
    pub(crate) fn new(timestamp: Timestamp, deletion: bool) -> Header {
        let mut bytes = [0; HEADER_SIZE_MAX];
        bytes[0] = if deletion { FLAG_DELETION } else { 0 };
        bytes[1..9].copy_from_slice(&timestamp.wall.to_be_bytes());
        let mut size = 9;
        if timestamp.logical != 0 {
            bytes[0] |= FLAG_LOGICAL;
            bytes[9..].copy_from_slice(&timestamp.logical.to_be_bytes());
            size = HEADER_SIZE_MAX;
        }
        Header { bytes, size }
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.size]
    }
}

/// Where the version of a key at a timestamp is kept in `History`.
pub fn history_key(key: &[u8], timestamp: Timestamp) -> Vec<u8> {
    let mut out = Vec::with_capacity(key.len() + 2 + Timestamp::ENCODED_SIZE + 4);
    put_history_key(&mut out, key, timestamp);
    out
}

pub(crate) fn put_history_key(out: &mut Vec<u8>, key: &[u8], timestamp: Timestamp) {
    put_bytes_terminated(out, key);
    out.extend_from_slice(&timestamp.to_bytes_descending());
}

/// Takes a key of `History` apart.
pub fn parse_history_key(stored: &[u8]) -> Result<(Key, Timestamp), StorageError> {
    let malformed = |_| StorageError::corruption("a key of the history is malformed");
    let mut decoder = Decoder::new(stored);
    let key = decoder.take_bytes_terminated().map_err(malformed)?;
    let timestamp = decoder.take(Timestamp::ENCODED_SIZE).map_err(malformed)?;
    decoder.finish().map_err(malformed)?;
    let timestamp = timestamp.try_into().expect("take returns the number of bytes asked for");
    Ok((Key::from(key), Timestamp::from_bytes_descending(timestamp)))
}

/// All of `History` that belongs to the keys of a span.
pub(crate) fn history_span(span: &Span) -> Span {
    let bound = |key: &Key| {
        let mut out = Vec::with_capacity(key.len() + 4);
        put_bytes_terminated(&mut out, key);
        Key::from(out)
    };
    Span { start: bound(&span.start), end: bound(&span.end) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_timestamp() -> impl Strategy<Value = Timestamp> {
        (any::<u64>(), prop_oneof![Just(0u32), any::<u32>()])
            .prop_map(|(wall, logical)| Timestamp { wall, logical })
    }

    fn any_key() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop_oneof![Just(0u8), Just(1), Just(0xff), any::<u8>()], 0..6)
    }

    fn encode(timestamp: Timestamp, value: Option<&[u8]>) -> Vec<u8> {
        [Header::new(timestamp, value.is_none()).as_slice(), value.unwrap_or_default()].concat()
    }

    proptest! {
        #[test]
        fn versions_decode(timestamp in any_timestamp(), value in prop::option::of(any_key())) {
            let stored = encode(timestamp, value.as_deref());
            let version = Version::decode(&stored).expect("decodes");
            prop_assert_eq!(version, Version { timestamp, value: value.as_deref() });
            prop_assert_eq!(version.stored_size(), stored.len());
        }

        #[test]
        fn any_bytes_decode_or_fail(bytes in any_key()) {
            let _ = Version::decode(&bytes);
            let _ = parse_history_key(&bytes);
        }

        #[test]
        fn history_sorts_by_key_and_newest_first(
            a in (any_key(), any_timestamp()), b in (any_key(), any_timestamp()),
        ) {
            let order = a.0.cmp(&b.0).then(b.1.cmp(&a.1));
            let stored = [history_key(&a.0, a.1), history_key(&b.0, b.1)];
            prop_assert_eq!(stored[0].cmp(&stored[1]), order);
            prop_assert_eq!(parse_history_key(&stored[0]).expect("parses"), (Key::from(a.0), a.1));
        }
    }

    /// These bytes are on disks. A change here is a change of format.
    #[test]
    fn frozen_bytes() {
        assert_eq!(encode(Timestamp::new(1, 0), Some(b"v")), [0, 0, 0, 0, 0, 0, 0, 0, 1, b'v']);
        assert_eq!(encode(Timestamp::new(1, 2), Some(b"")), [2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2]);
        assert_eq!(encode(Timestamp::new(1, 0), None), [1, 0, 0, 0, 0, 0, 0, 0, 1]);
        let expected = [&b"a\x00\xff\x00\x01"[..], &[0xff; 7], &[0xfe], &[0xff, 0xff, 0xff, 0xfd]].concat();
        assert_eq!(history_key(b"a\0", Timestamp::new(1, 2)), expected);
        assert!(Version::decode(&[4, 0, 0, 0, 0, 0, 0, 0, 1]).is_err(), "an unknown flag");
        assert!(Version::decode(&[1, 0, 0, 0, 0, 0, 0, 0, 1, b'v']).is_err(), "a deletion with a payload");
        assert!(Version::decode(&[0, 0, 0]).is_err());
    }
}
