//! The database's name, character sets, collations, and what the standard asks an implementation to say of itself.

use types::Datum;

use crate::virtual_tables::Definition;
use crate::virtual_tables::pg_catalog::schema::collation_names;
use crate::virtual_tables::picture::Picture;
use crate::virtual_tables::shape::*;

view! {
    InformationSchemaCatalogName: 13227 information_schema.information_schema_catalog_name {
        catalog_name: NAME,
    }
}

view! {
    CharacterSets: 13250 information_schema.character_sets {
        character_set_catalog: NAME, character_set_schema: NAME, character_set_name: NAME,
        character_repertoire: NAME, form_of_use: NAME, default_collate_catalog: NAME,
        default_collate_schema: NAME, default_collate_name: NAME,
    }
}

view! {
    Collations: 13265 information_schema.collations {
        collation_catalog: NAME, collation_schema: NAME, collation_name: NAME, pad_attribute: VARCHAR,
    }
}

view! {
    CollationCharacterSetApplicability: 13270 information_schema.collation_character_set_applicability {
        collation_catalog: NAME, collation_schema: NAME, collation_name: NAME, character_set_catalog: NAME,
        character_set_schema: NAME, character_set_name: NAME,
    }
}

table! {
    SqlImplementationInfo: 13396 information_schema.sql_implementation_info {
        implementation_info_id: nullable(VARCHAR), implementation_info_name: nullable(VARCHAR),
        integer_value: nullable(INT4), character_value: nullable(VARCHAR), comments: nullable(VARCHAR),
    }
}

table! {
    SqlParts: 13401 information_schema.sql_parts {
        feature_id: nullable(VARCHAR), feature_name: nullable(VARCHAR), is_supported: nullable(VARCHAR),
        is_verified_by: nullable(VARCHAR), comments: nullable(VARCHAR),
    }
}

pub static TABLES: &[Definition] = &[
    InformationSchemaCatalogName::definition(Rows::Catalog(|picture, _| values([catalog_name(picture)]))),
    CharacterSets::definition(Rows::Catalog(|picture, _| values([character_set(picture)]))),
    Collations::definition(Rows::Catalog(|picture, _| values(collations(picture)))),
    CollationCharacterSetApplicability::definition(Rows::Catalog(|picture, _| {
        values(applicability(picture))
    })),
    SqlImplementationInfo::definition(Rows::Catalog(|_, _| values(implementation_info()))),
    SqlParts::definition(Rows::Catalog(|_, _| values(parts()))),
];

fn catalog_name(picture: &Picture<'_>) -> InformationSchemaCatalogName {
    InformationSchemaCatalogName { catalog_name: text(picture.database_name()) }
}

fn character_set(picture: &Picture<'_>) -> CharacterSets {
    CharacterSets {
        character_set_name: text("UTF8"),
        character_repertoire: text("UCS"),
        form_of_use: text("UTF8"),
        default_collate_catalog: text(picture.database_name()),
        ..CharacterSets::default()
    }
}

fn collations(picture: &Picture<'_>) -> Vec<Collations> {
    let row = |name: &str| Collations {
        collation_catalog: text(picture.database_name()),
        collation_schema: text("pg_catalog"),
        collation_name: text(name),
        pad_attribute: text("NO PAD"),
    };
    collation_names().map(row).collect()
}

fn applicability(picture: &Picture<'_>) -> Vec<CollationCharacterSetApplicability> {
    let row = |name: &str| CollationCharacterSetApplicability {
        collation_catalog: text(picture.database_name()),
        collation_schema: text("pg_catalog"),
        collation_name: text(name),
        character_set_name: text("UTF8"),
        ..CollationCharacterSetApplicability::default()
    };
    collation_names().map(row).collect()
}

fn implementation_info() -> Vec<SqlImplementationInfo> {
    let row = |id: &str, name: &str, integer: Option<i32>, value: Option<&str>, comment: Option<&str>| {
        SqlImplementationInfo {
            implementation_info_id: text(id),
            implementation_info_name: text(name),
            integer_value: integer.map_or(Datum::Null, Datum::Int4),
            character_value: optional_text(value),
            comments: optional_text(comment),
        }
    };
    let isolation = "SERIALIZABLE; user-settable";
    vec![
        row("10003", "CATALOG NAME", None, Some("Y"), None),
        row("10004", "COLLATING SEQUENCE", None, None, None),
        row(
            "23",
            "CURSOR COMMIT BEHAVIOR",
            Some(1),
            None,
            Some("close cursors and retain prepared statements"),
        ),
        row("2", "DATA SOURCE NAME", None, Some(""), None),
        row("17", "DBMS NAME", None, Some("Meridian"), None),
        row("18", "DBMS VERSION", None, Some(env!("CARGO_PKG_VERSION")), None),
        row("26", "DEFAULT TRANSACTION ISOLATION", Some(4), None, Some(isolation)),
        row("28", "IDENTIFIER CASE", Some(3), None, Some("stored in mixed case - case sensitive")),
        row("85", "NULL COLLATION", Some(0), None, Some("nulls higher than non-nulls")),
        row("13", "SERVER NAME", None, Some(""), None),
        row("94", "SPECIAL CHARACTERS", None, Some(""), Some("all non-ASCII characters allowed")),
        row("46", "TRANSACTION CAPABLE", Some(2), None, Some("both DML and DDL")),
    ]
}

/// No part of the standard is claimed as a whole.
fn parts() -> Vec<SqlParts> {
    const PARTS: [(&str, &str); 10] = [
        ("1", "Framework (SQL/Framework)"),
        ("2", "Foundation (SQL/Foundation)"),
        ("3", "Call-Level Interface (SQL/CLI)"),
        ("4", "Persistent Stored Modules (SQL/PSM)"),
        ("9", "Management of External Data (SQL/MED)"),
        ("10", "Object Language Bindings (SQL/OLB)"),
        ("11", "Information and Definition Schema (SQL/Schemata)"),
        ("13", "Routines and Types Using the Java Programming Language (SQL/JRT)"),
        ("14", "XML-Related Specifications (SQL/XML)"),
        ("15", "Multi-Dimensional Arrays (SQL/MDA)"),
    ];
    let row = |(id, name): (&str, &str)| SqlParts {
        feature_id: text(id),
        feature_name: text(name),
        is_supported: yes_or_no(false),
        is_verified_by: Datum::Null,
        comments: text(""),
    };
    PARTS.into_iter().map(row).collect()
}
