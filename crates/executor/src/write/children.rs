//! Foreign keys seen from the row that is pointed to: who points here, and what becomes of them.
//!
//! Children are found through an index of the child's whose leading columns are the referencing ones (in any order), key by
//! key, or, without one, by one scan of the child with the parents' keys in a hash set. Found rows are locked by
//! primary key and looked at again.
//!
//! Reads go by the statement's newest snapshot. That suffices: a child written later than that must have locked its parent,
//! which this transaction holds; under SERIALIZABLE the reads are refreshed at commit. REPEATABLE READ refreshes nothing, so
//! there the search itself takes KEY SHARE locks, which see the newest versions.

use std::sync::Arc;

use expr::Expr;
use keys::Span;
use kvclient::{Isolation, KeyBlock, Locking, ScanOptions};
use planner::plan::Assignment;
use types::compare::compare_rows;
use types::descriptor::{ColumnId, ElementState, ForeignKeyAction};
use types::row::{KeyPrefixEncoder, RowDecoder};
use types::{BATCH_ROWS_MAX, Batch, Datum, PgError, PgResult, Vector};

use super::after::{Event, ParentEvent};
use super::change::delete_rows;
use super::constraint::{key_text, still_referenced};
use super::foreign_key::conversion;
use super::partial::PartialIndexes;
use super::row_update::RowUpdate;
use super::stored_table::StoredTable;
use super::{WriteScope, WrittenTables};
use crate::error::ExecResult;
use crate::operator::Run;
use crate::operators::{Fetch, RowSet, decode_block, hash_rows};
use kvclient::InsertCheck;

/// Looks for the children of some parents.
///
/// - `keys` are the parents' keys in the child's types, in the foreign key's order.
struct Search {
    child: Arc<StoredTable>,
    columns: Vec<usize>,
    keys: Batch,
}

/// Children by primary key, each with the parent (a row of the keys) that it points to.
#[derive(Default)]
struct Found {
    keys: Vec<Vec<u8>>,
    parents: Vec<u32>,
}

impl Search {
    fn new(run: &Run, event: &ParentEvent, keys: &Batch) -> PgResult<Search> {
        let child = StoredTable::of(&event.child)?;
        let columns = child.positions(&event.foreign_key.columns)?;
        let converted = keys.columns.iter().zip(&columns);
        let converted = converted.map(|(vector, column)| convert(run, vector, child.types[*column]));
        let keys = Batch { columns: converted.collect::<PgResult<_>>()?, rows: keys.rows };
        Ok(Search { child, columns, keys })
    }

    async fn find(&self, run: &Run) -> ExecResult<Found> {
        let index = (0..self.child.indexes.len()).find_map(|at| Some((at, self.key_order(at)?)));
        match index {
            Some((index, order)) => self.find_by_index(run, index, &order).await,
            None => self.find_by_scan(run).await,
        }
    }

    /// For each leading key column of an index, which referencing column it is; `None` when the index does not serve.
    fn key_order(&self, index: usize) -> Option<Vec<usize>> {
        let stored = &self.child.indexes[index];
        if stored.state != ElementState::Public || stored.key.len() < self.columns.len() {
            return None;
        }
        let leading = stored.key[..self.columns.len()].iter();
        leading.map(|position| self.columns.iter().position(|column| column == position)).collect()
    }

    fn locking(run: &Run) -> Locking {
        match run.context.txn.isolation() {
            Isolation::Snapshot => Locking::KEY_SHARE,
            _ => Locking::NONE,
        }
    }

    async fn find_by_index(&self, run: &Run, index: usize, order: &[usize]) -> ExecResult<Found> {
        let table = &self.child.descriptor;
        let descriptor = self.child.index_descriptor(index);
        let encoder = KeyPrefixEncoder::new(table, descriptor)?;
        let no_columns: &[ColumnId] = &[];
        let fetch = if index == 0 { None } else { Some(Fetch::new(table, descriptor, no_columns)?) };
        let mut found = Found::default();
        for parent in 0..self.keys.rows {
            if self.keys.columns.iter().any(|column| column.is_null(parent)) {
                continue;
            }
            let mut prefix = Vec::with_capacity(48);
            encoder.start(&mut prefix);
            for (position, column) in order.iter().enumerate() {
                encoder.append_from(position, &self.keys.columns[*column], parent, &mut prefix)?;
            }
            let options = ScanOptions::forward(Span::prefix(prefix)).locking(Self::locking(run));
            let mut scan = run.context.txn.scan(options);
            while let Some(page) = scan.next_page(&run.context.txn).await? {
                run.pause().await?;
                match &fetch {
                    None => found.add(page.iter().map(|row| row.key), parent),
                    Some(fetch) => found.add(fetch.row_keys(&page)?.iter(), parent),
                }
            }
        }
        Ok(found)
    }

