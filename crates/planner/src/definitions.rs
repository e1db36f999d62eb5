//! What definitions (DDL) and utilities need of the binder: types, constants, expressions over one table's columns, COPY.
//!
//! `sql` calls these; they bind with the same rules as queries.

use std::sync::Arc;

use expr::{Expr, Volatility};
use types::descriptor::{ColumnDescriptor, ColumnId, TableDescriptor};
use types::{ColumnType, DataType, PgError, PgResult, SqlState};

use crate::ast::{self, CopySource, QueryBody};
use crate::bind::{self, Binder, CHECK, GENERATED, PREDICATE, Parameters};
use crate::catalog::Catalog;
use crate::explain::Reader;
use crate::options::PlanOptions;
use crate::plan::{Command, OutputColumn, Plan};

/// The type that a name means (with modifiers, arrays, `%TYPE`). Errors: 42704 `type "x" does not exist`.
pub fn resolve_type(
    name: &ast::TypeName,
    catalog: &dyn Catalog,
    options: &PlanOptions,
) -> PgResult<ColumnType> {
    bind::resolve_type(name, catalog, options)
}

/// Binds the body of a function in language SQL, so that errors show when it is defined: 42P13 for one that does not give what
/// is declared, 0A000 for what cannot be expanded into a statement.
pub fn check_function_body(
    function: &Arc<types::descriptor::FunctionDescriptor>,
    catalog: &dyn Catalog,
    options: &PlanOptions,
) -> PgResult<()> {
    bind::check_body(function, catalog, options)
}

/// Binds an expression without columns to a value of `target` (assignment coercion): EXECUTE's arguments.
pub fn bind_constant(
    expression: &ast::Expression,
    target: DataType,
    catalog: &dyn Catalog,
    options: &PlanOptions,
) -> PgResult<Expr> {
    bind::constant(expression, target.into(), catalog, options)
}

/// Binds the expression of AS OF SYSTEM TIME: a constant of a type that tells a time, or text.
pub fn bind_instant(
    expression: &ast::Expression,
    catalog: &dyn Catalog,
    options: &PlanOptions,
) -> PgResult<Expr> {
    bind::instant(expression, catalog, options)
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
    let QueryBody::Values(rows) = &query.body else {
        return Err(PgError::unsupported("SPLIT AT with anything but VALUES").at(query.position));
    };
    let mut bound = Vec::with_capacity(rows.len());
    for row in rows {
        if row.len() > columns.len() {
            let message = format!("the primary key of \"{}\" has {} columns", table.name, columns.len());
            return Err(PgError::new(SqlState::SYNTAX_ERROR, message).at(row[columns.len()].position));
        }
        let mut values = Vec::with_capacity(row.len());
        for (value, id) in row.iter().zip(columns) {
            let column =
                table.column(*id).ok_or_else(|| PgError::internal("a key column is not in the table"))?;
            values.push(bind::constant(value, column.column_type, catalog, options)?);
        }
        bound.push(values);
    }
    Ok(bound)
}

/// Checks the default of a domain as that of a column of the domain's base type.
pub fn check_default(
    text: &str,
    name: &str,
    to: ColumnType,
    catalog: &dyn Catalog,
    options: &PlanOptions,
) -> PgResult<()> {
    let expression = crate::parser::parse_expression(text)?;
    bind::bind_default_expression(&expression, name, to, catalog, options).map(drop)
}

/// Checks a domain's condition over VALUE, which is of type `over`.
pub fn check_domain_condition(
    text: &str,
    over: DataType,
    catalog: &dyn Catalog,
    options: &PlanOptions,
) -> PgResult<()> {
    bind::bind_domain_check(text, over, catalog, options).map(drop)
}

