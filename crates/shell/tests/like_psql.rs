//! Against PostgreSQL: what the shell prints is what psql prints, to the blank, and it ends with the same exit code.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use shell::{Action, Exit, ShellOptions};
use sqltests::server::Postgres;

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("no test panicked with it").clone())
            .expect("the shell prints UTF-8")
    }
}

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no test panicked with it").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What a run printed and how it ended.
#[derive(Debug, PartialEq, Eq)]
struct Printed {
    output: String,
    errors: String,
    exit: i32,
}

fn url(server: &Postgres, database: &str) -> String {
    format!("postgresql://postgres@127.0.0.1:{}/{database}", server.port())
}

/// The tests of this program share a server; each uses a database of its own.
fn postgres() -> Arc<Postgres> {
    Postgres::shared().expect("PostgreSQL is on the machine")
}

/// psql with the same wishes, as the flags that it knows them by.
fn psql(server: &Postgres, database: &str, options: &ShellOptions) -> Printed {
    let mut command = Command::new(server.programs().join("psql"));
    command
        .env("PGCLIENTENCODING", "UTF8")
        .env("LC_ALL", "C.UTF-8")
        .arg("-X")
        .arg("-d")
        .arg(url(server, database));
    for action in &options.actions {
        match action {
            Action::Command(text) => command.arg("-c").arg(text),
            Action::File(path) => command.arg("-f").arg(path),
        };
    }
    for (is_set, flag) in [
        (options.tuples_only, "-t"),
        (options.unaligned, "-A"),
        (options.expanded, "-x"),
        (options.quiet, "-q"),
    ] {
        if is_set {
            command.arg(flag);
        }
    }
    for (name, value) in &options.variables {
        command.arg("-v").arg(format!("{name}={value}"));
    }
    let done = command.output().expect("psql is where PostgreSQL is");
    let errors = String::from_utf8(done.stderr).expect("UTF-8").replace("psql:", "meridian:");
    Printed {
        output: String::from_utf8(done.stdout).expect("UTF-8"),
        errors,
        exit: done.status.code().expect("it was not killed"),
    }
}

fn ours(server: &Postgres, database: &str, options: &ShellOptions) -> Printed {
    let (output, errors) = (Captured::default(), Captured::default());
    let options = ShellOptions { url: url(server, database), ..options.clone() };
    let exit = shell::run_with(&options, Box::new(output.clone()), Box::new(errors.clone()));
    Printed { output: output.text(), errors: errors.text(), exit: exit as i32 }
}

/// Runs both on fresh databases of the same name, one after the other.
fn compare(server: &Postgres, database: &str, options: &ShellOptions) -> Printed {
    // One at a time: the list of databases is among what is compared.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let fresh = || {
        let script = [format!("DROP DATABASE IF EXISTS {database}"), format!("CREATE DATABASE {database}")];
        let administrate =
            ShellOptions { actions: script.map(Action::Command).to_vec(), ..ShellOptions::new("") };
        assert_eq!(ours(server, "postgres", &administrate).exit, 0);
    };
    fresh();
    let theirs = psql(server, database, options);
    fresh();
    let ours = ours(server, database, options);
    assert_same(&theirs.output, &ours.output, "output");
    assert_same(&theirs.errors, &ours.errors, "errors");
    assert_eq!(theirs.exit, ours.exit, "exit code of {:?}", options.actions);
    ours
}

/// Points at the first line that differs.
fn assert_same(theirs: &str, ours: &str, what: &str) {
    if theirs == ours {
        return;
    }
    let mut lines = theirs.lines().zip(ours.lines()).enumerate();
    let at = lines
        .find(|(_, (a, b))| a != b)
        .map_or(theirs.lines().count().min(ours.lines().count()), |(at, _)| at);
    let around = |text: &str| {
        let lines: Vec<String> =
            text.lines().skip(at.saturating_sub(6)).take(12).map(|line| format!("  |{line}|")).collect();
        lines.join("\n")
    };
    panic!("{what} differs at line {}:\npsql:\n{}\nours:\n{}", at + 1, around(theirs), around(ours));
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join("scripts").join(name)
}

fn with_script(name: &str) -> ShellOptions {
    ShellOptions { actions: vec![Action::File(script(name))], ..ShellOptions::new("") }
}

fn with_commands(commands: &[&str]) -> ShellOptions {
    let actions = commands.iter().map(|command| Action::Command(command.to_string())).collect();
    ShellOptions { actions, ..ShellOptions::new("") }
}

