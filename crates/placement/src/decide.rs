//! The rules: what should become of a range's replicas and lease.
//!
//! The first that applies, in this order:
//!
//! ```text
//!   a change is half done                  end it
//!   this node hands its leases over,       the lease goes to another voter
//!     or its disk is nearly full
//!   a replica on a node that is dead       a replica elsewhere takes its place; without a place it goes only if there are
//!     or to be emptied                       enough others
//!   the only one is, and leads              another is added, which can take the lease
//!   a learner is left over                 it goes
//!   too few voters                         as many as lack, in one step: never an even number
//!   too many                               the one that is missed least goes
//!   a replica is where it must not be      it moves; if it is the leaseholder's, the lease goes first
//!   a store's disk is nearly full          a replica moves away from it
//!   the lease is not where it is preferred it goes there
//!   replicas could stand further apart     one moves
//!   stores are unevenly full               one replica moves
//!   leases are unevenly spread             the lease goes to the voter where it fits best
//!   the lease weighs too much here, and    a replica moves to where the lease can follow
//!     no other voter can take it
//! ```
//!
//! The last five are for balance: each must be worth its cost, see the crate. Whatever chooses a place for a replica looks first
//! at how many replicas are not where they should be, then at how far apart they stand, then at how full the store is. Constraints without a
//! number are never broken by a new replica: if no such place is left the range stays with fewer, and what is already elsewhere stays
//! until there is a place.
//!
//! Emptying a node replaces, it does not shrink: with fewer nodes left than a range keeps replicas ([`RangeView::kept`]) those on a node
//! that is to be emptied stay until there is another node, or until people say that fewer are enough (`Standing::Shedding`).

use keys::{NodeId, StoreId};
use kvapi::{RangeDescriptor, ReplicaDescriptor, ReplicaKind};
use smallvec::SmallVec;

use crate::load::RangeLoad;
use crate::overview::{Amounts, OF_LEASES, Overview, Place, Policy};

/// What a move must improve the mean of what is moved by, beyond noise: as a share of the mean.
pub(crate) const COST: f64 = 0.02;

/// What should be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    LeaveJoint,
    TransferLease { to: StoreId, is_for_balance: bool },
    Change { add: Vec<(NodeId, StoreId)>, remove: Vec<StoreId>, is_for_balance: bool },
}

impl Decision {
    /// Whether it can wait: it mends nothing.
    pub fn is_for_balance(&self) -> bool {
        match self {
            Decision::LeaveJoint => false,
            Decision::TransferLease { is_for_balance, .. } | Decision::Change { is_for_balance, .. } => {
                *is_for_balance
            }
        }
    }
}

/// A range as its leaseholder knows it.
#[derive(Clone, Copy, Debug)]
pub struct RangeView<'a> {
    pub descriptor: &'a RangeDescriptor,
    /// The leaseholder's store.
    pub own: StoreId,
    pub policy: &'a Policy,
    /// So many replicas stay while nodes are to be emptied and no others can take theirs; at most what is wanted counts.
    pub kept: usize,
    pub size_bytes: u64,
    /// `None`: it was not measured for long enough.
    pub load: Option<RangeLoad>,
    /// Whether a replica may be moved, or the lease handed over, for balance: if not, that is not even looked for.
    pub may_move: bool,
    pub may_transfer: bool,
    /// Different attempts look at different samples of the stores.
    pub salt: u64,
}

/// A voter, or one that could be.
pub(crate) type Voters<'a> = SmallVec<[&'a Place; 5]>;
pub(crate) type Groups = SmallVec<[usize; 8]>;

pub(crate) struct View<'a> {
    pub range: RangeView<'a>,
    pub stores: &'a Overview,
    pub own: Option<&'a Place>,
    /// The places of the voters that are known, the own one included.
    pub voters: Voters<'a>,
    pub replica: Amounts,
    pub lease: Amounts,
}

