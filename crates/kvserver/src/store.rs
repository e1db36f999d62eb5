//! The store: takes batches, finds their range, and runs them.

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use clock::{Clock, Timestamp};
use concurrency::timestamp_cache::TimestampCacheConfig;
use env::Env;
use futures::future::BoxFuture;
use keys::{Key, NodeId, RangeId, StoreId};
use kvapi::{
    BatchRequest, BatchResponse, Header, KvError, NodeDialer, RangeDescriptor, Request, Response, Sender,
    TxnId, Unreachable,
};
use kvclient::{Db, DbConfig, FirstRange};
use replication::StateMachine;
use smallvec::SmallVec;
use storage::{Engine, StorageError};

use crate::consensus::Consensus;
use crate::machine::Machine;
use crate::ranges::Ranges;
use crate::replica::Replica;
use crate::{bootstrap, queues};

/// Settings of a store.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    pub node: NodeId,
    pub store: StoreId,
    /// A range that grows above this is split. In bytes of keys and values.
    pub range_bytes_max: u64,
    /// Old versions are kept this long for stale reads.
    pub gc_ttl: Duration,
    /// How often ranges are looked through for garbage, abandoned locks and the like.
    pub sweep_interval: Duration,
    /// Bounds of each range's timestamp cache.
    pub timestamp_cache: TimestampCacheConfig,
}

impl StoreConfig {
    /// The defaults.
    pub fn new(node: NodeId, store: StoreId) -> StoreConfig {
        StoreConfig {
            node,
            store,
            range_bytes_max: 128 << 20,
            gc_ttl: Duration::from_secs(4 * 3600),
            sweep_interval: Duration::from_secs(30),
            timestamp_cache: TimestampCacheConfig::default(),
        }
    }
}

/// A store of ranges: a [`Sender`]. Clones are the same store.
///
/// ```text
///   Store::open   reads what ranges there are; gives the state machine for `replication::Store::open`
///   Store::start  with the consensus that drives that machine: background work begins
/// ```
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

/// Shared by all requests of a store.
pub(crate) struct Inner {
    pub env: Arc<dyn Env>,
    pub ranges: Arc<Ranges>,
    consensus: OnceLock<Arc<dyn Consensus>>,
    /// The store's own client: pushes, resolution, addressing records.
    db: OnceLock<Db>,
    pub tasks: queues::Tasks,
}

impl Store {
    /// Finds the ranges on a store that has been bootstrapped.
    pub fn open(
        env: Arc<dyn Env>,
        clock: Arc<Clock>,
        engine: Arc<dyn Engine>,
        config: StoreConfig,
    ) -> Result<Store, StorageError> {
        let ranges = Ranges::new(config, clock, engine);
        bootstrap::load_ranges(&ranges)?;
        let inner = Inner {
            env,
            ranges,
            consensus: OnceLock::new(),
            db: OnceLock::new(),
            tasks: queues::Tasks::new(),
        };
        Ok(Store { inner: Arc::new(inner) })
    }

    /// What applies the commands of this store's ranges. For `replication::StoreWorld`.
    pub fn machine(&self) -> Arc<dyn StateMachine> {
        Machine::new(self.inner.ranges.clone())
    }

    /// Ranges that were found after bootstrap: of a store in use, call it before `start`.
    pub fn reload(&self) -> Result<(), StorageError> {
        bootstrap::load_ranges(&self.inner.ranges)
    }

    /// Serves from now on, and starts background work. `dialer` finds other nodes; for this one it should answer
    /// [`Store::dialer`]'s sender or `Arc::new(store.clone())`.
    pub fn start(&self, consensus: Arc<dyn Consensus>, dialer: Option<Arc<dyn NodeDialer>>) {
        let inner = &self.inner;
        assert!(inner.consensus.set(consensus).is_ok(), "a store is started once");
        let dialer = dialer.unwrap_or_else(|| Arc::new(LocalDialer(Arc::downgrade(inner))));
        let mut config = DbConfig::new(inner.ranges.config.node);
        config.buffer_bytes_max = usize::MAX;
        let first = Arc::new(LocalFirstRange(Arc::downgrade(inner)));
        let db = Db::new(inner.env.clone(), inner.ranges.clock.clone(), dialer, first, config);
        assert!(inner.db.set(db).is_ok(), "a store is started once");
        queues::start(inner);
    }

    /// Ends background work. Requests still answer as long as consensus does.
    pub fn stop(&self) {
        self.inner.tasks.stop();
    }

    /// A way to this store by its node id, for a node that stands alone. Keeps the store alive.
    pub fn dialer(&self) -> Arc<dyn NodeDialer> {
        Arc::new(OwnDialer(self.clone()))
    }

    /// Knows the first range as long as it has a replica here.
    pub fn first_range(&self) -> Arc<dyn FirstRange> {
        Arc::new(LocalFirstRange(Arc::downgrade(&self.inner)))
    }

