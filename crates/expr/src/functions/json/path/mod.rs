//! jsonb_path_exists, jsonb_path_match, jsonb_path_query and their kin.

mod execute;

use super::super::text::row_of;
use super::{invalid, jsonb, value_of};
use crate::EvalContext;
use execute::{Evaluation, is_fatal};
use types::json::Value;
use types::jsonpath::{self, Path};
use types::{DataType, Datum, PgError, PgResult, SqlState, Vector};

/// The items that a path finds; `None` when silence covers an error up.
fn items(
    target: &Datum,
    path: &Path,
    variables: Option<&Value>,
    silent: bool,
) -> PgResult<Option<Vec<Value>>> {
    if let Some(variables) = variables
        && !matches!(variables, Value::Object(_))
    {
        return Err(invalid("\"vars\" argument is not an object")
            .detail("Jsonpath parameters should be encoded as key-value pairs of \"vars\" object."));
    }
    let root = value_of(target)?;
    match Evaluation::new(path, &root, variables).items(path) {
        Ok(items) => Ok(Some(items)),
        Err(error) if silent && !is_fatal(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The arguments (target, path [, variables [, silent]]) of one row, and what is found.
fn found(arguments: &[Datum], silent: bool) -> PgResult<Option<Vec<Value>>> {
    let Datum::Text(path) = &arguments[1] else { return Err(PgError::internal("a path is text")) };
    let path = jsonpath::parse(path)?;
    let variables = arguments.get(2).map(value_of).transpose()?;
    let silent = silent || matches!(arguments.get(3), Some(Datum::Bool(true)));
    items(&arguments[0], &path, variables.as_ref(), silent)
}

fn is_silent(arguments: &[Datum], silent: bool) -> bool {
    silent || matches!(arguments.get(3), Some(Datum::Bool(true)))
}

fn exists(arguments: &[Datum], silent: bool) -> PgResult<Datum> {
    Ok(found(arguments, silent)?.map_or(Datum::Null, |items| Datum::Bool(!items.is_empty())))
}

fn matches(arguments: &[Datum], silent: bool) -> PgResult<Datum> {
    let Some(items) = found(arguments, silent)? else { return Ok(Datum::Null) };
    match items.as_slice() {
        [Value::Bool(answer)] => Ok(Datum::Bool(*answer)),
        [Value::Null] => Ok(Datum::Null),
        _ if is_silent(arguments, silent) => Ok(Datum::Null),
        _ => {
            Err(PgError::new(SqlState::SINGLETON_SQL_JSON_ITEM_REQUIRED, "single boolean result is expected"))
        }
    }
}

fn array(arguments: &[Datum]) -> PgResult<Datum> {
    Ok(found(arguments, false)?
        .map_or_else(|| jsonb(&Value::Array(Vec::new())), |items| jsonb(&Value::Array(items))))
}

fn first(arguments: &[Datum]) -> PgResult<Datum> {
    let items = found(arguments, false)?.unwrap_or_default();
    Ok(items.first().map_or(Datum::Null, jsonb))
}

fn each(
    result: DataType,
    arguments: &[&Vector],
    rows: usize,
    answer: impl Fn(&[Datum]) -> PgResult<Datum>,
) -> PgResult<Vector> {
    let mut vector = Vector::with_capacity(result, rows);
    for row in 0..rows {
        let datums: Vec<Datum> =
            arguments.iter().map(|argument| argument.datum(row_of(argument, row, rows))).collect();
        if datums.iter().any(Datum::is_null) {
            vector.push_null();
        } else {
            vector.push(&answer(&datums)?);
        }
    }
    Ok(vector)
}

macro_rules! evaluators {
    ($($name:ident: $result:ident, $answer:expr;)*) => {$(
        pub fn $name(context: &EvalContext<'_>, arguments: &[&Vector], rows: usize) -> PgResult<Vector> {
            let _ = context;
            each(DataType::$result, arguments, rows, $answer)
        }
    )*};
}

evaluators! {
    jsonb_path_exists: Bool, |arguments| exists(arguments, false);
    jsonb_path_exists_opr: Bool, |arguments| exists(arguments, true);
    jsonb_path_match: Bool, |arguments| matches(arguments, false);
    jsonb_path_match_opr: Bool, |arguments| matches(arguments, true);
    jsonb_path_query_array: Jsonb, array;
    jsonb_path_query_first: Jsonb, first;
}

/// The rows of jsonb_path_query.
pub(crate) fn query(arguments: &[Datum]) -> PgResult<Vec<Datum>> {
    Ok(found(arguments, false)?.unwrap_or_default().iter().map(jsonb).collect())
}
