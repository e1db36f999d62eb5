//! pg_get_function_arguments and its relatives: what is known of a function, built in or made by a user.

use expr::FunctionKind;
use planner::parser::keywords::quote_identifier;
use types::descriptor::{
    FunctionDescriptor, FunctionParameter, FunctionParameterMode, FunctionVolatility, Oid,
};
use types::{ColumnType, Datum, PgError, PgResult, SqlState};

use super::Answer::{self, Null, Strict};
use super::definitions::value_expression;
use super::names::{function_arguments, type_name, type_output};
use super::{integer_argument, oid_argument, optional};
use crate::virtual_tables::pg_catalog::functions::{function_schema, kind_code, runnable, volatility_code};
use crate::virtual_tables::pg_catalog::internal_functions::internal_function;
use crate::virtual_tables::picture::Picture;

pub const FUNCTIONS: &[(&str, Answer)] = &[
    ("pg_get_function_arg_default", Strict(pg_get_function_arg_default)),
    ("pg_get_function_arguments", Strict(|picture, arguments| argument_text(picture, arguments, true))),
    (
        "pg_get_function_identity_arguments",
        Strict(|picture, arguments| argument_text(picture, arguments, false)),
    ),
    ("pg_get_function_result", Strict(pg_get_function_result)),
    ("pg_get_function_sqlbody", Null),
    ("pg_get_functiondef", Strict(pg_get_functiondef)),
];

fn argument_text(picture: &Picture<'_>, arguments: &[Datum], defaults: bool) -> PgResult<Datum> {
    let id = oid_argument(arguments, 0)?;
    Ok(optional(match picture.function(id) {
        Some(function) => Some(user_arguments(picture, function, defaults)),
        None => function_arguments(id),
    }))
}

/// A type as it is named along the search path.
fn type_text(picture: &Picture<'_>, column_type: ColumnType) -> String {
    type_output(picture, Oid(column_type.data_type.oid())).unwrap_or_else(|| "???".into())
}

/// DEFAULT of a parameter.
pub fn default_text(picture: &Picture<'_>, parameter: &FunctionParameter) -> Option<String> {
    Some(value_expression(picture, parameter.default.as_deref()?, parameter.column_type))
}

fn parameter_text(picture: &Picture<'_>, parameter: &FunctionParameter, procedure: bool) -> String {
    let mode = match parameter.mode {
        FunctionParameterMode::In if procedure => "IN ",
        FunctionParameterMode::In | FunctionParameterMode::Table => "",
        FunctionParameterMode::Out => "OUT ",
        FunctionParameterMode::InOut => "INOUT ",
        FunctionParameterMode::Variadic => "VARIADIC ",
    };
    let name = parameter.name.as_deref().filter(|name| !name.is_empty());
    let name = name.map_or_else(String::new, |name| format!("{} ", quote_identifier(name)));
    format!("{mode}{name}{}", type_text(picture, parameter.column_type))
}

/// The parameters of a user's function; those of RETURNS TABLE are part of the result.
fn user_arguments(picture: &Picture<'_>, function: &FunctionDescriptor, defaults: bool) -> String {
    let listed =
        function.parameters.iter().filter(|parameter| parameter.mode != FunctionParameterMode::Table);
    let texts = listed.map(|parameter| {
        let text = parameter_text(picture, parameter, function.procedure);
        match default_text(picture, parameter).filter(|_| defaults) {
            Some(default) => format!("{text} DEFAULT {default}"),
            None => text,
        }
    });
    texts.collect::<Vec<_>>().join(", ")
}

/// What a user's function returns; nothing for a procedure.
fn user_result(picture: &Picture<'_>, function: &FunctionDescriptor) -> Option<String> {
    if function.procedure {
        return None;
    }
    let is_column = |parameter: &&FunctionParameter| parameter.mode == FunctionParameterMode::Table;
    let columns: Vec<String> = function
        .parameters
        .iter()
        .filter(is_column)
        .map(|parameter| parameter_text(picture, parameter, false))
        .collect();
    if !columns.is_empty() {
        return Some(format!("TABLE({})", columns.join(", ")));
    }
    let of_relation = function.result_relation.and_then(|id| type_output(picture, id));
    let result = of_relation.unwrap_or_else(|| type_text(picture, function.result));
    Some(if function.returns_set { format!("SETOF {result}") } else { result })
}

/// pg_get_function_arg_default(function, number of the parameter, from 1).
fn pg_get_function_arg_default(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    let Some(function) = picture.function(oid_argument(arguments, 0)?) else { return Ok(Datum::Null) };
    let position = usize::try_from(integer_argument(arguments, 1)? - 1).unwrap_or(usize::MAX);
    let parameter = function.parameters.get(position);
    Ok(optional(parameter.and_then(|parameter| default_text(picture, parameter))))
}

fn result_text(id: Oid) -> Option<String> {
    if let Some((_, result)) = expr::signature::texts(id.0) {
        return Some(result.to_string());
    }
    if let Some(function) = runnable(id) {
        let set = matches!(function.kind, FunctionKind::Set);
        return Some(format!("{}{}", if set { "SETOF " } else { "" }, function.result.sql_name()));
    }
    type_name(internal_function(id.0)?.result)
}

fn pg_get_function_result(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    let id = oid_argument(arguments, 0)?;
    Ok(optional(match picture.function(id) {
        Some(function) => user_result(picture, function),
        None => result_text(id),
    }))
}

/// CREATE OR REPLACE FUNCTION of a user's function.
fn user_definition(picture: &Picture<'_>, function: &FunctionDescriptor) -> String {
    let schema = picture.schema_name(function.schema).unwrap_or("");
    let name = super::identifiers::qualified(schema, &function.name);
    let kind = if function.procedure { "PROCEDURE" } else { "FUNCTION" };
    let mut text = format!("CREATE OR REPLACE {kind} {name}({})\n", user_arguments(picture, function, true));
    if let Some(result) = user_result(picture, function) {
        text.push_str(&format!(" RETURNS {result}\n"));
    }
    text.push_str(&format!(" LANGUAGE {}\n", quote_identifier(&function.language)));
    let volatility = match function.volatility {
        FunctionVolatility::Immutable => " IMMUTABLE",
        FunctionVolatility::Stable => " STABLE",
        FunctionVolatility::Volatile => "",
    };
    let marks = [
        (true, volatility),
        (function.strict, " STRICT"),
        (function.security_definer, " SECURITY DEFINER"),
        (function.leakproof, " LEAKPROOF"),
    ];
    let marks: String = marks.iter().filter(|(applies, _)| *applies).map(|(_, mark)| *mark).collect();
    if !marks.is_empty() {
        text.push_str(&format!("{marks}\n"));
    }
    // The quote is made longer until the body does not contain it.
    let mut quote = format!("${}", if function.procedure { "procedure" } else { "function" });
    while function.body.contains(&quote) {
        quote.push('x');
    }
    text.push_str(&format!("AS {quote}${}{quote}$\n", function.body));
    text
}

fn pg_get_functiondef(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    let id = oid_argument(arguments, 0)?;
    if let Some(function) = picture.function(id) {
        return Ok(Datum::text(user_definition(picture, function)));
    }
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