    /// The ranges that have a replica here, by id.
    pub fn range_ids(&self) -> Vec<RangeId> {
        self.inner.ranges.all().iter().map(|replica| replica.id).collect()
    }

    /// Whether this store holds the leases of all its ranges: it is ready to serve.
    pub fn is_ready(&self) -> bool {
        self.inner.ranges.all().iter().all(|replica| replica.state.lock().lease.is_some())
    }

    /// Every lock held or waited for here, by range and key: for people.
    pub fn locks(&self) -> Vec<LockStanding> {
        let mut all = Vec::new();
        for replica in self.inner.ranges.all() {
            let state = replica.state.lock();
            let locks = &state.manager.locks;
            let mut last: Option<Key> = None;
            for (key, txn, strength) in locks.locks() {
                if last.as_ref() != Some(&key) {
                    let waiting = locks.waits(&key).into_iter();
                    all.extend(waiting.map(|(_, waiter, wait)| LockStanding {
                        range: replica.id,
                        key: key.clone(),
                        txn: waiter.id,
                        strength: kvapi::LockStrength::None,
                        waits_for: wait.blockers.to_vec(),
                    }));
                    last = Some(key.clone());
                }
                all.push(LockStanding { range: replica.id, key, txn, strength, waits_for: Vec::new() });
            }
        }
        all
    }

    /// Numbers for metrics, over all ranges here.
    pub fn metrics(&self) -> StoreMetrics {
        let mut metrics = StoreMetrics::default();
        for replica in self.inner.ranges.all() {
            metrics.ranges += 1;
            metrics.size_bytes += replica.size_bytes.load(std::sync::atomic::Ordering::Relaxed);
            metrics.intents += replica.intents.load(std::sync::atomic::Ordering::Relaxed).max(0) as u64;
            let state = replica.state.lock();
            metrics.leases += u64::from(state.lease.is_some());
            metrics.locks += state.manager.locks.held() as u64;
            metrics.lock_waiters += state.manager.locks.waiting() as u64;
        }
        metrics
    }
}

/// One lock, held or waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockStanding {
    pub range: RangeId,
    pub key: Key,
    pub txn: TxnId,
    /// `None`: it waits.
    pub strength: kvapi::LockStrength,
    /// Empty: it holds the lock.
    pub waits_for: Vec<TxnId>,
}

/// Numbers for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreMetrics {
    pub ranges: u64,
    pub leases: u64,
    pub size_bytes: u64,
    pub intents: u64,
    pub locks: u64,
    pub lock_waiters: u64,
}

impl Sender for Store {
    fn send<'a>(&'a self, batch: &'a BatchRequest) -> BoxFuture<'a, Result<BatchResponse, KvError>> {
        self.inner.send(batch)
    }
}

