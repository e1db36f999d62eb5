//! `meridian init` and `meridian node`: what people ask of a cluster, over RPC.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use env::{Env, RealEnv};
use kvapi::{NodeId, RangeId, Standing};
use rpc::{CheckedRange, Credentials, NodeStatus, OPERATOR_NAME, OperatorClient, RefusalReason};
use stdx::HumanSize;

use crate::arguments::{DebugCommand, NodeCommand, OperatorArguments};

/// A node that was silent for longer is shown as dead.
const SILENCE_SHOWN: Duration = Duration::from_secs(5);
/// How often it is tried to complete a decommissioning.
const DECOMMISSION_INTERVAL: Duration = Duration::from_millis(500);
/// How often and how long apart a range that cannot be checked now is asked for again.
const CHECK_TRIES: u32 = 20;
const CHECK_PAUSE: Duration = Duration::from_millis(500);

/// Runs a command's future to its end.
pub fn on_runtime<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime cannot be started")?;
    runtime.block_on(future)
}

/// Connects to a node as the superuser.
pub async fn connect(env: &Arc<dyn Env>, arguments: &OperatorArguments) -> anyhow::Result<OperatorClient> {
    let credentials = match &arguments.certs_dir {
        Some(folder) => Some(Credentials::of_user(folder, OPERATOR_NAME, env).context("--certs-dir")?),
        None => None,
    };
    let version = env!("CARGO_PKG_VERSION");
    Ok(OperatorClient::connect(env, &arguments.rpc, credentials.as_ref(), version).await?)
}

pub fn init(arguments: &OperatorArguments) -> anyhow::Result<()> {
    on_runtime(async {
        let env: Arc<dyn Env> = RealEnv::new();
        let cluster = connect(&env, arguments).await?.initialise().await?;
        println!("cluster {cluster} begins at {}", arguments.rpc);
        Ok(())
    })
}

pub fn node(command: &NodeCommand) -> anyhow::Result<()> {
    on_runtime(async {
        let env: Arc<dyn Env> = RealEnv::new();
        match command {
            NodeCommand::Ls(operator) => list(&env, operator, list_row, &LIST_TITLES).await,
            NodeCommand::Status(operator) => list(&env, operator, status_row, &STATUS_TITLES).await,
            NodeCommand::Drain { node, cancel, operator } => {
                let client = connect(&env, operator).await?;
                let node =
                    node.map(NodeId).or(client.node()).context("the node belongs to no cluster yet")?;
                client.drain(Some(node), !cancel).await?;
                println!("node {node} {}", if *cancel { "is back to normal" } else { "is drained" });
                Ok(())
            }
            NodeCommand::Decommission { nodes, cancel, no_wait, force, operator } => {
                let nodes: Vec<NodeId> = nodes.iter().copied().map(NodeId).collect();
                let client = connect(&env, operator).await?;
                let begin = match (cancel, force) {
                    (true, _) => Standing::Active,
                    (false, true) => Standing::Shedding,
                    (false, false) => Standing::Decommissioning,
                };
                decommission(&env, &client, &nodes, begin, *no_wait).await
            }
        }
    })
}

pub fn debug(command: &DebugCommand) -> anyhow::Result<()> {
    let DebugCommand::CheckReplicas { range, operator } = command;
    on_runtime(async {
        let env: Arc<dyn Env> = RealEnv::new();
        let client = connect(&env, operator).await?;
        let (mut checked, mut bad) = (0, 0);
        let mut key = Vec::new();
        loop {
            let found = check_patiently(&env, &client, range.map(RangeId), &key).await?;
            checked += 1;
            if found.outcome != kvapi::CheckOutcome::Same.name() {
                bad += 1;
            }
            if bad > 0 && found.outcome != kvapi::CheckOutcome::Same.name() || range.is_some() {
                println!("range {} at log index {}: {}", found.range, found.index, found.outcome);
                for (node, standing) in &found.replicas {
                    println!("  node {node}: {standing}");
                }
            }
            key = found.end_key;
            if range.is_some() || key[..] >= kvapi::Key::MAX[..] {
                break;
            }
        }
        println!("{checked} ranges checked, {} of them with the same on all replicas", checked - bad);
        if bad > 0 {
            bail!("not all replicas are known to hold the same");
        }
        Ok(())
    })
}

