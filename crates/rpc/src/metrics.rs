//! What is counted here.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// One set per node.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    pub connections: Gauge,
    pub connections_refused: Counter,
    pub connect_failures: Counter,
    pub peers_unreachable: Gauge,
    pub batches_sent: Counter,
    pub batches_failed: Counter,
    pub batches_served: Counter,
    pub batches_serving: Gauge,
    pub raft_sent: Counter,
    pub raft_received: Counter,
    pub raft_lost: Counter,
    pub raft_malformed: Counter,
    pub raft_queue_bytes: Gauge,
    pub snapshots_sent: Counter,
    pub snapshots_resumed: Counter,
    pub snapshots_received: Counter,
    pub snapshots_failed: Counter,
    pub snapshot_bytes_sent: Counter,
    pub pings_failed: Counter,
    pub clock_offset_max_microseconds: Gauge,
    pub cluster_version: Gauge,
}

impl Metrics {
    pub fn register(&self, registry: &mut Registry) {
        let counters = [
            ("rpc_connections_refused", "Connections of others that were refused", &self.connections_refused),
            ("rpc_connect_failures", "Attempts to connect to a node that failed", &self.connect_failures),
            ("rpc_batches_sent", "Batches sent to other nodes", &self.batches_sent),
            (
                "rpc_batches_failed",
                "Batches sent to other nodes that were not answered",
                &self.batches_failed,
            ),
            ("rpc_batches_served", "Batches of other nodes that were answered", &self.batches_served),
            ("rpc_raft_messages_sent", "Raft messages given to a connection", &self.raft_sent),
            ("rpc_raft_messages_received", "Raft messages that have arrived", &self.raft_received),
            (
                "rpc_raft_messages_lost",
                "Raft messages dropped: no connection, or full queue",
                &self.raft_lost,
            ),
            ("rpc_raft_messages_malformed", "Raft messages that could not be read", &self.raft_malformed),
            ("rpc_snapshots_sent", "Snapshots that a peer has taken", &self.snapshots_sent),
            (
                "rpc_snapshots_resumed",
                "How often the sending of a snapshot went on where it had been cut off",
                &self.snapshots_resumed,
            ),
            ("rpc_snapshots_received", "Snapshots taken from a peer", &self.snapshots_received),
            (
                "rpc_snapshots_failed",
                "Snapshots that did not arrive, in either direction",
                &self.snapshots_failed,
            ),
            ("rpc_snapshot_bytes_sent", "Bytes of snapshots sent", &self.snapshot_bytes_sent),
            ("rpc_pings_failed", "Pings that were not answered in time", &self.pings_failed),
        ];
        for (name, help, counter) in counters {
            registry.register(format!("meridian_{name}"), help, counter.clone());
        }
        let gauges = [
            ("rpc_connections", "Open connections of others", &self.connections),
            ("rpc_peers_unreachable", "Nodes that cannot be reached", &self.peers_unreachable),
            ("rpc_batches_serving", "Batches of other nodes under way", &self.batches_serving),
            ("rpc_raft_queue_bytes", "Bytes of Raft messages waiting to be sent", &self.raft_queue_bytes),
            (
                "rpc_clock_offset_max_microseconds",
                "The largest measured distance of another node's clock",
                &self.clock_offset_max_microseconds,
            ),
            (
                "cluster_version",
                "The version that the cluster is at, as far as it is known here",
                &self.cluster_version,
            ),
        ];
        for (name, help, gauge) in gauges {
            registry.register(format!("meridian_{name}"), help, gauge.clone());
        }
    }
}
