//! The physical plan: what the executor runs.
//!
//! A [`Plan`] is a tree of [`PlanNode`]s, each an [`Operator`] with the columns of the batches that it produces. It is
//! reusable: parameters stay [`expr::Expr::Parameter`], so that a prepared statement is planned once and executed any
//! number of times while the catalog versions in [`Plan::relations`] hold.
//!
//! Conventions that every operator keeps:
//! - An [`expr::Expr::Column`] in an operator is the position in its **input** batch; for an operator with two inputs in
//!   the left columns followed by the right ones.
//! - An [`expr::Expr::Slot`] is a cell of the statement's slot array (`Plan::slot_count` cells). A slot is set by the
//!   operator that defines it ([`Apply`], [`InitPlan`]) before anything that reads it runs.
//! - Expressions hold no subqueries, no aggregates, no window calls, no set-returning and no deferred functions
//!   (`nextval` ...): each of these is an operator.
//! - Types are exact: keys of a join have the same type on both sides, rows of a set operation have the same types, values
//!   for a table's column have been cast to the column's type (length coercion included).
//! - An operator produces its columns in the order of `PlanNode::columns`.
//!
//! | operator | produces |
//! | --- | --- |
//! | [`TableScan`], [`VirtualScan`], [`FunctionScan`], [`Values`], [`CteScan`], [`WorkTableScan`], [`Feed`] | rows from nothing |
//! | [`Filter`], [`Limit`], [`Sort`], [`TopN`], [`Distinct`], [`LockRows`] | the input's columns |
//! | [`Project`] | one column an expression |
//! | [`ProjectSet`], [`Deferred`], [`Window`] | the input's columns, then one for each call |
//! | [`Aggregate`] | group keys, then aggregates, then a grouping mask if asked for |
//! | [`HashJoin`], [`NestedLoopJoin`], [`LookupJoin`], [`Apply`] | left columns, then right ones; see [`JoinKind`] |
//! | [`SetOperation`], [`Append`], [`RecursiveUnion`] | the columns of any input |
//! | [`With`], [`InitPlan`] | the columns of the body |
//! | [`Insert`], [`Update`], [`Delete`] | the RETURNING list; none without it |

mod derived;
mod join;
mod key_fit;
mod modify;
mod relational;
mod scan;

pub use derived::Derived;
pub use join::*;
pub use key_fit::KeyFit;
pub use modify::*;
pub use relational::*;
pub use scan::*;

use types::ColumnType;
use types::descriptor::{ColumnId, DescriptorVersion, Oid};

/// A planned statement.
#[derive(Clone, Debug)]
pub struct Plan {
    pub root: PlanNode,
    pub command: Command,
    /// What the client sees: one for each column of `root` if the statement returns rows, else empty.
    pub output: Vec<OutputColumn>,
    /// Types of `$1`, `$2` ..., inferred where they were not given.
    pub parameters: Vec<types::DataType>,
    /// Cells of the slot array.
    pub slot_count: u32,
    /// Common tables that are materialised: ids are `0..cte_count`.
    pub cte_count: u32,
    /// Every relation used with the version it was planned against: the plan is valid while all are current. Also what
    /// privileges are checked on.
    pub relations: Vec<RelationUse>,
    /// Nothing is written and no row locked: may run in a read-only transaction.
    pub read_only: bool,
    /// AS OF SYSTEM TIME: constant expression of type timestamptz, interval or text, evaluated before anything is read.
    pub as_of: Option<expr::Expr>,
    /// What the executor prepares at the first execution. Planning leaves it at its default.
    pub prepared: Derived,
}

/// What the command tag says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    Select,
    Insert,
    Update,
    Delete,
    Merge,
}

impl Plan {
    /// Does the client get rows?
    pub fn returns_rows(&self) -> bool {
        self.command == Command::Select || !self.output.is_empty()
    }
}

/// A column of RowDescription.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputColumn {
    pub name: Box<str>,
    pub column_type: ColumnType,
    /// Table and column when it is a plain column of a table.
    pub origin: Option<(Oid, ColumnId)>,
}

