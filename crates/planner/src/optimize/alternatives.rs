//! A disjunction whose operands are served by different indexes: each is read through its own, and no row twice.
//!
//! ```text
//!   a = 1 OR b = 2   ->   Append
//!                           index on a: a = 1
//!                           index on b: b = 2, but not (a = 1) IS TRUE
//! ```
//!
//! (Where one index serves all of them it is one scan with several spans: see [`super::access_path`].)

use expr::Expr;
use types::PgResult;

use super::access_path::{self, Wanted};
use super::build::{Builder, Built};
use super::estimate;
use crate::logical::*;
use crate::plan::{self, Operator};

/// Scans at most.
const ALTERNATIVES_MAX: usize = 8;
/// Reading a table by itself is worth this much more: one scan does with one pass.
const MARGIN: f64 = 2.0;

impl Builder<'_> {
    /// The table read in parts, if its conditions have a disjunction of this kind and that pays.
    pub(super) fn scan_in_parts(
        &mut self,
        scan: &Scan,
        conditions: &[Expr],
        required: &ColumnSet,
    ) -> PgResult<Option<Built>> {
        let is_or = |condition: &Expr| matches!(condition, Expr::Or(arms) if arms.len() <= ALTERNATIVES_MAX);
        let Some(at) = conditions.iter().position(is_or) else { return Ok(None) };
        let Expr::Or(arms) = &conditions[at] else { return Ok(None) };
        if scan.lock.is_some() || !self.options.methods.index_scan || arms.iter().any(expr::eval::is_volatile)
        {
            return Ok(None);
        }
        let others = conditions.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, other)| other);
        let parts: Vec<Vec<Expr>> = (0..arms.len())
            .map(|own| {
                let earlier = arms[..own].iter().map(|arm| Expr::IsBool {
                    input: Box::new(arm.clone()),
                    value: Some(true),
                    negated: true,
                });
                conjuncts(arms[own].clone())
                    .into_iter()
                    .chain(others.clone().cloned())
                    .chain(earlier)
                    .collect()
            })
            .collect();
        if !self.pays(scan, conditions, &parts, required) {
            return Ok(None);
        }
        let columns: Vec<ColumnNumber> =
            scan.columns.iter().copied().filter(|column| required.contains(*column)).collect();
        let mut inputs = Vec::with_capacity(parts.len());
        let (mut rows, mut cost) = (0.0, 0.0);
        for part in parts {
            let built = self.table_scan(scan.clone(), part, required, None, None)?;
            rows += built.rows();
            cost += built.node.estimate.total_cost;
            inputs.push(self.project_to(built, &columns)?);
        }
        let estimate = plan::Estimate { total_cost: cost, ..estimate::estimate(rows, cost) };
        let append = Operator::Append(Box::new(plan::Append { inputs }));
        Ok(Some(self.node(append, columns, estimate)))
    }

    fn pays(&self, scan: &Scan, conditions: &[Expr], parts: &[Vec<Expr>], required: &ColumnSet) -> bool {
        let statistics = self.catalog.statistics(scan.table.descriptor.id);
        let own: ColumnSet = scan.columns.iter().copied().collect();
        let columns = required.intersection(&own);
        let cost = |conditions: &[Expr]| {
            let wanted = Wanted {
                table: &scan.table,
                numbers: &scan.columns,
                conditions,
                columns: &columns,
                statistics: statistics.as_deref(),
                goal: None,
            };
            access_path::choose(&wanted, true).cost
        };
        parts.iter().map(|part| cost(part)).sum::<f64>() * MARGIN < cost(conditions)
    }
}
