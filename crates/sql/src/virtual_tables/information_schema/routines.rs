//! Functions and their parameters.

use expr::{FunctionKind, FunctionRef, Volatility};
use types::Datum;
use types::descriptor::{FunctionDescriptor, FunctionParameter, FunctionParameterMode, FunctionVolatility};
use types::format::NAME_BYTES_MAX;

use super::columns::{type_text, udt};
use crate::catalog_functions::functions::default_text;
use crate::catalog_functions::privileges::{acts_as, may_execute};
use crate::virtual_tables::Definition;
use crate::virtual_tables::pg_catalog::functions::function_schema;
use crate::virtual_tables::picture::Picture;
use crate::virtual_tables::shape::*;

view! {
    Routines: 13377 information_schema.routines {
        specific_catalog: NAME, specific_schema: NAME, specific_name: NAME, routine_catalog: NAME,
        routine_schema: NAME, routine_name: NAME, routine_type: VARCHAR, module_catalog: NAME,
        module_schema: NAME, module_name: NAME, udt_catalog: NAME, udt_schema: NAME, udt_name: NAME,
        data_type: VARCHAR, character_maximum_length: INT4, character_octet_length: INT4,
        character_set_catalog: NAME, character_set_schema: NAME, character_set_name: NAME,
        collation_catalog: NAME, collation_schema: NAME, collation_name: NAME, numeric_precision: INT4,
        numeric_precision_radix: INT4, numeric_scale: INT4, datetime_precision: INT4,
        interval_type: VARCHAR, interval_precision: INT4, type_udt_catalog: NAME, type_udt_schema: NAME,
        type_udt_name: NAME, scope_catalog: NAME, scope_schema: NAME, scope_name: NAME,
        maximum_cardinality: INT4, dtd_identifier: NAME, routine_body: VARCHAR, routine_definition: VARCHAR,
        external_name: VARCHAR, external_language: VARCHAR, parameter_style: VARCHAR,
        is_deterministic: VARCHAR, sql_data_access: VARCHAR, is_null_call: VARCHAR, sql_path: VARCHAR,
        schema_level_routine: VARCHAR, max_dynamic_result_sets: INT4, is_user_defined_cast: VARCHAR,
        is_implicitly_invocable: VARCHAR, security_type: VARCHAR, to_sql_specific_catalog: NAME,
        to_sql_specific_schema: NAME, to_sql_specific_name: NAME, as_locator: VARCHAR, created: TIMESTAMPTZ,
        last_altered: TIMESTAMPTZ, new_savepoint_level: VARCHAR, is_udt_dependent: VARCHAR,
        result_cast_from_data_type: VARCHAR, result_cast_as_locator: VARCHAR,
        result_cast_char_max_length: INT4, result_cast_char_octet_length: INT4,
        result_cast_char_set_catalog: NAME, result_cast_char_set_schema: NAME,
        result_cast_char_set_name: NAME, result_cast_collation_catalog: NAME,
        result_cast_collation_schema: NAME, result_cast_collation_name: NAME,
        result_cast_numeric_precision: INT4, result_cast_numeric_precision_radix: INT4,
        result_cast_numeric_scale: INT4, result_cast_datetime_precision: INT4,
        result_cast_interval_type: VARCHAR, result_cast_interval_precision: INT4,
        result_cast_type_udt_catalog: NAME, result_cast_type_udt_schema: NAME,
        result_cast_type_udt_name: NAME, result_cast_scope_catalog: NAME, result_cast_scope_schema: NAME,
        result_cast_scope_name: NAME, result_cast_maximum_cardinality: INT4,
        result_cast_dtd_identifier: NAME,
    }
}

