//! Order-preserving encodings: for values `a < b` of one kind, `encode(a) < encode(b)` as bytes.
//!
//! # Two families
//!
//! *Plain* encodings (`put_u64`, `put_u64_varying`, `put_bytes_terminated`) are for keys whose structure is known
//! from the place: ids, log indexes, anchor keys.
//!
//! *Column* encodings (`put_int`, `put_bytes`, `put_f64` ...) are for the columns of a row key. Each begins with a
//! tag, so that they are self-describing (the key printer needs no schema) and so that NULL sorts below or above all
//! values at the cost of no extra byte for the values:
//!
//! ```text
//! first byte    ascending                          descending (the complement)
//! 0x00          NULL, when NULLs come first        0xff   NULL, when NULLs come last
//! 0x10..=0x17   integer, negative, 8..=1 bytes     0xe8..=0xef
//! 0x18..=0x5f   integer -8 ..= 63 in the tag       0xa0..=0xe7
//! 0x60..=0x67   integer, positive, 1..=8 bytes     0x98..=0x9f
//! 0x68          bytes                              0x97
//! 0x69          text                               0x96
//! 0x6a          64-bit float                       0x95
//! 0x6b          opaque, ordered by its bytes       0x94
//! 0x6c          128-bit fixed                      0x93
//! 0x6d / 0x6e   false / true                       0x92 / 0x91
//! ```
//!
//! # Prefix-freeness
//!
//! No encoded column is a proper prefix of another encoded column (fixed length after the tag, or terminated),
//! hence neither are two keys made of the same number of columns: a key is never inside the span of another one.
//!
//! # Bytes
//!
//! `0x00` is written as `0x00 0xff`, and the end as `0x00 0x01`. A shorter string therefore sorts before its extensions,
//! because `0x01` is below `0xff`, and below nothing else that may follow `0x00`. Descending is the complement of all that.

/// Why bytes could not be decoded as what they were expected to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The key ends in the middle of a value.
    #[error("the key ends in the middle of a value")]
    Truncated,
    /// A tag or an escape that no encoder writes.
    #[error("byte {0:#04x} is not valid at its place in the key")]
    Invalid(u8),
    /// Something follows where the key should end.
    #[error("{0} bytes follow the end of the key")]
    Trailing(usize),
    /// Text that is not UTF-8.
    #[error("text in a key is not UTF-8")]
    NotText,
}

/// Whether larger values sort after or before smaller ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Direction {
    /// Smaller values first.
    #[default]
    Ascending,
    /// Larger values first.
    Descending,
}

impl Direction {
    /// What every encoded byte is combined with by exclusive or.
    const fn mask(self) -> u8 {
        match self {
            Direction::Ascending => 0x00,
            Direction::Descending => 0xff,
        }
    }
}

const TAG_NULL_FIRST: u8 = 0x00;
const TAG_NULL_LAST: u8 = 0xff;
const TAG_INT_MIN: u8 = 0x10;
const TAG_INT_INLINE_MIN: u8 = 0x18;
const TAG_INT_INLINE_MAX: u8 = 0x5f;
const TAG_INT_MAX: u8 = 0x67;
const TAG_BYTES: u8 = 0x68;
const TAG_TEXT: u8 = 0x69;
const TAG_F64: u8 = 0x6a;
const TAG_OPAQUE: u8 = 0x6b;
const TAG_U128: u8 = 0x6c;
const TAG_FALSE: u8 = 0x6d;
const TAG_TRUE: u8 = 0x6e;

/// The smallest integer that is written in its tag alone.
const INLINE_MIN: i64 = -8;
/// The largest integer that is written in its tag alone.
const INLINE_MAX: i64 = INLINE_MIN + (TAG_INT_INLINE_MAX - TAG_INT_INLINE_MIN) as i64;

// Ascending tags are below 0x80, so that a descending tag (a complement) is recognised as such.
const _: () = assert!(TAG_TRUE < 0x80);
const _: () = assert!(INLINE_MAX == 63);

const ESCAPE: u8 = 0x00;
const ESCAPED_ZERO: u8 = 0xff;
const TERMINATOR: u8 = 0x01;

/// The largest number that [`put_u64_varying`] writes as one byte.
const VARYING_INLINE_MAX: u8 = 0xf6;

// ---------------------------------------------------------------------------------------------- plain encodings

