//! GRANT and REVOKE on objects, and ALTER DEFAULT PRIVILEGES.
//!
//! ```text
//!   privileges named ─▶ objects named ─▶ for each: who grants? ─▶ what of it may he grant? ─▶ list changed, object stored
//!                                        (the owner, or the role of his with most grant options)
//! ```
//!
//! As in PostgreSQL somebody who may grant nothing of what he names is refused only if he has no privilege on the object at all;
//! otherwise he is warned and the rest is granted.

use std::sync::Arc;

use executor::ExecResult;
use planner::ast::{AlterDefaultPrivileges, Grant, GrantTarget, ObjectKind, ObjectName, Privilege, RoleName};
use types::acl::{Acl, AclChange, AclKind, PUBLIC, Rights};
use types::descriptor::TypeDescriptor;
use types::descriptor::{
    DatabaseDescriptor, DefaultAcl, DescriptorVersion, FunctionDescriptor, Oid, SchemaDescriptor,
    SequenceDescriptor, TableDescriptor, ViewDescriptor,
};
use types::{PgError, PgResult, SqlState};

use super::names::wrong_kind;
use crate::catalog::{CatalogSnapshot, NameTarget, Object, Securable};
use crate::privileges::{column_acls, column_securable, denied};
use crate::session::Session;
use crate::session::statement::Tag;
use crate::table_locks::LockMode;

fn invalid(message: impl Into<String>) -> PgError {
    PgError::new(SqlState::INVALID_GRANT_OPERATION, message)
}

/// The kind of objects that a statement names, and the word for it.
fn acl_kind(kind: ObjectKind) -> PgResult<(AclKind, &'static str)> {
    Ok(match kind {
        ObjectKind::Table => (AclKind::Table, "relation"),
        ObjectKind::Sequence => (AclKind::Sequence, "sequence"),
        ObjectKind::Database => (AclKind::Database, "database"),
        ObjectKind::Schema => (AclKind::Schema, "schema"),
        ObjectKind::Function | ObjectKind::Procedure | ObjectKind::Routine => {
            (AclKind::Function, kind.noun())
        }
        ObjectKind::Type | ObjectKind::Domain => (AclKind::Type, kind.noun()),
        other => {
            return Err(PgError::unsupported(format!("GRANT ON {}", other.noun().to_uppercase())));
        }
    })
}

/// What a statement grants: on the whole object, and on columns. `all`: ALL PRIVILEGES, so that nothing is missing if the kind
/// of object does not have one of them.
struct Wanted {
    rights: Rights,
    columns: Vec<(String, Rights)>,
    all: bool,
}

fn wanted(privileges: &[Privilege], kind: AclKind, noun: &str) -> PgResult<Wanted> {
    let mut wanted = Wanted { rights: Rights::NONE, columns: Vec::new(), all: privileges.is_empty() };
    if wanted.all {
        wanted.rights = kind.all();
    }
    for privilege in privileges {
        let is_all = &*privilege.name == "all";
        let right = match &*privilege.name {
            "all" => AclKind::Column.all(),
            "temp" => Rights::TEMPORARY,
            name => Rights::named(name).ok_or_else(|| {
                PgError::new(SqlState::SYNTAX_ERROR, format!("unrecognized privilege type \"{name}\""))
            })?,
        };
        if privilege.columns.is_empty() {
            // A sequence may be named by GRANT ON TABLE.
            let known = if kind == AclKind::Table { kind.all().with(Rights::USAGE) } else { kind.all() };
            if !known.contains(right) {
                return Err(invalid(format!("invalid privilege type {} for {noun}", right.word())));
            }
            wanted.rights = wanted.rights.with(right);
            continue;
        }
        if kind != AclKind::Table {
            return Err(invalid("column privileges are only valid for relations"));
        }
        if !is_all && !AclKind::Column.all().contains(right) {
            return Err(invalid(format!("invalid privilege type {} for column", right.word())));
        }
        for column in &privilege.columns {
            match wanted.columns.iter_mut().find(|(name, _)| *name == *column.name) {
                Some((_, rights)) => *rights = rights.with(right),
                None => wanted.columns.push((column.name.to_string(), right)),
            }
        }
    }
    Ok(wanted)
}

