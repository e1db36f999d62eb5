//! Binary fixed point: ln and exp to any number of bits.
//!
//! A real x stands as the integer nearest to x * 2^bits. Results carry an error of a few units in the last place;
//! callers ask for [`GUARD_BITS`] more than they need and round once, in decimal, at the end.
//!
//! - **ln x**: x = m * 2^e with m near 1; m is brought nearer by square roots (each halves the logarithm), then
//!   ln m = 2 atanh((m-1)/(m+1)) by its series.
//! - **exp x**: x = n ln 2 + r; r is divided by 2^k, the Taylor series is short, the result is squared k times.
//!
//! Both take about the square root of the number of bits in steps of either kind.

use super::*;
use dashu_int::ops::{BitTest, SquareRoot};

/// Bits that cover all errors below: square roots and squarings double an error at most 24 times.
pub(super) const GUARD_BITS: usize = 64;

/// Bits that hold this many decimal digits.
pub(super) fn bits_for_digits(digits: i64) -> usize {
    (digits.max(0) as usize) * 3322 / 1000 + 1
}

/// How often to halve: near the square root of the precision, which balances both kinds of steps.
fn halvings(bits: usize) -> usize {
    (bits.isqrt() / 3).clamp(4, 24)
}

/// atanh(1/n) * 2^bits.
fn inverse_atanh(n: u32, bits: usize) -> UBig {
    let square = UBig::from(n) * UBig::from(n);
    let mut power = (UBig::ONE << bits) / UBig::from(n);
    let mut sum = power.clone();
    let mut divisor = 3u32;
    while !power.is_zero() {
        power /= &square;
        sum += &power / UBig::from(divisor);
        divisor += 2;
    }
    sum
}

/// ln 2 * 2^bits: 18 atanh(1/26) - 2 atanh(1/4801) + 8 atanh(1/8749).
pub(super) fn ln_two(bits: usize) -> UBig {
    let bits_inner = bits + 16;
    let sum = inverse_atanh(26, bits_inner) * 18u8 + inverse_atanh(8749, bits_inner) * 8u8
        - inverse_atanh(4801, bits_inner) * 2u8;
    sum >> 16
}

/// ln(coefficient * 10^-scale) * 2^bits; the coefficient is positive.
pub(super) fn natural_logarithm(coefficient: &UBig, scale: usize, bits: usize) -> IBig {
    let working = bits + GUARD_BITS;
    let denominator = big_power_of_ten(scale);
    let shift = working as i64 + 8 + denominator.bit_len() as i64 - coefficient.bit_len() as i64;
    let quotient = if shift >= 0 {
        (coefficient << shift as usize) / denominator
    } else {
        coefficient / (denominator << shift.unsigned_abs() as usize)
    };
    // quotient = x * 2^shift; m in [1, 2) takes its leading bits.
    let length = quotient.bit_len();
    let mut mantissa = quotient >> (length - 1 - working);
    let mut exponent = length as i64 - 1 - shift;
    let one = UBig::ONE << working;
    if mantissa > &one + (&one >> 1usize) - (&one >> 4usize) {
        mantissa >>= 1usize;
        exponent += 1;
    }
    let roots = halvings(bits);
    for _ in 0..roots {
        mantissa = (mantissa << working).sqrt();
    }
    let (mantissa, one) = (IBig::from(mantissa), IBig::from(one));
    let ratio = ((&mantissa - &one) << working) / (mantissa + one);
    let square = (&ratio * &ratio) >> working;
    let mut sum = ratio.clone();
    let mut power = ratio;
    let mut divisor = 3u32;
    loop {
        power = (power * &square) >> working;
        let term = &power / IBig::from(divisor);
        if term.is_zero() {
            break;
        }
        sum += term;
        divisor += 2;
    }
    let logarithm = (sum << (roots + 1)) + IBig::from(ln_two(working)) * IBig::from(exponent);
    logarithm >> GUARD_BITS
}

/// exp(x) as (mantissa, exponent): `mantissa * 2^exponent`, where the mantissa has about `bits` bits and the
/// argument is `x * 2^argument_bits`.
pub(super) fn exponential(argument: &IBig, argument_bits: usize, bits: usize) -> (UBig, i64) {
    let working = bits + GUARD_BITS;
    let argument = if working >= argument_bits {
        argument << (working - argument_bits)
    } else {
        argument >> (argument_bits - working)
    };
    let ln_two = IBig::from(ln_two(working));
    let multiple = divide_rounded(&argument, &ln_two);
    let rest = argument - &multiple * ln_two;
    let squarings = halvings(bits);
    let reduced = rest >> squarings;
    let one = IBig::ONE << working;
    let mut sum = &one + &reduced;
    let mut term = reduced.clone();
    let mut divisor = 2u32;
    loop {
        term = ((term * &reduced) >> working) / IBig::from(divisor);
        if term.is_zero() {
            break;
        }
        sum += &term;
        divisor += 1;
    }
    for _ in 0..squarings {
        sum = (&sum * &sum) >> working;
    }
    let multiple = i64::try_from(&multiple).expect("arguments are bounded by the callers");
    (magnitude(&sum), multiple - working as i64)
}

/// `mantissa * 2^exponent` as a coefficient with `scale` decimals, rounded half away from zero.
pub(super) fn to_decimal(mantissa: &IBig, exponent: i64, scale: i32) -> IBig {
    let scaled = mantissa * IBig::from(big_power_of_ten(scale.max(0) as usize));
    if exponent >= 0 {
        scaled << exponent as usize
    } else {
        divide_rounded(&scaled, &(IBig::ONE << exponent.unsigned_abs() as usize))
    }
}
