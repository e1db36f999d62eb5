//! `meridian start`: a server until SIGTERM or SIGINT.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use env::{Env, RealEnv};
use kvapi::{KnownVersions, Locality};
use node::{ClusterOptions, NodeConfig, NodeServer, ServeOptions};
use pgserver::{AccessPolicy, ServerOptions, TlsIdentity};
use rpc::{Addresses, Credentials, NetworkConfig};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::arguments::StartArguments;
use crate::{certificate, logging};

pub fn run(arguments: &StartArguments) -> anyhow::Result<()> {
    logging::init(arguments.log_json, "info");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime cannot be started")?;
    runtime.block_on(serve(arguments))
}

async fn serve(arguments: &StartArguments) -> anyhow::Result<()> {
    let env: Arc<dyn Env> = RealEnv::new();
    // Asked for before anything takes long: a node that waits for others can be told to stop.
    let mut shutdown = Box::pin(shutdown_signal()?);
    let sql = listen("--listen-sql", &arguments.listen_sql).await?;
    let http = listen("--listen-http", &arguments.listen_http).await?;
    let cluster = cluster_options(arguments, &env, (sql.local_addr()?, http.local_addr()?)).await?;
    let addresses = (sql.local_addr()?, http.local_addr()?);
    let rpc = cluster.network.addresses.rpc.clone();
    let options = ServeOptions {
        server: server_options(arguments, addresses.0)?,
        drain: Duration::from_secs(arguments.drain_seconds),
    };
    let config = NodeConfig {
        data_dir: arguments.data_dir.clone(),
        cache_bytes: arguments.cache_mib << 20,
        connections_max: arguments.connections_max,
        sql_memory_bytes: arguments.sql_memory_mib << 20,
        range_bytes_max: arguments.range_size_kib << 10,
        ..NodeConfig::default()
    };
    let starting = NodeServer::start(env, config, options, cluster);
    let node = tokio::select! {
        biased;
        () = &mut shutdown => {
            tracing::info!("stopped before the node had started");
            return Ok(());
        }
        node = starting => node.context("the node cannot start")?,
    };
    announce(addresses, &rpc);
    let stopped = node.serve(sql, http, shutdown).await;
    tracing::info!("stopped");
    stopped
}

/// How the node finds others: its RPC listener, addresses and certificates.
async fn cluster_options(
    arguments: &StartArguments,
    env: &Arc<dyn Env>,
    (sql, http): (SocketAddr, SocketAddr),
) -> anyhow::Result<ClusterOptions> {
    let resolved = resolve("--listen-rpc", &arguments.listen_rpc).await?;
    if !resolved.ip().is_loopback() && arguments.certs_dir.is_none() && !arguments.insecure {
        bail!(
            "--listen-rpc {}: without certificates nodes listen on loopback only; make some (meridian cert) and pass --certs-dir, \
             or pass --insecure if nobody else can reach this network",
            arguments.listen_rpc
        );
    }
    let credentials = match &arguments.certs_dir {
        Some(folder) => Some(Credentials::of_node(folder, env).context("--certs-dir")?),
        None => None,
    };
    let listener = listen("--listen-rpc", &arguments.listen_rpc).await?;
    let rpc = listener.local_addr()?;
    let addresses = Addresses {
        rpc: advertised("--listen-rpc", "--advertise-rpc", &arguments.advertise_rpc, rpc)?,
        sql: arguments.advertise_sql.clone().unwrap_or_else(|| sql.to_string()),
        http: http.to_string(),
    };
    for address in &arguments.join {
        if !is_address(address) {
            bail!(
                "--join {address}: not an address of the form HOST:PORT (the RPC address of a node, port 5434 unless told otherwise)"
            );
        }
    }
    let network = NetworkConfig {
        credentials,
        locality: Locality::parse(&arguments.locality).context("--locality")?,
        seeds: arguments.join.clone(),
        cluster_versions: match &arguments.pretend_versions {
            Some(text) => KnownVersions::parse(text).context("--pretend-versions")?,
            None => KnownVersions::OURS,
        },
        ..NetworkConfig::new(addresses, env!("CARGO_PKG_VERSION"))
    };
    Ok(ClusterOptions { listener, network, join: arguments.join.clone() })
}

/// HOST:PORT, where a host with colons stands in brackets. Whether there is such a host is another matter.
fn is_address(address: &str) -> bool {
    let Some((host, port)) = address.rsplit_once(':') else { return false };
    let is_bracketed = host.starts_with('[') && host.ends_with(']');
    let is_host =
        !host.is_empty() && !host.contains(char::is_whitespace) && (is_bracketed || !host.contains(':'));
    is_host && port.parse::<u16>().is_ok_and(|port| port != 0)
}

fn advertised(
    listen: &str,
    advertise: &str,
    told: &Option<String>,
    listened: SocketAddr,
) -> anyhow::Result<String> {
    match told {
        Some(address) if is_address(address) => Ok(address.clone()),
        Some(address) => bail!("{advertise} {address}: not an address of the form HOST:PORT"),
        None if listened.ip().is_unspecified() => {
            bail!(
                "{listen} {listened}: say under which address others reach this node ({advertise} HOST:PORT)"
            )
        }
        None => Ok(listened.to_string()),
    }
}

/// Tells people where to connect, on the standard output: one line for programs to wait for.
fn announce((sql, http): (SocketAddr, SocketAddr), rpc: &str) {
    println!("meridian is ready");
    println!("  url:   postgresql://postgres@{sql}/postgres");
    println!("  psql:  psql -h {} -p {} -U postgres postgres", sql.ip(), sql.port());
    println!("  http:  http://{http}/metrics");
    println!("  join:  meridian start --join {rpc} ...");
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
        _ if arguments.certs_dir.is_some() => {
            let folder = arguments.certs_dir.as_deref().unwrap_or(std::path::Path::new("."));
            let (certificate, key) = (folder.join("node.crt"), folder.join("node.key"));
            Some(
                TlsIdentity::from_files(&certificate, &key)
                    .context("--certs-dir: cannot be used for clients")?,
            )
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
    let listener = listen("rpc", "127.0.0.1:0").await?;
    let addresses = Addresses { rpc: listener.local_addr()?.to_string(), ..Addresses::default() };
    let network = NetworkConfig::new(addresses, env!("CARGO_PKG_VERSION"));
    let cluster = ClusterOptions { listener, network, join: Vec::new() };
    let started = NodeServer::start(RealEnv::new(), config, options, cluster).await;
    let node = started.context("the node cannot start")?;
    Ok((node, sql, http))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_and_a_port() {
        for sound in ["db1:5434", "127.0.0.1:1", "[::1]:65535"] {
            assert!(is_address(sound), "{sound}");
        }
        for wrong in ["127.0.0.1", "db1:", ":5434", "db1:65536", "db1:0", "::1:5434", "a b:1", "db1:x", ""] {
            assert!(!is_address(wrong), "{wrong}");
        }
    }
}
