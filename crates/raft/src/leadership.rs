//! What only a leader has, and its timers: heartbeats, the quorum check, going to sleep.

use std::collections::{BTreeMap, VecDeque};

use crate::group::Role;
use crate::progress::{Progress, ProgressState};
use crate::quorum::VoteResult;
use crate::{
    Body, ConfChange, ConfError, Configuration, Entry, EntryKind, Group, Index, Position, ProposeError,
    ReadIndexError, ReadReady, ReplicaId, TransferError,
};

/// Replicas that are remembered for being no voters any more. Ids of replicas are not used again, so that the last ones would do.
const GONE_MAX: usize = 16;

/// The state of a leader.
///
/// - `progress` has every member but the leader itself.
/// - `term_start` is the index of the leader's first entry: only what is at or after it is committed by counting.
/// - `reads` are in order of their rounds, which are above `confirmed round` of the quorum.
#[derive(Debug)]
pub(crate) struct Leadership {
    pub progress: BTreeMap<ReplicaId, Progress>,
    term_start: Index,
    pub transferee: Option<ReplicaId>,
    /// The transferee has been told to campaign: it may win at any time, and this leader cannot take that back.
    pub is_succeeded: bool,
    heartbeat_elapsed: u32,
    heartbeat_due: bool,
    idle_ticks: u32,
    uncommitted_bytes: u64,
    round: u64,
    reads: VecDeque<ReadReady>,
}

impl Leadership {
    pub fn term_start(&self) -> Index {
        self.term_start
    }

    /// Entries of this size are committed.
    pub fn release_uncommitted(&mut self, bytes: u64) {
        self.uncommitted_bytes = self.uncommitted_bytes.saturating_sub(bytes);
    }

    pub fn note_activity(&mut self) {
        self.idle_ticks = 0;
    }

    pub fn wake(&mut self) {
        self.idle_ticks = 0;
        self.heartbeat_elapsed = 0;
        self.heartbeat_due = true;
    }
}

impl Group {
    pub(crate) fn become_leader(&mut self) {
        let own = self.config.id;
        let last = self.tail.last();
        let progress = self.configuration.members().into_iter().filter(|id| *id != own);
        let leadership = Leadership {
            progress: progress.map(|id| (id, Progress::new(last.next()))).collect(),
            term_start: last.next(),
            transferee: None,
            is_succeeded: false,
            heartbeat_elapsed: 0,
            heartbeat_due: false,
            idle_ticks: 0,
            uncommitted_bytes: 0,
            round: 0,
            reads: VecDeque::new(),
        };
        self.role = Role::Leader(Box::new(leadership));
        self.is_orphaned = false;
        self.reset_election_timer();
        self.append(EntryKind::Empty, bytes::Bytes::new());
    }

    // ---- proposals ----------------------------------------------------------------------------------

    /// Appends a command to the log of the leader. It goes out with the next `ready`.
    pub fn propose(&mut self, payload: bytes::Bytes) -> Result<Position, ProposeError> {
        let size = payload.len() as u64 + Entry::OVERHEAD_BYTES;
        let uncommitted_bytes_max = self.config.uncommitted_bytes_max;
        let leadership = self.leadership_for_proposal()?;
        // One proposal is always let in, however big: otherwise it never could be.
        if leadership.uncommitted_bytes > 0 && leadership.uncommitted_bytes + size > uncommitted_bytes_max {
            return Err(ProposeError::Overloaded);
        }
        leadership.uncommitted_bytes += size;
        Ok(self.append(EntryKind::Normal, payload))
    }

    /// Appends a membership change to the log of the leader. It takes effect when it is applied; until then
    /// no other is taken.
    pub fn propose_conf_change(&mut self, change: &ConfChange) -> Result<Position, ProposeError> {
        self.leadership_for_proposal()?;
        if let Some(&index) = self.conf_changes.front() {
            return Err(ProposeError::ConfChangePending { index });
        }
        self.configuration.after(change)?;
        Ok(self.append(EntryKind::ConfChange, change.encode()))
    }

