//! DELETE.

use std::sync::Arc;

use async_trait::async_trait;
use planner::plan::Delete;
use types::{Batch, PgResult};

use super::after::Event;
use super::change::delete_rows;
use super::partial::PartialIndexes;
use super::stored_table::StoredTable;
use super::update::TargetSet;
use crate::error::ExecResult;
use crate::operator::{BoxedOperator, Node, NodeRef, Operator, Run};
use crate::program::Projection;

pub(crate) struct DeleteNode {
    source: NodeRef,
    table: Arc<StoredTable>,
    identity: Vec<usize>,
    partial: PartialIndexes,
    may_repeat: bool,
    returning: Option<Projection>,
    counts: bool,
}

impl DeleteNode {
    pub fn new(delete: &Delete, source: NodeRef, counts: bool) -> PgResult<DeleteNode> {
        let table = StoredTable::of(&delete.table)?;
        Ok(DeleteNode {
            source,
            identity: (0..table.columns.len()).collect(),
            partial: PartialIndexes::new(&table, &delete.partial_indexes, &Clone::clone)?,
            table,
            may_repeat: delete.may_repeat,
            returning: delete.returning.as_deref().map(Projection::new).transpose()?,
            counts,
        })
    }
}

impl Node for DeleteNode {
    fn open(self: Arc<Self>) -> BoxedOperator {
        let seen = self.may_repeat.then(TargetSet::default);
        BoxedOperator::new(DeleteOperator { source: self.source.clone().open(), node: self, seen })
    }
}

struct DeleteOperator {
    node: Arc<DeleteNode>,
    source: BoxedOperator,
    seen: Option<TargetSet>,
}

#[async_trait]
impl Operator for DeleteOperator {
    async fn next(&mut self, run: &mut Run) -> ExecResult<Option<Batch>> {
        while let Some(batch) = self.source.next(run).await? {
            run.pause().await?;
            let node = &*self.node;
            let batch = match &mut self.seen {
                None => batch,
                Some(seen) => match seen.first_hits(&node.table, batch)? {
                    None => continue,
                    Some(batch) => batch,
                },
            };
            let membership = node.partial.membership(&run.eval(), &batch)?;
            delete_rows(run, &node.table, &batch, &membership).await?;
            Event::queue_parents(run, &node.table, (&batch, &node.identity), None, None)?;
            if node.counts {
                run.affected += batch.rows as u64;
            }
            if let Some(returning) = &node.returning {
                return Ok(Some(returning.apply(&run.eval(), batch)?));
            }
        }
        Ok(None)
    }
}
