//! Evaluation without rows: key bounds, LIMIT, VALUES of one row. Parameters and constants cost a clone, the everyday
//! conversions of parameters little more.

use super::Program;
use super::cast::parse;
use crate::context::EvalContext;
use crate::expr::Expr;
use types::{Batch, ColumnType, DataType, Datum, PgError, PgResult, SqlState};

/// The value of an expression that refers to no column.
pub fn eval_scalar(expr: &Expr, context: &EvalContext<'_>) -> PgResult<Datum> {
    match expr {
        Expr::Constant { value, .. } => Ok(value.clone()),
        Expr::Parameter { index, .. } => context.parameters.get(*index as usize).cloned().ok_or_else(|| {
            PgError::new(SqlState::UNDEFINED_PARAMETER, format!("there is no parameter ${}", index + 1))
        }),
        Expr::Slot { index, .. } => Ok(context.slots[*index as usize].clone()),
        Expr::Cast { input, to, .. } if to.typmod == ColumnType::NO_MODIFIER => {
            let value = eval_scalar(input, context)?;
            match convert(&value, input.data_type(), to.data_type, context) {
                Some(converted) => converted,
                None => general(expr, context),
            }
        }
        _ => general(expr, context),
    }
}

/// The conversions that need no lookup.
fn convert(
    value: &Datum,
    from: DataType,
    to: DataType,
    context: &EvalContext<'_>,
) -> Option<PgResult<Datum>> {
    Some(Ok(match (value, to) {
        (Datum::Null, _) => Datum::Null,
        (Datum::Int2(value), DataType::Int4) => Datum::Int4(i32::from(*value)),
        (Datum::Int2(value), DataType::Int8) => Datum::Int8(i64::from(*value)),
        (Datum::Int4(value), DataType::Int8) => Datum::Int8(i64::from(*value)),
        (Datum::Int8(wide), DataType::Int4) => Datum::Int4(i32::try_from(*wide).ok()?),
        (Datum::Text(text), DataType::Text | DataType::Varchar)
            if matches!(
                from,
                DataType::Text | DataType::Varchar | DataType::Bpchar | DataType::Name | DataType::Unknown
            ) =>
        {
            Datum::Text(text.clone())
        }
        (Datum::Text(text), _) if from == DataType::Unknown => {
            return Some(parse(to, ColumnType::NO_MODIFIER, text, context));
        }
        _ => return None,
    }))
}

fn general(expr: &Expr, context: &EvalContext<'_>) -> PgResult<Datum> {
    let program = Program::new(expr)?;
    let batch = Batch { columns: Vec::new(), rows: 1 };
    Ok(program.evaluate(context, &batch)?.datum(0))
}
