//! PostgreSQL's own programs on Meridian: psql's backslash commands, pg_dump, createdb and its like.
//!
//! psql's backslash commands print the same on Meridian as on PostgreSQL, for the objects of `psql/schema.sql`.
//! `psql/commands.txt` lists the commands, one per line, under headings:
//!
//! | heading | what is asked |
//! | --- | --- |
//! | `[same]` | the same output |
//! | `[sizes]` | the same but for sizes |
//! | `[rows]` | every row is one of PostgreSQL's, which has more: of what Meridian does not have |
//! | `[different]` | another output; each with its reason. One that has become the same fails, so that the list stays true |

mod support;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sqltests::server::Postgres;
use support::{node, output_of};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join("psql")
}

/// A heading's commands, each with what stands after a tab.
fn commands(heading: &str) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(folder().join("commands.txt")).expect("the list can be read");
    let mut lines = text.lines().skip_while(|line| *line != format!("[{heading}]")).skip(1);
    let mut found = Vec::new();
    for line in lines.by_ref().take_while(|line| !line.starts_with('[')) {
        if !line.is_empty() && !line.starts_with('#') {
            let (command, reason) = line.split_once('\t').unwrap_or((line, ""));
            found.push((command.to_string(), reason.to_string()));
        }
    }
    assert!(!found.is_empty(), "nothing stands under [{heading}]");
    found
}

fn psql(url: &str) -> Command {
    let mut command = Command::new("psql");
    command.args(["--no-psqlrc", "--quiet", "-P", "pager=off"]).arg(url);
    command
}

/// Makes the database `described`; answers its URL.
fn prepare(url: &str) -> String {
    output_of(psql(url).args(["--set=ON_ERROR_STOP=1", "-c", "CREATE DATABASE described"]));
    let described = format!("{}/described", url.rsplit_once('/').expect("a URL names a database").0);
    let schema = folder().join("schema.sql");
    output_of(psql(&described).arg("--set=ON_ERROR_STOP=1").arg("-f").arg(schema));
    described
}

/// What each command prints, errors included, all in one psql.
fn outputs(url: &str, flags: &[&str], commands: &[(String, String)]) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("output");
    let output = File::create(&path).expect("a file in it");
    let errors = output.try_clone().expect("the same file");
    let mut child =
        psql(url).args(flags).stdin(Stdio::piped()).stdout(output).stderr(errors).spawn().expect("psql runs");
    let mut script = String::new();
    for (command, _) in commands {
        script.push_str(&format!("\\echo '=== next'\n{command}\n"));
    }
    child.stdin.take().expect("it was asked for").write_all(script.as_bytes()).expect("psql reads");
    let status = child.wait().expect("psql ends");
    let text = std::fs::read_to_string(&path).expect("psql writes UTF-8");
    let found: Vec<String> = text.split("=== next\n").skip(1).map(str::to_string).collect();
    assert_eq!(found.len(), commands.len(), "psql ended early: {status}\n{text}");
    found
}

