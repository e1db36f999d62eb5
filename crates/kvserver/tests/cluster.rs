//! Several stores with ranges between them, on simulated machines and a simulated network: what holds while nodes crash, are cut off
//! and come back, and replicas and leases move. Whole nodes, with SQL, are simulated by crate `sim`.

#[path = "common/checked.rs"]
mod checked;
mod common;
#[path = "common/hot.rs"]
mod hot;
#[path = "common/merged.rs"]
mod merged;
#[path = "common/moved.rs"]
mod moved;
#[path = "common/past.rs"]
mod past;
#[path = "../../sim/src/safety.rs"]
mod safety;
#[path = "common/tuned.rs"]
mod tuned;
#[path = "../../sim/src/wires.rs"]
mod wires;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use clock::{Clock, ClockConfig, Timestamp};
use common::histories::{History, KEYS, Outcome, Run, check, client, name, parse, seeds};
use common::{Wall, get, key, options, serializable};
use env::{Env, SimEnv, Simulation, TaskHandle};
use keys::{NodeId, RangeId, StoreId};
use kvapi::membership::Standing;
use kvapi::{
    BatchRequest, ChangeReplicasRequest, Header, Isolation, KvError, RangeDescriptor, RangeStatusRequest,
    ReplicaKind, Sender, TransferLeaseRequest,
};
use kvclient::{Db, DbConfig, Locking, TxnOptions};
use kvserver::{Store, StoreConfig};
use parking_lot::Mutex;
use replication::{StoreOptions, StoreWorld};
use stdx::{Prng, WallTime};
use storage::{Engine, MemoryDisk, MemoryOptions};
use wires::{End, Weather, Wires};

const LIMIT: Duration = Duration::from_secs(300);

#[derive(Clone)]
struct Running {
    env: Arc<SimEnv>,
    store: Store,
    raft: replication::Store,
    db: Db,
    engine: Arc<dyn Engine>,
}

struct Machine {
    env: Arc<SimEnv>,
    disk: MemoryDisk,
    bound: Arc<Mutex<Option<Arc<Clock>>>>,
    running: Option<Running>,
}

struct Cluster {
    simulation: Simulation,
    wires: Arc<Wires>,
    machines: BTreeMap<u32, Machine>,
    prng: Prng,
    range_bytes_max: u64,
    merges_eagerly: bool,
    system_end: keys::Key,
}

impl Cluster {
    fn new(seed: u64, count: u32) -> Cluster {
        let simulation = Simulation::new(seed);
        let mut prng = simulation.prng();
        let wires = Wires::new(simulation.machine(), prng.fork());
        let mut cluster = Cluster {
            simulation,
            wires,
            machines: BTreeMap::new(),
            prng,
            range_bytes_max: 128 << 20,
            merges_eagerly: false,
            system_end: keys::table::SPAN.start,
        };
        for id in 1..=count {
            cluster.add(id);
        }
        cluster
    }

    fn add(&mut self, id: u32) {
        let machine = Machine {
            env: self.simulation.machine(),
            disk: MemoryDisk::new(),
            bound: Arc::new(Mutex::new(None)),
            running: None,
        };
        self.machines.insert(id, machine);
        self.start(id);
    }

