//! The binary formats: big-endian integers, floats as their bits, text as it is, arrays and records by their parts.

use super::bits::{check_bit, check_varbit};
use super::{FormatContext, text};
use crate::cell::Cell;
use crate::data_type::{DataType, Physical};
use crate::datetime;
use crate::datum::{ArrayValue, BitString, Datum, TimeTz};
use crate::error::{PgError, PgResult, SqlState};
use crate::interval::Interval;
use crate::json;
use crate::numeric::Numeric;

/// jsonb's only format.
const JSONB_VERSION: u8 = 1;

/// Appends a value that is not NULL.
pub(super) fn write_cell(
    cell: Cell<'_>,
    data_type: DataType,
    typmod: i32,
    context: &FormatContext,
    out: &mut Vec<u8>,
) {
    let data_type = data_type.base();
    match cell {
        Cell::Null => {}
        Cell::Bool(value) => out.push(u8::from(value)),
        Cell::Int(value) => write_int(value, data_type, context, out),
        Cell::Float4(value) => out.extend_from_slice(&value.to_be_bytes()),
        Cell::Float8(value) => out.extend_from_slice(&value.to_be_bytes()),
        Cell::Numeric(value) => value.write_binary(out),
        Cell::Text(value) => match data_type {
            DataType::Bpchar => text::write_bpchar(value, typmod, out),
            DataType::InternalChar => out.push(text::internal_char_byte(value)),
            _ => out.extend_from_slice(value.as_bytes()),
        },
        Cell::Bytes(bytes) if data_type == DataType::Inet => super::inet::write_binary_inet(bytes, out),
        Cell::Bytes(bytes) => out.extend_from_slice(bytes),
        Cell::Interval(value) => {
            out.extend_from_slice(&value.microseconds.to_be_bytes());
            out.extend_from_slice(&value.days.to_be_bytes());
            out.extend_from_slice(&value.months.to_be_bytes());
        }
        Cell::Uuid(bytes) => out.extend_from_slice(&bytes),
        Cell::Other(datum) => write_other(datum, data_type, typmod, context, out),
    }
}

fn write_int(value: i64, data_type: DataType, context: &FormatContext, out: &mut Vec<u8>) {
    if let DataType::Enum(oid) = data_type {
        return super::user::write_enum(oid, value, context, out);
    }
    match data_type.physical() {
        Physical::Int2 => out.extend_from_slice(&(value as i16).to_be_bytes()),
        Physical::Int4 | Physical::Oid => out.extend_from_slice(&(value as i32).to_be_bytes()),
        _ if data_type == DataType::Tid => out.extend_from_slice(&value.to_be_bytes()[2..]),
        _ => out.extend_from_slice(&value.to_be_bytes()),
    }
}

fn write_other(datum: &Datum, data_type: DataType, typmod: i32, context: &FormatContext, out: &mut Vec<u8>) {
    match datum {
        Datum::TimeTz(time) => {
            out.extend_from_slice(&time.microseconds.to_be_bytes());
            out.extend_from_slice(&time.zone_west_seconds.to_be_bytes());
        }
        Datum::Bits(bits) => {
            out.extend_from_slice(&bits.length.to_be_bytes());
            out.extend_from_slice(&bits.bytes);
        }
        Datum::Jsonb(text) => {
            out.push(JSONB_VERSION);
            out.extend_from_slice(text.as_bytes());
        }
        Datum::Array(array) => {
            let element_type = data_type
                .element()
                .or_else(|| DataType::from_oid(array.element_oid))
                .unwrap_or(DataType::Text);
            out.extend_from_slice(&(array.dimensions.len() as i32).to_be_bytes());
            out.extend_from_slice(&i32::from(array.elements.iter().any(Datum::is_null)).to_be_bytes());
            out.extend_from_slice(&element_type.oid().to_be_bytes());
            for (length, lower_bound) in &array.dimensions {
                out.extend_from_slice(&length.to_be_bytes());
                out.extend_from_slice(&lower_bound.to_be_bytes());
            }
            for element in &array.elements {
                write_sized(element, element_type, typmod, context, out);
            }
        }
        Datum::Record(record) => {
            let named = context.types.row_type(data_type);
            let count = record.padded(named.as_deref()).count();
            out.extend_from_slice(&(count as i32).to_be_bytes());
            for (position, field) in record.padded(named.as_deref()).enumerate() {
                let column = record.field_type(position, named.as_deref());
                out.extend_from_slice(&column.data_type.oid().to_be_bytes());
                write_sized(field, column.data_type, column.typmod, context, out);
            }
        }
        _ => {}
    }
}

