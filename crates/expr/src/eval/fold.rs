//! Constant folding: sub-expressions that mean the same in every execution are replaced by their value.
//!
//! Only immutable functions and conversions are evaluated ahead: a plan may be kept and run in another session, another zone,
//! another year. What fails stays as it is, so that the error comes when (and if) the expression is executed.

use super::eval_scalar;
use crate::context::EvalContext;
use crate::expr::{CaseArm, Expr};
use crate::function::{Function, FunctionKind, Volatility};
use crate::resolve::find_cast;
use types::{DataType, Datum};

/// Folds constants, bottom up. `context` supplies formats for what little of it is immutable.
pub fn fold(mut expr: Expr, context: &EvalContext<'_>) -> Expr {
    expr.for_each_child_mut(&mut |child| {
        let taken = std::mem::replace(child, Expr::constant(Datum::Null, DataType::Unknown));
        *child = fold(taken, context);
    });
    let expr = simplify(expr);
    if matches!(expr, Expr::Constant { .. }) || !foldable(&expr) {
        return expr;
    }
    let data_type = expr.data_type();
    match eval_scalar(&expr, context) {
        Ok(value) => Expr::constant(value, data_type),
        Err(_) => expr,
    }
}

/// Whether any part of the expression is volatile: it must then be evaluated once for each row, no more and no less.
pub fn is_volatile(expr: &Expr) -> bool {
    if let Expr::Call { function, .. } = expr
        && function.0.volatility == Volatility::Volatile
    {
        return true;
    }
    let mut found = false;
    expr.for_each_child(&mut |child| found |= is_volatile(child));
    found
}

fn is_constant(expr: &Expr) -> bool {
    matches!(expr, Expr::Constant { .. })
}

/// Whether the node, whose children are folded, has one value for ever.
fn foldable(expr: &Expr) -> bool {
    let mut constant = true;
    expr.for_each_child(&mut |child| constant &= is_constant(child));
    if !constant {
        return false;
    }
    match expr {
        Expr::Column { .. } | Expr::Parameter { .. } | Expr::Slot { .. } | Expr::CaseOperand { .. } => false,
        Expr::Call { function, .. } => function.0.volatility == Volatility::Immutable,
        Expr::Cast { input, to, .. } => cast_is_immutable(input.data_type(), to.data_type),
        Expr::Case { .. } | Expr::CoerceToDomain { .. } => false,
        _ => true,
    }
}

/// Types whose text depends on the session or the catalog.
fn text_varies(data_type: DataType) -> bool {
    use DataType::*;
    match data_type.base() {
        Date | Time | TimeTz | Timestamp | TimestampTz | Interval | Float4 | Float8 | Bytea => true,
        Regclass | Regproc | Regprocedure | Regoper | Regtype | Regnamespace | Regrole => true,
        Enum(_) | Composite(_) | Record => true,
        Array(_) => data_type.element().is_none_or(text_varies),
        _ => false,
    }
}

/// Whether a conversion gives the same for the same value, whatever the session and the catalog.
pub fn cast_is_immutable(from: DataType, to: DataType) -> bool {
    use crate::catalogue::CastMethod;
    match find_cast(from, to).map(|cast| cast.method) {
        // A row type's columns are the catalog's.
        Some(CastMethod::Binary) => !matches!(from.base(), DataType::Composite(_)),
        Some(CastMethod::Function(function)) => function.0.volatility == Volatility::Immutable,
        // Reading floats and bytea depends on nothing; reading dates does ('today', DateStyle).
        Some(CastMethod::InOut) => {
            let reads_alike = matches!(to, DataType::Float4 | DataType::Float8 | DataType::Bytea);
            !text_varies(from) && (!text_varies(to) || reads_alike)
        }
        Some(CastMethod::Array) => match (from.element(), to.element()) {
            (Some(from), Some(to)) => cast_is_immutable(from, to),
            _ => false,
        },
        None => false,
    }
}

fn boolean(expr: &Expr) -> Option<Option<bool>> {
    match expr {
        Expr::Constant { value: Datum::Bool(value), .. } => Some(Some(*value)),
        Expr::Constant { value: Datum::Null, .. } => Some(None),
        _ => None,
    }
}

fn is_null(expr: &Expr) -> bool {
    matches!(expr, Expr::Constant { value: Datum::Null, .. })
}

/// A strict function of a NULL is never called: its other arguments need not be evaluated, and do not fail, unless it is
/// constants that fail.
fn is_null_call(function: &Function, arguments: &[Expr]) -> bool {
    function.strict
        && matches!(function.kind, FunctionKind::Scalar(_) | FunctionKind::Deferred)
        && arguments.iter().any(is_null)
        && !arguments.iter().any(has_failed)
}

/// Whether folding left a part that it would have replaced, had that not failed.
fn has_failed(expr: &Expr) -> bool {
    if is_constant(expr) {
        return false;
    }
    let mut found = foldable(expr);
    expr.for_each_child(&mut |child| found = found || has_failed(child));
    found
}

/// Shortens AND, OR, CASE and COALESCE whose constant operands decide, and calls that NULL decides.
fn simplify(expr: Expr) -> Expr {
    match expr {
        Expr::Call { function, arguments, data_type, .. } if is_null_call(&function, &arguments) => {
            Expr::constant(Datum::Null, data_type)
        }
        Expr::And(list) => connective(list, false),
        Expr::Or(list) => connective(list, true),
        Expr::Case { operand, arms, otherwise, data_type } => case(operand, arms, otherwise, data_type),
        Expr::Coalesce { mut arguments, data_type } => {
            arguments.retain(|argument| !is_null(argument));
            if let Some(decided) = arguments.iter().position(is_constant) {
                arguments.truncate(decided + 1);
            }
            match arguments.len() {
                0 => Expr::constant(Datum::Null, data_type),
                1 => arguments.remove(0),
                _ => Expr::Coalesce { arguments, data_type },
            }
        }
        other => other,
    }
}

fn connective(list: Vec<Expr>, absorbing: bool) -> Expr {
    let mut kept: Vec<Expr> = Vec::with_capacity(list.len());
    let rebuild = |kept| if absorbing { Expr::Or(kept) } else { Expr::And(kept) };
    for operand in list {
        match boolean(&operand) {
            Some(Some(value)) if value == absorbing => {
                // What stands before is dropped as well: PostgreSQL promises no order here.
                return Expr::constant(Datum::Bool(absorbing), DataType::Bool);
            }
            Some(Some(_)) => {}
            _ => kept.push(operand),
        }
    }
    match kept.len() {
        0 => Expr::constant(Datum::Bool(!absorbing), DataType::Bool),
        1 => kept.remove(0),
        _ => rebuild(kept),
    }
}

fn case(
    operand: Option<Box<Expr>>,
    arms: Vec<CaseArm>,
    otherwise: Option<Box<Expr>>,
    data_type: DataType,
) -> Expr {
    if operand.is_some() {
        return Expr::Case { operand, arms, otherwise, data_type };
    }
    let mut kept = Vec::with_capacity(arms.len());
    let mut otherwise = otherwise;
    for arm in arms {
        match boolean(&arm.condition) {
            Some(Some(true)) => {
                otherwise = Some(Box::new(arm.result));
                break;
            }
            Some(_) => {}
            None => kept.push(arm),
        }
    }
    if kept.is_empty() {
        return match otherwise {
            Some(result) => *result,
            None => Expr::constant(Datum::Null, data_type),
        };
    }
    Expr::Case { operand, arms: kept, otherwise, data_type }
}
