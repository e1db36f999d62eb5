//! Random histories of a group: messages lost, repeated and reordered, crashes that lose what was not durable, slow disks
//! and slow appliers, membership changes, transfers, truncated logs and snapshots; and after every step the
//! properties of figure 3 of the Raft paper. A failure names the seed that repeats it.
//!
//! `RAFT_SEEDS=10000 cargo test --release -p raft --test random` runs longer than the default; `RAFT_SEED=7` runs one.

mod cluster;

use std::collections::BTreeMap;

use cluster::Cluster;
use raft::{Bytes, Change, ConfChange, Configuration, EntryKind, Index, ReplicaId, Term, Transition};
use stdx::prng::Prng;

const REPLICAS_MAX: u64 = 7;
const STEPS: u64 = 3_000;

/// What must hold over the whole history of a group, however its replicas crash.
#[derive(Default)]
struct Witness {
    /// Election safety: at most one leader in a term.
    leaders: BTreeMap<Term, ReplicaId>,
    /// Log matching: index and term determine the entry and the term of the one before it.
    entries: BTreeMap<(Index, Term), (EntryKind, Bytes, Term)>,
    /// State machine safety: what was applied at an index.
    applied: BTreeMap<Index, Term>,
    /// Reads that wait, with what was committed when they were asked for.
    reads: BTreeMap<(ReplicaId, Term, u64), Index>,
    commit_max: Index,
    elections: usize,
    snapshots: usize,
    conf_changes: usize,
}

struct History {
    cluster: Cluster,
    prng: Prng,
    witness: Witness,
    proposals: u64,
    /// How often messages are lost, in this history.
    loss: f64,
}

impl History {
    fn new(seed: u64) -> History {
        let mut prng = Prng::new(seed);
        let mut cluster = Cluster::new(seed, |config| {
            config.election_ticks = 5;
            config.heartbeat_ticks = 1;
            config.quiesce_ticks = 8;
            config.append_bytes_max = 100;
            config.inflight_appends_max = 4;
            config.committed_bytes_max = 100;
            config.tail_bytes_max = 200;
        });
        let voters = 1 + prng.below(REPLICAS_MAX);
        let configuration = Configuration::of_voters((1..=voters).map(ReplicaId));
        for id in (1..=REPLICAS_MAX).map(ReplicaId) {
            let begins = configuration.is_member(id);
            cluster.add(id, if begins { configuration.clone() } else { Configuration::default() });
            cluster.node(id).holds_writes = true;
            cluster.node(id).holds_applying = true;
        }
        let loss = [0.0, 0.02, 0.2][prng.index(3)];
        History { cluster, prng, witness: Witness::default(), proposals: 0, loss }
    }

    fn any(&mut self) -> ReplicaId {
        ReplicaId(1 + self.prng.below(REPLICAS_MAX))
    }

    fn a_leader(&mut self) -> Option<ReplicaId> {
        let leaders: Vec<ReplicaId> = self
            .cluster
            .nodes
            .values()
            .filter(|node| node.group.as_ref().is_some_and(|group| group.is_leader()))
            .map(|node| node.id)
            .collect();
        self.prng.choose(&leaders).copied()
    }

    fn step(&mut self) {
        let id = self.any();
        match self.prng.below(1000) {
            0..450 => self.deliver(),
            450..620 => self.cluster.tick(id),
            620..760 => {
                self.cluster.persist(id, 1);
                self.cluster.process(id);
            }
            760..860 => {
                self.cluster.apply(id, 1);
                self.cluster.process(id);
            }
            860..930 => self.propose(),
            930..940 => self.change_members(),
            940..944 => self.transfer(),
            944..952 => self.read(),
            952..958 => self.cluster.crash(id),
            958..975 => {
                if self.cluster.node(id).group.is_none() {
                    self.cluster.restart(id);
                }
            }
            975..985 => {
                self.cluster.node(id).disk.flush();
                self.truncate(id);
            }
            985..988 => {
                let other = self.any();
                self.cluster.cut.insert((id, other));
            }
            988..992 => self.cluster.cut.clear(),
            992..996 => {
                let index = self.prng.below(1 + self.cluster.network.len() as u64) as usize;
                if let Some(message) = self.cluster.network.get(index).cloned() {
                    self.cluster.network.push(message);
                }
            }
            996..998 => {
                let other = self.any();
                if let Some(group) = &mut self.cluster.node(id).group {
                    group.report_unreachable(other);
                }
                self.cluster.process(id);
            }
            _ => {
                if let Some(group) = &mut self.cluster.node(id).group {
                    group.campaign();
                }
                self.cluster.process(id);
            }
        }
    }