/// Length (-1 for NULL) and value.
fn write_sized(datum: &Datum, data_type: DataType, typmod: i32, context: &FormatContext, out: &mut Vec<u8>) {
    let at = out.len();
    out.extend_from_slice(&(-1i32).to_be_bytes());
    if !datum.is_null() {
        write_cell(Cell::of_datum(datum), data_type, typmod, context, out);
        let length = (out.len() - at - 4) as i32;
        out[at..at + 4].copy_from_slice(&length.to_be_bytes());
    }
}

/// Takes fixed-width parts off the front.
struct Reader<'a> {
    rest: &'a [u8],
}

fn too_short() -> PgError {
    PgError::new(SqlState::PROTOCOL_VIOLATION, "insufficient data left in message")
}

fn invalid(message: impl Into<String>) -> PgError {
    PgError::new(SqlState::INVALID_BINARY_REPRESENTATION, message)
}

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> PgResult<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or_else(too_short)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn bytes(&mut self, count: usize) -> PgResult<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or_else(too_short)?;
        self.rest = rest;
        Ok(taken)
    }

    fn i32(&mut self) -> PgResult<i32> {
        Ok(i32::from_be_bytes(self.take()?))
    }

    fn i64(&mut self) -> PgResult<i64> {
        Ok(i64::from_be_bytes(self.take()?))
    }

    fn all(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }
}

/// A type's receive function.
pub(super) fn parse(
    data_type: DataType,
    typmod: i32,
    bytes: &[u8],
    context: &FormatContext,
) -> PgResult<Datum> {
    let mut reader = Reader { rest: bytes };
    let datum = parse_from(data_type, typmod, &mut reader, context)?;
    if !reader.rest.is_empty() {
        return Err(invalid("incorrect binary data format"));
    }
    Ok(datum)
}

fn parse_from(
    data_type: DataType,
    typmod: i32,
    reader: &mut Reader<'_>,
    context: &FormatContext,
) -> PgResult<Datum> {
    use DataType as T;
    Ok(match data_type {
        T::Bool => Datum::Bool(reader.take::<1>()?[0] != 0),
        T::Int2 => Datum::Int2(i16::from_be_bytes(reader.take()?)),
        T::Int4 => Datum::Int4(reader.i32()?),
        T::Int8 => Datum::Int8(reader.i64()?),
        T::Float4 => Datum::Float4(f32::from_be_bytes(reader.take()?)),
        T::Float8 => Datum::Float8(f64::from_be_bytes(reader.take()?)),
        T::Numeric => Datum::Numeric(Numeric::from_binary(reader.all())?.apply_typmod(typmod)?),
        T::Date => Datum::Date(parse_date(reader.i32()?)?),
        T::Time => Datum::Time(datetime::round_time(parse_time(reader.i64()?)?, typmod)),
        T::TimeTz => {
            let microseconds = datetime::round_time(parse_time(reader.i64()?)?, typmod);
            let zone_west_seconds = reader.i32()?;
            if zone_west_seconds.abs() >= 16 * 3600 {
                return Err(PgError::new(
                    SqlState::INVALID_TIME_ZONE_DISPLACEMENT_VALUE,
                    "time zone displacement out of range",
                ));
            }
            Datum::TimeTz(TimeTz { microseconds, zone_west_seconds })
        }
        T::Timestamp => Datum::Timestamp(parse_timestamp(reader.i64()?, typmod)?),
        T::TimestampTz => Datum::TimestampTz(parse_timestamp(reader.i64()?, typmod)?),
        T::Interval => {
            let (microseconds, days, months) = (reader.i64()?, reader.i32()?, reader.i32()?);
            Datum::Interval(datetime::apply_interval_typmod(Interval { months, days, microseconds }, typmod)?)
        }
        T::Uuid => Datum::Uuid(reader.take()?),
        T::Bytea => Datum::Bytes(reader.all().into()),
        T::Inet => Datum::Bytes(super::inet::parse_binary_inet(reader.all())?.into()),
        T::InternalChar => text::internal_char(reader.take::<1>()?[0]),
        T::Varchar => Datum::text(text::check_varchar(text::utf8(reader.all())?, typmod)?),
        T::Bpchar => Datum::text(text::check_bpchar(text::utf8(reader.all())?, typmod)?),
        T::Name => Datum::text(text::truncate_name(text::utf8(reader.all())?)),
        T::Json => {
            let text = text::utf8(reader.all())?;
            json::validate(text)?;
            Datum::text(text)
        }
        T::Jsonb => {
            let version = reader.take::<1>()?[0];
            if version != JSONB_VERSION {
                return Err(PgError::internal(format!("unsupported jsonb version number {version}")));
            }
            Datum::Jsonb(json::normalize(text::utf8(reader.all())?)?)
        }
        other => return parse_rare(other, typmod, reader, context),
    })
}

