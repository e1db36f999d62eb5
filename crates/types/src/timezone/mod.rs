//! Time zones: fixed offsets and the zones of the IANA database, which is embedded, so that every node and every
//! simulation agrees whatever the machine has installed.

use crate::error::PgResult;
use std::sync::Arc;

/// A time zone as SET TIME ZONE names one. Cheap to clone.
#[derive(Clone, Debug, PartialEq)]
pub struct TimeZone {
    inner: Arc<Zone>,
}

#[derive(Debug, PartialEq)]
struct Zone {
    name: String,
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

impl TimeZone {
    pub fn utc() -> TimeZone {
        TimeZone { inner: Arc::new(Zone { name: "UTC".into() }) }
    }

    /// An offset from UTC in seconds **east**.
    pub fn fixed(east_seconds: i32) -> TimeZone {
        let _ = east_seconds;
        crate::pending()
    }

    /// A zone by its IANA name (any case), a POSIX specification (`EST5EDT`), or an abbreviation (`PST`).
    pub fn named(name: &str) -> Option<TimeZone> {
        let _ = name;
        crate::pending()
    }

    /// The value of the `TimeZone` setting: a name or a number of hours east. 22023 `invalid value for parameter "TimeZone"`.
    pub fn from_setting(text: &str) -> PgResult<TimeZone> {
        let _ = text;
        crate::pending()
    }

    /// What SHOW TimeZone prints.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The offset in force at an instant (microseconds since 2000-01-01 UTC).
    pub fn offset_at(&self, utc_microseconds: i64) -> ZoneOffset {
        let _ = utc_microseconds;
        crate::pending()
    }

    /// Seconds east in force at a local clock reading (microseconds since 2000-01-01 00:00 local). In a gap or an overlap: the offset
    /// that PostgreSQL chooses (standard time, the one before the gap).
    pub fn offset_of_local(&self, local_microseconds: i64) -> i32 {
        let _ = local_microseconds;
        crate::pending()
    }
}
