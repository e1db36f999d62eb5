//! The gateway's side of lookups: many keys, or prefixes of keys, looked up where they lie.
//!
//! ```text
//!   keys, ascending:   | range 1: this node | range 2: node 2 | range 3: node 3 | range 4: this node |  own writes not sent  |
//!   pieces:            | read here          | one request     | one request     | read here          |  read here            |
//! ```
//!
//! Each piece is one request to the range that holds it, pages of an answer too large for one aside; pieces are under way at the same time.
//! What is found comes with the position of the key that it was found for, so that whoever asked puts rows in any order that it wants.
//!
//! An error of the fragment is not told from here: which of several errors is the first depends on the order of the rows that whoever asked has
//! in mind. It gets none of the rows, does the batch the usual way, and meets the error as it would have without other nodes.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use env::yield_now;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt};
use keys::{Key, Span};
use kvclient::{KeyBlock, KvBlock, KvError, Locking, Probe, Probed, ProbedPage, ScanOptions};
use types::{Batch, Datum, PgError, PgResult, Values, Vector};

use super::answer::Answer;
use super::flows::Flow;
use super::fragment::Fragment;
use super::run::{FragmentRun, Prepared};
use super::{Distribution, codec};
use crate::context::ExecContext;
use crate::error::{ExecError, ExecResult};
use crate::memory::Reservation;
use crate::operator::Run;
use crate::operators::empty_batch;

/// Pieces under way at once.
const PIECES_MAX: usize = 8;
/// Fewer whole keys than this are read as they are: a program costs more than it saves.
const KEYS_MIN: usize = 8;

/// What all pieces share.
struct Shared {
    context: ExecContext,
    slots: Vec<Datum>,
    fragment: Arc<Prepared>,
    program: Vec<u8>,
    are_prefixes: bool,
    /// Ranges of this node are sent the program too.
    always: bool,
    /// Some node does not run the program: no more is sent.
    refused: AtomicBool,
}

/// Looks keys up in one index, with one fragment.
#[derive(Clone)]
pub(super) struct Prober(Arc<Shared>);

/// What was found for keys.
///
/// - The rows of the key at position `i` are `rows[places[i]]`, in index order.
pub(super) struct Found {
    pub rows: Batch,
    pub places: Vec<Range<u32>>,
    /// Rows that there are, whatever the fragment has left of them.
    pub read: u64,
    /// What the rows hold of the statement's memory.
    pub memory: Vec<Reservation>,
}

/// Keys of one range, or of this node.
///
/// - `positions[i]` is where `keys[i]` stands among all keys.
struct Piece {
    keys: KeyBlock,
    positions: Vec<u32>,
    is_here: bool,
}

/// What a piece has read. Each batch's last column says for which of its keys.
struct PieceFound {
    positions: Vec<u32>,
    batches: Vec<Batch>,
    read: u64,
    memory: Reservation,
}

/// Why a piece has nothing.
enum Failure {
    /// The fragment has met an error.
    Fragment,
    Other(ExecError),
}

impl From<ExecError> for Failure {
    fn from(error: ExecError) -> Failure {
        Failure::Other(error)
    }
}

impl From<PgError> for Failure {
    fn from(error: PgError) -> Failure {
        Failure::Other(error.into())
    }
}

impl From<KvError> for Failure {
    fn from(error: KvError) -> Failure {
        Failure::Other(error.into())
    }
}

impl Prober {
    /// `None`: other nodes take no part, or the fragment cannot be sent.
    pub fn new(fragment: &Fragment, are_prefixes: bool, run: &Run) -> PgResult<Option<Prober>> {
        let Some(fragment) = fragment.with_values(&run.eval()) else { return Ok(None) };
        let Some(program) = codec::encode(&fragment) else { return Ok(None) };
        Ok(Some(Prober(Arc::new(Shared {
            context: run.context.clone(),
            slots: run.slots.clone(),
            fragment: Arc::new(Prepared::new(&fragment)?),
            program,
            are_prefixes,
            always: run.context.distribution == Distribution::Always,
            refused: AtomicBool::new(false),
        }))))
    }

    /// Whether some of the keys lie on another node. They ascend strictly.
    pub async fn asks_others(&self, keys: &KeyBlock) -> ExecResult<bool> {
        if self.0.always {
            return Ok(!keys.is_empty());
        }
        let db = &self.0.context.db;
        let mut at = 0;
        while at < keys.len() {
            let place = db.locate(keys.key(at)).await?;
            if place.node != db.node() {
                return Ok(true);
            }
            at = end_within(keys, at, &place.span.end);
        }
        Ok(false)
    }

