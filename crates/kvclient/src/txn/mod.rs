//! Transactions as their user sees them.
//!
//! | module | what |
//! | --- | --- |
//! | `state` | what a coordinator keeps, and the rules by which it changes |
//! | `read` | get, multi-get, pages of scans, and the refresh of reads |
//! | `write` | buffered writes, inserts, flushes, savepoints |
//! | `commit` | one phase, parallel commit, rollback, cleaning up |
//! | `restart` | doing a statement or the transaction over |

mod commit;
mod read;
mod restart;
mod state;
mod write;

use std::sync::Arc;
use std::time::Duration;

use kvapi::{Isolation, KvError, Timestamp, TxnId};
use parking_lot::Mutex;

pub(crate) use state::{Phase, State};

use crate::db::Inner;
use crate::{Scan, ScanOptions};

/// One transaction. See the crate's documentation for the rules of its use.
pub struct Txn {
    shared: Arc<Shared>,
}

/// What the transaction shares with the task that sends heartbeats.
pub(crate) struct Shared {
    pub db: Arc<Inner>,
    /// Lock order: before the registry of heartbeats; never held across an await.
    pub state: Mutex<State>,
}

impl Txn {
    pub(crate) fn new(db: Arc<Inner>, state: State) -> Txn {
        Txn { shared: Arc::new(Shared { db, state: Mutex::new(state) }) }
    }

    pub fn id(&self) -> TxnId {
        self.shared.state.lock().txn.id()
    }

    pub fn isolation(&self) -> Isolation {
        self.shared.state.lock().isolation()
    }

    pub fn is_read_only(&self) -> bool {
        self.shared.state.lock().read_only
    }

    /// Whether anything has been written.
    pub fn has_writes(&self) -> bool {
        let state = self.shared.state.lock();
        !state.buffer.is_empty() || !state.flushed.is_empty()
    }

    /// Where the statement in progress reads.
    pub fn read_timestamp(&self) -> Timestamp {
        self.shared.state.lock().txn.read_timestamp
    }

    /// Where it committed; `None` unless it has.
    pub fn commit_timestamp(&self) -> Option<Timestamp> {
        match self.shared.state.lock().phase {
            Phase::Committed(timestamp) => Some(timestamp),
            _ => None,
        }
    }

    /// Set before the first statement (SET TRANSACTION). `Invalid` once something was read or written.
    pub fn set_isolation(&self, isolation: Isolation) -> Result<(), KvError> {
        let mut state = self.shared.state.lock();
        state.check_open()?;
        if state.isolation() == isolation {
            return Ok(());
        }
        if state.has_read || state.sequence > 0 || state.has_left_traces() {
            return Err(KvError::invalid("the isolation level is set before anything is read or written"));
        }
        state.txn.meta.isolation = isolation;
        Ok(())
    }

    /// From now on writes and locking reads are refused (SET TRANSACTION READ ONLY).
    pub fn set_read_only(&self) {
        self.shared.state.lock().read_only = true;
    }

    /// Undoes [`Txn::set_read_only`] (SET TRANSACTION READ WRITE). `Invalid` for a stale read, and once
    /// something was read, because reads were not tracked.
    pub fn set_read_write(&self) -> Result<(), KvError> {
        let mut state = self.shared.state.lock();
        if state.stale || (state.read_only && state.has_read) {
            return Err(KvError::invalid("read-write is set before anything is read"));
        }
        state.read_only = false;
        Ok(())
    }

    pub fn set_lock_timeout(&self, timeout: Option<Duration>) {
        self.shared.state.lock().lock_timeout = timeout;
    }

    /// The commit must happen below `deadline` (a descriptor lease's end); keeps the lowest.
    pub fn limit_commit_timestamp(&self, deadline: Timestamp) {
        let mut state = self.shared.state.lock();
        state.deadline = Some(state.deadline.map_or(deadline, |earlier| earlier.min(deadline)));
    }

    /// Draws the line between statements: reads now see all writes so far and none made after it. Under
    /// read committed, `new_snapshot` also takes one. Call it before every statement.
    pub fn begin_statement(&self, new_snapshot: bool) {
        let mut state = self.shared.state.lock();
        state.restart_sequence = state.sequence;
        self.begin_part_of(&mut state, new_snapshot);
    }

    /// Within a statement, begins a part that must see what earlier parts have written (foreign keys); under
    /// read committed on a new snapshot. Doing the statement over still begins at its first part.
    pub fn begin_part(&self) {
        self.begin_part_of(&mut self.shared.state.lock(), true);
    }

    fn begin_part_of(&self, state: &mut State, new_snapshot: bool) {
        state.statement_sequence = state.sequence;
        if new_snapshot && state.isolation() == Isolation::ReadCommitted && !state.stale {
            self.shared.db.take_snapshot(state);
        }
    }

    /// Begins a scan; nothing is read until its first page is asked for.
    pub fn scan(&self, options: ScanOptions) -> Scan {
        Scan::new(options, self.shared.state.lock().statement_sequence)
    }
}

impl Txn {
    /// Rolls back in the background: what the transaction holds is given back soon. No error if it has ended.
    pub fn abandon(&self) {
        let mut state = self.shared.state.lock();
        let (id, was_open) = (state.txn.id(), state.phase == Phase::Open);
        if state.registered {
            state.registered = false;
            self.shared.db.unregister(id);
        }
        if !was_open {
            return;
        }
        state.phase = Phase::RolledBack;
        state.buffer.clear();
        state.reads.clear();
        let leftovers = commit::Leftovers::take(&mut state);
        drop(state);
        self.shared.db.clone().spawn_clean_up(leftovers);
    }
}

impl Drop for Txn {
    fn drop(&mut self) {
        self.abandon();
    }
}
