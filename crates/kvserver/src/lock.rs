//! Locking reads, and waiting for locks.
//!
//! A lock on a key is taken *before* the key is read: once it is held nobody can write the key, so what is read is the newest and
//! stays so. If the newest version lies above the read timestamp, the timestamp moves up where the transaction allows it, and
//! else the transaction is told.
//!
//! A scan cannot lock what it has not seen. It latches its span instead, which excludes writers while it evaluates, and locks
//! the rows it found before it lets go. Meeting a lock that it must wait for it lets go first, waits, and reads again.
//!
//! The lock on a key that turns out to have no value is given back, unless the transaction wants it or held it before. Which it is
//! only the client knows: a request may be a second try of one that came to hold the lock in a queue, after which a split moved it.
//! So the client says it with each get ([`GetRequest::lock_absent`]). A scan remembers itself what it has locked; of tries
//! before it the client knows that they may have left locks.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use clock::Timestamp;
use concurrency::{Acquired, LockWait, Ticket, WakeReason};
use env::{timeout, timeout_at};
use keys::Key;
use kvapi::{
    BatchResponse, GetRequest, Header, KeyBlock, KvBlock, KvError, LockStrength, MultiGetRequest, PushKind,
    Response, RestartReason, ScanRequest, ScanResponse, Txn, TxnMeta, WaitPolicy,
};
use storage::mvcc::{self, MvccError, ReadView};

use crate::contention::{WaitEnd, Waiting};
use crate::read::{ReadWait, bounds, check_ascending, check_not_collected, read_error};
use crate::replica::{LatchGuard, RangeState, Replica};
use crate::store::Inner;
use crate::wait::{Receiver, Told};

/// How often a waiting request asks whether the holder is still alive.
const PUSH_INTERVAL: Duration = Duration::from_secs(1);
/// Times a locking read moves its timestamp up before it gives up.
const FORWARDS_MAX: u32 = 64;

/// A locking read in progress.
struct Locking<'a> {
    header: &'a Header,
    txn: &'a Txn,
    strength: LockStrength,
    /// Where it reads; moves up where the header allows it.
    timestamp: Timestamp,
    forwards: u32,
    /// Keys left out under `SkipLocked`.
    skipped: BTreeSet<Key>,
    /// Keys on which a scan has come to hold a lock, or queues for one, and on which its transaction held none before.
    taken: Option<Vec<Key>>,
}

/// What became of an attempt to take locks.
enum Taken {
    All,
    MustWait(PendingLock),
}

/// A place in the queue for a lock.
pub(crate) struct PendingLock {
    pub ticket: Ticket,
    pub receiver: Receiver,
    pub key: Key,
    pub wait: LockWait,
}

impl<'a> Locking<'a> {
    fn new(header: &'a Header, strength: LockStrength) -> Result<Locking<'a>, KvError> {
        let txn =
            header.txn.as_ref().ok_or_else(|| KvError::invalid("a locking read needs a transaction"))?;
        if txn.meta.anchor.is_none() {
            return Err(KvError::invalid("a transaction that locks has an anchor"));
        }
        let timestamp = txn.read_timestamp;
        Ok(Locking { header, txn, strength, timestamp, forwards: 0, skipped: BTreeSet::new(), taken: None })
    }

    fn skips(&self) -> bool {
        self.header.wait_policy == WaitPolicy::SkipLocked
    }

    /// The newest version lies above the timestamp: move there, if that is allowed.
    fn forward(&mut self, newest: Timestamp, key: Key, now: Timestamp) -> Result<(), KvError> {
        if !self.header.can_forward_read || self.forwards >= FORWARDS_MAX {
            let reason = RestartReason::WriteTooOld;
            return Err(KvError::Restart { reason, timestamp: newest, key: Some(key) });
        }
        self.forwards += 1;
        self.timestamp = newest.max(now);
        Ok(())
    }
}

impl Inner {
    pub async fn locking_get(
        self: &Arc<Self>,
        replica: Arc<Replica>,
        header: &Header,
        get: &GetRequest,
    ) -> Result<BatchResponse, KvError> {
        let mut locking = Locking::new(header, get.lock)?;
        let keys = std::slice::from_ref(&get.key);
        let keys = || keys.iter().map(|key| &key[..]);
        let evaluate = |view: &ReadView| {
            let value = mvcc::get(&*self.ranges.engine, &get.key, view)?;
            let absent = value.is_none();
            Ok((value, if absent { vec![get.key.clone()] } else { Vec::new() }))
        };
        let value = self.lock_and_read(&replica, &mut locking, keys, get.lock_absent, evaluate).await?;
        let value = value.filter(|_| locking.skipped.is_empty());
        Ok(self.respond(Response::Get(value), locking.timestamp, Timestamp::ZERO))
    }

