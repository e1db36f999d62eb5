//! Cutting date/time text into fields: numbers, dates, times, words, offsets.
//!
//! The fields are PostgreSQL's (its ParseDateTime), because what is accepted follows from where the cuts are: `2001-01-01` is one field,
//! `America/New_York` and `04-jan-01` look alike until one has been understood as a date.

use super::token;
use super::*;

/// Fields at most; more cannot mean anything.
const FIELDS_MAX: usize = 25;
/// Longer text is not looked at.
const TEXT_BYTES_MAX: usize = 128 + FIELDS_MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Digits, perhaps with one point.
    Number,
    /// Digits or words joined by `-`, `/`, `.`: a date, a zone name, or a run-together time with an offset.
    Date,
    /// Digits with colons.
    Time,
    /// A sign and digits: an offset, or a signed number of an interval.
    Zone,
    /// A word.
    Word,
    /// A sign and a word.
    Special,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Field {
    /// In lower case.
    pub text: String,
    pub kind: Kind,
}

impl Field {
    /// Whether it may stand after the `t` of ISO 8601.
    pub fn may_be_time(&self) -> bool {
        matches!(self.kind, Kind::Number | Kind::Time | Kind::Date)
    }
}

/// Why text is not what it should be.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum DecodeError {
    BadFormat,
    FieldOverflow,
    /// A month or a day out of range: perhaps they are in another order.
    MonthOrDayOverflow,
    ZoneOverflow,
    UnknownZone(String),
}

impl DecodeError {
    pub fn into_error(self, type_name: &str, text: &str) -> PgError {
        let overflow = || {
            PgError::new(
                SqlState::DATETIME_FIELD_OVERFLOW,
                format!("date/time field value out of range: \"{text}\""),
            )
        };
        match self {
            DecodeError::BadFormat => PgError::new(
                SqlState::INVALID_DATETIME_FORMAT,
                format!("invalid input syntax for type {type_name}: \"{text}\""),
            ),
            DecodeError::FieldOverflow => overflow(),
            DecodeError::MonthOrDayOverflow => {
                overflow().hint("Perhaps you need a different \"datestyle\" setting.")
            }
            DecodeError::ZoneOverflow => PgError::new(
                SqlState::INVALID_TIME_ZONE_DISPLACEMENT_VALUE,
                format!("time zone displacement out of range: \"{text}\""),
            ),
            DecodeError::UnknownZone(name) => PgError::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("time zone \"{name}\" not recognized"),
            ),
        }
    }
}

pub(super) type Decoded<T> = Result<T, DecodeError>;

