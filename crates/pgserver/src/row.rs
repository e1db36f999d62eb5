//! Writing one DataRow straight into the output buffer.

use types::error::{PgError, PgResult, SqlState};

use crate::message::encode;

/// Largest row that is sent, in bytes: what a client's own limit of 1 GiB less a byte still takes.
pub const ROW_BYTES_MAX: usize = (1 << 30) - 1;

/// One row on its way into the output buffer: no allocation per row or per value beyond the buffer's own growth.
///
/// - [`Self::finish`] must be called after exactly as many values as [`begin_row`](crate::ResultSink::begin_row) announced.
/// - A writer dropped before that (an error while a value is encoded, a panic) takes its part of the row back, so the
///   output buffer always holds whole messages.
#[derive(Debug)]
pub struct RowWriter<'a> {
    buffer: &'a mut Vec<u8>,
    start: usize,
    missing: usize,
    finished: bool,
}

impl<'a> RowWriter<'a> {
    pub(crate) fn begin(buffer: &'a mut Vec<u8>, column_count: usize) -> Self {
        debug_assert!(column_count <= u16::MAX as usize);
        let start = encode::begin(buffer, b'D');
        buffer.extend_from_slice(&(column_count as u16).to_be_bytes());
        RowWriter { buffer, start, missing: column_count, finished: false }
    }

    /// The next value is NULL.
    #[inline]
    pub fn null(&mut self) {
        self.count_value();
        self.buffer.extend_from_slice(&(-1i32).to_be_bytes());
    }

    /// The next value is these bytes.
    #[inline]
    pub fn value(&mut self, bytes: &[u8]) {
        self.count_value();
        self.buffer.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
        self.buffer.extend_from_slice(bytes);
    }

    /// The next value is what `write` appends to the buffer. It must only append.
    #[inline]
    pub fn value_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let Ok(()) = self.try_value_with(|buffer| {
            write(buffer);
            Ok::<(), std::convert::Infallible>(())
        });
    }

    /// As [`Self::value_with`], for an encoder that may fail; the row must then be dropped.
    #[inline]
    pub fn try_value_with<E>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        self.count_value();
        let at = self.buffer.len();
        self.buffer.extend_from_slice(&[0; 4]);
        write(self.buffer)?;
        let length = (self.buffer.len() - at - 4) as u32;
        self.buffer[at..at + 4].copy_from_slice(&length.to_be_bytes());
        Ok(())
    }

    /// Ends the row. 54000 when it is too large to send; the row is then taken back.
    #[inline]
    pub fn finish(mut self) -> PgResult<()> {
        debug_assert_eq!(self.missing, 0, "a row is finished when all its values are written");
        if self.buffer.len() - self.start > ROW_BYTES_MAX {
            return Err(PgError::new(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!(
                    "row is too large to send: {} bytes, maximum {ROW_BYTES_MAX}",
                    self.buffer.len() - self.start
                ),
            ));
        }
        encode::end(self.buffer, self.start);
        self.finished = true;
        Ok(())
    }

    #[inline]
    fn count_value(&mut self) {
        debug_assert!(self.missing > 0, "a row takes as many values as were announced");
        self.missing = self.missing.wrapping_sub(1);
    }
}

impl Drop for RowWriter<'_> {
    fn drop(&mut self) {
        if !self.finished {
            self.buffer.truncate(self.start);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_laid_out_as_the_protocol_says() {
        let mut buffer = b"before".to_vec();
        let mut row = RowWriter::begin(&mut buffer, 3);
        row.value(b"ab");
        row.null();
        row.value_with(|out| out.extend_from_slice(b"xyz"));
        row.finish().unwrap();
        let expected = [
            b"before".as_slice(),
            b"D\0\0\0\x17\0\x03",
            b"\0\0\0\x02ab",
            b"\xff\xff\xff\xff",
            b"\0\0\0\x03xyz",
        ];
        assert_eq!(buffer, expected.concat());
    }

    #[test]
    fn an_unfinished_row_leaves_nothing_behind() {
        let mut buffer = b"before".to_vec();
        let mut row = RowWriter::begin(&mut buffer, 2);
        row.value(b"ab");
        let failed = row.try_value_with(|out| {
            out.push(1);
            Err("cannot be encoded")
        });
        assert!(failed.is_err());
        drop(row);
        assert_eq!(buffer, b"before");
    }
}
