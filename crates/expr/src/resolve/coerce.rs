//! Building typed expressions: conversions around arguments, calls of operators and functions.

use super::common_type::check_converts;
use super::{Resolved, common_type, find_cast, resolve_operator};
use crate::expr::{CastContext, Expr};
use types::{ColumnType, DataType, PgError, PgResult, SqlState};

/// Converts `input` to `to`, by a [`Expr::Cast`] where anything is to be done: a modifier counts. `None` when
/// `context` does not allow it: the caller words the error (42846 for a cast, 42804 for an assignment).
///
/// NULL constants and untyped parameters simply change their type.
pub fn coerce(input: Expr, to: ColumnType, context: CastContext, position: u32) -> Option<Expr> {
    let from = input.data_type();
    let plain = to.typmod == ColumnType::NO_MODIFIER;
    if from == to.data_type && plain || to.data_type == DataType::Any {
        return Some(input);
    }
    match input {
        Expr::Constant { value, .. } if value.is_null() && find_cast(from, to.data_type).is_some() => {
            return Some(Expr::constant(value, to.data_type));
        }
        Expr::Parameter { index, data_type: DataType::Unknown } if plain => {
            return Some(Expr::Parameter { index, data_type: to.data_type });
        }
        _ => {}
    }
    let cast = find_cast(from, to.data_type)?;
    (cast.context <= context).then(|| Expr::Cast { input: Box::new(input), to, context, position })
}

fn coerce_argument(input: Expr, to: DataType, position: u32) -> PgResult<Expr> {
    let from = input.data_type();
    coerce(input, to.into(), CastContext::Implicit, position).ok_or_else(|| {
        PgError::new(SqlState::CANNOT_COERCE, format!("cannot cast type {from} to {to}")).or_at(position)
    })
}

/// The call that `resolved` describes, over `arguments` as given.
pub fn function_call(resolved: &Resolved, arguments: Vec<Expr>, position: u32) -> PgResult<Expr> {
    let mut converted = Vec::with_capacity(arguments.len() + resolved.defaults.len());
    for (argument, to) in arguments.into_iter().zip(&resolved.argument_types) {
        converted.push(coerce_argument(argument, *to, position)?);
    }
    if let Some(first) = resolved.collect_from {
        let elements = converted.split_off(first);
        let element = resolved.argument_types[first];
        converted.push(Expr::Array { elements, data_type: DataType::array_of(element), nested: false });
    }
    converted.extend(resolved.defaults.iter().cloned());
    Ok(Expr::Call { function: resolved.function, arguments: converted, data_type: resolved.result, position })
}

/// Resolves and builds `left name right`, or `name right`. Errors carry `position`.
pub fn operator_call(name: &str, left: Option<Expr>, right: Expr, position: u32) -> PgResult<Expr> {
    let resolved = resolve_operator(name, left.as_ref().map(Expr::data_type), right.data_type())
        .map_err(|error| error.or_at(position))?;
    function_call(&resolved, left.into_iter().chain([right]).collect(), position)
}

/// `left name right` for a comparison, answering both converted operands and the function (for IN, simple CASE, IS DISTINCT
/// FROM, NULLIF, JOIN USING).
pub fn compare(
    name: &str,
    left: Expr,
    right: Expr,
    position: u32,
) -> PgResult<(Expr, Expr, crate::function::FunctionRef)> {
    match operator_call(name, Some(left), right, position)? {
        Expr::Call { function, mut arguments, .. } if arguments.len() == 2 => {
            let right = arguments.pop().expect("two arguments");
            let left = arguments.pop().expect("two arguments");
            Ok((left, right, function))
        }
        _ => Err(PgError::internal("an operator did not become a call of two arguments")),
    }
}

/// Converts all expressions to their common type: CASE, COALESCE, ARRAY, VALUES ... `positions` has one for each.
pub fn coerce_to_common(
    inputs: Vec<Expr>,
    positions: &[u32],
    construct: &str,
) -> PgResult<(Vec<Expr>, DataType)> {
    let types: Vec<DataType> = inputs.iter().map(Expr::data_type).collect();
    let at = |index: usize| positions.get(index).copied();
    let common = common_type(&types, construct).map_err(|(error, index)| match at(index) {
        Some(position) => error.or_at(position),
        None => error,
    })?;
    let mut converted = Vec::with_capacity(inputs.len());
    for (index, input) in inputs.into_iter().enumerate() {
        let position = at(index).unwrap_or(0);
        check_converts(input.data_type(), common, construct).map_err(|error| error.or_at(position))?;
        converted.push(coerce_argument(input, common, position)?);
    }
    Ok((converted, common))
}
