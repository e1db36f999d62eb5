//! What a node is told.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use env::Env;
use replication::{NoTransport, RaftTransport};
use sql::SqlOptions;
use sql::spill::{MemorySpill, SpillStore};
use storage::Engine;

/// Settings of a node.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Folder of the production engine; not looked at by [`crate::Node::start`].
    pub data_dir: PathBuf,
    /// Block cache, in bytes.
    pub cache_bytes: usize,
    /// Memory of all running statements together, in bytes.
    pub sql_memory_bytes: u64,
    /// A range that grows above this is split, in bytes.
    pub range_bytes_max: u64,
    /// Old versions of rows are kept this long.
    pub gc_ttl: Duration,
    /// Largest difference between the clocks of two nodes.
    pub clock_offset_max: Duration,
}

impl Default for NodeConfig {
    fn default() -> Self {
        NodeConfig {
            data_dir: PathBuf::from("meridian-data"),
            cache_bytes: 256 << 20,
            sql_memory_bytes: 2 << 30,
            range_bytes_max: 128 << 20,
            gc_ttl: Duration::from_secs(4 * 3600),
            clock_offset_max: Duration::from_millis(500),
        }
    }
}

impl NodeConfig {
    pub(crate) fn sql_options(&self, world: &World) -> SqlOptions {
        SqlOptions {
            memory_bytes_max: self.sql_memory_bytes,
            spill: Some(world.spill.clone()),
            ..SqlOptions::default()
        }
    }
}

/// What a node stands on: the only place where the real world and a simulated one differ.
#[derive(Clone)]
pub struct World {
    pub env: Arc<dyn Env>,
    pub engine: Arc<dyn Engine>,
    pub transport: Arc<dyn RaftTransport>,
    /// Where statements put what does not fit into their memory.
    pub spill: Arc<dyn SpillStore>,
}

impl World {
    /// A world without other nodes, whose statements spill to memory.
    pub fn alone(env: Arc<dyn Env>, engine: Arc<dyn Engine>) -> World {
        World { env, engine, transport: Arc::new(NoTransport), spill: Arc::new(MemorySpill::default()) }
    }
}
