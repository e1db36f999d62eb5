//! Which replica a stale read asks: the nearest one.
//!
//! A read that lies so far in the past that every replica can answer it does not need the leaseholder. It asks the own node if that has a
//! replica, else the node that shares the most of the own node's locality with it; the leaseholder is preferred among equals. A replica that
//! cannot answer (it is behind, it met an intent) says so, and the leaseholder is asked as always.
//!
//! Where nodes stand is news, see `kvapi::membership`: a wrong guess costs a detour.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use clock::Clock;
use keys::NodeId;
use kvapi::{BatchRequest, Membership, RangeDescriptor, Request, Timestamp};
use parking_lot::Mutex;

/// How far behind what is closed on average a read lies that followers can be expected to answer: the interval in which stores
/// tell one another, and some time to apply.
const SLACK: Duration = Duration::from_secs(1);
/// A node that was silent for this long is not asked.
const SILENCE_MAX: Duration = Duration::from_secs(2);
/// Ranges are not waited for that most of their replicas' nodes have left for this long.
const GONE_AFTER: Duration = Duration::from_secs(5);

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// What a router knows of where the nodes stand.
pub(crate) struct Nearest {
    own: NodeId,
    clock: Arc<Clock>,
    /// How far behind now timestamps are closed, in nanoseconds.
    closed_lag_nanos: AtomicU64,
    membership: OnceLock<Arc<dyn Membership>>,
    /// No other node is known, as of a revision of the membership.
    is_alone: AtomicBool,
    counted_at: AtomicU64,
    /// Tiers shared with the own node, as of a revision of the membership. Lock order: leaf.
    shared: Mutex<(u64, BTreeMap<NodeId, usize>)>,
}

impl Nearest {
    pub fn new(own: NodeId, clock: Arc<Clock>, closed_lag: Duration) -> Nearest {
        let shared = Mutex::new((u64::MAX, BTreeMap::new()));
        let closed_lag_nanos = AtomicU64::new(nanos(closed_lag));
        Nearest {
            own,
            clock,
            closed_lag_nanos,
            membership: OnceLock::new(),
            is_alone: AtomicBool::new(true),
            counted_at: AtomicU64::new(u64::MAX),
            shared,
        }
    }

    fn closed_lag(&self) -> Duration {
        Duration::from_nanos(self.closed_lag_nanos.load(Ordering::Relaxed))
    }

    pub fn set_closed_lag(&self, closed_lag: Duration) {
        self.closed_lag_nanos.store(nanos(closed_lag), Ordering::Relaxed);
    }

    /// Who tells where nodes stand. Counts the first time.
    pub fn set_membership(&self, membership: Arc<dyn Membership>) {
        drop(self.membership.set(membership));
    }

    /// Whether no other node is known.
    pub fn is_alone(&self) -> bool {
        let Some(membership) = self.membership.get() else { return true };
        let revision = membership.revision();
        if self.counted_at.load(Ordering::Acquire) != revision {
            let count = membership.nodes().len();
            self.is_alone.store(count <= 1, Ordering::Relaxed);
            self.counted_at.store(revision, Ordering::Release);
        }
        self.is_alone.load(Ordering::Relaxed)
    }

    /// The newest timestamp at which every replica can be expected to answer.
    pub fn follower_read_timestamp(&self) -> Timestamp {
        self.clock.now().saturating_sub(self.closed_lag() + SLACK)
    }

    /// Whether any replica may answer this: a plain read of a snapshot of the past, by somebody who has left no trace.
    #[inline]
    pub fn is_stale_read(&self, batch: &BatchRequest) -> bool {
        let at = match &batch.header.txn {
            Some(txn) if txn.uncertainty_limit > txn.read_timestamp || txn.meta.anchor.is_some() => {
                return false;
            }
            Some(txn) => txn.read_timestamp,
            None if batch.header.timestamp.is_zero() => return false,
            None => batch.header.timestamp,
        };
        let is_plain = match batch.requests.first() {
            Some(Request::Get(get)) => !get.lock.is_locking(),
            Some(Request::MultiGet(request)) => !request.lock.is_locking(),
            Some(Request::Scan(scan)) => !scan.lock.is_locking(),
            Some(Request::Fold(_) | Request::Probe(_)) => true,
            _ => false,
        };
        is_plain && at <= self.clock.last().saturating_sub(self.closed_lag())
    }

