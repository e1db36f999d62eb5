//! Reads: own writes first, then the servers; locks and read spans entered; refresh where a newer timestamp is
//! needed.

use std::collections::BTreeSet;

use keys::{Key, Span};
use kvapi::{
    GetRequest, Header, Isolation, KeyBlock, KvBlock, KvError, MultiGetRequest, ProbeRequest, Response,
    RestartReason, ScanRequest, Timestamp, WaitPolicy,
};

use super::{State, Txn};
use crate::Locking;
use crate::buffer::Buffered;
use crate::router::{FoldAnswer, ProbeAnswer, unexpected};

/// Where a read without scan stands.
#[derive(Clone, Copy)]
pub(super) struct View {
    /// Own writes up to this are seen.
    pub sequence: u32,
    /// Reads as of now instead of in the snapshot.
    pub is_newest: bool,
}

/// Refreshes tried for one request before the transaction is told to restart.
const REFRESHES_MAX: u32 = 8;

impl Txn {
    /// Locks a key, whether it has a value or not, for as long as the transaction lasts: going back to a savepoint does not release it. Answers with
    /// the value. For the server's own rows: also where the client's access mode is read only, but not of a read of the past.
    pub async fn hold(&self, key: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
        let value = self.get_checked(key, Locking::INSERT, |state| state.check_current()).await?;
        self.shared.state.lock().locks.keep(key);
        Ok(value)
    }

    /// Reads one key. One that the transaction has written is locked more strongly if it has to be.
    pub async fn get(&self, key: &[u8], locking: Locking) -> Result<Option<Vec<u8>>, KvError> {
        self.get_checked(key, locking, |state| check_readable(state, locking)).await
    }

    async fn get_checked(
        &self,
        key: &[u8],
        locking: Locking,
        check: impl Fn(&State) -> Result<(), KvError>,
    ) -> Result<Option<Vec<u8>>, KvError> {
        let mut attempts = 0;
        let mut held = false;
        if locking.is_locking() {
            self.show_life(key).await?;
            held = self.shared.state.lock().locks.may_hold(key);
        }
        loop {
            let (header, own) = {
                let mut state = self.shared.state.lock();
                check(&state)?;
                let sequence = state.statement_sequence;
                let own = match state.buffer.get(key, sequence) {
                    Buffered::Value(value) => Some(Some(value.to_vec())),
                    Buffered::Deleted => Some(None),
                    Buffered::Unknown => None,
                };
                if let Some(own) = own.as_ref().filter(|_| !state.locks.must_grow(key, locking.strength)) {
                    return Ok(own.clone());
                }
                let header = state.read_header(locking, sequence);
                (self.enter_point(&mut state, key, locking, header), own)
            };
            let sent_at = header.txn.as_ref().map_or(Timestamp::ZERO, |txn| txn.read_timestamp);
            let lock_absent = locking.absent || held;
            let request = GetRequest { key: Key::copy_from(key), lock: locking.strength, lock_absent };
            match self.shared.db.router.get(header, request).await {
                Ok(mut response) => {
                    let Some(Response::Get(value)) = response.responses.pop() else {
                        return Err(unexpected(response.responses.pop()));
                    };
                    let at = response.read_timestamp;
                    let mut state = self.shared.state.lock();
                    if locking.is_locking()
                        && !enter_locked(&mut state, key, value.is_some(), locking, held, at, sent_at)
                    {
                        continue;
                    }
                    state.was_read_at(at, locking.is_locking());
                    return Ok(match own {
                        // Somebody else has a lock on it as well.
                        Some(_) if value.is_none() && locking.wait == WaitPolicy::SkipLocked => None,
                        Some(own) => own,
                        None => value,
                    });
                }
                Err(error) => Box::pin(self.get_past(error, &mut attempts)).await?,
            }
        }
    }

    /// Reads many keys, in any order, duplicates allowed. One row per key in the order asked for, absent
    /// ones without value; under `SkipLocked` the skipped keys have no row.
    pub async fn multi_get(&self, keys: &KeyBlock, locking: Locking) -> Result<KvBlock, KvError> {
        let sequence = self.shared.state.lock().statement_sequence;
        self.multi_get_at(keys, locking, View { sequence, is_newest: false }).await
    }

