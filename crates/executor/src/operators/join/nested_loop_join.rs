//! Joins by any condition: the right input is held (in a file, when it is large) and gone through for every left batch.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use planner::plan::{JoinKind, NestedLoopJoin};
use types::{Batch, DataType, PgResult};

use super::pairs::{PairCondition, STEP_LOTS_MAX, joined, outcome, pairs_max};
use super::{LeftRows, unmatched_right};
use crate::error::ExecResult;
use crate::operator::{BoxedOperator, Node, NodeRef, Operator, Run};
use crate::spill::{BufferCursor, RowBuffer};

pub(crate) struct NestedLoopJoinNode {
    kind: JoinKind,
    left: NodeRef,
    right: NodeRef,
    looker: Looker,
    left_types: Vec<DataType>,
    right_types: Vec<DataType>,
}

/// How pairs are judged; [`super::ApplyNode`] does it alike.
pub(super) struct Looker {
    pub kind: JoinKind,
    pub condition: Option<PairCondition>,
    pub null_aware: bool,
}

impl NestedLoopJoinNode {
    pub fn new(
        join: &NestedLoopJoin,
        (left, left_types): (NodeRef, Vec<DataType>),
        (right, right_types): (NodeRef, Vec<DataType>),
    ) -> PgResult<NestedLoopJoinNode> {
        let condition = PairCondition::new(&join.condition, &left_types, &right_types)?;
        let looker = Looker { kind: join.kind, condition, null_aware: join.null_aware };
        Ok(NestedLoopJoinNode { kind: join.kind, left, right, looker, left_types, right_types })
    }

    fn keeps_right(&self) -> bool {
        matches!(self.kind, JoinKind::Right | JoinKind::Full)
    }
}

impl Node for NestedLoopJoinNode {
    fn open(self: Arc<Self>) -> BoxedOperator {
        let (left, right) = (self.left.clone().open(), self.right.clone().open());
        BoxedOperator::new(NestedLoopJoinOperator {
            node: self,
            left,
            right: Some(right),
            held: None,
            matched: Vec::new(),
            current: None,
            ready: VecDeque::new(),
            unmatched: None,
        })
    }
}

struct NestedLoopJoinOperator {
    node: Arc<NestedLoopJoinNode>,
    left: BoxedOperator,
    right: Option<BoxedOperator>,
    held: Option<RowBuffer>,
    /// Right rows that had a match, when that matters.
    matched: Vec<bool>,
    current: Option<Round>,
    ready: VecDeque<Batch>,
    /// At the end: the position among the right rows whose matches are looked through.
    unmatched: Option<(BufferCursor, usize)>,
}

/// A left batch on its way through the right rows.
struct Round {
    left: Batch,
    rows: LeftRows,
    cursor: BufferCursor,
    /// The right batch at hand, and the left row that comes next to it.
    right: Option<(Arc<Batch>, usize)>,
    /// Right rows gone through before this batch.
    seen: usize,
}

#[async_trait]
impl Operator for NestedLoopJoinOperator {
    async fn next(&mut self, run: &mut Run) -> ExecResult<Option<Batch>> {
        if let Some(mut right) = self.right.take() {
            let mut held = RowBuffer::new(&run.context.memory, self.node.right_types.clone());
            while let Some(batch) = right.next(run).await? {
                run.pause().await?;
                held.push(batch)?;
            }
            if self.node.keeps_right() {
                self.matched = vec![false; held.rows() as usize];
            }
            self.held = Some(held);
        }
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Ok(Some(batch));
            }
            run.pause().await?;
            let held = self.held.as_mut().expect("set above");
            if let Some((cursor, seen)) = &mut self.unmatched {
                let Some(right) = held.read(cursor)? else { return Ok(None) };
                let start = *seen;
                *seen += right.rows;
                let matched = |row| self.matched[start + row];
                self.ready.extend(unmatched_right(&right, matched, &self.node.left_types));
                continue;
            }
            let Some(round) = &mut self.current else {
                match self.left.next(run).await? {
                    Some(left) => {
                        let rows = LeftRows::new(left.rows);
                        let cursor = BufferCursor::default();
                        self.current = Some(Round { left, rows, cursor, right: None, seen: 0 });
                    }
                    None if self.node.keeps_right() => self.unmatched = Some((BufferCursor::default(), 0)),
                    None => return Ok(None),
                }
                continue;
            };
            let Some((right, next)) = &mut round.right else {
                match held.read(&mut round.cursor)? {
                    Some(right) => round.right = Some((right, 0)),
                    None => {
                        let round = self.current.take().expect("matched above");
                        let rest = round.rows.finish(self.node.kind, round.left, &self.node.right_types);
                        self.ready.extend(rest);
                    }
                }
                continue;
            };
            let mut matched = MatchedRight { rows: &mut self.matched, start: round.seen };
            let (left, rows) = (&round.left, &mut round.rows);
            *next =
                self.node.looker.look_from(*next, run, left, right, rows, &mut matched, &mut self.ready)?;
            if *next == left.rows {
                round.seen += right.rows;
                round.right = None;
            }
        }
    }
}

