//! This store's replica of one range: its group, its log, and who waits for it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use keys::{RangeId, ReplicaId, StoreId};
use parking_lot::Mutex;
use raft::{Configuration, Entry, Group, Index, Position, ProposeError, Term, Write};

use crate::peers::Kept;
use crate::range_log::RangeLog;
use crate::receive::Incoming;
use crate::seam::replica_id;
use crate::waiters::Waiters;
use crate::{Leadership, ProposalError};

/// What has become of the entries that the group handed out to be applied.
#[derive(Debug)]
pub(crate) enum Applying {
    Idle,
    /// They wait for a round of applying.
    Queued(Vec<Entry>),
    /// A round is applying them.
    Running,
}

/// One replica. Shared by the writer, the applier, and everybody who proposes.
///
/// Lock order: the state of a replica, then the queues of the store. Of two replicas the one whose range begins further left: when a snapshot of it ends
/// others (`merge`). Else two are never locked together.
#[derive(Debug)]
pub(crate) struct Replica {
    pub range: RangeId,
    pub id: ReplicaId,
    pub state: Mutex<ReplicaState>,
    /// Up to here the log was known to be committed when the replica was opened.
    replayed_to: Index,
    /// The replica waits for the writer.
    pub marked: AtomicBool,
    /// The term that this replica leads, zero if it does not (or has not applied all that was committed before).
    leading_term: AtomicU64,
    applied_index: AtomicU64,
}

/// - `group` and `log` agree: what the group believes durable is stored, and `log` says where.
#[derive(Debug)]
pub(crate) struct ReplicaState {
    pub group: Group,
    pub log: RangeLog,
    pub waiters: Waiters,
    pub applying: Applying,
    /// Handed out and not written yet: one with a snapshot waits until the applier is done with what came before.
    pub writes: VecDeque<Write>,
    /// The states of received snapshots that are not installed yet, by their indexes.
    pub incoming: BTreeMap<Index, Incoming>,
    /// Up to here the log is to be cut off with the next write.
    pub truncate_to: Option<Position>,
    /// A split up to here has been applied: with the next write it is noted that it is committed.
    pub note_commit_to: Option<Index>,
    /// The ticker knows of this replica.
    pub ticking: bool,
    pub destroyed: bool,
    /// What this replica has promised the leader it follows.
    pub kept: Option<Kept>,
    /// As leader: in which terms and epochs the others have promised to follow.
    pub followers: BTreeMap<ReplicaId, (Term, u64)>,
    /// Where other replicas were last heard from.
    pub addresses: BTreeMap<ReplicaId, StoreId>,
    /// Snapshots that have failed since the last one that has not, by receiver.
    pub snapshot_retries: BTreeMap<raft::ReplicaId, stdx::Backoff>,
    /// How many ticks it has had.
    pub ticks: u64,
    /// Counted among the replicas that are yet to lead.
    pub is_unsettled: bool,
    announced: Leadership,
}

/// How a replica is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeStatus {
    pub range: RangeId,
    pub replica: ReplicaId,
    pub leadership: Leadership,
    pub configuration: Configuration,
    pub commit: Index,
    pub applied: Index,
    pub last: Index,
    /// Up to here the log is cut off.
    pub truncated: Index,
    pub is_quiescent: bool,
}

impl Replica {
    pub fn new(range: RangeId, id: ReplicaId, group: Group, log: RangeLog) -> Arc<Replica> {
        let term = group.term();
        let applied = log.applied.index.0;
        Arc::new(Replica {
            range,
            id,
            replayed_to: group.commit_index(),
            state: Mutex::new(ReplicaState {
                group,
                log,
                waiters: Waiters::default(),
                applying: Applying::Idle,
                writes: VecDeque::new(),
                incoming: BTreeMap::new(),
                truncate_to: None,
                note_commit_to: None,
                ticking: false,
                destroyed: false,
                kept: None,
                followers: BTreeMap::new(),
                addresses: BTreeMap::new(),
                snapshot_retries: BTreeMap::new(),
                ticks: 0,
                is_unsettled: false,
                announced: Leadership::Following { term, leader: None },
            }),
            marked: AtomicBool::new(false),
            leading_term: AtomicU64::new(0),
            applied_index: AtomicU64::new(applied),
        })
    }