impl Session {
    pub(super) async fn run_grant(&mut self, grant: &Grant) -> ExecResult<Tag> {
        let tag = Tag::Plain(if grant.grant { "GRANT" } else { "REVOKE" });
        let kind = match &grant.target {
            GrantTarget::Objects { kind, .. } | GrantTarget::AllInSchema { kind, .. } => *kind,
        };
        let (acl_kind, noun) = acl_kind(kind)?;
        let wanted = wanted(&grant.privileges, acl_kind, noun)?;
        let grantees = self.grantees(grant)?;
        for id in self.grant_objects(&grant.target, acl_kind)? {
            self.grant_on(id, acl_kind, grant, &wanted, &grantees).await?;
        }
        Ok(tag)
    }

    fn grantees(&mut self, grant: &Grant) -> PgResult<Vec<Oid>> {
        let mut ids = Vec::with_capacity(grant.grantees.len());
        for grantee in &grant.grantees {
            let id = match grantee {
                RoleName::Public if grant.grant && grant.with_grant_option => {
                    return Err(invalid("grant options can only be granted to roles"));
                }
                RoleName::Public => PUBLIC,
                other => {
                    let name = self.role_name(other)?;
                    self.snapshot().role_id(&name)
                }
            };
            ids.push(id);
        }
        Ok(ids)
    }

    /// The objects that a statement names.
    fn grant_objects(&mut self, target: &GrantTarget, kind: AclKind) -> PgResult<Vec<Oid>> {
        let snapshot = self.snapshot();
        match target {
            GrantTarget::Objects { kind, names } => {
                names.iter().map(|name| self.grant_object(*kind, name)).collect()
            }
            GrantTarget::AllInSchema { schemas, .. } => {
                let mut ids = Vec::new();
                for schema in schemas {
                    let schema = self.schema_named(&snapshot, &schema.name)?;
                    let fits = |object: &&Object| {
                        object.schema() == Some(schema)
                            && Securable::of(object).is_some_and(|securable| securable.kind == kind)
                    };
                    ids.extend(snapshot.objects().filter(fits).map(Object::id));
                }
                Ok(ids)
            }
        }
    }

    fn grant_object(&mut self, kind: ObjectKind, name: &ObjectName) -> PgResult<Oid> {
        let snapshot = self.snapshot();
        match kind {
            ObjectKind::Table | ObjectKind::Sequence => match self.relation(name)? {
                NameTarget::Index { .. } => {
                    Err(PgError::new(SqlState::WRONG_OBJECT_TYPE, format!("\"{}\" is an index", name.name())))
                }
                NameTarget::Object(id) if kind == ObjectKind::Sequence && snapshot.sequence(id).is_none() => {
                    Err(wrong_kind(name.name(), ObjectKind::Sequence))
                }
                NameTarget::Object(id) => Ok(id),
            },
            ObjectKind::Schema => self.schema_named(&snapshot, name.name()),
            ObjectKind::Database => {
                snapshot.database(name.name()).map(|database| database.id).ok_or_else(|| {
                    PgError::new(
                        SqlState::INVALID_CATALOG_NAME,
                        format!("database \"{}\" does not exist", name.name()),
                    )
                })
            }
            ObjectKind::Function | ObjectKind::Procedure | ObjectKind::Routine => {
                self.function_target(kind, name, None).map(|function| function.id)
            }
            other => Err(PgError::unsupported(format!("GRANT ON {}", other.noun().to_uppercase()))),
        }
    }

