//! A store with its Raft groups in the simulated world, and a client to it.

#![allow(dead_code)]

pub mod histories;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use clock::{Clock, ClockConfig, WallSource, WallTime};
use env::{Env, SimEnv, Simulation};
use keys::{Key, NodeId, StoreId};
use kvclient::{Db, DbConfig, Isolation, KvError, Locking, Scan, ScanOptions, Txn, TxnOptions};
use kvserver::{Store, StoreConfig};
use parking_lot::Mutex;
use replication::{NoTransport, StoreOptions, StoreWorld};
use storage::{Engine, MemoryDisk, MemoryOptions};

/// Virtual time within which any test must be done.
const LIMIT: Duration = Duration::from_secs(600);

pub struct Wall(pub Arc<SimEnv>);

impl WallSource for Wall {
    fn wall(&self) -> WallTime {
        self.0.wall()
    }

    fn monotonic(&self) -> Duration {
        self.0.monotonic()
    }
}

pub struct World {
    pub simulation: Simulation,
    pub machine: Arc<SimEnv>,
    pub disk: MemoryDisk,
    /// The clocks of earlier lives, whose readings must not come again.
    clocks: Mutex<Vec<Arc<Clock>>>,
}

/// One life of a node.
#[derive(Clone)]
pub struct Node {
    pub env: Arc<dyn Env>,
    pub store: Store,
    pub raft: replication::Store,
    pub db: Db,
    pub clock: Arc<Clock>,
}

impl World {
    pub fn new(seed: u64) -> World {
        let simulation = Simulation::new(seed);
        let machine = simulation.machine();
        World { simulation, machine, disk: MemoryDisk::new(), clocks: Mutex::default() }
    }

    /// Runs a test against a fresh node.
    pub fn run<T, F, Fut>(&self, configure: impl FnOnce(&mut StoreConfig, &mut DbConfig), test: F) -> T
    where
        T: Send + 'static,
        F: FnOnce(Node) -> Fut,
        Fut: Future<Output = T> + Send + 'static,
    {
        let node = self.start(configure);
        let raft = node.raft.clone();
        let test = test(node);
        let finished = self.simulation.block_on(LIMIT, async move {
            raft.settled().await;
            test.await
        });
        finished.unwrap_or_else(|| panic!("stalled; alive: {:?}", self.simulation.live_tasks()))
    }

    /// A clock that begins above those of earlier lives.
    fn clock(&self) -> Arc<Clock> {
        let mut clocks = self.clocks.lock();
        let bound = clocks.last().map(|clock| WallTime::from_unix_nanos(clock.last().wall));
        let clock = Clock::bounded(Wall(self.machine.clone()), ClockConfig::default(), bound);
        clock.bound_persisted(WallTime::from_unix_nanos(u64::MAX));
        let clock = Arc::new(clock);
        clocks.push(clock.clone());
        clock
    }

    /// Starts a node on what the disk holds.
    pub fn start(&self, configure: impl FnOnce(&mut StoreConfig, &mut DbConfig)) -> Node {
        let env: Arc<dyn Env> = self.machine.clone();
        let engine: Arc<dyn Engine> = self.disk.open(MemoryOptions::default()).expect("the disk is free");
        let clock = self.clock();
        let mut config = StoreConfig::new(NodeId(1), StoreId(1));
        let mut db_config = DbConfig::new(NodeId(1));
        configure(&mut config, &mut db_config);
        let store = Store::open(env.clone(), clock.clone(), engine.clone(), config.clone()).expect("a store");
        let world = StoreWorld {
            store: keys::StoreId(1),
            env: env.clone(),
            engine,
            machine: store.machine(),
            transport: Arc::new(NoTransport),
        };
        let raft = replication::Store::open(world, StoreOptions::default()).expect("the logs are sound");
        if raft.ranges().is_empty() {
            let first = kvserver::bootstrap::first_ranges(&config, clock.now());
            raft.create(&first.ranges, first.contents).expect("an empty store");
            store.reload().expect("just made");
        }
        store.start(Arc::new(raft.clone()), None, None);
        raft.start();
        let db = Db::new(env.clone(), clock.clone(), store.dialer(None), store.first_range(), db_config);
        Node { env, store, raft, db, clock }
    }
}

/// A key in the area of tables.
pub fn key(text: &str) -> Key {
    let mut bytes = vec![keys::prefix::TABLE];
    bytes.extend_from_slice(text.as_bytes());
    Key::from(bytes)
}

pub fn span(start: &str, end: &str) -> keys::Span {
    keys::Span::new(key(start), key(end))
}

pub fn options(isolation: Isolation) -> TxnOptions {
    TxnOptions { isolation, ..TxnOptions::default() }
}

pub fn serializable(db: &Db) -> Txn {
    db.begin(options(Isolation::Serializable))
}

/// Writes rows in a transaction of their own.
pub async fn put_all(db: &Db, rows: &[(&str, &str)]) {
    let txn = serializable(db);
    for (name, value) in rows {
        txn.put(&key(name), value.as_bytes()).expect("writable");
    }
    txn.commit().await.expect("nobody is in the way");
}

pub async fn get(txn: &Txn, name: &str, locking: Locking) -> Result<Option<String>, KvError> {
    let value = txn.get(&key(name), locking).await?;
    Ok(value.map(|value| String::from_utf8(value).expect("text")))
}

pub async fn get_now(db: &Db, name: &str) -> Option<String> {
    get(&serializable(db), name, Locking::NONE).await.expect("a read of now")
}

/// All rows of a scan, as text.
pub async fn rows(txn: &Txn, mut scan: Scan) -> Result<Vec<String>, KvError> {
    let mut all = Vec::new();
    while let Some(page) = scan.next_page(txn).await? {
        for row in page.iter() {
            let name = String::from_utf8_lossy(&row.key[1..]).into_owned();
            all.push(format!("{name}={}", String::from_utf8_lossy(row.value.expect("scans give values"))));
        }
    }
    Ok(all)
}

pub async fn scan(txn: &Txn, start: &str, end: &str) -> Result<Vec<String>, KvError> {
    rows(txn, txn.scan(ScanOptions::forward(span(start, end)))).await
}
