//! Time for the groups that need it.
//!
//! A group that sleeps, or that is alone on this store, needs no ticks. The task here runs only while some group
//! does: a store whose ranges are all idle, or all have one replica, has no timer at all.

use std::collections::BTreeMap;
use std::sync::Arc;

use keys::RangeId;
use parking_lot::Mutex;

use crate::replica::{Replica, ReplicaState};
use crate::store::Shared;

/// The replicas that want ticks.
///
/// - `running` while the task exists; it ends when nobody wants ticks, under the lock.
#[derive(Default)]
pub(crate) struct Ticker {
    state: Mutex<TickerState>,
}

#[derive(Default)]
struct TickerState {
    replicas: BTreeMap<RangeId, Arc<Replica>>,
    running: bool,
}

impl Shared {
    /// Sees to it that the replica, which is locked, gets ticks if it needs them.
    pub fn tick_if_needed(self: &Arc<Self>, replica: &Arc<Replica>, state: &mut ReplicaState) {
        if state.ticking || state.needs_no_ticks() {
            return;
        }
        state.ticking = true;
        let mut ticker = self.ticker.state.lock();
        ticker.replicas.insert(replica.range, Arc::clone(replica));
        if !std::mem::replace(&mut ticker.running, true) {
            let shared = Arc::clone(self);
            drop(self.env.spawn("raft-ticker", Box::pin(shared.run_ticker())));
        }
    }

    async fn run_ticker(self: Arc<Self>) {
        let mut next = self.env.monotonic();
        loop {
            // A late tick is not made up for: groups would take a slow machine for a lost leader.
            next = (next + self.options.tick).max(self.env.monotonic());
            self.env.sleep_until(next).await;
            let replicas: Vec<Arc<Replica>> = self.ticker.state.lock().replicas.values().cloned().collect();
            for replica in replicas {
                self.tick(&replica);
            }
            let mut ticker = self.ticker.state.lock();
            if ticker.replicas.is_empty() || self.is_stopped() {
                ticker.running = false;
                return;
            }
        }
    }

    fn tick(self: &Arc<Self>, replica: &Arc<Replica>) {
        let mut state = replica.state.lock();
        if state.needs_no_ticks() {
            state.ticking = false;
            self.ticker.state.lock().replicas.remove(&replica.range);
            return;
        }
        self.restrain(&mut state);
        self.note_absent(replica, &mut state);
        state.ticks += 1;
        state.group.tick();
        self.mark(replica);
        self.after_change(replica, &mut state);
    }
}
