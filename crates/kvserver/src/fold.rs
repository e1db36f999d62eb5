//! Scans with a program: what is made of rows where they lie. See `kvapi::fold`.
//!
//! A page is read in parts, each of them an ordinary scan of what is left: sequenced by itself, with its place in the timestamp cache, its
//! waits for latches and its conflicts with locks. So nothing about transactions differs from a client that asks for the parts one by
//! one, and between two parts other tasks have their turn. The first part may move the read timestamp up as any read may; the later ones
//! read where it has read, and must not move. What goes wrong with a later part (a lease that has moved, a value that is
//! uncertain) ends the page before it: whoever asks for the next page meets it again, where it knows what to do.
//!
//! A page is bounded in rows and bytes read, in time, and by the program in what it answers: a page is what a client has
//! asked for, so paging is the backpressure, and a client that is gone is noticed at the next part.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clock::Timestamp;
use env::yield_now;
use kvapi::{
    BatchResponse, Fold, FoldRequest, FoldResponse, Header, KvError, Progress, Response, ScanRequest, Span,
};
use storage::mvcc::{self, ReadView, ScanResult};

use crate::read::{Access, bounds};
use crate::replica::Replica;
use crate::store::Inner;

/// Rows and bytes of a part: what one read gives at once.
pub(crate) const PART_ROWS: u64 = 1024;
pub(crate) const PART_BYTES: u64 = 1 << 20;
/// Bounds of a page, whatever was asked for.
const PAGE_ROWS_MAX: u64 = 128 * 1024;
pub(crate) const PAGE_BYTES_MAX: u64 = 16 << 20;
pub(crate) const PAGE_TIME_MAX: Duration = Duration::from_millis(100);

/// What reads of spans have sent, and programs have done, since the store started.
#[derive(Default)]
pub(crate) struct ScanCounts {
    pub rows: AtomicU64,
    pub bytes: AtomicU64,
    pub programs: AtomicU64,
    pub program_rows_read: AtomicU64,
    pub program_bytes_read: AtomicU64,
    pub program_bytes: AtomicU64,
}

impl ScanCounts {
    pub fn sent(&self, rows: usize, bytes: usize) {
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// A program has read rows and made an answer of them.
    pub fn folded(&self, rows: u64, bytes: u64, answer: &[u8]) {
        self.programs.fetch_add(1, Ordering::Relaxed);
        self.program_rows_read.fetch_add(rows, Ordering::Relaxed);
        self.program_bytes_read.fetch_add(bytes, Ordering::Relaxed);
        self.program_bytes.fetch_add(answer.len() as u64, Ordering::Relaxed);
    }
}

/// The bound asked for, or the own one.
fn at_most(asked: u64, most: u64) -> u64 {
    if asked == 0 { most } else { asked.min(most) }
}

impl Inner {
    pub async fn fold(
        self: &Arc<Self>,
        replica: Arc<Replica>,
        header: &Header,
        request: &FoldRequest,
    ) -> Result<BatchResponse, KvError> {
        let FoldRequest { scan, program } = request;
        if scan.lock.is_locking() {
            return Err(KvError::invalid("a scan with a program takes no locks"));
        }
        let mut fold = self.open_program(program)?;
        let (rows_max, bytes_max) =
            (at_most(scan.rows_max, PAGE_ROWS_MAX), at_most(scan.bytes_max, PAGE_BYTES_MAX));
        let began = self.env.monotonic();
        let mut response = FoldResponse::default();
        let mut rest = scan.span.clone();
        // Where the first part has read, as a header.
        let mut settled: Option<(Header, Timestamp)> = None;
        loop {
            let part = ScanRequest {
                span: rest.clone(),
                rows_max: PART_ROWS.min(rows_max - response.rows),
                bytes_max: PART_BYTES,
                ..scan.clone()
            };
            let part_header = settled.as_ref().map_or(header, |(header, _)| header);
            let (found, timestamp) = match self.fold_part(&replica, part_header, &part).await {
                Ok(found) => found,
                Err(_) if settled.is_some() => {
                    response.resume = Some(rest);
                    break;
                }
                Err(error) => return Err(error),
            };
            response.rows += found.rows.len() as u64;
            response.bytes += found.rows.byte_size() as u64;
            let progress = if found.rows.is_empty() { Progress::More } else { fold.feed(&found.rows) };
            settled.get_or_insert_with(|| (settle(header, timestamp), timestamp));
            response.resume = found.resume;
            let is_full = response.rows >= rows_max
                || response.bytes >= bytes_max
                || self.env.monotonic().saturating_sub(began) >= PAGE_TIME_MAX;
            match &response.resume {
                Some(more) if progress == Progress::More && !is_full => rest = more.clone(),
                _ => break,
            }
            yield_now().await;
        }
        response.answer = fold.finish();
        self.ranges.scans.folded(response.rows, response.bytes, &response.answer);
        let timestamp = settled.map_or(Timestamp::ZERO, |(_, timestamp)| timestamp);
        Ok(self.respond(Response::Fold(response), timestamp, Timestamp::ZERO))
    }

    pub(crate) fn open_program(&self, program: &[u8]) -> Result<Box<dyn Fold>, KvError> {
        let processor = self.processor.get().ok_or_else(|| KvError::invalid("no programs are run here"))?;
        processor.open(program).map_err(|refused| KvError::invalid(refused.to_string()))
    }

    async fn fold_part(
        self: &Arc<Self>,
        replica: &Arc<Replica>,
        header: &Header,
        part: &ScanRequest,
    ) -> Result<(ScanResult, Timestamp), KvError> {
        let access = Access::Spans(std::slice::from_ref::<Span>(&part.span));
        let evaluate = |view: &ReadView| mvcc::scan(&*self.ranges.engine, &part.span, view, bounds(part));
        self.read(replica, header, access, evaluate).await
    }
}

/// The header of what must read where something has been read already.
pub(crate) fn settle(header: &Header, timestamp: Timestamp) -> Header {
    let mut header = Header { timestamp, can_forward_read: false, ..header.clone() };
    if let Some(txn) = &mut header.txn {
        txn.read_timestamp = timestamp;
        txn.meta.write_timestamp = txn.meta.write_timestamp.max(timestamp);
        txn.uncertainty_limit = txn.uncertainty_limit.max(timestamp);
    }
    header
}
