//! The gateway's side of scans: pieces in flight, given out in key order, backwards if the scan is.
//!
//! ```text
//!   |  given out  | piece: read | piece: asking node 2 | piece: read | piece: asking node 3 |  the rest, not cut yet  |
//!                   ^ next        at most PIECES_MAX pieces are begun
//! ```
//!
//! A piece is what lies in one range. It asks for page after page until it holds [`PIECE_BYTES`] of output; what it has not read is a piece
//! of its own once it is given out, and is asked for at once, so that a page is on its way while its forerunner is worked on. States of
//! groups are small: such a piece mostly is through with its range.
//!
//! Pieces are futures within the statement's own task: other nodes work at the same time, this one's task wakes up for what they
//! send. Dropping the gather drops them, which the other nodes notice.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use env::yield_now;
use keys::Span;
use kvclient::{Folded, KvBlock, Place, Scan, ScanOptions};
use types::{Batch, Datum, PgError};

use super::Distribution;
use super::answer::Answer;
use super::flows::Flow;
use super::run::{FragmentRun, Prepared};
use crate::context::ExecContext;
use crate::error::ExecResult;
use crate::memory::Reservation;
use crate::operator::Run;

/// Pieces begun at once; the same when only some rows are wanted.
const PIECES_MAX: usize = 8;
const PIECES_OF_FEW_MAX: usize = 2;
/// A piece that holds as much output waits for its turn.
const PIECE_BYTES: usize = 1 << 20;
/// What a piece may come to hold, with the page that goes beyond.
const PIECE_MEMORY_BYTES: u64 = 4 << 20;

/// What all pieces share.
struct Shared {
    context: ExecContext,
    slots: Vec<Datum>,
    fragment: Arc<Prepared>,
    program: Vec<u8>,
    reverse: bool,
    /// Ranges of this node are sent the program too.
    always: bool,
    /// Some node does not run the program: no more is sent.
    refused: AtomicBool,
}

impl Shared {
    fn options(&self, span: Span) -> ScanOptions {
        if self.reverse { ScanOptions::backward(span) } else { ScanOptions::forward(span) }
    }

    /// Where a scan goes on.
    async fn place(&self, scan: &Scan) -> ExecResult<Place> {
        let (db, rest) = (&self.context.db, scan.rest());
        Ok(if self.reverse { db.locate_before(&rest.end).await? } else { db.locate(&rest.start).await? })
    }
}

type Reading = Pin<Box<dyn Future<Output = ExecResult<Piece>> + Send>>;

enum Part {
    Begun(Reading),
    Read(ExecResult<Piece>),
}

/// What a piece has read.
struct Piece {
    batches: Vec<Batch>,
    /// Came after the batches.
    error: Option<PgError>,
    /// Not read yet.
    rest: Option<Scan>,
}

/// Rows of a fragment from all ranges of a scan, in key order.
///
/// - `parts` are in the order of the scan; `rest` and `spans` come after them.
pub(crate) struct Gather {
    shared: Arc<Shared>,
    parts: VecDeque<Part>,
    rest: Option<Scan>,
    spans: VecDeque<Span>,
    ready: VecDeque<Batch>,
    error: Option<PgError>,
    parts_max: usize,
    _memory: Reservation,
}

/// What is read, and by what.
pub(super) struct Job {
    pub fragment: Arc<Prepared>,
    pub program: Vec<u8>,
    /// Ascending.
    pub spans: Vec<Span>,
    pub reverse: bool,
    /// Rows that will be asked for at most.
    pub hint: Option<u64>,
    /// Rows of the first page; 0: as usual.
    pub page_rows: u64,
}

