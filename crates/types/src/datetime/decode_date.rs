//! Input of dates and timestamps: PostgreSQL's DecodeDateTime.

use super::decode_number::found::*;
use super::decode_number::{Parts, decode_offset};
use super::scan::{self, DecodeError, Decoded, Field, Kind, fraction, leading_integer};
use super::token::{self, Reserved, Token};
use super::units::Unit;
use super::*;
use crate::format::FormatContext;
use crate::timezone::TimeZone;
use crate::timezone::abbreviation::{self, Meaning};

/// A zone as found in the text.
#[derive(Clone, Debug)]
pub(super) enum ZoneFound {
    /// Seconds east.
    Offset(i32),
    Named(TimeZone),
    /// An abbreviation whose offset depends on the date.
    Abbreviation(TimeZone),
}

/// What a word labelled the next number as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Label {
    Unit(Unit),
    Minute,
    Time,
}

/// A date and a time, or one of the words that stand for an instant.
pub(super) enum Meant {
    Fields,
    Epoch,
    Infinity,
    NegativeInfinity,
}

/// The decoder's state over the fields of one text.
pub(super) struct Decoder<'a> {
    pub context: &'a FormatContext,
    pub parts: Parts,
    pub mask: u32,
    pub zone: Option<ZoneFound>,
    pub label: Option<Label>,
    /// Hours to add for PM; `None` without AM or PM.
    pub afternoon: Option<bool>,
    text_month: bool,
    meant: Meant,
}

/// What a word of a zone means, and what is found with it.
pub(super) fn zone_abbreviation(word: &str) -> Option<(ZoneFound, u32)> {
    match abbreviation::find(super::units::shorten(word))? {
        Meaning::Fixed(east, saving) => {
            Some((ZoneFound::Offset(east), if saving { ZONE | SUMMER_ZONE } else { ZONE }))
        }
        Meaning::Zone(name) => {
            let zone = TimeZone::abbreviated(word, TimeZone::named(name)?);
            Some((ZoneFound::Abbreviation(zone), ZONE))
        }
    }
}

pub(super) fn named_zone(name: &str) -> Decoded<ZoneFound> {
    TimeZone::named(name).map(ZoneFound::Named).ok_or_else(|| DecodeError::UnknownZone(name.to_owned()))
}

impl<'a> Decoder<'a> {
    pub fn new(context: &'a FormatContext) -> Self {
        Decoder {
            context,
            parts: Parts::default(),
            mask: 0,
            zone: None,
            label: None,
            afternoon: None,
            text_month: false,
            meant: Meant::Fields,
        }
    }

    /// Notes what was found; nothing may be found twice.
    pub fn note(&mut self, mask: u32) -> Decoded<()> {
        if self.mask & mask != 0 {
            return Err(DecodeError::BadFormat);
        }
        self.mask |= mask;
        Ok(())
    }

    /// The session's clock now.
    fn local_now(&self) -> i64 {
        let zone = &self.context.time_zone;
        self.context.now + i64::from(zone.east_seconds_at(self.context.now)) * MICROSECONDS_PER_SECOND
    }

    pub fn today(&self) -> i64 {
        self.local_now().div_euclid(MICROSECONDS_PER_DAY)
    }

    pub fn set_clock_to_now(&mut self) {
        self.parts.set_clock(self.local_now().rem_euclid(MICROSECONDS_PER_DAY));
    }

    fn field(&mut self, field: &Field, next: Option<&Field>) -> Decoded<()> {
        let found = match field.kind {
            Kind::Date => self.date_field(&field.text)?,
            Kind::Time => {
                if self.label.take().is_some_and(|label| label != Label::Time) {
                    return Err(DecodeError::BadFormat);
                }
                let found = self.parts.decode_time(&field.text)?;
                if self.parts.time_overflows() {
                    return Err(DecodeError::FieldOverflow);
                }
                found
            }
            Kind::Zone => {
                self.zone = Some(ZoneFound::Offset(decode_offset(&field.text)?));
                ZONE
            }
            Kind::Number => match self.label.take() {
                Some(label) => self.labelled(label, &field.text)?,
                None => self.number(&field.text)?,
            },
            Kind::Word | Kind::Special => self.word(&field.text, next)?,
        };
        self.note(found)
    }

