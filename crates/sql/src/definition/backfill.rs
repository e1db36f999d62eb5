//! Rows that are there already: new indexes filled, tables rewritten under another key.
//!
//! Everything happens under the statement's exclusive table lock. The rows are read as its transaction sees them; the entries are
//! the transaction's writes (which the coordinator flushes early as intents when they are many) or, for a rewrite that is a
//! statement of its own, go in bulk into a keyspace that nobody sees before the commit.

use std::sync::Arc;

use executor::ExecResult;
use keys::{IndexId, TableId, table};
use kvclient::{Conflict, InsertCheck, KvBlock, ScanOptions, Txn};
use types::descriptor::{CheckConstraint, ColumnId, IndexDescriptor, Oid, TableDescriptor};
use types::row::{RowDecoder, RowEncoder};
use types::{Batch, Datum, PgError, SqlState};

use crate::garbage::WHOLE_TABLE;
use crate::session::Session;
use crate::small_transaction::in_own_transaction;

impl Session {
    /// Fills a new secondary index. Errors: 23505 "could not create unique index".
    pub(super) async fn backfill_index(&mut self, table: &Arc<TableDescriptor>, id: Oid) -> ExecResult<()> {
        let index = table.indexes.iter().find(|index| index.id == id);
        let index = index.ok_or_else(|| PgError::internal("the new index is not part of its table"))?.clone();
        let target = Target { table: table.clone(), index, bulk: false };
        self.fill(table, &table.primary, &[target], None).await
    }

    /// Moves the rows under the new primary key and fills every other index anew: their entries hold the primary key.
    /// `table` is stored already; the rows are still under the index `replaced`, keyed by the hidden rowid.
    pub(super) async fn rewrite_primary(
        &mut self,
        table: &Arc<TableDescriptor>,
        replaced: u32,
    ) -> ExecResult<()> {
        let mut old = TableDescriptor::clone(table);
        old.primary.storage_index = replaced;
        old.primary.columns = vec![super::create_table::ascending(super::create_table::ROWID)];
        old.columns.push(rowid_of(&old));
        let bulk = self.active().alone;
        let renewed =
            if bulk { self.move_to_new_keyspace(table).await? } else { self.renumber_indexes(table).await? };
        let primary = Target { table: renewed.clone(), index: renewed.primary.clone(), bulk };
        let others =
            renewed.indexes.iter().map(|index| Target { table: renewed.clone(), index: index.clone(), bulk });
        let targets: Vec<Target> = std::iter::once(primary).chain(others).collect();
        self.fill(&old, &old.primary, &targets, None).await?;
        if bulk {
            return self.leave_garbage(table.storage_id, WHOLE_TABLE);
        }
        self.leave_garbage(table.storage_id, replaced)?;
        for index in &table.indexes {
            self.leave_garbage(table.storage_id, index.storage_index)?;
        }
        Ok(())
    }

    /// Writes all rows and entries of a table anew because the type of a column changes. `new` is the table as it will be.
    pub(super) async fn rewrite_column(
        &mut self,
        old: &Arc<TableDescriptor>,
        mut new: TableDescriptor,
        transform: &Transform<'_>,
    ) -> ExecResult<()> {
        let bulk = self.active().alone;
        if !bulk {
            let next = &mut new.next_storage_index;
            for index in std::iter::once(&mut new.primary).chain(&mut new.indexes) {
                index.storage_index = *next;
                *next += 1;
            }
        }
        let stored = self.put_table(new).await?;
        let renewed = if bulk { self.move_to_new_keyspace(&stored).await? } else { stored };
        let target = |index: &IndexDescriptor| Target { table: renewed.clone(), index: index.clone(), bulk };
        let targets: Vec<Target> = renewed.all_indexes().map(target).collect();
        self.fill(old, &old.primary, &targets, Some(transform)).await?;
        if bulk {
            return self.leave_garbage(old.storage_id, WHOLE_TABLE);
        }
        for index in old.all_indexes() {
            self.leave_garbage(old.storage_id, index.storage_index)?;
        }
        Ok(())
    }

    /// Binds a transformation, and the checks that its results must pass, over batches of the given columns.
    fn bind_rewriting(
        &mut self,
        (from, to): (&TableDescriptor, &TableDescriptor),
        columns: &[ColumnId],
        transform: &Transform<'_>,
    ) -> ExecResult<Rewriting> {
        let catalog = self.statement_catalog();
        let options = self.plan_options();
        let new_type = to.column(transform.column).map(|column| column.column_type);
        let new_type = new_type.ok_or_else(|| PgError::internal("a column to be rewritten is gone"))?;
        let using = (transform.using, new_type);
        let value = planner::bind_transform(from, columns, transform.column, using, &catalog, options)?;
        let concerned =
            |check: &&CheckConstraint| !check.not_valid && check.columns.contains(&transform.column);
        let checks = to.checks.iter().filter(concerned).map(|check| {
            let condition = planner::bind_over_columns(to, columns, &check.expression, &catalog, options)?;
            Ok((check.name.clone(), condition))
        });
        let position = columns.iter().position(|id| *id == transform.column);
        Ok(Rewriting {
            position: position.ok_or_else(|| PgError::internal("a column to be rewritten is not read"))?,
            value,
            checks: checks.collect::<Result<_, PgError>>()?,
        })
    }

