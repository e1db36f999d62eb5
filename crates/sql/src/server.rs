//! What all sessions of a node share, and the way in for connections.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use env::Env;
use executor::spill::{BoundedSpill, SpillStore};
use executor::{ExecError, ExecResult, MemoryAccount, Workers};
use futures::future::BoxFuture;
use futures::task::AtomicWaker;
use kvclient::{Db, Txn};
use parking_lot::Mutex;
use pgserver::{Backend, CancelKey, Credentials, ScramVerifier, StartupParameters};
use stdx::Histogram;
use types::descriptor::Oid;
use types::{PgError, PgResult, SqlState};

use crate::cancel::CancelHandle;
use crate::catalog::lease::{CatalogLease, Others};
use crate::catalog::{CatalogSnapshot, PastCatalogs, SharedCatalog, store};
use crate::cluster::Surroundings;
use crate::cluster_locks::ClusterLocks;
use crate::cluster_settings::{InForce, SqlLimits, definitions};
use crate::definition::{IdBlock, temporary};
use crate::garbage::Garbage;
use crate::jobs::Jobs;
use crate::notifications::Notifications;
use crate::outcomes;
use crate::planning::RelationCache;
use crate::sequences::Sequences;
use crate::session::Session;
use crate::small_transaction::in_own_transaction;
use crate::statistics::StatisticsCache;
use crate::table_locks::TableLocks;

/// Bounds of a node's SQL layer.
#[derive(Clone)]
pub struct SqlOptions {
    /// Which node of the cluster this is.
    pub node_id: u32,
    /// What `max_connections` shows; the protocol's server keeps to it.
    pub connections_max: usize,
    /// Memory that all statements together may hold.
    pub memory_bytes_max: u64,
    /// Memory that one statement may hold.
    pub statement_memory_bytes_max: u64,
    /// Where statements put what does not fit into their memory; `None`: nowhere (53200).
    pub spill: Option<Arc<dyn SpillStore>>,
    /// Longest statement text, in bytes (54000 beyond).
    pub statement_bytes_max: usize,
    /// How long what was dropped stays, for snapshots older than that.
    pub gc_ttl: Duration,
    /// Defaults of cluster settings that this node was told otherwise when it was started.
    pub setting_defaults: BTreeMap<&'static str, String>,
    /// Tells whether other nodes are known, which may change the catalog; `None`: there never are.
    pub others: Option<Others>,
}

impl std::fmt::Debug for SqlOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqlOptions").field("memory_bytes_max", &self.memory_bytes_max).finish_non_exhaustive()
    }
}

impl Default for SqlOptions {
    fn default() -> Self {
        SqlOptions {
            node_id: 1,
            connections_max: 1_000,
            memory_bytes_max: 2 << 30,
            statement_memory_bytes_max: 512 << 20,
            spill: None,
            statement_bytes_max: 16 << 20,
            gc_ttl: Duration::from_secs(4 * 3600),
            setting_defaults: BTreeMap::new(),
            others: None,
        }
    }
}

/// What pg_stat_activity shows of a session.
#[derive(Clone, Debug)]
pub struct SessionRow {
    pub process_id: u32,
    pub user: String,
    pub database: String,
    pub database_id: Oid,
    pub application_name: String,
    pub client: String,
    /// Microseconds since 2000-01-01 UTC.
    pub started_at: i64,
    pub state: &'static str,
    pub state_changed_at: i64,
    pub query: Arc<str>,
    /// When the present or last statement began.
    pub query_started_at: i64,
    /// The transaction begun last; it may have ended.
    pub transaction: Option<RunningTransaction>,
}

/// A transaction as the others see it.
#[derive(Clone)]
pub struct RunningTransaction {
    /// Gone with the transaction.
    pub txn: Weak<Txn>,
    /// Microseconds since 2000-01-01 UTC.
    pub started_at: i64,
}

impl RunningTransaction {
    /// Whether it has not ended.
    pub fn is_running(&self) -> bool {
        self.txn.strong_count() > 0
    }
}

impl std::fmt::Debug for RunningTransaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunningTransaction").field("started_at", &self.started_at).finish_non_exhaustive()
    }
}

/// A session as the others see it.
pub struct SessionEntry {
    pub key: CancelKey,
    pub cancel: CancelHandle,
    /// Owner of the session's table locks.
    pub lock_owner: crate::table_locks::LockOwner,
    pub row: Mutex<SessionRow>,
    pub(crate) end: SessionEnd,
}

/// Why a session must end, if it must.
#[derive(Default)]
pub struct SessionEnd {
    reason: Mutex<Option<PgError>>,
    waker: AtomicWaker,
}

impl SessionEnd {
    /// Leaves a waker behind when there is none.
    pub fn poll(&self, context: &mut Context<'_>) -> Poll<PgError> {
        self.waker.register(context.waker());
        self.reason.lock().clone().map_or(Poll::Pending, Poll::Ready)
    }
}

