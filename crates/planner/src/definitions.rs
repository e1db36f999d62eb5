//! What definitions (DDL) and utilities need of the binder: types, constants, expressions over one table's columns, COPY.
//!
//! `sql` calls these; they bind with the same rules as queries.

use std::sync::Arc;

use expr::Expr;
use types::descriptor::{ColumnId, TableDescriptor};
use types::{ColumnType, DataType, PgError, PgResult};

use crate::ast;
use crate::catalog::Catalog;
use crate::options::PlanOptions;
use crate::plan::{OutputColumn, Plan};

fn pending() -> PgError {
    PgError::unsupported("this definition")
}

/// The type that a name means (with modifiers, arrays, `%TYPE`). Errors: 42704 `type "x" does not exist`.
pub fn resolve_type(name: &ast::TypeName, catalog: &dyn Catalog, options: &PlanOptions) -> PgResult<ColumnType> {
    let _ = (name, catalog, options);
    Err(pending())
}

/// Binds an expression without columns to a value of `target` (assignment coercion): EXECUTE's arguments.
pub fn bind_constant(
    expression: &ast::Expression,
    target: DataType,
    catalog: &dyn Catalog,
    options: &PlanOptions,
) -> PgResult<Expr> {
    let _ = (expression, target, catalog, options);
    Err(pending())
}

/// Binds the rows of a VALUES list to constants of the given columns' types: ALTER TABLE ... SPLIT AT. Rows may be shorter than
/// `columns`: a prefix of the key.
pub fn bind_constant_rows(
    query: &ast::Query,
    table: &TableDescriptor,
    columns: &[ColumnId],
    catalog: &dyn Catalog,
    options: &PlanOptions,
) -> PgResult<Vec<Vec<Expr>>> {
    let _ = (query, table, columns, catalog, options);
    Err(pending())
}

/// Binds every default and generation expression of a table as its INSERTs will, so that errors show when it is defined:
/// a default must not refer to columns (0A000), a generation expression only to columns that are not generated and
/// must be immutable (42P17), both must have a type that can be assigned to the column (42804).
pub fn check_column_expressions(
    table: &TableDescriptor,
    catalog: &dyn Catalog,
    options: &PlanOptions,
) -> PgResult<()> {
    let _ = (table, catalog, options);
    Err(pending())
}

/// Binds a CHECK condition or an index predicate (SQL text) over a table's columns: boolean, no subqueries, no aggregates.
/// Answers the columns that it names, ascending.
pub fn check_table_condition(
    table: &TableDescriptor,
    text: &str,
    catalog: &dyn Catalog,
    options: &PlanOptions,
) -> PgResult<Vec<ColumnId>> {
    let _ = (table, text, catalog, options);
    Err(pending())
}

/// Binds a condition (SQL text) over a batch whose columns are the given ones, in that order.
pub fn bind_over_columns(
    table: &Arc<TableDescriptor>,
    columns: &[ColumnId],
    text: &str,
    catalog: &dyn Catalog,
    options: &PlanOptions,
) -> PgResult<Expr> {
    let _ = (table, columns, text, catalog, options);
    Err(pending())
}

/// The INSERT plan of a COPY FROM whose rows come through a [`crate::plan::Feed`], and the fields of the input, in order: the
/// listed columns (all but generated and hidden ones without a list) with their types. Columns not listed get their
/// defaults.
pub fn plan_copy_from(
    copy: &ast::CopyStatement,
    catalog: &dyn Catalog,
    options: &PlanOptions,
) -> PgResult<(Plan, Vec<OutputColumn>)> {
    let _ = (copy, catalog, options);
    Err(pending())
}
