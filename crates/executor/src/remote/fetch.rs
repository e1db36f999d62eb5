//! From index entries to rows where those lie: a batch of entries gives primary keys, which are looked up all at once.

use kvclient::KeyBlock;
use planner::Table;
use types::descriptor::ColumnId;
use types::row::RowEncoder;
use types::{BATCH_ROWS_MAX, Batch, PgResult};

use super::fragment::{Fragment, Output, Relation, Step, key_columns};
use super::probe::{Found, Prober};
use crate::error::ExecResult;
use crate::operator::Run;
use crate::operators::missing_row;

/// What a batch of lookups may bring before the next ones are made smaller.
const BATCH_BYTES: usize = 4 << 20;
const BATCH_KEYS_MIN: usize = 16;

/// How many keys are looked up at once, by what those before have brought.
pub(crate) struct Pace(usize);

impl Pace {
    /// Begins with so many.
    pub fn from(keys: usize) -> Pace {
        Pace(keys.clamp(BATCH_KEYS_MIN, BATCH_ROWS_MAX))
    }

    pub fn keys(&self) -> usize {
        self.0
    }

    /// So many keys have brought so many bytes.
    pub fn learn(&mut self, keys: usize, bytes: usize) {
        let fitting = keys.saturating_mul(BATCH_BYTES) / bytes.max(1);
        self.0 = fitting.clamp(BATCH_KEYS_MIN, BATCH_ROWS_MAX);
    }
}

/// What is made of a table's rows.
pub(super) fn row_fragment(table: &Table, columns: &[ColumnId], steps: Vec<Step>) -> Fragment {
    Fragment { relation: Relation::of(table, 0, columns), steps, output: Output::Rows { limit: 0 } }
}

/// Of an index's entries: the primary keys of their rows.
pub(super) fn key_fragment(table: &Table, index: u32) -> Fragment {
    let relation = Relation::of(table, index, &key_columns(&table.descriptor));
    Fragment { relation, steps: Vec::new(), output: Output::Rows { limit: 0 } }
}

/// Fetches rows by their primary keys.
pub(super) struct RowFetch {
    encoder: RowEncoder,
    prober: Prober,
}

/// Rows of entries.
///
/// - The row of entry `i` is `found.rows[row_of[i]]`; `None`: the fragment has left it out.
pub(super) struct Fetched {
    pub found: Found,
    pub row_of: Vec<Option<u32>>,
}

impl RowFetch {
    /// `None`: the fragment cannot be sent.
    pub fn new(table: &Table, fragment: &Fragment, run: &Run) -> PgResult<Option<RowFetch>> {
        let Some(prober) = Prober::new(fragment, false, run)? else { return Ok(None) };
        let descriptor = &table.descriptor;
        let encoder = RowEncoder::new(descriptor, &descriptor.primary, &key_columns(descriptor))?;
        Ok(Some(RowFetch { encoder, prober }))
    }

    /// The rows' keys, of entries as [`key_fragment`] gives them.
    fn keys(&self, entries: &Batch) -> PgResult<Vec<Vec<u8>>> {
        let key = |row| {
            let mut key = Vec::with_capacity(32);
            self.encoder.encode_batch_key(entries, row, &mut key)?;
            Ok(key)
        };
        (0..entries.rows).map(key).collect()
    }

    /// The rows of entries. `None`: the fragment has met an error (see `probe`). XX002: a row is not there.
    pub async fn fetch(&self, entries: &Batch) -> ExecResult<Option<Fetched>> {
        let keys = self.keys(entries)?;
        let (ascending, position_of) = in_order(keys.iter().map(Some));
        let Some(found) = self.prober.probe(&ascending).await? else { return Ok(None) };
        if found.read != ascending.len() as u64 {
            return Err(missing_row().into());
        }
        let row_of = position_of.into_iter().map(|position| {
            let place = &found.places[position? as usize];
            (!place.is_empty()).then_some(place.start)
        });
        let row_of = row_of.collect();
        Ok(Some(Fetched { found, row_of }))
    }

    pub fn no_rows(&self) -> Batch {
        self.prober.no_rows()
    }

    /// The same in the order of the entries, without other nodes' help.
    pub async fn fetch_here(&self, entries: &Batch) -> ExecResult<Vec<Batch>> {
        let keys: KeyBlock = self.keys(entries)?.iter().map(Vec::as_slice).collect();
        self.prober.read_in_order(&keys).await
    }
}

/// Keys in ascending order, each once, and the position among them of each that was given.
pub(super) fn in_order<'a>(keys: impl Iterator<Item = Option<&'a Vec<u8>>>) -> (KeyBlock, Vec<Option<u32>>) {
    let mut sorted: Vec<(&[u8], usize)> = Vec::new();
    let mut position_of = Vec::new();
    for (at, key) in keys.enumerate() {
        sorted.extend(key.map(|key| (key.as_slice(), at)));
        position_of.push(None);
    }
    sorted.sort_unstable();
    let bytes = sorted.iter().map(|(key, _)| key.len()).sum();
    let mut ascending = KeyBlock::with_capacity(sorted.len(), bytes);
    let mut last: Option<&[u8]> = None;
    for (key, at) in sorted {
        if last != Some(key) {
            ascending.push(key);
            last = Some(key);
        }
        position_of[at] = Some(ascending.len() as u32 - 1);
    }
    (ascending, position_of)
}
