//! COPY FROM STDIN and COPY TO STDOUT, in text, CSV and binary format (PostgreSQL's reference page of COPY).

mod batches;
mod binary;
mod options;
mod reader;
mod writer;

use std::collections::VecDeque;
use std::sync::Arc;

use executor::{BatchSource, ExecResult, Execution};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use pgserver::{Format, ResultSink};
use planner::ast::{CopyEndpoint, CopySource, CopyStatement, StatementKind};
use types::{Batch, ColumnType, PgError, PgResult, SqlState};

use self::binary::{BinaryReader, BinaryRows};
use self::options::CopyOptions;
use self::reader::RowReader;
use self::writer::RowText;
use super::Session;
use super::prepared::Prepared;
use super::statement::{Run, Tag};
use crate::table_locks::LockMode;

/// Batches handed to the running INSERT. It asks for one only when one is there or the end has come.
#[derive(Clone, Default)]
struct Handover(Arc<Mutex<VecDeque<Batch>>>);

impl BatchSource for Handover {
    fn next(&mut self) -> BoxFuture<'_, ExecResult<Option<Batch>>> {
        let batch = self.0.lock().pop_front();
        Box::pin(std::future::ready(Ok(batch)))
    }
}

/// Input as rows, in one of the formats.
enum Reader {
    Lines(RowReader),
    Binary(BinaryReader),
}

impl Reader {
    /// Takes a piece of input.
    fn feed(&mut self, data: &[u8]) -> PgResult<()> {
        match self {
            Reader::Lines(reader) => reader.feed(data),
            Reader::Binary(reader) => reader.feed(data),
        }
    }

    fn finish(&mut self) -> PgResult<()> {
        match self {
            Reader::Lines(reader) => reader.finish(),
            Reader::Binary(reader) => reader.finish(),
        }
    }

    fn take_batch(&mut self, last: bool) -> Option<Batch> {
        match self {
            Reader::Lines(reader) => reader.take_batch(last),
            Reader::Binary(reader) => reader.take_batch(last),
        }
    }
}

/// Rows as output, in one of the formats.
enum Writer {
    Lines(RowText),
    Binary(BinaryRows),
}

impl Writer {
    fn row(&mut self, batch: &Batch, row: usize, out: &mut Vec<u8>) {
        match self {
            Writer::Lines(writer) => writer.row(batch, row, out),
            Writer::Binary(writer) => writer.row(batch, row, out),
        }
    }
}

fn format(options: &CopyOptions) -> Format {
    if options.binary { Format::Binary } else { Format::Text }
}

impl Session {
    pub(super) async fn run_copy(
        &mut self,
        copy: &CopyStatement,
        run: &Run<'_>,
        sink: &mut ResultSink,
    ) -> ExecResult<Tag> {
        match &copy.endpoint {
            CopyEndpoint::Client => {}
            CopyEndpoint::File(_) => {
                return Err(PgError::unsupported("COPY to or from a file of the server").into());
            }
            CopyEndpoint::Program(_) => return Err(PgError::unsupported("COPY PROGRAM").into()),
        }
        let options = CopyOptions::new(copy)?;
        self.ensure_transaction();
        if copy.from {
            self.copy_from(copy, &options, run.alone, sink).await
        } else {
            self.copy_to(copy, &options, run, sink).await
        }
    }

    /// Each batch of rows is one execution of the same INSERT plan: the rows so far are written before more are read, and
    /// memory stays bounded whatever the length of the input. A COPY that commits by itself (`alone`) finds out that a key is taken
    /// when its writes reach the store, and need not look at and lock every key before.
    async fn copy_from(
        &mut self,
        copy: &CopyStatement,
        options: &CopyOptions,
        alone: bool,
        sink: &mut ResultSink,
    ) -> ExecResult<Tag> {
        let CopySource::Table { name, .. } = &copy.source else {
            return Err(PgError::new(SqlState::SYNTAX_ERROR, "COPY query FROM is not possible").into());
        };
        if copy.filter.is_some() {
            return Err(PgError::unsupported("COPY FROM ... WHERE").into());
        }
        if self.active.as_ref().is_some_and(|active| active.read_only) {
            return Err(super::read_only_error("COPY FROM").into());
        }
        let table_name = name.name().to_string();
        let catalog = self.statement_catalog();
        let (plan, fields) = planner::plan_copy_from(copy, &catalog, self.plan_options())?;
        self.check_privileges(&plan, &catalog.snapshot)?;
        for relation in &plan.relations {
            self.lock_table(relation.id, LockMode::RowExclusive).await?;
        }
        let plan = Arc::new(plan);
        let types: Vec<ColumnType> = fields.iter().map(|field| field.column_type).collect();
        let names: Vec<String> = fields.iter().map(|field| field.name.to_string()).collect();
        sink.copy_in(format(options), fields.len()).await?;
        // Only now, as PostgreSQL does: what follows in the client's script is data.
        if options.freeze && !plan.relations.iter().all(|relation| self.is_fresh(relation.id)) {
            return Err(PgError::new(
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                "cannot perform COPY FREEZE because the table was not created or truncated in the current subtransaction",
            )
            .into());
        }
        let info = self.info().clone();
        let mut reader = if options.binary {
            Reader::Binary(BinaryReader::new(table_name, names, types, info))
        } else {
            let services = self.services(&catalog);
            Reader::Lines(RowReader::new(options.clone(), table_name, names, types, info, services))
        };
        let mut count = 0;
        loop {
            let ended = match sink.copy_in_next().await? {
                Some(data) => {
                    reader.feed(data)?;
                    false
                }
                None => {
                    reader.finish()?;
                    true
                }
            };
            while let Some(batch) = reader.take_batch(ended) {
                count += self.insert_batch(&plan, &catalog, batch, alone).await?;
            }
            if ended {
                return Ok(Tag::Rows("COPY", count));
            }
        }
    }

