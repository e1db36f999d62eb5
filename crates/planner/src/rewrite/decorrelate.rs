//! Correlated subqueries become joins: instead of running the subquery for every row, run it once and join.
//!
//! ```text
//!   EXISTS (SELECT ... FROM u WHERE u.x = t.a AND p)    Semi[x = a] over (u where p)
//!   (SELECT max(y) FROM u WHERE u.x = t.a)              Left[x = a] over (u grouped by x), then the value
//!   (SELECT y FROM u WHERE u.id = t.a)                  Left[id = a] over u, if u.id is unique
//!   LATERAL (SELECT ... FROM u WHERE u.x = t.a)         an ordinary join
//! ```
//!
//! The conditions that use outer columns are pulled up out of the subquery, through whatever keeps rows apart, and become
//! conditions of the join. What they cannot be pulled through (LIMIT, grouping that they are not keys of, the inner side of
//! an outer join, UNION) leaves the join lateral: it is executed row by row, which is always right.
//!
//! An aggregate without GROUP BY gives a row even for no input. Grouped by the correlation it gives none, so that the join
//! above must be an outer one, and `count` of nothing, NULL there, must become 0 again.

use crate::logical::*;
use crate::plan::SubqueryResult;
use expr::Expr;
use expr::catalogue::operators::{Comparison, comparison_of};
use types::{DataType, Datum};

pub fn run(mut relational: Relational, columns: &mut Columns) -> Relational {
    visit(&mut relational, columns);
    relational
}

fn visit(node: &mut Relational, columns: &mut Columns) {
    stacker::maybe_grow(64 << 10, 1 << 20, || {
        node.for_each_input_mut(&mut |input| visit(input, columns));
        let Relational::Join(join) = node else { return };
        let outer = join.right.free_columns().intersection(&join.left.produced());
        match join.kind {
            JoinKind::Subquery { column, value, result: SubqueryResult::Scalar } => {
                if let Some(joined) = scalar(join, &outer, column, value, columns) {
                    *node = joined;
                }
            }
            _ if outer.is_empty() => {}
            JoinKind::Semi | JoinKind::Anti { .. } | JoinKind::Mark { .. } => existence(join, &outer),
            JoinKind::Inner | JoinKind::Left => lateral(join, &outer),
            _ => {}
        }
    });
}

/// How conditions are pulled up out of a subquery.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    /// Only whether rows exist counts: duplicates and order are nothing.
    Existence,
    /// Every row counts.
    Rows,
}

/// What was pulled up: conditions, and computed columns that used outer ones.
#[derive(Default)]
struct Pulled {
    conditions: Vec<Expr>,
    computed: Vec<(ColumnNumber, Expr)>,
}

impl Pulled {
    /// Puts computed columns into an expression.
    fn substitute(&self, expression: &mut Expr) {
        // The last computed ones may use earlier ones: go through them from the top.
        for (column, value) in self.computed.iter() {
            replace_columns(expression, &|used| (used == *column).then(|| value.clone()));
        }
    }
}

fn uses(expression: &Expr, outer: &ColumnSet) -> bool {
    columns_of(expression).intersects(outer)
}

/// Takes everything that uses `outer` out of `node`; `None` if something must stay.
fn pull(node: Relational, outer: &ColumnSet, purpose: Use, pulled: &mut Pulled) -> Option<Relational> {
    if !node.free_columns().intersects(outer) {
        return Some(node);
    }
    match node {
        Relational::Filter(filter) => {
            let Filter { input, conditions } = *filter;
            let all: Vec<Expr> = conditions.into_iter().flat_map(conjuncts).collect();
            let (correlated, own): (Vec<Expr>, Vec<Expr>) =
                all.into_iter().partition(|condition| uses(condition, outer));
            if correlated.iter().any(expr::eval::is_volatile) {
                return None;
            }
            let input = pull(input, outer, purpose, pulled)?;
            let mut kept = Vec::with_capacity(own.len());
            for mut condition in own {
                let before = condition.clone();
                pulled.substitute(&mut condition);
                if condition == before { kept.push(condition) } else { pulled.conditions.push(condition) }
            }
            for mut condition in correlated {
                pulled.substitute(&mut condition);
                pulled.conditions.push(condition);
            }
            Some(input.filter(kept))
        }
        Relational::Extend(extend) => {
            let crate::logical::Extend { input, columns } = *extend;
            let input = pull(input, outer, purpose, pulled)?;
            let mut kept = Vec::with_capacity(columns.len());
            for (column, mut value) in columns {
                let before = value.clone();
                pulled.substitute(&mut value);
                if value != before || uses(&value, outer) {
                    if expr::eval::is_volatile(&value) {
                        return None;
                    }
                    pulled.computed.push((column, value));
                } else {
                    kept.push((column, value));
                }
            }
            Some(input.extend(kept))
        }
        Relational::Join(mut join) => {
            pull_join(&mut join, outer, purpose, pulled)?;
            Some(Relational::Join(join))
        }
        Relational::Distinct(distinct) if purpose == Use::Existence && !distinct.ordered => {
            pull(distinct.input, outer, purpose, pulled)
        }
        Relational::Sort(sort) if purpose == Use::Existence => pull(sort.input, outer, purpose, pulled),
        Relational::Sort(mut sort) => {
            sort.input = pull(sort.input, outer, purpose, pulled)?;
            let keys_stay =
                sort.keys.iter().all(|key| !pulled.computed.iter().any(|(column, _)| *column == key.column));
            keys_stay.then_some(Relational::Sort(sort))
        }
        // EXISTS (... LIMIT 1) is EXISTS (...).
        Relational::Limit(limit) if purpose == Use::Existence && limit.offset.is_none() => {
            let some = matches!(limit.count, None | Some(Expr::Constant { value: Datum::Int8(1..), .. }));
            if some { pull(limit.input, outer, purpose, pulled) } else { None }
        }
        _ => None,
    }
}

