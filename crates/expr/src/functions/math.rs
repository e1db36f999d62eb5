//! Mathematical functions.
//!
//! Floats follow PostgreSQL's rules on the edges: a domain error is an error (2201E, 2201F, 22003), an infinite result of finite
//! input is an overflow, a zero that should not be one an underflow. Trigonometry in degrees is exact at the multiples of
//! 30 and 45 degrees, by PostgreSQL's method: the functions are scaled by their computed values at 30, 45 and 60 degrees.

use super::arithmetic::{out_of_range, overflow, underflow};
use super::kernel::evaluators;
use std::sync::atomic::Ordering;
use types::{Datum, Numeric, PgError, PgResult, SqlState};

mod c {
    // The C library's, as PostgreSQL uses them: the standard library computes these three differently in the last digit.
    unsafe extern "C" {
        pub safe fn asinh(x: f64) -> f64;
        pub safe fn acosh(x: f64) -> f64;
        pub safe fn atanh(x: f64) -> f64;
    }
}

fn input_out_of_range() -> PgError {
    PgError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "input is out of range")
}

fn power_error(message: &str) -> PgError {
    PgError::new(SqlState::INVALID_ARGUMENT_FOR_POWER_FUNCTION, message)
}

/// ln and log10 have the same domain.
fn logarithm(value: f64, compute: impl Fn(f64) -> f64) -> PgResult<f64> {
    let error = |message: &str| Err(PgError::new(SqlState::INVALID_ARGUMENT_FOR_LOGARITHM, message));
    if value == 0.0 {
        return error("cannot take logarithm of zero");
    }
    if value < 0.0 {
        return error("cannot take logarithm of a negative number");
    }
    Ok(compute(value))
}

fn power(base: f64, exponent: f64) -> PgResult<f64> {
    if base.is_nan() {
        return Ok(if exponent == 0.0 { 1.0 } else { base });
    }
    if exponent.is_nan() {
        return Ok(if base == 1.0 { 1.0 } else { exponent });
    }
    if base == 0.0 && exponent < 0.0 {
        return Err(power_error("zero raised to a negative power is undefined"));
    }
    if base < 0.0 && exponent.floor() != exponent {
        return Err(power_error("a negative number raised to a non-integer power yields a complex result"));
    }
    let result = base.powf(exponent);
    if base.is_infinite() || exponent.is_infinite() {
        return Ok(result);
    }
    if result.is_infinite() {
        return Err(overflow());
    }
    if result == 0.0 && base != 0.0 {
        return Err(underflow());
    }
    Ok(result)
}

fn exponential(value: f64) -> PgResult<f64> {
    let result = value.exp();
    if value.is_finite() && result.is_infinite() {
        return Err(overflow());
    }
    if value.is_finite() && result == 0.0 {
        return Err(underflow());
    }
    Ok(result)
}

/// A trigonometric function of a finite angle.
fn of_finite(value: f64, compute: impl Fn(f64) -> f64) -> PgResult<f64> {
    if value.is_infinite() { Err(input_out_of_range()) } else { Ok(compute(value)) }
}

fn within(value: f64, low: f64, high: f64, compute: impl Fn(f64) -> f64) -> PgResult<f64> {
    if value < low || value > high { Err(input_out_of_range()) } else { Ok(compute(value)) }
}

fn finite_or_overflow(value: f64, result: f64) -> PgResult<f64> {
    if result.is_infinite() && !value.is_infinite() { Err(overflow()) } else { Ok(result) }
}

