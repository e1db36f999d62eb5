//! Functions that the catalog answers: each asks [`crate::CatalogLookup`] by its name, row by row. The name is the SQL name, the
//! arguments those of whichever overload was called.

use super::text::row_of;
use crate::EvalContext;
use types::DataType::{self, *};
use types::{Datum, ElementType, PgResult, Vector};

fn asked(
    name: &str,
    result: DataType,
    context: &EvalContext<'_>,
    arguments: &[&Vector],
    rows: usize,
) -> PgResult<Vector> {
    let mut vector = Vector::with_capacity(result, rows);
    for row in 0..rows {
        let datums: Vec<Datum> =
            arguments.iter().map(|argument| argument.datum(row_of(argument, row, rows))).collect();
        if datums.iter().any(Datum::is_null) {
            vector.push_null();
        } else {
            vector.push(&context.catalog.call(name, &datums)?);
        }
    }
    Ok(vector)
}

macro_rules! lookups {
    ($($name:ident: $result:expr;)*) => {$(
        pub fn $name(context: &EvalContext<'_>, arguments: &[&Vector], rows: usize) -> PgResult<Vector> {
            asked(stringify!($name), $result, context, arguments, rows)
        }
    )*};
}

const fn array_of(element_oid: u32) -> DataType {
    Array(ElementType::builtin(element_oid))
}

lookups! {
    acldefault: array_of(1033);
    col_description: Text;
    current_query: Text;
    current_schema: Name;
    current_schemas: array_of(19);
    current_setting: Text;
    has_any_column_privilege: Bool;
    has_column_privilege: Bool;
    has_database_privilege: Bool;
    has_foreign_data_wrapper_privilege: Bool;
    has_function_privilege: Bool;
    has_language_privilege: Bool;
    has_parameter_privilege: Bool;
    has_schema_privilege: Bool;
    has_sequence_privilege: Bool;
    has_server_privilege: Bool;
    has_table_privilege: Bool;
    has_tablespace_privilege: Bool;
    follower_read_timestamp: TimestampTz;
    has_type_privilege: Bool;
    obj_description: Text;
    pg_blocking_pids: array_of(23);
    pg_collation_actual_version: Text;
    pg_collation_is_visible: Bool;
    pg_column_is_updatable: Bool;
    pg_conf_load_time: TimestampTz;
    pg_conversion_is_visible: Bool;
    pg_database_collation_actual_version: Text;
    pg_function_is_visible: Bool;
    pg_get_constraintdef: Text;
    pg_get_expr: Text;
    pg_get_function_arg_default: Text;
    pg_get_function_arguments: Text;
    pg_get_function_identity_arguments: Text;
    pg_get_function_result: Text;
    pg_get_function_sqlbody: Text;
    pg_get_functiondef: Text;
    pg_get_indexdef: Text;
    pg_get_partition_constraintdef: Text;
    pg_get_partkeydef: Text;
    pg_get_ruledef: Text;
    pg_get_serial_sequence: Text;
    pg_get_statisticsobjdef: Text;
    pg_get_statisticsobjdef_columns: Text;
    pg_get_statisticsobjdef_expressions: array_of(25);
    pg_get_triggerdef: Text;
    pg_get_userbyid: Name;
    pg_get_viewdef: Text;
    pg_has_role: Bool;
    pg_index_column_has_property: Bool;
    pg_index_has_property: Bool;
    pg_indexam_has_property: Bool;
    pg_opclass_is_visible: Bool;
    pg_operator_is_visible: Bool;
    pg_opfamily_is_visible: Bool;
    pg_partition_root: Regclass;
    pg_postmaster_start_time: TimestampTz;
    pg_relation_filenode: Oid;
    pg_relation_is_publishable: Bool;
    pg_relation_is_updatable: Int4;
    pg_reload_conf: Bool;
    pg_sequence_last_value: Int8;
    pg_statistics_obj_is_visible: Bool;
    pg_table_is_visible: Bool;
    pg_tablespace_location: Text;
    pg_ts_config_is_visible: Bool;
    pg_ts_dict_is_visible: Bool;
    pg_ts_parser_is_visible: Bool;
    pg_ts_template_is_visible: Bool;
    pg_type_is_visible: Bool;
    row_security_active: Bool;
    shobj_description: Text;
    to_regclass: Regclass;
    to_regnamespace: Regnamespace;
    to_regoper: Regoper;
    to_regproc: Regproc;
    to_regprocedure: Regprocedure;
    to_regrole: Regrole;
    to_regtype: Regtype;
}
