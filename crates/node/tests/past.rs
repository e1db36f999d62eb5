//! AS OF SYSTEM TIME: in virtual time, on one node.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::connect;
use env::{Env, Simulation};
use node::{Node, NodeConfig, World};
use pgserver::{ResultSink, Session};
use storage::{MemoryDisk, MemoryOptions};
use types::{PgError, SqlState};

const TIME_TO_LIVE: Duration = Duration::from_secs(600);

fn run<Fut: Future<Output = ()> + Send + 'static>(
    test: impl FnOnce(Arc<dyn Env>, Box<dyn Session>, Node) -> Fut + Send + 'static,
) {
    let simulation = Simulation::new(1);
    let env: Arc<dyn Env> = simulation.machine();
    let engine = MemoryDisk::new().open(MemoryOptions::default()).expect("a new disk");
    let config = NodeConfig { gc_ttl: TIME_TO_LIVE, ..NodeConfig::default() };
    let ended = simulation.block_on(Duration::from_secs(7200), async move {
        let node = Node::start(&config, World::alone(env.clone(), engine)).await.expect("it starts");
        let session = connect(&node).await;
        test(env, session, node).await;
    });
    ended.expect("it ends, and nothing panics");
}

/// The rows among messages to the client: columns parted by `|`, rows by `;`.
fn rows(mut output: &[u8]) -> String {
    let mut rows = Vec::new();
    while let [kind, rest @ ..] = output {
        let length = u32::from_be_bytes(rest[..4].try_into().expect("four bytes")) as usize;
        let (mut body, after) = (&rest[4..length], &rest[length..]);
        output = after;
        if *kind != b'D' {
            continue;
        }
        let mut columns = Vec::new();
        body = &body[2..];
        while !body.is_empty() {
            let length = i32::from_be_bytes(body[..4].try_into().expect("four bytes"));
            let value = usize::try_from(length).ok().map(|length| &body[4..4 + length]);
            columns
                .push(value.map_or("NULL".to_string(), |value| String::from_utf8_lossy(value).into_owned()));
            body = &body[4 + value.map_or(0, <[u8]>::len)..];
        }
        rows.push(columns.join("|"));
    }
    rows.join(";")
}

async fn ask(session: &mut Box<dyn Session>, sql: &str) -> Result<String, PgError> {
    let mut sink = ResultSink::in_memory();
    session.simple_query(sql, &mut sink).await?;
    Ok(rows(sink.output()))
}

