//! WITH RECURSIVE: rounds of a step over the rows of the round before.

use std::sync::Arc;

use async_trait::async_trait;
use types::{Batch, DataType, PgError};

use super::row_set::RowSet;
use crate::error::ExecResult;
use crate::operator::{BoxedOperator, Node, NodeRef, Operator, Run};
use crate::spill::{BufferCursor, RowBuffer};

/// The rows of the last round, by the union's id.
#[derive(Default)]
pub(crate) struct WorkTable(Option<RowBuffer>);

pub(crate) struct RecursiveUnionNode {
    pub cte: usize,
    pub types: Vec<DataType>,
    pub initial: NodeRef,
    pub step: NodeRef,
    pub distinct: bool,
}

impl Node for RecursiveUnionNode {
    fn open(self: Arc<Self>) -> BoxedOperator {
        BoxedOperator::new(RecursiveUnionOperator {
            current: self.initial.clone().open(),
            node: self,
            produced: None,
            seen: None,
        })
    }
}

/// - `produced` are the rows of the round in progress.
struct RecursiveUnionOperator {
    node: Arc<RecursiveUnionNode>,
    current: BoxedOperator,
    produced: Option<RowBuffer>,
    seen: Option<RowSet>,
}

#[async_trait]
impl Operator for RecursiveUnionOperator {
    async fn next(&mut self, run: &mut Run) -> ExecResult<Option<Batch>> {
        let memory = &run.context.memory;
        if self.produced.is_none() {
            self.produced = Some(RowBuffer::new(memory, self.node.types.clone()));
            if self.node.distinct {
                self.seen = Some(RowSet::new(memory, self.node.types.clone()));
            }
        }
        loop {
            run.pause().await?;
            let produced = self.produced.as_mut().expect("set above");
            match self.current.next(run).await? {
                Some(batch) => {
                    let batch = match &mut self.seen {
                        None => Some(batch),
                        Some(seen) => seen.keep_new(batch)?,
                    };
                    if let Some(batch) = batch {
                        produced.push(batch.clone())?;
                        return Ok(Some(batch));
                    }
                }
                None if produced.is_empty() => return Ok(None),
                None => {
                    let next = RowBuffer::new(&run.context.memory, self.node.types.clone());
                    let round = std::mem::replace(produced, next);
                    run.work_tables.get_mut()[self.node.cte] = WorkTable(Some(round));
                    self.current = self.node.step.clone().open();
                }
            }
        }
    }
}

pub(crate) struct WorkTableScanNode {
    pub cte: usize,
}

impl Node for WorkTableScanNode {
    fn open(self: Arc<Self>) -> BoxedOperator {
        BoxedOperator::new(WorkTableScanOperator { cte: self.cte, cursor: BufferCursor::default() })
    }
}

struct WorkTableScanOperator {
    cte: usize,
    cursor: BufferCursor,
}

#[async_trait]
impl Operator for WorkTableScanOperator {
    async fn next(&mut self, run: &mut Run) -> ExecResult<Option<Batch>> {
        let Some(rows) = &mut run.work_tables.get_mut()[self.cte].0 else {
            return Err(PgError::internal("a work table is read outside of its recursion").into());
        };
        Ok(rows.read(&mut self.cursor)?.map(Arc::unwrap_or_clone))
    }
}
