//! One replica of one group: its state, its timers, and where its messages go.

use std::collections::VecDeque;

use smallvec::SmallVec;
use stdx::prng::Prng;

use crate::leadership::Leadership;
use crate::log::View;
use crate::progress::ProgressState;
use crate::tail::Tail;
use crate::writes::Writes;
use crate::{
    Body, ConfChange, Config, Configuration, Entry, EntryKind, HardState, Index, LogError, LogReader,
    Message, OpenError, ReadReady, ReplicaId, Term, WriteNumber,
};

/// Who knows its leader to be dead waits for this part of the usual time, and less than twice as much again, between two campaigns.
const ORPHANED_PART: u32 = 3;

/// What is stored of a replica beside its log.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    pub hard_state: HardState,
    /// Up to here the stored state has everything applied.
    pub applied: Index,
    /// The membership as of `applied`.
    pub configuration: Configuration,
}

/// The part a replica plays in its term.
#[derive(Debug)]
pub(crate) enum Role {
    Follower {
        leader: Option<ReplicaId>,
    },
    /// Asks whether it could win, before it disturbs anyone with a new term.
    PreCandidate {
        votes: Votes,
    },
    Candidate {
        votes: Votes,
    },
    Leader(Box<Leadership>),
}

/// The answers to a campaign so far.
#[derive(Debug, Default)]
pub(crate) struct Votes(SmallVec<[(ReplicaId, bool); 4]>);

impl Votes {
    pub fn get(&self, id: ReplicaId) -> Option<bool> {
        self.0.iter().find(|(voter, _)| *voter == id).map(|(_, granted)| *granted)
    }

    /// Notes an answer; the first one counts.
    pub fn record(&mut self, id: ReplicaId, granted: bool) {
        if self.get(id).is_none() {
            self.0.push((id, granted));
        }
    }
}

/// What this replica has been told to hold back with; see [`Group::set_restraint`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Restraint {
    #[default]
    None,
    /// Its store has promised the leader that this replica knows of not to help depose it. Ends by itself when that leader is found
    /// to be gone: see [`Group::set_restraint`].
    KeepsLeader,
    /// It may have made a promise that it no longer remembers.
    Forgetful,
}

/// What a role is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleName {
    Follower,
    PreCandidate,
    Candidate,
    Leader,
}

/// One replica of one Raft group, without any input or output of its own.
///
/// - `applied <= applying <= commit <= last`, and `applying <= durable`.
/// - `term` never goes down; `vote` changes at most once in a term.
/// - A message that promises something is held back until what it promises is durable.
/// - Leader only if its own vote is durable: a leader that forgot its term could lead it twice.
/// - `conf_changes` are the indexes of exactly the membership changes in the log above `applied`.
/// - A membership change is handed out for applying only when it is durable *that it is committed*: what is applied may be lost in
///   a crash, and a replica that went back to older members would elect itself by a quorum that is none any more.
/// - `gone` are replicas that a change applied here took out of the voters, the latest ones; none of them is a voter.
#[derive(Debug)]
pub struct Group {
    pub(crate) config: Config,
    pub(crate) term: Term,
    pub(crate) vote: Option<ReplicaId>,
    pub(crate) hard_state_changed: bool,
    pub(crate) commit: Index,
    pub(crate) applying: Index,
    pub(crate) applied: Index,
    pub(crate) configuration: Configuration,
    pub(crate) conf_changes: VecDeque<Index>,
    pub(crate) role: Role,
    pub(crate) tail: Tail,
    pub(crate) writes: Writes,
    /// Up to here a restart would know the log to be committed.
    pub(crate) durable_commit: Index,
    /// Commit indexes on their way to the disk.
    pub(crate) commit_writes: VecDeque<(WriteNumber, Index)>,
    pub(crate) outbox: Vec<Message>,
    pub(crate) reads: Vec<ReadReady>,
    pub(crate) election_elapsed: u32,
    pub(crate) election_timeout: u32,
    /// The last leader is known to be dead, and no other is known.
    pub(crate) is_orphaned: bool,
    /// Another would lead, and was not answered for the leader's sake. Heard of since the leader was.
    pub(crate) is_asked: bool,
    pub(crate) quiescent: bool,
    pub(crate) restraint: Restraint,
    pub(crate) absent: SmallVec<[ReplicaId; 2]>,
    pub(crate) gone: SmallVec<[ReplicaId; 2]>,
    prng: Prng,
}

