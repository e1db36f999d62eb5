//! Table locks: PostgreSQL's eight modes (chapter 13.3.1), held by a transaction until it ends.
//!
//! Advisory locks are granted from the same table, so that a deadlock between the two kinds is found.
//!
//! Rows are protected by the KV layer's locks; table locks protect a table's *definition* and serve LOCK TABLE. A statement
//! takes the mode that PostgreSQL's documentation gives for it; DDL takes the strongest, so that a definition
//! never changes under a transaction that has used it, and DDL in a transaction is atomic with the rest of it.
//!
//! ```text
//!  acquire ──▶ compatible with holders and nobody waits ahead ──▶ granted
//!          └─▶ queued, first come first served ──▶ granted when what is ahead and held allows it
//!                                              └─▶ given up: timeout, cancel, or deadlock (dropping the future)
//! ```
//!
//! A holder that asks for a stronger mode goes ahead of the queue, as in PostgreSQL, else it would wait for those who wait
//! for it. Deadlocks among table locks are found when a request must wait: the wait-for graph is walked, and the request
//! that would close a cycle fails with 40P01.
//!
//! This is one node's table. Advisory locks are in it only as long as the node is alone: then they are taken out, and it is closed for them
//! ([`TableLocks::close_advisory`], `crate::cluster_locks`).
//!
//! The table of locks is one mutex: it is held for a few map operations, never across an await. The modes of everyday statements
//! mostly do not come here: see `session`.

mod session;

pub use session::SessionLocks;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::channel::oneshot;
use parking_lot::Mutex;
use session::{Announced, Slots};
use types::descriptor::Oid;
use types::{PgError, PgResult, SqlState};

/// A lock mode, weakest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum LockMode {
    AccessShare,
    RowShare,
    RowExclusive,
    ShareUpdateExclusive,
    Share,
    ShareRowExclusive,
    Exclusive,
    AccessExclusive,
}

/// Row `m`: a bit for each mode that conflicts with mode `m` (table 13.2).
const CONFLICTS: [u8; 8] =
    [0b1000_0000, 0b1100_0000, 0b1111_0000, 0b1111_1000, 0b1110_1100, 0b1111_1100, 0b1111_1110, 0b1111_1111];

/// The modes that conflict with one of the three weakest.
const STRONG: u8 = 0b1111_0000;

impl LockMode {
    const ALL: [LockMode; 8] = [
        LockMode::AccessShare,
        LockMode::RowShare,
        LockMode::RowExclusive,
        LockMode::ShareUpdateExclusive,
        LockMode::Share,
        LockMode::ShareRowExclusive,
        LockMode::Exclusive,
        LockMode::AccessExclusive,
    ];

    /// Its bit in a set of modes.
    pub fn bit(self) -> u8 {
        1 << self as u8
    }

    /// One of the modes of SELECT, FOR UPDATE and DML, which do not conflict with one another.
    fn is_weak(self) -> bool {
        self <= LockMode::RowExclusive
    }

    fn is_strong(self) -> bool {
        self.bit() & STRONG != 0
    }

    /// Whether two transactions cannot hold these on one table at once.
    pub fn conflicts_with(self, other: LockMode) -> bool {
        CONFLICTS[self as usize] & other.bit() != 0
    }

    /// The inverse of `mode as u8`.
    pub fn from_code(code: u8) -> Option<LockMode> {
        LockMode::ALL.get(usize::from(code)).copied()
    }

    /// As pg_locks.mode shows it.
    pub fn name(self) -> &'static str {
        match self {
            LockMode::AccessShare => "AccessShareLock",
            LockMode::RowShare => "RowShareLock",
            LockMode::RowExclusive => "RowExclusiveLock",
            LockMode::ShareUpdateExclusive => "ShareUpdateExclusiveLock",
            LockMode::Share => "ShareLock",
            LockMode::ShareRowExclusive => "ShareRowExclusiveLock",
            LockMode::Exclusive => "ExclusiveLock",
            LockMode::AccessExclusive => "AccessExclusiveLock",
        }
    }
}

/// What is locked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum LockTag {
    Table(Oid),
    Advisory(AdvisoryKey),
}

impl LockTag {
    /// What is locked, for a message.
    pub fn describe(self) -> String {
        match self {
            LockTag::Table(table) => format!("relation {}", table.0),
            LockTag::Advisory(key) => {
                let form = if key.is_pair { 2 } else { 1 };
                format!("advisory lock [{},{},{},{form}]", key.database.0, key.class, key.object)
            }
        }
    }
}

