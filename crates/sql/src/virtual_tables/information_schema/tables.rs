//! Relations: tables, views, sequences, schemata.

use types::Datum;

use crate::catalog::Securable;
use crate::catalog_functions::definitions::view_definition;
use crate::privileges::{column_acls, column_securable};
use crate::virtual_tables::Definition;
use crate::virtual_tables::picture::Picture;
use crate::virtual_tables::relations::Relation;
use crate::virtual_tables::shape::*;

view! {
    Tables: 13425 information_schema.tables {
        table_catalog: NAME, table_schema: NAME, table_name: NAME, table_type: VARCHAR,
        self_referencing_column_name: NAME, reference_generation: VARCHAR, user_defined_type_catalog: NAME,
        user_defined_type_schema: NAME, user_defined_type_name: NAME, is_insertable_into: VARCHAR,
        is_typed: VARCHAR, commit_action: VARCHAR,
    }
}

view! {
    Views: 13483 information_schema.views {
        table_catalog: NAME, table_schema: NAME, table_name: NAME, view_definition: VARCHAR,
        check_option: VARCHAR, is_updatable: VARCHAR, is_insertable_into: VARCHAR,
        is_trigger_updatable: VARCHAR, is_trigger_deletable: VARCHAR, is_trigger_insertable_into: VARCHAR,
    }
}

view! {
    ViewTableUsage: 13478 information_schema.view_table_usage {
        view_catalog: NAME, view_schema: NAME, view_name: NAME, table_catalog: NAME, table_schema: NAME,
        table_name: NAME,
    }
}

view! {
    Sequences: 13386 information_schema.sequences {
        sequence_catalog: NAME, sequence_schema: NAME, sequence_name: NAME, data_type: VARCHAR,
        numeric_precision: INT4, numeric_precision_radix: INT4, numeric_scale: INT4, start_value: VARCHAR,
        minimum_value: VARCHAR, maximum_value: VARCHAR, increment: VARCHAR, cycle_option: VARCHAR,
    }
}

view! {
    Schemata: 13382 information_schema.schemata {
        catalog_name: NAME, schema_name: NAME, schema_owner: NAME, default_character_set_catalog: NAME,
        default_character_set_schema: NAME, default_character_set_name: NAME, sql_path: VARCHAR,
    }
}

pub static TABLES: &[Definition] = &[
    Tables::definition(Rows::Catalog(|picture, _| values(tables(picture)))),
    Views::definition(Rows::Catalog(|picture, _| values(views(picture)))),
    ViewTableUsage::definition(Rows::Catalog(|picture, _| values(view_table_usage(picture)))),
    Sequences::definition(Rows::Catalog(|picture, _| values(sequences(picture)))),
    Schemata::definition(Rows::Catalog(|picture, _| values(schemata(picture)))),
];

/// Tables and views that the user may see: those that he has some privilege on, and the system's.
pub fn shown_relations<'a>(picture: &Picture<'a>) -> impl Iterator<Item = Relation<'a>> {
    let picture = *picture;
    let shown = move |relation: &Relation<'_>| {
        relation.is_readable()
            && (matches!(relation, Relation::System(_)) || has_some_privilege(&picture, relation))
    };
    picture.relations().into_iter().filter(shown)
}

fn has_some_privilege(picture: &Picture<'_>, relation: &Relation<'_>) -> bool {
    let rights = |object: Securable<'_>| {
        let wanted = object.kind.all();
        !picture.snapshot.rights(picture.database, picture.user, object, wanted, false).is_empty()
    };
    let Some(object) = picture.snapshot.object(relation.id()) else { return false };
    Securable::of(object).is_some_and(rights)
        || column_acls(object)
            .into_iter()
            .filter_map(|(_, name, acl)| column_securable(object, name, acl))
            .any(rights)
}

/// Whether rows can be inserted: PostgreSQL says so of simple views as well, which here cannot be written to.
pub fn is_writable(relation: &Relation<'_>) -> bool {
    matches!(relation, Relation::Table(_))
}

