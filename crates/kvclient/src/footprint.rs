//! What a transaction has read and locked: what must still hold when it commits.
//!
//! Unlocked reads are kept as spans ([`ReadSet`]) and refreshed when the commit timestamp rises above the read
//! timestamp. Locked keys ([`LockSet`]) need no refresh as long as the lock holds: a write of such a key is checked
//! against the timestamp at which it was locked, and locked keys that are not written are claimed with the
//! commit (`kvapi::LockClaim`).

use std::collections::BTreeMap;

use keys::{Key, Span};
use kvapi::{LockClaim, LockStrength, Timestamp, WriteBlock};

/// Bytes of keys after which spans are made coarser.
const READ_SET_BYTES_MAX: usize = 64 << 10;
/// Spans are merged when their number has doubled since the last time.
const MERGE_AT_LEAST: usize = 128;

/// Unlocked reads whose validity depends on the read timestamp.
///
/// - Covers every read entered; may cover more.
#[derive(Debug, Default)]
pub(crate) struct ReadSet {
    spans: Vec<Span>,
    bytes: usize,
    merge_at: usize,
    additions: u64,
}

impl ReadSet {
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    pub fn clear(&mut self) {
        *self = ReadSet::default();
    }

    pub fn add(&mut self, span: Span) {
        if span.is_empty() || self.spans.last().is_some_and(|last| last.contains_span(&span)) {
            return;
        }
        self.additions += 1;
        self.bytes += span.start.len() + span.end.len();
        self.spans.push(span);
        if self.spans.len() >= self.merge_at.max(MERGE_AT_LEAST) || self.bytes > READ_SET_BYTES_MAX {
            self.condense();
        }
    }

    /// Counts what was ever added: tells whether something has come in between.
    pub fn additions(&self) -> u64 {
        self.additions
    }

    /// Sorted, without overlaps.
    pub fn spans(&mut self) -> &[Span] {
        self.merge();
        &self.spans
    }

    fn merge(&mut self) {
        self.spans.sort_unstable();
        let mut merged: Vec<Span> = Vec::with_capacity(self.spans.len());
        for span in self.spans.drain(..) {
            match merged.last_mut() {
                Some(last) if last.end >= span.start => {
                    if span.end > last.end {
                        last.end = span.end;
                    }
                }
                _ => merged.push(span),
            }
        }
        self.spans = merged;
        self.bytes = self.spans.iter().map(|span| span.start.len() + span.end.len()).sum();
    }

    fn condense(&mut self) {
        self.merge();
        while self.bytes > READ_SET_BYTES_MAX / 2 && self.spans.len() > 1 {
            self.spans = self.spans.chunks(2).map(|pair| pair[0].cover(&pair[pair.len() - 1])).collect();
            self.bytes = self.spans.iter().map(|span| span.start.len() + span.end.len()).sum();
        }
        self.merge_at = self.spans.len() * 2;
    }
}

/// A lock that was taken with a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Locked {
    pub strength: LockStrength,
    /// The row was read as of this timestamp and was the newest then.
    pub since: Timestamp,
    /// The number of the newest savepoint when the lock was first asked for; 0: there was none.
    pub savepoint: u32,
    /// The sequence of the last write that was flushed to the key and not undone since; 0: there is none. Its intent keeps others away.
    pub flushed: u32,
}

/// Locks taken, by key, and where locks may have been taken by requests whose answer never came.
#[derive(Debug, Default)]
pub(crate) struct LockSet {
    keys: BTreeMap<Key, Locked>,
    attempted: Vec<Span>,
    /// Savepoints so far.
    savepoints: u32,
}

/// Spans of attempts that are told apart.
const ATTEMPTED_MAX: usize = 32;

