//! Expressions outside of queries: what definitions and utilities bind.

use super::Binder;
use super::level::{Clause, Level};
use super::parameters::Parameters;
use super::scope::{Item, ItemColumn};
use crate::{Catalog, PlanOptions, ast};
use expr::{CastContext, Expr};
use types::{ColumnType, PgError, PgResult, SqlState};

/// A column that a lone expression may name.
#[derive(Clone, Debug)]
pub struct ScopeColumn {
    pub name: Box<str>,
    pub column_type: ColumnType,
}

/// Binds an expression outside of any query: ALTER TABLE ... USING, COPY ... WHERE, an EXECUTE argument.
/// [`Expr::Column`] counts in `columns`. With a `target` the result is converted to it in that context (42804 where that
/// cannot be done). Subqueries, aggregates, window functions and set-returning functions are refused (0A000, 42803,
/// 42P20), worded for `purpose` ("transform expressions", "check constraints").
pub fn scalar(
    expression: &ast::Expression,
    columns: &[ScopeColumn],
    target: Option<(ColumnType, CastContext)>,
    purpose: &'static str,
    catalog: &dyn Catalog,
    options: &PlanOptions,
) -> PgResult<Expr> {
    let mut binder = Binder::new(catalog, options, Parameters::none());
    let mut level = Level::new(Clause::Scalar(purpose));
    let shown = |(index, column): (usize, &ScopeColumn)| ItemColumn {
        name: column.name.clone(),
        expr: Expr::column(index as u32, column.column_type.data_type),
        column_type: column.column_type,
        hidden: false,
        source: None,
    };
    level.namespace.push(Item::new(None, columns.iter().enumerate().map(shown).collect()));
    binder.levels.push(level);
    let bound = binder.bind(expression)?;
    let Some((to, context)) = target else {
        return binder.settle_unknown(bound, expression.position);
    };
    let from = bound.data_type();
    binder.coerce(bound, to, context, expression.position)?.ok_or_else(|| {
        let (from, to) = (binder.type_label(from), binder.type_label(to.data_type));
        let message = format!("expression is of type {from}, not {to}");
        PgError::new(SqlState::DATATYPE_MISMATCH, message)
            .hint("You will need to rewrite or cast the expression.")
            .at(expression.position)
    })
}

/// Binds the expression of AS OF SYSTEM TIME.
pub(crate) fn instant(
    expression: &ast::Expression,
    catalog: &dyn Catalog,
    options: &PlanOptions,
) -> PgResult<Expr> {
    Binder::new(catalog, options, Parameters::none()).bind_instant(expression)
}

/// Binds an expression without columns to a value of a type (assignment): EXECUTE's arguments.
pub(crate) fn constant(
    expression: &ast::Expression,
    to: ColumnType,
    catalog: &dyn Catalog,
    options: &PlanOptions,
) -> PgResult<Expr> {
    scalar(expression, &[], Some((to, CastContext::Assignment)), "EXECUTE parameters", catalog, options)
}
