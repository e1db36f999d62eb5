//! The concurrency control of one range, put together: what `kvserver` keeps behind the range's mutex.

use clock::Timestamp;
use keys::Span;
use kvapi::{LockStrength, TxnId, TxnMeta};

use crate::timestamp_cache::TimestampCacheConfig;
use crate::{Acquired, LatchId, LatchTable, LockTable, Ticket, TimestampCache, Wake};

/// Latches, locks and reads of one range.
///
/// - A read is entered in `reads` before writes in flight are looked for, under one hold of the mutex.
/// - A write's timestamp is fixed (`fix_write_timestamp`) after its latches were granted, under one hold of the
///   mutex. From these two it follows that a write is above every read that did not wait for it.
pub struct Manager {
    pub latches: LatchTable,
    pub locks: LockTable,
    pub reads: TimestampCache,
}

impl Manager {
    /// For a lease that starts at `lease_start`.
    pub fn new(config: TimestampCacheConfig, lease_start: Timestamp) -> Manager {
        Manager {
            latches: LatchTable::new(),
            locks: LockTable::new(),
            reads: TimestampCache::new(config, lease_start),
        }
    }

    /// Enters a read of one key. True: go. False: `ticket` is woken once the writes in its way are through.
    #[inline]
    pub fn read_key(
        &mut self,
        key: &[u8],
        at: Timestamp,
        txn: Option<TxnId>,
        ticket: impl FnOnce() -> Ticket,
    ) -> bool {
        self.reads.read_key(key, at, txn);
        if !self.latches.blocks_key(key, at) {
            return true;
        }
        self.latches.await_writers(std::iter::once(key), &[], at, None, ticket())
    }

    /// Enters a read of spans. As [`Manager::read_key`]; `own` is a guard of the same request.
    pub fn read_spans(
        &mut self,
        spans: &[Span],
        at: Timestamp,
        txn: Option<TxnId>,
        own: Option<LatchId>,
        ticket: impl FnOnce() -> Ticket,
    ) -> bool {
        for span in spans {
            self.reads.read_span(span, at, txn);
        }
        self.latches.is_empty() || self.latches.await_writers(std::iter::empty(), spans, at, own, ticket())
    }

    /// Takes a lock on a key, and once it is held waits for a write in flight on it.
    pub fn lock_key(
        &mut self,
        key: &[u8],
        txn: &TxnMeta,
        strength: LockStrength,
        ticket: Option<Ticket>,
    ) -> Acquired {
        self.locks.acquire(key, txn, strength, ticket)
    }

    /// Raises a write's timestamp above all reads of its keys by others, and tells the latch.
    pub fn fix_write_timestamp<'a>(
        &mut self,
        latch: LatchId,
        keys: impl Iterator<Item = &'a [u8]>,
        at: Timestamp,
        txn: Option<TxnId>,
    ) -> Timestamp {
        let fixed = keys.fold(at, |at, key| self.reads.allowed_write(key, at, txn));
        self.latches.raise(latch, fixed);
        fixed
    }

    /// The right half of a split. The caller holds a latch over the whole range, so that none is in flight;
    /// waiters on locks of the right half are woken with `Moved`. Both halves remember all reads.
    pub fn split_off(&mut self, at: &[u8], wakes: &mut Vec<Wake>) -> Manager {
        let locks = self.locks.split_off(at, wakes);
        Manager { latches: LatchTable::new(), locks, reads: self.reads.clone() }
    }

    /// Whose writes stand in the way of a read of `spans`: for those who cannot wait. Tickets are not woken.
    pub fn has_writers(
        &mut self,
        spans: &[Span],
        at: Timestamp,
        own: Option<LatchId>,
        probe: Ticket,
    ) -> bool {
        let clear = self.latches.await_writers(std::iter::empty(), spans, at, own, probe);
        self.latches.cancel_reader(probe);
        !clear
    }
}