evaluators! {
    fn dceil(a: f64) -> f64 { a.ceil() }
    fn dfloor(a: f64) -> f64 { a.floor() }
    fn dround(a: f64) -> f64 { a.round_ties_even() }
    fn dtrunc(a: f64) -> f64 { a.trunc() }
    fn dsign(a: f64) -> f64 { if a > 0.0 { 1.0 } else if a < 0.0 { -1.0 } else { 0.0 } }
    fn dsqrt(a: f64) -> try f64 {
        if a < 0.0 {
            return Err(power_error("cannot take square root of a negative number"));
        }
        Ok(a.sqrt())
    }
    fn dcbrt(a: f64) -> f64 { a.cbrt() }
    fn dpow(a: f64, b: f64) -> try f64 { power(a, b) }
    fn dexp(a: f64) -> try f64 { exponential(a) }
    fn dlog1(a: f64) -> try f64 { logarithm(a, f64::ln) }
    fn dlog10(a: f64) -> try f64 { logarithm(a, f64::log10) }
    fn dpi() -> f64 { std::f64::consts::PI }
    fn degrees(a: f64) -> try f64 { finite_or_overflow(a, a / RADIANS_PER_DEGREE) }
    fn radians(a: f64) -> f64 { a * RADIANS_PER_DEGREE }
    fn dsin(a: f64) -> try f64 { of_finite(a, f64::sin) }
    fn dcos(a: f64) -> try f64 { of_finite(a, f64::cos) }
    fn dtan(a: f64) -> try f64 { of_finite(a, f64::tan) }
    fn dcot(a: f64) -> try f64 { of_finite(a, |a| 1.0 / a.tan()) }
    fn dasin(a: f64) -> try f64 { within(a, -1.0, 1.0, f64::asin) }
    fn dacos(a: f64) -> try f64 { within(a, -1.0, 1.0, f64::acos) }
    fn datan(a: f64) -> f64 { a.atan() }
    fn datan2(a: f64, b: f64) -> f64 { a.atan2(b) }
    fn dsinh(a: f64) -> f64 { a.sinh() }
    fn dcosh(a: f64) -> f64 { a.cosh() }
    fn dtanh(a: f64) -> f64 { a.tanh() }
    fn dasinh(a: f64) -> f64 { c::asinh(a) }
    fn dacosh(a: f64) -> try f64 { within(a, 1.0, f64::INFINITY, |a| c::acosh(a)) }
    fn datanh(a: f64) -> try f64 {
        within(a, -1.0, 1.0, |a| if a.abs() == 1.0 { a * f64::INFINITY } else { c::atanh(a) })
    }
    fn dsind(a: f64) -> try f64 { of_finite(a, sine_of_degrees) }
    fn dcosd(a: f64) -> try f64 { of_finite(a, cosine_of_degrees) }
    fn dtand(a: f64) -> try f64 { of_finite(a, |a| tangent_of_degrees(a, false)) }
    fn dcotd(a: f64) -> try f64 { of_finite(a, |a| tangent_of_degrees(a, true)) }
    fn dasind(a: f64) -> try f64 {
        within(a, -1.0, 1.0, |a| if a >= 0.0 { arcsine_in_degrees(a) } else { -arcsine_in_degrees(-a) })
    }
    fn dacosd(a: f64) -> try f64 {
        within(a, -1.0, 1.0, |a| if a >= 0.0 { arccosine_in_degrees(a) } else { 90.0 + arcsine_in_degrees(-a) })
    }
    fn datand(a: f64) -> f64 { a.atan() / 1.0f64.atan() * 45.0 }
    fn datan2d(a: f64, b: f64) -> f64 { a.atan2(b) / 1.0f64.atan() * 45.0 }
}

const RADIANS_PER_DEGREE: f64 = 0.0174532925199432957692;

/// sin between 0 and 30 degrees, exact at both ends.
fn sine_to_30(degrees: f64) -> f64 {
    (degrees * RADIANS_PER_DEGREE).sin() / (30.0 * RADIANS_PER_DEGREE).sin() / 2.0
}

/// cos between 0 and 60 degrees, exact at both ends.
fn cosine_to_60(degrees: f64) -> f64 {
    let at_60 = 1.0 - (60.0 * RADIANS_PER_DEGREE).cos();
    1.0 - (1.0 - (degrees * RADIANS_PER_DEGREE).cos()) / at_60 / 2.0
}

fn sine_first_quadrant(degrees: f64) -> f64 {
    if degrees <= 30.0 { sine_to_30(degrees) } else { cosine_to_60(90.0 - degrees) }
}

fn cosine_first_quadrant(degrees: f64) -> f64 {
    if degrees <= 60.0 { cosine_to_60(degrees) } else { sine_to_30(90.0 - degrees) }
}

