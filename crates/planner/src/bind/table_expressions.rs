//! The expressions in a table's descriptor (defaults, generated columns, checks, index predicates), bound once for each descriptor
//! and kept with it.

use super::level::{Clause, Level};
use super::parameters::Parameters;
use super::scope::{Item, ItemColumn};
use super::{Binder, NameUse};
use crate::catalog::Table;
use crate::logical::ColumnNumber;
use crate::plan::{Check, DeferredCall, GeneratedColumn, PartialIndex};
use crate::{Catalog, PlanOptions};
use expr::{CastContext, Expr};
use std::collections::BTreeMap;
use types::descriptor::{ColumnDescriptor, ElementState, TableDescriptor};
use types::{ColumnType, DataType, Datum, PgError, PgResult, SqlState};

/// A default: calls that wait, each giving a column (numbered from 0), and the value over them.
#[derive(Clone, Debug)]
pub(crate) struct BoundDefault {
    pub deferred: Vec<DeferredCall>,
    pub value: Expr,
}

impl BoundDefault {
    /// The default as one expression, to be shown.
    pub(crate) fn into_expression(self) -> Expr {
        let mut calls: Vec<Expr> = Vec::with_capacity(self.deferred.len());
        let known = |calls: &[Expr], column: ColumnNumber| calls.get(column as usize).cloned();
        for call in self.deferred {
            let DeferredCall { function, mut arguments, data_type, position } = call;
            for argument in &mut arguments {
                crate::logical::replace_columns(argument, &|column| known(&calls, column));
            }
            calls.push(Expr::Call { function, arguments, data_type, position });
        }
        let mut value = self.value;
        crate::logical::replace_columns(&mut value, &|column| known(&calls, column));
        value
    }
}

/// A table's expressions, bound.
///
/// - `defaults` has an entry for each column; a column without a default has NULL.
/// - Expressions of `generated`, `checks` and `partial_indexes` are over the row: a column is its position.
#[derive(Debug, Default)]
pub struct TableExpressions {
    pub(crate) defaults: Vec<BoundDefault>,
    pub(crate) generated: Vec<GeneratedColumn>,
    pub(crate) checks: Vec<Check>,
    pub(crate) partial_indexes: Vec<PartialIndex>,
}

impl TableExpressions {
    /// Over the row.
    pub fn generated(&self) -> &[GeneratedColumn] {
        &self.generated
    }

    /// Over the row.
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// Over the row.
    pub fn partial_indexes(&self) -> &[PartialIndex] {
        &self.partial_indexes
    }

    /// The default of the column at a position, without columns; `None` when it calls something that waits (`nextval`).
    pub fn default_of(&self, column: usize) -> Option<&Expr> {
        self.defaults.get(column).filter(|default| default.deferred.is_empty()).map(|default| &default.value)
    }
}

impl Binder<'_> {
    /// The bound expressions of a table.
    pub(super) fn table_expressions<'t>(&self, table: &'t Table) -> PgResult<&'t TableExpressions> {
        table.bind_expressions(self.catalog, self.options)
    }
}

/// Binds everything that a descriptor holds as text.
pub(crate) fn bind_table(
    table: &TableDescriptor,
    catalog: &dyn Catalog,
    options: &PlanOptions,
) -> PgResult<TableExpressions> {
    let mut bound = TableExpressions::default();
    for (position, column) in table.columns.iter().enumerate() {
        bound.defaults.push(bind_default(column, catalog, options)?);
        if let Some(text) = &column.generated {
            let expression =
                bind_over_row(table, text, Some(column.column_type), GENERATED, catalog, options)?;
            bound.generated.push(GeneratedColumn { column: position as u32, expression });
        }
    }
    for check in &table.checks {
        let condition = bind_over_row(table, &check.expression, None, CHECK, catalog, options)?;
        bound.checks.push(Check { name: check.name.as_str().into(), condition, view: None });
    }
    for (position, index) in table.all_indexes().enumerate() {
        if let Some(text) = &index.predicate {
            let predicate = bind_over_row(table, text, None, PREDICATE, catalog, options)?;
            bound.partial_indexes.push(PartialIndex { index: position as u32, predicate });
        }
    }
    Ok(bound)
}

