//! Which nodes there are: what a node knows of the others, for whoever places replicas or looks for a way.
//!
//! Every node publishes one [`NodeInfo`] about itself, and all nodes hear of it within seconds, without a master. So what
//! is read here is *news*, not truth: two nodes may see different things at the same moment. Nothing that must be
//! exact (who holds a lease, which replicas a range has) may be decided by it.
//!
//! | what | who says it | how fast it is known |
//! | --- | --- | --- |
//! | addresses, locality, version | the node, when it starts | a second or two |
//! | capacity, draining | the node, when it changes | seconds |
//! | standing (decommissioning) | any node, recorded in the keyspace | seconds |
//! | the cluster's version | whoever has raised it, recorded in the keyspace | seconds |
//! | the first range's descriptor | a store that has a replica of it | seconds |
//! | silence | measured here | at once |
//!
//! Leases do not ride on this: what a lease needs to be told is between the two stores.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use keys::{NodeId, StoreId};

use crate::{ClusterVersion, KnownVersions, RangeDescriptor};

/// Tiers of a locality, at most.
pub const LOCALITY_TIERS_MAX: usize = 16;

/// Length of a tier's name or value in bytes, at most.
pub const LOCALITY_TEXT_BYTES_MAX: usize = 64;

/// Where a node stands, from the widest tier to the narrowest: `region=eu,zone=a`.
///
/// - Names are unique; names and values are of letters, digits, `-`, `_` and `.`, neither empty nor too long.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Locality(Vec<(String, String)>);

/// A text that is not a locality.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is not a locality such as region=eu,zone=a: {reason}")]
pub struct InvalidLocality {
    pub text: String,
    pub reason: &'static str,
}

impl Locality {
    /// Reads `name=value,...`. An empty text is the locality without tiers.
    pub fn parse(text: &str) -> Result<Locality, InvalidLocality> {
        let invalid = |reason| InvalidLocality { text: text.to_string(), reason };
        let mut tiers: Vec<(String, String)> = Vec::new();
        if text.is_empty() {
            return Ok(Locality::default());
        }
        for tier in text.split(',') {
            let (name, value) = tier.split_once('=').ok_or(invalid("a tier has no ="))?;
            for part in [name, value] {
                let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
                if part.is_empty() || part.len() > LOCALITY_TEXT_BYTES_MAX || !part.chars().all(allowed) {
                    return Err(invalid("names and values are 1 to 64 letters, digits, -, _ or ."));
                }
            }
            if tiers.iter().any(|(known, _)| known == name) {
                return Err(invalid("a tier is named twice"));
            }
            tiers.push((name.to_string(), value.to_string()));
        }
        if tiers.len() > LOCALITY_TIERS_MAX {
            return Err(invalid("it has more than 16 tiers"));
        }
        Ok(Locality(tiers))
    }

    /// Names and values, widest tier first.
    pub fn tiers(&self) -> &[(String, String)] {
        &self.0
    }

    /// The value of a tier.
    pub fn tier(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// How many tiers the two have in common, from the widest on: the higher, the likelier they fail together.
    pub fn shared_tiers(&self, other: &Locality) -> usize {
        self.0.iter().zip(&other.0).take_while(|(ours, theirs)| ours == theirs).count()
    }
}

impl fmt::Display for Locality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (name, value)) in self.0.iter().enumerate() {
            write!(f, "{}{name}={value}", if position == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

/// What a store holds and can hold. Counts are of replicas and leases, sizes in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capacity {
    pub ranges: u64,
    pub leases: u64,
    pub used_bytes: u64,
    /// Zero if that is not known.
    pub available_bytes: u64,
    /// Answered by leaseholders there, per second.
    pub requests_per_second: u64,
    /// Written by replicas there, per second.
    pub written_bytes_per_second: u64,
}

/// Whether a node is meant to hold data. Decided by people, recorded in the keyspace, known from there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    #[default]
    Active = 1,
    /// Its replicas are to move elsewhere; it gets no new ones.
    Decommissioning = 2,
    /// It is gone for good: its id never comes back, and nobody talks to it.
    Decommissioned = 3,
    /// As `Decommissioning`, and what it has may go without another node taking it: people have said that fewer copies are enough.
    Shedding = 4,
}

impl Standing {
    pub fn from_code(code: u8) -> Option<Standing> {
        [Standing::Active, Standing::Decommissioning, Standing::Decommissioned, Standing::Shedding]
            .into_iter()
            .find(|standing| *standing as u8 == code)
    }

    pub fn name(self) -> &'static str {
        match self {
            Standing::Active => "active",
            Standing::Decommissioning | Standing::Shedding => "decommissioning",
            Standing::Decommissioned => "decommissioned",
        }
    }
}

/// A node, as far as it is known here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeInfo {
    pub node: NodeId,
    pub store: StoreId,
    /// Counts the starts of the node on its data folder: tells a restarted process from the one before.
    pub incarnation: u64,
    /// Where it listens, as HOST:PORT. Empty: nowhere.
    pub rpc_address: String,
    pub sql_address: String,
    pub http_address: String,
    pub locality: Locality,
    /// The version of its program, such as 0.1.0: for people.
    pub version: String,
    /// The versions of a cluster that its program knows.
    pub versions: KnownVersions,
    pub capacity: Capacity,
    /// It is about to stop: it gets no new leases and clients.
    pub draining: bool,
    pub standing: Standing,
    /// Time since it was last heard of, directly or through others; zero for the own node.
    pub silence: Duration,
}

