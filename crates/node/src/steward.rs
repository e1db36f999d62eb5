//! What a member decides for the cluster: who gets which node id, who is meant to hold data.
//!
//! Decisions are transactions on the `/system` keyspace, so that any node can make them and two never contradict:
//!
//! ```text
//!   /system/allocator/node      the last node id given out: u32, big-endian
//!   /system/node/<id>           version=1:u8 standing:u8 edition:u64       (big-endian; absent: active, edition 0)
//! ```
//!
//! What they are spreads by gossip; every node looks at the records itself now and then, so that nothing is missed.

use std::sync::{Arc, Weak};
use std::time::Duration;

use env::{BoxFuture, Env};
use keys::{Key, RangeId, addressing, system};
use kvapi::{
    BatchRequest, CheckReplicasRequest, Header, KvError, NodeId, RangeDescriptor, ReplicaCheckResponse,
    Response, Standing, StoreId,
};
use kvclient::{Db, Locking, ScanOptions, Txn, TxnOptions};
use rpc::{Admitted, ClusterId, Network, Refusal, RefusalReason, Steward};

use crate::drain::Drain;

/// How often the records of standings are read.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);

const NODE_ALLOCATOR: &str = "node";
const VERSION: u8 = 1;

/// How long a node that stood alone takes to notice that it does not any more: several looks of whatever asks the membership.
const COMPANY_NOTICE: Duration = Duration::from_millis(300);

/// Decides by transactions.
pub struct ClusterSteward {
    env: Arc<dyn Env>,
    db: Db,
    network: Network,
    drain: Arc<Drain>,
}

impl ClusterSteward {
    pub fn new(env: Arc<dyn Env>, db: Db, network: Network, drain: Arc<Drain>) -> Arc<ClusterSteward> {
        Arc::new(ClusterSteward { env, db, network, drain })
    }
}

/// A record as stored.
fn encode(standing: Standing, edition: u64) -> Vec<u8> {
    let mut bytes = vec![VERSION, standing as u8];
    bytes.extend(edition.to_be_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Result<(Standing, u64), KvError> {
    let malformed = || KvError::corruption("the record of a node's standing is malformed");
    let bytes: &[u8; 10] = bytes.try_into().map_err(|_| malformed())?;
    let standing = Standing::from_code(bytes[1]).filter(|_| bytes[0] == VERSION).ok_or_else(malformed)?;
    Ok((standing, u64::from_be_bytes(bytes[2..].try_into().expect("eight bytes"))))
}

fn failed(error: KvError) -> Refusal {
    Refusal::unavailable(format!("the cluster cannot decide now: {error}"))
}

/// The next node id. The first node took 1 without asking.
fn next_id(txn: &Txn) -> BoxFuture<'_, Result<NodeId, KvError>> {
    Box::pin(async move {
        let key = system::allocator(NODE_ALLOCATOR);
        let stored = txn.get(&key, Locking { absent: true, ..Locking::UPDATE }).await?;
        let last = match stored.as_deref() {
            None => 1,
            Some(bytes) => {
                let bytes = bytes.try_into().map_err(|_| KvError::corruption("the counter of node ids"))?;
                u32::from_be_bytes(bytes)
            }
        };
        let next = last.checked_add(1).ok_or_else(|| KvError::invalid("no node id is left"))?;
        txn.put(&key, &next.to_be_bytes())?;
        Ok(NodeId(next))
    })
}

/// Changes a standing. The outer error is one of the store, the inner one of whoever asks.
fn change(txn: &Txn, node: NodeId, wanted: Standing) -> BoxFuture<'_, Result<Result<u64, Refusal>, KvError>> {
    Box::pin(async move {
        let key = system::node(node);
        let stored = txn.get(&key, Locking { absent: true, ..Locking::UPDATE }).await?;
        let (standing, edition) = stored.as_deref().map(decode).transpose()?.unwrap_or((Standing::Active, 0));
        if standing == wanted && edition > 0 {
            return Ok(Ok(edition));
        }
        let refusal = match (standing, wanted) {
            (Standing::Decommissioned, _) => Some("was decommissioned and cannot come back"),
            (Standing::Active, Standing::Decommissioned) => {
                Some("still holds data as far as the cluster knows: begin with meridian node decommission")
            }
            _ => None,
        };
        if let Some(why) = refusal {
            return Ok(Err(Refusal::new(RefusalReason::Invalid, format!("node {node} {why}"))));
        }
        txn.put(&key, &encode(wanted, edition + 1))?;
        Ok(Ok(edition + 1))
    })
}

impl ClusterSteward {
    /// Refuses, for now, if a range still has a replica on one of the nodes.
    async fn check_empty(&self, nodes: &[NodeId]) -> Result<(), Refusal> {
        let mut ranges = self.db.transact(TxnOptions::default(), all_ranges).await.map_err(failed)?;
        ranges.extend(self.network.membership().first_range());
        let on = |range: &RangeDescriptor| range.replicas.iter().any(|replica| nodes.contains(&replica.node));
        match ranges.iter().filter(|range| on(range)).count() {
            0 => Ok(()),
            left => Err(Refusal::unavailable(format!("{left} ranges still have a replica there"))),
        }
    }
}

/// The descriptors of all ranges but the first.
fn all_ranges(txn: &Txn) -> BoxFuture<'_, Result<Vec<RangeDescriptor>, KvError>> {
    Box::pin(async move {
        let mut ranges = Vec::new();
        for span in [addressing::META1_SPAN, addressing::META2_SPAN] {
            let mut scan = txn.scan(ScanOptions::forward(span));
            while let Some(page) = scan.next_page(txn).await? {
                for row in page.iter() {
                    let malformed = |error| KvError::corruption(format!("an addressing record: {error}"));
                    ranges.push(RangeDescriptor::decode(row.value.unwrap_or_default()).map_err(malformed)?);
                }
            }
        }
        Ok(ranges)
    })
}

