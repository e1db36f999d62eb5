//! `numeric`: exact decimal numbers with a scale per value, NaN and infinities (PostgreSQL chapter 8.1.2).
//!
//! Almost every value met in practice has fewer than 38 digits: it is held as an `i128` coefficient and a display scale, inline.
//! Beyond that a boxed big integer takes over; arithmetic is checked and moves between the two forms by itself.
//!
//! Results agree with PostgreSQL's to the last digit, which needs two things: the same *scale* (how many digits after
//! the point; PostgreSQL derives it from the position of the leading digit in base 10,000, see [`division`]) and
//! correct rounding, half away from zero, at that scale. PostgreSQL computes in base 10,000; we compute in binary
//! big integers and only mimic where that base shows.
//!
//! | file | holds |
//! | --- | --- |
//! | `text`, `binary` | numeric_in / out, numeric_recv / send, typmods |
//! | `arithmetic`, `division`, `rounding`, `integer` | + - *, / % div, round trunc ceil floor, gcd lcm factorial |
//! | `fixed`, `exponential`, `power` | ln exp in binary fixed point, the functions on them |
//! | `compare`, `convert`, `aggregate` | order and hash, ints and floats, variance |
//!
//! Nothing here can be made to use much memory: a coefficient has at most 131,072 + 16,383 digits (61 KiB), and the
//! transcendental functions work on at most a few thousand.

mod aggregate;
mod arithmetic;
mod binary;
mod compare;
mod convert;
mod division;
mod exponential;
mod fixed;
mod integer;
mod power;
mod rounding;
mod text;

#[cfg(test)]
mod tests;

pub(crate) use text::write_digits;
pub use text::{numeric_typmod_precision, numeric_typmod_scale};

use crate::error::{PgError, PgResult, SqlState};
use dashu_int::{IBig, UBig};
use std::borrow::Cow;

/// Digits after the point at most.
pub const SCALE_MAX: u16 = 16_383;
/// Digits before the point at most.
pub const INTEGER_DIGITS_MAX: usize = 131_072;
/// Significant digits that a division, a root, a logarithm ... shows at least.
const SIGNIFICANT_DIGITS_MIN: i32 = 16;
/// Scale that such a function shows at most (PostgreSQL's NUMERIC_MAX_DISPLAY_SCALE).
const DISPLAY_SCALE_MAX: i32 = 1000;
/// PostgreSQL's NUMERIC_MAX_RESULT_SCALE.
const RESULT_SCALE_MAX: i32 = 2000;

/// An exact decimal: `coefficient * 10^-scale`, printed with exactly `scale` digits after the point.
///
/// - The small form is used whenever the coefficient fits; equal values of equal scale have one representation.
/// - `scale` is between 0 and 16,383, as in PostgreSQL.
/// - `PartialEq` here is identity of representation (1.0 differs from 1.00); SQL comparison is [`Numeric::compare`].
#[derive(Clone, Debug, PartialEq)]
pub enum Numeric {
    Small(SmallDecimal),
    Big(Box<BigDecimal>),
    NaN,
    Infinity,
    NegativeInfinity,
}

/// Coefficient within `i128`, stored in two halves so that a [`crate::Datum`] stays within 32 bytes (an `i128` is
/// aligned to 16).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SmallDecimal {
    high: i64,
    low: u64,
    scale: u16,
}

/// Coefficient beyond `i128`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BigDecimal {
    pub coefficient: IBig,
    pub scale: u16,
}

impl SmallDecimal {
    pub const fn new(coefficient: i128, scale: u16) -> Self {
        SmallDecimal { high: (coefficient >> 64) as i64, low: coefficient as u64, scale }
    }

    #[inline]
    pub const fn coefficient(self) -> i128 {
        ((self.high as i128) << 64) | self.low as i128
    }

    #[inline]
    pub const fn scale(self) -> u16 {
        self.scale
    }
}

impl Default for Numeric {
    fn default() -> Self {
        Numeric::ZERO
    }
}

impl Numeric {
    pub const ZERO: Numeric = Numeric::Small(SmallDecimal::new(0, 0));
    pub const ONE: Numeric = Numeric::Small(SmallDecimal::new(1, 0));

    #[inline]
    pub fn from_i64(value: i64) -> Self {
        Numeric::Small(SmallDecimal::new(i128::from(value), 0))
    }

    /// `coefficient * 10^-scale`; `scale` at most [`SCALE_MAX`].
    #[inline]
    pub fn from_i128(coefficient: i128, scale: u16) -> Numeric {
        debug_assert!(scale <= SCALE_MAX);
        Numeric::Small(SmallDecimal::new(coefficient, scale))
    }

    /// The same from a big integer; 22003 when it has too many digits.
    pub fn from_big(coefficient: IBig, scale: u16) -> PgResult<Numeric> {
        if let Ok(small) = i128::try_from(&coefficient) {
            return Ok(Numeric::from_i128(small, scale));
        }
        let digits_estimate = bit_length(&coefficient) * 30_103 / 100_000 + 1;
        let digits_max = INTEGER_DIGITS_MAX + usize::from(scale);
        if digits_estimate > digits_max && digit_count(&magnitude(&coefficient)) > digits_max {
            return Err(overflow());
        }
        Ok(Numeric::Big(Box::new(BigDecimal { coefficient, scale })))
    }

    /// A zero shown with `scale` digits.
    fn zero_with_scale(scale: i32) -> Numeric {
        Numeric::from_i128(0, scale_from(scale))
    }

