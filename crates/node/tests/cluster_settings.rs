//! Cluster settings take effect while the node runs: each one, in virtual time, on one node.

mod common;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use common::{connect, query};
use env::{Env, Simulation};
use node::{Node, NodeConfig, World};
use pgserver::Session;
use storage::{MemoryDisk, MemoryOptions};

fn run<Fut: Future<Output = ()> + Send + 'static>(
    test: impl FnOnce(Arc<dyn Env>, Node) -> Fut + Send + 'static,
) {
    let simulation = Simulation::new(1);
    let env: Arc<dyn Env> = simulation.machine();
    let engine = MemoryDisk::new().open(MemoryOptions::default()).expect("a new disk");
    let ended = simulation.block_on(Duration::from_secs(7200), async move {
        let config = NodeConfig { sweep_interval: Duration::from_secs(3600), ..NodeConfig::default() };
        let node = Node::start(&config, World::alone(env.clone(), engine)).await.expect("it starts");
        test(env, node).await;
    });
    ended.expect("it ends, and nothing panics");
}

async fn must(session: &mut Box<dyn Session>, sql: &str) -> Vec<Vec<Option<String>>> {
    query(session, sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"))
}

async fn value(session: &mut Box<dyn Session>, sql: &str) -> String {
    let rows = must(session, sql).await;
    rows[0][0].clone().expect("not null")
}

async fn code(session: &mut Box<dyn Session>, sql: &str) -> String {
    query(session, sql).await.expect_err("it is refused")[..5].to_string()
}

#[test]
fn a_setting_is_kept_by_its_transaction_and_by_a_restart() {
    let simulation = Simulation::new(1);
    let machine = simulation.machine();
    let disk = MemoryDisk::new();
    let (env, engine) = (machine.clone(), disk.open(MemoryOptions::default()).expect("a new disk"));
    let first = simulation.block_on(Duration::from_secs(600), async move {
        let node = Node::start(&NodeConfig::default(), World::alone(env, engine)).await.expect("it starts");
        let mut session = connect(&node).await;
        must(&mut session, "BEGIN; SET CLUSTER SETTING replicas = 1").await;
        assert_eq!(value(&mut session, "SHOW CLUSTER SETTING replicas").await, "1");
        assert_eq!(node.store.tuning().replicas, 3, "nothing is in force before the commit");
        must(&mut session, "ROLLBACK").await;
        assert_eq!(value(&mut session, "SHOW CLUSTER SETTING replicas").await, "3");
        must(
            &mut session,
            "BEGIN; SET CLUSTER SETTING replicas = 5; SET CLUSTER SETTING system_replicas = 7; COMMIT",
        )
        .await;
        let tuning = node.store.tuning();
        assert_eq!((tuning.replicas, tuning.system_replicas), (5, 7));
        must(
            &mut session,
            "ALTER SYSTEM SET node_dead_after = '10min'; ALTER SYSTEM SET replicate_interval = '3s'",
        )
        .await;
        let tuning = node.store.tuning();
        assert_eq!(
            (tuning.dead_after, tuning.replicate_interval),
            (Duration::from_secs(600), Duration::from_secs(3))
        );
        must(&mut session, "ALTER SYSTEM RESET node_dead_after").await;
        let before = node.db.follower_read_timestamp();
        must(&mut session, "ALTER SYSTEM SET closed_timestamp_lag = '1min'").await;
        assert_eq!(node.store.tuning().closed_lag, Duration::from_secs(60));
        assert!(node.db.follower_read_timestamp().saturating_add(Duration::from_secs(50)) < before);
        assert_eq!(node.store.tuning().dead_after, Duration::from_secs(300));
        node.stop().await.expect("it stops");
    });
    first.expect("it ends");
    machine.crash();
    disk.crash(0, 0);
    let env = machine.restart();
    let engine = disk.open(MemoryOptions::default()).expect("it was closed");
    let second = simulation.block_on(Duration::from_secs(600), async move {
        let node =
            Node::start(&NodeConfig::default(), World::alone(env, engine)).await.expect("it starts again");
        let tuning = node.store.tuning();
        assert_eq!((tuning.replicas, tuning.dead_after), (5, Duration::from_secs(300)));
        let mut session = connect(&node).await;
        must(&mut session, "ALTER SYSTEM RESET ALL").await;
        assert_eq!(node.store.tuning().replicas, 3);
    });
    second.expect("it ends");
}

#[test]
fn old_versions_go_when_gc_ttl_and_sweep_interval_say_so() {
    run(async |env, node| {
        let mut session = connect(&node).await;
        must(&mut session, "CREATE TABLE t (a int PRIMARY KEY, b int); INSERT INTO t VALUES (1, 0)").await;
        for _ in 0..50 {
            must(&mut session, "UPDATE t SET b = b + 1").await;
        }
        let size = || node.store.metrics().size_bytes;
        let before = size();
        env.sleep(Duration::from_secs(60)).await;
        assert_eq!(size(), before, "four hours have not passed, and no sweep is due for an hour");
        must(&mut session, "ALTER SYSTEM SET gc_ttl = '10s'; ALTER SYSTEM SET sweep_interval = '1s'").await;
        env.sleep(Duration::from_secs(30)).await;
        assert!(size() + 1_000 < before, "{} of {before} bytes are left", size());
        // What is dropped goes as well.
        must(&mut session, "INSERT INTO t SELECT generate_series(2, 2000); DROP TABLE t").await;
        let full = size();
        env.sleep(Duration::from_secs(60)).await;
        assert!(size() * 2 < full, "{} of {full} bytes are left", size());
    });
}

#[test]
fn ranges_split_when_range_size_max_says_so() {
    run(async |env, node| {
        let mut session = connect(&node).await;
        must(&mut session, "CREATE TABLE t (a int PRIMARY KEY, b text)").await;
        must(&mut session, "INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 1000) i").await;
        env.sleep(Duration::from_secs(10)).await;
        let before = node.store.range_ids().len();
        must(&mut session, "ALTER SYSTEM SET range_size_max = '128kB'").await;
        env.sleep(Duration::from_secs(10)).await;
        let after = node.store.range_ids().len();
        assert!(after >= before + 7, "{before} ranges have become {after}");
    });
}

#[test]
fn statements_are_bounded_by_the_settings_of_the_moment() {
    run(async |_, node| {
        let mut session = connect(&node).await;
        // An array does not spill.
        let large = "SELECT array_length(ARRAY(SELECT i FROM generate_series(1, 500000) i), 1)";
        assert_eq!(value(&mut session, large).await, "500000");
        must(&mut session, "ALTER SYSTEM SET statement_memory_max = '128kB'").await;
        assert_eq!(code(&mut session, large).await, "53200");
        must(
            &mut session,
            "ALTER SYSTEM RESET statement_memory_max; ALTER SYSTEM SET sql_memory_max = '1MB'",
        )
        .await;
        assert_eq!(code(&mut session, large).await, "53200");
        must(&mut session, "ALTER SYSTEM RESET sql_memory_max").await;
        assert_eq!(value(&mut session, large).await, "500000");

        let long = format!("SELECT length('{}')", "x".repeat(2000));
        assert_eq!(value(&mut session, &long).await, "2000");
        must(&mut session, "ALTER SYSTEM SET statement_size_max = '1kB'").await;
        assert_eq!(code(&mut session, &long).await, "54000");
        must(&mut session, "ALTER SYSTEM RESET statement_size_max").await;
        assert_eq!(value(&mut session, &long).await, "2000");

        let slow = || node.sql.slow_statements.load(Ordering::Relaxed);
        must(&mut session, "SELECT pg_sleep(0.2)").await;
        assert_eq!(slow(), 0);
        must(&mut session, "ALTER SYSTEM SET log_min_duration_statement = 100").await;
        must(&mut session, "SELECT pg_sleep(0.2)").await;
        must(&mut session, "SELECT 1").await;
        assert_eq!(slow(), 1);
        assert_eq!(value(&mut session, "SHOW log_min_duration_statement").await, "100ms");
    });
}

#[test]
fn a_transaction_holds_back_as_much_as_its_buffer_takes() {
    run(async |_, node| {
        let mut session = connect(&node).await;
        must(&mut session, "CREATE TABLE t (a int PRIMARY KEY, b text)").await;
        let fill = "BEGIN; INSERT INTO t SELECT i, repeat('x', 100) FROM generate_series(1, 1000) i";
        must(&mut session, fill).await;
        assert_eq!(node.store.metrics().intents, 0, "all is in the buffer");
        must(&mut session, "ROLLBACK; ALTER SYSTEM SET transaction_buffer_size = '8kB'").await;
        must(&mut session, fill).await;
        assert!(node.store.metrics().intents > 500, "most was sent ahead");
        must(&mut session, "ROLLBACK").await;
    });
}

#[test]
fn parameters_of_sessions_have_defaults_for_the_cluster() {
    run(async |_, node| {
        let mut session = connect(&node).await;
        must(
            &mut session,
            "ALTER SYSTEM SET work_mem = '64MB'; ALTER DATABASE postgres SET work_mem = '65MB'",
        )
        .await;
        assert_eq!(value(&mut session, "SHOW work_mem").await, "32MB");
        assert_eq!(value(&mut connect(&node).await, "SHOW work_mem").await, "65MB");
        must(&mut session, "ALTER DATABASE postgres RESET work_mem").await;
        let mut other = connect(&node).await;
        assert_eq!(value(&mut other, "SHOW work_mem").await, "64MB");
        assert_eq!(value(&mut other, "SET work_mem = '1MB'; RESET work_mem; SHOW work_mem").await, "64MB");
    });
}

#[test]
fn as_many_waits_are_remembered_as_the_setting_says() {
    run(async |env, node| {
        let (mut session, mut other) = (connect(&node).await, connect(&node).await);
        must(&mut session, "CREATE TABLE t (a int PRIMARY KEY, b int); INSERT INTO t VALUES (1, 0)").await;
        for round in 1..=3 {
            must(&mut session, "BEGIN; UPDATE t SET b = b + 1").await;
            let commit = async {
                env.sleep(Duration::from_secs(round)).await;
                must(&mut session, "COMMIT").await;
            };
            futures::join!(must(&mut other, "UPDATE t SET b = b + 1"), commit);
            if round == 1 {
                must(&mut session, "ALTER SYSTEM SET contention_events_max = 2").await;
            }
        }
        let waits = must(&mut session, "SELECT outcome, duration FROM meridian.contention").await;
        let waits: Vec<String> = waits.into_iter().map(|row| row.into_iter().flatten().collect()).collect();
        assert_eq!(waits.len(), 2, "{waits:?}");
        assert!(
            waits[0].starts_with("granted00:00:02") && waits[1].starts_with("granted00:00:03"),
            "{waits:?}"
        );
    });
}

#[test]
fn work_under_way_is_listed() {
    run(async |env, node| {
        let (mut session, mut other) = (connect(&node).await, connect(&node).await);
        must(&mut session, "CREATE TABLE t (a int PRIMARY KEY, b int)").await;
        must(&mut session, "INSERT INTO t SELECT i, i FROM generate_series(1, 20000) i").await;
        // Entries are sent ahead of the commit, which takes its time.
        must(&mut session, "ALTER SYSTEM SET transaction_buffer_size = '64kB'").await;
        let watch = async {
            let jobs = "SELECT kind, state, table_name, index_names, rows_done > 0 FROM meridian.jobs WHERE kind = 'fill indexes'";
            for _ in 0..10_000 {
                let rows = must(&mut other, jobs).await;
                if let Some(row) = rows.first().filter(|row| row[4].as_deref() == Some("t")) {
                    return row.clone();
                }
                env.sleep(Duration::from_micros(100)).await;
            }
            panic!("it is never listed");
        };
        let (_, seen) = futures::join!(must(&mut session, "CREATE INDEX i ON t (b)"), watch);
        let seen: Vec<String> = seen.into_iter().flatten().collect();
        assert_eq!(seen, ["fill indexes", "running", "t", "i", "t"]);
        assert!(
            must(&mut session, "SELECT 1 FROM meridian.jobs WHERE kind = 'fill indexes'").await.is_empty()
        );
    });
}
