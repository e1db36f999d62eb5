//! The parser of SQLite's dialect.
//!
//! It differs from the one in `.slt` files where the corpus needs it: `skipif` and `onlyif` carry comments and apply to
//! `halt` as well, and every value has a line of its own. `hash-threshold` needs no attention: the expectation itself says
//! whether it is a hash.

use std::time::Duration;

use crate::record::{Expected, ExpectedError, ExpectedRows, Format, Record, Sort, Step};

/// The corpus names this engine for PostgreSQL's dialect; ours is the same.
const LABEL: &str = "postgresql";

pub fn parse(text: &str) -> Result<Vec<Record>, String> {
    let mut lines = text.lines().enumerate().peekable();
    let mut records = Vec::new();
    let mut applies = true;
    while let Some((index, line)) = lines.next() {
        let line_number = index as u32 + 1;
        let words: Vec<&str> = line.split_whitespace().collect();
        let (sql_wanted, expected) = match words.as_slice() {
            [] => continue,
            [first, ..] if first.starts_with('#') => continue,
            ["skipif", label, ..] => {
                applies &= *label != LABEL;
                continue;
            }
            ["onlyif", label, ..] => {
                applies &= *label == LABEL;
                continue;
            }
            ["hash-threshold", ..] => continue,
            ["halt", ..] if applies => break,
            ["halt", ..] => (false, Expected::Success),
            ["statement", "ok", ..] => (true, Expected::Success),
            ["statement", "error", ..] => (true, Expected::Error(ExpectedError::Any)),
            ["query", types, options @ ..] => (true, Expected::Rows(expected_rows(types, options))),
            _ => return Err(format!("line {line_number}: \"{line}\" is no directive that is known here")),
        };
        let applied = std::mem::replace(&mut applies, true);
        if !sql_wanted {
            continue;
        }
        let mut sql = String::new();
        let mut results = false;
        for (_, line) in lines.by_ref() {
            if line.trim().is_empty() {
                break;
            }
            if line == "----" {
                results = true;
                break;
            }
            sql.push_str(line);
            sql.push('\n');
        }
        let mut expected = expected;
        if results && let Expected::Rows(rows) = &mut expected {
            rows.lines = lines
                .by_ref()
                .map(|(_, line)| line)
                .take_while(|line| !line.is_empty())
                .map(str::to_string)
                .collect();
        }
        let run = Step::Run { sql, expected, attempts: 1, backoff: Duration::ZERO };
        let step = if applied { run } else { Step::Skip };
        records.push(Record { line: line_number, connection: None, step });
    }
    Ok(records)
}

fn expected_rows(types: &str, options: &[&str]) -> ExpectedRows {
    let sort = match options.first() {
        Some(&"rowsort") => Sort::Rows,
        Some(&"valuesort") => Sort::Values,
        _ => Sort::None,
    };
    ExpectedRows { format: Format::SqliteValues, types: types.to_string(), sort, lines: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_apply_to_the_next_directive_alone() {
        let text = "hash-threshold 8\n\nonlyif mysql # no\nstatement ok\nSELECT 1\n\nskipif sqlite\nquery IT rowsort x1\nSELECT\n 2\n----\n2\nb\n\n\
                    skipif postgresql\nhalt\n\nstatement error\nbad\n\nonlyif postgresql # stop\nhalt\n\nstatement ok\nnever\n";
        let records = parse(text).expect("it is well-formed");
        assert_eq!(records.iter().map(|record| record.line).collect::<Vec<_>>(), [4, 8, 18]);
        assert!(matches!(records[0].step, Step::Skip));
        let Step::Run { sql, expected: Expected::Rows(rows), .. } = &records[1].step else {
            panic!("a query")
        };
        assert_eq!((sql.as_str(), rows.types.as_str(), rows.sort), ("SELECT\n 2\n", "IT", Sort::Rows));
        assert_eq!(rows.lines, ["2", "b"]);
        assert!(matches!(records[2].step, Step::Run { expected: Expected::Error(_), .. }));
    }

    #[test]
    fn an_unknown_directive_is_told() {
        assert!(parse("statment ok\nSELECT 1\n").is_err());
    }
}
