//! COPY's binary format (PostgreSQL's reference page of COPY, "Binary Format").
//!
//! ```text
//! signature (11 bytes), flags (int32), length of the extension (int32), extension
//! per row: number of fields (int16); per field: its length (int32, -1: NULL) and the value as the protocol has it
//! -1 (int16)
//! ```
//!
//! Output puts the header into one message with the first row, or with the end: clients rely on it.

use std::sync::Arc;

use expr::SessionInfo;
use types::format::{parse_binary, write_binary};
use types::{Batch, ColumnType, PgError, PgResult, SqlState};

use super::batches::Batches;

const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";
/// Flags of which a reader must understand every one.
const CRITICAL_FLAGS: u32 = 0xffff_0000;
/// The critical flag of rows with oids, which are no more.
const WITH_OIDS: u32 = 1 << 16;
/// Longest value, in bytes.
const VALUE_BYTES_MAX: usize = 256 << 20;

fn malformed(message: impl Into<String>) -> PgError {
    PgError::new(SqlState::BAD_COPY_FILE_FORMAT, message)
}

/// Writes rows of given types.
pub struct BinaryRows {
    types: Vec<ColumnType>,
    info: Arc<SessionInfo>,
    header_written: bool,
}

impl BinaryRows {
    pub fn new(types: Vec<ColumnType>, info: Arc<SessionInfo>) -> Self {
        BinaryRows { types, info, header_written: false }
    }

    fn header(&mut self, out: &mut Vec<u8>) {
        if !self.header_written {
            self.header_written = true;
            out.extend_from_slice(SIGNATURE);
            out.extend_from_slice(&[0; 8]);
        }
    }

    pub fn row(&mut self, batch: &Batch, row: usize, out: &mut Vec<u8>) {
        self.header(out);
        out.extend_from_slice(&(batch.columns.len() as i16).to_be_bytes());
        for (vector, column_type) in batch.columns.iter().zip(&self.types) {
            if vector.is_null(row) {
                out.extend_from_slice(&(-1_i32).to_be_bytes());
                continue;
            }
            let length_at = out.len();
            out.extend_from_slice(&[0; 4]);
            write_binary(vector, column_type.typmod, row, &self.info.format, out);
            let length = (out.len() - length_at - 4) as i32;
            out[length_at..length_at + 4].copy_from_slice(&length.to_be_bytes());
        }
    }

    pub fn end(&mut self, out: &mut Vec<u8>) {
        self.header(out);
        out.extend_from_slice(&(-1_i16).to_be_bytes());
    }
}

/// Reads rows of given columns. Input comes in pieces cut anywhere; what is left of an unfinished row waits for the next piece.
pub struct BinaryReader {
    table: String,
    names: Vec<String>,
    info: Arc<SessionInfo>,
    pending: Vec<u8>,
    header_seen: bool,
    ended: bool,
    line: u64,
    batches: Batches,
}

impl BinaryReader {
    pub fn new(table: String, names: Vec<String>, types: Vec<ColumnType>, info: Arc<SessionInfo>) -> Self {
        BinaryReader {
            table,
            names,
            info,
            pending: Vec::new(),
            header_seen: false,
            ended: false,
            line: 0,
            batches: Batches::new(types),
        }
    }

    pub fn feed(&mut self, data: &[u8]) -> PgResult<()> {
        self.pending.extend_from_slice(data);
        let mut at = 0;
        if !self.header_seen {
            match read_header(&self.pending)? {
                None => return Ok(()),
                Some(length) => at = length,
            }
            self.header_seen = true;
        }
        let pending = std::mem::take(&mut self.pending);
        while let Some(next) = self.read_row(&pending, at)? {
            at = next;
        }
        self.pending = pending;
        self.pending.drain(..at);
        Ok(())
    }

    /// The end of the input: the trailer may be missing, half a row may not be there.
    pub fn finish(&mut self) -> PgResult<()> {
        if !self.header_seen {
            let message = match self.pending.len() {
                ..11 => "COPY file signature not recognized",
                11..15 => "invalid COPY file header (missing flags)",
                15..19 => "invalid COPY file header (missing length)",
                _ => "invalid COPY file header (wrong length)",
            };
            return Err(malformed(message));
        }
        if self.pending.is_empty() {
            return Ok(());
        }
        Err(self.at_line(malformed("unexpected EOF in COPY data")))
    }

    pub fn take_batch(&mut self, last: bool) -> Option<Batch> {
        self.batches.take(last)
    }

    fn at_line(&self, error: PgError) -> PgError {
        error.context(format!("COPY {}, line {}", self.table, self.line + 1))
    }

    /// Reads the row at `start` of `input` if all of it is there; answers where the next one begins.
    fn read_row(&mut self, input: &[u8], start: usize) -> PgResult<Option<usize>> {
        let Some(count) = take::<2>(input, start).map(i16::from_be_bytes) else { return Ok(None) };
        if self.ended {
            return Err(self.at_line(malformed("received copy data after EOF marker")));
        }
        if count == -1 {
            self.ended = true;
            return Ok(Some(start + 2));
        }
        if usize::try_from(count).ok() != Some(self.names.len()) {
            let message = format!("row field count is {count}, expected {}", self.names.len());
            return Err(self.at_line(malformed(message)));
        }
        // First whether the row is complete: values are kept only then.
        let Some(end) = self.row_end(input, start + 2)? else { return Ok(None) };
        let mut at = start + 2;
        for position in 0..self.names.len() {
            let length = take::<4>(input, at).map_or(-1, i32::from_be_bytes);
            at += 4;
            let Ok(length) = usize::try_from(length) else {
                self.batches.push_null(position);
                continue;
            };
            let ColumnType { data_type, typmod } = self.batches.column_type(position);
            let value = parse_binary(data_type, typmod, &input[at..at + length], &self.info.format);
            let value = value.map_err(|error| {
                let (table, line, name) = (&self.table, self.line + 1, &self.names[position]);
                error.context(format!("COPY {table}, line {line}, column {name}"))
            })?;
            self.batches.push(position, &value);
            at += length;
        }
        self.line += 1;
        self.batches.end_row();
        Ok(Some(end))
    }

