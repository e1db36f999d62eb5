//! A large scan read by several tasks, in order.
//!
//! What is left of a scan is cut into parts ([`super::key_number`]) of some thousand rows. Tasks read, decode and filter parts,
//! a part each; rows come out in key order, so that a scan's answer does not depend on who was how fast:
//!
//! ```text
//!   |  emitted  | read | being read | read | being read |  the rest, not cut yet  |
//!                 ^ next to be emitted       at most AHEAD parts are begun
//! ```
//!
//! A task that has read [`PART_ROWS_MAX`] rows or [`PART_BYTES_MAX`] bytes stops and gives back what it has not read, which is cut
//! anew by what is now known of it. So a wrong guess costs some parallelism, and memory stays bounded whatever the keys are.
//!
//! All tasks read in the transaction at the snapshot that the scan's first page has fixed. When no task may be started (the node's
//! are all at work) the scan goes on by itself, page by page. Dropping the scan ends its tasks.

use std::collections::VecDeque;
use std::sync::Arc;

use env::TaskHandle;
use futures::channel::oneshot;
use kvclient::Scan;
use tracing::Instrument;
use types::{Batch, PgError};

use super::key_number::Width;
use super::table_scan::TableScanNode;
use crate::error::ExecResult;
use crate::memory::Reservation;
use crate::operator::Run;

/// Rows of a part if the guess is right.
const PART_ROWS: u64 = 4 * 1024;
/// What a task reads of a part that is larger than was thought.
const PART_ROWS_MAX: u64 = 3 * PART_ROWS;
const PART_BYTES_MAX: u64 = 1 << 20;
/// What one part may hold in memory, decoded.
const PART_MEMORY_BYTES: u64 = 2 * PART_BYTES_MAX;
/// Parts begun for each task that may run.
const AHEAD: usize = 4;

/// - `parts` are in key order, and together with what was emitted are the whole scan.
pub(super) struct ParallelScan {
    parts: VecDeque<Part>,
    width: Option<Width>,
    ready: VecDeque<Batch>,
    begun_max: usize,
    /// Held for the parts that are begun.
    _memory: Reservation,
}

enum Part {
    Begun { result: oneshot::Receiver<ExecResult<PartRead>>, task: TaskHandle },
    Rest(Scan),
}

/// What a task has read.
struct PartRead {
    batches: VecDeque<Batch>,
    /// Not read yet.
    rest: Option<Scan>,
    /// `None`: too few rows to tell.
    width: Option<Width>,
}

impl ParallelScan {
    /// Takes over what is left of a scan. Gives it back when nothing may be done in parallel.
    pub fn begin(scan: Scan, run: &Run) -> Result<ParallelScan, Scan> {
        let parallelism = &run.context.parallelism;
        let begun_max = AHEAD * parallelism.scan_workers_max.min(parallelism.workers_max);
        let mut memory = run.context.memory.reservation();
        if begun_max == 0 || memory.resize(begun_max as u64 * PART_MEMORY_BYTES).is_err() {
            return Err(scan);
        }
        let parts = VecDeque::from([Part::Rest(scan)]);
        Ok(ParallelScan { parts, width: None, ready: VecDeque::new(), begun_max, _memory: memory })
    }

    /// The next rows, in order.
    pub async fn next(&mut self, node: &Arc<TableScanNode>, run: &Run) -> ExecResult<Option<Batch>> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Ok(Some(batch));
            }
            run.pause().await?;
            self.begin_parts(node, run);
            let read = match self.parts.pop_front() {
                None => return Ok(None),
                Some(Part::Begun { result, .. }) => result
                    .await
                    .map_err(|_| PgError::internal("the task that read a part of a scan is gone"))??,
                // The first part, whose rows say how to cut the others; or no task may be started.
                Some(Part::Rest(scan)) => read_part(node, run, scan, 1).await?,
            };
            self.take(read);
        }
    }

    fn take(&mut self, read: PartRead) {
        match (read.width, &mut self.width) {
            (Some(width), _) => self.width = Some(width),
            (None, Some(width)) if read.rest.is_none() => width.widen(),
            _ => {}
        }
        self.ready = read.batches;
        if let Some(rest) = read.rest {
            self.parts.push_front(Part::Rest(rest));
        }
    }

    /// Cuts parts and starts their tasks, the first in key order first.
    fn begin_parts(&mut self, node: &Arc<TableScanNode>, run: &Run) {
        let Some(width) = &self.width else { return };
        let mut begun = self.parts.iter().filter(|part| matches!(part, Part::Begun { .. })).count();
        let mut at = 0;
        while begun < self.begun_max {
            let is_rest = |part: &Part| matches!(part, Part::Rest(_));
            let Some(next) = self.parts.iter().skip(at).position(is_rest) else { return };
            at += next;
            let Some(worker) = run.context.parallelism.take_worker() else { return };
            let Some(Part::Rest(mut scan)) = self.parts.remove(at) else { return };
            if let Some(cut) = width.cut(scan.rest()) {
                let part = scan.cut(cut);
                self.parts.insert(at, Part::Rest(std::mem::replace(&mut scan, part)));
            }
            let (sender, result) = oneshot::channel();
            let (node, own) = (node.clone(), run.worker());
            let task = async move {
                let _worker = worker;
                // The receiver is gone if nobody wants the rows any more.
                let _ = sender.send(read_part(&node, &own, scan, u64::MAX).await);
            };
            let task = run.context.env.spawn("scan-part", Box::pin(task.in_current_span()));
            self.parts.insert(at, Part::Begun { result, task });
            begun += 1;
        }
    }
}

impl Drop for ParallelScan {
    fn drop(&mut self) {
        for part in &self.parts {
            if let Part::Begun { task, .. } = part {
                task.abort();
            }
        }
    }
}

/// Reads at most `pages` pages, and not more than a part may have.
async fn read_part(node: &TableScanNode, run: &Run, mut scan: Scan, mut pages: u64) -> ExecResult<PartRead> {
    let (mut batches, mut rows, mut bytes) = (VecDeque::new(), 0, 0);
    let mut ends: Option<(Vec<u8>, Vec<u8>)> = None;
    while pages > 0 && rows < PART_ROWS_MAX && bytes < PART_BYTES_MAX {
        run.pause().await?;
        let Some(page) = node.page(&mut scan, run).await? else { break };
        pages -= 1;
        rows += page.len() as u64;
        bytes += page.byte_size() as u64;
        let last = page.key(page.len() - 1).to_vec();
        match &mut ends {
            Some((_, end)) => *end = last,
            None => ends = Some((page.key(0).to_vec(), last)),
        }
        batches.extend(node.unlocked_rows(page, run).await?);
    }
    let width = ends.and_then(|(first, last)| Width::of(&first, &last, rows, PART_ROWS));
    Ok(PartRead { batches, rest: (!scan.is_finished()).then_some(scan), width })
}
