//! CREATE ROLE, ALTER ROLE, DROP ROLE.

use std::sync::Arc;

use executor::ExecResult;
use pgserver::{SCRAM_SALT_BYTES, ScramVerifier};
use planner::ast::{AlterRole, AlterRoleAction, CreateRole, DropRole, RoleName, RoleOption};
use types::{PgError, PgResult, SqlState};

use crate::catalog::{Object, RoleDescriptor, Space, store};
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
            id: self.new_oid().await?,
            name: name.name.to_string(),
            superuser: false,
            login: create.statement == "user",
            create_database: false,
            create_role: false,
            inherit: true,
            verifier: None,
            connection_limit: -1,
            member_of: Vec::new(),
        };
        self.apply_role_options(&mut role, &create.options)?;
        self.put_object(Object::Role(Arc::new(role))).await?;
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
                RoleOption::ConnectionLimit(-1) => {}
                RoleOption::ConnectionLimit(_) => {
                    return Err(PgError::unsupported("CONNECTION LIMIT of a role"));
                }
                RoleOption::Password(None) => role.verifier = None,
                RoleOption::Password(Some(password)) => role.verifier = Some(self.verifier(password)),
                RoleOption::ValidUntil(text) if &**text == "infinity" => {}
                RoleOption::ValidUntil(_) => return Err(PgError::unsupported("VALID UNTIL")),
                RoleOption::InRole(_) | RoleOption::Role(_) | RoleOption::Admin(_) => {
                    return Err(PgError::unsupported("role membership"));
                }
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
        let Some(name) = &alter.name else { return Err(PgError::unsupported("ALTER ROLE ALL").into()) };
        let name = self.role_name(name)?;
        if name != self.user {
            self.require_role_privilege()?;
        }
        let AlterRoleAction::Options(options) = &alter.action else {
            return Err(PgError::unsupported("settings and members of a role").into());
        };
        let snapshot = self.snapshot();
        let mut role = RoleDescriptor::clone(snapshot.role(&name).expect("just found"));
        let was_superuser = role.superuser;
        self.apply_role_options(&mut role, options)?;
        let own_superuser = snapshot.role(&self.user).is_some_and(|role| role.superuser);
        if role.superuser != was_superuser && !own_superuser {
            return Err(PgError::new(
                SqlState::INSUFFICIENT_PRIVILEGE,
                "must be superuser to alter superuser attribute",
            )
            .into());
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
            let owns = snapshot.objects().find(|object| owner(object) == Some(&name));
            if let Some(object) = owns {
                return Err(PgError::new(
                    SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                    format!("role \"{name}\" cannot be dropped because some objects depend on it"),
                )
                .detail(format!("owner of {}", object.name()))
                .into());
            }
            let id = snapshot.role(&name).expect("just found").id;
            self.remove_object(id).await?;
        }
        Ok(Tag::Plain("DROP ROLE"))
    }
}

fn owner(object: &Object) -> Option<&str> {
    match object {
        Object::Database(d) => Some(&d.owner),
        Object::Schema(d) => Some(&d.owner),
        Object::Table(d) => Some(&d.owner),
        Object::Sequence(d) => Some(&d.owner),
        Object::View(d) => Some(&d.owner),
        Object::Type(d) => Some(&d.owner),
        Object::Role(_) => None,
    }
}
