//! The entry point: what a node shares among all transactions that it coordinates.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use clock::Clock;
use env::{Env, timeout};
use futures::future::{BoxFuture, join_all};
use keys::Key;
use kvapi::planted::Planted;
use kvapi::{
    BatchRequest, GetRequest, Header, HeartbeatTxnRequest, Isolation, KvError, Membership, NodeDialer,
    NodeId, RangeDescriptor, RangeStatusRequest, RangeStatusResponse, Response, Span, SplitRequest,
    Timestamp, TxnId, TxnStatus,
};
use parking_lot::Mutex;
use smallvec::SmallVec;
use stdx::{Backoff, Prng};

use crate::nearest::Nearest;
use crate::router::{Place, Router, unexpected};
use crate::txn::{Shared, State};
use crate::unique::UniqueNumbers;
use crate::{RestartScope, Txn, TxnOptions};

/// How often coordinators say that their transactions are alive, and how old one must be to need it.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);
/// How long is waited to learn who leads a range, for planning.
const LOCATE_PATIENCE: Duration = Duration::from_secs(1);
/// Heartbeats in flight at once.
const HEARTBEATS_AT_ONCE: usize = 64;
/// Attempts of [`Db::transact`].
const TRANSACT_ATTEMPTS_MAX: u32 = 64;

/// Knows the first range of the keyspace, from which every other can be found.
pub trait FirstRange: Send + Sync {
    fn descriptor(&self) -> Result<RangeDescriptor, KvError>;
}

/// Settings of a [`Db`].
#[derive(Clone, Debug)]
pub struct DbConfig {
    /// The node on which this coordinator runs.
    pub node: NodeId,
    /// Buffered bytes of one transaction beyond which writes are flushed early as intents.
    pub buffer_bytes_max: usize,
    /// How far behind now the stores close timestamps.
    pub closed_lag: Duration,
    /// Safeguards that a simulation has taken away.
    pub planted: Planted,
}

impl DbConfig {
    /// The defaults for a node.
    pub fn new(node: NodeId) -> DbConfig {
        let closed_lag = kvapi::CLOSED_LAG;
        DbConfig { node, buffer_bytes_max: 4 << 20, closed_lag, planted: Planted::NONE }
    }
}

/// The database as the SQL layer sees it: one ordered map with transactions. Cheap to clone.
#[derive(Clone)]
pub struct Db {
    inner: Arc<Inner>,
}

/// What the commits of a node's transactions have cost, since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommitCounts {
    /// Transactions that wrote and were committed.
    pub commits: u64,
    /// Rounds of consensus that these and those that failed waited for, one after the other: ranges that work at the same time are
    /// one round.
    pub rounds: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub commits: AtomicU64,
    pub rounds: AtomicU64,
}

/// Shared by all transactions of a node.
pub(crate) struct Inner {
    pub env: Arc<dyn Env>,
    pub clock: Arc<Clock>,
    pub router: Router,
    pub config: DbConfig,
    /// `config.buffer_bytes_max`, as it is now.
    pub buffer_bytes_max: AtomicUsize,
    pub counts: Counts,
    numbers: UniqueNumbers,
    /// Lock order: leaf.
    prng: Mutex<Prng>,
    /// Transactions that hold locks or have flushed. Lock order: after a transaction's state.
    alive: Mutex<BTreeMap<TxnId, Weak<Shared>>>,
}

impl Db {
    /// Starts the task that sends heartbeats; it ends when the last clone of the database is gone.
    pub fn new(
        env: Arc<dyn Env>,
        clock: Arc<Clock>,
        dialer: Arc<dyn NodeDialer>,
        first: Arc<dyn FirstRange>,
        config: DbConfig,
    ) -> Db {
        let nearest = Nearest::new(config.node, clock.clone(), config.closed_lag);
        let router = Router::new(env.clone(), dialer, first, config.node, nearest);
        // Two draws, so that coordinators with equal first draws still differ.
        let mut prng = Prng::new(env.entropy() ^ u64::from(config.node.0).rotate_left(32));
        let prng = Mutex::new(Prng::new(prng.next_u64() ^ env.entropy()));
        let inner = Arc::new(Inner {
            env: env.clone(),
            clock,
            router,
            numbers: UniqueNumbers::new(config.node),
            buffer_bytes_max: AtomicUsize::new(config.buffer_bytes_max),
            counts: Counts::default(),
            config,
            prng,
            alive: Mutex::new(BTreeMap::new()),
        });
        drop(
            env.spawn(
                "transaction-heartbeats",
                Box::pin(send_heartbeats(env.clone(), Arc::downgrade(&inner))),
            ),
        );
        Db { inner }
    }

