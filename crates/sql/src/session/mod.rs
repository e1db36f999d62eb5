//! A session: one client's settings, transaction, prepared statements and portals.
//!
//! | file | concern |
//! | --- | --- |
//! | `protocol` | the calls of `pgserver`, answered |
//! | `statement` | one statement: which kind, who runs it, retry, timeout, commit |
//! | `query` | plans run and rows written |
//! | `transaction` | BEGIN to COMMIT, savepoints |
//! | `prepared`, `portal` | statements kept, executions suspended |
//! | `cursor` | DECLARE, FETCH, CLOSE |
//! | `variables` | SET, SHOW, RESET |
//! | `copy` | COPY |
//! | `explain` | EXPLAIN |

mod copy;
mod cursor;
mod explain;
mod history;
mod output;
mod past;
mod portal;
pub mod prepared;
mod protocol;
mod query;
mod services;
pub use services::Services;
pub mod statement;
pub mod trace;
pub mod transaction;
mod variables;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use executor::remote::Distribution;
use executor::spill::BoundedSpill;
use executor::{MemoryAccount, Parallelism, wall_to_timestamp};
use expr::SessionInfo;
use parking_lot::Mutex;
use pgserver::StartupParameters;
use planner::PlanOptions;
use planner::ast::IsolationLevel;
use types::acl::Rights;
use types::descriptor::{DatabaseDescriptor, Oid};
use types::user_type::Directory;
use types::{PgError, PgResult, Severity, SqlState};

use self::trace::TraceLog;
use crate::advisory_locks::AdvisoryLocks;
use crate::cancel::CancelHandle;
use crate::catalog::{CatalogSnapshot, RoleDescriptor};
use crate::definition::initial_settings;
use crate::definition::temporary::{self, schema_name};
use crate::notifications::Inbox;
use crate::server::{SessionEnd, SessionEntry, SessionRow, SqlServer};
use crate::settings::{SERVER_VERSION, Settings, checks::split_search_path};
use crate::table_locks::SessionLocks;
use portal::Portals;
use prepared::Statements;
use services::{Assignment, SequenceMemory};
use transaction::Active;

/// What is derived from the settings, made anew when they change.
struct Derived {
    info: Arc<SessionInfo>,
    plan_options: Arc<PlanOptions>,
}

