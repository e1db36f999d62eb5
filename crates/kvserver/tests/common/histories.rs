//! Histories of transactions on lists, and the check that they are serializable: see `serializable.rs`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use env::Env;
use kvapi::Disposition;
use kvclient::{Db, Isolation, KvError, Locking, Txn};
use parking_lot::Mutex;
use stdx::Prng;

use super::{key, options, span};

pub const KEYS: u64 = 12;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Committed,
    Aborted,
    /// Still running, cut off by a crash, or told to be ambiguous.
    Unknown,
}

#[derive(Clone, Debug)]
pub struct Record {
    pub began: Duration,
    pub ended: Duration,
    pub outcome: Outcome,
    /// Key and the list seen.
    pub reads: Vec<(u64, Vec<u64>)>,
    /// Key and the number appended.
    pub appends: Vec<(u64, u64)>,
}

pub type History = Arc<Mutex<Vec<Record>>>;

pub fn name(key: u64) -> String {
    format!("k{key:02}")
}

pub fn parse(value: Option<Vec<u8>>) -> Vec<u64> {
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
            let span = span(&name(which), &name(which + 3));
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

/// Runs transactions one after the other.
pub async fn client(env: Arc<dyn Env>, db: Db, mut prng: Prng, history: History, transactions: usize) {
    for _ in 0..transactions {
        let id = {
            let mut history = history.lock();
            let now = env.monotonic();
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
        let txn = db.begin(options(Isolation::Serializable));
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
        history[id].ended = env.monotonic();
        history[id].outcome = match &result {
            Ok(()) => Outcome::Committed,
            Err(error) if error.is_ambiguous() => Outcome::Unknown,
            Err(error) => {
                let is_left = error.disposition() == Disposition::Reroute;
                let expected = error.is_restart()
                    || is_left
                    || matches!(error, KvError::Deadlock { .. } | KvError::Unavailable { .. });
                assert!(expected, "{error:?}");
                Outcome::Aborted
            }
        };
    }
}

pub struct Run {
    pub history: Vec<Record>,
    pub lists: Vec<Vec<u64>>,
    pub trace: u64,
    /// Whether the order must agree with real time: clocks agree.
    pub is_strict: bool,
}

/// The graph of who must come before whom.
pub fn check(run: &Run) {
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
    for (id, record) in run.history.iter().enumerate().filter(|(id, _)| run.is_strict && present[*id]) {
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
    let mut queue = VecDeque::from([start]);
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

pub fn seeds() -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match number("KV_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("KV_SEEDS").unwrap_or(4)).collect(),
    }
}
