//! PostgreSQL's text and binary formats of every type.
//!
//! `parse_*` are a type's input and receive functions, `write_*` its output and send functions. Writing appends to a buffer
//! and allocates nothing else: it is the hot path of DataRow. Neither knows NULL: the caller has handled it (a NULL has
//! no text). Wording and SQLSTATEs of input errors are PostgreSQL 15's.

mod array;
mod binary;
mod bits;
mod boolean;
mod bytea;
mod float;
pub mod inet;
mod integer;
mod record;
mod system;
#[cfg(test)]
mod tests;
mod text;
mod user;
mod uuid;

pub use array::{ARRAY_DIMENSIONS_MAX, ARRAY_ELEMENTS_MAX};
pub use bytea::parse_hex;
pub(crate) use float::write_general;
pub(crate) use integer::write_integer;
pub use record::split_record;
pub use text::{
    NAME_BYTES_MAX, check_bpchar, check_varchar, internal_char, internal_char_byte, truncate_bpchar,
    truncate_name, truncate_varchar, utf8,
};

use crate::cell::Cell;
use crate::data_type::{DataType, Physical};
use crate::datetime;
use crate::datum::Datum;
use crate::error::{PgError, PgResult, SqlState};
use crate::json;
use crate::jsonpath;
use crate::numeric::Numeric;
use crate::timezone::TimeZone;
use crate::user_type::Directory;
use crate::vector::Vector;

/// DateStyle, first half: how dates are printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum DateFormat {
    #[default]
    Iso,
    Sql,
    Postgres,
    German,
}