fn pull_join(join: &mut Join, outer: &ColumnSet, purpose: Use, pulled: &mut Pulled) -> Option<()> {
    let correlated_on = join.conditions.iter().any(|condition| uses(condition, outer));
    match join.kind {
        JoinKind::Inner => {
            join.left = pull(join.left.take(), outer, purpose, pulled)?;
            join.right = pull(join.right.take(), outer, purpose, pulled)?;
            let own: Vec<Expr> =
                std::mem::take(&mut join.conditions).into_iter().flat_map(conjuncts).collect();
            for mut condition in own {
                let before = condition.clone();
                pulled.substitute(&mut condition);
                if condition != before || uses(&condition, outer) {
                    pulled.conditions.push(condition);
                } else {
                    join.conditions.push(condition);
                }
            }
            Some(())
        }
        _ if correlated_on => None,
        JoinKind::Left
        | JoinKind::Semi
        | JoinKind::Anti { .. }
        | JoinKind::Mark { .. }
        | JoinKind::Subquery { .. } => {
            if join.right.free_columns().intersects(outer) {
                return None;
            }
            let before = pulled.computed.len();
            join.left = pull(join.left.take(), outer, purpose, pulled)?;
            // A computed column that moved up must not be needed by what stays.
            (pulled.computed.len() == before).then_some(())
        }
        _ => None,
    }
}

/// EXISTS and IN.
fn existence(join: &mut Join, outer: &ColumnSet) {
    let mut pulled = Pulled::default();
    let Some(right) = pull(join.right.clone(), outer, Use::Existence, &mut pulled) else { return };
    if right.free_columns().intersects(outer) {
        return;
    }
    for condition in &mut join.conditions {
        pulled.substitute(condition);
    }
    let null_aware =
        matches!(join.kind, JoinKind::Anti { null_aware: true } | JoinKind::Mark { null_aware: true, .. });
    for mut condition in pulled.conditions {
        // A row for which the condition is NULL does not exist; only the comparisons of IN may be NULL.
        if null_aware {
            condition = Expr::IsBool { input: Box::new(condition), value: Some(true), negated: false };
        }
        join.conditions.push(condition);
    }
    join.right = right;
}

/// LATERAL subqueries without anything that keeps conditions inside.
fn lateral(join: &mut Join, outer: &ColumnSet) {
    let mut pulled = Pulled::default();
    let Some(right) = pull(join.right.clone(), outer, Use::Rows, &mut pulled) else { return };
    // Columns computed of outer ones would have to be computed above the join: NULL-extended rows must not see them.
    if right.free_columns().intersects(outer) || !pulled.computed.is_empty() {
        return;
    }
    join.conditions.extend(pulled.conditions);
    join.right = right;
}

// --- Scalar subqueries.

fn scalar(
    join: &mut Join,
    outer: &ColumnSet,
    column: ColumnNumber,
    value: ColumnNumber,
    columns: &mut Columns,
) -> Option<Relational> {
    // Computed columns on top of the subquery's core.
    let mut computed: Vec<Vec<(ColumnNumber, Expr)>> = Vec::new();
    let mut core = join.right.clone();
    loop {
        core = match core {
            Relational::Extend(extend) => {
                if extend.columns.iter().any(|(_, value)| expr::eval::is_volatile(value)) {
                    return None;
                }
                computed.push(extend.columns);
                extend.input
            }
            Relational::Sort(sort) => sort.input,
            other => break core_of(other, join, outer, column, value, computed, columns),
        };
    }
}

