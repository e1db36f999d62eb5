//! The six comparisons and larger/smaller of every type.
//!
//! Fixed-width types run in dense loops. Floats order NaN above everything and equal to itself. Text compares by bytes (C
//! collation). The order of the rare types is [`types::compare`]'s.

use super::kernel::{dense, evaluators};
use crate::EvalContext;
use std::cmp::Ordering;
use types::datetime::{self, DATE_INFINITY, DATE_NEGATIVE_INFINITY, MICROSECONDS_PER_DAY};
use types::{PgResult, TimeZone, Vector, compare};

/// Six evaluators over two fixed-width kinds, compared after a conversion of each.
macro_rules! ordered {
    ($($left:ty, $right:ty, |$a:ident, $b:ident| $pair:expr => $eq:ident, $ne:ident, $lt:ident, $le:ident, $gt:ident, $ge:ident;)*) => {$(
        ordered!(@one eq $eq, $left, $right, $a, $b, $pair);
        ordered!(@one ne $ne, $left, $right, $a, $b, $pair);
        ordered!(@one lt $lt, $left, $right, $a, $b, $pair);
        ordered!(@one le $le, $left, $right, $a, $b, $pair);
        ordered!(@one gt $gt, $left, $right, $a, $b, $pair);
        ordered!(@one ge $ge, $left, $right, $a, $b, $pair);
    )*};
    (@one $test:ident $name:ident, $left:ty, $right:ty, $a:ident, $b:ident, $pair:expr) => {
        pub fn $name(_: &EvalContext<'_>, arguments: &[&Vector], rows: usize) -> PgResult<Vector> {
            dense::<$left, $right, bool>(arguments, rows, |$a, $b| {
                let (left, right) = $pair;
                left.$test(&right)
            })
        }
    };
}

ordered! {
    i16, i16, |a, b| (a, b) => int2eq, int2ne, int2lt, int2le, int2gt, int2ge;
    i32, i32, |a, b| (a, b) => int4eq, int4ne, int4lt, int4le, int4gt, int4ge;
    i64, i64, |a, b| (a, b) => int8eq, int8ne, int8lt, int8le, int8gt, int8ge;
    i16, i32, |a, b| (i32::from(a), b) => int24eq, int24ne, int24lt, int24le, int24gt, int24ge;
    i32, i16, |a, b| (a, i32::from(b)) => int42eq, int42ne, int42lt, int42le, int42gt, int42ge;
    i16, i64, |a, b| (i64::from(a), b) => int28eq, int28ne, int28lt, int28le, int28gt, int28ge;
    i64, i16, |a, b| (a, i64::from(b)) => int82eq, int82ne, int82lt, int82le, int82gt, int82ge;
    i32, i64, |a, b| (i64::from(a), b) => int48eq, int48ne, int48lt, int48le, int48gt, int48ge;
    i64, i32, |a, b| (a, i64::from(b)) => int84eq, int84ne, int84lt, int84le, int84gt, int84ge;
    f32, f32, |a, b| (total(f64::from(a)), total(f64::from(b))) => float4eq, float4ne, float4lt, float4le, float4gt, float4ge;
    f64, f64, |a, b| (total(a), total(b)) => float8eq, float8ne, float8lt, float8le, float8gt, float8ge;
    f32, f64, |a, b| (total(f64::from(a)), total(b)) => float48eq, float48ne, float48lt, float48le, float48gt, float48ge;
    f64, f32, |a, b| (total(a), total(f64::from(b))) => float84eq, float84ne, float84lt, float84le, float84gt, float84ge;
    bool, bool, |a, b| (a, b) => booleq, boolne, boollt, boolle, boolgt, boolge;
    u32, u32, |a, b| (a, b) => oideq, oidne, oidlt, oidle, oidgt, oidge;
    i32, i32, |a, b| (a, b) => date_eq, date_ne, date_lt, date_le, date_gt, date_ge;
    i64, i64, |a, b| (a, b) => time_eq, time_ne, time_lt, time_le, time_gt, time_ge;
    i64, i64, |a, b| (a, b) => timestamp_eq, timestamp_ne, timestamp_lt, timestamp_le, timestamp_gt, timestamp_ge;
    i64, i64, |a, b| (a as u64, b as u64) => pg_lsn_eq, pg_lsn_ne, pg_lsn_lt, pg_lsn_le, pg_lsn_gt, pg_lsn_ge;
    i64, i64, |a, b| (a as u64, b as u64) => xid8eq, xid8ne, xid8lt, xid8le, xid8gt, xid8ge;
    types::Interval, types::Interval, |a, b| (a.comparison_value(), b.comparison_value())
        => interval_eq, interval_ne, interval_lt, interval_le, interval_gt, interval_ge;
    [u8; 16], [u8; 16], |a, b| (a, b) => uuid_eq, uuid_ne, uuid_lt, uuid_le, uuid_gt, uuid_ge;
    i32, i64, |a, b| (date_instant(a), i128::from(b)) => date_eq_timestamp, date_ne_timestamp, date_lt_timestamp, date_le_timestamp, date_gt_timestamp, date_ge_timestamp;
    i64, i32, |a, b| (i128::from(a), date_instant(b)) => timestamp_eq_date, timestamp_ne_date, timestamp_lt_date, timestamp_le_date, timestamp_gt_date, timestamp_ge_date;
}