impl Group {
    /// Opens a replica from what is stored, as a follower.
    ///
    /// Reads the entries after `stored.applied` once. Panics if the configuration contradicts itself.
    pub fn new(config: Config, stored: Stored, log: &dyn LogReader) -> Result<Group, OpenError> {
        config.check();
        let Stored { hard_state, applied, configuration } = stored;
        let bounds = log.bounds()?;
        if config.id == ReplicaId::ZERO {
            return Err(OpenError::NoReplicaId);
        }
        if bounds.truncated_index > applied {
            return Err(OpenError::GapBeforeLog { truncated: bounds.truncated_index, applied });
        }
        if bounds.last < applied {
            return Err(OpenError::LogEndsBeforeApplied { last: bounds.last, applied });
        }
        if bounds.last < hard_state.commit {
            return Err(OpenError::LogEndsBeforeCommit { last: bounds.last, commit: hard_state.commit });
        }
        let last_term = log
            .term(bounds.last)?
            .ok_or_else(|| LogError(format!("the last entry, index {}, is missing", bounds.last)))?;
        if last_term > hard_state.term {
            return Err(OpenError::TermBehindLog { last_term, term: hard_state.term });
        }
        let mut prng = Prng::new(config.seed);
        let election_timeout = draw_timeout(&mut prng, config.election_ticks, config.election_ticks);
        let mut group = Group {
            term: hard_state.term,
            vote: hard_state.vote,
            hard_state_changed: false,
            commit: hard_state.commit.max(applied),
            applying: applied,
            applied,
            configuration,
            conf_changes: VecDeque::new(),
            role: Role::Follower { leader: None },
            tail: Tail::new(bounds.last, last_term),
            writes: Writes::default(),
            durable_commit: hard_state.commit.max(applied),
            commit_writes: VecDeque::new(),
            outbox: Vec::new(),
            reads: Vec::new(),
            election_elapsed: 0,
            election_timeout,
            is_orphaned: false,
            is_asked: false,
            quiescent: false,
            restraint: Restraint::None,
            absent: SmallVec::new(),
            gone: SmallVec::new(),
            prng,
            config,
        };
        group.find_conf_changes(log)?;
        Ok(group)
    }

    fn find_conf_changes(&mut self, log: &dyn LogReader) -> Result<(), OpenError> {
        let end = self.tail.last().next();
        let mut at = self.applied.next();
        while at < end {
            let entries =
                View { tail: &self.tail, stored: log }.entries(at..end, self.config.committed_bytes_max)?;
            for entry in &entries {
                if entry.kind == EntryKind::ConfChange {
                    ConfChange::decode(&entry.payload).map_err(|error| OpenError::BadConfChange {
                        index: entry.index,
                        reason: error.to_string(),
                    })?;
                }
                self.note_conf_change(entry);
                at = entry.index.next();
            }
        }
        Ok(())
    }

    pub(crate) fn note_conf_change(&mut self, entry: &Entry) {
        if entry.kind == EntryKind::ConfChange {
            self.conf_changes.push_back(entry.index);
        }
    }

    // ---- time ---------------------------------------------------------------------------------------

    /// One unit of time has passed. Does nothing while the group is quiescent.
    pub fn tick(&mut self) {
        if self.quiescent {
            return;
        }
        match self.role {
            Role::Leader(_) => self.tick_leader(),
            _ => self.tick_follower(),
        }
    }

    fn tick_follower(&mut self) {
        self.election_elapsed += 1;
        if self.election_elapsed >= self.election_timeout && self.configuration.is_voter(self.config.id) {
            self.election_elapsed = 0;
            self.campaign();
            self.ask_leader_kept();
        }
    }

    /// The leader whose place this replica has promised to keep is silent. It may sleep: then it wakes, and says so. It may be no
    /// replica any more, because the entry that removed it is the last thing it committed and that news was lost: then whoever
    /// knows that answers with a later term ([`Group::answer_for_gone`]), which ends the promise.
    fn ask_leader_kept(&mut self) {
        if self.restraint == Restraint::KeepsLeader
            && let Role::Follower { leader: Some(leader) } = self.role
        {
            self.send(leader, Body::Wake);
        }
    }

    /// What to answer to a message for a replica that was a member of the group and has ended, and will never lead it again; `None`:
    /// nothing. For who finds that out without having a group for it.
    pub fn answer_for_gone(message: &Message) -> Option<Message> {
        let asks = matches!(message.body, Body::Wake);
        let answer = || Message {
            from: message.to,
            to: message.from,
            term: message.term.next(),
            body: Body::HeartbeatResponse { round: 0 },
        };
        asks.then(answer)
    }

