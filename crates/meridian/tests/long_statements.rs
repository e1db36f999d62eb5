//! Statements that compute for long: everybody else is served meanwhile, and they end when their time is up, when they are cancelled,
//! and when their memory is used up.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use support::node;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls};

/// Statements that would run for minutes at least, each by another loop of the executor.
const ENDLESS: &[(&str, &str)] = &[
    (
        "recursion whose rows are counted",
        "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t",
    ),
    (
        "recursion without new rows that pass",
        "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT n FROM t WHERE n < 0",
    ),
    ("a series", "SELECT count(*) FROM generate_series(1, 1000000000000)"),
    ("a series in the list", "SELECT count(*) FROM (SELECT generate_series(1, 1000000000000)) s"),
    (
        "a cross join of which nothing passes",
        "SELECT count(*) FROM generate_series(1, 10000000) a, generate_series(1, 100000) b WHERE a + b < 0",
    ),
    (
        "an outer join by an inequality",
        "SELECT count(*) FROM generate_series(1, 10000000) a LEFT JOIN generate_series(1, 100000) b ON a + b < 0",
    ),
    (
        "a hash join of equal keys",
        "SELECT count(*) FROM (SELECT 1 AS k FROM generate_series(1, 100000)) a \
         JOIN (SELECT 1 AS k FROM generate_series(1, 1000000)) b USING (k)",
    ),
    (
        "a hash join whose condition fails",
        "SELECT count(*) FROM (SELECT 1 AS k, x FROM generate_series(1, 100000) x) a \
         JOIN (SELECT 1 AS k, y FROM generate_series(1, 1000000) y) b ON a.k = b.k AND x + y < 0",
    ),
    (
        "NOT IN with NULLs",
        "SELECT count(*) FROM generate_series(1, 1000000) a WHERE (a, a + 1) NOT IN \
         (SELECT b, NULL::int FROM generate_series(1, 1000000) b)",
    ),
    (
        "correlated subqueries",
        "SELECT sum((SELECT count(*) FROM generate_series(1, a) b WHERE b < 0)) FROM generate_series(1, 10000000) a",
    ),
    (
        "LATERAL",
        "SELECT count(*) FROM generate_series(1, 10000000) a, LATERAL (SELECT a + b AS c FROM generate_series(1, 10) b OFFSET 1) s \
         WHERE c < 0",
    ),
    ("DISTINCT of the same", "SELECT DISTINCT a % 10 FROM generate_series(1, 1000000000000) a"),
    ("UNION of the same", "SELECT a % 10 FROM generate_series(1, 1000000000000) a UNION SELECT 1"),
    ("EXCEPT", "SELECT a % 10 FROM generate_series(1, 1000000000000) a EXCEPT SELECT generate_series(0, 9)"),
    ("ORDER BY", "SELECT a FROM generate_series(1, 1000000000000) a ORDER BY -a % 1000 OFFSET 10"),
    ("ORDER BY with LIMIT", "SELECT a FROM generate_series(1, 1000000000000) a ORDER BY -a LIMIT 10"),
    ("groups", "SELECT a % 1000, count(*) FROM generate_series(1, 1000000000000) a GROUP BY 1"),
    (
        "frames that move",
        "SELECT sum(s) FROM (SELECT sum(a) OVER (ORDER BY a ROWS BETWEEN 100000 PRECEDING AND 1 PRECEDING) s \
         FROM generate_series(1, 1000000) a) t",
    ),
    ("OFFSET", "SELECT a FROM generate_series(1, 1000000000000) a OFFSET 999999999999"),
    (
        "long values, a batch of them",
        "SELECT count(*) FROM generate_series(1, 1000000) a WHERE length(repeat(a::text, 40000)) < 0",
    ),
];

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("connects");
    tokio::spawn(connection);
    client
}

/// What /health answers, and how fast.
fn health(port: u16) -> (String, Duration) {
    let began = Instant::now();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("can be set");
    stream.write_all(b"GET /health HTTP/1.0\r\nHost: x\r\n\r\n").expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    (answer, began.elapsed())
}

