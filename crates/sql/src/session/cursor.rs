//! PREPARE, EXECUTE, DEALLOCATE; DECLARE, FETCH, MOVE, CLOSE.

use std::sync::Arc;

use executor::ExecResult;
use pgserver::{ColumnFormats, ResultSink};
use planner::ast::{DeclareCursor, Execute, Fetch, FetchDirection, Identifier, Prepare};
use types::{Batch, DataType, Datum, PgError, PgResult, SqlState, Vector};

use super::Session;
use super::history::History;
use super::output::{RowFormat, write_rows};
use super::portal::{HeldRows, Portal, Progress};
use super::prepared::{Kept, Prepared};
use super::statement::{Run, Tag};

impl Session {
    /// `source`: the text that the statement came with.
    pub(super) async fn run_prepare(&mut self, prepare: &Prepare, source: &Arc<str>) -> ExecResult<Tag> {
        let name = &*prepare.name.name;
        if self.statements.contains(name) {
            return Err(PgError::new(
                SqlState::DUPLICATE_PREPARED_STATEMENT,
                format!("prepared statement \"{name}\" already exists"),
            )
            .into());
        }
        let catalog = self.statement_catalog();
        let given = prepare
            .types
            .iter()
            .map(|type_name| {
                let resolved = planner::resolve_type(type_name, &catalog, self.plan_options())?;
                Ok(Some(resolved.data_type))
            })
            .collect::<PgResult<Vec<Option<DataType>>>>()?;
        let mut statement = prepare.statement.node.clone();
        statement.parameter_count = statement.parameter_count.max(given.len() as u16);
        let prepared =
            Prepared::new(prepare.statement.text.as_ref().into(), Some(Arc::new(statement)), given);
        let prepared = Arc::new(prepared);
        if prepared.kind().is_some_and(planner::ast::StatementKind::is_plannable) {
            self.keep_past(&prepared).await?;
            self.analyse(&prepared)?;
        }
        let kept = Kept { prepared, source: source.clone(), made_at: self.now(), from_sql: true };
        self.statements.insert(name, kept);
        Ok(Tag::Plain("PREPARE"))
    }

    pub(super) fn run_deallocate(&mut self, name: Option<&Identifier>) -> PgResult<Tag> {
        let Some(name) = name else {
            self.statements.clear();
            return Ok(Tag::Plain("DEALLOCATE ALL"));
        };
        let prepared = self.prepared(&name.name)?;
        self.portals.remove_of(&prepared);
        self.statements.remove(&*name.name);
        Ok(Tag::Plain("DEALLOCATE"))
    }

    /// EXECUTE: the named statement with the values of the argument expressions.
    pub(super) async fn run_execute(
        &mut self,
        execute: &Execute,
        run: &Run<'_>,
        sink: &mut ResultSink,
    ) -> ExecResult<Tag> {
        let prepared = self.prepared(&execute.name.name)?;
        let parameters = self.execute_arguments(execute, &prepared).await?;
        if !prepared.kind().is_some_and(planner::ast::StatementKind::is_plannable) {
            return Err(PgError::unsupported("EXECUTE of a statement that is not a query").into());
        }
        let inner = Run { prepared: &prepared, parameters, ..run.clone() };
        self.run_query(&inner, sink).await
    }

    pub(super) async fn execute_arguments(
        &mut self,
        execute: &Execute,
        prepared: &Arc<Prepared>,
    ) -> ExecResult<Arc<[Datum]>> {
        let types = self.parameter_types(prepared)?;
        if execute.arguments.len() != types.len() {
            return Err(PgError::new(
                SqlState::SYNTAX_ERROR,
                format!("wrong number of parameters for prepared statement \"{}\"", execute.name.name),
            )
            .detail(format!("Expected {} parameters but got {}.", types.len(), execute.arguments.len()))
            .into());
        }
        self.ensure_transaction();
        let catalog = self.statement_catalog();
        let context = self.exec_context(&catalog, &Arc::from([]), false);
        let mut values = Vec::with_capacity(types.len());
        for (argument, data_type) in execute.arguments.iter().zip(types.iter()) {
            let bound = planner::bind_constant(argument, *data_type, &catalog, self.plan_options())?;
            values.push(expr::eval_scalar(&bound, &context.eval(&[]))?);
        }
        Ok(values.into())
    }