    /// As a follower or candidate: campaigns after so many ticks from now, if nothing happens before. The leader is known to be dead: until
    /// there is another, a campaign that fails is tried again after a third of the usual time up to all of it, so that a lost or split vote
    /// costs little.
    pub fn hasten(&mut self, ticks: u32) {
        self.is_orphaned = true;
        self.election_elapsed = self.election_timeout.saturating_sub(ticks);
    }

    /// Whether another replica has campaigned since this one has heard from the leader, and was refused for the leader's sake. That one is
    /// free of the leader: it will vote for this one at once.
    pub fn is_asked(&self) -> bool {
        self.is_asked
    }

    /// Tells the replica what its store has promised to others: a promise to keep a leader holds even when that is not heard
    /// from, so that a leader may rely on it without sending anything. Only a transfer that the leader itself asked for is taken
    /// part in nevertheless. Set it before every step and tick.
    ///
    /// A promise counts for nothing once the leader was taken out of the voters by a change that is applied here: its store
    /// lives on and may be promised support for other groups for ever, and the leader, which is none any more, will not be heard
    /// from again. Whoever relies on promises must therefore not rely on them as a leader that applies its own removal. A caller that
    /// never proposes to remove the leader itself ([`Group::propose_conf_change`]) has that for nothing: such a change is then
    /// one of an earlier term, applied before the leader has applied an entry of its own ([`Group::has_applied_in_term`]).
    pub fn set_restraint(&mut self, restraint: Restraint) {
        self.restraint = restraint;
    }

    /// As leader: which replicas are known to be away, so that the group may sleep without them. Whoever says so wakes the leader when
    /// they come back.
    pub fn set_absent(&mut self, absent: impl IntoIterator<Item = ReplicaId>) {
        self.absent.clear();
        self.absent.extend(absent);
    }

    /// As leader: does not go to sleep as long as this is said with every tick.
    pub fn stay_awake(&mut self) {
        if let Some(leadership) = self.leadership_mut() {
            leadership.note_activity();
        }
    }

    /// Whether this replica must not campaign, nor help anybody but `candidate`'s own leadership.
    pub(crate) fn is_restrained(&self, candidate: Option<ReplicaId>) -> bool {
        match self.restraint {
            Restraint::None => false,
            Restraint::KeepsLeader => {
                let keeps = |leader| Some(leader) != candidate && !self.gone.contains(&leader);
                self.leader().is_some_and(keeps)
            }
            Restraint::Forgetful => !self.configuration.is_sole_voter(self.config.id),
        }
    }

    /// Has the hard state written again with the next write. What the replica promises from now on leaves after that is durable, even if
    /// nothing else is to be written for it.
    pub fn record_hard_state(&mut self) {
        self.hard_state_changed = true;
    }

    /// Whether the group sleeps: it needs no ticks, and sends nothing, until something happens to it.
    pub fn is_quiescent(&self) -> bool {
        self.quiescent
    }

    /// Wakes a sleeping group; the caller ticks it again. For when the leader's store is known to be dead.
    pub fn wake(&mut self) {
        if !self.quiescent {
            return;
        }
        self.quiescent = false;
        self.election_elapsed = 0;
        if let Some(leadership) = self.leadership_mut() {
            leadership.wake();
        }
    }

    pub(crate) fn reset_election_timer(&mut self) {
        self.election_elapsed = 0;
        let usual = self.config.election_ticks;
        self.election_timeout = match self.is_orphaned {
            true => draw_timeout(&mut self.prng, (usual / ORPHANED_PART).max(1), 2 * usual / ORPHANED_PART),
            false => draw_timeout(&mut self.prng, usual, usual),
        };
    }

    /// Whether this replica takes no part in an election: it has heard from a leader lately, or has promised to.
    pub(crate) fn refuses(&self, candidate: ReplicaId) -> bool {
        let has_leader = self.leader().is_some_and(|leader| leader != candidate);
        has_leader && self.election_elapsed < self.config.election_ticks
            || self.is_restrained(Some(candidate))
    }

    /// As leader: whether it is handing its leadership over, and proposes nothing meanwhile.
    pub fn is_transferring(&self) -> bool {
        matches!(&self.role, Role::Leader(leadership) if leadership.transferee.is_some())
    }

    // ---- roles --------------------------------------------------------------------------------------

    pub(crate) fn become_follower(&mut self, term: Term, leader: Option<ReplicaId>) {
        self.set_term(term);
        self.role = Role::Follower { leader };
        self.is_orphaned &= leader.is_none();
        self.is_asked = false;
        self.reset_election_timer();
    }

