//! The hash functions of PostgreSQL's hash operator classes: the same numbers, for those who store or lock by them
//! (`hashtext(...)`).
//!
//! Bytes are hashed by Bob Jenkins' lookup3, which is in the public domain. Each type has two functions: one that answers 32 bits, and
//! one with a seed that answers 64, whose low half under the seed 0 is the other's answer.

use super::text::row_of;
use crate::EvalContext;
use types::{DataType, Datum, PgError, PgResult, Vector};

/// Three words that are mixed.
struct State(u32, u32, u32);

/// What PostgreSQL starts with besides the length: the golden ratio and a number of its own.
const START: u32 = 0x9e37_79b9_u32.wrapping_add(3_923_095);

impl State {
    fn new(length: usize, seed: u64) -> State {
        let start = START.wrapping_add(length as u32);
        let mut state = State(start, start, start);
        if seed != 0 {
            state.0 = state.0.wrapping_add((seed >> 32) as u32);
            state.1 = state.1.wrapping_add(seed as u32);
            state.mix();
        }
        state
    }

    fn mix(&mut self) {
        let State(a, b, c) = self;
        for (turn, bits) in [4, 6, 8, 16, 19, 4].into_iter().enumerate() {
            // The three words change places every time.
            let (x, y, z) = match turn % 3 {
                0 => (&mut *a, &mut *b, &mut *c),
                1 => (&mut *b, &mut *c, &mut *a),
                _ => (&mut *c, &mut *a, &mut *b),
            };
            *x = x.wrapping_sub(*z) ^ z.rotate_left(bits);
            *z = z.wrapping_add(*y);
        }
    }

    fn finish(mut self) -> u64 {
        let State(a, b, c) = &mut self;
        for (turn, bits) in [14, 11, 25, 16, 4, 14, 24].into_iter().enumerate() {
            let (x, y) = match turn % 3 {
                0 => (&mut *c, *b),
                1 => (&mut *a, *c),
                _ => (&mut *b, *a),
            };
            *x = (*x ^ y).wrapping_sub(y.rotate_left(bits));
        }
        u64::from(self.1) << 32 | u64::from(self.2)
    }
}

fn hash_bytes(bytes: &[u8], seed: u64) -> u64 {
    let mut state = State::new(bytes.len(), seed);
    let mut chunks = bytes.chunks_exact(12);
    let word = |bytes: &[u8]| {
        let mut word = [0; 4];
        word[..bytes.len()].copy_from_slice(bytes);
        u32::from_le_bytes(word)
    };
    for chunk in &mut chunks {
        state.0 = state.0.wrapping_add(word(&chunk[..4]));
        state.1 = state.1.wrapping_add(word(&chunk[4..8]));
        state.2 = state.2.wrapping_add(word(&chunk[8..]));
        state.mix();
    }
    let rest = chunks.remainder();
    let part = |from: usize| word(&rest[rest.len().min(from)..rest.len().min(from + 4)]);
    state.0 = state.0.wrapping_add(part(0));
    state.1 = state.1.wrapping_add(part(4));
    // The lowest byte of the third word is the length's.
    state.2 = state.2.wrapping_add(part(8) << 8);
    state.finish()
}

fn hash_word(value: u32, seed: u64) -> u64 {
    let mut state = State::new(4, seed);
    state.0 = state.0.wrapping_add(value);
    state.finish()
}

/// Equal numbers of all widths have equal hashes.
fn hash_i64(value: i64, seed: u64) -> u64 {
    let (low, high) = (value as u32, (value >> 32) as u32);
    hash_word(low ^ if value >= 0 { high } else { !high }, seed)
}

fn hash_f64(value: f64, seed: u64) -> u64 {
    if value == 0.0 {
        return seed;
    }
    let value = if value.is_nan() { f64::NAN } else { value };
    hash_bytes(&value.to_bits().to_le_bytes(), seed)
}

/// By the digits to the base 10,000, zeros at both ends left out, and where the first of them stands.
fn hash_numeric(value: &types::Numeric, seed: u64) -> u64 {
    if !value.is_finite() {
        return seed;
    }
    if value.is_zero() {
        return if seed == 0 { u64::from(u32::MAX) } else { seed.wrapping_sub(1) };
    }
    let text = value.abs().to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let padded_whole = format!("{}{whole}", "0".repeat((4 - whole.len() % 4) % 4));
    let padded_fraction = format!("{fraction}{}", "0".repeat((4 - fraction.len() % 4) % 4));
    let digits: Vec<i16> = padded_whole
        .as_bytes()
        .chunks(4)
        .chain(padded_fraction.as_bytes().chunks(4))
        .map(|group| group.iter().fold(0i16, |number, digit| number * 10 + i16::from(digit - b'0')))
        .collect();
    let first = digits.iter().position(|digit| *digit != 0).unwrap_or(0);
    let last = digits.iter().rposition(|digit| *digit != 0).unwrap_or(0);
    let weight = padded_whole.len() as i64 / 4 - 1 - first as i64;
    let bytes: Vec<u8> = digits[first..=last].iter().flat_map(|digit| digit.to_le_bytes()).collect();
    hash_bytes(&bytes, seed) ^ weight as u64
}

