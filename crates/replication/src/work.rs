//! The two lanes of a store and what waits for them.
//!
//! ```text
//!   mark --> [marked replicas] --> writer lane: write rounds until nothing is marked
//!                                     |  applies by itself if nothing is marked meanwhile, or
//!                                     +--> [replicas with committed entries] --> applier lane: apply rounds
//! ```
//!
//! A lane's job runs until its queue is empty, and the next one who adds to an empty queue submits the next job: no thread polls.
//!
//! Who proposes to an idle store may write by itself ([`Shared::write_here`]): one round on its own thread, its own proposal and
//! whatever was marked before it. What is marked meanwhile is the lane's, so that nobody writes for others forever.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use env::Lane;
use parking_lot::{Mutex, RwLock};

use crate::replica::Replica;
use crate::store::Shared;

/// A queue of replicas and the lane that empties it.
///
/// - `running` while a job of the lane is submitted or runs, or a proposer is about to write or writes; only then may the queue be
///   non-empty for long. Who has set it has the queue to itself.
pub(crate) struct WorkQueue {
    lane: Lane,
    state: Mutex<QueueState>,
    /// Held for reading by proposers that write by themselves, to the end of what they do.
    helpers: RwLock<()>,
}

#[derive(Default)]
struct QueueState {
    replicas: Vec<Arc<Replica>>,
    running: bool,
}

impl WorkQueue {
    pub fn new(lane: Lane) -> WorkQueue {
        WorkQueue { lane, state: Mutex::new(QueueState::default()), helpers: RwLock::new(()) }
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

    /// Replicas that wait.
    pub fn len(&self) -> usize {
        self.state.lock().replicas.len()
    }

    fn is_empty(&self) -> bool {
        self.state.lock().replicas.is_empty()
    }

    /// Gives the queue back if it is empty. False: somebody has to go on with it.
    fn end_if_empty(&self) -> bool {
        let mut state = self.state.lock();
        state.running = !state.replicas.is_empty();
        !state.running
    }
}

impl Shared {
    /// Something has happened in the group of this replica: the writer is to look at it.
    pub fn mark(self: &Arc<Self>, replica: &Arc<Replica>) {
        if self.mark_only(replica) {
            self.write_on_lane();
        }
    }

    /// The same for a caller that holds a lock. True: it must call [`Shared::write_here`] once it holds none.
    #[must_use]
    pub fn mark_only(&self, replica: &Arc<Replica>) -> bool {
        !replica.marked.swap(true, Ordering::AcqRel) && self.writing.add([Arc::clone(replica)])
    }

    /// Lets the caller write what is marked, if its thread may block; else the lane does.
    pub fn write_here(self: &Arc<Self>) {
        let shared = Arc::clone(self);
        if !self.writing.lane().run_here(move || shared.run_writer_once()) {
            self.write_on_lane();
        }
    }

    fn write_on_lane(self: &Arc<Self>) {
        let shared = Arc::clone(self);
        self.writing.lane().submit(move || shared.run_writer());
    }

    /// One round; then the lane goes on if there is more.
    fn run_writer_once(self: Arc<Self>) {
        let _helping = self.writing.helpers.read();
        let mut round = Vec::new();
        if !self.writing.take(&mut round) {
            return;
        }
        let committed = self.write_round(&mut round, !self.options.unsynced_here);
        if self.writing.is_empty() {
            self.apply_round(&committed);
            if !self.writing.end_if_empty() {
                self.write_on_lane();
            }
        } else {
            // The next sync does not wait for this round to be applied.
            self.write_on_lane();
            self.apply_round(&committed);
        }
    }

    /// Completes when the writer's jobs that were submitted before have run, and no proposer is at work.
    pub fn writer_barrier(self: &Arc<Self>) -> impl Future<Output = ()> + Send + use<> {
        let shared = Arc::clone(self);
        self.writing.lane().run(move || drop(shared.writing.helpers.write()))
    }

    fn run_writer(self: Arc<Self>) {
        let mut round = Vec::new();
        while self.writing.take(&mut round) {
            let committed = self.write_round(&mut round, true);
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

    pub fn hand_to_applier(self: &Arc<Self>, committed: Vec<Arc<Replica>>) {
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
