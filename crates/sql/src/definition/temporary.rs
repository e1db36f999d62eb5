//! Temporary objects: a schema for each session, in the same storage as everything else.
//!
//! ```text
//!   CREATE TEMP ... ──▶ schema pg_temp_<node>_<session>, made by the first transaction that needs it
//!        │ names are looked for there first         │ COMMIT: ON COMMIT DELETE ROWS | DROP
//!        ▼                                          ▼
//!   session ends ──▶ everything in the schema and the schema itself are removed, keyspaces become garbage
//!   node starts  ──▶ the same for the schemas of all its sessions before the crash
//! ```
//!
//! Nothing else tells a temporary object from another one: transactions, savepoints, locks and privileges are those of all
//! tables. The schema's descriptor names the node that its session lives on, so that a node collects what is its own and
//! leaves to others what is theirs.

use std::sync::Arc;

use executor::ExecResult;
use kvclient::Txn;
use planner::ast::{ObjectName, Persistence};
use types::descriptor::{DescriptorVersion, Oid, OnCommit, SchemaDescriptor, TableDescriptor};
use types::{PgError, PgResult, SqlState};

use crate::catalog::{Object, TransactionCatalog, store};
use crate::garbage::{AT_ONCE, WHOLE_TABLE};
use crate::server::SqlServer;
use crate::session::Session;
use crate::small_transaction::in_own_transaction;
use crate::table_locks::{LockMode, LockOwner};

/// The name of a session's schema.
pub fn schema_name(node_id: u32, session: LockOwner) -> String {
    format!("pg_temp_{node_id}_{}", session.0)
}

fn invalid(message: &str) -> PgError {
    PgError::new(SqlState::INVALID_TABLE_DEFINITION, message)
}

impl Session {
    /// The session's schema, if it has one by now.
    pub(super) fn temporary_schema(&mut self) -> Option<Oid> {
        let name = self.temporary_schema_name().to_string();
        self.snapshot().schema(self.database, &name).map(|schema| schema.id)
    }

    /// Where a new relation goes: the schema named, the session's own for a temporary one, else the first of the search path.
    pub(super) async fn place(&mut self, name: &ObjectName, persistence: Persistence) -> ExecResult<Oid> {
        let temporary = persistence == Persistence::Temporary;
        let named_temporary = match name.schema() {
            Some(schema) => self.is_own_temporary(schema),
            None => {
                temporary || self.info().search_path.first().is_some_and(|first| self.is_own_temporary(first))
            }
        };
        if named_temporary {
            if persistence == Persistence::Unlogged {
                return Err(invalid("only temporary relations may be created in temporary schemas").into());
            }
            return self.ensure_temporary_schema().await;
        }
        if temporary {
            return Err(invalid("cannot create temporary relation in non-temporary schema")
                .at(name.position())
                .into());
        }
        let schema = self.creation_schema(name)?;
        if self.snapshot().is_temporary(schema) {
            return Err(invalid("cannot create relations in temporary schemas of other sessions").into());
        }
        Ok(schema)
    }

    pub(super) fn is_own_temporary(&self, schema: &str) -> bool {
        schema == "pg_temp" || schema == &**self.temporary_schema_name()
    }

    async fn ensure_temporary_schema(&mut self) -> ExecResult<Oid> {
        if let Some(schema) = self.temporary_schema() {
            return Ok(schema);
        }
        let snapshot = self.snapshot();
        if let Some(database) = snapshot.database_by_id(self.database) {
            self.require_right(&snapshot, (&**database).into(), types::acl::Rights::TEMPORARY).map_err(
                |_| {
                    PgError::new(
                        SqlState::INSUFFICIENT_PRIVILEGE,
                        format!(
                            "permission denied to create temporary tables in database \"{}\"",
                            database.name
                        ),
                    )
                },
            )?;
        }
        let schema = SchemaDescriptor {
            id: self.new_oid().await?,
            database: self.database,
            name: self.temporary_schema_name().to_string(),
            version: DescriptorVersion(1),
            owner: "postgres".into(),
            temporary_on: Some(self.server.options.node_id),
            acl: Default::default(),
            default_acls: Vec::new(),
            comment: None,
        };
        let id = schema.id;
        self.put_object(Object::Schema(Arc::new(schema))).await?;
        Ok(id)
    }

    /// Foreign keys do not lead from what stays to what goes.
    pub(super) fn check_reference_persistence(
        &mut self,
        table: &TableDescriptor,
        referenced: &TableDescriptor,
    ) -> PgResult<()> {
        let snapshot = self.snapshot();
        match (snapshot.is_temporary(table.schema), snapshot.is_temporary(referenced.schema)) {
            (true, false) => {
                Err(invalid("constraints on temporary tables may reference only temporary tables"))
            }
            (false, true) => {
                Err(invalid("constraints on permanent tables may reference only permanent tables"))
            }
            _ => Ok(()),
        }
    }

