//! Operators over one input, set operations, and common tables.

use super::{PlanNode, RowLock, SetFunction};
use crate::catalog::Table;
use expr::{Expr, FunctionRef, WindowCall};
use std::sync::Arc;
use types::descriptor::ColumnId;

/// Keeps rows for which `condition` is true.
#[derive(Clone, Debug)]
pub struct Filter {
    pub input: PlanNode,
    pub condition: Expr,
}

/// One column for each expression.
#[derive(Clone, Debug)]
pub struct Project {
    pub input: PlanNode,
    pub expressions: Vec<Expr>,
}

/// Set-returning functions of a SELECT list: each input row is repeated for as many rows as the longest function gives
/// (shorter ones padded with NULLs), and disappears when all give none. Columns: the input's, then one for each function.
#[derive(Clone, Debug)]
pub struct ProjectSet {
    pub input: PlanNode,
    pub functions: Vec<SetFunction>,
}

/// Calls of functions that must wait ([`expr::FunctionKind::Deferred`]): once for each row, in order. Columns: the input's,
/// then one for each call.
#[derive(Clone, Debug)]
pub struct Deferred {
    pub input: PlanNode,
    pub calls: Vec<DeferredCall>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct DeferredCall {
    pub function: FunctionRef,
    pub arguments: Vec<Expr>,
    pub data_type: types::DataType,
    pub position: u32,
}

/// LIMIT and OFFSET: bigint, without columns; NULL means none; negative is 2201W / 2201X.
#[derive(Clone, Debug)]
pub struct Limit {
    pub input: PlanNode,
    pub count: Option<Expr>,
    pub offset: Option<Expr>,
    /// WITH TIES: goes on while these keys equal the last row's.
    pub ties: Vec<SortKey>,
}

/// A sort key: a column of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SortKey {
    pub column: u32,
    pub descending: bool,
    pub nulls_first: bool,
}

/// A stable sort.
#[derive(Clone, Debug)]
pub struct Sort {
    pub input: PlanNode,
    pub keys: Vec<SortKey>,
    /// The input is sorted by this many of the first keys.
    pub presorted: u32,
}

/// The first rows of the sorted input: [`Sort`] then [`Limit`] in one, in memory for `count + offset` rows.
#[derive(Clone, Debug)]
pub struct TopN {
    pub input: PlanNode,
    pub keys: Vec<SortKey>,
    pub count: Expr,
    pub offset: Option<Expr>,
}

/// DISTINCT: one row for each combination of `columns` (NULLs equal): the first that comes. With `ordered`, equal rows
/// are neighbours and nothing needs to be remembered.
#[derive(Clone, Debug)]
pub struct Distinct {
    pub input: PlanNode,
    pub columns: Vec<u32>,
    pub ordered: bool,
}

