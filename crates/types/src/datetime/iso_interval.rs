//! ISO 8601 intervals: `P1Y2M3DT4H5M6S`, and the forms that look like timestamps, `P0001-02-03T04:05:06` and
//! `P00010203T040506`.

use super::decode_interval::Sum;
use super::scan::{DecodeError, Decoded};
use super::*;

struct Scanner<'a> {
    rest: &'a str,
}

impl<'a> Scanner<'a> {
    /// A number, perhaps with a sign, a fraction and an exponent: whole part and fraction.
    fn number(&mut self) -> Decoded<(i64, f64)> {
        let bytes = self.rest.as_bytes();
        if !bytes.first().is_some_and(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'.')) {
            return Err(DecodeError::BadFormat);
        }
        let digits = |from: usize| {
            bytes[from.min(bytes.len())..].iter().take_while(|byte| byte.is_ascii_digit()).count()
        };
        let mut end = usize::from(bytes[0] == b'-');
        end += digits(end);
        if bytes.get(end) == Some(&b'.') {
            end += 1 + digits(end + 1);
        }
        if matches!(bytes.get(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            let exponent = digits(end + 1 + sign);
            if exponent > 0 {
                end += 1 + sign + exponent;
            }
        }
        let (number, rest) = self.rest.split_at(end);
        let value: f64 = number.parse().map_err(|_| DecodeError::BadFormat)?;
        if !(-1.0e15..=1.0e15).contains(&value) {
            return Err(DecodeError::FieldOverflow);
        }
        self.rest = rest;
        Ok((value.trunc() as i64, value - value.trunc()))
    }

    /// The character after a number; `None` at the end.
    fn unit(&mut self) -> Option<char> {
        let unit = self.rest.chars().next()?;
        self.rest = &self.rest[unit.len_utf8()..];
        Some(unit)
    }
}

/// Digits of a number before its fraction.
fn integer_width(text: &str) -> usize {
    text.trim_start_matches('-').bytes().take_while(u8::is_ascii_digit).count()
}

/// What comes after a part.
enum Next {
    Date,
    Time,
    End,
}

/// One part before the T.
fn date_part(sum: &mut Sum, scanner: &mut Scanner<'_>, first: bool) -> Decoded<Next> {
    let width = integer_width(scanner.rest);
    let (value, fraction) = scanner.number()?;
    let unit = scanner.unit();
    let next = |unit| if unit == Some('T') { Next::Time } else { Next::End };
    match unit {
        Some('Y') => sum.add_years(value, fraction, 1)?,
        Some('M') => sum.add_months(value, fraction)?,
        Some('W') => sum.add_weeks(value, fraction)?,
        Some('D') => sum.add_days(value, fraction)?,
        None | Some('T') if width == 8 && first => {
            sum.add_years(value / 10_000, 0.0, 1)?;
            sum.add_months(value / 100 % 100, 0.0)?;
            sum.add_days(value % 100, fraction)?;
            return Ok(next(unit));
        }
        None | Some('T' | '-') if first => {
            sum.add_years(value, fraction, 1)?;
            if unit != Some('-') {
                return Ok(next(unit));
            }
            let (value, fraction) = scanner.number()?;
            sum.add_months(value, fraction)?;
            let unit = scanner.unit();
            if unit != Some('-') {
                return if matches!(unit, None | Some('T')) {
                    Ok(next(unit))
                } else {
                    Err(DecodeError::BadFormat)
                };
            }
            let (value, fraction) = scanner.number()?;
            sum.add_days(value, fraction)?;
            let unit = scanner.unit();
            return if matches!(unit, None | Some('T')) {
                Ok(next(unit))
            } else {
                Err(DecodeError::BadFormat)
            };
        }
        _ => return Err(DecodeError::BadFormat),
    }
    Ok(Next::Date)
}

/// One part after the T; false at the end.
fn time_part(sum: &mut Sum, scanner: &mut Scanner<'_>, first: bool) -> Decoded<bool> {
    let width = integer_width(scanner.rest);
    let (value, fraction) = scanner.number()?;
    let unit = scanner.unit();
    match unit {
        Some('H') => sum.add_time(value, fraction, MICROSECONDS_PER_HOUR)?,
        Some('M') => sum.add_time(value, fraction, MICROSECONDS_PER_MINUTE)?,
        Some('S') => sum.add_time(value, fraction, MICROSECONDS_PER_SECOND)?,
        None if width == 6 && first => {
            sum.add_time(value / 10_000, 0.0, MICROSECONDS_PER_HOUR)?;
            sum.add_time(value / 100 % 100, 0.0, MICROSECONDS_PER_MINUTE)?;
            sum.add_time(value % 100, 0.0, MICROSECONDS_PER_SECOND)?;
            sum.add_time(0, fraction, 1)?;
            return Ok(false);
        }
        None | Some(':') if first => {
            sum.add_time(value, fraction, MICROSECONDS_PER_HOUR)?;
            let mut unit = unit;
            for size in [MICROSECONDS_PER_MINUTE, MICROSECONDS_PER_SECOND] {
                if unit.is_none() {
                    return Ok(false);
                }
                if unit != Some(':') {
                    return Err(DecodeError::BadFormat);
                }
                let (value, fraction) = scanner.number()?;
                sum.add_time(value, fraction, size)?;
                unit = scanner.unit();
            }
            return if unit.is_none() { Ok(false) } else { Err(DecodeError::BadFormat) };
        }
        _ => return Err(DecodeError::BadFormat),
    }
    Ok(true)
}

pub(super) fn decode(text: &str) -> Decoded<Sum> {
    let rest = text.strip_prefix('P').filter(|rest| !rest.is_empty()).ok_or(DecodeError::BadFormat)?;
    let mut scanner = Scanner { rest };
    let mut sum = Sum::default();
    let (mut in_time, mut first) = (false, true);
    while !scanner.rest.is_empty() {
        if let Some(rest) = scanner.rest.strip_prefix('T') {
            scanner.rest = rest;
            (in_time, first) = (true, true);
            continue;
        }
        if in_time {
            if !time_part(&mut sum, &mut scanner, first)? {
                break;
            }
            first = false;
            continue;
        }
        match date_part(&mut sum, &mut scanner, first)? {
            Next::Date => first = false,
            Next::Time => (in_time, first) = (true, true),
            Next::End => break,
        }
    }
    Ok(sum)
}
