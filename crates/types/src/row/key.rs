//! Key columns: values to ordered bytes and back.
//!
//! Which of `keys`' encodings a type takes:
//!
//! | types | encoding |
//! | --- | --- |
//! | integers, oids, dates, times, timestamps | int (unsigned 64-bit types with the top bit flipped) |
//! | bool | bool |
//! | float4, float8 | float |
//! | text and its kin, bytea | text, bytes |
//! | uuid, interval (by its comparison value) | 128 bits |
//! | numeric, timetz, bit strings, arrays | opaque |

use super::layout::KeyColumn;
use super::{corrupted, corrupted_key, numeric_key};
use crate::cell::Cell;
use crate::data_type::DataType;
use crate::datetime::MICROSECONDS_PER_DAY;
use crate::datum::{ArrayValue, BitString, Datum, TimeTz};
use crate::error::{PgError, PgResult};
use crate::interval::Interval;
use crate::numeric::Numeric;
use crate::vector::{Values, Vector};
use keys::Direction;
use keys::encoding::{self, Decoder};

/// Flips a signed number into the order of unsigned ones.
const SIGN: u64 = 1 << 63;

fn is_unsigned(data_type: DataType) -> bool {
    matches!(data_type, DataType::PgLsn | DataType::Xid8 | DataType::Tid)
}

/// Appends a value that may be NULL.
#[inline]
pub(super) fn put(column: &KeyColumn, cell: Cell<'_>, out: &mut Vec<u8>) -> PgResult<()> {
    match cell {
        Cell::Null if column.nulls_first => encoding::put_null_first(out),
        Cell::Null => encoding::put_null_last(out),
        cell => return put_value(column.column_type.data_type, cell, column.direction, out),
    }
    Ok(())
}

#[inline]
fn put_value(data_type: DataType, cell: Cell<'_>, direction: Direction, out: &mut Vec<u8>) -> PgResult<()> {
    match cell {
        Cell::Int(value) if is_unsigned(data_type) => {
            encoding::put_int(out, (value as u64 ^ SIGN) as i64, direction);
        }
        Cell::Int(value) => encoding::put_int(out, value, direction),
        Cell::Text(text) => encoding::put_text(out, text, direction),
        Cell::Bool(value) => encoding::put_bool(out, value, direction),
        Cell::Float4(value) => encoding::put_f64(out, f64::from(value), direction),
        Cell::Float8(value) => encoding::put_f64(out, value, direction),
        Cell::Bytes(bytes) => encoding::put_bytes(out, bytes, direction),
        Cell::Uuid(bytes) => encoding::put_u128(out, u128::from_be_bytes(bytes), direction),
        Cell::Interval(value) => {
            let ordered = value.comparison_value() as u128 ^ 1 << 127;
            encoding::put_u128(out, ordered, direction);
        }
        Cell::Numeric(value) => {
            let mut ordered = Vec::with_capacity(24);
            numeric_key::put(value, &mut ordered);
            encoding::put_opaque(out, &ordered, direction);
        }
        Cell::Other(datum) => put_other(data_type, datum, direction, out)?,
        Cell::Null => return Err(PgError::internal("a NULL where a key needs a value")),
    }
    Ok(())
}

fn put_other(data_type: DataType, datum: &Datum, direction: Direction, out: &mut Vec<u8>) -> PgResult<()> {
    let mut ordered = Vec::new();
    match datum {
        Datum::TimeTz(time) => {
            // The instant, then the zone.
            let instant = time.microseconds + i64::from(time.zone_west_seconds) * 1_000_000;
            ordered.extend_from_slice(&(instant as u64 ^ SIGN).to_be_bytes());
            ordered.extend_from_slice(&(time.zone_west_seconds as u32 ^ 1 << 31).to_be_bytes());
        }
        Datum::Bits(bits) => {
            encoding::put_bytes_terminated(&mut ordered, &bits.bytes);
            ordered.extend_from_slice(&bits.length.to_be_bytes());
        }
        Datum::Array(array) => put_array(data_type, array, &mut ordered)?,
        _ => return Err(PgError::unsupported(format!("an index on type {data_type}"))),
    }
    encoding::put_opaque(out, &ordered, direction);
    Ok(())
}

/// What ends the elements of an array: below the tag of every element.
const ARRAY_END: u8 = 0x00;

/// Elements (NULL above all others), an end, the shape.
fn put_array(data_type: DataType, array: &ArrayValue, out: &mut Vec<u8>) -> PgResult<()> {
    let element_type = element_type(data_type)?;
    for element in &array.elements {
        match Cell::of_datum(element) {
            Cell::Null => encoding::put_null_last(out),
            cell => put_value(element_type, cell, Direction::Ascending, out)?,
        }
    }
    out.push(ARRAY_END);
    out.push(array.dimensions.len() as u8);
    for (length, lower_bound) in &array.dimensions {
        out.extend_from_slice(&(*length as u32 ^ 1 << 31).to_be_bytes());
        out.extend_from_slice(&(*lower_bound as u32 ^ 1 << 31).to_be_bytes());
    }
    Ok(())
}

