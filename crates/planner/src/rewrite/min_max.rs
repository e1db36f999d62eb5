//! `min(a)` and `max(a)` of a table with an index on `a` read one entry: the aggregate gets the first row in that order instead of
//! all of them.
//!
//! Done for a single min or max of a column over a table whose index begins with that column, or with columns fixed by
//! equalities before it. NULLs do not count: they are filtered out, and the order puts them last.

use crate::logical::*;
use expr::Expr;
use expr::catalogue::operators::{Comparison, comparison_of};
use types::descriptor::{ColumnId, ElementState};
use types::{DataType, Datum};

pub fn run(mut relational: Relational, _columns: &mut Columns) -> Relational {
    visit(&mut relational);
    relational
}

fn visit(node: &mut Relational) {
    node.for_each_input_mut(&mut visit);
    let Relational::Aggregate(aggregate) = node else { return };
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
