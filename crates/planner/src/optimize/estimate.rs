//! How many rows, at what cost. Coarse where nothing is known; never zero.

use expr::Expr;
use expr::catalogue::operators::{Comparison, comparison_of};
use types::Datum;
use types::descriptor::ColumnId;

use crate::catalog::Statistics;
use crate::plan::{Estimate, SpanBound};

/// Rows of a table of which nothing is known.
pub const DEFAULT_ROWS: f64 = 1000.0;
/// Fraction of rows within no, one or two bounds of which nothing is known.
const RANGE_FRACTION: [f64; 3] = [1.0, 1.0 / 3.0, 0.05];
/// At least this fraction of rows is taken to be within bounds: statistics are of some time ago.
const RANGE_FRACTION_MIN: f64 = 1e-4;
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

/// Fraction of rows whose value is within the bounds: by the histogram where it and the bounds are known.
pub fn range_fraction(
    statistics: Option<&Statistics>,
    column: ColumnId,
    lower: &SpanBound,
    upper: &SpanBound,
) -> f64 {
    let count = [lower, upper].into_iter().filter(|bound| **bound != SpanBound::Unbounded).count();
    let unknown = RANGE_FRACTION[count];
    let Some(known) = statistics.and_then(|statistics| statistics.columns.get(&column)) else {
        return unknown;
    };
    // How much of the values lies below the bound.
    let below = |bound: &SpanBound, unbounded: f64| match bound {
        SpanBound::Unbounded => Some(unbounded),
        SpanBound::Inclusive(Expr::Constant { value, .. })
        | SpanBound::Exclusive(Expr::Constant { value, .. }) => fraction_below(&known.histogram, value),
        _ => None,
    };
    match (below(lower, 0.0), below(upper, 1.0)) {
        (Some(from), Some(to)) if count > 0 => {
            ((to - from) * (1.0 - known.null_fraction)).clamp(RANGE_FRACTION_MIN, 1.0)
        }
        _ => unknown,
    }
}

/// How much of the values that a histogram describes lies below a value; between two of its bounds, in proportion.
fn fraction_below(histogram: &[Datum], value: &Datum) -> Option<f64> {
    let bounds = histogram.iter().map(position).collect::<Option<Vec<f64>>>()?;
    let (at, buckets) = (position(value)?, bounds.len().checked_sub(1).filter(|buckets| *buckets > 0)?);
    let reached = bounds.partition_point(|bound| *bound <= at);
    Some(match reached {
        0 => 0.0,
        all if all > buckets => 1.0,
        inside => {
            let (from, to) = (bounds[inside - 1], bounds[inside]);
            (inside as f64 - 1.0 + (at - from) / (to - from)) / buckets as f64
        }
    })
}

/// Where a value lies on the line of those that it can be compared with; times in microseconds.
fn position(value: &Datum) -> Option<f64> {
    Some(match value {
        Datum::Int2(number) => f64::from(*number),
        Datum::Int4(number) => f64::from(*number),
        Datum::Int8(number) => *number as f64,
        Datum::Float4(number) => f64::from(*number),
        Datum::Float8(number) => *number,
        Datum::Numeric(number) => number.to_f64().ok()?,
        Datum::Date(days) => f64::from(*days) * types::datetime::MICROSECONDS_PER_DAY as f64,
        Datum::Timestamp(at) | Datum::TimestampTz(at) => *at as f64,
        _ => return None,
    })
    .filter(|position| position.is_finite())
}

pub fn array_length(array: &Expr) -> f64 {
    match array {
        Expr::Array { elements, .. } => elements.len() as f64,
        Expr::Constant { value: Datum::Array(array), .. } => array.elements.len() as f64,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::ColumnStatistics;
    use types::DataType;

    #[test]
    fn ranges_are_estimated_by_the_histogram() {
        let histogram = vec![Datum::Int4(0), Datum::Int4(10), Datum::Int4(1010)];
        assert_eq!(fraction_below(&histogram, &Datum::Int8(-1)), Some(0.0));
        assert_eq!(fraction_below(&histogram, &Datum::Int8(5)), Some(0.25));
        assert_eq!(fraction_below(&histogram, &Datum::Int4(510)), Some(0.75));
        assert_eq!(fraction_below(&histogram, &Datum::Int4(2000)), Some(1.0));
        assert_eq!(fraction_below(&histogram, &Datum::text("a")), None);
        assert_eq!(fraction_below(&histogram[..1], &Datum::Int4(1)), None);
        let column = ColumnStatistics {
            null_fraction: 0.5,
            distinct_count: 1000.0,
            average_width: 4.0,
            most_common: Vec::new(),
            histogram,
        };
        let id = ColumnId(1);
        let statistics = Statistics { row_count: 1000.0, columns: [(id, column)].into_iter().collect() };
        let below = |value| SpanBound::Exclusive(Expr::constant(Datum::Int4(value), DataType::Int4));
        let fraction =
            |upper: &SpanBound| range_fraction(Some(&statistics), id, &SpanBound::Unbounded, upper);
        assert_eq!(fraction(&below(10)), 0.25);
        assert_eq!(fraction(&below(-5)), RANGE_FRACTION_MIN);
        let parameter = Expr::Parameter { index: 0, data_type: DataType::Int4 };
        assert_eq!(fraction(&SpanBound::Exclusive(parameter)), RANGE_FRACTION[1]);
        assert_eq!(fraction(&SpanBound::Unbounded), 1.0);
    }
}
