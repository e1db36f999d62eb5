//! [`Key`]: an owned, cheaply cloned byte string.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;

use bytes::Bytes;

/// A key: bytes, compared as bytes.
///
/// Backed by `bytes::Bytes` and not by `Vec<u8>`, because on the way of a request the same key is held at the
/// same time by the request, the latch table, the lock table, the timestamp cache and the write buffer: a
/// clone counts a reference up, and a key cut out of a received message or of a scanned block shares its
/// buffer. Where a key is only looked at, pass `&[u8]`; `Key` dereferences to it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Key(Bytes);

impl Key {
    /// The lower bound of the keyspace.
    pub const MIN: Key = Key(Bytes::from_static(b""));
    /// The upper bound of the addressed keyspace: above every key that holds a value.
    pub const MAX: Key = Key(Bytes::from_static(&[crate::prefix::MAX]));

    /// Wraps a buffer without copying it.
    pub const fn from_bytes(bytes: Bytes) -> Key {
        Key(bytes)
    }

    /// Wraps bytes that live as long as the program, without copying them.
    pub const fn from_static(bytes: &'static [u8]) -> Key {
        Key(Bytes::from_static(bytes))
    }

    /// Copies a slice into a new key.
    pub fn copy_from(slice: &[u8]) -> Key {
        Key(Bytes::copy_from_slice(slice))
    }

    /// The bytes of the key.
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }

    /// The underlying shared buffer.
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// Gives up the key for its buffer.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    /// The smallest key that is greater than this one: a zero byte appended.
    pub fn next(&self) -> Key {
        let mut bytes = Vec::with_capacity(self.0.len() + 1);
        bytes.extend_from_slice(&self.0);
        bytes.push(0);
        Key::from(bytes)
    }

    /// The smallest key that is greater than every key that starts with this one; [`Key::MAX`] if there is none.
    pub fn prefix_end(&self) -> Key {
        prefix_end(&self.0)
    }
}

/// The smallest key that is greater than every key with the given prefix; [`Key::MAX`] if there is none.
pub(crate) fn prefix_end(prefix: &[u8]) -> Key {
    match prefix.iter().rposition(|&byte| byte != 0xff) {
        None => Key::MAX,
        Some(last) => {
            let mut bytes = prefix[..=last].to_vec();
            bytes[last] += 1;
            Key::from(bytes)
        }
    }
}

impl Deref for Key {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Key {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Key {
    fn from(bytes: Vec<u8>) -> Key {
        Key(Bytes::from(bytes))
    }
}

impl From<&[u8]> for Key {
    fn from(slice: &[u8]) -> Key {
        Key::copy_from(slice)
    }
}

impl From<&str> for Key {
    fn from(text: &str) -> Key {
        Key::copy_from(text.as_bytes())
    }
}

impl From<Bytes> for Key {
    fn from(bytes: Bytes) -> Key {
        Key(bytes)
    }
}

impl From<Key> for Bytes {
    fn from(key: Key) -> Bytes {
        key.0
    }
}

impl PartialEq<[u8]> for Key {
    fn eq(&self, other: &[u8]) -> bool {
        self.0 == other
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::print::write_key(f, &self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::print::write_key(f, &self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_is_the_immediate_successor() {
        let key = Key::from("ab");
        assert!(key < key.next());
        assert_eq!(key.next().as_slice(), b"ab\0");
        assert!(key.next() < Key::from("ab\u{1}"));
    }

    #[test]
    fn prefix_end_carries_over_trailing_maximum_bytes() {
        assert_eq!(Key::from(vec![1, 0xff, 0xff]).prefix_end().as_slice(), &[2]);
        assert_eq!(Key::from(vec![1, 2]).prefix_end().as_slice(), &[1, 3]);
        assert_eq!(Key::from(vec![0xff]).prefix_end(), Key::MAX);
        assert_eq!(Key::MIN.prefix_end(), Key::MAX);
    }
}
