//! The two lanes of a store and what waits for them.
//!
//! ```text
//!   mark --> [marked replicas] --> writer lane: write rounds until nothing is marked
//!                                     |  applies by itself if nothing is marked meanwhile, or
//!                                     +--> [replicas with committed entries] --> applier lane: apply rounds
//! ```
//!
//! A lane's job runs until its queue is empty, and the next one who adds to an empty queue submits the next job: no thread polls.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use env::Lane;
use parking_lot::Mutex;

use crate::replica::Replica;
use crate::store::Shared;

/// A queue of replicas and the lane that empties it.
///
/// - `running` while a job of the lane is submitted or runs; only then may the queue be non-empty for long.
pub(crate) struct WorkQueue {
    lane: Lane,
    state: Mutex<QueueState>,
}

#[derive(Default)]
struct QueueState {
    replicas: Vec<Arc<Replica>>,
    running: bool,
}

impl WorkQueue {
    pub fn new(lane: Lane) -> WorkQueue {
        WorkQueue { lane, state: Mutex::new(QueueState::default()) }
    }

    pub fn lane(&self) -> &Lane {
        &self.lane
    }

    /// Adds replicas. Whether the caller has to submit a job.
    fn add(&self, replicas: impl IntoIterator<Item = Arc<Replica>>) -> bool {
        let mut state = self.state.lock();
        state.replicas.extend(replicas);
        let submit = !state.running && !state.replicas.is_empty();
        state.running |= submit;
        submit
    }

    /// Takes all that waits into `taken`, which is empty. False, and the job has ended, if nothing does.
    fn take(&self, taken: &mut Vec<Arc<Replica>>) -> bool {
        let mut state = self.state.lock();
        std::mem::swap(&mut state.replicas, taken);
        state.running = !taken.is_empty();
        state.running
    }

    fn is_empty(&self) -> bool {
        self.state.lock().replicas.is_empty()
    }
}

impl Shared {
    /// Something has happened in the group of this replica: the writer is to look at it.
    pub fn mark(self: &Arc<Self>, replica: &Arc<Replica>) {
        if replica.marked.swap(true, Ordering::AcqRel) {
            return;
        }
        if self.writing.add([Arc::clone(replica)]) {
            let shared = Arc::clone(self);
            self.writing.lane().submit(move || shared.run_writer());
        }
    }

    fn run_writer(self: Arc<Self>) {
        let mut round = Vec::new();
        while self.writing.take(&mut round) {
            let committed = self.write_round(&mut round);
            round.clear();
            if committed.is_empty() {
                continue;
            }
            if self.writing.is_empty() {
                self.apply_round(&committed);
            } else {
                self.hand_to_applier(committed);
            }
        }
    }

    fn hand_to_applier(self: &Arc<Self>, committed: Vec<Arc<Replica>>) {
        if self.applying.add(committed) {
            let shared = Arc::clone(self);
            self.applying.lane().submit(move || {
                let mut round = Vec::new();
                while shared.applying.take(&mut round) {
                    shared.apply_round(&round);
                    round.clear();
                }
            });
        }
    }
}
