//! A node with its listeners: what `meridian start` runs.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use admin::{Admin, NodeStatus, Readiness};
#[cfg(feature = "rocks")]
use anyhow::Context;
use env::Env;
use futures::FutureExt;
use futures::future::BoxFuture;
#[cfg(feature = "rocks")]
use kvapi::Disposition;
use pgserver::{Server, ServerOptions};
use rpc::Network;
#[cfg(feature = "rocks")]
use rpc::{NetworkConfig, Services};
use sql::SqlBackend;
#[cfg(feature = "rocks")]
use sql::spill::FileSpill;
use storage::Engine;
use tokio::net::TcpListener;

#[cfg(feature = "rocks")]
use crate::config::{Identity, Inbound, NodeConfig, World};
use crate::drain::Drain;
use crate::metrics;
use crate::start::Node;
#[cfg(feature = "rocks")]
use crate::steward::ClusterSteward;
#[cfg(feature = "rocks")]
use crate::upgrade::Upgrades;
#[cfg(feature = "rocks")]
use crate::{clock_bound, identity, join, settings, steward};

/// The folder within the data folder that temporary files go to.
#[cfg(feature = "rocks")]
const TEMPORARY: &str = "temporary";

/// How a node serves.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    pub server: ServerOptions,
    /// How long running statements may take to end at shutdown.
    pub drain: Duration,
}

/// How a node finds others, and is found.
#[cfg(feature = "rocks")]
pub struct ClusterOptions {
    /// Where other nodes connect.
    pub listener: TcpListener,
    /// Addresses as others reach them, credentials, locality.
    pub network: NetworkConfig,
    /// RPC addresses of nodes whose cluster is to be joined, when the data folder is empty. None: a new cluster.
    pub join: Vec<String>,
}

/// A node and the servers in front of it.
pub struct NodeServer {
    env: Arc<dyn Env>,
    node: Arc<Node>,
    server: Arc<Server>,
    /// `None`: the node stands alone, and nobody can reach it.
    network: Option<Network>,
    drain: Arc<Drain>,
    /// How long sessions may take to end at shutdown.
    grace: Duration,
}

/// Ready unless it drains: a node is started before it listens.
struct Status(Arc<Drain>);

impl NodeStatus for Status {
    fn readiness(&self) -> Readiness {
        if self.0.is_draining() { Readiness::NotReady("draining".into()) } else { Readiness::Ready }
    }
}

/// What others send goes to the node's store and groups.
#[cfg(feature = "rocks")]
struct NetworkInbound(Network);

#[cfg(feature = "rocks")]
impl Inbound for NetworkInbound {
    fn open(&self, groups: replication::Store, store: kvserver::Store) {
        self.0.attach(Services { batches: Arc::new(store), raft: groups });
    }
}

/// Process ids of one node: a client of another node never has the same. (Ids of nodes 2048 apart share them.)
const PROCESS_IDS_PER_NODE: u32 = 1 << 20;

fn process_ids(node: keys::NodeId) -> Range<u32> {
    let start = (node.0 & 0x7ff) * PROCESS_IDS_PER_NODE;
    start + 1..start + PROCESS_IDS_PER_NODE
}

