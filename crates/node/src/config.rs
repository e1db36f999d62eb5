//! What a node is told.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clock::Clock;
use env::Env;
use kvapi::membership::{FixedMembership, Membership};
use kvapi::planted::Planted;
use kvapi::{NodeDialer, NodeId, StoreId};
use replication::{NoTransport, RaftTransport};
use sql::SqlOptions;
use sql::spill::{MemorySpill, SpillStore};
use storage::Engine;

use crate::settings;

/// Settings of a node.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Folder of the production engine; not looked at by [`crate::Node::start`].
    pub data_dir: PathBuf,
    /// Block cache, in bytes.
    pub cache_bytes: usize,
    /// Connections of clients that are served at a time: what `max_connections` shows.
    pub connections_max: usize,
    /// Memory of all running statements together, in bytes.
    pub sql_memory_bytes: u64,
    /// A range that grows above this is split, in bytes.
    pub range_bytes_max: u64,
    /// A range that is smaller than this is merged with a neighbour if that is small as well, in bytes.
    pub range_bytes_min: u64,
    /// Neighbours are merged at first sight: for simulations.
    pub merges_eagerly: bool,
    /// Old versions of rows are kept this long.
    pub gc_ttl: Duration,
    /// Timestamps are closed so far behind now: older reads are answered by every replica.
    pub closed_lag: Duration,
    /// Largest difference between the clocks of two nodes.
    pub clock_offset_max: Duration,
    /// A node that was silent for this long is taken for dead: what it held is replicated elsewhere.
    pub dead_after: Duration,
    /// How often ranges are looked at for being replicated as they should.
    pub replicate_interval: Duration,
    /// In this time all replicas of every range are compared once. Zero: never.
    pub check_interval: Duration,
    /// How often ranges are looked through for garbage, abandoned locks and the like.
    pub sweep_interval: Duration,
    /// Bytes that a transaction buffers before it writes them to its ranges, uncommitted.
    pub txn_buffer_bytes_max: usize,
    /// Safeguards that a simulation has taken away.
    pub planted: Planted,
}

impl Default for NodeConfig {
    fn default() -> Self {
        NodeConfig {
            data_dir: PathBuf::from("meridian-data"),
            cache_bytes: 256 << 20,
            connections_max: 1_000,
            sql_memory_bytes: 2 << 30,
            range_bytes_max: 128 << 20,
            range_bytes_min: 16 << 20,
            merges_eagerly: false,
            gc_ttl: Duration::from_secs(4 * 3600),
            closed_lag: kvapi::CLOSED_LAG,
            clock_offset_max: Duration::from_millis(500),
            dead_after: Duration::from_secs(300),
            replicate_interval: Duration::from_secs(1),
            check_interval: Duration::from_secs(24 * 3600),
            sweep_interval: Duration::from_secs(30),
            txn_buffer_bytes_max: 4 << 20,
            planted: Planted::NONE,
        }
    }
}

impl NodeConfig {
    pub(crate) fn sql_options(&self, world: &World) -> SqlOptions {
        SqlOptions {
            node_id: world.identity.node.0,
            connections_max: self.connections_max,
            memory_bytes_max: self.sql_memory_bytes,
            gc_ttl: self.gc_ttl,
            setting_defaults: settings::defaults(self),
            spill: Some(world.spill.clone()),
            others: world.dialer.as_ref().map(|_| {
                let membership = world.membership.clone();
                Arc::new(move || membership.nodes().len() > 1) as Arc<dyn Fn() -> bool + Send + Sync>
            }),
            ..SqlOptions::default()
        }
    }
}

/// Who a node is, and whether it may found a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    pub node: NodeId,
    pub store: StoreId,
    /// An empty store becomes a new cluster. Without it, it waits for replicas from others.
    pub founds_cluster: bool,
}

impl Identity {
    /// The first node of a cluster.
    pub const FOUNDER: Identity = Identity { node: NodeId(1), store: StoreId(1), founds_cluster: true };
}

/// What a node stands on: the only place where the real world and a simulated one differ.
#[derive(Clone)]
pub struct World {
    pub env: Arc<dyn Env>,
    pub engine: Arc<dyn Engine>,
    pub identity: Identity,
    /// Who else there is.
    pub membership: Arc<dyn Membership>,
    /// Carries what replicas say to each other. What arrives goes to the node's `replication` store.
    pub transport: Arc<dyn RaftTransport>,
    /// Where statements put what does not fit into their memory.
    pub spill: Arc<dyn SpillStore>,
    /// Finds the other nodes; the own one is found without it. `None`: there are none.
    pub dialer: Option<Arc<dyn NodeDialer>>,
    /// Told, before the node has started, what takes in what others send. `None`: there are none.
    pub inbound: Option<Arc<dyn Inbound>>,
    /// The node's clock, kept within its bound by whoever made it. `None`: it is made from what the engine holds.
    pub clock: Option<Arc<Clock>>,
}

/// Where what other nodes send comes in.
pub trait Inbound: Send + Sync {
    /// From now on messages between replicas go to `groups`, and batches to `store`. The node may need answers from others
    /// to start, and they from it.
    fn open(&self, groups: replication::Store, store: kvserver::Store);
}

impl World {
    /// A world without other nodes, whose statements spill to memory.
    pub fn alone(env: Arc<dyn Env>, engine: Arc<dyn Engine>) -> World {
        let identity = Identity::FOUNDER;
        let membership = FixedMembership::alone(identity.node, identity.store);
        World {
            env,
            engine,
            identity,
            membership,
            transport: Arc::new(NoTransport),
            dialer: None,
            inbound: None,
            spill: Arc::new(MemorySpill::default()),
            clock: None,
        }
    }
}