fn sine_of_degrees(degrees: f64) -> f64 {
    if degrees.is_nan() {
        return degrees;
    }
    let mut angle = degrees % 360.0;
    let mut sign = 1.0;
    if angle < 0.0 {
        angle = -angle;
        sign = -sign;
    }
    if angle > 180.0 {
        angle = 360.0 - angle;
        sign = -sign;
    }
    if angle > 90.0 {
        angle = 180.0 - angle;
    }
    sign * sine_first_quadrant(angle)
}

fn cosine_of_degrees(degrees: f64) -> f64 {
    if degrees.is_nan() {
        return degrees;
    }
    let mut angle = (degrees % 360.0).abs();
    let mut sign = 1.0;
    if angle > 180.0 {
        angle = 360.0 - angle;
    }
    if angle > 90.0 {
        angle = 180.0 - angle;
        sign = -sign;
    }
    sign * cosine_first_quadrant(angle)
}

fn tangent_of_degrees(degrees: f64, inverse: bool) -> f64 {
    if degrees.is_nan() {
        return degrees;
    }
    let mut angle = degrees % 360.0;
    let mut sign = 1.0;
    if angle < 0.0 {
        angle = -angle;
        sign = -sign;
    }
    if angle > 180.0 {
        angle = 360.0 - angle;
        sign = -sign;
    }
    if angle > 90.0 {
        angle = 180.0 - angle;
        sign = -sign;
    }
    let ratio = |angle: f64| {
        let (sine, cosine) = (sine_first_quadrant(angle), cosine_first_quadrant(angle));
        if inverse { cosine / sine } else { sine / cosine }
    };
    let result = sign * (ratio(angle) / ratio(45.0));
    // No negative zero.
    if result == 0.0 { 0.0 } else { result }
}

fn arcsine_in_degrees(value: f64) -> f64 {
    if value <= 0.5 {
        value.asin() / 0.5f64.asin() * 30.0
    } else {
        90.0 - value.acos() / 0.5f64.acos() * 60.0
    }
}

fn arccosine_in_degrees(value: f64) -> f64 {
    if value <= 0.5 {
        90.0 - value.asin() / 0.5f64.asin() * 30.0
    } else {
        value.acos() / 0.5f64.acos() * 60.0
    }
}

