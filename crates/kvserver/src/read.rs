//! Reads without locks: get, multi-get, scan, and the refresh of reads.
//!
//! Sequenced under the range's mutex (timestamp cache, writes in flight), evaluated after it without any protection; see
//! `concurrency`. What a read meets that it cannot pass sends it to `conflict`, and it is sequenced again.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use clock::Timestamp;
use env::{timeout, trace};
use keys::Span;
use kvapi::planted::Bug;
use kvapi::{
    BatchResponse, GetRequest, Header, KvError, LockClaim, LockStrength, MultiGetRequest, RangeDescriptor,
    RefreshRequest, Response, RestartReason, ScanRequest, ScanResponse, TxnId,
};
use storage::mvcc::{self, Changed, Conflict, MvccError, ReadView};

use crate::conflict::Rounds;
use crate::replica::{LOOK_INTERVAL, RangeState, Replica};
use crate::store::{Inner, read_timestamp, storage_error};

/// Times a read's timestamp is moved up before it gives up.
const FORWARDS_MAX: u32 = 16;

/// What is read, for sequencing.
#[derive(Clone, Copy)]
pub(crate) enum Access<'a> {
    Key(&'a [u8]),
    Keys(&'a kvapi::KeyBlock),
    Spans(&'a [Span]),
}

impl Access<'_> {
    /// Whether a range has all of it.
    pub fn lies_within(&self, descriptor: &RangeDescriptor) -> bool {
        match self {
            Access::Key(key) => descriptor.contains(key),
            Access::Keys(keys) if keys.is_empty() => true,
            Access::Keys(keys) => {
                descriptor.contains(keys.key(0)) && descriptor.contains(keys.key(keys.len() - 1))
            }
            Access::Spans(spans) => spans.iter().all(|span| descriptor.contains_span(span)),
        }
    }
}

impl Inner {
    /// The fast path of a point read: to its end, or `None` if it would have to wait.
    pub fn try_get(
        &self,
        replica: &Replica,
        header: &Header,
        get: &GetRequest,
    ) -> Option<Result<BatchResponse, KvError>> {
        let timestamp = read_timestamp(header, &self.ranges.clock);
        let view = {
            let mut state = replica.state.lock();
            if let Err(error) = self.check_read(&mut state, &Access::Key(&get.key), timestamp) {
                drop(state);
                return Some(self.get_without_lease(replica, header, get, error));
            }
            state.manager.reads.read_key(&get.key, timestamp, header.txn.as_ref().map(|txn| txn.meta.id));
            if state.manager.latches.blocks_key(&get.key, timestamp) {
                return None;
            }
            self.view(replica, &state, header, timestamp)
        };
        match mvcc::get(&*self.ranges.engine, &get.key, &view) {
            Ok(value) => {
                let response = self.respond(Response::Get(value), timestamp, Timestamp::ZERO);
                Some(check_not_collected(replica, timestamp).map(|()| response))
            }
            // The slow path knows what to do, and reads again.
            Err(MvccError::Conflicts(_) | MvccError::Uncertain { .. }) => None,
            Err(error) => Some(Err(read_error(error))),
        }
    }

    /// The lease is not here, or the read is refused for another reason.
    #[cold]
    fn get_without_lease(
        &self,
        replica: &Replica,
        header: &Header,
        get: &GetRequest,
        refusal: KvError,
    ) -> Result<BatchResponse, KvError> {
        if !matches!(refusal, KvError::NotLeaseholder { .. }) {
            return Err(refusal);
        }
        let evaluate = |view: &ReadView| mvcc::get(&*self.ranges.engine, &get.key, view);
        let (value, timestamp) = self.follow(replica, header, &Access::Key(&get.key), evaluate, refusal)?;
        Ok(self.respond(Response::Get(value), timestamp, Timestamp::ZERO))
    }

    pub async fn get(
        self: &Arc<Self>,
        replica: Arc<Replica>,
        header: &Header,
        get: &GetRequest,
    ) -> Result<BatchResponse, KvError> {
        let access = Access::Key(&get.key);
        let evaluate = |view: &ReadView| mvcc::get(&*self.ranges.engine, &get.key, view);
        let (value, timestamp) = self.read(&replica, header, access, evaluate).await?;
        Ok(self.respond(Response::Get(value), timestamp, Timestamp::ZERO))
    }

    pub async fn multi_get(
        self: &Arc<Self>,
        replica: Arc<Replica>,
        header: &Header,
        request: &MultiGetRequest,
    ) -> Result<BatchResponse, KvError> {
        check_ascending(request)?;
        let access = Access::Keys(&request.keys);
        let evaluate = |view: &ReadView| mvcc::get_many(&*self.ranges.engine, &request.keys, view);
        let (rows, timestamp) = self.read(&replica, header, access, evaluate).await?;
        Ok(self.respond(Response::Rows(ScanResponse { rows, resume: None }), timestamp, Timestamp::ZERO))
    }

    pub async fn scan(
        self: &Arc<Self>,
        replica: Arc<Replica>,
        header: &Header,
        scan: &ScanRequest,
    ) -> Result<BatchResponse, KvError> {
        let spans = std::slice::from_ref(&scan.span);
        let evaluate = |view: &ReadView| mvcc::scan(&*self.ranges.engine, &scan.span, view, bounds(scan));
        let (found, timestamp) = self.read(&replica, header, Access::Spans(spans), evaluate).await?;
        self.ranges.scans.sent(found.rows.len(), found.rows.byte_size());
        let rows = ScanResponse { rows: found.rows, resume: found.resume };
        Ok(self.respond(Response::Rows(rows), timestamp, Timestamp::ZERO))
    }

    /// Sequences and evaluates a read until it is through. Answers with where it read.
    pub(crate) async fn read<T>(
        self: &Arc<Self>,
        replica: &Arc<Replica>,
        header: &Header,
        access: Access<'_>,
        evaluate: impl Fn(&ReadView) -> Result<T, MvccError>,
    ) -> Result<(T, Timestamp), KvError> {
        let mut timestamp = read_timestamp(header, &self.ranges.clock);
        let mut forwards = 0;
        let mut rounds = Rounds::default();
        loop {
            let view = match self.sequence_read(replica, header, &access, timestamp).await {
                Ok(view) => ReadView { passed: rounds.passed, ..view },
                Err(refusal @ KvError::NotLeaseholder { .. }) => {
                    return self.follow(replica, header, &access, evaluate, refusal);
                }
                Err(error) => return Err(error),
            };
            let step = trace::span(|| "read storage");
            let evaluated = evaluate(&view);
            drop(step);
            match evaluated {
                Ok(found) => {
                    check_not_collected(replica, timestamp)?;
                    return Ok((found, timestamp));
                }
                Err(MvccError::Conflicts(conflicts)) => {
                    Box::pin(self.read_past(header, conflicts, &view, &mut rounds)).await?;
                }
                Err(MvccError::Uncertain { timestamp: uncertain, .. })
                    if header.can_forward_read && forwards < FORWARDS_MAX =>
                {
                    forwards += 1;
                    timestamp = uncertain.max(timestamp);
                }
                Err(error) => return Err(read_error(error)),
            }
        }
    }

    /// Enters a read, waits for the writes in its way, and says how to read.
    pub(crate) async fn sequence_read(
        &self,
        replica: &Replica,
        header: &Header,
        access: &Access<'_>,
        timestamp: Timestamp,
    ) -> Result<ReadView, KvError> {
        loop {
            let receiver = {
                let mut guard = replica.state.lock();
                let state = &mut *guard;
                self.check_read(state, access, timestamp)?;
                match self.enter_read(state, access, timestamp, header.txn.as_ref().map(|txn| txn.meta.id)) {
                    None => return Ok(self.view(replica, state, header, timestamp)),
                    Some(receiver) => receiver,
                }
            };
            receiver.wait(self, replica).await;
            // Having entered the cache it has nothing more to wait for; but the range may have moved.
        }
    }

    /// Enters a read into the timestamp cache, and into the waiting room if it must wait.
    fn enter_read(
        &self,
        state: &mut RangeState,
        access: &Access<'_>,
        timestamp: Timestamp,
        txn: Option<TxnId>,
    ) -> Option<ReadWait> {
        let reads = &mut state.manager.reads;
        match access {
            Access::Key(key) => reads.read_key(key, timestamp, txn),
            Access::Keys(keys) => keys.iter().for_each(|key| reads.read_key(key, timestamp, txn)),
            Access::Spans(spans) => spans.iter().for_each(|span| reads.read_span(span, timestamp, txn)),
        }
        if state.manager.latches.is_empty() {
            return None;
        }
        let (ticket, receiver) = self.ranges.room.enter();
        let latches = &mut state.manager.latches;
        let clear = match access {
            Access::Key(key) => latches.await_writers(std::iter::once(*key), &[], timestamp, None, ticket),
            Access::Keys(keys) => latches.await_writers(keys.iter(), &[], timestamp, None, ticket),
            Access::Spans(spans) => latches.await_writers(std::iter::empty(), spans, timestamp, None, ticket),
        };
        if clear {
            self.ranges.room.leave(ticket);
            return None;
        }
        Some(ReadWait { ticket, receiver })
    }

    fn check_read(
        &self,
        state: &mut RangeState,
        access: &Access<'_>,
        timestamp: Timestamp,
    ) -> Result<(), KvError> {
        state.check_lease(&self.ranges)?;
        match access {
            Access::Key(key) => state.check_key(key, &self.ranges)?,
            Access::Keys(keys) if keys.is_empty() => {}
            Access::Keys(keys) => {
                state.check_key(keys.key(0), &self.ranges)?;
                state.check_key(keys.key(keys.len() - 1), &self.ranges)?;
            }
            Access::Spans(spans) => {
                spans.iter().try_for_each(|span| state.check_span(span, &self.ranges))?;
            }
        }
        state.check_threshold(timestamp)
    }

    /// As of when is read. What this node has read off its clock when the transaction came by first rules out
    /// later values, unless another node held the lease then.
    ///
    /// Asked when the writes in the way are through, under the mutex: a split that comes later counts intents
    /// anew, and the count of the left half says nothing of the right one.
    pub(crate) fn view(
        &self,
        replica: &Replica,
        state: &RangeState,
        header: &Header,
        timestamp: Timestamp,
    ) -> ReadView {
        let intents_absent = replica.has_no_intents();
        let Some(txn) = &header.txn else { return ReadView { intents_absent, ..ReadView::at(timestamp) } };
        let observed = txn.uncertainty_limit_at(self.ranges.config.node);
        let lease_start = state.lease.map_or(Timestamp::MAX, |lease| lease.start);
        // What was observed here says nothing of values whose timestamp was given by another node's clock: those placed in an
        // earlier lease, and intents that were moved when their transaction ended.
        let is_alone = self.ranges.is_alone.load(Ordering::Relaxed);
        let foreign = if is_alone { lease_start } else { lease_start.max(state.moved_to) };
        let limit = observed.max(foreign.min(txn.uncertainty_limit));
        let is_certain = txn.uncertainty_limit <= txn.read_timestamp;
        let ignores = self.ranges.config.planted.has(Bug::IgnoreUncertainty);
        let limit = if is_certain || ignores { timestamp } else { limit.max(timestamp) };
        ReadView { timestamp, uncertainty_limit: limit, intents_absent, ..ReadView::of(txn, limit) }
    }

    /// Has what was read before changed up to the transaction's new read timestamp?
    pub async fn refresh(
        self: &Arc<Self>,
        replica: Arc<Replica>,
        header: &Header,
        request: &RefreshRequest,
    ) -> Result<BatchResponse, KvError> {
        let txn = header.txn.as_ref().ok_or_else(|| KvError::invalid("a refresh needs a transaction"))?;
        let to = txn.read_timestamp;
        if self.ranges.config.planted.has(Bug::SkipRefresh) {
            return Ok(self.respond(Response::Done, to, Timestamp::ZERO));
        }
        let mut rounds = Rounds::default();
        'again: loop {
            let view = self.sequence_read(&replica, header, &Access::Spans(&request.spans), to).await?;
            for span in &request.spans {
                match self.find_change(span, request.from, to, txn.meta.id, view.intents_absent)? {
                    None => {}
                    Some(conflict) => {
                        self.read_past(header, vec![conflict], &view, &mut rounds).await?;
                        continue 'again;
                    }
                }
            }
            break;
        }
        if !request.spans.is_empty() && !replica.state.lock().knows_changes_since(request.from) {
            let reason = RestartReason::RefreshFailed;
            return Err(KvError::Restart { reason, timestamp: to, key: None });
        }
        for claim in &request.locks {
            self.check_claim(&replica, header, claim, to).await?;
        }
        Ok(self.respond(Response::Done, to, Timestamp::ZERO))
    }

    /// A change of a span is a restart; an intent in it is given back, to be settled.
    pub(crate) fn find_change(
        &self,
        span: &Span,
        from: Timestamp,
        to: Timestamp,
        own: TxnId,
        intents_absent: bool,
    ) -> Result<Option<Conflict>, KvError> {
        let found = mvcc::find_change(&*self.ranges.engine, span, from, to, Some(own), intents_absent);
        match found.map_err(read_error)? {
            None => Ok(None),
            Some(Changed::Intent(conflict)) => Ok(Some(conflict)),
            Some(Changed::Version { key, .. }) => {
                Err(KvError::Restart { reason: RestartReason::RefreshFailed, timestamp: to, key: Some(key) })
            }
        }
    }

    /// Does a lock still hold, or has at least nothing happened to its key?
    async fn check_claim(
        self: &Arc<Self>,
        replica: &Arc<Replica>,
        header: &Header,
        claim: &LockClaim,
        to: Timestamp,
    ) -> Result<(), KvError> {
        let txn = header.txn.as_ref().ok_or_else(|| KvError::invalid("a claim needs a transaction"))?;
        let mut rounds = Rounds::default();
        loop {
            let view = self.sequence_read(replica, header, &Access::Key(&claim.key), to).await?;
            if holds(&replica.state.lock(), claim, txn.meta.id) {
                return Ok(());
            }
            let span = Span::point(claim.key.clone());
            match self.find_change(&span, claim.since, to, txn.meta.id, view.intents_absent) {
                Ok(None) if replica.state.lock().knows_changes_since(claim.since) => return Ok(()),
                Ok(None) => {
                    let (reason, key) = (RestartReason::LockLost, Some(claim.key.clone()));
                    return Err(KvError::Restart { reason, timestamp: to, key });
                }
                Ok(Some(conflict)) => self.read_past(header, vec![conflict], &view, &mut rounds).await?,
                Err(KvError::Restart { timestamp, key, .. }) => {
                    return Err(KvError::Restart { reason: RestartReason::LockLost, timestamp, key });
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// Whether the lock that a claim is about has been held here all the time. What is held under a lease that began after the claim
/// may have been lost with the one before, and taken again; what is taken from a transaction within a lease marks it as
/// aborted.
pub(crate) fn holds(state: &RangeState, claim: &LockClaim, txn: TxnId) -> bool {
    let held = state.manager.locks.held_strength(&claim.key, txn);
    let as_long = state.lease.is_some_and(|lease| lease.start <= claim.since);
    held != LockStrength::None && held >= claim.strength && as_long
}

/// A read that waits for writes in flight.
pub(crate) struct ReadWait {
    pub ticket: concurrency::Ticket,
    pub receiver: crate::wait::Receiver,
}

impl ReadWait {
    pub async fn wait(self, inner: &Inner, replica: &Replica) {
        /// Leaves when the read is abandoned.
        struct Leave<'a> {
            inner: &'a Inner,
            replica: &'a Replica,
            ticket: concurrency::Ticket,
        }
        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                self.inner.ranges.room.leave(self.ticket);
                self.replica.state.lock().manager.latches.cancel_reader(self.ticket);
            }
        }
        let _leave = Leave { inner, replica, ticket: self.ticket };
        let _step = trace::span(|| "wait for writes in flight");
        // Whoever waited looks at the lease again: what it waited for may never end if the range has lost its quorum.
        let _ = timeout(&*inner.env, LOOK_INTERVAL, self.receiver).await;
    }
}

pub(crate) fn bounds(scan: &ScanRequest) -> mvcc::Scan {
    let clamp = |bound: u64| usize::try_from(bound).unwrap_or(usize::MAX);
    mvcc::Scan {
        reverse: scan.reverse,
        rows_max: clamp(scan.rows_max),
        bytes_max: clamp(scan.bytes_max),
        bulk: false,
    }
}

pub(crate) fn check_ascending(request: &MultiGetRequest) -> Result<(), KvError> {
    if request.keys.is_strictly_ascending() {
        Ok(())
    } else {
        Err(KvError::invalid("the keys of a multi-get ascend strictly"))
    }
}

/// Garbage collection may have overtaken a read that was evaluated without latch.
pub(crate) fn check_not_collected(replica: &Replica, timestamp: Timestamp) -> Result<(), KvError> {
    if timestamp.wall > replica.gc_threshold_wall.load(Ordering::Acquire) {
        return Ok(());
    }
    let state = replica.state.lock();
    if state.merging.is_some() {
        // Whoever has absorbed the range may have collected.
        return Err(KvError::RangeNotFound { range: replica.id });
    }
    state.check_threshold(timestamp)
}

/// What a failed evaluation of a read means to whoever asked.
pub(crate) fn read_error(error: MvccError) -> KvError {
    match error {
        MvccError::Storage(error) => storage_error(error),
        MvccError::Conflicts(conflicts) => {
            KvError::IntentConflict { intents: conflicts.into_iter().map(|it| (it.key, it.txn)).collect() }
        }
        MvccError::Uncertain { key, timestamp } => {
            KvError::Restart { reason: RestartReason::Uncertainty, timestamp, key: Some(key) }
        }
        MvccError::Newer { key, timestamp } => {
            KvError::Restart { reason: RestartReason::WriteTooOld, timestamp, key: Some(key) }
        }
        MvccError::Exists { key, value } => KvError::ConditionFailed { key, value },
    }
}
