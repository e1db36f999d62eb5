//! The lock table: in-memory locks of transactions on keys, with a fair queue for each contended key.
//!
//! Strengths and their conflicts are PostgreSQL's row locks ([`kvapi::LockStrength`]). A key needs no value to
//! be locked. An entry exists while somebody holds or awaits the lock.
//!
//! ```text
//!   acquire: conflicts with a holder?  -- no --> holder
//!                                   | yes
//!                                   v
//!                           queue (back; front if it holds the key already and wants more)
//!                                   |
//!   release: from the front, each waiter that conflicts with no holder and no waiter before it
//!            becomes a holder at once and is woken: handed over, no barging.
//! ```
//!
//! Who conflicts with no holder does not wait for those who do, as in PostgreSQL: while a foreign key check shares a row and a DELETE
//! waits for it, an update that leaves the key alone goes through. The price is PostgreSQL's too: an endless succession of sharers keeps a
//! stronger lock waiting. A write is never compatible with a holder, so that nobody overtakes among writers.
//!
//! Going to the front to upgrade: those who wait already wait for this very holder (or, if they conflict with
//! the stronger lock alone, would make it wait for itself). Two upgraders of one key deadlock; the wait graph
//! finds that.
//!
//! Intents found by evaluation are entered with [`LockTable::discover`], as `Update` locks whose truth
//! lies in storage. They need not be compatible with what is held: a lock granted on a key whose intent was
//! not yet known stands beside it.

use std::collections::VecDeque;

use keys::Key;
use kvapi::{LockStrength, TxnId, TxnMeta};
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

use crate::{Ticket, Wake, WakeReason};

/// Locks of one range that are remembered; beyond, locks are granted and forgotten.
pub const LOCKS_MAX: usize = 262_144;

/// The answer to a request for a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acquired {
    /// The transaction holds the lock. `newly`: it held none on the key before, of whatever strength.
    Granted { newly: bool },
    /// Somebody is in the way. Queued, if a ticket was given.
    Conflict(LockWait),
}

/// What a request waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockWait {
    /// Whom to push: a conflicting holder, or else the nearest conflicting waiter before it.
    pub holder: TxnMeta,
    /// All transactions it waits for directly, for the wait graph.
    pub blockers: SmallVec<[TxnId; 2]>,
    /// What it wants.
    pub strength: LockStrength,
}

#[derive(Clone)]
struct Holder {
    txn: TxnMeta,
    strength: LockStrength,
}

#[derive(Clone)]
struct Waiter {
    ticket: Ticket,
    txn: TxnMeta,
    strength: LockStrength,
}

#[derive(Default)]
struct KeyLock {
    holders: SmallVec<[Holder; 1]>,
    queue: VecDeque<Waiter>,
}

/// Whether everything `weaker` conflicts with also conflicts with `stronger`.
fn covers(stronger: LockStrength, weaker: LockStrength) -> bool {
    stronger >= weaker
}

impl KeyLock {
    /// Who is in the way of `txn` at a place in the queue.
    fn blockers(&self, txn: TxnId, strength: LockStrength, queued_before: usize) -> Option<LockWait> {
        let mut blockers: SmallVec<[TxnId; 2]> = SmallVec::new();
        let mut first: Option<&TxnMeta> = None;
        for holder in &self.holders {
            if holder.txn.id != txn && holder.strength.conflicts_with(strength) {
                first = first.or(Some(&holder.txn));
                blockers.push(holder.txn.id);
            }
        }
        // Nearest first: once a waiter is met that conflicts with all that we conflict with, the waiters
        // before it are reached through it.
        for waiter in self.queue.iter().take(queued_before).rev() {
            if waiter.txn.id != txn && waiter.strength.conflicts_with(strength) {
                first = first.or(Some(&waiter.txn));
                blockers.push(waiter.txn.id);
                if covers(waiter.strength, strength) {
                    break;
                }
            }
        }
        first.map(|holder| LockWait { holder: holder.clone(), blockers, strength })
    }

