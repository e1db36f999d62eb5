//! The async line, the SQL line, and the one door to the real world.

use super::layering::{WITHOUT_ASYNC, WITHOUT_SQL};
use super::source::{line_of, sources, word_positions};

/// Async code, seen as text.
const ASYNC_WORDS: [&str; 5] = ["async fn", "async move", "async {", ".await", "tokio::"];

/// Names from the SQL side.
const SQL_WORDS: [&str; 11] = [
    "Datum",
    "DataType",
    "SqlState",
    "Sqlstate",
    "SQLSTATE",
    "PgError",
    "TableId",
    "TableDescriptor",
    "IndexId",
    "Session",
    "SessionId",
];

/// What reaches the real world past the seam.
const REAL_WORLD: [&str; 11] = [
    "Instant::now",
    "SystemTime::now",
    "thread::spawn",
    "thread::sleep",
    "thread::Builder",
    "tokio::spawn",
    "task::spawn_blocking",
    "tokio::time::",
    "thread_rng",
    "rand::",
    "RandomState",
];

/// `env` is the seam itself; the others are programs around the node, which meet the real world by trade.
const IN_THE_REAL_WORLD: [&str; 4] = ["env", "xtask", "shell", "sqltests"];

/// Complains about each of `words` in the shipped code of the crates that `applies` picks.
fn assert_absent(words: &[&str], applies: impl Fn(&str) -> bool, why: &str) {
    let mut complaints = Vec::new();
    for source in sources().iter().filter(|source| applies(&source.crate_name)) {
        let code = source.shipped_code();
        for word in words {
            for at in word_positions(&code, word) {
                complaints.push(format!("{}:{}: {word}: {why}", source.path.display(), line_of(&code, at)));
            }
        }
    }
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn no_async_behind_the_async_line() {
    assert_absent(&ASYNC_WORDS, |name| WITHOUT_ASYNC.contains(&name), "this crate is behind the async line");
}

#[test]
fn no_sql_below_the_sql_line() {
    assert_absent(&SQL_WORDS, |name| WITHOUT_SQL.contains(&name), "this crate is below the SQL line");
}

#[test]
fn the_real_world_is_reached_through_env_alone() {
    assert_absent(&REAL_WORLD, |name| !IN_THE_REAL_WORLD.contains(&name), "ask crate `env` for it");
}

/// Test files are not shipped: the simulation's tests alone make bugs.
#[test]
fn bugs_are_planted_by_simulations_alone() {
    assert_absent(
        &["Planted::bug", "lies: true"],
        |_| true,
        "only tests of crate `sim` take safeguards away",
    );
}

#[test]
fn every_select_is_biased() {
    let mut complaints = Vec::new();
    for source in sources().iter().filter(|source| !IN_THE_REAL_WORLD.contains(&source.crate_name.as_str())) {
        let code = source.shipped_code();
        for at in word_positions(&code, "select!") {
            let body = code[at + "select!".len()..].trim_start().trim_start_matches(['{', '(']).trim_start();
            if !body.starts_with("biased;") {
                let line = line_of(&code, at);
                complaints
                    .push(format!("{}:{line}: select! without biased is random", source.path.display()));
            }
        }
    }
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}
