//! Operators over one input, set operations, common tables.

use expr::Expr;
use types::{PgError, PgResult};

use super::build::{Builder, Built};
use super::estimate;
use crate::logical::*;
use crate::plan::{self, AggregateStrategy, Operator, SubqueryResult};

/// Columns of `required` that are not `own`, with those of the given expressions.
fn below<'e>(
    required: &ColumnSet,
    own: impl Iterator<Item = ColumnNumber>,
    expressions: impl Iterator<Item = &'e Expr>,
) -> ColumnSet {
    let mut needed = required.clone();
    own.for_each(|column| needed.remove(column));
    expressions.for_each(|expression| collect_columns(expression, &mut needed));
    needed
}

impl Builder<'_> {
    pub fn extend(&mut self, extend: crate::logical::Extend, required: &ColumnSet) -> PgResult<Built> {
        // What nobody uses is not computed, unless computing it has effects.
        let columns: Vec<(ColumnNumber, Expr)> = extend
            .columns
            .into_iter()
            .filter(|(column, expression)| required.contains(*column) || expr::eval::is_volatile(expression))
            .collect();
        let needed = below(
            required,
            columns.iter().map(|(column, _)| *column),
            columns.iter().map(|(_, expression)| expression),
        );
        let built = self.build(extend.input, &needed)?;
        if columns.is_empty() {
            return Ok(built);
        }
        let kept: Vec<ColumnNumber> =
            built.layout.iter().copied().filter(|column| required.contains(*column)).collect();
        let mut expressions = Vec::with_capacity(kept.len() + columns.len());
        for column in &kept {
            expressions.push(self.place(self.columns.expr(*column), &built.layout)?);
        }
        let mut layout = kept;
        for (column, expression) in columns {
            expressions.push(self.place(expression, &built.layout)?);
            layout.push(column);
        }
        let estimate = estimate::over(&built.node.estimate, built.rows());
        let order = built.order;
        let project = plan::Project { input: built.node, expressions };
        Ok(self.node(Operator::Project(Box::new(project)), layout, estimate).in_order(order))
    }

    pub fn aggregate(&mut self, aggregate: Aggregate, required: &ColumnSet) -> PgResult<Built> {
        let mut needed = ColumnSet::new();
        aggregate.keys.iter().for_each(|(_, key)| collect_columns(key, &mut needed));
        for (_, call) in &aggregate.aggregates {
            call.arguments.iter().for_each(|argument| collect_columns(argument, &mut needed));
            call.filter.iter().for_each(|filter| collect_columns(filter, &mut needed));
            call.order_by.iter().for_each(|(key, _, _)| collect_columns(key, &mut needed));
        }
        let built = self.build(aggregate.input, &needed)?;
        let input_layout = built.layout;
        let mut layout: Vec<ColumnNumber> = aggregate.keys.iter().map(|(column, _)| *column).collect();
        let mut keys = Vec::with_capacity(layout.len());
        for (_, key) in aggregate.keys {
            keys.push(self.place(key, &input_layout)?);
        }
        let mut aggregates = Vec::with_capacity(aggregate.aggregates.len());
        for (column, mut call) in aggregate.aggregates {
            if !required.contains(column) {
                continue;
            }
            call.arguments = self.place_all(call.arguments, &input_layout)?;
            call.filter = call.filter.map(|filter| self.place(filter, &input_layout)).transpose()?;
            for (key, _, _) in &mut call.order_by {
                *key = self.place(key.clone(), &input_layout)?;
            }
            aggregates.push(call);
            layout.push(column);
        }
        layout.extend(aggregate.grouping);
        let input_rows = built.node.estimate.rows;
        let rows = if keys.is_empty() { aggregate.sets.len() as f64 } else { (input_rows / 10.0).max(1.0) };
        let estimate = estimate::blocking(&built.node.estimate, rows);
        let operator = plan::Aggregate {
            input: built.node,
            keys,
            sets: aggregate.sets,
            aggregates,
            strategy: AggregateStrategy::Hash,
        };
        Ok(self.node(Operator::Aggregate(Box::new(operator)), layout, estimate))
    }

    pub fn window(&mut self, window: Window, required: &ColumnSet) -> PgResult<Built> {
        let own = window.calls.iter().map(|(column, _)| *column);
        let expressions =
            window.calls.iter().flat_map(|(_, call)| call.arguments.iter().chain(call.filter.iter()));
        let mut needed = below(required, own, expressions);
        needed.extend(window.partition_by.iter().copied());
        needed.extend(window.order_by.iter().map(|key| key.column));
        let by = window.partition_by.iter();
        let by = by.map(|column| SortKey { column: *column, descending: false, nulls_first: false });
        let keys: Vec<SortKey> = by.chain(window.order_by.iter().copied()).collect();
        let built = self.sort(Sort { input: window.input, keys }, &needed, None)?;
        let place_column = |column: &ColumnNumber| {
            built
                .position(*column)
                .ok_or_else(|| PgError::internal("a window's column is not among its input's"))
        };
        let partition_by = window.partition_by.iter().map(place_column).collect::<PgResult<Vec<u32>>>()?;
        let order_by =
            window.order_by.iter().map(|key| self.place_key(*key, &built)).collect::<PgResult<Vec<_>>>()?;
        let mut frame = window.frame;
        for edge in [&mut frame.start, &mut frame.end] {
            if let plan::FrameEdge::Preceding(offset) | plan::FrameEdge::Following(offset) = edge {
                *offset = self.place(offset.clone(), &[])?;
            }
        }
        let mut layout = built.layout.clone();
        let mut calls = Vec::with_capacity(window.calls.len());
        for (column, mut call) in window.calls {
            call.arguments = self.place_all(call.arguments, &built.layout)?;
            call.filter = call.filter.map(|filter| self.place(filter, &built.layout)).transpose()?;
            calls.push(call);
            layout.push(column);
        }
        let estimate = estimate::over(&built.node.estimate, built.rows());
        let order = built.order;
        let operator = plan::Window { input: built.node, partition_by, order_by, frame, calls };
        Ok(self.node(Operator::Window(Box::new(operator)), layout, estimate).in_order(order))
    }

    pub fn project_set(&mut self, project: ProjectSet, required: &ColumnSet) -> PgResult<Built> {
        let own = project.functions.iter().map(|(column, _)| *column);
        let expressions = project.functions.iter().flat_map(|(_, function)| &function.arguments);
        let needed = below(required, own, expressions);
        let built = self.build(project.input, &needed)?;
        let mut layout = built.layout.clone();
        let mut functions = Vec::with_capacity(project.functions.len());
        for (column, mut function) in project.functions {
            function.arguments = self.place_all(function.arguments, &built.layout)?;
            functions.push(function);
            layout.push(column);
        }
        let estimate = estimate::over(&built.node.estimate, built.rows() * 10.0);
        let order = built.order;
        let operator = plan::ProjectSet { input: built.node, functions };
        Ok(self.node(Operator::ProjectSet(Box::new(operator)), layout, estimate).in_order(order))
    }

    pub fn deferred(&mut self, deferred: Deferred, required: &ColumnSet) -> PgResult<Built> {
        let own = deferred.calls.iter().map(|(column, _)| *column);
        let expressions = deferred.calls.iter().flat_map(|(_, call)| &call.arguments);
        let needed = below(required, own, expressions);
        let built = self.build(deferred.input, &needed)?;
        let mut layout = built.layout.clone();
        let mut calls = Vec::with_capacity(deferred.calls.len());
        for (column, mut call) in deferred.calls {
            call.arguments = self.place_all(call.arguments, &built.layout)?;
            calls.push(call);
            layout.push(column);
        }
        let estimate = estimate::over(&built.node.estimate, built.rows());
        let order = built.order;
        let operator = plan::Deferred { input: built.node, calls };
        Ok(self.node(Operator::Deferred(Box::new(operator)), layout, estimate).in_order(order))
    }

    pub fn distinct(&mut self, distinct: Distinct, required: &ColumnSet) -> PgResult<Built> {
        let mut needed = required.clone();
        needed.extend(distinct.columns.iter().copied());
        let built = self.build(distinct.input, &needed)?;
        let built = self.with_columns(built, &distinct.columns)?;
        let columns = distinct.columns.iter().filter_map(|column| built.position(*column)).collect();
        let estimate = estimate::over(&built.node.estimate, built.rows() * 0.5);
        let Built { node, layout, order } = built;
        let operator = plan::Distinct { input: node, columns, ordered: distinct.ordered };
        let order = if distinct.ordered { order } else { Vec::new() };
        Ok(self.node(Operator::Distinct(Box::new(operator)), layout, estimate).in_order(order))
    }

    /// Sorts; with `limit` (count, offset) keeps only the first rows. A scan that can read in the order spares the sort when only
    /// a few rows are wanted or none need be compared.
    pub fn sort(
        &mut self,
        sort: Sort,
        required: &ColumnSet,
        limit: Option<(Expr, Option<Expr>)>,
    ) -> PgResult<Built> {
        let mut needed = required.clone();
        needed.extend(sort.keys.iter().map(|key| key.column));
        if let Some(built) = self.ordered_scan(&sort, &needed, limit.is_some())? {
            let built = built.in_order(sort.keys);
            return match limit {
                None => Ok(built),
                Some((count, offset)) => self.limited(built, Some(count), offset, Vec::new()),
            };
        }
        let Some((count, offset)) = limit else { return self.sort_input(sort, &needed, None) };
        let ordered = self.ordered_joins(&sort, &needed, goal_of(&count, offset.as_ref()))?;
        let keys = sort.keys.clone();
        let sorted = self.sort_input(sort, &needed, Some((count.clone(), offset.clone())))?;
        match ordered {
            Some((ordered, cost)) if cost < sorted.node.estimate.total_cost => {
                self.limited(ordered.in_order(keys), Some(count), offset, Vec::new())
            }
            _ => Ok(sorted),
        }
    }

    fn sort_input(
        &mut self,
        sort: Sort,
        needed: &ColumnSet,
        limit: Option<(Expr, Option<Expr>)>,
    ) -> PgResult<Built> {
        let built = self.build(sort.input, needed)?;
        let key_columns: Vec<ColumnNumber> = sort.keys.iter().map(|key| key.column).collect();
        let built = self.with_columns(built, &key_columns)?;
        if built.is_sorted_by(&sort.keys) {
            return match limit {
                None => Ok(built),
                Some((count, offset)) => self.limited(built, Some(count), offset, Vec::new()),
            };
        }
        let mut keys: Vec<plan::SortKey> = Vec::with_capacity(sort.keys.len());
        for key in &sort.keys {
            let key = self.place_key(*key, &built)?;
            if !keys.iter().any(|other| other.column == key.column) {
                keys.push(key);
            }
        }
        if keys.is_empty() && limit.is_none() {
            return Ok(built);
        }
        let mut estimate = estimate::blocking(&built.node.estimate, built.rows());
        let Built { node, layout, .. } = built;
        let operator = match limit {
            Some((count, offset)) => {
                estimate.rows = constant_count(&count).unwrap_or(estimate.rows).min(estimate.rows);
                Operator::TopN(Box::new(plan::TopN { input: node, keys, count, offset }))
            }
            None => Operator::Sort(Box::new(plan::Sort { input: node, keys, presorted: 0 })),
        };
        Ok(self.node(operator, layout, estimate).in_order(sort.keys))
    }

    pub fn limit(&mut self, limit: Limit, required: &ColumnSet) -> PgResult<Built> {
        let count = limit.count.map(|count| self.place(count, &[])).transpose()?;
        let offset = limit.offset.map(|offset| self.place(offset, &[])).transpose()?;
        if let (Relational::Sort(_), Some(count), true) = (&limit.input, &count, limit.ties.is_empty()) {
            let Relational::Sort(sort) = limit.input else { unreachable!("matched above") };
            return self.sort(*sort, required, Some((count.clone(), offset)));
        }
        let mut needed = required.clone();
        needed.extend(limit.ties.iter().map(|key| key.column));
        let goal = count.as_ref().map(|count| goal_of(count, offset.as_ref()));
        let built = self.build_for(goal, limit.input, &needed)?;
        let ties = limit.ties.iter().map(|key| self.place_key(*key, &built)).collect::<PgResult<Vec<_>>>()?;
        self.limited(built, count, offset, ties)
    }

    fn limited(
        &self,
        built: Built,
        count: Option<Expr>,
        offset: Option<Expr>,
        ties: Vec<plan::SortKey>,
    ) -> PgResult<Built> {
        let rows = count.as_ref().and_then(constant_count).unwrap_or(built.rows()).min(built.rows());
        let Built { mut node, layout, order } = built;
        if ties.is_empty() && offset.is_none() {
            hint_rows(&mut node, count.as_ref(), true);
        }
        let fraction = (rows / node.estimate.rows.max(1.0)).min(1.0);
        let mut estimate = node.estimate;
        estimate.rows = rows.max(1.0);
        estimate.total_cost =
            estimate.startup_cost + (estimate.total_cost - estimate.startup_cost) * fraction;
        let operator = plan::Limit { input: node, count, offset, ties };
        Ok(self.node(Operator::Limit(Box::new(operator)), layout, estimate).in_order(order))
    }

    pub fn set_operation(&mut self, operation: SetOperation) -> PgResult<Built> {
        let mut inputs = Vec::with_capacity(operation.inputs.len());
        let mut rows = 0.0;
        let mut cost = 0.0;
        for (input, columns) in operation.inputs {
            let built = self.build(input, &columns.iter().copied().collect())?;
            rows += built.rows();
            cost += built.node.estimate.total_cost;
            inputs.push(self.project_to(built, &columns)?);
        }
        let estimate = plan::Estimate {
            rows: rows.max(1.0),
            startup_cost: 0.0,
            total_cost: cost + rows * 0.01,
            width: 0,
        };
        if operation.all && operation.operator == plan::SetOperator::Union {
            let operator = Operator::Append(Box::new(plan::Append { inputs }));
            return Ok(self.node(operator, operation.columns, estimate));
        }
        let mut inputs = inputs.into_iter();
        let (Some(left), Some(right)) = (inputs.next(), inputs.next()) else {
            return Err(PgError::internal("a set operation has two inputs"));
        };
        let operator = plan::SetOperation { operator: operation.operator, all: operation.all, left, right };
        Ok(self.node(Operator::SetOperation(Box::new(operator)), operation.columns, estimate))
    }

    pub fn recursive_union(&mut self, union: RecursiveUnion) -> PgResult<Built> {
        let initial = self.build(union.initial.0, &union.initial.1.iter().copied().collect())?;
        let rows = initial.rows() * 10.0;
        self.common_tables.insert(union.cte, rows);
        let initial = self.project_to(initial, &union.initial.1)?;
        let step = self.build(union.step.0, &union.step.1.iter().copied().collect())?;
        let step = self.project_to(step, &union.step.1)?;
        let estimate = estimate::over(&initial.estimate, rows);
        let operator = plan::RecursiveUnion {
            cte: union.cte,
            name: union.name,
            initial,
            step,
            distinct: union.distinct,
        };
        Ok(self.node(Operator::RecursiveUnion(Box::new(operator)), union.columns, estimate))
    }

    pub fn with(&mut self, with: With, required: &ColumnSet) -> PgResult<Built> {
        let mut tables = Vec::with_capacity(with.tables.len());
        for table in with.tables {
            let built = self.build(table.input, &table.columns.iter().copied().collect())?;
            self.common_tables.insert(table.cte, built.rows());
            // A modification without RETURNING has no columns to hand on.
            let plan =
                if table.columns.is_empty() { built.node } else { self.project_to(built, &table.columns)? };
            tables.push(plan::WithTable { cte: table.cte, name: table.name, plan, modifies: table.modifies });
        }
        let Built { node, layout, order } = self.build(with.body, required)?;
        let estimate = node.estimate;
        let operator = plan::With { tables, body: node };
        Ok(self.node(Operator::With(Box::new(operator)), layout, estimate).in_order(order))
    }

    pub fn init_plan(&mut self, init: InitPlan, required: &ColumnSet) -> PgResult<Built> {
        let mut subqueries = Vec::with_capacity(init.subqueries.len());
        for subquery in init.subqueries {
            let built = self.build(subquery.input, &subquery.value.into_iter().collect())?;
            let plan = match (subquery.result, subquery.value) {
                (SubqueryResult::Exists, _) | (_, None) => built.node,
                (_, Some(value)) => self.project_to(built, &[value])?,
            };
            subqueries.push(plan::InitSubquery { slot: subquery.slot, result: subquery.result, plan });
        }
        let Built { node, layout, order } = self.build(init.body, required)?;
        let estimate = node.estimate;
        let operator = plan::InitPlan { subqueries, body: node };
        Ok(self.node(Operator::InitPlan(Box::new(operator)), layout, estimate).in_order(order))
    }
}

/// How many rows LIMIT and OFFSET are likely to ask for.
fn goal_of(count: &Expr, offset: Option<&Expr>) -> f64 {
    const UNKNOWN: f64 = 100.0;
    let rows = |bound: &Expr| constant_count(bound).unwrap_or(UNKNOWN);
    rows(count) + offset.map_or(0.0, rows)
}

/// Tells a scan below how many rows will be asked for, through nodes that keep rows one for one, or about how many.
fn hint_rows(node: &mut plan::PlanNode, count: Option<&Expr>, is_exact: bool) {
    match &mut node.operator {
        Operator::TableScan(scan) if is_exact => scan.row_hint = count.cloned(),
        Operator::TableScan(scan) => scan.page_hint = count.cloned(),
        Operator::Project(project) => hint_rows(&mut project.input, count, is_exact),
        Operator::LookupJoin(join) => hint_rows(&mut join.left, count, false),
        _ => {}
    }
}

fn constant_count(count: &Expr) -> Option<f64> {
    match count {
        Expr::Constant { value: types::Datum::Int8(count), .. } => Some((*count as f64).max(0.0)),
        _ => None,
    }
}
