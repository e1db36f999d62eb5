//! to_date and to_timestamp: reading by a pattern.
//!
//! Reading is lenient as PostgreSQL's is: blanks before fields are passed over, one character of punctuation in the pattern takes at
//! most one from the text, any other character of the pattern takes one; with FX every character of the pattern takes
//! exactly one. A number takes as many digits as its field has when more digits follow, else as many as there are.

use super::date_output::{DAYS, MONTHS, ROMAN_MONTHS};
use super::date_pattern::{Field, FieldNode, Node, parse};
use types::datetime::{self, CivilDate, MICROSECONDS_PER_DAY};
use types::{PgError, PgResult, SqlState, TimeZone};

/// What has been read. 0 is "not given", as in PostgreSQL.
#[derive(Default)]
struct Parsed {
    iso: Option<bool>,
    hour: i64,
    afternoon: Option<bool>,
    minute: i64,
    second: i64,
    second_of_day: i64,
    day_of_week: i64,
    day: i64,
    day_of_year: i64,
    month: i64,
    millisecond: i64,
    microsecond: i64,
    year: i64,
    year_digits: usize,
    before_christ: Option<bool>,
    week: i64,
    week_of_month: i64,
    century: i64,
    julian: i64,
    twelve_hours: bool,
    zone_sign: i64,
    zone_hours: i64,
    zone_minutes: i64,
}

/// The instant read: local microseconds, and the zone's offset in seconds east when one was given.
struct Instant {
    date: CivilDate,
    time: i64,
    zone_east_seconds: Option<i64>,
}

fn error(message: String) -> PgError {
    PgError::new(SqlState::INVALID_DATETIME_FORMAT, message)
}

fn field_overflow(text: &str) -> PgError {
    PgError::new(SqlState::DATETIME_FIELD_OVERFLOW, format!("date/time field value out of range: \"{text}\""))
}

pub(super) fn date(text: &str, pattern: &str) -> PgResult<i32> {
    let instant = read(text, pattern)?;
    let days = instant.date.days();
    // The range of dates: 4713 BC to 5874897 AD.
    if !(-2_451_545..=2_145_031_948).contains(&days) {
        return Err(PgError::new(
            SqlState::DATETIME_FIELD_OVERFLOW,
            format!("date out of range: \"{text}\""),
        ));
    }
    Ok(days as i32)
}

pub(super) fn timestamptz(text: &str, pattern: &str, zone: &TimeZone) -> PgResult<i64> {
    let out_of_range = || PgError::new(SqlState::DATETIME_FIELD_OVERFLOW, "timestamp out of range");
    let instant = read(text, pattern)?;
    let local = instant
        .date
        .days()
        .checked_mul(MICROSECONDS_PER_DAY)
        .and_then(|midnight| midnight.checked_add(instant.time))
        .ok_or_else(out_of_range)?;
    match instant.zone_east_seconds {
        Some(east) => local.checked_sub(east * 1_000_000).ok_or_else(out_of_range),
        None => datetime::timestamp_to_timestamptz(local, zone),
    }
}

fn read(text: &str, pattern: &str) -> PgResult<Instant> {
    let nodes = parse(pattern);
    let mut reader = Reader { rest: text, parsed: Parsed::default(), fixed: false, skipped: 0, last: None };
    for index in 0..nodes.len() {
        if reader.rest.is_empty() {
            break;
        }
        reader.node(&nodes, index)?;
    }
    reader.parsed.resolve(text)
}

struct Reader<'a> {
    rest: &'a str,
    parsed: Parsed,
    fixed: bool,
    /// Characters passed over beyond what the pattern asked for.
    skipped: i64,
    /// The character before `rest`.
    last: Option<char>,
}

impl<'a> Reader<'a> {
    fn skip_char(&mut self) {
        if let Some(c) = self.rest.chars().next() {
            self.rest = &self.rest[c.len_utf8()..];
            self.last = Some(c);
        }
    }

    fn skip_blanks(&mut self) {
        while self.rest.starts_with(|c: char| c.is_ascii_whitespace()) {
            self.skip_char();
            self.skipped += 1;
        }
    }

