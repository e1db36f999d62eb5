//! Ranges: which span, which replicas, who holds the lease.

use std::time::Duration;

use keys::{NodeId, RangeId, ReplicaId, Span, StoreId};

use clock::Timestamp;

/// What a replica may do in its Raft group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReplicaKind {
    Voter = 1,
    /// Receives the log, does not vote.
    Learner = 2,
    /// Votes among the incoming voters of a joint configuration alone.
    VoterIncoming = 3,
    /// Votes among the outgoing voters of a joint configuration alone.
    VoterOutgoing = 4,
}

impl ReplicaKind {
    pub fn from_code(code: u8) -> Option<ReplicaKind> {
        use ReplicaKind::*;
        [Voter, Learner, VoterIncoming, VoterOutgoing].into_iter().find(|kind| *kind as u8 == code)
    }

    /// Votes before the change of replicas that is under way, if one is.
    pub fn is_outgoing_voter(self) -> bool {
        matches!(self, ReplicaKind::Voter | ReplicaKind::VoterOutgoing)
    }

    /// Votes after the change of replicas that is under way, if one is.
    pub fn is_incoming_voter(self) -> bool {
        matches!(self, ReplicaKind::Voter | ReplicaKind::VoterIncoming)
    }
}

/// One copy of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReplicaDescriptor {
    pub node: NodeId,
    pub store: StoreId,
    /// Never reused within a range.
    pub replica: ReplicaId,
    pub kind: ReplicaKind,
}

/// A range: a contiguous span of the keyspace, replicated as one Raft group.
///
/// - Of two descriptors of overlapping spans the one with the higher generation is the newer.
/// - `next_replica` is above every replica number ever given out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeDescriptor {
    pub id: RangeId,
    pub span: Span,
    /// Rises with every split, merge and change of replicas.
    pub generation: u64,
    pub replicas: Vec<ReplicaDescriptor>,
    pub next_replica: ReplicaId,
}

impl RangeDescriptor {
    pub fn contains(&self, key: &[u8]) -> bool {
        self.span.contains(key)
    }

    pub fn contains_span(&self, span: &Span) -> bool {
        self.span.contains_span(span)
    }

    pub fn replica_on(&self, store: StoreId) -> Option<&ReplicaDescriptor> {
        self.replicas.iter().find(|replica| replica.store == store)
    }

    pub fn replica(&self, id: ReplicaId) -> Option<&ReplicaDescriptor> {
        self.replicas.iter().find(|replica| replica.replica == id)
    }

    /// Whether a change of several voters is half done: every decision needs a quorum of both the old and the new voters.
    pub fn is_joint(&self) -> bool {
        let changing = |kind| matches!(kind, ReplicaKind::VoterIncoming | ReplicaKind::VoterOutgoing);
        self.replicas.iter().any(|replica| changing(replica.kind))
    }
}

/// How far behind now leaseholders close timestamps, by default: up to there every replica can answer reads. A transaction that takes longer
/// may find its writes moved up.
pub const CLOSED_LAG: Duration = Duration::from_secs(3);

/// The right to serve a range. It rides on Raft leadership: one term, one leaseholder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    pub holder: ReplicaDescriptor,
    /// The leader's term.
    pub term: u64,
    /// The holder serves no read and makes no write below this; what was read before it is unknown to it.
    pub start: Timestamp,
}
