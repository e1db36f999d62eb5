//! Streaming scans: pages of rows across ranges, merged with the transaction's own writes.

use keys::{Key, Span};
use kvapi::{KvBlock, KvError, ScanRequest};

use crate::{ScanOptions, Txn};

/// Rows of a page unless the options say otherwise.
pub const PAGE_ROWS: u64 = 1024;
/// Bytes of a page.
const PAGE_BYTES: u64 = 1 << 20;

/// A scan in progress: a position, no resources. Made by [`Txn::scan`].
pub struct Scan {
    options: ScanOptions,
    /// What is still to be read.
    rest: Span,
    /// Rows still wanted, if bounded.
    wanted: Option<u64>,
    /// Own writes up to this are seen.
    sequence: u32,
}

impl Scan {
    pub(crate) fn new(options: ScanOptions, sequence: u32) -> Scan {
        let wanted = (options.rows_max > 0).then_some(options.rows_max);
        Scan { rest: options.span.clone(), wanted, options, sequence }
    }

    /// Whether everything has been read.
    pub fn is_finished(&self) -> bool {
        self.rest.is_empty() || self.wanted == Some(0)
    }

    /// What is still to be read.
    pub fn rest(&self) -> &Span {
        &self.rest
    }

    /// Gives away what lies before `key`; this scan goes on from there. Of forward scans of all rows only.
    pub fn cut(&mut self, key: Key) -> Scan {
        debug_assert!(
            !self.options.reverse && self.wanted.is_none(),
            "parts of a scan have no order of their own"
        );
        let before = Span { start: self.rest.start.clone(), end: key.clone() };
        self.rest.start = key;
        Scan { options: self.options.clone(), rest: before, wanted: None, sequence: self.sequence }
    }

    /// The next page, in scan order; `None` at the end. A page is never empty.
    ///
    /// Must be given the transaction that made the scan. Rows come as of the statement that began the scan:
    /// writes made since then by the same statement do not appear.
    pub async fn next_page(&mut self, txn: &Txn) -> Result<Option<KvBlock>, KvError> {
        while !self.is_finished() {
            let page_rows = if self.options.page_rows > 0 { self.options.page_rows } else { PAGE_ROWS };
            let scan = ScanRequest {
                span: self.rest.clone(),
                reverse: self.options.reverse,
                lock: self.options.locking.strength,
                rows_max: self.wanted.map_or(page_rows, |wanted| wanted.min(page_rows)),
                bytes_max: PAGE_BYTES,
            };
            let (mut rows, covered) = txn.scan_page(scan, self.options.locking, self.sequence).await?;
            if self.options.reverse {
                self.rest.end = covered.start
            } else {
                self.rest.start = covered.end
            }
            if let Some(wanted) = &mut self.wanted {
                rows.truncate(rows.len().min(usize::try_from(*wanted).unwrap_or(usize::MAX)));
                *wanted -= rows.len() as u64;
            }
            if !rows.is_empty() {
                return Ok(Some(rows));
            }
        }
        Ok(None)
    }
}
