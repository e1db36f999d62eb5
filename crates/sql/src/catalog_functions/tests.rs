//! Functions over a small catalog; the answers are PostgreSQL 15's for the same objects.

use types::Datum;

use super::call_on_picture;
use crate::virtual_tables::testing::{CHILD, PARENT, VIEW, World, world};

fn oid(id: u32) -> Datum {
    Datum::Oid(id)
}

fn text(value: &str) -> Datum {
    Datum::text(value)
}

fn show(result: types::PgResult<Datum>) -> String {
    match result {
        Ok(Datum::Null) => "NULL".into(),
        Ok(Datum::Text(value)) => value.to_string(),
        Ok(Datum::Oid(value)) => value.to_string(),
        Ok(Datum::Bool(value)) => value.to_string(),
        Ok(Datum::Int4(value)) => value.to_string(),
        Ok(Datum::Int8(value)) => value.to_string(),
        Ok(Datum::Array(array)) => {
            array.elements.into_iter().map(|element| show(Ok(element))).collect::<Vec<_>>().join(",")
        }
        Ok(other) => format!("{other:?}"),
        Err(error) => format!("{}: {}", error.code(), error.message()),
    }
}

fn call(world: &World, name: &str, arguments: &[Datum]) -> String {
    show(call_on_picture(&world.picture(), name, arguments))
}

#[track_caller]
fn check(cases: &[(&str, &[Datum], &str)]) {
    let world = world();
    for (name, arguments, expected) in cases {
        assert_eq!(call(&world, name, arguments), *expected, "{name}({arguments:?})");
    }
}

#[test]
fn index_definitions() {
    let f = "pg_get_indexdef";
    check(&[
        (f, &[oid(16385)], "CREATE UNIQUE INDEX parent_pkey ON public.parent USING btree (id)"),
        (f, &[oid(16394)], "CREATE INDEX child_b ON public.child USING btree (\"B b\" DESC NULLS LAST, a)"),
        (
            f,
            &[oid(16394), Datum::Int4(0), Datum::Bool(true)],
            "CREATE INDEX child_b ON child USING btree (\"B b\" DESC NULLS LAST, a)",
        ),
        (
            f,
            &[oid(16395)],
            "CREATE INDEX pi ON public.child USING btree (a) INCLUDE (\"B b\") WHERE ((a > 3) AND (a IS NOT NULL))",
        ),
        (
            f,
            &[oid(16395), Datum::Int4(0), Datum::Bool(true)],
            "CREATE INDEX pi ON child USING btree (a) INCLUDE (\"B b\") WHERE a > 3 AND a IS NOT NULL",
        ),
        (f, &[oid(16394), Datum::Int4(1), Datum::Bool(false)], "\"B b\""),
        (f, &[oid(16394), Datum::Int4(7), Datum::Bool(false)], ""),
        (f, &[oid(1)], "NULL"),
        (f, &[Datum::Null], "NULL"),
    ]);
}

#[test]
fn constraint_definitions() {
    let f = "pg_get_constraintdef";
    let foreign_key =
        "FOREIGN KEY (a) REFERENCES parent(id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED NOT VALID";
    check(&[
        (f, &[oid(16386)], "PRIMARY KEY (id)"),
        (f, &[oid(16388)], "UNIQUE (name)"),
        (f, &[oid(16389)], "CHECK ((n > (0)::numeric))"),
        (f, &[oid(16389), Datum::Bool(true)], "CHECK (n > 0::numeric)"),
        (f, &[oid(16393)], foreign_key),
        (f, &[oid(77)], "NULL"),
    ]);
    let mut world = world();
    world.search_path.clear();
    assert_eq!(call(&world, f, &[oid(16393)]), foreign_key.replace("parent", "public.parent"));
}