pub(crate) const DEFAULT: &str = "DEFAULT expressions";
pub(crate) const GENERATED: &str = "column generation expressions";
pub(crate) const CHECK: &str = "check constraints";
pub(crate) const PREDICATE: &str = "index predicates";
const TRANSFORM: &str = "transform expressions";

fn bind_default(
    column: &ColumnDescriptor,
    catalog: &dyn Catalog,
    options: &PlanOptions,
) -> PgResult<BoundDefault> {
    if let (Some(_), Some(sequence)) = (column.identity, column.owned_sequence) {
        return next_value(sequence.0, column.column_type);
    }
    let default = match &column.default {
        Some(text) => Some(text.as_str().into()),
        None => super::domain::default_of_domain(column.column_type.data_type, catalog)?,
    };
    // A column of a domain has no default only where NULL is good enough for the domain.
    let domain = matches!(column.column_type.data_type, DataType::Domain(_));
    let text: Box<str> = match default {
        Some(text) => text,
        None if domain && column.generated.is_none() => "NULL".into(),
        None => {
            let value = Expr::constant(Datum::Null, column.column_type.data_type);
            return Ok(BoundDefault { deferred: Vec::new(), value });
        }
    };
    let expression = crate::parser::parse_expression(&text)?;
    bind_default_expression(&expression, &column.name, column.column_type, catalog, options)
}

pub(crate) fn bind_default_expression(
    expression: &crate::ast::Expression,
    name: &str,
    to: ColumnType,
    catalog: &dyn Catalog,
    options: &PlanOptions,
) -> PgResult<BoundDefault> {
    let mut binder = Binder::new(catalog, options, Parameters::none());
    binder.levels.push(Level::new(Clause::Scalar(DEFAULT)));
    let bound = binder.bind(expression)?;
    let from = bound.data_type();
    let value = binder.coerce(bound, to, CastContext::Assignment, expression.position)?.ok_or_else(|| {
        let message = format!(
            "column \"{name}\" is of type {} but default expression is of type {}",
            binder.type_label(to.data_type),
            binder.type_label(from)
        );
        PgError::new(SqlState::DATATYPE_MISMATCH, message)
            .hint("You will need to rewrite or cast the expression.")
            .at(expression.position)
    })?;
    let calls = std::mem::take(&mut binder.level().deferred);
    // The binder numbered nothing else: deferred calls are its only columns.
    let mut value = value;
    let numbers: Vec<ColumnNumber> = calls.iter().map(|(column, _)| *column).collect();
    let renumber = |column: ColumnNumber| {
        let index = numbers.iter().position(|known| *known == column)?;
        Some(Expr::column(index as u32, calls[index].1.data_type))
    };
    crate::logical::replace_columns(&mut value, &renumber);
    let mut deferred: Vec<DeferredCall> = calls.iter().map(|(_, call)| call.clone()).collect();
    for argument in deferred.iter_mut().flat_map(|call| &mut call.arguments) {
        crate::logical::replace_columns(argument, &renumber);
    }
    Ok(BoundDefault { deferred, value })
}

/// What the names of a default mean.
pub(crate) fn names_in_default(
    text: &str,
    to: ColumnType,
    catalog: &dyn Catalog,
    options: &PlanOptions,
) -> PgResult<BTreeMap<u32, NameUse>> {
    let expression = crate::parser::parse_expression(text)?;
    let mut binder = Binder::new(catalog, options, Parameters::none());
    binder.names = Some(BTreeMap::new());
    binder.levels.push(Level::new(Clause::Scalar(DEFAULT)));
    let bound = binder.bind(&expression)?;
    binder.coerce(bound, to, CastContext::Assignment, expression.position)?;
    Ok(binder.names.unwrap_or_default())
}

/// What the names of an expression over a table's row mean.
pub(crate) fn names_over_row(
    table: &TableDescriptor,
    text: &str,
    target: Option<ColumnType>,
    catalog: &dyn Catalog,
    options: &PlanOptions,
) -> PgResult<BTreeMap<u32, NameUse>> {
    let expression = crate::parser::parse_expression(text)?;
    let mut binder = over_row(table, if target.is_some() { GENERATED } else { CHECK }, catalog, options);
    binder.names = Some(BTreeMap::new());
    match target {
        None => drop(binder.bind_condition(&expression, "CHECK")?),
        Some(to) => {
            let bound = binder.bind(&expression)?;
            binder.coerce(bound, to, CastContext::Assignment, expression.position)?;
        }
    }
    Ok(binder.names.unwrap_or_default())
}

