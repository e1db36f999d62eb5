//! One value, borrowed from wherever it is: what the writers of text, binary, keys and rows take, so that each has one
//! implementation for vectors and datums.

use crate::data_type::DataType;
use crate::datum::Datum;
use crate::interval::Interval;
use crate::numeric::Numeric;
use crate::vector::{Values, Vector};

/// A borrowed value. Everything that is an integer inside (dates, times, oids ...) is [`Cell::Int`]: the type says which;
/// unsigned 64-bit types are reinterpreted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cell<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Float4(f32),
    Float8(f64),
    Numeric(&'a Numeric),
    Text(&'a str),
    Bytes(&'a [u8]),
    Interval(Interval),
    Uuid([u8; 16]),
    /// timetz, arrays, records, bit strings, jsonb.
    Other(&'a Datum),
}

impl<'a> Cell<'a> {
    #[inline]
    pub(crate) fn of_vector(vector: &'a Vector, row: usize) -> Cell<'a> {
        if vector.is_null(row) {
            return Cell::Null;
        }
        match &vector.values {
            Values::Bool(v) => Cell::Bool(v[row]),
            Values::Int2(v) => Cell::Int(i64::from(v[row])),
            Values::Int4(v) => Cell::Int(i64::from(v[row])),
            Values::Int8(v) => Cell::Int(v[row]),
            Values::Oid(v) => Cell::Int(i64::from(v[row])),
            Values::Float4(v) => Cell::Float4(v[row]),
            Values::Float8(v) => Cell::Float8(v[row]),
            Values::Numeric(v) => Cell::Numeric(&v[row]),
            Values::Text(v) => Cell::Text(v.get(row)),
            Values::Bytes(v) => Cell::Bytes(v.get(row)),
            Values::Interval(v) => Cell::Interval(v[row]),
            Values::Uuid(v) => Cell::Uuid(v[row]),
            Values::Datum(v) => Cell::of_datum(&v[row]),
        }
    }

    #[inline]
    pub(crate) fn of_datum(datum: &'a Datum) -> Cell<'a> {
        match datum {
            Datum::Null => Cell::Null,
            Datum::Bool(x) => Cell::Bool(*x),
            Datum::Int2(x) => Cell::Int(i64::from(*x)),
            Datum::Int4(x) | Datum::Date(x) => Cell::Int(i64::from(*x)),
            Datum::Int8(x) | Datum::Time(x) | Datum::Timestamp(x) | Datum::TimestampTz(x) => Cell::Int(*x),
            Datum::Float4(x) => Cell::Float4(*x),
            Datum::Float8(x) => Cell::Float8(*x),
            Datum::Numeric(x) => Cell::Numeric(x),
            Datum::Text(x) => Cell::Text(x),
            Datum::Bytes(x) => Cell::Bytes(x),
            Datum::Interval(x) => Cell::Interval(*x),
            Datum::Uuid(x) => Cell::Uuid(*x),
            Datum::Oid(x) => Cell::Int(i64::from(*x)),
            Datum::Unsigned8(x) => Cell::Int(*x as i64),
            Datum::TimeTz(_) | Datum::Array(_) | Datum::Record(_) | Datum::Bits(_) | Datum::Jsonb(_) => {
                Cell::Other(datum)
            }
        }
    }
}

/// The type that a datum shows by itself, where nobody else knows it: inside an anonymous record.
pub(crate) fn apparent_type(datum: &Datum) -> DataType {
    match datum {
        Datum::Null => DataType::Unknown,
        Datum::Bool(_) => DataType::Bool,
        Datum::Int2(_) => DataType::Int2,
        Datum::Int4(_) => DataType::Int4,
        Datum::Int8(_) => DataType::Int8,
        Datum::Float4(_) => DataType::Float4,
        Datum::Float8(_) => DataType::Float8,
        Datum::Numeric(_) => DataType::Numeric,
        Datum::Text(_) => DataType::Text,
        Datum::Bytes(_) => DataType::Bytea,
        Datum::Date(_) => DataType::Date,
        Datum::Time(_) => DataType::Time,
        Datum::TimeTz(_) => DataType::TimeTz,
        Datum::Timestamp(_) => DataType::Timestamp,
        Datum::TimestampTz(_) => DataType::TimestampTz,
        Datum::Interval(_) => DataType::Interval,
        Datum::Uuid(_) => DataType::Uuid,
        Datum::Oid(_) => DataType::Oid,
        Datum::Unsigned8(_) => DataType::Xid8,
        Datum::Array(array) => {
            DataType::from_oid(array.element_oid).map_or(DataType::AnyArray, DataType::array_of)
        }
        Datum::Record(_) => DataType::Record,
        Datum::Bits(_) => DataType::Varbit,
        Datum::Jsonb(_) => DataType::Jsonb,
    }
}
