//! psql's backslash commands print the same on Meridian as on PostgreSQL, for the objects of `psql/schema.sql`.
//!
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
        !found.is_empty() && found.lines().all(|row| rows.contains(row))
    });
    compare("different", &[], &|expected, found| expected != found);
    assert!(complaints.is_empty(), "{} commands:\n{}", complaints.len(), complaints.join("\n"));
}
