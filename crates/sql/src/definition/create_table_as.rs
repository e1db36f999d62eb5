//! CREATE TABLE AS, SELECT INTO.

use std::sync::Arc;

use executor::ExecResult;
use planner::ast::{CreateTableAs, Identifier, Persistence, StatementKind};
use types::{DataType, PgError, Severity, SqlState};

use super::create_table::{append_column, quote};
use super::names::relation_taken;
use super::storage_options::OptionsOf;
use crate::catalog::{Space, store};
use crate::session::Session;
use crate::session::prepared::Prepared;
use crate::session::statement::{Run, Tag};

impl Session {
    pub(super) async fn create_table_as(&mut self, create: &CreateTableAs, run: &Run<'_>) -> ExecResult<Tag> {
        match () {
            _ if create.materialized_view => return Err(PgError::unsupported("materialized views").into()),
            _ if create.persistence == Persistence::Unlogged => {
                return Err(PgError::unsupported("unlogged tables").into());
            }
            _ if !matches!(create.statement.node.kind, StatementKind::Select(_)) => {
                return Err(PgError::unsupported("CREATE TABLE AS EXECUTE").into());
            }
            _ => {}
        }
        let schema = self.place(&create.name, create.persistence).await?;
        let name = create.name.name();
        if relation_taken(&*self.snapshot(), schema, name) {
            let error = store::already_exists(Space::Relations(schema), name);
            if !create.if_not_exists {
                return Err(error.into());
            }
            let text = format!("{}, skipping", error.message());
            self.notice(PgError::with_severity(Severity::Notice, error.code(), text));
            return Ok(Tag::Plain("CREATE TABLE AS"));
        }
        let prepared = self.contained(run.prepared, &create.statement.node)?;
        let planned = self.analyse(&prepared)?;
        let given = prepared.given.clone();
        let plan = &planned.plan;
        if plan.as_of.is_some() {
            return Err(PgError::unsupported("AS OF SYSTEM TIME in CREATE TABLE AS").into());
        }
        if create.columns.len() > plan.output.len() {
            return Err(PgError::new(SqlState::SYNTAX_ERROR, "too many column names were specified").into());
        }
        let mut builder = self.new_table(schema, name).await?;
        self.set_on_commit(&mut builder.table, create.on_commit)?;
        self.set_options(OptionsOf::Table, &mut builder.table.options, &create.options)?;
        for (position, column) in plan.output.iter().enumerate() {
            let name = create.columns.get(position).cloned();
            let name = name.unwrap_or_else(|| Identifier::new(column.name.clone(), 0));
            let mut column_type = column.column_type;
            if column_type.data_type == DataType::Unknown {
                column_type = DataType::Text.into();
            }
            append_column(&mut builder.table, &name, column_type)?;
        }
        let table = self.finish_table(builder).await?;
        if !create.with_data {
            return Ok(Tag::Plain("CREATE TABLE AS"));
        }
        // The rows are inserted by a statement of their own over the same query text.
        let target = self.qualified_name(&table);
        let names: Vec<String> =
            table.columns.iter().filter(|column| !column.hidden).map(|column| quote(&column.name)).collect();
        let text = if names.is_empty() {
            format!("INSERT INTO {target} {}", create.statement.text)
        } else {
            format!("INSERT INTO {target} ({}) {}", names.join(", "), create.statement.text)
        };
        let statement = planner::parse(&text)?.into_iter().next().map(Arc::new);
        let prepared = Arc::new(Prepared::new(text.into(), statement, given));
        let (_, mut execution) = self.begin_query(&prepared, &run.parameters).await?;
        while execution.next().await?.is_some() {}
        Ok(Tag::Rows("SELECT", execution.rows_affected()))
    }
}