    /// Reads many keys without lock, like [`Txn::multi_get`], but under READ COMMITTED as of now: the statement's snapshot stays where it
    /// is. At the other levels all reads are of one snapshot, these too.
    pub async fn multi_get_newest(&self, keys: &KeyBlock) -> Result<KvBlock, KvError> {
        let view = {
            let state = self.shared.state.lock();
            let is_newest = state.isolation() == Isolation::ReadCommitted && !state.stale;
            View { sequence: state.statement_sequence, is_newest }
        };
        self.multi_get_at(keys, Locking::NONE, view).await
    }

    /// Reads many keys without lock, like [`Txn::multi_get`], but with what the statement in progress has written so far: as an
    /// insert will find them.
    pub async fn multi_get_latest(&self, keys: &KeyBlock) -> Result<KvBlock, KvError> {
        let sequence = self.shared.state.lock().sequence;
        self.multi_get_at(keys, Locking::NONE, View { sequence, is_newest: false }).await
    }

    pub(super) async fn multi_get_at(
        &self,
        keys: &KeyBlock,
        locking: Locking,
        view: View,
    ) -> Result<KvBlock, KvError> {
        if keys.is_empty() {
            return Ok(KvBlock::new());
        }
        if keys.is_strictly_ascending() {
            return self.multi_get_ascending(keys, locking, view).await;
        }
        let mut sorted: Vec<&[u8]> = keys.iter().collect();
        sorted.sort_unstable();
        sorted.dedup();
        let ascending: KeyBlock = sorted.iter().copied().collect();
        let rows = self.multi_get_ascending(&ascending, locking, view).await?;
        let mut ordered = KvBlock::with_capacity(keys.len(), rows.byte_size());
        for key in keys.iter() {
            // Skipped keys have no row.
            if let Some(index) = find_row(&rows, key) {
                ordered.push_row(rows.row(index));
            }
        }
        Ok(ordered)
    }

    async fn multi_get_ascending(
        &self,
        keys: &KeyBlock,
        locking: Locking,
        view: View,
    ) -> Result<KvBlock, KvError> {
        if locking.is_locking() {
            self.show_life(keys.key(0)).await?;
        }
        let (mut unknown, mut own, held) = {
            let state = self.shared.state.lock();
            check_readable(&state, locking)?;
            let (unknown, own) = ask_buffer(&state, keys, locking, view.sequence);
            let held = locking.is_locking() && unknown.iter().any(|key| state.locks.may_hold(key));
            (unknown, own, held)
        };
        let (mut rows, asked) = (KvBlock::new(), unknown.len());
        // Own rows that are asked for all the same, to be locked, may be skipped.
        let may_skip = locking.wait == WaitPolicy::SkipLocked && !own.is_empty();
        let asked_keys = if may_skip { unknown.clone() } else { KeyBlock::new() };
        while !unknown.is_empty() {
            let is_first = unknown.len() == asked;
            let (page, count) = self.multi_get_page(&unknown, locking, view, held, is_first).await?;
            if rows.is_empty() {
                rows = page
            } else {
                rows.append(&page)
            }
            unknown = if count < unknown.len() {
                (count..unknown.len()).map(|index| unknown.key(index)).collect()
            } else {
                KeyBlock::new()
            };
        }
        if may_skip {
            let asked: BTreeSet<&[u8]> = asked_keys.iter().collect();
            let mut kept = KvBlock::new();
            let stays = |key: &[u8]| !asked.contains(key) || find_row(&rows, key).is_some();
            own.iter().filter(|row| stays(row.key)).for_each(|row| kept.push_row(row));
            own = kept;
        }
        Ok(if own.is_empty() { rows } else { merge_ascending(&rows, &own) })
    }

    /// Reads those of ascending keys that lie in the first key's range. Answers with their rows and their number. The keys are
    /// entered with the first page. `held`: one of the keys may have been locked before.
    async fn multi_get_page(
        &self,
        keys: &KeyBlock,
        locking: Locking,
        view: View,
        held: bool,
        is_first: bool,
    ) -> Result<(KvBlock, usize), KvError> {
        let mut attempts = 0;
        loop {
            let header = {
                let mut state = self.shared.state.lock();
                check_readable(&state, locking)?;
                let mut header = state.read_header(locking, view.sequence);
                if view.is_newest {
                    self.shared.db.read_as_of_now(&mut header);
                }
                for key in keys.iter().filter(|_| is_first && attempts == 0) {
                    header = self.enter_point(&mut state, key, locking, header);
                }
                header
            };
            let sent_at = header.txn.as_ref().map_or(Timestamp::ZERO, |txn| txn.read_timestamp);
            let lock_absent = locking.absent || held;
            let request = MultiGetRequest { keys: keys.clone(), lock: locking.strength, lock_absent };
            match self.shared.db.router.multi_get_page(&header, request).await {
                Ok((answer, at)) => {
                    let mut state = self.shared.state.lock();
                    let mut holds = true;
                    if locking.is_locking() {
                        for row in answer.rows.iter() {
                            let found = row.value.is_some();
                            holds &= enter_locked(&mut state, row.key, found, locking, held, at, sent_at);
                        }
                    }
                    if !holds {
                        continue;
                    }
                    match view.is_newest {
                        true => state.was_read_apart(at),
                        false => state.was_read_at(at, locking.is_locking()),
                    }
                    return Ok((answer.rows, answer.count));
                }
                Err(error) => Box::pin(self.get_past(error, &mut attempts)).await?,
            }
        }
    }

