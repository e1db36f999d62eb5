//! Normalised bytes and hashes of rows: equal values have equal bytes, whatever their representation (1.0 and 1.00, -0 and 0).
//!
//! The bytes serve GROUP BY, DISTINCT, hash joins and set operations as the key of a hash table. They do not sort (index keys
//! do, see [`crate::row`]) and are not stored. NULL has bytes of its own: NULLs group together; a join skips them itself.

use crate::datum::Datum;
use crate::vector::Vector;

/// Appends the normalised bytes of the value at `row`; bytes of several columns may be concatenated.
pub fn encode_row(vector: &Vector, row: usize, out: &mut Vec<u8>) {
    let _ = (vector, row, out);
    crate::pending()
}

/// The same for a datum.
pub fn encode_datum(datum: &Datum, out: &mut Vec<u8>) {
    let _ = (datum, out);
    crate::pending()
}

/// Mixes the hash of every row of a column into `hashes` (one per row; start with any seed). NULL mixes a constant.
pub fn hash_column(vector: &Vector, hashes: &mut [u64]) {
    let _ = (vector, hashes);
    crate::pending()
}

/// Mixes the hash of one row into `hash`: what [`hash_column`] does for it.
pub fn hash_row(vector: &Vector, row: usize, hash: u64) -> u64 {
    let _ = (vector, row, hash);
    crate::pending()
}
