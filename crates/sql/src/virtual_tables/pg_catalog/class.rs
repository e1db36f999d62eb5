//! pg_class, pg_rewrite and pg_sequence.

use types::Datum;
use types::descriptor::Oid;

use crate::catalog_functions::privileges::acl_items;
use crate::virtual_tables::picture::Picture;
use crate::virtual_tables::relations::Relation;
use crate::virtual_tables::shape::*;
use crate::virtual_tables::{Definition, RelationKind};

table! {
    PgClass: 1259 pg_catalog.pg_class {
        oid: key(OID), relname: key(NAME), relnamespace: OID, reltype: OID, reloftype: OID, relowner: OID,
        relam: OID, relfilenode: OID, reltablespace: OID, relpages: INT4, reltuples: FLOAT4,
        relallvisible: INT4, reltoastrelid: OID, relhasindex: BOOL, relisshared: BOOL, relpersistence: CHAR,
        relkind: CHAR, relnatts: INT2, relchecks: INT2, relhasrules: BOOL, relhastriggers: BOOL,
        relhassubclass: BOOL, relrowsecurity: BOOL, relforcerowsecurity: BOOL, relispopulated: BOOL,
        relreplident: CHAR, relispartition: BOOL, relrewrite: OID, relfrozenxid: XID, relminmxid: XID,
        relacl: nullable(ACLITEMS), reloptions: nullable(TEXTS), relpartbound: nullable(NODE_TREE),
    }
}

table! {
    PgRewrite: 2618 pg_catalog.pg_rewrite {
        oid: OID, rulename: NAME, ev_class: OID, ev_type: CHAR, ev_enabled: CHAR, is_instead: BOOL,
        ev_qual: NODE_TREE, ev_action: NODE_TREE,
    }
}

table! {
    PgSequence: 2224 pg_catalog.pg_sequence {
        seqrelid: OID, seqtypid: OID, seqstart: INT8, seqincrement: INT8, seqmax: INT8, seqmin: INT8,
        seqcache: INT8, seqcycle: BOOL,
    }
}

pub static TABLES: &[Definition] = &[
    PgClass::definition(Rows::Catalog(|picture, wanted| values(classes(picture, wanted)))),
    PgRewrite::definition(Rows::Catalog(|picture, _| values(rewrites(picture)))),
    PgSequence::definition(Rows::Catalog(|picture, _| values(sequences(picture)))),
];

/// pg_am.oid of what tables and indexes are stored as.
pub const HEAP: u32 = 2;
pub const BTREE: u32 = 403;

/// Bytes of a page, in which PostgreSQL counts sizes.
pub const PAGE_BYTES: f64 = 8192.0;

/// What the statistics say of a table: rows (-1: nothing is known) and bytes.
pub fn estimated_size(picture: &Picture<'_>, table: Oid) -> (f64, f64) {
    let Some(statistics) = picture.statistics.get(table) else { return (-1.0, 0.0) };
    let width: f64 = statistics.columns.values().map(|column| column.average_width).sum();
    (statistics.row_count, statistics.row_count * width)
}

fn classes(picture: &Picture<'_>, wanted: &Wanted<'_>) -> Vec<PgClass> {
    if let Some(id) = wanted.oid("oid") {
        return picture.relation(id).map(|relation| class(picture, &relation)).into_iter().collect();
    }
    let name = wanted.text("relname");
    let relations = picture.relations().into_iter();
    relations
        .filter(|relation| name.is_none_or(|name| relation.name() == name))
        .map(|relation| class(picture, &relation))
        .collect()
}

