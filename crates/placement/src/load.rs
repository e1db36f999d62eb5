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

/// Measures the load of a range, or of anything.
///
/// - `began` is the first time it was looked at since it was reset; `looked` the last.
#[derive(Clone, Copy, Debug, Default)]
pub struct LoadMeter {
    load: RangeLoad,
    looked: Option<Duration>,
    began: Duration,
}

impl LoadMeter {
    /// Takes what was counted since the last call.
    pub fn look(&mut self, now: Duration, requests: u64, written_bytes: u64) {
        let Some(before) = self.looked.replace(now) else {
            // Nobody knows since when this was counted.
            self.began = now;
            return;
        };
        let passed = now.saturating_sub(before).as_secs_f64();
        if passed <= 0.0 {
            self.looked = Some(before);
            return;
        }
        let weight = passed / (passed + MEMORY.as_secs_f64());
        let fold = |rate: f64, count: u64| {
            let next = rate + weight * (count as f64 / passed - rate);
            if next < RATE_MIN { 0.0 } else { next }
        };
        self.load = RangeLoad {
            requests: fold(self.load.requests, requests),
            written_bytes: fold(self.load.written_bytes, written_bytes),
        };
    }

    /// The load as far as it is known: for sums.
    pub fn estimate(&self) -> RangeLoad {
        self.load
    }

    /// The load, if it was measured for long enough to act on it.
    pub fn load(&self) -> Option<RangeLoad> {
        let looked = self.looked?;
        (looked.saturating_sub(self.began) >= MEASURED_MIN).then_some(self.load)
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
    fn a_steady_load_is_measured_and_forgotten_when_it_ends() {
        let mut meter = LoadMeter::default();
        let second = Duration::from_secs(1);
        for at in 0..=59 {
            meter.look(at * second, 100, 1_000);
            assert_eq!(meter.load(), None, "too early to act on it");
        }
        for at in 60..=180 {
            meter.look(at * second, 100, 1_000);
        }
        let load = meter.load().expect("measured for long enough");
        assert!((97.0..=100.0).contains(&load.requests), "{load:?}");
        assert!((970.0..=1_000.0).contains(&load.written_bytes), "{load:?}");
        meter.look(181 * second, 0, 0);
        assert!(meter.estimate().requests > 90.0);
        for at in 182..=800 {
            meter.look(at * second, 0, 0);
        }
        assert_eq!(meter.load(), Some(RangeLoad::default()));
        meter.look(800 * second, 1, 1);
        assert_eq!(meter.load(), Some(RangeLoad::default()), "no time has passed");
    }

    #[test]
    fn what_others_are_told_changes_seldom() {
        assert_eq!([0.0, 0.9, 7.2, 15.0, 17.0, 1_000.0].map(coarse), [0, 0, 7, 15, 16, 960]);
    }
}
