//! What writing needs to know of a table, derived once from its descriptor and kept beside it.

use std::sync::Arc;

use planner::Table;
use types::descriptor::{ColumnId, ElementState, IndexDescriptor, Oid, TableDescriptor};
use types::row::{RowDecoder, RowEncoder};
use types::{DataType, PgError, PgResult};

use super::foreign_key::ParentCache;

/// A table as writers see it. Rows have all of its columns, in the descriptor's order.
pub(crate) struct StoredTable {
    pub descriptor: Arc<TableDescriptor>,
    pub schema: Box<str>,
    pub columns: Vec<ColumnId>,
    pub types: Vec<DataType>,
    /// In the order of `all_indexes()`: the primary one first.
    pub indexes: Vec<StoredIndex>,
    /// All columns of a row.
    pub decoder: RowDecoder,
    /// Positions of columns that must not be NULL.
    pub not_null: Vec<usize>,
    /// Position of the hidden rowid of a table without a primary key.
    pub rowid: Option<usize>,
    pub parents: ParentCache,
}

/// An index as writers see it.
pub(crate) struct StoredIndex {
    /// From a row of all columns.
    pub encoder: RowEncoder,
    pub state: ElementState,
    pub unique: bool,
    /// Rows have an entry if its predicate is true.
    pub partial: bool,
    /// Positions of the key columns.
    pub key: Vec<usize>,
    /// Positions of all columns that an entry holds: those of the key, included ones, the primary key's.
    pub holds: Vec<usize>,
}

impl StoredTable {
    pub fn of(table: &Table) -> PgResult<Arc<StoredTable>> {
        table.derived.get_or_make(|| StoredTable::new(table))
    }

    fn new(table: &Table) -> PgResult<StoredTable> {
        let descriptor = table.descriptor.clone();
        let columns: Vec<ColumnId> = descriptor.columns.iter().map(|column| column.id).collect();
        let types = descriptor.columns.iter().map(|column| column.column_type.data_type).collect();
        let indexes = descriptor
            .all_indexes()
            .map(|index| StoredIndex::new(&descriptor, index, &columns))
            .collect::<PgResult<Vec<_>>>()?;
        let decoder = RowDecoder::new(&descriptor, &descriptor.primary, &columns)?;
        let not_null = descriptor.columns.iter().enumerate();
        let not_null = not_null.filter(|(_, column)| column.not_null).map(|(position, _)| position).collect();
        let rowid = match (&descriptor.primary.constraint, descriptor.primary.columns.as_slice()) {
            (None, [column]) => {
                let position = position_of(&descriptor, column.column)?;
                descriptor.columns[position].hidden.then_some(position)
            }
            _ => None,
        };
        let schema = table.schema.clone();
        let parents = ParentCache::default();
        Ok(StoredTable { schema, columns, types, indexes, decoder, not_null, rowid, parents, descriptor })
    }

    pub fn primary(&self) -> &StoredIndex {
        &self.indexes[0]
    }

    pub fn index_descriptor(&self, position: usize) -> &IndexDescriptor {
        if position == 0 { &self.descriptor.primary } else { &self.descriptor.indexes[position - 1] }
    }

    pub fn index_position(&self, id: Oid) -> PgResult<usize> {
        let found = self.descriptor.all_indexes().position(|index| index.id == id);
        found
            .ok_or_else(|| PgError::internal(format!("table {} has no index {}", self.descriptor.name, id.0)))
    }

    pub fn position(&self, column: ColumnId) -> PgResult<usize> {
        position_of(&self.descriptor, column)
    }

    pub fn positions(&self, columns: &[ColumnId]) -> PgResult<Vec<usize>> {
        columns.iter().map(|column| self.position(*column)).collect()
    }
}

fn position_of(table: &TableDescriptor, column: ColumnId) -> PgResult<usize> {
    let found = table.column_position(column);
    found.ok_or_else(|| PgError::internal(format!("table {} has no column {}", table.name, column.0)))
}

impl StoredIndex {
    fn new(table: &TableDescriptor, index: &IndexDescriptor, columns: &[ColumnId]) -> PgResult<StoredIndex> {
        let key = index.columns.iter().map(|column| position_of(table, column.column));
        let key = key.collect::<PgResult<Vec<_>>>()?;
        let mut holds = key.clone();
        let others = index.included.iter().copied().chain(table.primary.columns.iter().map(|key| key.column));
        for column in others {
            let position = position_of(table, column)?;
            if !holds.contains(&position) {
                holds.push(position);
            }
        }
        Ok(StoredIndex {
            encoder: RowEncoder::new(table, index, columns)?,
            state: index.state,
            unique: index.unique,
            partial: index.predicate.is_some(),
            key,
            holds,
        })
    }
}
