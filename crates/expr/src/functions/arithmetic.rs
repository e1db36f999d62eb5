//! Arithmetic and bit operators on numbers.
//!
//! Integers are checked: 22003 with the type's name. Floats overflow to 22003 only from finite operands, underflow to zero from
//! non-zero operands is 22003 too, as in PostgreSQL. Shifts take the count modulo the width.

use super::kernel::{checked, evaluators};
use crate::EvalContext;
use types::{Numeric, PgError, PgResult, SqlState, Vector};

#[cold]
pub(crate) fn out_of_range(type_name: &str) -> PgError {
    PgError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, format!("{type_name} out of range"))
}

#[cold]
pub(crate) fn division_by_zero() -> PgError {
    PgError::new(SqlState::DIVISION_BY_ZERO, "division by zero")
}

#[cold]
pub(crate) fn overflow() -> PgError {
    PgError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value out of range: overflow")
}

#[cold]
pub(crate) fn underflow() -> PgError {
    PgError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value out of range: underflow")
}

/// The operators of one result type over two operand types.
macro_rules! integer_arithmetic {
    ($($left:ty, $right:ty, $result:ty, $name:literal => $plus:ident, $minus:ident, $times:ident, $divide:ident;)*) => {$(
        integer_arithmetic!(@wrapping $plus, $left, $right, $result, $name, overflowing_add);
        integer_arithmetic!(@wrapping $minus, $left, $right, $result, $name, overflowing_sub);
        integer_arithmetic!(@wrapping $times, $left, $right, $result, $name, overflowing_mul);
        pub fn $divide(context: &EvalContext<'_>, arguments: &[&Vector], rows: usize) -> PgResult<Vector> {
            let _ = context;
            // Whether a failure is an overflow or a zero is found out by dividing again.
            let failed = std::cell::Cell::new(false);
            checked::<$left, $right, $result>(
                arguments,
                rows,
                |a, b| {
                    let (a, b) = (<$result>::from(a), <$result>::from(b));
                    match a.checked_div(b) {
                        Some(quotient) => (quotient, false),
                        None => {
                            failed.set(b == 0);
                            (0, true)
                        }
                    }
                },
                || if failed.get() { division_by_zero() } else { out_of_range($name) },
            )
        }
    )*};
    (@wrapping $function:ident, $left:ty, $right:ty, $result:ty, $name:literal, $operation:ident) => {
        pub fn $function(context: &EvalContext<'_>, arguments: &[&Vector], rows: usize) -> PgResult<Vector> {
            let _ = context;
            checked::<$left, $right, $result>(
                arguments,
                rows,
                |a, b| <$result>::from(a).$operation(<$result>::from(b)),
                || out_of_range($name),
            )
        }
    };
}

integer_arithmetic! {
    i16, i16, i16, "smallint" => int2pl, int2mi, int2mul, int2div;
    i32, i32, i32, "integer" => int4pl, int4mi, int4mul, int4div;
    i64, i64, i64, "bigint" => int8pl, int8mi, int8mul, int8div;
    i16, i32, i32, "integer" => int24pl, int24mi, int24mul, int24div;
    i32, i16, i32, "integer" => int42pl, int42mi, int42mul, int42div;
    i16, i64, i64, "bigint" => int28pl, int28mi, int28mul, int28div;
    i64, i16, i64, "bigint" => int82pl, int82mi, int82mul, int82div;
    i32, i64, i64, "bigint" => int48pl, int48mi, int48mul, int48div;
    i64, i32, i64, "bigint" => int84pl, int84mi, int84mul, int84div;
}

/// The operators of one integer type that need no second type.
macro_rules! integer_operators {
    ($($kind:ident, $name:literal => $rem:ident, $neg:ident, $plus:ident, $abs:ident, $and:ident, $or:ident, $xor:ident, $not:ident, $left:ident, $right:ident;)*) => {$(
        evaluators! {
            fn $rem(a: $kind, b: $kind) -> try $kind {
                if b == 0 { return Err(division_by_zero()) }
                Ok(a.wrapping_rem(b))
            }
            fn $neg(a: $kind) -> try $kind { a.checked_neg().ok_or_else(|| out_of_range($name)) }
            fn $plus(a: $kind) -> $kind { a }
            fn $abs(a: $kind) -> try $kind { a.checked_abs().ok_or_else(|| out_of_range($name)) }
            fn $and(a: $kind, b: $kind) -> $kind { a & b }
            fn $or(a: $kind, b: $kind) -> $kind { a | b }
            fn $xor(a: $kind, b: $kind) -> $kind { a ^ b }
            fn $not(a: $kind) -> $kind { !a }
            fn $left(a: $kind, count: i32) -> $kind { a.wrapping_shl(count as u32) }
            fn $right(a: $kind, count: i32) -> $kind { a.wrapping_shr(count as u32) }
        }
    )*};
}

integer_operators! {
    i32, "integer" => int4mod, int4um, int4up, int4abs, int4and, int4or, int4xor, int4not, int4shl, int4shr;
    i64, "bigint" => int8mod, int8um, int8up, int8abs, int8and, int8or, int8xor, int8not, int8shl, int8shr;
}

