//! CREATE SCHEMA, and owners.

use std::sync::Arc;

use executor::ExecResult;
use planner::ast::{CreateSchema, RoleName, SetOwner, SetSchema, StatementKind};
use types::acl::{AclKind, Rights};
use types::descriptor::{
    DatabaseDescriptor, DescriptorVersion, FunctionDescriptor, Oid, SchemaDescriptor, SequenceDescriptor,
    TableDescriptor, ViewDescriptor,
};
use types::{PgError, PgResult, Severity, SqlState};

use super::names::relation_taken;
use crate::catalog::{CatalogSnapshot, NameTarget, Object, Securable, Space, store};
use crate::privileges::denied;
use crate::session::Session;
use crate::session::statement::{Run, Tag};
use crate::table_locks::LockMode;

impl Session {
    pub(super) async fn create_schema(&mut self, create: &CreateSchema, run: &Run<'_>) -> ExecResult<Tag> {
        let owner = match &create.authorization {
            None => self.user.clone(),
            Some(role) => self.role_name(role)?,
        };
        let name = create.name.as_ref().map_or_else(|| owner.clone(), |name| name.name.to_string());
        if name.starts_with("pg_") {
            return Err(PgError::new(
                SqlState::RESERVED_NAME,
                format!("unacceptable schema name \"{name}\""),
            )
            .detail("The prefix \"pg_\" is reserved for system schemas.")
            .into());
        }
        let snapshot = self.snapshot();
        if let Some(database) = snapshot.database_by_id(self.database) {
            self.require_right(&snapshot, (&**database).into(), Rights::CREATE)?;
        }
        if !snapshot.is_member(self.database, &self.user, &owner) {
            let message = format!("must be member of role \"{owner}\"");
            return Err(PgError::new(SqlState::INSUFFICIENT_PRIVILEGE, message).into());
        }
        let exists = self.snapshot().schema(self.database, &name).is_some()
            || crate::virtual_tables::is_system_schema(&name);
        if exists {
            let error = store::already_exists(Space::Schemas(self.database), &name);
            if !create.if_not_exists {
                return Err(error.into());
            }
            let text = format!("{}, skipping", error.message());
            self.notice(PgError::with_severity(Severity::Notice, error.code(), text));
            return Ok(Tag::Plain("CREATE SCHEMA"));
        }
        let schema = SchemaDescriptor {
            id: self.new_oid().await?,
            database: self.database,
            name: name.clone(),
            version: DescriptorVersion(1),
            owner,
            temporary_on: None,
            acl: self.new_acl(AclKind::Schema, None),
            default_acls: Vec::new(),
            comment: None,
        };
        self.put_object(Object::Schema(Arc::new(schema))).await?;
        for element in &create.elements {
            self.create_schema_element(&name, &element.kind, run).await?;
        }
        Ok(Tag::Plain("CREATE SCHEMA"))
    }

    /// A statement within CREATE SCHEMA: its object goes into the new schema.
    async fn create_schema_element(
        &mut self,
        schema: &str,
        kind: &StatementKind,
        _run: &Run<'_>,
    ) -> ExecResult<()> {
        use planner::ast::{Identifier, ObjectName};
        let placed = |name: &ObjectName| match name.parts.as_slice() {
            [last] => ObjectName { parts: vec![Identifier::new(schema, last.position), last.clone()] },
            _ => name.clone(),
        };
        match kind {
            StatementKind::CreateTable(create) => {
                let mut create = create.clone();
                create.name = placed(&create.name);
                self.create_table(&create).await?;
            }
            StatementKind::CreateSequence(create) => {
                let mut create = create.clone();
                create.name = placed(&create.name);
                self.create_sequence(&create).await?;
            }
            StatementKind::CreateView(create) => {
                let mut create = create.clone();
                create.name = placed(&create.name);
                self.create_view(&create).await?;
            }
            _ => return Err(PgError::unsupported("this statement within CREATE SCHEMA").into()),
        }
        Ok(())
    }

