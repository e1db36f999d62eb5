//! WITH: common tables, each evaluated once, however often it is read.
//!
//! A table is produced as far as its furthest reader has come: every reader has a position of its own in the rows produced so
//! far. Data-modifying ones run to their end before anything else, in the order of the list.

use std::sync::Arc;

use async_trait::async_trait;
use types::{Batch, DataType, PgError};

use crate::error::ExecResult;
use crate::operator::{BoxedOperator, Node, NodeRef, Operator, Run};
use crate::spill::{BufferCursor, RowBuffer};

/// A common table of the execution, by its id.
///
/// - `source` is there until it has ended; while it works it is taken out, so that a table that reads itself is noticed.
/// - `buffer` is written only until `source` has ended, and a part of it that lies in a file is read only after.
#[derive(Default)]
pub(crate) struct CommonTable {
    buffer: Option<RowBuffer>,
    source: Option<BoxedOperator>,
    ended: bool,
}

pub(crate) struct WithNode {
    pub tables: Vec<PreparedTable>,
    pub body: NodeRef,
}

pub(crate) struct PreparedTable {
    pub cte: usize,
    pub types: Vec<DataType>,
    pub node: NodeRef,
    pub modifies: bool,
}

impl Node for WithNode {
    fn open(self: Arc<Self>) -> BoxedOperator {
        BoxedOperator::new(WithOperator { body: self.body.clone().open(), node: self, begun: false })
    }
}

struct WithOperator {
    node: Arc<WithNode>,
    body: BoxedOperator,
    begun: bool,
}

#[async_trait]
impl Operator for WithOperator {
    async fn next(&mut self, run: &mut Run) -> ExecResult<Option<Batch>> {
        if !self.begun {
            self.begun = true;
            for table in &self.node.tables {
                run.common_tables.get_mut()[table.cte] = CommonTable {
                    buffer: Some(RowBuffer::new(&run.context.memory, table.types.clone())),
                    source: Some(table.node.clone().open()),
                    ended: false,
                };
            }
            for table in self.node.tables.iter().filter(|table| table.modifies) {
                finish(table.cte, run).await?;
            }
        }
        self.body.next(run).await
    }
}

/// Runs a common table to its end.
async fn finish(cte: usize, run: &mut Run) -> ExecResult<()> {
    while !run.common_tables.get_mut()[cte].ended {
        produce(cte, run).await?;
    }
    Ok(())
}

/// Produces one more batch, or notices the end.
async fn produce(cte: usize, run: &mut Run) -> ExecResult<()> {
    let Some(mut source) = run.common_tables.get_mut()[cte].source.take() else {
        return Err(PgError::internal("a common table is read before it is there").into());
    };
    let batch = source.next(run).await?;
    let table = &mut run.common_tables.get_mut()[cte];
    match batch {
        Some(batch) => {
            table.buffer.as_mut().expect("a table with a source has a buffer").push(batch)?;
            table.source = Some(source);
        }
        None => table.ended = true,
    }
    Ok(())
}

pub(crate) struct CteScanNode {
    pub cte: usize,
}

impl Node for CteScanNode {
    fn open(self: Arc<Self>) -> BoxedOperator {
        BoxedOperator::new(CteScanOperator { cte: self.cte, cursor: BufferCursor::default() })
    }
}

struct CteScanOperator {
    cte: usize,
    cursor: BufferCursor,
}

#[async_trait]
impl Operator for CteScanOperator {
    async fn next(&mut self, run: &mut Run) -> ExecResult<Option<Batch>> {
        loop {
            run.pause().await?;
            let table = &mut run.common_tables.get_mut()[self.cte];
            let Some(buffer) = &mut table.buffer else {
                return Err(PgError::internal("a common table is read outside of its WITH").into());
            };
            if buffer.holds(self.cursor) || table.ended {
                return match buffer.read(&mut self.cursor)? {
                    Some(batch) => Ok(Some(Arc::unwrap_or_clone(batch))),
                    None => Ok(None),
                };
            }
            if buffer.has_spilled() {
                finish(self.cte, run).await?;
            } else {
                produce(self.cte, run).await?;
            }
        }
    }
}