    /// Enters a later term, in which this replica has not voted.
    pub(crate) fn set_term(&mut self, term: Term) {
        debug_assert!(term >= self.term, "terms never go down");
        if term != self.term {
            self.term = term;
            self.vote = None;
            self.hard_state_changed = true;
        }
    }

    pub(crate) fn leadership_mut(&mut self) -> Option<&mut Leadership> {
        match &mut self.role {
            Role::Leader(leadership) => Some(leadership),
            _ => None,
        }
    }

    // ---- messages -----------------------------------------------------------------------------------

    pub(crate) fn message(&self, to: ReplicaId, body: Body) -> Message {
        Message { from: self.config.id, to, term: self.term, body }
    }

    /// Sends at once: for messages that promise nothing.
    pub(crate) fn send(&mut self, to: ReplicaId, body: Body) {
        let message = self.message(to, body);
        self.outbox.push(message);
    }

    // ---- what the caller may know -------------------------------------------------------------------

    pub fn id(&self) -> ReplicaId {
        self.config.id
    }

    pub fn term(&self) -> Term {
        self.term
    }

    /// The leader of the current term, if this replica knows one.
    pub fn leader(&self) -> Option<ReplicaId> {
        match self.role {
            Role::Leader(_) => Some(self.config.id),
            Role::Follower { leader } => leader,
            Role::PreCandidate { .. } | Role::Candidate { .. } => None,
        }
    }

    pub fn is_leader(&self) -> bool {
        matches!(self.role, Role::Leader(_))
    }

    pub fn role(&self) -> RoleName {
        match self.role {
            Role::Follower { .. } => RoleName::Follower,
            Role::PreCandidate { .. } => RoleName::PreCandidate,
            Role::Candidate { .. } => RoleName::Candidate,
            Role::Leader(_) => RoleName::Leader,
        }
    }

    pub fn hard_state(&self) -> HardState {
        HardState { term: self.term, vote: self.vote, commit: self.commit }
    }

    /// The membership as of the last applied change.
    pub fn configuration(&self) -> &Configuration {
        &self.configuration
    }

    pub fn commit_index(&self) -> Index {
        self.commit
    }

    pub fn applied_index(&self) -> Index {
        self.applied
    }

    pub fn last_index(&self) -> Index {
        self.tail.last()
    }

    pub fn last_term(&self) -> Term {
        self.tail.last_term()
    }

    /// Up to here the log is durable at this replica.
    pub fn durable_index(&self) -> Index {
        self.tail.durable()
    }

    /// The snapshot that has replaced the log here and is not durable yet.
    pub fn pending_snapshot(&self) -> Option<Index> {
        self.tail.snapshot().map(|snapshot| snapshot.index)
    }

    /// Whether the leader has committed an entry of its own term, and so knows what is committed.
    pub fn has_committed_in_term(&self) -> bool {
        matches!(&self.role, Role::Leader(leadership) if self.commit >= leadership.term_start())
    }

    /// Whether the leader has applied an entry of its own term, and so everything that was committed before it led: from
    /// then on the applied state is the newest there is.
    pub fn has_applied_in_term(&self) -> bool {
        matches!(&self.role, Role::Leader(leadership) if self.applied >= leadership.term_start())
    }

    /// As leader: how the other replicas are doing, as (id, matched, state, heard from lately), sorted by id.
    pub fn followers(&self) -> Vec<FollowerStatus> {
        let Role::Leader(leadership) = &self.role else { return Vec::new() };
        let statuses = leadership.progress.iter().map(|(id, progress)| FollowerStatus {
            id: *id,
            matched: progress.matched,
            next: progress.next,
            state: progress.state,
            active: progress.active,
            inflight_count: progress.inflight.count(),
            text: progress.to_string(),
        });
        statuses.collect()
    }
}

/// What a leader knows of one other replica.
#[derive(Clone, Debug)]
pub struct FollowerStatus {
    pub id: ReplicaId,
    /// Up to here its log is durable and equal to the leader's.
    pub matched: Index,
    /// What it is sent next.
    pub next: Index,
    pub state: ProgressState,
    /// Heard from since the last quorum check.
    pub active: bool,
    /// Appends on the way to it.
    pub inflight_count: usize,
    /// All of this for people.
    pub text: String,
}

impl FollowerStatus {
    /// Whether it gets the log as it grows.
    pub fn replicates(&self) -> bool {
        self.state == ProgressState::Replicate
    }
}

/// From `least` on, less than `spread` more.
fn draw_timeout(prng: &mut Prng, least: u32, spread: u32) -> u32 {
    least + prng.below(u64::from(spread)) as u32
}
