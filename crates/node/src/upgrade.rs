//! The version that the cluster is at: learnt at each start, raised when every node's program knows a newer one. What that means, and what
//! may be relied on: `kvapi::version`.
//!
//! ```text
//!   /system/record/cluster-version     form=1:u8 version:u32                (big-endian; absent: 1)
//!   /system/record/program/<node>      form=1:u8 oldest:u32 newest:u32      the program that the node was last started with
//! ```
//!
//! A node that starts reads the first and writes the second in one transaction, before it serves clients, and ends if its program does not know
//! the version. A raise, in one transaction as well, reads the records of all nodes: of every id that was given out and not taken back. An id
//! is given out in a transaction that reads the version, and only to a program that knows it. All three are serializable: whichever order they come in,
//! no program that does not know the version serves clients under it. What nodes say of themselves by gossip never allows a raise, and can only
//! forbid one: programs from before there were versions write no record, and a node that was put back to one has an earlier record of a newer one.
//!
//! What is left: until it has read the record an older program takes part in consensus, answers other nodes and reads the catalog, if neither its own
//! folder nor any node that it talks to tells it of the version first; and a node that is put back to a program from before versions within the second or
//! two that news take, while the last of the others is upgraded.
//!
//! The setting `upgrade_automatically` holds a cluster back, so that every node can still be put back to the older program.

use std::collections::BTreeMap;
use std::sync::Arc;

use keys::{Key, system};
use kvapi::{ClusterVersion, KnownVersions, KvError, NodeId, Standing};
use kvclient::{Db, Locking, Txn, TxnOptions};
use parking_lot::Mutex;
use rpc::Network;
use sql::catalog::store::decode_setting;
use sql::cluster_settings::definitions::UPGRADE_AUTOMATICALLY;

use crate::steward::{Standings, last_node_id, standings};

/// The form of both records.
const FORM: u8 = 1;

/// Keeps the cluster at the newest version that all programs know.
pub struct Upgrades {
    db: Db,
    network: Network,
    /// Why the cluster was not at the newest version that is known here, at the last look.
    waits_for: Mutex<Option<String>>,
}

fn version_key() -> Key {
    system::record("cluster-version")
}

fn program_key(node: NodeId) -> Key {
    system::record(&format!("program/{node}"))
}

fn encode(numbers: &[u32]) -> Vec<u8> {
    let numbers = numbers.iter().flat_map(|number| number.to_be_bytes());
    [FORM].into_iter().chain(numbers).collect()
}

/// Numbers that are not zero.
fn decode<const N: usize>(record: &[u8]) -> Result<[u32; N], KvError> {
    let malformed = || KvError::corruption("a record of the cluster's version is malformed");
    let numbers =
        record.strip_prefix(&[FORM]).filter(|numbers| numbers.len() == 4 * N).ok_or_else(malformed)?;
    let number = |at: usize| u32::from_be_bytes(numbers[4 * at..4 * at + 4].try_into().expect("four bytes"));
    let numbers: [u32; N] = std::array::from_fn(number);
    if numbers.contains(&0) { Err(malformed()) } else { Ok(numbers) }
}

/// What the cluster is at.
pub async fn recorded(txn: &Txn, locking: Locking) -> Result<ClusterVersion, KvError> {
    let record = txn.get(&version_key(), locking).await?;
    record.map_or(Ok(ClusterVersion::FIRST), |record| decode(&record).map(|[number]| ClusterVersion(number)))
}

/// The program that a node was last started with; `None`: none that tells.
async fn program(txn: &Txn, node: NodeId) -> Result<Option<KnownVersions>, KvError> {
    let record = txn.get(&program_key(node), Locking::NONE).await?;
    let known =
        record.map(|record| decode(&record).map(|[oldest, newest]| KnownVersions::told(oldest, newest)));
    known.transpose()
}

/// A node starts. What the cluster is at.
async fn enter(
    txn: &Txn,
    node: NodeId,
    known: KnownVersions,
    founds: bool,
) -> Result<ClusterVersion, KvError> {
    let at = match founds {
        true => known.newest,
        false => recorded(txn, Locking::NONE).await?,
    };
    if founds {
        txn.put(&version_key(), &encode(&[at.0]))?;
    }
    if known.contain(at) && program(txn, node).await? != Some(known) {
        txn.put(&program_key(node), &encode(&[known.oldest.0, known.newest.0]))?;
    }
    Ok(at)
}

/// What nodes' programs know.
type Programs = BTreeMap<NodeId, KnownVersions>;

/// The newest version, up to `newest`, that all programs know by their records and by what was heard, and why it is none newer.
fn common(
    last: NodeId,
    standings: &Standings,
    programs: &Programs,
    heard: &Programs,
    newest: ClusterVersion,
) -> (ClusterVersion, Option<String>) {
    let (mut common, mut hindrance) = (newest, None);
    for node in (1..=last.0).map(NodeId) {
        if standings.get(&node).is_some_and(|(standing, _)| *standing == Standing::Decommissioned) {
            continue;
        }
        let (its_newest, why) = match (programs.get(&node), heard.get(&node)) {
            (Some(known), Some(heard)) if heard.newest < known.newest => {
                (heard.newest, format!("node {node} says that its program knows versions {heard}"))
            }
            (Some(known), _) => {
                let why = format!("node {node} was last started with a program that knows versions {known}");
                (known.newest, why)
            }
            (None, _) => {
                let why = format!(
                    "node {node} has an id and was not started with a program that knows versions (if it never comes: meridian node decommission {node})"
                );
                (ClusterVersion::FIRST, why)
            }
        };
        if its_newest < common {
            (common, hindrance) = (its_newest, Some(why));
        }
    }
    (common, hindrance)
}

