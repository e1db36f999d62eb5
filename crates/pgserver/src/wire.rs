//! The byte stream under a connection with its two buffers.
//!
//! Invariants:
//! - The output buffer holds whole messages, except while a [`RowWriter`](crate::RowWriter) is alive; flushing never happens then.
//! - Memory follows the bytes that have arrived, never a length the client announced: a message that claims a gigabyte and sends
//!   nothing costs nothing. A message beyond its type's bound is refused from its first five bytes.
//! - An idle connection keeps at most [`IDLE_BUFFER_BYTES_MAX`] in each buffer.

use std::future::Future;
use std::io;
use std::ops::Range;
use std::pin::pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use types::error::{PgError, SqlState};

use crate::message::decode;

/// Size of a new input buffer in bytes; also the least room a read is given.
const READ_BYTES_MIN: usize = 8 << 10;
/// A read that fills its room doubles the buffer up to this size in bytes, so that bulk input takes few reads.
const READ_BYTES_MAX: usize = 64 << 10;
/// What each buffer may keep while the connection idles, in bytes.
const IDLE_BUFFER_BYTES_MAX: usize = 16 << 10;
/// Bound of a message that is not of a large type, in bytes: PostgreSQL's PQ_SMALL_MESSAGE_LIMIT.
pub(crate) const SMALL_MESSAGE_BYTES_MAX: usize = 10_000;

/// What a connection runs over: TCP, TLS, or a pipe in memory.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A complete message in the input buffer: its type and where its body lies. Valid until the next read or frame.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) body: Range<usize>,
}

/// Stream and buffers.
pub(crate) struct Wire {
    stream: Box<dyn Stream>,
    pub(crate) input: InputBuffer,
    pub(crate) output: Vec<u8>,
    /// How much of `output` has been written already.
    sent: usize,
    /// Bytes that went through `output` and are gone from it.
    flushed: u64,
}

impl Wire {
    pub(crate) fn new(stream: Box<dyn Stream>) -> Self {
        Wire { stream, input: InputBuffer::default(), output: Vec::new(), sent: 0, flushed: 0 }
    }

    /// Takes the stream out, to put TLS over it and bring it back with [`Self::put_stream`]. Nothing may be buffered.
    pub(crate) fn take_stream(&mut self) -> Box<dyn Stream> {
        debug_assert!(self.output.is_empty() && self.input.unread().is_empty());
        std::mem::replace(&mut self.stream, Box::new(tokio::io::empty()))
    }

    pub(crate) fn put_stream(&mut self, stream: Box<dyn Stream>) {
        self.stream = stream;
    }

    /// Where the output stands now, counted from the connection's beginning.
    pub(crate) fn output_position(&self) -> u64 {
        self.flushed + self.output.len() as u64
    }

    /// Takes back what was appended since `position`, unless some of it has been written already.
    pub(crate) fn rewind_output(&mut self, position: u64) -> bool {
        if position < self.flushed + self.sent as u64 {
            return false;
        }
        self.output.truncate((position - self.flushed) as usize);
        true
    }

    /// Writes out all output. Safe to cancel: goes on where it stopped.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        while self.sent < self.output.len() {
            match self.stream.write(&self.output[self.sent..]).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => self.sent += written,
            }
        }
        self.sent = 0;
        self.flushed += self.output.len() as u64;
        self.output.clear();
        self.stream.flush().await
    }

    /// Reads what has arrived. `Ok(false)` is the end of the stream.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        self.input.make_room();
        let room = self.input.bytes.capacity() - self.input.bytes.len();
        // Nothing is lost by dropping the future: it holds no bytes.
        match pin!(self.stream.read_buf(&mut self.input.bytes)).poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(count)) => {
                self.input.last_read_filled = count == room;
                Poll::Ready(Ok(count > 0))
            }
        }
    }

    /// [`Self::poll_fill`] as a future; an end of the stream is an error here. Safe to cancel.
    pub(crate) async fn fill(&mut self) -> io::Result<()> {
        match std::future::poll_fn(|cx| self.poll_fill(cx)).await? {
            true => Ok(()),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Tells the peer that nothing more will come, as far as it still listens.
    pub(crate) async fn close(&mut self) {
        // The client may be gone already, which is what we are after anyway.
        let _ = self.stream.shutdown().await;
    }

    /// Gives memory beyond the idle bound back.
    pub(crate) fn shrink(&mut self) {
        if self.output.is_empty() && self.output.capacity() > IDLE_BUFFER_BYTES_MAX {
            self.output = Vec::new();
        }
        self.input.shrink();
    }
}

/// Bytes that have arrived and are not consumed yet.
#[derive(Default)]
pub(crate) struct InputBuffer {
    bytes: Vec<u8>,
    /// Where the unconsumed bytes begin.
    start: usize,
    last_read_filled: bool,
}

impl InputBuffer {
    /// What has arrived and is not consumed.
    pub(crate) fn unread(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Marks the next `count` bytes as consumed.
    pub(crate) fn consume(&mut self, count: usize) -> Range<usize> {
        debug_assert!(count <= self.unread().len());
        let range = self.start..self.start + count;
        self.start += count;
        range
    }

    /// The body of a frame.
    pub(crate) fn body(&self, range: Range<usize>) -> &[u8] {
        &self.bytes[range]
    }

    /// Takes the next complete message of a session off the buffer, if there is one. An error is FATAL: the stream is out
    /// of step.
    pub(crate) fn next_frame(&mut self, message_bytes_max: usize) -> Result<Option<Frame>, PgError> {
        let unread = self.unread();
        let Some(&kind) = unread.first() else { return Ok(None) };
        if !decode::is_known_type(kind) {
            return Err(fatal_violation(format!("invalid frontend message type {kind}")));
        }
        let limit = match decode::is_large_type(kind) {
            true => message_bytes_max,
            false => SMALL_MESSAGE_BYTES_MAX.min(message_bytes_max),
        };
        let Some(length) = announced_length(&unread[1..], limit)? else { return Ok(None) };
        if unread.len() < 1 + length {
            return Ok(None);
        }
        let frame = self.consume(1 + length);
        Ok(Some(Frame { kind, body: frame.start + 5..frame.end }))
    }

    /// Makes room for a read: moves what is unread to the front, and grows when the buffer is full of one message.
    fn make_room(&mut self) {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        let capacity = self.bytes.capacity();
        let room = capacity - self.bytes.len();
        if self.last_read_filled && capacity < READ_BYTES_MAX {
            self.bytes.reserve(READ_BYTES_MAX.min(capacity * 2) - self.bytes.len());
        } else if room < READ_BYTES_MIN / 2 {
            // Doubles what is there: memory follows the bytes that have come.
            self.bytes.reserve(READ_BYTES_MIN.max(self.bytes.len()));
        }
    }

    fn shrink(&mut self) {
        if self.unread().is_empty() && self.bytes.capacity() > IDLE_BUFFER_BYTES_MAX {
            *self = InputBuffer::default();
        }
    }
}

/// The length at the front of `bytes`, which counts itself, once its four bytes are there; checked against `limit`.
pub(crate) fn announced_length(bytes: &[u8], limit: usize) -> Result<Option<usize>, PgError> {
    let Some(length) = bytes.first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_be_bytes(*length) as usize;
    if length < 4 || length > limit {
        return Err(fatal_violation(format!("invalid message length {length}"))
            .detail(format!("The length of such a message is between 4 and {limit} bytes.")));
    }
    Ok(Some(length))
}

pub(crate) fn fatal_violation(message: impl Into<String>) -> PgError {
    PgError::fatal(SqlState::PROTOCOL_VIOLATION, message)
}