fn parse_rare(
    data_type: DataType,
    typmod: i32,
    reader: &mut Reader<'_>,
    context: &FormatContext,
) -> PgResult<Datum> {
    use DataType as T;
    Ok(match data_type {
        T::PgLsn | T::Xid8 => Datum::Unsigned8(reader.i64()? as u64),
        T::Tid => {
            let [a, b, c, d, e, f] = reader.take()?;
            Datum::Unsigned8(u64::from_be_bytes([0, 0, a, b, c, d, e, f]))
        }
        T::Bit | T::Varbit => {
            let bits = parse_bits(reader)?;
            if data_type == T::Bit {
                check_bit(bits.length, typmod)?;
            } else {
                check_varbit(bits.length, typmod)?;
            }
            Datum::Bits(Box::new(bits))
        }
        T::Array(_) | T::Int2Vector | T::OidVector => {
            let element_type =
                data_type.element().ok_or_else(|| PgError::unsupported("binary input of this array"))?;
            Datum::Array(Box::new(parse_array(element_type, typmod, reader, context)?))
        }
        T::Enum(_) => {
            let text = text::utf8(reader.all())?;
            super::parse_text(data_type, typmod, text, context)?
        }
        T::Domain(_) => return parse_from(data_type.base(), typmod, reader, context),
        T::Composite(_) => parse_composite(data_type, reader, context)?,
        T::Record => {
            return Err(PgError::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "input of anonymous composite types is not implemented",
            ));
        }
        other if other.physical() == Physical::Oid => Datum::Oid(reader.i32()? as u32),
        other if other.physical() == Physical::Text => Datum::text(text::utf8(reader.all())?),
        other => return Err(PgError::unsupported(format!("binary input of type {other}"))),
    })
}

/// record_recv of a named row type: (type oid, length, value) per column.
fn parse_composite(data_type: DataType, reader: &mut Reader<'_>, context: &FormatContext) -> PgResult<Datum> {
    let row = context
        .types
        .row_type(data_type)
        .ok_or_else(|| PgError::unsupported(format!("binary input of type {data_type}")))?;
    let count = reader.i32()?;
    if count != row.columns.len() as i32 {
        return Err(PgError::new(
            SqlState::DATATYPE_MISMATCH,
            format!("wrong number of columns: {count}, expected {}", row.columns.len()),
        ));
    }
    let mut fields = Vec::with_capacity(row.columns.len());
    for (position, (_, column)) in row.columns.iter().enumerate() {
        let oid = reader.i32()? as u32;
        if oid != column.data_type.oid() {
            let message = format!(
                "binary data has type {oid} instead of expected {} in record column {}",
                column.data_type.oid(),
                position + 1
            );
            return Err(PgError::new(SqlState::DATATYPE_MISMATCH, message));
        }
        fields.push(match reader.i32()? {
            -1 => Datum::Null,
            length => {
                let length =
                    usize::try_from(length).map_err(|_| invalid("insufficient data left in message"))?;
                parse(column.data_type, column.typmod, reader.bytes(length)?, context)?
            }
        });
    }
    Ok(Datum::record(fields, None))
}

