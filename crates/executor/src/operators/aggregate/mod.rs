//! GROUP BY and aggregates.
//!
//! ```text
//!   input batch --> keys, arguments, filters evaluated  --> groups numbered --> accumulators updated by group number
//!                   (columns are borrowed, not copied)      (once per grouping set)
//! ```
//!
//! A hash aggregation whose groups outgrow its memory takes no new groups: rows of groups that it has go on being added up;
//! other rows (their evaluated keys and arguments) are dealt out to files by the hash of their key, and each file is
//! aggregated by itself once the input has ended. All rows of a group take the same way, so that DISTINCT and ORDER BY inside
//! a call need no care.
//!
//! With an input sorted by the keys, groups are finished whenever a thousand of them are complete.

mod calls;
mod groups;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use expr::Program;
use planner::plan::{Aggregate, AggregateStrategy};
use types::compare::compare_rows;
use types::{BATCH_ROWS_MAX, Batch, DataType, PgResult, Vector};

use crate::error::ExecResult;
use crate::operator::{BoxedOperator, Node, NodeRef, Operator, Run};
use crate::program::programs;
use crate::spill::SpillReader;
use calls::PreparedCall;
use groups::Groups;

/// - An evaluated row has the keys first, then what each call needs, in order.
pub(crate) struct AggregateNode {
    input: NodeRef,
    keys: Vec<Program>,
    sets: Vec<Vec<u32>>,
    calls: Vec<PreparedCall>,
    ordered: bool,
    /// Of an evaluated row.
    evaluated_types: Vec<DataType>,
}

impl AggregateNode {
    pub fn new(plan: &Aggregate, input: NodeRef) -> PgResult<AggregateNode> {
        let keys = programs(&plan.keys)?;
        let mut evaluated_types: Vec<DataType> = keys.iter().map(Program::data_type).collect();
        let mut calls = Vec::with_capacity(plan.aggregates.len());
        for aggregate in &plan.aggregates {
            let call = PreparedCall::new(aggregate, evaluated_types.len())?;
            evaluated_types.extend(call.types());
            calls.push(call);
        }
        Ok(AggregateNode {
            input,
            keys,
            sets: plan.sets.clone(),
            calls,
            ordered: plan.strategy == AggregateStrategy::Ordered && plan.sets.len() == 1,
            evaluated_types,
        })
    }

    /// Keys, arguments and filters of a batch.
    fn evaluate<'a>(
        &'a self,
        context: &'a expr::EvalContext<'a>,
        batch: &'a Batch,
    ) -> PgResult<Vec<Cow<'a, Vector>>> {
        let programs = self.keys.iter().chain(self.calls.iter().flat_map(PreparedCall::programs));
        programs.map(|program| program.evaluate(context, batch)).collect()
    }

    fn key_types(&self) -> &[DataType] {
        &self.evaluated_types[..self.keys.len()]
    }
}

impl Node for AggregateNode {
    fn open(self: Arc<Self>) -> BoxedOperator {
        let input = Some(self.input.clone().open());
        Box::new(AggregateOperator {
            node: self,
            input,
            groups: Vec::new(),
            files: Vec::new(),
            ready: VecDeque::new(),
            last: None,
        })
    }
}

/// - `groups` has one element for each grouping set while the input is read.
struct AggregateOperator {
    node: Arc<AggregateNode>,
    input: Option<BoxedOperator>,
    groups: Vec<Groups>,
    /// Rows of one grouping set (its position) still to be aggregated, dealt out that many times.
    files: Vec<(usize, u32, SpillReader)>,
    ready: VecDeque<Batch>,
    /// Ordered input: keys of the last row.
    last: Option<Vec<Vector>>,
}

#[async_trait]
impl Operator for AggregateOperator {
    async fn next(&mut self, run: &mut Run) -> ExecResult<Option<Batch>> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Ok(Some(batch));
            }
            run.check_cancelled()?;
            if self.input.is_some() && self.groups.is_empty() {
                self.groups = self.new_groups(run)?;
            }
            if let Some(input) = &mut self.input {
                match input.next(run).await? {
                    Some(batch) => self.absorb(&batch, run)?,
                    None => {
                        self.input = None;
                        for (set, groups) in std::mem::take(&mut self.groups).into_iter().enumerate() {
                            self.finish(set, groups)?;
                        }
                    }
                }
                continue;
            }
            let Some((set, level, file)) = self.files.pop() else { return Ok(None) };
            self.aggregate_file(set, level, file, run)?;
        }
    }
}

