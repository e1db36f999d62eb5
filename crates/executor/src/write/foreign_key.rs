//! Foreign keys seen from the row that points: does the row pointed to exist?
//!
//! The parent's row is read under a KEY SHARE lock, which reads the newest version and keeps the parent from being deleted (or its
//! key changed) until this transaction ends. NULLs point nowhere.
//!
//! A row has one lock, that on its primary key; whoever changes or deletes the row takes that one. A parent that is found through a
//! secondary unique index is therefore locked by its primary key as well, and looked at again:
//!
//! ```text
//!   entry of the index, without lock, newest --> row by primary key, KEY SHARE --> has it the key asked for?
//!        ^                                                                              | no: it was changed meanwhile
//!        +------------------------------------------------------------------------------+
//! ```
//!
//! The entry itself is not locked. Who changes the row deletes the entry only with its commit: holding the entry while waiting for the
//! row would be a deadlock with that commit, and holding it afterwards would let a commit wait. Nothing is lost: while the row is
//! locked and has the key, the entry stands. Above READ COMMITTED the entry is read in the snapshot, and a row that is newer than that
//! ends in a restart, so that the second look always agrees there.

use std::sync::{Arc, Weak};

use expr::{CastContext, Expr, Program};
use kvclient::{Isolation, KeyBlock, KvError, Locking, RestartReason};
use parking_lot::Mutex;
use planner::Table;
use rustc_hash::{FxHashMap, FxHashSet};
use types::descriptor::{ColumnId, ForeignKey, IndexDescriptor, Oid, TableDescriptor};
use types::row::{KeyPrefixEncoder, RowEncoder};
use types::{Batch, ColumnType, DataType, PgResult, Vector};

use super::WrittenTables;
use super::after::Event;
use super::constraint::{key_text, missing_parent, mixed_nulls};
use super::stored_table::StoredTable;
use crate::error::ExecResult;
use crate::operator::Run;
use crate::operators::{Fetch, decode_block, missing_row};

/// Keys of parents found, remembered for one statement, at most.
const VERIFIED_KEYS_MAX: usize = 10_000;
/// Looks for parents whose keys others are changing, before the statement is done over.
const LOOKUPS_MAX: usize = 32;

/// Prepared lookups of parents, kept with the child while the parents' descriptors stay the same.
#[derive(Default)]
pub(crate) struct ParentCache(Mutex<FxHashMap<Oid, Arc<ParentLookup>>>);

/// How to find the parent of a row.
pub(crate) struct ParentLookup {
    parent: Weak<Table>,
    parent_name: Box<str>,
    encoder: KeyPrefixEncoder,
    /// Set when the index is a secondary one.
    row: Option<ParentRow>,
    /// Positions of the referencing columns in the child.
    columns: Vec<usize>,
    /// For each key column of the parent's index: which of `columns` it is, and the conversion to its type.
    parts: Vec<(usize, Option<Program>)>,
}

/// How to get from an entry of a secondary index to the parent's row, and back to the entry's key.
struct ParentRow {
    fetch: Fetch,
    entry: RowEncoder,
}

/// Parents known to exist, by foreign key.
#[derive(Default)]
pub(crate) struct VerifiedParents {
    keys: FxHashMap<Oid, FxHashSet<Vec<u8>>>,
    count: usize,
}

/// A conversion of column 0 from one type to another; `None` when they are the same.
pub(crate) fn conversion(from: DataType, to: DataType) -> PgResult<Option<Program>> {
    if from == to {
        return Ok(None);
    }
    let input = Box::new(Expr::column(0, from));
    let cast = Expr::Cast { input, to: ColumnType::from(to), context: CastContext::Implicit, position: 0 };
    Program::new(&cast).map(Some)
}

impl ParentLookup {
    /// The prepared lookup for a foreign key of `child`.
    pub fn of(run: &Run, child: &StoredTable, foreign_key: &ForeignKey) -> PgResult<Arc<ParentLookup>> {
        let parent = run.context.tables.table(foreign_key.referenced_table)?;
        let mut cache = child.parents.0.lock();
        if let Some(lookup) = cache.get(&foreign_key.id)
            && std::ptr::eq(lookup.parent.as_ptr(), Arc::as_ptr(&parent))
        {
            return Ok(lookup.clone());
        }
        let lookup = Arc::new(ParentLookup::new(child, &parent, foreign_key)?);
        cache.insert(foreign_key.id, lookup.clone());
        Ok(lookup)
    }

