//! Reads a table through one of its indexes.
//!
//! Three ways to read, chosen when the scan opens and its spans are known:
//!
//! | spans | read by |
//! | --- | --- |
//! | one whole key | not here: a [`crate::point`] read, one get |
//! | whole keys only (`id IN (...)`) | multi-gets of up to 1,024 keys |
//! | anything else | page by page, span after span |
//!
//! Pages are decoded straight into vectors, then filtered. Rows of an index that does not hold all columns are fetched
//! from the primary one, a page at a time. A scan that locks reads under the lock at once if every row read is to be
//! locked (primary index, no filter); otherwise it chooses rows by plain reads and locks those ([`super::locking`]).
//!
//! A scan that turns out to be large goes on in several tasks ([`super::parallel_scan`]).

use std::sync::Arc;

use async_trait::async_trait;
use expr::Program;
use kvclient::{KeyBlock, KvBlock, Locking, Scan, ScanOptions};
use planner::plan::TableScan;
use types::descriptor::ColumnId;
use types::row::{KeyPrefixEncoder, RowDecoder, RowEncoder};
use types::{BATCH_ROWS_MAX, Batch, PgResult};

use super::fetch::{Fetch, decode_block};
use super::locking::{lock_rows, row_locking, word_lock_error};
use super::parallel_scan::ParallelScan;
use super::spans::{KeyRanges, SpanSet, contains};
use crate::error::ExecResult;
use crate::operator::{BoxedOperator, Node, Operator, Run};
use crate::program::{self, Scalar, row_count};

pub(crate) struct TableScanNode {
    relation: Box<str>,
    encoder: KeyPrefixEncoder,
    spans: SpanSet,
    reverse: bool,
    source: Source,
    filter: Option<Program>,
    row_hint: Option<Scalar>,
    page_hint: Option<Scalar>,
    lock: Option<LockedRead>,
    /// Tasks may read parts of it.
    divisible: bool,
}

/// How entries become rows.
enum Source {
    Index(RowDecoder),
    Fetch(Box<Fetch>),
}

/// How chosen rows are locked and looked at again.
///
/// - `decoder` gives the scan's columns, then those of the index that are not among them.
struct LockedRead {
    locking: Locking,
    /// Every row that is read is locked: no second read.
    at_once: bool,
    keys: RowKeys,
    decoder: RowDecoder,
    columns: usize,
    /// Of a secondary index: its key of the row as locked must still lie in the spans.
    index_key: Option<RowEncoder>,
}

enum RowKeys {
    /// Entries are rows.
    Entries,
    Decoded(Box<Fetch>),
}

impl LockedRead {
    fn new(scan: &TableScan) -> PgResult<Option<LockedRead>> {
        if scan.lock.is_none() {
            return Ok(None);
        }
        let (table, index) = (&scan.table.descriptor, scan.index_descriptor());
        let mut wanted: Vec<ColumnId> = scan.columns.clone();
        let primary = scan.index == 0;
        if !primary {
            let key_columns = index.columns.iter().chain(&table.primary.columns).map(|column| column.column);
            for column in key_columns {
                if !wanted.contains(&column) {
                    wanted.push(column);
                }
            }
        }
        Ok(Some(LockedRead {
            locking: row_locking(scan.lock),
            at_once: primary && scan.filter.is_none(),
            keys: if primary {
                RowKeys::Entries
            } else {
                RowKeys::Decoded(Box::new(Fetch::new(table, index, &[])?))
            },
            decoder: RowDecoder::new(table, &table.primary, &wanted)?,
            columns: scan.columns.len(),
            index_key: if primary { None } else { Some(RowEncoder::new(table, index, &wanted)?) },
        }))
    }
}

impl TableScanNode {
    pub fn new(scan: &TableScan) -> PgResult<TableScanNode> {
        let (table, index) = (&scan.table.descriptor, scan.index_descriptor());
        let source = if scan.fetch_row {
            Source::Fetch(Box::new(Fetch::new(table, index, &scan.columns)?))
        } else {
            Source::Index(RowDecoder::new(table, index, &scan.columns)?)
        };
        Ok(TableScanNode {
            relation: table.name.as_str().into(),
            encoder: KeyPrefixEncoder::new(table, index)?,
            spans: SpanSet::new(&scan.spans, table, index)?,
            reverse: scan.reverse,
            divisible: scan.lock.is_none()
                && !scan.reverse
                && !scan.filter.as_ref().is_some_and(expr::eval::is_volatile),
            source,
            filter: scan.filter.as_ref().map(Program::new).transpose()?,
            row_hint: scan.row_hint.as_ref().map(Scalar::new).transpose()?,
            page_hint: scan.page_hint.as_ref().map(Scalar::new).transpose()?,
            lock: LockedRead::new(scan)?,
        })
    }