/// Sizes of unaligned output as the word SIZE.
fn without_sizes(text: &str) -> String {
    let is_size = |field: &str| {
        field.split_once(' ').is_some_and(|(number, unit)| {
            number.bytes().all(|byte| byte.is_ascii_digit()) && matches!(unit, "bytes" | "kB" | "MB" | "GB")
        })
    };
    let line = |line: &str| {
        let fields = line.split('|').map(|field| if is_size(field) { "SIZE" } else { field });
        fields.collect::<Vec<_>>().join("|")
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// In pg_catalog, and not PostgreSQL's.
const OWN_FUNCTIONS: [&str; 1] = ["follower_read_timestamp"];

#[test]
fn backslash_commands_print_what_they_print_on_postgresql() {
    let postgres = match Postgres::shared() {
        Ok(postgres) => postgres,
        Err(reason) => {
            eprintln!("{reason}: left out");
            return;
        }
    };
    let meridian = node();
    let (reference, ours) = (prepare(&postgres.url()), prepare(&meridian.url()));
    let mut complaints = Vec::new();
    let mut compare = |heading: &str, flags: &[&str], fits: &dyn Fn(&str, &str) -> bool| {
        let commands = commands(heading);
        let expected = outputs(&reference, flags, &commands);
        let found = outputs(&ours, flags, &commands);
        for (((command, _), expected), found) in commands.iter().zip(&expected).zip(&found) {
            if !fits(expected, found) {
                complaints.push(format!("--- {command} [{heading}]\n{expected}\n--- Meridian\n{found}"));
            }
        }
    };
    compare("same", &[], &|expected, found| expected == found);
    compare("sizes", &["-At"], &|expected, found| without_sizes(expected) == without_sizes(found));
    compare("rows", &["-At"], &|expected, found| {
        let rows: BTreeSet<&str> = expected.lines().collect();
        let is_own = |row: &str| row.split('|').nth(1).is_some_and(|name| OWN_FUNCTIONS.contains(&name));
        !found.is_empty() && found.lines().all(|row| rows.contains(row) || is_own(row))
    });
    compare("different", &[], &|expected, found| expected != found);
    assert!(complaints.is_empty(), "{} commands:\n{}", complaints.len(), complaints.join("\n"));
}

/// What the objects of `psql/schema.sql` hold.
const ROWS: &str = "INSERT INTO parent VALUES (1, 'a', 'n', '2020-01-01'), (2, 'b', NULL, NULL);
    INSERT INTO child (parent_id, code2, amount, c, u, ts, iv, b, arr) VALUES
        (1, 'a', 5, 'x', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '2020-01-01', '1 day', '\\x01', '{1,NULL}'),
        (2, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL);
    INSERT INTO app.things VALUES (3, 2, E'x\ty', 'ok', 5);
    SELECT nextval('app.counter')";

/// A dump without what differs from one to the next.
fn dump(programs: &Path, url: &str) -> String {
    let text = output_of(Command::new(programs.join("pg_dump")).arg(url));
    let kept = text.lines().filter(|line| {
        !["\\restrict", "\\unrestrict", "-- Dumped"].iter().any(|begin| line.starts_with(begin))
    });
    kept.collect::<Vec<_>>().join("\n")
}

fn restore(url: &str, name: &str, dump: &str) -> String {
    output_of(psql(url).arg("-c").arg(format!("CREATE DATABASE {name}")));
    let restored = format!("{}/{name}", url.rsplit_once('/').expect("a URL names a database").0);
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), dump).expect("it can be written");
    output_of(psql(&restored).arg("--set=ON_ERROR_STOP=1").arg("-f").arg(file.path()));
    restored
}

#[test]
fn a_dump_restores_on_meridian_and_on_postgresql() {
    let postgres = match Postgres::start() {
        Ok(postgres) => postgres,
        Err(reason) => {
            eprintln!("{reason}: left out");
            return;
        }
    };
    let meridian = node();
    let described = prepare(&meridian.url());
    output_of(psql(&described).arg("--set=ON_ERROR_STOP=1").arg("-c").arg(ROWS));
    let original = dump(postgres.programs(), &described);
    assert!(original.contains("COPY public.child ("), "{original}");
    let again = restore(&meridian.url(), "restored", &original);
    assert_eq!(dump(postgres.programs(), &again), original);
    output_of(psql(&postgres.url()).args(["-c", "CREATE ROLE reader", "-c", "CREATE ROLE writer LOGIN"]));
    let there = restore(&postgres.url(), "restored", &original);
    let rows = ["-At", "-c", "SELECT * FROM child ORDER BY id", "-c", "SELECT * FROM child_view"];
    assert_eq!(output_of(psql(&there).args(rows)), output_of(psql(&described).args(rows)));
}

#[test]
fn programs_of_administration_do_their_work() {
    let Ok(postgres) = Postgres::shared() else {
        eprintln!("PostgreSQL's programs are not on this machine: left out");
        return;
    };
    let meridian = node();
    let port = meridian.port().to_string();
    let run = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(postgres.programs().join(program));
        command.args(["-h", "127.0.0.1", "-p", &port]);
        if program != "pg_isready" {
            command.args(["-U", "postgres"]);
        }
        output_of(command.args(arguments))
    };
    run("pg_isready", &[]);
    run("createuser", &["-d", "-r", "-l", "-c", "3", "keeper"]);
    run("createdb", &["-O", "keeper", "-T", "template0", "-E", "UTF8", "kept", "A comment"]);
    let table = "CREATE TABLE t (a int PRIMARY KEY, b text); CREATE INDEX ON t (b); \
                 INSERT INTO t SELECT g, g FROM generate_series(1, 100) g";
    run("psql", &["-q", "-c", table, "kept"]);
    run("vacuumdb", &["--quiet", "--all", "--analyze"]);
    run("vacuumdb", &["--quiet", "--full", "-t", "t", "kept"]);
    run("vacuumdb", &["--quiet", "--analyze-in-stages", "kept"]);
    run("reindexdb", &["--quiet", "kept"]);
    run("reindexdb", &["--quiet", "--system", "kept"]);
    run("reindexdb", &["--quiet", "--concurrently", "-t", "t", "-i", "t_b_idx", "kept"]);
    run("clusterdb", &["--quiet", "kept"]);
    let estimated = run("psql", &["-At", "-c", "SELECT reltuples FROM pg_class WHERE relname = 't'", "kept"]);
    assert_eq!(estimated, "100\n");
    let globals = run("pg_dumpall", &["--globals-only"]);
    assert!(
        globals.contains("ALTER ROLE keeper WITH NOSUPERUSER INHERIT CREATEROLE CREATEDB LOGIN"),
        "{globals}"
    );
    run("dropdb", &["kept"]);
    run("dropuser", &["keeper"]);
}