/// A relation that a plan depends on.
#[derive(Clone, Debug, PartialEq)]
pub struct RelationUse {
    pub id: Oid,
    pub version: DescriptorVersion,
    pub privileges: Privileges,
    /// The columns concerned: a privilege on each of them does instead of one on the relation.
    pub columns: ColumnUse,
    /// Whose privileges count: `None` is the session's user, otherwise the owner of the view that the relation was reached
    /// through.
    pub check_as: Option<Box<str>>,
}

/// The columns that a statement reads and writes, ascending.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ColumnUse {
    pub selected: Vec<ColumnId>,
    pub inserted: Vec<ColumnId>,
    pub updated: Vec<ColumnId>,
}

/// Privileges that a statement needs on a relation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Privileges {
    pub select: bool,
    pub insert: bool,
    pub update: bool,
    pub delete: bool,
    /// Of a function.
    pub execute: bool,
}

/// A column of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanColumn {
    /// For EXPLAIN.
    pub name: Box<str>,
    pub column_type: ColumnType,
}

/// What the optimiser expects of a node, in PostgreSQL's units (a sequential page read costs 1).
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Estimate {
    pub rows: f64,
    pub startup_cost: f64,
    pub total_cost: f64,
    /// Bytes a row.
    pub width: u32,
}

/// A node of the plan.
#[derive(Clone, Debug)]
pub struct PlanNode {
    pub operator: Operator,
    pub columns: Vec<PlanColumn>,
    pub estimate: Estimate,
}

/// The operators. Payloads are boxed: moving a node is cheap.
#[derive(Clone, Debug)]
pub enum Operator {
    TableScan(Box<TableScan>),
    VirtualScan(Box<VirtualScan>),
    FunctionScan(Box<FunctionScan>),
    Values(Box<Values>),
    CteScan(Box<CteScan>),
    WorkTableScan(Box<WorkTableScan>),
    Feed(Box<Feed>),

    Filter(Box<Filter>),
    Project(Box<Project>),
    ProjectSet(Box<ProjectSet>),
    Deferred(Box<Deferred>),
    Limit(Box<Limit>),
    Sort(Box<Sort>),
    TopN(Box<TopN>),
    Distinct(Box<Distinct>),
    Aggregate(Box<Aggregate>),
    Window(Box<Window>),
    LockRows(Box<LockRows>),

    HashJoin(Box<HashJoin>),
    NestedLoopJoin(Box<NestedLoopJoin>),
    LookupJoin(Box<LookupJoin>),
    Apply(Box<Apply>),

    SetOperation(Box<SetOperation>),
    Append(Box<Append>),
    RecursiveUnion(Box<RecursiveUnion>),
    With(Box<With>),
    InitPlan(Box<InitPlan>),

    Insert(Box<Insert>),
    Update(Box<Update>),
    Delete(Box<Delete>),
}

impl PlanNode {
    /// The direct inputs, left before right.
    pub fn inputs(&self) -> Vec<&PlanNode> {
        use Operator::*;
        match &self.operator {
            TableScan(_) | VirtualScan(_) | FunctionScan(_) | Values(_) | CteScan(_) | WorkTableScan(_)
            | Feed(_) => vec![],
            Filter(node) => vec![&node.input],
            Project(node) => vec![&node.input],
            ProjectSet(node) => vec![&node.input],
            Deferred(node) => vec![&node.input],
            Limit(node) => vec![&node.input],
            Sort(node) => vec![&node.input],
            TopN(node) => vec![&node.input],
            Distinct(node) => vec![&node.input],
            Aggregate(node) => vec![&node.input],
            Window(node) => vec![&node.input],
            LockRows(node) => vec![&node.input],
            HashJoin(node) => vec![&node.left, &node.right],
            NestedLoopJoin(node) => vec![&node.left, &node.right],
            LookupJoin(node) => vec![&node.left],
            Apply(node) => vec![&node.left, &node.right],
            SetOperation(node) => vec![&node.left, &node.right],
            Append(node) => node.inputs.iter().collect(),
            RecursiveUnion(node) => vec![&node.initial, &node.step],
            With(node) => node.tables.iter().map(|table| &table.plan).chain([&node.body]).collect(),
            InitPlan(node) => {
                node.subqueries.iter().map(|subquery| &subquery.plan).chain([&node.body]).collect()
            }
            Insert(node) => vec![&node.source],
            Update(node) => vec![&node.source],
            Delete(node) => vec![&node.source],
        }
    }
}
