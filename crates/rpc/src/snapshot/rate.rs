//! A bound on what snapshots take of the network.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

/// A rate that several share: each takes a time slot for what it sends.
pub(crate) struct RateLimit {
    bytes_per_second: AtomicU64,
    /// When the slots given out end, by the monotonic clock.
    taken_until: Mutex<Duration>,
}

impl RateLimit {
    pub fn new(bytes_per_second: u64) -> RateLimit {
        RateLimit {
            bytes_per_second: AtomicU64::new(bytes_per_second),
            taken_until: Mutex::new(Duration::ZERO),
        }
    }

    /// Changes the rate of what is sent from now on.
    pub fn set(&self, bytes_per_second: u64) {
        self.bytes_per_second.store(bytes_per_second, Ordering::Relaxed);
    }

    /// Takes the next slot for so many bytes; when it begins.
    pub fn take(&self, bytes: usize, now: Duration) -> Duration {
        let rate = self.bytes_per_second.load(Ordering::Relaxed).max(1);
        let length = Duration::from_secs_f64(bytes as f64 / rate as f64);
        let mut taken_until = self.taken_until.lock();
        let begin = (*taken_until).max(now);
        *taken_until = begin + length;
        begin
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn senders_share_one_rate() {
        let rate = RateLimit::new(1000);
        assert_eq!(rate.take(500, SECOND), SECOND);
        assert_eq!(rate.take(500, SECOND), SECOND + SECOND / 2);
        assert_eq!(rate.take(1, 5 * SECOND), 5 * SECOND, "what was not used is not saved up");
        rate.set(100);
        rate.take(100, 9 * SECOND);
        assert_eq!(rate.take(1, 9 * SECOND), 10 * SECOND, "another rate holds from the next slot on");
    }
}
