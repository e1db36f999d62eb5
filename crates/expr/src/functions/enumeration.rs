//! Functions over enums that need the labels of the type: of the argument they take the type alone, or a bound.

use super::text::row_of;
use crate::EvalContext;
use types::{ArrayValue, DataType, Datum, PgError, PgResult, SqlState, UserType, Vector};

/// The enum type of an argument, which may be NULL.
fn type_of(argument: &Vector, context: &EvalContext<'_>) -> PgResult<std::sync::Arc<UserType>> {
    match argument.data_type.base() {
        DataType::Enum(oid) => context.session.format.types.user_type(oid),
        _ => None,
    }
    .ok_or_else(|| PgError::new(SqlState::DATATYPE_MISMATCH, "could not determine actual enum type"))
}

/// 55000: an enum may have no labels.
fn empty(of: &UserType) -> PgError {
    PgError::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, format!("enum {} contains no values", of.name))
}

pub fn enum_first(context: &EvalContext<'_>, arguments: &[&Vector], rows: usize) -> PgResult<Vector> {
    let of = type_of(arguments[0], context)?;
    let first = of.labels().first().ok_or_else(|| empty(&of))?;
    Ok(Vector::constant(&Datum::Int8(first.place), arguments[0].data_type, rows))
}

pub fn enum_last(context: &EvalContext<'_>, arguments: &[&Vector], rows: usize) -> PgResult<Vector> {
    let of = type_of(arguments[0], context)?;
    let last = of.labels().last().ok_or_else(|| empty(&of))?;
    Ok(Vector::constant(&Datum::Int8(last.place), arguments[0].data_type, rows))
}

/// The labels from `lower` to `upper`; NULL bounds are the ends.
fn range(of: &UserType, lower: &Datum, upper: &Datum) -> Datum {
    let within = |place: i64| {
        !matches!(lower, Datum::Int8(lower) if place < *lower)
            && !matches!(upper, Datum::Int8(upper) if place > *upper)
    };
    let elements: Vec<Datum> = of
        .labels()
        .iter()
        .filter(|label| within(label.place))
        .map(|label| Datum::Int8(label.place))
        .collect();
    let dimensions = if elements.is_empty() { Vec::new() } else { vec![(elements.len() as i32, 1)] };
    Datum::Array(Box::new(ArrayValue { element_oid: of.oid, dimensions, elements }))
}

pub fn enum_range_all(context: &EvalContext<'_>, arguments: &[&Vector], rows: usize) -> PgResult<Vector> {
    let of = type_of(arguments[0], context)?;
    let all = range(&of, &Datum::Null, &Datum::Null);
    Ok(Vector::constant(&all, DataType::array_of(of.data_type()), rows))
}

pub fn enum_range_bounds(context: &EvalContext<'_>, arguments: &[&Vector], rows: usize) -> PgResult<Vector> {
    let of = type_of(arguments[0], context)?;
    let mut result = Vector::with_capacity(DataType::array_of(of.data_type()), rows);
    for row in 0..rows {
        let bound = |index: usize| arguments[index].datum(row_of(arguments[index], row, rows));
        result.push(&range(&of, &bound(0), &bound(1)));
    }
    Ok(result)
}
