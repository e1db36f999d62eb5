//! [`SortedLookup`]: the current versions of many keys, asked for in ascending order.
//!
//! Two ways to look a key up: a `get`, which costs about the same anywhere and is helped by filters, and a step of a cursor, which costs
//! a fraction of that when the key is near and more when it is far. Which is right depends on how dense the keys are
//! asked for, which nobody knows beforehand: a bulk insert into an empty region is one seek and then comparisons with the one
//! key behind the region; a lookup join on random keys is all seeks. So a lookup of several keys begins with a cursor, and goes over to
//! gets when the cursor had to seek too often.

use keys::Span;

use super::version::Version;
use crate::{Cursor, CursorOptions, Keyspace, PinnedValue, Reader, StorageError};

/// From this many keys on a cursor is tried: opening one costs several gets, and the few keys of a small transaction lie far apart.
const CURSOR_COUNT_MIN: usize = 16;
/// Steps tried before a seek.
const STEPS_MAX: usize = 4;
/// After this many more seeks than hits nearby, gets are used.
const SEEKS_MAX: i32 = 4;

/// The current versions of keys asked for in ascending order.
pub(super) struct SortedLookup<'a> {
    reader: &'a dyn Reader,
    cursor: Option<Box<dyn Cursor + 'a>>,
    placed: bool,
    /// Seeks minus lookups that needed none.
    seeks: i32,
    pinned: Option<PinnedValue<'a>>,
}

impl<'a> SortedLookup<'a> {
    /// For `count` keys inside `span`.
    pub(super) fn new(
        reader: &'a dyn Reader,
        span: &Span,
        count: usize,
    ) -> Result<SortedLookup<'a>, StorageError> {
        let cursor = if count >= CURSOR_COUNT_MIN {
            // Without an upper bound: the key behind the region answers for all keys before it.
            let options = CursorOptions { lower: Some(&span.start), ..CursorOptions::default() };
            Some(reader.cursor(Keyspace::Current, options)?)
        } else {
            None
        };
        Ok(SortedLookup { reader, cursor, placed: false, seeks: 0, pinned: None })
    }

    /// The stored version of a key that is above all asked for before.
    pub(super) fn stored(&mut self, key: &[u8]) -> Result<Option<&[u8]>, StorageError> {
        if self.seeks > SEEKS_MAX {
            self.cursor = None;
        }
        let Some(cursor) = &mut self.cursor else {
            self.pinned = self.reader.get(Keyspace::Current, key)?;
            return Ok(self.pinned.as_deref());
        };
        let found = if self.placed {
            let (found, sought) = advance(&mut **cursor, key)?;
            self.seeks += if sought { 1 } else { -1 };
            self.seeks = self.seeks.max(-SEEKS_MAX);
            found
        } else {
            self.placed = true;
            cursor.seek(key)?
        };
        Ok(if found && cursor.key() == key { Some(cursor.value()) } else { None })
    }

    /// The current version of a key that is above all asked for before.
    pub(super) fn version(&mut self, key: &[u8]) -> Result<Option<Version<'_>>, StorageError> {
        self.stored(key)?.map(Version::decode).transpose()
    }
}

/// Brings a cursor forward to the first entry at or above `key`; tells whether it is at an entry, and whether it had to seek.
fn advance(cursor: &mut dyn Cursor, key: &[u8]) -> Result<(bool, bool), StorageError> {
    if !cursor.is_valid() {
        // It ran off the end, which is above everything asked for later.
        return Ok((false, false));
    }
    for _ in 0..STEPS_MAX {
        if cursor.key() >= key {
            return Ok((true, false));
        }
        if !cursor.next()? {
            return Ok((false, false));
        }
    }
    if cursor.key() >= key {
        return Ok((true, false));
    }
    Ok((cursor.seek(key)?, true))
}