evaluators! {
    fn int2mod(a: i16, b: i16) -> try i16 {
        if b == 0 { return Err(division_by_zero()) }
        Ok(a.wrapping_rem(b))
    }
    fn int2um(a: i16) -> try i16 { a.checked_neg().ok_or_else(|| out_of_range("smallint")) }
    fn int2up(a: i16) -> i16 { a }
    fn int2abs(a: i16) -> try i16 { a.checked_abs().ok_or_else(|| out_of_range("smallint")) }
    fn int2and(a: i16, b: i16) -> i16 { a & b }
    fn int2or(a: i16, b: i16) -> i16 { a | b }
    fn int2xor(a: i16, b: i16) -> i16 { a ^ b }
    fn int2not(a: i16) -> i16 { !a }
    // A smallint is shifted as an integer and cut back: the count is taken modulo 32.
    fn int2shl(a: i16, count: i32) -> i16 { i32::from(a).wrapping_shl(count as u32) as i16 }
    fn int2shr(a: i16, count: i32) -> i16 { i32::from(a).wrapping_shr(count as u32) as i16 }
}

/// + - * / of floats with PostgreSQL's overflow rules.
macro_rules! float_arithmetic {
    ($($left:ident, $right:ident, $result:ty => $plus:ident, $minus:ident, $times:ident, $divide:ident;)*) => {$(
        pub fn $plus(context: &EvalContext<'_>, arguments: &[&Vector], rows: usize) -> PgResult<Vector> {
            let _ = context;
            checked::<$left, $right, $result>(arguments, rows, |a, b| {
                let (a, b) = (<$result>::from(a), <$result>::from(b));
                let sum = a + b;
                (sum, sum.is_infinite() && !a.is_infinite() && !b.is_infinite())
            }, overflow)
        }
        pub fn $minus(context: &EvalContext<'_>, arguments: &[&Vector], rows: usize) -> PgResult<Vector> {
            let _ = context;
            checked::<$left, $right, $result>(arguments, rows, |a, b| {
                let (a, b) = (<$result>::from(a), <$result>::from(b));
                let difference = a - b;
                (difference, difference.is_infinite() && !a.is_infinite() && !b.is_infinite())
            }, overflow)
        }
        pub fn $times(context: &EvalContext<'_>, arguments: &[&Vector], rows: usize) -> PgResult<Vector> {
            let _ = context;
            let underflowed = std::cell::Cell::new(false);
            checked::<$left, $right, $result>(arguments, rows, |a, b| {
                let (a, b) = (<$result>::from(a), <$result>::from(b));
                let product = a * b;
                let over = product.is_infinite() && !a.is_infinite() && !b.is_infinite();
                let under = product == 0.0 && a != 0.0 && b != 0.0;
                underflowed.set(under);
                (product, over || under)
            }, || if underflowed.get() { underflow() } else { overflow() })
        }
        pub fn $divide(context: &EvalContext<'_>, arguments: &[&Vector], rows: usize) -> PgResult<Vector> {
            let _ = context;
            let failure = std::cell::Cell::new(0u8);
            checked::<$left, $right, $result>(arguments, rows, |a, b| {
                let (a, b) = (<$result>::from(a), <$result>::from(b));
                let quotient = a / b;
                let zero = b == 0.0 && !a.is_nan();
                let over = quotient.is_infinite() && !a.is_infinite();
                let under = quotient == 0.0 && a != 0.0 && !b.is_infinite();
                failure.set(if zero { 1 } else if over { 2 } else { 3 });
                (quotient, zero || over || under)
            }, || match failure.get() {
                1 => division_by_zero(),
                2 => overflow(),
                _ => underflow(),
            })
        }
    )*};
}

float_arithmetic! {
    f32, f32, f32 => float4pl, float4mi, float4mul, float4div;
    f64, f64, f64 => float8pl, float8mi, float8mul, float8div;
    f32, f64, f64 => float48pl, float48mi, float48mul, float48div;
    f64, f32, f64 => float84pl, float84mi, float84mul, float84div;
}

evaluators! {
    fn float4um(a: f32) -> f32 { -a }
    fn float4up(a: f32) -> f32 { a }
    fn float4abs(a: f32) -> f32 { a.abs() }
    fn float8um(a: f64) -> f64 { -a }
    fn float8up(a: f64) -> f64 { a }
    fn float8abs(a: f64) -> f64 { a.abs() }
    fn numeric_add(a: numeric, b: numeric) -> try numeric { a.add(b) }
    fn numeric_sub(a: numeric, b: numeric) -> try numeric { a.sub(b) }
    fn numeric_mul(a: numeric, b: numeric) -> try numeric { a.mul(b) }
    fn numeric_div(a: numeric, b: numeric) -> try numeric { a.div(b) }
    fn numeric_mod(a: numeric, b: numeric) -> try numeric { a.rem(b) }
    fn numeric_div_trunc(a: numeric, b: numeric) -> try numeric { a.div_truncated(b) }
    fn numeric_power(a: numeric, b: numeric) -> try numeric { a.power(b) }
    fn numeric_uminus(a: numeric) -> numeric { a.neg() }
    fn numeric_uplus(a: numeric) -> numeric { Numeric::clone(a) }
    fn numeric_abs(a: numeric) -> numeric { a.abs() }
    fn pg_lsn_mi(a: i64, b: i64) -> numeric {
        Numeric::from_i128(i128::from(a as u64) - i128::from(b as u64), 0)
    }
}