/// Folds the hashes of parts; NULL counts as 0.
fn fold(start: u64, hashes: impl Iterator<Item = PgResult<u64>>) -> PgResult<u64> {
    let mut result = start;
    for hash in hashes {
        result = (result << 5).wrapping_sub(result).wrapping_add(hash?);
    }
    Ok(result)
}

fn hash(datum: &Datum, data_type: DataType, seed: u64, context: &EvalContext<'_>) -> PgResult<u64> {
    let part = |datum: &Datum, data_type: DataType| match datum {
        Datum::Null => Ok(0),
        datum => hash(datum, data_type, seed, context),
    };
    Ok(match datum {
        Datum::Int2(value) => hash_word(i32::from(*value) as u32, seed),
        Datum::Int4(value) | Datum::Date(value) => hash_word(*value as u32, seed),
        Datum::Int8(place) if matches!(data_type.base(), DataType::Enum(_)) => {
            let label = match data_type.base() {
                DataType::Enum(oid) => context.session.format.types.user_type(oid),
                _ => None,
            };
            let found = label.as_ref().and_then(|of| of.labels().iter().find(|label| label.place == *place));
            hash_word(found.map_or(0, |label| label.oid), seed)
        }
        Datum::Int8(value) | Datum::Time(value) | Datum::Timestamp(value) | Datum::TimestampTz(value) => {
            hash_i64(*value, seed)
        }
        Datum::Unsigned8(value) => hash_i64(*value as i64, seed),
        Datum::Float4(value) => hash_f64(f64::from(*value), seed),
        Datum::Float8(value) => hash_f64(*value, seed),
        Datum::Numeric(value) => hash_numeric(value, seed),
        Datum::Text(text) if data_type == DataType::InternalChar => {
            let byte = types::format::internal_char_byte(text);
            hash_word(i32::from(byte as i8) as u32, seed)
        }
        Datum::Text(text) => hash_bytes(text.as_bytes(), seed),
        Datum::Bytes(bytes) => hash_bytes(bytes, seed),
        Datum::Uuid(bytes) => hash_bytes(bytes, seed),
        Datum::Oid(value) => hash_word(*value, seed),
        Datum::Bool(value) => hash_word(u32::from(*value), seed),
        Datum::TimeTz(time) => {
            hash_i64(time.microseconds, seed) ^ hash_word(time.zone_west_seconds as u32, seed)
        }
        Datum::Interval(value) => hash_i64(value.comparison_value() as i64, seed),
        Datum::Array(array) if data_type == DataType::OidVector => {
            let words = array.elements.iter().map(|element| match element {
                Datum::Oid(oid) => *oid,
                _ => 0,
            });
            hash_bytes(&words.flat_map(u32::to_le_bytes).collect::<Vec<u8>>(), seed)
        }
        Datum::Array(array) => {
            let element = data_type.element().unwrap_or(DataType::Text);
            fold(1, array.elements.iter().map(|datum| part(datum, element)))?
        }
        Datum::Record(record) => {
            let named = context.session.format.types.row_type(data_type);
            let field = |at: usize| record.field_type(at, named.as_deref()).data_type;
            fold(0, record.iter().enumerate().map(|(at, datum)| part(datum, field(at))))?
        }
        Datum::Null | Datum::Bits(_) | Datum::Jsonb(_) => {
            return Err(PgError::unsupported(format!("hashing of type {data_type}")));
        }
    })
}

/// 32 bits.
pub fn hash_plain(context: &EvalContext<'_>, arguments: &[&Vector], rows: usize) -> PgResult<Vector> {
    let mut result = Vector::with_capacity(DataType::Int4, rows);
    for row in 0..rows {
        match arguments[0].datum(row_of(arguments[0], row, rows)) {
            Datum::Null => result.push_null(),
            datum => {
                let hash = hash(&datum, arguments[0].data_type, 0, context)?;
                result.push(&Datum::Int4(hash as u32 as i32));
            }
        }
    }
    Ok(result)
}

/// 64 bits, by a seed.
pub fn hash_extended(context: &EvalContext<'_>, arguments: &[&Vector], rows: usize) -> PgResult<Vector> {
    let mut result = Vector::with_capacity(DataType::Int8, rows);
    for row in 0..rows {
        let argument = |index: usize| arguments[index].datum(row_of(arguments[index], row, rows));
        match (argument(0), argument(1)) {
            (Datum::Null, _) | (_, Datum::Null) => result.push_null(),
            (datum, Datum::Int8(seed)) => {
                let hash = hash(&datum, arguments[0].data_type, seed as u64, context)?;
                result.push(&Datum::Int8(hash as i64));
            }
            _ => return Err(PgError::internal("a seed is a bigint")),
        }
    }
    Ok(result)
}
