//! pg_type and pg_enum: the built-in types, those that users made, relations' row types (under the relations' oids), and the
//! arrays over both.

use types::Datum;

use super::builtin_types::{BUILTIN_TYPES, BuiltinType};
use types::descriptor::{DomainDescriptor, Oid, TypeDefinition};
use types::{DataType, USER_ARRAY_BIT};

use crate::catalog::Object;
use crate::catalog_functions::definitions::value_expression;
use crate::catalog_functions::privileges::acl_items;
use crate::virtual_tables::Definition;
use crate::virtual_tables::picture::{BOOTSTRAP_ROLE, Picture};
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

table! {
    PgEnum: 3501 pg_catalog.pg_enum {
        oid: OID, enumtypid: OID, enumsortorder: FLOAT4, enumlabel: NAME,
    }
}

pub static TABLES: &[Definition] = &[
    PgType::definition(Rows::Catalog(|picture, wanted| {
        let user = user_types(picture, wanted.oid("oid"));
        values(types(wanted).chain(user))
    })),
    PgEnum::definition(Rows::Catalog(|picture, _| values(labels(picture)))),
];

fn labels(picture: &Picture<'_>) -> Vec<PgEnum> {
    let mut rows = Vec::new();
    for object in picture.snapshot.objects() {
        let Object::Type(found) = object else { continue };
        let TypeDefinition::Enum { labels } = &found.definition else { continue };
        if found.database != picture.database {
            continue;
        }
        rows.extend(labels.iter().map(|label| PgEnum {
            oid: oid(label.id),
            enumtypid: oid(found.id),
            enumsortorder: Datum::Float4(label.place as f32 / types::user_type::PLACE_STEP as f32),
            enumlabel: text(&label.label),
        }));
    }
    rows
}

/// pg_proc.oid of input, output, receive and send, per kind.
const ENUM_FUNCTIONS: [u32; 4] = [3506, 3507, 3532, 3533];
const RECORD_FUNCTIONS: [u32; 4] = [2290, 2291, 2402, 2403];
const ARRAY_FUNCTIONS: [u32; 4] = [750, 751, 2400, 2401];
const DOMAIN_INPUT: u32 = 2597;
const DOMAIN_RECEIVE: u32 = 2598;
const ARRAY_SUBSCRIPT: u32 = 6179;

fn user_types(picture: &Picture<'_>, wanted: Option<Oid>) -> Vec<PgType> {
    let element = |id: Oid| Oid(id.0 & !USER_ARRAY_BIT);
    let mut rows = Vec::new();
    for object in picture.snapshot.objects() {
        if wanted.is_some_and(|id| element(id) != object.id()) {
            continue;
        }
        let Some(row) = user_type_row(picture, object) else { continue };
        rows.push(array_row(&row, object.id()));
        rows.push(row);
    }
    rows
}

fn user_type_row(picture: &Picture<'_>, object: &Object) -> Option<PgType> {
    let (database, schema, owner) = match object {
        Object::Type(found) => (found.database, found.schema, &found.owner),
        Object::Table(found) => (found.database, found.schema, &found.owner),
        Object::View(found) => (found.database, found.schema, &found.owner),
        _ => return None,
    };
    if database != picture.database {
        return None;
    }
    let id = object.id();
    let mut row = PgType {
        oid: oid(id),
        typname: text(object.name()),
        typnamespace: oid(schema),
        typowner: oid(picture.role_id(owner)),
        typarray: number(id.0 | USER_ARRAY_BIT),
        ..plain_row()
    };
    if let Object::Type(found) = object {
        row.typacl = acl_items(picture, &found.acl);
    }
    match object {
        Object::Type(found) => match &found.definition {
            TypeDefinition::Enum { .. } => {
                row.typlen = Datum::Int2(4);
                row.typbyval = boolean(true);
                row.typtype = text("e");
                row.typcategory = text("E");
                row.typalign = text("i");
                row.typstorage = text("p");
                set_functions(&mut row, ENUM_FUNCTIONS);
            }
            TypeDefinition::Composite { .. } => make_row_type(&mut row, id),
            TypeDefinition::Domain(domain) => make_domain(picture, &mut row, domain),
        },
        _ => make_row_type(&mut row, id),
    }
    Some(row)
}