    fn node(&mut self, nodes: &[Node], index: usize) -> PgResult<()> {
        let node = nodes[index];
        let is_fixed = matches!(node, Node::Field(FieldNode { field: Field::Fixed, .. }));
        if !self.fixed && !is_fixed && (matches!(node, Node::Field(_)) || index == 0) {
            self.skip_blanks();
        }
        match node {
            Node::Space(_) | Node::Separator(_) if !self.fixed => {
                self.skipped -= 1;
                let separates =
                    |c: char| c.is_ascii_whitespace() || (c.is_ascii_graphic() && !c.is_ascii_alphanumeric());
                if self.rest.starts_with(separates) {
                    self.skip_char();
                    self.skipped += 1;
                }
            }
            Node::Text(_) if !self.fixed && self.skipped > 0 => self.skipped -= 1,
            Node::Space(_) | Node::Separator(_) | Node::Text(_) => self.skip_char(),
            Node::Field(field) => {
                let next = nodes.get(index + 1);
                self.field(&field, next)?;
                if !self.fixed {
                    self.skipped = 0;
                    self.skip_blanks();
                }
            }
        }
        Ok(())
    }

    /// Reads an integer of at most `length` digits.
    fn integer(&mut self, field: &FieldNode, next: Option<&Node>, length: usize) -> PgResult<(i64, usize)> {
        self.rest = self.rest.trim_start_matches(|c: char| c.is_ascii_whitespace());
        let free = field.fill
            || field.ordinal.is_some()
            || match next {
                None => true,
                Some(Node::Field(next)) => !next.digits,
                Some(Node::Space(c) | Node::Separator(c) | Node::Text(c)) => !c.is_ascii_digit(),
            };
        let window: &str = if free {
            self.rest
        } else {
            match self.rest.char_indices().nth(length) {
                Some((at, _)) => &self.rest[..at],
                None => self.rest,
            }
        };
        let name = field.name;
        let fixed_width = "If your source string is not fixed-width, try using the \"FM\" modifier.";
        let have = window.chars().count();
        if !free && have < length {
            return Err(error(format!("source string too short for \"{name}\" formatting field"))
                .detail(format!("Field requires {length} characters, but only {have} remain."))
                .hint(fixed_width));
        }
        let sign = usize::from(window.starts_with(['-', '+']));
        let digits = window[sign..].bytes().take_while(u8::is_ascii_digit).count();
        let used = if digits == 0 { 0 } else { sign + digits };
        if used == 0 {
            let shown: String = self.rest.chars().take(length).collect();
            return Err(error(format!("invalid value \"{shown}\" for \"{name}\""))
                .detail("Value must be an integer."));
        }
        if !free && used < length {
            return Err(error(format!("invalid value \"{window}\" for \"{name}\""))
                .detail(format!("Field requires {length} characters, but only {used} could be parsed."))
                .hint(fixed_width));
        }
        let value = window[..used].parse::<i64>().ok().filter(|value| i32::try_from(*value).is_ok());
        let value = value.ok_or_else(|| {
            PgError::new(
                SqlState::DATETIME_FIELD_OVERFLOW,
                format!("value for \"{name}\" in source string is out of range"),
            )
            .detail(format!("Value must be in the range {} to {}.", i32::MIN, i32::MAX))
        })?;
        self.last = window[..used].chars().last();
        self.rest = &self.rest[used..];
        self.skip_ordinal(field);
        Ok((value, used))
    }

    /// Two characters where the pattern has TH, whatever they are.
    fn skip_ordinal(&mut self, field: &FieldNode) {
        if field.ordinal.is_some() {
            let suffix = self.rest.char_indices().nth(2).map_or(self.rest.len(), |(at, _)| at);
            self.rest = &self.rest[suffix..];
        }
    }

    /// Reads one of several names, the longest first, ignoring case.
    fn name(&mut self, field: &FieldNode, names: &[&str]) -> PgResult<usize> {
        let found = names
            .iter()
            .enumerate()
            .filter(|(_, name)| {
                self.rest.get(..name.len()).is_some_and(|head| head.eq_ignore_ascii_case(name))
            })
            .max_by_key(|(_, name)| name.len());
        let Some((index, name)) = found else {
            let end = self.rest.find(|c: char| c.is_ascii_whitespace()).unwrap_or(self.rest.len());
            return Err(error(format!("invalid value \"{}\" for \"{}\"", &self.rest[..end], field.name))
                .detail("The given value did not match any of the allowed values for this field."));
        };
        self.last = name.chars().last();
        self.rest = &self.rest[name.len()..];
        Ok(index)
    }

