//! What SQL says of placement reaches the layer below: records of spans in the keyspace, and ranges that end at their borders.

mod common;

use std::time::Duration;

use common::{connect, query};
use env::{Env, Simulation};
use kvclient::{Db, ScanOptions, TxnOptions};
use node::{Node, NodeConfig, World};
use pgserver::Session;
use placement::SpanConfig;
use storage::{MemoryDisk, MemoryOptions};

async fn must(session: &mut Box<dyn Session>, sql: &str) -> Vec<Vec<Option<String>>> {
    query(session, sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// The records: how long the span's first key is, which tells a table from an index, and what is wanted.
async fn records(db: &Db) -> Vec<(usize, Option<u8>, String, String)> {
    let txn = db.begin(TxnOptions { read_only: true, ..TxnOptions::default() });
    let mut scan = txn.scan(ScanOptions::forward(keys::system::config_span()));
    let mut found = Vec::new();
    while let Some(page) = scan.next_page(&txn).await.expect("readable") {
        for row in page.iter() {
            let start = keys::system::parse_config(row.key).expect("a configuration's key");
            let SpanConfig { span, config } =
                SpanConfig::decode(start, row.value.expect("a value")).expect("a configuration");
            let (constraints, leases) =
                (config.constraints.to_string(), config.lease_preferences.to_string());
            found.push((span.start.len(), config.replicas, constraints, leases));
        }
    }
    found
}

fn wanted(
    index: bool,
    replicas: Option<u8>,
    constraints: &str,
    leases: &str,
) -> (usize, Option<u8>, String, String) {
    (if index { 3 } else { 2 }, replicas, constraints.to_string(), leases.to_string())
}

#[test]
fn options_are_inherited_atomic_and_gone_with_what_had_them() {
    let simulation = Simulation::new(1);
    let env = simulation.machine();
    let engine = MemoryDisk::new().open(MemoryOptions::default()).expect("a new disk");
    let ended = simulation.block_on(Duration::from_secs(600), async move {
        let node = Node::start(&NodeConfig::default(), World::alone(env.clone(), engine)).await;
        let node = node.expect("it starts");
        let mut session = connect(&node).await;
        let s = &mut session;
        let db = &node.db;
        must(s, "CREATE TABLE plain (a int PRIMARY KEY)").await;
        must(s, "BEGIN; CREATE TABLE t (a int PRIMARY KEY, b int) WITH (replicas = 5); ROLLBACK").await;
        assert_eq!(records(db).await, []);
        must(s, "CREATE TABLE t (a int PRIMARY KEY, b int) WITH (replicas = 5)").await;
        assert_eq!(records(db).await, [wanted(false, Some(5), "", "")]);
        must(s, "CREATE INDEX i ON t (b) WITH (constraints = '2: zone=a')").await;
        let (table, index) = (wanted(true, Some(5), "", ""), wanted(true, Some(5), "2: zone=a", ""));
        assert_eq!(records(db).await, [table, index]);
        // The table, its index and what comes after it are ranges of their own.
        let before = node.store.descriptors().len();
        env.sleep(Duration::from_secs(20)).await;
        let after: Vec<_> = node.store.descriptors().into_iter().map(|(range, _)| range.span).collect();
        assert!(after.len() >= before && after.len() >= 7, "{after:?}");
        must(s, "BEGIN; SAVEPOINT s; ALTER TABLE t RESET (replicas); DROP INDEX i; ROLLBACK TO s; COMMIT")
            .await;
        assert_eq!(records(db).await.len(), 2);
        must(s, "ALTER DATABASE postgres WITH replicas 3 lease_preferences = 'zone=a'").await;
        let plain = wanted(false, Some(3), "", "zone=a");
        let table = wanted(true, Some(5), "", "zone=a");
        let index = wanted(true, Some(5), "2: zone=a", "zone=a");
        assert_eq!(records(db).await, [plain.clone(), table, index]);
        must(s, "CREATE TABLE later (a int)").await;
        must(s, "TRUNCATE t").await;
        assert_eq!(records(db).await.len(), 4);
        must(s, "DROP INDEX i").await;
        // What was emptied is stored elsewhere, after the others.
        assert_eq!(records(db).await, [plain.clone(), plain.clone(), wanted(false, Some(5), "", "zone=a")]);
        let refused = query(s, "ALTER INDEX t_pkey SET (constraints = '4: zone=a; 4: zone=b')").await;
        assert!(refused.expect_err("eight of five").starts_with("22023"));
        must(s, "DROP TABLE t").await;
        assert_eq!(records(db).await, [plain.clone(), plain]);
        must(s, "ALTER DATABASE postgres WITH replicas DEFAULT lease_preferences DEFAULT").await;
        assert_eq!(records(db).await, []);
        let answers = must(s, "SELECT count(*) FROM plain").await;
        assert_eq!(answers[0][0].as_deref(), Some("0"));
        node.stop().await.expect("it stops");
    });
    ended.expect("it ends, and nothing panics");
}