    fn start(&mut self, id: u32) {
        let (range_bytes_max, system_end) = (self.range_bytes_max, self.system_end.clone());
        let wires = self.wires.clone();
        let machine = self.machines.get_mut(&id).expect("a machine");
        let sim = machine.env.clone();
        let env: Arc<dyn Env> = sim.clone();
        let engine: Arc<dyn Engine> = machine
            .disk
            .open(MemoryOptions { flush_bytes: 32 << 10, ..MemoryOptions::default() })
            .expect("the disk is free");
        let bound = machine.bound.lock().as_ref().map(|clock| WallTime::from_unix_nanos(clock.last().wall));
        let clock = Clock::bounded(Wall(sim.clone()), ClockConfig::default(), bound);
        clock.bound_persisted(WallTime::from_unix_nanos(u64::MAX));
        let clock = Arc::new(clock);
        *machine.bound.lock() = Some(clock.clone());
        let (node, own) = (NodeId(id), StoreId(id));
        let config = StoreConfig {
            system_end,
            range_bytes_max,
            merges_eagerly: self.merges_eagerly,
            replicate_interval: Duration::from_millis(200),
            dead_after: Duration::from_secs(20),
            ..StoreConfig::new(node, own)
        };
        let end: Arc<End> = wires.end(node, sim.clone());
        let store = Store::open(env.clone(), clock.clone(), engine.clone(), config.clone()).expect("a store");
        let world = StoreWorld {
            store: own,
            env: env.clone(),
            engine: engine.clone(),
            machine: store.machine(),
            transport: end.clone(),
        };
        let raft = replication::Store::open(world, StoreOptions::default()).expect("the logs are sound");
        if id == 1 && !store.was_used() {
            let first = kvserver::bootstrap::first_ranges(&config, clock.now());
            raft.create(&first.ranges, first.contents).expect("an empty store");
            store.reload().expect("just made");
        }
        store.start(Arc::new(raft.clone()), Some(end.clone()), Some(end.clone()));
        end.attach(raft.clone(), store.clone());
        raft.start();
        let dialer = store.dialer(Some(end));
        let db = Db::new(env, clock, dialer, store.first_range(), DbConfig::new(node));
        machine.running = Some(Running { env: sim, store, raft, db, engine });
    }

    fn crash(&mut self, id: u32) {
        let machine = self.machines.get_mut(&id).expect("a machine");
        if machine.running.take().is_none() {
            return;
        }
        let (log, state) = machine.disk.pending_counts();
        machine.disk.crash(self.prng.index(log + 1), self.prng.index(state + 1));
        machine.env.crash();
        self.wires.detach(NodeId(id));
    }

    fn restart(&mut self, id: u32) {
        let machine = self.machines.get_mut(&id).expect("a machine");
        if machine.running.is_none() {
            machine.env = machine.env.restart();
            self.start(id);
        }
    }

    fn running(&self, id: u32) -> Running {
        self.machines[&id].running.clone().expect("it is up")
    }

    fn block_on<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> T {
        let finished = self.simulation.block_on(LIMIT, future);
        finished.unwrap_or_else(|| panic!("stalled; alive: {:?}", self.simulation.live_tasks()))
    }

    fn run_for(&self, seconds: f64) {
        self.simulation.run_for(Duration::from_secs_f64(seconds));
    }

    /// The ranges by what their leaseholders say, with who that is.
    fn leased(&self) -> BTreeMap<RangeId, (u32, RangeDescriptor)> {
        let mut leased = BTreeMap::new();
        for (id, machine) in &self.machines {
            let Some(running) = &machine.running else { continue };
            for (descriptor, is_leased) in running.store.descriptors() {
                if is_leased {
                    leased.insert(descriptor.id, (*id, descriptor));
                }
            }
        }
        leased
    }

    fn wait_until(&self, what: &str, is_so: impl Fn(&Cluster) -> bool) {
        let deadline = self.simulation.now() + LIMIT;
        while !is_so(self) {
            assert!(self.simulation.now() < deadline, "{what}: {:?}", self.leased());
            self.simulation.run_for(Duration::from_millis(20));
        }
    }

    fn wait_until_replicated(&self, count: usize) {
        let is_whole = |range: &RangeDescriptor| {
            let voters = range.replicas.iter().filter(|there| there.kind == ReplicaKind::Voter).count();
            voters >= count && voters == range.replicas.len()
        };
        self.wait_until("ranges are replicated", |cluster| {
            let leased = cluster.leased();
            leased.len() >= 4 && leased.values().all(|(_, range)| is_whole(range))
        });
    }

    /// What every node thinks of its ranges: for a failed test.
    fn describe(&self) -> String {
        let mut text = format!("at {:?}", self.simulation.now());
        for (id, machine) in &self.machines {
            let Some(running) = &machine.running else { continue };
            text += &format!("\nnode {id}: {:?}", running.raft.failed());
            for (descriptor, is_leased) in running.store.descriptors() {
                let status = running.raft.range(descriptor.id).map(|range| range.status());
                text += &format!("\nnode {id}: leased={is_leased} {:?} {status:?}", descriptor.replicas);
            }
        }
        text
    }

