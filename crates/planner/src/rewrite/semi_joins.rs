//! EXISTS and IN as conditions: a mark that is only asked for once, by a condition of its own, needs no column. The join that
//! makes it becomes a semi-join; NOT of it an anti-join (NOT IN a null-aware one, unless neither side can be NULL).

use super::nullability::never_null;
use crate::logical::*;
use expr::Expr;

pub fn run(mut relational: Relational, columns: &mut Columns) -> Relational {
    visit(&mut relational, columns);
    relational
}

fn visit(node: &mut Relational, columns: &Columns) {
    node.for_each_input_mut(&mut |input| visit(input, columns));
    let Relational::Filter(filter) = node else { return };
    let conditions: Vec<Expr> =
        std::mem::take(&mut filter.conditions).into_iter().flat_map(conjuncts).collect();
    for condition in conditions {
        let taken = match asked(&condition) {
            Some((mark, negated)) => turn(&mut filter.input, mark, negated, columns),
            None => false,
        };
        if !taken {
            filter.conditions.push(condition);
        }
    }
    if filter.conditions.is_empty() {
        *node = filter.input.take();
    }
}

/// A condition that is a column, or NOT of one.
fn asked(condition: &Expr) -> Option<(ColumnNumber, bool)> {
    match condition {
        Expr::Column { index, .. } => Some((*index, false)),
        Expr::Not(input) => match &**input {
            Expr::Column { index, .. } => Some((*index, true)),
            Expr::Not(inner) => asked(inner),
            _ => None,
        },
        _ => None,
    }
}

/// Finds the join that makes the mark, down the left sides of joins that add a column (or filter), and turns it.
fn turn(node: &mut Relational, mark: ColumnNumber, negated: bool, columns: &Columns) -> bool {
    match node {
        Relational::Filter(filter) => turn(&mut filter.input, mark, negated, columns),
        Relational::Join(join) => match join.kind {
            JoinKind::Mark { column, null_aware } if column == mark => {
                join.kind = match (negated, null_aware) {
                    (false, _) => JoinKind::Semi,
                    (true, false) => JoinKind::Anti { null_aware: false },
                    (true, true) => JoinKind::Anti { null_aware: !sides_never_null(join, columns) },
                };
                true
            }
            JoinKind::Mark { .. } | JoinKind::Subquery { .. } | JoinKind::Semi | JoinKind::Anti { .. } => {
                turn(&mut join.left, mark, negated, columns)
            }
            _ => false,
        },
        _ => false,
    }
}

/// Can no comparison of the IN be NULL?
fn sides_never_null(join: &Join, columns: &Columns) -> bool {
    let plain = |expression: &Expr| match expression {
        Expr::Column { index, .. } => {
            never_null(&join.left, *index, columns) || never_null(&join.right, *index, columns)
        }
        Expr::Constant { value, .. } => !value.is_null(),
        _ => false,
    };
    join.conditions[..join.in_conditions].iter().all(|condition| match condition {
        Expr::Call { function, arguments, .. } => function.strict && arguments.iter().all(plain),
        _ => false,
    })
}
