//! What becomes of the rows of tables that were dropped, truncated or rewritten: in virtual time, on one node.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::connect;
use env::{Env, Simulation};
use keys::{TableId, table};
use kvclient::{ScanOptions, TxnOptions};
use node::{Node, NodeConfig, World};
use pgserver::{ResultSink, Session};
use storage::{MemoryDisk, MemoryOptions};

const TIME_TO_LIVE: Duration = Duration::from_secs(60);

/// Runs a test against a fresh node whose garbage lives for a minute.
fn run<Fut: Future<Output = ()> + Send + 'static>(
    test: impl FnOnce(Arc<dyn Env>, Node) -> Fut + Send + 'static,
) {
    let simulation = Simulation::new(1);
    let env: Arc<dyn Env> = simulation.machine();
    let engine = MemoryDisk::new().open(MemoryOptions::default()).expect("a new disk");
    let config = NodeConfig { gc_ttl: TIME_TO_LIVE, ..NodeConfig::default() };
    let ended = simulation.block_on(Duration::from_secs(7200), async move {
        let node = Node::start(&config, World::alone(env.clone(), engine)).await.expect("it starts");
        test(env, node).await;
    });
    ended.expect("it ends, and nothing panics");
}

async fn execute(session: &mut Box<dyn Session>, sql: &str) {
    let result = session.simple_query(sql, &mut ResultSink::in_memory()).await;
    result.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// Rows in the keyspaces of user tables, whether a table still has them or not.
async fn stored_rows(node: &Node) -> usize {
    let txn = node.db.begin(TxnOptions::default());
    let first_of_users = table::table_span(TableId(100)).start;
    let span = keys::Span { start: first_of_users, end: table::SPAN.end };
    let mut scan = txn.scan(ScanOptions::forward(span));
    let mut rows = 0;
    while let Some(page) = scan.next_page(&txn).await.expect("it can be read") {
        rows += page.len();
    }
    rows
}

#[test]
fn rows_of_dropped_truncated_and_rewritten_tables_go_when_no_snapshot_can_read_them() {
    run(async |env, node| {
        let mut session = connect(&node).await;
        for table in ["dropped", "emptied", "moved"] {
            execute(&mut session, &format!("CREATE TABLE {table} (a int)")).await;
            execute(&mut session, &format!("INSERT INTO {table} SELECT generate_series(1, 3000)")).await;
        }
        assert_eq!(stored_rows(&node).await, 9000);
        execute(&mut session, "DROP TABLE dropped").await;
        execute(&mut session, "TRUNCATE emptied").await;
        // At this level a transaction may write nothing that has changed since it began.
        execute(&mut session, "SET default_transaction_isolation = 'repeatable read'").await;
        execute(&mut session, "ALTER TABLE moved ADD PRIMARY KEY (a)").await;
        assert_eq!(stored_rows(&node).await, 12_000, "the rewritten rows stand beside the old ones");
        env.sleep(TIME_TO_LIVE / 2).await;
        assert_eq!(stored_rows(&node).await, 12_000, "older snapshots may still want them");
        env.sleep(TIME_TO_LIVE).await;
        assert_eq!(stored_rows(&node).await, 3000, "only what a table has is left");
        execute(&mut session, "INSERT INTO emptied SELECT a FROM moved").await;
        assert_eq!(stored_rows(&node).await, 6000);
    });
}

#[test]
fn temporary_tables_leave_nothing_behind() {
    run(async |env, node| {
        let mut session = connect(&node).await;
        execute(&mut session, "CREATE TEMPORARY TABLE t AS SELECT generate_series(1, 1000)").await;
        assert_eq!(stored_rows(&node).await, 1000);
        drop(session);
        env.sleep(Duration::from_secs(1)).await;
        assert_eq!(stored_rows(&node).await, 0);
    });
}

#[test]
fn a_keyspace_that_is_being_filled_is_nobodys_garbage_however_long_it_takes() {
    run(async |env, node| {
        let storage_id = 20_000;
        let rewrite = node.sql.garbage.begin_rewrite(storage_id).await.expect("it is noted");
        let txn = node.db.begin(TxnOptions::default());
        txn.put(&table::table_span(TableId(storage_id)).start, b"row").expect("it is written");
        txn.commit().await.expect("it commits");
        for _ in 0..20 {
            env.sleep(TIME_TO_LIVE / 2).await;
            assert!(rewrite.deadline() > node.db.now(), "it could be put to use now");
            assert_eq!(stored_rows(&node).await, 1);
        }
        drop(rewrite);
        env.sleep(TIME_TO_LIVE * 2).await;
        assert_eq!(stored_rows(&node).await, 0, "given up");
    });
}
