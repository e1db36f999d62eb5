//! What a running statement may ask of its session: catalog functions, virtual tables, sequences, deferred checks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use executor::{DeferredChecks, DeferredFunctions, ExecResult, TableLookup, VirtualTables};
use expr::{CatalogLookup, FunctionRef, SessionInfo};
use futures::future::BoxFuture;
use kvapi::ClusterVersion;
use kvclient::Txn;
use parking_lot::Mutex;
use planner::catalog::VirtualTable;
use planner::{PlanOptions, Table};
use types::acl::Rights;
use types::descriptor::{Oid, SequenceDescriptor, TableDescriptor};
use types::{Batch, Datum, PgError, PgResult, SqlState};

use super::Session;
use super::portal::CursorRow;
use super::prepared::Statements;
use super::query::wait_for_lock;
use super::trace::TraceLog;
use super::transaction::{DeferredState, Modes, PendingCheck};
use crate::advisory_locks::{self, Action, AdvisoryLocks, parse_name};
use crate::notifications::PendingNotifications;
use crate::outcomes::{self, AssignedId};
use crate::planning::StatementCatalog;
use crate::sequences::SequenceState;
use crate::settings::Settings;
use crate::settings::checks::split_values;
use crate::table_locks::{LockMode, LockOwner};
use crate::{catalog_functions, virtual_tables};

/// What currval and lastval answer.
#[derive(Default)]
pub struct SequenceMemory {
    current: BTreeMap<Oid, i64>,
    last: Option<Oid>,
}

/// One statement's services. Shared by everything that the statement runs.
pub struct Services {
    pub catalog: StatementCatalog,
    pub info: Arc<SessionInfo>,
    pub process_id: u32,
    pub temporary_schema: Arc<str>,
    /// The session's, as the statement has changed them so far.
    pub settings: Mutex<Settings>,
    assigned: Arc<Mutex<Vec<Assignment>>>,
    plan_options: Arc<PlanOptions>,
    sequence_memory: Arc<Mutex<SequenceMemory>>,
    deferred: Arc<Mutex<DeferredState>>,
    modes: Modes,
    notifications: Arc<Mutex<PendingNotifications>>,
    advisory_locks: Arc<Mutex<AdvisoryLocks>>,
    pub traces: Arc<Mutex<TraceLog>>,
    lock_owner: LockOwner,
    lock_timeout: Option<Duration>,
    txn: Arc<Txn>,
    is_in_past: bool,
    transaction_id: Arc<Mutex<Option<AssignedId>>>,
    notices: Arc<Mutex<Vec<PgError>>>,
    pub statements: Statements,
    pub cursors: Vec<CursorRow>,
}

/// What set_config asks for: done by the session when the statement has gone through.
pub struct Assignment {
    pub name: String,
    /// `None`: back to the default.
    pub values: Option<Vec<String>>,
    pub local: bool,
}

impl Session {
    pub(super) fn services(&self, catalog: &StatementCatalog) -> Arc<Services> {
        let active = self.active.as_ref().expect("called within a transaction");
        Arc::new(Services {
            catalog: catalog.clone(),
            info: self.info().clone(),
            process_id: self.process_id(),
            temporary_schema: self.temporary_schema_name().clone(),
            settings: Mutex::new(self.settings.clone()),
            assigned: self.assigned.clone(),
            plan_options: self.plan_options().clone(),
            sequence_memory: self.sequence_memory.clone(),
            deferred: active.deferred.clone(),
            modes: active.modes(),
            notifications: active.notifications.clone(),
            advisory_locks: self.advisory_locks.clone(),
            traces: self.traces.clone(),
            lock_owner: self.locks.owner(),
            lock_timeout: self.lock_timeout,
            txn: active.txn.clone(),
            is_in_past: active.as_of.is_some(),
            transaction_id: active.id.clone(),
            notices: self.notices.clone(),
            statements: self.statements.clone(),
            cursors: self.portals.named(),
        })
    }

    /// Does what the statement's set_config calls asked for.
    pub(super) fn apply_assignments(&mut self) -> PgResult<()> {
        let assigned = std::mem::take(&mut *self.assigned.lock());
        if assigned.is_empty() {
            return Ok(());
        }
        for assignment in &assigned {
            self.assign(assignment)?;
        }
        self.refresh_settings();
        Ok(())
    }
}

impl Assignment {
    pub fn values(&self) -> Option<Vec<&str>> {
        Some(self.values.as_ref()?.iter().map(String::as_str).collect())
    }
}