    pub fn is_nan(&self) -> bool {
        matches!(self, Numeric::NaN)
    }

    pub fn is_finite(&self) -> bool {
        matches!(self, Numeric::Small(_) | Numeric::Big(_))
    }

    /// -1, 0 or 1; NaN counts as 0 here, infinities by their sign.
    pub fn signum(&self) -> i32 {
        match self {
            Numeric::Small(small) => small.coefficient().signum() as i32,
            Numeric::Big(big) if is_negative(&big.coefficient) => -1,
            Numeric::Big(_) | Numeric::Infinity => 1,
            Numeric::NegativeInfinity => -1,
            Numeric::NaN => 0,
        }
    }

    pub fn is_zero(&self) -> bool {
        matches!(self, Numeric::Small(small) if small.coefficient() == 0)
    }

    /// Digits after the point as printed; 0 for NaN and the infinities.
    pub fn scale(&self) -> u16 {
        match self {
            Numeric::Small(small) => small.scale(),
            Numeric::Big(big) => big.scale,
            _ => 0,
        }
    }

    /// SQL's scale(): `None` (NULL) for NaN and the infinities.
    pub fn display_scale(&self) -> Option<i32> {
        self.is_finite().then(|| i32::from(self.scale()))
    }

    /// Bytes on the heap.
    pub fn heap_size(&self) -> usize {
        match self {
            Numeric::Big(big) => size_of::<BigDecimal>() + bit_length(&big.coefficient) / 8,
            _ => 0,
        }
    }

    /// Coefficient and scale of a finite value, as a big integer.
    fn big_parts(&self) -> Option<(Cow<'_, IBig>, u16)> {
        match self {
            Numeric::Small(small) => Some((Cow::Owned(IBig::from(small.coefficient())), small.scale())),
            Numeric::Big(big) => Some((Cow::Borrowed(&big.coefficient), big.scale)),
            _ => None,
        }
    }
}

/// 22003, when a value leaves what a numeric can hold.
fn overflow() -> PgError {
    PgError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value overflows numeric format")
}

fn division_by_zero() -> PgError {
    PgError::new(SqlState::DIVISION_BY_ZERO, "division by zero")
}

fn scale_from(scale: i32) -> u16 {
    u16::try_from(scale.clamp(0, i32::from(SCALE_MAX))).expect("clamped to 16,383")
}

const fn powers_of_ten() -> [i128; 39] {
    let mut powers = [1i128; 39];
    let mut index = 1;
    while index < 39 {
        powers[index] = powers[index - 1] * 10;
        index += 1;
    }
    powers
}

/// 10^0 to 10^38: all that fit.
const POWERS_OF_TEN: [i128; 39] = powers_of_ten();

fn small_power_of_ten(exponent: u32) -> Option<i128> {
    POWERS_OF_TEN.get(exponent as usize).copied()
}

fn big_power_of_ten(exponent: usize) -> UBig {
    match POWERS_OF_TEN.get(exponent) {
        Some(&power) => UBig::from(power.unsigned_abs()),
        None => UBig::from(5u8).pow(exponent) << exponent,
    }
}

fn is_negative(value: &IBig) -> bool {
    value.sign() == dashu_int::Sign::Negative
}

fn magnitude(value: &IBig) -> UBig {
    value.clone().into_parts().1
}

fn bit_length(value: &IBig) -> usize {
    use dashu_int::ops::BitTest;
    value.bit_len()
}

/// Decimal digits of a positive number; 0 has none.
fn digit_count(value: &UBig) -> usize {
    use dashu_int::ops::BitTest;
    if value.is_zero() {
        return 0;
    }
    // floor((bits - 1) * log10 2) <= digits - 1 <= floor(bits * log10 2): at most one comparison decides.
    let bits = value.bit_len() as u64;
    let low = ((bits - 1) * 3_010_299_956 / 10_000_000_000) as usize;
    let high = (bits * 3_010_299_957 / 10_000_000_000) as usize;
    let mut digits = low + 1;
    while digits <= high && *value >= big_power_of_ten(digits) {
        digits += 1;
    }
    digits
}

fn small_digit_count(value: u128) -> u32 {
    value.checked_ilog10().map_or(0, |log| log + 1)
}

/// `numerator / denominator`, rounded half away from zero.
fn divide_rounded(numerator: &IBig, denominator: &IBig) -> IBig {
    use dashu_int::ops::{Abs, DivRem};
    let (quotient, remainder) = numerator.div_rem(denominator);
    if (remainder.abs() << 1) < denominator.clone().abs() {
        quotient
    } else if is_negative(numerator) == is_negative(denominator) {
        quotient + IBig::ONE
    } else {
        quotient - IBig::ONE
    }
}

fn divide_rounded_small(numerator: i128, denominator: i128) -> i128 {
    let (quotient, remainder) = (numerator / denominator, numerator % denominator);
    let remainder = remainder.unsigned_abs();
    if remainder < denominator.unsigned_abs() - remainder {
        quotient
    } else if (numerator < 0) == (denominator < 0) {
        quotient + 1
    } else {
        quotient - 1
    }
}

/// The coefficient at another scale, rounded half away from zero where digits go.
fn rescale(coefficient: &IBig, from: i64, to: i64) -> IBig {
    let difference = to - from;
    let power = big_power_of_ten(difference.unsigned_abs() as usize);
    if difference >= 0 {
        coefficient * IBig::from(power)
    } else {
        divide_rounded(coefficient, &IBig::from(power))
    }
}
