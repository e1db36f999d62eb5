//! What background work should look at: a queue for each kind of work, and of each range at most one event in it.
//!
//! The kinds do not wait for one another. One that cannot go on may need another: a split of a range allocates an id in the keyspace,
//! which is found by addressing records, and those are work of another kind.

use std::collections::{BTreeMap, VecDeque};

use futures::channel::oneshot;
use keys::RangeId;
use kvapi::RangeDescriptor;
use parking_lot::Mutex;

/// Events of a kind that wait; beyond, the oldest are dropped (a sweep, or the next event, finds what they would have said).
const EVENTS_MAX: usize = 4_096;

/// The queues of a store. Lock order: leaves.
#[derive(Default)]
pub(crate) struct Events {
    /// The descriptor of a range has changed: its addressing record must follow.
    pub described: EventQueue<RangeDescriptor>,
    /// A range has grown above its maximum.
    pub too_large: EventQueue<()>,
    /// The replica of the range here is in the way, or others speak to a later one on this store: it may have been removed.
    pub replaced: EventQueue<()>,
}

/// Events about ranges, first told, first taken.
///
/// - `order` has exactly the keys of `events`, each once.
pub(crate) struct EventQueue<T>(Mutex<State<T>>);

struct State<T> {
    order: VecDeque<RangeId>,
    events: BTreeMap<RangeId, T>,
    waker: Option<oneshot::Sender<()>>,
}

impl<T> Default for EventQueue<T> {
    fn default() -> EventQueue<T> {
        EventQueue(Mutex::new(State { order: VecDeque::new(), events: BTreeMap::new(), waker: None }))
    }
}

impl<T> EventQueue<T> {
    /// Replaces what was told of the range before and has not been taken yet.
    pub fn tell(&self, range: RangeId, event: T) {
        let mut state = self.0.lock();
        if state.events.insert(range, event).is_none() {
            state.enqueue(range);
        }
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.0.lock().order.len()
    }

    /// What was taken could not be done. What was told since is newer.
    pub fn tell_again(&self, range: RangeId, event: T) {
        let mut state = self.0.lock();
        if !state.events.contains_key(&range) {
            state.events.insert(range, event);
            state.enqueue(range);
        }
    }

    /// The next event; waits for one. For one taker at a time.
    pub async fn next(&self) -> (RangeId, T) {
        loop {
            let receiver = {
                let mut state = self.0.lock();
                if let Some(next) = state.take() {
                    return next;
                }
                let (sender, receiver) = oneshot::channel();
                state.waker = Some(sender);
                receiver
            };
            // A dropped sender: somebody else waits now. Look again.
            let _ = receiver.await;
        }
    }
}

impl<T> State<T> {
    fn enqueue(&mut self, range: RangeId) {
        if self.order.len() >= EVENTS_MAX {
            drop(self.take());
        }
        self.order.push_back(range);
        if let Some(waker) = self.waker.take() {
            // Who waited may have been dropped.
            let _ = waker.send(());
        }
    }

    fn take(&mut self) -> Option<(RangeId, T)> {
        let range = self.order.pop_front()?;
        let event = self.events.remove(&range).expect("what is in the order has an event");
        Some((range, event))
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn a_range_is_told_of_once_and_by_the_latest() {
        let queue = EventQueue::default();
        queue.tell(RangeId(1), "old");
        queue.tell(RangeId(2), "other");
        queue.tell(RangeId(1), "new");
        queue.tell_again(RangeId(1), "old");
        assert_eq!(queue.next().now_or_never(), Some((RangeId(1), "new")));
        assert_eq!(queue.next().now_or_never(), Some((RangeId(2), "other")));
        assert_eq!(queue.next().now_or_never(), None);
        queue.tell_again(RangeId(1), "again");
        assert_eq!(queue.next().now_or_never(), Some((RangeId(1), "again")));
    }

    #[test]
    fn at_the_bound_the_oldest_is_dropped() {
        let queue = EventQueue::default();
        for number in 0..=EVENTS_MAX as u64 {
            queue.tell(RangeId(number), number);
        }
        assert_eq!(queue.next().now_or_never(), Some((RangeId(1), 1)));
        assert_eq!(queue.0.lock().events.len(), EVENTS_MAX - 1);
    }
}
