//! Definition of everything that is not a table: sequences, schemas, databases, views, types, functions, roles, privileges.

use super::*;

/// Kinds of catalog objects, as DROP, COMMENT, ALTER and GRANT name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ObjectKind {
    Table,
    ForeignTable,
    Index,
    Sequence,
    View,
    MaterializedView,
    Column,
    Constraint,
    DomainConstraint,
    Schema,
    Database,
    Type,
    Domain,
    Function,
    Procedure,
    Routine,
    Aggregate,
    Operator,
    OperatorClass,
    OperatorFamily,
    Cast,
    Trigger,
    EventTrigger,
    Rule,
    Policy,
    Role,
    Extension,
    Collation,
    Conversion,
    Language,
    LargeObject,
    Tablespace,
    AccessMethod,
    Publication,
    Subscription,
    Server,
    ForeignDataWrapper,
    UserMapping,
    Statistics,
    TextSearchConfiguration,
    TextSearchDictionary,
    TextSearchParser,
    TextSearchTemplate,
    Transform,
    Parameter,
}

impl ObjectKind {
    /// As error messages and DROP write it.
    pub fn noun(self) -> &'static str {
        use ObjectKind::*;
        match self {
            Table => "table",
            ForeignTable => "foreign table",
            Index => "index",
            Sequence => "sequence",
            View => "view",
            MaterializedView => "materialized view",
            Column => "column",
            Constraint => "constraint",
            DomainConstraint => "domain constraint",
            Schema => "schema",
            Database => "database",
            Type => "type",
            Domain => "domain",
            Function => "function",
            Procedure => "procedure",
            Routine => "routine",
            Aggregate => "aggregate",
            Operator => "operator",
            OperatorClass => "operator class",
            OperatorFamily => "operator family",
            Cast => "cast",
            Trigger => "trigger",
            EventTrigger => "event trigger",
            Rule => "rule",
            Policy => "policy",
            Role => "role",
            Extension => "extension",
            Collation => "collation",
            Conversion => "conversion",
            Language => "language",
            LargeObject => "large object",
            Tablespace => "tablespace",
            AccessMethod => "access method",
            Publication => "publication",
            Subscription => "subscription",
            Server => "server",
            ForeignDataWrapper => "foreign-data wrapper",
            UserMapping => "user mapping",
            Statistics => "statistics object",
            TextSearchConfiguration => "text search configuration",
            TextSearchDictionary => "text search dictionary",
            TextSearchParser => "text search parser",
            TextSearchTemplate => "text search template",
            Transform => "transform",
            Parameter => "parameter",
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum SequenceOption {
    As(TypeName),
    Increment(i64),
    /// `None`: NO MINVALUE.
    Minimum(Option<i64>),
    Maximum(Option<i64>),
    Start(i64),
    /// RESTART [WITH n].
    Restart(Option<i64>),
    Cache(i64),
    Cycle(bool),
    /// `None`: OWNED BY NONE.
    OwnedBy(Option<ObjectName>),
    SequenceName(ObjectName),
    Logged(bool),
}

#[derive(Clone, Debug, PartialEq)]
pub struct CreateSequence {
    pub name: ObjectName,
    pub if_not_exists: bool,
    pub persistence: Persistence,
    pub options: Vec<SequenceOption>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct AlterSequence {
    pub name: ObjectName,
    pub if_exists: bool,
    pub options: Vec<SequenceOption>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CreateSchema {
    /// `None` with AUTHORIZATION alone: the role's name.
    pub name: Option<Identifier>,
    pub if_not_exists: bool,
    pub authorization: Option<RoleName>,
    pub elements: Vec<Statement>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CreateDatabase {
    pub name: Identifier,
    pub options: Vec<CopyOption>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct AlterDatabase {
    pub name: Identifier,
    pub action: AlterDatabaseAction,
}

#[derive(Clone, Debug, PartialEq)]
pub enum AlterDatabaseAction {
    Options(Vec<CopyOption>),
    Set(SetVariable),
    RefreshCollation,
}

#[derive(Clone, Debug, PartialEq)]
pub struct DropDatabase {
    pub name: Identifier,
    pub if_exists: bool,
    pub force: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CreateView {
    pub name: ObjectName,
    pub or_replace: bool,
    pub persistence: Persistence,
    pub recursive: bool,
    pub columns: Vec<Identifier>,
    pub options: Vec<CopyOption>,
    pub query: Sourced<Statement>,
    pub check_option: Option<CheckOption>,
    pub position: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckOption {
    Local,
    Cascaded,
}

#[derive(Clone, Debug, PartialEq)]
pub struct RefreshMaterializedView {
    pub name: ObjectName,
    pub concurrently: bool,
    pub with_data: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CreateType {
    pub name: ObjectName,
    pub definition: TypeDefinition,
}

#[derive(Clone, Debug, PartialEq)]
pub enum TypeDefinition {
    Enum(Vec<(Box<str>, u32)>),
    Composite(Vec<ColumnDefinition>),
    Range,
    /// CREATE TYPE name (INPUT = ...), or a shell.
    Base,
}

#[derive(Clone, Debug, PartialEq)]
pub struct AlterType {
    pub name: ObjectName,
    pub action: AlterTypeAction,
}

#[derive(Clone, Debug, PartialEq)]
pub enum AlterTypeAction {
    AddValue { label: Box<str>, if_not_exists: bool, neighbour: Option<(bool, Box<str>)> },
    RenameValue { from: Box<str>, to: Box<str> },
    AddAttribute(ColumnDefinition),
    DropAttribute { name: Identifier, if_exists: bool, cascade: bool },
    AlterAttribute { name: Identifier, type_name: TypeName },
    SetProperties,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CreateDomain {
    pub name: ObjectName,
    pub base: TypeName,
    pub collation: Option<ObjectName>,
    pub constraints: Vec<ColumnConstraint>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct AlterDomain {
    pub name: ObjectName,
    pub action: AlterDomainAction,
}

#[derive(Clone, Debug, PartialEq)]
pub enum AlterDomainAction {
    SetDefault(Sourced<Expression>),
    DropDefault,
    SetNotNull,
    DropNotNull,
    AddConstraint(Box<TableConstraint>),
    DropConstraint { name: Identifier, if_exists: bool, cascade: bool },
    ValidateConstraint(Identifier),
}

/// ALTER FUNCTION, PROCEDURE or ROUTINE.
#[derive(Clone, Debug, PartialEq)]
pub struct AlterFunction {
    pub kind: ObjectKind,
    pub name: ObjectName,
    /// Argument types; `None` when not written.
    pub arguments: Option<Vec<TypeName>>,
    pub action: AlterFunctionAction,
}

#[derive(Clone, Debug, PartialEq)]
pub enum AlterFunctionAction {
    Rename(Identifier),
    SetSchema(Identifier),
    OwnerTo(RoleName),
    /// As in CREATE FUNCTION, lower case.
    Attributes(Vec<Box<str>>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct CreateFunction {
    pub name: ObjectName,
    pub or_replace: bool,
    pub procedure: bool,
    pub parameters: Vec<FunctionParameter>,
    pub returns: Option<FunctionReturns>,
    pub language: Option<Box<str>>,
    /// AS 'body' [, 'link symbol'].
    pub body: Vec<Box<str>>,
    /// The SQL-standard body was used.
    pub sql_body: bool,
    /// Other clauses by name: `immutable`, `strict`, `cost 100`.
    pub attributes: Vec<Box<str>>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct FunctionParameter {
    pub mode: ParameterMode,
    pub name: Option<Identifier>,
    pub type_name: TypeName,
    pub default: Option<Sourced<Expression>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterMode {
    In,
    Out,
    InOut,
    Variadic,
}

#[derive(Clone, Debug, PartialEq)]
pub enum FunctionReturns {
    Type(TypeName),
    Table(Vec<(Identifier, TypeName)>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct CreateTrigger {
    pub name: Identifier,
    pub or_replace: bool,
    pub constraint: bool,
    /// `before`, `after`, `instead of`.
    pub timing: &'static str,
    pub events: Vec<&'static str>,
    pub table: ObjectName,
    pub for_each_row: bool,
    pub condition: Option<Expression>,
    pub function: ObjectName,
    pub arguments: Vec<Box<str>>,
}

/// A role where `CURRENT_USER` and its like may stand.
#[derive(Clone, Debug, PartialEq)]
pub enum RoleName {
    Name(Identifier),
    CurrentUser,
    CurrentRole,
    SessionUser,
    Public,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CreateRole {
    pub name: RoleName,
    /// `user`, `role`, `group`: the default of LOGIN differs.
    pub statement: &'static str,
    pub options: Vec<RoleOption>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum RoleOption {
    Superuser(bool),
    CreateDatabase(bool),
    CreateRole(bool),
    Inherit(bool),
    Login(bool),
    Replication(bool),
    BypassRowSecurity(bool),
    ConnectionLimit(i32),
    /// `None`: PASSWORD NULL.
    Password(Option<Box<str>>),
    ValidUntil(Box<str>),
    InRole(Vec<RoleName>),
    Role(Vec<RoleName>),
    Admin(Vec<RoleName>),
    SystemId,
}

#[derive(Clone, Debug, PartialEq)]
pub struct AlterRole {
    /// `None`: ALL.
    pub name: Option<RoleName>,
    pub action: AlterRoleAction,
}

#[derive(Clone, Debug, PartialEq)]
pub enum AlterRoleAction {
    Options(Vec<RoleOption>),
    Set {
        database: Option<Identifier>,
        variable: SetVariable,
    },
    /// ALTER GROUP ... ADD | DROP USER.
    Members {
        add: bool,
        members: Vec<RoleName>,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub struct DropRole {
    pub names: Vec<RoleName>,
    pub if_exists: bool,
}

/// GRANT and REVOKE on objects.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    pub grant: bool,
    /// REVOKE GRANT OPTION FOR.
    pub grant_option_for: bool,
    /// Empty: ALL PRIVILEGES.
    pub privileges: Vec<Privilege>,
    pub target: GrantTarget,
    pub grantees: Vec<RoleName>,
    pub with_grant_option: bool,
    pub cascade: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Privilege {
    pub name: Box<str>,
    pub columns: Vec<Identifier>,
    pub position: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub enum GrantTarget {
    Objects { kind: ObjectKind, names: Vec<ObjectName> },
    AllInSchema { kind: ObjectKind, schemas: Vec<Identifier> },
}

/// ALTER DEFAULT PRIVILEGES. The grant's target is [`GrantTarget::AllInSchema`] without schemas: they stand here.
#[derive(Clone, Debug, PartialEq)]
pub struct AlterDefaultPrivileges {
    /// Empty: the current role.
    pub roles: Vec<RoleName>,
    /// Empty: everywhere in the database.
    pub schemas: Vec<Identifier>,
    pub grant: Grant,
}

/// DROP OWNED and REASSIGN OWNED.
#[derive(Clone, Debug, PartialEq)]
pub struct Owned {
    pub roles: Vec<RoleName>,
    /// The new owner; `None`: dropped.
    pub new_owner: Option<RoleName>,
    pub cascade: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct GrantRole {
    pub grant: bool,
    pub roles: Vec<Identifier>,
    pub members: Vec<RoleName>,
    /// WITH ADMIN OPTION, or ADMIN OPTION FOR.
    pub admin_option: bool,
    pub cascade: bool,
}

/// COMMENT ON.
#[derive(Clone, Debug, PartialEq)]
pub struct Comment {
    pub kind: ObjectKind,
    /// Of a function: argument types; `None` when not written.
    pub arguments: Option<Vec<TypeName>>,
    /// Of a column: table and column; of a constraint, trigger or rule: its name, then `on`.
    pub name: ObjectName,
    pub on: Option<ObjectName>,
    pub text: Option<Box<str>>,
}

/// DROP of anything but databases and roles.
#[derive(Clone, Debug, PartialEq)]
pub struct DropStatement {
    pub kind: ObjectKind,
    pub names: Vec<ObjectName>,
    /// Of triggers, rules, policies: the table.
    pub on: Option<ObjectName>,
    /// Of functions: argument types, one list for each name; `None` when not written.
    pub arguments: Vec<Option<Vec<TypeName>>>,
    pub if_exists: bool,
    pub cascade: bool,
    pub concurrently: bool,
}

/// ALTER ... RENAME of any kind. A column, constraint or attribute has its owner in `name` and itself in `part`.
#[derive(Clone, Debug, PartialEq)]
pub struct Rename {
    pub kind: ObjectKind,
    /// What the statement names before RENAME (`Table` for a column of a table).
    pub owner_kind: ObjectKind,
    pub name: ObjectName,
    pub part: Option<Identifier>,
    pub new_name: Identifier,
    pub if_exists: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct SetSchema {
    pub kind: ObjectKind,
    pub name: ObjectName,
    pub schema: Identifier,
    pub if_exists: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct SetOwner {
    pub kind: ObjectKind,
    pub name: ObjectName,
    pub owner: RoleName,
    pub if_exists: bool,
}