impl NodeServer {
    /// Opens the data folder and starts the node on it. With an empty folder and others to join it waits until there is a
    /// cluster to be in.
    #[cfg(feature = "rocks")]
    pub async fn start(
        env: Arc<dyn Env>,
        config: NodeConfig,
        options: ServeOptions,
        cluster: ClusterOptions,
    ) -> anyhow::Result<Arc<NodeServer>> {
        let engine = open_folder(&env, &config).await?;
        // Only now: the open engine holds the folder.
        let temporary = config.data_dir.join(TEMPORARY);
        let disk = engine.clone();
        let open = move || FileSpill::open(temporary, Arc::new(move || disk.free_bytes()));
        let spill = env.lane("open").run(open).await;
        let spill = spill.map_err(|error| anyhow::anyhow!("temporary files: {}", error.message()))?;
        if Network::remembers_others(&identity::read_peers(&*engine)?) {
            clock_bound::pass(&env, &*engine, &config).await?;
        }
        let mut cluster = cluster;
        // As it was left: opening the clock raises it.
        cluster.network.bound_found = clock_bound::found(&*engine, &config)?;
        let clock = clock_bound::open(&env, &engine, &config)?;
        // Ahead of the first use of the clock by others, and for as long as it takes to join.
        clock_bound::keep(&env, &engine, &clock);
        let own_address = cluster.network.addresses.rpc.clone();
        let network = Network::new(env.clone(), clock.clone(), cluster.network);
        network.serve(cluster.listener);
        let stored = join::settle(&env, &engine, &network, &cluster.join, &own_address).await?;
        network.become_member(stored.identity, &identity::read_peers(&*engine)?);
        vouch_when_welcomed(&env, &engine, &network);
        let founds_cluster = stored.is_founder && !identity::is_bootstrapped(&*engine)?;
        let world = World {
            identity: Identity { node: stored.identity.node, store: stored.identity.store, founds_cluster },
            membership: network.membership(),
            transport: network.transport(),
            dialer: Some(network.dialer()),
            inbound: Some(Arc::new(NetworkInbound(network.clone()))),
            clock: Some(clock),
            spill: Arc::new(spill),
            ..World::alone(env.clone(), engine.clone())
        };
        let node = unless_fatal(&env, &engine, &network, Node::start(&config, world)).await?;
        if founds_cluster {
            identity::set_bootstrapped(&*engine)?;
        }
        let drain = Drain::new(Some(network.clone()), node.store.clone());
        let steward = ClusterSteward::new(env.clone(), &node, network.clone(), drain.clone());
        let upgrades = Upgrades::new(&node.db, &network);
        let entering = enter_cluster(&env, &upgrades, founds_cluster);
        unless_fatal(&env, &engine, &network, entering).await?;
        steward::keep_looking(&env, &node.db, &network, &steward, upgrades.clone());
        network.set_steward(steward);
        remember_peers(&env, &engine, &network);
        settings::follow_rates(&node.sql, &network);
        node.overview.connect(&network, &node.sql, upgrades);
        Ok(NodeServer::with(env, Arc::new(node), options, Some(network), drain))
    }

    /// Puts servers in front of a running node that stands alone.
    pub fn over(env: Arc<dyn Env>, node: Arc<Node>, options: ServeOptions) -> Arc<NodeServer> {
        let drain = Drain::new(None, node.store.clone());
        NodeServer::with(env, node, options, None, drain)
    }

