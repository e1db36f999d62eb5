//! Nodes that come, go, and come back with the wrong folder.

use super::*;
use crate::support::free_base_port;

fn decommission(cluster: &Cluster, flags: &[&str]) -> std::process::Command {
    let mut command = meridian();
    command.args(["node", "decommission", "--rpc", &cluster.rpc(1)]).args(flags);
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_are_decommissioned_only_if_others_can_take_what_they_have() {
    let env = RealEnv::new();
    let cluster = Cluster::start(3);
    cluster.replicated(&env, 3).await;
    for leave in [&["1", "2", "3", "--no-wait"][..], &["2", "3", "--no-wait"], &["3", "--no-wait"]] {
        let message = refused(&mut decommission(&cluster, leave));
        assert!(message.contains("would remain") && message.contains("Add nodes first"), "{message}");
    }
    let message = refused(&mut decommission(&cluster, &["1", "2", "3", "--no-wait", "--force"]));
    assert!(message.contains("no live node that holds data would remain"), "{message}");
    env.sleep(Duration::from_secs(2)).await;
    cluster.replicated(&env, 3).await;

    // What a start is told of a cluster that exists must be so.
    let message = refused(cluster.command("start").args(["--nodes", "5", "--base-port", "22000"]));
    assert!(message.contains("it has 3 nodes") && message.contains("meridian cluster add"), "{message}");

    // With a fourth node one may go; it is not started again, and the flags of the fourth are remembered.
    must(cluster.command("add").args(["--", "--locality", "region=eu"]));
    let list = || must(meridian().args(["node", "ls", "--rpc", &cluster.rpc(1)]));
    until(&env, "its place is known", async || list().contains("region=eu")).await;
    must(&mut decommission(&cluster, &["3"]));
    until(&env, "it has ended", async || status(&cluster, 3) == "decommissioned").await;
    must(&mut cluster.command("stop"));
    let started = must(&mut cluster.command("start"));
    assert!(started.contains("node 3: decommissioned, and not started"), "{started}");
    assert!(started.contains("node 4: postgresql://"), "{started}");
    until(&env, "its place is known", async || list().contains("region=eu")).await;
    let message = refused(cluster.command("restart").arg("3"));
    assert!(message.contains("was decommissioned: it cannot come back"), "{message}");
    // Even if nobody here remembered: it is told by the others, and does not go on trying.
    std::fs::remove_file(cluster.folder.path().join("node3").join("decommissioned")).expect("it was noted");
    let mut command = meridian();
    let node = command.arg("start").arg("--data-dir").arg(cluster.node_data(3));
    let node = node.args(["--listen-sql", "127.0.0.1:0", "--listen-http", "127.0.0.1:0"]);
    let message = refused(node.args(["--listen-rpc", &cluster.rpc(3), "--join", &cluster.rpc(1)]));
    assert!(message.contains("was decommissioned"), "{message}");
}

/// What `cluster status` says of a node's process.
fn status(cluster: &Cluster, node: u16) -> String {
    let text = must(&mut cluster.command("status"));
    let row = text.lines().skip(1 + usize::from(node)).next().expect("a row per node");
    row.split('|').nth(1).expect("a state").trim().to_string()
}

/// Copies all files of a folder without folders in it.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        if entry.file_type().expect("a kind").is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_does_not_come_back_with_an_older_copy_of_its_folder() {
    let env = RealEnv::new();
    let cluster = Cluster::start(3);
    cluster.replicated(&env, 3).await;
    let spare = tempfile::tempdir().expect("a temporary folder");
    cluster.node_command("kill", 3);
    copy(&cluster.node_data(3), &spare.path().join("backup"));
    cluster.node_command("restart", 3);
    let client = cluster.connect(1).await;
    client
        .batch_execute("CREATE TABLE t (k int PRIMARY KEY); INSERT INTO t VALUES (1)")
        .await
        .expect("it is made");
    // It is heard for a while: beyond the lead of the bound in the backup.
    env.sleep(Duration::from_secs(8)).await;
    cluster.node_command("kill", 3);
    std::fs::rename(cluster.node_data(3), spare.path().join("newest")).expect("it is moved");
    copy(&spare.path().join("backup"), &cluster.node_data(3));
    // As many starts as were seen, then more: it stays as old as it is.
    for expected in ["was another process", "is older than what the cluster has heard", "is older than"] {
        let message = refused(cluster.command("restart").arg("3"));
        assert!(message.contains(expected), "{expected}: {message}");
    }
    // The newest folder is taken, although the copy has been started more often.
    std::fs::remove_dir_all(cluster.node_data(3)).expect("it was there");
    std::fs::rename(spare.path().join("newest"), cluster.node_data(3)).expect("it is moved");
    cluster.node_command("restart", 3);
    let client = cluster.connect(3).await;
    assert_eq!(texts(&client, "SELECT k::text FROM t").await, [["1"]]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_to_join_are_judged_before_it_is_waited_for_them() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let start = |join: &str| {
        let mut command = meridian();
        command.arg("start").arg("--data-dir").arg(folder.path().join("data"));
        command.args(["--listen-sql", "127.0.0.1:0", "--listen-http", "127.0.0.1:0"]);
        command.args(["--listen-rpc", "127.0.0.1:0", "--join", join]);
        command
    };
    let message = refused(&mut start("db1:5434,127.0.0.1"));
    assert!(message.contains("--join 127.0.0.1: not an address of the form HOST:PORT"), "{message}");
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("it listens");
    let log = std::fs::File::create(folder.path().join("log")).expect("a file");
    let mut waiting = start(&format!("nohost.invalid:5,{free}")).stderr(log).spawn().expect("it runs");
    let text = || std::fs::read_to_string(folder.path().join("log")).expect("its log");
    until(&RealEnv::new(), "it waits", async || text().contains("waiting for a cluster")).await;
    let text = text();
    waiting.kill().expect("it runs");
    waiting.wait().expect("it ends");
    assert!(text.contains("the host of nohost.invalid:5 cannot be resolved"), "{text}");
    assert!(text.contains(&format!("{free}: Connection refused")), "{text}");
}

#[test]
fn a_first_start_that_finds_a_port_taken_leaves_nothing_behind() {
    let cluster = Cluster { folder: tempfile::tempdir().expect("a folder"), base_port: free_base_port(1) };
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("it listens").port().to_string();
    let message = refused(cluster.command("start").args(["--nodes", "1", "--base-port", &port]));
    assert!(message.contains("use another --base-port"), "{message}");
    let port = cluster.base_port.to_string();
    must(cluster.command("start").args(["--nodes", "1", "--base-port", &port, "--", "--cache-mib", "32"]));
}