/// Grouping and aggregation. Columns: `keys`, then `aggregates`, then, with more than one grouping set, one int4 column: the
/// position in `sets` of the set that the row belongs to.
///
/// - No keys: one row, even without input. (`sets` = one empty list.)
/// - `sets` lists which keys each grouping set has; the others are NULL in its rows. Plain GROUP BY has one set with all
///   keys. An empty set gives one row even without input, if it is among several sets too.
/// - `strategy` [`AggregateStrategy::Ordered`]: equal keys are neighbours in the input (one set only).
#[derive(Clone, Debug)]
pub struct Aggregate {
    pub input: PlanNode,
    pub keys: Vec<Expr>,
    pub sets: Vec<Vec<u32>>,
    pub aggregates: Vec<expr::Aggregate>,
    pub strategy: AggregateStrategy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AggregateStrategy {
    Hash,
    Ordered,
}

/// Window functions that share one window. The input is sorted by `partition_by`, then `order_by`. Columns: the input's,
/// then one for each call.
#[derive(Clone, Debug)]
pub struct Window {
    pub input: PlanNode,
    pub partition_by: Vec<u32>,
    pub order_by: Vec<SortKey>,
    pub frame: WindowFrame,
    /// Functions of kind Window and of kind Aggregate.
    pub calls: Vec<WindowCall>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct WindowFrame {
    pub unit: crate::ast::FrameUnit,
    pub start: FrameEdge,
    pub end: FrameEdge,
    pub exclusion: crate::ast::FrameExclusion,
    /// RANGE with an offset: functions that compute the edge: `order key - offset` and `order key + offset`, of the key's
    /// type.
    pub range: Option<RangeArithmetic>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct RangeArithmetic {
    pub add: FunctionRef,
    pub subtract: FunctionRef,
}

/// An edge of a frame. Offsets have no columns: bigint for ROWS and GROUPS, the type that `add` takes for RANGE.
#[derive(Clone, Debug, PartialEq)]
pub enum FrameEdge {
    UnboundedPreceding,
    Preceding(Expr),
    CurrentRow,
    Following(Expr),
    UnboundedFollowing,
}

/// Locks rows after sorting, limiting or joining has chosen them: each target row is read again by its primary key under the
/// lock, its columns replaced by what is read, and the row dropped if it is gone, if it no longer passes `recheck`, or if it
/// is locked and `wait` says skip.
#[derive(Clone, Debug)]
pub struct LockRows {
    pub input: PlanNode,
    pub targets: Vec<LockTarget>,
    pub recheck: Option<Expr>,
}

#[derive(Clone, Debug)]
pub struct LockTarget {
    pub table: Arc<Table>,
    pub lock: RowLock,
    /// Primary key columns: positions in the input, in key order. All NULL: the row comes from the null-extended side of an
    /// outer join and there is nothing to lock.
    pub key: Vec<u32>,
    /// Columns to replace: (table's column, position in the input).
    pub refresh: Vec<(ColumnId, u32)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetOperator {
    Union,
    Intersect,
    Except,
}

/// UNION, INTERSECT [ALL], EXCEPT [ALL]; NULLs equal. UNION ALL is [`Append`].
#[derive(Clone, Debug)]
pub struct SetOperation {
    pub operator: SetOperator,
    pub all: bool,
    pub left: PlanNode,
    pub right: PlanNode,
}

/// All rows of the inputs, one input after the other.
#[derive(Clone, Debug)]
pub struct Append {
    pub inputs: Vec<PlanNode>,
}

/// Common tables that are evaluated once (at first use, except data-modifying ones: those always run to their end) and
/// read by [`super::CteScan`]s in later tables and in `body`.
#[derive(Clone, Debug)]
pub struct With {
    pub tables: Vec<WithTable>,
    pub body: PlanNode,
}

#[derive(Clone, Debug)]
pub struct WithTable {
    pub cte: u32,
    pub name: Box<str>,
    pub plan: PlanNode,
    /// INSERT, UPDATE or DELETE: runs to its end whether read or not, in order of the list, all on the statement's
    /// snapshot (none sees what another wrote).
    pub modifies: bool,
}

/// WITH RECURSIVE: `initial` once, then `step` over the rows of the last round ([`super::WorkTableScan`] with this id) until
/// it produces none. `distinct`: rows seen before are dropped (UNION instead of UNION ALL).
#[derive(Clone, Debug)]
pub struct RecursiveUnion {
    pub cte: u32,
    pub name: Box<str>,
    pub initial: PlanNode,
    pub step: PlanNode,
    pub distinct: bool,
}

/// Uncorrelated subqueries of expressions in `body`: each is evaluated once, when `body` first asks for its slot or before
/// `body` opens, and again when `body` is opened again with other outer slots.
#[derive(Clone, Debug)]
pub struct InitPlan {
    pub subqueries: Vec<InitSubquery>,
    pub body: PlanNode,
}

#[derive(Clone, Debug)]
pub struct InitSubquery {
    pub slot: u32,
    pub result: SubqueryResult,
    pub plan: PlanNode,
}

/// What becomes of a subquery's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubqueryResult {
    /// The first column of the only row; NULL without rows; 21000 ("more than one row returned by a subquery used as an
    /// expression") with more.
    Scalar,
    /// Whether there is a row.
    Exists,
    /// An array of the first column (the type of the slot is the array's).
    Array,
}
