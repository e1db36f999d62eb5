//! Expressions.

use super::{Identifier, ObjectName, OrderItem, Query};
use std::borrow::Cow;

/// An expression. `position` is where PostgreSQL points when it complains about this node: the operator of an operation,
/// the first character of anything else.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression {
    pub position: u32,
    pub kind: ExpressionKind,
}

impl Expression {
    pub fn new(position: u32, kind: ExpressionKind) -> Self {
        Expression { position, kind }
    }

    pub fn string(position: u32, value: impl Into<Box<str>>) -> Self {
        Expression::new(position, ExpressionKind::Literal(Literal::String(value.into())))
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum ExpressionKind {
    Literal(Literal),
    /// `$n`, from 1.
    Parameter(u16),
    /// `a`, `t.a`, `s.t.a`, `d.s.t.a`.
    Column(Vec<Identifier>),
    /// `*`, `t.*`, `s.t.*`.
    Wildcard(Vec<Identifier>),
    /// `(row).field`.
    Field(Box<Expression>, Identifier),
    /// `(row).*`.
    FieldWildcard(Box<Expression>),
    Subscript(Box<Expression>, Vec<Subscript>),
    Unary(Operator, Box<Expression>),
    Binary(Operator, Box<Expression>, Box<Expression>),
    /// `left operator ANY|ALL (array or query)`.
    Quantified(Box<Quantified>),
    And(Vec<Expression>),
    Or(Vec<Expression>),
    Not(Box<Expression>),
    IsNull {
        operand: Box<Expression>,
        negated: bool,
    },
    IsTruth {
        operand: Box<Expression>,
        truth: Truth,
        negated: bool,
    },
    IsDistinct {
        left: Box<Expression>,
        right: Box<Expression>,
        negated: bool,
    },
    IsNormalized {
        operand: Box<Expression>,
        form: &'static str,
        negated: bool,
    },
    Between(Box<Between>),
    InList {
        operand: Box<Expression>,
        list: Vec<Expression>,
        negated: bool,
    },
    InQuery {
        operand: Box<Expression>,
        query: Box<Query>,
        negated: bool,
    },
    Like(Box<Like>),
    Case(Box<Case>),
    Cast(Box<Expression>, Box<TypeName>),
    Collate(Box<Expression>, ObjectName),
    Function(Box<FunctionCall>),
    Coalesce(Vec<Expression>),
    Greatest(Vec<Expression>),
    Least(Vec<Expression>),
    NullIf(Box<Expression>, Box<Expression>),
    /// CURRENT_DATE and its relatives.
    SessionValue(SessionValue),
    Exists(Box<Query>),
    Subquery(Box<Query>),
    ArraySubquery(Box<Query>),
    Array(Vec<Expression>),
    /// `ROW(...)` or `(a, b)`.
    Row {
        fields: Vec<Expression>,
        explicit: bool,
    },
    Grouping(Vec<Expression>),
    CurrentOf(Identifier),
    /// `DEFAULT` in a VALUES list or SET clause.
    Default,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    Null,
    Boolean(bool),
    /// Digits that fit int4.
    Integer(i32),
    /// Any other number, as written.
    Number(Box<str>),
    /// A string constant, unescaped: of type unknown until its context is known.
    String(Box<str>),
    /// `B'0101'`: the digits.
    Bits(Box<str>),
    /// `X'1F'`: the digits.
    HexBits(Box<str>),
}

/// An operator's name, `OPERATOR(schema.name)` included.
#[derive(Clone, Debug, PartialEq)]
pub struct Operator {
    pub schema: Option<Box<str>>,
    pub name: Cow<'static, str>,
}

impl Operator {
    pub const fn plain(name: &'static str) -> Self {
        Operator { schema: None, name: Cow::Borrowed(name) }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Subscript {
    Index(Expression),
    Slice(Option<Expression>, Option<Expression>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantifier {
    Any,
    All,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Quantified {
    pub left: Expression,
    pub operator: Operator,
    pub quantifier: Quantifier,
    pub right: QuantifiedOperand,
}

#[derive(Clone, Debug, PartialEq)]
pub enum QuantifiedOperand {
    Array(Expression),
    Query(Box<Query>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    True,
    False,
    Unknown,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Between {
    pub operand: Expression,
    pub low: Expression,
    pub high: Expression,
    pub symmetric: bool,
    pub negated: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LikeKind {
    Like,
    ILike,
    SimilarTo,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Like {
    pub kind: LikeKind,
    pub operand: Expression,
    pub pattern: Expression,
    pub escape: Option<Expression>,
    pub negated: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    pub operand: Option<Expression>,
    pub arms: Vec<CaseArm>,
    pub otherwise: Option<Expression>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CaseArm {
    pub condition: Expression,
    pub result: Expression,
    pub position: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub struct FunctionCall {
    pub name: ObjectName,
    pub position: u32,
    pub arguments: Vec<Argument>,
    /// `f(*)`.
    pub star: bool,
    pub distinct: bool,
    /// The last argument is marked VARIADIC.
    pub variadic: bool,
    /// ORDER BY within the argument list, or of WITHIN GROUP.
    pub order_by: Vec<OrderItem>,
    pub within_group: bool,
    pub filter: Option<Expression>,
    pub over: Option<Over>,
    /// Written in the standard's own syntax (`EXTRACT(a FROM b)`): resolved in pg_catalog alone.
    pub special_syntax: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Argument {
    /// `name => value`.
    pub name: Option<Identifier>,
    pub value: Expression,
}

impl From<Expression> for Argument {
    fn from(value: Expression) -> Self {
        Argument { name: None, value }
    }
}

/// What follows OVER.
#[derive(Clone, Debug, PartialEq)]
pub enum Over {
    Name(Identifier),
    Window(Box<Window>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// The window that this one is built on.
    pub base: Option<Identifier>,
    pub partition_by: Vec<Expression>,
    pub order_by: Vec<OrderItem>,
    pub frame: Option<Frame>,
    pub position: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    pub unit: FrameUnit,
    pub start: FrameBound,
    pub end: FrameBound,
    pub exclusion: FrameExclusion,
    pub position: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameUnit {
    Rows,
    Range,
    Groups,
}

#[derive(Clone, Debug, PartialEq)]
pub enum FrameBound {
    UnboundedPreceding,
    Preceding(Box<Expression>),
    CurrentRow,
    Following(Box<Expression>),
    UnboundedFollowing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameExclusion {
    NoOthers,
    CurrentRow,
    Group,
    Ties,
}

/// Values that stand without parentheses. The number is the precision asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionValue {
    CurrentDate,
    CurrentTime(Option<i32>),
    CurrentTimestamp(Option<i32>),
    LocalTime(Option<i32>),
    LocalTimestamp(Option<i32>),
    CurrentRole,
    CurrentUser,
    SessionUser,
    User,
    CurrentCatalog,
    CurrentSchema,
}

impl std::fmt::Display for SessionValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (word, precision) = match self {
            SessionValue::CurrentDate => ("CURRENT_DATE", None),
            SessionValue::CurrentTime(precision) => ("CURRENT_TIME", *precision),
            SessionValue::CurrentTimestamp(precision) => ("CURRENT_TIMESTAMP", *precision),
            SessionValue::LocalTime(precision) => ("LOCALTIME", *precision),
            SessionValue::LocalTimestamp(precision) => ("LOCALTIMESTAMP", *precision),
            SessionValue::CurrentRole => ("CURRENT_ROLE", None),
            SessionValue::CurrentUser => ("CURRENT_USER", None),
            SessionValue::SessionUser => ("SESSION_USER", None),
            SessionValue::User => ("USER", None),
            SessionValue::CurrentCatalog => ("CURRENT_CATALOG", None),
            SessionValue::CurrentSchema => ("CURRENT_SCHEMA", None),
        };
        match precision {
            None => f.write_str(word),
            Some(precision) => write!(f, "{word}({precision})"),
        }
    }
}

/// A type as written. Built-in spellings are already pg_type's (`integer` is `int4`) with `system` set.
#[derive(Clone, Debug, PartialEq)]
pub struct TypeName {
    pub name: ObjectName,
    pub position: u32,
    /// The name is the grammar's own: it stands in pg_catalog.
    pub system: bool,
    /// `varchar(10)`: constants.
    pub modifiers: Vec<Expression>,
    /// `interval day to second`: PostgreSQL's field mask.
    pub interval_fields: Option<i32>,
    /// One entry for each pair of brackets; bounds are accepted and without effect, as in PostgreSQL.
    pub array_bounds: Vec<Option<i32>>,
    pub set_of: bool,
    /// `table.column%TYPE`.
    pub percent_type: bool,
}
