//! A node whose data was changed behind its back is found by a comparison with the others, and ends.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use env::{Env, RealEnv};
use storage::{CursorOptions, Durability, Engine, Keyspace, Reader, RocksEngine, RocksOptions, WriteBatch};

const PATIENCE: Duration = Duration::from_secs(60);

struct Cluster {
    folder: tempfile::TempDir,
    base_port: u16,
}

impl Cluster {
    fn command(&self, name: &str) -> Command {
        let mut command = meridian();
        command.args(["cluster", name, "--dir"]).arg(self.folder.path());
        command
    }

    fn rpc(&self, node: u16) -> String {
        format!("127.0.0.1:{}", self.base_port + 10 * (node - 1) + 1)
    }

    fn folder_of(&self, node: u16) -> PathBuf {
        self.folder.path().join(format!("node{node}"))
    }

    fn sql(&self, node: u16, statements: &str) -> Output {
        let port = self.base_port + 10 * (node - 1);
        let url = format!("postgresql://postgres@127.0.0.1:{port}/postgres");
        let arguments = ["sql", "--url", &url, "--quiet", "--no-align", "--tuples-only", "-c"];
        output(meridian().args(arguments).arg(statements))
    }

    fn check(&self, node: u16) -> Output {
        output(meridian().args(["debug", "check-replicas", "--rpc", &self.rpc(node)]))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in 1..=3 {
            let _ = output(self.command("kill").arg(node.to_string()));
        }
    }
}

fn meridian() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_meridian"));
    command.stdin(Stdio::null());
    command
}

fn output(command: &mut Command) -> Output {
    command.output().expect("the binary runs")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn must(output: Output) -> String {
    assert!(output.status.success(), "{}", text(&output));
    text(&output)
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let env = RealEnv::new();
    let deadline = env.monotonic() + PATIENCE;
    while !holds() {
        assert!(env.monotonic() < deadline, "within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Changes one bit of every stored row with a text, as a fault of the memory would while they are written.
fn damage(data: &Path, text: &[u8]) {
    let engine = RocksEngine::open(data, &RocksOptions::default()).expect("the node has stopped");
    let mut batch = WriteBatch::new();
    {
        let mut cursor = engine.cursor(Keyspace::Current, CursorOptions::default()).expect("it opens");
        let mut found = cursor.seek_first().expect("it can be read");
        while found {
            if let Some(at) = cursor.value().windows(text.len()).position(|window| window == text) {
                let mut value = cursor.value().to_vec();
                value[at] ^= 1;
                batch.put(Keyspace::Current, cursor.key(), &value);
            }
            found = cursor.next().expect("it can be read");
        }
    }
    assert!(!batch.is_empty(), "the rows are there");
    engine.write(&batch, Durability::Buffered).expect("it can be written");
    engine.flush().expect("it can be written");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_rows_were_changed_behind_its_back_is_found_and_ends() {
    let cluster =
        Cluster { folder: tempfile::tempdir().expect("a folder"), base_port: support::free_base_port(3) };
    let port = cluster.base_port.to_string();
    must(output(cluster.command("start").args(["--nodes", "3", "--base-port", &port])));
    let table = "CREATE TABLE t (id int PRIMARY KEY, v text); \
                 INSERT INTO t SELECT i, 'remarkable ' || i FROM generate_series(1, 500) i";
    must(cluster.sql(1, table));
    let whole = "SELECT bool_and(cardinality(replicas) = 3) FROM meridian.ranges";
    until("all ranges have three replicas", || text(&cluster.sql(2, whole)).trim() == "t");
    until("all hold the same", || cluster.check(1).status.success());

    must(output(&mut cluster.command("stop")));
    damage(&cluster.folder_of(3).join("data"), b"remarkable 77");
    must(output(&mut cluster.command("start")));
    // Who is not up yet makes it incomplete; and the nodes may find it by themselves first.
    let log = || std::fs::read_to_string(cluster.folder_of(3).join("log")).expect("it logs");
    until("the difference is found", || {
        let found = cluster.check(1);
        let is_told = !found.status.success() && text(&found).contains(": different");
        is_told || log().contains("is not to be used any more")
    });
    until("the node ends", || log().contains("is not to be used any more"));
    let status = text(&output(&mut cluster.command("status")));
    assert_eq!(status.matches("| running").count(), 2, "{status}");
    let views = "SELECT outcome, agreeing, replicas FROM meridian.replica_checks WHERE outcome = 'different'";
    let told = text(&cluster.sql(1, views));
    assert!(told.lines().any(|line| line == "different|2|3"), "{told}");
    // It says why whenever it is started; the others have what is right.
    let again = output(cluster.command("restart").arg("3"));
    assert!(!again.status.success() || log().matches("is not to be used any more").count() > 1);
    let right = "SELECT count(*) FROM t WHERE v = 'remarkable ' || id";
    assert_eq!(must(cluster.sql(2, right)).trim(), "500");
}
