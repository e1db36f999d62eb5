//! Joins by looking the right rows up in an index, a batch of left rows at a time. The order of the left rows is kept.
//!
//! What the condition asks of the right rows alone is looked at first, when they have been read, before there are any pairs; where they
//! lie, if that is elsewhere. Not when rows are locked: then the whole condition decides, before and after.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use expr::Program;
use planner::plan::{JoinKind, LookupJoin};
use types::{BATCH_ROWS_MAX, Batch, DataType, PgResult, Vector};

use super::LeftRows;
use super::conditions::split_condition;
use super::lookup::{Found, Lookup};
use super::pairs::{PairCondition, retain_true};
use crate::error::ExecResult;
use crate::operator::{BoxedOperator, Node, NodeRef, Operator, Run};
use crate::program::{conjunction, programs};
use crate::remote::{LookupFlow, Pace, takes_part};

pub(crate) struct LookupJoinNode {
    kind: JoinKind,
    left: NodeRef,
    keys: Vec<Program>,
    lookup: Lookup,
    condition: Option<PairCondition>,
}

impl LookupJoinNode {
    pub fn new(join: &LookupJoin, left: NodeRef, left_types: Vec<DataType>) -> PgResult<LookupJoinNode> {
        let (of_right, of_pairs) = split_condition(join);
        let lookup = Lookup::new(join, &of_right)?;
        let condition = PairCondition::new(&conjunction(&of_pairs), &left_types, &lookup.types)?;
        Ok(LookupJoinNode { kind: join.kind, left, keys: programs(&join.keys)?, lookup, condition })
    }
}

impl Node for LookupJoinNode {
    fn open(self: Arc<Self>) -> BoxedOperator {
        let left = self.left.clone().open();
        BoxedOperator::new(LookupJoinOperator {
            node: self,
            left,
            flow: Flow::Unknown,
            ready: VecDeque::new(),
        })
    }
}

struct LookupJoinOperator {
    node: Arc<LookupJoinNode>,
    left: BoxedOperator,
    flow: Flow,
    ready: VecDeque<Batch>,
}

/// Whether right rows are looked up where they lie.
enum Flow {
    Unknown,
    None,
    /// `waiting`: left rows that came with others and are still to be joined.
    Open {
        flow: Box<LookupFlow>,
        pace: Pace,
        waiting: Option<Batch>,
    },
}

#[async_trait]
impl Operator for LookupJoinOperator {
    async fn next(&mut self, run: &mut Run) -> ExecResult<Option<Batch>> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Ok(Some(batch));
            }
            run.pause().await?;
            let Some(left) = self.next_left(run).await? else { return Ok(None) };
            self.join(left, run).await?;
        }
    }
}

impl LookupJoinOperator {
    /// Left rows to be joined at once.
    async fn next_left(&mut self, run: &mut Run) -> ExecResult<Option<Batch>> {
        let waiting = match &mut self.flow {
            Flow::Open { waiting, .. } => waiting.take(),
            Flow::Unknown | Flow::None => None,
        };
        let left = match waiting {
            Some(left) => left,
            None => match self.left.next(run).await? {
                Some(left) => left,
                None => return Ok(None),
            },
        };
        if let Flow::Unknown = self.flow {
            let flow = match &self.node.lookup.elsewhere {
                Some(elsewhere) if takes_part(&run.context) => Box::pin(elsewhere.open(run)).await?,
                _ => None,
            };
            self.flow = match flow {
                Some(flow) => {
                    Flow::Open { flow: Box::new(flow), pace: Pace::from(BATCH_ROWS_MAX), waiting: None }
                }
                None => Flow::None,
            };
        }
        if let Flow::Open { pace, waiting, .. } = &mut self.flow
            && pace.keys() < left.rows
        {
            *waiting = Some(left.slice(pace.keys()..left.rows));
            return Ok(Some(left.slice(0..pace.keys())));
        }
        Ok(Some(left))
    }

    async fn join(&mut self, left: Batch, run: &mut Run) -> ExecResult<()> {
        let node = &*self.node;
        let keys: Vec<Vector> = {
            let eval = run.eval();
            let keys = node.keys.iter();
            let keys = keys.map(|key| PgResult::Ok(key.evaluate(&eval, &left)?.into_owned()));
            keys.collect::<PgResult<_>>()?
        };
        let prefixes = node.lookup.prefixes(&keys, left.rows)?;
        let flow = match &self.flow {
            Flow::Open { flow, .. } => Some(&**flow),
            Flow::Unknown | Flow::None => None,
        };
        let mut found = node.lookup.find(run, flow, &prefixes).await?;
        if let Flow::Open { pace, .. } = &mut self.flow {
            pace.learn(left.rows, found.rows.memory_size());
        }
        let owners = if node.lookup.locks() { found.left_rows.clone() } else { Vec::new() };
        let mut left_rows = std::mem::take(&mut found.left_rows);
        let mut right_rows = std::mem::take(&mut found.right_rows);
        let condition = node.condition.as_ref();
        retain_true(condition, &run.eval(), &left, &mut left_rows, &found.rows, &mut right_rows)?;
        let Found { rows: mut right, memory: _memory, .. } = if node.lookup.locks() {
            let (locked, kept) = node.lookup.lock(run, &found, &owners, &right_rows, &prefixes).await?;
            left_rows = kept.iter().map(|pair| owners[*pair as usize]).collect();
            right_rows = (0..locked.rows as u32).collect();
            retain_true(condition, &run.eval(), &left, &mut left_rows, &locked, &mut right_rows)?;
            Found { rows: locked, ..found }
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
