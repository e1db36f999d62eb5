//! Operators that produce rows from nothing.

use crate::ast::{LockStrength, LockWait};
use crate::catalog::{Table, VirtualTable};
use expr::{Expr, FunctionRef};
use std::sync::Arc;
use types::DataType;
use types::descriptor::{ColumnId, IndexDescriptor};

/// Reads a table through one of its indexes.
///
/// The **point read**: `single_row` is set when the index is unique and its spans fix every key column to one value; then
/// there is exactly one span whose `prefix` covers the key, and at most one row comes out. This is the shape of a
/// primary-key SELECT, and the source of a primary-key UPDATE or DELETE: the executor should turn it into one Get.
///
/// - Columns come out in the order of `columns`, rows in index order (`reverse`: backwards). Order is promised only when
///   `ordered`: else ranges may be read in parallel.
/// - `filter` is over the columns of `columns`, evaluated before a row is locked or counted.
/// - `fetch_row` says that `columns` has some that the index does not hold: each entry's row is fetched from the primary
///   index (in the same node, batch by batch).
#[derive(Clone, Debug)]
pub struct TableScan {
    pub table: Arc<Table>,
    /// Name in the statement, for EXPLAIN.
    pub alias: Box<str>,
    /// Position in `TableDescriptor::all_indexes()`: 0 is the primary index.
    pub index: u32,
    pub spans: Spans,
    pub single_row: bool,
    pub reverse: bool,
    pub ordered: bool,
    pub fetch_row: bool,
    pub columns: Vec<ColumnId>,
    pub filter: Option<Expr>,
    /// Not more than this many rows will be asked for (bigint, without columns; NULL: no bound). A hint for the size of
    /// the first batch.
    pub row_hint: Option<Expr>,
    /// The same of rows that are about enough, where more may be asked for.
    pub page_hint: Option<Expr>,
    /// Rows that pass the filter are locked as they are read.
    pub lock: Option<RowLock>,
}

impl TableScan {
    pub fn index_descriptor(&self) -> &IndexDescriptor {
        self.table.index_at(self.index)
    }
}

/// FOR UPDATE and its relatives on one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowLock {
    pub strength: LockStrength,
    pub wait: LockWait,
}

/// Which keys of an index are read.
///
/// The expressions have no columns (constants, parameters, slots), and the type of the key column or one that [`super::KeyFit`] knows; they
/// are evaluated once when the scan opens.
#[derive(Clone, Debug, PartialEq)]
pub enum Spans {
    /// The whole index.
    All,
    /// The union of these. They may overlap and are in no order (values are known at run time only): the executor
    /// evaluates, sorts and merges them, so that no row comes twice. None at all: no rows.
    List(Vec<Span>),
}

/// Keys that begin with `prefix`, whose next column lies within the bounds.
///
/// - `prefix` counts at most the index's key columns; with all of them, the bounds are unbounded.
/// - A value that evaluates to NULL under [`KeyValue::Equal`] or in a bound makes the span empty: `= NULL` is never
///   true. A span with any bound excludes NULLs of that column; one without bounds includes them.
/// - Bounds are in terms of values, not of key order: `lower` is the smaller value, whatever the column's direction.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    pub prefix: Vec<KeyValue>,
    pub lower: SpanBound,
    pub upper: SpanBound,
    /// The next column is not NULL, though it has no bound.
    pub not_null: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub enum KeyValue {
    /// `column = value`.
    Equal(Expr),
    /// `column = ANY (array)`: the array's elements, NULLs left out.
    AnyOf(Expr),
    /// `column IS NULL`.
    Null,
}

#[derive(Clone, Debug, PartialEq)]
pub enum SpanBound {
    Unbounded,
    Inclusive(Expr),
    Exclusive(Expr),
}

/// A table whose rows `sql` makes up (pg_catalog, information_schema).
#[derive(Clone, Debug)]
pub struct VirtualScan {
    pub table: Arc<VirtualTable>,
    pub alias: Box<str>,
    /// Positions in `table.columns`.
    pub columns: Vec<u32>,
    pub filter: Option<Expr>,
    /// Conditions `column = value` contained in `filter` (position in `table.columns`; the value has no columns): a table
    /// that can find rows by such a key may use them.
    pub equalities: Vec<(u32, Expr)>,
}

/// Set-returning functions in FROM. Several (ROWS FROM) run side by side, shorter ones padded with NULLs. A scalar function
/// in FROM is a [`Values`] of one row.
#[derive(Clone, Debug)]
pub struct FunctionScan {
    pub functions: Vec<SetFunction>,
    /// WITH ORDINALITY: a last column of type int8, from 1.
    pub ordinality: bool,
    pub alias: Box<str>,
}

/// A call of a set-returning function. In a [`FunctionScan`] the arguments have no columns.
#[derive(Clone, Debug, PartialEq)]
pub struct SetFunction {
    /// The rows are row values, whose fields are the columns.
    pub expand: bool,
    pub function: FunctionRef,
    pub arguments: Vec<Expr>,
    /// One for a scalar result; the fields of a row otherwise.
    pub columns: Vec<DataType>,
    pub position: u32,
}

/// Constant rows: VALUES, and one row of no columns for a SELECT without FROM. Expressions have no columns.
#[derive(Clone, Debug)]
pub struct Values {
    pub rows: Vec<Vec<Expr>>,
}

/// Reads a common table of an enclosing [`super::With`].
#[derive(Clone, Debug)]
pub struct CteScan {
    pub cte: u32,
    pub name: Box<str>,
}

/// Reads the rows that the last round of the enclosing [`super::RecursiveUnion`] with this id produced.
#[derive(Clone, Debug)]
pub struct WorkTableScan {
    pub cte: u32,
    pub name: Box<str>,
}

/// Rows that come from outside while the statement runs: COPY FROM. At most one in a plan.
///
/// Its columns ([`super::PlanNode::columns`]) have the types of the table's columns that are copied into, already converted; what
/// the statement leaves out (defaults, identity) is computed by a [`super::Project`] above it.
#[derive(Clone, Debug)]
pub struct Feed {
    /// For EXPLAIN and error contexts.
    pub name: Box<str>,
}
