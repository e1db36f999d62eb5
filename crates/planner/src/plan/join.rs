//! Joins.

use super::{PlanNode, RowLock, SubqueryResult};
use crate::catalog::Table;
use expr::Expr;
use std::sync::Arc;
use types::descriptor::{ColumnId, IndexDescriptor};

/// What a join does with rows that do or do not match, and what it produces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinKind {
    /// Left columns, right columns.
    Inner,
    /// Left rows without a match come with NULLs on the right.
    Left,
    /// Right rows without a match come with NULLs on the left.
    Right,
    Full,
    /// Left rows that have a match, once. Left columns only.
    Semi,
    /// Left rows that have no match. Left columns only.
    Anti,
    /// Every left row once, with one more column: bool, whether it has a match. Left columns, then the mark.
    Mark,
}

impl JoinKind {
    /// Are the right side's columns part of the output?
    pub fn has_right_columns(self) -> bool {
        matches!(self, JoinKind::Inner | JoinKind::Left | JoinKind::Right | JoinKind::Full)
    }
}

/// An equi-join by a hash table over the **right** input.
///
/// - Rows match when every `left_keys[i] = right_keys[i]` (same type; NULL matches nothing) and `condition` is true.
/// - `null_aware` ([`JoinKind::Anti`] and [`JoinKind::Mark`] only) gives IN its three values: for `x NOT IN (...)` a left
///   row with a NULL key passes only if the right side is empty, and nothing passes if the right side has a NULL key and
///   no equal one; a mark is NULL in those cases. With `condition`, right rows for which it is not true do not
///   exist for this purpose.
/// - `condition` is over left columns, then right columns.
#[derive(Clone, Debug)]
pub struct HashJoin {
    pub kind: JoinKind,
    pub left: PlanNode,
    pub right: PlanNode,
    pub left_keys: Vec<Expr>,
    /// Over the right input's columns, counted from 0.
    pub right_keys: Vec<Expr>,
    pub condition: Option<Expr>,
    pub null_aware: bool,
}

/// Any condition: the right input is held and gone through for every left batch.
///
/// `null_aware` with [`JoinKind::Anti`] / [`JoinKind::Mark`]: a condition that is NULL for some right row and true for none
/// makes the left row fail / the mark NULL.
#[derive(Clone, Debug)]
pub struct NestedLoopJoin {
    pub kind: JoinKind,
    pub left: PlanNode,
    pub right: PlanNode,
    pub condition: Option<Expr>,
    pub null_aware: bool,
}

/// For each left row, looks rows of a table up by a prefix of an index's key. Left rows are taken in batches, the
/// lookups of a batch sent together.
///
/// - Kinds: Inner, Left, Semi, Anti, Mark (not null aware).
/// - `keys[i]` is over left columns, of the type of the index's i-th key column; a NULL matches nothing.
/// - The table's side produces `columns`; `condition` is over left columns, then `columns`.
/// - `single_row`: the index is unique and `keys` covers it: at most one match.
/// - Output keeps the order of the left rows.
#[derive(Clone, Debug)]
pub struct LookupJoin {
    pub kind: JoinKind,
    pub left: PlanNode,
    pub table: Arc<Table>,
    pub alias: Box<str>,
    /// Position in `TableDescriptor::all_indexes()`.
    pub index: u32,
    pub keys: Vec<Expr>,
    pub single_row: bool,
    pub fetch_row: bool,
    pub columns: Vec<ColumnId>,
    pub condition: Option<Expr>,
    pub lock: Option<RowLock>,
}

impl LookupJoin {
    pub fn index_descriptor(&self) -> &IndexDescriptor {
        self.table.index_at(self.index)
    }
}

/// For each left row, sets the slots and runs the right input anew: LATERAL, and subqueries that could not be turned into
/// joins.
#[derive(Clone, Debug)]
pub struct Apply {
    pub kind: ApplyKind,
    pub left: PlanNode,
    pub right: PlanNode,
    /// (slot, left column whose value it gets).
    pub bindings: Vec<(u32, u32)>,
    /// Join kinds only: over left columns, then right columns.
    pub condition: Option<Expr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApplyKind {
    /// Inner, Left, Semi, Anti or Mark. `null_aware` as in [`NestedLoopJoin`].
    Join { kind: JoinKind, null_aware: bool },
    /// Left columns, then one: the subquery's result.
    Subquery(SubqueryResult),
}