    pub(super) async fn run_declare(&mut self, declare: &DeclareCursor, run: &Run<'_>) -> ExecResult<Tag> {
        let name = &*declare.name.name;
        if !declare.hold && !self.in_block() {
            return Err(PgError::new(
                SqlState::NO_ACTIVE_SQL_TRANSACTION,
                "DECLARE CURSOR can only be used in transaction blocks",
            )
            .into());
        }
        if self.portals.contains(name) {
            return Err(PgError::new(
                SqlState::DUPLICATE_CURSOR,
                format!("cursor \"{name}\" already exists"),
            )
            .into());
        }
        let prepared = self.contained(run.prepared, &declare.query)?;
        let rows = self.start_rows(&prepared, &run.parameters).await?;
        if declare.hold && !rows.planned.plan.read_only {
            let message = "DECLARE CURSOR WITH HOLD ... FOR UPDATE is not supported";
            return Err(PgError::new(SqlState::FEATURE_NOT_SUPPORTED, message)
                .detail("Holdable cursors must be READ ONLY.")
                .into());
        }
        let columns = rows.planned.columns.clone();
        let portal = Portal {
            prepared,
            parameters: run.parameters.clone(),
            formats: if declare.binary {
                ColumnFormats::All(pgserver::Format::Binary)
            } else {
                ColumnFormats::TEXT
            },
            columns,
            progress: Progress::Rows(Box::new(rows)),
            cursor: true,
            scroll: declare.scroll,
            hold: declare.hold,
            history: History::new(&self.memory),
            position: 0,
            fresh: true,
            source: run.prepared.text.clone(),
            made_at: self.now(),
        };
        self.portals.insert(name, portal);
        Ok(Tag::Plain("DECLARE CURSOR"))
    }

    /// Before a commit: cursors WITH HOLD read their queries to the end.
    pub(super) async fn hold_cursors(&mut self) -> ExecResult<()> {
        for name in self.portals.to_be_held() {
            let Some(portal) = self.portals.get_mut(&name) else { continue };
            portal.read_until(usize::MAX).await?;
            if let Progress::Rows(rows) = &mut portal.progress {
                let held = HeldRows { planned: rows.planned.clone(), names: rows.names.take() };
                portal.progress = Progress::Held(Box::new(held));
            }
        }
        Ok(())
    }

    pub(super) fn run_close(&mut self, name: Option<&Identifier>) -> PgResult<Tag> {
        match name {
            None => self.portals.remove_cursors(),
            Some(name) if self.portals.remove(&name.name).is_some() => {}
            Some(name) => return Err(no_cursor(&name.name)),
        }
        Ok(Tag::Plain(if name.is_some() { "CLOSE CURSOR" } else { "CLOSE CURSOR ALL" }))
    }

    /// A named portal of the protocol is a cursor as well: its query begins when it is first read.
    async fn begin_portal(&mut self, name: &str) -> ExecResult<()> {
        let Some(portal) = self.portals.get(name).filter(|_| !name.is_empty()) else { return Ok(()) };
        let plannable = portal.prepared.kind().is_some_and(planner::ast::StatementKind::is_plannable);
        if portal.cursor || portal.columns.is_none() || !plannable {
            return Ok(());
        }
        if matches!(portal.progress, Progress::Ready) {
            let (prepared, parameters) = (portal.prepared.clone(), portal.parameters.clone());
            let rows = self.start_rows(&prepared, &parameters).await?;
            if let Some(portal) = self.portals.get_mut(name) {
                portal.progress = Progress::Rows(Box::new(rows));
            }
        }
        Ok(())
    }

    pub(super) async fn run_fetch(
        &mut self,
        fetch: &Fetch,
        run: &Run<'_>,
        sink: &mut ResultSink,
    ) -> ExecResult<Tag> {
        let name = &*fetch.cursor.name;
        let context = self.info().clone();
        self.begin_portal(name).await?;
        let usable = |portal: &&mut Portal| portal.cursor || matches!(portal.progress, Progress::Rows(_));
        let portal = self.portals.get_mut(name).filter(usable).ok_or_else(|| no_cursor(name))?;
        let rows = portal.fetch(fetch.direction).await?;
        let count = rows.len() as u64;
        if fetch.move_only {
            return Ok(Tag::Rows("MOVE", count));
        }
        let columns = portal.columns.clone().unwrap_or_default();
        // A binary cursor is binary whatever the client asks for.
        let formats = match portal.formats {
            ColumnFormats::All(pgserver::Format::Binary) => portal.formats.clone(),
            _ => run.formats.clone(),
        };
        let (planned, names) = match &portal.progress {
            Progress::Rows(running) => (&running.planned, running.names.as_ref()),
            Progress::Held(held) => (&held.planned, held.names.as_ref()),
            Progress::Ready | Progress::Done => return Err(no_cursor(name).into()),
        };
        let types = &planned.types;
        if run.describe {
            sink.row_description(&columns, &formats);
        }
        let mut batch: Vec<Vector> = types
            .iter()
            .map(|column_type| Vector::with_capacity(column_type.data_type, rows.len()))
            .collect();
        for row in &rows {
            batch.iter_mut().zip(row).for_each(|(vector, datum)| vector.push(datum));
        }
        let batch = Batch::new(batch, rows.len());
        let format = RowFormat { types, formats: &formats, context: &context.format, names };
        write_rows(sink, &batch, 0..batch.rows, &format)?;
        Ok(Tag::Rows("FETCH", count))
    }
}

