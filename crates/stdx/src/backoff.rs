//! Exponential backoff with jitter.
//!
//! Waits grow by doubling from `initial` up to `max`; each is then drawn uniformly from the upper half of
//! its value ("equal jitter"): contenders that failed together spread out, and none retries at once.

use std::time::Duration;

use crate::Prng;

/// The state of one retry loop.
///
/// - A wait is never above `max` and, jitter included, never below half of `initial`.
#[derive(Clone, Debug)]
pub struct Backoff {
    initial: Duration,
    max: Duration,
    attempts: u32,
}

impl Backoff {
    /// Panics if `initial` is zero or above `max`: such a loop would spin or shrink.
    pub fn new(initial: Duration, max: Duration) -> Backoff {
        assert!(!initial.is_zero() && initial <= max, "a backoff grows from a positive wait");
        Backoff { initial, max, attempts: 0 }
    }

    /// How many waits have been handed out since the start or the last reset.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The next wait.
    pub fn next_wait(&mut self, prng: &mut Prng) -> Duration {
        let doublings = self.attempts.min(31);
        self.attempts = self.attempts.saturating_add(1);
        let full = self.initial.saturating_mul(1 << doublings).min(self.max);
        let half = full / 2;
        let spread = u64::try_from((full - half).as_nanos()).unwrap_or(u64::MAX - 1);
        half + Duration::from_nanos(prng.below(spread + 1))
    }

    /// To be called after a success.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_bound_and_jitter_in_the_upper_half() {
        let mut prng = Prng::new(1);
        let mut backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(100));
        for full_ms in [10, 20, 40, 80, 100, 100] {
            let wait = backoff.next_wait(&mut prng);
            let full = Duration::from_millis(full_ms);
            assert!(wait >= full / 2 && wait <= full, "{wait:?} for {full:?}");
        }
        assert_eq!(backoff.attempts(), 6);
        backoff.reset();
        assert!(backoff.next_wait(&mut prng) <= Duration::from_millis(10));
    }

    #[test]
    fn endless_retries_do_not_overflow() {
        let mut prng = Prng::new(1);
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::MAX);
        for _ in 0..100 {
            backoff.next_wait(&mut prng);
        }
    }
}
