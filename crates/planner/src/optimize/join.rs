//! Joins: lateral ones as Apply; others by lookup in an index, by hash, or by nested loops.

use std::collections::BTreeMap;

use expr::Expr;
use expr::catalogue::operators::{Comparison, comparison_of};
use types::{DataType, PgResult};

use super::access_path::{self, Wanted};
use super::build::{Builder, Built};
use super::estimate::{self, DEFAULT_ROWS};
use crate::logical::*;
use crate::plan::{self, ApplyKind, Operator, SubqueryResult};

/// A lookup of one row through an index costs this many times what scanning a row costs.
const LOOKUP_COST: f64 = 4.0;

fn physical_kind(kind: JoinKind) -> plan::JoinKind {
    match kind {
        JoinKind::Inner => plan::JoinKind::Inner,
        JoinKind::Left => plan::JoinKind::Left,
        JoinKind::Right => plan::JoinKind::Right,
        JoinKind::Full => plan::JoinKind::Full,
        JoinKind::Semi => plan::JoinKind::Semi,
        JoinKind::Anti { .. } => plan::JoinKind::Anti,
        JoinKind::Mark { .. } => plan::JoinKind::Mark,
        JoinKind::Subquery { .. } => plan::JoinKind::Left,
    }
}

fn is_null_aware(kind: JoinKind) -> bool {
    matches!(kind, JoinKind::Anti { null_aware: true } | JoinKind::Mark { null_aware: true, .. })
}

/// Columns of the join's output.
fn output_layout(kind: JoinKind, left: &[ColumnNumber], right: &[ColumnNumber]) -> Vec<ColumnNumber> {
    let mut layout = left.to_vec();
    if kind.has_right_columns() {
        layout.extend(right);
    }
    layout.extend(kind.own_column());
    layout
}