    pub async fn locking_multi_get(
        self: &Arc<Self>,
        replica: Arc<Replica>,
        header: &Header,
        request: &MultiGetRequest,
    ) -> Result<BatchResponse, KvError> {
        check_ascending(request)?;
        let mut locking = Locking::new(header, request.lock)?;
        let evaluate = |view: &ReadView| {
            let rows = mvcc::get_many(&*self.ranges.engine, &request.keys, view)?;
            let absent =
                rows.iter().filter(|row| row.value.is_none()).map(|row| Key::copy_from(row.key)).collect();
            Ok((rows, absent))
        };
        let keys = || request.keys.iter();
        let rows = self.lock_and_read(&replica, &mut locking, keys, request.lock_absent, evaluate).await?;
        let rows = without_skipped(rows, &locking.skipped);
        let response = Response::Rows(ScanResponse { rows, resume: None });
        Ok(self.respond(response, locking.timestamp, Timestamp::ZERO))
    }

    /// Takes locks on keys, then reads them; again until nothing is in the way. `evaluate` also tells which keys
    /// have no value.
    async fn lock_and_read<'k, T, I: Iterator<Item = &'k [u8]>>(
        self: &Arc<Self>,
        replica: &Arc<Replica>,
        locking: &mut Locking<'_>,
        keys: impl Fn() -> I,
        keep_absent: bool,
        evaluate: impl Fn(&ReadView) -> Result<(T, Vec<Key>), MvccError>,
    ) -> Result<T, KvError> {
        loop {
            if let Taken::MustWait(pending) = self.take_locks(replica, locking, keys())? {
                Box::pin(self.wait_for_lock(replica, locking.header, &locking.txn.meta, pending)).await?;
                continue;
            }
            let view = self.locking_view(replica, locking, &keys).await?;
            let step = env::trace::span(|| "read storage");
            let evaluated = evaluate(&view);
            drop(step);
            match evaluated {
                Ok((found, absent)) => {
                    check_not_collected(replica, locking.timestamp)?;
                    if !keep_absent && !absent.is_empty() {
                        self.give_back(replica, locking.txn, &absent)?;
                    }
                    return Ok(found);
                }
                Err(MvccError::Newer { key, timestamp }) => {
                    locking.forward(timestamp, key, self.ranges.clock.now())?;
                }
                Err(MvccError::Conflicts(conflicts)) => {
                    Box::pin(self.discover(replica, locking.header, conflicts)).await?;
                }
                Err(error) => return Err(read_error(error)),
            }
        }
    }

    /// Takes as many locks as it can under one hold of the mutex.
    fn take_locks<'k>(
        &self,
        replica: &Arc<Replica>,
        locking: &mut Locking<'_>,
        keys: impl Iterator<Item = &'k [u8]>,
    ) -> Result<Taken, KvError> {
        let mut guard = replica.state.lock();
        let state = &mut *guard;
        state.check_lease(&self.ranges)?;
        state.check_not_aborted(&locking.txn.meta)?;
        for key in keys {
            state.check_key(key, &self.ranges)?;
            if !locking.skipped.is_empty() && locking.skipped.contains(key) {
                continue;
            }
            let locks = &mut state.manager.locks;
            match locks.acquire(key, &locking.txn.meta, locking.strength, None) {
                Acquired::Granted { newly } => {
                    if locks.waiting() > 0 {
                        // Those who wait for the key wait for this holder as well, or for more of what it holds.
                        for (waiting, waiter, wait) in locks.waits(key) {
                            self.ranges.room.enter_graph(waiting, &waiter, &wait.blockers);
                        }
                    }
                    if let Some(taken) = locking.taken.as_mut().filter(|_| newly) {
                        taken.push(Key::copy_from(key));
                    }
                }
                Acquired::Conflict(wait) => match locking.header.wait_policy {
                    WaitPolicy::Block => {
                        let holds = locks.held_strength(key, locking.txn.meta.id).is_locking();
                        if let Some(taken) = locking.taken.as_mut().filter(|_| !holds) {
                            taken.push(Key::copy_from(key));
                        }
                        let pending = self.queue_for(state, key, &locking.txn.meta, locking.strength);
                        return Ok(Taken::MustWait(pending));
                    }
                    WaitPolicy::NoWait => {
                        let key = Key::copy_from(key);
                        return Err(KvError::LockNotAvailable { key, holder: wait.holder.id });
                    }
                    WaitPolicy::SkipLocked => {
                        locking.skipped.insert(Key::copy_from(key));
                    }
                },
            }
        }
        Ok(Taken::All)
    }

