//! Functions that wait for something outside the statement: called row by row, in order.

use std::sync::Arc;

use async_trait::async_trait;
use expr::{FunctionRef, Program};
use planner::plan::Deferred;
use types::{Batch, DataType, Datum, PgResult, Vector};

use crate::error::{ExecError, ExecResult};
use crate::operator::{BoxedOperator, Node, NodeRef, Operator, Run};
use crate::program::programs;

pub(crate) struct DeferredNode {
    input: NodeRef,
    calls: Vec<Call>,
}

struct Call {
    function: FunctionRef,
    arguments: Vec<Program>,
    data_type: DataType,
    position: u32,
}

impl DeferredNode {
    pub fn new(plan: &Deferred, input: NodeRef) -> PgResult<DeferredNode> {
        let calls = plan.calls.iter().map(|call| {
            Ok(Call {
                function: call.function,
                arguments: programs(&call.arguments)?,
                data_type: call.data_type,
                position: call.position,
            })
        });
        Ok(DeferredNode { input, calls: calls.collect::<PgResult<_>>()? })
    }
}

impl Node for DeferredNode {
    fn open(self: Arc<Self>) -> BoxedOperator {
        BoxedOperator::new(DeferredOperator { input: self.input.clone().open(), node: self })
    }
}

struct DeferredOperator {
    node: Arc<DeferredNode>,
    input: BoxedOperator,
}

#[async_trait]
impl Operator for DeferredOperator {
    async fn next(&mut self, run: &mut Run) -> ExecResult<Option<Batch>> {
        let Some(mut batch) = self.input.next(run).await? else { return Ok(None) };
        let calls = &self.node.calls;
        let mut arguments: Vec<Vec<Vector>> = Vec::with_capacity(calls.len());
        {
            let eval = run.eval();
            for call in calls {
                let values = call.arguments.iter();
                let values = values.map(|argument| Ok(argument.evaluate(&eval, &batch)?.into_owned()));
                arguments.push(values.collect::<PgResult<_>>()?);
            }
        }
        let mut results: Vec<Vector> =
            calls.iter().map(|call| Vector::with_capacity(call.data_type, batch.rows)).collect();
        for row in 0..batch.rows {
            run.pause().await?;
            for ((call, arguments), result) in calls.iter().zip(&arguments).zip(&mut results) {
                let values: Vec<Datum> = arguments.iter().map(|argument| argument.datum(row)).collect();
                let value = if call.function.0.strict && values.iter().any(Datum::is_null) {
                    Datum::Null
                } else {
                    let called = run.context.deferred_functions.call(call.function, &values).await;
                    called.map_err(|error| match error {
                        ExecError::Sql(error) => ExecError::Sql(error.or_at(call.position)),
                        other => other,
                    })?
                };
                result.push(&value);
            }
        }
        batch.columns.extend(results);
        Ok(Some(batch))
    }
}