    /// A field of joined pieces: a date, and once there is one, a zone or a time with an offset.
    fn date_field(&mut self, text: &str) -> Decoded<u32> {
        if self.label == Some(Label::Unit(Unit::Julian)) {
            self.label = None;
            let (day, rest) = leading_integer(text)?;
            if day < 0 {
                return Err(DecodeError::FieldOverflow);
            }
            self.set_julian(day);
            self.zone = Some(ZoneFound::Offset(decode_offset(rest)?));
            return Ok(DATE | TIME | ZONE);
        }
        let label = self.label.take();
        if label.is_none() && self.mask & (MONTH | DAY) != MONTH | DAY {
            return self.parts.decode_date(text, self.mask, self.context.date_order);
        }
        if !text.starts_with(|c: char| c.is_ascii_digit()) && label.is_none() {
            self.zone = Some(named_zone(text)?);
            return Ok(ZONE);
        }
        if label.is_some_and(|label| label != Label::Time) || self.mask & TIME == TIME {
            return Err(DecodeError::BadFormat);
        }
        let minus = text.find('-').ok_or(DecodeError::BadFormat)?;
        self.zone = Some(ZoneFound::Offset(decode_offset(&text[minus..])?));
        let (found, _) = self.parts.decode_number_field(&text[..minus], self.mask)?;
        Ok(found | ZONE)
    }

    pub fn set_julian(&mut self, day: i32) {
        self.parts.set_day(i64::from(day) - EPOCH_JULIAN);
        self.parts.julian = true;
    }

    /// A number after a word that says what it is.
    pub fn labelled(&mut self, label: Label, text: &str) -> Decoded<u32> {
        let (value, rest) = leading_integer(text)?;
        let may_have_point = matches!(label, Label::Time | Label::Unit(Unit::Julian | Unit::Second));
        let understood = rest.is_empty() || (may_have_point && rest.starts_with('.'));
        if !understood {
            return Err(DecodeError::BadFormat);
        }
        match label {
            Label::Unit(Unit::Year) => {
                self.parts.year = value;
                Ok(YEAR)
            }
            Label::Unit(Unit::Month) if self.mask & MONTH != 0 && self.mask & HOUR != 0 => {
                self.parts.minute = value;
                Ok(MINUTE)
            }
            Label::Unit(Unit::Month) => {
                self.parts.month = value;
                Ok(MONTH)
            }
            Label::Unit(Unit::Day) => {
                self.parts.day = value;
                Ok(DAY)
            }
            Label::Unit(Unit::Hour) => {
                self.parts.hour = value;
                Ok(HOUR)
            }
            Label::Minute => {
                self.parts.minute = value;
                Ok(MINUTE)
            }
            Label::Unit(Unit::Second) => {
                self.parts.second = value;
                if rest.is_empty() {
                    return Ok(SECOND);
                }
                self.parts.microsecond = scan::fraction_of_second(rest)?;
                Ok(SECONDS)
            }
            Label::Unit(Unit::Julian) => {
                if value < 0 {
                    return Err(DecodeError::FieldOverflow);
                }
                self.set_julian(value);
                if rest.is_empty() {
                    return Ok(DATE);
                }
                self.parts.set_clock((fraction(rest)? * MICROSECONDS_PER_DAY as f64) as i64);
                Ok(DATE | TIME)
            }
            Label::Time => match self.parts.decode_number_field(text, self.mask | DATE)? {
                (TIME, _) => Ok(TIME),
                _ => Err(DecodeError::BadFormat),
            },
            Label::Unit(_) => Err(DecodeError::BadFormat),
        }
    }

    /// A number that nothing labels.
    fn number(&mut self, text: &str) -> Decoded<u32> {
        let point = text.find('.');
        let order = self.context.date_order;
        if point.is_some() && self.mask & DATE == 0 {
            return self.parts.decode_date(text, self.mask, order);
        }
        let run_together = match point {
            Some(point) => point > 2,
            None => text.len() >= 6 && (self.mask & DATE == 0 || self.mask & TIME == 0),
        };
        if run_together {
            return self.parts.decode_number_field(text, self.mask).map(|(found, _)| found);
        }
        self.parts.decode_number(text, self.text_month, self.mask, order)
    }

    fn word(&mut self, word: &str, next: Option<&Field>) -> Decoded<u32> {
        if let Some((zone, mask)) = zone_abbreviation(word) {
            self.zone = Some(zone);
            return Ok(mask);
        }
        let Some(token) = token::date_token(word) else {
            self.zone = Some(named_zone(word).map_err(|_| DecodeError::BadFormat)?);
            return Ok(ZONE);
        };
        match token {
            Token::Ignored => Ok(0),
            Token::Reserved(reserved) => self.reserved(reserved),
            Token::Month(month) => {
                let mut found = MONTH;
                if self.mask & MONTH != 0
                    && !self.text_month
                    && self.mask & DAY == 0
                    && (1..=31).contains(&self.parts.month)
                {
                    // What was taken for the month was the day.
                    self.parts.day = self.parts.month;
                    found = DAY;
                }
                self.text_month = true;
                self.parts.month = i32::from(month);
                Ok(found)
            }
            Token::Am | Token::Pm => {
                self.afternoon = Some(token == Token::Pm);
                Ok(MERIDIAN)
            }
            Token::Ad | Token::Bc => {
                self.parts.before_christ = token == Token::Bc;
                Ok(ERA)
            }
            Token::Weekday => Ok(WEEKDAY),
            Token::DaylightSaving => {
                self.add_daylight_saving();
                Ok(SAVING | SUMMER_ZONE)
            }
            Token::Label(unit) => {
                self.label = Some(Label::Unit(unit));
                Ok(0)
            }
            Token::LabelMinute => {
                self.label = Some(Label::Minute);
                Ok(0)
            }
            Token::IsoTime => {
                if self.mask & DATE != DATE || !next.is_some_and(Field::may_be_time) {
                    return Err(DecodeError::BadFormat);
                }
                self.label = Some(Label::Time);
                Ok(0)
            }
        }
    }

