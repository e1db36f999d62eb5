//! SQL order and equality of values.
//!
//! The order is that of PostgreSQL's default btree operator class of each type: NaN above every number and equal to
//! itself, -0 = 0, text by bytes (C collation), intervals by their length with months of 30 days, arrays element by
//! element, NULL inside arrays and records above everything.

use crate::datum::{ArrayValue, BitString, Datum, TimeTz};
use crate::json;
use crate::vector::{Values, Vector};
use std::cmp::Ordering;

/// The total order of float8 (and float4, widened): numbers, then NaN; both zeros are equal.
#[inline]
pub fn compare_floats(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

/// The instant first, then the zone, the more western being larger.
fn compare_timetz(a: TimeTz, b: TimeTz) -> Ordering {
    let instant = |time: TimeTz| time.microseconds + i64::from(time.zone_west_seconds) * 1_000_000;
    instant(a).cmp(&instant(b)).then(a.zone_west_seconds.cmp(&b.zone_west_seconds))
}

/// Bytes first: '10' < '100' < '11'.
fn compare_bits(a: &BitString, b: &BitString) -> Ordering {
    let common = a.bytes.len().min(b.bytes.len());
    a.bytes[..common].cmp(&b.bytes[..common]).then(a.length.cmp(&b.length))
}

fn compare_arrays(a: &ArrayValue, b: &ArrayValue) -> Ordering {
    for (left, right) in a.elements.iter().zip(&b.elements) {
        let order = compare_nullable(left, right);
        if order.is_ne() {
            return order;
        }
    }
    a.elements
        .len()
        .cmp(&b.elements.len())
        .then_with(|| a.dimensions.len().cmp(&b.dimensions.len()))
        .then_with(|| a.dimensions.cmp(&b.dimensions))
}

fn compare_records(a: &[Datum], b: &[Datum]) -> Ordering {
    a.iter()
        .zip(b)
        .map(|(left, right)| compare_nullable(left, right))
        .find(|order| order.is_ne())
        .unwrap_or_else(|| a.len().cmp(&b.len()))
}

/// Orders two values of one type, NULL being equal to NULL and above everything (as inside arrays and records).
pub fn compare_nullable(a: &Datum, b: &Datum) -> Ordering {
    match (a.is_null(), b.is_null()) {
        (false, false) => compare_datums(a, b),
        (a_null, b_null) => a_null.cmp(&b_null),
    }
}

/// Orders two values of one type, neither of them NULL. Values of different kinds (which the binder does not let meet) order by kind.
pub fn compare_datums(a: &Datum, b: &Datum) -> Ordering {
    match (a, b) {
        (Datum::Bool(a), Datum::Bool(b)) => a.cmp(b),
        (Datum::Int2(a), Datum::Int2(b)) => a.cmp(b),
        (Datum::Int4(a), Datum::Int4(b)) | (Datum::Date(a), Datum::Date(b)) => a.cmp(b),
        (Datum::Int8(a), Datum::Int8(b))
        | (Datum::Time(a), Datum::Time(b))
        | (Datum::Timestamp(a), Datum::Timestamp(b))
        | (Datum::TimestampTz(a), Datum::TimestampTz(b)) => a.cmp(b),
        (Datum::Float4(a), Datum::Float4(b)) => compare_floats(f64::from(*a), f64::from(*b)),
        (Datum::Float8(a), Datum::Float8(b)) => compare_floats(*a, *b),
        (Datum::Numeric(a), Datum::Numeric(b)) => a.compare(b),
        (Datum::Text(a), Datum::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
        (Datum::Bytes(a), Datum::Bytes(b)) => a.cmp(b),
        (Datum::TimeTz(a), Datum::TimeTz(b)) => compare_timetz(*a, *b),
        (Datum::Interval(a), Datum::Interval(b)) => a.comparison_value().cmp(&b.comparison_value()),
        (Datum::Uuid(a), Datum::Uuid(b)) => a.cmp(b),
        (Datum::Oid(a), Datum::Oid(b)) => a.cmp(b),
        (Datum::Unsigned8(a), Datum::Unsigned8(b)) => a.cmp(b),
        (Datum::Array(a), Datum::Array(b)) => compare_arrays(a, b),
        (Datum::Record(a), Datum::Record(b)) => compare_records(a, b),
        (Datum::Bits(a), Datum::Bits(b)) => compare_bits(a, b),
        (Datum::Jsonb(a), Datum::Jsonb(b)) => json::compare(a, b),
        (a, b) => kind(a).cmp(&kind(b)),
    }
}

/// Some order of the variants.
fn kind(datum: &Datum) -> u8 {
    match datum {
        Datum::Null => 0,
        Datum::Bool(_) => 1,
        Datum::Int2(_) => 2,
        Datum::Int4(_) => 3,
        Datum::Int8(_) => 4,
        Datum::Float4(_) => 5,
        Datum::Float8(_) => 6,
        Datum::Numeric(_) => 7,
        Datum::Text(_) => 8,
        Datum::Bytes(_) => 9,
        Datum::Date(_) => 10,
        Datum::Time(_) => 11,
        Datum::TimeTz(_) => 12,
        Datum::Timestamp(_) => 13,
        Datum::TimestampTz(_) => 14,
        Datum::Interval(_) => 15,
        Datum::Uuid(_) => 16,
        Datum::Oid(_) => 17,
        Datum::Unsigned8(_) => 18,
        Datum::Array(_) => 19,
        Datum::Record(_) => 20,
        Datum::Bits(_) => 21,
        Datum::Jsonb(_) => 22,
    }
}

/// Orders two values of one physical kind that are not NULL.
#[inline]
pub fn compare_values(a: &Vector, row_a: usize, b: &Vector, row_b: usize) -> Ordering {
    match (&a.values, &b.values) {
        (Values::Bool(x), Values::Bool(y)) => x[row_a].cmp(&y[row_b]),
        (Values::Int2(x), Values::Int2(y)) => x[row_a].cmp(&y[row_b]),
        (Values::Int4(x), Values::Int4(y)) => x[row_a].cmp(&y[row_b]),
        (Values::Int8(x), Values::Int8(y)) if is_unsigned(a) => (x[row_a] as u64).cmp(&(y[row_b] as u64)),
        (Values::Int8(x), Values::Int8(y)) => x[row_a].cmp(&y[row_b]),
        (Values::Oid(x), Values::Oid(y)) => x[row_a].cmp(&y[row_b]),
        (Values::Float4(x), Values::Float4(y)) => compare_floats(f64::from(x[row_a]), f64::from(y[row_b])),
        (Values::Float8(x), Values::Float8(y)) => compare_floats(x[row_a], y[row_b]),
        (Values::Numeric(x), Values::Numeric(y)) => x[row_a].compare(&y[row_b]),
        (Values::Text(x), Values::Text(y)) => x.as_bytes().get(row_a).cmp(y.as_bytes().get(row_b)),
        (Values::Bytes(x), Values::Bytes(y)) => x.get(row_a).cmp(y.get(row_b)),
        (Values::Interval(x), Values::Interval(y)) => {
            x[row_a].comparison_value().cmp(&y[row_b].comparison_value())
        }
        (Values::Uuid(x), Values::Uuid(y)) => x[row_a].cmp(&y[row_b]),
        (Values::Datum(x), Values::Datum(y)) => compare_datums(&x[row_a], &y[row_b]),
        _ => compare_datums(&a.datum(row_a), &b.datum(row_b)),
    }
}

fn is_unsigned(vector: &Vector) -> bool {
    matches!(vector.data_type.base(), crate::DataType::PgLsn | crate::DataType::Xid8)
}

/// The order of rows in two vectors of one type, NULLs placed as said, descending reversed (NULL placement is not).
#[inline]
pub fn compare_rows(
    a: &Vector,
    row_a: usize,
    b: &Vector,
    row_b: usize,
    descending: bool,
    nulls_first: bool,
) -> Ordering {
    match (a.is_null(row_a), b.is_null(row_b)) {
        (false, false) => {
            let order = compare_values(a, row_a, b, row_b);
            if descending { order.reverse() } else { order }
        }
        (a_null, b_null) if nulls_first => b_null.cmp(&a_null),
        (a_null, b_null) => a_null.cmp(&b_null),
    }
}

/// Equality of two values that are not NULL (`=` as the type has it).
#[inline]
pub fn equal_rows(a: &Vector, row_a: usize, b: &Vector, row_b: usize) -> bool {
    match (&a.values, &b.values) {
        (Values::Text(x), Values::Text(y)) => x.get(row_a) == y.get(row_b),
        _ => compare_values(a, row_a, b, row_b).is_eq(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DataType, Interval};

    #[test]
    fn nan_is_above_everything_and_zeros_are_equal() {
        assert_eq!(compare_floats(f64::NAN, f64::INFINITY), Ordering::Greater);
        assert_eq!(compare_floats(f64::NAN, f64::NAN), Ordering::Equal);
        assert_eq!(compare_floats(-0.0, 0.0), Ordering::Equal);
        assert_eq!(compare_floats(-1.0, f64::NAN), Ordering::Less);
    }

    #[test]
    fn intervals_compare_with_months_of_thirty_days() {
        let interval = |months, days, microseconds| Datum::Interval(Interval { months, days, microseconds });
        assert_eq!(compare_datums(&interval(1, 0, 0), &interval(0, 30, 0)), Ordering::Equal);
        assert_eq!(compare_datums(&interval(0, 1, 0), &interval(0, 0, 86_400_000_000)), Ordering::Equal);
        assert_eq!(compare_datums(&interval(0, -1, 0), &interval(0, 0, -1)), Ordering::Less);
    }

    #[test]
    fn arrays_compare_elements_then_shape() {
        let array = |values: &[Option<i32>]| {
            let elements: Vec<Datum> =
                values.iter().map(|value| value.map_or(Datum::Null, Datum::Int4)).collect();
            Datum::Array(Box::new(ArrayValue {
                element_oid: 23,
                dimensions: vec![(elements.len() as i32, 1)],
                elements,
            }))
        };
        let order = |a: &[Option<i32>], b: &[Option<i32>]| compare_datums(&array(a), &array(b));
        assert_eq!(order(&[Some(1), Some(2)], &[Some(1), Some(3)]), Ordering::Less);
        assert_eq!(order(&[Some(1)], &[Some(1), Some(0)]), Ordering::Less);
        assert_eq!(order(&[None], &[Some(9)]), Ordering::Greater);
        assert_eq!(order(&[None], &[None]), Ordering::Equal);
    }

    #[test]
    fn nulls_go_where_they_are_told() {
        let vector = Vector::from_datums(DataType::Int4, &[Datum::Int4(1), Datum::Null, Datum::Int4(2)]);
        let order =
            |a, b, descending, nulls_first| compare_rows(&vector, a, &vector, b, descending, nulls_first);
        assert_eq!(order(0, 2, false, false), Ordering::Less);
        assert_eq!(order(0, 2, true, false), Ordering::Greater);
        assert_eq!(order(0, 1, true, false), Ordering::Less);
        assert_eq!(order(0, 1, false, true), Ordering::Greater);
        assert_eq!(order(1, 1, false, true), Ordering::Equal);
    }
}