    /// The name of a role that must exist.
    pub(super) fn role_name(&mut self, role: &RoleName) -> PgResult<String> {
        match role {
            RoleName::CurrentUser | RoleName::CurrentRole => Ok(self.user.clone()),
            RoleName::SessionUser => Ok(self.session_user.clone()),
            RoleName::Public => {
                Err(PgError::new(SqlState::UNDEFINED_OBJECT, "role \"public\" does not exist"))
            }
            RoleName::Name(name) => {
                if self.snapshot().role_id(&name.name).0 == 0 {
                    return Err(PgError::new(
                        SqlState::UNDEFINED_OBJECT,
                        format!("role \"{}\" does not exist", name.name),
                    ));
                }
                Ok(name.name.to_string())
            }
        }
    }

    /// Gives an object away: the user must own it, and be a member of the role that gets it.
    pub(super) async fn change_owner(&mut self, id: Oid, owner: &RoleName) -> ExecResult<()> {
        let owner = self.role_name(owner)?;
        let snapshot = self.snapshot();
        let object =
            snapshot.object(id).ok_or_else(|| PgError::internal("an object to be given away is gone"))?;
        let securable = Securable::of(object).ok_or_else(|| PgError::internal("a role has no owner"))?;
        if securable.owner == owner {
            return Ok(());
        }
        self.require_owner(securable.noun, securable.name, securable.owner)?;
        if !snapshot.is_member(self.database, &self.user, &owner) {
            let message = format!("must be member of role \"{owner}\"");
            return Err(PgError::new(SqlState::INSUFFICIENT_PRIVILEGE, message).into());
        }
        if !snapshot.is_superuser(&self.user) {
            self.check_new_owner(&snapshot, object, &owner)?;
        }
        self.store_owner(id, &owner).await
    }

    /// The new owner could have made the object himself.
    fn check_new_owner(&self, snapshot: &CatalogSnapshot, object: &Object, owner: &str) -> PgResult<()> {
        let within = match object.schema().and_then(|schema| snapshot.schema_by_id(schema)) {
            Some(schema) => Securable::from(&**schema),
            None => match snapshot.database_by_id(self.database) {
                Some(database) => Securable::from(&**database),
                None => return Ok(()),
            },
        };
        if snapshot.rights(self.database, owner, within, Rights::CREATE, false).is_empty() {
            return Err(denied(within.noun, within.name));
        }
        Ok(())
    }

    /// Stores an object, and the sequences that belong to a table's columns, under another owner. Privileges that the old owner
    /// has granted are the new one's grants.
    pub(super) async fn store_owner(&mut self, id: Oid, owner: &str) -> ExecResult<()> {
        let snapshot = self.snapshot();
        let Some(object) = snapshot.object(id) else { return Ok(()) };
        let Some(securable) = Securable::of(object) else { return Ok(()) };
        let mut acl = securable.acl.clone();
        acl.change_owner(snapshot.role_id(securable.owner), snapshot.role_id(owner));
        let owner = owner.to_string();
        let changed = match object {
            Object::Table(table) => {
                let mut table = TableDescriptor::clone(table);
                let sequences: Vec<Oid> =
                    table.columns.iter().filter_map(|column| column.owned_sequence).collect();
                table.owner.clone_from(&owner);
                table.acl = acl;
                self.put_table(table).await?;
                for sequence in sequences {
                    Box::pin(self.store_owner(sequence, &owner)).await?;
                }
                return Ok(());
            }
            Object::Sequence(sequence) => Object::Sequence(Arc::new(SequenceDescriptor {
                owner,
                acl,
                ..SequenceDescriptor::clone(sequence)
            })),
            Object::View(view) => Object::View(Arc::new(ViewDescriptor {
                owner,
                acl,
                version: DescriptorVersion(view.version.0 + 1),
                ..ViewDescriptor::clone(view)
            })),
            Object::Schema(schema) => {
                Object::Schema(Arc::new(SchemaDescriptor { owner, acl, ..SchemaDescriptor::clone(schema) }))
            }
            Object::Database(database) => Object::Database(Arc::new(DatabaseDescriptor {
                owner,
                acl,
                ..DatabaseDescriptor::clone(database)
            })),
            Object::Function(function) => Object::Function(Arc::new(FunctionDescriptor {
                owner,
                acl,
                version: DescriptorVersion(function.version.0 + 1),
                ..FunctionDescriptor::clone(function)
            })),
            Object::Type(found) => {
                let mut found = types::descriptor::TypeDescriptor::clone(found);
                found.owner = owner;
                found.acl = acl;
                Object::Type(Arc::new(found))
            }
            Object::Role(_) => return Ok(()),
        };
        self.put_object(changed).await
    }

