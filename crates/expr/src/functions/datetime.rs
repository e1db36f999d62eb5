//! Dates, times and intervals: functions, operators, conversions. The calendar itself is [`types::datetime`]'s; here the session's
//! zone and the argument's type are put to it.

use super::kernel::{evaluators, vector};
use crate::EvalContext;
use types::datetime::{
    self, DATE_INFINITY, DATE_NEGATIVE_INFINITY, MICROSECONDS_PER_DAY, TIMESTAMP_INFINITY,
    TIMESTAMP_NEGATIVE_INFINITY,
};
use types::{DataType, Datum, Interval, PgError, PgResult, SqlState, TimeTz, TimeZone, Vector};

fn zone<'a>(context: &'a EvalContext<'_>) -> &'a TimeZone {
    &context.session.format.time_zone
}

/// A timetz; midnight UTC for a NULL's placeholder.
fn timetz(datum: &Datum) -> TimeTz {
    match datum {
        Datum::TimeTz(time) => *time,
        _ => TimeTz { microseconds: 0, zone_west_seconds: 0 },
    }
}

/// A point in time for all rows.
fn instant(value: i64, rows: usize) -> PgResult<Vector> {
    Ok(vector(types::Values::Int8(vec![value; rows]), types::Nulls::none()))
}

pub fn now(context: &EvalContext<'_>, _arguments: &[&Vector], rows: usize) -> PgResult<Vector> {
    instant(context.transaction_timestamp, rows)
}

pub fn statement_timestamp(
    context: &EvalContext<'_>,
    _arguments: &[&Vector],
    rows: usize,
) -> PgResult<Vector> {
    instant(context.statement_timestamp, rows)
}

pub fn clock_timestamp(context: &EvalContext<'_>, _arguments: &[&Vector], rows: usize) -> PgResult<Vector> {
    instant(context.clock_timestamp, rows)
}

// Conversions between the types.
evaluators! {
    fn timestamptz_date(a: i64; context) -> try i32 { datetime::timestamptz_to_date(a, zone(context)) }
    fn timestamp_date(a: i64) -> try i32 { datetime::timestamp_to_date(a) }
    fn date_timestamp(a: i32) -> try i64 { datetime::date_to_timestamp(a) }
    fn date_timestamptz(a: i32; context) -> try i64 { datetime::date_to_timestamptz(a, zone(context)) }
    fn timestamptz_timestamp(a: i64; context) -> try i64 { datetime::timestamptz_to_timestamp(a, zone(context)) }
    fn timestamp_timestamptz(a: i64; context) -> try i64 { datetime::timestamp_to_timestamptz(a, zone(context)) }
    fn timestamp_time(a: i64) -> maybe i64 { Ok(datetime::timestamp_to_time(a)) }
    fn timestamptz_time(a: i64; context) -> maybe i64 {
        if is_infinite(a) {
            return Ok(None);
        }
        Ok(datetime::timestamp_to_time(datetime::timestamptz_to_timestamp(a, zone(context))?))
    }
    fn timestamptz_timetz(a: i64; context) -> maybe datum {
        Ok(datetime::timestamptz_to_timetz(a, zone(context)).map(Datum::TimeTz))
    }
    fn timetz_time(a: datum) -> i64 { timetz(a).microseconds }
    fn time_timetz(a: i64; context) -> try datum {
        // The zone's offset now.
        let east = zone(context).offset_at(context.transaction_timestamp).east_seconds;
        Ok(Datum::TimeTz(TimeTz { microseconds: a, zone_west_seconds: -east }))
    }
    fn time_interval(a: i64) -> interval { Interval { months: 0, days: 0, microseconds: a } }
    fn interval_time(a: interval) -> i64 { a.microseconds.rem_euclid(MICROSECONDS_PER_DAY) }
    fn float8_timestamptz(a: f64) -> try i64 { datetime::timestamptz_from_unix_seconds(a) }
    fn timestamp_scale(a: i64, typmod: i32) -> try i64 { datetime::round_timestamp(a, typmod) }
    fn timestamptz_scale(a: i64, typmod: i32) -> try i64 { datetime::round_timestamp(a, typmod) }
    fn time_scale(a: i64, typmod: i32) -> i64 { datetime::round_time(a, typmod) }
    fn timetz_scale(a: datum, typmod: i32) -> datum {
        let time = timetz(a);
        Datum::TimeTz(TimeTz { microseconds: datetime::round_time(time.microseconds, typmod), ..time })
    }
    fn interval_scale(a: interval, typmod: i32) -> try interval { datetime::apply_interval_typmod(a, typmod) }
    fn datetime_timestamp(date: i32, time: i64) -> try i64 { at_time(date, time) }
    fn datetimetz_timestamptz(date: i32, time: datum) -> try i64 { at_timetz(date, timetz(time)) }
    fn sql_timedate_pl_time_date(time: i64, date: i32) -> try i64 { at_time(date, time) }
    fn sql_timetzdate_pl_timetz_date(time: datum, date: i32) -> try i64 { at_timetz(date, timetz(time)) }
    fn sql_timestamptz_date_time(date: i32, time: i64; context) -> try i64 {
        datetime::timestamp_to_timestamptz(at_time(date, time)?, zone(context))
    }
}

