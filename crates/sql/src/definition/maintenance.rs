//! ANALYZE and VACUUM; REINDEX, CLUSTER and CHECKPOINT.
//!
//! Of these ANALYZE alone has work to do. The others are checked (names, owners, whether they may stand in a block) and then there is
//! nothing left to be done:
//!
//! - VACUUM: old versions are garbage collected by the storage layer on its own. VACUUM ANALYZE gathers statistics.
//! - REINDEX: the entries of an index are keys like any other: they do not bloat, and old ones go with VACUUM's.
//! - CLUSTER: a table is ordered by its primary key at all times. Another order is refused.
//! - CHECKPOINT: what is committed is durable. How far the log is applied is the storage layer's to bound.
//!
//! The system's tables are made up: they have no statistics and nothing to reclaim.

use std::collections::BTreeMap;

use executor::ExecResult;
use expr::resolve::{FunctionArguments, resolve_function};
use planner::Statistics;
use planner::ast::{Analyze, Cluster, ObjectKind, ObjectName, Reindex, ReindexTarget};
use planner::catalog::ColumnStatistics;
use types::descriptor::{Oid, TableDescriptor};
use types::{DataType, Datum, PgError, PgResult, SqlState};

use super::create_table::quote;
use super::names::wrong_kind;
use crate::catalog::NameTarget;
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
                self.maintained(name)?;
            }
        }
        Ok(Tag::Plain("VACUUM"))
    }

    /// The table of a name; `None` for one of the system's.
    fn maintained(&mut self, name: &ObjectName) -> PgResult<Option<Oid>> {
        match self.table_named(name) {
            Ok(id) => Ok(Some(id)),
            Err(error) if error.code() == SqlState::INSUFFICIENT_PRIVILEGE && is_system_table(name) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn refuse_maintenance_in_block(&mut self, command: &str) -> PgResult<()> {
        if !self.in_block() {
            return Ok(());
        }
        let message = format!("{command} cannot run inside a transaction block");
        Err(PgError::new(SqlState::ACTIVE_SQL_TRANSACTION, message))
    }

    pub(super) fn run_reindex(&mut self, reindex: &Reindex) -> ExecResult<Tag> {
        if reindex.concurrently {
            self.refuse_maintenance_in_block("REINDEX CONCURRENTLY")?;
        }
        let snapshot = self.snapshot();
        let name = reindex.name.name();
        match reindex.target {
            ReindexTarget::Index => {
                let NameTarget::Index { table, .. } = self.relation(&reindex.name)? else {
                    return Err(wrong_kind(name, ObjectKind::Index).into());
                };
                let owner = self.descriptor(table).owner.clone();
                self.require_owner("index", name, &owner)?;
            }
            ReindexTarget::Table => {
                if let Some(id) = self.maintained(&reindex.name)? {
                    let table = self.descriptor(id);
                    self.require_owner("table", name, &table.owner)?;
                }
            }
            ReindexTarget::Schema => {
                self.refuse_maintenance_in_block("REINDEX SCHEMA")?;
                let id = self.schema_named(&snapshot, name)?;
                let owner = snapshot.schema_by_id(id).map(|schema| schema.owner.clone()).unwrap_or_default();
                self.require_owner("schema", name, &owner)?;
            }
            ReindexTarget::Database | ReindexTarget::System => {
                let system = reindex.target == ReindexTarget::System;
                self.refuse_maintenance_in_block(if system { "REINDEX SYSTEM" } else { "REINDEX DATABASE" })?;
                let database = snapshot.database_by_id(self.database).cloned();
                let database = database.ok_or_else(|| PgError::internal("the database is gone"))?;
                if name != database.name {
                    let message = "can only reindex the currently open database";
                    return Err(PgError::new(SqlState::FEATURE_NOT_SUPPORTED, message).into());
                }
                self.require_owner("database", name, &database.owner)?;
            }
        }
        Ok(Tag::Plain("REINDEX"))
    }

    pub(super) fn run_cluster(&mut self, cluster: &Cluster) -> ExecResult<Tag> {
        let Some(name) = &cluster.table else {
            self.refuse_maintenance_in_block("CLUSTER")?;
            return Ok(Tag::Plain("CLUSTER"));
        };
        let id = self.table_named(name)?;
        let table = self.descriptor(id);
        self.require_owner("table", &table.name, &table.owner)?;
        let Some(index) = &cluster.index else {
            // None is marked: which one it is, is no matter of a mark.
            let message = format!("there is no previously clustered index for table \"{}\"", table.name);
            return Err(PgError::new(SqlState::UNDEFINED_OBJECT, message).into());
        };
        let found = table.all_indexes().find(|other| other.name == *index.name && !other.name.is_empty());
        let found = found.filter(|found| found.id != table.primary.id || found.constraint.is_some());
        match found {
            None => {
                let (index, table) = (&index.name, &table.name);
                let message = format!("index \"{index}\" for table \"{table}\" does not exist");
                Err(PgError::new(SqlState::UNDEFINED_OBJECT, message).into())
            }
            Some(found) if found.id == table.primary.id => Ok(Tag::Plain("CLUSTER")),
            Some(_) => Err(PgError::unsupported("clustering a table on anything but its primary key").into()),
        }
    }

    pub(super) fn run_checkpoint(&mut self) -> ExecResult<Tag> {
        let snapshot = self.snapshot();
        if !snapshot.acts_as(self.database, &self.user, "pg_checkpoint") {
            let message = "must be superuser or have privileges of pg_checkpoint to do CHECKPOINT";
            return Err(PgError::new(SqlState::INSUFFICIENT_PRIVILEGE, message).into());
        }
        Ok(Tag::Plain("CHECKPOINT"))
    }

    async fn analyze_tables(&mut self, analyze: &Analyze) -> ExecResult<()> {
        let mut tables: Vec<Oid> = Vec::new();
        for (name, _) in &analyze.tables {
            tables.extend(self.maintained(name)?);
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
            let ordered = has_extremes(column.column_type.data_type);
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

fn is_system_table(name: &ObjectName) -> bool {
    let schema = name.schema().unwrap_or("pg_catalog");
    crate::virtual_tables::find(schema, name.name()).is_some()
}

/// Whether there are min and max of a type: not of every type that has an order (bool, uuid, bytea, inet ...).
fn has_extremes(data_type: DataType) -> bool {
    let resolved = resolve_function(None, "min", &[data_type.base()], FunctionArguments::Plain);
    resolved.is_ok_and(|resolved| resolved.result.base() == data_type.base())
}