    /// Writes a row through a node.
    fn put(&self, id: u32, name: &'static str, value: &'static str) -> Result<(), KvError> {
        let db = self.running(id).db;
        self.block_on(async move {
            let txn = db.begin(options(Isolation::Serializable));
            txn.put(&key(name), value.as_bytes())?;
            txn.commit().await.map(drop)
        })
    }

    fn get(&self, id: u32, name: &'static str) -> Option<String> {
        let db = self.running(id).db;
        let read = self.block_on(async move { get(&serializable(&db), name, Locking::NONE).await });
        read.unwrap_or_else(|error| panic!("{name} through {id}: {error}; {}", self.describe()))
    }

    fn tables(&self) -> (u32, RangeDescriptor) {
        let leased = self.leased();
        let found = leased.values().find(|(_, range)| range.contains(&key("k")));
        found.cloned().expect("somebody leads it")
    }
}

#[test]
fn three_nodes_replicate_everything_and_every_node_answers() {
    let cluster = Cluster::new(1, 3);
    cluster.wait_until_replicated(3);
    for id in 1..=3 {
        cluster.put(id, ["a", "b", "c"][id as usize - 1], "1").expect("nobody is in the way");
    }
    for id in 1..=3 {
        for name in ["a", "b", "c"] {
            assert_eq!(cluster.get(id, name).as_deref(), Some("1"), "{name} through {id}");
        }
    }
}

/// Who asks by the key is sent on by the answer of the wrong range. A removed replica that was told of another range stayed for ever.
#[test]
fn a_range_tells_its_status_for_its_own_keys_alone() {
    let cluster = Cluster::new(12, 3);
    cluster.wait_until_replicated(3);
    let (tables, _) = cluster.tables();
    for (range, (id, descriptor)) in cluster.leased() {
        let status = RangeStatusRequest { key: key("k") };
        let batch = BatchRequest::new(Header { range, ..Header::default() }, status);
        let store = cluster.running(id).store;
        let answer = cluster.block_on(async move { store.send(&batch).await });
        match answer {
            Ok(_) => assert!(id == tables && descriptor.contains(&key("k")), "{descriptor:?}"),
            Err(error) => assert!(matches!(error, KvError::RangeMismatch { .. }), "{error}"),
        }
    }
}

#[test]
fn a_range_serves_again_within_three_seconds_after_its_leaseholder_died() {
    for seed in 0..10 {
        let mut cluster = Cluster::new(100 + seed, 3);
        cluster.wait_until_replicated(3);
        // Long enough for the groups to fall asleep.
        cluster.put(2, "k", "before").expect("nobody is in the way");
        cluster.run_for(if seed % 2 == 0 { 10.0 } else { 0.1 });
        let (leader, _) = cluster.tables();
        let other = if leader == 3 { 1 } else { 3 };
        let died = cluster.simulation.now();
        cluster.crash(leader);
        cluster.put(other, "k", "after").expect("the others are a quorum");
        let outage = cluster.simulation.now() - died;
        assert!(outage < Duration::from_secs(3), "seed {seed}: {outage:?}");
        assert_eq!(cluster.get(other, "k").as_deref(), Some("after"));
        cluster.restart(leader);
        cluster.run_for(5.0);
        assert_eq!(cluster.get(leader, "k").as_deref(), Some("after"));
    }
}

/// Every store that has a replica of some range, by what the stores themselves hold.
fn holders(cluster: &Cluster) -> BTreeMap<RangeId, Vec<u32>> {
    let mut holders: BTreeMap<RangeId, Vec<u32>> = BTreeMap::new();
    for (id, machine) in &cluster.machines {
        let Some(running) = &machine.running else { continue };
        running.raft.ranges().into_iter().for_each(|range| holders.entry(range).or_default().push(*id));
    }
    holders
}

