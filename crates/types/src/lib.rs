//! SQL's vocabulary: types, values, column vectors, PostgreSQL's text and binary formats, table descriptors,
//! the row codec, errors.
//!
//! What is where:
//!
//! | module | holds |
//! | --- | --- |
//! | [`data_type`], [`datum`], [`vector`] | types; one value; a column of values and a batch of columns |
//! | [`numeric`], [`interval`] | the two arithmetic types that Rust does not bring |
//! | [`format`](mod@format) | text and binary input and output of every type, under a [`format::FormatContext`] |
//! | [`datetime`], [`timezone`] | calendar arithmetic, extract / date_trunc / age ..., zones by name (embedded tz database) |
//! | [`compare`], [`group_key`], [`selection`] | SQL order and equality, hashing and normalised group keys, gather / filter / append |
//! | [`json`] | validation and jsonb's normal form and order |
//! | [`jsonpath`] | the SQL/JSON path language |
//! | [`descriptor`], [`row`] | what the catalog stores of tables; rows to keys and values and back |
//! | [`user_type`] | what types that users made are made of; row values |
//! | [`acl`] | who may do what with an object |
//! | [`error`] | [`PgError`] with all fields of PostgreSQL's error message |
//!
//! This crate reads no clock (`now` comes in with the context), does no I/O and has no async.

pub mod acl;
mod cell;
pub mod compare;
pub mod data_type;
pub mod datetime;
pub mod datum;
pub mod descriptor;
pub mod error;
pub mod format;
pub mod group_key;
pub mod interval;
pub mod json;
pub mod jsonpath;
pub mod numeric;
pub mod row;
pub mod selection;
pub mod timezone;
pub mod user_type;
pub mod vector;

pub use data_type::{
    BUILTIN_TYPES, BaseType, ColumnType, DataType, DomainRef, ElementType, Physical, USER_ARRAY_BIT,
};
pub use datum::{ArrayValue, BitString, Datum, TimeTz};
pub use error::{PgError, PgErrorFields, PgResult, Severity, SqlState};
pub use format::FormatContext;
pub use interval::Interval;
pub use numeric::Numeric;
pub use timezone::TimeZone;
pub use user_type::{DomainType, EnumLabel, RecordValue, RowType, UserType, UserTypeKind};
pub use vector::{BATCH_ROWS_MAX, Batch, BytesVector, Nulls, TextVector, Values, Vector};