impl Builder<'_> {
    pub fn join(&mut self, join: Join, required: &ColumnSet) -> PgResult<Built> {
        if join.kind == JoinKind::Inner {
            return self.inner_joins(join, required);
        }
        let mut needed = required.clone();
        join.conditions.iter().for_each(|condition| collect_columns(condition, &mut needed));
        let mut of_left = needed.clone();
        of_left.union_with(&join.right.free_columns());
        let left = self.build(join.left, &of_left)?;
        self.join_to(join.kind, left, join.right, join.conditions, join.in_conditions, &needed)
    }

    /// Joins a built left side with a right side. `needed`: columns used above and in the conditions.
    pub fn join_to(
        &mut self,
        kind: JoinKind,
        left: Built,
        right: Relational,
        conditions: Vec<Expr>,
        in_conditions: usize,
        needed: &ColumnSet,
    ) -> PgResult<Built> {
        let of_left: ColumnSet = left.layout.iter().copied().collect();
        let correlated = right.free_columns().intersection(&of_left);
        if !correlated.is_empty() || matches!(kind, JoinKind::Subquery { .. }) {
            return self.apply(kind, left, right, conditions, &correlated, needed);
        }
        if let Some(built) = self.lookup_join(kind, &left, &right, &conditions, needed)? {
            return built.finish(self, left);
        }
        let right = self.build(right, needed)?;
        let (pairs, rest) = self.equi_pairs(&left, &right, conditions, in_conditions, is_null_aware(kind));
        match pairs {
            Some(pairs) if !pairs.is_empty() && self.options.methods.hash_join => {
                self.hash_join(kind, left, right, pairs, rest)
            }
            Some(pairs) => {
                let all = pairs.into_iter().map(|pair| pair.original).chain(rest).collect();
                self.nested_loop(kind, left, right, all)
            }
            None => self.nested_loop(kind, left, right, rest),
        }
    }

    /// Splits conditions into equalities between the sides and the rest. For a null-aware join the equalities must be exactly
    /// the conditions of the IN: `None` when they cannot be.
    fn equi_pairs(
        &self,
        left: &Built,
        right: &Built,
        conditions: Vec<Expr>,
        in_conditions: usize,
        null_aware: bool,
    ) -> (Option<Vec<Pair>>, Vec<Expr>) {
        let of_left: ColumnSet = left.layout.iter().copied().collect();
        let of_right: ColumnSet = right.layout.iter().copied().collect();
        if null_aware {
            let pairs: Option<Vec<Pair>> = conditions[..in_conditions]
                .iter()
                .map(|condition| equi_pair(condition, &of_left, &of_right))
                .collect();
            return match pairs {
                Some(pairs) => (Some(pairs), conditions[in_conditions..].to_vec()),
                None => (None, conditions),
            };
        }
        let (mut pairs, mut rest) = (Vec::new(), Vec::new());
        for condition in conditions.into_iter().flat_map(conjuncts) {
            match equi_pair(&condition, &of_left, &of_right) {
                Some(pair) => pairs.push(pair),
                None => rest.push(condition),
            }
        }
        (Some(pairs), rest)
    }

    fn hash_join(
        &self,
        kind: JoinKind,
        mut left: Built,
        mut right: Built,
        mut pairs: Vec<Pair>,
        rest: Vec<Expr>,
    ) -> PgResult<Built> {
        // The table is built of the right side: of the smaller one where the sides may be swapped.
        if kind == JoinKind::Inner && right.rows() > left.rows() {
            std::mem::swap(&mut left, &mut right);
            for pair in &mut pairs {
                std::mem::swap(&mut pair.left, &mut pair.right);
            }
        }
        let rows = joined_rows(kind, left.rows(), right.rows(), pairs.len(), &rest);
        let left_keys = pairs.iter().map(|pair| self.place(pair.left.clone(), &left.layout));
        let left_keys = left_keys.collect::<PgResult<Vec<Expr>>>()?;
        let right_keys = pairs.iter().map(|pair| self.place(pair.right.clone(), &right.layout));
        let right_keys = right_keys.collect::<PgResult<Vec<Expr>>>()?;
        let both: Vec<ColumnNumber> = left.layout.iter().chain(&right.layout).copied().collect();
        let condition = self.place_and(rest, &both)?;
        let layout = output_layout(kind, &left.layout, &right.layout);
        let estimate = sum(&left, &right, rows);
        let operator = plan::HashJoin {
            kind: physical_kind(kind),
            left: left.node,
            right: right.node,
            left_keys,
            right_keys,
            condition,
            null_aware: is_null_aware(kind),
        };
        Ok(self.node(Operator::HashJoin(Box::new(operator)), layout, estimate))
    }

    fn nested_loop(
        &self,
        kind: JoinKind,
        left: Built,
        right: Built,
        conditions: Vec<Expr>,
    ) -> PgResult<Built> {
        let rows = joined_rows(kind, left.rows(), right.rows(), 0, &conditions);
        let both: Vec<ColumnNumber> = left.layout.iter().chain(&right.layout).copied().collect();
        let condition = self.place_and(conditions, &both)?;
        let layout = output_layout(kind, &left.layout, &right.layout);
        let mut estimate = sum(&left, &right, rows);
        estimate.total_cost += left.rows() * right.rows() * 0.0025;
        let operator = plan::NestedLoopJoin {
            kind: physical_kind(kind),
            left: left.node,
            right: right.node,
            condition,
            null_aware: is_null_aware(kind),
        };
        Ok(self.node(Operator::NestedLoopJoin(Box::new(operator)), layout, estimate))
    }

    /// A join by looking the right side's rows up in an index, if there is one that fits and it pays.
    fn lookup_join(
        &mut self,
        kind: JoinKind,
        left: &Built,
        right: &Relational,
        conditions: &[Expr],
        needed: &ColumnSet,
    ) -> PgResult<Option<Lookup>> {
        let fits = matches!(
            kind,
            JoinKind::Inner | JoinKind::Left | JoinKind::Semi | JoinKind::Anti { .. } | JoinKind::Mark { .. }
        ) && !is_null_aware(kind)
            && self.options.methods.lookup_join;
        // Whether there is a row does not depend on what is computed of it.
        let is_existence = matches!(kind, JoinKind::Semi | JoinKind::Anti { .. } | JoinKind::Mark { .. });
        let right = match right {
            Relational::Extend(extend) if is_existence && is_unused(extend, needed) => &extend.input,
            other => other,
        };
        let (scan, own) = match right {
            _ if !fits => return Ok(None),
            Relational::Scan(scan) => (&**scan, &[][..]),
            Relational::Filter(filter) => match &filter.input {
                Relational::Scan(scan) => (&**scan, filter.conditions.as_slice()),
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        let all: Vec<Expr> = conditions.iter().chain(own).cloned().flat_map(conjuncts).collect();
        let statistics = self.catalog.statistics(scan.table.descriptor.id);
        let of_scan: ColumnSet = scan.columns.iter().copied().collect();
        let wanted_columns = needed.intersection(&of_scan);
        let wanted = Wanted {
            table: &scan.table,
            numbers: &scan.columns,
            conditions: &all,
            columns: &wanted_columns,
            statistics: statistics.as_deref(),
            goal: None,
        };
        // Matching treats the left side's columns as values: what it finds are lookups per left row.
        let path = access_path::choose(&wanted, true);
        let plan::Spans::List(spans) = &path.spans else { return Ok(None) };
        let [span] = spans.as_slice() else { return Ok(None) };
        let of_left: ColumnSet = left.layout.iter().copied().collect();
        let mut keys = Vec::new();
        let mut uses_left = false;
        for value in &span.prefix {
            let plan::KeyValue::Equal(value) = value else { break };
            let column = scan.table.index_at(path.index).columns[keys.len()].column;
            let column = scan.table.descriptor.column(column).map(|column| column.column_type.data_type);
            // Keys are encoded as they are.
            if column.is_none_or(|column| plan::KeyFit::of(value.data_type(), column).is_some()) {
                break;
            }
            uses_left |= columns_of(value).intersects(&of_left);
            keys.push(value.clone());
        }
        let table_rows = statistics.as_ref().map_or(DEFAULT_ROWS, |statistics| statistics.row_count.max(1.0));
        let scanned =
            access_path::choose(&Wanted { conditions: own, ..wanted }, self.options.methods.index_scan);
        let left_rows = self.join_goal.map_or(left.rows(), |goal| goal.min(left.rows()));
        let pays =
            left_rows * LOOKUP_COST * path.rows.min(table_rows).max(1.0) < scanned.cost.max(1.0) + 10.0;
        if keys.is_empty() || !uses_left || !pays {
            return Ok(None);
        }
        let single_row = path.single_row && keys.len() == span.prefix.len();
        // Equalities that became keys are served; bounds after them are not part of a lookup.
        let index = scan.table.index_at(path.index);
        let rest = all
            .iter()
            .zip(&path.served)
            .filter(|(condition, served)| !**served || !is_key_equality(condition, scan, index, keys.len()))
            .map(|(condition, _)| condition.clone())
            .collect();
        Ok(Some(Lookup { kind, scan: scan.clone(), path, keys, single_row, rest, wanted_columns }))
    }

    /// The right side is run anew for every left row, with the row's columns in slots.
    fn apply(
        &mut self,
        kind: JoinKind,
        left: Built,
        right: Relational,
        conditions: Vec<Expr>,
        correlated: &ColumnSet,
        needed: &ColumnSet,
    ) -> PgResult<Built> {
        let mut bindings = Vec::new();
        let mut shadowed = BTreeMap::new();
        for column in correlated.iter() {
            let slot = self.new_slot();
            let position = left.position(column).expect("a correlated column is the left side's");
            bindings.push((slot, position));
            shadowed.insert(column, self.outer.insert(column, slot));
        }
        let (kind_of_apply, right_needed) = match kind {
            JoinKind::Subquery { value, result, .. } => {
                let needed = if result == SubqueryResult::Exists {
                    ColumnSet::new()
                } else {
                    [value].into_iter().collect()
                };
                (ApplyKind::Subquery(result), needed)
            }
            other => {
                let kind = physical_kind(other);
                (ApplyKind::Join { kind, null_aware: is_null_aware(other) }, needed.clone())
            }
        };
        let built = self.build(right, &right_needed);
        for (column, before) in shadowed {
            match before {
                Some(slot) => drop(self.outer.insert(column, slot)),
                None => drop(self.outer.remove(&column)),
            }
        }
        let mut right = built?;
        if let JoinKind::Subquery { value, result, .. } = kind
            && result != SubqueryResult::Exists
        {
            let node = self.project_to(right, &[value])?;
            right = Built { node, layout: vec![value], order: Vec::new() };
        }
        let both: Vec<ColumnNumber> = left.layout.iter().chain(&right.layout).copied().collect();
        let condition = self.place_and(conditions, &both)?;
        let layout = output_layout(kind, &left.layout, &right.layout);
        let rows = if kind.has_right_columns() { left.rows() * right.rows() } else { left.rows() };
        let mut estimate = left.node.estimate;
        estimate.rows = rows.max(1.0);
        estimate.total_cost += left.rows() * right.node.estimate.total_cost;
        let order = left.order;
        let operator =
            plan::Apply { kind: kind_of_apply, left: left.node, right: right.node, bindings, condition };
        Ok(self.node(Operator::Apply(Box::new(operator)), layout, estimate).in_order(order))
    }
}

/// A condition `left = right` whose sides belong to the sides of the join, and the condition as it was.
struct Pair {
    left: Expr,
    right: Expr,
    original: Expr,
}

/// A lookup join decided upon.
struct Lookup {
    kind: JoinKind,
    scan: Scan,
    path: access_path::AccessPath,
    keys: Vec<Expr>,
    single_row: bool,
    rest: Vec<Expr>,
    wanted_columns: ColumnSet,
}

impl Lookup {
    fn finish(self, builder: &Builder<'_>, left: Built) -> PgResult<Built> {
        let Lookup { kind, scan, path, keys, single_row, rest, mut wanted_columns } = self;
        rest.iter().for_each(|condition| collect_columns(condition, &mut wanted_columns));
        if scan.lock.is_some() {
            let keys = scan.table.descriptor.primary.columns.iter();
            wanted_columns.extend(keys.filter_map(|key| {
                scan.table.descriptor.column_position(key.column).map(|at| scan.columns[at])
            }));
        }
        let pairs = scan.columns.iter().zip(&scan.table.descriptor.columns);
        let (right, ids): (Vec<ColumnNumber>, Vec<_>) = pairs
            .filter(|(number, _)| wanted_columns.contains(**number))
            .map(|(number, column)| (*number, column.id))
            .unzip();
        let keys = builder.place_all(keys, &left.layout)?;
        let both: Vec<ColumnNumber> = left.layout.iter().chain(&right).copied().collect();
        let rows = match kind {
            JoinKind::Inner | JoinKind::Left => estimate::filtered(left.rows() * path.rows, &rest),
            _ => left.rows(),
        };
        let condition = builder.place_and(rest, &both)?;
        let layout = output_layout(kind, &left.layout, &right);
        let mut estimate = estimate::over(&left.node.estimate, rows);
        estimate.total_cost += left.rows() * path.rows * LOOKUP_COST * 0.01;
        let order = left.order;
        let operator = plan::LookupJoin {
            kind: physical_kind(kind),
            left: left.node,
            table: scan.table,
            alias: scan.alias,
            index: path.index,
            keys,
            single_row,
            fetch_row: path.fetch_row,
            columns: ids,
            condition,
            lock: scan.lock,
        };
        Ok(builder.node(Operator::LookupJoin(Box::new(operator)), layout, estimate).in_order(order))
    }
}

/// Whether nobody needs what is computed, nor that it is computed.
fn is_unused(extend: &Extend, needed: &ColumnSet) -> bool {
    extend.columns.iter().all(|(column, value)| !needed.contains(*column) && !expr::eval::is_volatile(value))
}

/// Is the condition an equality with one of the index's first `keys` columns?
fn is_key_equality(
    condition: &Expr,
    scan: &Scan,
    index: &types::descriptor::IndexDescriptor,
    keys: usize,
) -> bool {
    let Expr::Call { function, .. } = condition else { return false };
    if !matches!(comparison_of(*function), Some((Comparison::Equal, _, _))) {
        return false;
    }
    let used = columns_of(condition);
    index.columns[..keys].iter().any(|part| {
        let position = scan.table.descriptor.column_position(part.column);
        position.is_some_and(|at| used.contains(scan.columns[at]))
    })
}

/// `left = right` with each side about one side of the join, of one type.
fn equi_pair(condition: &Expr, of_left: &ColumnSet, of_right: &ColumnSet) -> Option<Pair> {
    let Expr::Call { function, arguments, .. } = condition else { return None };
    let [a, b] = arguments.as_slice() else { return None };
    let (Comparison::Equal, _, _) = comparison_of(*function)? else { return None };
    if expr::eval::is_volatile(condition) {
        return None;
    }
    let (used_a, used_b) = (columns_of(a), columns_of(b));
    let only = |used: &ColumnSet, side: &ColumnSet, other: &ColumnSet| {
        used.intersects(side) && !used.intersects(other)
    };
    let (left, right) = if only(&used_a, of_left, of_right) && only(&used_b, of_right, of_left) {
        (a, b)
    } else if only(&used_b, of_left, of_right) && only(&used_a, of_right, of_left) {
        (b, a)
    } else {
        return None;
    };
    let (left_type, right_type) = (left.data_type(), right.data_type());
    if left_type == right_type {
        return Some(Pair { left: left.clone(), right: right.clone(), original: condition.clone() });
    }
    let width = |data_type: DataType| match data_type {
        DataType::Int2 => Some(2),
        DataType::Int4 => Some(4),
        DataType::Int8 => Some(8),
        _ => None,
    };
    let common = if width(left_type)? > width(right_type)? { left_type } else { right_type };
    let cast = |expression: &Expr| {
        if expression.data_type() == common {
            return expression.clone();
        }
        let context = expr::CastContext::Implicit;
        Expr::Cast { input: Box::new(expression.clone()), to: common.into(), context, position: 0 }
    };
    Some(Pair { left: cast(left), right: cast(right), original: condition.clone() })
}

fn joined_rows(kind: JoinKind, left: f64, right: f64, equalities: usize, rest: &[Expr]) -> f64 {
    let product = left * right;
    // An equality is taken to be one with a key of the larger side.
    let matched = if equalities > 0 { product / left.max(right).max(1.0) } else { product };
    let matched = estimate::filtered(matched.max(1.0), rest);
    match kind {
        JoinKind::Inner => matched,
        JoinKind::Left => matched.max(left),
        JoinKind::Right => matched.max(right),
        JoinKind::Full => matched.max(left).max(right),
        JoinKind::Semi | JoinKind::Anti { .. } => left * 0.5,
        JoinKind::Mark { .. } | JoinKind::Subquery { .. } => left,
    }
}

fn sum(left: &Built, right: &Built, rows: f64) -> plan::Estimate {
    let (a, b) = (&left.node.estimate, &right.node.estimate);
    plan::Estimate {
        rows: rows.max(1.0),
        startup_cost: b.total_cost,
        total_cost: a.total_cost + b.total_cost + (a.rows + 2.0 * b.rows) * 0.01,
        width: 0,
    }
}