    fn new(child: &StoredTable, parent: &Arc<Table>, foreign_key: &ForeignKey) -> PgResult<ParentLookup> {
        let stored = StoredTable::of(parent)?;
        let index = stored.index_position(foreign_key.referenced_index)?;
        let descriptor = stored.index_descriptor(index);
        let columns = child.positions(&foreign_key.columns)?;
        let mut parts = Vec::with_capacity(descriptor.columns.len());
        for key in &descriptor.columns {
            let at = foreign_key.referenced_columns.iter().position(|column| *column == key.column);
            let at = at.ok_or_else(|| {
                types::PgError::internal(format!("foreign key {} does not fit its index", foreign_key.name))
            })?;
            let to = stored.types[stored.position(key.column)?];
            parts.push((at, conversion(child.types[columns[at]], to)?));
        }
        let row = if index == 0 { None } else { Some(ParentRow::new(&parent.descriptor, descriptor)?) };
        Ok(ParentLookup {
            parent: Arc::downgrade(parent),
            row,
            parent_name: parent.descriptor.name.as_str().into(),
            encoder: KeyPrefixEncoder::new(&parent.descriptor, descriptor)?,
            columns,
            parts,
        })
    }

    /// The parents' keys of some rows of the referencing columns, none of them NULL.
    fn keys(&self, run: &Run, vectors: &[&Vector], rows: &[u32]) -> PgResult<Vec<Vec<u8>>> {
        let mut converted: Vec<Option<Vector>> = Vec::with_capacity(self.parts.len());
        for (at, program) in &self.parts {
            converted.push(match program {
                None => None,
                Some(program) => {
                    let batch = Batch { columns: vec![vectors[*at].clone()], rows: vectors[*at].len() };
                    Some(program.evaluate(&run.eval(), &batch)?.into_owned())
                }
            });
        }
        rows.iter()
            .map(|row| {
                let mut key = Vec::with_capacity(32);
                self.encoder.start(&mut key);
                for (position, ((at, _), converted)) in self.parts.iter().zip(&converted).enumerate() {
                    let vector = converted.as_ref().unwrap_or(vectors[*at]);
                    self.encoder.append_from(position, vector, *row as usize, &mut key)?;
                }
                Ok(key)
            })
            .collect()
    }
}

impl ParentRow {
    fn new(table: &TableDescriptor, index: &IndexDescriptor) -> PgResult<ParentRow> {
        let mut wanted: Vec<ColumnId> = Vec::new();
        for part in index.columns.iter().chain(&table.primary.columns) {
            if !wanted.contains(&part.column) {
                wanted.push(part.column);
            }
        }
        let entry = RowEncoder::new(table, index, &wanted)?;
        Ok(ParentRow { fetch: Fetch::new(table, index, &wanted)?, entry })
    }

    /// Locks the rows of parents, given by their keys in the index. Answers with which are there.
    async fn lock(&self, run: &Run, parents: &KeyBlock) -> ExecResult<Vec<bool>> {
        let txn = &run.context.txn;
        let mut found = vec![false; parents.len()];
        let mut open: Vec<usize> = (0..parents.len()).collect();
        for _ in 0..LOOKUPS_MAX {
            run.check_cancelled()?;
            let asked: KeyBlock = open.iter().map(|at| parents.key(*at)).collect();
            let entries = txn.multi_get_newest(&asked).await?;
            let present = open.iter().zip(entries.iter()).filter(|(_, entry)| entry.value.is_some());
            open = present.map(|(at, _)| *at).collect();
            if open.is_empty() {
                return Ok(found);
            }
            let rows = txn.multi_get(&self.fetch.row_keys(&entries)?, Locking::KEY_SHARE).await?;
            let batch = decode_block(self.fetch.decoder(), &rows)?;
            let (mut key, mut next) = (Vec::new(), 0);
            for (at, row) in open.iter().zip(rows.iter()) {
                if row.value.is_some() {
                    key.clear();
                    self.entry.encode_batch_key(&batch, next, &mut key)?;
                    found[*at] = key == parents.key(*at);
                    next += 1;
                }
            }
            open.retain(|at| !found[*at]);
            if open.is_empty() {
                return Ok(found);
            }
        }
        if txn.isolation() != Isolation::ReadCommitted {
            return Err(missing_row().into());
        }
        let (reason, timestamp) = (RestartReason::WriteTooOld, txn.read_timestamp());
        Err(KvError::Restart { reason, timestamp, key: None }.into())
    }
}

/// Rows that were written, in a batch whose layout `positions` tells.
pub(crate) struct WrittenRows<'a> {
    pub table: &'a Arc<StoredTable>,
    pub batch: &'a Batch,
    /// Where the table's columns stand.
    pub positions: &'a [usize],
    /// Which rows; `None`: all.
    pub rows: Option<&'a [u32]>,
    /// Encodes the primary key from `batch`.
    pub primary: &'a RowEncoder,
}

