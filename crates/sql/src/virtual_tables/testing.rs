//! A small catalog for tests.

use std::sync::Arc;

use types::descriptor::*;
use types::{ColumnType, DataType};

use super::picture::Picture;
use crate::catalog::{CatalogSnapshot, Object, RoleDescriptor, store};
use crate::statistics::StatisticsCache;

pub const PARENT: Oid = Oid(16384);
pub const CHILD: Oid = Oid(16390);
pub const VIEW: Oid = Oid(16396);
pub const SEQUENCE: Oid = Oid(16383 + 30);
pub const IDENTITY_SEQUENCE: Oid = Oid(16414);

pub struct World {
    pub snapshot: CatalogSnapshot,
    pub statistics: StatisticsCache,
    pub search_path: Vec<String>,
    pub format: types::FormatContext,
}

impl World {
    pub fn picture(&self) -> Picture<'_> {
        self.seen_by("postgres")
    }

    pub fn seen_by<'a>(&'a self, user: &'a str) -> Picture<'a> {
        Picture {
            snapshot: &self.snapshot,
            statistics: &self.statistics,
            database: Oid(5),
            user,
            search_path: &self.search_path,
            temporary_schema: "pg_temp_1_1",
            format: &self.format,
        }
    }
}

fn column(id: u16, name: &str, column_type: impl Into<ColumnType>) -> ColumnDescriptor {
    ColumnDescriptor::bare(ColumnId(id), name, column_type)
}

fn index(
    id: u32,
    name: &str,
    columns: &[(u16, bool, bool)],
    unique: bool,
    constraint: Option<u32>,
) -> IndexDescriptor {
    let column = |(id, descending, nulls_first): &(u16, bool, bool)| IndexColumn {
        column: ColumnId(*id),
        descending: *descending,
        nulls_first: *nulls_first,
        ..IndexColumn::ascending(ColumnId(*id))
    };
    let columns = columns.iter().map(column).collect();
    let constraint = constraint.map(Oid);
    IndexDescriptor { id: Oid(id), unique, constraint, ..IndexDescriptor::bare(name, id, columns) }
}

/// create table parent(id serial primary key, name text not null unique, v varchar(10) default 'x',
///     n numeric(10,2) check (n > 0), g int generated always as identity)
fn parent() -> TableDescriptor {
    let mut columns = vec![
        column(1, "id", DataType::Int4),
        column(2, "name", DataType::Text),
        column(3, "v", ColumnType::new(DataType::Varchar, 14)),
        column(4, "n", ColumnType::new(DataType::Numeric, (10 << 16 | 2) + 4)),
        column(5, "g", DataType::Int4),
    ];
    for position in [0, 1, 4] {
        columns[position].not_null = true;
    }
    columns[0].default = Some("nextval('public.parent_id_seq'::regclass)".into());
    columns[0].owned_sequence = Some(SEQUENCE);
    columns[2].default = Some("'x'".into());
    columns[2].comment = Some("col".into());
    columns[4].identity = Some(Identity::Always);
    columns[4].owned_sequence = Some(IDENTITY_SEQUENCE);
    let check = CheckConstraint {
        id: Oid(16389),
        name: "parent_n_check".into(),
        expression: "n > 0".into(),
        columns: vec![ColumnId(4)],
        not_valid: false,
    };
    let primary = index(16385, "parent_pkey", &[(1, false, false)], true, Some(16386));
    TableDescriptor {
        id: PARENT,
        database: Oid(5),
        schema: Oid(2200),
        name: "parent".into(),
        owner: "postgres".into(),
        columns,
        next_column_id: 6,
        indexes: vec![index(16387, "parent_name_key", &[(2, false, false)], true, Some(16388))],
        next_storage_index: 3,
        checks: vec![check],
        referenced_by: vec![(CHILD, Oid(16393))],
        comment: Some("hello".into()),
        ..TableDescriptor::bare(100, primary)
    }
}

