//! Probes: many keys, or all that begins with many prefixes, through a program that runs where the rows lie. See `kvapi::fold`.
//!
//! As with a scan (see `fold`) a page is read in parts, each an ordinary read that is sequenced by itself; the first settles where the others
//! read, and what goes wrong with a later one ends the page before it. A part holds some hundred keys, so that an intent in the way of
//! one has few others read again.

use std::sync::Arc;

use clock::Timestamp;
use env::yield_now;
use keys::{Key, Span};
use kvapi::{
    BatchResponse, Header, KeyBlock, KvBlock, KvError, ProbeRequest, ProbeResponse, Progress, Response,
};
use storage::Engine;
use storage::mvcc::{self, MvccError, ReadView};

use crate::fold::{PAGE_BYTES_MAX, PAGE_TIME_MAX, PART_BYTES, PART_ROWS, settle};
use crate::read::Access;
use crate::replica::Replica;
use crate::store::Inner;

/// Keys, and prefixes, of a part.
const PART_KEYS: usize = 1024;
const PART_PREFIXES: usize = 128;

/// What a part has read.
///
/// - Row `i` belongs to the key at position `asked[i]`. `probed` and `resume` as in [`ProbeResponse`].
struct Found {
    rows: KvBlock,
    asked: Vec<u32>,
    probed: u32,
    resume: Option<Key>,
}

impl Inner {
    pub async fn probe(
        self: &Arc<Self>,
        replica: Arc<Replica>,
        header: &Header,
        request: &ProbeRequest,
    ) -> Result<BatchResponse, KvError> {
        check(request)?;
        let mut fold = self.open_program(&request.program)?;
        let began = self.env.monotonic();
        let mut response = ProbeResponse::default();
        // Where the first part has read, as a header.
        let mut settled: Option<(Header, Timestamp)> = None;
        while (response.probed as usize) < request.keys.len() {
            let part_header = settled.as_ref().map_or(header, |(header, _)| header);
            let first = response.probed as usize;
            let from = if settled.is_none() { Some(&request.from) } else { response.resume.as_ref() };
            let part = self.probe_part(&replica, part_header, request, first, from).await;
            let (found, timestamp) = match part {
                Ok(found) => found,
                Err(_) if settled.is_some() => break,
                Err(error) => return Err(error),
            };
            response.rows += found.rows.iter().filter(|row| row.value.is_some()).count() as u64;
            response.bytes += found.rows.byte_size() as u64;
            let progress = match found.asked.is_empty() {
                true => Progress::More,
                false => fold.feed_found(&found.rows, &found.asked),
            };
            settled.get_or_insert_with(|| (settle(header, timestamp), timestamp));
            (response.probed, response.resume) = (found.probed, found.resume);
            let is_full = response.bytes >= PAGE_BYTES_MAX
                || self.env.monotonic().saturating_sub(began) >= PAGE_TIME_MAX;
            if progress == Progress::Enough || is_full {
                break;
            }
            yield_now().await;
        }
        response.answer = fold.finish();
        self.ranges.scans.folded(response.rows, response.bytes, &response.answer);
        let timestamp = settled.map_or(Timestamp::ZERO, |(_, timestamp)| timestamp);
        Ok(self.respond(Response::Probe(response), timestamp, Timestamp::ZERO))
    }

    async fn probe_part(
        self: &Arc<Self>,
        replica: &Arc<Replica>,
        header: &Header,
        request: &ProbeRequest,
        first: usize,
        from: Option<&Key>,
    ) -> Result<(Found, Timestamp), KvError> {
        let engine = &*self.ranges.engine;
        let most = if request.are_prefixes { PART_PREFIXES } else { PART_KEYS };
        let part = first..(first + most).min(request.keys.len());
        if !request.are_prefixes {
            let keys: KeyBlock = part.clone().map(|at| request.keys.key(at)).collect();
            let evaluate = |view: &ReadView| get_keys(engine, &keys, first as u32, view);
            return self.read(replica, header, Access::Keys(&keys), evaluate).await;
        }
        let mut spans: Vec<Span> = part.map(|at| Span::prefix(request.keys.key(at))).collect();
        if let (Some(from), Some(span)) = (from, spans.first_mut())
            && *from > span.start
        {
            span.start = from.clone();
        }
        let evaluate = |view: &ReadView| scan_prefixes(engine, &spans, first as u32, view);
        self.read(replica, header, Access::Spans(&spans), evaluate).await
    }
}

/// A request of another node may be anything.
fn check(request: &ProbeRequest) -> Result<(), KvError> {
    let keys = &request.keys;
    if !keys.is_strictly_ascending() {
        return Err(KvError::invalid("the keys of a probe ascend strictly"));
    }
    let begins_next = |at: usize| keys.key(at).starts_with(keys.key(at - 1));
    if request.are_prefixes && (1..keys.len()).any(begins_next) {
        return Err(KvError::invalid("no prefix of a probe begins another"));
    }
    let lies_outside = !keys.is_empty() && !request.from.starts_with(keys.key(0));
    if !request.from.is_empty() && (!request.are_prefixes || lies_outside) {
        return Err(KvError::invalid("a probe goes on within its first prefix"));
    }
    Ok(())
}

fn get_keys(engine: &dyn Engine, keys: &KeyBlock, first: u32, view: &ReadView) -> Result<Found, MvccError> {
    let rows = mvcc::get_many(engine, keys, view)?;
    let mut asked = Vec::with_capacity(rows.len());
    let mut at = 0;
    for row in rows.iter() {
        // Every key has its row; were one left out, those behind it would still find theirs.
        while keys.key(at) != row.key {
            at += 1;
        }
        asked.push(first + at as u32);
    }
    Ok(Found { rows, asked, probed: first + keys.len() as u32, resume: None })
}

fn scan_prefixes(
    engine: &dyn Engine,
    spans: &[Span],
    first: u32,
    view: &ReadView,
) -> Result<Found, MvccError> {
    let mut found = Found { rows: KvBlock::new(), asked: Vec::new(), probed: first, resume: None };
    for span in spans {
        let rows_left = (PART_ROWS as usize).saturating_sub(found.rows.len());
        let bytes_left = (PART_BYTES as usize).saturating_sub(found.rows.byte_size());
        if rows_left == 0 || bytes_left == 0 {
            break;
        }
        let what = mvcc::Scan { reverse: false, rows_max: rows_left, bytes_max: bytes_left, bulk: false };
        let scanned = mvcc::scan(engine, span, view, what)?;
        found.rows.append(&scanned.rows);
        found.asked.resize(found.rows.len(), found.probed);
        found.resume = scanned.resume.map(|resume| resume.start);
        if found.resume.is_some() {
            break;
        }
        found.probed += 1;
    }
    Ok(found)
}
