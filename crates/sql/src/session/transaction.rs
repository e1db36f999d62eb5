//! A session's transaction: implicit or in a block, its savepoints, locks, and what waits for its end.
//!
//! ```text
//!          first statement            BEGIN
//!   Idle ────────────────▶ implicit ───────▶ block ──error──▶ failed block
//!     ▲   end of statement / Sync │   COMMIT / ROLLBACK │  ROLLBACK, COMMIT │ ROLLBACK TO ▶ block
//!     └───────────────────────────┴─────────────────────┴───────────────────┘
//! ```

use std::sync::Arc;

use executor::{ExecError, ExecResult};
use kvclient::{Isolation, Savepoint, Timestamp, Txn};
use parking_lot::Mutex;
use pgserver::TransactionStatus;
use planner::ast::{IsolationLevel, TransactionMode};
use tracing::Instrument;
use types::descriptor::{DescriptorVersion, ForeignKey, Oid, TableDescriptor};
use types::{PgError, PgResult, SqlState};

use super::Session;
use crate::catalog::{TransactionCatalog, session_catalog::CatalogMark};
use crate::notifications::{PendingMark, PendingNotifications};
use crate::outcomes::AssignedId;
use crate::server::RunningTransaction;
use crate::settings::SettingsMark;
use crate::table_locks::LockMode;

/// A deferred constraint check: rows of a table, by encoded primary key, against one of its constraints.
#[derive(Clone)]
pub struct PendingCheck {
    pub table: Arc<TableDescriptor>,
    pub constraint: Oid,
    pub primary_key: Vec<u8>,
}

/// Which deferrable constraints are checked when (SET CONSTRAINTS), and what is still to be checked.
#[derive(Clone, Default)]
pub struct DeferredState {
    /// SET CONSTRAINTS ALL.
    pub all: Option<bool>,
    /// SET CONSTRAINTS name: (constraint, deferred).
    pub named: Vec<(Oid, bool)>,
    pub pending: Vec<PendingCheck>,
}

struct SavepointEntry {
    name: Box<str>,
    kv: Savepoint,
    catalog: CatalogMark,
    settings: SettingsMark,
    deferred: DeferredState,
    notifications: PendingMark,
}

/// A running transaction.
pub struct Active {
    pub txn: Arc<Txn>,
    /// Between BEGIN and COMMIT (or, in a query string of several statements, still implicit: false).
    pub block: bool,
    pub failed: bool,
    /// Failed, and what it held since the newest savepoint, or all of it, has been given back.
    released: bool,
    pub catalog: TransactionCatalog,
    /// Locks known to be held: spares a look into the shared table.
    held: Vec<(Oid, LockMode)>,
    /// The definitions of tables used, if other nodes may change them: see `catalog::lease`.
    used: Vec<(Oid, DescriptorVersion)>,
    savepoints: Vec<SavepointEntry>,
    pub deferred: Arc<Mutex<DeferredState>>,
    pub notifications: Arc<Mutex<PendingNotifications>>,
    /// Microseconds since 2000-01-01 UTC.
    pub started_at: i64,
    /// Statements that have finished: their results may have been seen.
    pub statements: u64,
    /// Storage ids of sequences dropped or redefined: their values in memory go when the transaction commits.
    pub forgotten_sequences: Vec<u32>,
    /// A query has run: the isolation level is settled.
    pub queried: bool,
    /// The transaction consists of one statement that commits by itself.
    pub alone: bool,
    /// Keyspaces filled in bulk: released when the transaction has ended.
    pub rewrites: Vec<crate::garbage::Rewrite>,
    /// Isolation and access mode as SHOW tells them.
    pub isolation: IsolationLevel,
    pub read_only: bool,
    pub deferrable: bool,
    /// The transaction reads the past, and this is when: see `past`.
    pub as_of: Option<Timestamp>,
    /// What it is known by to clients, once one has asked.
    pub id: Arc<Mutex<Option<AssignedId>>>,
}