fn element_type(data_type: DataType) -> PgResult<DataType> {
    data_type.element().ok_or_else(|| PgError::unsupported(format!("an index on type {data_type}")))
}

/// Whether the key does not give back exactly this value, so that it must stand in the value part as well.
#[inline]
pub(super) fn loses(cell: Cell<'_>, scale_min: u16) -> bool {
    match cell {
        Cell::Numeric(value) => {
            value.is_finite() && value.scale() != scale_min.max(value.trim_scale().scale())
        }
        Cell::Float4(value) => value == 0.0 && value.is_sign_negative(),
        Cell::Float8(value) => value == 0.0 && value.is_sign_negative(),
        Cell::Interval(value) => interval_of(value.comparison_value()) != Some(value),
        Cell::Other(Datum::Array(array)) => {
            array.elements.iter().any(|element| loses(Cell::of_datum(element), 0))
        }
        _ => false,
    }
}

/// Whether some value of the type may be lost in a key.
pub(super) fn may_lose(data_type: DataType) -> bool {
    use DataType::*;
    match data_type.base() {
        Numeric | Float4 | Float8 | Interval => true,
        Array(element) => element.data_type().is_none_or(may_lose),
        _ => false,
    }
}

/// The interval without months that has this comparison value; `None` when its days do not fit.
fn interval_of(comparison_value: i128) -> Option<Interval> {
    let days = i32::try_from(comparison_value / i128::from(MICROSECONDS_PER_DAY)).ok()?;
    let microseconds = (comparison_value % i128::from(MICROSECONDS_PER_DAY)) as i64;
    Some(Interval { months: 0, days, microseconds })
}

/// Decodes the next column of a key and appends it to a vector.
#[inline]
pub(super) fn take(column: &KeyColumn, decoder: &mut Decoder<'_>, vector: &mut Vector) -> PgResult<()> {
    if decoder.take_null().map_err(corrupted_key)? {
        vector.push_null();
        return Ok(());
    }
    let data_type = column.column_type.data_type;
    let direction = column.direction;
    match &mut vector.values {
        Values::Int2(v) => v.push(take_int(decoder, direction)?),
        Values::Int4(v) => v.push(take_int(decoder, direction)?),
        Values::Int8(v) => {
            let value = decoder.take_int(direction).map_err(corrupted_key)?;
            v.push(if is_unsigned(data_type) { (value as u64 ^ SIGN) as i64 } else { value });
        }
        Values::Oid(v) => v.push(take_int(decoder, direction)?),
        Values::Text(v) => {
            v.push_checked(|bytes| decoder.take_text_into(direction, bytes).map_err(corrupted_key))?
                .map_err(corrupted)?;
        }
        Values::Bytes(v) => {
            decoder.take_bytes_into(direction, v.value_buffer()).map_err(corrupted_key)?;
            v.finish_value();
        }
        _ => {
            let datum = take_datum(data_type, column.scale_min(), direction, decoder)?;
            vector.push(&datum);
        }
    }
    Ok(())
}

fn take_int<T: TryFrom<i64>>(decoder: &mut Decoder<'_>, direction: Direction) -> PgResult<T> {
    let value = decoder.take_int(direction).map_err(corrupted_key)?;
    T::try_from(value).map_err(|_| corrupted("an integer in a key is out of range"))
}

