//! Input of intervals: PostgreSQL's forms, the SQL standard's, and (in `iso_interval`) ISO 8601's.

use super::precision::{interval_fields, mask};
use super::scan::{self, DecodeError, Decoded, Field, Kind, fraction, fraction_of_second, leading_integer};
use super::token::{IntervalToken, interval_token};
use super::units::Unit;
use super::*;
use crate::format::{FormatContext, IntervalStyle};
use crate::interval::Interval;

/// An interval while it is read: years and months apart.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sum {
    pub years: i32,
    pub months: i32,
    pub days: i32,
    pub microseconds: i64,
}

const OVERFLOW: DecodeError = DecodeError::FieldOverflow;

fn add_int(sum: &mut i32, value: i64, scale: i64) -> Decoded<()> {
    let value = i32::try_from(value).map_err(|_| OVERFLOW)?;
    let scaled =
        i64::from(value).checked_mul(scale).and_then(|value| i32::try_from(value).ok()).ok_or(OVERFLOW)?;
    *sum = sum.checked_add(scaled).ok_or(OVERFLOW)?;
    Ok(())
}

impl Sum {
    pub fn add_years(&mut self, value: i64, fraction: f64, scale: i64) -> Decoded<()> {
        add_int(&mut self.years, value, scale)?;
        let months = (fraction * scale as f64 * 12.0).round_ties_even();
        add_int(&mut self.months, months as i64, 1)
    }

    pub fn add_months(&mut self, value: i64, fraction: f64) -> Decoded<()> {
        add_int(&mut self.months, value, 1)?;
        self.add_fraction_of_days(fraction, 30.0)
    }

    pub fn add_weeks(&mut self, value: i64, fraction: f64) -> Decoded<()> {
        add_int(&mut self.days, value, 7)?;
        self.add_fraction_of_days(fraction, 7.0)
    }

    pub fn add_days(&mut self, value: i64, fraction: f64) -> Decoded<()> {
        add_int(&mut self.days, value, 1)?;
        self.add_fraction_of_time(fraction, MICROSECONDS_PER_DAY)
    }

    pub fn add_time(&mut self, value: i64, fraction: f64, unit: i64) -> Decoded<()> {
        let whole = value.checked_mul(unit).ok_or(OVERFLOW)?;
        self.microseconds = self.microseconds.checked_add(whole).ok_or(OVERFLOW)?;
        self.add_fraction_of_time(fraction, unit)
    }

    /// A fraction of some days: whole days, and time of the rest.
    fn add_fraction_of_days(&mut self, fraction: f64, scale: f64) -> Decoded<()> {
        let days = fraction * scale;
        add_int(&mut self.days, days as i64, 1)?;
        self.add_fraction_of_time(days - days.trunc(), MICROSECONDS_PER_DAY)
    }

    fn add_fraction_of_time(&mut self, fraction: f64, unit: i64) -> Decoded<()> {
        let exact = fraction * unit as f64;
        let mut microseconds = exact as i64;
        let rest = exact - microseconds as f64;
        if rest > 0.5 {
            microseconds += 1;
        } else if rest < -0.5 {
            microseconds -= 1;
        }
        self.microseconds = self.microseconds.checked_add(microseconds).ok_or(OVERFLOW)?;
        Ok(())
    }

    fn negate(&mut self) -> Decoded<()> {
        self.years = self.years.checked_neg().ok_or(OVERFLOW)?;
        self.months = self.months.checked_neg().ok_or(OVERFLOW)?;
        self.days = self.days.checked_neg().ok_or(OVERFLOW)?;
        self.microseconds = self.microseconds.checked_neg().ok_or(OVERFLOW)?;
        Ok(())
    }
}

/// Parts found, so that none is given twice.
mod part {
    pub const MICROSECOND: u32 = 1;
    pub const MILLISECOND: u32 = 1 << 1;
    pub const SECOND: u32 = 1 << 2;
    pub const MINUTE: u32 = 1 << 3;
    pub const HOUR: u32 = 1 << 4;
    pub const DAY: u32 = 1 << 5;
    pub const WEEK: u32 = 1 << 6;
    pub const MONTH: u32 = 1 << 7;
    pub const YEAR: u32 = 1 << 8;
    pub const DECADE: u32 = 1 << 9;
    pub const CENTURY: u32 = 1 << 10;
    pub const MILLENNIUM: u32 = 1 << 11;
    pub const SECONDS: u32 = SECOND | MILLISECOND | MICROSECOND;
    pub const TIME: u32 = HOUR | MINUTE | SECONDS;
}

