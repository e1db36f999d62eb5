//! The SQL/JSON path language: text to tree and back.
//!
//! A jsonpath value is its text in normal form ([`normalize`]): every key in quotes, parentheses where the tree has them. What
//! evaluates it parses it again; evaluation is crate `expr`'s. Errors of syntax are 42601, as PostgreSQL's parser has them.
//!
//! ```text
//! path      = ["strict" | "lax"] (expression | predicate)
//! predicate = predicate "||" predicate | predicate "&&" predicate | "!" delimited | delimited
//!           | expression comparison expression | expression "starts with" (string | variable)
//!           | expression "like_regex" string ["flag" string] | "(" predicate ")" "is unknown"
//! delimited = "(" predicate ")" | "exists" "(" expression ")"
//! expression= [+-] expression | expression [+-*/%] expression | primary accessor*
//! accessor  = "." key | ".*" | ".**" ["{" level ["to" level] "}"] | "[*]" | "[" subscripts "]" | "." method "()"
//!           | "?" "(" predicate ")"
//! ```

mod lexer;
mod parser;
mod print;
#[cfg(test)]
mod tests;

use crate::error::PgResult;
use crate::numeric::Numeric;

/// Expressions within one another at most.
pub const DEPTH_MAX: usize = 256;

/// A whole path.
#[derive(Clone, Debug, PartialEq)]
pub struct Path {
    /// `strict`: structural errors are errors. `lax` (the default) unwraps and wraps arrays and passes over what is missing.
    pub strict: bool,
    pub root: Node,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    // Starting points.
    Root,
    /// `@`
    Current,
    /// `last`
    Last,
    Variable(String),
    Null,
    Bool(bool),
    Number(Numeric),
    String(String),
    /// A starting point followed by accessors.
    Access(Box<Node>, Vec<Accessor>),
    Unary(Sign, Box<Node>),
    Arithmetic(Arithmetic, Box<Node>, Box<Node>),
    // Predicates.
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    Not(Box<Node>),
    IsUnknown(Box<Node>),
    Exists(Box<Node>),
    Compare(Comparison, Box<Node>, Box<Node>),
    StartsWith(Box<Node>, Box<Node>),
    LikeRegex {
        operand: Box<Node>,
        pattern: String,
        flags: Flags,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub enum Accessor {
    Key(String),
    AnyKey,
    /// `**{first to last}`: `None` is `last`.
    Recursive {
        first: Option<u32>,
        last: Option<u32>,
    },
    AnyElement,
    /// `[1, 2 to 4]`
    Elements(Vec<(Node, Option<Node>)>),
    Method(Method),
    Filter(Box<Node>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    Plus,
    Minus,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Method {
    Abs,
    Size,
    Type,
    Floor,
    Ceiling,
    Double,
    KeyValue,
    /// With its template.
    Datetime(Option<String>),
}

impl Method {
    pub fn name(&self) -> &'static str {
        match self {
            Method::Abs => "abs",
            Method::Size => "size",
            Method::Type => "type",
            Method::Floor => "floor",
            Method::Ceiling => "ceiling",
            Method::Double => "double",
            Method::KeyValue => "keyvalue",
            Method::Datetime(_) => "datetime",
        }
    }
}

/// Flags of like_regex: `i`, `s`, `m`, `x`, `q`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    pub ignore_case: bool,
    pub dot_all: bool,
    pub multiline: bool,
    pub expanded: bool,
    pub quote: bool,
}

impl Node {
    /// A condition, whose value is true, false or unknown.
    pub fn is_predicate(&self) -> bool {
        matches!(
            self,
            Node::And(..)
                | Node::Or(..)
                | Node::Not(_)
                | Node::IsUnknown(_)
                | Node::Exists(_)
                | Node::Compare(..)
                | Node::StartsWith(..)
                | Node::LikeRegex { .. }
        )
    }
}

pub fn parse(text: &str) -> PgResult<Path> {
    parser::Parser::new(text)?.path()
}

/// jsonpath's input: the text in normal form.
pub fn normalize(text: &str) -> PgResult<String> {
    Ok(parse(text)?.to_string())
}
