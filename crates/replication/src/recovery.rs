//! Reading a store that was closed or crashed: which ranges there are, what their logs hold, and whether it fits together.
//!
//! ```text
//!                     applied state found            none
//!   log found         the range goes on from there   it waits for the parent's split to be applied again
//!   no log found      a range that has just begun,   -
//!                     or else the log is missing
//! ```

use std::collections::BTreeMap;

use keys::local::{self, RaftItem, RangeItem};
use keys::{RangeId, Span};
use raft::{HardState, Index, Position, Term};
use storage::{CursorOptions, Engine, Keyspace};

use crate::record::{self, AppliedState};
use crate::{INITIAL_INDEX, INITIAL_TERM, OpenError};

/// What was found of one range's log, checked in itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FoundLog {
    pub hard_state: Option<HardState>,
    pub truncated: Option<Position>,
    pub entries: Option<FoundEntries>,
    /// The term of the entry at the applied index, if that is in the log.
    pub term_at_applied: Option<Term>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FoundEntries {
    pub first: Index,
    pub last: Index,
    pub last_term: Term,
    pub bytes: u64,
}

/// Everything that was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub applied: BTreeMap<RangeId, AppliedState>,
    pub logs: BTreeMap<RangeId, FoundLog>,
    /// Ranges that were destroyed here.
    pub tombstones: Vec<RangeId>,
}

/// Reads all of it. Every log record is read and its checksum checked.
pub(crate) fn read(engine: &dyn Engine) -> Result<Found, OpenError> {
    let mut found = Found::default();
    scan(engine, Keyspace::RangeLocal, &local::all_ranges_span(), |key, value| {
        let Ok((range, item)) = local::parse_range_item(key) else {
            let what = format!("an unknown key {} among the range-local ones", stdx::escape_bytes(key));
            return Err(OpenError::Corrupt { range: None, what });
        };
        match item {
            RangeItem::AppliedState => {
                found.applied.insert(range, record::decode_applied_state(range, value)?);
            }
            RangeItem::Tombstone => found.tombstones.push(range),
            RangeItem::GcThreshold
            | RangeItem::Lease
            | RangeItem::Merging
            | RangeItem::Origin
            | RangeItem::Statistics => {}
        }
        Ok(())
    })?;
    scan(engine, Keyspace::RaftLog, &local::all_raft_span(), |key, value| {
        if let Ok((range, index)) = local::parse_raft_log_entry(key) {
            let applied = found.applied.get(&range).map(|applied| applied.position.index);
            return found.logs.entry(range).or_default().add_entry(range, Index(index), value, applied);
        }
        let Ok((range, item)) = local::parse_raft_item(key) else {
            let what = format!("an unknown key {} in the Raft log", stdx::escape_bytes(key));
            return Err(OpenError::Corrupt { range: None, what });
        };
        let log = found.logs.entry(range).or_default();
        match item {
            RaftItem::HardState => log.hard_state = Some(record::decode_hard_state(range, value)?),
            RaftItem::TruncatedState => log.truncated = Some(record::decode_truncated(range, value)?),
            // The replica's id is kept with the applied state.
            RaftItem::ReplicaId => {}
        }
        Ok(())
    })?;
    Ok(found)
}

fn scan(
    engine: &dyn Engine,
    keyspace: Keyspace,
    span: &Span,
    mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), OpenError>,
) -> Result<(), OpenError> {
    let mut cursor = engine.cursor(keyspace, CursorOptions { bulk: true, ..CursorOptions::span(span) })?;
    let mut found = cursor.seek(&span.start)?;
    while found {
        visit(cursor.key(), cursor.value())?;
        found = cursor.next()?;
    }
    Ok(())
}

impl FoundLog {
    fn add_entry(
        &mut self,
        range: RangeId,
        index: Index,
        value: &[u8],
        applied: Option<Index>,
    ) -> Result<(), OpenError> {
        let entry = record::decode_entry(range, index, value)?;
        if applied == Some(index) {
            self.term_at_applied = Some(entry.term);
        }
        let Some(entries) = &mut self.entries else {
            let (term, bytes) = (entry.term, entry.size());
            self.entries = Some(FoundEntries { first: index, last: index, last_term: term, bytes });
            return Ok(());
        };
        if index != entries.last.next() {
            let what = format!("the Raft log has a gap: after entry {} comes entry {index}", entries.last);
            return Err(OpenError::Missing { range, what });
        }
        if entry.term < entries.last_term {
            let what =
                format!("log entry {index} has term {}, the one before {}", entry.term, entries.last_term);
            return Err(OpenError::Corrupt { range: Some(range), what });
        }
        (entries.last, entries.last_term) = (index, entry.term);
        entries.bytes += entry.size();
        Ok(())
    }

    pub fn is_empty(&self) -> bool {
        *self == FoundLog::default()
    }

    /// Whether this is the log that a snapshot at `base` replaced, or nothing: it ends before, or has another leader's entry there.
    fn is_replaced_by(&self, base: Position) -> bool {
        let entries_are_older = self.entries.is_none_or(|entries| {
            entries.last < base.index || self.term_at_applied.is_some_and(|term| term != base.term)
        });
        entries_are_older && self.truncated.is_none_or(|truncated| truncated.index < base.index)
    }
}

/// A range's log and hard state, checked against its applied state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reconciled {
    pub hard_state: HardState,
    pub truncated: Position,
    pub last: Index,
    pub last_term: Term,
    pub bytes: u64,
    /// What is stored must go: a snapshot replaced it, and the crash came before it was deleted.
    pub discard: bool,
}

/// Checks a log against the applied state of its range.
pub(crate) fn reconcile(
    range: RangeId,
    applied: &AppliedState,
    log: FoundLog,
) -> Result<Reconciled, OpenError> {
    let missing = |what: String| OpenError::Missing { range, what };
    let begins_here = applied.position.index == applied.base;
    if begins_here && log.is_replaced_by(applied.position) {
        // A range that has just begun, or was replaced by a snapshot, and whose log was not written before the crash.
        let hard_state = log.hard_state.unwrap_or_default();
        let term = hard_state.term.max(applied.position.term);
        let vote = if term == hard_state.term { hard_state.vote } else { None };
        return Ok(Reconciled {
            hard_state: HardState { term, vote, commit: applied.position.index },
            truncated: applied.position,
            last: applied.position.index,
            last_term: applied.position.term,
            bytes: 0,
            discard: log.entries.is_some() || log.truncated.is_some(),
        });
    }
    if log.is_empty() {
        return Err(missing(format!("the Raft log is missing; {} is applied", applied.position.index)));
    }
    if let Some(term) = log.term_at_applied
        && term != applied.position.term
    {
        let index = applied.position.index;
        let what = format!("log entry {index} has term {term}, applied was term {}", applied.position.term);
        return Err(OpenError::Corrupt { range: Some(range), what });
    }
    let initial = Position { index: INITIAL_INDEX, term: INITIAL_TERM };
    let truncated = log.truncated.unwrap_or(initial);
    let Some(hard_state) = log.hard_state else {
        return Err(missing("the Raft hard state is missing".to_string()));
    };
    if let Some(entries) = log.entries
        && entries.first != truncated.index.next()
    {
        let what = format!(
            "the Raft log has a gap: it is cut off up to entry {}, the first entry is {}",
            truncated.index, entries.first
        );
        return Err(missing(what));
    }
    let (last, last_term, bytes) = match log.entries {
        Some(entries) => (entries.last, entries.last_term, entries.bytes),
        None => (truncated.index, truncated.term, 0),
    };
    Ok(Reconciled { hard_state, truncated, last, last_term, bytes, discard: false })
}