impl Active {
    pub fn modes(&self) -> Modes {
        Modes { isolation: self.isolation, read_only: self.read_only, deferrable: self.deferrable }
    }
}

/// The modes of a transaction, which are settings too.
#[derive(Clone, Copy)]
pub struct Modes {
    pub isolation: IsolationLevel,
    pub read_only: bool,
    pub deferrable: bool,
}

impl Modes {
    /// The setting of a mode as SHOW tells it; `None` for every other setting.
    pub fn setting(&self, name: &str) -> Option<Arc<str>> {
        let on = |value: bool| if value { "on" } else { "off" };
        Some(Arc::from(match name.to_ascii_lowercase().as_str() {
            "transaction_isolation" => isolation_name(self.isolation),
            "transaction_read_only" => on(self.read_only),
            "transaction_deferrable" => on(self.deferrable),
            _ => return None,
        }))
    }
}

pub fn kv_isolation(level: IsolationLevel) -> Isolation {
    match level {
        IsolationLevel::ReadUncommitted | IsolationLevel::ReadCommitted => Isolation::ReadCommitted,
        IsolationLevel::RepeatableRead => Isolation::Snapshot,
        IsolationLevel::Serializable => Isolation::Serializable,
    }
}

pub fn isolation_name(level: IsolationLevel) -> &'static str {
    match level {
        IsolationLevel::ReadUncommitted => "read uncommitted",
        IsolationLevel::ReadCommitted => "read committed",
        IsolationLevel::RepeatableRead => "repeatable read",
        IsolationLevel::Serializable => "serializable",
    }
}

/// As the key-value layer runs it.
pub fn kv_isolation_name(isolation: Isolation) -> &'static str {
    match isolation {
        Isolation::ReadCommitted => "read committed",
        Isolation::Snapshot => "repeatable read",
        Isolation::Serializable => "serializable",
    }
}

pub fn isolation_named(name: &str) -> IsolationLevel {
    match name {
        "read uncommitted" => IsolationLevel::ReadUncommitted,
        "read committed" => IsolationLevel::ReadCommitted,
        "repeatable read" => IsolationLevel::RepeatableRead,
        _ => IsolationLevel::Serializable,
    }
}

impl Active {
    pub fn holds(&self, table: Oid, mode: LockMode) -> bool {
        self.held.contains(&(table, mode))
    }

    /// A table is used under a definition; the first one counts.
    pub fn note_used(&mut self, table: Oid, version: DescriptorVersion) {
        if !self.used.iter().any(|(known, _)| *known == table) {
            self.used.push((table, version));
        }
    }

    pub fn note_held(&mut self, table: Oid, mode: LockMode) {
        if !self.holds(table, mode) {
            self.held.push((table, mode));
        }
    }
}

/// The constraint of a table that a pending check is about.
pub fn foreign_key(table: &TableDescriptor, constraint: Oid) -> Option<&ForeignKey> {
    table.foreign_keys.iter().find(|key| key.id == constraint)
}

impl Session {
    pub fn status(&self) -> TransactionStatus {
        match &self.active {
            Some(active) if active.failed => TransactionStatus::Failed,
            Some(active) if active.block => TransactionStatus::InTransaction,
            _ => TransactionStatus::Idle,
        }
    }

    pub fn in_block(&self) -> bool {
        self.active.as_ref().is_some_and(|active| active.block)
    }

    /// The running transaction, begun if there is none.
    pub fn ensure_transaction(&mut self) -> &mut Active {
        if self.active.is_none() {
            self.active =
                Some(Box::new(self.new_transaction(self.default_isolation, self.default_read_only)));
        }
        self.active.as_mut().expect("just begun")
    }

