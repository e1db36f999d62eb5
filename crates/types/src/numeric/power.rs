//! power(): by repeated multiplication for integer exponents, by exp and ln otherwise.

use super::division::divide_at_scale;
use super::exponential::{
    LOG10_E, exponential_at_scale, leading_groups, logarithm_at_scale, logarithm_fixed, logarithm_weight,
};
use super::fixed::{GUARD_BITS, bits_for_digits};
use super::*;

fn power_error(message: &str) -> PgError {
    PgError::new(SqlState::INVALID_ARGUMENT_FOR_POWER_FUNCTION, message)
}

/// What PostgreSQL multiplies its weight limit by in its crude test for overflow.
const WEIGHT_LIMIT: f64 = 3.0 * 32_767.0 * 4.0;

impl Numeric {
    pub fn power(&self, exponent: &Numeric) -> PgResult<Numeric> {
        if !self.is_finite() || !exponent.is_finite() {
            return power_special(self, exponent);
        }
        check_signs(self, exponent)?;
        if exponent.is_integral()
            && let Ok(integer) = exponent.to_i32()
        {
            return power_integer(self, integer);
        }
        if self.is_zero() {
            return Ok(Numeric::zero_with_scale(SIGNIFICANT_DIGITS_MIN));
        }
        let result = power_real(&self.abs(), exponent)?;
        // A negative base was let through only with an (enormous) integer exponent.
        Ok(if self.signum() < 0 && is_odd(exponent) { result.neg() } else { result })
    }
}

fn check_signs(base: &Numeric, exponent: &Numeric) -> PgResult<()> {
    if base.signum() == 0 && exponent.signum() < 0 {
        return Err(power_error("zero raised to a negative power is undefined"));
    }
    if base.signum() < 0 && !exponent.is_integral() {
        return Err(power_error("a negative number raised to a non-integer power yields a complex result"));
    }
    Ok(())
}

fn is_odd(exponent: &Numeric) -> bool {
    match exponent.trim_scale().big_parts() {
        Some((coefficient, 0)) => coefficient.trailing_zeros() == Some(0),
        _ => false,
    }
}

/// The rules of POSIX's pow(), as PostgreSQL applies them when an argument is not finite.
fn power_special(base: &Numeric, exponent: &Numeric) -> PgResult<Numeric> {
    let is_one = base.is_finite() && base.compare(&Numeric::ONE).is_eq();
    if base.is_nan() {
        return Ok(if exponent.is_zero() { Numeric::ONE } else { Numeric::NaN });
    }
    if exponent.is_nan() {
        return Ok(if is_one { Numeric::ONE } else { Numeric::NaN });
    }
    check_signs(base, exponent)?;
    if is_one || exponent.is_zero() {
        return Ok(Numeric::ONE);
    }
    if base.is_zero() {
        return Ok(Numeric::ZERO);
    }
    if !exponent.is_finite() {
        let size = base.abs().compare(&Numeric::ONE);
        if size.is_eq() {
            return Ok(Numeric::ONE);
        }
        return Ok(if size.is_gt() == (exponent.signum() > 0) { Numeric::Infinity } else { Numeric::ZERO });
    }
    if exponent.signum() < 0 {
        return Ok(Numeric::ZERO);
    }
    Ok(if base.signum() < 0 && is_odd(exponent) { Numeric::NegativeInfinity } else { Numeric::Infinity })
}

/// A decimal that keeps a bounded number of digits while it is multiplied.
#[derive(Clone)]
struct Truncated {
    coefficient: IBig,
    scale: i64,
    digits_max: usize,
}

impl Truncated {
    fn multiply(&self, other: &Truncated) -> Truncated {
        let coefficient = &self.coefficient * &other.coefficient;
        let scale = self.scale + other.scale;
        let digits = bit_length(&coefficient) * 30_103 / 100_000 + 1;
        if digits <= self.digits_max {
            return Truncated { coefficient, scale, digits_max: self.digits_max };
        }
        let drop = (digits - self.digits_max) as i64;
        Truncated {
            coefficient: rescale(&coefficient, drop, 0),
            scale: scale - drop,
            digits_max: self.digits_max,
        }
    }
}