async fn told(session: &mut Box<dyn Session>, sql: &str) -> String {
    ask(session, sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"))
}

async fn refused(session: &mut Box<dyn Session>, sql: &str, code: SqlState, words: &str) {
    let error = ask(session, sql).await.expect_err(sql);
    assert_eq!(error.code(), code, "{sql}: {error}");
    assert!(error.message().contains(words), "{sql}: {error}");
}

async fn prepared(session: &mut Box<dyn Session>, sql: &str) -> Result<String, PgError> {
    ask(session, &format!("PREPARE q AS {sql}")).await?;
    let answer = ask(session, "EXECUTE q").await;
    ask(session, "DEALLOCATE q").await?;
    answer
}

#[test]
fn every_form_of_a_time_is_understood() {
    run(async |env, mut session, _| {
        told(&mut session, "CREATE TABLE t (k int PRIMARY KEY, v text)").await;
        told(&mut session, "INSERT INTO t VALUES (1, 'old')").await;
        env.sleep(Duration::from_secs(10)).await;
        let stamp = told(&mut session, "SELECT clock_timestamp()").await;
        let micros =
            told(&mut session, "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::int8").await;
        env.sleep(Duration::from_secs(10)).await;
        told(&mut session, "UPDATE t SET v = 'new'").await;
        for time in [
            "'-5s'",
            "'-5 s'::interval",
            "interval '-5 seconds'",
            "clock_timestamp() - interval '5 s'",
            "now() - '5 s'::interval",
            "follower_read_timestamp()",
            &format!("'{stamp}'"),
            &format!("timestamptz '{stamp}'"),
            &format!("{micros}000"),
            &format!("{micros}000.0000000001"),
            &format!("'{micros}000.0000000001'"),
        ] {
            let sql = format!("SELECT v FROM t AS OF SYSTEM TIME {time} WHERE k = 1 ORDER BY v");
            assert_eq!(told(&mut session, &sql).await, "old", "{sql}");
            assert_eq!(prepared(&mut session, &sql).await.expect(&sql), "old", "{sql}");
        }
        assert_eq!(told(&mut session, "SELECT v FROM t").await, "new");
        // An alias called `of` is still one.
        assert_eq!(told(&mut session, "SELECT x.v FROM t AS x AS OF SYSTEM TIME '-5s'").await, "old");
        assert_eq!(told(&mut session, "SELECT v AS of FROM t AS system").await, "new");
        let both = "SELECT v FROM t AS OF SYSTEM TIME '-5s' UNION ALL SELECT v || '!' FROM t ORDER BY 1";
        assert_eq!(told(&mut session, both).await, "old;old!", "all of a statement reads the same time");
        for (time, words) in [
            ("'5s'", "future"),
            ("now() + '1 s'", "future"),
            ("'infinity'", "future"),
            ("'-11 minutes'", "further back"),
            ("'-infinity'", "further back"),
            ("0", "further back"),
            ("'sometime'", "must be a timestamp"),
            ("NULL::timestamptz", "must be a timestamp"),
            ("-5", "must be a timestamp"),
        ] {
            let sql = format!("SELECT v FROM t AS OF SYSTEM TIME {time}");
            refused(&mut session, &sql, SqlState::INVALID_PARAMETER_VALUE, words).await;
        }
        let wrong = "SELECT v FROM t AS OF SYSTEM TIME true";
        refused(&mut session, wrong, SqlState::DATATYPE_MISMATCH, "constant timestamp").await;
        refused(
            &mut session,
            "SELECT v FROM t AS OF SYSTEM TIME $1",
            SqlState::FEATURE_NOT_SUPPORTED,
            "parameter",
        )
        .await;
    });
}

#[test]
fn a_transaction_of_the_past_reads_one_time_and_writes_nothing() {
    run(async |env, mut session, node| {
        told(&mut session, "CREATE TABLE t (k int PRIMARY KEY, v text)").await;
        told(&mut session, "INSERT INTO t VALUES (1, 'old')").await;
        env.sleep(Duration::from_secs(10)).await;
        let mut other = connect(&node).await;
        for begin in [
            "BEGIN AS OF SYSTEM TIME '-5s'",
            "START TRANSACTION READ ONLY, AS OF SYSTEM TIME follower_read_timestamp()",
            "BEGIN ISOLATION LEVEL REPEATABLE READ; SET TRANSACTION AS OF SYSTEM TIME '-5s'",
        ] {
            told(&mut session, begin).await;
            told(&mut other, "UPDATE t SET v = v || '+'").await;
            assert_eq!(told(&mut session, "SELECT v FROM t").await, "old", "{begin}");
            assert_eq!(told(&mut session, "SHOW transaction_read_only").await, "on");
            // Nobody waits for it.
            told(&mut other, "ALTER TABLE t ADD COLUMN w int; ALTER TABLE t DROP COLUMN w").await;
            env.sleep(Duration::from_secs(1)).await;
            assert_eq!(told(&mut session, "SELECT * FROM t").await, "1|old", "{begin}");
            told(&mut session, "COMMIT").await;
            told(&mut other, "UPDATE t SET v = 'old'").await;
            env.sleep(Duration::from_secs(10)).await;
        }
        for write in
            ["INSERT INTO t VALUES (2, 'x')", "CREATE TABLE u ()", "SELECT * FROM t FOR UPDATE", "TRUNCATE t"]
        {
            told(&mut session, "BEGIN AS OF SYSTEM TIME '-5s'").await;
            refused(&mut session, write, SqlState::READ_ONLY_SQL_TRANSACTION, "read-only").await;
            told(&mut session, "ROLLBACK").await;
        }
        let read_write = "BEGIN READ WRITE AS OF SYSTEM TIME '-5s'";
        refused(&mut session, read_write, SqlState::READ_ONLY_SQL_TRANSACTION, "READ WRITE").await;
        assert_eq!(told(&mut session, "SELECT count(*) FROM t").await, "1", "no transaction is left open");
        for late in ["SET TRANSACTION AS OF SYSTEM TIME '-5s'", "SELECT * FROM t AS OF SYSTEM TIME '-5s'"] {
            told(&mut session, "BEGIN; SELECT 1").await;
            refused(&mut session, late, SqlState::ACTIVE_SQL_TRANSACTION, "AS OF SYSTEM TIME").await;
            told(&mut session, "ROLLBACK").await;
        }
        let writes = "INSERT INTO t SELECT k + 10, v FROM t AS OF SYSTEM TIME '-5s'";
        refused(&mut session, writes, SqlState::FEATURE_NOT_SUPPORTED, "AS OF SYSTEM TIME").await;
        let makes = "CREATE TABLE u AS SELECT * FROM t AS OF SYSTEM TIME '-5s'";
        refused(&mut session, makes, SqlState::FEATURE_NOT_SUPPORTED, "AS OF SYSTEM TIME").await;
        let within = "SELECT * FROM (SELECT * FROM t AS OF SYSTEM TIME '-5s') s";
        refused(&mut session, within, SqlState::FEATURE_NOT_SUPPORTED, "AS OF SYSTEM TIME").await;
        told(&mut session, "BEGIN AS OF SYSTEM TIME '-5s'; DECLARE c CURSOR FOR SELECT k FROM t").await;
        assert_eq!(told(&mut session, "FETCH ALL FROM c; COMMIT").await, "1");
    });
}

#[test]
fn tables_are_read_as_they_were_then() {
    run(async |env, mut session, _| {
        for sql in [
            "CREATE TABLE reshaped (k int PRIMARY KEY, v text, gone int)",
            "INSERT INTO reshaped VALUES (1, 'a', 7), (2, 'b', 8)",
            "CREATE TABLE dropped AS SELECT 5 AS x",
            "CREATE TABLE emptied AS SELECT 6 AS x",
            "CREATE TABLE moved (x int, y int)",
            "INSERT INTO moved VALUES (3, 4)",
            "CREATE TYPE mood AS ENUM ('sad', 'ok')",
            "CREATE TABLE moods AS SELECT 'ok'::mood AS m",
            "CREATE VIEW seen AS SELECT 1 AS one UNION ALL SELECT 2",
        ] {
            told(&mut session, sql).await;
        }
        env.sleep(Duration::from_secs(10)).await;
        for sql in [
            "ALTER TABLE reshaped DROP COLUMN gone",
            "ALTER TABLE reshaped ALTER COLUMN v TYPE int USING length(v)",
            "ALTER TABLE reshaped RENAME COLUMN k TO key",
            "UPDATE reshaped SET v = 100",
            "DROP TABLE dropped",
            "CREATE TABLE dropped AS SELECT 'another'::text AS y",
            "TRUNCATE emptied",
            "ALTER TABLE moved ADD PRIMARY KEY (y)",
            "CREATE INDEX ON moved (x)",
            "UPDATE moved SET x = 30",
            "ALTER TYPE mood RENAME VALUE 'ok' TO 'fine'",
            "CREATE TABLE later AS SELECT 1 AS z",
            "DROP VIEW seen",
        ] {
            told(&mut session, sql).await;
        }
        env.sleep(Duration::from_secs(1)).await;
        for (sql, then) in [
            ("SELECT * FROM reshaped AS OF SYSTEM TIME '-5s' ORDER BY k", "1|a|7;2|b|8"),
            ("SELECT gone FROM reshaped AS OF SYSTEM TIME '-5s' WHERE v = 'b'", "8"),
            ("SELECT * FROM dropped AS OF SYSTEM TIME '-5s'", "5"),
            ("SELECT * FROM emptied AS OF SYSTEM TIME '-5s'", "6"),
            ("SELECT * FROM moved AS OF SYSTEM TIME '-5s' WHERE y = 4", "3|4"),
            ("SELECT * FROM moods AS OF SYSTEM TIME '-5s'", "ok"),
            ("SELECT count(*) FROM seen AS OF SYSTEM TIME '-5s'", "2"),
            (
                "SELECT relname FROM pg_class AS OF SYSTEM TIME '-5s' WHERE relname IN ('later', 'seen')",
                "seen",
            ),
        ] {
            assert_eq!(told(&mut session, sql).await, then, "{sql}");
            assert_eq!(prepared(&mut session, sql).await.expect(sql), then, "{sql}");
        }
        let later = "SELECT * FROM later AS OF SYSTEM TIME '-5s'";
        refused(&mut session, later, SqlState::UNDEFINED_TABLE, "does not exist").await;
        assert_eq!(told(&mut session, "SELECT * FROM reshaped ORDER BY key").await, "1|100;2|100");
        assert_eq!(told(&mut session, "SELECT * FROM moved WHERE x = 30").await, "30|4");
        // One that stays prepared while time passes: it answers in the shape that was told, or not at all.
        told(&mut session, "PREPARE p AS SELECT * FROM reshaped AS OF SYSTEM TIME '-5s'").await;
        assert_eq!(told(&mut session, "EXECUTE p").await, "1|a|7;2|b|8");
        env.sleep(Duration::from_secs(10)).await;
        refused(&mut session, "EXECUTE p", SqlState::FEATURE_NOT_SUPPORTED, "must not change result type")
            .await;
    });
}

#[test]
fn what_a_user_may_read_of_the_past_is_what_he_may_read_now() {
    run(async |env, mut session, _| {
        for sql in [
            "CREATE ROLE reader",
            "CREATE TABLE opened AS SELECT 1 AS a",
            "CREATE TABLE closed AS SELECT 2 AS a",
            "CREATE TABLE dropped AS SELECT 3 AS a",
            "GRANT SELECT ON closed TO reader",
        ] {
            told(&mut session, sql).await;
        }
        env.sleep(Duration::from_secs(10)).await;
        for sql in
            ["GRANT SELECT ON opened TO reader", "REVOKE SELECT ON closed FROM reader", "DROP TABLE dropped"]
        {
            told(&mut session, sql).await;
        }
        env.sleep(Duration::from_secs(1)).await;
        told(&mut session, "SET ROLE reader").await;
        assert_eq!(told(&mut session, "SELECT a FROM opened AS OF SYSTEM TIME '-5s'").await, "1");
        for table in ["closed", "dropped"] {
            let sql = format!("SELECT a FROM {table} AS OF SYSTEM TIME '-5s'");
            refused(&mut session, &sql, SqlState::INSUFFICIENT_PRIVILEGE, "permission denied").await;
        }
    });
}
