//! The end of the log, in memory.
//!
//! Entries enter here when they are proposed or received, are handed out to be written, become durable, and leave when
//! they are durable *and* applied: an entry that is applied soon after it was appended is never read back from
//! disk. When applying lags, entries that are durable leave early, so that memory stays bounded.
//!
//! ```text
//!    stored log (LogReader)   |            tail                        |
//!   ----------------------- first ---- durable ------ handed -------- last
//!                             | readable there too |  being written  | not handed out yet
//! ```
//!
//! A conflicting entry from a new leader cuts the tail (and all three marks) back.

use std::collections::VecDeque;
use std::ops::Range;

use crate::{Entry, Index, Snapshot, Term};

/// The in-memory end of the log.
///
/// - `entries` are contiguous; `entries[0].index == first`; the last one has index `last`.
/// - `durable <= handed <= last`, and every entry above `durable` is in memory (`first <= durable + 1`).
/// - While a snapshot is being installed, `first` is after it and nothing below it is readable.
#[derive(Debug)]
pub(crate) struct Tail {
    entries: VecDeque<Entry>,
    first: Index,
    last: Index,
    last_term: Term,
    handed: Index,
    durable: Index,
    bytes: u64,
    snapshot: Option<Snapshot>,
    snapshot_handed: bool,
}

impl Tail {
    /// The empty tail of a stored log.
    pub fn new(last: Index, last_term: Term) -> Tail {
        Tail {
            entries: VecDeque::new(),
            first: last.next(),
            last,
            last_term,
            handed: last,
            durable: last,
            bytes: 0,
            snapshot: None,
            snapshot_handed: false,
        }
    }

    pub fn first(&self) -> Index {
        self.first
    }

    pub fn last(&self) -> Index {
        self.last
    }

    pub fn last_term(&self) -> Term {
        self.last_term
    }

    pub fn durable(&self) -> Index {
        self.durable
    }

    /// A snapshot that is being installed and not durable yet.
    pub fn snapshot(&self) -> Option<&Snapshot> {
        self.snapshot.as_ref()
    }

    /// Below this index the stored log must not be asked: a snapshot is replacing it.
    pub fn stored_from(&self) -> Index {
        self.snapshot.as_ref().map_or(Index::ZERO, |snapshot| snapshot.index)
    }

    /// Whether something waits to be handed out for writing.
    pub fn has_unhanded(&self) -> bool {
        self.handed < self.last || (self.snapshot.is_some() && !self.snapshot_handed)
    }

    /// The term at `index`, if that is in memory.
    pub fn term(&self, index: Index) -> Option<Term> {
        if index >= self.first && index <= self.last {
            return Some(self.entries[(index.0 - self.first.0) as usize].term);
        }
        self.snapshot.as_ref().filter(|snapshot| snapshot.index == index).map(|snapshot| snapshot.term)
    }

    /// Entries in memory, cut off at `bytes_max` but at least one. `range` starts at or after `first`.
    pub fn entries(&self, range: Range<Index>, bytes_max: u64) -> Vec<Entry> {
        debug_assert!(range.start >= self.first, "the range is in memory");
        let start = (range.start.0 - self.first.0) as usize;
        let end = (range.end.0.min(self.last.0 + 1).saturating_sub(self.first.0) as usize).max(start);
        let mut bytes = 0;
        let mut count = 0;
        for entry in self.entries.range(start..end) {
            bytes += entry.size();
            if count > 0 && bytes > bytes_max {
                break;
            }
            count += 1;
        }
        self.entries.range(start..start + count).cloned().collect()
    }

    /// Appends the next entry.
    pub fn push(&mut self, entry: Entry) {
        debug_assert_eq!(entry.index, self.last.next(), "the log has no gap");
        debug_assert!(entry.term >= self.last_term, "terms never go down along the log");
        self.last = entry.index;
        self.last_term = entry.term;
        self.bytes += entry.size();
        self.entries.push_back(entry);
    }

    /// Forgets everything from `from` on; `term` is that of the entry before it.
    pub fn cut(&mut self, from: Index, term: Term) {
        if from > self.last {
            return;
        }
        let last = from.previous();
        while self.entries.back().is_some_and(|entry| entry.index >= from) {
            self.bytes -= self.entries.pop_back().map_or(0, |entry| entry.size());
        }
        self.first = self.first.min(from);
        self.last = last;
        self.last_term = term;
        self.handed = self.handed.min(last);
        self.durable = self.durable.min(last);
    }

    /// Replaces the whole log by a snapshot.
    pub fn restore(&mut self, snapshot: Snapshot) {
        *self = Tail::new(snapshot.index, snapshot.term);
        self.durable = Index::ZERO;
        self.snapshot = Some(snapshot);
    }

    /// Hands out what has to be written next: a snapshot that replaces everything, then entries.
    pub fn hand_out(&mut self) -> (Option<Snapshot>, Vec<Entry>) {
        let snapshot = if self.snapshot_handed { None } else { self.snapshot.clone() };
        self.snapshot_handed = self.snapshot.is_some();
        let entries = if self.handed < self.last {
            self.entries(self.handed.next()..self.last.next(), u64::MAX)
        } else {
            Vec::new()
        };
        self.handed = self.last;
        (snapshot, entries)
    }

    /// Everything up to `upto` is durable, of the log as it is now.
    pub fn set_durable(&mut self, upto: Index) {
        debug_assert!(upto <= self.handed, "only what was handed out can be durable");
        self.durable = self.durable.max(upto);
        if self.snapshot.as_ref().is_some_and(|snapshot| snapshot.index <= upto) {
            self.snapshot = None;
            self.snapshot_handed = false;
        }
    }

    /// Lets go of entries that are durable and either applied or too much to keep.
    pub fn release(&mut self, applied: Index, bytes_max: u64) {
        while let Some(entry) = self.entries.front() {
            if entry.index > self.durable || (entry.index > applied && self.bytes <= bytes_max) {
                break;
            }
            self.bytes -= entry.size();
            self.first = entry.index.next();
            self.entries.pop_front();
        }
        if self.entries.is_empty() && self.entries.capacity() > KEPT_CAPACITY {
            self.entries = VecDeque::new();
        }
    }
}

/// An empty tail with more room than this gives its memory back, so that an idle group costs little.
const KEPT_CAPACITY: usize = 64;
