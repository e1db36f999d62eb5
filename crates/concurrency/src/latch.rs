//! Latches: writes in flight exclude one another, and reads wait for them.
//!
//! A write takes a guard over all its keys and spans at once. A guard conflicts with older ones that overlap it
//! and is granted when the last of those is released: first come first served, and no deadlock, because
//! waiting always points from younger to older.
//!
//! Reads take no guard. [`LatchTable::await_writers`] looks for *granted* guards that overlap the read at or
//! below its timestamp. Guards still waiting are no matter: once granted they consult the timestamp cache,
//! which the read has entered already, and end up above it.
//!
//! Keys of ordinary guards are found by hash. A guard with spans or with more than [`POINTS_MAX`] keys is
//! *wide*: it is kept in order and searched, instead of making as many entries as it has keys.

use std::collections::BTreeMap;

use clock::Timestamp;
use keys::Span;
use kvapi::KeyBlock;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use crate::{Ticket, Wake, WakeReason, hash_key};

/// Keys up to which a guard is indexed key by key.
const POINTS_MAX: usize = 64;

/// Names a guard. Ordered by age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LatchId(u64);

/// The answer to a request for latches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Latched {
    Granted(LatchId),
    /// The ticket given will be woken when it is granted.
    Waiting(LatchId),
}