impl NodeInfo {
    /// A node of which only the ids are known: for a cluster of one, and for tests.
    pub fn new(node: NodeId, store: StoreId) -> NodeInfo {
        NodeInfo {
            node,
            store,
            incarnation: 1,
            rpc_address: String::new(),
            sql_address: String::new(),
            http_address: String::new(),
            locality: Locality::default(),
            version: String::new(),
            versions: KnownVersions::OURS,
            capacity: Capacity::default(),
            draining: false,
            standing: Standing::Active,
            silence: Duration::ZERO,
        }
    }

    /// Whether new replicas and leases may be put there, if it has not been silent for `silence_max`.
    pub fn takes_replicas(&self, silence_max: Duration) -> bool {
        self.standing == Standing::Active && !self.draining && self.silence < silence_max
    }
}

/// What a node knows of the cluster's nodes, and says of itself. Cheap to ask; never blocks.
pub trait Membership: Send + Sync {
    /// The own node.
    fn own(&self) -> NodeId;

    /// All nodes ever heard of, the own one included, in the order of their ids.
    fn nodes(&self) -> Vec<NodeInfo>;

    fn node(&self, node: NodeId) -> Option<NodeInfo> {
        self.nodes().into_iter().find(|known| known.node == node)
    }

    /// Which node has a store.
    fn node_of(&self, store: StoreId) -> Option<NodeId> {
        self.nodes().into_iter().find(|known| known.store == store).map(|known| known.node)
    }

    /// Changes when anything but silence does: to ask again only if there is news.
    fn revision(&self) -> u64;

    /// What the cluster is at, as far as it is known here: never more than it is, never less than before.
    fn cluster_version(&self) -> ClusterVersion;

    /// Tells the others what the own store holds. Calls with what was said before cost nothing.
    fn publish_capacity(&self, capacity: Capacity);

    /// The newest descriptor of the first range that was heard of: from there every other range is found, on a node that has
    /// no replica of it too.
    fn first_range(&self) -> Option<RangeDescriptor>;

    /// Tells the others where the first range is now. What is older than what they know, by its generation, changes nothing.
    fn publish_first_range(&self, descriptor: &RangeDescriptor);
}

/// A membership that does not change: a cluster of one node, or one that a test made up.
#[derive(Clone, Debug)]
pub struct FixedMembership {
    own: NodeId,
    nodes: Vec<NodeInfo>,
}

impl FixedMembership {
    pub fn alone(node: NodeId, store: StoreId) -> Arc<FixedMembership> {
        FixedMembership::of(node, vec![NodeInfo::new(node, store)])
    }

    pub fn of(own: NodeId, mut nodes: Vec<NodeInfo>) -> Arc<FixedMembership> {
        nodes.sort_by_key(|known| known.node);
        Arc::new(FixedMembership { own, nodes })
    }
}

impl Membership for FixedMembership {
    fn own(&self) -> NodeId {
        self.own
    }

    fn nodes(&self) -> Vec<NodeInfo> {
        self.nodes.clone()
    }

    fn revision(&self) -> u64 {
        0
    }

    /// A cluster that has one program is at the newest that this knows.
    fn cluster_version(&self) -> ClusterVersion {
        KnownVersions::OURS.newest
    }

    fn publish_capacity(&self, _: Capacity) {}

    fn first_range(&self) -> Option<RangeDescriptor> {
        None
    }

    fn publish_first_range(&self, _: &RangeDescriptor) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn localities_are_read_and_compared_from_the_widest_tier() {
        let paris = Locality::parse("region=eu,zone=a").expect("a locality");
        let milan = Locality::parse("region=eu,zone=b").expect("a locality");
        assert_eq!(paris.to_string(), "region=eu,zone=a");
        assert_eq!(paris.tier("zone"), Some("a"));
        assert_eq!(paris.shared_tiers(&milan), 1);
        assert_eq!(paris.shared_tiers(&paris), 2);
        assert_eq!(Locality::parse(""), Ok(Locality::default()));
        for wrong in ["region", "region=", "=eu", "a=1,a=2", "a=1,", "a=b c", "a=ü"] {
            assert!(Locality::parse(wrong).is_err(), "{wrong}");
        }
        let many: Vec<String> = (0..17).map(|tier| format!("t{tier}=x")).collect();
        assert!(Locality::parse(&many.join(",")).is_err());
    }

    #[test]
    fn a_fixed_membership_finds_nodes_by_id_and_store() {
        let nodes = vec![NodeInfo::new(NodeId(2), StoreId(7)), NodeInfo::new(NodeId(1), StoreId(5))];
        let membership = FixedMembership::of(NodeId(1), nodes);
        assert_eq!(membership.node_of(StoreId(7)), Some(NodeId(2)));
        assert_eq!(membership.node(NodeId(1)).map(|known| known.store), Some(StoreId(5)));
        assert_eq!(membership.nodes()[0].node, NodeId(1));
        assert_eq!(membership.node_of(StoreId(1)), None);
    }
}