impl Gather {
    /// Reads the first page, alone: it settles where the transaction reads. The usual way, because the scan may be over with it.
    /// `None`: the statement has no memory left for it.
    pub(super) async fn begin(job: Job, run: &Run) -> ExecResult<Option<Gather>> {
        let always = run.context.distribution == Distribution::Always;
        let parts_max = if job.hint.is_some() { PIECES_OF_FEW_MAX } else { PIECES_MAX };
        let mut memory = run.context.memory.reservation();
        if memory.resize(parts_max as u64 * PIECE_MEMORY_BYTES).is_err() {
            return Ok(None);
        }
        let Job { fragment, program, mut spans, reverse, page_rows, .. } = job;
        if reverse {
            spans.reverse();
        }
        let refused = AtomicBool::new(false);
        let shared = Arc::new(Shared {
            context: run.context.clone(),
            slots: run.slots.clone(),
            fragment,
            program,
            reverse,
            always,
            refused,
        });
        let mut gather = Gather {
            shared,
            parts: VecDeque::new(),
            rest: None,
            spans: spans.into(),
            ready: VecDeque::new(),
            error: None,
            parts_max,
            _memory: memory,
        };
        gather.read_first_page(page_rows).await?;
        Ok(Some(gather))
    }

    async fn read_first_page(&mut self, page_rows: u64) -> ExecResult<()> {
        let Some(span) = self.spans.pop_front() else { return Ok(()) };
        let options = ScanOptions { page_rows, ..self.shared.options(span) };
        let mut scan = self.shared.context.txn.scan(options);
        let mut piece = Collected::new(&self.shared);
        piece.read_page(&mut scan, self.shared.always).await?;
        let mut piece = piece.finish(scan)?;
        // It goes on through all ranges: it is cut like everything else.
        self.rest = piece.rest.take();
        self.take(piece);
        Ok(())
    }

    fn take(&mut self, piece: Piece) {
        self.ready.extend(piece.batches);
        self.error = piece.error;
        if let Some(rest) = piece.rest {
            // In front of all that is begun.
            self.parts.push_front(Part::Begun(read_piece(self.shared.clone(), rest)));
        }
    }

    /// The next rows.
    pub async fn next(&mut self, run: &Run) -> ExecResult<Option<Batch>> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Ok(Some(batch));
            }
            if let Some(error) = self.error.take() {
                return Err(error.into());
            }
            run.pause().await?;
            self.begin_parts().await;
            let Some(read) = self.first_read().await else { return Ok(None) };
            self.take(read?);
            // What comes next is asked for before this is worked on.
            self.begin_parts().await;
            poll_fn(|context| {
                self.poll_parts(context);
                Poll::Ready(())
            })
            .await;
        }
    }

    /// Cuts what is left where ranges end, and begins reading.
    async fn begin_parts(&mut self) {
        while self.parts.len() < self.parts_max {
            let context = &self.shared.context;
            if self.rest.as_ref().is_none_or(Scan::is_finished) {
                let Some(span) = self.spans.pop_front() else { return };
                self.rest = Some(context.txn.scan(self.shared.options(span)));
            }
            let Some(rest) = &mut self.rest else { continue };
            if rest.is_finished() {
                continue;
            }
            let place = match self.shared.place(rest).await {
                Ok(place) => place,
                Err(error) => {
                    // It is told when its turn comes: what lies before may be all that is wanted.
                    self.parts.push_back(Part::Read(Err(error)));
                    (self.rest, self.spans) = (None, VecDeque::new());
                    return;
                }
            };
            let cut = match self.shared.reverse {
                false => Some(place.span.end).filter(|end| *end < rest.rest().end),
                true => Some(place.span.start).filter(|start| *start > rest.rest().start),
            };
            let piece = match cut {
                Some(key) => rest.cut(key),
                None => self.rest.take().expect("it is there"),
            };
            self.parts.push_back(Part::Begun(read_piece(self.shared.clone(), piece)));
        }
    }

    fn poll_parts(&mut self, context: &mut std::task::Context<'_>) {
        for part in &mut self.parts {
            if let Part::Begun(reading) = part
                && let Poll::Ready(read) = reading.as_mut().poll(context)
            {
                *part = Part::Read(read);
            }
        }
    }

    /// The first part once it is read; `None`: there is none.
    async fn first_read(&mut self) -> Option<ExecResult<Piece>> {
        poll_fn(|context| {
            self.poll_parts(context);
            match self.parts.front() {
                None => Poll::Ready(None),
                Some(Part::Begun(_)) => Poll::Pending,
                Some(Part::Read(_)) => match self.parts.pop_front() {
                    Some(Part::Read(read)) => Poll::Ready(Some(read)),
                    _ => Poll::Ready(None),
                },
            }
        })
        .await
    }
}