    fn new_transaction(&self, isolation: IsolationLevel, read_only: bool) -> Active {
        let options = kvclient::TxnOptions {
            isolation: kv_isolation(isolation),
            read_only,
            lock_timeout: self.lock_timeout,
            ..Default::default()
        };
        let (txn, started_at) = (Arc::new(self.server.db.begin(options)), self.now());
        let running = RunningTransaction { txn: Arc::downgrade(&txn), started_at };
        self.entry.row.lock().transaction = Some(running);
        Active {
            txn,
            block: false,
            failed: false,
            released: false,
            catalog: TransactionCatalog::new(self.server.catalog.clone()),
            held: Vec::new(),
            used: Vec::new(),
            savepoints: Vec::new(),
            deferred: Arc::default(),
            notifications: Arc::default(),
            started_at,
            statements: 0,
            forgotten_sequences: Vec::new(),
            queried: false,
            alone: false,
            rewrites: Vec::new(),
            isolation,
            read_only,
            deferrable: false,
            as_of: None,
            id: Arc::default(),
        }
    }

    /// BEGIN: makes the implicit transaction of a query string a block, or begins one.
    pub fn begin_block(&mut self, modes: &[TransactionMode]) -> PgResult<()> {
        if self.in_block() {
            self.notice(PgError::warning(
                SqlState::ACTIVE_SQL_TRANSACTION,
                "there is already a transaction in progress",
            ));
            return self.set_modes(modes);
        }
        self.ensure_transaction().block = true;
        self.set_modes(modes)
    }

    /// SET TRANSACTION and the modes of BEGIN.
    pub fn set_modes(&mut self, modes: &[TransactionMode]) -> PgResult<()> {
        let active = self.active.as_mut().expect("called within a transaction");
        for mode in modes {
            match mode {
                TransactionMode::Isolation(level) if *level == active.isolation => {}
                TransactionMode::Isolation(level) => {
                    if !active.savepoints.is_empty() {
                        return Err(PgError::new(
                            SqlState::ACTIVE_SQL_TRANSACTION,
                            "SET TRANSACTION ISOLATION LEVEL must not be called in a subtransaction",
                        ));
                    }
                    let too_late = || {
                        PgError::new(
                            SqlState::ACTIVE_SQL_TRANSACTION,
                            "SET TRANSACTION ISOLATION LEVEL must be called before any query",
                        )
                    };
                    if active.queried {
                        return Err(too_late());
                    }
                    active.txn.set_isolation(kv_isolation(*level)).map_err(|_| too_late())?;
                    active.isolation = *level;
                }
                TransactionMode::ReadOnly(true) => {
                    active.txn.set_read_only();
                    active.read_only = true;
                }
                // Of the session's default nothing has come yet.
                TransactionMode::ReadOnly(false) if active.read_only && !active.queried => {
                    active.txn.set_read_write().map_err(|error| PgError::internal(error.to_string()))?;
                    active.read_only = false;
                }
                TransactionMode::ReadOnly(false) if active.read_only => {
                    return Err(PgError::new(
                        SqlState::ACTIVE_SQL_TRANSACTION,
                        "transaction read-write mode must be set before any query",
                    ));
                }
                TransactionMode::ReadOnly(false) => {}
                TransactionMode::Deferrable(deferrable) => active.deferrable = *deferrable,
                // Who passes it on has moved the transaction there, or will.
                TransactionMode::AsOf(_) => {}
            }
        }
        Ok(())
    }