    fn field(&mut self, field: &FieldNode, next: Option<&Node>) -> PgResult<()> {
        self.set_mode(field)?;
        let length = field.length;
        match field.field {
            Field::Fixed => self.fixed = true,
            Field::Meridiem { dots } => {
                let names: &[&str] = if dots { &["a.m.", "p.m."] } else { &["am", "pm"] };
                let pm = self.name(field, names)? == 1;
                set_flag(&mut self.parsed.afternoon, pm, field)?;
                self.parsed.twelve_hours = true;
            }
            Field::Era { dots } => {
                let names: &[&str] = if dots { &["a.d.", "b.c."] } else { &["ad", "bc"] };
                let before = self.name(field, names)? == 1;
                set_flag(&mut self.parsed.before_christ, before, field)?;
            }
            Field::Month => {
                let month = self.name(field, &MONTHS)? as i64 + 1;
                set(&mut self.parsed.month, month, field)?;
            }
            Field::MonthAbbreviated => {
                let short: Vec<&str> = MONTHS.iter().map(|name| &name[..3]).collect();
                let month = self.name(field, &short)? as i64 + 1;
                set(&mut self.parsed.month, month, field)?;
            }
            Field::Roman => {
                let month = self.name(field, &ROMAN_MONTHS)? as i64 + 1;
                set(&mut self.parsed.month, month, field)?;
            }
            Field::Day => {
                let day = self.name(field, &DAYS)? as i64 + 1;
                set(&mut self.parsed.day_of_week, day, field)?;
            }
            Field::DayAbbreviated => {
                let short: Vec<&str> = DAYS.iter().map(|name| &name[..3]).collect();
                let day = self.name(field, &short)? as i64 + 1;
                set(&mut self.parsed.day_of_week, day, field)?;
            }
            Field::Zone | Field::Offset => {
                return Err(PgError::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    format!("formatting field \"{}\" is only supported in to_char", field.name),
                ));
            }
            Field::ZoneHours => {
                self.parsed.zone_sign = if self.rest.starts_with(['+', '-', ' ']) {
                    let negative = self.rest.starts_with('-');
                    self.skip_char();
                    if negative { -1 } else { 1 }
                } else if self.skipped > 0 && self.last == Some('-') {
                    -1
                } else {
                    1
                };
                let (hours, _) = self.integer(field, next, 2)?;
                set(&mut self.parsed.zone_hours, hours, field)?;
            }
            Field::YearWithComma => self.year_with_comma(field)?,
            _ => {
                let (value, digits) = self.integer(field, next, length)?;
                self.number(field, value, digits)?;
            }
        }
        Ok(())
    }

    /// Gregorian and ISO week fields do not mix.
    fn set_mode(&mut self, field: &FieldNode) -> PgResult<()> {
        let iso = match field.field {
            Field::IsoDayOfYear | Field::IsoDayOfWeek | Field::IsoWeek | Field::IsoYear(_) => true,
            Field::Century
            | Field::Day
            | Field::DayAbbreviated
            | Field::DayOfYear
            | Field::DayOfMonth
            | Field::DayOfWeek
            | Field::Month
            | Field::MonthAbbreviated
            | Field::MonthNumber
            | Field::Roman
            | Field::WeekOfMonth
            | Field::WeekOfYear
            | Field::Year(_)
            | Field::YearWithComma => false,
            _ => return Ok(()),
        };
        if self.parsed.iso.is_some_and(|mode| mode != iso) {
            return Err(error("invalid combination of date conventions".to_owned())
                .hint("Do not mix Gregorian and ISO week date conventions in a formatting template."));
        }
        self.parsed.iso = Some(iso);
        Ok(())
    }

    fn year_with_comma(&mut self, field: &FieldNode) -> PgResult<()> {
        let invalid = || error("invalid input string for \"Y,YYY\"".to_owned());
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let high = digits(self.rest);
        let rest = self.rest[high..].strip_prefix(',').filter(|_| high > 0).ok_or_else(invalid)?;
        let low = digits(rest).min(3);
        let parse = |text: &str| text.parse::<i64>().map_err(|_| invalid());
        let year = parse(&self.rest[..high])? * 1000 + parse(&rest[..low])?;
        self.rest = &rest[low..];
        self.skip_ordinal(field);
        set(&mut self.parsed.year, year, field)?;
        self.parsed.year_digits = 4;
        Ok(())
    }

    fn number(&mut self, field: &FieldNode, value: i64, digits: usize) -> PgResult<()> {
        let parsed = &mut self.parsed;
        match field.field {
            Field::Hour12 => {
                parsed.twelve_hours = true;
                set(&mut parsed.hour, value, field)
            }
            Field::Hour24 => set(&mut parsed.hour, value, field),
            Field::Minute => set(&mut parsed.minute, value, field),
            Field::Second => set(&mut parsed.second, value, field),
            Field::Millisecond => {
                set(&mut parsed.millisecond, value * 10i64.pow(3usize.saturating_sub(digits) as u32), field)
            }
            Field::Microsecond | Field::Fraction(_) => {
                set(&mut parsed.microsecond, value * 10i64.pow(6usize.saturating_sub(digits) as u32), field)
            }
            Field::SecondOfDay => set(&mut parsed.second_of_day, value, field),
            Field::MonthNumber => set(&mut parsed.month, value, field),
            Field::DayOfYear | Field::IsoDayOfYear => set(&mut parsed.day_of_year, value, field),
            Field::DayOfMonth => set(&mut parsed.day, value, field),
            Field::DayOfWeek => set(&mut parsed.day_of_week, value, field),
            // Sunday is 7 in ISO and 1 here.
            Field::IsoDayOfWeek => set(&mut parsed.day_of_week, value % 7 + 1, field),
            Field::WeekOfYear | Field::IsoWeek => set(&mut parsed.week, value, field),
            Field::Century => set(&mut parsed.century, value, field),
            Field::WeekOfMonth => set(&mut parsed.week_of_month, value, field),
            Field::Julian => set(&mut parsed.julian, value, field),
            Field::ZoneMinutes => {
                if parsed.zone_sign == 0 {
                    parsed.zone_sign = 1;
                }
                set(&mut parsed.zone_minutes, value, field)
            }
            Field::Year(width) | Field::IsoYear(width) => {
                let year = if width < 4 && digits < 4 { near_2020(value) } else { value };
                parsed.year_digits = usize::from(width);
                set(&mut parsed.year, year, field)
            }
            _ => Ok(()),
        }
    }
}