/// The default of an identity column: the next value of its sequence.
fn next_value(sequence: u32, to: ColumnType) -> PgResult<BoundDefault> {
    let resolved = expr::resolve::resolve_function(
        Some("pg_catalog"),
        "nextval",
        &[DataType::Regclass],
        expr::resolve::FunctionArguments::Plain,
    )?;
    let call = DeferredCall {
        function: resolved.function,
        arguments: vec![Expr::constant(Datum::Oid(sequence), DataType::Regclass)],
        data_type: DataType::Int8,
        position: 0,
    };
    let value = expr::resolve::coerce(Expr::column(0, DataType::Int8), to, CastContext::Assignment, 0);
    let value = value.ok_or_else(|| PgError::internal("an identity column is not of an integer type"))?;
    Ok(BoundDefault { deferred: vec![call], value })
}

/// Binds SQL text over a table's row: a column is its position. `target`: convert to this type; else the text is a condition.
pub(crate) fn bind_over_row(
    table: &TableDescriptor,
    text: &str,
    target: Option<ColumnType>,
    purpose: &'static str,
    catalog: &dyn Catalog,
    options: &PlanOptions,
) -> PgResult<Expr> {
    let expression = crate::parser::parse_expression(text)?;
    let mut binder = over_row(table, purpose, catalog, options);
    let Some(to) = target else {
        let construct = if purpose == CHECK { "CHECK" } else { "WHERE" };
        return binder.bind_condition(&expression, construct);
    };
    let bound = binder.bind(&expression)?;
    let from = bound.data_type();
    binder.coerce(bound, to, CastContext::Assignment, expression.position)?.ok_or_else(|| {
        let message = format!(
            "column is of type {} but generation expression is of type {}",
            binder.type_label(to.data_type),
            binder.type_label(from)
        );
        PgError::new(SqlState::DATATYPE_MISMATCH, message).at(expression.position)
    })
}

/// Binds what a column's values become when its type changes, over the row as it is. `using`: the text is a USING clause.
pub(crate) fn bind_transform(
    table: &TableDescriptor,
    column: &ColumnDescriptor,
    (text, using): (&str, bool),
    to: ColumnType,
    catalog: &dyn Catalog,
    options: &PlanOptions,
) -> PgResult<Expr> {
    let expression = crate::parser::parse_expression(text)?;
    let mut binder = over_row(table, TRANSFORM, catalog, options);
    let bound = binder.bind(&expression)?;
    binder.coerce(bound, to, CastContext::Assignment, 0)?.ok_or_else(|| {
        let (name, label) = (&column.name, binder.type_label(to.data_type));
        let (subject, hint) = match using {
            true => ("result of USING clause for ", "You might need to add an explicit cast.".to_string()),
            false => {
                let quoted = crate::parser::keywords::quote_identifier(name);
                let full = crate::explain::type_text(to);
                ("", format!("You might need to specify \"USING {quoted}::{full}\"."))
            }
        };
        let message = format!("{subject}column \"{name}\" cannot be cast automatically to type {label}");
        PgError::new(SqlState::DATATYPE_MISMATCH, message).hint(hint)
    })
}

/// A binder that sees a table's row, each column as its position.
fn over_row<'a>(
    table: &TableDescriptor,
    purpose: &'static str,
    catalog: &'a dyn Catalog,
    options: &'a PlanOptions,
) -> Binder<'a> {
    let shown = |(position, column): (usize, &ColumnDescriptor)| ItemColumn {
        name: column.name.as_str().into(),
        expr: Expr::column(position as u32, column.column_type.data_type),
        column_type: column.column_type,
        hidden: column.hidden,
        source: None,
    };
    let visible =
        table.columns.iter().enumerate().filter(|(_, column)| column.state != ElementState::DeleteOnly);
    let mut item = Item::new(Some(table.name.as_str().into()), visible.map(shown).collect());
    item.relation = Some(table.id);
    let mut binder = Binder::new(catalog, options, Parameters::none());
    let mut level = Level::new(Clause::Scalar(purpose));
    level.namespace.push(item);
    binder.levels.push(level);
    binder
}
