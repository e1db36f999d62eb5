//! How entries get from the leader to the others.
//!
//! Nothing is sent where it is decided: `propose`, an answer, or an advanced commit index only change state, and the next
//! `ready` sends to each replica what it lacks. So proposals made between two calls share one append per replica.
//!
//! Conflicts are repaired by *term*: a follower that refuses an append names the last place where its log could agree (the
//! last entry whose term is not above the one refused), the leader goes back to the last place in its own log whose term
//! is not above *that*, and one round trip skips a whole term of one side.
//!
//! A lost append is noticed by the next one (it does not connect), or by a heartbeat's answer: it makes the leader send
//! an empty append after what it believes the replica to have, and a refusal corrects the belief.

use crate::group::Role;
use crate::log::View;
use crate::progress::{Progress, ProgressState};
use crate::{Body, Entry, Group, Index, LogError, LogReader, Message, ReplicaId, Snapshot, StepError, Term};

impl Group {
    // ---- leader: sending ----------------------------------------------------------------------------

    /// Sends every replica what it lacks and may be sent.
    pub(crate) fn send_appends(&mut self, log: &dyn LogReader) -> Result<(), LogError> {
        let Role::Leader(leadership) = &mut self.role else { return Ok(()) };
        if leadership.progress.is_empty() {
            return Ok(());
        }
        let mut sender = Sender {
            view: View { tail: &self.tail, stored: log },
            config: &self.config,
            term: self.term,
            commit: self.commit,
            outbox: &mut self.outbox,
        };
        for (&to, progress) in &mut leadership.progress {
            while sender.send_next(to, progress)? {}
        }
        Ok(())
    }

    // ---- leader: answers ----------------------------------------------------------------------------

    pub(crate) fn take_append_response(
        &mut self,
        from: ReplicaId,
        matched: Index,
        log: &dyn LogReader,
    ) -> Result<(), StepError> {
        let last = self.tail.last();
        let view = View { tail: &self.tail, stored: log };
        let Role::Leader(leadership) = &mut self.role else { return Ok(()) };
        let Some(progress) = leadership.progress.get_mut(&from) else { return Ok(()) };
        if matched > last {
            return Err(StepError::Malformed("it acknowledges what was never sent"));
        }
        progress.active = true;
        let probing = progress.state == ProgressState::Probe;
        let confirms_probe = probing && matched == progress.matched;
        if !(progress.advance(matched) || confirms_probe) {
            return Ok(());
        }
        match progress.state {
            ProgressState::Probe => progress.become_replicate(),
            ProgressState::Snapshot(_) => {
                // However it got there: from here on the log is enough.
                if progress.matched.next() >= view.first()? {
                    progress.become_replicate();
                }
            }
            ProgressState::Replicate => progress.inflight.free(matched),
        }
        let caught_up = leadership.transferee == Some(from) && progress.matched == last;
        leadership.note_activity();
        leadership.is_succeeded |= caught_up;
        self.commit_what_quorum_has();
        if caught_up {
            self.send(from, Body::TimeoutNow);
        }
        Ok(())
    }

    pub(crate) fn take_append_rejection(
        &mut self,
        from: ReplicaId,
        rejected: Index,
        hint_index: Index,
        hint_term: Term,
        log: &dyn LogReader,
    ) -> Result<(), StepError> {
        let view = View { tail: &self.tail, stored: log };
        let Role::Leader(leadership) = &mut self.role else { return Ok(()) };
        let Some(progress) = leadership.progress.get_mut(&from) else { return Ok(()) };
        progress.active = true;
        let agreed = if hint_term > Term::ZERO {
            view.last_with_term_at_most(hint_index, hint_term)?.0
        } else {
            hint_index
        };
        progress.back_off(rejected, agreed);
        Ok(())
    }

    pub(crate) fn take_heartbeat_response(&mut self, from: ReplicaId, round: u64) {
        let last = self.tail.last();
        let Role::Leader(leadership) = &mut self.role else { return };
        let Some(progress) = leadership.progress.get_mut(&from) else { return };
        progress.active = true;
        progress.round = progress.round.max(round);
        progress.paused = false;
        progress.nudge |= progress.matched < last;
        self.confirm_reads();
    }

    /// A message to `to` could not be delivered: what was sent back to back after it is lost too.
    pub fn report_unreachable(&mut self, to: ReplicaId) {
        let Some(leadership) = self.leadership_mut() else { return };
        if let Some(progress) = leadership.progress.get_mut(&to)
            && progress.state == ProgressState::Replicate
        {
            progress.become_probe();
        }
    }

    /// The snapshot for `to` has been delivered, or not. Unless this is told, nothing more is sent there.
    pub fn report_snapshot(&mut self, to: ReplicaId, delivered: bool) {
        let Some(leadership) = self.leadership_mut() else { return };
        let Some(progress) = leadership.progress.get_mut(&to) else { return };
        if !matches!(progress.state, ProgressState::Snapshot(_)) {
            return;
        }
        if delivered {
            progress.become_probe();
            progress.nudge = true;
        } else {
            progress.snapshot_failed();
        }
        // Wait for an answer, or a heartbeat's, before trying again.
        progress.paused = true;
    }

    // ---- follower -----------------------------------------------------------------------------------