/// Appends 4 bytes, big-endian.
pub fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// Appends 8 bytes, big-endian.
pub fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// Appends 1 byte for a value up to 246, and otherwise one byte of length and the 1 to 8 bytes needed. The first
/// byte is never 0xff.
pub fn put_u64_varying(out: &mut Vec<u8>, value: u64) {
    if value <= VARYING_INLINE_MAX as u64 {
        out.push(value as u8);
    } else {
        let length = significant_bytes(value);
        out.push(VARYING_INLINE_MAX + length as u8);
        out.extend_from_slice(&value.to_be_bytes()[8 - length..]);
    }
}

/// Appends bytes escaped and terminated: prefix-free, ordered as the bytes are.
pub fn put_bytes_terminated(out: &mut Vec<u8>, bytes: &[u8]) {
    put_escaped(out, bytes, 0);
}

fn significant_bytes(value: u64) -> usize {
    8 - (value.leading_zeros() as usize) / 8
}

fn put_escaped(out: &mut Vec<u8>, bytes: &[u8], mask: u8) {
    out.reserve(bytes.len() + 2);
    if mask == 0 && !bytes.contains(&ESCAPE) {
        out.extend_from_slice(bytes);
    } else {
        for &byte in bytes {
            out.push(byte ^ mask);
            if byte == ESCAPE {
                out.push(ESCAPED_ZERO ^ mask);
            }
        }
    }
    out.extend_from_slice(&[ESCAPE ^ mask, TERMINATOR ^ mask]);
}

// --------------------------------------------------------------------------------------------- column encodings

/// Appends a NULL that sorts before every value.
pub fn put_null_first(out: &mut Vec<u8>) {
    out.push(TAG_NULL_FIRST);
}

/// Appends a NULL that sorts after every value.
pub fn put_null_last(out: &mut Vec<u8>) {
    out.push(TAG_NULL_LAST);
}

/// Appends an integer: 1 byte for -8 ..= 63, then 2 bytes upwards to 9.
pub fn put_int(out: &mut Vec<u8>, value: i64, direction: Direction) {
    let mask = direction.mask();
    if (INLINE_MIN..=INLINE_MAX).contains(&value) {
        out.push((TAG_INT_INLINE_MIN + (value - INLINE_MIN) as u8) ^ mask);
        return;
    }
    // A negative number of n bytes is written as the low n bytes of its two's complement: what is cut off is all
    // ones, and the fewer bytes are needed, the nearer to zero it is, the higher its tag.
    let (tag, length) = if value < 0 {
        let length = significant_bytes(!(value as u64)).max(1);
        (TAG_INT_INLINE_MIN - length as u8, length)
    } else {
        let length = significant_bytes(value as u64);
        (TAG_INT_INLINE_MAX + length as u8, length)
    };
    let mut buffer = [0u8; 9];
    buffer[0] = tag ^ mask;
    let written = if mask == 0 { value } else { !value };
    buffer[1..=length].copy_from_slice(&written.to_be_bytes()[8 - length..]);
    out.extend_from_slice(&buffer[..=length]);
}

/// Appends a truth value; false sorts first when ascending.
pub fn put_bool(out: &mut Vec<u8>, value: bool, direction: Direction) {
    out.push(if value { TAG_TRUE } else { TAG_FALSE } ^ direction.mask());
}

/// Appends a float in 9 bytes. Order: -infinity ... -0 = 0 ... infinity, NaN. All NaNs are one value and the two
/// zeros are one value, so that equal values have equal keys; the sign of a zero is not kept.
pub fn put_f64(out: &mut Vec<u8>, value: f64, direction: Direction) {
    let mask = direction.mask();
    out.push(TAG_F64 ^ mask);
    let canonical = if value.is_nan() {
        f64::NAN.abs()
    } else if value == 0.0 {
        0.0
    } else {
        value
    };
    let bits = canonical.to_bits();
    let ordered = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
    let written = if mask == 0 { ordered } else { !ordered };
    out.extend_from_slice(&written.to_be_bytes());
}

/// Appends bytes: tag, escaped, terminated.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8], direction: Direction) {
    out.push(TAG_BYTES ^ direction.mask());
    put_escaped(out, bytes, direction.mask());
}

/// Appends text, ordered by its UTF-8 bytes (which is the order of code points).
pub fn put_text(out: &mut Vec<u8>, text: &str, direction: Direction) {
    out.push(TAG_TEXT ^ direction.mask());
    put_escaped(out, text.as_bytes(), direction.mask());
}

/// Appends a value of a kind that this crate does not know, already made order-preserving by the caller (NUMERIC,
/// say): tag, escaped, terminated, so that it need not be prefix-free itself.
pub fn put_opaque(out: &mut Vec<u8>, ordered: &[u8], direction: Direction) {
    out.push(TAG_OPAQUE ^ direction.mask());
    put_escaped(out, ordered, direction.mask());
}

