//! Sum, difference, product and sign. The scale of a sum is the larger of the two, that of a product their sum.

use super::*;

/// Both coefficients at the larger scale, when they fit.
#[inline]
fn align_small(a: SmallDecimal, b: SmallDecimal) -> Option<(i128, i128, u16)> {
    let (left, right) = (a.coefficient(), b.coefficient());
    if a.scale == b.scale {
        return Some((left, right, a.scale));
    }
    let power = small_power_of_ten(u32::from(a.scale.abs_diff(b.scale)))?;
    if a.scale < b.scale {
        Some((left.checked_mul(power)?, right, b.scale))
    } else {
        Some((left, right.checked_mul(power)?, a.scale))
    }
}

fn add_big(a: &Numeric, b: &Numeric, negate_b: bool) -> Option<PgResult<Numeric>> {
    let (left, left_scale) = a.big_parts()?;
    let (right, right_scale) = b.big_parts()?;
    let scale = left_scale.max(right_scale);
    let left = rescale(&left, i64::from(left_scale), i64::from(scale));
    let right = rescale(&right, i64::from(right_scale), i64::from(scale));
    Some(Numeric::from_big(if negate_b { left - right } else { left + right }, scale))
}

/// The sum of two values of which at least one is not finite.
fn add_special(a: &Numeric, b: &Numeric) -> Numeric {
    match (a, b) {
        (Numeric::NaN, _) | (_, Numeric::NaN) => Numeric::NaN,
        (Numeric::Infinity, Numeric::NegativeInfinity) | (Numeric::NegativeInfinity, Numeric::Infinity) => {
            Numeric::NaN
        }
        (Numeric::Infinity | Numeric::NegativeInfinity, _) => a.clone(),
        _ => b.clone(),
    }
}

impl Numeric {
    #[inline]
    pub fn add(&self, other: &Numeric) -> PgResult<Numeric> {
        if let (Numeric::Small(a), Numeric::Small(b)) = (self, other)
            && let Some((left, right, scale)) = align_small(*a, *b)
            && let Some(sum) = left.checked_add(right)
        {
            return Ok(Numeric::from_i128(sum, scale));
        }
        add_big(self, other, false).unwrap_or_else(|| Ok(add_special(self, other)))
    }

    #[inline]
    pub fn sub(&self, other: &Numeric) -> PgResult<Numeric> {
        if let (Numeric::Small(a), Numeric::Small(b)) = (self, other)
            && let Some((left, right, scale)) = align_small(*a, *b)
            && let Some(difference) = left.checked_sub(right)
        {
            return Ok(Numeric::from_i128(difference, scale));
        }
        add_big(self, other, true).unwrap_or_else(|| Ok(add_special(self, &other.neg())))
    }

    #[inline]
    pub fn mul(&self, other: &Numeric) -> PgResult<Numeric> {
        if let (Numeric::Small(a), Numeric::Small(b)) = (self, other)
            && a.scale + b.scale <= SCALE_MAX
            && let Some(product) = a.coefficient().checked_mul(b.coefficient())
        {
            return Ok(Numeric::from_i128(product, a.scale + b.scale));
        }
        self.mul_slow(other)
    }

    fn mul_slow(&self, other: &Numeric) -> PgResult<Numeric> {
        if let (Some((left, left_scale)), Some((right, right_scale))) = (self.big_parts(), other.big_parts())
        {
            let product = left.as_ref() * right.as_ref();
            let scale = i64::from(left_scale) + i64::from(right_scale);
            let shown = scale.min(i64::from(SCALE_MAX));
            return Numeric::from_big(rescale(&product, scale, shown), shown as u16);
        }
        if self.is_nan() || other.is_nan() {
            return Ok(Numeric::NaN);
        }
        Ok(match self.signum() * other.signum() {
            0 => Numeric::NaN,
            1 => Numeric::Infinity,
            _ => Numeric::NegativeInfinity,
        })
    }

    pub fn neg(&self) -> Numeric {
        match self {
            Numeric::Small(small) => match small.coefficient().checked_neg() {
                Some(coefficient) => Numeric::from_i128(coefficient, small.scale),
                None => Numeric::Big(Box::new(BigDecimal {
                    coefficient: -IBig::from(i128::MIN),
                    scale: small.scale,
                })),
            },
            Numeric::Big(big) => {
                let coefficient = -big.coefficient.clone();
                match i128::try_from(&coefficient) {
                    Ok(small) => Numeric::from_i128(small, big.scale),
                    Err(_) => Numeric::Big(Box::new(BigDecimal { coefficient, scale: big.scale })),
                }
            }
            Numeric::NaN => Numeric::NaN,
            Numeric::Infinity => Numeric::NegativeInfinity,
            Numeric::NegativeInfinity => Numeric::Infinity,
        }
    }

    pub fn abs(&self) -> Numeric {
        if self.signum() < 0 { self.neg() } else { self.clone() }
    }

    /// sign(): -1, 0 or 1; NaN for NaN.
    pub fn sign(&self) -> Numeric {
        match self {
            Numeric::NaN => Numeric::NaN,
            other => Numeric::from_i64(i64::from(other.signum())),
        }
    }
}