    fn leadership_for_proposal(&mut self) -> Result<&mut Leadership, ProposeError> {
        let leader = self.leader();
        if !self.is_leader() {
            return Err(ProposeError::NotLeader { leader });
        }
        self.wake();
        let leadership = self.leadership_mut().expect("checked above");
        match leadership.transferee {
            Some(to) => Err(ProposeError::Transferring { to }),
            None => Ok(leadership),
        }
    }

    fn append(&mut self, kind: EntryKind, payload: bytes::Bytes) -> Position {
        let position = Position { index: self.tail.last().next(), term: self.term };
        let entry = Entry { index: position.index, term: position.term, kind, payload };
        self.note_conf_change(&entry);
        self.tail.push(entry);
        if let Some(leadership) = self.leadership_mut() {
            leadership.note_activity();
        }
        position
    }

    /// Commits what a quorum has, if it is of this leader's own term.
    ///
    /// An earlier leader's entry is not committed by counting: a replica without it could still win (Ongaro, figure 3.7).
    pub(crate) fn commit_what_quorum_has(&mut self) {
        let Role::Leader(leadership) = &self.role else { return };
        let own = self.config.id;
        let durable = self.tail.durable();
        let reached = self.configuration.reached_by_quorum(|id| {
            if id == own {
                durable
            } else {
                leadership.progress.get(&id).map_or(Index::ZERO, |progress| progress.matched)
            }
        });
        if reached > self.commit && reached >= leadership.term_start {
            self.commit = reached;
        }
    }

    // ---- membership ---------------------------------------------------------------------------------

    /// Applies the membership change at `index`, which `ready` has handed out as committed. Gives the configuration to
    /// store in one atomic write with the applied index.
    ///
    /// An error means that the change makes no sense (any more): it is rejected, by every replica alike.
    pub fn apply_conf_change(
        &mut self,
        index: Index,
        change: &ConfChange,
    ) -> Result<&Configuration, ConfError> {
        self.take_conf_change(index);
        let after = self.configuration.after(change)?;
        let before = std::mem::replace(&mut self.configuration, after);
        self.note_gone(&before);
        self.after_conf_change();
        Ok(&self.configuration)
    }

    /// Lets the membership change at `index` be without effect. Every replica must decide alike.
    pub fn reject_conf_change(&mut self, index: Index) {
        self.take_conf_change(index);
    }

    fn take_conf_change(&mut self, index: Index) {
        assert!(index <= self.applying, "only what was handed out can be applied");
        let front = self.conf_changes.pop_front();
        assert_eq!(front, Some(index), "membership changes are applied once and in order");
    }

    /// Remembers who is no voter any more. Who followed one of them may be asleep, and is to elect another.
    fn note_gone(&mut self, before: &Configuration) {
        let now = &self.configuration;
        let went = before.members().into_iter().filter(|id| before.is_voter(*id) && !now.is_voter(*id));
        self.gone.retain(|id| !now.is_voter(*id));
        self.gone.extend(went);
        let surplus = self.gone.len().saturating_sub(GONE_MAX);
        self.gone.drain(..surplus);
        if self.leader().is_some_and(|leader| leader != self.config.id && self.gone.contains(&leader)) {
            self.wake();
        }
    }

    fn after_conf_change(&mut self) {
        let own = self.config.id;
        if !self.configuration.is_voter(own) && !matches!(self.role, Role::Follower { .. }) {
            self.become_follower(self.term, None);
        }
        let members = self.configuration.members();
        let voters = &self.configuration;
        let next = self.tail.last();
        let Role::Leader(leadership) = &mut self.role else { return };
        leadership.progress.retain(|id, _| members.contains(id));
        for id in members {
            if id != own {
                leadership.progress.entry(id).or_insert_with(|| {
                    // A new replica counts as heard from until the next check, or it would get no snapshot.
                    Progress { active: true, ..Progress::new(next) }
                });
            }
        }
        if !leadership.is_succeeded && leadership.transferee.is_some_and(|to| !voters.is_voter(to)) {
            leadership.transferee = None;
        }
        self.commit_what_quorum_has();
        self.confirm_reads();
    }