#[test]
fn what_a_dead_node_held_is_replicated_elsewhere_and_the_node_finds_out() {
    let mut cluster = Cluster::new(21, 4);
    cluster.wait_until_replicated(3);
    let (_, range) = cluster.tables();
    let leader = cluster.tables().0;
    let dead = range.replicas.iter().map(|there| there.store.0).find(|id| *id != leader).expect("three");
    cluster.put(leader, "k", "1").expect("nobody is in the way");
    cluster.crash(dead);
    cluster.wait_until("the dead are replaced", |cluster| {
        let on_dead = |range: &RangeDescriptor| range.replica_on(StoreId(dead)).is_some();
        cluster.leased().values().all(|(_, range)| !on_dead(range) && range.replicas.len() == 3)
    });
    // It was removed while it was away; it asks, and ends what it has.
    cluster.restart(dead);
    cluster.wait_until("removed replicas end", |cluster| {
        let leased = cluster.leased();
        let is_member = |range: &RangeId| leased[range].1.replica_on(StoreId(dead)).is_some();
        holders(cluster).iter().all(|(range, on)| !on.contains(&dead) || is_member(range))
    });
    assert_eq!(cluster.get(dead, "k").as_deref(), Some("1"));
}

#[test]
fn a_node_that_is_decommissioned_is_emptied() {
    let mut cluster = Cluster::new(22, 4);
    cluster.wait_until_replicated(3);
    cluster.put(1, "k", "1").expect("nobody is in the way");
    let leader = 1;
    cluster.wires.change_node(NodeId(leader), |node| node.standing = Standing::Decommissioning);
    cluster.wait_until("the node is emptied", |cluster| {
        holders(cluster).values().all(|on| !on.contains(&leader) && on.len() == 3)
    });
    for id in 1..=4 {
        assert_eq!(cluster.get(id, "k").as_deref(), Some("1"), "through {id}");
    }
    // It is the founder: with nothing left it must not found again.
    cluster.crash(leader);
    cluster.restart(leader);
    cluster.run_for(3.0);
    assert_eq!((cluster.wires.broken(), cluster.get(1, "k").as_deref()), (None, Some("1")));
}

#[test]
fn a_new_replica_that_somebody_else_removes_is_not_waited_for() {
    let cluster = Cluster::new(31, 4);
    cluster.wait_until_replicated(3);
    for running in cluster.machines.values().filter_map(|machine| machine.running.as_ref()) {
        let tuning = running.store.tuning();
        running.store.tune(kvserver::StoreTuning { replicate_interval: LIMIT, ..tuning });
    }
    // No snapshot arrives from now on; messages do.
    cluster.wires.set_weather(Weather { breaks: 1.0, ..Weather::default() });
    let ((leader, range), began) = (cluster.tables(), cluster.simulation.now());
    let new = (1..=4).find(|id| range.replica_on(StoreId(*id)).is_none()).expect("three of four have one");
    let change = |add, remove| {
        let key = range.span.start.clone();
        let request = ChangeReplicasRequest { key, add, remove, generation: 0 };
        let batch = BatchRequest::new(Header { range: range.id, ..Header::default() }, request);
        let store = cluster.running(leader).store;
        async move { store.send(&batch).await.map(drop) }
    };
    let adding = change(vec![(NodeId(new), StoreId(new))], vec![]);
    let (env, remove) = (cluster.running(leader).env, change(vec![], vec![StoreId(new)]));
    let removing = async move { (env.sleep(Duration::from_secs(1)).await, remove.await).1 };
    let (added, removed) = cluster.block_on(futures::future::join(adding, removing));
    removed.expect("a learner can be removed at any time");
    let error = added.expect_err("it was removed").to_string();
    assert!(error.contains("removed by somebody else"), "{error}");
    assert!(cluster.simulation.now() - began < Duration::from_secs(2));
}

#[test]
fn a_node_that_drains_hands_its_leases_over_and_nobody_notices() {
    let cluster = Cluster::new(23, 3);
    cluster.wait_until_replicated(3);
    cluster.put(1, "k", "1").expect("nobody is in the way");
    let (leader, _) = cluster.tables();
    let store = cluster.running(leader).store;
    let began = cluster.simulation.now();
    let left = cluster.block_on(async move { store.hand_over_leases(Duration::from_secs(10)).await });
    assert_eq!(left, 0);
    assert!(cluster.simulation.now() - began < Duration::from_secs(3));
    assert!(cluster.leased().values().all(|(id, _)| *id != leader));
    let began = cluster.simulation.now();
    cluster.put(leader, "k", "2").expect("the lease is elsewhere");
    assert!(cluster.simulation.now() - began < Duration::from_millis(200));
}

