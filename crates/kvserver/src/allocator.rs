//! What should become of a range's replicas and lease: a pure function of the descriptor and of what is known of the nodes.
//!
//! The first that applies, in this order:
//!
//! ```text
//!   a change is half done              end it
//!   this node hands its leases over    the lease goes to another voter
//!   a replica on a node that is dead   a replica elsewhere takes its place; without a place it goes only if there are
//!     or to be emptied                 enough others
//!   a learner is left over             it goes
//!   too few voters                     as many as lack, in one step: never an even number
//!   too many                           the one whose store is fullest goes
//!   stores are unevenly full           one replica moves from the fullest to the emptiest
//!   leases are unevenly spread         the lease goes to the voter with the fewest
//! ```
//!
//! Counts are news, and old by the time they arrive: moves for balance need a difference that is more than noise, and whoever
//! executes them makes few at a time.

use std::time::Duration;

use keys::{NodeId, StoreId};
use kvapi::membership::{NodeInfo, Standing};
use kvapi::{RangeDescriptor, ReplicaDescriptor, ReplicaKind};

/// What is wanted of placement.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// Voters of a range, when there are as many nodes.
    pub replicas: usize,
    /// A node that has been silent for so long is taken for dead: what it held is replaced.
    pub dead_after: Duration,
    /// A node that has been silent for so long gets nothing new.
    pub suspect_after: Duration,
}

/// What should be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    LeaveJoint,
    TransferLease(StoreId),
    Change { add: Vec<(NodeId, StoreId)>, remove: Vec<StoreId>, is_for_balance: bool },
}

/// Differences in count up to this, or up to a twentieth of the mean, are noise.
const NOISE: u64 = 2;

struct View<'a> {
    descriptor: &'a RangeDescriptor,
    own: StoreId,
    nodes: &'a [NodeInfo],
    wanted: &'a Wanted,
}

/// What should become of a range whose lease is held by `own`. `None`: it is as it should be.
pub(crate) fn decide(
    descriptor: &RangeDescriptor,
    own: StoreId,
    nodes: &[NodeInfo],
    wanted: &Wanted,
) -> Option<Decision> {
    let view = View { descriptor, own, nodes, wanted };
    view.end_joint()
        .or_else(|| view.hand_over())
        .or_else(|| view.replace_lost())
        .or_else(|| view.remove_learners())
        .or_else(|| view.match_count())
        .or_else(|| view.balance_replicas())
        .or_else(|| view.balance_leases())
}

