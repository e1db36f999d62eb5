//! A store whose ranges have one replica each: the fast path, crashes, damaged disks.

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use env::{Ended, Env, SimEnv, Simulation, spawn_with_result};
use futures::future::join_all;
use keys::{RangeId, local};
use parking_lot::Mutex;
use replication::{Leadership, OpenError, ProposalError, StoreOptions};
use storage::{
    CursorOptions, Durability, Engine, Keyspace, MemoryDisk, MemoryEngine, MemoryOptions, Reader, WriteBatch,
};
use support::{CountingEngine, Node, open_alone, text};

const LIMIT: Duration = Duration::from_secs(600);
const RANGE: RangeId = RangeId(1);

fn options() -> StoreOptions {
    StoreOptions { truncate_bytes: 2_000, log_bytes_max: 40_000, ..StoreOptions::default() }
}

fn settle(simulation: &Simulation, node: &Node) {
    simulation.block_on(LIMIT, node.store.settled()).expect("the store settles");
}

/// Proposes, waits, and gives the machine's answer.
fn run(simulation: &Simulation, node: &Node, range: RangeId, command: &str) -> Result<String, ProposalError> {
    let proposal = node.store.propose(range, text(command));
    let applied = simulation.block_on(LIMIT, proposal).expect("a proposal ends")?;
    Ok(String::from_utf8(applied.answer.to_vec()).expect("the journal answers in text"))
}

#[test]
fn a_command_is_applied_once_and_answered() {
    let simulation = Simulation::new(1);
    let node =
        open_alone(simulation.machine(), MemoryEngine::new(), options()).expect("an empty store opens");
    settle(&simulation, &node);
    assert_eq!(run(&simulation, &node, RANGE, "a"), Ok("1:1".to_string()));
    assert_eq!(run(&simulation, &node, RANGE, "b"), Ok("1:2".to_string()));
    assert_eq!(node.journal.history(RANGE), ["a", "b"]);
    let handle = node.store.range(RANGE).expect("made above");
    assert_eq!(handle.leading().map(|term| term.0), Some(6));
    // One entry opens the term, two are the commands.
    assert_eq!(handle.applied_index().0, 13);
    let nowhere = run(&simulation, &node, RangeId(9), "c");
    assert_eq!(nowhere, Err(ProposalError::NoSuchRange { was_proposed: false }));
    let last = node.journal.leaderships.lock().last().copied();
    assert!(matches!(last, Some((RANGE, Leadership::Leading { .. }))));
}

#[test]
fn an_idle_store_has_no_timers() {
    let simulation = Simulation::new(1);
    let node =
        open_alone(simulation.machine(), MemoryEngine::new(), options()).expect("an empty store opens");
    settle(&simulation, &node);
    for range in 2..200 {
        run(&simulation, &node, RANGE, &format!("split {range}")).expect("it splits");
    }
    assert_eq!(simulation.run_for(LIMIT), Ended::Idle);
    assert_eq!(node.store.ranges().len(), 199);
    assert!(
        node.store.ranges().iter().all(|range| node.store.range(*range).expect("listed").leading().is_some())
    );
}

#[test]
fn concurrent_proposals_share_syncs() {
    let simulation = Simulation::new(1);
    let machine = simulation.machine();
    let engine = CountingEngine::new(MemoryEngine::new());
    let node = open_alone(machine.clone(), engine.clone(), options()).expect("an empty store opens");
    settle(&simulation, &node);
    for range in 2..12 {
        run(&simulation, &node, RANGE, &format!("split {range}")).expect("it splits");
    }
    simulation.run_for(LIMIT);
    let before = engine.syncs.load(Ordering::Relaxed);
    let (clients, each) = (40u64, 25u64);
    let tasks: Vec<_> = (0..clients)
        .map(|client| {
            let store = node.store.clone();
            let env: Arc<dyn Env> = machine.clone();
            let task = async move {
                for number in 0..each {
                    let range = RangeId(1 + (client + number) % 11);
                    store.propose(range, text(format!("{client}/{number}"))).await.expect("it is applied");
                }
            };
            spawn_with_result(&env, "client", task)
        })
        .collect();
    simulation.block_on(LIMIT, join_all(tasks)).expect("all clients end");
    let syncs = (engine.syncs.load(Ordering::Relaxed) - before) as u64;
    // A client waits for its sync before it goes on, so there are at least `each`; shared, there are few more.
    assert!(syncs >= each && syncs < 4 * each, "{syncs} syncs for {} proposals", clients * each);
}

