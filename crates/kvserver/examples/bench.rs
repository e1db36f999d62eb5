//! What the key-value layer costs by itself: an engine in memory, no log, one thread.
//!
//! `cargo run --release -p kvserver --example bench`. Prints microseconds of one operation.

use std::sync::Arc;
use std::time::{Duration, Instant};

use clock::{Clock, ClockConfig, WallSource, WallTime};
use env::{Env, RealEnv};
use keys::{Key, NodeId, StoreId};
use kvclient::{Db, DbConfig, Isolation, Locking, TxnOptions};
use kvserver::{Direct, Store, StoreConfig};
use storage::{Durability, Engine, MemoryEngine};

struct Wall(Arc<RealEnv>);

impl WallSource for Wall {
    fn wall(&self) -> WallTime {
        self.0.wall()
    }

    fn monotonic(&self) -> Duration {
        self.0.monotonic()
    }
}

fn key(table: u8, number: u64) -> Key {
    let mut bytes = vec![keys::prefix::TABLE, table, 1];
    bytes.extend_from_slice(&number.to_be_bytes());
    Key::from(bytes)
}

fn start() -> Db {
    let real = RealEnv::new();
    let env: Arc<dyn Env> = real.clone();
    let engine: Arc<dyn Engine> = MemoryEngine::new();
    let clock = Arc::new(Clock::unbounded(Wall(real), ClockConfig::default()));
    let config = StoreConfig::new(NodeId(1), StoreId(1));
    let first = kvserver::bootstrap::first_ranges(&config, clock.now());
    engine.write(&first.contents, Durability::Buffered).expect("memory");
    let store = Store::open(env.clone(), clock.clone(), engine.clone(), config).expect("a store");
    let consensus = Direct::new(engine, store.machine());
    consensus.lead(&store.range_ids());
    store.start(consensus, None, None);
    Db::new(env, clock, store.dialer(None), store.first_range(), DbConfig::new(NodeId(1)))
}

async fn measure<F: AsyncFnMut(u64)>(name: &str, rounds: u64, mut operation: F) {
    for number in 0..rounds / 10 {
        operation(number).await;
    }
    let begin = Instant::now();
    for number in 0..rounds {
        operation(number).await;
    }
    println!("{name:40} {:8.3} us", begin.elapsed().as_secs_f64() * 1e6 / rounds as f64);
}

async fn fill(db: &Db, table: u8, rows: u64) {
    let txn = db.begin(TxnOptions::default());
    for number in 0..rows {
        txn.put(&key(table, number), &[7; 100]).expect("writable");
    }
    txn.commit().await.expect("alone");
}

async fn run() {
    let db = start();
    const ROWS: u64 = 10_000;
    for table in 1..=4 {
        fill(&db, table, ROWS).await;
    }
    let any = |number: u64| number.wrapping_mul(0x9E37_79B9_7F4A_7C15) % ROWS;
    measure("begin alone", 200_000, async |_| drop(db.begin(TxnOptions::default()))).await;
    measure("get, read only", 200_000, async |number| {
        let txn = db.begin(TxnOptions { read_only: true, ..TxnOptions::default() });
        txn.get(&key(1, any(number)), Locking::NONE).await.expect("a row");
    })
    .await;
    measure("get, serializable read-write, commit", 200_000, async |number| {
        let txn = db.begin(TxnOptions::default());
        txn.get(&key(1, any(number)), Locking::NONE).await.expect("a row");
        txn.commit().await.expect("alone");
    })
    .await;
    for isolation in [Isolation::Serializable, Isolation::ReadCommitted] {
        measure(&format!("update one row, {isolation:?}"), 100_000, async |number| {
            let txn = db.begin(TxnOptions { isolation, ..TxnOptions::default() });
            let key = key(1, any(number));
            txn.get(&key, Locking::NO_KEY_UPDATE).await.expect("a row");
            txn.put(&key, &[8; 100]).expect("writable");
            txn.commit().await.expect("alone");
        })
        .await;
        measure(&format!("TPC-B like (6 operations), {isolation:?}"), 50_000, async |number| {
            let txn = db.begin(TxnOptions { isolation, ..TxnOptions::default() });
            for table in [1, 2, 3] {
                txn.begin_statement(true);
                let key = key(table, any(number + u64::from(table)));
                txn.get(&key, Locking::NO_KEY_UPDATE).await.expect("a row");
                txn.put(&key, &[8; 100]).expect("writable");
            }
            txn.begin_statement(true);
            txn.get(&key(1, any(number + 1)), Locking::NONE).await.expect("a row");
            txn.put(&key(5, number), &[9; 50]).expect("writable");
            txn.commit().await.expect("alone");
        })
        .await;
    }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.expect("a runtime").block_on(run());
}
