//! Keys for people: printed with their meaning, and parsed back.
//!
//! Every byte string prints, and what is printed parses back to the same bytes. A key that does not follow the
//! layout prints, from the place on where it stops making sense, as `/raw/"<bytes>"`.
//!
//! ```text
//! /table/104/1/42/"abc"/desc:7/null     columns; x"00ff" is bytes, o"00ff" is opaque, 1.5f is a float,
//!                                       u"<32 hex digits>" is a 128-bit number, nulls is NULL sorting last
//! /local/raft/7/log/12
//! /meta2/table/104
//! ```
//!
//! The printer *verifies*: it parses its own structured output back and falls back to raw bytes when they differ, so that
//! a non-canonical encoding is never shown as a canonical one.

use std::fmt::{self, Write as _};

use crate::encoding::{self, Column, Decoder, Direction, KeyError};
use crate::local::{self, RaftItem, RangeItem, StoreItem};
use crate::{Key, NodeId, RangeId, prefix, system, table};

/// Text that is not a printed key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a key: {0:?} at byte {1}")]
pub struct ParseError(pub String, pub usize);

/// Prints a key. Used by `Key`'s `Display`.
pub fn write_key(f: &mut fmt::Formatter<'_>, key: &[u8]) -> fmt::Result {
    f.write_str(&to_text(key))
}

/// Prints a key.
pub fn to_text(key: &[u8]) -> String {
    let mut text = String::new();
    if print_structured(&mut text, key).is_ok() && parse(&text).is_ok_and(|back| back.as_slice() == key) {
        return text;
    }
    let mut text = String::from("/raw/");
    put_quoted(&mut text, key);
    text
}

/// Parses what [`to_text`] printed.
pub fn parse(text: &str) -> Result<Key, ParseError> {
    let mut parser = Parser { text, at: 0 };
    let mut out = Vec::new();
    parser.key(&mut out)?;
    if parser.at != text.len() {
        return Err(parser.fail());
    }
    Ok(Key::from(out))
}

// ------------------------------------------------------------------------------------------------------ printing

fn print_structured(out: &mut String, key: &[u8]) -> Result<(), KeyError> {
    let Some((&first, rest)) = key.split_first() else {
        out.push_str("/min");
        return Ok(());
    };
    match first {
        prefix::MAX if rest.is_empty() => out.push_str("/max"),
        prefix::META1 => print_meta(out, "/meta1", rest),
        prefix::META2 => print_meta(out, "/meta2", rest),
        prefix::SYSTEM => print_system(out, rest)?,
        prefix::TABLE => print_table(out, rest)?,
        prefix::LOCAL => print_local(out, rest)?,
        _ => return Err(KeyError::Invalid(first)),
    }
    Ok(())
}

fn print_meta(out: &mut String, name: &str, rest: &[u8]) {
    out.push_str(name);
    match rest.first() {
        None => {}
        // No addressing record is about addressing or about local keys: nesting stays bounded.
        Some(&prefix::LOCAL | &prefix::META1 | &prefix::META2) => {
            out.push_str("/raw/");
            put_quoted(out, rest);
        }
        Some(_) => out.push_str(&to_text(rest)),
    }
}

fn print_table(out: &mut String, rest: &[u8]) -> Result<(), KeyError> {
    out.push_str("/table");
    let mut decoder = Decoder::new(rest);
    for _ in 0..2 {
        if decoder.is_empty() {
            return Ok(());
        }
        push_segment(out, table::take_id(&mut decoder)?);
    }
    while !decoder.is_empty() {
        let before = decoder.rest();
        match decoder.take_column() {
            Ok(column) => print_column(out, &column),
            Err(_) => {
                out.push_str("/raw/");
                put_quoted(out, before);
                return Ok(());
            }
        }
    }
    Ok(())
}

fn push_segment(out: &mut String, value: impl fmt::Display) {
    let _ = write!(out, "/{value}");
}

