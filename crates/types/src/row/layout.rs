//! Which column of an index entry stands where.

use crate::data_type::{ColumnType, DataType};
use crate::descriptor::{ColumnDescriptor, ColumnId, IndexColumn, IndexDescriptor, TableDescriptor};
use crate::error::{PgError, PgResult};
use crate::numeric::numeric_typmod_scale;
use keys::{Direction, IndexId, TableId};

/// A column of a key.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct KeyColumn {
    pub id: ColumnId,
    pub column_type: ColumnType,
    pub direction: Direction,
    pub nulls_first: bool,
}

/// A column of a value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ValueColumn {
    pub id: ColumnId,
    pub column_type: ColumnType,
    /// Rows without the column read as something other than NULL, so NULL must be written.
    pub writes_null: bool,
}

/// The layout of an index's entries.
///
/// - `prefix` is what all its keys begin with.
/// - `own_columns` of `key` are the index's; the rest, if any, are those of the primary key that are not among them.
/// - `value` is in order of column id and has no column of `key[..own_columns]`; nor any of the rest, unless `unique`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct IndexLayout {
    pub prefix: Vec<u8>,
    pub index_name: String,
    pub key: Vec<KeyColumn>,
    pub own_columns: usize,
    pub value: Vec<ValueColumn>,
    pub primary: bool,
    pub unique: bool,
    pub nulls_not_distinct: bool,
}

impl KeyColumn {
    /// The scale that a numeric decodes with at least: that of `numeric(p,s)`.
    pub fn scale_min(&self) -> u16 {
        scale_min(self.column_type)
    }
}

pub(super) fn scale_min(column_type: ColumnType) -> u16 {
    if column_type.data_type == DataType::Numeric && column_type.typmod >= 4 {
        numeric_typmod_scale(column_type.typmod).max(0) as u16
    } else {
        0
    }
}

fn column(table: &TableDescriptor, id: ColumnId) -> PgResult<&ColumnDescriptor> {
    table
        .column(id)
        .ok_or_else(|| PgError::internal(format!("table {} has no column with id {}", table.name, id.0)))
}

fn key_column(table: &TableDescriptor, part: &IndexColumn) -> PgResult<KeyColumn> {
    let column_type = column(table, part.column)?.column_type;
    if !is_indexable(column_type.data_type) {
        return Err(PgError::unsupported(format!("an index on type {}", column_type.data_type)));
    }
    Ok(KeyColumn {
        id: part.column,
        column_type,
        direction: if part.descending { Direction::Descending } else { Direction::Ascending },
        nulls_first: part.nulls_first,
    })
}

/// Whether [`super::key`] has an order-preserving encoding for the type.
pub fn is_indexable(data_type: DataType) -> bool {
    use DataType::*;
    match data_type.base() {
        Json | Jsonb | Jsonpath | Record | Composite(_) | Unknown | Cstring | Void | Trigger | Any
        | AnyElement | AnyArray | AnyNonArray | AnyEnum | Aclitem | PgNodeTree => false,
        Array(element) => element.data_type().is_some_and(is_indexable),
        _ => true,
    }
}

impl IndexLayout {
    pub fn new(table: &TableDescriptor, index: &IndexDescriptor) -> PgResult<IndexLayout> {
        let primary = index.storage_index == table.primary.storage_index;
        let mut key =
            index.columns.iter().map(|part| key_column(table, part)).collect::<PgResult<Vec<_>>>()?;
        let own_columns = key.len();
        let is_own = |id: ColumnId| index.columns.iter().any(|part| part.column == id);
        let mut stored: Vec<ColumnId> = Vec::new();
        if primary {
            stored.extend(table.columns.iter().map(|column| column.id));
        } else {
            for part in table.primary.columns.iter().filter(|part| !is_own(part.column)) {
                key.push(key_column(table, part)?);
                if index.unique {
                    stored.push(part.column);
                }
            }
            // What the key already has for certain need not be included again.
            let in_key = |id: &ColumnId| !index.unique && key.iter().any(|column| column.id == *id);
            stored.extend(index.included.iter().filter(|id| !in_key(id)));
        }
        stored.retain(|id| !is_own(*id));
        stored.sort_unstable();
        stored.dedup();
        let value = stored
            .into_iter()
            .map(|id| {
                let column = column(table, id)?;
                let writes_null = column.missing_value.is_some();
                Ok(ValueColumn { id, column_type: column.column_type, writes_null })
            })
            .collect::<PgResult<Vec<_>>>()?;
        let prefix = keys::table::start_key(TableId(table.storage_id), IndexId(index.storage_index));
        Ok(IndexLayout {
            prefix,
            index_name: index.name.clone(),
            key,
            own_columns,
            value,
            primary,
            unique: index.unique || primary,
            nulls_not_distinct: index.nulls_not_distinct,
        })
    }

    /// How many key columns an entry has whose own columns have a NULL among them or not.
    pub fn key_length(&self, has_null: bool) -> usize {
        if self.unique && (!has_null || self.nulls_not_distinct) { self.own_columns } else { self.key.len() }
    }
}
