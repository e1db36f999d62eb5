//! Real processes of one cluster, through the command line: made, written to from one node and read from another, one killed.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use env::{Env, RealEnv};
use tokio_postgres::{Client, NoTls};

/// How long what must come true may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn meridian() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_meridian"));
    command.stdin(Stdio::null());
    command
}

fn run(command: &mut Command) -> Output {
    command.output().expect("the binary runs")
}

/// What a command prints; it must succeed.
fn must(command: &mut Command) -> String {
    let output = run(command);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// What a command says when it fails, which it must.
fn refused(command: &mut Command) -> String {
    let output = run(command);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{command:?} succeeds: {}", String::from_utf8_lossy(&output.stdout));
    text
}

/// A base port with `nodes` times ten free ones from there on.
fn free_ports(nodes: u16) -> u16 {
    for _ in 0..100 {
        let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let base = probe.local_addr().expect("it listens").port();
        drop(probe);
        let mut wanted = (0..nodes).flat_map(|node| (0..3).map(move |offset| (node, offset)));
        let fits = base < u16::MAX - 10 * nodes;
        if fits && wanted.all(|(n, o)| TcpListener::bind((Ipv4Addr::LOCALHOST, base + 10 * n + o)).is_ok()) {
            return base;
        }
    }
    panic!("no free ports");
}

/// A local cluster; its processes end with the test.
struct Cluster {
    folder: tempfile::TempDir,
    base_port: u16,
}

impl Cluster {
    fn start(nodes: u16) -> Cluster {
        let cluster = Cluster {
            folder: tempfile::tempdir().expect("a temporary folder"),
            base_port: free_ports(nodes),
        };
        let (nodes, port) = (nodes.to_string(), cluster.base_port.to_string());
        let mut command = cluster.command("start");
        command.args(["--nodes", &nodes, "--base-port", &port, "--", "--cache-mib", "32"]);
        must(&mut command);
        cluster
    }

    fn command(&self, name: &str) -> Command {
        let mut command = meridian();
        command.args(["cluster", name, "--dir"]).arg(self.folder.path());
        command
    }

    fn node_command(&self, name: &str, node: u16) -> String {
        must(self.command(name).arg(node.to_string()))
    }

    fn rpc(&self, node: u16) -> String {
        format!("127.0.0.1:{}", self.base_port + 10 * (node - 1) + 1)
    }

    fn node_data(&self, node: u16) -> PathBuf {
        self.folder.path().join(format!("node{node}")).join("data")
    }

    async fn connect(&self, node: u16) -> Client {
        let port = self.base_port + 10 * (node - 1);
        let config = format!("host=127.0.0.1 port={port} user=postgres dbname=postgres");
        let (client, connection) = tokio_postgres::connect(&config, NoTls).await.expect("the node lets in");
        drop(RealEnv::new().spawn("connection", Box::pin(async move { drop(connection.await) })));
        client
    }

    /// How many ranges each node says that it holds, as node 1 or another one knows it.
    fn ranges(&self, asked: u16) -> Vec<(u16, u64)> {
        self.of_nodes(asked, 3)
    }

    /// Each node and a column of its status, a number, as another one knows it.
    fn of_nodes(&self, asked: u16, column: usize) -> Vec<(u16, u64)> {
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

async fn until(env: &RealEnv, what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = env.monotonic() + PATIENCE;
    while !holds().await {
        assert!(env.monotonic() < deadline, "within {PATIENCE:?}: {what}");
        env.sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_serve_one_database_and_go_on_without_any_one_of_them() {
    let env = RealEnv::new();
    let cluster = Cluster::start(3);
    until(&env, "every node has every range", async || {
        let ranges = cluster.ranges(2);
        ranges.len() == 3 && ranges.iter().all(|(_, count)| *count > 0 && *count == ranges[0].1)
    })
    .await;
    let (first, third) = (cluster.connect(1).await, cluster.connect(3).await);
    first.batch_execute("CREATE TABLE t (id int PRIMARY KEY, v text)").await.expect("it is made");
    first.batch_execute("INSERT INTO t VALUES (1, 'from one')").await.expect("it is written");
    third.batch_execute("INSERT INTO t VALUES (3, 'from three')").await.expect("the table is known there");
    let rows = third.query("SELECT v FROM t ORDER BY id", &[]).await.expect("it is read");
    let values: Vec<&str> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(values, ["from one", "from three"]);

    let listed = must(meridian().args(["node", "ls", "--rpc", &cluster.rpc(3)]));
    assert_eq!(listed.matches("| live").count(), 3, "{listed}");

    for lost in [1, 2, 3] {
        cluster.node_command("kill", lost);
        let other = cluster.connect(lost % 3 + 1).await;
        let id = 10 + i32::from(lost as i16);
        until(&env, "the others go on", async || {
            other
                .execute("INSERT INTO t VALUES ($1, 'without') ON CONFLICT (id) DO NOTHING", &[&id])
                .await
                .is_ok()
        })
        .await;
        cluster.node_command("restart", lost);
        let back = cluster.connect(lost).await;
        let count: i64 = back.query_one("SELECT count(*) FROM t", &[]).await.expect("it is back").get(0);
        assert_eq!(count, 2 + i64::from(lost));
    }
    let status = must(&mut cluster.command("status"));
    assert_eq!(status.matches("| running").count(), 3, "{status}");
    must(&mut cluster.command("stop"));
    must(&mut cluster.command("start"));
    let second = cluster.connect(2).await;
    let count: i64 = second.query_one("SELECT count(*) FROM t", &[]).await.expect("all is there").get(0);
    assert_eq!(count, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_is_added_and_one_that_lost_its_folder_is_not_let_in_by_itself() {
    let env = RealEnv::new();
    let cluster = Cluster::start(1);
    must(&mut cluster.command("add"));
    // Before it is heard itself, it is a newcomer that may begin anew: it has started no time that anybody knows of.
    let is_heard = async || cluster.of_nodes(1, 2).iter().filter(|(_, starts)| *starts > 0).count() == 2;
    until(&env, "the second is heard", is_heard).await;

    // Somebody else's folder, at the same time.
    let message = refused(meridian().arg("start").arg("--data-dir").arg(cluster.node_data(2)).args([
        "--listen-sql",
        "127.0.0.1:0",
        "--listen-rpc",
        "127.0.0.1:0",
        "--listen-http",
        "127.0.0.1:0",
    ]));
    assert!(message.contains("in use by another process"), "{message}");

    // The data of node 2 are lost: it must not come back as if nothing had happened.
    cluster.node_command("kill", 2);
    std::fs::remove_dir_all(cluster.node_data(2)).expect("it was there");
    let message = refused(cluster.command("restart").arg("2"));
    assert!(message.contains("node 2 is at"), "{message}");
    assert!(message.contains("meridian node decommission 2"), "{message}");
}

#[test]
fn wrong_addresses_and_missing_certificates_are_told_from_one_another() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let start = |flags: &[&str]| {
        let mut command = meridian();
        command.arg("start").arg("--data-dir").arg(folder.path().join("data"));
        command.args(["--listen-sql", "127.0.0.1:0", "--listen-http", "127.0.0.1:0"]).args(flags);
        refused(&mut command)
    };
    let message = start(&["--listen-rpc", "0.0.0.0:0"]);
    assert!(message.contains("without certificates nodes listen on loopback only"), "{message}");
    let message = start(&["--listen-rpc", "127.0.0.1:0", "--locality", "nowhere"]);
    assert!(message.contains("is not a locality such as"), "{message}");
    let certs = folder.path().join("certs");
    let message = start(&["--listen-rpc", "127.0.0.1:0", "--certs-dir", &certs.to_string_lossy()]);
    assert!(message.contains("cannot read"), "{message}");

    must(meridian().args(["cert", "create-ca", "--certs-dir"]).arg(&certs));
    must(meridian().args(["cert", "create-node", "127.0.0.1", "--certs-dir"]).arg(&certs));
    must(meridian().args(["cert", "create-client", "postgres", "--certs-dir"]).arg(&certs));
    let message = refused(meridian().args(["cert", "create-ca", "--certs-dir"]).arg(&certs));
    assert!(message.contains("exists already"), "{message}");
    assert_private(&certs.join("node.key"));

    // A join address where something else answers.
    let other = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = other.local_addr().expect("it listens").to_string();
    let message = std::thread::scope(|scope| {
        scope.spawn(|| {
            use std::io::Write;
            if let Ok((mut stream, _)) = other.accept() {
                // Whatever it was asked.
                let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
            }
        });
        start(&["--listen-rpc", "127.0.0.1:0", "--join", &address])
    });
    assert!(message.contains("does not answer like a node"), "{message}");
}

#[cfg(unix)]
fn assert_private(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(path).expect("it was made").permissions().mode();
    assert_eq!(mode & 0o077, 0, "others must not read {}", path.display());
}