/// The year of one to three digits that is nearest to 2020.
fn near_2020(year: i64) -> i64 {
    match year {
        ..70 => year + 2000,
        ..100 => year + 1900,
        ..520 => year + 2000,
        ..1000 => year + 1000,
        _ => year,
    }
}

fn conflict(field: &FieldNode) -> PgError {
    error(format!("conflicting values for \"{}\" field in formatting string", field.name))
        .detail("This value contradicts a previous setting for the same field type.")
}

fn set(slot: &mut i64, value: i64, field: &FieldNode) -> PgResult<()> {
    if *slot != 0 && *slot != value {
        return Err(conflict(field));
    }
    *slot = value;
    Ok(())
}

fn set_flag(slot: &mut Option<bool>, value: bool, field: &FieldNode) -> PgResult<()> {
    if *slot == Some(true) && !value {
        return Err(conflict(field));
    }
    *slot = Some(value);
    Ok(())
}

impl Parsed {
    fn clock(&self, text: &str) -> PgResult<i64> {
        let day = self.second_of_day;
        let (mut hour, mut minute, mut second) = (day / 3600, day / 60 % 60, day % 60);
        for (slot, value) in [(&mut hour, self.hour), (&mut minute, self.minute), (&mut second, self.second)]
        {
            if value != 0 {
                *slot = value;
            }
        }
        if self.twelve_hours {
            if !(1..=12).contains(&hour) {
                return Err(error(format!("hour \"{hour}\" is invalid for the 12-hour clock"))
                    .hint("Use the 24-hour clock, or give an hour between 1 and 12."));
            }
            match self.afternoon == Some(true) {
                true if hour < 12 => hour += 12,
                false if hour == 12 => hour = 0,
                _ => {}
            }
        }
        let fraction = self.millisecond * 1000 + self.microsecond;
        let in_range = (0..24).contains(&hour)
            && (0..60).contains(&minute)
            && (0..60).contains(&second)
            && (0..1_000_000).contains(&fraction);
        if !in_range {
            return Err(field_overflow(text));
        }
        Ok(((hour * 60 + minute) * 60 + second) * 1_000_000 + fraction)
    }