    pub(crate) fn take_append(
        &mut self,
        from: ReplicaId,
        previous_index: Index,
        previous_term: Term,
        entries: Vec<Entry>,
        commit: Index,
        log: &dyn LogReader,
    ) -> Result<(), StepError> {
        if previous_index < self.commit {
            // Old news; the answer tells the leader where to go on.
            let body = Body::AppendResponse { matched: self.commit };
            let message = self.message(from, body);
            self.send_when_durable(message);
            return Ok(());
        }
        let view = View { tail: &self.tail, stored: log };
        if view.term(previous_index)? != Some(previous_term) {
            let (hint_index, hint_term) = view.last_with_term_at_most(previous_index, previous_term)?;
            let body = Body::AppendRejected { rejected: previous_index, hint_index, hint_term };
            self.send(from, body);
            return Ok(());
        }
        let last_new = Index(previous_index.0 + entries.len() as u64);
        let mut known = 0;
        while known < entries.len() && view.term(entries[known].index)? == Some(entries[known].term) {
            known += 1;
        }
        if known < entries.len() {
            let before = if known == 0 { previous_term } else { entries[known - 1].term };
            self.replace_from(entries[known].index, before)?;
            for entry in entries.into_iter().skip(known) {
                self.note_conf_change(&entry);
                self.tail.push(entry);
            }
        }
        self.commit = self.commit.max(commit.min(last_new));
        let message = self.message(from, Body::AppendResponse { matched: last_new });
        self.send_when_durable(message);
        Ok(())
    }

    /// Forgets the log from `from` on; `term` is that of the entry before.
    fn replace_from(&mut self, from: Index, term: Term) -> Result<(), StepError> {
        if from <= self.commit {
            let text = format!("an entry differs at index {from}; committed is index {}", self.commit);
            return Err(StepError::ContradictsCommitted(text));
        }
        if from <= self.tail.last() {
            self.tail.cut(from, term);
            self.writes.cut(from);
            while self.conf_changes.back().is_some_and(|index| *index >= from) {
                self.conf_changes.pop_back();
            }
        }
        Ok(())
    }

    pub(crate) fn take_heartbeat(
        &mut self,
        from: ReplicaId,
        commit: Index,
        round: u64,
    ) -> Result<(), StepError> {
        if commit > self.tail.last() {
            let last = self.tail.last();
            let text =
                format!("index {commit} was acknowledged by this replica, whose log ends at index {last}");
            return Err(StepError::ContradictsCommitted(text));
        }
        self.commit = self.commit.max(commit);
        self.send(from, Body::HeartbeatResponse { round });
        Ok(())
    }

    pub(crate) fn take_snapshot(
        &mut self,
        from: ReplicaId,
        snapshot: Snapshot,
        log: &dyn LogReader,
    ) -> Result<(), StepError> {
        let view = View { tail: &self.tail, stored: log };
        if snapshot.index > self.commit {
            if view.term(snapshot.index)? == Some(snapshot.term) {
                // The log has it already: then everything up to there is committed, and there is nothing to install.
                self.commit = snapshot.index;
            } else {
                self.restore(snapshot);
            }
        }
        let message = self.message(from, Body::AppendResponse { matched: self.commit });
        self.send_when_durable(message);
        Ok(())
    }

    fn restore(&mut self, snapshot: Snapshot) {
        self.writes.cut(Index(1));
        self.commit = snapshot.index;
        self.applying = snapshot.index;
        self.applied = snapshot.index;
        self.conf_changes.clear();
        self.gone.clear();
        self.configuration = snapshot.configuration.clone();
        self.tail.restore(snapshot);
    }
}

/// What is needed to send appends.
struct Sender<'a> {
    view: View<'a>,
    config: &'a crate::Config,
    term: Term,
    commit: Index,
    outbox: &'a mut Vec<Message>,
}

impl Sender<'_> {
    /// Sends one message to `to` if there is something to say and it may be said. Whether there may be more.
    fn send_next(&mut self, to: ReplicaId, progress: &mut Progress) -> Result<bool, LogError> {
        if progress.is_blocked() {
            return Ok(false);
        }
        let last = self.view.tail.last();
        let config = self.config;
        let full = progress.inflight.is_full(config.inflight_appends_max, config.inflight_bytes_max);
        let has_entries = progress.next <= last && !full;
        let replicates = progress.state == ProgressState::Replicate;
        let has_commit = replicates && progress.sent_commit < self.commit.min(progress.next.previous());
        if !has_entries && !has_commit && !progress.nudge {
            return Ok(false);
        }
        let previous_index = progress.next.previous();
        let Some(previous_term) = self.view.term(previous_index)? else {
            return self.send_snapshot(to, progress);
        };
        if progress.next < self.view.first()? {
            return self.send_snapshot(to, progress);
        }
        let entries = if has_entries {
            self.view.entries(progress.next..last.next(), config.append_bytes_max)?
        } else {
            Vec::new()
        };
        progress.nudge = false;
        let sent = Index(previous_index.0 + entries.len() as u64);
        progress.sent_commit = progress.sent_commit.max(self.commit.min(sent));
        let count = entries.len();
        if replicates {
            if count > 0 {
                progress.inflight.add(sent, entries.iter().map(Entry::size).sum());
            }
            progress.next = sent.next();
        } else {
            progress.paused = true;
        }
        let body = Body::Append { previous_index, previous_term, entries, commit: self.commit };
        self.push(to, body);
        Ok(replicates && count > 0)
    }

    fn send_snapshot(&mut self, to: ReplicaId, progress: &mut Progress) -> Result<bool, LogError> {
        progress.nudge = false;
        // Nobody may be there: a snapshot is too big to be sent on the off chance.
        let snapshot = if progress.active { self.view.stored.snapshot()? } else { None };
        match snapshot {
            Some(snapshot) => {
                progress.become_snapshot(snapshot.index);
                self.push(to, Body::Snapshot(snapshot));
            }
            None => {
                // Ask again after the next heartbeat's answer.
                if progress.state == ProgressState::Replicate {
                    progress.become_probe();
                }
                progress.paused = true;
            }
        }
        Ok(false)
    }

    fn push(&mut self, to: ReplicaId, body: Body) {
        self.outbox.push(Message { from: self.config.id, to, term: self.term, body });
    }
}
