//! What a leaseholder remembers of transactions that have no record.
//!
//! A transaction without record can be committed in one phase, declared dead by a pusher, or told that its commit must
//! lie above a reader; none of this is worth a replicated write. The leaseholder of its anchor remembers it
//! instead, for a while: two generations, as in the timestamp cache. What is forgotten leaves a floor behind. A transaction that
//! began at or below the floor may have been ended or pushed without anybody knowing, so it cannot make a record
//! any more: it starts over. Old transactions are safe from that, because heartbeats give them a record.

use clock::Timestamp;
use kvapi::{TxnId, TxnMeta};
use rustc_hash::FxHashMap;

/// Marks of one generation.
const MARKS_MAX: usize = 16_384;

/// What became of a transaction without record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    Committed(Timestamp),
    Aborted,
    /// It must commit above this.
    PushedTo(Timestamp),
}

#[derive(Clone, Default)]
struct Generation {
    marks: FxHashMap<TxnId, Mark>,
    youngest: Timestamp,
}

/// - A transaction that began after `floor` and has no mark has neither ended nor been pushed, as far as its anchor knows.
#[derive(Clone)]
pub(crate) struct TxnMarks {
    current: Generation,
    previous: Generation,
    floor: Timestamp,
}

impl TxnMarks {
    pub fn new(floor: Timestamp) -> TxnMarks {
        TxnMarks { current: Generation::default(), previous: Generation::default(), floor }
    }

    pub fn get(&self, id: TxnId) -> Option<Mark> {
        self.current.marks.get(&id).or_else(|| self.previous.marks.get(&id)).copied()
    }

    /// Whether the absence of a mark means anything.
    pub fn knows(&self, txn: &TxnMeta) -> bool {
        txn.start > self.floor
    }

    /// Takes in what another range's leaseholder remembers, which is to be remembered here as well.
    pub fn absorb(&mut self, other: &TxnMarks) {
        self.floor = self.floor.max(other.floor);
        for generation in [&other.previous, &other.current] {
            // Marks of a generation are in no order that matters: each is of another transaction.
            for (id, mark) in &generation.marks {
                self.set(*id, generation.youngest, *mark);
            }
        }
    }

    /// What happened up to here is not known.
    pub fn raise_floor(&mut self, floor: Timestamp) {
        self.floor = self.floor.max(floor);
    }

    pub fn set(&mut self, id: TxnId, start: Timestamp, mark: Mark) {
        let mark = match (self.get(id), mark) {
            (Some(Mark::PushedTo(before)), Mark::PushedTo(now)) => Mark::PushedTo(before.max(now)),
            // An end is final.
            (Some(ended @ (Mark::Committed(_) | Mark::Aborted)), _) => ended,
            (_, mark) => mark,
        };
        self.current.marks.insert(id, mark);
        self.current.youngest = self.current.youngest.max(start);
        if self.current.marks.len() >= MARKS_MAX {
            self.floor = self.floor.max(self.previous.youngest);
            self.previous = std::mem::take(&mut self.current);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgetting_raises_the_floor() {
        let at = |wall| Timestamp::new(wall, 0);
        let mut marks = TxnMarks::new(at(5));
        marks.set(TxnId(1), at(10), Mark::PushedTo(at(20)));
        marks.set(TxnId(1), at(10), Mark::PushedTo(at(15)));
        assert_eq!(marks.get(TxnId(1)), Some(Mark::PushedTo(at(20))));
        marks.set(TxnId(1), at(10), Mark::Aborted);
        marks.set(TxnId(1), at(10), Mark::Committed(at(30)));
        assert_eq!(marks.get(TxnId(1)), Some(Mark::Aborted));
        for number in 0..2 * MARKS_MAX as u64 {
            marks.set(TxnId(100 + u128::from(number)), at(11 + number), Mark::Aborted);
        }
        assert_eq!(marks.get(TxnId(1)), None);
        assert!(marks.floor >= at(10));
    }
}
