//! Parts of statements on other nodes: the answers are those of one node, whatever happens meanwhile.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use env::{Env, RealEnv};
use support::cluster::{Cluster, meridian, must as run, until};
use tokio_postgres::{Client, SimpleQueryMessage};

/// Rows as text, or the error's code, message and position.
async fn answer(client: &Client, query: &str) -> Result<Vec<Vec<Option<String>>>, String> {
    match client.simple_query(query).await {
        Ok(messages) => {
            let rows = messages.iter().filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => {
                    Some((0..row.len()).map(|column| row.get(column).map(String::from)).collect())
                }
                _ => None,
            });
            Ok(rows.collect())
        }
        Err(error) => {
            let error = error.as_db_error().unwrap_or_else(|| panic!("{query}: {error}"));
            Err(format!("{}: {} {:?}", error.code().code(), error.message(), error.position()))
        }
    }
}

async fn must(client: &Client, query: &str) -> Vec<Vec<Option<String>>> {
    answer(client, query).await.unwrap_or_else(|error| panic!("{query}: {error}"))
}

/// The first column of the first row.
async fn value(client: &Client, query: &str) -> String {
    must(client, query).await[0][0].clone().unwrap_or_default()
}

/// What a query answers with and without other nodes' help.
async fn both(client: &Client, query: &str) -> Result<Vec<Vec<Option<String>>>, String> {
    must(client, "SET distributed_execution = off").await;
    let alone = answer(client, query).await;
    must(client, "SET distributed_execution = on").await;
    let together = answer(client, query).await;
    assert_eq!(together, alone, "{query}");
    together
}

/// The same within a transaction, where an error would end it.
async fn both_within(client: &Client, query: &str) {
    must(client, "SET LOCAL distributed_execution = off").await;
    let alone = must(client, query).await;
    must(client, "SET LOCAL distributed_execution = on").await;
    assert_eq!(must(client, query).await, alone, "{query}");
}

const ROWS: u32 = 24_000;

/// Sees to it that the leases of the tables' ranges lie on more nodes than one: balancing takes its time for so few.
async fn spread(env: &RealEnv, cluster: &Cluster, client: &Client) {
    let replicated = "SELECT count(*) = 13 AND count(leaseholder) = 13 AND bool_and(cardinality(replicas) = 3) \
                      FROM meridian.ranges WHERE table_name IN ('m', 'p')";
    until(env, "the ranges have their replicas", async || value(client, replicated).await == "t").await;
    let holders = "SELECT min(count) FROM (SELECT count(DISTINCT leaseholder) FROM meridian.ranges \
                                           WHERE table_name IN ('m', 'p') GROUP BY table_name) x";
    for attempt in 0..120 {
        if value(client, holders).await != "1" {
            return;
        }
        let rpc = cluster.rpc(1);
        let node = (attempt % 3 + 1).to_string();
        run(meridian().args(["node", "drain", &node, "--rpc", &rpc]));
        run(meridian().args(["node", "drain", &node, "--cancel", "--rpc", &rpc]));
        // Until the nodes know of each other who has how many: else the next one gives them all to the same.
        env.sleep(Duration::from_secs(1)).await;
    }
    panic!("one node has all leases whatever is drained");
}

/// Tables whose ranges' leases lie on several nodes: m, with an index, and p, some of whose key's first values lie in several ranges.
async fn cluster_with_tables(env: &RealEnv) -> Cluster {
    let cluster = Cluster::start(3);
    let client = cluster.connect(1).await;
    must(
        &client,
        "CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy'); \
         CREATE TABLE m (id int PRIMARY KEY, g int, s text, n numeric, f float8, d timestamptz, b bool, a int[], e mood, \
                         w text)",
    )
    .await;
    for part in 0..8 {
        let (from, to) = (part * ROWS / 8, (part + 1) * ROWS / 8 - 1);
        must(
            &client,
            &format!(
                "INSERT INTO m SELECT i, nullif(i % 17, 3), 'row ' || i % 1000, i * 1.25, i / 3.0, \
                        timestamptz '2024-01-01 00:00:00+00' + i * interval '1 minute', nullif(i % 5 = 0, i % 7 = 0), \
                        ARRAY[i, i % 10], (ARRAY['sad', 'ok', 'happy'])[i % 3 + 1]::mood, repeat('x', 100) \
                 FROM generate_series({from}, {to}) i"
            ),
        )
        .await;
    }
    let at: Vec<String> = (1..9).map(|part| format!("({})", part * ROWS / 9)).collect();
    must(&client, &format!("ALTER TABLE m SPLIT AT VALUES {}", at.join(", "))).await;
    must(&client, "CREATE INDEX m_s ON m (s)").await;
    must(&client, "CREATE TABLE p (g int, k int, v text, PRIMARY KEY (g, k))").await;
    must(&client, "INSERT INTO p SELECT i % 20, i / 20, 'p ' || i % 7 FROM generate_series(0, 5999) i").await;
    must(&client, "ALTER TABLE p SPLIT AT VALUES (3, 100), (3, 200), (7), (11, 50), (15)").await;
    spread(env, &cluster, &client).await;
    cluster
}