    /// Whether most of those who vote in a range have been silent for so long that nobody can lead it. `up_for`: how long this node has
    /// listened; before that is long enough, nobody is taken for gone.
    pub fn lacks_quorum(&self, range: &RangeDescriptor, up_for: Duration) -> bool {
        let Some(membership) = self.membership.get().filter(|_| up_for >= GONE_AFTER) else { return false };
        let is_gone = |node: NodeId| {
            node != self.own && membership.node(node).is_some_and(|node| node.silence >= GONE_AFTER)
        };
        let voters = range.replicas.iter().filter(|replica| replica.kind.is_incoming_voter());
        let (gone, all) =
            voters.fold((0, 0), |(gone, all), replica| (gone + usize::from(is_gone(replica.node)), all + 1));
        gone > 0 && 2 * gone >= all
    }

    /// The node to ask for a stale read, if it is not the leaseholder's.
    pub fn instead_of(&self, leaseholder: NodeId, range: &RangeDescriptor) -> Option<NodeId> {
        if leaseholder == self.own {
            return None;
        }
        if range.replicas.iter().any(|replica| replica.node == self.own) {
            return Some(self.own);
        }
        let membership = self.membership.get()?;
        let mut shared = self.shared.lock();
        let revision = membership.revision();
        if shared.0 != revision {
            let nodes = membership.nodes();
            let own = nodes.iter().find(|node| node.node == self.own).map(|node| node.locality.clone());
            let own = own.unwrap_or_default();
            *shared =
                (revision, nodes.iter().map(|node| (node.node, own.shared_tiers(&node.locality))).collect());
        }
        let tiers = |node: NodeId| shared.1.get(&node).copied().unwrap_or(0);
        let is_heard = |node: NodeId| membership.node(node).is_some_and(|known| known.silence < SILENCE_MAX);
        let heard = range.replicas.iter().map(|replica| replica.node).filter(|node| is_heard(*node));
        let nearest =
            heard.max_by_key(|node| (tiers(*node), *node == leaseholder, std::cmp::Reverse(*node)))?;
        let is_worth_it = tiers(nearest) > tiers(leaseholder) || !is_heard(leaseholder);
        is_worth_it.then_some(nearest)
    }
}

#[cfg(test)]
mod tests {
    use clock::{ClockConfig, WallSource};
    use keys::{RangeId, ReplicaId, Span, StoreId};
    use kvapi::{
        FixedMembership, GetRequest, Header, Isolation, Key, Locality, LockStrength, NodeInfo, Priority,
        ReplicaDescriptor, ReplicaKind, Txn, TxnId, TxnMeta,
    };
    use stdx::WallTime;

    use super::*;

    struct Still;

    impl WallSource for Still {
        fn wall(&self) -> WallTime {
            WallTime::from_unix_nanos(100_000_000_000)
        }

        fn monotonic(&self) -> Duration {
            Duration::from_secs(100)
        }
    }

    fn nearest(own: u32) -> Nearest {
        let clock = Arc::new(Clock::unbounded(Still, ClockConfig::default()));
        clock.now();
        let nearest = Nearest::new(NodeId(own), clock, Duration::from_secs(3));
        let places = ["region=eu,zone=a", "region=eu,zone=b", "region=us,zone=a", "region=us,zone=b"];
        let nodes = places.iter().zip(1..).map(|(place, id)| NodeInfo {
            locality: Locality::parse(place).expect("a locality"),
            ..NodeInfo::new(NodeId(id), StoreId(id))
        });
        nearest.set_membership(FixedMembership::of(NodeId(own), nodes.collect()));
        nearest
    }

