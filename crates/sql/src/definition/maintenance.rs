//! ANALYZE and VACUUM.
//!
//! VACUUM has nothing to reclaim here (old versions are garbage collected by the storage layer on its own); what a client
//! observes of it, the statistics of VACUUM ANALYZE and the refusal within a block, is done.

use std::collections::BTreeMap;

use executor::ExecResult;
use planner::Statistics;
use planner::ast::Analyze;
use planner::catalog::ColumnStatistics;
use types::descriptor::{Oid, TableDescriptor};
use types::{DataType, Datum, PgError, SqlState};

use super::create_table::quote;
use crate::session::Session;
use crate::session::statement::Tag;
use crate::table_locks::LockMode;

impl Session {
    pub(super) async fn run_analyze(&mut self, analyze: &Analyze) -> ExecResult<Tag> {
        self.analyze_tables(analyze).await?;
        Ok(Tag::Plain("ANALYZE"))
    }

    pub(super) async fn run_vacuum(&mut self, vacuum: &Analyze) -> ExecResult<Tag> {
        if self.in_block() {
            return Err(PgError::new(
                SqlState::ACTIVE_SQL_TRANSACTION,
                "VACUUM cannot run inside a transaction block",
            )
            .into());
        }
        if vacuum.options.iter().any(|option| &*option.name == "analyze") {
            self.analyze_tables(vacuum).await?;
        } else {
            for (name, _) in &vacuum.tables {
                self.table_named(name)?;
            }
        }
        Ok(Tag::Plain("VACUUM"))
    }

    async fn analyze_tables(&mut self, analyze: &Analyze) -> ExecResult<()> {
        let mut tables: Vec<Oid> = Vec::new();
        for (name, _) in &analyze.tables {
            tables.push(self.table_named(name)?);
        }
        if analyze.tables.is_empty() {
            tables.extend(self.snapshot().tables(self.database).map(|table| table.id));
        }
        for id in tables {
            self.lock_table(id, LockMode::AccessShare).await?;
            let table = self.descriptor(id);
            let statistics = self.gather_statistics(&table).await?;
            self.server.statistics.set(id, statistics);
        }
        Ok(())
    }

    /// Counts rows, NULLs, distinct values and bounds with one query over the table.
    async fn gather_statistics(&mut self, table: &TableDescriptor) -> ExecResult<Statistics> {
        let columns: Vec<_> = table
            .columns
            .iter()
            .filter(|column| !column.hidden && types::row::is_indexable(column.column_type.data_type))
            .collect();
        let mut items = vec!["count(*)".to_string()];
        for column in &columns {
            let name = quote(&column.name);
            items.push(format!("count({name})"));
            items.push(format!("count(DISTINCT {name})"));
            let ordered = !matches!(column.column_type.data_type, DataType::Bool | DataType::Uuid);
            items.push(if ordered { format!("min({name})") } else { "NULL".into() });
            items.push(if ordered { format!("max({name})") } else { "NULL".into() });
        }
        let query = format!("SELECT {} FROM {}", items.join(", "), self.qualified_name(table));
        let rows = self.internal_rows(&query).await?;
        let row = rows.into_iter().next().unwrap_or_default();
        let count = |at: usize| match row.get(at) {
            Some(Datum::Int8(value)) => *value as f64,
            _ => 0.0,
        };
        let row_count = count(0);
        let mut statistics = Statistics { row_count, columns: BTreeMap::new() };
        for (position, column) in columns.iter().enumerate() {
            let at = 1 + 4 * position;
            let present = count(at);
            let bounds = [&row[at + 2], &row[at + 3]].into_iter().filter(|bound| !bound.is_null());
            statistics.columns.insert(
                column.id,
                ColumnStatistics {
                    null_fraction: if row_count > 0.0 { 1.0 - present / row_count } else { 0.0 },
                    distinct_count: count(at + 1),
                    average_width: f64::from(column.column_type.data_type.pg_length().max(8)),
                    most_common: Vec::new(),
                    histogram: bounds.cloned().collect(),
                },
            );
        }
        Ok(statistics)
    }
}
