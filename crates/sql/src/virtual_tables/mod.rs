//! Tables that are made up from the catalog and the node's state: pg_catalog, information_schema, the schema `meridian`.
//!
//! One file per group of tables. A table is a [`Definition`]: name, columns, and a function that makes its rows from what
//! the statement's [`Services`] know. Rows are made anew for each scan.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use executor::ExecResult;
use futures::future::BoxFuture;
use planner::catalog::{VirtualColumn, VirtualTable};
use types::descriptor::Oid;
use types::{BATCH_ROWS_MAX, Batch, ColumnType, DataType, Datum, Vector};

use crate::session::Services;

/// Makes the rows of a table. `equalities` are (column position, value): only rows that satisfy them are wanted; making up
/// more is allowed.
pub type MakeRows = for<'a> fn(&'a Services, &'a [(u32, Datum)]) -> BoxFuture<'a, ExecResult<Vec<Vec<Datum>>>>;

/// One made-up table.
pub struct Definition {
    /// pg_class.oid, PostgreSQL's where PostgreSQL has the table.
    pub oid: u32,
    pub schema: &'static str,
    pub name: &'static str,
    pub columns: &'static [(&'static str, DataType)],
    pub rows: MakeRows,
}

/// All tables, one slice per group.
static GROUPS: &[&[Definition]] = &[];

const SYSTEM_SCHEMAS: [&str; 3] = ["pg_catalog", "information_schema", "meridian"];

/// Schemas that belong to the system.
pub fn is_system_schema(schema: &str) -> bool {
    SYSTEM_SCHEMAS.contains(&schema)
}

struct Registry {
    by_name: BTreeMap<(&'static str, &'static str), Arc<VirtualTable>>,
    by_id: BTreeMap<Oid, (Arc<VirtualTable>, &'static Definition)>,
}

fn registry() -> &'static Registry {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    REGISTRY.get_or_init(|| {
        let mut registry = Registry { by_name: BTreeMap::new(), by_id: BTreeMap::new() };
        for definition in GROUPS.iter().copied().flatten() {
            let columns = definition
                .columns
                .iter()
                .map(|(name, data_type)| VirtualColumn {
                    name: (*name).into(),
                    column_type: ColumnType::from(*data_type),
                    key: false,
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

/// All definitions, for pg_class and its relatives.
pub fn definitions() -> impl Iterator<Item = &'static Definition> {
    GROUPS.iter().copied().flatten()
}

/// The rows of a table, in batches.
pub async fn rows(
    services: &Services,
    table: &VirtualTable,
    equalities: &[(u32, Datum)],
) -> ExecResult<Vec<Batch>> {
    let (_, definition) = registry()
        .by_id
        .get(&table.id)
        .ok_or_else(|| types::PgError::internal(format!("no one makes up the table {}", table.name)))?;
    let rows = (definition.rows)(services, equalities).await?;
    Ok(rows.chunks(BATCH_ROWS_MAX).map(|chunk| to_batch(definition, chunk)).collect())
}

fn to_batch(definition: &Definition, rows: &[Vec<Datum>]) -> Batch {
    let columns = definition
        .columns
        .iter()
        .enumerate()
        .map(|(position, (_, data_type))| {
            let mut vector = Vector::with_capacity(*data_type, rows.len());
            rows.iter().for_each(|row| vector.push(&row[position]));
            vector
        })
        .collect();
    Batch::new(columns, rows.len())
}
