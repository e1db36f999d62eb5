//! The grammar over PostgreSQL's own regression scripts, and what must not be accepted.

use super::*;
use std::path::PathBuf;

/// The suites beside the repository, if they are there.
fn suite(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/suites").join(name);
    path.is_dir().then_some(path)
}

/// Splits a psql script into statements, as psql does: at semicolons outside of quotes and parentheses. COPY data is left out.
fn split_script(text: &str) -> Vec<String> {
    let tokens = lexer::tokenize(text);
    let mut statements = Vec::new();
    let mut start = 0usize;
    let mut depth = 0i32;
    let mut atomic = 0i32;
    let mut previous = Keyword::None;
    for token in &tokens.list {
        match token.kind {
            TokenKind::Symbol(b'(') => depth += 1,
            TokenKind::Symbol(b')') => depth -= 1,
            TokenKind::Word if token.keyword == Keyword::Atomic && previous == Keyword::Begin => atomic += 1,
            TokenKind::Word if token.keyword == Keyword::Case && atomic > 0 => atomic += 1,
            TokenKind::Word if token.keyword == Keyword::End && atomic > 0 => atomic -= 1,
            TokenKind::Symbol(b';') if depth <= 0 && atomic == 0 => {
                statements.push(text[start..token.start as usize].trim().to_string());
                start = token.end as usize;
                depth = 0;
            }
            _ => {}
        }
        previous = token.keyword;
    }
    statements.retain(|statement| !statement.is_empty());
    statements
}

/// Statements that PostgreSQL's own parser refuses: the scripts test its errors.
fn refused_by_postgresql() -> Vec<String> {
    include_str!("../../tests/data/refused_by_postgresql.txt")
        .split("\n--\n")
        .map(|statement| statement.trim().to_string())
        .filter(|statement| !statement.is_empty())
        .collect()
}

#[test]
fn regression_scripts_parse_as_in_postgresql() {
    let Some(folder) = suite("pg-regress/sql") else {
        eprintln!("skipped: ../shared/suites/pg-regress is not there");
        return;
    };
    let refused = refused_by_postgresql();
    let mut files: Vec<_> =
        std::fs::read_dir(folder).expect("readable").flatten().map(|entry| entry.path()).collect();
    files.sort();
    let (mut total, mut wrongly_refused, mut wrongly_taken) = (0, Vec::new(), Vec::new());
    for file in files {
        let text = std::fs::read_to_string(&file).expect("UTF-8 text");
        for statement in split_script(&text) {
            total += 1;
            let result = parse(&statement);
            let syntax = |error: &PgError| error.code() == SqlState::SYNTAX_ERROR;
            match (result, refused.contains(&statement)) {
                (Err(error), false) if syntax(&error) => {
                    wrongly_refused.push(format!("{}: {error}\n    {statement}", file.display()));
                }
                (Ok(_), true) => wrongly_taken.push(format!("{}: {statement}", file.display())),
                _ => {}
            }
        }
    }
    if let Ok(path) = std::env::var("PARSE_REPORT") {
        let report = format!("REFUSED\n{}\nTAKEN\n{}", wrongly_refused.join("\n"), wrongly_taken.join("\n"));
        std::fs::write(path, report).expect("writable");
    }
    println!(
        "{total} statements, {} wrongly refused, {} wrongly taken",
        wrongly_refused.len(),
        wrongly_taken.len()
    );
    assert!(total > 10_000);
    assert!(wrongly_refused.is_empty(), "refused: {}", wrongly_refused.join("\n"));
    assert!(wrongly_taken.is_empty(), "taken: {}", wrongly_taken.join("\n"));
}
