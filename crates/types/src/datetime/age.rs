//! age(): the difference of two clock readings in years, months, days and time.

use super::*;
use crate::interval::Interval;
use crate::timezone::TimeZone;

/// age(a, b) for timestamps; for timestamptz give `zone`, whose clock is read.
///
/// Fields are subtracted from the highest down and negative ones borrow from the next higher, a month having as many days as the month of
/// the earlier date.
pub fn age(a: i64, b: i64, zone: Option<&TimeZone>) -> PgResult<Interval> {
    if !is_finite_timestamp(a) || !is_finite_timestamp(b) {
        return Err(out_of_range("timestamp"));
    }
    let local = |value: i64| {
        CivilTime::from_timestamp(match zone {
            Some(zone) => {
                value.saturating_add(i64::from(zone.east_seconds_at(value)) * MICROSECONDS_PER_SECOND)
            }
            None => value,
        })
    };
    let negative = a < b;
    // The larger less the smaller: all borrowing goes one way.
    let (larger, smaller) = if negative { (local(b), local(a)) } else { (local(a), local(b)) };
    let mut microseconds = larger.microseconds_of_day() - smaller.microseconds_of_day();
    let mut days = i32::from(larger.date.day) - i32::from(smaller.date.day);
    let mut months = i32::from(larger.date.month) - i32::from(smaller.date.month);
    let years = i64::from(larger.date.year) - i64::from(smaller.date.year);
    if microseconds < 0 {
        microseconds += MICROSECONDS_PER_DAY;
        days -= 1;
    }
    while days < 0 {
        days += i32::from(smaller.date.days_in_month());
        months -= 1;
    }
    let months = i32::try_from(years * 12 + i64::from(months)).map_err(|_| out_of_range("interval"))?;
    let span = Interval { months, days, microseconds };
    if negative { span.checked_neg() } else { Ok(span) }
}
