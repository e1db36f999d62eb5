//! A reading of a wall clock.
//!
//! It is a plain number here so that crates that read no clock can still speak of one. Readings come from
//! `env`; they may jump in both directions, and only `clock` makes an order out of them.

use std::fmt;
use std::time::Duration;

/// Nanoseconds since 1970-01-01 00:00:00 UTC, leap seconds ignored. Reaches to the year 2554.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime(u64);

impl WallTime {
    pub const EPOCH: WallTime = WallTime(0);

    pub const fn from_unix_nanos(nanos: u64) -> WallTime {
        WallTime(nanos)
    }

    pub const fn unix_nanos(self) -> u64 {
        self.0
    }

    pub const fn unix_micros(self) -> u64 {
        self.0 / 1_000
    }

    pub const fn unix_seconds(self) -> u64 {
        self.0 / 1_000_000_000
    }

    /// How long after `earlier` this is; `None` if it is before it.
    pub fn since(self, earlier: WallTime) -> Option<Duration> {
        self.0.checked_sub(earlier.0).map(Duration::from_nanos)
    }

    pub fn saturating_add(self, duration: Duration) -> WallTime {
        WallTime(self.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }

    pub fn saturating_sub(self, duration: Duration) -> WallTime {
        WallTime(self.0.saturating_sub(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl fmt::Display for WallTime {
    /// Seconds since the epoch with nine decimals.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}", self.0 / 1_000_000_000, self.0 % 1_000_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_and_tells_order() {
        let early = WallTime::from_unix_nanos(10);
        let late = early.saturating_add(Duration::from_nanos(5));
        assert_eq!(late.since(early), Some(Duration::from_nanos(5)));
        assert_eq!(early.since(late), None);
        assert_eq!(early.saturating_sub(Duration::from_secs(1)), WallTime::EPOCH);
        assert_eq!(WallTime::from_unix_nanos(1_500_000_000).to_string(), "1.500000000");
    }
}
