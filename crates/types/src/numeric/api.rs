//! Signatures being filled in.
use super::*;
use crate::error::PgResult;
use std::cmp::Ordering;
use std::hash::Hasher;

macro_rules! published {
    ($($(#[$doc:meta])* fn $name:ident(&self $(, $argument:ident: $kind:ty)*) -> $result:ty;)*) => {
        $($(#[$doc])* pub fn $name(&self $(, $argument: $kind)*) -> $result {
            let _ = ($($argument,)*);
            crate::pending()
        })*
    };
}

impl Numeric {
    pub fn parse(text: &str) -> PgResult<Numeric> {
        let _ = text;
        crate::pending()
    }
    /// float8 -> numeric: 15 significant digits.
    pub fn from_f64(value: f64) -> Numeric {
        let _ = value;
        crate::pending()
    }
    /// float4 -> numeric: 6 significant digits.
    pub fn from_f32(value: f32) -> Numeric {
        let _ = value;
        crate::pending()
    }
    /// `coefficient * 10^-scale`.
    pub fn from_i128(coefficient: i128, scale: u16) -> Numeric {
        Numeric::Small(SmallDecimal::new(coefficient, scale))
    }
    pub fn factorial(n: i64) -> PgResult<Numeric> {
        let _ = n;
        crate::pending()
    }
    pub fn from_binary(bytes: &[u8]) -> PgResult<Numeric> {
        let _ = bytes;
        crate::pending()
    }
    pub fn is_nan(&self) -> bool {
        matches!(self, Numeric::NaN)
    }
    published! {
        fn write_text(&self, out: &mut Vec<u8>) -> ();
        fn write_binary(&self, out: &mut Vec<u8>) -> ();
        /// Rounds to int2; 22003 `smallint out of range`, 0A000 `cannot convert NaN to smallint`.
        fn to_i16(&self) -> PgResult<i16>;
        fn to_i32(&self) -> PgResult<i32>;
        fn to_i64(&self) -> PgResult<i64>;
        fn to_f64(&self) -> PgResult<f64>;
        fn to_f32(&self) -> PgResult<f32>;
        fn add(&self, other: &Numeric) -> PgResult<Numeric>;
        fn sub(&self, other: &Numeric) -> PgResult<Numeric>;
        fn mul(&self, other: &Numeric) -> PgResult<Numeric>;
        /// 22012 on a zero divisor.
        fn div(&self, other: &Numeric) -> PgResult<Numeric>;
        /// div(): the quotient truncated to an integer.
        fn div_truncated(&self, other: &Numeric) -> PgResult<Numeric>;
        fn rem(&self, other: &Numeric) -> PgResult<Numeric>;
        fn neg(&self) -> Numeric;
        fn abs(&self) -> Numeric;
        fn sign(&self) -> Numeric;
        fn ceil(&self) -> PgResult<Numeric>;
        fn floor(&self) -> PgResult<Numeric>;
        /// Half away from zero, at `places` after (before, when negative) the point.
        fn round(&self, places: i32) -> PgResult<Numeric>;
        fn truncate(&self, places: i32) -> PgResult<Numeric>;
        fn sqrt(&self) -> PgResult<Numeric>;
        fn exp(&self) -> PgResult<Numeric>;
        fn ln(&self) -> PgResult<Numeric>;
        /// log(b, x)
        fn log(&self, base: &Numeric) -> PgResult<Numeric>;
        fn log10(&self) -> PgResult<Numeric>;
        fn power(&self, exponent: &Numeric) -> PgResult<Numeric>;
        fn gcd(&self, other: &Numeric) -> PgResult<Numeric>;
        fn lcm(&self, other: &Numeric) -> PgResult<Numeric>;
        /// scale(): NULL (`None`) for NaN and infinities.
        fn display_scale(&self) -> Option<i32>;
        fn min_scale(&self) -> Option<i32>;
        fn trim_scale(&self) -> Numeric;
        fn width_bucket(&self, low: &Numeric, high: &Numeric, count: i32) -> PgResult<i32>;
        /// numeric(p,s): rounds, 22003 `numeric field overflow` with the detail.
        fn apply_typmod(&self, typmod: i32) -> PgResult<Numeric>;
        /// SQL order: -Infinity < numbers < Infinity < NaN; 1.0 = 1.00.
        fn compare(&self, other: &Numeric) -> Ordering;
    }
    /// Equal values hash equal.
    pub fn hash_value<H: Hasher>(&self, hasher: &mut H) {
        let _ = hasher;
        crate::pending()
    }
}
