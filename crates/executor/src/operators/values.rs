//! Constant rows.

use std::sync::Arc;

use async_trait::async_trait;
use planner::plan::{PlanColumn, Values};
use types::{BATCH_ROWS_MAX, Batch, DataType, PgResult, Vector};

use crate::error::ExecResult;
use crate::operator::{BoxedOperator, Node, Operator, Run};
use crate::program::Scalar;

pub(crate) struct ValuesNode {
    types: Vec<DataType>,
    rows: Vec<Vec<Scalar>>,
}

impl ValuesNode {
    pub fn new(values: &Values, columns: &[PlanColumn]) -> PgResult<ValuesNode> {
        let row = |row: &Vec<expr::Expr>| row.iter().map(Scalar::new).collect::<PgResult<Vec<_>>>();
        Ok(ValuesNode {
            types: columns.iter().map(|column| column.column_type.data_type).collect(),
            rows: values.rows.iter().map(row).collect::<PgResult<_>>()?,
        })
    }
}

impl Node for ValuesNode {
    fn open(self: Arc<Self>) -> BoxedOperator {
        BoxedOperator::new(ValuesOperator { node: self, next: 0 })
    }
}

struct ValuesOperator {
    node: Arc<ValuesNode>,
    next: usize,
}

#[async_trait]
impl Operator for ValuesOperator {
    async fn next(&mut self, run: &mut Run) -> ExecResult<Option<Batch>> {
        let rest = &self.node.rows[self.next..];
        let rows = &rest[..rest.len().min(BATCH_ROWS_MAX)];
        if rows.is_empty() {
            return Ok(None);
        }
        self.next += rows.len();
        let eval = run.eval();
        let mut columns: Vec<Vector> =
            self.node.types.iter().map(|data_type| Vector::with_capacity(*data_type, rows.len())).collect();
        for row in rows {
            for (column, value) in columns.iter_mut().zip(row) {
                column.push(&value.value(&eval)?);
            }
        }
        Ok(Some(Batch { columns, rows: rows.len() }))
    }
}