/// One life of a store under load, until the machine crashes. Adds what was acknowledged.
fn live_and_crash(
    simulation: &Simulation,
    disk: &MemoryDisk,
    env: &Arc<SimEnv>,
    life: u64,
    acknowledged: &Arc<Mutex<BTreeSet<(RangeId, String)>>>,
    known: &mut Vec<(RangeId, Vec<String>)>,
) {
    let mut prng = simulation.prng();
    let engine = disk
        .open(MemoryOptions { flush_bytes: 1 + prng.below(8_000), ..MemoryOptions::default() })
        .expect("nobody has it open");
    let node = open_alone(env.clone(), engine, options()).expect("a crashed store opens");
    settle(simulation, &node);
    assert_eq!(node.store.pending_ranges(), [], "every log has its range");
    for (range, history) in known.drain(..) {
        let now = node.journal.history(range);
        assert!(now.starts_with(&history), "range {range} had {history:?} and has {now:?}");
    }
    for (range, command) in acknowledged.lock().iter() {
        let history = node.journal.history(*range);
        let count = history.iter().filter(|found| *found == command).count();
        assert_eq!(count, 1, "an acknowledged command is there, once: {range} {command}");
    }
    for client in 0..8 {
        let (store, env, acknowledged) = (node.store.clone(), env.clone(), Arc::clone(acknowledged));
        let mut prng = prng.fork();
        let clock = env.clone();
        let task = async move {
            for number in 0.. {
                let ranges = store.ranges();
                let range = *prng.choose(&ranges).expect("there is a range");
                let split = prng.chance(0.05);
                let command = if split {
                    format!("split {}", 2 + life * 10_000 + client * 1_000 + number)
                } else {
                    format!("{life}/{client}/{number}")
                };
                let result = store.propose(range, text(command.clone())).await;
                match result {
                    Ok(_) => drop(acknowledged.lock().insert((range, command))),
                    // A new range has not elected itself yet.
                    Err(error) => assert!(matches!(error, ProposalError::NotLeader { .. }), "{error}"),
                }
                clock.sleep(Duration::from_micros(prng.below(2_000))).await;
            }
        };
        drop(env.spawn("client", Box::pin(task)));
    }
    simulation.run_for(Duration::from_micros(prng.below(60_000)));
    // What was applied need not survive in the state, but in the log it does.
    *known = node
        .store
        .ranges()
        .into_iter()
        .map(|range| (range, node.journal.history(range)))
        .filter(|(_, history)| !history.is_empty())
        .collect();
    env.crash();
    let (log, state) = disk.pending_counts();
    disk.crash(prng.below(log as u64 + 1) as usize, prng.below(state as u64 + 1) as usize);
}

#[test]
fn crashes_at_any_moment_lose_nothing_acknowledged() {
    let seeds = std::env::var("REPLICATION_SEEDS").map_or(25, |text| text.parse().expect("a number"));
    for seed in 0..seeds {
        let simulation = Simulation::new(seed);
        let disk = MemoryDisk::new();
        let acknowledged = Arc::new(Mutex::new(BTreeSet::new()));
        let mut known = Vec::new();
        let mut machine = simulation.machine();
        for life in 0..6 {
            live_and_crash(&simulation, &disk, &machine, life, &acknowledged, &mut known);
            machine = machine.restart();
        }
        assert!(acknowledged.lock().len() > 50, "seed {seed}: too little has happened");
    }
}

#[test]
fn one_seed_gives_one_execution() {
    let trace = |seed| {
        let simulation = Simulation::new(seed);
        let disk = MemoryDisk::new();
        let acknowledged = Arc::new(Mutex::new(BTreeSet::new()));
        live_and_crash(&simulation, &disk, &simulation.machine(), 0, &acknowledged, &mut Vec::new());
        (simulation.trace(), acknowledged.lock().clone())
    };
    assert_eq!(trace(5), trace(5));
    assert_ne!(trace(5).0, trace(6).0);
}

fn log_keys(engine: &dyn Engine, range: RangeId) -> Vec<Vec<u8>> {
    let span = local::raft_log_span(range, 0, u64::MAX);
    let mut cursor =
        engine.cursor(Keyspace::RaftLog, CursorOptions::span(&span)).expect("memory can be read");
    let mut keys = Vec::new();
    let mut found = cursor.seek(&span.start).expect("memory can be read");
    while found {
        keys.push(cursor.key().to_vec());
        found = cursor.next().expect("memory can be read");
    }
    keys
}

