//! The query's columns.

use types::descriptor::{ColumnId, Oid};
use types::{ColumnType, DataType};

/// A column of the query, counted from 0 over the whole statement.
pub type ColumnNumber = u32;

/// What is known of a column.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnInfo {
    pub name: Box<str>,
    pub column_type: ColumnType,
    /// Table and column whose values these are.
    pub origin: Option<(Oid, ColumnId)>,
    /// Never NULL as it leaves its scan (an outer join may still make it so).
    pub not_null: bool,
}

/// All columns of a statement.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    list: Vec<ColumnInfo>,
}

impl Columns {
    pub fn add(&mut self, info: ColumnInfo) -> ColumnNumber {
        self.list.push(info);
        self.list.len() as ColumnNumber - 1
    }

    /// A computed column.
    pub fn computed(&mut self, name: &str, column_type: impl Into<ColumnType>) -> ColumnNumber {
        self.add(ColumnInfo {
            name: name.into(),
            column_type: column_type.into(),
            origin: None,
            not_null: false,
        })
    }

    /// `None` for a column of an expression over a lone row (a check, a generated column): those are its positions.
    pub fn find(&self, column: ColumnNumber) -> Option<&ColumnInfo> {
        self.list.get(column as usize)
    }

    pub fn get(&self, column: ColumnNumber) -> &ColumnInfo {
        &self.list[column as usize]
    }

    pub fn get_mut(&mut self, column: ColumnNumber) -> &mut ColumnInfo {
        &mut self.list[column as usize]
    }

    pub fn data_type(&self, column: ColumnNumber) -> DataType {
        self.get(column).column_type.data_type
    }

    pub fn len(&self) -> usize {
        self.list.len()
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The column as an expression.
    pub fn expr(&self, column: ColumnNumber) -> expr::Expr {
        expr::Expr::column(column, self.data_type(column))
    }
}
