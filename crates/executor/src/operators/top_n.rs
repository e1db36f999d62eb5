//! ORDER BY with LIMIT: the first rows of the order, without sorting the rest.
//!
//! Rows are gathered until there are a few times as many as wanted, then cut back to those wanted; from then on a row
//! counts only if it comes before the last of these.

use std::sync::Arc;

use async_trait::async_trait;
use planner::plan::{SortKey, TopN};
use types::{BATCH_ROWS_MAX, Batch, DataType, PgResult};

use super::order::compare_keys;
use super::sorter::{SortedRows, Sorter, empty_batch, sorted_rows};
use crate::error::ExecResult;
use crate::memory::Reservation;
use crate::operator::{BoxedOperator, Node, NodeRef, Operator, Run};
use crate::program::{Scalar, row_count};

/// Beyond this many rows all are sorted: that can spill.
const HELD_ROWS_MAX: u64 = 100_000;

pub(crate) struct TopNNode {
    input: NodeRef,
    keys: Vec<SortKey>,
    count: Scalar,
    offset: Option<Scalar>,
    types: Vec<DataType>,
}

impl TopNNode {
    pub fn new(top: &TopN, input: NodeRef, types: Vec<DataType>) -> PgResult<TopNNode> {
        Ok(TopNNode {
            input,
            keys: top.keys.clone(),
            count: Scalar::new(&top.count)?,
            offset: top.offset.as_ref().map(Scalar::new).transpose()?,
            types,
        })
    }
}

impl Node for TopNNode {
    fn open(self: Arc<Self>) -> BoxedOperator {
        BoxedOperator::new(TopNOperator { input: self.input.clone().open(), node: self, output: None })
    }
}

struct TopNOperator {
    node: Arc<TopNNode>,
    input: BoxedOperator,
    output: Option<Output>,
}

struct Output {
    rows: SortedRows,
    skip: u64,
    left: Option<u64>,
}

#[async_trait]
impl Operator for TopNOperator {
    async fn next(&mut self, run: &mut Run) -> ExecResult<Option<Batch>> {
        if self.output.is_none() {
            self.output = Some(self.collect(run).await?);
        }
        let output = self.output.as_mut().expect("set above");
        loop {
            run.pause().await?;
            if output.left == Some(0) {
                return Ok(None);
            }
            let Some(batch) = output.rows.next()? else { return Ok(None) };
            let skipped = output.skip.min(batch.rows as u64) as usize;
            output.skip -= skipped as u64;
            let available = batch.rows - skipped;
            let taken = output.left.map_or(available, |left| left.min(available as u64) as usize);
            if let Some(left) = &mut output.left {
                *left -= taken as u64;
            }
            if taken == batch.rows {
                return Ok(Some(batch));
            }
            if taken > 0 {
                return Ok(Some(batch.slice(skipped..skipped + taken)));
            }
        }
    }
}

impl TopNOperator {
    async fn collect(&mut self, run: &mut Run) -> ExecResult<Output> {
        let node = &*self.node;
        let (skip, left) = {
            let eval = run.eval();
            let skip = row_count(node.offset.as_ref(), &eval, true)?.unwrap_or(0);
            (skip, row_count(Some(&node.count), &eval, false)?)
        };
        let wanted = left.map(|left| left.saturating_add(skip));
        let rows = match wanted {
            Some(wanted) if wanted <= HELD_ROWS_MAX => {
                let reservation = run.context.memory.reservation();
                let mut best = Best::new(&node.keys, &node.types, wanted as usize, reservation);
                if wanted > 0 {
                    while let Some(batch) = self.input.next(run).await? {
                        run.pause().await?;
                        best.push(batch)?;
                    }
                }
                best.finish()
            }
            _ => {
                let mut sorter = Sorter::new(&run.context.memory, node.keys.clone(), node.types.clone());
                while let Some(batch) = self.input.next(run).await? {
                    run.pause().await?;
                    sorter.push(batch)?;
                }
                sorter.finish()?
            }
        };
        Ok(Output { rows, skip, left })
    }
}

/// The best rows so far.
///
/// - Once `cut`, the first `wanted` rows of `held` are sorted, and the last of them is the one to beat.
pub(crate) struct Best {
    keys: Vec<SortKey>,
    wanted: usize,
    held: Batch,
    cut: bool,
    reservation: Reservation,
}

impl Best {
    pub fn new(keys: &[SortKey], types: &[DataType], wanted: usize, reservation: Reservation) -> Best {
        Best { keys: keys.to_vec(), wanted, held: empty_batch(types), cut: false, reservation }
    }

    pub fn push(&mut self, batch: Batch) -> PgResult<()> {
        if self.cut {
            let worst = self.wanted - 1;
            let better: Vec<u32> = (0..batch.rows)
                .filter(|row| compare_keys(&self.keys, &batch, *row, &self.held, worst).is_lt())
                .map(|row| row as u32)
                .collect();
            if better.is_empty() {
                return Ok(());
            }
            for (column, from) in self.held.columns.iter_mut().zip(&batch.columns) {
                column.append_selected(from, &better);
            }
            self.held.rows += better.len();
        } else {
            self.held.append(&batch);
        }
        if self.held.rows >= 2 * self.wanted + BATCH_ROWS_MAX {
            let mut order = sorted_rows(&self.keys, &self.held);
            order.truncate(self.wanted);
            self.held = self.held.gather(&order);
            self.cut = true;
        }
        self.reservation.resize(self.held.memory_size() as u64)
    }

    /// The best rows in order.
    pub fn into_batch(self) -> Batch {
        let mut order = sorted_rows(&self.keys, &self.held);
        order.truncate(self.wanted);
        self.held.gather(&order)
    }

    fn finish(self) -> SortedRows {
        let mut order = sorted_rows(&self.keys, &self.held);
        order.truncate(self.wanted);
        SortedRows::Held { rows: self.held, order, next: 0, _reservation: self.reservation }
    }
}
