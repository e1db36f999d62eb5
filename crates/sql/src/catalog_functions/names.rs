//! Names of objects and their oids: regclass, regtype and their family in and out, to_reg*, format_type.
//!
//! | type | input | output |
//! | --- | --- | --- |
//! | all | `-` is 0, digits are an oid | 0 is `-`, an oid that stands for nothing prints as digits |
//! | regclass | a relation along the search path | qualified unless the path leads to it |
//! | regtype | a type as DDL names it | as format_type prints it |
//! | regproc | a function that is alone with its name | qualified if it is not |
//! | regprocedure | a function with its argument types | the same |
//! | regoper | an operator that is alone with its name | qualified if it is not |
//! | regnamespace, regrole | a schema, a role | quoted |

use expr::{FunctionRef, Operator};
use planner::parser::keywords::quote_identifier;
use std::sync::Arc;
use types::descriptor::{FunctionDescriptor, Oid};
use types::user_type::TypeDirectory;
use types::{ColumnType, DataType, Datum, PgError, PgResult, SqlState};

use super::Answer::{self, OnNull, Strict};
use super::identifiers::{qualified, relation_text, split_name};
use super::{integer_argument, oid_argument, text_argument};
use crate::definition;
use crate::definition::type_label;
use crate::virtual_tables::is_system_schema;
use crate::virtual_tables::pg_catalog::builtin_types::{builtin_type, builtin_type_named};
use crate::virtual_tables::pg_catalog::functions::{argument_list, function_schema, runnable};
use crate::virtual_tables::pg_catalog::internal_functions::{
    INTERNAL_FUNCTIONS, InternalFunction, internal_function,
};
use crate::virtual_tables::pg_catalog::operators::operators;
use crate::virtual_tables::picture::Picture;

pub const FUNCTIONS: &[(&str, Answer)] = &[
    ("format_type", OnNull(format_type)),
    ("pg_get_userbyid", Strict(pg_get_userbyid)),
    ("regclassin", Strict(|picture, arguments| input(picture, arguments, find_relation))),
    ("regclassout", Strict(|picture, arguments| output(picture, arguments, relation_output))),
    ("regnamespacein", Strict(|picture, arguments| input(picture, arguments, find_schema))),
    ("regnamespaceout", Strict(|picture, arguments| output(picture, arguments, schema_output))),
    ("regoperin", Strict(|picture, arguments| input(picture, arguments, find_operator))),
    ("regoperout", Strict(|picture, arguments| output(picture, arguments, operator_output))),
    ("regprocedurein", Strict(|picture, arguments| input(picture, arguments, find_procedure))),
    ("regprocedureout", Strict(|picture, arguments| output(picture, arguments, procedure_output))),
    ("regprocin", Strict(|picture, arguments| input(picture, arguments, find_function))),
    ("regprocout", Strict(|picture, arguments| output(picture, arguments, function_output))),
    ("regrolein", Strict(|picture, arguments| input(picture, arguments, find_role))),
    ("regroleout", Strict(|picture, arguments| output(picture, arguments, role_output))),
    ("regtypein", Strict(|picture, arguments| input(picture, arguments, find_type))),
    ("regtypeout", Strict(|picture, arguments| output(picture, arguments, type_output))),
    ("to_regclass", Strict(|picture, arguments| if_exists(picture, arguments, find_relation))),
    ("to_regnamespace", Strict(|picture, arguments| if_exists(picture, arguments, find_schema))),
    ("to_regoper", Strict(|picture, arguments| if_exists(picture, arguments, find_operator))),
    ("to_regproc", Strict(|picture, arguments| if_exists(picture, arguments, find_function))),
    ("to_regprocedure", Strict(|picture, arguments| if_exists(picture, arguments, find_procedure))),
    ("to_regrole", Strict(|picture, arguments| if_exists(picture, arguments, find_role))),
    ("to_regtype", Strict(|picture, arguments| if_exists(picture, arguments, find_type))),
];

