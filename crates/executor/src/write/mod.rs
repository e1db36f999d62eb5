//! Writing rows: INSERT, UPDATE, DELETE, and the constraints that hold because of them.
//!
//! ```text
//!   source plan --rows--> Insert / Update / Delete --entries--> Txn (buffered until commit)
//!                               |
//!                               +-- NOT NULL, CHECK        before a row is written
//!                               +-- uniqueness             with the write (Txn::insert)
//!                               +-- foreign keys           with the batch, or after the statement (AfterStatement)
//! ```
//!
//! A statement does not see what it writes (the KV layer draws that line); what must see it, the foreign keys of
//! rows that the same statement may have brought or taken, waits in a queue until the statement's own work is done. Then come,
//! in this order: RESTRICT; actions (CASCADE, SET NULL, SET DEFAULT), whose own consequences join the queue, until
//! there are none left; then the checks (NO ACTION, and rows that must have a parent). PostgreSQL interleaves them by row and
//! by trigger name; the order here accepts what the standard accepts.
//!
//! Entries of unique indexes are written with a check that the key is free: while the statement runs, which waits for
//! a concurrent writer of the same key, or with the commit when the statement commits by itself.

mod after;
mod change;
mod children;
mod constraint;
mod deferred_check;
mod delete;
mod entries;
mod foreign_key;
mod insert;
mod on_conflict;
mod row_update;
mod stored_table;
mod update;

pub(crate) use after::{AfterStatement, run_after};
pub use deferred_check::check_deferred;
pub(crate) use delete::DeleteNode;
pub(crate) use insert::InsertNode;
pub(crate) use stored_table::StoredTable;
pub(crate) use update::UpdateNode;

use planner::Table;
use planner::plan::{Check, GeneratedColumn};
use types::descriptor::Oid;
use types::{Datum, PgError, PgResult, Vector};

use crate::operator::Run;

/// Which tables a statement's own commands write: foreign keys among them cannot be checked at once.
#[derive(Clone, Default, Debug)]
pub(crate) struct WrittenTables(pub Vec<Oid>);

impl WrittenTables {
    pub fn contains(&self, table: Oid) -> bool {
        self.0.contains(&table)
    }
}

/// What the write operators share of the plan.
pub(crate) struct WriteScope<'a> {
    pub table: &'a std::sync::Arc<Table>,
    pub generated: &'a [GeneratedColumn],
    pub checks: &'a [Check],
}

/// What a foreign key's action must compute and check of a table whose columns `changed` it sets.
fn bound_expressions(table: &Table, changed: &[usize]) -> PgResult<(Vec<GeneratedColumn>, Vec<Check>)> {
    let descriptor = &table.descriptor;
    if let Some(column) = descriptor.columns.iter().find(|column| column.generated.is_some()) {
        let what = format!("a foreign key action on a table with the generated column {}", column.name);
        return Err(PgError::unsupported(what));
    }
    let ids: Vec<_> = changed.iter().map(|column| descriptor.columns[*column].id).collect();
    if let Some(check) = descriptor.checks.iter().find(|check| check.columns.iter().any(|c| ids.contains(c))) {
        let what = format!("a foreign key action on a column of the check constraint {}", check.name);
        return Err(PgError::unsupported(what));
    }
    Ok((Vec::new(), Vec::new()))
}

/// A column's default, `rows` times.
fn default_values(_run: &Run, table: &Table, column: usize, rows: usize) -> PgResult<Vector> {
    let column = &table.descriptor.columns[column];
    if column.default.is_some() {
        return Err(PgError::unsupported(format!("ON ... SET DEFAULT of column {}", column.name)));
    }
    Ok(Vector::constant(&Datum::Null, column.column_type.data_type, rows))
}
