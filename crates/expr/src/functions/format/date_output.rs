//! to_char of timestamps and intervals.

use super::date_pattern::{Case, Field, FieldNode, Node, parse};
use super::ordinal;
use types::datetime::{CivilDate, CivilTime};
use types::timezone::ZoneOffset;
use types::{Interval, PgError, PgResult, SqlState};

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
pub(super) const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
pub(super) const ROMAN_MONTHS: [&str; 12] =
    ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"];

/// Width of the longest month or day name, to which names are padded.
const NAME_WIDTH: usize = 9;
/// 2000-01-01 as a Julian day.
const POSTGRES_EPOCH_JULIAN: i64 = 2_451_545;

/// The broken-down value that fields are taken from. Of an interval, years and months are counts.
struct Fields<'a> {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    microsecond: i64,
    /// 0 is Sunday.
    weekday: i64,
    /// From 1.
    day_of_year: i64,
    /// Days since 2000-01-01.
    days: i64,
    zone: Option<&'a ZoneOffset>,
    interval: bool,
}

/// A local timestamp; `zone` is what holds at its instant, for timestamptz.
pub(super) fn timestamp(local: i64, zone: Option<&ZoneOffset>, pattern: &str) -> PgResult<String> {
    let time = CivilTime::from_timestamp(local);
    let days = time.date.days();
    let new_year = CivilDate { year: time.date.year, month: 1, day: 1 }.days();
    let fields = Fields {
        year: i64::from(time.date.year),
        month: i64::from(time.date.month),
        day: i64::from(time.date.day),
        hour: i64::from(time.hour),
        minute: i64::from(time.minute),
        second: i64::from(time.second),
        microsecond: i64::from(time.microsecond),
        // 2000-01-01 was a Saturday.
        weekday: (days + 6).rem_euclid(7),
        day_of_year: days - new_year + 1,
        days,
        zone,
        interval: false,
    };
    write(&fields, pattern)
}

pub(super) fn interval(value: Interval, pattern: &str) -> PgResult<String> {
    let (years, months) = (i64::from(value.months) / 12, i64::from(value.months) % 12);
    let seconds = value.microseconds / 1_000_000;
    let days = julian_day(years, months, i64::from(value.days)) - POSTGRES_EPOCH_JULIAN;
    let fields = Fields {
        year: years,
        month: months,
        day: i64::from(value.days),
        hour: seconds / 3600,
        minute: seconds / 60 % 60,
        second: seconds % 60,
        microsecond: value.microseconds % 1_000_000,
        weekday: (days + 6).rem_euclid(7),
        day_of_year: (years * 12 + months) * 30 + i64::from(value.days),
        days,
        zone: None,
        interval: true,
    };
    write(&fields, pattern)
}

/// PostgreSQL's date2j, for months and days that need not be in range.
fn julian_day(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year + 4800, month + 1) } else { (year + 4799, month + 13) };
    let century = year / 100;
    year * 365 - 32_167 + year / 4 - century + century / 4 + 7834 * month / 256 + day
}

fn write(fields: &Fields<'_>, pattern: &str) -> PgResult<String> {
    let mut out = String::with_capacity(pattern.len() + 16);
    for node in parse(pattern) {
        match node {
            Node::Field(field) => fields.write(&field, &mut out)?,
            Node::Space(c) | Node::Separator(c) | Node::Text(c) => out.push(c),
        }
    }
    Ok(out)
}

fn cased(name: &str, case: Case) -> String {
    match case {
        Case::Upper => name.to_uppercase(),
        Case::Lower => name.to_lowercase(),
        Case::Capitalized => name.to_owned(),
    }
}

fn invalid_for_interval() -> PgError {
    PgError::new(SqlState::INVALID_DATETIME_FORMAT, "invalid format specification for an interval value")
        .hint("Intervals are not tied to specific calendar dates.")
}

/// A number padded with zeros to `width` digits, the sign not counted among them.
fn number(node: &FieldNode, value: i64, width: usize, out: &mut String) {
    padded(node, value, if value < 0 { width + 1 } else { width }, out);
}