/// Appends 17 bytes: a 128-bit number (a UUID, an interval).
pub fn put_u128(out: &mut Vec<u8>, value: u128, direction: Direction) {
    let mask = direction.mask();
    out.push(TAG_U128 ^ mask);
    let written = if mask == 0 { value } else { !value };
    out.extend_from_slice(&written.to_be_bytes());
}

/// A column as decoded without knowing its type: what the key printer shows.
#[derive(Debug, Clone, PartialEq)]
pub enum Column {
    /// NULL sorting first.
    NullFirst,
    /// NULL sorting last.
    NullLast,
    /// From [`put_int`].
    Int(i64, Direction),
    /// From [`put_bool`].
    Bool(bool, Direction),
    /// From [`put_f64`].
    F64(f64, Direction),
    /// From [`put_bytes`].
    Bytes(Vec<u8>, Direction),
    /// From [`put_text`].
    Text(String, Direction),
    /// From [`put_opaque`].
    Opaque(Vec<u8>, Direction),
    /// From [`put_u128`].
    U128(u128, Direction),
}

impl Column {
    /// Appends the column as its encoder did.
    pub fn put(&self, out: &mut Vec<u8>) {
        match self {
            Column::NullFirst => put_null_first(out),
            Column::NullLast => put_null_last(out),
            Column::Int(value, direction) => put_int(out, *value, *direction),
            Column::Bool(value, direction) => put_bool(out, *value, *direction),
            Column::F64(value, direction) => put_f64(out, *value, *direction),
            Column::Bytes(value, direction) => put_bytes(out, value, *direction),
            Column::Text(value, direction) => put_text(out, value, *direction),
            Column::Opaque(value, direction) => put_opaque(out, value, *direction),
            Column::U128(value, direction) => put_u128(out, *value, *direction),
        }
    }
}

// ------------------------------------------------------------------------------------------------------ decoding

/// Reads a key from front to back. Every method consumes what it returns; on an error the position is unspecified.
#[derive(Debug, Clone)]
pub struct Decoder<'a> {
    rest: &'a [u8],
}

impl<'a> Decoder<'a> {
    /// Starts at the first byte.
    pub fn new(bytes: &'a [u8]) -> Decoder<'a> {
        Decoder { rest: bytes }
    }

    /// What has not been read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether all has been read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Fails if something is left.
    pub fn finish(self) -> Result<(), KeyError> {
        if self.rest.is_empty() { Ok(()) } else { Err(KeyError::Trailing(self.rest.len())) }
    }

    /// The next byte, without consuming it.
    pub fn peek(&self) -> Result<u8, KeyError> {
        self.rest.first().copied().ok_or(KeyError::Truncated)
    }

    /// Takes one byte.
    pub fn take_u8(&mut self) -> Result<u8, KeyError> {
        let byte = self.peek()?;
        self.rest = &self.rest[1..];
        Ok(byte)
    }

    /// Takes a given number of bytes.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], KeyError> {
        if self.rest.len() < count {
            return Err(KeyError::Truncated);
        }
        let (taken, rest) = self.rest.split_at(count);
        self.rest = rest;
        Ok(taken)
    }

    fn take_array<const N: usize>(&mut self) -> Result<[u8; N], KeyError> {
        Ok(self.take(N)?.try_into().expect("take returns the number of bytes asked for"))
    }

    /// Takes what [`put_u32`] wrote.
    pub fn take_u32(&mut self) -> Result<u32, KeyError> {
        Ok(u32::from_be_bytes(self.take_array()?))
    }

    /// Takes what [`put_u64`] wrote.
    pub fn take_u64(&mut self) -> Result<u64, KeyError> {
        Ok(u64::from_be_bytes(self.take_array()?))
    }

    /// Takes what [`put_u64_varying`] wrote.
    pub fn take_u64_varying(&mut self) -> Result<u64, KeyError> {
        let first = self.take_u8()?;
        if first <= VARYING_INLINE_MAX {
            return Ok(first as u64);
        }
        let length = (first - VARYING_INLINE_MAX) as usize;
        if length > 8 {
            return Err(KeyError::Invalid(first));
        }
        let value = big_endian(self.take(length)?, 0);
        // One value has one encoding: equal ids must be equal keys.
        if value <= VARYING_INLINE_MAX as u64 || significant_bytes(value) != length {
            return Err(KeyError::Invalid(first));
        }
        Ok(value)
    }

    /// Takes what [`put_bytes_terminated`] wrote.
    pub fn take_bytes_terminated(&mut self) -> Result<Vec<u8>, KeyError> {
        self.take_escaped(0)
    }

