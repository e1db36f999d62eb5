//! To and from integers and binary floating point.

use super::*;
use std::io::Write;

fn out_of_range(type_name: &str) -> PgError {
    PgError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, format!("{type_name} out of range"))
}

impl Numeric {
    /// Rounds (half away from zero) to an integer within `i128`'s range, as int2, int4 and int8 casts do.
    fn to_integer(&self, type_name: &str) -> PgResult<i128> {
        let special = match self {
            Numeric::NaN => "NaN",
            Numeric::Infinity | Numeric::NegativeInfinity => "infinity",
            Numeric::Small(small) => {
                return Ok(match small_power_of_ten(u32::from(small.scale)) {
                    _ if small.scale == 0 => small.coefficient(),
                    Some(power) => divide_rounded_small(small.coefficient(), power),
                    None => 0,
                });
            }
            Numeric::Big(_) => {
                return match self.round_unbounded(0)? {
                    Numeric::Small(small) => Ok(small.coefficient()),
                    _ => Err(out_of_range(type_name)),
                };
            }
        };
        Err(PgError::new(SqlState::FEATURE_NOT_SUPPORTED, format!("cannot convert {special} to {type_name}")))
    }

    /// Rounds to int2; 22003 `smallint out of range`, 0A000 `cannot convert NaN to smallint`.
    pub fn to_i16(&self) -> PgResult<i16> {
        i16::try_from(self.to_integer("smallint")?).map_err(|_| out_of_range("smallint"))
    }

    pub fn to_i32(&self) -> PgResult<i32> {
        i32::try_from(self.to_integer("integer")?).map_err(|_| out_of_range("integer"))
    }

    pub fn to_i64(&self) -> PgResult<i64> {
        i64::try_from(self.to_integer("bigint")?).map_err(|_| out_of_range("bigint"))
    }

    /// The nearest float8, infinite beyond its range.
    pub fn to_f64_lossy(&self) -> f64 {
        match self {
            Numeric::NaN => f64::NAN,
            Numeric::Infinity => f64::INFINITY,
            Numeric::NegativeInfinity => f64::NEG_INFINITY,
            // Both exactly representable: one correctly rounded division.
            Numeric::Small(small) if small.coefficient().unsigned_abs() <= 1 << 53 && small.scale <= 22 => {
                small.coefficient() as f64 / POWERS_OF_TEN[usize::from(small.scale)] as f64
            }
            other => other.to_string().parse().expect("numeric text is a number"),
        }
    }

    /// The nearest float8; 22003 when out of range.
    pub fn to_f64(&self) -> PgResult<f64> {
        let value = self.to_f64_lossy();
        if self.is_finite() && (value.is_infinite() || (value == 0.0 && !self.is_zero())) {
            return Err(PgError::new(
                SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
                format!("\"{self}\" is out of range for type double precision"),
            ));
        }
        Ok(value)
    }

    /// The nearest float4; 22003 when out of range.
    pub fn to_f32(&self) -> PgResult<f32> {
        let value: f32 = match self {
            Numeric::NaN => f32::NAN,
            Numeric::Infinity => f32::INFINITY,
            Numeric::NegativeInfinity => f32::NEG_INFINITY,
            other => other.to_string().parse().expect("numeric text is a number"),
        };
        if self.is_finite() && (value.is_infinite() || (value == 0.0 && !self.is_zero())) {
            return Err(PgError::new(
                SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
                format!("\"{self}\" is out of range for type real"),
            ));
        }
        Ok(value)
    }

    /// float8 -> numeric: 15 significant digits.
    pub fn from_f64(value: f64) -> Numeric {
        Numeric::from_float(value, 15)
    }

    /// float4 -> numeric: 6 significant digits.
    pub fn from_f32(value: f32) -> Numeric {
        Numeric::from_float(f64::from(value), 6)
    }

    fn from_float(value: f64, digits: usize) -> Numeric {
        if value.is_nan() {
            return Numeric::NaN;
        }
        if value.is_infinite() {
            return if value > 0.0 { Numeric::Infinity } else { Numeric::NegativeInfinity };
        }
        // C's %.15g drops trailing zeros, and so does this; "1.5e3" shows no decimals in either spelling.
        let mut buffer = [0u8; 64];
        let mut rest = &mut buffer[..];
        write!(rest, "{value:.*e}", digits - 1).expect("a float in scientific notation is short");
        let unused = rest.len();
        let text = std::str::from_utf8(&buffer[..buffer.len() - unused]).expect("ASCII");
        let (mantissa, exponent) = text.split_once('e').expect("scientific notation has an exponent");
        let mantissa = if mantissa.contains('.') {
            mantissa.trim_end_matches('0').trim_end_matches('.')
        } else {
            mantissa
        };
        let decimals = mantissa.split_once('.').map_or(0, |(_, decimals)| decimals.len()) as i32;
        let exponent: i32 = exponent.parse().expect("a small exponent");
        let coefficient: i128 = mantissa.replace('.', "").parse().expect("at most 15 digits");
        let scale = decimals - exponent;
        if scale >= 0 {
            return Numeric::from_i128(coefficient, scale_from(scale));
        }
        Numeric::from_big(
            IBig::from(coefficient) * IBig::from(big_power_of_ten(scale.unsigned_abs() as usize)),
            0,
        )
        .expect("a float has at most 309 digits")
    }
}
