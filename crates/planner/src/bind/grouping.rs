//! GROUP BY: keys, grouping sets, and what may stand above them (PostgreSQL's `parse_agg.c`).
//!
//! Everything above the Aggregate is rewritten over its keys: a sub-expression equal to a key becomes the key's column; any other
//! column of the input is refused (42803), unless its table's primary key is among the keys: then it depends on
//! them and quietly joins them.

use super::Binder;
use super::level::{Clause, Pending};
use super::order::ItemClause;
use super::select::Target;
use crate::ast::{Expression, ExpressionKind, GroupItem, Select};
use crate::logical::{Aggregate, ColumnNumber, ColumnSet, Relational, collect_columns, same_expression};
use crate::plan::AggregateStrategy;
use expr::Expr;
use expr::resolve;
use types::{DataType, Datum, PgError, PgResult, SqlState};

/// Grouping sets at most.
const SETS_MAX: usize = 4096;

/// The keys of a grouped query.
///
/// - With a single grouping set a key that is a plain column keeps its number, so that correlated subqueries
///   above find it; with several, a key may be NULL where the column is not, and has a number of its own.
#[derive(Clone, Debug)]
pub(crate) struct Grouping {
    pub keys: Vec<(ColumnNumber, Expr)>,
    pub sets: Vec<Vec<u32>>,
    /// Tells the grouping set; present with several sets.
    pub grouping: Option<ColumnNumber>,
    /// Columns of the input.
    pub input: ColumnSet,
    /// GROUPING() results: columns with the expressions that give them.
    pub masks: Vec<(ColumnNumber, Expr)>,
}

impl Grouping {
    fn key_of(&self, expr: &Expr) -> Option<(ColumnNumber, DataType)> {
        let found = self.keys.iter().find(|(_, key)| same_expression(key, expr));
        found.map(|(column, key)| (*column, key.data_type()))
    }

    /// Numbers of the input's columns that are keys by themselves.
    fn plain_keys(&self) -> ColumnSet {
        let plain = self.keys.iter().filter_map(|(_, key)| match key {
            Expr::Column { index, .. } => Some(*index),
            _ => None,
        });
        plain.collect()
    }
}