fn class(picture: &Picture<'_>, relation: &Relation<'_>) -> PgClass {
    let id = relation.id();
    let (access_method, file) = match relation {
        Relation::Table(table) => (HEAP, table.storage_id),
        Relation::Index(index) => (BTREE, index.index.id.0),
        Relation::Sequence(sequence) => (0, sequence.storage_id),
        Relation::View(_) | Relation::RowType(_) => (0, 0),
        Relation::System(definition) if definition.kind == RelationKind::Table => (HEAP, 0),
        Relation::System(_) => (0, 0),
    };
    let (rows, bytes) = match relation {
        Relation::Table(table) => estimated_size(picture, table.id),
        Relation::Sequence(_) => (1.0, PAGE_BYTES),
        _ => (-1.0, 0.0),
    };
    let table = match relation {
        Relation::Table(table) => Some(table),
        _ => None,
    };
    let attributes = match relation {
        // Numbers of dropped and hidden columns count.
        Relation::Table(table) => usize::from(table.next_column_id.saturating_sub(1)),
        other => other.attributes().len(),
    };
    PgClass {
        oid: oid(id),
        relname: text(relation.name()),
        relnamespace: oid(relation.schema()),
        // Under the same oid as the relation itself.
        reltype: match relation {
            Relation::Table(_) | Relation::View(_) | Relation::RowType(_) => oid(id),
            Relation::Index(_) | Relation::Sequence(_) | Relation::System(_) => number(0),
        },
        reloftype: number(0),
        relowner: oid(relation.owner(picture)),
        relam: number(access_method),
        relfilenode: number(file),
        reltablespace: number(0),
        relpages: Datum::Int4((bytes / PAGE_BYTES).ceil() as i32),
        reltuples: Datum::Float4(rows as f32),
        relallvisible: Datum::Int4(0),
        reltoastrelid: number(0),
        relhasindex: boolean(
            table.is_some_and(|table| table.primary.constraint.is_some() || !table.indexes.is_empty()),
        ),
        relisshared: boolean(is_shared(relation)),
        relpersistence: text(if picture.snapshot.is_temporary(relation.schema()) { "t" } else { "p" }),
        relkind: text(relation.kind()),
        relnatts: int2(attributes),
        relchecks: int2(table.map_or(0, |table| table.checks.len())),
        relhasrules: boolean(relation.kind() == "v"),
        // PostgreSQL keeps foreign keys by triggers; psql looks for them only where there are some.
        relhastriggers: boolean(
            table.is_some_and(|table| !table.foreign_keys.is_empty() || !table.referenced_by.is_empty()),
        ),
        relhassubclass: boolean(false),
        relrowsecurity: boolean(false),
        relforcerowsecurity: boolean(false),
        relispopulated: boolean(true),
        relreplident: text(if table.is_some() { "d" } else { "n" }),
        relispartition: boolean(false),
        relrewrite: number(0),
        relfrozenxid: number(0),
        relminmxid: number(0),
        relacl: relation_acl(picture, relation),
        reloptions: relation_options(relation),
        relpartbound: Datum::Null,
    }
}

fn relation_options(relation: &Relation<'_>) -> Datum {
    let options = match relation {
        Relation::Table(table) => &table.options,
        Relation::Index(index) => &index.index.options,
        _ => return Datum::Null,
    };
    if options.is_empty() {
        return Datum::Null;
    }
    let each: Vec<String> = options.iter().map(|(name, value)| format!("{name}={value}")).collect();
    texts(each.iter().map(String::as_str))
}

fn relation_acl(picture: &Picture<'_>, relation: &Relation<'_>) -> Datum {
    match relation {
        Relation::Table(table) => acl_items(picture, &table.acl),
        Relation::View(view) => acl_items(picture, &view.acl),
        Relation::Sequence(sequence) => acl_items(picture, &sequence.acl),
        Relation::Index(_) | Relation::RowType(_) | Relation::System(_) => Datum::Null,
    }
}

/// Tables that are the same in all databases.
fn is_shared(relation: &Relation<'_>) -> bool {
    const SHARED: &[&str] = &[
        "pg_auth_members",
        "pg_authid",
        "pg_database",
        "pg_db_role_setting",
        "pg_parameter_acl",
        "pg_replication_origin",
        "pg_shdepend",
        "pg_shdescription",
        "pg_shseclabel",
        "pg_subscription",
        "pg_tablespace",
    ];
    matches!(relation, Relation::System(definition) if SHARED.contains(&definition.name))
}

/// pg_rewrite.oid of a view's rule. Rules have no oid of their own here: a view has exactly one.
pub fn rule_id(view: Oid) -> u32 {
    view.0
}

fn rewrites(picture: &Picture<'_>) -> Vec<PgRewrite> {
    let rule = |view: &std::sync::Arc<types::descriptor::ViewDescriptor>| PgRewrite {
        oid: number(rule_id(view.id)),
        rulename: text("_RETURN"),
        ev_class: oid(view.id),
        ev_type: text("1"),
        ev_enabled: text("O"),
        is_instead: boolean(true),
        ev_qual: text("<>"),
        ev_action: text(&view.query),
    };
    picture.views().map(rule).collect()
}

fn sequences(picture: &Picture<'_>) -> Vec<PgSequence> {
    let row = |relation: Relation<'_>| match relation {
        Relation::Sequence(sequence) => Some(PgSequence {
            seqrelid: oid(sequence.id),
            seqtypid: number(sequence.type_oid),
            seqstart: Datum::Int8(sequence.start),
            seqincrement: Datum::Int8(sequence.increment),
            seqmax: Datum::Int8(sequence.maximum),
            seqmin: Datum::Int8(sequence.minimum),
            seqcache: Datum::Int8(sequence.cache),
            seqcycle: boolean(sequence.cycle),
        }),
        _ => None,
    };
    picture.user_relations().into_iter().filter_map(row).collect()
}
