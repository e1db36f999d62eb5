//! Ranges with several replicas, on stores in one process: the same store, with a transport.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use env::{Env, SimEnv, Simulation, timeout};
use keys::{RangeId, ReplicaId, StoreId};
use parking_lot::Mutex;
use raft::Change;
use replication::{ConfChange, ProposalError, StateMachine, Store, StoreOptions, StoreWorld, raft_id};
use storage::{MemoryDisk, MemoryOptions, WriteBatch};
use support::{Journal, Link, Network, Node, text};

const LIMIT: Duration = Duration::from_secs(600);
const RANGE: RangeId = RangeId(1);

struct Cluster {
    simulation: Simulation,
    network: Arc<Network>,
    voters: Vec<ReplicaId>,
    machines: BTreeMap<StoreId, (Arc<SimEnv>, MemoryDisk)>,
    nodes: BTreeMap<StoreId, Node>,
}

impl Cluster {
    fn new(seed: u64, voters: u32) -> Cluster {
        let simulation = Simulation::new(seed);
        let network = Network::new(simulation.machine());
        let voters: Vec<ReplicaId> = (1..=voters).map(ReplicaId).collect();
        let mut cluster = Cluster {
            simulation,
            network,
            voters: voters.clone(),
            machines: BTreeMap::new(),
            nodes: BTreeMap::new(),
        };
        for replica in voters {
            cluster.add(StoreId(replica.get()));
            let node = &cluster.nodes[&StoreId(replica.get())];
            node.store.create(&[node.journal.new_range(RANGE)], WriteBatch::new()).expect("an empty store");
        }
        cluster
    }

    fn add(&mut self, store: StoreId) {
        let machine = self.simulation.machine();
        self.machines.insert(store, (machine, MemoryDisk::new()));
        self.open(store);
    }

    fn open(&mut self, id: StoreId) {
        let (machine, disk) = &self.machines[&id];
        let engine = disk
            .open(MemoryOptions { flush_bytes: 3_000, ..MemoryOptions::default() })
            .expect("closed before");
        let journal = Journal::new(engine.clone(), ReplicaId(id.get()), self.voters.clone());
        let machine_trait: Arc<dyn StateMachine> = journal.clone();
        let link = Link { network: Arc::clone(&self.network), own: id };
        let world = StoreWorld {
            store: id,
            env: machine.clone(),
            engine,
            machine: machine_trait,
            transport: Arc::new(link),
        };
        let options = StoreOptions { truncate_bytes: 1_000, ..StoreOptions::default() };
        let store = Store::open(world, options).expect("a sound store opens");
        store.start();
        self.network.stores.lock().insert(id, store.clone());
        self.nodes.insert(id, Node { store, journal });
    }

    fn crash(&mut self, id: StoreId) {
        let mut prng = self.simulation.prng();
        self.crash_keeping(id, |log, state| {
            (prng.below(log as u64 + 1) as usize, prng.below(state as u64 + 1) as usize)
        });
    }

    /// `keep` is told how many writes to the log and to the state may be lost, and says how many are not.
    fn crash_keeping(&mut self, id: StoreId, keep: impl FnOnce(usize, usize) -> (usize, usize)) {
        self.network.stores.lock().remove(&id);
        self.nodes.remove(&id);
        let (machine, disk) = &self.machines[&id];
        machine.crash();
        let (log, state) = disk.pending_counts();
        let (log, state) = keep(log, state);
        disk.crash(log, state);
    }

    fn restart(&mut self, id: StoreId) {
        let (machine, _) = self.machines.get_mut(&id).expect("added before");
        *machine = machine.restart();
        self.open(id);
    }

    fn leader(&self) -> StoreId {
        self.leader_of(RANGE)
    }

    fn leader_of(&self, range: RangeId) -> StoreId {
        for _ in 0..1_000 {
            let leads = |node: &&Node| node.store.range(range).is_some_and(|range| range.leading().is_some());
            let cut = self.network.cut.lock().clone();
            let reachable = self.nodes.iter().filter(|(id, _)| !cut.contains(id));
            if let Some((id, _)) = reachable.into_iter().find(|(_, node)| leads(node)) {
                return *id;
            }
            self.simulation.run_for(Duration::from_millis(100));
        }
        panic!("nobody leads {range}");
    }

