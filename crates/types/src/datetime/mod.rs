//! Calendar arithmetic under PostgreSQL's date/time functions.
//!
//! Instants are microseconds since 2000-01-01 (UTC for timestamptz, local for timestamp), dates are days since then, with the
//! extreme values of the integer standing for the infinities (see [`crate::Datum`]). Where a session's zone matters, it is an argument.

use crate::data_type::DataType;
use crate::datum::{Datum, TimeTz};
use crate::error::PgResult;
use crate::interval::Interval;
use crate::numeric::Numeric;
use crate::timezone::TimeZone;

pub const MICROSECONDS_PER_SECOND: i64 = 1_000_000;
pub const MICROSECONDS_PER_DAY: i64 = 86_400 * MICROSECONDS_PER_SECOND;
/// `infinity` and `-infinity`.
pub const TIMESTAMP_INFINITY: i64 = i64::MAX;
pub const TIMESTAMP_NEGATIVE_INFINITY: i64 = i64::MIN;
pub const DATE_INFINITY: i32 = i32::MAX;
pub const DATE_NEGATIVE_INFINITY: i32 = i32::MIN;
/// Days from 1970-01-01 to 2000-01-01.
pub const POSTGRES_EPOCH_DAYS: i64 = 10_957;

/// A day of the proleptic Gregorian calendar. Year 0 is 1 BC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CivilDate {
    pub year: i32,
    /// 1-12
    pub month: u8,
    /// 1-31
    pub day: u8,
}

/// A clock reading on a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CivilTime {
    pub date: CivilDate,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
    pub microsecond: u32,
}

impl CivilDate {
    /// From days since 2000-01-01.
    pub fn from_days(days: i64) -> CivilDate {
        let _ = days;
        crate::pending()
    }

    /// Days since 2000-01-01.
    pub fn days(self) -> i64 {
        crate::pending()
    }
}

impl CivilTime {
    /// From a finite timestamp without zone.
    pub fn from_timestamp(timestamp: i64) -> CivilTime {
        let _ = timestamp;
        crate::pending()
    }

    /// 22008 when out of range.
    pub fn timestamp(self) -> PgResult<i64> {
        crate::pending()
    }
}

