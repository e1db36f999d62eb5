//! pg_table_is_visible and its relatives: does the search path lead to an object?

use types::descriptor::Oid;
use types::{Datum, PgResult};

use super::Answer::{self, Null, Strict};
use super::names::{is_visible_function, is_visible_type};
use super::oid_argument;
use crate::virtual_tables::pg_catalog::builtin_types::builtin_type;
use crate::virtual_tables::pg_catalog::functions::{function_schema, runnable};
use crate::virtual_tables::pg_catalog::internal_functions::internal_function;
use crate::virtual_tables::picture::Picture;

pub const FUNCTIONS: &[(&str, Answer)] = &[
    ("pg_collation_is_visible", Strict(in_pg_catalog)),
    ("pg_conversion_is_visible", Null),
    ("pg_function_is_visible", Strict(pg_function_is_visible)),
    ("pg_opclass_is_visible", Strict(in_pg_catalog)),
    ("pg_operator_is_visible", Strict(in_pg_catalog)),
    ("pg_opfamily_is_visible", Strict(in_pg_catalog)),
    ("pg_statistics_obj_is_visible", Null),
    ("pg_table_is_visible", Strict(pg_table_is_visible)),
    ("pg_ts_config_is_visible", Null),
    ("pg_ts_dict_is_visible", Null),
    ("pg_ts_parser_is_visible", Null),
    ("pg_ts_template_is_visible", Null),
    ("pg_type_is_visible", Strict(pg_type_is_visible)),
];

/// Kinds of objects that only the system has: all are in pg_catalog, which is always on the path.
fn in_pg_catalog(_: &Picture<'_>, _: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Bool(true))
}

fn pg_table_is_visible(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    let relation = picture.relation(oid_argument(arguments, 0)?);
    Ok(relation.map_or(Datum::Null, |relation| Datum::Bool(picture.is_visible(&relation))))
}

fn pg_type_is_visible(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    let id = oid_argument(arguments, 0)?;
    let visible = builtin_type(id.0).map(|_| true).or_else(|| is_visible_type(picture, id));
    Ok(visible.map_or(Datum::Null, Datum::Bool))
}

fn pg_function_is_visible(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    let id = oid_argument(arguments, 0)?;
    if let Some(function) = picture.function(id) {
        return Ok(Datum::Bool(is_visible_function(picture, function)));
    }
    let name = runnable(id)
        .map(|function| function.0.name)
        .or(internal_function(id.0).map(|function| function.name));
    let Some(name) = name else { return Ok(Datum::Null) };
    let on_path = |schema: Oid| picture.lookup_path().any(|name| picture.schema_id(name) == Some(schema));
    Ok(Datum::Bool(on_path(function_schema(name))))
}
