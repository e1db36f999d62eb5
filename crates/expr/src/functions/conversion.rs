//! Conversion functions named by pg_cast, except those of dates and times, and the functions that fit a value to a modifier.

use super::arithmetic::{out_of_range, overflow, underflow};
use super::kernel::evaluators;
use types::{BitString, Datum, Numeric, PgError, PgResult, SqlState};

/// Bytes of a `name`, its terminating zero not counted.
const NAME_BYTES_MAX: usize = 63;

/// A float rounded half to even and checked against a range that is given as floats: `low <= x < high`.
fn rounded(value: f64, low: f64, high: f64, type_name: &str) -> PgResult<f64> {
    let value = value.round_ties_even();
    // NaN fails both.
    if value >= low && value < high { Ok(value) } else { Err(out_of_range(type_name)) }
}

const TWO_TO_15: f64 = 32_768.0;
const TWO_TO_31: f64 = 2_147_483_648.0;
const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;

fn narrow(value: f64) -> PgResult<f32> {
    let result = value as f32;
    if result.is_infinite() && !value.is_infinite() {
        return Err(overflow());
    }
    if result == 0.0 && value != 0.0 {
        return Err(underflow());
    }
    Ok(result)
}

evaluators! {
    fn i2tof(a: i16) -> f32 { f32::from(a) }
    fn i4tof(a: i32) -> f32 { a as f32 }
    fn i8tof(a: i64) -> f32 { a as f32 }
    fn i2tod(a: i16) -> f64 { f64::from(a) }
    fn i4tod(a: i32) -> f64 { f64::from(a) }
    fn i8tod(a: i64) -> f64 { a as f64 }
    fn ftod(a: f32) -> f64 { f64::from(a) }
    fn dtof(a: f64) -> try f32 { narrow(a) }
    fn dtoi2(a: f64) -> try i16 { rounded(a, -TWO_TO_15, TWO_TO_15, "smallint").map(|a| a as i16) }
    fn dtoi4(a: f64) -> try i32 { rounded(a, -TWO_TO_31, TWO_TO_31, "integer").map(|a| a as i32) }
    fn dtoi8(a: f64) -> try i64 { rounded(a, -TWO_TO_63, TWO_TO_63, "bigint").map(|a| a as i64) }
    fn ftoi2(a: f32) -> try i16 { rounded(f64::from(a), -TWO_TO_15, TWO_TO_15, "smallint").map(|a| a as i16) }
    fn ftoi4(a: f32) -> try i32 { rounded(f64::from(a), -TWO_TO_31, TWO_TO_31, "integer").map(|a| a as i32) }
    fn ftoi8(a: f32) -> try i64 { rounded(f64::from(a), -TWO_TO_63, TWO_TO_63, "bigint").map(|a| a as i64) }
    fn i2toi4(a: i16) -> i32 { i32::from(a) }
    fn i4toi2(a: i32) -> try i16 { i16::try_from(a).map_err(|_| out_of_range("smallint")) }
    fn int82(a: i64) -> try i16 { i16::try_from(a).map_err(|_| out_of_range("smallint")) }
    fn int84(a: i64) -> try i32 { i32::try_from(a).map_err(|_| out_of_range("integer")) }
    fn int28(a: i16) -> i64 { i64::from(a) }
    fn int48(a: i32) -> i64 { i64::from(a) }
    fn oidtoi8(a: u32) -> i64 { i64::from(a) }
    fn i8tooid(a: i64) -> try u32 { u32::try_from(a).map_err(|_| out_of_range("OID")) }
    fn xid8toxid(a: i64) -> u32 { a as u32 }
    fn int4_bool(a: i32) -> bool { a != 0 }
    fn bool_int4(a: bool) -> i32 { i32::from(a) }
    fn booltext(a: bool) -> text { if a { "true" } else { "false" } }
}

