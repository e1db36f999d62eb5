//! sqrt, exp, ln, log: PostgreSQL's result scales, correctly rounded values.

use super::division::leading_group;
use super::fixed::{self, GUARD_BITS, bits_for_digits};
use super::*;

/// log10(e), with the digits that PostgreSQL uses to estimate.
#[allow(clippy::approx_constant)]
pub(super) const LOG10_E: f64 = 0.434294481903252;

/// exp() and power() overflow from here on (PostgreSQL: three times its NUMERIC_MAX_RESULT_SCALE).
const EXPONENT_LIMIT: f64 = RESULT_SCALE_MAX as f64 * 3.0;

pub(super) fn logarithm_error(message: &str) -> PgError {
    PgError::new(SqlState::INVALID_ARGUMENT_FOR_LOGARITHM, message)
}

fn check_logarithm_argument(value: &Numeric) -> PgResult<()> {
    match value.signum() {
        0 => Err(logarithm_error("cannot take logarithm of zero")),
        1 => Ok(()),
        _ => Err(logarithm_error("cannot take logarithm of a negative number")),
    }
}

/// Position of the leading decimal digit of ln(value), roughly: PostgreSQL's estimate_ln_dweight.
pub(super) fn logarithm_weight(value: &Numeric) -> i32 {
    let near_one =
        value.compare(&Numeric::from_i128(9, 1)).is_ge() && value.compare(&Numeric::from_i128(11, 1)).is_le();
    if near_one {
        // ln(1 + x) is nearly x.
        let difference = value.sub(&Numeric::ONE).expect("a value near one").abs();
        if difference.is_zero() {
            return 0;
        }
        let (weight, group) = leading_group(&difference);
        return weight as i32 * 4 + f64::from(group).log10() as i32;
    }
    let (digits, weight) = leading_groups(value, 2);
    let logarithm = (digits as f64).ln() + weight as f64 * std::f64::consts::LN_10;
    logarithm.abs().log10() as i32
}

/// The value of up to `count` leading base-10,000 groups and the power of ten of the last one.
///
/// Groups that are only trailing zeros are not there in PostgreSQL; that changes neither product.
pub(super) fn leading_groups(value: &Numeric, count: i64) -> (u128, i64) {
    let (weight, _) = leading_group(value);
    let lowest = (weight - count + 1) * 4;
    let shift = lowest + i64::from(value.scale());
    let (coefficient, _) = value.big_parts().expect("finite");
    let coefficient = magnitude(&coefficient);
    let power = big_power_of_ten(shift.unsigned_abs() as usize);
    let digits = if shift >= 0 { coefficient / power } else { coefficient * power };
    (u128::try_from(&digits).expect("a few groups of four digits"), lowest)
}

/// ln(value) at a scale, rounded.
pub(super) fn logarithm_at_scale(value: &Numeric, scale: i32) -> PgResult<Numeric> {
    let bits = bits_for_digits(i64::from(scale)) + GUARD_BITS;
    let logarithm = logarithm_fixed(value, bits);
    Numeric::from_big(fixed::to_decimal(&logarithm, -(bits as i64), scale), scale_from(scale))
}

/// ln(value) * 2^bits of a positive finite value.
pub(super) fn logarithm_fixed(value: &Numeric, bits: usize) -> IBig {
    let (coefficient, scale) = value.big_parts().expect("finite");
    fixed::natural_logarithm(&magnitude(&coefficient), usize::from(scale), bits)
}

/// exp(argument * 2^-bits) at a scale; `estimate` is about the argument.
pub(super) fn exponential_at_scale(
    argument: &IBig,
    bits: usize,
    estimate: f64,
    scale: i32,
) -> PgResult<Numeric> {
    if estimate.abs() >= EXPONENT_LIMIT {
        return if estimate > 0.0 { Err(overflow()) } else { Ok(Numeric::zero_with_scale(scale)) };
    }
    let digits = i64::from(scale) + (estimate * LOG10_E) as i64 + 1;
    let (mantissa, exponent) = fixed::exponential(argument, bits, bits_for_digits(digits) + GUARD_BITS);
    Numeric::from_big(fixed::to_decimal(&IBig::from(mantissa), exponent, scale), scale_from(scale))
}

/// The square root at a scale, rounded half away from zero.
pub(super) fn square_root_at_scale(value: &Numeric, scale: i32) -> PgResult<Numeric> {
    use dashu_int::ops::SquareRoot;
    let (coefficient, from) = value.big_parts().expect("finite");
    // floor(sqrt(value * 10^(2 * (scale + 1)))) decides: rounding its last digit is exact, because an irrational
    // root lies on no boundary and a rational one has been found whole.
    let shift = 2 * (i64::from(scale) + 1) - i64::from(from);
    let power = big_power_of_ten(shift.unsigned_abs() as usize);
    let coefficient = magnitude(&coefficient);
    let shifted = if shift >= 0 { coefficient * power } else { coefficient / power };
    let root = IBig::from(shifted.sqrt());
    Numeric::from_big(divide_rounded(&root, &IBig::from(10)), scale_from(scale))
}

