//! ORDER BY.

use std::sync::Arc;

use async_trait::async_trait;
use planner::plan::{Sort, SortKey};
use types::{Batch, DataType};

use super::order::compare_keys;
use super::sorter::{SortedRows, Sorter, empty_batch, sorted_rows};
use crate::error::ExecResult;
use crate::operator::{BoxedOperator, Node, NodeRef, Operator, Run};

pub(crate) struct SortNode {
    input: NodeRef,
    keys: Vec<SortKey>,
    presorted: usize,
    types: Vec<DataType>,
}

impl SortNode {
    pub fn new(sort: &Sort, input: NodeRef, types: Vec<DataType>) -> SortNode {
        SortNode { input, keys: sort.keys.clone(), presorted: sort.presorted as usize, types }
    }
}

impl Node for SortNode {
    fn open(self: Arc<Self>) -> BoxedOperator {
        let input = self.input.clone().open();
        if self.presorted > 0 {
            let held = empty_batch(&self.types);
            return BoxedOperator::new(PresortedOperator {
                node: self,
                input,
                held,
                ready: None,
                ended: false,
            });
        }
        BoxedOperator::new(SortOperator { node: self, input, sorted: None })
    }
}

struct SortOperator {
    node: Arc<SortNode>,
    input: BoxedOperator,
    sorted: Option<SortedRows>,
}

#[async_trait]
impl Operator for SortOperator {
    async fn next(&mut self, run: &mut Run) -> ExecResult<Option<Batch>> {
        if self.sorted.is_none() {
            let node = &*self.node;
            let mut sorter = Sorter::new(&run.context.memory, node.keys.clone(), node.types.clone());
            while let Some(batch) = self.input.next(run).await? {
                run.pause().await?;
                sorter.push(batch)?;
            }
            self.sorted = Some(sorter.finish()?);
        }
        run.pause().await?;
        Ok(self.sorted.as_mut().expect("set above").next()?)
    }
}

/// The input is sorted by the first keys: rows that are equal in these are sorted by the others, group by group.
///
/// - `held` are rows not yet sorted; all but the last group of them are complete.
struct PresortedOperator {
    node: Arc<SortNode>,
    input: BoxedOperator,
    held: Batch,
    ready: Option<SortedRows>,
    ended: bool,
}

#[async_trait]
impl Operator for PresortedOperator {
    async fn next(&mut self, run: &mut Run) -> ExecResult<Option<Batch>> {
        loop {
            if let Some(ready) = &mut self.ready {
                if let Some(batch) = ready.next()? {
                    return Ok(Some(batch));
                }
                self.ready = None;
            }
            if self.ended {
                return Ok(None);
            }
            run.pause().await?;
            let complete = match self.input.next(run).await? {
                Some(batch) => {
                    self.held.append(&batch);
                    self.last_group()
                }
                None => {
                    self.ended = true;
                    self.held.rows
                }
            };
            if complete > 0 {
                self.sort(complete, run)?;
            }
        }
    }
}

impl PresortedOperator {
    /// Where the last group of the held rows begins.
    fn last_group(&self) -> usize {
        let keys = &self.node.keys[..self.node.presorted];
        let last = self.held.rows - 1;
        let differs = |row: &usize| compare_keys(keys, &self.held, *row, &self.held, last).is_ne();
        (0..last).rev().find(differs).map_or(0, |row| row + 1)
    }

    /// Makes the first held rows ready, sorted.
    fn sort(&mut self, rows: usize, run: &Run) -> ExecResult<()> {
        let rest = self.held.slice(rows..self.held.rows);
        let complete = std::mem::replace(&mut self.held, rest);
        let complete = if complete.rows == rows { complete } else { complete.slice(0..rows) };
        let mut reservation = run.context.memory.reservation();
        reservation.resize((complete.memory_size() + self.held.memory_size()) as u64)?;
        let order = sorted_rows(&self.node.keys, &complete);
        self.ready = Some(SortedRows::Held { rows: complete, order, next: 0, _reservation: reservation });
        Ok(())
    }
}
