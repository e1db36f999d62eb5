//! Set-returning functions: in FROM, and in a SELECT list.
//!
//! Several functions run side by side; those that end early are padded with NULLs.

use std::sync::Arc;

use async_trait::async_trait;
use expr::{FunctionRef, Program};
use parking_lot::Mutex;
use planner::plan::{FunctionScan, ProjectSet, SetFunction};
use types::{
    BATCH_ROWS_MAX, Batch, DataType, Datum, Nulls, PgError, PgResult, RowType, SqlState, Values, Vector,
};

use super::coalesce::Coalesce;
use crate::error::ExecResult;
use crate::operator::{BoxedOperator, Node, NodeRef, Operator, Run};
use crate::program::programs;

/// A prepared call.
struct Call {
    function: FunctionRef,
    arguments: Vec<Program>,
    argument_types: Vec<DataType>,
    columns: Vec<DataType>,
    expand: bool,
    position: u32,
}

impl Call {
    /// Rows as the plan wants them: fields of row values as columns, or columns as a row value.
    /// 42804 where a row value has other columns than the statement says.
    fn shape(&self, batch: Batch) -> PgResult<Batch> {
        if self.expand {
            let mut columns: Vec<Vector> =
                self.columns.iter().map(|to| Vector::with_capacity(*to, batch.rows)).collect();
            for row in 0..batch.rows {
                let Datum::Record(record) = batch.columns[0].datum(row) else {
                    columns.iter_mut().for_each(Vector::push_null);
                    continue;
                };
                for (at, column) in columns.iter_mut().enumerate() {
                    let field = record.get(at).unwrap_or(&Datum::Null);
                    if !column.fits(field) || record.len() > self.columns.len() {
                        return Err(PgError::new(
                            SqlState::DATATYPE_MISMATCH,
                            "function return row and query-specified return row do not match",
                        ));
                    }
                    column.push(field);
                }
            }
            return Ok(Batch::new(columns, batch.rows));
        }
        if self.columns.len() == 1 && batch.columns.len() > 1 {
            let shown = expr::set::columns(self.function, &self.argument_types).unwrap_or_default();
            let names = shown.iter().map(|(name, data_type)| ((*name).into(), (*data_type).into()));
            let row_type = Arc::new(RowType { columns: names.collect() });
            let mut column = Vector::with_capacity(self.columns[0], batch.rows);
            for row in 0..batch.rows {
                column.push(&Datum::record(batch.row(row), Some(row_type.clone())));
            }
            return Ok(Batch::new(vec![column], batch.rows));
        }
        Ok(batch)
    }
}

/// Calls that run side by side.
struct Calls(Vec<Call>);

impl Calls {
    fn new(functions: &[SetFunction]) -> PgResult<Calls> {
        let call = |function: &SetFunction| {
            Ok(Call {
                function: function.function,
                arguments: programs(&function.arguments)?,
                argument_types: function.arguments.iter().map(expr::Expr::data_type).collect(),
                columns: function.columns.clone(),
                expand: function.expand,
                position: function.position,
            })
        };
        Ok(Calls(functions.iter().map(call).collect::<PgResult<_>>()?))
    }

    /// Opens all calls with the arguments of one row.
    fn open(&self, run: &Run, input: &Batch, row: usize) -> PgResult<Opened> {
        let eval = run.eval();
        let one = if input.columns.is_empty() {
            Batch { columns: vec![], rows: 1 }
        } else {
            input.slice(row..row + 1)
        };
        let mut sets = Vec::with_capacity(self.0.len());
        for call in &self.0 {
            let arguments = call.arguments.iter();
            let arguments = arguments.map(|argument| Ok(argument.evaluate(&eval, &one)?.datum(0)));
            let arguments: Vec<Datum> = arguments.collect::<PgResult<_>>()?;
            let set = expr::set::open(call.function, &arguments, &call.argument_types, &eval);
            sets.push(Mutex::new(set.map_err(|error| error.or_at(call.position))?));
        }
        Ok(Opened(sets))
    }
}

/// Calls at work. In mutexes that are never locked: a set may be sent, not shared.
struct Opened(Vec<Mutex<Box<dyn expr::set::RowSet>>>);