/// How late others may be served, and how late a statement may end, on a machine that has other things to do as well.
const PATIENCE: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn others_are_served_while_a_statement_computes_and_its_timeout_ends_it() {
    let server = node();
    let url = server.url();
    for (what, statement) in ENDLESS {
        let running = connect(&url).await;
        running.batch_execute("SET statement_timeout = '1s'").await.expect("is set");
        let task = tokio::spawn(async move {
            let began = Instant::now();
            (running.simple_query(statement).await, began.elapsed())
        });
        tokio::time::sleep(Duration::from_millis(300)).await;
        let began = Instant::now();
        let other = connect(&url).await;
        let row = other.query_one("SELECT 1", &[]).await.expect("is answered");
        assert_eq!(row.get::<_, i32>(0), 1);
        let answered = began.elapsed();
        let port = server.http_port;
        let (answer, healthy) = tokio::task::spawn_blocking(move || health(port)).await.expect("asks");
        assert!(answer.contains("200 OK"), "{what}: {answer}");
        let (result, took) = task.await.expect("runs");
        println!("{what}: another session {answered:?}, health {healthy:?}, ended after {took:?}");
        let error = result.expect_err("it would run for minutes");
        assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED), "{what}: {error:?}");
        assert!(answered < PATIENCE, "{what}: another session was answered after {answered:?}");
        assert!(healthy < PATIENCE, "{what}: /health answered after {healthy:?}");
        assert!(took < Duration::from_secs(1) + PATIENCE, "{what}: ended after {took:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_cancel_request_ends_a_recursion_and_its_memory_is_bounded() {
    let mut server = node();
    let running = connect(&server.url()).await;
    let token = running.cancel_token();
    let task = tokio::spawn(async move { running.simple_query(ENDLESS[0].1).await });
    tokio::time::sleep(Duration::from_secs(4)).await;
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.process().id())).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("Linux tells it");
    let kib: u64 = line.split_whitespace().nth(1).expect("a number").parse().expect("a number");
    println!("{kib} KiB at most");
    assert!(kib < 400 << 10, "{kib} KiB are resident: what does not fit belongs into a file");
    let began = Instant::now();
    token.cancel_query(NoTls).await.expect("is sent");
    let error = task.await.expect("runs").expect_err("it never ends");
    assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED));
    assert!(began.elapsed() < PATIENCE, "ended after {:?}", began.elapsed());
}

/// Where PostgreSQL's answer needs more memory than a statement may hold, it is told so before it is taken.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn values_that_do_not_fit_are_told_in_time() {
    let mut server = node();
    let client = connect(&server.url()).await;
    client.batch_execute("SET statement_timeout = '60s'").await.expect("is set");
    let too_large = &SqlState::OUT_OF_MEMORY;
    for statement in [
        "SELECT length(string_agg(repeat('x', 10000000), '')) FROM generate_series(1, 300)",
        "SELECT length(string_agg(repeat(a::text, 1000000), '')) FROM generate_series(1, 1200) a",
        "SELECT length(json_agg(repeat(a::text, 1000000))::text) FROM generate_series(1, 1200) a",
        "SELECT count(DISTINCT repeat(a::text, 1000000)) FROM generate_series(1, 1200) a",
        "SELECT length(array_to_string(array_agg(repeat(a::text, 1000000)), '')) FROM generate_series(1, 1200) a",
        "SELECT count(*) FROM (SELECT string_agg(a::text, '') OVER (ORDER BY a) s FROM generate_series(1, 100000) a) t",
        "SELECT array_length(array_fill(1, ARRAY[100000000]), 1)",
    ] {
        let error = client.simple_query(statement).await.expect_err(statement);
        assert_eq!(error.code(), Some(too_large), "{statement}: {error:?}");
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.process().id())).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("Linux tells it");
    let kib: u64 = line.split_whitespace().nth(1).expect("a number").parse().expect("a number");
    println!("{kib} KiB at most");
    assert!(kib < 2 << 20, "{kib} KiB were resident");
}
