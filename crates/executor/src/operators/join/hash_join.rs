//! Equi-joins by a hash table over the right input.
//!
//! A right side that outgrows its memory is dealt out to files by the hash of its key, and so is then the left side; each
//! pair of files is a join of its own. A null-aware join must see the whole right side for every left row with a NULL and
//! is not dealt out.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use expr::Program;
use planner::plan::{HashJoin, JoinKind};
use types::{Batch, DataType, PgResult};

use super::hash_table::{JoinTable, Keys};
use super::pairs::{PAIRS_MAX, PairCondition, STEP_LOTS_MAX, joined, outcome, pairs_max, retain_true};
use super::{LeftRows, unmatched_right};
use crate::error::ExecResult;
use crate::memory::Reservation;
use crate::operator::{BoxedOperator, Node, NodeRef, Operator, Run};
use crate::program::programs;
use crate::spill::{Partitions, SpillReader};

/// Right rows looked at for unknown matches between two places to give way.
const STEP_UNKNOWN_MAX: usize = 1 << 16;

pub(crate) struct HashJoinNode {
    kind: JoinKind,
    left: NodeRef,
    right: NodeRef,
    left_keys: Vec<Program>,
    right_keys: Vec<Program>,
    condition: Option<PairCondition>,
    null_aware: bool,
    left_types: Vec<DataType>,
    right_types: Vec<DataType>,
}

impl HashJoinNode {
    pub fn new(
        join: &HashJoin,
        (left, left_types): (NodeRef, Vec<DataType>),
        (right, right_types): (NodeRef, Vec<DataType>),
    ) -> PgResult<HashJoinNode> {
        Ok(HashJoinNode {
            kind: join.kind,
            left,
            right,
            left_keys: programs(&join.left_keys)?,
            right_keys: programs(&join.right_keys)?,
            condition: PairCondition::new(&join.condition, &left_types, &right_types)?,
            null_aware: join.null_aware,
            left_types,
            right_types,
        })
    }

    /// Right rows without a match are given out at the end.
    fn keeps_right(&self) -> bool {
        matches!(self.kind, JoinKind::Right | JoinKind::Full)
    }

    /// One match decides about a left row.
    fn first_match_decides(&self) -> bool {
        matches!(self.kind, JoinKind::Semi | JoinKind::Anti | JoinKind::Mark)
    }
}

impl Node for HashJoinNode {
    fn open(self: Arc<Self>) -> BoxedOperator {
        let task = Task {
            left: Side::Input(self.left.clone().open()),
            right: Side::Input(self.right.clone().open()),
            level: 0,
        };
        BoxedOperator::new(HashJoinOperator {
            node: self,
            tasks: vec![task],
            current: None,
            ready: VecDeque::new(),
        })
    }
}

/// Where the rows of one side come from.
enum Side {
    Input(BoxedOperator),
    File(SpillReader),
}

impl Side {
    async fn next(&mut self, run: &mut Run) -> ExecResult<Option<Batch>> {
        match self {
            Side::Input(input) => input.next(run).await,
            Side::File(file) => Ok(file.read()?),
        }
    }
}

/// A join to be made.
struct Task {
    left: Side,
    right: Side,
    level: u32,
}

struct HashJoinOperator {
    node: Arc<HashJoinNode>,
    tasks: Vec<Task>,
    current: Option<Probe>,
    ready: VecDeque<Batch>,
}

/// A join being made.
struct Probe {
    left: Side,
    current: Option<LeftBatch>,
    table: JoinTable,
    /// Right rows that had a match, when that matters.
    matched: Vec<bool>,
    _reservation: Reservation,
}

/// A left batch on its way through the table.
///
/// - `row` is the next to look up; with `found`, the next right row of those with its keys.
/// - Rows before `unknown` have been looked at for what only a NULL keeps from matching, once all have been looked up.
struct LeftBatch {
    left: Batch,
    rows: LeftRows,
    row: usize,
    found: Option<Option<u32>>,
    unknown: usize,
}

impl LeftBatch {
    fn new(left: Batch) -> LeftBatch {
        LeftBatch { rows: LeftRows::new(left.rows), left, row: 0, found: None, unknown: 0 }
    }
}

