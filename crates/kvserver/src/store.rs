//! The store: takes batches, finds their range, and runs them.

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use clock::{Clock, Timestamp};
use concurrency::timestamp_cache::TimestampCacheConfig;
use env::{Env, trace};
use futures::future::BoxFuture;
use keys::{Key, NodeId, RangeId, StoreId};
use kvapi::membership::{FixedMembership, Membership};
use kvapi::planted::Planted;
use kvapi::{
    BatchRequest, BatchResponse, Header, KvError, NodeDialer, Processor, RangeDescriptor, Request, Response,
    Sender, TxnId, TxnMeta, Unreachable,
};
use kvclient::{Db, DbConfig, FirstRange};
use replication::StateMachine;
use smallvec::SmallVec;
use stdx::HistogramReading;
use storage::mvcc::Statistics;
use storage::{Engine, StorageError};
use tracing::Instrument;

use crate::check::{self, CheckCounts, CheckReport};
use crate::consensus::Consensus;
use crate::contention::{Contention, WaitEnd};
use crate::machine::Machine;
use crate::merge::MergeReadings;
use crate::moves::Moves;
use crate::placing::Configs;
use crate::ranges::Ranges;
use crate::replica::Replica;
use crate::signs::Signs;
use crate::splits::{SplitReadings, SplitReason};
use crate::tuning::StoreTuning;
use crate::{bootstrap, queues, replicate};

/// Settings of a store.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    pub node: NodeId,
    pub store: StoreId,
    /// A range that grows above this is split. In bytes of keys and values.
    pub range_bytes_max: u64,
    /// A range that is smaller than this is merged with a neighbour, if both together are far below `range_bytes_max`: see `merge`. In bytes; zero:
    /// none is.
    pub range_bytes_min: u64,
    /// So far behind now timestamps are closed: see `closed`.
    pub closed_lag: Duration,
    /// A range that is asked more often than this is split where the load is halved, unless the node stands alone: see `hot`. In requests per
    /// second; zero: none is.
    pub range_rate_max: u64,
    /// Old versions are kept this long for stale reads.
    pub gc_ttl: Duration,
    /// How often ranges are looked through for garbage, abandoned locks and the like.
    pub sweep_interval: Duration,
    /// Replicas of a range, when there are as many nodes.
    pub replicas: usize,
    /// The same of addressing and system ranges.
    pub system_replicas: usize,
    /// Tables below this key count as system ranges: no node works without them. They get ranges of their own once there are as many nodes.
    pub system_end: Key,
    /// A node that was silent for this long is taken for dead: its replicas are replaced.
    pub dead_after: Duration,
    /// How often ranges are looked at for being replicated as they should.
    pub replicate_interval: Duration,
    /// In this time all replicas of every range are compared once: see `check`. Zero: never.
    pub check_interval: Duration,
    /// Bounds of each range's timestamp cache.
    pub timestamp_cache: TimestampCacheConfig,
    /// Neighbours are merged at first sight, also those that a statement has split, and as long as they are not to be split: for simulations.
    pub merges_eagerly: bool,
    /// Safeguards that a simulation has taken away.
    pub planted: Planted,
}