    /// `MET DST`.
    pub fn add_daylight_saving(&mut self) {
        if let Some(ZoneFound::Offset(east)) = &mut self.zone {
            *east += 3600;
        }
    }

    fn reserved(&mut self, reserved: Reserved) -> Decoded<u32> {
        let day = self.today();
        match reserved {
            Reserved::Now => {
                self.parts.set_day(day);
                self.set_clock_to_now();
                self.zone = Some(ZoneFound::Offset(self.context.time_zone.east_seconds_at(self.context.now)));
                self.parts.julian = true;
                return Ok(DATE | TIME | ZONE);
            }
            Reserved::Today => self.parts.set_day(day),
            Reserved::Yesterday => self.parts.set_day(day - 1),
            Reserved::Tomorrow => self.parts.set_day(day + 1),
            Reserved::Midnight => {
                self.parts.set_clock(0);
                self.zone = Some(ZoneFound::Offset(0));
                return Ok(TIME | ZONE);
            }
            Reserved::Epoch | Reserved::Infinity | Reserved::NegativeInfinity => {
                self.meant = match reserved {
                    Reserved::Epoch => Meant::Epoch,
                    Reserved::Infinity => Meant::Infinity,
                    _ => Meant::NegativeInfinity,
                };
                // Whatever stands beside it does not count.
                return Ok(INSTANT);
            }
        }
        // These years are as they should be.
        self.parts.julian = true;
        Ok(DATE)
    }

    /// 12 AM is 0, 1 PM is 13.
    pub fn apply_meridian(&mut self) -> Decoded<()> {
        let Some(afternoon) = self.afternoon else { return Ok(()) };
        match (afternoon, self.parts.hour) {
            (_, 13..) => return Err(DecodeError::FieldOverflow),
            (false, 12) => self.parts.hour = 0,
            (true, hour) if hour != 12 => self.parts.hour += 12,
            _ => {}
        }
        Ok(())
    }

    /// Seconds east at a local clock reading, by the zone found or the session's.
    pub fn east_seconds(&self, local: i64) -> Decoded<i32> {
        let saving = self.mask & SAVING != 0;
        match &self.zone {
            Some(ZoneFound::Offset(east)) => Ok(*east),
            _ if saving => Err(DecodeError::BadFormat),
            Some(ZoneFound::Named(zone)) => Ok(zone.offset_of_local(local)),
            Some(ZoneFound::Abbreviation(zone)) => Ok(zone.offset_of_local(local)),
            None => Ok(self.context.time_zone.offset_of_local(local)),
        }
    }
}

/// What a text means: a local clock reading with an offset, or an instant by name.
enum Instant {
    Local { date: CivilDate, clock: i64, east_seconds: i32 },
    Epoch,
    Infinity,
    NegativeInfinity,
}

fn decode(text: &str, context: &FormatContext) -> Decoded<Instant> {
    let mut decoder = Decoder::new(context);
    let fields = scan::fields(text)?;
    for (position, field) in fields.iter().enumerate() {
        decoder.field(field, fields.get(position + 1))?;
    }
    let mask = decoder.mask;
    decoder.parts.validate_date(mask)?;
    decoder.apply_meridian()?;
    match decoder.meant {
        Meant::Fields => {}
        Meant::Epoch => return Ok(Instant::Epoch),
        Meant::Infinity => return Ok(Instant::Infinity),
        Meant::NegativeInfinity => return Ok(Instant::NegativeInfinity),
    }
    if mask & DATE != DATE {
        return Err(DecodeError::BadFormat);
    }
    let (date, clock) = (decoder.parts.date(), decoder.parts.clock());
    let local = date.days().saturating_mul(MICROSECONDS_PER_DAY).saturating_add(clock);
    Ok(Instant::Local { date, clock, east_seconds: decoder.east_seconds(local)? })
}

