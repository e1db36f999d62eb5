//! The calls of `pgserver`, answered.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use expr::CatalogLookup;
use futures::future::BoxFuture;
use pgserver::{
    Bind, ColumnFormats, Format, PortalDescription, ResultSink, SessionEvent, StatementDescription,
    TransactionStatus,
};
use planner::ast::{Statement, StatementKind};
use tracing::Instrument;
use types::format::{parse_binary, parse_text};
use types::{DataType, Datum, PgError, PgResult, SqlState};

use super::Session;
use super::history::History;
use super::portal::{Portal, Progress};
use super::prepared::{Kept, Prepared};
use super::statement::Run;

impl pgserver::Session for Session {
    fn parameter_statuses(&self) -> Vec<(String, String)> {
        self.settings
            .reported()
            .into_iter()
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect()
    }

    fn transaction_status(&self) -> TransactionStatus {
        self.status()
    }

    fn simple_query<'a>(
        &'a mut self,
        text: &'a str,
        sink: &'a mut ResultSink,
    ) -> BoxFuture<'a, PgResult<()>> {
        Box::pin(async move {
            self.cancel.clear();
            self.statements.remove("");
            self.portals.remove("");
            let result = self.simple_query_inner(text, sink).await;
            self.finish_message(sink);
            result
        })
    }

    fn parse<'a>(
        &'a mut self,
        name: &'a str,
        text: &'a str,
        parameter_types: &'a [u32],
    ) -> BoxFuture<'a, PgResult<()>> {
        Box::pin(async move {
            let result = self.parse_statement(name, text, parameter_types).await;
            self.note_failure(result)
        })
    }

    fn describe_statement<'a>(&'a mut self, name: &'a str) -> BoxFuture<'a, PgResult<StatementDescription>> {
        Box::pin(async move {
            let result = match self.prepared(name) {
                Ok(prepared) => self.describe_prepared(&prepared).await,
                Err(error) => Err(error),
            };
            self.note_failure(result)
        })
    }

    fn bind<'a>(&'a mut self, message: Bind<'a>) -> BoxFuture<'a, PgResult<()>> {
        Box::pin(async move {
            let result = self.bind_portal(message).await;
            self.note_failure(result)
        })
    }

    fn describe_portal<'a>(&'a mut self, name: &'a str) -> BoxFuture<'a, PgResult<PortalDescription>> {
        Box::pin(async move {
            let portal = self.portals.get(name).ok_or_else(|| no_portal(name));
            let description = portal.map(|portal| PortalDescription {
                columns: portal.columns.clone(),
                formats: portal.formats.clone(),
            });
            self.note_failure(description)
        })
    }

    fn execute<'a>(
        &'a mut self,
        portal: &'a str,
        row_limit: Option<NonZeroU32>,
        sink: &'a mut ResultSink,
    ) -> BoxFuture<'a, PgResult<()>> {
        Box::pin(async move {
            self.cancel.clear();
            let result = self.execute_portal(portal, row_limit, sink).await;
            self.flush_notices(sink);
            result
        })
    }

    fn close_statement(&mut self, name: &str) {
        if let Some(prepared) = self.statements.remove(name) {
            self.portals.remove_of(&prepared);
        }
    }

    fn close_portal(&mut self, name: &str) {
        self.portals.remove(name);
    }

    fn sync<'a>(&'a mut self, sink: &'a mut ResultSink) -> BoxFuture<'a, PgResult<()>> {
        Box::pin(async move {
            let result = if self.in_block() { Ok(()) } else { self.end_implicit().await };
            self.release_failed().await;
            self.finish_message(sink);
            result
        })
    }

    fn message_failed(&mut self, _error: &PgError) {
        self.fail();
    }

    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<SessionEvent> {
        if let Poll::Ready(reason) = self.entry.end.poll(context) {
            return Poll::Ready(SessionEvent::Terminate(reason));
        }
        // Within a transaction they are held back. Its end is answered with ReadyForQuery, before which this is asked again.
        if self.active.is_some() {
            return Poll::Pending;
        }
        self.inbox.poll_next(context).map(SessionEvent::Notification)
    }

    fn idle_limit(&self) -> Option<Duration> {
        match self.status() {
            TransactionStatus::Idle => self.idle_limits.0,
            _ => self.idle_limits.1,
        }
    }

    fn terminate(mut self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move { self.rollback().await })
    }
}

