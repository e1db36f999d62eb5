//! What a member decides for the cluster: who gets which node id, who is meant to hold data.
//!
//! Decisions are transactions on the `/system` keyspace, so that any node can make them and two never contradict:
//!
//! ```text
//!   /system/allocator/node      the last node id given out: u32, big-endian
//!   /system/node/<id>           version=1:u8 standing:u8 edition:u64       (big-endian; absent: active, edition 0)
//! ```
//!
//! Nodes are emptied only if enough remain: judged in the transaction that records it, so that two who ask at once do not together
//! take more than either may.
//!
//! What they are spreads by gossip; every node looks at the records itself now and then, so that nothing is missed.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use env::{BoxFuture, Env};
use keys::{Key, RangeId, addressing, system};
use kvapi::{
    BatchRequest, CheckReplicasRequest, Header, KnownVersions, KvError, NodeId, NodeInfo, RangeDescriptor,
    ReplicaCheckResponse, Response, Standing, StoreId,
};
use kvclient::{Db, Locking, ScanOptions, Txn, TxnOptions};
use kvserver::Store;
use rpc::{Admitted, ClusterId, Network, Refusal, RefusalReason, Steward};

use crate::drain::Drain;
use crate::start::Node;
use crate::upgrade::{self, Upgrades};

/// How often the records of standings are read.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);

/// A node that was silent for longer cannot take what others have.
const SILENCE_MAX: Duration = Duration::from_secs(5);

const NODE_ALLOCATOR: &str = "node";
const VERSION: u8 = 1;

/// How long a node that stood alone takes to notice that it does not any more: several looks of whatever asks the membership.
const COMPANY_NOTICE: Duration = Duration::from_millis(300);

/// Decides by transactions.
pub struct ClusterSteward {
    env: Arc<dyn Env>,
    db: Db,
    network: Network,
    store: Store,
    drain: Arc<Drain>,
}

impl ClusterSteward {
    pub fn new(env: Arc<dyn Env>, node: &Node, network: Network, drain: Arc<Drain>) -> Arc<ClusterSteward> {
        Arc::new(ClusterSteward { env, db: node.db.clone(), network, store: node.store.clone(), drain })
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

/// The last node id that was given out. The first node took 1 without asking.
pub(crate) async fn last_node_id(txn: &Txn, locking: Locking) -> Result<NodeId, KvError> {
    let stored = txn.get(&system::allocator(NODE_ALLOCATOR), locking).await?;
    let Some(bytes) = stored.as_deref() else { return Ok(NodeId(1)) };
    let bytes = bytes.try_into().map_err(|_| KvError::corruption("the counter of node ids"))?;
    Ok(NodeId(u32::from_be_bytes(bytes)))
}

/// Gives out the next node id, for a program that knows these versions. Errors: the inner one if it cannot serve the cluster.
fn next_id(txn: &Txn, known: KnownVersions) -> BoxFuture<'_, Result<Result<NodeId, Refusal>, KvError>> {
    Box::pin(async move {
        let version = upgrade::recorded(txn, Locking::NONE).await?;
        if let Some(refusal) = Refusal::of_program(known, version) {
            return Ok(Err(refusal));
        }
        let last = last_node_id(txn, Locking { absent: true, ..Locking::UPDATE }).await?;
        let next = last.0.checked_add(1).ok_or_else(|| KvError::invalid("no node id is left"))?;
        txn.put(&system::allocator(NODE_ALLOCATOR), &next.to_be_bytes())?;
        Ok(Ok(NodeId(next)))
    })
}

/// The nodes as they are known when a standing is to change.
#[derive(Clone, Debug)]
struct Company {
    /// Those that could take replicas now, unless the keyspace says otherwise.
    able: Vec<NodeId>,
    /// All that are members.
    all: Vec<NodeId>,
    /// So many replicas some range keeps, if there are enough nodes.
    kept: usize,
}

pub(crate) type Standings = BTreeMap<NodeId, (Standing, u64)>;

impl Company {
    /// Whether nodes may be emptied, by what the keyspace says of all: enough must remain that can take what they have. Nodes that cannot
    /// serve anyhow take nothing away.
    fn check(&self, standings: &Standings, leave: &[NodeId], wanted: Standing) -> Result<(), Refusal> {
        let standing =
            |node: &NodeId| standings.get(node).map_or(Standing::Active, |(standing, _)| *standing);
        let able = || self.able.iter().filter(|node| standing(node) == Standing::Active);
        let remaining = able().filter(|node| !leave.contains(node)).count();
        if remaining == able().count() {
            return Ok(());
        }
        let needed = self.needed(standings);
        let reason = match (remaining, wanted) {
            (0, _) => "no live node that holds data would remain".to_string(),
            (_, Standing::Shedding) => return Ok(()),
            _ if remaining >= needed => return Ok(()),
            (1, _) => format!("1 live node would remain, and ranges have {needed} copies"),
            _ => format!("{remaining} live nodes would remain, and ranges have {needed} copies"),
        };
        let advice = match remaining {
            0 => String::new(),
            _ => {
                let copies = kvserver::voters_of(remaining);
                let copies = if copies == 1 { "1 copy".to_string() } else { format!("{copies} copies") };
                format!(" (or give up copies with --force: {copies} of everything would be left)")
            }
        };
        let detail = format!("the nodes cannot be decommissioned: {reason}. Add nodes first{advice}");
        Err(Refusal::new(RefusalReason::Invalid, detail))
    }

