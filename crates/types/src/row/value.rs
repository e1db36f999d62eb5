//! The value part of an entry: columns by id, each with its length.
//!
//! ```text
//! value   = 0x01 (version) column*
//! column  = header payload                    in order of column id
//! header  = (id - previous id) << 3 | kind    one byte; a distance of 31 and more is written as 31 in the header and then as two bytes
//! ```
//!
//! | kind | payload | holds |
//! | --- | --- | --- |
//! | 0 | none | NULL, where rows without the column read as something else; otherwise NULLs are left out |
//! | 1, 2, 3, 4 | 1, 2, 4, 8 bytes, little-endian | an integer in as few of them as hold it; a float as its bits |
//! | 5 | length, bytes | text, bytea, numeric, and every type of variable length |
//! | 6 | none | zero, false, empty |
//! | 7 | 16 bytes | uuid, interval |
//!
//! Lengths are varints of 7 bits a byte. What is not wanted is stepped over without looking at it.
//!
//! A numeric is its scale (one byte up to 0xef, else 0xf0 and two bytes; 0xfd NaN, 0xfe Infinity, 0xff -Infinity) and its
//! coefficient in as few little-endian two's complement bytes as hold it. A timetz is 8 bytes of time and 4 of zone, a bit string its
//! length in bits and its bytes, an array its shape and its elements (as columns of a value of their own, ids being
//! positions), a record likewise.

use super::corrupted;
use crate::cell::Cell;
use crate::data_type::DataType;
use crate::datum::{ArrayValue, BitString, Datum, TimeTz};
use crate::error::{PgError, PgResult};
use crate::interval::Interval;
use crate::numeric::Numeric;
use crate::vector::{Values, Vector};
use dashu_int::IBig;

/// First byte of every value. 0x02 and above are later formats.
pub(super) const VERSION: u8 = 0x01;

const NULL: u8 = 0;
const INT1: u8 = 1;
const INT2: u8 = 2;
const INT4: u8 = 3;
const INT8: u8 = 4;
const BYTES: u8 = 5;
const ZERO: u8 = 6;
const SIXTEEN: u8 = 7;

const DISTANCE_EXTENDED: u8 = 31;

const SCALE_WIDE: u8 = 0xf0;
const SCALE_NAN: u8 = 0xfd;
const SCALE_INFINITY: u8 = 0xfe;
const SCALE_NEGATIVE_INFINITY: u8 = 0xff;

fn truncated() -> PgError {
    corrupted("its value is cut short")
}

// ------------------------------------------------------------------------------------------------------ writing

/// Writes columns in order of id.
pub(super) struct ValueWriter<'a> {
    out: &'a mut Vec<u8>,
    previous: u16,
}

impl<'a> ValueWriter<'a> {
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        out.push(VERSION);
        ValueWriter { out, previous: 0 }
    }

    #[inline]
    fn header(&mut self, id: u16, kind: u8) {
        let distance = id - self.previous;
        self.previous = id;
        if distance < u16::from(DISTANCE_EXTENDED) {
            self.out.push((distance as u8) << 3 | kind);
        } else {
            self.out.push(DISTANCE_EXTENDED << 3 | kind);
            self.out.extend_from_slice(&distance.to_le_bytes());
        }
    }

    /// Appends a column. `id` is larger than that of the column before.
    #[inline]
    pub fn put(&mut self, id: u16, cell: Cell<'_>) {
        match cell {
            Cell::Null => self.header(id, NULL),
            Cell::Int(value) => self.put_int(id, value),
            Cell::Bool(value) => self.put_int(id, i64::from(value)),
            Cell::Text(text) => self.put_bytes(id, text.as_bytes()),
            Cell::Bytes(bytes) => self.put_bytes(id, bytes),
            Cell::Float4(value) => self.put_fixed(id, INT4, value.to_bits().to_le_bytes()),
            Cell::Float8(value) => self.put_fixed(id, INT8, value.to_bits().to_le_bytes()),
            Cell::Uuid(bytes) => self.put_fixed(id, SIXTEEN, bytes),
            Cell::Interval(value) => self.put_fixed(id, SIXTEEN, interval_bytes(value)),
            Cell::Numeric(value) => self.put_numeric(id, value),
            Cell::Other(datum) => {
                let mut bytes = Vec::new();
                put_other(datum, &mut bytes);
                self.put_bytes(id, &bytes);
            }
        }
    }

    #[inline]
    fn put_fixed<const N: usize>(&mut self, id: u16, kind: u8, bytes: [u8; N]) {
        if bytes == [0; N] {
            self.header(id, ZERO);
        } else {
            self.header(id, kind);
            self.out.extend_from_slice(&bytes);
        }
    }

    #[inline]
    fn put_int(&mut self, id: u16, value: i64) {
        if value == 0 {
            self.header(id, ZERO);
        } else if let Ok(narrow) = i8::try_from(value) {
            self.header(id, INT1);
            self.out.push(narrow as u8);
        } else if let Ok(narrow) = i16::try_from(value) {
            self.header(id, INT2);
            self.out.extend_from_slice(&narrow.to_le_bytes());
        } else if let Ok(narrow) = i32::try_from(value) {
            self.header(id, INT4);
            self.out.extend_from_slice(&narrow.to_le_bytes());
        } else {
            self.header(id, INT8);
            self.out.extend_from_slice(&value.to_le_bytes());
        }
    }

    #[inline]
    fn put_bytes(&mut self, id: u16, bytes: &[u8]) {
        if bytes.is_empty() {
            self.header(id, ZERO);
        } else {
            self.header(id, BYTES);
            put_length(bytes.len(), self.out);
            self.out.extend_from_slice(bytes);
        }
    }

    fn put_numeric(&mut self, id: u16, value: &Numeric) {
        let mut bytes = [0u8; 24];
        let (scale, coefficient) = match value {
            Numeric::Small(small) => (small.scale(), small.coefficient()),
            other => {
                let mut bytes = Vec::new();
                put_numeric(other, &mut bytes);
                return self.put_bytes(id, &bytes);
            }
        };
        if scale == 0 && coefficient == 0 {
            return self.header(id, ZERO);
        }
        let scale_length = scale_bytes(scale, &mut bytes);
        let coefficient_length = minimal_length(coefficient);
        bytes[scale_length..scale_length + 16].copy_from_slice(&coefficient.to_le_bytes());
        self.put_bytes(id, &bytes[..scale_length + coefficient_length]);
    }
}