    fn page_locking(&self) -> Locking {
        match &self.lock {
            Some(lock) if lock.at_once => lock.locking,
            _ => Locking::NONE,
        }
    }
}

impl Node for TableScanNode {
    fn open(self: Arc<Self>) -> BoxedOperator {
        BoxedOperator::new(TableScanOperator { node: self, state: State::Unopened })
    }
}

struct TableScanOperator {
    node: Arc<TableScanNode>,
    state: State,
}

enum State {
    Unopened,
    Reading(Box<Reading>),
    Done,
}

/// - `ranges` are those of the whole scan; `next` counts the spans (or points) begun, in scan order.
/// - Of `scan` and `parallel` one is set while a span is read.
struct Reading {
    ranges: KeyRanges,
    next: usize,
    scan: Option<Scan>,
    parallel: Option<Box<ParallelScan>>,
    /// Read so far page by page.
    bytes: u64,
    /// Rows that will be asked for at most.
    hint: Option<u64>,
    /// Rows that are likely to be enough.
    page_hint: Option<u64>,
}

#[async_trait]
impl Operator for TableScanOperator {
    async fn next(&mut self, run: &mut Run) -> ExecResult<Option<Batch>> {
        if let State::Unopened = self.state {
            self.state = State::Reading(Box::new(Reading::open(&self.node, run)?));
        }
        let State::Reading(reading) = &mut self.state else { return Ok(None) };
        loop {
            run.pause().await?;
            if let Some(parallel) = &mut reading.parallel {
                match parallel.next(&self.node, run).await? {
                    Some(batch) => return Ok(Some(batch)),
                    None => reading.parallel = None,
                }
            }
            let Some(page) = reading.next_page(&self.node, run).await? else {
                self.state = State::Done;
                return Ok(None);
            };
            reading.go_parallel(&self.node, &page, run);
            if let Some(batch) = self.node.rows_of(page, &reading.ranges, run).await? {
                return Ok(Some(batch));
            }
        }
    }
}

impl Reading {
    fn open(node: &TableScanNode, run: &Run) -> ExecResult<Reading> {
        let eval = run.eval();
        let ranges = match node.spans.evaluate(&node.encoder, &eval)? {
            KeyRanges::Point(key) => KeyRanges::Points(vec![key]),
            other => other,
        };
        let hint = row_count(node.row_hint.as_ref(), &eval, false)?;
        let page_hint = row_count(node.page_hint.as_ref(), &eval, false)?;
        Ok(Reading { ranges, next: 0, scan: None, parallel: None, bytes: 0, hint, page_hint })
    }

    /// After a page: whether the scan is worth more than one task from here on.
    fn go_parallel(&mut self, node: &TableScanNode, page: &KvBlock, run: &Run) {
        self.bytes += page.byte_size() as u64;
        if self.bytes < run.context.parallelism.serial_bytes || !node.divisible || self.hint.is_some() {
            return;
        }
        let Some(scan) = self.scan.take_if(|scan| !scan.is_finished()) else { return };
        match ParallelScan::begin(scan, run) {
            Ok(parallel) => self.parallel = Some(Box::new(parallel)),
            Err(scan) => self.scan = Some(scan),
        }
    }

    /// The next entries, at least one.
    async fn next_page(&mut self, node: &TableScanNode, run: &Run) -> ExecResult<Option<KvBlock>> {
        loop {
            if let Some(scan) = &mut self.scan {
                if let Some(page) = node.page(scan, run).await? {
                    return Ok(Some(page));
                }
                self.scan = None;
            }
            let block = match &self.ranges {
                KeyRanges::Point(_) => None,
                KeyRanges::Points(points) => {
                    let begin = self.next.min(points.len());
                    let end = (begin + BATCH_ROWS_MAX).min(points.len());
                    self.next = end;
                    if begin == end {
                        return Ok(None);
                    }
                    Some(in_order(points, begin..end, node.reverse))
                }
                KeyRanges::Spans(spans) => {
                    let at =
                        if node.reverse { spans.len().checked_sub(self.next + 1) } else { Some(self.next) };
                    let Some(span) = at.and_then(|at| spans.get(at)) else { return Ok(None) };
                    self.next += 1;
                    let options = self.options(node, span.clone());
                    self.scan = Some(run.context.txn.scan(options));
                    None
                }
            };
            if let Some(keys) = block {
                let rows = lock_rows(run, &keys, node.page_locking(), &node.relation).await?;
                return Ok(Some(rows));
            }
        }
    }

