//! Dates, times and intervals as text, in every DateStyle and IntervalStyle. Appends to a buffer and allocates nothing.

use super::*;
use crate::datum::TimeTz;
use crate::format::{DateFormat, DateOrder, FormatContext, IntervalStyle, write_integer};
use crate::interval::Interval;
use crate::timezone::TimeZone;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

#[inline]
fn two_digits(value: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(&[b'0' + value / 10, b'0' + value % 10]);
}

/// At least four digits; years BC are counted without a year 0.
fn year(date: CivilDate, out: &mut Vec<u8>) {
    let shown = if date.year > 0 { i64::from(date.year) } else { 1 - i64::from(date.year) };
    if (1000..=9999).contains(&shown) {
        two_digits((shown / 100) as u8, out);
        return two_digits((shown % 100) as u8, out);
    }
    for limit in [1000, 100, 10] {
        if shown < limit {
            out.push(b'0');
        }
    }
    write_integer(shown, out);
}

fn era(date: CivilDate, out: &mut Vec<u8>) {
    if date.year <= 0 {
        out.extend_from_slice(b" BC");
    }
}

/// `.` and the fraction without trailing zeros, if there is one.
#[inline]
fn fraction(microsecond: u32, out: &mut Vec<u8>) {
    if microsecond == 0 {
        return;
    }
    out.push(b'.');
    let (mut rest, mut unit) = (microsecond, 100_000);
    while rest > 0 {
        out.push(b'0' + (rest / unit) as u8);
        rest %= unit;
        unit /= 10;
    }
}

#[inline]
fn clock(time: CivilTime, out: &mut Vec<u8>) {
    two_digits(time.hour, out);
    out.push(b':');
    two_digits(time.minute, out);
    out.push(b':');
    two_digits(time.second, out);
    fraction(time.microsecond, out);
}

/// `+01`, `-03:30`, `+00:19:32`.
fn zone(east_seconds: i32, out: &mut Vec<u8>) {
    let size = east_seconds.unsigned_abs();
    out.push(if east_seconds < 0 { b'-' } else { b'+' });
    let (hours, minutes, seconds) = (size / 3600, (size / 60 % 60) as u8, (size % 60) as u8);
    two_digits(hours as u8, out);
    if minutes != 0 || seconds != 0 {
        out.push(b':');
        two_digits(minutes, out);
    }
    if seconds != 0 {
        out.push(b':');
        two_digits(seconds, out);
    }
}

fn infinity(positive: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(if positive { b"infinity" } else { b"-infinity" });
}

/// Day and month in the order of the setting.
fn month_and_day(date: CivilDate, order: DateOrder, separator: u8, out: &mut Vec<u8>) {
    let (first, second) =
        if order == DateOrder::Dmy { (date.day, date.month) } else { (date.month, date.day) };
    two_digits(first, out);
    out.push(separator);
    two_digits(second, out);
}

/// Date and year without the era; `postgres` is how that style writes a date alone.
fn day(date: CivilDate, context: &FormatContext, out: &mut Vec<u8>) {
    match context.date_format {
        DateFormat::Iso => {
            year(date, out);
            out.push(b'-');
            two_digits(date.month, out);
            out.push(b'-');
            two_digits(date.day, out);
        }
        DateFormat::Sql => {
            month_and_day(date, context.date_order, b'/', out);
            out.push(b'/');
            year(date, out);
        }
        DateFormat::German => {
            two_digits(date.day, out);
            out.push(b'.');
            two_digits(date.month, out);
            out.push(b'.');
            year(date, out);
        }
        DateFormat::Postgres => {
            month_and_day(date, context.date_order, b'-', out);
            out.push(b'-');
            year(date, out);
        }
    }
}

pub(crate) fn write_date(date: i32, context: &FormatContext, out: &mut Vec<u8>) {
    if !is_finite_date(date) {
        return infinity(date == DATE_INFINITY, out);
    }
    let date = CivilDate::from_days(i64::from(date));
    day(date, context, out);
    era(date, out);
}

pub(crate) fn write_time(time: i64, out: &mut Vec<u8>) {
    clock(CivilTime::of_day(CivilDate { year: 2000, month: 1, day: 1 }, time), out);
}

pub(crate) fn write_timetz(time: TimeTz, out: &mut Vec<u8>) {
    write_time(time.microseconds, out);
    zone(-time.zone_west_seconds, out);
}

pub(crate) fn write_timestamp(value: i64, context: &FormatContext, out: &mut Vec<u8>) {
    if !is_finite_timestamp(value) {
        return infinity(value == TIMESTAMP_INFINITY, out);
    }
    civil(CivilTime::from_timestamp(value), None, context, out);
}

