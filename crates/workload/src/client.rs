//! What a workload needs of a database connection.

use std::fmt;

use futures::future::BoxFuture;

/// A value that goes with a statement, as `$1`, `$2`, ...
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parameter {
    Integer(i64),
    Text(String),
}

impl Parameter {
    /// The value in PostgreSQL's text format.
    pub fn text(&self) -> String {
        match self {
            Parameter::Integer(number) => number.to_string(),
            Parameter::Text(text) => text.clone(),
        }
    }
}

impl From<i64> for Parameter {
    fn from(number: i64) -> Parameter {
        Parameter::Integer(number)
    }
}

impl From<String> for Parameter {
    fn from(text: String) -> Parameter {
        Parameter::Text(text)
    }
}

/// What a statement gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Values in PostgreSQL's text format; `None` is NULL.
    pub rows: Vec<Vec<Option<String>>>,
    /// Rows that the command tag tells: affected or selected.
    pub count: u64,
}

impl Answer {
    /// A value that must be an integer.
    pub fn integer(&self, row: usize, column: usize) -> Result<i64, Failure> {
        let value = self.rows.get(row).and_then(|row| row.get(column)).and_then(Option::as_deref);
        value
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| Failure::nonsense(format!("row {row}, column {column}: {value:?} is no integer")))
    }

    /// A column of the result, every value an integer.
    pub fn integers(&self, column: usize) -> Result<Vec<i64>, Failure> {
        (0..self.rows.len()).map(|row| self.integer(row, column)).collect()
    }

    /// The first value of the first row; `None` if there is no row or it is NULL.
    pub fn first_text(&self) -> Option<&str> {
        self.rows.first()?.first()?.as_deref()
    }
}

/// Why a statement gave nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The SQLSTATE of the server's error; `None`: the connection was lost.
    pub code: Option<String>,
    pub message: String,
}

impl Failure {
    /// The connection is gone (or never was).
    pub fn lost(message: impl Into<String>) -> Failure {
        Failure { code: None, message: message.into() }
    }

    pub fn server(code: impl Into<String>, message: impl Into<String>) -> Failure {
        Failure { code: Some(code.into()), message: message.into() }
    }

    /// An answer that no correct server gives.
    pub fn nonsense(message: impl Into<String>) -> Failure {
        Failure::server("XX000", message)
    }

    fn is(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }

    pub fn is_lost(&self) -> bool {
        self.code.is_none()
    }

    /// A serialization failure or a deadlock: nothing happened, and the same again may work.
    pub fn is_retryable(&self) -> bool {
        self.is("40001") || self.is("40P01")
    }

    /// The server itself says that it does not know whether the transaction was committed.
    pub fn is_unknown(&self) -> bool {
        self.is("40003")
    }

    pub fn is_unique_violation(&self) -> bool {
        self.is("23505")
    }

    /// What a server that works may answer to a statement that is right: a conflict, an unknown outcome, a connection that ends or
    /// cannot be had (class 08, 53300, 57P01 to 57P03), a limit of time (57014, 55P03). Anything else is a finding.
    pub fn is_expected(&self) -> bool {
        const CODES: [&str; 7] = ["53300", "57P01", "57P02", "57P03", "57014", "55P03", "25P03"];
        let Some(code) = self.code.as_deref() else { return true };
        self.is_retryable() || self.is_unknown() || code.starts_with("08") || CODES.contains(&code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_deref().unwrap_or("lost"), self.message)
    }
}

impl std::error::Error for Failure {}

/// One connection.
///
/// - After a failure with [`Failure::is_lost`] it is of no more use.
pub trait Client: Send {
    /// Runs one statement. Without parameters it goes by the simple query protocol, otherwise by the extended one, prepared.
    fn execute<'a>(
        &'a mut self,
        sql: &'a str,
        parameters: &'a [Parameter],
    ) -> BoxFuture<'a, Result<Answer, Failure>>;
}

/// Opens connections to wherever the database is now.
pub trait Connector: Send + Sync + 'static {
    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Client>, Failure>>;
}