impl Steward for ClusterSteward {
    fn admit(&self, rpc_address: String) -> BoxFuture<'_, Result<Admitted, Refusal>> {
        Box::pin(async move {
            if let Some(node) = self.network.member_at(&rpc_address) {
                let detail = format!(
                    "node {node} is at {rpc_address} as far as the cluster knows, and this node's data folder is empty: if the data of node {node} \
                     is lost, say so with meridian node decommission {node} first; if it is not, start the node with its data folder"
                );
                return Err(Refusal::new(RefusalReason::AddressTaken, detail));
            }
            let node = self.db.transact(TxnOptions::default(), next_id).await.map_err(failed)?;
            tracing::info!(%node, rpc_address, "a node is admitted");
            let admitted = Admitted { node, store: StoreId(node.0) };
            let was_alone = self.network.membership().nodes().len() == 1;
            self.network.expect_member(admitted, &rpc_address);
            if was_alone {
                // Nothing here may rely on being alone any more when the newcomer begins.
                self.env.sleep(COMPANY_NOTICE).await;
            }
            Ok(admitted)
        })
    }

    fn initialise(&self) -> BoxFuture<'_, Result<ClusterId, Refusal>> {
        let identity = self.network.identity();
        Box::pin(async move {
            let cluster = identity.map(|identity| identity.cluster.to_string()).unwrap_or_default();
            let detail = format!("the node is in cluster {cluster} already");
            Err(Refusal::new(RefusalReason::Initialised, detail))
        })
    }

    fn drain(&self, draining: bool) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(async move { self.drain.set(draining).await })
    }

    fn set_standing(&self, nodes: Vec<NodeId>, standing: Standing) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(async move {
            let membership = self.network.membership();
            if let Some(unknown) = nodes.iter().find(|node| membership.node(**node).is_none()) {
                let detail = format!("there is no node {unknown}");
                return Err(Refusal::new(RefusalReason::Invalid, detail));
            }
            if standing == Standing::Decommissioned {
                self.check_empty(&nodes).await?;
            }
            for node in nodes {
                let changed =
                    self.db.transact(TxnOptions::default(), |txn| change(txn, node, standing)).await;
                self.network.publish_standing(node, changed.map_err(failed)??, standing);
                tracing::info!(%node, standing = standing.name(), "a node's standing has changed");
            }
            Ok(())
        })
    }

    fn check_range(
        &self,
        range: Option<RangeId>,
        key: Key,
    ) -> BoxFuture<'_, Result<ReplicaCheckResponse, Refusal>> {
        Box::pin(async move {
            let key = match range {
                Some(range) => self.start_of(range).await?,
                None => key,
            };
            let mut batch = BatchRequest::new(Header::default(), CheckReplicasRequest { key: key.clone() });
            let mut answer = self.db.send(&key, &mut batch).await.map_err(failed)?;
            match answer.responses.pop() {
                Some(Response::ReplicaCheck(found)) => Ok(*found),
                _ => Err(failed(KvError::corruption("a check was answered otherwise"))),
            }
        })
    }
}

impl ClusterSteward {
    /// Where a range begins.
    async fn start_of(&self, range: RangeId) -> Result<Key, Refusal> {
        if range == RangeId::FIRST {
            return Ok(Key::MIN);
        }
        let ranges = self.db.transact(TxnOptions::default(), all_ranges).await.map_err(failed)?;
        let found = ranges.into_iter().find(|descriptor| descriptor.id == range);
        let unknown = || Refusal::new(RefusalReason::Invalid, format!("there is no range {range}"));
        found.map(|descriptor| descriptor.span.start).ok_or_else(unknown)
    }
}

/// Looks at the records of standings as long as the network is there.
pub fn keep_looking(env: &Arc<dyn Env>, db: &Db, network: &Network, steward: &Arc<ClusterSteward>) {
    let (timer, db, network) = (env.clone(), db.clone(), network.clone());
    let alive: Weak<ClusterSteward> = Arc::downgrade(steward);
    let task = async move {
        while alive.strong_count() > 0 {
            if let Err(error) = look(&db, &network).await {
                tracing::debug!(%error, "the records of nodes cannot be read now");
            }
            timer.sleep(LOOK_INTERVAL).await;
        }
    };
    drop(env.spawn("node-records", Box::pin(task)));
}

async fn look(db: &Db, network: &Network) -> Result<(), KvError> {
    let records = db
        .transact(TxnOptions::default(), |txn| {
            Box::pin(async move {
                let mut scan = txn.scan(ScanOptions::forward(system::node_span()));
                let mut records = Vec::new();
                while let Some(block) = scan.next_page(txn).await? {
                    for row in block.iter() {
                        let node = system::parse_node(row.key)
                            .map_err(|error| KvError::corruption(format!("the record of a node: {error}")))?;
                        let (standing, edition) = decode(row.value.unwrap_or_default())?;
                        records.push((node, standing, edition));
                    }
                }
                Ok(records)
            })
        })
        .await?;
    for (node, standing, edition) in records {
        network.publish_standing(node, edition, standing);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_a_standing_are_frozen() {
        let bytes = encode(Standing::Decommissioning, 3);
        assert_eq!(bytes, [1, 2, 0, 0, 0, 0, 0, 0, 0, 3]);
        assert_eq!(decode(&bytes), Ok((Standing::Decommissioning, 3)));
        assert!(decode(&bytes[..9]).is_err() && decode(&[2, 1, 0, 0, 0, 0, 0, 0, 0, 1]).is_err());
    }
}
