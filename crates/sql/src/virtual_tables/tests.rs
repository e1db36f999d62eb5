//! Shapes compared with PostgreSQL 15's own, and the rows of a small catalog.

use std::collections::{BTreeMap, BTreeSet};

use types::descriptor::Oid;
use types::{DataType, Datum, Physical};

use super::shape::{Rows, Wanted};
use super::testing::{CHILD, PARENT, VIEW, World, world};
use super::{Definition, RelationKind, definitions, find};

/// One line of the list taken from PostgreSQL 15: `schema|table|oid|r or v|column type!, column type ...`; `!` is NOT NULL, domains
/// are shown as what they are based on.
const POSTGRESQL_15: &str = include_str!("testdata/postgresql_15_columns.txt");

/// Types that PostgreSQL has and we do not, and what stands for them; their columns are always NULL or their tables empty.
const SUBSTITUTES: [(&str, &str); 4] = [
    ("pg_ndistinct", "bytea"),
    ("pg_dependencies", "bytea"),
    ("pg_mcv_list", "bytea"),
    ("_pg_statistic", "_text"),
];

fn line_of(definition: &Definition) -> String {
    let kind = match definition.kind {
        RelationKind::Table => "r",
        RelationKind::View => "v",
    };
    let column = |column: &super::shape::Column| {
        let data_type = column.data_type.pg_name().unwrap_or("?");
        format!("{} {data_type}{}", column.name, if column.not_null { "!" } else { "" })
    };
    let columns: Vec<String> = definition.columns.iter().map(column).collect();
    format!("{}|{}|{}|{kind}|{}", definition.schema, definition.name, definition.oid, columns.join(", "))
}

#[test]
fn columns_are_postgresqls() {
    let ours: BTreeMap<&str, &Definition> = definitions()
        .filter(|definition| definition.schema != "meridian")
        .map(|definition| (definition.name, definition))
        .collect();
    let mut expected = 0;
    for line in POSTGRESQL_15.lines() {
        let name = line.split('|').nth(1).expect("a table name");
        let definition = ours.get(name).unwrap_or_else(|| panic!("no table {name}"));
        let mut line = line.to_string();
        for (theirs, substitute) in SUBSTITUTES {
            line = line.replace(&format!(" {theirs}"), &format!(" {substitute}"));
        }
        assert_eq!(line_of(definition), line);
        expected += 1;
    }
    assert_eq!(ours.len(), expected);
}

#[test]
fn oids_and_names_are_unique() {
    let oids: BTreeSet<u32> = definitions().map(|definition| definition.oid).collect();
    let names: BTreeSet<_> = definitions().map(|definition| (definition.schema, definition.name)).collect();
    assert_eq!(oids.len(), definitions().count());
    assert_eq!(names.len(), definitions().count());
    assert!(oids.iter().all(|oid| *oid < types::descriptor::FIRST_USER_OID));
}

fn rows_where(world: &World, table: &str, equalities: &[(u32, Datum)]) -> Vec<Vec<Datum>> {
    let (schema, name) = table.split_once('.').unwrap_or(("pg_catalog", table));
    let id = find(schema, name).unwrap_or_else(|| panic!("no table {table}")).id;
    let definition = super::definition_by_id(id).expect("registered");
    match definition.rows {
        Rows::Catalog(make) => make(&world.picture(), &Wanted { columns: definition.columns, equalities }),
        Rows::None => Vec::new(),
        _ => panic!("{table} needs a session"),
    }
}

fn rows(world: &World, table: &str) -> Vec<Vec<Datum>> {
    rows_where(world, table, &[])
}

fn fits(datum: &Datum, data_type: DataType) -> bool {
    match (datum, data_type.physical()) {
        (Datum::Null, _) => true,
        (Datum::Bool(_), Physical::Bool)
        | (Datum::Int2(_), Physical::Int2)
        | (Datum::Int4(_), Physical::Int4)
        | (Datum::Int8(_), Physical::Int8)
        | (Datum::Oid(_), Physical::Oid)
        | (Datum::Float4(_), Physical::Float4)
        | (Datum::Float8(_), Physical::Float8)
        | (Datum::Text(_), Physical::Text) => true,
        (Datum::Array(array), _) => match data_type {
            DataType::AnyArray => true,
            other => other.element().is_some_and(|element| {
                element.oid() == array.element_oid && array.elements.iter().all(|datum| fits(datum, element))
            }),
        },
        (Datum::Text(_), Physical::Datum) => data_type == DataType::Aclitem,
        _ => false,
    }
}