struct Scanner<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl Scanner<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.position).copied()
    }

    fn is(&self, test: impl Fn(u8) -> bool) -> bool {
        self.peek().is_some_and(test)
    }

    /// Appends bytes, in lower case, as long as they pass.
    fn take_while(&mut self, text: &mut String, test: impl Fn(u8) -> bool) {
        while let Some(byte) = self.peek().filter(|byte| test(*byte)) {
            text.push(byte.to_ascii_lowercase() as char);
            self.position += 1;
        }
    }

    fn skip_spaces(&mut self) {
        while self.is(is_space) {
            self.position += 1;
        }
    }

    /// A field that begins with a digit.
    fn number(&mut self, text: &mut String) -> Kind {
        self.take_while(text, |byte| byte.is_ascii_digit());
        match self.peek() {
            Some(b':') => {
                self.take_while(text, |byte| byte.is_ascii_digit() || byte == b':' || byte == b'.');
                Kind::Time
            }
            Some(delimiter @ (b'-' | b'/' | b'.')) => {
                text.push(delimiter as char);
                self.position += 1;
                if !self.is(|byte| byte.is_ascii_digit()) {
                    self.take_while(text, |byte| byte.is_ascii_alphanumeric() || byte == delimiter);
                    return Kind::Date;
                }
                self.take_while(text, |byte| byte.is_ascii_digit());
                if self.peek() == Some(delimiter) {
                    self.take_while(text, |byte| byte.is_ascii_digit() || byte == delimiter);
                    return Kind::Date;
                }
                if delimiter == b'.' { Kind::Number } else { Kind::Date }
            }
            _ => Kind::Number,
        }
    }

    /// A field that begins with a letter.
    fn word(&mut self, text: &mut String) -> Kind {
        self.take_while(text, |byte| byte.is_ascii_alphabetic());
        let joined = match self.peek() {
            Some(b'-' | b'/' | b'.') => true,
            // `jan1` is a date, `t0405` is a time after its marker.
            Some(byte) if byte == b'+' || byte.is_ascii_digit() => token::date_token(text).is_none(),
            _ => false,
        };
        if !joined {
            return Kind::Word;
        }
        self.take_while(text, |byte| byte.is_ascii_alphanumeric() || b"+-/_.:".contains(&byte));
        Kind::Date
    }

    /// A field that begins with a sign.
    fn signed(&mut self, text: &mut String) -> Decoded<Kind> {
        text.push(self.bytes[self.position] as char);
        self.position += 1;
        self.skip_spaces();
        if self.is(|byte| byte.is_ascii_digit()) {
            self.take_while(text, |byte| byte.is_ascii_digit() || b":.-".contains(&byte));
            Ok(Kind::Zone)
        } else if self.is(|byte| byte.is_ascii_alphabetic()) {
            self.take_while(text, |byte| byte.is_ascii_alphabetic());
            Ok(Kind::Special)
        } else {
            Err(DecodeError::BadFormat)
        }
    }
}

pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// Cuts text into fields.
pub(super) fn fields(text: &str) -> Decoded<Vec<Field>> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(DecodeError::BadFormat);
    }
    let mut scanner = Scanner { bytes: text.as_bytes(), position: 0 };
    let mut fields = Vec::with_capacity(4);
    while let Some(byte) = scanner.peek() {
        if is_space(byte) {
            scanner.position += 1;
            continue;
        }
        let mut text = String::with_capacity(16);
        let kind = match byte {
            b'0'..=b'9' => scanner.number(&mut text),
            b'.' => {
                text.push('.');
                scanner.position += 1;
                scanner.take_while(&mut text, |byte| byte.is_ascii_digit());
                Kind::Number
            }
            b'a'..=b'z' | b'A'..=b'Z' => scanner.word(&mut text),
            b'+' | b'-' => scanner.signed(&mut text)?,
            // Other punctuation only separates.
            _ if byte.is_ascii_punctuation() => {
                scanner.position += 1;
                continue;
            }
            _ => return Err(DecodeError::BadFormat),
        };
        if fields.len() == FIELDS_MAX {
            return Err(DecodeError::BadFormat);
        }
        fields.push(Field { text, kind });
    }
    Ok(fields)
}

/// C's strtol into an int: digits (with an optional sign) at the front, and what follows them.
pub(super) fn leading_integer(text: &str) -> Decoded<(i32, &str)> {
    let signed = usize::from(text.starts_with(['-', '+']));
    let digits = text[signed..].bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 {
        return Ok((0, text));
    }
    let (number, rest) = text.split_at(signed + digits);
    number.parse().map(|value| (value, rest)).map_err(|_| DecodeError::FieldOverflow)
}

/// `.` and digits as a fraction of one.
pub(super) fn fraction(text: &str) -> Decoded<f64> {
    if text == "." {
        return Ok(0.0);
    }
    let digits = text.strip_prefix('.').ok_or(DecodeError::BadFormat)?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(DecodeError::BadFormat);
    }
    text.parse().map_err(|_| DecodeError::BadFormat)
}

/// The same in microseconds, rounded.
pub(super) fn fraction_of_second(text: &str) -> Decoded<i64> {
    Ok((fraction(text)? * 1_000_000.0).round_ties_even() as i64)
}
