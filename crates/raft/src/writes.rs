//! What has been handed out to be written, and what waits for it to be durable.
//!
//! A write is reported durable by its number, never by an index and a term: the same entry can be written,
//! overwritten by another leader's, and written again, and a late report of the first write must not pass
//! for the third.

use std::collections::VecDeque;

use crate::{Index, Message, WriteNumber};

/// The writes in flight and the messages that may leave only after them.
///
/// - `durable <= issued`; `in_flight` holds the numbers in between, in order.
/// - Every deferred message waits for a number above `durable`; numbers do not go down along the queue.
#[derive(Debug, Default)]
pub(crate) struct Writes {
    issued: WriteNumber,
    durable: WriteNumber,
    in_flight: VecDeque<InFlight>,
    deferred: VecDeque<(WriteNumber, Message)>,
}

#[derive(Debug)]
struct InFlight {
    number: WriteNumber,
    /// Up to here the log *as it is now* is durable when this write is.
    last: Index,
}

impl Writes {
    /// The number of the last write handed out.
    pub fn issued(&self) -> WriteNumber {
        self.issued
    }

    pub fn durable(&self) -> WriteNumber {
        self.durable
    }

    pub fn are_all_durable(&self) -> bool {
        self.durable == self.issued
    }

    /// Hands out the next write, after which the log is durable up to `last`.
    pub fn issue(&mut self, last: Index) -> WriteNumber {
        self.issued = self.issued.next();
        self.in_flight.push_back(InFlight { number: self.issued, last });
        self.issued
    }

    /// The log from `from` on has been replaced: writes in flight no longer make that part durable.
    pub fn cut(&mut self, from: Index) {
        for write in &mut self.in_flight {
            write.last = write.last.min(from.previous());
        }
    }

    /// Every write up to `number` is durable. Gives the index up to which the log now is.
    pub fn complete(&mut self, number: WriteNumber) -> Option<Index> {
        assert!(number <= self.issued, "only a write that was handed out can be durable");
        let mut durable = None;
        while let Some(write) = self.in_flight.front() {
            if write.number > number {
                break;
            }
            durable = Some(durable.unwrap_or(Index::ZERO).max(write.last));
            self.in_flight.pop_front();
        }
        self.durable = self.durable.max(number);
        durable
    }

    /// Keeps a message until the write `after` is durable.
    pub fn defer(&mut self, after: WriteNumber, message: Message) {
        debug_assert!(after > self.durable, "a message whose write is durable needs no deferring");
        self.deferred.push_back((after, message));
    }

    /// The next deferred message whose write is durable.
    pub fn next_released(&mut self) -> Option<Message> {
        if self.deferred.front()?.0 > self.durable {
            return None;
        }
        self.deferred.pop_front().map(|(_, message)| message)
    }
}