impl Inner {
    /// The one place where a batch is told apart. Every kind has a future of its own, so that the small ones stay small.
    pub fn send<'a>(
        self: &'a Arc<Self>,
        batch: &'a BatchRequest,
    ) -> BoxFuture<'a, Result<BatchResponse, KvError>> {
        let header = &batch.header;
        let replica = match self.admit(batch) {
            Ok(replica) => replica,
            Err(error) => return Box::pin(std::future::ready(Err(error))),
        };
        match &batch.requests[0] {
            Request::Get(get) if !get.lock.is_locking() => match self.try_get(&replica, header, get) {
                Some(result) => Box::pin(std::future::ready(result)),
                None => Box::pin(self.get(replica, header, get)),
            },
            Request::Get(get) => Box::pin(self.locking_get(replica, header, get)),
            Request::MultiGet(request) if !request.lock.is_locking() => {
                Box::pin(self.multi_get(replica, header, request))
            }
            Request::MultiGet(request) => Box::pin(self.locking_multi_get(replica, header, request)),
            Request::Scan(scan) if !scan.lock.is_locking() => Box::pin(self.scan(replica, header, scan)),
            Request::Scan(scan) => Box::pin(self.locking_scan(replica, header, scan)),
            Request::Write(write) => Box::pin(self.write(replica, header, write)),
            Request::Commit(commit) if commit.one_phase => {
                Box::pin(self.commit_in_one_phase(replica, header, commit))
            }
            Request::Commit(commit) => Box::pin(self.end_transaction(replica, header, commit)),
            Request::Refresh(refresh) => Box::pin(self.refresh(replica, header, refresh)),
            Request::HeartbeatTxn(heartbeat) => Box::pin(self.heartbeat(replica, header, heartbeat)),
            Request::PushTxn(push) => Box::pin(self.push(replica, push)),
            Request::QueryTxn(query) => Box::pin(self.query(replica, query)),
            Request::QueryIntent(query) => Box::pin(self.query_intent(replica, query)),
            Request::RecoverTxn(recover) => Box::pin(self.recover_record(replica, recover)),
            Request::ForgetTxn(forget) => Box::pin(self.forget(replica, forget)),
            Request::ResolveIntents(resolve) => Box::pin(self.resolve_intents(replica, resolve)),
            Request::Revert(revert) => Box::pin(self.revert(replica, header, revert)),
            Request::Split(split) => Box::pin(self.split(replica, split)),
            Request::Gc(gc) => Box::pin(self.collect_garbage(replica, gc)),
            Request::RangeStatus(_) => Box::pin(std::future::ready(self.range_status(&replica))),
        }
    }

    fn admit(&self, batch: &BatchRequest) -> Result<Arc<Replica>, KvError> {
        if batch.requests.len() != 1 {
            return Err(KvError::invalid("a batch carries exactly one request"));
        }
        if let Some(txn) = &batch.header.txn {
            // A clock that is behind what it is told of moves up, before anything is placed relative to it.
            let told = txn.read_timestamp.max(txn.meta.write_timestamp);
            let observed = self.ranges.clock.observe(told);
            observed.map_err(|error| KvError::unavailable(error.to_string()))?;
        }
        self.ranges.get(batch.header.range)
    }

    pub fn db(&self) -> Result<&Db, KvError> {
        self.db.get().ok_or_else(|| KvError::unavailable("the store has not been started"))
    }

    pub fn consensus(&self) -> Result<&Arc<dyn Consensus>, KvError> {
        self.consensus.get().ok_or_else(|| KvError::unavailable("the store has not been started"))
    }

    pub fn respond(&self, response: Response, read: Timestamp, write: Timestamp) -> BatchResponse {
        BatchResponse {
            responses: SmallVec::from_buf([response]),
            read_timestamp: read,
            write_timestamp: write,
            node: self.ranges.config.node,
            now: self.ranges.clock.last(),
        }
    }

    fn range_status(&self, replica: &Replica) -> Result<BatchResponse, KvError> {
        let state = replica.state.lock();
        state.check_lease()?;
        let lease = state.lease_for_others(&self.ranges);
        let status = kvapi::RangeStatusResponse {
            descriptor: (*state.descriptor).clone(),
            lease: lease
                .ok_or_else(|| KvError::corruption("the leaseholder is not in its range's descriptor"))?,
            size_bytes: replica.size_bytes.load(std::sync::atomic::Ordering::Relaxed),
            locks: state.manager.locks.held() as u64,
            lock_waiters: state.manager.locks.waiting() as u64,
        };
        Ok(self.respond(Response::RangeStatus(Box::new(status)), Timestamp::ZERO, Timestamp::ZERO))
    }
}

/// Where a batch reads: the transaction's timestamp, the one asked for, or now.
pub(crate) fn read_timestamp(header: &Header, clock: &Clock) -> Timestamp {
    match &header.txn {
        Some(txn) => txn.read_timestamp,
        None if header.timestamp.is_zero() => clock.now(),
        None => header.timestamp,
    }
}

/// The own store as a sender that does not keep it alive.
struct WeakSender(Weak<Inner>);

impl Sender for WeakSender {
    fn send<'a>(&'a self, batch: &'a BatchRequest) -> BoxFuture<'a, Result<BatchResponse, KvError>> {
        let Some(inner) = self.0.upgrade() else {
            return Box::pin(std::future::ready(Err(KvError::unavailable("the store is gone"))));
        };
        Box::pin(async move { inner.send(batch).await })
    }
}

/// Dials the own store directly: no indirection on the path of a read.
struct OwnDialer(Store);

impl NodeDialer for OwnDialer {
    fn dial(&self, node: NodeId) -> Result<Arc<dyn Sender>, Unreachable> {
        if self.0.inner.ranges.config.node == node {
            Ok(Arc::new(self.0.clone()))
        } else {
            Err(Unreachable { node, reason: "this node stands alone".to_string() })
        }
    }
}

struct LocalDialer(Weak<Inner>);

impl NodeDialer for LocalDialer {
    fn dial(&self, node: NodeId) -> Result<Arc<dyn Sender>, Unreachable> {
        match self.0.upgrade() {
            Some(inner) if inner.ranges.config.node == node => Ok(Arc::new(WeakSender(self.0.clone()))),
            Some(_) => Err(Unreachable { node, reason: "this node stands alone".to_string() }),
            None => Err(Unreachable { node, reason: "the store is gone".to_string() }),
        }
    }
}

struct LocalFirstRange(Weak<Inner>);

impl FirstRange for LocalFirstRange {
    fn descriptor(&self) -> Result<RangeDescriptor, KvError> {
        let inner = self.0.upgrade().ok_or_else(|| KvError::unavailable("the store is gone"))?;
        let first = inner.ranges.get(RangeId::FIRST)?;
        let descriptor = first.state.lock().descriptor.clone();
        Ok((*descriptor).clone())
    }
}

/// What a failure below means to whoever asked.
pub(crate) fn storage_error(error: StorageError) -> KvError {
    match error {
        StorageError::Corruption { what } => KvError::Corruption { reason: what },
        other => KvError::unavailable(other.to_string()),
    }
}