    fn hold(&mut self, txn: &TxnMeta, strength: LockStrength) -> Held {
        match self.holders.iter_mut().find(|holder| holder.txn.id == txn.id) {
            Some(holder) if holder.strength >= strength => Held::Already,
            Some(holder) => {
                holder.strength = strength;
                Held::Stronger
            }
            None => {
                self.holders.push(Holder { txn: txn.clone(), strength });
                Held::New
            }
        }
    }

    fn held_strength(&self, txn: TxnId) -> LockStrength {
        let holder = self.holders.iter().find(|holder| holder.txn.id == txn);
        holder.map_or(LockStrength::None, |holder| holder.strength)
    }

    fn is_unused(&self) -> bool {
        self.holders.is_empty() && self.queue.is_empty()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Held {
    Already,
    Stronger,
    New,
}

/// The locks of one range.
///
/// - No two holders of a key conflict, unless one is a discovered intent.
/// - The first waiter of a queue conflicts with a holder of another transaction: nobody waits for nothing.
/// - `by_txn` names exactly the keys each transaction holds; `waiting` exactly the queued tickets.
#[derive(Default)]
pub struct LockTable {
    keys: FxHashMap<Key, KeyLock>,
    by_txn: FxHashMap<TxnId, Vec<Key>>,
    waiting: FxHashMap<Ticket, Key>,
    held: usize,
}

impl LockTable {
    pub fn new() -> LockTable {
        LockTable::default()
    }

    /// Whether there is no lock at all: the fast path of every write.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Locks held, counting each holder.
    pub fn held(&self) -> usize {
        self.held
    }

    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Asks for a lock. With a ticket, a conflict queues the request and the ticket is woken with `Granted`;
    /// without one a conflict is only told.
    pub fn acquire(
        &mut self,
        key: &[u8],
        txn: &TxnMeta,
        strength: LockStrength,
        ticket: Option<Ticket>,
    ) -> Acquired {
        debug_assert!(strength.is_locking());
        let Some(lock) = self.keys.get_mut(key) else {
            if self.held >= LOCKS_MAX {
                return Acquired::Granted { newly: false };
            }
            let key = Key::copy_from(key);
            let holders = SmallVec::from_iter([Holder { txn: txn.clone(), strength }]);
            self.keys.insert(key.clone(), KeyLock { holders, queue: VecDeque::new() });
            self.remember(txn.id, key);
            return Acquired::Granted { newly: true };
        };
        let held = lock.held_strength(txn.id);
        let discovered_beside = held >= strength && lock.holders.len() > 1;
        if held >= strength && !discovered_beside {
            return Acquired::Granted { newly: false };
        }
        let position = if held.is_locking() { 0 } else { lock.queue.len() };
        match lock.blockers(txn.id, strength, 0) {
            None => {
                let outcome = lock.hold(txn, strength);
                if outcome == Held::New {
                    let key = Key::copy_from(key);
                    self.remember(txn.id, key);
                }
                Acquired::Granted { newly: outcome == Held::New }
            }
            Some(wait) => {
                let wait = lock.blockers(txn.id, strength, position).unwrap_or(wait);
                if let Some(ticket) = ticket {
                    lock.queue.insert(position, Waiter { ticket, txn: txn.clone(), strength });
                    self.waiting.insert(ticket, Key::copy_from(key));
                }
                Acquired::Conflict(wait)
            }
        }
    }

    /// Waiters of a key, front first, with whom each waits for now. To refresh the wait graph after somebody
    /// went to the front of the queue or an intent was discovered.
    pub fn waits(&self, key: &[u8]) -> Vec<(Ticket, TxnMeta, LockWait)> {
        let Some(lock) = self.keys.get(key) else { return Vec::new() };
        let waiters = lock.queue.iter().enumerate();
        let told = waiters.filter_map(|(position, waiter)| {
            let wait = lock.blockers(waiter.txn.id, waiter.strength, position)?;
            Some((waiter.ticket, waiter.txn.clone(), wait))
        });
        told.collect()
    }

    /// Whom a queued request waits for now; `None` if it no longer waits.
    pub fn wait_of(&self, ticket: Ticket) -> Option<LockWait> {
        let lock = self.keys.get(self.waiting.get(&ticket)?)?;
        let position = lock.queue.iter().position(|waiter| waiter.ticket == ticket)?;
        let waiter = &lock.queue[position];
        lock.blockers(waiter.txn.id, waiter.strength, position)
    }

    /// How strongly a transaction holds a key.
    pub fn held_strength(&self, key: &[u8], txn: TxnId) -> LockStrength {
        self.keys.get(key).map_or(LockStrength::None, |lock| lock.held_strength(txn))
    }

    /// Whether a write of `key` by `txn` (none: by no transaction) meets no lock and no queue of others.
    ///
    /// Who holds the key for update may write it, whatever weaker locks stand beside it.
    #[inline]
    pub fn may_write(&self, key: &[u8], txn: Option<TxnId>) -> bool {
        if self.keys.is_empty() {
            return true;
        }
        let Some(lock) = self.keys.get(key) else { return true };
        let own = txn.unwrap_or_default();
        let held = txn.map_or(LockStrength::None, |txn| lock.held_strength(txn));
        if held >= LockStrength::NoKeyUpdate {
            // Only an intent discovered beside the lock can be in the way.
            return !lock
                .holders
                .iter()
                .any(|holder| holder.txn.id != own && holder.strength.conflicts_with(held));
        }
        lock.blockers(own, LockStrength::Update, lock.queue.len()).is_none()
    }

    /// Enters an intent that evaluation has met. Waiters of the key now also wait for it.
    pub fn discover(&mut self, key: &[u8], txn: &TxnMeta) {
        if !self.keys.contains_key(key) && self.held >= LOCKS_MAX {
            return;
        }
        let key = Key::copy_from(key);
        let lock = self.keys.entry(key.clone()).or_default();
        if lock.hold(txn, LockStrength::Update) == Held::New {
            self.remember(txn.id, key);
        }
    }

    /// Releases everything a transaction holds: it has ended.
    pub fn release_all(&mut self, txn: TxnId, wakes: &mut Vec<Wake>) {
        let Some(keys) = self.by_txn.remove(&txn) else { return };
        for key in keys {
            self.release_entry(&key, txn, wakes);
        }
    }

    /// Releases one lock.
    pub fn release(&mut self, key: &[u8], txn: TxnId, wakes: &mut Vec<Wake>) {
        let Some(keys) = self.by_txn.get_mut(&txn) else { return };
        let Some(position) = keys.iter().rposition(|held| &held[..] == key) else { return };
        let key = keys.swap_remove(position);
        if keys.is_empty() {
            self.by_txn.remove(&txn);
        }
        self.release_entry(&key, txn, wakes);
    }

    /// Releases some locks of a transaction that goes on. Keys that it does not hold are no error.
    pub fn release_some<'k>(
        &mut self,
        keys: impl Iterator<Item = &'k [u8]>,
        txn: TxnId,
        wakes: &mut Vec<Wake>,
    ) {
        let Some(held) = self.by_txn.get_mut(&txn) else { return };
        let asked: FxHashSet<&[u8]> = keys.collect();
        let (released, kept) = std::mem::take(held).into_iter().partition(|key| asked.contains(&key[..]));
        *held = kept;
        if held.is_empty() {
            self.by_txn.remove(&txn);
        }
        let released: Vec<Key> = released;
        for key in released {
            self.release_entry(&key, txn, wakes);
        }
    }

    /// A waiting request gives up. If it has been granted in the meantime nothing changes: the lock belongs to
    /// its transaction.
    pub fn cancel(&mut self, ticket: Ticket, wakes: &mut Vec<Wake>) {
        let Some(key) = self.waiting.remove(&ticket) else { return };
        let lock = self.keys.get_mut(&key).expect("a key with waiters has an entry");
        lock.queue.retain(|waiter| waiter.ticket != ticket);
        self.grant(&key, wakes);
    }

    /// Transactions that hold locks here, by id: to look after those whose coordinator may be gone.
    pub fn holders(&self) -> Vec<TxnMeta> {
        let mut ids: Vec<(&TxnId, &Vec<Key>)> = self.by_txn.iter().collect();
        ids.sort_unstable_by_key(|(id, _)| **id);
        let metas = ids.into_iter().filter_map(|(id, keys)| {
            let lock = self.keys.get(keys.first()?)?;
            lock.holders.iter().find(|holder| holder.txn.id == *id).map(|holder| holder.txn.clone())
        });
        metas.collect()
    }

    /// Every lock held, by key: for people.
    pub fn locks(&self) -> Vec<(Key, TxnId, LockStrength)> {
        let held = self.keys.iter().flat_map(|(key, lock)| {
            lock.holders.iter().map(move |holder| (key.clone(), holder.txn.id, holder.strength))
        });
        let mut locks: Vec<_> = held.collect();
        locks.sort();
        locks
    }

    /// Takes the locks at or above `at` away into a table of their own: the right half of a split. Those who
    /// wait for them are woken with `Moved`, in the order of their queues.
    pub fn split_off(&mut self, at: &[u8], wakes: &mut Vec<Wake>) -> LockTable {
        let mut moved: Vec<Key> = self.keys.keys().filter(|key| key[..] >= *at).cloned().collect();
        moved.sort_unstable();
        let mut right = LockTable::new();
        for key in moved {
            let mut lock = self.keys.remove(&key).expect("just listed");
            for waiter in lock.queue.drain(..) {
                self.waiting.remove(&waiter.ticket);
                wakes.push(Wake { ticket: waiter.ticket, reason: WakeReason::Moved });
            }
            for holder in &lock.holders {
                self.forget(holder.txn.id, &key);
                right.remember(holder.txn.id, key.clone());
            }
            if !lock.holders.is_empty() {
                right.keys.insert(key, lock);
            }
        }
        right
    }

    /// Drops everything: the lease is gone. All who wait are woken with `Moved`.
    pub fn clear(&mut self, wakes: &mut Vec<Wake>) {
        let mut tickets: Vec<Ticket> = self.waiting.keys().copied().collect();
        tickets.sort_unstable();
        wakes.extend(tickets.into_iter().map(|ticket| Wake { ticket, reason: WakeReason::Moved }));
        *self = LockTable::new();
    }

    fn remember(&mut self, txn: TxnId, key: Key) {
        self.by_txn.entry(txn).or_default().push(key);
        self.held += 1;
    }

    fn forget(&mut self, txn: TxnId, key: &Key) {
        self.held -= 1;
        if let Some(keys) = self.by_txn.get_mut(&txn) {
            keys.retain(|held| held != key);
            if keys.is_empty() {
                self.by_txn.remove(&txn);
            }
        }
    }

    fn release_entry(&mut self, key: &Key, txn: TxnId, wakes: &mut Vec<Wake>) {
        let lock = self.keys.get_mut(key).expect("a held key has an entry");
        lock.holders.retain(|holder| holder.txn.id != txn);
        self.held -= 1;
        self.grant(key, wakes);
    }

    /// Hands the lock to every waiter that nobody is in the way of any more.
    fn grant(&mut self, key: &Key, wakes: &mut Vec<Wake>) {
        let lock = self.keys.get_mut(key).expect("the caller has the entry");
        let mut position = 0;
        while position < lock.queue.len() {
            let waiter = &lock.queue[position];
            if lock.blockers(waiter.txn.id, waiter.strength, position).is_some() {
                if waiter.strength == LockStrength::Update {
                    break; // Nobody behind it can pass.
                }
                position += 1;
                continue;
            }
            let waiter = lock.queue.remove(position).expect("within the queue");
            let newly = lock.hold(&waiter.txn, waiter.strength) == Held::New;
            self.waiting.remove(&waiter.ticket);
            wakes.push(Wake { ticket: waiter.ticket, reason: WakeReason::Granted });
            if newly {
                self.by_txn.entry(waiter.txn.id).or_default().push(key.clone());
                self.held += 1;
            }
        }
        if lock.is_unused() {
            self.keys.remove(key);
        }
    }
}
