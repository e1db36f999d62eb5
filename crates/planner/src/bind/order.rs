//! ORDER BY, GROUP BY and DISTINCT ON items: by output name, by position, or by expression (`findTargetlistEntrySQL92`).

use super::Binder;
use super::select::Target;
use crate::ast::{Expression, ExpressionKind, Literal, NullsOrder, OrderItem, SortDirection};
use crate::logical::same_expression;
use expr::resolve;
use types::{DataType, PgError, PgResult, SqlState};

/// A sort key: a target with its direction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SortItem {
    pub target: usize,
    pub descending: bool,
    pub nulls_first: bool,
}

/// Which clause an item stands in: names resolve differently.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ItemClause {
    OrderBy,
    GroupBy,
    DistinctOn,
}

impl ItemClause {
    fn name(self) -> &'static str {
        match self {
            ItemClause::OrderBy => "ORDER BY",
            ItemClause::GroupBy => "GROUP BY",
            ItemClause::DistinctOn => "DISTINCT ON",
        }
    }
}

impl Binder<'_> {
    pub(super) fn bind_order_by(
        &mut self,
        items: &[OrderItem],
        targets: &mut Vec<Target>,
    ) -> PgResult<Vec<SortItem>> {
        let mut sort = Vec::with_capacity(items.len());
        for item in items {
            let target = self.find_target_item(&item.expression, ItemClause::OrderBy, targets)?;
            let (descending, nulls_first) = self.sort_direction(item)?;
            self.settle_target(targets, target)?;
            resolve::ordering(targets[target].expr.data_type())
                .map_err(|error| self.name_types(error).or_at(item.expression.position))?;
            sort.push(SortItem { target, descending, nulls_first });
        }
        Ok(sort)
    }

    /// DISTINCT ON: its expressions must be the first of ORDER BY.
    pub(super) fn bind_distinct_on(
        &mut self,
        list: &[Expression],
        targets: &mut Vec<Target>,
        sort: &[SortItem],
    ) -> PgResult<Vec<usize>> {
        let mut on = Vec::with_capacity(list.len());
        for expression in list {
            let target = self.find_target_item(expression, ItemClause::DistinctOn, targets)?;
            self.settle_target(targets, target)?;
            resolve::equality(targets[target].expr.data_type())
                .map_err(|error| error.or_at(expression.position))?;
            if !on.contains(&target) {
                on.push(target);
            }
        }
        let mut skipped = None;
        for item in sort {
            match (on.contains(&item.target), skipped) {
                (true, Some(position)) => {
                    let message = "SELECT DISTINCT ON expressions must match initial ORDER BY expressions";
                    return Err(PgError::new(SqlState::INVALID_COLUMN_REFERENCE, message).at(position));
                }
                (true, None) => {}
                (false, _) => skipped = Some(targets[item.target].position),
            }
        }
        let covered = on.iter().filter(|target| sort.iter().any(|item| item.target == **target)).count();
        if covered < on.len() && sort.len() > covered {
            let missing = on.iter().position(|target| !sort.iter().any(|item| item.target == *target));
            let position = missing.map_or(0, |index| list[index.min(list.len() - 1)].position);
            let message = "SELECT DISTINCT ON expressions must match initial ORDER BY expressions";
            return Err(PgError::new(SqlState::INVALID_COLUMN_REFERENCE, message).at(position));
        }
        Ok(on)
    }

    /// An untyped literal that is sorted or grouped by is text.
    pub(super) fn settle_target(&mut self, targets: &mut [Target], target: usize) -> PgResult<()> {
        let target = &mut targets[target];
        if target.expr.data_type() == DataType::Unknown {
            target.expr = self.settle_unknown(target.expr.clone(), target.position)?;
        }
        Ok(())
    }

    /// The target that an item means; a junk one is added for an expression that is none yet.
    pub(super) fn find_target_item(
        &mut self,
        expression: &Expression,
        clause: ItemClause,
        targets: &mut Vec<Target>,
    ) -> PgResult<usize> {
        if let ExpressionKind::Column(names) = &expression.kind
            && let [name] = names.as_slice()
        {
            // GROUP BY prefers a column of the input to an output name.
            let input_first =
                clause == ItemClause::GroupBy && self.is_own_column(&name.name, name.position)?;
            if !input_first
                && let Some(target) = find_named(targets, &name.name, clause, expression.position)?
            {
                return Ok(target);
            }
        }
        if let ExpressionKind::Literal(literal) = &expression.kind {
            return find_position(targets, literal, clause, expression.position);
        }
        let bound = self.bind(expression)?;
        if let Some(known) = targets.iter().position(|target| same_expression(&target.expr, &bound)) {
            return Ok(known);
        }
        let name = super::target::column_name(expression);
        targets.push(Target { name, expr: bound, position: expression.position, junk: true });
        Ok(targets.len() - 1)
    }

    /// Is the name a column of the innermost level?
    fn is_own_column(&self, name: &str, position: u32) -> PgResult<bool> {
        let found = self.find_column(name, position)?;
        Ok(found.is_some_and(|(level, _)| level + 1 == self.levels.len()))
    }

    /// (descending, nulls first).
    pub(super) fn sort_direction(&self, item: &OrderItem) -> PgResult<(bool, bool)> {
        let descending = match &item.direction {
            SortDirection::Default | SortDirection::Ascending => false,
            SortDirection::Descending => true,
            SortDirection::Using(operator) => match &*operator.name {
                "<" => false,
                ">" => true,
                other => {
                    let message = format!("operator {other} is not a valid ordering operator");
                    return Err(PgError::new(SqlState::WRONG_OBJECT_TYPE, message)
                        .hint("Ordering operators must be \"<\" or \">\" members of btree operator families.")
                        .at(item.expression.position));
                }
            },
        };
        let nulls_first = match item.nulls {
            NullsOrder::First => true,
            NullsOrder::Last => false,
            NullsOrder::Default => descending,
        };
        Ok((descending, nulls_first))
    }
}

/// An output name. Several of one name must mean the same.
fn find_named(targets: &[Target], name: &str, clause: ItemClause, position: u32) -> PgResult<Option<usize>> {
    let mut found: Option<usize> = None;
    for (index, target) in targets.iter().enumerate() {
        if target.junk || *target.name != *name {
            continue;
        }
        match found {
            Some(first) if !same_expression(&targets[first].expr, &target.expr) => {
                let message = format!("{} \"{name}\" is ambiguous", clause.name());
                return Err(PgError::new(SqlState::AMBIGUOUS_COLUMN, message).at(position));
            }
            Some(_) => {}
            None => found = Some(index),
        }
    }
    Ok(found)
}

/// A position in the SELECT list.
fn find_position(
    targets: &[Target],
    literal: &Literal,
    clause: ItemClause,
    position: u32,
) -> PgResult<usize> {
    let Literal::Integer(number) = literal else {
        let message = format!("non-integer constant in {}", clause.name());
        return Err(PgError::new(SqlState::SYNTAX_ERROR, message).at(position));
    };
    let shown = targets.iter().filter(|target| !target.junk).count();
    match usize::try_from(*number) {
        Ok(number) if (1..=shown).contains(&number) => Ok(number - 1),
        _ => {
            let message = format!("{} position {number} is not in select list", clause.name());
            Err(PgError::new(SqlState::INVALID_COLUMN_REFERENCE, message).at(position))
        }
    }
}
