//! Tables of objects that cannot be made here (triggers, foreign data ...), and lists that are not kept: grants on what is
//! built in, supported features of the standard.

use crate::virtual_tables::Definition;
use crate::virtual_tables::shape::*;

/// Empty.
pub static TABLES: &[Definition] = empty_tables! {
    information_schema, None;
    13507 view _pg_foreign_data_wrappers {
        oid: OID, fdwowner: OID, fdwoptions: TEXTS, foreign_data_wrapper_catalog: NAME,
        foreign_data_wrapper_name: NAME, authorization_identifier: NAME,
        foreign_data_wrapper_language: VARCHAR,
    }
    13519 view _pg_foreign_servers {
        oid: OID, srvoptions: TEXTS, foreign_server_catalog: NAME, foreign_server_name: NAME,
        foreign_data_wrapper_catalog: NAME, foreign_data_wrapper_name: NAME, foreign_server_type: VARCHAR,
        foreign_server_version: VARCHAR, authorization_identifier: NAME,
    }
    13498 view _pg_foreign_table_columns {
        nspname: NAME, relname: NAME, attname: NAME, attfdwoptions: TEXTS,
    }
    13532 view _pg_foreign_tables {
        foreign_table_catalog: NAME, foreign_table_schema: NAME, foreign_table_name: NAME, ftoptions: TEXTS,
        foreign_server_catalog: NAME, foreign_server_name: NAME, authorization_identifier: NAME,
    }
    13545 view _pg_user_mappings {
        oid: OID, umoptions: TEXTS, umuser: OID, authorization_identifier: NAME,
        foreign_server_catalog: NAME, foreign_server_name: NAME, srvowner: NAME,
    }
    13241 view administrable_role_authorizations {
        grantee: NAME, role_name: NAME, is_grantable: VARCHAR,
    }
    13245 view attributes {
        udt_catalog: NAME, udt_schema: NAME, udt_name: NAME, attribute_name: NAME, ordinal_position: INT4,
        attribute_default: VARCHAR, is_nullable: VARCHAR, data_type: VARCHAR,
        character_maximum_length: INT4, character_octet_length: INT4, character_set_catalog: NAME,
        character_set_schema: NAME, character_set_name: NAME, collation_catalog: NAME,
        collation_schema: NAME, collation_name: NAME, numeric_precision: INT4,
        numeric_precision_radix: INT4, numeric_scale: INT4, datetime_precision: INT4,
        interval_type: VARCHAR, interval_precision: INT4, attribute_udt_catalog: NAME,
        attribute_udt_schema: NAME, attribute_udt_name: NAME, scope_catalog: NAME, scope_schema: NAME,
        scope_name: NAME, maximum_cardinality: INT4, dtd_identifier: NAME,
        is_derived_reference_attribute: VARCHAR,
    }
    13255 view check_constraint_routine_usage {
        constraint_catalog: NAME, constraint_schema: NAME, constraint_name: NAME, specific_catalog: NAME,
        specific_schema: NAME, specific_name: NAME,
    }
    13275 view column_column_usage {
        table_catalog: NAME, table_schema: NAME, table_name: NAME, column_name: NAME,
        dependent_column: NAME,
    }
    13503 view column_options {
        table_catalog: NAME, table_schema: NAME, table_name: NAME, column_name: NAME, option_name: NAME,
        option_value: VARCHAR,
    }
    13315 view domain_udt_usage {
        udt_catalog: NAME, udt_schema: NAME, udt_name: NAME, domain_catalog: NAME, domain_schema: NAME,
        domain_name: NAME,
    }
    13511 view foreign_data_wrapper_options {
        foreign_data_wrapper_catalog: NAME, foreign_data_wrapper_name: NAME, option_name: NAME,
        option_value: VARCHAR,
    }
    13515 view foreign_data_wrappers {
        foreign_data_wrapper_catalog: NAME, foreign_data_wrapper_name: NAME, authorization_identifier: NAME,
        library_name: VARCHAR, foreign_data_wrapper_language: VARCHAR,
    }
    13524 view foreign_server_options {
        foreign_server_catalog: NAME, foreign_server_name: NAME, option_name: NAME, option_value: VARCHAR,
    }
    13528 view foreign_servers {
        foreign_server_catalog: NAME, foreign_server_name: NAME, foreign_data_wrapper_catalog: NAME,
        foreign_data_wrapper_name: NAME, foreign_server_type: VARCHAR, foreign_server_version: VARCHAR,
        authorization_identifier: NAME,
    }
    13537 view foreign_table_options {
        foreign_table_catalog: NAME, foreign_table_schema: NAME, foreign_table_name: NAME,
        option_name: NAME, option_value: VARCHAR,
    }
    13541 view foreign_tables {
        foreign_table_catalog: NAME, foreign_table_schema: NAME, foreign_table_name: NAME,
        foreign_server_catalog: NAME, foreign_server_name: NAME,
    }
    13358 view role_routine_grants {
        grantor: NAME, grantee: NAME, specific_catalog: NAME, specific_schema: NAME, specific_name: NAME,
        routine_catalog: NAME, routine_schema: NAME, routine_name: NAME, privilege_type: VARCHAR,
        is_grantable: VARCHAR,
    }
    13450 view role_udt_grants {
        grantor: NAME, grantee: NAME, udt_catalog: NAME, udt_schema: NAME, udt_name: NAME,
        privilege_type: VARCHAR, is_grantable: VARCHAR,
    }
    13459 view role_usage_grants {
        grantor: NAME, grantee: NAME, object_catalog: NAME, object_schema: NAME, object_name: NAME,
        object_type: VARCHAR, privilege_type: VARCHAR, is_grantable: VARCHAR,
    }
    13348 view routine_column_usage {
        specific_catalog: NAME, specific_schema: NAME, specific_name: NAME, routine_catalog: NAME,
        routine_schema: NAME, routine_name: NAME, table_catalog: NAME, table_schema: NAME, table_name: NAME,
        column_name: NAME,
    }
    13353 view routine_privileges {
        grantor: NAME, grantee: NAME, specific_catalog: NAME, specific_schema: NAME, specific_name: NAME,
        routine_catalog: NAME, routine_schema: NAME, routine_name: NAME, privilege_type: VARCHAR,
        is_grantable: VARCHAR,
    }
    13362 view routine_routine_usage {
        specific_catalog: NAME, specific_schema: NAME, specific_name: NAME, routine_catalog: NAME,
        routine_schema: NAME, routine_name: NAME,
    }
    13367 view routine_sequence_usage {
        specific_catalog: NAME, specific_schema: NAME, specific_name: NAME, routine_catalog: NAME,
        routine_schema: NAME, routine_name: NAME, sequence_catalog: NAME, sequence_schema: NAME,
        sequence_name: NAME,
    }
    13372 view routine_table_usage {
        specific_catalog: NAME, specific_schema: NAME, specific_name: NAME, routine_catalog: NAME,
        routine_schema: NAME, routine_name: NAME, table_catalog: NAME, table_schema: NAME, table_name: NAME,
    }
    13391 table sql_features {
        feature_id: nullable(VARCHAR), feature_name: nullable(VARCHAR), sub_feature_id: nullable(VARCHAR),
        sub_feature_name: nullable(VARCHAR), is_supported: nullable(VARCHAR),
        is_verified_by: nullable(VARCHAR), comments: nullable(VARCHAR),
    }
    13406 table sql_sizing {
        sizing_id: nullable(INT4), sizing_name: nullable(VARCHAR), supported_value: nullable(INT4),
        comments: nullable(VARCHAR),
    }
    13430 view transforms {
        udt_catalog: NAME, udt_schema: NAME, udt_name: NAME, specific_catalog: NAME, specific_schema: NAME,
        specific_name: NAME, group_name: NAME, transform_type: VARCHAR,
    }
    13435 view triggered_update_columns {
        trigger_catalog: NAME, trigger_schema: NAME, trigger_name: NAME, event_object_catalog: NAME,
        event_object_schema: NAME, event_object_table: NAME, event_object_column: NAME,
    }
    13440 view triggers {
        trigger_catalog: NAME, trigger_schema: NAME, trigger_name: NAME, event_manipulation: VARCHAR,
        event_object_catalog: NAME, event_object_schema: NAME, event_object_table: NAME, action_order: INT4,
        action_condition: VARCHAR, action_statement: VARCHAR, action_orientation: VARCHAR,
        action_timing: VARCHAR, action_reference_old_table: NAME, action_reference_new_table: NAME,
        action_reference_old_row: NAME, action_reference_new_row: NAME, created: TIMESTAMPTZ,
    }
    13445 view udt_privileges {
        grantor: NAME, grantee: NAME, udt_catalog: NAME, udt_schema: NAME, udt_name: NAME,
        privilege_type: VARCHAR, is_grantable: VARCHAR,
    }
    13454 view usage_privileges {
        grantor: NAME, grantee: NAME, object_catalog: NAME, object_schema: NAME, object_name: NAME,
        object_type: VARCHAR, privilege_type: VARCHAR, is_grantable: VARCHAR,
    }
    13463 view user_defined_types {
        user_defined_type_catalog: NAME, user_defined_type_schema: NAME, user_defined_type_name: NAME,
        user_defined_type_category: VARCHAR, is_instantiable: VARCHAR, is_final: VARCHAR,
        ordering_form: VARCHAR, ordering_category: VARCHAR, ordering_routine_catalog: NAME,
        ordering_routine_schema: NAME, ordering_routine_name: NAME, reference_type: VARCHAR,
        data_type: VARCHAR, character_maximum_length: INT4, character_octet_length: INT4,
        character_set_catalog: NAME, character_set_schema: NAME, character_set_name: NAME,
        collation_catalog: NAME, collation_schema: NAME, collation_name: NAME, numeric_precision: INT4,
        numeric_precision_radix: INT4, numeric_scale: INT4, datetime_precision: INT4,
        interval_type: VARCHAR, interval_precision: INT4, source_dtd_identifier: NAME,
        ref_dtd_identifier: NAME,
    }
    13550 view user_mapping_options {
        authorization_identifier: NAME, foreign_server_catalog: NAME, foreign_server_name: NAME,
        option_name: NAME, option_value: VARCHAR,
    }
    13555 view user_mappings {
        authorization_identifier: NAME, foreign_server_catalog: NAME, foreign_server_name: NAME,
    }
    13468 view view_column_usage {
        view_catalog: NAME, view_schema: NAME, view_name: NAME, table_catalog: NAME, table_schema: NAME,
        table_name: NAME, column_name: NAME,
    }
    13473 view view_routine_usage {
        table_catalog: NAME, table_schema: NAME, table_name: NAME, specific_catalog: NAME,
        specific_schema: NAME, specific_name: NAME,
    }
};
