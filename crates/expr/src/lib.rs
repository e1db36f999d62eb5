//! Typed scalar and aggregate expressions, the function catalogue, and vectorised evaluation.
//!
//! The binder (crate `planner`) turns syntax into [`Expr`] with the help of the catalogue (which function, which
//! operator, which cast: PostgreSQL chapter 10); the executor evaluates an `Expr` over a [`types::Batch`] into a
//! [`types::Vector`]. This crate performs no I/O, reads no clock, draws no randomness: what a function needs of these
//! comes in through [`EvalContext`].
//!
//! Functions that must wait (`nextval`, `pg_sleep`, advisory locks ...) are in the catalogue but have no evaluator: the
//! planner lifts their calls out of expressions into an operator of their own ([`FunctionKind::Deferred`]).

pub mod aggregate;
pub mod bounds;
pub mod catalogue;
pub mod context;
pub mod eval;
pub mod expr;
pub mod function;
mod functions;
pub mod resolve;
pub mod set;
pub mod signature;
pub mod type_name;
pub mod window;

pub use bounds::{Bounds, Unbounded, VALUE_BYTES_MAX};
pub use catalogue::{Cast, CastMethod, Operator, catalogue};
pub use context::{CatalogLookup, EvalContext, SessionInfo, TextContext};
pub use eval::{Program, eval, eval_filter, eval_scalar, fold, needs_catalog, parse_text};
pub use expr::{Aggregate, CaseArm, CastContext, DomainConstraints, DomainPart, Expr, WindowCall};
pub use function::{Evaluator, Function, FunctionKind, FunctionRef, Volatility};
pub use functions::spread::takes_array;
