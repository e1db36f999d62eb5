//! Our own dialect: sqllogictest's parser, and recording of expectations.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use sqllogictest::DefaultColumnType;
use sqllogictest::parser::{
    self, Condition, Connection, Control, QueryExpect, ResultMode, RetryConfig, SortMode, StatementExpect,
};

use crate::client::{Answer, ServerError};
use crate::record::{Expected, ExpectedError, ExpectedRows, Format, Record, Sort, Step};
use crate::value;

type Parsed = parser::Record<DefaultColumnType>;

/// What `control` lines set for the queries after them.
#[derive(Clone, Copy)]
struct Settings {
    sort: Sort,
    format: Format,
}

/// A test file as it was parsed, with the records made of it: `records[i]` came from `parsed[origins[i]]`.
pub struct Script {
    pub records: Vec<Record>,
    parsed: Vec<Parsed>,
    origins: Vec<usize>,
    has_includes: bool,
}

pub fn parse_file(path: &Path, label: &str) -> Result<Script, String> {
    let parsed = parser::parse_file::<DefaultColumnType>(path).map_err(|error| error.to_string())?;
    let mut settings = Settings { sort: Sort::None, format: Format::Rows };
    let mut script =
        Script { records: Vec::new(), parsed: Vec::new(), origins: Vec::new(), has_includes: false };
    for (index, record) in parsed.iter().enumerate() {
        match record {
            Parsed::Halt { .. } => break,
            Parsed::Include { .. } => script.has_includes = true,
            Parsed::Control(control) => settings.set(control)?,
            Parsed::System { loc, .. } => return Err(format!("{loc}: system commands are not run")),
            Parsed::Let { loc, .. } => return Err(format!("{loc}: let is not supported")),
            other => {
                if let Some(record) = settings.convert(other, label) {
                    script.records.push(record);
                    script.origins.push(index);
                }
            }
        }
    }
    script.parsed = parsed;
    Ok(script)
}

impl Settings {
    fn set(&mut self, control: &Control) -> Result<(), String> {
        match control {
            Control::SortMode(mode) => self.sort = sort(*mode),
            Control::ResultMode(ResultMode::RowWise) => self.format = Format::Rows,
            Control::ResultMode(ResultMode::ValueWise) => self.format = Format::Values,
            other => return Err(format!("control {other:?} is not supported")),
        }
        Ok(())
    }

    /// What is to be done for a parsed record; `None` for what needs nothing done.
    fn convert(self, record: &Parsed, label: &str) -> Option<Record> {
        let (loc, conditions, connection, sql, expected, retry) = match record {
            Parsed::Sleep { loc, duration } => {
                return Some(Record { line: loc.line(), connection: None, step: Step::Sleep(*duration) });
            }
            Parsed::Statement { loc, conditions, connection, sql, expected, retry } => {
                (loc, conditions, connection, sql, statement_expectation(expected), retry)
            }
            Parsed::Query { loc, conditions, connection, sql, expected, retry } => {
                (loc, conditions, connection, sql, self.query_expectation(expected), retry)
            }
            _ => return None,
        };
        let connection = match connection {
            Connection::Default => None,
            Connection::Named(name) => Some(name.clone()),
        };
        let (attempts, backoff) = retries(retry.as_ref());
        let step = if conditions.iter().all(|condition| applies(condition, label)) {
            Step::Run { sql: sql.clone(), expected, attempts, backoff }
        } else {
            Step::Skip
        };
        Some(Record { line: loc.line(), connection, step })
    }

    fn query_expectation(self, expected: &QueryExpect<DefaultColumnType>) -> Expected {
        match expected {
            QueryExpect::Error(error) => Expected::Error(ExpectedError::Matching(error.clone())),
            QueryExpect::Results { types, sort_mode, results, .. } => Expected::Rows(ExpectedRows {
                format: self.format,
                types: types.iter().map(sqllogictest::ColumnType::to_char).collect(),
                sort: sort_mode.map_or(self.sort, sort),
                lines: results.clone(),
            }),
        }
    }
}

