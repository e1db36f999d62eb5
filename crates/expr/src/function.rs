//! What a function, operator or aggregate is.

use crate::context::EvalContext;
use std::fmt;
use types::{DataType, PgResult, Vector};

/// pg_proc.provolatile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Volatility {
    Immutable,
    Stable,
    Volatile,
}

/// A reference to a catalogue entry; entries live for ever. Compared by oid.
#[derive(Clone, Copy)]
pub struct FunctionRef(pub &'static Function);

impl PartialEq for FunctionRef {
    fn eq(&self, other: &Self) -> bool {
        self.0.oid == other.0.oid
    }
}

impl Eq for FunctionRef {}

impl fmt::Debug for FunctionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name)
    }
}

impl std::ops::Deref for FunctionRef {
    type Target = Function;

    fn deref(&self) -> &Function {
        self.0
    }
}

/// Evaluates a function over whole vectors: each argument has `rows` values; the result must have as many.
///
/// For a strict function (see [`Function::strict`]) the caller marks the result NULL wherever an argument is: the
/// evaluator must skip those rows (their values are unspecified, so that they must not raise errors) and may leave any
/// initialised value there.
pub type Evaluator = fn(&EvalContext<'_>, &[&Vector], rows: usize) -> PgResult<Vector>;

#[derive(Clone, Copy)]
pub enum FunctionKind {
    /// A scalar function with its evaluator.
    Scalar(Evaluator),
    /// A scalar function that must wait for something outside (`nextval`, `pg_sleep` ...): executed by an operator.
    Deferred,
    /// An aggregate: its accumulator is looked up by `aggregate::accumulator(function, ...)`.
    Aggregate,
    /// A window-only function (row_number, rank, lag ...).
    Window,
    /// Returns a set of rows (generate_series, unnest ...): executed by an operator.
    Set,
    /// Known to PostgreSQL, not built here: takes part in overload resolution, answers 0A000 when chosen. Never seen in an
    /// expression.
    Missing,
}

/// A catalogue entry (pg_proc). Operators (pg_operator) point to these.
pub struct Function {
    /// pg_proc.oid as in PostgreSQL 15, where PostgreSQL has the function.
    pub oid: u32,
    pub name: &'static str,
    /// Argument types; polymorphic pseudo-types allowed. With `variadic` the last one repeats.
    pub arguments: &'static [DataType],
    /// How many trailing arguments have defaults and may be left out.
    pub optional: u8,
    pub variadic: bool,
    /// A polymorphic result is resolved from the arguments.
    pub result: DataType,
    pub strict: bool,
    pub volatility: Volatility,
    pub kind: FunctionKind,
}
