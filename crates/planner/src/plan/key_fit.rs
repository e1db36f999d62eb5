//! Key columns that are compared with values of another type.

use types::DataType;

/// How exactly values of one type can be placed among those of a key column's type.
///
/// The pairs are those of PostgreSQL's operator families for btrees that hold several types (integer_ops, float_ops, datetime_ops; chapter
/// "Operator Classes and Operator Families"): integers of any width, floats of either, dates and timestamps with and without a time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFit {
    /// A value is one of the column's, or lies between two neighbours among them: a comparison with it is a span.
    Exact,
    /// Where a local time stands among instants depends on the zone and has gaps and repetitions: a span may hold rows of which
    /// the comparison does not, so that it is still to be checked. It serves no equality.
    Approximate,
}

impl KeyFit {
    /// `None`: the types are the same, or no span can be made of the comparison.
    pub fn of(given: DataType, column: DataType) -> Option<KeyFit> {
        use DataType::*;
        match (given, column) {
            (Int2, Int4 | Int8) | (Int4, Int2 | Int8) | (Int8, Int2 | Int4) => Some(KeyFit::Exact),
            (Float4, Float8) | (Float8, Float4) => Some(KeyFit::Exact),
            (Date, Timestamp | TimestampTz) | (Timestamp, Date | TimestampTz) => Some(KeyFit::Exact),
            (TimestampTz, Date | Timestamp) => Some(KeyFit::Approximate),
            _ => None,
        }
    }
}
