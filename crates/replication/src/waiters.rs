//! Proposals whose commands are in the log and not applied yet.

use std::collections::VecDeque;
use std::time::Duration;

use env::trace::{self, Place};
use futures::channel::oneshot;
use raft::{Index, Position};

use crate::{Applied, ProposalError};

pub(crate) type Answer = Result<Applied, ProposalError>;

/// The proposers of one range that wait on this store.
///
/// - Indexes go up along the queue: what waits at or behind the index of a new proposal was cut off by another leader and is answered at once.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    queue: VecDeque<(Position, Waiter)>,
}

#[derive(Debug)]
struct Waiter {
    sender: oneshot::Sender<Answer>,
    /// Where it is told how far the command is, if its statement is traced; and since when it is there.
    traced: Option<(Place, Duration)>,
}

impl Waiters {
    /// Waits for the command at `position`.
    pub fn add(&mut self, position: Position) -> oneshot::Receiver<Answer> {
        while self.queue.back().is_some_and(|(last, _)| last.index >= position.index) {
            let (_, waiter) = self.queue.pop_back().expect("seen above");
            answer(waiter, Err(ProposalError::Superseded));
        }
        let (sender, receiver) = oneshot::channel();
        let traced = trace::current().map(|place| {
            let now = place.now();
            (place, now)
        });
        self.queue.push_back((position, Waiter { sender, traced }));
        receiver
    }

    /// The log is committed up to an index: only traces want to know.
    pub fn committed(&mut self, upto: Index) {
        if !trace::is_on() {
            return;
        }
        let reached = self.queue.iter_mut().take_while(|(position, _)| position.index <= upto);
        for (position, waiter) in reached {
            if let Some((place, since)) = &mut waiter.traced {
                place.record(
                    &format!("commit entry {}: a quorum has it in its log", position.index.0),
                    *since,
                );
                *since = place.now();
            }
        }
    }

    /// A command has been applied: answers who waits for it, and those before it whose place it or another took.
    pub fn applied(&mut self, position: Position, result: impl FnOnce() -> Answer) {
        while self.queue.front().is_some_and(|(first, _)| first.index < position.index) {
            let (_, waiter) = self.queue.pop_front().expect("seen above");
            // Its index was applied in between as something that answers nobody.
            answer(waiter, Err(ProposalError::Superseded));
        }
        if self.queue.front().is_some_and(|(first, _)| first.index == position.index) {
            let (first, waiter) = self.queue.pop_front().expect("seen above");
            answer(waiter, if first == position { result() } else { Err(ProposalError::Superseded) });
        }
    }

    /// Answers everybody up to `position` who has no answer yet: it was reached without applying what they wait for.
    pub fn skip(&mut self, position: Position, error: &ProposalError) {
        while self.queue.front().is_some_and(|(first, _)| first.index <= position.index) {
            let (_, waiter) = self.queue.pop_front().expect("seen above");
            answer(waiter, Err(error.clone()));
        }
    }

    /// Answers everybody.
    pub fn fail(&mut self, error: &ProposalError) {
        for (_, waiter) in self.queue.drain(..) {
            answer(waiter, Err(error.clone()));
        }
    }
}

fn answer(waiter: Waiter, answer: Answer) {
    if let (Some((place, since)), Ok(applied)) = (&waiter.traced, &answer) {
        place.record(&format!("apply entry {}", applied.position.index.0), *since);
    }
    // The proposer may have stopped waiting: that is its right.
    let _ = waiter.sender.send(answer);
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use raft::Term;

    use super::*;

    fn at(index: u64, term: u64) -> Position {
        Position { index: Index(index), term: Term(term) }
    }

    fn applied(position: Position) -> Answer {
        Ok(Applied { position, answer: bytes::Bytes::new() })
    }

    #[test]
    fn each_proposer_gets_the_answer_of_its_own_command() {
        let mut waiters = Waiters::default();
        let mut first = waiters.add(at(11, 6));
        let mut second = waiters.add(at(12, 6));
        let mut third = waiters.add(at(13, 6));
        waiters.applied(at(11, 6), || applied(at(11, 6)));
        assert_eq!((&mut first).now_or_never(), Some(Ok(applied(at(11, 6)))));
        assert_eq!((&mut second).now_or_never(), None);
        // Another leader's entry is applied at 12; 13 was cut off when this store proposed there again.
        waiters.applied(at(12, 7), || unreachable!("nobody waits for this"));
        assert_eq!((&mut second).now_or_never(), Some(Ok(Err(ProposalError::Superseded))));
        let again = waiters.add(at(13, 8));
        assert_eq!((&mut third).now_or_never(), Some(Ok(Err(ProposalError::Superseded))));
        // An entry that is no command takes its place, and nothing comes after it.
        waiters.skip(at(13, 9), &ProposalError::Superseded);
        assert_eq!(again.now_or_never(), Some(Ok(Err(ProposalError::Superseded))));
    }
}
