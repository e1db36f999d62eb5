//! Batches as bytes, for temporary files and for what travels between nodes within a statement. Never stored beyond the statement: the
//! format may change, together with the version of what travels ([`crate::remote`]). Bytes of another node may be anything: they are
//! read or refused, and nothing is allocated that they do not account for.
//!
//! A batch: the number of rows, then each column: a byte whether there are NULL marks (and one byte a row if so), then the
//! values in the layout of their physical kind. Variable-length values carry their length before them.

use std::sync::Arc;
use types::descriptor::{decode_type, encode_type};
use types::{
    ArrayValue, Batch, BitString, ColumnType, DataType, Datum, Interval, Numeric, PgError, PgResult, RowType,
    TimeTz, Values, Vector,
};

fn put_u32(out: &mut Vec<u8>, value: usize) {
    out.extend_from_slice(&(value as u32).to_le_bytes());
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_u32(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// Appends a batch.
pub(crate) fn encode(batch: &Batch, out: &mut Vec<u8>) {
    put_u32(out, batch.rows);
    for column in &batch.columns {
        encode_column(column, out);
    }
}

macro_rules! put_fixed {
    ($out:expr, $values:expr) => {
        for value in $values {
            $out.extend_from_slice(&value.to_le_bytes());
        }
    };
}

fn encode_column(column: &Vector, out: &mut Vec<u8>) {
    let rows = column.len();
    out.push(u8::from(column.nulls.any()));
    if column.nulls.any() {
        out.extend((0..rows).map(|row| u8::from(column.is_null(row))));
    }
    match &column.values {
        Values::Bool(v) => out.extend(v.iter().map(|value| u8::from(*value))),
        Values::Int2(v) => put_fixed!(out, v),
        Values::Int4(v) => put_fixed!(out, v),
        Values::Int8(v) => put_fixed!(out, v),
        Values::Oid(v) => put_fixed!(out, v),
        Values::Float4(v) => put_fixed!(out, v),
        Values::Float8(v) => put_fixed!(out, v),
        Values::Numeric(v) => v.iter().for_each(|value| put_numeric(out, value)),
        Values::Text(v) => (0..rows).for_each(|row| put_bytes(out, v.get(row).as_bytes())),
        Values::Bytes(v) => (0..rows).for_each(|row| put_bytes(out, v.get(row))),
        Values::Interval(v) => v.iter().for_each(|value| put_interval(out, value)),
        Values::Uuid(v) => v.iter().for_each(|value| out.extend_from_slice(value)),
        Values::Datum(v) => v.iter().for_each(|value| put_datum(out, value)),
    }
}

fn put_numeric(out: &mut Vec<u8>, value: &Numeric) {
    match value {
        Numeric::Small(small) => {
            out.push(0);
            out.extend_from_slice(&small.coefficient().to_le_bytes());
            out.extend_from_slice(&small.scale().to_le_bytes());
        }
        other => {
            out.push(1);
            let mut text = Vec::new();
            other.write_text(&mut text);
            put_bytes(out, &text);
        }
    }
}

fn put_interval(out: &mut Vec<u8>, value: &Interval) {
    out.extend_from_slice(&value.months.to_le_bytes());
    out.extend_from_slice(&value.days.to_le_bytes());
    out.extend_from_slice(&value.microseconds.to_le_bytes());
}

fn put_datum(out: &mut Vec<u8>, datum: &Datum) {
    macro_rules! put {
        ($tag:literal, $bytes:expr) => {{
            out.push($tag);
            out.extend_from_slice($bytes);
        }};
    }
    match datum {
        Datum::Null => out.push(0),
        Datum::Bool(x) => put!(1, &[u8::from(*x)]),
        Datum::Int2(x) => put!(2, &x.to_le_bytes()),
        Datum::Int4(x) => put!(3, &x.to_le_bytes()),
        Datum::Int8(x) => put!(4, &x.to_le_bytes()),
        Datum::Float4(x) => put!(5, &x.to_le_bytes()),
        Datum::Float8(x) => put!(6, &x.to_le_bytes()),
        Datum::Numeric(x) => {
            out.push(7);
            put_numeric(out, x);
        }
        Datum::Text(x) => {
            out.push(8);
            put_bytes(out, x.as_bytes());
        }
        Datum::Bytes(x) => {
            out.push(9);
            put_bytes(out, x);
        }
        Datum::Date(x) => put!(10, &x.to_le_bytes()),
        Datum::Time(x) => put!(11, &x.to_le_bytes()),
        Datum::TimeTz(x) => {
            put!(12, &x.microseconds.to_le_bytes());
            out.extend_from_slice(&x.zone_west_seconds.to_le_bytes());
        }
        Datum::Timestamp(x) => put!(13, &x.to_le_bytes()),
        Datum::TimestampTz(x) => put!(14, &x.to_le_bytes()),
        Datum::Interval(x) => {
            out.push(15);
            put_interval(out, x);
        }
        Datum::Uuid(x) => put!(16, x),
        Datum::Oid(x) => put!(17, &x.to_le_bytes()),
        Datum::Unsigned8(x) => put!(18, &x.to_le_bytes()),
        Datum::Array(x) => {
            out.push(19);
            out.extend_from_slice(&x.element_oid.to_le_bytes());
            put_u32(out, x.dimensions.len());
            for (length, lower) in &x.dimensions {
                out.extend_from_slice(&length.to_le_bytes());
                out.extend_from_slice(&lower.to_le_bytes());
            }
            put_datums(out, &x.elements);
        }
        Datum::Record(x) => {
            out.push(20);
            put_row_type(out, x.row_type.as_deref());
            put_datums(out, &x.fields);
        }
        Datum::Bits(x) => {
            out.push(21);
            put_u32(out, x.length as usize);
            put_bytes(out, &x.bytes);
        }
        Datum::Jsonb(x) => {
            out.push(22);
            put_bytes(out, x.as_bytes());
        }
    }
}

fn put_datums(out: &mut Vec<u8>, datums: &[Datum]) {
    put_u32(out, datums.len());
    datums.iter().for_each(|datum| put_datum(out, datum));
}

/// Whether there is one, then the columns: name, modifier, type.
fn put_row_type(out: &mut Vec<u8>, row: Option<&RowType>) {
    out.push(u8::from(row.is_some()));
    let Some(row) = row else { return };
    put_u32(out, row.columns.len());
    for (name, column) in &row.columns {
        let (oid, kind) = encode_type(column.data_type);
        put_bytes(out, name.as_bytes());
        out.extend_from_slice(&column.typmod.to_le_bytes());
        out.extend_from_slice(&oid.to_le_bytes());
        put_bytes(out, kind.as_bytes());
    }
}

/// Reads a batch with columns of these types.
pub(crate) fn decode(bytes: &[u8], types: &[DataType]) -> PgResult<Batch> {
    let mut reader = Reader { bytes, depth: 0 };
    let rows = reader.length()?;
    let columns = types.iter().map(|data_type| reader.column(*data_type, rows)).collect::<PgResult<_>>()?;
    if !reader.bytes.is_empty() {
        return Err(damaged());
    }
    Ok(Batch { columns, rows })
}

/// Appends a value.
pub(crate) fn encode_datum(datum: &Datum, out: &mut Vec<u8>) {
    put_datum(out, datum);
}

/// Reads a value, and nothing after it.
pub(crate) fn decode_datum(bytes: &[u8]) -> PgResult<Datum> {
    let mut reader = Reader { bytes, depth: 0 };
    let datum = reader.datum()?;
    if reader.bytes.is_empty() { Ok(datum) } else { Err(damaged()) }
}

/// Values within values: arrays of rows of arrays.
const DEPTH_MAX: u32 = 64;

struct Reader<'a> {
    bytes: &'a [u8],
    depth: u32,
}

fn damaged() -> PgError {
    PgError::internal("rows in bytes do not hold what was written to them")
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> PgResult<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or_else(damaged)?;
        self.bytes = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> PgResult<[u8; N]> {
        Ok(self.take(N)?.try_into().expect("as many bytes as were taken"))
    }

    fn byte(&mut self) -> PgResult<u8> {
        Ok(self.take(1)?[0])
    }

    fn length(&mut self) -> PgResult<usize> {
        Ok(u32::from_le_bytes(self.array()?) as usize)
    }

    fn bytes(&mut self) -> PgResult<&'a [u8]> {
        let length = self.length()?;
        self.take(length)
    }

    fn text(&mut self) -> PgResult<&'a str> {
        std::str::from_utf8(self.bytes()?).map_err(|_| damaged())
    }

    fn many<T, const N: usize>(&mut self, rows: usize, from: fn([u8; N]) -> T) -> PgResult<Vec<T>> {
        let bytes = self.take(rows.checked_mul(N).ok_or_else(damaged)?)?;
        Ok(bytes.chunks_exact(N).map(|chunk| from(chunk.try_into().expect("a chunk of N"))).collect())
    }

    fn column(&mut self, data_type: DataType, rows: usize) -> PgResult<Vector> {
        // Every value takes a byte at least.
        if rows > self.bytes.len() {
            return Err(damaged());
        }
        let mut vector = Vector::with_capacity(data_type, rows);
        if self.byte()? != 0 {
            for (row, mark) in self.take(rows)?.iter().enumerate() {
                if *mark != 0 {
                    vector.nulls.set_null(row);
                }
            }
        }
        match &mut vector.values {
            Values::Bool(v) => *v = self.many(rows, |[byte]: [u8; 1]| byte != 0)?,
            Values::Int2(v) => *v = self.many(rows, i16::from_le_bytes)?,
            Values::Int4(v) => *v = self.many(rows, i32::from_le_bytes)?,
            Values::Int8(v) => *v = self.many(rows, i64::from_le_bytes)?,
            Values::Oid(v) => *v = self.many(rows, u32::from_le_bytes)?,
            Values::Float4(v) => *v = self.many(rows, f32::from_le_bytes)?,
            Values::Float8(v) => *v = self.many(rows, f64::from_le_bytes)?,
            Values::Uuid(v) => *v = self.many(rows, |bytes| bytes)?,
            Values::Text(v) => {
                for _ in 0..rows {
                    v.push(self.text()?);
                }
            }
            Values::Bytes(v) => {
                for _ in 0..rows {
                    v.push(self.bytes()?);
                }
            }
            Values::Numeric(v) => {
                for _ in 0..rows {
                    v.push(self.numeric()?);
                }
            }
            Values::Interval(v) => {
                for _ in 0..rows {
                    v.push(self.interval()?);
                }
            }
            Values::Datum(v) => {
                for _ in 0..rows {
                    v.push(self.datum()?);
                }
            }
        }
        Ok(vector)
    }

    fn numeric(&mut self) -> PgResult<Numeric> {
        if self.byte()? == 0 {
            let coefficient = i128::from_le_bytes(self.array()?);
            Ok(Numeric::from_i128(coefficient, u16::from_le_bytes(self.array()?)))
        } else {
            Numeric::parse(self.text()?)
        }
    }

    fn interval(&mut self) -> PgResult<Interval> {
        Ok(Interval {
            months: i32::from_le_bytes(self.array()?),
            days: i32::from_le_bytes(self.array()?),
            microseconds: i64::from_le_bytes(self.array()?),
        })
    }

    fn datums(&mut self) -> PgResult<Vec<Datum>> {
        let count = self.length()?;
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(damaged());
        }
        let datums = (0..count).map(|_| self.datum()).collect();
        self.depth -= 1;
        datums
    }

    fn row_type(&mut self) -> PgResult<Option<Arc<RowType>>> {
        if self.byte()? == 0 {
            return Ok(None);
        }
        let count = self.length()?;
        let mut columns = Vec::new();
        for _ in 0..count {
            let name = self.text()?.into();
            let typmod = i32::from_le_bytes(self.array()?);
            let oid = u32::from_le_bytes(self.array()?);
            let data_type = decode_type(oid, self.text()?).ok_or_else(damaged)?;
            columns.push((name, ColumnType::new(data_type, typmod)));
        }
        Ok(Some(Arc::new(RowType { columns })))
    }

    fn datum(&mut self) -> PgResult<Datum> {
        Ok(match self.byte()? {
            0 => Datum::Null,
            1 => Datum::Bool(self.byte()? != 0),
            2 => Datum::Int2(i16::from_le_bytes(self.array()?)),
            3 => Datum::Int4(i32::from_le_bytes(self.array()?)),
            4 => Datum::Int8(i64::from_le_bytes(self.array()?)),
            5 => Datum::Float4(f32::from_le_bytes(self.array()?)),
            6 => Datum::Float8(f64::from_le_bytes(self.array()?)),
            7 => Datum::Numeric(self.numeric()?),
            8 => Datum::text(self.text()?),
            9 => Datum::Bytes(self.bytes()?.into()),
            10 => Datum::Date(i32::from_le_bytes(self.array()?)),
            11 => Datum::Time(i64::from_le_bytes(self.array()?)),
            12 => Datum::TimeTz(TimeTz {
                microseconds: i64::from_le_bytes(self.array()?),
                zone_west_seconds: i32::from_le_bytes(self.array()?),
            }),
            13 => Datum::Timestamp(i64::from_le_bytes(self.array()?)),
            14 => Datum::TimestampTz(i64::from_le_bytes(self.array()?)),
            15 => Datum::Interval(self.interval()?),
            16 => Datum::Uuid(self.array()?),
            17 => Datum::Oid(u32::from_le_bytes(self.array()?)),
            18 => Datum::Unsigned8(u64::from_le_bytes(self.array()?)),
            19 => Datum::Array(Box::new(self.array_value()?)),
            20 => {
                let row_type = self.row_type()?;
                Datum::record(self.datums()?, row_type)
            }
            21 => {
                let length = self.length()? as u32;
                Datum::Bits(Box::new(BitString { length, bytes: self.bytes()?.to_vec() }))
            }
            22 => Datum::Jsonb(self.text()?.into()),
            _ => return Err(damaged()),
        })
    }

    fn array_value(&mut self) -> PgResult<ArrayValue> {
        let element_oid = u32::from_le_bytes(self.array()?);
        let count = self.length()?;
        let mut dimensions = Vec::with_capacity(count.min(6));
        for _ in 0..count {
            dimensions.push((i32::from_le_bytes(self.array()?), i32::from_le_bytes(self.array()?)));
        }
        Ok(ArrayValue { element_oid, dimensions, elements: self.datums()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_back() {
        let array = ArrayValue {
            element_oid: 23,
            dimensions: vec![(2, 1)],
            elements: vec![Datum::Int4(1), Datum::Null],
        };
        let big = Numeric::parse("123456789012345678901234567890123456789012345.50").expect("a number");
        let cases = [
            (DataType::Bool, vec![Datum::Bool(true), Datum::Null]),
            (DataType::Int2, vec![Datum::Int2(-3), Datum::Int2(3)]),
            (DataType::Date, vec![Datum::Date(7), Datum::Null]),
            (DataType::TimestampTz, vec![Datum::TimestampTz(i64::MAX), Datum::TimestampTz(-1)]),
            (DataType::Float8, vec![Datum::Float8(-0.5), Datum::Null]),
            (DataType::Numeric, vec![Datum::Numeric(big), Datum::Numeric(Numeric::from_i128(150, 2))]),
            (DataType::Text, vec![Datum::text("häß"), Datum::text("")]),
            (DataType::Bytea, vec![Datum::Bytes([0, 255].into()), Datum::Null]),
            (DataType::Uuid, vec![Datum::Uuid([7; 16]), Datum::Uuid([0; 16])]),
            (
                DataType::Interval,
                vec![Datum::Interval(Interval { months: 1, days: -2, microseconds: 3 }), Datum::Null],
            ),
            (DataType::array_of(DataType::Int4), vec![Datum::Array(Box::new(array)), Datum::Null]),
            (DataType::Record, vec![Datum::record(vec![Datum::Oid(3), Datum::text("x")], None), Datum::Null]),
        ];
        let columns: Vec<Vector> =
            cases.iter().map(|(data_type, datums)| Vector::from_datums(*data_type, datums)).collect();
        let batch = Batch::new(columns, 2);
        let mut bytes = Vec::new();
        encode(&batch, &mut bytes);
        let types: Vec<DataType> = cases.iter().map(|(data_type, _)| *data_type).collect();
        let decoded = decode(&bytes, &types).expect("decodes");
        assert_eq!((decoded.row(0), decoded.row(1)), (batch.row(0), batch.row(1)));
        assert!(decode(&bytes[..bytes.len() - 1], &types).is_err());
    }
}
