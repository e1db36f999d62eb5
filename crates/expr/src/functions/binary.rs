//! bytea and bit strings. Positions count from 1, bit and byte indexes from 0; bit strings count bits from the most significant.

use super::conversion::{bits, resized};
use super::kernel::evaluators;
use super::string::hexadecimal;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};
use types::{BitString, Datum, PgError, PgResult, SqlState};

fn negative_substring() -> PgError {
    PgError::new(SqlState::SUBSTRING_ERROR, "negative substring length not allowed")
}

/// The part `start..start + length` counted from 1, cut to what there is.
fn range(total: usize, start: i32, length: Option<i32>) -> PgResult<std::ops::Range<usize>> {
    let start = i64::from(start);
    let end = match length {
        Some(length) if length < 0 => return Err(negative_substring()),
        Some(length) => start + i64::from(length),
        None => i64::MAX,
    };
    let total = total as i64;
    let from = (start.max(1) - 1).min(total);
    let to = (end.saturating_sub(1)).clamp(from, total.max(from));
    Ok(from as usize..to as usize)
}

fn index_error(index: i64, count: usize) -> PgError {
    PgError::new(
        SqlState::ARRAY_SUBSCRIPT_ERROR,
        format!("index {index} out of valid range, 0..{}", count as i64 - 1),
    )
}

fn byte_index(index: i64, count: usize) -> PgResult<usize> {
    usize::try_from(index).ok().filter(|index| *index < count).ok_or_else(|| index_error(index, count))
}

fn overlay(value: &[u8], with: &[u8], start: i32, length: i32) -> PgResult<Vec<u8>> {
    if start <= 0 {
        return Err(negative_substring());
    }
    let after = start.checked_add(length).ok_or_else(|| super::arithmetic::out_of_range("integer"))?;
    let head = &value[range(value.len(), 1, Some(start - 1))?];
    Ok([head, with, &value[range(value.len(), after, None)?]].concat())
}

fn find(value: &[u8], needle: &[u8]) -> i32 {
    if needle.is_empty() {
        return 1;
    }
    value.windows(needle.len()).position(|window| window == needle).map_or(0, |at| at as i32 + 1)
}

fn trimmed<'a>(value: &'a [u8], set: &[u8], start: bool, end: bool) -> &'a [u8] {
    let mut value = value;
    while start && value.first().is_some_and(|byte| set.contains(byte)) {
        value = &value[1..];
    }
    while end && value.last().is_some_and(|byte| set.contains(byte)) {
        value = &value[..value.len() - 1];
    }
    value
}

evaluators! {
    fn byteaoctetlen(a: bytes) -> i32 { a.len() as i32 }
    fn sql_bit_length_bytea(a: bytes) -> i32 { a.len() as i32 * 8 }
    fn bytea_bit_count(a: bytes) -> i64 { a.iter().map(|byte| i64::from(byte.count_ones())).sum() }
    fn byteacat(a: bytes, b: bytes) -> bytes { [a, b].concat() }
    fn bytea_substr(a: bytes, start: i32, length: i32) -> try bytes { Ok(&a[range(a.len(), start, Some(length))?]) }
    fn bytea_substr_no_len(a: bytes, start: i32) -> try bytes { Ok(&a[range(a.len(), start, None)?]) }
    fn byteaoverlay(a: bytes, b: bytes, start: i32, length: i32) -> try bytes { overlay(a, b, start, length) }
    fn byteaoverlay_no_len(a: bytes, b: bytes, start: i32) -> try bytes { overlay(a, b, start, b.len() as i32) }
    fn byteapos(a: bytes, b: bytes) -> i32 { find(a, b) }
    fn byteatrim(a: bytes, set: bytes) -> bytes { trimmed(a, set, true, true) }
    fn bytealtrim(a: bytes, set: bytes) -> bytes { trimmed(a, set, true, false) }
    fn byteartrim(a: bytes, set: bytes) -> bytes { trimmed(a, set, false, true) }
    fn byteagetbyte(a: bytes, index: i32) -> try i32 {
        Ok(i32::from(a[byte_index(i64::from(index), a.len())?]))
    }
    fn byteasetbyte(a: bytes, index: i32, value: i32) -> try bytes {
        let at = byte_index(i64::from(index), a.len())?;
        let mut out = a.to_vec();
        out[at] = value as u8;
        Ok(out)
    }
    fn byteagetbit(a: bytes, index: i64) -> try i32 {
        let at = byte_index(index, a.len() * 8)?;
        Ok(i32::from(a[at / 8] >> (at % 8) & 1))
    }
    fn byteasetbit(a: bytes, index: i64, value: i32) -> try bytes {
        let at = byte_index(index, a.len() * 8)?;
        new_bit(value)?;
        let mut out = a.to_vec();
        out[at / 8] = out[at / 8] & !(1 << (at % 8)) | (value as u8) << (at % 8);
        Ok(out)
    }
    fn sha224_bytea(a: bytes) -> bytes { Sha224::digest(a) }
    fn sha256_bytea(a: bytes) -> bytes { Sha256::digest(a) }
    fn sha384_bytea(a: bytes) -> bytes { Sha384::digest(a) }
    fn sha512_bytea(a: bytes) -> bytes { Sha512::digest(a) }
    fn binary_encode(a: bytes, format: text) -> try text { encode(a, format) }
    fn binary_decode(text: text, format: text) -> try bytes { decode(text, format) }
    fn pg_convert_from(a: bytes, encoding: text) -> try text {
        require_utf8(encoding, "source ")?;
        utf8(a)
    }
    fn pg_convert_to(text: text, encoding: text) -> try bytes {
        require_utf8(encoding, "destination ")?;
        Ok(text.as_bytes())
    }
    fn pg_convert(a: bytes, source: text, destination: text) -> try bytes {
        require_utf8(source, "source ")?;
        require_utf8(destination, "destination ")?;
        utf8(a).map(str::as_bytes)
    }
    fn length_in_encoding(a: bytes, encoding: text) -> try i32 {
        require_utf8(encoding, "")?;
        Ok(utf8(a)?.chars().count() as i32)
    }
}