impl From<Oid> for LockTag {
    fn from(table: Oid) -> Self {
        LockTag::Table(table)
    }
}

/// What an advisory lock is on: numbers that mean something to the application, in one database.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct AdvisoryKey {
    pub database: Oid,
    /// The high half of a bigint, or the first of two integers.
    pub class: u32,
    pub object: u32,
    /// Two integers rather than one bigint: keys of the two forms never meet.
    pub is_pair: bool,
}

/// Who holds locks: a session (its transaction, but for advisory locks taken for longer).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct LockOwner(pub u64);

/// One row of pg_locks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockRow {
    pub tag: LockTag,
    pub owner: LockOwner,
    pub mode: LockMode,
    pub granted: bool,
}

struct Waiter {
    owner: LockOwner,
    mode: LockMode,
    ticket: u64,
    wake: oneshot::Sender<()>,
}

/// - a tag's entry exists only while someone holds or waits.
/// - `held` has a non-empty set of modes per owner.
/// - `announced` while a strong mode is held or waited for: no session's slots hold the table then.
#[derive(Default)]
struct Entry {
    held: BTreeMap<LockOwner, u8>,
    queue: VecDeque<Waiter>,
    announced: bool,
}

impl Entry {
    fn conflicting_holders(&self, owner: LockOwner, mode: LockMode) -> impl Iterator<Item = LockOwner> + '_ {
        let conflicts = CONFLICTS[mode as usize];
        self.held
            .iter()
            .filter(move |(holder, modes)| **holder != owner && **modes & conflicts != 0)
            .map(|(o, _)| *o)
    }

    fn grant(&mut self, owner: LockOwner, mode: LockMode) {
        *self.held.entry(owner).or_insert(0) |= mode.bit();
    }

    /// Wakes, from the head of the queue, whoever can go now. Strictly first come first served: it stops at the
    /// first that cannot.
    fn wake_ready(&mut self) {
        while let Some(first) = self.queue.front() {
            if self.conflicting_holders(first.owner, first.mode).next().is_some() {
                return;
            }
            let waiter = self.queue.pop_front().expect("there is a first");
            // A waiter that gave up meanwhile no longer receives; its grant must not stay behind.
            if waiter.wake.send(()).is_ok() {
                self.grant(waiter.owner, waiter.mode);
            }
        }
    }
}

#[derive(Default)]
struct State {
    entries: BTreeMap<LockTag, Entry>,
    by_owner: BTreeMap<LockOwner, BTreeSet<LockTag>>,
    next_ticket: u64,
    sessions: BTreeMap<LockOwner, Arc<Slots>>,
    /// Advisory locks are not granted here any more.
    advisory_closed: bool,
}

impl State {
    fn is_closed_for(&self, tag: LockTag) -> bool {
        self.advisory_closed && matches!(tag, LockTag::Advisory(_))
    }

    /// Before a strong mode is asked for: what sessions hold by themselves comes here, and nothing more goes there.
    fn announce(&mut self, announced: &Announced, tag: LockTag) {
        // Sessions keep weak locks of tables alone to themselves.
        let LockTag::Table(table) = tag else { return };
        let entry = self.entries.entry(tag).or_default();
        if std::mem::replace(&mut entry.announced, true) {
            return;
        }
        announced.raise(table);
        for (owner, slots) in &self.sessions {
            if let Some(modes) = slots.take(table) {
                *entry.held.entry(*owner).or_insert(0) |= modes;
                self.by_owner.entry(*owner).or_default().insert(tag);
            }
        }
    }

    /// After something of a tag was given up.
    fn settle(&mut self, announced: &Announced, tag: LockTag) {
        let Some(entry) = self.entries.get_mut(&tag) else { return };
        let strong = entry.held.values().any(|modes| modes & STRONG != 0)
            || entry.queue.iter().any(|waiter| waiter.mode.is_strong());
        if let LockTag::Table(table) = tag
            && entry.announced
            && !strong
        {
            entry.announced = false;
            announced.lower(table);
        }
        if entry.held.is_empty() && entry.queue.is_empty() {
            self.entries.remove(&tag);
        }
    }