#[test]
fn a_node_that_is_added_gets_its_share() {
    let mut cluster = Cluster::new(24, 3);
    cluster.wait_until_replicated(3);
    for name in ["b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m"] {
        let db = cluster.running(1).db;
        cluster.block_on(async move { db.split_at(&key(name)).await.expect("it can be split") });
    }
    cluster.add(4);
    cluster.wait_until("the new node has its share", |cluster| {
        let counts = holders(cluster).into_values().flatten().filter(|id| *id == 4).count();
        let leases = cluster.leased().values().filter(|(id, _)| *id == 4).count();
        counts >= 9 && leases >= 2
    });
    cluster.wait_until_replicated(3);
}

#[test]
fn a_range_without_quorum_fails_within_a_bound_then_fast_and_comes_back() {
    let mut cluster = Cluster::new(25, 3);
    cluster.wait_until_replicated(3);
    cluster.put(1, "k", "1").expect("nobody is in the way");
    cluster.crash(2);
    cluster.crash(3);
    let began = cluster.simulation.now();
    let Err(error) = cluster.put(1, "k", "2") else { panic!("one of three: {}", cluster.describe()) };
    let waited = cluster.simulation.now() - began;
    assert!(waited < Duration::from_secs(45), "{waited:?}: {error}");
    for limit in [Duration::from_secs(15), Duration::from_secs(2), Duration::from_secs(2)] {
        let began = cluster.simulation.now();
        let db = cluster.running(1).db;
        let read = cluster.block_on(async move { get(&serializable(&db), "k", Locking::NONE).await });
        let waited = cluster.simulation.now() - began;
        assert!(matches!(read, Err(KvError::Unavailable { .. })), "{read:?}");
        assert!(waited < limit, "{waited:?}");
    }
    cluster.restart(2);
    cluster.run_for(5.0);
    cluster.put(1, "k", "3").expect("two of three are a quorum");
    assert_eq!(cluster.get(2, "k").as_deref(), Some("3"));
}

#[test]
fn groups_sleep_while_a_node_is_dead_and_wake_when_it_is_back() {
    let mut cluster = Cluster::new(26, 3);
    cluster.wait_until_replicated(3);
    let (leader, range) = cluster.tables();
    let dead = if leader == 3 { 2 } else { 3 };
    cluster.crash(dead);
    cluster.put(leader, "k", "1").expect("two of three are a quorum");
    let sleeps = |cluster: &Cluster, (range, (id, _)): (&RangeId, &(u32, RangeDescriptor))| {
        cluster.running(*id).raft.range(*range).is_some_and(|range| range.status().is_quiescent)
    };
    cluster.wait_until("all sleep", |cluster| {
        let leased = cluster.leased();
        leased.len() >= 4 && leased.iter().all(|range| sleeps(cluster, range))
    });
    cluster.restart(dead);
    let applied = |cluster: &Cluster, id: u32| {
        cluster.running(id).raft.range(range.id).map(|range| range.applied_index())
    };
    cluster.wait_until("what it missed has arrived", |cluster| {
        applied(cluster, dead) == applied(cluster, leader)
    });
    cluster
        .wait_until("all sleep again", |cluster| cluster.leased().iter().all(|range| sleeps(cluster, range)));
}

#[test]
fn a_leader_that_is_cut_off_does_not_serve_what_is_outdated() {
    for seed in 0..6 {
        let cluster = Cluster::new(300 + seed, 3);
        cluster.wait_until_replicated(3);
        cluster.put(1, "k", "before").expect("nobody is in the way");
        cluster.run_for(5.0);
        let (leader, _) = cluster.tables();
        let others: Vec<u32> = (1..=3).filter(|id| *id != leader).collect();
        for other in &others {
            cluster.wires.cut(NodeId(leader), NodeId(*other));
            if seed % 2 == 0 {
                cluster.wires.cut(NodeId(*other), NodeId(leader));
            }
        }
        cluster.put(others[0], "k", "after").expect("the others are a quorum");
        let db = cluster.running(leader).db;
        let read = cluster.block_on(async move { get(&serializable(&db), "k", Locking::NONE).await });
        assert!(!matches!(&read, Ok(Some(value)) if value == "before"), "seed {seed}: {read:?}");
    }
}

/// What happens to a cluster while transactions run on all of its nodes.
struct Trouble {
    cluster: Cluster,
    history: History,
    clients: Vec<TaskHandle>,
    comebacks: Vec<(Duration, u32)>,
    healing: Duration,
    skew_nanos: i64,
}