impl StoreConfig {
    /// The defaults.
    pub fn new(node: NodeId, store: StoreId) -> StoreConfig {
        StoreConfig {
            node,
            store,
            range_bytes_max: 128 << 20,
            range_bytes_min: 16 << 20,
            range_rate_max: 10_000,
            closed_lag: kvapi::CLOSED_LAG,
            gc_ttl: Duration::from_secs(4 * 3600),
            sweep_interval: Duration::from_secs(30),
            replicas: 3,
            system_replicas: 5,
            system_end: keys::table::SPAN.start,
            dead_after: Duration::from_secs(300),
            replicate_interval: Duration::from_secs(1),
            check_interval: Duration::from_secs(24 * 3600),
            timestamp_cache: TimestampCacheConfig::default(),
            merges_eagerly: false,
            planted: Planted::NONE,
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
    /// Above every timestamp that an earlier process of this node gave out, below all of this one.
    born: Timestamp,
    was_used: bool,
    consensus: OnceLock<Arc<dyn Consensus>>,
    /// The store's own client: pushes, resolution, addressing records.
    db: OnceLock<Db>,
    membership: OnceLock<Arc<dyn Membership>>,
    /// Runs programs that come with scans.
    pub processor: OnceLock<Arc<dyn Processor>>,
    /// Other nodes, and this one.
    dialer: OnceLock<Arc<dyn NodeDialer>>,
    pub tasks: queues::Tasks,
    pub signs: Signs,
    pub configs: Configs,
    pub moves: Arc<Moves>,
}

impl Store {
    /// Finds the ranges on a store that has been bootstrapped.
    pub fn open(
        env: Arc<dyn Env>,
        clock: Arc<Clock>,
        engine: Arc<dyn Engine>,
        config: StoreConfig,
    ) -> Result<Store, StorageError> {
        if let Some(why) = check::condemned(&*engine)? {
            return Err(StorageError::corruption(why));
        }
        let was_used = bootstrap::has_ranges(&*engine)?;
        let born = clock.now();
        let ranges = Ranges::new(config, env.clone(), clock, engine, was_used);
        bootstrap::load_ranges(&ranges)?;
        let moves = Moves::new(env.entropy());
        let inner = Inner {
            env,
            ranges,
            born,
            was_used,
            consensus: OnceLock::new(),
            db: OnceLock::new(),
            membership: OnceLock::new(),
            processor: OnceLock::new(),
            dialer: OnceLock::new(),
            tasks: queues::Tasks::new(),
            signs: Signs::default(),
            configs: Configs::default(),
            moves,
        };
        Ok(Store { inner: Arc::new(inner) })
    }

    /// Whether the store had ranges, now or once, when it was opened. Whoever founds a cluster on such a store makes its first ranges
    /// a second time, under the same ids.
    pub fn was_used(&self) -> bool {
        self.inner.was_used
    }

    /// What applies the commands of this store's ranges. For `replication::StoreWorld`.
    pub fn machine(&self) -> Arc<dyn StateMachine> {
        Machine::new(self.inner.ranges.clone())
    }

    /// Ranges that were found after bootstrap: of a store in use, call it before `start`.
    pub fn reload(&self) -> Result<(), StorageError> {
        bootstrap::load_ranges(&self.inner.ranges)
    }

    /// Serves from now on, and starts background work. `dialer` finds other nodes, `membership` knows them; without, this
    /// one stands alone.
    pub fn start(
        &self,
        consensus: Arc<dyn Consensus>,
        dialer: Option<Arc<dyn NodeDialer>>,
        membership: Option<Arc<dyn Membership>>,
    ) {
        let inner = &self.inner;
        let config = &inner.ranges.config;
        let membership = membership.unwrap_or_else(|| FixedMembership::alone(config.node, config.store));
        assert!(inner.consensus.set(consensus).is_ok(), "a store is started once");
        for replica in inner.ranges.all() {
            let applied = inner.consensus.get().map_or(0, |consensus| consensus.applied_index(replica.id));
            replica.applied_index.fetch_max(applied, Ordering::AcqRel);
        }
        let dialer: Arc<dyn NodeDialer> =
            Arc::new(WeakDialer { store: Arc::downgrade(inner), others: dialer });
        assert!(inner.dialer.set(dialer.clone()).is_ok(), "a store is started once");
        let mut config = DbConfig::new(inner.ranges.config.node);
        config.buffer_bytes_max = usize::MAX;
        assert!(inner.membership.set(membership.clone()).is_ok(), "a store is started once");
        let first = self.first_range();
        let db = Db::new(inner.env.clone(), inner.ranges.clock.clone(), dialer, first, config);
        assert!(inner.db.set(db).is_ok(), "a store is started once");
        inner.ranges.is_alone.store(membership.nodes().len() <= 1, Ordering::Relaxed);
        queues::start(inner);
        let tasks = replicate::start(inner, membership);
        inner.tasks.keep(tasks);
    }

    /// Who runs the programs that come with scans. Counts the first time; without one such scans are refused, and asked for without
    /// program.
    pub fn set_processor(&self, processor: Arc<dyn Processor>) {
        drop(self.inner.processor.set(processor));
    }

    /// Changes values while the store runs. Ranges that are too large by them are split.
    pub fn tune(&self, tuning: StoreTuning) {
        let ranges = &self.inner.ranges;
        let before = ranges.tuning.get();
        if before == tuning {
            return;
        }
        ranges.tuning.set(tuning);
        ranges.all().iter().for_each(|replica| ranges.watch_size(replica));
    }

    /// The values now in force.
    pub fn tuning(&self) -> StoreTuning {
        self.inner.ranges.tuning.get()
    }

    /// How many replicas ranges keep at least while nodes are to be emptied: the most that some range does, if there were enough nodes.
    pub fn replicas_kept(&self) -> usize {
        crate::placing::kept_max(&self.inner)
    }

    /// Hands over all leases that others can take, within some time: before this node stops. Answers with how many are left.
    pub async fn hand_over_leases(&self, limit: Duration) -> usize {
        self.inner.hand_over_leases(limit).await
    }

    /// The ranges here as they are known here, and whether their leases are.
    pub fn descriptors(&self) -> Vec<(RangeDescriptor, bool)> {
        let all = self.inner.ranges.all();
        let each = all.iter().map(|replica| {
            let state = replica.state.lock();
            ((*state.descriptor).clone(), state.lease.is_some())
        });
        each.collect()
    }

    /// Ends background work. Requests still answer as long as consensus does.
    pub fn stop(&self) {
        self.inner.tasks.stop();
    }

    /// A way to this store by its node id, and to the others through `others`. Keeps the store alive.
    pub fn dialer(&self, others: Option<Arc<dyn NodeDialer>>) -> Arc<dyn NodeDialer> {
        Arc::new(OwnDialer { store: self.clone(), others })
    }

    /// Knows the first range: from its replica here, or from what others say.
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

    /// Forgets, range by range, all that only a leaseholder knows: locks, reads, marks of transactions; as if every lease had moved
    /// away and come back. For simulations.
    pub fn restart_leases(&self) {
        for replica in self.inner.ranges.all() {
            let lease = replica.state.lock().lease;
            if let Some(lease) = lease {
                replica.end_lease(None);
                replica.begin_lease(lease.term);
            }
        }
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
                        strength: wait.strength,
                        waits_for: wait.blockers.to_vec(),
                    }));
                    last = Some(key.clone());
                }
                all.push(LockStanding { range: replica.id, key, txn, strength, waits_for: Vec::new() });
            }
        }
        all
    }

    /// The ranges here with what is known of them here alone, by id: for people.
    pub fn range_standings(&self) -> Vec<RangeStanding> {
        let each = self.inner.ranges.all().into_iter().map(|replica| {
            let statistics = replica.apply.lock().statistics;
            let state = replica.state.lock();
            RangeStanding {
                descriptor: state.descriptor.clone(),
                lease: state.lease.map(|lease| LeaseStanding {
                    term: lease.term,
                    start: lease.start,
                    until: (!lease.is_alone).then_some(lease.until),
                }),
                statistics,
                intents: replica.intents.load(Ordering::Acquire),
                rate: replica.heat.rate(),
                locks: state.manager.locks.held() as u64,
                lock_waiters: state.manager.locks.waiting() as u64,
            }
        });
        each.collect()
    }

    /// Waits for locks here that have ended, oldest first: for people.
    pub fn contention(&self) -> Vec<Contention> {
        self.inner.ranges.contention.all()
    }

    /// Who waits for whom here, as deadlocks are looked for: for people.
    pub fn waits(&self) -> Vec<(TxnId, TxnId)> {
        self.inner.ranges.room.edges().iter().map(|edge| (edge.waiter, edge.blocker)).collect()
    }

    /// What was found of ranges that were checked from here: for people.
    pub fn check_reports(&self) -> Vec<(RangeId, CheckReport)> {
        self.inner.ranges.checks.reports()
    }

    /// How background work stands, and how long things take.
    pub fn readings(&self) -> StoreReadings {
        let (ranges, tasks) = (&self.inner.ranges, &self.inner.tasks);
        StoreReadings {
            addressing_queue: ranges.events.described.len() + ranges.events.addressing_described.len(),
            split_queue: ranges.events.too_large.len(),
            collection_queue: ranges.events.replaced.len(),
            finishing: tasks.finishing(),
            wait_ends: ranges.contention.counts(),
            checks: ranges.checks.counts(),
            splits: ranges.splits.read(),
            merges: ranges.merges.read(),
            replicate_times: ranges.replicate_times.read(),
            lock_wait_times: ranges.lock_wait_times.read(),
        }
    }

    /// Numbers for metrics, over all ranges here.
    pub fn metrics(&self) -> StoreMetrics {
        let counts = &self.inner.ranges.follower_reads;
        let scans = &self.inner.ranges.scans;
        let mut metrics = StoreMetrics {
            follower_reads_served: counts.served.load(Ordering::Relaxed),
            follower_reads_refused: counts.refused.load(Ordering::Relaxed),
            scan_rows: scans.rows.load(Ordering::Relaxed),
            scan_bytes: scans.bytes.load(Ordering::Relaxed),
            programs: scans.programs.load(Ordering::Relaxed),
            program_rows_read: scans.program_rows_read.load(Ordering::Relaxed),
            program_bytes_read: scans.program_bytes_read.load(Ordering::Relaxed),
            program_bytes: scans.program_bytes.load(Ordering::Relaxed),
            ..StoreMetrics::default()
        };
        let now = self.inner.ranges.clock.last();
        for replica in self.inner.ranges.all() {
            metrics.ranges += 1;
            metrics.size_bytes += replica.size_bytes.load(Ordering::Relaxed);
            metrics.intents += replica.intents.load(Ordering::Relaxed).max(0) as u64;
            let mut state = replica.state.lock();
            let closed = replica.closed_at(&mut state);
            if !closed.is_zero() {
                metrics.closed_lag = metrics.closed_lag.max(now.wall_since(closed));
            }
            metrics.leases += u64::from(state.lease.is_some());
            metrics.locks += state.manager.locks.held() as u64;
            metrics.lock_waiters += state.manager.locks.waiting() as u64;
        }
        metrics
    }
}

