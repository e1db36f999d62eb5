//! Joins: what the several kinds of operators share.
//!
//! An operator finds candidate pairs of a left and a right row (by hash, by index, or all), [`pairs::PairCondition`] looks at
//! some hundreds of them at once, and [`LeftRows`] remembers what became of each left row of the batch at hand, so that at the
//! batch's end the rows that had no match can be given out as the kind of join asks.

mod apply;
mod conditions;
mod hash_join;
mod hash_table;
mod lookup;
mod lookup_join;
mod nested_loop_join;
mod pairs;

pub(crate) use apply::ApplyNode;
pub(crate) use conditions::split_condition;
pub(crate) use hash_join::HashJoinNode;
pub(crate) use lookup_join::LookupJoinNode;
pub(crate) use nested_loop_join::NestedLoopJoinNode;

use planner::plan::JoinKind;
use types::{Batch, DataType, Datum, Nulls, Values, Vector};

/// What became of the rows of a left batch.
///
/// - `unknown[l]`: some condition was NULL and none true (null-aware joins only).
pub(super) struct LeftRows {
    pub matched: Vec<bool>,
    pub unknown: Vec<bool>,
}

impl LeftRows {
    pub fn new(rows: usize) -> LeftRows {
        LeftRows { matched: vec![false; rows], unknown: vec![false; rows] }
    }

    /// What is left to give out once all pairs of the batch have been looked at.
    pub fn finish(&self, kind: JoinKind, left: Batch, right_types: &[DataType]) -> Option<Batch> {
        let chosen = |wanted: &dyn Fn(usize) -> bool| -> Vec<u32> {
            (0..left.rows).filter(|row| wanted(*row)).map(|row| row as u32).collect()
        };
        let rows = match kind {
            JoinKind::Inner | JoinKind::Right => return None,
            JoinKind::Mark => {
                let mark = self.mark();
                let mut batch = left;
                batch.columns.push(mark);
                return Some(batch);
            }
            JoinKind::Left | JoinKind::Full => chosen(&|row| !self.matched[row]),
            JoinKind::Semi => chosen(&|row| self.matched[row]),
            JoinKind::Anti => chosen(&|row| !self.matched[row] && !self.unknown[row]),
        };
        if rows.is_empty() {
            return None;
        }
        let mut batch = if rows.len() == left.rows { left } else { left.gather(&rows) };
        if kind.has_right_columns() {
            batch.columns.extend(null_columns(right_types, batch.rows));
        }
        Some(batch)
    }

    fn mark(&self) -> Vector {
        let mut nulls = Nulls::none();
        for row in 0..self.matched.len() {
            if !self.matched[row] && self.unknown[row] {
                nulls.set_null(row);
            }
        }
        Vector { data_type: DataType::Bool, nulls, values: Values::Bool(self.matched.clone()) }
    }
}

/// Columns of NULLs.
pub(super) fn null_columns(types: &[DataType], rows: usize) -> impl Iterator<Item = Vector> + '_ {
    types.iter().map(move |data_type| Vector::constant(&Datum::Null, *data_type, rows))
}

/// Right rows without a match, with NULLs on the left.
pub(super) fn unmatched_right(
    right: &Batch,
    matched: impl Fn(usize) -> bool,
    left_types: &[DataType],
) -> Option<Batch> {
    let rows: Vec<u32> = (0..right.rows).filter(|row| !matched(*row)).map(|row| row as u32).collect();
    if rows.is_empty() {
        return None;
    }
    let mut columns: Vec<Vector> = null_columns(left_types, rows.len()).collect();
    columns.extend(right.gather(&rows).columns);
    Some(Batch { columns, rows: rows.len() })
}