#[inline]
fn put_length(mut length: usize, out: &mut Vec<u8>) {
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
}

fn interval_bytes(value: Interval) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&value.months.to_le_bytes());
    bytes[4..8].copy_from_slice(&value.days.to_le_bytes());
    bytes[8..].copy_from_slice(&value.microseconds.to_le_bytes());
    bytes
}

/// Writes a scale to the front of `bytes`; says how many bytes it took.
#[inline]
fn scale_bytes(scale: u16, bytes: &mut [u8; 24]) -> usize {
    if scale < u16::from(SCALE_WIDE) {
        bytes[0] = scale as u8;
        return 1;
    }
    bytes[0] = SCALE_WIDE;
    bytes[1..3].copy_from_slice(&scale.to_le_bytes());
    3
}

/// Bytes of two's complement that hold a number; none for zero.
#[inline]
fn minimal_length(value: i128) -> usize {
    if value == 0 {
        return 0;
    }
    let magnitude = if value < 0 { !value } else { value };
    (128 - magnitude.leading_zeros() as usize) / 8 + 1
}

fn put_numeric(value: &Numeric, out: &mut Vec<u8>) {
    match value {
        Numeric::NaN => out.push(SCALE_NAN),
        Numeric::Infinity => out.push(SCALE_INFINITY),
        Numeric::NegativeInfinity => out.push(SCALE_NEGATIVE_INFINITY),
        Numeric::Small(small) => {
            let mut bytes = [0u8; 24];
            let length = scale_bytes(small.scale(), &mut bytes);
            out.extend_from_slice(&bytes[..length]);
            out.extend_from_slice(&small.coefficient().to_le_bytes()[..minimal_length(small.coefficient())]);
        }
        Numeric::Big(big) => {
            let mut bytes = [0u8; 24];
            let length = scale_bytes(big.scale, &mut bytes);
            out.extend_from_slice(&bytes[..length]);
            out.extend_from_slice(&big.coefficient.to_le_bytes());
        }
    }
}

fn put_other(datum: &Datum, out: &mut Vec<u8>) {
    match datum {
        Datum::TimeTz(time) => {
            out.extend_from_slice(&time.microseconds.to_le_bytes());
            out.extend_from_slice(&time.zone_west_seconds.to_le_bytes());
        }
        Datum::Bits(bits) => {
            out.extend_from_slice(&bits.length.to_le_bytes());
            out.extend_from_slice(&bits.bytes);
        }
        Datum::Jsonb(text) => out.extend_from_slice(text.as_bytes()),
        Datum::Array(array) => {
            out.extend_from_slice(&array.element_oid.to_le_bytes());
            out.push(array.dimensions.len() as u8);
            for (length, lower_bound) in &array.dimensions {
                out.extend_from_slice(&length.to_le_bytes());
                out.extend_from_slice(&lower_bound.to_le_bytes());
            }
            if DataType::from_oid(array.element_oid).is_none() {
                put_types(&array.elements, out);
            }
            put_sequence(&array.elements, out);
        }
        Datum::Record(fields) => {
            out.extend_from_slice(&(fields.len() as u16).to_le_bytes());
            put_types(fields, out);
            put_sequence(fields, out);
        }
        _ => unreachable!("every other kind has a cell of its own"),
    }
}

