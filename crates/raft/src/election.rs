//! Elections: who may lead the next term.
//!
//! ```text
//!   Follower --timeout--> PreCandidate --quorum would vote--> Candidate --quorum votes, own vote durable--> Leader
//!       ^                      |                                  |                                           |
//!       +----------------------+---- a leader, a higher term, or a quorum says no, or it hears from none -----+
//! ```
//!
//! - *Pre-vote*: a candidate first asks whether it could win, without raising its term; a replica that was cut off does not
//!   depose a working leader when it comes back.
//! - *Check-quorum*: a leader that hears from no quorum steps down, and a replica that has heard from a leader lately
//!   answers no campaign, so that a leader in contact with a quorum keeps its place. A transfer overrides that.
//! - A replica that knows of a committed but unapplied membership change does not campaign: it might count the wrong voters.
//! - A refusal tells what is committed. Without that, a group can be stuck for ever: replica 3 is to be the only voter, and has
//!   the entry that makes it so, but not the news that it is committed; the others know and so do not campaign
//!   any more, but refuse their votes, which replica 3 believes it needs, because their logs are longer.
//! - A vote leaves a replica only after it is durable. A candidate's *request* may leave earlier, but it leads only once its
//!   own vote is durable: or it could lead a term, crash, forget, and lead the same term again with other entries.
//!
//! Source: Ongaro, "Consensus: Bridging Theory and Practice" (2014), chapters 3, 6.2 and 9.6.

use crate::group::{Role, Votes};
use crate::log::View;
use crate::quorum::VoteResult;
use crate::{Body, Group, Index, LogError, LogReader, Message, Position, ReplicaId, Term};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Campaign {
    PreVote,
    Vote,
    /// At the leader's own request.
    Transfer,
}

impl Group {
    /// Campaigns now, beginning with a pre-vote. Does nothing if this replica may not lead: it leads already, is no voter,
    /// installs a snapshot, or knows of a committed membership change that it has not applied.
    pub fn campaign(&mut self) {
        self.wake();
        if self.may_campaign() && !self.is_restrained(None) {
            self.start_campaign(Campaign::PreVote);
        }
    }

    fn may_campaign(&self) -> bool {
        !self.is_leader()
            && self.configuration.is_voter(self.config.id)
            && self.tail.snapshot().is_none()
            && self.conf_changes.front().is_none_or(|index| *index > self.commit)
    }

    fn start_campaign(&mut self, campaign: Campaign) {
        let own = self.config.id;
        let term = self.term.next();
        self.reset_election_timer();
        if campaign == Campaign::PreVote {
            self.role = Role::PreCandidate { votes: Votes::default() };
        } else {
            self.set_term(term);
            self.vote = Some(own);
            self.role = Role::Candidate { votes: Votes::default() };
            let vote =
                self.message(own, Body::VoteResponse { granted: true, committed: Position::default() });
            self.send_when_durable(vote);
        }
        let (last_index, last_term) = (self.tail.last(), self.tail.last_term());
        for to in self.configuration.members() {
            if to == own || !self.configuration.is_voter(to) {
                continue;
            }
            let body = match campaign {
                Campaign::PreVote => Body::PreVote { last_index, last_term },
                Campaign::Vote => Body::Vote { last_index, last_term, transfer: false },
                Campaign::Transfer => Body::Vote { last_index, last_term, transfer: true },
            };
            self.outbox.push(Message { from: own, to, term, body });
        }
        if campaign == Campaign::PreVote {
            self.count_vote(own, true);
        }
    }

    /// The vote of this replica for itself, in `term`, is durable.
    pub(crate) fn own_vote_is_durable(&mut self, term: Term) {
        if term == self.term && matches!(self.role, Role::Candidate { .. }) {
            self.count_vote(self.config.id, true);
        }
    }

    /// Counts an answer to the campaign in progress.
    pub(crate) fn count_vote(&mut self, from: ReplicaId, granted: bool) {
        let own = self.config.id;
        let (Role::PreCandidate { votes } | Role::Candidate { votes }) = &mut self.role else { return };
        votes.record(from, granted);
        let result = self.configuration.vote_result(|id| votes.get(id));
        let own_vote = votes.get(own) == Some(true);
        match (result, &self.role) {
            (VoteResult::Won, Role::PreCandidate { .. }) if self.is_restrained(None) => {
                self.become_follower(self.term, None);
            }
            (VoteResult::Won, Role::PreCandidate { .. }) => self.start_campaign(Campaign::Vote),
            (VoteResult::Won, _) if own_vote => self.become_leader(),
            (VoteResult::Lost, _) => self.become_follower(self.term, None),
            _ => {}
        }
    }

    /// Answers a campaign. `message.term` is not below the own term here.
    pub(crate) fn answer_campaign(
        &mut self,
        message: &Message,
        last_index: Index,
        last_term: Term,
        log: &dyn LogReader,
    ) -> Result<(), LogError> {
        let pre = matches!(message.body, Body::PreVote { .. });
        let free = self.vote.is_none() && self.leader().is_none();
        let asked_by_leader = matches!(message.body, Body::Vote { transfer: true, .. });
        let may_vote = (self.vote == Some(message.from) || free || (pre && message.term > self.term))
            && (asked_by_leader || !self.is_restrained(Some(message.from)));
        let up_to_date = (last_term, last_index) >= (self.tail.last_term(), self.tail.last());
        let granted = may_vote && up_to_date;
        let committed = if granted { Position::default() } else { self.committed_position(log)? };
        if pre {
            // A grant is for the term that was asked about; a refusal tells the own term, so that a candidate that is behind
            // catches up, but not a lower one than the candidate's, which it would not listen to.
            let term = if granted { message.term } else { self.term.max(message.term.previous()) };
            let body = Body::PreVoteResponse { granted, committed };
            self.outbox.push(Message { from: self.config.id, to: message.from, term, body });
        } else if granted {
            self.election_elapsed = 0;
            if self.vote.is_none() {
                self.vote = Some(message.from);
                self.hard_state_changed = true;
            }
            let vote = self.message(message.from, Body::VoteResponse { granted: true, committed });
            self.send_when_durable(vote);
        } else {
            self.send(message.from, Body::VoteResponse { granted: false, committed });
        }
        Ok(())
    }

    fn committed_position(&self, log: &dyn LogReader) -> Result<Position, LogError> {
        let index = self.commit;
        let term = View { tail: &self.tail, stored: log }.term(index)?;
        Ok(Position { index, term: term.unwrap_or_default() })
    }

    /// Somebody knows that the entry at `committed` is. If it is in the log here, so is everything before it.
    pub fn learn_committed(&mut self, committed: Position, log: &dyn LogReader) -> Result<(), LogError> {
        let view = View { tail: &self.tail, stored: log };
        if committed.index > self.commit && view.term(committed.index)? == Some(committed.term) {
            self.commit = committed.index;
        }
        Ok(())
    }

    /// The leader asks this replica to take over.
    pub(crate) fn take_over(&mut self) {
        if matches!(self.role, Role::Follower { .. }) && self.may_campaign() {
            self.start_campaign(Campaign::Transfer);
        }
    }
}
