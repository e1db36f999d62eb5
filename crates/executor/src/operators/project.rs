//! One column for each expression.

use std::sync::Arc;

use async_trait::async_trait;
use types::Batch;

use crate::error::ExecResult;
use crate::operator::{BoxedOperator, Node, NodeRef, Operator, Run};
use crate::program::Projection;

pub(crate) struct ProjectNode {
    pub input: NodeRef,
    pub projection: Projection,
}

impl Node for ProjectNode {
    fn open(self: Arc<Self>) -> BoxedOperator {
        BoxedOperator::new(ProjectOperator { input: self.input.clone().open(), node: self })
    }
}

struct ProjectOperator {
    node: Arc<ProjectNode>,
    input: BoxedOperator,
}

#[async_trait]
impl Operator for ProjectOperator {
    async fn next(&mut self, run: &mut Run) -> ExecResult<Option<Batch>> {
        match self.input.next(run).await? {
            Some(batch) => Ok(Some(self.node.projection.apply(&run.eval(), batch)?)),
            None => Ok(None),
        }
    }

    fn bound(&mut self, rows: u64) {
        self.input.bound(rows);
    }
}
