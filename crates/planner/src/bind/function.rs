//! Function calls: scalar functions, aggregates, window functions, set-returning and deferred ones.

use super::Binder;
use super::level::{BoundAggregate, BoundWindowCall, Clause};
use crate::ast::{ExpressionKind, FunctionCall, Over};
use crate::logical::{ColumnNumber, columns_of};
use crate::plan::{DeferredCall, SetFunction};
use expr::resolve::{self, FunctionArguments, Resolved};
use expr::{CastContext, Expr, FunctionKind};
use types::{DataType, PgError, PgResult, SqlState};

/// Arguments of one call at most (FUNC_MAX_ARGS).
const ARGUMENTS_MAX: usize = 100;

/// Bound arguments with where they stand.
pub(super) struct Arguments {
    pub values: Vec<Expr>,
    pub positions: Vec<u32>,
}

impl Binder<'_> {
    pub(super) fn bind_function(&mut self, call: &FunctionCall) -> PgResult<Expr> {
        let position = call.position;
        if call.arguments.len() > ARGUMENTS_MAX {
            let message = format!("cannot pass more than {ARGUMENTS_MAX} arguments to a function");
            return Err(PgError::new(SqlState::TOO_MANY_ARGUMENTS, message).at(position));
        }
        if self.might_aggregate(call) {
            return self.bind_aggregate_or_window(call);
        }
        let arguments = self.bind_arguments(call)?;
        if let Some(cast) = self.cast_by_name(call, &arguments)? {
            return Ok(cast);
        }
        if let Some(called) = self.find_user_function(call, &arguments)? {
            self.note_function(call, &called);
            self.refuse_aggregate_clauses(call)?;
            return self.expand_scalar(called, arguments, position);
        }
        let arguments = self.place_named(call, arguments)?;
        let resolved = self.resolve_call(call, &arguments)?;
        self.refuse_aggregate_clauses(call)?;
        let kind = resolved.function.kind;
        let bound = self.call(resolved, arguments.values, &arguments.positions, position)?;
        match kind {
            FunctionKind::Set => self.set_function(bound, position),
            FunctionKind::Deferred => self.deferred_call(bound, position),
            _ => Ok(bound),
        }
    }

    /// Does any overload of the name aggregate, or is it a window function?
    fn might_aggregate(&self, call: &FunctionCall) -> bool {
        call.over.is_some()
            || expr::catalogue()
                .functions_named(call.name.name())
                .iter()
                .any(|function| matches!(function.kind, FunctionKind::Aggregate | FunctionKind::Window))
            || (call.star || call.filter.is_some() || call.within_group)
    }

    pub(super) fn bind_arguments(&mut self, call: &FunctionCall) -> PgResult<Arguments> {
        let mut arguments = Arguments { values: Vec::new(), positions: Vec::new() };
        for argument in &call.arguments {
            if let ExpressionKind::Wildcard(qualifier) = &argument.value.kind {
                // f(t.*) passes the whole row.
                if qualifier.is_empty() {
                    let message = "row expansion via \"*\" is not supported here";
                    return Err(PgError::new(SqlState::SYNTAX_ERROR, message).at(argument.value.position));
                }
                arguments.values.push(self.bind_whole_row(qualifier)?);
            } else {
                arguments.values.push(self.bind(&argument.value)?);
            }
            arguments.positions.push(argument.value.position);
        }
        Ok(arguments)
    }

    /// `int4(x)`: a type's name called as a function.
    fn cast_by_name(&mut self, call: &FunctionCall, arguments: &Arguments) -> PgResult<Option<Expr>> {
        let plain = !call.distinct
            && !call.star
            && !call.variadic
            && call.order_by.is_empty()
            && !call.special_syntax;
        let [input] = arguments.values.as_slice() else { return Ok(None) };
        if !plain || !matches!(call.name.schema(), None | Some("pg_catalog")) {
            return Ok(None);
        }
        let Some(to) = resolve::function_as_cast(call.name.name(), input.data_type()) else {
            return Ok(None);
        };
        self.coerce(input.clone(), to.into(), CastContext::Explicit, arguments.positions[0])
    }

    /// `name => value`: puts the arguments into the order of the function's parameters, with the defaults of those left out.
    /// 42883 when no function has such parameters.
    fn place_named(&self, call: &FunctionCall, arguments: Arguments) -> PgResult<Arguments> {
        let names: Vec<Option<&str>> =
            call.arguments.iter().map(|argument| argument.name.as_ref().map(|name| &*name.name)).collect();
        if names.iter().all(Option::is_none) {
            return Ok(arguments);
        }
        for function in expr::catalogue().functions_named(call.name.name()) {
            let Some(slots) = expr::signature::place(*function, &names) else { continue };
            let mut placed = Arguments { values: Vec::new(), positions: Vec::new() };
            for (parameter, slot) in slots.into_iter().enumerate() {
                let (value, position) = match slot {
                    Some(given) => (arguments.values[given].clone(), arguments.positions[given]),
                    None => (resolve::default_argument(*function, parameter), call.position),
                };
                placed.values.push(value);
                placed.positions.push(position);
            }
            return Ok(placed);
        }
        let described = names.iter().zip(&arguments.values).map(|(name, value)| {
            let data_type = self.type_label(value.data_type());
            name.map_or(data_type.clone(), |name| format!("{name} => {data_type}"))
        });
        let described = described.collect::<Vec<_>>().join(", ");
        let message = format!("function {}({described}) does not exist", call.name);
        Err(PgError::new(SqlState::UNDEFINED_FUNCTION, message)
            .hint("No function matches the given name and argument types. You might need to add explicit type casts.")
            .at(call.position))
    }

    pub(super) fn resolve_call(&mut self, call: &FunctionCall, arguments: &Arguments) -> PgResult<Resolved> {
        if let Some(database) = call.name.database()
            && database != self.options.database
        {
            let message = format!("cross-database references are not implemented: {}", call.name);
            return Err(PgError::new(SqlState::FEATURE_NOT_SUPPORTED, message).at(call.position));
        }
        let schema = if call.special_syntax { Some("pg_catalog") } else { call.name.schema() };
        if let Some(schema) = call.name.schema()
            && !self.schema_exists(schema)
        {
            let message = format!("schema \"{schema}\" does not exist");
            return Err(PgError::new(SqlState::INVALID_SCHEMA_NAME, message).at(call.position));
        }
        let types: Vec<DataType> = arguments.values.iter().map(Expr::data_type).collect();
        let passing = if call.variadic { FunctionArguments::VariadicArray } else { FunctionArguments::Plain };
        resolve::resolve_function(schema, call.name.name(), &types, passing)
            .map_err(|error| error.or_at(call.position))
    }

    /// DISTINCT, ORDER BY, FILTER and OVER are for aggregates.
    fn refuse_aggregate_clauses(&self, call: &FunctionCall) -> PgResult<()> {
        let name = call.name.name();
        let refuse = |what: String| Err(PgError::new(SqlState::WRONG_OBJECT_TYPE, what).at(call.position));
        if call.star {
            return refuse(format!("{name}(*) specified, but {name} is not an aggregate function"));
        }
        if call.distinct {
            return refuse(format!("DISTINCT specified, but {name} is not an aggregate function"));
        }
        if call.within_group {
            return refuse(format!("WITHIN GROUP specified, but {name} is not an aggregate function"));
        }
        if !call.order_by.is_empty() {
            return refuse(format!("ORDER BY specified, but {name} is not an aggregate function"));
        }
        if call.filter.is_some() {
            return refuse(format!("FILTER specified, but {name} is not an aggregate function"));
        }
        if call.over.is_some() {
            return refuse(format!(
                "OVER specified, but {name} is not a window function nor an aggregate function"
            ));
        }
        Ok(())
    }

    // --- Aggregates and window functions.

    fn bind_aggregate_or_window(&mut self, call: &FunctionCall) -> PgResult<Expr> {
        let position = call.position;
        // What the arguments collect belongs below the Aggregate; for a window function it is moved back.
        let outer_pending = std::mem::take(&mut self.level().pending);
        let was_in_aggregate = self.level().in_aggregate;
        let windowed = call.over.is_some();
        let references = self.level().references.len();
        if !windowed {
            self.level().in_aggregate = true;
        }
        let bound = self.bind_aggregate_parts(call, was_in_aggregate);
        self.level().in_aggregate = was_in_aggregate;
        let inner_pending = std::mem::replace(&mut self.level().pending, outer_pending);
        let (resolved, arguments, filter, order_by) = bound?;
        match resolved.function.kind {
            FunctionKind::Aggregate if !windowed => {
                let level = self.level();
                level.references.truncate(references);
                level.pending_below.extend(inner_pending);
                self.aggregate(call, resolved, arguments, filter, order_by)
            }
            FunctionKind::Aggregate | FunctionKind::Window => {
                self.level().pending.extend(inner_pending);
                self.window_function(call, resolved, arguments, filter)
            }
            kind => {
                self.level().pending.extend(inner_pending);
                self.refuse_aggregate_clauses(call)?;
                let bound = self.call(resolved, arguments.values, &arguments.positions, position)?;
                match kind {
                    FunctionKind::Set => self.set_function(bound, position),
                    FunctionKind::Deferred => self.deferred_call(bound, position),
                    _ => Ok(bound),
                }
            }
        }
    }

    /// Arguments, FILTER and ORDER BY of a call that may be an aggregate.
    #[allow(clippy::type_complexity)]
    fn bind_aggregate_parts(
        &mut self,
        call: &FunctionCall,
        nested: bool,
    ) -> PgResult<(Resolved, Arguments, Option<Expr>, Vec<(Expr, u32, bool, bool)>)> {
        let clause = self.level().clause;
        let mut arguments = self.bind_arguments(call)?;
        let mut order_by = Vec::with_capacity(call.order_by.len());
        for item in &call.order_by {
            let key = self.bind_typed(&item.expression)?;
            let (descending, nulls_first) = self.sort_direction(item)?;
            resolve::ordering(key.data_type()).map_err(|error| error.or_at(item.expression.position))?;
            order_by.push((key, item.expression.position, descending, nulls_first));
        }
        if call.within_group {
            // The keys are arguments as well, for the choice of the function.
            for (key, position, _, _) in &order_by {
                arguments.values.push(key.clone());
                arguments.positions.push(*position);
            }
        }
        let filter = match &call.filter {
            Some(filter) => {
                self.level().clause = Clause::Filter;
                let condition = self.bind_condition(filter, "FILTER");
                self.level().clause = clause;
                Some(condition?)
            }
            None => None,
        };
        if let Some(cast) = (call.over.is_none() && call.filter.is_none())
            .then(|| self.cast_by_name(call, &arguments))
            .transpose()?
            .flatten()
        {
            let _ = cast;
        }
        let resolved = self.resolve_call(call, &arguments)?;
        if nested && matches!(resolved.function.kind, FunctionKind::Aggregate) && call.over.is_none() {
            let message = "aggregate function calls cannot be nested";
            return Err(PgError::new(SqlState::GROUPING_ERROR, message).at(call.position));
        }
        Ok((resolved, arguments, filter, order_by))
    }

    fn aggregate(
        &mut self,
        call: &FunctionCall,
        resolved: Resolved,
        arguments: Arguments,
        filter: Option<Expr>,
        order_by: Vec<(Expr, u32, bool, bool)>,
    ) -> PgResult<Expr> {
        let position = call.position;
        if matches!(resolved.function.name, "count") && call.arguments.is_empty() && !call.star {
            let message = "count(*) must be used to call a parameterless aggregate function";
            return Err(PgError::new(SqlState::WRONG_OBJECT_TYPE, message).at(position));
        }
        if call.within_group {
            return Err(PgError::unsupported(format!(
                "the ordered-set aggregate {}",
                resolved.function.name
            ))
            .at(position));
        }
        let Expr::Call { function, arguments, data_type, .. } =
            self.call(resolved, arguments.values, &arguments.positions, position)?
        else {
            return Err(PgError::internal("an aggregate did not become a call"));
        };
        if call.distinct {
            if call.star || arguments.is_empty() {
                let message = "DISTINCT specified, but there is no argument";
                return Err(PgError::new(SqlState::SYNTAX_ERROR, message).at(position));
            }
            for argument in &arguments {
                resolve::equality(argument.data_type()).map_err(|error| error.or_at(position))?;
            }
            let listed =
                |key: &Expr| arguments.iter().any(|argument| crate::logical::same_expression(argument, key));
            if let Some((_, at, _, _)) = order_by.iter().find(|(key, _, _, _)| !listed(key)) {
                let message =
                    "in an aggregate with DISTINCT, ORDER BY expressions must appear in argument list";
                return Err(PgError::new(SqlState::INVALID_COLUMN_REFERENCE, message).at(*at));
            }
        }
        let aggregate = expr::Aggregate {
            function,
            arguments,
            distinct: call.distinct,
            filter,
            order_by: order_by
                .into_iter()
                .map(|(key, _, descending, nulls)| (key, descending, nulls))
                .collect(),
            data_type,
        };
        self.register_aggregate(aggregate, position)
    }

    /// Adds the aggregate to the level that it belongs to: the innermost whose columns its arguments use.
    fn register_aggregate(&mut self, aggregate: expr::Aggregate, position: u32) -> PgResult<Expr> {
        let mut used = crate::logical::ColumnSet::new();
        for argument in aggregate.arguments.iter().chain(&aggregate.filter) {
            used.union_with(&columns_of(argument));
        }
        let owner = if used.is_empty() { self.levels.len() - 1 } else { self.level_of_columns(&used) };
        let level = &self.levels[owner];
        level.clause.check_aggregate(position)?;
        if owner + 1 < self.levels.len() && level.in_aggregate {
            let message = "aggregate function calls cannot be nested";
            return Err(PgError::new(SqlState::GROUPING_ERROR, message).at(position));
        }
        if let Some(known) =
            level.aggregates.iter().find(|known| same_aggregate(&known.aggregate, &aggregate))
        {
            return Ok(self.columns.expr(known.column));
        }
        let data_type = aggregate.data_type;
        let column_type = match aggregate.arguments.as_slice() {
            // The padding of a char(n) is part of the value that is chosen.
            [argument] if data_type == DataType::Bpchar => self.column_type_of(argument),
            _ => data_type.into(),
        };
        let column = self.columns.computed(aggregate.function.name, column_type);
        self.levels[owner].aggregates.push(BoundAggregate { column, aggregate });
        Ok(Expr::column(column, data_type))
    }

    /// The innermost level one of whose columns is in the set.
    fn level_of_columns(&self, used: &crate::logical::ColumnSet) -> usize {
        for (index, level) in self.levels.iter().enumerate().rev() {
            let own = level
                .namespace
                .iter()
                .flat_map(|item| &item.columns)
                .any(|column| columns_of(&column.expr).intersects(used));
            if own {
                return index;
            }
        }
        self.levels.len() - 1
    }

    fn window_function(
        &mut self,
        call: &FunctionCall,
        resolved: Resolved,
        arguments: Arguments,
        filter: Option<Expr>,
    ) -> PgResult<Expr> {
        let position = call.position;
        let name = resolved.function.name;
        let is_window = matches!(resolved.function.kind, FunctionKind::Window);
        let refuse = |code, message: String| Err(PgError::new(code, message).at(position));
        let Some(over) = &call.over else {
            return refuse(
                SqlState::WRONG_OBJECT_TYPE,
                format!("window function {name} requires an OVER clause"),
            );
        };
        if call.distinct {
            return refuse(
                SqlState::FEATURE_NOT_SUPPORTED,
                "DISTINCT is not implemented for window functions".into(),
            );
        }
        if !call.order_by.is_empty() {
            let message = "aggregate ORDER BY is not implemented for window functions";
            return refuse(SqlState::FEATURE_NOT_SUPPORTED, message.into());
        }
        if filter.is_some() && is_window {
            let message = "FILTER is not implemented for non-aggregate window functions";
            return refuse(SqlState::FEATURE_NOT_SUPPORTED, message.into());
        }
        if call.star && is_window {
            let message = format!("{name}(*) specified, but {name} is not an aggregate function");
            return refuse(SqlState::WRONG_OBJECT_TYPE, message);
        }
        if self.level().in_window {
            return refuse(SqlState::WINDOWING_ERROR, "window function calls cannot be nested".into());
        }
        if self.level().in_aggregate {
            let message = "aggregate function calls cannot contain window function calls";
            return refuse(SqlState::GROUPING_ERROR, message.into());
        }
        self.level().clause.check_window(position)?;
        let Expr::Call { function, arguments, data_type, .. } =
            self.call(resolved, arguments.values, &arguments.positions, position)?
        else {
            return Err(PgError::internal("a window function did not become a call"));
        };
        let window = self.bind_over(over)?;
        let column = self.columns.computed(name, data_type);
        let call = expr::WindowCall { function, arguments, filter, data_type };
        self.level().window_calls.push(BoundWindowCall { column, call, window });
        Ok(Expr::column(column, data_type))
    }

    fn bind_over(&mut self, over: &Over) -> PgResult<usize> {
        let outer = (self.level().in_window, self.level().clause);
        self.level().in_window = true;
        let window = self.bind_window(over);
        (self.level().in_window, self.level().clause) = outer;
        let window = window?;
        let level = self.level();
        if let Some(known) = level.windows.iter().position(|known| *known == window) {
            return Ok(known);
        }
        level.windows.push(window);
        Ok(level.windows.len() - 1)
    }

    // --- Functions that become operators.

    /// A set-returning function in a SELECT list: its results are a column.
    fn set_function(&mut self, bound: Expr, position: u32) -> PgResult<Expr> {
        self.level().clause.check_set(position)?;
        if self.level().in_aggregate {
            let message = "aggregate function calls cannot contain set-returning function calls";
            return Err(PgError::new(SqlState::FEATURE_NOT_SUPPORTED, message)
                .hint("You might be able to move the set-returning function into a LATERAL FROM item.")
                .at(position));
        }
        if self.level().in_window {
            let message = "window function calls cannot contain set-returning function calls";
            return Err(PgError::new(SqlState::FEATURE_NOT_SUPPORTED, message)
                .hint("You might be able to move the set-returning function into a LATERAL FROM item.")
                .at(position));
        }
        let Expr::Call { function, arguments, data_type, .. } = bound else {
            return Err(PgError::internal("a set-returning function did not become a call"));
        };
        let column = self.columns.computed(function.name, data_type);
        let types: Vec<DataType> = arguments.iter().map(Expr::data_type).collect();
        if let Some(columns) = expr::set::columns(function, &types) {
            self.set_columns.insert(column, columns);
        }
        let call = SetFunction { expand: false, function, arguments, columns: vec![data_type], position };
        self.level().set_functions.push((column, call));
        Ok(Expr::column(column, data_type))
    }

    fn deferred_call(&mut self, bound: Expr, position: u32) -> PgResult<Expr> {
        let Expr::Call { function, arguments, data_type, .. } = bound else {
            return Err(PgError::internal("a deferred function did not become a call"));
        };
        if let Clause::Scalar(_) | Clause::JoinOn | Clause::Limit | Clause::Offset | Clause::FromFunction =
            self.level().clause
            && !self.defers_allowed()
        {
            let message = format!("the function {} in {}", function.name, self.level().clause.name());
            return Err(PgError::unsupported(message).at(position));
        }
        if self.level().in_window {
            let message = format!("the function {} in the argument of a window function", function.name);
            return Err(PgError::unsupported(message).at(position));
        }
        let column: ColumnNumber = self.columns.computed(function.name, data_type);
        let call = DeferredCall { function, arguments, data_type, position };
        let level = self.level();
        let calls = if level.in_aggregate { &mut level.deferred_below } else { &mut level.deferred };
        calls.push((column, call));
        self.writes |= matches!(function.name, "nextval" | "setval");
        Ok(Expr::column(column, data_type))
    }

    /// DEFAULT expressions are bound by themselves and may draw from a sequence.
    fn defers_allowed(&mut self) -> bool {
        matches!(self.level().clause, Clause::Scalar("DEFAULT expressions"))
    }
}

fn same_aggregate(left: &expr::Aggregate, right: &expr::Aggregate) -> bool {
    use crate::logical::same_expression;
    let same_list =
        |a: &[Expr], b: &[Expr]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_expression(a, b));
    let same_filter = match (&left.filter, &right.filter) {
        (None, None) => true,
        (Some(a), Some(b)) => same_expression(a, b),
        _ => false,
    };
    left.function == right.function
        && left.distinct == right.distinct
        && same_filter
        && same_list(&left.arguments, &right.arguments)
        && left.order_by.len() == right.order_by.len()
        && left
            .order_by
            .iter()
            .zip(&right.order_by)
            .all(|(a, b)| same_expression(&a.0, &b.0) && a.1 == b.1 && a.2 == b.2)
        && !left.arguments.iter().any(expr::eval::is_volatile)
}