/// What a name leads to.
enum Found {
    Object(Oid),
    /// Nothing, or no single one: the error that input raises and to_reg* turns into NULL.
    Not(PgError),
}

impl Found {
    fn one(id: Option<Oid>, error: impl FnOnce() -> PgError) -> Found {
        id.map_or_else(|| Found::Not(error()), Found::Object)
    }
}

/// Reads a name. Errors are those of text that is no name at all.
type Find = fn(&Picture<'_>, &str) -> PgResult<Found>;

fn oid_text(text: &str) -> Option<Oid> {
    if text == "-" {
        return Some(Oid(0));
    }
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().ok().map(Oid))?
}

/// A type's input function.
fn input(picture: &Picture<'_>, arguments: &[Datum], find: Find) -> PgResult<Datum> {
    let text = text_argument(arguments, 0)?;
    if let Some(id) = oid_text(text) {
        return Ok(Datum::Oid(id.0));
    }
    match find(picture, text)? {
        Found::Object(id) => Ok(Datum::Oid(id.0)),
        Found::Not(error) => Err(error),
    }
}

/// to_reg*: NULL where input raises "does not exist".
fn if_exists(picture: &Picture<'_>, arguments: &[Datum], find: Find) -> PgResult<Datum> {
    let text = text_argument(arguments, 0)?;
    if let Some(id) = oid_text(text) {
        return Ok(Datum::Oid(id.0));
    }
    Ok(match find(picture, text)? {
        Found::Object(id) => Datum::Oid(id.0),
        Found::Not(_) => Datum::Null,
    })
}

