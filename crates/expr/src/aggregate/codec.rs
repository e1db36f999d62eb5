//! Partial states as bytes: fixed-width little-endian numbers and length-prefixed strings. Private to one version.

use types::{ColumnType, DataType, Datum, FormatContext, Numeric, PgError, PgResult, format};

/// Reads what the `put_*` functions wrote.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

fn truncated() -> PgError {
    PgError::internal("a partial aggregate state is truncated")
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    fn take(&mut self, count: usize) -> PgResult<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(count).ok_or_else(truncated)?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> PgResult<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| truncated())
    }

    pub(super) fn byte(&mut self) -> PgResult<u8> {
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn flag(&mut self) -> PgResult<bool> {
        Ok(self.byte()? != 0)
    }

    pub(super) fn i64(&mut self) -> PgResult<i64> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    pub(super) fn i128(&mut self) -> PgResult<i128> {
        Ok(i128::from_le_bytes(self.array()?))
    }

    pub(super) fn f64(&mut self) -> PgResult<f64> {
        Ok(f64::from_le_bytes(self.array()?))
    }

    pub(super) fn bytes(&mut self) -> PgResult<&'a [u8]> {
        let length = u32::from_le_bytes(self.array()?);
        self.take(length as usize)
    }

    pub(super) fn numeric(&mut self) -> PgResult<Numeric> {
        Numeric::from_binary(self.bytes()?)
    }

    /// A datum of a known type.
    pub(super) fn datum(&mut self, data_type: DataType) -> PgResult<Datum> {
        if !self.flag()? {
            return Ok(Datum::Null);
        }
        let context = FormatContext::default();
        format::parse_binary(held_as(data_type), ColumnType::NO_MODIFIER, self.bytes()?, &context)
    }
}

/// The built-in type whose format a value is kept in: an enum's place is a number.
fn held_as(data_type: DataType) -> DataType {
    match data_type.base() {
        DataType::Enum(_) => DataType::Int8,
        other => other,
    }
}

pub(super) fn put_bytes(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    write(out);
    let length = (out.len() - at - 4) as u32;
    out[at..at + 4].copy_from_slice(&length.to_le_bytes());
}

pub(super) fn put_numeric(out: &mut Vec<u8>, value: &Numeric) {
    put_bytes(out, |out| value.write_binary(out));
}

pub(super) fn put_datum(out: &mut Vec<u8>, value: &Datum, data_type: DataType) {
    out.push(u8::from(!value.is_null()));
    if !value.is_null() {
        let context = FormatContext::default();
        let data_type = held_as(data_type);
        put_bytes(out, |out| {
            format::write_datum_binary(value, data_type, ColumnType::NO_MODIFIER, &context, out);
        });
    }
}