    fn range(nodes: &[u32]) -> RangeDescriptor {
        let replica = |(node, id): (&u32, u32)| ReplicaDescriptor {
            node: NodeId(*node),
            store: StoreId(*node),
            replica: ReplicaId(id),
            kind: ReplicaKind::Voter,
        };
        RangeDescriptor {
            id: RangeId(5),
            span: Span::new("a", "z"),
            generation: 1,
            replicas: nodes.iter().zip(1..).map(replica).collect(),
            next_replica: ReplicaId(9),
        }
    }

    #[test]
    fn the_own_node_comes_first_then_the_same_locality_then_the_leaseholder() {
        assert_eq!(nearest(1).instead_of(NodeId(3), &range(&[1, 2, 3])), Some(NodeId(1)));
        assert_eq!(nearest(1).instead_of(NodeId(3), &range(&[2, 3, 4])), Some(NodeId(2)));
        assert_eq!(nearest(1).instead_of(NodeId(2), &range(&[2, 3, 4])), None);
        assert_eq!(nearest(1).instead_of(NodeId(4), &range(&[3, 4])), None, "no nearer than the leaseholder");
        assert_eq!(nearest(1).instead_of(NodeId(1), &range(&[1, 2, 3])), None);
    }

    #[test]
    fn nodes_that_are_gone_are_not_asked_and_a_range_of_which_most_are_gone_is_not_waited_for() {
        let clock = Arc::new(Clock::unbounded(Still, ClockConfig::default()));
        let nearest = Nearest::new(NodeId(1), clock, Duration::from_secs(3));
        let silences = [0, 60, 60, 0, 0];
        let nodes = silences.iter().zip(1..).map(|(silence, id)| NodeInfo {
            silence: Duration::from_secs(*silence),
            ..NodeInfo::new(NodeId(id), StoreId(id))
        });
        nearest.set_membership(FixedMembership::of(NodeId(1), nodes.collect()));
        assert_eq!(nearest.instead_of(NodeId(2), &range(&[2, 3, 5])), Some(NodeId(5)));
        assert_eq!(nearest.instead_of(NodeId(2), &range(&[2, 3])), None);
        let long = Duration::from_secs(60);
        assert!(nearest.lacks_quorum(&range(&[1, 2, 3]), long));
        assert!(nearest.lacks_quorum(&range(&[1, 2]), long), "half is not enough");
        assert!(!nearest.lacks_quorum(&range(&[1, 2, 4]), long));
        assert!(
            !nearest.lacks_quorum(&range(&[1, 2, 3]), Duration::from_secs(1)),
            "they may be about to come"
        );
    }

    #[test]
    fn only_plain_reads_of_the_past_that_left_no_trace_are_stale() {
        let nearest = nearest(1);
        let at = |seconds: u64| Timestamp::new(seconds * 1_000_000_000, 0);
        let read = |read: u64, limit: u64, lock: LockStrength, anchor: Option<Key>| {
            let meta = TxnMeta {
                id: TxnId(1),
                anchor,
                epoch: 0,
                sequence: 0,
                isolation: Isolation::Serializable,
                priority: Priority::NORMAL,
                start: at(read),
                write_timestamp: at(read),
            };
            let observed = Default::default();
            let txn = Txn {
                meta,
                read_timestamp: at(read),
                read_sequence: 0,
                uncertainty_limit: at(limit),
                observed,
            };
            let header = Header { txn: Some(txn), ..Header::default() };
            let get = GetRequest { key: Key::from("k"), lock, lock_absent: false };
            nearest.is_stale_read(&BatchRequest::new(header, get))
        };
        assert!(read(97, 97, LockStrength::None, None));
        assert!(!read(98, 98, LockStrength::None, None), "not closed yet");
        assert!(!read(90, 91, LockStrength::None, None), "it may meet what is uncertain");
        assert!(!read(90, 90, LockStrength::Update, None));
        assert!(!read(90, 90, LockStrength::None, Some(Key::from("k"))), "it may have written");
    }
}