/// Decodes a value that is not NULL.
fn take_datum(
    data_type: DataType,
    scale_min: u16,
    direction: Direction,
    decoder: &mut Decoder<'_>,
) -> PgResult<Datum> {
    use DataType as T;
    Ok(match data_type {
        T::Bool => Datum::Bool(decoder.take_bool(direction).map_err(corrupted_key)?),
        T::Float4 => Datum::Float4(decoder.take_f64(direction).map_err(corrupted_key)? as f32),
        T::Float8 => Datum::Float8(decoder.take_f64(direction).map_err(corrupted_key)?),
        T::Uuid => Datum::Uuid(decoder.take_u128(direction).map_err(corrupted_key)?.to_be_bytes()),
        T::Interval => {
            let ordered = decoder.take_u128(direction).map_err(corrupted_key)?;
            // Days out of range: the exact value follows in the value part.
            Datum::Interval(interval_of((ordered ^ 1 << 127) as i128).unwrap_or_default())
        }
        T::Numeric => {
            let ordered = decoder.take_opaque(direction).map_err(corrupted_key)?;
            Datum::Numeric(numeric_key::take(&ordered, scale_min)?)
        }
        T::TimeTz => take_timetz(&decoder.take_opaque(direction).map_err(corrupted_key)?)?,
        T::Bit | T::Varbit => take_bits(&decoder.take_opaque(direction).map_err(corrupted_key)?)?,
        T::Array(_) | T::Int2Vector | T::OidVector => {
            take_array(data_type, &decoder.take_opaque(direction).map_err(corrupted_key)?)?
        }
        T::Bytea | T::Inet => Datum::Bytes(decoder.take_bytes(direction).map_err(corrupted_key)?.into()),
        T::Int2 => Datum::Int2(take_int(decoder, direction)?),
        T::Int4 => Datum::Int4(take_int(decoder, direction)?),
        T::Date => Datum::Date(take_int(decoder, direction)?),
        T::Int8 => Datum::Int8(take_int(decoder, direction)?),
        T::Time => Datum::Time(take_int(decoder, direction)?),
        T::Timestamp => Datum::Timestamp(take_int(decoder, direction)?),
        T::TimestampTz => Datum::TimestampTz(take_int(decoder, direction)?),
        T::PgLsn | T::Xid8 | T::Tid => Datum::Unsigned8(take_int::<i64>(decoder, direction)? as u64 ^ SIGN),
        T::Enum(_) => Datum::Int8(take_int(decoder, direction)?),
        T::Domain(_) => return take_datum(data_type.base(), scale_min, direction, decoder),
        other if other.physical() == crate::Physical::Oid => Datum::Oid(take_int(decoder, direction)?),
        other if other.physical() == crate::Physical::Text => {
            Datum::text(decoder.take_text(direction).map_err(corrupted_key)?)
        }
        other => return Err(PgError::unsupported(format!("an index on type {other}"))),
    })
}

fn take_timetz(ordered: &[u8]) -> PgResult<Datum> {
    let invalid = || corrupted("a time with time zone in its key is malformed");
    let (instant, zone) = ordered.split_first_chunk::<8>().ok_or_else(invalid)?;
    let zone: [u8; 4] = zone.try_into().map_err(|_| invalid())?;
    let zone_west_seconds = (u32::from_be_bytes(zone) ^ 1 << 31) as i32;
    let instant = (u64::from_be_bytes(*instant) ^ SIGN) as i64;
    let microseconds = instant - i64::from(zone_west_seconds) * 1_000_000;
    Ok(Datum::TimeTz(TimeTz { microseconds, zone_west_seconds }))
}

fn take_bits(ordered: &[u8]) -> PgResult<Datum> {
    let mut decoder = Decoder::new(ordered);
    let bytes = decoder.take_bytes_terminated().map_err(corrupted_key)?;
    let length = decoder.take_u32().map_err(corrupted_key)?;
    if bytes.len() != (length as usize).div_ceil(8) {
        return Err(corrupted("a bit string in its key is malformed"));
    }
    Ok(Datum::Bits(Box::new(BitString { length, bytes })))
}

fn take_array(data_type: DataType, ordered: &[u8]) -> PgResult<Datum> {
    let element_type = element_type(data_type)?;
    let mut decoder = Decoder::new(ordered);
    let mut elements = Vec::new();
    while decoder.peek().map_err(corrupted_key)? != ARRAY_END {
        elements.push(if decoder.take_null().map_err(corrupted_key)? {
            Datum::Null
        } else {
            take_datum(element_type, 0, Direction::Ascending, &mut decoder)?
        });
    }
    decoder.take_u8().map_err(corrupted_key)?;
    let count = decoder.take_u8().map_err(corrupted_key)?;
    let mut dimensions = Vec::with_capacity(usize::from(count));
    for _ in 0..count {
        let mut part = || decoder.take_u32().map(|part| (part ^ 1 << 31) as i32).map_err(corrupted_key);
        dimensions.push((part()?, part()?));
    }
    let element_oid = element_type.oid();
    Ok(Datum::Array(Box::new(ArrayValue { element_oid, dimensions, elements })))
}

/// A numeric's text digits are needed to build keys: kept here, next to their only user.
impl Numeric {
    /// Calls with the decimal digits of the coefficient, without a sign or leading zeros.
    pub(super) fn with_digits<R>(&self, use_digits: impl FnOnce(&[u8]) -> R) -> R {
        match self {
            Numeric::Small(small) => {
                let mut buffer = [0u8; 40];
                use_digits(crate::numeric::write_digits(small.coefficient().unsigned_abs(), &mut buffer))
            }
            Numeric::Big(big) => {
                let text = big.coefficient.to_string();
                use_digits(text.trim_start_matches('-').as_bytes())
            }
            _ => use_digits(b""),
        }
    }

    /// The same value showing at least `scale` decimals.
    pub(super) fn with_scale_at_least(&self, scale: u16) -> PgResult<Numeric> {
        if self.scale() >= scale { Ok(self.clone()) } else { self.add(&Numeric::from_i128(0, scale)) }
    }
}
