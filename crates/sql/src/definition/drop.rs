//! DROP TABLE, VIEW, INDEX, SEQUENCE, SCHEMA.
//!
//! What depends on an object goes with it under CASCADE and stands in the way otherwise: views on what they read, foreign keys
//! on the referenced table, defaults on a sequence, everything on its schema.

use std::sync::Arc;

use executor::ExecResult;
use planner::ast::{DropStatement, ObjectKind, ObjectName};
use types::descriptor::{ColumnDescriptor, Oid, SequenceDescriptor, TableDescriptor};
use types::{PgError, PgResult, Severity, SqlState};

use super::names::{kind_of, wrong_kind};
use crate::catalog::{CatalogSnapshot, NameTarget, Object};
use crate::garbage::WHOLE_TABLE;
use crate::session::Session;
use crate::session::statement::Tag;
use crate::table_locks::LockMode;

fn tag(kind: ObjectKind) -> Option<&'static str> {
    Some(match kind {
        ObjectKind::Table => "DROP TABLE",
        ObjectKind::View => "DROP VIEW",
        ObjectKind::Index => "DROP INDEX",
        ObjectKind::Sequence => "DROP SEQUENCE",
        ObjectKind::Schema => "DROP SCHEMA",
        ObjectKind::Type => "DROP TYPE",
        ObjectKind::Domain => "DROP DOMAIN",
        _ => return None,
    })
}

/// 2BP01.
pub(super) fn has_dependents(what: &str, dependents: &[String]) -> PgError {
    PgError::new(
        SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
        format!("cannot drop {what} because other objects depend on it"),
    )
    .detail(dependents.join("\n"))
    .hint("Use DROP ... CASCADE to drop the dependent objects too.")
}

impl Session {
    pub(super) async fn run_drop(&mut self, drop: &DropStatement) -> ExecResult<Tag> {
        if matches!(drop.kind, ObjectKind::Function | ObjectKind::Procedure | ObjectKind::Routine) {
            return self.drop_functions(drop).await;
        }
        let Some(tag) = tag(drop.kind) else { return self.drop_nothing(drop) };
        if drop.concurrently && self.in_block() {
            return Err(PgError::new(
                SqlState::ACTIVE_SQL_TRANSACTION,
                "DROP INDEX CONCURRENTLY cannot run inside a transaction block",
            )
            .into());
        }
        if matches!(drop.kind, ObjectKind::Type | ObjectKind::Domain) {
            return self.drop_types(drop).await;
        }
        if drop.kind == ObjectKind::Schema {
            for name in &drop.names {
                self.drop_schema(drop, name).await?;
            }
            return Ok(Tag::Plain(tag));
        }
        // All names are looked up first: one that does not exist leaves the others alone.
        let mut targets = Vec::with_capacity(drop.names.len());
        for name in &drop.names {
            targets.extend(self.drop_target(drop, name)?);
        }
        let dropped: Vec<Oid> = targets
            .iter()
            .filter_map(|target| match target {
                NameTarget::Object(id) => Some(*id),
                NameTarget::Index { .. } => None,
            })
            .collect();
        for target in targets {
            match target {
                NameTarget::Index { table, index } => self.drop_index(table, index, drop.cascade).await?,
                NameTarget::Object(id) => self.drop_relation(id, drop.cascade, &dropped).await?,
            }
        }
        Ok(Tag::Plain(tag))
    }

    /// Kinds of objects that cannot exist here: DROP IF EXISTS of one is harmless, DROP says that there is none.
    fn drop_nothing(&mut self, drop: &DropStatement) -> ExecResult<Tag> {
        let noun = drop.kind.noun();
        if !drop.if_exists {
            return Err(PgError::unsupported(format!("DROP {}", noun.to_uppercase())).into());
        }
        for name in &drop.names {
            self.notice(PgError::notice(format!("{noun} \"{name}\" does not exist, skipping")));
        }
        Ok(Tag::Plain(match drop.kind {
            ObjectKind::MaterializedView => "DROP MATERIALIZED VIEW",
            ObjectKind::Extension => "DROP EXTENSION",
            ObjectKind::Trigger => "DROP TRIGGER",
            ObjectKind::Aggregate => "DROP AGGREGATE",
            _ => "DROP",
        }))
    }