#[test]
fn tables_print_alike() {
    let server = postgres();
    let printed = compare(&server, "tables", &with_script("tables.sql"));
    assert!(printed.output.contains("(1 row)") && printed.output.contains("-[ RECORD 1 ]"));
}

#[test]
fn statements_errors_and_copies_print_alike() {
    let server = postgres();
    let printed = compare(&server, "statements", &with_script("statements.sql"));
    assert!(printed.errors.contains("LINE 2:        nonsense\n"));
}

#[test]
fn descriptions_print_alike() {
    let server = postgres();
    let printed = compare(&server, "describe", &with_script("describe.sql"));
    assert!(printed.output.contains("Foreign-key constraints:"));
}

#[test]
fn commands_print_alike() {
    let server = postgres();
    let printed = compare(&server, "commands", &with_script("commands.sql"));
    assert_eq!(printed.exit, Exit::Connection as i32);
}

#[test]
fn flags_and_exit_codes_agree() {
    let server = postgres();
    let variants = [
        with_commands(&["SELECT 1 AS a; SELECT 2 AS b, NULL", "SELECT 3"]),
        with_commands(&["SELECT 1; SELECT wrong; SELECT 2"]),
        with_commands(&["SELECT wrong", "SELECT 2"]),
        with_commands(&["\\dt nothing"]),
        with_commands(&["\\nonsense"]),
        with_commands(&["\\echo a b"]),
        with_commands(&["CREATE TABLE t (a int)", "INSERT INTO t VALUES (1)"]),
        with_commands(&[""]),
    ];
    for variant in &variants {
        compare(&server, "flags", variant);
        compare(&server, "flags", &ShellOptions { tuples_only: true, unaligned: true, ..variant.clone() });
        compare(&server, "flags", &ShellOptions { expanded: true, quiet: true, ..variant.clone() });
        let stop = vec![("ON_ERROR_STOP".to_string(), "1".to_string())];
        compare(&server, "flags", &ShellOptions { variables: stop, ..variant.clone() });
    }
    let stop = vec![("ON_ERROR_STOP".to_string(), "1".to_string())];
    let stopped =
        compare(&server, "flags", &ShellOptions { variables: stop, ..with_script("statements.sql") });
    assert_eq!(stopped.exit, Exit::Script as i32);
}

#[test]
fn a_server_that_is_not_there_and_a_file_that_is_not_there_have_their_exit_codes() {
    let server = postgres();
    let nowhere = "postgresql://postgres@127.0.0.1:1/postgres";
    let (output, errors) = (Captured::default(), Captured::default());
    let options =
        ShellOptions { actions: vec![Action::Command("SELECT 1".to_string())], ..ShellOptions::new(nowhere) };
    assert_eq!(shell::run_with(&options, Box::new(output), Box::new(errors.clone())), Exit::Connection);
    assert_eq!(
        errors.text(),
        "meridian: error: connection to server at \"127.0.0.1\", port 1 failed: Connection refused\n"
    );

    let options =
        ShellOptions { actions: vec![Action::File("/nowhere/x.sql".into())], ..ShellOptions::new("") };
    let printed = ours(&server, "postgres", &options);
    assert_eq!(
        (printed.exit, printed.errors.as_str()),
        (1, "meridian: error: /nowhere/x.sql: No such file or directory\n")
    );

    let printed = ours(&server, "no_such_database", &with_commands(&["SELECT 1"]));
    assert_eq!(printed.exit, Exit::Connection as i32);
    assert!(
        printed.errors.ends_with("FATAL:  database \"no_such_database\" does not exist\n"),
        "{}",
        printed.errors
    );
}