fn core_of(
    core: Relational,
    join: &mut Join,
    outer: &ColumnSet,
    column: ColumnNumber,
    value: ColumnNumber,
    computed: Vec<Vec<(ColumnNumber, Expr)>>,
    columns: &mut Columns,
) -> Option<Relational> {
    let (right, conditions, defaults) = match core {
        Relational::Aggregate(aggregate) if aggregate.keys.is_empty() && aggregate.sets.len() == 1 => {
            if outer.is_empty() {
                return None;
            }
            grouped(*aggregate, outer, columns)?
        }
        other => {
            let mut pulled = Pulled::default();
            let right = pull(other, outer, Use::Rows, &mut pulled)?;
            if right.free_columns().intersects(outer) || !pulled.computed.is_empty() {
                return None;
            }
            if !at_most_one(&right, &pulled.conditions, outer) {
                return None;
            }
            (right, pulled.conditions, Vec::new())
        }
    };
    // A value computed from nothing but constants and outer columns would not be NULL where the subquery has no row.
    if defaults.is_empty() && !computed.is_empty() && !stays_null(&computed, value, &right) {
        return None;
    }
    let mut plan = join.left.take().join(JoinKind::Left, right, conditions);
    // The aggregates of no rows.
    let renamed = defaults;
    let replacement =
        |used: ColumnNumber| renamed.iter().find(|(old, _)| *old == used).map(|(_, new)| new.clone());
    for list in computed.into_iter().rev() {
        let list = list
            .into_iter()
            .map(|(own, mut expression)| {
                replace_columns(&mut expression, &replacement);
                (own, expression)
            })
            .collect();
        plan = plan.extend(list);
    }
    let mut result = columns.expr(value);
    replace_columns(&mut result, &replacement);
    Some(plan.extend(vec![(column, result)]))
}

/// Groups an aggregate by what correlates it. Answers the plan, the join conditions, and what its aggregates are without
/// input.
#[allow(clippy::type_complexity)]
fn grouped(
    aggregate: Aggregate,
    outer: &ColumnSet,
    columns: &mut Columns,
) -> Option<(Relational, Vec<Expr>, Vec<(ColumnNumber, Expr)>)> {
    let mut aggregate = aggregate;
    let correlated_call = aggregate.aggregates.iter().any(|(_, call)| {
        let keys = call.order_by.iter().map(|(key, _, _)| key);
        call.arguments.iter().chain(&call.filter).chain(keys).any(|part| uses(part, outer))
    });
    if correlated_call {
        return None;
    }
    let mut pulled = Pulled::default();
    let input = pull(aggregate.input.take(), outer, Use::Rows, &mut pulled)?;
    if input.free_columns().intersects(outer) || !pulled.computed.is_empty() {
        return None;
    }
    let inner = input.produced();
    let mut keys: Vec<(ColumnNumber, Expr)> = Vec::new();
    let mut conditions = Vec::with_capacity(pulled.conditions.len());
    for condition in pulled.conditions {
        let (function, mut sides, position) = equality(&condition, &inner, outer)?;
        let key = sides.0;
        let known = keys.iter().find(|(_, known)| same_expression(known, &key)).map(|(column, _)| *column);
        let column = known.unwrap_or_else(|| {
            let column = columns.computed("key", key.data_type());
            keys.push((column, key.clone()));
            column
        });
        let key_column = Expr::column(column, key.data_type());
        let other = std::mem::replace(&mut sides.1, Expr::constant(Datum::Null, DataType::Unknown));
        let arguments = if sides.2 { vec![key_column, other] } else { vec![other, key_column] };
        conditions.push(Expr::Call { function, arguments, data_type: DataType::Bool, position });
    }
    if keys.is_empty() {
        return None;
    }
    let mut defaults = Vec::new();
    for (column, call) in &aggregate.aggregates {
        if call.function.name == "count" {
            let zero = Expr::constant(Datum::Int8(0), DataType::Int8);
            let arguments = vec![Expr::column(*column, DataType::Int8), zero];
            defaults.push((*column, Expr::Coalesce { arguments, data_type: DataType::Int8 }));
        } else if !null_without_input(call.function.name) {
            return None;
        } else {
            defaults.push((*column, Expr::column(*column, call.data_type)));
        }
    }
    aggregate.sets = vec![(0..keys.len() as u32).collect()];
    aggregate.keys = keys;
    aggregate.input = input;
    Some((Relational::Aggregate(Box::new(aggregate)), conditions, defaults))
}

