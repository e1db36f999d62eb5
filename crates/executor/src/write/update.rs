//! UPDATE.

use std::sync::Arc;

use async_trait::async_trait;
use expr::Expr;
use planner::plan::Update;
use rustc_hash::FxHashSet;
use types::{Batch, PgResult};

use super::row_update::RowUpdate;
use super::stored_table::StoredTable;
use super::{WriteScope, WrittenTables};
use crate::error::ExecResult;
use crate::operator::{BoxedOperator, Node, NodeRef, Operator, Run};
use crate::program::Projection;

pub(crate) struct UpdateNode {
    source: NodeRef,
    update: RowUpdate,
    may_repeat: bool,
    returning: Option<Projection>,
    counts: bool,
}

impl UpdateNode {
    pub fn new(
        update: &Update,
        source: NodeRef,
        written: &WrittenTables,
        counts: bool,
    ) -> PgResult<UpdateNode> {
        let scope = WriteScope {
            table: &update.table,
            generated: &update.generated,
            checks: &update.checks,
            partial_indexes: &update.partial_indexes,
        };
        let rows = RowUpdate::new(&scope, &update.assignments, update.source.columns.len(), written)?;
        let returning = update.returning.as_ref().map(|list| {
            let moved: Vec<Expr> = list.iter().map(|expr| rows.over_new_row(expr)).collect();
            Projection::new(&moved)
        });
        Ok(UpdateNode {
            source,
            returning: returning.transpose()?,
            update: rows,
            may_repeat: update.may_repeat,
            counts,
        })
    }
}

impl Node for UpdateNode {
    fn open(self: Arc<Self>) -> BoxedOperator {
        let seen = self.may_repeat.then(TargetSet::default);
        BoxedOperator::new(UpdateOperator { source: self.source.clone().open(), node: self, seen })
    }
}

struct UpdateOperator {
    node: Arc<UpdateNode>,
    source: BoxedOperator,
    seen: Option<TargetSet>,
}

#[async_trait]
impl Operator for UpdateOperator {
    async fn next(&mut self, run: &mut Run) -> ExecResult<Option<Batch>> {
        while let Some(batch) = self.source.next(run).await? {
            run.pause().await?;
            let node = &*self.node;
            let batch = match &mut self.seen {
                None => batch,
                Some(seen) => match seen.first_hits(&node.update.table, batch)? {
                    None => continue,
                    Some(batch) => batch,
                },
            };
            let rows = batch.rows as u64;
            let written = node.update.update(run, batch).await?;
            if node.counts {
                run.affected += rows;
            }
            if let Some(returning) = &node.returning {
                return Ok(Some(returning.apply(&run.eval(), written)?));
            }
        }
        Ok(None)
    }
}

/// The target rows that a statement has met, by primary key: a join may give a row several times, the first counts.
#[derive(Default)]
pub(super) struct TargetSet(FxHashSet<Vec<u8>>);

impl TargetSet {
    /// The rows whose target is met for the first time. The target's columns come first in the batch.
    pub fn first_hits(&mut self, table: &StoredTable, batch: Batch) -> PgResult<Option<Batch>> {
        let mut first = Vec::with_capacity(batch.rows);
        for row in 0..batch.rows {
            let mut key = Vec::with_capacity(32);
            table.primary().encoder.encode_batch_key(&batch, row, &mut key)?;
            if self.0.insert(key) {
                first.push(row as u32);
            }
        }
        Ok(match first.len() {
            0 => None,
            all if all == batch.rows => Some(batch),
            _ => Some(batch.gather(&first)),
        })
    }
}