    async fn grant_on(
        &mut self,
        id: Oid,
        named: AclKind,
        grant: &Grant,
        wanted: &Wanted,
        grantees: &[Oid],
    ) -> ExecResult<()> {
        if self.snapshot().table(id).is_some() {
            self.lock_table(id, LockMode::ShareUpdateExclusive).await?;
        }
        let snapshot = self.snapshot();
        let Some(object) = snapshot.object(id).cloned() else { return Ok(()) };
        let Some(securable) = Securable::of(&object) else { return Ok(()) };
        let rights = self.rights_for(securable, named, wanted)?;
        let mut changed = object.clone();
        if !rights.is_empty() {
            let mut acl = securable.acl.clone();
            self.change_acl(&snapshot, securable, &mut acl, rights, wanted.all, grant, grantees)?;
            set_acl(&mut changed, acl);
            if !grant.grant && securable.kind == AclKind::Table {
                self.revoke_from_columns(&snapshot, &object, &mut changed, rights, grant, grantees)?;
            }
        }
        for (column, rights) in &wanted.columns {
            let found = column_acls(&object).into_iter().find(|(_, name, _)| name == column);
            let Some((number, name, acl)) = found else {
                let message =
                    format!("column \"{column}\" of relation \"{}\" does not exist", securable.name);
                return Err(PgError::new(SqlState::UNDEFINED_COLUMN, message).into());
            };
            let Some(column) = column_securable(&object, name, acl) else { continue };
            let mut acl = acl.clone();
            self.change_acl(&snapshot, column, &mut acl, *rights, false, grant, grantees)?;
            set_column_acl(&mut changed, number, acl);
        }
        if changed == object {
            return Ok(());
        }
        match changed {
            Object::Table(table) => self.put_table(TableDescriptor::clone(&table)).await.map(drop),
            other => self.put_object(other).await,
        }
    }

    /// The privileges as the very kind of object has them: GRANT ON TABLE may name a sequence.
    fn rights_for(&mut self, object: Securable<'_>, named: AclKind, wanted: &Wanted) -> PgResult<Rights> {
        let known = object.kind.all();
        if wanted.all {
            return Ok(known);
        }
        let rights = wanted.rights;
        if known.contains(rights) {
            return Ok(rights);
        }
        if named == AclKind::Table && object.kind == AclKind::Sequence {
            self.notice(PgError::warning(
                SqlState::INVALID_GRANT_OPERATION,
                format!("sequence \"{}\" only supports USAGE, SELECT, and UPDATE privileges", object.name),
            ));
            return Ok(rights.common(known));
        }
        let extra = rights.without(known).each().next().map_or("", Rights::word);
        Err(invalid(format!("invalid privilege type {extra} for table")))
    }

    /// REVOKE of a privilege on a table takes it from its columns as well.
    fn revoke_from_columns(
        &mut self,
        snapshot: &CatalogSnapshot,
        object: &Object,
        changed: &mut Object,
        rights: Rights,
        grant: &Grant,
        grantees: &[Oid],
    ) -> PgResult<()> {
        let rights = rights.common(AclKind::Column.all());
        for (number, name, acl) in column_acls(object) {
            let Some(column) = column_securable(object, name, acl) else { continue };
            if rights.is_empty() || acl.is_default() {
                continue;
            }
            let mut acl = acl.clone();
            self.change_acl(snapshot, column, &mut acl, rights, true, grant, grantees)?;
            set_column_acl(changed, number, acl);
        }
        Ok(())
    }

    /// Grants or revokes on one object, as whoever may grant most of it.
    #[allow(clippy::too_many_arguments)]
    fn change_acl(
        &mut self,
        snapshot: &CatalogSnapshot,
        object: Securable<'_>,
        acl: &mut Acl,
        rights: Rights,
        all: bool,
        grant: &Grant,
        grantees: &[Oid],
    ) -> PgResult<()> {
        let (grantor, options) = self.best_grantor(snapshot, object, rights);
        let allowed = rights.common(options);
        if options.is_empty() {
            let whole = object.kind.all();
            let any = snapshot.rights(self.database, &self.user, object, whole, false);
            let any = any.with(snapshot.rights(self.database, &self.user, object, whole, true));
            if any.is_empty() {
                return Err(denied(object.noun, object.name));
            }
        }
        self.warn_restricted(object, rights, allowed, all, grant.grant);
        let owner = snapshot.role_id(object.owner);
        for grantee in grantees {
            let option = if grant.grant { grant.with_grant_option } else { grant.grant_option_for };
            let change = AclChange { grantee: *grantee, grantor, rights: allowed, option };
            if allowed.is_empty() {
                continue;
            }
            if grant.grant {
                acl.grant(object.kind, owner, change)?;
            } else {
                acl.revoke(object.kind, owner, change, grant.cascade)?;
            }
        }
        Ok(())
    }