#[test]
fn views_expressions_and_sequences() {
    let query = " SELECT child.a\n   FROM child\n  WHERE child.a > 3;";
    check(&[
        ("pg_get_viewdef", &[oid(VIEW.0)], query),
        ("pg_get_viewdef", &[text("s.\"My view\""), Datum::Bool(true)], query),
        ("pg_get_viewdef", &[oid(PARENT.0)], "NULL"),
        ("pg_get_expr", &[text("a>1"), oid(CHILD.0)], "(a > 1)"),
        ("pg_get_expr", &[text("a>1"), oid(CHILD.0), Datum::Bool(true)], "a > 1"),
        ("pg_get_expr", &[text("now()"), oid(CHILD.0)], "now()"),
        ("pg_get_expr", &[text("'x'"), oid(PARENT.0)], "'x'::character varying"),
        (
            "pg_get_expr",
            &[text("(a) >1 or (\"B b\" is null)"), oid(CHILD.0)],
            "((a > 1) OR (\"B b\" IS NULL))",
        ),
        ("pg_get_expr", &[text("nonsense"), oid(CHILD.0)], "nonsense"),
        ("pg_get_expr", &[text("true"), oid(77)], "NULL"),
        ("pg_get_serial_sequence", &[text("parent"), text("id")], "public.parent_id_seq"),
        ("pg_get_serial_sequence", &[text("parent"), text("g")], "public.parent_g_seq"),
        ("pg_get_serial_sequence", &[text("Public.\"parent\""), text("name")], "NULL"),
        (
            "pg_get_serial_sequence",
            &[text("parent"), text("nope")],
            "42703: column \"nope\" of relation \"parent\" does not exist",
        ),
        ("pg_get_serial_sequence", &[text("nope"), text("nope")], "42P01: relation \"nope\" does not exist"),
        (
            "pg_get_ruledef",
            &[oid(VIEW.0)],
            "CREATE RULE \"_RETURN\" AS\n    ON SELECT TO s.\"My view\" DO INSTEAD  SELECT child.a\n   FROM child\n  WHERE child.a > 3;",
        ),
    ]);
}

#[test]
fn names_in() {
    check(&[
        ("regclassin", &[text("pg_class")], "1259"),
        ("regclassin", &[text("parent")], "16384"),
        ("regclassin", &[text(" Public . Parent ")], "16384"),
        ("regclassin", &[text("postgres.public.parent")], "16384"),
        ("regclassin", &[text("child_b")], "16394"),
        ("regclassin", &[text("-")], "0"),
        ("regclassin", &[text("123")], "123"),
        ("regclassin", &[text("\"My view\"")], "42P01: relation \"My view\" does not exist"),
        ("regclassin", &[text("s.\"My view\"")], "16396"),
        ("regclassin", &[text("nope.t")], "3F000: schema \"nope\" does not exist"),
        ("regclassin", &[text("a.b.c")], "0A000: cross-database references are not implemented: \"a.b.c\""),
        ("regclassin", &[text("a.b.c.d")], "42601: improper relation name (too many dotted names): a.b.c.d"),
        ("to_regclass", &[text("nope")], "NULL"),
        ("to_regclass", &[text("nope.t")], "NULL"),
        ("to_regclass", &[text("a..b")], "42602: invalid name syntax"),
        ("regtypein", &[text("integer")], "23"),
        ("regtypein", &[text("pg_catalog.int4")], "23"),
        ("regtypein", &[text("varchar(3)[]")], "1015"),
        ("regtypein", &[text("timestamp with time zone")], "1184"),
        ("regtypein", &[text("_int4")], "1007"),
        ("regtypein", &[text("nope")], "42704: type \"nope\" does not exist"),
        ("regtypein", &[text("nope.t")], "3F000: schema \"nope\" does not exist"),
        ("to_regtype", &[text("nope")], "NULL"),
        ("regprocin", &[text("array_in")], "750"),
        ("regprocin", &[text("pg_catalog.array_in")], "750"),
        ("regprocin", &[text("abs")], "42725: more than one function named \"abs\""),
        ("regprocin", &[text("nope")], "42883: function \"nope\" does not exist"),
        ("to_regproc", &[text("abs")], "NULL"),
        ("regprocedurein", &[text("abs(integer)")], "1397"),
        ("regprocedurein", &[text("abs(text)")], "42883: function \"abs(text)\" does not exist"),
        ("regprocedurein", &[text("abs")], "22P02: expected a left parenthesis"),
        ("regoperin", &[text("+")], "42725: more than one operator named +"),
        ("regoperin", &[text("~~~~")], "42883: operator does not exist: ~~~~"),
        ("regnamespacein", &[text("public")], "2200"),
        ("regnamespacein", &[text("information_schema")], "13207"),
        ("regnamespacein", &[text("nope")], "3F000: schema \"nope\" does not exist"),
        ("regrolein", &[text("r1")], "16401"),
        ("regrolein", &[text("nope")], "42704: role \"nope\" does not exist"),
        ("to_regrole", &[text("nope")], "NULL"),
    ]);
}

