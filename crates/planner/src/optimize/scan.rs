//! Leaves: tables, functions, constant rows, common tables; and the filters on top of tables.

use expr::Expr;
use types::PgResult;

use super::access_path::{self, AccessPath, Wanted};
use super::build::{Builder, Built};
use super::estimate::{self, estimate};
use crate::logical::*;
use crate::plan::{self, Operator};

impl Builder<'_> {
    /// A filter, or a scan without one.
    pub fn filter(&mut self, relational: Relational, required: &ColumnSet) -> PgResult<Built> {
        let (input, conditions) = match relational {
            Relational::Filter(filter) => {
                (filter.input, filter.conditions.into_iter().flat_map(conjuncts).collect())
            }
            other => (other, Vec::new()),
        };
        match input {
            Relational::Scan(scan) => {
                let is_this = |first: &ColumnNumber| scan.columns.first() == Some(first);
                let ordered = self.scan_order.take_if(|(first, _)| is_this(first));
                let goal = self.scan_goal.take_if(|(first, _)| is_this(first));
                let order = ordered.as_ref().map(|(_, keys)| keys.as_slice());
                if order.is_none()
                    && let Some(built) = self.scan_in_parts(&scan, &conditions, required)?
                {
                    return Ok(built);
                }
                self.table_scan(*scan, conditions, required, order, goal.map(|(_, rows)| rows))
            }
            Relational::VirtualScan(scan) => self.virtual_scan(*scan, conditions),
            input => {
                let mut needed = required.clone();
                conditions.iter().for_each(|condition| collect_columns(condition, &mut needed));
                let built = self.build(input, &needed)?;
                self.filtered(built, conditions)
            }
        }
    }

    /// Puts a filter on a node.
    pub fn filtered(&self, built: Built, conditions: Vec<Expr>) -> PgResult<Built> {
        if conditions.is_empty() {
            return Ok(built);
        }
        let rows = estimate::filtered(built.rows(), &conditions);
        let Some(condition) = self.place_and(conditions, &built.layout)? else { return Ok(built) };
        let Built { node, layout, order } = built;
        let estimate = estimate::over(&node.estimate, rows);
        let operator = Operator::Filter(Box::new(plan::Filter { input: node, condition }));
        Ok(self.node(operator, layout, estimate).in_order(order))
    }

    /// Reads a table. `order`: the order wanted of the rows, tried by choosing an index that has it; whether that
    /// succeeded is told by the order of what was built. `goal`: how many rows will be asked for.
    pub fn table_scan(
        &mut self,
        scan: Scan,
        conditions: Vec<Expr>,
        required: &ColumnSet,
        order: Option<&[SortKey]>,
        goal: Option<f64>,
    ) -> PgResult<Built> {
        let statistics = self.catalog.statistics(scan.table.descriptor.id);
        let own: ColumnSet = scan.columns.iter().copied().collect();
        let mut wanted_columns = required.intersection(&own);
        let wanted = Wanted {
            table: &scan.table,
            numbers: &scan.columns,
            conditions: &conditions,
            columns: &wanted_columns,
            statistics: statistics.as_deref(),
            goal,
        };
        let ordered = order.and_then(|order| Some((ordered_path(&wanted, order)?, order.to_vec())));
        let ((path, reverse), order) = ordered.unwrap_or_else(|| {
            ((access_path::choose(&wanted, self.options.methods.index_scan), false), Vec::new())
        });
        let rest: Vec<Expr> = conditions
            .into_iter()
            .zip(&path.served)
            .filter(|(_, served)| !**served)
            .map(|(condition, _)| condition)
            .collect();
        rest.iter().for_each(|condition| collect_columns(condition, &mut wanted_columns));
        // A locking scan finds the rows again by their primary key.
        if scan.lock.is_some() {
            let keys = scan.table.descriptor.primary.columns.iter();
            wanted_columns.extend(keys.filter_map(|key| {
                scan.table.descriptor.column_position(key.column).map(|at| scan.columns[at])
            }));
        }
        let layout: Vec<ColumnNumber> =
            scan.columns.iter().copied().filter(|column| wanted_columns.contains(*column)).collect();
        let ids = scan
            .columns
            .iter()
            .zip(&scan.table.descriptor.columns)
            .filter(|(number, _)| wanted_columns.contains(**number))
            .map(|(_, column)| column.id)
            .collect();
        let rows = estimate::filtered(path.rows, &rest);
        let estimate = estimate(rows, path.cost);
        let filter = self.place_and(rest, &layout)?;
        let spans = self.place_spans(path.spans)?;
        let table_scan = plan::TableScan {
            table: scan.table,
            alias: scan.alias,
            index: path.index,
            spans,
            single_row: path.single_row,
            reverse,
            ordered: !order.is_empty(),
            fetch_row: path.fetch_row,
            columns: ids,
            filter,
            row_hint: None,
            page_hint: None,
            lock: scan.lock,
        };
        Ok(self.node(Operator::TableScan(Box::new(table_scan)), layout, estimate).in_order(order))
    }

    /// Spans have no columns: those of enclosing rows become slots.
    fn place_spans(&self, spans: plan::Spans) -> PgResult<plan::Spans> {
        let plan::Spans::List(list) = spans else { return Ok(plan::Spans::All) };
        let bound = |bound: plan::SpanBound| {
            Ok(match bound {
                plan::SpanBound::Unbounded => plan::SpanBound::Unbounded,
                plan::SpanBound::Inclusive(value) => plan::SpanBound::Inclusive(self.place(value, &[])?),
                plan::SpanBound::Exclusive(value) => plan::SpanBound::Exclusive(self.place(value, &[])?),
            })
        };
        let value = |value: plan::KeyValue| {
            Ok(match value {
                plan::KeyValue::Equal(value) => plan::KeyValue::Equal(self.place(value, &[])?),
                plan::KeyValue::AnyOf(value) => plan::KeyValue::AnyOf(self.place(value, &[])?),
                plan::KeyValue::Null => plan::KeyValue::Null,
            })
        };
        let spans = list
            .into_iter()
            .map(|span| {
                Ok(plan::Span {
                    prefix: span.prefix.into_iter().map(value).collect::<PgResult<Vec<_>>>()?,
                    lower: bound(span.lower)?,
                    upper: bound(span.upper)?,
                    not_null: span.not_null,
                })
            })
            .collect::<PgResult<Vec<_>>>()?;
        Ok(plan::Spans::List(spans))
    }

    pub fn virtual_scan(&mut self, scan: VirtualScan, conditions: Vec<Expr>) -> PgResult<Built> {
        let layout = scan.columns;
        let equalities =
            conditions.iter().filter_map(|condition| equality(condition, &layout)).collect::<Vec<_>>();
        let equalities = equalities
            .into_iter()
            .map(|(column, value)| Ok((column, self.place(value, &[])?)))
            .collect::<PgResult<Vec<_>>>()?;
        let rows = estimate::filtered(100.0, &conditions);
        let columns = (0..layout.len() as u32).collect();
        let filter = self.place_and(conditions, &layout)?;
        let scan = plan::VirtualScan { table: scan.table, alias: scan.alias, columns, filter, equalities };
        Ok(self.node(Operator::VirtualScan(Box::new(scan)), layout, estimate(rows, 1000.0)))
    }

    pub fn function_scan(&mut self, scan: FunctionScan) -> PgResult<Built> {
        let functions = scan
            .functions
            .into_iter()
            .map(|mut function| {
                function.arguments = self.place_all(function.arguments, &[])?;
                Ok(function)
            })
            .collect::<PgResult<Vec<_>>>()?;
        let operator = plan::FunctionScan { functions, ordinality: scan.ordinality, alias: scan.alias };
        Ok(self.node(Operator::FunctionScan(Box::new(operator)), scan.columns, estimate(100.0, 100.0)))
    }

    pub fn values(&mut self, values: Values) -> PgResult<Built> {
        let rows = values
            .rows
            .into_iter()
            .map(|row| self.place_all(row, &[]))
            .collect::<PgResult<Vec<Vec<Expr>>>>()?;
        let count = rows.len() as f64;
        let operator = Operator::Values(Box::new(plan::Values { rows }));
        Ok(self.node(operator, values.columns, estimate(count, count)))
    }

    pub fn cte_scan(&mut self, scan: CteScan) -> PgResult<Built> {
        let rows = self.common_tables.get(&scan.cte).copied().unwrap_or(100.0);
        let operator = if scan.work_table {
            Operator::WorkTableScan(Box::new(plan::WorkTableScan { cte: scan.cte, name: scan.name }))
        } else {
            Operator::CteScan(Box::new(plan::CteScan { cte: scan.cte, name: scan.name }))
        };
        Ok(self.node(operator, scan.columns, estimate(rows, rows)))
    }

    pub fn feed(&mut self, feed: Feed) -> PgResult<Built> {
        let operator = Operator::Feed(Box::new(plan::Feed { name: feed.name }));
        Ok(self.node(operator, feed.columns, estimate(1000.0, 1000.0)))
    }
}

