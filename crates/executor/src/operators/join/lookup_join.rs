//! Joins by looking the right rows up in an index, a batch of left rows at a time. The order of the left rows is kept.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use expr::Program;
use planner::plan::{JoinKind, LookupJoin};
use types::{BATCH_ROWS_MAX, Batch, DataType, PgResult, Vector};

use super::LeftRows;
use super::lookup::{Found, Lookup};
use super::pairs::{PairCondition, retain_true};
use crate::error::ExecResult;
use crate::operator::{BoxedOperator, Node, NodeRef, Operator, Run};
use crate::program::programs;

pub(crate) struct LookupJoinNode {
    kind: JoinKind,
    left: NodeRef,
    keys: Vec<Program>,
    lookup: Lookup,
    condition: Option<PairCondition>,
}

impl LookupJoinNode {
    pub fn new(join: &LookupJoin, left: NodeRef, left_types: Vec<DataType>) -> PgResult<LookupJoinNode> {
        let lookup = Lookup::new(join)?;
        let condition = PairCondition::new(&join.condition, &left_types, &lookup.types)?;
        Ok(LookupJoinNode { kind: join.kind, left, keys: programs(&join.keys)?, lookup, condition })
    }
}

impl Node for LookupJoinNode {
    fn open(self: Arc<Self>) -> BoxedOperator {
        let left = self.left.clone().open();
        Box::new(LookupJoinOperator { node: self, left, ready: VecDeque::new() })
    }
}

struct LookupJoinOperator {
    node: Arc<LookupJoinNode>,
    left: BoxedOperator,
    ready: VecDeque<Batch>,
}

#[async_trait]
impl Operator for LookupJoinOperator {
    async fn next(&mut self, run: &mut Run) -> ExecResult<Option<Batch>> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Ok(Some(batch));
            }
            run.check_cancelled()?;
            let Some(left) = self.left.next(run).await? else { return Ok(None) };
            self.join(left, run).await?;
        }
    }
}

impl LookupJoinOperator {
    async fn join(&mut self, left: Batch, run: &mut Run) -> ExecResult<()> {
        let node = &*self.node;
        let keys: Vec<Vector> = {
            let eval = run.eval();
            let keys = node.keys.iter();
            let keys = keys.map(|key| PgResult::Ok(key.evaluate(&eval, &left)?.into_owned()));
            keys.collect::<PgResult<_>>()?
        };
        let prefixes = node.lookup.prefixes(&keys, left.rows)?;
        let found = node.lookup.find(run, &prefixes).await?;
        let mut left_rows = found.owners.clone();
        let mut right_rows: Vec<u32> = (0..found.rows.rows as u32).collect();
        let condition = node.condition.as_ref();
        retain_true(condition, &run.eval(), &left, &mut left_rows, &found.rows, &mut right_rows)?;
        let Found { rows: mut right, .. } = if node.lookup.locks() {
            let (locked, kept) = node.lookup.lock(run, &found, &right_rows, &prefixes).await?;
            left_rows = kept.iter().map(|pair| found.owners[*pair as usize]).collect();
            right_rows = (0..locked.rows as u32).collect();
            retain_true(condition, &run.eval(), &left, &mut left_rows, &locked, &mut right_rows)?;
            Found { rows: locked, owners: Vec::new(), row_keys: Vec::new() }
        } else {
            found
        };
        let mut rows = LeftRows::new(left.rows);
        left_rows.iter().for_each(|row| rows.matched[*row as usize] = true);
        if !node.kind.has_right_columns() {
            self.ready.extend(rows.finish(node.kind, left, &node.lookup.types));
            return Ok(());
        }
        let pairs = match node.kind {
            JoinKind::Left => with_unmatched(&left_rows, &right_rows, &rows),
            _ => left_rows.into_iter().zip(right_rows.into_iter().map(Some)).collect(),
        };
        for chunk in pairs.chunks(BATCH_ROWS_MAX) {
            let (left_rows, right_rows): (Vec<u32>, Vec<Option<u32>>) = chunk.iter().copied().unzip();
            let mut batch = left.gather(&left_rows);
            batch.columns.extend(right.columns.iter_mut().map(|column| column.gather_optional(&right_rows)));
            self.ready.push_back(batch);
        }
        Ok(())
    }
}

/// The pairs, with left rows that have none at their place, in the order of the left rows.
fn with_unmatched(left_rows: &[u32], right_rows: &[u32], rows: &LeftRows) -> Vec<(u32, Option<u32>)> {
    let mut pairs = Vec::with_capacity(left_rows.len());
    let mut next = 0;
    for (row, matched) in rows.matched.iter().enumerate() {
        if !matched {
            pairs.push((row as u32, None));
        }
        while left_rows.get(next).is_some_and(|left| *left as usize == row) {
            pairs.push((row as u32, Some(right_rows[next])));
            next += 1;
        }
    }
    pairs
}