impl Opened {
    /// The next rows of all calls; no rows at the end.
    fn next(&mut self, calls: &Calls) -> PgResult<Batch> {
        let batches = self.0.iter_mut().map(|set| set.get_mut().next(BATCH_ROWS_MAX));
        let batches = batches.zip(&calls.0).map(|(batch, call)| batch.and_then(|batch| call.shape(batch)));
        let batches: Vec<Batch> = batches.collect::<PgResult<_>>()?;
        let rows = batches.iter().map(|batch| batch.rows).max().unwrap_or(0);
        let mut columns = Vec::new();
        for (batch, call) in batches.into_iter().zip(&calls.0) {
            let short = rows - batch.rows;
            for (at, data_type) in call.columns.iter().enumerate() {
                let mut column = match batch.columns.get(at) {
                    Some(column) => column.clone(),
                    None => Vector::with_capacity(*data_type, rows),
                };
                let missing = if batch.columns.len() > at { short } else { rows };
                (0..missing).for_each(|_| column.push_null());
                columns.push(column);
            }
        }
        Ok(Batch { columns, rows })
    }
}

pub(crate) struct FunctionScanNode {
    calls: Calls,
    ordinality: bool,
}

impl FunctionScanNode {
    pub fn new(scan: &FunctionScan) -> PgResult<FunctionScanNode> {
        Ok(FunctionScanNode { calls: Calls::new(&scan.functions)?, ordinality: scan.ordinality })
    }
}

impl Node for FunctionScanNode {
    fn open(self: Arc<Self>) -> BoxedOperator {
        BoxedOperator::new(FunctionScanOperator { node: self, opened: None, row: 0 })
    }
}

struct FunctionScanOperator {
    node: Arc<FunctionScanNode>,
    opened: Option<Opened>,
    row: i64,
}

#[async_trait]
impl Operator for FunctionScanOperator {
    async fn next(&mut self, run: &mut Run) -> ExecResult<Option<Batch>> {
        run.pause().await?;
        if self.opened.is_none() {
            self.opened = Some(self.node.calls.open(run, &Batch { columns: vec![], rows: 1 }, 0)?);
        }
        let mut batch = self.opened.as_mut().expect("set above").next(&self.node.calls)?;
        if batch.rows == 0 {
            return Ok(None);
        }
        if self.node.ordinality {
            let numbers = (1..=batch.rows as i64).map(|number| self.row + number).collect();
            let (nulls, values) = (Nulls::none(), Values::Int8(numbers));
            batch.columns.push(Vector { data_type: DataType::Int8, nulls, values });
            self.row += batch.rows as i64;
        }
        Ok(Some(batch))
    }
}

pub(crate) struct ProjectSetNode {
    input: NodeRef,
    calls: Calls,
}

impl ProjectSetNode {
    pub fn new(plan: &ProjectSet, input: NodeRef) -> PgResult<ProjectSetNode> {
        Ok(ProjectSetNode { input, calls: Calls::new(&plan.functions)? })
    }
}

impl Node for ProjectSetNode {
    fn open(self: Arc<Self>) -> BoxedOperator {
        let input = self.input.clone().open();
        BoxedOperator::new(ProjectSetOperator {
            node: self,
            input,
            current: None,
            opened: None,
            out: Coalesce::default(),
        })
    }
}

/// - `current`: the input batch and the row whose calls are `opened` (or come next).
struct ProjectSetOperator {
    node: Arc<ProjectSetNode>,
    input: BoxedOperator,
    current: Option<(Batch, usize)>,
    opened: Option<Opened>,
    out: Coalesce,
}

#[async_trait]
impl Operator for ProjectSetOperator {
    async fn next(&mut self, run: &mut Run) -> ExecResult<Option<Batch>> {
        loop {
            run.pause().await?;
            let Some((input, row)) = &mut self.current else {
                match self.input.next(run).await? {
                    Some(batch) => self.current = Some((batch, 0)),
                    None => return Ok(self.out.take()),
                }
                continue;
            };
            if *row == input.rows {
                self.current = None;
                continue;
            }
            let opened = match &mut self.opened {
                Some(opened) => opened,
                None => self.opened.insert(self.node.calls.open(run, input, *row)?),
            };
            let made = opened.next(&self.node.calls)?;
            if made.rows == 0 {
                self.opened = None;
                *row += 1;
                continue;
            }
            let mut batch = input.gather(&vec![*row as u32; made.rows]);
            batch.columns.extend(made.columns);
            if let Some(full) = self.out.push(batch) {
                return Ok(Some(full));
            }
        }
    }
}
