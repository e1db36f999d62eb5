//! The abstract syntax of a statement: what the parser builds and the binder reads.
//!
//! Compact and owned (a prepared statement keeps it), with **byte positions** into the statement text, from 0, wherever
//! PostgreSQL reports a position in an error. Nothing here is resolved: names are as written, folded to lower case and
//! truncated to 63 bytes; special syntax of functions (`SUBSTRING(x FROM 2)`) is already the function call it stands for.
//!
//! Invariants:
//! - The height of a tree (expressions, queries, joins together) is at most [`crate::parser::DEPTH_MAX`], so that
//!   recursion over it, and dropping it, fits a thread's stack.
//! - `AND` and `OR` chains are flat lists: a thousand conditions are one node.
//! - [`ObjectName`] has at least one part.

mod expression;
mod modify;
mod object;
mod query;
mod session;
mod table;

pub use expression::*;
pub use modify::*;
pub use object::*;
pub use query::*;
pub use session::*;
pub use table::*;

use std::fmt;

/// A name as written: folded, truncated, without its quotes.
#[derive(Clone, Debug, PartialEq)]
pub struct Identifier {
    pub name: Box<str>,
    pub position: u32,
}

impl Identifier {
    pub fn new(name: impl Into<Box<str>>, position: u32) -> Self {
        Identifier { name: name.into(), position }
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// A possibly qualified name: `[[database .] schema .] name`.
#[derive(Clone, Debug, PartialEq)]
pub struct ObjectName {
    pub parts: Vec<Identifier>,
}

impl ObjectName {
    pub fn single(name: Identifier) -> Self {
        ObjectName { parts: vec![name] }
    }

    /// The last part: the object's own name.
    pub fn last(&self) -> &Identifier {
        self.parts.last().expect("an object name has at least one part")
    }

    pub fn name(&self) -> &str {
        &self.last().name
    }

    /// The part before the last.
    pub fn schema(&self) -> Option<&str> {
        self.parts.len().checked_sub(2).map(|index| &*self.parts[index].name)
    }

    /// The part two before the last.
    pub fn database(&self) -> Option<&str> {
        self.parts.len().checked_sub(3).map(|index| &*self.parts[index].name)
    }

    /// Where the name begins.
    pub fn position(&self) -> u32 {
        self.parts.first().map_or(0, |part| part.position)
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.parts.iter().enumerate() {
            if index > 0 {
                f.write_str(".")?;
            }
            f.write_str(&part.name)?;
        }
        Ok(())
    }
}

/// A part of the statement kept as text as well (defaults, checks, view queries: the catalog stores text).
#[derive(Clone, Debug, PartialEq)]
pub struct Sourced<T> {
    pub node: T,
    pub text: Box<str>,
}

/// One statement of a query string.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    pub kind: StatementKind,
    /// Byte span in the query string, without the semicolon. Positions in the tree count from the query string's start.
    pub start: u32,
    pub end: u32,
    /// The highest `$n` in it; 0 for none.
    pub parameter_count: u16,
}

/// What a statement is. Payloads are boxed: the enum stays two words.
#[derive(Clone, Debug, PartialEq)]
pub enum StatementKind {
    // Queries and data modification: bound and planned here.
    Select(Box<Query>),
    Insert(Box<Insert>),
    Update(Box<Update>),
    Delete(Box<Delete>),
    Merge(Box<Merge>),
    Copy(Box<CopyStatement>),
    Explain(Box<Explain>),
    CreateTableAs(Box<CreateTableAs>),

    // Definition of objects: handed on as they are.
    CreateTable(Box<CreateTable>),
    AlterTable(Box<AlterTable>),
    CreateIndex(Box<CreateIndex>),
    AlterIndex(Box<AlterTable>),
    CreateSequence(Box<CreateSequence>),
    AlterSequence(Box<AlterSequence>),
    CreateSchema(Box<CreateSchema>),
    CreateDatabase(Box<CreateDatabase>),
    AlterDatabase(Box<AlterDatabase>),
    AlterFunction(Box<AlterFunction>),
    DropDatabase(Box<DropDatabase>),
    CreateView(Box<CreateView>),
    AlterView(Box<AlterTable>),
    RefreshMaterializedView(Box<RefreshMaterializedView>),
    CreateType(Box<CreateType>),
    AlterType(Box<AlterType>),
    CreateDomain(Box<CreateDomain>),
    AlterDomain(Box<AlterDomain>),
    CreateFunction(Box<CreateFunction>),
    CreateTrigger(Box<CreateTrigger>),
    CreateRole(Box<CreateRole>),
    AlterRole(Box<AlterRole>),
    DropRole(Box<DropRole>),
    Grant(Box<Grant>),
    GrantRole(Box<GrantRole>),
    AlterDefaultPrivileges(Box<AlterDefaultPrivileges>),
    Owned(Box<Owned>),
    Comment(Box<Comment>),
    Drop(Box<DropStatement>),
    Rename(Box<Rename>),
    SetSchema(Box<SetSchema>),
    SetOwner(Box<SetOwner>),
    Truncate(Box<Truncate>),

    // Session and transaction control.
    Transaction(Box<Transaction>),
    SetVariable(Box<SetVariable>),
    Show(Box<Show>),
    ClusterSetting(Box<ClusterSetting>),
    SetConstraints(Box<SetConstraints>),
    Prepare(Box<Prepare>),
    Execute(Box<Execute>),
    Deallocate(Option<Identifier>),
    DeclareCursor(Box<DeclareCursor>),
    Fetch(Box<Fetch>),
    CloseCursor(Option<Identifier>),
    Listen(Identifier),
    Unlisten(Option<Identifier>),
    Notify(Box<Notify>),
    Analyze(Box<Analyze>),
    Vacuum(Box<Analyze>),
    Reindex(Box<Reindex>),
    Cluster(Box<Cluster>),
    Discard(DiscardTarget),
    LockTable(Box<LockTable>),
    Do(Box<DoBlock>),
    Call(Box<FunctionCall>),
    Checkpoint,

    /// Grammar that PostgreSQL has and nothing here serves: a noun phrase for 0A000.
    Unsupported(Box<str>),
}

impl StatementKind {
    /// Reads or changes rows: planned by this crate rather than handed on.
    pub fn is_plannable(&self) -> bool {
        matches!(
            self,
            StatementKind::Select(_)
                | StatementKind::Insert(_)
                | StatementKind::Update(_)
                | StatementKind::Delete(_)
                | StatementKind::Merge(_)
        )
    }

    /// AS OF SYSTEM TIME of a query as a whole: of its SELECT, or of one of those that are united. Not of subqueries.
    pub fn as_of(&self) -> Option<&Expression> {
        fn of(query: &Query) -> Option<&Expression> {
            match &query.body {
                QueryBody::Select(select) => select.as_of.as_ref(),
                QueryBody::SetOperation(operation) => of(&operation.left).or_else(|| of(&operation.right)),
                QueryBody::Values(_) => None,
            }
        }
        match self {
            StatementKind::Select(query) => of(query),
            _ => None,
        }
    }

    /// The query within a statement that is not one itself: what its parameters are parameters of.
    pub fn contained(&self) -> Option<&Statement> {
        let statement = match self {
            StatementKind::DeclareCursor(declare) => &declare.query,
            StatementKind::Explain(explain) => &explain.statement,
            StatementKind::CreateTableAs(create) => &create.statement.node,
            _ => return None,
        };
        statement.kind.is_plannable().then_some(statement)
    }
}