#[test]
fn sessions_begin_with_what_is_stored_for_their_role_and_database() {
    let meridian = node();
    let url = meridian.url();
    let at =
        |role: &str, database: &str| format!("postgresql://{role}@127.0.0.1:{}/{database}", meridian.port());
    let sql = |url: &str, text: &str| output_of(psql(url).args(["-At", "--set=ON_ERROR_STOP=1", "-c", text]));
    let refusal = |url: &str| {
        let output = psql(url).args(["-c", "SELECT 1"]).output().expect("psql runs");
        assert!(!output.status.success(), "it was let in");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    for statement in [
        "CREATE DATABASE kept",
        "CREATE ROLE keeper LOGIN",
        "ALTER DATABASE kept SET work_mem = '9MB'",
        "ALTER ROLE keeper SET work_mem = '10MB'",
        "ALTER ROLE keeper SET app.name TO 'x'",
        "ALTER ROLE keeper IN DATABASE kept SET work_mem = '11MB'",
    ] {
        sql(&url, statement);
    }
    let work_mem = |role, database| sql(&at(role, database), "SHOW work_mem");
    assert_eq!(work_mem("postgres", "kept"), "9MB\n");
    assert_eq!(work_mem("keeper", "postgres"), "10MB\n");
    assert_eq!(work_mem("keeper", "kept"), "11MB\n");
    // What the client asks for comes last, and RESET goes back to what the session began with.
    let asked = format!("{}?options=-c%20work_mem%3D12MB", at("keeper", "kept"));
    assert_eq!(sql(&asked, "SHOW work_mem"), "12MB\n");
    assert_eq!(
        sql(&at("keeper", "kept"), "SET work_mem = '1GB'; RESET work_mem; SHOW work_mem; SHOW app.name"),
        "11MB\nx\n"
    );

    sql(&url, "ALTER ROLE keeper CONNECTION LIMIT 0");
    assert!(refusal(&at("keeper", "kept")).contains("too many connections for role \"keeper\""));
    sql(&url, "ALTER ROLE keeper CONNECTION LIMIT -1");
    sql(&url, "ALTER DATABASE kept CONNECTION LIMIT 0");
    assert!(refusal(&at("keeper", "kept")).contains("too many connections for database \"kept\""));
    assert_eq!(work_mem("postgres", "kept"), "9MB\n", "limits are not for superusers");
    sql(&url, "ALTER DATABASE kept CONNECTION LIMIT -1");
    sql(&url, "REVOKE CONNECT ON DATABASE kept FROM PUBLIC");
    let refused = refusal(&at("keeper", "kept"));
    assert!(refused.contains("permission denied for database \"kept\""), "{refused}");
    assert!(refused.contains("User does not have CONNECT privilege."), "{refused}");
    sql(&url, "ALTER DATABASE kept ALLOW_CONNECTIONS false");
    assert!(refusal(&at("postgres", "kept")).contains("\"kept\" is not currently accepting connections"));
    assert!(
        refusal(&at("postgres", "template0"))
            .contains("\"template0\" is not currently accepting connections")
    );
}

/// The lines after a COPY that is refused are its data all the same, as with PostgreSQL.
#[test]
fn copy_freeze_is_for_tables_made_or_truncated_since_the_last_savepoint() {
    let server = node();
    let script = "CREATE TABLE f (a int);\n\
        COPY f FROM STDIN (FREEZE);\n1\n\\.\n\
        SELECT count(*) AS refused FROM f;\n\
        BEGIN; TRUNCATE f;\n\
        COPY f FROM STDIN (FREEZE);\n2\n\\.\n\
        COMMIT;\n\
        SELECT a AS truncated FROM f;\n\
        BEGIN; CREATE TABLE g (a int); SAVEPOINT s;\n\
        COPY g FROM STDIN (FREEZE);\n3\n\\.\n\
        ROLLBACK TO s; RELEASE s;\n\
        COPY g FROM STDIN (FREEZE);\n4\n\\.\n\
        COMMIT;\n\
        SELECT a AS created FROM g;\n";
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("freeze.sql");
    std::fs::write(&file, script).expect("written");
    let output = psql(&server.url()).args(["-At", "-v", "VERBOSITY=sqlstate", "-f"]).arg(&file).output();
    let output = output.expect("psql runs");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "0\n2\n4\n");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(errors.matches("55000").count(), 2, "{errors}");
}
