//! Conditions move down as far as they can: to the scan whose index may serve them, to the side of a join that they are
//! about, below grouping if they are about its keys.
//!
//! A condition that holds a volatile function stays where it is. A condition over the nullable side of an outer join that cannot
//! be true for NULLs makes the join an inner one.

use expr::Expr;

use crate::logical::*;

pub fn run(relational: Relational, _columns: &mut Columns) -> Relational {
    push(relational, Vec::new())
}

/// Puts `conditions` (which hold above `node`) as low as possible.
fn push(node: Relational, conditions: Vec<Expr>) -> Relational {
    let (movable, fixed): (Vec<Expr>, Vec<Expr>) =
        conditions.into_iter().partition(|condition| !expr::eval::is_volatile(condition));
    push_movable(node, movable).filter(fixed)
}

fn push_movable(node: Relational, conditions: Vec<Expr>) -> Relational {
    match node {
        Relational::Filter(filter) => {
            let Filter { input, conditions: own } = *filter;
            let mut all = conditions;
            all.extend(own.into_iter().flat_map(conjuncts));
            push(input, all)
        }
        Relational::Extend(extend) => push_extend(*extend, conditions),
        Relational::Join(join) => push_join(*join, conditions),
        Relational::Aggregate(aggregate) => push_aggregate(*aggregate, conditions),
        Relational::Sort(mut sort) => {
            sort.input = push(sort.input.take(), conditions);
            Relational::Sort(sort)
        }
        Relational::Distinct(mut distinct) => {
            let columns: ColumnSet = distinct.columns.iter().copied().collect();
            let produced = distinct.input.produced();
            let (below, above) = split(conditions, |used| used.intersection(&produced).is_subset(&columns));
            distinct.input = push(distinct.input.take(), below);
            Relational::Distinct(distinct).filter(above)
        }
        Relational::SetOperation(mut operation) => {
            for (input, columns) in &mut operation.inputs {
                let renamed = conditions.iter().cloned().map(|mut condition| {
                    rename(&mut condition, &operation.columns, columns);
                    condition
                });
                *input = push(input.take(), renamed.collect());
            }
            Relational::SetOperation(operation)
        }
        Relational::With(mut with) => {
            for table in &mut with.tables {
                table.input = push(table.input.take(), Vec::new());
            }
            with.body = push(with.body.take(), conditions);
            Relational::With(with)
        }
        Relational::InitPlan(mut init) => {
            for subquery in &mut init.subqueries {
                subquery.input = push(subquery.input.take(), Vec::new());
            }
            init.body = push(init.body.take(), conditions);
            Relational::InitPlan(init)
        }
        Relational::Window(mut window) => {
            let partition: ColumnSet = window.partition_by.iter().copied().collect();
            let produced = window.input.produced();
            let own: ColumnSet = window.calls.iter().map(|(column, _)| *column).collect();
            let (below, above) = split(conditions, |used| {
                !used.intersects(&own) && used.intersection(&produced).is_subset(&partition)
            });
            window.input = push(window.input.take(), below);
            Relational::Window(window).filter(above)
        }
        mut other => {
            other.for_each_input_mut(&mut |input| *input = push(input.take(), Vec::new()));
            other.filter(conditions)
        }
    }
}

/// Parts conditions by the columns that they use.
fn split(conditions: Vec<Expr>, below: impl Fn(&ColumnSet) -> bool) -> (Vec<Expr>, Vec<Expr>) {
    conditions.into_iter().partition(|condition| below(&columns_of(condition)))
}

fn rename(condition: &mut Expr, from: &[ColumnNumber], to: &[ColumnNumber]) {
    let renamed = |column: ColumnNumber, data_type| {
        from.iter().position(|other| *other == column).map(|at| Expr::column(to[at], data_type))
    };
    rename_typed(condition, &renamed);
}

fn rename_typed(expression: &mut Expr, renamed: &dyn Fn(ColumnNumber, types::DataType) -> Option<Expr>) {
    if let Expr::Column { index, data_type } = expression {
        if let Some(new) = renamed(*index, *data_type) {
            *expression = new;
        }
        return;
    }
    expression.for_each_child_mut(&mut |child| rename_typed(child, renamed));
}

/// Conditions over computed columns become conditions over what they are computed from, unless that is volatile.
fn push_extend(extend: crate::logical::Extend, conditions: Vec<Expr>) -> Relational {
    let volatile: ColumnSet = extend
        .columns
        .iter()
        .filter(|(_, expression)| expr::eval::is_volatile(expression))
        .map(|(column, _)| *column)
        .collect();
    let (below, above) = split(conditions, |used| !used.intersects(&volatile));
    let substituted = below.into_iter().map(|mut condition| {
        replace_columns(&mut condition, &|column| {
            let found = extend.columns.iter().find(|(own, _)| *own == column);
            found.map(|(_, expression)| expression.clone())
        });
        condition
    });
    let conditions = substituted.collect();
    let input = push(extend.input, conditions);
    Relational::Extend(Box::new(crate::logical::Extend { input, columns: extend.columns })).filter(above)
}

