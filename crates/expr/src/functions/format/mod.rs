//! to_char, to_number, to_date, to_timestamp (PostgreSQL 9.8). Names of months and days are English.

mod date_input;
mod date_output;
mod date_pattern;
mod number_input;
mod number_output;
mod number_pattern;

use super::kernel::evaluators;
use crate::EvalContext;
use types::{Numeric, PgResult, Vector, datetime};

fn is_infinite(timestamp: i64) -> bool {
    timestamp == datetime::TIMESTAMP_INFINITY || timestamp == datetime::TIMESTAMP_NEGATIVE_INFINITY
}

evaluators! {
    fn timestamp_to_char(value: i64, pattern: text) -> maybe text {
        if pattern.is_empty() || is_infinite(value) {
            return Ok(None);
        }
        date_output::timestamp(value, None, pattern).map(Some)
    }
    fn timestamptz_to_char(value: i64, pattern: text; context) -> maybe text {
        if pattern.is_empty() || is_infinite(value) {
            return Ok(None);
        }
        let zone = &context.session.format.time_zone;
        let offset = zone.offset_at(value);
        let local = datetime::timestamptz_to_timestamp(value, zone)?;
        date_output::timestamp(local, Some(&offset), pattern).map(Some)
    }
    fn interval_to_char(value: interval, pattern: text) -> maybe text {
        if pattern.is_empty() {
            return Ok(None);
        }
        date_output::interval(value, pattern).map(Some)
    }
    fn to_date(text: text, pattern: text) -> try i32 { date_input::date(text, pattern) }
    fn to_timestamp(text: text, pattern: text; context) -> try i64 {
        date_input::timestamptz(text, pattern, &context.session.format.time_zone)
    }
    fn numeric_to_char(value: numeric, pattern: text) -> try text { number_output::exact(value, pattern) }
    fn int4_to_char(value: i32, pattern: text) -> try text {
        number_output::exact(&Numeric::from_i64(i64::from(value)), pattern)
    }
    fn int8_to_char(value: i64, pattern: text) -> try text { number_output::exact(&Numeric::from_i64(value), pattern) }
    fn float4_to_char(value: f32, pattern: text) -> try text {
        number_output::float(f64::from(value), FLOAT4_DIGITS, pattern)
    }
    fn float8_to_char(value: f64, pattern: text) -> try text { number_output::float(value, FLOAT8_DIGITS, pattern) }
    fn numeric_to_number(text: text, pattern: text) -> maybe numeric { number_input::number(text, pattern) }
}

/// Decimal digits that a float holds for certain.
const FLOAT4_DIGITS: usize = 6;
const FLOAT8_DIGITS: usize = 15;

/// timeofday(): the wall clock as text.
pub fn timeofday(context: &EvalContext<'_>, _arguments: &[&Vector], rows: usize) -> PgResult<Vector> {
    let zone = &context.session.format.time_zone;
    let now = context.clock_timestamp;
    let local = datetime::timestamptz_to_timestamp(now, zone)?;
    let text = date_output::timestamp(local, Some(&zone.offset_at(now)), "Dy Mon DD HH24:MI:SS.US YYYY TZ")?;
    super::string::texts(context, rows, |_| Ok(Some(text.clone())))
}

/// The English ordinal suffix of a number's text.
fn ordinal(digits: &str, upper: bool) -> &'static str {
    let bytes = digits.as_bytes();
    let teen = bytes.len() > 1 && bytes[bytes.len() - 2] == b'1';
    match (bytes.last(), teen, upper) {
        (Some(b'1'), false, false) => "st",
        (Some(b'2'), false, false) => "nd",
        (Some(b'3'), false, false) => "rd",
        (Some(b'1'), false, true) => "ST",
        (Some(b'2'), false, true) => "ND",
        (Some(b'3'), false, true) => "RD",
        (_, _, false) => "th",
        (_, _, true) => "TH",
    }
}
