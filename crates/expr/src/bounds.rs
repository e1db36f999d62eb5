//! What keeps a long evaluation within the statement's time and memory.
//!
//! An evaluator works through a batch without giving way, and one row of it may make a value of a gigabyte. So the loops over rows
//! ask [`Bounds`] now and then ([`Watch`]), with what they have made so far; and a value is never longer than PostgreSQL's values
//! are ([`enlarge`]).

use crate::context::EvalContext;
use types::{PgError, PgResult, SqlState};

/// The longest value, in bytes: PostgreSQL's limit.
pub const VALUE_BYTES_MAX: usize = 0x3fff_ffff;

/// Bytes of one column of a batch beyond which no further value is made, whatever memory there is: offsets within it are of 32 bits.
const COLUMN_BYTES_MAX: usize = 2 << 30;

/// The statement's limits, asked between rows.
pub trait Bounds: Sync {
    /// `bytes` are held by what is being made, beyond what operators hold. Errors: 57014, 53200.
    fn check(&self, bytes: usize) -> PgResult<()>;
}

/// No limits: where what is evaluated is small.
pub struct Unbounded;

impl Bounds for Unbounded {
    fn check(&self, _: usize) -> PgResult<()> {
        Ok(())
    }
}

/// Rows between two questions, and bytes.
const ROWS_UNASKED: u32 = 64;
const BYTES_UNASKED: usize = 256 << 10;

/// Asks the bounds now and then while rows are made.
pub(crate) struct Watch<'a> {
    bounds: &'a dyn Bounds,
    rows: u32,
    bytes: usize,
    asked_at: usize,
}

impl<'a> Watch<'a> {
    pub(crate) fn new(context: &EvalContext<'a>) -> Watch<'a> {
        Watch::of(context.bounds)
    }

    pub(crate) fn of(bounds: &'a dyn Bounds) -> Watch<'a> {
        Watch { bounds, rows: 0, bytes: 0, asked_at: 0 }
    }

    /// Said after each row, with the bytes of all rows so far. Errors: 57014, 53200, and 54000 for a value that is too long.
    #[inline]
    pub(crate) fn row(&mut self, bytes: usize) -> PgResult<()> {
        self.rows += 1;
        if bytes >= self.asked_at + BYTES_UNASKED || self.rows >= ROWS_UNASKED {
            return self.ask(bytes);
        }
        self.bytes = bytes;
        Ok(())
    }

    /// Said while one long value is made, with the bytes so far.
    #[inline]
    pub(crate) fn part(&mut self, bytes: usize) -> PgResult<()> {
        self.rows += 1;
        if bytes >= self.asked_at + BYTES_UNASKED || self.rows >= ROWS_UNASKED {
            check_column(self.bounds, bytes)?;
            (self.rows, self.asked_at) = (0, bytes);
        }
        Ok(())
    }

    #[cold]
    fn ask(&mut self, bytes: usize) -> PgResult<()> {
        let value = bytes.saturating_sub(self.bytes);
        if value > VALUE_BYTES_MAX {
            return Err(too_large(0, value));
        }
        check_column(self.bounds, bytes)?;
        (self.rows, self.bytes, self.asked_at) = (0, bytes, bytes);
        Ok(())
    }
}

/// Whether a column of a batch may take so many bytes. Errors: 57014, 53200.
pub(crate) fn check_column(bounds: &dyn Bounds, bytes: usize) -> PgResult<()> {
    if bytes > COLUMN_BYTES_MAX {
        return Err(PgError::new(SqlState::OUT_OF_MEMORY, "out of memory")
            .detail(format!("The rows of one batch would take {bytes} bytes.")));
    }
    bounds.check(bytes)
}

#[cold]
fn too_large(have: usize, more: usize) -> PgError {
    PgError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "out of memory")
        .detail(format!("Cannot enlarge string buffer containing {have} bytes by {more} more bytes."))
}

/// Whether a value of `have` bytes may grow by `more`. Errors: 54000.
#[inline]
pub(crate) fn enlarge(have: usize, more: usize) -> PgResult<()> {
    if have.saturating_add(more) >= VALUE_BYTES_MAX {
        return Err(too_large(have, more));
    }
    Ok(())
}

/// Appends to a text that becomes a value. Errors: 54000.
#[inline]
pub(crate) fn append(out: &mut String, piece: &str) -> PgResult<()> {
    enlarge(out.len(), piece.len())?;
    out.push_str(piece);
    Ok(())
}

/// Pieces with a separator between them, as a value. Errors: 54000.
pub(crate) fn join<'a>(pieces: impl IntoIterator<Item = &'a str>, separator: &str) -> PgResult<String> {
    let mut out = String::new();
    for (at, piece) in pieces.into_iter().enumerate() {
        if at > 0 {
            append(&mut out, separator)?;
        }
        append(&mut out, piece)?;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    struct Room(usize, AtomicUsize);

    impl Bounds for Room {
        fn check(&self, bytes: usize) -> PgResult<()> {
            self.1.fetch_add(1, Ordering::Relaxed);
            if bytes > self.0 { Err(PgError::new(SqlState::OUT_OF_MEMORY, "out of memory")) } else { Ok(()) }
        }
    }

    #[test]
    fn bounds_are_asked_once_in_so_many_rows_and_bytes() {
        let room = Room(1 << 20, AtomicUsize::new(0));
        let mut watch = Watch::of(&room);
        (0..1024).try_for_each(|_| watch.row(0)).expect("small");
        assert_eq!(room.1.load(Ordering::Relaxed), 1024 / ROWS_UNASKED as usize);
        let rows = (1..100).find(|row| watch.row(row * (100 << 10)).is_err()).expect("does not fit");
        assert!(rows * (100 << 10) < (1 << 20) + BYTES_UNASKED + (100 << 10), "noticed late: {rows}");
    }

    #[test]
    fn values_end_where_postgresql_ends_them() {
        enlarge(VALUE_BYTES_MAX - 2, 1).expect("fits");
        let error = enlarge(1_070_000_000, 10_000_000).expect_err("does not fit");
        assert_eq!(error.code(), SqlState::PROGRAM_LIMIT_EXCEEDED);
        let mut watch = Watch::of(&Unbounded);
        assert_eq!(
            watch.row(VALUE_BYTES_MAX + 1).expect_err("too long").code(),
            SqlState::PROGRAM_LIMIT_EXCEEDED
        );
    }
}
