//! pg_attribute and pg_attrdef.

use types::Datum;
use types::descriptor::{ColumnDescriptor, Identity, Oid};

use super::builtin_types::{BuiltinType, builtin_type};
use crate::catalog_functions::privileges::acl_items;
use crate::virtual_tables::Definition;
use crate::virtual_tables::picture::Picture;
use crate::virtual_tables::relations::{Attribute, Relation, visible_columns};
use crate::virtual_tables::shape::*;

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
        let id = relation.id();
        relation
            .attributes()
            .into_iter()
            .map(move |column| attribute(picture, id, &column))
            .collect::<Vec<_>>()
    };
    relations.iter().flat_map(rows).collect()
}

fn attribute(picture: &Picture<'_>, relation: Oid, column: &Attribute<'_>) -> PgAttribute {
    let data_type = column.column_type.data_type;
    let builtin = builtin_type(data_type.oid());
    let fact = |of: fn(&BuiltinType) -> &'static str| text(builtin.map_or("", of));
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
        attbyval: boolean(builtin.is_some_and(|row| row.by_value)),
        attalign: fact(|row| row.align),
        attstorage: fact(|row| row.storage),
        attcompression: text(""),
        attnotnull: boolean(column.not_null),
        atthasdef: boolean(column.default().is_some()),
        atthasmissing: boolean(column.column.is_some_and(|column| column.missing_value.is_some())),
        attidentity: text(identity_code(column.identity())),
        attgenerated: text(if column.is_generated() { "s" } else { "" }),
        attisdropped: boolean(false),
        attislocal: boolean(true),
        attinhcount: Datum::Int4(0),
        attcollation: number(builtin.map_or(0, |row| row.collation)),
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
