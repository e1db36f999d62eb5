//! Numbers that are unique in the cluster and rise with time, drawn without asking anybody.
//!
//! A number has 53 bits of time in units of 256 ns since 2020 (enough until 2093) above 10 bits of the node's id. A
//! node never gives a unit twice: when numbers are drawn faster than time passes (4 million a second) it runs
//! ahead of the clock, and after a restart it starts at the clock again. Node ids must differ in their low 10 bits.

use std::sync::atomic::{AtomicU64, Ordering};

use kvapi::{NodeId, Timestamp};

/// The distance of two numbers drawn together.
pub const UNIQUE_NUMBER_STEP: i64 = 1 << NODE_BITS;

const NODE_BITS: u32 = 10;
const UNIT_BITS: u32 = 8;
/// 2020-01-01 UTC in nanoseconds since 1970.
const EPOCH_2020_NANOSECONDS: u64 = 1_577_836_800_000_000_000;

/// - `next` is above every unit given out.
pub(crate) struct UniqueNumbers {
    node: u64,
    next: AtomicU64,
}

impl UniqueNumbers {
    pub fn new(node: NodeId) -> UniqueNumbers {
        UniqueNumbers { node: u64::from(node.0) & ((1 << NODE_BITS) - 1), next: AtomicU64::new(0) }
    }

    pub fn draw(&self, now: Timestamp, count: u64) -> i64 {
        let unit = first_unique_number(now) as u64 >> NODE_BITS;
        let take = |next: u64| Some(next.max(unit) + count);
        let previous = self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        let first = previous.unwrap_or_default().max(unit);
        ((first << NODE_BITS) | self.node) as i64
    }
}

/// When a number was drawn, to 256 ns; later where numbers were drawn faster than time passes.
pub fn unique_number_time(number: i64) -> Timestamp {
    let unit = number.max(0) as u64 >> NODE_BITS;
    Timestamp::new(EPOCH_2020_NANOSECONDS + (unit << UNIT_BITS), 0)
}

/// Every number that a node has drawn since `time` is as large as this, or larger.
pub fn first_unique_number(time: Timestamp) -> i64 {
    let unit = time.wall.saturating_sub(EPOCH_2020_NANOSECONDS) >> UNIT_BITS;
    (unit << NODE_BITS) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_rise_and_never_repeat_even_when_time_stands_still() {
        let numbers = UniqueNumbers::new(NodeId(3));
        let at = |nanoseconds: u64| Timestamp { wall: EPOCH_2020_NANOSECONDS + nanoseconds, logical: 0 };
        let first = numbers.draw(at(25_600), 1000);
        assert_eq!(first, (100 << 10) | 3);
        let second = numbers.draw(at(25_600), 1);
        assert_eq!(second, first + 1000 * UNIQUE_NUMBER_STEP);
        assert!(numbers.draw(at(0), 1) > second, "the clock may go back");
        let third = numbers.draw(at(512_000_000), 1);
        assert_eq!(third, (2_000_000 << 10) | 3);
        assert_eq!(unique_number_time(third), at(512_000_000));
        assert_eq!(unique_number_time(i64::MIN), at(0));
        assert_eq!(first_unique_number(at(512_000_100)), 2_000_000 << 10);
        assert_eq!(first_unique_number(Timestamp::ZERO), 0);
    }
}