    /// The year, astronomically (1 BC is 0), when one was given.
    fn astronomical_year(&self) -> Option<i64> {
        let before = self.before_christ == Some(true);
        let century = if before { -self.century } else { self.century };
        if self.year != 0 {
            if self.century != 0 && self.year_digits <= 2 {
                return Some(match self.year % 100 {
                    0 => century * 100 + i64::from(century < 0),
                    year if century < 0 => year + (century + 1) * 100,
                    year => year + (century - 1) * 100,
                });
            }
            let year = if before { -self.year } else { self.year };
            return Some(if year < 0 { year + 1 } else { year });
        }
        (self.century != 0).then(|| if century >= 0 { (century - 1) * 100 + 1 } else { century * 100 + 1 })
    }

    fn resolve(&self, text: &str) -> PgResult<Instant> {
        let time = self.clock(text)?;
        let given_year = self.astronomical_year();
        let mut date = CivilDate { year: given_year.unwrap_or(0) as i32, month: 1, day: 1 };
        if self.julian != 0 {
            date = CivilDate::from_days(self.julian - 2_451_545);
        }
        let iso = self.iso == Some(true);
        let mut day_of_year = self.day_of_year;
        if self.week != 0 {
            if iso {
                // Monday of the week; Sunday (1) is the last day of it.
                let weekday = if self.day_of_week == 0 { 0 } else { (self.day_of_week + 5) % 7 };
                date = CivilDate::from_days(iso_week_start(date.year, self.week) + weekday);
            } else {
                day_of_year = (self.week - 1) * 7 + 1;
            }
        }
        let day = if self.week_of_month != 0 { (self.week_of_month - 1) * 7 + 1 } else { self.day };
        let mut month_given = i64::from(date.month);
        let mut day_given = i64::from(date.day);
        if day != 0 {
            day_given = day;
        }
        if self.month != 0 {
            month_given = self.month;
        }
        if day_of_year != 0 && (month_given <= 1 || day_given <= 1) {
            if date.year == 0 && self.before_christ != Some(true) {
                return Err(error("cannot calculate day of year without year information".to_owned()));
            }
            let start = if iso {
                iso_week_start(date.year, 1)
            } else {
                CivilDate { month: 1, day: 1, ..date }.days()
            };
            let found = CivilDate::from_days(start + day_of_year - 1);
            if iso {
                date = found;
                (month_given, day_given) = (i64::from(date.month), i64::from(date.day));
            } else {
                if found.year != date.year {
                    return Err(field_overflow(text));
                }
                if month_given <= 1 {
                    month_given = i64::from(found.month);
                }
                if day_given <= 1 {
                    day_given = i64::from(found.day);
                }
            }
        }
        let date = checked_date(date.year, month_given, day_given).ok_or_else(|| field_overflow(text))?;
        let zone_east_seconds = match self.zone_sign {
            0 => None,
            sign if (0..=15).contains(&self.zone_hours) && (0..60).contains(&self.zone_minutes) => {
                Some(sign * (self.zone_hours * 60 + self.zone_minutes) * 60)
            }
            _ => return Err(field_overflow(text)),
        };
        Ok(Instant { date, time, zone_east_seconds })
    }
}

/// The day of the Monday that begins an ISO week.
fn iso_week_start(year: i32, week: i64) -> i64 {
    let fourth = CivilDate { year, month: 1, day: 4 }.days();
    // 2000-01-01 was a Saturday: Monday is 0 here.
    let weekday = (fourth + 5).rem_euclid(7);
    fourth - weekday + (week - 1) * 7
}

fn checked_date(year: i32, month: i64, day: i64) -> Option<CivilDate> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let date = CivilDate { year, month: month as u8, day: day as u8 };
    (CivilDate::from_days(date.days()) == date).then_some(date)
}