    /// Mostly in order, sometimes any message; sometimes it is lost instead.
    fn deliver(&mut self) {
        let count = self.cluster.network.len();
        if count == 0 {
            return;
        }
        let index = if self.prng.chance(0.7) { 0 } else { self.prng.index(count) };
        let message = self.cluster.network.remove(index);
        if self.prng.chance(self.loss) {
            if matches!(message.body, raft::Body::Snapshot(_))
                && let Some(group) = &mut self.cluster.node(message.from).group
            {
                group.report_snapshot(message.to, false);
            }
            return;
        }
        self.witness.snapshots += usize::from(matches!(message.body, raft::Body::Snapshot(_)));
        self.cluster.deliver_one(message);
    }

    fn propose(&mut self) {
        let Some(leader) = self.a_leader() else { return };
        for _ in 0..=self.prng.below(3) {
            self.proposals += 1;
            let payload = Bytes::from(format!("command {}", self.proposals));
            // Refused while leadership is transferred: all right.
            let _ = self.cluster.group(leader).propose(payload);
        }
        self.cluster.process(leader);
    }

    fn change_members(&mut self) {
        let Some(leader) = self.a_leader() else { return };
        let mut changes = Vec::new();
        for _ in 0..self.prng.below(4) {
            let id = self.any();
            changes.push(match self.prng.below(3) {
                0 => Change::AddVoter(id),
                1 => Change::AddLearner(id),
                _ => Change::Remove(id),
            });
        }
        let transitions = [Transition::Auto, Transition::JointImplicit, Transition::JointExplicit];
        let transition = transitions[self.prng.index(3)];
        let change = ConfChange { changes, transition, context: Bytes::new() };
        if self.cluster.group(leader).propose_conf_change(&change).is_ok() {
            self.witness.conf_changes += 1;
        }
        self.cluster.process(leader);
    }

    fn transfer(&mut self) {
        let Some(leader) = self.a_leader() else { return };
        let to = self.any();
        // Refused when that is no voter: all right.
        let _ = self.cluster.group(leader).transfer_leadership(to);
        self.cluster.process(leader);
    }

    fn read(&mut self) {
        let Some(leader) = self.a_leader() else { return };
        let term = self.cluster.group(leader).term();
        if let Ok(token) = self.cluster.group(leader).read_index() {
            self.witness.reads.insert((leader, term, token), self.witness.commit_max);
        }
        self.cluster.process(leader);
    }

    fn truncate(&mut self, id: ReplicaId) {
        let disk = &self.cluster.node(id).disk;
        let (low, high) = (disk.truncated.0.0, disk.flushed.applied.0);
        // The applied index may be ahead of the log on disk while a snapshot's write is in flight; then nothing is truncated.
        if low < high && high <= disk.last().0 {
            let upto = Index(self.prng.range(low..high + 1));
            self.cluster.node(id).disk.truncate(upto);
        }
    }

    // ---- checks -------------------------------------------------------------------------------------

    fn check(&mut self) {
        let History { cluster, witness, .. } = self;
        for line in cluster.trace.drain(..) {
            if std::env::var("RAFT_SEED").is_ok() {
                println!("{line}");
            }
            assert!(!line.contains("refuses"), "a correct replica's message was refused: {line}");
        }
        for node in cluster.nodes.values_mut() {
            if let Some(group) = &node.group {
                witness.commit_max = witness.commit_max.max(group.commit_index());
            }
        }
        for node in cluster.nodes.values_mut() {
            if let Some(group) = &node.group
                && group.is_leader()
            {
                witness.check_leader(group);
            }
            let term = node.group.as_ref().map_or(Term::ZERO, |group| group.term());
            for read in node.reads.drain(..) {
                if let Some(expected) = witness.reads.remove(&(node.id, term, read.token)) {
                    assert!(read.index >= expected, "read {} misses {expected}", read.index);
                }
            }
        }
    }

