//! [`Histogram`]: how long things take, counted without locks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The upper bounds of the buckets, in microseconds; what takes longer is counted in one more.
pub const BOUNDS_MICROS: [u64; 20] = [
    10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000,
    1_000_000, 2_000_000, 5_000_000, 10_000_000, 60_000_000,
];

const BUCKETS: usize = BOUNDS_MICROS.len() + 1;

/// Counts durations. Shared by reference; a count may be seen before its sum.
#[derive(Debug, Default)]
pub struct Histogram {
    counts: [AtomicU64; BUCKETS],
    sum_nanos: AtomicU64,
}

/// What a histogram has counted so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistogramReading {
    /// By bucket: of those at or below its bound, and above the one before.
    pub counts: [u64; BUCKETS],
    pub sum: Duration,
}

impl Histogram {
    #[inline]
    pub fn observe(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_MICROS.iter().position(|bound| micros <= *bound).unwrap_or(BUCKETS - 1);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.sum_nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    pub fn read(&self) -> HistogramReading {
        HistogramReading {
            counts: std::array::from_fn(|bucket| self.counts[bucket].load(Ordering::Relaxed)),
            sum: Duration::from_nanos(self.sum_nanos.load(Ordering::Relaxed)),
        }
    }
}

impl HistogramReading {
    /// How many durations were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_duration_is_counted_once_at_or_below_its_bound() {
        let histogram = Histogram::default();
        for micros in [0, 10, 11, 60_000_000, 60_000_001] {
            histogram.observe(Duration::from_micros(micros));
        }
        let reading = histogram.read();
        assert_eq!((reading.counts[0], reading.counts[1]), (2, 1));
        assert_eq!((reading.counts[BUCKETS - 2], reading.counts[BUCKETS - 1]), (1, 1));
        assert_eq!((reading.count(), reading.sum), (5, Duration::from_micros(120_000_022)));
        assert!(BOUNDS_MICROS.is_sorted());
    }
}
