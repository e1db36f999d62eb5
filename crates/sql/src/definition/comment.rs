//! COMMENT ON.

use std::sync::Arc;

use executor::ExecResult;
use planner::ast::{Comment, ObjectKind, ObjectName};
use types::descriptor::{
    DatabaseDescriptor, FunctionDescriptor, Oid, SchemaDescriptor, SequenceDescriptor, TableDescriptor,
    TypeDefinition, TypeDescriptor, ViewDescriptor,
};
use types::{PgError, PgResult, SqlState};

use super::alter_table::column_of;
use super::constraint::constraint_named;
use super::create_table::column_mut;
use super::names::wrong_kind;
use crate::catalog::{NameTarget, Object, RoleDescriptor};
use crate::session::Session;
use crate::session::statement::Tag;
use crate::table_locks::LockMode;

impl Session {
    pub(super) async fn run_comment(&mut self, comment: &Comment) -> ExecResult<Tag> {
        let text = comment.text.as_ref().map(ToString::to_string).filter(|text| !text.is_empty());
        match comment.kind {
            ObjectKind::Table => {
                let id = self.table_named(&comment.name)?;
                self.change_table(id, |table| table.comment = text).await?;
            }
            ObjectKind::Column => self.comment_on_column(&comment.name, text).await?,
            ObjectKind::Index => {
                let NameTarget::Index { table, index } = self.relation(&comment.name)? else {
                    return Err(wrong_kind(comment.name.name(), ObjectKind::Index).into());
                };
                self.change_table(table, |table| {
                    let mut all = std::iter::once(&mut table.primary).chain(&mut table.indexes);
                    if let Some(found) = all.find(|other| other.id == index) {
                        found.comment = text;
                    }
                })
                .await?;
            }
            ObjectKind::Constraint => self.comment_on_constraint(comment, text).await?,
            _ => {
                let changed = self.commented(comment, text)?;
                self.put_object(changed).await?;
            }
        }
        Ok(Tag::Plain("COMMENT"))
    }

    async fn comment_on_column(&mut self, name: &ObjectName, text: Option<String>) -> ExecResult<()> {
        let Some((column, relation)) = name.parts.split_last().filter(|(_, relation)| !relation.is_empty())
        else {
            return Err(PgError::new(SqlState::SYNTAX_ERROR, "column name must be qualified").into());
        };
        let relation = ObjectName { parts: relation.to_vec() };
        let target = self.relation(&relation)?;
        let snapshot = self.snapshot();
        if let NameTarget::Object(id) = target
            && let Some(view) = snapshot.view(id)
        {
            self.require_owner("view", &view.name, &view.owner)?;
            let mut view = ViewDescriptor::clone(view);
            let Some(found) = view.columns.iter_mut().find(|other| other.name == *column.name) else {
                let message =
                    format!("column \"{}\" of relation \"{}\" does not exist", column.name, view.name);
                return Err(PgError::new(SqlState::UNDEFINED_COLUMN, message).into());
            };
            found.comment = text;
            return self.put_object(Object::View(Arc::new(view))).await;
        }
        let id = self.table_named(&relation)?;
        let column = column_of(&self.descriptor(id), column)?;
        self.change_table(id, |table| column_mut(table, column).comment = text).await
    }

    async fn comment_on_constraint(&mut self, comment: &Comment, text: Option<String>) -> ExecResult<()> {
        let name = comment.name.name();
        let Some(table) = &comment.on else {
            return Err(PgError::internal("a constraint is named without its table").into());
        };
        let id = self.table_named(table)?;
        let table = self.descriptor(id);
        let Some(constraint) = constraint_named(&table, name) else {
            return Err(PgError::new(
                SqlState::UNDEFINED_OBJECT,
                format!("constraint \"{name}\" for table \"{}\" does not exist", table.name),
            )
            .into());
        };
        self.change_table(id, |table| {
            match text {
                Some(text) => table.constraint_comments.insert(constraint.0, text),
                None => table.constraint_comments.remove(&constraint.0),
            };
        })
        .await
    }

