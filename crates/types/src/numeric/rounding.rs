//! round, trunc, ceil, floor, and what counts shown digits.

use super::*;

impl Numeric {
    /// round(n): half away from zero, at `places` after (before, when negative) the point.
    pub fn round(&self, places: i32) -> PgResult<Numeric> {
        self.round_unbounded(places.clamp(-RESULT_SCALE_MAX, RESULT_SCALE_MAX))
    }

    pub(super) fn round_unbounded(&self, places: i32) -> PgResult<Numeric> {
        if let Numeric::Small(small) = self {
            let drop = i32::from(small.scale) - places;
            if drop == 0 {
                return Ok(self.clone());
            }
            if let Some(power) = small_power_of_ten(drop.unsigned_abs()) {
                let coefficient = small.coefficient();
                let shown = scale_from(places);
                if drop > 0 {
                    let rounded = divide_rounded_small(coefficient, power);
                    let back = if places < 0 { small_power_of_ten(places.unsigned_abs()) } else { Some(1) };
                    if let Some(product) = back.and_then(|back| rounded.checked_mul(back)) {
                        return Ok(Numeric::from_i128(product, shown));
                    }
                } else if let Some(product) = coefficient.checked_mul(power) {
                    return Ok(Numeric::from_i128(product, shown));
                }
            }
        }
        self.cut(places, divide_rounded)
    }

    /// trunc(n): towards zero.
    pub fn truncate(&self, places: i32) -> PgResult<Numeric> {
        self.cut(places.clamp(-RESULT_SCALE_MAX, RESULT_SCALE_MAX), |numerator, denominator| {
            numerator / denominator
        })
    }

    /// Brings a finite value to `places` digits after the point by `divide` where digits go.
    fn cut(&self, places: i32, divide: impl Fn(&IBig, &IBig) -> IBig) -> PgResult<Numeric> {
        let Some((coefficient, scale)) = self.big_parts() else { return Ok(self.clone()) };
        let drop = i32::from(scale) - places;
        let power = IBig::from(big_power_of_ten(drop.unsigned_abs() as usize));
        let cut = if drop > 0 { divide(&coefficient, &power) } else { coefficient.as_ref() * power };
        let shown = scale_from(places);
        if places < 0 {
            return Numeric::from_big(
                cut * IBig::from(big_power_of_ten(places.unsigned_abs() as usize)),
                shown,
            );
        }
        Numeric::from_big(cut, shown)
    }

    pub fn ceil(&self) -> PgResult<Numeric> {
        let truncated = self.truncate(0)?;
        if self.is_finite() && self.compare(&truncated).is_gt() {
            truncated.add(&Numeric::ONE)
        } else {
            Ok(truncated)
        }
    }

    pub fn floor(&self) -> PgResult<Numeric> {
        let truncated = self.truncate(0)?;
        if self.is_finite() && self.compare(&truncated).is_lt() {
            truncated.sub(&Numeric::ONE)
        } else {
            Ok(truncated)
        }
    }

    /// Whether nothing but zeros stands after the point. Infinities count as integers.
    pub fn is_integral(&self) -> bool {
        match self {
            Numeric::NaN => false,
            Numeric::Infinity | Numeric::NegativeInfinity => true,
            finite => finite.trim_scale().scale() == 0,
        }
    }

    /// min_scale(): digits after the point that are needed. `None` for NaN and the infinities.
    pub fn min_scale(&self) -> Option<i32> {
        self.is_finite().then(|| i32::from(self.trim_scale().scale()))
    }

    /// trim_scale(): without trailing zeros after the point. Equal values then have equal representations.
    pub fn trim_scale(&self) -> Numeric {
        match self {
            Numeric::Small(small) => {
                let (coefficient, scale) = trim_small(small.coefficient(), small.scale);
                Numeric::from_i128(coefficient, scale)
            }
            Numeric::Big(big) => trim_big(big),
            other => other.clone(),
        }
    }
}

#[inline]
pub(super) fn trim_small(mut coefficient: i128, mut scale: u16) -> (i128, u16) {
    if coefficient == 0 {
        return (0, 0);
    }
    while scale > 0 {
        // In 64 bits as soon as that is possible: 128-bit division is slow.
        if let Ok(mut narrow) = i64::try_from(coefficient) {
            while scale > 0 && narrow % 10 == 0 {
                narrow /= 10;
                scale -= 1;
            }
            return (i128::from(narrow), scale);
        }
        if coefficient % 10 != 0 {
            break;
        }
        coefficient /= 10;
        scale -= 1;
    }
    (coefficient, scale)
}

fn trim_big(big: &BigDecimal) -> Numeric {
    // 10^k divides the coefficient only when 2^k does: that bounds the search cheaply.
    let twos = big.coefficient.trailing_zeros().unwrap_or(0);
    let limit = twos.min(usize::from(big.scale));
    let digits = magnitude(&big.coefficient).to_string();
    let zeros = digits.bytes().rev().take(limit).take_while(|&digit| digit == b'0').count();
    let coefficient = &big.coefficient / IBig::from(big_power_of_ten(zeros));
    Numeric::from_big(coefficient, big.scale - zeros as u16).expect("fewer digits than before")
}
