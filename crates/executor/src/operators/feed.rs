//! Rows that come from outside while the statement runs.

use std::sync::Arc;

use async_trait::async_trait;
use types::{Batch, PgError};

use crate::error::ExecResult;
use crate::operator::{BoxedOperator, Node, Operator, Run};

pub(crate) struct FeedNode {}

impl Node for FeedNode {
    fn open(self: Arc<Self>) -> BoxedOperator {
        BoxedOperator::new(FeedOperator {})
    }
}

struct FeedOperator {}

#[async_trait]
impl Operator for FeedOperator {
    async fn next(&mut self, run: &mut Run) -> ExecResult<Option<Batch>> {
        run.pause().await?;
        let Some(mut feed) = run.feed.get_mut().take() else {
            return Err(PgError::internal("a plan with a feed was executed without one").into());
        };
        loop {
            let batch = feed.next().await?;
            if batch.as_ref().is_none_or(|batch| batch.rows > 0) {
                *run.feed.get_mut() = Some(feed);
                return Ok(batch);
            }
        }
    }
}
