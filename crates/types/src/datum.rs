//! One SQL value.

use crate::interval::Interval;
use crate::numeric::Numeric;
use crate::user_type::{RecordValue, RowType};
use std::sync::Arc;

/// A SQL value. Which SQL type it belongs to is known by whoever holds it (`text`, `varchar` and `name` share
/// [`Datum::Text`]); a datum alone tells only its physical kind.
///
/// Vectors are what execution works on; datums serve constants, parameters, keys, and the rare types.
///
/// - 32 bytes or less: big payloads are boxed.
/// - `Date`: days since 2000-01-01; `i32::MIN` / `i32::MAX` are -infinity / infinity.
/// - `Time`: microseconds since midnight. `Timestamp`, `TimestampTz`: microseconds since 2000-01-01 00:00 (UTC for the
///   latter); `i64::MIN` / `i64::MAX` are -infinity / infinity.
/// - `Bpchar` values carry no trailing blanks here; output pads them to the declared length.
#[derive(Clone, Debug, PartialEq)]
pub enum Datum {
    Null,
    Bool(bool),
    Int2(i16),
    Int4(i32),
    /// int8, and enums (see [`crate::user_type`]).
    Int8(i64),
    Float4(f32),
    Float8(f64),
    Numeric(Numeric),
    /// text, varchar, bpchar, name, "char", json, unknown.
    Text(Box<str>),
    Bytes(Box<[u8]>),
    Date(i32),
    Time(i64),
    TimeTz(TimeTz),
    Timestamp(i64),
    TimestampTz(i64),
    Interval(Interval),
    Uuid([u8; 16]),
    /// oid and its relatives (regclass, xid ...).
    Oid(u32),
    /// pg_lsn, xid8.
    Unsigned8(u64),
    Array(Box<ArrayValue>),
    /// A row value.
    Record(Box<RecordValue>),
    /// bit and varbit.
    Bits(Box<BitString>),
    Jsonb(Box<str>),
}

const _: () = assert!(std::mem::size_of::<Datum>() <= 32);

/// time with time zone: microseconds since midnight and the zone's offset in seconds **west** of UTC, as PostgreSQL
/// stores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimeTz {
    pub microseconds: i64,
    pub zone_west_seconds: i32,
}

/// A PostgreSQL array: any number of dimensions, each with a lower bound; elements in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub struct ArrayValue {
    pub element_oid: u32,
    /// (length, lower bound) per dimension; empty for the empty array.
    pub dimensions: Vec<(i32, i32)>,
    pub elements: Vec<Datum>,
}

/// bit / varbit: `length` bits, most significant bit first, unused low bits of the last byte zero.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BitString {
    pub length: u32,
    pub bytes: Vec<u8>,
}

impl Datum {
    pub fn is_null(&self) -> bool {
        matches!(self, Datum::Null)
    }

    /// A row value, with its type where its holder does not know it.
    pub fn record(fields: Vec<Datum>, row_type: Option<Arc<RowType>>) -> Datum {
        Datum::Record(Box::new(RecordValue { fields, row_type }))
    }

    pub fn text(value: impl Into<Box<str>>) -> Datum {
        Datum::Text(value.into())
    }
}