evaluators! {
    fn numeric_ceil(a: numeric) -> try numeric { a.ceil() }
    fn numeric_floor(a: numeric) -> try numeric { a.floor() }
    fn numeric_round(a: numeric, places: i32) -> try numeric { a.round(places) }
    fn numeric_trunc(a: numeric, places: i32) -> try numeric { a.truncate(places) }
    fn sql_round_numeric(a: numeric) -> try numeric { a.round(0) }
    fn sql_trunc_numeric(a: numeric) -> try numeric { a.truncate(0) }
    fn numeric_sqrt(a: numeric) -> try numeric { a.sqrt() }
    fn numeric_exp(a: numeric) -> try numeric { a.exp() }
    fn numeric_ln(a: numeric) -> try numeric { a.ln() }
    fn numeric_log(base: numeric, a: numeric) -> try numeric { a.log(base) }
    fn sql_log_numeric(a: numeric) -> try numeric { a.log10() }
    fn sql_log10_numeric(a: numeric) -> try numeric { a.log10() }
    fn numeric_sign(a: numeric) -> numeric { a.sign() }
    fn numeric_scale(a: numeric) -> maybe i32 { Ok(a.display_scale()) }
    fn numeric_min_scale(a: numeric) -> maybe i32 { Ok(a.min_scale()) }
    fn numeric_trim_scale(a: numeric) -> numeric { a.trim_scale() }
    fn numeric_gcd(a: numeric, b: numeric) -> try numeric { a.gcd(b) }
    fn numeric_lcm(a: numeric, b: numeric) -> try numeric { a.lcm(b) }
    fn numeric_fac(a: i64) -> try numeric { Numeric::factorial(a) }
    fn width_bucket_numeric(a: numeric, low: numeric, high: numeric, count: i32) -> try i32 {
        a.width_bucket(low, high, count)
    }
    fn width_bucket_float8(a: f64, low: f64, high: f64, count: i32) -> try i32 { bucket(a, low, high, count) }
    fn int4gcd(a: i32, b: i32) -> try i32 {
        i32::try_from(gcd(u64::from(a.unsigned_abs()), u64::from(b.unsigned_abs())))
            .map_err(|_| out_of_range("integer"))
    }
    fn int8gcd(a: i64, b: i64) -> try i64 {
        i64::try_from(gcd(a.unsigned_abs(), b.unsigned_abs())).map_err(|_| out_of_range("bigint"))
    }
    fn int4lcm(a: i32, b: i32) -> try i32 {
        let lcm = lcm(u64::from(a.unsigned_abs()), u64::from(b.unsigned_abs()));
        lcm.and_then(|lcm| i32::try_from(lcm).ok()).ok_or_else(|| out_of_range("integer"))
    }
    fn int8lcm(a: i64, b: i64) -> try i64 {
        let lcm = lcm(a.unsigned_abs(), b.unsigned_abs());
        lcm.and_then(|lcm| i64::try_from(lcm).ok()).ok_or_else(|| out_of_range("bigint"))
    }
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

fn lcm(a: u64, b: u64) -> Option<u64> {
    if a == 0 || b == 0 {
        return Some(0);
    }
    (a / gcd(a, b)).checked_mul(b)
}

/// width_bucket over floats.
fn bucket(value: f64, low: f64, high: f64, count: i32) -> PgResult<i32> {
    let error =
        |message: &str| Err(PgError::new(SqlState::INVALID_ARGUMENT_FOR_WIDTH_BUCKET_FUNCTION, message));
    if count <= 0 {
        return error("count must be greater than zero");
    }
    if value.is_nan() || low.is_nan() || high.is_nan() {
        return error("operand, lower bound, and upper bound cannot be NaN");
    }
    if low.is_infinite() || high.is_infinite() {
        return error("lower and upper bounds must be finite");
    }
    if low == high {
        return error("lower bound cannot equal upper bound");
    }
    let last = || count.checked_add(1).ok_or_else(|| out_of_range("integer"));
    let share = |from: f64, to: f64| {
        // Halved so that the width cannot overflow.
        let width = to - from;
        if width.is_finite() {
            (value - from) / width
        } else {
            (value / 2.0 - from / 2.0) / (to / 2.0 - from / 2.0)
        }
    };
    let (before, after) =
        if low < high { (value < low, value >= high) } else { (value > low, value <= high) };
    if before {
        return Ok(0);
    }
    if after {
        return last();
    }
    let place = if low < high { share(low, high) } else { 1.0 - share(high, low) };
    let bucket = (f64::from(count) * place) as i32;
    Ok(bucket.min(count - 1) + 1)
}

/// The next number of a session's sequence (splitmix64).
pub(crate) fn next_random(state: &std::sync::atomic::AtomicU64) -> u64 {
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut z = state.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

evaluators! {
    fn drandom(; context) -> f64 { (next_random(context.random) >> 11) as f64 / (1u64 << 53) as f64 }
    fn setseed(seed: f64; context) -> try datum {
        if !(-1.0..=1.0).contains(&seed) {
            return Err(PgError::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("setseed parameter {seed} is out of allowed range [-1,1]"),
            ));
        }
        context.random.store(seed.to_bits(), Ordering::Relaxed);
        Ok(Datum::text(""))
    }
    fn gen_random_uuid(; context) -> uuid {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&next_random(context.random).to_be_bytes());
        bytes[8..].copy_from_slice(&next_random(context.random).to_be_bytes());
        // Version 4, variant 1 (RFC 4122).
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        bytes
    }
}

evaluators! {
    fn sql_numeric_pl_pg_lsn_numeric_pglsn(a: numeric, b: i64) -> try i64 { shift_lsn(b, a, false) }
    fn pg_lsn_pli(a: i64, b: numeric) -> try i64 { shift_lsn(a, b, false) }
    fn pg_lsn_mii(a: i64, b: numeric) -> try i64 { shift_lsn(a, b, true) }
}

fn shift_lsn(lsn: i64, by: &Numeric, down: bool) -> PgResult<i64> {
    if by.is_nan() {
        let verb = if down { "subtract NaN from" } else { "add NaN to" };
        return Err(PgError::new(SqlState::FEATURE_NOT_SUPPORTED, format!("cannot {verb} pg_lsn")));
    }
    let position = Numeric::from_i128(i128::from(lsn as u64), 0);
    super::conversion::lsn(&if down { position.sub(by)? } else { position.add(by)? })
}
