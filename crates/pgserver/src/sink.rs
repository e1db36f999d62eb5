//! Where a session writes its results: [`ResultSink`].
//!
//! The sink *is* the connection's output buffer with its stream behind it, so a row goes from the executor's vectors to wire bytes
//! in one step. Writing is synchronous and only appends; [`ResultSink::flush_if_full`] is the backpressure: a session calls it
//! between rows, it costs a comparison while there is room, and waits for the client otherwise. What is left in the buffer
//! goes out when the connection has to answer (ReadyForQuery, Flush).

use std::io;

use types::error::{PgError, PgResult, SqlState};

use crate::message::decode::Reader;
use crate::message::encode::{self, Bare};
use crate::row::RowWriter;
use crate::session::{ColumnDescription, ColumnFormats, Format, Notification};
use crate::wire::{Frame, Stream, Wire, fatal_violation};

/// A place in the output: see [`ResultSink::mark`].
#[derive(Clone, Copy, Debug)]
pub struct OutputMark(u64);

/// Results of statements on their way to the client. See the module.
pub struct ResultSink {
    pub(crate) wire: Wire,
    output_bytes_max: usize,
    message_bytes_max: usize,
    /// A COPY FROM STDIN is taking data.
    copying_in: bool,
    /// The stream has failed: nothing can be said to the client any more.
    broken: bool,
}

impl ResultSink {
    pub(crate) fn new(stream: Box<dyn Stream>, output_bytes_max: usize, message_bytes_max: usize) -> Self {
        ResultSink {
            wire: Wire::new(stream),
            output_bytes_max,
            message_bytes_max,
            copying_in: false,
            broken: false,
        }
    }

    /// A sink without a client, for testing a session by itself: keeps everything for [`Self::output`]. A COPY FROM STDIN meets the
    /// end of its input at once.
    pub fn in_memory() -> Self {
        Self::new(Box::new(tokio::io::empty()), usize::MAX, usize::MAX)
    }

    /// The encoded messages that have not been sent yet.
    pub fn output(&self) -> &[u8] {
        &self.wire.output
    }

    /// Where the output stands, for [`Self::rewind`].
    pub fn mark(&self) -> OutputMark {
        OutputMark(self.wire.output_position())
    }

    /// Takes back everything written since `mark`, so that a statement can be done over; `false` when some of it has been
    /// sent already.
    pub fn rewind(&mut self, mark: OutputMark) -> bool {
        self.wire.rewind_output(mark.0)
    }

    /// RowDescription: a result begins (simple protocol only; under the extended protocol Describe tells this).
    pub fn row_description(&mut self, columns: &[ColumnDescription], formats: &ColumnFormats) {
        encode::row_description(&mut self.wire.output, columns, formats);
    }

