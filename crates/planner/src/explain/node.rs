//! The physical plan as text.

use super::ExplainOptions;
use super::expression::{aggregate_text, direction, expression_text};
use crate::parser::keywords::quote_identifier;
use crate::plan::*;
use expr::Expr;
use types::descriptor::{ColumnId, IndexDescriptor};

pub(super) struct NodePrinter<'a> {
    pub lines: Vec<String>,
    options: ExplainOptions,
    note: &'a dyn Fn(&PlanNode) -> Option<String>,
    /// Column names are qualified when several relations take part, as in PostgreSQL.
    qualified: bool,
}

impl<'a> NodePrinter<'a> {
    pub(super) fn new(
        plan: &Plan,
        options: ExplainOptions,
        note: &'a dyn Fn(&PlanNode) -> Option<String>,
    ) -> Self {
        NodePrinter {
            lines: Vec::new(),
            options,
            note,
            qualified: options.verbose || relation_count(&plan.root) > 1,
        }
    }

    /// Prints a node and what is below it. `label` stands before it ("CTE x", "InitPlan").
    pub(super) fn print(&mut self, node: &PlanNode, depth: usize, label: &str) {
        let indent = if depth == 0 { String::new() } else { " ".repeat(depth * 6 - 4) };
        let arrow = if depth == 0 { "" } else { "->  " };
        let mut line = format!("{indent}{arrow}{}", self.title(node));
        if self.options.costs {
            let estimate = &node.estimate;
            line += &format!(
                "  (cost={:.2}..{:.2} rows={:.0} width={})",
                estimate.startup_cost, estimate.total_cost, estimate.rows, estimate.width
            );
        }
        if !label.is_empty() {
            self.lines.push(format!("{indent}{label}"));
        }
        self.lines.push(line);
        let detail_indent = " ".repeat(if depth == 0 { 2 } else { indent.len() + 6 });
        if self.options.verbose {
            let names = self.output_names(node);
            if !names.is_empty() {
                self.lines.push(format!("{detail_indent}Output: {}", names.join(", ")));
            }
        }
        for detail in self.details(node).into_iter().chain((self.note)(node)) {
            self.lines.push(format!("{detail_indent}{detail}"));
        }
        match &node.operator {
            Operator::With(with) => {
                for table in &with.tables {
                    self.print(&table.plan, depth + 1, &format!("CTE {}", table.name));
                }
                self.print(&with.body, depth + 1, "");
            }
            Operator::InitPlan(init) => {
                for subquery in &init.subqueries {
                    let label = format!("InitPlan (returns $slot{})", subquery.slot);
                    self.print(&subquery.plan, depth + 1, &label);
                }
                self.print(&init.body, depth + 1, "");
            }
            _ => {
                for input in node.inputs() {
                    self.print(input, depth + 1, "");
                }
            }
        }
    }

