//! gcd, lcm, factorial.

use super::*;

/// The largest argument of factorial() whose result fits.
const FACTORIAL_ARGUMENT_MAX: i64 = 32_177;

impl Numeric {
    pub fn gcd(&self, other: &Numeric) -> PgResult<Numeric> {
        use dashu_int::ops::Gcd;
        let (Some((a, a_scale)), Some((b, b_scale))) = (self.big_parts(), other.big_parts()) else {
            return Ok(Numeric::NaN);
        };
        let scale = a_scale.max(b_scale);
        let a = magnitude(&rescale(&a, i64::from(a_scale), i64::from(scale)));
        let b = magnitude(&rescale(&b, i64::from(b_scale), i64::from(scale)));
        let divisor = if a.is_zero() && b.is_zero() { UBig::ZERO } else { a.gcd(b) };
        Numeric::from_big(IBig::from(divisor), scale)
    }

    pub fn lcm(&self, other: &Numeric) -> PgResult<Numeric> {
        if !self.is_finite() || !other.is_finite() {
            return Ok(Numeric::NaN);
        }
        let scale = self.scale().max(other.scale());
        if self.is_zero() || other.is_zero() {
            return Ok(Numeric::from_i128(0, scale));
        }
        let divisor = self.gcd(other)?;
        self.div_truncated(&divisor)?.mul(other)?.abs().round_unbounded(i32::from(scale))
    }

    pub fn factorial(n: i64) -> PgResult<Numeric> {
        if n < 0 {
            return Err(PgError::new(
                SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
                "factorial of a negative number is undefined",
            ));
        }
        if n > FACTORIAL_ARGUMENT_MAX {
            return Err(overflow());
        }
        Numeric::from_big(IBig::from(product(1, n.max(1) as u32)), 0)
    }
}

/// low * (low + 1) * ... * high, by halves: the factors stay of equal size.
fn product(low: u32, high: u32) -> UBig {
    if high - low < 8 {
        return (low..=high).fold(UBig::ONE, |product, factor| product * factor);
    }
    let middle = low + (high - low) / 2;
    product(low, middle) * product(middle + 1, high)
}
