//! Casts among date, time, timestamp and timestamptz, and zones named in AT TIME ZONE.

use super::*;
use crate::datum::TimeTz;
use crate::interval::Interval;
use crate::timezone::TimeZone;
use crate::timezone::abbreviation::{self, Meaning};

/// Microseconds of an offset in seconds.
fn offset(seconds: i32) -> i64 {
    i64::from(seconds) * MICROSECONDS_PER_SECOND
}

fn infinite_timestamp(date: i32) -> i64 {
    if date == DATE_INFINITY { TIMESTAMP_INFINITY } else { TIMESTAMP_NEGATIVE_INFINITY }
}

pub fn date_to_timestamp(date: i32) -> PgResult<i64> {
    if !is_finite_date(date) {
        return Ok(infinite_timestamp(date));
    }
    i64::from(date)
        .checked_mul(MICROSECONDS_PER_DAY)
        .filter(|value| *value < TIMESTAMP_END)
        .ok_or_else(|| out_of_range("date").rewritten("date out of range for timestamp"))
}

/// Midnight of the zone.
pub fn date_to_timestamptz(date: i32, zone: &TimeZone) -> PgResult<i64> {
    if !is_finite_date(date) {
        return Ok(infinite_timestamp(date));
    }
    let local = date_to_timestamp(date)?;
    check_timestamp(local - offset(zone.offset_of_local(local)))
        .map_err(|error| error.rewritten("date out of range for timestamp"))
}

pub fn timestamp_to_date(value: i64) -> PgResult<i32> {
    Ok(match value {
        TIMESTAMP_INFINITY => DATE_INFINITY,
        TIMESTAMP_NEGATIVE_INFINITY => DATE_NEGATIVE_INFINITY,
        finite => finite.div_euclid(MICROSECONDS_PER_DAY) as i32,
    })
}

pub fn timestamp_to_timestamptz(value: i64, zone: &TimeZone) -> PgResult<i64> {
    if !is_finite_timestamp(value) {
        return Ok(value);
    }
    check_timestamp(value.saturating_sub(offset(zone.offset_of_local(value))))
}

pub fn timestamptz_to_timestamp(value: i64, zone: &TimeZone) -> PgResult<i64> {
    if !is_finite_timestamp(value) {
        return Ok(value);
    }
    check_timestamp(value.saturating_add(offset(zone.east_seconds_at(value))))
}

pub fn timestamptz_to_date(value: i64, zone: &TimeZone) -> PgResult<i32> {
    timestamp_to_date(timestamptz_to_timestamp(value, zone)?)
}

/// `None` for an infinity.
pub fn timestamp_to_time(value: i64) -> Option<i64> {
    is_finite_timestamp(value).then(|| value.rem_euclid(MICROSECONDS_PER_DAY))
}

/// `None` for an infinity.
pub fn timestamptz_to_timetz(value: i64, zone: &TimeZone) -> Option<TimeTz> {
    if !is_finite_timestamp(value) {
        return None;
    }
    let east = zone.east_seconds_at(value);
    let microseconds = (value + offset(east)).rem_euclid(MICROSECONDS_PER_DAY);
    Some(TimeTz { microseconds, zone_west_seconds: -east })
}

/// time -> timetz: with the offset that the zone has for this clock reading today.
pub fn time_to_timetz(time: i64, zone: &TimeZone, now: i64) -> TimeTz {
    let today = (now + offset(zone.east_seconds_at(now))).div_euclid(MICROSECONDS_PER_DAY);
    let east = zone.offset_of_local(today * MICROSECONDS_PER_DAY + time);
    TimeTz { microseconds: time, zone_west_seconds: -east }
}

/// date + time.
pub fn date_and_time(date: i32, time: i64) -> PgResult<i64> {
    let day = date_to_timestamp(date)?;
    if is_finite_timestamp(day) { check_timestamp(day + time) } else { Ok(day) }
}

/// date + timetz.
pub fn date_and_timetz(date: i32, time: TimeTz) -> PgResult<i64> {
    let day = date_to_timestamp(date)?;
    if !is_finite_timestamp(day) {
        return Ok(day);
    }
    check_timestamp(day + time.microseconds + offset(time.zone_west_seconds))
}

/// timetz AT TIME ZONE: the same instant read elsewhere. Zones with history take their offset of `now`.
pub fn timetz_in_zone(time: TimeTz, zone: &TimeZone, now: i64) -> TimeTz {
    let east = zone.east_seconds_at(now);
    let utc = time.microseconds + offset(time.zone_west_seconds);
    TimeTz { microseconds: (utc + offset(east)).rem_euclid(MICROSECONDS_PER_DAY), zone_west_seconds: -east }
}

/// A zone as AT TIME ZONE and make_timestamptz take it: an abbreviation, a name, a POSIX specification. 22023 `time zone "..." not
/// recognized`.
pub fn zone_argument(name: &str) -> PgResult<TimeZone> {
    match abbreviation::find(&name.to_ascii_lowercase()) {
        Some(Meaning::Fixed(east, _)) => return Ok(TimeZone::fixed(east)),
        Some(Meaning::Zone(zone)) => {
            if let Some(zone) = TimeZone::named(zone) {
                return Ok(TimeZone::abbreviated(name, zone));
            }
        }
        None => {}
    }
    TimeZone::named(name).ok_or_else(|| {
        PgError::new(SqlState::INVALID_PARAMETER_VALUE, format!("time zone \"{name}\" not recognized"))
    })
}

/// AT TIME ZONE interval: hours east.
pub fn zone_from_interval(span: Interval) -> PgResult<TimeZone> {
    if span.months != 0 || span.days != 0 {
        let mut text = Vec::new();
        write_interval(span, crate::format::IntervalStyle::Postgres, &mut text);
        return Err(PgError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!(
                "interval time zone \"{}\" must not include months or days",
                String::from_utf8_lossy(&text)
            ),
        ));
    }
    i32::try_from(span.microseconds / MICROSECONDS_PER_SECOND)
        .map(TimeZone::fixed)
        .map_err(|_| out_of_range("interval"))
}