#[test]
fn passwords_are_proved_by_scram_and_md5() {
    let server = postgres();
    let roles = "CREATE ROLE scram_user LOGIN PASSWORD 'se:cret'; SET password_encryption = 'md5'; \
                 CREATE ROLE md5_user LOGIN PASSWORD 'se:cret'";
    assert_eq!(ours(&server, "postgres", &with_commands(&[roles])).exit, 0);
    let hba = ours(
        &server,
        "postgres",
        &ShellOptions { tuples_only: true, unaligned: true, ..with_commands(&["SHOW hba_file"]) },
    );
    let rules = "host all scram_user all scram-sha-256\nhost all md5_user all md5\nhost all all all trust\n";
    std::fs::write(hba.output.trim(), rules).expect("the test owns the folder");
    assert_eq!(
        ours(&server, "postgres", &with_commands(&["SELECT pg_reload_conf()", "SELECT pg_sleep(0.5)"])).exit,
        0
    );
    for user in ["scram_user", "md5_user"] {
        let login = |password: &str| {
            let url = format!("postgresql://{user}:{password}@127.0.0.1:{}/postgres", server.port());
            let options = ShellOptions {
                tuples_only: true,
                unaligned: true,
                url,
                ..with_commands(&["SELECT current_user"])
            };
            let (output, errors) = (Captured::default(), Captured::default());
            let exit = shell::run_with(&options, Box::new(output.clone()), Box::new(errors.clone()));
            (exit, output.text(), errors.text())
        };
        assert_eq!(login("se%3acret"), (Exit::Success, format!("{user}\n"), String::new()));
        let (exit, _, errors) = login("wrong");
        assert_eq!(exit, Exit::Connection);
        assert!(errors.contains(&format!("password authentication failed for user \"{user}\"")), "{errors}");
    }
}

/// A certificate of its own authority for 127.0.0.1, for the server; gives the authority's PEM.
fn equip_with_tls(data: &Path) -> String {
    let authority_key = rcgen::KeyPair::generate().expect("a key");
    let mut authority = rcgen::CertificateParams::new(Vec::new()).expect("no names, no wrong names");
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority_pem = authority.self_signed(&authority_key).expect("a certificate").pem();
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let key = rcgen::KeyPair::generate().expect("a key");
    let server = rcgen::CertificateParams::new(vec!["127.0.0.1".to_string()]).expect("an address is a name");
    let certificate = server.signed_by(&key, &issuer).expect("a certificate");
    let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(data).expect("the data folder"));
    for (name, pem) in [("server.crt", certificate.pem()), ("server.key", key.serialize_pem())] {
        let file = data.join(name);
        std::fs::write(&file, pem).expect("the test may write there");
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .expect("it is ours");
        std::os::unix::fs::chown(&file, Some(owner), None).expect("it is ours");
    }
    authority_pem
}

#[test]
fn tls_is_used_and_verified_as_the_url_says() {
    let server = Postgres::start().expect("PostgreSQL is on the machine");
    let query = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    let ask = |host: &str, parameters: &str| {
        let url = format!("postgresql://postgres@{host}:{}/postgres?{parameters}", server.port());
        let plain = ShellOptions { tuples_only: true, unaligned: true, url, ..with_commands(&[query]) };
        let (output, errors) = (Captured::default(), Captured::default());
        let exit = shell::run_with(&plain, Box::new(output.clone()), Box::new(errors.clone()));
        if exit == Exit::Success { Ok(output.text()) } else { Err(errors.text()) }
    };
    assert_eq!(ask("127.0.0.1", "sslmode=prefer").as_deref(), Ok("f\n"));
    assert!(
        ask("127.0.0.1", "sslmode=require")
            .expect_err("it has no TLS yet")
            .contains("server does not support SSL")
    );

    let url = server.url();
    let run = |commands: &[&str]| {
        let (output, errors) = (Captured::default(), Captured::default());
        let options =
            ShellOptions { tuples_only: true, unaligned: true, url: url.clone(), ..with_commands(commands) };
        assert_eq!(
            shell::run_with(&options, Box::new(output.clone()), Box::new(errors.clone())),
            Exit::Success
        );
        output.text()
    };
    let data = run(&["SHOW data_directory"]);
    let authority = equip_with_tls(Path::new(data.trim()));
    let folder = tempfile::tempdir().expect("a folder");
    let authority_file = folder.path().join("authority.pem");
    std::fs::write(&authority_file, authority).expect("the folder is ours");
    run(&["ALTER SYSTEM SET ssl = on", "SELECT pg_reload_conf()", "SELECT pg_sleep(0.5)"]);

    let verify = format!("sslmode=verify-full&sslrootcert={}", authority_file.display());
    assert_eq!(ask("127.0.0.1", "sslmode=disable").as_deref(), Ok("f\n"));
    assert_eq!(ask("127.0.0.1", "sslmode=prefer").as_deref(), Ok("t\n"));
    assert_eq!(ask("127.0.0.1", "sslmode=require").as_deref(), Ok("t\n"));
    assert_eq!(ask("127.0.0.1", &verify).as_deref(), Ok("t\n"));
    // The certificate is for the address, not for this name of it.
    assert!(ask("localhost", &verify).expect_err("it is another name").contains("SSL error"));
}