/// Sees to it that rows have the parents that a foreign key asks for: at once, after the statement, or with the commit.
pub(crate) async fn check_parents(
    run: &mut Run,
    written: &WrittenRows<'_>,
    foreign_key: &ForeignKey,
    other_tables: &WrittenTables,
) -> ExecResult<()> {
    let table = written.table;
    let columns = table.positions(&foreign_key.columns)?;
    let vectors: Vec<&Vector> =
        columns.iter().map(|column| &written.batch.columns[written.positions[*column]]).collect();
    let pointing = pointing_rows(table, foreign_key, &vectors, written.rows, written.batch.rows)?;
    if pointing.is_empty() {
        return Ok(());
    }
    let checks = &run.context.deferred_checks;
    if foreign_key.deferrable && checks.is_deferred(foreign_key.id, foreign_key.initially_deferred) {
        for row in &pointing {
            let mut key = Vec::new();
            written.primary.encode_batch_key(written.batch, *row as usize, &mut key)?;
            checks.defer(&table.descriptor, foreign_key.id, key);
        }
        return Ok(());
    }
    let parent = foreign_key.referenced_table;
    if parent == table.descriptor.id || other_tables.contains(parent) {
        let columns = vectors.iter().map(|vector| vector.gather(&pointing)).collect();
        let rows = Batch { columns, rows: pointing.len() };
        return run.after.push(Event::Child { table: table.clone(), foreign_key: foreign_key.id, rows });
    }
    find_parents(run, table, foreign_key, &vectors, &pointing).await
}

/// The rows without a NULL among the referencing columns. 23503 for MATCH FULL with some.
fn pointing_rows(
    table: &StoredTable,
    foreign_key: &ForeignKey,
    vectors: &[&Vector],
    rows: Option<&[u32]>,
    all: usize,
) -> PgResult<Vec<u32>> {
    let mut pointing = Vec::new();
    let mut look = |row: u32| {
        let nulls = vectors.iter().filter(|vector| vector.is_null(row as usize)).count();
        if nulls == 0 {
            pointing.push(row);
        } else if foreign_key.match_full && nulls < vectors.len() {
            return Err(mixed_nulls(table, foreign_key));
        }
        Ok(())
    };
    match rows {
        Some(rows) => rows.iter().try_for_each(|row| look(*row))?,
        None => (0..all as u32).try_for_each(look)?,
    }
    Ok(pointing)
}

/// 23503 unless every one of these rows of the referencing columns has its parent.
pub(crate) async fn find_parents(
    run: &mut Run,
    table: &StoredTable,
    foreign_key: &ForeignKey,
    vectors: &[&Vector],
    rows: &[u32],
) -> ExecResult<()> {
    let lookup = ParentLookup::of(run, table, foreign_key)?;
    let keys = lookup.keys(run, vectors, rows)?;
    let verified = &mut run.after.verified;
    let known = verified.keys.entry(foreign_key.id).or_default();
    let mut asked = KeyBlock::new();
    let mut asked_rows = Vec::new();
    let mut asked_keys: FxHashSet<&[u8]> = FxHashSet::default();
    for (key, row) in keys.iter().zip(rows) {
        if !known.contains(key) && asked_keys.insert(key) {
            asked.push(key);
            asked_rows.push(*row);
        }
    }
    if asked.is_empty() {
        return Ok(());
    }
    let found = match &lookup.row {
        Some(row) => row.lock(run, &asked).await?,
        None => {
            let rows = run.context.txn.multi_get(&asked, Locking::KEY_SHARE).await?;
            rows.iter().map(|row| row.value.is_some()).collect()
        }
    };
    for (found, row) in found.into_iter().zip(&asked_rows) {
        if !found {
            let format = &run.context.session.format;
            let key = key_text(&table.descriptor, &lookup.columns, vectors, *row as usize, format);
            return Err(missing_parent(table, foreign_key, &key, &lookup.parent_name).into());
        }
    }
    let verified = &mut run.after.verified;
    if verified.count + asked.len() <= VERIFIED_KEYS_MAX {
        verified.count += asked.len();
        let known = verified.keys.entry(foreign_key.id).or_default();
        known.extend(asked.iter().map(<[u8]>::to_vec));
    }
    Ok(())
}

impl VerifiedParents {
    /// The statement's own later work may take parents away.
    pub fn forget(&mut self) {
        self.keys.clear();
        self.count = 0;
    }
}
