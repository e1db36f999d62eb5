//! ALTER ... RENAME.

use std::sync::Arc;

use executor::ExecResult;
use planner::ast::{ObjectKind, Rename};
use types::descriptor::{
    DatabaseDescriptor, Oid, SchemaDescriptor, SequenceDescriptor, TableDescriptor, ViewDescriptor,
};
use types::{PgError, Severity, SqlState};

use super::alter_table::column_of;
use super::constraint::constraint_named;
use super::create_table::{column_mut, is_system_column};
use super::names::relation_taken;
use crate::catalog::{NameTarget, Object, Space, store};
use crate::session::Session;
use crate::session::statement::Tag;
use crate::table_locks::LockMode;

impl Session {
    pub(super) async fn run_rename(&mut self, rename: &Rename) -> ExecResult<Tag> {
        match rename.kind {
            ObjectKind::Schema => return self.rename_schema(rename).await,
            ObjectKind::Database => return self.rename_database(rename).await,
            ObjectKind::Role => return self.rename_role(rename.name.name(), &rename.new_name.name).await,
            ObjectKind::Table
            | ObjectKind::View
            | ObjectKind::Sequence
            | ObjectKind::Index
            | ObjectKind::Column
            | ObjectKind::Constraint
                if !matches!(rename.owner_kind, ObjectKind::Type | ObjectKind::Domain) => {}
            ObjectKind::Type | ObjectKind::Domain | ObjectKind::DomainConstraint | ObjectKind::Column => {
                return self.rename_type(rename).await;
            }
            other => {
                return Err(
                    PgError::unsupported(format!("ALTER {} RENAME", other.noun().to_uppercase())).into()
                );
            }
        }
        let tag = match rename.owner_kind {
            ObjectKind::View => "ALTER VIEW",
            ObjectKind::Sequence => "ALTER SEQUENCE",
            ObjectKind::Index => "ALTER INDEX",
            _ => "ALTER TABLE",
        };
        let Some(target) = self.find_relation(&rename.name)? else {
            let error = PgError::new(
                SqlState::UNDEFINED_TABLE,
                format!("relation \"{}\" does not exist", rename.name),
            );
            if !rename.if_exists {
                return Err(error.into());
            }
            let text = format!("{}, skipping", error.message());
            self.notice(PgError::with_severity(Severity::Notice, error.code(), text));
            return Ok(Tag::Plain(tag));
        };
        match (rename.kind, target) {
            (ObjectKind::Column, NameTarget::Object(id)) => self.rename_column(rename, id).await?,
            (ObjectKind::Constraint, NameTarget::Object(id)) => self.rename_constraint(rename, id).await?,
            (_, NameTarget::Index { table, index }) => self.rename_index(rename, table, index).await?,
            (_, NameTarget::Object(id)) => self.rename_relation(rename, id).await?,
        }
        Ok(Tag::Plain(tag))
    }

    async fn rename_relation(&mut self, rename: &Rename, id: Oid) -> ExecResult<()> {
        let name = rename.new_name.name.to_string();
        let snapshot = self.snapshot();
        let object =
            snapshot.object(id).ok_or_else(|| PgError::internal("a relation to be renamed is gone"))?;
        let Space::Relations(schema) = object.space() else {
            return Err(PgError::internal("not a relation").into());
        };
        if relation_taken(&snapshot, schema, &name) {
            return Err(store::already_exists(Space::Relations(schema), &name).into());
        }
        match object {
            Object::Table(table) => {
                self.require_owner("table", &table.name, &table.owner)?;
                self.lock_table(id, LockMode::AccessExclusive).await?;
                let mut table = TableDescriptor::clone(&self.descriptor(id));
                table.name = name;
                self.put_table(table).await.map(drop)
            }
            Object::Sequence(sequence) => {
                let renamed = SequenceDescriptor { name, ..SequenceDescriptor::clone(sequence) };
                self.put_object(Object::Sequence(Arc::new(renamed))).await
            }
            Object::View(view) => {
                let renamed = ViewDescriptor { name, ..ViewDescriptor::clone(view) };
                self.put_object(Object::View(Arc::new(renamed))).await
            }
            Object::Database(_)
            | Object::Schema(_)
            | Object::Role(_)
            | Object::Type(_)
            | Object::Function(_) => Err(PgError::internal("not a relation").into()),
        }
    }

    async fn rename_index(&mut self, rename: &Rename, table: Oid, index: Oid) -> ExecResult<()> {
        self.lock_table(table, LockMode::AccessExclusive).await?;
        let mut table = TableDescriptor::clone(&self.descriptor(table));
        let name = rename.new_name.name.to_string();
        if relation_taken(&*self.snapshot(), table.schema, &name) {
            return Err(store::already_exists(Space::Relations(table.schema), &name).into());
        }
        let found =
            std::iter::once(&mut table.primary).chain(&mut table.indexes).find(|other| other.id == index);
        if let Some(found) = found {
            found.name = name;
        }
        self.put_table(table).await.map(drop)
    }

