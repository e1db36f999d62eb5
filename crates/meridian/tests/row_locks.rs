//! Sessions that wait for one another's row locks, on a real node. What can be told without waiting is in `sql-tests/row_locks.slt`.

mod support;

use std::future::Future;
use std::time::Duration;

use support::node;
use tokio_postgres::{Client, NoTls};

/// What a statement that ought to wait is given before it is held to wait.
const WAITS: Duration = Duration::from_millis(400);
/// What nobody waits longer for.
const LIMIT: Duration = Duration::from_secs(10);

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("it lets in");
    tokio::spawn(connection);
    client
}

/// Runs statements; the SQLSTATE of an error.
async fn run(client: &Client, sql: &str) -> Result<(), String> {
    let outcome = tokio::time::timeout(LIMIT, client.batch_execute(sql)).await;
    let outcome = outcome.unwrap_or_else(|_| panic!("{sql}: no answer in time"));
    outcome.map_err(|error| error.code().map_or(error.to_string(), |code| code.code().to_string()))
}

async fn good(client: &Client, sql: &str) {
    run(client, sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// Starts what must wait for `meanwhile`. Answers with what came of it.
async fn waits<T>(waiter: impl Future<Output = T>, meanwhile: impl Future<Output = ()>) -> T {
    let mut waiter = std::pin::pin!(waiter);
    if tokio::time::timeout(WAITS, &mut waiter).await.is_ok() {
        panic!("it did not wait");
    }
    let (outcome, ()) = tokio::join!(waiter, meanwhile);
    outcome
}

async fn orphans(client: &Client) -> i64 {
    let sql = "SELECT count(*) FROM ch WHERE NOT EXISTS (SELECT FROM pa WHERE pa.k = ch.k)
               AND ch.k IS NOT NULL OR NOT EXISTS (SELECT FROM pa WHERE pa.id = ch.p) AND ch.p IS NOT NULL";
    client.query_one(sql, &[]).await.expect("a count").get(0)
}

const LEVELS: [&str; 3] = ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"];

/// Every pair of isolation levels, every way to take a parent's key away, both orders: no child ever stays without parent, and nobody hangs.
#[tokio::test]
async fn a_parent_never_goes_while_a_child_comes() {
    let meridian = node();
    let (a, b) = (connect(&meridian.url()).await, connect(&meridian.url()).await);
    good(&a, "CREATE TABLE pa (id int PRIMARY KEY, k int UNIQUE, v text)").await;
    good(&a, "CREATE TABLE ch (k int REFERENCES pa (k), p int REFERENCES pa (id))").await;
    let ways = [
        ("UPDATE pa SET k = 77 WHERE id = 1", "k"),
        ("UPDATE pa SET v = 'z' WHERE id = 1; UPDATE pa SET k = 77 WHERE id = 1", "k"),
        ("UPDATE pa SET v = 'z' WHERE id = 1; DELETE FROM pa WHERE id = 1", "k"),
        ("UPDATE pa SET v = 'z'; DELETE FROM pa", "p"),
        ("UPDATE pa SET v = 'z' WHERE id = 1; DELETE FROM pa WHERE id = 1", "p"),
        ("UPDATE pa SET v = 'z' WHERE k = 1; UPDATE pa SET id = 2 WHERE id = 1", "p"),
        ("DELETE FROM pa WHERE k = 1", "p"),
    ];
    for (level_a, level_b) in LEVELS.iter().flat_map(|a| LEVELS.iter().map(move |b| (a, b))) {
        for (change, column) in ways {
            let told = format!("{change}, {column}, {level_a}, {level_b}");
            let fresh = "DELETE FROM ch; DELETE FROM pa; INSERT INTO pa VALUES (1, 1, 'v')";
            let insert = format!("INSERT INTO ch ({column}) VALUES (1)");
            let set = |level: &str| format!("BEGIN ISOLATION LEVEL {level}; SELECT count(*) FROM pa");

            // The parent changes first.
            good(&a, fresh).await;
            good(&b, &set(level_b)).await;
            good(&a, &set(level_a)).await;
            good(&a, change).await;
            let inserted = waits(run(&b, &insert), good(&a, "COMMIT")).await;
            let expected = if *level_b == "READ COMMITTED" { "23503" } else { "40001" };
            assert_eq!(inserted, Err(expected.to_string()), "{told}");
            good(&b, "ROLLBACK").await;
            assert_eq!(orphans(&a).await, 0, "{told}");

            // The child comes first.
            good(&a, fresh).await;
            good(&a, &set(level_a)).await;
            good(&b, &set(level_b)).await;
            good(&b, &insert).await;
            let changed = waits(run(&a, change), good(&b, "COMMIT")).await;
            let changed = match changed {
                Ok(()) => run(&a, "COMMIT").await,
                Err(error) => {
                    good(&a, "ROLLBACK").await;
                    Err(error)
                }
            };
            let error = changed.expect_err(&told);
            let expected = if *level_a == "READ COMMITTED" { &["23503"][..] } else { &["23503", "40001"] };
            assert!(expected.contains(&error.as_str()), "{error}: {told}");
            assert_eq!(orphans(&a).await, 0, "{told}");
        }
    }
}

/// A parent key that moves from one row to another is found where it is.
#[tokio::test]
async fn a_child_finds_a_key_that_has_moved_to_another_row() {
    let meridian = node();
    let (a, b) = (connect(&meridian.url()).await, connect(&meridian.url()).await);
    good(&a, "CREATE TABLE pa (id int PRIMARY KEY, k int UNIQUE); INSERT INTO pa VALUES (1, 1)").await;
    good(&a, "CREATE TABLE ch (k int REFERENCES pa (k))").await;
    good(&a, "BEGIN ISOLATION LEVEL READ COMMITTED; DELETE FROM pa; INSERT INTO pa VALUES (2, 1)").await;
    let insert = "SET default_transaction_isolation = 'read committed'; INSERT INTO ch VALUES (1)";
    assert_eq!(waits(run(&b, insert), good(&a, "COMMIT")).await, Ok(()));
    good(&a, "BEGIN ISOLATION LEVEL READ COMMITTED; INSERT INTO pa VALUES (3, 3); INSERT INTO ch VALUES (3); COMMIT").await;
    let error = run(&a, "DELETE FROM pa WHERE id = 3").await;
    assert_eq!(error, Err("23503".to_string()));
}

/// The victim of a deadlock holds nothing, though its client has not said ROLLBACK.
#[tokio::test]
async fn the_victim_of_a_deadlock_is_out_of_the_way_at_once() {
    let meridian = node();
    let (a, b) = (connect(&meridian.url()).await, connect(&meridian.url()).await);
    good(&a, "CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 0), (2, 0)").await;
    good(&a, "BEGIN ISOLATION LEVEL READ COMMITTED; UPDATE t SET n = 1 WHERE id = 1").await;
    good(&b, "BEGIN ISOLATION LEVEL READ COMMITTED; UPDATE t SET n = 1 WHERE id = 2").await;
    let first = run(&a, "UPDATE t SET n = 2 WHERE id = 2");
    let second = async {
        tokio::time::sleep(WAITS).await;
        run(&b, "UPDATE t SET n = 2 WHERE id = 1").await
    };
    let (first, second) = tokio::join!(first, second);
    let mut outcomes = [first, second];
    outcomes.sort();
    assert_eq!(outcomes, [Ok(()), Err("40P01".to_string())]);
}

/// A foreign key check shares the row and a DELETE waits for it: what conflicts with neither goes through, as in PostgreSQL.
#[tokio::test]
async fn an_update_that_leaves_the_key_passes_a_waiting_delete() {
    let meridian = node();
    let (a, b, c) =
        (connect(&meridian.url()).await, connect(&meridian.url()).await, connect(&meridian.url()).await);
    good(&a, "CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 0)").await;
    good(&a, "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT FROM t WHERE id = 1 FOR KEY SHARE").await;
    let delete = "SET default_transaction_isolation = 'read committed'; DELETE FROM t WHERE id = 1";
    let meanwhile = async {
        good(&c, "SET lock_timeout = '2s'; BEGIN ISOLATION LEVEL READ COMMITTED").await;
        good(&c, "UPDATE t SET n = n + 1 WHERE id = 1; SELECT FROM t WHERE id = 1 FOR KEY SHARE").await;
        good(&c, "COMMIT").await;
        good(&a, "COMMIT").await;
    };
    assert_eq!(waits(run(&b, delete), meanwhile).await, Ok(()));
    let rows: i64 = a.query_one("SELECT count(*) FROM t", &[]).await.expect("a count").get(0);
    assert_eq!(rows, 0);
}

/// Errors that come by the extended protocol, before anything is executed, end what was held as well.
#[tokio::test]
async fn a_statement_that_cannot_be_parsed_gives_back_locks_too() {
    let meridian = node();
    let (a, b) = (connect(&meridian.url()).await, connect(&meridian.url()).await);
    good(&a, "CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 0)").await;
    for mistake in ["SELEC 1", "SELECT 1/0", "SELECT nothing"] {
        good(&a, "BEGIN; UPDATE t SET n = 1 WHERE id = 1").await;
        assert!(a.query(mistake, &[]).await.is_err());
        good(&b, "SET lock_timeout = '2s'; UPDATE t SET n = n + 10 WHERE id = 1").await;
        good(&a, "ROLLBACK").await;
    }
    let n: i32 = a.query_one("SELECT n FROM t", &[]).await.expect("a row").get(0);
    assert_eq!(n, 30);
}
