//! Weak locks beside the table of locks.
//!
//! The modes of SELECT, FOR UPDATE and DML do not conflict with one another. As long as nobody wants a stronger one on a table
//! its weak locks need not meet: each session notes them in slots of its own. Who wants a strong mode *announces* the table
//! first: it raises a counter, then moves what all slots hold of the table into the table of locks, where everything else
//! happens as without slots. While a table's counter stands no slot takes it.
//!
//! ```text
//!   weak:    lock own slots { counter zero? note it }        else the table of locks
//!   strong:  raise the counter, then for each session: lock its slots { move what it holds }, then queue
//! ```
//!
//! Either the weak request has its note before the strong one looks, or it sees the counter: both are under the mutex of the slots.
//! Several tables share a counter; that costs the others their short cut, no more.
//!
//! Lock order: the table of locks, then slots.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;
use smallvec::SmallVec;
use types::PgResult;
use types::descriptor::Oid;

use super::{LockMode, LockOwner, LockTag, TableLocks};

/// Counters of announced tables.
const COUNTERS: usize = 256;
/// Tables that a session's slots hold at most.
const SLOTS_MAX: usize = 16;

/// Which tables are announced.
pub(super) struct Announced([AtomicU32; COUNTERS]);

impl Default for Announced {
    fn default() -> Self {
        Announced(std::array::from_fn(|_| AtomicU32::new(0)))
    }
}

impl Announced {
    fn counter(&self, table: Oid) -> &AtomicU32 {
        &self.0[table.0 as usize % COUNTERS]
    }

    pub fn raise(&self, table: Oid) {
        self.counter(table).fetch_add(1, Ordering::SeqCst);
    }

    pub fn lower(&self, table: Oid) {
        self.counter(table).fetch_sub(1, Ordering::SeqCst);
    }

    fn may_be(&self, table: Oid) -> bool {
        self.counter(table).load(Ordering::SeqCst) > 0
    }
}

/// One session's slots.
#[derive(Default)]
pub(super) struct Slots(Mutex<Held>);

/// - `weak` has a table at most once, with the bits of the modes held.
#[derive(Default)]
struct Held {
    weak: SmallVec<[(Oid, u8); 4]>,
    /// The table of locks may have something of this session.
    in_table: bool,
}

impl Slots {
    /// Takes out the modes held of a table, to be entered into the table of locks.
    pub fn take(&self, table: Oid) -> Option<u8> {
        let mut held = self.0.lock();
        let at = held.weak.iter().position(|(other, _)| *other == table)?;
        held.in_table = true;
        Some(held.weak.swap_remove(at).1)
    }

    pub fn held(&self) -> SmallVec<[(Oid, u8); 4]> {
        self.0.lock().weak.clone()
    }

    fn take_weak(&self, announced: &Announced, table: Oid, mode: LockMode) -> bool {
        let mut held = self.0.lock();
        if announced.may_be(table) {
            return false;
        }
        if let Some((_, modes)) = held.weak.iter_mut().find(|(other, _)| *other == table) {
            *modes |= mode.bit();
            return true;
        }
        let room = held.weak.len() < SLOTS_MAX;
        if room {
            held.weak.push((table, mode.bit()));
        }
        room
    }
}

/// The locks of one session's transactions. Dropped, it holds none.
pub struct SessionLocks {
    locks: TableLocks,
    owner: LockOwner,
    slots: Arc<Slots>,
}

impl SessionLocks {
    pub fn new(locks: TableLocks, owner: LockOwner) -> SessionLocks {
        let slots = Arc::new(Slots::default());
        locks.shared.state.lock().sessions.insert(owner, slots.clone());
        SessionLocks { locks, owner, slots }
    }

    pub fn owner(&self) -> LockOwner {
        self.owner
    }

    /// Takes the lock if that needs no waiting, and tells whether it did.
    pub fn try_acquire(&self, table: Oid, mode: LockMode) -> bool {
        if mode.is_weak() && self.slots.take_weak(&self.locks.shared.announced, table, mode) {
            return true;
        }
        self.slots.0.lock().in_table = true;
        self.locks.try_acquire(self.owner, table, mode)
    }

    /// Takes the lock, waiting as long as it takes. See [`TableLocks::acquire`].
    pub fn acquire(&self, table: Oid, mode: LockMode) -> impl Future<Output = PgResult<()>> + Send + use<> {
        self.slots.0.lock().in_table = true;
        let (locks, owner) = (self.locks.clone(), self.owner);
        async move { locks.acquire(owner, table, mode).await }
    }

    /// Releases all that the session holds.
    pub fn release_all(&self) {
        let in_table = {
            let mut held = self.slots.0.lock();
            held.weak.clear();
            std::mem::take(&mut held.in_table)
        };
        if in_table {
            self.locks.release_all(self.owner);
        }
    }

    /// Releases all but the given modes on the given tags. See [`TableLocks::release_but`].
    pub fn release_but(&self, kept: &BTreeMap<LockTag, u8>) {
        {
            let mut held = self.slots.0.lock();
            held.weak.clear();
            held.in_table = false;
        }
        self.locks.release_but(self.owner, kept);
    }
}

impl Drop for SessionLocks {
    fn drop(&mut self) {
        self.release_but(&BTreeMap::new());
        self.locks.shared.state.lock().sessions.remove(&self.owner);
    }
}
