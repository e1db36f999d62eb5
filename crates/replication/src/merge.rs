//! A range absorbs its right neighbour: what the neighbour's replica here must have done before, and its end.
//!
//! A merge is a command of the left range. It takes over what the right one holds, as of an entry of the right one's log after which nothing
//! changes any more. Whoever proposes it has seen to it that every store with a replica of the left range has a replica of the right one whose log is
//! durable up to that entry, and that neither gets or loses replicas in between (see `kvserver`'s `merge`). What is left to do here is order: two
//! logs are applied independently of one another, and what is applied may be lost in a crash.
//!
//! ```text
//!   left  --- 7 --- 8 --- merge --- 10         waits at the merge until ...
//!                          :
//!   right --- 4 --- 5 --- freeze               ... this is applied; then right stops, and left goes on
//! ```
//!
//! - The left replica stops before the merge ([`Shared::wait_to_absorb`]) and goes on when the right one has come so far
//!   ([`Shared::go_on_absorbing`]). No thread waits.
//! - The right replica may not know that its log is committed so far: its leader may be gone already. The merge says so, and the replica has
//!   the entry; so it is told ([`raft::Group::learn_committed`]) and needs nobody else.
//! - Before the merge is applied the right replica is stopped for good: nothing of it is applied any more, and so nothing is written
//!   after its end ([`Shared::may_absorb`]). Its tombstone lets no replica of the range come after.
//!
//! # A snapshot instead of the log
//!
//! A left replica that lags behind may get a snapshot from after the merge. It replaces the right one's replica as well, in the same atomic step:
//! without it the left one could not apply a merge that it may yet find in its log. From when the snapshot was let in until it is installed the
//! right replica is halted; nothing of it is being applied then, and it has nothing to apply again.
//!
//! # Where a crash may come
//!
//! | after | what is found | what happens |
//! | --- | --- | --- |
//! | the merge is committed, not applied | both ranges, both logs | the left one waits for the right one, and absorbs it |
//! | it is applied, not flushed | the same: nothing is cut off from a log that is not flushed, and nothing deleted from that of a range that has ended | the same |
//! | the flush | the left range, the right one's tombstone and its log | the log is deleted |
//! | a snapshot is let in, not installed | both ranges | the leader sends another, or the log |
//! | it is installed | the left range and the tombstone | the log is deleted |
//!
//! A right range that begins by a split which is itself yet to be applied again is waited for like one that is there. Nothing waits in a circle: each
//! waits for what came before it in time.

use std::sync::Arc;

use keys::RangeId;
use raft::{Entry, EntryKind, Position};

use crate::Awaited;
use crate::range_log::StoredLog;
use crate::replica::{Applying, Replica};
use crate::store::Shared;

impl Shared {
    /// What an entry that is to be applied waits for.
    pub fn awaited(&self, range: RangeId, entry: &Entry) -> Option<Awaited> {
        let at = Position { index: entry.index, term: entry.term };
        match entry.kind {
            EntryKind::Normal => self.machine.awaits(range, at, &entry.payload),
            EntryKind::Empty | EntryKind::ConfChange => None,
        }
    }

    /// Whether the replica of the range that is to be absorbed has come so far. Then it is stopped.
    pub fn may_absorb(self: &Arc<Self>, awaited: &Awaited) -> Result<bool, String> {
        // Not here: its own beginning is yet to be applied again.
        let Some(replica) = self.replica(awaited.range) else { return Ok(false) };
        let mut guard = replica.state.lock();
        let state = &mut *guard;
        if state.log.applied.index >= awaited.upto.index {
            let is_at_rest = !matches!(state.applying, Applying::Running);
            state.destroyed |= is_at_rest;
            return Ok(is_at_rest);
        }
        if state.is_waiting() || state.destroyed {
            return Ok(false);
        }
        let stored = StoredLog { engine: &*self.engine, range: replica.range, log: &state.log };
        state.group.learn_committed(awaited.upto, &stored).map_err(|error| error.to_string())?;
        if state.group.commit_index() < awaited.upto.index {
            tracing::debug!(range = %awaited.range, upto = %awaited.upto.index, "a range to be absorbed lags behind");
        }
        self.mark(&replica);
        Ok(false)
    }

    /// A replica stops before a merge. `rest` is what it has yet to apply, the merge first.
    pub fn wait_to_absorb(
        self: &Arc<Self>,
        left: &Arc<Replica>,
        rest: Vec<Entry>,
        awaited: &Awaited,
    ) -> Result<(), String> {
        {
            let mut state = left.state.lock();
            if state.destroyed {
                return Ok(());
            }
            state.applying = Applying::Queued(rest);
        }
        // A snapshot may wait to be installed.
        self.mark(left);
        self.absorbing.lock().insert(awaited.range, left.range);
        // It may have come so far just before it was noted who waits.
        if self.has_come(awaited) {
            self.go_on_absorbing(awaited.range);
        }
        Ok(())
    }

    fn has_come(&self, awaited: &Awaited) -> bool {
        self.replica(awaited.range).is_some_and(|replica| {
            let state = replica.state.lock();
            state.log.applied.index >= awaited.upto.index && !matches!(state.applying, Applying::Running)
        })
    }

    /// A range has come further: whoever is to absorb it looks again.
    pub fn go_on_absorbing(self: &Arc<Self>, right: RangeId) {
        let left = self.absorbing.lock().remove(&right);
        if let Some(left) = left.and_then(|left| self.replica(left)) {
            self.hand_to_applier(vec![left]);
        }
    }

    /// Stops the replicas of ranges that are no more, for a snapshot that replaces them. Gives those that were not stopped before. All
    /// or none.
    pub fn halt(self: &Arc<Self>, ends: &[RangeId]) -> Result<Vec<Arc<Replica>>, String> {
        let mut halted = Vec::new();
        for range in ends {
            let Some(replica) = self.replica(*range) else {
                self.resume(&halted);
                return Err(format!("range {range}, which it replaces, has just begun or ended here"));
            };
            let mut state = replica.state.lock();
            if replica.is_replaying() || matches!(state.applying, Applying::Running) {
                drop(state);
                self.resume(&halted);
                return Err(format!("range {range}, which it replaces, is applied just now"));
            }
            let was_stopped = std::mem::replace(&mut state.destroyed, true);
            drop(state);
            if !was_stopped {
                halted.push(replica);
            }
        }
        Ok(halted)
    }

    /// They go on: the snapshot is not taken.
    pub fn resume(self: &Arc<Self>, halted: &[Arc<Replica>]) {
        for replica in halted {
            let mut state = replica.state.lock();
            state.destroyed = false;
            self.mark(replica);
            if matches!(state.applying, Applying::Queued(_)) {
                // Its turn may have come and passed meanwhile.
                self.hand_to_applier(vec![Arc::clone(replica)]);
            }
        }
    }
}