#[test]
fn logs_are_cut_off_only_behind_the_flush_and_stay_small() {
    let simulation = Simulation::new(1);
    let engine = CountingEngine::new(
        MemoryDisk::new()
            .open(MemoryOptions { flush_bytes: u64::MAX, ..MemoryOptions::default() })
            .expect("new"),
    );
    let node = open_alone(simulation.machine(), engine.clone(), options()).expect("an empty store opens");
    settle(&simulation, &node);
    let payload = "x".repeat(100);
    let mut longest = 0;
    for number in 0..3_000 {
        run(&simulation, &node, RANGE, &format!("{number} {payload}")).expect("it is applied");
        longest = longest.max(log_keys(&*engine, RANGE).len());
    }
    // 40,000 bytes of log force a flush (nothing else does here), which cuts it off.
    assert!((200..700).contains(&longest), "the log had {longest} entries");
    assert!(node.store.range(RANGE).expect("there").status().truncated.0 > 2_000);
}

/// A store with 20 commands in a log that was not cut off, closed.
fn a_closed_store(simulation: &Simulation) -> MemoryDisk {
    let disk = MemoryDisk::new();
    let machine = simulation.machine();
    let engine = disk.open(MemoryOptions::default()).expect("new");
    let options = StoreOptions { truncate_bytes: u64::MAX, ..StoreOptions::default() };
    let node = open_alone(machine.clone(), engine, options).expect("an empty store opens");
    settle(simulation, &node);
    for number in 0..20 {
        run(simulation, &node, RANGE, &format!("command {number}")).expect("it is applied");
    }
    machine.crash();
    disk.crash(0, 0);
    disk
}

fn reopen_after(damage: impl FnOnce(&MemoryEngine, &[Vec<u8>])) -> OpenError {
    let simulation = Simulation::new(1);
    let disk = a_closed_store(&simulation);
    let engine = disk.open(MemoryOptions::default()).expect("closed above");
    let keys = log_keys(&*engine, RANGE);
    damage(&engine, &keys);
    let before = log_keys(&*engine, RANGE);
    match open_alone(simulation.machine(), engine.clone(), options()) {
        Ok(_) => panic!("a damaged store opens"),
        Err(error) => {
            assert_eq!(log_keys(&*engine, RANGE), before, "nothing is repaired or dropped");
            error
        }
    }
}

fn write(engine: &MemoryEngine, fill: impl FnOnce(&mut WriteBatch), durability: Durability) {
    let mut batch = WriteBatch::new();
    fill(&mut batch);
    engine.write(&batch, durability).expect("memory can be written");
}

#[test]
fn damage_is_found_and_named() {
    let error = reopen_after(|engine, keys| {
        let value = engine.get(Keyspace::RaftLog, &keys[7]).expect("read").expect("there").to_vec();
        let mut damaged = value;
        *damaged.last_mut().expect("an entry has bytes") ^= 1;
        write(engine, |batch| batch.put(Keyspace::RaftLog, &keys[7], &damaged), Durability::Synced);
    });
    assert_eq!(error.to_string(), "range 1: log entry 18: the checksum does not match");

    let error = reopen_after(|engine, keys| {
        write(engine, |batch| batch.delete(Keyspace::RaftLog, &keys[7]), Durability::Synced);
    });
    assert_eq!(error.to_string(), "range 1: the Raft log has a gap: after entry 17 comes entry 19");

    let error = reopen_after(|engine, keys| {
        write(engine, |batch| batch.delete(Keyspace::RaftLog, &keys[0]), Durability::Synced);
    });
    let expected = "range 1: the Raft log has a gap: it is cut off up to entry 10, the first entry is 12";
    assert_eq!(error.to_string(), expected);
    assert!(matches!(error, OpenError::Missing { range: RANGE, .. }));

    let error = reopen_after(|engine, _| {
        let key = local::range_item(RANGE, local::RangeItem::AppliedState);
        let mut damaged = engine.get(Keyspace::RangeLocal, &key).expect("read").expect("there").to_vec();
        damaged[6] ^= 0x40;
        write(engine, |batch| batch.put(Keyspace::RangeLocal, &key, &damaged), Durability::Buffered);
    });
    assert_eq!(error.to_string(), "range 1: the applied state: the checksum does not match");

    let error = reopen_after(|engine, _| {
        let key = local::raft_item(RANGE, local::RaftItem::HardState);
        write(engine, |batch| batch.delete(Keyspace::RaftLog, &key), Durability::Synced);
    });
    assert_eq!(error.to_string(), "range 1: the Raft hard state is missing");
}

