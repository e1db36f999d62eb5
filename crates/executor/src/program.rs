//! Prepared expressions as operators use them.

use expr::{EvalContext, Expr, Program, eval_scalar};
use types::{Batch, ColumnType, DataType, Datum, Nulls, PgError, PgResult, SqlState, Values, Vector};

/// An expression without columns: a key value, a LIMIT.
pub(crate) enum Scalar {
    /// Constants, parameters, slots and their plain conversions: cheap to evaluate as they stand.
    Direct(Expr),
    Compiled(Program),
}

impl Scalar {
    pub fn new(expr: &Expr) -> PgResult<Scalar> {
        Ok(if is_direct(expr) { Scalar::Direct(expr.clone()) } else { Scalar::Compiled(Program::new(expr)?) })
    }

    pub fn value(&self, context: &EvalContext<'_>) -> PgResult<Datum> {
        match self {
            Scalar::Direct(expr) => eval_scalar(expr, context),
            Scalar::Compiled(program) => {
                let batch = Batch { columns: Vec::new(), rows: 1 };
                Ok(program.evaluate(context, &batch)?.datum(0))
            }
        }
    }
}

fn is_direct(expr: &Expr) -> bool {
    match expr {
        Expr::Constant { .. } | Expr::Parameter { .. } | Expr::Slot { .. } => true,
        Expr::Cast { input, to, .. } => to.typmod == ColumnType::NO_MODIFIER && is_direct(input),
        _ => false,
    }
}

/// The value of a LIMIT or OFFSET; `None` for NULL. 2201W / 2201X when negative.
pub(crate) fn row_count(
    scalar: Option<&Scalar>,
    context: &EvalContext<'_>,
    offset: bool,
) -> PgResult<Option<u64>> {
    let Some(scalar) = scalar else { return Ok(None) };
    match scalar.value(context)? {
        Datum::Int8(count) => match u64::try_from(count) {
            Ok(count) => Ok(Some(count)),
            Err(_) if offset => Err(PgError::new(
                SqlState::INVALID_ROW_COUNT_IN_RESULT_OFFSET_CLAUSE,
                "OFFSET must not be negative",
            )),
            Err(_) => {
                Err(PgError::new(SqlState::INVALID_ROW_COUNT_IN_LIMIT_CLAUSE, "LIMIT must not be negative"))
            }
        },
        _ => Ok(None),
    }
}

pub(crate) fn programs(expressions: &[Expr]) -> PgResult<Vec<Program>> {
    expressions.iter().map(Program::new).collect()
}

/// A vector of no rows that stands where a column is not looked at.
pub(crate) fn placeholder(data_type: DataType) -> Vector {
    Vector { data_type, nulls: Nulls::none(), values: Values::Bool(Vec::new()) }
}

/// A list of expressions that becomes a batch. Columns that are passed on are moved, not copied.
pub(crate) struct Projection {
    programs: Vec<Program>,
    /// Per program: the input column that it passes on, and whether nobody after it wants the same one.
    passes: Vec<Option<(usize, bool)>>,
}

impl Projection {
    pub fn new(expressions: &[Expr]) -> PgResult<Projection> {
        let programs = programs(expressions)?;
        let columns: Vec<Option<usize>> = programs.iter().map(Program::as_column).collect();
        let passes = columns
            .iter()
            .enumerate()
            .map(|(at, column)| column.map(|column| (column, !columns[at + 1..].contains(&Some(column)))))
            .collect();
        Ok(Projection { programs, passes })
    }

    pub fn apply(&self, context: &EvalContext<'_>, mut input: Batch) -> PgResult<Batch> {
        let rows = input.rows;
        let mut columns = Vec::with_capacity(self.programs.len());
        for (program, pass) in self.programs.iter().zip(&self.passes) {
            columns.push(match pass {
                Some(_) => placeholder(program.data_type()),
                None => program.evaluate(context, &input)?.into_owned(),
            });
        }
        for (column, pass) in columns.iter_mut().zip(&self.passes) {
            match pass {
                Some((from, true)) => {
                    let empty = placeholder(column.data_type);
                    *column = std::mem::replace(&mut input.columns[*from], empty);
                }
                Some((from, false)) => *column = input.columns[*from].clone(),
                None => {}
            }
        }
        Ok(Batch { columns, rows })
    }
}

/// The conditions that all must hold for a condition to hold, in their order.
pub(crate) fn conjuncts(condition: &Expr) -> Vec<Expr> {
    match condition {
        Expr::And(list) => list.iter().flat_map(conjuncts).collect(),
        other => vec![other.clone()],
    }
}

/// What holds if all conditions do; `None`: there are none.
pub(crate) fn conjunction(conditions: &[Expr]) -> Option<Expr> {
    match conditions {
        [] => None,
        [one] => Some(one.clone()),
        many => Some(Expr::And(many.to_vec())),
    }
}

/// Keeps the rows for which `condition` is true; `None` when there are none.
pub(crate) fn filter(
    condition: &Program,
    context: &EvalContext<'_>,
    batch: Batch,
) -> PgResult<Option<Batch>> {
    let selection = condition.filter(context, &batch)?;
    Ok(match selection.len() {
        0 => None,
        all if all == batch.rows => Some(batch),
        _ => Some(batch.gather(&selection)),
    })
}
