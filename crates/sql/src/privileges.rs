//! Who may do what with a relation: its owner and superusers; there is no GRANT yet.

use planner::Plan;
use types::{PgError, PgResult, SqlState};

use crate::catalog::{CatalogSnapshot, Object};
use crate::session::Session;

impl Session {
    /// 42501 for a relation that the session's role (or the owner of the view in between) may not use.
    pub(crate) fn check_privileges(&self, plan: &Plan, catalog: &CatalogSnapshot) -> PgResult<()> {
        let superuser = |name: &str| catalog.role(name).is_some_and(|role| role.superuser);
        if superuser(&self.user) {
            return Ok(());
        }
        for relation in &plan.relations {
            let role = relation.check_as.as_deref().unwrap_or(&self.user);
            let (owner, name, kind) = match catalog.object(relation.id) {
                Some(Object::Table(table)) => (&table.owner, &table.name, "table"),
                Some(Object::View(view)) => (&view.owner, &view.name, "view"),
                Some(Object::Sequence(sequence)) => (&sequence.owner, &sequence.name, "sequence"),
                // System catalogs may be read by everybody.
                _ => continue,
            };
            if owner != role && !superuser(role) {
                return Err(PgError::new(
                    SqlState::INSUFFICIENT_PRIVILEGE,
                    format!("permission denied for {kind} {name}"),
                ));
            }
        }
        Ok(())
    }
}