/// `column = value` with a value that has no columns of the scan.
fn equality(condition: &Expr, layout: &[ColumnNumber]) -> Option<(u32, Expr)> {
    use expr::catalogue::operators::{Comparison, comparison_of};
    let Expr::Call { function, arguments, .. } = condition else { return None };
    let [left, right] = arguments.as_slice() else { return None };
    let (Comparison::Equal, _, _) = comparison_of(*function)? else { return None };
    let column = |expression: &Expr| match expression {
        Expr::Column { index, .. } => layout.iter().position(|column| column == index),
        _ => None,
    };
    let free = |expression: &Expr| {
        let used = columns_of(expression);
        !layout.iter().any(|column| used.contains(*column)) && !expr::eval::is_volatile(expression)
    };
    match (column(left), column(right)) {
        (Some(at), None) if free(right) && left.data_type() == right.data_type() => {
            Some((at as u32, right.clone()))
        }
        (None, Some(at)) if free(left) && left.data_type() == right.data_type() => {
            Some((at as u32, left.clone()))
        }
        _ => None,
    }
}

/// An index whose order is the wanted one, if it does not cost much more than the best: a few rows are then had without
/// sorting all.
pub fn ordered_path(wanted: &Wanted<'_>, order: &[SortKey]) -> Option<(AccessPath, bool)> {
    let mut best: Option<(AccessPath, bool)> = None;
    for path in access_path::all_paths(wanted) {
        let Some(reverse) = provides(wanted, &path, order) else { continue };
        if best.as_ref().is_none_or(|(other, _)| path.cost < other.cost) {
            best = Some((path, reverse));
        }
    }
    best
}

