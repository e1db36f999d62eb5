//! What a group wants done.
//!
//! The caller's loop, for each group in which something has happened:
//!
//! ```text
//!   step / tick / propose ...           any number of times
//!           |
//!         ready ---- messages ---------> send, at once, in any order
//!           |   ---- write ------------> make durable, in order of the numbers, several at a time if it likes;
//!           |                            `persisted(number)` when the last of them is
//!           |   ---- committed --------> apply, in order; `applied(upto)` when done
//!           |   ---- reads ------------> serve once applied reaches the index
//!           +--- again after persisted and applied
//! ```
//!
//! Nothing has to be sorted into "before" and "after" durability by the caller: a message that promises something (a
//! vote, an acknowledged append) stays inside the group until the write it rests on was reported, and comes out of the
//! `ready` after that. A leader's appends do not wait: they go out together with the leader's own write.

use crate::log::View;
use crate::tail::Tail;
use crate::{
    Entry, EntryKind, Group, Index, LogError, LogReader, Message, ReplicaId, Snapshot, Term, WriteNumber,
};

/// What has to survive a restart beside the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HardState {
    pub term: Term,
    /// Whom this replica has voted for in `term`.
    pub vote: Option<ReplicaId>,
    /// Up to here the log was known to be committed. It lags behind: it is written only along with the rest.
    pub commit: Index,
}

/// What has to become durable, in order of the numbers.
///
/// The parts take effect together and in this order: the snapshot replaces log and state, the
/// entries replace everything in the log from the first of them on, the hard state replaces the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    pub number: WriteNumber,
    /// Replaces the log and the state of the group; the state arrived beside the message. What was handed out as
    /// committed before and is not applied yet must not be applied any more.
    pub snapshot: Option<Snapshot>,
    /// Contiguous. Empty when only the hard state changed.
    pub entries: Vec<Entry>,
    /// `None`: unchanged.
    pub hard_state: Option<HardState>,
}

/// A read of [`Group::read_index`] that may be served when everything up to `index` is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadReady {
    pub token: u64,
    pub index: Index,
}

/// What a group wants done now.
#[derive(Debug, Default)]
pub struct Ready {
    /// To send, at once.
    pub messages: Vec<Message>,
    /// To make durable; then [`Group::persisted`].
    pub write: Option<Write>,
    /// To apply; then [`Group::applied`]. The next come only after that. They are durable here.
    pub committed: Vec<Entry>,
    /// Reads that are confirmed.
    pub reads: Vec<ReadReady>,
}

impl Ready {
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.write.is_none() && self.committed.is_empty() && self.reads.is_empty()
    }
}

impl Group {
    /// What there is to do since the last call.
    pub fn ready(&mut self, log: &dyn LogReader) -> Result<Ready, LogError> {
        self.send_appends(log)?;
        self.send_heartbeats_if_due();
        self.record_committed_change();
        Ok(Ready {
            write: self.next_write(),
            committed: self.next_committed(log)?,
            messages: std::mem::take(&mut self.outbox),
            reads: std::mem::take(&mut self.reads),
        })
    }

    /// As [`Group::ready`], but begins no write: for right after [`Group::persisted`], when the next write is to gather more.
    pub fn ready_without_write(&mut self, log: &dyn LogReader) -> Result<Ready, LogError> {
        self.send_appends(log)?;
        self.send_heartbeats_if_due();
        self.record_committed_change();
        Ok(Ready {
            write: None,
            committed: self.next_committed(log)?,
            messages: std::mem::take(&mut self.outbox),
            reads: std::mem::take(&mut self.reads),
        })
    }

    /// Whether `ready` would hand out a write or committed entries, or has messages waiting: cheap, and without the
    /// appends that only `ready` makes.
    pub fn has_work(&self) -> bool {
        self.hard_state_changed
            || self.tail.has_unhanded()
            || !self.outbox.is_empty()
            || !self.reads.is_empty()
            || (self.applying == self.applied && self.applying < self.appliable())
    }

