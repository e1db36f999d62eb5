//! `meridian start`: a server until SIGTERM or SIGINT.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use env::RealEnv;
use node::{NodeConfig, NodeServer, ServeOptions};
use pgserver::{AccessPolicy, ServerOptions, TlsIdentity};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::arguments::StartArguments;
use crate::{certificate, logging};

pub fn run(arguments: &StartArguments) -> anyhow::Result<()> {
    logging::init(arguments.log_json, "info");
    if !arguments.join.is_empty() {
        bail!("--join: a node cannot join a cluster yet; start it without --join for a cluster of one node");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime cannot be started")?;
    runtime.block_on(serve(arguments))
}

async fn serve(arguments: &StartArguments) -> anyhow::Result<()> {
    let sql = listen("--listen-sql", &arguments.listen_sql).await?;
    let http = listen("--listen-http", &arguments.listen_http).await?;
    resolve("--listen-rpc", &arguments.listen_rpc).await?;
    let addresses = (sql.local_addr()?, http.local_addr()?);
    let options = ServeOptions {
        server: server_options(arguments, addresses.0)?,
        drain: Duration::from_secs(arguments.drain_seconds),
    };
    let config = NodeConfig {
        data_dir: arguments.data_dir.clone(),
        cache_bytes: arguments.cache_mib << 20,
        sql_memory_bytes: arguments.sql_memory_mib << 20,
        range_bytes_max: arguments.range_size_kib << 10,
        ..NodeConfig::default()
    };
    let env = RealEnv::new();
    let node = NodeServer::start(env, config, options).await.context("the node cannot start")?;
    announce(addresses);
    let stopped = node.serve(sql, http, shutdown_signal()?).await;
    tracing::info!("stopped");
    stopped
}

/// Tells people where to connect, on the standard output: one line for programs to wait for.
fn announce((sql, http): (SocketAddr, SocketAddr)) {
    println!("meridian is ready");
    println!("  url:   postgresql://postgres@{sql}/postgres");
    println!("  psql:  psql -h {} -p {} -U postgres postgres", sql.ip(), sql.port());
    println!("  http:  http://{http}/metrics");
}

async fn resolve(flag: &str, address: &str) -> anyhow::Result<SocketAddr> {
    let mut found = tokio::net::lookup_host(address)
        .await
        .with_context(|| format!("{flag} {address}: not an address of the form HOST:PORT"))?;
    found.next().with_context(|| format!("{flag} {address}: the host has no address"))
}

async fn listen(flag: &str, address: &str) -> anyhow::Result<TcpListener> {
    let resolved = resolve(flag, address).await?;
    TcpListener::bind(resolved).await.with_context(|| {
        format!("{flag} {address}: cannot listen there (is another process using the port?)")
    })
}

fn server_options(arguments: &StartArguments, sql: SocketAddr) -> anyhow::Result<ServerOptions> {
    let tls = match (&arguments.tls_cert, &arguments.tls_key) {
        (Some(certificate), Some(key)) => {
            Some(TlsIdentity::from_files(certificate, key).context("--tls-cert, --tls-key: cannot be used")?)
        }
        _ if sql.ip().is_loopback() || arguments.insecure => None,
        _ => Some(certificate::self_signed(&sql.ip().to_string())?),
    };
    Ok(ServerOptions {
        connections_max: arguments.connections_max,
        access: if arguments.insecure { AccessPolicy::INSECURE } else { AccessPolicy::default() },
        tls,
        ..ServerOptions::default()
    })
}

/// Completes at SIGTERM or SIGINT.
fn shutdown_signal() -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be handled")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be handled")?;
    Ok(async move {
        tokio::select! {
            biased;
            _ = terminate.recv() => tracing::info!("SIGTERM: draining"),
            _ = interrupt.recv() => tracing::info!("SIGINT: draining"),
        }
    })
}

/// The demo's server: loopback, any free port.
pub async fn start_demo(
    data_dir: std::path::PathBuf,
) -> anyhow::Result<(Arc<NodeServer>, TcpListener, TcpListener)> {
    let sql = listen("sql", "127.0.0.1:0").await?;
    let http = listen("http", "127.0.0.1:0").await?;
    let config = NodeConfig { data_dir, cache_bytes: 64 << 20, ..NodeConfig::default() };
    let options = ServeOptions { server: ServerOptions::default(), drain: Duration::from_secs(1) };
    let node = NodeServer::start(RealEnv::new(), config, options).await.context("the node cannot start")?;
    Ok((node, sql, http))
}
