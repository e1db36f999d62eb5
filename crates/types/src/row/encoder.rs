//! Writing entries, and the keys that look them up.

use super::layout::IndexLayout;
use super::value::ValueWriter;
use super::{key, layout};
use crate::cell::Cell;
use crate::datum::Datum;
use crate::descriptor::{ColumnId, IndexDescriptor, TableDescriptor};
use crate::error::{PgError, PgResult, SqlState};
use crate::vector::{Batch, Vector};

/// A key is at most this long.
pub const KEY_BYTES_MAX: usize = 16 * 1024;

/// Encodes rows into the entries of one index.
#[derive(Clone, Debug)]
pub struct RowEncoder {
    layout: IndexLayout,
    /// Where the columns of `layout.key` are in a given row.
    key_inputs: Vec<usize>,
    /// What may stand in the value, in order of column id.
    value_steps: Vec<ValueStep>,
}

#[derive(Clone, Debug)]
struct ValueStep {
    id: ColumnId,
    input: Option<usize>,
    writes_null: bool,
    /// A key column, of which the value is written only where the key loses something.
    key: Option<KeyRemainder>,
}

#[derive(Clone, Copy, Debug)]
struct KeyRemainder {
    scale_min: u16,
}

impl RowEncoder {
    /// `inputs` says which column each position of the given rows is. Key columns must be among them (for a secondary index
    /// those of the primary key too); other columns that are not there are stored as NULL.
    pub fn new(
        table: &TableDescriptor,
        index: &IndexDescriptor,
        inputs: &[ColumnId],
    ) -> PgResult<RowEncoder> {
        let layout = IndexLayout::new(table, index)?;
        let input_of = |id: ColumnId| inputs.iter().position(|input| *input == id);
        let key_inputs = layout
            .key
            .iter()
            .map(|column| {
                input_of(column.id).ok_or_else(|| {
                    PgError::internal(format!(
                        "no value for key column {} of index {}",
                        column.id.0, index.name
                    ))
                })
            })
            .collect::<PgResult<Vec<_>>>()?;
        let mut value_steps: Vec<ValueStep> = layout
            .value
            .iter()
            .map(|column| ValueStep {
                id: column.id,
                input: input_of(column.id),
                writes_null: column.writes_null,
                key: None,
            })
            .collect();
        for column in layout.key.iter().filter(|column| key::may_lose(column.column_type.data_type)) {
            if !value_steps.iter().any(|step| step.id == column.id) {
                let key = Some(KeyRemainder { scale_min: column.scale_min() });
                value_steps.push(ValueStep {
                    id: column.id,
                    input: input_of(column.id),
                    writes_null: false,
                    key,
                });
            }
        }
        value_steps.sort_by_key(|step| step.id);
        Ok(RowEncoder { layout, key_inputs, value_steps })
    }

    /// Appends the key and the value of a row. 54000 when the key is too long.
    pub fn encode(&self, row: &[Datum], key: &mut Vec<u8>, value: &mut Vec<u8>) -> PgResult<()> {
        self.put_key(|input| Cell::of_datum(&row[input]), key)?;
        self.put_value(|input| Cell::of_datum(&row[input]), value);
        Ok(())
    }

    /// Appends the key alone (to delete an entry).
    pub fn encode_key(&self, row: &[Datum], key: &mut Vec<u8>) -> PgResult<()> {
        self.put_key(|input| Cell::of_datum(&row[input]), key)
    }

    /// The same from a batch.
    #[inline]
    pub fn encode_batch_row(
        &self,
        batch: &Batch,
        row: usize,
        key: &mut Vec<u8>,
        value: &mut Vec<u8>,
    ) -> PgResult<()> {
        self.put_key(|input| Cell::of_vector(&batch.columns[input], row), key)?;
        self.put_value(|input| Cell::of_vector(&batch.columns[input], row), value);
        Ok(())
    }

    #[inline]
    pub fn encode_batch_key(&self, batch: &Batch, row: usize, key: &mut Vec<u8>) -> PgResult<()> {
        self.put_key(|input| Cell::of_vector(&batch.columns[input], row), key)
    }

    /// Appends the value alone.
    #[inline]
    pub fn encode_batch_value(&self, batch: &Batch, row: usize, value: &mut Vec<u8>) {
        self.put_value(|input| Cell::of_vector(&batch.columns[input], row), value);
    }