impl View<'_> {
    fn node(&self, store: StoreId) -> Option<&NodeInfo> {
        self.nodes.iter().find(|node| node.store == store)
    }

    fn voters(&self) -> impl Iterator<Item = &ReplicaDescriptor> {
        self.descriptor.replicas.iter().filter(|replica| replica.kind.is_incoming_voter())
    }

    /// Its replicas should not be there.
    fn is_lost(&self, store: StoreId) -> bool {
        match self.node(store) {
            Some(node) => node.standing != Standing::Active || node.silence >= self.wanted.dead_after,
            // Not heard of yet: nothing can be said.
            None => false,
        }
    }

    fn takes(&self, node: &NodeInfo) -> bool {
        node.takes_replicas(self.wanted.suspect_after)
    }

    /// Nodes that could get a replica, the emptiest first; those far from the other replicas before.
    fn candidates(&self, leaving: Option<StoreId>) -> Vec<&NodeInfo> {
        let has = |node: &&NodeInfo| self.descriptor.replicas.iter().any(|there| there.node == node.node);
        let mut candidates: Vec<&NodeInfo> =
            self.nodes.iter().filter(|node| self.takes(node) && !has(node)).collect();
        let nearness = |node: &NodeInfo| -> usize {
            let staying = self.voters().filter(|voter| Some(voter.store) != leaving);
            let others = staying.filter_map(|voter| self.node(voter.store));
            others.map(|other| other.locality.shared_tiers(&node.locality)).sum()
        };
        candidates.sort_by_key(|node| (nearness(node), node.capacity.ranges, node.node));
        candidates
    }

    /// The voter that should take the lease: alive, with the fewest.
    fn successor(&self) -> Option<StoreId> {
        let others = self.voters().filter(|voter| voter.store != self.own);
        let alive = others.filter_map(|voter| self.node(voter.store)).filter(|node| self.takes(node));
        alive.min_by_key(|node| (node.capacity.leases, node.node)).map(|node| node.store)
    }

    fn end_joint(&self) -> Option<Decision> {
        if !self.descriptor.is_joint() {
            return None;
        }
        let own = self.descriptor.replica_on(self.own)?;
        if own.kind == ReplicaKind::VoterOutgoing {
            return self.successor().map(Decision::TransferLease);
        }
        Some(Decision::LeaveJoint)
    }

    fn hand_over(&self) -> Option<Decision> {
        let own = self.node(self.own)?;
        if own.draining || own.standing != Standing::Active {
            return self.successor().map(Decision::TransferLease);
        }
        None
    }

    fn want(&self) -> usize {
        let nodes = self.nodes.iter().filter(|node| node.standing == Standing::Active).count();
        // An even number tolerates no more than the odd one below it.
        let possible = if nodes % 2 == 0 { nodes.saturating_sub(1) } else { nodes };
        self.wanted.replicas.min(possible).max(1)
    }

    fn replace_lost(&self) -> Option<Decision> {
        let others = self.descriptor.replicas.iter().filter(|replica| replica.store != self.own);
        let lost = others.clone().find(|replica| self.is_lost(replica.store))?;
        let remove = vec![lost.store];
        if lost.kind == ReplicaKind::Learner {
            return Some(Decision::Change { add: Vec::new(), remove, is_for_balance: false });
        }
        if let Some(node) = self.candidates(Some(lost.store)).first() {
            return Some(Decision::Change {
                add: vec![(node.node, node.store)],
                remove,
                is_for_balance: false,
            });
        }
        let voters = self.voters().count();
        (voters > self.want()).then_some(Decision::Change { add: Vec::new(), remove, is_for_balance: false })
    }

    fn remove_learners(&self) -> Option<Decision> {
        let learners = self.descriptor.replicas.iter().filter(|replica| replica.kind == ReplicaKind::Learner);
        let remove: Vec<StoreId> = learners.map(|replica| replica.store).collect();
        (!remove.is_empty()).then_some(Decision::Change { add: Vec::new(), remove, is_for_balance: false })
    }

    fn match_count(&self) -> Option<Decision> {
        let (voters, want) = (self.voters().count(), self.want());
        if voters < want {
            let candidates = self.candidates(None);
            if candidates.len() < want - voters {
                return None;
            }
            let add = candidates[..want - voters].iter().map(|node| (node.node, node.store)).collect();
            return Some(Decision::Change { add, remove: Vec::new(), is_for_balance: false });
        }
        if voters > want {
            let others = self.voters().filter(|voter| voter.store != self.own);
            let fullest = others.max_by_key(|voter| {
                (self.node(voter.store).map_or(0, |node| node.capacity.ranges), voter.store)
            })?;
            let remove = vec![fullest.store];
            return Some(Decision::Change { add: Vec::new(), remove, is_for_balance: false });
        }
        None
    }

    /// Whether the difference between two counts is more than noise.
    fn differ(&self, high: u64, low: u64, mean: u64) -> bool {
        high > low + NOISE.max(mean / 20)
    }

    fn mean(&self, count: impl Fn(&NodeInfo) -> u64) -> u64 {
        let takers = self.nodes.iter().filter(|node| self.takes(node));
        let counts: Vec<u64> = takers.map(count).collect();
        counts.iter().sum::<u64>() / (counts.len() as u64).max(1)
    }

    fn balance_replicas(&self) -> Option<Decision> {
        let mean = self.mean(|node| node.capacity.ranges);
        let others = self.voters().filter(|voter| voter.store != self.own);
        let from = others
            .filter_map(|voter| self.node(voter.store))
            .max_by_key(|node| (node.capacity.ranges, node.node))?;
        let to = *self.candidates(Some(from.store)).first()?;
        let differs = self.differ(from.capacity.ranges, to.capacity.ranges + 1, mean);
        differs.then(|| Decision::Change {
            add: vec![(to.node, to.store)],
            remove: vec![from.store],
            is_for_balance: true,
        })
    }

    fn balance_leases(&self) -> Option<Decision> {
        let own = self.node(self.own)?;
        let to = self.node(self.successor()?)?;
        let mean = self.mean(|node| node.capacity.leases);
        let differs = self.differ(own.capacity.leases, to.capacity.leases + 1, mean);
        (differs && own.capacity.leases > mean).then_some(Decision::TransferLease(to.store))
    }
}

#[cfg(test)]
mod tests {
    use keys::{RangeId, ReplicaId, Span};

    use super::*;

    fn wanted() -> Wanted {
        Wanted { replicas: 3, dead_after: Duration::from_secs(300), suspect_after: Duration::from_secs(5) }
    }

    fn nodes(count: u32) -> Vec<NodeInfo> {
        (1..=count).map(|id| NodeInfo::new(NodeId(id), StoreId(id))).collect()
    }

    fn range(voters: &[u32]) -> RangeDescriptor {
        let replicas = voters.iter().map(|id| ReplicaDescriptor {
            node: NodeId(*id),
            store: StoreId(*id),
            replica: ReplicaId(*id),
            kind: ReplicaKind::Voter,
        });
        RangeDescriptor {
            id: RangeId(1),
            span: Span::new("a", "b"),
            generation: 1,
            replicas: replicas.collect(),
            next_replica: ReplicaId(100),
        }
    }

    fn change(add: &[u32], remove: &[u32]) -> Option<Decision> {
        Some(Decision::Change {
            add: add.iter().map(|id| (NodeId(*id), StoreId(*id))).collect(),
            remove: remove.iter().map(|id| StoreId(*id)).collect(),
            is_for_balance: false,
        })
    }