/// Marks of right rows; the batch at hand begins at `start`. No marks at all when they do not matter.
pub(super) struct MatchedRight<'a> {
    pub rows: &'a mut Vec<bool>,
    pub start: usize,
}

impl Looker {
    /// Looks at all pairs of the left rows from `first` on, until some lots have been looked at; answers with the left row that comes
    /// next.
    #[allow(clippy::too_many_arguments)]
    pub fn look_from(
        &self,
        first: usize,
        run: &Run,
        left: &Batch,
        right: &Batch,
        rows: &mut LeftRows,
        matched: &mut MatchedRight<'_>,
        ready: &mut VecDeque<Batch>,
    ) -> ExecResult<usize> {
        let first_decides = matches!(self.kind, JoinKind::Semi | JoinKind::Anti | JoinKind::Mark);
        let most = pairs_max(left, right);
        let (mut left_rows, mut right_rows) = (Vec::new(), Vec::new());
        let (mut next, mut lots) = (first, 0);
        while next < left.rows && lots < STEP_LOTS_MAX {
            let row = next;
            next += 1;
            if first_decides && rows.matched[row] {
                continue;
            }
            for other in 0..right.rows {
                if left_rows.len() >= most {
                    self.look(run, left, right, (&mut left_rows, &mut right_rows), rows, matched, ready)?;
                    run.check_cancelled()?;
                    lots += 1;
                    if first_decides && rows.matched[row] {
                        break;
                    }
                }
                left_rows.push(row as u32);
                right_rows.push(other as u32);
            }
        }
        self.look(run, left, right, (&mut left_rows, &mut right_rows), rows, matched, ready)?;
        Ok(next)
    }

    /// Looks at some pairs and empties the lists.
    #[allow(clippy::too_many_arguments)]
    pub fn look(
        &self,
        run: &Run,
        left: &Batch,
        right: &Batch,
        (left_rows, right_rows): (&mut Vec<u32>, &mut Vec<u32>),
        rows: &mut LeftRows,
        matched: &mut MatchedRight<'_>,
        ready: &mut VecDeque<Batch>,
    ) -> ExecResult<()> {
        if left_rows.is_empty() {
            return Ok(());
        }
        if let Some(condition) = &self.condition {
            let result = condition.evaluate(&run.eval(), left, left_rows, right, right_rows)?;
            let mut kept = 0;
            for pair in 0..left_rows.len() {
                let (is_true, is_null) = outcome(&result, pair);
                if is_null && self.null_aware {
                    rows.unknown[left_rows[pair] as usize] = true;
                }
                if is_true {
                    left_rows[kept] = left_rows[pair];
                    right_rows[kept] = right_rows[pair];
                    kept += 1;
                }
            }
            left_rows.truncate(kept);
            right_rows.truncate(kept);
        }
        for row in left_rows.iter() {
            rows.matched[*row as usize] = true;
        }
        if !matched.rows.is_empty() {
            right_rows.iter().for_each(|row| matched.rows[matched.start + *row as usize] = true);
        }
        if self.kind.has_right_columns() && !left_rows.is_empty() {
            ready.push_back(joined(left, left_rows, right, right_rows));
        }
        left_rows.clear();
        right_rows.clear();
        Ok(())
    }
}
