//! What the leader knows of one other replica, and how fast it may send to it.
//!
//! ```text
//!             accepted                      needs truncated entries
//!   Probe ----------------> Replicate ---------+
//!   ^  ^  \                     |              v
//!   |  |   +--------------------|-----------> Snapshot
//!   |  +---- rejected, lost ----+              |
//!   +--------- arrived, failed, caught up -----+
//! ```
//!
//! - *Probe*: the leader does not know where the logs part. One append at a time, the next after an answer or a heartbeat's.
//! - *Replicate*: appends go out back to back, without waiting, up to a bound in number and in bytes.
//! - *Snapshot*: nothing goes out until the snapshot has arrived or failed.

use std::collections::VecDeque;
use std::fmt;

use crate::Index;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgressState {
    Probe,
    Replicate,
    /// A snapshot at this index is on its way.
    Snapshot(Index),
}

/// The leader's knowledge of one replica.
///
/// - `matched < next`.
/// - What is at or below `matched` is durable there and equal to the leader's log, for this leader's whole term.
/// - `inflight` is empty unless the state is Replicate.
#[derive(Debug)]
pub(crate) struct Progress {
    pub matched: Index,
    /// The first index to send next.
    pub next: Index,
    pub state: ProgressState,
    /// In Probe: an append is out, wait for its answer.
    pub paused: bool,
    /// Send an append even without anything new, to find out how far the replica is.
    pub nudge: bool,
    /// Heard from since the last quorum check.
    pub active: bool,
    /// The highest commit index told in an append that could have raised it.
    pub sent_commit: Index,
    /// The last read round it confirmed.
    pub round: u64,
    pub inflight: Inflight,
}

impl Progress {
    pub fn new(next: Index) -> Progress {
        Progress {
            matched: Index::ZERO,
            next: next.max(Index(1)),
            state: ProgressState::Probe,
            paused: false,
            nudge: false,
            active: false,
            sent_commit: Index::ZERO,
            round: 0,
            inflight: Inflight::default(),
        }
    }

    fn enter(&mut self, state: ProgressState) {
        self.state = state;
        self.paused = false;
        self.nudge = false;
        self.inflight.clear();
    }

    pub fn become_probe(&mut self) {
        // After a snapshot the replica is at least there, even if its answer is still on the way.
        let from = match self.state {
            ProgressState::Snapshot(pending) => self.matched.max(pending),
            _ => self.matched,
        };
        self.enter(ProgressState::Probe);
        self.next = from.next();
        self.sent_commit = self.sent_commit.min(from);
    }

    pub fn become_replicate(&mut self) {
        self.enter(ProgressState::Replicate);
        self.next = self.matched.next();
    }

    pub fn become_snapshot(&mut self, pending: Index) {
        self.enter(ProgressState::Snapshot(pending));
    }

    /// The snapshot did not arrive: probe from where the replica was.
    pub fn snapshot_failed(&mut self) {
        self.state = ProgressState::Snapshot(Index::ZERO);
        self.become_probe();
    }

    /// Notes that the replica has everything up to `matched`; whether that is news.
    pub fn advance(&mut self, matched: Index) -> bool {
        let news = matched > self.matched;
        if news {
            self.matched = matched;
            self.paused = false;
        }
        self.next = self.next.max(matched.next());
        news
    }

    /// The replica does not have `rejected`; the logs part at or before `agreed`. False if that is old news.
    pub fn back_off(&mut self, rejected: Index, agreed: Index) -> bool {
        match self.state {
            ProgressState::Replicate => {
                if rejected <= self.matched {
                    return false;
                }
                self.become_probe();
                true
            }
            ProgressState::Probe => {
                if self.next.previous() != rejected {
                    return false;
                }
                self.next = rejected.min(agreed.next()).max(self.matched.next());
                self.paused = false;
                true
            }
            ProgressState::Snapshot(_) => false,
        }
    }

    /// Whether no append may go out now, not even an empty one.
    pub fn is_blocked(&self) -> bool {
        match self.state {
            ProgressState::Probe => self.paused,
            ProgressState::Replicate => false,
            ProgressState::Snapshot(_) => true,
        }
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.state {
            ProgressState::Probe => f.write_str("probe")?,
            ProgressState::Replicate => f.write_str("replicate")?,
            ProgressState::Snapshot(pending) => write!(f, "snapshot({pending})")?,
        }
        write!(f, " matched={} next={}", self.matched, self.next)?;
        if self.paused {
            f.write_str(" paused")?;
        }
        if self.inflight.count() > 0 {
            write!(f, " inflight={}", self.inflight.count())?;
        }
        if self.active { Ok(()) } else { f.write_str(" inactive") }
    }
}

/// The appends that are out and not answered: the last index and the size of each.
#[derive(Debug, Default)]
pub(crate) struct Inflight {
    appends: VecDeque<(Index, u64)>,
    bytes: u64,
}

impl Inflight {
    pub fn count(&self) -> usize {
        self.appends.len()
    }

    pub fn is_full(&self, count_max: usize, bytes_max: u64) -> bool {
        self.appends.len() >= count_max || self.bytes >= bytes_max
    }

    pub fn add(&mut self, last: Index, bytes: u64) {
        self.appends.push_back((last, bytes));
        self.bytes += bytes;
    }

    /// Everything up to `matched` has arrived.
    pub fn free(&mut self, matched: Index) {
        while let Some(&(last, bytes)) = self.appends.front() {
            if last > matched {
                break;
            }
            self.bytes -= bytes;
            self.appends.pop_front();
        }
    }

    /// Forgets everything and gives the memory back.
    pub fn clear(&mut self) {
        self.appends = VecDeque::new();
        self.bytes = 0;
    }
}
