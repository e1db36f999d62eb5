//! For each left row, the right input anew: LATERAL and correlated subqueries.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use planner::plan::{Apply, ApplyKind, JoinKind};
use types::{Batch, DataType, PgResult, Vector};

use super::LeftRows;
use super::nested_loop_join::{Looker, MatchedRight};
use super::pairs::PairCondition;
use crate::error::ExecResult;
use crate::operator::{BoxedOperator, Node, NodeRef, Operator, Run};
use crate::operators::Coalesce;
use crate::operators::subquery::Subquery;

pub(crate) struct ApplyNode {
    left: NodeRef,
    right: NodeRef,
    bindings: Vec<(u32, u32)>,
    work: Work,
    right_types: Vec<DataType>,
}

enum Work {
    Join(Looker),
    Value(Subquery),
}

impl ApplyNode {
    pub fn new(
        apply: &Apply,
        (left, left_types): (NodeRef, Vec<DataType>),
        (right, right_types): (NodeRef, Vec<DataType>),
        result_type: Option<DataType>,
    ) -> PgResult<ApplyNode> {
        let work = match apply.kind {
            ApplyKind::Join { kind, null_aware } => {
                let condition = PairCondition::new(&apply.condition, &left_types, &right_types)?;
                Work::Join(Looker { kind, condition, null_aware })
            }
            ApplyKind::Subquery(result) => {
                Work::Value(Subquery { result, data_type: result_type.unwrap_or(DataType::Bool) })
            }
        };
        Ok(ApplyNode { left, right, bindings: apply.bindings.clone(), work, right_types })
    }

    fn bind(&self, run: &mut Run, left: &Batch, row: usize) {
        for (slot, column) in &self.bindings {
            run.slots[*slot as usize] = left.columns[*column as usize].datum(row);
        }
    }
}

impl Node for ApplyNode {
    fn open(self: Arc<Self>) -> BoxedOperator {
        let left = self.left.clone().open();
        BoxedOperator::new(ApplyOperator {
            node: self,
            left,
            current: None,
            ready: VecDeque::new(),
            out: Coalesce::default(),
        })
    }
}

/// - `current`: the left batch and the next of its rows.
struct ApplyOperator {
    node: Arc<ApplyNode>,
    left: BoxedOperator,
    current: Option<(Batch, usize)>,
    ready: VecDeque<Batch>,
    out: Coalesce,
}

#[async_trait]
impl Operator for ApplyOperator {
    async fn next(&mut self, run: &mut Run) -> ExecResult<Option<Batch>> {
        let node = self.node.clone();
        loop {
            while let Some(batch) = self.ready.pop_front() {
                if let Some(full) = self.out.push(batch) {
                    return Ok(Some(full));
                }
            }
            run.pause().await?;
            if self.current.is_none() {
                match self.left.next(run).await? {
                    Some(left) => self.current = Some((left, 0)),
                    None => return Ok(self.out.take()),
                }
            }
            match &node.work {
                Work::Value(subquery) => return self.values(&node, subquery, run).await.map(Some),
                Work::Join(looker) => self.join_row(&node, looker, run).await?,
            }
        }
    }
}

impl ApplyOperator {
    /// The subquery's value for every row of the left batch.
    async fn values(&mut self, node: &ApplyNode, subquery: &Subquery, run: &mut Run) -> ExecResult<Batch> {
        let (mut left, _) = self.current.take().expect("a left batch is at hand");
        let mut values = Vector::with_capacity(subquery.data_type, left.rows);
        for row in 0..left.rows {
            run.pause().await?;
            node.bind(run, &left, row);
            let mut right = node.right.clone().open();
            values.push(&subquery.value(&mut right, run).await?);
        }
        left.columns.push(values);
        Ok(left)
    }

    /// Joins the next row of the left batch.
    async fn join_row(&mut self, node: &ApplyNode, looker: &Looker, run: &mut Run) -> ExecResult<()> {
        let (left, next) = self.current.as_mut().expect("a left batch is at hand");
        let row = *next;
        *next += 1;
        let one = left.slice(row..row + 1);
        if *next == left.rows {
            self.current = None;
        }
        node.bind(run, &one, 0);
        let mut right = node.right.clone().open();
        let mut rows = LeftRows::new(1);
        let mut no_marks = Vec::new();
        while let Some(batch) = right.next(run).await? {
            let mut matched = MatchedRight { rows: &mut no_marks, start: 0 };
            looker.look_from(0, run, &one, &batch, &mut rows, &mut matched, &mut self.ready)?;
            let decided = matches!(looker.kind, JoinKind::Semi | JoinKind::Anti | JoinKind::Mark);
            if decided && rows.matched[0] {
                break;
            }
        }
        self.ready.extend(rows.finish(looker.kind, one, &node.right_types));
        Ok(())
    }
}