impl SessionEntry {
    /// Ends the session: what it runs is cancelled, and its client is told why.
    pub fn terminate(&self, reason: PgError) {
        *self.end.reason.lock() = Some(reason);
        self.cancel.cancel();
        self.end.waker.wake();
    }
}

/// Whoever is told which settings are in force, when that has changed.
pub type SettingsFollower = Box<dyn Fn(&InForce) + Send + Sync>;

/// The SQL layer of a node. One per node, shared by its sessions.
pub struct SqlServer {
    pub env: Arc<dyn Env>,
    pub db: Db,
    pub options: SqlOptions,
    /// Microseconds since 2000-01-01 UTC.
    pub started_at: i64,
    pub catalog: Arc<SharedCatalog>,
    pub(crate) lease: Arc<CatalogLease>,
    pub relations: RelationCache,
    pub past: PastCatalogs,
    pub table_locks: TableLocks,
    pub cluster_locks: Arc<ClusterLocks>,
    pub notifications: Notifications,
    pub sequences: Sequences,
    pub garbage: Arc<Garbage>,
    pub statistics: StatisticsCache,
    pub memory: MemoryAccount,
    /// What all statements spill, counted.
    pub spill: Option<Arc<BoundedSpill>>,
    pub workers: Workers,
    pub limits: SqlLimits,
    /// Told of cluster settings. Lock order: before the catalog's.
    settings_followers: Mutex<Vec<SettingsFollower>>,
    surroundings: OnceLock<Arc<dyn Surroundings>>,
    pub(crate) jobs: Jobs,
    /// Statements, from the parsed text to the last row, failed ones included; and commits.
    pub statement_times: Histogram,
    pub commit_times: Histogram,
    /// Statements that were tried again inside the server.
    pub statement_retries: AtomicU64,
    /// Statements that ran longer than log_min_duration_statement.
    pub slow_statements: AtomicU64,
    pub(crate) oids: futures::lock::Mutex<IdBlock>,
    pub(crate) storage_ids: futures::lock::Mutex<IdBlock>,
    sessions: Mutex<BTreeMap<u32, Arc<SessionEntry>>>,
    next_lock_owner: AtomicU64,
}

impl SqlServer {
    /// Loads the catalog, creating it in a new cluster.
    pub async fn start(env: Arc<dyn Env>, db: Db, options: SqlOptions) -> PgResult<Arc<SqlServer>> {
        let snapshot = load_or_bootstrap(&db).await?;
        let spill = options.spill.clone().map(|store| Arc::new(BoundedSpill::new(store)));
        let memory = match &spill {
            Some(spill) => MemoryAccount::with_spill("node", options.memory_bytes_max, spill.clone()),
            None => MemoryAccount::root("node", options.memory_bytes_max),
        };
        let catalog = Arc::new(SharedCatalog::new(snapshot));
        let (node, table_locks) = (kvapi::NodeId(options.node_id), TableLocks::new());
        let others = options.others.clone();
        let cluster_locks = ClusterLocks::new(env.clone(), db.clone(), node, others, table_locks.clone());
        let server = Arc::new(SqlServer {
            lease: CatalogLease::start(&env, &db, &catalog, options.others.clone()),
            sequences: Sequences::new(env.clone(), db.clone()),
            garbage: Garbage::start(&env, db.clone(), options.gc_ttl),
            statistics: StatisticsCache::default(),
            started_at: executor::wall_to_timestamp(env.wall()),
            env,
            db,
            catalog,
            relations: RelationCache::default(),
            past: PastCatalogs::default(),
            table_locks,
            cluster_locks,
            notifications: Notifications::default(),
            memory,
            spill,
            workers: Workers::default(),
            limits: SqlLimits::new(&options),
            settings_followers: Mutex::default(),
            surroundings: OnceLock::new(),
            jobs: Jobs::default(),
            slow_statements: AtomicU64::new(0),
            statement_times: Histogram::default(),
            commit_times: Histogram::default(),
            statement_retries: AtomicU64::new(0),
            oids: Default::default(),
            storage_ids: Default::default(),
            sessions: Mutex::default(),
            next_lock_owner: AtomicU64::new(1),
            options,
        });
        server.cluster_locks.set_server(&server);
        outcomes::start_collector(&server);
        let listener = Arc::downgrade(&server);
        server.catalog.listen_for_settings(Box::new(move || {
            if let Some(server) = listener.upgrade() {
                server.follow_settings();
            }
        }));
        server.follow_settings();
        temporary::collect_leftovers(&server).await.map_err(executor::ExecError::into_pg_error)?;
        Ok(server)
    }

    /// What lies around this layer; told once.
    pub fn set_surroundings(&self, surroundings: Arc<dyn Surroundings>) {
        let own = kvapi::NodeId(self.options.node_id);
        self.notifications.connect(&self.env, &self.db, own, &surroundings);
        assert!(self.surroundings.set(surroundings).is_ok(), "a node has one place");
    }

