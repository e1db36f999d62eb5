//! uuid: 32 hex digits, hyphens after any group of four, perhaps in braces.

use super::bytea::write_hex;
use super::integer::syntax_error;
use crate::error::PgResult;

pub(super) fn write_uuid(bytes: &[u8; 16], out: &mut Vec<u8>) {
    for (position, group) in
        [&bytes[..4], &bytes[4..6], &bytes[6..8], &bytes[8..10], &bytes[10..]].iter().enumerate()
    {
        if position > 0 {
            out.push(b'-');
        }
        write_hex(group, out);
    }
}

fn decode(text: &str) -> Option<[u8; 16]> {
    let inner = match text.strip_prefix('{') {
        Some(inner) => inner.strip_suffix('}')?,
        None => text,
    };
    let mut rest = inner.as_bytes();
    let mut bytes = [0; 16];
    let digit = |byte: u8| (byte as char).to_digit(16).map(|digit| digit as u8);
    for (position, byte) in bytes.iter_mut().enumerate() {
        let [high, low, after @ ..] = rest else { return None };
        *byte = digit(*high)? << 4 | digit(*low)?;
        rest = after;
        if position % 2 == 1 && position < 15 {
            rest = rest.strip_prefix(b"-").unwrap_or(rest);
        }
    }
    rest.is_empty().then_some(bytes)
}

pub(super) fn parse_uuid(text: &str) -> PgResult<[u8; 16]> {
    decode(text).ok_or_else(|| syntax_error("uuid", text))
}