    fn title(&self, node: &PlanNode) -> String {
        match &node.operator {
            Operator::TableScan(scan) => scan_title(scan),
            Operator::VirtualScan(scan) => {
                format!("Virtual Scan on {}", aliased(&scan.table.name, &scan.alias))
            }
            Operator::FunctionScan(scan) => {
                let name = scan.functions.first().map_or("", |function| function.function.name);
                format!("Function Scan on {}", aliased(name, &scan.alias))
            }
            Operator::Values(values) if values.rows.len() == 1 => "Result".into(),
            Operator::Values(_) => "Values Scan".into(),
            Operator::CteScan(scan) => format!("CTE Scan on {}", quote_identifier(&scan.name)),
            Operator::WorkTableScan(scan) => format!("WorkTable Scan on {}", quote_identifier(&scan.name)),
            Operator::Feed(feed) => format!("Feed for {}", quote_identifier(&feed.name)),
            Operator::Filter(_) => "Filter".into(),
            Operator::Project(_) => "Project".into(),
            Operator::ProjectSet(_) => "ProjectSet".into(),
            Operator::Deferred(_) => "Deferred".into(),
            Operator::Limit(_) => "Limit".into(),
            Operator::Sort(sort) if sort.presorted > 0 => "Incremental Sort".into(),
            Operator::Sort(_) => "Sort".into(),
            Operator::TopN(_) => "Top-N Sort".into(),
            Operator::Distinct(distinct) if distinct.ordered => "Unique".into(),
            Operator::Distinct(_) => "HashAggregate".into(),
            Operator::Aggregate(aggregate) => aggregate_title(aggregate).into(),
            Operator::Window(_) => "WindowAgg".into(),
            Operator::LockRows(_) => "LockRows".into(),
            Operator::HashJoin(join) => join_title("Hash", join.kind),
            Operator::NestedLoopJoin(join) => join_title("Nested Loop", join.kind),
            Operator::LookupJoin(join) => {
                let table = aliased(&join.table.descriptor.name, &join.alias);
                let index = quote_identifier(&join.index_descriptor().name);
                format!("{} using {index} on {table}", join_title("Lookup", join.kind))
            }
            Operator::Apply(apply) => match apply.kind {
                ApplyKind::Join { kind, .. } => join_title("Apply", kind),
                ApplyKind::Subquery(result) => format!("Apply ({result:?})"),
            },
            Operator::SetOperation(operation) => {
                let all = if operation.all { " All" } else { "" };
                format!("HashSetOp {:?}{all}", operation.operator)
            }
            Operator::Append(_) => "Append".into(),
            Operator::RecursiveUnion(_) => "Recursive Union".into(),
            Operator::With(_) => "With".into(),
            Operator::InitPlan(_) => "Result".into(),
            Operator::Insert(insert) => {
                format!("Insert on {}", quote_identifier(&insert.table.descriptor.name))
            }
            Operator::Update(update) => {
                format!("Update on {}", quote_identifier(&update.table.descriptor.name))
            }
            Operator::Delete(delete) => {
                format!("Delete on {}", quote_identifier(&delete.table.descriptor.name))
            }
        }
    }

