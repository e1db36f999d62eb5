//! float4 and float8: the shortest digits that read back as the same value, laid out as PostgreSQL does.
//!
//! The digits come from `ryu`, which writes them in a layout of its own; ours is C's `%g`: plain between 1e-5 and as many digits as
//! the type holds for certain (15, 6), with an exponent of two digits at least otherwise.

use super::integer::{syntax_error, trim_spaces};
use crate::error::{PgError, PgResult, SqlState};
use std::io::Write;

/// Digits that survive a trip through the type.
const FLOAT8_DIGITS: i32 = 15;
const FLOAT4_DIGITS: i32 = 6;

/// NaN and the infinities; false when the value is finite.
fn write_special(is_nan: bool, is_infinite: bool, is_negative: bool, out: &mut Vec<u8>) -> bool {
    if is_nan {
        out.extend_from_slice(b"NaN");
    } else if is_infinite {
        out.extend_from_slice(if is_negative { b"-Infinity" } else { b"Infinity" });
    }
    is_nan || is_infinite
}

/// Appends a float8; `extra_digits` is the setting extra_float_digits.
#[inline]
pub(crate) fn write_float8(value: f64, extra_digits: i32, out: &mut Vec<u8>) {
    if write_special(value.is_nan(), value.is_infinite(), value < 0.0, out) {
        return;
    }
    if extra_digits > 0 {
        let (mantissa, exponent) =
            (value.to_bits() & ((1 << 52) - 1) | 1 << 52, (value.to_bits() >> 52 & 0x7ff) as i32);
        let mut buffer = ryu::Buffer::new();
        let text = buffer.format_finite(value);
        // Only beyond 2^53 are there boundaries with few digits.
        if exponent > 1023 + 53 && is_boundary(text, mantissa, exponent - 1023 - 52) {
            write_inside(
                value,
                FLOAT8_DIGITS,
                17,
                |text| is_boundary(text, mantissa, exponent - 1023 - 52),
                out,
            );
        } else {
            lay_out(text, FLOAT8_DIGITS, out);
        }
    } else {
        write_general(value, FLOAT8_DIGITS + extra_digits, out);
    }
}

/// Appends a float4.
#[inline]
pub(crate) fn write_float4(value: f32, extra_digits: i32, out: &mut Vec<u8>) {
    if write_special(value.is_nan(), value.is_infinite(), value < 0.0, out) {
        return;
    }
    if extra_digits > 0 {
        let bits = value.to_bits();
        let (mantissa, exponent) = (u64::from(bits & ((1 << 23) - 1) | 1 << 23), (bits >> 23 & 0xff) as i32);
        let mut buffer = ryu::Buffer::new();
        let text = buffer.format_finite(value);
        if exponent > 127 + 24 && is_boundary(text, mantissa, exponent - 127 - 23) {
            let boundary = |text: &str| is_boundary(text, mantissa, exponent - 127 - 23);
            write_inside(f64::from(value), FLOAT4_DIGITS, 9, boundary, out);
        } else {
            lay_out(text, FLOAT4_DIGITS, out);
        }
    } else {
        write_general(f64::from(value), FLOAT4_DIGITS + extra_digits, out);
    }
}