    /// Leaves an owner the given modes of those it holds on a tag and wakes who can go then; tells whether it still holds any.
    fn reduce(&mut self, announced: &Announced, owner: LockOwner, tag: LockTag, modes: u8) -> bool {
        let Some(entry) = self.entries.get_mut(&tag) else { return false };
        let left = entry.held.get(&owner).map_or(0, |held| held & modes);
        if left == 0 {
            entry.held.remove(&owner);
        } else {
            entry.held.insert(owner, left);
        }
        entry.wake_ready();
        self.settle(announced, tag);
        left != 0
    }

    /// Whom a queued or would-be request of `owner` for `mode` on `tag` waits for: conflicting holders and
    /// conflicting requests ahead of it.
    fn blockers(
        &self,
        owner: LockOwner,
        mode: LockMode,
        tag: LockTag,
        ahead_of: Option<u64>,
    ) -> Vec<LockOwner> {
        let Some(entry) = self.entries.get(&tag) else { return Vec::new() };
        let mut blockers: Vec<LockOwner> = entry.conflicting_holders(owner, mode).collect();
        for waiter in &entry.queue {
            if ahead_of == Some(waiter.ticket) {
                break;
            }
            if waiter.owner != owner && waiter.mode.conflicts_with(mode) {
                blockers.push(waiter.owner);
            }
        }
        blockers
    }

    /// For pg_locks, in order of what is locked.
    fn rows(&self) -> Vec<LockRow> {
        let granted = |tag: LockTag, owner: LockOwner, modes: u8| {
            let held = LockMode::ALL.into_iter().filter(move |mode| modes & mode.bit() != 0);
            held.map(move |mode| LockRow { tag, owner, mode, granted: true })
        };
        let mut rows = Vec::new();
        for (owner, slots) in &self.sessions {
            rows.extend(
                slots.held().into_iter().flat_map(|(table, modes)| granted(table.into(), *owner, modes)),
            );
        }
        for (tag, entry) in &self.entries {
            rows.extend(entry.held.iter().flat_map(|(owner, modes)| granted(*tag, *owner, *modes)));
            let waiting = entry.queue.iter();
            rows.extend(waiting.map(|w| LockRow { tag: *tag, owner: w.owner, mode: w.mode, granted: false }));
        }
        rows.sort_by_key(|row: &LockRow| (row.tag, !row.granted));
        rows
    }

    /// Whether waiting for `blockers` would close a cycle back to `owner`.
    fn closes_cycle(&self, owner: LockOwner, blockers: Vec<LockOwner>) -> bool {
        let mut visited = BTreeSet::new();
        let mut pending = blockers;
        while let Some(current) = pending.pop() {
            if current == owner {
                return true;
            }
            if !visited.insert(current) {
                continue;
            }
            for (tag, entry) in &self.entries {
                for waiter in entry.queue.iter().filter(|waiter| waiter.owner == current) {
                    pending.extend(self.blockers(current, waiter.mode, *tag, Some(waiter.ticket)));
                }
            }
        }
        false
    }
}

/// All table locks of a node. Cheap to clone.
#[derive(Clone, Default)]
pub struct TableLocks {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    announced: Announced,
    /// As `advisory_closed`, for a look without the lock.
    is_closed: AtomicBool,
}

/// A queued request; dropping it leaves the queue.
struct QueuedRequest {
    locks: TableLocks,
    tag: LockTag,
    ticket: u64,
    owner: LockOwner,
    done: bool,
}

impl Drop for QueuedRequest {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let mut state = self.locks.shared.state.lock();
        let Some(entry) = state.entries.get_mut(&self.tag) else { return };
        let waiting = entry.queue.len();
        entry.queue.retain(|waiter| waiter.ticket != self.ticket);
        if entry.queue.len() == waiting {
            // It was granted in the moment it gave up: the transaction is failing and releases all it holds.
            state.by_owner.entry(self.owner).or_default().insert(self.tag);
            return;
        }
        entry.wake_ready();
        state.settle(&self.locks.shared.announced, self.tag);
    }
}

impl TableLocks {
    pub fn new() -> Self {
        TableLocks::default()
    }

