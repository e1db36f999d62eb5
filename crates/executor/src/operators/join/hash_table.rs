//! The right side of a hash join, in memory.
//!
//! Rows are held in one batch. Buckets are chains through `next`, in the order of the rows; a row whose key has a NULL is in no
//! chain.

use std::borrow::Cow;

use expr::{EvalContext, Program};
use types::compare::compare_values;
use types::{Batch, DataType, PgResult, Vector};

use super::super::row_set::hash_rows;
use super::super::sorter::empty_batch;

/// The end of a chain.
const NONE: u32 = u32::MAX;

/// - `buckets` is a power of two long; `first(hash)` begins the chain of all rows whose hash falls there.
pub(super) struct JoinTable {
    pub rows: Batch,
    keys: Vec<Vector>,
    hashes: Vec<u64>,
    buckets: Vec<u32>,
    next: Vec<u32>,
    /// Rows with a NULL in the key.
    pub null_keys: Vec<u32>,
}

/// Keys of a batch, hashed.
pub(super) struct Keys<'a> {
    pub columns: Vec<Cow<'a, Vector>>,
    pub hashes: Vec<u64>,
}

impl<'a> Keys<'a> {
    pub fn of(programs: &'a [Program], context: &'a EvalContext<'a>, batch: &'a Batch) -> PgResult<Keys<'a>> {
        let columns: Vec<Cow<'a, Vector>> =
            programs.iter().map(|program| program.evaluate(context, batch)).collect::<PgResult<_>>()?;
        let mut hashes = Vec::new();
        hash_rows(&columns.iter().map(|column| &**column).collect::<Vec<_>>(), batch.rows, &mut hashes);
        Ok(Keys { columns, hashes })
    }

    pub fn has_null(&self, row: usize) -> bool {
        self.columns.iter().any(|column| column.is_null(row))
    }
}

impl JoinTable {
    pub fn new(types: &[DataType], key_types: &[DataType]) -> JoinTable {
        JoinTable {
            rows: empty_batch(types),
            keys: empty_batch(key_types).columns,
            hashes: Vec::new(),
            buckets: Vec::new(),
            next: Vec::new(),
            null_keys: Vec::new(),
        }
    }

    pub fn memory_size_of(batch: &Batch) -> u64 {
        // Keys are held a second time; 16 bytes for hash and chain, 8 for two buckets.
        batch.memory_size() as u64 * 3 / 2 + batch.rows as u64 * 24
    }

    pub fn push(&mut self, batch: &Batch, keys: &Keys<'_>) {
        for row in 0..batch.rows {
            if keys.has_null(row) {
                self.null_keys.push((self.rows.rows + row) as u32);
            }
        }
        self.rows.append(batch);
        for (held, key) in self.keys.iter_mut().zip(&keys.columns) {
            held.append(key);
        }
        self.hashes.extend_from_slice(&keys.hashes);
    }

    /// Makes the chains, once all rows are there.
    pub fn build(&mut self) {
        let rows = self.rows.rows;
        self.buckets = vec![NONE; (rows * 2).next_power_of_two().max(16)];
        self.next = vec![NONE; rows];
        let mask = self.buckets.len() - 1;
        let mut nulls = self.null_keys.iter().rev().peekable();
        // From the last to the first, so that chains are in order.
        for row in (0..rows as u32).rev() {
            if nulls.next_if_eq(&&row).is_some() {
                continue;
            }
            let bucket = self.hashes[row as usize] as usize & mask;
            self.next[row as usize] = self.buckets[bucket];
            self.buckets[bucket] = row;
        }
    }

    /// The first row with this key at or after the chain's row `from`.
    #[inline]
    fn find_from(&self, mut from: u32, keys: &Keys<'_>, row: usize) -> Option<u32> {
        let hash = keys.hashes[row];
        while from != NONE {
            let at = from as usize;
            let equal = self.hashes[at] == hash
                && self
                    .keys
                    .iter()
                    .zip(&keys.columns)
                    .all(|(held, key)| compare_values(held, at, key, row).is_eq());
            if equal {
                return Some(from);
            }
            from = self.next[at];
        }
        None
    }

    /// The first row equal to the key at `row`, which has no NULL.
    #[inline]
    pub fn first(&self, keys: &Keys<'_>, row: usize) -> Option<u32> {
        let bucket = keys.hashes[row] as usize & (self.buckets.len() - 1);
        self.find_from(self.buckets[bucket], keys, row)
    }

    /// The next one after `found`.
    #[inline]
    pub fn next_after(&self, found: u32, keys: &Keys<'_>, row: usize) -> Option<u32> {
        self.find_from(self.next[found as usize], keys, row)
    }

    /// Whether nothing but NULLs keeps two keys from being equal.
    pub fn may_equal(&self, held: u32, keys: &Keys<'_>, row: usize) -> bool {
        let held = held as usize;
        self.keys.iter().zip(&keys.columns).all(|(column, key)| {
            column.is_null(held) || key.is_null(row) || compare_values(column, held, key, row).is_eq()
        })
    }
}
