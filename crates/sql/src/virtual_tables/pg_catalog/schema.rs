//! Databases, schemas, tablespaces, collations, languages.

use types::Datum;
use types::acl::{Acl, AclItem, AclKind, PUBLIC, Rights};
use types::descriptor::Oid;

use crate::catalog::Object;
use crate::catalog_functions::privileges::acl_items;
use crate::virtual_tables::Definition;
use crate::virtual_tables::picture::{BOOTSTRAP_ROLE, OWN_SCHEMA, Picture, SYSTEM_SCHEMAS};
use crate::virtual_tables::shape::*;

table! {
    PgNamespace: 2615 pg_catalog.pg_namespace {
        oid: OID, nspname: NAME, nspowner: OID, nspacl: nullable(ACLITEMS),
    }
}

table! {
    PgDatabase: 1262 pg_catalog.pg_database {
        oid: OID, datname: NAME, datdba: OID, encoding: INT4, datlocprovider: CHAR, datistemplate: BOOL,
        datallowconn: BOOL, datconnlimit: INT4, datfrozenxid: XID, datminmxid: XID, dattablespace: OID,
        datcollate: TEXT, datctype: TEXT, daticulocale: nullable(TEXT), datcollversion: nullable(TEXT),
        datacl: nullable(ACLITEMS),
    }
}

table! {
    PgDefaultAcl: 826 pg_catalog.pg_default_acl {
        oid: OID, defaclrole: OID, defaclnamespace: OID, defaclobjtype: CHAR, defaclacl: ACLITEMS,
    }
}

table! {
    PgTablespace: 1213 pg_catalog.pg_tablespace {
        oid: OID, spcname: NAME, spcowner: OID, spcacl: nullable(ACLITEMS), spcoptions: nullable(TEXTS),
    }
}

table! {
    PgCollation: 3456 pg_catalog.pg_collation {
        oid: OID, collname: NAME, collnamespace: OID, collowner: OID, collprovider: CHAR,
        collisdeterministic: BOOL, collencoding: INT4, collcollate: nullable(TEXT),
        collctype: nullable(TEXT), colliculocale: nullable(TEXT), collversion: nullable(TEXT),
    }
}

table! {
    PgLanguage: 2612 pg_catalog.pg_language {
        oid: OID, lanname: NAME, lanowner: OID, lanispl: BOOL, lanpltrusted: BOOL, lanplcallfoid: OID,
        laninline: OID, lanvalidator: OID, lanacl: nullable(ACLITEMS),
    }
}

table! {
    PgInitPrivs: 3394 pg_catalog.pg_init_privs {
        objoid: OID, classoid: OID, objsubid: INT4, privtype: CHAR, initprivs: ACLITEMS,
    }
}

table! {
    PgExtension: 3079 pg_catalog.pg_extension {
        oid: OID, extname: NAME, extowner: OID, extnamespace: OID, extrelocatable: BOOL, extversion: TEXT,
        extconfig: nullable(OIDS), extcondition: nullable(TEXTS),
    }
}

pub static TABLES: &[Definition] = &[
    PgInitPrivs::definition(Rows::Catalog(|picture, _| values(initial_privileges(picture)))),
    PgExtension::definition(Rows::Catalog(|_, _| values([own_extension()]))),
    PgNamespace::definition(Rows::Catalog(|picture, _| values(schemas(picture)))),
    PgDatabase::definition(Rows::Catalog(|picture, _| values(databases(picture)))),
    PgDefaultAcl::definition(Rows::Catalog(|picture, _| values(default_acls(picture)))),
    PgTablespace::definition(Rows::Catalog(|_, _| values(tablespaces()))),
    PgCollation::definition(Rows::Catalog(|_, _| values(collations()))),
    PgLanguage::definition(Rows::Catalog(|_, _| values(languages()))),
];

/// The only encoding: pg_char_to_encoding('UTF8').
pub const UTF8: i32 = 6;

/// The order and classes of characters of every database: by code point.
pub const LOCALE: &str = "C.UTF-8";

/// pg_tablespace: (oid, name).
pub const TABLESPACES: [(u32, &str); 2] = [(1663, "pg_default"), (1664, "pg_global")];

pub const DEFAULT_COLLATION: u32 = 100;
pub const C_COLLATION: u32 = 950;

/// pg_collation: (oid, name, provider, encoding, locale). All sort by code point.
const COLLATIONS: [(u32, &str, &str, i32, Option<&str>); 4] = [
    (DEFAULT_COLLATION, "default", "d", -1, None),
    (C_COLLATION, "C", "c", -1, Some("C")),
    (951, "POSIX", "c", -1, Some("POSIX")),
    (12340, "ucs_basic", "c", UTF8, Some("C")),
];

/// The name of a collation.
pub fn collation_name(id: u32) -> Option<&'static str> {
    COLLATIONS.iter().find(|row| row.0 == id).map(|row| row.1)
}

/// A collation by name.
pub fn collation_named(name: &str) -> Option<u32> {
    COLLATIONS.iter().find(|row| row.1 == name).map(|row| row.0)
}

/// All collations by name.
pub fn collation_names() -> impl Iterator<Item = &'static str> {
    COLLATIONS.iter().map(|row| row.1)
}

/// The system's schemas may be used by everybody.
fn system_schema_acl() -> Acl {
    let owner = BOOTSTRAP_ROLE;
    let item = |grantee, rights| AclItem { grantee, grantor: owner, rights, grantable: Rights::NONE };
    Acl(Some(vec![item(owner, AclKind::Schema.all()), item(PUBLIC, Rights::USAGE)]))
}