#[async_trait]
impl Operator for HashJoinOperator {
    async fn next(&mut self, run: &mut Run) -> ExecResult<Option<Batch>> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Ok(Some(batch));
            }
            run.pause().await?;
            let Some(probe) = &mut self.current else {
                let Some(task) = self.tasks.pop() else { return Ok(None) };
                self.begin(task, run).await?;
                continue;
            };
            if let Some(left) = probe.current.take() {
                probe.current = probe.probe(&self.node, left, run, &mut self.ready)?;
                continue;
            }
            match probe.left.next(run).await? {
                Some(left) => probe.current = Some(LeftBatch::new(left)),
                None => {
                    probe.finish(&self.node, &mut self.ready);
                    self.current = None;
                }
            }
        }
    }
}

impl HashJoinOperator {
    /// Builds the table, or deals both sides out.
    async fn begin(&mut self, task: Task, run: &mut Run) -> ExecResult<()> {
        let node = self.node.clone();
        let Task { left, mut right, level } = task;
        let key_types: Vec<DataType> = node.right_keys.iter().map(Program::data_type).collect();
        let mut table = JoinTable::new(&node.right_types, &key_types);
        let mut reservation = run.context.memory.reservation();
        while let Some(batch) = right.next(run).await? {
            run.pause().await?;
            let bytes = JoinTable::memory_size_of(&batch);
            let over = reservation.bytes() + bytes > run.context.memory.work_bytes();
            let possible = run.context.memory.spill_store().is_some() && Partitions::can_deal(level);
            let can_spill = possible && !node.null_aware;
            if can_spill && (over || reservation.grow(bytes).is_err()) {
                drop(reservation);
                return self.deal_out(table.rows, batch, Task { left, right, level }, run).await;
            }
            if !can_spill {
                reservation.grow(bytes)?;
            }
            let eval = run.eval();
            let keys = Keys::of(&node.right_keys, &eval, &batch)?;
            table.push(&batch, &keys);
        }
        table.build();
        let matched = if node.keeps_right() { vec![false; table.rows.rows] } else { Vec::new() };
        self.current = Some(Probe { left, current: None, table, matched, _reservation: reservation });
        Ok(())
    }

    /// Deals both sides out to files: the right side's rows held so far, `batch`, and what is to come.
    async fn deal_out(&mut self, held: Batch, batch: Batch, task: Task, run: &mut Run) -> ExecResult<()> {
        let node = self.node.clone();
        let Task { mut left, mut right, level } = task;
        let Some(store) = run.context.memory.spill_store().cloned() else {
            return Err(types::PgError::internal("spilling without a place to spill").into());
        };
        let mut files = Partitions::new(&*store, node.right_types.clone(), level)?;
        let mut next = Some(batch);
        let mut held = Some(held);
        loop {
            let batch = match held.take().or_else(|| next.take()) {
                Some(batch) => batch,
                None => match right.next(run).await? {
                    Some(batch) => batch,
                    None => break,
                },
            };
            run.pause().await?;
            let hashes = Keys::of(&node.right_keys, &run.eval(), &batch)?.hashes;
            files.write(&batch, None, &hashes)?;
        }
        let right_files = files.finish()?;
        let mut files = Partitions::new(&*store, node.left_types.clone(), level)?;
        while let Some(batch) = left.next(run).await? {
            run.pause().await?;
            let hashes = Keys::of(&node.left_keys, &run.eval(), &batch)?.hashes;
            files.write(&batch, None, &hashes)?;
        }
        let pairs = files.finish()?.into_iter().zip(right_files);
        let pairs = pairs.filter(|(left, right)| left.rows() + right.rows() > 0);
        self.tasks.extend(pairs.map(|(left, right)| Task {
            left: Side::File(left),
            right: Side::File(right),
            level: level + 1,
        }));
        Ok(())
    }
}

