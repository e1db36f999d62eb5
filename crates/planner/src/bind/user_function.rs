//! Functions that users made, in language SQL: expanded where they are called.
//!
//! ```text
//!   f(x + 1) ──▶ overload chosen ──▶ arguments bound, converted ──▶ body bound with them for its parameters
//!                                                                     │ SELECT expression          ──▶ the expression
//!                                                                     │ a query                    ──▶ scalar subquery
//!                                                                     └ in FROM, rows              ──▶ lateral derived table
//! ```
//!
//! The body sees nothing of the statement around it but its parameters: the names in sight are put away while it is bound. It is
//! bound along the caller's search path, as PostgreSQL runs a body given as a string.
//!
//! An argument is copied to every place that names its parameter. One that must be evaluated exactly once (it is volatile) and is
//! named more than once is refused (0A000) rather than evaluated twice.

use super::function::Arguments;
use super::scope::{Item, item_column};
use super::select::Context;
use super::{Binder, NameUse};
use crate::ast::{ExpressionKind, FunctionCall, Query, QueryBody, StatementKind, TableFunction};
use crate::catalog::{Catalog, Relation};
use crate::logical::{JoinKind, Relational};
use crate::plan::Privileges;
use crate::{PlanOptions, parser};
use expr::resolve::{Signatures, choose_signature, instantiate_signature};
use expr::{CaseArm, CastContext, Expr, Volatility};
use std::cell::Cell;
use std::sync::Arc;
use types::descriptor::{FunctionDescriptor, FunctionParameterMode};
use types::{ColumnType, DataType, Datum, PgError, PgResult, SqlState};

/// Calls within calls at most.
const CALL_DEPTH_MAX: usize = 32;

/// The parameters of a function whose body is being bound.
pub(super) struct Frame {
    name: Box<str>,
    arguments: Vec<Argument>,
}

struct Argument {
    name: Option<Box<str>>,
    value: Expr,
    uses: Cell<u32>,
}

impl Argument {
    fn value(&self) -> Expr {
        self.uses.set(self.uses.get() + 1);
        self.value.clone()
    }
}

impl Frame {
    pub(super) fn numbered(&self, number: u16, position: u32) -> PgResult<Expr> {
        let found = self.arguments.get(usize::from(number) - 1).map(Argument::value);
        found.ok_or_else(|| {
            let message = format!("there is no parameter ${number}");
            PgError::new(SqlState::UNDEFINED_PARAMETER, message).at(position)
        })
    }

    pub(super) fn named(&self, name: &str) -> Option<Expr> {
        self.arguments.iter().find(|argument| argument.name.as_deref() == Some(name)).map(Argument::value)
    }

    pub(super) fn is_called(&self, name: &str) -> bool {
        *self.name == *name
    }
}

/// Where a parameter's value comes from.
#[derive(Clone, Copy, PartialEq)]
enum Source {
    Argument(usize),
    Default,
    /// VARIADIC: an array of the arguments from here on.
    Rest(usize),
}

/// A function chosen for a call.
pub(super) struct Called {
    function: Arc<FunctionDescriptor>,
    sources: Vec<Source>,
    /// Types of the arguments, and of the result, polymorphic ones bound.
    argument_types: Vec<DataType>,
    result: DataType,
}

/// A candidate seen with the arguments of a call.
struct Candidate {
    function: Arc<FunctionDescriptor>,
    sources: Vec<Source>,
    types: Vec<DataType>,
}

/// What a function gives.
enum Shape {
    Void,
    Scalar(ColumnType),
    Row(Vec<(Box<str>, ColumnType)>),
}

/// Binds a body as calls will, so that one that makes no sense fails when it is defined.
pub(crate) fn check_body(
    function: &Arc<FunctionDescriptor>,
    catalog: &dyn Catalog,
    options: &PlanOptions,
) -> PgResult<()> {
    let polymorphic = function.parameters.iter().any(|p| p.column_type.data_type.is_polymorphic());
    let query = body_of(function)?;
    if polymorphic {
        return Ok(());
    }
    let mut binder = Binder::new(catalog, options, super::Parameters::none());
    let sources: Vec<Source> = (0..function.inputs().count()).map(Source::Argument).collect();
    let argument_types: Vec<DataType> = function.inputs().map(|p| p.column_type.data_type).collect();
    let values = argument_types
        .iter()
        .map(|data_type| Expr::Parameter { index: 0, data_type: *data_type })
        .collect::<Vec<_>>();
    let called =
        Called { function: function.clone(), sources, argument_types, result: function.result.data_type };
    let shape = binder.shape(&called)?;
    let arguments = Arguments { positions: vec![0; values.len()], values };
    binder.in_frame(called, arguments, |binder, function| {
        let output = binder.bind_query(&query, Context::default())?;
        let given: Vec<Expr> = output.targets.iter().map(|t| binder.columns.expr(t.column)).collect();
        binder.convert_results(function, given, &shape).map(drop)
    })
}

