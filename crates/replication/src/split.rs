//! The right half of a split: a range that begins on a store, and is not lost by a crash.
//!
//! A split is applied as every command is: its effects, the state of the new range among them, go to the state side, which is not durable
//! until it is flushed, some megabytes later. The new range serves at once, and what its replica promises is on disk before that is said:
//! votes, entries of its own log. So a crash may find the log of a range whose state is lost, and whose beginning is lost
//! with it. A flush with each split would exclude that, at some 30 ms of the applier's time. Instead the split is applied again: its parent's log
//! still has it, as nothing is cut off from a log that is not flushed. Two things could keep the parent from coming to it:
//!
//! - *It does not know that the split is committed.* How far a log is committed is written along with other things, and lags behind. Its
//!   leader would tell it, but may have cut off its own log meanwhile, and send a snapshot from behind the split.
//! - *It does not get the time*: the snapshot is there before it has applied its own log, or it is no member any more and is ended.
//!
//! Hence:
//!
//! - With a split the parent's hard state is written again, with the commit index of the split ([`ReplicaState::note_commit_to`]). The log writer takes it no later
//!   than the first write of the right half, so both are in one synced batch, or the parent's comes before. The right half begins
//!   with a write ([`raft::Group::record_hard_state`]): no promise, not even one about what it has from its beginning, leaves before.
//! - A replica that is opened first applies what its log says is committed ([`Replica::is_replaying`]). Until then it takes no snapshot and does not end.
//! - A snapshot is installed with a flush of all that came before (rule of [`storage::Engine::ingest`]).
//!
//! The same holds for a right half that is split again before it is flushed: its log has the note about its own right half, and is replayed when it
//! has come to life.
//!
//! # Where a crash may come
//!
//! | after | what is found | what happens |
//! | --- | --- | --- |
//! | the split is committed, not applied | the parent's log, at least | it is applied when the leader says so, or a snapshot brings the left half alone; nothing was promised for the right one |
//! | it is applied, before the first write of the right half | the same | the same |
//! | that write, before the state is flushed | the parent's log with the note; the right half's log | the parent applies the split, the right half goes on with its log |
//! | the flush | both states | both go on |
//! | a snapshot of the parent is installed | both states, by its flush | both go on |
//! | the parent has ended here, before that is flushed | as if it had not | it applies the split, and ends again |
//! | it has ended and another replica of its range has begun | its end, flushed before ([`Shared::bury`]), and so the right half | both go on |

use std::sync::Arc;

use keys::RangeId;
use keys::local::{RangeItem, range_item};
use raft::Index;
use storage::{Durability, Keyspace, StorageError, WriteBatch};

use crate::record;
use crate::recovery::FoundLog;
use crate::replica::Replica;
use crate::store::{Shared, first_state};
use crate::{NewRange, OpenError};

impl Shared {
    /// The split at an index of the parent has been applied: the new range begins, led from where its parent is.
    pub fn begin_range(
        self: &Arc<Self>,
        parent: &Arc<Replica>,
        split: Index,
        new: &NewRange,
    ) -> Result<(), OpenError> {
        let making = self.making.lock();
        self.take_over_from_waiting(new)?;
        let replica = self.make_replica(new.range, first_state(new))?;
        replica.state.lock().group.record_hard_state();
        let leads = {
            let mut state = parent.state.lock();
            state.note_commit_to = Some(split);
            // Before anybody can mark the right half: who is marked first is written no later.
            self.mark(parent);
            state.group.is_leader()
        };
        self.insert_replica(&replica);
        drop(making);
        self.start_replica(&replica, leads);
        self.go_on_absorbing(new.range);
        Ok(())
    }

    /// A split has been applied whose right half may have a replica that waits: it makes room. What it voted stays voted.
    pub fn take_over_from_waiting(&self, new: &NewRange) -> Result<(), OpenError> {
        let Some(waiting) = self.replica(new.range) else { return Ok(()) };
        if !waiting.state.lock().is_waiting() {
            // What it has acknowledged would be lost.
            let what = "it begins by a split, and has a state here already".to_string();
            return Err(OpenError::Corrupt { range: Some(new.range), what });
        }
        let hard_state = self.retire(&waiting);
        // On disk before the replica that relies on it runs: what was not synced yet has promised nothing, but is not known apart.
        let mut batch = WriteBatch::new();
        record::put_hard_state(&mut batch, new.range, hard_state);
        self.engine.write(&batch, Durability::Synced)?;
        let found = FoundLog { hard_state: Some(hard_state), ..FoundLog::default() };
        self.orphans.lock().insert(new.range, found);
        Ok(())
    }

    /// An earlier replica of the range may have ended here, and a crash would bring it back: not so before another writes to its log.
    pub fn bury(&self, range: RangeId) -> Result<(), StorageError> {
        let item = range_item(range, RangeItem::Tombstone);
        let Some(tombstone) = self.engine.get(Keyspace::RangeLocal, &item)? else { return Ok(()) };
        let flushed = self.engine.flushed(Keyspace::RangeLocal, &item)?;
        if flushed.as_deref() != Some(&tombstone[..]) {
            self.engine.flush()?;
        }
        Ok(())
    }
}