    fn row_end(&self, input: &[u8], mut at: usize) -> PgResult<Option<usize>> {
        for _ in 0..self.names.len() {
            let Some(length) = take::<4>(input, at).map(i32::from_be_bytes) else { return Ok(None) };
            at += 4;
            match usize::try_from(length) {
                Ok(length) if length <= VALUE_BYTES_MAX => at += length,
                Err(_) if length == -1 => {}
                _ => return Err(self.at_line(malformed("invalid field size"))),
            }
        }
        Ok((at <= input.len()).then_some(at))
    }
}

fn take<const N: usize>(input: &[u8], at: usize) -> Option<[u8; N]> {
    input.get(at..at + N)?.try_into().ok()
}

/// The length of the header; `None` if it is not all there.
fn read_header(input: &[u8]) -> PgResult<Option<usize>> {
    let known = input.len().min(SIGNATURE.len());
    if input[..known] != SIGNATURE[..known] {
        return Err(malformed("COPY file signature not recognized"));
    }
    let Some(flags) = take::<4>(input, SIGNATURE.len()).map(u32::from_be_bytes) else { return Ok(None) };
    if flags & WITH_OIDS != 0 {
        return Err(malformed("invalid COPY file header (WITH OIDS)"));
    }
    if flags & CRITICAL_FLAGS != 0 {
        return Err(malformed("unrecognized critical flags in COPY file header"));
    }
    let Some(length) = take::<4>(input, SIGNATURE.len() + 4).map(i32::from_be_bytes) else { return Ok(None) };
    let extension = usize::try_from(length).ok().filter(|length| *length <= VALUE_BYTES_MAX);
    let extension = extension.ok_or_else(|| malformed("invalid COPY file header (missing length)"))?;
    let end = SIGNATURE.len() + 8 + extension;
    Ok((end <= input.len()).then_some(end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{DataType, Datum, Vector};

    fn types() -> Vec<ColumnType> {
        vec![DataType::Int4.into(), DataType::Text.into()]
    }

    fn rows() -> Vec<Vec<Datum>> {
        vec![vec![Datum::Int4(7), Datum::text("x\ty")], vec![Datum::Null, Datum::Null]]
    }

    fn written() -> Vec<u8> {
        let columns = types().into_iter().enumerate().map(|(position, column_type)| {
            let values: Vec<Datum> = rows().iter().map(|row| row[position].clone()).collect();
            Vector::from_datums(column_type.data_type, &values)
        });
        let batch = Batch::new(columns.collect(), 2);
        let mut writer = BinaryRows::new(types(), Arc::default());
        let mut out = Vec::new();
        (0..2).for_each(|row| writer.row(&batch, row, &mut out));
        writer.end(&mut out);
        out
    }

    fn read(pieces: &[&[u8]]) -> PgResult<Vec<Vec<Datum>>> {
        let names = vec!["a".to_string(), "b".to_string()];
        let mut reader = BinaryReader::new("t".into(), names, types(), Arc::default());
        for piece in pieces {
            reader.feed(piece)?;
        }
        reader.finish()?;
        let batch = reader.take_batch(true).unwrap_or_default();
        Ok((0..batch.rows).map(|row| batch.row(row)).collect())
    }

    #[test]
    fn what_is_written_is_read_however_it_is_cut() {
        let all = written();
        assert_eq!(&all[..19], b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0");
        for cut in 0..=all.len() {
            let (first, second) = all.split_at(cut);
            assert_eq!(read(&[first, second]), Ok(rows()), "cut at {cut}");
        }
        // The trailer may be missing.
        assert_eq!(read(&[&all[..all.len() - 2]]), Ok(rows()));
    }

    #[test]
    fn errors_are_postgresqls() {
        let all = written();
        let message = |input: &[u8]| read(&[input]).expect_err("must fail").message().to_string();
        assert_eq!(message(b"PGCOPX"), "COPY file signature not recognized");
        assert_eq!(message(&all[..13]), "invalid COPY file header (missing flags)");
        assert_eq!(message(&all[..25]), "unexpected EOF in COPY data");
        let with = |from: usize, bytes: &[u8]| {
            let mut changed = all.clone();
            changed[from..from + bytes.len()].copy_from_slice(bytes);
            changed
        };
        assert_eq!(message(&with(19, &[0, 3])), "row field count is 3, expected 2");
        assert_eq!(message(&with(21, &[0x80, 0, 0, 0])), "invalid field size");
        assert_eq!(message(&with(11, &[0, 1, 0, 0])), "invalid COPY file header (WITH OIDS)");
        assert_eq!(message(&[&all[..], &[0, 2]].concat()), "received copy data after EOF marker");
        let error = read(&[&with(33, &[0xff])]).expect_err("that is no UTF-8");
        assert_eq!(error.fields().context.as_deref(), Some("COPY t, line 1, column b"));
    }
}