impl CatalogLookup for Services {
    fn call(&self, name: &str, arguments: &[Datum]) -> PgResult<Datum> {
        catalog_functions::call(self, name, arguments)
    }
}

impl TableLookup for Services {
    fn table(&self, id: Oid) -> PgResult<Arc<Table>> {
        self.catalog.table(id).ok_or_else(|| PgError::internal(format!("table {} is gone", id.0)))
    }

    fn bind(&self, table: &Table) -> PgResult<()> {
        table.bind_expressions(&self.catalog, &self.plan_options).map(drop)
    }
}

impl VirtualTables for Services {
    fn rows<'a>(
        &'a self,
        table: &'a VirtualTable,
        equalities: &'a [(u32, Datum)],
    ) -> BoxFuture<'a, ExecResult<Vec<Batch>>> {
        Box::pin(virtual_tables::rows(self, table, equalities))
    }
}

impl DeferredChecks for Services {
    fn is_deferred(&self, constraint: Oid, initially_deferred: bool) -> bool {
        let state = self.deferred.lock();
        let named = state.named.iter().rev().find(|(id, _)| *id == constraint).map(|(_, deferred)| *deferred);
        named.or(state.all).unwrap_or(initially_deferred)
    }

    fn defer(&self, table: &Arc<TableDescriptor>, constraint: Oid, primary_key: Vec<u8>) {
        let check = PendingCheck { table: table.clone(), constraint, primary_key };
        self.deferred.lock().pending.push(check);
    }
}

impl DeferredFunctions for Services {
    fn call<'a>(&'a self, function: FunctionRef, arguments: &'a [Datum]) -> BoxFuture<'a, ExecResult<Datum>> {
        Box::pin(async move {
            if function.strict && arguments.iter().any(Datum::is_null) {
                return Ok(Datum::Null);
            }
            if let Some(size) = catalog_functions::sizes::call(self, function.name, arguments).await {
                return size;
            }
            match (function.name, arguments) {
                ("nextval", [sequence]) => self.next_value(sequence).await,
                ("currval", [sequence]) => self.current_value(sequence),
                ("lastval", []) => self.last_value(),
                ("setval", [sequence, Datum::Int8(value)]) => self.set_value(sequence, *value, true).await,
                ("setval", [sequence, Datum::Int8(value), Datum::Bool(called)]) => {
                    self.set_value(sequence, *value, *called).await
                }
                ("set_config", [name, value, local]) => Ok(self.set_config(name, value, local)?),
                ("pg_sleep", [Datum::Float8(seconds)]) => {
                    let seconds = seconds.clamp(0.0, 1e9);
                    self.catalog.server.env.sleep(Duration::from_secs_f64(seconds)).await;
                    Ok(Datum::text(""))
                }
                ("pg_cancel_backend", [Datum::Int4(process_id)]) => {
                    let session = self.catalog.server.session(*process_id as u32);
                    if let Some(session) = &session {
                        session.cancel.cancel();
                    }
                    Ok(Datum::Bool(session.is_some()))
                }
                ("pg_current_xact_id", []) => Ok(Datum::Unsigned8(self.transaction_id().await? as u64)),
                ("txid_current", []) => Ok(Datum::Int8(self.transaction_id().await?)),
                ("pg_current_xact_id_if_assigned", []) => {
                    Ok(self.id_of_writer().await?.map_or(Datum::Null, |id| Datum::Unsigned8(id as u64)))
                }
                ("txid_current_if_assigned", []) => {
                    Ok(self.id_of_writer().await?.map_or(Datum::Null, Datum::Int8))
                }
                ("pg_xact_status", [Datum::Unsigned8(id)]) => self.status_of(*id).await,
                ("txid_status", [Datum::Int8(id)]) => self.status_of(*id as u64).await,
                ("pg_notify", [channel, payload]) => self.notify(channel, payload),
                ("pg_notification_queue_usage", []) => {
                    Ok(Datum::Float8(self.catalog.server.notifications.usage()))
                }
                ("pg_advisory_unlock_all", []) => {
                    let given_back = self.advisory_locks.lock().give_all_back();
                    let locks = &self.catalog.server.cluster_locks;
                    locks.release(self.lock_owner, given_back).await;
                    Ok(Datum::text(""))
                }
                (name, arguments) => match parse_name(name) {
                    Some((action, mode, for_transaction)) => {
                        self.advisory_lock(action, mode, for_transaction, arguments).await
                    }
                    None => Err(PgError::unsupported(format!("function {name}")).into()),
                },
            }
        })
    }
}