    fn details(&self, node: &PlanNode) -> Vec<String> {
        let input =
            || node.inputs().into_iter().flat_map(|input| self.output_names(input)).collect::<Vec<String>>();
        let own = || self.output_names(node);
        let text = |expression: &Expr, names: &[String]| expression_text(expression, &name_in(names));
        match &node.operator {
            Operator::TableScan(scan) => self.scan_details(scan),
            Operator::VirtualScan(scan) => filter_line(&scan.filter, &own()),
            Operator::Filter(filter) => vec![format!("Filter: {}", text(&filter.condition, &input()))],
            Operator::Sort(sort) => vec![format!("Sort Key: {}", keys(&sort.keys, &input()))],
            Operator::TopN(top) => vec![format!("Sort Key: {}", keys(&top.keys, &input()))],
            Operator::Distinct(distinct) if !distinct.ordered => {
                let names = input();
                let columns: Vec<String> =
                    distinct.columns.iter().map(|column| names[*column as usize].clone()).collect();
                vec![format!("Group Key: {}", columns.join(", "))]
            }
            Operator::Aggregate(aggregate) => aggregate_details(aggregate, &input()),
            Operator::HashJoin(join) => {
                let left = self.output_names(&join.left);
                let right = self.output_names(&join.right);
                let pairs = join.left_keys.iter().zip(&join.right_keys);
                let pair = |(one, other): (&Expr, &Expr)| {
                    format!("({} = {})", text(one, &left), text(other, &right))
                };
                let pairs: Vec<String> = pairs.map(pair).collect();
                let mut lines = vec![format!("Hash Cond: {}", conjunction(&pairs))];
                let both: Vec<String> = left.into_iter().chain(right).collect();
                lines.extend(join.condition.iter().map(|on| format!("Join Filter: {}", text(on, &both))));
                lines
            }
            Operator::NestedLoopJoin(join) => {
                let both: Vec<String> =
                    self.output_names(&join.left).into_iter().chain(self.output_names(&join.right)).collect();
                join.condition.iter().map(|on| format!("Join Filter: {}", text(on, &both))).collect()
            }
            Operator::LookupJoin(join) => {
                let left = self.output_names(&join.left);
                let descriptor = join.index_descriptor();
                let names = self.table_names(&join.table.descriptor, &join.alias, &join.columns);
                let pair = |(index, key): (usize, &Expr)| {
                    let column = key_name(&join.table.descriptor, descriptor, index);
                    format!("({} = {})", self.qualify(&join.alias, &column), text(key, &left))
                };
                let pairs: Vec<String> = join.keys.iter().enumerate().map(pair).collect();
                let mut lines = vec![format!("Index Cond: {}", conjunction(&pairs))];
                let both: Vec<String> = left.into_iter().chain(names).collect();
                lines.extend(join.condition.iter().map(|on| format!("Filter: {}", text(on, &both))));
                lines
            }
            Operator::Apply(apply) => {
                let both: Vec<String> = self
                    .output_names(&apply.left)
                    .into_iter()
                    .chain(self.output_names(&apply.right))
                    .collect();
                let names = self.output_names(&apply.left);
                let bindings: Vec<String> = apply
                    .bindings
                    .iter()
                    .map(|(slot, column)| format!("$slot{slot} = {}", names[*column as usize]))
                    .collect();
                let mut lines = vec![format!("Parameters: {}", bindings.join(", "))];
                lines.extend(apply.condition.iter().map(|on| format!("Join Filter: {}", text(on, &both))));
                lines
            }
            Operator::LockRows(lock) => {
                let names: Vec<String> = lock
                    .targets
                    .iter()
                    .map(|target| quote_identifier(&target.table.descriptor.name))
                    .collect();
                vec![format!("Lock: {}", names.join(", "))]
            }
            Operator::Insert(insert) => conflict_lines(insert),
            _ => Vec::new(),
        }
    }

    fn scan_details(&self, scan: &TableScan) -> Vec<String> {
        let mut lines = Vec::new();
        if let Spans::List(spans) = &scan.spans {
            let descriptor = scan.index_descriptor();
            let parts: Vec<String> =
                spans.iter().map(|span| self.span_text(scan, descriptor, span)).collect();
            let condition = match parts.as_slice() {
                [] => "false".to_string(),
                [one] => one.clone(),
                several => format!("({})", several.join(" OR ")),
            };
            lines.push(format!("Index Cond: {condition}"));
        }
        lines.extend(filter_line(
            &scan.filter,
            &self.table_names(&scan.table.descriptor, &scan.alias, &scan.columns),
        ));
        if let Some(lock) = &scan.lock {
            lines.push(format!("Lock: {:?}", lock.strength));
        }
        lines
    }

    fn span_text(&self, scan: &TableScan, index: &IndexDescriptor, span: &Span) -> String {
        let name = |position: usize| {
            let column = key_name(&scan.table.descriptor, index, position);
            self.qualify(&scan.alias, &column)
        };
        let value = |expression: &Expr| expression_text(expression, &|column| format!("column{column}"));
        let mut parts: Vec<String> = Vec::new();
        for (position, key) in span.prefix.iter().enumerate() {
            parts.push(match key {
                KeyValue::Equal(expression) => format!("({} = {})", name(position), value(expression)),
                KeyValue::AnyOf(array) => format!("({} = ANY ({}))", name(position), value(array)),
                KeyValue::Null => format!("({} IS NULL)", name(position)),
            });
        }
        let next = span.prefix.len();
        for (bound, inclusive, exclusive) in [(&span.lower, ">=", ">"), (&span.upper, "<=", "<")] {
            match bound {
                SpanBound::Unbounded => {}
                SpanBound::Inclusive(expression) => {
                    parts.push(format!("({} {inclusive} {})", name(next), value(expression)));
                }
                SpanBound::Exclusive(expression) => {
                    parts.push(format!("({} {exclusive} {})", name(next), value(expression)));
                }
            }
        }
        if span.not_null {
            parts.push(format!("({} IS NOT NULL)", name(next)));
        }
        if parts.is_empty() { "true".into() } else { conjunction(&parts) }
    }