/// HAVING over keys is WHERE, when there is one grouping set that has them all and it is not empty.
fn push_aggregate(mut aggregate: Aggregate, conditions: Vec<Expr>) -> Relational {
    let plain = aggregate.sets.len() == 1
        && aggregate.sets[0].len() == aggregate.keys.len()
        && !aggregate.keys.is_empty();
    let keys: ColumnSet = aggregate.keys.iter().map(|(column, _)| *column).collect();
    let own: ColumnSet =
        aggregate.aggregates.iter().map(|(column, _)| *column).chain(aggregate.grouping).collect();
    let volatile = aggregate.keys.iter().any(|(_, key)| expr::eval::is_volatile(key));
    let (below, above) =
        split(conditions, |used| plain && !volatile && !used.intersects(&own) && used.intersects(&keys));
    let below = below.into_iter().map(|mut condition| {
        replace_columns(&mut condition, &|column| {
            let found = aggregate.keys.iter().find(|(own, _)| *own == column);
            found.map(|(_, expression)| expression.clone())
        });
        condition
    });
    let below = below.collect();
    aggregate.input = push(aggregate.input, below);
    Relational::Aggregate(Box::new(aggregate)).filter(above)
}

fn push_join(mut join: Join, conditions: Vec<Expr>) -> Relational {
    let (left, right) = (join.left.produced(), join.right.produced());
    simplify_outer(&mut join, &conditions, &left, &right);
    let about_left = |used: &ColumnSet| !used.intersects(&right) && own_column_unused(join.kind, used);
    let about_right = |used: &ColumnSet| used.intersects(&right) && !used.intersects(&left);
    match join.kind {
        JoinKind::Inner => {
            let mut all = conditions;
            all.extend(std::mem::take(&mut join.conditions).into_iter().flat_map(conjuncts));
            let (fixed, all): (Vec<Expr>, Vec<Expr>) = all.into_iter().partition(expr::eval::is_volatile);
            let (to_right, rest) = split(all, about_right);
            // What is about neither side (constants, outer columns) goes left, once.
            let (to_left, mut between) = split(rest, |used| !used.intersects(&right));
            between.extend(fixed);
            join.left = push(join.left.take(), to_left);
            join.right = push(join.right.take(), to_right);
            join.conditions = between;
            Relational::Join(Box::new(join))
        }
        JoinKind::Left
        | JoinKind::Semi
        | JoinKind::Anti { .. }
        | JoinKind::Mark { .. }
        | JoinKind::Subquery { .. } => {
            let (to_left, above) = split(conditions, about_left);
            let own = std::mem::take(&mut join.conditions);
            let pushable = !matches!(
                join.kind,
                JoinKind::Anti { null_aware: true }
                    | JoinKind::Mark { null_aware: true, .. }
                    | JoinKind::Subquery { .. }
            );
            let (to_right, kept) = if pushable {
                let all: Vec<Expr> = own.into_iter().flat_map(conjuncts).collect();
                all.into_iter().partition(|condition| {
                    !expr::eval::is_volatile(condition) && about_right(&columns_of(condition))
                })
            } else {
                (Vec::new(), own)
            };
            join.conditions = kept;
            join.left = push(join.left.take(), to_left);
            join.right = push(join.right.take(), to_right);
            Relational::Join(Box::new(join)).filter(above)
        }
        JoinKind::Right => {
            let (to_right, above) = split(conditions, |used| !used.intersects(&left));
            let own: Vec<Expr> =
                std::mem::take(&mut join.conditions).into_iter().flat_map(conjuncts).collect();
            let (to_left, kept) = own.into_iter().partition(|condition| {
                let used = columns_of(condition);
                !expr::eval::is_volatile(condition) && used.intersects(&left) && !used.intersects(&right)
            });
            join.conditions = kept;
            join.left = push(join.left.take(), to_left);
            join.right = push(join.right.take(), to_right);
            Relational::Join(Box::new(join)).filter(above)
        }
        JoinKind::Full => {
            join.left = push(join.left.take(), Vec::new());
            join.right = push(join.right.take(), Vec::new());
            Relational::Join(Box::new(join)).filter(conditions)
        }
    }
}

fn own_column_unused(kind: JoinKind, used: &ColumnSet) -> bool {
    kind.own_column().is_none_or(|column| !used.contains(column))
}

/// An outer join whose NULL-extended rows no condition above lets through is not one.
fn simplify_outer(join: &mut Join, conditions: &[Expr], left: &ColumnSet, right: &ColumnSet) {
    let rejects = |side: &ColumnSet| conditions.iter().any(|condition| rejects_nulls(condition, side));
    join.kind = match join.kind {
        JoinKind::Left if rejects(right) => JoinKind::Inner,
        JoinKind::Right if rejects(left) => JoinKind::Inner,
        JoinKind::Full => match (rejects(left), rejects(right)) {
            (true, true) => JoinKind::Inner,
            (true, false) => JoinKind::Left,
            (false, true) => JoinKind::Right,
            (false, false) => JoinKind::Full,
        },
        other => other,
    };
}

/// Is the condition certainly not true when all columns of `side` are NULL?
fn rejects_nulls(condition: &Expr, side: &ColumnSet) -> bool {
    match condition {
        Expr::Call { function, arguments, .. } if function.strict => {
            arguments.iter().any(|argument| null_on_null(argument, side))
        }
        Expr::IsNull { input, negated: true } => null_on_null(input, side),
        Expr::InList { input, .. } => null_on_null(input, side),
        Expr::And(list) => list.iter().any(|operand| rejects_nulls(operand, side)),
        Expr::Or(list) => list.iter().all(|operand| rejects_nulls(operand, side)),
        Expr::Column { index, .. } => side.contains(*index),
        _ => false,
    }
}

/// Is the expression certainly NULL when all columns of `side` are?
fn null_on_null(expression: &Expr, side: &ColumnSet) -> bool {
    match expression {
        Expr::Column { index, .. } => side.contains(*index),
        Expr::Cast { input, .. } => null_on_null(input, side),
        Expr::Call { function, arguments, .. } if function.strict => {
            arguments.iter().any(|argument| null_on_null(argument, side))
        }
        _ => false,
    }
}