    /// The term that this replica leads with everything before it applied.
    pub fn leading(&self) -> Option<Term> {
        match self.leading_term.load(Ordering::Acquire) {
            0 => None,
            term => Some(Term(term)),
        }
    }

    pub fn applied_index(&self) -> Index {
        Index(self.applied_index.load(Ordering::Acquire))
    }

    /// Whether it has yet to apply again what a crash has taken: there may be splits among it. See [`crate::split`].
    pub fn is_replaying(&self) -> bool {
        self.applied_index() < self.replayed_to
    }

    /// Publishes what has changed in the state. Gives the leadership if that is news.
    pub fn publish(&self, state: &mut ReplicaState) -> Option<Leadership> {
        self.applied_index.store(state.log.applied.index.0, Ordering::Release);
        let leadership = state.leadership();
        if leadership == state.announced {
            return None;
        }
        state.announced = leadership;
        let leading_term = match leadership {
            Leadership::Leading { term } => term.0,
            Leadership::Following { .. } => 0,
        };
        self.leading_term.store(leading_term, Ordering::Release);
        Some(leadership)
    }

    pub fn status(&self) -> RangeStatus {
        let state = self.state.lock();
        RangeStatus {
            range: self.range,
            replica: self.id,
            leadership: state.announced,
            configuration: state.group.configuration().clone(),
            commit: state.group.commit_index(),
            applied: state.log.applied.index,
            last: state.group.last_index(),
            truncated: state.log.truncated.index,
            is_quiescent: state.needs_no_ticks(),
        }
    }
}

impl ReplicaState {
    fn leadership(&self) -> Leadership {
        let group = &self.group;
        let serves = !self.destroyed && group.has_applied_in_term() && !group.is_transferring();
        if serves && self.log.applied.index >= group.applied_index() {
            return Leadership::Leading { term: group.term() };
        }
        // A leader that is not ready yet is nobody whom others could ask.
        let leader = group.leader().filter(|leader| *leader != group.id());
        Leadership::Following { term: group.term(), leader: leader.and_then(replica_id) }
    }

    /// Whether it has nothing yet, and waits for a snapshot.
    pub fn is_waiting(&self) -> bool {
        self.log.applied.index == Index::ZERO && self.group.pending_snapshot().is_none()
    }

    /// Whether the replica can do without ticks: it sleeps, or is alone and has nobody to talk to.
    pub fn needs_no_ticks(&self) -> bool {
        self.destroyed || self.group.is_quiescent() || self.group.configuration().is_alone(self.group.id())
    }

    /// Appends a command; it goes to disk with the next round of the writer.
    pub fn propose(&mut self, command: Bytes) -> Result<Position, ProposalError> {
        if self.destroyed {
            return Err(ProposalError::NoSuchRange { was_proposed: false });
        }
        self.group.propose(command).map_err(refusal)
    }

    pub fn propose_conf_change(&mut self, change: &raft::ConfChange) -> Result<Position, ProposalError> {
        if self.destroyed {
            return Err(ProposalError::NoSuchRange { was_proposed: false });
        }
        self.group.propose_conf_change(change).map_err(refusal)
    }
}

fn refusal(error: ProposeError) -> ProposalError {
    match error {
        ProposeError::NotLeader { leader } => {
            ProposalError::NotLeader { leader: leader.and_then(replica_id) }
        }
        ProposeError::BadConfChange(error) => ProposalError::Refused(error.to_string()),
        busy @ (ProposeError::Transferring { .. }
        | ProposeError::Overloaded
        | ProposeError::ConfChangePending { .. }) => ProposalError::Busy(busy.to_string()),
    }
}
