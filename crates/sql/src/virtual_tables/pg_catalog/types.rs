//! pg_type: the built-in types. Tables have no row types of their own here.

use types::Datum;

use super::builtin_types::{BUILTIN_TYPES, BuiltinType};
use crate::virtual_tables::Definition;
use crate::virtual_tables::picture::BOOTSTRAP_ROLE;
use crate::virtual_tables::shape::*;

table! {
    PgType: 1247 pg_catalog.pg_type {
        oid: key(OID), typname: NAME, typnamespace: OID, typowner: OID, typlen: INT2, typbyval: BOOL,
        typtype: CHAR, typcategory: CHAR, typispreferred: BOOL, typisdefined: BOOL, typdelim: CHAR,
        typrelid: OID, typsubscript: REGPROC, typelem: OID, typarray: OID, typinput: REGPROC,
        typoutput: REGPROC, typreceive: REGPROC, typsend: REGPROC, typmodin: REGPROC, typmodout: REGPROC,
        typanalyze: REGPROC, typalign: CHAR, typstorage: CHAR, typnotnull: BOOL, typbasetype: OID,
        typtypmod: INT4, typndims: INT4, typcollation: OID, typdefaultbin: nullable(NODE_TREE),
        typdefault: nullable(TEXT), typacl: nullable(ACLITEMS),
    }
}

pub static TABLES: &[Definition] = &[PgType::definition(Rows::Catalog(|_, wanted| values(types(wanted))))];

fn types(wanted: &Wanted<'_>) -> impl Iterator<Item = PgType> {
    let id = wanted.oid("oid");
    BUILTIN_TYPES.iter().filter(move |row| id.is_none_or(|id| row.oid == id.0)).map(type_row)
}

fn type_row(row: &BuiltinType) -> PgType {
    let [input, output, receive, send, modifier_input, modifier_output, analyze] = row.functions.map(number);
    PgType {
        oid: number(row.oid),
        typname: text(row.name),
        typnamespace: number(super::PG_CATALOG),
        typowner: oid(BOOTSTRAP_ROLE),
        typlen: Datum::Int2(row.length),
        typbyval: boolean(row.by_value),
        typtype: text(row.kind),
        typcategory: text(row.category),
        typispreferred: boolean(row.preferred),
        typisdefined: boolean(true),
        typdelim: text(","),
        typrelid: number(0),
        typsubscript: number(row.subscript),
        typelem: number(row.element),
        typarray: number(row.array),
        typinput: input,
        typoutput: output,
        typreceive: receive,
        typsend: send,
        typmodin: modifier_input,
        typmodout: modifier_output,
        typanalyze: analyze,
        typalign: text(row.align),
        typstorage: text(row.storage),
        typnotnull: boolean(false),
        typbasetype: number(0),
        typtypmod: Datum::Int4(-1),
        typndims: Datum::Int4(0),
        typcollation: number(row.collation),
        typdefaultbin: Datum::Null,
        typdefault: Datum::Null,
        typacl: Datum::Null,
    }
}
