//! What a running statement may ask of its session: catalog functions, virtual tables, sequences, deferred checks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use executor::{DeferredChecks, DeferredFunctions, ExecResult, TableLookup, VirtualTables};
use expr::{CatalogLookup, FunctionRef};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use planner::Table;
use planner::catalog::VirtualTable;
use types::descriptor::{Oid, SequenceDescriptor, TableDescriptor};
use types::{Batch, Datum, PgError, PgResult, SqlState};

use super::Session;
use super::transaction::{DeferredState, PendingCheck};
use crate::planning::StatementCatalog;
use crate::sequences::SequenceState;
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
    pub user: String,
    pub process_id: u32,
    pub search_path: Vec<String>,
    pub settings: crate::settings::Settings,
    sequence_memory: Arc<Mutex<SequenceMemory>>,
    deferred: Arc<Mutex<DeferredState>>,
    read_only: bool,
}

impl Session {
    pub(super) fn services(&self, catalog: &StatementCatalog) -> Arc<Services> {
        let active = self.active.as_ref().expect("called within a transaction");
        Arc::new(Services {
            catalog: catalog.clone(),
            user: self.user.clone(),
            process_id: self.process_id(),
            search_path: self.info().search_path.clone(),
            settings: self.settings.clone(),
            sequence_memory: self.sequence_memory.clone(),
            deferred: active.deferred.clone(),
            read_only: active.read_only,
        })
    }
}

impl CatalogLookup for Services {
    fn call(&self, name: &str, arguments: &[Datum]) -> PgResult<Datum> {
        catalog_functions::call(self, name, arguments)
    }
}

impl TableLookup for Services {
    fn table(&self, id: Oid) -> PgResult<Arc<Table>> {
        TableLookup::table(&self.catalog, id)
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
            match (function.name, arguments) {
                ("nextval", [sequence]) => self.next_value(sequence).await,
                ("currval", [sequence]) => self.current_value(sequence),
                ("lastval", []) => self.last_value(),
                ("setval", [sequence, Datum::Int8(value)]) => self.set_value(sequence, *value, true).await,
                ("setval", [sequence, Datum::Int8(value), Datum::Bool(called)]) => {
                    self.set_value(sequence, *value, *called).await
                }
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
                _ => Err(PgError::unsupported(format!("function {}", function.name)).into()),
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

    fn require_write(&self, command: &str) -> PgResult<()> {
        if self.read_only { Err(super::read_only_error(command)) } else { Ok(()) }
    }

    async fn next_value(&self, argument: &Datum) -> ExecResult<Datum> {
        self.require_write("nextval()")?;
        let sequence = self.sequence(argument)?;
        let value = self.catalog.server.sequences.next_value(&sequence).await?;
        let mut memory = self.sequence_memory.lock();
        memory.current.insert(sequence.id, value);
        memory.last = Some(sequence.id);
        Ok(Datum::Int8(value))
    }

    fn current_value(&self, argument: &Datum) -> ExecResult<Datum> {
        let sequence = self.sequence(argument)?;
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