#[test]
fn rows_fit_their_columns() {
    let world = world();
    for definition in definitions() {
        let Rows::Catalog(make) = definition.rows else { continue };
        for row in make(&world.picture(), &Wanted { columns: definition.columns, equalities: &[] }) {
            assert_eq!(row.len(), definition.columns.len(), "{}", definition.name);
            for (datum, column) in row.iter().zip(definition.columns) {
                let name = format!("{}.{}", definition.name, column.name);
                assert!(!column.not_null || !datum.is_null(), "{name} is NULL in {row:?}");
                assert!(fits(datum, column.data_type), "{name} is {datum:?}");
            }
        }
    }
}

/// The named columns of the rows in which the first of them has a value.
fn select(world: &World, table: &str, columns: &[&str], key: &Datum) -> Vec<String> {
    let (schema, name) = table.split_once('.').unwrap_or(("pg_catalog", table));
    let table_columns = &find(schema, name).expect("exists").columns;
    let positions: Vec<usize> = columns
        .iter()
        .map(|name| table_columns.iter().position(|column| *column.name == **name).expect("a column"))
        .collect();
    let show = |datum: &Datum| match datum {
        Datum::Null => "-".into(),
        Datum::Bool(value) => value.to_string(),
        Datum::Int2(value) => value.to_string(),
        Datum::Int4(value) => value.to_string(),
        Datum::Int8(value) => value.to_string(),
        Datum::Oid(value) => value.to_string(),
        Datum::Float4(value) => value.to_string(),
        Datum::Text(value) => value.to_string(),
        Datum::Array(array) => {
            let elements = array.elements.iter().map(|element| match element {
                Datum::Int2(value) => value.to_string(),
                Datum::Oid(value) => value.to_string(),
                other => format!("{other:?}"),
            });
            elements.collect::<Vec<_>>().join(" ")
        }
        other => format!("{other:?}"),
    };
    let found = rows(world, table).into_iter().filter(|row| row[positions[0]] == *key);
    found
        .map(|row| positions[1..].iter().map(|position| show(&row[*position])).collect::<Vec<_>>().join("|"))
        .collect()
}

fn of(id: Oid) -> Datum {
    Datum::Oid(id.0)
}

#[test]
fn relations_are_listed_with_the_systems_own() {
    let world = world();
    let columns =
        ["oid", "relname", "relnamespace", "relkind", "relam", "relnatts", "relchecks", "relhasindex"];
    assert_eq!(select(&world, "pg_class", &columns, &of(PARENT)), ["parent|2200|r|2|5|1|true"]);
    assert_eq!(select(&world, "pg_class", &columns, &of(CHILD)), ["child|2200|r|2|4|0|true"]);
    assert_eq!(select(&world, "pg_class", &columns, &of(VIEW)), ["My view|16400|v|0|1|0|false"]);
    assert_eq!(select(&world, "pg_class", &columns, &Datum::Oid(16394)), ["child_b|2200|i|403|2|0|false"]);
    assert_eq!(select(&world, "pg_class", &columns, &Datum::Oid(1259)), ["pg_class|11|r|2|33|0|false"]);
    // The index that a table without a key is clustered on is nobody's business.
    assert_eq!(select(&world, "pg_class", &columns, &Datum::Oid(16391)), [""; 0]);
}

#[test]
fn attributes_leave_hidden_columns_out() {
    let world = world();
    let columns =
        ["attrelid", "attname", "attnum", "atttypid", "atttypmod", "attnotnull", "atthasdef", "attidentity"];
    assert_eq!(
        select(&world, "pg_attribute", &columns, &of(PARENT)),
        [
            "id|1|23|-1|true|true|",
            "name|2|25|-1|true|false|",
            "v|3|1043|14|false|true|",
            "n|4|1700|655366|false|false|",
            "g|5|23|-1|true|false|a",
        ]
    );
    assert_eq!(
        select(&world, "pg_attribute", &columns, &of(CHILD)),
        ["a|1|23|-1|false|false|", "B b|2|1184|-1|false|true|", "c|4|1007|-1|false|false|"]
    );
    assert_eq!(select(&world, "pg_attribute", &columns[..3], &Datum::Oid(16394)), ["B b|1", "a|2"]);
}

