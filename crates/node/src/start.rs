//! Starting and stopping what a node consists of.

use std::sync::Arc;

use anyhow::Context;
use clock::Clock;
use kvclient::{Db, DbConfig};
use kvserver::StoreConfig;
use replication::{StoreOptions, StoreWorld};
use sql::SqlServer;

use crate::clock_bound;
use crate::config::{NodeConfig, World};

/// The identity of the only node there is so far.
const NODE: kvapi::NodeId = kvapi::NodeId(1);
const STORE: keys::StoreId = keys::StoreId(1);

/// A running node, without listeners.
pub struct Node {
    pub world: World,
    pub clock: Arc<Clock>,
    pub replication: replication::Store,
    pub store: kvserver::Store,
    pub db: Db,
    pub sql: Arc<SqlServer>,
}

impl Node {
    /// Starts a node on what the world's engine holds; an empty one becomes a new cluster of one node.
    ///
    /// When it returns, every range is replayed and served, and SQL can be run.
    pub async fn start(config: &NodeConfig, world: World) -> anyhow::Result<Node> {
        let clock = clock_bound::open(&world.env, &world.engine, config.clock_offset_max)?;
        let store_config = StoreConfig {
            range_bytes_max: config.range_bytes_max,
            gc_ttl: config.gc_ttl,
            ..StoreConfig::new(NODE, STORE)
        };
        let store = kvserver::Store::open(
            world.env.clone(),
            clock.clone(),
            world.engine.clone(),
            store_config.clone(),
        )
        .context("the ranges cannot be read")?;
        let groups = replication::Store::open(
            StoreWorld {
                store: STORE,
                env: world.env.clone(),
                engine: world.engine.clone(),
                machine: store.machine(),
                transport: world.transport.clone(),
            },
            StoreOptions::default(),
        )
        .context("the Raft logs cannot be opened")?;
        if groups.ranges().is_empty() {
            let first = kvserver::bootstrap::first_ranges(&store_config, clock.now());
            groups.create(&first.ranges, first.contents).context("the first ranges cannot be made")?;
            store.reload().context("the first ranges cannot be read")?;
        }
        store.start(Arc::new(groups.clone()), None);
        groups.start();
        groups.settled().await;
        clock_bound::keep(&world.env, &world.engine, &clock);
        let db = Db::new(
            world.env.clone(),
            clock.clone(),
            store.dialer(),
            store.first_range(),
            DbConfig::new(NODE),
        );
        let sql = SqlServer::start(world.env.clone(), db.clone(), config.sql_options(&world))
            .await
            .map_err(|error| anyhow::anyhow!("the catalog cannot be read: {}", error.message()))?;
        Ok(Node { world, clock, replication: groups, store, db, sql })
    }

    /// Stops in order: background work, then the Raft groups, with everything written.
    pub async fn stop(&self) -> anyhow::Result<()> {
        self.store.stop();
        self.replication.stop().await.map_err(|stopped| anyhow::anyhow!("the store had failed: {stopped}"))
    }
}
