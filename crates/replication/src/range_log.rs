//! The log of one range on disk: where it begins and ends, and how it is read.

use std::ops::Range;

use keys::{RangeId, local};
use raft::{
    Configuration, Entry, HardState, Index, LogBounds, LogError, LogReader, Position, Snapshot, Term, Write,
};
use storage::{CursorOptions, Engine, Keyspace, WriteBatch};

use crate::record;

/// A truncation of more entries than this deletes them as a span, of fewer one by one: a deleted span is cheap to write, and many
/// of them are not cheap to read past.
const POINT_DELETES_MAX: u64 = 256;

/// What is known in memory of a range's log.
///
/// - What is stored has the indexes `truncated.index + 1 ..= last`, without a gap.
/// - `applied` is what the state in the engine has; `truncated.index <= applied.index`.
#[derive(Clone, Debug)]
pub(crate) struct RangeLog {
    pub truncated: Position,
    pub last: Index,
    pub last_term: Term,
    /// Bytes of entries since the beginning or the last truncation, roughly.
    pub bytes: u64,
    pub applied: Position,
    pub base: Index,
    pub configuration: Configuration,
    /// As it was last written.
    pub hard_state: HardState,
}

impl RangeLog {
    /// A log that begins after `position`.
    fn beginning_at(position: Position, configuration: Configuration, hard_state: HardState) -> RangeLog {
        RangeLog {
            truncated: position,
            last: position.index,
            last_term: position.term,
            bytes: 0,
            applied: position,
            base: position.index,
            configuration,
            hard_state,
        }
    }

    /// Adds to `batch` what a write of the group does to the log.
    pub fn write(&mut self, batch: &mut WriteBatch, range: RangeId, write: &Write) {
        if let Some(snapshot) = &write.snapshot {
            let position = Position { index: snapshot.index, term: snapshot.term };
            batch.delete_range(Keyspace::RaftLog, &local::raft_log_span(range, 0, u64::MAX));
            *self = RangeLog::beginning_at(position, snapshot.configuration.clone(), self.hard_state);
            record::put_truncated(batch, range, position);
        }
        if let (Some(first), Some(last)) = (write.entries.first(), write.entries.last()) {
            debug_assert!(first.index > self.truncated.index && first.index <= self.last.next(), "no gap");
            for entry in &write.entries {
                record::put_entry(batch, range, entry);
                self.bytes += entry.size();
            }
            for index in last.index.0 + 1..=self.last.0 {
                batch.delete(Keyspace::RaftLog, &local::raft_log_entry(range, index));
            }
            (self.last, self.last_term) = (last.index, last.term);
        }
        if let Some(hard_state) = write.hard_state {
            debug_assert!(hard_state.commit >= self.hard_state.commit, "what is committed stays so");
            self.hard_state = hard_state;
            record::put_hard_state(batch, range, hard_state);
        }
    }

    /// Adds to `batch` that the log is committed up to `upto`, which is in it. Whether that is news.
    pub fn note_commit(&mut self, batch: &mut WriteBatch, range: RangeId, upto: Index) -> bool {
        if upto <= self.hard_state.commit {
            return false;
        }
        self.hard_state.commit = upto;
        record::put_hard_state(batch, range, self.hard_state);
        true
    }

    /// Adds to `batch` what cuts the log off up to `upto`.
    pub fn truncate(&mut self, batch: &mut WriteBatch, range: RangeId, upto: Position) {
        debug_assert!(upto.index > self.truncated.index && upto.index <= self.applied.index);
        let (first, end) = (self.truncated.index.0 + 1, upto.index.0 + 1);
        if end - first > POINT_DELETES_MAX {
            batch.delete_range(Keyspace::RaftLog, &local::raft_log_span(range, first, end));
        } else {
            for index in first..end {
                batch.delete(Keyspace::RaftLog, &local::raft_log_entry(range, index));
            }
        }
        record::put_truncated(batch, range, upto);
        self.truncated = upto;
        self.bytes = 0;
    }
}

/// A range's log as its group reads it.
pub(crate) struct StoredLog<'a> {
    pub engine: &'a dyn Engine,
    pub range: RangeId,
    pub log: &'a RangeLog,
}

impl LogReader for StoredLog<'_> {
    fn bounds(&self) -> Result<LogBounds, LogError> {
        Ok(LogBounds {
            truncated_index: self.log.truncated.index,
            truncated_term: self.log.truncated.term,
            last: self.log.last,
        })
    }

    fn term(&self, index: Index) -> Result<Option<Term>, LogError> {
        if index == self.log.truncated.index {
            return Ok(Some(self.log.truncated.term));
        }
        if index == self.log.last {
            return Ok(Some(self.log.last_term));
        }
        if index < self.log.truncated.index || index > self.log.last {
            return Ok(None);
        }
        let key = local::raft_log_entry(self.range, index.0);
        let value = self.engine.get(Keyspace::RaftLog, &key).map_err(|error| LogError(error.to_string()))?;
        let value =
            value.ok_or_else(|| LogError(format!("range {}: entry {index} is missing", self.range)))?;
        Ok(Some(self.decode(index, &value)?.term))
    }

    fn entries(&self, range: Range<Index>, bytes_max: u64) -> Result<Vec<Entry>, LogError> {
        let storage_error = |error: storage::StorageError| LogError(error.to_string());
        let span = local::raft_log_span(self.range, range.start.0, range.end.0);
        let mut cursor =
            self.engine.cursor(Keyspace::RaftLog, CursorOptions::span(&span)).map_err(storage_error)?;
        let mut entries = Vec::new();
        let mut bytes = 0;
        let mut expected = range.start;
        let mut found = cursor.seek(&span.start).map_err(storage_error)?;
        while found && expected < range.end {
            let (_, index) = local::parse_raft_log_entry(cursor.key())
                .map_err(|error| LogError(format!("range {}: a log key: {error}", self.range)))?;
            if Index(index) != expected {
                break;
            }
            let entry = self.decode(expected, cursor.value())?;
            bytes += entry.size();
            if !entries.is_empty() && bytes > bytes_max {
                return Ok(entries);
            }
            entries.push(entry);
            expected = expected.next();
            found = cursor.next().map_err(storage_error)?;
        }
        if expected < range.end {
            return Err(LogError(format!("range {}: log entry {expected} is missing", self.range)));
        }
        Ok(entries)
    }

    fn snapshot(&self) -> Result<Option<Snapshot>, LogError> {
        // Only the header: the state is read when it is sent, and may be newer by then; the receiver goes by what it gets.
        Ok(Some(Snapshot {
            index: self.log.applied.index,
            term: self.log.applied.term,
            configuration: self.log.configuration.clone(),
            metadata: raft::Bytes::new(),
        }))
    }
}

impl StoredLog<'_> {
    fn decode(&self, index: Index, value: &[u8]) -> Result<Entry, LogError> {
        record::decode_entry(self.range, index, value).map_err(|error| LogError(error.to_string()))
    }
}
