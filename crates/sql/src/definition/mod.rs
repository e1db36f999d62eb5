//! CREATE, ALTER, DROP: changes of the catalog, made in the session's transaction.
//!
//! One file per kind of statement. Each takes the table locks that PostgreSQL takes, reads the transaction's catalog, and puts
//! changed descriptors back: nothing is seen by others before COMMIT, and ROLLBACK (TO SAVEPOINT) undoes all of it.

mod alter_column;
mod alter_function;
mod alter_table;
mod backfill;
mod comment;
mod constraint;
mod create_table;
mod create_table_as;
mod database;
mod domain;
mod drop;
mod drop_type;
mod frozen;
mod function;
mod grant;
mod identity;
mod index;
mod like;
mod maintenance;
mod names;
mod rename;
mod role;
mod schema;
mod sequence;
mod storage_options;
mod stored_settings;
pub mod temporary;
mod truncate;
mod user_type;
mod view;

pub use create_table::quote;
pub use function::{functions_named, signature_of};
pub use names::IdBlock;
pub use stored_settings::initial_settings;
pub(crate) use user_type::type_label;

use std::sync::Arc;

use executor::ExecResult;
use planner::ast::StatementKind;
use types::descriptor::{DescriptorVersion, Oid, TableDescriptor};
use types::{Datum, PgError, PgResult, SqlState};

use crate::catalog::{CatalogSnapshot, Object, store};
use crate::session::Session;
use crate::session::prepared::Prepared;
use crate::session::statement::{Run, Tag};
use crate::session::transaction::Active;

impl Session {
    /// Runs a statement that defines something.
    pub(crate) async fn run_definition(&mut self, kind: &StatementKind, run: &Run<'_>) -> ExecResult<Tag> {
        use StatementKind::*;
        if let CreateDatabase(create) = kind {
            return self.create_database(create).await;
        }
        if let DropDatabase(drop) = kind {
            return self.drop_database(drop).await;
        }
        self.ensure_transaction();
        self.active().alone = run.alone;
        self.active().txn.begin_statement(true);
        if matches!(kind, ClusterSetting(setting) if setting.is_system) && !self.in_block() {
            // As in PostgreSQL, default_transaction_read_only does not keep anybody from changing it.
            let active = self.active();
            active.txn.set_read_write()?;
            active.read_only = false;
        }
        if self.active().read_only {
            return Err(crate::session::read_only_error(command_name(kind)).into());
        }
        let unsupported = |feature: &str| Err(PgError::unsupported(feature).into());
        match kind {
            CreateTable(create) => self.create_table(create).await,
            CreateTableAs(create) => self.create_table_as(create, run).await,
            AlterTable(alter) | AlterIndex(alter) | AlterView(alter) => self.alter_table(alter).await,
            CreateIndex(create) => self.create_index(create).await,
            CreateSequence(create) => self.create_sequence(create).await,
            AlterSequence(alter) => self.alter_sequence(alter).await,
            CreateSchema(create) => self.create_schema(create, run).await,
            CreateView(create) => self.create_view(create).await,
            CreateRole(create) => self.create_role(create).await,
            AlterRole(alter) => self.alter_role(alter).await,
            DropRole(drop) => self.drop_role(drop).await,
            Comment(comment) => self.run_comment(comment).await,
            Drop(drop) => self.run_drop(drop).await,
            Rename(rename) => self.run_rename(rename).await,
            SetSchema(set) => self.set_schema(set).await,
            SetOwner(set) => self.set_owner(set).await,
            Truncate(truncate) => self.run_truncate(truncate).await,
            Analyze(analyze) => self.run_analyze(analyze).await,
            Vacuum(vacuum) => self.run_vacuum(vacuum).await,
            Reindex(reindex) => self.run_reindex(reindex),
            Cluster(cluster) => self.run_cluster(cluster),
            Checkpoint => self.run_checkpoint(),
            ClusterSetting(setting) => self.run_cluster_setting(setting),
            AlterDatabase(alter) => self.alter_database(alter).await,
            AlterFunction(alter) => self.alter_function(alter).await,
            RefreshMaterializedView(_) => unsupported("materialized views"),
            CreateType(create) => self.create_type(create).await,
            AlterType(alter) => self.alter_type(alter).await,
            CreateDomain(create) => self.create_domain(create).await,
            AlterDomain(alter) => self.alter_domain(alter).await,
            CreateFunction(create) => self.create_function(create).await,
            CreateTrigger(_) => unsupported("CREATE TRIGGER"),
            Grant(grant) => self.run_grant(grant).await,
            GrantRole(grant) => self.run_grant_role(grant).await,
            AlterDefaultPrivileges(alter) => self.alter_default_privileges(alter).await,
            Owned(owned) => self.run_owned(owned).await,
            other => Err(PgError::internal(format!("no one runs {}", command_name(other))).into()),
        }
    }