fn new_bit(value: i32) -> PgResult<()> {
    if value == 0 || value == 1 {
        return Ok(());
    }
    Err(PgError::new(SqlState::INVALID_PARAMETER_VALUE, "new bit must be 0 or 1"))
}

/// UTF-8 is the only encoding here.
fn require_utf8(name: &str, role: &str) -> PgResult<()> {
    let plain: String =
        name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    match plain.as_str() {
        "utf8" | "unicode" => Ok(()),
        "sqlascii" | "latin1" | "iso88591" | "win1252" | "eucjp" | "sjis" | "gb18030" | "big5" | "koi8r" => {
            Err(PgError::unsupported(format!("conversion of encoding {name}")))
        }
        _ => Err(PgError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("invalid {role}encoding name \"{name}\""),
        )),
    }
}

fn utf8(bytes: &[u8]) -> PgResult<&str> {
    // A zero byte is as invalid as any other, and the first is reported.
    let zero = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let invalid_zero = || {
        PgError::new(
            SqlState::CHARACTER_NOT_IN_REPERTOIRE,
            "invalid byte sequence for encoding \"UTF8\": 0x00",
        )
    };
    let text = std::str::from_utf8(bytes).map_err(|error| {
        if error.valid_up_to() > zero {
            return invalid_zero();
        }
        let at = error.valid_up_to();
        let length = error.error_len().unwrap_or(bytes.len() - at).max(1);
        let shown: Vec<String> = bytes[at..at + length].iter().map(|byte| format!("0x{byte:02x}")).collect();
        PgError::new(
            SqlState::CHARACTER_NOT_IN_REPERTOIRE,
            format!("invalid byte sequence for encoding \"UTF8\": {}", shown.join(" ")),
        )
    })?;
    if zero < bytes.len() { Err(invalid_zero()) } else { Ok(text) }
}

fn unrecognized(format: &str) -> PgError {
    PgError::new(SqlState::INVALID_PARAMETER_VALUE, format!("unrecognized encoding: \"{format}\""))
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// A line of base64 output, after which comes a newline.
const BASE64_LINE: usize = 76;

fn encode(bytes: &[u8], format: &str) -> PgResult<String> {
    match format.to_ascii_lowercase().as_str() {
        "hex" => Ok(hexadecimal(bytes)),
        "base64" => Ok(base64(bytes)),
        "escape" => Ok(escaped(bytes)),
        _ => Err(unrecognized(format)),
    }
}

fn base64(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 4 / 3 + 4);
    let mut line = 0;
    for (index, chunk) in bytes.chunks(3).enumerate() {
        let word =
            chunk.iter().enumerate().fold(0u32, |word, (at, byte)| word | u32::from(*byte) << (16 - at * 8));
        for place in 0..4 {
            if place <= chunk.len() {
                out.push(char::from(BASE64[(word >> (18 - place * 6) & 63) as usize]));
            } else {
                out.push('=');
            }
        }
        line += 4;
        // A line break follows a full line, unless nothing follows it.
        if line == BASE64_LINE && (index + 1) * 3 < bytes.len() {
            out.push('\n');
            line = 0;
        }
    }
    out
}