    /// Whether the row's entry is unique by its index columns alone: the write must check that the key is free.
    /// False for a unique index with a NULL in its columns (unless NULLS NOT DISTINCT) and for one that is not unique.
    pub fn is_unique_entry(&self, row: &[Datum]) -> bool {
        self.layout.unique && self.key_length(|input| row[input].is_null()) == self.layout.own_columns
    }

    /// The same from a batch.
    pub fn is_unique_batch_entry(&self, batch: &Batch, row: usize) -> bool {
        self.layout.unique
            && self.key_length(|input| batch.columns[input].is_null(row)) == self.layout.own_columns
    }

    #[inline]
    fn key_length(&self, is_null: impl Fn(usize) -> bool) -> usize {
        let has_null = self.key_inputs[..self.layout.own_columns].iter().any(|&input| is_null(input));
        self.layout.key_length(has_null)
    }

    #[inline]
    fn put_key<'a>(&self, cell: impl Fn(usize) -> Cell<'a>, out: &mut Vec<u8>) -> PgResult<()> {
        let start = out.len();
        out.extend_from_slice(&self.layout.prefix);
        let length = self.key_length(|input| matches!(cell(input), Cell::Null));
        for (column, &input) in self.layout.key[..length].iter().zip(&self.key_inputs) {
            key::put(column, cell(input), out)?;
        }
        if out.len() - start > KEY_BYTES_MAX {
            return Err(key_too_long(&self.layout, out.len() - start));
        }
        Ok(())
    }

    #[inline]
    fn put_value<'a>(&self, cell: impl Fn(usize) -> Cell<'a>, out: &mut Vec<u8>) {
        let mut writer = ValueWriter::new(out);
        for step in &self.value_steps {
            let cell = step.input.map_or(Cell::Null, &cell);
            let written = match (cell, step.key) {
                (Cell::Null, _) => step.writes_null,
                (cell, Some(key)) => key::loses(cell, key.scale_min),
                _ => true,
            };
            if written {
                writer.put(step.id.0, cell);
            }
        }
    }
}

fn key_too_long(layout: &IndexLayout, length: usize) -> PgError {
    PgError::new(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        format!("index row size {length} exceeds maximum {KEY_BYTES_MAX} for index \"{}\"", layout.index_name),
    )
    .hint("Values larger than 1/3 of a buffer page cannot be indexed.\nConsider a function index of an MD5 hash of the value, or use full text indexing.")
}

/// Encodes values of an index's leading columns: lookups and scan bounds.
#[derive(Clone, Debug)]
pub struct KeyPrefixEncoder {
    layout: IndexLayout,
}

impl KeyPrefixEncoder {
    pub fn new(table: &TableDescriptor, index: &IndexDescriptor) -> PgResult<KeyPrefixEncoder> {
        Ok(KeyPrefixEncoder { layout: IndexLayout::new(table, index)? })
    }

    /// Columns that a key of the index has at most: its own, then those of the primary key that are not among them.
    pub fn columns(&self) -> usize {
        self.layout.key.len()
    }

    /// How many of them suffice for a whole key: all of a primary or unique index's own columns (when none of the values is NULL),
    /// otherwise all.
    pub fn whole_key_columns(&self) -> usize {
        self.layout.key_length(false)
    }

    /// Appends `/table/<storage_id>/<storage_index>/`: where the index's entries begin.
    pub fn start(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.layout.prefix);
    }

    /// Appends the encoding of a value (NULL too) of key column `position` (from 0; after the index's own columns come those of the primary key).
    /// The value is of the column's type. All entries with these leading values begin with these bytes; the end of
    /// that span is `keys`' prefix end.
    pub fn append(&self, position: usize, value: &Datum, out: &mut Vec<u8>) -> PgResult<()> {
        key::put(self.column(position)?, Cell::of_datum(value), out)
    }

    /// Appends from a vector's row.
    #[inline]
    pub fn append_from(
        &self,
        position: usize,
        vector: &Vector,
        row: usize,
        out: &mut Vec<u8>,
    ) -> PgResult<()> {
        key::put(self.column(position)?, Cell::of_vector(vector, row), out)
    }

    #[inline]
    fn column(&self, position: usize) -> PgResult<&layout::KeyColumn> {
        self.layout.key.get(position).ok_or_else(|| {
            PgError::internal(format!("index {} has no key column {position}", self.layout.index_name))
        })
    }
}