    fn warn_restricted(
        &mut self,
        object: Securable<'_>,
        rights: Rights,
        allowed: Rights,
        all: bool,
        grant: bool,
    ) {
        let (code, verb) = if grant {
            (SqlState::PRIVILEGE_NOT_GRANTED, "granted")
        } else {
            (SqlState::PRIVILEGE_NOT_REVOKED, "could be revoked")
        };
        let were = if grant { "were granted" } else { verb };
        let message = match () {
            _ if allowed.is_empty() => format!("no privileges {were} for \"{}\"", object.name),
            _ if !all && allowed != rights => format!("not all privileges {were} for \"{}\"", object.name),
            _ => return,
        };
        self.notice(PgError::warning(code, message));
    }

    /// select_best_grantor: the owner if the user acts as such, else the role of his with most of the grant options.
    fn best_grantor(
        &self,
        snapshot: &CatalogSnapshot,
        object: Securable<'_>,
        rights: Rights,
    ) -> (Oid, Rights) {
        let owner = snapshot.role_id(object.owner);
        if snapshot.acts_as(self.database, &self.user, object.owner) {
            return (owner, rights);
        }
        let own = snapshot.role_id(&self.user);
        let mut best = (own, Rights::NONE);
        for role in snapshot.roles_of(self.database, own, true) {
            let options = object.acl.rights_of(object.kind, owner, rights, true, &|id| id == role);
            if options == rights {
                return (role, options);
            }
            if options.0.count_ones() > best.1.0.count_ones() {
                best = (role, options);
            }
        }
        best
    }

    // --- Defaults of objects to come.

    pub(super) async fn alter_default_privileges(
        &mut self,
        alter: &AlterDefaultPrivileges,
    ) -> ExecResult<Tag> {
        let grant = &alter.grant;
        let GrantTarget::AllInSchema { kind, .. } = &grant.target else {
            return Err(PgError::internal("default privileges name a kind of objects").into());
        };
        let (kind, noun) = acl_kind(*kind)?;
        if kind == AclKind::Schema && !alter.schemas.is_empty() {
            return Err(invalid("cannot use IN SCHEMA clause when using GRANT/REVOKE ON SCHEMAS").into());
        }
        let wanted = wanted(&grant.privileges, kind, noun)?;
        if !wanted.columns.is_empty() {
            return Err(invalid("default privileges cannot be set for columns").into());
        }
        let grantees = self.grantees(grant)?;
        let snapshot = self.snapshot();
        let mut roles = Vec::with_capacity(alter.roles.len());
        for role in &alter.roles {
            let name = self.role_name(role)?;
            if !snapshot.is_member(self.database, &self.user, &name) {
                return Err(PgError::new(
                    SqlState::INSUFFICIENT_PRIVILEGE,
                    format!("must be member of role \"{name}\""),
                )
                .into());
            }
            roles.push(snapshot.role_id(&name));
        }
        if alter.roles.is_empty() {
            roles.push(snapshot.role_id(&self.user));
        }
        let mut schemas = Vec::with_capacity(alter.schemas.len());
        for schema in &alter.schemas {
            schemas.push(self.schema_named(&snapshot, &schema.name)?);
        }
        let change = DefaultChange { kind, rights: wanted.rights, grant, grantees: &grantees };
        for role in roles {
            if schemas.is_empty() {
                let Some(database) = self.snapshot().database_by_id(self.database).cloned() else { continue };
                let mut database = DatabaseDescriptor::clone(&database);
                change.apply(&mut database.default_acls, role, Acl::default())?;
                self.put_object(Object::Database(Arc::new(database))).await?;
            }
            for schema in &schemas {
                let Some(schema) = self.snapshot().schema_by_id(*schema).cloned() else { continue };
                let mut schema = SchemaDescriptor::clone(&schema);
                change.apply(&mut schema.default_acls, role, Acl(Some(Vec::new())))?;
                self.put_object(Object::Schema(Arc::new(schema))).await?;
            }
        }
        Ok(Tag::Plain("ALTER DEFAULT PRIVILEGES"))
    }