fn power_integer(base: &Numeric, exponent: i32) -> PgResult<Numeric> {
    let scale = SIGNIFICANT_DIGITS_MIN.max(i32::from(base.scale())).min(DISPLAY_SCALE_MAX);
    match exponent {
        0 => return Numeric::ONE.round_unbounded(scale),
        1 => return base.round_unbounded(scale),
        -1 => return divide_at_scale(&Numeric::ONE, base, scale),
        2 => return base.mul(base)?.round_unbounded(scale),
        _ => {}
    }
    if base.is_zero() {
        return if exponent < 0 { Err(division_by_zero()) } else { Ok(Numeric::zero_with_scale(scale)) };
    }
    // Decimal weight of the result, estimated from the leading digits.
    let (digits, weight) = leading_groups(base, 5);
    let estimate = f64::from(exponent) * ((digits as f64).log10() + weight as f64);
    if estimate > WEIGHT_LIMIT {
        return Err(overflow());
    }
    if estimate + 1.0 < f64::from(-scale) {
        return Ok(Numeric::zero_with_scale(scale));
    }
    let significant = (f64::from(1 + scale) + estimate.abs()) as usize + 40;
    let (coefficient, base_scale) = base.big_parts().expect("finite");
    let mut square = Truncated {
        coefficient: coefficient.into_owned(),
        scale: i64::from(base_scale),
        digits_max: significant,
    };
    let mut result: Option<Truncated> = None;
    let mut bits = exponent.unsigned_abs();
    while bits > 0 {
        if bits & 1 == 1 {
            result = Some(result.map_or_else(|| square.clone(), |result| result.multiply(&square)));
        }
        bits >>= 1;
        if bits > 0 {
            square = square.multiply(&square);
        }
    }
    let result = result.expect("the exponent is not zero");
    let scale_wanted = i64::from(scale);
    if exponent > 0 {
        return Numeric::from_big(
            rescale(&result.coefficient, result.scale, scale_wanted),
            scale_from(scale),
        );
    }
    // 1 / (c * 10^-s) = 10^s / c
    let shift = result.scale + scale_wanted;
    if shift < 0 {
        return Ok(Numeric::zero_with_scale(scale));
    }
    let numerator = IBig::from(big_power_of_ten(shift as usize));
    Numeric::from_big(divide_rounded(&numerator, &result.coefficient), scale_from(scale))
}

/// base^exponent for a positive base: exp(exponent * ln(base)).
fn power_real(base: &Numeric, exponent: &Numeric) -> PgResult<Numeric> {
    // A first estimate of exponent * ln(base), with the about 8 significant digits that PostgreSQL takes.
    let estimate_scale = (8 - logarithm_weight(base)).max(0);
    let product = logarithm_at_scale(base, estimate_scale)?.mul(exponent)?;
    let estimate = product.round_unbounded(estimate_scale)?.to_f64_lossy();
    if estimate.abs() > f64::from(RESULT_SCALE_MAX) * 3.01 {
        return if estimate > 0.0 {
            Err(overflow())
        } else {
            Ok(Numeric::zero_with_scale(DISPLAY_SCALE_MAX))
        };
    }
    let weight = (estimate * LOG10_E) as i32;
    let scale = (SIGNIFICANT_DIGITS_MIN - weight)
        .max(i32::from(base.scale()))
        .max(i32::from(exponent.scale()))
        .clamp(0, DISPLAY_SCALE_MAX);
    let exponent_digits = exponent.decimal_point().max(0);
    let bits =
        bits_for_digits(i64::from(scale) + i64::from(weight.max(0)) + exponent_digits) + 2 * GUARD_BITS;
    let (coefficient, from) = exponent.big_parts().expect("finite");
    let product =
        logarithm_fixed(base, bits) * coefficient.as_ref() / IBig::from(big_power_of_ten(usize::from(from)));
    exponential_at_scale(&product, bits, estimate, scale)
}