impl Trouble {
    fn new(seed: u64, nodes: u32, skew_nanos: i64) -> Trouble {
        let mut cluster = Cluster::new(seed, nodes);
        cluster.wait_until_replicated(3);
        let history = History::default();
        for id in 1..=nodes {
            if skew_nanos > 0 {
                let offset = cluster.prng.below(2 * skew_nanos as u64) as i64 - skew_nanos;
                cluster.machines[&id].env.set_wall_offset(offset);
            }
        }
        let weather = Weather { loss: 0.02, repetition: 0.02, breaks: 0.002, ..Weather::default() };
        cluster.wires.set_weather(weather);
        let mut trouble = Trouble {
            cluster,
            history,
            clients: Vec::new(),
            comebacks: Vec::new(),
            healing: Duration::ZERO,
            skew_nanos,
        };
        (1..=nodes).for_each(|id| trouble.begin_clients(id));
        trouble
    }

    fn begin_clients(&mut self, id: u32) {
        let running = self.cluster.running(id);
        for _ in 0..2 {
            let env: Arc<dyn Env> = running.env.clone();
            let (db, prng, history) = (running.db.clone(), self.cluster.prng.fork(), self.history.clone());
            let task = client(env, db, prng, history, usize::MAX);
            self.clients.push(running.env.spawn("client", Box::pin(task)));
        }
    }

    fn step(&mut self) {
        for (id, machine) in &self.cluster.machines {
            if let Some(running) = &machine.running {
                assert_eq!(running.raft.failed(), None, "node {id}: {}", self.cluster.describe());
            }
        }
        let millis = self.cluster.prng.range(5..300);
        self.cluster.simulation.run_for(Duration::from_millis(millis));
        let now = self.cluster.simulation.now();
        let due: Vec<u32> = self.comebacks.iter().filter(|(at, _)| *at <= now).map(|(_, id)| *id).collect();
        self.comebacks.retain(|(at, _)| *at > now);
        for id in due {
            self.cluster.restart(id);
            self.begin_clients(id);
        }
        if self.healing <= now {
            self.cluster.wires.heal();
        }
        let count = self.cluster.machines.len() as u64;
        let id = self.cluster.prng.range(1..count + 1) as u32;
        match self.cluster.prng.below(10) {
            0 if self.comebacks.len() as u64 * 2 < count - 1 => {
                self.cluster.crash(id);
                let down = Duration::from_millis(self.cluster.prng.range(1..4_000));
                self.comebacks.push((now + down, id));
            }
            1 => self.cut(id),
            2 if self.skew_nanos > 0 => {
                let reach = self.skew_nanos;
                let offset = self.cluster.prng.below(2 * reach as u64) as i64 - reach;
                self.cluster.machines[&id].env.set_wall_offset(offset);
            }
            3 | 4 => self.split(id),
            5..8 => self.move_something(id),
            _ => {}
        }
    }

    fn cut(&mut self, id: u32) {
        let way = self.cluster.prng.below(4);
        let others: Vec<u32> = self.cluster.machines.keys().copied().filter(|other| *other != id).collect();
        for other in others {
            if self.cluster.prng.chance(0.3) {
                continue;
            }
            if way != 0 {
                self.cluster.wires.cut(NodeId(id), NodeId(other));
            }
            if way != 1 {
                self.cluster.wires.cut(NodeId(other), NodeId(id));
            }
        }
        self.healing =
            self.cluster.simulation.now() + Duration::from_millis(self.cluster.prng.range(1..5_000));
    }

    fn split(&mut self, id: u32) {
        let Some(running) = self.cluster.machines[&id].running.clone() else { return };
        let at = key(&name(self.cluster.prng.below(KEYS)));
        let db = running.db;
        let task = async move { drop(db.split_at(&at).await) };
        drop(running.env.spawn("split", Box::pin(task)));
    }

