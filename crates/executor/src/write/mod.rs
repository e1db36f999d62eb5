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
mod partial;
mod row_update;
mod stored_table;
mod update;

pub(crate) use after::{AfterStatement, run_after};
pub use deferred_check::check_deferred;
pub(crate) use delete::DeleteNode;
pub(crate) use insert::InsertNode;
pub(crate) use update::UpdateNode;

use planner::Table;
use planner::plan::{Check, GeneratedColumn, PartialIndex};
use types::descriptor::Oid;
use types::{Datum, PgError, PgResult, Vector};

use crate::operator::Run;
use crate::program::Scalar;

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
    pub partial_indexes: &'a [PartialIndex],
}

/// A table's own expressions, for tables that the plan does not write.
#[derive(Default)]
struct BoundExpressions {
    generated: Vec<GeneratedColumn>,
    checks: Vec<Check>,
    partial_indexes: Vec<PartialIndex>,
}

/// What a foreign key's action must compute and check of a table.
fn bound_expressions(run: &Run, table: &Table) -> PgResult<BoundExpressions> {
    let descriptor = &table.descriptor;
    let none = descriptor.checks.is_empty()
        && descriptor.columns.iter().all(|column| column.generated.is_none())
        && descriptor.indexes.iter().all(|index| index.predicate.is_none());
    if none {
        return Ok(BoundExpressions::default());
    }
    let bound = bound(run, table)?;
    Ok(BoundExpressions {
        generated: bound.generated().to_vec(),
        checks: bound.checks().to_vec(),
        partial_indexes: bound.partial_indexes().to_vec(),
    })
}

fn bound<'t>(run: &Run, table: &'t Table) -> PgResult<&'t planner::bind::TableExpressions> {
    if table.expressions().is_none() {
        run.context.tables.bind(table)?;
    }
    table.expressions().ok_or_else(|| {
        let name = &table.descriptor.name;
        PgError::unsupported(format!(
            "a foreign key action on table {name}, whose expressions are not bound,"
        ))
    })
}

/// A column's default, `rows` times.
fn default_values(run: &Run, table: &Table, column: usize, rows: usize) -> PgResult<Vector> {
    let descriptor = &table.descriptor.columns[column];
    let data_type = descriptor.column_type.data_type;
    if descriptor.default.is_none() && descriptor.identity.is_none() {
        return Ok(Vector::constant(&Datum::Null, data_type, rows));
    }
    let default = bound(run, table)?.default_of(column).ok_or_else(|| {
        PgError::unsupported(format!(
            "ON ... SET DEFAULT of column {}, whose default waits,",
            descriptor.name
        ))
    })?;
    Ok(Vector::constant(&Scalar::new(default)?.value(&run.eval())?, data_type, rows))
}
