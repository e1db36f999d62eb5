//! Where to cut a range, and what belongs to it.

use keys::{Key, Span, local};

use super::version::{history_span, parse_history_key};
use crate::{CursorOptions, Keyspace, Reader, StorageError};

/// Where a span can be cut in two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SplitPoint {
    /// This key begins the right part.
    At(Key),
    /// No key leaves something on both sides.
    Nowhere,
    /// All of the span is smaller than the left part was to be: it is not as large as was thought.
    Smaller,
}

/// The key that has about `left_bytes` bytes of `keyspace` below it in the span: where to split.
///
/// Sizes are those of `Current`, or of `History` or `Intents` when that is what makes the range large; the caller knows from
/// the range's statistics. Reads the left half.
pub fn find_split_key(
    reader: &dyn Reader,
    span: &Span,
    keyspace: Keyspace,
    left_bytes: u64,
) -> Result<SplitPoint, StorageError> {
    let of_history = keyspace == Keyspace::History;
    let bounds = if of_history { history_span(span) } else { span.clone() };
    let options = CursorOptions { bulk: true, ..CursorOptions::span(&bounds) };
    let mut cursor = reader.cursor(keyspace, options)?;
    let mut valid = cursor.seek_first()?;
    let mut bytes = 0;
    let mut first: Option<Key> = None;
    while valid {
        if bytes >= left_bytes || first.is_none() {
            let key =
                if of_history { parse_history_key(cursor.key())?.0 } else { Key::copy_from(cursor.key()) };
            match &first {
                None => first = Some(key),
                // The first key of the span cannot be the boundary: nothing would be left of it.
                Some(first) if key > *first && key > span.start => return Ok(SplitPoint::At(key)),
                Some(_) => {}
            }
        }
        bytes += (cursor.key().len() + cursor.value().len()) as u64;
        valid = cursor.next()?;
    }
    if bytes < left_bytes {
        return Ok(SplitPoint::Smaller);
    }
    // The last key alone outweighs the rest: it goes to the right side, if there is a left one.
    if first.is_none() || !cursor.seek_last()? {
        return Ok(SplitPoint::Nowhere);
    }
    let last = if of_history { parse_history_key(cursor.key())?.0 } else { Key::copy_from(cursor.key()) };
    let divides = first.is_some_and(|first| first < last) && last > span.start;
    Ok(if divides { SplitPoint::At(last) } else { SplitPoint::Nowhere })
}

/// All parts of the state side that belong to a range with the given span and id: what is sent as its snapshot, and what is removed with its
/// replica.
pub fn replicated_parts(range: keys::RangeId, span: &Span) -> Vec<(Keyspace, Span)> {
    vec![
        (Keyspace::RangeLocal, local::range_span(range)),
        (Keyspace::RangeLocal, local::anchored_span(span)),
        (Keyspace::Intents, span.clone()),
        (Keyspace::Current, span.clone()),
        (Keyspace::History, history_span(span)),
    ]
}