/// Binds every default and generation expression of a table as its INSERTs will, so that errors show when it is defined:
/// a default must not refer to columns (0A000), a generation expression only to columns that are not generated and
/// must be immutable (42P17), both must have a type that can be assigned to the column (42804).
pub fn check_column_expressions(
    table: &TableDescriptor,
    catalog: &dyn Catalog,
    options: &PlanOptions,
) -> PgResult<()> {
    for column in &table.columns {
        if let Some(text) = &column.default {
            let expression = crate::parser::parse_expression(text)?;
            bind::bind_default_expression(&expression, &column.name, column.column_type, catalog, options)?;
        }
        let Some(text) = &column.generated else { continue };
        let bound = bind::bind_over_row(table, text, Some(column.column_type), GENERATED, catalog, options)?;
        if varies(&bound) {
            let message = "generation expression is not immutable";
            return Err(PgError::new(SqlState::INVALID_OBJECT_DEFINITION, message));
        }
        for position in crate::logical::columns_of(&bound).iter() {
            let used = &table.columns[position as usize];
            if used.generated.is_some() {
                let message =
                    format!("cannot use generated column \"{}\" in column generation expression", used.name);
                return Err(PgError::new(SqlState::INVALID_OBJECT_DEFINITION, message)
                    .detail("A generated column cannot reference another generated column."));
            }
        }
    }
    Ok(())
}

/// Calls something that is not immutable.
fn varies(expr: &Expr) -> bool {
    let own = matches!(expr, Expr::Call { function, .. } if function.volatility != Volatility::Immutable);
    let mut found = own;
    expr.for_each_child(&mut |child| found = found || varies(child));
    found
}

/// Binds a CHECK condition or an index predicate (SQL text) over a table's columns: boolean, no subqueries, no aggregates.
/// Answers the columns that it names, ascending.
pub fn check_table_condition(
    table: &TableDescriptor,
    text: &str,
    catalog: &dyn Catalog,
    options: &PlanOptions,
) -> PgResult<Vec<ColumnId>> {
    let bound = bind::bind_over_row(table, text, None, CHECK, catalog, options)?;
    Ok(column_ids(&bound, table))
}

/// Prints an expression of a table's descriptor (SQL text) as PostgreSQL does, which keeps what it understood rather than what
/// was written. `column`: whose default or generation expression it is; without, it is a condition. `reader` says
/// how constants and types are shown.
pub fn stored_expression_text(
    table: &TableDescriptor,
    text: &str,
    column: Option<&ColumnDescriptor>,
    pretty: bool,
    catalog: &dyn Catalog,
    reader: &Reader<'_>,
) -> PgResult<String> {
    let written = crate::parser::parse_expression(text)?;
    if let ast::ExpressionKind::SessionValue(value) = written.kind {
        return Ok(value.to_string());
    }
    let options = &PlanOptions::default();
    let over_row = |target, purpose| bind::bind_over_row(table, text, target, purpose, catalog, options);
    let mut bound = match column {
        None => over_row(None, CHECK)?,
        Some(column) if column.generated.is_some() => over_row(Some(column.column_type), GENERATED)?,
        Some(column) => {
            let (name, to) = (&column.name, column.column_type);
            bind::bind_default_expression(&written, name, to, catalog, options)?.into_expression()
        }
    };
    (reader.prepare)(&mut bound);
    let name = |index: u32| {
        let name = table.columns.get(index as usize).map_or("?", |column| column.name.as_str());
        crate::parser::keywords::quote_identifier(name).to_string()
    };
    Ok(crate::explain::definition_text(&bound, pretty, &name, reader))
}

/// The name in `nextval('name')`, if a default (SQL text) is that.
pub fn sequence_of_default(text: &str) -> Option<String> {
    let ast::ExpressionKind::Function(call) = crate::parser::parse_expression(text).ok()?.kind else {
        return None;
    };
    let [argument] = call.arguments.as_slice() else { return None };
    let mut value = &argument.value;
    while let ast::ExpressionKind::Cast(inner, _) = &value.kind {
        value = inner;
    }
    match &value.kind {
        ast::ExpressionKind::Literal(ast::Literal::String(name)) if call.name.name() == "nextval" => {
            Some(name.to_string())
        }
        _ => None,
    }
}

/// Prints a default (SQL text) that belongs to no table, as PostgreSQL does: of a domain, of a function's parameter.
pub fn stored_default_text(
    text: &str,
    to: ColumnType,
    pretty: bool,
    catalog: &dyn Catalog,
    reader: &Reader<'_>,
) -> PgResult<String> {
    let written = crate::parser::parse_expression(text)?;
    let options = &PlanOptions::default();
    let mut bound =
        bind::bind_default_expression(&written, "default", to, catalog, options)?.into_expression();
    (reader.prepare)(&mut bound);
    Ok(crate::explain::definition_text(&bound, pretty, &|_| "?".into(), reader))
}

