//! One statement: who runs it, under which limits, how often.
//!
//! ```text
//!   run_statement ─▶ attempt ─ok─▶ (alone: commit) ─ok─▶ CommandComplete
//!        ▲              │ KV error that a restart cures, and nothing of the result has left the server
//!        └── restart ◀──┘ (READ COMMITTED: the statement; first statement: the transaction)
//! ```
//!
//! A client is told of a serialization failure (40001) only when it has seen results that a retry could contradict.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use env::trace;
use executor::{ExecError, ExecResult};
use kvclient::{RestartScope, Txn};
use pgserver::{ColumnDescription, ColumnFormats, ResultSink, TransactionStatus};
use planner::ast::{DiscardTarget, SetAction, StatementKind, Transaction};
use types::{DataType, Datum, PgError, PgResult, SqlState};

use super::Session;
use super::prepared::{Planned, Prepared, describe_column};
use crate::cancel::cancellable;
use crate::notifications::ChannelChange;
use crate::outcomes::AssignedId;
use crate::planning::StatementCatalog;

/// Attempts of one statement inside the server before the client is told. Each makes progress (locks are kept), so that
/// this bounds a livelock, not contention.
const ATTEMPTS_MAX: u32 = 100;

/// A statement to run.
#[derive(Clone)]
pub struct Run<'a> {
    pub prepared: &'a Arc<Prepared>,
    pub parameters: Arc<[Datum]>,
    pub formats: ColumnFormats,
    /// Send a RowDescription (simple protocol).
    pub describe: bool,
    /// Nothing else joins its implicit transaction: outside a block it commits with this statement.
    pub alone: bool,
}