    /// Looks keys up, which ascend strictly; no prefix begins another. `None`: the fragment has met an error, see above.
    pub async fn probe(&self, keys: &KeyBlock) -> ExecResult<Option<Found>> {
        let shared = &self.0;
        let mut pieces = self.pieces(keys).await?.into_iter();
        let mut read = Vec::new();
        let reading: Result<(), Failure> = async {
            // What settles where the transaction reads is read alone.
            while !shared.context.txn.is_settled() {
                let Some(piece) = pieces.next() else { break };
                read.push(read_piece(shared.clone(), piece).await?);
            }
            let reading: Vec<_> = pieces.map(|piece| read_piece(shared.clone(), piece)).collect();
            let mut reading = stream::iter(reading).buffered(PIECES_MAX);
            while let Some(piece) = reading.next().await {
                read.push(piece?);
            }
            Ok(())
        }
        .await;
        match reading {
            Ok(()) => Ok(Some(self.put_together(read, keys.len())?)),
            Err(Failure::Fragment) => Ok(None),
            Err(Failure::Other(error)) => Err(error),
        }
    }

    /// Cuts the keys where ranges end. Neighbours on this node are one piece; so is all that own writes know of.
    async fn pieces(&self, keys: &KeyBlock) -> ExecResult<Vec<Piece>> {
        let shared = &self.0;
        let db = &shared.context.db;
        let mut own = shared.context.txn.own_among(keys, shared.are_prefixes).into_iter().peekable();
        let mut pieces: Vec<Piece> = Vec::new();
        let mut of_own = Piece::new(true);
        let mut at = 0;
        while at < keys.len() {
            let place = db.locate(keys.key(at)).await?;
            let end = end_within(keys, at, &place.span.end);
            let mut piece = Piece::new(place.node == db.node() && !shared.always);
            for at in at..end {
                let to = if own.next_if_eq(&at).is_some() { &mut of_own } else { &mut piece };
                to.push(keys, at);
            }
            at = end;
            let is_small = !shared.are_prefixes && piece.keys.len() < KEYS_MIN && !shared.always;
            piece.is_here |= is_small || shared.refused.load(Ordering::Relaxed);
            match pieces.last_mut() {
                _ if piece.keys.is_empty() => {}
                Some(last) if last.is_here && piece.is_here && place.node == db.node() => last.append(&piece),
                _ => pieces.push(piece),
            }
        }
        if !of_own.keys.is_empty() {
            pieces.push(of_own);
        }
        Ok(pieces)
    }

    pub fn no_rows(&self) -> Batch {
        empty_batch(self.0.fragment.types())
    }

    /// The rows with keys in the order of the keys, read from here and worked on here, as if there were no other nodes.
    pub async fn read_in_order(&self, keys: &KeyBlock) -> ExecResult<Vec<Batch>> {
        let shared = &self.0;
        let rows = shared.context.txn.multi_get(keys, Locking::NONE).await?;
        let mut run = FragmentRun::new(shared.fragment.clone(), &shared.context.memory);
        run.feed(&rows, &shared.context.eval(&shared.slots))?;
        Ok(run.finish()?)
    }

    fn put_together(&self, pieces: Vec<PieceFound>, keys: usize) -> PgResult<Found> {
        let mut rows = self.no_rows();
        let mut places = vec![0..0; keys];
        let (mut read, mut memory) = (0, Vec::with_capacity(pieces.len()));
        for piece in pieces {
            read += piece.read;
            memory.push(piece.memory);
            for mut batch in piece.batches {
                let positions = batch.columns.pop();
                let asked = match positions.as_ref().map(|positions| &positions.values) {
                    Some(Values::Int4(asked)) => asked,
                    _ => return Err(PgError::internal("rows without positions")),
                };
                for (row, asked) in (rows.rows as u32..).zip(asked) {
                    let key = usize::try_from(*asked).ok().and_then(|asked| piece.positions.get(asked));
                    let place = key.and_then(|key| places.get_mut(*key as usize));
                    match place.ok_or_else(|| PgError::internal("a row for a key that was not asked for"))? {
                        place if place.start == place.end => *place = row..row + 1,
                        place if place.end == row => place.end = row + 1,
                        _ => return Err(PgError::internal("the rows of a key are not together")),
                    }
                }
                rows.append(&batch);
            }
        }
        Ok(Found { rows, places, read, memory })
    }
}

/// The first position behind `at` whose key does not lie before `end`.
fn end_within(keys: &KeyBlock, at: usize, end: &Key) -> usize {
    let (mut low, mut high) = (at + 1, keys.len());
    while low < high {
        let middle = (low + high) / 2;
        if keys.key(middle) < &end[..] { low = middle + 1 } else { high = middle }
    }
    low
}

impl Piece {
    fn new(is_here: bool) -> Piece {
        Piece { keys: KeyBlock::new(), positions: Vec::new(), is_here }
    }

    fn push(&mut self, keys: &KeyBlock, at: usize) {
        self.keys.push(keys.key(at));
        self.positions.push(at as u32);
    }

