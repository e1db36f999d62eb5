//! A message arrives: is it well-formed, of which term is it, who handles it.

use crate::group::Role;
use crate::{
    Body, ConfChange, Entry, EntryKind, Group, Index, LogReader, Message, Position, ReplicaId, StepError,
    Term,
};

impl Group {
    /// Takes a message from another replica.
    ///
    /// A malformed message changes nothing. One that contradicts what is known to be committed changes nothing but,
    /// possibly, the term.
    pub fn step(&mut self, message: Message, log: &dyn LogReader) -> Result<(), StepError> {
        self.check(&message)?;
        if !self.may_sleep_through(&message) {
            self.wake();
        }
        if !self.meet_term(&message) {
            return Ok(());
        }
        let Message { from, term, body, .. } = message;
        match body {
            Body::PreVote { last_index, last_term } | Body::Vote { last_index, last_term, .. } => {
                self.answer_campaign(&message_of(from, self.id(), term, body), last_index, last_term, log)?;
            }
            Body::PreVoteResponse { granted, committed } => {
                self.learn_committed(committed, log)?;
                let asked = term == self.term.next() || !granted;
                if asked && matches!(self.role, Role::PreCandidate { .. }) {
                    self.count_vote(from, granted);
                }
            }
            Body::VoteResponse { granted, committed } => {
                self.learn_committed(committed, log)?;
                if matches!(self.role, Role::Candidate { .. }) {
                    self.count_vote(from, granted);
                }
            }
            Body::Append { previous_index, previous_term, entries, commit } => {
                self.hear_from_leader(from)?;
                self.take_append(from, previous_index, previous_term, entries, commit, log)?;
            }
            Body::Heartbeat { commit, round } => {
                self.hear_from_leader(from)?;
                self.take_heartbeat(from, commit, round)?;
            }
            Body::Snapshot(snapshot) => {
                self.hear_from_leader(from)?;
                self.take_snapshot(from, snapshot, log)?;
            }
            Body::Quiesce { last_index } => {
                self.hear_from_leader(from)?;
                self.quiesce_with_leader(from, last_index);
            }
            Body::TimeoutNow => self.take_over(),
            Body::AppendResponse { matched } => self.take_append_response(from, matched, log)?,
            Body::AppendRejected { rejected, hint_index, hint_term } => {
                self.take_append_rejection(from, rejected, hint_index, hint_term, log)?;
            }
            Body::HeartbeatResponse { round } => self.take_heartbeat_response(from, round),
            // It has woken this replica already.
            Body::Wake => {}
        }
        Ok(())
    }

    /// A leader that fell asleep need not wake for answers to what it sent before that.
    fn may_sleep_through(&self, message: &Message) -> bool {
        match message.body {
            Body::Quiesce { .. } => true,
            Body::AppendResponse { .. } | Body::HeartbeatResponse { .. } => {
                self.is_leader() && message.term == self.term
            }
            _ => false,
        }
    }

    fn check(&self, message: &Message) -> Result<(), StepError> {
        if message.to != self.config.id {
            return Err(StepError::Malformed("it is for another replica"));
        }
        if message.from == ReplicaId::ZERO || message.from == self.config.id {
            return Err(StepError::Malformed("its sender is no other replica"));
        }
        if message.term == Term::ZERO {
            return Err(StepError::Malformed("it has no term"));
        }
        match &message.body {
            Body::Append { previous_index, previous_term, entries, .. } => {
                check_entries(message.term, *previous_index, *previous_term, entries)
            }
            Body::Snapshot(snapshot) if snapshot.term > message.term || snapshot.index == Index::ZERO => {
                Err(StepError::Malformed("its snapshot is from the future or empty"))
            }
            Body::Snapshot(snapshot) if !snapshot.configuration.is_member(self.config.id) => {
                Err(StepError::Malformed("its snapshot does not have this replica as a member"))
            }
            _ => Ok(()),
        }
    }

    /// Compares the message's term with the own one and adopts a later one. False if the message is to go
    /// no further.
    fn meet_term(&mut self, message: &Message) -> bool {
        if message.term > self.term {
            return self.meet_later_term(message);
        }
        if message.term < self.term {
            match message.body {
                // A leader that is behind steps down when it sees this term; so this also frees a replica that is ahead
                // of its group from waiting for ever.
                Body::Append { .. } | Body::Heartbeat { .. } | Body::Snapshot(_) | Body::Quiesce { .. } => {
                    self.wake();
                    self.send(message.from, Body::HeartbeatResponse { round: 0 });
                }
                Body::PreVote { .. } => {
                    let body = Body::PreVoteResponse { granted: false, committed: Position::default() };
                    self.send(message.from, body);
                }
                _ => {}
            }
            return false;
        }
        true
    }

    fn meet_later_term(&mut self, message: &Message) -> bool {
        match message.body {
            Body::PreVote { .. } => {
                self.is_asked = self.refuses(message.from);
                !self.is_asked
            }
            Body::Vote { transfer, .. } => {
                if self.refuses(message.from) && !transfer {
                    return false;
                }
                self.become_follower(message.term, None);
                true
            }
            // The term asked about, not one that has begun.
            Body::PreVoteResponse { granted: true, .. } => true,
            Body::Append { .. } | Body::Heartbeat { .. } | Body::Snapshot(_) | Body::Quiesce { .. } => {
                self.become_follower(message.term, Some(message.from));
                true
            }
            _ => {
                self.become_follower(message.term, None);
                true
            }
        }
    }

    /// The leader of the current term has spoken.
    fn hear_from_leader(&mut self, from: ReplicaId) -> Result<(), StepError> {
        match self.role {
            Role::Leader(_) => {
                let text = format!("replica {from} leads term {} too", self.term);
                return Err(StepError::ContradictsCommitted(text));
            }
            Role::Follower { leader: Some(known) } if known != from => {
                let text = format!("replicas {known} and {from} both lead term {}", self.term);
                return Err(StepError::ContradictsCommitted(text));
            }
            Role::Follower { leader: Some(_) } => (self.election_elapsed, self.is_asked) = (0, false),
            Role::Follower { leader: None } | Role::PreCandidate { .. } | Role::Candidate { .. } => {
                self.become_follower(self.term, Some(from));
            }
        }
        Ok(())
    }
}

fn message_of(from: ReplicaId, to: ReplicaId, term: Term, body: Body) -> Message {
    Message { from, to, term, body }
}

fn check_entries(
    term: Term,
    previous_index: Index,
    previous_term: Term,
    entries: &[Entry],
) -> Result<(), StepError> {
    if (previous_index == Index::ZERO) != (previous_term == Term::ZERO) {
        return Err(StepError::Malformed("its previous entry has an index without a term"));
    }
    let (mut index, mut last_term) = (previous_index, previous_term);
    for entry in entries {
        if index.0.checked_add(1) != Some(entry.index.0) {
            return Err(StepError::Malformed("its entries have a gap"));
        }
        if entry.term < last_term || entry.term > term {
            return Err(StepError::Malformed("its entries have terms out of order"));
        }
        if entry.kind == EntryKind::ConfChange && ConfChange::decode(&entry.payload).is_err() {
            return Err(StepError::Malformed("it has a membership change that cannot be read"));
        }
        (index, last_term) = (entry.index, entry.term);
    }
    if last_term > term {
        return Err(StepError::Malformed("its previous entry is from the future"));
    }
    Ok(())
}
