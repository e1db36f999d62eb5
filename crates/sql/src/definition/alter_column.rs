//! ALTER TABLE ... ALTER COLUMN, and dropping columns.

use std::sync::Arc;

use executor::ExecResult;
use planner::PlanOptions;
use planner::ast::{Expression, Identifier, Sourced, TypeName};
use types::descriptor::{ColumnDescriptor, ColumnId, Oid, TableDescriptor};
use types::{ColumnType, PgError, Severity, SqlState};

use super::alter_table::column_of;
use super::backfill::Transform;
use super::create_table::{column_mut, is_kept, quote};
use super::drop::views_on;
use crate::session::Session;
use crate::table_locks::LockMode;

/// 23502 for a column that was to become NOT NULL.
pub fn contains_null(table: &TableDescriptor, column: &str) -> PgError {
    PgError::new(
        SqlState::NOT_NULL_VIOLATION,
        format!("column \"{column}\" of relation \"{}\" contains null values", table.name),
    )
    .column(column)
}

impl Session {
    pub(super) async fn set_default(
        &mut self,
        mut table: TableDescriptor,
        name: &Identifier,
        text: Option<&str>,
    ) -> ExecResult<()> {
        let id = column_of(&table, name)?;
        let table_name = table.name.clone();
        let column = column_mut(&mut table, id);
        if column.generated.is_some() || column.identity.is_some() {
            let kind = if column.identity.is_some() { "an identity" } else { "a generated" };
            return Err(PgError::new(
                SqlState::SYNTAX_ERROR,
                format!("column \"{}\" of relation \"{table_name}\" is {kind} column", name.name),
            )
            .into());
        }
        let kept = text.filter(|text| is_kept(text, column.column_type));
        let to = column.column_type;
        let default = kept.map(|text| self.kept_default(text, to)).transpose()?;
        column_mut(&mut table, id).default.clone_from(&default);
        self.validate_column_expressions(&table)?;
        if let Some(sequence) = self.owned_sequence_of_default(table.id, id, default.as_deref()) {
            column_mut(&mut table, id).owned_sequence = Some(sequence);
        }
        self.put_table(table).await.map(drop)
    }

    pub(super) async fn set_not_null(
        &mut self,
        mut table: TableDescriptor,
        name: &Identifier,
    ) -> ExecResult<()> {
        let id = column_of(&table, name)?;
        if table.column(id).is_some_and(|column| column.not_null) {
            return Ok(());
        }
        self.require_no_rows_without(&table, &name.name).await?;
        column_mut(&mut table, id).not_null = true;
        self.put_table(table).await.map(drop)
    }

    /// 23502 when a row has no value in the column.
    pub(super) async fn require_no_rows_without(
        &mut self,
        table: &TableDescriptor,
        column: &str,
    ) -> ExecResult<()> {
        let query =
            format!("SELECT 1 FROM {} WHERE {} IS NULL LIMIT 1", self.qualified_name(table), quote(column));
        if self.internal_rows(&query).await?.is_empty() {
            return Ok(());
        }
        let schema = self.snapshot().schema_name(table.schema).to_string();
        Err(contains_null(table, column).table(schema, &table.name).into())
    }

    pub(super) async fn drop_not_null(
        &mut self,
        mut table: TableDescriptor,
        name: &Identifier,
    ) -> ExecResult<()> {
        let id = column_of(&table, name)?;
        if table.primary.columns.iter().any(|column| column.column == id) {
            return Err(PgError::new(
                SqlState::INVALID_TABLE_DEFINITION,
                format!("column \"{}\" is in a primary key", name.name),
            )
            .into());
        }
        if table.column(id).is_some_and(|column| column.identity.is_some()) {
            return Err(PgError::new(
                SqlState::SYNTAX_ERROR,
                format!("column \"{}\" of relation \"{}\" is an identity column", name.name, table.name),
            )
            .into());
        }
        column_mut(&mut table, id).not_null = false;
        self.put_table(table).await.map(drop)
    }

    /// Existing rows get the value that new rows would get.
    pub(super) async fn update_new_column(
        &mut self,
        table: &TableDescriptor,
        column: &ColumnDescriptor,
    ) -> ExecResult<()> {
        let value = if column.identity.is_some() {
            let sequence = column.owned_sequence.map_or(0, |id| id.0);
            format!("nextval({sequence}::regclass)")
        } else {
            "DEFAULT".to_string()
        };
        let statement =
            format!("UPDATE {} SET {} = {value}", self.qualified_name(table), quote(&column.name));
        self.active().txn.begin_statement(false);
        self.internal_rows(&statement).await.map(drop)
    }

