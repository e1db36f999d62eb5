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

use crate::datum::Datum;
use crate::descriptor::{ColumnId, IndexDescriptor, TableDescriptor};
use crate::error::PgResult;
use crate::vector::{Batch, Vector};

/// Encodes rows into the entries of one index.
#[derive(Clone, Debug)]
pub struct RowEncoder {}

impl RowEncoder {
    /// `inputs` says which column each position of the given rows is. Key columns must be among them (for a secondary index
    /// those of the primary key too); other columns that are not there are stored as NULL.
    pub fn new(
        table: &TableDescriptor,
        index: &IndexDescriptor,
        inputs: &[ColumnId],
    ) -> PgResult<RowEncoder> {
        let _ = (table, index, inputs);
        crate::pending()
    }

    /// Appends the key and the value of a row. 54000 when a key is too long.
    pub fn encode(&self, row: &[Datum], key: &mut Vec<u8>, value: &mut Vec<u8>) -> PgResult<()> {
        let _ = (row, key, value);
        crate::pending()
    }

    /// Appends the key alone (to delete an entry).
    pub fn encode_key(&self, row: &[Datum], key: &mut Vec<u8>) -> PgResult<()> {
        let _ = (row, key);
        crate::pending()
    }

    pub fn encode_batch_row(
        &self,
        batch: &Batch,
        row: usize,
        key: &mut Vec<u8>,
        value: &mut Vec<u8>,
    ) -> PgResult<()> {
        let _ = (batch, row, key, value);
        crate::pending()
    }

    pub fn encode_batch_key(&self, batch: &Batch, row: usize, key: &mut Vec<u8>) -> PgResult<()> {
        let _ = (batch, row, key);
        crate::pending()
    }

    /// Whether the row's entry is unique by its index columns alone: the write must check that the key is free.
    /// False for a unique index with a NULL in its columns (unless NULLS NOT DISTINCT) and for one that is not unique.
    pub fn is_unique_entry(&self, row: &[Datum]) -> bool {
        let _ = row;
        crate::pending()
    }
}

/// Encodes values of an index's leading columns: lookups and scan bounds.
#[derive(Clone, Debug)]
pub struct KeyPrefixEncoder {}

impl KeyPrefixEncoder {
    pub fn new(table: &TableDescriptor, index: &IndexDescriptor) -> PgResult<KeyPrefixEncoder> {
        let _ = (table, index);
        crate::pending()
    }

    /// Appends `/table/<storage_id>/<storage_index>/`: where the index's entries begin.
    pub fn start(&self, out: &mut Vec<u8>) {
        let _ = out;
        crate::pending()
    }

    /// Appends the encoding of a value of key column `position` (from 0; after the index's own columns come those of the primary key).
    /// The value is of the column's type. All entries with these leading values begin with these bytes; the end of
    /// that span is `keys`' prefix end.
    pub fn append(&self, position: usize, value: &Datum, out: &mut Vec<u8>) -> PgResult<()> {
        let _ = (position, value, out);
        crate::pending()
    }

    /// Appends from a vector's row.
    pub fn append_from(
        &self,
        position: usize,
        vector: &Vector,
        row: usize,
        out: &mut Vec<u8>,
    ) -> PgResult<()> {
        let _ = (position, vector, row, out);
        crate::pending()
    }
}

/// Decodes entries of one index into vectors.
#[derive(Clone, Debug)]
pub struct RowDecoder {}

impl RowDecoder {
    /// `wanted` says which column each output vector gets. Columns that the index does not hold are an internal error.
    pub fn new(
        table: &TableDescriptor,
        index: &IndexDescriptor,
        wanted: &[ColumnId],
    ) -> PgResult<RowDecoder> {
        let _ = (table, index, wanted);
        crate::pending()
    }

    /// Fresh vectors to decode into.
    pub fn vectors(&self, rows: usize) -> Vec<Vector> {
        let _ = rows;
        crate::pending()
    }

    /// Appends one row to each of `columns` (as many as `wanted`). XX001 when the bytes make no sense; the vectors are then of
    /// unequal length and to be thrown away.
    pub fn decode(&self, key: &[u8], value: &[u8], columns: &mut [Vector]) -> PgResult<()> {
        let _ = (key, value, columns);
        crate::pending()
    }
}