    /// Commits the running transaction, if any. On an error nothing was committed (unless the error says that this is not
    /// known) and the transaction is still there, to be restarted or rolled back.
    pub async fn commit(&mut self) -> ExecResult<()> {
        if self.active.is_none() {
            return Ok(());
        }
        self.check_deferred(None).await?;
        self.on_commit_actions().await?;
        self.hold_cursors().await?;
        let Some(active) = &mut self.active else { return Ok(()) };
        let txn = active.txn.clone();
        let changes = active.catalog.has_changes();
        let pending = active.notifications.lock().clone();
        let id = *active.id.lock();
        self.limit_commit(&txn)?;
        let server = self.server.clone();
        if let Some(id) = id {
            id.record(&server.db, &txn)?;
        }
        let order = match pending.is_empty() {
            true => None,
            false => Some(server.notifications.begin_commit(self.database, &pending).await?),
        };
        if changes && let Err(error) = self.server.lease.record_change(&txn).await {
            self.server.lease.settle(None).await;
            return Err(error);
        }
        let began = self.server.env.monotonic();
        let outcome = txn.commit().instrument(env::trace::span(|| "commit")).await;
        self.server.commit_times.observe(self.server.env.monotonic().saturating_sub(began));
        let committed = match outcome {
            Ok(committed) => committed,
            Err(error) => {
                if changes {
                    self.server.lease.settle(None).await;
                }
                return Err(self.commit_error(error, id));
            }
        };
        let mut active = self.active.take().expect("there until now");
        if changes {
            self.server.lease.settle(Some(committed)).await;
            // Above the commit: what a rewrite wrote in bulk may have been committed later than the transaction itself.
            active.catalog.publish(committed.max(self.server.db.now()));
        }
        // When the commit is in the past: who reads because of a message sees it.
        if order.is_some() {
            let pending = (pending, committed);
            server.notifications.committed(self.database, self.process_id(), &self.inbox, pending);
        }
        drop(order);
        self.release(&active).await;
        self.settings.end_transaction(true);
        self.refresh_settings();
        self.portals.end_transaction(true);
        for storage_id in std::mem::take(&mut active.forgotten_sequences) {
            self.server.sequences.forget(storage_id);
        }
        Ok(())
    }

    /// Bounds when the transaction may commit: before what it relies on may have changed.
    fn limit_commit(&mut self, txn: &Txn) -> ExecResult<()> {
        let active = self.active.as_ref().expect("committing");
        for rewrite in &active.rewrites {
            txn.limit_commit_timestamp(rewrite.deadline());
        }
        if self.server.lease.is_shared() && active.as_of.is_none() {
            self.check_definitions_used()?;
        }
        if !self.advisory_locks.lock().is_empty()
            && let Some(limit) = self.server.cluster_locks.commit_limit(self.locks.owner())?
        {
            txn.limit_commit_timestamp(limit);
        }
        Ok(())
    }

    /// With several nodes: what the transaction has used must be as it was, up to where it commits.
    fn check_definitions_used(&mut self) -> ExecResult<()> {
        let active = self.active.as_mut().expect("committing");
        // The deadline first: what is changed after it is read commits above it.
        let deadline = self.server.lease.deadline();
        let current = self.server.catalog.current();
        let stands = |(table, version): &(Oid, DescriptorVersion)| {
            current.table(*table).is_some_and(|table| table.version == *version)
        };
        if !active.used.iter().all(stands) {
            return Err(self.server.lease.changed_meanwhile());
        }
        if let Some(deadline) = deadline.filter(|_| !active.catalog.has_changes()) {
            active.txn.limit_commit_timestamp(deadline);
        }
        Ok(())
    }

    /// A uniqueness found violated only at commit is worded here: the key tells table and index. So is what has to do with the transaction's id.
    fn commit_error(&mut self, error: kvclient::KvError, id: Option<AssignedId>) -> ExecError {
        if let Some(worded) = id.and_then(|id| id.worded(&error)) {
            return ExecError::Sql(worded);
        }
        if let kvclient::KvError::ConditionFailed { key, value } = &error {
            let catalog = self.active.as_mut().expect("committing").catalog.current();
            if let Some(worded) = crate::constraints::unique_violation(&catalog, key, value) {
                return ExecError::Sql(worded);
            }
        }
        ExecError::Kv(error)
    }

    /// Rolls back the running transaction, if any.
    pub async fn rollback(&mut self) {
        let Some(active) = self.active.take() else { return };
        active.txn.rollback().await;
        self.release(&active).await;
        self.settings.end_transaction(false);
        self.refresh_settings();
        self.portals.end_transaction(false);
    }

    async fn release(&mut self, active: &Active) {
        let ended = {
            let mut advisory = self.advisory_locks.lock();
            match advisory.is_empty() {
                true if active.held.is_empty() => return,
                true => return self.locks.release_all(),
                false => {
                    let ended = advisory.of_transaction();
                    self.locks.release_but(&advisory.end_transaction());
                    ended
                }
            }
        };
        Box::pin(self.server.cluster_locks.release_shared(self.locks.owner(), ended)).await;
    }

