//! Rows in order without a sort: read through an index that has the order, and joined by lookups, which keep it.
//!
//! Worth most under a LIMIT: only as much is read and looked up as is asked for.

use expr::Expr;
use types::PgResult;

use super::access_path::{self, Wanted};
use super::build::{Builder, Built};
use super::relational::goal_of;
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

    /// Joins of a table that is read in the wanted order, if all of them keep it, with the limit on top.
    pub(super) fn ordered_joins(
        &mut self,
        sort: &Sort,
        needed: &ColumnSet,
        count: &Expr,
        offset: Option<&Expr>,
    ) -> PgResult<Option<Built>> {
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
        self.join_goal = Some(goal_of(count, offset) * JOIN_GOAL_SLACK);
        let built = self.build(sort.input.clone(), needed);
        (self.scan_order, self.join_goal) = (None, None);
        let built = built?;
        if !built.is_sorted_by(&keys) {
            return Ok(None);
        }
        let built = built.in_order(sort.keys.clone());
        self.limited(built, Some(count.clone()), offset.cloned(), Vec::new()).map(Some)
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
