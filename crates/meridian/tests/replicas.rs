//! A node whose data was changed behind its back is found by a comparison with the others, and ends.

mod support;

use std::path::Path;
use std::process::Output;

use env::RealEnv;
use storage::{CursorOptions, Durability, Engine, Keyspace, Reader, RocksEngine, RocksOptions, WriteBatch};
use support::cluster::{Cluster, meridian, must, run, texts, until};

fn check(cluster: &Cluster, node: u16) -> Output {
    run(meridian().args(["debug", "check-replicas", "--rpc", &cluster.rpc(node)]))
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
    let env = RealEnv::new();
    let cluster = Cluster::start(3);
    cluster.replicated(&env, 3).await;
    let first = cluster.connect(1).await;
    let table = "CREATE TABLE t (id int PRIMARY KEY, v text); \
                 INSERT INTO t SELECT i, 'remarkable ' || i FROM generate_series(1, 500) i";
    first.batch_execute(table).await.expect("it is made");
    let whole = "SELECT bool_and(cardinality(replicas) = 3)::text FROM meridian.ranges";
    until(&env, "all ranges have three replicas", async || texts(&first, whole).await == [["true"]]).await;
    until(&env, "all hold the same", async || {
        let found = check(&cluster, 1);
        println!("{}", String::from_utf8_lossy(&found.stdout));
        found.status.success()
    })
    .await;

    must(&mut cluster.command("stop"));
    damage(&cluster.node_data(3), b"remarkable 77");
    // The nodes may find it by themselves while they start: then the third does not become ready.
    drop(run(&mut cluster.command("start")));
    let log = || std::fs::read_to_string(cluster.node_log(3)).expect("it logs");
    // Who is not up yet makes a comparison incomplete.
    until(&env, "the difference is found", async || {
        let found = check(&cluster, 1);
        let is_told =
            !found.status.success() && String::from_utf8_lossy(&found.stdout).contains(": different");
        is_told || log().contains("is not to be used any more")
    })
    .await;
    until(&env, "the node ends", async || {
        let status = must(&mut cluster.command("status"));
        log().contains("is not to be used any more") && status.matches("| running").count() == 2
    })
    .await;
    // Whoever led the range knows how it went: the third one's memory of it has gone with its process.
    let first = cluster.connect(1).await;
    let found = "SELECT DISTINCT agreeing || ' of ' || replicas FROM meridian.replica_checks WHERE outcome = 'different'";
    let was_leading = log().contains("the replicas of a range differ");
    assert_eq!(texts(&first, found).await.concat().concat(), if was_leading { "" } else { "2 of 3" });
    // It says why whenever it is started; the others have what is right.
    let again = run(cluster.command("restart").arg("3"));
    assert!(!again.status.success() || log().matches("is not to be used any more").count() > 1);
    let right = "SELECT count(*)::text FROM t WHERE v = 'remarkable ' || id";
    assert_eq!(texts(&first, right).await, [["500"]]);
}