    /// Up to here entries may be applied.
    fn appliable(&self) -> Index {
        let end = self.commit.min(self.tail.durable());
        match self.conf_changes.front() {
            Some(&change) if change <= end && change > self.durable_commit => change.previous(),
            _ => end,
        }
    }

    /// A membership change that is committed must be known to be so after a crash, before it is applied.
    fn record_committed_change(&mut self) {
        let Some(&change) = self.conf_changes.front() else { return };
        let is_recorded = change <= self.durable_commit
            || self.commit_writes.back().is_some_and(|(_, commit)| *commit >= change);
        if change <= self.commit.min(self.tail.durable()) && !is_recorded {
            self.hard_state_changed = true;
        }
    }

    fn next_write(&mut self) -> Option<Write> {
        if !self.hard_state_changed && !self.tail.has_unhanded() {
            return None;
        }
        let (snapshot, entries) = self.tail.hand_out();
        let hard_state = (self.hard_state_changed || snapshot.is_some()).then(|| self.hard_state());
        self.hard_state_changed = false;
        let number = self.writes.issue(self.tail.last());
        if let Some(hard_state) = hard_state {
            self.commit_writes.push_back((number, hard_state.commit));
        }
        Some(Write { number, snapshot, entries, hard_state })
    }

    fn next_committed(&mut self, log: &dyn LogReader) -> Result<Vec<Entry>, LogError> {
        let end = self.appliable();
        if self.applying > self.applied || end <= self.applying {
            return Ok(Vec::new());
        }
        let view = View { tail: &self.tail, stored: log };
        let entries = view.entries(self.applying.next()..end.next(), self.config.committed_bytes_max)?;
        self.applying = entries.last().map_or(self.applying, |entry| entry.index);
        if let Some(leadership) = self.leadership_mut() {
            let normal = entries.iter().filter(|entry| entry.kind == EntryKind::Normal);
            leadership.release_uncommitted(normal.map(Entry::size).sum());
        }
        Ok(entries)
    }

    /// Every write up to `number` is durable.
    ///
    /// Panics if no such write was handed out.
    pub fn persisted(&mut self, number: WriteNumber) {
        if let Some(durable) = self.writes.complete(number) {
            self.tail.set_durable(durable);
        }
        while let Some((_, commit)) = self.commit_writes.front().filter(|(write, _)| *write <= number) {
            self.durable_commit = self.durable_commit.max(*commit);
            self.commit_writes.pop_front();
        }
        self.release_tail();
        while let Some(message) = self.writes.next_released() {
            if message.to == self.config.id {
                self.own_vote_is_durable(message.term);
            } else {
                self.outbox.push(message);
            }
        }
        self.commit_what_quorum_has();
    }

    /// Everything up to `upto` is applied. A smaller index than before is ignored (a snapshot overtook it).
    ///
    /// Panics if a membership change up to there was neither applied nor rejected.
    pub fn applied(&mut self, upto: Index) {
        if upto <= self.applied {
            return;
        }
        assert!(upto <= self.applying, "only what was handed out can be applied");
        assert!(
            self.conf_changes.front().is_none_or(|index| *index > upto),
            "a membership change is applied or rejected before its entry counts as applied"
        );
        self.applied = upto;
        self.release_tail();
        self.leave_joint_if_due();
    }

    fn release_tail(&mut self) {
        let Group { tail, applied, config, .. } = self;
        Tail::release(tail, *applied, config.tail_bytes_max);
    }

    /// Sends `message` as soon as everything that this replica has decided so far is durable.
    pub(crate) fn send_when_durable(&mut self, message: Message) {
        let unwritten = self.hard_state_changed || self.tail.has_unhanded();
        let after = if unwritten { self.writes.issued().next() } else { self.writes.issued() };
        if after <= self.writes.durable() {
            self.outbox.push(message);
        } else {
            self.writes.defer(after, message);
        }
    }
}
