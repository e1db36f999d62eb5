//! Strings: text, varchar, bpchar, name, "char", and the check that bytes are UTF-8.

use crate::datum::Datum;
use crate::error::{PgError, PgResult, SqlState};

/// Bytes of a name at most (NAMEDATALEN - 1).
pub const NAME_BYTES_MAX: usize = 63;

/// Bytes as text. 22021 with the offending bytes when they are not UTF-8, or hold a zero.
pub fn utf8(bytes: &[u8]) -> PgResult<&str> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let rest = &bytes[error.valid_up_to()..];
        let length = match rest[0] {
            0x00..=0xdf if rest[0] & 0xe0 == 0xc0 => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf7 => 4,
            _ => 1,
        };
        invalid_sequence(&rest[..rest.len().min(length)])
    })?;
    check_no_zero(text)?;
    Ok(text)
}

fn invalid_sequence(bytes: &[u8]) -> PgError {
    let hex: Vec<String> = bytes.iter().map(|byte| format!("0x{byte:02x}")).collect();
    PgError::new(
        SqlState::CHARACTER_NOT_IN_REPERTOIRE,
        format!("invalid byte sequence for encoding \"UTF8\": {}", hex.join(" ")),
    )
}

pub(super) fn check_no_zero(text: &str) -> PgResult<()> {
    if text.as_bytes().contains(&0) { Err(invalid_sequence(&[0])) } else { Ok(()) }
}

/// The characters of `varchar(n)` and `char(n)`.
fn length_limit(typmod: i32) -> Option<usize> {
    usize::try_from(typmod - 4).ok().filter(|_| typmod >= 4)
}

/// Cuts a string to a length; `None` when more than blanks would go.
fn fit(text: &str, limit: usize) -> Option<&str> {
    if text.len() <= limit {
        return Some(text);
    }
    match text.char_indices().nth(limit) {
        None => Some(text),
        Some((end, _)) => text[end..].bytes().all(|byte| byte == b' ').then(|| &text[..end]),
    }
}

fn too_long(type_name: &str, limit: usize) -> PgError {
    PgError::new(
        SqlState::STRING_DATA_RIGHT_TRUNCATION,
        format!("value too long for type {type_name}({limit})"),
    )
}

/// varchar(n), as in an assignment: 22001 when too long, blanks at the end excepted.
pub fn check_varchar(text: &str, typmod: i32) -> PgResult<&str> {
    match length_limit(typmod) {
        None => Ok(text),
        Some(limit) => fit(text, limit).ok_or_else(|| too_long("character varying", limit)),
    }
}

/// char(n), as in an assignment; the value comes back without blanks at the end.
pub fn check_bpchar(text: &str, typmod: i32) -> PgResult<&str> {
    let text = match length_limit(typmod) {
        None => text,
        Some(limit) => fit(text, limit).ok_or_else(|| too_long("character", limit))?,
    };
    Ok(text.trim_end_matches(' '))
}

/// An explicit cast to varchar(n): cuts.
pub fn truncate_varchar(text: &str, typmod: i32) -> &str {
    match length_limit(typmod).and_then(|limit| text.char_indices().nth(limit)) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

/// An explicit cast to char(n): cuts, and drops blanks at the end.
pub fn truncate_bpchar(text: &str, typmod: i32) -> &str {
    truncate_varchar(text, typmod).trim_end_matches(' ')
}

/// A name: cut to 63 bytes at a character.
pub fn truncate_name(text: &str) -> &str {
    &text[..text.floor_char_boundary(NAME_BYTES_MAX)]
}

/// Appends `char(n)` with its blanks.
pub(super) fn write_bpchar(text: &str, typmod: i32, out: &mut Vec<u8>) {
    out.extend_from_slice(text.as_bytes());
    if let Some(limit) = length_limit(typmod) {
        let missing = limit.saturating_sub(text.chars().count());
        out.resize(out.len() + missing, b' ');
    }
}

/// "char" holds one byte; the byte b is held as the character U+00bb, the byte 0 as the empty string.
pub(super) fn parse_internal_char(text: &str) -> Datum {
    let bytes = text.as_bytes();
    let byte = match bytes {
        [b'\\', high @ b'0'..=b'7', middle @ b'0'..=b'7', low @ b'0'..=b'7'] => {
            // 400 and above are cut to a byte.
            (high - b'0') << 6 | (middle - b'0') << 3 | (low - b'0')
        }
        _ => bytes.first().copied().unwrap_or(0),
    };
    internal_char(byte)
}

/// The "char" of a byte.
pub fn internal_char(byte: u8) -> Datum {
    Datum::text(if byte == 0 { String::new() } else { char::from(byte).to_string() })
}

/// The byte of a "char".
pub fn internal_char_byte(text: &str) -> u8 {
    text.chars().next().map_or(0, |character| character as u32 as u8)
}

pub(super) fn write_internal_char(text: &str, out: &mut Vec<u8>) {
    match internal_char_byte(text) {
        0 => {}
        byte @ 1..=0x7f => out.push(byte),
        byte => {
            out.extend_from_slice(&[b'\\', b'0' + (byte >> 6), b'0' + (byte >> 3 & 7), b'0' + (byte & 7)])
        }
    }
}
