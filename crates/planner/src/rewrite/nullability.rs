//! Which columns are never NULL.

use crate::logical::*;
use expr::Expr;

/// Is a column that the node hands up certainly not NULL? False for columns that it does not have.
pub(crate) fn never_null(node: &Relational, column: ColumnNumber, columns: &Columns) -> bool {
    match node {
        Relational::Scan(scan) => scan.columns.contains(&column) && columns.get(column).not_null,
        Relational::Filter(filter) => {
            never_null(&filter.input, column, columns)
                || (filter.conditions.iter().any(|condition| refuses_null(condition, column))
                    && filter.input.produced().contains(column))
        }
        Relational::Extend(extend) => match extend.columns.iter().find(|(own, _)| *own == column) {
            Some((_, Expr::Constant { value, .. })) => !value.is_null(),
            Some((_, Expr::Column { index, .. })) => never_null(&extend.input, *index, columns),
            Some(_) => false,
            None => never_null(&extend.input, column, columns),
        },
        Relational::Join(join) => match join.kind {
            JoinKind::Inner => {
                never_null(&join.left, column, columns)
                    || never_null(&join.right, column, columns)
                    || (join.conditions.iter().any(|condition| refuses_null(condition, column))
                        && (join.left.produced().contains(column) || join.right.produced().contains(column)))
            }
            JoinKind::Left
            | JoinKind::Semi
            | JoinKind::Anti { .. }
            | JoinKind::Mark { .. }
            | JoinKind::Subquery { .. } => never_null(&join.left, column, columns),
            JoinKind::Right => never_null(&join.right, column, columns),
            JoinKind::Full => false,
        },
        Relational::Aggregate(aggregate) => {
            let key = aggregate.keys.iter().find(|(own, _)| *own == column);
            match key {
                Some((_, Expr::Column { index, .. })) => {
                    aggregate.sets.len() == 1 && never_null(&aggregate.input, *index, columns)
                }
                Some(_) => false,
                None => aggregate
                    .aggregates
                    .iter()
                    .any(|(own, call)| *own == column && call.function.name == "count"),
            }
        }
        Relational::Sort(node) => never_null(&node.input, column, columns),
        Relational::Limit(node) => never_null(&node.input, column, columns),
        Relational::Distinct(node) => never_null(&node.input, column, columns),
        Relational::Window(node) => never_null(&node.input, column, columns),
        Relational::ProjectSet(node) => never_null(&node.input, column, columns),
        Relational::Values(values) => match values.columns.iter().position(|own| *own == column) {
            Some(index) => values.rows.iter().all(|row| match &row[index] {
                Expr::Constant { value, .. } => !value.is_null(),
                _ => false,
            }),
            None => false,
        },
        _ => false,
    }
}

/// Is the condition certainly not true when the column is NULL?
fn refuses_null(condition: &Expr, column: ColumnNumber) -> bool {
    let is = |expression: &Expr| matches!(expression, Expr::Column { index, .. } if *index == column);
    match condition {
        Expr::Call { function, arguments, .. } => function.strict && arguments.iter().any(is),
        Expr::IsNull { input, negated: true } => is(input),
        _ => false,
    }
}
