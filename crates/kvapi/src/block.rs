//! Packed rows: what a read returns and what a commit carries, in one buffer without an allocation per row.
//!
//! A row's key bytes are followed at once by its value bytes, rows follow one another, and a side table of
//! two 32-bit ends per row finds them:
//!
//! ```text
//! bytes: | key 0 | value 0 | key 1 | key 2 | value 2 | ...
//! ends:  (key end, value end) of each row; the key begins where the row before ended
//! ```
//!
//! An absent row (asked for by key and not there) has its key and no value; the top bit of its key end says
//! so, which bounds a block to 2 GiB. Blocks are cut long before that.

use clock::Timestamp;
use stdx::Escaped;

use std::fmt;

use crate::wire::{Malformed, Reader, Writer};

const ABSENT: u32 = 1 << 31;
/// No block holds more bytes than this.
pub const BLOCK_BYTES_MAX: usize = (1 << 31) - 1;

/// Rows of keys and values, in the order in which they were pushed.
///
/// - Row ends never decrease, and the last is the length of the buffer.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct KvBlock {
    bytes: Vec<u8>,
    ends: Vec<(u32, u32)>,
}

/// One row of a block. `value` is `None` for a key that was asked for and has no value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Row<'a> {
    pub key: &'a [u8],
    pub value: Option<&'a [u8]>,
}

impl KvBlock {
    pub fn new() -> KvBlock {
        KvBlock::default()
    }

    pub fn with_capacity(rows: usize, bytes: usize) -> KvBlock {
        KvBlock { bytes: Vec::with_capacity(bytes), ends: Vec::with_capacity(rows) }
    }

    pub fn push(&mut self, key: &[u8], value: &[u8]) {
        self.push_with(key, |bytes| bytes.extend_from_slice(value));
    }

    /// Appends a row whose value is written in place by `value`, which may only append.
    pub fn push_with(&mut self, key: &[u8], value: impl FnOnce(&mut Vec<u8>)) {
        self.bytes.extend_from_slice(key);
        let key_end = self.bytes.len();
        value(&mut self.bytes);
        assert!(
            key_end <= self.bytes.len() && self.bytes.len() <= BLOCK_BYTES_MAX,
            "a block grows, within its bound"
        );
        self.ends.push((key_end as u32, self.bytes.len() as u32));
    }

    pub fn push_absent(&mut self, key: &[u8]) {
        self.bytes.extend_from_slice(key);
        assert!(self.bytes.len() <= BLOCK_BYTES_MAX, "a block stays within its bound");
        let end = self.bytes.len() as u32;
        self.ends.push((end | ABSENT, end));
    }

    pub fn push_row(&mut self, row: Row<'_>) {
        match row.value {
            Some(value) => self.push(row.key, value),
            None => self.push_absent(row.key),
        }
    }

    /// How many rows there are, absent ones included.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of all keys and values.
    pub fn byte_size(&self) -> usize {
        self.bytes.len()
    }

    /// Panics beyond the last row.
    #[inline]
    pub fn row(&self, index: usize) -> Row<'_> {
        let start = if index == 0 { 0 } else { self.ends[index - 1].1 as usize };
        let (key_end, value_end) = self.ends[index];
        let key = &self.bytes[start..(key_end & !ABSENT) as usize];
        let value = if key_end & ABSENT != 0 {
            None
        } else {
            Some(&self.bytes[key_end as usize..value_end as usize])
        };
        Row { key, value }
    }

    #[inline]
    pub fn key(&self, index: usize) -> &[u8] {
        self.row(index).key
    }

    #[inline]
    pub fn value(&self, index: usize) -> Option<&[u8]> {
        self.row(index).value
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = Row<'_>> + DoubleEndedIterator + '_ {
        (0..self.len()).map(|index| self.row(index))
    }

    pub fn last(&self) -> Option<Row<'_>> {
        self.len().checked_sub(1).map(|index| self.row(index))
    }

    /// Takes the last row away.
    pub fn pop(&mut self) {
        if self.ends.pop().is_some() {
            self.bytes.truncate(self.ends.last().map_or(0, |(_, end)| *end as usize));
        }
    }

    /// Keeps the first `rows` rows.
    pub fn truncate(&mut self, rows: usize) {
        self.ends.truncate(rows);
        self.bytes.truncate(self.ends.last().map_or(0, |(_, end)| *end as usize));
    }

    /// Empties the block and keeps its memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Appends all rows of `other`.
    pub fn append(&mut self, other: &KvBlock) {
        if self.is_empty() && self.bytes.capacity() < other.bytes.len() {
            *self = other.clone();
            return;
        }
        for row in other.iter() {
            self.push_row(row);
        }
    }

    /// Appends the form in which it travels: buffer and side table as they are.
    pub(crate) fn encode(&self, to: &mut Writer<'_>) {
        to.bytes(&self.bytes);
        to.count(self.ends.len());
        for (key_end, value_end) in &self.ends {
            to.u32(*key_end);
            to.u32(*value_end);
        }
    }

    pub(crate) fn decode(from: &mut Reader<'_>) -> Result<KvBlock, Malformed> {
        let bytes = from.bytes()?.to_vec();
        let count = from.count()?;
        let mut table = Reader(from.take(count.checked_mul(8).ok_or(Malformed("rows"))?)?);
        let mut ends = Vec::with_capacity(count);
        let mut start = 0;
        for _ in 0..count {
            let (key_end, value_end) = (table.u32()?, table.u32()?);
            let absent_is_empty = key_end & ABSENT == 0 || key_end & !ABSENT == value_end;
            if start > key_end & !ABSENT || key_end & !ABSENT > value_end || !absent_is_empty {
                return Err(Malformed("row ends"));
            }
            start = value_end;
            ends.push((key_end, value_end));
        }
        if start as usize != bytes.len() || bytes.len() > BLOCK_BYTES_MAX {
            return Err(Malformed("row ends"));
        }
        Ok(KvBlock { bytes, ends })
    }
}