fn make_row_type(row: &mut PgType, relation: Oid) {
    row.typtype = text("c");
    row.typcategory = text("C");
    row.typrelid = oid(relation);
    set_functions(row, RECORD_FUNCTIONS);
}

fn make_domain(picture: &Picture<'_>, row: &mut PgType, domain: &DomainDescriptor) {
    let base = domain.parent.data_type.base();
    if let Some(builtin) = super::builtin_types::builtin_type(base.oid()) {
        *row = PgType {
            oid: row.oid.clone(),
            typname: row.typname.clone(),
            typnamespace: row.typnamespace.clone(),
            typowner: row.typowner.clone(),
            typarray: row.typarray.clone(),
            typacl: row.typacl.clone(),
            ..type_row(builtin)
        };
    } else if matches!(base, DataType::Enum(_)) {
        row.typlen = Datum::Int2(4);
        row.typbyval = boolean(true);
        set_functions(row, ENUM_FUNCTIONS);
    }
    row.typtype = text("d");
    row.typcategory = text(char::from(base.category()).to_string());
    row.typelem = number(0);
    row.typispreferred = boolean(false);
    row.typinput = number(DOMAIN_INPUT);
    row.typreceive = number(DOMAIN_RECEIVE);
    row.typnotnull = boolean(domain.not_null);
    row.typbasetype = number(domain.parent.data_type.oid());
    row.typtypmod = Datum::Int4(domain.parent.typmod);
    let default = domain.default.as_deref().map(|text| value_expression(picture, text, domain.parent));
    row.typdefaultbin = optional_text(default.as_deref());
    row.typdefault = optional_text(default);
}

fn set_functions(row: &mut PgType, [input, output, receive, send]: [u32; 4]) {
    row.typinput = number(input);
    row.typoutput = number(output);
    row.typreceive = number(receive);
    row.typsend = number(send);
}

/// The array over a user's type.
fn array_row(element: &PgType, id: Oid) -> PgType {
    let name = match &element.typname {
        Datum::Text(name) => format!("_{name}"),
        _ => String::new(),
    };
    let mut row = PgType {
        oid: number(id.0 | USER_ARRAY_BIT),
        typname: text(types::format::truncate_name(&name)),
        typnamespace: element.typnamespace.clone(),
        typowner: element.typowner.clone(),
        typcategory: text("A"),
        typsubscript: number(ARRAY_SUBSCRIPT),
        typelem: oid(id),
        ..plain_row()
    };
    set_functions(&mut row, ARRAY_FUNCTIONS);
    row
}

/// A base type of variable length.
fn plain_row() -> PgType {
    PgType {
        oid: number(0),
        typname: Datum::Null,
        typnamespace: number(0),
        typowner: number(0),
        typlen: Datum::Int2(-1),
        typbyval: boolean(false),
        typtype: text("b"),
        typcategory: text("U"),
        typispreferred: boolean(false),
        typisdefined: boolean(true),
        typdelim: text(","),
        typrelid: number(0),
        typsubscript: number(0),
        typelem: number(0),
        typarray: number(0),
        typinput: number(0),
        typoutput: number(0),
        typreceive: number(0),
        typsend: number(0),
        typmodin: number(0),
        typmodout: number(0),
        typanalyze: number(0),
        typalign: text("d"),
        typstorage: text("x"),
        typnotnull: boolean(false),
        typbasetype: number(0),
        typtypmod: Datum::Int4(-1),
        typndims: Datum::Int4(0),
        typcollation: number(0),
        typdefaultbin: Datum::Null,
        typdefault: Datum::Null,
        typacl: Datum::Null,
    }
}

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