    fn move_something(&mut self, id: u32) {
        let Some(running) = self.cluster.machines[&id].running.clone() else { return };
        let leased = self.cluster.leased();
        if leased.is_empty() {
            return;
        }
        let drawn = self.cluster.prng.index(leased.len());
        let (_, range) = leased.values().nth(drawn).expect("it is one of them");
        let from = range.replicas[self.cluster.prng.index(range.replicas.len())].store;
        let outside: Vec<u32> = self.cluster.machines.keys().copied().collect();
        let outside: Vec<u32> =
            outside.into_iter().filter(|id| range.replica_on(StoreId(*id)).is_none()).collect();
        let key = range.span.start.clone();
        let request: kvapi::Request = if outside.is_empty() || self.cluster.prng.chance(0.5) {
            TransferLeaseRequest { key: key.clone(), to: from }.into()
        } else {
            let to = outside[self.cluster.prng.index(outside.len())];
            let add = vec![(NodeId(to), StoreId(to))];
            ChangeReplicasRequest { key: key.clone(), add, remove: vec![from], generation: 0 }.into()
        };
        let db = running.db;
        let task = async move {
            let mut batch = BatchRequest::new(Header::default(), request);
            drop(db.send(&key, &mut batch).await);
        };
        drop(running.env.spawn("move", Box::pin(task)));
    }

    /// The faults end: everything serves again within a bound. Gives the history with the lists at the end.
    fn end(mut self) -> Run {
        self.cluster.wires.heal();
        self.cluster.wires.set_weather(Weather::default());
        for (_, id) in std::mem::take(&mut self.comebacks) {
            self.cluster.restart(id);
        }
        let committed = |history: &History| {
            history.lock().iter().filter(|record| record.outcome == Outcome::Committed).count()
        };
        let before = committed(&self.history);
        self.cluster.run_for(15.0);
        if committed(&self.history) <= before + 20 {
            for id in self.cluster.machines.keys().copied() {
                let running = self.cluster.running(id);
                println!("node {id}: {:?}", running.store.metrics());
                for lock in running.store.locks() {
                    println!("  {lock:?}");
                }
                println!("  {:?}", running.store.waits());
                let db = running.db.clone();
                for number in 0..KEYS {
                    let db = db.clone();
                    let asked = self.cluster.block_on(async move {
                        serializable(&db).get(&key(&name(number)), Locking::NONE).await.map(drop)
                    });
                    println!("  get {number}: {asked:?}");
                }
            }
            panic!("no progress: {}", self.cluster.describe());
        }
        self.clients.iter().for_each(TaskHandle::abort);
        self.cluster.run_for(1.0);
        let db = self.cluster.running(1).db;
        let lists = self.cluster.block_on(async move {
            let mut lists = Vec::new();
            for number in 0..KEYS {
                let value = serializable(&db).get(&key(&name(number)), Locking::NONE).await;
                lists.push(parse(value.expect("a read of now")));
            }
            lists
        });
        let history = self.history.lock().clone();
        let trace = self.cluster.simulation.trace();
        assert_eq!(self.cluster.wires.broken(), None);
        Run { history, lists, trace, is_strict: self.skew_nanos == 0 }
    }
}

#[test]
fn histories_are_serializable_while_nodes_fail_and_ranges_move() {
    for seed in seeds() {
        let (nodes, skew) = if seed % 2 == 0 { (3, 0) } else { (5, 200_000_000) };
        let mut trouble = Trouble::new(seed, nodes, skew);
        for _ in 0..60 {
            trouble.step();
        }
        let run = trouble.end();
        let committed = run.history.iter().filter(|record| record.outcome == Outcome::Committed).count();
        println!("seed {seed}: {committed} of {} committed", run.history.len());
        check(&run);
    }
}

