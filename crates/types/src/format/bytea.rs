//! bytea: `\x` and hex digits, or bytes with octal escapes.

use super::ByteaOutput;
use crate::error::{PgError, PgResult, SqlState};

const HEX: &[u8; 16] = b"0123456789abcdef";

pub(super) fn write_bytea(bytes: &[u8], style: ByteaOutput, out: &mut Vec<u8>) {
    match style {
        ByteaOutput::Hex => {
            out.reserve(2 + bytes.len() * 2);
            out.extend_from_slice(b"\\x");
            write_hex(bytes, out);
        }
        ByteaOutput::Escape => {
            for &byte in bytes {
                match byte {
                    b'\\' => out.extend_from_slice(b"\\\\"),
                    0x20..=0x7e => out.push(byte),
                    _ => out.extend_from_slice(&[
                        b'\\',
                        b'0' + (byte >> 6),
                        b'0' + (byte >> 3 & 7),
                        b'0' + (byte & 7),
                    ]),
                }
            }
        }
    }
}

/// Appends two hex digits a byte.
pub(super) fn write_hex(bytes: &[u8], out: &mut Vec<u8>) {
    for &byte in bytes {
        out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
    }
}

fn hex_error(message: String) -> PgError {
    PgError::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

fn hex_digit(character: char) -> PgResult<u8> {
    character
        .to_digit(16)
        .map(|digit| digit as u8)
        .ok_or_else(|| hex_error(format!("invalid hexadecimal digit: \"{character}\"")))
}

/// Hex digits in pairs; spaces may stand between pairs. 22023 otherwise. This is also decode(..., 'hex').
pub fn parse_hex(text: &str) -> PgResult<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 2);
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if matches!(character, ' ' | '\n' | '\t' | '\r') {
            continue;
        }
        let high = hex_digit(character)?;
        let low = characters
            .next()
            .ok_or_else(|| hex_error("invalid hexadecimal data: odd number of digits".into()))?;
        bytes.push(high << 4 | hex_digit(low)?);
    }
    Ok(bytes)
}

pub(super) fn parse_bytea(text: &str) -> PgResult<Vec<u8>> {
    if let Some(hex) = text.strip_prefix("\\x") {
        return parse_hex(hex);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        match rest {
            [b'\\', after @ ..] => {
                bytes.push(b'\\');
                rest = after;
            }
            [high @ b'0'..=b'3', middle @ b'0'..=b'7', low @ b'0'..=b'7', after @ ..] => {
                bytes.push((high - b'0') << 6 | (middle - b'0') << 3 | (low - b'0'));
                rest = after;
            }
            _ => {
                return Err(PgError::new(
                    SqlState::INVALID_TEXT_REPRESENTATION,
                    "invalid input syntax for type bytea",
                ));
            }
        }
    }
    Ok(bytes)
}
