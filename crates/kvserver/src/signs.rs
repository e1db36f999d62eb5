//! Signs of life of transactions, and how long they have been missing.
//!
//! A transaction whose coordinator has been silent for long enough is taken for dead. What tells a sign of life from another is its timestamp
//! (the start of the transaction, then each heartbeat); how long ago it came is measured on this store's own monotonic
//! clock, from when it was first seen here. Wall clocks have no say: one that stands still or was set back would keep the dead alive
//! for good, one that was set forward would kill the living.
//!
//! ```text
//!   heartbeat, staging ----------------> noted when it comes in
//!   push, sweep: first look at a sign -> noted then, and counts from then
//!   the end of the transaction --------> forgotten
//! ```
//!
//! What a store has noted dies with its process. Whoever finds a sign in a record that it has not noted itself credits the time that the wall
//! clocks tell, so that the dead of a node that is gone are not waited for once more.

use std::time::Duration;

use clock::Timestamp;
use kvapi::TxnId;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

/// Transactions that are remembered. Beyond, those are forgotten whose last sign is older than [`REMEMBERED`].
const SIGNS_MAX: usize = 16_384;
/// Long enough for whoever asks whether a transaction has expired to ask again.
const REMEMBERED: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug)]
struct Sign {
    /// What the coordinator has said last.
    said: Timestamp,
    /// When that was first seen here, on the monotonic clock.
    seen: Duration,
}

/// The last sign of life of each transaction that has given one here, or was asked after.
///
/// - For one transaction both parts of a sign only ever rise.
#[derive(Default)]
pub(crate) struct Signs {
    /// Lock order: leaf.
    last: Mutex<FxHashMap<TxnId, Sign>>,
}

impl Signs {
    /// How long ago the last sign of life of a transaction came, which is `said` or a later one. `now` is monotonic; a transaction that
    /// is not known here is taken to have been silent for `credit`.
    pub fn silence(&self, txn: TxnId, said: Timestamp, credit: Duration, now: Duration) -> Duration {
        let mut last = self.last.lock();
        if last.len() >= SIGNS_MAX && !last.contains_key(&txn) {
            last.retain(|_, sign| now.saturating_sub(sign.seen) <= REMEMBERED);
            if last.len() >= SIGNS_MAX {
                // Too many that are all recent: everybody gets more time.
                last.clear();
            }
        }
        let sign = last.entry(txn).or_insert(Sign { said, seen: now.saturating_sub(credit) });
        if said > sign.said {
            *sign = Sign { said, seen: now };
        }
        now.saturating_sub(sign.seen)
    }

    /// The transaction has ended.
    pub fn forget(&self, txn: TxnId) {
        self.last.lock().remove(&txn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_counts_from_when_a_sign_was_first_seen() {
        let (signs, at) = (Signs::default(), |wall| Timestamp::new(wall, 0));
        let second = Duration::from_secs(1);
        let silence = |said, now| signs.silence(TxnId(1), at(said), Duration::ZERO, now * second);
        assert_eq!(silence(10, 5), Duration::ZERO);
        assert_eq!(silence(10, 8), 3 * second);
        assert_eq!(silence(11, 9), Duration::ZERO, "a heartbeat");
        assert_eq!(silence(10, 10), second, "the start is no news");
        signs.forget(TxnId(1));
        assert_eq!(silence(10, 20), Duration::ZERO);
        assert_eq!(signs.silence(TxnId(2), at(10), 4 * second, 20 * second), 4 * second);
        assert_eq!(signs.silence(TxnId(2), at(10), Duration::ZERO, 21 * second), 5 * second);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let signs = Signs::default();
        for number in 0..3 * SIGNS_MAX as u64 {
            let now = Duration::from_millis(number);
            signs.silence(TxnId(number.into()), Timestamp::new(1, 0), Duration::ZERO, now);
        }
        assert!(signs.last.lock().len() <= SIGNS_MAX);
    }
}
