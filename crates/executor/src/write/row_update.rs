//! From old rows and assignments to new rows, written: shared by UPDATE and ON CONFLICT DO UPDATE.
//!
//! Nothing of the old row is copied. New values are appended to the batch as further columns, and everything that looks
//! at the new row (generated columns, checks, RETURNING, the encoders of index entries) is prepared to find each column where
//! it stands:
//!
//! ```text
//!   | old row: n columns | whatever else the source gives | assigned values | generated values |
//!   positions[c]:  c itself, or where its new value was appended
//! ```

use std::sync::Arc;

use expr::{Expr, Program};
use planner::plan::Assignment;
use types::compare::compare_rows;
use types::descriptor::{ColumnId, ForeignKey};
use types::row::RowEncoder;
use types::{Batch, PgResult};

use super::after::Event;
use super::change::{Change, ChangingIndex, change_rows};
use super::constraint::{CheckProgram, check_rows};
use super::entries::insert_check;
use super::foreign_key::{WrittenRows, check_parents};
use super::partial::PartialIndexes;
use super::stored_table::StoredTable;
use super::{WriteScope, WrittenTables};
use crate::error::ExecResult;
use crate::operator::Run;
use kvclient::InsertCheck;

pub(crate) struct RowUpdate {
    pub table: Arc<StoredTable>,
    assignments: Vec<Program>,
    generated: Vec<Program>,
    checks: Vec<CheckProgram>,
    old_partial: PartialIndexes,
    new_partial: PartialIndexes,
    /// Where the new row's columns stand.
    pub positions: Vec<usize>,
    /// Where the old row's columns stand.
    identity: Vec<usize>,
    /// Columns that get a new value.
    changed: Vec<usize>,
    not_null: Vec<usize>,
    indexes: Vec<ChangingIndex>,
    foreign_keys: Vec<ForeignKey>,
    /// Encodes the new primary key.
    primary: RowEncoder,
    written: WrittenTables,
}

/// The column of a batch, with column references moved by `position`.
fn moved(expr: &Expr, position: &dyn Fn(u32) -> u32) -> Expr {
    fn walk(expr: &mut Expr, position: &dyn Fn(u32) -> u32) {
        if let Expr::Column { index, .. } = expr {
            *index = position(*index);
        }
        expr.for_each_child_mut(&mut |child| walk(child, position));
    }
    let mut expr = expr.clone();
    walk(&mut expr, position);
    expr
}

impl RowUpdate {
    /// `width`: columns of the batches that rows come in, the old row first.
    pub fn new(
        scope: &WriteScope<'_>,
        assignments: &[Assignment],
        width: usize,
        written: &WrittenTables,
    ) -> PgResult<RowUpdate> {
        let table = StoredTable::of(scope.table)?;
        let columns = table.columns.len();
        let mut positions: Vec<usize> = (0..columns).collect();
        let mut changed = Vec::new();
        let targets = assignments.iter().map(|assignment| assignment.column);
        let targets = targets.chain(scope.generated.iter().map(|generated| generated.column));
        for (appended, column) in targets.enumerate() {
            positions[column as usize] = width + appended;
            changed.push(column as usize);
        }
        let to_new = |column: u32| positions.get(column as usize).map_or(column, |at| *at as u32);
        let generated =
            scope.generated.iter().map(|column| Program::new(&moved(&column.expression, &to_new)));
        let generated = generated.collect::<PgResult<_>>()?;
        let checks = scope.checks.iter();
        let checks = checks.map(|check| CheckProgram::new(check, &moved(&check.condition, &to_new)));
        let checks = checks.collect::<PgResult<_>>()?;
        let not_null = table.not_null.iter().copied().filter(|column| changed.contains(column)).collect();
        let referencing = table.descriptor.foreign_keys.iter();
        let foreign_keys = referencing.filter(|key| {
            table.positions(&key.columns).is_ok_and(|key| key.iter().any(|c| changed.contains(c)))
        });
        Ok(RowUpdate {
            assignments: assignments.iter().map(|it| Program::new(&it.value)).collect::<PgResult<_>>()?,
            old_partial: PartialIndexes::new(&table, scope.partial_indexes, &Clone::clone)?,
            new_partial: PartialIndexes::new(&table, scope.partial_indexes, &|it| moved(it, &to_new))?,
            generated,
            checks,
            identity: (0..columns).collect(),
            not_null,
            indexes: changing_indexes(&table, &changed, &positions, width + changed.len())?,
            foreign_keys: foreign_keys.cloned().collect(),
            primary: new_encoder(&table, 0, &positions, width + changed.len())?,
            written: written.clone(),
            changed,
            positions,
            table,
        })
    }