fn print_column(out: &mut String, column: &Column) {
    out.push('/');
    let direction = match column {
        Column::NullFirst => return out.push_str("null"),
        Column::NullLast => return out.push_str("nulls"),
        Column::Int(_, d) | Column::Bool(_, d) | Column::F64(_, d) | Column::U128(_, d) => *d,
        Column::Bytes(_, d) | Column::Text(_, d) | Column::Opaque(_, d) => *d,
    };
    if direction == Direction::Descending {
        out.push_str("desc:");
    }
    match column {
        Column::NullFirst | Column::NullLast => {}
        Column::Int(value, _) => drop(write!(out, "{value}")),
        Column::Bool(value, _) => drop(write!(out, "{value}")),
        Column::F64(value, _) => drop(write!(out, "{value:?}f")),
        Column::U128(value, _) => drop(write!(out, "u\"{value:032x}\"")),
        Column::Text(value, _) => put_quoted(out, value.as_bytes()),
        Column::Bytes(value, _) => put_hex(out, 'x', value),
        Column::Opaque(value, _) => put_hex(out, 'o', value),
    }
}

fn put_hex(out: &mut String, kind: char, bytes: &[u8]) {
    out.push(kind);
    out.push('"');
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
    }
    out.push('"');
}

/// Printable ASCII as it is, everything else as `\xNN`.
fn put_quoted(out: &mut String, bytes: &[u8]) {
    out.push('"');
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => {
                out.push('\\');
                out.push(byte as char);
            }
            0x20..=0x7e => out.push(byte as char),
            _ => drop(write!(out, "\\x{byte:02x}")),
        }
    }
    out.push('"');
}

fn print_system(out: &mut String, rest: &[u8]) -> Result<(), KeyError> {
    out.push_str("/system");
    let mut decoder = Decoder::new(rest);
    if decoder.is_empty() {
        return Ok(());
    }
    let area = decoder.take_u8()?;
    let name = SYSTEM_AREAS.iter().find(|(_, byte, _)| *byte == area).ok_or(KeyError::Invalid(area))?;
    push_segment(out, name.0);
    if decoder.is_empty() {
        return Ok(());
    }
    if name.2 {
        push_segment(out, decoder.take_u32()?);
    } else {
        out.push('/');
        put_quoted(out, &decoder.take_bytes_terminated()?);
    }
    decoder.finish()
}

/// Name, byte, and whether it is keyed by node id (and not by name).
const SYSTEM_AREAS: [(&str, u8, bool); 6] = [
    ("allocator", system::AREA_ALLOCATOR, false),
    ("config", system::AREA_CONFIG, false),
    ("liveness", system::AREA_LIVENESS, true),
    ("node", system::AREA_NODE, true),
    ("record", system::AREA_RECORD, false),
    ("setting", system::AREA_SETTING, false),
];

fn print_local(out: &mut String, rest: &[u8]) -> Result<(), KeyError> {
    let mut decoder = Decoder::new(rest);
    let area = decoder.take_u8()?;
    match area {
        local::AREA_ANCHOR => print_anchored(out, &mut decoder)?,
        local::AREA_RANGE => {
            let _ = write!(out, "/local/range/{}", decoder.take_u64()?);
            if !decoder.is_empty() {
                let byte = decoder.take_u8()?;
                let item = RangeItem::ALL.into_iter().find(|item| *item as u8 == byte);
                push_segment(out, item.ok_or(KeyError::Invalid(byte))?.name());
            }
        }
        local::AREA_RAFT => print_raft(out, &mut decoder)?,
        local::AREA_STORE => {
            let byte = decoder.take_u8()?;
            let item = StoreItem::ALL.into_iter().find(|item| *item as u8 == byte);
            let _ = write!(out, "/local/store/{}", item.ok_or(KeyError::Invalid(byte))?.name());
        }
        _ => return Err(KeyError::Invalid(area)),
    }
    decoder.finish()
}

fn print_anchored(out: &mut String, decoder: &mut Decoder<'_>) -> Result<(), KeyError> {
    out.push_str("/local/anchor/");
    let anchor = decoder.take_bytes_terminated()?;
    if anchor.first() == Some(&prefix::LOCAL) {
        return Err(KeyError::Invalid(prefix::LOCAL));
    }
    put_quoted(out, to_text(&anchor).as_bytes());
    if decoder.is_empty() {
        return Ok(());
    }
    match decoder.take_u8()? {
        local::ANCHOR_DESCRIPTOR => out.push_str("/descriptor"),
        local::ANCHOR_TRANSACTION => {
            out.push_str("/transaction/");
            for byte in decoder.take(local::TRANSACTION_ID_SIZE)? {
                let _ = write!(out, "{byte:02x}");
            }
        }
        byte => return Err(KeyError::Invalid(byte)),
    }
    Ok(())
}

