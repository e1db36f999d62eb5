//! Clearing a span for good: keys, versions and intents go, as if nothing had ever been written there.
//!
//! For what nobody can read any more (tables that were dropped long ago). A span is removed in one operation for each keyspace; reading it
//! through once, for the statistics, is all it costs.

use keys::{Key, Span};

use super::error::MvccError;
use super::statistics::{Statistics, compute_statistics};
use super::version::history_span;
use crate::{CursorOptions, Keyspace, Reader, StorageError, WriteBatch};

/// Clears the first `keys_max` keys of a span, and what lies between them. Answers where to go on; `None`: all of it is cleared.
pub fn clear_span(
    reader: &dyn Reader,
    span: &Span,
    keys_max: usize,
    batch: &mut WriteBatch,
    delta: &mut Statistics,
) -> Result<Option<Key>, MvccError> {
    let rest = nth_key(reader, span, keys_max)?;
    let end = rest.clone().unwrap_or_else(|| span.end.clone());
    let cleared = Span { start: span.start.clone(), end };
    let held = compute_statistics(reader, &cleared)?;
    if held != Statistics::default() {
        delta.subtract(&held);
        batch.delete_range(Keyspace::Intents, &cleared);
        batch.delete_range(Keyspace::Current, &cleared);
        batch.delete_range(Keyspace::History, &history_span(&cleared));
    }
    Ok(rest)
}

/// The key with this many committed keys of the span before it.
fn nth_key(reader: &dyn Reader, span: &Span, count: usize) -> Result<Option<Key>, StorageError> {
    let options = CursorOptions { bulk: true, ..CursorOptions::span(span) };
    let mut cursor = reader.cursor(Keyspace::Current, options)?;
    let mut valid = cursor.seek_first()?;
    for _ in 0..count {
        if !valid {
            return Ok(None);
        }
        valid = cursor.next()?;
    }
    Ok(valid.then(|| Key::copy_from(cursor.key())))
}