    fn drop_target(&mut self, drop: &DropStatement, name: &ObjectName) -> PgResult<Option<NameTarget>> {
        let found = match self.find_relation(name) {
            Ok(found) => found,
            Err(error) if drop.if_exists && error.code() == SqlState::INVALID_SCHEMA_NAME => None,
            Err(error) => return Err(error),
        };
        let Some(target) = found else {
            let message = format!("{} \"{name}\" does not exist", drop.kind.noun());
            if drop.if_exists {
                self.notice(PgError::notice(format!("{message}, skipping")));
                return Ok(None);
            }
            let code = match drop.kind {
                ObjectKind::Index => SqlState::UNDEFINED_OBJECT,
                _ => SqlState::UNDEFINED_TABLE,
            };
            return Err(PgError::new(code, message));
        };
        let snapshot = self.snapshot();
        let kind = kind_of(&snapshot, target);
        if kind != drop.kind {
            return Err(wrong_kind(name.name(), drop.kind).hint(format!(
                "Use DROP {} to remove {}.",
                kind.noun().to_uppercase(),
                article(kind)
            )));
        }
        Ok(Some(target))
    }

    async fn drop_index(&mut self, table: Oid, index: Oid, cascade: bool) -> ExecResult<()> {
        self.lock_table(table, LockMode::AccessExclusive).await?;
        let mut table = TableDescriptor::clone(&self.descriptor(table));
        self.require_owner("index", &table.name, &table.owner)?;
        let Some(found) = table.index(index).cloned() else { return Ok(()) };
        if found.constraint.is_some() {
            return Err(PgError::new(
                SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                format!(
                    "cannot drop index {} because constraint {} on table {} requires it",
                    found.name, found.name, table.name
                ),
            )
            .hint(format!("You can drop constraint {} on table {} instead.", found.name, table.name))
            .into());
        }
        self.drop_dependent_keys(&mut table, index, &found.name, cascade).await?;
        table.indexes.retain(|other| other.id != index);
        self.leave_garbage(table.storage_id, found.storage_index)?;
        self.put_table(table).await.map(drop)
    }

    /// Drops a table, a view or a sequence. `together` are dropped by the same statement: they do not stand in the way.
    pub(super) async fn drop_relation(&mut self, id: Oid, cascade: bool, together: &[Oid]) -> ExecResult<()> {
        let snapshot = self.snapshot();
        let Some(object) = snapshot.object(id).cloned() else { return Ok(()) };
        match object {
            Object::Table(table) => self.drop_table(&table, cascade, together).await,
            Object::View(view) => {
                self.require_owner("view", &view.name, &view.owner)?;
                self.drop_dependent_views(id, &format!("view {}", view.name), cascade, together).await?;
                self.remove_object(id).await
            }
            Object::Sequence(sequence) => self.drop_sequence(&sequence, cascade, together).await,
            Object::Type(descriptor) => self.drop_type(&descriptor, cascade, together).await,
            Object::Function(function) => self.drop_function(&function, cascade, together).await,
            Object::Database(_) | Object::Schema(_) | Object::Role(_) => {
                Err(PgError::internal("not a relation").into())
            }
        }
    }

