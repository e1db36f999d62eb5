//! INSERT, UPDATE, DELETE, MERGE, COPY, TRUNCATE, and what wraps a query (EXPLAIN, CREATE TABLE AS).

use super::*;

#[derive(Clone, Debug, PartialEq)]
pub struct Insert {
    pub with: Option<With>,
    pub table: ObjectName,
    pub alias: Option<Identifier>,
    pub columns: Vec<InsertColumn>,
    pub overriding: Option<Overriding>,
    /// `None`: DEFAULT VALUES.
    pub source: Option<Query>,
    pub on_conflict: Option<OnConflict>,
    pub returning: Vec<SelectItem>,
    pub position: u32,
}

/// A column to assign to: `a`, `a.field`, `a[1]`.
#[derive(Clone, Debug, PartialEq)]
pub struct InsertColumn {
    pub name: Identifier,
    pub indirection: Vec<Indirection>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Indirection {
    Field(Identifier),
    Subscript(Subscript),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overriding {
    User,
    System,
}

#[derive(Clone, Debug, PartialEq)]
pub struct OnConflict {
    pub target: Option<ConflictTarget>,
    pub action: ConflictAction,
    pub position: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ConflictTarget {
    /// (columns and expressions) [WHERE predicate].
    Columns {
        elements: Vec<IndexElement>,
        predicate: Option<Expression>,
    },
    Constraint(Identifier),
}

#[derive(Clone, Debug, PartialEq)]
pub enum ConflictAction {
    Nothing,
    Update { assignments: Vec<Assignment>, filter: Option<Expression> },
}

/// `a = 1`, `(a, b) = (1, 2)`, `(a, b) = (SELECT ...)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    pub targets: Vec<InsertColumn>,
    /// Written with parentheses: the value is a row.
    pub multiple: bool,
    pub value: Expression,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    pub with: Option<With>,
    pub table: RelationReference,
    pub assignments: Vec<Assignment>,
    pub from: Vec<TableExpression>,
    pub filter: Option<Expression>,
    pub returning: Vec<SelectItem>,
    pub position: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Delete {
    pub with: Option<With>,
    pub table: RelationReference,
    pub using: Vec<TableExpression>,
    pub filter: Option<Expression>,
    pub returning: Vec<SelectItem>,
    pub position: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Merge {
    pub with: Option<With>,
    pub table: RelationReference,
    pub source: TableExpression,
    pub condition: Expression,
    pub arms: Vec<MergeArm>,
    pub position: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub struct MergeArm {
    pub matched: bool,
    pub condition: Option<Expression>,
    pub action: MergeAction,
}

#[derive(Clone, Debug, PartialEq)]
pub enum MergeAction {
    Nothing,
    Delete,
    Update(Vec<Assignment>),
    Insert { columns: Vec<InsertColumn>, overriding: Option<Overriding>, values: Option<Vec<Expression>> },
}

#[derive(Clone, Debug, PartialEq)]
pub struct CopyStatement {
    pub source: CopySource,
    pub from: bool,
    pub endpoint: CopyEndpoint,
    pub options: Vec<CopyOption>,
    pub filter: Option<Sourced<Expression>>,
    pub position: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub enum CopySource {
    Table { name: ObjectName, columns: Vec<Identifier> },
    Query(Box<Statement>),
}

#[derive(Clone, Debug, PartialEq)]
pub enum CopyEndpoint {
    /// STDIN or STDOUT.
    Client,
    File(Box<str>),
    Program(Box<str>),
}

/// An option in either syntax under its modern name (`format`, `delimiter`, `null`, `header` ...).
#[derive(Clone, Debug, PartialEq)]
pub struct CopyOption {
    pub name: Box<str>,
    pub value: OptionValue,
    pub position: u32,
}

/// The value of a generic option (COPY, EXPLAIN, VACUUM, WITH (...)).
#[derive(Clone, Debug, PartialEq)]
pub enum OptionValue {
    /// Name alone.
    None,
    /// A word or string.
    Text(Box<str>),
    /// A number as written, with its sign.
    Number(Box<str>),
    List(Vec<Box<str>>),
    /// `*`.
    Star,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Truncate {
    pub tables: Vec<RelationReference>,
    pub restart_identity: bool,
    pub cascade: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Explain {
    pub options: Vec<CopyOption>,
    pub statement: Statement,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CreateTableAs {
    pub name: ObjectName,
    pub columns: Vec<Identifier>,
    pub persistence: Persistence,
    pub if_not_exists: bool,
    pub on_commit: Option<OnCommit>,
    pub options: Vec<CopyOption>,
    /// A query or EXECUTE.
    pub statement: Sourced<Statement>,
    pub with_data: bool,
    pub materialized_view: bool,
}