/// What should become of a range whose lease is held by `range.own`. `None`: it is as it should be.
pub fn decide(range: &RangeView<'_>, stores: &Overview) -> Option<Decision> {
    let view = View::new(range, stores);
    view.end_joint()
        .or_else(|| view.hand_over())
        .or_else(|| view.replace_lost())
        .or_else(|| view.make_way_for_the_last())
        .or_else(|| view.remove_learners())
        .or_else(|| view.match_count())
        .or_else(|| view.fulfil_constraints())
        .or_else(|| view.relieve_full())
        .or_else(|| range.may_transfer.then(|| view.prefer_lease()).flatten())
        .or_else(|| range.may_move.then(|| view.spread_out()).flatten())
        .or_else(|| range.may_move.then(|| view.balance_replicas()).flatten())
        .or_else(|| range.may_transfer.then(|| view.balance_leases()).flatten())
        .or_else(|| range.may_move.then(|| view.make_way_for_lease()).flatten())
}

/// The number of voters that so many nodes can have: an even one tolerates no more than the odd one below it.
pub fn voters_of(nodes: usize) -> usize {
    if nodes.is_multiple_of(2) { nodes.saturating_sub(1) } else { nodes }
}

/// Whether a range has a replica on a node that is to be emptied, and no other node can take it.
pub fn waits_for_place(range: &RangeView<'_>, stores: &Overview) -> bool {
    let place = |store| stores.position(store).map(|position| &stores.places()[position]);
    let is_leaving = |replica: &ReplicaDescriptor| {
        place(replica.store).is_some_and(|place| place.is_leaving && replica.kind.is_incoming_voter())
    };
    if stores.leaving() == 0 || !range.descriptor.replicas.iter().any(is_leaving) {
        return false;
    }
    let view = View::new(range, stores);
    let (of_others, of_own) = (view.replace_lost(), view.make_way_for_the_last());
    view.end_joint().or_else(|| view.hand_over()).or(of_others).or(of_own).is_none()
}

fn change(add: Option<&Place>, remove: Option<StoreId>, is_for_balance: bool) -> Decision {
    let add = add.into_iter().map(|place| (place.node, place.store)).collect();
    Decision::Change { add, remove: remove.into_iter().collect(), is_for_balance }
}