view! {
    Parameters: 13334 information_schema.parameters {
        specific_catalog: NAME, specific_schema: NAME, specific_name: NAME, ordinal_position: INT4,
        parameter_mode: VARCHAR, is_result: VARCHAR, as_locator: VARCHAR, parameter_name: NAME,
        data_type: VARCHAR, character_maximum_length: INT4, character_octet_length: INT4,
        character_set_catalog: NAME, character_set_schema: NAME, character_set_name: NAME,
        collation_catalog: NAME, collation_schema: NAME, collation_name: NAME, numeric_precision: INT4,
        numeric_precision_radix: INT4, numeric_scale: INT4, datetime_precision: INT4,
        interval_type: VARCHAR, interval_precision: INT4, udt_catalog: NAME, udt_schema: NAME,
        udt_name: NAME, scope_catalog: NAME, scope_schema: NAME, scope_name: NAME,
        maximum_cardinality: INT4, dtd_identifier: NAME, parameter_default: VARCHAR,
    }
}

pub static TABLES: &[Definition] = &[
    Routines::definition(Rows::Catalog(|picture, _| values(routines(picture)))),
    Parameters::definition(Rows::Catalog(|picture, _| values(parameters(picture)))),
];

fn specific_name(function: FunctionRef) -> Datum {
    text(format!("{}_{}", function.0.name, function.oid))
}

fn schema(picture: &Picture<'_>, function: FunctionRef) -> Datum {
    optional_text(picture.schema_name(function_schema(function.0.name)))
}

fn routines(picture: &Picture<'_>) -> Vec<Routines> {
    let catalog = || text(picture.database_name());
    let row = |function: FunctionRef| {
        let plain = !matches!(function.kind, FunctionKind::Aggregate | FunctionKind::Window);
        Routines {
            specific_catalog: catalog(),
            specific_schema: schema(picture, function),
            specific_name: specific_name(function),
            routine_catalog: catalog(),
            routine_schema: schema(picture, function),
            routine_name: text(function.0.name),
            // Aggregates and window functions are neither.
            routine_type: if plain { text("FUNCTION") } else { Datum::Null },
            data_type: text(type_text(function.result)),
            type_udt_catalog: catalog(),
            type_udt_schema: text("pg_catalog"),
            type_udt_name: optional_text(function.result.pg_name()),
            dtd_identifier: text("0"),
            routine_body: text("EXTERNAL"),
            routine_definition: text(function.0.name),
            external_language: text("INTERNAL"),
            parameter_style: text("GENERAL"),
            is_deterministic: yes_or_no(function.volatility == Volatility::Immutable),
            sql_data_access: text("MODIFIES"),
            is_null_call: yes_or_no(function.strict),
            schema_level_routine: yes_or_no(true),
            max_dynamic_result_sets: Datum::Int4(0),
            security_type: text("INVOKER"),
            as_locator: yes_or_no(false),
            is_udt_dependent: yes_or_no(false),
            ..Routines::default()
        }
    };
    let built_in = expr::catalogue().functions().map(row);
    built_in.chain(shown_functions(picture).map(|function| user_routine(picture, function))).collect()
}

/// Functions of users that the user may call.
fn shown_functions<'a>(picture: &Picture<'a>) -> impl Iterator<Item = &'a FunctionDescriptor> {
    let picture = *picture;
    picture.functions().map(|function| &**function).filter(move |function| {
        acts_as(&picture, picture.user, &function.owner) || may_execute(&picture, picture.user, function)
    })
}

fn user_specific_name(function: &FunctionDescriptor) -> Datum {
    let number = function.id.0.to_string();
    // What is too long for a name is cut from the function's.
    let room = NAME_BYTES_MAX.saturating_sub(number.len() + 1);
    let name = &function.name[..function.name.floor_char_boundary(room)];
    text(format!("{name}_{number}"))
}

