//! What the core costs. Runs tiny with the tests, so that it cannot rot; `RAFT_SPEED=1000 cargo test --release -p raft --test
//! speed -- --nocapture` measures.

// A measurement reads the clock; what it measures does not.
#![allow(clippy::disallowed_methods)]

mod cluster;

use std::time::Instant;

use cluster::{Cluster, Disk, State};
use raft::{Bytes, Config, Configuration, Group, HardState, Index, ReplicaId, Stored, Term};

fn scale() -> u32 {
    std::env::var("RAFT_SPEED").map_or(1, |text| text.parse().expect("a number"))
}

fn report(what: &str, count: u32, begin: Instant) {
    println!("{what}: {:.0} ns", begin.elapsed().as_nanos() as f64 / f64::from(count));
}

fn new_group(voters: u64) -> (Group, Disk) {
    let begin = (Index(1), Term(1));
    let configuration = Configuration::of_voters((1..=voters).map(ReplicaId));
    let hard_state = HardState { term: begin.1, vote: None, commit: begin.0 };
    let state = State { applied: begin.0, applied_term: begin.1, configuration, commands: Vec::new() };
    let disk = Disk { truncated: begin, hard_state, flushed: state.clone(), state, ..Disk::default() };
    let stored = Stored { hard_state, applied: begin.0, configuration: disk.state.configuration.clone() };
    let group = Group::new(Config::new(ReplicaId(1), 7), stored, &disk).expect("the disk is sound");
    (group, disk)
}

/// Hands out, persists and applies everything; nothing is kept of the entries but that they were there.
fn drive(group: &mut Group, disk: &mut Disk) -> usize {
    let mut applied = 0;
    loop {
        let ready = group.ready(disk).expect("nothing is read");
        if ready.is_empty() {
            return applied;
        }
        if let Some(write) = ready.write {
            group.persisted(write.number);
        }
        if let Some(last) = ready.committed.last() {
            applied += ready.committed.len();
            group.applied(last.index);
        }
    }
}

#[test]
fn one_replica_alone() {
    let (mut group, mut disk) = new_group(1);
    group.campaign();
    drive(&mut group, &mut disk);
    for batch in [1u32, 64] {
        let rounds = 10 * scale();
        let payload = Bytes::from(vec![7; 300]);
        let begin = Instant::now();
        let mut applied = 0;
        for _ in 0..rounds {
            for _ in 0..batch {
                group.propose(payload.clone()).expect("it leads");
            }
            applied += drive(&mut group, &mut disk);
        }
        report(&format!("alone, a proposal in batches of {batch}"), rounds * batch, begin);
        assert_eq!(applied, (rounds * batch) as usize);
    }
}

#[test]
fn three_replicas() {
    let mut cluster = Cluster::new(7, |_| {});
    let configuration = Configuration::of_voters((1..=3).map(ReplicaId));
    for id in 1..=3 {
        cluster.add(ReplicaId(id), configuration.clone());
    }
    cluster.group(ReplicaId(1)).campaign();
    cluster.settle();
    let rounds = 10 * scale().min(100);
    let begin = Instant::now();
    for _ in 0..rounds {
        for _ in 0..64 {
            cluster.group(ReplicaId(1)).propose(Bytes::from_static(b"x")).expect("it leads");
        }
        cluster.settle();
        cluster.trace.clear();
    }
    // The cluster's own trace is part of this; the core is the smaller part.
    report("three replicas, a proposal in batches of 64, traced", rounds * 64, begin);
}

#[test]
fn idle_replicas() {
    let (mut group, disk) = new_group(3);
    let count = 100 * scale();
    let begin = Instant::now();
    for _ in 0..count {
        group.tick();
        // Now and then it campaigns, and nobody answers.
        if group.has_work() {
            drop(group.ready(&disk).expect("nothing is read").messages);
        }
    }
    report("a tick of a follower without a leader", count, begin);
    let size = std::mem::size_of::<Group>();
    println!("an idle replica: {size} bytes, and its lists of members");
    assert!(size <= 1024, "{size} bytes");
}
