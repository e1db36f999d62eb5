//! SELECT, VALUES, TABLE and what stands in FROM.

use super::{Expression, FunctionCall, Identifier, ObjectName, Statement, TypeName, Window};

/// A query with its outer clauses. The operands of a set operation are queries too: those without parentheses have empty
/// outer clauses.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    pub with: Option<With>,
    pub body: QueryBody,
    pub order_by: Vec<OrderItem>,
    pub limit: Option<Expression>,
    /// FETCH FIRST ... WITH TIES.
    pub with_ties: bool,
    pub offset: Option<Expression>,
    pub locking: Vec<Locking>,
    pub position: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub enum QueryBody {
    Select(Box<Select>),
    Values(Vec<Vec<Expression>>),
    SetOperation(Box<SetOperation>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetOperator {
    Union,
    Intersect,
    Except,
}

#[derive(Clone, Debug, PartialEq)]
pub struct SetOperation {
    pub operator: SetOperator,
    pub all: bool,
    pub left: Query,
    pub right: Query,
    pub position: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub struct With {
    pub recursive: bool,
    pub tables: Vec<CommonTable>,
    pub position: u32,
}

/// One common table expression.
#[derive(Clone, Debug, PartialEq)]
pub struct CommonTable {
    pub name: Identifier,
    pub columns: Vec<Identifier>,
    pub materialized: Option<bool>,
    /// A query, or INSERT, UPDATE, DELETE.
    pub statement: Box<Statement>,
    pub search: Option<SearchClause>,
    pub cycle: Option<CycleClause>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct SearchClause {
    pub depth_first: bool,
    pub columns: Vec<Identifier>,
    pub sequence_column: Identifier,
    pub position: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CycleClause {
    pub columns: Vec<Identifier>,
    pub mark_column: Identifier,
    pub mark_value: Option<Expression>,
    pub mark_default: Option<Expression>,
    pub path_column: Identifier,
    pub position: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Select {
    pub distinct: Distinct,
    pub items: Vec<SelectItem>,
    pub into: Option<SelectInto>,
    pub from: Vec<TableExpression>,
    /// AS OF SYSTEM TIME: read the past.
    pub as_of: Option<Expression>,
    pub filter: Option<Expression>,
    pub group_by: Vec<GroupItem>,
    pub group_distinct: bool,
    pub having: Option<Expression>,
    pub windows: Vec<(Identifier, Window)>,
    pub position: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Distinct {
    All,
    Distinct,
    On(Vec<Expression>),
}

/// SELECT ... INTO.
#[derive(Clone, Debug, PartialEq)]
pub struct SelectInto {
    pub name: ObjectName,
    pub persistence: super::Persistence,
    /// Where the clause stands in the text, INTO included.
    pub start: u32,
    pub end: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub struct SelectItem {
    pub expression: Expression,
    pub alias: Option<Identifier>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum GroupItem {
    Expression(Expression),
    Empty,
    Rollup(Vec<Expression>, u32),
    Cube(Vec<Expression>, u32),
    Sets(Vec<GroupItem>, u32),
}

#[derive(Clone, Debug, PartialEq)]
pub struct OrderItem {
    pub expression: Expression,
    pub direction: SortDirection,
    pub nulls: NullsOrder,
}

#[derive(Clone, Debug, PartialEq)]
pub enum SortDirection {
    Default,
    Ascending,
    Descending,
    Using(super::Operator),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NullsOrder {
    Default,
    First,
    Last,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LockStrength {
    KeyShare,
    Share,
    NoKeyUpdate,
    Update,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockWait {
    Block,
    Error,
    Skip,
}

/// FOR UPDATE and its relatives.
#[derive(Clone, Debug, PartialEq)]
pub struct Locking {
    pub strength: LockStrength,
    /// OF: empty for all.
    pub tables: Vec<ObjectName>,
    pub wait: LockWait,
    pub position: u32,
}

/// An item of FROM.
#[derive(Clone, Debug, PartialEq)]
pub enum TableExpression {
    Relation(Box<RelationReference>),
    Subquery { lateral: bool, query: Box<Query>, alias: Option<Alias>, position: u32 },
    Function(Box<TableFunction>),
    Join(Box<Join>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct RelationReference {
    pub name: ObjectName,
    /// ONLY: without what inherits from it.
    pub only: bool,
    pub alias: Option<Alias>,
    pub sample: Option<Sample>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Alias {
    pub name: Identifier,
    pub columns: Vec<Identifier>,
}

/// TABLESAMPLE.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub method: ObjectName,
    pub arguments: Vec<Expression>,
    pub repeatable: Option<Expression>,
}

/// A function, or ROWS FROM several.
#[derive(Clone, Debug, PartialEq)]
pub struct TableFunction {
    pub lateral: bool,
    pub functions: Vec<TableFunctionItem>,
    pub rows_from: bool,
    pub ordinality: bool,
    pub alias: Option<Alias>,
    pub position: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub struct TableFunctionItem {
    pub call: Expression,
    /// `AS (a int, b text)`.
    pub columns: Vec<(Identifier, TypeName)>,
}

impl TableFunctionItem {
    pub fn function(&self) -> Option<&FunctionCall> {
        match &self.call.kind {
            super::ExpressionKind::Function(call) => Some(call),
            _ => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinKind {
    Inner,
    Left,
    Right,
    Full,
    Cross,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Join {
    pub kind: JoinKind,
    pub left: TableExpression,
    pub right: TableExpression,
    pub condition: JoinCondition,
    pub alias: Option<Alias>,
    pub position: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub enum JoinCondition {
    /// CROSS JOIN.
    None,
    On(Expression),
    /// USING (columns) [AS alias].
    Using(Vec<Identifier>, Option<Identifier>),
    Natural,
}
