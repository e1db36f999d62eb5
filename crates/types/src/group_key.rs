//! Normalised bytes and hashes of rows: equal values have equal bytes, whatever their representation (1.0 and 1.00, -0 and 0).
//!
//! The bytes serve GROUP BY, DISTINCT, hash joins and set operations as the key of a hash table. They do not sort (index keys
//! do, see [`crate::row`]) and are not stored. NULL has bytes of its own: NULLs group together; a join skips them itself.
//!
//! Every value is self-delimiting, so the bytes of several columns may be put end to end: a tag byte (0 NULL, 1 value), then a
//! fixed width, or a length and as many bytes.

use crate::datum::{ArrayValue, Datum};
use crate::interval::Interval;
use crate::json;
use crate::numeric::Numeric;
use crate::vector::{Values, Vector};

const NULL: u8 = 0;
const VALUE: u8 = 1;

fn put<const N: usize>(out: &mut Vec<u8>, bytes: [u8; N]) {
    out.push(VALUE);
    out.extend_from_slice(&bytes);
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(VALUE);
    out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// Both zeros are one value, and so are all NaNs.
fn float_bits(value: f64) -> u64 {
    if value.is_nan() { f64::NAN.to_bits() } else { (value + 0.0).to_bits() }
}

fn put_numeric(out: &mut Vec<u8>, value: &Numeric) {
    out.push(VALUE);
    match value.trim_scale() {
        Numeric::Small(small) => {
            out.push(0);
            out.extend_from_slice(&small.scale().to_le_bytes());
            out.extend_from_slice(&small.coefficient().to_le_bytes());
        }
        Numeric::Big(big) => {
            let bytes = big.coefficient.to_le_bytes();
            out.push(1);
            out.extend_from_slice(&big.scale.to_le_bytes());
            out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
            out.extend_from_slice(&bytes);
        }
        Numeric::NaN => out.push(2),
        Numeric::Infinity => out.push(3),
        Numeric::NegativeInfinity => out.push(4),
    }
}

fn put_interval(out: &mut Vec<u8>, value: &Interval) {
    put(out, value.comparison_value().to_le_bytes());
}

fn put_array(out: &mut Vec<u8>, array: &ArrayValue) {
    put(out, (array.dimensions.len() as u64).to_le_bytes());
    for (length, lower_bound) in &array.dimensions {
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&lower_bound.to_le_bytes());
    }
    for element in &array.elements {
        encode_datum(element, out);
    }
}

/// Appends the normalised bytes of the value at `row`; bytes of several columns may be concatenated.
#[inline]
pub fn encode_row(vector: &Vector, row: usize, out: &mut Vec<u8>) {
    if vector.is_null(row) {
        out.push(NULL);
        return;
    }
    match &vector.values {
        Values::Bool(v) => put(out, [u8::from(v[row])]),
        Values::Int2(v) => put(out, v[row].to_le_bytes()),
        Values::Int4(v) => put(out, v[row].to_le_bytes()),
        Values::Int8(v) => put(out, v[row].to_le_bytes()),
        Values::Oid(v) => put(out, v[row].to_le_bytes()),
        Values::Float4(v) => put(out, float_bits(f64::from(v[row])).to_le_bytes()),
        Values::Float8(v) => put(out, float_bits(v[row]).to_le_bytes()),
        Values::Numeric(v) => put_numeric(out, &v[row]),
        Values::Text(v) => put_bytes(out, v.as_bytes().get(row)),
        Values::Bytes(v) => put_bytes(out, v.get(row)),
        Values::Interval(v) => put_interval(out, &v[row]),
        Values::Uuid(v) => put(out, v[row]),
        Values::Datum(v) => encode_datum(&v[row], out),
    }
}

/// The same for a datum; the bytes are those of a vector that holds it.
pub fn encode_datum(datum: &Datum, out: &mut Vec<u8>) {
    match datum {
        Datum::Null => out.push(NULL),
        Datum::Bool(x) => put(out, [u8::from(*x)]),
        Datum::Int2(x) => put(out, x.to_le_bytes()),
        Datum::Int4(x) | Datum::Date(x) => put(out, x.to_le_bytes()),
        Datum::Int8(x) | Datum::Time(x) | Datum::Timestamp(x) | Datum::TimestampTz(x) => {
            put(out, x.to_le_bytes())
        }
        Datum::Float4(x) => put(out, float_bits(f64::from(*x)).to_le_bytes()),
        Datum::Float8(x) => put(out, float_bits(*x).to_le_bytes()),
        Datum::Numeric(x) => put_numeric(out, x),
        Datum::Text(x) => put_bytes(out, x.as_bytes()),
        Datum::Bytes(x) => put_bytes(out, x),
        Datum::TimeTz(x) => {
            put(out, x.microseconds.to_le_bytes());
            out.extend_from_slice(&x.zone_west_seconds.to_le_bytes());
        }
        Datum::Interval(x) => put_interval(out, x),
        Datum::Uuid(x) => put(out, *x),
        Datum::Oid(x) => put(out, x.to_le_bytes()),
        Datum::Unsigned8(x) => put(out, x.to_le_bytes()),
        Datum::Array(x) => put_array(out, x),
        Datum::Record(fields) => {
            put(out, (fields.len() as u64).to_le_bytes());
            fields.iter().for_each(|field| encode_datum(field, out));
        }
        Datum::Bits(x) => {
            put(out, x.length.to_le_bytes());
            out.extend_from_slice(&x.bytes);
        }
        Datum::Jsonb(x) => put_bytes(out, json::canonical(x).as_bytes()),
    }
}

