//! What nodes say to each other about a topic: what one tells when it is asked, for views of the whole cluster, and what it tells unasked.
//!
//! What is asked and answered here passes through layers that do not know what it means: which topics there are, and what the
//! values of their rows are, is between who makes the rows and who shows them. Nodes of neighbouring versions understand each
//! other because values are only ever added at the end of a row, and a value that is missing is not known.

use keys::NodeId;

/// Rows that one report may have: what is beyond is left out.
pub const REPORT_ROWS_MAX: usize = 20_000;

/// What a node knows of a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub rows: Vec<ReportRow>,
    /// Nothing was left out.
    pub is_complete: bool,
}

impl Report {
    /// The first of the rows, as many as a report may have.
    pub fn of(mut rows: Vec<ReportRow>) -> Report {
        let is_complete = rows.len() <= REPORT_ROWS_MAX;
        rows.truncate(REPORT_ROWS_MAX);
        Report { rows, is_complete }
    }
}

/// One value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ReportValue {
    /// Not known, or not there.
    #[default]
    Nothing,
    Integer(i64),
    Text(String),
    Bytes(Vec<u8>),
}

/// The values of one row, by position.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReportRow(pub Vec<ReportValue>);

impl ReportRow {
    pub fn integer(&self, position: usize) -> Option<i64> {
        match self.0.get(position)? {
            ReportValue::Integer(value) => Some(*value),
            _ => None,
        }
    }

    pub fn text(&self, position: usize) -> Option<&str> {
        match self.0.get(position)? {
            ReportValue::Text(value) => Some(value),
            _ => None,
        }
    }

    pub fn bytes(&self, position: usize) -> Option<&[u8]> {
        match self.0.get(position)? {
            ReportValue::Bytes(value) => Some(value),
            _ => None,
        }
    }
}

impl From<i64> for ReportValue {
    fn from(value: i64) -> ReportValue {
        ReportValue::Integer(value)
    }
}

impl From<u64> for ReportValue {
    fn from(value: u64) -> ReportValue {
        ReportValue::Integer(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<bool> for ReportValue {
    fn from(value: bool) -> ReportValue {
        ReportValue::Integer(i64::from(value))
    }
}

impl From<String> for ReportValue {
    fn from(value: String) -> ReportValue {
        ReportValue::Text(value)
    }
}

impl From<&str> for ReportValue {
    fn from(value: &str) -> ReportValue {
        ReportValue::Text(value.to_string())
    }
}

impl From<Vec<u8>> for ReportValue {
    fn from(value: Vec<u8>) -> ReportValue {
        ReportValue::Bytes(value)
    }
}

impl From<&[u8]> for ReportValue {
    fn from(value: &[u8]) -> ReportValue {
        ReportValue::Bytes(value.to_vec())
    }
}

impl<T: Into<ReportValue>> From<Option<T>> for ReportValue {
    fn from(value: Option<T>) -> ReportValue {
        value.map_or(ReportValue::Nothing, Into::into)
    }
}

/// A row of values of several types.
#[macro_export]
macro_rules! report_row {
    ($($value:expr),* $(,)?) => { $crate::ReportRow(vec![$($crate::ReportValue::from($value)),*]) };
}

/// Answers other nodes.
pub trait Reporter: Send + Sync {
    /// `None`: the topic is not known here.
    fn report(&self, topic: &str) -> Option<Report>;

    /// Another node tells something. It may say the same twice. Errors: why it is not heard.
    fn hear(&self, from: NodeId, topic: &str, rows: Vec<ReportRow>) -> Result<(), String>;
}
