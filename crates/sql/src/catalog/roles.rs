//! Membership in roles, and what it lets somebody do.
//!
//! A role *inherits* from the roles it is a member of, and from theirs, as long as each in between has INHERIT: so far it has their
//! privileges without asking. It may *become* any role it is a member of, inherited or not (SET ROLE). A superuser has and
//! may everything.

use std::sync::Arc;

use types::acl::{Acl, AclKind, Rights};
use types::descriptor::TypeDescriptor;
use types::descriptor::{
    DatabaseDescriptor, FunctionDescriptor, Oid, SchemaDescriptor, SequenceDescriptor, TableDescriptor,
    ViewDescriptor,
};

use super::object::{Object, RoleDescriptor};
use super::snapshot::CatalogSnapshot;

/// The role that stands for the current database's owner and owns the schemas `public`. Nobody can log in as it.
pub const DATABASE_OWNER_ROLE: (Oid, &str) = (Oid(6171), "pg_database_owner");

/// Something that privileges are granted on.
#[derive(Clone, Copy)]
pub struct Securable<'a> {
    pub kind: AclKind,
    /// As messages name it.
    pub noun: &'static str,
    pub name: &'a str,
    pub owner: &'a str,
    pub acl: &'a Acl,
}

impl<'a> From<&'a TableDescriptor> for Securable<'a> {
    fn from(d: &'a TableDescriptor) -> Self {
        Securable { kind: AclKind::Table, noun: "table", name: &d.name, owner: &d.owner, acl: &d.acl }
    }
}

impl<'a> From<&'a ViewDescriptor> for Securable<'a> {
    fn from(d: &'a ViewDescriptor) -> Self {
        Securable { kind: AclKind::Table, noun: "view", name: &d.name, owner: &d.owner, acl: &d.acl }
    }
}

impl<'a> From<&'a SequenceDescriptor> for Securable<'a> {
    fn from(d: &'a SequenceDescriptor) -> Self {
        Securable { kind: AclKind::Sequence, noun: "sequence", name: &d.name, owner: &d.owner, acl: &d.acl }
    }
}

impl<'a> From<&'a FunctionDescriptor> for Securable<'a> {
    fn from(d: &'a FunctionDescriptor) -> Self {
        Securable { kind: AclKind::Function, noun: "function", name: &d.name, owner: &d.owner, acl: &d.acl }
    }
}

impl<'a> From<&'a TypeDescriptor> for Securable<'a> {
    fn from(d: &'a TypeDescriptor) -> Self {
        Securable { kind: AclKind::Type, noun: "type", name: &d.name, owner: &d.owner, acl: &d.acl }
    }
}

impl<'a> From<&'a SchemaDescriptor> for Securable<'a> {
    fn from(d: &'a SchemaDescriptor) -> Self {
        Securable { kind: AclKind::Schema, noun: "schema", name: &d.name, owner: &d.owner, acl: &d.acl }
    }
}

impl<'a> From<&'a DatabaseDescriptor> for Securable<'a> {
    fn from(d: &'a DatabaseDescriptor) -> Self {
        Securable { kind: AclKind::Database, noun: "database", name: &d.name, owner: &d.owner, acl: &d.acl }
    }
}

impl<'a> Securable<'a> {
    /// `None` for what has neither owner nor privileges (a role).
    pub fn of(object: &'a Object) -> Option<Securable<'a>> {
        Some(match object {
            Object::Table(d) => (&**d).into(),
            Object::View(d) => (&**d).into(),
            Object::Sequence(d) => (&**d).into(),
            Object::Function(d) => (&**d).into(),
            Object::Schema(d) => (&**d).into(),
            Object::Database(d) => (&**d).into(),
            Object::Type(d) => (&**d).into(),
            Object::Role(_) => return None,
        })
    }
}

impl CatalogSnapshot {
    /// The oid of a role by name; 0 for one that is gone.
    pub fn role_id(&self, name: &str) -> Oid {
        if name == DATABASE_OWNER_ROLE.1 {
            return DATABASE_OWNER_ROLE.0;
        }
        self.role(name).map_or(Oid(0), |role| role.id)
    }

    pub fn role_by_id(&self, id: Oid) -> Option<&Arc<RoleDescriptor>> {
        match self.object(id)? {
            Object::Role(role) => Some(role),
            _ => None,
        }
    }

    pub fn role_name(&self, id: Oid) -> Option<&str> {
        if id == DATABASE_OWNER_ROLE.0 {
            return Some(DATABASE_OWNER_ROLE.1);
        }
        self.role_by_id(id).map(|role| role.name.as_str())
    }

    pub fn is_superuser(&self, name: &str) -> bool {
        self.role(name).is_some_and(|role| role.superuser)
    }