    /// Proposes leaving a joint configuration that is to be left automatically.
    pub(crate) fn leave_joint_if_due(&mut self) {
        if self.is_leader() && self.configuration.auto_leave && self.conf_changes.is_empty() {
            self.append(EntryKind::ConfChange, ConfChange::leave().encode());
        }
    }

    // ---- reads --------------------------------------------------------------------------------------

    /// Asks for a linearizable read: when this returns in a `Ready`, a state with its index applied is at least as new as
    /// everything committed before this call. Costs a round of heartbeats, no log entry.
    ///
    /// The token is lost when the leader steps down: fail the reads that wait then.
    pub fn read_index(&mut self) -> Result<u64, ReadIndexError> {
        let leader = self.leader();
        let commit = self.commit;
        if self.is_leader() && !self.has_committed_in_term() {
            return Err(ReadIndexError::TermNotCommitted);
        }
        self.wake();
        let Some(leadership) = self.leadership_mut() else {
            return Err(ReadIndexError::NotLeader { leader });
        };
        leadership.round += 1;
        leadership.heartbeat_due = true;
        leadership.note_activity();
        let token = leadership.round;
        leadership.reads.push_back(ReadReady { token, index: commit });
        self.confirm_reads();
        Ok(token)
    }

    /// Hands out the reads whose round a quorum has confirmed.
    pub(crate) fn confirm_reads(&mut self) {
        let Role::Leader(leadership) = &mut self.role else { return };
        if leadership.reads.is_empty() {
            return;
        }
        let own = self.config.id;
        let progress = &leadership.progress;
        let confirmed = self.configuration.reached_by_quorum(|id| {
            if id == own { u64::MAX } else { progress.get(&id).map_or(0, |progress| progress.round) }
        });
        while leadership.reads.front().is_some_and(|read| read.token <= confirmed) {
            self.reads.extend(leadership.reads.pop_front());
        }
    }

    // ---- transfer -----------------------------------------------------------------------------------

    /// Hands leadership to `to` as soon as it has the whole log; no proposals are taken meanwhile. Given up after an
    /// election timeout. Transferring to the leader itself gives up a transfer in progress.
    pub fn transfer_leadership(&mut self, to: ReplicaId) -> Result<(), TransferError> {
        if !self.is_leader() {
            return Err(TransferError::NotLeader { leader: self.leader() });
        }
        if !self.configuration.is_voter(to) {
            return Err(TransferError::NotVoter { to });
        }
        self.wake();
        let (own, last) = (self.config.id, self.tail.last());
        let Role::Leader(leadership) = &mut self.role else { return Ok(()) };
        leadership.note_activity();
        if to == own {
            if !leadership.is_succeeded {
                leadership.transferee = None;
            }
            return Ok(());
        }
        if leadership.is_succeeded {
            return Ok(());
        }
        if leadership.transferee == Some(to) {
            return Ok(());
        }
        leadership.transferee = Some(to);
        self.election_elapsed = 0;
        let progress = leadership.progress.get_mut(&to).expect("every other voter has progress");
        if progress.matched == last {
            leadership.is_succeeded = true;
            self.send(to, Body::TimeoutNow);
        } else {
            progress.nudge = true;
        }
        Ok(())
    }

    // ---- time ---------------------------------------------------------------------------------------

