//! SQL types and values.

pub mod error;

pub use error::{PgError, PgErrorFields, PgResult, Severity, SqlState};