/// A float ordered as PostgreSQL does: NaN equals itself and is above everything.
#[derive(Clone, Copy)]
struct Total(f64);

#[inline]
fn total(value: f64) -> Total {
    Total(value)
}

impl PartialEq for Total {
    #[inline]
    fn eq(&self, other: &Total) -> bool {
        self.0 == other.0 || (self.0.is_nan() && other.0.is_nan())
    }
}

impl PartialOrd for Total {
    #[inline]
    fn partial_cmp(&self, other: &Total) -> Option<Ordering> {
        Some(compare_floats(self.0, other.0))
    }

    #[inline]
    fn lt(&self, other: &Total) -> bool {
        self.0 < other.0 || (other.0.is_nan() && !self.0.is_nan())
    }

    #[inline]
    fn le(&self, other: &Total) -> bool {
        self.0 <= other.0 || other.0.is_nan()
    }

    #[inline]
    fn gt(&self, other: &Total) -> bool {
        other.lt(self)
    }

    #[inline]
    fn ge(&self, other: &Total) -> bool {
        other.le(self)
    }
}

#[inline]
pub(crate) fn compare_floats(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

/// The midnight that begins a day, wide enough for every date; infinities stay infinities of timestamps.
fn date_instant(date: i32) -> i128 {
    match date {
        DATE_INFINITY => i128::from(i64::MAX),
        DATE_NEGATIVE_INFINITY => i128::from(i64::MIN),
        date => i128::from(date) * i128::from(MICROSECONDS_PER_DAY),
    }
}

fn compare_timestamp_to_timestamptz(local: i64, instant: i64, zone: &TimeZone) -> PgResult<Ordering> {
    if local == i64::MAX || local == i64::MIN {
        return Ok(local.cmp(&instant));
    }
    Ok(datetime::timestamp_to_timestamptz(local, zone)?.cmp(&instant))
}

fn compare_date_to_timestamptz(date: i32, instant: i64, zone: &TimeZone) -> PgResult<Ordering> {
    match i64::try_from(date_instant(date)) {
        Ok(local) => compare_timestamp_to_timestamptz(local, instant, zone),
        // Beyond every timestamp.
        Err(_) => Ok(if date > 0 && instant != i64::MAX { Ordering::Greater } else { Ordering::Less }),
    }
}

/// Six evaluators over kinds that are read value by value and ordered by a function.
macro_rules! by_ordering {
    ($($left:ident, $right:ident, |$a:ident, $b:ident| $order:expr => $eq:ident, $ne:ident, $lt:ident, $le:ident, $gt:ident, $ge:ident;)*) => {$(
        evaluators! {
            fn $eq($a: $left, $b: $right) -> bool { $order.is_eq() }
            fn $ne($a: $left, $b: $right) -> bool { $order.is_ne() }
            fn $lt($a: $left, $b: $right) -> bool { $order.is_lt() }
            fn $le($a: $left, $b: $right) -> bool { $order.is_le() }
            fn $gt($a: $left, $b: $right) -> bool { $order.is_gt() }
            fn $ge($a: $left, $b: $right) -> bool { $order.is_ge() }
        }
    )*};
}

by_ordering! {
    numeric, numeric, |a, b| a.compare(b) => numeric_eq, numeric_ne, numeric_lt, numeric_le, numeric_gt, numeric_ge;
    text, text, |a, b| blank(a).cmp(blank(b)) => bpchareq, bpcharne, bpcharlt, bpcharle, bpchargt, bpcharge;
    text, text, |a, b| a.cmp(b) => nameeq, namene, namelt, namele, namegt, namege;
    text, text, |a, b| a.cmp(b) => texteqname, textnename, textltname, textlename, textgtname, textgename;
    text, text, |a, b| a.cmp(b) => nameeqtext, namenetext, namelttext, nameletext, namegttext, namegetext;
    text, text, |a, b| a.as_bytes().cmp(b.as_bytes()) => chareq, charne, charlt, charle, chargt, charge;
    bytes, bytes, |a, b| a.cmp(b) => network_eq, network_ne, network_lt, network_le, network_gt, network_ge;
    bytes, bytes, |a, b| a.cmp(b) => byteaeq, byteane, bytealt, byteale, byteagt, byteage;
    datum, datum, |a, b| compare::compare_datums(a, b) => timetz_eq, timetz_ne, timetz_lt, timetz_le, timetz_gt, timetz_ge;
    datum, datum, |a, b| compare::compare_datums(a, b) => array_eq, array_ne, array_lt, array_le, array_gt, array_ge;
    i64, i64, |a, b| a.cmp(&b) => enum_eq, enum_ne, enum_lt, enum_le, enum_gt, enum_ge;
    datum, datum, |a, b| compare::compare_datums(a, b) => biteq, bitne, bitlt, bitle, bitgt, bitge;
    datum, datum, |a, b| compare::compare_datums(a, b) => jsonb_eq, jsonb_ne, jsonb_lt, jsonb_le, jsonb_gt, jsonb_ge;
    datum, datum, |a, b| compare::compare_datums(a, b) => oidvectoreq, oidvectorne, oidvectorlt, oidvectorle, oidvectorgt, oidvectorge;
    datum, datum, |a, b| compare::compare_datums(a, b) => record_eq, record_ne, record_lt, record_le, record_gt, record_ge;
}

evaluators! {
    fn texteq(a: text, b: text) -> bool { a == b }
    fn textne(a: text, b: text) -> bool { a != b }
    fn text_lt(a: text, b: text) -> bool { a < b }
    fn text_le(a: text, b: text) -> bool { a <= b }
    fn text_gt(a: text, b: text) -> bool { a > b }
    fn text_ge(a: text, b: text) -> bool { a >= b }
    fn text_pattern_lt(a: text, b: text) -> bool { a < b }
    fn text_pattern_le(a: text, b: text) -> bool { a <= b }
    fn text_pattern_gt(a: text, b: text) -> bool { a > b }
    fn text_pattern_ge(a: text, b: text) -> bool { a >= b }
    fn bpchar_pattern_lt(a: text, b: text) -> bool { blank(a) < blank(b) }
    fn bpchar_pattern_le(a: text, b: text) -> bool { blank(a) <= blank(b) }
    fn bpchar_pattern_gt(a: text, b: text) -> bool { blank(a) > blank(b) }
    fn bpchar_pattern_ge(a: text, b: text) -> bool { blank(a) >= blank(b) }
    fn xideq(a: u32, b: u32) -> bool { a == b }
    fn xidneq(a: u32, b: u32) -> bool { a != b }
    fn cideq(a: u32, b: u32) -> bool { a == b }
    fn xideqint4(a: u32, b: i32) -> bool { a == b as u32 }
    fn xidneqint4(a: u32, b: i32) -> bool { a != b as u32 }
}

/// Without trailing blanks, which mean nothing in a bpchar.
fn blank(text: &str) -> &str {
    text.trim_end_matches(' ')
}

/// Six evaluators that need the session's zone.
macro_rules! by_zone {
    ($($left:ident, $right:ident, |$a:ident, $b:ident, $zone:ident| $order:expr => $eq:ident, $ne:ident, $lt:ident, $le:ident, $gt:ident, $ge:ident;)*) => {$(
        by_zone!(@one $eq, $left, $right, $a, $b, $zone, $order, is_eq);
        by_zone!(@one $ne, $left, $right, $a, $b, $zone, $order, is_ne);
        by_zone!(@one $lt, $left, $right, $a, $b, $zone, $order, is_lt);
        by_zone!(@one $le, $left, $right, $a, $b, $zone, $order, is_le);
        by_zone!(@one $gt, $left, $right, $a, $b, $zone, $order, is_gt);
        by_zone!(@one $ge, $left, $right, $a, $b, $zone, $order, is_ge);
    )*};
    (@one $name:ident, $left:ident, $right:ident, $a:ident, $b:ident, $zone:ident, $order:expr, $test:ident) => {
        evaluators! {
            fn $name($a: $left, $b: $right; context) -> try bool {
                let $zone = &context.session.format.time_zone;
                Ok($order?.$test())
            }
        }
    };
}

by_zone! {
    i64, i64, |a, b, zone| compare_timestamp_to_timestamptz(a, b, zone) => timestamp_eq_timestamptz, timestamp_ne_timestamptz, timestamp_lt_timestamptz, timestamp_le_timestamptz, timestamp_gt_timestamptz, timestamp_ge_timestamptz;
    i64, i64, |a, b, zone| compare_timestamp_to_timestamptz(b, a, zone).map(Ordering::reverse) => timestamptz_eq_timestamp, timestamptz_ne_timestamp, timestamptz_lt_timestamp, timestamptz_le_timestamp, timestamptz_gt_timestamp, timestamptz_ge_timestamp;
    i32, i64, |a, b, zone| compare_date_to_timestamptz(a, b, zone) => date_eq_timestamptz, date_ne_timestamptz, date_lt_timestamptz, date_le_timestamptz, date_gt_timestamptz, date_ge_timestamptz;
    i64, i32, |a, b, zone| compare_date_to_timestamptz(b, a, zone).map(Ordering::reverse) => timestamptz_eq_date, timestamptz_ne_date, timestamptz_lt_date, timestamptz_le_date, timestamptz_gt_date, timestamptz_ge_date;
}

/// The larger and the smaller of two, as the transition functions of max and min are named. Of two that compare equal it is the
/// second (which shows where equal values have several representations), but the first of two bpchar.
macro_rules! pairwise {
    ($($kind:ident, |$a:ident, $b:ident| $order:expr => $larger:ident, $smaller:ident;)*) => {$(
        evaluators! {
            fn $larger($a: $kind, $b: $kind) -> $kind { if $order == Ordering::Greater { $a } else { $b } }
            fn $smaller($a: $kind, $b: $kind) -> $kind { if $order == Ordering::Less { $a } else { $b } }
        }
    )*};
}

pairwise! {
    i16, |a, b| a.cmp(&b) => int2larger, int2smaller;
    i32, |a, b| a.cmp(&b) => int4larger, int4smaller;
    i64, |a, b| a.cmp(&b) => int8larger, int8smaller;
    u32, |a, b| a.cmp(&b) => oidlarger, oidsmaller;
    f32, |a, b| compare_floats(f64::from(a), f64::from(b)) => float4larger, float4smaller;
    f64, |a, b| compare_floats(a, b) => float8larger, float8smaller;
    text, |a, b| a.cmp(b) => text_larger, text_smaller;
    i32, |a, b| a.cmp(&b) => date_larger, date_smaller;
    i64, |a, b| a.cmp(&b) => enum_larger, enum_smaller;
    i64, |a, b| a.cmp(&b) => time_larger, time_smaller;
    i64, |a, b| a.cmp(&b) => timestamp_larger, timestamp_smaller;
    interval, |a, b| a.comparison_value().cmp(&b.comparison_value()) => interval_larger, interval_smaller;
    i64, |a, b| (a as u64).cmp(&(b as u64)) => pg_lsn_larger, pg_lsn_smaller;
    i64, |a, b| (a as u64).cmp(&(b as u64)) => xid8_larger, xid8_smaller;
}

evaluators! {
    fn bpchar_larger(a: text, b: text) -> text { if blank(a) < blank(b) { b } else { a } }
    fn bpchar_smaller(a: text, b: text) -> text { if blank(a) > blank(b) { b } else { a } }
    fn numeric_larger(a: numeric, b: numeric) -> numeric { if a.compare(b).is_gt() { a.clone() } else { b.clone() } }
    fn numeric_smaller(a: numeric, b: numeric) -> numeric { if a.compare(b).is_lt() { a.clone() } else { b.clone() } }
    fn timetz_larger(a: datum, b: datum) -> datum { larger(a, b) }
    fn timetz_smaller(a: datum, b: datum) -> datum { smaller(a, b) }
    fn array_larger(a: datum, b: datum) -> datum { larger(a, b) }
    fn array_smaller(a: datum, b: datum) -> datum { smaller(a, b) }
}

fn larger(a: &types::Datum, b: &types::Datum) -> types::Datum {
    if compare::compare_datums(a, b).is_gt() { a.clone() } else { b.clone() }
}

fn smaller(a: &types::Datum, b: &types::Datum) -> types::Datum {
    if compare::compare_datums(a, b).is_lt() { a.clone() } else { b.clone() }
}