    /// Takes the lock if that needs no waiting, and tells whether it did.
    pub fn try_acquire(&self, owner: LockOwner, tag: impl Into<LockTag>, mode: LockMode) -> bool {
        let tag = tag.into();
        let mut state = self.shared.state.lock();
        if state.is_closed_for(tag) {
            return false;
        }
        if mode.is_strong() {
            state.announce(&self.shared.announced, tag);
        }
        let entry = state.entries.entry(tag).or_default();
        let held = entry.held.get(&owner).copied().unwrap_or(0);
        if held & mode.bit() != 0 {
            return true;
        }
        let queue_lets_pass = held != 0 || entry.queue.iter().all(|waiter| !waiter.mode.conflicts_with(mode));
        let free = entry.conflicting_holders(owner, mode).next().is_none();
        if !(queue_lets_pass && free) {
            state.settle(&self.shared.announced, tag);
            return false;
        }
        entry.grant(owner, mode);
        state.by_owner.entry(owner).or_default().insert(tag);
        true
    }

    /// Takes the lock, waiting as long as it takes. Cancel-safe: a dropped future leaves the queue.
    ///
    /// Errors: 40P01 when waiting would close a cycle of table locks; any, when this table is closed for the kind of lock.
    pub async fn acquire(&self, owner: LockOwner, tag: impl Into<LockTag>, mode: LockMode) -> PgResult<()> {
        let tag = tag.into();
        if self.try_acquire(owner, tag, mode) {
            return Ok(());
        }
        let (wake, woken) = oneshot::channel();
        let mut request = {
            let mut state = self.shared.state.lock();
            if state.is_closed_for(tag) {
                return Err(PgError::internal("advisory locks are not granted by one node any more"));
            }
            if mode.is_strong() {
                state.announce(&self.shared.announced, tag);
            }
            let blockers = state.blockers(owner, mode, tag, None);
            if state.closes_cycle(owner, blockers) {
                state.settle(&self.shared.announced, tag);
                return Err(PgError::new(SqlState::DEADLOCK_DETECTED, "deadlock detected").detail(format!(
                    "Waiting for {} on {} would wait for a transaction that waits for this one.",
                    mode.name(),
                    tag.describe()
                )));
            }
            let ticket = state.next_ticket;
            state.next_ticket += 1;
            let entry = state.entries.entry(tag).or_default();
            let waiter = Waiter { owner, mode, ticket, wake };
            // One that holds a lock already goes first: those in the queue may be waiting for it.
            if entry.held.contains_key(&owner) {
                entry.queue.push_front(waiter);
            } else {
                entry.queue.push_back(waiter);
            }
            entry.wake_ready();
            QueuedRequest { locks: self.clone(), tag, ticket, owner, done: false }
        };
        let granted = woken.await;
        granted.map_err(|_| PgError::internal("a table lock request was lost"))?;
        request.done = true;
        self.shared.state.lock().by_owner.entry(owner).or_default().insert(tag);
        Ok(())
    }

    /// Releases all that `owner` holds; nothing of it may be waiting any more.
    pub fn release_all(&self, owner: LockOwner) {
        self.release_but(owner, &BTreeMap::new());
    }

    /// Releases what `owner` holds but for the given modes (bits, see [`LockMode::bit`]) on the given tags.
    pub fn release_but(&self, owner: LockOwner, kept: &BTreeMap<LockTag, u8>) {
        let mut state = self.shared.state.lock();
        let Some(tags) = state.by_owner.remove(&owner) else { return };
        let mut left = BTreeSet::new();
        for tag in tags {
            let kept = kept.get(&tag).copied().unwrap_or(0);
            if state.reduce(&self.shared.announced, owner, tag, kept) {
                left.insert(tag);
            }
        }
        if !left.is_empty() {
            state.by_owner.insert(owner, left);
        }
    }

    /// Releases one lock.
    pub fn release(&self, owner: LockOwner, tag: LockTag, mode: LockMode) {
        let mut state = self.shared.state.lock();
        if !state.reduce(&self.shared.announced, owner, tag, !mode.bit())
            && let Some(tags) = state.by_owner.get_mut(&owner)
        {
            tags.remove(&tag);
            if tags.is_empty() {
                state.by_owner.remove(&owner);
            }
        }
    }

    /// Whether advisory locks are granted elsewhere.
    pub fn is_closed(&self) -> bool {
        self.shared.is_closed.load(Ordering::Acquire)
    }