    /// Computes a column of a batch anew. Errors: those of the expression, 23502, 23514.
    fn rewrite_batch(
        &mut self,
        table: &TableDescriptor,
        rewriting: &Rewriting,
        batch: &mut Batch,
    ) -> ExecResult<()> {
        let catalog = self.statement_catalog();
        let context = self.exec_context(&catalog, &Arc::from([]), false);
        let context = context.eval(&[]);
        batch.columns[rewriting.position] = expr::eval(&rewriting.value, &context, batch)?;
        let schema = catalog.snapshot.schema_name(table.schema);
        for (name, condition) in &rewriting.checks {
            let holds = expr::eval(condition, &context, batch)?;
            if (0..batch.rows).any(|row| holds.datum(row) == Datum::Bool(false)) {
                let message = format!(
                    "check constraint \"{name}\" of relation \"{}\" is violated by some row",
                    table.name
                );
                let error = PgError::new(SqlState::CHECK_VIOLATION, message);
                return Err(error.table(schema, &table.name).constraint(name).into());
            }
        }
        Ok(())
    }

    /// Within a transaction of several statements: new index numbers in the same keyspace, filled by the transaction itself.
    async fn renumber_indexes(&mut self, table: &Arc<TableDescriptor>) -> ExecResult<Arc<TableDescriptor>> {
        if table.indexes.is_empty() {
            return Ok(table.clone());
        }
        let mut renewed = TableDescriptor::clone(table);
        for index in &mut renewed.indexes {
            index.storage_index = renewed.next_storage_index;
            renewed.next_storage_index += 1;
        }
        self.put_table(renewed).await
    }

    /// A statement on its own: a keyspace that nobody can see before it commits, filled in bulk.
    ///
    /// The entries are committed as they are written, above the statement's own snapshot: as in PostgreSQL, a rewritten table
    /// appears empty to snapshots older than the rewrite. That is why only a statement that reads nothing afterwards may do this.
    async fn move_to_new_keyspace(
        &mut self,
        table: &Arc<TableDescriptor>,
    ) -> ExecResult<Arc<TableDescriptor>> {
        let mut renewed = TableDescriptor::clone(table);
        renewed.storage_id = self.new_storage_id().await?;
        let rewrite = self.server.garbage.begin_rewrite(renewed.storage_id).await?;
        let active = self.active();
        rewrite.put_to_use(&active.txn)?;
        active.rewrites.push(rewrite);
        self.put_table(renewed).await
    }

    /// Reads every row through `source` and writes its entry into each target, transformed if so asked.
    async fn fill(
        &mut self,
        from: &TableDescriptor,
        source: &IndexDescriptor,
        targets: &[Target],
        transform: Option<&Transform<'_>>,
    ) -> ExecResult<()> {
        let columns: Vec<ColumnId> = targets[0]
            .table
            .columns
            .iter()
            .filter(|column| !column.hidden || from.column(column.id).is_some())
            .map(|column| column.id)
            .collect();
        let decoder = RowDecoder::new(from, source, &columns)?;
        let encoders = targets
            .iter()
            .map(|target| RowEncoder::new(&target.table, &target.index, &columns))
            .collect::<Result<Vec<_>, _>>()?;
        let predicates = self.predicates(targets, &columns)?;
        let rewriting = match transform {
            Some(transform) => Some(self.bind_rewriting((from, &targets[0].table), &columns, transform)?),
            None => None,
        };
        let txn = self.active().txn.clone();
        let span = table::index_span(TableId(from.storage_id), IndexId(source.storage_index));
        txn.begin_statement(false);
        let server = self.server.clone();
        let names: Vec<&str> = targets.iter().map(|target| target.index.name.as_str()).collect();
        let kind = if targets.iter().any(|target| target.bulk) { "rewrite table" } else { "fill indexes" };
        let job = server.jobs.begin(self.process_id(), kind, from.id, names.join(", "), self.now());
        let mut scan = txn.scan(ScanOptions::forward(span));
        while let Some(page) = scan.next_page(&txn).await? {
            let mut vectors = decoder.vectors(page.len());
            for row in page.iter() {
                decoder.decode(row.key, row.value.unwrap_or_default(), &mut vectors)?;
            }
            let mut batch = Batch::new(vectors, page.len());
            if let Some(rewriting) = &rewriting {
                self.rewrite_batch(&targets[0].table, rewriting, &mut batch)?;
            }
            for ((target, encoder), predicate) in targets.iter().zip(&encoders).zip(&predicates) {
                self.write_entries(target, encoder, predicate.as_ref(), &batch).await?;
            }
            job.advance(page.len());
            self.cancel_flag().check()?;
        }
        Ok(())
    }

