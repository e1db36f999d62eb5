//! Streaming scans: pages of rows across ranges, merged with the transaction's own writes.
//!
//! A scan may send a program along that runs where the rows lie ([`Scan::next_folded`]). Own writes that have not been sent are known here
//! alone: the scan stops before the first of them in its order, and reads on by itself.

use keys::{Key, NodeId, Span};
use kvapi::{KvBlock, KvError, ScanRequest};

use crate::{ScanOptions, Txn};

/// Rows of a page unless the options say otherwise.
pub const PAGE_ROWS: u64 = 1024;
/// Bytes of a page.
const PAGE_BYTES: u64 = 1 << 20;

/// A page of a scan with a program.
#[derive(Debug)]
pub enum Folded {
    /// What the program has made of the page where it lies.
    Answer(FoldedPage),
    /// Rows with own writes among them: the program has not seen them.
    Rows(KvBlock),
    /// The program is not run where the rows lie. Nothing was read.
    Refused { reason: String },
}

/// What a program has made of a page.
#[derive(Debug)]
pub struct FoldedPage {
    pub answer: Vec<u8>,
    /// Who has run it.
    pub node: NodeId,
    /// Rows that were read, and their bytes.
    pub rows: u64,
    pub bytes: u64,
}

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

    /// Gives away what comes first in scan order: what lies before `key`, in reverse what does not. This scan goes on from there. Of scans
    /// of all rows only.
    pub fn cut(&mut self, key: Key) -> Scan {
        debug_assert!(self.wanted.is_none(), "parts of a scan do not know how many rows the others have");
        let Span { start, end } = self.rest.clone();
        let (first, rest) = match self.options.reverse {
            false => (Span { start, end: key.clone() }, Span { start: key, end }),
            true => (Span { start: key.clone(), end }, Span { start, end: key }),
        };
        self.rest = rest;
        Scan { options: self.options.clone(), rest: first, wanted: None, sequence: self.sequence }
    }

    /// The next page of a scan of all rows without lock, through a program where that can be; `None` at the end. The rules are
    /// those of [`Scan::next_page`].
    pub async fn next_folded(&mut self, txn: &Txn, program: &[u8]) -> Result<Option<Folded>, KvError> {
        debug_assert!(self.wanted.is_none() && !self.options.locking.is_locking());
        let reverse = self.options.reverse;
        while !self.is_finished() {
            let scan = ScanRequest { span: self.rest.clone(), reverse, ..ScanRequest::default() };
            let page = match txn.fold_page(scan, program, self.sequence).await {
                Ok(Some(page)) => page,
                Ok(None) => return Ok(self.next_page(txn).await?.map(Folded::Rows)),
                Err(KvError::Invalid { reason }) => return Ok(Some(Folded::Refused { reason })),
                Err(error) => return Err(error),
            };
            let (answer, covered) = page;
            if reverse {
                self.rest.end = covered.start
            } else {
                self.rest.start = covered.end
            }
            if answer.answer.rows > 0 {
                let (node, read) = (answer.node, answer.answer);
                let page = FoldedPage { answer: read.answer, node, rows: read.rows, bytes: read.bytes };
                return Ok(Some(Folded::Answer(page)));
            }
        }
        Ok(None)
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
