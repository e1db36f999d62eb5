//! Relational algebra: what the binder builds, the rewrite passes transform, and the optimiser turns into a plan.
//!
//! Columns are **numbered query-wide**: every column that any operator produces has its own [`ColumnNumber`], and an
//! [`expr::Expr::Column`] in this representation holds such a number wherever it stands. So an expression keeps its
//! meaning when it moves through the tree, and *correlation* needs no notation: a subquery is correlated if it uses columns that
//! it does not itself produce.
//!
//! - An operator passes on all columns of its input and adds its own ([`Extend`] does not forget); which of them are
//!   carried at run time is decided when the physical plan is built, from what is used above. Exceptions: [`Aggregate`] (keys and
//!   aggregates only), set operations and common table scans (their own columns only), semi and anti joins (left only).
//! - Conditions are lists that are ANDed.
//! - A [`Join`] whose right side uses columns of its left side is lateral; the physical plan makes it an Apply unless a
//!   pass has decorrelated it.

mod column_set;
mod columns;
mod visit;

pub use column_set::ColumnSet;
pub use columns::{ColumnInfo, ColumnNumber, Columns};
pub use visit::{
    and, collect_columns, columns_of, conjuncts, replace_columns, same_expression, split_conjunction,
};

use crate::catalog::{Table, VirtualTable};
use crate::plan::{
    self, AggregateStrategy, DeferredCall, RowLock, SetFunction, SetOperator, SubqueryResult, WindowFrame,
};
use expr::Expr;
use std::sync::Arc;

/// A relational expression.
#[derive(Clone, Debug)]
pub enum Relational {
    Scan(Box<Scan>),
    VirtualScan(Box<VirtualScan>),
    FunctionScan(Box<FunctionScan>),
    Values(Box<Values>),
    CteScan(Box<CteScan>),
    Feed(Box<Feed>),
    Filter(Box<Filter>),
    Extend(Box<Extend>),
    Join(Box<Join>),
    Aggregate(Box<Aggregate>),
    Window(Box<Window>),
    ProjectSet(Box<ProjectSet>),
    Deferred(Box<Deferred>),
    Distinct(Box<Distinct>),
    Sort(Box<Sort>),
    Limit(Box<Limit>),
    LockRows(Box<LockRows>),
    SetOperation(Box<SetOperation>),
    RecursiveUnion(Box<RecursiveUnion>),
    With(Box<With>),
    InitPlan(Box<InitPlan>),
    Insert(Box<Insert>),
    Update(Box<Update>),
    Delete(Box<Delete>),
}

/// A table: one number for each column of its descriptor, in order.
#[derive(Clone, Debug)]
pub struct Scan {
    pub table: Arc<Table>,
    pub alias: Box<str>,
    pub columns: Vec<ColumnNumber>,
    pub lock: Option<RowLock>,
}

#[derive(Clone, Debug)]
pub struct VirtualScan {
    pub table: Arc<VirtualTable>,
    pub alias: Box<str>,
    pub columns: Vec<ColumnNumber>,
}

/// Set-returning functions in FROM; `columns` are all of theirs, then the ordinality.
#[derive(Clone, Debug)]
pub struct FunctionScan {
    pub functions: Vec<SetFunction>,
    pub ordinality: bool,
    pub alias: Box<str>,
    pub columns: Vec<ColumnNumber>,
}

/// Constant rows (they may use outer columns and slots).
#[derive(Clone, Debug)]
pub struct Values {
    pub rows: Vec<Vec<Expr>>,
    pub columns: Vec<ColumnNumber>,
}

/// A common table, or with `work_table` the rows of a recursive one's last round.
#[derive(Clone, Debug)]
pub struct CteScan {
    pub cte: u32,
    pub name: Box<str>,
    pub work_table: bool,
    pub columns: Vec<ColumnNumber>,
}

#[derive(Clone, Debug)]
pub struct Filter {
    pub input: Relational,
    pub conditions: Vec<Expr>,
}

/// Adds computed columns.
#[derive(Clone, Debug)]
pub struct Extend {
    pub input: Relational,
    pub columns: Vec<(ColumnNumber, Expr)>,
}

/// What a logical join is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum JoinKind {
    Inner,
    Left,
    Right,
    Full,
    Semi,
    /// `null_aware`: NOT IN. The conditions that compare the IN operands come first; see [`Join::in_conditions`].
    Anti {
        null_aware: bool,
    },
    /// Adds a bool column; `null_aware`: IN.
    Mark {
        column: ColumnNumber,
        null_aware: bool,
    },
    /// Adds one column: the result of the right side as a subquery; `value` is the right side's column that counts.
    Subquery {
        column: ColumnNumber,
        value: ColumnNumber,
        result: SubqueryResult,
    },
}