    async fn insert_batch(
        &mut self,
        plan: &Arc<planner::Plan>,
        catalog: &crate::planning::StatementCatalog,
        batch: Batch,
        alone: bool,
    ) -> ExecResult<u64> {
        let context = self.exec_context(catalog, &Arc::from([]), alone);
        context.txn.begin_statement(false);
        let handover = Handover::default();
        handover.0.lock().push_back(batch);
        let mut execution = Execution::new_with_feed(plan.clone(), context, Box::new(handover))?;
        while execution.next().await?.is_some() {}
        Ok(execution.rows_affected())
    }

    async fn copy_to(
        &mut self,
        copy: &CopyStatement,
        options: &CopyOptions,
        run: &Run<'_>,
        sink: &mut ResultSink,
    ) -> ExecResult<Tag> {
        let prepared = self.copy_query(copy, run)?;
        let (planned, mut execution) = self.begin_query(&prepared, &Arc::from([])).await?;
        let plan = &planned.plan;
        let types: Vec<ColumnType> = plan.output.iter().map(|column| column.column_type).collect();
        let mut writer = if options.binary {
            Writer::Binary(BinaryRows::new(types, self.info().clone()))
        } else {
            let catalog = self.statement_catalog();
            let names = self.names(&catalog, &types);
            Writer::Lines(RowText::new(options.clone(), &plan.output, self.info().clone(), names))
        };
        sink.copy_out(format(options), plan.output.len());
        if let (Writer::Lines(writer), true) = (&writer, options.header) {
            let names = plan.output.iter().map(|column| &*column.name);
            sink.copy_out_data(|out| {
                writer.header(names, out);
                Ok::<(), PgError>(())
            })?;
        }
        let mut count = 0;
        while let Some(batch) = execution.next().await? {
            for row in 0..batch.rows {
                sink.copy_out_data(|out| {
                    writer.row(&batch, row, out);
                    Ok::<(), PgError>(())
                })?;
            }
            count += batch.rows as u64;
            sink.flush_if_full().await?;
        }
        if let Writer::Binary(writer) = &mut writer {
            sink.copy_out_data(|out| {
                writer.end(out);
                Ok::<(), PgError>(())
            })?;
        }
        sink.copy_out_done();
        Ok(Tag::Rows("COPY", count))
    }

    /// The query whose rows go out: the one given, or all rows of the table.
    fn copy_query(&mut self, copy: &CopyStatement, run: &Run<'_>) -> ExecResult<Arc<Prepared>> {
        match &copy.source {
            CopySource::Query(statement) => {
                if !matches!(statement.kind, StatementKind::Select(_)) && !statement.kind.is_plannable() {
                    return Err(PgError::new(SqlState::SYNTAX_ERROR, "COPY query must be a query").into());
                }
                let statement = Arc::new((**statement).clone());
                Ok(Arc::new(Prepared::new(run.prepared.text.clone(), Some(statement), Vec::new())))
            }
            CopySource::Table { name, columns } => {
                let quote = crate::definition::quote;
                let columns = if columns.is_empty() {
                    "*".to_string()
                } else {
                    columns.iter().map(|column| quote(&column.name)).collect::<Vec<_>>().join(", ")
                };
                let table: Vec<String> = name.parts.iter().map(|part| quote(&part.name)).collect();
                let text = format!("SELECT {columns} FROM {}", table.join("."));
                let statement = planner::parse(&text)?.into_iter().next().map(Arc::new);
                Ok(Arc::new(Prepared::new(text.into(), statement, Vec::new())))
            }
        }
    }
}