    /// The object of a statement with its new comment.
    fn commented(&mut self, statement: &Comment, comment: Option<String>) -> PgResult<Object> {
        let snapshot = self.snapshot();
        let name = statement.name.name();
        Ok(match statement.kind {
            ObjectKind::View => {
                let target = self.relation(&statement.name)?;
                let view = match target {
                    NameTarget::Object(id) => snapshot.view(id),
                    NameTarget::Index { .. } => None,
                };
                let view = view.ok_or_else(|| wrong_kind(name, ObjectKind::View))?;
                self.require_owner("view", name, &view.owner)?;
                Object::View(Arc::new(ViewDescriptor { comment, ..ViewDescriptor::clone(view) }))
            }
            ObjectKind::Sequence => {
                let target = self.relation(&statement.name)?;
                let sequence = match target {
                    NameTarget::Object(id) => snapshot.sequence(id),
                    NameTarget::Index { .. } => None,
                };
                let sequence = sequence.ok_or_else(|| wrong_kind(name, ObjectKind::Sequence))?;
                self.require_owner("sequence", name, &sequence.owner)?;
                let changed = SequenceDescriptor { comment, ..SequenceDescriptor::clone(sequence) };
                Object::Sequence(Arc::new(changed))
            }
            ObjectKind::Schema => {
                let id = self.schema_named(&snapshot, name)?;
                let schema =
                    snapshot.schema_by_id(id).ok_or_else(|| PgError::internal("a schema is gone"))?;
                self.require_owner("schema", name, &schema.owner)?;
                Object::Schema(Arc::new(SchemaDescriptor { comment, ..SchemaDescriptor::clone(schema) }))
            }
            ObjectKind::Database => {
                let database = snapshot.database(name).ok_or_else(|| {
                    let message = format!("database \"{name}\" does not exist");
                    PgError::new(SqlState::INVALID_CATALOG_NAME, message)
                })?;
                self.require_owner("database", name, &database.owner)?;
                let changed = DatabaseDescriptor { comment, ..DatabaseDescriptor::clone(database) };
                Object::Database(Arc::new(changed))
            }
            ObjectKind::Role => {
                let role = snapshot.role(name).ok_or_else(|| {
                    PgError::new(SqlState::UNDEFINED_OBJECT, format!("role \"{name}\" does not exist"))
                })?;
                let own = snapshot.role(&self.user).is_some_and(|user| user.superuser || user.create_role);
                if !own {
                    let message = format!("must be member of role \"{name}\"");
                    return Err(PgError::new(SqlState::INSUFFICIENT_PRIVILEGE, message));
                }
                Object::Role(Arc::new(RoleDescriptor { comment, ..RoleDescriptor::clone(role) }))
            }
            ObjectKind::Function | ObjectKind::Procedure | ObjectKind::Routine => {
                let function =
                    self.function_target(statement.kind, &statement.name, statement.arguments.as_deref())?;
                self.require_owner("function", &function.name, &function.owner)?;
                let changed = FunctionDescriptor { comment, ..FunctionDescriptor::clone(&function) };
                Object::Function(Arc::new(changed))
            }
            ObjectKind::Type | ObjectKind::Domain => {
                let changed = self.changeable_type(&statement.name)?;
                if statement.kind == ObjectKind::Domain
                    && !matches!(changed.definition, TypeDefinition::Domain(_))
                {
                    let message = format!("\"{}\" is not a domain", changed.name);
                    return Err(PgError::new(SqlState::WRONG_OBJECT_TYPE, message));
                }
                Object::Type(Arc::new(TypeDescriptor { comment, ..changed }))
            }
            other => {
                return Err(PgError::unsupported(format!("COMMENT ON {}", other.noun().to_uppercase())));
            }
        })
    }

    async fn change_table(&mut self, id: Oid, change: impl FnOnce(&mut TableDescriptor)) -> ExecResult<()> {
        let table = self.descriptor(id);
        self.require_owner("table", &table.name, &table.owner)?;
        self.lock_table(id, LockMode::ShareUpdateExclusive).await?;
        let mut table = TableDescriptor::clone(&self.descriptor(id));
        change(&mut table);
        self.put_table(table).await.map(drop)
    }
}