    /// Groups whose leader is gone may sleep: somebody who knows wakes them.
    fn wake(&self, range: RangeId) {
        for node in self.nodes.values() {
            node.store.range(range).iter().for_each(replication::RangeHandle::wake);
        }
    }

    /// Proposes at whoever leads until it is applied. A command whose fate is unknown may be there twice.
    fn run(&self, range: RangeId, command: &str) {
        for _ in 0..100 {
            let leader = self.leader_of(range);
            let proposal = self.nodes[&leader].store.propose(range, text(command));
            let env: Arc<dyn Env> = self.network.env.clone();
            let waited = async move { timeout(&*env, Duration::from_secs(5), proposal).await };
            match self.simulation.block_on(LIMIT, waited).expect("it ends") {
                Ok(Ok(_)) => return,
                Ok(Err(error)) => assert!(!matches!(error, ProposalError::Refused(_)), "{error}"),
                Err(_) => {}
            }
            self.simulation.run_for(Duration::from_millis(50));
        }
        panic!("{command} is never applied");
    }

    fn change_members(&self, change: Change) {
        let change = ConfChange { context: text("members"), ..ConfChange::simple(change) };
        let leader = self.leader();
        let handle = self.nodes[&leader].store.range(RANGE).expect("it leads it");
        let proposal = handle.propose_conf_change(&change);
        self.simulation.block_on(LIMIT, proposal).expect("it ends").expect("it is applied");
    }

    fn wait_until_equal(&self) -> Vec<String> {
        self.wait_until_equal_in(RANGE)
    }

    fn wait_until_equal_in(&self, range: RangeId) -> Vec<String> {
        for _ in 0..600 {
            let mut histories = self.nodes.values().map(|node| node.journal.history(range));
            let first = histories.next().expect("there are stores");
            if histories.all(|history| history == first) {
                return first;
            }
            self.simulation.run_for(Duration::from_millis(100));
        }
        let standings = self.nodes.values().map(|node| {
            let status = node.store.range(range).map(|handle| handle.status());
            (node.journal.history(range).len(), status)
        });
        let standings: Vec<_> = standings.collect();
        panic!("the replicas of {range} stay different: {standings:?}");
    }
}

#[test]
fn three_replicas_apply_the_same() {
    let cluster = Cluster::new(1, 3);
    for number in 0..50 {
        cluster.run(RANGE, &format!("command {number}"));
    }
    cluster.run(RANGE, "split 2");
    let history = cluster.wait_until_equal();
    assert_eq!(history.len(), 51);
    for node in cluster.nodes.values() {
        assert_eq!(node.journal.history(RangeId(2)), ["born of 1"]);
        assert!(node.store.failed().is_none());
    }
}

#[test]
fn an_idle_group_of_three_goes_to_sleep_and_wakes() {
    let cluster = Cluster::new(2, 3);
    cluster.run(RANGE, "a");
    cluster.wait_until_equal();
    cluster.simulation.run_for(Duration::from_secs(60));
    let asleep = |node: &Node| node.store.range(RANGE).expect("there").status().is_quiescent;
    assert!(cluster.nodes.values().all(asleep));
    assert_eq!(cluster.simulation.run_for(LIMIT), env::Ended::Idle, "no timers, no messages");
    cluster.run(RANGE, "b");
    assert_eq!(cluster.wait_until_equal(), ["a", "b"]);
}

#[test]
fn a_replica_that_was_away_too_long_gets_a_snapshot() {
    let cluster = Cluster::new(3, 3);
    cluster.run(RANGE, "first");
    let leader = cluster.leader();
    let away = *cluster.nodes.keys().find(|id| **id != leader).expect("there are three");
    cluster.network.cut.lock().push(away);
    for number in 0..300 {
        cluster.run(RANGE, &format!("command {number} {}", "x".repeat(20)));
    }
    cluster.simulation.run_for(Duration::from_secs(5));
    cluster.run(RANGE, "last");
    cluster.network.cut.lock().clear();
    let history = cluster.wait_until_equal();
    assert!(history.len() >= 302, "{}", history.len());
    assert!(cluster.network.snapshots.load(Ordering::Relaxed) > 0, "the log does not reach back that far");
    cluster.run(RANGE, "after");
    cluster.wait_until_equal();
}