struct Decoder {
    sum: Sum,
    found: u32,
    /// The unit of the number to the left, as far as that is known.
    unit: Option<Unit>,
    /// `unit` was written and waits for its number.
    unit_waits: bool,
    /// SQL standard style: a leading minus is of all fields.
    all_negative: bool,
    ago: bool,
    /// Fields of the typmod.
    fields: i32,
}

/// The unit of a last number without one.
fn default_unit(fields: i32) -> Unit {
    use mask::*;
    if fields == FULL || fields & SECOND != 0 {
        Unit::Second
    } else if fields & MINUTE != 0 {
        Unit::Minute
    } else if fields & HOUR != 0 {
        Unit::Hour
    } else if fields & DAY != 0 {
        Unit::Day
    } else if fields & MONTH != 0 {
        Unit::Month
    } else if fields & YEAR != 0 {
        Unit::Year
    } else {
        Unit::Second
    }
}

/// `hh:mm[:ss[.fraction]]` of an interval, in microseconds.
fn clock(text: &str, fields: i32) -> Decoded<i64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let mut hours: i64 = if digits == 0 { 0 } else { text[..digits].parse().map_err(|_| OVERFLOW)? };
    let rest = text[digits..].strip_prefix(':').ok_or(DecodeError::BadFormat)?;
    let (mut minutes, rest) = leading_integer(rest)?;
    let (mut seconds, mut microseconds) = (0, 0);
    // Two fields may be minutes and seconds; with a fraction they are.
    let mut shifted = false;
    if rest.is_empty() {
        shifted = fields == mask::MINUTE | mask::SECOND;
    } else if rest.starts_with('.') {
        microseconds = fraction_of_second(rest)?;
        shifted = true;
    } else {
        let after = rest.strip_prefix(':').ok_or(DecodeError::BadFormat)?;
        let (value, rest) = leading_integer(after)?;
        seconds = value;
        if !rest.is_empty() {
            microseconds = fraction_of_second(rest)?;
        }
    }
    if shifted {
        (seconds, minutes) = (minutes, i32::try_from(hours).map_err(|_| OVERFLOW)?);
        hours = 0;
    }
    let sane =
        (0..60).contains(&minutes) && (0..=60).contains(&seconds) && (0..=1_000_000).contains(&microseconds);
    if !sane {
        return Err(OVERFLOW);
    }
    let below = (i64::from(minutes) * 60 + i64::from(seconds)) * MICROSECONDS_PER_SECOND + microseconds;
    hours.checked_mul(MICROSECONDS_PER_HOUR).and_then(|hours| hours.checked_add(below)).ok_or(OVERFLOW)
}

impl Decoder {
    fn field(&mut self, field: &Field) -> Decoded<()> {
        let found = match field.kind {
            Kind::Time => self.time(&field.text, false)?,
            Kind::Zone => {
                let (sign, rest) = field.text.split_at(1);
                match rest.contains(':').then(|| clock(rest, self.fields)) {
                    Some(Ok(_)) => self.time(rest, sign == "-")?,
                    _ => self.number(&field.text)?,
                }
            }
            Kind::Date | Kind::Number => self.number(&field.text)?,
            Kind::Word | Kind::Special => return self.word(&field.text),
        };
        if self.found & found != 0 {
            return Err(DecodeError::BadFormat);
        }
        self.found |= found;
        Ok(())
    }

    fn time(&mut self, text: &str, negative: bool) -> Decoded<u32> {
        let mut time = clock(text, self.fields)?;
        if negative || (self.all_negative && time > 0) {
            time = -time;
        }
        self.sum.microseconds = self.sum.microseconds.checked_add(time).ok_or(OVERFLOW)?;
        // What stands left of a time is days.
        (self.unit, self.unit_waits) = (Some(Unit::Day), false);
        Ok(part::TIME)
    }

    fn word(&mut self, word: &str) -> Decoded<()> {
        match interval_token(word) {
            Some(IntervalToken::Ignored) => {}
            Some(IntervalToken::Ago) => {
                // What stands left of it needs a unit of its own.
                (self.ago, self.unit) = (true, Some(Unit::Epoch));
            }
            Some(IntervalToken::Unit(unit)) => (self.unit, self.unit_waits) = (Some(unit), true),
            None => return Err(DecodeError::BadFormat),
        }
        Ok(())
    }