fn is_infinite(timestamp: i64) -> bool {
    timestamp == TIMESTAMP_INFINITY || timestamp == TIMESTAMP_NEGATIVE_INFINITY
}

fn timestamp_out_of_range() -> PgError {
    PgError::new(SqlState::DATETIME_FIELD_OVERFLOW, "timestamp out of range")
}

fn at_time(date: i32, time: i64) -> PgResult<i64> {
    let midnight = datetime::date_to_timestamp(date)?;
    if is_infinite(midnight) {
        return Ok(midnight);
    }
    midnight.checked_add(time).ok_or_else(timestamp_out_of_range)
}

fn at_timetz(date: i32, time: TimeTz) -> PgResult<i64> {
    let local = at_time(date, time.microseconds)?;
    if is_infinite(local) {
        return Ok(local);
    }
    local.checked_add(i64::from(time.zone_west_seconds) * 1_000_000).ok_or_else(timestamp_out_of_range)
}

// Arithmetic.
evaluators! {
    fn date_mi(a: i32, b: i32) -> try i32 { datetime::date_difference(a, b) }
    fn date_pli(a: i32, days: i32) -> try i32 { datetime::date_plus_days(a, days) }
    fn date_mii(a: i32, days: i32) -> try i32 { datetime::date_minus_days(a, days) }
    fn sql_integer_pl_date_int4_date(days: i32, a: i32) -> try i32 { datetime::date_plus_days(a, days) }
    fn date_pl_interval(a: i32, b: interval) -> try i64 {
        datetime::timestamp_plus_interval(datetime::date_to_timestamp(a)?, b)
    }
    fn date_mi_interval(a: i32, b: interval) -> try i64 {
        datetime::timestamp_minus_interval(datetime::date_to_timestamp(a)?, b)
    }
    fn sql_interval_pl_date_interval_date(b: interval, a: i32) -> try i64 {
        datetime::timestamp_plus_interval(datetime::date_to_timestamp(a)?, b)
    }
    fn timestamp_pl_interval(a: i64, b: interval) -> try i64 { datetime::timestamp_plus_interval(a, b) }
    fn timestamp_mi_interval(a: i64, b: interval) -> try i64 { datetime::timestamp_minus_interval(a, b) }
    fn sql_interval_pl_timestamp_interval_timestamp(b: interval, a: i64) -> try i64 {
        datetime::timestamp_plus_interval(a, b)
    }
    fn timestamptz_pl_interval(a: i64, b: interval; context) -> try i64 {
        datetime::timestamptz_plus_interval(a, b, zone(context))
    }
    fn timestamptz_mi_interval(a: i64, b: interval; context) -> try i64 {
        datetime::timestamptz_minus_interval(a, b, zone(context))
    }
    fn sql_interval_pl_timestamptz_interval_timestamptz(b: interval, a: i64; context) -> try i64 {
        datetime::timestamptz_plus_interval(a, b, zone(context))
    }
    fn timestamp_mi(a: i64, b: i64) -> try interval { datetime::timestamp_difference(a, b) }
    fn time_mi_time(a: i64, b: i64) -> interval { Interval { months: 0, days: 0, microseconds: a - b } }
    fn time_pl_interval(a: i64, b: interval) -> i64 { datetime::time_plus_interval(a, b) }
    fn time_mi_interval(a: i64, b: interval) -> i64 { datetime::time_minus_interval(a, b) }
    fn sql_interval_pl_time_interval_time(b: interval, a: i64) -> i64 { datetime::time_plus_interval(a, b) }
    fn timetz_pl_interval(a: datum, b: interval) -> datum {
        Datum::TimeTz(datetime::timetz_plus_interval(timetz(a), b))
    }
    fn timetz_mi_interval(a: datum, b: interval) -> datum {
        Datum::TimeTz(datetime::timetz_minus_interval(timetz(a), b))
    }
    fn sql_interval_pl_timetz_interval_timetz(b: interval, a: datum) -> datum {
        Datum::TimeTz(datetime::timetz_plus_interval(timetz(a), b))
    }
    fn interval_pl(a: interval, b: interval) -> try interval { a.checked_add(b) }
    fn interval_mi(a: interval, b: interval) -> try interval { a.checked_sub(b) }
    fn interval_um(a: interval) -> try interval { a.checked_neg() }
    fn interval_mul(a: interval, factor: f64) -> try interval { a.multiply(factor) }
    fn mul_d_interval(factor: f64, a: interval) -> try interval { a.multiply(factor) }
    fn interval_div(a: interval, divisor: f64) -> try interval { a.divide(divisor) }
    fn interval_justify_days(a: interval) -> try interval { a.justify_days() }
    fn interval_justify_hours(a: interval) -> try interval { a.justify_hours() }
    fn interval_justify_interval(a: interval) -> try interval { a.justify_interval() }
}

