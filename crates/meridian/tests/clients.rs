//! Real clients against a real node: psql, pgbench, tokio-postgres, psycopg 3.

mod support;

use std::process::Command;

use support::{node, output_of};
use tokio_postgres::{NoTls, types::Type};

#[test]
fn psql_runs_scripts_and_describes_tables() {
    let meridian = node();
    let psql = |arguments: &[&str]| {
        let mut command = Command::new("psql");
        command.arg("--no-psqlrc").arg("--set=ON_ERROR_STOP=1").arg(meridian.url()).args(arguments);
        output_of(&mut command)
    };
    psql(&["-c", "CREATE TABLE people (id serial PRIMARY KEY, name text NOT NULL UNIQUE, born date)"]);
    psql(&["-c", "INSERT INTO people (name, born) VALUES ('Ada', '1815-12-10'), ('Alan', '1912-06-23')"]);
    let rows = psql(&["-At", "-c", "SELECT id, name, born FROM people ORDER BY id"]);
    assert_eq!(rows, "1|Ada|1815-12-10\n2|Alan|1912-06-23\n");
    let described = psql(&["-c", "\\d people"]);
    for part in
        ["Table \"public.people\"", "integer", "not null", "people_pkey", "people_name_key", "nextval("]
    {
        assert!(described.contains(part), "{part} is missing in\n{described}");
    }
    let tables = psql(&["-At", "-c", "\\dt"]);
    assert!(tables.contains("public|people|table|postgres"), "{tables}");
    assert!(psql(&["-At", "-c", "\\l"]).contains("postgres|"));
    let copied = psql(&["-At", "-c", "COPY people (name, born) TO STDOUT (FORMAT csv)"]);
    assert_eq!(copied, "Ada,1815-12-10\nAlan,1912-06-23\n");
}

#[test]
fn pgbench_initialises_and_runs_every_built_in_script() {
    let meridian = node();
    let pgbench = |arguments: &[&str]| {
        let mut command = Command::new("pgbench");
        command.args(["-h", "127.0.0.1", "-p", &meridian.port().to_string(), "-U", "postgres"]);
        output_of(command.args(arguments).arg("postgres"))
    };
    pgbench(&["-i", "-s", "1", "--foreign-keys", "-q"]);
    for script in ["tpcb-like", "simple-update", "select-only"] {
        for mode in ["simple", "extended", "prepared"] {
            let flags = ["-b", script, "-M", mode, "-c", "4", "-j", "2", "-T", "1", "-n", "--max-tries=10"];
            let report = pgbench(&flags);
            assert!(report.contains("number of failed transactions: 0"), "{script}, {mode}:\n{report}");
            assert!(
                !report.contains("number of transactions actually processed: 0"),
                "{script}, {mode}:\n{report}"
            );
        }
    }
    let mut sums = Command::new("psql");
    let sql = "SELECT (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(delta) FROM pgbench_history WHERE aid > 0) \
               AND (SELECT sum(tbalance) FROM pgbench_tellers) = (SELECT sum(bbalance) FROM pgbench_branches)";
    sums.args(["-At", "-c", sql]).arg(meridian.url());
    assert_eq!(output_of(&mut sums), "t\n");
}

#[tokio::test]
async fn tokio_postgres_prepares_pipelines_and_copies() {
    let meridian = node();
    let (mut client, connection) = tokio_postgres::connect(&meridian.url(), NoTls).await.expect("it lets in");
    let connection = tokio::spawn(connection);
    client
        .batch_execute("CREATE TABLE items (id int8 PRIMARY KEY, label text, price numeric(10,2))")
        .await
        .expect("DDL");
    let insert = client.prepare("INSERT INTO items (id, label) VALUES ($1, $2)").await.expect("it prepares");
    assert_eq!(insert.params(), [Type::INT8, Type::TEXT]);
    let pipelined = (0..50_i64).map(|id| {
        let (client, insert) = (&client, &insert);
        async move { client.execute(insert, &[&id, &format!("item {id}")]).await }
    });
    let inserted = futures::future::join_all(pipelined).await;
    assert!(inserted.iter().all(|count| matches!(count, Ok(1))), "{inserted:?}");
    let transaction = client.transaction().await.expect("BEGIN");
    transaction.execute("DELETE FROM items WHERE id >= $1", &[&10_i64]).await.expect("DELETE");
    transaction.rollback().await.expect("ROLLBACK");
    let row = client.query_one("SELECT count(*), max(label) FROM items", &[]).await.expect("SELECT");
    assert_eq!((row.get::<_, i64>(0), row.get::<_, &str>(1)), (50, "item 9"));
    let error = client.execute(&insert, &[&1_i64, &"again"]).await.expect_err("it is there already");
    let fields = error.as_db_error().expect("the server says so");
    assert_eq!(
        (fields.code().code(), fields.constraint(), fields.table()),
        ("23505", Some("items_pkey"), Some("items"))
    );
    drop(client);
    connection.await.expect("the task ends").expect("the connection ends in order");
}