/// One client's session. See the module.
pub struct Session {
    pub(crate) server: Arc<SqlServer>,
    entry: Arc<SessionEntry>,
    /// The role whose privileges count: the session's, unless SET ROLE has named another.
    pub(crate) user: String,
    /// The role of SET SESSION AUTHORIZATION, at first the authenticated one.
    pub(crate) session_user: String,
    /// The role that the client logged in as.
    pub(crate) authenticated_user: String,
    pub(crate) database: Oid,
    database_name: String,
    pub(crate) settings: Settings,
    settings_generation: u64,
    derived: Derived,
    statement_timeout: Option<Duration>,
    /// idle_session_timeout and idle_in_transaction_session_timeout.
    idle_limits: (Option<Duration>, Option<Duration>),
    lock_timeout: Option<Duration>,
    pub(crate) active: Option<Box<Active>>,
    /// The table and advisory locks of the session.
    pub(crate) locks: SessionLocks,
    /// Name of the schema of this session's temporary objects; it exists once there has been one.
    temporary_schema: Arc<str>,
    /// A temporary table was made that the end of a transaction empties or drops.
    pub(crate) has_on_commit: bool,
    statements: Statements,
    portals: Portals,
    cancel: CancelHandle,
    random: Arc<AtomicU64>,
    sequence_memory: Arc<Mutex<SequenceMemory>>,
    /// What the running statement's set_config calls ask for.
    assigned: Arc<Mutex<Vec<Assignment>>>,
    memory: MemoryAccount,
    /// Where the session's statements spill, bounded by temp_file_limit.
    spill: Option<Arc<BoundedSpill>>,
    /// work_mem: bytes that one operator holds before it spills.
    work_bytes: u64,
    parallelism: Parallelism,
    distribution: Distribution,
    /// To be sent with the next message that may carry them.
    notices: Arc<Mutex<Vec<PgError>>>,
    advisory_locks: Arc<Mutex<AdvisoryLocks>>,
    /// The setting `trace`, and what it has kept.
    is_traced: bool,
    traces: Arc<Mutex<TraceLog>>,
    /// Notifications on their way to the client.
    inbox: Arc<Inbox>,
    /// Reported settings as the client last heard of them.
    reported: Vec<(&'static str, Arc<str>)>,
    reported_generation: u64,
    /// default_transaction_isolation and default_transaction_read_only.
    default_isolation: IsolationLevel,
    default_read_only: bool,
    /// The version of the catalog whose types `derived` knows.
    types_version: Option<u64>,
}

impl Session {
    /// Opens a session. Errors: 3D000, 28000, those of the startup parameters.
    pub fn connect(server: Arc<SqlServer>, startup: StartupParameters) -> PgResult<Session> {
        let catalog = server.catalog.current();
        let role = catalog.role(&startup.user).ok_or_else(|| {
            PgError::new(
                SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
                format!("role \"{}\" does not exist", startup.user),
            )
        })?;
        if !role.login {
            return Err(PgError::new(
                SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
                format!("role \"{}\" is not permitted to log in", startup.user),
            ));
        }
        let database = catalog.database(&startup.database).ok_or_else(|| {
            PgError::new(
                SqlState::INVALID_CATALOG_NAME,
                format!("database \"{}\" does not exist", startup.database),
            )
        })?;
        check_admission(&server, &catalog, role, database)?;
        let mut settings = Settings::new();
        let mut notices = Vec::new();
        let of_cluster = server.settings();
        let of_cluster = of_cluster.session_defaults().map(|(name, value)| (name.into(), value.into()));
        for (name, value) in of_cluster.chain(initial_settings(&catalog, database.id, role)) {
            let checked = check_startup_identity(&catalog, database.id, &startup.user, &name, &value);
            // One that has become invalid does not keep anybody out.
            if let Err(error) = checked.and_then(|()| settings.set_default(&name, &value)) {
                notices.push(PgError::with_severity(Severity::Warning, error.code(), error.message()));
            }
        }
        for (name, value) in &startup.settings {
            check_startup_identity(&catalog, database.id, &startup.user, name, value)?;
            settings.set_default(name, value)?;
        }
        settings.set_default("session_authorization", &startup.user)?;
        settings.tell("max_connections", &server.options.connections_max.to_string());
        settings.set_default("is_superuser", if role.superuser { "on" } else { "off" })?;
        let cancel = CancelHandle::default();
        let started_at = wall_to_timestamp(server.env.wall());
        let row = SessionRow {
            process_id: startup.cancel_key.process_id(),
            user: startup.user.clone(),
            database: startup.database.clone(),
            database_id: database.id,
            application_name: settings.get("application_name")?.to_string(),
            client: startup.peer.to_string(),
            started_at,
            state: "idle",
            state_changed_at: started_at,
            query: "".into(),
            query_started_at: started_at,
            transaction: None,
        };
        let lock_owner = server.new_lock_owner();
        let temporary = schema_name(server.options.node_id, lock_owner);
        let entry = Arc::new(SessionEntry {
            key: startup.cancel_key.clone(),
            cancel: cancel.clone(),
            lock_owner,
            row: Mutex::new(row),
            end: SessionEnd::default(),
        });
        server.enter(entry.clone());
        let seed = server.env.entropy();
        let spill = server.memory.spill_store().map(|store| Arc::new(BoundedSpill::new(store.clone())));
        let bytes_max = server.options.memory_bytes_max;
        let memory = match &spill {
            Some(spill) => server.memory.child_with_spill("session", bytes_max, spill.clone()),
            None => server.memory.child("session", bytes_max),
        };
        let derived = derive(&settings, &temporary, &startup.database, &entry)?;
        let mut session = Session {
            temporary_schema: temporary.into(),
            has_on_commit: false,
            locks: SessionLocks::new(server.table_locks.clone(), lock_owner),
            database: database.id,
            database_name: startup.database,
            user: startup.user.clone(),
            session_user: startup.user.clone(),
            authenticated_user: startup.user,
            entry,
            settings_generation: u64::MAX,
            derived,
            statement_timeout: None,
            idle_limits: (None, None),
            lock_timeout: None,
            active: None,
            statements: Statements::default(),
            portals: Portals::default(),
            cancel,
            random: Arc::new(AtomicU64::new(seed)),
            sequence_memory: Arc::default(),
            assigned: Arc::default(),
            memory,
            spill,
            work_bytes: 0,
            notices: Arc::new(Mutex::new(notices)),
            parallelism: Parallelism::default(),
            distribution: Distribution::default(),
            advisory_locks: Arc::default(),
            is_traced: false,
            traces: Arc::default(),
            inbox: Arc::default(),
            reported: settings.reported(),
            reported_generation: settings.generation(),
            default_isolation: IsolationLevel::Serializable,
            default_read_only: false,
            types_version: None,
            settings,
            server,
        };
        session.refresh_settings();
        Ok(session)
    }

