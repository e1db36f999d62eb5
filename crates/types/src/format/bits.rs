//! bit and varbit: digits, with `B` or `X` in front when binary or hexadecimal is to be said.

use crate::datum::BitString;
use crate::error::{PgError, PgResult, SqlState};

pub(super) fn write_bits(bits: &BitString, out: &mut Vec<u8>) {
    for position in 0..bits.length as usize {
        out.push(b'0' + (bits.bytes[position / 8] >> (7 - position % 8) & 1));
    }
}

/// A bit string of bits.
pub(super) fn from_bits(bits: impl ExactSizeIterator<Item = bool>) -> BitString {
    let length = bits.len();
    let mut bytes = vec![0u8; length.div_ceil(8)];
    for (position, bit) in bits.enumerate() {
        bytes[position / 8] |= u8::from(bit) << (7 - position % 8);
    }
    BitString { length: length as u32, bytes }
}

/// The digits, before any length is checked.
fn parse_digits(text: &str) -> PgResult<BitString> {
    let bad = |character: char, what: &str| {
        PgError::new(
            SqlState::INVALID_TEXT_REPRESENTATION,
            format!("\"{character}\" is not a valid {what} digit"),
        )
    };
    if let Some(hex) = text.strip_prefix(['x', 'X']) {
        let digits = hex
            .chars()
            .map(|digit| digit.to_digit(16).ok_or_else(|| bad(digit, "hexadecimal")))
            .collect::<PgResult<Vec<u32>>>()?;
        let bits: Vec<bool> =
            digits.iter().flat_map(|digit| (0..4).rev().map(move |bit| digit >> bit & 1 == 1)).collect();
        return Ok(from_bits(bits.into_iter()));
    }
    let digits = text.strip_prefix(['b', 'B']).unwrap_or(text);
    let bits = digits
        .chars()
        .map(|digit| match digit {
            '0' => Ok(false),
            '1' => Ok(true),
            other => Err(bad(other, "binary")),
        })
        .collect::<PgResult<Vec<bool>>>()?;
    Ok(from_bits(bits.into_iter()))
}

/// Bits that a text stands for, whatever its digits are.
fn written_length(text: &str) -> u32 {
    let digits = |rest: &str| rest.chars().count() as u32;
    match text.strip_prefix(['x', 'X']) {
        Some(hex) => digits(hex) * 4,
        None => digits(text.strip_prefix(['b', 'B']).unwrap_or(text)),
    }
}

/// bit(n): exactly n bits.
pub(super) fn check_bit(length: u32, typmod: i32) -> PgResult<()> {
    if typmod > 0 && i64::from(length) != i64::from(typmod) {
        return Err(PgError::new(
            SqlState::STRING_DATA_LENGTH_MISMATCH,
            format!("bit string length {length} does not match type bit({typmod})"),
        ));
    }
    Ok(())
}

/// varbit(n): at most n bits.
pub(super) fn check_varbit(length: u32, typmod: i32) -> PgResult<()> {
    if typmod > 0 && i64::from(length) > i64::from(typmod) {
        return Err(PgError::new(
            SqlState::STRING_DATA_RIGHT_TRUNCATION,
            format!("bit string too long for type bit varying({typmod})"),
        ));
    }
    Ok(())
}

pub(super) fn parse_bit(text: &str, typmod: i32) -> PgResult<BitString> {
    check_bit(written_length(text), typmod)?;
    parse_digits(text)
}

pub(super) fn parse_varbit(text: &str, typmod: i32) -> PgResult<BitString> {
    check_varbit(written_length(text), typmod)?;
    parse_digits(text)
}