    pub(crate) fn surroundings(&self) -> Option<&Arc<dyn Surroundings>> {
        self.surroundings.get()
    }

    /// Pieces of long work that statements have under way.
    pub fn job_count(&self) -> usize {
        self.jobs.rows().len()
    }

    /// The cluster settings in force here.
    pub fn settings(&self) -> InForce {
        InForce::of(&self.catalog.current(), &self.options)
    }

    /// Tells `follower` the settings in force now, and whenever they have changed.
    pub fn tell_settings(&self, follower: SettingsFollower) {
        let mut followers = self.settings_followers.lock();
        follower(&self.settings());
        followers.push(follower);
    }

    fn follow_settings(&self) {
        // Read with the lock held: of two changes at once the newer is told last.
        let followers = self.settings_followers.lock();
        let settings = self.settings();
        self.limits.follow(&self.options, &settings);
        let memory = settings.set_bytes(definitions::SQL_MEMORY_MAX);
        self.memory.set_limit(memory.unwrap_or(self.options.memory_bytes_max));
        self.garbage.set_time_to_live(settings.set_time(definitions::GC_TTL).unwrap_or(self.options.gc_ttl));
        followers.iter().for_each(|follower| follower(&settings));
    }

    /// A fresh owner of table locks.
    pub fn new_lock_owner(&self) -> crate::table_locks::LockOwner {
        crate::table_locks::LockOwner(self.next_lock_owner.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn enter(&self, entry: Arc<SessionEntry>) {
        self.sessions.lock().insert(entry.key.process_id(), entry);
    }

    pub(crate) fn leave(&self, process_id: u32) {
        self.sessions.lock().remove(&process_id);
        self.notifications.leave(process_id);
    }

    /// All sessions, by process id.
    pub fn sessions(&self) -> Vec<Arc<SessionEntry>> {
        self.sessions.lock().values().cloned().collect()
    }

    pub fn session(&self, process_id: u32) -> Option<Arc<SessionEntry>> {
        self.sessions.lock().get(&process_id).cloned()
    }
}

async fn load_or_bootstrap(db: &Db) -> PgResult<CatalogSnapshot> {
    let loaded = in_own_transaction!(db, |txn| load_or_create(&txn).await);
    loaded.map_err(ExecError::into_pg_error)
}

async fn load_or_create(txn: &Txn) -> ExecResult<CatalogSnapshot> {
    let mut catalog = store::load(txn).await?;
    if catalog.objects().next().is_none() {
        for object in store::initial_objects() {
            store::write(txn, object.id(), None, Some(&object)).await?;
            catalog.insert(object);
        }
    }
    Ok(catalog)
}

/// [`SqlServer`] as `pgserver` drives it.
pub struct SqlBackend(pub Arc<SqlServer>);

/// How long a client may wait for the newest roles; after that it is let in, or not, by those last known.
const LOGIN_PATIENCE: Duration = Duration::from_secs(2);

impl SqlBackend {
    /// A role that another node has just made may log in here.
    async fn renew_catalog(&self) {
        let held = env::timeout(&*self.0.env, LOGIN_PATIENCE, self.0.lease.hold()).await;
        if !matches!(held, Ok(Ok(()))) {
            tracing::warn!(
                "the catalog cannot be renewed: clients are let in by the roles that were last known"
            );
        }
    }
}

impl Backend for SqlBackend {
    fn connect(&self, startup: StartupParameters) -> BoxFuture<'_, PgResult<Box<dyn pgserver::Session>>> {
        Box::pin(async move {
            self.renew_catalog().await;
            let session = Session::connect(self.0.clone(), startup)?;
            Ok(Box::new(session) as Box<dyn pgserver::Session>)
        })
    }

    fn cancel(&self, key: CancelKey) {
        if let Some(entry) = self.0.session(key.process_id())
            && entry.key == key
        {
            entry.cancel.cancel();
        }
    }
}

impl Credentials for SqlBackend {
    fn verifier<'a>(&'a self, user: &'a str) -> BoxFuture<'a, PgResult<Option<ScramVerifier>>> {
        Box::pin(async move {
            self.renew_catalog().await;
            let catalog = self.0.catalog.current();
            let now = executor::wall_to_timestamp(self.0.env.wall());
            let usable = |role: &&Arc<crate::catalog::RoleDescriptor>| {
                role.login && role.valid_until.is_none_or(|until| now < until)
            };
            let stored = catalog.role(user).filter(usable).and_then(|role| role.verifier.clone());
            stored
                .map(|text| {
                    text.parse::<ScramVerifier>().map_err(|_| {
                        PgError::new(
                            SqlState::DATA_CORRUPTED,
                            format!("the stored password of role \"{user}\" cannot be read"),
                        )
                    })
                })
                .transpose()
        })
    }
}
