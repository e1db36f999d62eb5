//! Histories of concurrent transactions must be serializable, in an order that agrees with real time.
//!
//! Every key holds a list; transactions read lists and append numbers that are unique in the run. A list tells in which order
//! its writers came, a read tells between which two of them the reader came. From this follows a graph of who must come
//! before whom; to it is added that a transaction which had ended before another began comes before it. A cycle is a
//! violation. Source: Kingsbury and Alvaro, "Elle: Inferring Isolation Anomalies from Experimental Observations" (2020).
//!
//! Runs are drawn from a seed: isolation of reads by locks or not, early flushes, splits in between, crashes with loss of what was not
//! synced. `KV_SEEDS=200` runs more of them, `KV_SEED=7` one.

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use common::{Node, World, key};
use kvclient::{Isolation, KvError, Locking, Txn};
use parking_lot::Mutex;
use stdx::Prng;

const CLIENTS: u64 = 8;
const KEYS: u64 = 12;
const LIVES: u64 = 3;
const LIFE: Duration = Duration::from_secs(8);
/// Transactions of a client in one life.
const PER_LIFE: usize = 40;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Committed,
    Aborted,
    /// Still running, cut off by a crash, or told to be ambiguous.
    Unknown,
}

#[derive(Clone, Debug)]
struct Record {
    began: Duration,
    ended: Duration,
    outcome: Outcome,
    /// Key and the list seen.
    reads: Vec<(u64, Vec<u64>)>,
    /// Key and the number appended.
    appends: Vec<(u64, u64)>,
}

type History = Arc<Mutex<Vec<Record>>>;

fn name(key: u64) -> String {
    format!("k{key:02}")
}

fn parse(value: Option<Vec<u8>>) -> Vec<u64> {
    let text = String::from_utf8(value.unwrap_or_default()).expect("lists are text");
    text.split(',').filter(|part| !part.is_empty()).map(|part| part.parse().expect("a number")).collect()
}

fn print(list: &[u64]) -> String {
    list.iter().map(u64::to_string).collect::<Vec<_>>().join(",")
}

/// One attempt of a transaction.
async fn attempt(txn: &Txn, prng: &mut Prng, history: &History, id: usize) -> Result<(), KvError> {
    history.lock()[id].reads.clear();
    history.lock()[id].appends.clear();
    for operation in 0..prng.range(1..5) {
        txn.begin_statement(true);
        let which = prng.below(KEYS);
        let append = prng.chance(0.5);
        let locking = match (append, prng.chance(0.6)) {
            (true, true) => Locking { absent: prng.chance(0.5), ..Locking::NO_KEY_UPDATE },
            _ if prng.chance(0.1) => Locking::KEY_SHARE,
            _ => Locking::NONE,
        };
        let mut list = if prng.chance(0.3) {
            let span = common::span(&name(which), &name(which + 3));
            let mut scan = txn.scan(kvclient::ScanOptions::forward(span).locking(locking));
            let mut found = BTreeMap::new();
            while let Some(page) = scan.next_page(txn).await? {
                for row in page.iter() {
                    found.insert(row.key.to_vec(), parse(row.value.map(<[u8]>::to_vec)));
                }
            }
            let mut lists = (which..(which + 3).min(KEYS))
                .map(|number| (number, found.remove(&key(&name(number)).to_vec()).unwrap_or_default()));
            let first = lists.next().expect("one key at least");
            let mut reads = vec![first.clone()];
            reads.extend(lists);
            history.lock()[id].reads.extend(reads);
            first.1
        } else {
            let list = parse(txn.get(&key(&name(which)), locking).await?);
            history.lock()[id].reads.push((which, list.clone()));
            list
        };
        if append {
            let number = (id as u64) * 8 + operation;
            list.push(number);
            history.lock()[id].appends.push((which, number));
            txn.put(&key(&name(which)), print(&list).as_bytes())?;
            txn.flow().await?;
        }
    }
    txn.commit().await.map(|_| ())
}