    // --- Names.

    fn qualify(&self, alias: &str, column: &str) -> String {
        let column = quote_identifier(column);
        if self.qualified { format!("{}.{column}", quote_identifier(alias)) } else { column }
    }

    fn table_names(
        &self,
        table: &types::descriptor::TableDescriptor,
        alias: &str,
        columns: &[ColumnId],
    ) -> Vec<String> {
        let name = |id: &ColumnId| table.column(*id).map_or("?", |column| column.name.as_str());
        columns.iter().map(|id| self.qualify(alias, name(id))).collect()
    }

    /// What the columns of a node's batches are called.
    fn output_names(&self, node: &PlanNode) -> Vec<String> {
        let plain =
            || node.columns.iter().map(|column| quote_identifier(&column.name)).collect::<Vec<String>>();
        let append = |mut names: Vec<String>| {
            names.extend(node.columns.iter().skip(names.len()).map(|column| quote_identifier(&column.name)));
            names.truncate(node.columns.len());
            names
        };
        match &node.operator {
            Operator::TableScan(scan) => self.table_names(&scan.table.descriptor, &scan.alias, &scan.columns),
            Operator::VirtualScan(scan) => {
                node.columns.iter().map(|column| self.qualify(&scan.alias, &column.name)).collect()
            }
            Operator::FunctionScan(scan) => {
                node.columns.iter().map(|column| self.qualify(&scan.alias, &column.name)).collect()
            }
            Operator::CteScan(scan) => {
                node.columns.iter().map(|column| self.qualify(&scan.name, &column.name)).collect()
            }
            Operator::LookupJoin(join) => {
                let mut names = self.output_names(&join.left);
                if join.kind.has_right_columns() {
                    names.extend(self.table_names(&join.table.descriptor, &join.alias, &join.columns));
                }
                append(names)
            }
            Operator::Project(project) => {
                let names = self.output_names(&project.input);
                project.expressions.iter().map(|value| expression_text(value, &name_in(&names))).collect()
            }
            Operator::Aggregate(aggregate) => {
                let names = self.output_names(&aggregate.input);
                let keys = aggregate.keys.iter().map(|key| expression_text(key, &name_in(&names)));
                let calls = aggregate.aggregates.iter().map(|call| aggregate_text(call, &name_in(&names)));
                append(keys.chain(calls).collect())
            }
            Operator::Filter(_)
            | Operator::Limit(_)
            | Operator::Sort(_)
            | Operator::TopN(_)
            | Operator::Distinct(_)
            | Operator::LockRows(_)
            | Operator::ProjectSet(_)
            | Operator::Deferred(_)
            | Operator::Window(_)
            | Operator::InitPlan(_)
            | Operator::With(_) => match node.inputs().pop() {
                Some(input) => append(self.output_names(input)),
                None => plain(),
            },
            Operator::HashJoin(_) | Operator::NestedLoopJoin(_) | Operator::Apply(_) => {
                append(node.inputs().into_iter().flat_map(|input| self.output_names(input)).collect())
            }
            _ => plain(),
        }
    }
}

fn relation_count(node: &PlanNode) -> usize {
    let own = usize::from(matches!(
        node.operator,
        Operator::TableScan(_)
            | Operator::VirtualScan(_)
            | Operator::FunctionScan(_)
            | Operator::CteScan(_)
            | Operator::LookupJoin(_)
    ));
    own + node.inputs().into_iter().map(relation_count).sum::<usize>()
}

