//! Timestamps, dates and times plus and minus intervals and one another.

use super::*;
use crate::datum::TimeTz;
use crate::interval::Interval;
use crate::timezone::TimeZone;

/// Months, then days, of the calendar: what both kinds of timestamps do to a clock reading.
fn move_by_calendar(local: i64, months: i32, days: i32) -> PgResult<i64> {
    let mut civil = CivilTime::from_timestamp(local);
    if months != 0 {
        civil.date = civil.date.plus_months(months)?;
    }
    let moved = civil.timestamp()?;
    i64::from(days)
        .checked_mul(MICROSECONDS_PER_DAY)
        .and_then(|days| moved.checked_add(days))
        .ok_or_else(|| out_of_range("timestamp"))
        .and_then(check_timestamp)
}

fn add_microseconds(value: i64, microseconds: i64) -> PgResult<i64> {
    value.checked_add(microseconds).ok_or_else(|| out_of_range("timestamp")).and_then(check_timestamp)
}

pub fn timestamp_plus_interval(value: i64, span: Interval) -> PgResult<i64> {
    if !is_finite_timestamp(value) {
        return Ok(value);
    }
    let moved = if span.months == 0 && span.days == 0 {
        value
    } else {
        move_by_calendar(value, span.months, span.days)?
    };
    add_microseconds(moved, span.microseconds)
}

pub fn timestamp_minus_interval(value: i64, span: Interval) -> PgResult<i64> {
    if !is_finite_timestamp(value) {
        return Ok(value);
    }
    timestamp_plus_interval(value, span.checked_neg()?)
}

/// Months and days move the local clock, microseconds the instant.
pub fn timestamptz_plus_interval(value: i64, span: Interval, zone: &TimeZone) -> PgResult<i64> {
    if !is_finite_timestamp(value) {
        return Ok(value);
    }
    let mut moved = value;
    for (months, days) in [(span.months, 0), (0, span.days)] {
        if months != 0 || days != 0 {
            let local = timestamptz_to_timestamp(moved, zone)?;
            moved = timestamp_to_timestamptz(move_by_calendar(local, months, days)?, zone)?;
        }
    }
    add_microseconds(moved, span.microseconds)
}

pub fn timestamptz_minus_interval(value: i64, span: Interval, zone: &TimeZone) -> PgResult<i64> {
    if !is_finite_timestamp(value) {
        return Ok(value);
    }
    timestamptz_plus_interval(value, span.checked_neg()?, zone)
}

/// timestamp - timestamp and timestamptz - timestamptz: days and time, never months.
pub fn timestamp_difference(a: i64, b: i64) -> PgResult<Interval> {
    if !is_finite_timestamp(a) || !is_finite_timestamp(b) {
        return Err(PgError::new(SqlState::DATETIME_FIELD_OVERFLOW, "cannot subtract infinite timestamps"));
    }
    let microseconds = a.checked_sub(b).ok_or_else(|| out_of_range("interval"))?;
    Interval { months: 0, days: 0, microseconds }.justify_hours()
}

pub fn date_plus_days(date: i32, days: i32) -> PgResult<i32> {
    if is_finite_date(date) { check_date(i64::from(date) + i64::from(days)) } else { Ok(date) }
}

pub fn date_minus_days(date: i32, days: i32) -> PgResult<i32> {
    if is_finite_date(date) { check_date(i64::from(date) - i64::from(days)) } else { Ok(date) }
}

pub fn date_difference(a: i32, b: i32) -> PgResult<i32> {
    if !is_finite_date(a) || !is_finite_date(b) {
        return Err(PgError::new(SqlState::DATETIME_FIELD_OVERFLOW, "cannot subtract infinite dates"));
    }
    Ok(a - b)
}

/// date + interval: a timestamp.
pub fn date_plus_interval(date: i32, span: Interval) -> PgResult<i64> {
    timestamp_plus_interval(date_to_timestamp(date)?, span)
}

pub fn date_minus_interval(date: i32, span: Interval) -> PgResult<i64> {
    timestamp_minus_interval(date_to_timestamp(date)?, span)
}

fn wrap(microseconds: i64) -> i64 {
    microseconds.rem_euclid(MICROSECONDS_PER_DAY)
}

/// time + interval: wraps at midnight; months and days do not count.
pub fn time_plus_interval(time: i64, span: Interval) -> i64 {
    wrap(time + span.microseconds % MICROSECONDS_PER_DAY)
}

pub fn time_minus_interval(time: i64, span: Interval) -> i64 {
    wrap(time - span.microseconds % MICROSECONDS_PER_DAY)
}

/// time - time.
pub fn time_difference(a: i64, b: i64) -> Interval {
    Interval { months: 0, days: 0, microseconds: a - b }
}

pub fn timetz_plus_interval(time: TimeTz, span: Interval) -> TimeTz {
    TimeTz { microseconds: time_plus_interval(time.microseconds, span), ..time }
}

pub fn timetz_minus_interval(time: TimeTz, span: Interval) -> TimeTz {
    TimeTz { microseconds: time_minus_interval(time.microseconds, span), ..time }
}