async fn client(node: Node, mut prng: Prng, history: History) {
    for _ in 0..PER_LIFE {
        let id = {
            let mut history = history.lock();
            let now = node.env.monotonic();
            let ended = Duration::MAX;
            history.push(Record {
                began: now,
                ended,
                outcome: Outcome::Unknown,
                reads: Vec::new(),
                appends: Vec::new(),
            });
            history.len() - 1
        };
        let txn = node.db.begin(common::options(Isolation::Serializable));
        let mut result = attempt(&txn, &mut prng, &history, id).await;
        for _ in 0..3 {
            let Err(error) = &result else { break };
            if txn.can_restart(error).is_none() || prng.chance(0.1) {
                break;
            }
            let error = error.clone();
            result = match txn.restart(&error).await {
                // Numbers of a failed attempt must not come back: only a new record may append.
                Ok(()) if history.lock()[id].appends.is_empty() => {
                    attempt(&txn, &mut prng, &history, id).await
                }
                _ => break,
            };
        }
        if result.is_err() {
            txn.rollback().await;
        }
        let mut history = history.lock();
        history[id].ended = node.env.monotonic();
        history[id].outcome = match &result {
            Ok(()) => Outcome::Committed,
            Err(error) if error.is_ambiguous() => Outcome::Unknown,
            Err(error) => {
                let expected = error.is_restart()
                    || matches!(error, KvError::Deadlock { .. } | KvError::Unavailable { .. });
                assert!(expected, "{error:?}");
                Outcome::Aborted
            }
        };
    }
}

async fn splitter(node: Node, mut prng: Prng) {
    loop {
        node.env.sleep(Duration::from_millis(prng.range(5..80))).await;
        let at = key(&name(prng.below(KEYS)));
        if let Err(error) = node.db.split_at(&at).await {
            assert!(matches!(error, KvError::Unavailable { .. }), "{error:?}");
        }
    }
}

struct Run {
    history: Vec<Record>,
    lists: Vec<Vec<u64>>,
    trace: u64,
}

fn run(seed: u64) -> Run {
    let mut world = World::new(seed);
    let mut prng = Prng::new(seed);
    let history: History = Arc::default();
    let flushes = prng.chance(0.3);
    let configure = |_: &mut kvserver::StoreConfig, db: &mut kvclient::DbConfig| {
        db.buffer_bytes_max = if flushes { 1 } else { 1 << 20 };
    };
    for _ in 0..LIVES {
        let node = world.start(configure);
        world.simulation.block_on(Duration::from_secs(60), node.raft.settled()).expect("every range leads");
        for _ in 0..CLIENTS {
            drop(node.env.spawn("client", Box::pin(client(node.clone(), prng.fork(), history.clone()))));
        }
        drop(node.env.spawn("splitter", Box::pin(splitter(node.clone(), prng.fork()))));
        // The crash comes somewhere in the middle, or long after.
        let cut = if prng.chance(0.7) { Duration::from_micros(prng.range(1_000..60_000)) } else { LIFE };
        world.simulation.run_for(cut);
        if std::env::var("KV_TRACE").is_ok() {
            println!("{} records, {:?}", history.lock().len(), node.store.metrics());
            for lock in node.store.locks() {
                println!("{lock:?}");
            }
        }
        drop(node);
        world.machine.crash();
        let (log, state) = world.disk.pending_counts();
        world.disk.crash(prng.index(log + 1), prng.index(state + 1));
        world.machine = world.machine.restart();
    }
    let lists = world.run(configure, async |node: Node| {
        let mut lists = Vec::new();
        for number in 0..KEYS {
            let txn = common::serializable(&node.db);
            lists.push(parse(txn.get(&key(&name(number)), Locking::NONE).await.expect("a read of now")));
        }
        lists
    });
    let history = history.lock().clone();
    Run { history, lists, trace: world.simulation.trace() }
}

/// The graph of who must come before whom.
fn check(run: &Run) {
    let mut writer: BTreeMap<u64, usize> = BTreeMap::new();
    for (id, record) in run.history.iter().enumerate() {
        record.appends.iter().for_each(|(_, number)| {
            writer.insert(*number, id);
        });
    }
    let mut present = vec![false; run.history.len()];
    for list in &run.lists {
        list.iter().for_each(|number| present[writer[number]] = true);
    }
    let mut before: Vec<Vec<Edge>> = vec![Vec::new(); run.history.len()];
    for (which, list) in (0..).zip(&run.lists) {
        for pair in list.windows(2) {
            before[writer[&pair[0]]].push((writer[&pair[1]], Why::Overwritten(which)));
        }
    }
    for (id, record) in run.history.iter().enumerate() {
        for (which, number) in &record.appends {
            let there = run.lists[*which as usize].contains(number);
            assert_ne!((record.outcome, there), (Outcome::Aborted, true), "{id} aborted, {number} is there");
            if (record.outcome, there) == (Outcome::Committed, false) {
                panic!("{id} committed, {number} is lost: {}", about(run, *which, record));
            }
            assert!(record.outcome != Outcome::Unknown || there == present[id], "{id} is there in part");
        }
        present[id] |= record.outcome == Outcome::Committed;
        if !present[id] {
            continue;
        }
        let mut own: Vec<u64> = Vec::new();
        for (which, seen) in &record.reads {
            let seen: Vec<u64> = seen.iter().copied().filter(|number| writer[number] != id).collect();
            let list: Vec<u64> =
                run.lists[*which as usize].iter().copied().filter(|number| writer[number] != id).collect();
            assert!(list.starts_with(&seen), "{id} read {seen:?} of key {which}, which is {list:?}");
            if let Some(last) = seen.last() {
                before[writer[last]].push((id, Why::Read(*which)));
            }
            if let Some(next) = list.get(seen.len()) {
                before[id].push((writer[next], Why::NotSeen(*which)));
            }
            own.extend(&seen);
        }
    }
    for (id, record) in run.history.iter().enumerate().filter(|(id, _)| present[*id]) {
        let later =
            run.history.iter().enumerate().filter(|(other, it)| present[*other] && it.began > record.ended);
        before[id].extend(later.map(|(other, _)| (other, Why::RealTime)));
    }
    assert_acyclic(run, &before, &present);
}