fn name_in(names: &[String]) -> impl Fn(u32) -> String + '_ {
    |column| names.get(column as usize).cloned().unwrap_or_else(|| format!("column{column}"))
}

fn aliased(name: &str, alias: &str) -> String {
    if name == alias {
        quote_identifier(name)
    } else {
        format!("{} {}", quote_identifier(name), quote_identifier(alias))
    }
}

fn scan_title(scan: &TableScan) -> String {
    let table = aliased(&scan.table.descriptor.name, &scan.alias);
    if matches!(scan.spans, Spans::All) && scan.index == 0 && !scan.ordered {
        return format!("Seq Scan on {table}");
    }
    let only = if scan.fetch_row || scan.index == 0 { "" } else { " Only" };
    let backward = if scan.reverse { " Backward" } else { "" };
    format!("Index{only} Scan{backward} using {} on {table}", quote_identifier(&scan.index_descriptor().name))
}

fn aggregate_title(aggregate: &Aggregate) -> &'static str {
    match (aggregate.keys.is_empty(), aggregate.sets.len(), aggregate.strategy) {
        (true, _, _) => "Aggregate",
        (_, 2.., _) => "MixedAggregate",
        (_, _, AggregateStrategy::Hash) => "HashAggregate",
        (_, _, AggregateStrategy::Ordered) => "GroupAggregate",
    }
}

fn aggregate_details(aggregate: &Aggregate, names: &[String]) -> Vec<String> {
    let key = |index: &u32| expression_text(&aggregate.keys[*index as usize], &name_in(names));
    if aggregate.keys.is_empty() {
        return Vec::new();
    }
    let line = |set: &Vec<u32>| {
        let keys: Vec<String> = set.iter().map(key).collect();
        format!("Group Key: {}", if keys.is_empty() { "()".to_string() } else { keys.join(", ") })
    };
    aggregate.sets.iter().map(line).collect()
}

fn join_title(method: &str, kind: JoinKind) -> String {
    let kind = match kind {
        JoinKind::Inner => {
            return if method == "Nested Loop" { method.into() } else { format!("{method} Join") };
        }
        JoinKind::Left => "Left",
        JoinKind::Right => "Right",
        JoinKind::Full => "Full",
        JoinKind::Semi => "Semi",
        JoinKind::Anti => "Anti",
        JoinKind::Mark => "Mark",
    };
    format!("{method} {kind} Join")
}

fn keys(keys: &[SortKey], names: &[String]) -> String {
    let one = |key: &SortKey| {
        format!("{}{}", names[key.column as usize], direction(key.descending, key.nulls_first))
    };
    keys.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn filter_line(filter: &Option<Expr>, names: &[String]) -> Vec<String> {
    filter.iter().map(|filter| format!("Filter: {}", expression_text(filter, &name_in(names)))).collect()
}

fn conjunction(parts: &[String]) -> String {
    match parts {
        [one] => one.clone(),
        several => format!("({})", several.join(" AND ")),
    }
}

fn key_name(table: &types::descriptor::TableDescriptor, index: &IndexDescriptor, position: usize) -> String {
    let column = index.columns.get(position).and_then(|key| table.column(key.column));
    column.map_or_else(|| "?".to_string(), |column| column.name.clone())
}

fn conflict_lines(insert: &Insert) -> Vec<String> {
    let Some(conflict) = &insert.on_conflict else { return Vec::new() };
    let resolution = match conflict.action {
        ConflictAction::Nothing => "NOTHING",
        ConflictAction::Update { .. } => "UPDATE",
    };
    let mut lines = vec![format!("Conflict Resolution: {resolution}")];
    if let Some(arbiters) = &conflict.arbiters {
        let names: Vec<String> =
            arbiters.iter().map(|index| quote_identifier(&insert.table.index_at(*index).name)).collect();
        lines.push(format!("Conflict Arbiter Indexes: {}", names.join(", ")));
    }
    lines
}