    /// Reads one page of a scan from one range. Answers with all rows of the part of the span that it covers.
    pub(crate) async fn scan_page(
        &self,
        scan: ScanRequest,
        locking: Locking,
        sequence: u32,
    ) -> Result<(KvBlock, Span), KvError> {
        let mut attempts = 0;
        if locking.is_locking() {
            self.show_life(&scan.span.start).await?;
        }
        loop {
            let mut noted_alone = false;
            let header = {
                let mut state = self.shared.state.lock();
                check_readable(&state, locking)?;
                let header = state.read_header(locking, sequence);
                if state.tracks_reads() {
                    state.reads.add(scan.span.clone());
                }
                if locking.is_locking() {
                    state.anchor_at(&scan.span.start, &self.shared.db.clock);
                    noted_alone = state.locks.attempt(scan.span.clone());
                    self.register(&mut state);
                    anchored(header, &state)
                } else {
                    header
                }
            };
            match self.shared.db.router.scan_page(&header, scan.clone()).await {
                Ok((answer, covered)) => {
                    let mut state = self.shared.state.lock();
                    if locking.is_locking() {
                        for row in answer.rows.iter() {
                            state.locks.add(row.key, locking.strength, answer.read_timestamp);
                        }
                        // Earlier tries may have come to hold locks on rows that are gone by now: those are released at the end.
                        if noted_alone && !answer.was_retried {
                            state.locks.settle(&scan.span);
                        }
                    }
                    state.was_read_at(answer.read_timestamp, locking.is_locking());
                    let rows = state.buffer.overlay(&covered, scan.reverse, sequence, answer.rows);
                    return Ok((rows, covered));
                }
                Err(error) => Box::pin(self.get_past(error, &mut attempts)).await?,
            }
        }
    }

    /// Reads one page of a scan without lock from one range, through a program that runs there. Answers with what the program
    /// has made of all rows of the part of the span that it covers; `None` when the scan begins with an own write, which no server
    /// knows.
    pub(crate) async fn fold_page(
        &self,
        scan: ScanRequest,
        program: &[u8],
        sequence: u32,
    ) -> Result<Option<(FoldAnswer, Span)>, KvError> {
        let mut attempts = 0;
        loop {
            let (header, scan) = {
                let mut state = self.shared.state.lock();
                check_readable(&state, Locking::NONE)?;
                let mut scan = scan.clone();
                if scan.reverse {
                    match state.buffer.last_in(&scan.span).map(Key::next) {
                        Some(behind) if behind >= scan.span.end => return Ok(None),
                        Some(behind) => scan.span.start = behind,
                        None => {}
                    }
                } else {
                    match state.buffer.first_in(&scan.span) {
                        Some(own) if *own == scan.span.start => return Ok(None),
                        Some(own) => scan.span.end = own.clone(),
                        None => {}
                    }
                }
                let header = state.read_header(Locking::NONE, sequence);
                if state.tracks_reads() {
                    state.reads.add(scan.span.clone());
                }
                (header, scan)
            };
            match self.shared.db.router.fold_page(&header, scan, program).await {
                Ok((answer, covered)) => {
                    self.shared.state.lock().was_read_at(answer.read_timestamp, false);
                    return Ok(Some((answer, covered)));
                }
                Err(error) => Box::pin(self.get_past(error, &mut attempts)).await?,
            }
        }
    }

    /// Whether other reads may be sent before the next one is answered: that cannot move the snapshot any more.
    pub fn is_settled(&self) -> bool {
        !self.shared.state.lock().can_forward(false)
    }