    /// DataRow: begins a row of `column_count` values.
    #[inline]
    pub fn begin_row(&mut self, column_count: usize) -> RowWriter<'_> {
        RowWriter::begin(&mut self.wire.output, column_count)
    }

    /// CommandComplete with a tag without a count ("BEGIN", "CREATE TABLE").
    pub fn command_complete(&mut self, tag: &str) {
        encode::command_complete(&mut self.wire.output, tag, None);
    }

    /// CommandComplete with a number of rows: `SELECT 5`, `INSERT 0 5`, `COPY 5` ...
    pub fn command_complete_rows(&mut self, verb: &str, row_count: u64) {
        encode::command_complete(&mut self.wire.output, verb, Some(row_count));
    }

    /// EmptyQueryResponse: instead of CommandComplete when the text held no statement.
    pub fn empty_query(&mut self) {
        encode::bare(&mut self.wire.output, Bare::EmptyQueryResponse);
    }

    /// PortalSuspended: instead of CommandComplete when the row limit was reached.
    pub fn portal_suspended(&mut self) {
        encode::bare(&mut self.wire.output, Bare::PortalSuspended);
    }

    /// NoticeResponse. The client is sent this whatever its client_min_messages: filtering is the session's.
    pub fn notice(&mut self, notice: &PgError) {
        encode::error(&mut self.wire.output, b'N', notice);
    }

    /// ParameterStatus: a reported parameter has a new value.
    pub fn parameter_status(&mut self, name: &str, value: &str) {
        encode::parameter_status(&mut self.wire.output, name, value);
    }

    /// NotificationResponse.
    pub fn notification(&mut self, notification: &Notification) {
        encode::notification(&mut self.wire.output, notification);
    }

    /// Waits for the client to take what is buffered if that is beyond the bound; else returns at once. To be called after
    /// each row, or after each batch of rows (a batch is then what the buffer may hold beyond its bound). Safe to cancel.
    #[inline]
    pub async fn flush_if_full(&mut self) -> PgResult<()> {
        if self.wire.output.len() < self.output_bytes_max {
            return Ok(());
        }
        self.flush().await
    }

    /// Sends all that is buffered. For long silences only (a statement that reports progress): the connection flushes by itself
    /// when the client has to be answered. Safe to cancel.
    pub async fn flush(&mut self) -> PgResult<()> {
        match self.wire.flush().await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.lost(error)),
        }
    }

    /// Whether the next message is already here and is a Sync: in [`Session::execute`](crate::Session::execute) this means that the
    /// implicit transaction can be committed together with this statement, because nothing else joins it. `false` says nothing.
    pub fn sync_is_next(&self) -> bool {
        self.wire.input.unread().first() == Some(&b'S')
    }

    /// CopyInResponse: asks the client for the data of a COPY FROM STDIN, and sends it so that the client begins.
    pub async fn copy_in(&mut self, format: Format, column_count: usize) -> PgResult<()> {
        encode::copy_response(&mut self.wire.output, b'G', format, column_count);
        self.copying_in = true;
        self.flush().await
    }

    /// The next piece of COPY data, cut anywhere; `None` when the client has sent all (CopyDone). 57014 when the client
    /// gave up (CopyFail). After an error or `None` it must not be called again. Safe to cancel.
    pub async fn copy_in_next(&mut self) -> PgResult<Option<&[u8]>> {
        debug_assert!(self.copying_in);
        loop {
            let frame = self.next_frame().await?;
            match frame.kind {
                b'd' => return Ok(Some(self.wire.input.body(frame.body))),
                b'c' => {
                    self.copying_in = false;
                    return Ok(None);
                }
                b'f' => {
                    self.copying_in = false;
                    let mut body = Reader::new(self.wire.input.body(frame.body));
                    let reason = String::from_utf8_lossy(body.cstring()?).into_owned();
                    return Err(PgError::new(
                        SqlState::QUERY_CANCELED,
                        format!("COPY from stdin failed: {reason}"),
                    ));
                }
                // Client libraries send these without looking at what they have just run.
                b'H' | b'S' => {}
                kind => {
                    return Err(fatal_violation(format!(
                        "unexpected message type 0x{kind:02X} during COPY from stdin"
                    )));
                }
            }
        }
    }

    /// CopyOutResponse: the data of a COPY TO STDOUT begins.
    pub fn copy_out(&mut self, format: Format, column_count: usize) {
        encode::copy_response(&mut self.wire.output, b'H', format, column_count);
    }

    /// CopyData with what `write` appends: one line of text or one binary tuple per call, as PostgreSQL sends it.
    #[inline]
    pub fn copy_out_data<E>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        let out = &mut self.wire.output;
        let start = encode::begin(out, b'd');
        match write(out) {
            Ok(()) => {
                encode::end(out, start);
                Ok(())
            }
            Err(error) => {
                out.truncate(start);
                Err(error)
            }
        }
    }

    /// CopyDone: all data of a COPY TO STDOUT is written. CommandComplete follows.
    pub fn copy_out_done(&mut self) {
        encode::bare(&mut self.wire.output, Bare::CopyDone);
    }

    /// The next message, waiting for it.
    async fn next_frame(&mut self) -> PgResult<Frame> {
        loop {
            if let Some(frame) = self.wire.input.next_frame(self.message_bytes_max)? {
                return Ok(frame);
            }
            self.fill().await?;
        }
    }

    /// Waits for more input; the end of the stream is an error. Safe to cancel.
    pub(crate) async fn fill(&mut self) -> PgResult<()> {
        match self.wire.fill().await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.lost(error)),
        }
    }

    pub(crate) fn message_bytes_max(&self) -> usize {
        self.message_bytes_max
    }

    /// Whether the stream has failed.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Ends a COPY FROM STDIN that failed half way: what the client still sends of it is ignored.
    pub(crate) fn end_copy_in(&mut self) -> bool {
        std::mem::take(&mut self.copying_in)
    }

    /// Remembers that the client cannot be reached any more.
    pub(crate) fn lost(&mut self, error: io::Error) -> PgError {
        self.broken = true;
        PgError::fatal(SqlState::CONNECTION_FAILURE, format!("connection to client lost: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_attempt_is_taken_back_unless_it_was_sent() {
        futures::executor::block_on(async {
            let mut sink = ResultSink::in_memory();
            sink.command_complete("FIRST");
            let before = sink.output().to_vec();
            let mark = sink.mark();
            sink.command_complete("SECOND");
            assert!(sink.rewind(mark));
            assert_eq!(sink.output(), before);
            sink.command_complete("SECOND");
            sink.flush().await.expect("an empty stream takes everything");
            assert!(!sink.rewind(mark), "it is gone");
        });
    }
}