/// Prints a domain's condition (SQL text) over VALUE, which is of type `over`, as PostgreSQL does.
pub fn domain_condition_text(
    text: &str,
    over: DataType,
    pretty: bool,
    catalog: &dyn Catalog,
    reader: &Reader<'_>,
) -> PgResult<String> {
    let mut bound = bind::bind_domain_check(text, over, catalog, &PlanOptions::default())?;
    (reader.prepare)(&mut bound);
    Ok(crate::explain::definition_text(&bound, pretty, &|_| "VALUE".into(), reader))
}

/// The columns that a generated column is computed from, ascending.
pub fn columns_of_generated(
    table: &TableDescriptor,
    column: &ColumnDescriptor,
    catalog: &dyn Catalog,
    options: &PlanOptions,
) -> PgResult<Vec<ColumnId>> {
    let Some(text) = &column.generated else { return Ok(Vec::new()) };
    let bound = bind::bind_over_row(table, text, Some(column.column_type), GENERATED, catalog, options)?;
    Ok(column_ids(&bound, table))
}

fn column_ids(bound: &Expr, table: &TableDescriptor) -> Vec<ColumnId> {
    crate::logical::columns_of(bound).iter().map(|position| table.columns[position as usize].id).collect()
}

/// Binds a condition (SQL text) over a batch whose columns are the given ones, in that order.
pub fn bind_over_columns(
    table: &TableDescriptor,
    columns: &[ColumnId],
    text: &str,
    catalog: &dyn Catalog,
    options: &PlanOptions,
) -> PgResult<Expr> {
    place_columns(bind::bind_over_row(table, text, None, PREDICATE, catalog, options)?, table, columns)
}

/// Binds what the values of `column` become when its type changes to `to`, over a batch whose columns are the given ones, in that
/// order. `using`: the USING clause (SQL text); without, the value itself is converted. Errors: 42804.
pub fn bind_transform(
    table: &TableDescriptor,
    columns: &[ColumnId],
    column: ColumnId,
    (using, to): (Option<&str>, ColumnType),
    catalog: &dyn Catalog,
    options: &PlanOptions,
) -> PgResult<Expr> {
    let column = table.column(column).ok_or_else(|| PgError::internal("the column is not in its table"))?;
    let own = crate::parser::keywords::quote_identifier(&column.name);
    let text = (using.unwrap_or(&own), using.is_some());
    place_columns(bind::bind_transform(table, column, text, to, catalog, options)?, table, columns)
}

/// Turns positions in the table into positions in a batch that has only these columns.
fn place_columns(mut bound: Expr, table: &TableDescriptor, columns: &[ColumnId]) -> PgResult<Expr> {
    for position in crate::logical::columns_of(&bound).iter() {
        let id = table.columns[position as usize].id;
        if !columns.contains(&id) {
            return Err(PgError::internal("an expression uses a column that is not read"));
        }
    }
    let place = |position: u32| {
        let column = &table.columns[position as usize];
        let index = columns.iter().position(|id| *id == column.id)?;
        Some(Expr::column(index as u32, column.column_type.data_type))
    };
    crate::logical::replace_columns(&mut bound, &place);
    Ok(bound)
}

/// The INSERT plan of a COPY FROM whose rows come through a [`crate::plan::Feed`], and the fields of the input, in order: the
/// listed columns (all but generated and hidden ones without a list) with their types. Columns not listed get their
/// defaults.
pub fn plan_copy_from(
    copy: &ast::CopyStatement,
    catalog: &dyn Catalog,
    options: &PlanOptions,
) -> PgResult<(Plan, Vec<OutputColumn>)> {
    let CopySource::Table { name, columns } = &copy.source else {
        return Err(PgError::new(SqlState::SYNTAX_ERROR, "COPY query FROM is not possible").at(copy.position));
    };
    let mut binder = Binder::new(catalog, options, Parameters::none());
    let (plan, table, positions) = binder.bind_copy_from(name, columns)?;
    let output = bind::ModifyOutput { plan, targets: Vec::new(), command: Command::Insert };
    let plan = crate::finish(binder.finish(output)?, catalog, options)?;
    let field = |position: usize| {
        let column = &table.descriptor.columns[position];
        OutputColumn {
            name: column.name.as_str().into(),
            column_type: column.column_type,
            origin: Some((table.descriptor.id, column.id)),
        }
    };
    Ok((plan, positions.into_iter().map(field).collect()))
}
