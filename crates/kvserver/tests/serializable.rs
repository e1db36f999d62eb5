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

use std::time::Duration;

use common::histories::{History, KEYS, Outcome, Run, check, client, name, parse, seeds};
use common::{Node, World, key};
use kvclient::{KvError, Locking};
use stdx::Prng;

const CLIENTS: u64 = 8;
const LIVES: u64 = 3;
const LIFE: Duration = Duration::from_secs(8);
/// Transactions of a client in one life.
const PER_LIFE: usize = 40;

async fn splitter(node: Node, mut prng: Prng) {
    loop {
        node.env.sleep(Duration::from_millis(prng.range(5..80))).await;
        let at = key(&name(prng.below(KEYS)));
        if let Err(error) = node.db.split_at(&at).await {
            assert!(matches!(error, KvError::Unavailable { .. }), "{error:?}");
        }
    }
}

/// Lets all ranges forget what only a leaseholder knows, now and then.
async fn lease_breaker(node: Node, mut prng: Prng) {
    loop {
        node.env.sleep(Duration::from_millis(prng.range(1..60))).await;
        node.store.restart_leases();
    }
}

fn run(seed: u64) -> Run {
    let mut world = World::new(seed);
    let mut prng = Prng::new(seed);
    let history = History::default();
    let flushes = prng.chance(0.3);
    let breaks_leases = prng.chance(0.3);
    let configure = |_: &mut kvserver::StoreConfig, db: &mut kvclient::DbConfig| {
        db.buffer_bytes_max = if flushes { 1 } else { 1 << 20 };
    };
    for _ in 0..LIVES {
        let node = world.start(configure);
        world.simulation.block_on(Duration::from_secs(60), node.raft.settled()).expect("every range leads");
        for _ in 0..CLIENTS {
            drop(node.env.spawn(
                "client",
                Box::pin(client(node.env.clone(), node.db.clone(), prng.fork(), history.clone(), PER_LIFE)),
            ));
        }
        drop(node.env.spawn("splitter", Box::pin(splitter(node.clone(), prng.fork()))));
        if breaks_leases {
            drop(node.env.spawn("lease-breaker", Box::pin(lease_breaker(node.clone(), prng.fork()))));
        }
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
    Run { history, lists, trace: world.simulation.trace(), is_strict: true }
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