pub(crate) fn write_timestamptz(value: i64, context: &FormatContext, out: &mut Vec<u8>) {
    if !is_finite_timestamp(value) {
        return infinity(value == TIMESTAMP_INFINITY, out);
    }
    let east = context.time_zone.east_seconds_at(value);
    let local = value.saturating_add(i64::from(east) * MICROSECONDS_PER_SECOND);
    civil(CivilTime::from_timestamp(local), Some((east, &context.time_zone, value)), context, out);
}

/// A timestamp; with a zone: its offset, itself and the instant.
fn civil(time: CivilTime, zoned: Option<(i32, &TimeZone, i64)>, context: &FormatContext, out: &mut Vec<u8>) {
    if context.date_format == DateFormat::Postgres {
        out.extend_from_slice(WEEKDAYS[usize::from(time.date.weekday())].as_bytes());
        out.push(b' ');
        let month = MONTHS[usize::from(time.date.month) - 1].as_bytes();
        if context.date_order == DateOrder::Dmy {
            two_digits(time.date.day, out);
            out.push(b' ');
            out.extend_from_slice(month);
        } else {
            out.extend_from_slice(month);
            out.push(b' ');
            two_digits(time.date.day, out);
        }
        out.push(b' ');
        clock(time, out);
        out.push(b' ');
        year(time.date, out);
    } else {
        day(time.date, context, out);
        out.push(b' ');
        clock(time, out);
    }
    match zoned {
        Some((east, _, _)) if context.date_format == DateFormat::Iso => zone(east, out),
        Some((_, of, instant)) => {
            out.push(b' ');
            out.extend_from_slice(of.abbreviation_text_at(instant).as_bytes());
        }
        None => {}
    }
    era(time.date, out);
}

/// An interval's parts as they are shown: all with the sign of the part that they belong to.
struct Parts {
    years: i64,
    months: i64,
    days: i64,
    hours: i64,
    minutes: i64,
    seconds: i64,
    microseconds: i64,
}

impl Parts {
    fn of(span: Interval) -> Parts {
        let seconds = span.microseconds / MICROSECONDS_PER_SECOND;
        Parts {
            years: i64::from(span.months / 12),
            months: i64::from(span.months % 12),
            days: i64::from(span.days),
            hours: seconds / 3600,
            minutes: seconds / 60 % 60,
            seconds: seconds % 60,
            microseconds: span.microseconds % MICROSECONDS_PER_SECOND,
        }
    }

    fn all(&self) -> [i64; 7] {
        [self.years, self.months, self.days, self.hours, self.minutes, self.seconds, self.microseconds]
    }

    fn time(&self) -> [i64; 4] {
        [self.hours, self.minutes, self.seconds, self.microseconds]
    }

    fn has_time(&self) -> bool {
        self.time().iter().any(|part| *part != 0)
    }

    fn time_is_negative(&self) -> bool {
        self.time().iter().any(|part| *part < 0)
    }

    /// Seconds without a sign, padded to two digits or not.
    fn write_seconds(&self, padded: bool, out: &mut Vec<u8>) {
        let seconds = self.seconds.unsigned_abs() as u8;
        if padded {
            two_digits(seconds, out);
        } else {
            write_integer(i64::from(seconds), out);
        }
        fraction(self.microseconds.unsigned_abs() as u32, out);
    }

    /// Hours (padded to two digits or not), minutes and seconds, without a sign.
    fn write_clock(&self, padded: bool, out: &mut Vec<u8>) {
        let hours = self.hours.unsigned_abs();
        if padded && hours < 10 {
            out.push(b'0');
        }
        write_integer(hours as i64, out);
        out.push(b':');
        two_digits(self.minutes.unsigned_abs() as u8, out);
        out.push(b':');
        self.write_seconds(true, out);
    }
}

pub(crate) fn write_interval(span: Interval, style: IntervalStyle, out: &mut Vec<u8>) {
    let parts = Parts::of(span);
    match style {
        IntervalStyle::Postgres => write_postgres(&parts, out),
        IntervalStyle::PostgresVerbose => write_verbose(&parts, out),
        IntervalStyle::SqlStandard => write_sql_standard(parts, out),
        IntervalStyle::Iso8601 => write_iso(&parts, out),
    }
}

fn plural(value: i64, out: &mut Vec<u8>) {
    if value != 1 {
        out.push(b's');
    }
}

