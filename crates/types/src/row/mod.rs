//! Rows to keys and values and back.
//!
//! A table is a set of indexes; the primary one holds the rows. An entry's key is
//! `/table/<storage_id>/<storage_index>/<key columns>`, its value the other columns:
//!
//! | index | key columns | value |
//! | --- | --- | --- |
//! | primary | the primary key | all other columns |
//! | unique secondary | the index's columns (and the primary key when one of them is NULL) | primary key, included columns |
//! | other secondary | the index's columns, the primary key | included columns |
//!
//! A column is never in both places, except where a key loses something: two numerics that are equal have the same key,
//! 1.5 and 1.50 print differently. Then, and only for the row at hand, the exact value stands in the value part too, and wins.
//!
//! # Life of a statement
//!
//! A [`RowEncoder`], a [`RowDecoder`] and a [`KeyPrefixEncoder`] are prepared once per plan from the descriptors; they hold
//! nothing of a row. The decoder appends packed entries straight to column vectors: no allocation per row, and columns that
//! are not wanted are stepped over by their length.
//!
//! # Schema changes
//!
//! Values name their columns by id, so a row outlives the schema it was written under: a column dropped since is stepped
//! over, a column added since is not there and reads as its `missing_value` (NULL without one). Layouts of keys never change:
//! another key is another index.

mod decoder;
mod encoder;
mod key;
mod layout;
mod numeric_key;
#[cfg(test)]
mod tests;
mod value;

pub use decoder::RowDecoder;
pub use encoder::{KEY_BYTES_MAX, KeyPrefixEncoder, RowEncoder};
pub use layout::is_indexable;

use crate::descriptor::{IndexDescriptor, TableDescriptor};
use crate::error::{PgError, SqlState};
use keys::{IndexId, KeyError, Span, TableId};

/// All entries of an index.
pub fn index_span(table: &TableDescriptor, index: &IndexDescriptor) -> Span {
    keys::table::index_span(TableId(table.storage_id), IndexId(index.storage_index))
}

fn corrupted(what: impl std::fmt::Display) -> PgError {
    PgError::new(SqlState::DATA_CORRUPTED, format!("a stored row cannot be decoded: {what}"))
}

fn corrupted_key(error: KeyError) -> PgError {
    corrupted(error)
}
