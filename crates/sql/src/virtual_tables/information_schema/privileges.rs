//! Privileges and roles. Everybody may read what belongs to the system.

use types::acl::{Acl, AclKind, PUBLIC, Rights};
use types::descriptor::Oid;

use crate::virtual_tables::Definition;
use crate::virtual_tables::picture::Picture;
use crate::virtual_tables::relations::Relation;
use crate::virtual_tables::shape::*;

use crate::catalog_functions::privileges::acts_as;
use crate::virtual_tables::picture::DATABASE_OWNER_ROLE;

view! {
    TablePrivileges: 13416 information_schema.table_privileges {
        grantor: NAME, grantee: NAME, table_catalog: NAME, table_schema: NAME, table_name: NAME,
        privilege_type: VARCHAR, is_grantable: VARCHAR, with_hierarchy: VARCHAR,
    }
}

view! {
    RoleTableGrants: 13421 information_schema.role_table_grants {
        grantor: NAME, grantee: NAME, table_catalog: NAME, table_schema: NAME, table_name: NAME,
        privilege_type: VARCHAR, is_grantable: VARCHAR, with_hierarchy: VARCHAR,
    }
}

view! {
    ColumnPrivileges: 13285 information_schema.column_privileges {
        grantor: NAME, grantee: NAME, table_catalog: NAME, table_schema: NAME, table_name: NAME,
        column_name: NAME, privilege_type: VARCHAR, is_grantable: VARCHAR,
    }
}

view! {
    RoleColumnGrants: 13344 information_schema.role_column_grants {
        grantor: NAME, grantee: NAME, table_catalog: NAME, table_schema: NAME, table_name: NAME,
        column_name: NAME, privilege_type: VARCHAR, is_grantable: VARCHAR,
    }
}

view! {
    EnabledRoles: 13325 information_schema.enabled_roles {
        role_name: NAME,
    }
}

view! {
    ApplicableRoles: 13236 information_schema.applicable_roles {
        grantee: NAME, role_name: NAME, is_grantable: VARCHAR,
    }
}

pub static TABLES: &[Definition] = &[
    TablePrivileges::definition(Rows::Catalog(|picture, _| values(table_privileges(picture)))),
    RoleTableGrants::definition(Rows::Catalog(|picture, _| values(role_table_grants(picture)))),
    ColumnPrivileges::definition(Rows::Catalog(|picture, _| values(column_privileges(picture)))),
    RoleColumnGrants::definition(Rows::Catalog(|picture, _| values(role_column_grants(picture)))),
    EnabledRoles::definition(Rows::Catalog(|picture, _| values(enabled_roles(picture)))),
    ApplicableRoles::definition(Rows::Catalog(|picture, _| values(applicable_roles(picture)))),
];

/// A privilege on a relation or one of its columns: who has it.
struct Grant<'a> {
    relation: Relation<'a>,
    grantor: &'a str,
    grantee: &'a str,
    privilege: &'static str,
    grantable: bool,
}

/// The items of a list as grants. Owners may grant what they have.
fn grants_of<'a>(
    picture: &Picture<'a>,
    relation: Relation<'a>,
    kind: AclKind,
    acl: &Acl,
    wanted: Rights,
) -> Vec<Grant<'a>> {
    let owner = relation.owner(picture);
    let mut grants = Vec::new();
    for item in acl.items(kind, owner) {
        let name = |id: Oid| if id == PUBLIC { "PUBLIC" } else { picture.role_name(id).unwrap_or("") };
        for right in item.rights.common(wanted).each() {
            grants.push(Grant {
                relation,
                grantor: name(item.grantor),
                grantee: name(item.grantee),
                privilege: right.word(),
                grantable: item.grantee == owner || item.grantable.contains(right),
            });
        }
    }
    grants
}

/// Those that the user has granted or may use.
fn is_shown(picture: &Picture<'_>, grant: &Grant<'_>) -> bool {
    grant.grantee == "PUBLIC"
        || acts_as(picture, picture.user, grant.grantee)
        || acts_as(picture, picture.user, grant.grantor)
}

fn grants<'a>(picture: &Picture<'a>, wanted: Rights) -> Vec<Grant<'a>> {
    let mut grants = Vec::new();
    for relation in picture.relations().into_iter().filter(|relation| relation.is_readable()) {
        match relation {
            Relation::Table(table) => {
                grants.extend(grants_of(picture, relation, AclKind::Table, &table.acl, wanted));
            }
            Relation::View(view) => {
                grants.extend(grants_of(picture, relation, AclKind::Table, &view.acl, wanted));
            }
            _ => grants.push(Grant {
                relation,
                grantor: relation.owner_text(picture),
                grantee: "PUBLIC",
                privilege: "SELECT",
                grantable: false,
            }),
        }
    }
    grants.retain(|grant| is_shown(picture, grant));
    grants
}