fn no_cursor(name: &str) -> PgError {
    PgError::new(SqlState::INVALID_CURSOR_NAME, format!("cursor \"{name}\" does not exist"))
}

impl Portal {
    /// Moves the cursor and answers the rows that it passes, in the order passed. `position` counts the rows before and
    /// including the current one (one more than there are: after the last).
    async fn fetch(&mut self, direction: FetchDirection) -> ExecResult<Vec<Vec<Datum>>> {
        let rows = match direction {
            FetchDirection::Forward(0) | FetchDirection::Backward(0) | FetchDirection::Relative(0) => {
                if self.scroll == Some(false) {
                    self.require_scroll()?;
                }
                self.current()
            }
            FetchDirection::Forward(count) if count > 0 => self.forward(count as usize).await?,
            FetchDirection::Forward(count) => self.backward(count.unsigned_abs() as usize)?,
            FetchDirection::Backward(count) if count > 0 => self.backward(count as usize)?,
            FetchDirection::Backward(count) => self.forward(count.unsigned_abs() as usize).await?,
            FetchDirection::Absolute(target) => {
                let target = if target < 0 {
                    self.read_until(usize::MAX).await?;
                    (self.history.len() as i64 + 1 + target).max(0) as usize
                } else {
                    target as usize
                };
                self.go_to(target).await?
            }
            FetchDirection::Relative(distance) => {
                let target = (self.position as i64).saturating_add(distance).max(0) as usize;
                self.go_to(target).await?
            }
        };
        if self.scroll != Some(true) {
            self.history.forget_before(self.position.saturating_sub(1));
        }
        Ok(rows)
    }

    fn current(&self) -> Vec<Vec<Datum>> {
        let row = self.position.checked_sub(1).and_then(|at| self.history.row(at));
        row.cloned().into_iter().collect()
    }

    async fn forward(&mut self, count: usize) -> ExecResult<Vec<Vec<Datum>>> {
        let wanted = self.position.saturating_add(count);
        self.read_until(wanted).await?;
        let end = wanted.min(self.history.len());
        let rows = self.history.rows(self.position..end).collect();
        self.position = if wanted > self.history.len() { self.history.len() + 1 } else { end };
        Ok(rows)
    }

    fn backward(&mut self, count: usize) -> ExecResult<Vec<Vec<Datum>>> {
        self.require_scroll()?;
        let from = self.position.saturating_sub(1);
        let to = from.saturating_sub(count);
        let rows = self.history.rows(to..from).rev().collect();
        self.position = if count > from { 0 } else { to + 1 };
        Ok(rows)
    }

    async fn go_to(&mut self, target: usize) -> ExecResult<Vec<Vec<Datum>>> {
        if target < self.position {
            self.require_scroll()?;
        }
        self.read_until(target).await?;
        self.position = target.min(self.history.len() + 1);
        Ok(self.current())
    }

    fn require_scroll(&self) -> PgResult<()> {
        if self.scroll == Some(true) {
            return Ok(());
        }
        Err(PgError::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, "cursor can only scan forward")
            .hint("Declare it with SCROLL option to enable backward scan."))
    }

    /// Reads on until `count` rows have been read or the query ends.
    async fn read_until(&mut self, count: usize) -> ExecResult<()> {
        let Progress::Rows(rows) = &mut self.progress else { return Ok(()) };
        while self.history.len() < count {
            rows.fill().await?;
            if rows.ended {
                break;
            }
            self.history.push(rows.batch.row(rows.next_row))?;
            rows.next_row += 1;
        }
        Ok(())
    }
}