    /// ALTER ... OWNER TO.
    pub(super) async fn set_owner(&mut self, set: &SetOwner) -> ExecResult<Tag> {
        use planner::ast::ObjectKind::*;
        let (id, tag) = match set.kind {
            Table => (self.relation(&set.name)?, "ALTER TABLE"),
            View => (self.relation(&set.name)?, "ALTER VIEW"),
            Sequence => (self.relation(&set.name)?, "ALTER SEQUENCE"),
            Type => (NameTarget::Object(self.type_id(&set.name)?), "ALTER TYPE"),
            Domain => (NameTarget::Object(self.type_id(&set.name)?), "ALTER DOMAIN"),
            Schema => {
                let snapshot = self.snapshot();
                (NameTarget::Object(self.schema_named(&snapshot, set.name.name())?), "ALTER SCHEMA")
            }
            other => {
                return Err(
                    PgError::unsupported(format!("ALTER {} OWNER", other.noun().to_uppercase())).into()
                );
            }
        };
        let NameTarget::Object(id) = id else {
            return Err(PgError::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("cannot change owner of index \"{}\"", set.name.name()),
            )
            .into());
        };
        self.change_owner(id, &set.owner).await?;
        Ok(Tag::Plain(tag))
    }

    /// ALTER ... SET SCHEMA: indexes and owned sequences go along.
    pub(super) async fn set_schema(&mut self, set: &SetSchema) -> ExecResult<Tag> {
        if matches!(set.kind, planner::ast::ObjectKind::Type | planner::ast::ObjectKind::Domain) {
            return self.move_type(set).await;
        }
        let Some(target) = self.find_relation(&set.name)? else {
            let error =
                PgError::new(SqlState::UNDEFINED_TABLE, format!("relation \"{}\" does not exist", set.name));
            if !set.if_exists {
                return Err(error.into());
            }
            let text = format!("{}, skipping", error.message());
            self.notice(PgError::with_severity(Severity::Notice, error.code(), text));
            return Ok(Tag::Plain("ALTER TABLE"));
        };
        let snapshot = self.snapshot();
        let schema = self.schema_named(&snapshot, &set.schema.name)?;
        let NameTarget::Object(id) = target else {
            return Err(PgError::new(SqlState::WRONG_OBJECT_TYPE, "an index moves with its table").into());
        };
        if relation_taken(&snapshot, schema, set.name.name())
            && snapshot.object(id).is_some_and(|o| o.space() != Space::Relations(schema))
        {
            return Err(store::already_exists(Space::Relations(schema), set.name.name()).into());
        }
        let tag = match snapshot.object(id) {
            Some(Object::Table(_)) => {
                self.lock_table(id, LockMode::AccessExclusive).await?;
                let mut table = TableDescriptor::clone(&self.descriptor(id));
                table.schema = schema;
                let sequences: Vec<Oid> =
                    table.columns.iter().filter_map(|column| column.owned_sequence).collect();
                self.put_table(table).await?;
                for sequence in sequences {
                    self.move_sequence(sequence, schema).await?;
                }
                "ALTER TABLE"
            }
            Some(Object::Sequence(_)) => {
                self.move_sequence(id, schema).await?;
                "ALTER SEQUENCE"
            }
            Some(Object::View(view)) => {
                let moved = ViewDescriptor { schema, ..ViewDescriptor::clone(view) };
                self.put_object(Object::View(Arc::new(moved))).await?;
                "ALTER VIEW"
            }
            _ => return Err(PgError::internal("a relation is a table, a sequence or a view").into()),
        };
        Ok(Tag::Plain(tag))
    }

    async fn move_sequence(&mut self, id: Oid, schema: Oid) -> ExecResult<()> {
        let snapshot = self.snapshot();
        let Some(sequence) = snapshot.sequence(id) else { return Ok(()) };
        let moved = SequenceDescriptor { schema, ..SequenceDescriptor::clone(sequence) };
        self.put_object(Object::Sequence(Arc::new(moved))).await
    }
}
