//! Raising the version that the cluster is at: see `kvapi::version` for what that is, and what may be relied on.
//!
//! ```text
//!   /system/record/cluster-version     form=1:u8 version:u32     (big-endian; absent: 1)
//! ```
//!
//! Every node reads the record when it starts, before it serves clients, and now and then. If it is at less than the node's own program knows,
//! the node tries to raise it. In one transaction it looks at the counter of node ids and at all standings: each id that was given out and not
//! taken back must be of a node that is known here, by what itself has said, to run a program that knows the version. A newcomer's id
//! comes from the same counter, so that an admission and a raise never miss each other.
//!
//! A node may be started with an older program while the version is raised; it hears of the version with the first news, and ends.
//!
//! The setting `upgrade_automatically` holds a cluster back, so that all programs can still be put back to the older one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use keys::system;
use kvapi::{ClusterVersion, KvError, NodeId, NodeInfo, Standing};
use kvclient::{Db, Locking, Txn, TxnOptions};
use parking_lot::Mutex;
use rpc::Network;

use crate::steward::{Standings, last_node_id, standings};

/// The name of the record.
const RECORD: &str = "cluster-version";
/// The form of the record.
const FORM: u8 = 1;

/// Keeps the cluster at the newest version that all programs know.
pub struct Upgrades {
    db: Db,
    network: Network,
    is_automatic: AtomicBool,
    /// Why the cluster is not at the newest version that is known here.
    waits_for: Mutex<Option<String>>,
}

fn encode(version: ClusterVersion) -> Vec<u8> {
    let mut record = vec![FORM];
    record.extend(version.0.to_be_bytes());
    record
}

fn decode(record: &[u8]) -> Result<ClusterVersion, KvError> {
    let version = match record {
        [FORM, number @ ..] => number.try_into().ok().map(u32::from_be_bytes),
        _ => None,
    };
    let version = version.filter(|number| *number > 0);
    version
        .map(ClusterVersion)
        .ok_or_else(|| KvError::corruption("the record of the cluster's version is malformed"))
}

/// What the cluster is at.
pub async fn recorded(txn: &Txn, locking: Locking) -> Result<ClusterVersion, KvError> {
    let record = txn.get(&system::record(RECORD), locking).await?;
    record.as_deref().map_or(Ok(ClusterVersion::FIRST), decode)
}

/// Why the cluster cannot be at a version: the first node that may not know it.
fn hindrance(
    last: NodeId,
    standings: &Standings,
    nodes: &BTreeMap<NodeId, NodeInfo>,
    to: ClusterVersion,
) -> Option<String> {
    (1..=last.0).map(NodeId).find_map(|node| {
        if standings.get(&node).is_some_and(|(standing, _)| *standing == Standing::Decommissioned) {
            return None;
        }
        match nodes.get(&node).filter(|info| info.incarnation > 0) {
            None => Some(format!("nothing was heard of node {node} yet")),
            Some(info) if info.versions.newest < to => Some(format!(
                "the program of node {node} ({}) knows versions {} only",
                info.version, info.versions
            )),
            Some(_) => None,
        }
    })
}

/// Raises the cluster to a version if every node's program knows it. What it is at then, and why it is not at that.
async fn raise(
    txn: &Txn,
    nodes: &BTreeMap<NodeId, NodeInfo>,
    to: ClusterVersion,
) -> Result<(ClusterVersion, Option<String>), KvError> {
    let at = recorded(txn, Locking { absent: true, ..Locking::UPDATE }).await?;
    if at >= to {
        return Ok((at, None));
    }
    let (last, standings) = (last_node_id(txn, Locking::NONE).await?, standings(txn).await?);
    if let Some(hindrance) = hindrance(last, &standings, nodes, to) {
        return Ok((at, Some(hindrance)));
    }
    txn.put(&system::record(RECORD), &encode(to))?;
    Ok((to, None))
}

impl Upgrades {
    pub fn new(db: &Db, network: &Network) -> Arc<Upgrades> {
        Arc::new(Upgrades {
            db: db.clone(),
            network: network.clone(),
            is_automatic: AtomicBool::new(true),
            waits_for: Mutex::default(),
        })
    }

    pub fn set_automatic(&self, is_automatic: bool) {
        self.is_automatic.store(is_automatic, Ordering::Relaxed);
    }

    /// Why the cluster is not at the newest version that this program knows, as of the last look.
    pub fn waits_for(&self) -> Option<String> {
        self.waits_for.lock().clone()
    }

    /// Learns what the cluster is at, and raises that if it can be.
    pub async fn look(&self) -> Result<(), KvError> {
        let reading = TxnOptions { read_only: true, ..TxnOptions::default() };
        let at = self.db.transact(reading, |txn| Box::pin(recorded(txn, Locking::NONE))).await?;
        let newest = self.network.known_versions().newest;
        let (at, waits_for) = match at < newest {
            false => (at, None),
            true if !self.is_automatic.load(Ordering::Relaxed) => {
                (at, Some("upgrade_automatically is off".to_string()))
            }
            true => self.raise(newest).await?,
        };
        self.network.publish_cluster_version(at);
        let mut known = self.waits_for.lock();
        if *known != waits_for
            && let Some(why) = &waits_for
        {
            tracing::info!(version = %at, newest = %newest, why, "the cluster's version is not raised");
        }
        *known = waits_for;
        Ok(())
    }

    async fn raise(&self, to: ClusterVersion) -> Result<(ClusterVersion, Option<String>), KvError> {
        let nodes = self.network.membership().nodes().into_iter().map(|info| (info.node, info));
        let nodes: Arc<BTreeMap<NodeId, NodeInfo>> = Arc::new(nodes.collect());
        let raised = self.db.transact(TxnOptions::default(), |txn| {
            let nodes = nodes.clone();
            Box::pin(async move { raise(txn, &nodes, to).await })
        });
        raised.await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kvapi::{KnownVersions, StoreId};

    #[test]
    fn the_bytes_of_the_record_are_frozen() {
        assert_eq!(encode(ClusterVersion(258)), [1, 0, 0, 1, 2]);
        assert_eq!(decode(&[1, 0, 0, 1, 2]), Ok(ClusterVersion(258)));
        for wrong in [&[][..], &[1], &[1, 0, 0, 0, 0], &[2, 0, 0, 0, 1], &[1, 0, 0, 0, 1, 0]] {
            assert!(decode(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn every_id_that_was_given_out_must_know_the_version() {
        let node = |id: u32, newest: u32| {
            let versions = KnownVersions::told(1, newest);
            (NodeId(id), NodeInfo { versions, ..NodeInfo::new(NodeId(id), StoreId(id)) })
        };
        let hindered = |last: u32, nodes: &[(NodeId, NodeInfo)], gone: &[u32]| {
            let standings = gone.iter().map(|id| (NodeId(*id), (Standing::Decommissioned, 2))).collect();
            hindrance(NodeId(last), &standings, &nodes.iter().cloned().collect(), ClusterVersion(2)).is_some()
        };
        assert!(!hindered(2, &[node(1, 2), node(2, 3)], &[]));
        assert!(hindered(2, &[node(1, 2), node(2, 1)], &[]), "an older program");
        assert!(hindered(3, &[node(1, 2), node(2, 2)], &[]), "a node that nobody here has heard of");
        assert!(!hindered(3, &[node(1, 2), node(2, 1)], &[2, 3]), "who does not come back does not count");
        let mut admitted = node(2, 2);
        admitted.1.incarnation = 0;
        assert!(
            hindered(2, &[node(1, 2), admitted], &[]),
            "an id was given out, and its node has said nothing"
        );
    }
}
