//! Sets of rows: DISTINCT, UNION, and the numbering of groups.
//!
//! A set numbers its rows in the order in which they were first met. Rows are kept column by column; a hash table maps the hash of
//! a row to its number. Looking a batch up hashes whole columns first, then probes row by row.

use hashbrown::HashTable;
use types::compare::compare_rows;
use types::group_key::hash_column;
use types::{Batch, DataType, PgResult, Vector};

use crate::memory::{MemoryAccount, Reservation};

/// Distinct rows, numbered from 0. NULLs are equal to one another.
///
/// - `hashes[i]` is the hash of row `i`; `table` holds every number once.
pub(crate) struct RowSet {
    columns: Vec<Vector>,
    hashes: Vec<u64>,
    table: HashTable<u32>,
    scratch: Vec<u64>,
    reservation: Reservation,
}

/// What starts every hash.
const SEED: u64 = 0x51_7c_c1_b7_27_22_0a_95;

/// Hashes of rows over some columns.
pub(crate) fn hash_rows(columns: &[&Vector], rows: usize, hashes: &mut Vec<u64>) {
    hashes.clear();
    hashes.resize(rows, SEED);
    for column in columns {
        hash_column(column, hashes);
    }
}

impl RowSet {
    pub fn new(account: &MemoryAccount, types: Vec<DataType>) -> RowSet {
        RowSet {
            columns: types.iter().map(|data_type| Vector::with_capacity(*data_type, 0)).collect(),
            hashes: Vec::new(),
            table: HashTable::new(),
            scratch: Vec::new(),
            reservation: account.reservation(),
        }
    }

    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Bytes held, roughly.
    pub fn memory_size(&self) -> usize {
        self.columns.iter().map(Vector::memory_size).sum::<usize>() + self.hashes.len() * 16
    }

    /// Numbers every row of a batch, making room for new ones.
    pub fn number(&mut self, columns: &[&Vector], rows: usize, numbers: &mut Vec<u32>) {
        let mut scratch = std::mem::take(&mut self.scratch);
        hash_rows(columns, rows, &mut scratch);
        numbers.clear();
        numbers.reserve(rows);
        for (row, hash) in scratch.iter().enumerate() {
            numbers.push(self.number_row(columns, row, *hash).0);
        }
        self.scratch = scratch;
    }

    /// The number of a row, and whether it is new.
    #[inline]
    pub fn number_row(&mut self, columns: &[&Vector], row: usize, hash: u64) -> (u32, bool) {
        if let Some(number) = self.find(columns, row, hash) {
            return (number, false);
        }
        let number = self.hashes.len() as u32;
        let hashes = &self.hashes;
        self.table.insert_unique(hash, number, |number| hashes[*number as usize]);
        self.hashes.push(hash);
        for (held, column) in self.columns.iter_mut().zip(columns) {
            held.push_from(column, row);
        }
        (number, true)
    }

    /// The number of a row that is in the set.
    #[inline]
    pub fn find(&self, columns: &[&Vector], row: usize, hash: u64) -> Option<u32> {
        let equal = |number: &u32| {
            self.hashes[*number as usize] == hash
                && self.columns.iter().zip(columns).all(|(held, column)| {
                    compare_rows(held, *number as usize, column, row, false, false).is_eq()
                })
        };
        self.table.find(hash, equal).copied()
    }

    /// Accounts for what is held. 53200 when it is too much.
    pub fn account(&mut self) -> PgResult<()> {
        let bytes = self.memory_size() as u64;
        self.reservation.resize(bytes)
    }

    /// Adds the rows of a batch; answers with those that are new, the first of each.
    pub fn keep_new(&mut self, batch: Batch) -> PgResult<Option<Batch>> {
        let selection = self.new_rows(&batch.columns.iter().collect::<Vec<_>>(), batch.rows)?;
        Ok(match selection.len() {
            0 => None,
            all if all == batch.rows => Some(batch),
            _ => Some(batch.gather(&selection)),
        })
    }

    /// Adds rows and accounts for them; answers with the positions of those that are new, the first of each.
    pub fn new_rows(&mut self, columns: &[&Vector], rows: usize) -> PgResult<Vec<u32>> {
        let selection = self.add_rows(columns, rows);
        self.account()?;
        Ok(selection)
    }

    /// The same without accounting.
    pub fn add_rows(&mut self, columns: &[&Vector], rows: usize) -> Vec<u32> {
        let mut scratch = std::mem::take(&mut self.scratch);
        hash_rows(columns, rows, &mut scratch);
        let mut selection = Vec::new();
        for (row, hash) in scratch.iter().enumerate() {
            if self.number_row(columns, row, *hash).1 {
                selection.push(row as u32);
            }
        }
        self.scratch = scratch;
        selection
    }

    /// The columns of all rows, in order of their numbers.
    pub fn into_columns(self) -> Vec<Vector> {
        self.columns
    }
}
