//! What a node measures of itself.

use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use rpc::Network;

use crate::start::Node;

/// Reads the node's counts when it is asked for them.
struct NodeCollector {
    node: Arc<Node>,
    server: Arc<pgserver::Server>,
}

impl std::fmt::Debug for NodeCollector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeCollector").finish_non_exhaustive()
    }
}

impl Collector for NodeCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let node = &self.node;
        let store = node.store.metrics();
        let gauges: [(&str, &str, i64); 5] = [
            ("meridian_sql_sessions", "Open client sessions", self.server.session_count() as i64),
            ("meridian_ranges", "Ranges with a replica on this node", node.store.range_ids().len() as i64),
            ("meridian_sql_memory_bytes", "Memory held by running statements", node.sql.memory.used() as i64),
            (
                "meridian_clock_ahead_microseconds",
                "How far the hybrid logical clock runs ahead of the wall clock",
                node.clock.ahead_of_wall().as_micros() as i64,
            ),
            (
                "meridian_closed_timestamp_lag_milliseconds",
                "How far behind now the range lies that is closed least far, zero if none is: reads older than this are answered here \
                 without the leaseholder",
                store.closed_lag.as_millis() as i64,
            ),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(value);
            let metric = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
            gauge.encode(metric)?;
        }
        let counters: [(&str, &str, u64); 2] = [
            (
                "meridian_follower_reads_served",
                "Reads of the past answered here without the leaseholder",
                store.follower_reads_served,
            ),
            (
                "meridian_follower_reads_refused",
                "Reads of the past sent on from here to the leaseholder",
                store.follower_reads_refused,
            ),
        ];
        for (name, help, value) in counters {
            let counter = ConstCounter::new(value);
            let metric = encoder.encode_descriptor(name, help, None, counter.metric_type())?;
            counter.encode(metric)?;
        }
        Ok(())
    }
}

/// The registry of a node: its own counts and those of the process.
pub fn registry(node: Arc<Node>, server: Arc<pgserver::Server>, network: Option<&Network>) -> Registry {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(NodeCollector { node, server }));
    registry.register_collector(Box::new(admin::ProcessMetrics));
    if let Some(network) = network {
        network.register_metrics(&mut registry);
    }
    registry
}