impl Services {
    /// A regclass argument: the oid of a sequence, or its name as text.
    fn sequence(&self, argument: &Datum) -> PgResult<Arc<SequenceDescriptor>> {
        let snapshot = &self.catalog.snapshot;
        let id = match argument {
            Datum::Oid(id) => Oid(*id),
            Datum::Text(name) => catalog_functions::resolve_relation(self, name)?,
            other => return Err(PgError::internal(format!("{other:?} does not name a sequence"))),
        };
        snapshot.sequence(id).cloned().ok_or_else(|| {
            let name =
                snapshot.object(id).map_or_else(|| id.0.to_string(), |object| object.name().to_string());
            PgError::new(SqlState::WRONG_OBJECT_TYPE, format!("\"{name}\" is not a sequence"))
        })
    }

    /// Warns the client, of the same thing once.
    pub fn warn(&self, warning: PgError) {
        let mut notices = self.notices.lock();
        if !notices.iter().any(|known| known.message() == warning.message()) {
            notices.push(warning);
        }
    }

    /// May the session see what others do?
    pub fn sees_all_statistics(&self) -> bool {
        let catalog = &self.catalog;
        catalog.snapshot.acts_as(catalog.database, &self.info.user, "pg_read_all_stats")
    }

    /// May the session see what a user's sessions do?
    pub fn sees_sessions_of(&self, user: &str) -> bool {
        let catalog = &self.catalog;
        self.sees_all_statistics() || catalog.snapshot.acts_as(catalog.database, &self.info.user, user)
    }

    /// A setting as SHOW tells it. Errors: 42704.
    pub fn setting(&self, name: &str) -> PgResult<Arc<str>> {
        match self.modes.setting(name) {
            Some(value) => Ok(value),
            None => self.settings.lock().get(name).or_else(|error| {
                let of_cluster = self.catalog.server.settings();
                of_cluster.text(&name.to_ascii_lowercase()).map(Arc::from).ok_or(error)
            }),
        }
    }

    fn set_config(&self, name: &Datum, value: &Datum, local: &Datum) -> PgResult<Datum> {
        let Datum::Text(name) = name else {
            return Err(PgError::new(SqlState::NULL_VALUE_NOT_ALLOWED, "SET requires parameter name"));
        };
        let values = match value {
            Datum::Text(text) => Some(split_values(name, text)),
            _ => None,
        };
        let assignment =
            Assignment { name: name.to_string(), values, local: matches!(local, Datum::Bool(true)) };
        let mut settings = self.settings.lock();
        match assignment.values() {
            Some(values) => settings.set(name, &values, assignment.local, true)?,
            None => settings.reset(name, assignment.local, true)?,
        }
        let shown = settings.get(name)?;
        self.assigned.lock().push(assignment);
        Ok(Datum::text(&*shown))
    }

    fn assigned_id(&self) -> Option<i64> {
        self.transaction_id.lock().map(AssignedId::get)
    }

    /// The transaction's id if it was asked for, or if PostgreSQL would have given it one with its first write.
    async fn id_of_writer(&self) -> ExecResult<Option<i64>> {
        match self.assigned_id() {
            None if self.txn.has_writes() => self.transaction_id().await.map(Some),
            assigned => Ok(assigned),
        }
    }

    /// The transaction's id, given to it now if it has none.
    async fn transaction_id(&self) -> ExecResult<i64> {
        if let Some(id) = self.assigned_id() {
            return Ok(id);
        }
        if self.is_in_past {
            return Err(PgError::unsupported("the id of a transaction AS OF SYSTEM TIME").into());
        }
        self.catalog.server.require(ClusterVersion::OUTCOMES, "the id of a transaction")?;
        let assigned = Box::pin(AssignedId::new(&self.catalog.server.db, &self.txn)).await?;
        Ok(self.transaction_id.lock().insert(assigned).get())
    }

    async fn status_of(&self, id: u64) -> ExecResult<Datum> {
        if self.assigned_id().is_some_and(|own| own as u64 == id) {
            return Ok(Datum::text(outcomes::IN_PROGRESS));
        }
        self.catalog.server.require(ClusterVersion::OUTCOMES, "the status of a transaction")?;
        let status = Box::pin(outcomes::status(&self.catalog.server.db, id)).await?;
        Ok(status.map_or(Datum::Null, Datum::text))
    }

