//! How many rows, at what cost. Coarse where nothing is known; never zero.

use expr::Expr;
use expr::catalogue::operators::{Comparison, comparison_of};
use types::descriptor::ColumnId;

use crate::catalog::Statistics;
use crate::plan::Estimate;

/// Rows of a table of which nothing is known.
pub const DEFAULT_ROWS: f64 = 1000.0;
/// Fraction of rows within no, one or two bounds.
pub const RANGE_FRACTION: [f64; 3] = [1.0, 1.0 / 3.0, 0.05];
/// Distinct values of a column of which nothing is known, at most.
const DEFAULT_DISTINCT: f64 = 200.0;
/// Fraction of rows that pass a condition of which nothing is known.
const DEFAULT_SELECTIVITY: f64 = 1.0 / 3.0;
const EQUAL_SELECTIVITY: f64 = 0.01;
/// Elements of an array of which nothing is known.
const DEFAULT_ARRAY_LENGTH: f64 = 10.0;

pub fn distinct_values(statistics: Option<&Statistics>, column: ColumnId, rows: f64) -> f64 {
    let known = statistics.and_then(|statistics| statistics.columns.get(&column));
    known.map_or_else(|| rows.min(DEFAULT_DISTINCT), |column| column.distinct_count).max(1.0)
}

pub fn array_length(array: &Expr) -> f64 {
    match array {
        Expr::Array { elements, .. } => elements.len() as f64,
        Expr::Constant { value: types::Datum::Array(array), .. } => array.elements.len() as f64,
        _ => DEFAULT_ARRAY_LENGTH,
    }
}

/// Fraction of rows that pass a condition.
pub fn selectivity(condition: &Expr) -> f64 {
    match condition {
        Expr::And(list) => list.iter().map(selectivity).product(),
        Expr::Or(list) => {
            (1.0 - list.iter().map(|operand| 1.0 - selectivity(operand)).product::<f64>()).min(1.0)
        }
        Expr::Not(input) => 1.0 - selectivity(input),
        Expr::IsNull { negated, .. } => {
            if *negated {
                0.95
            } else {
                0.05
            }
        }
        Expr::InList { list, negated, .. } => {
            let inside = (EQUAL_SELECTIVITY * list.len() as f64).min(0.5);
            if *negated { 1.0 - inside } else { inside }
        }
        Expr::Call { function, .. } => match comparison_of(*function) {
            Some((Comparison::Equal, _, _)) => EQUAL_SELECTIVITY,
            Some((Comparison::NotEqual, _, _)) => 0.99,
            _ => DEFAULT_SELECTIVITY,
        },
        _ => DEFAULT_SELECTIVITY,
    }
}

pub fn filtered(rows: f64, conditions: &[Expr]) -> f64 {
    (rows * conditions.iter().map(selectivity).product::<f64>()).max(1.0)
}

/// An estimate of so many rows at so much cost (in rows handled; a hundred of them are a page read of PostgreSQL's).
pub fn estimate(rows: f64, cost: f64) -> Estimate {
    Estimate { rows: rows.max(1.0), startup_cost: 0.0, total_cost: cost * 0.01, width: 0 }
}

/// A node that handles each of its input's rows once.
pub fn over(input: &Estimate, rows: f64) -> Estimate {
    Estimate {
        rows: rows.max(1.0),
        startup_cost: input.startup_cost,
        total_cost: input.total_cost + input.rows * 0.01,
        width: input.width,
    }
}

/// A node that needs all of its input before its first row.
pub fn blocking(input: &Estimate, rows: f64) -> Estimate {
    let done = over(input, rows);
    Estimate { startup_cost: done.total_cost, ..done }
}
