//! How long a commit takes on a real disk, and how many there are a second, beside the bare synced write it rests on.
//!
//! `cargo run --release -p replication --features rocks --example commit_latency [FOLDER]`

// A measurement reads the clock and starts a runtime; what it measures does not.
#![allow(clippy::disallowed_methods)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use keys::{RangeId, ReplicaId, Span, StoreId, local};
use raft::Position;
use replication::{
    ApplyEffect, ApplyError, Committed, Leadership, NewRange, NoTransport, StateMachine, Store, StoreOptions,
    StoreWorld, configuration_of,
};
use storage::{Durability, Engine, Keyspace, RocksEngine, RocksOptions, WriteBatch};

const SECONDS: u64 = 3;
const WRITES_EACH: u64 = 8;

/// Applies batches as they come, as `kvserver` does.
struct Batches;

impl StateMachine for Batches {
    fn apply(
        &self,
        _: RangeId,
        command: &Committed,
        batch: &mut WriteBatch,
    ) -> Result<ApplyEffect, ApplyError> {
        batch.append_encoded(&command.command).map_err(|error| ApplyError(error.to_string()))?;
        Ok(ApplyEffect::default())
    }

    fn applied(&self, _: RangeId, _: Position, _: &[ApplyEffect]) {}

    fn leadership_changed(&self, _: RangeId, _: Leadership) {}

    fn snapshot_parts(&self, range: RangeId) -> Vec<(Keyspace, Span)> {
        vec![(Keyspace::RangeLocal, local::range_span(range))]
    }

    fn store_of(&self, _: RangeId, _: ReplicaId) -> Option<StoreId> {
        None
    }
}

fn a_command(number: u64) -> Bytes {
    let mut batch = WriteBatch::new();
    for write in 0..WRITES_EACH {
        let key = (number.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ write).to_be_bytes();
        batch.put(Keyspace::Current, &key, &[7; 100]);
    }
    batch.into_bytes()
}

fn report(what: &str, mut nanos: Vec<u64>, elapsed: Duration) {
    nanos.sort_unstable();
    let at = |share: f64| nanos[(share * (nanos.len() - 1) as f64) as usize] as f64 / 1_000.0;
    let rate = nanos.len() as f64 / elapsed.as_secs_f64();
    println!("{what:24} {rate:9.0}/s   median {:7.0} us   99% {:7.0} us", at(0.5), at(0.99));
}

fn measure_bare_writes(engine: &dyn Engine) {
    let (mut nanos, begin) = (Vec::new(), Instant::now());
    while begin.elapsed() < Duration::from_secs(SECONDS) {
        let mut batch = WriteBatch::new();
        batch.put(Keyspace::StoreLocal, &local::raft_log_entry(RangeId(9), nanos.len() as u64), &[7; 900]);
        let before = Instant::now();
        engine.write(&batch, Durability::Synced).expect("the disk works");
        nanos.push(before.elapsed().as_nanos() as u64);
    }
    report("a bare synced write", nanos, begin.elapsed());
}

async fn measure_commits(store: &Store, clients: u64) {
    let number = Arc::new(AtomicU64::new(0));
    let begin = Instant::now();
    let tasks: Vec<_> = (0..clients)
        .map(|_| {
            let (handle, number) = (store.range(RangeId(1)).expect("made in main"), Arc::clone(&number));
            tokio::spawn(async move {
                let mut nanos = Vec::new();
                while begin.elapsed() < Duration::from_secs(SECONDS) {
                    let command = a_command(number.fetch_add(1, Ordering::Relaxed));
                    let before = Instant::now();
                    handle.propose(command).await.expect("it is applied");
                    nanos.push(before.elapsed().as_nanos() as u64);
                }
                nanos
            })
        })
        .collect();
    let mut nanos = Vec::new();
    for task in tasks {
        nanos.extend(task.await.expect("no client panics"));
    }
    report(&format!("commits, {clients} clients"), nanos, begin.elapsed());
}

fn main() {
    let temporary = tempfile::tempdir().expect("a temporary folder");
    let folder = std::env::args().nth(1).map_or(temporary.path().join("data"), Into::into);
    let engine: Arc<dyn Engine> =
        Arc::new(RocksEngine::open(&folder, &RocksOptions::default()).expect("an empty folder"));
    measure_bare_writes(&*engine);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let world = StoreWorld {
            store: keys::StoreId(1),
            env: env::RealEnv::new(),
            engine,
            machine: Arc::new(Batches),
            transport: Arc::new(NoTransport),
        };
        let store = Store::open(world, StoreOptions::default()).expect("an empty store opens");
        store.start();
        let replica = ReplicaId(1);
        let range = NewRange { range: RangeId(1), replica, configuration: configuration_of([replica]) };
        store.create(&[range], WriteBatch::new()).expect("the disk works");
        store.settled().await;
        for clients in [1, 8, 32, 128] {
            measure_commits(&store, clients).await;
        }
        store.stop().await.expect("the disk works");
    });
}