impl Probe {
    /// Joins a left batch, or a part of it; answers with the batch if it is not through.
    fn probe(
        &mut self,
        node: &HashJoinNode,
        mut batch: LeftBatch,
        run: &Run,
        ready: &mut VecDeque<Batch>,
    ) -> ExecResult<Option<LeftBatch>> {
        let eval = run.eval();
        {
            let LeftBatch { left, rows, row, found, unknown } = &mut batch;
            let left = &*left;
            let keys = Keys::of(&node.left_keys, &eval, left)?;
            let most = pairs_max(left, &self.table.rows);
            let mut lots = 0;
            let (mut left_rows, mut right_rows) = (Vec::new(), Vec::new());
            while *row < left.rows {
                let mut next = match found.take() {
                    Some(next) => next,
                    None if keys.has_null(*row) => None,
                    None => self.table.first(&keys, *row),
                };
                while let Some(right) = next {
                    left_rows.push(*row as u32);
                    right_rows.push(right);
                    if node.first_match_decides() && node.condition.is_none() {
                        break;
                    }
                    next = self.table.next_after(right, &keys, *row);
                    if left_rows.len() >= most {
                        self.look(node, run, left, &mut left_rows, &mut right_rows, rows, ready)?;
                        run.check_cancelled()?;
                        lots += 1;
                        if lots >= STEP_LOTS_MAX {
                            *found = Some(next);
                            return Ok(Some(batch));
                        }
                    }
                }
                *row += 1;
            }
            self.look(node, run, left, &mut left_rows, &mut right_rows, rows, ready)?;
            if node.null_aware {
                *unknown = self.look_for_unknown(node, run, left, &keys, rows, *unknown)?;
                if *unknown < left.rows {
                    return Ok(Some(batch));
                }
            }
        }
        ready.extend(batch.rows.finish(node.kind, batch.left, &node.right_types));
        Ok(None)
    }

    /// Looks at pairs with equal keys; gives out those that match.
    #[allow(clippy::too_many_arguments)]
    fn look(
        &mut self,
        node: &HashJoinNode,
        run: &Run,
        left: &Batch,
        left_rows: &mut Vec<u32>,
        right_rows: &mut Vec<u32>,
        rows: &mut LeftRows,
        ready: &mut VecDeque<Batch>,
    ) -> ExecResult<()> {
        let right = &self.table.rows;
        retain_true(node.condition.as_ref(), &run.eval(), left, left_rows, right, right_rows)?;
        for row in left_rows.iter() {
            rows.matched[*row as usize] = true;
        }
        if node.keeps_right() {
            right_rows.iter().for_each(|row| self.matched[*row as usize] = true);
        }
        if node.kind.has_right_columns() && !left_rows.is_empty() {
            ready.push_back(joined(left, left_rows, right, right_rows));
        }
        left_rows.clear();
        right_rows.clear();
        Ok(())
    }

    /// For left rows without a match, from `first` on: is there a right row that only a NULL keeps from matching? Answers with the
    /// row that comes next.
    fn look_for_unknown(
        &self,
        node: &HashJoinNode,
        run: &Run,
        left: &Batch,
        keys: &Keys<'_>,
        rows: &mut LeftRows,
        first: usize,
    ) -> ExecResult<usize> {
        let all = self.table.rows.rows as u32;
        let mut looked = 0;
        for row in first..left.rows {
            if looked >= STEP_UNKNOWN_MAX {
                return Ok(row);
            }
            if rows.matched[row] {
                continue;
            }
            let candidates: Vec<u32> = if keys.has_null(row) {
                looked += all as usize;
                (0..all).filter(|right| self.table.may_equal(*right, keys, row)).collect()
            } else {
                let nulls = self.table.null_keys.iter().copied();
                looked += nulls.len();
                nulls.filter(|right| self.table.may_equal(*right, keys, row)).collect()
            };
            rows.unknown[row] = match &node.condition {
                None => !candidates.is_empty(),
                Some(condition) => {
                    let mut any = false;
                    for chunk in candidates.chunks(PAIRS_MAX) {
                        run.check_cancelled()?;
                        let left_rows = vec![row as u32; chunk.len()];
                        let result =
                            condition.evaluate(&run.eval(), left, &left_rows, &self.table.rows, chunk)?;
                        any |= (0..chunk.len()).any(|pair| outcome(&result, pair).0);
                    }
                    any
                }
            };
        }
        Ok(left.rows)
    }

    /// Right rows that had no match.
    fn finish(&self, node: &HashJoinNode, ready: &mut VecDeque<Batch>) {
        if !node.keeps_right() {
            return;
        }
        let all = &self.table.rows;
        let mut start = 0;
        while start < all.rows {
            let end = (start + PAIRS_MAX).min(all.rows);
            let piece = all.slice(start..end);
            ready.extend(unmatched_right(&piece, |row| self.matched[start + row], &node.left_types));
            start = end;
        }
    }
}
