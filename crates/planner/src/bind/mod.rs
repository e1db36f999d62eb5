//! Binding: names and types by PostgreSQL's rules.

use crate::{Catalog, PlanOptions, ast};
use expr::{CastContext, Expr};
use types::{ColumnType, PgError, PgResult};

/// The bound defaults, checks and generated columns of a table.
#[derive(Debug)]
pub struct TableExpressions {}

/// A column that a lone expression may name.
#[derive(Clone, Debug)]
pub struct ScopeColumn {
    pub name: Box<str>,
    pub column_type: ColumnType,
}

/// Binds an expression outside of any query: a DEFAULT or CHECK being defined, ALTER TABLE ... USING, COPY ... WHERE, an
/// EXECUTE argument. [`Expr::Column`] counts in `columns`. With a `target` the result is cast to it in that context (42804 where
/// there is no such cast). Subqueries, aggregates, window functions and set-returning functions are refused
/// (0A000, 42803, 42P20), worded for `purpose` ("DEFAULT expressions", "check constraints").
pub fn scalar(
    _expression: &ast::Expression,
    _columns: &[ScopeColumn],
    _target: Option<(ColumnType, CastContext)>,
    _purpose: &'static str,
    _catalog: &dyn Catalog,
    _options: &PlanOptions,
) -> PgResult<Expr> {
    Err(PgError::unsupported("expressions"))
}

/// The type that a name stands for, modifiers checked (42704 for none).
pub fn type_name(
    _name: &ast::TypeName,
    _catalog: &dyn Catalog,
    _options: &PlanOptions,
) -> PgResult<ColumnType> {
    Err(PgError::unsupported("types"))
}