    /// Joins the queue for a lock that was found to be in conflict, under the same hold of the mutex.
    pub(crate) fn queue_for(
        &self,
        state: &mut RangeState,
        key: &[u8],
        txn: &TxnMeta,
        strength: LockStrength,
    ) -> PendingLock {
        let (ticket, receiver) = self.ranges.room.enter();
        let locks = &mut state.manager.locks;
        let Acquired::Conflict(wait) = locks.acquire(key, txn, strength, Some(ticket)) else {
            unreachable!("the conflict was found under the same mutex")
        };
        self.ranges.room.enter_graph(ticket, txn, &wait.blockers);
        // Whoever went to the front is in the way of those behind it.
        for (other, waiter, wait) in locks.waits(key) {
            if other != ticket {
                self.ranges.room.enter_graph(other, &waiter, &wait.blockers);
            }
        }
        PendingLock { ticket, receiver, key: Key::copy_from(key), wait }
    }

    /// All locks are held: enters the read, waits for writes that were in flight before the locks, and says how to read.
    async fn locking_view<'k, I: Iterator<Item = &'k [u8]>>(
        &self,
        replica: &Replica,
        locking: &Locking<'_>,
        keys: impl Fn() -> I,
    ) -> Result<ReadView, KvError> {
        loop {
            let wait = {
                let mut guard = replica.state.lock();
                let state = &mut *guard;
                state.check_lease(&self.ranges)?;
                let id = Some(locking.txn.meta.id);
                for key in keys() {
                    state.check_key(key, &self.ranges)?;
                    state.manager.reads.read_key(key, locking.timestamp, id);
                }
                state.check_threshold(locking.timestamp)?;
                match self.wait_for_writers(state, keys()) {
                    Some(wait) => wait,
                    None => {
                        let view = self.view(replica, state, locking.header, locking.timestamp);
                        let view = view.refusing_newer();
                        return Ok(if locking.skips() { view.skipping_conflicts() } else { view });
                    }
                }
            };
            wait.wait(self, replica).await;
        }
    }

