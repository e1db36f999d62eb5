//! One input after the other.

use std::sync::Arc;

use async_trait::async_trait;
use types::Batch;

use crate::error::ExecResult;
use crate::operator::{BoxedOperator, Node, NodeRef, Operator, Run};

pub(crate) struct AppendNode {
    pub inputs: Vec<NodeRef>,
}

impl Node for AppendNode {
    fn open(self: Arc<Self>) -> BoxedOperator {
        BoxedOperator::new(AppendOperator { node: self, next: 0, current: None })
    }
}

struct AppendOperator {
    node: Arc<AppendNode>,
    next: usize,
    current: Option<BoxedOperator>,
}

#[async_trait]
impl Operator for AppendOperator {
    async fn next(&mut self, run: &mut Run) -> ExecResult<Option<Batch>> {
        loop {
            if let Some(current) = &mut self.current {
                if let Some(batch) = current.next(run).await? {
                    return Ok(Some(batch));
                }
                self.current = None;
            }
            let Some(input) = self.node.inputs.get(self.next) else { return Ok(None) };
            self.next += 1;
            self.current = Some(input.clone().open());
        }
    }
}