    /// Compares whole logs and states: dearer, so not after every step.
    fn check_disks(&mut self) {
        let mut longest: Vec<String> = Vec::new();
        for node in self.cluster.nodes.values() {
            let mut previous = node.disk.truncated.1;
            for entry in &node.disk.entries {
                let found = (entry.kind, entry.payload.clone(), previous);
                let known =
                    self.witness.entries.entry((entry.index, entry.term)).or_insert_with(|| found.clone());
                assert_eq!(*known, found, "index {} term {} is one entry", entry.index, entry.term);
                previous = entry.term;
            }
            let state = &node.disk.state;
            let term = self.witness.applied.entry(state.applied).or_insert(state.applied_term);
            assert_eq!(*term, state.applied_term, "one entry is applied at index {}", state.applied);
            let (shorter, longer) = if state.commands.len() < longest.len() {
                (&state.commands, &longest)
            } else {
                (&longest, &state.commands)
            };
            assert!(longer.starts_with(shorter), "states are prefixes of each other");
            longest = longer.clone();
        }
    }

    /// With a network and disks that work, the group comes to life again and everybody ends up equal.
    fn recover(&mut self) {
        self.cluster.cut.clear();
        for id in self.cluster.ids() {
            if self.cluster.node(id).group.is_none() {
                self.cluster.restart(id);
            }
            self.cluster.node(id).holds_writes = false;
            self.cluster.node(id).holds_applying = false;
            // Some slept, and the one that slept as leader may be gone.
            self.cluster.group(id).wake();
        }
        for _ in 0..300 {
            self.cluster.settle();
            self.check();
            if self.is_at_rest() {
                return;
            }
            for id in self.cluster.ids() {
                self.cluster.tick(id);
                self.cluster.settle();
            }
        }
        for (id, node) in &self.cluster.nodes {
            println!("{id}: {:#?} {:?}", node.group, node.disk.state.configuration);
        }
        panic!("the group does not recover");
    }

    fn is_at_rest(&mut self) -> bool {
        let Some(leader) = self.cluster.leader() else { return false };
        let group = self.cluster.group(leader);
        if !group.has_committed_in_term() || group.applied_index() != group.last_index() {
            return false;
        }
        let members = group.configuration().members();
        let state = self.cluster.node(leader).disk.state.clone();
        members.iter().all(|id| self.cluster.node(*id).disk.state == state)
    }
}

impl Witness {
    fn check_leader(&mut self, group: &raft::Group) {
        let (id, commit_max) = (group.id(), self.commit_max);
        let elections = &mut self.elections;
        // Elected late, while a later leader has committed already: that one's entries need not be here.
        let is_latest = self.leaders.last_key_value().is_none_or(|(term, _)| *term < group.term());
        let known = self.leaders.entry(group.term()).or_insert_with(|| {
            // Leader completeness, as far as lengths tell; what is in the entries is checked when they are applied.
            assert!(!is_latest || group.last_index() >= commit_max, "a leader has everything committed");
            *elections += 1;
            id
        });
        assert_eq!(*known, id, "two leaders in term {}", group.term());
    }
}

fn run(seed: u64) -> Witness {
    let mut history = History::new(seed);
    for step in 0..STEPS {
        history.step();
        history.check();
        if step % 20 == 0 {
            history.check_disks();
        }
    }
    history.recover();
    history.check_disks();
    history.witness
}

#[test]
fn random_histories_are_safe_and_recover() {
    if let Ok(seed) = std::env::var("RAFT_SEED") {
        run(seed.parse().expect("RAFT_SEED is a number"));
        return;
    }
    let seeds = std::env::var("RAFT_SEEDS").map_or(150, |text| text.parse().expect("RAFT_SEEDS is a number"));
    let (mut elections, mut snapshots, mut conf_changes, mut commits) = (0, 0, 0, 0);
    for seed in 0..seeds {
        let result = std::panic::catch_unwind(|| run(seed));
        let Ok(witness) = result else { panic!("seed {seed} fails: RAFT_SEED={seed} repeats it") };
        elections += witness.elections;
        snapshots += witness.snapshots;
        conf_changes += witness.conf_changes;
        commits += witness.commit_max.0;
    }
    println!(
        "{elections} elections, {snapshots} snapshots, {conf_changes} membership changes, {commits} commits"
    );
    // Guards against a test that has stopped testing.
    assert!(elections > 2 * seeds as usize && commits > 20 * seeds, "too little has happened");
    assert!(snapshots > 0 && conf_changes > seeds as usize / 4, "too little has happened");
}

#[test]
fn one_seed_gives_one_history() {
    let trace = |seed| {
        let mut history = History::new(seed);
        for _ in 0..500 {
            history.step();
        }
        history.cluster.trace
    };
    assert_eq!(trace(3), trace(3));
    assert_ne!(trace(3), trace(4));
}