    /// Grants no more advisory locks. Those that are held are taken out and answered; requests for one fail.
    pub fn close_advisory(&self) -> Vec<LockRow> {
        let mut state = self.shared.state.lock();
        state.advisory_closed = true;
        self.shared.is_closed.store(true, Ordering::Release);
        let is_advisory = |tag: &LockTag| matches!(tag, LockTag::Advisory(_));
        let rows = state.rows().into_iter().filter(|row| row.granted && is_advisory(&row.tag)).collect();
        state.entries.retain(|tag, _| !is_advisory(tag));
        state.by_owner.retain(|_, tags| {
            tags.retain(|tag| !is_advisory(tag));
            !tags.is_empty()
        });
        rows
    }

    /// For pg_locks, in order of what is locked.
    pub fn rows(&self) -> Vec<LockRow> {
        self.shared.state.lock().rows()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    const A: LockOwner = LockOwner(1);
    const B: LockOwner = LockOwner(2);
    const C: LockOwner = LockOwner(3);
    const T: Oid = Oid(100);
    const U: Oid = Oid(101);

    #[test]
    fn conflict_table_is_symmetric_and_as_documented() {
        use LockMode::*;
        for a in LockMode::ALL {
            for b in LockMode::ALL {
                assert_eq!(a.conflicts_with(b), b.conflicts_with(a), "{a:?} {b:?}");
            }
            let beats_a_weak_one =
                LockMode::ALL.into_iter().any(|weak| weak.is_weak() && weak.conflicts_with(a));
            assert_eq!(a.is_strong(), beats_a_weak_one, "{a:?}");
            assert!(a.conflicts_with(AccessExclusive));
        }
        assert!(!AccessShare.conflicts_with(Exclusive));
        assert!(!RowExclusive.conflicts_with(RowExclusive));
        assert!(!Share.conflicts_with(Share));
        assert!(Share.conflicts_with(RowExclusive));
        assert!(ShareUpdateExclusive.conflicts_with(ShareUpdateExclusive));
        assert!(!ShareUpdateExclusive.conflicts_with(RowExclusive));
    }

    #[test]
    fn readers_queue_behind_a_waiting_alter_and_are_woken_in_order() {
        let locks = TableLocks::new();
        assert!(locks.try_acquire(A, T, LockMode::AccessShare));
        let mut alter = Box::pin(locks.acquire(B, T, LockMode::AccessExclusive));
        assert!(alter.as_mut().now_or_never().is_none());
        let mut reader = Box::pin(locks.acquire(C, T, LockMode::AccessShare));
        assert!(reader.as_mut().now_or_never().is_none(), "no overtaking");
        locks.release_all(A);
        assert!(alter.now_or_never().expect("granted").is_ok());
        assert!(reader.as_mut().now_or_never().is_none());
        locks.release_all(B);
        assert!(reader.now_or_never().expect("granted").is_ok());
        locks.release_all(C);
        assert!(locks.rows().is_empty());
    }

    #[test]
    fn weak_locks_of_sessions_come_to_light_when_a_strong_one_is_wanted() {
        let locks = TableLocks::new();
        let (a, b) = (SessionLocks::new(locks.clone(), A), SessionLocks::new(locks.clone(), B));
        assert!(a.try_acquire(T, LockMode::AccessShare) && a.try_acquire(T, LockMode::RowExclusive));
        assert!(b.try_acquire(T, LockMode::AccessShare) && b.try_acquire(U, LockMode::RowShare));
        assert!(locks.shared.state.lock().entries.is_empty(), "nobody wants more");
        assert_eq!(locks.rows().len(), 4);
        assert!(!b.try_acquire(T, LockMode::AccessExclusive));
        assert_eq!(locks.rows().len(), 4, "asking in vain leaves nothing behind but where they are held");
        let mut alter = Box::pin(b.acquire(T, LockMode::AccessExclusive));
        assert!(alter.as_mut().now_or_never().is_none());
        let c = SessionLocks::new(locks.clone(), C);
        assert!(!c.try_acquire(T, LockMode::AccessShare), "no overtaking");
        a.release_all();
        assert!(alter.now_or_never().expect("granted").is_ok());
        assert!(!c.try_acquire(T, LockMode::AccessShare));
        drop(b);
        assert!(c.try_acquire(T, LockMode::AccessShare));
        drop((a, c));
        assert!(locks.rows().is_empty());
        let state = locks.shared.state.lock();
        assert!(state.entries.is_empty() && state.sessions.is_empty());
    }

    #[test]
    fn what_is_kept_is_kept_and_the_rest_wakes_waiters() {
        let locks = TableLocks::new();
        let key = AdvisoryKey { database: Oid(5), class: 0, object: 7, is_pair: false };
        assert!(locks.try_acquire(A, LockTag::Advisory(key), LockMode::Exclusive));
        assert!(locks.try_acquire(A, T, LockMode::AccessExclusive));
        let mut reader = Box::pin(locks.acquire(B, T, LockMode::AccessShare));
        assert!(reader.as_mut().now_or_never().is_none());
        let kept = BTreeMap::from([(LockTag::Advisory(key), LockMode::Exclusive.bit())]);
        locks.release_but(A, &kept);
        assert!(reader.now_or_never().expect("granted").is_ok());
        assert!(!locks.try_acquire(C, LockTag::Advisory(key), LockMode::Share));
        locks.release(A, LockTag::Advisory(key), LockMode::Exclusive);
        assert!(locks.try_acquire(C, LockTag::Advisory(key), LockMode::Share));
        locks.release_all(B);
        locks.release_all(C);
        assert!(locks.rows().is_empty());
    }

    #[test]
    fn closed_for_advisory_locks_it_gives_them_away_and_goes_on_with_tables() {
        let locks = TableLocks::new();
        let tag =
            |object| LockTag::Advisory(AdvisoryKey { database: Oid(5), class: 0, object, is_pair: false });
        assert!(
            locks.try_acquire(A, tag(7), LockMode::Exclusive) && locks.try_acquire(A, T, LockMode::Share)
        );
        let mut waiting = Box::pin(locks.acquire(B, tag(7), LockMode::Share));
        assert!(waiting.as_mut().now_or_never().is_none());
        let given = locks.close_advisory();
        let expected = LockRow { tag: tag(7), owner: A, mode: LockMode::Exclusive, granted: true };
        assert_eq!(given, [expected]);
        assert!(locks.is_closed() && waiting.now_or_never().expect("it ends").is_err());
        assert!(!locks.try_acquire(C, tag(8), LockMode::Share));
        assert!(locks.acquire(C, tag(8), LockMode::Share).now_or_never().expect("it ends").is_err());
        locks.release(A, tag(7), LockMode::Exclusive);
        assert_eq!(locks.rows().len(), 1, "the table's lock stays");
        locks.release_all(A);
        assert!(locks.rows().is_empty());
    }

    #[test]
    fn giving_up_lets_those_behind_pass() {
        let locks = TableLocks::new();
        assert!(locks.try_acquire(A, T, LockMode::AccessShare));
        let mut alter = Box::pin(locks.acquire(B, T, LockMode::AccessExclusive));
        assert!(alter.as_mut().now_or_never().is_none());
        let mut reader = Box::pin(locks.acquire(C, T, LockMode::AccessShare));
        assert!(reader.as_mut().now_or_never().is_none());
        drop(alter);
        assert!(reader.now_or_never().expect("granted").is_ok());
    }

    #[test]
    fn a_cycle_fails_the_request_that_closes_it() {
        let locks = TableLocks::new();
        assert!(locks.try_acquire(A, T, LockMode::AccessExclusive));
        assert!(locks.try_acquire(B, U, LockMode::AccessExclusive));
        let mut first = Box::pin(locks.acquire(A, U, LockMode::AccessShare));
        assert!(first.as_mut().now_or_never().is_none());
        let second = locks.acquire(B, T, LockMode::AccessShare).now_or_never().expect("answers at once");
        assert_eq!(second.unwrap_err().code(), SqlState::DEADLOCK_DETECTED);
    }

    #[test]
    fn two_upgrades_of_shared_holders_are_a_deadlock_and_one_alone_goes_ahead() {
        let locks = TableLocks::new();
        assert!(locks.try_acquire(A, T, LockMode::Share));
        assert!(locks.try_acquire(B, T, LockMode::Share));
        let mut first = Box::pin(locks.acquire(A, T, LockMode::Exclusive));
        assert!(first.as_mut().now_or_never().is_none());
        let second = locks.acquire(B, T, LockMode::Exclusive).now_or_never().expect("answers at once");
        assert_eq!(second.unwrap_err().code(), SqlState::DEADLOCK_DETECTED);
        locks.release_all(B);
        assert!(first.now_or_never().expect("granted").is_ok());
    }
}
