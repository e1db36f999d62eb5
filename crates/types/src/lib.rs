//! SQL types and values: data types, datums, column vectors, PostgreSQL's text and binary formats, table descriptors,
//! the row codec, errors.

pub mod data_type;
pub mod datum;
pub mod descriptor;
pub mod error;
pub mod format;
pub mod interval;
pub mod numeric;
pub mod vector;

pub use data_type::{ColumnType, DataType, ElementType, Physical};
pub use datum::{ArrayValue, BitString, Datum, TimeTz};
pub use error::{PgError, PgErrorFields, PgResult, Severity, SqlState};
pub use interval::Interval;
pub use numeric::Numeric;
pub use vector::{BATCH_ROWS_MAX, Batch, BytesVector, Nulls, TextVector, Values, Vector};