fn escaped(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'\\' => out.push_str("\\\\"),
            0 | 0x80.. => out.push_str(&format!("\\{byte:03o}")),
            byte => out.push(char::from(*byte)),
        }
    }
    out
}

fn bad(message: impl Into<String>) -> PgError {
    PgError::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

fn decode(text: &str, format: &str) -> PgResult<Vec<u8>> {
    match format.to_ascii_lowercase().as_str() {
        "hex" => decode_hex(text),
        "base64" => decode_base64(text),
        "escape" => decode_escape(text),
        _ => Err(unrecognized(format)),
    }
}

fn decode_hex(text: &str) -> PgResult<Vec<u8>> {
    let digit = |c: char| c.to_digit(16).ok_or_else(|| bad(format!("invalid hexadecimal digit: \"{c}\"")));
    let mut characters = text.chars().filter(|c| !matches!(c, ' ' | '\n' | '\t' | '\r'));
    let mut out = Vec::with_capacity(text.len() / 2);
    while let Some(high) = characters.next() {
        let high = digit(high)?;
        let low = characters.next().ok_or_else(|| bad("invalid hexadecimal data: odd number of digits"))?;
        out.push((high << 4 | digit(low)?) as u8);
    }
    Ok(out)
}

fn decode_base64(text: &str) -> PgResult<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() * 3 / 4);
    let (mut word, mut count, mut padding) = (0u32, 0, 0);
    for c in text.chars() {
        if matches!(c, ' ' | '\n' | '\t' | '\r') {
            continue;
        }
        let value = if c == '=' {
            if padding == 0 {
                padding = match count {
                    2 => 2,
                    3 => 1,
                    _ => return Err(bad("unexpected \"=\" while decoding base64 sequence")),
                };
            }
            0
        } else {
            let at = BASE64.iter().position(|symbol| char::from(*symbol) == c);
            at.ok_or_else(|| bad(format!("invalid symbol \"{c}\" found while decoding base64 sequence")))?
                as u32
        };
        word = word << 6 | value;
        count += 1;
        if count == 4 {
            let bytes = [(word >> 16) as u8, (word >> 8) as u8, word as u8];
            out.extend_from_slice(&bytes[..3 - padding]);
            (word, count) = (0, 0);
        }
    }
    if count != 0 {
        return Err(bad("invalid base64 end sequence")
            .hint("Input data is missing padding, is truncated, or is otherwise corrupted."));
    }
    Ok(out)
}

fn decode_escape(text: &str) -> PgResult<Vec<u8>> {
    let invalid =
        || PgError::new(SqlState::INVALID_TEXT_REPRESENTATION, "invalid input syntax for type bytea");
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] != b'\\' {
            out.push(bytes[at]);
            at += 1;
            continue;
        }
        match &bytes[at + 1..] {
            [b'\\', ..] => {
                out.push(b'\\');
                at += 2;
            }
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..] => {
                out.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                at += 4;
            }
            _ => return Err(invalid()),
        }
    }
    Ok(out)
}

/// A bit string from a function over bit positions.
fn build(length: u32, bit_at: impl Fn(u32) -> bool) -> Datum {
    let mut bytes = vec![0u8; length.div_ceil(8) as usize];
    for at in (0..length).filter(|at| bit_at(*at)) {
        bytes[(at / 8) as usize] |= 0x80 >> (at % 8);
    }
    Datum::Bits(Box::new(BitString { length, bytes }))
}

fn bit_at(value: &BitString, at: u32) -> bool {
    at < value.length && value.bytes[(at / 8) as usize] & (0x80 >> (at % 8)) != 0
}

fn joined(a: &BitString, b: &BitString) -> Datum {
    build(a.length + b.length, |at| if at < a.length { bit_at(a, at) } else { bit_at(b, at - a.length) })
}

fn part(value: &BitString, start: i32, length: Option<i32>) -> PgResult<BitString> {
    let range = range(value.length as usize, start, length)?;
    match build(range.len() as u32, |at| bit_at(value, range.start as u32 + at)) {
        Datum::Bits(bits) => Ok(*bits),
        _ => Ok(BitString { length: 0, bytes: Vec::new() }),
    }
}