/// Two decimal digits at a place.
#[inline]
fn two(bytes: &[u8], at: usize) -> Option<i64> {
    match (bytes.get(at)?, bytes.get(at + 1)?) {
        (tens @ b'0'..=b'9', ones @ b'0'..=b'9') => {
            Some(i64::from(tens - b'0') * 10 + i64::from(ones - b'0'))
        }
        _ => None,
    }
}

/// `YYYY-MM-DD` of a real day, as days since 2000: the form that nearly all dates come in.
fn plain_date(bytes: &[u8]) -> Option<i64> {
    let (year, month, day) = (two(bytes, 0)? * 100 + two(bytes, 2)?, two(bytes, 5)?, two(bytes, 8)?);
    let separated = bytes[4] == b'-' && bytes[7] == b'-';
    let date = CivilDate { year: year as i32, month: month as u8, day: day as u8 };
    let valid =
        separated && year > 0 && (1..=12).contains(&month) && day >= 1 && date.day <= date.days_in_month();
    valid.then(|| date.days())
}

/// `YYYY-MM-DD HH:MM:SS[.ffffff]`, as a timestamp, and what follows (an offset, or nothing).
fn plain_timestamp(text: &str) -> Option<(i64, &str)> {
    let bytes = text.as_bytes();
    if bytes.len() < 19 || !matches!(bytes[10], b' ' | b'T') || bytes[13] != b':' || bytes[16] != b':' {
        return None;
    }
    let days = plain_date(&bytes[..10])?;
    let (hour, minute, second) = (two(bytes, 11)?, two(bytes, 14)?, two(bytes, 17)?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut microseconds = ((hour * 60 + minute) * 60 + second) * MICROSECONDS_PER_SECOND;
    let mut end = 19;
    if bytes.get(19) == Some(&b'.') {
        let digits = bytes[20..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 || digits > 6 {
            return None;
        }
        let fraction: i64 = text[20..20 + digits].parse().ok()?;
        microseconds += fraction * 10i64.pow(6 - digits as u32);
        end = 20 + digits;
    }
    Some((days * MICROSECONDS_PER_DAY + microseconds, &text[end..]))
}

pub(crate) fn parse_date(text: &str, context: &FormatContext) -> PgResult<i32> {
    if text.len() == 10
        && let Some(days) = plain_date(text.as_bytes())
    {
        return Ok(days as i32);
    }
    match decode(text, context).map_err(|error| error.into_error("date", text))? {
        Instant::Epoch => Ok(-POSTGRES_EPOCH_DAYS as i32),
        Instant::Infinity => Ok(DATE_INFINITY),
        Instant::NegativeInfinity => Ok(DATE_NEGATIVE_INFINITY),
        Instant::Local { date, .. } => {
            check_date(date.days()).map_err(|error| error.rewritten(format!("date out of range: \"{text}\"")))
        }
    }
}

fn instant(text: &str, context: &FormatContext, type_name: &str, with_zone: bool) -> PgResult<i64> {
    match decode(text, context).map_err(|error| error.into_error(type_name, text))? {
        Instant::Epoch => Ok(-POSTGRES_EPOCH_DAYS * MICROSECONDS_PER_DAY),
        Instant::Infinity => Ok(TIMESTAMP_INFINITY),
        Instant::NegativeInfinity => Ok(TIMESTAMP_NEGATIVE_INFINITY),
        Instant::Local { date, clock, east_seconds } => {
            let offset = if with_zone { i64::from(east_seconds) * MICROSECONDS_PER_SECOND } else { 0 };
            date.days()
                .checked_mul(MICROSECONDS_PER_DAY)
                .and_then(|day| day.checked_add(clock))
                .and_then(|local| local.checked_sub(offset))
                .and_then(|value| check_timestamp(value).ok())
                .ok_or_else(|| {
                    out_of_range("timestamp").rewritten(format!("timestamp out of range: \"{text}\""))
                })
        }
    }
}

pub(crate) fn parse_timestamp(text: &str, typmod: i32, context: &FormatContext) -> PgResult<i64> {
    let value = match plain_timestamp(text) {
        Some((value, "")) => value,
        _ => instant(text, context, "timestamp", false)?,
    };
    round_timestamp(value, typmod)
}

pub(crate) fn parse_timestamptz(text: &str, typmod: i32, context: &FormatContext) -> PgResult<i64> {
    let plain = plain_timestamp(text).and_then(|(local, rest)| {
        let east = match rest {
            "" => context.time_zone.offset_of_local(local),
            rest => decode_offset(rest).ok()?,
        };
        Some(local - i64::from(east) * MICROSECONDS_PER_SECOND)
    });
    let value = match plain {
        Some(value) => value,
        None => instant(text, context, "timestamp with time zone", true)?,
    };
    round_timestamp(value, typmod)
}