impl Binder<'_> {
    /// Binds GROUP BY; `None` if the query does not group at all.
    pub(super) fn bind_group_by(
        &mut self,
        select: &Select,
        targets: &mut Vec<Target>,
        having: bool,
    ) -> PgResult<Option<Grouping>> {
        let level = self.level();
        let aggregates = !level.aggregates.is_empty() || !level.groupings.is_empty();
        if select.group_by.is_empty() && !aggregates && !having {
            return Ok(None);
        }
        self.level().clause = Clause::GroupBy;
        // Subqueries of grouping expressions go below the Aggregate.
        let pending = std::mem::take(&mut self.level().pending);
        let sets = self.bind_group_items(&select.group_by, targets);
        let below = std::mem::replace(&mut self.level().pending, pending);
        self.level().pending_below.extend(below);
        let (keys, mut sets) = sets?;
        // So do deferred calls that they use, be it by naming an item of the SELECT list.
        let mut used = ColumnSet::new();
        keys.iter().for_each(|key| crate::logical::collect_columns(key, &mut used));
        let level = self.level();
        let calls = std::mem::take(&mut level.deferred);
        // An argument's call comes before the call that takes it.
        for (column, call) in calls.iter().rev() {
            if used.contains(*column) {
                call.arguments.iter().for_each(|it| crate::logical::collect_columns(it, &mut used));
            }
        }
        let (below, above) = calls.into_iter().partition(|(column, _)| used.contains(*column));
        level.deferred = above;
        level.deferred_below.append(&mut { below });
        if select.group_distinct {
            let mut seen: Vec<Vec<u32>> = Vec::new();
            for mut set in sets {
                set.sort_unstable();
                if !seen.contains(&set) {
                    seen.push(set);
                }
            }
            sets = seen;
        }
        let several = sets.len() != 1;
        let mut numbered = Vec::with_capacity(keys.len());
        for key in keys {
            let column = match &key {
                Expr::Column { index, .. } if !several => *index,
                Expr::Column { index, .. } => {
                    let mut info = self.columns.get(*index).clone();
                    info.not_null = false;
                    self.columns.add(info)
                }
                other => self.columns.computed("group key", self.column_type_of(other)),
            };
            numbered.push((column, key));
        }
        let grouping = several.then(|| self.columns.computed("grouping set", DataType::Int4));
        let mut grouping =
            Grouping { keys: numbered, sets, grouping, input: ColumnSet::new(), masks: Vec::new() };
        self.bind_grouping_masks(&mut grouping)?;
        Ok(Some(grouping))
    }

    /// Keys and grouping sets (lists of key positions).
    #[allow(clippy::type_complexity)]
    fn bind_group_items(
        &mut self,
        items: &[GroupItem],
        targets: &mut Vec<Target>,
    ) -> PgResult<(Vec<Expr>, Vec<Vec<u32>>)> {
        let mut keys = Vec::new();
        let mut sets: Vec<Vec<u32>> = vec![Vec::new()];
        for item in items {
            let alternatives = self.group_alternatives(item, targets, &mut keys)?;
            let mut product = Vec::with_capacity(sets.len() * alternatives.len());
            for set in &sets {
                for alternative in &alternatives {
                    let mut combined = set.clone();
                    combined.extend(alternative.iter().filter(|key| !set.contains(key)));
                    product.push(combined);
                }
            }
            if product.len() > SETS_MAX {
                let message = format!("too many grouping sets present (maximum {SETS_MAX})");
                return Err(PgError::new(SqlState::STATEMENT_TOO_COMPLEX, message));
            }
            sets = product;
        }
        Ok((keys, sets))
    }

    /// The grouping sets that one item stands for.
    fn group_alternatives(
        &mut self,
        item: &GroupItem,
        targets: &mut Vec<Target>,
        keys: &mut Vec<Expr>,
    ) -> PgResult<Vec<Vec<u32>>> {
        match item {
            GroupItem::Empty => Ok(vec![Vec::new()]),
            GroupItem::Expression(expression) => Ok(vec![self.group_keys(expression, targets, keys)?]),
            GroupItem::Rollup(list, _) => {
                let groups = self.group_key_lists(list, targets, keys)?;
                Ok((0..=groups.len()).rev().map(|length| groups[..length].concat()).collect())
            }
            GroupItem::Cube(list, position) => {
                const CUBE_MAX: usize = 12;
                if list.len() > CUBE_MAX {
                    let message = format!("CUBE is limited to {CUBE_MAX} elements");
                    return Err(PgError::new(SqlState::TOO_MANY_COLUMNS, message).at(*position));
                }
                let groups = self.group_key_lists(list, targets, keys)?;
                let count = groups.len();
                let subset = |mask: usize| {
                    let chosen = (0..count).filter(|index| mask >> (count - 1 - index) & 1 == 1);
                    chosen.flat_map(|index| groups[index].clone()).collect()
                };
                Ok((0..1usize << count).rev().map(subset).collect())
            }
            GroupItem::Sets(items, _) => {
                let mut sets = Vec::new();
                for item in items {
                    sets.extend(self.group_alternatives(item, targets, keys)?);
                }
                Ok(sets)
            }
        }
    }

    fn group_key_lists(
        &mut self,
        list: &[Expression],
        targets: &mut Vec<Target>,
        keys: &mut Vec<Expr>,
    ) -> PgResult<Vec<Vec<u32>>> {
        list.iter().map(|expression| self.group_keys(expression, targets, keys)).collect()
    }

    /// The keys of one expression: a row in parentheses is several.
    fn group_keys(
        &mut self,
        expression: &Expression,
        targets: &mut Vec<Target>,
        keys: &mut Vec<Expr>,
    ) -> PgResult<Vec<u32>> {
        if let ExpressionKind::Row { fields, explicit: false } = &expression.kind {
            let mut positions = Vec::with_capacity(fields.len());
            for field in fields {
                positions.extend(self.group_keys(field, targets, keys)?);
            }
            return Ok(positions);
        }
        let target = self.find_target_item(expression, ItemClause::GroupBy, targets)?;
        self.settle_target(targets, target)?;
        let key = targets[target].expr.clone();
        let position = targets[target].position;
        self.refuse_aggregates_in_key(&key, position)?;
        resolve::equality(key.data_type())
            .map_err(|error| self.name_types(error).or_at(expression.position))?;
        let known = keys.iter().position(|known| same_expression(known, &key));
        let index = known.unwrap_or_else(|| {
            keys.push(key);
            keys.len() - 1
        });
        Ok(vec![index as u32])
    }

    /// GROUP BY 1 may name a target that aggregates.
    fn refuse_aggregates_in_key(&mut self, key: &Expr, position: u32) -> PgResult<()> {
        let mut used = ColumnSet::new();
        collect_columns(key, &mut used);
        let level = self.level();
        if level.aggregates.iter().any(|aggregate| used.contains(aggregate.column)) {
            return Clause::GroupBy.check_aggregate(position);
        }
        if level.window_calls.iter().any(|call| used.contains(call.column)) {
            return Clause::GroupBy.check_window(position);
        }
        Ok(())
    }

    // --- GROUPING().

    pub(super) fn bind_grouping_call(&mut self, arguments: &[Expression], position: u32) -> PgResult<Expr> {
        if arguments.len() > 31 {
            let message = "GROUPING must have fewer than 32 arguments";
            return Err(PgError::new(SqlState::TOO_MANY_ARGUMENTS, message).at(position));
        }
        if !self.level().clause.allows_aggregates() {
            let message = format!("grouping operations are not allowed in {}", self.level().clause.name());
            return Err(PgError::new(SqlState::GROUPING_ERROR, message).at(position));
        }
        let mut bound = Vec::with_capacity(arguments.len());
        for argument in arguments {
            bound.push(self.bind_typed(argument)?);
        }
        let column = self.columns.computed("grouping", DataType::Int4);
        self.level().groupings.push((column, bound, position));
        Ok(Expr::column(column, DataType::Int4))
    }

    /// GROUPING(a, b): a bit for each argument that the row's set leaves out.
    fn bind_grouping_masks(&mut self, grouping: &mut Grouping) -> PgResult<()> {
        for (column, arguments, position) in std::mem::take(&mut self.level().groupings) {
            let mut positions = Vec::with_capacity(arguments.len());
            for argument in &arguments {
                let found = grouping.keys.iter().position(|(_, key)| same_expression(key, argument));
                positions.push(found.ok_or_else(|| {
                    let message =
                        "arguments to GROUPING must be grouping expressions of the associated query level";
                    PgError::new(SqlState::GROUPING_ERROR, message).at(position)
                })? as u32);
            }
            let mask = |set: &Vec<u32>| {
                positions.iter().fold(0i32, |mask, key| mask << 1 | i32::from(!set.contains(key)))
            };
            let constant = |value: i32| Expr::constant(Datum::Int4(value), DataType::Int4);
            let value = match grouping.grouping {
                None => constant(mask(&grouping.sets[0])),
                Some(selector) => {
                    let equal = resolve::equality(DataType::Int4)?;
                    let operand = Expr::CaseOperand { data_type: DataType::Int4 };
                    let arms = grouping.sets.iter().enumerate().map(|(index, set)| expr::CaseArm {
                        condition: Expr::Call {
                            function: equal,
                            arguments: vec![operand.clone(), constant(index as i32)],
                            data_type: DataType::Bool,
                            position,
                        },
                        result: constant(mask(set)),
                    });
                    Expr::Case {
                        operand: Some(Box::new(Expr::column(selector, DataType::Int4))),
                        arms: arms.collect(),
                        otherwise: None,
                        data_type: DataType::Int4,
                    }
                }
            };
            grouping.masks.push((column, value));
        }
        Ok(())
    }

    // --- Above the grouping.

    /// Rewrites an expression over the keys.
    pub(super) fn regroup_expr(&mut self, grouping: &mut Grouping, expr: &mut Expr) -> PgResult<()> {
        if let Some((column, data_type)) = grouping.key_of(expr) {
            *expr = Expr::column(column, data_type);
            return Ok(());
        }
        if let Expr::Column { index, .. } = expr {
            if !grouping.input.contains(*index) {
                return Ok(());
            }
            let index = *index;
            return self.depend_on_keys(grouping, index, false);
        }
        let mut result = Ok(());
        expr.for_each_child_mut(&mut |child| {
            if result.is_ok() {
                result = self.regroup_expr(grouping, child);
            }
        });
        result
    }

    /// Makes a column of the input a key if its table's primary key is one; refuses it otherwise.
    fn depend_on_keys(
        &mut self,
        grouping: &mut Grouping,
        column: ColumnNumber,
        in_subquery: bool,
    ) -> PgResult<()> {
        let plain = grouping.plain_keys();
        let instance = self.instances.iter().find(|instance| instance.columns.contains(&column));
        if let (Some(instance), None) = (instance, grouping.grouping) {
            let descriptor = &instance.table.descriptor;
            let primary = &descriptor.primary;
            let covered = primary.constraint.is_some()
                && !primary.deferrable
                && primary.columns.iter().all(|key| {
                    descriptor
                        .column_position(key.column)
                        .is_some_and(|at| plain.contains(instance.columns[at]))
                });
            if covered {
                let position = grouping.keys.len() as u32;
                grouping.keys.push((column, self.columns.expr(column)));
                grouping.sets.iter_mut().for_each(|set| set.push(position));
                return Ok(());
            }
        }
        Err(self.ungrouped(column, in_subquery))
    }

    fn ungrouped(&mut self, column: ColumnNumber, in_subquery: bool) -> PgError {
        let name = self.shown_name(column);
        let position = self.level().references.iter().find(|(index, _)| *index == column).map(|(_, at)| *at);
        let message = if in_subquery {
            format!("subquery uses ungrouped column \"{name}\" from outer query")
        } else {
            format!(
                "column \"{name}\" must appear in the GROUP BY clause or be used in an aggregate function"
            )
        };
        let error = PgError::new(SqlState::GROUPING_ERROR, message);
        match position {
            Some(position) => error.at(position),
            None => error,
        }
    }

    /// `t.a`, as messages name a column of the level.
    fn shown_name(&mut self, column: ColumnNumber) -> String {
        let is = |expr: &Expr| matches!(expr, Expr::Column { index, .. } if *index == column);
        for item in &self.level().namespace {
            if let Some(found) = item.columns.iter().find(|shown| is(&shown.expr)) {
                return match &item.name {
                    Some(name) => format!("{name}.{}", found.name),
                    None => found.name.to_string(),
                };
            }
        }
        self.columns.get(column).name.to_string()
    }

    /// Subqueries above the grouping see its keys only.
    pub(super) fn regroup_pending(
        &mut self,
        grouping: &mut Grouping,
        pending: &mut [Pending],
    ) -> PgResult<()> {
        for subquery in pending {
            for condition in &mut subquery.conditions {
                let own = subquery.right.produced();
                self.regroup_condition(grouping, condition, &own)?;
            }
            let free = subquery.right.free_columns();
            let mut moved = Vec::new();
            for column in free.intersection(&grouping.input).iter() {
                let plain = Expr::column(column, self.columns.data_type(column));
                match grouping.key_of(&plain) {
                    Some((key, data_type)) if key != column => {
                        moved.push((column, Expr::column(key, data_type)))
                    }
                    Some(_) => {}
                    None => self.depend_on_keys(grouping, column, true)?,
                }
            }
            if !moved.is_empty() {
                let replacement = |column: ColumnNumber| {
                    moved.iter().find(|(old, _)| *old == column).map(|(_, new)| new.clone())
                };
                subquery.right.replace_columns(&replacement);
            }
        }
        Ok(())
    }

    /// A condition of IN: columns of the subquery itself stay.
    fn regroup_condition(
        &mut self,
        grouping: &mut Grouping,
        condition: &mut Expr,
        own: &ColumnSet,
    ) -> PgResult<()> {
        let input = grouping.input.clone();
        grouping.input = input.difference(own);
        let result = self.regroup_expr(grouping, condition);
        grouping.input = input;
        result
    }

    /// The Aggregate of the level over its input.
    pub(super) fn build_aggregate(&mut self, input: Relational, grouping: Grouping) -> Relational {
        let aggregates = std::mem::take(&mut self.level().aggregates);
        let aggregate = Aggregate {
            input,
            keys: grouping.keys,
            sets: grouping.sets,
            aggregates: aggregates.into_iter().map(|bound| (bound.column, bound.aggregate)).collect(),
            grouping: grouping.grouping,
            strategy: AggregateStrategy::Hash,
        };
        Relational::Aggregate(Box::new(aggregate)).extend(grouping.masks)
    }
}