    async fn drop_table(
        &mut self,
        table: &Arc<TableDescriptor>,
        cascade: bool,
        together: &[Oid],
    ) -> ExecResult<()> {
        self.require_owner("table", &table.name, &table.owner)?;
        self.lock_table(table.id, LockMode::AccessExclusive).await?;
        let what = format!("table {}", table.name);
        let snapshot = self.snapshot();
        let referencing: Vec<(Oid, Oid)> = table
            .referenced_by
            .iter()
            .copied()
            .filter(|(other, _)| *other != table.id && snapshot.table(*other).is_some())
            .collect();
        let in_the_way: Vec<String> = referencing
            .iter()
            .filter(|(other, _)| !together.contains(other))
            .filter_map(|(other, constraint)| {
                let other = snapshot.table(*other)?;
                let key = other.foreign_keys.iter().find(|key| key.id == *constraint)?;
                Some(format!("constraint {} on table {} depends on {what}", key.name, other.name))
            })
            .collect();
        if !cascade && !in_the_way.is_empty() {
            return Err(has_dependents(&what, &in_the_way).into());
        }
        self.drop_dependent_views(table.id, &what, cascade, together).await?;
        for (other, constraint) in referencing {
            self.lock_table(other, LockMode::AccessExclusive).await?;
            let mut other = TableDescriptor::clone(&self.descriptor(other));
            other.foreign_keys.retain(|key| key.id != constraint);
            self.put_table(other).await?;
        }
        for key in &table.foreign_keys {
            if self.snapshot().table(key.referenced_table).is_some() {
                self.unlink_reference(table, key.referenced_table, key.id).await?;
            }
        }
        for sequence in table.columns.iter().filter_map(|column| column.owned_sequence) {
            self.drop_sequence_object(sequence).await?;
        }
        for sequence in self.sequences_owned_by(table.id) {
            self.drop_sequence_object(sequence).await?;
        }
        self.drop_type_dependents(table.id, &what, cascade, together).await?;
        self.remove_object(table.id).await?;
        self.leave_garbage(table.storage_id, WHOLE_TABLE)
    }

    fn sequences_owned_by(&mut self, table: Oid) -> Vec<Oid> {
        let owned = |object: &Object| match object {
            Object::Sequence(sequence) if sequence.owned_by.is_some_and(|(owner, _)| owner == table) => {
                Some(sequence.id)
            }
            _ => None,
        };
        self.snapshot().objects().filter_map(owned).collect()
    }

    /// Views that read the relation go too, or stand in the way.
    pub(super) async fn drop_dependent_views(
        &mut self,
        id: Oid,
        what: &str,
        cascade: bool,
        together: &[Oid],
    ) -> ExecResult<()> {
        let views = views_on(&*self.snapshot(), id);
        self.drop_views(views, what, cascade, together).await
    }

    /// Drops views that depend on something that is dropped, or refuses that.
    pub(super) async fn drop_views(
        &mut self,
        views: Vec<(Oid, String)>,
        what: &str,
        cascade: bool,
        together: &[Oid],
    ) -> ExecResult<()> {
        let in_the_way: Vec<String> = views
            .iter()
            .filter(|(view, _)| !together.contains(view))
            .map(|(_, name)| format!("view {name} depends on {what}"))
            .collect();
        if !cascade && !in_the_way.is_empty() {
            return Err(has_dependents(what, &in_the_way).into());
        }
        for (view, name) in views {
            if !together.contains(&view) {
                self.notice(PgError::with_severity(
                    Severity::Notice,
                    SqlState::SUCCESSFUL_COMPLETION,
                    format!("drop cascades to view {name}"),
                ));
            }
            Box::pin(self.drop_relation(view, true, together)).await?;
        }
        Ok(())
    }

