//! The common type of several expressions: UNION, CASE, VALUES, ARRAY, COALESCE, GREATEST ... (PostgreSQL 10.5).

use super::can_coerce;
use crate::expr::CastContext;
use types::{DataType, PgError, PgResult, SqlState};

/// The type to which all of `types` are to be converted. `construct` opens the message: "CASE", "UNION", "VALUES", "ARRAY",
/// "COALESCE", "GREATEST", "LEAST", "IN" ...
///
/// The order matters among types of one category: CASE puts its ELSE first (PostgreSQL: "the default result is considered the most
/// significant"), all others go from left to right.
///
/// All unknown gives text. 42804 "CASE types integer and text cannot be matched"; the error's `context` field is not set and
/// the position is the caller's: the index of the offending type is the `usize` beside the error.
pub fn common_type(types: &[DataType], construct: &str) -> Result<DataType, (PgError, usize)> {
    let mut chosen = types.first().copied().unwrap_or(DataType::Text);
    if chosen != DataType::Unknown && types.iter().all(|next| *next == chosen) {
        return Ok(chosen);
    }
    chosen = chosen.base();
    for (index, next) in types.iter().map(|next| next.base()).enumerate().skip(1) {
        if next == DataType::Unknown || next == chosen {
            continue;
        }
        if chosen == DataType::Unknown {
            chosen = next;
        } else if next.category() != chosen.category() {
            let message = format!("{construct} types {chosen} and {next} cannot be matched");
            return Err((PgError::new(SqlState::DATATYPE_MISMATCH, message), index));
        } else if !chosen.is_preferred()
            && can_coerce(chosen, next, CastContext::Implicit)
            && !can_coerce(next, chosen, CastContext::Implicit)
        {
            chosen = next;
        }
    }
    Ok(if chosen == DataType::Unknown { DataType::Text } else { chosen })
}

/// The same without words; also checks that every type converts to the common one.
pub(super) fn common_type_of(types: &[DataType]) -> Option<DataType> {
    let common = common_type(types, "").ok()?;
    types.iter().all(|input| can_coerce(*input, common, CastContext::Implicit)).then_some(common)
}

/// 42846 when `input` does not convert to the common type after all.
pub(super) fn check_converts(input: DataType, common: DataType, construct: &str) -> PgResult<()> {
    if can_coerce(input, common, CastContext::Implicit) {
        return Ok(());
    }
    Err(PgError::new(
        SqlState::CANNOT_COERCE,
        format!("{construct} could not convert type {input} to {common}"),
    ))
}