/// A statement is planned with the newest catalog. What a change of the table has stored otherwise an older snapshot must not take for
/// all there is: it moves up to the change where it can, and else is told to start over.
#[tokio::test]
async fn a_snapshot_older_than_how_a_table_is_stored_reads_all_of_it_or_nothing() {
    let meridian = node();
    let connect = async || {
        let (client, connection) = tokio_postgres::connect(&meridian.url(), NoTls).await.expect("it lets in");
        drop(tokio::spawn(connection));
        client
    };
    let (older, changer) = (connect().await, connect().await);
    changer.batch_execute("CREATE TABLE other (i int)").await.expect("DDL");
    let changes = [
        "CREATE INDEX ON rows (v)",
        "ALTER TABLE rows ADD PRIMARY KEY (id)",
        "ALTER TABLE rows ADD UNIQUE (id)",
        "ALTER TABLE rows ALTER v TYPE bigint",
        "BEGIN; ALTER TABLE rows ADD PRIMARY KEY (id); COMMIT",
    ];
    for change in changes {
        for (level, moves_up) in [("SERIALIZABLE", true), ("REPEATABLE READ", false)] {
            let fill = "DROP TABLE IF EXISTS rows; CREATE TABLE rows (id int, v int); \
                        INSERT INTO rows SELECT n, n % 10 FROM generate_series(1, 1000) n";
            changer.batch_execute(fill).await.expect("a table");
            let begin = format!("BEGIN ISOLATION LEVEL {level}; SELECT * FROM other");
            older.batch_execute(&begin).await.expect("a snapshot");
            changer.batch_execute(change).await.expect("DDL");
            for condition in ["true", "v = 5", "id = 5"] {
                let count = format!("SELECT count(*) FROM rows WHERE {condition}");
                let now = changer.query_one(&count, &[]).await.expect("SELECT").get::<_, i64>(0);
                older.batch_execute("SAVEPOINT before").await.expect("SAVEPOINT");
                match older.query_one(&count, &[]).await {
                    Ok(row) if moves_up => {
                        assert_eq!(row.get::<_, i64>(0), now, "{change}, {level}: {count}")
                    }
                    Ok(row) => panic!("{change}, {level}: {count} = {}", row.get::<_, i64>(0)),
                    Err(error) => {
                        let code = error.code().map(|code| code.code().to_string());
                        assert_eq!((moves_up, code.as_deref()), (false, Some("40001")), "{change}, {level}");
                    }
                }
                older.batch_execute("ROLLBACK TO before").await.expect("ROLLBACK TO");
            }
            older.batch_execute("ROLLBACK").await.expect("ROLLBACK");
        }
    }
    // Emptied, it looks empty to older snapshots, as PostgreSQL's documentation says.
    older
        .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM other")
        .await
        .expect("a snapshot");
    changer.batch_execute("TRUNCATE rows; INSERT INTO rows VALUES (1, 1)").await.expect("TRUNCATE");
    let row = older.query_one("SELECT count(*) FROM rows", &[]).await.expect("SELECT");
    assert_eq!(row.get::<_, i64>(0), 0);
}

const PSYCOPG: &str = r#"
import sys, psycopg
from decimal import Decimal
from datetime import date
with psycopg.connect(sys.argv[1]) as connection:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE people (id int PRIMARY KEY, name text, born date, weight numeric, alive bool)")
        rows = [(n, f"person {n}", date(2000, 1, 1 + n), Decimal(n) / 4, n % 2 == 0) for n in range(20)]
        cursor.executemany("INSERT INTO people VALUES (%s, %s, %s, %s, %s)", rows)
        connection.commit()
        assert cursor.execute("SELECT * FROM people ORDER BY id").fetchall() == rows
        cursor.execute("SELECT sum(weight), count(*) FILTER (WHERE alive) FROM people WHERE id < %s", (10,))
        assert cursor.fetchone() == (Decimal("11.25"), 5)
        with cursor.copy("COPY people (id, name) FROM STDIN") as copy:
            for n in range(100, 200):
                copy.write_row((n, None))
        assert cursor.execute("SELECT count(*) FROM people").fetchone() == (120,)
        try:
            with connection.transaction():
                cursor.execute("INSERT INTO people (id) VALUES (1)")
            raise AssertionError("a duplicate went in")
        except psycopg.errors.UniqueViolation as error:
            assert error.diag.constraint_name == "people_pkey"
        names = cursor.execute("SELECT %s::regclass::oid::int, %s::regtype[]", ("pg_class", "{int4,text}")).fetchone()
        assert names == (1259, ["integer", "text"]), names
        cursor.execute("CREATE TABLE named (r regclass, t regtype[])")
        with cursor.copy("COPY named FROM STDIN") as copy:
            copy.write("people\t{text}\n\\N\t\\N\n")
        with cursor.copy("COPY named TO STDOUT") as copy:
            assert list(copy.rows()) == [("people", "{text}"), (None, None)]
        cursor.execute("SELECT set_config('app.user', %s, false)", ("ann",))
    with connection.cursor(name="held", withhold=True) as cursor:
        cursor.execute("SELECT generate_series(1, 5), current_setting('app.user')")
        assert cursor.fetchmany(2) == [(1, "ann"), (2, "ann")]
        connection.commit()
        assert cursor.fetchall() == [(3, "ann"), (4, "ann"), (5, "ann")]
    with connection.cursor(name="server_side", binary=True) as cursor:
        cursor.itersize = 7
        assert len(list(cursor.execute("SELECT id FROM people"))) == 120
print("psycopg", psycopg.__version__)
"#;

#[test]
fn psycopg_reads_what_it_wrote() {
    let Some(python) = support::python_with_psycopg() else {
        eprintln!(
            "psycopg 3 cannot be installed here (python3 -m venv, pip install psycopg[binary]): left out"
        );
        return;
    };
    let meridian = node();
    let printed = output_of(Command::new(python).arg("-c").arg(PSYCOPG).arg(meridian.url()));
    assert!(printed.starts_with("psycopg 3"), "{printed}");
}
