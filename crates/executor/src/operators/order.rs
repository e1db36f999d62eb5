//! Comparing rows by sort keys.

use std::cmp::Ordering;

use planner::plan::SortKey;
use types::compare::compare_rows;
use types::{Batch, Values, Vector};

/// The order of two rows.
#[inline]
pub(crate) fn compare_keys(keys: &[SortKey], a: &Batch, row_a: usize, b: &Batch, row_b: usize) -> Ordering {
    for key in keys {
        let column = key.column as usize;
        let order = compare_rows(
            &a.columns[column],
            row_a,
            &b.columns[column],
            row_b,
            key.descending,
            key.nulls_first,
        );
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}

/// Whether two rows are equal in these columns, NULLs equal.
pub(crate) fn equal_in(columns: &[u32], a: &Batch, row_a: usize, b: &Batch, row_b: usize) -> bool {
    columns.iter().all(|column| {
        let column = *column as usize;
        compare_rows(&a.columns[column], row_a, &b.columns[column], row_b, false, false).is_eq()
    })
}

/// Numbers whose order is that of a key's values as far as they go: a smaller number means an earlier row; equal numbers
/// decide nothing unless `exact`. Sorting compares these first and looks at the rows only when they are equal.
pub(crate) struct Prefixes {
    pub numbers: Vec<u64>,
    /// Equal numbers mean equal values.
    pub exact: bool,
}

/// NULLs are at either end: one number is left free on each side.
const NULLS_FIRST: u64 = 0;
const NULLS_LAST: u64 = u64::MAX;

impl Prefixes {
    pub fn new(key: SortKey, column: &Vector) -> Prefixes {
        let rows = column.len();
        let mut exact = true;
        let mut numbers: Vec<u64> = match &column.values {
            Values::Bool(v) => v.iter().map(|value| u64::from(*value) + 1).collect(),
            Values::Int2(v) => v.iter().map(|value| signed(i64::from(*value)) + 1).collect(),
            Values::Int4(v) => v.iter().map(|value| signed(i64::from(*value)) + 1).collect(),
            Values::Oid(v) => v.iter().map(|value| u64::from(*value) + 1).collect(),
            Values::Int8(v) if !unsigned(column) => {
                exact = false;
                v.iter().map(|value| between(signed(*value))).collect()
            }
            Values::Float8(v) => {
                exact = false;
                v.iter().map(|value| between(float(*value))).collect()
            }
            Values::Float4(v) => {
                exact = false;
                v.iter().map(|value| between(float(f64::from(*value)))).collect()
            }
            Values::Text(v) => {
                exact = false;
                (0..rows).map(|row| between(leading(v.get(row).as_bytes()))).collect()
            }
            Values::Bytes(v) => {
                exact = false;
                (0..rows).map(|row| between(leading(v.get(row)))).collect()
            }
            Values::Uuid(v) => {
                exact = false;
                v.iter().map(|value| between(leading(value))).collect()
            }
            _ => {
                exact = false;
                vec![1; rows]
            }
        };
        if key.descending {
            numbers.iter_mut().for_each(|number| *number = !*number);
        }
        if column.nulls.any() {
            let null = if key.nulls_first { NULLS_FIRST } else { NULLS_LAST };
            for (row, number) in numbers.iter_mut().enumerate() {
                if column.is_null(row) {
                    *number = null;
                }
            }
        }
        Prefixes { numbers, exact }
    }
}

fn unsigned(column: &Vector) -> bool {
    matches!(column.data_type, types::DataType::PgLsn | types::DataType::Xid8)
}

fn signed(value: i64) -> u64 {
    (value as u64) ^ (1 << 63)
}

/// Away from the two numbers that mean NULL; neighbours may fall together.
fn between(number: u64) -> u64 {
    number.clamp(1, u64::MAX - 1)
}

/// The order of float8: zeros equal, NaN above all.
fn float(value: f64) -> u64 {
    if value.is_nan() {
        return u64::MAX;
    }
    let bits = (value + 0.0).to_bits();
    if bits >> 63 == 1 { !bits } else { bits | (1 << 63) }
}

fn leading(bytes: &[u8]) -> u64 {
    let mut first = [0; 8];
    let count = bytes.len().min(8);
    first[..count].copy_from_slice(&bytes[..count]);
    u64::from_be_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{DataType, Datum};

    #[test]
    fn prefixes_never_contradict_the_order_of_rows() {
        let floats = [f64::NAN, f64::NEG_INFINITY, -1.5, -0.0, 0.0, 1e-300, 2.0, f64::INFINITY];
        let floats: Vec<Datum> = floats.into_iter().map(Datum::Float8).chain([Datum::Null]).collect();
        let texts = ["", "a", "ab", "abcdefgh", "abcdefghi", "b", "\u{10FFFF}"];
        let texts: Vec<Datum> = texts.into_iter().map(Datum::text).chain([Datum::Null]).collect();
        let longs = [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX];
        let longs: Vec<Datum> = longs.into_iter().map(Datum::Int8).chain([Datum::Null]).collect();
        let shorts: Vec<Datum> =
            [i16::MIN, -1, 0, i16::MAX].into_iter().map(Datum::Int2).chain([Datum::Null]).collect();
        let cases = [
            (DataType::Float8, floats),
            (DataType::Text, texts),
            (DataType::Int8, longs),
            (DataType::Int2, shorts),
        ];
        for (data_type, datums) in cases {
            let batch = Batch::new(vec![Vector::from_datums(data_type, &datums)], datums.len());
            for (descending, nulls_first) in [(false, false), (false, true), (true, false), (true, true)] {
                let key = SortKey { column: 0, descending, nulls_first };
                let prefixes = Prefixes::new(key, &batch.columns[0]);
                for a in 0..batch.rows {
                    for b in 0..batch.rows {
                        let order = compare_keys(&[key], &batch, a, &batch, b);
                        let by_prefix = prefixes.numbers[a].cmp(&prefixes.numbers[b]);
                        assert!(by_prefix.is_eq() || by_prefix == order, "{data_type:?} {a} {b}");
                        assert!(!prefixes.exact || by_prefix == order);
                    }
                }
            }
        }
    }
}
