//! [`HistoryReader`]: looks superseded versions up.

use clock::Timestamp;
use keys::Span;

use super::version::{Version, history_span, put_history_key};
use crate::{Cursor, CursorOptions, Keyspace, Reader, StorageError};

/// Looks superseded versions up, opening a cursor only when the first is asked for.
///
/// - Asked for ascending keys, it moves forward only, and seeks only when its position is behind.
pub(super) struct HistoryReader<'a> {
    reader: &'a dyn Reader,
    bounds: Option<Span>,
    cursor: Option<Box<dyn Cursor + 'a>>,
    /// What was sought last: nothing lies between it and the position.
    target: Vec<u8>,
    previous_target: Vec<u8>,
}

impl<'a> HistoryReader<'a> {
    /// For keys inside a span.
    pub(super) fn of_span(reader: &'a dyn Reader, span: &Span) -> HistoryReader<'a> {
        HistoryReader::new(reader, Some(span))
    }

    /// For a single key, or keys anywhere.
    pub(super) fn anywhere(reader: &'a dyn Reader) -> HistoryReader<'a> {
        HistoryReader::new(reader, None)
    }

    fn new(reader: &'a dyn Reader, span: Option<&Span>) -> HistoryReader<'a> {
        let bounds = span.map(history_span);
        HistoryReader { reader, bounds, cursor: None, target: Vec::new(), previous_target: Vec::new() }
    }

    /// The newest superseded version of `key` at or below `timestamp`.
    pub(super) fn newest_at(
        &mut self,
        key: &[u8],
        timestamp: Timestamp,
    ) -> Result<Option<Version<'_>>, StorageError> {
        std::mem::swap(&mut self.target, &mut self.previous_target);
        self.target.clear();
        put_history_key(&mut self.target, key, timestamp);
        let found = self.position()?;
        let prefix = &self.target[..self.target.len() - Timestamp::ENCODED_SIZE];
        let Some(cursor) = self.cursor.as_ref().filter(|cursor| found && cursor.key().starts_with(prefix))
        else {
            return Ok(None);
        };
        Version::decode(cursor.value()).map(Some)
    }

    /// Brings the cursor to the first entry at or above the target.
    fn position(&mut self) -> Result<bool, StorageError> {
        let first = self.cursor.is_none();
        let cursor = match &mut self.cursor {
            Some(cursor) => cursor,
            slot => {
                let options = self.bounds.as_ref().map_or(CursorOptions::default(), CursorOptions::span);
                slot.insert(self.reader.cursor(Keyspace::History, options)?)
            }
        };
        if !first && self.previous_target <= self.target {
            // Nothing lies between the last target and the position.
            if !cursor.is_valid() {
                return Ok(false);
            }
            if cursor.key() >= &self.target[..] {
                return Ok(true);
            }
        }
        cursor.seek(&self.target)
    }
}
