//! Streaming scans: pages of rows across ranges, merged with the transaction's own writes.

use kvapi::{KvBlock, KvError};

use crate::{ScanOptions, Txn};

/// Rows of a page unless the options say otherwise.
pub const PAGE_ROWS: u64 = 1024;

/// A scan in progress: a position, no resources. Made by [`Txn::scan`].
pub struct Scan {
    options: ScanOptions,
}

impl Scan {
    /// The next page, in scan order; `None` at the end. A page is never empty.
    ///
    /// Must be given the transaction that made the scan. Rows come as of the statement that began the scan:
    /// writes made since then by the same statement do not appear.
    pub async fn next_page(&mut self, txn: &Txn) -> Result<Option<KvBlock>, KvError> {
        unimplemented!()
    }
}