/// A type's output function.
fn output(
    picture: &Picture<'_>,
    arguments: &[Datum],
    name: fn(&Picture<'_>, Oid) -> Option<String>,
) -> PgResult<Datum> {
    let id = oid_argument(arguments, 0)?;
    if id.0 == 0 {
        return Ok(Datum::text("-"));
    }
    Ok(Datum::text(name(picture, id).unwrap_or_else(|| id.0.to_string())))
}

/// The text of a value of one of the types whose text is a name; `None` for other types.
pub fn name_output(picture: &Picture<'_>, data_type: DataType, id: u32) -> Option<String> {
    let name: fn(&Picture<'_>, Oid) -> Option<String> = match data_type {
        DataType::Regclass => relation_output,
        DataType::Regtype => type_output,
        DataType::Regproc => function_output,
        DataType::Regprocedure => procedure_output,
        DataType::Regoper => operator_output,
        DataType::Regnamespace => schema_output,
        DataType::Regrole => role_output,
        _ => return None,
    };
    match id {
        0 => Some("-".into()),
        id => Some(name(picture, Oid(id)).unwrap_or_else(|| id.to_string())),
    }
}

fn undefined(code: SqlState, message: String) -> PgError {
    PgError::new(code, message)
}

/// The last part of a name and the schema before it. Errors: 42601 when there are more.
fn schema_and_name(parts: &[String]) -> PgResult<(Option<&str>, &str)> {
    match parts {
        [name] => Ok((None, name)),
        [schema, name] => Ok((Some(schema), name)),
        _ => Err(PgError::new(
            SqlState::SYNTAX_ERROR,
            format!("improper qualified name (too many dotted names): {}", parts.join(".")),
        )),
    }
}

fn no_schema(name: &str) -> PgError {
    PgError::new(SqlState::INVALID_SCHEMA_NAME, format!("schema \"{name}\" does not exist"))
}

// Relations.

/// The relation of a possibly qualified and quoted name, along the search path. Errors: 42P01, 42602, 3F000.
pub fn relation_named(picture: &Picture<'_>, text: &str) -> PgResult<Oid> {
    match find_relation(picture, text)? {
        Found::Object(id) => Ok(id),
        Found::Not(error) => Err(error),
    }
}

fn find_relation(picture: &Picture<'_>, text: &str) -> PgResult<Found> {
    let parts = split_name(text)?;
    let missing =
        || undefined(SqlState::UNDEFINED_TABLE, format!("relation \"{}\" does not exist", parts.join(".")));
    let (schema, name) = match parts.as_slice() {
        [name] => return Ok(Found::one(picture.visible_relation(name), missing)),
        [schema, name] => (schema, name),
        [database, schema, name] if database == picture.database_name() => (schema, name),
        [_, _, _] => {
            let message = format!("cross-database references are not implemented: \"{}\"", parts.join("."));
            return Err(PgError::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        _ => {
            let message = format!("improper relation name (too many dotted names): {}", parts.join("."));
            return Err(PgError::new(SqlState::SYNTAX_ERROR, message));
        }
    };
    let own = if schema == "pg_temp" { picture.temporary_schema } else { schema.as_str() };
    if !is_system_schema(schema) && picture.schema_id(own).is_none() {
        return Ok(Found::Not(no_schema(schema)));
    }
    Ok(Found::one(picture.relation_in(schema, name), missing))
}

fn relation_output(picture: &Picture<'_>, id: Oid) -> Option<String> {
    picture.relation(id).map(|relation| relation_text(picture, &relation))
}

// Schemas and roles.

fn single_part(text: &str) -> PgResult<String> {
    let mut parts = split_name(text)?;
    match parts.pop() {
        Some(name) if parts.is_empty() => Ok(name),
        _ => Err(PgError::new(SqlState::INVALID_NAME, "invalid name syntax")),
    }
}

fn find_schema(picture: &Picture<'_>, text: &str) -> PgResult<Found> {
    let name = single_part(text)?;
    Ok(Found::one(picture.schema_id(&name), || no_schema(&name)))
}

fn schema_output(picture: &Picture<'_>, id: Oid) -> Option<String> {
    picture.schema_name(id).map(quote_identifier)
}

fn find_role(picture: &Picture<'_>, text: &str) -> PgResult<Found> {
    let name = single_part(text)?;
    let id = Some(picture.role_id(&name)).filter(|id| id.0 != 0);
    Ok(Found::one(id, || undefined(SqlState::UNDEFINED_OBJECT, format!("role \"{name}\" does not exist"))))
}

fn role_output(picture: &Picture<'_>, id: Oid) -> Option<String> {
    picture.role_name(id).map(quote_identifier)
}

fn pg_get_userbyid(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    let id = oid_argument(arguments, 0)?;
    Ok(match picture.role_name(id) {
        Some(name) => Datum::text(name),
        None => Datum::text(format!("unknown (OID={})", id.0)),
    })
}

// Types.

fn find_type(picture: &Picture<'_>, text: &str) -> PgResult<Found> {
    let parsed = planner::parser::parse_type_name(text)?;
    let missing = || undefined(SqlState::UNDEFINED_OBJECT, format!("type \"{text}\" does not exist"));
    let is_array = !parsed.array_bounds.is_empty();
    let user_type = |schema: &str| {
        let schema = picture.snapshot.schema(picture.database, schema)?;
        let id = picture.snapshot.type_named(schema.id, parsed.name.name())?;
        Some(Oid(if is_array { id.0 | types::USER_ARRAY_BIT } else { id.0 }))
    };
    if let Some(schema) = parsed.name.schema().filter(|schema| *schema != "pg_catalog") {
        if let Some(found) = user_type(schema) {
            return Ok(Found::Object(found));
        }
        let error = if picture.schema_id(schema).is_some() { missing() } else { no_schema(schema) };
        return Ok(Found::Not(error));
    }
    let Some(found) = builtin_type_named(parsed.name.name()) else {
        let along_path = || picture.search_path.iter().find_map(|schema| user_type(schema));
        let found = if parsed.name.schema().is_none() { along_path() } else { None };
        return Ok(Found::one(found, missing));
    };
    let id = if is_array { found.array } else { found.oid };
    Ok(Found::one(Some(Oid(id)).filter(|id| id.0 != 0), missing))
}

pub fn type_output(picture: &Picture<'_>, id: Oid) -> Option<String> {
    type_name(id.0).or_else(|| user_type_name(picture, id))
}

/// The name of a type that a user made, or of the array over one.
fn user_type_name(picture: &Picture<'_>, id: Oid) -> Option<String> {
    let element = Oid(id.0 & !types::USER_ARRAY_BIT);
    let data_type = picture.snapshot.user_type(element.0)?.data_type();
    let label = type_label(picture.snapshot, picture.database, picture.search_path, data_type);
    Some(if element == id { label } else { format!("{label}[]") })
}

/// A type's name in SQL, without a modifier.
pub fn type_name(id: u32) -> Option<String> {
    match DataType::from_oid(id) {
        Some(data_type) => Some(data_type.sql_name()),
        None => builtin_type(id).map(|row| row.name.to_string()),
    }
}

/// format_type(type, modifier): NULL for a NULL type; a modifier of NULL leaves it out.
fn format_type(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    if arguments.first().is_none_or(Datum::is_null) {
        return Ok(Datum::Null);
    }
    let id = oid_argument(arguments, 0)?;
    if id.0 == 0 {
        return Ok(Datum::text("-"));
    }
    let modifier = arguments.get(1).filter(|modifier| !modifier.is_null());
    let text = match (DataType::from_oid(id.0), modifier) {
        (Some(data_type), Some(_)) => {
            let typmod = integer_argument(arguments, 1)? as i32;
            Some(ColumnType::new(data_type, typmod).to_string())
        }
        _ => type_output(picture, id),
    };
    Ok(Datum::text(text.unwrap_or_else(|| "???".into())))
}

// Functions.

/// A function of either kind: of the catalogue, or the system's own.
#[derive(Clone, Copy)]
enum Callable {
    Listed(FunctionRef),
    Internal(&'static InternalFunction),
}

impl Callable {
    fn by_id(id: Oid) -> Option<Callable> {
        runnable(id).map(Callable::Listed).or_else(|| internal_function(id.0).map(Callable::Internal))
    }

    fn named(name: &str) -> Vec<Callable> {
        let listed = expr::catalogue().functions_named(name).iter();
        let listed = listed.filter(|function| runnable(Oid(function.0.oid)).is_some());
        let internal = INTERNAL_FUNCTIONS.iter().filter(|function| function.name == name);
        listed.map(|function| Callable::Listed(*function)).chain(internal.map(Callable::Internal)).collect()
    }

    fn id(self) -> Oid {
        match self {
            Callable::Listed(function) => Oid(function.oid),
            Callable::Internal(function) => Oid(function.oid),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Callable::Listed(function) => function.0.name,
            Callable::Internal(function) => function.name,
        }
    }

    fn arguments(self) -> Vec<u32> {
        match self {
            Callable::Listed(function) => function.arguments.iter().map(|argument| argument.oid()).collect(),
            Callable::Internal(function) => function.arguments.to_vec(),
        }
    }
}

/// The functions of a possibly qualified name that the search path leads to.
fn functions_named(picture: &Picture<'_>, name: &str) -> PgResult<Vec<Callable>> {
    let parts = split_name(name)?;
    let (schema, name) = schema_and_name(&parts)?;
    let reachable = |callable: &Callable| {
        let home = function_schema(callable.name());
        match schema {
            Some(schema) => picture.schema_id(schema) == Some(home),
            None => picture.lookup_path().any(|schema| picture.schema_id(schema) == Some(home)),
        }
    };
    Ok(Callable::named(name).into_iter().filter(reachable).collect())
}

fn find_function(picture: &Picture<'_>, text: &str) -> PgResult<Found> {
    let built_in = functions_named(picture, text)?.into_iter().map(Callable::id);
    let users = user_functions_named(picture, text)?.into_iter().map(|function| function.id);
    Ok(match built_in.chain(users).collect::<Vec<Oid>>().as_slice() {
        [only] => Found::Object(*only),
        [] => Found::Not(no_function(text)),
        _ => {
            let message = format!("more than one function named \"{text}\"");
            Found::Not(PgError::new(SqlState::AMBIGUOUS_FUNCTION, message))
        }
    })
}

fn no_function(text: &str) -> PgError {
    undefined(SqlState::UNDEFINED_FUNCTION, format!("function \"{text}\" does not exist"))
}

/// The function of `name(type, type)`. Errors: 22P02 without parentheses, those of the types.
pub fn find_procedure_id(picture: &Picture<'_>, text: &str) -> PgResult<Option<Oid>> {
    let syntax = |message: &str| PgError::new(SqlState::INVALID_TEXT_REPRESENTATION, message);
    let (name, rest) = text.split_once('(').ok_or_else(|| syntax("expected a left parenthesis"))?;
    let list = rest.trim_end().strip_suffix(')').ok_or_else(|| syntax("expected a right parenthesis"))?;
    let mut types = Vec::new();
    for part in split_arguments(list) {
        match find_type(picture, part)? {
            Found::Object(id) => types.push(id.0),
            Found::Not(error) => return Err(error),
        }
    }
    let candidates = functions_named(picture, name)?;
    let built_in = candidates.into_iter().find(|callable| callable.arguments() == types).map(Callable::id);
    let users = user_functions_named(picture, name)?;
    let own = users.into_iter().find(|function| input_types(function) == types).map(|function| function.id);
    Ok(built_in.or(own))
}

fn input_types(function: &FunctionDescriptor) -> Vec<u32> {
    function.inputs().map(|parameter| parameter.column_type.data_type.oid()).collect()
}

/// Functions that users made, of a possibly qualified name, along the search path.
fn user_functions_named(picture: &Picture<'_>, text: &str) -> PgResult<Vec<Arc<FunctionDescriptor>>> {
    let parts = split_name(text.trim())?;
    let (schema, name) = schema_and_name(&parts)?;
    let schemas: Vec<&str> = match schema {
        Some(schema) => vec![schema],
        None => picture.lookup_path().collect(),
    };
    let known = schemas.into_iter().filter_map(|schema| picture.snapshot.schema(picture.database, schema));
    Ok(known.flat_map(|schema| definition::functions_named(picture.snapshot, schema.id, name)).collect())
}

/// Pieces between commas that stand outside of parentheses.
fn split_arguments(list: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let (mut depth, mut start) = (0usize, 0);
    for (at, byte) in list.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => {
                pieces.push(&list[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    pieces.push(&list[start..]);
    let empty = pieces.iter().all(|piece| piece.trim().is_empty());
    if empty { Vec::new() } else { pieces.into_iter().map(str::trim).collect() }
}

fn find_procedure(picture: &Picture<'_>, text: &str) -> PgResult<Found> {
    Ok(Found::one(find_procedure_id(picture, text)?, || no_function(text)))
}

/// A user's function as regproc and regprocedure print it: qualified unless the path leads to it.
fn user_function_text(picture: &Picture<'_>, function: &FunctionDescriptor) -> String {
    let reachable = user_functions_named(picture, &quote_identifier(&function.name))
        .is_ok_and(|functions| functions.iter().any(|other| other.id == function.id));
    match (reachable, picture.schema_name(function.schema)) {
        (false, Some(schema)) => qualified(schema, &function.name),
        _ => quote_identifier(&function.name),
    }
}

fn function_output(picture: &Picture<'_>, id: Oid) -> Option<String> {
    if let Some(function) = picture.function(id) {
        return Some(user_function_text(picture, function));
    }
    let callable = Callable::by_id(id)?;
    let name = quote_identifier(callable.name());
    let alone = functions_named(picture, &name).is_ok_and(|functions| functions.len() == 1);
    let schema = picture.schema_name(function_schema(callable.name())).unwrap_or("");
    Some(if alone { name } else { qualified(schema, callable.name()) })
}

fn procedure_output(picture: &Picture<'_>, id: Oid) -> Option<String> {
    if let Some(function) = picture.function(id) {
        let types = function.inputs().map(|parameter| parameter.column_type.data_type.sql_name());
        let types: Vec<String> = types.collect();
        return Some(format!("{}({})", user_function_text(picture, function), types.join(",")));
    }
    let callable = Callable::by_id(id)?;
    let name = quote_identifier(callable.name());
    let reachable = functions_named(picture, &name).is_ok_and(|functions| !functions.is_empty());
    let schema = picture.schema_name(function_schema(callable.name())).unwrap_or("");
    let name = if reachable { name } else { qualified(schema, callable.name()) };
    let types = callable.arguments().into_iter().map(|id| type_name(id).unwrap_or_else(|| "???".into()));
    Some(format!("{name}({})", types.collect::<Vec<_>>().join(",")))
}

/// Whether a user's function is what its name and input types mean along the search path.
pub fn is_visible_function(picture: &Picture<'_>, function: &FunctionDescriptor) -> bool {
    let types = input_types(function);
    let built_in = |schema: &str| {
        schema == "pg_catalog"
            && Callable::named(&function.name).iter().any(|callable| callable.arguments() == types)
    };
    let first = picture.lookup_path().find_map(|schema| {
        if built_in(schema) {
            return Some(None);
        }
        let id = picture.snapshot.schema(picture.database, schema)?.id;
        let others = definition::functions_named(picture.snapshot, id, &function.name);
        others.iter().find(|other| other.identity == function.identity).map(|other| Some(other.id))
    });
    first == Some(Some(function.id))
}

/// Whether a type that a user made (or the array over one) is what its name means along the search path.
pub fn is_visible_type(picture: &Picture<'_>, id: Oid) -> Option<bool> {
    let element = Oid(id.0 & !types::USER_ARRAY_BIT);
    let object = picture.snapshot.object(element)?;
    picture.snapshot.user_type(element.0)?;
    let meant = picture.lookup_path().find_map(|schema| {
        let schema = picture.snapshot.schema(picture.database, schema)?;
        picture.snapshot.type_named(schema.id, object.name())
    });
    Some(meant == Some(element))
}

/// A function's arguments as pg_get_function_arguments lists them.
pub fn function_arguments(id: Oid) -> Option<String> {
    match Callable::by_id(id)? {
        Callable::Listed(function) => {
            let listed = expr::signature::texts(function.oid).map(|(arguments, _)| arguments.to_string());
            Some(listed.unwrap_or_else(|| argument_list(function)))
        }
        Callable::Internal(function) => {
            let types = function.arguments.iter().map(|id| type_name(*id).unwrap_or_else(|| "???".into()));
            Some(types.collect::<Vec<_>>().join(", "))
        }
    }
}

// Operators.

fn operators_named(text: &str) -> Vec<&'static Operator> {
    let name = text.trim();
    let name = name.strip_prefix("pg_catalog.").unwrap_or(name);
    operators().filter(|operator| operator.name == name).collect()
}

fn find_operator(_: &Picture<'_>, text: &str) -> PgResult<Found> {
    Ok(match operators_named(text).as_slice() {
        [only] => Found::Object(Oid(only.oid)),
        [] => Found::Not(undefined(SqlState::UNDEFINED_FUNCTION, format!("operator does not exist: {text}"))),
        _ => Found::Not(PgError::new(
            SqlState::AMBIGUOUS_FUNCTION,
            format!("more than one operator named {text}"),
        )),
    })
}

fn operator_output(_: &Picture<'_>, id: Oid) -> Option<String> {
    let operator = expr::catalogue().operator(id.0)?;
    let alone = operators_named(operator.name).len() == 1;
    Some(if alone { operator.name.to_string() } else { format!("pg_catalog.{}", operator.name) })
}
