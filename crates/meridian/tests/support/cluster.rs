//! A cluster of real processes, through the command line.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use env::{Env, RealEnv};
use tokio_postgres::{AsyncMessage, Client, NoTls};

use super::free_base_port;

/// How long what must come true may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub fn meridian() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_meridian"));
    command.stdin(Stdio::null());
    command
}

pub fn run(command: &mut Command) -> Output {
    command.output().expect("the binary runs")
}

/// What a command prints; it must succeed.
pub fn must(command: &mut Command) -> String {
    let output = run(command);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// What a command says when it fails, which it must.
pub fn refused(command: &mut Command) -> String {
    let output = run(command);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{command:?} succeeds: {}", String::from_utf8_lossy(&output.stdout));
    text
}

/// What a server has told a client beside the results.
pub type Notices = Arc<Mutex<Vec<String>>>;

/// A local cluster; its processes end with the test.
pub struct Cluster {
    pub folder: tempfile::TempDir,
    pub base_port: u16,
}

impl Cluster {
    pub fn start(nodes: u16) -> Cluster {
        Cluster::start_with(nodes, &[])
    }

    /// With variables of the environment.
    pub fn start_with(nodes: u16, variables: &[(&str, &str)]) -> Cluster {
        let cluster = Cluster {
            folder: tempfile::tempdir().expect("a temporary folder"),
            base_port: free_base_port(u32::from(nodes)),
        };
        let (nodes, port) = (nodes.to_string(), cluster.base_port.to_string());
        let mut command = cluster.command("start");
        command.args(["--nodes", &nodes, "--base-port", &port, "--", "--cache-mib", "32"]);
        command.envs(variables.iter().copied());
        must(&mut command);
        cluster
    }

    pub fn command(&self, name: &str) -> Command {
        let mut command = meridian();
        command.args(["cluster", name, "--dir"]).arg(self.folder.path());
        command
    }

    pub fn node_command(&self, name: &str, node: u16) -> String {
        must(self.command(name).arg(node.to_string()))
    }

    pub fn rpc(&self, node: u16) -> String {
        format!("127.0.0.1:{}", self.base_port + 10 * (node - 1) + 1)
    }

    pub fn node_data(&self, node: u16) -> PathBuf {
        self.folder.path().join(format!("node{node}")).join("data")
    }

    pub fn node_log(&self, node: u16) -> PathBuf {
        self.folder.path().join(format!("node{node}")).join("log")
    }

    pub async fn connect(&self, node: u16) -> Client {
        self.connect_as(node, "postgres").await
    }

    pub async fn connect_as(&self, node: u16, user: &str) -> Client {
        self.connect_with(node, user, Notices::default()).await
    }

    pub async fn connect_with(&self, node: u16, user: &str, notices: Notices) -> Client {
        let port = self.base_port + 10 * (node - 1);
        let config = format!("host=127.0.0.1 port={port} user={user} dbname=postgres");
        let (client, mut connection) =
            tokio_postgres::connect(&config, NoTls).await.expect("the node lets in");
        let task = async move {
            while let Some(Ok(message)) =
                std::future::poll_fn(|context| connection.poll_message(context)).await
            {
                let text = match message {
                    AsyncMessage::Notice(notice) => format!("{}: {}", notice.severity(), notice.message()),
                    AsyncMessage::Notification(told) => {
                        format!("{} says {} on {}", told.process_id(), told.payload(), told.channel())
                    }
                    _ => continue,
                };
                notices.lock().expect("not poisoned").push(text);
            }
        };
        drop(RealEnv::new().spawn("connection", Box::pin(task)));
        client
    }

    /// How many ranges each node says that it holds, as node 1 or another one knows it.
    pub fn ranges(&self, asked: u16) -> Vec<(u16, u64)> {
        self.of_nodes(asked, 3)
    }

    /// Waits until every one of so many nodes has every range.
    pub async fn replicated(&self, env: &RealEnv, nodes: usize) {
        until(env, "every node has every range", async || {
            let ranges = self.ranges(2);
            ranges.len() == nodes && ranges.iter().all(|(_, count)| *count > 0 && *count == ranges[0].1)
        })
        .await;
    }

    /// Each node and a column of its status, a number, as another one knows it.
    pub fn of_nodes(&self, asked: u16, column: usize) -> Vec<(u16, u64)> {
        let text = must(meridian().args(["node", "status", "--rpc", &self.rpc(asked)]));
        let rows = text.lines().skip(2).filter(|line| line.contains('|'));
        rows.map(|row| {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            (cells[0].parse().expect("an id"), cells[column].parse().expect("a count"))
        })
        .collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // By force: the test is over, whichever way.
        for node in 1..=9 {
            let _ = run(self.command("kill").arg(node.to_string()));
        }
    }
}

pub async fn until(env: &RealEnv, what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = env.monotonic() + PATIENCE;
    while !holds().await {
        assert!(env.monotonic() < deadline, "within {PATIENCE:?}: {what}");
        env.sleep(Duration::from_millis(100)).await;
    }
}

/// Texts that a query answers with, row by row; NULL is empty.
pub async fn texts(client: &Client, query: &str) -> Vec<Vec<String>> {
    let rows = client.query(query, &[]).await.unwrap_or_else(|error| panic!("{query}: {error:?}"));
    let value = |row: &tokio_postgres::Row, column| row.get::<_, Option<String>>(column).unwrap_or_default();
    rows.iter().map(|row| (0..row.len()).map(|column| value(row, column)).collect()).collect()
}

/// The id of the node that runs as a process: they join in any order.
pub async fn id_of(client: &Client, cluster: &Cluster, process: u16) -> String {
    let port = cluster.base_port + 10 * (process - 1);
    let query = format!("SELECT node_id::text FROM meridian.nodes WHERE sql_address LIKE '%:{port}'");
    texts(client, &query).await.concat().concat()
}
