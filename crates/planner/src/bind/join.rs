//! Joins: conditions, USING and NATURAL with their merged columns.

use super::Binder;
use super::level::{Clause, Pending};
use super::relation::apply_alias;
use super::scope::{Item, ItemColumn, item_column};
use crate::ast::{Join, JoinCondition, JoinKind as Kind};
use crate::logical::{JoinKind, Relational, conjuncts};
use crate::rewrite::never_null;
use expr::Expr;
use types::{DataType, Datum, PgError, PgResult, SqlState};

/// Columns merged by USING: name and both sides.
struct Merged {
    left: usize,
    right: usize,
}

impl Binder<'_> {
    pub(super) fn bind_join(&mut self, join: &Join) -> PgResult<(Relational, Vec<Item>)> {
        let kind = match join.kind {
            Kind::Inner | Kind::Cross => JoinKind::Inner,
            Kind::Left => JoinKind::Left,
            Kind::Right => JoinKind::Right,
            Kind::Full => JoinKind::Full,
        };
        let (left, left_items) = self.bind_table(&join.left)?;
        let (right, right_items) = self.bind_right(join, kind, &left_items)?;
        self.check_namespace_conflict(&left_items, &right_items)?;
        let (left, left_items) = match kind {
            JoinKind::Right | JoinKind::Full => self.note_presence(left, left_items),
            _ => (left, left_items),
        };
        let (right, right_items) = match kind {
            JoinKind::Left | JoinKind::Full => self.note_presence(right, right_items),
            _ => (right, right_items),
        };
        let names = match &join.condition {
            JoinCondition::Using(names, _) => {
                names.iter().map(|name| (name.name.clone(), name.position)).collect()
            }
            JoinCondition::Natural => natural_columns(&left_items, &right_items, join.position),
            _ => Vec::new(),
        };
        let (plan, mut items) = match &join.condition {
            JoinCondition::On(condition) => {
                let mut items = left_items;
                items.extend(right_items);
                let conditions = self.bind_on(condition, &items)?;
                (self.build_join(kind, left, right, conditions, join.position)?, items)
            }
            JoinCondition::Using(..) | JoinCondition::Natural => {
                self.bind_using(join, kind, (left, left_items), (right, right_items), names)?
            }
            JoinCondition::None => {
                let mut items = left_items;
                items.extend(right_items);
                (left.join(kind, right, Vec::new()), items)
            }
        };
        if let Some(alias) = &join.alias {
            let columns = items
                .iter()
                .filter(|item| item.columns_visible)
                .flat_map(|item| item.columns.clone())
                .collect();
            let mut item = Item { of_join: true, ..Item::new(None, columns) };
            apply_alias(&mut item, Some(alias), "")?;
            items = vec![item];
        }
        Ok((plan, items))
    }

    /// Finds or adds for the items of a nullable side what tells whether the join found a row there.
    fn note_presence(&mut self, mut plan: Relational, mut items: Vec<Item>) -> (Relational, Vec<Item>) {
        let mut of_side = None;
        let unknown = |item: &&mut Item| item.relation_visible && !item.of_join && item.presence.is_none();
        for item in items.iter_mut().filter(unknown) {
            let own = item.columns.iter().find_map(|column| match column.expr {
                Expr::Column { index, .. } if never_null(&plan, index, &self.columns) => Some(index),
                _ => None,
            });
            item.presence = own.or(of_side).or_else(|| {
                let marker = self.columns.computed("present", DataType::Bool);
                let present = Expr::constant(Datum::Bool(true), DataType::Bool);
                plan = plan.take().extend(vec![(marker, present)]);
                of_side = Some(marker);
                of_side
            });
        }
        (plan, items)
    }

    /// The right side sees the left one if it is lateral.
    fn bind_right(
        &mut self,
        join: &Join,
        kind: JoinKind,
        left: &[Item],
    ) -> PgResult<(Relational, Vec<Item>)> {
        let mark = self.level().namespace.len();
        let lateral_ok = matches!(kind, JoinKind::Inner | JoinKind::Left);
        for item in left {
            let mut item = item.clone();
            item.lateral_only = true;
            item.lateral_ok = lateral_ok;
            self.level().namespace.push(item);
        }
        let bound = self.bind_table(&join.right);
        self.level().namespace.truncate(mark);
        bound
    }

    /// ON sees the two sides alone.
    fn bind_on(&mut self, condition: &crate::ast::Expression, items: &[Item]) -> PgResult<Vec<Expr>> {
        let namespace = std::mem::replace(&mut self.level().namespace, items.to_vec());
        for item in &mut self.level().namespace {
            item.lateral_only = false;
        }
        let clause = std::mem::replace(&mut self.level().clause, Clause::JoinOn);
        let bound = self.bind_condition(condition, "JOIN/ON");
        self.level().clause = clause;
        self.level().namespace = namespace;
        Ok(conjuncts(bound?))
    }

    /// Places the subqueries of ON, then joins.
    fn build_join(
        &mut self,
        kind: JoinKind,
        left: Relational,
        right: Relational,
        conditions: Vec<Expr>,
        position: u32,
    ) -> PgResult<Relational> {
        let pending = std::mem::take(&mut self.level().pending);
        if pending.is_empty() {
            return Ok(left.join(kind, right, conditions));
        }
        if kind == JoinKind::Inner {
            let mut plan = left.join(kind, right, Vec::new());
            for subquery in pending {
                plan = subquery.attach(plan);
            }
            return Ok(plan.filter(conditions));
        }
        let (mut left, mut right) = (left, right);
        for subquery in pending {
            let uses = uses(&subquery);
            if !uses.intersects(&right.produced()) {
                left = subquery.attach(left);
            } else if !uses.intersects(&left.produced()) {
                right = subquery.attach(right);
            } else {
                let message = "a subquery that uses both sides of an outer join in its condition";
                return Err(PgError::unsupported(message).at(position));
            }
        }
        Ok(left.join(kind, right, conditions))
    }

    // --- USING.

    fn bind_using(
        &mut self,
        join: &Join,
        kind: JoinKind,
        (left, mut left_items): (Relational, Vec<Item>),
        (right, mut right_items): (Relational, Vec<Item>),
        names: Vec<(Box<str>, u32)>,
    ) -> PgResult<(Relational, Vec<Item>)> {
        let left_columns = visible_columns(&left_items);
        let right_columns = visible_columns(&right_items);
        let mut conditions = Vec::with_capacity(names.len());
        let mut merged = Vec::with_capacity(names.len());
        let mut merged_columns = Vec::with_capacity(names.len());
        let mut computed = Vec::new();
        for (index, (name, position)) in names.iter().enumerate() {
            if names[..index].iter().any(|(other, _)| other == name) {
                let message = format!("column name \"{name}\" appears more than once in USING clause");
                return Err(PgError::new(SqlState::DUPLICATE_COLUMN, message).at(*position));
            }
            let left_index = using_column(&left_columns, name, "left", *position)?;
            let right_index = using_column(&right_columns, name, "right", *position)?;
            let (one, other) = (&left_columns[left_index], &right_columns[right_index]);
            self.note_selected(one);
            self.note_selected(other);
            let equal = crate::ast::Operator::plain("=");
            let condition = self.operator(
                &equal,
                Some((one.expr.clone(), *position)),
                (other.expr.clone(), *position),
                *position,
            )?;
            conditions.push(condition);
            merged.push(Merged { left: left_index, right: right_index });
            merged_columns.push(self.merged_column(kind, name, one, other, *position, &mut computed)?);
        }
        let plan = left.join(kind, right, conditions).extend(computed);
        // What USING shows: merged columns, then the others of the left, then those of the right side.
        let mut columns = merged_columns.clone();
        let rest = |list: &[ItemColumn], taken: &dyn Fn(usize) -> bool| -> Vec<ItemColumn> {
            let kept = list.iter().enumerate().filter(|(index, _)| !taken(*index));
            kept.map(|(_, column)| column.clone()).collect()
        };
        columns.extend(rest(&left_columns, &|index| merged.iter().any(|pair| pair.left == index)));
        columns.extend(rest(&right_columns, &|index| merged.iter().any(|pair| pair.right == index)));
        let mut item = Item::new(None, columns);
        item.relation_visible = false;
        left_items.iter_mut().chain(&mut right_items).for_each(|item| item.columns_visible = false);
        let mut items = left_items;
        items.extend(right_items);
        items.push(item);
        if let JoinCondition::Using(_, Some(alias)) = &join.condition {
            let mut item = Item { of_join: true, ..Item::new(Some(alias.name.clone()), merged_columns) };
            item.columns_visible = false;
            items.push(item);
        }
        Ok((plan, items))
    }

    /// The value of a merged column: the side that is never null-extended, or whichever is there.
    fn merged_column(
        &mut self,
        kind: JoinKind,
        name: &str,
        left: &ItemColumn,
        right: &ItemColumn,
        position: u32,
        computed: &mut Vec<(u32, Expr)>,
    ) -> PgResult<ItemColumn> {
        let inputs = vec![(left.expr.clone(), position), (right.expr.clone(), position)];
        let (mut pair, data_type) = self.to_common(inputs, "JOIN/USING")?;
        let right_value = pair.pop().expect("two");
        let left_value = pair.pop().expect("two");
        let value = match kind {
            JoinKind::Full => Expr::Coalesce { arguments: vec![left_value, right_value], data_type },
            JoinKind::Right => right_value,
            _ => left_value,
        };
        let column_type =
            if left.column_type == right.column_type { left.column_type } else { data_type.into() };
        if let Expr::Column { index, .. } = value {
            return Ok(item_column(name, index, column_type, false));
        }
        let number = self.columns.computed(name, column_type);
        computed.push((number, value));
        Ok(item_column(name, number, column_type, false))
    }
}

