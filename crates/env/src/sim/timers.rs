//! Virtual timers: who is to be woken when.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::scheduler::Scheduler;

/// Armed timers in the order in which they fire.
///
/// - The second part of a key is unique, so that timers of one instant fire in the order of arming.
#[derive(Default)]
pub(super) struct Timers {
    armed: BTreeMap<(Duration, u64), Waker>,
    next_number: u64,
}

impl Timers {
    pub(super) fn arm(&mut self, deadline: Duration, waker: Waker) -> (Duration, u64) {
        let key = (deadline, self.next_number);
        self.next_number += 1;
        self.armed.insert(key, waker);
        key
    }

    pub(super) fn rearm(&mut self, key: (Duration, u64), waker: &Waker) {
        if let Some(armed) = self.armed.get_mut(&key) {
            armed.clone_from(waker);
        }
    }

    pub(super) fn disarm(&mut self, key: (Duration, u64)) -> Option<Waker> {
        self.armed.remove(&key)
    }

    pub(super) fn next_deadline(&self) -> Option<Duration> {
        self.armed.first_key_value().map(|((deadline, _), _)| *deadline)
    }

    /// Takes the first timer that is due at `now`.
    pub(super) fn pop_due(&mut self, now: Duration) -> Option<Waker> {
        if self.next_deadline()? > now {
            return None;
        }
        self.armed.pop_first().map(|(_, waker)| waker)
    }
}

/// The future behind `sleep_until`.
pub(super) struct Sleep {
    pub(super) scheduler: Arc<Scheduler>,
    pub(super) deadline: Duration,
    pub(super) key: Option<(Duration, u64)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let scheduler = Arc::clone(&self.scheduler);
        let mut state = scheduler.state.lock();
        if state.now >= self.deadline {
            let armed = self.key.take().and_then(|key| state.timers.disarm(key));
            drop(state);
            drop(armed);
            return Poll::Ready(());
        }
        match self.key {
            Some(key) => state.timers.rearm(key, context.waker()),
            None => self.key = Some(state.timers.arm(self.deadline, context.waker().clone())),
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            let armed = self.scheduler.state.lock().timers.disarm(key);
            drop(armed);
        }
    }
}
