//! What is known and collected while one query is bound.

use super::scope::Item;
use crate::logical::{ColumnNumber, JoinKind, Relational};
use crate::plan::{DeferredCall, SetFunction, WindowFrame};
use expr::Expr;
use types::{PgError, PgResult, SqlState};

/// Where an expression stands: decides what it may hold, and words the refusal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Clause {
    SelectList,
    Where,
    JoinOn,
    FromFunction,
    GroupBy,
    Having,
    OrderBy,
    DistinctOn,
    Limit,
    Offset,
    Values,
    Returning,
    UpdateSet,
    InsertValues,
    WindowPartition,
    WindowOrder,
    WindowFrame,
    Filter,
    /// An expression outside of any query: "DEFAULT expressions", "check constraints" ...
    Scalar(&'static str),
}

impl Clause {
    /// How PostgreSQL's messages call it (ParseExprKindName).
    pub(crate) fn name(self) -> &'static str {
        match self {
            Clause::SelectList => "SELECT",
            Clause::Where => "WHERE",
            Clause::JoinOn => "JOIN conditions",
            Clause::FromFunction => "functions in FROM",
            Clause::GroupBy => "GROUP BY",
            Clause::Having => "HAVING",
            Clause::OrderBy => "ORDER BY",
            Clause::DistinctOn => "DISTINCT ON",
            Clause::Limit => "LIMIT",
            Clause::Offset => "OFFSET",
            Clause::Values | Clause::InsertValues => "VALUES",
            Clause::Returning => "RETURNING",
            Clause::UpdateSet => "UPDATE",
            Clause::WindowPartition => "window PARTITION BY",
            Clause::WindowOrder => "window ORDER BY",
            Clause::WindowFrame => "window definitions",
            Clause::Filter => "FILTER",
            Clause::Scalar(name) => name,
        }
    }

    pub(crate) fn allows_aggregates(self) -> bool {
        matches!(
            self,
            Clause::SelectList
                | Clause::Having
                | Clause::OrderBy
                | Clause::DistinctOn
                | Clause::WindowPartition
                | Clause::WindowOrder
        )
    }

    pub(crate) fn allows_windows(self) -> bool {
        matches!(self, Clause::SelectList | Clause::OrderBy | Clause::DistinctOn)
    }

    pub(crate) fn allows_sets(self) -> bool {
        matches!(
            self,
            Clause::SelectList
                | Clause::OrderBy
                | Clause::DistinctOn
                | Clause::GroupBy
                | Clause::InsertValues
        )
    }

    fn refuse(self, code: SqlState, what: &str, position: u32) -> PgError {
        PgError::new(code, format!("{what} are not allowed in {}", self.name())).at(position)
    }

    pub(crate) fn check_aggregate(self, position: u32) -> PgResult<()> {
        if self.allows_aggregates() {
            return Ok(());
        }
        Err(self.refuse(SqlState::GROUPING_ERROR, "aggregate functions", position))
    }

    pub(crate) fn check_window(self, position: u32) -> PgResult<()> {
        if self.allows_windows() {
            return Ok(());
        }
        Err(self.refuse(SqlState::WINDOWING_ERROR, "window functions", position))
    }

    pub(crate) fn check_set(self, position: u32) -> PgResult<()> {
        if self.allows_sets() {
            return Ok(());
        }
        Err(self.refuse(SqlState::FEATURE_NOT_SUPPORTED, "set-returning functions", position))
    }
}

/// A subquery waiting for its place in the tree: a join that adds a column.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub kind: JoinKind,
    pub right: Relational,
    pub conditions: Vec<Expr>,
    pub in_conditions: usize,
}

impl Pending {
    pub(crate) fn attach(self, input: Relational) -> Relational {
        Relational::Join(Box::new(crate::logical::Join {
            kind: self.kind,
            left: input,
            right: self.right,
            conditions: self.conditions,
            in_conditions: self.in_conditions,
        }))
    }
}

#[derive(Clone, Debug)]
pub(crate) struct BoundAggregate {
    pub column: ColumnNumber,
    pub aggregate: expr::Aggregate,
}

/// A window with everything but its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BoundWindow {
    pub partition_by: Vec<Expr>,
    pub order_by: Vec<(Expr, bool, bool)>,
    pub frame: WindowFrame,
}

#[derive(Clone, Debug)]
pub(crate) struct BoundWindowCall {
    pub column: ColumnNumber,
    pub call: expr::WindowCall,
    /// Position in `Level::windows`.
    pub window: usize,
}

/// A query being bound.
///
/// - `namespace` is empty until FROM begins; items marked lateral-only are seen by LATERAL subqueries alone.
/// - `in_aggregate` is set while an aggregate's arguments are bound: what they collect goes below the Aggregate.
#[derive(Debug)]
pub(crate) struct Level {
    pub namespace: Vec<Item>,
    /// A LATERAL item of FROM is being bound in a level above this one: lateral-only items may be seen.
    pub lateral_active: bool,
    pub clause: Clause,
    pub in_aggregate: bool,
    pub in_window: bool,
    pub aggregates: Vec<BoundAggregate>,
    pub windows: Vec<BoundWindow>,
    pub named_windows: Vec<(Box<str>, crate::ast::Window)>,
    pub window_calls: Vec<BoundWindowCall>,
    pub set_functions: Vec<(ColumnNumber, SetFunction)>,
    pub deferred: Vec<(ColumnNumber, DeferredCall)>,
    pub pending: Vec<Pending>,
    /// Those of aggregate arguments.
    pub deferred_below: Vec<(ColumnNumber, DeferredCall)>,
    pub pending_below: Vec<Pending>,
    /// GROUPING() calls: (column, arguments, position).
    pub groupings: Vec<(ColumnNumber, Vec<Expr>, u32)>,
    /// Columns named outside of aggregates, with places, for the error about ungrouped ones.
    pub references: Vec<(ColumnNumber, u32)>,
}

impl Level {
    pub(crate) fn new(clause: Clause) -> Self {
        Level {
            namespace: Vec::new(),
            lateral_active: false,
            clause,
            in_aggregate: false,
            in_window: false,
            aggregates: Vec::new(),
            windows: Vec::new(),
            named_windows: Vec::new(),
            window_calls: Vec::new(),
            set_functions: Vec::new(),
            deferred: Vec::new(),
            pending: Vec::new(),
            deferred_below: Vec::new(),
            pending_below: Vec::new(),
            groupings: Vec::new(),
            references: Vec::new(),
        }
    }

    /// Puts what the last clause collected below it: subqueries, then deferred calls.
    pub(crate) fn attach_pending(&mut self, mut input: Relational) -> Relational {
        for pending in std::mem::take(&mut self.pending) {
            input = pending.attach(input);
        }
        self.attach_deferred(input)
    }

    pub(crate) fn attach_deferred(&mut self, input: Relational) -> Relational {
        input.deferred(std::mem::take(&mut self.deferred))
    }
}
