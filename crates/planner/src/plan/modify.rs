//! INSERT, UPDATE, DELETE.
//!
//! The source plan does all the computing: defaults, casts to the column types, joins. What is left to the operator is the
//! write itself: NOT NULL and CHECK, index entries, uniqueness, foreign keys (from the table's descriptor: `foreign_keys` for
//! what the row points to, `referenced_by` for what points to it), and RETURNING.
//!
//! A *row* below means one value for each of the table's columns (`TableDescriptor::columns`, hidden ones and those
//! under a schema change included), in that order.

use super::PlanNode;
use crate::catalog::Table;
use expr::Expr;
use std::sync::Arc;

/// Inserts rows.
///
/// - `source` produces rows: defaults and identity values are in them; generated columns are NULL there and computed from
///   `generated`. The hidden rowid of a table without a primary key is NULL there and drawn by the executor.
/// - `returning` is over the row as inserted (or, after ON CONFLICT DO UPDATE, as updated).
#[derive(Clone, Debug)]
pub struct Insert {
    pub table: Arc<Table>,
    pub source: PlanNode,
    pub generated: Vec<GeneratedColumn>,
    pub checks: Vec<Check>,
    pub partial_indexes: Vec<PartialIndex>,
    pub on_conflict: Option<OnConflict>,
    pub returning: Option<Vec<Expr>>,
}

/// A value computed from the row itself: `expression` is over the new row.
#[derive(Clone, Debug, PartialEq)]
pub struct GeneratedColumn {
    /// Position in `TableDescriptor::columns`.
    pub column: u32,
    pub expression: Expr,
}

/// A condition over the new row that must not be false (23514).
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    pub name: Box<str>,
    pub condition: Expr,
    /// Set for WITH CHECK OPTION of a view: 44000, and the condition must be true.
    pub view: Option<Box<str>>,
}

/// A partial index has an entry for a row if `predicate` (over the row) is true.
#[derive(Clone, Debug, PartialEq)]
pub struct PartialIndex {
    /// Position in `TableDescriptor::all_indexes()`.
    pub index: u32,
    pub predicate: Expr,
}

/// ON CONFLICT.
#[derive(Clone, Debug)]
pub struct OnConflict {
    /// Positions in `TableDescriptor::all_indexes()` of the unique indexes that arbitrate; `None`: any.
    pub arbiters: Option<Vec<u32>>,
    pub action: ConflictAction,
}

#[derive(Clone, Debug)]
pub enum ConflictAction {
    Nothing,
    /// `assignments` and `filter` are over the existing row followed by the row proposed for insertion (`excluded`). A row
    /// for which `filter` is not true is locked and left as it is. Hitting the same row twice is 21000.
    Update {
        assignments: Vec<Assignment>,
        filter: Option<Expr>,
    },
}

/// A new value for a column.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// Position in `TableDescriptor::columns`.
    pub column: u32,
    pub value: Expr,
}

/// Changes rows.
///
/// - `source` produces the old row (as many columns as the table has) followed by whatever else `assignments` and `returning`
///   need. It reads the table with a lock ([`super::TableScan::lock`] or [`super::LookupJoin::lock`]).
/// - `assignments` are over the source's columns; columns that none assigns keep their value; `generated` ones are then computed.
/// - `returning` is over the **new** row followed by the source's further columns.
/// - `may_repeat`: a join may give one target row several times; only the first counts.
#[derive(Clone, Debug)]
pub struct Update {
    pub table: Arc<Table>,
    pub source: PlanNode,
    pub assignments: Vec<Assignment>,
    pub generated: Vec<GeneratedColumn>,
    pub checks: Vec<Check>,
    pub partial_indexes: Vec<PartialIndex>,
    pub may_repeat: bool,
    pub returning: Option<Vec<Expr>>,
}

/// Deletes rows. `source` as for [`Update`]; `returning` is over the source's columns.
#[derive(Clone, Debug)]
pub struct Delete {
    pub table: Arc<Table>,
    pub source: PlanNode,
    pub partial_indexes: Vec<PartialIndex>,
    pub may_repeat: bool,
    pub returning: Option<Vec<Expr>>,
}
