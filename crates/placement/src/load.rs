//! How much is asked of a range.
//!
//! Whoever serves counts up a number; whoever looks at all ranges in turn anyway (once a second, one task per store) takes the count
//! and folds it into a mean that forgets: of what was asked [`MEMORY`] ago about a third still counts. An idle range costs no timer, no
//! clock is read while serving.

use std::time::Duration;

/// Over how long rates are taken.
pub const MEMORY: Duration = Duration::from_secs(30);
/// A rate means something only when it was measured for so long: before, a range is not moved for its load.
pub const MEASURED_MIN: Duration = Duration::from_secs(60);
/// Below this a rate is zero: so that what is idle says the same thing every time.
const RATE_MIN: f64 = 0.01;

/// What is asked of a range, per second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RangeLoad {
    /// Requests that the leaseholder has answered.
    pub requests: f64,
    /// Bytes that every replica has written.
    pub written_bytes: f64,
}

/// Measures a rate, per second: the mean since it began, and after [`MEMORY`] one that forgets.
///
/// - `began` is the first time it was looked at since it was reset; `looked` the last.
#[derive(Clone, Copy, Debug, Default)]
pub struct RateMeter {
    rate: f64,
    looked: Option<Duration>,
    began: Duration,
}

impl RateMeter {
    /// Takes what was counted since the last call. Nobody knows since when the first count was taken: it is left out.
    pub fn look(&mut self, now: Duration, count: u64) {
        let Some(before) = self.looked.replace(now) else {
            self.began = now;
            return;
        };
        let passed = now.saturating_sub(before).as_secs_f64();
        if passed <= 0.0 {
            self.looked = Some(before);
            return;
        }
        let age = now.saturating_sub(self.began).min(MEMORY).as_secs_f64();
        let weight = (passed / age).min(1.0);
        let next = self.rate + weight * (count as f64 / passed - self.rate);
        self.rate = if next < RATE_MIN { 0.0 } else { next };
    }

    /// The rate as far as it is known: for sums.
    pub fn estimate(&self) -> f64 {
        self.rate
    }

    /// The rate, if it was measured for long enough to act on it.
    pub fn rate(&self) -> Option<f64> {
        let looked = self.looked?;
        (looked.saturating_sub(self.began) >= MEASURED_MIN).then_some(self.rate)
    }
}

/// A rate in the precision that is worth telling others: its four highest bits.
pub fn coarse(rate: f64) -> u64 {
    let rate = rate as u64;
    let cut = (u64::BITS - rate.leading_zeros()).saturating_sub(4);
    rate >> cut << cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_load_is_known_at_once_and_forgotten_when_it_ends() {
        let mut meter = RateMeter::default();
        let second = Duration::from_secs(1);
        meter.look(second, 7);
        assert_eq!(meter.estimate(), 0.0, "counted since nobody knows when");
        for at in 2..=60 {
            meter.look(at * second, 100);
            assert!((99.9..=100.1).contains(&meter.estimate()), "{meter:?}");
            assert_eq!(meter.rate(), None, "too early to act on it");
        }
        meter.look(61 * second, 100);
        assert!(meter.rate().is_some());
        meter.look(62 * second, 0);
        assert!((90.0..99.0).contains(&meter.estimate()), "{meter:?}");
        for at in 63..=600 {
            meter.look(at * second, 0);
        }
        assert_eq!(meter.rate(), Some(0.0));
        meter.look(600 * second, 1);
        assert_eq!(meter.rate(), Some(0.0), "no time has passed");
    }

    #[test]
    fn what_others_are_told_changes_seldom() {
        assert_eq!([0.0, 0.9, 7.2, 15.0, 17.0, 1_000.0].map(coarse), [0, 0, 7, 15, 16, 960]);
    }
}