impl JoinKind {
    pub fn has_right_columns(self) -> bool {
        matches!(self, JoinKind::Inner | JoinKind::Left | JoinKind::Right | JoinKind::Full)
    }

    /// The column that the join itself adds.
    pub fn own_column(self) -> Option<ColumnNumber> {
        match self {
            JoinKind::Mark { column, .. } | JoinKind::Subquery { column, .. } => Some(column),
            _ => None,
        }
    }
}

#[derive(Clone, Debug)]
pub struct Join {
    pub kind: JoinKind,
    pub left: Relational,
    pub right: Relational,
    pub conditions: Vec<Expr>,
    /// How many of the first conditions come from IN: for null-aware kinds these decide about NULL; the others say which
    /// right rows exist.
    pub in_conditions: usize,
}

/// Grouping. `grouping`: the column that tells the grouping set, present when there are several sets.
#[derive(Clone, Debug)]
pub struct Aggregate {
    pub input: Relational,
    pub keys: Vec<(ColumnNumber, Expr)>,
    pub sets: Vec<Vec<u32>>,
    pub aggregates: Vec<(ColumnNumber, expr::Aggregate)>,
    pub grouping: Option<ColumnNumber>,
    pub strategy: AggregateStrategy,
}

/// A sort key over a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SortKey {
    pub column: ColumnNumber,
    pub descending: bool,
    pub nulls_first: bool,
}

/// Window calls over one window.
#[derive(Clone, Debug)]
pub struct Window {
    pub input: Relational,
    pub partition_by: Vec<ColumnNumber>,
    pub order_by: Vec<SortKey>,
    pub frame: WindowFrame,
    pub calls: Vec<(ColumnNumber, expr::WindowCall)>,
}

#[derive(Clone, Debug)]
pub struct ProjectSet {
    pub input: Relational,
    /// Columns of each function's result.
    pub functions: Vec<(ColumnNumber, SetFunction)>,
}

#[derive(Clone, Debug)]
pub struct Deferred {
    pub input: Relational,
    pub calls: Vec<(ColumnNumber, DeferredCall)>,
}

/// One row for each combination of `columns`; with `on_order` (DISTINCT ON) the first in that order.
#[derive(Clone, Debug)]
pub struct Distinct {
    pub input: Relational,
    pub columns: Vec<ColumnNumber>,
    pub ordered: bool,
}

#[derive(Clone, Debug)]
pub struct Sort {
    pub input: Relational,
    pub keys: Vec<SortKey>,
}

#[derive(Clone, Debug)]
pub struct Limit {
    pub input: Relational,
    pub count: Option<Expr>,
    pub offset: Option<Expr>,
    /// WITH TIES.
    pub ties: Vec<SortKey>,
}

/// FOR UPDATE after sorting, limiting, joining: the scans to lock, by the numbers of their columns.
#[derive(Clone, Debug)]
pub struct LockRows {
    pub input: Relational,
    pub targets: Vec<LockTarget>,
}

#[derive(Clone, Debug)]
pub struct LockTarget {
    pub table: Arc<Table>,
    pub columns: Vec<ColumnNumber>,
    pub lock: RowLock,
}

/// A set operation; UNION ALL of any number of inputs among them. `columns[i]` is made of the i-th column of each input.
#[derive(Clone, Debug)]
pub struct SetOperation {
    pub operator: SetOperator,
    pub all: bool,
    /// Inputs with the columns that take part, in order. Two, or more for UNION ALL.
    pub inputs: Vec<(Relational, Vec<ColumnNumber>)>,
    pub columns: Vec<ColumnNumber>,
}

#[derive(Clone, Debug)]
pub struct RecursiveUnion {
    pub cte: u32,
    pub name: Box<str>,
    pub initial: (Relational, Vec<ColumnNumber>),
    pub step: (Relational, Vec<ColumnNumber>),
    pub distinct: bool,
    pub columns: Vec<ColumnNumber>,
}

#[derive(Clone, Debug)]
pub struct With {
    pub tables: Vec<WithTable>,
    pub body: Relational,
}

#[derive(Clone, Debug)]
pub struct WithTable {
    pub cte: u32,
    pub name: Box<str>,
    pub input: Relational,
    /// The columns that scans of it see, in order.
    pub columns: Vec<ColumnNumber>,
    pub modifies: bool,
    /// Marked MATERIALIZED or NOT MATERIALIZED.
    pub materialized: Option<bool>,
}