fn user_routine(picture: &Picture<'_>, function: &FunctionDescriptor) -> Routines {
    let catalog = || text(picture.database_name());
    let schema = || optional_text(picture.schema_name(function.schema));
    let owned = acts_as(picture, picture.user, &function.owner);
    let row = Routines {
        specific_catalog: catalog(),
        specific_schema: schema(),
        specific_name: user_specific_name(function),
        routine_catalog: catalog(),
        routine_schema: schema(),
        routine_name: text(&function.name),
        routine_type: text(if function.procedure { "PROCEDURE" } else { "FUNCTION" }),
        routine_body: text(if function.language == "sql" { "SQL" } else { "EXTERNAL" }),
        routine_definition: optional_text(owned.then_some(&function.body)),
        external_language: text(function.language.to_uppercase()),
        parameter_style: text("GENERAL"),
        is_deterministic: yes_or_no(function.volatility == FunctionVolatility::Immutable),
        sql_data_access: text("MODIFIES"),
        schema_level_routine: yes_or_no(true),
        max_dynamic_result_sets: Datum::Int4(0),
        security_type: text(if function.security_definer { "DEFINER" } else { "INVOKER" }),
        as_locator: yes_or_no(false),
        is_udt_dependent: yes_or_no(false),
        ..Routines::default()
    };
    if function.procedure {
        return row;
    }
    let of_relation = function.result_relation.and_then(|id| picture.relation(id));
    let (udt_schema, udt_name) = match of_relation {
        Some(relation) => (optional_text(picture.schema_name(relation.schema())), text(relation.name())),
        None => udt(picture, function.result.data_type),
    };
    let data_type = match of_relation {
        Some(_) => "USER-DEFINED".to_string(),
        None => type_text(function.result.data_type),
    };
    Routines {
        data_type: text(data_type),
        type_udt_catalog: catalog(),
        type_udt_schema: udt_schema,
        type_udt_name: udt_name,
        dtd_identifier: text("0"),
        is_null_call: yes_or_no(function.strict),
        ..row
    }
}

fn user_parameters(picture: &Picture<'_>, function: &FunctionDescriptor) -> Vec<Parameters> {
    let owned = acts_as(picture, picture.user, &function.owner);
    let row = |(position, parameter): (usize, &FunctionParameter)| {
        let data_type = parameter.column_type.data_type;
        let (udt_schema, udt_name) = udt(picture, data_type);
        Parameters {
            specific_catalog: text(picture.database_name()),
            specific_schema: optional_text(picture.schema_name(function.schema)),
            specific_name: user_specific_name(function),
            ordinal_position: int4(position + 1),
            parameter_mode: text(match parameter.mode {
                FunctionParameterMode::In | FunctionParameterMode::Variadic => "IN",
                FunctionParameterMode::Out | FunctionParameterMode::Table => "OUT",
                FunctionParameterMode::InOut => "INOUT",
            }),
            is_result: yes_or_no(false),
            as_locator: yes_or_no(false),
            parameter_name: optional_text(parameter.name.as_deref()),
            data_type: text(type_text(data_type)),
            udt_catalog: text(picture.database_name()),
            udt_schema,
            udt_name,
            dtd_identifier: text((position + 1).to_string()),
            parameter_default: optional_text(default_text(picture, parameter).filter(|_| owned)),
            ..Parameters::default()
        }
    };
    function.parameters.iter().enumerate().map(row).collect()
}

fn parameters(picture: &Picture<'_>) -> Vec<Parameters> {
    let mut rows = Vec::new();
    for function in expr::catalogue().functions() {
        for (position, argument) in function.arguments.iter().enumerate() {
            rows.push(Parameters {
                specific_catalog: text(picture.database_name()),
                specific_schema: schema(picture, function),
                specific_name: specific_name(function),
                ordinal_position: int4(position + 1),
                parameter_mode: text("IN"),
                is_result: yes_or_no(false),
                as_locator: yes_or_no(false),
                data_type: text(type_text(*argument)),
                udt_catalog: text(picture.database_name()),
                udt_schema: text("pg_catalog"),
                udt_name: optional_text(argument.pg_name()),
                dtd_identifier: text((position + 1).to_string()),
                ..Parameters::default()
            });
        }
    }
    rows.extend(shown_functions(picture).flat_map(|function| user_parameters(picture, function)));
    rows
}