// age, extract, date_trunc, date_bin, finiteness.
evaluators! {
    fn timestamptz_age(a: i64, b: i64; context) -> try interval { datetime::age(a, b, Some(zone(context))) }
    fn timestamp_age(a: i64, b: i64) -> try interval { datetime::age(a, b, None) }
    fn sql_age_timestamptz(a: i64; context) -> try interval {
        let today = datetime::date_to_timestamptz(today(context)?, zone(context))?;
        datetime::age(today, a, Some(zone(context)))
    }
    fn sql_age_timestamp(a: i64; context) -> try interval {
        datetime::age(datetime::date_to_timestamp(today(context)?)?, a, None)
    }
    fn extract_date(field: text, a: i32; context) -> maybe numeric {
        datetime::extract(field, &Datum::Date(a), DataType::Date, zone(context))
    }
    fn extract_time(field: text, a: i64; context) -> maybe numeric {
        datetime::extract(field, &Datum::Time(a), DataType::Time, zone(context))
    }
    fn extract_timetz(field: text, a: datum; context) -> maybe numeric {
        datetime::extract(field, a, DataType::TimeTz, zone(context))
    }
    fn extract_timestamp(field: text, a: i64; context) -> maybe numeric {
        datetime::extract(field, &Datum::Timestamp(a), DataType::Timestamp, zone(context))
    }
    fn extract_timestamptz(field: text, a: i64; context) -> maybe numeric {
        datetime::extract(field, &Datum::TimestampTz(a), DataType::TimestampTz, zone(context))
    }
    fn extract_interval(field: text, a: interval; context) -> maybe numeric {
        datetime::extract(field, &Datum::Interval(a), DataType::Interval, zone(context))
    }
    fn sql_date_part_text_date(field: text, a: i32; context) -> maybe f64 {
        // date_part of a date goes by way of timestamp.
        let at = datetime::date_to_timestamp(a)?;
        datetime::date_part(field, &Datum::Timestamp(at), DataType::Timestamp, zone(context))
    }
    fn time_part(field: text, a: i64; context) -> maybe f64 {
        datetime::date_part(field, &Datum::Time(a), DataType::Time, zone(context))
    }
    fn timetz_part(field: text, a: datum; context) -> maybe f64 {
        datetime::date_part(field, a, DataType::TimeTz, zone(context))
    }
    fn timestamp_part(field: text, a: i64; context) -> maybe f64 {
        datetime::date_part(field, &Datum::Timestamp(a), DataType::Timestamp, zone(context))
    }
    fn timestamptz_part(field: text, a: i64; context) -> maybe f64 {
        datetime::date_part(field, &Datum::TimestampTz(a), DataType::TimestampTz, zone(context))
    }
    fn interval_part(field: text, a: interval; context) -> maybe f64 {
        datetime::date_part(field, &Datum::Interval(a), DataType::Interval, zone(context))
    }
    fn timestamp_trunc(unit: text, a: i64) -> try i64 {
        // An infinity is answered before the unit is looked at.
        if is_infinite(a) { Ok(a) } else { datetime::truncate_timestamp(unit, a) }
    }
    fn timestamptz_trunc(unit: text, a: i64; context) -> try i64 {
        if is_infinite(a) { Ok(a) } else { datetime::truncate_timestamptz(unit, a, zone(context)) }
    }
    fn timestamptz_trunc_zone(unit: text, a: i64, name: text) -> try i64 {
        if is_infinite(a) {
            return Ok(a);
        }
        datetime::truncate_timestamptz(unit, a, &datetime::zone_argument(name)?)
    }
    fn interval_trunc(unit: text, a: interval) -> try interval { datetime::truncate_interval(unit, a) }
    fn timestamp_bin(stride: interval, source: i64, origin: i64) -> try i64 {
        datetime::bin_timestamp(stride, source, origin)
    }
    fn timestamptz_bin(stride: interval, source: i64, origin: i64) -> try i64 {
        datetime::bin_timestamp(stride, source, origin)
    }
    fn date_finite(a: i32) -> bool { a != DATE_INFINITY && a != DATE_NEGATIVE_INFINITY }
    fn timestamp_finite(a: i64) -> bool { !is_infinite(a) }
    fn interval_finite(_a: interval) -> bool { true }
}

