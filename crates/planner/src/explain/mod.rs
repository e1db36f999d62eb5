//! EXPLAIN: plans as text, in PostgreSQL's style.
//!
//! ```text
//! Limit  (cost=0.00..1.50 rows=10 width=8)
//!   ->  Index Scan using t_a on t  (cost=0.00..15.00 rows=100 width=8)
//!         Index Cond: (a > 5)
//!         Filter: (b = 'x'::text)
//! ```
//!
//! The logical plan prints by [`logical_text`]: for tests, and for the stages before the physical plan.

mod expression;
mod logical;
mod node;

pub use expression::{Reader, aggregate_text, definition_text, expression_text, type_text};
pub use logical::logical_text;

use crate::plan::{Plan, PlanNode};

/// What EXPLAIN was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExplainOptions {
    pub costs: bool,
    /// Output columns of every node.
    pub verbose: bool,
}

/// The plan, a line each.
pub fn explain(plan: &Plan, options: ExplainOptions) -> Vec<String> {
    explain_with(plan, options, &|_| None)
}

/// The same with what others know of nodes: a last line about each.
pub fn explain_with(
    plan: &Plan,
    options: ExplainOptions,
    note: &dyn Fn(&PlanNode) -> Option<String>,
) -> Vec<String> {
    let mut printer = node::NodePrinter::new(plan, options, note);
    printer.print(&plan.root, 0, "");
    printer.lines
}