    /// The running transaction.
    pub(super) fn active(&mut self) -> &mut Active {
        self.active.as_mut().expect("a definition runs within a transaction")
    }

    pub(super) fn snapshot(&mut self) -> Arc<CatalogSnapshot> {
        self.active().catalog.current()
    }

    /// Stores a new or changed object.
    pub(super) async fn put_object(&mut self, object: Object) -> ExecResult<()> {
        let active = self.active();
        let txn = active.txn.clone();
        active.catalog.put(&txn, object).await
    }

    /// Stores a changed table under its next version.
    pub(super) async fn put_table(&mut self, mut table: TableDescriptor) -> ExecResult<Arc<TableDescriptor>> {
        table.version = DescriptorVersion(table.version.0 + 1);
        let table = Arc::new(table);
        self.put_object(Object::Table(table.clone())).await?;
        Ok(table)
    }

    pub(super) async fn remove_object(&mut self, id: Oid) -> ExecResult<()> {
        let active = self.active();
        let txn = active.txn.clone();
        active.catalog.remove(&txn, id).await
    }

    /// Notes that a keyspace is of no use once the transaction has committed.
    pub(super) fn leave_garbage(&mut self, storage_id: u32, storage_index: u32) -> ExecResult<()> {
        let active = self.active();
        active.txn.put(&store::garbage_key(storage_id, storage_index), b"")?;
        Ok(())
    }

    /// Rows of a query that the server itself asks, in the running transaction. Names in it must be qualified.
    pub(super) async fn internal_rows(&mut self, text: &str) -> ExecResult<Vec<Vec<Datum>>> {
        let statement = planner::parse(text)?.into_iter().next().map(Arc::new);
        let prepared = Arc::new(Prepared::new(text.into(), statement, Vec::new()));
        let (_, mut execution) = self.begin_query(&prepared, &Arc::from([])).await?;
        let mut rows = Vec::new();
        while let Some(batch) = execution.next().await? {
            rows.extend((0..batch.rows).map(|row| batch.row(row)));
        }
        Ok(rows)
    }

    /// 42501 unless the session's role may change the object.
    pub(super) fn require_owner(&mut self, kind: &str, name: &str, owner: &str) -> PgResult<()> {
        if self.snapshot().acts_as(self.database, &self.user, owner) {
            return Ok(());
        }
        Err(PgError::new(SqlState::INSUFFICIENT_PRIVILEGE, format!("must be owner of {kind} {name}")))
    }
}

/// The command as a "read-only transaction" error names it.
fn command_name(kind: &StatementKind) -> &'static str {
    use StatementKind::*;
    match kind {
        CreateTable(_) => "CREATE TABLE",
        CreateTableAs(_) => "CREATE TABLE AS",
        AlterTable(_) => "ALTER TABLE",
        AlterIndex(_) => "ALTER INDEX",
        AlterView(_) => "ALTER VIEW",
        CreateIndex(_) => "CREATE INDEX",
        CreateSequence(_) => "CREATE SEQUENCE",
        CreateFunction(_) => "CREATE FUNCTION",
        AlterSequence(_) => "ALTER SEQUENCE",
        CreateSchema(_) => "CREATE SCHEMA",
        CreateView(_) => "CREATE VIEW",
        CreateRole(_) => "CREATE ROLE",
        AlterRole(_) => "ALTER ROLE",
        AlterDatabase(_) => "ALTER DATABASE",
        AlterFunction(_) => "ALTER FUNCTION",
        DropRole(_) => "DROP ROLE",
        Comment(_) => "COMMENT",
        Drop(_) => "DROP",
        Rename(_) | SetSchema(_) | SetOwner(_) => "ALTER",
        Truncate(_) => "TRUNCATE TABLE",
        Analyze(_) => "ANALYZE",
        Vacuum(_) => "VACUUM",
        Reindex(_) => "REINDEX",
        Cluster(_) => "CLUSTER",
        Checkpoint => "CHECKPOINT",
        ClusterSetting(_) => "ALTER SYSTEM",
        Grant(grant) if !grant.grant => "REVOKE",
        GrantRole(grant) if !grant.grant => "REVOKE ROLE",
        Grant(_) => "GRANT",
        GrantRole(_) => "GRANT ROLE",
        AlterDefaultPrivileges(_) => "ALTER DEFAULT PRIVILEGES",
        Owned(owned) if owned.new_owner.is_some() => "REASSIGN OWNED",
        Owned(_) => "DROP OWNED",
        _ => "this command",
    }
}