impl Numeric {
    pub fn sqrt(&self) -> PgResult<Numeric> {
        if self.signum() < 0 {
            return Err(PgError::new(
                SqlState::INVALID_ARGUMENT_FOR_POWER_FUNCTION,
                "cannot take square root of a negative number",
            ));
        }
        if !self.is_finite() {
            return Ok(self.clone());
        }
        let (weight, _) = leading_group(self);
        let root_weight = (weight as i32 + 1) * 4 / 2 - 1;
        let scale =
            (SIGNIFICANT_DIGITS_MIN - root_weight).max(i32::from(self.scale())).clamp(0, DISPLAY_SCALE_MAX);
        square_root_at_scale(self, scale)
    }

    pub fn exp(&self) -> PgResult<Numeric> {
        match self {
            Numeric::NegativeInfinity => return Ok(Numeric::ZERO),
            Numeric::NaN | Numeric::Infinity => return Ok(self.clone()),
            _ => {}
        }
        let estimate = self.to_f64_lossy();
        let limit = f64::from(RESULT_SCALE_MAX);
        let weight = (estimate * LOG10_E).clamp(-limit, limit) as i32;
        let scale =
            (SIGNIFICANT_DIGITS_MIN - weight).max(i32::from(self.scale())).clamp(0, DISPLAY_SCALE_MAX);
        if estimate.abs() >= EXPONENT_LIMIT {
            return exponential_at_scale(&IBig::ZERO, 0, estimate, scale);
        }
        let bits = bits_for_digits(i64::from(scale) + (estimate.max(0.0) * LOG10_E) as i64) + 2 * GUARD_BITS;
        let (coefficient, from) = self.big_parts().expect("finite");
        let argument = (coefficient.as_ref() << bits) / IBig::from(big_power_of_ten(usize::from(from)));
        exponential_at_scale(&argument, bits, estimate, scale)
    }

    pub fn ln(&self) -> PgResult<Numeric> {
        if self.is_nan() {
            return Ok(Numeric::NaN);
        }
        check_logarithm_argument(self)?;
        if !self.is_finite() {
            return Ok(Numeric::Infinity);
        }
        let scale = (SIGNIFICANT_DIGITS_MIN - logarithm_weight(self))
            .max(i32::from(self.scale()))
            .clamp(0, DISPLAY_SCALE_MAX);
        logarithm_at_scale(self, scale)
    }

    /// log(base, self).
    pub fn log(&self, base: &Numeric) -> PgResult<Numeric> {
        if self.is_nan() || base.is_nan() {
            return Ok(Numeric::NaN);
        }
        // With an infinity about, signs are looked at first.
        let special = !base.is_finite() || !self.is_finite();
        for value in [base, self] {
            if special && value.signum() < 0 {
                return Err(logarithm_error("cannot take logarithm of a negative number"));
            }
        }
        check_logarithm_argument(base)?;
        check_logarithm_argument(self)?;
        match (base.is_finite(), self.is_finite()) {
            (false, false) => return Ok(Numeric::NaN),
            (false, true) => return Ok(Numeric::ZERO),
            (true, false) => return Ok(Numeric::Infinity),
            (true, true) => {}
        }
        let weight = logarithm_weight(self) - logarithm_weight(base);
        let scale = (SIGNIFICANT_DIGITS_MIN - weight)
            .max(i32::from(base.scale()))
            .max(i32::from(self.scale()))
            .clamp(0, DISPLAY_SCALE_MAX);
        // Enough for a logarithm of the base that is close to zero.
        let small = logarithm_weight(base).min(logarithm_weight(self)).min(0).unsigned_abs();
        let bits =
            bits_for_digits(i64::from(scale) + 2 * i64::from(small) + 2 * i64::from(weight.unsigned_abs()))
                + 2 * GUARD_BITS;
        let denominator = logarithm_fixed(base, bits);
        if base.compare(&Numeric::ONE).is_eq() {
            return Err(division_by_zero());
        }
        let numerator = logarithm_fixed(self, bits) * IBig::from(big_power_of_ten(scale as usize));
        Numeric::from_big(divide_rounded(&numerator, &denominator), scale_from(scale))
    }

    pub fn log10(&self) -> PgResult<Numeric> {
        self.log(&Numeric::from_i64(10))
    }
}
