//! EXTRACT and date_part.
//!
//! EXTRACT gives a numeric with the decimals of its field (second: 6, milliseconds: 3, most none), date_part a float. Fields
//! of an infinity that only grow (year, epoch ...) are infinite, the others NULL.

use super::units::{self, Unit};
use super::*;
use crate::data_type::DataType;
use crate::datum::{Datum, TimeTz};
use crate::interval::Interval;
use crate::numeric::Numeric;
use crate::timezone::TimeZone;

const SECONDS_PER_YEAR: f64 = 365.25 * 86_400.0;

/// A field's value before it becomes a numeric or a float.
enum Field {
    Integer(i64),
    /// Microseconds, shown as a number of this many decimals (3: milliseconds, 6: seconds).
    Decimal(i128, u16),
    /// Microseconds within a minute, shown in milliseconds or seconds.
    Milliseconds(i64),
    Seconds(i64),
    /// Whole days, and microseconds of the next.
    Julian(i64, i64),
    Infinity(bool),
    Null,
}

impl Field {
    fn numeric(self) -> PgResult<Option<Numeric>> {
        Ok(Some(match self {
            Field::Integer(value) => Numeric::from_i64(value),
            Field::Decimal(value, scale) => Numeric::from_i128(value, scale),
            Field::Milliseconds(value) => Numeric::from_i128(i128::from(value), 3),
            Field::Seconds(value) => Numeric::from_i128(i128::from(value), 6),
            Field::Julian(days, microseconds) => {
                let part = Numeric::from_i64(microseconds).div(&Numeric::from_i64(MICROSECONDS_PER_DAY))?;
                Numeric::from_i64(days).add(&part)?
            }
            Field::Infinity(positive) => {
                if positive {
                    Numeric::Infinity
                } else {
                    Numeric::NegativeInfinity
                }
            }
            Field::Null => return Ok(None),
        }))
    }

    fn float(self) -> Option<f64> {
        Some(match self {
            Field::Integer(value) => value as f64,
            Field::Decimal(value, scale) => value as f64 / 10f64.powi(i32::from(scale)),
            // As PostgreSQL adds them up, rounding errors included.
            Field::Milliseconds(value) => {
                (value / 1_000_000) as f64 * 1000.0 + (value % 1_000_000) as f64 / 1000.0
            }
            Field::Seconds(value) => (value / 1_000_000) as f64 + (value % 1_000_000) as f64 / 1_000_000.0,
            Field::Julian(days, microseconds) => {
                days as f64 + microseconds as f64 / MICROSECONDS_PER_DAY as f64
            }
            Field::Infinity(positive) => {
                if positive {
                    f64::INFINITY
                } else {
                    f64::NEG_INFINITY
                }
            }
            Field::Null => return None,
        })
    }
}

pub(super) fn not_recognized(unit: &str, data_type: DataType) -> PgError {
    PgError::new(
        SqlState::INVALID_PARAMETER_VALUE,
        format!("unit \"{unit}\" not recognized for type {}", data_type.sql_name()),
    )
}

pub(super) fn not_supported(unit: &str, data_type: DataType) -> PgError {
    PgError::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        format!("unit \"{unit}\" not supported for type {}", data_type.sql_name()),
    )
}

/// The unit that a word names, or 22023.
pub(super) fn unit_named(lower: &str, data_type: DataType) -> PgResult<Unit> {
    units::find(lower).ok_or_else(|| not_recognized(lower, data_type))
}

/// EXTRACT(field FROM value): numeric with PostgreSQL's display scale; `None` is NULL (a finite field of an infinity).
/// `value` is a Date, Time, TimeTz, Timestamp, TimestampTz or Interval; `data_type` is its type (for wording).
pub fn extract(
    field: &str,
    value: &Datum,
    data_type: DataType,
    zone: &TimeZone,
) -> PgResult<Option<Numeric>> {
    evaluate(field, value, data_type, zone)?.numeric()
}

