//! pg_attribute and pg_attrdef.

use types::descriptor::{ColumnDescriptor, Identity, Oid};
use types::{DataType, Datum};

use super::builtin_types::{BuiltinType, builtin_type};
use super::schema::{C_COLLATION, DEFAULT_COLLATION};
use crate::catalog_functions::privileges::acl_items;
use crate::virtual_tables::picture::Picture;
use crate::virtual_tables::relations::{Attribute, Relation, visible_columns};
use crate::virtual_tables::shape::*;
use crate::virtual_tables::{Definition, RelationKind};

table! {
    PgAttribute: 1249 pg_catalog.pg_attribute {
        attrelid: key(OID), attname: NAME, atttypid: OID, attstattarget: INT4, attlen: INT2, attnum: INT2,
        attndims: INT4, attcacheoff: INT4, atttypmod: INT4, attbyval: BOOL, attalign: CHAR,
        attstorage: CHAR, attcompression: CHAR, attnotnull: BOOL, atthasdef: BOOL, atthasmissing: BOOL,
        attidentity: CHAR, attgenerated: CHAR, attisdropped: BOOL, attislocal: BOOL, attinhcount: INT4,
        attcollation: OID, attacl: nullable(ACLITEMS), attoptions: nullable(TEXTS),
        attfdwoptions: nullable(TEXTS), attmissingval: nullable(ANYARRAY),
    }
}

table! {
    PgAttrdef: 2604 pg_catalog.pg_attrdef {
        oid: OID, adrelid: key(OID), adnum: INT2, adbin: NODE_TREE,
    }
}

pub static TABLES: &[Definition] = &[
    PgAttribute::definition(Rows::Catalog(|picture, wanted| values(attributes(picture, wanted)))),
    PgAttrdef::definition(Rows::Catalog(|picture, wanted| values(defaults(picture, wanted)))),
];

fn attributes(picture: &Picture<'_>, wanted: &Wanted<'_>) -> Vec<PgAttribute> {
    let relations = match wanted.oid("attrelid") {
        Some(id) => picture.relation(id).into_iter().collect(),
        None => picture.relations(),
    };
    let rows = |relation: &Relation<'_>| {
        let columns = relation.attributes();
        columns.iter().map(|column| attribute(picture, relation, column)).collect::<Vec<_>>()
    };
    relations.iter().flat_map(rows).collect()
}

/// What pg_attribute repeats of pg_type.
struct Facts {
    by_value: bool,
    align: &'static str,
    storage: &'static str,
    collation: u32,
}

impl Facts {
    fn of(data_type: DataType) -> Facts {
        let base = data_type.base();
        if let Some(row) = builtin_type(base.oid()) {
            let BuiltinType { by_value, align, storage, collation, .. } = *row;
            return Facts { by_value, align, storage, collation };
        }
        match base {
            DataType::Enum(_) => Facts { by_value: true, align: "i", storage: "p", collation: 0 },
            // Row types, arrays over what users made.
            _ => Facts { by_value: false, align: "d", storage: "x", collation: 0 },
        }
    }
}

/// Text of the system's tables is ordered by code point whatever the database says.
fn system_collation(collation: u32) -> u32 {
    if collation == DEFAULT_COLLATION { C_COLLATION } else { collation }
}

fn attribute(picture: &Picture<'_>, relation: &Relation<'_>, column: &Attribute<'_>) -> PgAttribute {
    let of_system_table =
        matches!(relation, Relation::System(definition) if definition.kind == RelationKind::Table);
    let relation = relation.id();
    let data_type = column.column_type.data_type;
    let facts = Facts::of(data_type);
    PgAttribute {
        attrelid: oid(relation),
        attname: text(column.name),
        atttypid: number(data_type.oid()),
        attstattarget: Datum::Int4(-1),
        attlen: Datum::Int2(data_type.pg_length()),
        attnum: int2(usize::from(column.number)),
        attndims: Datum::Int4(i32::from(matches!(data_type, types::DataType::Array(_)))),
        attcacheoff: Datum::Int4(-1),
        atttypmod: Datum::Int4(column.column_type.typmod),
        attbyval: boolean(facts.by_value),
        attalign: text(facts.align),
        attstorage: text(facts.storage),
        attcompression: text(""),
        attnotnull: boolean(column.not_null),
        atthasdef: boolean(column.default().is_some()),
        atthasmissing: boolean(column.column.is_some_and(|column| column.missing_value.is_some())),
        attidentity: text(identity_code(column.identity())),
        attgenerated: text(if column.is_generated() { "s" } else { "" }),
        attisdropped: boolean(false),
        attislocal: boolean(true),
        attinhcount: Datum::Int4(0),
        attcollation: number(match column.column.and_then(|column| column.collation) {
            Some(collation) => collation,
            None if of_system_table => system_collation(facts.collation),
            None => facts.collation,
        }),
        attacl: acl_items(picture, column.acl()),
        attoptions: Datum::Null,
        attfdwoptions: Datum::Null,
        attmissingval: Datum::Null,
    }
}

fn identity_code(identity: Option<Identity>) -> &'static str {
    match identity {
        None => "",
        Some(Identity::Always) => "a",
        Some(Identity::ByDefault) => "d",
    }
}

/// pg_attrdef.oid: defaults have none of their own here. Different for different columns while table oids stay
/// below 2^31 / 1600 (PostgreSQL's bound on columns), and above all other oids.
pub fn default_id(table: Oid, column: &ColumnDescriptor) -> u32 {
    const COLUMNS_MAX: u32 = 1600;
    1 << 31 | table.0.wrapping_mul(COLUMNS_MAX).wrapping_add(u32::from(column.id.0))
}

fn defaults(picture: &Picture<'_>, wanted: &Wanted<'_>) -> Vec<PgAttrdef> {
    let table = wanted.oid("adrelid");
    let tables = picture.snapshot.tables(picture.database);
    let tables = tables.filter(|other| table.is_none_or(|id| other.id == id));
    let row = |id: Oid, column: &ColumnDescriptor| {
        let expression = column.generated.as_deref().or(column.default.as_deref())?;
        Some(PgAttrdef {
            oid: number(default_id(id, column)),
            adrelid: oid(id),
            adnum: int2(usize::from(column.id.0)),
            adbin: text(expression),
        })
    };
    tables.flat_map(|table| visible_columns(table).filter_map(|column| row(table.id, column))).collect()
}