    fn options(&self, node: &TableScanNode, span: keys::Span) -> ScanOptions {
        let whole = node.filter.is_none() && (node.lock.is_none() || node.page_locking().is_locking());
        let whole = whole && self.page_hint.is_none();
        let page_rows = self.hint.or(self.page_hint).map_or(0, |hint| hint.clamp(1, BATCH_ROWS_MAX as u64));
        ScanOptions {
            span,
            reverse: node.reverse,
            locking: node.page_locking(),
            rows_max: if whole { self.hint.unwrap_or(0) } else { 0 },
            // With a filter the hint says little: begin small, but not one row at a time.
            page_rows: if whole || page_rows == 0 { page_rows } else { page_rows.max(64) },
        }
    }
}

/// Some of the points, in scan order.
fn in_order(points: &[Vec<u8>], range: std::ops::Range<usize>, reverse: bool) -> KeyBlock {
    let mut keys = KeyBlock::with_capacity(range.len(), range.len() * 24);
    for at in range {
        keys.push(&points[if reverse { points.len() - 1 - at } else { at }]);
    }
    keys
}

impl TableScanNode {
    /// The next page of a scan of this index.
    pub(super) async fn page(&self, scan: &mut Scan, run: &Run) -> ExecResult<Option<KvBlock>> {
        let page = scan.next_page(&run.context.txn).await;
        Ok(page.map_err(|error| word_lock_error(error, &self.relation))?)
    }

    /// The rows that come of a page of entries when nothing is locked: decoded, filtered. `None` when there are none.
    pub(super) async fn unlocked_rows(&self, page: KvBlock, run: &Run) -> ExecResult<Option<Batch>> {
        let batch = self.decode(&page, run).await?;
        if batch.rows == 0 {
            return Ok(None);
        }
        match &self.filter {
            None => Ok(Some(batch)),
            Some(condition) => Ok(program::filter(condition, &run.eval(), batch)?),
        }
    }

    async fn decode(&self, page: &KvBlock, run: &Run) -> ExecResult<Batch> {
        match &self.source {
            Source::Index(decoder) => Ok(decode_block(decoder, page)?),
            Source::Fetch(fetch) => fetch.rows(&run.context.txn, page).await,
        }
    }

    /// The rows that come of a page of entries: decoded, filtered, locked. `None` when there are none.
    async fn rows_of(&self, page: KvBlock, ranges: &KeyRanges, run: &Run) -> ExecResult<Option<Batch>> {
        let lock = match &self.lock {
            Some(lock) if !lock.at_once => lock,
            _ => return self.unlocked_rows(page, run).await,
        };
        let Some(condition) = &self.filter else {
            // Nothing is looked at before the rows are locked.
            return self.lock(lock, &lock.keys_of(&page, None)?, ranges, run).await;
        };
        let batch = self.decode(&page, run).await?;
        if batch.rows == 0 {
            return Ok(None);
        }
        let selection = condition.filter(&run.eval(), &batch)?;
        let keys = lock.keys_of(&page, Some(&selection))?;
        self.lock(lock, &keys, ranges, run).await
    }

    /// Locks rows and looks at them again.
    async fn lock(
        &self,
        lock: &LockedRead,
        keys: &KeyBlock,
        ranges: &KeyRanges,
        run: &Run,
    ) -> ExecResult<Option<Batch>> {
        if keys.is_empty() {
            return Ok(None);
        }
        let rows = lock_rows(run, keys, lock.locking, &self.relation).await?;
        let mut batch = decode_block(&lock.decoder, &rows)?;
        if let Some(encoder) = &lock.index_key {
            let mut key = Vec::new();
            let mut inside = Vec::with_capacity(batch.rows);
            for row in 0..batch.rows {
                key.clear();
                encoder.encode_batch_key(&batch, row, &mut key)?;
                if contains(ranges, &key) {
                    inside.push(row as u32);
                }
            }
            if inside.len() < batch.rows {
                batch = batch.gather(&inside);
            }
        }
        batch.columns.truncate(lock.columns);
        if batch.rows == 0 {
            return Ok(None);
        }
        match &self.filter {
            None => Ok(Some(batch)),
            Some(condition) => Ok(program::filter(condition, &run.eval(), batch)?),
        }
    }
}

impl LockedRead {
    /// The primary keys of the chosen entries.
    fn keys_of(&self, page: &KvBlock, selection: Option<&[u32]>) -> PgResult<KeyBlock> {
        let chosen = |keys: &mut dyn Iterator<Item = &[u8]>| match selection {
            None => keys.map(<[u8]>::to_vec).collect::<Vec<_>>(),
            Some(selection) => {
                let all: Vec<&[u8]> = keys.collect();
                selection.iter().map(|row| all[*row as usize].to_vec()).collect()
            }
        };
        let keys = match &self.keys {
            RowKeys::Entries => chosen(&mut page.iter().filter(|row| row.value.is_some()).map(|row| row.key)),
            RowKeys::Decoded(fetch) => chosen(&mut fetch.row_keys(page)?.iter()),
        };
        Ok(keys.iter().map(Vec::as_slice).collect())
    }
}
