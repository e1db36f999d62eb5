//! Integers: decimal digits, two at a time.

use crate::error::{PgError, PgResult, SqlState};

const PAIRS: &[u8; 200] = b"0001020304050607080910111213141516171819\
2021222324252627282930313233343536373839\
4041424344454647484950515253545556575859\
6061626364656667686970717273747576777879\
8081828384858687888990919293949596979899";

/// Appends a number in decimal.
#[inline]
pub(crate) fn write_integer(value: i64, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    write_unsigned(value.unsigned_abs(), out);
}

#[inline]
pub(crate) fn write_unsigned(mut value: u64, out: &mut Vec<u8>) {
    let mut buffer = [0u8; 20];
    let mut start = buffer.len();
    while value >= 100 {
        let pair = (value % 100) as usize * 2;
        value /= 100;
        start -= 2;
        buffer[start..start + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    }
    if value >= 10 {
        let pair = value as usize * 2;
        start -= 2;
        buffer[start..start + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    } else {
        start -= 1;
        buffer[start] = b'0' + value as u8;
    }
    out.extend_from_slice(&buffer[start..]);
}

pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

pub(super) fn trim_spaces(text: &str) -> &str {
    text.trim_matches(|character: char| character.is_ascii() && is_space(character as u8))
}

pub(super) fn syntax_error(type_name: &str, text: &str) -> PgError {
    PgError::new(
        SqlState::INVALID_TEXT_REPRESENTATION,
        format!("invalid input syntax for type {type_name}: \"{text}\""),
    )
}

pub(super) fn out_of_range(type_name: &str, text: &str) -> PgError {
    PgError::new(
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
        format!("value \"{text}\" is out of range for type {type_name}"),
    )
}

/// int2in, int4in, int8in: spaces around, a sign, digits. Out of range is said before bad syntax behind it.
pub(super) fn parse_integer(text: &str, type_name: &str, min: i64, max: i64) -> PgResult<i64> {
    let trimmed = trim_spaces(text).as_bytes();
    let (negative, digits) = match trimmed.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, trimmed),
    };
    if digits.is_empty() {
        return Err(syntax_error(type_name, text));
    }
    let mut value: i64 = 0;
    for &byte in digits {
        if !byte.is_ascii_digit() {
            return Err(syntax_error(type_name, text));
        }
        // Counted downwards, where there is room for one more.
        let next = value.checked_mul(10).and_then(|value| value.checked_sub(i64::from(byte - b'0')));
        value = next.filter(|value| *value >= min).ok_or_else(|| out_of_range(type_name, text))?;
    }
    if negative {
        return Ok(value);
    }
    value.checked_neg().filter(|value| *value <= max).ok_or_else(|| out_of_range(type_name, text))
}

/// C's strtoul: a sign, digits of a base (0: by its prefix), and what follows them. `None` when there are no digits.
pub(super) fn leading_unsigned(text: &str, base: u32) -> Option<(bool, u128, &str)> {
    let trimmed =
        text.trim_start_matches(|character: char| character.is_ascii() && is_space(character as u8));
    let (negative, rest) = match trimmed.as_bytes().first() {
        Some(b'-') => (true, &trimmed[1..]),
        Some(b'+') => (false, &trimmed[1..]),
        _ => (false, trimmed),
    };
    let (base, rest) = match (base, rest.as_bytes()) {
        (0, [b'0', b'x' | b'X', next, ..]) if next.is_ascii_hexdigit() => (16, &rest[2..]),
        (0, [b'0', ..]) => (8, rest),
        (0, _) => (10, rest),
        _ => (base, rest),
    };
    let digits = rest.chars().take_while(|character| character.is_digit(base)).count();
    if digits == 0 {
        return None;
    }
    let value = rest[..digits].chars().fold(0u128, |value, digit| {
        value.saturating_mul(u128::from(base)).saturating_add(u128::from(digit.to_digit(base).unwrap_or(0)))
    });
    Some((negative, value, &rest[digits..]))
}