impl Latched {
    pub fn id(self) -> LatchId {
        match self {
            Latched::Granted(id) | Latched::Waiting(id) => id,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dependent {
    Guard(LatchId),
    Reader(Ticket),
}

struct Guard {
    /// Ascending.
    keys: KeyBlock,
    spans: SmallVec<[Span; 1]>,
    /// Nothing will be written below this.
    at: Timestamp,
    ticket: Ticket,
    /// Older guards still in the way. Granted at 0.
    blockers: u32,
    dependents: Vec<Dependent>,
}

impl Guard {
    fn is_wide(&self) -> bool {
        !self.spans.is_empty() || self.keys.len() > POINTS_MAX
    }

    fn overlaps_key(&self, key: &[u8]) -> bool {
        self.spans.iter().any(|span| span.contains(key)) || {
            let index = lower_bound(&self.keys, key);
            index < self.keys.len() && self.keys.key(index) == key
        }
    }

    fn overlaps_span(&self, span: &Span) -> bool {
        self.spans.iter().any(|own| own.overlaps(span)) || {
            let index = lower_bound(&self.keys, &span.start);
            index < self.keys.len() && self.keys.key(index) < &span.end[..]
        }
    }
}

fn lower_bound(keys: &KeyBlock, key: &[u8]) -> usize {
    let (mut low, mut high) = (0, keys.len());
    while low < high {
        let middle = (low + high) / 2;
        if keys.key(middle) < key { low = middle + 1 } else { high = middle }
    }
    low
}

/// The latches of one range.
///
/// - A guard is granted if and only if no older guard overlaps it.
/// - `points` names exactly the keys of guards that are not wide, `wide` exactly the others.
/// - Every blocker counted has its dependent listed at the older guard.
#[derive(Default)]
pub struct LatchTable {
    next: u64,
    guards: BTreeMap<LatchId, Guard>,
    points: FxHashMap<u64, SmallVec<[LatchId; 2]>>,
    wide: SmallVec<[LatchId; 4]>,
    /// Readers waiting, with how many guards each still waits for.
    readers: FxHashMap<Ticket, u32>,
}

impl LatchTable {
    pub fn new() -> LatchTable {
        LatchTable::default()
    }

    /// Whether nothing is latched: the fast path of every read.
    pub fn is_empty(&self) -> bool {
        self.guards.is_empty()
    }

    pub fn len(&self) -> usize {
        self.guards.len()
    }

    /// Whether a granted write may be placed at or below `at`. Those that still wait do not know their timestamps yet.
    pub fn holds_at_or_below(&self, at: Timestamp) -> bool {
        self.guards.values().any(|guard| guard.blockers == 0 && guard.at <= at)
    }

    /// Takes latches for a write of `keys` (ascending) and `spans` at or above `at`.
    pub fn acquire(
        &mut self,
        keys: KeyBlock,
        spans: SmallVec<[Span; 1]>,
        at: Timestamp,
        ticket: Ticket,
    ) -> Latched {
        let id = LatchId(self.next);
        self.next += 1;
        let guard = Guard { keys, spans, at, ticket, blockers: 0, dependents: Vec::new() };
        let blockers = if self.guards.is_empty() { SmallVec::new() } else { self.blockers_of(&guard) };
        self.index(id, &guard);
        self.guards.insert(id, Guard { blockers: blockers.len() as u32, ..guard });
        for blocker in &blockers {
            self.guard_mut(*blocker).dependents.push(Dependent::Guard(id));
        }
        if blockers.is_empty() { Latched::Granted(id) } else { Latched::Waiting(id) }
    }

    /// The write will be placed at `at`, so that reads below need not wait for it. Never lowers.
    pub fn raise(&mut self, id: LatchId, at: Timestamp) {
        let guard = self.guard_mut(id);
        guard.at = guard.at.max(at);
    }

    /// Gives a guard back, granted or still waiting.
    pub fn release(&mut self, id: LatchId, wakes: &mut Vec<Wake>) {
        let guard = self.guards.remove(&id).expect("a guard is released once, by its owner");
        self.unindex(id, &guard);
        for dependent in guard.dependents {
            let (blockers, ticket) = match dependent {
                Dependent::Guard(id) => match self.guards.get_mut(&id) {
                    Some(waiting) => (&mut waiting.blockers, waiting.ticket),
                    None => continue,
                },
                Dependent::Reader(ticket) => match self.readers.get_mut(&ticket) {
                    Some(blockers) => (blockers, ticket),
                    None => continue,
                },
            };
            *blockers -= 1;
            if *blockers == 0 {
                self.readers.remove(&ticket);
                wakes.push(Wake { ticket, reason: WakeReason::Latched });
            }
        }
    }

    /// Whether a read of `key` at `at` would have to wait for a write. For single keys without other cost.
    #[inline]
    pub fn blocks_key(&self, key: &[u8], at: Timestamp) -> bool {
        !self.guards.is_empty() && !self.writers_of_key(key, at).is_empty()
    }

    /// Looks for granted writes at or below `at` that overlap the read; `own` is left out. True: there are none.
    /// False: `ticket` will be woken once all of them are gone.
    pub fn await_writers<'a>(
        &mut self,
        keys: impl Iterator<Item = &'a [u8]>,
        spans: &[Span],
        at: Timestamp,
        own: Option<LatchId>,
        ticket: Ticket,
    ) -> bool {
        if self.guards.is_empty() {
            return true;
        }
        let mut writers: SmallVec<[LatchId; 8]> = SmallVec::new();
        for key in keys {
            writers.extend(self.writers_of_key(key, at));
        }
        for span in spans {
            let found = self.guards.iter().filter(|(_, guard)| guard.blockers == 0 && guard.at <= at);
            writers.extend(found.filter(|(_, guard)| guard.overlaps_span(span)).map(|(id, _)| *id));
        }
        writers.sort_unstable();
        writers.dedup();
        writers.retain(|id| Some(*id) != own);
        if writers.is_empty() {
            return true;
        }
        for id in &writers {
            self.guard_mut(*id).dependents.push(Dependent::Reader(ticket));
        }
        self.readers.insert(ticket, writers.len() as u32);
        false
    }

    /// A reader no longer waits.
    pub fn cancel_reader(&mut self, ticket: Ticket) {
        self.readers.remove(&ticket);
    }

    fn writers_of_key(&self, key: &[u8], at: Timestamp) -> SmallVec<[LatchId; 2]> {
        let mut writers = SmallVec::new();
        let in_flight = |id: &LatchId| {
            let guard = &self.guards[id];
            guard.blockers == 0 && guard.at <= at
        };
        if let Some(ids) = self.points.get(&hash_key(key)) {
            writers.extend(ids.iter().copied().filter(&in_flight));
        }
        let wide = self.wide.iter().filter(|id| in_flight(id) && self.guards[id].overlaps_key(key));
        writers.extend(wide.copied());
        writers
    }

    fn blockers_of(&self, new: &Guard) -> SmallVec<[LatchId; 4]> {
        let mut blockers: SmallVec<[LatchId; 4]> = SmallVec::new();
        if new.keys.len() > POINTS_MAX {
            let others = self.guards.iter();
            blockers.extend(others.filter(|(_, guard)| keys_overlap(guard, &new.keys)).map(|(id, _)| *id));
        } else {
            for key in new.keys.iter() {
                if let Some(ids) = self.points.get(&hash_key(key)) {
                    blockers.extend(ids.iter().copied());
                }
                blockers.extend(self.wide.iter().copied().filter(|id| self.guards[id].overlaps_key(key)));
            }
        }
        for span in &new.spans {
            let overlapping = self.guards.iter().filter(|(_, guard)| guard.overlaps_span(span));
            blockers.extend(overlapping.map(|(id, _)| *id));
        }
        blockers.sort_unstable();
        blockers.dedup();
        blockers
    }

    fn index(&mut self, id: LatchId, guard: &Guard) {
        if guard.is_wide() {
            self.wide.push(id);
            return;
        }
        for key in guard.keys.iter() {
            self.points.entry(hash_key(key)).or_default().push(id);
        }
    }

    fn unindex(&mut self, id: LatchId, guard: &Guard) {
        if guard.is_wide() {
            self.wide.retain(|other| *other != id);
            return;
        }
        for key in guard.keys.iter() {
            let hash = hash_key(key);
            if let Some(ids) = self.points.get_mut(&hash) {
                ids.retain(|other| *other != id);
                if ids.is_empty() {
                    self.points.remove(&hash);
                }
            }
        }
    }

    fn guard_mut(&mut self, id: LatchId) -> &mut Guard {
        self.guards.get_mut(&id).expect("the guard is held")
    }
}

/// Whether any of many ascending `keys` falls on the guard.
fn keys_overlap(guard: &Guard, keys: &KeyBlock) -> bool {
    let in_spans = guard.spans.iter().any(|span| {
        let index = lower_bound(keys, &span.start);
        index < keys.len() && keys.key(index) < &span.end[..]
    });
    in_spans
        || guard.keys.iter().any(|key| {
            let index = lower_bound(keys, key);
            index < keys.len() && keys.key(index) == key
        })
}