impl Session {
    async fn simple_query_inner(&mut self, text: &str, sink: &mut ResultSink) -> PgResult<()> {
        let text: Arc<str> = text.into();
        self.show_activity(&text);
        let statements = match self.parse_text(&text) {
            Ok(statements) => statements,
            Err(error) => {
                self.fail_or_rollback().await;
                return Err(error);
            }
        };
        if statements.is_empty() {
            sink.empty_query();
            return Ok(());
        }
        let alone = statements.len() == 1;
        for statement in statements {
            let prepared = Arc::new(Prepared::new(text.clone(), Some(Arc::new(statement)), Vec::new()));
            let run = Run {
                prepared: &prepared,
                parameters: Arc::from([]),
                formats: ColumnFormats::TEXT,
                describe: true,
                alone,
            };
            if let Err(error) = self.run_statement(run, sink).await {
                self.fail_or_rollback().await;
                return Err(error);
            }
        }
        if !self.in_block() {
            self.end_implicit().await?;
        }
        Ok(())
    }

    pub(super) fn parse_text(&self, text: &str) -> PgResult<Vec<planner::ast::Statement>> {
        let bound = self.server.limits.statement_bytes_max();
        if text.len() > bound {
            return Err(PgError::new(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!("statement of {} bytes is too long: the limit is {bound}", text.len()),
            ));
        }
        planner::parse(text)
    }

    /// Outside a block the failed transaction ends at once; inside it waits for its ROLLBACK, holding nothing.
    pub(super) async fn fail_or_rollback(&mut self) {
        if self.in_block() {
            self.fail();
            self.release_failed().await;
        } else {
            self.rollback().await;
        }
    }

    /// The end of an implicit transaction: commits it, unless something in it failed.
    async fn end_implicit(&mut self) -> PgResult<()> {
        let Some(active) = &self.active else { return Ok(()) };
        if active.failed {
            self.rollback().await;
            return Ok(());
        }
        let committed = match self.begin_recording() {
            None => self.commit().await,
            Some(recording) => {
                let root = recording.root("the end of the implicit transaction");
                let committed = Box::pin(self.commit()).instrument(root).await;
                self.keep_trace(recording.finish());
                committed
            }
        };
        if let Err(error) = committed {
            self.rollback().await;
            return Err(error.into_pg_error());
        }
        Ok(())
    }

    fn note_failure<T>(&mut self, result: PgResult<T>) -> PgResult<T> {
        if result.is_err() {
            self.fail();
        }
        result
    }

    fn show_activity(&self, text: &Arc<str>) {
        let now = self.now();
        let mut row = self.entry.row.lock();
        row.state = "active";
        row.query = text.clone();
        (row.query_started_at, row.state_changed_at) = (now, now);
    }

    /// What goes out before ReadyForQuery: notices, changed parameters.
    fn finish_message(&mut self, sink: &mut ResultSink) {
        self.flush_notices(sink);
        if self.settings_generation != self.settings.generation() {
            self.refresh_settings();
        }
        if self.reported_generation != self.settings.generation() {
            self.report_settings(sink);
        }
        let now = self.now();
        let mut row = self.entry.row.lock();
        row.state_changed_at = now;
        row.state = match self.status() {
            TransactionStatus::Idle => "idle",
            TransactionStatus::InTransaction => "idle in transaction",
            TransactionStatus::Failed => "idle in transaction (aborted)",
        };
    }

    fn report_settings(&mut self, sink: &mut ResultSink) {
        let reported = self.settings.reported();
        for ((name, new), (_, old)) in reported.iter().zip(&self.reported) {
            if new != old {
                sink.parameter_status(name, new);
            }
        }
        self.reported = reported;
        self.reported_generation = self.settings.generation();
    }

    pub(super) fn flush_notices(&mut self, sink: &mut ResultSink) {
        let notices = std::mem::take(&mut *self.notices.lock());
        if notices.is_empty() {
            return;
        }
        let level = self.settings.get("client_min_messages").unwrap_or_else(|_| "notice".into());
        for notice in notices {
            if super::variables::reaches_client(notice.fields().severity, &level) {
                sink.notice(&notice);
            }
        }
    }