    /// The list that a new object of the user's begins with.
    pub(super) fn new_acl(&mut self, kind: AclKind, schema: Option<Oid>) -> Acl {
        let snapshot = self.snapshot();
        let owner = snapshot.role_id(&self.user);
        let of = |list: &[DefaultAcl]| {
            list.iter().find(|entry| entry.role == owner && entry.kind == kind).map(|entry| entry.acl.clone())
        };
        let general = snapshot.database_by_id(self.database).and_then(|database| of(&database.default_acls));
        let special =
            schema.and_then(|id| snapshot.schema_by_id(id)).and_then(|schema| of(&schema.default_acls));
        if general.is_none() && special.is_none() {
            return Acl::default();
        }
        let mut acl = Acl(Some(general.unwrap_or_default().items(kind, owner)));
        for item in special.into_iter().flat_map(|acl| acl.0).flatten() {
            let change =
                |rights, option| AclChange { grantee: item.grantee, grantor: item.grantor, rights, option };
            // Merging lists that exist cannot close a circle that was not there.
            let _ = acl.grant(kind, owner, change(item.rights, false));
            let _ = acl.grant(kind, owner, change(item.grantable, true));
        }
        if acl.0.as_deref() == Some(&Acl::default().items(kind, owner)) { Acl::default() } else { acl }
    }
}

struct DefaultChange<'a> {
    kind: AclKind,
    rights: Rights,
    grant: &'a Grant,
    grantees: &'a [Oid],
}

impl DefaultChange<'_> {
    /// Changes a role's entry; one that says what holds anyway is taken out.
    fn apply(&self, entries: &mut Vec<DefaultAcl>, role: Oid, initial: Acl) -> PgResult<()> {
        let position = entries.iter().position(|entry| entry.role == role && entry.kind == self.kind);
        let mut acl = position.map_or(initial.clone(), |position| entries[position].acl.clone());
        let option =
            if self.grant.grant { self.grant.with_grant_option } else { self.grant.grant_option_for };
        for grantee in self.grantees {
            let change = AclChange { grantee: *grantee, grantor: role, rights: self.rights, option };
            if self.grant.grant {
                acl.grant(self.kind, role, change)?;
            } else {
                acl.revoke(self.kind, role, change, self.grant.cascade)?;
            }
        }
        if let Some(position) = position {
            entries.remove(position);
        }
        if acl.items(self.kind, role) != initial.items(self.kind, role) {
            // As PostgreSQL keeps them.
            acl.0.iter_mut().for_each(|items| items.sort_by_key(|item| (item.grantee, item.grantor)));
            entries.push(DefaultAcl { role, kind: self.kind, acl });
        }
        Ok(())
    }
}

/// Gives an object another list. (A table's version is counted by whoever stores it.)
pub fn set_acl(object: &mut Object, acl: Acl) {
    match object {
        Object::Table(table) => *table = Arc::new(TableDescriptor { acl, ..TableDescriptor::clone(table) }),
        Object::View(view) => {
            let version = DescriptorVersion(view.version.0 + 1);
            *view = Arc::new(ViewDescriptor { acl, version, ..ViewDescriptor::clone(view) });
        }
        Object::Sequence(sequence) => {
            *sequence = Arc::new(SequenceDescriptor { acl, ..SequenceDescriptor::clone(sequence) });
        }
        Object::Schema(schema) => {
            *schema = Arc::new(SchemaDescriptor { acl, ..SchemaDescriptor::clone(schema) });
        }
        Object::Database(database) => {
            *database = Arc::new(DatabaseDescriptor { acl, ..DatabaseDescriptor::clone(database) });
        }
        Object::Function(function) => {
            let version = DescriptorVersion(function.version.0 + 1);
            *function = Arc::new(FunctionDescriptor { acl, version, ..FunctionDescriptor::clone(function) });
        }
        Object::Type(found) => *found = Arc::new(TypeDescriptor { acl, ..TypeDescriptor::clone(found) }),
        Object::Role(_) => {}
    }
}

/// Gives a column another list.
pub fn set_column_acl(object: &mut Object, number: types::descriptor::ColumnId, acl: Acl) {
    match object {
        Object::Table(table) => {
            let mut changed = TableDescriptor::clone(table);
            if let Some(column) = changed.columns.iter_mut().find(|column| column.id == number) {
                column.acl = acl;
            }
            *table = Arc::new(changed);
        }
        Object::View(view) => {
            let mut changed = ViewDescriptor::clone(view);
            if let Some(column) = changed.columns.get_mut(usize::from(number.0) - 1) {
                column.acl = acl;
            }
            *view = Arc::new(changed);
        }
        _ => {}
    }
}