impl AggregateOperator {
    fn new_groups(&self, run: &Run) -> PgResult<Vec<Groups>> {
        let node = &self.node;
        let context = &run.context;
        node.sets.iter().map(|keys| Groups::new(context, &node.calls, node.key_types(), keys, 0)).collect()
    }

    fn absorb(&mut self, batch: &Batch, run: &Run) -> PgResult<()> {
        let node = self.node.clone();
        let eval = run.eval();
        let evaluated = node.evaluate(&eval, batch)?;
        let columns: Vec<&Vector> = evaluated.iter().map(|column| &**column).collect();
        if node.ordered {
            return self.absorb_ordered(&node, &columns, batch.rows, run);
        }
        for groups in &mut self.groups {
            groups.absorb(&node.calls, &node.evaluated_types, &columns, batch.rows)?;
        }
        Ok(())
    }

    /// Rows of groups that are neighbours: cut where enough groups are complete.
    fn absorb_ordered(
        &mut self,
        node: &AggregateNode,
        columns: &[&Vector],
        rows: usize,
        run: &Run,
    ) -> PgResult<()> {
        let keys = &columns[..node.keys.len()];
        let last_group = last_group_start(keys, rows);
        let continues = last_group == 0 && self.last.as_ref().is_some_and(|last| same_key(last, keys));
        let enough = self.groups[0].len() >= BATCH_ROWS_MAX;
        self.last = Some(keys.iter().map(|key| key.slice(rows - 1..rows)).collect());
        if !enough || continues {
            return self.groups[0].absorb(&node.calls, &node.evaluated_types, columns, rows);
        }
        if last_group > 0 {
            let before: Vec<Vector> = columns.iter().map(|column| column.slice(0..last_group)).collect();
            let before: Vec<&Vector> = before.iter().collect();
            self.groups[0].absorb(&node.calls, &node.evaluated_types, &before, last_group)?;
        }
        let fresh = self.new_groups(run)?;
        let complete = std::mem::replace(&mut self.groups, fresh);
        for groups in complete {
            self.finish(0, groups)?;
        }
        let after: Vec<Vector> = columns.iter().map(|column| column.slice(last_group..rows)).collect();
        let after: Vec<&Vector> = after.iter().collect();
        self.groups[0].absorb(&node.calls, &node.evaluated_types, &after, rows - last_group)
    }

    /// Makes the rows of finished groups ready, and remembers what was put off.
    fn finish(&mut self, set: usize, groups: Groups) -> PgResult<()> {
        let node = self.node.clone();
        let level = groups.level() + 1;
        let marker = (node.sets.len() > 1).then_some(set as i32);
        let (rows, files) = groups.finish(&node.calls, node.key_types(), marker)?;
        self.files.extend(files.into_iter().map(|file| (set, level, file)));
        let mut start = 0;
        while start < rows.rows {
            let end = (start + BATCH_ROWS_MAX).min(rows.rows);
            if start == 0 && end == rows.rows {
                self.ready.push_back(rows);
                break;
            }
            self.ready.push_back(rows.slice(start..end));
            start = end;
        }
        Ok(())
    }

    fn aggregate_file(&mut self, set: usize, level: u32, mut file: SpillReader, run: &Run) -> ExecResult<()> {
        let node = self.node.clone();
        let mut groups = Groups::new(&run.context, &node.calls, node.key_types(), &node.sets[set], level)?;
        while let Some(batch) = file.read()? {
            run.check_cancelled()?;
            let columns: Vec<&Vector> = batch.columns.iter().collect();
            groups.absorb(&node.calls, &node.evaluated_types, &columns, batch.rows)?;
        }
        Ok(self.finish(set, groups)?)
    }
}

fn equal_keys(a: &[&Vector], row_a: usize, b: &[&Vector], row_b: usize) -> bool {
    a.iter().zip(b).all(|(a, b)| compare_rows(a, row_a, b, row_b, false, false).is_eq())
}

fn same_key(last: &[Vector], keys: &[&Vector]) -> bool {
    equal_keys(&last.iter().collect::<Vec<_>>(), 0, keys, 0)
}

/// Where the group of the last row begins.
fn last_group_start(keys: &[&Vector], rows: usize) -> usize {
    let last = rows - 1;
    (0..last).rev().find(|row| !equal_keys(keys, *row, keys, last)).map_or(0, |row| row + 1)
}
