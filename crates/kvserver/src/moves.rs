//! Changes of replicas and leases that are under way, and when what has failed is tried again.
//!
//! ```text
//!   a round decides --> slot free? the stores that get something have room? --> task: executes, gives the slot back
//!                          | no                                                      |
//!                          v                                                         | failed
//!                    waits a little for a slot                                       v
//!                                                         the range waits: doubling, with jitter, up to a bound
//! ```
//!
//! One change can take long: a new replica's node may be slow, or die. Others must not wait for it, so a few run at once; a peer takes in few
//! at once, because each may be a snapshot. A range whose change has failed is left alone for a while: it would take the slots from those
//! whose changes succeed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::channel::oneshot;
use keys::{RangeId, StoreId};
use parking_lot::Mutex;
use smallvec::SmallVec;
use stdx::{Backoff, Prng};

/// Ranges of a store that are changed at once.
const AT_ONCE_MAX: usize = 8;
/// Of these, changes that give the same other store a replica or a lease.
const PER_STORE_MAX: usize = 2;
/// How long a range is left alone after its change has failed: at first, and at most.
const RETRY_WAIT_INITIAL: Duration = Duration::from_millis(500);
const RETRY_WAIT_MAX: Duration = Duration::from_secs(15);

/// Who gets something by a change: few.
pub(crate) type Receivers = SmallVec<[StoreId; 4]>;

/// The changes of a store that are under way. Lock order: leaf.
pub(crate) struct Moves(Mutex<State>);

/// - `under_way` has at most [`AT_ONCE_MAX`] ranges, and no store is a receiver of more than [`PER_STORE_MAX`] of them.
struct State {
    under_way: BTreeMap<RangeId, Receivers>,
    /// Ranges whose last change has failed, and until when each is left alone.
    failed: BTreeMap<RangeId, (Backoff, Duration)>,
    prng: Prng,
    freed: Option<oneshot::Sender<()>>,
}

impl Moves {
    pub fn new(seed: u64) -> Arc<Moves> {
        let state =
            State { under_way: BTreeMap::new(), failed: BTreeMap::new(), prng: Prng::new(seed), freed: None };
        Arc::new(Moves(Mutex::new(state)))
    }

    /// Whether something may be done about a range: nothing is under way, and it is not left alone after a failure.
    pub fn is_due(&self, range: RangeId, now: Duration) -> bool {
        let state = self.0.lock();
        let rests = state.failed.get(&range).is_some_and(|(_, until)| now < *until);
        !rests && !state.under_way.contains_key(&range)
    }

    pub fn has_slot(&self) -> bool {
        self.0.lock().under_way.len() < AT_ONCE_MAX
    }

    /// Whether one more change may give these stores something.
    pub fn has_room(&self, receivers: &[StoreId]) -> bool {
        let state = self.0.lock();
        receivers.iter().all(|receiver| {
            let busy = state.under_way.values().filter(|others| others.contains(receiver));
            busy.count() < PER_STORE_MAX
        })
    }

    /// Takes a slot for a range that is due and has room.
    pub fn begin(self: &Arc<Moves>, range: RangeId, receivers: Receivers) -> Slot {
        let mut state = self.0.lock();
        debug_assert!(state.under_way.len() < AT_ONCE_MAX, "the caller has asked for a slot");
        let before = state.under_way.insert(range, receivers);
        debug_assert!(before.is_none(), "one change of a range at a time");
        Slot { moves: self.clone(), range }
    }

    /// Completes when a slot was given back. For one waiter at a time.
    pub async fn freed(&self) {
        let (sender, receiver) = oneshot::channel();
        self.0.lock().freed = Some(sender);
        // A dropped sender: somebody else waits now.
        let _ = receiver.await;
    }

    /// Forgets the failures of ranges that are not led from here any more.
    pub fn retain(&self, is_led: impl Fn(RangeId) -> bool) {
        self.0.lock().failed.retain(|range, _| is_led(*range));
    }
}

/// The right to change a range; given back when dropped.
pub(crate) struct Slot {
    moves: Arc<Moves>,
    range: RangeId,
}

impl Slot {
    /// The change is over. One that has failed is not tried again for a while; answers for how long.
    pub fn end(self, has_failed: bool, now: Duration) -> Option<Duration> {
        let state = &mut *self.moves.0.lock();
        if !has_failed {
            state.failed.remove(&self.range);
            return None;
        }
        let fresh = || (Backoff::new(RETRY_WAIT_INITIAL, RETRY_WAIT_MAX), Duration::ZERO);
        let (backoff, until) = state.failed.entry(self.range).or_insert_with(fresh);
        let wait = backoff.next_wait(&mut state.prng);
        *until = now + wait;
        Some(wait)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.moves.0.lock();
        state.under_way.remove(&self.range);
        if let Some(freed) = state.freed.take() {
            // Who waited may have been dropped.
            let _ = freed.send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn slots_and_room_are_bounded_and_come_back() {
        let moves = Moves::new(1);
        let receivers = |store| Receivers::from_iter([StoreId(store)]);
        let first = moves.begin(RangeId(1), receivers(1));
        assert!(!moves.is_due(RangeId(1), SECOND) && moves.is_due(RangeId(2), SECOND));
        let mut others = vec![moves.begin(RangeId(2), receivers(1))];
        assert!(!moves.has_room(&[StoreId(2), StoreId(1)]), "two are on their way there");
        assert!(moves.has_room(&[StoreId(2)]));
        others.extend((3..=AT_ONCE_MAX as u64).map(|range| moves.begin(RangeId(range), Receivers::new())));
        assert!(!moves.has_slot());
        let mut freed = Box::pin(moves.freed());
        assert_eq!((&mut freed).now_or_never(), None);
        assert_eq!(first.end(false, SECOND), None);
        assert_eq!(freed.now_or_never(), Some(()));
        assert!(moves.has_slot() && moves.has_room(&[StoreId(1)]) && moves.is_due(RangeId(1), SECOND));
    }

    #[test]
    fn what_has_failed_waits_longer_each_time_until_it_succeeds() {
        let moves = Moves::new(1);
        let fail = |now| moves.begin(RangeId(1), Receivers::new()).end(true, now).expect("it has failed");
        let mut waits = Vec::new();
        let mut now = SECOND;
        for _ in 0..10 {
            let wait = fail(now);
            assert!(!moves.is_due(RangeId(1), now + wait / 2) && moves.is_due(RangeId(2), now));
            now += wait;
            assert!(moves.is_due(RangeId(1), now));
            waits.push(wait);
        }
        assert!(waits[0] <= RETRY_WAIT_INITIAL && waits[9] >= RETRY_WAIT_MAX / 2, "{waits:?}");
        assert_eq!(moves.begin(RangeId(1), Receivers::new()).end(false, now), None);
        assert!(fail(now) <= RETRY_WAIT_INITIAL, "a success forgets the failures");
        moves.retain(|_| false);
        assert!(moves.is_due(RangeId(1), now));
    }
}