    async fn find_by_scan(&self, run: &Run) -> ExecResult<Found> {
        let table = &self.child.descriptor;
        let wanted: Vec<ColumnId> = self.columns.iter().map(|column| self.child.columns[*column]).collect();
        let decoder = RowDecoder::new(table, &table.primary, &wanted)?;
        let types = self.keys.columns.iter().map(|column| column.data_type).collect();
        let mut wanted_keys = RowSet::new(&run.context.memory, types);
        let mut numbers = Vec::new();
        wanted_keys.number(&self.keys.columns.iter().collect::<Vec<_>>(), self.keys.rows, &mut numbers);
        let options = ScanOptions::forward(types::row::index_span(table, &table.primary));
        let mut scan = run.context.txn.scan(options.locking(Self::locking(run)));
        let mut found = Found::default();
        let mut hashes = Vec::new();
        while let Some(page) = scan.next_page(&run.context.txn).await? {
            run.pause().await?;
            let batch = decode_block(&decoder, &page)?;
            let columns: Vec<&Vector> = batch.columns.iter().collect();
            hash_rows(&columns, batch.rows, &mut hashes);
            for (row, hash) in hashes.iter().enumerate() {
                let null = columns.iter().any(|column| column.is_null(row));
                if !null && let Some(number) = wanted_keys.find(&columns, row, *hash) {
                    let parent = numbers.iter().position(|other| *other == number).unwrap_or(0);
                    found.add(std::iter::once(page.key(row)), parent);
                }
            }
        }
        Ok(found)
    }

    /// Locks some children and reads them: those that are still there and still point to their parent, with it.
    async fn lock(
        &self,
        run: &Run,
        keys: &[Vec<u8>],
        parents: &[u32],
        locking: Locking,
    ) -> ExecResult<(Batch, Vec<u32>)> {
        let block: KeyBlock = keys.iter().map(Vec::as_slice).collect();
        let rows = run.context.txn.multi_get(&block, locking).await?;
        let batch = decode_block(&self.child.decoder, &rows)?;
        let present = rows.iter().zip(parents).filter(|(row, _)| row.value.is_some());
        let (mut selection, mut chosen) = (Vec::new(), Vec::new());
        for (row, (_, parent)) in present.enumerate() {
            let points = self.columns.iter().zip(&self.keys.columns).all(|(column, key)| {
                compare_rows(&batch.columns[*column], row, key, *parent as usize, false, false).is_eq()
            });
            if points {
                selection.push(row as u32);
                chosen.push(*parent);
            }
        }
        let batch = if selection.len() == batch.rows { batch } else { batch.gather(&selection) };
        Ok((batch, chosen))
    }
}

impl Found {
    fn add<'a>(&mut self, keys: impl Iterator<Item = &'a [u8]>, parent: usize) {
        self.keys.extend(keys.map(<[u8]>::to_vec));
        self.parents.resize(self.keys.len(), parent as u32);
    }

    /// In pieces that are locked and written together.
    fn chunks(&self) -> impl Iterator<Item = (&[Vec<u8>], &[u32])> {
        self.keys.chunks(BATCH_ROWS_MAX).zip(self.parents.chunks(BATCH_ROWS_MAX))
    }
}

/// A parent's key in the child's type; NULL where it has no such value (then nothing can point to it).
fn convert(run: &Run, vector: &Vector, to: types::DataType) -> PgResult<Vector> {
    let Some(program) = conversion(vector.data_type, to)? else { return Ok(vector.clone()) };
    let eval = run.eval();
    let whole = Batch { columns: vec![vector.clone()], rows: vector.len() };
    if let Ok(converted) = program.evaluate(&eval, &whole) {
        return Ok(converted.into_owned());
    }
    let mut converted = Vector::with_capacity(to, vector.len());
    for row in 0..vector.len() {
        let one = Batch { columns: vec![vector.slice(row..row + 1)], rows: 1 };
        let value = program.evaluate(&eval, &one).map(|value| value.datum(0));
        converted.push(&value.unwrap_or(Datum::Null));
    }
    Ok(converted)
}

/// NO ACTION and RESTRICT: 23503 when anybody still points to one of the keys.
pub(super) async fn refuse_children(run: &mut Run, event: &ParentEvent) -> ExecResult<()> {
    let old = match event.foreign_key.on_delete {
        _ if event.action() == ForeignKeyAction::Restrict => event.old.clone(),
        _ => without_successor(run, event).await?,
    };
    if old.rows == 0 {
        return Ok(());
    }
    let search = Search::new(run, event, &old)?;
    let found = search.find(run).await?;
    for (keys, parents) in found.chunks() {
        let (_, pointing) = search.lock(run, keys, parents, Locking::KEY_SHARE).await?;
        if let Some(parent) = pointing.first() {
            let columns = event.parent.positions(&event.foreign_key.referenced_columns)?;
            let vectors: Vec<&Vector> = old.columns.iter().collect();
            let format = &run.context.session.format;
            let key = key_text(&event.parent.descriptor, &columns, &vectors, *parent as usize, format);
            return Err(still_referenced(&event.parent, &search.child, &event.foreign_key, &key).into());
        }
    }
    Ok(())
}

