//! ALTER TABLE: a list of actions under one lock.

use std::sync::Arc;

use executor::ExecResult;
use planner::ast::{
    AlterTable, AlterTableAction, ColumnConstraintKind, ColumnDefinition, Identifier, ObjectKind,
    TableConstraint,
};
use types::descriptor::{Oid, TableDescriptor};
use types::{PgError, PgResult, Severity, SqlState};

use super::constraint::constraint_named;
use super::create_table::{TableBuilder, is_system_column};
use super::domain::domain_rules;
use super::names::{kind_of, wrong_kind};
use super::storage_options::{OptionsOf, reset_options};
use crate::catalog::NameTarget;
use crate::session::Session;
use crate::session::statement::Tag;
use crate::table_locks::LockMode;

impl Session {
    pub(super) async fn alter_table(&mut self, alter: &AlterTable) -> ExecResult<Tag> {
        let tag = match alter.kind {
            ObjectKind::Index => "ALTER INDEX",
            ObjectKind::View => "ALTER VIEW",
            ObjectKind::Sequence => "ALTER SEQUENCE",
            _ => "ALTER TABLE",
        };
        let name = &alter.table.name;
        let Some(target) = self.find_relation(name)? else {
            if alter.if_exists {
                self.notice(PgError::with_severity(
                    Severity::Notice,
                    SqlState::UNDEFINED_TABLE,
                    format!("relation \"{name}\" does not exist, skipping"),
                ));
                return Ok(Tag::Plain(tag));
            }
            return Err(PgError::new(
                SqlState::UNDEFINED_TABLE,
                format!("relation \"{name}\" does not exist"),
            )
            .at(name.position())
            .into());
        };
        let snapshot = self.snapshot();
        let id = match target {
            NameTarget::Object(id) => id,
            NameTarget::Index { table, index } => {
                self.alter_index(table, index, &alter.actions).await?;
                return Ok(Tag::Plain(tag));
            }
        };
        if alter.kind == ObjectKind::Index {
            return Err(wrong_kind(name.name(), ObjectKind::Index).into());
        }
        let Some(table) = snapshot.table(id) else {
            let kind = kind_of(&snapshot, target);
            if let [AlterTableAction::OwnerTo(owner)] = alter.actions.as_slice() {
                self.change_owner(id, owner).await?;
                return Ok(Tag::Plain(tag));
            }
            if kind == alter.kind {
                return Err(
                    PgError::unsupported(format!("ALTER {} actions", kind.noun().to_uppercase())).into()
                );
            }
            return Err(wrong_kind(name.name(), ObjectKind::Table).into());
        };
        self.require_owner("table", &table.name, &table.owner)?;
        if let [AlterTableAction::SplitAt(query)] = alter.actions.as_slice() {
            return self.split_at(id, query).await;
        }
        self.lock_table(id, LockMode::AccessExclusive).await?;
        // A later action reads the rows that an earlier one wrote: they must be the transaction's own.
        self.active().alone &= alter.actions.len() == 1;
        for action in &alter.actions {
            self.active().txn.begin_statement(false);
            self.alter_action(id, action).await?;
        }
        Ok(Tag::Plain(tag))
    }

    pub(super) fn descriptor(&mut self, id: Oid) -> Arc<TableDescriptor> {
        self.snapshot().table(id).expect("locked, so it is there").clone()
    }

