//! The fields of a date and a time as they are found, and numbers among them.
//!
//! Which part of a date a bare number is depends on what has been found already and on DateOrder; runs of six digits and more
//! are a date, then a time. This is PostgreSQL's DecodeDate, DecodeNumber and DecodeNumberField.

use super::scan::{DecodeError, Decoded, fraction_of_second, leading_integer};
use super::token::{self, Token};
use super::*;
use crate::format::DateOrder;

/// A set of found fields.
pub(super) mod found {
    pub const YEAR: u32 = 1;
    pub const MONTH: u32 = 1 << 1;
    pub const DAY: u32 = 1 << 2;
    pub const HOUR: u32 = 1 << 3;
    pub const MINUTE: u32 = 1 << 4;
    pub const SECOND: u32 = 1 << 5;
    pub const FRACTION: u32 = 1 << 6;
    pub const ZONE: u32 = 1 << 7;
    pub const DAY_OF_YEAR: u32 = 1 << 8;
    pub const WEEKDAY: u32 = 1 << 9;
    pub const MERIDIAN: u32 = 1 << 10;
    pub const ERA: u32 = 1 << 11;
    /// A daylight-saving modifier.
    pub const SAVING: u32 = 1 << 12;
    /// A zone that is daylight-saving time by itself.
    pub const SUMMER_ZONE: u32 = 1 << 13;
    /// A word that stands for an instant.
    pub const INSTANT: u32 = 1 << 14;
    pub const DATE: u32 = YEAR | MONTH | DAY;
    pub const SECONDS: u32 = SECOND | FRACTION;
    pub const TIME: u32 = HOUR | MINUTE | SECONDS;
}

use found::*;

/// What has been read so far, not yet checked.
#[derive(Clone, Debug, Default)]
pub(super) struct Parts {
    pub year: i32,
    pub month: i32,
    pub day: i32,
    pub day_of_year: i32,
    pub hour: i32,
    pub minute: i32,
    pub second: i32,
    pub microsecond: i64,
    /// The year was written with one or two digits.
    pub two_digit_year: bool,
    pub julian: bool,
    pub before_christ: bool,
}

fn all_digits(text: &str) -> i32 {
    text.parse().unwrap_or(0)
}

impl Parts {
    pub fn set_day(&mut self, days: i64) {
        let date = CivilDate::from_days(days);
        (self.year, self.month, self.day) = (date.year, i32::from(date.month), i32::from(date.day));
    }

    pub fn set_clock(&mut self, microseconds: i64) {
        let clock = CivilTime::of_day(CivilDate { year: 2000, month: 1, day: 1 }, microseconds);
        (self.hour, self.minute) = (i32::from(clock.hour), i32::from(clock.minute));
        (self.second, self.microsecond) = (i32::from(clock.second), i64::from(clock.microsecond));
    }

    /// A date written in one piece. `known` is what has been found before; says what has been found now.
    pub fn decode_date(&mut self, text: &str, known: u32, order: DateOrder) -> Decoded<u32> {
        let mut pieces: Vec<&str> = Vec::with_capacity(3);
        let mut rest = text;
        while !rest.is_empty() {
            rest = rest.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
            let Some(first) = rest.bytes().next() else { return Err(DecodeError::BadFormat) };
            let same = |c: char| {
                if first.is_ascii_digit() { c.is_ascii_digit() } else { c.is_ascii_alphabetic() }
            };
            let end = rest.find(|c| !same(c)).unwrap_or(rest.len());
            pieces.push(&rest[..end]);
            // Whatever ends a piece goes with it, a digit after letters too.
            rest = rest.get(end + 1..).unwrap_or("");
        }
        let (mut mask, mut text_month) = (0, false);
        let mut numbers = Vec::with_capacity(pieces.len());
        for piece in pieces {
            if !piece.starts_with(|c: char| c.is_ascii_alphabetic()) {
                numbers.push(piece);
                continue;
            }
            match token::date_token(piece) {
                Some(Token::Ignored) => {}
                Some(Token::Month(month)) if (known | mask) & MONTH == 0 => {
                    self.month = i32::from(month);
                    (mask, text_month) = (mask | MONTH, true);
                }
                _ => return Err(DecodeError::BadFormat),
            }
        }
        for number in numbers {
            let now = self.decode_number(number, text_month, known | mask, order)?;
            if (known | mask) & now != 0 {
                return Err(DecodeError::BadFormat);
            }
            mask |= now;
        }
        if (known | mask) & !(DAY_OF_YEAR | ZONE) != DATE { Err(DecodeError::BadFormat) } else { Ok(mask) }
    }

