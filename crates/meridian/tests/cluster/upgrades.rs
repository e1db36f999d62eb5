//! Programs of several versions in one cluster. What an older or newer program would be, this one pretends to be.

use super::*;

/// What a process is told that pretends to know other versions of a cluster.
const PRETEND: &str = "MERIDIAN_PRETEND_VERSIONS";

fn restart(cluster: &Cluster, node: u16, versions: &str) -> std::process::Command {
    let mut command = cluster.command("restart");
    command.arg(node.to_string()).env(PRETEND, versions);
    command
}

async fn cluster_version(client: &tokio_postgres::Client) -> Vec<String> {
    let standing =
        "SELECT cluster_version::text, newest_known_version::text, waits_for FROM meridian.cluster";
    texts(client, standing).await.concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_version_brings_is_used_once_every_program_knows_it() {
    let env = RealEnv::new();
    let cluster = Cluster::start_with(3, &[(PRETEND, "1-1")]);
    let client = cluster.connect(1).await;
    assert_eq!(cluster_version(&client).await, ["1", "1", ""]);
    client.batch_execute("CREATE TABLE t (k int PRIMARY KEY)").await.expect("what every version has");
    let id = "SELECT pg_current_xact_id()::text";
    let error = client.query(id, &[]).await.expect_err("older programs would not understand it");
    let error = error.as_db_error().expect("an answer");
    assert_eq!(error.code().code(), "55000", "{error}");
    assert!(error.message().contains("before the cluster is at version 2"), "{error}");

    // Two of three know more, one does not: nothing changes, and it is told why.
    for node in [1, 2] {
        must(&mut restart(&cluster, node, "1-2"));
    }
    let client = cluster.connect(1).await;
    until(&env, "it is told what is waited for", async || {
        let [at, newest, why] = &cluster_version(&client).await[..] else { return false };
        (at.as_str(), newest.as_str()) == ("1", "2") && why.ends_with("knows versions 1-1")
    })
    .await;
    let programs = "SELECT cluster_version_max::text FROM meridian.nodes ORDER BY 1";
    until(&env, "programs are known", async || texts(&client, programs).await.concat() == ["1", "2", "2"])
        .await;

    // All of them do, and somebody wants to be able to go back.
    client.batch_execute("ALTER SYSTEM SET upgrade_automatically = off").await.expect("a setting");
    must(&mut restart(&cluster, 3, "1-2"));
    let third = cluster.connect(3).await;
    until(&env, "it is held back", async || {
        cluster_version(&third).await == ["1", "2", "upgrade_automatically is off"]
    })
    .await;
    must(&mut restart(&cluster, 3, "1-1"));
    must(&mut restart(&cluster, 3, "1-2"));

    // For good.
    client.batch_execute("ALTER SYSTEM RESET upgrade_automatically").await.expect("a setting");
    for node in 1..=3 {
        let client = cluster.connect(node).await;
        until(&env, "the version is raised", async || cluster_version(&client).await == ["2", "2", ""]).await;
        assert_eq!(texts(&client, id).await.len(), 1);
    }
    let message = refused(&mut restart(&cluster, 3, "1-1"));
    assert!(message.contains("is at version 2") && message.contains("it is too old"), "{message}");
    let message = refused(&mut restart(&cluster, 3, "3-4"));
    assert!(message.contains("it is too new") && message.contains("knows version 3 first"), "{message}");
    must(&mut restart(&cluster, 3, "2-3"));
    let message = refused(cluster.command("add").env(PRETEND, "1-1"));
    assert!(message.contains("it is too old"), "{message}");
    let third = cluster.connect(3).await;
    assert_eq!(texts(&third, "SELECT count(*)::text FROM t").await, [["0"]]);

    // All stop: the folder alone knows, and the first to start is not taken in by being alone.
    must(&mut cluster.command("stop"));
    let message = refused(&mut restart(&cluster, 1, "1-1"));
    assert!(message.contains("it is too old"), "{message}");
    must(&mut cluster.command("start"));
    assert_eq!(cluster_version(&cluster.connect(1).await).await, ["2", "2", ""]);
}