/// A number padded with zeros to `width` characters, its sign among them.
fn padded(node: &FieldNode, value: i64, width: usize, out: &mut String) {
    let at = out.len();
    if node.fill {
        out.push_str(&value.to_string());
    } else {
        out.push_str(&format!("{value:0width$}"));
    }
    if let Some(upper) = node.ordinal {
        let suffix = ordinal(&out[at..], upper);
        out.push_str(suffix);
    }
}

impl Fields<'_> {
    fn calendar_only(&self) -> PgResult<()> {
        if self.interval { Err(invalid_for_interval()) } else { Ok(()) }
    }

    /// The year as it is written: BC years count up, an interval's years are what they are.
    fn shown_year(&self, year: i64) -> i64 {
        if !self.interval && year <= 0 { 1 - year } else { year }
    }

    /// The ISO 8601 week-numbering year and week.
    fn iso_week(&self) -> (i64, i64) {
        // The week's Thursday decides.
        let thursday = self.days - (self.weekday + 6) % 7 + 3;
        let year = i64::from(CivilDate::from_days(thursday).year);
        let new_year = CivilDate { year: year as i32, month: 1, day: 1 }.days();
        (year, (thursday - new_year) / 7 + 1)
    }

    /// The day within the ISO year, from 1.
    fn iso_day_of_year(&self) -> i64 {
        let (_, week) = self.iso_week();
        (week - 1) * 7 + (self.weekday + 6) % 7 + 1
    }

    fn name(&self, node: &FieldNode, name: &str, out: &mut String) {
        let name = cased(name, node.case);
        out.push_str(&name);
        if !node.fill && !node.localized {
            (name.len()..NAME_WIDTH).for_each(|_| out.push(' '));
        }
    }

    fn write(&self, node: &FieldNode, out: &mut String) -> PgResult<()> {
        match node.field {
            Field::Meridiem { dots } => {
                let text = match (self.hour.rem_euclid(24) >= 12, dots) {
                    (true, true) => "P.M.",
                    (true, false) => "PM",
                    (false, true) => "A.M.",
                    (false, false) => "AM",
                };
                out.push_str(&cased(text, node.case));
            }
            Field::Hour12 => {
                let hour = match self.hour % 12 {
                    0 => 12,
                    hour => hour,
                };
                number(node, hour, 2, out);
            }
            Field::Hour24 => number(node, self.hour, 2, out),
            Field::Minute => number(node, self.minute, 2, out),
            Field::Second => number(node, self.second, 2, out),
            Field::Fraction(digits) => {
                let divisor = 10i64.pow(6 - u32::from(digits));
                number(&FieldNode { fill: false, ..*node }, self.microsecond / divisor, digits.into(), out);
            }
            Field::Millisecond => {
                number(&FieldNode { fill: false, ..*node }, self.microsecond / 1000, 3, out);
            }
            Field::Microsecond => number(&FieldNode { fill: false, ..*node }, self.microsecond, 6, out),
            Field::SecondOfDay => number(node, self.hour * 3600 + self.minute * 60 + self.second, 1, out),
            Field::Fixed => {}
            Field::Zone | Field::ZoneHours | Field::ZoneMinutes | Field::Offset => self.zone(node, out)?,
            _ => self.calendar(node, out)?,
        }
        Ok(())
    }

    fn zone(&self, node: &FieldNode, out: &mut String) -> PgResult<()> {
        self.calendar_only()?;
        let east = self.zone.map_or(0, |zone| zone.east_seconds);
        let (hours, minutes) = (east.abs() / 3600, east.abs() / 60 % 60);
        let sign = if east < 0 { '-' } else { '+' };
        match node.field {
            Field::Zone => {
                if let Some(zone) = self.zone {
                    out.push_str(&cased(
                        &zone.abbreviation,
                        if node.case == Case::Lower { Case::Lower } else { Case::Capitalized },
                    ));
                }
            }
            Field::ZoneHours => out.push_str(&format!("{sign}{hours:02}")),
            Field::ZoneMinutes => out.push_str(&format!("{minutes:02}")),
            _ => {
                let hours = if node.fill { hours.to_string() } else { format!("{hours:02}") };
                out.push_str(&format!("{sign}{hours}"));
                if minutes != 0 {
                    out.push_str(&format!(":{minutes:02}"));
                }
            }
        }
        Ok(())
    }

    fn calendar(&self, node: &FieldNode, out: &mut String) -> PgResult<()> {
        match node.field {
            Field::Era { dots } => {
                self.calendar_only()?;
                let text = match (self.year <= 0, dots) {
                    (true, true) => "B.C.",
                    (true, false) => "BC",
                    (false, true) => "A.D.",
                    (false, false) => "AD",
                };
                out.push_str(&cased(text, node.case));
            }
            Field::Month => {
                self.calendar_only()?;
                self.name(node, MONTHS[(self.month - 1) as usize], out);
            }
            Field::MonthAbbreviated => {
                self.calendar_only()?;
                out.push_str(&cased(&MONTHS[(self.month - 1) as usize][..3], node.case));
            }
            Field::MonthNumber => number(node, self.month, 2, out),
            Field::Day => {
                self.calendar_only()?;
                self.name(node, DAYS[self.weekday as usize], out);
            }
            Field::DayAbbreviated => {
                self.calendar_only()?;
                out.push_str(&cased(&DAYS[self.weekday as usize][..3], node.case));
            }
            Field::DayOfYear => padded(node, self.day_of_year, 3, out),
            Field::IsoDayOfYear => padded(node, self.iso_day_of_year(), 3, out),
            Field::DayOfMonth => padded(node, self.day, 2, out),
            Field::DayOfWeek => {
                self.calendar_only()?;
                number(node, self.weekday + 1, 1, out);
            }
            Field::IsoDayOfWeek => {
                self.calendar_only()?;
                number(node, if self.weekday == 0 { 7 } else { self.weekday }, 1, out);
            }
            Field::WeekOfYear => padded(node, (self.day_of_year - 1) / 7 + 1, 2, out),
            Field::IsoWeek => number(node, self.iso_week().1, 2, out),
            Field::Quarter => {
                if self.month != 0 {
                    number(node, (self.month - 1) / 3 + 1, 1, out);
                }
            }
            Field::Century => {
                let century = if self.interval {
                    self.year / 100
                } else if self.year > 0 {
                    (self.year - 1) / 100 + 1
                } else {
                    self.year / 100 - 1
                };
                number(node, century, 2, out);
            }
            Field::WeekOfMonth => number(node, (self.day - 1) / 7 + 1, 1, out),
            Field::Julian => number(node, self.days + POSTGRES_EPOCH_JULIAN, 1, out),
            Field::Roman => self.roman(node, out),
            _ => self.years(node, out),
        }
        Ok(())
    }

    fn roman(&self, node: &FieldNode, out: &mut String) {
        if self.month == 0 && self.year == 0 {
            return;
        }
        let month = (self.month - 1).rem_euclid(12);
        let name = cased(ROMAN_MONTHS[month as usize], node.case);
        out.push_str(&name);
        if !node.fill {
            (name.len()..4).for_each(|_| out.push(' '));
        }
    }

    fn years(&self, node: &FieldNode, out: &mut String) {
        match node.field {
            Field::YearWithComma => {
                let year = self.shown_year(self.year);
                out.push_str(&format!("{},{:03}", year / 1000, year % 1000));
                if let Some(upper) = node.ordinal {
                    out.push_str(ordinal(&year.to_string(), upper));
                }
            }
            Field::Year(digits) | Field::IsoYear(digits) => {
                let year = match node.field {
                    Field::IsoYear(_) => self.iso_week().0,
                    _ => self.year,
                };
                let year = self.shown_year(year);
                let modulus = 10i64.pow(u32::from(digits));
                // The sign that counts for the width is the calendar year's.
                let width = usize::from(digits) + usize::from(self.shown_year(self.year) < 0);
                padded(node, if digits == 4 { year } else { year % modulus }, width, out);
            }
            _ => {}
        }
    }
}