    /// Just before COMMIT: empties and drops what was created so.
    pub(crate) async fn on_commit_actions(&mut self) -> ExecResult<()> {
        if !self.has_on_commit || self.is_in_past() {
            return Ok(());
        }
        let Some(schema) = self.temporary_schema() else { return Ok(()) };
        let snapshot = self.snapshot();
        let tables: Vec<Arc<TableDescriptor>> = snapshot
            .tables(self.database)
            .filter(|table| table.schema == schema && table.on_commit != OnCommit::PreserveRows)
            .cloned()
            .collect();
        let dropped: Vec<Oid> =
            tables.iter().filter(|table| table.on_commit == OnCommit::Drop).map(|table| table.id).collect();
        for id in &dropped {
            self.drop_relation(*id, true, &dropped).await?;
        }
        for table in tables.iter().filter(|table| table.on_commit == OnCommit::DeleteRows) {
            let written = [LockMode::RowExclusive, LockMode::AccessExclusive];
            let active = self.active();
            if !written.into_iter().any(|mode| active.holds(table.id, mode)) {
                continue;
            }
            self.check_emptied_together(table)?;
            self.empty_table(table.id, false).await?;
        }
        Ok(())
    }

    fn check_emptied_together(&mut self, table: &TableDescriptor) -> PgResult<()> {
        let snapshot = self.snapshot();
        let other = table.referenced_by.iter().find_map(|(other, _)| {
            snapshot.table(*other).filter(|other| other.on_commit != OnCommit::DeleteRows)
        });
        let Some(other) = other else { return Ok(()) };
        Err(PgError::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "unsupported ON COMMIT and foreign key combination",
        )
        .detail(format!(
            "Table \"{}\" references \"{}\", but they do not have the same ON COMMIT setting.",
            other.name, table.name
        )))
    }

    /// DISCARD TEMP: drops all of the session's temporary objects, in the running transaction.
    pub(crate) async fn drop_temporary_objects(&mut self) -> ExecResult<()> {
        self.ensure_transaction();
        let Some(schema) = self.temporary_schema() else { return Ok(()) };
        let inside: Vec<Oid> = self
            .snapshot()
            .objects()
            .filter(|object| object.schema() == Some(schema))
            .map(Object::id)
            .collect();
        for id in &inside {
            self.drop_relation(*id, true, &inside).await?;
        }
        Ok(())
    }

    /// The schemas in which a plain name is looked for, in order; pg_catalog is not among them unless it is named.
    pub(super) fn lookup_schemas(&self) -> Vec<String> {
        let path = &self.info().search_path;
        let temporary = &**self.temporary_schema_name();
        let mut schemas = Vec::with_capacity(path.len() + 1);
        if !path.iter().any(|schema| schema == temporary) {
            schemas.push(temporary.to_string());
        }
        schemas.extend(path.iter().cloned());
        schemas
    }

    /// The path along which a new view resolves its names from now on.
    pub(super) fn view_search_path(&self, temporary: bool) -> Vec<String> {
        if temporary { self.lookup_schemas() } else { self.info().search_path.clone() }
    }
}

/// Removes a temporary schema with all that is in it, in a transaction of the server's own.
pub async fn collect(server: &SqlServer, schema: Oid) -> ExecResult<()> {
    let mut catalog = TransactionCatalog::new(server.catalog.clone());
    let removed = in_own_transaction!(server.db, |txn| remove_all(server, &txn, &mut catalog, schema).await);
    // Nobody else uses these objects: that others see them a little longer does no harm.
    server.lease.settle(None).await;
    let sequences = removed?;
    catalog.publish(server.db.now());
    for storage_id in sequences {
        server.sequences.forget(storage_id);
    }
    server.garbage.kick();
    Ok(())
}

/// Answers the storage ids of the sequences that are gone.
async fn remove_all(
    server: &SqlServer,
    txn: &Txn,
    catalog: &mut TransactionCatalog,
    schema: Oid,
) -> ExecResult<Vec<u32>> {
    catalog.forget();
    let snapshot = catalog.current();
    let mut sequences = Vec::new();
    for object in snapshot.objects().filter(|object| object.schema() == Some(schema)) {
        match object {
            Object::Table(table) => txn.put(&store::garbage_key(table.storage_id, WHOLE_TABLE), &AT_ONCE)?,
            Object::Sequence(sequence) => {
                txn.delete(&store::sequence_key(sequence.storage_id))?;
                sequences.push(sequence.storage_id);
            }
            _ => {}
        }
        catalog.remove(txn, object.id()).await?;
    }
    catalog.remove(txn, schema).await?;
    server.lease.record_change(txn).await?;
    Ok(sequences)
}

/// At the start of a node: what its sessions left behind when it ended last.
pub async fn collect_leftovers(server: &SqlServer) -> ExecResult<()> {
    let node_id = server.options.node_id;
    let snapshot = server.catalog.current();
    let leftovers = snapshot.objects().filter_map(|object| match object {
        Object::Schema(schema) if schema.temporary_on == Some(node_id) => Some(schema.id),
        _ => None,
    });
    for schema in leftovers.collect::<Vec<_>>() {
        collect(server, schema).await?;
    }
    Ok(())
}
