//! Constraint violations in PostgreSQL's words, and the checks put off to the end of a transaction.

use executor::ExecResult;
use keys::table;
use planner::ast::SetConstraints;
use types::descriptor::{ColumnId, IndexDescriptor, Oid, TableDescriptor};
use types::format::{FormatContext, datum_text};
use types::row::RowDecoder;
use types::{PgError, PgResult, SqlState};

use crate::catalog::{CatalogSnapshot, Object};
use crate::session::Session;

/// 23505 for a key that exists already; `None` when the key belongs to no index of a table.
pub fn unique_violation(catalog: &CatalogSnapshot, key: &[u8], value: &[u8]) -> Option<PgError> {
    let (table_id, index_id, _) = table::parse(key).ok()?;
    let table = catalog.objects().find_map(|object| match object {
        Object::Table(table) if table.storage_id == table_id.get() => Some(table),
        _ => None,
    })?;
    let index = table.all_indexes().find(|index| index.storage_index == index_id.get())?;
    let mut error = PgError::new(
        SqlState::UNIQUE_VIOLATION,
        format!("duplicate key value violates unique constraint \"{}\"", index.name),
    )
    .table(catalog.schema_name(table.schema), &table.name)
    .constraint(&index.name);
    if let Some(detail) = key_detail(table, index, key, value) {
        error = error.detail(detail);
    }
    Some(error)
}

/// "Key (a, b)=(1, 2) already exists."
fn key_detail(table: &TableDescriptor, index: &IndexDescriptor, key: &[u8], value: &[u8]) -> Option<String> {
    let columns: Vec<ColumnId> = index.columns.iter().map(|column| column.column).collect();
    let decoder = RowDecoder::new(table, index, &columns).ok()?;
    let mut vectors = decoder.vectors(1);
    decoder.decode(key, value, &mut vectors).ok()?;
    let format = FormatContext::default();
    let mut names = Vec::new();
    let mut texts = Vec::new();
    for (column, vector) in index.columns.iter().zip(&vectors) {
        let column = table.column(column.column)?;
        names.push(column.name.as_str());
        texts.push(datum_text(
            &vector.datum(0),
            column.column_type.data_type,
            column.column_type.typmod,
            &format,
        ));
    }
    Some(format!("Key ({})=({}) already exists.", names.join(", "), texts.join(", ")))
}

impl Session {
    /// The deferrable constraints that SET CONSTRAINTS names.
    pub(crate) fn deferrable_constraints(&mut self, set: &SetConstraints) -> PgResult<Vec<Oid>> {
        let snapshot = self.catalog_snapshot();
        let mut found = Vec::new();
        for name in &set.names {
            let mut matches = Vec::new();
            for table in snapshot.tables(self.database) {
                let schema_fits =
                    name.schema().is_none_or(|schema| schema == snapshot.schema_name(table.schema));
                let keys = table.foreign_keys.iter().filter(|key| schema_fits && key.name == name.name());
                matches.extend(keys.map(|key| (key.id, key.deferrable)));
                let unique = table.all_indexes().filter(|index| schema_fits && index.name == name.name());
                matches.extend(unique.filter_map(|index| Some((index.constraint?, index.deferrable))));
            }
            if matches.is_empty() {
                return Err(PgError::new(
                    SqlState::UNDEFINED_OBJECT,
                    format!("constraint \"{name}\" does not exist"),
                ));
            }
            if matches.iter().any(|(_, deferrable)| !deferrable) {
                return Err(PgError::new(
                    SqlState::WRONG_OBJECT_TYPE,
                    format!("constraint \"{name}\" is not deferrable"),
                ));
            }
            found.extend(matches.into_iter().map(|(id, _)| id));
        }
        Ok(found)
    }

    /// Makes the checks that were put off: all, or those of the given constraints.
    pub(crate) async fn check_deferred(&mut self, only: Option<&[Oid]>) -> ExecResult<()> {
        let Some(active) = &mut self.active else { return Ok(()) };
        let due = {
            let mut deferred = active.deferred.lock();
            if deferred.pending.is_empty() {
                return Ok(());
            }
            let is_due = |constraint: Oid| only.is_none_or(|only| only.contains(&constraint));
            let pending = std::mem::take(&mut deferred.pending);
            let (due, later): (Vec<_>, Vec<_>) =
                pending.into_iter().partition(|check| is_due(check.constraint));
            deferred.pending = later;
            due
        };
        if due.is_empty() {
            return Ok(());
        }
        let catalog = self.statement_catalog();
        let context = self.exec_context(&catalog, &std::sync::Arc::from([]), false);
        context.txn.begin_statement(false);
        for check in due {
            executor::check_deferred(&context, &check.table, check.constraint, &check.primary_key).await?;
        }
        Ok(())
    }
}
