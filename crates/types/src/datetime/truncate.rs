//! date_trunc and date_bin.

use super::field::{not_recognized, not_supported, unit_named};
use super::units::Unit;
use super::*;
use crate::data_type::DataType;
use crate::interval::Interval;
use crate::timezone::TimeZone;

/// What a unit that does not truncate is called: those that only extract knows are not even recognized.
fn refuse(unit: Unit, lower: &str, data_type: DataType) -> PgError {
    match unit {
        Unit::TimeZone | Unit::TimeZoneHour | Unit::TimeZoneMinute => not_supported(lower, data_type),
        _ => not_recognized(lower, data_type),
    }
}

/// The first year of a decade, century or millennium; years are counted with a year 0.
fn first_year(unit: Unit, year: i64) -> i64 {
    match unit {
        Unit::Decade if year >= 0 => year / 10 * 10,
        Unit::Decade => -((8 - (year - 1)) / 10) * 10,
        Unit::Century if year > 0 => (year + 99) / 100 * 100 - 99,
        Unit::Century => -((99 - (year - 1)) / 100) * 100 + 1,
        Unit::Millennium if year > 0 => (year + 999) / 1000 * 1000 - 999,
        Unit::Millennium => -((999 - (year - 1)) / 1000) * 1000 + 1,
        _ => year,
    }
}

/// The first day of what `date` is in; `None` for units below the day and those that are none.
fn first_day(unit: Unit, date: CivilDate) -> Option<CivilDate> {
    Some(match unit {
        Unit::Day => date,
        Unit::Week => CivilDate::from_days(date.days() + 1 - i64::from(date.iso_weekday())),
        Unit::Month => CivilDate { day: 1, ..date },
        Unit::Quarter => CivilDate { month: (date.month - 1) / 3 * 3 + 1, day: 1, ..date },
        Unit::Year | Unit::Decade | Unit::Century | Unit::Millennium => {
            CivilDate { year: first_year(unit, i64::from(date.year)) as i32, month: 1, day: 1 }
        }
        _ => return None,
    })
}

/// Microseconds of the units below a day.
fn unit_of_time(unit: Unit) -> Option<i64> {
    Some(match unit {
        Unit::Microseconds => 1,
        Unit::Milliseconds => 1000,
        Unit::Second => MICROSECONDS_PER_SECOND,
        Unit::Minute => MICROSECONDS_PER_MINUTE,
        Unit::Hour => MICROSECONDS_PER_HOUR,
        _ => return None,
    })
}

fn truncate_local(unit: Unit, local: i64) -> Option<PgResult<i64>> {
    if let Some(size) = unit_of_time(unit) {
        return Some(Ok(local - local.rem_euclid(MICROSECONDS_PER_DAY) % size));
    }
    let date = first_day(unit, CivilTime::from_timestamp(local).date)?;
    Some(CivilTime::of_day(date, 0).timestamp())
}

/// date_trunc of a timestamp.
pub fn truncate_timestamp(unit: &str, value: i64) -> PgResult<i64> {
    let lower = unit.to_ascii_lowercase();
    let unit = unit_named(&lower, DataType::Timestamp)?;
    if !is_finite_timestamp(value) {
        return Ok(value);
    }
    truncate_local(unit, value).unwrap_or_else(|| Err(refuse(unit, &lower, DataType::Timestamp)))
}

/// date_trunc of a timestamptz: days and more begin when they do in the zone.
pub fn truncate_timestamptz(unit: &str, value: i64, zone: &TimeZone) -> PgResult<i64> {
    let lower = unit.to_ascii_lowercase();
    let unit = unit_named(&lower, DataType::TimestampTz)?;
    if !is_finite_timestamp(value) {
        return Ok(value);
    }
    let local = timestamptz_to_timestamp(value, zone)?;
    let truncated =
        truncate_local(unit, local).unwrap_or_else(|| Err(refuse(unit, &lower, DataType::TimestampTz)))?;
    if unit_of_time(unit).is_some() {
        // The offset stays: an hour is not torn by a change within it.
        return Ok(truncated - (local - value));
    }
    timestamp_to_timestamptz(truncated, zone)
}

/// date_trunc of an interval.
pub fn truncate_interval(unit: &str, value: Interval) -> PgResult<Interval> {
    let lower = unit.to_ascii_lowercase();
    let unit = unit_named(&lower, DataType::Interval)?;
    if let Some(size) = unit_of_time(unit) {
        return Ok(Interval { microseconds: value.microseconds - value.microseconds % size, ..value });
    }
    let months = match unit {
        Unit::Day => return Ok(Interval { microseconds: 0, ..value }),
        Unit::Month => 1,
        Unit::Quarter => 3,
        Unit::Year => 12,
        Unit::Decade => 120,
        Unit::Century => 1200,
        Unit::Millennium => 12_000,
        Unit::Week => {
            return Err(
                not_supported(&lower, DataType::Interval).detail("Months usually have fractional weeks.")
            );
        }
        unit => return Err(refuse(unit, &lower, DataType::Interval)),
    };
    Ok(Interval { months: value.months - value.months % months, days: 0, microseconds: 0 })
}

/// date_bin(stride, source, origin), for timestamp and timestamptz alike.
pub fn bin_timestamp(stride: Interval, source: i64, origin: i64) -> PgResult<i64> {
    if !is_finite_timestamp(source) {
        return Ok(source);
    }
    if !is_finite_timestamp(origin) {
        return Err(PgError::new(SqlState::DATETIME_FIELD_OVERFLOW, "origin out of range"));
    }
    if stride.months != 0 {
        return Err(PgError::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "timestamps cannot be binned into intervals containing months or years",
        ));
    }
    let size = i64::from(stride.days)
        .checked_mul(MICROSECONDS_PER_DAY)
        .and_then(|days| days.checked_add(stride.microseconds))
        .ok_or_else(|| out_of_range("interval"))?;
    if size <= 0 {
        return Err(PgError::new(SqlState::DATETIME_FIELD_OVERFLOW, "stride must be greater than zero"));
    }
    let since = source.checked_sub(origin).ok_or_else(|| out_of_range("interval"))?;
    check_timestamp(source.checked_sub(since.rem_euclid(size)).ok_or_else(|| out_of_range("timestamp"))?)
}