    async fn alter_action(&mut self, id: Oid, action: &AlterTableAction) -> ExecResult<()> {
        let mut table = TableDescriptor::clone(&self.descriptor(id));
        let unsupported = |feature: &str| Err(PgError::unsupported(feature).into());
        match action {
            AlterTableAction::AddColumn { column, if_not_exists } => {
                self.add_column(table, column, *if_not_exists).await
            }
            AlterTableAction::DropColumn { name, if_exists, cascade } => {
                self.drop_column(table, name, *if_exists, *cascade).await
            }
            AlterTableAction::SetDefault { column, expression } => {
                self.set_default(table, column, Some(&expression.text)).await
            }
            AlterTableAction::DropDefault { column } => self.set_default(table, column, None).await,
            AlterTableAction::SetNotNull { column } => self.set_not_null(table, column).await,
            AlterTableAction::DropNotNull { column } => self.drop_not_null(table, column).await,
            AlterTableAction::AlterColumnType { column, type_name, using, .. } => {
                self.alter_column_type(table, column, type_name, using.as_ref()).await
            }
            AlterTableAction::AddConstraint(constraint) => self.add_table_constraint(table, constraint).await,
            AlterTableAction::DropConstraint { name, if_exists, cascade } => {
                self.drop_constraint(table, name, *if_exists, *cascade).await
            }
            AlterTableAction::ValidateConstraint { name } => self.validate_constraint(table, name).await,
            AlterTableAction::AlterConstraint { name, timing } => {
                let key = table.foreign_keys.iter_mut().find(|key| key.name == *name.name);
                let key = key.ok_or_else(|| no_constraint(&name.name, &self.descriptor(id).name))?;
                key.deferrable = timing.deferrable;
                key.initially_deferred = timing.initially_deferred;
                self.put_table(table).await.map(drop)
            }
            AlterTableAction::OwnerTo(owner) => self.change_owner(id, owner).await,
            AlterTableAction::SetLogged(true) => Ok(()),
            AlterTableAction::SetOptions(options) => {
                self.set_options(OptionsOf::Table, &mut table.options, options)?;
                self.put_table(table).await.map(drop)
            }
            AlterTableAction::ResetOptions(options) => {
                reset_options(&mut table.options, options)?;
                self.put_table(table).await.map(drop)
            }
            AlterTableAction::SetLogged(false) => unsupported("unlogged tables"),
            AlterTableAction::DropExpression { .. } => unsupported("DROP EXPRESSION"),
            AlterTableAction::AddIdentity { column, always, options } => {
                self.add_identity(table, column, *always, options).await
            }
            AlterTableAction::AlterIdentity { column, always, options } => {
                self.alter_identity(table, column, *always, options).await
            }
            AlterTableAction::DropIdentity { column, if_exists } => {
                self.drop_identity(table, column, *if_exists).await
            }
            AlterTableAction::SetStatistics { .. } => unsupported("SET STATISTICS"),
            AlterTableAction::SetStorage { .. } => unsupported("SET STORAGE"),
            AlterTableAction::SetTablespace(_) => unsupported("tablespaces"),
            AlterTableAction::RowLevelSecurity(_) => unsupported("row level security"),
            AlterTableAction::EnableTrigger { .. } => unsupported("triggers"),
            AlterTableAction::SplitAt(_) => unsupported("SPLIT AT together with other actions"),
            AlterTableAction::UnsplitAt(_) => unsupported("UNSPLIT AT"),
            AlterTableAction::Unsupported(feature) => unsupported(feature),
        }
    }

    /// ADD COLUMN. Existing rows get the default by an update in the same transaction.
    async fn add_column(
        &mut self,
        table: TableDescriptor,
        definition: &ColumnDefinition,
        if_not_exists: bool,
    ) -> ExecResult<()> {
        let name = &*definition.name.name;
        let exists = table.columns.iter().any(|column| column.name == name && !column.hidden);
        if exists || is_system_column(name) {
            let error = PgError::new(
                SqlState::DUPLICATE_COLUMN,
                format!("column \"{name}\" of relation \"{}\" already exists", table.name),
            );
            if if_not_exists && exists {
                let text = format!("{}, skipping", error.message());
                self.notice(PgError::with_severity(Severity::Notice, error.code(), text));
                return Ok(());
            }
            return Err(error.at(definition.name.position).into());
        }
        let mut builder = TableBuilder::over(table);
        self.add_column_definition(&mut builder, definition)?;
        let constraints = std::mem::take(&mut builder.constraints);
        self.set_missing_value(&mut builder.table, definition)?;
        let added = self.finish_table(builder).await?;
        let column = added.column_named(name).expect("just added").clone();
        let domain = domain_rules(&self.snapshot(), column.column_type.data_type);
        let has_value = column.default.is_some()
            || column.generated.is_some()
            || column.identity.is_some()
            || domain.has_default;
        if column.missing_value.is_some() {
            // What rows written before read as: nothing needs to be rewritten.
        } else if has_value {
            self.update_new_column(&added, &column).await?;
        } else {
            if column.not_null {
                self.require_no_rows_without(&added, name).await?;
            }
            if domain.is_constrained {
                self.require_no_rows_refused(&added, name, column.column_type).await?;
            }
        }
        for (column, constraint) in constraints {
            let mut table = TableDescriptor::clone(&self.descriptor(added.id));
            let added = self.add_constraint(&mut table, column, &constraint).await?;
            let table = self.put_table(table).await?;
            self.settle_added(&table, added).await?;
        }
        Ok(())
    }