evaluators! {
    fn int2_numeric(a: i16) -> numeric { Numeric::from_i64(i64::from(a)) }
    fn int4_numeric(a: i32) -> numeric { Numeric::from_i64(i64::from(a)) }
    fn int8_numeric(a: i64) -> numeric { Numeric::from_i64(a) }
    fn float4_numeric(a: f32) -> numeric { Numeric::from_f32(a) }
    fn float8_numeric(a: f64) -> numeric { Numeric::from_f64(a) }
    fn numeric_int2(a: numeric) -> try i16 { a.to_i16() }
    fn numeric_int4(a: numeric) -> try i32 { a.to_i32() }
    fn numeric_int8(a: numeric) -> try i64 { a.to_i64() }
    fn numeric_float4(a: numeric) -> try f32 { a.to_f32() }
    fn numeric_float8(a: numeric) -> try f64 { a.to_f64() }
    fn numeric(a: numeric, typmod: i32) -> try numeric { a.apply_typmod(typmod) }
    fn numeric_pg_lsn(a: numeric) -> try i64 { lsn(a) }
}

/// A numeric as a log position.
pub(crate) fn lsn(value: &Numeric) -> PgResult<i64> {
    if !value.is_finite() {
        let what = if value.is_nan() { "NaN" } else { "infinity" };
        return Err(PgError::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("cannot convert {what} to pg_lsn"),
        ));
    }
    let text = value.round(0)?.to_string();
    text.parse::<u64>()
        .map(|value| value as i64)
        .map_err(|_| PgError::new(SqlState::INVALID_PARAMETER_VALUE, "pg_lsn out of range"))
}

/// The longest prefix of at most `bytes` bytes that ends at a character.
pub(crate) fn byte_prefix(text: &str, bytes: usize) -> &str {
    if text.len() <= bytes {
        return text;
    }
    let end = (0..=bytes).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    &text[..end]
}

/// The first `count` characters and the rest.
pub(crate) fn split_chars(text: &str, count: usize) -> (&str, &str) {
    if text.len() <= count {
        return (text, "");
    }
    match text.char_indices().nth(count) {
        Some((at, _)) => text.split_at(at),
        None => (text, ""),
    }
}

/// Fits text to a declared length in characters: an explicit cast cuts, another may only lose blanks.
fn fit<'a>(text: &'a str, typmod: i32, explicit: bool, type_name: &str) -> PgResult<&'a str> {
    let length = typmod - 4;
    if length < 0 {
        return Ok(text);
    }
    let (kept, lost) = split_chars(text, length as usize);
    if !explicit && lost.bytes().any(|byte| byte != b' ') {
        return Err(PgError::new(
            SqlState::STRING_DATA_RIGHT_TRUNCATION,
            format!("value too long for type {type_name}({length})"),
        ));
    }
    Ok(kept)
}

/// What a "char" holds for one byte: nothing for zero, an octal escape beyond ASCII.
fn internal_char(byte: u8) -> String {
    match byte {
        0 => String::new(),
        byte if byte.is_ascii() => char::from(byte).to_string(),
        byte => format!("\\{byte:03o}"),
    }
}

/// The byte behind a "char".
fn internal_byte(text: &str) -> u8 {
    match text.as_bytes() {
        [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7'] => {
            ((a - b'0') << 6) | ((b - b'0') << 3) | (c - b'0')
        }
        [] => 0,
        [first, ..] => *first,
    }
}

evaluators! {
    fn varchar(text: text, typmod: i32, explicit: bool) -> try text {
        fit(text, typmod, explicit, "character varying")
    }
    fn bpchar(text: text, typmod: i32, explicit: bool) -> try text {
        Ok(fit(text, typmod, explicit, "character")?.trim_end_matches(' '))
    }
    fn text_name(text: text) -> text { byte_prefix(text, NAME_BYTES_MAX) }
    fn bpchar_name(text: text) -> text { byte_prefix(text, NAME_BYTES_MAX).trim_end_matches(' ') }
    fn name_text(text: text) -> text { text }
    fn name_bpchar(text: text) -> text { text.trim_end_matches(' ') }
    fn char_bpchar(text: text) -> text { text.trim_end_matches(' ') }
    fn char_text(text: text) -> text { text }
    fn text_char(text: text) -> text { internal_char(internal_byte(text)) }
    fn chartoi4(text: text) -> i32 { i32::from(internal_byte(text) as i8) }
    fn i4tochar(a: i32) -> try text {
        let value = i8::try_from(a).map_err(|_| out_of_range("\"char\""))?;
        Ok(internal_char(value as u8))
    }
    fn text_regclass(text: text; context) -> try u32 {
        match context.catalog.call("regclassin", &[Datum::text(text)])? {
            Datum::Oid(oid) => Ok(oid),
            other => Err(PgError::internal(format!("regclassin answered {other:?}"))),
        }
    }
}

