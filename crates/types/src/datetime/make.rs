//! make_date and its kin, to_timestamp.

use super::civil::days_in_month;
use super::*;
use crate::interval::Interval;
use crate::timezone::TimeZone;

fn field_error(what: &str, text: impl std::fmt::Display) -> PgError {
    PgError::new(SqlState::DATETIME_FIELD_OVERFLOW, format!("{what} field value out of range: {text}"))
}

/// A negative year is BC; there is no year 0.
fn civil_date(year: i32, month: i32, day: i32) -> PgResult<CivilDate> {
    // What PostgreSQL says of a year BC is already counted with a year 0.
    let counted = if year < 0 { year.saturating_add(1) } else { year };
    let fail = || field_error("date", format_args!("{counted}-{month:02}-{day:02}"));
    if year == 0
        || !(1..=12).contains(&month)
        || day < 1
        || day > i32::from(days_in_month(i64::from(counted), month as u8))
    {
        return Err(fail());
    }
    Ok(CivilDate { year: counted, month: month as u8, day: day as u8 })
}

pub fn make_date(year: i32, month: i32, day: i32) -> PgResult<i32> {
    let days = civil_date(year, month, day)?.days();
    check_date(days)
        .map_err(|error| error.rewritten(format!("date out of range: {year}-{month:02}-{day:02}")))
}

/// C's %02g: two digits at least, no trailing zeros.
fn seconds_text(second: f64) -> String {
    if second.is_nan() {
        return "NaN".into();
    }
    if second.is_infinite() {
        return if second > 0.0 { "Infinity".into() } else { "-Infinity".into() };
    }
    if second.fract() == 0.0 && second.abs() < 1e6 { format!("{second:02}") } else { format!("{second}") }
}

pub fn make_time(hour: i32, minute: i32, second: f64) -> PgResult<i64> {
    let fail = || field_error("time", format_args!("{hour}:{minute:02}:{}", seconds_text(second)));
    if !(0..=24).contains(&hour) || !(0..=59).contains(&minute) || second.is_nan() {
        return Err(fail());
    }
    let microseconds = (second * 1_000_000.0).round_ties_even();
    if !(0.0..=60_000_000.0).contains(&microseconds) {
        return Err(fail());
    }
    let time = i64::from(hour) * MICROSECONDS_PER_HOUR
        + i64::from(minute) * MICROSECONDS_PER_MINUTE
        + microseconds as i64;
    if time > MICROSECONDS_PER_DAY { Err(fail()) } else { Ok(time) }
}

pub fn make_timestamp(year: i32, month: i32, day: i32, hour: i32, minute: i32, second: f64) -> PgResult<i64> {
    let date = civil_date(year, month, day)?;
    let time = make_time(hour, minute, second)?;
    date.days()
        .checked_mul(MICROSECONDS_PER_DAY)
        .and_then(|day| day.checked_add(time))
        .and_then(|value| check_timestamp(value).ok())
        .ok_or_else(|| {
            out_of_range("timestamp").rewritten(format!(
                "timestamp out of range: {year}-{month:02}-{day:02} {hour}:{minute:02}:{}",
                seconds_text(second)
            ))
        })
}

pub fn make_timestamptz(
    year: i32,
    month: i32,
    day: i32,
    hour: i32,
    minute: i32,
    second: f64,
    zone: &TimeZone,
) -> PgResult<i64> {
    timestamp_to_timestamptz(make_timestamp(year, month, day, hour, minute, second)?, zone)
}

pub fn make_interval(
    years: i32,
    months: i32,
    weeks: i32,
    days: i32,
    hours: i32,
    minutes: i32,
    seconds: f64,
) -> PgResult<Interval> {
    let overflow = || out_of_range("interval");
    let microseconds = (seconds * 1_000_000.0).round_ties_even();
    if !seconds.is_finite() || microseconds.abs() >= 2f64.powi(63) {
        return Err(overflow());
    }
    let months = i64::from(years) * 12 + i64::from(months);
    let days = i64::from(weeks) * 7 + i64::from(days);
    let clock = i64::from(hours) * MICROSECONDS_PER_HOUR + i64::from(minutes) * MICROSECONDS_PER_MINUTE;
    Ok(Interval {
        months: i32::try_from(months).map_err(|_| overflow())?,
        days: i32::try_from(days).map_err(|_| overflow())?,
        microseconds: clock.checked_add(microseconds as i64).ok_or_else(overflow)?,
    })
}

/// to_timestamp(double precision): seconds since 1970.
pub fn timestamptz_from_unix_seconds(seconds: f64) -> PgResult<i64> {
    if seconds.is_nan() {
        return Err(PgError::new(SqlState::DATETIME_FIELD_OVERFLOW, "timestamp cannot be NaN"));
    }
    if seconds.is_infinite() {
        return Ok(if seconds > 0.0 { TIMESTAMP_INFINITY } else { TIMESTAMP_NEGATIVE_INFINITY });
    }
    let fail = || {
        let mut text = Vec::new();
        crate::format::write_general(seconds, 6, &mut text);
        let text = String::from_utf8_lossy(&text).into_owned();
        out_of_range("timestamp").rewritten(format!("timestamp out of range: \"{text}\""))
    };
    let since = ((seconds - (POSTGRES_EPOCH_DAYS * 86_400) as f64) * 1_000_000.0).round_ties_even();
    if since.abs() >= 2f64.powi(63) {
        return Err(fail());
    }
    check_timestamp(since as i64).map_err(|_| fail())
}
