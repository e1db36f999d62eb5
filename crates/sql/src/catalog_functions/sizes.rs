//! Sizes. The KV layer keeps no count of bytes per table that could be asked for without waiting, so that relation sizes are
//! what the statistics say: rows times average width (0 before ANALYZE); an index counts its own columns.

use types::descriptor::Oid;
use types::{Datum, PgError, PgResult, SqlState};

use super::Answer::{self, Strict};
use super::{mismatch, oid_argument, text_argument};
use crate::virtual_tables::pg_catalog::class::estimated_size;
use crate::virtual_tables::pg_catalog::schema::TABLESPACES;
use crate::virtual_tables::picture::Picture;
use crate::virtual_tables::relations::{Index, Relation};

pub const FUNCTIONS: &[(&str, Answer)] = &[
    ("pg_database_size", Strict(pg_database_size)),
    ("pg_indexes_size", Strict(|picture, arguments| of_table(picture, arguments, Parts::Indexes))),
    ("pg_relation_size", Strict(pg_relation_size)),
    ("pg_table_size", Strict(|picture, arguments| of_table(picture, arguments, Parts::Table))),
    ("pg_tablespace_size", Strict(pg_tablespace_size)),
    ("pg_total_relation_size", Strict(|picture, arguments| of_table(picture, arguments, Parts::All))),
];

/// What of a table is counted.
#[derive(Clone, Copy)]
enum Parts {
    Table,
    Indexes,
    All,
}

fn bytes(value: f64) -> Datum {
    Datum::Int8(value as i64)
}

fn index_size(picture: &Picture<'_>, index: &Index<'_>) -> f64 {
    // The primary index is the table.
    if index.is_primary() {
        return 0.0;
    }
    let Some(statistics) = picture.statistics.get(index.table.id) else { return 0.0 };
    let width = |column| statistics.columns.get(&column).map_or(0.0, |column| column.average_width);
    statistics.row_count * index.columns().map(width).sum::<f64>()
}

fn relation_size(picture: &Picture<'_>, relation: &Relation<'_>) -> f64 {
    match relation {
        Relation::Table(table) => estimated_size(picture, table.id).1,
        Relation::Index(index) => index_size(picture, index),
        _ => 0.0,
    }
}

fn pg_relation_size(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    let relation = picture.relation(oid_argument(arguments, 0)?);
    if arguments.len() > 1 {
        match text_argument(arguments, 1)? {
            "main" => {}
            "fsm" | "vm" | "init" => return Ok(Datum::Int8(0)),
            _ => {
                return Err(PgError::new(SqlState::INVALID_PARAMETER_VALUE, "invalid fork name")
                    .hint("Valid fork names are \"main\", \"fsm\", \"vm\", and \"init\"."));
            }
        }
    }
    Ok(relation.map_or(Datum::Null, |relation| bytes(relation_size(picture, &relation))))
}

fn table_parts(picture: &Picture<'_>, relation: &Relation<'_>, parts: Parts) -> f64 {
    let own = relation_size(picture, relation);
    let Relation::Table(table) = relation else {
        return if matches!(parts, Parts::Indexes) { 0.0 } else { own };
    };
    let indexes: f64 = Index::all(table).map(|index| index_size(picture, &index)).sum();
    match parts {
        Parts::Table => own,
        Parts::Indexes => indexes,
        Parts::All => own + indexes,
    }
}

fn of_table(picture: &Picture<'_>, arguments: &[Datum], parts: Parts) -> PgResult<Datum> {
    let relation = picture.relation(oid_argument(arguments, 0)?);
    Ok(relation.map_or(Datum::Null, |relation| bytes(table_parts(picture, &relation, parts))))
}

fn database_size(picture: &Picture<'_>, database: Oid) -> f64 {
    let picture = Picture { database, ..*picture };
    let tables = picture.snapshot.tables(database);
    tables.map(|table| table_parts(&picture, &Relation::Table(table), Parts::All)).sum()
}

fn pg_database_size(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    let database = match arguments.first() {
        Some(Datum::Oid(id)) => picture.snapshot.database_by_id(Oid(*id)).map(|database| database.id),
        Some(Datum::Text(name)) => {
            let found = picture.snapshot.database(name).ok_or_else(|| {
                PgError::new(SqlState::INVALID_CATALOG_NAME, format!("database \"{name}\" does not exist"))
            })?;
            Some(found.id)
        }
        _ => return Err(mismatch(arguments)),
    };
    Ok(database.map_or(Datum::Null, |id| bytes(database_size(picture, id))))
}

/// Everything is in pg_default.
fn pg_tablespace_size(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    let name = match arguments.first() {
        Some(Datum::Oid(id)) => TABLESPACES.iter().find(|(other, _)| other == id).map(|(_, name)| *name),
        Some(Datum::Text(name)) => {
            let found = TABLESPACES.iter().find(|(_, other)| **other == **name);
            Some(found.map(|(_, name)| *name).ok_or_else(|| {
                PgError::new(SqlState::UNDEFINED_OBJECT, format!("tablespace \"{name}\" does not exist"))
            })?)
        }
        _ => return Err(mismatch(arguments)),
    };
    let databases = picture.snapshot.objects().filter_map(|object| match object {
        crate::catalog::Object::Database(database) => Some(database.id),
        _ => None,
    });
    Ok(match name {
        None => Datum::Null,
        Some("pg_default") => bytes(databases.map(|id| database_size(picture, id)).sum()),
        Some(_) => Datum::Int8(0),
    })
}
