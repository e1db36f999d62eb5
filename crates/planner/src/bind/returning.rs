//! RETURNING: a SELECT list over what was written.

use super::Binder;
use super::level::{Clause, Level};
use super::scope::Item;
use super::select::OutputTarget;
use crate::ast::SelectItem;
use crate::logical::Relational;
use crate::plan::Command;
use types::PgResult;

/// A bound modification.
#[derive(Clone, Debug)]
pub(crate) struct ModifyOutput {
    pub plan: Relational,
    /// Empty without RETURNING.
    pub targets: Vec<OutputTarget>,
    pub command: Command,
}

impl Binder<'_> {
    pub(super) fn bind_returning(
        &mut self,
        mut plan: Relational,
        items: Vec<Item>,
        list: &[SelectItem],
        command: Command,
    ) -> PgResult<ModifyOutput> {
        if list.is_empty() {
            return Ok(ModifyOutput { plan, targets: Vec::new(), command });
        }
        let mut level = Level::new(Clause::Returning);
        level.namespace = items;
        self.levels.push(level);
        let bound = self.bind_returning_list(list);
        let mut level = self.levels.pop().expect("pushed above");
        let (computed, targets) = bound?;
        plan = level.attach_pending(plan);
        Ok(ModifyOutput { plan: plan.extend(computed), targets, command })
    }

    #[allow(clippy::type_complexity)]
    fn bind_returning_list(
        &mut self,
        list: &[SelectItem],
    ) -> PgResult<(Vec<(u32, expr::Expr)>, Vec<OutputTarget>)> {
        let mut computed = Vec::new();
        let mut targets = Vec::new();
        for target in self.bind_targets(list)? {
            let value = self.settle_unknown(target.expr, target.position)?;
            let column = self.column_for(&value, &target.name, &mut computed);
            targets.push(OutputTarget { name: target.name, column, untyped: None });
        }
        Ok((computed, targets))
    }
}