    /// ALTER COLUMN TYPE: unless the values stand as they are, all rows and entries are written anew.
    pub(super) async fn alter_column_type(
        &mut self,
        mut table: TableDescriptor,
        name: &Identifier,
        type_name: &TypeName,
        using: Option<&Sourced<Expression>>,
    ) -> ExecResult<()> {
        let id = column_of(&table, name)?;
        let new_type = self.column_type(type_name)?;
        let old = Arc::new(table.clone());
        let column = column_mut(&mut table, id);
        if column.generated.is_some() {
            return Err(PgError::unsupported("changing the type of a generated column").into());
        }
        let same_bytes = using.is_none() && widens(column.column_type, new_type);
        column.column_type = new_type;
        if same_bytes {
            self.validate_column_expressions(&table)?;
            return self.put_table(table).await.map(drop);
        }
        self.check_not_tied(&old, id)?;
        self.check_convertible(&old, id, using, new_type)?;
        self.validate_column_expressions(&table)?;
        let transform = Transform { column: id, using: using.map(|using| &*using.text) };
        self.rewrite_column(&old, table, &transform).await
    }

    /// 42804 unless the values and the default can become values of the new type.
    fn check_convertible(
        &mut self,
        old: &TableDescriptor,
        id: ColumnId,
        using: Option<&Sourced<Expression>>,
        new_type: ColumnType,
    ) -> ExecResult<()> {
        let all: Vec<ColumnId> = old.columns.iter().map(|column| column.id).collect();
        let catalog = self.statement_catalog();
        let to = (using.map(|using| &*using.text), new_type);
        planner::bind_transform(old, &all, id, to, &catalog, self.plan_options())?;
        let Some(column) = old.column(id).filter(|column| column.default.is_some()) else { return Ok(()) };
        let value = expr::Expr::column(0, column.column_type.data_type);
        if expr::resolve::coerce(value, new_type, expr::CastContext::Assignment, 0).is_none() {
            let message = format!(
                "default for column \"{}\" cannot be cast automatically to type {}",
                column.name, new_type.data_type
            );
            return Err(PgError::new(SqlState::DATATYPE_MISMATCH, message).into());
        }
        Ok(())
    }

    /// What else depends on the type of a column: foreign keys, generated columns.
    fn check_not_tied(&mut self, table: &TableDescriptor, id: ColumnId) -> ExecResult<()> {
        let snapshot = self.snapshot();
        let referenced = table.referenced_by.iter().any(|(child, key)| {
            let child = snapshot.table(*child);
            let key = child.and_then(|child| child.foreign_keys.iter().find(|other| other.id == *key));
            key.is_some_and(|key| key.referenced_columns.contains(&id))
        });
        if referenced || table.foreign_keys.iter().any(|key| key.columns.contains(&id)) {
            return Err(PgError::unsupported("changing the type of a column of a foreign key").into());
        }
        let catalog = self.statement_catalog();
        for column in &table.columns {
            if planner::columns_of_generated(table, column, &catalog, self.plan_options())?.contains(&id) {
                let name = table.column(id).map_or("", |column| &column.name);
                let message = "cannot alter type of a column used by a generated column";
                return Err(PgError::new(SqlState::FEATURE_NOT_SUPPORTED, message)
                    .detail(format!("Column \"{name}\" is used by generated column \"{}\".", column.name))
                    .into());
            }
        }
        Ok(())
    }