    /// Microseconds since 2000-01-01 UTC.
    pub(crate) fn now(&self) -> i64 {
        wall_to_timestamp(self.server.env.wall())
    }

    pub(crate) fn cancel_flag(&self) -> &executor::CancelFlag {
        self.cancel.flag()
    }

    pub(crate) fn process_id(&self) -> u32 {
        self.entry.key.process_id()
    }

    pub(crate) fn temporary_schema_name(&self) -> &Arc<str> {
        &self.temporary_schema
    }

    pub(crate) fn plan_options(&self) -> &Arc<PlanOptions> {
        &self.derived.plan_options
    }

    pub(crate) fn info(&self) -> &Arc<SessionInfo> {
        &self.derived.info
    }

    /// Values of user types are read and written as the catalog at hand has the types.
    pub(super) fn follow_types(&mut self, snapshot: &Arc<CatalogSnapshot>) {
        if self.types_version == Some(snapshot.version) {
            return;
        }
        self.types_version = Some(snapshot.version);
        Arc::make_mut(&mut self.derived.info).format.types = Directory::new(snapshot.clone());
    }

    /// Queues a notice for the client, unless client_min_messages keeps it back.
    pub(crate) fn notice(&mut self, notice: PgError) {
        self.notices.lock().push(notice);
    }

    /// Follows a change of settings: everything derived from them is made anew.
    pub(crate) fn refresh_settings(&mut self) {
        if self.settings_generation == self.settings.generation() {
            return;
        }
        self.settings_generation = self.settings.generation();
        self.statement_timeout = self.settings.duration("statement_timeout");
        self.lock_timeout = self.settings.duration("lock_timeout");
        self.work_bytes = self.settings.bytes("work_mem");
        let is_traced = self.settings.bool("trace");
        if is_traced && !std::mem::replace(&mut self.is_traced, is_traced) {
            *self.traces.lock() = TraceLog::default();
        }
        self.is_traced = is_traced;
        let count = |name| usize::try_from(self.settings.integer(name)).unwrap_or(0);
        self.distribution = match &*self.settings.get("distributed_execution").unwrap_or_default() {
            "off" => Distribution::Off,
            "always" => Distribution::Always,
            _ => Distribution::On,
        };
        self.parallelism = Parallelism {
            workers: self.server.workers.clone(),
            workers_max: count("max_parallel_workers"),
            scan_workers_max: count("max_parallel_workers_per_gather"),
            serial_bytes: self.settings.bytes("min_parallel_table_scan_size") / 8,
        };
        if let Some(spill) = &self.spill {
            let unbounded = self.settings.get("temp_file_limit").is_ok_and(|value| &*value == "-1");
            spill.set_limit((!unbounded).then(|| self.settings.bytes("temp_file_limit")));
        }
        let idle = self.settings.duration("idle_session_timeout");
        self.idle_limits = (idle, self.settings.duration("idle_in_transaction_session_timeout"));
        let isolation = self.settings.get("default_transaction_isolation").unwrap_or_default();
        self.default_isolation = transaction::isolation_named(&isolation);
        self.default_read_only = self.settings.bool("default_transaction_read_only");
        if let Some(active) = &self.active {
            active.txn.set_lock_timeout(self.lock_timeout);
        }
        // Every value was checked when it was set: deriving cannot fail, and if it does the old values stay.
        match derive(&self.settings, &self.temporary_schema, &self.database_name, &self.entry) {
            Ok(derived) => {
                self.user.clone_from(&derived.info.user);
                self.session_user.clone_from(&derived.info.session_user);
                self.derived = derived;
                self.types_version = None;
            }
            Err(error) => tracing::error!(%error, "settings cannot be applied"),
        }
        self.entry.row.lock().application_name = self.derived.info.application_name.clone();
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // A dropped Txn rolls itself back.
        drop(self.active.take());
        let advisory = self.advisory_locks.lock().held();
        drop(self.server.cluster_locks.begin_release(self.locks.owner(), advisory));
        self.server.leave(self.entry.key.process_id());
        let left = self.server.catalog.current();
        let Some(schema) = left.schema(self.database, &self.temporary_schema).map(|schema| schema.id) else {
            return;
        };
        let server = self.server.clone();
        drop(self.server.env.spawn(
            "sql-temporary",
            Box::pin(async move {
                if let Err(error) = temporary::collect(&server, schema).await {
                    tracing::warn!(error = %error.into_pg_error(), "temporary tables of an ended session stay until the next start");
                }
            }),
        ));
    }
}

/// Errors: 55000 for a closed database, 42501 without CONNECT, 53300 beyond a connection limit (which is of this node: nodes do
/// not count each other's sessions).
fn check_admission(
    server: &SqlServer,
    catalog: &CatalogSnapshot,
    role: &RoleDescriptor,
    database: &DatabaseDescriptor,
) -> PgResult<()> {
    if database.closed {
        let message = format!("database \"{}\" is not currently accepting connections", database.name);
        return Err(PgError::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message));
    }
    let wanted = Rights::CONNECT;
    if catalog.rights(database.id, &role.name, database.into(), wanted, false).is_empty() {
        let message = format!("permission denied for database \"{}\"", database.name);
        return Err(PgError::new(SqlState::INSUFFICIENT_PRIVILEGE, message)
            .detail("User does not have CONNECT privilege."));
    }
    if role.superuser {
        return Ok(());
    }
    let sessions = server.sessions();
    let exceeded = |limit: i32, belongs: &dyn Fn(&SessionRow) -> bool| {
        let count = sessions.iter().filter(|entry| belongs(&entry.row.lock())).count();
        usize::try_from(limit).is_ok_and(|limit| count >= limit)
    };
    let message = if exceeded(database.connection_limit, &|row| row.database_id == database.id) {
        format!("too many connections for database \"{}\"", database.name)
    } else if exceeded(role.connection_limit, &|row| row.user == role.name) {
        format!("too many connections for role \"{}\"", role.name)
    } else {
        return Ok(());
    };
    Err(PgError::new(SqlState::TOO_MANY_CONNECTIONS, message))
}

