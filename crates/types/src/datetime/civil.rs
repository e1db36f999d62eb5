//! The proleptic Gregorian calendar, by Howard Hinnant's algorithms: years begin in March, and 400 of them are one era.

use super::{MICROSECONDS_PER_DAY, POSTGRES_EPOCH_DAYS, check_timestamp, out_of_range};
use crate::error::PgResult;

const ERA_DAYS: i64 = 146_097;
/// From 0000-03-01 to 1970-01-01.
const UNIX_EPOCH_SHIFT: i64 = 719_468;

pub(crate) fn is_leap_year(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

pub(super) fn days_in_month(year: i64, month: u8) -> u8 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap_year(year) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since 1970-01-01. `day` may lie outside its month.
pub(crate) fn days_from_civil(year: i64, month: u8, day: i64) -> i64 {
    let march_year = if month <= 2 { year - 1 } else { year };
    let era = march_year.div_euclid(400);
    let year_of_era = march_year.rem_euclid(400);
    let march_month = (i64::from(month) + 9) % 12;
    let day_of_year = (153 * march_month + 2) / 5 + day - 1;
    era * ERA_DAYS + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - UNIX_EPOCH_SHIFT
}

/// Year, month and day of a day since 1970-01-01.
fn civil_from_days(days: i64) -> (i64, u8, u8) {
    let days = days + UNIX_EPOCH_SHIFT;
    let era = days.div_euclid(ERA_DAYS);
    let day_of_era = days.rem_euclid(ERA_DAYS);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / (ERA_DAYS - 1)) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * march_month + 2) / 5 + 1) as u8;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 } as u8;
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

pub(crate) fn year_of_unix_day(days: i64) -> i64 {
    civil_from_days(days).0
}

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
    #[inline]
    pub fn from_days(days: i64) -> CivilDate {
        let (year, month, day) = civil_from_days(days + POSTGRES_EPOCH_DAYS);
        CivilDate { year: year as i32, month, day }
    }

    /// Days since 2000-01-01.
    pub fn days(self) -> i64 {
        days_from_civil(i64::from(self.year), self.month, i64::from(self.day)) - POSTGRES_EPOCH_DAYS
    }

    /// 0 is Sunday.
    pub fn weekday(self) -> u8 {
        // 2000-01-01 was a Saturday.
        (self.days() + 6).rem_euclid(7) as u8
    }

    /// 1 is Monday, 7 is Sunday.
    pub fn iso_weekday(self) -> u8 {
        match self.weekday() {
            0 => 7,
            other => other,
        }
    }

    /// 1 to 366.
    pub fn day_of_year(self) -> u16 {
        (self.days() - CivilDate { month: 1, day: 1, ..self }.days() + 1) as u16
    }

    /// The ISO year (of this day's Thursday) and week.
    pub fn iso_week(self) -> (i32, u8) {
        let thursday = CivilDate::from_days(self.days() + 4 - i64::from(self.iso_weekday()));
        (thursday.year, ((thursday.day_of_year() - 1) / 7 + 1) as u8)
    }

    pub fn days_in_month(self) -> u8 {
        days_in_month(i64::from(self.year), self.month)
    }

    /// The julian day number.
    pub fn julian_day(self) -> i64 {
        self.days() + super::EPOCH_JULIAN
    }

    /// Moved by months; the day is brought back to the end of a shorter month.
    pub fn plus_months(self, months: i32) -> PgResult<CivilDate> {
        let total = i64::from(self.year) * 12 + i64::from(self.month) - 1 + i64::from(months);
        let year = i32::try_from(total.div_euclid(12)).map_err(|_| out_of_range("timestamp"))?;
        let month = total.rem_euclid(12) as u8 + 1;
        Ok(CivilDate { year, month, day: self.day.min(days_in_month(i64::from(year), month)) })
    }
}

impl CivilTime {
    /// From a finite timestamp without zone.
    #[inline]
    pub fn from_timestamp(timestamp: i64) -> CivilTime {
        let date = CivilDate::from_days(timestamp.div_euclid(MICROSECONDS_PER_DAY));
        CivilTime::of_day(date, timestamp.rem_euclid(MICROSECONDS_PER_DAY))
    }

    /// Microseconds since midnight, up to 24:00 included.
    #[inline]
    pub fn of_day(date: CivilDate, microseconds: i64) -> CivilTime {
        let seconds = microseconds / 1_000_000;
        CivilTime {
            date,
            hour: (seconds / 3600) as u8,
            minute: (seconds / 60 % 60) as u8,
            second: (seconds % 60) as u8,
            microsecond: (microseconds % 1_000_000) as u32,
        }
    }

    /// Since midnight.
    pub fn microseconds_of_day(self) -> i64 {
        let seconds = (i64::from(self.hour) * 60 + i64::from(self.minute)) * 60 + i64::from(self.second);
        seconds * 1_000_000 + i64::from(self.microsecond)
    }

    /// 22008 when out of range.
    pub fn timestamp(self) -> PgResult<i64> {
        self.date
            .days()
            .checked_mul(MICROSECONDS_PER_DAY)
            .and_then(|day| day.checked_add(self.microseconds_of_day()))
            .ok_or_else(|| out_of_range("timestamp"))
            .and_then(check_timestamp)
    }
}
