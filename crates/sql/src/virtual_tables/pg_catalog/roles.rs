//! Roles: pg_authid and the views over it.

use types::Datum;
use types::descriptor::Oid;

use crate::catalog::{Object, RoleDescriptor};
use crate::virtual_tables::Definition;
use crate::virtual_tables::picture::{BOOTSTRAP_ROLE, DATABASE_OWNER_ROLE, Picture};
use crate::virtual_tables::shape::*;

table! {
    PgAuthid: 1260 pg_catalog.pg_authid {
        oid: OID, rolname: NAME, rolsuper: BOOL, rolinherit: BOOL, rolcreaterole: BOOL, rolcreatedb: BOOL,
        rolcanlogin: BOOL, rolreplication: BOOL, rolbypassrls: BOOL, rolconnlimit: INT4,
        rolpassword: nullable(TEXT), rolvaliduntil: nullable(TIMESTAMPTZ),
    }
}

table! {
    PgAuthMembers: 1261 pg_catalog.pg_auth_members {
        roleid: OID, member: OID, grantor: OID, admin_option: BOOL,
    }
}

table! {
    PgDbRoleSetting: 2964 pg_catalog.pg_db_role_setting {
        setdatabase: OID, setrole: OID, setconfig: nullable(TEXTS),
    }
}

view! {
    PgRoles: 12000 pg_catalog.pg_roles {
        rolname: NAME, rolsuper: BOOL, rolinherit: BOOL, rolcreaterole: BOOL, rolcreatedb: BOOL,
        rolcanlogin: BOOL, rolreplication: BOOL, rolconnlimit: INT4, rolpassword: TEXT,
        rolvaliduntil: TIMESTAMPTZ, rolbypassrls: BOOL, rolconfig: TEXTS, oid: OID,
    }
}

view! {
    PgShadow: 12005 pg_catalog.pg_shadow {
        usename: NAME, usesysid: OID, usecreatedb: BOOL, usesuper: BOOL, userepl: BOOL, usebypassrls: BOOL,
        passwd: TEXT, valuntil: TIMESTAMPTZ, useconfig: TEXTS,
    }
}

view! {
    PgUser: 12014 pg_catalog.pg_user {
        usename: NAME, usesysid: OID, usecreatedb: BOOL, usesuper: BOOL, userepl: BOOL, usebypassrls: BOOL,
        passwd: TEXT, valuntil: TIMESTAMPTZ, useconfig: TEXTS,
    }
}

view! {
    PgGroup: 12010 pg_catalog.pg_group {
        groname: NAME, grosysid: OID, grolist: OIDS,
    }
}

pub static TABLES: &[Definition] = &[
    PgAuthid::definition(Rows::Catalog(|picture, _| values(authids(picture)))),
    PgAuthMembers::definition(Rows::Catalog(|picture, _| values(members(picture)))),
    PgDbRoleSetting::definition(Rows::Catalog(|picture, _| values(stored_settings(picture)))),
    PgRoles::definition(Rows::Catalog(|picture, _| values(roles(picture).iter().map(role)))),
    PgShadow::definition(Rows::Catalog(|picture, _| values(shadows(picture)))),
    PgUser::definition(Rows::Catalog(|picture, _| values(users(picture)))),
    PgGroup::definition(Rows::Catalog(|picture, _| values(groups(picture)))),
];

/// What is shown instead of a password.
const HIDDEN: &str = "********";

/// All roles, the one that stands for a database's owner included.
pub fn roles(picture: &Picture<'_>) -> Vec<RoleDescriptor> {
    let (id, name) = DATABASE_OWNER_ROLE;
    let database_owner = RoleDescriptor::new(id, name);
    picture.roles().map(|role| RoleDescriptor::clone(role)).chain([database_owner]).collect()
}

/// The stored verifier, for superusers' eyes only.
fn password(picture: &Picture<'_>, role: &RoleDescriptor) -> Datum {
    match &role.verifier {
        Some(_) if !picture.is_superuser() => text(HIDDEN),
        verifier => optional_text(verifier.as_deref()),
    }
}

fn valid_until(role: &RoleDescriptor) -> Datum {
    role.valid_until.map_or(Datum::Null, Datum::TimestampTz)
}

/// Settings as `name=value`.
fn setting_texts(values: &[(String, String)]) -> Datum {
    let texts: Vec<String> = values.iter().map(|(name, value)| format!("{name}={value}")).collect();
    self::texts(texts.iter().map(String::as_str))
}

/// What the role's sessions begin with in all databases.
fn own_settings(role: &RoleDescriptor) -> Datum {
    let own = role.settings.iter().find(|settings| settings.database.is_none());
    own.map_or(Datum::Null, |settings| setting_texts(&settings.values))
}

