//! Keeps rows for which a condition is true.

use std::sync::Arc;

use async_trait::async_trait;
use expr::Program;
use types::Batch;

use crate::error::ExecResult;
use crate::operator::{BoxedOperator, Node, NodeRef, Operator, Run};
use crate::program;

pub(crate) struct FilterNode {
    pub input: NodeRef,
    pub condition: Program,
}

impl Node for FilterNode {
    fn open(self: Arc<Self>) -> BoxedOperator {
        BoxedOperator::new(FilterOperator { input: self.input.clone().open(), node: self })
    }
}

struct FilterOperator {
    node: Arc<FilterNode>,
    input: BoxedOperator,
}

#[async_trait]
impl Operator for FilterOperator {
    async fn next(&mut self, run: &mut Run) -> ExecResult<Option<Batch>> {
        while let Some(batch) = self.input.next(run).await? {
            run.pause().await?;
            if let Some(kept) = program::filter(&self.node.condition, &run.eval(), batch)? {
                return Ok(Some(kept));
            }
        }
        Ok(None)
    }

    fn bound(&mut self, rows: u64) {
        self.input.bound(rows);
    }
}