    /// A number by itself.
    pub fn decode_number(
        &mut self,
        text: &str,
        text_month: bool,
        known: u32,
        order: DateOrder,
    ) -> Decoded<u32> {
        let (value, rest) = leading_integer(text)?;
        let length = text.len();
        if rest.len() == length {
            return Err(DecodeError::BadFormat);
        }
        if rest.starts_with('.') {
            if length - rest.len() > 2 {
                return self.decode_number_field(text, known | DATE).map(|(mask, _)| mask);
            }
            self.microsecond = fraction_of_second(rest)?;
        } else if !rest.is_empty() {
            return Err(DecodeError::BadFormat);
        }
        if length == 3 && known & DATE == YEAR && (1..=366).contains(&value) {
            self.day_of_year = value;
            return Ok(DAY_OF_YEAR | MONTH | DAY);
        }
        let year_first = length >= 3 || order == DateOrder::Ymd;
        let part = match known & DATE {
            0 if year_first => YEAR,
            0 if order == DateOrder::Dmy => DAY,
            0 | YEAR | DAY => MONTH,
            MONTH if text_month && year_first => YEAR,
            MONTH => DAY,
            mask if mask == YEAR | MONTH => {
                if text_month && length >= 3 && self.two_digit_year {
                    // What was taken for the year was the day.
                    (self.day, self.year, self.two_digit_year) = (self.year, value, false);
                    return Ok(DAY);
                }
                DAY
            }
            mask if mask == MONTH | DAY => YEAR,
            mask if mask == DATE => return self.decode_number_field(text, known).map(|(mask, _)| mask),
            _ => return Err(DecodeError::BadFormat),
        };
        match part {
            YEAR => {
                self.year = value;
                self.two_digit_year = length <= 2;
            }
            MONTH => self.month = value,
            _ => self.day = value,
        }
        Ok(part)
    }

    /// Run-together digits: `20011225` or `040506.789`. Says what was found, and whether that is a time.
    pub fn decode_number_field(&mut self, text: &str, known: u32) -> Decoded<(u32, bool)> {
        let mut digits = text;
        if let Some(point) = text.find('.') {
            let fraction: f64 = if text.len() == point + 1 { Ok(0.0) } else { text[point..].parse() }
                .map_err(|_| DecodeError::BadFormat)?;
            self.microsecond = (fraction * 1_000_000.0).round_ties_even() as i64;
            digits = &text[..point];
        } else if known & DATE != DATE && digits.len() >= 6 {
            let (rest, day) = digits.split_at(digits.len() - 2);
            let (year, month) = rest.split_at(rest.len() - 2);
            (self.year, self.month, self.day) = (all_digits(year), all_digits(month), all_digits(day));
            self.two_digit_year |= year.len() == 2;
            return Ok((DATE, false));
        }
        if known & TIME == TIME || !matches!(digits.len(), 4 | 6) {
            return Err(DecodeError::BadFormat);
        }
        self.hour = all_digits(&digits[..2]);
        self.minute = all_digits(&digits[2..4]);
        self.second = if digits.len() == 6 { all_digits(&digits[4..]) } else { 0 };
        Ok((TIME, true))
    }

    /// `hh:mm[:ss[.fraction]]`.
    pub fn decode_time(&mut self, text: &str) -> Decoded<u32> {
        let (hour, rest) = leading_integer(text)?;
        let rest = rest.strip_prefix(':').ok_or(DecodeError::BadFormat)?;
        let (minute, rest) = leading_integer(rest)?;
        (self.hour, self.minute, self.second, self.microsecond) = (hour, minute, 0, 0);
        if rest.starts_with('.') {
            // Always minutes and seconds.
            self.microsecond = fraction_of_second(rest)?;
            (self.hour, self.minute, self.second) = (0, hour, minute);
        } else if let Some(rest) = rest.strip_prefix(':') {
            let (second, rest) = leading_integer(rest)?;
            self.second = second;
            if !rest.is_empty() {
                self.microsecond = fraction_of_second(rest)?;
            }
        } else if !rest.is_empty() {
            return Err(DecodeError::BadFormat);
        }
        let sane = self.hour >= 0
            && (0..60).contains(&self.minute)
            && (0..=60).contains(&self.second)
            && (0..=1_000_000).contains(&self.microsecond);
        if sane { Ok(TIME) } else { Err(DecodeError::FieldOverflow) }
    }

