//! Queries and SELECT.
//!
//! A SELECT is bound in PostgreSQL's order of clauses and then built from the inside out:
//!
//! ```text
//!   FROM -> subqueries of WHERE -> Filter -> subqueries of aggregate arguments -> Aggregate -> Filter (HAVING)
//!        -> other subqueries -> windows -> set-returning functions -> deferred calls -> Extend (SELECT list, sort keys)
//!        -> Distinct -> Sort -> LockRows -> Limit
//! ```

use super::Binder;
use super::grouping::Grouping;
use super::level::{BoundWindow, BoundWindowCall, Clause, Level, Pending};
use super::order::SortItem;
use crate::ast::{Distinct, Query, QueryBody, Select};
use crate::logical::{
    self, ColumnNumber, ColumnSet, Limit, ProjectSet, Relational, Sort, SortKey, Window, collect_columns,
    columns_of, conjuncts, same_expression,
};
use expr::{CastContext, Expr};
use types::{ColumnType, DataType, PgError, PgResult, SqlState};

/// How a query is to be bound.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context {
    /// Untyped literals of the SELECT list become text (not in a set operation or INSERT ... SELECT, where the other side decides).
    pub resolve_unknown: bool,
}

impl Default for Context {
    fn default() -> Self {
        Context { resolve_unknown: true }
    }
}

/// A column of a query's result.
#[derive(Clone, Debug)]
pub(crate) struct OutputTarget {
    pub name: Box<str>,
    pub column: ColumnNumber,
    /// An untyped literal or parameter, whose type the context will decide, and where it stands.
    pub untyped: Option<(Expr, u32)>,
}

/// A bound query.
#[derive(Clone, Debug)]
pub(crate) struct QueryOutput {
    pub plan: Relational,
    pub targets: Vec<OutputTarget>,
}

/// An entry of the SELECT list; `junk` ones exist for sorting and grouping only.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub name: Box<str>,
    pub expr: Expr,
    pub position: u32,
    pub junk: bool,
}

/// A condition with the subqueries and calls that it needs below it.
#[derive(Default)]
struct Condition {
    conditions: Vec<Expr>,
    pending: Vec<Pending>,
    deferred: Vec<(ColumnNumber, crate::plan::DeferredCall)>,
}

/// The bound clauses of a SELECT.
struct Parts {
    filter: Condition,
    having: Option<Condition>,
    targets: Vec<Target>,
    sort: Vec<SortItem>,
    /// Targets of DISTINCT ON.
    distinct_on: Option<Vec<usize>>,
    grouping: Option<Grouping>,
    count: Option<Expr>,
    offset: Option<Expr>,
}

