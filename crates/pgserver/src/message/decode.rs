//! Decoding of frontend messages, as views into the input buffer.
//!
//! Invariants:
//! - No input panics, and none makes memory be taken in proportion to a number the client wrote: counts are checked against the bytes
//!   that are really there.
//! - A message must be used up exactly: bytes left over are an error, as in PostgreSQL's `pq_getmsgend`.
//! - Every string is valid UTF-8 once decoded; what is not is 22021, and everything else that is wrong is 08P01.
//!
//! The errors of this module fail one message (severity ERROR): the frame around it was intact, so the connection stays in step
//! with its client.

use std::num::NonZeroU32;

use types::error::{PgError, PgResult, SqlState};

use crate::session::{ColumnFormats, Format};

/// Parse: a statement to prepare.
#[derive(Debug)]
pub(crate) struct Parse<'a> {
    pub(crate) name: &'a str,
    pub(crate) text: &'a str,
    pub(crate) parameter_types: Vec<u32>,
}

/// What Describe and Close refer to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target<'a> {
    Statement(&'a str),
    Portal(&'a str),
}

/// Bind: makes a portal of a prepared statement and values for its parameters.
#[derive(Clone, Copy, Debug)]
pub struct Bind<'a> {
    /// The portal to make; empty for the unnamed one, which may be replaced.
    pub portal: &'a str,
    /// The prepared statement; empty for the unnamed one.
    pub statement: &'a str,
    /// Formats and bytes of the parameters.
    pub parameters: ParameterValues<'a>,
    /// The formats wanted for the result columns: see [`FormatList::for_columns`].
    pub result_formats: FormatList<'a>,
}

/// The values of a Bind's parameters: a validated view, iterated without allocating.
#[derive(Clone, Copy, Debug)]
pub struct ParameterValues<'a> {
    formats: FormatList<'a>,
    count: usize,
    bytes: &'a [u8],
}

impl<'a> ParameterValues<'a> {
    /// The number of values.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Each parameter's format and bytes, in order; `None` is NULL.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (Format, Option<&'a [u8]>)> + use<'a> {
        let formats = self.formats;
        let mut rest = Reader { bytes: self.bytes };
        (0..self.count).map(move |index| {
            let value = rest.value().expect("lengths were checked when the message was decoded");
            (formats.get(index), value)
        })
    }
}

/// A list of format codes as the protocol writes it: none (all text), one (for all), or one for each.
#[derive(Clone, Copy, Debug)]
pub struct FormatList<'a> {
    /// Two bytes each, checked to be 0 or 1.
    codes: &'a [u8],
}

impl<'a> FormatList<'a> {
    /// The number of codes as sent, which is not the number of columns.
    pub fn len(&self) -> usize {
        self.codes.len() / 2
    }

    /// Whether no code was sent: all is text.
    pub fn is_empty(&self) -> bool {
        self.codes.is_empty()
    }

    fn get(&self, index: usize) -> Format {
        let index = if self.len() == 1 { 0 } else { index };
        match self.codes.get(index * 2 + 1) {
            Some(1) => Format::Binary,
            _ => Format::Text,
        }
    }

    /// The formats of a result of `column_count` columns. 08P01 when the numbers do not fit.
    pub fn for_columns(&self, column_count: usize) -> PgResult<ColumnFormats> {
        match self.len() {
            0 | 1 => Ok(ColumnFormats::All(self.get(0))),
            count if count == column_count => Ok(match self.uniform() {
                Some(format) => ColumnFormats::All(format),
                None => ColumnFormats::Each((0..count).map(|index| self.get(index)).collect()),
            }),
            count => Err(PgError::new(
                SqlState::PROTOCOL_VIOLATION,
                format!("bind message has {count} result formats but query has {column_count} columns"),
            )),
        }
    }

    fn uniform(&self) -> Option<Format> {
        let first = self.get(0);
        (1..self.len()).all(|index| self.get(index) == first).then_some(first)
    }
}

/// Message types a client may send once its session has begun.
pub(crate) fn is_known_type(kind: u8) -> bool {
    matches!(kind, b'Q' | b'P' | b'B' | b'D' | b'E' | b'C' | b'H' | b'S' | b'X' | b'F' | b'd' | b'c' | b'f')
}

/// Whether messages of this type carry data or text of any size. All others are a few names and numbers.
pub(crate) fn is_large_type(kind: u8) -> bool {
    matches!(kind, b'Q' | b'P' | b'B' | b'F' | b'd')
}

/// Query: the statements to run.
pub(crate) fn query(body: &[u8]) -> PgResult<&str> {
    whole(body, Reader::text)
}

/// Parse.
pub(crate) fn parse(body: &[u8]) -> PgResult<Parse<'_>> {
    whole(body, |reader| {
        let name = reader.text()?;
        let text = reader.text()?;
        let count = reader.count()?;
        let types = reader.take(count * 4)?;
        let parameter_types = types
            .chunks_exact(4)
            .map(|oid| u32::from_be_bytes(oid.try_into().expect("chunks of four")))
            .collect();
        Ok(Parse { name, text, parameter_types })
    })
}

