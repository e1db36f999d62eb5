//! LIMIT, OFFSET, and FETCH ... WITH TIES.

use std::sync::Arc;

use async_trait::async_trait;
use planner::plan::{Limit, SortKey};
use types::{Batch, PgResult};

use super::order::compare_keys;
use crate::error::ExecResult;
use crate::operator::{BoxedOperator, Node, NodeRef, Operator, Run};
use crate::program::{Scalar, row_count};

pub(crate) struct LimitNode {
    input: NodeRef,
    count: Option<Scalar>,
    offset: Option<Scalar>,
    ties: Vec<SortKey>,
}

impl LimitNode {
    pub fn new(limit: &Limit, input: NodeRef) -> PgResult<LimitNode> {
        Ok(LimitNode {
            input,
            count: limit.count.as_ref().map(Scalar::new).transpose()?,
            offset: limit.offset.as_ref().map(Scalar::new).transpose()?,
            ties: limit.ties.clone(),
        })
    }
}

impl Node for LimitNode {
    fn open(self: Arc<Self>) -> BoxedOperator {
        BoxedOperator::new(LimitOperator {
            input: self.input.clone().open(),
            node: self,
            bounds: None,
            last: None,
        })
    }
}

struct LimitOperator {
    node: Arc<LimitNode>,
    input: BoxedOperator,
    bounds: Option<Bounds>,
    /// The last row that counted, once all have come and ties may follow.
    last: Option<Batch>,
}

struct Bounds {
    skip: u64,
    /// `None`: no bound.
    left: Option<u64>,
}

#[async_trait]
impl Operator for LimitOperator {
    async fn next(&mut self, run: &mut Run) -> ExecResult<Option<Batch>> {
        if self.bounds.is_none() {
            let eval = run.eval();
            // PostgreSQL evaluates OFFSET first.
            let skip = row_count(self.node.offset.as_ref(), &eval, true)?.unwrap_or(0);
            let left = row_count(self.node.count.as_ref(), &eval, false)?;
            self.bounds = Some(Bounds { skip, left });
        }
        loop {
            let bounds = self.bounds.as_mut().expect("set above");
            if bounds.left == Some(0) && self.last.is_none() {
                return Ok(None);
            }
            if let Some(left) = bounds.left {
                // Of those that tie with the last one nobody knows how many there are.
                self.input.bound(bounds.skip.saturating_add(left).max(1));
            }
            let Some(batch) = self.input.next(run).await? else { return Ok(None) };
            if let Some(last) = &self.last {
                return Ok(self.ties(last, batch));
            }
            if let Some(batch) = self.take(batch) {
                return Ok(Some(batch));
            }
        }
    }
}

impl LimitOperator {
    /// The rows of a batch that lie within the bounds.
    fn take(&mut self, batch: Batch) -> Option<Batch> {
        let bounds = self.bounds.as_mut()?;
        let skipped = bounds.skip.min(batch.rows as u64) as usize;
        bounds.skip -= skipped as u64;
        if skipped == batch.rows {
            return None;
        }
        let available = batch.rows - skipped;
        let taken = bounds.left.map_or(available, |left| left.min(available as u64) as usize);
        let Some(left) = &mut bounds.left else {
            return Some(if skipped == 0 { batch } else { batch.slice(skipped..batch.rows) });
        };
        *left -= taken as u64;
        let mut end = skipped + taken;
        if *left == 0 && !self.node.ties.is_empty() && taken > 0 {
            let last = end - 1;
            while end < batch.rows && compare_keys(&self.node.ties, &batch, last, &batch, end).is_eq() {
                end += 1;
            }
            if end == batch.rows {
                self.last = Some(batch.slice(last..last + 1));
            }
        }
        match (skipped, end) {
            (0, end) if end == batch.rows => Some(batch),
            (from, to) if from < to => Some(batch.slice(from..to)),
            _ => None,
        }
    }

    /// The rows at the front of a batch that equal the last one that counted.
    fn ties(&self, last: &Batch, batch: Batch) -> Option<Batch> {
        let equal =
            (0..batch.rows).take_while(|row| compare_keys(&self.node.ties, last, 0, &batch, *row).is_eq());
        match equal.count() {
            0 => None,
            all if all == batch.rows => Some(batch),
            some => Some(batch.slice(0..some)),
        }
    }
}
