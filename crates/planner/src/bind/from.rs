//! FROM: what each item brings, and in which order names come into sight (PostgreSQL's `parse_clause.c`).

use std::borrow::Cow;

use super::Binder;
use super::level::{Clause, Level};
use super::relation::apply_alias;
use super::scope::{Item, item_column};
use super::select::Context;
use crate::ast::{
    Alias, Expression, ExpressionKind, FunctionCall, Query, TableExpression, TableFunction, TableFunctionItem,
};
use crate::logical::{FunctionScan, JoinKind, Relational, Values};
use crate::plan::SetFunction;
use expr::{Expr, FunctionKind};
use types::{ColumnType, DataType, PgError, PgResult, SqlState};

/// What a function in FROM brings.
enum Made {
    One(Expr),
    /// `expand`: the columns are the fields of a row value.
    Several {
        call: Expr,
        columns: Vec<(Box<str>, ColumnType)>,
        expand: bool,
    },
}

impl Binder<'_> {
    /// All of FROM: the cross product of its items, which are then in sight of the level.
    pub(super) fn bind_from(&mut self, from: &[TableExpression]) -> PgResult<Relational> {
        let mut plan: Option<Relational> = None;
        for expression in from {
            let (table, mut items) = self.bind_table(expression)?;
            let namespace = &self.levels.last().expect("a level").namespace;
            self.check_namespace_conflict(namespace, &items)?;
            for item in &mut items {
                item.lateral_only = true;
                item.lateral_ok = true;
            }
            self.level().namespace.extend(items);
            plan = Some(match plan {
                None => table,
                Some(left) => left.join(JoinKind::Inner, table, Vec::new()),
            });
        }
        for item in &mut self.level().namespace {
            item.lateral_only = false;
            item.lateral_ok = true;
        }
        Ok(plan.unwrap_or_else(Relational::unit))
    }

    /// One item of FROM: its plan, and the names that it brings.
    pub(super) fn bind_table(&mut self, expression: &TableExpression) -> PgResult<(Relational, Vec<Item>)> {
        match expression {
            TableExpression::Relation(reference) => {
                let (plan, item) = self.bind_relation(reference)?;
                Ok((plan, vec![item]))
            }
            TableExpression::Subquery { lateral, query, alias, position } => {
                let (plan, item) = self.bind_derived(query, *lateral, alias.as_ref(), *position)?;
                Ok((plan, vec![item]))
            }
            TableExpression::Function(function) => {
                let (plan, item) = self.bind_table_function(function)?;
                Ok((plan, vec![item]))
            }
            TableExpression::Join(join) => stacker::maybe_grow(128 << 10, 2 << 20, || self.bind_join(join)),
        }
    }

    fn bind_derived(
        &mut self,
        query: &Query,
        lateral: bool,
        alias: Option<&Alias>,
        position: u32,
    ) -> PgResult<(Relational, Item)> {
        let Some(alias) = alias else {
            let (message, hint) = match query.body {
                crate::ast::QueryBody::Values(_) => {
                    ("VALUES in FROM must have an alias", "For example, FROM (VALUES ...) [AS] foo.")
                }
                _ => ("subquery in FROM must have an alias", "For example, FROM (SELECT ...) [AS] foo."),
            };
            return Err(PgError::new(SqlState::SYNTAX_ERROR, message).hint(hint).at(position));
        };
        let was_active = std::mem::replace(&mut self.level().lateral_active, lateral);
        let output = self.bind_query(query, Context::default());
        self.level().lateral_active = was_active;
        let output = output?;
        let columns = output
            .targets
            .iter()
            .map(|target| {
                item_column(&target.name, target.column, self.columns.get(target.column).column_type, false)
            })
            .collect();
        let mut item = Item::new(None, columns);
        apply_alias(&mut item, Some(alias), "")?;
        Ok((output.plan, item))
    }

    // --- Functions in FROM.

    fn bind_table_function(&mut self, function: &TableFunction) -> PgResult<(Relational, Item)> {
        // Functions in FROM see the items before them without LATERAL.
        let was_active = std::mem::replace(&mut self.level().lateral_active, true);
        let clause = std::mem::replace(&mut self.level().clause, Clause::FromFunction);
        let bound = self.bind_table_function_calls(function);
        let level = self.level();
        level.lateral_active = was_active;
        level.clause = clause;
        bound
    }

    fn bind_table_function_calls(&mut self, function: &TableFunction) -> PgResult<(Relational, Item)> {
        if let Some(expanded) = self.bind_user_function_in_from(function)? {
            return Ok(expanded);
        }
        let mut functions = Vec::new();
        let mut scalars: Vec<(Expr, bool)> = Vec::new();
        let mut columns = Vec::new();
        let mut numbers = Vec::new();
        let mut default: Option<Box<str>> = None;
        let mut scalar = false;
        let items = expand_unnest(&function.functions);
        for item in items.iter() {
            let name: Box<str> = match &item.call.kind {
                ExpressionKind::Function(call) => call.name.name().into(),
                _ => super::target::column_name(&item.call),
            };
            let (call, pending) = self.bind_function_in_from(&item.call)?;
            if pending {
                return Err(PgError::unsupported("a correlated subquery in a function in FROM")
                    .at(item.call.position));
            }
            default.get_or_insert_with(|| name.clone());
            let made = self.function_columns(call, &item.columns, item.call.position)?;
            let (call, shown, expand) = match made {
                Made::Several { call, columns, expand } => (call, columns, expand),
                Made::One(call) => {
                    scalar = items.len() == 1 && !function.ordinality;
                    let own = match &call {
                        Expr::Call { function, .. } => expr::signature::single_output(function.oid),
                        _ => None,
                    };
                    // An output parameter's name; without one, a single function's column takes the alias as its name.
                    let column_name = match (&function.alias, own) {
                        (_, Some(own)) => own.into(),
                        (Some(alias), None) if items.len() == 1 => alias.name.name.clone(),
                        _ => name,
                    };
                    let data_type = call.data_type();
                    (call, vec![(column_name, data_type.into())], false)
                }
            };
            for (name, column_type) in &shown {
                let number = self.columns.computed(name, *column_type);
                numbers.push(number);
                columns.push(item_column(name, number, *column_type, false));
            }
            let types = shown.iter().map(|(_, column_type)| column_type.data_type).collect();
            match call {
                Expr::Call { function, arguments, position, .. }
                    if matches!(function.kind, FunctionKind::Set) =>
                {
                    functions.push(SetFunction { expand, function, arguments, columns: types, position });
                }
                scalar => scalars.push((scalar, expand)),
            }
        }
        if !scalars.is_empty() && (items.len() > 1 || !functions.is_empty()) {
            return Err(
                PgError::unsupported("ROWS FROM with a function that returns no set").at(function.position)
            );
        }
        if function.ordinality {
            let number = self.columns.computed("ordinality", DataType::Int8);
            numbers.push(number);
            columns.push(item_column("ordinality", number, ColumnType::from(DataType::Int8), false));
        }
        let default = default.unwrap_or_default().to_string();
        let shown: Box<str> =
            function.alias.as_ref().map_or(default.as_str().into(), |alias| alias.name.name.clone());
        let plan = match scalars.pop() {
            None => {
                let scan = FunctionScan {
                    functions,
                    ordinality: function.ordinality,
                    alias: shown,
                    columns: numbers,
                };
                Relational::FunctionScan(Box::new(scan))
            }
            Some((call, expand)) => self.scalar_function(call, expand, function.ordinality, numbers),
        };
        let mut item = Item::new(None, columns);
        item.scalar = scalar;
        apply_alias(&mut item, function.alias.as_ref(), &default)?;
        Ok((plan, item))
    }

    /// The columns of a function in FROM: those of its row type, those that it makes, those of a definition list; or its one.
    fn function_columns(
        &mut self,
        call: Expr,
        definitions: &[(crate::ast::Identifier, crate::ast::TypeName)],
        position: u32,
    ) -> PgResult<Made> {
        let data_type = call.data_type();
        let own = match &call {
            Expr::Call { function, arguments, .. } if matches!(function.kind, FunctionKind::Set) => {
                let types: Vec<DataType> = arguments.iter().map(Expr::data_type).collect();
                expr::set::columns(*function, &types)
            }
            _ => None,
        };
        let refuse = |message: &str| Err(PgError::new(SqlState::SYNTAX_ERROR, message).at(position));
        if !definitions.is_empty() {
            if own.is_some() {
                return refuse("a column definition list is redundant for a function with OUT parameters");
            }
            if data_type != DataType::Record {
                return refuse("a column definition list is only allowed for functions returning \"record\"");
            }
            return self.defined_columns(call, definitions);
        }
        if let Some(own) = own {
            let columns = own.into_iter().map(|(name, data_type)| (name.into(), data_type.into())).collect();
            return Ok(Made::Several { call, columns, expand: false });
        }
        match (&call, data_type.base()) {
            (_, DataType::Composite(oid)) => {
                let columns = self.row_type(oid)?.columns.clone();
                Ok(Made::Several { call, columns, expand: true })
            }
            (Expr::Call { arguments, .. }, DataType::Record) => match arguments.first() {
                // The row given tells what comes back.
                Some(Expr::Row { fields, names, .. }) => {
                    let types = fields.iter().map(|field| field.data_type().into());
                    let columns = names.iter().cloned().zip(types).collect();
                    Ok(Made::Several { call, columns, expand: true })
                }
                _ => refuse("a column definition list is required for functions returning \"record\""),
            },
            _ => Ok(Made::One(call)),
        }
    }

    /// `f(...) AS t(a int, b text)`: the row type goes along as an argument.
    fn defined_columns(
        &mut self,
        call: Expr,
        definitions: &[(crate::ast::Identifier, crate::ast::TypeName)],
    ) -> PgResult<Made> {
        let mut columns: Vec<(Box<str>, ColumnType)> = Vec::with_capacity(definitions.len());
        for (name, type_name) in definitions {
            let column_type = self.resolve_type_name(type_name)?;
            if columns.iter().any(|(other, _)| *other == name.name) {
                let message = format!("column name \"{}\" specified more than once", name.name);
                return Err(PgError::new(SqlState::DUPLICATE_COLUMN, message).at(name.position));
            }
            columns.push((name.name.clone(), column_type));
        }
        let call = match call {
            Expr::Call { function, mut arguments, data_type, position }
                if function.0.name.ends_with("_to_record")
                    || function.0.name.ends_with("_to_recordset")
                    || function.0.name.ends_with("_populate_record")
                    || function.0.name.ends_with("_populate_recordset") =>
            {
                let row_type = std::sync::Arc::new(types::RowType { columns: columns.clone() });
                let nulls = vec![types::Datum::Null; columns.len()];
                let base = Expr::constant(types::Datum::record(nulls, Some(row_type)), DataType::Record);
                if function.0.name.contains("_to_record") {
                    arguments.push(base);
                } else if matches!(&arguments[0], Expr::Constant { value, .. } if value.is_null()) {
                    arguments[0] = base;
                }
                Expr::Call { function, arguments, data_type, position }
            }
            Expr::Call { function, position, .. } => {
                let message = format!("a column definition list for the function {}", function.0.name);
                return Err(PgError::unsupported(message).at(position));
            }
            other => other,
        };
        Ok(Made::Several { call, columns, expand: true })
    }

    /// A function that returns no set: one row.
    fn scalar_function(
        &mut self,
        call: Expr,
        expand: bool,
        ordinality: bool,
        mut numbers: Vec<u32>,
    ) -> Relational {
        let one = || Expr::constant(types::Datum::Int8(1), DataType::Int8);
        if !expand {
            let mut row = vec![call];
            row.extend(ordinality.then(one));
            return self.scalar_rows(row, numbers);
        }
        let data_type = call.data_type();
        let record = self.columns.computed("row", data_type);
        let mut row = vec![call];
        let mut given = vec![record];
        if ordinality {
            row.push(one());
            given.extend(numbers.pop());
        }
        let plan = self.scalar_rows(row, given);
        let field = |(index, number): (usize, u32)| {
            let field = Expr::Field {
                input: Box::new(Expr::column(record, data_type)),
                field: index as u32,
                data_type: self.columns.get(number).column_type.data_type,
            };
            (number, field)
        };
        let fields = numbers.into_iter().enumerate().map(field).collect();
        plan.extend(fields)
    }

    /// A scalar function in FROM: one row. Calls that wait go below it.
    fn scalar_rows(&mut self, row: Vec<Expr>, numbers: Vec<u32>) -> Relational {
        let deferred = std::mem::take(&mut self.level().deferred);
        if deferred.is_empty() {
            return Relational::Values(Box::new(Values { rows: vec![row], columns: numbers }));
        }
        Relational::unit().deferred(deferred).extend(numbers.into_iter().zip(row).collect())
    }

    /// The call itself, set-returning ones included; and whether it left a correlated subquery behind.
    fn bind_function_in_from(&mut self, call: &crate::ast::Expression) -> PgResult<(Expr, bool)> {
        // A level of its own collects what a SELECT list would.
        let lateral = self.levels.len();
        self.levels.push(Level::new(Clause::InsertValues));
        let bound = self.bind_typed(call);
        let level = self.levels.pop().expect("pushed above");
        debug_assert_eq!(lateral, self.levels.len());
        let bound = bound?;
        let mut sets = level.set_functions;
        self.level().deferred.extend(level.deferred);
        let pending = !level.pending.is_empty();
        if sets.is_empty() {
            return Ok((bound, pending));
        }
        let (column, set) = sets.pop().expect("not empty");
        let whole = matches!(bound, Expr::Column { index, .. } if index == column);
        if !whole || !sets.is_empty() {
            let message = "set-returning functions must appear at top level of FROM";
            return Err(PgError::new(SqlState::FEATURE_NOT_SUPPORTED, message).at(call.position));
        }
        let data_type = bound.data_type();
        let call = Expr::Call {
            function: set.function,
            arguments: set.arguments,
            data_type,
            position: set.position,
        };
        Ok((call, pending))
    }
}

/// `unnest` of several arrays is as many calls side by side: a matter of syntax in PostgreSQL too, which looks for the bare name.
fn expand_unnest(items: &[TableFunctionItem]) -> Cow<'_, [TableFunctionItem]> {
    let expands = |item: &TableFunctionItem| {
        item.columns.is_empty()
            && item.function().is_some_and(|call| {
                call.name.name() == "unnest"
                    && call.name.schema().is_none()
                    && call.arguments.len() > 1
                    && !call.variadic
                    && !call.distinct
                    && call.order_by.is_empty()
                    && call.arguments.iter().all(|argument| argument.name.is_none())
            })
    };
    if !items.iter().any(expands) {
        return Cow::Borrowed(items);
    }
    let mut expanded = Vec::new();
    for item in items {
        let Some(call) = item.function().filter(|_| expands(item)) else {
            expanded.push(item.clone());
            continue;
        };
        for argument in &call.arguments {
            let one = FunctionCall { arguments: vec![argument.clone()], ..call.clone() };
            let call = Expression::new(item.call.position, ExpressionKind::Function(Box::new(one)));
            expanded.push(TableFunctionItem { call, columns: Vec::new() });
        }
    }
    Cow::Owned(expanded)
}