    /// So many nodes must remain.
    fn needed(&self, standings: &Standings) -> usize {
        let holds = |node: &&NodeId| {
            let standing = standings.get(node).map(|(standing, _)| *standing);
            matches!(standing, None | Some(Standing::Active | Standing::Decommissioning))
        };
        self.kept.min(kvserver::voters_of(self.all.iter().filter(holds).count())).max(1)
    }
}

/// Changes standings, all or none. The outer error is one of the store, the inner one of whoever asks.
async fn change_all(
    txn: &Txn,
    nodes: &[NodeId],
    wanted: Standing,
    company: &Company,
) -> Result<Result<Vec<(NodeId, u64, Standing)>, Refusal>, KvError> {
    if matches!(wanted, Standing::Decommissioning | Standing::Shedding) {
        let standings = standings(txn).await?;
        if let Err(refusal) = company.check(&standings, nodes, wanted) {
            return Ok(Err(refusal));
        }
    }
    let mut changed = Vec::new();
    for node in nodes {
        let stored = txn.get(&system::node(*node), Locking { absent: true, ..Locking::UPDATE }).await?;
        let before = stored.as_deref().map(decode).transpose()?.unwrap_or((Standing::Active, 0));
        match changed_from(before, wanted) {
            Ok((standing, edition)) => changed.push((*node, edition, standing)),
            Err(why) => return Ok(Err(Refusal::new(RefusalReason::Invalid, format!("node {node} {why}")))),
        }
    }
    for (node, edition, standing) in &changed {
        txn.put(&system::node(*node), &encode(*standing, *edition))?;
    }
    Ok(Ok(changed))
}

/// What becomes of a standing and its edition.
fn changed_from(
    (standing, edition): (Standing, u64),
    wanted: Standing,
) -> Result<(Standing, u64), &'static str> {
    match (standing, wanted) {
        _ if standing == wanted && edition > 0 => Ok((standing, edition)),
        // What was given up stays so, until it is taken back.
        (Standing::Shedding, Standing::Decommissioning) => Ok((standing, edition)),
        (Standing::Decommissioned, _) => Err("was decommissioned and cannot come back"),
        (Standing::Active, Standing::Decommissioned) => {
            Err("still holds data as far as the cluster knows: begin with meridian node decommission")
        }
        _ => Ok((wanted, edition + 1)),
    }
}

