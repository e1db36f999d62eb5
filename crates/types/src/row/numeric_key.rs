//! An order-preserving form of numerics: equal values have equal bytes, and bytes order as values do.
//!
//! ```text
//! 0x10                                   -Infinity
//! 0x20 ~(exponent) ~(digits) 0xff        negative: everything complemented, so that larger magnitudes come first
//! 0x30                                   zero
//! 0x40 exponent digits                   positive
//! 0x50                                   Infinity
//! 0x60                                   NaN
//! ```
//!
//! A value is 0.d1d2d3... * 10^exponent with d1 not zero. The exponent is one byte from -60 to 60 (0x80 + exponent), otherwise 0xc0 or
//! 0x40 and four bytes. Digits are taken in pairs, each byte being the pair + 1 (never zero, so nothing is escaped in a key),
//! without trailing zeros: what is shorter and otherwise equal is smaller, which its end says.

use super::corrupted;
use crate::error::PgResult;
use crate::numeric::{Numeric, SCALE_MAX};

const NEGATIVE_INFINITY: u8 = 0x10;
const NEGATIVE: u8 = 0x20;
const ZERO: u8 = 0x30;
const POSITIVE: u8 = 0x40;
const INFINITY: u8 = 0x50;
const NAN: u8 = 0x60;

/// Ends a negative number: above every complemented pair.
const NEGATIVE_END: u8 = 0xff;

const EXPONENT_LIMIT: i64 = 60;
const EXPONENT_MIDDLE: u8 = 0x80;
const EXPONENT_HIGH: u8 = 0xc0;
const EXPONENT_LOW: u8 = 0x40;

fn put_exponent(exponent: i64, mask: u8, out: &mut Vec<u8>) {
    if exponent.abs() <= EXPONENT_LIMIT {
        out.push((i64::from(EXPONENT_MIDDLE) + exponent) as u8 ^ mask);
        return;
    }
    out.push(if exponent > 0 { EXPONENT_HIGH } else { EXPONENT_LOW } ^ mask);
    out.extend((exponent as i32 as u32 ^ 1 << 31).to_be_bytes().map(|byte| byte ^ mask));
}

/// Appends the form of a value.
pub(super) fn put(value: &Numeric, out: &mut Vec<u8>) {
    match value {
        Numeric::NaN => out.push(NAN),
        Numeric::Infinity => out.push(INFINITY),
        Numeric::NegativeInfinity => out.push(NEGATIVE_INFINITY),
        finite if finite.is_zero() => out.push(ZERO),
        finite => {
            let negative = finite.signum() < 0;
            let mask = if negative { 0xff } else { 0 };
            out.push(if negative { NEGATIVE } else { POSITIVE });
            let exponent_at = out.len();
            finite.with_digits(|digits| {
                let exponent = digits.len() as i64 - i64::from(finite.scale());
                put_exponent(exponent, mask, out);
                let significant = digits.iter().rposition(|&digit| digit != b'0').expect("not zero") + 1;
                for pair in digits[..significant].chunks(2) {
                    let tens = pair[0] - b'0';
                    let ones = pair.get(1).map_or(0, |digit| digit - b'0');
                    out.push((tens * 10 + ones + 1) ^ mask);
                }
            });
            debug_assert!(out.len() > exponent_at + 1);
            if negative {
                out.push(NEGATIVE_END);
            }
        }
    }
}

/// Reads the form back, with no more decimals than needed but at least `scale_min`.
pub(super) fn take(bytes: &[u8], scale_min: u16) -> PgResult<Numeric> {
    let invalid = || corrupted("a numeric in its key is malformed");
    let (&tag, rest) = bytes.split_first().ok_or_else(invalid)?;
    let (mask, rest) = match tag {
        NAN => return Ok(Numeric::NaN),
        INFINITY => return Ok(Numeric::Infinity),
        NEGATIVE_INFINITY => return Ok(Numeric::NegativeInfinity),
        ZERO => return Ok(Numeric::from_i128(0, scale_min)),
        POSITIVE => (0, rest),
        NEGATIVE => (0xff, rest.strip_suffix(&[NEGATIVE_END]).ok_or_else(invalid)?),
        _ => return Err(invalid()),
    };
    let (&first, rest) = rest.split_first().ok_or_else(invalid)?;
    let (exponent, pairs) = match first ^ mask {
        EXPONENT_HIGH | EXPONENT_LOW => {
            let (wide, rest) = rest.split_first_chunk::<4>().ok_or_else(invalid)?;
            (i64::from((u32::from_be_bytes(wide.map(|byte| byte ^ mask)) ^ 1 << 31) as i32), rest)
        }
        near => (i64::from(near) - i64::from(EXPONENT_MIDDLE), rest),
    };
    let pair = |byte: u8| match byte ^ mask {
        pair @ 1..=100 => Ok(i128::from(pair - 1)),
        _ => Err(invalid()),
    };
    let (&last, _) = pairs.split_last().ok_or_else(invalid)?;
    let odd = pair(last)? % 10 == 0;
    let digits = pairs.len() as i64 * 2 - i64::from(odd);
    let scale_needed = digits - exponent;
    let scale = scale_needed.max(i64::from(scale_min));
    if scale > i64::from(SCALE_MAX) || exponent > crate::numeric::INTEGER_DIGITS_MAX as i64 {
        return Err(invalid());
    }
    if digits + (scale - scale_needed) <= 37 {
        let mut coefficient = 0i128;
        for &byte in pairs {
            coefficient = coefficient * 100 + pair(byte)?;
        }
        if odd {
            coefficient /= 10;
        }
        for _ in 0..scale - scale_needed {
            coefficient *= 10;
        }
        return Ok(Numeric::from_i128(if mask == 0 { coefficient } else { -coefficient }, scale as u16));
    }
    let mut text = String::with_capacity(pairs.len() * 2 + 16);
    if mask != 0 {
        text.push('-');
    }
    text.push_str("0.");
    for &byte in pairs {
        text.push_str(&format!("{:02}", pair(byte)?));
    }
    text.push_str(&format!("e{exponent}"));
    let value = Numeric::parse(&text)?.trim_scale();
    if scale > i64::from(value.scale()) { value.with_scale_at_least(scale as u16) } else { Ok(value) }
}