/// DateStyle, second half: the order in which an ambiguous date is read (and some formats print it).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum DateOrder {
    Ymd,
    Dmy,
    #[default]
    Mdy,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum IntervalStyle {
    #[default]
    Postgres,
    PostgresVerbose,
    SqlStandard,
    Iso8601,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ByteaOutput {
    #[default]
    Hex,
    Escape,
}

/// The session settings that input and output depend on.
#[derive(Clone, Debug)]
pub struct FormatContext {
    pub time_zone: TimeZone,
    pub date_format: DateFormat,
    pub date_order: DateOrder,
    pub interval_style: IntervalStyle,
    pub bytea_output: ByteaOutput,
    /// PostgreSQL's setting: above 0 (default 1) the shortest text that reads back as the same float; else digits
    /// relative to 15 (6 for float4).
    pub extra_float_digits: i32,
    /// What `'now'`, `'today'` ... mean: the transaction's start, microseconds since 2000-01-01 UTC.
    pub now: i64,
    /// The types that users made.
    pub types: Directory,
}

impl Default for FormatContext {
    /// PostgreSQL's defaults, in UTC, at the beginning of 2000.
    fn default() -> Self {
        FormatContext {
            time_zone: TimeZone::utc(),
            date_format: DateFormat::default(),
            date_order: DateOrder::default(),
            interval_style: IntervalStyle::default(),
            bytea_output: ByteaOutput::default(),
            extra_float_digits: 1,
            now: 0,
            types: Directory::default(),
        }
    }
}

/// A type's input function. `typmod` -1 applies no length or precision. Too long for `varchar(n)` is 22001 as in PostgreSQL's
/// input (an explicit cast truncates instead: that is the cast's doing).
///
/// Types whose input needs the catalog (regclass by name ...) take what needs none (a numeric oid) and answer 0A000 otherwise.
pub fn parse_text(data_type: DataType, typmod: i32, text: &str, context: &FormatContext) -> PgResult<Datum> {
    use DataType as T;
    Ok(match data_type {
        T::Int4 => {
            let value = integer::parse_integer(text, "integer", i32::MIN.into(), i32::MAX.into())?;
            Datum::Int4(value as i32)
        }
        T::Int8 => Datum::Int8(integer::parse_integer(text, "bigint", i64::MIN, i64::MAX)?),
        T::Int2 => {
            let value = integer::parse_integer(text, "smallint", i16::MIN.into(), i16::MAX.into())?;
            Datum::Int2(value as i16)
        }
        T::Text | T::Unknown | T::Cstring | T::PgNodeTree => {
            text::check_no_zero(text)?;
            Datum::text(text)
        }
        T::Varchar => {
            text::check_no_zero(text)?;
            Datum::text(text::check_varchar(text, typmod)?)
        }
        T::Bpchar => {
            text::check_no_zero(text)?;
            Datum::text(text::check_bpchar(text, typmod)?)
        }
        T::Name => {
            text::check_no_zero(text)?;
            Datum::text(text::truncate_name(text))
        }
        T::InternalChar => text::parse_internal_char(text),
        T::Bool => Datum::Bool(boolean::parse_bool(text)?),
        T::Float8 => Datum::Float8(float::parse_float8(text)?),
        T::Float4 => Datum::Float4(float::parse_float4(text)?),
        T::Numeric => Datum::Numeric(Numeric::parse_with_typmod(text, typmod)?),
        T::Bytea => Datum::Bytes(bytea::parse_bytea(text)?.into()),
        T::Inet => Datum::Bytes(inet::parse_inet(text)?.into()),
        T::Uuid => Datum::Uuid(uuid::parse_uuid(text)?),
        T::Date => Datum::Date(datetime::parse_date(text, context)?),
        T::Time => Datum::Time(datetime::parse_time(text, typmod, context)?),
        T::TimeTz => Datum::TimeTz(datetime::parse_timetz(text, typmod, context)?),
        T::Timestamp => Datum::Timestamp(datetime::parse_timestamp(text, typmod, context)?),
        T::TimestampTz => Datum::TimestampTz(datetime::parse_timestamptz(text, typmod, context)?),
        T::Interval => Datum::Interval(datetime::parse_interval(text, typmod, context)?),
        other => parse_rare(other, typmod, text, context)?,
    })
}

fn parse_rare(data_type: DataType, typmod: i32, text: &str, context: &FormatContext) -> PgResult<Datum> {
    use DataType as T;
    Ok(match data_type {
        T::Oid => Datum::Oid(system::parse_oid(text)?),
        T::Xid | T::Cid => Datum::Oid(system::parse_xid(text) as u32),
        T::Xid8 => Datum::Unsigned8(system::parse_xid(text)),
        T::Tid => Datum::Unsigned8(system::parse_tid(text)?),
        T::PgLsn => Datum::Unsigned8(system::parse_lsn(text)?),
        T::Json => {
            text::check_no_zero(text)?;
            json::validate(text)?;
            Datum::text(text)
        }
        T::Jsonb => {
            text::check_no_zero(text)?;
            Datum::Jsonb(json::normalize(text)?)
        }
        T::Jsonpath => {
            text::check_no_zero(text)?;
            Datum::text(jsonpath::normalize(text)?)
        }
        T::Bit => Datum::Bits(Box::new(bits::parse_bit(text, typmod)?)),
        T::Varbit => Datum::Bits(Box::new(bits::parse_varbit(text, typmod)?)),
        T::Int2Vector | T::OidVector => parse_blank_separated(data_type, text, context)?,
        T::Array(_) => {
            let element_type = data_type
                .element()
                .ok_or_else(|| PgError::unsupported(format!("input of type {data_type}")))?;
            Datum::Array(Box::new(array::parse_array(element_type, typmod, text, context)?))
        }
        T::Enum(oid) => user::parse_enum(oid, text, context)?,
        T::Composite(oid) => user::parse_composite(oid, text, context)?,
        T::Domain(domain) => user::parse_domain(domain, text, context)?,
        T::Record => {
            return Err(PgError::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "input of anonymous composite types is not implemented",
            ));
        }
        T::Any | T::AnyArray | T::AnyElement | T::AnyNonArray | T::AnyEnum | T::Trigger => {
            return Err(PgError::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("cannot accept a value of type {}", data_type.pg_name().unwrap_or("any")),
            ));
        }
        // void_in accepts anything and so does this.
        T::Void => Datum::text(""),
        other if other.physical() == Physical::Oid => Datum::Oid(system::parse_registered(other, text)?),
        other => return Err(PgError::unsupported(format!("input of type {other}"))),
    })
}

/// int2vector and oidvector: numbers with blanks between, an array from 0.
fn parse_blank_separated(data_type: DataType, text: &str, context: &FormatContext) -> PgResult<Datum> {
    let element_type = data_type.element().unwrap_or(DataType::Oid);
    let elements = text
        .split_ascii_whitespace()
        .map(|number| parse_text(element_type, -1, number, context))
        .collect::<PgResult<Vec<Datum>>>()?;
    let dimensions = vec![(elements.len() as i32, 0)];
    Ok(Datum::Array(Box::new(crate::datum::ArrayValue {
        element_oid: element_type.oid(),
        dimensions,
        elements,
    })))
}

/// A type's receive function. 08P01 when bytes are missing, 22P03 when they make no sense or some are left.
pub fn parse_binary(
    data_type: DataType,
    typmod: i32,
    bytes: &[u8],
    context: &FormatContext,
) -> PgResult<Datum> {
    binary::parse(data_type, typmod, bytes, context)
}