/// A range that is being moved or checked already is asked again for a while.
async fn check_patiently(
    env: &Arc<dyn Env>,
    client: &OperatorClient,
    range: Option<RangeId>,
    key: &[u8],
) -> anyhow::Result<CheckedRange> {
    for _ in 0..CHECK_TRIES {
        match client.check_range(range, key).await {
            Err(refusal) if refusal.reason == RefusalReason::Unavailable => env.sleep(CHECK_PAUSE).await,
            outcome => return Ok(outcome?),
        }
    }
    Ok(client.check_range(range, key).await?)
}

async fn decommission(
    env: &Arc<dyn Env>,
    client: &OperatorClient,
    nodes: &[NodeId],
    begin: Standing,
    no_wait: bool,
) -> anyhow::Result<()> {
    let names = nodes.iter().map(NodeId::to_string).collect::<Vec<_>>().join(", ");
    client.set_standing(nodes, begin).await?;
    println!("node {names}: {}", begin.name());
    if no_wait || begin == Standing::Active {
        return Ok(());
    }
    let mut last = String::new();
    loop {
        match client.set_standing(nodes, Standing::Decommissioned).await {
            Ok(()) => {
                println!("node {names}: decommissioned");
                return Ok(());
            }
            Err(refusal) if refusal.reason == RefusalReason::Unavailable => {
                if refusal.detail != last {
                    println!("{}", refusal.detail);
                    last = refusal.detail;
                }
            }
            Err(refusal) => bail!(refusal),
        }
        env.sleep(DECOMMISSION_INTERVAL).await;
    }
}

const LIST_TITLES: [&str; 6] = ["id", "state", "rpc", "sql", "locality", "version"];
const STATUS_TITLES: [&str; 9] =
    ["id", "state", "starts", "ranges", "leases", "size", "last heard", "clock offset", "reachable"];

async fn list<const N: usize>(
    env: &Arc<dyn Env>,
    operator: &OperatorArguments,
    row: fn(&NodeStatus, bool) -> [String; N],
    titles: &[&str; N],
) -> anyhow::Result<()> {
    let client = connect(env, operator).await?;
    let (cluster, nodes) = client.nodes().await?;
    let cluster = cluster.context("the node belongs to no cluster yet (meridian init makes one)")?;
    let rows = nodes.iter().map(|status| row(status, client.node() == Some(status.info.node)).to_vec());
    print!("{}", aligned(titles, &rows.collect::<Vec<_>>()));
    println!("(cluster {cluster})");
    Ok(())
}

fn list_row(status: &NodeStatus, is_own: bool) -> [String; 6] {
    let info = &status.info;
    [
        info.node.to_string(),
        state(status, is_own).to_string(),
        info.rpc_address.clone(),
        info.sql_address.clone(),
        info.locality.to_string(),
        info.version.clone(),
    ]
}

fn status_row(status: &NodeStatus, is_own: bool) -> [String; 9] {
    let info = &status.info;
    let offset = status.clock_offset.map(|offset| {
        let milliseconds = offset.nanos as f64 / 1e6;
        format!("{milliseconds:+.1} ms +-{:.1}", offset.uncertainty.as_secs_f64() * 1e3)
    });
    [
        info.node.to_string(),
        state(status, is_own).to_string(),
        info.incarnation.to_string(),
        info.capacity.ranges.to_string(),
        info.capacity.leases.to_string(),
        HumanSize(info.capacity.used_bytes).to_string(),
        if is_own { "now".to_string() } else { format!("{:.1} s ago", info.silence.as_secs_f64()) },
        offset.unwrap_or_default(),
        status.unreachable.clone().map_or("yes".to_string(), |reason| format!("no: {reason}")),
    ]
}

fn state(status: &NodeStatus, is_own: bool) -> &'static str {
    let info = &status.info;
    match info.standing {
        Standing::Decommissioned => "decommissioned",
        _ if !is_own && info.silence > SILENCE_SHOWN => "dead",
        Standing::Decommissioning | Standing::Shedding => info.standing.name(),
        Standing::Active if info.draining => "draining",
        Standing::Active => "live",
    }
}

/// Columns of texts, in the manner of psql.
pub fn aligned(titles: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([titles[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..titles.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!(" {cell:<width$} "));
        padded.collect::<Vec<_>>().join("|").trim_end().to_string()
    };
    let rule = widths.iter().map(|width| "-".repeat(width + 2)).collect::<Vec<_>>().join("+");
    let mut lines = vec![line(titles.to_vec()), rule];
    lines.extend(rows.iter().map(|row| line(row.iter().map(String::as_str).collect())));
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = vec![vec!["1".to_string(), "live".to_string()], vec!["12".to_string(), String::new()]];
        assert_eq!(aligned(&["id", "state"], &rows), " id | state\n----+-------\n 1  | live\n 12 |\n");
    }
}