#[derive(Clone, Debug)]
pub struct InitPlan {
    pub subqueries: Vec<InitSubquery>,
    pub body: Relational,
}

#[derive(Clone, Debug)]
pub struct InitSubquery {
    pub slot: u32,
    pub result: SubqueryResult,
    pub input: Relational,
    /// The column that counts (`None` for EXISTS).
    pub value: Option<ColumnNumber>,
}

/// Rows from outside: COPY FROM.
#[derive(Clone, Debug)]
pub struct Feed {
    pub name: Box<str>,
    pub columns: Vec<ColumnNumber>,
}

/// INSERT: `row` has a column of the source for each of the table's columns. With `returning` it hands up `new_row`, the row as
/// inserted.
#[derive(Clone, Debug)]
pub struct Insert {
    pub table: Arc<Table>,
    pub source: Relational,
    pub row: Vec<ColumnNumber>,
    pub new_row: Vec<ColumnNumber>,
    pub generated: Vec<plan::GeneratedColumn>,
    pub checks: Vec<plan::Check>,
    pub partial_indexes: Vec<plan::PartialIndex>,
    pub on_conflict: Option<plan::OnConflict>,
    pub returning: bool,
}

/// UPDATE: `old_row` are the source's columns of the target; assignments are over the source's columns. With `returning` it hands
/// up `new_row`, the row as updated, and the source's other columns.
#[derive(Clone, Debug)]
pub struct Update {
    pub table: Arc<Table>,
    pub source: Relational,
    pub old_row: Vec<ColumnNumber>,
    pub new_row: Vec<ColumnNumber>,
    /// (position in the table's columns, value).
    pub assignments: Vec<(u32, Expr)>,
    pub generated: Vec<plan::GeneratedColumn>,
    pub checks: Vec<plan::Check>,
    pub partial_indexes: Vec<plan::PartialIndex>,
    pub may_repeat: bool,
    pub returning: bool,
}

/// DELETE. With `returning` it hands up the source's columns.
#[derive(Clone, Debug)]
pub struct Delete {
    pub table: Arc<Table>,
    pub source: Relational,
    pub old_row: Vec<ColumnNumber>,
    pub partial_indexes: Vec<plan::PartialIndex>,
    pub may_repeat: bool,
    pub returning: bool,
}

impl Relational {
    /// One row without columns: SELECT without FROM.
    pub fn unit() -> Relational {
        Relational::Values(Box::new(Values { rows: vec![Vec::new()], columns: Vec::new() }))
    }

    /// No rows.
    pub fn empty(columns: Vec<ColumnNumber>) -> Relational {
        Relational::Values(Box::new(Values { rows: Vec::new(), columns }))
    }

    pub fn is_unit(&self) -> bool {
        matches!(self, Relational::Values(values) if values.rows.len() == 1 && values.columns.is_empty())
    }

    pub fn filter(self, conditions: Vec<Expr>) -> Relational {
        if conditions.is_empty() {
            return self;
        }
        Relational::Filter(Box::new(Filter { input: self, conditions }))
    }

    pub fn extend(self, columns: Vec<(ColumnNumber, Expr)>) -> Relational {
        if columns.is_empty() {
            return self;
        }
        Relational::Extend(Box::new(Extend { input: self, columns }))
    }

    /// Calls that wait on top of rows: those that take the result of another above that one.
    pub fn deferred(mut self, calls: Vec<(ColumnNumber, DeferredCall)>) -> Relational {
        let mut at_once: Vec<(ColumnNumber, DeferredCall)> = Vec::new();
        for (column, call) in calls {
            let mut taken = ColumnSet::new();
            call.arguments.iter().for_each(|argument| collect_columns(argument, &mut taken));
            if at_once.iter().any(|(other, _)| taken.contains(*other)) {
                let calls = std::mem::take(&mut at_once);
                self = Relational::Deferred(Box::new(Deferred { input: self, calls }));
            }
            at_once.push((column, call));
        }
        if at_once.is_empty() {
            return self;
        }
        Relational::Deferred(Box::new(Deferred { input: self, calls: at_once }))
    }

    pub fn join(self, kind: JoinKind, right: Relational, conditions: Vec<Expr>) -> Relational {
        Relational::Join(Box::new(Join { kind, left: self, right, conditions, in_conditions: 0 }))
    }

    /// Takes the node out, leaving an empty one: for passes that rebuild in place.
    pub fn take(&mut self) -> Relational {
        std::mem::replace(self, Relational::empty(Vec::new()))
    }
}
