//! Checks put off to the end of the transaction.

use std::sync::Arc;

use kvclient::Locking;
use types::descriptor::{Oid, TableDescriptor};
use types::{Batch, Vector};

use super::foreign_key::find_parents;
use super::stored_table::StoredTable;
use crate::context::ExecContext;
use crate::error::ExecResult;
use crate::operator::Run;

/// Checks one row (found by its encoded primary key) against a deferred foreign key. A row that is gone passes, as does one
/// whose constraint is gone. The caller has begun a statement, so that everything the transaction wrote is seen.
pub async fn check_deferred(
    context: &ExecContext,
    table: &Arc<TableDescriptor>,
    constraint: Oid,
    primary_key: &[u8],
) -> ExecResult<()> {
    let table = StoredTable::of(&*context.tables.table(table.id)?)?;
    let Some(foreign_key) = table.descriptor.foreign_keys.iter().find(|key| key.id == constraint) else {
        return Ok(());
    };
    let Some(value) = context.txn.get(primary_key, Locking::NONE).await? else { return Ok(()) };
    let mut columns = table.decoder.vectors(1);
    table.decoder.decode(primary_key, &value, &mut columns)?;
    let row = Batch { columns, rows: 1 };
    let vectors: Vec<&Vector> =
        table.positions(&foreign_key.columns)?.into_iter().map(|column| &row.columns[column]).collect();
    if vectors.iter().any(|vector| vector.is_null(0)) {
        return Ok(());
    }
    let mut run = Run::new(context.clone(), Vec::new());
    find_parents(&mut run, &table, foreign_key, &vectors, &[0]).await
}