    fn with(
        env: Arc<dyn Env>,
        node: Arc<Node>,
        options: ServeOptions,
        network: Option<Network>,
        drain: Arc<Drain>,
    ) -> Arc<NodeServer> {
        let backend = Arc::new(SqlBackend(node.sql.clone()));
        let process_ids = process_ids(node.world.identity.node);
        let server = ServerOptions { process_ids, ..options.server };
        let server = Server::new(env.clone(), backend.clone(), backend, server);
        Arc::new(NodeServer { env, node, server, network, drain, grace: options.drain })
    }

    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Serves until `shutdown` completes, then drains and stops. An error means that the store failed: the process should
    /// end, and a new one will find everything that was acknowledged.
    pub async fn serve(
        self: &Arc<Self>,
        sql: TcpListener,
        http: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> anyhow::Result<()> {
        let serving = self.env.spawn("sql-listener", Box::pin(self.server.clone().serve(sql)));
        let (end_http, http_ended) = futures::channel::oneshot::channel::<()>();
        self.start_http(http, Box::pin(http_ended.map(|_| ())));
        let failure = self.node.replication.failure();
        let outcome = tokio::select! {
            biased;
            stopped = failure => Err(anyhow::anyhow!("the store has failed: {stopped}")),
            reason = self.fatal() => {
                #[cfg(feature = "rocks")]
                if let Some(network) = &self.network {
                    keep_suspect(&self.env, &self.node.world.engine, network).await;
                }
                Err(anyhow::anyhow!(reason))
            }
            () = shutdown => Ok(()),
        };
        if outcome.is_ok() {
            if let Err(refusal) = self.drain.set(true).await {
                tracing::warn!(%refusal, "not all leases could be handed over");
            }
            self.server.drain(self.grace).await;
        }
        serving.abort();
        drop(end_http);
        if let Some(network) = &self.network {
            network.stop();
        }
        outcome?;
        self.node.stop().await
    }

    /// Completes with why this node must leave its cluster, if it must.
    async fn fatal(&self) -> String {
        match &self.network {
            Some(network) => network.fatal().await,
            None => std::future::pending().await,
        }
    }

    fn start_http(&self, listener: TcpListener, ended: BoxFuture<'static, ()>) {
        let registry = metrics::registry(self.node.clone(), self.server.clone(), self.network.as_ref());
        let registry = Arc::new(registry);
        self.node.overview.set_registry(&registry);
        let admin = Admin::new(Arc::new(Status(self.drain.clone())), registry);
        let task = async move {
            if let Err(error) = admin.serve(listener, ended).await {
                tracing::error!(%error, "the HTTP server has ended");
            }
        };
        drop(self.env.spawn("http", Box::pin(task)));
    }
}

/// Opens the engine, or says in words why it cannot be opened.
#[cfg(feature = "rocks")]
async fn open_folder(env: &Arc<dyn Env>, config: &NodeConfig) -> anyhow::Result<Arc<dyn Engine>> {
    let rocks = storage::RocksOptions { cache_bytes: config.cache_bytes, ..Default::default() };
    let folder = config.data_dir.clone();
    let opened = env.lane("open").run(move || storage::RocksEngine::open(&folder, &rocks)).await;
    let engine = opened.with_context(|| format!("data folder {}", config.data_dir.display()))?;
    Ok(Arc::new(engine))
}

/// What a start waits for, unless it turns out before that the node must end.
#[cfg(feature = "rocks")]
async fn unless_fatal<T>(
    env: &Arc<dyn Env>,
    engine: &Arc<dyn Engine>,
    network: &Network,
    awaited: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    tokio::select! {
        biased;
        reason = network.fatal() => {
            keep_suspect(env, engine, network).await;
            anyhow::bail!(reason)
        }
        done = awaited => done,
    }
}

/// Another node has refused this one because of its folder: the next process on it is to be judged as this one was.
#[cfg(feature = "rocks")]
async fn keep_suspect(env: &Arc<dyn Env>, engine: &Arc<dyn Engine>, network: &Network) {
    let Some(found) = network.refused_with_bound() else { return };
    let engine = engine.clone();
    let kept = env.lane("bound-found").run(move || clock_bound::suspect(&*engine, found)).await;
    if let Err(error) = kept {
        tracing::error!(error = %format!("{error:#}"), "that the data folder is old cannot be kept");
    }
}

/// Once another node has welcomed this process what it does counts: the bound on disk first, then its clock may be told.
#[cfg(feature = "rocks")]
fn vouch_when_welcomed(env: &Arc<dyn Env>, engine: &Arc<dyn Engine>, network: &Network) {
    let (lane, network, engine) = (env.lane("bound-found"), network.clone(), Arc::downgrade(engine));
    let task = async move {
        network.welcomed().await;
        let Some(engine) = engine.upgrade() else { return };
        match lane.run(move || clock_bound::vouch(&*engine)).await {
            Ok(()) => network.tell_clock(),
            Err(error) => tracing::warn!(error = %format!("{error:#}"), "this node does not tell its clock"),
        }
    };
    drop(env.spawn("bound-found", Box::pin(task)));
}

/// How long a start waits until it can be read what the cluster is at.
#[cfg(feature = "rocks")]
const VERSION_PATIENCE: Duration = Duration::from_secs(120);
#[cfg(feature = "rocks")]
const VERSION_PAUSE: Duration = Duration::from_millis(200);

/// Before clients are served: whether this program knows what the cluster is at.
///
/// Errors: it does not, or nobody can tell; the node cannot go on.
#[cfg(feature = "rocks")]
async fn enter_cluster(env: &Arc<dyn Env>, upgrades: &Upgrades, founds_cluster: bool) -> anyhow::Result<()> {
    let deadline = env.monotonic() + VERSION_PATIENCE;
    loop {
        match upgrades.enter(founds_cluster).await {
            Ok(None) => return Ok(()),
            Ok(Some(objection)) => anyhow::bail!(objection),
            Err(error) if error.disposition() == Disposition::Fail || env.monotonic() >= deadline => {
                anyhow::bail!("what version the cluster is at cannot be read: {error}")
            }
            Err(error) => tracing::debug!(%error, "what version the cluster is at cannot be read yet"),
        }
        env.sleep(VERSION_PAUSE).await;
    }
}

/// How often what is known of other nodes is written down, if it has changed.
#[cfg(feature = "rocks")]
const REMEMBER_INTERVAL: Duration = Duration::from_secs(5);

/// Keeps what is known of other nodes on disk, so that a restart finds them without being told. Until the engine is gone.
#[cfg(feature = "rocks")]
fn remember_peers(env: &Arc<dyn Env>, engine: &Arc<dyn Engine>, network: &Network) {
    let (timer, lane, network) = (env.clone(), env.lane("remember-peers"), network.clone());
    let engine = Arc::downgrade(engine);
    let task = async move {
        let mut written = Vec::new();
        loop {
            let Some(engine) = engine.upgrade() else { return };
            let peers = network.to_remember();
            if peers != written {
                written = peers.clone();
                if let Err(error) = lane.run(move || identity::write_peers(&*engine, &peers)).await {
                    tracing::warn!(error = %format!("{error:#}"), "the addresses of nodes cannot be written");
                }
            } else {
                drop(engine);
            }
            timer.sleep(REMEMBER_INTERVAL).await;
        }
    };
    drop(env.spawn("remember-peers", Box::pin(task)));
}