/// All records of standings.
pub(crate) async fn standings(txn: &Txn) -> Result<Standings, KvError> {
    let mut scan = txn.scan(ScanOptions::forward(system::node_span()));
    let mut records = Standings::new();
    while let Some(page) = scan.next_page(txn).await? {
        for row in page.iter() {
            let node = system::parse_node(row.key)
                .map_err(|error| KvError::corruption(format!("the record of a node: {error}")))?;
            records.insert(node, decode(row.value.unwrap_or_default())?);
        }
    }
    Ok(records)
}

impl ClusterSteward {
    /// Refuses, for now, if a range still has a replica on one of the nodes.
    async fn check_empty(&self, nodes: &[NodeId]) -> Result<(), Refusal> {
        let mut ranges = self.db.transact(TxnOptions::default(), all_ranges).await.map_err(failed)?;
        ranges.extend(self.network.membership().first_range());
        let on = |range: &RangeDescriptor| range.replicas.iter().any(|replica| nodes.contains(&replica.node));
        match ranges.iter().filter(|range| on(range)).count() {
            0 => Ok(()),
            left => {
                let waits = self.why_it_waits(nodes).await?;
                Err(Refusal::unavailable(format!("{left} ranges still have a replica there{waits}")))
            }
        }
    }

    /// Why what is on the nodes cannot go, if that is for want of others.
    async fn why_it_waits(&self, nodes: &[NodeId]) -> Result<String, Refusal> {
        let reading = TxnOptions { read_only: true, ..TxnOptions::default() };
        let read = self.db.transact(reading, |txn| Box::pin(standings(txn))).await;
        let (standings, company) = (read.map_err(failed)?, self.company());
        let standing =
            |node: &NodeId| standings.get(node).map_or(Standing::Active, |(standing, _)| *standing);
        let is_given_up = nodes.iter().all(|node| standing(node) != Standing::Decommissioning);
        let able = company.able.iter().filter(|node| standing(node) == Standing::Active).count();
        let needed = company.needed(&standings);
        Ok(match is_given_up || able >= needed {
            true => String::new(),
            false => format!(
                ": other nodes must take them, and {able} live ones are left where {needed} copies are kept. Add a node, or give up copies \
                 with --force"
            ),
        })
    }

    /// The last id that was given out: its node may never have come.
    async fn last_node_id(&self) -> Result<NodeId, Refusal> {
        let reading = TxnOptions { read_only: true, ..TxnOptions::default() };
        let read = self.db.transact(reading, |txn| Box::pin(last_node_id(txn, Locking::NONE))).await;
        read.map_err(failed)
    }