/// The keys that no other row has taken over in the meantime.
async fn without_successor(run: &Run, event: &ParentEvent) -> ExecResult<Batch> {
    let parent = &event.parent;
    let index = parent.index_position(event.foreign_key.referenced_index)?;
    let descriptor = parent.index_descriptor(index);
    let encoder = KeyPrefixEncoder::new(&parent.descriptor, descriptor)?;
    let referenced = &event.foreign_key.referenced_columns;
    let order = descriptor.columns.iter();
    let order = order.map(|key| referenced.iter().position(|column| *column == key.column));
    let order: Option<Vec<usize>> = order.collect();
    let order = order.ok_or_else(|| PgError::internal("a foreign key does not fit its index"))?;
    let mut keys = KeyBlock::new();
    for row in 0..event.old.rows {
        let mut key = Vec::with_capacity(32);
        encoder.start(&mut key);
        for (position, column) in order.iter().enumerate() {
            encoder.append_from(position, &event.old.columns[*column], row, &mut key)?;
        }
        keys.push(&key);
    }
    let rows = run.context.txn.multi_get(&keys, Locking::NONE).await?;
    let gone: Vec<u32> =
        (0..event.old.rows).filter(|row| rows.value(*row).is_none()).map(|row| row as u32).collect();
    Ok(event.old.gather(&gone))
}

/// A deferred NO ACTION: whoever points to one of the keys now must have a parent at the end of the transaction.
pub(super) async fn defer_children(run: &mut Run, event: &ParentEvent) -> ExecResult<()> {
    let search = Search::new(run, event, &event.old)?;
    let found = search.find(run).await?;
    for key in found.keys {
        run.context.deferred_checks.defer(&search.child.descriptor, event.foreign_key.id, key);
    }
    Ok(())
}

/// CASCADE, SET NULL, SET DEFAULT.
pub(super) async fn act_on_children(run: &mut Run, event: &ParentEvent) -> ExecResult<()> {
    let search = Search::new(run, event, &event.old)?;
    let found = search.find(run).await?;
    if found.keys.is_empty() {
        return Ok(());
    }
    let deletes = event.new.is_none() && event.action() == ForeignKeyAction::Cascade;
    if deletes {
        let identity: Vec<usize> = (0..search.child.columns.len()).collect();
        let bound = super::bound_expressions(run, &event.child)?;
        let partial = PartialIndexes::new(&search.child, &bound.partial_indexes, &Clone::clone)?;
        for (keys, parents) in found.chunks() {
            let (rows, _) = search.lock(run, keys, parents, Locking::UPDATE).await?;
            let membership = partial.membership(&run.eval(), &rows)?;
            delete_rows(run, &search.child, &rows, &membership).await?;
            Event::queue_parents(run, &search.child, (&rows, &identity), None, None)?;
        }
        return Ok(());
    }
    let update = update_of(run, event, &search)?;
    let locking = if update.changes_keys() { Locking::UPDATE } else { Locking::NO_KEY_UPDATE };
    for (keys, parents) in found.chunks() {
        let (mut rows, parents) = search.lock(run, keys, parents, locking).await?;
        if rows.rows == 0 {
            continue;
        }
        let values = new_values(run, event, &search, &parents)?;
        rows.columns.extend(values);
        update.update_checked(run, rows, InsertCheck::Now).await?;
    }
    Ok(())
}

/// Sets the referencing columns to values that stand behind the row.
fn update_of(run: &Run, event: &ParentEvent, search: &Search) -> PgResult<RowUpdate> {
    let width = search.child.columns.len();
    let assignments: Vec<Assignment> = search
        .columns
        .iter()
        .enumerate()
        .map(|(at, column)| Assignment {
            column: *column as u32,
            value: Expr::column((width + at) as u32, search.child.types[*column]),
        })
        .collect();
    let bound = super::bound_expressions(run, &event.child)?;
    let scope = WriteScope {
        table: &event.child,
        generated: &bound.generated,
        checks: &bound.checks,
        partial_indexes: &bound.partial_indexes,
    };
    RowUpdate::new(&scope, &assignments, width + search.columns.len(), &WrittenTables::default())
}

/// The referencing columns' new values for children of these parents.
fn new_values(run: &Run, event: &ParentEvent, search: &Search, parents: &[u32]) -> PgResult<Vec<Vector>> {
    let columns = search.columns.iter().enumerate();
    columns
        .map(|(at, column)| {
            let data_type = search.child.types[*column];
            match (event.action(), &event.new) {
                (ForeignKeyAction::Cascade, Some(new)) => {
                    convert(run, &new.columns[at].gather(parents), data_type)
                }
                (ForeignKeyAction::SetDefault, _) => {
                    super::default_values(run, &event.child, *column, parents.len())
                }
                _ => Ok(Vector::constant(&Datum::Null, data_type, parents.len())),
            }
        })
        .collect()
}
