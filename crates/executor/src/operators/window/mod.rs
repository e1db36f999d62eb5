//! Window functions.
//!
//! The input is sorted by partition and order. Rows are gathered until a partition is complete; then peers and frames of all
//! its rows are found ([`frame`]) and each call is evaluated over the whole partition at once (`expr::window`).

mod frame;

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use expr::window::{WindowPartition, evaluate};
use expr::{Program, WindowCall};
use planner::ast::FrameExclusion;
use planner::plan::{SortKey, Window};
use types::{BATCH_ROWS_MAX, Batch, DataType, PgError, PgResult, Vector};

use super::order::{compare_keys, equal_in};
use super::sorter::empty_batch;
use crate::error::ExecResult;
use crate::memory::Reservation;
use crate::operator::{BoxedOperator, Node, NodeRef, Operator, Run};
use crate::program::programs;
use frame::{Edges, FrameFinder};

pub(crate) struct WindowNode {
    input: NodeRef,
    partition_by: Vec<u32>,
    order_by: Vec<SortKey>,
    frame: FrameFinder,
    calls: Vec<PreparedCall>,
    types: Vec<DataType>,
}

struct PreparedCall {
    call: WindowCall,
    arguments: Vec<Program>,
    filter: Option<Program>,
}

impl WindowNode {
    pub fn new(window: &Window, input: NodeRef, types: Vec<DataType>) -> PgResult<WindowNode> {
        if window.frame.exclusion != FrameExclusion::NoOthers {
            return Err(PgError::unsupported("EXCLUDE in a window frame"));
        }
        let calls = window.calls.iter().map(|call| {
            Ok(PreparedCall {
                arguments: programs(&call.arguments)?,
                filter: call.filter.as_ref().map(Program::new).transpose()?,
                call: call.clone(),
            })
        });
        Ok(WindowNode {
            input,
            partition_by: window.partition_by.clone(),
            order_by: window.order_by.clone(),
            frame: FrameFinder::new(window, &types)?,
            calls: calls.collect::<PgResult<_>>()?,
            types,
        })
    }
}

impl Node for WindowNode {
    fn open(self: Arc<Self>) -> BoxedOperator {
        BoxedOperator::new(WindowOperator {
            input: Some(self.input.clone().open()),
            held: empty_batch(&self.types),
            node: self,
            edges: None,
            ready: VecDeque::new(),
            reservation: None,
        })
    }
}

/// - `held`: rows of the partition in progress.
struct WindowOperator {
    node: Arc<WindowNode>,
    input: Option<BoxedOperator>,
    held: Batch,
    edges: Option<Edges>,
    ready: VecDeque<Batch>,
    reservation: Option<Reservation>,
}

#[async_trait]
impl Operator for WindowOperator {
    async fn next(&mut self, run: &mut Run) -> ExecResult<Option<Batch>> {
        if self.edges.is_none() {
            self.edges = Some(self.node.frame.edges(&run.eval())?);
            self.reservation = Some(run.context.memory.reservation());
        }
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Ok(Some(batch));
            }
            run.pause().await?;
            let Some(input) = &mut self.input else { return Ok(None) };
            match input.next(run).await? {
                Some(batch) => self.take(batch, run)?,
                None => {
                    self.input = None;
                    let last = std::mem::take(&mut self.held);
                    if last.rows > 0 {
                        self.evaluate(last, run)?;
                    }
                }
            }
        }
    }
}

impl WindowOperator {
    /// Adds rows; evaluates the partitions that they complete.
    fn take(&mut self, batch: Batch, run: &Run) -> ExecResult<()> {
        let node = self.node.clone();
        let mut start = 0;
        for row in 0..batch.rows {
            let same = match row {
                0 if self.held.rows == 0 => true,
                0 => equal_in(&node.partition_by, &self.held, self.held.rows - 1, &batch, 0),
                _ => equal_in(&node.partition_by, &batch, row - 1, &batch, row),
            };
            if !same {
                let mut complete = std::mem::replace(&mut self.held, empty_batch(&node.types));
                complete.append(&batch.slice(start..row));
                self.evaluate(complete, run)?;
                start = row;
            }
        }
        if start == 0 {
            self.held.append(&batch);
        } else {
            self.held.append(&batch.slice(start..batch.rows));
        }
        let held = self.held.memory_size() as u64;
        if let Some(reservation) = &mut self.reservation {
            reservation.resize(held)?;
        }
        Ok(())
    }

    /// Evaluates all calls over a partition.
    fn evaluate(&mut self, mut partition: Batch, run: &Run) -> ExecResult<()> {
        let node = self.node.clone();
        let peers = peers(&node.order_by, &partition);
        let edges = self.edges.as_ref().expect("set before the first row");
        let eval = run.eval();
        let frames = node.frame.frames(edges, &eval, &partition, &peers)?;
        let text = &run.context.text();
        let window = WindowPartition {
            rows: partition.rows,
            peers: &peers,
            frames: &frames,
            text,
            bounds: eval.bounds,
        };
        let mut results = Vec::with_capacity(node.calls.len());
        for call in &node.calls {
            let arguments = call.arguments.iter().map(|argument| argument.evaluate(&eval, &partition));
            let arguments: Vec<_> = arguments.collect::<PgResult<_>>()?;
            let arguments: Vec<&Vector> = arguments.iter().map(|argument| &**argument).collect();
            let filter = call.filter.as_ref().map(|filter| filter.filter(&eval, &partition)).transpose()?;
            results.push(evaluate(&call.call, &arguments, filter.as_deref(), &window)?);
        }
        partition.columns.extend(results);
        if partition.rows <= BATCH_ROWS_MAX {
            self.ready.push_back(partition);
            return Ok(());
        }
        let mut start = 0;
        while start < partition.rows {
            let end = (start + BATCH_ROWS_MAX).min(partition.rows);
            self.ready.push_back(partition.slice(start..end));
            start = end;
        }
        Ok(())
    }
}

/// For each row, the range of rows that sort equal to it.
fn peers(order_by: &[SortKey], partition: &Batch) -> Vec<(u32, u32)> {
    let mut peers = Vec::with_capacity(partition.rows);
    let mut start = 0;
    for row in 1..=partition.rows {
        let ends =
            row == partition.rows || compare_keys(order_by, partition, row - 1, partition, row).is_ne();
        if ends {
            peers.resize(row, (start as u32, row as u32));
            start = row;
        }
    }
    peers
}