    fn company(&self) -> Company {
        let nodes = self.network.membership().nodes();
        let is_able = |info: &&NodeInfo| info.incarnation > 0 && !info.draining && info.silence < SILENCE_MAX;
        let able = nodes.iter().filter(is_able).map(|info| info.node).collect();
        let all = nodes.iter().map(|info| info.node).collect();
        Company { able, all, kept: self.store.replicas_kept() }
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
    fn admit(
        &self,
        rpc_address: String,
        versions: KnownVersions,
    ) -> BoxFuture<'_, Result<Admitted, Refusal>> {
        Box::pin(async move {
            if let Some(node) = self.network.member_at(&rpc_address) {
                let detail = format!(
                    "node {node} is at {rpc_address} as far as the cluster knows, and this node's data folder is empty: if the data of node {node} \
                     is lost, say so with meridian node decommission {node} first; if it is not, start the node with its data folder"
                );
                return Err(Refusal::new(RefusalReason::AddressTaken, detail));
            }
            let given = self.db.transact(TxnOptions::default(), |txn| next_id(txn, versions)).await;
            let node = given.map_err(failed)??;
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
            let mut unheard: Vec<NodeId> = nodes.clone();
            unheard.retain(|node| membership.node(*node).is_none());
            let last = if unheard.is_empty() { NodeId(0) } else { self.last_node_id().await? };
            if let Some(unknown) = unheard.iter().find(|node| node.0 == 0 || **node > last) {
                let detail = format!("there is no node {unknown}");
                return Err(Refusal::new(RefusalReason::Invalid, detail));
            }
            if standing == Standing::Decommissioned {
                self.check_empty(&nodes).await?;
            }
            let company = self.company();
            let changed = self.db.transact(TxnOptions::default(), |txn| {
                let (nodes, company) = (nodes.clone(), company.clone());
                Box::pin(async move { change_all(txn, &nodes, standing, &company).await })
            });
            let changed = changed.await;
            for (node, edition, standing) in changed.map_err(failed)?? {
                self.network.publish_standing(node, edition, standing);
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

/// Looks at the records of standings, and of the cluster's version, as long as the network is there.
pub fn keep_looking(
    env: &Arc<dyn Env>,
    db: &Db,
    network: &Network,
    steward: &Arc<ClusterSteward>,
    upgrades: Arc<Upgrades>,
) {
    let (timer, db, network) = (env.clone(), db.clone(), network.clone());
    let alive: Weak<ClusterSteward> = Arc::downgrade(steward);
    let task = async move {
        while alive.strong_count() > 0 {
            if let Err(error) = look(&db, &network).await {
                tracing::debug!(%error, "the records of nodes cannot be read now");
            }
            if let Err(error) = upgrades.look().await {
                tracing::debug!(%error, "the cluster's version cannot be read or raised now");
            }
            timer.sleep(LOOK_INTERVAL).await;
        }
    };
    drop(env.spawn("node-records", Box::pin(task)));
}

async fn look(db: &Db, network: &Network) -> Result<(), KvError> {
    let records = db.transact(TxnOptions::default(), |txn| Box::pin(standings(txn))).await?;
    for (node, (standing, edition)) in records {
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

    fn ids(ids: &[u32]) -> Vec<NodeId> {
        ids.iter().copied().map(NodeId).collect()
    }

    /// Whether nodes may leave, of so many of which some are dead and some are leaving.
    fn may_leave(of: u32, dead: &[u32], before: &[(u32, Standing)], leave: &[u32], wanted: Standing) -> bool {
        let all: Vec<NodeId> = (1..=of).map(NodeId).collect();
        let able = all.iter().copied().filter(|node| !dead.contains(&node.0)).collect();
        let standings = before.iter().map(|(node, standing)| (NodeId(*node), (*standing, 1))).collect();
        Company { able, all, kept: 3 }.check(&standings, &ids(leave), wanted).is_ok()
    }

    #[test]
    fn nodes_leave_only_if_enough_remain() {
        use Standing::{Decommissioned, Decommissioning, Shedding};
        let may = |of, leave: &[u32]| may_leave(of, &[], &[], leave, Decommissioning);
        assert!(!may(3, &[1, 2, 3]) && !may(3, &[1, 2]) && !may(3, &[3]));
        assert!(may(4, &[4]) && !may(4, &[3, 4]) && may(5, &[4, 5]) && !may(5, &[3, 4, 5]));
        assert!(may(2, &[1]) && !may(2, &[1, 2]) && !may(1, &[1]), "two nodes have one copy of everything");
        let forced = |leave: &[u32]| may_leave(3, &[], &[], leave, Shedding);
        assert!(forced(&[2, 3]) && !forced(&[1, 2, 3]), "never all");
        // What is leaving already does not count, and asking once more changes nothing.
        let leaving = [(5, Decommissioning), (4, Decommissioning)];
        assert!(!may_leave(5, &[], &leaving, &[3], Decommissioning));
        assert!(may_leave(5, &[], &leaving, &[4, 5], Decommissioning));
        let gone = [(5, Decommissioned), (4, Decommissioned)];
        assert!(!may_leave(5, &[4, 5], &gone, &[3], Decommissioning));
        // The dead: they take nothing away themselves, and count for nothing when others leave.
        assert!(may_leave(3, &[3], &[], &[3], Decommissioning));
        assert!(!may_leave(4, &[3], &[], &[4], Decommissioning));
    }
}