    /// The role itself, then those that it is a member of, nearest first. `inherited`: only those whose privileges it has
    /// without SET ROLE.
    pub fn roles_of(&self, database: Oid, role: Oid, inherited: bool) -> Vec<Oid> {
        let owner = self.database_by_id(database).map(|database| self.role_id(&database.owner));
        let mut roles = vec![role];
        let mut next = 0;
        while let Some(id) = roles.get(next).copied() {
            next += 1;
            let known = self.role_by_id(id);
            let passes = !inherited || known.is_some_and(|role| role.inherit);
            let groups = known.filter(|_| passes).map_or(&[][..], |role| &role.member_of);
            let implied = (owner == Some(id) && passes).then_some(DATABASE_OWNER_ROLE.0);
            for group in groups.iter().copied().chain(implied) {
                if !roles.contains(&group) {
                    roles.push(group);
                }
            }
        }
        roles
    }

    /// Has a role the privileges of another one?
    pub fn acts_as(&self, database: Oid, role: &str, other: &str) -> bool {
        role == other
            || self.is_superuser(role)
            || self.roles_of(database, self.role_id(role), true).contains(&self.role_id(other))
    }

    /// May a role become another one?
    pub fn is_member(&self, database: Oid, role: &str, other: &str) -> bool {
        role == other
            || self.is_superuser(role)
            || self.roles_of(database, self.role_id(role), false).contains(&self.role_id(other))
    }

    /// May a role grant membership in another one?
    pub fn is_admin(&self, database: Oid, role: &str, other: &str) -> bool {
        let target = self.role_id(other);
        let admins = |id: Oid| self.role_by_id(id).is_some_and(|role| role.admin_of.contains(&target));
        self.is_superuser(role) || self.roles_of(database, self.role_id(role), false).into_iter().any(admins)
    }

    /// Of `wanted`, what a role has on an object (or may grant).
    pub fn rights(
        &self,
        database: Oid,
        role: &str,
        object: Securable<'_>,
        wanted: Rights,
        grantable: bool,
    ) -> Rights {
        if self.is_superuser(role) {
            return wanted;
        }
        let roles = self.roles_of(database, self.role_id(role), true);
        let owner = self.role_id(object.owner);
        let listed = object.acl.rights_of(object.kind, owner, wanted, grantable, &|id| roles.contains(&id));
        if grantable { listed } else { listed.with(of_all_data(&roles, object.kind).common(wanted)) }
    }
}

/// What members of pg_read_all_data and pg_write_all_data may do with every object of a kind.
fn of_all_data(roles: &[Oid], kind: AclKind) -> Rights {
    const READ_ALL_DATA: Oid = Oid(6181);
    const WRITE_ALL_DATA: Oid = Oid(6182);
    let mut rights = Rights::NONE;
    if roles.contains(&READ_ALL_DATA) {
        rights = rights.with(match kind {
            AclKind::Table | AclKind::Sequence => Rights::SELECT,
            AclKind::Schema => Rights::USAGE,
            _ => Rights::NONE,
        });
    }
    if roles.contains(&WRITE_ALL_DATA) {
        rights = rights.with(match kind {
            AclKind::Table => Rights::INSERT.with(Rights::UPDATE).with(Rights::DELETE),
            AclKind::Sequence => Rights::USAGE.with(Rights::UPDATE),
            AclKind::Schema => Rights::USAGE,
            _ => Rights::NONE,
        });
    }
    rights
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATABASE: Oid = Oid(5);

    fn role(id: u32, name: &str, inherit: bool, member_of: &[u32]) -> Object {
        Object::Role(Arc::new(RoleDescriptor {
            inherit,
            member_of: member_of.iter().copied().map(Oid).collect(),
            ..RoleDescriptor::new(Oid(id), name)
        }))
    }

    #[test]
    fn privileges_pass_through_roles_that_inherit() {
        let mut catalog = CatalogSnapshot::default();
        for object in [role(1, "a", true, &[2]), role(2, "b", false, &[3]), role(3, "c", true, &[])] {
            catalog.insert(object);
        }
        assert!(catalog.acts_as(DATABASE, "a", "b"));
        assert!(!catalog.acts_as(DATABASE, "a", "c"), "b does not inherit");
        assert!(catalog.is_member(DATABASE, "a", "c"));
        assert!(!catalog.is_member(DATABASE, "c", "a"));
    }

    #[test]
    fn memberships_in_a_circle_end() {
        let mut catalog = CatalogSnapshot::default();
        catalog.insert(role(1, "a", true, &[2]));
        catalog.insert(role(2, "b", true, &[1]));
        assert_eq!(catalog.roles_of(DATABASE, Oid(1), true), [Oid(1), Oid(2)]);
    }
}
