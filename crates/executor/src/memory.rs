//! Memory accounting: per query, per session, per node.
//!
//! Operators that hold rows (sorts, hash tables, common tables) reserve what they hold and give it back. An account has a parent:
//! a reservation must fit all of them. Beyond its own bound an operator spills to disk if it can; beyond the query's bound
//! the statement fails with 53200 and the node lives on. Where to spill hangs on the node's pool ([`MemoryAccount::with_spill`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use types::{PgError, PgResult, SqlState};

use crate::spill::SpillStore;

/// What one operator holds before it spills, unless [`MemoryAccount::with_work_memory`] says otherwise.
pub const WORK_MEMORY_BYTES: u64 = 32 << 20;

struct Pool {
    name: &'static str,
    limit: AtomicU64,
    used: AtomicU64,
    parent: Option<MemoryAccount>,
    spill: Option<Arc<dyn SpillStore>>,
    work_bytes: Option<u64>,
}

impl Pool {
    fn new(name: &'static str, limit: u64, parent: Option<MemoryAccount>) -> Pool {
        Pool {
            name,
            limit: AtomicU64::new(limit),
            used: AtomicU64::new(0),
            parent,
            spill: None,
            work_bytes: None,
        }
    }
}

/// A pool of memory with a bound. Clones share the pool.
#[derive(Clone)]
pub struct MemoryAccount(Arc<Pool>);

impl MemoryAccount {
    /// A pool of at most `limit` bytes; `name` says in errors whose it is ("query", "session", "node").
    pub fn root(name: &'static str, limit: u64) -> Self {
        MemoryAccount(Arc::new(Pool::new(name, limit, None)))
    }

    /// The same with a place to which operators may move what does not fit.
    pub fn with_spill(name: &'static str, limit: u64, spill: Arc<dyn SpillStore>) -> Self {
        MemoryAccount(Arc::new(Pool { spill: Some(spill), ..Pool::new(name, limit, None) }))
    }

    /// A pool within this one.
    pub fn child(&self, name: &'static str, limit: u64) -> Self {
        MemoryAccount(Arc::new(Pool::new(name, limit, Some(self.clone()))))
    }

    /// A pool within this one that spills to a place of its own.
    pub fn child_with_spill(&self, name: &'static str, limit: u64, spill: Arc<dyn SpillStore>) -> Self {
        let pool = Pool::new(name, limit, Some(self.clone()));
        MemoryAccount(Arc::new(Pool { spill: Some(spill), ..pool }))
    }

    /// A pool within this one whose operators hold at most `work_bytes` each before they spill (work_mem).
    pub fn with_work_memory(&self, name: &'static str, limit: u64, work_bytes: u64) -> Self {
        let pool = Pool::new(name, limit, Some(self.clone()));
        MemoryAccount(Arc::new(Pool { work_bytes: Some(work_bytes), ..pool }))
    }

    /// Where to spill; `None`: nowhere.
    pub fn spill_store(&self) -> Option<&Arc<dyn SpillStore>> {
        self.0.spill.as_ref().or_else(|| self.0.parent.as_ref()?.spill_store())
    }

    /// Bytes that one operator holds before it spills.
    pub fn work_bytes(&self) -> u64 {
        match (self.0.work_bytes, &self.0.parent) {
            (Some(bytes), _) => bytes,
            (None, Some(parent)) => parent.work_bytes(),
            (None, None) => WORK_MEMORY_BYTES,
        }
    }

    /// Changes the bound. What is held already stays.
    pub fn set_limit(&self, limit: u64) {
        self.0.limit.store(limit, Ordering::Relaxed);
    }

    pub fn used(&self) -> u64 {
        self.0.used.load(Ordering::Relaxed)
    }

    fn grow(&self, bytes: u64) -> PgResult<()> {
        let used = self.0.used.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let limit = self.0.limit.load(Ordering::Relaxed);
        let result = if used > limit {
            Err(PgError::new(SqlState::OUT_OF_MEMORY, "out of memory")
                .detail(format!("The {} would hold {used} bytes; its limit is {}.", self.0.name, limit)))
        } else {
            self.0.parent.as_ref().map_or(Ok(()), |parent| parent.grow(bytes))
        };
        if result.is_err() {
            self.0.used.fetch_sub(bytes, Ordering::Relaxed);
        }
        result
    }

    fn shrink(&self, bytes: u64) {
        self.0.used.fetch_sub(bytes, Ordering::Relaxed);
        if let Some(parent) = &self.0.parent {
            parent.shrink(bytes);
        }
    }

    /// Whether so many bytes more could be held now: for what is made and gone before it could be accounted for. Errors: 53200.
    pub fn check_room(&self, bytes: u64) -> PgResult<()> {
        self.grow(bytes)?;
        self.shrink(bytes);
        Ok(())
    }

    /// An empty reservation in this pool.
    pub fn reservation(&self) -> Reservation {
        Reservation { account: self.clone(), bytes: 0 }
    }
}

/// Bytes held of a pool; given back on drop.
pub struct Reservation {
    account: MemoryAccount,
    bytes: u64,
}

impl Reservation {
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Makes the reservation `bytes` large. Errors: 53200, with nothing changed.
    pub fn resize(&mut self, bytes: u64) -> PgResult<()> {
        if bytes > self.bytes {
            self.account.grow(bytes - self.bytes)?;
        } else {
            self.account.shrink(self.bytes - bytes);
        }
        self.bytes = bytes;
        Ok(())
    }

    pub fn grow(&mut self, bytes: u64) -> PgResult<()> {
        self.resize(self.bytes + bytes)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.account.shrink(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reservation_must_fit_every_pool_above_and_failing_takes_nothing() {
        let node = MemoryAccount::root("node", 100);
        let query = node.child("query", 80);
        let other = node.child("query", 80);
        let mut first = query.reservation();
        first.resize(60).expect("fits");
        assert!(first.resize(90).is_err(), "beyond the query");
        let mut second = other.reservation();
        let error = second.resize(50).expect_err("beyond the node");
        assert_eq!(error.code(), SqlState::OUT_OF_MEMORY);
        assert_eq!((query.used(), other.used(), node.used()), (60, 0, 60));
        drop(first);
        second.resize(50).expect("fits now");
        assert_eq!(node.used(), 50);
    }
}
