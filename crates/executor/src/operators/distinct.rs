//! DISTINCT and DISTINCT ON.
//!
//! New rows are passed on as they come. When the set of rows seen has outgrown its memory, it takes no more: rows that it has are
//! still dropped, others go to files by hash, and each file is a DISTINCT of its own once the input has ended.

use std::sync::Arc;

use async_trait::async_trait;
use planner::plan::Distinct;
use types::{Batch, DataType, PgResult, Vector};

use super::order::equal_in;
use super::row_set::{RowSet, hash_rows};
use crate::error::ExecResult;
use crate::memory::MemoryAccount;
use crate::operator::{BoxedOperator, Node, NodeRef, Operator, Run};
use crate::spill::{Partitions, SpillReader};

pub(crate) struct DistinctNode {
    input: NodeRef,
    columns: Vec<u32>,
    ordered: bool,
    types: Vec<DataType>,
}

impl DistinctNode {
    pub fn new(distinct: &Distinct, input: NodeRef, types: Vec<DataType>) -> DistinctNode {
        DistinctNode { input, columns: distinct.columns.clone(), ordered: distinct.ordered, types }
    }
}

impl Node for DistinctNode {
    fn open(self: Arc<Self>) -> BoxedOperator {
        let input = self.input.clone().open();
        if self.ordered {
            return BoxedOperator::new(OrderedDistinct { node: self, input, last: None });
        }
        BoxedOperator::new(HashDistinct {
            node: self,
            input: Some(input),
            seen: None,
            files: Vec::new(),
            reading: None,
        })
    }
}

/// Equal rows are neighbours.
struct OrderedDistinct {
    node: Arc<DistinctNode>,
    input: BoxedOperator,
    last: Option<Batch>,
}

#[async_trait]
impl Operator for OrderedDistinct {
    async fn next(&mut self, run: &mut Run) -> ExecResult<Option<Batch>> {
        while let Some(batch) = self.input.next(run).await? {
            run.pause().await?;
            let columns = &self.node.columns;
            let is_new = |row: usize| match (row, &self.last) {
                (0, None) => true,
                (0, Some(last)) => !equal_in(columns, last, 0, &batch, 0),
                _ => !equal_in(columns, &batch, row - 1, &batch, row),
            };
            let selection: Vec<u32> =
                (0..batch.rows).filter(|row| is_new(*row)).map(|row| row as u32).collect();
            self.last = Some(batch.slice(batch.rows - 1..batch.rows));
            if selection.len() == batch.rows {
                return Ok(Some(batch));
            }
            if !selection.is_empty() {
                return Ok(Some(batch.gather(&selection)));
            }
        }
        Ok(None)
    }
}

struct HashDistinct {
    node: Arc<DistinctNode>,
    input: Option<BoxedOperator>,
    seen: Option<Seen>,
    /// Still to be gone through, with how often their rows have been dealt out.
    files: Vec<(SpillReader, u32)>,
    reading: Option<SpillReader>,
}

/// The rows seen.
struct Seen {
    account: MemoryAccount,
    rows: RowSet,
    overflow: Option<Partitions>,
    level: u32,
}

#[async_trait]
impl Operator for HashDistinct {
    async fn next(&mut self, run: &mut Run) -> ExecResult<Option<Batch>> {
        loop {
            run.pause().await?;
            let batch = match (&mut self.input, &mut self.reading) {
                (Some(input), _) => input.next(run).await?,
                (None, Some(reader)) => reader.read()?,
                (None, None) => None,
            };
            let seen = self.seen.get_or_insert_with(|| Seen::new(&run.context.memory, &self.node, 0));
            match batch {
                Some(batch) => {
                    if let Some(new) = seen.keep_new(&self.node, batch)? {
                        return Ok(Some(new));
                    }
                }
                None => {
                    self.input = None;
                    let level = seen.level + 1;
                    if let Some(overflow) = seen.overflow.take() {
                        let files = overflow.finish()?.into_iter().filter(|file| file.rows() > 0);
                        self.files.extend(files.map(|file| (file, level)));
                    }
                    let Some((file, level)) = self.files.pop() else { return Ok(None) };
                    self.seen = None;
                    self.seen = Some(Seen::new(&run.context.memory, &self.node, level));
                    self.reading = Some(file);
                }
            }
        }
    }
}

impl Seen {
    fn new(account: &MemoryAccount, node: &DistinctNode, level: u32) -> Seen {
        let types = node.columns.iter().map(|column| node.types[*column as usize]).collect();
        Seen { account: account.clone(), rows: RowSet::new(account, types), overflow: None, level }
    }

    fn keep_new(&mut self, node: &DistinctNode, batch: Batch) -> PgResult<Option<Batch>> {
        let columns: Vec<&Vector> =
            node.columns.iter().map(|column| &batch.columns[*column as usize]).collect();
        if let Some(overflow) = &mut self.overflow {
            let mut hashes = Vec::new();
            hash_rows(&columns, batch.rows, &mut hashes);
            let unknown: Vec<u32> = (0..batch.rows)
                .filter(|row| self.rows.find(&columns, *row, hashes[*row]).is_none())
                .map(|row| row as u32)
                .collect();
            overflow.write(&batch, Some(&unknown), &hashes)?;
            return Ok(None);
        }
        let selection = self.rows.add_rows(&columns, batch.rows);
        let over = self.rows.memory_size() as u64 > self.account.work_bytes();
        match self.account.spill_store() {
            Some(store) if over && Partitions::can_deal(self.level) => {
                self.overflow = Some(Partitions::new(&**store, node.types.clone(), self.level)?);
            }
            _ => self.rows.account()?,
        }
        Ok(match selection.len() {
            0 => None,
            all if all == batch.rows => Some(batch),
            _ => Some(batch.gather(&selection)),
        })
    }
}
