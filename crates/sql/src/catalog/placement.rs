//! What is wanted of the placement of tables, for the layers below, which know no tables: records by span in the keyspace (see the crate
//! `placement`), written by the transactions that change the catalog.
//!
//! A database's options are inherited by its tables, a table's by its indexes. Without options there is no record. A table whose indexes
//! have none of their own is one span, and stays one range while it is small; otherwise each index is a span.

use std::collections::BTreeMap;

use executor::ExecResult;
use keys::{IndexId, Key, Span, TableId, table};
use kvclient::{Locking, Txn};
use placement::{Constraints, InvalidConfig, LeasePreferences, RangeConfig, SpanConfig};
use types::descriptor::{DatabaseDescriptor, Oid, StorageOptions, TableDescriptor};
use types::{PgError, PgResult, SqlState};

use super::object::Object;
use super::snapshot::CatalogSnapshot;

pub const REPLICAS: &str = "replicas";
pub const CONSTRAINTS: &str = "constraints";
pub const LEASE_PREFERENCES: &str = "lease_preferences";

/// Lays options over what is inherited. Other options are none of its business.
pub fn overlay(config: &mut RangeConfig, options: &StorageOptions) -> Result<(), InvalidConfig> {
    for (name, value) in options {
        match name.as_str() {
            REPLICAS => {
                let replicas =
                    value.parse().map_err(|_| InvalidConfig(format!("\"{value}\" is no number")))?;
                RangeConfig::check_replicas(replicas)?;
                config.replicas = Some(replicas);
            }
            CONSTRAINTS => config.constraints = Constraints::parse(value)?,
            LEASE_PREFERENCES => config.lease_preferences = LeasePreferences::parse(value)?,
            _ => {}
        }
    }
    Ok(())
}

/// What options that follow one another ask for; what cannot be read, which is never stored, asks for nothing.
pub fn wanted(options: &[&StorageOptions]) -> RangeConfig {
    let mut config = RangeConfig::default();
    for options in options {
        let _ = overlay(&mut config, options);
    }
    config
}

/// The records of a table: by the first key of the span.
fn records(
    table: &TableDescriptor,
    database: Option<&DatabaseDescriptor>,
) -> PgResult<BTreeMap<Key, SpanConfig>> {
    let refused = |error: InvalidConfig, relation: &str| {
        let message = format!("placement of \"{relation}\" cannot be fulfilled");
        PgError::new(SqlState::INVALID_PARAMETER_VALUE, message).detail(format!("{error}."))
    };
    let mut config = RangeConfig::default();
    if let Some(database) = database {
        overlay(&mut config, &database.options).map_err(|error| refused(error, &database.name))?;
    }
    overlay(&mut config, &table.options).map_err(|error| refused(error, &table.name))?;
    let storage = TableId(table.storage_id);
    let mut found: Vec<(&str, Span, RangeConfig)> = Vec::new();
    let indexes = || std::iter::once(&table.primary).chain(&table.indexes);
    let are_alike = indexes().all(|index| !index.options.iter().any(|(name, _)| is_placement(name)));
    if are_alike {
        found.push((&table.name, table::table_span(storage), config));
    } else {
        for index in indexes() {
            let mut config = config.clone();
            overlay(&mut config, &index.options).map_err(|error| refused(error, &index.name))?;
            found.push((&index.name, table::index_span(storage, IndexId(index.storage_index)), config));
        }
    }
    let mut records = BTreeMap::new();
    for (name, span, config) in found.into_iter().filter(|(.., config)| *config != RangeConfig::default()) {
        // What the cluster's default is may change: then as many as are possible are fulfilled.
        let most = config.replicas.unwrap_or(placement::config::REPLICAS_MAX);
        config.check(most).map_err(|error| refused(error, name))?;
        records.insert(span.start.clone(), SpanConfig { span, config });
    }
    Ok(records)
}

pub fn is_placement(name: &str) -> bool {
    matches!(name, REPLICAS | CONSTRAINTS | LEASE_PREFERENCES)
}

/// Writes what a change of one object changes of the records. Errors: 22023 for what cannot be fulfilled.
pub async fn write_changes(
    txn: &Txn,
    id: Oid,
    before: &CatalogSnapshot,
    after: &CatalogSnapshot,
) -> ExecResult<()> {
    let (old, new) = (records_of(id, before, after)?, records_of(id, after, before)?);
    if old == new {
        return Ok(());
    }
    for start in old.keys().filter(|start| !new.contains_key(*start)) {
        txn.delete(&keys::system::config(start))?;
    }
    for (start, record) in new.iter().filter(|(start, record)| old.get(*start) != Some(record)) {
        txn.put(&keys::system::config(start), &record.encode())?;
    }
    let version = keys::system::config_version();
    let stored = txn.get(&version, Locking { absent: true, ..Locking::UPDATE }).await?;
    let malformed = |_| PgError::new(SqlState::DATA_CORRUPTED, "the version of configurations is malformed");
    let last = match stored {
        None => 0,
        Some(bytes) => u64::from_be_bytes(bytes.try_into().map_err(malformed)?),
    };
    txn.put(&version, &(last + 1).to_be_bytes())?;
    txn.begin_statement(false);
    Ok(())
}

/// The records that depend on an object in one picture; none if they are the same in the other.
fn records_of(
    id: Oid,
    picture: &CatalogSnapshot,
    other: &CatalogSnapshot,
) -> PgResult<BTreeMap<Key, SpanConfig>> {
    match picture.object(id) {
        Some(Object::Table(table)) => records(table, picture.database_by_id(table.database).map(|it| &**it)),
        Some(Object::Database(database)) => {
            let is_same = other.database_by_id(id).is_some_and(|other| other.options == database.options);
            let mut all = BTreeMap::new();
            for table in picture.tables(id).filter(|_| !is_same) {
                all.extend(records(table, Some(database))?);
            }
            Ok(all)
        }
        _ => Ok(BTreeMap::new()),
    }
}
