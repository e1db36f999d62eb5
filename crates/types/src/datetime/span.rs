//! Arithmetic of intervals. What overflows is 22008 `interval out of range`.

use super::*;
use crate::interval::Interval;

fn overflow() -> PgError {
    out_of_range("interval")
}

/// Rounds to whole microseconds of whatever unit: PostgreSQL's TSROUND.
fn round_to_microseconds(value: f64) -> f64 {
    (value * 1_000_000.0).round_ties_even() / 1_000_000.0
}

/// The whole part of a product, as PostgreSQL casts it.
fn whole(value: f64) -> PgResult<i32> {
    if value.is_nan() || value > f64::from(i32::MAX) || value < f64::from(i32::MIN) {
        return Err(overflow());
    }
    Ok(value as i32)
}

impl Interval {
    pub fn checked_add(self, other: Interval) -> PgResult<Interval> {
        Ok(Interval {
            months: self.months.checked_add(other.months).ok_or_else(overflow)?,
            days: self.days.checked_add(other.days).ok_or_else(overflow)?,
            microseconds: self.microseconds.checked_add(other.microseconds).ok_or_else(overflow)?,
        })
    }

    pub fn checked_sub(self, other: Interval) -> PgResult<Interval> {
        Ok(Interval {
            months: self.months.checked_sub(other.months).ok_or_else(overflow)?,
            days: self.days.checked_sub(other.days).ok_or_else(overflow)?,
            microseconds: self.microseconds.checked_sub(other.microseconds).ok_or_else(overflow)?,
        })
    }

    pub fn checked_neg(self) -> PgResult<Interval> {
        Interval::default().checked_sub(self)
    }

    pub fn multiply(self, factor: f64) -> PgResult<Interval> {
        self.scale(|part| part * factor)
    }

    /// 22012 on zero.
    pub fn divide(self, divisor: f64) -> PgResult<Interval> {
        if divisor == 0.0 {
            return Err(PgError::new(SqlState::DIVISION_BY_ZERO, "division by zero"));
        }
        self.scale(|part| part / divisor)
    }

    /// Fractions of months become days of a thirtieth each, fractions of days become time; never the other way.
    fn scale(self, by: impl Fn(f64) -> f64) -> PgResult<Interval> {
        let (months_exact, days_exact) = (by(f64::from(self.months)), by(f64::from(self.days)));
        let (months, mut days) = (whole(months_exact)?, whole(days_exact)?);
        let days_of_months = round_to_microseconds((months_exact - f64::from(months)) * 30.0);
        let fraction_of_days =
            days_exact - f64::from(days) + days_of_months - f64::from(days_of_months as i32);
        let mut seconds = round_to_microseconds(fraction_of_days * 86_400.0);
        if seconds.abs() >= 86_400.0 {
            let whole_days = (seconds / 86_400.0) as i32;
            days = days.checked_add(whole_days).ok_or_else(overflow)?;
            seconds -= f64::from(whole_days) * 86_400.0;
        }
        days = days.checked_add(days_of_months as i32).ok_or_else(overflow)?;
        let microseconds = (by(self.microseconds as f64) + seconds * 1_000_000.0).round_ties_even();
        // 2^63 is a float, i64::MAX is not.
        if microseconds.is_nan() || !(-(2f64.powi(63))..2f64.powi(63)).contains(&microseconds) {
            return Err(overflow());
        }
        Ok(Interval { months, days, microseconds: microseconds as i64 })
    }

    /// Whole days of the time become days, with the sign of the days.
    pub fn justify_hours(self) -> PgResult<Interval> {
        let mut result = self;
        let days = result.microseconds / MICROSECONDS_PER_DAY;
        result.microseconds -= days * MICROSECONDS_PER_DAY;
        result.days = result.days.checked_add(days as i32).ok_or_else(overflow)?;
        if result.days > 0 && result.microseconds < 0 {
            result.microseconds += MICROSECONDS_PER_DAY;
            result.days -= 1;
        } else if result.days < 0 && result.microseconds > 0 {
            result.microseconds -= MICROSECONDS_PER_DAY;
            result.days += 1;
        }
        Ok(result)
    }

    /// Every thirty days become a month.
    pub fn justify_days(self) -> PgResult<Interval> {
        let mut result = self;
        let months = result.days / 30;
        result.days -= months * 30;
        result.months = result.months.checked_add(months).ok_or_else(overflow)?;
        if result.months > 0 && result.days < 0 {
            result.days += 30;
            result.months -= 1;
        } else if result.months < 0 && result.days > 0 {
            result.days -= 30;
            result.months += 1;
        }
        Ok(result)
    }

    /// Both, so that all parts have one sign.
    pub fn justify_interval(self) -> PgResult<Interval> {
        let mut result = self;
        if (result.days > 0 && result.microseconds > 0) || (result.days < 0 && result.microseconds < 0) {
            // Days first, lest they overflow.
            let months = result.days / 30;
            result.days -= months * 30;
            result.months = result.months.checked_add(months).ok_or_else(overflow)?;
        }
        let days = result.microseconds / MICROSECONDS_PER_DAY;
        result.microseconds -= days * MICROSECONDS_PER_DAY;
        result.days += days as i32;
        let months = result.days / 30;
        result.days -= months * 30;
        result.months = result.months.checked_add(months).ok_or_else(overflow)?;
        let (days, time) = (result.days, result.microseconds);
        if result.months > 0 && (days < 0 || (days == 0 && time < 0)) {
            result.days += 30;
            result.months -= 1;
        } else if result.months < 0 && (days > 0 || (days == 0 && time > 0)) {
            result.days -= 30;
            result.months += 1;
        }
        if result.days > 0 && result.microseconds < 0 {
            result.microseconds += MICROSECONDS_PER_DAY;
            result.days -= 1;
        } else if result.days < 0 && result.microseconds > 0 {
            result.microseconds -= MICROSECONDS_PER_DAY;
            result.days += 1;
        }
        Ok(result)
    }

    /// What comparison and equality go by: a month is 30 days, a day 24 hours. In microseconds.
    #[inline]
    pub fn comparison_value(self) -> i128 {
        (i128::from(self.months) * 30 + i128::from(self.days)) * i128::from(MICROSECONDS_PER_DAY)
            + i128::from(self.microseconds)
    }
}
