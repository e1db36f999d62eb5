//! Point reads.

use keys::{Key, Span};
use kvapi::{KeyBlock, KvBlock};

use super::error::{Conflict, MvccError};
use super::history::HistoryReader;
use super::intent::{Intent, IntentCursor, Meaning};
use super::lookup::SortedLookup;
use super::version::Version;
use super::view::{NewerVersions, ReadView};
use crate::{Keyspace, Reader};

/// Conflicts gathered before a read gives up, so that they can be resolved together.
pub(super) const CONFLICT_COUNT_MAX: usize = 64;

/// The value of a key, as the view sees it.
pub fn get(reader: &dyn Reader, key: &[u8], view: &ReadView) -> Result<Option<Vec<u8>>, MvccError> {
    let mut value = Vec::new();
    Ok(get_into(reader, key, view, &mut value)?.then_some(value))
}

/// Appends the value of a key, as the view sees it, to `out`; tells whether there is one.
///
/// A key that is left out because of a conflict ([`super::OnConflict::Skip`]) has none.
pub fn get_into(
    reader: &dyn Reader,
    key: &[u8],
    view: &ReadView,
    out: &mut Vec<u8>,
) -> Result<bool, MvccError> {
    if !view.intents_absent
        && let Some(stored) = reader.get(Keyspace::Intents, key)?
    {
        match Intent::decode(&stored)?.meaning(key, view) {
            Meaning::Invisible => {}
            Meaning::Skip => return Ok(false),
            Meaning::Conflict(conflict) => return Err(MvccError::Conflicts(vec![conflict])),
            Meaning::Own(value) => {
                out.extend_from_slice(value.as_deref().unwrap_or_default());
                return Ok(value.is_some());
            }
        }
    }
    let Some(stored) = reader.get(Keyspace::Current, key)? else { return Ok(false) };
    let current = Version::decode(&stored)?;
    let value = if current.timestamp <= view.timestamp {
        current.value
    } else {
        let mut history = HistoryReader::anywhere(reader);
        return match superseded(&mut history, key, current, view)? {
            Some(value) => {
                out.extend_from_slice(value);
                Ok(true)
            }
            None => Ok(false),
        };
    };
    out.extend_from_slice(value.unwrap_or_default());
    Ok(value.is_some())
}

/// What the view sees of a key whose current version is too new for it.
#[cold]
pub(super) fn superseded<'h>(
    history: &'h mut HistoryReader<'_>,
    key: &[u8],
    current: Version<'_>,
    view: &ReadView,
) -> Result<Option<&'h [u8]>, MvccError> {
    debug_assert!(current.timestamp > view.timestamp);
    if view.newer == NewerVersions::Refuse {
        return Err(MvccError::Newer { key: Key::copy_from(key), timestamp: current.timestamp });
    }
    if current.timestamp <= view.uncertainty_limit {
        return Err(MvccError::Uncertain { key: Key::copy_from(key), timestamp: current.timestamp });
    }
    // One seek answers both questions: is there an uncertain one, and if not, which one is visible.
    match history.newest_at(key, view.uncertainty_limit)? {
        Some(version) if version.timestamp > view.timestamp => {
            Err(MvccError::Uncertain { key: Key::copy_from(key), timestamp: version.timestamp })
        }
        Some(version) => Ok(version.value),
        None => Ok(None),
    }
}

/// The values of many keys, which must ascend strictly: a row for each, absent where there is no value. A key left
/// out because of a conflict ([`super::OnConflict::Skip`]) has no row.
pub fn get_many(reader: &dyn Reader, keys: &KeyBlock, view: &ReadView) -> Result<KvBlock, MvccError> {
    debug_assert!(keys.is_strictly_ascending());
    let mut rows = KvBlock::with_capacity(keys.len(), keys.byte_size());
    if keys.is_empty() {
        return Ok(rows);
    }
    let span = Span::new(keys.key(0), Key::copy_from(keys.key(keys.len() - 1)).next());
    let mut intents = IntentCursor::open(reader, &span, view, false)?;
    let mut current = SortedLookup::new(reader, &span, keys.len())?;
    let mut history = HistoryReader::of_span(reader, &span);
    let mut conflicts: Vec<Conflict> = Vec::new();
    for key in keys.iter() {
        if !intents.is_exhausted() {
            intents.advance_to(key)?;
            if intents.key() == Some(key) {
                match intents.take()?.1.meaning(key, view) {
                    Meaning::Invisible => {}
                    Meaning::Skip => continue,
                    Meaning::Conflict(conflict) => {
                        conflicts.push(conflict);
                        if conflicts.len() == CONFLICT_COUNT_MAX {
                            break;
                        }
                        continue;
                    }
                    Meaning::Own(value) => {
                        rows.push_row(kvapi::Row { key, value: value.as_deref() });
                        continue;
                    }
                }
            }
        }
        let value = match current.version(key)? {
            Some(version) if version.timestamp > view.timestamp => {
                superseded(&mut history, key, version, view)?
            }
            Some(version) => version.value,
            None => None,
        };
        rows.push_row(kvapi::Row { key, value });
    }
    if conflicts.is_empty() { Ok(rows) } else { Err(MvccError::Conflicts(conflicts)) }
}