    /// Whether a NULL follows; consumes it if so.
    pub fn take_null(&mut self) -> Result<bool, KeyError> {
        let null = matches!(self.peek()?, TAG_NULL_FIRST | TAG_NULL_LAST);
        if null {
            self.rest = &self.rest[1..];
        }
        Ok(null)
    }

    /// Takes what [`put_int`] wrote.
    pub fn take_int(&mut self, direction: Direction) -> Result<i64, KeyError> {
        let mask = direction.mask();
        let written = self.take_u8()?;
        let tag = written ^ mask;
        match tag {
            TAG_INT_INLINE_MIN..=TAG_INT_INLINE_MAX => Ok((tag - TAG_INT_INLINE_MIN) as i64 + INLINE_MIN),
            TAG_INT_MIN..TAG_INT_INLINE_MIN => {
                let length = (TAG_INT_INLINE_MIN - tag) as usize;
                let value = self.take_masked(length, mask)? | ones_above(length);
                let canonical = (value as i64) < INLINE_MIN && significant_bytes(!value).max(1) == length;
                if canonical { Ok(value as i64) } else { Err(KeyError::Invalid(written)) }
            }
            _ if (TAG_INT_INLINE_MAX + 1..=TAG_INT_MAX).contains(&tag) => {
                let length = (tag - TAG_INT_INLINE_MAX) as usize;
                let value = self.take_masked(length, mask)?;
                let canonical = (value as i64) > INLINE_MAX && significant_bytes(value) == length;
                if canonical { Ok(value as i64) } else { Err(KeyError::Invalid(written)) }
            }
            _ => Err(KeyError::Invalid(written)),
        }
    }

    fn take_masked(&mut self, length: usize, mask: u8) -> Result<u64, KeyError> {
        Ok(big_endian(self.take(length)?, mask))
    }

    /// Takes what [`put_bool`] wrote.
    pub fn take_bool(&mut self, direction: Direction) -> Result<bool, KeyError> {
        let written = self.take_u8()?;
        match written ^ direction.mask() {
            TAG_FALSE => Ok(false),
            TAG_TRUE => Ok(true),
            _ => Err(KeyError::Invalid(written)),
        }
    }

    /// Takes what [`put_f64`] wrote.
    pub fn take_f64(&mut self, direction: Direction) -> Result<f64, KeyError> {
        self.take_tag(TAG_F64, direction)?;
        let written = u64::from_be_bytes(self.take_array()?);
        let ordered = if direction.mask() == 0 { written } else { !written };
        let bits = if ordered >> 63 == 1 { ordered & !(1 << 63) } else { !ordered };
        Ok(f64::from_bits(bits))
    }

    /// Takes what [`put_bytes`] wrote.
    pub fn take_bytes(&mut self, direction: Direction) -> Result<Vec<u8>, KeyError> {
        self.take_tag(TAG_BYTES, direction)?;
        self.take_escaped(direction.mask())
    }

    /// Takes what [`put_bytes`] wrote and appends it to `out`.
    pub fn take_bytes_into(&mut self, direction: Direction, out: &mut Vec<u8>) -> Result<(), KeyError> {
        self.take_tag(TAG_BYTES, direction)?;
        self.take_escaped_into(direction.mask(), out)
    }

    /// Takes what [`put_text`] wrote and appends its bytes to `out`. They are not checked to be UTF-8.
    pub fn take_text_into(&mut self, direction: Direction, out: &mut Vec<u8>) -> Result<(), KeyError> {
        self.take_tag(TAG_TEXT, direction)?;
        self.take_escaped_into(direction.mask(), out)
    }

    /// Takes what [`put_text`] wrote.
    pub fn take_text(&mut self, direction: Direction) -> Result<String, KeyError> {
        self.take_tag(TAG_TEXT, direction)?;
        String::from_utf8(self.take_escaped(direction.mask())?).map_err(|_| KeyError::NotText)
    }

    /// Takes what [`put_opaque`] wrote.
    pub fn take_opaque(&mut self, direction: Direction) -> Result<Vec<u8>, KeyError> {
        self.take_tag(TAG_OPAQUE, direction)?;
        self.take_escaped(direction.mask())
    }

    /// Takes what [`put_u128`] wrote.
    pub fn take_u128(&mut self, direction: Direction) -> Result<u128, KeyError> {
        self.take_tag(TAG_U128, direction)?;
        let written = u128::from_be_bytes(self.take_array()?);
        Ok(if direction.mask() == 0 { written } else { !written })
    }