impl fmt::Debug for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value {
            Some(value) => write!(f, "{}={}", Escaped(self.key), Escaped(value)),
            None => write!(f, "{}=<absent>", Escaped(self.key)),
        }
    }
}

impl fmt::Debug for KvBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Keys in the order in which they were pushed, packed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct KeyBlock {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl KeyBlock {
    pub fn new() -> KeyBlock {
        KeyBlock::default()
    }

    pub fn with_capacity(keys: usize, bytes: usize) -> KeyBlock {
        KeyBlock { bytes: Vec::with_capacity(bytes), ends: Vec::with_capacity(keys) }
    }

    pub fn push(&mut self, key: &[u8]) {
        self.push_with(|bytes| bytes.extend_from_slice(key));
    }

    /// Appends a key written in place by `key`, which may only append.
    pub fn push_with(&mut self, key: impl FnOnce(&mut Vec<u8>)) {
        key(&mut self.bytes);
        assert!(self.bytes.len() <= BLOCK_BYTES_MAX, "a block stays within its bound");
        self.ends.push(self.bytes.len() as u32);
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub fn byte_size(&self) -> usize {
        self.bytes.len()
    }

    #[inline]
    pub fn key(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        &self.bytes[start..self.ends[index] as usize]
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> + DoubleEndedIterator + '_ {
        (0..self.len()).map(|index| self.key(index))
    }

    /// Whether each key is above the one before.
    pub fn is_strictly_ascending(&self) -> bool {
        (1..self.len()).all(|index| self.key(index - 1) < self.key(index))
    }

    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    pub(crate) fn encode(&self, to: &mut Writer<'_>) {
        to.bytes(&self.bytes);
        to.count(self.ends.len());
        self.ends.iter().for_each(|end| to.u32(*end));
    }

    pub(crate) fn decode(from: &mut Reader<'_>) -> Result<KeyBlock, Malformed> {
        let bytes = from.bytes()?.to_vec();
        let count = from.count()?;
        let mut table = Reader(from.take(count.checked_mul(4).ok_or(Malformed("keys"))?)?);
        let mut ends: Vec<u32> = Vec::with_capacity(count);
        for _ in 0..count {
            let end = table.u32()?;
            if ends.last().is_some_and(|last| *last > end) {
                return Err(Malformed("key ends"));
            }
            ends.push(end);
        }
        if ends.last().map_or(0, |last| *last as usize) != bytes.len() || bytes.len() > BLOCK_BYTES_MAX {
            return Err(Malformed("key ends"));
        }
        Ok(KeyBlock { bytes, ends })
    }
}

impl<'a> FromIterator<&'a [u8]> for KeyBlock {
    fn from_iter<I: IntoIterator<Item = &'a [u8]>>(keys: I) -> KeyBlock {
        let mut block = KeyBlock::new();
        for key in keys {
            block.push(key);
        }
        block
    }
}

impl fmt::Debug for KeyBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(Escaped)).finish()
    }
}

/// What must hold of a key's newest committed version for a write to it to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum WriteCheck {
    /// The row was not read. A newer version pushes the write above it (snapshot isolation refuses instead).
    #[default]
    None,
    /// The key must have no value, else [`crate::KvError::ConditionFailed`].
    MustNotExist,
    /// The row was read under a lock, or in a snapshot, at this timestamp: no version may be newer,
    /// else [`crate::KvError::Restart`].
    UnchangedSince(Timestamp),
}

/// One write of a block. `value` is `None` for a deletion.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct WriteEntry<'a> {
    pub key: &'a [u8],
    pub value: Option<&'a [u8]>,
    pub check: WriteCheck,
    pub sequence: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct WriteSlot {
    check: WriteCheck,
    sequence: u32,
}

/// Writes in key order, packed.
///
/// - Keys ascend strictly: one write per key.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct WriteBlock {
    rows: KvBlock,
    slots: Vec<WriteSlot>,
}

impl WriteBlock {
    pub fn new() -> WriteBlock {
        WriteBlock::default()
    }

    pub fn with_capacity(writes: usize, bytes: usize) -> WriteBlock {
        WriteBlock { rows: KvBlock::with_capacity(writes, bytes), slots: Vec::with_capacity(writes) }
    }