    /// A constant default needs no rewrite: rows without the column read as having it.
    fn set_missing_value(
        &mut self,
        table: &mut TableDescriptor,
        definition: &ColumnDefinition,
    ) -> ExecResult<()> {
        let default = definition.constraints.iter().find_map(|constraint| match &constraint.kind {
            ColumnConstraintKind::Default(expression) => Some(&expression.node),
            _ => None,
        });
        let Some(default) = default else { return Ok(()) };
        let id = super::alter_table::column_of(table, &definition.name)?;
        let column = super::create_table::column_mut(table, id);
        let column_type = column.column_type;
        let catalog = self.statement_catalog();
        let bound = planner::bind_constant(default, column_type.data_type, &catalog, self.plan_options())?;
        if let expr::Expr::Constant { value, .. } = &bound
            && !value.is_null()
        {
            let format = types::format::FormatContext::default();
            let text = types::format::datum_text(value, column_type.data_type, -1, &format);
            super::create_table::column_mut(table, id).missing_value = Some(text);
        }
        Ok(())
    }

    async fn add_table_constraint(
        &mut self,
        mut table: TableDescriptor,
        constraint: &TableConstraint,
    ) -> ExecResult<()> {
        let added = self.add_constraint(&mut table, None, constraint).await?;
        let is_valid = !constraint.timing.not_valid;
        let table = self.put_table(table).await?;
        if is_valid {
            self.settle_added(&table, added).await?;
        }
        Ok(())
    }

    async fn validate_constraint(&mut self, mut table: TableDescriptor, name: &Identifier) -> ExecResult<()> {
        let Some(id) = constraint_named(&table, &name.name) else {
            return Err(no_constraint(&name.name, &table.name).into());
        };
        self.validate_check(&table, id).await?;
        self.validate_foreign_key(&table, id).await?;
        table.checks.iter_mut().filter(|check| check.id == id).for_each(|check| check.not_valid = false);
        table.foreign_keys.iter_mut().filter(|key| key.id == id).for_each(|key| key.not_valid = false);
        self.put_table(table).await.map(drop)
    }

    async fn drop_constraint(
        &mut self,
        mut table: TableDescriptor,
        name: &Identifier,
        if_exists: bool,
        cascade: bool,
    ) -> ExecResult<()> {
        let Some(id) = constraint_named(&table, &name.name) else {
            let error = no_constraint(&name.name, &table.name);
            if if_exists {
                self.notice(PgError::notice(format!("{}, skipping", error.message())));
                return Ok(());
            }
            return Err(error.into());
        };
        table.checks.retain(|check| check.id != id);
        if let Some(at) = table.foreign_keys.iter().position(|key| key.id == id) {
            let key = table.foreign_keys.remove(at);
            if key.referenced_table == table.id {
                table.referenced_by.retain(|(_, constraint)| *constraint != id);
            }
            let table = self.put_table(table).await?;
            return self.unlink_reference(&table, key.referenced_table, id).await;
        }
        let index = table.all_indexes().find(|index| index.constraint == Some(id)).map(|index| index.id);
        if let Some(index) = index {
            self.drop_dependent_keys(&mut table, index, &name.name, cascade).await?;
            if table.primary.id == index {
                return Err(PgError::unsupported("dropping a primary key").into());
            }
            let at = table.indexes.iter().position(|other| other.id == index).expect("found above");
            let index = table.indexes.remove(at);
            self.leave_garbage(table.storage_id, index.storage_index)?;
        }
        self.put_table(table).await.map(drop)
    }

