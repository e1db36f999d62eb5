//! Privileges and roles. There is no GRANT: an owner has every privilege on what he owns, and everybody may read what belongs
//! to the system.

use crate::virtual_tables::Definition;
use crate::virtual_tables::picture::Picture;
use crate::virtual_tables::relations::Relation;
use crate::virtual_tables::shape::*;

use super::tables::shown_relations;
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

const OF_TABLES: [&str; 7] = ["INSERT", "SELECT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"];
const OF_COLUMNS: [&str; 4] = ["INSERT", "SELECT", "UPDATE", "REFERENCES"];

/// A privilege on a relation: who has it.
struct Grant<'a> {
    relation: Relation<'a>,
    grantor: &'a str,
    grantee: &'a str,
    privilege: &'static str,
    grantable: bool,
}

fn grants<'a>(picture: &Picture<'a>, privileges: &'static [&'static str]) -> Vec<Grant<'a>> {
    let mut grants = Vec::new();
    for relation in shown_relations(picture) {
        let grantor = relation.owner_text(picture);
        if matches!(relation, Relation::System(_)) {
            grants.push(Grant {
                relation,
                grantor,
                grantee: "PUBLIC",
                privilege: "SELECT",
                grantable: false,
            });
            continue;
        }
        let grant = |privilege| Grant { relation, grantor, grantee: grantor, privilege, grantable: true };
        grants.extend(privileges.iter().map(|privilege| grant(*privilege)));
    }
    grants
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
    grants(picture, &OF_TABLES).into_iter().map(row).collect()
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
    grants(picture, &OF_TABLES).into_iter().filter(|grant| grant.grantee != "PUBLIC").map(row).collect()
}

fn column_privileges(picture: &Picture<'_>) -> Vec<ColumnPrivileges> {
    let mut rows = Vec::new();
    for grant in grants(picture, &OF_COLUMNS) {
        rows.extend(grant.relation.attributes().iter().map(|attribute| ColumnPrivileges {
            grantor: text(grant.grantor),
            grantee: text(grant.grantee),
            table_catalog: text(picture.database_name()),
            table_schema: optional_text(picture.schema_name(grant.relation.schema())),
            table_name: text(grant.relation.name()),
            column_name: text(attribute.name),
            privilege_type: text(grant.privilege),
            is_grantable: yes_or_no(grant.grantable),
        }));
    }
    rows
}

fn role_column_grants(picture: &Picture<'_>) -> Vec<RoleColumnGrants> {
    let mut rows = Vec::new();
    for grant in grants(picture, &OF_COLUMNS).into_iter().filter(|grant| grant.grantee != "PUBLIC") {
        rows.extend(grant.relation.attributes().iter().map(|attribute| RoleColumnGrants {
            grantor: text(grant.grantor),
            grantee: text(grant.grantee),
            table_catalog: text(picture.database_name()),
            table_schema: optional_text(picture.schema_name(grant.relation.schema())),
            table_name: text(grant.relation.name()),
            column_name: text(attribute.name),
            privilege_type: text(grant.privilege),
            is_grantable: yes_or_no(grant.grantable),
        }));
    }
    rows
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
        let groups = member.member_of.iter().filter_map(|group| picture.role_name(*group));
        rows.extend(groups.map(|group| ApplicableRoles {
            grantee: text(&member.name),
            role_name: text(group),
            is_grantable: yes_or_no(false),
        }));
    }
    rows
}