#[test]
fn keys_narrow_what_is_made_up() {
    let world = world();
    let made = rows_where(&world, "pg_attribute", &[(0, of(PARENT))]);
    assert_eq!(made.len(), 5);
    assert_eq!(rows_where(&world, "pg_class", &[(0, of(PARENT))]).len(), 1);
    assert_eq!(rows_where(&world, "pg_class", &[(1, Datum::text("child"))]).len(), 1);
    assert_eq!(rows_where(&world, "pg_index", &[(1, of(CHILD))]).len(), 2);
    assert_eq!(rows_where(&world, "pg_type", &[(0, Datum::Oid(23))]).len(), 1);
    assert_eq!(rows_where(&world, "pg_class", &[(0, Datum::Oid(99999))]).len(), 0);
}

#[test]
fn indexes_and_constraints_are_listed() {
    let world = world();
    let columns = [
        "indexrelid",
        "indrelid",
        "indnatts",
        "indnkeyatts",
        "indisunique",
        "indisprimary",
        "indkey",
        "indclass",
        "indoption",
    ];
    assert_eq!(select(&world, "pg_index", &columns, &Datum::Oid(16385)), ["16384|1|1|true|true|1|1978|0"]);
    assert_eq!(
        select(&world, "pg_index", &columns, &Datum::Oid(16394)),
        ["16390|2|2|false|false|2 1|3127 1978|1 0"]
    );
    assert_eq!(
        select(&world, "pg_index", &columns, &Datum::Oid(16395)),
        ["16390|2|1|false|false|1 2|1978|0"]
    );
    let columns = [
        "oid",
        "conname",
        "contype",
        "conrelid",
        "conindid",
        "confrelid",
        "conkey",
        "confkey",
        "confdeltype",
        "conpfeqop",
    ];
    assert_eq!(
        select(&world, "pg_constraint", &columns, &Datum::Oid(16386)),
        ["parent_pkey|p|16384|16385|0|1|-| |-"]
    );
    assert_eq!(
        select(&world, "pg_constraint", &columns, &Datum::Oid(16389)),
        ["parent_n_check|c|16384|0|0|4|-| |-"]
    );
    assert_eq!(
        select(&world, "pg_constraint", &columns, &Datum::Oid(16393)),
        ["child_a_fkey|f|16390|16385|16384|1|1|c|96"]
    );
}

#[test]
fn a_serial_column_leads_to_its_sequence() {
    let world = world();
    let depend = |object: u32| {
        select(
            &world,
            "pg_depend",
            &["objid", "classid", "refclassid", "refobjid", "refobjsubid", "deptype"],
            &Datum::Oid(object),
        )
    };
    assert_eq!(depend(super::testing::SEQUENCE.0), ["1259|2615|2200|0|n", "1259|1259|16384|1|a"]);
    assert_eq!(depend(super::testing::IDENTITY_SEQUENCE.0), ["1259|2615|2200|0|n", "1259|1259|16384|5|i"]);
    assert_eq!(depend(16385), ["1259|2606|16386|0|i"]);
    assert_eq!(depend(16394), ["1259|1259|16390|2|a", "1259|1259|16390|1|a"]);
}

#[test]
fn everything_that_is_named_is_listed() {
    let world = world();
    let ids = |table: &str| -> BTreeSet<u32> {
        let first = |row: Vec<Datum>| match row.first() {
            Some(Datum::Oid(id)) => *id,
            other => panic!("{table} begins with {other:?}"),
        };
        let made = rows(&world, table);
        let ids: BTreeSet<u32> = made.iter().cloned().map(first).collect();
        assert_eq!(ids.len(), made.len(), "{table} has an oid twice");
        ids
    };
    let (types, functions, operators) = (ids("pg_type"), ids("pg_proc"), ids("pg_operator"));
    let references = [
        ("pg_type", "typelem", &types),
        ("pg_type", "typarray", &types),
        ("pg_type", "typinput", &functions),
        ("pg_type", "typoutput", &functions),
        ("pg_attribute", "atttypid", &types),
        ("pg_operator", "oprleft", &types),
        ("pg_operator", "oprresult", &types),
        ("pg_operator", "oprcode", &functions),
        ("pg_operator", "oprcom", &operators),
        ("pg_operator", "oprnegate", &operators),
        ("pg_cast", "castsource", &types),
        ("pg_cast", "castfunc", &functions),
        ("pg_amop", "amopopr", &operators),
        ("pg_amop", "amoplefttype", &types),
        ("pg_amproc", "amproc", &functions),
        ("pg_opclass", "opcfamily", &ids("pg_opfamily")),
        ("pg_opclass", "opcintype", &types),
        ("pg_proc", "prorettype", &types),
    ];
    for (table, column, known) in references {
        let columns = &find("pg_catalog", table).expect("exists").columns;
        let position = columns.iter().position(|other| *other.name == *column).expect("a column");
        for row in rows(&world, table) {
            let Datum::Oid(id) = row[position] else { panic!("{table}.{column} is {:?}", row[position]) };
            assert!(id == 0 || known.contains(&id), "{table}.{column} is {id} in {:?}", &row[..2]);
        }
    }
}

