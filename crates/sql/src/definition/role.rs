//! CREATE ROLE, ALTER ROLE, DROP ROLE; membership; DROP OWNED and REASSIGN OWNED.

use std::sync::Arc;

use executor::ExecResult;
use pgserver::{SCRAM_SALT_BYTES, ScramVerifier};
use planner::ast::{
    AlterRole, AlterRoleAction, CreateRole, DropRole, GrantRole, Owned, RoleName, RoleOption,
};
use types::acl::Acl;
use types::descriptor::{DatabaseDescriptor, DefaultAcl, Oid, SchemaDescriptor};
use types::{DataType, Datum, PgError, PgResult, SqlState};

use super::grant::{set_acl, set_column_acl};
use crate::catalog::{CatalogSnapshot, Object, RoleDescriptor, Securable, Space, store};
use crate::privileges::column_acls;
use crate::session::Session;
use crate::session::statement::Tag;

impl Session {
    fn require_role_privilege(&mut self) -> PgResult<()> {
        let snapshot = self.snapshot();
        let may = snapshot.role(&self.user).is_some_and(|role| role.superuser || role.create_role);
        if may {
            return Ok(());
        }
        Err(PgError::new(SqlState::INSUFFICIENT_PRIVILEGE, "permission denied to create role"))
    }

    pub(super) async fn create_role(&mut self, create: &CreateRole) -> ExecResult<Tag> {
        self.require_role_privilege()?;
        let RoleName::Name(name) = &create.name else {
            return Err(PgError::new(SqlState::RESERVED_NAME, "this role name is reserved").into());
        };
        if name.name.starts_with("pg_") {
            return Err(PgError::new(
                SqlState::RESERVED_NAME,
                format!("role name \"{}\" is reserved", name.name),
            )
            .detail("Role names starting with \"pg_\" are reserved.")
            .into());
        }
        if self.snapshot().role(&name.name).is_some() {
            return Err(store::already_exists(Space::Roles, &name.name).into());
        }
        let mut role = RoleDescriptor {
            login: create.statement == "user",
            ..RoleDescriptor::new(self.new_oid().await?, &*name.name)
        };
        self.apply_role_options(&mut role, &create.options)?;
        if role.superuser && !self.snapshot().is_superuser(&self.user) {
            let message = "must be superuser to create superusers";
            return Err(PgError::new(SqlState::INSUFFICIENT_PRIVILEGE, message).into());
        }
        let name = role.name.clone();
        self.put_object(Object::Role(Arc::new(role))).await?;
        for option in &create.options {
            match option {
                RoleOption::InRole(groups) => {
                    for group in groups {
                        let group = self.role_name(group)?;
                        self.add_member(&group, &name, false).await?;
                    }
                }
                RoleOption::Role(members) | RoleOption::Admin(members) => {
                    let admin = matches!(option, RoleOption::Admin(_));
                    for member in members {
                        let member = self.role_name(member)?;
                        self.add_member(&name, &member, admin).await?;
                    }
                }
                _ => {}
            }
        }
        Ok(Tag::Plain("CREATE ROLE"))
    }

    fn apply_role_options(&mut self, role: &mut RoleDescriptor, options: &[RoleOption]) -> PgResult<()> {
        for option in options {
            match option {
                RoleOption::Superuser(value) => role.superuser = *value,
                RoleOption::CreateDatabase(value) => role.create_database = *value,
                RoleOption::CreateRole(value) => role.create_role = *value,
                RoleOption::Inherit(value) => role.inherit = *value,
                RoleOption::Login(value) => role.login = *value,
                RoleOption::Replication(false) | RoleOption::BypassRowSecurity(false) => {}
                RoleOption::Replication(true) => {
                    return Err(PgError::unsupported("the REPLICATION attribute"));
                }
                RoleOption::BypassRowSecurity(true) => {
                    return Err(PgError::unsupported("the BYPASSRLS attribute"));
                }
                RoleOption::ConnectionLimit(limit) if *limit < -1 => {
                    let message = format!("invalid connection limit: {limit}");
                    return Err(PgError::new(SqlState::INVALID_PARAMETER_VALUE, message));
                }
                RoleOption::ConnectionLimit(limit) => role.connection_limit = *limit,
                RoleOption::Password(None) => role.verifier = None,
                RoleOption::Password(Some(password)) => role.verifier = Some(self.verifier(password)),
                RoleOption::ValidUntil(text) => {
                    let (to, format) = (DataType::TimestampTz, &self.info().format);
                    let parsed = types::format::parse_text(to, -1, text, format)?;
                    role.valid_until = match parsed {
                        Datum::TimestampTz(microseconds) => Some(microseconds),
                        _ => None,
                    };
                }
                // Memberships concern other roles as well: whoever stores the role sees to them.
                RoleOption::InRole(_) | RoleOption::Role(_) | RoleOption::Admin(_) => {}
                RoleOption::SystemId => {}
            }
        }
        Ok(())
    }

