//! Ranges: which span, which replicas, who holds the lease.

use keys::{NodeId, RangeId, ReplicaId, Span, StoreId};

use clock::Timestamp;

/// What a replica may do in its Raft group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReplicaKind {
    Voter = 1,
    /// Receives the log, does not vote.
    Learner = 2,
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
}

/// The right to serve a range. It rides on Raft leadership: one term, one leaseholder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    pub holder: ReplicaDescriptor,
    /// The leader's term.
    pub term: u64,
    /// The holder serves no read and makes no write below this; what was read before it is unknown to it.
    pub start: Timestamp,
}