/// What NULL mixes in.
const NULL_WORD: u64 = 0x9ae1_6a3b_2f90_404f;
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// Mixes a word in: the two halves of a 128-bit product, folded.
#[inline]
fn mix(hash: u64, word: u64) -> u64 {
    let product = u128::from(hash ^ word ^ NULL_WORD.rotate_left(17)) * u128::from(MULTIPLIER);
    (product as u64) ^ (product >> 64) as u64
}

#[inline]
fn mix_bytes(mut hash: u64, bytes: &[u8]) -> u64 {
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        hash = mix(hash, u64::from_le_bytes(chunk.try_into().expect("eight bytes")));
    }
    let mut last = [0u8; 8];
    last[..chunks.remainder().len()].copy_from_slice(chunks.remainder());
    mix(mix(hash, u64::from_le_bytes(last)), bytes.len() as u64)
}

fn mix_encoded(hash: u64, encode: impl FnOnce(&mut Vec<u8>)) -> u64 {
    let mut bytes = Vec::with_capacity(32);
    encode(&mut bytes);
    mix_bytes(hash, &bytes)
}

/// Small values, which nearly all are, without a buffer.
#[inline]
fn mix_numeric(hash: u64, value: &Numeric) -> u64 {
    match value.trim_scale() {
        Numeric::Small(small) => {
            let coefficient = small.coefficient();
            mix(mix(mix(hash, coefficient as u64), (coefficient >> 64) as u64), u64::from(small.scale()))
        }
        other => mix_encoded(hash, |out| put_numeric(out, &other)),
    }
}

/// Mixes the hash of one row into `hash`: what [`hash_column`] does for it.
#[inline]
pub fn hash_row(vector: &Vector, row: usize, hash: u64) -> u64 {
    if vector.is_null(row) {
        return mix(hash, NULL_WORD);
    }
    match &vector.values {
        Values::Bool(v) => mix(hash, u64::from(v[row])),
        Values::Int2(v) => mix(hash, v[row] as u64),
        Values::Int4(v) => mix(hash, v[row] as u64),
        Values::Int8(v) => mix(hash, v[row] as u64),
        Values::Oid(v) => mix(hash, u64::from(v[row])),
        Values::Float4(v) => mix(hash, float_bits(f64::from(v[row]))),
        Values::Float8(v) => mix(hash, float_bits(v[row])),
        Values::Numeric(v) => mix_numeric(hash, &v[row]),
        Values::Text(v) => mix_bytes(hash, v.as_bytes().get(row)),
        Values::Bytes(v) => mix_bytes(hash, v.get(row)),
        Values::Interval(v) => {
            let value = v[row].comparison_value();
            mix(mix(hash, value as u64), (value >> 64) as u64)
        }
        Values::Uuid(v) => mix_bytes(hash, &v[row]),
        Values::Datum(v) => mix_encoded(hash, |out| encode_datum(&v[row], out)),
    }
}

/// Mixes the hash of every row of a column into `hashes` (one per row; start with any seed). NULL mixes a constant.
pub fn hash_column(vector: &Vector, hashes: &mut [u64]) {
    for (row, hash) in hashes.iter_mut().enumerate() {
        *hash = hash_row(vector, row, *hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DataType;

    fn same(data_type: DataType, a: Datum, b: Datum) -> bool {
        let vector = Vector::from_datums(data_type, &[a.clone(), b.clone()]);
        let (mut x, mut y, mut z) = (Vec::new(), Vec::new(), Vec::new());
        encode_row(&vector, 0, &mut x);
        encode_row(&vector, 1, &mut y);
        encode_datum(&a, &mut z);
        assert_eq!(x, z, "datum and vector encode alike");
        let mut hashes = [7, 7];
        hash_column(&vector, &mut hashes);
        assert_eq!(x == y, hashes[0] == hashes[1], "hash follows the bytes");
        x == y
    }

    #[test]
    fn equal_values_have_equal_bytes() {
        let numeric = |text: &str| Datum::Numeric(Numeric::parse(text).unwrap());
        assert!(same(DataType::Numeric, numeric("1.0"), numeric("1.00")));
        assert!(same(DataType::Numeric, numeric("1e60"), numeric(&format!("1{}.00", "0".repeat(60)))));
        assert!(!same(DataType::Numeric, numeric("10"), numeric("1")));
        assert!(!same(DataType::Numeric, numeric("NaN"), numeric("Infinity")));
        assert!(same(DataType::Float8, Datum::Float8(0.0), Datum::Float8(-0.0)));
        assert!(same(DataType::Float8, Datum::Float8(f64::NAN), Datum::Float8(-f64::NAN)));
        assert!(!same(DataType::Float8, Datum::Float8(1.0), Datum::Float8(2.0)));
        let interval = |months, days| Datum::Interval(Interval { months, days, microseconds: 0 });
        assert!(same(DataType::Interval, interval(1, 0), interval(0, 30)));
        assert!(!same(DataType::Int4, Datum::Null, Datum::Int4(0)));
        assert!(same(DataType::Int4, Datum::Null, Datum::Null));
        assert!(!same(DataType::Text, Datum::text(""), Datum::text("\0")));
    }

    #[test]
    fn concatenated_columns_do_not_run_into_one_another() {
        let encode = |a: &str, b: &str| {
            let mut out = Vec::new();
            encode_datum(&Datum::text(a), &mut out);
            encode_datum(&Datum::text(b), &mut out);
            out
        };
        assert_ne!(encode("ab", "c"), encode("a", "bc"));
    }
}