    fn append(&mut self, other: &Piece) {
        other.keys.iter().for_each(|key| self.keys.push(key));
        self.positions.extend(&other.positions);
    }
}

fn read_piece(shared: Arc<Shared>, piece: Piece) -> BoxFuture<'static, Result<PieceFound, Failure>> {
    Box::pin(async move {
        let mut reader = Reader::new(&shared);
        if piece.is_here {
            // What is read here comes without a pause: the others are asked first.
            yield_now().await;
            reader.read_here(&piece.keys, 0..piece.keys.len(), &Key::default()).await?;
        } else {
            reader.read_there(&piece.keys).await?;
        }
        reader.flush()?;
        let Reader { batches, read, memory, .. } = reader;
        Ok(PieceFound { positions: piece.positions, batches, read, memory })
    })
}

/// A piece being read: pages of other nodes come through the program, others go through `own`.
struct Reader<'a> {
    shared: &'a Shared,
    own: FragmentRun,
    batches: Vec<Batch>,
    read: u64,
    memory: Reservation,
}

impl Reader<'_> {
    fn new(shared: &Shared) -> Reader<'_> {
        let own = FragmentRun::new(shared.fragment.clone(), &shared.context.memory);
        Reader { shared, own, batches: Vec::new(), read: 0, memory: shared.context.memory.reservation() }
    }

    /// Some of the keys, the first from `from` on.
    async fn read_here(&mut self, keys: &KeyBlock, some: Range<usize>, from: &Key) -> Result<(), Failure> {
        let txn = &self.shared.context.txn;
        if !self.shared.are_prefixes {
            let part: KeyBlock = some.clone().map(|at| keys.key(at)).collect();
            let rows = txn.multi_get(&part, Locking::NONE).await?;
            let asked: Vec<u32> = (some.start as u32..some.end as u32).collect();
            return self.feed(&rows, &asked);
        }
        for at in some.clone() {
            self.shared.context.cancel.check()?;
            let mut span = Span::prefix(keys.key(at));
            if at == some.start && *from > span.start {
                span.start = from.clone();
            }
            let mut scan = txn.scan(ScanOptions::forward(span));
            while let Some(rows) = scan.next_page(txn).await? {
                self.feed(&rows, &vec![at as u32; rows.len()])?;
            }
        }
        Ok(())
    }

    async fn read_there(&mut self, keys: &KeyBlock) -> Result<(), Failure> {
        let shared = self.shared;
        let mut probe = Probe::new(keys.clone(), shared.are_prefixes, shared.program.clone());
        loop {
            shared.context.cancel.check()?;
            match probe.next_page(&shared.context.txn).await? {
                None => return Ok(()),
                Some(Probed::Answer(page)) => self.take(page)?,
                Some(Probed::Divided { at, from }) => self.read_here(keys, at..at + 1, &from).await?,
                Some(Probed::Refused { reason }) => {
                    tracing::debug!(reason, "a program is not run where its rows lie");
                    shared.refused.store(true, Ordering::Relaxed);
                    let (rest, from) = probe.rest();
                    return self.read_here(keys, rest, from).await;
                }
            }
        }
    }

    fn take(&mut self, page: ProbedPage) -> Result<(), Failure> {
        self.flush()?;
        let answer = Answer::decode(&page.answer, &self.shared.fragment.found_types())?;
        let rows_sent = answer.batches.iter().map(|batch| batch.rows as u64).sum();
        let flow = Flow { pages: 1, rows_read: page.rows, rows_sent, bytes_sent: page.answer.len() as u64 };
        self.shared.context.flows.add(page.node, flow);
        if answer.error.is_some() {
            return Err(Failure::Fragment);
        }
        self.read += page.rows;
        for mut batch in answer.batches {
            if let Some(Vector { values: Values::Int4(asked), .. }) = batch.columns.last_mut() {
                asked.iter_mut().for_each(|asked| *asked = asked.saturating_add(page.first as i32));
            }
            self.keep(batch)?;
        }
        Ok(())
    }

    /// Rows that are worked on here.
    fn feed(&mut self, rows: &KvBlock, asked: &[u32]) -> Result<(), Failure> {
        self.read += rows.iter().filter(|row| row.value.is_some()).count() as u64;
        let context = self.shared.context.eval(&self.shared.slots);
        // Whatever is wrong is met again by whoever does the batch the usual way.
        self.own.feed_found(rows, asked, &context).map_err(|_| Failure::Fragment)?;
        if self.own.is_full() { self.flush() } else { Ok(()) }
    }

    /// What was made here comes before what comes next.
    fn flush(&mut self) -> Result<(), Failure> {
        for batch in self.own.finish()? {
            self.keep(batch)?;
        }
        Ok(())
    }

    fn keep(&mut self, batch: Batch) -> Result<(), Failure> {
        self.memory.grow(batch.memory_size() as u64)?;
        self.batches.push(batch);
        Ok(())
    }
}