    /// Appends a write; its key must be above the last one's.
    pub fn push(&mut self, write: WriteEntry<'_>) {
        debug_assert!(
            self.rows.last().is_none_or(|last| last.key < write.key),
            "writes of a block ascend strictly"
        );
        self.rows.push_row(Row { key: write.key, value: write.value });
        self.slots.push(WriteSlot { check: write.check, sequence: write.sequence });
    }

    pub fn len(&self) -> usize {
        self.slots.len()
    }

    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    pub fn byte_size(&self) -> usize {
        self.rows.byte_size()
    }

    #[inline]
    pub fn entry(&self, index: usize) -> WriteEntry<'_> {
        let Row { key, value } = self.rows.row(index);
        let WriteSlot { check, sequence } = self.slots[index];
        WriteEntry { key, value, check, sequence }
    }

    #[inline]
    pub fn key(&self, index: usize) -> &[u8] {
        self.rows.key(index)
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = WriteEntry<'_>> + DoubleEndedIterator + '_ {
        (0..self.len()).map(|index| self.entry(index))
    }

    pub fn keys(&self) -> impl ExactSizeIterator<Item = &[u8]> + DoubleEndedIterator + '_ {
        (0..self.len()).map(|index| self.key(index))
    }

    /// The highest sequence of a write; 0 if there is none.
    pub fn last_sequence(&self) -> u32 {
        self.slots.iter().map(|slot| slot.sequence).max().unwrap_or_default()
    }

    /// The index of the first write at or above `key`.
    pub fn lower_bound(&self, key: &[u8]) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = (low + high) / 2;
            if self.key(middle) < key { low = middle + 1 } else { high = middle }
        }
        low
    }

    /// The writes of `range` (of indexes) as a block of their own.
    pub fn slice(&self, range: std::ops::Range<usize>) -> WriteBlock {
        let mut block = WriteBlock::with_capacity(range.len(), 0);
        for index in range {
            block.push(self.entry(index));
        }
        block
    }

    pub(crate) fn encode(&self, to: &mut Writer<'_>) {
        self.rows.encode(to);
        for WriteSlot { check, sequence } in &self.slots {
            to.u32(*sequence);
            match check {
                WriteCheck::None => to.u8(0),
                WriteCheck::MustNotExist => to.u8(1),
                WriteCheck::UnchangedSince(timestamp) => {
                    to.u8(2);
                    to.timestamp(*timestamp);
                }
            }
        }
    }

    pub(crate) fn decode(from: &mut Reader<'_>) -> Result<WriteBlock, Malformed> {
        let rows = KvBlock::decode(from)?;
        if (1..rows.len()).any(|index| rows.key(index - 1) >= rows.key(index)) {
            return Err(Malformed("order of writes"));
        }
        let mut slots = Vec::with_capacity(rows.len());
        for _ in 0..rows.len() {
            let sequence = from.u32()?;
            let check = match from.u8()? {
                0 => WriteCheck::None,
                1 => WriteCheck::MustNotExist,
                2 => WriteCheck::UnchangedSince(from.timestamp()?),
                _ => return Err(Malformed("write check")),
            };
            slots.push(WriteSlot { check, sequence });
        }
        Ok(WriteBlock { rows, slots })
    }
}

impl fmt::Debug for WriteBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = f.debug_list();
        for write in self.iter() {
            list.entry(&(Row { key: write.key, value: write.value }, write.check, write.sequence));
        }
        list.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_as_pushed_and_absent_differs_from_empty() {
        let mut block = KvBlock::new();
        block.push(b"a", b"1");
        block.push_absent(b"b");
        block.push(b"c", b"");
        block.push(b"", b"4");
        assert_eq!(block.row(0), Row { key: b"a", value: Some(b"1") });
        assert_eq!(block.row(1), Row { key: b"b", value: None });
        assert_eq!(block.row(2), Row { key: b"c", value: Some(b"") });
        assert_eq!(block.row(3), Row { key: b"", value: Some(b"4") });
        block.pop();
        assert_eq!(block.last().map(|row| row.key), Some(&b"c"[..]));
        block.truncate(1);
        block.push_absent(b"z");
        assert_eq!(format!("{block:?}"), "[a=1, z=<absent>]");
    }

    #[test]
    fn writes_are_found_by_key_and_sliced() {
        let mut block = WriteBlock::new();
        for (index, key) in [b"b", b"d", b"f"].iter().enumerate() {
            block.push(WriteEntry {
                key: *key,
                value: None,
                check: WriteCheck::MustNotExist,
                sequence: index as u32,
            });
        }
        let bounds: Vec<usize> =
            [b"a", b"b", b"c", b"f", b"g"].iter().map(|key| block.lower_bound(*key)).collect();
        assert_eq!(bounds, [0, 0, 1, 2, 3]);
        let tail = block.slice(1..3);
        assert_eq!(tail.keys().collect::<Vec<_>>(), [b"d", b"f"]);
        assert_eq!(tail.entry(1).sequence, 2);
        assert_eq!((block.last_sequence(), WriteBlock::new().last_sequence()), (2, 0));
    }
}