/// Everything that touched a key around a record.
fn about(run: &Run, which: u64, lost: &Record) -> String {
    let mut text = format!("list {:?}\n", run.lists[which as usize]);
    for (id, record) in run.history.iter().enumerate() {
        let near = record.ended.saturating_add(Duration::from_millis(3)) > lost.began
            && record.began < lost.ended.saturating_add(Duration::from_millis(3));
        let touches = record.appends.iter().any(|(key, _)| *key == which);
        if near && touches {
            text += &format!("{id}: {record:?}\n");
        }
    }
    text
}

/// Why one transaction comes before another.
#[derive(Clone, Copy, Debug)]
#[allow(dead_code)] // Printed.
enum Why {
    /// Its number stands right before the other's.
    Overwritten(u64),
    /// The other has read its number as the last one.
    Read(u64),
    /// It has read a list that the other's number is the next of.
    NotSeen(u64),
    RealTime,
}

type Edge = (usize, Why);

fn assert_acyclic(run: &Run, before: &[Vec<Edge>], present: &[bool]) {
    let edges = |id: usize| before[id].iter().filter(move |(other, _)| *other != id && present[*other]);
    let mut incoming = vec![0usize; before.len()];
    for id in (0..before.len()).filter(|id| present[*id]) {
        edges(id).for_each(|(other, _)| incoming[*other] += 1);
    }
    let mut ready: Vec<usize> = (0..before.len()).filter(|id| present[*id] && incoming[*id] == 0).collect();
    while let Some(id) = ready.pop() {
        for (other, _) in edges(id) {
            incoming[*other] -= 1;
            if incoming[*other] == 0 {
                ready.push(*other);
            }
        }
    }
    let stuck: Vec<usize> = (0..before.len()).filter(|id| present[*id] && incoming[*id] > 0).collect();
    if stuck.is_empty() {
        return;
    }
    let cycles = stuck.iter().filter_map(|id| shortest_cycle(*id, before, present));
    let cycle = cycles.min_by_key(Vec::len).expect("what is stuck is on or behind a cycle");
    let told = cycle.iter().map(|(id, why)| format!("{why:?} -> {id}: {:?}", run.history[*id]));
    panic!("a cycle:\n{}", told.collect::<Vec<_>>().join("\n"));
}

/// Breadth first from `start` back to it.
fn shortest_cycle(start: usize, before: &[Vec<Edge>], present: &[bool]) -> Option<Vec<Edge>> {
    let mut came_by: BTreeMap<usize, Edge> = BTreeMap::new();
    let mut queue = std::collections::VecDeque::from([start]);
    while let Some(id) = queue.pop_front() {
        for (other, why) in before[id].iter().filter(|(other, _)| *other != id && present[*other]) {
            if came_by.contains_key(other) {
                continue;
            }
            came_by.insert(*other, (id, *why));
            if *other == start {
                let mut cycle = Vec::new();
                let mut at = start;
                loop {
                    let (previous, why) = came_by[&at];
                    cycle.push((at, why));
                    at = previous;
                    if at == start {
                        cycle.reverse();
                        return Some(cycle);
                    }
                }
            }
            queue.push_back(*other);
        }
    }
    None
}

fn seeds() -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match number("KV_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("KV_SEEDS").unwrap_or(4)).collect(),
    }
}

#[test]
fn histories_are_serializable_through_splits_and_crashes() {
    let mut committed = 0;
    for seed in seeds() {
        println!("seed {seed}");
        let run = run(seed);
        check(&run);
        committed += run.history.iter().filter(|record| record.outcome == Outcome::Committed).count();
    }
    assert!(committed > 100, "only {committed} transactions committed: the test proves nothing");
}

#[test]
fn one_seed_gives_one_history() {
    let (first, second) = (run(77), run(77));
    assert_eq!(first.trace, second.trace);
    assert_eq!(first.lists, second.lists);
}