/// create table child(a int references parent(id) on delete cascade, "B b" timestamptz default now(), c int[]) without a key,
/// with indexes (b desc nulls last, a) and (a) include (b) where a > 3 and b is not null.
fn child() -> TableDescriptor {
    let mut columns = vec![
        column(1, "a", DataType::Int4),
        column(2, "B b", DataType::TimestampTz),
        column(3, "rowid", DataType::Int8),
        column(4, "c", DataType::array_of(DataType::Int4)),
    ];
    columns[1].default = Some("now()".into());
    columns[2].hidden = true;
    columns[2].not_null = true;
    let mut partial = index(16395, "pi", &[(1, false, false)], false, None);
    partial.included = vec![ColumnId(2)];
    partial.predicate = Some("a > 3 AND a IS NOT NULL".into());
    let foreign_key = ForeignKey {
        id: Oid(16393),
        name: "child_a_fkey".into(),
        columns: vec![ColumnId(1)],
        referenced_table: PARENT,
        referenced_columns: vec![ColumnId(1)],
        referenced_index: Oid(16385),
        on_delete: ForeignKeyAction::Cascade,
        on_update: ForeignKeyAction::NoAction,
        match_full: false,
        deferrable: true,
        initially_deferred: true,
        not_valid: true,
    };
    TableDescriptor {
        id: CHILD,
        database: Oid(5),
        schema: Oid(2200),
        name: "child".into(),
        owner: "r1".into(),
        columns,
        next_column_id: 5,
        indexes: vec![index(16394, "child_b", &[(2, true, false), (1, false, false)], false, None), partial],
        next_storage_index: 4,
        foreign_keys: vec![foreign_key],
        ..TableDescriptor::bare(101, index(16391, "child_rowid", &[(3, false, false)], true, None))
    }
}

fn sequence(id: Oid, name: &str, column: u16) -> SequenceDescriptor {
    SequenceDescriptor {
        id,
        database: Oid(5),
        schema: Oid(2200),
        name: name.into(),
        version: DescriptorVersion(1),
        owner: "postgres".into(),
        type_oid: DataType::Int4.oid(),
        start: 1,
        increment: 1,
        minimum: 1,
        maximum: i64::from(i32::MAX),
        cache: 1,
        cycle: false,
        owned_by: Some((PARENT, ColumnId(column))),
        storage_id: 110,
        comment: None,
        acl: Default::default(),
    }
}

/// create view "My view" as select a from child where a > 3, in schema s
fn view() -> ViewDescriptor {
    ViewDescriptor {
        id: VIEW,
        database: Oid(5),
        schema: Oid(16400),
        name: "My view".into(),
        version: DescriptorVersion(1),
        owner: "postgres".into(),
        query: "SELECT a FROM child WHERE a > 3".into(),
        columns: vec![ViewColumn {
            name: "a".into(),
            column_type: DataType::Int4.into(),
            acl: Default::default(),
            comment: None,
        }],
        search_path: vec!["public".into()],
        depends_on: vec![CHILD],
        comment: None,
        check_option: None,
        security_invoker: false,
        security_barrier: false,
        acl: Default::default(),
    }
}

pub fn world() -> World {
    let mut snapshot = CatalogSnapshot::default();
    store::initial_objects().into_iter().for_each(|object| snapshot.insert(object));
    let role = RoleDescriptor {
        id: Oid(16401),
        name: "r1".into(),
        superuser: false,
        login: true,
        create_database: false,
        create_role: false,
        inherit: true,
        verifier: Some("SCRAM-SHA-256$4096:x$y:z".into()),
        connection_limit: -1,
        member_of: Vec::new(),
        admin_of: Vec::new(),
        comment: None,
        valid_until: None,
        settings: Vec::new(),
    };
    let schema = SchemaDescriptor {
        id: Oid(16400),
        database: Oid(5),
        name: "s".into(),
        version: DescriptorVersion(1),
        owner: "postgres".into(),
        temporary_on: None,
        acl: Default::default(),
        default_acls: Vec::new(),
        comment: None,
    };
    snapshot.insert(Object::Role(Arc::new(role)));
    snapshot.insert(Object::Schema(Arc::new(schema)));
    snapshot.insert(Object::Table(Arc::new(parent())));
    snapshot.insert(Object::Table(Arc::new(child())));
    snapshot.insert(Object::Sequence(Arc::new(sequence(SEQUENCE, "parent_id_seq", 1))));
    snapshot.insert(Object::Sequence(Arc::new(sequence(IDENTITY_SEQUENCE, "parent_g_seq", 5))));
    snapshot.insert(Object::View(Arc::new(view())));
    World {
        snapshot,
        statistics: StatisticsCache::default(),
        search_path: vec!["postgres".into(), "public".into()],
        format: types::FormatContext::default(),
    }
}
