//! Has anything changed? What a serializable transaction asks before it moves its read timestamp up.

use clock::Timestamp;
use keys::{Key, Span};
use kvapi::TxnId;

use super::error::{Conflict, MvccError};
use super::history::HistoryReader;
use super::intent::IntentCursor;
use super::version::Version;
use super::view::ReadView;
use crate::{CursorOptions, Keyspace, Reader};

/// Why what was read at one timestamp does not hold at a later one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// A version was committed in between.
    Version {
        /// Where.
        key: Key,
        /// When; in the interval asked for.
        timestamp: Timestamp,
    },
    /// Another transaction may commit in between.
    Intent(Conflict),
}

/// The first change found in a span after `from` (excluded) up to `to` (included), other than by `own`.
///
/// `intents_absent` as in [`ReadView::without_intents`].
pub fn find_change(
    reader: &dyn Reader,
    span: &Span,
    from: Timestamp,
    to: Timestamp,
    own: Option<TxnId>,
    intents_absent: bool,
) -> Result<Option<Changed>, MvccError> {
    if span.is_empty() || to <= from {
        return Ok(None);
    }
    let view = ReadView { intents_absent, ..ReadView::at(to) };
    let mut intents = IntentCursor::open(reader, span, &view, false)?;
    while !intents.is_exhausted() {
        let (key, intent) = intents.take()?;
        if own != Some(intent.txn.id) && intent.txn.write_timestamp <= to {
            return Ok(Some(Changed::Intent(Conflict { key: Key::from(key), txn: intent.txn })));
        }
    }
    let mut history = HistoryReader::of_span(reader, span);
    if span.is_point() {
        let Some(stored) = reader.get(Keyspace::Current, &span.start)? else { return Ok(None) };
        return changed(&mut history, &span.start, &stored, from, to);
    }
    let mut cursor = reader.cursor(Keyspace::Current, CursorOptions::span(span))?;
    let mut valid = cursor.seek_first()?;
    while valid {
        if let Some(change) = changed(&mut history, cursor.key(), cursor.value(), from, to)? {
            return Ok(Some(change));
        }
        valid = cursor.next()?;
    }
    Ok(None)
}

#[inline]
fn changed(
    history: &mut HistoryReader<'_>,
    key: &[u8],
    stored: &[u8],
    from: Timestamp,
    to: Timestamp,
) -> Result<Option<Changed>, MvccError> {
    let mut timestamp = Version::decode(stored)?.timestamp;
    if timestamp <= from {
        return Ok(None);
    }
    if timestamp > to {
        // Changed after the interval, which does not say whether it was changed within it as well.
        timestamp = history.newest_at(key, to)?.map_or(Timestamp::ZERO, |version| version.timestamp);
    }
    Ok((timestamp > from).then(|| Changed::Version { key: Key::copy_from(key), timestamp }))
}
