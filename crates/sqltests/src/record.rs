//! What both dialects come to: a list of records, each with an expectation.

use std::time::Duration;

use crate::client::{Answer, ServerError};

/// One step of a test file.
#[derive(Clone, Debug)]
pub struct Record {
    /// The line, from 1, that the record is known by.
    pub line: u32,
    pub connection: Option<String>,
    pub step: Step,
}

#[derive(Clone, Debug)]
pub enum Step {
    Run {
        sql: String,
        expected: Expected,
        attempts: usize,
        backoff: Duration,
    },
    Sleep(Duration),
    /// Not for this server; counted as skipped.
    Skip,
}

#[derive(Clone, Debug)]
pub enum Expected {
    Success,
    Count(u64),
    Error(ExpectedError),
    Rows(ExpectedRows),
}

#[derive(Clone, Debug)]
pub enum ExpectedError {
    Any,
    Matching(sqllogictest::parser::ExpectedError),
}

#[derive(Clone, Debug)]
pub struct ExpectedRows {
    pub format: Format,
    /// One letter per column.
    pub types: String,
    pub sort: Sort,
    pub lines: Vec<String>,
}

/// How values become lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A line per row, values as PostgreSQL prints them.
    Rows,
    /// A line per value, values as PostgreSQL prints them.
    Values,
    /// A line per value, printed by the column's letter, or one line with the hash of all.
    SqliteValues,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    None,
    Rows,
    Values,
}

impl Expected {
    /// Whether the answer is as expected; if not, the difference for a reader.
    pub fn check(&self, answer: &Result<Answer, ServerError>) -> Result<(), String> {
        match (self, answer) {
            (Expected::Error(expected), Err(error)) => expected.check(error),
            (Expected::Error(expected), Ok(_)) => {
                Err(format!("expected the error {expected}, but it succeeded"))
            }
            (_, Err(error)) => Err(format!("failed with {}", error.text())),
            (Expected::Success, Ok(_)) => Ok(()),
            (Expected::Count(expected), Ok(answer)) if answer.count == *expected => Ok(()),
            (Expected::Count(expected), Ok(answer)) => {
                Err(format!("expected {expected} rows to be affected, it were {}", answer.count))
            }
            (Expected::Rows(expected), Ok(answer)) => expected.check(answer),
        }
    }
}

impl ExpectedError {
    fn check(&self, error: &ServerError) -> Result<(), String> {
        let matches = match self {
            ExpectedError::Any => true,
            ExpectedError::Matching(expected) => expected.is_match(&error.text(), error.code.as_deref()),
        };
        if matches { Ok(()) } else { Err(format!("expected the error {self}, it is {}", error.text())) }
    }
}

impl std::fmt::Display for ExpectedError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ExpectedError::Any => f.write_str("(any)"),
            ExpectedError::Matching(expected) => expected.fmt(f),
        }
    }
}

impl ExpectedRows {
    fn check(&self, answer: &Answer) -> Result<(), String> {
        let columns = answer.columns;
        if columns != self.types.chars().count() {
            return Err(format!("expected {} columns, there are {columns}", self.types.chars().count()));
        }
        let found = crate::value::lines(answer, &self.types, self.format, self.sort);
        let hashed = self.lines.first().and_then(|line| line.split_once(" values hashing to "));
        let found = match hashed {
            Some(_) if self.lines.len() == 1 && self.format != Format::Rows => {
                vec![crate::value::hash_line(&found)]
            }
            _ => found,
        };
        if found == self.lines {
            return Ok(());
        }
        Err(format!("expected\n{}\nfound\n{}", shown(&self.lines), shown(&found)))
    }
}

/// The first lines, indented, and how many more there are.
fn shown(lines: &[String]) -> String {
    const LINES_MAX: usize = 12;
    let mut text: Vec<String> = lines.iter().take(LINES_MAX).map(|line| format!("    {line}")).collect();
    if lines.len() > LINES_MAX {
        text.push(format!("    ... and {} more lines", lines.len() - LINES_MAX));
    }
    if lines.is_empty() {
        text.push("    (no rows)".to_string());
    }
    text.join("\n")
}