/// The type that each value shows: for the row, of whatever type a user made, to be read without the catalog.
fn put_types(values: &[Datum], out: &mut Vec<u8>) {
    for value in values {
        out.extend_from_slice(&crate::cell::apparent_type(value).oid().to_le_bytes());
    }
}

/// A count, then every value as a column at distance 1: ids do not matter.
fn put_sequence(values: &[Datum], out: &mut Vec<u8>) {
    out.extend_from_slice(&(values.len() as u32).to_le_bytes());
    let mut writer = ValueWriter { out, previous: 0 };
    for value in values {
        writer.previous = 0;
        writer.put(1, Cell::of_datum(value));
    }
}

// ------------------------------------------------------------------------------------------------------ reading

/// A stored column: its kind and its payload.
#[derive(Clone, Copy)]
pub(super) struct Stored<'a> {
    kind: u8,
    bytes: &'a [u8],
}

/// Reads columns in order of id.
pub(super) struct ValueReader<'a> {
    rest: &'a [u8],
    id: u16,
}

impl<'a> ValueReader<'a> {
    #[inline]
    pub fn new(value: &'a [u8]) -> PgResult<Self> {
        match value.split_first() {
            Some((&VERSION, rest)) => Ok(ValueReader { rest, id: 0 }),
            Some((&version, _)) => Err(corrupted(format!("its value has format {version}"))),
            None => Err(truncated()),
        }
    }

    /// The next column and its id; `None` at the end.
    #[inline]
    pub fn next(&mut self) -> PgResult<Option<(u16, Stored<'a>)>> {
        let Some((&header, rest)) = self.rest.split_first() else { return Ok(None) };
        self.rest = rest;
        let mut distance = u16::from(header >> 3);
        if header >> 3 == DISTANCE_EXTENDED {
            distance = u16::from_le_bytes(self.take(2)?.try_into().expect("two bytes"));
        }
        self.id = self.id.checked_add(distance).ok_or_else(|| corrupted("a column id is out of range"))?;
        let kind = header & 7;
        let bytes = match kind {
            NULL | ZERO => &[],
            INT1 => self.take(1)?,
            INT2 => self.take(2)?,
            INT4 => self.take(4)?,
            INT8 => self.take(8)?,
            SIXTEEN => self.take(16)?,
            _ => {
                let length = self.length()?;
                self.take(length)?
            }
        };
        Ok(Some((self.id, Stored { kind, bytes })))
    }

    #[inline]
    fn take(&mut self, count: usize) -> PgResult<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or_else(truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    fn length(&mut self) -> PgResult<usize> {
        let mut length = 0;
        for shift in (0..35).step_by(7) {
            let byte = self.take(1)?[0];
            length |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(length);
            }
        }
        Err(corrupted("a length is out of range"))
    }
}

fn wrong_kind() -> PgError {
    corrupted("a column is not of its type")
}

impl<'a> Stored<'a> {
    pub fn is_null(&self) -> bool {
        self.kind == NULL
    }

    #[inline]
    fn int(self) -> PgResult<i64> {
        Ok(match (self.kind, self.bytes) {
            (ZERO, _) => 0,
            (INT1, &[byte]) => i64::from(byte as i8),
            (INT2, &[a, b]) => i64::from(i16::from_le_bytes([a, b])),
            (INT4, bytes) => i64::from(i32::from_le_bytes(bytes.try_into().map_err(|_| wrong_kind())?)),
            (INT8, bytes) => i64::from_le_bytes(bytes.try_into().map_err(|_| wrong_kind())?),
            _ => return Err(wrong_kind()),
        })
    }

    #[inline]
    fn narrow<T: TryFrom<i64>>(self) -> PgResult<T> {
        T::try_from(self.int()?).map_err(|_| wrong_kind())
    }