    async fn write_entries(
        &mut self,
        target: &Target,
        encoder: &RowEncoder,
        predicate: Option<&expr::Expr>,
        batch: &Batch,
    ) -> ExecResult<()> {
        let selected = match predicate {
            None => None,
            Some(predicate) => Some(self.evaluate_predicate(predicate, batch)?),
        };
        let mut block = KvBlock::with_capacity(batch.rows, batch.rows * 64);
        let (mut key, mut value) = (Vec::new(), Vec::new());
        for row in 0..batch.rows {
            if selected.as_ref().is_some_and(|selected| !selected[row]) {
                continue;
            }
            check_not_null(target, batch, row)?;
            key.clear();
            value.clear();
            encoder.encode_batch_row(batch, row, &mut key, &mut value)?;
            block.push(&key, &value);
        }
        let Some(conflict) = self.write_block(target, &block).await? else { return Ok(()) };
        let mut snapshot = crate::catalog::CatalogSnapshot::clone(&*self.snapshot());
        snapshot.insert(crate::catalog::Object::Table(target.table.clone()));
        let detail = crate::constraints::unique_violation(&snapshot, &conflict.key, &conflict.value)
            .and_then(|error| error.fields().detail.clone())
            .map(|detail| detail.replace(" already exists.", " is duplicated."));
        let mut error = PgError::new(
            SqlState::UNIQUE_VIOLATION,
            format!("could not create unique index \"{}\"", target.index.name),
        )
        .table(snapshot.schema_name(target.table.schema), &target.table.name)
        .constraint(&target.index.name);
        if let Some(detail) = detail {
            error = error.detail(detail);
        }
        Err(error.into())
    }

    async fn write_block(&mut self, target: &Target, block: &KvBlock) -> ExecResult<Option<Conflict>> {
        let is_checked = target.index.unique || target.index.id == target.table.primary.id;
        if target.bulk {
            return in_own_transaction!(self.server.db, |own| write_rows(&own, block, is_checked).await);
        }
        write_rows(&self.active().txn.clone(), block, is_checked).await
    }

    /// The bound predicates of partial indexes, over `columns`.
    fn predicates(
        &mut self,
        targets: &[Target],
        columns: &[ColumnId],
    ) -> ExecResult<Vec<Option<expr::Expr>>> {
        let catalog = self.statement_catalog();
        let options = self.plan_options().clone();
        let bind = |target: &Target| match &target.index.predicate {
            None => Ok(None),
            Some(text) => {
                planner::bind_over_columns(&target.table, columns, text, &catalog, &options).map(Some)
            }
        };
        Ok(targets.iter().map(bind).collect::<Result<Vec<_>, PgError>>()?)
    }

    fn evaluate_predicate(&mut self, predicate: &expr::Expr, batch: &Batch) -> ExecResult<Vec<bool>> {
        let catalog = self.statement_catalog();
        let context = self.exec_context(&catalog, &Arc::from([]), false);
        let result = expr::eval(predicate, &context.eval(&[]), batch)?;
        Ok((0..batch.rows).map(|row| result.datum(row) == Datum::Bool(true)).collect())
    }
}

/// How the values of a column become others.
pub(super) struct Transform<'a> {
    pub column: ColumnId,
    /// The USING clause.
    pub using: Option<&'a str>,
}

/// A transformation, bound over the columns that are read.
struct Rewriting {
    /// Of the column among those that are read.
    position: usize,
    value: expr::Expr,
    /// Name and condition.
    checks: Vec<(String, expr::Expr)>,
}

/// Columns that must not be NULL must not be so in any row that is written.
fn check_not_null(target: &Target, batch: &Batch, row: usize) -> ExecResult<()> {
    if target.index.id != target.table.primary.id {
        return Ok(());
    }
    let in_key = |id| target.index.columns.iter().any(|column| column.column == id);
    // The batch has the table's columns, in order.
    for (column, vector) in target.table.columns.iter().zip(&batch.columns) {
        if (column.not_null || in_key(column.id)) && vector.is_null(row) {
            return Err(super::alter_column::contains_null(&target.table, &column.name).into());
        }
    }
    Ok(())
}

/// Nothing is there yet but what this statement has written: two equal keys are found all the same, if that is asked for. (Entries of an
/// index that is not unique hold the primary key: no two are equal.)
async fn write_rows(txn: &Txn, block: &KvBlock, is_checked: bool) -> ExecResult<Option<Conflict>> {
    if is_checked {
        return Ok(txn.insert(block, InsertCheck::Now).await?);
    }
    txn.write(block).await?;
    Ok(None)
}

/// An index to be filled.
struct Target {
    table: Arc<TableDescriptor>,
    index: IndexDescriptor,
    /// Written in small transactions that commit at once: see [`Session::move_to_new_keyspace`].
    bulk: bool,
}

/// The hidden column that the rows were clustered on.
fn rowid_of(table: &TableDescriptor) -> types::descriptor::ColumnDescriptor {
    let mut column =
        super::create_table::new_column(super::create_table::ROWID, "rowid", types::DataType::Int8.into());
    column.hidden = true;
    column.not_null = true;
    debug_assert!(table.column(column.id).is_none());
    column
}
