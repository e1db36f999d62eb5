//! Rows in order without a sort: read through an index that has the order, and joined by lookups, which keep it.
//!
//! Worth most under a LIMIT: only as much is read and looked up as is asked for.

use expr::Expr;
use types::PgResult;

use super::access_path::{self, Wanted};
use super::build::{Builder, Built};
use super::scan::ordered_path;
use crate::logical::*;

/// How many more rows than asked for are likely to be looked up: some find nothing.
const JOIN_GOAL_SLACK: f64 = 4.0;

impl Builder<'_> {
    /// The input read in the wanted order through an index, if it is a table (filtered, with columns computed on top) and that
    /// is worth it.
    pub(super) fn ordered_scan(
        &mut self,
        sort: &Sort,
        needed: &ColumnSet,
        limited: bool,
    ) -> PgResult<Option<Built>> {
        let (computed, node) = below_computed(&sort.input);
        let (scan, conditions) = match node {
            Relational::Scan(scan) => (scan, Vec::new()),
            Relational::Filter(filter) => match &filter.input {
                Relational::Scan(scan) => (scan, filter.conditions.clone()),
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        let Some(keys) = resolved(&sort.keys, &computed) else { return Ok(None) };
        let statistics = self.catalog.statistics(scan.table.descriptor.id);
        let own: ColumnSet = scan.columns.iter().copied().collect();
        let mut used = needed.intersection(&own);
        computed.iter().for_each(|(_, expression)| collect_columns(expression, &mut used));
        let conditions: Vec<Expr> = conditions.into_iter().flat_map(conjuncts).collect();
        let wanted = Wanted {
            table: &scan.table,
            numbers: &scan.columns,
            conditions: &conditions,
            columns: &used,
            statistics: statistics.as_deref(),
            goal: None,
        };
        let Some((ordered, _)) = ordered_path(&wanted, &keys) else { return Ok(None) };
        let best = access_path::choose(&wanted, self.options.methods.index_scan);
        let worth_it =
            if limited { ordered.cost <= best.cost * 20.0 } else { ordered.cost <= best.cost * 1.5 };
        if !worth_it {
            return Ok(None);
        }
        self.scan_order = Some((scan.columns[0], keys));
        let built = self.build(sort.input.clone(), needed);
        self.scan_order = None;
        built.map(Some)
    }

    /// Joins of a table that is read in the wanted order, if all of them keep it; and what its first rows cost.
    pub(super) fn ordered_joins(
        &mut self,
        sort: &Sort,
        needed: &ColumnSet,
        goal: f64,
    ) -> PgResult<Option<(Built, f64)>> {
        let (computed, node) = below_computed(&sort.input);
        let Some(keys) = resolved(&sort.keys, &computed) else { return Ok(None) };
        let Some(first) = keys.first() else { return Ok(None) };
        let Some((scan, conditions)) = leading_table(node, first.column, true) else { return Ok(None) };
        if keys.iter().any(|key| !scan.columns.contains(&key.column)) {
            return Ok(None);
        }
        let statistics = self.catalog.statistics(scan.table.descriptor.id);
        let conditions: Vec<Expr> = conditions.iter().cloned().flat_map(conjuncts).collect();
        let wanted = Wanted {
            table: &scan.table,
            numbers: &scan.columns,
            conditions: &conditions,
            columns: needed,
            statistics: statistics.as_deref(),
            goal: None,
        };
        if ordered_path(&wanted, &keys).is_none() {
            return Ok(None);
        }
        self.scan_order = Some((scan.columns[0], keys.clone()));
        let built = self.joined_for(goal, sort.input.clone(), needed);
        self.scan_order = None;
        let built = built?;
        let cost = first_cost(&built, goal);
        Ok(built.is_sorted_by(&keys).then_some((built, cost)))
    }

    /// What not more rows than the goal will be asked of.
    pub(super) fn build_for(
        &mut self,
        goal: Option<f64>,
        input: Relational,
        needed: &ColumnSet,
    ) -> PgResult<Built> {
        let Some(goal) = goal else { return self.build(input, needed) };
        if let Some(scan) = table_below(&input) {
            self.scan_goal = scan.columns.first().map(|first| (*first, goal));
            let built = self.build(input, needed);
            self.scan_goal = None;
            return built;
        }
        if !is_joined(&input) {
            return self.build(input, needed);
        }
        let by_lookups = self.joined_for(goal, input.clone(), needed)?;
        let usual = self.build(input, needed)?;
        Ok(if first_cost(&by_lookups, goal) < first_cost(&usual, goal) { by_lookups } else { usual })
    }

    fn joined_for(&mut self, goal: f64, input: Relational, needed: &ColumnSet) -> PgResult<Built> {
        let outer = self.join_goal.replace(goal * JOIN_GOAL_SLACK);
        let built = self.build(input, needed);
        self.join_goal = outer;
        built
    }
}

/// What the first rows cost.
fn first_cost(built: &Built, goal: f64) -> f64 {
    let estimate = &built.node.estimate;
    let fraction = (goal / estimate.rows.max(1.0)).min(1.0);
    estimate.startup_cost + (estimate.total_cost - estimate.startup_cost) * fraction
}

/// The table whose rows an input is, filtered and with columns computed on top.
fn table_below(input: &Relational) -> Option<&Scan> {
    match input {
        Relational::Extend(extend) => table_below(&extend.input),
        Relational::Filter(filter) => table_below(&filter.input),
        Relational::Scan(scan) => Some(scan),
        _ => None,
    }
}

fn is_joined(input: &Relational) -> bool {
    match input {
        Relational::Extend(extend) => is_joined(&extend.input),
        Relational::Filter(filter) => is_joined(&filter.input),
        Relational::Join(_) => true,
        _ => false,
    }
}

type Computed = Vec<(ColumnNumber, Expr)>;

/// What lies below columns that are computed on top, and these.
fn below_computed(mut node: &Relational) -> (Computed, &Relational) {
    let mut computed = Vec::new();
    while let Relational::Extend(extend) = node {
        computed.extend(extend.columns.iter().cloned());
        node = &extend.input;
    }
    (computed, node)
}

/// The keys as columns of what lies below: one that is a plain column under another number is that column. `None`: one is computed.
fn resolved(keys: &[SortKey], computed: &Computed) -> Option<Vec<SortKey>> {
    let resolve = |mut column: ColumnNumber| {
        while let Some((_, expression)) = computed.iter().find(|(own, _)| *own == column) {
            match expression {
                Expr::Column { index, .. } => column = *index,
                _ => return None,
            }
        }
        Some(column)
    };
    keys.iter().map(|key| Some(SortKey { column: resolve(key.column)?, ..*key })).collect()
}

/// The table with a column, with its own conditions, if it is on the sides of joins whose order they can have.
fn leading_table(node: &Relational, column: ColumnNumber, is_top: bool) -> Option<(&Scan, &[Expr])> {
    match node {
        Relational::Join(join) => {
            let left = leading_table(&join.left, column, false);
            let right = || leading_table(&join.right, column, false);
            left.or_else(|| (join.kind == JoinKind::Inner).then(right).flatten())
        }
        Relational::Filter(filter) => match &filter.input {
            Relational::Scan(scan) if !is_top && scan.columns.contains(&column) => {
                Some((scan, &filter.conditions))
            }
            Relational::Join(_) => leading_table(&filter.input, column, is_top),
            _ => None,
        },
        Relational::Scan(scan) if !is_top && scan.columns.contains(&column) => Some((scan, &[])),
        _ => None,
    }
}
