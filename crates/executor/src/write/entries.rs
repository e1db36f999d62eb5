//! The index entries of new rows.

use kvclient::{InsertCheck, KvBlock};
use types::Batch;
use types::descriptor::ElementState;

use super::partial::Membership;
use super::stored_table::StoredTable;
use crate::error::ExecResult;
use crate::operator::Run;

/// A row whose key in a unique index is taken, by the entry told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Collision {
    pub row: usize,
    /// Position in `all_indexes()`.
    pub index: usize,
    pub key: Vec<u8>,
    pub value: Vec<u8>,
    /// The transaction may not see it: see [`kvclient::Conflict`].
    pub is_newer: bool,
}

/// Entries of a batch of new rows, in the order of the rows.
///
/// - `owners[i]` is the row and index of entry `i` of `checked`.
#[derive(Default)]
pub(crate) struct NewEntries {
    /// Keys that must be free.
    checked: KvBlock,
    owners: Vec<(u32, u16)>,
    plain: KvBlock,
}

impl NewEntries {
    pub fn push_checked(&mut self, row: usize, index: usize, key: &[u8], value: &[u8]) {
        self.checked.push(key, value);
        self.owners.push((row as u32, index as u16));
    }

    pub fn push_plain(&mut self, key: &[u8], value: &[u8]) {
        self.plain.push(key, value);
    }

    /// Writes them; nothing is written when a key is taken.
    pub async fn write(&self, run: &Run, check: InsertCheck) -> ExecResult<Option<Collision>> {
        let txn = &run.context.txn;
        if !self.checked.is_empty()
            && let Some(conflict) = txn.insert(&self.checked, check).await?
        {
            let (row, index) = self.owners[conflict.index];
            let (key, value, is_newer) = (conflict.key, conflict.value, conflict.is_newer);
            return Ok(Some(Collision { row: row as usize, index: index as usize, key, value, is_newer }));
        }
        if !self.plain.is_empty() {
            txn.write(&self.plain).await?;
        }
        Ok(None)
    }
}

/// Inserts rows of a batch (all, or a selection) that has all of a table's columns.
pub(crate) async fn insert_rows(
    run: &Run,
    table: &StoredTable,
    batch: &Batch,
    membership: &Membership,
    rows: Option<&[u32]>,
    check: InsertCheck,
) -> ExecResult<Option<Collision>> {
    let mut entries = NewEntries::default();
    let (mut key, mut value) = (Vec::with_capacity(48), Vec::with_capacity(128));
    let count = rows.map_or(batch.rows, <[u32]>::len);
    for at in 0..count {
        let row = rows.map_or(at, |rows| rows[at] as usize);
        for (position, index) in table.indexes.iter().enumerate() {
            if index.state == ElementState::DeleteOnly || !membership.has(position, row) {
                continue;
            }
            key.clear();
            value.clear();
            index.encoder.encode_batch_row(batch, row, &mut key, &mut value)?;
            // A rowid was drawn to be unique.
            let unique = if position == 0 {
                table.rowid.is_none()
            } else {
                index.unique && index.encoder.is_unique_batch_entry(batch, row)
            };
            if unique {
                entries.push_checked(row, position, &key, &value);
            } else {
                entries.push_plain(&key, &value);
            }
        }
    }
    entries.write(run, check).await
}

/// When a statement's inserts find out that a key is taken.
pub(crate) fn insert_check(run: &Run) -> InsertCheck {
    if run.context.implicit { InsertCheck::AtCommit } else { InsertCheck::Now }
}