    /// Enters the waiting room if a write of one of the keys is in flight, wherever it will be placed.
    fn wait_for_writers<'k>(
        &self,
        state: &mut RangeState,
        keys: impl Iterator<Item = &'k [u8]>,
    ) -> Option<ReadWait> {
        if state.manager.latches.is_empty() {
            return None;
        }
        let (ticket, receiver) = self.ranges.room.enter();
        if state.manager.latches.await_writers(keys, &[], Timestamp::MAX, None, ticket) {
            self.ranges.room.leave(ticket);
            return None;
        }
        Some(ReadWait { ticket, receiver })
    }

    /// Releases locks on keys without value. A split may have moved them: then they are given back there, by the next try.
    fn give_back(&self, replica: &Replica, txn: &Txn, keys: &[Key]) -> Result<(), KvError> {
        let mut wakes = Vec::new();
        let released = {
            let mut state = replica.state.lock();
            keys.iter().try_for_each(|key| {
                state.check_key(key, &self.ranges)?;
                state.manager.locks.release(key, txn.meta.id, &mut wakes);
                Ok(())
            })
        };
        self.ranges.room.wake(wakes);
        released
    }

    /// Releases what a scan has locked on the way and does not answer with: rows that were deleted while it waited for them.
    /// The caller holds the latch on the scan's span, which keeps splits away.
    fn release_unread(
        &self,
        replica: &Replica,
        locking: &mut Locking<'_>,
        rows: &KvBlock,
    ) -> Result<(), KvError> {
        let mut unread = locking.taken.take().unwrap_or_default();
        let read: BTreeSet<&[u8]> = rows.iter().map(|row| row.key).collect();
        unread.retain(|key| !read.contains(&key[..]));
        self.give_back(replica, locking.txn, &unread)
    }

    /// Intents were met: those of ended transactions are resolved, the others become locks to queue for.
    pub(crate) async fn discover(
        self: &Arc<Self>,
        replica: &Replica,
        header: &Header,
        conflicts: Vec<mvcc::Conflict>,
    ) -> Result<(), KvError> {
        let alive = self.settle_ended(header, conflicts).await?;
        let mut state = replica.state.lock();
        for (txn, keys) in &alive {
            for key in keys {
                // Resolved in the meantime? Then the entry would outlive what it stands for: look again.
                let still =
                    mvcc::find_intent(&*self.ranges.engine, key).map_err(crate::store::storage_error)?;
                if still.is_some_and(|intent| intent.txn.id == txn.id) {
                    state.manager.locks.discover(key, txn);
                }
            }
        }
        Ok(())
    }

    /// Waits until the lock is granted. Fails as the victim of a deadlock, and after the lock timeout.
    pub(crate) async fn wait_for_lock(
        self: &Arc<Self>,
        replica: &Arc<Replica>,
        header: &Header,
        txn: &TxnMeta,
        pending: PendingLock,
    ) -> Result<(), KvError> {
        let PendingLock { ticket, mut receiver, key, wait } = pending;
        let _step = env::trace::span(|| format!("wait for the lock on {key}"));
        let mut waiting = Waiting::begin(&self.ranges, replica.id, &key, txn.id, wait.holder.id);
        let _leave = LeaveQueue { inner: self, replica, ticket };
        let deadline = header.lock_timeout.map(|timeout| self.env.monotonic() + timeout);
        // Nobody gives up on a holder that is gone.
        let interval = header.lock_timeout.map_or(PUSH_INTERVAL, |timeout| PUSH_INTERVAL.min(timeout / 2));
        let mut holder = wait.holder;
        loop {
            let now = self.env.monotonic();
            let next_push = now + interval;
            let until = deadline.map_or(next_push, |deadline| deadline.min(next_push));
            match timeout(&*self.env, until - now.min(until), &mut receiver).await {
                Ok(Ok(Told::Wake(WakeReason::Granted | WakeReason::Moved | WakeReason::Latched))) => {
                    waiting.ends(WaitEnd::Granted);
                    return Ok(());
                }
                Ok(Ok(Told::Deadlock(cycle))) => {
                    waiting.ends(WaitEnd::Deadlock);
                    return Err(KvError::Deadlock { key, cycle });
                }
                Ok(Err(_)) => return Err(KvError::unavailable("the store is gone")),
                Err(_) => {}
            }
            if deadline.is_some_and(|deadline| self.env.monotonic() >= deadline) {
                waiting.ends(WaitEnd::Timeout);
                return Err(KvError::LockTimeout { key, holder: holder.id });
            }
            // By now somebody else may be in the way.
            match replica.state.lock().manager.locks.wait_of(ticket) {
                Some(wait) => {
                    holder = wait.holder;
                    // Of two cycles that were completed at once, one victim ends only one.
                    self.ranges.room.enter_graph(ticket, txn, &wait.blockers);
                }
                None => continue,
            }
            let looked = self.look_after(replica, &holder, txn, &key);
            match deadline {
                None => looked.await?,
                // Who waits for a bounded time does not wait for the holder's record for longer.
                Some(deadline) => timeout_at(&*self.env, deadline, looked).await.unwrap_or(Ok(()))?,
            }
        }
    }

    /// Is the holder of a lock still alive? If not, its locks here are released.
    async fn look_after(
        self: &Arc<Self>,
        replica: &Replica,
        holder: &TxnMeta,
        waiter: &TxnMeta,
        key: &Key,
    ) -> Result<(), KvError> {
        if holder.anchor.is_none() {
            // A write without transaction: it ends by itself.
            return Ok(());
        }
        let asked =
            self.push_for(holder, Some(waiter.id), waiter.priority, PushKind::Inquire, Timestamp::ZERO).await;
        let standing = match asked {
            Ok(standing) => standing,
            Err(error) => {
                tracing::debug!(%error, "could not ask after the holder of a lock");
                return Ok(());
            }
        };
        if !standing.status.is_final() {
            return Ok(());
        }
        self.resolve_at_keys(&standing, std::slice::from_ref(key)).await?;
        replica.release_locks_of(holder, standing.status);
        Ok(())
    }

    pub async fn locking_scan(
        self: &Arc<Self>,
        replica: Arc<Replica>,
        header: &Header,
        scan: &ScanRequest,
    ) -> Result<BatchResponse, KvError> {
        let mut locking = Locking::new(header, scan.lock)?;
        locking.taken = Some(Vec::new());
        let mut has_waited = false;
        loop {
            let mut latch = {
                let mut guard = replica.state.lock();
                let state = &mut *guard;
                state.check_lease(&self.ranges)?;
                state.check_span(&scan.span, &self.ranges)?;
                let spans = smallvec::SmallVec::from_iter([scan.span.clone()]);
                // Nothing is written: no read needs to wait for this.
                LatchGuard::take(&replica, state, KeyBlock::new(), spans, Timestamp::MAX)
            };
            latch.granted().await?;
            let view = self.locking_scan_view(&replica, &locking, scan)?;
            match mvcc::scan(&*self.ranges.engine, &scan.span, &view, bounds(scan)) {
                Ok(found) => {
                    check_not_collected(&replica, locking.timestamp)?;
                    let taken = {
                        let keys = found.rows.iter().map(|row| row.key);
                        self.take_locks(&replica, &mut locking, keys)?
                    };
                    if has_waited && matches!(taken, Taken::All) {
                        self.release_unread(&replica, &mut locking, &found.rows)?;
                    }
                    drop(latch);
                    match taken {
                        Taken::MustWait(pending) => {
                            has_waited = true;
                            self.wait_for_lock(&replica, header, &locking.txn.meta, pending).await?;
                        }
                        Taken::All => {
                            let rows = without_skipped(found.rows, &locking.skipped);
                            let response = Response::Rows(ScanResponse { rows, resume: found.resume });
                            return Ok(self.respond(response, locking.timestamp, Timestamp::ZERO));
                        }
                    }
                }
                Err(MvccError::Newer { key, timestamp }) => {
                    drop(latch);
                    locking.forward(timestamp, key, self.ranges.clock.now())?;
                }
                Err(MvccError::Conflicts(conflicts)) => {
                    drop(latch);
                    let key = conflicts[0].key.clone();
                    self.discover(&replica, header, conflicts).await?;
                    let single = std::iter::once(&key[..]);
                    let taken = self.take_locks(&replica, &mut locking, single)?;
                    has_waited = true;
                    if let Taken::MustWait(pending) = taken {
                        self.wait_for_lock(&replica, header, &locking.txn.meta, pending).await?;
                    }
                }
                Err(error) => return Err(read_error(error)),
            }
        }
    }

    fn locking_scan_view(
        &self,
        replica: &Replica,
        locking: &Locking<'_>,
        scan: &ScanRequest,
    ) -> Result<ReadView, KvError> {
        let mut state = replica.state.lock();
        state.check_lease(&self.ranges)?;
        state.check_span(&scan.span, &self.ranges)?;
        state.check_threshold(locking.timestamp)?;
        state.manager.reads.read_span(&scan.span, locking.timestamp, Some(locking.txn.meta.id));
        let view = self.view(replica, &state, locking.header, locking.timestamp).refusing_newer();
        Ok(if locking.skips() { view.skipping_conflicts() } else { view })
    }
}

/// Leaves the queue, the room and the graph, however waiting ends.
struct LeaveQueue<'a> {
    inner: &'a Inner,
    replica: &'a Replica,
    ticket: Ticket,
}

impl Drop for LeaveQueue<'_> {
    fn drop(&mut self) {
        let mut wakes = Vec::new();
        self.replica.state.lock().manager.locks.cancel(self.ticket, &mut wakes);
        let room = &self.inner.ranges.room;
        room.leave_graph(self.ticket);
        room.leave(self.ticket);
        room.wake(wakes);
    }
}

fn without_skipped(rows: KvBlock, skipped: &BTreeSet<Key>) -> KvBlock {
    if skipped.is_empty() {
        return rows;
    }
    let mut kept = KvBlock::with_capacity(rows.len(), rows.byte_size());
    rows.iter().filter(|row| !skipped.contains(row.key)).for_each(|row| kept.push_row(row));
    kept
}
