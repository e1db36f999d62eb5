//! Each rule of `decide`, one case after the other.

use std::time::Duration;

use keys::{NodeId, RangeId, ReplicaId, Span, StoreId};
use kvapi::{Locality, NodeInfo, RangeDescriptor, ReplicaDescriptor, ReplicaKind, Standing};
use placement::{
    Constraints, Decision, LeasePreferences, Limits, Overview, RangeConfig, RangeLoad, RangeView, decide,
};

const MIB: u64 = 1 << 20;

fn nodes(count: u32) -> Vec<NodeInfo> {
    (1..=count).map(|id| NodeInfo::new(NodeId(id), StoreId(id))).collect()
}

/// Nodes 1, 2, 3 ... at these places.
fn nodes_at(localities: &[&str]) -> Vec<NodeInfo> {
    let mut nodes = nodes(localities.len() as u32);
    for (node, locality) in nodes.iter_mut().zip(localities) {
        node.locality = Locality::parse(locality).expect("a locality");
    }
    nodes
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

/// A case: the range is led by store 1, unless said otherwise.
struct Case {
    config: RangeConfig,
    size_bytes: u64,
    load: Option<RangeLoad>,
    own: u32,
    /// As many as are wanted, unless said otherwise.
    kept: Option<usize>,
}

impl Default for Case {
    fn default() -> Case {
        let config = RangeConfig { replicas: Some(3), ..RangeConfig::default() };
        Case { config, size_bytes: 0, load: None, own: 1, kept: None }
    }
}

impl Case {
    fn wanting(constraints: &str, preferences: &str) -> Case {
        let config = RangeConfig {
            replicas: Some(3),
            constraints: Constraints::parse(constraints).expect("constraints"),
            lease_preferences: LeasePreferences::parse(preferences).expect("preferences"),
        };
        Case { config, ..Case::default() }
    }

    fn decide(&self, descriptor: &RangeDescriptor, nodes: &[NodeInfo]) -> Option<Decision> {
        let stores = Overview::new(nodes, &Limits::default());
        let replicas = usize::from(self.config.replicas.expect("set"));
        let policy = stores.resolve(&self.config, replicas);
        let view = RangeView {
            descriptor,
            own: StoreId(self.own),
            policy: &policy,
            kept: self.kept.unwrap_or(replicas),
            size_bytes: self.size_bytes,
            load: self.load,
            may_move: true,
            may_transfer: true,
            salt: 0,
        };
        decide(&view, &stores)
    }

    fn of(&self, voters: &[u32], nodes: &[NodeInfo]) -> Option<Decision> {
        self.decide(&range(voters), nodes)
    }
}

fn decide_for(voters: &[u32], nodes: &[NodeInfo]) -> Option<Decision> {
    Case::default().of(voters, nodes)
}

fn moved(add: &[u32], remove: &[u32], is_for_balance: bool) -> Option<Decision> {
    Some(Decision::Change {
        add: add.iter().map(|id| (NodeId(*id), StoreId(*id))).collect(),
        remove: remove.iter().map(|id| StoreId(*id)).collect(),
        is_for_balance,
    })
}

fn repaired(add: &[u32], remove: &[u32]) -> Option<Decision> {
    moved(add, remove, false)
}

fn lease(to: u32, is_for_balance: bool) -> Option<Decision> {
    Some(Decision::TransferLease { to: StoreId(to), is_for_balance })
}

#[test]
fn a_range_grows_in_one_step_and_only_to_odd_numbers() {
    assert_eq!(decide_for(&[1], &nodes(1)), None);
    assert_eq!(decide_for(&[1], &nodes(2)), None);
    assert_eq!(decide_for(&[1], &nodes(3)), repaired(&[2, 3], &[]));
    assert_eq!(decide_for(&[1, 2, 3], &nodes(4)), None);
    assert_eq!(decide_for(&[1, 2, 3, 4], &nodes(4)), repaired(&[], &[4]));
    let mut five = Case::default();
    five.config.replicas = Some(5);
    assert_eq!(five.of(&[1, 2, 3], &nodes(4)), None, "five need five nodes");
    assert_eq!(five.of(&[1, 2, 3], &nodes(5)), repaired(&[4, 5], &[]));
}

#[test]
fn what_is_lost_is_replaced_if_there_is_a_place() {
    let mut three = nodes(3);
    three[2].silence = Duration::from_secs(301);
    assert_eq!(decide_for(&[1, 2, 3], &three), None, "two of three are better than two of two");
    let mut four = nodes(4);
    four[2].silence = Duration::from_secs(299);
    assert_eq!(decide_for(&[1, 2, 3], &four), None, "it may come back");
    four[2].standing = Standing::Decommissioning;
    assert_eq!(decide_for(&[1, 2, 3], &four), repaired(&[4], &[3]));
    four[3].silence = Duration::from_secs(6);
    assert_eq!(decide_for(&[1, 2, 3], &four), None, "the only place may be dead as well");
}

#[test]
fn a_node_is_emptied_by_replacing_and_not_by_shrinking() {
    let leaving = |count: u32, which: &[usize], standing| {
        let mut nodes = nodes(count);
        which.iter().for_each(|at| nodes[*at].standing = standing);
        nodes
    };
    let all = leaving(3, &[0, 1, 2], Standing::Decommissioning);
    assert_eq!(decide_for(&[1, 2, 3], &all), None, "there is nobody else");
    let two = leaving(3, &[1, 2], Standing::Decommissioning);
    assert_eq!(decide_for(&[1, 2, 3], &two), None);
    let mut with_place = two.clone();
    with_place.push(NodeInfo::new(NodeId(4), StoreId(4)));
    assert_eq!(decide_for(&[1, 2, 3], &with_place), repaired(&[4], &[2]));
    assert_eq!(decide_for(&[1, 4, 3], &with_place), None, "the other one waits");

    // Five may become three, unless five are asked for.
    let of_five = leaving(5, &[4], Standing::Decommissioning);
    let mut five = Case::default();
    five.config.replicas = Some(5);
    assert_eq!(five.of(&[1, 2, 3, 4, 5], &of_five), None);
    let may_shrink = Case { kept: Some(3), ..five };
    assert_eq!(may_shrink.of(&[1, 2, 3, 4, 5], &of_five), repaired(&[], &[5]));
    assert_eq!(may_shrink.of(&[1, 2, 3, 4], &of_five), repaired(&[], &[4]));

    // People have said that fewer are enough.
    let given_up = leaving(3, &[1, 2], Standing::Shedding);
    assert_eq!(decide_for(&[1, 2, 3], &given_up), repaired(&[], &[2]));
    assert_eq!(decide_for(&[1, 3], &given_up), repaired(&[], &[3]));
    assert_eq!(decide_for(&[1], &given_up), None);

    // The only replica cannot just go: another comes, and takes the lease.
    let first = leaving(2, &[0], Standing::Decommissioning);
    assert_eq!(decide_for(&[1], &first), repaired(&[2], &[]));
    assert_eq!(decide_for(&[1, 2], &first), lease(2, false));
    assert_eq!(Case { own: 2, ..Case::default() }.of(&[1, 2], &first), repaired(&[], &[1]));
}

#[test]
fn a_node_that_drains_or_is_to_be_emptied_hands_its_leases_over() {
    let mut nodes = nodes(4);
    nodes[0].draining = true;
    nodes[1].capacity.leases = 7;
    assert_eq!(decide_for(&[1, 2, 3], &nodes), lease(3, false));
    nodes[0].draining = false;
    nodes[0].standing = Standing::Decommissioning;
    assert_eq!(decide_for(&[1, 2, 3], &nodes), lease(3, false));
}

#[test]
fn what_was_left_half_done_is_ended_first() {
    let case = Case::default();
    let mut descriptor = range(&[1, 2, 3, 4]);
    descriptor.replicas[2].kind = ReplicaKind::VoterOutgoing;
    descriptor.replicas[3].kind = ReplicaKind::VoterIncoming;
    assert_eq!(case.decide(&descriptor, &nodes(4)), Some(Decision::LeaveJoint));
    descriptor.replicas[0].kind = ReplicaKind::VoterOutgoing;
    assert_eq!(case.decide(&descriptor, &nodes(4)), lease(2, false));
    let mut descriptor = range(&[1, 2, 3, 4]);
    descriptor.replicas[3].kind = ReplicaKind::Learner;
    assert_eq!(case.decide(&descriptor, &nodes(4)), repaired(&[], &[4]));
}

#[test]
fn replicas_stand_as_far_apart_as_they_can_the_widest_tier_first() {
    let two_regions = nodes_at(&["r=1,z=a", "r=1,z=a", "r=1,z=b", "r=2,z=c", "r=2,z=c", "r=2,z=d"]);
    assert_eq!(decide_for(&[1], &two_regions), repaired(&[4, 3], &[]));
    assert_eq!(decide_for(&[1, 2, 4], &two_regions), moved(&[3], &[2], true));
    assert_eq!(decide_for(&[1, 4, 6], &two_regions), None);
    assert_eq!(decide_for(&[1, 2, 3], &two_regions), moved(&[4], &[2], true));
    // Not even a full store is relieved by standing closer together, if there is another place.
    let mut lopsided = nodes_at(&["z=a", "z=b", "z=c", "z=c", "z=a"]);
    for node in &mut lopsided[..3] {
        node.capacity.ranges = 100;
    }
    assert_eq!(decide_for(&[1, 2, 3], &lopsided), moved(&[4], &[3], true));
    lopsided[3].capacity.ranges = 100;
    assert_eq!(
        decide_for(&[1, 2, 3], &lopsided),
        None,
        "the only empty store shares a zone with another replica"
    );
}

#[test]
fn replicas_stand_where_they_must() {
    let mut nodes = nodes_at(&["z=a", "z=b", "z=c", "z=a", "z=b", "z=c"]);
    let not_in_c = Case::wanting("-z=c", "");
    assert_eq!(not_in_c.of(&[1], &nodes), repaired(&[2, 4], &[]));
    assert_eq!(not_in_c.of(&[1, 2, 3], &nodes), repaired(&[4], &[3]));
    let only_c = Case::wanting("z=c", "");
    assert_eq!(only_c.of(&[1, 2, 3], &nodes), repaired(&[6], &[2]));
    assert_eq!(only_c.of(&[1, 3, 6], &nodes), None, "there is no third place: fewer would be worse");
    assert_eq!(only_c.of(&[1], &nodes), repaired(&[3, 6], &[]));
    assert_eq!(only_c.of(&[3], &nodes), None, "no third place, no even number");
    nodes.extend(nodes_at(&["", "", "", "", "", "", "z=c"]).pop());
    assert_eq!(only_c.of(&[1, 3, 6], &nodes), lease(3, false), "the leaseholder cannot remove itself");
    let elsewhere = Case { own: 3, ..only_c };
    assert_eq!(elsewhere.of(&[1, 3, 6], &nodes), repaired(&[7], &[1]));
    assert_eq!(elsewhere.of(&[7, 3, 6], &nodes), None);
}

#[test]
fn so_many_replicas_stand_in_certain_places() {
    let nodes = nodes_at(&["z=a", "z=b", "z=c", "z=a", "z=b", "z=c"]);
    let two_in_b = Case::wanting("2: z=b", "");
    assert_eq!(two_in_b.of(&[1], &nodes), repaired(&[2, 5], &[]));
    assert_eq!(two_in_b.of(&[1, 2, 3], &nodes), repaired(&[5], &[3]));
    assert_eq!(two_in_b.of(&[1, 2, 5], &nodes), None);
    assert_eq!(two_in_b.of(&[1, 2, 5, 3], &nodes), repaired(&[], &[3]), "not one of those that are needed");
    let mut dead = nodes.clone();
    dead[4].silence = Duration::from_secs(400);
    assert_eq!(two_in_b.of(&[1, 2, 5], &dead), repaired(&[3], &[5]), "elsewhere is better than nowhere");
}

#[test]
fn the_lease_goes_where_it_is_preferred() {
    let mut nodes = nodes_at(&["z=a", "z=b", "z=c"]);
    let prefers = Case::wanting("", "z=x; z=c; z=b");
    assert_eq!(prefers.of(&[1, 2, 3], &nodes), lease(3, true));
    nodes[2].silence = Duration::from_secs(6);
    assert_eq!(prefers.of(&[1, 2, 3], &nodes), lease(2, true));
    let there = Case { own: 3, ..prefers };
    nodes[2].silence = Duration::ZERO;
    nodes[2].capacity.leases = 1_000;
    assert_eq!(there.of(&[1, 2, 3], &nodes), None, "a preference is stronger than balance");
}

#[test]
fn a_store_whose_disk_is_nearly_full_gives_and_takes_nothing() {
    let mut nodes = nodes(5);
    let fill = |node: &mut NodeInfo, percent: u64| {
        node.capacity.used_bytes = percent * MIB;
        node.capacity.available_bytes = (100 - percent) * MIB;
    };
    fill(&mut nodes[1], 96);
    fill(&mut nodes[3], 91);
    assert_eq!(decide_for(&[1, 2, 3], &nodes), repaired(&[5], &[2]));
    assert_eq!(decide_for(&[1, 4, 3], &nodes), None, "it takes nothing more, and keeps what it has");
    fill(&mut nodes[4], 93);
    assert_eq!(decide_for(&[1, 2, 3], &nodes), None, "there is no place");
    assert_eq!(decide_for(&[1], &nodes), None, "nor for another");
    fill(&mut nodes[0], 97);
    assert_eq!(decide_for(&[1, 2, 3], &nodes), lease(3, false), "another leaseholder can relieve it");
}

#[test]
fn a_difference_in_counts_must_be_more_than_noise() {
    let mut nodes = nodes(4);
    for (node, ranges) in nodes.iter_mut().zip([10, 10, 10, 8]) {
        node.capacity.ranges = ranges;
    }
    assert_eq!(decide_for(&[1, 2, 3], &nodes), None);
    nodes[3].capacity.ranges = 6;
    assert_eq!(decide_for(&[1, 2, 3], &nodes), moved(&[4], &[2], true));
    for (node, ranges) in nodes.iter_mut().zip([1_000, 1_000, 1_000, 940]) {
        node.capacity.ranges = ranges;
    }
    assert_eq!(decide_for(&[1, 2, 3], &nodes), None, "of a thousand, sixty are noise");
    nodes[3].capacity.ranges = 900;
    assert_eq!(decide_for(&[1, 2, 3], &nodes), moved(&[4], &[2], true));
}

#[test]
fn bytes_count_and_what_makes_another_dimension_worse_does_not() {
    let mut nodes = nodes(4);
    for (node, used) in nodes.iter_mut().zip([20_000, 20_000, 60_000, 20_000]) {
        node.capacity.ranges = 1_000;
        node.capacity.used_bytes = used * MIB;
    }
    let large = Case { size_bytes: 100 * MIB, ..Case::default() };
    assert_eq!(large.of(&[1, 2, 3], &nodes), moved(&[4], &[3], true));
    assert_eq!(Case::default().of(&[1, 2, 3], &nodes), None, "an empty range takes no bytes with it");
    let small = Case { size_bytes: MIB, ..Case::default() };
    assert_eq!(small.of(&[1, 2, 3], &nodes), moved(&[4], &[3], true));
    nodes[3].capacity.ranges = 10_000;
    assert_eq!(small.of(&[1, 2, 3], &nodes), None, "there are far too many ranges for so few bytes");
    nodes[3].capacity = nodes[0].capacity;
    for node in &mut nodes {
        node.capacity.used_bytes = 10 * MIB;
    }
    nodes[2].capacity.used_bytes = 250 * MIB;
    assert_eq!(large.of(&[1, 2, 3], &nodes), None, "so little data may be anywhere");
}

#[test]
fn load_moves_replicas_by_what_they_write_and_leases_by_what_they_answer() {
    let mut nodes = nodes(4);
    for node in &mut nodes {
        node.capacity.ranges = 10;
        node.capacity.leases = 10;
        node.capacity.written_bytes_per_second = 10 * MIB;
        node.capacity.requests_per_second = 5_000;
    }
    nodes[1].capacity.written_bytes_per_second = 100 * MIB;
    let writes = Some(RangeLoad { requests: 0.0, written_bytes: 5.0 * MIB as f64 });
    let busy = Case { load: writes, ..Case::default() };
    assert_eq!(busy.of(&[1, 2, 3], &nodes), moved(&[4], &[2], true));
    assert_eq!(Case::default().of(&[1, 2, 3], &nodes), None, "an idle range, or one that is not known yet");
    nodes[1].capacity.written_bytes_per_second = 10 * MIB;
    nodes[0].capacity.requests_per_second = 20_000;
    let reads = Some(RangeLoad { requests: 1_000.0, written_bytes: 0.0 });
    let busy = Case { load: reads, ..Case::default() };
    assert_eq!(busy.of(&[1, 2, 3], &nodes), lease(2, true));
    let enormous = Some(RangeLoad { requests: 16_000.0, written_bytes: 0.0 });
    let enormous = Case { load: enormous, ..Case::default() };
    assert_eq!(enormous.of(&[1, 2, 3], &nodes), None, "it would only be too much elsewhere");
    // All three voters are busy, the fourth store is not: a replica goes there so that the lease can.
    for node in &mut nodes[..3] {
        node.capacity.requests_per_second = 20_000;
    }
    assert_eq!(busy.of(&[1, 2, 3], &nodes), moved(&[4], &[2], true));
    assert_eq!(busy.of(&[1, 4, 3], &nodes), lease(4, true));
}

#[test]
fn leases_spread_by_count() {
    let mut nodes = nodes(3);
    nodes[0].capacity.leases = 9;
    nodes[1].capacity.leases = 7;
    nodes[2].capacity.leases = 2;
    let idle = Case { load: Some(RangeLoad::default()), ..Case::default() };
    assert_eq!(idle.of(&[1, 2, 3], &nodes), lease(3, true));
    assert_eq!(decide_for(&[1, 2, 3], &nodes), None, "its load is not known yet");
    nodes[2].capacity.leases = 6;
    assert_eq!(idle.of(&[1, 2, 3], &nodes), None);
}

#[test]
fn different_ranges_choose_different_stores_and_each_chooses_the_same_again() {
    let mut nodes = nodes(200);
    for node in &mut nodes[..100] {
        node.capacity.ranges = 1_000;
    }
    let chosen = |id: u64| {
        let descriptor = RangeDescriptor { id: RangeId(id), ..range(&[1, 2, 3]) };
        match Case::default().decide(&descriptor, &nodes) {
            Some(Decision::Change { add, .. }) => add[0].1,
            other => panic!("{other:?}"),
        }
    };
    let all: std::collections::BTreeSet<StoreId> = (0..400).map(chosen).collect();
    assert!(all.iter().all(|store| store.0 > 100), "emptier ones are there");
    assert!(all.len() > 60, "{} stores were chosen", all.len());
    assert!((0..400).all(|id| chosen(id) == chosen(id)));
}

#[test]
fn balance_ends() {
    // 60 ranges on three of six stores, leases on one: moves one at a time until nothing is left to do.
    let mut nodes = nodes(6);
    let mut ranges: Vec<(RangeDescriptor, u32)> = (0..60).map(|_| (range(&[1, 2, 3]), 1)).collect();
    let mut moves = 0;
    loop {
        let mut moved = false;
        for index in 0..ranges.len() {
            for node in &mut nodes {
                let has = ranges.iter().filter(|(range, _)| range.replica_on(node.store).is_some());
                node.capacity.ranges = has.count() as u64;
                node.capacity.leases =
                    ranges.iter().filter(|(_, lease)| StoreId(*lease) == node.store).count() as u64;
            }
            let (range, lease) = &mut ranges[index];
            match (Case { own: *lease, load: Some(RangeLoad::default()), ..Case::default() })
                .decide(range, &nodes)
            {
                None => continue,
                Some(Decision::TransferLease { to, .. }) => *lease = to.0,
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