fn stored_settings(picture: &Picture<'_>) -> Vec<PgDbRoleSetting> {
    let row = |database: Oid, role: Oid, values: &[(String, String)]| PgDbRoleSetting {
        setdatabase: oid(database),
        setrole: oid(role),
        setconfig: setting_texts(values),
    };
    let mut rows = Vec::new();
    for object in picture.snapshot.objects() {
        match object {
            Object::Database(database) if !database.settings.is_empty() => {
                rows.push(row(database.id, Oid(0), &database.settings));
            }
            Object::Role(role) => {
                // Those in a database that is gone mean nothing any more.
                let exists = |id: Oid| picture.snapshot.database_by_id(id).is_some();
                let known = role.settings.iter().filter(|settings| settings.database.is_none_or(exists));
                rows.extend(
                    known.map(|settings| row(settings.database.unwrap_or(Oid(0)), role.id, &settings.values)),
                );
            }
            _ => {}
        }
    }
    rows
}

fn authids(picture: &Picture<'_>) -> Vec<PgAuthid> {
    let row = |role: &RoleDescriptor| PgAuthid {
        oid: oid(role.id),
        rolname: text(&role.name),
        rolsuper: boolean(role.superuser),
        rolinherit: boolean(role.inherit),
        rolcreaterole: boolean(role.create_role),
        rolcreatedb: boolean(role.create_database),
        rolcanlogin: boolean(role.login),
        rolreplication: boolean(role.id == BOOTSTRAP_ROLE),
        rolbypassrls: boolean(role.id == BOOTSTRAP_ROLE),
        rolconnlimit: Datum::Int4(role.connection_limit),
        rolpassword: password(picture, role),
        rolvaliduntil: valid_until(role),
    };
    roles(picture).iter().map(row).collect()
}

fn role(role: &RoleDescriptor) -> PgRoles {
    PgRoles {
        rolname: text(&role.name),
        rolsuper: boolean(role.superuser),
        rolinherit: boolean(role.inherit),
        rolcreaterole: boolean(role.create_role),
        rolcreatedb: boolean(role.create_database),
        rolcanlogin: boolean(role.login),
        rolreplication: boolean(role.id == BOOTSTRAP_ROLE),
        rolconnlimit: Datum::Int4(role.connection_limit),
        rolpassword: text(HIDDEN),
        rolvaliduntil: valid_until(role),
        rolbypassrls: boolean(role.id == BOOTSTRAP_ROLE),
        rolconfig: own_settings(role),
        oid: oid(role.id),
    }
}

fn members(picture: &Picture<'_>) -> Vec<PgAuthMembers> {
    let row = |group: Oid, member: &RoleDescriptor| PgAuthMembers {
        roleid: oid(group),
        member: oid(member.id),
        grantor: oid(BOOTSTRAP_ROLE),
        admin_option: boolean(member.admin_of.contains(&group)),
    };
    picture.roles().flat_map(|role| role.member_of.iter().map(|group| row(*group, role))).collect()
}

fn shadows(picture: &Picture<'_>) -> Vec<PgShadow> {
    let row = |role: &std::sync::Arc<RoleDescriptor>| PgShadow {
        usename: text(&role.name),
        usesysid: oid(role.id),
        usecreatedb: boolean(role.create_database),
        usesuper: boolean(role.superuser),
        userepl: boolean(role.id == BOOTSTRAP_ROLE),
        usebypassrls: boolean(role.id == BOOTSTRAP_ROLE),
        passwd: password(picture, role),
        valuntil: valid_until(role),
        useconfig: own_settings(role),
    };
    picture.roles().filter(|role| role.login).map(row).collect()
}

fn users(picture: &Picture<'_>) -> Vec<PgUser> {
    let row = |role: &std::sync::Arc<RoleDescriptor>| PgUser {
        usename: text(&role.name),
        usesysid: oid(role.id),
        usecreatedb: boolean(role.create_database),
        usesuper: boolean(role.superuser),
        userepl: boolean(role.id == BOOTSTRAP_ROLE),
        usebypassrls: boolean(role.id == BOOTSTRAP_ROLE),
        passwd: text(HIDDEN),
        valuntil: valid_until(role),
        useconfig: own_settings(role),
    };
    picture.roles().filter(|role| role.login).map(row).collect()
}

fn groups(picture: &Picture<'_>) -> Vec<PgGroup> {
    let members = |group: Oid| {
        picture.roles().filter(move |role| role.member_of.contains(&group)).map(|role| role.id.0)
    };
    let row = |role: &RoleDescriptor| PgGroup {
        groname: text(&role.name),
        grosysid: oid(role.id),
        grolist: oids(members(role.id)),
    };
    roles(picture).iter().filter(|role| !role.login).map(row).collect()
}