    /// A statement failed: its transaction can only be rolled back now. (Not so outside a block: there the caller
    /// rolls back at once.)
    pub fn fail(&mut self) {
        if let Some(active) = &mut self.active {
            active.failed = true;
        }
    }

    /// Gives back at once what a failed transaction holds, whenever its client will say ROLLBACK: all of it, or what came since the
    /// newest savepoint, to which it may return. Nothing if it has not failed.
    pub(super) async fn release_failed(&mut self) {
        let Some(active) = &mut self.active else { return };
        if !active.failed || std::mem::replace(&mut active.released, true) {
            return;
        }
        if let Some(savepoint) = active.savepoints.last().map(|entry| entry.kv) {
            let txn = active.txn.clone();
            if let Err(error) = Box::pin(txn.rollback_to(savepoint)).await {
                // Whoever goes back to a savepoint is told so then.
                tracing::debug!(%error, "a failed transaction keeps its locks");
            }
            return;
        }
        active.txn.abandon();
        if let Some(mut active) = self.active.take() {
            Box::pin(self.release(&active)).await;
            active.held.clear();
            self.active = Some(active);
        }
    }

    /// Whether a table has been created or truncated in the current transaction, after its last savepoint.
    pub(super) fn is_fresh(&mut self, table: types::descriptor::Oid) -> bool {
        let storage = self.catalog_snapshot().table(table).map(|table| table.storage_id);
        let committed = self.server.catalog.current();
        let before = self.active.as_ref().and_then(|active| active.savepoints.last()?.catalog.picture());
        before.unwrap_or(&committed).table(table).map(|table| table.storage_id) != storage
    }

    pub fn define_savepoint(&mut self, name: &str) -> PgResult<()> {
        let settings = self.settings.mark();
        let active = self.block_for("SAVEPOINT")?;
        let entry = SavepointEntry {
            name: name.into(),
            kv: active.txn.savepoint(),
            catalog: active.catalog.mark(),
            settings,
            deferred: active.deferred.lock().clone(),
            notifications: active.notifications.lock().mark(),
        };
        active.savepoints.push(entry);
        Ok(())
    }

    pub fn release_savepoint(&mut self, name: &str) -> PgResult<()> {
        let active = self.block_for("RELEASE SAVEPOINT")?;
        let position = savepoint_position(active, name)?;
        active.savepoints.truncate(position);
        Ok(())
    }

    /// ROLLBACK TO: the savepoint stays; a failed transaction goes on from there.
    pub async fn rollback_to_savepoint(&mut self, name: &str) -> ExecResult<()> {
        let active = self.block_for("ROLLBACK TO SAVEPOINT")?;
        let position = savepoint_position(active, name)?;
        active.savepoints.truncate(position + 1);
        let entry = &active.savepoints[position];
        let (kv, catalog, settings) = (entry.kv, entry.catalog.clone(), entry.settings.clone());
        *active.deferred.lock() = entry.deferred.clone();
        active.notifications.lock().rollback_to(entry.notifications);
        active.txn.clone().rollback_to(kv).await?;
        let active = self.active.as_mut().expect("in a block");
        active.catalog.rollback_to(catalog);
        (active.failed, active.released) = (false, false);
        self.settings.rollback_to(settings);
        self.refresh_settings();
        Ok(())
    }

    fn block_for(&mut self, command: &str) -> PgResult<&mut Active> {
        match &mut self.active {
            Some(active) if active.block => Ok(active),
            _ => Err(PgError::new(
                SqlState::NO_ACTIVE_SQL_TRANSACTION,
                format!("{command} can only be used in transaction blocks"),
            )),
        }
    }
}

fn savepoint_position(active: &Active, name: &str) -> PgResult<usize> {
    active.savepoints.iter().rposition(|entry| &*entry.name == name).ok_or_else(|| {
        PgError::new(
            SqlState::INVALID_SAVEPOINT_SPECIFICATION,
            format!("savepoint \"{name}\" does not exist"),
        )
    })
}
