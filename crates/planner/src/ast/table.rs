//! CREATE TABLE, ALTER TABLE, CREATE INDEX.

use super::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    Permanent,
    Temporary,
    Unlogged,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnCommit {
    PreserveRows,
    DeleteRows,
    Drop,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CreateTable {
    pub name: ObjectName,
    pub if_not_exists: bool,
    pub persistence: Persistence,
    pub elements: Vec<TableElement>,
    pub inherits: Vec<ObjectName>,
    /// `OF type`.
    pub of_type: Option<TypeName>,
    /// `PARTITION OF parent`.
    pub partition_of: Option<ObjectName>,
    /// `PARTITION BY`: the method's name.
    pub partition_by: Option<Identifier>,
    pub options: Vec<CopyOption>,
    pub access_method: Option<Identifier>,
    pub on_commit: Option<OnCommit>,
    pub tablespace: Option<Identifier>,
    pub position: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub enum TableElement {
    Column(Box<ColumnDefinition>),
    Constraint(Box<TableConstraint>),
    Like(Box<LikeClause>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct LikeClause {
    pub table: ObjectName,
    /// (INCLUDING?, property), in order; property `all` covers every one.
    pub options: Vec<(bool, &'static str)>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ColumnDefinition {
    pub name: Identifier,
    /// `None` in CREATE TABLE ... OF and partitions.
    pub type_name: Option<TypeName>,
    pub collation: Option<ObjectName>,
    pub constraints: Vec<ColumnConstraint>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ColumnConstraint {
    pub name: Option<Identifier>,
    pub kind: ColumnConstraintKind,
    pub timing: ConstraintTiming,
    pub position: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ColumnConstraintKind {
    Null,
    NotNull,
    Default(Sourced<Expression>),
    Check {
        expression: Sourced<Expression>,
        no_inherit: bool,
    },
    Unique {
        nulls_not_distinct: bool,
        options: Vec<CopyOption>,
    },
    PrimaryKey {
        options: Vec<CopyOption>,
    },
    References(ForeignKeyReference),
    /// GENERATED ALWAYS AS (...) STORED.
    Generated(Sourced<Expression>),
    /// GENERATED ... AS IDENTITY (...).
    Identity {
        always: bool,
        options: Vec<SequenceOption>,
    },
}

/// DEFERRABLE, INITIALLY, NOT VALID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ConstraintTiming {
    pub deferrable: bool,
    pub initially_deferred: bool,
    pub not_valid: bool,
    pub no_inherit: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ForeignKeyReference {
    pub table: ObjectName,
    /// Empty: the primary key.
    pub columns: Vec<Identifier>,
    pub match_type: ForeignKeyMatch,
    pub on_delete: ReferentialAction,
    pub on_update: ReferentialAction,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForeignKeyMatch {
    Simple,
    Full,
    Partial,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ReferentialAction {
    NoAction,
    Restrict,
    Cascade,
    /// With the columns of PostgreSQL 15's `SET NULL (a, b)`.
    SetNull(Vec<Identifier>),
    SetDefault(Vec<Identifier>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct TableConstraint {
    pub name: Option<Identifier>,
    pub kind: TableConstraintKind,
    pub timing: ConstraintTiming,
    pub position: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub enum TableConstraintKind {
    Check(Sourced<Expression>),
    Unique {
        columns: Vec<Identifier>,
        include: Vec<Identifier>,
        nulls_not_distinct: bool,
        options: Vec<CopyOption>,
    },
    PrimaryKey {
        columns: Vec<Identifier>,
        include: Vec<Identifier>,
        options: Vec<CopyOption>,
    },
    /// `UNIQUE|PRIMARY KEY USING INDEX name` (ALTER TABLE).
    UsingIndex {
        primary_key: bool,
        index: Identifier,
    },
    ForeignKey {
        columns: Vec<Identifier>,
        reference: ForeignKeyReference,
    },
    Exclude,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CreateIndex {
    pub name: Option<Identifier>,
    pub table: RelationReference,
    pub unique: bool,
    pub concurrently: bool,
    pub if_not_exists: bool,
    pub method: Option<Identifier>,
    pub elements: Vec<IndexElement>,
    pub include: Vec<Identifier>,
    pub nulls_not_distinct: bool,
    pub options: Vec<CopyOption>,
    pub tablespace: Option<Identifier>,
    pub predicate: Option<Sourced<Expression>>,
    pub position: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub struct IndexElement {
    /// A plain column is `ExpressionKind::Column` with one part.
    pub expression: Sourced<Expression>,
    pub collation: Option<ObjectName>,
    pub operator_class: Option<ObjectName>,
    pub descending: bool,
    pub nulls: NullsOrder,
}

/// ALTER TABLE; the same for ALTER INDEX, VIEW, MATERIALIZED VIEW, FOREIGN TABLE where the actions are shared.
#[derive(Clone, Debug, PartialEq)]
pub struct AlterTable {
    pub table: RelationReference,
    pub if_exists: bool,
    pub actions: Vec<AlterTableAction>,
    /// What ALTER names (`Table`, `Index`, `View` ...).
    pub kind: ObjectKind,
}

#[derive(Clone, Debug, PartialEq)]
pub enum AlterTableAction {
    AddColumn {
        column: ColumnDefinition,
        if_not_exists: bool,
    },
    DropColumn {
        name: Identifier,
        if_exists: bool,
        cascade: bool,
    },
    SetDefault {
        column: Identifier,
        expression: Sourced<Expression>,
    },
    DropDefault {
        column: Identifier,
    },
    SetNotNull {
        column: Identifier,
    },
    DropNotNull {
        column: Identifier,
    },
    DropExpression {
        column: Identifier,
        if_exists: bool,
    },
    AddIdentity {
        column: Identifier,
        always: bool,
        options: Vec<SequenceOption>,
    },
    /// `SET GENERATED`, `SET sequence option`, `RESTART`.
    AlterIdentity {
        column: Identifier,
        always: Option<bool>,
        options: Vec<SequenceOption>,
    },
    DropIdentity {
        column: Identifier,
        if_exists: bool,
    },
    AlterColumnType {
        column: Identifier,
        type_name: TypeName,
        collation: Option<ObjectName>,
        using: Option<Sourced<Expression>>,
    },
    SetStatistics {
        column: Identifier,
        target: i32,
    },
    SetStorage {
        column: Identifier,
        storage: Identifier,
    },
    AddConstraint(Box<TableConstraint>),
    AlterConstraint {
        name: Identifier,
        timing: ConstraintTiming,
    },
    ValidateConstraint {
        name: Identifier,
    },
    DropConstraint {
        name: Identifier,
        if_exists: bool,
        cascade: bool,
    },
    SetOptions(Vec<CopyOption>),
    ResetOptions(Vec<CopyOption>),
    OwnerTo(RoleName),
    SetTablespace(Identifier),
    SetLogged(bool),
    RowLevelSecurity(&'static str),
    EnableTrigger {
        name: Option<Identifier>,
        enable: bool,
    },
    /// Split ranges by hand: the key values where a range begins.
    SplitAt(Box<Query>),
    /// Undo splits by hand, `None` for all.
    UnsplitAt(Option<Box<Query>>),
    /// Grammar that nothing here serves: a noun phrase for 0A000.
    Unsupported(Box<str>),
}