fn statement_expectation(expected: &StatementExpect) -> Expected {
    match expected {
        StatementExpect::Ok => Expected::Success,
        StatementExpect::Count(count) => Expected::Count(*count),
        StatementExpect::Error(error) => Expected::Error(ExpectedError::Matching(error.clone())),
    }
}

fn retries(retry: Option<&RetryConfig>) -> (usize, Duration) {
    retry.map_or((1, Duration::ZERO), |retry| (retry.attempts.max(1), retry.backoff))
}

fn sort(mode: SortMode) -> Sort {
    match mode {
        SortMode::NoSort => Sort::None,
        SortMode::RowSort => Sort::Rows,
        SortMode::ValueSort => Sort::Values,
    }
}

fn applies(condition: &Condition, label: &str) -> bool {
    match condition {
        Condition::OnlyIf { label: wanted } => wanted == label,
        Condition::SkipIf { label: unwanted } => unwanted != label,
    }
}

impl Script {
    /// Puts what was found into the record it belongs to.
    pub fn set_found(&mut self, index: usize, found: &Result<Answer, ServerError>) {
        let Step::Run { expected: wanted, .. } = &self.records[index].step else { return };
        let record = &mut self.parsed[self.origins[index]];
        // A query has at least one column in this format.
        if let (
            Parsed::Query { loc, conditions, connection, sql, retry, .. },
            Ok(Answer { columns: 0, .. }),
        ) = (&*record, found)
        {
            *record = Parsed::Statement {
                loc: loc.clone(),
                conditions: conditions.clone(),
                connection: connection.clone(),
                sql: sql.clone(),
                expected: StatementExpect::Ok,
                retry: retry.clone(),
            };
        }
        match (record, found) {
            (Parsed::Statement { expected, .. }, Ok(answer)) => {
                let counted = matches!(expected, StatementExpect::Count(_));
                *expected = if counted { StatementExpect::Count(answer.count) } else { StatementExpect::Ok };
            }
            (Parsed::Statement { expected, .. }, Err(error)) => {
                *expected = StatementExpect::Error(parser::ExpectedError::SqlState(error.code_or_unknown()));
            }
            (Parsed::Query { expected: QueryExpect::Results { types, results, .. }, .. }, Ok(answer)) => {
                let (format, sort) = match wanted {
                    Expected::Rows(rows) => (rows.format, rows.sort),
                    _ => (Format::Rows, Sort::None),
                };
                // The author's letters stand where they fit.
                if types.len() != answer.columns {
                    *types = vec![DefaultColumnType::Text; answer.columns];
                }
                let letters: String = types.iter().map(sqllogictest::ColumnType::to_char).collect();
                *results = value::lines(answer, &letters, format, sort);
            }
            (Parsed::Query { expected, .. }, Err(error)) => {
                *expected = QueryExpect::Error(parser::ExpectedError::SqlState(error.code_or_unknown()));
            }
            (Parsed::Query { expected, .. }, Ok(answer)) => {
                let types = vec![DefaultColumnType::Text; answer.columns];
                let results = value::lines(answer, &"T".repeat(answer.columns), Format::Rows, Sort::None);
                *expected =
                    QueryExpect::Results { types, sort_mode: None, result_mode: None, label: None, results };
            }
            _ => {}
        }
    }

    /// The file's text again, with what `set_found` put in.
    pub fn text(&self) -> Result<String, String> {
        if self.has_includes {
            return Err("a file with include cannot be recorded".to_string());
        }
        let mut text = String::new();
        for record in &self.parsed {
            writeln!(text, "{record}").expect("a string takes all that is written");
        }
        while text.ends_with("\n\n") {
            text.pop();
        }
        Ok(text)
    }
}
