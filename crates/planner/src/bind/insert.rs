//! INSERT: what each column gets, and the plan that computes the rows.

use super::Binder;
use super::level::{Clause, Level};
use super::relation::Instance;
use super::returning::ModifyOutput;
use super::scope::Item;
use super::select::{Context, QueryOutput};
use super::table_expressions::BoundDefault;
use super::values::BoundRow;
use crate::ast::{self, ExpressionKind, InsertColumn, Overriding, QueryBody};
use crate::catalog::Table;
use crate::logical::{ColumnNumber, Insert, Relational, replace_columns};
use crate::plan::{Command, DeferredCall, Privileges};
use expr::{CastContext, Expr};
use std::sync::Arc;
use types::descriptor::{ColumnDescriptor, ElementState, Identity};
use types::{Datum, PgError, PgResult, SqlState};

/// What a statement gives for a column: a column of the source, or DEFAULT.
#[derive(Clone, Copy, PartialEq)]
enum Given {
    Column(ColumnNumber),
    Default,
}

/// A column that the statement lists, or a part of one: then `column` is of the part's type.
struct InsertTarget {
    position: usize,
    column: ColumnDescriptor,
    part: bool,
}

impl Binder<'_> {
    /// Makes one value for each column out of values for parts.
    fn combine_parts(
        &mut self,
        source: Relational,
        table: &Arc<Table>,
        targets: &[InsertTarget],
        given: Vec<Given>,
        listed: &[InsertColumn],
    ) -> PgResult<(Relational, Vec<usize>, Vec<Given>)> {
        if targets.iter().all(|target| !target.part) {
            return Ok((source, targets.iter().map(|target| target.position).collect(), given));
        }
        let mut combined: Vec<(usize, Given)> = Vec::new();
        let mut values: Vec<(usize, Expr)> = Vec::new();
        for ((target, given), listed) in targets.iter().zip(given).zip(listed) {
            let Given::Column(number) = given else {
                if target.part {
                    let message = "cannot set a part of a column to DEFAULT";
                    return Err(PgError::new(SqlState::FEATURE_NOT_SUPPORTED, message));
                }
                combined.push((target.position, given));
                continue;
            };
            if !target.part {
                combined.push((target.position, given));
                continue;
            }
            let column = table.descriptor.columns[target.position].column_type;
            let known = values.iter().position(|(position, _)| *position == target.position);
            let whole = match known {
                Some(known) => match &values[known].1 {
                    Expr::CoerceToDomain { input, .. } => (**input).clone(),
                    other => other.clone(),
                },
                None => Expr::constant(Datum::Null, column.data_type),
            };
            let part = self.columns.expr(number);
            self.levels.push(Level::new(Clause::InsertValues));
            let value = self.assign_part(whole, column, &listed.indirection, part, &listed.name);
            self.levels.pop();
            match known {
                Some(known) => values[known].1 = value?,
                None => values.push((target.position, value?)),
            }
        }
        let mut computed = Vec::with_capacity(values.len());
        for (position, value) in values {
            let column = &table.descriptor.columns[position];
            let number = self.columns.computed(&column.name, column.column_type);
            computed.push((number, value));
            combined.push((position, Given::Column(number)));
        }
        let (columns, given) = combined.into_iter().unzip();
        Ok((source.extend(computed), columns, given))
    }

    pub(super) fn bind_insert(&mut self, insert: &ast::Insert) -> PgResult<ModifyOutput> {
        let table = self.find_target(&insert.table, "INSERT")?;
        let mut privileges = Privileges { insert: true, ..Privileges::default() };
        privileges.update = matches!(
            insert.on_conflict.as_ref().map(|conflict| &conflict.action),
            Some(ast::ConflictAction::Update { .. })
        );
        self.depend_on(table.descriptor.id, table.descriptor.version, privileges);
        self.writes = true;
        let targets = self.insert_columns(&table, &insert.columns)?;
        for target in &targets {
            self.note_written(table.descriptor.id, table.descriptor.columns[target.position].id, true);
        }
        let explicit = !insert.columns.is_empty();
        let (source, given) = self.insert_source(insert, &table, &targets, explicit)?;
        let (source, columns, given) =
            self.combine_parts(source, &table, &targets, given, &insert.columns)?;
        let (source, row) = self.complete_rows(source, &table, &columns, &given, insert.overriding)?;
        let alias: Box<str> = match &insert.alias {
            Some(alias) => alias.name.clone(),
            None => table.descriptor.name.as_str().into(),
        };
        let on_conflict = match &insert.on_conflict {
            Some(conflict) => Some(self.bind_on_conflict(conflict, &table, &alias)?),
            None => None,
        };
        let new_row = self.row_instance(&table, &alias);
        let expressions = self.table_expressions(&table)?;
        let node = Insert {
            source,
            row,
            new_row: new_row.columns.clone(),
            generated: expressions.generated.clone(),
            checks: expressions.checks.clone(),
            partial_indexes: expressions.partial_indexes.clone(),
            on_conflict,
            returning: !insert.returning.is_empty(),
            table: table.clone(),
        };
        let plan = Relational::Insert(Box::new(node));
        let item = self.target_item(&new_row, &alias);
        self.bind_returning(plan, vec![item], &insert.returning, Command::Insert)
    }

    /// Numbers for a row of the table that does not come from a scan.
    pub(super) fn row_instance(&mut self, table: &Arc<Table>, alias: &str) -> Instance {
        let (_, instance) = self.scan(table, alias);
        instance
    }

    pub(super) fn target_item(&self, instance: &Instance, alias: &str) -> Item {
        let mut item = Item::new(Some(alias.into()), self.instance_columns(instance));
        item.relation = Some(instance.table.descriptor.id);
        if *alias == *instance.table.descriptor.name {
            item.schema = Some(instance.table.schema.clone());
        }
        item
    }

    /// The columns that the statement gives, as positions in the descriptor.
    fn insert_columns(&self, table: &Table, listed: &[InsertColumn]) -> PgResult<Vec<InsertTarget>> {
        let descriptor = &table.descriptor;
        if listed.is_empty() {
            let shown = descriptor.columns.iter().enumerate();
            let shown = shown.filter(|(_, column)| !column.hidden && column.state == ElementState::Public);
            let target = |(position, column): (usize, &ColumnDescriptor)| InsertTarget {
                position,
                column: column.clone(),
                part: false,
            };
            return Ok(shown.map(target).collect());
        }
        let mut targets: Vec<InsertTarget> = Vec::with_capacity(listed.len());
        for column in listed {
            let position = self.target_column(table, &column.name)?;
            let part = !column.indirection.is_empty();
            // Several parts of one column are one value together.
            let clash = |known: &InsertTarget| known.position == position && !(part && known.part);
            if targets.iter().any(clash) {
                let message = format!("column \"{}\" specified more than once", column.name.name);
                return Err(PgError::new(SqlState::DUPLICATE_COLUMN, message).at(column.name.position));
            }
            let mut described = table.descriptor.columns[position].clone();
            described.column_type =
                self.part_type(described.column_type, &column.indirection, &column.name)?;
            targets.push(InsertTarget { position, column: described, part });
        }
        Ok(targets)
    }

    /// The position of a column that is assigned to.
    pub(super) fn target_column(&self, table: &Table, name: &ast::Identifier) -> PgResult<usize> {
        let public =
            |column: &ColumnDescriptor| *column.name == *name.name && column.state == ElementState::Public;
        table.descriptor.columns.iter().position(public).ok_or_else(|| {
            let relation = &table.descriptor.name;
            let message = format!("column \"{}\" of relation \"{relation}\" does not exist", name.name);
            PgError::new(SqlState::UNDEFINED_COLUMN, message).at(name.position)
        })
    }

    // --- Sources.

    fn insert_source(
        &mut self,
        insert: &ast::Insert,
        table: &Arc<Table>,
        columns: &[InsertTarget],
        explicit: bool,
    ) -> PgResult<(Relational, Vec<Given>)> {
        let Some(query) = &insert.source else {
            return Ok((Relational::unit(), vec![Given::Default; columns.len()]));
        };
        match &query.body {
            QueryBody::Values(rows) if is_plain(query) => self.insert_values(rows, table, columns, explicit),
            _ => self.insert_query(query, columns, explicit),
        }
    }

    fn insert_query(
        &mut self,
        query: &ast::Query,
        columns: &[InsertTarget],
        explicit: bool,
    ) -> PgResult<(Relational, Vec<Given>)> {
        let QueryOutput { plan, targets } = self.bind_query(query, Context { resolve_unknown: false })?;
        check_width(targets.len(), columns.len(), explicit, query.position)?;
        let mut computed = Vec::new();
        let mut given = Vec::with_capacity(targets.len());
        for (target, InsertTarget { column, .. }) in targets.iter().zip(columns) {
            let (input, at) = match &target.untyped {
                Some((literal, at)) => (literal.clone(), *at),
                None => (self.columns.expr(target.column), query.position),
            };
            let same = self.columns.get(target.column).column_type == column.column_type;
            if same && target.untyped.is_none() {
                given.push(Given::Column(target.column));
                continue;
            }
            let value = self.assign(input, column, at)?;
            let number = self.columns.computed(&column.name, column.column_type);
            computed.push((number, value));
            given.push(Given::Column(number));
        }
        Ok((plan.extend(computed), given))
    }

    /// VALUES: each field converted to its column's type at once; a column that is DEFAULT in every row is left out.
    fn insert_values(
        &mut self,
        rows: &[Vec<ast::Expression>],
        table: &Arc<Table>,
        columns: &[InsertTarget],
        explicit: bool,
    ) -> PgResult<(Relational, Vec<Given>)> {
        let width = rows.first().map_or(0, Vec::len);
        if let Some(row) = rows.iter().find(|row| row.len() != width) {
            let message = "VALUES lists must all be the same length";
            let position = row.first().map_or(0, |field| field.position);
            return Err(PgError::new(SqlState::SYNTAX_ERROR, message).at(position));
        }
        let at = rows.first().and_then(|row| row.get(columns.len())).map_or(0, |field| field.position);
        check_width(width, columns.len(), explicit, at)?;
        let is_default = |field: &ast::Expression| matches!(field.kind, ExpressionKind::Default);
        let defaulted: Vec<bool> =
            (0..width).map(|index| rows.iter().all(|row| is_default(&row[index]))).collect();
        self.levels.push(Level::new(Clause::InsertValues));
        let mut bound = Vec::with_capacity(rows.len());
        for row in rows {
            match self.insert_row(row, table, columns, &defaulted) {
                Ok(row) => bound.push(row),
                Err(error) => {
                    self.levels.pop();
                    return Err(error);
                }
            }
        }
        let sets = !self.level().set_functions.is_empty();
        let mut numbers = Vec::new();
        let mut given = Vec::with_capacity(width);
        for (index, InsertTarget { column, .. }) in columns.iter().take(width).enumerate() {
            if defaulted[index] {
                given.push(Given::Default);
                continue;
            }
            let number = self.columns.computed(&column.name, column.column_type);
            numbers.push(number);
            given.push(Given::Column(number));
        }
        let plan =
            if sets { self.insert_set_row(bound, &numbers) } else { Ok(self.rows_plan(bound, &numbers)) };
        self.levels.pop();
        Ok((plan?, given))
    }

    /// One row whose set-returning functions make several of it.
    fn insert_set_row(&mut self, mut rows: Vec<BoundRow>, numbers: &[ColumnNumber]) -> PgResult<Relational> {
        if rows.len() != 1 {
            let message = "set-returning functions are not allowed in VALUES";
            return Err(PgError::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        let row = rows.remove(0);
        let functions = std::mem::take(&mut self.level().set_functions);
        let mut plan = Relational::unit();
        for pending in row.pending {
            plan = pending.attach(plan);
        }
        plan = Relational::ProjectSet(Box::new(crate::logical::ProjectSet { input: plan, functions }));
        plan = plan.deferred(row.deferred);
        let values = row.fields.into_iter().map(|(field, _)| field);
        Ok(plan.extend(numbers.iter().copied().zip(values).collect()))
    }

    fn insert_row(
        &mut self,
        row: &[ast::Expression],
        table: &Arc<Table>,
        columns: &[InsertTarget],
        defaulted: &[bool],
    ) -> PgResult<BoundRow> {
        let mut fields = Vec::with_capacity(row.len());
        for (index, field) in row.iter().enumerate() {
            if defaulted[index] {
                continue;
            }
            let InsertTarget { position, column, part } = &columns[index];
            let value = if matches!(field.kind, ExpressionKind::Default) {
                if *part {
                    let message = "cannot set a part of a column to DEFAULT";
                    return Err(PgError::new(SqlState::FEATURE_NOT_SUPPORTED, message).at(field.position));
                }
                let default = self.table_expressions(table)?.defaults[*position].clone();
                let (value, calls) = self.instantiate(&default);
                self.level().deferred.extend(calls);
                value
            } else {
                if column.identity == Some(Identity::Always) || column.generated.is_some() {
                    // Checked again for the whole list, where OVERRIDING counts.
                    let bound = self.bind(field)?;
                    self.assign(bound, column, field.position)?
                } else {
                    let bound = self.bind(field)?;
                    self.assign(bound, column, field.position)?
                }
            };
            fields.push((value, field.position));
        }
        let level = self.level();
        Ok(BoundRow {
            fields,
            pending: std::mem::take(&mut level.pending),
            deferred: std::mem::take(&mut level.deferred),
        })
    }

    /// Converts a value for a column (assignment).
    pub(super) fn assign(&mut self, value: Expr, column: &ColumnDescriptor, position: u32) -> PgResult<Expr> {
        let from = value.data_type();
        let cast = self.coerce(value, column.column_type, CastContext::Assignment, position)?;
        cast.ok_or_else(|| {
            let message = format!(
                "column \"{}\" is of type {} but expression is of type {}",
                column.name,
                self.type_label(column.column_type.data_type),
                self.type_label(from)
            );
            PgError::new(SqlState::DATATYPE_MISMATCH, message)
                .hint("You will need to rewrite or cast the expression.")
                .at(position)
        })
    }

    /// A default with numbers of its own.
    pub(super) fn instantiate(
        &mut self,
        default: &BoundDefault,
    ) -> (Expr, Vec<(ColumnNumber, DeferredCall)>) {
        let mut calls: Vec<(ColumnNumber, DeferredCall)> = Vec::with_capacity(default.deferred.len());
        for call in &default.deferred {
            let mut call = call.clone();
            for argument in &mut call.arguments {
                let known = |column: ColumnNumber| {
                    calls.get(column as usize).map(|(number, call)| Expr::column(*number, call.data_type))
                };
                replace_columns(argument, &known);
            }
            calls.push((self.columns.computed(call.function.name, call.data_type), call));
        }
        let mut value = default.value.clone();
        replace_columns(&mut value, &|column| {
            calls.get(column as usize).map(|(number, call)| Expr::column(*number, call.data_type))
        });
        (value, calls)
    }

    // --- Whole rows.

    /// Adds what the statement does not give: defaults, identity values, NULLs. Answers a column for each of the table's.
    fn complete_rows(
        &mut self,
        plan: Relational,
        table: &Arc<Table>,
        columns: &[usize],
        given: &[Given],
        overriding: Option<Overriding>,
    ) -> PgResult<(Relational, Vec<ColumnNumber>)> {
        let expressions = self.table_expressions(table)?;
        let mut deferred = Vec::new();
        let mut computed = Vec::new();
        let mut row = Vec::with_capacity(table.descriptor.columns.len());
        for (position, column) in table.descriptor.columns.iter().enumerate() {
            let stated =
                columns.iter().position(|known| *known == position).and_then(|index| given.get(index));
            let stated = match stated {
                Some(Given::Column(number)) => self.check_stated(column, overriding)?.then_some(*number),
                _ => None,
            };
            if let Some(number) = stated {
                row.push(number);
                continue;
            }
            let value = if column.generated.is_some() || column.state == ElementState::DeleteOnly {
                Expr::constant(Datum::Null, column.column_type.data_type)
            } else {
                let (value, calls) = self.instantiate(&expressions.defaults[position]);
                deferred.extend(calls);
                value
            };
            let number = self.columns.computed(&column.name, column.column_type);
            computed.push((number, value));
            row.push(number);
        }
        Ok((plan.deferred(deferred).extend(computed), row))
    }

    /// May the statement give a value for the column? False: OVERRIDING USER VALUE has the default taken instead.
    fn check_stated(&self, column: &ColumnDescriptor, overriding: Option<Overriding>) -> PgResult<bool> {
        let refuse = |detail: String| {
            let message = format!("cannot insert a non-DEFAULT value into column \"{}\"", column.name);
            PgError::new(SqlState::GENERATED_ALWAYS, message).detail(detail)
        };
        if column.generated.is_some() {
            return Err(refuse(format!("Column \"{}\" is a generated column.", column.name)));
        }
        match (column.identity, overriding) {
            (Some(_), Some(Overriding::User)) => Ok(false),
            (Some(Identity::Always), None) => Err(refuse(format!(
                "Column \"{}\" is an identity column defined as GENERATED ALWAYS.",
                column.name
            ))
            .hint("Use OVERRIDING SYSTEM VALUE to override.")),
            _ => Ok(true),
        }
    }

    /// The insert of a COPY FROM: rows come from outside. Answers the positions of the columns that they have.
    pub(crate) fn bind_copy_from(
        &mut self,
        name: &ast::ObjectName,
        listed: &[ast::Identifier],
    ) -> PgResult<(Relational, Arc<Table>, Vec<usize>)> {
        let table = self.find_target(name, "COPY FROM")?;
        let privileges = Privileges { insert: true, ..Privileges::default() };
        self.depend_on(table.descriptor.id, table.descriptor.version, privileges);
        self.writes = true;
        let listed: Vec<InsertColumn> = listed
            .iter()
            .map(|column| InsertColumn { name: column.clone(), indirection: Vec::new() })
            .collect();
        let targets = self.insert_columns(&table, &listed)?;
        let mut columns: Vec<usize> = targets.into_iter().map(|target| target.position).collect();
        for position in &columns {
            self.note_written(table.descriptor.id, table.descriptor.columns[*position].id, true);
        }
        for (position, column) in columns.iter().zip(&listed) {
            if table.descriptor.columns[*position].generated.is_some() {
                let message = format!("column \"{}\" is a generated column", column.name.name);
                return Err(PgError::new(SqlState::INVALID_COLUMN_REFERENCE, message)
                    .detail("Generated columns cannot be used in COPY."));
            }
        }
        columns.retain(|position| table.descriptor.columns[*position].generated.is_none());
        let numbers: Vec<ColumnNumber> = columns
            .iter()
            .map(|position| {
                let column = &table.descriptor.columns[*position];
                self.columns.computed(&column.name, column.column_type)
            })
            .collect();
        let feed =
            crate::logical::Feed { name: table.descriptor.name.as_str().into(), columns: numbers.clone() };
        let source = Relational::Feed(Box::new(feed));
        // What is read has not been checked against the conditions of domains.
        let (mut given, mut computed) = (Vec::with_capacity(numbers.len()), Vec::new());
        for (number, position) in numbers.into_iter().zip(&columns) {
            let column = &table.descriptor.columns[*position];
            if !column.column_type.data_type.is_user_type() {
                given.push(Given::Column(number));
                continue;
            }
            let value = self.constrained(Expr::column(number, column.column_type.data_type))?;
            let checked = self.columns.computed(&column.name, column.column_type);
            computed.push((checked, value));
            given.push(Given::Column(checked));
        }
        let source = source.extend(computed);
        let (source, row) = self.complete_rows(source, &table, &columns, &given, Some(Overriding::System))?;
        let expressions = self.table_expressions(&table)?;
        let node = Insert {
            source,
            row,
            new_row: Vec::new(),
            generated: expressions.generated.clone(),
            checks: expressions.checks.clone(),
            partial_indexes: expressions.partial_indexes.clone(),
            on_conflict: None,
            returning: false,
            table: table.clone(),
        };
        Ok((Relational::Insert(Box::new(node)), table, columns))
    }
}

/// VALUES by itself, without WITH, ORDER BY, LIMIT.
fn is_plain(query: &ast::Query) -> bool {
    query.with.is_none()
        && query.order_by.is_empty()
        && query.limit.is_none()
        && query.offset.is_none()
        && query.locking.is_empty()
}

fn check_width(expressions: usize, targets: usize, explicit: bool, position: u32) -> PgResult<()> {
    if expressions > targets {
        let message = "INSERT has more expressions than target columns";
        return Err(PgError::new(SqlState::SYNTAX_ERROR, message).at(position));
    }
    if explicit && expressions < targets {
        let message = "INSERT has more target columns than expressions";
        return Err(PgError::new(SqlState::SYNTAX_ERROR, message).at(position));
    }
    Ok(())
}
