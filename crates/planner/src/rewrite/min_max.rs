//! `min(a)` and `max(a)` of a table with an index on `a` read one entry: the aggregate gets the first row in that order instead of
//! all of them.
//!
//! Done for a min or max of a column over a table whose index begins with that column, or with columns fixed by
//! equalities before it. NULLs do not count: they are filtered out, and the order puts them last. Several of them, all of this kind, each
//! read the table by themselves: their rows are joined.

use crate::logical::*;
use expr::Expr;
use expr::catalogue::operators::{Comparison, comparison_of};
use types::descriptor::{ColumnId, ElementState};
use types::{DataType, Datum};

pub fn run(mut relational: Relational, columns: &mut Columns) -> Relational {
    visit(&mut relational, columns);
    relational
}

fn visit(node: &mut Relational, columns: &mut Columns) {
    node.for_each_input_mut(&mut |input| visit(input, columns));
    let Relational::Aggregate(aggregate) = node else { return };
    if aggregate.aggregates.len() > 1 {
        if let Some(joined) = one_by_one(aggregate, columns) {
            *node = joined;
        }
        return;
    }
    read_first(aggregate);
}

/// Several extremes as the join of one each, if an index serves every one of them.
fn one_by_one(aggregate: &Aggregate, columns: &mut Columns) -> Option<Relational> {
    let alone =
        |at: usize| Aggregate { aggregates: vec![aggregate.aggregates[at].clone()], ..aggregate.clone() };
    let count = aggregate.aggregates.len();
    let is_served =
        |at| extreme(&alone(at)).is_some_and(|(column, _)| served_by_index(&aggregate.input, column));
    if !(0..count).all(is_served) || !aggregate.input.free_columns().is_empty() {
        return None;
    }
    let mut parts = Vec::with_capacity(count);
    for at in 0..count {
        let mut part = alone(at);
        if at > 0 {
            renumber(&mut part, columns)?;
        }
        read_first(&mut part);
        parts.push(Relational::Aggregate(Box::new(part)));
    }
    parts.into_iter().reduce(|left, right| {
        let join = Join { kind: JoinKind::Inner, left, right, conditions: Vec::new(), in_conditions: 0 };
        Relational::Join(Box::new(join))
    })
}

/// Gives the columns of the table that is read numbers of their own.
fn renumber(aggregate: &mut Aggregate, columns: &mut Columns) -> Option<()> {
    let scan = match &mut aggregate.input {
        Relational::Scan(scan) => scan,
        Relational::Filter(filter) => match &mut filter.input {
            Relational::Scan(scan) => scan,
            _ => return None,
        },
        _ => return None,
    };
    let old = scan.columns.clone();
    scan.columns = old.iter().map(|column| columns.add(columns.get(*column).clone())).collect();
    let fresh: Vec<Expr> = scan.columns.iter().map(|column| columns.expr(*column)).collect();
    let replacement =
        |column: ColumnNumber| old.iter().position(|own| *own == column).map(|at| fresh[at].clone());
    aggregate.input.replace_columns(&replacement);
    let arguments = aggregate.aggregates.iter_mut().flat_map(|(_, call)| call.arguments.iter_mut());
    arguments.for_each(|argument| replace_columns(argument, &replacement));
    Some(())
}

fn read_first(aggregate: &mut Aggregate) {
    let Some((column, descending)) = extreme(aggregate) else { return };
    if !served_by_index(&aggregate.input, column) {
        return;
    }
    let data_type = match &aggregate.aggregates[0].1.arguments[0] {
        Expr::Column { data_type, .. } => *data_type,
        _ => return,
    };
    let input = Box::new(Expr::column(column, data_type));
    let not_null = Expr::IsNull { input, negated: true };
    let mut conditions = vec![not_null];
    let source = match aggregate.input.take() {
        Relational::Filter(filter) => {
            conditions.extend(filter.conditions);
            filter.input
        }
        other => other,
    };
    let keys = vec![SortKey { column, descending, nulls_first: descending }];
    let sorted = Relational::Sort(Box::new(Sort { input: source.filter(conditions), keys }));
    let one = Expr::constant(Datum::Int8(1), DataType::Int8);
    aggregate.input = Relational::Limit(Box::new(Limit {
        input: sorted,
        count: Some(one),
        offset: None,
        ties: Vec::new(),
    }));
}

/// The column of the only aggregate, if that is a min or max; true for max.
fn extreme(aggregate: &Aggregate) -> Option<(ColumnNumber, bool)> {
    if !aggregate.keys.is_empty() || aggregate.sets.len() != 1 {
        return None;
    }
    let [(_, call)] = aggregate.aggregates.as_slice() else { return None };
    if call.filter.is_some() || !call.order_by.is_empty() {
        return None;
    }
    let [Expr::Column { index, .. }] = call.arguments.as_slice() else { return None };
    match call.function.name {
        "min" => Some((*index, false)),
        "max" => Some((*index, true)),
        _ => None,
    }
}

fn served_by_index(input: &Relational, column: ColumnNumber) -> bool {
    let (scan, conditions) = match input {
        Relational::Scan(scan) => (scan, &[][..]),
        Relational::Filter(filter) => match &filter.input {
            Relational::Scan(scan) => (scan, filter.conditions.as_slice()),
            _ => return false,
        },
        _ => return false,
    };
    let descriptor = &scan.table.descriptor;
    let id_of = |number: ColumnNumber| {
        let at = scan.columns.iter().position(|own| *own == number)?;
        Some(descriptor.columns[at].id)
    };
    let Some(wanted) = id_of(column) else { return false };
    let fixed: Vec<ColumnId> =
        conditions.iter().filter_map(|condition| equal_column(condition).and_then(id_of)).collect();
    descriptor.all_indexes().any(|index| {
        index.predicate.is_none()
            && index.state == ElementState::Public
            && index
                .columns
                .iter()
                .find(|key| !fixed.contains(&key.column))
                .is_some_and(|key| key.column == wanted)
    })
}

/// The column that a condition compares with a constant or parameter.
fn equal_column(condition: &Expr) -> Option<ColumnNumber> {
    let Expr::Call { function, arguments, .. } = condition else { return None };
    let (Comparison::Equal, _, _) = comparison_of(*function)? else { return None };
    let [left, right] = arguments.as_slice() else { return None };
    match (left, right) {
        (Expr::Column { index, .. }, other) | (other, Expr::Column { index, .. })
            if columns_of(other).is_empty() =>
        {
            Some(*index)
        }
        _ => None,
    }
}