    /// An expression over the new row (then the source's further columns), moved to where they stand.
    pub fn over_new_row(&self, expr: &Expr) -> Expr {
        moved(expr, &|column| self.positions.get(column as usize).map_or(column, |at| *at as u32))
    }

    /// Whether the assignments change a column of a unique key: the row must be locked against KEY SHARE too.
    pub fn changes_keys(&self) -> bool {
        let unique = self.table.indexes.iter().enumerate().filter(|(at, index)| *at == 0 || index.unique);
        unique.flat_map(|(_, index)| &index.key).any(|column| self.changed.contains(column))
    }

    /// Computes, checks and writes the new rows of a batch of old ones. The batch then has the new values too.
    pub async fn update(&self, run: &mut Run, batch: Batch) -> ExecResult<Batch> {
        let check = insert_check(run);
        self.update_checked(run, batch, check).await
    }

    pub async fn update_checked(
        &self,
        run: &mut Run,
        mut batch: Batch,
        check: InsertCheck,
    ) -> ExecResult<Batch> {
        {
            let eval = run.eval();
            let mut values = Vec::with_capacity(self.assignments.len());
            for program in &self.assignments {
                values.push(program.evaluate(&eval, &batch)?.into_owned());
            }
            batch.columns.extend(values);
            for program in &self.generated {
                let value = program.evaluate(&eval, &batch)?.into_owned();
                batch.columns.push(value);
            }
            check_rows(&self.table, &self.not_null, &self.checks, &eval, &batch, &self.positions)?;
        }
        let (old_membership, new_membership) = {
            let eval = run.eval();
            (self.old_partial.membership(&eval, &batch)?, self.new_partial.membership(&eval, &batch)?)
        };
        let change = Change {
            old: &batch,
            new: &batch,
            new_positions: &self.positions,
            rows: batch.rows,
            old_membership: &old_membership,
            new_membership: &new_membership,
        };
        change_rows(run, &self.table, &self.indexes, &change, check).await?;
        for foreign_key in &self.foreign_keys {
            let rows = self.changed_rows(&batch, &self.table.positions(&foreign_key.columns)?);
            let written = WrittenRows {
                table: &self.table,
                batch: &batch,
                positions: &self.positions,
                rows: Some(&rows),
                primary: &self.primary,
            };
            check_parents(run, &written, foreign_key, &self.written).await?;
        }
        if !self.table.descriptor.referenced_by.is_empty() {
            let new = Some((&batch, self.positions.as_slice()));
            let changed = Some(self.changed.as_slice());
            Event::queue_parents(run, &self.table, (&batch, &self.identity), new, changed)?;
        }
        Ok(batch)
    }
}

impl RowUpdate {
    /// The rows in which one of these columns gets another value.
    fn changed_rows(&self, batch: &Batch, columns: &[usize]) -> Vec<u32> {
        let differs = |row: usize, column: usize| {
            let (old, new) = (&batch.columns[column], &batch.columns[self.positions[column]]);
            compare_rows(old, row, new, row, false, false).is_ne()
        };
        let rows = (0..batch.rows).filter(|row| columns.iter().any(|column| differs(*row, *column)));
        rows.map(|row| row as u32).collect()
    }
}

/// The indexes that hold a changed column; the primary one always.
fn changing_indexes(
    table: &StoredTable,
    changed: &[usize],
    positions: &[usize],
    width: usize,
) -> PgResult<Vec<ChangingIndex>> {
    let primary_changes = table.primary().key.iter().any(|column| changed.contains(column));
    let mut indexes = Vec::new();
    for (position, index) in table.indexes.iter().enumerate() {
        let touched = index.partial || index.holds.iter().any(|column| changed.contains(column));
        if position > 0 && !touched {
            continue;
        }
        indexes.push(ChangingIndex {
            position,
            old: old_encoder(table, position, width)?,
            new: new_encoder(table, position, positions, width)?,
            // The primary key stands in the keys of secondary indexes too.
            key_changes: primary_changes || index.key.iter().any(|column| changed.contains(column)),
        });
    }
    Ok(indexes)
}

/// Stands for a position that is not to be encoded: no column has this id.
const NO_COLUMN: ColumnId = ColumnId(0);

fn old_encoder(table: &StoredTable, index: usize, width: usize) -> PgResult<RowEncoder> {
    let mut inputs = table.columns.clone();
    inputs.resize(width, NO_COLUMN);
    RowEncoder::new(&table.descriptor, table.index_descriptor(index), &inputs)
}

fn new_encoder(table: &StoredTable, index: usize, positions: &[usize], width: usize) -> PgResult<RowEncoder> {
    let mut inputs = vec![NO_COLUMN; width];
    for (column, position) in positions.iter().enumerate() {
        inputs[*position] = table.columns[column];
    }
    RowEncoder::new(&table.descriptor, table.index_descriptor(index), &inputs)
}