/// Whether a text lies exactly between `mantissa * 2^exponent` and one of its neighbours. It reads back as the even one of them,
/// which is good enough for `ryu` but not for PostgreSQL.
fn is_boundary(text: &str, mantissa: u64, exponent: i32) -> bool {
    let text = text.trim_start_matches('-');
    let (digits, power) = text.split_once('e').unwrap_or((text, "0"));
    let power: i32 = power.parse().expect("a small exponent");
    let (integer, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let digits = integer.bytes().chain(fraction.trim_end_matches('0').bytes());
    let digits = digits.fold(0u128, |value, digit| value * 10 + u128::from(digit - b'0'));
    // digits * 10^power = digits * 5^power * 2^power; a boundary is an odd number of at most 54 bits, and a power of two.
    let power = power - fraction.trim_end_matches('0').len() as i32;
    if !(0..=23).contains(&power) || digits == 0 {
        return false;
    }
    let twos = digits.trailing_zeros() as i32 + power;
    let Some(odd) = (digits >> digits.trailing_zeros()).checked_mul(5u128.pow(power as u32)) else {
        return false;
    };
    let neighbours = [u128::from(mantissa) * 2 + 1, u128::from(mantissa) * 2 - 1];
    neighbours.contains(&odd) && twos == exponent - 1
}

/// Appends the shortest digits that are no boundary.
fn write_inside(
    value: f64,
    precision: i32,
    digits_max: usize,
    is_boundary: impl Fn(&str) -> bool,
    out: &mut Vec<u8>,
) {
    let text = (2..digits_max)
        .map(|digits| format!("{value:.*e}", digits - 1))
        .find(|text| !is_boundary(text) && reads_back(text, value, digits_max))
        .unwrap_or_else(|| format!("{value:.*e}", digits_max - 1));
    lay_out(&text, precision, out);
}

fn reads_back(text: &str, value: f64, digits_max: usize) -> bool {
    if digits_max == 9 { text.parse() == Ok(value as f32) } else { text.parse() == Ok(value) }
}

/// C's `%.*g` of a finite value.
pub(crate) fn write_general(value: f64, precision: i32, out: &mut Vec<u8>) {
    let precision = precision.max(1);
    let mut buffer = [0u8; 64];
    let mut rest = &mut buffer[..];
    write!(rest, "{value:.*e}", precision as usize - 1).expect("short");
    let unused = rest.len();
    let text = std::str::from_utf8(&buffer[..64 - unused]).expect("ASCII");
    let (mantissa, exponent) = text.split_once('e').expect("scientific notation has an exponent");
    let mantissa =
        if mantissa.contains('.') { mantissa.trim_end_matches('0').trim_end_matches('.') } else { mantissa };
    let mut trimmed = [0u8; 64];
    let mut rest = &mut trimmed[..];
    write!(rest, "{mantissa}e{exponent}").expect("short");
    let unused = rest.len();
    lay_out(std::str::from_utf8(&trimmed[..64 - unused]).expect("ASCII"), precision, out);
}

/// Appends what a text in any layout says; plain notation up to 10^`precision`.
fn lay_out(text: &str, precision: i32, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    let (negative, bytes) = match bytes.split_first() {
        Some((b'-', rest)) => (true, rest),
        _ => (false, bytes),
    };
    // Significant digits, and the exponent of the first.
    let mut digits = [0u8; 32];
    let (mut count, mut point, mut exponent) = (0usize, None, 0i32);
    let mut position = 0;
    while position < bytes.len() {
        match bytes[position] {
            b'.' => point = Some(count),
            b'e' => {
                let written = std::str::from_utf8(&bytes[position + 1..]).expect("ASCII");
                exponent = written.parse().expect("a small exponent");
                break;
            }
            digit => {
                digits[count] = digit;
                count += 1;
            }
        }
        position += 1;
    }
    let point = point.unwrap_or(count) as i32;
    let leading = digits[..count].iter().take_while(|&&digit| digit == b'0').count();
    let end = digits[..count].iter().rposition(|&digit| digit != b'0').map_or(0, |last| last + 1);
    if negative {
        out.push(b'-');
    }
    if end == 0 {
        return out.push(b'0');
    }
    let digits = &digits[leading..end];
    let exponent = exponent + point - leading as i32 - 1;
    if (-4..precision).contains(&exponent) {
        write_plain(digits, exponent, out);
    } else {
        write_scientific(digits, exponent, out);
    }
}

fn write_plain(digits: &[u8], exponent: i32, out: &mut Vec<u8>) {
    if exponent < 0 {
        out.extend_from_slice(b"0.");
        out.resize(out.len() + (-exponent - 1) as usize, b'0');
        return out.extend_from_slice(digits);
    }
    let integer = exponent as usize + 1;
    if digits.len() <= integer {
        out.extend_from_slice(digits);
        out.resize(out.len() + integer - digits.len(), b'0');
    } else {
        out.extend_from_slice(&digits[..integer]);
        out.push(b'.');
        out.extend_from_slice(&digits[integer..]);
    }
}

fn write_scientific(digits: &[u8], exponent: i32, out: &mut Vec<u8>) {
    out.push(digits[0]);
    if digits.len() > 1 {
        out.push(b'.');
        out.extend_from_slice(&digits[1..]);
    }
    out.push(b'e');
    out.push(if exponent < 0 { b'-' } else { b'+' });
    let size = exponent.unsigned_abs();
    if size < 10 {
        out.push(b'0');
    }
    super::write_integer(i64::from(size), out);
}

fn range_error(type_name: &str, text: &str) -> PgError {
    PgError::new(
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
        format!("\"{text}\" is out of range for type {type_name}"),
    )
}

/// C's hexadecimal floats (`0x1.8p3`), which strtod takes.
fn parse_hexadecimal(text: &str) -> Option<f64> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let rest = rest.strip_prefix("0x").or_else(|| rest.strip_prefix("0X"))?;
    let (mantissa, exponent) = match rest.find(['p', 'P']) {
        Some(at) => (&rest[..at], rest[at + 1..].parse::<i32>().ok()?),
        None => (rest, 0),
    };
    let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if integer.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut value = 0f64;
    for digit in integer.chars().chain(fraction.chars()) {
        value = value * 16.0 + f64::from(digit.to_digit(16)?);
    }
    let value = value * 2f64.powi(exponent.saturating_sub(4 * fraction.len() as i32));
    Some(if negative { -value } else { value })
}

/// Whether a text of a number has a digit other than zero before its exponent.
fn is_not_zero(text: &str) -> bool {
    text.bytes().take_while(|byte| !matches!(byte, b'e' | b'E')).any(|byte| matches!(byte, b'1'..=b'9'))
}

/// Letters are a spelled-out infinity or NaN.
fn is_spelled_out(text: &str) -> bool {
    text.trim_start_matches(['+', '-']).starts_with(|character: char| character.is_ascii_alphabetic())
}

pub(super) fn parse_float8(text: &str) -> PgResult<f64> {
    let trimmed = trim_spaces(text);
    let value: f64 = match trimmed.parse() {
        Ok(value) => value,
        Err(_) => return parse_hexadecimal(trimmed).ok_or_else(|| syntax_error("double precision", text)),
    };
    if (value.is_infinite() && !is_spelled_out(trimmed)) || (value == 0.0 && is_not_zero(trimmed)) {
        return Err(range_error("double precision", trimmed));
    }
    Ok(value)
}

pub(super) fn parse_float4(text: &str) -> PgResult<f32> {
    let trimmed = trim_spaces(text);
    let value: f32 = match trimmed.parse() {
        Ok(value) => value,
        Err(_) => {
            return parse_hexadecimal(trimmed)
                .map(|value| value as f32)
                .ok_or_else(|| syntax_error("real", text));
        }
    };
    if (value.is_infinite() && !is_spelled_out(trimmed)) || (value == 0.0 && is_not_zero(trimmed)) {
        return Err(range_error("real", trimmed));
    }
    Ok(value)
}
