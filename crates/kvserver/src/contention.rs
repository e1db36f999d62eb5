//! Who waited for whom, on which key, for how long: what has ended, for people.
//!
//! A wait is noted when it ends, whichever way. The newest are kept, as many as [`crate::StoreTuning`] allows; what still
//! waits is told by [`crate::Store::locks`].

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use keys::{Key, RangeId};
use kvapi::TxnId;
use parking_lot::Mutex;
use stdx::WallTime;

use crate::ranges::Ranges;

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitEnd {
    /// The lock was given, or its key has moved to another range.
    Granted = 0,
    /// The waiter was the victim of a deadlock.
    Deadlock = 1,
    Timeout = 2,
    /// Whoever waited has gone, or the wait failed.
    Abandoned = 3,
}

impl WaitEnd {
    pub fn name(self) -> &'static str {
        match self {
            WaitEnd::Granted => "granted",
            WaitEnd::Deadlock => "deadlock",
            WaitEnd::Timeout => "timeout",
            WaitEnd::Abandoned => "abandoned",
        }
    }
}

/// A wait for a lock that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contention {
    pub range: RangeId,
    pub key: Key,
    pub waiter: TxnId,
    /// Who held the lock when the wait began, or was ahead in its queue.
    pub blocker: TxnId,
    /// When it began, by the clock of the machine.
    pub began: WallTime,
    pub duration: Duration,
    pub end: WaitEnd,
}

/// The newest waits, and how many there have been. Lock order: leaf.
#[derive(Default)]
pub(crate) struct ContentionLog(Mutex<VecDeque<Contention>>, [AtomicU64; 4]);

impl ContentionLog {
    fn note(&self, contention: Contention, events_max: usize) {
        self.1[contention.end as usize].fetch_add(1, Ordering::Relaxed);
        let mut events = self.0.lock();
        events.push_back(contention);
        let excess = events.len().saturating_sub(events_max);
        events.drain(..excess);
    }

    /// How many waits have ended in each way.
    pub fn counts(&self) -> [(WaitEnd, u64); 4] {
        let ends = [WaitEnd::Granted, WaitEnd::Deadlock, WaitEnd::Timeout, WaitEnd::Abandoned];
        ends.map(|end| (end, self.1[end as usize].load(Ordering::Relaxed)))
    }

    /// Oldest first.
    pub fn all(&self) -> Vec<Contention> {
        self.0.lock().iter().cloned().collect()
    }
}

/// Notes a wait when it is dropped.
pub(crate) struct Waiting<'a> {
    ranges: &'a Ranges,
    began: Duration,
    contention: Contention,
}

impl<'a> Waiting<'a> {
    pub fn begin(
        ranges: &'a Ranges,
        range: RangeId,
        key: &Key,
        waiter: TxnId,
        blocker: TxnId,
    ) -> Waiting<'a> {
        let contention = Contention {
            range,
            key: key.clone(),
            waiter,
            blocker,
            began: ranges.env.wall(),
            duration: Duration::ZERO,
            end: WaitEnd::Abandoned,
        };
        Waiting { ranges, began: ranges.env.monotonic(), contention }
    }

    pub fn ends(&mut self, end: WaitEnd) {
        self.contention.end = end;
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.contention.duration = self.ranges.env.monotonic().saturating_sub(self.began);
        self.ranges.lock_wait_times.observe(self.contention.duration);
        let events_max = self.ranges.tuning.get().contention_events_max;
        self.ranges.contention.note(self.contention.clone(), events_max);
    }
}