    async fn rename_constraint(&mut self, rename: &Rename, id: Oid) -> ExecResult<()> {
        let old = rename.part.as_ref().map_or("", |part| &*part.name).to_string();
        self.lock_table(id, LockMode::AccessExclusive).await?;
        let mut table = TableDescriptor::clone(&self.descriptor(id));
        let name = rename.new_name.name.to_string();
        let Some(constraint) = constraint_named(&table, &old) else {
            return Err(PgError::new(
                SqlState::UNDEFINED_OBJECT,
                format!("constraint \"{old}\" for table \"{}\" does not exist", table.name),
            )
            .into());
        };
        if constraint_named(&table, &name).is_some() {
            return Err(PgError::new(
                SqlState::DUPLICATE_OBJECT,
                format!("constraint \"{name}\" for relation \"{}\" already exists", table.name),
            )
            .into());
        }
        table
            .checks
            .iter_mut()
            .filter(|check| check.id == constraint)
            .for_each(|check| check.name.clone_from(&name));
        table
            .foreign_keys
            .iter_mut()
            .filter(|key| key.id == constraint)
            .for_each(|key| key.name.clone_from(&name));
        std::iter::once(&mut table.primary)
            .chain(&mut table.indexes)
            .filter(|index| index.constraint == Some(constraint))
            .for_each(|index| index.name.clone_from(&name));
        self.put_table(table).await.map(drop)
    }

    /// Expressions that the catalog keeps as text may name the column: then it keeps its name.
    async fn rename_column(&mut self, rename: &Rename, id: Oid) -> ExecResult<()> {
        let snapshot = self.snapshot();
        if snapshot.table(id).is_none() {
            return Err(PgError::unsupported("renaming a column of a view").into());
        }
        self.lock_table(id, LockMode::AccessExclusive).await?;
        let mut table = TableDescriptor::clone(&self.descriptor(id));
        let part = rename.part.as_ref().ok_or_else(|| PgError::internal("no column to rename"))?;
        let column = column_of(&table, part)?;
        let name = rename.new_name.name.to_string();
        let taken = table.columns.iter().any(|other| other.name == name && !other.hidden);
        if taken || is_system_column(&name) {
            return Err(PgError::new(
                SqlState::DUPLICATE_COLUMN,
                format!("column \"{name}\" of relation \"{}\" already exists", table.name),
            )
            .into());
        }
        let used = table.checks.iter().any(|check| check.columns.contains(&column))
            || table.columns.iter().any(|other| other.generated.is_some())
            || table.indexes.iter().any(|index| index.predicate.is_some())
            || snapshot
                .objects()
                .any(|object| matches!(object, Object::View(view) if view.depends_on.contains(&id)));
        if used {
            return Err(PgError::unsupported(
                "renaming a column of a table whose checks, generated columns, partial indexes or views may name it",
            )
            .into());
        }
        column_mut(&mut table, column).name = name;
        self.put_table(table).await.map(drop)
    }

    async fn rename_schema(&mut self, rename: &Rename) -> ExecResult<Tag> {
        let snapshot = self.snapshot();
        let id = self.schema_named(&snapshot, rename.name.name())?;
        let schema = snapshot.schema_by_id(id).expect("just found");
        let name = rename.new_name.name.to_string();
        if snapshot.schema(self.database, &name).is_some() {
            return Err(store::already_exists(Space::Schemas(self.database), &name).into());
        }
        let renamed = SchemaDescriptor { name, ..SchemaDescriptor::clone(schema) };
        self.put_object(Object::Schema(Arc::new(renamed))).await?;
        Ok(Tag::Plain("ALTER SCHEMA"))
    }

    async fn rename_database(&mut self, rename: &Rename) -> ExecResult<Tag> {
        let snapshot = self.snapshot();
        let database = snapshot.database(rename.name.name()).ok_or_else(|| {
            PgError::new(
                SqlState::INVALID_CATALOG_NAME,
                format!("database \"{}\" does not exist", rename.name),
            )
        })?;
        if database.id == self.database {
            return Err(
                PgError::new(SqlState::FEATURE_NOT_SUPPORTED, "current database cannot be renamed").into()
            );
        }
        let name = rename.new_name.name.to_string();
        if snapshot.database(&name).is_some() {
            return Err(store::already_exists(Space::Databases, &name).into());
        }
        let renamed = DatabaseDescriptor { name, ..DatabaseDescriptor::clone(database) };
        self.put_object(Object::Database(Arc::new(renamed))).await?;
        Ok(Tag::Plain("ALTER DATABASE"))
    }
}