/// The outer columns that a waiting subquery uses.
fn uses(pending: &Pending) -> crate::logical::ColumnSet {
    let mut used = pending.right.free_columns();
    for condition in &pending.conditions {
        crate::logical::collect_columns(condition, &mut used);
    }
    used.difference(&pending.right.produced())
}

fn visible_columns(items: &[Item]) -> Vec<ItemColumn> {
    let visible = items.iter().filter(|item| item.columns_visible).flat_map(|item| &item.columns);
    visible.filter(|column| !column.hidden).cloned().collect()
}

/// NATURAL: the columns of the left side that the right one has, too.
fn natural_columns(left: &[Item], right: &[Item], position: u32) -> Vec<(Box<str>, u32)> {
    let right = visible_columns(right);
    let mut names: Vec<(Box<str>, u32)> = Vec::new();
    for column in visible_columns(left) {
        if right.iter().any(|other| other.name == column.name)
            && !names.iter().any(|(name, _)| *name == column.name)
        {
            names.push((column.name, position));
        }
    }
    names
}

fn using_column(columns: &[ItemColumn], name: &str, side: &str, position: u32) -> PgResult<usize> {
    let mut matching = columns.iter().enumerate().filter(|(_, column)| *column.name == *name);
    match (matching.next(), matching.next()) {
        (Some((index, _)), None) => Ok(index),
        (None, _) => {
            let message =
                format!("column \"{name}\" specified in USING clause does not exist in {side} table");
            Err(PgError::new(SqlState::UNDEFINED_COLUMN, message).at(position))
        }
        (Some(_), Some(_)) => {
            let message = format!("common column name \"{name}\" appears more than once in {side} table");
            Err(PgError::new(SqlState::AMBIGUOUS_COLUMN, message).at(position))
        }
    }
}