impl Binder<'_> {
    /// Binds a query with its WITH.
    pub(super) fn bind_query(&mut self, query: &Query, context: Context) -> PgResult<QueryOutput> {
        stacker::maybe_grow(256 << 10, 2 << 20, || {
            let (plan, targets) = self.bind_within(query.with.as_ref(), |binder| {
                let output = binder.bind_body(query, context)?;
                Ok((output.plan, output.targets))
            })?;
            Ok(QueryOutput { plan, targets })
        })
    }

    fn bind_body(&mut self, query: &Query, context: Context) -> PgResult<QueryOutput> {
        match &query.body {
            QueryBody::Select(select) => {
                self.levels.push(Level::new(Clause::SelectList));
                let output = self.bind_select(query, select, context);
                self.levels.pop();
                output
            }
            QueryBody::Values(rows) => self.bind_values_query(query, rows, context),
            QueryBody::SetOperation(operation) => self.bind_set_operation(query, operation, context),
        }
    }

    // --- SELECT.

    fn bind_select(&mut self, query: &Query, select: &Select, context: Context) -> PgResult<QueryOutput> {
        if let Some(into) = &select.into {
            return Err(PgError::unsupported("SELECT INTO in this place").at(into.name.position()));
        }
        self.check_windows(select)?;
        let input = self.bind_from(&select.from)?;
        if let Some(as_of) = &select.as_of {
            self.bind_as_of(as_of)?;
        }
        let parts = self.bind_parts(query, select, &input, context)?;
        self.build_select(query, select, input, parts)
    }

    fn check_windows(&mut self, select: &Select) -> PgResult<()> {
        for (index, (name, window)) in select.windows.iter().enumerate() {
            if select.windows[..index].iter().any(|(other, _)| other.name == name.name) {
                let message = format!("window \"{}\" is already defined", name.name);
                return Err(PgError::new(SqlState::WINDOWING_ERROR, message).at(name.position));
            }
            self.level().named_windows.push((name.name.clone(), window.clone()));
        }
        Ok(())
    }

    fn bind_as_of(&mut self, expression: &crate::ast::Expression) -> PgResult<()> {
        if self.as_of.is_some() {
            let message = "AS OF SYSTEM TIME may stand only once in a statement";
            return Err(PgError::new(SqlState::SYNTAX_ERROR, message).at(expression.position));
        }
        self.as_of = Some(self.bind_instant(expression)?);
        Ok(())
    }

    /// The expression of AS OF SYSTEM TIME. It is evaluated before the statement is planned, and so without its parameters.
    pub(super) fn bind_instant(&mut self, expression: &crate::ast::Expression) -> PgResult<expr::Expr> {
        if is_parameter(expression) {
            return Err(PgError::unsupported("a parameter in AS OF SYSTEM TIME").at(expression.position));
        }
        self.levels.push(Level::new(Clause::Scalar("AS OF SYSTEM TIME")));
        let bound = self.bind_typed(expression);
        self.levels.pop();
        let bound = bound?;
        let allowed = matches!(
            bound.data_type(),
            DataType::Text
                | DataType::Interval
                | DataType::TimestampTz
                | DataType::Timestamp
                | DataType::Numeric
                | DataType::Int4
                | DataType::Int8
        );
        if !allowed || !columns_of(&bound).is_empty() {
            let message = "AS OF SYSTEM TIME must be a constant timestamp or interval";
            return Err(PgError::new(SqlState::DATATYPE_MISMATCH, message).at(expression.position));
        }
        Ok(bound)
    }

    fn bind_parts(
        &mut self,
        query: &Query,
        select: &Select,
        input: &Relational,
        context: Context,
    ) -> PgResult<Parts> {
        self.level().clause = Clause::SelectList;
        let mut targets = self.bind_targets(&select.items)?;
        let filter = match &select.filter {
            Some(filter) => self.bind_separately(Clause::Where, filter, "WHERE")?,
            None => Condition::default(),
        };
        let having = match &select.having {
            Some(having) => Some(self.bind_separately(Clause::Having, having, "HAVING")?),
            None => None,
        };
        self.level().clause = Clause::OrderBy;
        let sort = self.bind_order_by(&query.order_by, &mut targets)?;
        let grouping = self.bind_group_by(select, &mut targets, having.is_some())?;
        let distinct_on = match &select.distinct {
            Distinct::On(list) => {
                self.level().clause = Clause::DistinctOn;
                Some(self.bind_distinct_on(list, &mut targets, &sort)?)
            }
            Distinct::Distinct => {
                check_distinct_order(&targets, &sort)?;
                None
            }
            Distinct::All => None,
        };
        let (count, offset) = self.bind_limit(query)?;
        for target in targets.iter_mut().filter(|target| context.resolve_unknown || target.junk) {
            let expr =
                std::mem::replace(&mut target.expr, Expr::constant(types::Datum::Null, DataType::Unknown));
            target.expr = self.settle_unknown(expr, target.position)?;
        }
        let mut parts = Parts { filter, having, targets, sort, distinct_on, grouping, count, offset };
        self.regroup(&mut parts, input)?;
        Ok(parts)
    }

    /// A condition whose subqueries and deferred calls are kept with it.
    fn bind_separately(
        &mut self,
        clause: Clause,
        expression: &crate::ast::Expression,
        construct: &str,
    ) -> PgResult<Condition> {
        let level = self.level();
        level.clause = clause;
        let pending = std::mem::take(&mut level.pending);
        let deferred = std::mem::take(&mut level.deferred);
        let bound = self.bind_condition(expression, construct);
        let level = self.level();
        let mine = Condition {
            conditions: Vec::new(),
            pending: std::mem::replace(&mut level.pending, pending),
            deferred: std::mem::replace(&mut level.deferred, deferred),
        };
        Ok(Condition { conditions: conjuncts(bound?), ..mine })
    }

    /// Rewrites everything above the grouping over its keys, and refuses ungrouped columns.
    fn regroup(&mut self, parts: &mut Parts, input: &Relational) -> PgResult<()> {
        let Some(mut grouping) = parts.grouping.take() else { return Ok(()) };
        let produced = input.produced();
        grouping.input = produced;
        for target in &mut parts.targets {
            self.regroup_expr(&mut grouping, &mut target.expr)?;
        }
        if let Some(having) = &mut parts.having {
            for condition in &mut having.conditions {
                self.regroup_expr(&mut grouping, condition)?;
            }
            self.regroup_pending(&mut grouping, &mut having.pending)?;
        }
        let level = self.level();
        let mut windows = std::mem::take(&mut level.windows);
        let mut calls = std::mem::take(&mut level.window_calls);
        let mut sets = std::mem::take(&mut level.set_functions);
        let mut deferred = std::mem::take(&mut level.deferred);
        let mut pending = std::mem::take(&mut level.pending);
        for window in &mut windows {
            for key in window.partition_by.iter_mut().chain(window.order_by.iter_mut().map(|(key, _, _)| key))
            {
                self.regroup_expr(&mut grouping, key)?;
            }
        }
        for call in &mut calls {
            for argument in call.call.arguments.iter_mut().chain(&mut call.call.filter) {
                self.regroup_expr(&mut grouping, argument)?;
            }
        }
        for argument in sets.iter_mut().flat_map(|(_, set)| &mut set.arguments) {
            self.regroup_expr(&mut grouping, argument)?;
        }
        for argument in deferred.iter_mut().flat_map(|(_, call)| &mut call.arguments) {
            self.regroup_expr(&mut grouping, argument)?;
        }
        self.regroup_pending(&mut grouping, &mut pending)?;
        let level = self.level();
        level.windows = windows;
        level.window_calls = calls;
        level.set_functions = sets;
        level.deferred = deferred;
        level.pending = pending;
        parts.grouping = Some(grouping);
        Ok(())
    }

    // --- Building.

    fn build_select(
        &mut self,
        query: &Query,
        select: &Select,
        input: Relational,
        mut parts: Parts,
    ) -> PgResult<QueryOutput> {
        self.check_locking(query, select, &parts)?;
        let simple = matches!(input, Relational::Scan(_)) && parts.filter.pending.is_empty();
        let mut plan = input;
        let mut targets_to_lock = Vec::new();
        for locking in &query.locking {
            let in_scan =
                simple && query.order_by.is_empty() && parts.count.is_none() && parts.offset.is_none();
            self.lock_scans(&mut plan, locking, in_scan, &mut targets_to_lock)?;
        }
        plan = attach(plan, std::mem::take(&mut parts.filter));
        if let Some(grouping) = parts.grouping.take() {
            for pending in std::mem::take(&mut self.level().pending_below) {
                plan = pending.attach(plan);
            }
            let calls = std::mem::take(&mut self.level().deferred_below);
            plan = self.build_aggregate(plan.deferred(calls), grouping);
        }
        plan = self.attach_possible(plan);
        if let Some(having) = parts.having.take() {
            plan = attach(plan, having);
        }
        plan = self.build_windows(plan)?;
        plan = self.attach_possible(plan);
        let functions = std::mem::take(&mut self.level().set_functions);
        if !functions.is_empty() {
            plan = self.project_sets(plan, functions);
        }
        plan = self.level().attach_pending(plan);
        let (mut plan, columns) = self.extend_targets(plan, &parts.targets);
        plan = self.distinct_and_sort(plan, select, &parts, &columns);
        if !targets_to_lock.is_empty() {
            plan =
                Relational::LockRows(Box::new(logical::LockRows { input: plan, targets: targets_to_lock }));
        }
        plan = self.limit(plan, query, parts.count.take(), parts.offset.take(), &parts.sort, &columns);
        let shown = parts.targets.into_iter().zip(columns).filter(|(target, _)| !target.junk);
        let targets = shown
            .map(|(target, column)| {
                let literal = matches!(target.expr, Expr::Constant { .. } | Expr::Parameter { .. });
                let untyped = (literal && target.expr.data_type() == DataType::Unknown)
                    .then_some((target.expr, target.position));
                OutputTarget { name: target.name, column, untyped }
            })
            .collect();
        Ok(QueryOutput { plan, targets })
    }

    /// Attaches the waiting subqueries whose outer columns are there already.
    fn attach_possible(&mut self, mut plan: Relational) -> Relational {
        let pending = std::mem::take(&mut self.level().pending);
        if pending.is_empty() {
            return plan;
        }
        let mut later: ColumnSet = self.level().window_calls.iter().map(|call| call.column).collect();
        later.union_with(&self.level().set_functions.iter().map(|(column, _)| *column).collect());
        later.union_with(&self.level().deferred.iter().map(|(column, _)| *column).collect());
        let mut waiting = Vec::new();
        for subquery in pending {
            let mut used = subquery.right.free_columns();
            subquery.conditions.iter().for_each(|condition| collect_columns(condition, &mut used));
            if used.intersects(&later) {
                later.extend(subquery.kind.own_column());
                waiting.push(subquery);
            } else {
                plan = subquery.attach(plan);
            }
        }
        self.level().pending = waiting;
        plan
    }

    /// Columns for expressions: plain columns are themselves, others are computed once.
    pub(super) fn column_for(
        &mut self,
        expr: &Expr,
        name: &str,
        computed: &mut Vec<(ColumnNumber, Expr)>,
    ) -> ColumnNumber {
        if let Expr::Column { index, .. } = expr {
            return *index;
        }
        let known =
            computed.iter().find(|(_, known)| same_expression(known, expr) && !expr::eval::is_volatile(expr));
        if let Some((column, _)) = known {
            return *column;
        }
        let column = self.columns.computed(name, self.column_type_of(expr));
        computed.push((column, expr.clone()));
        column
    }

    /// The type with the modifier that an expression is known to keep (exprTypmod).
    pub(super) fn column_type_of(&self, expr: &Expr) -> ColumnType {
        let typmod = match expr {
            Expr::Column { index, data_type } => {
                let known = self.columns.find(*index).map(|info| info.column_type);
                let known = known.filter(|known| known.data_type == *data_type);
                known.map_or(ColumnType::NO_MODIFIER, |known| known.typmod)
            }
            Expr::Cast { to, .. } => to.typmod,
            Expr::Case { arms, otherwise, .. } => {
                let results = arms.iter().map(|arm| &arm.result).chain(otherwise.as_deref());
                self.common_typmod(results)
            }
            Expr::Coalesce { arguments, .. }
            | Expr::Greatest { arguments, .. }
            | Expr::Least { arguments, .. } => self.common_typmod(arguments.iter()),
            _ => ColumnType::NO_MODIFIER,
        };
        ColumnType::new(expr.data_type(), typmod)
    }

    fn common_typmod<'e>(&self, mut list: impl Iterator<Item = &'e Expr>) -> i32 {
        let Some(first) = list.next() else { return ColumnType::NO_MODIFIER };
        let typmod = self.column_type_of(first).typmod;
        if list.all(|other| self.column_type_of(other).typmod == typmod) {
            typmod
        } else {
            ColumnType::NO_MODIFIER
        }
    }

    fn extend_targets(&mut self, plan: Relational, targets: &[Target]) -> (Relational, Vec<ColumnNumber>) {
        let mut computed = Vec::new();
        // A column of an outer query becomes one of this query: an outer join around it may make it NULL.
        let produced = (self.levels.len() > 1).then(|| plan.produced());
        let mut columns = Vec::with_capacity(targets.len());
        for target in targets {
            columns.push(match (&target.expr, &produced) {
                (Expr::Column { index, .. }, Some(produced)) if !produced.contains(*index) => {
                    let column = self.columns.computed(&target.name, self.column_type_of(&target.expr));
                    computed.push((column, target.expr.clone()));
                    column
                }
                (expr, _) => self.column_for(expr, &target.name, &mut computed),
            });
        }
        (plan.extend(computed), columns)
    }

    /// A window's calls; windows that sort alike could share the sort, which the optimiser sees.
    fn build_windows(&mut self, mut plan: Relational) -> PgResult<Relational> {
        let windows = std::mem::take(&mut self.level().windows);
        let calls = std::mem::take(&mut self.level().window_calls);
        for (index, window) in windows.into_iter().enumerate() {
            let mine: Vec<BoundWindowCall> =
                calls.iter().filter(|call| call.window == index).cloned().collect();
            plan = self.build_window(plan, window, mine);
        }
        Ok(plan)
    }

    fn build_window(
        &mut self,
        plan: Relational,
        window: BoundWindow,
        calls: Vec<BoundWindowCall>,
    ) -> Relational {
        let mut computed = Vec::new();
        let partition_by: Vec<ColumnNumber> =
            window.partition_by.iter().map(|key| self.column_for(key, "partition", &mut computed)).collect();
        let order_by: Vec<SortKey> = window
            .order_by
            .iter()
            .map(|(key, descending, nulls_first)| SortKey {
                column: self.column_for(key, "order", &mut computed),
                descending: *descending,
                nulls_first: *nulls_first,
            })
            .collect();
        let input = plan.extend(computed);
        let calls = calls.into_iter().map(|call| (call.column, call.call)).collect();
        Relational::Window(Box::new(Window { input, partition_by, order_by, frame: window.frame, calls }))
    }

    /// Set-returning functions; one that takes another's result comes after it.
    fn project_sets(
        &mut self,
        mut plan: Relational,
        mut functions: Vec<(ColumnNumber, crate::plan::SetFunction)>,
    ) -> Relational {
        while !functions.is_empty() {
            let waiting: ColumnSet = functions.iter().map(|(column, _)| *column).collect();
            let ready = |function: &(ColumnNumber, crate::plan::SetFunction)| {
                let mut used = ColumnSet::new();
                function.1.arguments.iter().for_each(|argument| collect_columns(argument, &mut used));
                !used.intersects(&waiting)
            };
            let (now, later): (Vec<_>, Vec<_>) = functions.into_iter().partition(ready);
            plan = Relational::ProjectSet(Box::new(ProjectSet { input: plan, functions: now }));
            functions = later;
        }
        plan
    }

    fn distinct_and_sort(
        &mut self,
        mut plan: Relational,
        select: &Select,
        parts: &Parts,
        columns: &[ColumnNumber],
    ) -> Relational {
        let key = |item: &SortItem| SortKey {
            column: columns[item.target],
            descending: item.descending,
            nulls_first: item.nulls_first,
        };
        let mut keys: Vec<SortKey> = Vec::new();
        for item in &parts.sort {
            if !keys.iter().any(|known| known.column == columns[item.target]) {
                keys.push(key(item));
            }
        }
        match &select.distinct {
            Distinct::All => {}
            Distinct::Distinct => {
                let shown = parts.targets.iter().zip(columns).filter(|(target, _)| !target.junk);
                let columns: Vec<ColumnNumber> = shown.map(|(_, column)| *column).collect();
                plan = Relational::Distinct(Box::new(logical::Distinct {
                    input: plan,
                    columns,
                    ordered: false,
                }));
            }
            Distinct::On(_) => {
                let on: Vec<ColumnNumber> =
                    parts.distinct_on.iter().flatten().map(|target| columns[*target]).collect();
                // The first of each group in the order wanted: sort by ORDER BY, then by what it leaves out of ON.
                let mut order = keys.clone();
                for column in &on {
                    if !order.iter().any(|known| known.column == *column) {
                        order.push(SortKey { column: *column, descending: false, nulls_first: false });
                    }
                }
                plan = Relational::Sort(Box::new(Sort { input: plan, keys: order }));
                let distinct = logical::Distinct { input: plan, columns: on, ordered: true };
                return Relational::Distinct(Box::new(distinct));
            }
        }
        if keys.is_empty() {
            return plan;
        }
        Relational::Sort(Box::new(Sort { input: plan, keys }))
    }

    // --- LIMIT.

    pub(super) fn bind_limit(&mut self, query: &Query) -> PgResult<(Option<Expr>, Option<Expr>)> {
        let mut bind = |clause: Clause, expression: &Option<crate::ast::Expression>| match expression {
            Some(expression) => self.bind_row_count(clause, expression).map(Some),
            None => Ok(None),
        };
        let offset = bind(Clause::Offset, &query.offset)?;
        let count = bind(Clause::Limit, &query.limit)?;
        Ok((count, offset))
    }

    fn bind_row_count(&mut self, clause: Clause, expression: &crate::ast::Expression) -> PgResult<Expr> {
        let construct = clause.name();
        let outer = self.level().clause;
        let waiting = self.level().pending.len();
        self.level().clause = clause;
        let bound = self.bind(expression);
        self.level().clause = outer;
        let bound = bound?;
        let from = bound.data_type();
        let cast = self.coerce(bound, DataType::Int8.into(), CastContext::Assignment, expression.position)?;
        let value = cast.ok_or_else(|| {
            let message =
                format!("argument of {construct} must be type bigint, not type {}", self.type_label(from));
            PgError::new(SqlState::DATATYPE_MISMATCH, message).at(expression.position)
        })?;
        if !columns_of(&value).is_empty() || self.level().pending.len() > waiting {
            let message = format!("argument of {construct} must not contain variables");
            return Err(PgError::new(SqlState::INVALID_COLUMN_REFERENCE, message).at(expression.position));
        }
        Ok(value)
    }

    pub(super) fn limit(
        &mut self,
        plan: Relational,
        query: &Query,
        count: Option<Expr>,
        offset: Option<Expr>,
        sort: &[SortItem],
        columns: &[ColumnNumber],
    ) -> Relational {
        if count.is_none() && offset.is_none() {
            return plan;
        }
        let ties = match query.with_ties {
            true => sort
                .iter()
                .map(|item| SortKey {
                    column: columns[item.target],
                    descending: item.descending,
                    nulls_first: item.nulls_first,
                })
                .collect(),
            false => Vec::new(),
        };
        Relational::Limit(Box::new(Limit { input: plan, count, offset, ties }))
    }

    /// What FOR UPDATE does not go with.
    fn check_locking(&mut self, query: &Query, select: &Select, parts: &Parts) -> PgResult<()> {
        let Some(locking) = query.locking.first() else { return Ok(()) };
        let name = super::locking::strength_name(locking.strength);
        let with = if select.distinct != Distinct::All {
            "DISTINCT clause"
        } else if !select.group_by.is_empty() {
            "GROUP BY clause"
        } else if select.having.is_some() {
            "HAVING clause"
        } else if parts.grouping.is_some() {
            "aggregate functions"
        } else if !self.level().window_calls.is_empty() {
            "window functions"
        } else if !self.level().set_functions.is_empty() {
            "set-returning functions in the target list"
        } else {
            return Ok(());
        };
        let message = format!("{name} is not allowed with {with}");
        Err(PgError::new(SqlState::FEATURE_NOT_SUPPORTED, message))
    }
}

fn attach(mut plan: Relational, condition: Condition) -> Relational {
    for pending in condition.pending {
        plan = pending.attach(plan);
    }
    plan.deferred(condition.deferred).filter(condition.conditions)
}

/// SELECT DISTINCT can be ordered by what it shows only.
fn check_distinct_order(targets: &[Target], sort: &[SortItem]) -> PgResult<()> {
    match sort.iter().find(|item| targets[item.target].junk) {
        Some(item) => {
            let message = "for SELECT DISTINCT, ORDER BY expressions must appear in select list";
            Err(PgError::new(SqlState::INVALID_COLUMN_REFERENCE, message).at(targets[item.target].position))
        }
        None => Ok(()),
    }
}

/// `$n`, converted or not.
fn is_parameter(expression: &crate::ast::Expression) -> bool {
    match &expression.kind {
        crate::ast::ExpressionKind::Parameter(_) => true,
        crate::ast::ExpressionKind::Cast(inner, _) => is_parameter(inner),
        _ => false,
    }
}