/// Does reading along the path give the order? `Some(true)`: backwards.
fn provides(wanted: &Wanted<'_>, path: &AccessPath, order: &[SortKey]) -> Option<bool> {
    let index = wanted.table.index_at(path.index);
    // Several values in the prefix make several runs, each ordered by itself only.
    let plain = match &path.spans {
        plan::Spans::All => true,
        plan::Spans::List(list) => {
            list.iter().all(|span| !span.prefix.iter().any(|value| matches!(value, plan::KeyValue::AnyOf(_))))
        }
    };
    if !plain || path.single_row {
        return path.single_row.then_some(false);
    }
    let mut reverse = None;
    // Entries of an index that is not unique go on with the primary key.
    let is_own = |column| index.columns.iter().any(|part| part.column == column);
    let primary = wanted.table.descriptor.primary.columns.iter().filter(|part| !is_own(part.column));
    let behind = primary.take(if index.unique { 0 } else { usize::MAX });
    let mut parts = index.columns[path.fixed_columns..].iter().chain(behind);
    for key in order {
        let at = wanted.numbers.iter().position(|number| *number == key.column)?;
        let column = &wanted.table.descriptor.columns[at];
        if index.columns[..path.fixed_columns].iter().any(|part| part.column == column.id) {
            continue;
        }
        let part = parts.next().filter(|part| part.column == column.id)?;
        let same = part.descending == key.descending;
        let nulls_agree = (part.nulls_first == key.nulls_first) == same || column.not_null;
        if !nulls_agree || reverse.is_some_and(|reverse| reverse == same) {
            return None;
        }
        reverse = Some(!same);
    }
    Some(reverse.unwrap_or(false))
}
