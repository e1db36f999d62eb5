//! Who may do what: checks before a statement runs.
//!
//! A relation is used with the privileges of whoever asks, or, behind a view, of the view's owner. What a privilege on the relation
//! does not give, one on each column concerned may.

use planner::Plan;
use planner::plan::RelationUse;
use types::acl::{Acl, AclKind, Rights};
use types::descriptor::{ColumnId, Oid};
use types::{PgError, PgResult, SqlState};

use crate::catalog::{CatalogSnapshot, Object, Securable};
use crate::session::Session;
use crate::virtual_tables;

/// Tables of the system that not everybody may read.
pub const SECRET_TABLES: [&str; 4] = ["pg_authid", "pg_shadow", "pg_statistic", "pg_subscription"];

/// 42501 "permission denied".
pub fn denied(noun: &str, name: &str) -> PgError {
    PgError::new(SqlState::INSUFFICIENT_PRIVILEGE, format!("permission denied for {noun} {name}"))
}

impl Session {
    /// 42501 for a relation that the session's role (or the owner of the view in between) may not use so.
    pub(crate) fn check_privileges(&self, plan: &Plan, catalog: &CatalogSnapshot) -> PgResult<()> {
        for relation in &plan.relations {
            let role = relation.check_as.as_deref().unwrap_or(&self.user);
            if !catalog.is_superuser(role) {
                check_relation(catalog, self.database, role, relation)?;
            }
        }
        Ok(())
    }

    /// The same of a query of the past: the privileges of now count, for what still exists, else those of then.
    pub(crate) fn check_privileges_in_past(&self, plan: &Plan, past: &CatalogSnapshot) -> PgResult<()> {
        let now = self.server.catalog.current();
        for relation in &plan.relations {
            let catalog = if now.object(relation.id).is_some() { &*now } else { past };
            let role = relation.check_as.as_deref().unwrap_or(&self.user);
            // Whoever may do everything is asked for now as well.
            if !now.is_superuser(role) {
                check_relation(catalog, self.database, role, relation)?;
            }
        }
        Ok(())
    }

    /// 42501 unless the session's role has every one of the privileges.
    pub(crate) fn require_right(
        &self,
        catalog: &CatalogSnapshot,
        object: Securable<'_>,
        wanted: Rights,
    ) -> PgResult<()> {
        if catalog.rights(self.database, &self.user, object, wanted, false) == wanted {
            return Ok(());
        }
        Err(denied(object.noun, object.name))
    }
}

fn check_relation(
    catalog: &CatalogSnapshot,
    database: Oid,
    role: &str,
    relation: &RelationUse,
) -> PgResult<()> {
    let Some(object) = catalog.object(relation.id) else {
        // Most system catalogs may be read by everybody.
        let secret = virtual_tables::definition_by_id(relation.id)
            .filter(|definition| SECRET_TABLES.contains(&definition.name));
        return secret.map_or(Ok(()), |definition| {
            let noun = if definition.name == "pg_shadow" { "view" } else { "table" };
            Err(denied(noun, definition.name))
        });
    };
    let Some(securable) = Securable::of(object) else { return Ok(()) };
    let columns = &relation.columns;
    let needed = [
        (relation.privileges.select, Rights::SELECT, Some(&columns.selected)),
        (relation.privileges.insert, Rights::INSERT, Some(&columns.inserted)),
        (relation.privileges.update, Rights::UPDATE, Some(&columns.updated)),
        (relation.privileges.delete, Rights::DELETE, None),
        (relation.privileges.execute, Rights::EXECUTE, None),
    ];
    for (is_needed, right, columns) in needed {
        if !is_needed || !catalog.rights(database, role, securable, right, false).is_empty() {
            continue;
        }
        let by_columns =
            columns.is_some_and(|columns| has_on_columns(catalog, database, role, object, right, columns));
        if !by_columns {
            return Err(denied(securable.noun, securable.name));
        }
    }
    Ok(())
}

/// What is granted on the columns of a relation.
pub fn column_acls(object: &Object) -> Vec<(ColumnId, &str, &Acl)> {
    match object {
        Object::Table(table) => {
            let shown = table.columns.iter().filter(|column| !column.hidden);
            shown.map(|column| (column.id, column.name.as_str(), &column.acl)).collect()
        }
        Object::View(view) => {
            let numbered = view.columns.iter().enumerate();
            numbered
                .map(|(position, column)| (ColumnId(position as u16 + 1), column.name.as_str(), &column.acl))
                .collect()
        }
        _ => Vec::new(),
    }
}

/// A column as something that privileges are granted on.
pub fn column_securable<'a>(object: &'a Object, name: &'a str, acl: &'a Acl) -> Option<Securable<'a>> {
    let relation = Securable::of(object)?;
    Some(Securable { kind: AclKind::Column, noun: "column", name, owner: relation.owner, acl })
}

/// Has the role the privilege on each of the columns (on any, if the statement names none)?
fn has_on_columns(
    catalog: &CatalogSnapshot,
    database: Oid,
    role: &str,
    object: &Object,
    right: Rights,
    columns: &[ColumnId],
) -> bool {
    let granted: Vec<ColumnId> = column_acls(object)
        .into_iter()
        .filter(|(_, name, acl)| {
            column_securable(object, name, acl)
                .is_some_and(|column| !catalog.rights(database, role, column, right, false).is_empty())
        })
        .map(|(id, _, _)| id)
        .collect();
    if columns.is_empty() {
        return !granted.is_empty();
    }
    columns.iter().all(|column| granted.contains(column))
}
