//! POSIX zone specifications: `EST5EDT,M3.2.0,M11.1.0`.
//!
//! Standard name and offset (hours **west**), then, if summers differ, a name, an offset (one hour ahead when left out) and the two
//! rules for the day and local time at which summer begins and ends. Names may be quoted by angle brackets (`<+0330>-3:30`).

use super::tzif::LocalType;
use crate::datetime::{days_from_civil, is_leap_year, year_of_unix_day};

/// A zone that follows the same rules every year.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PosixZone {
    pub standard: LocalType,
    pub summer: Option<Summer>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Summer {
    pub local: LocalType,
    start: RuleDate,
    end: RuleDate,
}

/// When a rule strikes: a day, and seconds after its midnight on the local clock.
#[derive(Clone, Copy, Debug, PartialEq)]
struct RuleDate {
    day: RuleDay,
    seconds: i64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum RuleDay {
    /// `Jn`: 1 to 365, 29 February never counts.
    Julian(i64),
    /// `n`: 0 to 365, 29 February counts.
    DayOfYear(i64),
    /// `Mm.w.d`: weekday d (0 is Sunday) of week w (5 is the last) of month m.
    Weekday { month: u8, week: i64, weekday: i64 },
}

/// What holds when summer has no rules: those of the United States.
const DEFAULT_RULES: &str = ",M3.2.0,M11.1.0";

struct Scanner<'a> {
    rest: &'a str,
}

impl Scanner<'_> {
    fn eat(&mut self, character: char) -> bool {
        match self.rest.strip_prefix(character) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn number(&mut self, max: i64) -> Option<i64> {
        let digits = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 || digits > 4 {
            return None;
        }
        let value = self.rest[..digits].parse().ok()?;
        self.rest = &self.rest[digits..];
        (value <= max).then_some(value)
    }

    fn name(&mut self) -> Option<Box<str>> {
        let (name, rest) = match self.rest.strip_prefix('<') {
            Some(quoted) => quoted.split_once('>')?,
            None => {
                let ends = |c: char| c.is_ascii_digit() || matches!(c, ',' | '-' | '+');
                let end = self.rest.find(ends).unwrap_or(self.rest.len());
                self.rest.split_at(end)
            }
        };
        self.rest = rest;
        Some(name.into())
    }

    /// `hh[:mm[:ss]]` in seconds.
    fn time(&mut self, hours_max: i64) -> Option<i64> {
        let mut seconds = self.number(hours_max)? * 3600;
        if self.eat(':') {
            seconds += self.number(59)? * 60;
            if self.eat(':') {
                seconds += self.number(60)?;
            }
        }
        Some(seconds)
    }

    fn signed_time(&mut self, hours_max: i64) -> Option<i64> {
        if self.eat('-') {
            return Some(-self.time(hours_max)?);
        }
        self.eat('+');
        self.time(hours_max)
    }

    fn rule(&mut self) -> Option<RuleDate> {
        let day = if self.eat('J') {
            RuleDay::Julian(self.number(365)?)
        } else if self.eat('M') {
            let month = self.number(12)?;
            let week = self.eat('.').then(|| self.number(5))??;
            let weekday = self.eat('.').then(|| self.number(6))??;
            (month > 0 && week > 0).then_some(RuleDay::Weekday { month: month as u8, week, weekday })?
        } else {
            RuleDay::DayOfYear(self.number(365)?)
        };
        let seconds = if self.eat('/') { self.signed_time(167)? } else { 2 * 3600 };
        Some(RuleDate { day, seconds })
    }
}

impl RuleDate {
    /// Local seconds since 1970 at which the rule strikes in a year.
    fn in_year(self, year: i64) -> i64 {
        let first = days_from_civil(year, 1, 1);
        let day = match self.day {
            RuleDay::Julian(n) => first + n - 1 + i64::from(is_leap_year(year) && n >= 60),
            RuleDay::DayOfYear(n) => first + n,
            RuleDay::Weekday { month, week, weekday } => {
                let month_first = days_from_civil(year, month, 1);
                let next_month = match month {
                    12 => days_from_civil(year + 1, 1, 1),
                    _ => days_from_civil(year, month + 1, 1),
                };
                // 1970-01-01 was a Thursday.
                let first_weekday = (month_first + 4).rem_euclid(7);
                let mut day = month_first + (weekday - first_weekday).rem_euclid(7) + (week - 1) * 7;
                while day >= next_month {
                    day -= 7;
                }
                day
            }
        };
        day * 86_400 + self.seconds
    }
}

impl PosixZone {
    pub fn parse(text: &str) -> Option<PosixZone> {
        let mut scanner = Scanner { rest: text };
        let name = scanner.name()?;
        let west = scanner.signed_time(167)?;
        let standard = LocalType { east_seconds: -west as i32, daylight_saving: false, abbreviation: name };
        if scanner.rest.is_empty() {
            return Some(PosixZone { standard, summer: None });
        }
        let name = scanner.name().filter(|name| !name.is_empty())?;
        let west = match scanner.rest.chars().next() {
            None | Some(',') => west - 3600,
            _ => scanner.signed_time(167)?,
        };
        let local = LocalType { east_seconds: -west as i32, daylight_saving: true, abbreviation: name };
        if scanner.rest.is_empty() {
            scanner.rest = DEFAULT_RULES;
        }
        let start = scanner.eat(',').then(|| scanner.rule())??;
        let end = scanner.eat(',').then(|| scanner.rule())??;
        scanner.rest.is_empty().then_some(PosixZone { standard, summer: Some(Summer { local, start, end }) })
    }

    /// Both changes of a year, in order of time: (seconds since 1970 UTC, whether summer begins).
    fn changes(&self, summer: &Summer, year: i64) -> [(i64, bool); 2] {
        let start = summer.start.in_year(year) - i64::from(self.standard.east_seconds);
        let end = summer.end.in_year(year) - i64::from(summer.local.east_seconds);
        if start <= end { [(start, true), (end, false)] } else { [(end, false), (start, true)] }
    }

    /// What holds at an instant (seconds since 1970 UTC).
    pub fn at(&self, unix: i64) -> &LocalType {
        let Some(summer) = &self.summer else { return &self.standard };
        let [first, second] = self.changes(summer, year_of_unix_day(unix.div_euclid(86_400)));
        // Before the first change of a year holds what the last of the year before began, and they alternate.
        let begun = if unix >= second.0 || unix < first.0 { second.1 } else { first.1 };
        if begun { &summer.local } else { &self.standard }
    }

    /// The first change after an instant, and what holds from then on.
    pub fn next_change(&self, unix: i64) -> Option<(i64, &LocalType)> {
        let summer = self.summer.as_ref()?;
        let year = year_of_unix_day(unix.div_euclid(86_400));
        (year - 1..=year + 2)
            .flat_map(|year| self.changes(summer, year))
            .find(|(at, _)| *at > unix)
            .map(|(at, begins)| (at, if begins { &summer.local } else { &self.standard }))
    }
}
