//! Transactions, settings, prepared statements, cursors and the other statements of a session.

use super::*;

#[derive(Clone, Debug, PartialEq)]
pub enum Transaction {
    /// BEGIN or START TRANSACTION.
    Begin {
        modes: Vec<TransactionMode>,
        start: bool,
    },
    Commit {
        chain: bool,
    },
    Rollback {
        chain: bool,
    },
    Savepoint(Identifier),
    Release(Identifier),
    RollbackTo(Identifier),
    PrepareTransaction(Box<str>),
    CommitPrepared(Box<str>),
    RollbackPrepared(Box<str>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IsolationLevel {
    ReadUncommitted,
    ReadCommitted,
    RepeatableRead,
    Serializable,
}

#[derive(Clone, Debug, PartialEq)]
pub enum TransactionMode {
    Isolation(IsolationLevel),
    ReadOnly(bool),
    Deferrable(bool),
    /// AS OF SYSTEM TIME.
    AsOf(Expression),
}

/// SET, RESET and what is spelled as a setting.
#[derive(Clone, Debug, PartialEq)]
pub struct SetVariable {
    pub scope: SetScope,
    pub action: SetAction,
    pub position: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetScope {
    Session,
    Local,
}

#[derive(Clone, Debug, PartialEq)]
pub enum SetAction {
    /// SET name = values; `name` is lower case, with dots.
    Set {
        name: Box<str>,
        values: Vec<SetValue>,
    },
    /// SET name TO DEFAULT, RESET name.
    Default {
        name: Box<str>,
    },
    /// SET name FROM CURRENT.
    FromCurrent {
        name: Box<str>,
    },
    ResetAll,
    /// SET TRANSACTION.
    Transaction(Vec<TransactionMode>),
    /// SET SESSION CHARACTERISTICS AS TRANSACTION.
    Characteristics(Vec<TransactionMode>),
    TransactionSnapshot(Box<str>),
    /// SET ROLE; `None`: NONE.
    Role(Option<Box<str>>),
    /// SET SESSION AUTHORIZATION; `None`: DEFAULT.
    SessionAuthorization(Option<Box<str>>),
    /// SET TIME ZONE; `None`: LOCAL or DEFAULT.
    TimeZone(Option<TimeZoneValue>),
}

#[derive(Clone, Debug, PartialEq)]
pub enum TimeZoneValue {
    Name(Box<str>),
    /// Hours east of UTC, as written.
    Hours(Box<str>),
    /// INTERVAL '...'.
    Interval(Box<str>),
}

#[derive(Clone, Debug, PartialEq)]
pub enum SetValue {
    /// A word or string.
    Text(Box<str>),
    /// A number as written, with its sign.
    Number(Box<str>),
}

impl SetValue {
    pub fn text(&self) -> &str {
        match self {
            SetValue::Text(text) | SetValue::Number(text) => text,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Show {
    Name(Box<str>),
    All,
    /// SHOW CLUSTER SETTING.
    ClusterSetting(Box<str>),
    /// SHOW CLUSTER SETTINGS.
    ClusterSettings,
}

/// SET CLUSTER SETTING, RESET CLUSTER SETTING, ALTER SYSTEM.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterSetting {
    /// `None`: all of them, which are reset.
    pub name: Option<Box<str>>,
    /// `None`: back to the default.
    pub values: Option<Vec<SetValue>>,
    /// ALTER SYSTEM, which PostgreSQL does not run in a transaction block.
    pub is_system: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct SetConstraints {
    /// Empty: ALL.
    pub names: Vec<ObjectName>,
    pub deferred: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Prepare {
    pub name: Identifier,
    pub types: Vec<TypeName>,
    pub statement: Sourced<Statement>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Execute {
    pub name: Identifier,
    pub arguments: Vec<Expression>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct DeclareCursor {
    pub name: Identifier,
    pub binary: bool,
    pub insensitive: Option<bool>,
    pub scroll: Option<bool>,
    pub hold: bool,
    pub query: Statement,
}

/// FETCH and MOVE.
#[derive(Clone, Debug, PartialEq)]
pub struct Fetch {
    pub cursor: Identifier,
    pub direction: FetchDirection,
    pub move_only: bool,
}

/// `i64::MAX` stands for ALL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchDirection {
    Forward(i64),
    Backward(i64),
    Absolute(i64),
    Relative(i64),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Notify {
    pub channel: Identifier,
    pub payload: Option<Box<str>>,
}

/// ANALYZE and VACUUM.
#[derive(Clone, Debug, PartialEq)]
pub struct Analyze {
    pub options: Vec<CopyOption>,
    pub tables: Vec<(ObjectName, Vec<Identifier>)>,
}

/// REINDEX: an index, the indexes of a table, of a schema, of the database, of the system's tables.
#[derive(Clone, Debug, PartialEq)]
pub struct Reindex {
    pub target: ReindexTarget,
    pub name: ObjectName,
    pub concurrently: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReindexTarget {
    Index,
    Table,
    Schema,
    Database,
    System,
}

/// CLUSTER table USING index; without a table, all that have been clustered before.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    pub table: Option<ObjectName>,
    pub index: Option<Identifier>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiscardTarget {
    All,
    Plans,
    Sequences,
    Temporary,
}

#[derive(Clone, Debug, PartialEq)]
pub struct LockTable {
    pub tables: Vec<RelationReference>,
    /// As written: `access exclusive` ...
    pub mode: Box<str>,
    pub nowait: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct DoBlock {
    pub language: Option<Box<str>>,
    pub body: Box<str>,
}
