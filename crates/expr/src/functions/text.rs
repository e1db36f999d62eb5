//! Values as text, for functions that take any type: the type's output function, the catalog asked where it must be.

use crate::EvalContext;
use crate::eval::catalog_output;
use types::{ColumnType, DataType, Datum, PgError, PgResult, Vector, format};

/// Appends the text of a datum that is not NULL.
pub(crate) fn append_text(
    datum: &Datum,
    data_type: DataType,
    context: &EvalContext<'_>,
    out: &mut Vec<u8>,
) -> PgResult<()> {
    if let Datum::Text(text) = datum {
        out.extend_from_slice(text.as_bytes());
        return Ok(());
    }
    match catalog_output(data_type) {
        Some(function) => match context.catalog.call(function, std::slice::from_ref(datum))? {
            Datum::Text(text) => out.extend_from_slice(text.as_bytes()),
            other => return Err(PgError::internal(format!("{function} answered {other:?}"))),
        },
        None => {
            format::write_datum_text(datum, data_type, ColumnType::NO_MODIFIER, &context.session.format, out)
        }
    }
    Ok(())
}

/// The text of the value at `row`; `None` for NULL.
pub(crate) fn text_at(vector: &Vector, row: usize, context: &EvalContext<'_>) -> PgResult<Option<String>> {
    match vector.datum(row) {
        Datum::Null => Ok(None),
        Datum::Text(text) => Ok(Some(text.into())),
        datum => text_of(&datum, vector.data_type, context).map(Some),
    }
}

pub(crate) fn text_of(datum: &Datum, data_type: DataType, context: &EvalContext<'_>) -> PgResult<String> {
    let mut out = Vec::new();
    append_text(datum, data_type, context, &mut out)?;
    String::from_utf8(out).map_err(|_| PgError::internal("text output is not UTF-8"))
}

/// The row of an argument vector that holds the value of `row`.
#[inline]
pub(crate) fn row_of(vector: &Vector, row: usize, rows: usize) -> usize {
    if vector.len() == 1 && rows != 1 { 0 } else { row }
}
