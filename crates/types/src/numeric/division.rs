//! Division and remainder.
//!
//! PostgreSQL gives a quotient at least 16 significant digits and no fewer decimals than either operand. It counts in
//! groups of four digits (base 10,000): with the *weight* of a number as the power of 10,000 of its leading group, the
//! quotient's weight is taken as the difference, less one when the divisor's leading group is not smaller. The scale is
//! 16 - 4 * that weight. So 1/3 shows 20 digits and 10/3 shows 16: odd, and part of what clients see.

use super::*;

/// Power of 10,000 of the leading group, and that group (0 and 0 for zero).
pub(super) fn leading_group(value: &Numeric) -> (i64, u32) {
    if value.signum() == 0 {
        return (0, 0);
    }
    let weight = (value.decimal_point() - 1).div_euclid(4);
    // The group is the value divided by 10^(4 * weight), that is the coefficient by 10^(scale + 4 * weight), truncated.
    let shift = i64::from(value.scale()) + 4 * weight;
    let group = match value {
        Numeric::Small(small) => {
            let coefficient = small.coefficient().unsigned_abs();
            if shift >= 0 {
                coefficient / POWERS_OF_TEN[shift as usize].unsigned_abs()
            } else {
                coefficient * POWERS_OF_TEN[-shift as usize].unsigned_abs()
            }
        }
        Numeric::Big(big) => {
            let coefficient = magnitude(&big.coefficient);
            let group = if shift >= 0 {
                coefficient / big_power_of_ten(shift as usize)
            } else {
                coefficient * big_power_of_ten(-shift as usize)
            };
            u128::try_from(&group).expect("a group of four digits")
        }
        _ => 0,
    };
    (weight, group as u32)
}

/// PostgreSQL's select_div_scale.
pub(super) fn quotient_scale(numerator: &Numeric, denominator: &Numeric) -> i32 {
    let (weight_a, group_a) = leading_group(numerator);
    let (weight_b, group_b) = leading_group(denominator);
    let weight = weight_a - weight_b - i64::from(group_a <= group_b);
    (i64::from(SIGNIFICANT_DIGITS_MIN) - weight * 4)
        .max(i64::from(numerator.scale()))
        .max(i64::from(denominator.scale()))
        .clamp(0, i64::from(DISPLAY_SCALE_MAX)) as i32
}

/// The quotient of finite values at a given scale, rounded half away from zero.
pub(super) fn divide_at_scale(numerator: &Numeric, denominator: &Numeric, scale: i32) -> PgResult<Numeric> {
    if denominator.is_zero() {
        return Err(division_by_zero());
    }
    // numerator / denominator * 10^scale = coefficients' quotient * 10^shift
    let shift = i64::from(scale) + i64::from(denominator.scale()) - i64::from(numerator.scale());
    if let (Numeric::Small(a), Numeric::Small(b)) = (numerator, denominator)
        && (0..39).contains(&shift)
        && let Some(shifted) = a.coefficient().checked_mul(POWERS_OF_TEN[shift as usize])
        && shifted != i128::MIN
    {
        return Ok(Numeric::from_i128(divide_rounded_small(shifted, b.coefficient()), scale_from(scale)));
    }
    let (a, _) = numerator.big_parts().expect("finite");
    let (b, _) = denominator.big_parts().expect("finite");
    let power = IBig::from(big_power_of_ten(shift.unsigned_abs() as usize));
    let quotient = if shift >= 0 {
        divide_rounded(&(a.as_ref() * power), b.as_ref())
    } else {
        divide_rounded(a.as_ref(), &(b.as_ref() * power))
    };
    Numeric::from_big(quotient, scale_from(scale))
}