    /// What is stored of a password. A verifier given as such is kept (pg_dumpall writes them).
    fn verifier(&self, password: &str) -> String {
        if password.parse::<ScramVerifier>().is_ok() {
            return password.to_string();
        }
        let mut salt = [0; SCRAM_SALT_BYTES];
        for chunk in salt.chunks_mut(8) {
            chunk.copy_from_slice(&self.server.env.entropy().to_be_bytes()[..chunk.len()]);
        }
        ScramVerifier::from_password(password, salt).to_string()
    }

    pub(super) async fn alter_role(&mut self, alter: &AlterRole) -> ExecResult<Tag> {
        if let AlterRoleAction::Set { database, variable } = &alter.action {
            let name = alter.name.as_ref().map(|name| self.role_name(name)).transpose()?;
            let database = database.as_ref().map(|database| &*database.name);
            return self.store_role_setting(name.as_deref(), database, variable).await;
        }
        let Some(name) = &alter.name else { return Err(PgError::unsupported("ALTER ROLE ALL").into()) };
        let name = self.role_name(name)?;
        if name != self.user {
            self.require_role_privilege()?;
        }
        let options = match &alter.action {
            AlterRoleAction::Options(options) => options,
            AlterRoleAction::Members { add, members } => {
                for member in members {
                    let member = self.role_name(member)?;
                    if *add {
                        self.add_member(&name, &member, false).await?;
                    } else {
                        self.remove_member(&name, &member, false).await?;
                    }
                }
                return Ok(Tag::Plain("ALTER ROLE"));
            }
            AlterRoleAction::Set { .. } => return Err(PgError::internal("stored above").into()),
        };
        let snapshot = self.snapshot();
        let mut role = RoleDescriptor::clone(snapshot.role(&name).expect("just found"));
        let was_superuser = role.superuser;
        self.apply_role_options(&mut role, options)?;
        let user = snapshot.role(&self.user);
        let names_superuser = options.iter().any(|option| matches!(option, RoleOption::Superuser(_)));
        let only_password = options.iter().all(|option| matches!(option, RoleOption::Password(_)));
        let refusal = if (was_superuser || names_superuser) && !user.is_some_and(|user| user.superuser) {
            Some("must be superuser to alter superuser roles or change superuser attribute")
        } else if !only_password && !user.is_some_and(|user| user.superuser || user.create_role) {
            // Everybody may change the own password, and nothing else.
            Some("permission denied")
        } else {
            None
        };
        if let Some(message) = refusal {
            return Err(PgError::new(SqlState::INSUFFICIENT_PRIVILEGE, message).into());
        }
        self.put_object(Object::Role(Arc::new(role))).await?;
        Ok(Tag::Plain("ALTER ROLE"))
    }