/// Aggregates that give NULL when there is nothing to aggregate: all but the counts.
fn null_without_input(name: &str) -> bool {
    !matches!(name, "count" | "regr_count")
}

/// An equality between an expression of the inner and one of the outer columns: (function, (inner, outer, inner stands left), place).
#[allow(clippy::type_complexity)]
fn equality(
    condition: &Expr,
    inner: &ColumnSet,
    outer: &ColumnSet,
) -> Option<(expr::FunctionRef, (Expr, Expr, bool), u32)> {
    let Expr::Call { function, arguments, position, .. } = condition else { return None };
    let [left, right] = arguments.as_slice() else { return None };
    let (Comparison::Equal, _, _) = comparison_of(*function)? else { return None };
    let (of_left, of_right) = (columns_of(left), columns_of(right));
    let is_inner = |used: &ColumnSet| used.intersects(inner) && !used.intersects(outer);
    let is_outer = |used: &ColumnSet| !used.intersects(inner);
    // Grouping by a value of one type and comparing with another would have to agree on equality: same types only.
    if left.data_type() != right.data_type() {
        return None;
    }
    if is_inner(&of_left) && is_outer(&of_right) {
        Some((*function, (left.clone(), right.clone(), true), *position))
    } else if is_inner(&of_right) && is_outer(&of_left) {
        Some((*function, (right.clone(), left.clone(), false), *position))
    } else {
        None
    }
}

/// Does the plan have at most one row for each combination of outer values? True for a table filtered by equality on all
/// columns of a unique index.
fn at_most_one(plan: &Relational, conditions: &[Expr], outer: &ColumnSet) -> bool {
    let mut own: Vec<&Expr> = conditions.iter().collect();
    let mut node = plan;
    loop {
        match node {
            Relational::Filter(filter) => {
                own.extend(&filter.conditions);
                node = &filter.input;
            }
            Relational::Extend(extend) => node = &extend.input,
            Relational::Scan(scan) => {
                let fixed: ColumnSet =
                    own.iter().filter_map(|condition| fixed_column(condition, scan, outer)).collect();
                let descriptor = &scan.table.descriptor;
                return descriptor.all_indexes().any(|index| {
                    index.unique
                        && index.predicate.is_none()
                        && !index.deferrable
                        && index.state == types::descriptor::ElementState::Public
                        && index.columns.iter().all(|key| {
                            descriptor
                                .column_position(key.column)
                                .is_some_and(|at| fixed.contains(scan.columns[at]))
                        })
                });
            }
            Relational::Values(values) => return values.rows.len() <= 1,
            Relational::Aggregate(aggregate) => {
                return aggregate.keys.is_empty() && aggregate.sets.len() == 1;
            }
            _ => return false,
        }
    }
}

/// The column of the scan that a condition fixes to a value that the scan does not produce.
fn fixed_column(condition: &Expr, scan: &Scan, _outer: &ColumnSet) -> Option<ColumnNumber> {
    let Expr::Call { function, arguments, .. } = condition else { return None };
    let [left, right] = arguments.as_slice() else { return None };
    let (Comparison::Equal, _, _) = comparison_of(*function)? else { return None };
    let column = |expression: &Expr| match expression {
        Expr::Column { index, .. } if scan.columns.contains(index) => Some(*index),
        _ => None,
    };
    let free = |expression: &Expr| {
        let used = columns_of(expression);
        !scan.columns.iter().any(|own| used.contains(*own)) && !expr::eval::is_volatile(expression)
    };
    match (column(left), column(right)) {
        (Some(column), None) if free(right) => Some(column),
        (None, Some(column)) if free(left) => Some(column),
        _ => None,
    }
}

/// Is the value NULL whenever all columns of `right` are? Then it can be computed above the outer join.
fn stays_null(computed: &[Vec<(ColumnNumber, Expr)>], value: ColumnNumber, right: &Relational) -> bool {
    let mut nulls = right.produced();
    for (column, expression) in computed.iter().rev().flatten() {
        if null_on_null(expression, &nulls) {
            nulls.insert(*column);
        }
    }
    nulls.contains(value)
}

fn null_on_null(expression: &Expr, nulls: &ColumnSet) -> bool {
    match expression {
        Expr::Column { index, .. } => nulls.contains(*index),
        Expr::Cast { input, .. } => null_on_null(input, nulls),
        Expr::Call { function, arguments, .. } if function.strict => {
            arguments.iter().any(|argument| null_on_null(argument, nulls))
        }
        _ => false,
    }
}