/// `1 year 2 mons -3 days +04:05:06`: a sign is written after a negative part.
fn write_postgres(parts: &Parts, out: &mut Vec<u8>) {
    let start = out.len();
    let mut after_negative = false;
    for (value, unit) in [(parts.years, "year"), (parts.months, "mon"), (parts.days, "day")] {
        if value == 0 {
            continue;
        }
        if out.len() > start {
            out.push(b' ');
        }
        if after_negative && value > 0 {
            out.push(b'+');
        }
        write_integer(value, out);
        out.push(b' ');
        out.extend_from_slice(unit.as_bytes());
        plural(value, out);
        after_negative = value < 0;
    }
    if out.len() == start || parts.has_time() {
        if out.len() > start {
            out.push(b' ');
        }
        if parts.time_is_negative() {
            out.push(b'-');
        } else if after_negative {
            out.push(b'+');
        }
        parts.write_clock(true, out);
    }
}

/// `@ 1 year 2 mons 3 days 4 hours 5 mins 6 secs ago`: the first part's sign is turned into `ago`.
fn write_verbose(parts: &Parts, out: &mut Vec<u8>) {
    out.push(b'@');
    let (mut is_zero, mut is_before) = (true, false);
    let units = [
        (parts.years, "year"),
        (parts.months, "mon"),
        (parts.days, "day"),
        (parts.hours, "hour"),
        (parts.minutes, "min"),
    ];
    for (value, unit) in units {
        if value == 0 {
            continue;
        }
        if is_zero {
            is_before = value < 0;
        }
        let shown = if is_before { -value } else { value };
        is_zero = false;
        out.push(b' ');
        write_integer(shown, out);
        out.push(b' ');
        out.extend_from_slice(unit.as_bytes());
        plural(shown, out);
    }
    if parts.seconds != 0 || parts.microseconds != 0 {
        out.push(b' ');
        if parts.seconds < 0 || parts.microseconds < 0 {
            if is_zero {
                is_before = true;
            } else if !is_before {
                out.push(b'-');
            }
        } else if is_before {
            out.push(b'-');
        }
        parts.write_seconds(false, out);
        out.extend_from_slice(b" sec");
        if parts.seconds.abs() != 1 || parts.microseconds != 0 {
            out.push(b's');
        }
        is_zero = false;
    }
    if is_zero {
        out.extend_from_slice(b" 0");
    }
    if is_before {
        out.extend_from_slice(b" ago");
    }
}

/// `P1Y2M3DT4H5M6S`.
fn write_iso(parts: &Parts, out: &mut Vec<u8>) {
    if parts.all() == [0; 7] {
        return out.extend_from_slice(b"PT0S");
    }
    let part = |value: i64, unit: u8, out: &mut Vec<u8>| {
        if value != 0 {
            write_integer(value, out);
            out.push(unit);
        }
    };
    out.push(b'P');
    part(parts.years, b'Y', out);
    part(parts.months, b'M', out);
    part(parts.days, b'D', out);
    if parts.has_time() {
        out.push(b'T');
    }
    part(parts.hours, b'H', out);
    part(parts.minutes, b'M', out);
    if parts.seconds != 0 || parts.microseconds != 0 {
        if parts.seconds < 0 || parts.microseconds < 0 {
            out.push(b'-');
        }
        parts.write_seconds(false, out);
        out.push(b'S');
    }
}

/// `1-2`, `3 4:05:06`, or with a sign on each part where the standard has no form.
fn write_sql_standard(mut parts: Parts, out: &mut Vec<u8>) {
    let negative = parts.all().iter().any(|part| *part < 0);
    let positive = parts.all().iter().any(|part| *part > 0);
    let has_months = parts.years != 0 || parts.months != 0;
    let has_days = parts.days != 0 || parts.has_time();
    let (mixed_signs, mixed_parts) = (negative && positive, has_months && has_days);
    let standard = !mixed_signs && !mixed_parts;
    if !negative && !positive {
        return out.push(b'0');
    }
    if !standard {
        let sign = |negative: bool| if negative { b'-' } else { b'+' };
        out.push(sign(parts.years < 0 || parts.months < 0));
        write_integer(parts.years.abs(), out);
        out.push(b'-');
        write_integer(parts.months.abs(), out);
        out.extend_from_slice(&[b' ', sign(parts.days < 0)]);
        write_integer(parts.days.abs(), out);
        out.extend_from_slice(&[b' ', sign(parts.time_is_negative())]);
        return parts.write_clock(false, out);
    }
    if negative {
        out.push(b'-');
        (parts.years, parts.months, parts.days) = (-parts.years, -parts.months, -parts.days);
    }
    if has_months {
        write_integer(parts.years, out);
        out.push(b'-');
        return write_integer(parts.months, out);
    }
    if parts.days != 0 {
        write_integer(parts.days, out);
        out.push(b' ');
    }
    parts.write_clock(false, out);
}