#[test]
fn names_out() {
    check(&[
        ("regclassout", &[oid(1259)], "pg_class"),
        ("regclassout", &[oid(13425)], "information_schema.tables"),
        ("regclassout", &[oid(PARENT.0)], "parent"),
        ("regclassout", &[oid(VIEW.0)], "s.\"My view\""),
        ("regclassout", &[oid(0)], "-"),
        ("regclassout", &[oid(99999)], "99999"),
        ("regtypeout", &[oid(23)], "integer"),
        ("regtypeout", &[oid(99999)], "99999"),
        ("regprocout", &[oid(750)], "array_in"),
        ("regprocout", &[oid(1397)], "pg_catalog.abs"),
        ("regprocedureout", &[oid(1397)], "abs(integer)"),
        ("regoperout", &[oid(96)], "pg_catalog.="),
        ("regnamespaceout", &[oid(11)], "pg_catalog"),
        ("regroleout", &[oid(10)], "postgres"),
        ("format_type", &[oid(23), Datum::Null], "integer"),
        ("format_type", &[oid(1042), Datum::Null], "character"),
        ("format_type", &[oid(1042), Datum::Int4(-1)], "bpchar"),
        ("format_type", &[oid(1015), Datum::Int4(14)], "character varying(10)[]"),
        ("format_type", &[oid(1700), Datum::Int4((10 << 16 | 2) + 4)], "numeric(10,2)"),
        ("format_type", &[oid(0), Datum::Null], "-"),
        ("format_type", &[oid(99999), Datum::Null], "???"),
        ("format_type", &[Datum::Null, Datum::Null], "NULL"),
        ("pg_get_userbyid", &[oid(10)], "postgres"),
        ("pg_get_userbyid", &[oid(6171)], "pg_database_owner"),
        ("pg_get_userbyid", &[oid(99999)], "unknown (OID=99999)"),
    ]);
}

#[test]
fn visibility_and_comments() {
    check(&[
        ("pg_table_is_visible", &[oid(PARENT.0)], "true"),
        ("pg_table_is_visible", &[oid(VIEW.0)], "false"),
        ("pg_table_is_visible", &[oid(13425)], "false"),
        ("pg_table_is_visible", &[oid(99999)], "NULL"),
        ("pg_type_is_visible", &[oid(23)], "true"),
        ("pg_type_is_visible", &[oid(99999)], "NULL"),
        ("pg_function_is_visible", &[oid(1397)], "true"),
        ("obj_description", &[oid(PARENT.0), text("pg_class")], "hello"),
        ("obj_description", &[oid(PARENT.0), text("pg_proc")], "NULL"),
        ("col_description", &[oid(PARENT.0), Datum::Int4(3)], "col"),
        ("col_description", &[oid(PARENT.0), Datum::Int4(0)], "NULL"),
        ("shobj_description", &[oid(1), text("pg_database")], "default template for new databases"),
        ("current_schema", &[], "public"),
        ("current_schemas", &[Datum::Bool(true)], "pg_catalog,public"),
        ("current_schemas", &[Datum::Bool(false)], "public"),
        ("pg_relation_filenode", &[oid(PARENT.0)], "100"),
        ("pg_relation_is_updatable", &[oid(PARENT.0), Datum::Bool(false)], "28"),
        ("pg_column_is_updatable", &[oid(VIEW.0), Datum::Int2(1), Datum::Bool(false)], "false"),
        ("row_security_active", &[text("parent")], "false"),
        ("pg_index_column_has_property", &[oid(16394), Datum::Int4(1), text("desc")], "true"),
        ("pg_index_column_has_property", &[oid(16394), Datum::Int4(1), text("nulls_first")], "false"),
        ("pg_index_column_has_property", &[oid(16394), Datum::Int4(2), text("ASC")], "true"),
        ("pg_index_column_has_property", &[oid(16394), Datum::Int4(3), text("asc")], "NULL"),
        ("pg_index_column_has_property", &[oid(16394), Datum::Int4(1), text("nope")], "NULL"),
        ("pg_index_has_property", &[oid(16394), text("index_scan")], "true"),
        ("pg_indexam_has_property", &[oid(403), text("can_unique")], "true"),
        ("pg_indexam_has_property", &[oid(2), text("can_unique")], "NULL"),
        ("no_such_function", &[], "0A000: function no_such_function is not supported yet"),
    ]);
}