    async fn parse_statement(&mut self, name: &str, text: &str, parameter_types: &[u32]) -> PgResult<()> {
        if !name.is_empty() && self.statements.contains(name) {
            return Err(PgError::new(
                SqlState::DUPLICATE_PREPARED_STATEMENT,
                format!("prepared statement \"{name}\" already exists"),
            ));
        }
        let mut statements = self.parse_text(text)?.into_iter();
        let statement = statements.next();
        if statements.next().is_some() {
            return Err(PgError::new(
                SqlState::SYNTAX_ERROR,
                "cannot insert multiple commands into a prepared statement",
            ));
        }
        let given = parameter_types.iter().map(|oid| given_type(*oid)).collect::<PgResult<Vec<_>>>()?;
        let prepared = Prepared::new(text.into(), statement.map(Arc::new), given);
        // Analysed at once, so that a statement that makes no sense fails here, as in PostgreSQL.
        let prepared = Arc::new(prepared);
        if !self.is_in_past() && prepared.as_of().is_none() {
            self.server.lease.hold().await?;
        }
        if prepared.kind().is_some_and(StatementKind::is_plannable) {
            self.check_not_failed(&prepared)?;
            Box::pin(self.keep_past(&prepared)).await.map_err(executor::ExecError::into_pg_error)?;
            self.analyse(&prepared)?;
        } else if prepared.kind().is_some_and(|kind| kind.contained().is_some()) {
            self.check_not_failed(&prepared)?;
            self.parameter_types(&prepared)?;
        }
        let source = prepared.text.clone();
        self.statements.insert(name, Kept { prepared, source, made_at: self.now(), from_sql: false });
        Ok(())
    }

    pub(super) fn prepared(&self, name: &str) -> PgResult<Arc<Prepared>> {
        self.statements.get(name).ok_or_else(|| {
            let what = if name.is_empty() {
                "unnamed prepared statement does not exist".to_string()
            } else {
                format!("prepared statement \"{name}\" does not exist")
            };
            PgError::new(SqlState::INVALID_SQL_STATEMENT_NAME, what)
        })
    }

    async fn describe_prepared(&mut self, prepared: &Arc<Prepared>) -> PgResult<StatementDescription> {
        let columns = self.result_columns(prepared)?;
        let parameter_types =
            self.parameter_types(prepared)?.iter().map(|data_type| data_type.oid()).collect();
        Ok(StatementDescription { parameter_types, columns })
    }

    /// Types of all parameters, analysing the statement if that has not been done.
    pub(super) fn parameter_types(&mut self, prepared: &Arc<Prepared>) -> PgResult<Arc<[DataType]>> {
        if let Some(types) = &*prepared.parameters.lock() {
            return Ok(types.clone());
        }
        if prepared.kind().is_some_and(StatementKind::is_plannable) {
            return Ok(self.analyse(prepared)?.plan.parameters.as_slice().into());
        }
        if let Some(statement) = prepared.kind().and_then(StatementKind::contained) {
            let statement = Some(Arc::new(statement.clone()));
            let inner = Arc::new(Prepared::new(prepared.text.clone(), statement, prepared.given.clone()));
            let types: Arc<[DataType]> = self.analyse(&inner)?.plan.parameters.as_slice().into();
            *prepared.parameters.lock() = Some(types.clone());
            return Ok(types);
        }
        Ok(prepared.given.iter().map(|given| given.unwrap_or(DataType::Text)).collect())
    }

    /// A query within a statement (DECLARE, EXPLAIN, CREATE TABLE AS), with the parameters of the whole.
    pub(crate) fn contained(
        &mut self,
        outer: &Arc<Prepared>,
        statement: &Statement,
    ) -> PgResult<Arc<Prepared>> {
        let given = self.parameter_types(outer)?.iter().map(|given| Some(*given)).collect();
        let statement = Some(Arc::new(statement.clone()));
        Ok(Arc::new(Prepared::new(outer.text.clone(), statement, given)))
    }