macro_rules! published {
    ($($(#[$doc:meta])* fn $name:ident($($argument:ident: $kind:ty),*) -> $result:ty;)*) => {
        $($(#[$doc])* pub fn $name($($argument: $kind),*) -> $result {
            let _ = ($($argument,)*);
            crate::pending()
        })*
    };
}

published! {
    /// EXTRACT(field FROM value): numeric with PostgreSQL's display scale; `None` is NULL (a finite field of an infinity).
    /// `value` is a Date, Time, TimeTz, Timestamp, TimestampTz or Interval; `data_type` is its type (for wording).
    fn extract(field: &str, value: &Datum, data_type: DataType, zone: &TimeZone) -> PgResult<Option<Numeric>>;
    /// date_part: the same as float8.
    fn date_part(field: &str, value: &Datum, data_type: DataType, zone: &TimeZone) -> PgResult<Option<f64>>;
    fn truncate_timestamp(unit: &str, value: i64) -> PgResult<i64>;
    fn truncate_timestamptz(unit: &str, value: i64, zone: &TimeZone) -> PgResult<i64>;
    fn truncate_interval(unit: &str, value: Interval) -> PgResult<Interval>;
    /// date_bin(stride, source, origin), for timestamp and timestamptz alike.
    fn bin_timestamp(stride: Interval, source: i64, origin: i64) -> PgResult<i64>;

    fn timestamp_plus_interval(value: i64, span: Interval) -> PgResult<i64>;
    fn timestamp_minus_interval(value: i64, span: Interval) -> PgResult<i64>;
    /// Months and days move the local clock, microseconds the instant.
    fn timestamptz_plus_interval(value: i64, span: Interval, zone: &TimeZone) -> PgResult<i64>;
    fn timestamptz_minus_interval(value: i64, span: Interval, zone: &TimeZone) -> PgResult<i64>;
    /// timestamp - timestamp and timestamptz - timestamptz: days and time, never months.
    fn timestamp_difference(a: i64, b: i64) -> PgResult<Interval>;
    fn date_plus_days(date: i32, days: i32) -> PgResult<i32>;
    fn date_minus_days(date: i32, days: i32) -> PgResult<i32>;
    fn date_difference(a: i32, b: i32) -> PgResult<i32>;
    /// time + interval: wraps at midnight.
    fn time_plus_interval(time: i64, span: Interval) -> i64;
    fn time_minus_interval(time: i64, span: Interval) -> i64;
    fn timetz_plus_interval(time: TimeTz, span: Interval) -> TimeTz;
    fn timetz_minus_interval(time: TimeTz, span: Interval) -> TimeTz;

    /// age(a, b) for timestamps; for timestamptz give `zone`.
    fn age(a: i64, b: i64, zone: Option<&TimeZone>) -> PgResult<Interval>;

    fn make_date(year: i32, month: i32, day: i32) -> PgResult<i32>;
    fn make_time(hour: i32, minute: i32, second: f64) -> PgResult<i64>;
    fn make_timestamp(year: i32, month: i32, day: i32, hour: i32, minute: i32, second: f64) -> PgResult<i64>;
    fn make_timestamptz(year: i32, month: i32, day: i32, hour: i32, minute: i32, second: f64, zone: &TimeZone) -> PgResult<i64>;
    fn make_interval(years: i32, months: i32, weeks: i32, days: i32, hours: i32, minutes: i32, seconds: f64) -> PgResult<Interval>;
    /// to_timestamp(double precision): seconds since 1970.
    fn timestamptz_from_unix_seconds(seconds: f64) -> PgResult<i64>;

    fn date_to_timestamp(date: i32) -> PgResult<i64>;
    fn date_to_timestamptz(date: i32, zone: &TimeZone) -> PgResult<i64>;
    fn timestamp_to_date(value: i64) -> PgResult<i32>;
    fn timestamp_to_timestamptz(value: i64, zone: &TimeZone) -> PgResult<i64>;
    fn timestamptz_to_timestamp(value: i64, zone: &TimeZone) -> PgResult<i64>;
    fn timestamptz_to_date(value: i64, zone: &TimeZone) -> PgResult<i32>;
    /// `None` for an infinity.
    fn timestamp_to_time(value: i64) -> Option<i64>;
    fn timestamptz_to_timetz(value: i64, zone: &TimeZone) -> Option<TimeTz>;
    /// AT TIME ZONE's zone argument: 22023 `time zone "..." not recognized`.
    fn zone_argument(name: &str) -> PgResult<TimeZone>;
    /// AT TIME ZONE interval.
    fn zone_from_interval(span: Interval) -> PgResult<TimeZone>;

    /// timestamp(p): -1 leaves it alone.
    fn round_timestamp(value: i64, typmod: i32) -> PgResult<i64>;
    /// time(p).
    fn round_time(value: i64, typmod: i32) -> i64;
    /// interval(p) and interval FIELDS.
    fn apply_interval_typmod(value: Interval, typmod: i32) -> PgResult<Interval>;
}

impl Interval {
    pub fn checked_add(self, other: Interval) -> PgResult<Interval> {
        let _ = other;
        crate::pending()
    }
    pub fn checked_sub(self, other: Interval) -> PgResult<Interval> {
        let _ = other;
        crate::pending()
    }
    pub fn checked_neg(self) -> PgResult<Interval> {
        crate::pending()
    }
    pub fn multiply(self, factor: f64) -> PgResult<Interval> {
        let _ = factor;
        crate::pending()
    }
    pub fn divide(self, divisor: f64) -> PgResult<Interval> {
        let _ = divisor;
        crate::pending()
    }
    pub fn justify_hours(self) -> PgResult<Interval> {
        crate::pending()
    }
    pub fn justify_days(self) -> PgResult<Interval> {
        crate::pending()
    }
    pub fn justify_interval(self) -> PgResult<Interval> {
        crate::pending()
    }
    /// What comparison and equality go by: a month is 30 days, a day 24 hours. In microseconds.
    pub fn comparison_value(self) -> i128 {
        (i128::from(self.months) * 30 + i128::from(self.days)) * i128::from(MICROSECONDS_PER_DAY)
            + i128::from(self.microseconds)
    }
}
