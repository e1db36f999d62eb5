//! The logical plan as text: a line for each operator, inputs indented. Columns are `name#number`.

use super::expression::{aggregate_text, direction, expression_text};
use crate::logical::{ColumnNumber, Columns, JoinKind, Relational, SortKey};
use expr::Expr;

/// Prints a logical plan.
pub fn logical_text(plan: &Relational, columns: &Columns) -> String {
    let mut printer = LogicalPrinter { columns, text: String::new() };
    printer.print(plan, 0);
    printer.text
}

struct LogicalPrinter<'p> {
    columns: &'p Columns,
    text: String,
}

impl LogicalPrinter<'_> {
    fn name(&self, column: ColumnNumber) -> String {
        format!("{}#{column}", self.columns.get(column).name)
    }

    fn names(&self, columns: &[ColumnNumber]) -> String {
        columns.iter().map(|column| self.name(*column)).collect::<Vec<_>>().join(", ")
    }

    fn expr(&self, expression: &Expr) -> String {
        expression_text(expression, &|column| self.name(column))
    }

    fn list<'e>(&self, list: impl IntoIterator<Item = &'e Expr>) -> String {
        list.into_iter().map(|item| self.expr(item)).collect::<Vec<_>>().join(", ")
    }

    fn computed(&self, columns: &[(ColumnNumber, Expr)]) -> String {
        let one =
            |(column, value): &(ColumnNumber, Expr)| format!("{} = {}", self.name(*column), self.expr(value));
        columns.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    fn keys(&self, keys: &[SortKey]) -> String {
        let one = |key: &SortKey| {
            format!("{}{}", self.name(key.column), direction(key.descending, key.nulls_first))
        };
        keys.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    fn line(&mut self, depth: usize, line: String) {
        self.text += &format!("{}{line}\n", "  ".repeat(depth));
    }

    fn print(&mut self, plan: &Relational, depth: usize) {
        let line = self.describe(plan);
        self.line(depth, line);
        plan.for_each_input(&mut |input| self.print(input, depth + 1));
    }

    fn describe_functions(&self, node: &crate::logical::FunctionScan) -> String {
        let call = |function: &crate::plan::SetFunction| {
            format!("{}({})", function.function.name, self.list(&function.arguments))
        };
        let calls: Vec<String> = node.functions.iter().map(call).collect();
        let ordinality = if node.ordinality { " with ordinality" } else { "" };
        format!("FunctionScan {}{ordinality}: {}", calls.join(", "), self.names(&node.columns))
    }

    fn describe(&self, plan: &Relational) -> String {
        match plan {
            Relational::Scan(node) => {
                let lock = match &node.lock {
                    Some(lock) => format!(" lock {:?} {:?}", lock.strength, lock.wait),
                    None => String::new(),
                };
                format!("Scan {} {}{lock}", node.table.descriptor.name, node.alias)
            }
            Relational::VirtualScan(node) => format!("VirtualScan {} {}", node.table.name, node.alias),
            Relational::FunctionScan(node) => self.describe_functions(node),
            Relational::Values(node) => {
                let rows: Vec<String> = node.rows.iter().map(|row| format!("({})", self.list(row))).collect();
                format!("Values {}: {}", rows.join(", "), self.names(&node.columns))
            }
            Relational::CteScan(node) => {
                let kind = if node.work_table { "WorkTableScan" } else { "CteScan" };
                format!("{kind} {} ({}): {}", node.name, node.cte, self.names(&node.columns))
            }
            Relational::Feed(node) => format!("Feed {}: {}", node.name, self.names(&node.columns)),
            Relational::Filter(node) => format!("Filter {}", self.list(&node.conditions)),
            Relational::Extend(node) => format!("Extend {}", self.computed(&node.columns)),
            Relational::Join(node) => {
                let kind = match node.kind {
                    JoinKind::Anti { null_aware: true } => "Anti (null aware)".to_string(),
                    JoinKind::Anti { null_aware: false } => "Anti".to_string(),
                    JoinKind::Mark { column, null_aware } => {
                        format!("Mark{} {}", if null_aware { " (null aware)" } else { "" }, self.name(column))
                    }
                    JoinKind::Subquery { column, value, result } => {
                        format!("{result:?} {} = {}", self.name(column), self.name(value))
                    }
                    kind => format!("{kind:?}"),
                };
                let on = if node.conditions.is_empty() { "" } else { " on " };
                format!("Join {kind}{on}{}", self.list(&node.conditions))
            }
            Relational::Aggregate(node) => {
                let one = |(column, aggregate): &(ColumnNumber, expr::Aggregate)| {
                    format!(
                        "{} = {}",
                        self.name(*column),
                        aggregate_text(aggregate, &|column| self.name(column))
                    )
                };
                let aggregates: Vec<String> = node.aggregates.iter().map(one).collect();
                let sets =
                    if node.sets.len() == 1 { String::new() } else { format!(" sets {:?}", node.sets) };
                format!("Aggregate keys [{}]{sets} [{}]", self.computed(&node.keys), aggregates.join(", "))
            }
            Relational::Window(node) => {
                let one = |(column, call): &(ColumnNumber, expr::WindowCall)| {
                    format!("{} = {}({})", self.name(*column), call.function.name, self.list(&call.arguments))
                };
                let calls: Vec<String> = node.calls.iter().map(one).collect();
                let partition = self.names(&node.partition_by);
                format!(
                    "Window partition [{partition}] order [{}] {}",
                    self.keys(&node.order_by),
                    calls.join(", ")
                )
            }
            Relational::ProjectSet(node) => {
                let one = |(column, call): &(ColumnNumber, crate::plan::SetFunction)| {
                    format!("{} = {}({})", self.name(*column), call.function.name, self.list(&call.arguments))
                };
                format!("ProjectSet {}", node.functions.iter().map(one).collect::<Vec<_>>().join(", "))
            }
            Relational::Deferred(node) => {
                let one = |(column, call): &(ColumnNumber, crate::plan::DeferredCall)| {
                    format!("{} = {}({})", self.name(*column), call.function.name, self.list(&call.arguments))
                };
                format!("Deferred {}", node.calls.iter().map(one).collect::<Vec<_>>().join(", "))
            }
            Relational::Distinct(node) => {
                let on = if node.ordered { " on (ordered)" } else { "" };
                format!("Distinct{on} {}", self.names(&node.columns))
            }
            Relational::Sort(node) => format!("Sort {}", self.keys(&node.keys)),
            Relational::Limit(node) => {
                let part = |what: &str, value: &Option<Expr>| {
                    value.as_ref().map_or(String::new(), |value| format!(" {what} {}", self.expr(value)))
                };
                let ties = if node.ties.is_empty() {
                    String::new()
                } else {
                    format!(" ties {}", self.keys(&node.ties))
                };
                format!("Limit{}{}{ties}", part("count", &node.count), part("offset", &node.offset))
            }
            Relational::LockRows(node) => {
                let one = |target: &crate::logical::LockTarget| {
                    format!(
                        "{} {:?} {:?}",
                        target.table.descriptor.name, target.lock.strength, target.lock.wait
                    )
                };
                format!("LockRows {}", node.targets.iter().map(one).collect::<Vec<_>>().join(", "))
            }
            Relational::SetOperation(node) => {
                let all = if node.all { " all" } else { "" };
                let inputs: Vec<String> =
                    node.inputs.iter().map(|(_, columns)| format!("[{}]", self.names(columns))).collect();
                format!("{:?}{all} {}: {}", node.operator, inputs.join(", "), self.names(&node.columns))
            }
            Relational::RecursiveUnion(node) => {
                let distinct = if node.distinct { " distinct" } else { "" };
                format!(
                    "RecursiveUnion {} ({}){distinct} [{}], [{}]: {}",
                    node.name,
                    node.cte,
                    self.names(&node.initial.1),
                    self.names(&node.step.1),
                    self.names(&node.columns)
                )
            }
            Relational::With(node) => {
                let one = |table: &crate::logical::WithTable| {
                    let modifies = if table.modifies { " modifies" } else { "" };
                    format!("{} ({}){modifies}: {}", table.name, table.cte, self.names(&table.columns))
                };
                format!("With {}", node.tables.iter().map(one).collect::<Vec<_>>().join("; "))
            }
            Relational::InitPlan(node) => {
                let one = |subquery: &crate::logical::InitSubquery| {
                    let value =
                        subquery.value.map_or(String::new(), |value| format!(" of {}", self.name(value)));
                    format!("$slot{} = {:?}{value}", subquery.slot, subquery.result)
                };
                format!("InitPlan {}", node.subqueries.iter().map(one).collect::<Vec<_>>().join(", "))
            }
            Relational::Insert(node) => {
                let conflict = match &node.on_conflict {
                    Some(conflict) => format!(" on conflict {:?}", conflict.arbiters),
                    None => String::new(),
                };
                format!("Insert {} [{}]{conflict}", node.table.descriptor.name, self.names(&node.row))
            }
            Relational::Update(node) => {
                let one = |(position, value): &(u32, Expr)| {
                    let column = &node.table.descriptor.columns[*position as usize].name;
                    format!("{column} = {}", self.expr(value))
                };
                let assignments: Vec<String> = node.assignments.iter().map(one).collect();
                format!("Update {} set {}", node.table.descriptor.name, assignments.join(", "))
            }
            Relational::Delete(node) => format!("Delete {}", node.table.descriptor.name),
        }
    }
}