fn tables(picture: &Picture<'_>) -> Vec<Tables> {
    let row = |relation: Relation<'_>| Tables {
        table_catalog: text(picture.database_name()),
        table_schema: optional_text(picture.schema_name(relation.schema())),
        table_name: text(relation.name()),
        table_type: text(match relation.kind() {
            "v" => "VIEW",
            _ if picture.snapshot.is_temporary(relation.schema()) => "LOCAL TEMPORARY",
            _ => "BASE TABLE",
        }),
        is_insertable_into: yes_or_no(is_writable(&relation)),
        is_typed: yes_or_no(false),
        ..Tables::default()
    };
    shown_relations(picture).map(row).collect()
}

fn views(picture: &Picture<'_>) -> Vec<Views> {
    let row = |relation: Relation<'_>| Views {
        table_catalog: text(picture.database_name()),
        table_schema: optional_text(picture.schema_name(relation.schema())),
        table_name: text(relation.name()),
        view_definition: match relation {
            Relation::View(view) => text(view_definition(picture, view)),
            _ => Datum::Null,
        },
        check_option: text("NONE"),
        is_updatable: yes_or_no(false),
        is_insertable_into: yes_or_no(false),
        is_trigger_updatable: yes_or_no(false),
        is_trigger_deletable: yes_or_no(false),
        is_trigger_insertable_into: yes_or_no(false),
    };
    shown_relations(picture).filter(|relation| relation.kind() == "v").map(row).collect()
}

fn view_table_usage(picture: &Picture<'_>) -> Vec<ViewTableUsage> {
    let mut rows = Vec::new();
    for relation in shown_relations(picture) {
        let Relation::View(view) = relation else { continue };
        for used in
            view.depends_on.iter().filter_map(|id| picture.relation(*id)).filter(Relation::is_readable)
        {
            rows.push(ViewTableUsage {
                view_catalog: text(picture.database_name()),
                view_schema: optional_text(picture.schema_name(view.schema)),
                view_name: text(&view.name),
                table_catalog: text(picture.database_name()),
                table_schema: optional_text(picture.schema_name(used.schema())),
                table_name: text(used.name()),
            });
        }
    }
    rows
}

/// Sequences behind identity columns are shown as part of the column.
fn sequences(picture: &Picture<'_>) -> Vec<Sequences> {
    let is_identity = |sequence: &types::descriptor::SequenceDescriptor| {
        let owner =
            sequence.owned_by.and_then(|(table, column)| picture.snapshot.table(table)?.column(column));
        owner.is_some_and(|column| column.identity.is_some())
    };
    let row = |relation: Relation<'_>| match relation {
        Relation::Sequence(sequence)
            if !is_identity(sequence) && relation.is_owned_by(picture.user, picture) =>
        {
            let data_type = types::DataType::from_oid(sequence.type_oid).unwrap_or(types::DataType::Int8);
            Some(Sequences {
                sequence_catalog: text(picture.database_name()),
                sequence_schema: optional_text(picture.schema_name(sequence.schema)),
                sequence_name: text(&sequence.name),
                data_type: text(data_type.sql_name()),
                numeric_precision: Datum::Int4(i32::from(data_type.pg_length()) * 8),
                numeric_precision_radix: Datum::Int4(2),
                numeric_scale: Datum::Int4(0),
                start_value: text(sequence.start.to_string()),
                minimum_value: text(sequence.minimum.to_string()),
                maximum_value: text(sequence.maximum.to_string()),
                increment: text(sequence.increment.to_string()),
                cycle_option: yes_or_no(sequence.cycle),
            })
        }
        _ => None,
    };
    picture.user_relations().into_iter().filter_map(row).collect()
}

fn schemata(picture: &Picture<'_>) -> Vec<Schemata> {
    let row = |schema: crate::virtual_tables::picture::Schema<'_>| Schemata {
        catalog_name: text(picture.database_name()),
        schema_name: text(schema.name),
        schema_owner: text(schema.owner),
        ..Schemata::default()
    };
    picture.schemas().into_iter().map(row).collect()
}
