//! INSERT.
//!
//! Rows come in batches of hundreds; a batch is completed (rowid, generated columns), checked, encoded and written with one
//! call to the KV layer, whatever the number of indexes.

use std::sync::Arc;

use async_trait::async_trait;
use expr::Program;
use kvclient::UNIQUE_NUMBER_STEP;
use planner::plan::{GeneratedColumn, Insert};
use types::descriptor::ForeignKey;
use types::{Batch, PgError, PgResult, Values, Vector};

use super::WrittenTables;
use super::constraint::{CheckProgram, check_rows, unique_violation};
use super::entries::{insert_check, insert_rows};
use super::foreign_key::{WrittenRows, check_parents};
use super::on_conflict::{ConflictState, ConflictSteps};
use super::partial::PartialIndexes;
use super::stored_table::StoredTable;
use crate::error::ExecResult;
use crate::operator::{BoxedOperator, Node, NodeRef, Operator, Run};
use crate::program::Projection;

pub(crate) struct InsertNode {
    source: NodeRef,
    pub(super) rows: NewRows,
    conflict: Option<ConflictSteps>,
    returning: Option<Projection>,
    /// Its rows are those that the command tag counts.
    counts: bool,
}

/// How proposed rows become complete and lawful.
pub(crate) struct NewRows {
    pub table: Arc<StoredTable>,
    generated: Vec<(usize, Program)>,
    checks: Vec<CheckProgram>,
    pub partial: PartialIndexes,
    /// 0, 1, 2 ...: a row stands in a batch as it stands in the table.
    pub identity: Vec<usize>,
    pub foreign_keys: Vec<ForeignKey>,
    pub written: WrittenTables,
}

impl NewRows {
    pub fn new(insert: &Insert, written: &WrittenTables) -> PgResult<NewRows> {
        let table = StoredTable::of(&insert.table)?;
        let checks = insert.checks.iter().map(|check| CheckProgram::new(check, &check.condition));
        Ok(NewRows {
            generated: generated(&insert.generated)?,
            partial: PartialIndexes::new(&table, &insert.partial_indexes, &Clone::clone)?,
            checks: checks.collect::<PgResult<_>>()?,
            identity: (0..table.columns.len()).collect(),
            foreign_keys: table.descriptor.foreign_keys.clone(),
            written: written.clone(),
            table,
        })
    }

    /// Draws rowids, computes generated columns, checks NOT NULL and CHECK.
    pub fn complete(&self, run: &Run, batch: &mut Batch) -> PgResult<()> {
        if let Some(rowid) = self.table.rowid {
            draw_rowids(run, batch, rowid)?;
        }
        let eval = run.eval();
        for (column, program) in &self.generated {
            batch.columns[*column] = program.evaluate(&eval, batch)?.into_owned();
        }
        check_rows(&self.table, &self.table.not_null, &self.checks, &eval, batch, &self.identity)
    }

    /// Foreign keys of rows that were inserted.
    pub async fn check_parents(&self, run: &mut Run, batch: &Batch, rows: Option<&[u32]>) -> ExecResult<()> {
        for foreign_key in &self.foreign_keys {
            let written = WrittenRows {
                table: &self.table,
                batch,
                positions: &self.identity,
                rows,
                primary: &self.table.primary().encoder,
            };
            check_parents(run, &written, foreign_key, &self.written).await?;
        }
        Ok(())
    }
}

fn generated(columns: &[GeneratedColumn]) -> PgResult<Vec<(usize, Program)>> {
    columns
        .iter()
        .map(|generated| Ok((generated.column as usize, Program::new(&generated.expression)?)))
        .collect()
}

/// Fills in the hidden rowid where it is NULL.
fn draw_rowids(run: &Run, batch: &mut Batch, column: usize) -> PgResult<()> {
    let vector = &mut batch.columns[column];
    let first = run.context.db.unique_numbers(batch.rows as u64);
    let Values::Int8(values) = &mut vector.values else {
        return Err(PgError::internal("a rowid is of type bigint"));
    };
    for (row, value) in values.iter_mut().enumerate() {
        if vector.nulls.is_null(row) {
            *value = first + row as i64 * UNIQUE_NUMBER_STEP;
        }
    }
    vector.nulls.clear();
    Ok(())
}

impl InsertNode {
    pub fn new(
        insert: &Insert,
        source: NodeRef,
        written: &WrittenTables,
        counts: bool,
    ) -> PgResult<InsertNode> {
        let rows = NewRows::new(insert, written)?;
        let conflict = match &insert.on_conflict {
            None => None,
            Some(conflict) => Some(ConflictSteps::new(insert, conflict, &rows)?),
        };
        let returning = insert.returning.as_deref().map(Projection::new).transpose()?;
        Ok(InsertNode { source, rows, conflict, returning, counts })
    }
}

impl Node for InsertNode {
    fn open(self: Arc<Self>) -> BoxedOperator {
        let conflict = self.conflict.as_ref().map(|_| ConflictState::default());
        BoxedOperator::new(InsertOperator { source: self.source.clone().open(), node: self, conflict })
    }
}

struct InsertOperator {
    node: Arc<InsertNode>,
    source: BoxedOperator,
    conflict: Option<ConflictState>,
}

#[async_trait]
impl Operator for InsertOperator {
    async fn next(&mut self, run: &mut Run) -> ExecResult<Option<Batch>> {
        while let Some(mut batch) = self.source.next(run).await? {
            run.pause().await?;
            let node = &*self.node;
            node.rows.complete(run, &mut batch)?;
            let (written, affected) = match (&node.conflict, &mut self.conflict) {
                (Some(steps), Some(state)) => steps.insert(run, &node.rows, state, batch).await?,
                _ => {
                    insert_all(run, &node.rows, &batch).await?;
                    let rows = batch.rows as u64;
                    (batch, rows)
                }
            };
            if node.counts {
                run.affected += affected;
            }
            if let Some(returning) = &node.returning
                && written.rows > 0
            {
                return Ok(Some(returning.apply(&run.eval(), written)?));
            }
        }
        Ok(None)
    }
}

/// Inserts a batch whose keys must all be free.
async fn insert_all(run: &mut Run, rows: &NewRows, batch: &Batch) -> ExecResult<()> {
    let table = &rows.table;
    let membership = rows.partial.membership(&run.eval(), batch)?;
    if let Some(taken) = insert_rows(run, table, batch, &membership, None, insert_check(run)).await? {
        let format = &run.context.session.format;
        let error = unique_violation(table, taken.index, batch, &rows.identity, taken.row, format);
        return Err(error.into());
    }
    rows.check_parents(run, batch, None).await
}

/// An empty row batch of a table, to collect into.
pub(super) fn empty_like(batch: &Batch) -> Batch {
    let columns = batch.columns.iter().map(|column| Vector::with_capacity(column.data_type, 0)).collect();
    Batch { columns, rows: 0 }
}