    pub(super) async fn drop_column(
        &mut self,
        mut table: TableDescriptor,
        name: &Identifier,
        if_exists: bool,
        cascade: bool,
    ) -> ExecResult<()> {
        let id = match column_of(&table, name) {
            Ok(id) => id,
            Err(error) if if_exists && error.code() == SqlState::UNDEFINED_COLUMN => {
                let text = format!("{}, skipping", error.message());
                self.notice(PgError::with_severity(Severity::Notice, error.code(), text));
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        if table.primary.columns.iter().any(|column| column.column == id) {
            return Err(PgError::unsupported("dropping a column of the primary key").into());
        }
        let dependent: Vec<_> = table
            .indexes
            .iter()
            .filter(|index| {
                index.columns.iter().any(|column| column.column == id) || index.included.contains(&id)
            })
            .map(|index| (index.id, index.name.clone(), index.storage_index))
            .collect();
        for (index, index_name, storage_index) in dependent {
            self.drop_dependent_keys(&mut table, index, &index_name, cascade).await?;
            table.indexes.retain(|other| other.id != index);
            self.leave_garbage(table.storage_id, storage_index)?;
        }
        table.checks.retain(|check| !check.columns.contains(&id));
        let keys: Vec<_> =
            table.foreign_keys.iter().filter(|key| key.columns.contains(&id)).cloned().collect();
        table.foreign_keys.retain(|key| !key.columns.contains(&id));
        let sequence = table.column(id).and_then(|column| column.owned_sequence);
        let views = self.views_using(table.id, id)?;
        let what = format!("column {} of table {}", name.name, table.name);
        self.drop_views(views, &what, cascade, &[]).await?;
        table.columns.retain(|column| column.id != id);
        self.validate_column_expressions(&table)?;
        let table = self.put_table(table).await?;
        for key in keys {
            self.unlink_reference(&table, key.referenced_table, key.id).await?;
        }
        if let Some(sequence) = sequence {
            self.drop_sequence_object(sequence).await?;
        }
        Ok(())
    }

    /// The views whose queries name the column, or a `*` that stands for it.
    fn views_using(&mut self, table: Oid, column: ColumnId) -> ExecResult<Vec<(Oid, String)>> {
        let (snapshot, catalog) = (self.snapshot(), self.statement_catalog());
        let mut users = views_on(&snapshot, table);
        let mut failure = None;
        users.retain(|(id, _)| {
            let Some(view) = snapshot.view(*id) else { return false };
            let options = PlanOptions {
                search_path: view.search_path.clone(),
                ..PlanOptions::clone(self.plan_options())
            };
            let planned = planner::parse(&view.query).and_then(|statements| {
                let statement = statements.into_iter().next();
                let statement = statement.ok_or_else(|| PgError::internal("a view has no query"))?;
                planner::plan(&statement, &catalog, &[], &options)
            });
            match planned {
                // What is read through another view is that one's matter.
                Ok(plan) => plan.relations.iter().any(|relation| {
                    relation.id == table
                        && relation.check_as.is_none()
                        && relation.columns.selected.contains(&column)
                }),
                Err(error) => {
                    failure.get_or_insert(error);
                    false
                }
            }
        });
        failure.map_or(Ok(users), |error| Err(error.into()))
    }

    /// Locks the tables of LOCK TABLE.
    pub(crate) async fn run_lock_table(
        &mut self,
        lock: &planner::ast::LockTable,
    ) -> ExecResult<crate::session::statement::Tag> {
        if !self.in_block() {
            return Err(PgError::new(
                SqlState::NO_ACTIVE_SQL_TRANSACTION,
                "LOCK TABLE can only be used in transaction blocks",
            )
            .into());
        }
        let mode = match &*lock.mode {
            "access share" => LockMode::AccessShare,
            "row share" => LockMode::RowShare,
            "row exclusive" => LockMode::RowExclusive,
            "share update exclusive" => LockMode::ShareUpdateExclusive,
            "share" => LockMode::Share,
            "share row exclusive" => LockMode::ShareRowExclusive,
            "exclusive" => LockMode::Exclusive,
            _ => LockMode::AccessExclusive,
        };
        // Statements on other nodes would neither see it nor wait for it. The weaker modes hold: they exclude DDL, which other nodes notice by themselves.
        if mode > LockMode::RowExclusive && self.server.lease.is_shared() {
            let feature =
                format!("LOCK TABLE IN {} MODE in a cluster of several nodes", lock.mode.to_uppercase());
            return Err(PgError::unsupported(feature).into());
        }
        for reference in &lock.tables {
            let id = self.table_named(&reference.name)?;
            if lock.nowait && !self.locks.try_acquire(id, mode) {
                return Err(PgError::new(
                    SqlState::LOCK_NOT_AVAILABLE,
                    format!("could not obtain lock on relation \"{}\"", reference.name.name()),
                )
                .into());
            }
            self.lock_table(id, mode).await?;
        }
        Ok(crate::session::statement::Tag::Plain("LOCK TABLE"))
    }
}

/// Do values of the old type stand as they are for the new one?
fn widens(old: types::ColumnType, new: types::ColumnType) -> bool {
    use types::DataType::{Text, Varchar};
    match (old.data_type, new.data_type) {
        (Varchar | Text, Text) => true,
        (Varchar | Text, Varchar) => new.typmod == -1 || (old.typmod != -1 && old.typmod <= new.typmod),
        (a, b) => a == b && old.typmod == new.typmod,
    }
}