/// The bits of a datum that the binder typed as bit or varbit; empty for a NULL's placeholder.
pub(crate) fn bits(datum: &Datum) -> &BitString {
    static EMPTY: BitString = BitString { length: 0, bytes: Vec::new() };
    match datum {
        Datum::Bits(bits) => bits,
        _ => &EMPTY,
    }
}

/// The low bits of an integer of `width` bits, at `length` bits, sign extended.
fn bits_of_integer(value: i64, width: u32, typmod: i32) -> Datum {
    let length = if typmod <= 0 { 1 } else { typmod as u32 };
    let mut bytes = vec![0u8; length.div_ceil(8) as usize];
    for place in 0..length {
        // Counted from the least significant bit.
        let bit = if place < width { value >> place & 1 } else { i64::from(value < 0) };
        let position = length - 1 - place;
        bytes[(position / 8) as usize] |= (bit as u8) << (7 - position % 8);
    }
    Datum::Bits(Box::new(BitString { length, bytes }))
}

fn integer_of_bits(bits: &BitString, width: u32, type_name: &str) -> PgResult<i64> {
    if bits.length > width {
        return Err(out_of_range(type_name));
    }
    let value = (0..bits.length)
        .fold(0u64, |value, at| value << 1 | u64::from(bits.bytes[(at / 8) as usize] >> (7 - at % 8) & 1));
    Ok(if width == 32 { i64::from(value as u32 as i32) } else { value as i64 })
}

/// Cuts or extends with zeros.
pub(crate) fn resized(bits: &BitString, length: u32) -> BitString {
    let mut bytes = bits.bytes.clone();
    bytes.resize(length.div_ceil(8) as usize, 0);
    if length % 8 != 0
        && let Some(last) = bytes.last_mut()
    {
        *last &= 0xffu8 << (8 - length % 8);
    }
    BitString { length, bytes }
}

evaluators! {
    fn bitfromint4(a: i32, typmod: i32) -> datum { bits_of_integer(i64::from(a), 32, typmod) }
    fn bitfromint8(a: i64, typmod: i32) -> datum { bits_of_integer(a, 64, typmod) }
    fn bittoint4(a: datum) -> try i32 { integer_of_bits(bits(a), 32, "integer").map(|value| value as i32) }
    fn bittoint8(a: datum) -> try i64 { integer_of_bits(bits(a), 64, "bigint") }
    fn bit(a: datum, typmod: i32, explicit: bool) -> try datum {
        let value = bits(a);
        if typmod <= 0 || typmod as u32 == value.length {
            return Ok(a.clone());
        }
        if !explicit {
            return Err(PgError::new(
                SqlState::STRING_DATA_LENGTH_MISMATCH,
                format!("bit string length {} does not match type bit({typmod})", value.length),
            ));
        }
        Ok(Datum::Bits(Box::new(resized(value, typmod as u32))))
    }
    fn varbit(a: datum, typmod: i32, explicit: bool) -> try datum {
        let value = bits(a);
        if typmod <= 0 || value.length <= typmod as u32 {
            return Ok(a.clone());
        }
        if !explicit {
            return Err(PgError::new(
                SqlState::STRING_DATA_RIGHT_TRUNCATION,
                format!("bit string too long for type bit varying({typmod})"),
            ));
        }
        Ok(Datum::Bits(Box::new(resized(value, typmod as u32))))
    }
}
