//! Subqueries in expressions: what becomes of their rows, and those evaluated once (InitPlan).

use std::sync::Arc;

use async_trait::async_trait;
use planner::plan::SubqueryResult;
use types::{ArrayValue, Batch, DataType, Datum, PgError, PgResult, SqlState};

use crate::error::ExecResult;
use crate::operator::{BoxedOperator, Node, NodeRef, Operator, Run};

/// How a subquery becomes a value. `data_type` is the value's.
pub(crate) struct Subquery {
    pub result: SubqueryResult,
    pub data_type: DataType,
}

impl Subquery {
    /// Runs an opened subquery as far as its value asks for.
    pub async fn value(&self, operator: &mut BoxedOperator, run: &mut Run) -> ExecResult<Datum> {
        match self.result {
            SubqueryResult::Exists => {
                operator.bound(1);
                Ok(Datum::Bool(operator.next(run).await?.is_some()))
            }
            SubqueryResult::Scalar => {
                let Some(first) = operator.next(run).await? else { return Ok(Datum::Null) };
                if first.rows > 1 || operator.next(run).await?.is_some() {
                    return Err(PgError::new(
                        SqlState::CARDINALITY_VIOLATION,
                        "more than one row returned by a subquery used as an expression",
                    )
                    .into());
                }
                Ok(first.columns[0].datum(0))
            }
            SubqueryResult::Array => {
                let mut elements = Vec::new();
                let mut reservation = run.context.memory.reservation();
                while let Some(batch) = operator.next(run).await? {
                    reservation.grow(batch.columns[0].memory_size() as u64)?;
                    elements.extend((0..batch.rows).map(|row| batch.columns[0].datum(row)));
                }
                Ok(self.array(elements)?)
            }
        }
    }

    fn array(&self, elements: Vec<Datum>) -> PgResult<Datum> {
        let element_oid = self.data_type.element().map_or(0, DataType::oid);
        if elements.iter().any(|element| matches!(element, Datum::Array(_))) {
            return nested_array(elements, element_oid);
        }
        let dimensions = if elements.is_empty() { Vec::new() } else { vec![(elements.len() as i32, 1)] };
        Ok(Datum::Array(Box::new(ArrayValue { element_oid, dimensions, elements })))
    }
}

/// Arrays of arrays make one array of a further dimension.
fn nested_array(parts: Vec<Datum>, element_oid: u32) -> PgResult<Datum> {
    let unequal = || {
        PgError::new(SqlState::ARRAY_SUBSCRIPT_ERROR, "cannot accumulate arrays of different dimensionality")
    };
    let mut dimensions = vec![(parts.len() as i32, 1)];
    let mut elements = Vec::new();
    for part in parts {
        let Datum::Array(array) = part else { return Err(unequal()) };
        if dimensions.len() == 1 {
            dimensions.extend(&array.dimensions);
        } else if dimensions[1..] != array.dimensions[..] {
            return Err(unequal());
        }
        elements.extend(array.elements);
    }
    Ok(Datum::Array(Box::new(ArrayValue { element_oid, dimensions, elements })))
}

/// Subqueries that are evaluated once, before the body.
pub(crate) struct InitPlanNode {
    pub subqueries: Vec<InitSubqueryNode>,
    pub body: NodeRef,
}

pub(crate) struct InitSubqueryNode {
    pub slot: usize,
    pub subquery: Subquery,
    pub node: NodeRef,
}

impl Node for InitPlanNode {
    fn open(self: Arc<Self>) -> BoxedOperator {
        BoxedOperator::new(InitPlanOperator { body: self.body.clone().open(), node: self, begun: false })
    }
}

struct InitPlanOperator {
    node: Arc<InitPlanNode>,
    body: BoxedOperator,
    begun: bool,
}

#[async_trait]
impl Operator for InitPlanOperator {
    async fn next(&mut self, run: &mut Run) -> ExecResult<Option<Batch>> {
        if !self.begun {
            self.begun = true;
            for init in &self.node.subqueries {
                let mut operator = init.node.clone().open();
                run.slots[init.slot] = init.subquery.value(&mut operator, run).await?;
            }
        }
        self.body.next(run).await
    }
}