/// `/` and div() when an operand is not finite: PostgreSQL's numeric_div.
fn divide_special(a: &Numeric, b: &Numeric) -> PgResult<Numeric> {
    match (a, b) {
        (Numeric::NaN, _) | (_, Numeric::NaN) => Ok(Numeric::NaN),
        (Numeric::Infinity | Numeric::NegativeInfinity, _) => match b {
            Numeric::Infinity | Numeric::NegativeInfinity => Ok(Numeric::NaN),
            _ => match a.signum() * b.signum() {
                0 => Err(division_by_zero()),
                1 => Ok(Numeric::Infinity),
                _ => Ok(Numeric::NegativeInfinity),
            },
        },
        _ => Ok(Numeric::ZERO),
    }
}

impl Numeric {
    /// 22012 on a zero divisor.
    pub fn div(&self, other: &Numeric) -> PgResult<Numeric> {
        if !self.is_finite() || !other.is_finite() {
            return divide_special(self, other);
        }
        if other.is_zero() {
            return Err(division_by_zero());
        }
        divide_at_scale(self, other, quotient_scale(self, other))
    }

    /// div(): the quotient truncated to an integer.
    pub fn div_truncated(&self, other: &Numeric) -> PgResult<Numeric> {
        if !self.is_finite() || !other.is_finite() {
            return divide_special(self, other);
        }
        if other.is_zero() {
            return Err(division_by_zero());
        }
        let (a, a_scale) = self.big_parts().expect("finite");
        let (b, b_scale) = other.big_parts().expect("finite");
        let scale = i64::from(a_scale.max(b_scale));
        let quotient = rescale(&a, i64::from(a_scale), scale) / rescale(&b, i64::from(b_scale), scale);
        Numeric::from_big(quotient, 0)
    }

    /// The remainder has the sign of the dividend, and the larger scale.
    pub fn rem(&self, other: &Numeric) -> PgResult<Numeric> {
        if self.is_nan() || other.is_nan() {
            return Ok(Numeric::NaN);
        }
        if other.is_zero() {
            return Err(division_by_zero());
        }
        if !self.is_finite() {
            return Ok(Numeric::NaN);
        }
        if !other.is_finite() {
            return Ok(self.clone());
        }
        if let (Numeric::Small(a), Numeric::Small(b)) = (self, other)
            && a.scale == b.scale
            && b.coefficient() != -1
        {
            return Ok(Numeric::from_i128(a.coefficient() % b.coefficient(), a.scale));
        }
        let (a, a_scale) = self.big_parts().expect("finite");
        let (b, b_scale) = other.big_parts().expect("finite");
        let scale = a_scale.max(b_scale);
        let a = rescale(&a, i64::from(a_scale), i64::from(scale));
        let b = rescale(&b, i64::from(b_scale), i64::from(scale));
        Numeric::from_big(a % b, scale)
    }

    /// SQL's width_bucket(operand, low, high, count).
    pub fn width_bucket(&self, low: &Numeric, high: &Numeric, count: i32) -> PgResult<i32> {
        use std::cmp::Ordering;
        let fail = |message: &str| {
            Err(PgError::new(SqlState::INVALID_ARGUMENT_FOR_WIDTH_BUCKET_FUNCTION, message.to_owned()))
        };
        if count <= 0 {
            return fail("count must be greater than zero");
        }
        if self.is_nan() || low.is_nan() || high.is_nan() {
            return fail("operand, lower bound, and upper bound cannot be NaN");
        }
        if !low.is_finite() || !high.is_finite() {
            return fail("lower and upper bounds must be finite");
        }
        let beyond = || {
            count
                .checked_add(1)
                .ok_or_else(|| PgError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "integer out of range"))
        };
        let ascending = match low.compare(high) {
            Ordering::Equal => return fail("lower bound cannot equal upper bound"),
            order => order == Ordering::Less,
        };
        let towards = |order: Ordering| if ascending { order } else { order.reverse() };
        if towards(self.compare(low)) == Ordering::Less {
            return Ok(0);
        }
        if towards(self.compare(high)) != Ordering::Less {
            return beyond();
        }
        let position = self.sub(low)?.mul(&Numeric::from_i64(i64::from(count)))?.div(&high.sub(low)?)?;
        position.floor()?.to_i32()?.checked_add(1).map_or_else(beyond, Ok)
    }
}
