//! What a lookup join's condition says of right rows alone.

use expr::Expr;
use expr::eval::is_volatile;
use planner::plan::LookupJoin;

use crate::program::conjuncts;

/// The conditions over right columns alone, which are counted from 0 then, and the others; each in their order. Of a join that locks all
/// are others: they decide about a pair before and after its row is locked.
pub(crate) fn split_condition(join: &LookupJoin) -> (Vec<Expr>, Vec<Expr>) {
    let all = join.condition.as_ref().map(conjuncts).unwrap_or_default();
    if join.lock.is_some() {
        return (Vec::new(), all);
    }
    let left_columns = join.left.columns.len() as u32;
    let (mut of_right, mut of_pairs) = (Vec::new(), Vec::new());
    for mut condition in all {
        let mut used = ColumnUse::default();
        used.look_at(&condition, left_columns);
        if used.left || !used.right || is_volatile(&condition) {
            of_pairs.push(condition);
        } else {
            count_from_right(&mut condition, left_columns);
            of_right.push(condition);
        }
    }
    (of_right, of_pairs)
}

/// Which sides' columns an expression over pairs looks at.
#[derive(Default)]
struct ColumnUse {
    left: bool,
    right: bool,
}

impl ColumnUse {
    fn look_at(&mut self, expr: &Expr, left_columns: u32) {
        if let Expr::Column { index, .. } = expr {
            self.left |= *index < left_columns;
            self.right |= *index >= left_columns;
        }
        expr.for_each_child(&mut |child| self.look_at(child, left_columns));
    }
}

fn count_from_right(expr: &mut Expr, left_columns: u32) {
    if let Expr::Column { index, .. } = expr {
        *index -= left_columns;
    }
    expr.for_each_child_mut(&mut |child| count_from_right(child, left_columns));
}
