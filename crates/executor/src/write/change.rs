//! Changed rows: which index entries change with them.
//!
//! Per index and row, the old entry and the new one are compared as bytes:
//!
//! | key | value | write |
//! | --- | --- | --- |
//! | same | same | nothing (the primary index: the row, all the same, so that a locked row is seen to have been written) |
//! | same | other | put |
//! | other | | delete the old key, insert the new one |
//!
//! All old keys of a batch are deleted before new ones are inserted, so that rows may take over one another's keys.
//!
//! Whoever inserts locks the keys of unique indexes that it wants, and so does here who takes them away, before it deletes them: an
//! insert of a key whose row is on its way out waits for that, and no commit waits for a lock of somebody who has looked at the key
//! meanwhile. A statement that commits by itself leaves that to its commit. The row itself is locked already.

use kvclient::{InsertCheck, KeyBlock, Locking};
use types::Batch;
use types::descriptor::ElementState;
use types::row::RowEncoder;

use super::constraint::unique_violation;
use super::entries::{NewEntries, insert_check};
use super::partial::Membership;
use super::stored_table::StoredTable;
use crate::error::ExecResult;
use crate::operator::Run;

/// An index whose entries may change. `old` and `new` are given the batches of the same names.
pub(crate) struct ChangingIndex {
    /// Position in `all_indexes()`.
    pub position: usize,
    pub old: RowEncoder,
    pub new: RowEncoder,
    /// Some column of the key is assigned.
    pub key_changes: bool,
}

/// The old and the new form of rows; both may be one batch in which the columns stand twice.
pub(crate) struct Change<'a> {
    pub old: &'a Batch,
    pub new: &'a Batch,
    /// Where the new values of the table's columns stand in `new`.
    pub new_positions: &'a [usize],
    pub rows: usize,
    pub old_membership: &'a Membership,
    pub new_membership: &'a Membership,
}

/// Scratch for encoding.
#[derive(Default)]
struct Encoded {
    old_key: Vec<u8>,
    old_value: Vec<u8>,
    key: Vec<u8>,
    value: Vec<u8>,
}

/// Writes changed rows. 23505 when a new key is taken.
pub(crate) async fn change_rows(
    run: &Run,
    table: &StoredTable,
    indexes: &[ChangingIndex],
    change: &Change<'_>,
    check: InsertCheck,
) -> ExecResult<()> {
    let mut entries = NewEntries::default();
    let mut inserts = false;
    let mut scratch = Encoded::default();
    let mut old = OldEntries::default();
    for row in 0..change.rows {
        for index in indexes {
            inserts |= change_entry(run, table, index, change, row, &mut scratch, (&mut old, &mut entries))?;
        }
    }
    old.delete(run, check).await?;
    if inserts && let Some(collision) = entries.write(run, check).await? {
        let format = &run.context.session.format;
        let (row, index) = (collision.row, collision.index);
        return Err(unique_violation(table, index, change.new, change.new_positions, row, format).into());
    }
    run.context.txn.flow().await?;
    Ok(())
}

/// Deletes, puts, or leaves an entry for later insertion (true).
fn change_entry(
    run: &Run,
    table: &StoredTable,
    index: &ChangingIndex,
    change: &Change<'_>,
    row: usize,
    scratch: &mut Encoded,
    (old, entries): (&mut OldEntries, &mut NewEntries),
) -> ExecResult<bool> {
    let txn = &run.context.txn;
    let stored = &table.indexes[index.position];
    let Encoded { old_key, old_value, key, value } = scratch;
    let was_in = change.old_membership.has(index.position, row);
    let is_in = change.new_membership.has(index.position, row);
    key.clear();
    value.clear();
    index.new.encode_batch_row(change.new, row, key, value)?;
    if index.key_changes || was_in != is_in {
        old_key.clear();
        index.old.encode_batch_key(change.old, row, old_key)?;
        if old_key != key || was_in != is_in {
            if was_in {
                let unique = stored.unique && index.old.is_unique_batch_entry(change.old, row);
                old.push(index.position, unique, old_key);
            }
            if stored.state == ElementState::DeleteOnly || !is_in {
                return Ok(false);
            }
            if index.position == 0 || (stored.unique && index.new.is_unique_batch_entry(change.new, row)) {
                entries.push_checked(row, index.position, key, value);
            } else {
                entries.push_plain(key, value);
            }
            return Ok(true);
        }
    }
    if stored.state == ElementState::DeleteOnly || !is_in {
        return Ok(false);
    }
    if index.position > 0 {
        old_value.clear();
        index.old.encode_batch_value(change.old, row, old_value);
        if old_value == value && stored.state == ElementState::Public {
            return Ok(false);
        }
    }
    txn.put(key, value)?;
    Ok(false)
}

/// Deletes all entries of rows, given with all of the table's columns.
pub(crate) async fn delete_rows(
    run: &Run,
    table: &StoredTable,
    batch: &Batch,
    membership: &Membership,
) -> ExecResult<()> {
    let mut old = OldEntries::default();
    let mut key = Vec::with_capacity(48);
    for row in 0..batch.rows {
        for (position, index) in table.indexes.iter().enumerate() {
            // Another row may have an entry of the same unique key.
            if !membership.has(position, row) {
                continue;
            }
            key.clear();
            index.encoder.encode_batch_key(batch, row, &mut key)?;
            let unique = index.unique && index.encoder.is_unique_batch_entry(batch, row);
            old.push(position, unique, &key);
        }
    }
    old.delete(run, insert_check(run)).await?;
    run.context.txn.flow().await?;
    Ok(())
}

/// Entries to be deleted.
#[derive(Default)]
struct OldEntries {
    keys: KeyBlock,
    /// Those among them that others may want to insert, and that the lock of the row does not cover.
    contended: KeyBlock,
}

impl OldEntries {
    /// `position`: of the index in `all_indexes()`. `unique`: the entry keeps others with the same values out.
    fn push(&mut self, position: usize, unique: bool, key: &[u8]) {
        self.keys.push(key);
        if position > 0 && unique {
            self.contended.push(key);
        }
    }

    async fn delete(&self, run: &Run, check: InsertCheck) -> ExecResult<()> {
        let txn = &run.context.txn;
        if check == InsertCheck::Now && !self.contended.is_empty() {
            txn.multi_get(&self.contended, Locking::UPDATE).await?;
        }
        for key in self.keys.iter() {
            txn.delete(key)?;
        }
        Ok(())
    }
}
