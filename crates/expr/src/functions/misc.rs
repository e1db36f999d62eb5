//! num_nulls and width_bucket over an array of thresholds.

use super::kernel::{evaluators, vector};
use super::text::row_of;
use crate::EvalContext;
use types::{Datum, Nulls, PgError, PgResult, SqlState, Values, Vector, compare};

fn count_nulls(arguments: &[&Vector], rows: usize, wanted: bool) -> Vector {
    let counts = (0..rows)
        .map(|row| {
            let matches = |argument: &&&Vector| argument.is_null(row_of(argument, row, rows)) == wanted;
            arguments.iter().filter(matches).count() as i32
        })
        .collect();
    vector(Values::Int4(counts), Nulls::none())
}

pub fn pg_num_nulls(context: &EvalContext<'_>, arguments: &[&Vector], rows: usize) -> PgResult<Vector> {
    let _ = context;
    Ok(count_nulls(arguments, rows, true))
}

pub fn pg_num_nonnulls(context: &EvalContext<'_>, arguments: &[&Vector], rows: usize) -> PgResult<Vector> {
    let _ = context;
    Ok(count_nulls(arguments, rows, false))
}

evaluators! {
    fn width_bucket_array(operand: any, thresholds: array) -> try i32 {
        if thresholds.dimensions.len() > 1 {
            return Err(PgError::new(SqlState::ARRAY_SUBSCRIPT_ERROR, "thresholds must be one-dimensional array"));
        }
        if thresholds.elements.iter().any(Datum::is_null) {
            return Err(PgError::new(SqlState::NULL_VALUE_NOT_ALLOWED, "thresholds array must not contain NULLs"));
        }
        let reached = |threshold: &Datum| compare::compare_datums(threshold, &operand).is_le();
        Ok(thresholds.elements.partition_point(reached) as i32)
    }
}
