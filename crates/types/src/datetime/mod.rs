//! Calendar arithmetic under PostgreSQL's date/time functions, and the reading and printing of dates and times.
//!
//! Instants are microseconds since 2000-01-01 (UTC for timestamptz, local for timestamp), dates are days since then, with the
//! extreme values of the integer standing for the infinities (see [`crate::Datum`]). Where a session's zone matters, it is an
//! argument. Nothing here reads a clock: `now` comes with the [`crate::FormatContext`].
//!
//! | file | holds |
//! | --- | --- |
//! | `civil` | days and clock readings of the proleptic Gregorian calendar |
//! | `conversion` | casts between date, time, timestamp and timestamptz; zones as arguments |
//! | `arithmetic`, `span`, `age` | timestamps and intervals added, subtracted, scaled, justified |
//! | `field`, `truncate`, `units` | extract / date_part, date_trunc / date_bin, and the units they name |
//! | `make`, `precision` | make_date ..., and type modifiers |
//! | `scan`, `token`, `decode_date`, `decode_time`, `decode_number`, `decode_interval` | input |
//! | `output` | output in all styles |

mod age;
mod arithmetic;
mod civil;
mod conversion;
mod decode_date;
mod decode_interval;
mod decode_number;
mod decode_time;
mod field;
mod iso_interval;
mod make;
mod output;
mod precision;
mod scan;
mod span;
#[cfg(test)]
mod tests;
mod token;
mod truncate;
mod units;

pub use age::age;
pub use arithmetic::*;
pub use civil::{CivilDate, CivilTime};
pub(crate) use civil::{days_from_civil, is_leap_year, year_of_unix_day};
pub use conversion::*;
pub(crate) use decode_date::{parse_date, parse_timestamp, parse_timestamptz};
pub(crate) use decode_interval::parse_interval;
pub(crate) use decode_time::{parse_time, parse_timetz};
pub use field::{date_part, extract};
pub use make::*;
pub(crate) use output::{
    write_date, write_interval, write_time, write_timestamp, write_timestamptz, write_timetz,
};
pub use precision::*;
pub use truncate::*;

use crate::error::{PgError, PgResult, SqlState};

pub const MICROSECONDS_PER_SECOND: i64 = 1_000_000;
pub const MICROSECONDS_PER_MINUTE: i64 = 60 * MICROSECONDS_PER_SECOND;
pub const MICROSECONDS_PER_HOUR: i64 = 3600 * MICROSECONDS_PER_SECOND;
pub const MICROSECONDS_PER_DAY: i64 = 86_400 * MICROSECONDS_PER_SECOND;
/// `infinity` and `-infinity`.
pub const TIMESTAMP_INFINITY: i64 = i64::MAX;
pub const TIMESTAMP_NEGATIVE_INFINITY: i64 = i64::MIN;
pub const DATE_INFINITY: i32 = i32::MAX;
pub const DATE_NEGATIVE_INFINITY: i32 = i32::MIN;
/// Days from 1970-01-01 to 2000-01-01.
pub const POSTGRES_EPOCH_DAYS: i64 = 10_957;

/// The julian day of 2000-01-01.
const EPOCH_JULIAN: i64 = 2_451_545;
/// Days since 2000: from 4714-11-24 BC, julian day 0 ...
const DAYS_MIN: i64 = -EPOCH_JULIAN;
/// ... for dates to before 5874898-06-03, for timestamps to before 294277-01-01.
const DATE_DAYS_END: i64 = 2_147_483_494 - EPOCH_JULIAN;
const TIMESTAMP_MIN: i64 = DAYS_MIN * MICROSECONDS_PER_DAY;
const TIMESTAMP_END: i64 = 9_223_371_331_200_000_000;

/// Whether a timestamp is not one of the infinities.
pub fn is_finite_timestamp(value: i64) -> bool {
    value != TIMESTAMP_INFINITY && value != TIMESTAMP_NEGATIVE_INFINITY
}

/// Whether a date is not one of the infinities.
pub fn is_finite_date(value: i32) -> bool {
    value != DATE_INFINITY && value != DATE_NEGATIVE_INFINITY
}

/// Whether days since 2000 are a finite date within PostgreSQL's range.
pub fn is_valid_date(days: i64) -> bool {
    (DAYS_MIN..DATE_DAYS_END).contains(&days)
}

/// Whether a value is a finite timestamp within PostgreSQL's range.
pub fn is_valid_timestamp(value: i64) -> bool {
    (TIMESTAMP_MIN..TIMESTAMP_END).contains(&value)
}

fn out_of_range(what: &str) -> PgError {
    PgError::new(SqlState::DATETIME_FIELD_OVERFLOW, format!("{what} out of range"))
}

/// A finite timestamp within PostgreSQL's range.
fn check_timestamp(value: i64) -> PgResult<i64> {
    if (TIMESTAMP_MIN..TIMESTAMP_END).contains(&value) { Ok(value) } else { Err(out_of_range("timestamp")) }
}

/// Days since 2000 as a finite date within PostgreSQL's range.
fn check_date(days: i64) -> PgResult<i32> {
    if (DAYS_MIN..DATE_DAYS_END).contains(&days) { Ok(days as i32) } else { Err(out_of_range("date")) }
}