/// Privileges on columns, by themselves or with their relation: (column, grant).
fn column_grants<'a>(picture: &Picture<'a>) -> Vec<(String, Grant<'a>)> {
    let wanted = AclKind::Column.all();
    let mut all: Vec<(String, Grant<'a>)> = Vec::new();
    for grant in grants(picture, wanted) {
        let relation = grant.relation;
        for attribute in relation.attributes() {
            all.push((attribute.name.to_string(), Grant { ..grant }));
        }
    }
    for relation in picture.user_relations().into_iter().filter(|relation| relation.is_readable()) {
        for attribute in relation.attributes() {
            for grant in grants_of(picture, relation, AclKind::Column, attribute.acl(), wanted) {
                let same = |(name, other): &(String, Grant<'_>)| {
                    *name == attribute.name
                        && other.relation.id() == relation.id()
                        && other.grantor == grant.grantor
                        && other.grantee == grant.grantee
                        && other.privilege == grant.privilege
                };
                if is_shown(picture, &grant) && !all.iter().any(same) {
                    all.push((attribute.name.to_string(), grant));
                }
            }
        }
    }
    all
}

fn table_privileges(picture: &Picture<'_>) -> Vec<TablePrivileges> {
    let row = |grant: Grant<'_>| TablePrivileges {
        grantor: text(grant.grantor),
        grantee: text(grant.grantee),
        table_catalog: text(picture.database_name()),
        table_schema: optional_text(picture.schema_name(grant.relation.schema())),
        table_name: text(grant.relation.name()),
        privilege_type: text(grant.privilege),
        is_grantable: yes_or_no(grant.grantable),
        with_hierarchy: yes_or_no(grant.privilege == "SELECT"),
    };
    grants(picture, AclKind::Table.all()).into_iter().map(row).collect()
}

fn role_table_grants(picture: &Picture<'_>) -> Vec<RoleTableGrants> {
    let row = |grant: Grant<'_>| RoleTableGrants {
        grantor: text(grant.grantor),
        grantee: text(grant.grantee),
        table_catalog: text(picture.database_name()),
        table_schema: optional_text(picture.schema_name(grant.relation.schema())),
        table_name: text(grant.relation.name()),
        privilege_type: text(grant.privilege),
        is_grantable: yes_or_no(grant.grantable),
        with_hierarchy: yes_or_no(grant.privilege == "SELECT"),
    };
    grants(picture, AclKind::Table.all())
        .into_iter()
        .filter(|grant| grant.grantee != "PUBLIC")
        .map(row)
        .collect()
}

fn column_privileges(picture: &Picture<'_>) -> Vec<ColumnPrivileges> {
    let row = |(column, grant): (String, Grant<'_>)| ColumnPrivileges {
        grantor: text(grant.grantor),
        grantee: text(grant.grantee),
        table_catalog: text(picture.database_name()),
        table_schema: optional_text(picture.schema_name(grant.relation.schema())),
        table_name: text(grant.relation.name()),
        column_name: text(column),
        privilege_type: text(grant.privilege),
        is_grantable: yes_or_no(grant.grantable),
    };
    column_grants(picture).into_iter().map(row).collect()
}

fn role_column_grants(picture: &Picture<'_>) -> Vec<RoleColumnGrants> {
    let row = |(column, grant): (String, Grant<'_>)| RoleColumnGrants {
        grantor: text(grant.grantor),
        grantee: text(grant.grantee),
        table_catalog: text(picture.database_name()),
        table_schema: optional_text(picture.schema_name(grant.relation.schema())),
        table_name: text(grant.relation.name()),
        column_name: text(column),
        privilege_type: text(grant.privilege),
        is_grantable: yes_or_no(grant.grantable),
    };
    let by_roles = column_grants(picture).into_iter().filter(|(_, grant)| grant.grantee != "PUBLIC");
    by_roles.map(row).collect()
}

/// Roles that the user may act as.
fn enabled_roles(picture: &Picture<'_>) -> Vec<EnabledRoles> {
    let roles = picture.roles().map(|role| role.name.as_str()).chain([DATABASE_OWNER_ROLE.1]);
    let enabled = |role: &&str| picture.is_superuser() || acts_as(picture, picture.user, role);
    roles.filter(enabled).map(|role| EnabledRoles { role_name: text(role) }).collect()
}

fn applicable_roles(picture: &Picture<'_>) -> Vec<ApplicableRoles> {
    let mut rows = Vec::new();
    for member in
        picture.roles().filter(|role| picture.is_superuser() || acts_as(picture, picture.user, &role.name))
    {
        let groups = member.member_of.iter();
        rows.extend(groups.map(|group| ApplicableRoles {
            grantee: text(&member.name),
            role_name: optional_text(picture.role_name(*group)),
            is_grantable: yes_or_no(member.admin_of.contains(group)),
        }));
    }
    rows
}