impl<'a> View<'a> {
    fn new(range: &RangeView<'a>, stores: &'a Overview) -> View<'a> {
        let place = |store| stores.position(store).map(|position| &stores.places()[position]);
        let voters = range.descriptor.replicas.iter().filter(|replica| replica.kind.is_incoming_voter());
        let load = range.load.unwrap_or_default();
        View {
            range: *range,
            stores,
            own: place(range.own),
            voters: voters.filter_map(|voter| place(voter.store)).collect(),
            replica: Amounts::of_range(true, false, range.size_bytes as f64, load),
            lease: Amounts::of_range(false, true, 0.0, load),
        }
    }

    fn voters_in_descriptor(&self) -> impl Iterator<Item = &ReplicaDescriptor> {
        self.range.descriptor.replicas.iter().filter(|replica| replica.kind.is_incoming_voter())
    }

    pub fn others(&self) -> impl Iterator<Item = &'a Place> {
        let own = self.range.own;
        self.voters.iter().copied().filter(move |voter| voter.store != own)
    }

    pub fn groups(&self) -> Groups {
        self.voters.iter().map(|voter| voter.group).collect()
    }

    /// The groups of those that stay.
    pub fn groups_without(&self, leaving: StoreId) -> Groups {
        self.voters.iter().filter(|voter| voter.store != leaving).map(|voter| voter.group).collect()
    }

    /// The voter that should take the lease: where it is allowed and preferred, then where it adds the least.
    fn successor(&self) -> Option<&'a Place> {
        let weight = |place: &Place| self.stores.fullness(&place.amounts, &self.lease, &OF_LEASES);
        let rank =
            |place: &Place| (!self.range.policy.permits(place.group), self.range.policy.rank(place.group));
        let able = self.others().filter(|voter| voter.takes);
        able.min_by(|a, b| {
            let weights = || weight(a).total_cmp(&weight(b));
            rank(a).cmp(&rank(b)).then_with(weights).then(a.node.cmp(&b.node))
        })
    }

    fn transfer(&self, is_for_balance: bool) -> Option<Decision> {
        self.successor().map(|to| Decision::TransferLease { to: to.store, is_for_balance })
    }

    fn end_joint(&self) -> Option<Decision> {
        if !self.range.descriptor.is_joint() {
            return None;
        }
        let own = self.range.descriptor.replica_on(self.range.own)?;
        if own.kind == ReplicaKind::VoterOutgoing {
            return self.transfer(false);
        }
        Some(Decision::LeaveJoint)
    }

    fn hand_over(&self) -> Option<Decision> {
        let own = self.own?;
        (own.hands_over || own.is_full).then(|| self.transfer(false)).flatten()
    }

    fn want(&self) -> usize {
        let (active, replicas) = (self.stores.active(), self.range.policy.replicas);
        let with_leaving = voters_of(active + self.stores.leaving());
        let kept = self.range.kept.min(replicas).min(with_leaving);
        replicas.min(voters_of(active)).max(kept).max(1)
    }

    fn replace_lost(&self) -> Option<Decision> {
        let others = self.range.descriptor.replicas.iter().filter(|replica| replica.store != self.range.own);
        // Not heard of yet: nothing can be said.
        let is_lost = |store| self.stores.position(store).is_some_and(|at| self.stores.places()[at].is_lost);
        let lost = others.clone().find(|replica| is_lost(replica.store))?;
        if lost.kind == ReplicaKind::Learner {
            return Some(change(None, Some(lost.store), false));
        }
        if let Some(place) = self.best_place(&self.groups_without(lost.store), &[]) {
            return Some(change(Some(place), Some(lost.store), false));
        }
        (self.voters_in_descriptor().count() > self.want()).then(|| change(None, Some(lost.store), false))
    }

    /// The leaseholder cannot be removed, and there is no other to take the lease.
    fn make_way_for_the_last(&self) -> Option<Decision> {
        if !self.own?.is_lost || self.voters_in_descriptor().count() > 1 {
            return None;
        }
        self.best_place(&self.groups(), &[]).map(|place| change(Some(place), None, false))
    }

    fn remove_learners(&self) -> Option<Decision> {
        let replicas = self.range.descriptor.replicas.iter();
        let learners = replicas.filter(|replica| replica.kind == ReplicaKind::Learner);
        let remove: Vec<StoreId> = learners.map(|replica| replica.store).collect();
        (!remove.is_empty()).then_some(Decision::Change { add: Vec::new(), remove, is_for_balance: false })
    }

    fn match_count(&self) -> Option<Decision> {
        let (voters, want) = (self.voters_in_descriptor().count(), self.want());
        if voters < want {
            let mut groups = self.groups();
            let mut chosen: Vec<&Place> = Vec::new();
            while voters + chosen.len() < want {
                let place = self.best_place(&groups, &chosen)?;
                groups.push(place.group);
                chosen.push(place);
            }
            let add = chosen.iter().map(|place| (place.node, place.store)).collect();
            return Some(Decision::Change { add, remove: Vec::new(), is_for_balance: false });
        }
        if voters > want {
            let one_too_many = self.others().min_by(|a, b| {
                let left = |place: &Place| self.quality(&self.groups_without(place.store));
                let fullness = |place: &Place| self.fullness(place);
                let fuller = fullness(b).total_cmp(&fullness(a));
                left(a).cmp(&left(b)).then(fuller).then(b.store.cmp(&a.store))
            })?;
            return Some(change(None, Some(one_too_many.store), false));
        }
        None
    }

    fn fulfil_constraints(&self) -> Option<Decision> {
        let (deficit, _) = self.quality(&self.groups());
        if deficit == 0 {
            return None;
        }
        let better = |leaving: &'a Place| {
            let staying = self.groups_without(leaving.store);
            let place = self.best_place(&staying, &[])?;
            let (after, spread) = self.quality_with(&staying, place.group);
            (after < deficit).then_some(((after, spread), place, leaving))
        };
        if let Some((_, place, leaving)) = self.others().filter_map(better).min_by_key(|(after, ..)| *after) {
            return Some(change(Some(place), Some(leaving.store), false));
        }
        let own = self.own?;
        (!self.range.policy.permits(own.group) && better(own).is_some())
            .then(|| self.transfer(false))
            .flatten()
    }

    fn relieve_full(&self) -> Option<Decision> {
        let full = self.others().find(|voter| voter.is_full)?;
        let staying = self.groups_without(full.store);
        let place = self.best_place(&staying, &[])?;
        let (deficit, _) = self.quality(&self.groups());
        let (after, _) = self.quality_with(&staying, place.group);
        (after <= deficit).then(|| change(Some(place), Some(full.store), false))
    }

    fn prefer_lease(&self) -> Option<Decision> {
        let (own, to) = (self.own?, self.successor()?);
        let policy = self.range.policy;
        let is_better = policy.permits(to.group) && policy.rank(to.group) < policy.rank(own.group);
        is_better.then_some(Decision::TransferLease { to: to.store, is_for_balance: true })
    }

    fn spread_out(&self) -> Option<Decision> {
        let groups = self.groups();
        if self.stores.spread(&groups) <= self.stores.spread_min(groups.len()) {
            return None;
        }
        let now = self.quality(&groups);
        let better = |leaving: &'a Place| {
            let staying = self.groups_without(leaving.store);
            let place = self.best_place(&staying, &[])?;
            let after = self.quality_with(&staying, place.group);
            (after < now).then_some((after, place, leaving))
        };
        let best = self.others().filter_map(better).min_by_key(|(after, ..)| *after);
        best.map(|(_, place, leaving)| change(Some(place), Some(leaving.store), true))
    }

    fn balance_replicas(&self) -> Option<Decision> {
        let cost = COST * self.replica_weight();
        let worth = |leaving: &Place| self.gain_max(leaving) > cost;
        let (gain, leaving, place) =
            self.best_exchange(worth, |from, to| Some(self.replica_gain(from, to)))?;
        (gain > cost).then(|| change(Some(place), Some(leaving.store), true))
    }

    fn lease_gain(&self, to: &Place) -> Option<f64> {
        let own = self.own?;
        Some(self.stores.gain(&own.amounts, &to.amounts, &self.lease, &OF_LEASES))
    }

    fn lease_cost(&self) -> f64 {
        COST * self.stores.weight(&self.lease, &OF_LEASES)
    }

    /// A lease that came a moment ago stays: nobody knows what it weighs here.
    fn balance_leases(&self) -> Option<Decision> {
        let (own, _) = (self.own?, self.range.load?);
        if self.stores.gain_max(&own.amounts, &self.lease, &OF_LEASES) <= self.lease_cost() {
            return None;
        }
        let to = self.successor()?;
        let policy = self.range.policy;
        let is_preferred = policy.permits(to.group) && policy.rank(to.group) <= policy.rank(own.group);
        (is_preferred && self.lease_gain(to)? > self.lease_cost())
            .then_some(Decision::TransferLease { to: to.store, is_for_balance: true })
    }

    /// The lease would fit elsewhere, but there is no replica: one moves there, if replicas are no worse spread then.
    fn make_way_for_lease(&self) -> Option<Decision> {
        let (own, load) = (self.own?, self.range.load?);
        let least = self.lease_cost();
        if load.requests <= 0.0 || self.stores.gain_max(&own.amounts, &self.lease, &OF_LEASES) <= least {
            return None;
        }
        let rank = self.range.policy.rank(own.group);
        let gain = |from: &Place, to: &Place| {
            let fits = self.range.policy.rank(to.group) <= rank && self.is_harmless(from, to);
            let lease = self.lease_gain(to).filter(|gain| fits && *gain > least)?;
            Some(lease + self.replica_gain(from, to))
        };
        let (gain, leaving, place) = self.best_exchange(|_| true, gain)?;
        let cost = least + COST * self.replica_weight();
        (gain > cost).then(|| change(Some(place), Some(leaving.store), true))
    }
}
