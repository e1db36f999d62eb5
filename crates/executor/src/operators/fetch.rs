//! From an index entry to the row: the primary key out of the entry, then the row by it.

use kvclient::{KeyBlock, KvBlock, Locking, Txn};
use types::descriptor::{ColumnId, IndexDescriptor, TableDescriptor};
use types::row::{RowDecoder, RowEncoder};
use types::{Batch, PgError, PgResult, SqlState, Vector};

use crate::error::ExecResult;

/// Prepared for one index.
///
/// - `key_decoder` gives the primary key columns in their key's order, which is what `key_encoder` takes.
pub(crate) struct Fetch {
    key_decoder: RowDecoder,
    key_encoder: RowEncoder,
    row_decoder: RowDecoder,
}

impl Fetch {
    /// `wanted` are the columns to take from the row.
    pub fn new(table: &TableDescriptor, index: &IndexDescriptor, wanted: &[ColumnId]) -> PgResult<Fetch> {
        let key: Vec<ColumnId> = table.primary.columns.iter().map(|column| column.column).collect();
        Ok(Fetch {
            key_decoder: RowDecoder::new(table, index, &key)?,
            key_encoder: RowEncoder::new(table, &table.primary, &key)?,
            row_decoder: RowDecoder::new(table, &table.primary, wanted)?,
        })
    }

    /// Decodes the rows.
    pub fn decoder(&self) -> &RowDecoder {
        &self.row_decoder
    }

    /// The key of the row that an entry is for.
    pub fn row_key(&self, key: &[u8], value: &[u8]) -> PgResult<Vec<u8>> {
        let mut columns = self.key_decoder.vectors(1);
        self.key_decoder.decode(key, value, &mut columns)?;
        let mut row_key = Vec::with_capacity(32);
        self.key_encoder.encode_batch_key(&Batch { columns, rows: 1 }, 0, &mut row_key)?;
        Ok(row_key)
    }

    /// The keys of the rows that a page of entries is for, in the order of the entries.
    pub fn row_keys(&self, entries: &KvBlock) -> PgResult<KeyBlock> {
        let mut columns = self.key_decoder.vectors(entries.len());
        let mut rows = 0;
        for entry in entries.iter() {
            if let Some(value) = entry.value {
                self.key_decoder.decode(entry.key, value, &mut columns)?;
                rows += 1;
            }
        }
        let batch = Batch { columns, rows };
        let mut keys = KeyBlock::with_capacity(rows, rows * 24);
        let mut key = Vec::with_capacity(32);
        for row in 0..rows {
            key.clear();
            self.key_encoder.encode_batch_key(&batch, row, &mut key)?;
            keys.push(&key);
        }
        Ok(keys)
    }

    /// The rows of a page of entries. In one snapshot every entry has its row: XX002 when not.
    pub async fn rows(&self, txn: &Txn, entries: &KvBlock) -> ExecResult<Batch> {
        let keys = self.row_keys(entries)?;
        let rows = txn.multi_get(&keys, Locking::NONE).await?;
        let batch = decode_block(&self.row_decoder, &rows)?;
        if batch.rows != keys.len() {
            return Err(missing_row().into());
        }
        Ok(batch)
    }
}

/// XX002.
pub(crate) fn missing_row() -> PgError {
    PgError::new(SqlState::INDEX_CORRUPTED, "an index has an entry without a row")
        .hint("The index should be dropped and made again.")
}

/// All rows of a block that have a value.
pub(crate) fn decode_block(decoder: &RowDecoder, block: &KvBlock) -> PgResult<Batch> {
    let mut columns = decoder.vectors(block.len());
    let rows = decode_into(decoder, block, &mut columns)?;
    Ok(Batch { columns, rows })
}

/// Appends the rows of a block that have a value; answers with how many.
pub(crate) fn decode_into(decoder: &RowDecoder, block: &KvBlock, columns: &mut [Vector]) -> PgResult<usize> {
    let mut rows = 0;
    for row in block.iter() {
        let Some(value) = row.value else { continue };
        if !columns.is_empty() {
            decoder.decode(row.key, value, columns)?;
        }
        rows += 1;
    }
    Ok(rows)
}