/// The system's schemas have from the start what they have.
fn initial_privileges(picture: &Picture<'_>) -> Vec<PgInitPrivs> {
    let row = |(id, _): (Oid, &str)| PgInitPrivs {
        objoid: oid(id),
        classoid: number(2615),
        objsubid: Datum::Int4(0),
        privtype: text("i"),
        initprivs: acl_items(picture, &system_schema_acl()),
    };
    SYSTEM_SCHEMAS.into_iter().map(row).collect()
}

fn schemas(picture: &Picture<'_>) -> Vec<PgNamespace> {
    let row = |schema: crate::virtual_tables::picture::Schema<'_>| PgNamespace {
        oid: oid(schema.id),
        nspname: text(schema.name),
        nspowner: oid(picture.role_id(schema.owner)),
        nspacl: match picture.snapshot.schema_by_id(schema.id) {
            Some(schema) => acl_items(picture, &schema.acl),
            None => acl_items(picture, &system_schema_acl()),
        },
    };
    picture.schemas().into_iter().map(row).collect()
}

/// Entries have no oids of their own: they are numbered from 1 in the order of what they belong to.
fn default_acls(picture: &Picture<'_>) -> Vec<PgDefaultAcl> {
    let mut rows = Vec::new();
    for object in picture.snapshot.objects() {
        let (schema, entries) = match object {
            Object::Database(database) if database.id == picture.database => (0, &database.default_acls),
            Object::Schema(schema) if schema.database == picture.database => {
                (schema.id.0, &schema.default_acls)
            }
            _ => continue,
        };
        for entry in entries {
            rows.push(PgDefaultAcl {
                oid: number(rows.len() as u32 + 1),
                defaclrole: oid(entry.role),
                defaclnamespace: number(schema),
                defaclobjtype: text(match entry.kind {
                    AclKind::Sequence => "S",
                    AclKind::Function => "f",
                    AclKind::Type => "T",
                    AclKind::Schema => "n",
                    AclKind::Table | AclKind::Column | AclKind::Database => "r",
                }),
                defaclacl: acl_items(picture, &entry.acl),
            });
        }
    }
    rows
}

fn databases(picture: &Picture<'_>) -> Vec<PgDatabase> {
    let row = |object: &Object| match object {
        Object::Database(database) => Some(PgDatabase {
            oid: oid(database.id),
            datname: text(&database.name),
            datdba: oid(picture.role_id(&database.owner)),
            encoding: Datum::Int4(UTF8),
            datlocprovider: text("c"),
            datistemplate: boolean(database.template),
            datallowconn: boolean(!database.closed),
            datconnlimit: Datum::Int4(database.connection_limit),
            datfrozenxid: number(0),
            datminmxid: number(0),
            dattablespace: number(TABLESPACES[0].0),
            datcollate: text(LOCALE),
            datctype: text(LOCALE),
            daticulocale: Datum::Null,
            datcollversion: Datum::Null,
            datacl: acl_items(picture, &database.acl),
        }),
        _ => None,
    };
    picture.snapshot.objects().filter_map(row).collect()
}

fn tablespaces() -> Vec<PgTablespace> {
    let row = |(id, name): (u32, &str)| PgTablespace {
        oid: number(id),
        spcname: text(name),
        spcowner: oid(BOOTSTRAP_ROLE),
        spcacl: Datum::Null,
        spcoptions: Datum::Null,
    };
    TABLESPACES.into_iter().map(row).collect()
}

fn collations() -> Vec<PgCollation> {
    let row = |(id, name, provider, encoding, locale): (u32, &str, &str, i32, Option<&str>)| PgCollation {
        oid: number(id),
        collname: text(name),
        collnamespace: number(super::PG_CATALOG),
        collowner: oid(BOOTSTRAP_ROLE),
        collprovider: text(provider),
        collisdeterministic: boolean(true),
        collencoding: Datum::Int4(encoding),
        collcollate: optional_text(locale),
        collctype: optional_text(locale),
        colliculocale: Datum::Null,
        collversion: Datum::Null,
    };
    COLLATIONS.into_iter().map(row).collect()
}

/// The schema `meridian` is shown as part of an extension that is built in: pg_dump leaves such alone.
pub const OWN_EXTENSION: u32 = OWN_SCHEMA.0.0;

fn own_extension() -> PgExtension {
    PgExtension {
        oid: number(OWN_EXTENSION),
        extname: text(OWN_SCHEMA.1),
        extowner: oid(BOOTSTRAP_ROLE),
        extnamespace: oid(OWN_SCHEMA.0),
        extrelocatable: boolean(false),
        extversion: text(env!("CARGO_PKG_VERSION")),
        extconfig: Datum::Null,
        extcondition: Datum::Null,
    }
}

/// pg_language.oid of functions built in.
pub const INTERNAL_LANGUAGE: u32 = 12;
/// The language of functions that users make.
pub const SQL_LANGUAGE: u32 = 14;

fn languages() -> Vec<PgLanguage> {
    let language = |id, name, trusted| PgLanguage {
        oid: number(id),
        lanname: text(name),
        lanowner: oid(BOOTSTRAP_ROLE),
        lanispl: boolean(false),
        lanpltrusted: boolean(trusted),
        lanplcallfoid: number(0),
        laninline: number(0),
        lanvalidator: number(0),
        lanacl: Datum::Null,
    };
    vec![language(INTERNAL_LANGUAGE, "internal", false), language(SQL_LANGUAGE, "sql", true)]
}
