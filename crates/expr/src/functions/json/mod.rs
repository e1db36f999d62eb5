//! json and jsonb.
//!
//! json keeps its text, so that looking inside gives a piece of that text ([`text`]). jsonb is parsed into a
//! [`types::json::Value`] to look inside and printed again.

pub mod access;
pub mod build;
pub mod modify;
pub mod path;
pub mod populate;
pub(crate) mod text;

use types::json::{self, Value};
use types::{Datum, PgError, PgResult, SqlState};

/// The value of a jsonb datum.
pub(crate) fn value_of(datum: &Datum) -> PgResult<Value> {
    match datum {
        Datum::Jsonb(text) => json::parse(text),
        _ => Ok(Value::Null),
    }
}

pub(crate) fn jsonb(value: &Value) -> Datum {
    Datum::Jsonb(value.to_string().into())
}

/// What `->>` shows: a string's characters, any other value's text; `None` for null.
pub(crate) fn shown(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

fn invalid(message: impl Into<String>) -> PgError {
    PgError::new(SqlState::INVALID_PARAMETER_VALUE, message)
}