/// A range with a replica here.
#[derive(Clone, Debug)]
pub struct RangeStanding {
    pub descriptor: Arc<RangeDescriptor>,
    /// `None`: the lease is elsewhere, or nowhere.
    pub lease: Option<LeaseStanding>,
    /// What the replica here holds, about.
    pub statistics: Statistics,
    /// How many intents it holds, exactly.
    pub intents: i64,
    /// Requests per second, if the lease is here and that is measured.
    pub rate: f64,
    pub locks: u64,
    pub lock_waiters: u64,
}

/// A lease that is held here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseStanding {
    /// The term of the leader.
    pub term: u64,
    pub start: Timestamp,
    /// Up to which wall time, in nanoseconds since 1970, others have promised to keep it; `None`: it does not end.
    pub until: Option<u64>,
}

/// One lock, held or waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockStanding {
    pub range: RangeId,
    pub key: Key,
    pub txn: TxnId,
    /// What is held, or wanted.
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
    /// How far the timestamp closed lies behind, in the range where it is furthest behind; zero: nothing is closed anywhere.
    pub closed_lag: Duration,
    /// Reads that were answered without the lease, and those as old that were sent on.
    pub follower_reads_served: u64,
    pub follower_reads_refused: u64,
    /// Rows and their bytes that scans have answered with.
    pub scan_rows: u64,
    pub scan_bytes: u64,
    /// Pages of scans that a program has run on, what it has read for them, and the bytes that it has answered with instead.
    pub programs: u64,
    pub program_rows_read: u64,
    pub program_bytes_read: u64,
    pub program_bytes: u64,
}

