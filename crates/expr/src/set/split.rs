//! string_to_table, regexp_split_to_table, regexp_matches.

use super::{Listed, RowSet};
use crate::functions::array::split_text;
use crate::functions::pattern::regexp;
use types::{DataType, Datum, ElementType, PgError, PgResult, Vector};

const TEXT_ARRAY: DataType = DataType::Array(ElementType::builtin(25));

fn text(arguments: &[Datum], index: usize) -> PgResult<Option<&str>> {
    match arguments.get(index) {
        None | Some(Datum::Null) => Ok(None),
        Some(Datum::Text(text)) => Ok(Some(text)),
        Some(other) => Err(PgError::internal(format!("a text function met {other:?}"))),
    }
}

fn listed(data_type: DataType, values: Vec<Datum>) -> Box<dyn RowSet> {
    Box::new(Listed::new(vec![Vector::from_datums(data_type, &values)]))
}

/// A NULL separator splits into characters; a field equal to the third argument is NULL.
pub(super) fn string_to_table(arguments: &[Datum]) -> PgResult<Box<dyn RowSet>> {
    let Some(whole) = text(arguments, 0)? else { return Ok(listed(DataType::Text, Vec::new())) };
    let fields = split_text(whole, text(arguments, 1)?, text(arguments, 2)?);
    Ok(listed(DataType::Text, fields))
}

pub(super) fn regexp_split_to_table(arguments: &[Datum]) -> PgResult<Box<dyn RowSet>> {
    let (whole, pattern) = (text(arguments, 0)?.unwrap_or(""), text(arguments, 1)?.unwrap_or(""));
    let flags = text(arguments, 2)?.unwrap_or("");
    let pieces = regexp::pieces(whole, pattern, flags, "regexp_split_to_table()")?;
    Ok(listed(DataType::Text, pieces.into_iter().map(Datum::text).collect()))
}

pub(super) fn regexp_matches(arguments: &[Datum]) -> PgResult<Box<dyn RowSet>> {
    let (whole, pattern) = (text(arguments, 0)?.unwrap_or(""), text(arguments, 1)?.unwrap_or(""));
    Ok(listed(TEXT_ARRAY, regexp::all_matches(whole, pattern, text(arguments, 2)?.unwrap_or(""))?))
}
