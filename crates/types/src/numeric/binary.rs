//! numeric's binary format: four 16-bit fields (groups, weight, sign, scale) and base-10,000 groups, all big-endian.

use super::text::write_digits;
use super::*;

const POSITIVE: u16 = 0x0000;
const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xC000;
const INFINITY: u16 = 0xD000;
const NEGATIVE_INFINITY: u16 = 0xF000;

fn put(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// Writes the fields of a special value.
fn put_special(out: &mut Vec<u8>, sign: u16) {
    for field in [0, 0, sign, if sign == NAN { 0 } else { 0x20 }] {
        put(out, field);
    }
}

fn put_finite(negative: bool, digits: &[u8], scale: u16, out: &mut Vec<u8>) {
    // Digits are cut into groups of four counted from the point.
    let digits = if digits == b"0" { &[][..] } else { digits };
    let significant = digits.iter().rposition(|&digit| digit != b'0').map_or(0, |last| last + 1);
    let point = digits.len() as i64 - i64::from(scale);
    let weight = if significant == 0 { 0 } else { (point - 1).div_euclid(4) };
    // Zeros that the first group has in front.
    let lead = ((weight + 1) * 4 - point) as usize;
    let groups = if significant == 0 { 0 } else { (lead + significant).div_ceil(4) };
    put(out, groups as u16);
    put(out, weight as i16 as u16);
    put(out, if negative { NEGATIVE } else { POSITIVE });
    put(out, scale);
    for group in 0..groups {
        let mut value = 0u16;
        for place in group * 4..group * 4 + 4 {
            let digit = place.checked_sub(lead).and_then(|index| digits.get(index));
            value = value * 10 + digit.map_or(0, |&digit| u16::from(digit - b'0'));
        }
        put(out, value);
    }
}

fn invalid(what: &str) -> PgError {
    PgError::new(
        SqlState::INVALID_BINARY_REPRESENTATION,
        format!("invalid {what} in external \"numeric\" value"),
    )
}

impl Numeric {
    /// numeric_send: appends.
    pub fn write_binary(&self, out: &mut Vec<u8>) {
        match self {
            Numeric::NaN => put_special(out, NAN),
            Numeric::Infinity => put_special(out, INFINITY),
            Numeric::NegativeInfinity => put_special(out, NEGATIVE_INFINITY),
            Numeric::Small(small) => {
                let mut buffer = [0u8; 40];
                let digits = write_digits(small.coefficient().unsigned_abs(), &mut buffer);
                put_finite(small.coefficient() < 0, digits, small.scale, out);
            }
            Numeric::Big(big) => {
                let digits = magnitude(&big.coefficient).to_string();
                put_finite(is_negative(&big.coefficient), digits.as_bytes(), big.scale, out);
            }
        }
    }

    /// numeric_recv. 22P03 on bytes that make no sense.
    pub fn from_binary(bytes: &[u8]) -> PgResult<Numeric> {
        let fields: Vec<u16> =
            bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
        let &[groups, weight, sign, scale, ..] = fields.as_slice() else {
            return Err(PgError::new(SqlState::PROTOCOL_VIOLATION, "insufficient data left in message"));
        };
        match sign {
            NAN => return Ok(Numeric::NaN),
            INFINITY => return Ok(Numeric::Infinity),
            NEGATIVE_INFINITY => return Ok(Numeric::NegativeInfinity),
            POSITIVE | NEGATIVE => {}
            _ => return Err(invalid("sign")),
        }
        if scale > SCALE_MAX {
            return Err(invalid("scale"));
        }
        let digits = &fields[4..];
        if digits.len() < usize::from(groups) {
            return Err(PgError::new(SqlState::PROTOCOL_VIOLATION, "insufficient data left in message"));
        }
        if digits.len() > usize::from(groups) || !bytes.len().is_multiple_of(2) {
            return Err(PgError::new(
                SqlState::INVALID_BINARY_REPRESENTATION,
                "incorrect binary data format",
            ));
        }
        if digits.iter().any(|&digit| digit > 9999) {
            return Err(invalid("digit"));
        }
        // The integer made of all groups counts units of 10^(4 * (weight - groups + 1)).
        let text: String = digits.iter().map(|group| format!("{group:04}")).collect();
        let coefficient = if text.is_empty() {
            UBig::ZERO
        } else {
            UBig::from_str_radix(&text, 10).expect("groups of digits")
        };
        let unit = 4 * (i64::from(weight as i16) - digits.len() as i64 + 1);
        // Digits beyond the scale are cut off.
        let shift = unit + i64::from(scale);
        let power = big_power_of_ten(shift.unsigned_abs() as usize);
        let coefficient = IBig::from(if shift >= 0 { coefficient * power } else { coefficient / power });
        Numeric::from_big(if sign == NEGATIVE { -coefficient } else { coefficient }, scale)
    }
}
