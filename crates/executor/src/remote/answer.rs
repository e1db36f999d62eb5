//! What a fragment answers: batches, and the error at which it stopped.

use kvapi::wire::{Malformed, Reader, Writer};
use types::{BATCH_ROWS_MAX, Batch, DataType, PgError, SqlState};

use super::VERSION;
use super::expression::{flag, put_text, text};
use crate::spill::codec;

/// - `error` came after the batches.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub batches: Vec<Batch>,
    pub error: Option<PgError>,
}

impl Answer {
    pub fn encode(&self) -> Vec<u8> {
        let size: usize = self.batches.iter().map(Batch::memory_size).sum();
        let mut bytes = Vec::with_capacity(size + 64);
        let mut to = Writer(&mut bytes);
        to.u8(VERSION);
        to.count(self.batches.len());
        let mut batch_bytes = Vec::new();
        for batch in &self.batches {
            batch_bytes.clear();
            codec::encode(batch, &mut batch_bytes);
            to.bytes(&batch_bytes);
        }
        to.u8(u8::from(self.error.is_some()));
        if let Some(error) = &self.error {
            put_error(&mut to, error);
        }
        bytes
    }

    /// Reads what another node has sent: rows of these types.
    pub fn decode(bytes: &[u8], types: &[DataType]) -> Result<Answer, PgError> {
        let damaged = |error: Malformed| PgError::internal(format!("the answer of a node: {error}"));
        let mut reader = Reader(bytes);
        let from = &mut reader;
        if from.u8().map_err(damaged)? != VERSION {
            return Err(damaged(Malformed("a version of another time")));
        }
        let mut batches = Vec::new();
        for _ in 0..from.count().map_err(damaged)? {
            let batch = codec::decode(from.bytes().map_err(damaged)?, types)?;
            if batch.rows == 0 || batch.rows > BATCH_ROWS_MAX {
                return Err(damaged(Malformed("rows of a batch")));
            }
            batches.push(batch);
        }
        let error = if flag(from).map_err(damaged)? { Some(error(from).map_err(damaged)?) } else { None };
        reader.finish().map_err(damaged)?;
        Ok(Answer { batches, error })
    }
}

fn put_error(to: &mut Writer<'_>, error: &PgError) {
    let fields = error.fields();
    to.0.extend_from_slice(&fields.code.0);
    put_text(to, &fields.message);
    to.u8(u8::from(fields.position.is_some()));
    to.u32(fields.position.unwrap_or(0));
    let optional = [
        &fields.detail,
        &fields.hint,
        &fields.context,
        &fields.schema,
        &fields.table,
        &fields.column,
        &fields.data_type,
        &fields.constraint,
    ];
    for field in optional {
        to.u8(u8::from(field.is_some()));
        if let Some(value) = field {
            put_text(to, value);
        }
    }
}

fn error(from: &mut Reader<'_>) -> Result<PgError, Malformed> {
    let code: [u8; 5] = from.take(5)?.try_into().map_err(|_| Malformed("SQLSTATE"))?;
    if !code.iter().all(u8::is_ascii_alphanumeric) {
        return Err(Malformed("SQLSTATE"));
    }
    let mut error = PgError::new(SqlState(code), text(from)?);
    let is_placed = flag(from)?;
    let position = from.u32()?;
    let mut optional = [const { None }; 8];
    for field in &mut optional {
        *field = if flag(from)? { Some(text(from)?.to_string()) } else { None };
    }
    let fields = error.fields_mut();
    fields.position = is_placed.then_some(position);
    let [detail, hint, context, schema, table, column, data_type, constraint] = optional;
    (fields.detail, fields.hint, fields.context) = (detail, hint, context);
    (fields.schema, fields.table, fields.column) = (schema, table, column);
    (fields.data_type, fields.constraint) = (data_type, constraint);
    Ok(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{Datum, Vector};

    fn answer() -> Answer {
        let column = Vector::from_datums(DataType::Text, &[Datum::text("a"), Datum::Null]);
        let error = PgError::new(SqlState::DIVISION_BY_ZERO, "division by zero").detail("why").at(7);
        Answer { batches: vec![Batch::new(vec![column], 2)], error: Some(error.column("c")) }
    }

    #[test]
    fn rows_and_the_error_behind_them_arrive_as_they_were() {
        let bytes = answer().encode();
        let read = Answer::decode(&bytes, &[DataType::Text]).expect("it is read");
        assert_eq!(read.batches[0].row(0), [Datum::text("a")]);
        assert_eq!(read.batches[0].row(1), [Datum::Null]);
        assert_eq!(read.error, answer().error);
        assert_eq!(
            stdx::hash::fingerprint(&bytes),
            8_839_078_349_662_700_388,
            "the format is frozen: a change is another version"
        );
    }

    #[test]
    fn damage_is_refused_or_read_but_never_worse() {
        let bytes = answer().encode();
        for at in 0..bytes.len() {
            assert!(Answer::decode(&bytes[..at], &[DataType::Text]).is_err());
            for byte in [0, 1, 2, 0x7f, 0xff] {
                let mut damaged = bytes.clone();
                damaged[at] = byte;
                drop(Answer::decode(&damaged, &[DataType::Text]));
                drop(Answer::decode(&damaged, &[DataType::Record, DataType::Numeric]));
            }
        }
    }
}