    /// Microseconds since midnight; nothing checked.
    pub fn clock(&self) -> i64 {
        let seconds = (i64::from(self.hour) * 60 + i64::from(self.minute)) * 60 + i64::from(self.second);
        seconds * MICROSECONDS_PER_SECOND + self.microsecond
    }

    /// Whether the clock reading is none: up to 24:00 is fine.
    pub fn time_overflows(&self) -> bool {
        !((0..=24).contains(&self.hour)
            && (0..60).contains(&self.minute)
            && (0..=60).contains(&self.second)
            && (0..=1_000_000).contains(&self.microsecond)
            && self.clock() <= MICROSECONDS_PER_DAY)
    }

    /// Years with two digits and before Christ, days of a year; month and day within their bounds.
    pub fn validate_date(&mut self, mask: u32) -> Decoded<()> {
        if mask & YEAR != 0 && !self.julian {
            if self.before_christ {
                if self.year <= 0 {
                    return Err(DecodeError::FieldOverflow);
                }
                self.year = 1 - self.year;
            } else if self.two_digit_year {
                if self.year < 0 {
                    return Err(DecodeError::FieldOverflow);
                }
                self.year += match self.year {
                    0..70 => 2000,
                    70..100 => 1900,
                    _ => 0,
                };
            } else if self.year <= 0 {
                return Err(DecodeError::FieldOverflow);
            }
        }
        if mask & DAY_OF_YEAR != 0 {
            let first = CivilDate { year: self.year, month: 1, day: 1 };
            self.set_day(first.days() + i64::from(self.day_of_year) - 1);
        }
        if mask & MONTH != 0 && !(1..=12).contains(&self.month) {
            return Err(DecodeError::MonthOrDayOverflow);
        }
        if mask & DAY != 0 && !(1..=31).contains(&self.day) {
            return Err(DecodeError::MonthOrDayOverflow);
        }
        if mask & DATE == DATE && self.day > i32::from(self.date().days_in_month()) {
            return Err(DecodeError::FieldOverflow);
        }
        Ok(())
    }

    /// The date, after [`Self::validate_date`].
    pub fn date(&self) -> CivilDate {
        CivilDate { year: self.year, month: self.month.clamp(1, 12) as u8, day: self.day.clamp(1, 31) as u8 }
    }
}

/// An offset: a sign, hours, and minutes and seconds after colons; or four digits. In seconds east.
pub(super) fn decode_offset(text: &str) -> Decoded<i32> {
    let negative = match text.as_bytes().first() {
        Some(b'+') => false,
        Some(b'-') => true,
        _ => return Err(DecodeError::BadFormat),
    };
    let overflow = |_| DecodeError::ZoneOverflow;
    let (mut hours, mut rest) = leading_integer(&text[1..]).map_err(overflow)?;
    let (mut minutes, mut seconds) = (0, 0);
    if let Some(after) = rest.strip_prefix(':') {
        (minutes, rest) = leading_integer(after).map_err(overflow)?;
        if let Some(after) = rest.strip_prefix(':') {
            (seconds, rest) = leading_integer(after).map_err(overflow)?;
        }
    } else if rest.is_empty() && text.len() > 3 {
        (hours, minutes) = (hours / 100, hours % 100);
    }
    if !(0..=15).contains(&hours) || !(0..60).contains(&minutes) || !(0..60).contains(&seconds) {
        return Err(DecodeError::ZoneOverflow);
    }
    if !rest.is_empty() {
        return Err(DecodeError::BadFormat);
    }
    let size = (hours * 60 + minutes) * 60 + seconds;
    Ok(if negative { -size } else { size })
}
