//! pg_get_function_arguments and its relatives: what is known of a function. All functions are built in.

use expr::FunctionKind;
use types::descriptor::Oid;
use types::{Datum, PgError, PgResult, SqlState};

use super::Answer::{self, Null, Strict};
use super::names::{function_arguments, type_name};
use super::{oid_argument, optional};
use crate::virtual_tables::pg_catalog::functions::{function_schema, kind_code, runnable, volatility_code};
use crate::virtual_tables::pg_catalog::internal_functions::internal_function;
use crate::virtual_tables::picture::Picture;

pub const FUNCTIONS: &[(&str, Answer)] = &[
    ("pg_get_function_arg_default", Null),
    ("pg_get_function_arguments", Strict(pg_get_function_arguments)),
    ("pg_get_function_identity_arguments", Strict(pg_get_function_arguments)),
    ("pg_get_function_result", Strict(pg_get_function_result)),
    ("pg_get_function_sqlbody", Null),
    ("pg_get_functiondef", Strict(pg_get_functiondef)),
];

fn pg_get_function_arguments(_: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    Ok(optional(function_arguments(oid_argument(arguments, 0)?)))
}

fn result_text(id: Oid) -> Option<String> {
    if let Some(function) = runnable(id) {
        let set = matches!(function.kind, FunctionKind::Set);
        return Some(format!("{}{}", if set { "SETOF " } else { "" }, function.result.sql_name()));
    }
    type_name(internal_function(id.0)?.result)
}

fn pg_get_function_result(_: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    Ok(optional(result_text(oid_argument(arguments, 0)?)))
}

fn pg_get_functiondef(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    let id = oid_argument(arguments, 0)?;
    let (name, volatility, strict) = match (runnable(id), internal_function(id.0)) {
        (Some(function), _) if kind_code(function) == "a" => {
            let message = format!("\"{}\" is an aggregate function", function.0.name);
            return Err(PgError::new(SqlState::WRONG_OBJECT_TYPE, message));
        }
        (Some(function), _) => (function.0.name, volatility_code(function.volatility), function.strict),
        (None, Some(function)) => (function.name, function.volatility, function.strict),
        (None, None) => return Ok(Datum::Null),
    };
    let schema = picture.schema_name(function_schema(name)).unwrap_or("");
    let qualified = super::identifiers::qualified(schema, name);
    let arguments = function_arguments(id).unwrap_or_default();
    let result = result_text(id).unwrap_or_default();
    let volatility = match volatility {
        "i" => " IMMUTABLE",
        "s" => " STABLE",
        _ => "",
    };
    let strict = if strict { " STRICT" } else { "" };
    Ok(Datum::text(format!(
        "CREATE OR REPLACE FUNCTION {qualified}({arguments})\n RETURNS {result}\n LANGUAGE internal\n\
         {volatility} PARALLEL SAFE{strict}\nAS $function${name}$function$\n"
    )))
}