fn bits_overlay(value: &BitString, with: &BitString, start: i32, length: i32) -> PgResult<Datum> {
    if start <= 0 {
        return Err(negative_substring());
    }
    let after = start.checked_add(length).ok_or_else(|| super::arithmetic::out_of_range("integer"))?;
    let head = part(value, 1, Some(start - 1))?;
    let tail = part(value, after, None)?;
    let front = joined(&head, with);
    Ok(joined(bits(&front), &tail))
}

fn bits_position(value: &BitString, needle: &BitString) -> i32 {
    if needle.length == 0 {
        return 1;
    }
    if value.length < needle.length {
        return 0;
    }
    let matches = |start: &u32| (0..needle.length).all(|at| bit_at(value, start + at) == bit_at(needle, at));
    (0..=value.length - needle.length).find(matches).map_or(0, |start| start as i32 + 1)
}

fn combined(a: &Datum, b: &Datum, verb: &str, join: impl Fn(u8, u8) -> u8) -> PgResult<Datum> {
    let (a, b) = (bits(a), bits(b));
    if a.length != b.length {
        return Err(PgError::new(
            SqlState::STRING_DATA_LENGTH_MISMATCH,
            format!("cannot {verb} bit strings of different sizes"),
        ));
    }
    let bytes = a.bytes.iter().zip(&b.bytes).map(|(a, b)| join(*a, *b)).collect();
    Ok(Datum::Bits(Box::new(BitString { length: a.length, bytes })))
}

/// The bits moved to the right by `count` places (left when negative), zeros coming in.
fn shifted(value: &BitString, count: i64) -> Datum {
    build(value.length, |at| u32::try_from(i64::from(at) - count).is_ok_and(|source| bit_at(value, source)))
}

fn bit_index(index: i32, value: &BitString) -> PgResult<u32> {
    u32::try_from(index).ok().filter(|index| *index < value.length).ok_or_else(|| {
        PgError::new(
            SqlState::ARRAY_SUBSCRIPT_ERROR,
            format!("bit index {index} out of valid range (0..{})", i64::from(value.length) - 1),
        )
    })
}

evaluators! {
    fn bitlength(a: datum) -> i32 { bits(a).length as i32 }
    fn sql_bit_length_bit(a: datum) -> i32 { bits(a).length as i32 }
    fn bitoctetlength(a: datum) -> i32 { bits(a).length.div_ceil(8) as i32 }
    fn bit_bit_count(a: datum) -> i64 { bits(a).bytes.iter().map(|byte| i64::from(byte.count_ones())).sum() }
    fn bitcat(a: datum, b: datum) -> datum { joined(bits(a), bits(b)) }
    fn bit_and(a: datum, b: datum) -> try datum { combined(a, b, "AND", |a, b| a & b) }
    fn bit_or(a: datum, b: datum) -> try datum { combined(a, b, "OR", |a, b| a | b) }
    fn bitxor(a: datum, b: datum) -> try datum { combined(a, b, "XOR", |a, b| a ^ b) }
    fn bitnot(a: datum) -> datum {
        let value = bits(a);
        build(value.length, |at| !bit_at(value, at))
    }
    fn bitshiftleft(a: datum, count: i32) -> datum { shifted(bits(a), -i64::from(count)) }
    fn bitshiftright(a: datum, count: i32) -> datum { shifted(bits(a), i64::from(count)) }
    fn bitsubstr(a: datum, start: i32, length: i32) -> try datum {
        part(bits(a), start, Some(length)).map(|part| Datum::Bits(Box::new(part)))
    }
    fn bitsubstr_no_len(a: datum, start: i32) -> try datum {
        part(bits(a), start, None).map(|part| Datum::Bits(Box::new(part)))
    }
    fn bitoverlay(a: datum, b: datum, start: i32, length: i32) -> try datum {
        bits_overlay(bits(a), bits(b), start, length)
    }
    fn bitoverlay_no_len(a: datum, b: datum, start: i32) -> try datum {
        bits_overlay(bits(a), bits(b), start, bits(b).length as i32)
    }
    fn bitposition(a: datum, b: datum) -> i32 { bits_position(bits(a), bits(b)) }
    fn bitgetbit(a: datum, index: i32) -> try i32 { Ok(i32::from(bit_at(bits(a), bit_index(index, bits(a))?))) }
    fn bitsetbit(a: datum, index: i32, value: i32) -> try datum {
        let at = bit_index(index, bits(a))?;
        new_bit(value)?;
        let mut out = resized(bits(a), bits(a).length);
        let mask = 0x80 >> (at % 8);
        let byte = &mut out.bytes[(at / 8) as usize];
        *byte = if value == 1 { *byte | mask } else { *byte & !mask };
        Ok(Datum::Bits(Box::new(out)))
    }
}
