//! Type modifiers of times, timestamps and intervals.

use super::*;
use crate::interval::Interval;

/// Digits of a second at most.
const PRECISION_MAX: i32 = 6;

/// Rounds to `precision` digits of a second, half away from zero.
fn round(value: i64, precision: i32) -> Option<i64> {
    let unit = 10i64.pow((PRECISION_MAX - precision) as u32);
    let half = unit / 2;
    if value >= 0 {
        value.checked_add(half).map(|value| value / unit * unit)
    } else {
        value.checked_neg()?.checked_add(half).map(|value| -(value / unit * unit))
    }
}

/// timestamp(p): -1 leaves it alone.
pub fn round_timestamp(value: i64, typmod: i32) -> PgResult<i64> {
    if !is_finite_timestamp(value) || !(0..PRECISION_MAX).contains(&typmod) {
        return Ok(value);
    }
    round(value, typmod).ok_or_else(|| out_of_range("timestamp"))
}

/// time(p): may reach 24:00:00.
pub fn round_time(value: i64, typmod: i32) -> i64 {
    if (0..PRECISION_MAX).contains(&typmod) { round(value, typmod).unwrap_or(value) } else { value }
}

/// Bits of an interval's field mask: PostgreSQL's INTERVAL_MASK.
pub(crate) mod mask {
    pub const MONTH: i32 = 1 << 1;
    pub const YEAR: i32 = 1 << 2;
    pub const DAY: i32 = 1 << 3;
    pub const HOUR: i32 = 1 << 10;
    pub const MINUTE: i32 = 1 << 11;
    pub const SECOND: i32 = 1 << 12;
    pub const FULL: i32 = 0x7fff;
}

/// The field mask of an interval typmod; all when there is none.
pub(crate) fn interval_fields(typmod: i32) -> i32 {
    if typmod < 0 { mask::FULL } else { (typmod >> 16) & mask::FULL }
}

/// The precision of an interval typmod; `None` when it has none.
pub(crate) fn interval_precision(typmod: i32) -> Option<i32> {
    (typmod >= 0).then_some(typmod & 0xffff).filter(|precision| *precision <= PRECISION_MAX)
}

/// The typmod of `interval FIELDS (precision)`. `fields` is as in `DAY TO SECOND`; `None` for all.
pub fn interval_typmod(fields: Option<&str>, precision: Option<i32>) -> Option<i32> {
    use mask::*;
    let fields = match fields.map(str::to_ascii_lowercase).as_deref() {
        None if precision.is_none() => return Some(-1),
        None => FULL,
        Some("year") => YEAR,
        Some("month") => MONTH,
        Some("day") => DAY,
        Some("hour") => HOUR,
        Some("minute") => MINUTE,
        Some("second") => SECOND,
        Some("year to month") => YEAR | MONTH,
        Some("day to hour") => DAY | HOUR,
        Some("day to minute") => DAY | HOUR | MINUTE,
        Some("day to second") => DAY | HOUR | MINUTE | SECOND,
        Some("hour to minute") => HOUR | MINUTE,
        Some("hour to second") => HOUR | MINUTE | SECOND,
        Some("minute to second") => MINUTE | SECOND,
        Some(_) => return None,
    };
    Some(fields << 16 | precision.unwrap_or(0xffff))
}

/// interval(p) and interval FIELDS: what is below the lowest field is cut off.
pub fn apply_interval_typmod(value: Interval, typmod: i32) -> PgResult<Interval> {
    use mask::*;
    if typmod < 0 {
        return Ok(value);
    }
    let fields = interval_fields(typmod);
    let mut result = value;
    let cut_time = |unit: i64| value.microseconds / unit * unit;
    if fields == FULL || fields & SECOND != 0 {
        // Seconds are the lowest: only the precision.
    } else if fields & MINUTE != 0 {
        result.microseconds = cut_time(MICROSECONDS_PER_MINUTE);
    } else if fields & HOUR != 0 {
        result.microseconds = cut_time(MICROSECONDS_PER_HOUR);
    } else if fields & DAY != 0 {
        result.microseconds = 0;
    } else if fields & MONTH != 0 {
        (result.days, result.microseconds) = (0, 0);
    } else if fields & YEAR != 0 {
        result = Interval { months: value.months / 12 * 12, days: 0, microseconds: 0 };
    }
    if let Some(precision) = interval_precision(typmod).filter(|precision| *precision < PRECISION_MAX) {
        result.microseconds =
            round(result.microseconds, precision).ok_or_else(|| out_of_range("interval"))?;
    }
    Ok(result)
}