/// What CommandComplete says.
pub enum Tag {
    Plain(&'static str),
    Rows(&'static str, u64),
    /// The statement has written its own completion.
    Written,
}

impl Tag {
    pub fn write(&self, sink: &mut ResultSink) {
        match self {
            Tag::Plain(tag) => sink.command_complete(tag),
            Tag::Rows(verb, count) => sink.command_complete_rows(verb, *count),
            Tag::Written => {}
        }
    }
}

impl Session {
    /// Runs a statement to its end. After an error the caller decides what becomes of the transaction.
    pub(super) async fn run_statement(&mut self, run: Run<'_>, sink: &mut ResultSink) -> PgResult<()> {
        match self.begin_recording() {
            None => self.run_measured(run, sink).await,
            Some(recording) => Box::pin(self.run_recorded(recording, run, sink)).await,
        }
    }

    pub(super) async fn run_measured(&mut self, run: Run<'_>, sink: &mut ResultSink) -> PgResult<()> {
        let Some(kind) = run.prepared.kind() else {
            sink.empty_query();
            return Ok(());
        };
        if let StatementKind::Transaction(transaction) = kind {
            let tag = self.run_transaction(transaction).await?;
            tag.write(sink);
            return Ok(());
        }
        self.check_not_failed(run.prepared)?;
        let alone = run.alone && self.active.is_none();
        let run = Run { alone, ..run };
        let began = self.server.env.monotonic();
        let result = self.run_attempts(run, sink).await;
        self.server.statement_times.observe(self.server.env.monotonic().saturating_sub(began));
        result
    }

    async fn run_attempts(&mut self, run: Run<'_>, sink: &mut ResultSink) -> PgResult<()> {
        let alone = run.alone;
        let mut attempts = 0;
        loop {
            let mark = sink.mark();
            let notifications = self.active.as_ref().map(|active| active.notifications.lock().mark());
            let error = match self.attempt(&run, sink).await {
                Ok(tag) => {
                    self.flush_notices(sink);
                    tag.write(sink);
                    if let Some(active) = &mut self.active {
                        active.statements += 1;
                    }
                    return Ok(());
                }
                Err(error) => error,
            };
            attempts += 1;
            if attempts >= ATTEMPTS_MAX || !sink.rewind(mark) || !Box::pin(self.restart(&error, alone)).await
            {
                if let Some(active) = &mut self.active {
                    // The client learns of it, and may have seen rows.
                    active.statements += 1;
                }
                return Err(self.word_error(error, alone));
            }
            self.server.statement_retries.fetch_add(1, Ordering::Relaxed);
            if let Some(active) = &self.active {
                active.notifications.lock().rollback_to(notifications.unwrap_or_default());
            }
        }
    }

    /// One attempt: the statement under its time limit, and its commit if it stands alone.
    async fn attempt(&mut self, run: &Run<'_>, sink: &mut ResultSink) -> ExecResult<Tag> {
        let (env, cancel, limit) = (self.server.env.clone(), self.cancel.clone(), self.statement_timeout);
        self.assigned.lock().clear();
        // The past does not change.
        if !self.is_in_past() && run.prepared.as_of().is_none() {
            let _step =
                (!self.server.lease.is_held_now()).then(|| trace::span(|| "wait for the catalog's lease"));
            self.server.lease.hold().await?;
        }
        let tag = {
            let work = std::pin::pin!(self.dispatch(run, sink));
            cancellable(&env, &cancel, limit, work).await?
        };
        self.apply_assignments()?;
        if run.alone && !self.in_block() {
            // Not under the limit: a commit that is given up halfway has an unknown outcome.
            self.commit().await?;
        }
        Ok(tag)
    }

    /// Prepares another attempt if one can help; `false`: the error stands.
    async fn restart(&mut self, error: &ExecError, alone: bool) -> bool {
        let ExecError::Kv(error) = error else { return false };
        let Some(active) = &mut self.active else { return false };
        let txn = active.txn.clone();
        let restarted = match txn.can_restart(error) {
            Some(RestartScope::Statement) => txn.restart_statement(error).await,
            // Earlier statements' results have been seen: only the client can do it over.
            Some(RestartScope::Transaction) if alone || active.statements == 0 => {
                if active.catalog.has_changes() {
                    active.catalog.forget();
                }
                let id = *active.id.lock();
                self.portals.restart_transaction();
                match txn.restart(error).await {
                    Ok(()) => return hold_again(id, &txn).await,
                    failed => failed,
                }
            }
            Some(RestartScope::Transaction) | None => return false,
        };
        restarted.is_ok()
    }

    /// KV errors that need the catalog for their words.
    fn word_error(&mut self, error: ExecError, alone: bool) -> PgError {
        if let ExecError::Kv(kvclient::KvError::BelowGcThreshold { .. }) = &error
            && self.is_in_past()
        {
            return super::past::too_old(self.server.garbage.time_to_live());
        }
        // Something in a transaction may or may not have reached the log; the transaction itself certainly does not commit.
        if let (ExecError::Kv(kvclient::KvError::Ambiguous { reason }), false) = (&error, alone) {
            return ExecError::Kv(kvclient::KvError::unavailable(reason.clone())).into_pg_error();
        }
        if let ExecError::Kv(kvclient::KvError::ConditionFailed { key, value }) = &error {
            let catalog = self.catalog_snapshot();
            if let Some(worded) = crate::constraints::unique_violation(&catalog, key, value) {
                return worded;
            }
        }
        error.into_pg_error()
    }

    /// 25P02 in a failed transaction, for everything but what ends it.
    pub(super) fn check_not_failed(&self, prepared: &Prepared) -> PgResult<()> {
        let ends_it = matches!(
            prepared.kind(),
            Some(StatementKind::Transaction(transaction)) if matches!(
                **transaction,
                Transaction::Commit { .. } | Transaction::Rollback { .. } | Transaction::RollbackTo(_)
            )
        );
        if self.status() == TransactionStatus::Failed && !ends_it {
            return Err(PgError::new(
                SqlState::IN_FAILED_SQL_TRANSACTION,
                "current transaction is aborted, commands ignored until end of transaction block",
            ));
        }
        Ok(())
    }

    async fn run_transaction(&mut self, transaction: &Transaction) -> PgResult<Tag> {
        if self.status() == TransactionStatus::Failed {
            return self.run_in_failed(transaction).await;
        }
        match transaction {
            Transaction::Begin { modes, start } => {
                let past = Box::pin(self.past_of(modes)).await.map_err(ExecError::into_pg_error)?;
                self.begin_block(modes)?;
                if let Some(past) = past {
                    self.move_to_past(past);
                }
                Ok(Tag::Plain(if *start { "START TRANSACTION" } else { "BEGIN" }))
            }
            Transaction::Commit { chain } => {
                self.warn_outside_block();
                let again = self.chained(*chain)?;
                if let Err(error) = self.commit().await {
                    self.rollback().await;
                    return Err(error.into_pg_error());
                }
                self.begin_chained(again)?;
                Ok(Tag::Plain("COMMIT"))
            }
            Transaction::Rollback { chain } => {
                self.warn_outside_block();
                let again = self.chained(*chain)?;
                self.rollback().await;
                self.begin_chained(again)?;
                Ok(Tag::Plain("ROLLBACK"))
            }
            Transaction::Savepoint(name) => {
                self.define_savepoint(&name.name)?;
                Ok(Tag::Plain("SAVEPOINT"))
            }
            Transaction::Release(name) => {
                self.release_savepoint(&name.name)?;
                Ok(Tag::Plain("RELEASE"))
            }
            Transaction::RollbackTo(name) => {
                self.rollback_to_savepoint(&name.name).await.map_err(ExecError::into_pg_error)?;
                Ok(Tag::Plain("ROLLBACK"))
            }
            Transaction::PrepareTransaction(_)
            | Transaction::CommitPrepared(_)
            | Transaction::RollbackPrepared(_) => Err(PgError::unsupported("PREPARE TRANSACTION")),
        }
    }

    async fn run_in_failed(&mut self, transaction: &Transaction) -> PgResult<Tag> {
        match transaction {
            Transaction::Commit { chain } | Transaction::Rollback { chain } => {
                let again = self.chained(*chain)?;
                self.rollback().await;
                self.begin_chained(again)?;
                Ok(Tag::Plain("ROLLBACK"))
            }
            Transaction::RollbackTo(name) => {
                self.rollback_to_savepoint(&name.name).await.map_err(ExecError::into_pg_error)?;
                Ok(Tag::Plain("ROLLBACK"))
            }
            _ => Err(PgError::new(
                SqlState::IN_FAILED_SQL_TRANSACTION,
                "current transaction is aborted, commands ignored until end of transaction block",
            )),
        }
    }

    fn warn_outside_block(&mut self) {
        if !self.in_block() {
            self.notice(PgError::warning(
                SqlState::NO_ACTIVE_SQL_TRANSACTION,
                "there is no transaction in progress",
            ));
        }
    }

    /// AND CHAIN: the modes of the transaction that is about to end.
    fn chained(&self, chain: bool) -> PgResult<Option<Vec<planner::ast::TransactionMode>>> {
        use planner::ast::TransactionMode;
        if !chain {
            return Ok(None);
        }
        match &self.active {
            Some(active) if active.as_of.is_some() => {
                Err(PgError::unsupported("AND CHAIN after a transaction AS OF SYSTEM TIME"))
            }
            Some(active) if active.block => Ok(Some(vec![
                TransactionMode::Isolation(active.isolation),
                TransactionMode::ReadOnly(active.read_only),
                TransactionMode::Deferrable(active.deferrable),
            ])),
            _ => Err(PgError::new(
                SqlState::NO_ACTIVE_SQL_TRANSACTION,
                "COMMIT AND CHAIN can only be used in transaction blocks",
            )),
        }
    }

    fn begin_chained(&mut self, modes: Option<Vec<planner::ast::TransactionMode>>) -> PgResult<()> {
        modes.map_or(Ok(()), |modes| self.begin_block(&modes))
    }

    /// The catalog that the next statement sees.
    pub(crate) fn catalog_snapshot(&mut self) -> Arc<crate::catalog::CatalogSnapshot> {
        match &mut self.active {
            Some(active) => active.catalog.current(),
            None => self.server.catalog.current(),
        }
    }

    pub(crate) fn statement_catalog(&mut self) -> StatementCatalog {
        let snapshot = self.catalog_snapshot();
        self.follow_types(&snapshot);
        StatementCatalog {
            server: self.server.clone(),
            snapshot,
            database: self.database,
            session: self.info().clone(),
        }
    }

    /// Plans without running: Parse and Describe.
    pub(crate) fn analyse(&mut self, prepared: &Arc<Prepared>) -> PgResult<Arc<Planned>> {
        let catalog = self.catalog_for(prepared);
        prepared.plan(&catalog, self.plan_options())
    }

    /// The columns of the rows that a statement returns; `None` if it returns none.
    pub(super) fn result_columns(
        &mut self,
        prepared: &Arc<Prepared>,
    ) -> PgResult<Option<Arc<[ColumnDescription]>>> {
        let Some(kind) = prepared.kind() else { return Ok(None) };
        if kind.is_plannable() {
            return Ok(self.analyse(prepared)?.columns.clone());
        }
        let text = |name: &str| Some(Arc::from([describe_column(name, DataType::Text.into())]));
        Ok(match kind {
            StatementKind::Explain(_) => text("QUERY PLAN"),
            StatementKind::Show(show) => Some(super::variables::show_columns(show)?),
            StatementKind::Execute(execute) => {
                let inner = self.prepared(&execute.name.name)?;
                return self.result_columns(&inner);
            }
            StatementKind::Fetch(fetch) if !fetch.move_only => {
                self.portals.get(&fetch.cursor.name).and_then(|portal| portal.columns.clone())
            }
            _ => None,
        })
    }

    async fn dispatch(&mut self, run: &Run<'_>, sink: &mut ResultSink) -> ExecResult<Tag> {
        let kind = run.prepared.kind().expect("an empty statement was answered before");
        if kind.is_plannable() {
            return self.run_query(run, sink).await;
        }
        // Boxed: what runs the other statements is a hundred times as large, and would be part of every query's future.
        Box::pin(self.dispatch_other(kind, run, sink)).await
    }

    async fn dispatch_other(
        &mut self,
        kind: &StatementKind,
        run: &Run<'_>,
        sink: &mut ResultSink,
    ) -> ExecResult<Tag> {
        use StatementKind::*;
        match kind {
            Copy(copy) => return self.run_copy(copy, run, sink).await,
            Explain(explain) => return self.run_explain(explain, run, sink).await,
            Show(show) => return Ok(self.run_show(show, run, sink)?),
            SetVariable(set) => {
                if let SetAction::Transaction(modes) = &set.action
                    && self.in_block()
                    && let Some(past) = self.past_of(modes).await?
                {
                    self.set_modes(modes)?;
                    self.move_to_past(past);
                    return Ok(Tag::Plain("SET"));
                }
                return Ok(self.run_set(set)?);
            }
            Execute(execute) => return self.run_execute(execute, run, sink).await,
            Prepare(prepare) => return self.run_prepare(prepare, &run.prepared.text).await,
            Deallocate(name) => return Ok(self.run_deallocate(name.as_ref())?),
            DeclareCursor(declare) => return self.run_declare(declare, run).await,
            Fetch(fetch) => return self.run_fetch(fetch, run, sink).await,
            CloseCursor(name) => return Ok(self.run_close(name.as_ref())?),
            Discard(target) => return self.run_discard(*target).await,
            SetConstraints(set) => return self.run_set_constraints(set).await,
            LockTable(lock) => return self.run_lock_table(lock).await,
            Listen(channel) => {
                let change = ChannelChange::Listen(channel.name.to_string());
                return Ok(self.change_channels(change, "LISTEN"));
            }
            Unlisten(Some(channel)) => {
                let change = ChannelChange::Unlisten(channel.name.to_string());
                return Ok(self.change_channels(change, "UNLISTEN"));
            }
            Unlisten(None) => return Ok(self.change_channels(ChannelChange::UnlistenAll, "UNLISTEN")),
            Notify(notify) => {
                let pending = self.ensure_transaction().notifications.clone();
                pending.lock().notify(&notify.channel.name, notify.payload.as_deref().unwrap_or(""))?;
                return Ok(Tag::Plain("NOTIFY"));
            }
            Do(_) => return Err(PgError::unsupported("DO").into()),
            Call(_) => return Err(PgError::unsupported("CALL").into()),
            Unsupported(feature) => return Err(PgError::unsupported(feature).into()),
            _ => {}
        }
        self.run_definition(kind, run).await
    }

    fn change_channels(&mut self, change: ChannelChange, tag: &'static str) -> Tag {
        self.ensure_transaction().notifications.lock().change(change);
        Tag::Plain(tag)
    }

    /// Gives back every advisory lock that is held for the session.
    async fn unlock_all_advisory(&mut self) {
        let given_back = self.advisory_locks.lock().give_all_back();
        self.server.cluster_locks.release(self.locks.owner(), given_back).await;
    }

    async fn run_discard(&mut self, target: DiscardTarget) -> ExecResult<Tag> {
        Ok(match target {
            DiscardTarget::All => {
                if self.in_block() {
                    return Err(PgError::new(
                        SqlState::ACTIVE_SQL_TRANSACTION,
                        "DISCARD ALL cannot run inside a transaction block",
                    )
                    .into());
                }
                self.portals.remove_cursors();
                self.statements.clear();
                self.reset_session_authorization(false)?;
                self.settings.reset_all(false);
                self.refresh_settings();
                *self.sequence_memory.lock() = Default::default();
                self.drop_temporary_objects().await?;
                self.change_channels(ChannelChange::UnlistenAll, "UNLISTEN");
                self.unlock_all_advisory().await;
                Tag::Plain("DISCARD ALL")
            }
            // Plans are checked against the catalog's version each time: there is nothing to throw away.
            DiscardTarget::Plans => Tag::Plain("DISCARD PLANS"),
            DiscardTarget::Sequences => {
                *self.sequence_memory.lock() = Default::default();
                Tag::Plain("DISCARD SEQUENCES")
            }
            DiscardTarget::Temporary => {
                self.drop_temporary_objects().await?;
                Tag::Plain("DISCARD TEMP")
            }
        })
    }
}

/// A transaction that begins anew keeps the id by which a client may know it; false: under that it cannot commit any more.
async fn hold_again(id: Option<AssignedId>, txn: &Txn) -> bool {
    match id {
        Some(id) => id.hold(txn).await.unwrap_or(false),
        None => true,
    }
}
