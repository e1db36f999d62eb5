//! Cluster settings as the layers below know them: numbers, told whenever they change.
//!
//! A value that was set in SQL wins over what the node was started with, on every node; one that was not leaves each node with its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use kvclient::Db;
use kvserver::StoreTuning;
#[cfg(feature = "rocks")]
use rpc::Network;
use sql::SqlServer;
use sql::cluster_settings::definitions::*;
use sql::cluster_settings::{size_text, time_text};

use crate::config::NodeConfig;

/// What this node was started with, as values of settings.
pub fn defaults(config: &NodeConfig) -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        (CLOSED_TIMESTAMP_LAG, time_text(config.closed_lag)),
        (GC_TTL, time_text(config.gc_ttl)),
        (NODE_DEAD_AFTER, time_text(config.dead_after)),
        (RANGE_SIZE_MAX, size_text(config.range_bytes_max)),
        (RANGE_SIZE_MIN, size_text(config.range_bytes_min)),
        (REPLICATE_INTERVAL, time_text(config.replicate_interval)),
        (REPLICA_CHECK_INTERVAL, time_text(config.check_interval)),
        (SQL_MEMORY_MAX, size_text(config.sql_memory_bytes)),
        (SWEEP_INTERVAL, time_text(config.sweep_interval)),
        (TRANSACTION_BUFFER_SIZE, size_text(config.txn_buffer_bytes_max as u64)),
    ])
}

/// The store and the node's transactions follow the settings from now on.
pub fn follow(sql: &Arc<SqlServer>, store: &kvserver::Store, db: &Db, config: &NodeConfig) {
    let (store, db, base) = (store.clone(), db.clone(), store.tuning());
    let buffer_bytes_max = config.txn_buffer_bytes_max;
    sql.tell_settings(Box::new(move |settings| {
        store.tune(StoreTuning {
            range_bytes_max: settings.set_bytes(RANGE_SIZE_MAX).unwrap_or(base.range_bytes_max),
            range_bytes_min: settings.set_bytes(RANGE_SIZE_MIN).unwrap_or(base.range_bytes_min),
            range_rate_max: settings
                .set_count(RANGE_RATE_MAX)
                .map_or(base.range_rate_max, |rate| rate as u64),
            gc_ttl: settings.set_time(GC_TTL).unwrap_or(base.gc_ttl),
            sweep_interval: settings.set_time(SWEEP_INTERVAL).unwrap_or(base.sweep_interval),
            replicas: settings.set_count(REPLICAS).unwrap_or(base.replicas),
            system_replicas: settings.set_count(SYSTEM_REPLICAS).unwrap_or(base.system_replicas),
            dead_after: settings.set_time(NODE_DEAD_AFTER).unwrap_or(base.dead_after),
            replicate_interval: settings.set_time(REPLICATE_INTERVAL).unwrap_or(base.replicate_interval),
            closed_lag: settings.set_time(CLOSED_TIMESTAMP_LAG).unwrap_or(base.closed_lag),
            check_interval: settings.set_time(REPLICA_CHECK_INTERVAL).unwrap_or(base.check_interval),
            contention_events_max: settings
                .set_count(CONTENTION_EVENTS_MAX)
                .unwrap_or(base.contention_events_max),
        });
        db.set_closed_lag(settings.set_time(CLOSED_TIMESTAMP_LAG).unwrap_or(base.closed_lag));
        let buffer = settings.set_bytes(TRANSACTION_BUFFER_SIZE).map(|bytes| bytes as usize);
        db.set_buffer_bytes_max(buffer.unwrap_or(buffer_bytes_max));
    }));
}

/// What is sent to other nodes follows the settings from now on.
#[cfg(feature = "rocks")]
pub fn follow_rates(sql: &Arc<SqlServer>, network: &Network) {
    let network = network.clone();
    sql.tell_settings(Box::new(move |settings| {
        network.set_snapshot_rate(
            settings.set_bytes(SNAPSHOT_RATE_MAX).unwrap_or(rpc::SNAPSHOT_BYTES_PER_SECOND),
        );
    }));
}
