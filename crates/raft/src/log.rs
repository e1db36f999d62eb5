//! The log as this crate sees it: the caller's durable part below, the tail in memory above.

use std::ops::Range;

use crate::tail::Tail;
use crate::{Entry, Index, LogError, Snapshot, Term};

/// The ends of a stored log. An empty log has `last == truncated_index`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogBounds {
    /// The last index that is no longer in the log (zero when nothing was ever truncated).
    pub truncated_index: Index,
    /// The term of the entry that was at `truncated_index`.
    pub truncated_term: Term,
    pub last: Index,
}

/// Reads the durable part of one group's log. The caller owns it and writes it as [`crate::Write`] says.
///
/// - What a `Write` carried is readable, at the latest, when it is reported by `Group::persisted`.
/// - Readable does not mean durable: the group itself keeps track of what is durable.
pub trait LogReader {
    fn bounds(&self) -> Result<LogBounds, LogError>;

    /// The term of the entry at `index`; also answers at `truncated_index`. `None` outside of that.
    fn term(&self, index: Index) -> Result<Option<Term>, LogError>;

    /// The entries of the range, in order and without a gap, cut off when their sizes add up to more
    /// than `bytes_max`; but at least one, unless the range is empty. An error if one is missing.
    fn entries(&self, range: Range<Index>, bytes_max: u64) -> Result<Vec<Entry>, LogError>;

    /// A snapshot to bring another replica up to date, at an index that is applied and at or after
    /// `truncated_index`. `None`: none can be had now, ask again later.
    fn snapshot(&self) -> Result<Option<Snapshot>, LogError>;
}

/// Both parts of the log as one.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub tail: &'a Tail,
    pub stored: &'a dyn LogReader,
}

impl View<'_> {
    /// The term at `index`; `None` if that is truncated away or beyond the end.
    pub fn term(&self, index: Index) -> Result<Option<Term>, LogError> {
        if index == self.tail.last() {
            return Ok(Some(self.tail.last_term()));
        }
        if index > self.tail.last() {
            return Ok(None);
        }
        if let Some(term) = self.tail.term(index) {
            return Ok(Some(term));
        }
        if index < self.tail.stored_from() {
            return Ok(None);
        }
        self.stored.term(index)
    }

    /// The first index whose entry can be read.
    pub fn first(&self) -> Result<Index, LogError> {
        match self.tail.snapshot() {
            Some(snapshot) => Ok(snapshot.index.next()),
            None => Ok(self.stored.bounds()?.truncated_index.next()),
        }
    }

    /// The entries of `range`, cut off at `bytes_max` but at least one.
    pub fn entries(&self, range: Range<Index>, bytes_max: u64) -> Result<Vec<Entry>, LogError> {
        if range.start >= range.end {
            return Ok(Vec::new());
        }
        if range.start >= self.tail.first() {
            return Ok(self.tail.entries(range, bytes_max));
        }
        let stored_end = range.end.min(self.tail.first());
        let mut entries = self.stored.entries(range.start..stored_end, bytes_max)?;
        check_contiguous(&entries, range.start, stored_end)?;
        let reached = entries[entries.len() - 1].index.next();
        let used: u64 = entries.iter().map(Entry::size).sum();
        if reached == stored_end && stored_end < range.end && used < bytes_max {
            let more = self.tail.entries(reached..range.end, bytes_max - used);
            // The tail gives at least one entry, however big: here we have some already.
            if more.first().is_some_and(|first| first.size() <= bytes_max - used) {
                entries.extend(more);
            }
        }
        Ok(entries)
    }

    /// The last index at or before `index` whose term is at most `term`, with its term (zero when that
    /// lies in the truncated part).
    ///
    /// This is what lets a leader and a follower find where their logs part in one round trip per *term* rather
    /// than one per entry: an entry with a higher term than the other side has at that place cannot match.
    pub fn last_with_term_at_most(&self, index: Index, term: Term) -> Result<(Index, Term), LogError> {
        let mut index = index.min(self.tail.last());
        loop {
            match self.term(index)? {
                None => return Ok((index, Term::ZERO)),
                Some(own) if own <= term => return Ok((index, own)),
                Some(_) => index = index.previous(),
            }
        }
    }
}

fn check_contiguous(entries: &[Entry], start: Index, end: Index) -> Result<(), LogError> {
    if entries.is_empty() {
        return Err(LogError(format!("nothing is stored at index {start}")));
    }
    for (position, entry) in entries.iter().enumerate() {
        let expected = Index(start.0 + position as u64);
        if entry.index != expected || expected >= end {
            return Err(LogError(format!("index {expected} was expected, index {} was read", entry.index)));
        }
    }
    Ok(())
}