    async fn bind_portal(&mut self, message: Bind<'_>) -> PgResult<()> {
        let prepared = self.prepared(message.statement)?;
        if !message.portal.is_empty() && self.portals.contains(message.portal) {
            return Err(PgError::new(
                SqlState::DUPLICATE_CURSOR,
                format!("cursor \"{}\" already exists", message.portal),
            ));
        }
        self.check_not_failed(&prepared)?;
        let types = self.parameter_types(&prepared)?;
        if message.parameters.len() != types.len() {
            return Err(PgError::new(
                SqlState::PROTOCOL_VIOLATION,
                format!(
                    "bind message supplies {} parameters, but prepared statement \"{}\" requires {}",
                    message.parameters.len(),
                    message.statement,
                    types.len()
                ),
            ));
        }
        let catalog = types.iter().any(|data_type| expr::needs_catalog(*data_type)).then(|| {
            self.ensure_transaction();
            let catalog = self.statement_catalog();
            self.services(&catalog)
        });
        let catalog = catalog.as_ref().map(|services| &**services as &dyn CatalogLookup);
        let context = &self.info().format;
        let parameters = message
            .parameters
            .iter()
            .zip(types.iter())
            .enumerate()
            .map(|(index, ((format, bytes), data_type))| {
                decode_parameter(format, bytes, *data_type, context, catalog).map_err(|error| {
                    // The value is not shown: log_parameter_max_length_on_error is 0.
                    let value = if format == Format::Text { " = '...'" } else { "" };
                    let portal = match message.portal {
                        "" => "unnamed portal".to_string(),
                        name => format!("portal \"{name}\""),
                    };
                    error.context(format!("{portal} parameter ${}{value}", index + 1))
                })
            })
            .collect::<PgResult<Arc<[Datum]>>>()?;
        let columns = self.result_columns(&prepared)?;
        let formats =
            message.result_formats.for_columns(columns.as_ref().map_or(0, |columns| columns.len()))?;
        let portal = Portal {
            source: prepared.text.clone(),
            made_at: self.now(),
            prepared,
            parameters,
            formats,
            columns,
            progress: Progress::Ready,
            cursor: false,
            scroll: None,
            hold: false,
            history: History::new(&self.memory),
            position: 0,
            fresh: true,
        };
        self.portals.insert(message.portal, portal);
        Ok(())
    }

    async fn execute_portal(
        &mut self,
        name: &str,
        row_limit: Option<NonZeroU32>,
        sink: &mut ResultSink,
    ) -> PgResult<()> {
        let result = self.run_portal(name, row_limit, sink).await;
        if result.is_err() {
            // The implicit transaction ends at Sync; until then it only counts as failed.
            self.fail();
            self.release_failed().await;
        }
        result
    }

    async fn run_portal(
        &mut self,
        name: &str,
        row_limit: Option<NonZeroU32>,
        sink: &mut ResultSink,
    ) -> PgResult<()> {
        let portal = self.portals.get(name).ok_or_else(|| no_portal(name))?;
        if portal.prepared.statement.is_none() {
            sink.empty_query();
            return Ok(());
        }
        let suspended = !matches!(portal.progress, Progress::Ready);
        let prepared = portal.prepared.clone();
        let plannable = prepared.kind().is_some_and(StatementKind::is_plannable);
        if suspended || (row_limit.is_some() && plannable && portal.columns.is_some()) {
            self.check_not_failed(&prepared)?;
            return Box::pin(self.run_suspendable(name, row_limit, sink)).await;
        }
        self.show_activity(&prepared.text);
        let run = Run {
            prepared: &prepared,
            parameters: portal.parameters.clone(),
            formats: portal.formats.clone(),
            describe: false,
            alone: sink.sync_is_next(),
        };
        self.run_statement(run, sink).await
    }
}

fn given_type(oid: u32) -> PgResult<Option<DataType>> {
    match oid {
        0 => Ok(None),
        oid => match DataType::from_oid(oid) {
            Some(DataType::Unknown) => Ok(None),
            Some(data_type) => Ok(Some(data_type)),
            None => {
                Err(PgError::new(SqlState::UNDEFINED_OBJECT, format!("type with OID {oid} does not exist")))
            }
        },
    }
}

fn decode_parameter(
    format: Format,
    bytes: Option<&[u8]>,
    data_type: DataType,
    context: &types::format::FormatContext,
    catalog: Option<&dyn CatalogLookup>,
) -> PgResult<Datum> {
    let Some(bytes) = bytes else { return Ok(Datum::Null) };
    match format {
        Format::Binary => parse_binary(data_type, -1, bytes, context),
        Format::Text => {
            let text = std::str::from_utf8(bytes).map_err(|_| {
                PgError::new(
                    SqlState::CHARACTER_NOT_IN_REPERTOIRE,
                    "invalid byte sequence for encoding \"UTF8\"",
                )
            })?;
            match catalog {
                Some(catalog) => expr::parse_text(data_type, -1, text, context, catalog),
                None => parse_text(data_type, -1, text, context),
            }
        }
    }
}

pub(super) fn no_portal(name: &str) -> PgError {
    PgError::new(SqlState::INVALID_CURSOR_NAME, format!("portal \"{name}\" does not exist"))
}
