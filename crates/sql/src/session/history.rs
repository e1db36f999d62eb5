//! The rows that a cursor has read.

use std::collections::VecDeque;

use executor::{MemoryAccount, Reservation};
use types::{Datum, PgResult};

/// Rows in the order read, counted against the session's memory.
///
/// - `rows` are those from position `dropped` on: a cursor that only moves forward forgets what it has passed.
pub struct History {
    rows: VecDeque<Vec<Datum>>,
    dropped: usize,
    reservation: Reservation,
}

impl History {
    pub fn new(account: &MemoryAccount) -> History {
        History { rows: VecDeque::new(), dropped: 0, reservation: account.reservation() }
    }

    /// Rows read so far, forgotten ones included.
    pub fn len(&self) -> usize {
        self.dropped + self.rows.len()
    }

    /// The row at a position, counted from 0.
    pub fn row(&self, position: usize) -> Option<&Vec<Datum>> {
        self.rows.get(position.checked_sub(self.dropped)?)
    }

    /// The rows of a range of positions that are there.
    pub fn rows(&self, range: std::ops::Range<usize>) -> impl DoubleEndedIterator<Item = Vec<Datum>> {
        range.filter_map(|position| self.row(position).cloned())
    }

    /// Errors: 53200.
    pub fn push(&mut self, row: Vec<Datum>) -> PgResult<()> {
        self.reservation.grow(row_bytes(&row))?;
        self.rows.push_back(row);
        Ok(())
    }

    /// Forgets the rows before a position.
    pub fn forget_before(&mut self, position: usize) {
        let count = position.saturating_sub(self.dropped).min(self.rows.len());
        let bytes: u64 = self.rows.drain(..count).map(|row| row_bytes(&row)).sum();
        self.dropped += count;
        // Giving back cannot fail.
        let _ = self.reservation.resize(self.reservation.bytes() - bytes);
    }
}

/// Rough size of a remembered row.
fn row_bytes(row: &[Datum]) -> u64 {
    let payload: usize = row
        .iter()
        .map(|datum| match datum {
            Datum::Text(text) => text.len(),
            Datum::Bytes(bytes) => bytes.len(),
            _ => 0,
        })
        .sum();
    (payload + size_of_val(row)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_forgotten_is_given_back_and_positions_stay() {
        let account = MemoryAccount::root("session", 1 << 20);
        let mut history = History::new(&account);
        for value in 0..10 {
            history.push(vec![Datum::Int4(value)]).expect("fits");
        }
        let held = account.used();
        history.forget_before(8);
        history.forget_before(3);
        assert_eq!(account.used(), held / 5);
        assert_eq!(history.len(), 10);
        assert_eq!(history.row(7), None);
        assert_eq!(history.row(8), Some(&vec![Datum::Int4(8)]));
        assert_eq!(history.rows(5..10).count(), 2);
    }
}
