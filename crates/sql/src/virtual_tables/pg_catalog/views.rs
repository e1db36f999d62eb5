//! The views for people: pg_tables, pg_views, pg_indexes, pg_sequences.

use executor::ExecResult;
use futures::future::BoxFuture;
use types::{DataType, Datum};

use crate::catalog_functions::definitions::{index_definition, view_definition};
use crate::session::Services;
use crate::virtual_tables::Definition;
use crate::virtual_tables::picture::Picture;
use crate::virtual_tables::relations::Relation;
use crate::virtual_tables::shape::*;

view! {
    PgTables: 12033 pg_catalog.pg_tables {
        schemaname: NAME, tablename: NAME, tableowner: NAME, tablespace: NAME, hasindexes: BOOL,
        hasrules: BOOL, hastriggers: BOOL, rowsecurity: BOOL,
    }
}

view! {
    PgViews: 12028 pg_catalog.pg_views {
        schemaname: NAME, viewname: NAME, viewowner: NAME, definition: TEXT,
    }
}

view! {
    PgIndexes: 12043 pg_catalog.pg_indexes {
        schemaname: NAME, tablename: NAME, indexname: NAME, tablespace: NAME, indexdef: TEXT,
    }
}

view! {
    PgSequences: 12048 pg_catalog.pg_sequences {
        schemaname: NAME, sequencename: NAME, sequenceowner: NAME, data_type: REGTYPE, start_value: INT8,
        min_value: INT8, max_value: INT8, increment_by: INT8, cycle: BOOL, cache_size: INT8,
        last_value: INT8,
    }
}

pub static TABLES: &[Definition] = &[
    PgTables::definition(Rows::Catalog(|picture, _| values(tables(picture)))),
    PgViews::definition(Rows::Catalog(|picture, _| values(views(picture)))),
    PgIndexes::definition(Rows::Catalog(|picture, _| values(indexes(picture)))),
    PgSequences::definition(Rows::Waiting(sequences)),
];

fn tables(picture: &Picture<'_>) -> Vec<PgTables> {
    let row = |relation: &Relation<'_>| {
        let indexed = matches!(relation, Relation::Table(table)
            if table.primary.constraint.is_some() || !table.indexes.is_empty());
        let with_triggers = matches!(relation, Relation::Table(table)
            if !table.foreign_keys.is_empty() || !table.referenced_by.is_empty());
        PgTables {
            schemaname: optional_text(picture.schema_name(relation.schema())),
            tablename: text(relation.name()),
            tableowner: text(relation.owner_text(picture)),
            tablespace: Datum::Null,
            hasindexes: boolean(indexed),
            hasrules: boolean(false),
            hastriggers: boolean(with_triggers),
            rowsecurity: boolean(false),
        }
    };
    picture.relations().iter().filter(|relation| relation.kind() == "r").map(row).collect()
}

fn views(picture: &Picture<'_>) -> Vec<PgViews> {
    let row = |relation: &Relation<'_>| {
        let definition = match relation {
            Relation::View(view) => Some(view_definition(picture, view)),
            _ => None,
        };
        PgViews {
            schemaname: optional_text(picture.schema_name(relation.schema())),
            viewname: text(relation.name()),
            viewowner: text(relation.owner_text(picture)),
            definition: optional_text(definition),
        }
    };
    picture.relations().iter().filter(|relation| relation.kind() == "v").map(row).collect()
}

fn indexes(picture: &Picture<'_>) -> Vec<PgIndexes> {
    let row = |index: crate::virtual_tables::relations::Index<'_>| PgIndexes {
        schemaname: optional_text(picture.schema_name(index.table.schema)),
        tablename: text(&index.table.name),
        indexname: text(&index.index.name),
        tablespace: Datum::Null,
        indexdef: text(index_definition(picture, &index, false)),
    };
    picture.indexes().map(row).collect()
}

/// pg_sequences shows each sequence's last value, which lives under a key of its own.
fn sequences(services: &Services) -> BoxFuture<'_, ExecResult<Vec<Values>>> {
    Box::pin(async move {
        let picture = Picture::of(services);
        let mut rows = Vec::new();
        for relation in picture.user_relations() {
            let Relation::Sequence(sequence) = relation else { continue };
            let state = services.catalog.server.sequences.state(sequence).await?;
            let data_type = DataType::from_oid(sequence.type_oid).unwrap_or(DataType::Int8);
            rows.push(PgSequences {
                schemaname: optional_text(picture.schema_name(sequence.schema)),
                sequencename: text(&sequence.name),
                sequenceowner: text(&sequence.owner),
                data_type: number(data_type.oid()),
                start_value: Datum::Int8(sequence.start),
                min_value: Datum::Int8(sequence.minimum),
                max_value: Datum::Int8(sequence.maximum),
                increment_by: Datum::Int8(sequence.increment),
                cycle: boolean(sequence.cycle),
                cache_size: Datum::Int8(sequence.cache),
                last_value: if state.is_called { Datum::Int8(state.last_value) } else { Datum::Null },
            });
        }
        Ok(values(rows))
    })
}