/// current_date.
fn today(context: &EvalContext<'_>) -> PgResult<i32> {
    datetime::timestamptz_to_date(context.transaction_timestamp, zone(context))
}

// Making values from fields, and moving them between zones.
evaluators! {
    fn make_date(year: i32, month: i32, day: i32) -> try i32 { datetime::make_date(year, month, day) }
    fn make_time(hour: i32, minute: i32, second: f64) -> try i64 { datetime::make_time(hour, minute, second) }
    fn make_timestamp(year: i32, month: i32, day: i32, hour: i32, minute: i32, second: f64) -> try i64 {
        datetime::make_timestamp(year, month, day, hour, minute, second)
    }
    fn make_timestamptz(year: i32, month: i32, day: i32, hour: i32, minute: i32, second: f64; context) -> try i64 {
        datetime::make_timestamptz(year, month, day, hour, minute, second, zone(context))
    }
    fn make_timestamptz_at_timezone(year: i32, month: i32, day: i32, hour: i32, minute: i32, second: f64, name: text) -> try i64 {
        datetime::make_timestamptz(year, month, day, hour, minute, second, &datetime::zone_argument(name)?)
    }
    fn make_interval(years: i32, months: i32, weeks: i32, days: i32, hours: i32, minutes: i32, seconds: f64) -> try interval {
        datetime::make_interval(years, months, weeks, days, hours, minutes, seconds)
    }
    fn timestamptz_zone(name: text, a: i64) -> try i64 {
        if is_infinite(a) {
            return Ok(a);
        }
        datetime::timestamptz_to_timestamp(a, &datetime::zone_argument(name)?)
    }
    fn timestamptz_izone(offset: interval, a: i64) -> try i64 {
        datetime::timestamptz_to_timestamp(a, &datetime::zone_from_interval(offset)?)
    }
    fn timestamp_zone(name: text, a: i64) -> try i64 {
        if is_infinite(a) {
            return Ok(a);
        }
        datetime::timestamp_to_timestamptz(a, &datetime::zone_argument(name)?)
    }
    fn timestamp_izone(offset: interval, a: i64) -> try i64 {
        datetime::timestamp_to_timestamptz(a, &datetime::zone_from_interval(offset)?)
    }
    fn timetz_zone(name: text, a: datum; context) -> try datum {
        let east = datetime::zone_argument(name)?.offset_at(context.transaction_timestamp).east_seconds;
        Ok(moved(timetz(a), -east))
    }
    fn timetz_izone(offset: interval, a: datum) -> try datum {
        let east = datetime::zone_from_interval(offset)?.offset_at(0).east_seconds;
        Ok(moved(timetz(a), -east))
    }
}

/// The same instant of the day on another zone's clock.
fn moved(time: TimeTz, zone_west_seconds: i32) -> Datum {
    let shift = i64::from(time.zone_west_seconds - zone_west_seconds) * 1_000_000;
    let microseconds = (time.microseconds + shift).rem_euclid(MICROSECONDS_PER_DAY);
    Datum::TimeTz(TimeTz { microseconds, zone_west_seconds })
}