#[test]
fn a_missing_log_is_noticed() {
    let simulation = Simulation::new(1);
    let disk = MemoryDisk::new();
    let machine = simulation.machine();
    let node = open_alone(machine.clone(), disk.open(MemoryOptions::default()).expect("new"), options());
    let node = node.expect("an empty store opens");
    settle(&simulation, &node);
    for number in 0..20 {
        run(&simulation, &node, RANGE, &format!("command {number}")).expect("it is applied");
    }
    simulation.block_on(LIMIT, node.store.stop()).expect("it ends").expect("and flushes");
    machine.crash();
    disk.crash(0, 0);
    let engine = disk.open(MemoryOptions::default()).expect("closed above");
    write(
        &engine,
        |batch| batch.delete_range(Keyspace::RaftLog, &local::raft_span(RANGE)),
        Durability::Synced,
    );
    let error = open_alone(simulation.machine(), engine.clone(), options()).err().expect("it does not open");
    assert_eq!(error.to_string(), "range 1: the Raft log is missing; 31 is applied");
}

#[test]
fn a_failed_write_stops_the_store() {
    let simulation = Simulation::new(1);
    let disk = MemoryDisk::new();
    let node = open_alone(simulation.machine(), disk.open(MemoryOptions::default()).expect("new"), options());
    let node = node.expect("an empty store opens");
    settle(&simulation, &node);
    run(&simulation, &node, RANGE, "a").expect("it is applied");
    let failure = node.store.failure();
    disk.set_full(true);
    let error = run(&simulation, &node, RANGE, "b").expect_err("the disk is full");
    assert!(error.is_ambiguous(), "{error}");
    let stopped = simulation.block_on(LIMIT, failure).expect("the store says so");
    assert_eq!(stopped.0, "writing the Raft log: input/output error: no space left on device");
    // There is no way back, even if the disk has room again.
    disk.set_full(false);
    assert!(run(&simulation, &node, RANGE, "c").is_err());
    assert_eq!(node.journal.history(RANGE), ["a"]);
}

#[test]
fn a_command_that_cannot_be_applied_stops_the_store() {
    let simulation = Simulation::new(1);
    let node =
        open_alone(simulation.machine(), MemoryEngine::new(), options()).expect("an empty store opens");
    settle(&simulation, &node);
    assert!(run(&simulation, &node, RANGE, "bad").expect_err("it cannot be applied").is_ambiguous());
    assert_eq!(node.store.failed().expect("stopped").0, "range 1: applying: a bad command");
}

#[test]
fn a_destroyed_range_stays_gone_and_its_log_goes() {
    let simulation = Simulation::new(1);
    let disk = MemoryDisk::new();
    let machine = simulation.machine();
    let node = open_alone(machine.clone(), disk.open(MemoryOptions::default()).expect("new"), options());
    let node = node.expect("an empty store opens");
    settle(&simulation, &node);
    run(&simulation, &node, RANGE, "split 2").expect("it splits");
    simulation.run_for(LIMIT);
    run(&simulation, &node, RangeId(2), "x").expect("it is applied");
    let handle = node.store.range(RangeId(2)).expect("there");
    run(&simulation, &node, RANGE, "destroy 2").expect("it is destroyed");
    assert!(handle.is_gone() && handle.leading().is_none());
    assert_eq!(node.store.ranges(), [RANGE]);
    simulation.block_on(LIMIT, node.store.stop()).expect("it ends").expect("and flushes");
    machine.crash();
    disk.crash(0, 0);
    let engine = disk.open(MemoryOptions::default()).expect("closed above");
    assert!(!log_keys(&*engine, RangeId(2)).is_empty());
    let node = open_alone(machine.restart(), engine.clone(), options()).expect("it opens");
    settle(&simulation, &node);
    assert_eq!(node.store.ranges(), [RANGE]);
    assert!(log_keys(&*engine, RangeId(2)).is_empty());
    assert_eq!(node.journal.history(RANGE), ["split 2", "destroy 2"]);
}