/// What can be sent, what cannot, and what is in between.
const QUERIES: &[&str] = &[
    "SELECT count(*) FROM m",
    "SELECT count(*), count(g), count(b), sum(g), sum(id::bigint), avg(id), sum(n), avg(n), min(s), max(s) FROM m",
    "SELECT min(d), max(d), min(f), max(f), bool_and(b), bool_or(b), every(b), bit_and(id), bit_or(id), bit_xor(id) FROM m",
    "SELECT stddev(id), variance(n), var_pop(g), stddev_pop(n) FROM m WHERE g > 3",
    "SELECT sum(f), avg(f), stddev(f), corr(f, id), regr_slope(f, id), covar_pop(f, id) FROM m",
    "SELECT count(*) FILTER (WHERE b), sum(id) FILTER (WHERE g IS NULL), max(n) FILTER (WHERE s LIKE '%7') FROM m",
    "SELECT g, count(*), sum(n), min(s), max(e) FROM m GROUP BY g",
    "SELECT g, b, count(*) FROM m GROUP BY g, b ORDER BY g DESC NULLS LAST, b",
    "SELECT s, count(*), sum(id) FROM m GROUP BY s HAVING sum(id) % 2 = 1 ORDER BY s LIMIT 20",
    "SELECT id, count(*) FROM m WHERE id % 3 = 0 GROUP BY id ORDER BY 1 LIMIT 5 OFFSET 7000",
    "SELECT n % 1, count(*) FROM m GROUP BY 1",
    "SELECT count(DISTINCT s), count(DISTINCT g), sum(DISTINCT g), array_agg(DISTINCT g) FROM m",
    "SELECT percentile_cont(0.3) WITHIN GROUP (ORDER BY f), percentile_disc(0.9) WITHIN GROUP (ORDER BY s), \
            mode() WITHIN GROUP (ORDER BY g), rank(500) WITHIN GROUP (ORDER BY id) FROM m",
    "SELECT string_agg(s, ',' ORDER BY id DESC) FROM m WHERE id % 1000 = 1",
    "SELECT array_agg(id) FROM m WHERE id % 997 = 0",
    "SELECT string_agg(s, ',') FROM m WHERE id % 997 = 0",
    "SELECT g, count(*) FROM m GROUP BY ROLLUP (g) ORDER BY g",
    "SELECT id FROM m WHERE s = 'row 77'",
    "SELECT id, upper(s), n + 1, a[1] FROM m WHERE g = 5 AND n > 100 AND id BETWEEN 4000 AND 19000",
    "SELECT * FROM m WHERE id % 1777 = 4",
    "SELECT id FROM m WHERE g IS NULL AND b IS NOT TRUE AND s <> 'row 3' AND id IN (3, 20, 37, 20403, 23001)",
    "SELECT id FROM m WHERE e = 'happy' AND e > 'ok' AND id % 1111 = 2",
    "SELECT id FROM m WHERE e::text = 'sad' AND id % 1111 = 0",
    "SELECT id, CASE g WHEN 1 THEN 'one' WHEN 2 THEN s ELSE coalesce(s, 'none') END FROM m WHERE id % 2345 < 3",
    "SELECT id FROM m WHERE s ~ '^row 9+$' AND id::text LIKE '%9%9'",
    "SELECT count(*) FROM m WHERE d > timestamptz '2024-01-05' AND d < now()",
    "SELECT count(*) FROM m WHERE d::date = '2024-01-06'",
    "SELECT count(*) FROM m WHERE 7 = ANY (a) OR a[2] = g",
    "SELECT id, n FROM m ORDER BY n DESC LIMIT 7",
    "SELECT id, g FROM m ORDER BY g NULLS FIRST LIMIT 12",
    "SELECT g, s FROM m WHERE b ORDER BY s, g LIMIT 10 OFFSET 30",
    "SELECT id, f * 2 FROM m ORDER BY f * 2 DESC LIMIT 3",
    "SELECT id FROM m LIMIT 3",
    "SELECT id FROM m WHERE g = 16 LIMIT 4",
    "SELECT id FROM m WHERE id > 23990 LIMIT 100",
    "SELECT id FROM m ORDER BY id DESC LIMIT 3",
    "SELECT count(*) FROM m x JOIN m y ON x.id = y.g WHERE x.b",
    "SELECT count(*) FROM m x WHERE EXISTS (SELECT 1 FROM m y WHERE y.g = x.id AND y.s = 'row 5')",
    "SELECT (SELECT max(id) FROM m), (SELECT count(*) FROM m WHERE id > (SELECT avg(id) FROM m))",
    "SELECT g, sum(id) OVER (ORDER BY g, id ROWS 2 PRECEDING) FROM m WHERE id % 4000 = 1",
    "SELECT 10 / (id - 12345) FROM m",
    "SELECT 10 / (id - 12345) FROM m LIMIT 10",
    "SELECT sum(10 / (id - 23456)) FROM m",
    "SELECT id FROM m WHERE 10 / (id - 5) > 0 LIMIT 1",
    "SELECT count(*) FROM m WHERE (s || 'x')::int > 3",
    "SELECT count(*) FROM m WHERE id > 1 / 0",
    "SELECT id FROM m WHERE id < 5 LIMIT -1",
    "SELECT sum(id * 1000000) FROM m",
    "WITH x AS (SELECT g, count(*) c FROM m GROUP BY g) SELECT sum(c) FROM x",
    "SELECT count(*) FROM (SELECT DISTINCT g, b FROM m) x",
    "SELECT id FROM m WHERE g = 4 EXCEPT SELECT id FROM m WHERE id > 300 ORDER BY 1",
    "SELECT id FROM m WHERE id < 23000 AND g = 16 ORDER BY id DESC LIMIT 4",
    "SELECT max(id), min(id) FROM m WHERE g = 7",
    "SELECT id, s FROM m WHERE b AND id BETWEEN 3 AND 22000 ORDER BY id DESC LIMIT 9 OFFSET 900",
    "SELECT id FROM m WHERE 10 / (id - 5) > 0 ORDER BY id DESC LIMIT 1",
    "SELECT id, n FROM m WHERE s = 'row 77'",
    "SELECT id, n * 2, upper(s) FROM m WHERE s = 'row 77' AND g > 3 LIMIT 5",
    "SELECT * FROM m WHERE s BETWEEN 'row 77' AND 'row 780' AND e::text <> 'sad' AND n > 9000",
    "SELECT sum(n), count(b) FROM m WHERE s LIKE 'row 12%' AND g IS DISTINCT FROM 4",
    "SELECT s, id, 100 / (g - 5) FROM m WHERE s > 'row 2' ORDER BY s LIMIT 30",
    "SELECT id, f FROM m WHERE s < 'row 2' AND b ORDER BY s DESC LIMIT 7",
    "SELECT i, m.n, m.s FROM generate_series(1, 700) i JOIN m ON m.id = i * 70 % 24001 WHERE m.g <> 3",
    "SELECT i, m.n FROM generate_series(1, 300) i LEFT JOIN m ON m.id = i * 97 AND m.b AND m.n > i",
    "SELECT i FROM generate_series(1, 300) i WHERE NOT EXISTS (SELECT 1 FROM m WHERE m.id = i * 97 AND m.g = 5)",
    "SELECT i FROM generate_series(1, 300) i WHERE EXISTS (SELECT 1 FROM m WHERE m.id = i * 97 AND 10 / (m.g - 5) > 0)",
    "SELECT i, m.id, m.d FROM generate_series(1, 90) i JOIN m ON m.s = 'row ' || i * 11 AND m.g < 9",
    "SELECT i, m.id FROM generate_series(90, 1, -1) i JOIN m ON m.s = 'row ' || i WHERE to_char(m.d, 'DD') < '09'",
    "SELECT i, p.k, p.v FROM generate_series(0, 40) i JOIN p ON p.g = i % 23 WHERE p.v <> 'p 3'",
    "SELECT i, (SELECT count(*) FROM p WHERE p.g = i AND p.v = 'p 1') FROM generate_series(1, 20) i",
    "SELECT a.k, m.s FROM p a JOIN p b ON b.g = a.k JOIN m ON m.id = b.k * 80 WHERE a.v = 'p 2' AND b.v = 'p 3' AND a.g = 6",
    "SELECT count(*), sum(m.n) FROM p JOIN m ON m.id = p.g * 1000 + p.k WHERE m.b AND p.v IN ('p 1', 'p 4')",
    "SELECT id FROM m WHERE id IN (SELECT k * 60 FROM p WHERE g = 3) AND g > 2 ORDER BY id",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_do_not_depend_on_which_nodes_take_part() {
    let env = RealEnv::new();
    let cluster = cluster_with_tables(&env).await;
    for node in 1..=3 {
        let client = cluster.connect(node).await;
        must(&client, "SET TimeZone = 'Europe/Berlin'; ANALYZE m; ANALYZE p").await;
        for query in QUERIES {
            drop(both(&client, query).await);
        }
        let plan = must(&client, "EXPLAIN SELECT g, count(*) FROM m WHERE n > 5 GROUP BY g").await;
        let lines: Vec<&str> = plan.iter().filter_map(|row| row[0].as_deref()).collect();
        let line = lines.iter().find(|line| line.trim_start().starts_with("Runs on: node "));
        let line = line.unwrap_or_else(|| panic!("{lines:?}"));
        let nodes = line.matches("node ").count();
        assert!(nodes >= 2 && line.ends_with("): filter, partial aggregate"), "{line}");
        where_lookups_run(&client).await;
        let plan = must(&client, "EXPLAIN (ANALYZE, TIMING off) SELECT count(n) FROM m").await;
        let lines: Vec<&str> = plan.iter().filter_map(|row| row[0].as_deref()).collect();
        assert!(lines.iter().any(|line| line.contains("Rows Read: ")), "{lines:?}");
        let off = "SET distributed_execution = off; EXPLAIN (ANALYZE) SELECT count(n) FROM m";
        let plan = must(&client, off).await;
        let none = |row: &Vec<Option<String>>| !row[0].as_deref().unwrap_or("").contains("node ");
        assert!(plan.iter().all(none), "{plan:?}");
    }
    own_writes_are_seen(&cluster).await;
    past_and_other_levels(&cluster).await;
    time_is_up(&cluster).await;
}

/// The lines of EXPLAIN about what is looked up.
async fn where_lookups_run(client: &Client) {
    let cases = [
        (
            "SELECT m.n FROM generate_series(1, 300) i JOIN m ON m.id = i * 70 WHERE m.b",
            "Lookup Join",
            "): lookup, filter, projection",
        ),
        (
            "SELECT m.n FROM generate_series(1, 30) i JOIN m ON m.s = 'row ' || i",
            "Lookup Join",
            "): fetch, projection",
        ),
        (
            "SELECT n FROM m WHERE s BETWEEN 'row 77' AND 'row 79' AND g > 3",
            "Index Scan using m_s",
            "): fetch, filter, projection",
        ),
        (
            "SELECT id FROM m WHERE g = 5 ORDER BY id DESC LIMIT 2",
            "Index Scan Backward",
            "): filter, projection",
        ),
    ];
    for (query, operator, end) in cases {
        let plan = must(client, &format!("EXPLAIN {query}")).await;
        let lines: Vec<&str> = plan.iter().filter_map(|row| row[0].as_deref()).collect();
        assert!(lines.iter().any(|line| line.contains(operator)), "{query}: {lines:?}");
        let line = lines.iter().find(|line| line.trim_start().starts_with("Runs on: node "));
        let line = line.unwrap_or_else(|| panic!("{query}: {lines:?}"));
        assert!(line.matches("node ").count() >= 2 && line.ends_with(end), "{query}: {line}");
        let plan = must(client, &format!("EXPLAIN (ANALYZE, TIMING off) {query}")).await;
        let lines: Vec<&str> = plan.iter().filter_map(|row| row[0].as_deref()).collect();
        let has_answered = lines.iter().any(|line| line.contains("Rows Read: "));
        assert!(has_answered || operator == "Index Scan Backward", "{query}: {lines:?}");
    }
}

/// Rows that a transaction has written and not sent yet, changed, deleted, given up again.
async fn own_writes_are_seen(cluster: &Cluster) {
    let client = cluster.connect(2).await;
    let looks = [
        "SELECT count(*), sum(id), sum(n), max(s) FROM m",
        "SELECT g, count(*) FROM m WHERE id % 2 = 1 GROUP BY g ORDER BY g",
        "SELECT id, s FROM m ORDER BY n DESC LIMIT 5",
        "SELECT id FROM m WHERE s LIKE 'new%' OR g = 99",
        "SELECT id, n FROM m WHERE s > 'new' AND s < 'row 15' AND g IS DISTINCT FROM 3",
        "SELECT id, s FROM m WHERE g > 8 ORDER BY id DESC LIMIT 700",
        "SELECT i, m.s, m.g FROM generate_series(0, 800) i JOIN m ON m.id = i * 30 + 7 WHERE m.g > 5",
        "SELECT i, m.id FROM generate_series(1, 300) i JOIN m ON m.s = 'new ' || i * 1500 + 7 OR m.s = 'row ' || i",
        "SELECT i, m.id, m.n FROM generate_series(1, 99) i LEFT JOIN m ON m.s = 'row ' || i AND m.g <> 4",
        "SELECT i, p.k FROM generate_series(0, 19) i JOIN p ON p.g = i WHERE p.v = 'p 3' OR p.v = 'own'",
    ];
    must(&client, "BEGIN").await;
    must(&client, "UPDATE m SET g = 99, s = 'new ' || id WHERE id % 1500 = 7").await;
    must(&client, "DELETE FROM m WHERE id BETWEEN 9000 AND 9100").await;
    must(&client, "DELETE FROM p WHERE k % 50 = 7; UPDATE p SET v = 'own' WHERE g = 11 AND k > 280").await;
    must(&client, "INSERT INTO p VALUES (3, 1000, 'own'), (4, -1, 'own')").await;
    must(&client, "INSERT INTO m (id, n, s) VALUES (-5, 1e6, 'new'), (1000000, 2e6, 'newest')").await;
    for look in looks {
        both_within(&client, look).await;
    }
    let count = value(&client, "SELECT count(*) FROM m").await;
    assert_eq!(count, (ROWS - 101 + 2).to_string());
    must(&client, "SAVEPOINT a; DELETE FROM m WHERE id > 15000").await;
    for look in looks {
        both_within(&client, look).await;
    }
    must(&client, "ROLLBACK TO a").await;
    assert_eq!(value(&client, "SELECT count(*) FROM m").await, count);
    for look in looks {
        both_within(&client, look).await;
    }
    must(&client, "ROLLBACK").await;
    assert_eq!(value(&client, "SELECT count(*) FROM m").await, ROWS.to_string());
    // What is read is not what is being written.
    must(&client, "BEGIN; INSERT INTO m (id, g) SELECT id + 100000, 1 FROM m WHERE g = 2").await;
    both_within(&client, "SELECT g, count(*) FROM m WHERE g < 3 GROUP BY g").await;
    must(&client, "ROLLBACK").await;
}

async fn past_and_other_levels(cluster: &Cluster) {
    let client = cluster.connect(1).await;
    let other = cluster.connect(3).await;
    must(&client, "BEGIN ISOLATION LEVEL REPEATABLE READ").await;
    let before = value(&client, "SELECT sum(id) FROM m WHERE s <> 'x'").await;
    // What comes within the clocks' uncertainty may be taken for older, and is refused at this level.
    RealEnv::new().sleep(Duration::from_secs(1)).await;
    must(&other, "UPDATE m SET id = id + 10000000 WHERE id = 4321").await;
    let again = value(&client, "SELECT sum(id) FROM m WHERE s <> 'x'").await;
    assert_eq!(again, before, "one snapshot");
    must(&client, "COMMIT").await;
    assert_ne!(value(&client, "SELECT sum(id) FROM m WHERE s <> 'x'").await, before);
    must(&other, "UPDATE m SET id = 4321 WHERE id = 10004321").await;
    both(&client, "SELECT count(*), sum(id) FROM m AS OF SYSTEM TIME '-4s' WHERE s <> 'x'")
        .await
        .expect("it is there");
}

/// A statement that has no time left ends, on the other nodes too, and the session goes on.
async fn time_is_up(cluster: &Cluster) {
    let env = RealEnv::new();
    let client = cluster.connect(1).await;
    must(&client, "SET statement_timeout = '150ms'").await;
    let heavy = "SELECT count(*) FROM m WHERE md5(repeat(w, 400)) < md5(repeat(s, 1000))";
    let begun = env.monotonic();
    let ended = answer(&client, heavy).await;
    assert!(ended.as_ref().is_err_and(|error| error.starts_with("57014")), "{ended:?}");
    assert!(env.monotonic() - begun < Duration::from_secs(30));
    must(&client, "SET statement_timeout = 0").await;
    assert_eq!(value(&client, "SELECT count(*) FROM m").await, ROWS.to_string());
    let lookups = "SELECT count(*) FROM generate_series(0, 23999) i JOIN m ON m.id = i \
                   WHERE md5(repeat(w, 400)) < md5(repeat(s, 1000))";
    must(&client, "SET statement_timeout = '150ms'").await;
    let ended = answer(&client, lookups).await;
    assert!(ended.as_ref().is_err_and(|error| error.starts_with("57014")), "{ended:?}");
    must(&client, "SET statement_timeout = 0").await;
    let token = client.cancel_token();
    let cancelling = async {
        env.sleep(Duration::from_millis(100)).await;
        token.cancel_query(tokio_postgres::NoTls).await.expect("it is asked");
    };
    let (ended, ()) = tokio::join!(answer(&client, heavy), cancelling);
    assert!(ended.as_ref().is_err_and(|error| error.starts_with("57014")), "{ended:?}");
    assert_eq!(value(&client, "SELECT count(*) FROM m").await, ROWS.to_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_dies_within_a_statement_costs_no_wrong_answer() {
    let env = RealEnv::new();
    let cluster = cluster_with_tables(&env).await;
    let client = cluster.connect(1).await;
    let queries = [
        "SELECT g, count(*), sum(n), max(s) FROM m WHERE md5(w) <> s GROUP BY g ORDER BY g",
        "SELECT count(*), sum(m.n) FROM generate_series(0, 5999) i JOIN m ON m.id = i * 4 WHERE md5(m.w) <> m.s",
        "SELECT count(*), sum(n) FROM (SELECT n FROM m WHERE s > 'row 5' AND s < 'row 7' AND md5(w) <> s) x",
        "SELECT i, p.v, count(*) FROM generate_series(0, 30) i JOIN p ON p.g = i WHERE md5(p.v) <> '' GROUP BY 1, 2 \
         ORDER BY 1, 2",
    ];
    let mut expected = Vec::new();
    for query in queries {
        expected.push(must(&client, query).await);
    }
    let ended = Arc::new(AtomicBool::new(false));
    let asked = {
        let (ended, expected) = (ended.clone(), expected.clone());
        let shared: Arc<dyn Env> = env.clone();
        env::spawn_with_result(&shared, "asking", async move {
            let (mut right, mut failed) = (0, Vec::new());
            while !ended.load(Ordering::Relaxed) {
                for (query, expected) in queries.iter().zip(&expected) {
                    match answer(&client, query).await {
                        Ok(rows) => {
                            assert_eq!(rows, *expected, "{query}");
                            right += 1;
                        }
                        Err(error) => failed.push(error),
                    }
                }
            }
            (client, right, failed)
        })
    };
    for node in [2, 3] {
        env.sleep(Duration::from_millis(700)).await;
        cluster.node_command("kill", node);
        env.sleep(Duration::from_secs(4)).await;
        cluster.node_command("restart", node);
        env.sleep(Duration::from_secs(3)).await;
    }
    ended.store(true, Ordering::Relaxed);
    let (client, right, failed) = asked.await.expect("it ends");
    assert!(right > 5, "{right} right, {failed:?}");
    for (query, expected) in queries.iter().zip(&expected) {
        assert_eq!(must(&client, query).await, *expected, "{query}");
    }
    println!("{right} right answers, {} errors: {failed:?}", failed.len());
}