/// What a read moves out of its way is uncertain to others. It met it again itself, tick after tick, as long as the other transaction was open.
#[test]
fn a_read_gets_past_an_open_transaction_at_once_although_the_lease_has_just_moved() {
    for seed in 71..75 {
        let cluster = Cluster::new(seed, 3);
        cluster.wait_until_replicated(3);
        cluster.put(1, "k", "1").expect("nobody is in the way");
        let writer = cluster.running(1).db;
        writer.set_buffer_bytes_max(0);
        let open = cluster.block_on(async move {
            let txn = serializable(&writer);
            txn.put(&key("k"), b"2").expect("it is open");
            txn.flow().await.map(|()| txn)
        });
        let open = open.expect("nobody is in the way");
        let (leader, descriptor) = cluster.tables();
        let request =
            TransferLeaseRequest { key: descriptor.span.start.clone(), to: StoreId(leader % 3 + 1) };
        let batch = BatchRequest::new(Header { range: descriptor.id, ..Header::default() }, request);
        let store = cluster.running(leader).store;
        cluster.block_on(async move { store.send(&batch).await.map(drop) }).expect("followers are current");
        let began = cluster.simulation.now();
        assert_eq!(cluster.get(2, "k").as_deref(), Some("1"), "seed {seed}");
        let lasted = cluster.simulation.now() - began;
        assert!(lasted < Duration::from_millis(100), "seed {seed}: {lasted:?}");
        // Nothing was heard of it yet, and the lease has moved: it may have been given up for dead.
        let committed = cluster.block_on(async move { open.commit().await });
        let expected = if committed.is_ok() { "2" } else { "1" };
        assert_eq!(cluster.get(3, "k").as_deref(), Some(expected), "seed {seed}: {committed:?}");
    }
}

/// Writes what is wanted of the keys from `b` to `d` as whoever knows what they mean would; `None` takes it back.
fn configure(cluster: &Cluster, version: u64, config: Option<placement::RangeConfig>) {
    let db = cluster.running(1).db;
    let written = cluster.block_on(async move {
        let txn = db.begin(options(Isolation::Serializable));
        let span = keys::Span { start: key("b"), end: key("d") };
        let at = keys::system::config(&span.start);
        match config {
            Some(config) => txn.put(&at, &placement::SpanConfig { span, config }.encode())?,
            None => txn.delete(&at)?,
        }
        txn.put(&keys::system::config_version(), &version.to_be_bytes())?;
        txn.commit().await
    });
    written.expect("nobody is in the way");
}

#[test]
fn a_configured_span_has_ranges_of_its_own_which_are_as_it_wants() {
    let cluster = Cluster::new(31, 5);
    for (id, zone) in (1..).zip(["a", "a", "b", "b", "c"]) {
        let locality = kvapi::Locality::parse(&format!("zone={zone}")).expect("a locality");
        cluster.wires.change_node(NodeId(id), |node| node.locality = locality);
    }
    cluster.wait_until_replicated(3);
    cluster.put(1, "c", "1").expect("nobody is in the way");
    let config = placement::RangeConfig {
        replicas: Some(3),
        constraints: placement::Constraints::parse("-zone=c; 2: zone=b").expect("constraints"),
        lease_preferences: placement::LeasePreferences::parse("zone=x; zone=a").expect("preferences"),
    };
    let range_of = |cluster: &Cluster, name: &str| {
        let leased = cluster.leased();
        leased.values().find(|(_, range)| range.contains(&key(name))).cloned()
    };
    configure(&cluster, 1, Some(config));
    cluster.wait_until("the span is as configured", |cluster| {
        let Some((leader, range)) = range_of(cluster, "c") else { return false };
        let on = |id| range.replica_on(StoreId(id)).is_some_and(|there| there.kind == ReplicaKind::Voter);
        let cut = range.span == keys::Span { start: key("b"), end: key("d") };
        cut && range.replicas.len() == 3 && on(3) && on(4) && (on(1) || on(2)) && leader <= 2
    });
    for outside in ["a", "d"] {
        let (_, range) = range_of(&cluster, outside).expect("somebody leads it");
        assert!(!range.contains(&key("c")), "{range:?}");
    }
    assert_eq!(cluster.get(5, "c").as_deref(), Some("1"));
    let five = placement::RangeConfig { replicas: Some(5), ..placement::RangeConfig::default() };
    configure(&cluster, 2, Some(five));
    cluster.wait_until("the span has five replicas", |cluster| {
        range_of(cluster, "c").is_some_and(|(_, range)| range.replicas.len() == 5 && !range.is_joint())
    });
    configure(&cluster, 3, None);
    cluster.wait_until("the span has as many as others", |cluster| {
        range_of(cluster, "c").is_some_and(|(_, range)| range.replicas.len() == 3 && !range.is_joint())
    });
    // Five of what everything depends on, once there are five nodes.
    let (_, system) = cluster.leased()[&RangeId::FIRST].clone();
    assert_eq!(system.replicas.len(), 5);
}
