//! Pairs of rows, and a condition over them.

use expr::{EvalContext, Expr, Program};
use types::{Batch, DataType, PgResult, Values, Vector};

use crate::program::placeholder;

/// Pairs looked at together.
pub(super) const PAIRS_MAX: usize = types::BATCH_ROWS_MAX;

/// Lots of pairs between two places to give way: an operator takes some time to begin again (a hash join finds the keys of its left
/// batch anew).
pub(super) const STEP_LOTS_MAX: usize = 8;

/// Bytes that the rows of some pairs may take side by side.
const PAIR_BYTES_MAX: usize = 4 << 20;

/// How many pairs of two batches' rows are looked at together: fewer where rows are wide, because a pair is a copy of both.
pub(super) fn pairs_max(left: &Batch, right: &Batch) -> usize {
    let row_bytes = |batch: &Batch| batch.memory_size() / batch.rows.max(1);
    (PAIR_BYTES_MAX / (row_bytes(left) + row_bytes(right)).max(1)).clamp(1, PAIRS_MAX)
}

/// A condition over left columns, then right columns. Only the columns that it looks at are gathered.
pub(super) struct PairCondition {
    program: Program,
    /// Per column of the pair: whether the condition looks at it.
    used: Vec<bool>,
    types: Vec<DataType>,
    left_columns: usize,
}

fn mark_used(expr: &Expr, used: &mut Vec<bool>) {
    if let Expr::Column { index, .. } = expr
        && let Some(used) = used.get_mut(*index as usize)
    {
        *used = true;
    }
    expr.for_each_child(&mut |child| mark_used(child, used));
}

impl PairCondition {
    pub fn new(
        condition: &Option<Expr>,
        left_types: &[DataType],
        right_types: &[DataType],
    ) -> PgResult<Option<PairCondition>> {
        let Some(condition) = condition else { return Ok(None) };
        let types: Vec<DataType> = left_types.iter().chain(right_types).copied().collect();
        let mut used = vec![false; types.len()];
        mark_used(condition, &mut used);
        let program = Program::new(condition)?;
        Ok(Some(PairCondition { program, used, types, left_columns: left_types.len() }))
    }

    /// The condition for each pair.
    pub fn evaluate(
        &self,
        context: &EvalContext<'_>,
        left: &Batch,
        left_rows: &[u32],
        right: &Batch,
        right_rows: &[u32],
    ) -> PgResult<Vector> {
        let columns = self.types.iter().enumerate().map(|(at, data_type)| {
            if !self.used[at] {
                placeholder(*data_type)
            } else if at < self.left_columns {
                left.columns[at].gather(left_rows)
            } else {
                right.columns[at - self.left_columns].gather(right_rows)
            }
        });
        let pairs = Batch { columns: columns.collect(), rows: left_rows.len() };
        Ok(self.program.evaluate(context, &pairs)?.into_owned())
    }
}

/// Whether a condition is true, and whether it is NULL, at a row.
pub(super) fn outcome(result: &Vector, row: usize) -> (bool, bool) {
    let null = result.is_null(row);
    let Values::Bool(values) = &result.values else { return (false, null) };
    (values[row] && !null, null)
}

/// Drops the pairs for which the condition is not true.
pub(super) fn retain_true(
    condition: Option<&PairCondition>,
    context: &EvalContext<'_>,
    left: &Batch,
    left_rows: &mut Vec<u32>,
    right: &Batch,
    right_rows: &mut Vec<u32>,
) -> PgResult<()> {
    let Some(condition) = condition else { return Ok(()) };
    if left_rows.is_empty() {
        return Ok(());
    }
    let result = condition.evaluate(context, left, left_rows, right, right_rows)?;
    let mut kept = 0;
    for pair in 0..left_rows.len() {
        if outcome(&result, pair).0 {
            left_rows[kept] = left_rows[pair];
            right_rows[kept] = right_rows[pair];
            kept += 1;
        }
    }
    left_rows.truncate(kept);
    right_rows.truncate(kept);
    Ok(())
}

/// The rows of pairs side by side.
pub(super) fn joined(left: &Batch, left_rows: &[u32], right: &Batch, right_rows: &[u32]) -> Batch {
    let mut batch = left.gather(left_rows);
    batch.columns.extend(right.columns.iter().map(|column| column.gather(right_rows)));
    batch
}
