//! ON CONFLICT: which unique indexes arbitrate, and what is done to the row that is in the way.

use super::Binder;
use super::level::{Clause, Level};
use crate::ast::{self, ConflictTarget, ExpressionKind, IndexElement};
use crate::catalog::Table;
use crate::logical::{ColumnNumber, replace_columns};
use crate::plan::{Assignment, ConflictAction, OnConflict};
use expr::Expr;
use std::sync::Arc;
use types::descriptor::{ColumnId, ElementState, IndexDescriptor};
use types::{PgError, PgResult, SqlState};

impl Binder<'_> {
    pub(super) fn bind_on_conflict(
        &mut self,
        conflict: &ast::OnConflict,
        table: &Arc<Table>,
        alias: &str,
    ) -> PgResult<OnConflict> {
        let arbiters = match &conflict.target {
            None => None,
            Some(target) => Some(self.arbiters(target, table, conflict.position)?),
        };
        let action = match &conflict.action {
            ast::ConflictAction::Nothing => ConflictAction::Nothing,
            ast::ConflictAction::Update { assignments, filter } => {
                if arbiters.is_none() {
                    let message = "ON CONFLICT DO UPDATE requires inference specification or constraint name";
                    return Err(PgError::new(SqlState::SYNTAX_ERROR, message)
                        .hint("For example, ON CONFLICT (column_name).")
                        .at(conflict.position));
                }
                self.bind_conflict_update(assignments, filter.as_ref(), table, alias)?
            }
        };
        Ok(OnConflict { arbiters, action })
    }

    /// Positions of the unique indexes that a conflict target means.
    fn arbiters(&self, target: &ConflictTarget, table: &Table, position: u32) -> PgResult<Vec<u32>> {
        let descriptor = &table.descriptor;
        match target {
            ConflictTarget::Constraint(name) => {
                let named = descriptor
                    .all_indexes()
                    .position(|index| index.name == *name.name && index.constraint.is_some());
                let Some(index) = named else {
                    let message = format!(
                        "constraint \"{}\" for table \"{}\" does not exist",
                        name.name, descriptor.name
                    );
                    return Err(PgError::new(SqlState::UNDEFINED_OBJECT, message).at(name.position));
                };
                check_not_deferrable(table.index_at(index as u32), position)?;
                Ok(vec![index as u32])
            }
            ConflictTarget::Columns { elements, predicate } => {
                let columns = self.conflict_columns(elements, table)?;
                let matches = |index: &IndexDescriptor| {
                    index.unique
                        && index.state == ElementState::Public
                        && index.columns.iter().all(|key| columns.contains(&key.column))
                        && columns.iter().all(|column| index.columns.iter().any(|key| key.column == *column))
                        && implied(index, predicate.as_ref())
                };
                let found: Vec<u32> = descriptor
                    .all_indexes()
                    .enumerate()
                    .filter(|(_, index)| matches(index))
                    .map(|(position, _)| position as u32)
                    .collect();
                if found.is_empty() {
                    let message =
                        "there is no unique or exclusion constraint matching the ON CONFLICT specification";
                    return Err(PgError::new(SqlState::INVALID_COLUMN_REFERENCE, message).at(position));
                }
                for index in &found {
                    check_not_deferrable(table.index_at(*index), position)?;
                }
                Ok(found)
            }
        }
    }

    fn conflict_columns(&self, elements: &[IndexElement], table: &Table) -> PgResult<Vec<ColumnId>> {
        let mut columns = Vec::with_capacity(elements.len());
        for element in elements {
            let position = element.expression.node.position;
            let ExpressionKind::Column(names) = &element.expression.node.kind else {
                return Err(PgError::unsupported("an expression as the target of ON CONFLICT").at(position));
            };
            let found = self.target_column(table, names.last().expect("a column has a name"))?;
            columns.push(table.descriptor.columns[found].id);
        }
        Ok(columns)
    }

    /// DO UPDATE: over the existing row, then the row proposed.
    fn bind_conflict_update(
        &mut self,
        assignments: &[ast::Assignment],
        filter: Option<&ast::Expression>,
        table: &Arc<Table>,
        alias: &str,
    ) -> PgResult<ConflictAction> {
        let existing = self.row_instance(table, alias);
        let proposed = self.row_instance(table, "excluded");
        let mut level = Level::new(Clause::UpdateSet);
        level.namespace.push(self.target_item(&existing, alias));
        let mut excluded = self.target_item(&proposed, "excluded");
        excluded.columns.iter_mut().for_each(|column| column.source = None);
        excluded.relation = None;
        // Plain names mean the existing row.
        excluded.columns_visible = false;
        level.namespace.push(excluded);
        self.levels.push(level);
        let bound = self.bind_conflict_parts(assignments, filter, table);
        let level = self.levels.pop().expect("pushed above");
        let (assignments, filter) = bound?;
        if !level.pending.is_empty() || !level.deferred.is_empty() {
            return Err(PgError::unsupported("a correlated subquery or a sequence in ON CONFLICT DO UPDATE"));
        }
        let width = existing.columns.len() as u32;
        let position_of = |column: ColumnNumber| {
            let of = |row: &[ColumnNumber]| row.iter().position(|known| *known == column);
            let index = match (of(&existing.columns), of(&proposed.columns)) {
                (Some(index), _) => index as u32,
                (None, Some(index)) => width + index as u32,
                (None, None) => return None,
            };
            Some(Expr::column(index, self.columns.data_type(column)))
        };
        let over_rows = |mut value: Expr| {
            replace_columns(&mut value, &position_of);
            value
        };
        let assignments = assignments
            .into_iter()
            .map(|(column, value)| Assignment { column, value: over_rows(value) })
            .collect();
        Ok(ConflictAction::Update { assignments, filter: filter.map(over_rows) })
    }

    #[allow(clippy::type_complexity)]
    fn bind_conflict_parts(
        &mut self,
        assignments: &[ast::Assignment],
        filter: Option<&ast::Expression>,
        table: &Arc<Table>,
    ) -> PgResult<(Vec<(u32, Expr)>, Option<Expr>)> {
        let assignments = self.bind_assignments(assignments, table)?;
        self.level().clause = Clause::Where;
        let filter = match filter {
            Some(filter) => Some(self.bind_condition(filter, "WHERE")?),
            None => None,
        };
        Ok((assignments, filter))
    }
}

fn check_not_deferrable(index: &IndexDescriptor, position: u32) -> PgResult<()> {
    if !index.deferrable {
        return Ok(());
    }
    let message =
        "ON CONFLICT does not support deferrable unique constraints/exclusion constraints as arbiters";
    Err(PgError::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message).at(position))
}

/// Does the target's WHERE imply the index's predicate? Only the same condition does (their syntax is compared).
fn implied(index: &IndexDescriptor, predicate: Option<&ast::Expression>) -> bool {
    let Some(text) = &index.predicate else { return true };
    let (Some(given), Ok(wanted)) = (predicate, crate::parser::parse_expression(text)) else { return false };
    shape(given) == shape(&wanted)
}

/// The syntax without positions.
fn shape(expression: &ast::Expression) -> String {
    let printed = format!("{:?}", expression.kind);
    let mut shape = String::with_capacity(printed.len());
    let mut rest = printed.as_str();
    while let Some(at) = rest.find("position: ") {
        shape.push_str(&rest[..at]);
        rest =
            rest[at + "position: ".len()..].trim_start_matches(|character: char| character.is_ascii_digit());
    }
    shape.push_str(rest);
    shape
}