/// Raises the cluster as far as every node's program goes. What it is at then, and why it is at none newer.
async fn raise(
    txn: &Txn,
    heard: &Programs,
    newest: ClusterVersion,
) -> Result<(ClusterVersion, Option<String>), KvError> {
    let at = recorded(txn, Locking { absent: true, ..Locking::UPDATE }).await?;
    let (last, standings) = (last_node_id(txn, Locking::NONE).await?, standings(txn).await?);
    let mut programs = Programs::new();
    for node in (1..=last.0).map(NodeId) {
        programs.extend(program(txn, node).await?.map(|known| (node, known)));
    }
    let (to, hindrance) = common(last, &standings, &programs, heard, newest);
    if to <= at {
        return Ok((at, hindrance));
    }
    let setting = txn.get(&system::setting(UPGRADE_AUTOMATICALLY), Locking::NONE).await?;
    if setting.is_some_and(|value| decode_setting(&value).as_deref() != Some("on")) {
        return Ok((at, Some(format!("{UPGRADE_AUTOMATICALLY} is off"))));
    }
    txn.put(&version_key(), &encode(&[to.0]))?;
    Ok((to, hindrance))
}

impl Upgrades {
    pub fn new(db: &Db, network: &Network) -> Arc<Upgrades> {
        Arc::new(Upgrades { db: db.clone(), network: network.clone(), waits_for: Mutex::default() })
    }

    /// Why the cluster was not at the newest version that this program knows, at the last look.
    pub fn waits_for(&self) -> Option<String> {
        self.waits_for.lock().clone()
    }

    /// This node starts: its program is recorded. Why it cannot serve the cluster, if it cannot.
    pub async fn enter(&self, founds_cluster: bool) -> Result<Option<String>, KvError> {
        let (known, own) = (self.network.known_versions(), self.network.membership().own());
        let entered =
            self.db.transact(TxnOptions::default(), |txn| Box::pin(enter(txn, own, known, founds_cluster)));
        let at = entered.await?;
        self.network.publish_cluster_version(at);
        Ok(known.objection(at))
    }

    /// Learns what the cluster is at, and raises that if it can be.
    pub async fn look(&self) -> Result<(), KvError> {
        let reading = TxnOptions { read_only: true, ..TxnOptions::default() };
        let at = self.db.transact(reading, |txn| Box::pin(recorded(txn, Locking::NONE))).await?;
        let newest = self.network.known_versions().newest;
        let (at, waits_for) = match at < newest {
            true => self.raise(newest).await?,
            false => (at, None),
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
}

impl Upgrades {
    async fn raise(&self, newest: ClusterVersion) -> Result<(ClusterVersion, Option<String>), KvError> {
        let nodes = self.network.membership().nodes().into_iter();
        let heard = nodes.filter(|info| info.incarnation > 0).map(|info| (info.node, info.versions));
        let heard: Arc<Programs> = Arc::new(heard.collect());
        let raised = self.db.transact(TxnOptions::default(), |txn| {
            let heard = heard.clone();
            Box::pin(async move { raise(txn, &heard, newest).await })
        });
        raised.await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_the_records_are_frozen() {
        assert_eq!(encode(&[258]), [1, 0, 0, 1, 2]);
        assert_eq!(encode(&[1, 3]), [1, 0, 0, 0, 1, 0, 0, 0, 3]);
        assert_eq!(decode(&[1, 0, 0, 1, 2]), Ok([258]));
        assert_eq!(decode(&[1, 0, 0, 0, 1, 0, 0, 0, 3]), Ok([1, 3]));
        for wrong in [&[][..], &[1], &[1, 0, 0, 0, 0], &[2, 0, 0, 0, 1], &[1, 0, 0, 0, 1, 0]] {
            assert!(decode::<1>(wrong).is_err(), "{wrong:?}");
        }
        let shown = format!("{:?} {:?}", version_key(), program_key(NodeId(12)));
        assert!(shown.contains("cluster-version") && shown.contains("program/12"), "{shown}");
    }

    #[test]
    fn every_id_that_was_given_out_counts() {
        let common = |last: u32, newest_of: &[(u32, u32)], gone: &[u32]| {
            let standings = gone.iter().map(|id| (NodeId(*id), (Standing::Decommissioned, 2))).collect();
            let known = |(id, newest): &(u32, u32)| (NodeId(*id), KnownVersions::told(1, *newest));
            let programs = newest_of.iter().map(known).collect();
            // A node that was put back to a program from before versions says so, and does not record it.
            let heard = Programs::from([(NodeId(9), KnownVersions::told(0, 0))]);
            let (to, why) = common(NodeId(last), &standings, &programs, &heard, ClusterVersion(3));
            (to.0, why.is_some())
        };
        assert_eq!(common(2, &[(1, 3), (2, 4)], &[]), (3, false));
        assert_eq!(common(3, &[(1, 3), (2, 2), (3, 2)], &[]), (2, true), "as far as all go");
        assert_eq!(common(2, &[(1, 3), (2, 1)], &[]), (1, true));
        assert_eq!(common(3, &[(1, 3), (2, 3)], &[]), (1, true), "an id was given out, and nothing came");
        assert_eq!(
            common(3, &[(1, 3), (2, 1)], &[2, 3]),
            (3, false),
            "who does not come back does not count"
        );
        let nine: Vec<(u32, u32)> = (1..=9).map(|id| (id, 3)).collect();
        assert_eq!(common(9, &nine, &[]), (1, true), "what is heard forbids");
        assert_eq!(common(9, &nine, &[9]), (3, false));
    }
}