fn print_raft(out: &mut String, decoder: &mut Decoder<'_>) -> Result<(), KeyError> {
    let _ = write!(out, "/local/raft/{}", decoder.take_u64()?);
    if decoder.is_empty() {
        return Ok(());
    }
    let byte = decoder.take_u8()?;
    if byte == local::RAFT_LOG {
        let _ = write!(out, "/log/{}", decoder.take_u64()?);
    } else {
        let item = RaftItem::ALL.into_iter().find(|item| *item as u8 == byte);
        push_segment(out, item.ok_or(KeyError::Invalid(byte))?.name());
    }
    Ok(())
}

// ------------------------------------------------------------------------------------------------------- parsing

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn fail(&self) -> ParseError {
        ParseError(self.text.to_string(), self.at)
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn eat(&mut self, token: &str) -> bool {
        let eaten = self.rest().starts_with(token);
        if eaten {
            self.at += token.len();
        }
        eaten
    }

    fn expect(&mut self, token: &str) -> Result<(), ParseError> {
        if self.eat(token) { Ok(()) } else { Err(self.fail()) }
    }

    /// A name, a number: up to the next slash.
    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let word = &rest[..rest.find('/').unwrap_or(rest.len())];
        self.at += word.len();
        word
    }

    fn number<T: std::str::FromStr>(&mut self) -> Result<T, ParseError> {
        let failed = self.fail();
        self.word().parse().map_err(|_| failed)
    }

    /// What [`put_quoted`] printed.
    fn quoted(&mut self) -> Result<Vec<u8>, ParseError> {
        self.expect("\"")?;
        let bytes = self.text.as_bytes();
        let mut out = Vec::new();
        loop {
            match *bytes.get(self.at).ok_or_else(|| self.fail())? {
                b'"' => {
                    self.at += 1;
                    return Ok(out);
                }
                b'\\' if bytes.get(self.at + 1) == Some(&b'x') => {
                    let digits = self.text.get(self.at + 2..self.at + 4).ok_or_else(|| self.fail())?;
                    out.push(u8::from_str_radix(digits, 16).map_err(|_| self.fail())?);
                    self.at += 4;
                }
                b'\\' => {
                    out.push(*bytes.get(self.at + 1).ok_or_else(|| self.fail())?);
                    self.at += 2;
                }
                byte => {
                    out.push(byte);
                    self.at += 1;
                }
            }
            if !self.text.is_char_boundary(self.at) {
                return Err(self.fail());
            }
        }
    }

    /// What [`put_hex`] printed, after its kind.
    fn hex(&mut self) -> Result<Vec<u8>, ParseError> {
        self.expect("\"")?;
        let end = self.rest().find('"').ok_or_else(|| self.fail())?;
        let out = self.hex_digits(end)?;
        self.expect("\"")?;
        Ok(out)
    }

    fn hex_digits(&mut self, count: usize) -> Result<Vec<u8>, ParseError> {
        let digits = self.rest().get(..count).filter(|text| text.is_ascii()).ok_or_else(|| self.fail())?;
        if !count.is_multiple_of(2) {
            return Err(self.fail());
        }
        let out = (0..count)
            .step_by(2)
            .map(|i| u8::from_str_radix(&digits[i..i + 2], 16).map_err(|_| self.fail()))
            .collect::<Result<Vec<u8>, _>>()?;
        self.at += count;
        Ok(out)
    }

    fn key(&mut self, out: &mut Vec<u8>) -> Result<(), ParseError> {
        if self.eat("/raw/") {
            out.extend(self.quoted()?);
        } else if self.eat("/meta1") {
            out.push(prefix::META1);
            self.key_or_nothing(out)?;
        } else if self.eat("/meta2") {
            out.push(prefix::META2);
            self.key_or_nothing(out)?;
        } else if self.eat("/max") {
            out.push(prefix::MAX);
        } else if self.eat("/table") {
            self.table(out)?;
        } else if self.eat("/system") {
            self.system(out)?;
        } else if self.eat("/local/") {
            self.local(out)?;
        } else {
            self.expect("/min")?;
        }
        Ok(())
    }

    fn key_or_nothing(&mut self, out: &mut Vec<u8>) -> Result<(), ParseError> {
        match self.rest() {
            "" => Ok(()),
            rest if rest.starts_with("/meta") || rest.starts_with("/local") => Err(self.fail()),
            _ => self.key(out),
        }
    }

    fn table(&mut self, out: &mut Vec<u8>) -> Result<(), ParseError> {
        out.push(prefix::TABLE);
        for _ in 0..2 {
            if !self.eat("/") {
                return Ok(());
            }
            encoding::put_u64_varying(out, self.number::<u32>()? as u64);
        }
        while self.eat("/") {
            if self.eat("raw/") {
                out.extend(self.quoted()?);
                return Ok(());
            }
            self.column()?.put(out);
        }
        Ok(())
    }

    fn column(&mut self) -> Result<Column, ParseError> {
        let direction = if self.eat("desc:") { Direction::Descending } else { Direction::Ascending };
        if self.rest().starts_with('"') {
            let text = String::from_utf8(self.quoted()?).map_err(|_| self.fail())?;
            return Ok(Column::Text(text, direction));
        }
        if self.eat("x") {
            return Ok(Column::Bytes(self.hex()?, direction));
        }
        if self.eat("o") {
            return Ok(Column::Opaque(self.hex()?, direction));
        }
        if self.eat("u") {
            let bytes: [u8; 16] = self.hex()?.try_into().map_err(|_| self.fail())?;
            return Ok(Column::U128(u128::from_be_bytes(bytes), direction));
        }
        let failed = self.fail();
        match self.word() {
            "null" => Ok(Column::NullFirst),
            "nulls" => Ok(Column::NullLast),
            "true" => Ok(Column::Bool(true, direction)),
            "false" => Ok(Column::Bool(false, direction)),
            word => match word.strip_suffix('f') {
                Some(float) => Ok(Column::F64(float.parse().map_err(|_| failed)?, direction)),
                None => Ok(Column::Int(word.parse().map_err(|_| failed)?, direction)),
            },
        }
    }

    fn system(&mut self, out: &mut Vec<u8>) -> Result<(), ParseError> {
        out.push(prefix::SYSTEM);
        if !self.eat("/") {
            return Ok(());
        }
        let failed = self.fail();
        let word = self.word();
        let area = SYSTEM_AREAS.iter().find(|(name, _, _)| *name == word).ok_or(failed)?;
        out.push(area.1);
        if !self.eat("/") {
            return Ok(());
        }
        if area.2 {
            encoding::put_u32(out, NodeId(self.number()?).get());
        } else {
            encoding::put_bytes_terminated(out, &self.quoted()?);
        }
        Ok(())
    }

    fn local(&mut self, out: &mut Vec<u8>) -> Result<(), ParseError> {
        let failed = self.fail();
        let area = self.word();
        self.expect("/")?;
        match area {
            "anchor" => self.anchored(out),
            "range" => {
                let range = RangeId(self.number()?);
                out.extend_from_slice(&local::range_span(range).start);
                if self.eat("/") {
                    let word = self.word();
                    let item = RangeItem::ALL.into_iter().find(|item| item.name() == word);
                    out.push(item.ok_or(failed)? as u8);
                }
                Ok(())
            }
            "raft" => self.raft(out),
            "store" => {
                let word = self.word();
                let item = StoreItem::ALL.into_iter().find(|item| item.name() == word);
                out.extend_from_slice(&local::store_item(item.ok_or(failed)?));
                Ok(())
            }
            _ => Err(failed),
        }
    }

    fn anchored(&mut self, out: &mut Vec<u8>) -> Result<(), ParseError> {
        let anchor = String::from_utf8(self.quoted()?).map_err(|_| self.fail())?;
        if anchor.starts_with("/local") {
            return Err(self.fail());
        }
        let anchor = parse(&anchor)?;
        out.extend_from_slice(&[prefix::LOCAL, local::AREA_ANCHOR]);
        encoding::put_bytes_terminated(out, &anchor);
        if self.eat("/descriptor") {
            out.push(local::ANCHOR_DESCRIPTOR);
        } else if self.eat("/transaction/") {
            out.push(local::ANCHOR_TRANSACTION);
            out.extend(self.hex_digits(2 * local::TRANSACTION_ID_SIZE)?);
        }
        Ok(())
    }

    fn raft(&mut self, out: &mut Vec<u8>) -> Result<(), ParseError> {
        let range = RangeId(self.number()?);
        if self.eat("/log/") {
            out.extend_from_slice(&local::raft_log_entry(range, self.number()?));
        } else if self.eat("/") {
            let failed = self.fail();
            let word = self.word();
            let item = RaftItem::ALL.into_iter().find(|item| item.name() == word);
            out.extend_from_slice(&local::raft_item(range, item.ok_or(failed)?));
        } else {
            out.extend_from_slice(&local::raft_span(range).start);
        }
        Ok(())
    }
}