/// A store that was away while a range was split many times needs a snapshot of every half. Whether it takes them or refuses them, it is
/// not flooded.
#[test]
fn snapshots_of_many_ranges_to_one_store_take_turns_and_wait_when_refused() {
    const HALVES: u64 = 60;
    let cluster = Cluster::new(6, 3);
    cluster.run(RANGE, "first");
    let leader = cluster.leader();
    let away = *cluster.nodes.keys().find(|id| **id != leader).expect("there are three");
    cluster.network.cut.lock().push(away);
    for half in 0..HALVES {
        cluster.run(RANGE, &format!("split {}", half + 2));
        cluster.run(RANGE, &format!("command {half} {}", "x".repeat(60)));
    }
    cluster.simulation.run_for(Duration::from_secs(5));
    cluster.network.refuses_snapshots.store(true, Ordering::Relaxed);
    cluster.network.cut.lock().clear();
    let before = cluster.network.snapshots.load(Ordering::Relaxed);
    cluster.simulation.run_for(Duration::from_secs(20));
    let attempts = (cluster.network.snapshots.load(Ordering::Relaxed) - before) as u64;
    // With every heartbeat it would be some 12,000.
    assert!((HALVES..HALVES * 15).contains(&attempts), "{attempts} attempts");
    cluster.network.refuses_snapshots.store(false, Ordering::Relaxed);
    cluster.wait_until_equal();
    for half in 0..HALVES {
        let range = RangeId(half + 2);
        let told = |node: &Node| node.journal.history(range);
        for _ in 0..100 {
            if cluster.nodes.values().all(|node| told(node) == ["born of 1"]) {
                break;
            }
            cluster.simulation.run_for(Duration::from_millis(100));
        }
        assert!(cluster.nodes.values().all(|node| told(node) == ["born of 1"]), "range {range}");
    }
    let most = cluster.network.under_way_max.load(Ordering::Relaxed);
    assert!(most <= 4, "{most} at one time, from two stores");
}

#[test]
fn a_proposal_whose_place_is_taken_by_what_is_no_command_is_answered() {
    let cluster = Cluster::new(6, 3);
    cluster.run(RANGE, "a");
    let old = cluster.leader();
    cluster.network.cut.lock().push(old);
    let proposal = cluster.nodes[&old].store.propose(RANGE, text("lost"));
    // The others elect a leader, who begins with an empty entry. Nothing else is proposed: whoever proposed may hold a lock for it.
    cluster.simulation.run_for(Duration::from_secs(10));
    cluster.network.cut.lock().clear();
    let outcome = cluster.simulation.block_on(LIMIT, proposal).expect("it ends");
    assert_eq!(outcome, Err(ProposalError::Superseded));
    assert_eq!(cluster.wait_until_equal(), ["a"]);
}

#[test]
fn a_new_replica_is_added_and_counts() {
    let mut cluster = Cluster::new(4, 1);
    for number in 0..30 {
        cluster.run(RANGE, &format!("command {number} {}", "x".repeat(50)));
    }
    cluster.add(StoreId(2));
    cluster.nodes[&StoreId(2)].store.create_waiting(RANGE, ReplicaId(2)).expect("an empty store");
    cluster.change_members(Change::AddVoter(raft_id(ReplicaId(2))));
    cluster.run(RANGE, "with two");
    let history = cluster.wait_until_equal();
    assert_eq!(history.len(), 32);
    // It survives a restart as what it has become.
    cluster.crash(StoreId(2));
    cluster.restart(StoreId(2));
    cluster.run(RANGE, "after");
    cluster.wait_until_equal();
    let status = cluster.nodes[&StoreId(2)].store.range(RANGE).expect("there").status();
    assert_eq!(status.configuration.voters.len(), 2);
}

#[test]
fn a_store_settles_when_its_log_tells_that_it_is_not_alone_any_more() {
    let mut cluster = Cluster::new(5, 1);
    cluster.run(RANGE, "alone");
    cluster.add(StoreId(2));
    cluster.nodes[&StoreId(2)].store.create_waiting(RANGE, ReplicaId(2)).expect("an empty store");
    cluster.change_members(Change::AddVoter(raft_id(ReplicaId(2))));
    cluster.run(RANGE, "with two");
    // The log is there after the crash, the state is the one of the beginning: with one voter.
    cluster.network.stores.lock().remove(&StoreId(1));
    cluster.nodes.remove(&StoreId(1));
    let (machine, disk) = &cluster.machines[&StoreId(1)];
    machine.crash();
    disk.crash(disk.pending_counts().0, 0);
    cluster.restart(StoreId(1));
    let settled = cluster.nodes[&StoreId(1)].store.settled();
    cluster.simulation.block_on(LIMIT, settled).expect("it settles");
    cluster.run(RANGE, "after");
    assert_eq!(cluster.wait_until_equal(), ["alone", "members", "with two", "after"]);
}