/// (start, end) OVERLAPS (start, end), each half open; three-valued when an end is unknown (see PostgreSQL's overlaps_timestamp).
fn overlaps<T: PartialOrd + Copy>(a: (Option<T>, Option<T>), b: (Option<T>, Option<T>)) -> Option<bool> {
    // NULLs sort to the end; a period runs from its lesser to its greater bound.
    let ordered = |(start, end): (Option<T>, Option<T>)| match (start, end) {
        (None, None) => None,
        (None, Some(end)) => Some((end, None)),
        (Some(start), None) => Some((start, None)),
        (Some(start), Some(end)) if start > end => Some((end, Some(start))),
        (Some(start), Some(end)) => Some((start, Some(end))),
    };
    let ((start_a, end_a), (start_b, end_b)) = (ordered(a)?, ordered(b)?);
    // Whether the period that starts later does so before the other one, which ends at `end`, is over.
    let reaches = |end: Option<T>, later: T, later_end: Option<T>| match (end, later_end) {
        (None, _) => None,
        (Some(end), _) if later < end => Some(true),
        (Some(_), None) => None,
        (Some(_), Some(_)) => Some(false),
    };
    if start_a > start_b {
        reaches(end_b, start_a, end_a)
    } else if start_a < start_b {
        reaches(end_a, start_b, end_b)
    } else {
        // Both begin together: they overlap as soon as both ends are known.
        (end_a.is_some() && end_b.is_some()).then_some(true)
    }
}

/// Reads four arguments, ends given as a point or as a length, and asks [`overlaps`].
fn overlapping<T: PartialOrd + Copy>(
    arguments: &[&Vector],
    rows: usize,
    read: impl Fn(&Datum) -> Option<T>,
    add: impl Fn(T, Interval) -> PgResult<T>,
) -> PgResult<Vector> {
    let mut result = Vector::with_capacity(DataType::Bool, rows);
    for row in 0..rows {
        let at = |index: usize| {
            let argument = arguments[index];
            argument.datum(if argument.len() == rows { row } else { 0 })
        };
        let period = |first: usize| -> PgResult<(Option<T>, Option<T>)> {
            let start = read(&at(first));
            let end = match (at(first + 1), start) {
                (Datum::Interval(length), Some(start)) => Some(add(start, length)?),
                (Datum::Interval(_), None) => None,
                (end, _) => read(&end),
            };
            Ok((start, end))
        };
        let answer = overlaps(period(0)?, period(2)?);
        result.push(&answer.map_or(Datum::Null, Datum::Bool));
    }
    Ok(result)
}

fn stamp(datum: &Datum) -> Option<i64> {
    match datum {
        Datum::Timestamp(value) | Datum::TimestampTz(value) | Datum::Time(value) => Some(*value),
        _ => None,
    }
}

macro_rules! overlaps_functions {
    ($($name:ident: $read:expr, |$context:ident| $add:expr;)*) => {$(
        pub fn $name($context: &EvalContext<'_>, arguments: &[&Vector], rows: usize) -> PgResult<Vector> {
            overlapping(arguments, rows, $read, $add)
        }
    )*};
}

overlaps_functions! {
    overlaps_timestamp: stamp, |_context| datetime::timestamp_plus_interval;
    sql_overlaps_timestamp_interval_timestamp_interval: stamp, |_context| datetime::timestamp_plus_interval;
    sql_overlaps_timestamp_timestamp_timestamp_interval: stamp, |_context| datetime::timestamp_plus_interval;
    sql_overlaps_timestamp_interval_timestamp_timestamp: stamp, |_context| datetime::timestamp_plus_interval;
    sql_overlaps_timestamptz_interval_timestamptz_interval: stamp, |context| |a, b| datetime::timestamptz_plus_interval(a, b, zone(context));
    sql_overlaps_timestamptz_timestamptz_timestamptz_interval: stamp, |context| |a, b| datetime::timestamptz_plus_interval(a, b, zone(context));
    sql_overlaps_timestamptz_interval_timestamptz_timestamptz: stamp, |context| |a, b| datetime::timestamptz_plus_interval(a, b, zone(context));
    overlaps_time: stamp, |_context| |a, b| Ok(datetime::time_plus_interval(a, b));
    sql_overlaps_time_interval_time_interval: stamp, |_context| |a, b| Ok(datetime::time_plus_interval(a, b));
    sql_overlaps_time_time_time_interval: stamp, |_context| |a, b| Ok(datetime::time_plus_interval(a, b));
    sql_overlaps_time_interval_time_time: stamp, |_context| |a, b| Ok(datetime::time_plus_interval(a, b));
    overlaps_timetz: instant_of_day, |_context| |a, _| Ok(a);
}

/// A timetz as a point on UTC's clock.
fn instant_of_day(datum: &Datum) -> Option<i64> {
    match datum {
        Datum::TimeTz(time) => Some(time.microseconds + i64::from(time.zone_west_seconds) * 1_000_000),
        _ => None,
    }
}
