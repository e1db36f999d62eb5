//! Plans run and their rows written.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use executor::remote::Flows;
use executor::{ExecContext, ExecResult, Execution};
use kvclient::Isolation;
use pgserver::{ColumnFormats, ResultSink};
use planner::Plan;
use planner::plan::Command;
use types::{Batch, Datum, PgResult};

use super::Session;
use super::output::{RowFormat, write_rows};
use super::portal::{Progress, RunningRows};
use super::prepared::{Planned, Prepared};
use super::protocol::no_portal;
use super::statement::{Run, Tag};
use crate::cancel::cancellable;
use crate::planning::StatementCatalog;
use crate::table_locks::LockMode;

/// Plans made anew because the catalog changed while their locks were waited for: bounded only by DDL elsewhere.
const REPLANS_MAX: u32 = 100;

fn command_verb(command: Command) -> &'static str {
    match command {
        Command::Select => "SELECT",
        Command::Insert => "INSERT 0",
        Command::Update => "UPDATE",
        Command::Delete => "DELETE",
        Command::Merge => "MERGE",
    }
}

impl Session {
    /// Runs a planned statement to its end, all rows going to `sink`.
    pub(super) async fn run_query(&mut self, run: &Run<'_>, sink: &mut ResultSink) -> ExecResult<Tag> {
        let (planned, catalog) = self.plan_under_locks(run.prepared).await?;
        let plan = &planned.plan;
        let mut execution = self.begin_execution(plan, &catalog, &run.parameters, run.alone)?;
        let returns_rows = plan.returns_rows();
        if run.describe
            && let Some(columns) = &planned.columns
        {
            sink.row_description(columns, &run.formats);
        }
        let names = self.names(&catalog, &planned.types);
        let mut count = 0;
        while let Some(batch) = execution.next().await? {
            if returns_rows {
                let format = RowFormat {
                    types: &planned.types,
                    formats: &run.formats,
                    context: &self.info().format,
                    names: names.as_ref(),
                };
                write_rows(sink, &batch, 0..batch.rows, &format)?;
                sink.flush_if_full().await?;
            }
            count += batch.rows as u64;
        }
        if plan.command != Command::Select {
            count = execution.rows_affected();
        }
        Ok(Tag::Rows(command_verb(plan.command), count))
    }

    /// Runs a query for its rows alone, all at once (cursors, COPY TO, EXPLAIN ANALYZE, CREATE TABLE AS).
    pub(crate) async fn begin_query(
        &mut self,
        prepared: &Arc<Prepared>,
        parameters: &Arc<[Datum]>,
    ) -> ExecResult<(Arc<Planned>, Execution)> {
        let (planned, catalog) = self.plan_under_locks(prepared).await?;
        let execution = self.begin_execution(&planned.plan, &catalog, parameters, false)?;
        Ok((planned, execution))
    }

    /// The statement's plan with the locks taken on all its tables, in a running transaction.
    pub(super) async fn plan_under_locks(
        &mut self,
        prepared: &Arc<Prepared>,
    ) -> ExecResult<(Arc<Planned>, StatementCatalog)> {
        if let Some(expression) = prepared.as_of() {
            Box::pin(self.enter_past(expression)).await?;
        }
        self.ensure_transaction();
        if self.is_in_past() {
            return Ok(self.plan_in_past(prepared)?);
        }
        for _ in 0..REPLANS_MAX {
            let catalog = self.statement_catalog();
            let step = env::trace::span(|| "plan");
            let planned = prepared.plan(&catalog, self.plan_options())?;
            drop(step);
            let plan = &planned.plan;
            self.check_privileges(plan, &catalog.snapshot)?;
            for relation in &plan.relations {
                let writes =
                    relation.privileges.insert || relation.privileges.update || relation.privileges.delete;
                let mode = if writes { LockMode::RowExclusive } else { LockMode::AccessShare };
                if catalog.snapshot.table(relation.id).is_some() {
                    self.lock_table(relation.id, mode).await?;
                }
            }
            let active = self.active.as_mut().expect("ensured above");
            if active.catalog.version() == catalog.snapshot.version {
                self.check_read_only(plan)?;
                return Ok((planned, catalog));
            }
        }
        Err(types::PgError::new(
            types::SqlState::OBJECT_IN_USE,
            "the definition of a table kept changing while the statement was planned",
        )
        .into())
    }

