//! What a node tells of itself and knows of others: for the views of the schema `meridian`, here and on other nodes.
//!
//! ```text
//!   sql ──▶ Overview: what the store here knows; the other nodes, over the network
//!   another node ──▶ rpc ──▶ Answers ──▶ sql, which asks Overview for what is beneath it
//! ```

use std::sync::{Arc, OnceLock, Weak};

use futures::future::BoxFuture;
use keys::{NodeId, RangeId};
use kvapi::{
    ChecksumStanding, KnownVersions, Membership, ReplicaChecksum, Report, ReportRow, Reporter, TxnId,
    report_row,
};
use kvserver::{CheckReport, Contention, LockStanding, RangeStanding, Store};
use prometheus_client::registry::Registry;
use rpc::Network;
use sql::SqlServer;
use sql::cluster::{KnownNode, Surroundings, VersionStanding, topics};

use crate::metrics;
#[cfg(feature = "rocks")]
use crate::upgrade::Upgrades;

/// A node's place among the others.
pub struct Overview {
    store: Store,
    membership: Arc<dyn Membership>,
    /// Set once the node has one.
    network: OnceLock<Network>,
    /// What keeps the cluster's version, once the node has a network.
    #[cfg(feature = "rocks")]
    upgrades: OnceLock<Arc<Upgrades>>,
    /// What is measured here, while the node serves HTTP. It knows the node, which knows this.
    registry: OnceLock<Weak<Registry>>,
}

impl Overview {
    pub fn new(store: Store, membership: Arc<dyn Membership>) -> Arc<Overview> {
        Arc::new(Overview {
            store,
            membership,
            network: OnceLock::new(),
            #[cfg(feature = "rocks")]
            upgrades: OnceLock::new(),
            registry: OnceLock::new(),
        })
    }

    /// What is measured from now on.
    pub fn set_registry(&self, registry: &Arc<Registry>) {
        assert!(self.registry.set(Arc::downgrade(registry)).is_ok(), "a node has one registry");
    }

    /// From now on other nodes can be asked, and are answered.
    #[cfg(feature = "rocks")]
    pub fn connect(&self, network: &Network, sql: &Arc<SqlServer>, upgrades: Arc<Upgrades>) {
        assert!(self.upgrades.set(upgrades).is_ok(), "a node is connected once");
        network.set_reporter(Arc::new(Answers(Arc::downgrade(sql))));
        sql.cluster_locks.connect();
        assert!(self.network.set(network.clone()).is_ok(), "a node is connected once");
    }
}

impl Surroundings for Overview {
    fn nodes(&self) -> Vec<KnownNode> {
        let network = self.network.get();
        let known = |info: kvapi::NodeInfo| {
            let offset = network.and_then(|network| network.clock_offset(info.node));
            KnownNode {
                clock_offset: offset.map(|offset| (offset.nanos, offset.uncertainty)),
                unreachable: network.and_then(|network| network.unreachable(info.node)),
                info,
            }
        };
        self.membership.nodes().into_iter().map(known).collect()
    }

    fn version(&self) -> VersionStanding {
        let network = self.network.get();
        let cluster = self.membership.cluster_version();
        let known = network.map_or(KnownVersions::OURS, Network::known_versions);
        VersionStanding {
            cluster_id: network.and_then(Network::identity).map(|own| own.cluster.to_string()),
            cluster,
            known,
            #[cfg(feature = "rocks")]
            waits_for: self
                .upgrades
                .get()
                .and_then(|upgrades| upgrades.waits_for())
                .filter(|_| cluster < known.newest),
            #[cfg(not(feature = "rocks"))]
            waits_for: None,
        }
    }

    fn report(&self, topic: &str) -> Option<Vec<ReportRow>> {
        Some(match topic {
            topics::RANGES => self.store.range_standings().iter().map(range_row).collect(),
            topics::LOCKS => self.store.locks().iter().map(lock_row).collect(),
            topics::METRICS => {
                let registry = self.registry.get().and_then(Weak::upgrade);
                registry.map(|registry| metrics::rows(&registry)).unwrap_or_default()
            }
            topics::REPLICA_CHECKS => self.store.check_reports().iter().map(check_row).collect(),
            topics::CONTENTION => self.store.contention().iter().map(contention_row).collect(),
            _ => return None,
        })
    }

    fn ask<'a>(&'a self, node: NodeId, topic: &'a str) -> BoxFuture<'a, Result<Report, String>> {
        Box::pin(async move {
            let network = self.network.get().ok_or("this node is starting")?;
            network.ask_report(node, topic).await
        })
    }

    fn tell<'a>(
        &'a self,
        node: NodeId,
        topic: &'a str,
        rows: Vec<ReportRow>,
    ) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            let network = self.network.get().ok_or("this node is starting")?;
            network.tell(node, topic, rows).await
        })
    }
}

/// Answers other nodes as long as the SQL layer is there.
struct Answers(Weak<SqlServer>);

impl Reporter for Answers {
    fn report(&self, topic: &str) -> Option<Report> {
        self.0.upgrade()?.report(topic)
    }

    fn hear(&self, from: NodeId, topic: &str, rows: Vec<ReportRow>) -> Result<(), String> {
        let sql = self.0.upgrade().ok_or("the node is stopping")?;
        sql.hear(from, topic, rows)
    }
}

/// Nanoseconds since 1970.
fn nanos(wall: u64) -> i64 {
    i64::try_from(wall).unwrap_or(i64::MAX)
}

fn range_row(range: &RangeStanding) -> ReportRow {
    let (lease, statistics) = (range.lease, &range.statistics);
    report_row![
        range.descriptor.id.0,
        range.descriptor.generation,
        lease.is_some(),
        lease.map(|lease| lease.term),
        lease.map(|lease| nanos(lease.start.wall)),
        lease.and_then(|lease| lease.until).map(nanos),
        statistics.live_count,
        statistics.live_bytes,
        statistics.total_bytes(),
        statistics.intent_count,
        range.locks,
        range.lock_waiters,
        lease.map(|_| range.rate as u64),
    ]
}

fn bytes(txns: &[TxnId]) -> Vec<u8> {
    txns.iter().flat_map(|txn| txn.to_bytes()).collect()
}

fn lock_row(lock: &LockStanding) -> ReportRow {
    report_row![
        lock.range.0,
        &lock.key[..],
        bytes(&[lock.txn]),
        lock.strength.name(),
        lock.waits_for.is_empty(),
        bytes(&lock.waits_for),
    ]
}

fn check_row((range, report): &(RangeId, CheckReport)) -> ReportRow {
    let found = &report.found;
    let agree = |replica: &&ReplicaChecksum| match &replica.standing {
        ChecksumStanding::Done { checksum, .. } => {
            found.majority.is_none_or(|majority| majority == *checksum)
        }
        _ => false,
    };
    let each = found.replicas.iter().map(|replica| format!("{}: {}", replica.node, replica.standing));
    report_row![
        range.0,
        nanos(report.ended),
        found.index,
        found.outcome.name(),
        found.replicas.len() as u64,
        found.replicas.iter().filter(agree).count() as u64,
        found.majority.map(|checksum| format!("{checksum:016x}")),
        each.collect::<Vec<_>>().join(", "),
    ]
}

fn contention_row(wait: &Contention) -> ReportRow {
    report_row![
        wait.range.0,
        &wait.key[..],
        bytes(&[wait.waiter]),
        bytes(&[wait.blocker]),
        nanos(wait.began.unix_nanos()),
        i64::try_from(wait.duration.as_micros()).unwrap_or(i64::MAX),
        wait.end.name(),
    ]
}
