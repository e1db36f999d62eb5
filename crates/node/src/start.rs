//! Starting and stopping what a node consists of.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clock::Clock;
use kvapi::planted::Bug;
use kvclient::{Db, DbConfig};
use kvserver::StoreConfig;
use replication::{StoreOptions, StoreWorld};
use sql::SqlServer;

use crate::config::{Identity, NodeConfig, World};
use crate::overview::Overview;
use crate::{clock_bound, settings};

/// How long a node waits for the others to tell it the catalog.
const CATALOG_PATIENCE: Duration = Duration::from_secs(120);
const CATALOG_PAUSE: Duration = Duration::from_millis(200);

/// A running node, without listeners.
pub struct Node {
    pub world: World,
    pub clock: Arc<Clock>,
    pub replication: replication::Store,
    pub store: kvserver::Store,
    pub db: Db,
    pub sql: Arc<SqlServer>,
    pub(crate) overview: Arc<Overview>,
}

impl Node {
    /// Starts a node on what the world's engine holds; an empty one becomes a new cluster of one node if
    /// the world says so.
    ///
    /// When it returns, every range is replayed and served, and SQL can be run.
    pub async fn start(config: &NodeConfig, world: World) -> anyhow::Result<Node> {
        let Identity { node, store: own, founds_cluster } = world.identity;
        let clock = match &world.clock {
            Some(clock) => clock.clone(),
            None => {
                if world.membership.nodes().len() > 1 {
                    clock_bound::pass(&world.env, &*world.engine, config).await?;
                }
                let clock = clock_bound::open(&world.env, &world.engine, config)?;
                clock_bound::keep(&world.env, &world.engine, &clock);
                clock
            }
        };
        let store_config = StoreConfig {
            range_bytes_max: config.range_bytes_max,
            range_bytes_min: config.range_bytes_min,
            merges_eagerly: config.merges_eagerly,
            gc_ttl: config.gc_ttl,
            closed_lag: config.closed_lag,
            sweep_interval: config.sweep_interval,
            dead_after: config.dead_after,
            replicate_interval: config.replicate_interval,
            check_interval: config.check_interval,
            planted: config.planted,
            system_end: sql::catalog::store::user_tables_start(),
            ..StoreConfig::new(node, own)
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
                store: own,
                env: world.env.clone(),
                engine: world.engine.clone(),
                machine: store.machine(),
                transport: world.transport.clone(),
            },
            StoreOptions {
                unsynced_here: config.planted.has(Bug::AcknowledgeBeforeSync),
                ..StoreOptions::default()
            },
        )
        .context("the Raft logs cannot be opened")?;
        // A founder may have given away all of its ranges since.
        if founds_cluster && !store.was_used() {
            let first = kvserver::bootstrap::first_ranges(&store_config, clock.now());
            groups.create(&first.ranges, first.contents).context("the first ranges cannot be made")?;
            store.reload().context("the first ranges cannot be read")?;
        }
        let dialer = store.dialer(world.dialer.clone());
        let membership = Some(world.membership.clone());
        store.set_processor(Arc::new(executor::remote::FragmentProcessor));
        store.start(Arc::new(groups.clone()), world.dialer.clone(), membership);
        if let Some(inbound) = &world.inbound {
            inbound.open(groups.clone(), store.clone());
        }
        groups.start();
        groups.settled().await;
        let db_config = DbConfig {
            buffer_bytes_max: config.txn_buffer_bytes_max,
            closed_lag: store_config.closed_lag,
            planted: config.planted,
            ..DbConfig::new(node)
        };
        let db = Db::new(world.env.clone(), clock.clone(), dialer, store.first_range(), db_config);
        db.set_membership(world.membership.clone());
        let sql = start_sql(config, &world, &db).await?;
        settings::follow(&sql, &store, &db, config);
        let overview = Overview::new(store.clone(), world.membership.clone());
        sql.set_surroundings(overview.clone());
        Ok(Node { world, clock, replication: groups, store, db, sql, overview })
    }

    /// Stops in order: background work, then the Raft groups, with everything written.
    pub async fn stop(&self) -> anyhow::Result<()> {
        self.store.stop();
        let stopped = self.replication.stop().await;
        stopped.map_err(|stopped| anyhow::anyhow!("the store had failed: {stopped}"))?;
        let (engine, clock) = (self.world.engine.clone(), self.clock.clone());
        self.world.env.lane("clock-seal").run(move || clock_bound::seal(&*engine, &clock)).await
    }
}

/// Reads the catalog. On a node that waits for others it may be a while until they can be reached.
async fn start_sql(config: &NodeConfig, world: &World, db: &Db) -> anyhow::Result<Arc<SqlServer>> {
    let deadline = world.env.monotonic() + CATALOG_PATIENCE;
    loop {
        let error = match SqlServer::start(world.env.clone(), db.clone(), config.sql_options(world)).await {
            Ok(sql) => return Ok(sql),
            Err(error) => error,
        };
        if world.dialer.is_none() || world.env.monotonic() >= deadline {
            anyhow::bail!("the catalog cannot be read: {}", error.message());
        }
        tracing::debug!(error = error.message(), "the catalog cannot be read yet");
        world.env.sleep(CATALOG_PAUSE).await;
    }
}