    #[inline]
    fn payload(self) -> PgResult<&'a [u8]> {
        match self.kind {
            BYTES | ZERO => Ok(self.bytes),
            _ => Err(wrong_kind()),
        }
    }

    #[inline]
    fn text(self) -> PgResult<&'a str> {
        std::str::from_utf8(self.payload()?).map_err(corrupted)
    }

    #[inline]
    fn float4(self) -> PgResult<f32> {
        match (self.kind, self.bytes.try_into()) {
            (ZERO, _) => Ok(0.0),
            (INT4, Ok(bytes)) => Ok(f32::from_le_bytes(bytes)),
            _ => Err(wrong_kind()),
        }
    }

    #[inline]
    fn float8(self) -> PgResult<f64> {
        match (self.kind, self.bytes.try_into()) {
            (ZERO, _) => Ok(0.0),
            (INT8, Ok(bytes)) => Ok(f64::from_le_bytes(bytes)),
            _ => Err(wrong_kind()),
        }
    }

    #[inline]
    fn sixteen(self) -> PgResult<[u8; 16]> {
        match self.kind {
            ZERO => Ok([0; 16]),
            SIXTEEN => self.bytes.try_into().map_err(|_| wrong_kind()),
            _ => Err(wrong_kind()),
        }
    }

    #[inline]
    fn interval(self) -> PgResult<Interval> {
        let bytes = self.sixteen()?;
        let (months, rest) = bytes.split_first_chunk().expect("sixteen bytes");
        let (days, rest) = rest.split_first_chunk().expect("twelve bytes");
        Ok(Interval {
            months: i32::from_le_bytes(*months),
            days: i32::from_le_bytes(*days),
            microseconds: i64::from_le_bytes(rest.try_into().expect("eight bytes")),
        })
    }

    #[inline]
    fn numeric(self) -> PgResult<Numeric> {
        let bytes = self.payload()?;
        let Some((&first, rest)) = bytes.split_first() else { return Ok(Numeric::ZERO) };
        let (scale, coefficient) = match first {
            SCALE_NAN => return Ok(Numeric::NaN),
            SCALE_INFINITY => return Ok(Numeric::Infinity),
            SCALE_NEGATIVE_INFINITY => return Ok(Numeric::NegativeInfinity),
            SCALE_WIDE => {
                let (wide, rest) = rest.split_first_chunk::<2>().ok_or_else(truncated)?;
                (u16::from_le_bytes(*wide), rest)
            }
            scale => (u16::from(scale), rest),
        };
        if scale > crate::numeric::SCALE_MAX {
            return Err(wrong_kind());
        }
        if coefficient.len() > 16 {
            return Numeric::from_big(IBig::from_le_bytes(coefficient), scale);
        }
        let negative = coefficient.last().is_some_and(|&byte| byte >= 0x80);
        let mut wide = if negative { [0xff; 16] } else { [0; 16] };
        wide[..coefficient.len()].copy_from_slice(coefficient);
        Ok(Numeric::from_i128(i128::from_le_bytes(wide), scale))
    }

    /// Appends the value to a vector.
    #[inline]
    pub fn push_to(self, vector: &mut Vector) -> PgResult<()> {
        if self.is_null() {
            vector.push_null();
            return Ok(());
        }
        match &mut vector.values {
            Values::Bool(v) => v.push(self.int()? != 0),
            Values::Int2(v) => v.push(self.narrow()?),
            Values::Int4(v) => v.push(self.narrow()?),
            Values::Int8(v) => v.push(self.int()?),
            Values::Oid(v) => v.push(self.narrow()?),
            Values::Float4(v) => v.push(self.float4()?),
            Values::Float8(v) => v.push(self.float8()?),
            Values::Numeric(v) => v.push(self.numeric()?),
            Values::Text(v) => v.push(self.text()?),
            Values::Bytes(v) => v.push(self.payload()?),
            Values::Interval(v) => v.push(self.interval()?),
            Values::Uuid(v) => v.push(self.sixteen()?),
            Values::Datum(v) => v.push(self.datum(vector.data_type)?),
        }
        Ok(())
    }

    /// The value as a datum of a type.
    pub fn datum(self, data_type: DataType) -> PgResult<Datum> {
        use DataType as T;
        if self.is_null() {
            return Ok(Datum::Null);
        }
        Ok(match data_type {
            T::Bool => Datum::Bool(self.int()? != 0),
            T::Int2 => Datum::Int2(self.narrow()?),
            T::Int4 => Datum::Int4(self.narrow()?),
            T::Int8 => Datum::Int8(self.int()?),
            T::Date => Datum::Date(self.narrow()?),
            T::Time => Datum::Time(self.int()?),
            T::Timestamp => Datum::Timestamp(self.int()?),
            T::TimestampTz => Datum::TimestampTz(self.int()?),
            T::PgLsn | T::Xid8 | T::Tid => Datum::Unsigned8(self.int()? as u64),
            T::Float4 => Datum::Float4(self.float4()?),
            T::Float8 => Datum::Float8(self.float8()?),
            T::Numeric => Datum::Numeric(self.numeric()?),
            T::Bytea | T::Inet => Datum::Bytes(self.payload()?.into()),
            T::Interval => Datum::Interval(self.interval()?),
            T::Uuid => Datum::Uuid(self.sixteen()?),
            T::TimeTz => timetz(self.payload()?)?,
            T::Bit | T::Varbit => bits(self.payload()?)?,
            T::Jsonb => Datum::Jsonb(self.text()?.into()),
            T::Array(_) | T::Int2Vector | T::OidVector | T::AnyArray => array(self.payload()?)?,
            T::Record | T::Composite(_) => record(self.payload()?)?,
            T::Enum(_) => Datum::Int8(self.int()?),
            T::Domain(_) => return self.datum(data_type.base()),
            other if other.physical() == crate::Physical::Oid => Datum::Oid(self.narrow()?),
            other if other.physical() == crate::Physical::Text => Datum::text(self.text()?),
            other => return Err(PgError::unsupported(format!("a stored column of type {other}"))),
        })
    }
}