impl Cluster {
    /// Has the range absorb another, as of the last command of that one, which every store has in its log by then.
    fn absorb(&self, range: RangeId) {
        let leader = self.leader_of(range);
        let proposal = self.nodes[&leader].store.propose(range, text("freeze"));
        let frozen =
            self.simulation.block_on(LIMIT, proposal).expect("it ends").expect("it is applied").position;
        for _ in 0..100 {
            let last =
                |node: &Node| node.store.range(range).is_some_and(|it| it.status().last >= frozen.index);
            if self.nodes.values().all(last) {
                break;
            }
            self.simulation.run_for(Duration::from_millis(20));
        }
        self.simulation.run_for(Duration::from_millis(200));
        self.run(RANGE, &format!("absorb {range} {} {}", frozen.index.0, frozen.term.0));
    }

    fn assert_absorbed(&self, range: RangeId, commands: &[&str]) {
        for (id, node) in &self.nodes {
            assert!(node.store.failed().is_none(), "{id}: {:?}", node.store.failed());
            assert_eq!(node.journal.history(range), commands, "{id}");
            assert_eq!(node.store.ranges(), [RANGE], "{id}");
            assert_eq!(node.store.pending_ranges(), [], "{id}");
        }
    }
}

#[test]
fn a_range_that_was_absorbed_is_absorbed_again_after_a_crash_once_its_log_is_applied() {
    let right = RangeId(2);
    let mut waited = 0;
    for seed in 0..30 {
        let mut cluster = Cluster::new(300 + seed, 3);
        let mut prng = cluster.simulation.prng();
        cluster.run(RANGE, "split 2");
        for command in ["a", "b", "c"] {
            cluster.run(right, command);
        }
        let commands = ["born of 1", "a", "b", "c", "freeze"];
        cluster.absorb(right);
        cluster.run(RANGE, "after");
        // All logs are there; of the state so much or so little.
        for id in (1..=3).map(StoreId) {
            let rests = prng.below(3);
            cluster.crash_keeping(id, |log, state| (log, state * rests as usize / 2));
        }
        for id in (1..=3).map(StoreId) {
            cluster.restart(id);
            waited += u64::from(cluster.nodes[&id].store.range(right).is_some());
        }
        cluster.run(RANGE, "later");
        let history = cluster.wait_until_equal();
        let absorbed = history.iter().find(|command| command.starts_with("absorb")).expect("it was applied");
        assert!(absorbed.ends_with(": 5"), "{absorbed}: everything was there");
        cluster.assert_absorbed(right, &commands);
        // Nothing brings it back.
        for id in (1..=3).map(StoreId) {
            cluster.crash(id);
            cluster.restart(id);
        }
        cluster.run(RANGE, "at last");
        cluster.wait_until_equal();
        cluster.assert_absorbed(right, &commands);
    }
    assert!(waited > 0, "a state without the merge was never found");
}

#[test]
fn a_replica_that_lags_behind_applies_the_log_of_what_it_absorbs_without_its_leader() {
    let right = RangeId(2);
    let cluster = Cluster::new(8, 3);
    cluster.run(RANGE, "split 2");
    cluster.run(right, "a");
    cluster.absorb(right);
    // The leader of what was absorbed is gone by now: nobody tells the others that its last entries are committed.
    cluster.run(RANGE, "after");
    cluster.wait_until_equal();
    cluster.assert_absorbed(right, &["born of 1", "a", "freeze"]);
}