    /// Takes the next column, whatever it is.
    pub fn take_column(&mut self) -> Result<Column, KeyError> {
        let written = self.peek()?;
        match written {
            TAG_NULL_FIRST | TAG_NULL_LAST => {
                self.rest = &self.rest[1..];
                return Ok(if written == TAG_NULL_FIRST { Column::NullFirst } else { Column::NullLast });
            }
            _ => {}
        }
        let direction = if written < 0x80 { Direction::Ascending } else { Direction::Descending };
        match written ^ direction.mask() {
            TAG_INT_MIN..=TAG_INT_MAX => Ok(Column::Int(self.take_int(direction)?, direction)),
            TAG_BYTES => Ok(Column::Bytes(self.take_bytes(direction)?, direction)),
            TAG_TEXT => Ok(Column::Text(self.take_text(direction)?, direction)),
            TAG_F64 => Ok(Column::F64(self.take_f64(direction)?, direction)),
            TAG_OPAQUE => Ok(Column::Opaque(self.take_opaque(direction)?, direction)),
            TAG_U128 => Ok(Column::U128(self.take_u128(direction)?, direction)),
            TAG_FALSE | TAG_TRUE => Ok(Column::Bool(self.take_bool(direction)?, direction)),
            _ => Err(KeyError::Invalid(written)),
        }
    }

    /// Passes over the next column without building its value.
    pub fn skip_column(&mut self) -> Result<(), KeyError> {
        let written = self.take_u8()?;
        if matches!(written, TAG_NULL_FIRST | TAG_NULL_LAST) {
            return Ok(());
        }
        let mask = if written < 0x80 { 0x00 } else { 0xff };
        let tag = written ^ mask;
        match tag {
            TAG_INT_INLINE_MIN..=TAG_INT_INLINE_MAX | TAG_FALSE | TAG_TRUE => Ok(()),
            TAG_INT_MIN..TAG_INT_INLINE_MIN => self.take((TAG_INT_INLINE_MIN - tag) as usize).map(drop),
            TAG_BYTES | TAG_TEXT | TAG_OPAQUE => self.skip_escaped(mask),
            TAG_F64 => self.take(8).map(drop),
            TAG_U128 => self.take(16).map(drop),
            _ if (TAG_INT_INLINE_MAX + 1..=TAG_INT_MAX).contains(&tag) => {
                self.take((tag - TAG_INT_INLINE_MAX) as usize).map(drop)
            }
            _ => Err(KeyError::Invalid(written)),
        }
    }

    fn take_tag(&mut self, tag: u8, direction: Direction) -> Result<(), KeyError> {
        let written = self.take_u8()?;
        if written == tag ^ direction.mask() { Ok(()) } else { Err(KeyError::Invalid(written)) }
    }

    fn take_escaped(&mut self, mask: u8) -> Result<Vec<u8>, KeyError> {
        let mut out = Vec::new();
        self.take_escaped_into(mask, &mut out)?;
        Ok(out)
    }

    fn take_escaped_into(&mut self, mask: u8, out: &mut Vec<u8>) -> Result<(), KeyError> {
        loop {
            let chunk_end =
                self.rest.iter().position(|&byte| byte == ESCAPE ^ mask).ok_or(KeyError::Truncated)?;
            out.extend(self.rest[..chunk_end].iter().map(|byte| byte ^ mask));
            let follower = *self.rest.get(chunk_end + 1).ok_or(KeyError::Truncated)?;
            self.rest = &self.rest[chunk_end + 2..];
            match follower ^ mask {
                TERMINATOR => return Ok(()),
                ESCAPED_ZERO => out.push(0),
                _ => return Err(KeyError::Invalid(follower)),
            }
        }
    }

    fn skip_escaped(&mut self, mask: u8) -> Result<(), KeyError> {
        loop {
            let chunk_end =
                self.rest.iter().position(|&byte| byte == ESCAPE ^ mask).ok_or(KeyError::Truncated)?;
            let follower = *self.rest.get(chunk_end + 1).ok_or(KeyError::Truncated)?;
            self.rest = &self.rest[chunk_end + 2..];
            match follower ^ mask {
                TERMINATOR => return Ok(()),
                ESCAPED_ZERO => {}
                _ => return Err(KeyError::Invalid(follower)),
            }
        }
    }
}

/// The bits above the lowest `length` bytes.
fn ones_above(length: usize) -> u64 {
    if length == 8 { 0 } else { !0 << (length * 8) }
}

fn big_endian(bytes: &[u8], mask: u8) -> u64 {
    bytes.iter().fold(0, |value, byte| value << 8 | (byte ^ mask) as u64)
}