/// Appends the text of a value that is not NULL.
pub(crate) fn write_cell(
    cell: Cell<'_>,
    data_type: DataType,
    typmod: i32,
    context: &FormatContext,
    out: &mut Vec<u8>,
) {
    let data_type = data_type.base();
    match cell {
        Cell::Null => {}
        Cell::Bool(value) => out.push(if value { b't' } else { b'f' }),
        Cell::Int(value) => write_int(value, data_type, context, out),
        Cell::Float4(value) => float::write_float4(value, context.extra_float_digits, out),
        Cell::Float8(value) => float::write_float8(value, context.extra_float_digits, out),
        Cell::Numeric(value) => value.write_text(out),
        Cell::Text(value) => match data_type {
            DataType::Bpchar => text::write_bpchar(value, typmod, out),
            DataType::InternalChar => text::write_internal_char(value, out),
            _ => out.extend_from_slice(value.as_bytes()),
        },
        Cell::Bytes(bytes) if data_type == DataType::Inet => inet::write_inet(bytes, out),
        Cell::Bytes(bytes) => bytea::write_bytea(bytes, context.bytea_output, out),
        Cell::Interval(value) => datetime::write_interval(value, context.interval_style, out),
        Cell::Uuid(bytes) => uuid::write_uuid(&bytes, out),
        Cell::Other(datum) => write_other(datum, data_type, typmod, context, out),
    }
}

/// What is an integer inside.
#[inline]
fn write_int(value: i64, data_type: DataType, context: &FormatContext, out: &mut Vec<u8>) {
    match data_type {
        DataType::Date => datetime::write_date(value as i32, context, out),
        DataType::Time => datetime::write_time(value, out),
        DataType::Timestamp => datetime::write_timestamp(value, context, out),
        DataType::TimestampTz => datetime::write_timestamptz(value, context, out),
        DataType::PgLsn => system::write_lsn(value as u64, out),
        DataType::Xid8 => integer::write_unsigned(value as u64, out),
        DataType::Tid => system::write_tid(value as u64, out),
        DataType::Enum(oid) => user::write_enum(oid, value, context, out),
        DataType::Regclass
        | DataType::Regproc
        | DataType::Regprocedure
        | DataType::Regoper
        | DataType::Regtype
        | DataType::Regnamespace
        | DataType::Regrole
            if value == 0 =>
        {
            out.push(b'-')
        }
        _ => write_integer(value, out),
    }
}

fn write_other(datum: &Datum, data_type: DataType, typmod: i32, context: &FormatContext, out: &mut Vec<u8>) {
    match datum {
        Datum::TimeTz(time) => datetime::write_timetz(*time, out),
        Datum::Bits(bits) => bits::write_bits(bits, out),
        Datum::Jsonb(text) => out.extend_from_slice(text.as_bytes()),
        Datum::Record(record) => record::write_record(record, data_type, context, out),
        Datum::Array(array) if matches!(data_type, DataType::Int2Vector | DataType::OidVector) => {
            let element_type = data_type.element().unwrap_or(DataType::Oid);
            for (position, element) in array.elements.iter().enumerate() {
                if position > 0 {
                    out.push(b' ');
                }
                write_cell(Cell::of_datum(element), element_type, -1, context, out);
            }
        }
        Datum::Array(array) => {
            let element_type = data_type
                .element()
                .or_else(|| DataType::from_oid(array.element_oid))
                .unwrap_or(DataType::Text);
            array::write_array(array, element_type, typmod, context, out);
        }
        _ => {}
    }
}

/// Appends the text of the value at `row`, which is not NULL. `typmod` matters to `char(n)` alone, which it pads.
#[inline]
pub fn write_text(vector: &Vector, typmod: i32, row: usize, context: &FormatContext, out: &mut Vec<u8>) {
    write_cell(Cell::of_vector(vector, row), vector.data_type, typmod, context, out);
}

/// Appends the text of a datum, which is not NULL.
pub fn write_datum_text(
    datum: &Datum,
    data_type: DataType,
    typmod: i32,
    context: &FormatContext,
    out: &mut Vec<u8>,
) {
    write_cell(Cell::of_datum(datum), data_type, typmod, context, out);
}

/// The text of a datum that is not NULL.
pub fn datum_text(datum: &Datum, data_type: DataType, typmod: i32, context: &FormatContext) -> String {
    let mut out = Vec::new();
    write_datum_text(datum, data_type, typmod, context, &mut out);
    String::from_utf8(out).expect("text output is UTF-8")
}

/// Appends the binary format of the value at `row`, which is not NULL, without its length.
#[inline]
pub fn write_binary(vector: &Vector, typmod: i32, row: usize, context: &FormatContext, out: &mut Vec<u8>) {
    binary::write_cell(Cell::of_vector(vector, row), vector.data_type, typmod, context, out);
}

/// Appends the binary format of a datum, which is not NULL, without its length.
pub fn write_datum_binary(
    datum: &Datum,
    data_type: DataType,
    typmod: i32,
    context: &FormatContext,
    out: &mut Vec<u8>,
) {
    binary::write_cell(Cell::of_datum(datum), data_type, typmod, context, out);
}
