//! The order of inner joins: greedy. It begins with the input of fewest rows and goes on with the input that, joined by a
//! condition, leaves the fewest; inputs that no condition connects come last. Lateral inputs wait for what they use.

use expr::Expr;
use types::PgResult;

use super::build::{Builder, Built};
use super::estimate;
use crate::logical::*;

/// One input of a tree of inner joins.
struct Input {
    relational: Relational,
    produced: ColumnSet,
    /// Columns of other inputs that it uses (lateral).
    depends_on: ColumnSet,
    rows: f64,
}

/// Takes a tree of inner joins apart.
fn flatten(relational: Relational, inputs: &mut Vec<Relational>, conditions: &mut Vec<Expr>) {
    match relational {
        Relational::Join(join) if join.kind == JoinKind::Inner => {
            let Join { left, right, conditions: own, .. } = *join;
            flatten(left, inputs, conditions);
            flatten(right, inputs, conditions);
            conditions.extend(own.into_iter().flat_map(conjuncts));
        }
        other => inputs.push(other),
    }
}

impl Builder<'_> {
    pub fn inner_joins(&mut self, join: Join, required: &ColumnSet) -> PgResult<Built> {
        let (mut relationals, mut conditions) = (Vec::new(), Vec::new());
        flatten(Relational::Join(Box::new(join)), &mut relationals, &mut conditions);
        let mut needed = required.clone();
        conditions.iter().for_each(|condition| collect_columns(condition, &mut needed));
        let all: ColumnSet =
            relationals.iter().flat_map(|input| input.produced().iter().collect::<Vec<_>>()).collect();
        let mut inputs = Vec::with_capacity(relationals.len());
        for relational in relationals {
            let produced = relational.produced();
            let depends_on = relational.free_columns().intersection(&all);
            needed.union_with(&depends_on);
            inputs.push(Input { relational, produced, depends_on, rows: 0.0 });
        }
        for input in &mut inputs {
            // Lateral inputs are not built before what they use: they count as a handful of rows.
            input.rows = if input.depends_on.is_empty() {
                self.estimated_rows(&input.relational, &needed)?
            } else {
                10.0
            };
        }
        // The input whose order the rows should have comes first.
        let is_ordered = |input: &Input| {
            self.scan_order.as_ref().is_some_and(|(column, _)| input.produced.contains(*column))
        };
        let first = (0..inputs.len())
            .filter(|at| inputs[*at].depends_on.is_empty())
            .min_by(|a, b| {
                let unordered = |at: usize| !is_ordered(&inputs[at]);
                unordered(*a).cmp(&unordered(*b)).then(inputs[*a].rows.total_cmp(&inputs[*b].rows))
            })
            .unwrap_or(0);
        let first = inputs.remove(first);
        let mut current = self.build(first.relational, &needed)?;
        let mut covered = first.produced;
        let (ready, mut waiting) = take_ready(conditions, &covered, &all);
        current = self.filtered(current, ready)?;
        while !inputs.is_empty() {
            let next = inputs.remove(self.best_next(&inputs, &covered, &waiting, current.rows()));
            covered.union_with(&next.produced);
            let (ready, rest) = take_ready(waiting, &covered, &all);
            waiting = rest;
            current = self.join_to(JoinKind::Inner, current, next.relational, ready, 0, &needed)?;
        }
        self.filtered(current, waiting)
    }

    /// The rows that an input will give, by building it for the sake of the estimate.
    fn estimated_rows(&mut self, relational: &Relational, needed: &ColumnSet) -> PgResult<f64> {
        let slots = self.slot_count;
        let order = self.scan_order.take();
        let rows = match relational {
            Relational::Scan(_)
            | Relational::Filter(_)
            | Relational::VirtualScan(_)
            | Relational::Values(_) => self.build(relational.clone(), needed)?.rows(),
            _ => estimate::DEFAULT_ROWS,
        };
        self.slot_count = slots;
        self.scan_order = order;
        Ok(rows)
    }

    fn best_next(&self, inputs: &[Input], covered: &ColumnSet, waiting: &[Expr], rows: f64) -> usize {
        let score = |input: &Input| {
            if !input.depends_on.is_subset(covered) {
                return (2, f64::INFINITY);
            }
            let mut both = covered.clone();
            both.union_with(&input.produced);
            let connecting: Vec<&Expr> = waiting
                .iter()
                .filter(|condition| {
                    let used = columns_of(condition);
                    used.intersects(&input.produced) && used.intersects(covered) && {
                        let beyond = used.difference(&both);
                        beyond.is_empty()
                    }
                })
                .collect();
            if connecting.is_empty() {
                return (1, rows * input.rows);
            }
            let selectivity: f64 =
                connecting.iter().map(|condition| estimate::selectivity(condition)).product();
            let by_key = rows * input.rows / rows.max(input.rows).max(1.0);
            (0, by_key.min(rows * input.rows * selectivity.max(1e-9)).max(input.rows.min(rows)))
        };
        let scores: Vec<(u8, f64)> = inputs.iter().map(score).collect();
        let order = |a: &usize, b: &usize| {
            scores[*a].0.cmp(&scores[*b].0).then(scores[*a].1.total_cmp(&scores[*b].1)).then(a.cmp(b))
        };
        (0..inputs.len()).min_by(order).expect("there is an input left")
    }
}

/// Conditions whose columns (of these inputs) are all covered, and the others.
fn take_ready(conditions: Vec<Expr>, covered: &ColumnSet, all: &ColumnSet) -> (Vec<Expr>, Vec<Expr>) {
    conditions.into_iter().partition(|condition| columns_of(condition).intersection(all).is_subset(covered))
}