#[test]
fn crashes_and_cuts_lose_nothing_acknowledged() {
    let seeds: u64 = std::env::var("REPLICATION_SEEDS").map_or(6, |text| text.parse().expect("a number"));
    for seed in 0..seeds {
        let mut cluster = Cluster::new(100 + seed, 3);
        let mut prng = cluster.simulation.prng();
        let acknowledged = Arc::new(Mutex::new(Vec::new()));
        for step in 0..60 {
            let command = format!("{step} {}", "x".repeat(prng.below(60) as usize));
            cluster.run(RANGE, &command);
            acknowledged.lock().push(command);
            let victim = StoreId(1 + prng.below(3) as u32);
            match prng.below(10) {
                0 => {
                    cluster.crash(victim);
                    cluster.simulation.run_for(Duration::from_millis(prng.below(5_000)));
                    cluster.restart(victim);
                }
                1 => cluster.network.cut.lock().push(victim),
                2 => {
                    let leader = cluster.leader();
                    let handle = cluster.nodes[&leader].store.range(RANGE).expect("it leads it");
                    // Refused when it is the leader itself, or leadership has just moved: all right.
                    let _ = handle.transfer_leadership(ReplicaId(victim.get()));
                }
                3..6 => drop(cluster.simulation.run_for(Duration::from_millis(prng.below(500)))),
                _ => {}
            }
            if cluster.network.cut.lock().len() > 1 || prng.chance(0.3) {
                cluster.network.cut.lock().clear();
            }
        }
        cluster.network.cut.lock().clear();
        let history = cluster.wait_until_equal();
        let mut position = 0;
        for command in acknowledged.lock().iter() {
            let found = history[position..].iter().position(|found| found == command);
            position += found.unwrap_or_else(|| panic!("seed {seed}: {command} is lost")) + 1;
        }
        for node in cluster.nodes.values() {
            assert_eq!(node.store.failed(), None, "seed {seed}");
        }
    }
}

// ---- crashes that take a split from the state: see `replication::split` ----------------------------------

const RIGHT: RangeId = RangeId(2);

/// Three stores. The range was split, and its right half has acknowledged a command on two of them alone: the one it is led from
/// and the victim. Answers with these two and the third.
fn with_right_half(seed: u64) -> (Cluster, [StoreId; 3]) {
    let cluster = Cluster::new(seed, 3);
    cluster.run(RANGE, "first");
    cluster.run(RANGE, "split 2");
    assert_eq!(cluster.wait_until_equal_in(RIGHT), ["born of 1"]);
    let leader = cluster.leader_of(RIGHT);
    let others: Vec<StoreId> = cluster.nodes.keys().copied().filter(|id| *id != leader).collect();
    let (victim, third) = (others[0], others[1]);
    cluster.network.deaf.lock().push((third, RIGHT));
    cluster.run(RIGHT, "acknowledged");
    (cluster, [leader, victim, third])
}

/// So much that the log is cut off, for those who are there.
fn fill(cluster: &Cluster, range: RangeId) {
    for round in 0..2 {
        for number in 0..60 {
            cluster.run(range, &format!("command {round}.{number} {}", "x".repeat(60)));
        }
        cluster.simulation.run_for(Duration::from_secs(5));
    }
}

/// The victim and the third make do without the leader: what was acknowledged is there.
fn assert_acknowledged(cluster: &Cluster, [leader, victim, third]: [StoreId; 3]) {
    cluster.network.cut.lock().push(leader);
    cluster.network.deaf.lock().clear();
    cluster.wake(RIGHT);
    cluster.run(RIGHT, "later");
    cluster.simulation.run_for(Duration::from_secs(5));
    for id in [victim, third] {
        let history = cluster.nodes[&id].journal.history(RIGHT);
        assert_eq!(history[..2], ["born of 1", "acknowledged"], "on store {id}");
        assert_eq!(cluster.nodes[&id].store.failed(), None);
        assert!(cluster.nodes[&id].store.pending_ranges().is_empty());
    }
}

#[test]
fn a_right_half_outlives_a_crash_after_which_its_parent_gets_a_snapshot() {
    for seed in 0..20 {
        let (mut cluster, stores) = with_right_half(200 + seed);
        let victim = stores[1];
        cluster.crash_keeping(victim, |log, _| (log, 0));
        fill(&cluster, RANGE);
        let before = cluster.network.snapshots.load(Ordering::Relaxed);
        cluster.restart(victim);
        cluster.wait_until_equal();
        assert!(cluster.network.snapshots.load(Ordering::Relaxed) > before, "the log reaches back that far");
        assert_acknowledged(&cluster, stores);
    }
}

#[test]
fn a_right_half_outlives_a_crash_whatever_of_the_state_is_lost() {
    for seed in 0..30 {
        let (mut cluster, stores) = with_right_half(300 + seed);
        let victim = stores[1];
        cluster.crash(victim);
        if seed % 2 == 0 {
            fill(&cluster, RANGE);
        }
        cluster.restart(victim);
        cluster.simulation.run_for(Duration::from_secs(5));
        assert_acknowledged(&cluster, stores);
    }
}