    fn decide_for(descriptor: &RangeDescriptor, nodes: &[NodeInfo]) -> Option<Decision> {
        decide(descriptor, StoreId(1), nodes, &wanted())
    }

    #[test]
    fn a_range_grows_in_one_step_and_only_to_odd_numbers() {
        assert_eq!(decide_for(&range(&[1]), &nodes(1)), None);
        assert_eq!(decide_for(&range(&[1]), &nodes(2)), None);
        assert_eq!(decide_for(&range(&[1]), &nodes(3)), change(&[2, 3], &[]));
        assert_eq!(decide_for(&range(&[1, 2, 3]), &nodes(4)), None);
        assert_eq!(decide_for(&range(&[1, 2, 3, 4]), &nodes(4)), change(&[], &[4]));
    }

    #[test]
    fn what_is_lost_is_replaced_if_there_is_a_place() {
        let mut three = nodes(3);
        three[2].silence = Duration::from_secs(301);
        assert_eq!(decide_for(&range(&[1, 2, 3]), &three), None, "two of three are better than two of two");
        let mut four = nodes(4);
        four[2].silence = Duration::from_secs(299);
        assert_eq!(decide_for(&range(&[1, 2, 3]), &four), None, "it may come back");
        four[2].standing = Standing::Decommissioning;
        assert_eq!(decide_for(&range(&[1, 2, 3]), &four), change(&[4], &[3]));
        four[3].silence = Duration::from_secs(6);
        assert_eq!(decide_for(&range(&[1, 2, 3]), &four), None, "the only place may be dead as well");
    }

    #[test]
    fn a_node_that_drains_or_is_to_be_emptied_hands_its_leases_over() {
        let mut nodes = nodes(4);
        nodes[0].draining = true;
        nodes[1].capacity.leases = 7;
        let to_third = Some(Decision::TransferLease(StoreId(3)));
        assert_eq!(decide_for(&range(&[1, 2, 3]), &nodes), to_third);
        nodes[0].draining = false;
        nodes[0].standing = Standing::Decommissioning;
        assert_eq!(decide_for(&range(&[1, 2, 3]), &nodes), to_third);
    }

    #[test]
    fn what_was_left_half_done_is_ended_first() {
        let mut descriptor = range(&[1, 2, 3, 4]);
        descriptor.replicas[2].kind = ReplicaKind::VoterOutgoing;
        descriptor.replicas[3].kind = ReplicaKind::VoterIncoming;
        assert_eq!(decide_for(&descriptor, &nodes(4)), Some(Decision::LeaveJoint));
        descriptor.replicas[0].kind = ReplicaKind::VoterOutgoing;
        assert_eq!(decide_for(&descriptor, &nodes(4)), Some(Decision::TransferLease(StoreId(2))));
        let mut descriptor = range(&[1, 2, 3, 4]);
        descriptor.replicas[3].kind = ReplicaKind::Learner;
        assert_eq!(decide_for(&descriptor, &nodes(4)), change(&[], &[4]));
    }

    #[test]
    fn balance_ends() {
        // 60 ranges on three of six stores, leases on one: moves one at a time until nothing is left to do.
        let mut nodes = nodes(6);
        let mut ranges: Vec<(RangeDescriptor, StoreId)> =
            (0..60).map(|_| (range(&[1, 2, 3]), StoreId(1))).collect();
        let mut moves = 0;
        loop {
            let mut moved = false;
            for index in 0..ranges.len() {
                for node in &mut nodes {
                    let has = ranges.iter().filter(|(range, _)| range.replica_on(node.store).is_some());
                    node.capacity.ranges = has.count() as u64;
                    node.capacity.leases =
                        ranges.iter().filter(|(_, lease)| *lease == node.store).count() as u64;
                }
                let (range, lease) = &mut ranges[index];
                match decide(range, *lease, &nodes, &wanted()) {
                    None => continue,
                    Some(Decision::TransferLease(to)) => *lease = to,
                    Some(Decision::Change { add, remove, .. }) => {
                        let (node, store) = add[0];
                        let there = range.replicas.iter_mut().find(|replica| replica.store == remove[0]);
                        let there = there.expect("what is removed is there");
                        (there.node, there.store) = (node, store);
                    }
                    Some(Decision::LeaveJoint) => unreachable!("nothing is joint"),
                }
                moved = true;
                moves += 1;
                assert!(moves < 400, "it does not come to rest");
            }
            if !moved {
                break;
            }
        }
        let counts: Vec<u64> = nodes.iter().map(|node| node.capacity.ranges).collect();
        let leases: Vec<u64> = nodes.iter().map(|node| node.capacity.leases).collect();
        assert!(counts.iter().all(|count| (24..=36).contains(count)), "{counts:?}");
        assert!(leases.iter().all(|count| (5..=15).contains(count)), "{leases:?}");
    }
}