    /// Changes [`DbConfig::buffer_bytes_max`], for running transactions too.
    pub fn set_buffer_bytes_max(&self, bytes: usize) {
        self.inner.buffer_bytes_max.store(bytes, Ordering::Relaxed);
    }

    /// Changes [`DbConfig::closed_lag`].
    pub fn set_closed_lag(&self, closed_lag: Duration) {
        self.inner.router.nearest.set_closed_lag(closed_lag);
    }

    /// Errors with which ranges have answered this node's batches, by kind; those that led to a retry included.
    pub fn error_counts(&self) -> Vec<(&'static str, u64)> {
        self.inner.router.error_counts()
    }

    /// Transactions that hold locks or have sent writes ahead of their commit.
    pub fn transactions_alive(&self) -> usize {
        self.inner.alive.lock().len()
    }

    pub fn commit_counts(&self) -> CommitCounts {
        let Counts { commits, rounds } = &self.inner.counts;
        CommitCounts { commits: commits.load(Ordering::Relaxed), rounds: rounds.load(Ordering::Relaxed) }
    }

    /// Begins a transaction. Sends nothing.
    pub fn begin(&self, options: TxnOptions) -> Txn {
        let (start, limit) = match options.as_of {
            Some(timestamp) => (timestamp, timestamp),
            None => {
                let now = self.inner.clock.now();
                (now, self.inner.clock.uncertainty_limit(now))
            }
        };
        let Inner { config, .. } = &*self.inner;
        let began = self.inner.env.monotonic();
        let mut state = State::new(self.inner.draw_id(), began, start, limit, config.node, &options);
        state.planted = config.planted;
        Txn::new(self.inner.clone(), state)
    }