#[test]
fn information_schema_describes_columns() {
    let world = world();
    let columns = [
        "table_name",
        "column_name",
        "ordinal_position",
        "column_default",
        "is_nullable",
        "data_type",
        "character_maximum_length",
        "numeric_precision",
        "numeric_scale",
        "datetime_precision",
        "udt_name",
        "is_identity",
    ];
    assert_eq!(
        select(&world, "information_schema.columns", &columns, &Datum::text("parent")),
        [
            "id|1|nextval('parent_id_seq'::regclass)|NO|integer|-|32|0|-|int4|NO",
            "name|2|-|NO|text|-|-|-|-|text|NO",
            "v|3|'x'::character varying|YES|character varying|10|-|-|-|varchar|NO",
            "n|4|-|YES|numeric|-|10|2|-|numeric|NO",
            "g|5|-|NO|integer|-|32|0|-|int4|YES",
        ]
    );
    assert_eq!(
        select(&world, "information_schema.columns", &columns, &Datum::text("child")),
        [
            "a|1|-|YES|integer|-|32|0|-|int4|NO",
            "B b|2|now()|YES|timestamp with time zone|-|-|-|6|timestamptz|NO",
            "c|4|-|YES|ARRAY|-|-|-|-|_int4|NO",
        ]
    );
    let keys =
        ["constraint_name", "table_name", "column_name", "ordinal_position", "position_in_unique_constraint"];
    assert_eq!(
        select(&world, "information_schema.key_column_usage", &keys, &Datum::text("child_a_fkey")),
        ["child|a|1|1"]
    );
    let rules = ["constraint_name", "unique_constraint_name", "match_option", "update_rule", "delete_rule"];
    assert_eq!(
        select(&world, "information_schema.referential_constraints", &rules, &Datum::text("child_a_fkey")),
        ["parent_pkey|NONE|NO ACTION|CASCADE"]
    );
    let checks = ["constraint_name", "check_clause"];
    assert_eq!(
        select(&world, "information_schema.check_constraints", &checks, &Datum::text("parent_n_check")),
        ["((n > (0)::numeric))"]
    );
    // The sequence of an identity column is part of the column.
    assert_eq!(rows(&world, "information_schema.sequences").len(), 1);
}

#[test]
fn others_see_their_own_alone_and_no_passwords() {
    let world = world();
    let stranger = world.seen_by("r1");
    let made = |table: &str| {
        let (schema, name) = table.split_once('.').unwrap_or(("pg_catalog", table));
        let definition = super::definition_by_id(find(schema, name).expect("exists").id).expect("registered");
        let Rows::Catalog(make) = definition.rows else { panic!("{table}") };
        make(&stranger, &Wanted { columns: definition.columns, equalities: &[] })
    };
    let tables = made("information_schema.tables");
    let shown = |name: &str| tables.iter().any(|row| row[2] == Datum::text(name));
    assert!(shown("child") && shown("pg_class") && !shown("parent"));
    let verifier =
        |rows: &[Vec<Datum>]| rows.iter().any(|row| row.contains(&Datum::text("SCRAM-SHA-256$4096:x$y:z")));
    assert!(!verifier(&made("pg_authid")) && !verifier(&made("pg_shadow")));
    assert!(verifier(&rows(&world, "pg_authid")) && verifier(&rows(&world, "pg_shadow")));
}
