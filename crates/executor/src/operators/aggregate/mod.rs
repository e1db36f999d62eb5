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
//!
//! Where rows lie on other nodes, those may add them up ([`crate::remote`]): then what comes in has the keys and partial states, which are
//! merged. An aggregation is fed one way or the other, from its beginning to its end.

mod calls;
mod groups;
mod partial;

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
use crate::remote::{Gather, RemoteSource};
use crate::spill::SpillReader;
use calls::PreparedCall;
use groups::{Absorbed, Groups};

pub(crate) use partial::{PartialAggregate, PartialGroups};

/// - An evaluated row has the keys first, then what each call needs, in order.
pub(crate) struct AggregateNode {
    input: NodeRef,
    keys: Vec<Program>,
    sets: Vec<Vec<u32>>,
    calls: Vec<PreparedCall>,
    ordered: bool,
    /// Of an evaluated row.
    evaluated_types: Vec<DataType>,
    /// Of a row with partial states.
    partial_types: Vec<DataType>,
    /// Other nodes may do a part of it.
    remote: Option<RemoteSource>,
}

impl AggregateNode {
    pub fn new(plan: &Aggregate, input: NodeRef, remote: Option<RemoteSource>) -> PgResult<AggregateNode> {
        let keys = programs(&plan.keys)?;
        let mut evaluated_types: Vec<DataType> = keys.iter().map(Program::data_type).collect();
        let mut calls = Vec::with_capacity(plan.aggregates.len());
        for aggregate in &plan.aggregates {
            let call = PreparedCall::new(aggregate, evaluated_types.len())?;
            evaluated_types.extend(call.types());
            calls.push(call);
        }
        let mut partial_types = evaluated_types[..keys.len()].to_vec();
        partial_types.extend(calls.iter().map(|_| DataType::Bytea));
        Ok(AggregateNode {
            input,
            partial_types,
            remote,
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
        BoxedOperator::new(AggregateOperator {
            node: self,
            input,
            partial: None,
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
    /// Partial states come from here instead.
    partial: Option<Gather>,
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
            run.pause().await?;
            if self.input.is_some() && self.groups.is_empty() {
                if let Some(remote) = &self.node.remote {
                    self.partial = remote.open(run).await?;
                }
                self.groups = self.new_groups(run)?;
            }
            if let Some(input) = &mut self.input {
                let batch = match &mut self.partial {
                    Some(partial) => partial.next(run).await?,
                    None => input.next(run).await?,
                };
                match batch {
                    Some(batch) => self.absorb(&batch, run)?,
                    None => {
                        self.input = None;
                        // What was put off to files has states in it if this had.
                        for (set, groups) in std::mem::take(&mut self.groups).into_iter().enumerate() {
                            self.finish(set, groups)?;
                        }
                    }
                }
                continue;
            }
            let Some((set, level, file)) = self.files.pop() else { return Ok(None) };
            self.aggregate_file(set, level, file, run).await?;
        }
    }
}

impl AggregateOperator {
    fn new_groups(&self, run: &Run) -> PgResult<Vec<Groups>> {
        let (node, text) = (&self.node, run.context.text());
        let context = (&run.context.memory, &text);
        node.sets.iter().map(|keys| Groups::new(context, &node.calls, node.key_types(), keys, 0)).collect()
    }

    /// What comes in looks like this.
    fn absorbed<'a>(&self, node: &'a AggregateNode) -> Absorbed<'a> {
        let is_partial = self.partial.is_some();
        Absorbed { types: if is_partial { &node.partial_types } else { &node.evaluated_types }, is_partial }
    }

    fn absorb(&mut self, batch: &Batch, run: &Run) -> PgResult<()> {
        let node = self.node.clone();
        let eval = run.eval();
        let evaluated = match &self.partial {
            Some(_) => Vec::new(),
            None => node.evaluate(&eval, batch)?,
        };
        let columns: Vec<&Vector> = match &self.partial {
            Some(_) => batch.columns.iter().collect(),
            None => evaluated.iter().map(|column| &**column).collect(),
        };
        let what = self.absorbed(&node);
        if node.ordered {
            return self.absorb_ordered(&node, &columns, batch.rows, run);
        }
        for groups in &mut self.groups {
            groups.absorb(&node.calls, what, &columns, batch.rows)?;
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
        let what = self.absorbed(node);
        let keys = &columns[..node.keys.len()];
        let last_group = last_group_start(keys, rows);
        let continues = last_group == 0 && self.last.as_ref().is_some_and(|last| same_key(last, keys));
        let enough = self.groups[0].len() >= BATCH_ROWS_MAX;
        self.last = Some(keys.iter().map(|key| key.slice(rows - 1..rows)).collect());
        if !enough || continues {
            return self.groups[0].absorb(&node.calls, what, columns, rows);
        }
        if last_group > 0 {
            let before: Vec<Vector> = columns.iter().map(|column| column.slice(0..last_group)).collect();
            let before: Vec<&Vector> = before.iter().collect();
            self.groups[0].absorb(&node.calls, what, &before, last_group)?;
        }
        let fresh = self.new_groups(run)?;
        let complete = std::mem::replace(&mut self.groups, fresh);
        for groups in complete {
            self.finish(0, groups)?;
        }
        let after: Vec<Vector> = columns.iter().map(|column| column.slice(last_group..rows)).collect();
        let after: Vec<&Vector> = after.iter().collect();
        self.groups[0].absorb(&node.calls, what, &after, rows - last_group)
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

    async fn aggregate_file(
        &mut self,
        set: usize,
        level: u32,
        mut file: SpillReader,
        run: &Run,
    ) -> ExecResult<()> {
        let node = self.node.clone();
        let (text, what) = (run.context.text(), self.absorbed(&node));
        let context = (&run.context.memory, &text);
        let mut groups = Groups::new(context, &node.calls, node.key_types(), &node.sets[set], level)?;
        while let Some(batch) = file.read()? {
            run.pause().await?;
            let columns: Vec<&Vector> = batch.columns.iter().collect();
            groups.absorb(&node.calls, what, &columns, batch.rows)?;
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
