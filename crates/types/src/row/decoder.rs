//! Reading entries into vectors.

use super::layout::{IndexLayout, KeyColumn};
use super::value::ValueReader;
use super::{corrupted, key};
use crate::data_type::{ColumnType, DataType};
use crate::datum::Datum;
use crate::descriptor::{ColumnId, IndexDescriptor, TableDescriptor};
use crate::error::{PgError, PgResult};
use crate::format::{FormatContext, parse_text};
use crate::vector::Vector;
use keys::encoding::Decoder;

/// Where no output wants a column.
const NOWHERE: u16 = u16::MAX;

/// Decodes entries of one index into vectors.
///
/// - `key_steps` ends with the last key column that is wanted.
/// - `value_outputs[id]` is the output of a column that may stand in the value; ids beyond its end are not wanted.
#[derive(Clone, Debug)]
pub struct RowDecoder {
    prefix: Vec<u8>,
    key_steps: Vec<(KeyColumn, Option<usize>)>,
    value_outputs: Vec<u16>,
    /// Outputs that a value may hold: all filled by it, or none wanted from it.
    value_wanted: usize,
    /// Per output: what a row without the column reads as.
    missing: Vec<Datum>,
    types: Vec<DataType>,
}

impl RowDecoder {
    /// `wanted` says which column each output vector gets. Columns that the index does not hold are an internal error.
    pub fn new(
        table: &TableDescriptor,
        index: &IndexDescriptor,
        wanted: &[ColumnId],
    ) -> PgResult<RowDecoder> {
        let layout = IndexLayout::new(table, index)?;
        let output_of = |id: ColumnId| wanted.iter().position(|column| *column == id);
        // In a unique secondary index the primary key is always in the value, and only sometimes in the key.
        let certain = layout.key_length(false);
        let mut key_steps: Vec<(KeyColumn, Option<usize>)> =
            layout.key[..certain].iter().map(|column| (column.clone(), output_of(column.id))).collect();
        while key_steps.last().is_some_and(|(_, output)| output.is_none()) {
            key_steps.pop();
        }
        let mut in_value: Vec<ColumnId> = layout.value.iter().map(|column| column.id).collect();
        let lossy = |column: &&KeyColumn| key::may_lose(column.column_type.data_type);
        in_value.extend(layout.key[..certain].iter().filter(lossy).map(|column| column.id));
        in_value.retain(|id| output_of(*id).is_some());
        let mut value_outputs =
            vec![NOWHERE; in_value.iter().map(|id| usize::from(id.0) + 1).max().unwrap_or(0)];
        for id in &in_value {
            value_outputs[usize::from(id.0)] = output_of(*id).expect("only wanted ones were kept") as u16;
        }
        let in_key = |id: ColumnId| key_steps.iter().any(|(column, _)| column.id == id);
        let (mut missing, mut types) = (Vec::new(), Vec::new());
        for (position, id) in wanted.iter().enumerate() {
            if wanted[..position].contains(id) {
                return Err(PgError::internal(format!("column {} is wanted twice", id.0)));
            }
            let column = table.column(*id).filter(|_| in_key(*id) || in_value.contains(id));
            let column = column.ok_or_else(|| {
                PgError::internal(format!("index {} does not hold column {}", index.name, id.0))
            })?;
            types.push(column.column_type.data_type);
            missing.push(missing_value(column.column_type, column.missing_value.as_deref())?);
        }
        Ok(RowDecoder {
            prefix: layout.prefix,
            key_steps,
            value_outputs,
            value_wanted: in_value.len(),
            missing,
            types,
        })
    }

    /// Whether anything is taken from values: if not, keys alone suffice.
    pub fn needs_values(&self) -> bool {
        self.value_wanted > 0
    }

    /// Fresh vectors to decode into.
    pub fn vectors(&self, rows: usize) -> Vec<Vector> {
        self.types.iter().map(|data_type| Vector::with_capacity(*data_type, rows)).collect()
    }

    /// Appends one row to each of `columns` (as many as `wanted`). XX001 when the bytes make no sense; the vectors are then of
    /// unequal length and to be thrown away.
    #[inline]
    pub fn decode(&self, key: &[u8], value: &[u8], columns: &mut [Vector]) -> PgResult<()> {
        debug_assert_eq!(columns.len(), self.types.len());
        let rows = columns.first().map_or(0, Vector::len);
        if !self.key_steps.is_empty() {
            self.decode_key(key, columns)?;
        }
        if self.value_wanted > 0 {
            self.decode_value(value, rows, columns)?;
        }
        Ok(())
    }

    fn decode_key(&self, key: &[u8], columns: &mut [Vector]) -> PgResult<()> {
        let rest = key
            .strip_prefix(self.prefix.as_slice())
            .ok_or_else(|| corrupted("its key is of another index"))?;
        let mut decoder = Decoder::new(rest);
        for (column, output) in &self.key_steps {
            match output {
                Some(output) => key::take(column, &mut decoder, &mut columns[*output])?,
                None => decoder.skip_column().map_err(super::corrupted_key)?,
            }
        }
        Ok(())
    }

    /// `rows` come before this one: the length of a vector that has not got its value yet.
    fn decode_value(&self, value: &[u8], rows: usize, columns: &mut [Vector]) -> PgResult<()> {
        let mut reader = ValueReader::new(value)?;
        let mut left = self.value_wanted;
        while let Some((id, stored)) = reader.next()? {
            let Some(&output) = self.value_outputs.get(usize::from(id)) else { break };
            if output == NOWHERE {
                continue;
            }
            let column = &mut columns[usize::from(output)];
            if column.len() > rows {
                // The key had it already, not exactly.
                column.pop();
            }
            stored.push_to(column)?;
            left -= 1;
            if left == 0 {
                break;
            }
        }
        if left > 0 {
            self.fill_missing(rows, columns);
        }
        Ok(())
    }

    /// Gives every vector without a value for the row what a row without the column reads as.
    fn fill_missing(&self, rows: usize, columns: &mut [Vector]) {
        for (column, missing) in columns.iter_mut().zip(&self.missing) {
            if column.len() == rows {
                column.push(missing);
            }
        }
    }
}

fn missing_value(column_type: ColumnType, text: Option<&str>) -> PgResult<Datum> {
    match text {
        Some(text) => parse_text(column_type.data_type, column_type.typmod, text, &FormatContext::default()),
        None => Ok(Datum::Null),
    }
}
