//! What background work should look at: a queue for each kind of work, and of each range at most one event in it.
//!
//! The kinds do not wait for one another. One that cannot go on may need another: a split of a range allocates an id in the keyspace,
//! which is found by addressing records, and those are work of another kind. So are the records of the addressing ranges themselves: the
//! record of any other range is written to one of these, which must be found first. Behind the record of a range that waits for it, the one
//! that says where it has moved to would wait for as long as everything before it is tried.

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
    /// The descriptor of a range has changed: its addressing record must follow. See [`Events::tell_described`].
    pub described: EventQueue<RangeDescriptor>,
    /// The same of a range that itself holds addressing records.
    pub addressing_described: EventQueue<RangeDescriptor>,
    /// A range has grown above its maximum.
    pub too_large: EventQueue<()>,
    /// The replica of the range here is in the way, or others speak to a later one on this store: it may have been removed.
    pub replaced: EventQueue<()>,
}

impl Events {
    /// The descriptor of a range has changed.
    pub fn tell_described(&self, descriptor: RangeDescriptor) {
        let has_addresses = descriptor.span.start.first().is_none_or(|first| *first < keys::prefix::SYSTEM);
        let queue = if has_addresses { &self.addressing_described } else { &self.described };
        queue.tell(descriptor.id, descriptor);
    }
}

/// Events about ranges, first told, first taken.
///
/// - `order` has exactly the keys of `events`, each once.
/// - While there are events every taker that waits has been woken, or has been told of an earlier event that it has yet to take.
pub(crate) struct EventQueue<T>(Mutex<State<T>>);

struct State<T> {
    order: VecDeque<RangeId>,
    events: BTreeMap<RangeId, T>,
    wakers: VecDeque<oneshot::Sender<()>>,
}

impl<T> Default for EventQueue<T> {
    fn default() -> EventQueue<T> {
        EventQueue(Mutex::new(State {
            order: VecDeque::new(),
            events: BTreeMap::new(),
            wakers: VecDeque::new(),
        }))
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

    /// The next event; waits for one. Takers are few, and each gets its own.
    pub async fn next(&self) -> (RangeId, T) {
        loop {
            let receiver = {
                let mut state = self.0.lock();
                if let Some(next) = state.take() {
                    return next;
                }
                let (sender, receiver) = oneshot::channel();
                state.wakers.push_back(sender);
                receiver
            };
            // A dropped sender: the queue is gone, or there is something to take.
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
        // Who waited may have been dropped: then the next one is woken.
        while self.wakers.pop_front().is_some_and(|waker| waker.send(()).is_err()) {}
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
    fn each_of_several_takers_gets_an_event_and_one_that_went_away_keeps_none() {
        let queue = EventQueue::default();
        let mut takers: Vec<_> = (0..3).map(|_| Box::pin(queue.next())).collect();
        assert!(takers.iter_mut().all(|taker| taker.now_or_never().is_none()));
        drop(takers.remove(0));
        queue.tell(RangeId(1), ());
        queue.tell(RangeId(2), ());
        let taken: Vec<_> = takers.iter_mut().map(|taker| taker.now_or_never()).collect();
        assert_eq!(taken, [Some((RangeId(1), ())), Some((RangeId(2), ()))]);
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