fn timetz(bytes: &[u8]) -> PgResult<Datum> {
    let (time, zone) = bytes.split_first_chunk().ok_or_else(truncated)?;
    Ok(Datum::TimeTz(TimeTz {
        microseconds: i64::from_le_bytes(*time),
        zone_west_seconds: i32::from_le_bytes(zone.try_into().map_err(|_| truncated())?),
    }))
}

fn bits(bytes: &[u8]) -> PgResult<Datum> {
    let (length, bytes) = bytes.split_first_chunk().ok_or_else(truncated)?;
    let length = u32::from_le_bytes(*length);
    if bytes.len() != (length as usize).div_ceil(8) {
        return Err(wrong_kind());
    }
    Ok(Datum::Bits(Box::new(BitString { length, bytes: bytes.to_vec() })))
}

fn take_u32(bytes: &mut &[u8]) -> PgResult<u32> {
    let (head, rest) = bytes.split_first_chunk().ok_or_else(truncated)?;
    *bytes = rest;
    Ok(u32::from_le_bytes(*head))
}

fn array(mut bytes: &[u8]) -> PgResult<Datum> {
    let element_oid = take_u32(&mut bytes)?;
    let (&count, mut rest) = bytes.split_first().ok_or_else(truncated)?;
    let mut dimensions = Vec::with_capacity(usize::from(count));
    for _ in 0..count {
        dimensions.push((take_u32(&mut rest)? as i32, take_u32(&mut rest)? as i32));
    }
    let elements = match DataType::from_oid(element_oid) {
        Some(element) => sequence(rest, |_| Ok(element))?,
        None => {
            let count = dimensions.iter().map(|(length, _)| *length as usize).product::<usize>();
            let count = if dimensions.is_empty() { 0 } else { count };
            let types = take_types(&mut rest, count)?;
            sequence(rest, |position| types.get(position).copied().ok_or_else(wrong_kind))?
        }
    };
    Ok(Datum::Array(Box::new(ArrayValue { element_oid, dimensions, elements })))
}

fn take_types(bytes: &mut &[u8], count: usize) -> PgResult<Vec<DataType>> {
    // Each takes four bytes: a count beyond that is not believed.
    if count > bytes.len() / 4 {
        return Err(truncated());
    }
    // An array or a record within shows its own type again when it is read.
    let named = |oid| DataType::from_oid(oid).unwrap_or(DataType::AnyArray);
    (0..count).map(|_| take_u32(bytes).map(named)).collect()
}

fn record(bytes: &[u8]) -> PgResult<Datum> {
    let (count, mut rest) = bytes.split_first_chunk().ok_or_else(truncated)?;
    let types = take_types(&mut rest, usize::from(u16::from_le_bytes(*count)))?;
    let fields = sequence(rest, |position| types.get(position).copied().ok_or_else(wrong_kind))?;
    Ok(Datum::record(fields, None))
}

fn sequence(mut bytes: &[u8], type_of: impl Fn(usize) -> PgResult<DataType>) -> PgResult<Vec<Datum>> {
    let count = take_u32(&mut bytes)? as usize;
    // Every value takes a byte at least: a count beyond that is not believed.
    if count > bytes.len() {
        return Err(truncated());
    }
    let mut reader = ValueReader { rest: bytes, id: 0 };
    let mut values = Vec::with_capacity(count);
    for position in 0..count {
        reader.id = 0;
        let (_, stored) = reader.next()?.ok_or_else(truncated)?;
        values.push(stored.datum(type_of(position)?)?);
    }
    Ok(values)
}
