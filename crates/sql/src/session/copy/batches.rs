//! Rows gathered into batches of full size.

use types::{BATCH_ROWS_MAX, Batch, ColumnType, Datum, Vector};

/// What has been read: full batches, and the one being filled.
pub struct Batches {
    types: Vec<ColumnType>,
    columns: Vec<Vector>,
    rows: usize,
    full: Vec<Batch>,
}

impl Batches {
    pub fn new(types: Vec<ColumnType>) -> Self {
        Batches { columns: fresh_columns(&types), types, rows: 0, full: Vec::new() }
    }

    pub fn column_type(&self, position: usize) -> ColumnType {
        self.types[position]
    }

    /// A value of the row being read.
    pub fn push(&mut self, position: usize, value: &Datum) {
        self.columns[position].push(value);
    }

    pub fn push_null(&mut self, position: usize) {
        self.columns[position].push_null();
    }

    /// The row being read has all its values.
    pub fn end_row(&mut self) {
        self.rows += 1;
        if self.rows == BATCH_ROWS_MAX {
            self.complete();
        }
    }

    /// A full batch, or what there is if `last`.
    pub fn take(&mut self, last: bool) -> Option<Batch> {
        if !self.full.is_empty() {
            return Some(self.full.remove(0));
        }
        if last && self.rows > 0 {
            self.complete();
            return self.full.pop();
        }
        None
    }

    fn complete(&mut self) {
        let columns = std::mem::replace(&mut self.columns, fresh_columns(&self.types));
        self.full.push(Batch::new(columns, std::mem::take(&mut self.rows)));
    }
}

fn fresh_columns(types: &[ColumnType]) -> Vec<Vector> {
    types.iter().map(|column_type| Vector::with_capacity(column_type.data_type, BATCH_ROWS_MAX)).collect()
}