/// A startup parameter must not make the client somebody that it may not become.
fn check_startup_identity(
    catalog: &crate::catalog::CatalogSnapshot,
    database: Oid,
    user: &str,
    name: &str,
    value: &str,
) -> PgResult<()> {
    let refused = match name.to_ascii_lowercase().as_str() {
        "role" => value != "none" && !catalog.is_member(database, user, value),
        "session_authorization" | "is_superuser" => true,
        _ => false,
    };
    if refused {
        let message = format!("permission denied to set parameter \"{name}\"");
        return Err(PgError::new(SqlState::INSUFFICIENT_PRIVILEGE, message));
    }
    Ok(())
}

fn derive(settings: &Settings, temporary: &str, database: &str, entry: &SessionEntry) -> PgResult<Derived> {
    let session_user = settings.get("session_authorization")?;
    let user = Some(settings.get("role")?).filter(|role| **role != *"none").unwrap_or(session_user.clone());
    let search_path: Vec<String> = split_search_path(&settings.get("search_path")?)
        .into_iter()
        .map(|name| match name.as_str() {
            "$user" => user.to_string(),
            "pg_temp" => temporary.to_string(),
            _ => name,
        })
        .collect();
    let info = SessionInfo {
        database: database.to_string(),
        user: user.to_string(),
        session_user: session_user.to_string(),
        search_path: search_path.clone(),
        application_name: settings.get("application_name")?.to_string(),
        backend_pid: entry.key.process_id() as i32,
        server_version: SERVER_VERSION.to_string(),
        format: variables::format_context(settings)?,
    };
    let plan_options = PlanOptions {
        database: database.to_string(),
        search_path,
        temporary_schema: Some(temporary.to_string()),
        methods: planner::Methods {
            sequential_scan: settings.bool("enable_seqscan"),
            index_scan: settings.bool("enable_indexscan"),
            hash_join: settings.bool("enable_hashjoin"),
            nested_loop: settings.bool("enable_nestloop"),
            hash_aggregate: settings.bool("enable_hashagg"),
            ..planner::Methods::default()
        },
        ..PlanOptions::default()
    };
    Ok(Derived { info: Arc::new(info), plan_options: Arc::new(plan_options) })
}

/// 25006, as PostgreSQL words it.
pub(crate) fn read_only_error(command: &str) -> PgError {
    PgError::new(
        SqlState::READ_ONLY_SQL_TRANSACTION,
        format!("cannot execute {command} in a read-only transaction"),
    )
}