/// Bind.
pub(crate) fn bind(body: &[u8]) -> PgResult<Bind<'_>> {
    whole(body, |reader| {
        let portal = reader.text()?;
        let statement = reader.text()?;
        let formats = reader.formats()?;
        let count = reader.count()?;
        if formats.len() > 1 && formats.len() != count {
            return Err(violation(format!(
                "bind message has {} parameter formats but {count} parameters",
                formats.len()
            )));
        }
        let all = reader.bytes;
        for _ in 0..count {
            reader.value()?;
        }
        let bytes = &all[..all.len() - reader.bytes.len()];
        let result_formats = reader.formats()?;
        Ok(Bind { portal, statement, parameters: ParameterValues { formats, count, bytes }, result_formats })
    })
}

/// Describe or Close, whose name is `message`.
pub(crate) fn target<'a>(body: &'a [u8], message: &str) -> PgResult<Target<'a>> {
    whole(body, |reader| match reader.byte()? {
        b'S' => Ok(Target::Statement(reader.text()?)),
        b'P' => Ok(Target::Portal(reader.text()?)),
        subtype => Err(violation(format!("invalid {message} message subtype {subtype}"))),
    })
}

/// Execute: the portal, and how many rows at most.
pub(crate) fn execute(body: &[u8]) -> PgResult<(&str, Option<NonZeroU32>)> {
    whole(body, |reader| {
        let portal = reader.text()?;
        // Zero and below ask for all rows, as in PostgreSQL.
        Ok((portal, NonZeroU32::new(reader.int32()?.max(0) as u32)))
    })
}

/// Sync and Flush, which have no body.
pub(crate) fn nothing(body: &[u8]) -> PgResult<()> {
    whole(body, |_| Ok(()))
}

/// Decodes a body that must be used up.
fn whole<'a, T>(body: &'a [u8], decode: impl FnOnce(&mut Reader<'a>) -> PgResult<T>) -> PgResult<T> {
    let mut reader = Reader { bytes: body };
    let message = decode(&mut reader)?;
    match reader.is_empty() {
        true => Ok(message),
        false => Err(violation("invalid message format")),
    }
}

/// Takes fields off the front of a message body.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Reader { bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// All that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.bytes)
    }

    pub(crate) fn take(&mut self, size: usize) -> PgResult<&'a [u8]> {
        let (taken, rest) = self
            .bytes
            .split_at_checked(size)
            .ok_or_else(|| violation("insufficient data left in message"))?;
        self.bytes = rest;
        Ok(taken)
    }

    pub(crate) fn byte(&mut self) -> PgResult<u8> {
        Ok(self.take(1)?[0])
    }

    pub(crate) fn int16(&mut self) -> PgResult<i16> {
        Ok(i16::from_be_bytes(self.take(2)?.try_into().expect("took two bytes")))
    }

    pub(crate) fn int32(&mut self) -> PgResult<i32> {
        Ok(i32::from_be_bytes(self.take(4)?.try_into().expect("took four bytes")))
    }

    /// A count of list elements: 16 bits, read as unsigned, so that up to 65,535 parameters can be sent.
    fn count(&mut self) -> PgResult<usize> {
        Ok(self.int16()? as u16 as usize)
    }

    /// A string that ends with a zero byte.
    pub(crate) fn cstring(&mut self) -> PgResult<&'a [u8]> {
        let end = memchr::memchr(0, self.bytes).ok_or_else(|| violation("invalid string in message"))?;
        let taken = &self.bytes[..end];
        self.bytes = &self.bytes[end + 1..];
        Ok(taken)
    }

    /// A string that ends with a zero byte and is UTF-8.
    pub(crate) fn text(&mut self) -> PgResult<&'a str> {
        utf8(self.cstring()?)
    }

    /// A value behind its length; -1 is NULL.
    fn value(&mut self) -> PgResult<Option<&'a [u8]>> {
        match self.int32()? {
            -1 => Ok(None),
            length => {
                let length = usize::try_from(length).map_err(|_| violation("invalid message format"))?;
                Ok(Some(self.take(length)?))
            }
        }
    }

    fn formats(&mut self) -> PgResult<FormatList<'a>> {
        let count = self.count()?;
        let codes = self.take(count * 2)?;
        match codes.chunks_exact(2).find(|code| code[0] != 0 || code[1] > 1) {
            None => Ok(FormatList { codes }),
            Some(code) => Err(PgError::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("unsupported format code: {}", i16::from_be_bytes([code[0], code[1]])),
            )),
        }
    }
}

/// The text in `bytes`, or 22021 in PostgreSQL's words.
pub(crate) fn utf8(bytes: &[u8]) -> PgResult<&str> {
    std::str::from_utf8(bytes).map_err(|error| {
        let bad = &bytes[error.valid_up_to()..];
        // As PostgreSQL: all the bytes that the first one promises, as far as there are any.
        let promised = match bad[0] {
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf7 => 4,
            _ => 1,
        };
        let shown: Vec<String> = bad.iter().take(promised).map(|byte| format!("0x{byte:02x}")).collect();
        PgError::new(
            SqlState::CHARACTER_NOT_IN_REPERTOIRE,
            format!("invalid byte sequence for encoding \"UTF8\": {}", shown.join(" ")),
        )
    })
}

pub(crate) fn violation(message: impl Into<String>) -> PgError {
    PgError::new(SqlState::PROTOCOL_VIOLATION, message)
}