#[test]
fn privileges_are_the_owners() {
    let user = || text("r1");
    check(&[
        ("has_table_privilege", &[user(), text("parent"), text("select")], "false"),
        ("has_table_privilege", &[user(), text("child"), text("select")], "true"),
        ("has_table_privilege", &[user(), oid(CHILD.0), text("insert")], "true"),
        ("has_table_privilege", &[oid(16401), oid(CHILD.0), text("insert")], "true"),
        ("has_table_privilege", &[text("parent"), text("select, insert with grant option")], "true"),
        ("has_table_privilege", &[oid(99999), text("select")], "NULL"),
        ("has_table_privilege", &[user(), text("pg_class"), text("select")], "true"),
        ("has_table_privilege", &[user(), text("pg_class"), text("insert")], "false"),
        ("has_table_privilege", &[user(), text("pg_authid"), text("select")], "false"),
        (
            "has_table_privilege",
            &[text("nobody"), text("parent"), text("select")],
            "42704: role \"nobody\" does not exist",
        ),
        (
            "has_table_privilege",
            &[text("parent"), text("foo")],
            "22023: unrecognized privilege type: \"foo\"",
        ),
        ("has_column_privilege", &[text("parent"), text("id"), text("select")], "true"),
        ("has_column_privilege", &[user(), text("parent"), Datum::Int2(1), text("select")], "false"),
        (
            "has_column_privilege",
            &[text("parent"), text("nope"), text("select")],
            "42703: column \"nope\" of relation \"parent\" does not exist",
        ),
        ("has_any_column_privilege", &[user(), text("child"), text("select")], "true"),
        ("has_sequence_privilege", &[text("parent_id_seq"), text("usage")], "true"),
        ("has_sequence_privilege", &[text("parent"), text("usage")], "42809: \"parent\" is not a sequence"),
        ("has_schema_privilege", &[user(), text("public"), text("create")], "false"),
        ("has_schema_privilege", &[user(), text("public"), text("usage")], "true"),
        ("has_schema_privilege", &[text("nope"), text("usage")], "3F000: schema \"nope\" does not exist"),
        ("has_database_privilege", &[user(), text("postgres"), text("connect")], "true"),
        ("has_database_privilege", &[user(), text("postgres"), text("create")], "false"),
        (
            "has_database_privilege",
            &[text("nope"), text("connect")],
            "3D000: database \"nope\" does not exist",
        ),
        ("has_function_privilege", &[text("abs(integer)"), text("execute")], "true"),
        ("pg_has_role", &[user(), text("postgres"), text("member")], "false"),
        ("pg_has_role", &[text("postgres"), text("usage")], "true"),
        ("pg_has_role", &[text("postgres"), text("pg_database_owner"), text("usage")], "true"),
        ("acldefault", &[text("d"), oid(10)], "=Tc/postgres,postgres=CTc/postgres"),
        ("acldefault", &[text("c"), oid(10)], ""),
    ]);
}

#[test]
fn functions_are_described() {
    check(&[
        ("pg_get_function_arguments", &[oid(1397)], "integer"),
        ("pg_get_function_result", &[oid(1397)], "integer"),
        ("pg_get_function_result", &[oid(1067)], "SETOF integer"),
        ("pg_get_function_arguments", &[oid(3058)], "VARIADIC \"any\""),
        ("pg_get_functiondef", &[oid(2108)], "42809: \"sum\" is an aggregate function"),
        (
            "pg_get_functiondef",
            &[oid(1397)],
            "CREATE OR REPLACE FUNCTION pg_catalog.abs(integer)\n RETURNS integer\n LANGUAGE internal\n IMMUTABLE \
             PARALLEL SAFE STRICT\nAS $function$abs$function$\n",
        ),
        ("pg_get_functiondef", &[oid(99999)], "NULL"),
    ]);
}