    /// The plan under the catalog of the past, which never changes: nothing is locked.
    fn plan_in_past(&mut self, prepared: &Arc<Prepared>) -> PgResult<(Arc<Planned>, StatementCatalog)> {
        let catalog = self.statement_catalog();
        let told = prepared.described();
        let planned = prepared.plan(&catalog, self.plan_options())?;
        if told.is_some() && told != planned.columns {
            let message = "cached plan must not change result type";
            return Err(types::PgError::new(types::SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        self.check_privileges_in_past(&planned.plan, &catalog.snapshot)?;
        self.check_read_only(&planned.plan)?;
        Ok((planned, catalog))
    }

    fn check_read_only(&self, plan: &Plan) -> PgResult<()> {
        let read_only = self.active.as_ref().is_some_and(|active| active.read_only);
        if read_only && !plan.read_only {
            let verb = match plan.command {
                Command::Select => "SELECT FOR UPDATE",
                Command::Insert => "INSERT",
                Command::Update => "UPDATE",
                Command::Delete => "DELETE",
                Command::Merge => "MERGE",
            };
            return Err(super::read_only_error(verb));
        }
        Ok(())
    }

    /// Takes a table lock for the running transaction, waiting if it must.
    pub(crate) async fn lock_table(
        &mut self,
        table: types::descriptor::Oid,
        mode: LockMode,
    ) -> ExecResult<()> {
        let active = self.active.as_mut().expect("called within a transaction");
        if active.holds(table, mode) {
            return self.make_readable(table).await;
        }
        if !self.locks.try_acquire(table, mode) {
            let _step = env::trace::span(|| format!("wait for {} on table {}", mode.name(), table.0));
            let wait = self.locks.acquire(table, mode);
            Box::pin(wait_for_lock(self.server.env.clone(), self.lock_timeout, wait)).await?;
        }
        let active = self.active.as_mut().expect("still running");
        active.note_held(table, mode);
        if self.server.lease.is_shared()
            && let Some(definition) = self.server.catalog.current().table(table)
        {
            active.note_used(table, definition.version);
        }
        self.make_readable(table).await
    }

    /// Moves a snapshot that is older than how a locked table is stored up to where the table can be read. 40001 if that is not
    /// possible. READ COMMITTED needs it not: the statement takes its snapshot after its locks.
    async fn make_readable(&mut self, table: types::descriptor::Oid) -> ExecResult<()> {
        let Some(from) = self.server.catalog.readable_from(table) else { return Ok(()) };
        let txn = self.active.as_ref().expect("called within a transaction").txn.clone();
        if txn.isolation() != Isolation::ReadCommitted {
            txn.read_from(from).await?;
        }
        Ok(())
    }

    /// Begins a statement of the running transaction.
    pub(super) fn begin_execution(
        &mut self,
        plan: &Arc<Plan>,
        catalog: &StatementCatalog,
        parameters: &Arc<[Datum]>,
        implicit: bool,
    ) -> ExecResult<Execution> {
        if plan.as_of.is_some() && !self.is_in_past() {
            return Err(types::PgError::unsupported("AS OF SYSTEM TIME within a statement").into());
        }
        let context = self.exec_context(catalog, parameters, implicit);
        context.txn.begin_statement(true);
        self.active.as_mut().expect("called within a transaction").queried = true;
        Execution::new(plan.clone(), context)
    }

    /// What a statement runs with.
    pub(crate) fn exec_context(
        &mut self,
        catalog: &StatementCatalog,
        parameters: &Arc<[Datum]>,
        implicit: bool,
    ) -> ExecContext {
        let statement_timestamp = self.now();
        let services = self.services(catalog);
        let active = self.active.as_ref().expect("called within a transaction");
        ExecContext {
            env: self.server.env.clone(),
            db: self.server.db.clone(),
            txn: active.txn.clone(),
            implicit,
            parameters: parameters.clone(),
            session: self.info().clone(),
            transaction_timestamp: active.started_at,
            statement_timestamp,
            random: self.random.clone(),
            catalog: services.clone(),
            tables: services.clone(),
            virtual_tables: services.clone(),
            deferred_functions: services.clone(),
            deferred_checks: services,
            memory: self.memory.with_work_memory(
                "statement",
                self.server.limits.statement_memory_bytes_max(),
                self.work_bytes,
            ),
            parallelism: self.parallelism.clone(),
            distribution: self.distribution,
            flows: Flows::default(),
            cancel: self.cancel.flag().clone(),
        }
    }

    /// Execute with a row limit, and the continuation of a suspended portal.
    pub(super) async fn run_suspendable(
        &mut self,
        name: &str,
        row_limit: Option<NonZeroU32>,
        sink: &mut ResultSink,
    ) -> PgResult<()> {
        let (env, cancel, limit) = (self.server.env.clone(), self.cancel.clone(), self.statement_timeout);
        let work = self.run_suspendable_inner(name, row_limit, sink);
        let result = cancellable(&env, &cancel, limit, work).await;
        match result {
            Ok(()) => self.apply_assignments(),
            Err(error) => {
                self.assigned.lock().clear();
                Err(error.into_pg_error())
            }
        }
    }

    async fn run_suspendable_inner(
        &mut self,
        name: &str,
        row_limit: Option<NonZeroU32>,
        sink: &mut ResultSink,
    ) -> ExecResult<()> {
        let portal = self.portals.get(name).ok_or_else(|| no_portal(name))?;
        if matches!(portal.progress, Progress::Ready) {
            let (prepared, parameters) = (portal.prepared.clone(), portal.parameters.clone());
            let rows = self.start_rows(&prepared, &parameters).await?;
            self.portals.get_mut(name).ok_or_else(|| no_portal(name))?.progress =
                Progress::Rows(Box::new(rows));
        }
        let format_context = self.info().clone();
        let portal = self.portals.get_mut(name).ok_or_else(|| no_portal(name))?;
        let formats = portal.formats.clone();
        let Progress::Rows(rows) = &mut portal.progress else {
            sink.command_complete_rows("SELECT", 0);
            return Ok(());
        };
        let sent = send_rows(rows, row_limit, &formats, &format_context, sink).await?;
        if !rows.ended {
            sink.portal_suspended();
            if let Some(active) = &mut self.active {
                // A part of its rows is seen.
                active.statements += 1;
            }
            return Ok(());
        }
        let count = match rows.planned.plan.command {
            Command::Select => sent,
            _ => rows.execution.rows_affected(),
        };
        sink.command_complete_rows(command_verb(rows.planned.plan.command), count);
        portal.progress = Progress::Done;
        if let Some(active) = &mut self.active {
            active.statements += 1;
        }
        Ok(())
    }

    /// Begins a query whose rows are asked for piece by piece.
    pub(super) async fn start_rows(
        &mut self,
        prepared: &Arc<Prepared>,
        parameters: &Arc<[Datum]>,
    ) -> ExecResult<RunningRows> {
        let (planned, execution) = self.begin_query(prepared, parameters).await?;
        let catalog = self.statement_catalog();
        let names = self.names(&catalog, &planned.types);
        let batch = Batch::default();
        Ok(RunningRows { planned, execution, names, batch, next_row: 0, ended: false, sent: 0 })
    }
}

impl RunningRows {
    /// Makes `batch` hold an unsent row, unless the query has ended.
    pub async fn fill(&mut self) -> ExecResult<()> {
        while !self.ended && self.next_row >= self.batch.rows {
            match self.execution.next().await? {
                Some(batch) => {
                    self.batch = batch;
                    self.next_row = 0;
                }
                None => self.ended = true,
            }
        }
        Ok(())
    }
}

/// Waits under lock_timeout. Errors: 55P03.
pub(super) async fn wait_for_lock<T, E: From<types::PgError>>(
    env: Arc<dyn env::Env>,
    limit: Option<Duration>,
    wait: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let Some(limit) = limit else { return wait.await };
    match env::timeout(&*env, limit, wait).await {
        Ok(result) => result,
        Err(_) => Err(types::PgError::new(
            types::SqlState::LOCK_NOT_AVAILABLE,
            "canceling statement due to lock timeout",
        )
        .into()),
    }
}

/// Sends rows up to the limit; afterwards `rows.ended` tells whether that was all.
async fn send_rows(
    rows: &mut RunningRows,
    row_limit: Option<NonZeroU32>,
    formats: &ColumnFormats,
    info: &expr::SessionInfo,
    sink: &mut ResultSink,
) -> ExecResult<u64> {
    let planned = rows.planned.clone();
    let mut left = row_limit.map_or(u64::MAX, |limit| u64::from(limit.get()));
    let mut sent = 0;
    rows.fill().await?;
    while !rows.ended && left > 0 {
        let available = (rows.batch.rows - rows.next_row) as u64;
        let count = available.min(left) as usize;
        let range = rows.next_row..rows.next_row + count;
        let names = rows.names.as_ref();
        let format = RowFormat { types: &planned.types, formats, context: &info.format, names };
        write_rows(sink, &rows.batch, range, &format)?;
        sink.flush_if_full().await?;
        rows.next_row += count;
        left -= count as u64;
        sent += count as u64;
        if left > 0 {
            // With the limit reached the portal counts as suspended even if nothing is left, as in PostgreSQL.
            rows.fill().await?;
        }
    }
    rows.sent += sent;
    Ok(sent)
}