    pub(super) async fn drop_role(&mut self, drop: &DropRole) -> ExecResult<Tag> {
        self.require_role_privilege()?;
        for name in &drop.names {
            let name = match self.role_name(name) {
                Ok(name) => name,
                Err(error) if drop.if_exists && error.code() == SqlState::UNDEFINED_OBJECT => {
                    let text = format!("{}, skipping", error.message());
                    self.notice(PgError::notice(text));
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            if name == self.user {
                return Err(PgError::new(SqlState::OBJECT_IN_USE, "current user cannot be dropped").into());
            }
            let snapshot = self.snapshot();
            if name == self.session_user {
                return Err(PgError::new(SqlState::OBJECT_IN_USE, "session user cannot be dropped").into());
            }
            let role = snapshot.role(&name).expect("just found").clone();
            if role.superuser && !snapshot.is_superuser(&self.user) {
                let message = "must be superuser to drop superusers";
                return Err(PgError::new(SqlState::INSUFFICIENT_PRIVILEGE, message).into());
            }
            let dependents = dependents(&snapshot, &role);
            if !dependents.is_empty() {
                return Err(PgError::new(
                    SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                    format!("role \"{name}\" cannot be dropped because some objects depend on it"),
                )
                .detail(dependents.join("\n"))
                .into());
            }
            for member in members(&snapshot, role.id) {
                self.remove_member(&name, &member, false).await?;
            }
            self.remove_object(role.id).await?;
        }
        Ok(Tag::Plain("DROP ROLE"))
    }

    // --- Membership.

    /// GRANT role TO member, REVOKE role FROM member.
    pub(super) async fn run_grant_role(&mut self, grant: &GrantRole) -> ExecResult<Tag> {
        for role in &grant.roles {
            let role = self.role_name(&RoleName::Name(role.clone()))?;
            let snapshot = self.snapshot();
            let create_role = snapshot.role(&self.user).is_some_and(|user| user.create_role);
            let group_is_superuser = snapshot.is_superuser(&role);
            let may = if group_is_superuser {
                snapshot.is_superuser(&self.user)
            } else {
                create_role || snapshot.is_admin(self.database, &self.user, &role)
            };
            if !may {
                let message = match group_is_superuser {
                    true => "must be superuser to alter superusers".to_string(),
                    false => format!("must have admin option on role \"{role}\""),
                };
                return Err(PgError::new(SqlState::INSUFFICIENT_PRIVILEGE, message).into());
            }
            for member in &grant.members {
                let member = self.role_name(member)?;
                if grant.grant {
                    self.add_member(&role, &member, grant.admin_option).await?;
                } else {
                    self.remove_member(&role, &member, grant.admin_option).await?;
                }
            }
        }
        Ok(Tag::Plain(if grant.grant { "GRANT ROLE" } else { "REVOKE ROLE" }))
    }

    async fn add_member(&mut self, group: &str, member: &str, admin: bool) -> ExecResult<()> {
        let snapshot = self.snapshot();
        if group == crate::catalog::DATABASE_OWNER_ROLE.1 {
            let message = format!("role \"{group}\" cannot have explicit members");
            return Err(PgError::new(SqlState::INVALID_GRANT_OPERATION, message).into());
        }
        let group_id = snapshot.role_id(group);
        let member_id = snapshot.role_id(member);
        if snapshot.roles_of(self.database, group_id, false).contains(&member_id) {
            let message = format!("role \"{group}\" is a member of role \"{member}\"");
            return Err(PgError::new(SqlState::INVALID_GRANT_OPERATION, message).into());
        }
        let Some(role) = snapshot.role(member) else { return Ok(()) };
        let mut role = RoleDescriptor::clone(role);
        let known = role.member_of.contains(&group_id);
        if known && (!admin || role.admin_of.contains(&group_id)) {
            let message = format!("role \"{member}\" is already a member of role \"{group}\"");
            self.notice(PgError::notice(message));
            return Ok(());
        }
        if !known {
            role.member_of.push(group_id);
        }
        if admin {
            role.admin_of.push(group_id);
        }
        self.put_object(Object::Role(Arc::new(role))).await
    }

    /// `option`: only the right to grant membership goes.
    async fn remove_member(&mut self, group: &str, member: &str, option: bool) -> ExecResult<()> {
        let snapshot = self.snapshot();
        let group_id = snapshot.role_id(group);
        let Some(role) = snapshot.role(member) else { return Ok(()) };
        if !role.member_of.contains(&group_id) {
            let message = format!("role \"{member}\" is not a member of role \"{group}\"");
            self.notice(PgError::warning(SqlState::WARNING, message));
            return Ok(());
        }
        let mut role = RoleDescriptor::clone(role);
        role.admin_of.retain(|id| *id != group_id);
        if !option {
            role.member_of.retain(|id| *id != group_id);
        }
        self.put_object(Object::Role(Arc::new(role))).await
    }

    /// ALTER ROLE ... RENAME TO: owners are kept by name, so every object of the role is stored anew.
    pub(super) async fn rename_role(&mut self, old: &str, new: &str) -> ExecResult<Tag> {
        self.require_role_privilege()?;
        let snapshot = self.snapshot();
        let Some(role) = snapshot.role(old).cloned() else {
            let message = format!("role \"{old}\" does not exist");
            return Err(PgError::new(SqlState::UNDEFINED_OBJECT, message).into());
        };
        if old == self.session_user {
            return Err(PgError::unsupported("renaming the session's own role").into());
        }
        if snapshot.role(new).is_some() {
            return Err(store::already_exists(Space::Roles, new).into());
        }
        let renamed = RoleDescriptor { name: new.to_string(), ..RoleDescriptor::clone(&role) };
        self.put_object(Object::Role(Arc::new(renamed))).await?;
        for object in snapshot.objects().filter(|object| owner(object) == Some(old)) {
            self.store_owner(object.id(), new).await?;
        }
        Ok(Tag::Plain("ALTER ROLE"))
    }

    // --- What roles own.

    pub(super) async fn run_owned(&mut self, owned: &Owned) -> ExecResult<Tag> {
        let mut names = Vec::with_capacity(owned.roles.len());
        for role in &owned.roles {
            names.push(self.role_name(role)?);
        }
        for name in &names {
            if !self.snapshot().acts_as(self.database, &self.user, name) {
                let verb = if owned.new_owner.is_some() { "reassign" } else { "drop" };
                let message = format!("permission denied to {verb} objects");
                return Err(PgError::new(SqlState::INSUFFICIENT_PRIVILEGE, message).into());
            }
        }
        match &owned.new_owner {
            Some(new_owner) => {
                let new_owner = self.role_name(new_owner)?;
                for object in self.owned_here(&names) {
                    self.store_owner(object, &new_owner).await?;
                }
                Ok(Tag::Plain("REASSIGN OWNED"))
            }
            None => {
                self.drop_owned(&names, owned.cascade).await?;
                Ok(Tag::Plain("DROP OWNED"))
            }
        }
    }

    /// Objects of this database that one of the roles owns.
    fn owned_here(&mut self, names: &[String]) -> Vec<Oid> {
        let snapshot = self.snapshot();
        let database = self.database;
        let here = |object: &&Object| match object {
            Object::Database(d) => d.id == database,
            Object::Schema(d) => d.database == database,
            Object::Role(_) => false,
            other => other
                .schema()
                .and_then(|id| snapshot.schema_by_id(id))
                .is_some_and(|schema| schema.database == database),
        };
        let is_owned = |object: &&Object| owner(object).is_some_and(|owner| names.iter().any(|n| n == owner));
        snapshot.objects().filter(here).filter(is_owned).map(Object::id).collect()
    }

    async fn drop_owned(&mut self, names: &[String], cascade: bool) -> ExecResult<()> {
        let owned = self.owned_here(names);
        for id in &owned {
            match self.snapshot().object(*id) {
                Some(Object::Table(_) | Object::View(_) | Object::Sequence(_) | Object::Function(_)) => {
                    self.drop_relation(*id, cascade, &owned).await?;
                }
                _ => continue,
            }
        }
        for id in &owned {
            let snapshot = self.snapshot();
            if let Some(Object::Schema(schema)) = snapshot.object(*id) {
                if snapshot.objects().any(|object| object.schema() == Some(schema.id)) {
                    let message = format!(
                        "cannot drop desired object(s) because other objects depend on schema {}",
                        schema.name
                    );
                    return Err(PgError::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message).into());
                }
                self.remove_object(*id).await?;
            }
        }
        // What was granted to the roles, and by them, in this database.
        let snapshot = self.snapshot();
        let roles: Vec<Oid> = names.iter().map(|name| snapshot.role_id(name)).collect();
        for object in snapshot.objects() {
            let Some(mut acl) = Securable::of(object).map(|securable| securable.acl.clone()) else {
                continue;
            };
            roles.iter().for_each(|role| acl.forget(*role));
            let mut stored = object.clone();
            set_acl(&mut stored, acl);
            for (number, _, acl) in column_acls(object) {
                let mut acl = acl.clone();
                roles.iter().for_each(|role| acl.forget(*role));
                set_column_acl(&mut stored, number, acl);
            }
            forget_defaults(&mut stored, &roles);
            if stored != *object {
                self.put_object(stored).await?;
            }
        }
        Ok(())
    }
}

/// Takes the default privileges of roles, and what others' give them, out of a schema or database.
fn forget_defaults(object: &mut Object, roles: &[Oid]) {
    let clean = |entries: &[DefaultAcl]| -> Vec<DefaultAcl> {
        let mut kept: Vec<DefaultAcl> =
            entries.iter().filter(|entry| !roles.contains(&entry.role)).cloned().collect();
        for entry in &mut kept {
            roles.iter().for_each(|role| entry.acl.forget(*role));
        }
        kept
    };
    match object {
        Object::Database(database) => {
            let default_acls = clean(&database.default_acls);
            *database = Arc::new(DatabaseDescriptor { default_acls, ..DatabaseDescriptor::clone(database) });
        }
        Object::Schema(schema) => {
            let default_acls = clean(&schema.default_acls);
            *schema = Arc::new(SchemaDescriptor { default_acls, ..SchemaDescriptor::clone(schema) });
        }
        _ => {}
    }
}

/// Names of the roles that are members of a role.
fn members(snapshot: &CatalogSnapshot, group: Oid) -> Vec<String> {
    let member = |object: &Object| match object {
        Object::Role(role) if role.member_of.contains(&group) => Some(role.name.clone()),
        _ => None,
    };
    snapshot.objects().filter_map(member).collect()
}

/// What stands in the way of dropping a role, as the error's detail lists it.
fn dependents(snapshot: &CatalogSnapshot, role: &RoleDescriptor) -> Vec<String> {
    let mut lines = Vec::new();
    for object in snapshot.objects() {
        let Some(securable) = Securable::of(object) else { continue };
        let what = format!("{} {}", securable.noun, securable.name);
        if securable.owner == role.name {
            lines.push(format!("owner of {what}"));
        } else if securable.acl.mentions(role.id) {
            lines.push(format!("privileges for {what}"));
        }
        let mentions = |acl: &Acl| acl.mentions(role.id);
        for (_, column, _) in column_acls(object).into_iter().filter(|(_, _, acl)| mentions(acl)) {
            lines.push(format!("privileges for column {column} of {what}"));
        }
        let defaults = match object {
            Object::Database(database) => &database.default_acls[..],
            Object::Schema(schema) => &schema.default_acls[..],
            _ => &[],
        };
        let own = defaults.iter().filter(|entry| entry.role == role.id || entry.acl.mentions(role.id));
        lines.extend(own.map(|entry| {
            let owner = snapshot.role_name(entry.role).unwrap_or("");
            format!("default privileges of role {owner}")
        }));
    }
    lines
}

fn owner(object: &Object) -> Option<&str> {
    match object {
        Object::Database(d) => Some(&d.owner),
        Object::Schema(d) => Some(&d.owner),
        Object::Table(d) => Some(&d.owner),
        Object::Sequence(d) => Some(&d.owner),
        Object::View(d) => Some(&d.owner),
        Object::Type(d) => Some(&d.owner),
        Object::Function(d) => Some(&d.owner),
        Object::Role(_) => None,
    }
}