    /// Runs `body` in a transaction of its own and commits, doing all of it over while it is told to
    /// restart. For the system's own small transactions: catalog changes, jobs.
    pub async fn transact<T, F>(&self, options: TxnOptions, body: F) -> Result<T, KvError>
    where
        F: for<'t> Fn(&'t Txn) -> BoxFuture<'t, Result<T, KvError>>,
    {
        let txn = self.begin(options);
        let mut backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(100));
        loop {
            let result = match body(&txn).await {
                Ok(value) => txn.commit().await.map(|_| value),
                Err(error) => Err(error),
            };
            let error = match result {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            // A statement alone cannot be done over from here: all of it is.
            let restart = match txn.can_restart(&error) {
                Some(RestartScope::Statement | RestartScope::Transaction) => {
                    backoff.attempts() < TRANSACT_ATTEMPTS_MAX
                }
                None => false,
            };
            if !restart {
                txn.rollback().await;
                return Err(error);
            }
            txn.restart(&error).await?;
            let pause = backoff.next_wait(&mut self.inner.prng.lock());
            self.inner.env.sleep(pause).await;
        }
    }

    /// A timestamp above everything this node has seen.
    pub fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// The newest timestamp at which every replica of a range can be expected to answer a read.
    pub fn follower_read_timestamp(&self) -> Timestamp {
        self.inner.router.nearest.follower_read_timestamp()
    }

    /// Where the nodes stand, for reads of the past that go to the nearest replica. Without it they stay on this node, or go to leaseholders.
    pub fn set_membership(&self, membership: Arc<dyn Membership>) {
        self.inner.router.nearest.set_membership(membership);
    }

    /// The first of `count` numbers that no other call on any node gives; each next one is
    /// [`crate::UNIQUE_NUMBER_STEP`] above the one before. They rise with time.
    pub fn unique_numbers(&self, count: u64) -> i64 {
        self.inner.numbers.draw(self.inner.clock.now(), count)
    }

    /// Removes all that a span holds, as if it had never been written: for what nobody reads or writes any more. Reads of the ranges concerned below
    /// `threshold` are refused from now on.
    pub async fn clear_span(&self, span: &Span, threshold: Timestamp) -> Result<(), KvError> {
        self.inner.router.clear(span, threshold).await
    }

    /// Makes `key` the start of a range. No error if it already is one. Answers with that range.
    pub async fn split_at(&self, key: &[u8]) -> Result<RangeDescriptor, KvError> {
        let request = SplitRequest { at: Key::copy_from(key) };
        let mut batch = BatchRequest::new(Default::default(), request);
        let mut response = self.inner.router.send_to(key, &mut batch).await?;
        match response.responses.pop() {
            Some(Response::Split(split)) => {
                self.inner.router.learn(split.left)?;
                self.inner.router.learn(split.right.clone())?;
                Ok(split.right)
            }
            other => Err(unexpected(other)),
        }
    }

    /// The ranges that overlap `span`, in key order, as the addressing keyspace has them now.
    pub async fn ranges(&self, span: &Span) -> Result<Vec<RangeDescriptor>, KvError> {
        let mut ranges = Vec::new();
        let mut key = span.start.clone();
        while key < span.end {
            let descriptor = self.inner.router.look_up_afresh(&key).await?;
            key = descriptor.span.end.clone();
            ranges.push(descriptor);
        }
        Ok(ranges)
    }

    /// The node that this database is on.
    pub fn node(&self) -> NodeId {
        self.inner.config.node
    }

    /// Whether no other node is known.
    pub fn is_alone(&self) -> bool {
        self.inner.router.nearest.is_alone()
    }

    /// Where a key lies. Who holds the range's lease is asked once, and may have changed since; if nobody answers in time, it stays a guess.
    pub async fn locate(&self, key: &[u8]) -> Result<Place, KvError> {
        let place = self.inner.router.locate(key).await?;
        if place.is_certain {
            return Ok(place);
        }
        self.ask_leaseholder(key).await;
        self.inner.router.locate(key).await
    }

    /// Has a range answered by its leaseholder, which is known then; unless that takes too long. Whoever reads will hear why.
    async fn ask_leaseholder(&self, key: &[u8]) {
        let asked = timeout(&*self.inner.env, LOCATE_PATIENCE, self.range_status(key)).await;
        if let Ok(Err(error)) = asked {
            tracing::debug!(%error, "who leads a range is not known");
        }
    }

    /// Where the keys just below `key` lie.
    pub async fn locate_before(&self, key: &[u8]) -> Result<Place, KvError> {
        let place = self.inner.router.locate_before(key).await?;
        if place.is_certain {
            return Ok(place);
        }
        self.ask_leaseholder(&place.span.start).await;
        self.inner.router.locate_before(key).await
    }

    /// The range of a key as its leaseholder has it, which is known afterwards.
    pub async fn range_status(&self, key: &[u8]) -> Result<Box<RangeStatusResponse>, KvError> {
        let status = RangeStatusRequest { key: Key::copy_from(key) };
        let mut batch = BatchRequest::new(Header::default(), status);
        match self.inner.router.send_to(key, &mut batch).await?.responses.pop() {
            Some(Response::RangeStatus(status)) => Ok(status),
            other => Err(unexpected(other)),
        }
    }

    /// Sends one request to the range of a key, with routing and retries: for the system itself.
    pub async fn send(&self, key: &[u8], batch: &mut BatchRequest) -> Result<kvapi::BatchResponse, KvError> {
        self.inner.router.send_to(key, batch).await
    }

    /// Reads a key as of a timestamp, which may lie ahead: then nothing is written to it up to there any more. Zero: its leaseholder's now.
    pub async fn get_at(&self, key: &[u8], timestamp: Timestamp) -> Result<Option<Vec<u8>>, KvError> {
        let header = Header { timestamp, ..Header::default() };
        let get = GetRequest { key: Key::copy_from(key), ..GetRequest::default() };
        let mut response = self.inner.router.send_to(key, &mut BatchRequest::new(header, get)).await?;
        match response.responses.pop() {
            Some(Response::Get(value)) => Ok(value),
            other => Err(unexpected(other)),
        }
    }

    /// Tells locks and intents in spans what has become of their transaction: for the system itself.
    pub async fn resolve(&self, spans: &[Span], update: &kvapi::IntentUpdate) -> Result<(), KvError> {
        self.inner.router.resolve(spans, update).await
    }
}