    fn notify(&self, channel: &Datum, payload: &Datum) -> ExecResult<Datum> {
        let text = |datum: &Datum| match datum {
            Datum::Text(text) => text.to_string(),
            _ => String::new(),
        };
        self.notifications.lock().notify(&text(channel), &text(payload))?;
        Ok(Datum::text(""))
    }

    /// A function of the pg_advisory_lock family.
    async fn advisory_lock(
        &self,
        action: Action,
        mode: LockMode,
        for_transaction: bool,
        arguments: &[Datum],
    ) -> ExecResult<Datum> {
        let key = advisory_locks::key(self.catalog.database, arguments)?;
        let (server, owner) = (&self.catalog.server, self.lock_owner);
        let locks = &server.cluster_locks;
        if action == Action::Unlock {
            let given_back = self.advisory_locks.lock().give_back(key, mode);
            match given_back {
                None => {
                    let message = format!("you don't own a lock of type {}", mode.name());
                    self.notices.lock().push(PgError::warning(SqlState::WARNING, message));
                }
                Some(true) => locks.release(owner, vec![(key, mode)]).await,
                Some(false) => {}
            }
            return Ok(Datum::Bool(given_back.is_some()));
        }
        let waits = action == Action::Lock;
        let taken = locks.acquire((owner, self.process_id), key, mode, waits);
        let limit = self.lock_timeout.filter(|_| waits);
        if !wait_for_lock(server.env.clone(), limit, taken).await? {
            return Ok(Datum::Bool(false));
        }
        self.advisory_locks.lock().note(key, mode, for_transaction);
        Ok(if action == Action::Try { Datum::Bool(true) } else { Datum::text("") })
    }

    /// 42501 unless the user has one of the privileges.
    fn require_on(&self, sequence: &SequenceDescriptor, any: Rights) -> PgResult<()> {
        let StatementCatalog { snapshot, database, .. } = &self.catalog;
        if snapshot.rights(*database, &self.info.user, sequence.into(), any, false).is_empty() {
            return Err(crate::privileges::denied("sequence", &sequence.name));
        }
        Ok(())
    }

    fn require_write(&self, command: &str) -> PgResult<()> {
        if self.modes.read_only { Err(super::read_only_error(command)) } else { Ok(()) }
    }

    async fn next_value(&self, argument: &Datum) -> ExecResult<Datum> {
        self.require_write("nextval()")?;
        let sequence = self.sequence(argument)?;
        self.require_on(&sequence, Rights::USAGE.with(Rights::UPDATE))?;
        let value = self.catalog.server.sequences.next_value(&sequence).await?;
        let mut memory = self.sequence_memory.lock();
        memory.current.insert(sequence.id, value);
        memory.last = Some(sequence.id);
        Ok(Datum::Int8(value))
    }

    fn current_value(&self, argument: &Datum) -> ExecResult<Datum> {
        let sequence = self.sequence(argument)?;
        self.require_on(&sequence, Rights::USAGE.with(Rights::SELECT))?;
        let current = self.sequence_memory.lock().current.get(&sequence.id).copied();
        current.map(Datum::Int8).ok_or_else(|| {
            let message =
                format!("currval of sequence \"{}\" is not yet defined in this session", sequence.name);
            PgError::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message).into()
        })
    }

    fn last_value(&self) -> ExecResult<Datum> {
        let memory = self.sequence_memory.lock();
        let value = memory.last.and_then(|id| memory.current.get(&id)).copied();
        value.map(Datum::Int8).ok_or_else(|| {
            let message = "lastval is not yet defined in this session";
            PgError::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message).into()
        })
    }

    async fn set_value(&self, argument: &Datum, value: i64, is_called: bool) -> ExecResult<Datum> {
        self.require_write("setval()")?;
        let sequence = self.sequence(argument)?;
        self.require_on(&sequence, Rights::UPDATE)?;
        if value < sequence.minimum || value > sequence.maximum {
            return Err(PgError::new(
                SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
                format!(
                    "setval: value {value} is out of bounds for sequence \"{}\" ({}..{})",
                    sequence.name, sequence.minimum, sequence.maximum
                ),
            )
            .into());
        }
        let state = SequenceState { last_value: value, is_called };
        self.catalog.server.sequences.set(&sequence, state).await?;
        if is_called {
            self.sequence_memory.lock().current.insert(sequence.id, value);
        }
        Ok(Datum::Int8(value))
    }
}
