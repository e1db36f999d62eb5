//! PostgreSQL's text and binary formats of every type.
//!
//! `parse_*` are a type's input and receive functions, `write_*` its output and send functions. Writing appends to a buffer
//! and allocates nothing else: it is the hot path of DataRow. Neither knows NULL: the caller has handled it (a NULL has
//! no text). Wording and SQLSTATEs of input errors are PostgreSQL 15's.

use crate::data_type::DataType;
use crate::datum::Datum;
use crate::error::PgResult;
use crate::timezone::TimeZone;
use crate::vector::Vector;

/// DateStyle, first half: how dates are printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum DateFormat {
    #[default]
    Iso,
    Sql,
    Postgres,
    German,
}

/// DateStyle, second half: the order in which an ambiguous date is read (and some formats print it).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum DateOrder {
    Ymd,
    Dmy,
    #[default]
    Mdy,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum IntervalStyle {
    #[default]
    Postgres,
    PostgresVerbose,
    SqlStandard,
    Iso8601,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ByteaOutput {
    #[default]
    Hex,
    Escape,
}

/// The session settings that input and output depend on.
#[derive(Clone, Debug)]
pub struct FormatContext {
    pub time_zone: TimeZone,
    pub date_format: DateFormat,
    pub date_order: DateOrder,
    pub interval_style: IntervalStyle,
    pub bytea_output: ByteaOutput,
    /// PostgreSQL's setting: above 0 (default 1) the shortest text that reads back as the same float; else digits
    /// relative to 15 (6 for float4).
    pub extra_float_digits: i32,
    /// What `'now'`, `'today'` ... mean: the transaction's start, microseconds since 2000-01-01 UTC.
    pub now: i64,
}

impl Default for FormatContext {
    /// PostgreSQL's defaults, in UTC, at the beginning of 2000.
    fn default() -> Self {
        FormatContext {
            time_zone: TimeZone::utc(),
            date_format: DateFormat::default(),
            date_order: DateOrder::default(),
            interval_style: IntervalStyle::default(),
            bytea_output: ByteaOutput::default(),
            extra_float_digits: 1,
            now: 0,
        }
    }
}

/// A type's input function. `typmod` -1 applies no length or precision. Too long for `varchar(n)` is 22001 as in PostgreSQL's
/// input (an explicit cast truncates instead: that is the cast's doing).
///
/// Types whose input needs the catalog (enums, composites, regclass by name ...) take what needs none (a numeric oid) and
/// answer 0A000 otherwise.
pub fn parse_text(data_type: DataType, typmod: i32, text: &str, context: &FormatContext) -> PgResult<Datum> {
    let _ = (data_type, typmod, text, context);
    crate::pending()
}

/// A type's receive function.
pub fn parse_binary(data_type: DataType, typmod: i32, bytes: &[u8]) -> PgResult<Datum> {
    let _ = (data_type, typmod, bytes);
    crate::pending()
}

/// Appends the text of the value at `row`, which is not NULL. `typmod` matters to `char(n)` alone, which it pads.
pub fn write_text(vector: &Vector, typmod: i32, row: usize, context: &FormatContext, out: &mut Vec<u8>) {
    let _ = (vector, typmod, row, context, out);
    crate::pending()
}

/// Appends the text of a datum, which is not NULL.
pub fn write_datum_text(
    datum: &Datum,
    data_type: DataType,
    typmod: i32,
    context: &FormatContext,
    out: &mut Vec<u8>,
) {
    let _ = (datum, data_type, typmod, context, out);
    crate::pending()
}

/// The text of a datum that is not NULL.
pub fn datum_text(datum: &Datum, data_type: DataType, typmod: i32, context: &FormatContext) -> String {
    let mut out = Vec::new();
    write_datum_text(datum, data_type, typmod, context, &mut out);
    String::from_utf8(out).expect("text output is UTF-8")
}

/// Appends the binary format of the value at `row`, which is not NULL, without its length.
pub fn write_binary(vector: &Vector, typmod: i32, row: usize, out: &mut Vec<u8>) {
    let _ = (vector, typmod, row, out);
    crate::pending()
}

/// Appends the binary format of a datum, which is not NULL, without its length.
pub fn write_datum_binary(datum: &Datum, data_type: DataType, typmod: i32, out: &mut Vec<u8>) {
    let _ = (datum, data_type, typmod, out);
    crate::pending()
}
