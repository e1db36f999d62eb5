//! UNION, INTERSECT and EXCEPT.
//!
//! UNION passes on rows not seen before. The others count the right side's rows first, then go through the left side's:
//!
//! | | a left row is passed on |
//! | --- | --- |
//! | INTERSECT | the first time, if the right side has it |
//! | INTERSECT ALL | as many times as the right side has it |
//! | EXCEPT | the first time, unless the right side has it |
//! | EXCEPT ALL | beyond as many times as the right side has it |

use std::sync::Arc;

use async_trait::async_trait;
use planner::plan::{SetOperation, SetOperator};
use types::{Batch, DataType, Vector};

use super::row_set::{RowSet, hash_rows};
use crate::error::ExecResult;
use crate::operator::{BoxedOperator, Node, NodeRef, Operator, Run};

pub(crate) struct SetOperationNode {
    operator: SetOperator,
    all: bool,
    left: NodeRef,
    right: NodeRef,
    types: Vec<DataType>,
}

impl SetOperationNode {
    pub fn new(plan: &SetOperation, left: NodeRef, right: NodeRef, types: Vec<DataType>) -> SetOperationNode {
        SetOperationNode { operator: plan.operator, all: plan.all, left, right, types }
    }
}

impl Node for SetOperationNode {
    fn open(self: Arc<Self>) -> BoxedOperator {
        let (left, right) = (self.left.clone().open(), self.right.clone().open());
        BoxedOperator::new(SetOperationOperator {
            node: self,
            left: Some(left),
            right: Some(right),
            state: None,
        })
    }
}

struct SetOperationOperator {
    node: Arc<SetOperationNode>,
    left: Option<BoxedOperator>,
    right: Option<BoxedOperator>,
    state: Option<State>,
}

/// - `counts[i]`: how often the right side still has row `i`; -1 once the row is not to be passed on any more.
struct State {
    rows: RowSet,
    counts: Vec<i64>,
}

#[async_trait]
impl Operator for SetOperationOperator {
    async fn next(&mut self, run: &mut Run) -> ExecResult<Option<Batch>> {
        if self.state.is_none() {
            let rows = RowSet::new(&run.context.memory, self.node.types.clone());
            self.state = Some(State { rows, counts: Vec::new() });
            if self.node.operator != SetOperator::Union {
                self.count_right(run).await?;
            }
        }
        let state = self.state.as_mut().expect("set above");
        for input in [&mut self.left, &mut self.right] {
            let Some(operator) = input else { continue };
            while let Some(batch) = operator.next(run).await? {
                run.pause().await?;
                let passed = match self.node.operator {
                    SetOperator::Union => state.rows.keep_new(batch)?,
                    _ => state.pass(&self.node, batch)?,
                };
                if passed.is_some() {
                    return Ok(passed);
                }
            }
            *input = None;
        }
        Ok(None)
    }
}

impl SetOperationOperator {
    async fn count_right(&mut self, run: &mut Run) -> ExecResult<()> {
        let (Some(right), Some(state)) = (&mut self.right, &mut self.state) else { return Ok(()) };
        let mut numbers = Vec::new();
        while let Some(batch) = right.next(run).await? {
            run.pause().await?;
            let columns: Vec<&Vector> = batch.columns.iter().collect();
            state.rows.number(&columns, batch.rows, &mut numbers);
            state.counts.resize(state.rows.len(), 0);
            numbers.iter().for_each(|number| state.counts[*number as usize] += 1);
            state.rows.account()?;
        }
        self.right = None;
        Ok(())
    }
}

impl State {
    fn pass(&mut self, node: &SetOperationNode, batch: Batch) -> ExecResult<Option<Batch>> {
        let columns: Vec<&Vector> = batch.columns.iter().collect();
        let mut hashes = Vec::new();
        hash_rows(&columns, batch.rows, &mut hashes);
        let mut selection = Vec::new();
        for (row, hash) in hashes.iter().enumerate() {
            if self.passes(node, &columns, row, *hash) {
                selection.push(row as u32);
            }
        }
        self.rows.account()?;
        Ok(match selection.len() {
            0 => None,
            all if all == batch.rows => Some(batch),
            _ => Some(batch.gather(&selection)),
        })
    }

    fn passes(&mut self, node: &SetOperationNode, columns: &[&Vector], row: usize, hash: u64) -> bool {
        let intersect = node.operator == SetOperator::Intersect;
        let known = self.rows.find(columns, row, hash);
        match (known, node.all) {
            (Some(number), true) => {
                let count = &mut self.counts[number as usize];
                let there = *count > 0;
                if there {
                    *count -= 1;
                }
                there == intersect
            }
            (None, true) => !intersect,
            (Some(number), false) => {
                let count = &mut self.counts[number as usize];
                let passes = intersect && *count > 0;
                *count = -1;
                passes
            }
            (None, false) if intersect => false,
            (None, false) => {
                self.rows.number_row(columns, row, hash);
                self.counts.push(-1);
                true
            }
        }
    }
}
