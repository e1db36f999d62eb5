//! Tables that are made up from the catalog and the node's state: pg_catalog, information_schema, the schema `meridian`.
//!
//! One file per group of tables. A table is a [`Definition`]: name, columns, and where its rows come from ([`Rows`]). Most rows
//! are a function of a [`Picture`]: the catalog snapshot of the statement, seen by its user. Rows are made anew for each
//! scan.
//!
//! - Names, types and order of the columns are PostgreSQL 15's (a test compares them); a table that PostgreSQL has and that
//!   has no rows here is there all the same, empty, so that clients' queries run. A table about which nobody here can tell
//!   the truth answers 0A000.
//! - The tables list themselves: pg_class, pg_attribute and information_schema know them like any other.

mod information_schema;
mod meridian;
pub mod pg_catalog;
pub mod picture;
pub mod relations;
pub mod shape;
#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use executor::ExecResult;
use futures::future::BoxFuture;
use planner::catalog::{VirtualColumn, VirtualTable};
use types::descriptor::Oid;
use types::{BATCH_ROWS_MAX, Batch, ColumnType, Datum, PgError, Vector};

use crate::session::Services;
use picture::{Picture, SYSTEM_SCHEMAS};
use shape::{Column, Rows, Values, Wanted};

/// Makes the rows of a table that has to wait for something.
pub type MakeRows = for<'a> fn(&'a Services) -> BoxFuture<'a, ExecResult<Vec<Vec<Datum>>>>;

/// What PostgreSQL has under that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelationKind {
    Table,
    View,
}

/// One made-up table.
pub struct Definition {
    /// pg_class.oid, PostgreSQL's where PostgreSQL has the table.
    pub oid: u32,
    pub schema: &'static str,
    pub name: &'static str,
    pub kind: RelationKind,
    pub columns: &'static [Column],
    pub rows: Rows,
}

/// All tables, one slice per group.
static GROUPS: &[&[&[Definition]]] = &[pg_catalog::GROUPS, information_schema::GROUPS, meridian::GROUPS];

/// Schemas that belong to the system.
pub fn is_system_schema(schema: &str) -> bool {
    SYSTEM_SCHEMAS.iter().any(|(_, name)| *name == schema)
}

struct Registry {
    by_name: BTreeMap<(&'static str, &'static str), Arc<VirtualTable>>,
    by_id: BTreeMap<Oid, (Arc<VirtualTable>, &'static Definition)>,
}

fn registry() -> &'static Registry {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    REGISTRY.get_or_init(|| {
        let mut registry = Registry { by_name: BTreeMap::new(), by_id: BTreeMap::new() };
        for definition in definitions() {
            let columns = definition
                .columns
                .iter()
                .map(|column| VirtualColumn {
                    name: column.name.into(),
                    column_type: ColumnType::from(column.data_type),
                    key: column.key,
                })
                .collect();
            let table = Arc::new(VirtualTable {
                id: Oid(definition.oid),
                schema: definition.schema.into(),
                name: definition.name.into(),
                columns,
            });
            registry.by_name.insert((definition.schema, definition.name), table.clone());
            registry.by_id.insert(Oid(definition.oid), (table, definition));
        }
        registry
    })
}

pub fn find(schema: &str, name: &str) -> Option<Arc<VirtualTable>> {
    registry().by_name.get(&(schema, name)).cloned()
}

pub fn find_by_id(id: Oid) -> Option<Arc<VirtualTable>> {
    registry().by_id.get(&id).map(|(table, _)| table.clone())
}

pub fn definition_by_id(id: Oid) -> Option<&'static Definition> {
    registry().by_id.get(&id).map(|(_, definition)| *definition)
}

/// All definitions, for pg_class and its relatives.
pub fn definitions() -> impl Iterator<Item = &'static Definition> {
    GROUPS.iter().copied().flatten().copied().flatten()
}

/// The rows of a table, in batches. `equalities` are (column position, value): only rows that satisfy them are wanted; making
/// up more is allowed.
pub async fn rows(
    services: &Services,
    table: &VirtualTable,
    equalities: &[(u32, Datum)],
) -> ExecResult<Vec<Batch>> {
    let Some(definition) = definition_by_id(table.id) else {
        return sequence_rows(services, table).await;
    };
    let wanted = Wanted { columns: definition.columns, equalities };
    let rows = match definition.rows {
        Rows::None => Vec::new(),
        Rows::Unknown => {
            let message = format!("the relation {}.{}", definition.schema, definition.name);
            return Err(PgError::unsupported(message).into());
        }
        Rows::Catalog(make) => make(&Picture::of(services), &wanted),
        Rows::Session(make) => make(services),
        Rows::Waiting(make) => make(services).await?,
    };
    Ok(rows.chunks(BATCH_ROWS_MAX).map(|chunk| to_batch(definition, chunk)).collect())
}

/// A sequence's one row. Nothing is logged ahead of it.
async fn sequence_rows(services: &Services, table: &VirtualTable) -> ExecResult<Vec<Batch>> {
    let picture = Picture::of(services);
    let found = picture.user_relations().into_iter().find_map(|relation| match relation {
        relations::Relation::Sequence(sequence) if sequence.id == table.id => Some(sequence),
        _ => None,
    });
    let Some(sequence) = found else {
        return Err(PgError::internal(format!("no one makes up the table {}", table.name)).into());
    };
    let state = services.catalog.server.sequences.state(sequence).await?;
    let row = [Datum::Int8(state.last_value), Datum::Int8(0), Datum::Bool(state.is_called)];
    let columns = table.columns.iter().zip(&row);
    let columns = columns
        .map(|(column, datum)| Vector::from_datums(column.column_type.data_type, std::slice::from_ref(datum)))
        .collect();
    Ok(vec![Batch::new(columns, 1)])
}

fn to_batch(definition: &Definition, rows: &[Values]) -> Batch {
    let columns = definition
        .columns
        .iter()
        .enumerate()
        .map(|(position, column)| {
            let mut vector = Vector::with_capacity(column.data_type, rows.len());
            rows.iter().for_each(|row| vector.push(&row[position]));
            vector
        })
        .collect();
    Batch::new(columns, rows.len())
}