    /// Foreign keys that need an index go with it (CASCADE), or keep it.
    pub(super) async fn drop_dependent_keys(
        &mut self,
        table: &mut TableDescriptor,
        index: Oid,
        what: &str,
        cascade: bool,
    ) -> ExecResult<()> {
        let snapshot = self.snapshot();
        for (referencing, constraint) in table.referenced_by.clone() {
            let own = referencing == table.id;
            let other =
                if own { Some(Arc::new(table.clone())) } else { snapshot.table(referencing).cloned() };
            let Some(other) = other else { continue };
            let Some(key) = other.foreign_keys.iter().find(|key| key.id == constraint) else { continue };
            if key.referenced_index != index {
                continue;
            }
            if !cascade {
                return Err(PgError::new(
                    SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                    format!(
                        "cannot drop constraint {what} on table {} because other objects depend on it",
                        table.name
                    ),
                )
                .detail(format!("constraint {} on table {} depends on index {what}", key.name, other.name))
                .hint("Use DROP ... CASCADE to drop the dependent objects too.")
                .into());
            }
            table.referenced_by.retain(|(_, id)| *id != constraint);
            if own {
                table.foreign_keys.retain(|key| key.id != constraint);
            } else {
                self.lock_table(referencing, LockMode::AccessExclusive).await?;
                let mut other = TableDescriptor::clone(&self.descriptor(referencing));
                other.foreign_keys.retain(|key| key.id != constraint);
                self.put_table(other).await?;
            }
        }
        Ok(())
    }

    /// Takes a foreign key out of what the referenced table knows.
    pub(super) async fn unlink_reference(
        &mut self,
        table: &TableDescriptor,
        referenced: Oid,
        constraint: Oid,
    ) -> ExecResult<()> {
        if referenced == table.id {
            return Ok(());
        }
        self.lock_table(referenced, LockMode::AccessExclusive).await?;
        let mut other = TableDescriptor::clone(&self.descriptor(referenced));
        other.referenced_by.retain(|(_, id)| *id != constraint);
        self.put_table(other).await.map(drop)
    }

    /// ALTER TABLE ... SPLIT AT (VALUES ...): a range boundary at each key. Not undone by a rollback: ranges hold no meaning.
    async fn split_at(&mut self, id: Oid, query: &planner::ast::Query) -> ExecResult<Tag> {
        let table = self.descriptor(id);
        let key: Vec<_> = table.primary.columns.iter().map(|column| column.column).collect();
        let catalog = self.statement_catalog();
        let rows = planner::bind_constant_rows(query, &table, &key, &catalog, self.plan_options())?;
        let context = self.exec_context(&catalog, &Arc::from([]), false);
        let encoder = types::row::KeyPrefixEncoder::new(&table, &table.primary)?;
        for row in rows {
            let mut key = Vec::new();
            encoder.start(&mut key);
            for (position, value) in row.iter().enumerate() {
                let datum = expr::eval_scalar(value, &context.eval(&[]))?;
                encoder.append(position, &datum, &mut key)?;
            }
            self.server.db.split_at(&key).await?;
        }
        Ok(Tag::Plain("ALTER TABLE"))
    }
}

fn no_constraint(name: &str, table: &str) -> PgError {
    PgError::new(
        SqlState::UNDEFINED_OBJECT,
        format!("constraint \"{name}\" of relation \"{table}\" does not exist"),
    )
}

/// 42703 for ALTER TABLE's column names.
pub fn column_of(table: &TableDescriptor, name: &Identifier) -> PgResult<types::descriptor::ColumnId> {
    let column = table.columns.iter().find(|column| column.name == *name.name && !column.hidden);
    column.map(|column| column.id).ok_or_else(|| {
        if is_system_column(&name.name) {
            return PgError::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("cannot alter system column \"{}\"", name.name),
            );
        }
        PgError::new(
            SqlState::UNDEFINED_COLUMN,
            format!("column \"{}\" of relation \"{}\" does not exist", name.name, table.name),
        )
    })
}
