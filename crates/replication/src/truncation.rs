//! Cutting off what logs are no longer needed for.
//!
//! A log must reach back to what a crash would leave of the state: the *flushed* applied index, not the applied one. When the
//! engine flushes is its own business; here it is asked, per range, each time the range's log has grown by some amount. When all logs together grow beyond
//! a bound because the engine has no reason to flush, it is made to, on a lane of its own.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use keys::RangeId;
use raft::{Index, LogReader, Position};
use storage::{Keyspace, StorageError};

use crate::range_log::StoredLog;
use crate::record;
use crate::replica::{Replica, ReplicaState};
use crate::store::Shared;

impl Shared {
    /// Cuts the log off if it has grown enough and the state is flushed. Called after applying, with the replica locked.
    pub fn consider_truncating(self: &Arc<Self>, replica: &Arc<Replica>, state: &mut ReplicaState) {
        let grown = state.log.bytes;
        if grown < self.options.truncate_bytes || state.truncate_to.is_some() || state.destroyed {
            return;
        }
        // Asked again after as much again has been written, whatever the answer is.
        state.log.bytes = 0;
        let total = self.log_bytes.fetch_add(grown, Ordering::Relaxed) + grown;
        match self.truncation_point(replica.range, state) {
            Ok(Some(upto)) => {
                state.truncate_to = Some(upto);
                self.mark(replica);
            }
            Ok(None) => {}
            Err(error) => self.fail(&format!("range {}: {error}", replica.range)),
        }
        if total > self.options.log_bytes_max && !self.flushing.swap(true, Ordering::AcqRel) {
            let shared = Arc::clone(self);
            self.flusher.submit(move || shared.flush_and_truncate());
        }
    }

    /// Makes the state durable and then cuts off all logs.
    fn flush_and_truncate(self: Arc<Self>) {
        self.log_bytes.store(0, Ordering::Relaxed);
        if let Err(error) = self.engine.flush() {
            self.fail(&format!("flushing: {error}"));
            return;
        }
        if let Err(error) = self.truncate_all() {
            self.fail(&format!("cutting off logs: {error}"));
        }
        self.flushing.store(false, Ordering::Release);
    }

    fn truncate_all(self: &Arc<Self>) -> Result<(), StorageError> {
        for replica in self.replicas() {
            let mut state = replica.state.lock();
            if let Some(upto) = self.truncation_point(replica.range, &state)? {
                state.truncate_to = Some(upto);
                self.mark(&replica);
            }
        }
        Ok(())
    }

    /// Up to where the log of a range is not needed: the state is flushed there, and the other replicas have it.
    fn truncation_point(
        &self,
        range: RangeId,
        state: &ReplicaState,
    ) -> Result<Option<Position>, StorageError> {
        let key = record::applied_state_key(range);
        let Some(value) = self.engine.flushed(Keyspace::RangeLocal, &key)? else { return Ok(None) };
        let flushed = record::decode_applied_state(range, &value)
            .map_err(|error| StorageError::corruption(error.to_string()))?;
        let followers = state.group.followers();
        let needed =
            followers.iter().filter(|follower| follower.active).map(|follower| follower.matched).min();
        // A replica that has fallen silent, or a long way behind, gets a snapshot instead.
        let upto = flushed.position.index.min(needed.unwrap_or(Index(u64::MAX)));
        if upto <= state.log.truncated.index || upto > state.log.applied.index {
            return Ok(None);
        }
        let stored = StoredLog { engine: &*self.engine, range, log: &state.log };
        let term = stored.term(upto).map_err(|error| StorageError::corruption(error.to_string()))?;
        Ok(term.map(|term| Position { index: upto, term }))
    }
}