fn read_piece(shared: Arc<Shared>, mut scan: Scan) -> Reading {
    Box::pin(async move {
        let mut piece = Collected::new(&shared);
        while !scan.is_finished() && piece.bytes < PIECE_BYTES && piece.error.is_none() {
            shared.context.cancel.check()?;
            let sends = sends(&shared, &scan).await?;
            piece.read_page(&mut scan, sends).await?;
            // The other pieces have their turn: what is read here comes without a pause.
            yield_now().await;
        }
        piece.finish(scan)
    })
}

/// Whether the program is sent for the next page.
async fn sends(shared: &Shared, scan: &Scan) -> ExecResult<bool> {
    if shared.always || shared.refused.load(Ordering::Relaxed) {
        return Ok(shared.always && !shared.refused.load(Ordering::Relaxed));
    }
    Ok(shared.place(scan).await?.node != shared.context.db.node())
}

/// A piece being read. Pages of other nodes come through the program; others go through `own`.
struct Collected<'a> {
    shared: &'a Shared,
    own: FragmentRun,
    batches: Vec<Batch>,
    bytes: usize,
    error: Option<PgError>,
}

impl Collected<'_> {
    fn new(shared: &Shared) -> Collected<'_> {
        let own = FragmentRun::new(shared.fragment.clone(), &shared.context.memory);
        Collected { shared, own, batches: Vec::new(), bytes: 0, error: None }
    }

    async fn read_page(&mut self, scan: &mut Scan, sends: bool) -> ExecResult<()> {
        let txn = &self.shared.context.txn;
        if !sends {
            if let Some(rows) = scan.next_page(txn).await? {
                let context = &self.shared.context;
                let page = Flow { pages: 1, rows_read: rows.len() as u64, ..Flow::default() };
                context.flows.add(context.db.node(), page);
                self.feed(&rows);
            }
            return Ok(());
        }
        match scan.next_folded(txn, &self.shared.program).await? {
            None => {}
            Some(Folded::Rows(rows)) => self.feed(&rows),
            Some(Folded::Refused { reason }) => {
                tracing::debug!(reason, "a program is not run where its rows lie");
                self.shared.refused.store(true, Ordering::Relaxed);
            }
            Some(Folded::Answer(page)) => {
                self.flush();
                let answer = Answer::decode(&page.answer, self.shared.fragment.types())?;
                let rows_sent = answer.batches.iter().map(|batch| batch.rows as u64).sum();
                let bytes_sent = page.answer.len() as u64;
                let flow = Flow { pages: 1, rows_read: page.rows, rows_sent, bytes_sent };
                self.shared.context.flows.add(page.node, flow);
                self.bytes += page.answer.len();
                self.batches.extend(answer.batches);
                self.error = self.error.take().or(answer.error);
            }
        }
        Ok(())
    }

    /// Rows that are worked on here.
    fn feed(&mut self, rows: &KvBlock) {
        match self.own.feed(rows, &self.shared.context.eval(&self.shared.slots)) {
            Ok(()) if self.own.is_full() => self.flush(),
            Ok(()) => {}
            Err(error) => {
                self.flush();
                self.error = Some(error);
            }
        }
    }

    /// What was made here comes before what comes next.
    fn flush(&mut self) {
        match self.own.finish() {
            Ok(batches) => {
                self.bytes += batches.iter().map(Batch::memory_size).sum::<usize>();
                self.batches.extend(batches);
            }
            Err(error) => self.error = Some(error),
        }
    }

    fn finish(mut self, scan: Scan) -> ExecResult<Piece> {
        if self.error.is_none() {
            self.flush();
        }
        let rest = (!scan.is_finished() && self.error.is_none()).then_some(scan);
        Ok(Piece { batches: self.batches, error: self.error, rest })
    }
}