/// What a store measures of its work.
#[derive(Clone, Debug)]
pub struct StoreReadings {
    /// Ranges whose addressing records are to be written, that are to be split, whose replicas here may have been removed.
    pub addressing_queue: usize,
    pub split_queue: usize,
    pub collection_queue: usize,
    /// Ended transactions whose intents are being resolved.
    pub finishing: usize,
    /// Waits for locks by how they ended.
    pub wait_ends: [(WaitEnd, u64); 4],
    pub checks: CheckCounts,
    pub splits: SplitReadings,
    pub merges: MergeReadings,
    /// From a proposal to its effect here.
    pub replicate_times: HistogramReading,
    pub lock_wait_times: HistogramReading,
}

impl Sender for Store {
    fn send<'a>(&'a self, batch: &'a BatchRequest) -> BoxFuture<'a, Result<BatchResponse, KvError>> {
        self.inner.send(batch)
    }
}

impl Inner {
    pub fn send<'a>(
        self: &'a Arc<Self>,
        batch: &'a BatchRequest,
    ) -> BoxFuture<'a, Result<BatchResponse, KvError>> {
        if trace::is_on() { self.send_traced(batch) } else { self.serve(batch) }
    }

    #[cold]
    fn send_traced<'a>(
        self: &'a Arc<Self>,
        batch: &'a BatchRequest,
    ) -> BoxFuture<'a, Result<BatchResponse, KvError>> {
        let kind = batch.requests.first().map_or("nothing", Request::kind);
        let span = trace::span(|| format!("evaluate {kind} in range {}", batch.header.range));
        // Some of them do all their work before they are awaited.
        let work = span.in_scope(|| self.serve(batch));
        Box::pin(work.instrument(span))
    }

    /// The one place where a batch is told apart. Every kind has a future of its own, so that the small ones stay small.
    fn serve<'a>(
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
            Request::Fold(fold) => Box::pin(self.fold(replica, header, fold)),
            Request::Probe(probe) => Box::pin(self.probe(replica, header, probe)),
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
            Request::ReleaseLocks(release) => {
                Box::pin(std::future::ready(self.release_locks(&replica, header, release)))
            }
            Request::Split(split) => {
                Box::pin(self.split_for(replica, split.at.clone(), SplitReason::Statement))
            }
            Request::Gc(gc) => Box::pin(self.collect_garbage(replica, gc)),
            Request::RangeStatus(status) => {
                Box::pin(std::future::ready(self.range_status(&replica, &status.key)))
            }
            Request::ClearSpan(clear) => Box::pin(self.clear_span(replica, clear)),
            Request::ChangeReplicas(change) => Box::pin(self.change_replicas(replica, change)),
            Request::TransferLease(transfer) => Box::pin(self.transfer_lease(replica, transfer)),
            Request::CheckReplicas(check) => Box::pin(self.check_when_asked(replica, check)),
            Request::BarMerge(bar) => Box::pin(self.bar_merge(replica, bar)),
            Request::Checksum(checksum) => {
                Box::pin(std::future::ready(Ok(self.checksum(&replica, checksum))))
            }
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
        let replica = self.ranges.get(batch.header.range)?;
        replica.load.asked();
        replica.heat.asked(&batch.requests[0]);
        Ok(replica)
    }

    pub fn membership(&self) -> Option<&Arc<dyn Membership>> {
        self.membership.get()
    }

    pub fn db(&self) -> Result<&Db, KvError> {
        self.db.get().ok_or_else(|| KvError::unavailable("the store has not been started"))
    }

    /// A way to a node; `None` before the store is started.
    pub fn dial(&self, node: NodeId) -> Option<Result<Arc<dyn Sender>, Unreachable>> {
        self.dialer.get().map(|dialer| dialer.dial(node))
    }

    pub fn consensus(&self) -> Result<&Arc<dyn Consensus>, KvError> {
        self.consensus.get().ok_or_else(|| KvError::unavailable("the store has not been started"))
    }

    /// Whether the transaction was coordinated by an earlier process of this node: nobody will end it any more.
    pub fn is_orphaned(&self, txn: &TxnMeta) -> bool {
        txn.id.coordinator() == self.ranges.config.node && txn.start < self.born
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

    /// The bounds count here as well: whoever asks after the range of a key, and was sent to another, would go on doing so.
    fn range_status(&self, replica: &Replica, key: &Key) -> Result<BatchResponse, KvError> {
        let mut state = replica.state.lock();
        state.check_lease(&self.ranges)?;
        state.check_key(key, &self.ranges)?;
        let lease = state.lease_for_others(&self.ranges);
        let status = kvapi::RangeStatusResponse {
            descriptor: (*state.descriptor).clone(),
            lease: lease
                .ok_or_else(|| KvError::corruption("the leaseholder is not in its range's descriptor"))?,
            size_bytes: replica.size_bytes.load(Ordering::Relaxed),
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

/// The same, and up to where values count as uncertain.
pub(crate) fn read_timestamp_and_limit(header: &Header, clock: &Clock) -> (Timestamp, Timestamp) {
    let timestamp = read_timestamp(header, clock);
    let limit = header.txn.as_ref().map_or(timestamp, |txn| txn.uncertainty_limit.max(timestamp));
    (timestamp, limit)
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
struct OwnDialer {
    store: Store,
    others: Option<Arc<dyn NodeDialer>>,
}

impl NodeDialer for OwnDialer {
    fn dial(&self, node: NodeId) -> Result<Arc<dyn Sender>, Unreachable> {
        if self.store.inner.ranges.config.node == node {
            return Ok(Arc::new(self.store.clone()));
        }
        dial_other(self.others.as_ref(), node)
    }
}

fn dial_other(others: Option<&Arc<dyn NodeDialer>>, node: NodeId) -> Result<Arc<dyn Sender>, Unreachable> {
    match others {
        Some(others) => others.dial(node),
        None => Err(Unreachable { node, reason: "this node stands alone".to_string() }),
    }
}

/// The same without keeping the store alive: for what the store itself asks.
struct WeakDialer {
    store: Weak<Inner>,
    others: Option<Arc<dyn NodeDialer>>,
}

impl NodeDialer for WeakDialer {
    fn dial(&self, node: NodeId) -> Result<Arc<dyn Sender>, Unreachable> {
        match self.store.upgrade() {
            Some(inner) if inner.ranges.config.node == node => Ok(Arc::new(WeakSender(self.store.clone()))),
            Some(_) => dial_other(self.others.as_ref(), node),
            None => Err(Unreachable { node, reason: "the store is gone".to_string() }),
        }
    }
}

struct LocalFirstRange(Weak<Inner>);

impl FirstRange for LocalFirstRange {
    fn descriptor(&self) -> Result<RangeDescriptor, KvError> {
        let inner = self.0.upgrade().ok_or_else(|| KvError::unavailable("the store is gone"))?;
        let here = inner.ranges.get(RangeId::FIRST).ok();
        let here = here.map(|first| (*first.state.lock().descriptor).clone());
        // A replica here may have been removed without knowing it: the newer descriptor counts.
        let told = inner.membership().and_then(|membership| membership.first_range());
        let newest = here.into_iter().chain(told).max_by_key(|descriptor| descriptor.generation);
        newest.ok_or_else(|| KvError::unavailable("where the first range is, is not known yet"))
    }
}

/// Waits as long as a task of a store rests between two rounds, anew whenever a setting changes. `None`: the store has stopped.
/// Does not keep it alive meanwhile.
pub(crate) async fn next_round(
    store: &Weak<Inner>,
    length: impl Fn(&Inner, &StoreTuning) -> Duration,
) -> Option<Arc<Inner>> {
    loop {
        let inner = store.upgrade()?;
        let pause = inner.ranges.tuning.pause(&inner.env, |tuning| length(&inner, tuning));
        drop(inner);
        if pause.is_over().await {
            return store.upgrade().filter(|inner| !inner.tasks.is_stopped());
        }
    }
}

/// What a failure below means to whoever asked.
pub(crate) fn storage_error(error: StorageError) -> KvError {
    match error {
        StorageError::Corruption { what } => KvError::Corruption { reason: what },
        other => KvError::unavailable(other.to_string()),
    }
}