    /// The positions of those keys, or prefixes, of which own writes that have not been sent know something: no server does.
    pub fn own_among(&self, keys: &KeyBlock, are_prefixes: bool) -> Vec<usize> {
        let state = self.shared.state.lock();
        if state.buffer.is_empty() {
            return Vec::new();
        }
        let is_own = |at: &usize| {
            let key = keys.key(*at);
            let span = if are_prefixes { Span::prefix(key) } else { Span::point(Key::copy_from(key)) };
            state.buffer.touches(&span)
        };
        (0..keys.len()).filter(is_own).collect()
    }

    /// Asks the range of the first key for what a program makes of what is found for that and for the following keys, as far as they lie there.
    /// `None`: what begins with the first prefix lies in several ranges. `enters`: the keys are entered with this page.
    pub(crate) async fn probe_page(
        &self,
        request: &ProbeRequest,
        enters: bool,
    ) -> Result<Option<ProbeAnswer>, KvError> {
        let mut attempts = 0;
        loop {
            let header = {
                let mut state = self.shared.state.lock();
                check_readable(&state, Locking::NONE)?;
                let sequence = state.statement_sequence;
                let header = state.read_header(Locking::NONE, sequence);
                if enters && attempts == 0 && state.tracks_reads() {
                    for key in request.keys.iter() {
                        let span = match request.are_prefixes {
                            true => Span::prefix(key),
                            false => Span::point(Key::copy_from(key)),
                        };
                        state.reads.add(span);
                    }
                }
                header
            };
            match self.shared.db.router.probe_page(&header, request.clone()).await {
                Ok(None) => return Ok(None),
                Ok(Some(answer)) => {
                    self.shared.state.lock().was_read_at(answer.read_timestamp, false);
                    return Ok(Some(answer));
                }
                Err(error) => Box::pin(self.get_past(error, &mut attempts)).await?,
            }
        }
    }

    /// Enters a read of one key before it is sent.
    fn enter_point(&self, state: &mut State, key: &[u8], locking: Locking, header: Header) -> Header {
        // A key share lets writers pass that leave the row's key alone; what was read must be refreshed.
        if state.tracks_reads() && !locking.strength.excludes_writers() {
            state.reads.add(Span::point(Key::copy_from(key)));
        }
        if !locking.is_locking() {
            return header;
        }
        state.anchor_at(key, &self.shared.db.clock);
        state.locks.attempt_key(key);
        self.register(state);
        anchored(header, state)
    }

    /// Before an old transaction leaves its first trace on a server: a record. Whoever meets the trace would else take
    /// a transaction of that age without record for dead.
    pub(super) async fn show_life(&self, anchor: &[u8]) -> Result<(), KvError> {
        {
            let mut state = self.shared.state.lock();
            if state.registered || !self.shared.db.is_old(&state) {
                return Ok(());
            }
            state.check_alive()?;
            state.anchor_at(anchor, &self.shared.db.clock);
            self.register(&mut state);
        }
        Box::pin(self.shared.db.heartbeat_one(&self.shared, self.shared.db.clock.now())).await;
        self.shared.state.lock().check_alive()
    }

    pub(super) fn register(&self, state: &mut State) {
        if !state.registered {
            state.registered = true;
            self.shared.db.register(state.txn.id(), &self.shared);
        }
    }

    /// Moves the snapshot up to `timestamp`, unless it lies above: at SERIALIZABLE if all that was read still holds there, at a level that
    /// keeps one snapshot if nothing was read. Errors: `Restart`.
    pub async fn read_from(&self, timestamp: Timestamp) -> Result<(), KvError> {
        {
            let state = self.shared.state.lock();
            state.check_open()?;
            if timestamp > state.txn.read_timestamp
                && (state.stale || (state.has_read && !state.tracks_reads()))
            {
                return Err(KvError::Restart { reason: RestartReason::WriteTooOld, timestamp, key: None });
            }
        }
        self.refresh_to(timestamp).await
    }

    /// Refreshes to where an error points, if that can help. The request is then sent again.
    pub(super) async fn get_past(&self, error: KvError, attempts: &mut u32) -> Result<(), KvError> {
        *attempts += 1;
        match &error {
            KvError::Restart { reason: RestartReason::Aborted, .. } => {
                self.shared.state.lock().aborted = true;
                Err(error)
            }
            KvError::Restart {
                reason: RestartReason::WriteTooOld | RestartReason::Uncertainty,
                timestamp,
                ..
            } => {
                let timestamp = *timestamp;
                let refreshable = {
                    let state = self.shared.state.lock();
                    state.tracks_reads() || (!state.has_read && !state.stale)
                };
                if !refreshable || *attempts > REFRESHES_MAX {
                    return Err(error);
                }
                self.refresh_to(timestamp).await
            }
            _ => Err(error),
        }
    }