impl LockSet {
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.attempted.is_empty()
    }

    pub fn get(&self, key: &[u8]) -> Option<Locked> {
        if self.keys.is_empty() { None } else { self.keys.get(key).copied() }
    }

    /// Whether a lock on `key` may be held: by an answered request, or by one whose answer never came.
    pub fn may_hold(&self, key: &[u8]) -> bool {
        !self.is_empty()
            && (self.keys.contains_key(key) || self.attempted.iter().any(|span| span.contains(key)))
    }

    /// A lock on `key` is asked for by a request now on its way: strength `None` until it is answered.
    pub fn attempt_key(&mut self, key: &[u8]) {
        if !self.keys.contains_key(key) {
            let savepoint = self.savepoints;
            let locked =
                Locked { strength: LockStrength::None, since: Timestamp::ZERO, savepoint, flushed: 0 };
            self.keys.insert(Key::copy_from(key), locked);
        }
    }

    /// The server has kept no lock on `key`, and none was held before: the key has no value.
    pub fn not_kept(&mut self, key: &[u8]) {
        if self.keys.get(key).is_some_and(|locked| !locked.strength.is_locking()) {
            self.keys.remove(key);
        }
    }

    /// The transaction starts over: locks are still held, what was read under them no longer counts.
    pub fn retire(&mut self) {
        self.attempted = self.spans();
        self.keys.clear();
    }

    /// A lock was granted with a read at `since`. The first read counts: nothing can have changed after it.
    pub fn add(&mut self, key: &[u8], strength: LockStrength, since: Timestamp) {
        match self.keys.get_mut(key) {
            Some(locked) => {
                // A weaker lock may have let a writer pass: what was read under the stronger one counts.
                if !locked.strength.excludes_writers() {
                    locked.since = since;
                }
                locked.strength = locked.strength.max(strength);
            }
            None => {
                let locked = Locked { strength, since, savepoint: self.savepoints, flushed: 0 };
                self.keys.insert(Key::copy_from(key), locked);
            }
        }
    }

    /// Whether a lock that is held on `key` is weaker than what is asked for now.
    pub fn must_grow(&self, key: &[u8], strength: LockStrength) -> bool {
        strength.is_locking() && self.get(key).is_some_and(|locked| locked.strength < strength)
    }

    /// A savepoint: locks first asked for from here on can be told from those before. Answers with its number.
    pub fn mark(&mut self) -> u32 {
        self.savepoints += 1;
        self.savepoints
    }

    /// The lock on `key` is none of those that go with a savepoint.
    pub fn keep(&mut self, key: &[u8]) {
        if let Some(locked) = self.keys.get_mut(key) {
            locked.savepoint = 0;
        }
    }

    /// Locks first asked for since the savepoint of this number are about to be released: from here on they are only asked for,
    /// which they stay if their release fails. Answers with what they were.
    pub fn withdraw_since(&mut self, savepoint: u32) -> Vec<LockClaim> {
        let mut claims = Vec::new();
        for (key, locked) in self.keys.iter_mut().filter(|(_, locked)| locked.savepoint >= savepoint) {
            claims.push(LockClaim { key: key.clone(), strength: locked.strength, since: locked.since });
            (locked.strength, locked.since) = (LockStrength::None, Timestamp::ZERO);
        }
        claims
    }

    /// These were released.
    pub fn released(&mut self, claims: &[LockClaim]) {
        claims.iter().for_each(|claim| self.not_kept(&claim.key));
    }

    /// Locks may be taken in `span` by a request now on its way. Whether the span is noted for this request alone, so that its
    /// answer may settle it.
    pub fn attempt(&mut self, span: Span) -> bool {
        if self.attempted.contains(&span) {
            return false;
        }
        if self.attempted.len() < ATTEMPTED_MAX {
            self.attempted.push(span);
            return true;
        }
        if let Some(last) = self.attempted.last_mut() {
            *last = last.cover(&span);
        }
        false
    }

    /// An attempt has been answered at the first try, and its locks are entered by key.
    pub fn settle(&mut self, span: &Span) {
        if let Some(position) = self.attempted.iter().rposition(|attempt| attempt == span) {
            self.attempted.swap_remove(position);
        }
    }

    /// Writes were flushed: they were checked then, and their intents are there.
    pub fn flushed(&mut self, writes: &WriteBlock) {
        if self.keys.is_empty() {
            return;
        }
        for write in writes.iter() {
            if let Some(locked) = self.keys.get_mut(write.key) {
                locked.flushed = locked.flushed.max(write.sequence);
            }
        }
    }

    /// Writes above a sequence are undone: the lock alone protects their keys again.
    pub fn undone(&mut self, sequence: u32) {
        for locked in self.keys.values_mut().filter(|locked| locked.flushed > sequence) {
            locked.flushed = 0;
        }
    }

    /// Claims on keys that have no intent of the transaction, and that `is_written` denies.
    pub fn claims(&self, mut is_written: impl FnMut(&Key) -> bool) -> Vec<LockClaim> {
        let relied_on = |locked: &Locked| locked.strength.is_locking() && locked.flushed == 0;
        let held = self.keys.iter().filter(|(_, locked)| relied_on(locked));
        let unwritten = held.filter(|(key, _)| !is_written(key));
        let claims = unwritten.map(|(key, locked)| LockClaim {
            key: key.clone(),
            strength: locked.strength,
            since: locked.since,
        });
        claims.collect()
    }

    /// Everywhere locks may be held: few spans.
    pub fn spans(&self) -> Vec<Span> {
        let mut spans = self.attempted.clone();
        spans.extend(self.keys.keys().map(|key| Span::point(key.clone())));
        spans.sort_unstable();
        let mut merged: Vec<Span> = Vec::new();
        for span in spans {
            match merged.last_mut() {
                Some(last) if last.end >= span.start => *last = last.cover(&span),
                _ => merged.push(span),
            }
        }
        while merged.len() > ATTEMPTED_MAX {
            merged = merged.chunks(2).map(|pair| pair[0].cover(&pair[pair.len() - 1])).collect();
        }
        merged
    }

    /// Whether everything that may be locked lies in `span`.
    pub fn is_inside(&self, span: &Span) -> bool {
        let ends = self.keys.first_key_value().zip(self.keys.last_key_value());
        let keys_inside =
            ends.is_none_or(|((first, _), (last, _))| span.contains(first) && span.contains(last));
        keys_inside && self.attempted.iter().all(|attempt| span.contains_span(attempt))
    }

    pub fn clear(&mut self) {
        *self = LockSet { savepoints: self.savepoints, ..LockSet::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_merge_and_stay_bounded() {
        let mut reads = ReadSet::default();
        for number in 0..100_000u64 {
            reads.add(Span::point(Key::from(
                number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes().to_vec(),
            )));
        }
        assert!(reads.bytes <= READ_SET_BYTES_MAX);
        for number in 0..100_000u64 {
            let key = number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes();
            assert!(reads.spans.iter().any(|span| span.contains(&key)));
        }
    }

    #[test]
    fn an_answer_settles_what_was_noted_for_it_alone() {
        let span = |start: &str, end: &str| {
            Span::new(Key::copy_from(start.as_bytes()), Key::copy_from(end.as_bytes()))
        };
        let mut locks = LockSet::default();
        assert!(locks.attempt(span("c", "f")));
        assert!(!locks.attempt(span("c", "f")), "an earlier request may have left locks there");
        locks.attempt_key(b"k");
        assert!(locks.may_hold(b"d") && locks.may_hold(b"k") && !locks.may_hold(b"f"));
        locks.not_kept(b"k");
        locks.settle(&span("c", "f"));
        assert!(locks.is_empty());
        for number in 0..ATTEMPTED_MAX as u8 {
            assert!(locks.attempt(Span::point(Key::from(vec![number]))));
        }
        assert!(!locks.attempt(span("a", "z")), "it covers what others have noted");
        locks.add(b"k", LockStrength::Update, Timestamp::new(1, 0));
        locks.not_kept(b"k");
        assert!(locks.get(b"k").is_some(), "held before");
    }

    #[test]
    fn locks_since_a_savepoint_are_withdrawn_and_older_ones_stay() {
        let mut locks = LockSet::default();
        let at = |wall| Timestamp::new(wall, 0);
        locks.add(b"a", LockStrength::KeyShare, at(5));
        let savepoint = locks.mark();
        locks.add(b"a", LockStrength::Update, at(6));
        locks.add(b"b", LockStrength::Update, at(6));
        locks.attempt_key(b"c");
        let inner = locks.mark();
        locks.add(b"d", LockStrength::Share, at(7));
        locks.add(b"e", LockStrength::Share, at(7));
        locks.keep(b"e");
        let keys = |claims: &[LockClaim]| claims.iter().map(|it| it.key.to_string()).collect::<Vec<_>>();
        let withdrawn = locks.withdraw_since(inner);
        assert_eq!(keys(&withdrawn), [Key::from("d").to_string()]);
        assert!(locks.may_hold(b"d"), "until it is known to be released");
        locks.released(&withdrawn);
        assert!(!locks.may_hold(b"d"));
        let withdrawn = locks.withdraw_since(savepoint);
        assert_eq!(keys(&withdrawn), [Key::from("b").to_string(), Key::from("c").to_string()]);
        locks.released(&withdrawn);
        assert_eq!(locks.claims(|_| false).len(), 2);
        assert!(locks.get(b"e").is_some(), "it was to be kept");
        assert!(locks.get(b"a").is_some_and(|locked| locked.strength == LockStrength::Update));
    }

    #[test]
    fn the_first_exclusive_read_of_a_key_counts() {
        let mut locks = LockSet::default();
        let at = |wall| Timestamp::new(wall, 0);
        locks.add(b"k", LockStrength::KeyShare, at(5));
        locks.add(b"k", LockStrength::NoKeyUpdate, at(9));
        locks.add(b"k", LockStrength::Update, at(12));
        let expected = Locked { strength: LockStrength::Update, since: at(9), savepoint: 0, flushed: 0 };
        assert_eq!(locks.get(b"k"), Some(expected));
        assert_eq!(locks.claims(|_| false).len(), 1);
        assert_eq!(locks.claims(|_| true).len(), 0);
    }
}
