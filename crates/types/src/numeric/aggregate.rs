//! Variance and standard deviation from sums, with the scales of PostgreSQL's numeric aggregates.

use super::division::{divide_at_scale, quotient_scale};
use super::exponential::square_root_at_scale;
use super::*;

impl Numeric {
    /// var_samp / var_pop of `count` values with this sum and sum of squares; `None` (NULL) when there are too few.
    pub fn variance(
        count: i64,
        sum: &Numeric,
        sum_of_squares: &Numeric,
        sample: bool,
    ) -> PgResult<Option<Numeric>> {
        spread(count, sum, sum_of_squares, sample, false)
    }

    /// stddev_samp / stddev_pop.
    pub fn standard_deviation(
        count: i64,
        sum: &Numeric,
        sum_of_squares: &Numeric,
        sample: bool,
    ) -> PgResult<Option<Numeric>> {
        spread(count, sum, sum_of_squares, sample, true)
    }
}

fn spread(
    count: i64,
    sum: &Numeric,
    squares: &Numeric,
    sample: bool,
    root: bool,
) -> PgResult<Option<Numeric>> {
    if count <= i64::from(sample) {
        return Ok(None);
    }
    if !sum.is_finite() || !squares.is_finite() {
        return Ok(Some(Numeric::NaN));
    }
    let n = Numeric::from_i64(count);
    let numerator = n.mul(squares)?.sub(&sum.mul(sum)?)?;
    if numerator.signum() <= 0 {
        return Ok(Some(Numeric::ZERO));
    }
    let denominator = n.mul(&Numeric::from_i64(if sample { count - 1 } else { count }))?;
    let scale = quotient_scale(&numerator, &denominator);
    let variance = divide_at_scale(&numerator, &denominator, scale)?;
    Ok(Some(if root { square_root_at_scale(&variance, scale)? } else { variance }))
}
