//! Order and hash: by value, not by representation.

use super::*;
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

/// -Infinity, numbers, Infinity, NaN.
fn class(value: &Numeric) -> u8 {
    match value {
        Numeric::NegativeInfinity => 0,
        Numeric::Small(_) | Numeric::Big(_) => 1,
        Numeric::Infinity => 2,
        Numeric::NaN => 3,
    }
}

fn compare_small(a: SmallDecimal, b: SmallDecimal) -> Ordering {
    let (left, right) = (a.coefficient(), b.coefficient());
    if a.scale == b.scale {
        return left.cmp(&right);
    }
    let power = small_power_of_ten(u32::from(a.scale.abs_diff(b.scale)));
    let aligned = |coefficient: i128| power.and_then(|power| coefficient.checked_mul(power));
    // What does not fit after alignment is larger in magnitude than what needed none (zero always fits, or is decided
    // by sign).
    if a.scale < b.scale {
        match aligned(left) {
            Some(left) => left.cmp(&right),
            None => left.cmp(&0),
        }
    } else {
        match aligned(right) {
            Some(right) => left.cmp(&right),
            None => 0.cmp(&right),
        }
    }
}

impl Numeric {
    /// SQL order: -Infinity < numbers < Infinity < NaN; 1.0 = 1.00, NaN = NaN.
    #[inline]
    pub fn compare(&self, other: &Numeric) -> Ordering {
        if let (Numeric::Small(a), Numeric::Small(b)) = (self, other) {
            if a.coefficient() == 0 || b.coefficient() == 0 {
                return a.coefficient().signum().cmp(&b.coefficient().signum());
            }
            return compare_small(*a, *b);
        }
        self.compare_slow(other)
    }

    fn compare_slow(&self, other: &Numeric) -> Ordering {
        let (Some((a, a_scale)), Some((b, b_scale))) = (self.big_parts(), other.big_parts()) else {
            return class(self).cmp(&class(other));
        };
        let by_sign = self.signum().cmp(&other.signum());
        if by_sign.is_ne() {
            return by_sign;
        }
        let scale = i64::from(a_scale.max(b_scale));
        rescale(&a, i64::from(a_scale), scale).cmp(&rescale(&b, i64::from(b_scale), scale))
    }

    /// Equal values hash equal.
    pub fn hash_value<H: Hasher>(&self, hasher: &mut H) {
        match self.trim_scale() {
            Numeric::Small(small) => (1u8, small.coefficient(), small.scale).hash(hasher),
            Numeric::Big(big) => (2u8, &big.coefficient, big.scale).hash(hasher),
            special => (3u8, class(&special)).hash(hasher),
        }
    }
}