fn parse_date(days: i32) -> PgResult<i32> {
    if !datetime::is_finite_date(days) || datetime::is_valid_date(i64::from(days)) {
        return Ok(days);
    }
    Err(PgError::new(SqlState::DATETIME_FIELD_OVERFLOW, "date out of range"))
}

fn parse_time(microseconds: i64) -> PgResult<i64> {
    if (0..=datetime::MICROSECONDS_PER_DAY).contains(&microseconds) {
        return Ok(microseconds);
    }
    Err(PgError::new(SqlState::DATETIME_FIELD_OVERFLOW, "time out of range"))
}

fn parse_timestamp(value: i64, typmod: i32) -> PgResult<i64> {
    if !datetime::is_finite_timestamp(value) || datetime::is_valid_timestamp(value) {
        return datetime::round_timestamp(value, typmod);
    }
    Err(PgError::new(SqlState::DATETIME_FIELD_OVERFLOW, "timestamp out of range"))
}

fn parse_bits(reader: &mut Reader<'_>) -> PgResult<BitString> {
    let length =
        u32::try_from(reader.i32()?).map_err(|_| invalid("invalid length in external bit string"))?;
    let mut bytes = reader.bytes((length as usize).div_ceil(8))?.to_vec();
    if let Some(last) = bytes.last_mut().filter(|_| length % 8 != 0) {
        *last &= 0xff << (8 - length % 8);
    }
    Ok(BitString { length, bytes })
}

fn parse_array(
    element_type: DataType,
    typmod: i32,
    reader: &mut Reader<'_>,
    context: &FormatContext,
) -> PgResult<ArrayValue> {
    let count = reader.i32()?;
    if !(0..=super::ARRAY_DIMENSIONS_MAX as i32).contains(&count) {
        return Err(invalid(format!("invalid number of dimensions: {count}")));
    }
    let flags = reader.i32()?;
    if !(0..=1).contains(&flags) {
        return Err(invalid("invalid array flags"));
    }
    let oid = reader.i32()? as u32;
    if oid != element_type.oid() {
        let got = DataType::from_oid(oid).map_or_else(|| "???".to_owned(), DataType::sql_name);
        return Err(PgError::new(
            SqlState::DATATYPE_MISMATCH,
            format!(
                "binary data has array element type {oid} ({got}) instead of expected {} ({element_type})",
                element_type.oid()
            ),
        ));
    }
    let mut dimensions = Vec::with_capacity(count as usize);
    let mut total: usize = usize::from(count > 0);
    for _ in 0..count {
        let (length, lower_bound) = (reader.i32()?, reader.i32()?);
        if length < 0 || lower_bound.checked_add(length).is_none() {
            return Err(PgError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "array bounds are out of range"));
        }
        total = total.saturating_mul(length as usize);
        dimensions.push((length, lower_bound));
    }
    // Every element has a length of four bytes at least: a count beyond that is not believed.
    if total > reader.rest.len() / 4 {
        return Err(too_short());
    }
    let mut elements = Vec::with_capacity(total);
    for _ in 0..total {
        elements.push(match reader.i32()? {
            -1 => Datum::Null,
            length => {
                let length =
                    usize::try_from(length).map_err(|_| invalid("insufficient data left in message"))?;
                parse(element_type, typmod, reader.bytes(length)?, context)?
            }
        });
    }
    if elements.is_empty() {
        dimensions.clear();
    }
    Ok(ArrayValue { element_oid: element_type.oid(), dimensions, elements })
}
