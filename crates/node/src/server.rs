//! A node with its listeners: what `meridian start` runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use admin::{Admin, NodeStatus, Readiness};
#[cfg(feature = "rocks")]
use anyhow::Context;
use env::Env;
use futures::FutureExt;
use futures::future::BoxFuture;
use pgserver::{Server, ServerOptions};
use sql::SqlBackend;
#[cfg(feature = "rocks")]
use sql::spill::FileSpill;
use tokio::net::TcpListener;

#[cfg(feature = "rocks")]
use crate::config::{NodeConfig, World};
use crate::metrics;
use crate::start::Node;

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

/// A node and the servers in front of it.
pub struct NodeServer {
    env: Arc<dyn Env>,
    node: Arc<Node>,
    server: Arc<Server>,
    draining: Arc<AtomicBool>,
    drain: Duration,
}

/// Ready unless it drains: a node is started before it listens.
struct Status(Arc<AtomicBool>);

impl NodeStatus for Status {
    fn readiness(&self) -> Readiness {
        if self.0.load(Ordering::Relaxed) { Readiness::NotReady("draining".into()) } else { Readiness::Ready }
    }
}

impl NodeServer {
    /// Opens the data folder and starts the node on it.
    #[cfg(feature = "rocks")]
    pub async fn start(
        env: Arc<dyn Env>,
        config: NodeConfig,
        options: ServeOptions,
    ) -> anyhow::Result<Arc<NodeServer>> {
        let rocks = storage::RocksOptions { cache_bytes: config.cache_bytes, ..Default::default() };
        let folder = config.data_dir.clone();
        let opened = env.lane("open").run(move || storage::RocksEngine::open(&folder, &rocks)).await;
        let engine = opened.with_context(|| format!("data folder {}", config.data_dir.display()))?;
        // Only now: the open engine holds the folder.
        let temporary = config.data_dir.join(TEMPORARY);
        let spill = env.lane("open").run(move || FileSpill::open(temporary)).await;
        let spill = spill.map_err(|error| anyhow::anyhow!("temporary files: {}", error.message()))?;
        let world = World { spill: Arc::new(spill), ..World::alone(env.clone(), Arc::new(engine)) };
        let node = Node::start(&config, world).await?;
        Ok(NodeServer::over(env, Arc::new(node), options))
    }

    /// Puts servers in front of a running node.
    pub fn over(env: Arc<dyn Env>, node: Arc<Node>, options: ServeOptions) -> Arc<NodeServer> {
        let backend = Arc::new(SqlBackend(node.sql.clone()));
        let server = Server::new(env.clone(), backend.clone(), backend, options.server);
        let draining = Arc::new(AtomicBool::new(false));
        Arc::new(NodeServer { env, node, server, draining, drain: options.drain })
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
            () = shutdown => Ok(()),
        };
        self.draining.store(true, Ordering::Relaxed);
        let drained = self.server.drain(self.drain);
        if outcome.is_ok() {
            drained.await;
        }
        serving.abort();
        drop(end_http);
        outcome?;
        self.node.stop().await
    }

    fn start_http(&self, listener: TcpListener, ended: BoxFuture<'static, ()>) {
        let registry = metrics::registry(self.node.clone(), self.server.clone());
        let admin = Admin::new(Arc::new(Status(self.draining.clone())), Arc::new(registry));
        let task = async move {
            if let Err(error) = admin.serve(listener, ended).await {
                tracing::error!(%error, "the HTTP server has ended");
            }
        };
        drop(self.env.spawn("http", Box::pin(task)));
    }
}