impl Inner {
    pub fn draw_id(&self) -> TxnId {
        let mut prng = self.prng.lock();
        TxnId::of(self.config.node, u128::from(prng.next_u64()) << 64 | u128::from(prng.next_u64()))
    }

    /// A new snapshot, as of now.
    pub fn take_snapshot(&self, state: &mut State) {
        let now = self.clock.now();
        state.advance_to(now);
        if state.isolation() == Isolation::ReadCommitted || !state.has_read {
            state.txn.uncertainty_limit = self.clock.uncertainty_limit(now);
            state.txn.observed = SmallVec::from_iter([(self.config.node, now)]);
            state.has_read = false;
        }
    }

    /// Makes a read one of the newest versions, wherever its transaction's snapshot lies.
    pub fn read_as_of_now(&self, header: &mut Header) {
        let Some(txn) = &mut header.txn else { return };
        let now = self.clock.now().max(txn.read_timestamp);
        txn.read_timestamp = now;
        txn.meta.write_timestamp = txn.meta.write_timestamp.max(now);
        txn.uncertainty_limit = self.clock.uncertainty_limit(now);
        txn.observed = SmallVec::from_iter([(self.config.node, now)]);
        header.can_forward_read = true;
    }

    pub fn register(&self, id: TxnId, shared: &Arc<Shared>) {
        self.alive.lock().insert(id, Arc::downgrade(shared));
    }

    pub fn unregister(&self, id: TxnId) {
        self.alive.lock().remove(&id);
    }

    /// Says that every transaction of some age which has left anything on a server is alive.
    async fn heartbeat(&self) {
        let now = self.clock.now();
        let alive: Vec<Arc<Shared>> = self.alive.lock().values().filter_map(Weak::upgrade).collect();
        let old = |shared: &Arc<Shared>| {
            let state = shared.state.lock();
            self.is_old(&state) && state.check_alive().is_ok()
        };
        let alive: Vec<Arc<Shared>> = alive.into_iter().filter(old).collect();
        for some in alive.chunks(HEARTBEATS_AT_ONCE) {
            join_all(some.iter().map(|shared| self.heartbeat_one(shared, now))).await;
        }
    }

    /// Whether a transaction has lived so long that it needs a record before it leaves anything on a server. By the monotonic clock:
    /// a wall clock that stands still would make it look young for good.
    pub fn is_old(&self, state: &State) -> bool {
        self.env.monotonic().saturating_sub(state.began) >= HEARTBEAT_INTERVAL
    }

    pub async fn heartbeat_one(&self, shared: &Arc<Shared>, now: Timestamp) {
        let (header, anchor) = {
            let mut state = shared.state.lock();
            let Some(anchor) = state.txn.meta.anchor.clone() else { return };
            state.recorded = true;
            (state.write_header(), anchor)
        };
        let id = header.txn.as_ref().map(|txn| txn.id());
        let mut batch = BatchRequest::new(header, HeartbeatTxnRequest { now });
        let aborted = match self.router.send_to(&anchor, &mut batch).await {
            Ok(mut response) => match response.responses.pop() {
                Some(Response::Txn(standing)) => standing.status == TxnStatus::Aborted,
                _ => false,
            },
            Err(error) => error.is_restart(),
        };
        let mut state = shared.state.lock();
        if aborted && Some(state.txn.id()) == id {
            state.aborted = true;
        }
    }
}

async fn send_heartbeats(env: Arc<dyn Env>, inner: Weak<Inner>) {
    loop {
        env.sleep(HEARTBEAT_INTERVAL).await;
        match inner.upgrade() {
            Some(inner) => inner.heartbeat().await,
            None => return,
        }
    }
}