/// The query of a body: its only statement.
fn body_of(function: &FunctionDescriptor) -> PgResult<Query> {
    let mut statements = parser::parse(&function.body)?.into_iter();
    let (first, second) = (statements.next(), statements.next());
    match (first.map(|statement| statement.kind), second) {
        (Some(StatementKind::Select(query)), None) => Ok(*query),
        (None, _) => {
            let text = if function.result.data_type == DataType::Void { "SELECT NULL" } else { "" };
            match parser::parse(text)?.into_iter().next().map(|statement| statement.kind) {
                Some(StatementKind::Select(query)) => Ok(*query),
                _ => Err(mismatch(
                    function,
                    "Function's final statement must be SELECT or INSERT/UPDATE/DELETE RETURNING.",
                )),
            }
        }
        (Some(_), Some(_)) => Err(PgError::unsupported("a function of several statements in language SQL")),
        (Some(_), None) => Err(PgError::unsupported("a function in language SQL that is not a query")),
    }
}

fn mismatch(function: &FunctionDescriptor, detail: &str) -> PgError {
    let declared = function.result.data_type;
    PgError::new(
        SqlState::INVALID_FUNCTION_DEFINITION,
        format!("return type mismatch in function declared to return {declared}"),
    )
    .detail(detail)
}

impl Binder<'_> {
    /// The user's function that a call means; `None` when it is a built-in one, or none at all.
    pub(super) fn note_function(&mut self, call: &FunctionCall, called: &Called) {
        if call.name.schema().is_none() {
            self.note_name(call.name.position(), || NameUse::Function(called.function.id));
        }
    }

    pub(super) fn find_user_function(
        &mut self,
        call: &FunctionCall,
        arguments: &Arguments,
    ) -> PgResult<Option<Called>> {
        if call.special_syntax || call.star {
            return Ok(None);
        }
        let mut functions: Vec<Arc<FunctionDescriptor>> = Vec::new();
        match call.name.schema() {
            Some(schema) => functions = self.catalog.functions(schema, call.name.name()),
            None => {
                for schema in self.schemas() {
                    for function in self.catalog.functions(schema, call.name.name()) {
                        // An earlier schema hides the same signature in a later one.
                        if !functions.iter().any(|known| known.identity == function.identity) {
                            functions.push(function);
                        }
                    }
                }
            }
        }
        if functions.is_empty() {
            return Ok(None);
        }
        let types: Vec<DataType> = arguments.values.iter().map(Expr::data_type).collect();
        let candidates: Vec<Candidate> =
            functions.into_iter().filter_map(|function| candidate(function, call)).collect();
        let signatures: Vec<Vec<DataType>> =
            candidates.iter().map(|candidate| candidate.types.clone()).collect();
        let named = call.arguments.iter().any(|argument| argument.name.is_some());
        let built_in = !named && self.resolve_call(call, arguments).is_ok();
        match choose_signature(&types, &signatures) {
            Signatures::One { exact, .. } if built_in && !exact => Ok(None),
            Signatures::One { position, .. } => {
                let Candidate { function, sources, types: declared } =
                    candidates.into_iter().nth(position).expect("chosen among them");
                let (argument_types, result) =
                    instantiate_signature(&types, &declared, function.result.data_type)?;
                Ok(Some(Called { function, sources, argument_types, result }))
            }
            _ if built_in => Ok(None),
            Signatures::None => Ok(None),
            Signatures::Several => {
                let listed: Vec<String> = types.iter().map(ToString::to_string).collect();
                let message = format!("function {}({}) is not unique", call.name, listed.join(", "));
                Err(PgError::new(SqlState::AMBIGUOUS_FUNCTION, message)
                    .hint("Could not choose a best candidate function. You might need to add explicit type casts.")
                    .at(call.position))
            }
        }
    }

    fn shape(&self, called: &Called) -> PgResult<Shape> {
        let function = &called.function;
        let outputs: Vec<_> = function.outputs().collect();
        if let Some(relation) = function.result_relation {
            let Some(Relation::Table(table)) = self.catalog.relation_by_id(relation)? else {
                return Err(PgError::unsupported("a function that returns rows of what is no table"));
            };
            let shown = table.descriptor.columns.iter().filter(|column| !column.hidden);
            return Ok(Shape::Row(
                shown.map(|column| (column.name.as_str().into(), column.column_type)).collect(),
            ));
        }
        Ok(match outputs.as_slice() {
            [] if called.result == DataType::Void => Shape::Void,
            [] if called.result == DataType::Record => {
                return Err(PgError::unsupported("a function that returns record without output parameters"));
            }
            [] => Shape::Scalar(called.result.into()),
            [only] => Shape::Scalar(only.column_type),
            several => Shape::Row(
                several
                    .iter()
                    .enumerate()
                    .map(|(index, parameter)| {
                        let name = parameter.name.clone().unwrap_or_else(|| format!("column{}", index + 1));
                        (name.into_boxed_str(), parameter.column_type)
                    })
                    .collect(),
            ),
        })
    }

    /// Binds with a function's parameters in sight and nothing else.
    fn in_frame<T>(
        &mut self,
        called: Called,
        arguments: Arguments,
        bind: impl FnOnce(&mut Self, &FunctionDescriptor) -> PgResult<T>,
    ) -> PgResult<T> {
        if self.frames.len() >= CALL_DEPTH_MAX {
            return Err(PgError::new(SqlState::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded"));
        }
        let function = called.function.clone();
        let privileges = Privileges { execute: true, ..Privileges::default() };
        self.depend_on(function.id, function.version, privileges);
        let frame = self.frame(called, arguments)?;
        let namespaces: Vec<Vec<Item>> =
            self.levels.iter_mut().map(|level| std::mem::take(&mut level.namespace)).collect();
        let ctes = std::mem::take(&mut self.ctes);
        let definer = function.security_definer.then(|| function.owner.as_str().into());
        let check_as = definer.map(|owner| self.check_as.replace(owner));
        self.frames.push(frame);
        let bound = stacker::maybe_grow(256 << 10, 2 << 20, || bind(self, &function));
        let frame = self.frames.pop().expect("pushed above");
        if let Some(check_as) = check_as {
            self.check_as = check_as;
        }
        self.ctes = ctes;
        for (level, namespace) in self.levels.iter_mut().zip(namespaces) {
            level.namespace = namespace;
        }
        // Positions within the body mean nothing to the client.
        let bound = bound.map_err(|mut error| {
            error.fields_mut().position = None;
            error.context(format!("SQL function \"{}\"", function.name))
        })?;
        if frame.arguments.iter().any(|argument| argument.uses.get() > 1 && is_volatile(&argument.value)) {
            return Err(PgError::unsupported(
                "a volatile argument of a function in language SQL that uses it more than once",
            ));
        }
        Ok(bound)
    }

    fn frame(&mut self, called: Called, arguments: Arguments) -> PgResult<Frame> {
        let function = called.function;
        let mut converted = Vec::with_capacity(arguments.values.len());
        let pairs = arguments.values.into_iter().zip(arguments.positions).zip(&called.argument_types);
        for ((value, position), data_type) in pairs {
            let from = value.data_type();
            let cast = self.coerce(value, (*data_type).into(), CastContext::Implicit, position)?;
            converted.push(cast.ok_or_else(|| {
                let message = format!("cannot cast type {from} to {data_type}");
                PgError::new(SqlState::CANNOT_COERCE, message).at(position)
            })?);
        }
        let mut values = Vec::with_capacity(called.sources.len());
        for (parameter, source) in function.inputs().zip(&called.sources) {
            let value = match source {
                Source::Argument(index) => converted[*index].clone(),
                Source::Rest(from) => {
                    let elements = converted[*from..].to_vec();
                    let data_type = match elements.first() {
                        Some(first) => DataType::array_of(first.data_type()),
                        None => parameter.column_type.data_type,
                    };
                    Expr::Array { elements, data_type, nested: false }
                }
                Source::Default => {
                    let text = parameter.default.as_deref().unwrap_or("NULL");
                    let expression = parser::parse_expression(text)?;
                    let bound = self.bind(&expression)?;
                    let cast = self.coerce(bound, parameter.column_type, CastContext::Assignment, 0)?;
                    cast.ok_or_else(|| PgError::internal("a default has lost its type"))?
                }
            };
            let name = parameter.name.as_deref().map(Into::into);
            values.push(Argument { name, value, uses: Cell::new(0) });
        }
        Ok(Frame { name: function.name.as_str().into(), arguments: values })
    }

    /// A call within an expression.
    pub(super) fn expand_scalar(
        &mut self,
        called: Called,
        arguments: Arguments,
        position: u32,
    ) -> PgResult<Expr> {
        let function = called.function.clone();
        require_sql(&function, position)?;
        if function.returns_set {
            return Err(
                PgError::unsupported("a set-returning function of a user's outside of FROM").at(position)
            );
        }
        let shape = self.shape(&called)?;
        let guards: Vec<Expr> = if function.strict { arguments.values.clone() } else { Vec::new() };
        let value = self
            .in_frame(called, arguments, |binder, function| binder.expand_body(function, &shape, position))?;
        if guards.is_empty() {
            return Ok(value);
        }
        // STRICT: NULL as soon as an argument is.
        let tests = guards
            .into_iter()
            .map(|input| Expr::IsNull { input: Box::new(input), negated: false })
            .collect::<Vec<_>>();
        let data_type = value.data_type();
        let arm = CaseArm { condition: Expr::Or(tests), result: Expr::constant(Datum::Null, data_type) };
        Ok(Expr::Case { operand: None, arms: vec![arm], otherwise: Some(Box::new(value)), data_type })
    }

    fn expand_body(&mut self, function: &FunctionDescriptor, shape: &Shape, position: u32) -> PgResult<Expr> {
        let query = body_of(function)?;
        if let Some(expression) = lone_expression(&query) {
            let sets = self.level().set_functions.len();
            let bound = self.bind_typed(expression)?;
            if self.level().set_functions.len() > sets {
                return Err(PgError::unsupported("a set-returning function in a function in language SQL"));
            }
            if !matches!(shape, Shape::Row(_)) {
                let mut values = self.convert_results(function, vec![bound], shape)?;
                return Ok(values.pop().unwrap_or_else(|| Expr::constant(Datum::text(""), DataType::Void)));
            }
        }
        let query = first_row_of(query);
        match shape {
            Shape::Row(columns) => {
                let (row, types) = self.bind_row_value(&query)?;
                let fields = super::subquery::row_fields(&row, &types);
                let fields = self.convert_results(function, fields, shape)?;
                let names = columns.iter().map(|(name, _)| name.clone()).collect();
                Ok(Expr::Row { fields, names, data_type: DataType::Record })
            }
            Shape::Void => {
                self.bind_scalar_subquery(&query, position)?;
                Ok(Expr::constant(Datum::text(""), DataType::Void))
            }
            Shape::Scalar(_) => {
                let value = self.bind_scalar_subquery(&query, position)?;
                let mut values = self.convert_results(function, vec![value], shape)?;
                values.pop().ok_or_else(|| PgError::internal("a function lost its result"))
            }
        }
    }

    /// What the body gives, converted to what the function is declared to return. Errors: 42P13.
    fn convert_results(
        &mut self,
        function: &FunctionDescriptor,
        given: Vec<Expr>,
        shape: &Shape,
    ) -> PgResult<Vec<Expr>> {
        let wanted: Vec<ColumnType> = match shape {
            Shape::Void => return Ok(Vec::new()),
            Shape::Scalar(column_type) => vec![*column_type],
            Shape::Row(columns) => columns.iter().map(|(_, column_type)| *column_type).collect(),
        };
        if given.len() != wanted.len() {
            let detail = match (shape, given.len() < wanted.len()) {
                (Shape::Scalar(_), _) => "Final statement must return exactly one column.",
                (_, true) => "Final statement returns too few columns.",
                (_, false) => "Final statement returns too many columns.",
            };
            return Err(mismatch(function, detail));
        }
        let mut converted = Vec::with_capacity(wanted.len());
        for (index, (value, to)) in given.into_iter().zip(wanted).enumerate() {
            let from = value.data_type();
            let cast = self.coerce(value, to, CastContext::Assignment, 0)?;
            converted.push(cast.ok_or_else(|| {
                let detail = match shape {
                    Shape::Row(_) => format!(
                        "Final statement returns {from} instead of {} at column {}.",
                        to.data_type,
                        index + 1
                    ),
                    _ => format!("Actual return type is {from}."),
                };
                mismatch(function, &detail)
            })?);
        }
        Ok(converted)
    }

    /// A user's function in FROM that gives rows; `None` for anything else.
    pub(super) fn bind_user_function_in_from(
        &mut self,
        function: &TableFunction,
    ) -> PgResult<Option<(Relational, Item)>> {
        let [item] = function.functions.as_slice() else { return Ok(None) };
        let ExpressionKind::Function(call) = &item.call.kind else { return Ok(None) };
        let known = self
            .schemas()
            .into_iter()
            .any(|schema| !self.catalog.functions(schema, call.name.name()).is_empty());
        let qualified = call
            .name
            .schema()
            .is_some_and(|schema| !self.catalog.functions(schema, call.name.name()).is_empty());
        if !known && !qualified {
            return Ok(None);
        }
        let arguments = self.bind_arguments(call)?;
        let Some(called) = self.find_user_function(call, &arguments)? else { return Ok(None) };
        self.note_function(call, &called);
        require_sql(&called.function, call.position)?;
        let shape = self.shape(&called)?;
        let descriptor = called.function.clone();
        if !descriptor.returns_set && !matches!(shape, Shape::Row(_)) {
            return Ok(None);
        }
        if function.ordinality {
            return Err(
                PgError::unsupported("WITH ORDINALITY of a function in language SQL").at(call.position)
            );
        }
        let strict = descriptor.strict.then(|| arguments.values.clone());
        let (mut plan, values) = self.in_frame(called, arguments, |binder, function| {
            let query = body_of(function)?;
            let query = if function.returns_set { query } else { first_row_of(query) };
            let output = binder.bind_query(&query, Context::default())?;
            let given: Vec<Expr> = output.targets.iter().map(|t| binder.columns.expr(t.column)).collect();
            let values = binder.convert_results(function, given, &shape)?;
            Ok((output.plan, values))
        })?;
        let columns: Vec<(Box<str>, ColumnType)> = match (&shape, descriptor.outputs().next()) {
            (Shape::Row(columns), _) => columns.clone(),
            (Shape::Scalar(column_type), output) => {
                let own = output.and_then(|parameter| parameter.name.clone());
                let alias = function.alias.as_ref().map(|alias| alias.name.name.to_string());
                let name = own.or(alias).unwrap_or_else(|| descriptor.name.clone());
                vec![(name.into_boxed_str(), *column_type)]
            }
            (Shape::Void, _) => vec![(descriptor.name.as_str().into(), DataType::Void.into())],
        };
        if let Some(arguments) = strict {
            let not_null = |input| Expr::IsNull { input: Box::new(input), negated: true };
            plan = plan.filter(arguments.into_iter().map(not_null).collect());
        }
        let mut computed = Vec::with_capacity(values.len());
        let mut shown = Vec::with_capacity(values.len());
        for ((name, column_type), value) in columns.iter().zip(values) {
            let number = self.columns.computed(name, *column_type);
            computed.push((number, value));
            shown.push(item_column(name, number, *column_type, false));
        }
        plan = plan.extend(computed);
        if !descriptor.returns_set {
            plan = Relational::unit().join(JoinKind::Left, plan, Vec::new());
        }
        let mut item = Item::new(None, shown);
        super::relation::apply_alias(&mut item, function.alias.as_ref(), &descriptor.name)?;
        Ok(Some((plan, item)))
    }
}

fn require_sql(function: &FunctionDescriptor, position: u32) -> PgResult<()> {
    if function.procedure {
        let message = format!("{} is a procedure", function.name);
        return Err(PgError::new(SqlState::WRONG_OBJECT_TYPE, message)
            .hint("To call a procedure, use CALL.")
            .at(position));
    }
    match function.language.as_str() {
        "sql" => Ok(()),
        other => Err(PgError::unsupported(format!("functions in language {other}")).at(position)),
    }
}

/// The arguments of a call over a function's parameters; `None` when they do not fit by number or name.
fn candidate(function: Arc<FunctionDescriptor>, call: &FunctionCall) -> Option<Candidate> {
    let inputs: Vec<_> = function.inputs().cloned().collect();
    let given = call.arguments.len();
    let mut sources: Vec<Option<Source>> = vec![None; inputs.len()];
    let mut types: Vec<Option<DataType>> = vec![None; given];
    let variadic = inputs.last().is_some_and(|p| p.mode == FunctionParameterMode::Variadic);
    if call.variadic && !variadic {
        return None;
    }
    for (index, argument) in call.arguments.iter().enumerate() {
        let at = match &argument.name {
            Some(name) => inputs.iter().position(|p| p.name.as_deref() == Some(&*name.name))?,
            None => index,
        };
        let collects = variadic && !call.variadic && argument.name.is_none() && at + 1 >= inputs.len();
        if collects {
            let last = inputs.len() - 1;
            sources[last] = Some(sources[last].unwrap_or(Source::Rest(index)));
            let array = inputs[last].column_type.data_type;
            types[index] = Some(array.element().unwrap_or(array));
            continue;
        }
        let parameter = inputs.get(at)?;
        if sources[at].is_some() {
            return None;
        }
        sources[at] = Some(Source::Argument(index));
        types[index] = Some(parameter.column_type.data_type);
    }
    let sources = sources
        .into_iter()
        .zip(&inputs)
        .map(|(source, parameter)| source.or(parameter.default.is_some().then_some(Source::Default)))
        .collect::<Option<Vec<Source>>>()?;
    Some(Candidate { function, sources, types: types.into_iter().collect::<Option<Vec<_>>>()? })
}

/// `SELECT expression` and nothing more.
fn lone_expression(query: &Query) -> Option<&crate::ast::Expression> {
    let plain = query.with.is_none()
        && query.order_by.is_empty()
        && query.limit.is_none()
        && query.offset.is_none()
        && query.locking.is_empty();
    let QueryBody::Select(select) = &query.body else { return None };
    let bare = select.from.is_empty()
        && select.filter.is_none()
        && select.group_by.is_empty()
        && select.having.is_none()
        && matches!(select.distinct, crate::ast::Distinct::All);
    match select.items.as_slice() {
        [item] if plain && bare && !has_aggregate(&item.expression) => Some(&item.expression),
        _ => None,
    }
}

/// Whether a call of it would make the body an aggregate query of its own.
fn has_aggregate(expression: &crate::ast::Expression) -> bool {
    match &expression.kind {
        ExpressionKind::Literal(_) | ExpressionKind::Parameter(_) | ExpressionKind::Column(_) => false,
        ExpressionKind::Binary(_, left, right) => has_aggregate(left) || has_aggregate(right),
        ExpressionKind::Unary(_, operand) | ExpressionKind::Cast(operand, _) => has_aggregate(operand),
        ExpressionKind::Function(call) => {
            let aggregates = expr::catalogue().functions_named(call.name.name());
            let is_aggregate = aggregates.iter().any(|f| {
                matches!(
                    f.kind,
                    expr::FunctionKind::Aggregate | expr::FunctionKind::Window | expr::FunctionKind::Set
                )
            });
            is_aggregate
                || call.over.is_some()
                || call.arguments.iter().any(|argument| has_aggregate(&argument.value))
        }
        ExpressionKind::Coalesce(list) | ExpressionKind::And(list) | ExpressionKind::Or(list) => {
            list.iter().any(has_aggregate)
        }
        // Subqueries have aggregates of their own; the rest goes the long way.
        ExpressionKind::Subquery(_) | ExpressionKind::Exists(_) => false,
        ExpressionKind::Case(case) => {
            let arms =
                case.arms.iter().any(|arm| has_aggregate(&arm.condition) || has_aggregate(&arm.result));
            arms || case.otherwise.as_ref().is_some_and(has_aggregate)
        }
        _ => true,
    }
}

/// The query with at most one row.
fn first_row_of(mut query: Query) -> Query {
    let limited = query.limit.is_some() || !query.locking.is_empty();
    if !limited {
        query.limit = parser::parse_expression("1").ok();
    }
    query
}

/// Must be evaluated exactly once.
fn is_volatile(expr: &Expr) -> bool {
    let own = matches!(expr, Expr::Call { function, .. } if function.volatility == Volatility::Volatile);
    let mut found = own;
    expr.for_each_child(&mut |child| found = found || is_volatile(child));
    found
}