    /// A number, whole or with a fraction, or the standard's `years-months`.
    fn number(&mut self, text: &str) -> Decoded<u32> {
        let negative = text.starts_with('-');
        let signed = usize::from(text.starts_with(['-', '+']));
        let digits = text[signed..].bytes().take_while(u8::is_ascii_digit).count();
        let (whole, rest) = text.split_at(signed + digits);
        let mut value: i64 = if digits == 0 { 0 } else { whole.parse().map_err(|_| OVERFLOW)? };
        let mut part_of_one = 0.0;
        let mut unit = self.unit.unwrap_or_else(|| default_unit(self.fields));
        if let Some(months) = rest.strip_prefix('-') {
            let (months, rest) = leading_integer(months)?;
            if !(0..12).contains(&months) {
                return Err(OVERFLOW);
            }
            if !rest.is_empty() {
                return Err(DecodeError::BadFormat);
            }
            unit = Unit::Month;
            let months = i64::from(if negative { -months } else { months });
            value = value.checked_mul(12).and_then(|value| value.checked_add(months)).ok_or(OVERFLOW)?;
        } else if !rest.is_empty() {
            part_of_one = fraction(rest)?;
            if negative {
                part_of_one = -part_of_one;
            }
        }
        if self.all_negative {
            value = if value > 0 { -value } else { value };
            part_of_one = -part_of_one.abs();
        }
        self.unit = Some(if unit == Unit::Hour { Unit::Day } else { unit });
        self.unit_waits = false;
        self.add(unit, value, part_of_one)
    }

    fn add(&mut self, unit: Unit, value: i64, fraction: f64) -> Decoded<u32> {
        let sum = &mut self.sum;
        Ok(match unit {
            Unit::Microseconds => {
                sum.add_time(value, fraction, 1)?;
                part::MICROSECOND
            }
            Unit::Milliseconds => {
                sum.add_time(value, fraction, 1000)?;
                part::MILLISECOND
            }
            Unit::Second => {
                sum.add_time(value, fraction, MICROSECONDS_PER_SECOND)?;
                if fraction == 0.0 { part::SECOND } else { part::SECONDS }
            }
            Unit::Minute => {
                sum.add_time(value, fraction, MICROSECONDS_PER_MINUTE)?;
                part::MINUTE
            }
            Unit::Hour => {
                sum.add_time(value, fraction, MICROSECONDS_PER_HOUR)?;
                part::HOUR
            }
            Unit::Day => {
                sum.add_days(value, fraction)?;
                part::DAY
            }
            Unit::Week => {
                sum.add_weeks(value, fraction)?;
                part::WEEK
            }
            Unit::Month => {
                sum.add_months(value, fraction)?;
                part::MONTH
            }
            Unit::Year => {
                sum.add_years(value, fraction, 1)?;
                part::YEAR
            }
            Unit::Decade => {
                sum.add_years(value, fraction, 10)?;
                part::DECADE
            }
            Unit::Century => {
                sum.add_years(value, fraction, 100)?;
                part::CENTURY
            }
            Unit::Millennium => {
                sum.add_years(value, fraction, 1000)?;
                part::MILLENNIUM
            }
            _ => return Err(DecodeError::BadFormat),
        })
    }
}

fn decode(text: &str, fields: i32, style: IntervalStyle) -> Decoded<Sum> {
    let scanned = scan::fields(text)?;
    let is_signed = |field: &Field| field.text.starts_with(['-', '+']);
    let all_negative = style == IntervalStyle::SqlStandard
        && scanned.first().is_some_and(|first| first.text.starts_with('-'))
        && !scanned[1..].iter().any(is_signed);
    let mut decoder = Decoder {
        sum: Sum::default(),
        found: 0,
        unit: None,
        unit_waits: false,
        all_negative,
        ago: false,
        fields,
    };
    // From the right: a unit stands after its number.
    for field in scanned.iter().rev() {
        decoder.field(field)?;
    }
    if decoder.found == 0 || decoder.unit_waits {
        return Err(DecodeError::BadFormat);
    }
    if decoder.ago {
        decoder.sum.negate()?;
    }
    Ok(decoder.sum)
}

pub(crate) fn parse_interval(text: &str, typmod: i32, context: &FormatContext) -> PgResult<Interval> {
    let decoded = match decode(text, interval_fields(typmod), context.interval_style) {
        Err(DecodeError::BadFormat) => super::iso_interval::decode(text),
        other => other,
    };
    let sum = decoded.map_err(|error| match error {
        DecodeError::FieldOverflow | DecodeError::MonthOrDayOverflow => PgError::new(
            SqlState::INTERVAL_FIELD_OVERFLOW,
            format!("interval field value out of range: \"{text}\""),
        ),
        other => other.into_error("interval", text),
    })?;
    let months = i64::from(sum.years) * 12 + i64::from(sum.months);
    let months = i32::try_from(months).map_err(|_| out_of_range("interval"))?;
    apply_interval_typmod(Interval { months, days: sum.days, microseconds: sum.microseconds }, typmod)
}