    pub(crate) fn tick_leader(&mut self) {
        self.election_elapsed += 1;
        if self.election_elapsed >= self.config.election_ticks {
            self.election_elapsed = 0;
            if !self.hears_from_quorum() {
                self.become_follower(self.term, None);
                return;
            }
        }
        let heartbeat_ticks = self.config.heartbeat_ticks;
        let timed_out = self.election_elapsed == 0;
        if timed_out && matches!(&self.role, Role::Leader(leadership) if leadership.is_succeeded) {
            // The successor may still win, without asking whether this leader is alive: it must not go on in this term.
            self.become_follower(self.term, None);
            return;
        }
        let Some(leadership) = self.leadership_mut() else { return };
        if timed_out {
            leadership.transferee = None;
        }
        leadership.idle_ticks = leadership.idle_ticks.saturating_add(1);
        leadership.heartbeat_elapsed += 1;
        if leadership.heartbeat_elapsed >= heartbeat_ticks {
            leadership.heartbeat_elapsed = 0;
            leadership.heartbeat_due = true;
        }
        self.quiesce_if_idle();
    }

    /// Whether a quorum was heard from since the last check; begins the next period.
    fn hears_from_quorum(&mut self) -> bool {
        let own = self.config.id;
        let Role::Leader(leadership) = &mut self.role else { return false };
        let heard = |id| id == own || leadership.progress.get(&id).is_some_and(|progress| progress.active);
        let result = self.configuration.vote_result(|id| Some(heard(id)));
        for progress in leadership.progress.values_mut() {
            progress.active = false;
        }
        result == VoteResult::Won
    }

    pub(crate) fn send_heartbeats_if_due(&mut self) {
        let Role::Leader(leadership) = &mut self.role else { return };
        if !std::mem::take(&mut leadership.heartbeat_due) {
            return;
        }
        for (&to, progress) in &leadership.progress {
            let body = Body::Heartbeat { commit: progress.matched.min(self.commit), round: leadership.round };
            self.outbox.push(crate::Message { from: self.config.id, to, term: self.term, body });
        }
    }

    // ---- sleep --------------------------------------------------------------------------------------

    fn quiesce_if_idle(&mut self) {
        let idle_ticks_max = self.config.quiesce_ticks;
        let Role::Leader(leadership) = &self.role else { return };
        if idle_ticks_max == 0 || leadership.idle_ticks < idle_ticks_max || !self.is_at_rest() {
            return;
        }
        let last = self.tail.last();
        let at_rest = |progress: &Progress| {
            progress.matched == last
                && progress.state == ProgressState::Replicate
                && progress.sent_commit == last
        };
        let waits = leadership.transferee.is_some() || !leadership.reads.is_empty();
        // Those who are away are told when they come back.
        let rests = |(id, progress): (&ReplicaId, &Progress)| at_rest(progress) || self.absent.contains(id);
        let present = |id| id == self.config.id || !self.absent.contains(&id);
        let is_quorum = self.configuration.vote_result(|id| Some(present(id))) == VoteResult::Won;
        if waits || self.configuration.auto_leave || !is_quorum || !leadership.progress.iter().all(rests) {
            return;
        }
        let others: Vec<ReplicaId> = leadership.progress.keys().copied().collect();
        for to in others {
            self.send(to, Body::Quiesce { last_index: last });
        }
        if let Some(leadership) = self.leadership_mut() {
            leadership.heartbeat_due = false;
        }
        self.quiescent = true;
    }

    /// Whether everything in the log is durable, committed and applied here.
    fn is_at_rest(&self) -> bool {
        let last = self.tail.last();
        self.applied == last
            && self.tail.durable() == last
            && self.tail.snapshot().is_none()
            && self.writes.are_all_durable()
            && !self.hard_state_changed
    }

    /// The leader goes to sleep: so does this replica if it has everything, otherwise it says that it has not.
    pub(crate) fn quiesce_with_leader(&mut self, leader: ReplicaId, last_index: Index) {
        if self.tail.last() == last_index && self.is_at_rest() {
            self.quiescent = true;
        } else {
            self.wake();
            self.send(leader, Body::Wake);
        }
    }
}