    /// Moves the read timestamp up to `timestamp`, if all that was read still holds there.
    pub(super) async fn refresh_to(&self, timestamp: Timestamp) -> Result<(), KvError> {
        let mut refreshed = None;
        loop {
            let (header, spans, from, additions) = {
                let mut state = self.shared.state.lock();
                state.check_alive()?;
                if timestamp <= state.txn.read_timestamp {
                    return Ok(());
                }
                let additions = state.reads.additions();
                if !state.tracks_reads() || state.reads.is_empty() || refreshed == Some(additions) {
                    state.advance_to(timestamp);
                    return Ok(());
                }
                let mut header = state.write_header();
                let from = state.txn.read_timestamp;
                if let Some(txn) = &mut header.txn {
                    txn.read_timestamp = timestamp;
                    txn.meta.write_timestamp = txn.meta.write_timestamp.max(timestamp);
                }
                (header, state.reads.spans().to_vec(), from, additions)
            };
            self.shared.db.router.refresh(&header, &spans, from).await?;
            refreshed = Some(additions);
        }
    }
}

/// The anchor was chosen after the header was made.
fn anchored(mut header: Header, state: &State) -> Header {
    if let Some(txn) = &mut header.txn
        && txn.meta.anchor.is_none()
    {
        txn.meta.anchor.clone_from(&state.txn.meta.anchor);
        txn.meta.start = state.txn.meta.start;
    }
    header
}

/// Enters a locking read that was answered. False: the snapshot has moved on in the meantime and what was read is protected by
/// no lock; it must be read again. `held`: there may have been a lock before, so that the server was told to keep it.
fn enter_locked(
    state: &mut State,
    key: &[u8],
    found: bool,
    locking: Locking,
    held: bool,
    at: Timestamp,
    sent_at: Timestamp,
) -> bool {
    if found || locking.absent {
        state.locks.add(key, locking.strength, at);
        return true;
    }
    if !held {
        state.locks.not_kept(key);
    }
    if state.tracks_reads() && locking.strength.excludes_writers() {
        if state.txn.read_timestamp > sent_at.max(at) {
            return false;
        }
        state.reads.add(Span::point(Key::copy_from(key)));
    }
    true
}

fn check_readable(state: &State, locking: Locking) -> Result<(), KvError> {
    if locking.is_locking() { state.check_writable() } else { state.check_open() }
}

/// Keys of which the buffer knows nothing or whose lock is too weak, and rows of those of which it does know.
fn ask_buffer(state: &State, keys: &KeyBlock, locking: Locking, sequence: u32) -> (KeyBlock, KvBlock) {
    let mut own = KvBlock::new();
    if state.buffer.is_empty() {
        return (keys.clone(), own);
    }
    let mut unknown = KeyBlock::new();
    for key in keys.iter() {
        let buffered = state.buffer.get(key, sequence);
        if buffered == Buffered::Unknown || state.locks.must_grow(key, locking.strength) {
            unknown.push(key);
        }
        match buffered {
            Buffered::Unknown => {}
            Buffered::Deleted => own.push_absent(key),
            Buffered::Value(value) => own.push(key, &value),
        }
    }
    (unknown, own)
}

/// Rows of both; of a key that is in both the right one.
fn merge_ascending(left: &KvBlock, right: &KvBlock) -> KvBlock {
    let mut merged = KvBlock::with_capacity(left.len() + right.len(), left.byte_size() + right.byte_size());
    let (mut left, mut right) = (left.iter().peekable(), right.iter().peekable());
    loop {
        let from_left = match (left.peek(), right.peek()) {
            (Some(l), Some(r)) if l.key == r.key => {
                left.next();
                false
            }
            (Some(l), Some(r)) => l.key < r.key,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (None, None) => return merged,
        };
        let row = if from_left { left.next() } else { right.next() };
        merged.push_row(row.expect("just peeked"));
    }
}

/// The index of a key in rows that ascend.
fn find_row(rows: &KvBlock, key: &[u8]) -> Option<usize> {
    let (mut low, mut high) = (0, rows.len());
    while low < high {
        let middle = (low + high) / 2;
        if rows.key(middle) < key { low = middle + 1 } else { high = middle }
    }
    (low < rows.len() && rows.key(low) == key).then_some(low)
}
