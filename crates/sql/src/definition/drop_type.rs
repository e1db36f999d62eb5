//! DROP TYPE, DROP DOMAIN.

use std::sync::Arc;

use executor::ExecResult;
use planner::ast::{DropStatement, Identifier, ObjectKind};
use types::descriptor::{Oid, TableDescriptor, TypeDefinition, TypeDescriptor};
use types::{PgError, PgResult, Severity, SqlState};

use super::drop::has_dependents;
use super::user_type::{mentions, missing_type};
use crate::catalog::{NameTarget, Object};
use crate::session::Session;
use crate::session::statement::Tag;
use crate::table_locks::LockMode;

/// What stands in the way of dropping a type.
enum Dependent {
    Column {
        table: Oid,
        name: String,
    },
    /// A view, or a type over the type.
    Object(Oid),
}

impl Session {
    pub(super) async fn drop_types(&mut self, drop: &DropStatement) -> ExecResult<Tag> {
        let domain = drop.kind == ObjectKind::Domain;
        let mut found: Vec<Arc<TypeDescriptor>> = Vec::with_capacity(drop.names.len());
        for name in &drop.names {
            let id = match self.find_type(name) {
                Ok(id) => id,
                Err(error) if drop.if_exists && error.code() == SqlState::INVALID_SCHEMA_NAME => None,
                Err(error) => return Err(error.into()),
            };
            let Some(id) = id else {
                if !drop.if_exists {
                    return Err(self.no_type_to_drop(name).into());
                }
                self.notice(PgError::notice(format!("type \"{name}\" does not exist, skipping")));
                continue;
            };
            found.push(self.droppable(id, name.name(), domain)?);
        }
        let together: Vec<Oid> = found.iter().map(|descriptor| descriptor.id).collect();
        for descriptor in found {
            self.drop_type(&descriptor, drop.cascade, &together).await?;
        }
        Ok(Tag::Plain(if domain { "DROP DOMAIN" } else { "DROP TYPE" }))
    }

    fn no_type_to_drop(&mut self, name: &planner::ast::ObjectName) -> PgError {
        let builtin = types::BUILTIN_TYPES.iter().any(|known| known.pg_name() == Some(name.name()));
        if builtin && name.schema().is_none_or(|schema| schema == "pg_catalog") {
            return PgError::new(
                SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                format!("cannot drop type {} because it is required by the database system", name.name()),
            );
        }
        missing_type(name)
    }

    fn droppable(&mut self, id: Oid, name: &str, domain: bool) -> PgResult<Arc<TypeDescriptor>> {
        let snapshot = self.snapshot();
        let Some(descriptor) = snapshot.user_type_descriptor(id) else {
            return Err(PgError::new(
                SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                format!("cannot drop type {name} because table {name} requires it"),
            )
            .hint(format!("You can drop table {name} instead.")));
        };
        if domain && !matches!(descriptor.definition, TypeDefinition::Domain(_)) {
            return Err(PgError::new(SqlState::WRONG_OBJECT_TYPE, format!("\"{name}\" is not a domain")));
        }
        Ok(descriptor.clone())
    }

    pub(super) async fn drop_type(
        &mut self,
        descriptor: &TypeDescriptor,
        cascade: bool,
        together: &[Oid],
    ) -> ExecResult<()> {
        self.require_owner("type", &descriptor.name, &descriptor.owner)?;
        let what = format!("type {}", descriptor.name);
        self.drop_type_dependents(descriptor.id, &what, cascade, together).await?;
        if self.snapshot().object(descriptor.id).is_some() {
            self.remove_object(descriptor.id).await?;
        }
        Ok(())
    }

    /// Columns of the type go too, or stand in the way; views that show it, and types over it, likewise.
    pub(super) async fn drop_type_dependents(
        &mut self,
        id: Oid,
        what: &str,
        cascade: bool,
        together: &[Oid],
    ) -> ExecResult<()> {
        let dependents = self.type_dependents(id, together);
        if dependents.is_empty() {
            return Ok(());
        }
        if !cascade {
            let texts: Vec<String> =
                dependents.iter().map(|(text, _)| format!("{text} depends on {what}")).collect();
            return Err(has_dependents(what, &texts).into());
        }
        for (text, dependent) in dependents {
            self.notice(PgError::with_severity(
                Severity::Notice,
                SqlState::SUCCESSFUL_COMPLETION,
                format!("drop cascades to {text}"),
            ));
            match dependent {
                Dependent::Column { table, name } => {
                    // The table may have gone with something else.
                    if self.snapshot().table(table).is_none() {
                        continue;
                    }
                    self.lock_table(table, LockMode::AccessExclusive).await?;
                    let table = TableDescriptor::clone(&self.descriptor(table));
                    let column = Identifier::new(name.as_str(), 0);
                    Box::pin(self.drop_column(table, &column, true, true)).await?;
                }
                Dependent::Object(object) => {
                    Box::pin(self.drop_relation(object, true, together)).await?;
                }
            }
        }
        Ok(())
    }

    fn type_dependents(&mut self, id: Oid, together: &[Oid]) -> Vec<(String, Dependent)> {
        let snapshot = self.snapshot();
        let mut dependents = Vec::new();
        for object in snapshot.objects().filter(|object| object.id() != id) {
            if together.contains(&object.id()) {
                continue;
            }
            let uses = |data_type| mentions(&snapshot, data_type, id);
            match object {
                Object::Table(table) => {
                    let columns = table.columns.iter().filter(|column| uses(column.column_type.data_type));
                    dependents.extend(columns.map(|column| {
                        let text = format!("column {} of table {}", column.name, table.name);
                        (text, Dependent::Column { table: table.id, name: column.name.clone() })
                    }));
                }
                Object::View(view)
                    if view.columns.iter().any(|column| uses(column.column_type.data_type)) =>
                {
                    dependents.push((format!("view {}", view.name), Dependent::Object(view.id)));
                }
                Object::Type(other) => {
                    let over = match &other.definition {
                        TypeDefinition::Domain(domain) => uses(domain.parent.data_type),
                        TypeDefinition::Composite { attributes } => {
                            attributes.iter().any(|attribute| uses(attribute.column_type.data_type))
                        }
                        TypeDefinition::Enum { .. } => false,
                    };
                    if over {
                        let kind = super::names::kind_of(&snapshot, NameTarget::Object(other.id)).noun();
                        dependents.push((format!("{kind} {}", other.name), Dependent::Object(other.id)));
                    }
                }
                _ => {}
            }
        }
        dependents
    }
}