    async fn drop_sequence(
        &mut self,
        sequence: &Arc<SequenceDescriptor>,
        cascade: bool,
        together: &[Oid],
    ) -> ExecResult<()> {
        self.require_owner("sequence", &sequence.name, &sequence.owner)?;
        let snapshot = self.snapshot();
        let database = self.database;
        let owned = |column: &ColumnDescriptor| column.owned_sequence == Some(sequence.id);
        let mut draws = |column: &ColumnDescriptor| {
            (owned(column) && column.identity.is_some())
                || column
                    .default
                    .as_deref()
                    .is_some_and(|text| self.sequence_drawn_by(text) == Some(sequence.id))
        };
        let users: Vec<(Oid, types::descriptor::ColumnId, String)> = snapshot
            .tables(database)
            .filter(|table| !together.contains(&table.id))
            .flat_map(|table| table.columns.iter().map(move |column| (table, column)))
            .filter(|(_, column)| draws(column))
            .map(|(table, column)| {
                let text = format!(
                    "default value for column {} of table {} depends on sequence {}",
                    column.name, table.name, sequence.name
                );
                (table.id, column.id, text)
            })
            .collect();
        if !cascade && !users.is_empty() {
            let texts: Vec<String> = users.into_iter().map(|(_, _, text)| text).collect();
            return Err(has_dependents(&format!("sequence {}", sequence.name), &texts).into());
        }
        // Whoever owns it without drawing from it (its default has been dropped) just owns it no more.
        let all_columns = snapshot
            .tables(database)
            .filter(|table| !together.contains(&table.id))
            .flat_map(|table| table.columns.iter().map(move |column| (table.id, column)));
        let is_user = |table: Oid, column: types::descriptor::ColumnId| {
            users.iter().any(|(other, id, _)| (*other, *id) == (table, column))
        };
        let owners: Vec<_> = all_columns
            .filter(|(table, column)| owned(column) && !is_user(*table, column.id))
            .map(|(table, column)| (table, column.id))
            .collect();
        for (table, column) in owners {
            self.lock_table(table, LockMode::AccessExclusive).await?;
            let mut table = TableDescriptor::clone(&self.descriptor(table));
            super::create_table::column_mut(&mut table, column).owned_sequence = None;
            self.put_table(table).await?;
        }
        for (table, column, _) in users {
            self.lock_table(table, LockMode::AccessExclusive).await?;
            let mut table = TableDescriptor::clone(&self.descriptor(table));
            let column = super::create_table::column_mut(&mut table, column);
            column.owned_sequence = None;
            column.default = None;
            self.put_table(table).await?;
        }
        self.drop_sequence_object(sequence.id).await
    }

    async fn drop_schema(&mut self, drop: &DropStatement, name: &ObjectName) -> ExecResult<()> {
        let snapshot = self.snapshot();
        let Some(schema) = snapshot.schema(self.database, name.name()).cloned() else {
            let message = format!("schema \"{name}\" does not exist");
            if drop.if_exists {
                self.notice(PgError::notice(format!("{message}, skipping")));
                return Ok(());
            }
            return Err(PgError::new(SqlState::INVALID_SCHEMA_NAME, message).into());
        };
        self.require_owner("schema", &schema.name, &schema.owner)?;
        let inside: Vec<Object> =
            snapshot.objects().filter(|object| object.schema() == Some(schema.id)).cloned().collect();
        if !drop.cascade && !inside.is_empty() {
            let what = format!("schema {}", schema.name);
            let texts: Vec<String> = inside
                .iter()
                .map(|object| {
                    if let Object::Function(function) = object {
                        return format!("function {} depends on {what}", super::signature_of(function));
                    }
                    let kind = kind_of(&snapshot, NameTarget::Object(object.id())).noun();
                    format!("{kind} {} depends on {what}", object.name())
                })
                .collect();
            return Err(has_dependents(&what, &texts).into());
        }
        let together: Vec<Oid> = inside.iter().map(Object::id).collect();
        for object in inside {
            self.drop_relation(object.id(), true, &together).await?;
        }
        self.remove_object(schema.id).await
    }
}

pub(super) fn views_on(snapshot: &CatalogSnapshot, id: Oid) -> Vec<(Oid, String)> {
    let reads = |object: &Object| match object {
        Object::View(view) if view.depends_on.contains(&id) => Some((view.id, view.name.clone())),
        _ => None,
    };
    snapshot.objects().filter_map(reads).collect()
}

fn article(kind: ObjectKind) -> String {
    let noun = kind.noun();
    if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { format!("an {noun}") } else { format!("a {noun}") }
}