#[test]
fn a_right_half_of_a_right_half_outlives_a_crash() {
    let (mut cluster, stores) = with_right_half(400);
    let [_, victim, third] = stores;
    cluster.network.deaf.lock().clear();
    cluster.run(RIGHT, "split 3");
    let last = RangeId(3);
    assert_eq!(cluster.wait_until_equal_in(last), ["born of 2"]);
    cluster.network.deaf.lock().push((third, last));
    cluster.run(last, "deep");
    cluster.crash_keeping(victim, |log, _| (log, 0));
    fill(&cluster, RANGE);
    fill(&cluster, RIGHT);
    cluster.restart(victim);
    cluster.wait_until_equal();
    cluster.wait_until_equal_in(RIGHT);
    let leader = cluster.leader_of(last);
    cluster.network.cut.lock().push(leader);
    cluster.network.deaf.lock().clear();
    cluster.wake(last);
    cluster.run(last, "later");
    assert_eq!(cluster.nodes[&victim].journal.history(last), ["born of 2", "deep", "later"]);
}

#[test]
fn a_parent_that_ends_at_once_after_a_crash_is_replayed_before() {
    let (mut cluster, stores) = with_right_half(500);
    let victim = stores[1];
    cluster.crash_keeping(victim, |log, _| (log, 0));
    cluster.restart(victim);
    let store = cluster.nodes[&victim].store.clone();
    let parent = store.range(RANGE).expect("it is there").replica();
    cluster.simulation.block_on(LIMIT, store.destroy(RANGE, parent)).expect("it ends");
    assert!(store.range(RANGE).is_none());
    assert_acknowledged(&cluster, stores);
}

#[test]
fn a_parent_that_has_ended_is_buried_before_a_later_replica_writes_to_its_log() {
    for begins_anew in [false, true] {
        let (mut cluster, stores) = with_right_half(600);
        let victim = stores[1];
        let store = cluster.nodes[&victim].store.clone();
        let parent = store.range(RANGE).expect("it is there").replica();
        cluster.simulation.block_on(LIMIT, store.destroy(RANGE, parent)).expect("it ends");
        if begins_anew {
            store.create_waiting(RANGE, ReplicaId(7)).expect("the disk works");
            // It is asked for a vote in a later term, which it writes.
            let vote = raft::Message {
                from: raft_id(ReplicaId(1)),
                to: raft_id(ReplicaId(7)),
                term: raft::Term(40),
                body: raft::Body::Vote {
                    last_index: raft::Index(50),
                    last_term: raft::Term(39),
                    transfer: false,
                },
            };
            let envelope = replication::Envelope { range: RANGE, support: 0, message: vote };
            let batch =
                replication::RaftBatch { from: StoreId(9), stamp: text(""), envelopes: vec![envelope] };
            store.receive(batch);
            cluster.simulation.run_for(Duration::from_secs(1));
        }
        drop(store);
        cluster.crash_keeping(victim, |log, _| (log, 0));
        cluster.restart(victim);
        assert_acknowledged(&cluster, stores);
    }
}

/// The victim crashes at every moment around a split, and loses all or some of what it may.
#[test]
fn a_crash_at_any_moment_around_a_split_loses_neither_half() {
    for step in 0..60 {
        let mut cluster = Cluster::new(700 + step, 3);
        cluster.run(RANGE, "first");
        let leader = cluster.leader();
        let proposal = cluster.nodes[&leader].store.propose(RANGE, text("split 2"));
        cluster.simulation.run_for(Duration::from_micros(150 * (step / 2)));
        let victim = StoreId(1 + (step % 3) as u32);
        if step % 2 == 0 {
            cluster.crash_keeping(victim, |_, _| (0, 0));
        } else {
            cluster.crash(victim);
        }
        drop(proposal);
        cluster.simulation.run_for(Duration::from_secs(2));
        cluster.restart(victim);
        cluster.run(RANGE, "after");
        let history = cluster.wait_until_equal();
        if history.contains(&"split 2".to_string()) {
            cluster.run(RIGHT, "right");
            assert_eq!(cluster.wait_until_equal_in(RIGHT).len(), 2, "at step {step}");
        }
        assert!(cluster.nodes.values().all(|node| node.store.failed().is_none()));
    }
}