/// date_part: the same as float8. A date is taken as a timestamp.
pub fn date_part(field: &str, value: &Datum, data_type: DataType, zone: &TimeZone) -> PgResult<Option<f64>> {
    if let Datum::Date(date) = value {
        let timestamp = Datum::Timestamp(date_to_timestamp(*date)?);
        return Ok(evaluate(field, &timestamp, DataType::Timestamp, zone)?.float());
    }
    let lower = field.to_ascii_lowercase();
    if let (Datum::Interval(span), Some(Unit::Epoch)) = (value, units::find(&lower)) {
        let days = f64::from(span.months % 12) * 30.0 * 86_400.0 + f64::from(span.days) * 86_400.0;
        let years = f64::from(span.months / 12) * SECONDS_PER_YEAR;
        return Ok(Some(span.microseconds as f64 / 1_000_000.0 + years + days));
    }
    Ok(evaluate(field, value, data_type, zone)?.float())
}

fn evaluate(field: &str, value: &Datum, data_type: DataType, zone: &TimeZone) -> PgResult<Field> {
    let lower = field.to_ascii_lowercase();
    let unit = unit_named(&lower, data_type)?;
    let unsupported = || not_supported(&lower, data_type);
    match value {
        Datum::Date(date) => of_date(unit, *date).ok_or_else(unsupported),
        Datum::Time(time) => of_time(unit, *time, None).ok_or_else(unsupported),
        Datum::TimeTz(time) => of_time(unit, time.microseconds, Some(*time)).ok_or_else(unsupported),
        Datum::Timestamp(value) => of_timestamp(unit, *value, None).ok_or_else(unsupported),
        Datum::TimestampTz(value) => of_timestamp(unit, *value, Some(zone)).ok_or_else(unsupported),
        Datum::Interval(span) => of_interval(unit, *span).ok_or_else(unsupported),
        _ => Err(PgError::internal(format!("extract from a value of type {data_type}"))),
    }
}

/// Fields of the calendar alone.
fn of_day(unit: Unit, date: CivilDate) -> Option<i64> {
    let year = i64::from(date.year);
    Some(match unit {
        Unit::Day => i64::from(date.day),
        Unit::Month => i64::from(date.month),
        Unit::Quarter => i64::from((date.month - 1) / 3 + 1),
        Unit::Week => i64::from(date.iso_week().1),
        Unit::Year => with_no_year_zero(year),
        Unit::Decade if year >= 0 => year / 10,
        Unit::Decade => -((8 - (year - 1)) / 10),
        Unit::Century if year > 0 => (year + 99) / 100,
        Unit::Century => -((99 - (year - 1)) / 100),
        Unit::Millennium if year > 0 => (year + 999) / 1000,
        Unit::Millennium => -((999 - (year - 1)) / 1000),
        Unit::IsoYear => with_no_year_zero(i64::from(date.iso_week().0)),
        Unit::Dow => i64::from(date.weekday()),
        Unit::IsoDow => i64::from(date.iso_weekday()),
        Unit::Doy => i64::from(date.day_of_year()),
        _ => return None,
    })
}

/// 1 BC is -1.
fn with_no_year_zero(year: i64) -> i64 {
    if year > 0 { year } else { year - 1 }
}

/// Fields of a clock reading alone.
fn of_clock(unit: Unit, microseconds: i64) -> Option<Field> {
    let within_minute = microseconds % MICROSECONDS_PER_MINUTE;
    Some(match unit {
        Unit::Microseconds => Field::Integer(within_minute),
        Unit::Milliseconds => Field::Milliseconds(within_minute),
        Unit::Second => Field::Seconds(within_minute),
        Unit::Minute => Field::Integer(microseconds / MICROSECONDS_PER_MINUTE % 60),
        Unit::Hour => Field::Integer(microseconds / MICROSECONDS_PER_HOUR),
        _ => return None,
    })
}

fn of_offset(unit: Unit, east_seconds: i32) -> Option<Field> {
    Some(Field::Integer(i64::from(match unit {
        Unit::TimeZone => east_seconds,
        Unit::TimeZoneHour => east_seconds / 3600,
        Unit::TimeZoneMinute => east_seconds / 60 % 60,
        _ => return None,
    })))
}

/// A field of an infinity.
fn of_infinity(unit: Unit, positive: bool) -> Field {
    use Unit::*;
    match unit {
        Year | Decade | Century | Millennium | Julian | IsoYear | Epoch => Field::Infinity(positive),
        _ => Field::Null,
    }
}

fn of_date(unit: Unit, date: i32) -> Option<Field> {
    let is_of_day = of_day(unit, CivilDate { year: 2000, month: 1, day: 1 }).is_some();
    if !is_of_day && !matches!(unit, Unit::Julian | Unit::Epoch) {
        return None;
    }
    if !is_finite_date(date) {
        return Some(of_infinity(unit, date == DATE_INFINITY));
    }
    Some(Field::Integer(match unit {
        Unit::Julian => i64::from(date) + EPOCH_JULIAN,
        Unit::Epoch => (i64::from(date) + POSTGRES_EPOCH_DAYS) * 86_400,
        unit => of_day(unit, CivilDate::from_days(i64::from(date)))?,
    }))
}

fn of_time(unit: Unit, microseconds: i64, zoned: Option<TimeTz>) -> Option<Field> {
    let west = zoned.map(|time| time.zone_west_seconds);
    if unit == Unit::Epoch {
        let utc = microseconds + i64::from(west.unwrap_or(0)) * MICROSECONDS_PER_SECOND;
        return Some(Field::Decimal(i128::from(utc), 6));
    }
    of_clock(unit, microseconds).or_else(|| of_offset(unit, -west?))
}

fn of_timestamp(unit: Unit, value: i64, zone: Option<&TimeZone>) -> Option<Field> {
    if !is_finite_timestamp(value) {
        return Some(of_infinity(unit, value == TIMESTAMP_INFINITY));
    }
    let east = zone.map(|zone| zone.east_seconds_at(value));
    if unit == Unit::Epoch {
        let since = i128::from(value) + i128::from(POSTGRES_EPOCH_DAYS) * i128::from(MICROSECONDS_PER_DAY);
        return Some(Field::Decimal(since, 6));
    }
    if let Some(field) = east.and_then(|east| of_offset(unit, east)) {
        return Some(field);
    }
    let local = value.saturating_add(i64::from(east.unwrap_or(0)) * MICROSECONDS_PER_SECOND);
    let (days, time) = (local.div_euclid(MICROSECONDS_PER_DAY), local.rem_euclid(MICROSECONDS_PER_DAY));
    if unit == Unit::Julian {
        return Some(Field::Julian(days + EPOCH_JULIAN, time));
    }
    of_clock(unit, time).or_else(|| of_day(unit, CivilDate::from_days(days)).map(Field::Integer))
}

fn of_interval(unit: Unit, span: Interval) -> Option<Field> {
    let (years, months) = (i64::from(span.months / 12), i64::from(span.months % 12));
    Some(match unit {
        Unit::Day => Field::Integer(i64::from(span.days)),
        Unit::Month => Field::Integer(months),
        Unit::Quarter => Field::Integer(months / 3 + 1),
        Unit::Year => Field::Integer(years),
        Unit::Decade => Field::Integer(years / 10),
        Unit::Century => Field::Integer(years / 100),
        Unit::Millennium => Field::Integer(years / 1000),
        Unit::Epoch => {
            // In quarters of a day, so that a year of 365.25 days stays whole.
            let quarters = 4 * 365 * i128::from(years)
                + i128::from(years)
                + 120 * i128::from(months)
                + 4 * i128::from(span.days);
            Field::Decimal(quarters * i128::from(MICROSECONDS_PER_DAY / 4) + i128::from(span.microseconds), 6)
        }
        other => return of_clock(other, span.microseconds),
    })
}
