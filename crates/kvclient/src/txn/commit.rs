//! Ending a transaction.
//!
//! ```text
//!   nothing written            -> done; locks are released
//!   all writes in one range    -> one phase: one batch, one consensus round, no record, no intent
//!   several ranges             -> parallel commit: at the same time
//!                                   - to the anchor's range: its writes and a STAGING record naming the others
//!                                   - to each other range: its writes as intents
//!                                 when all are in place at or below the staged timestamp, it *is* committed;
//!                                 the record is made explicit and intents are resolved in the background
//!   very many writes           -> intents first, then an explicit commit
//! ```
//!
//! A commit timestamp above the read timestamp needs a refresh first (serializable only). In one phase the
//! server does it within the commit if it holds all that was read; otherwise it answers `Restart` with the
//! timestamp it needs, reads are refreshed from here, and the commit is sent again.
//!
//! Locks on keys that are not written must have held until the commit. In the range of a commit in one phase the server sees to it;
//! elsewhere they are verified before, up to some timestamp. Where reads are refreshed that is the read timestamp, above which
//! nothing commits. Below that level it is now, which becomes the deadline of the commit: one that is pushed higher is verified again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::{join, join_all};
use keys::{Key, Span};
use kvapi::planted::Bug;
use kvapi::{
    BatchRequest, CommitRequest, CommitResponse, Header, IntentRef, IntentUpdate, KvError, LockClaim,
    Response, RestartReason, Timestamp, TxnMeta, TxnStatus, WriteBlock,
};
use stdx::{Backoff, Prng};

use super::{Phase, State, Txn};
use crate::buffer::FlushedSpans;
use crate::db::Inner;
use crate::router::unexpected;

/// Times a commit is planned anew after a refresh.
const ATTEMPTS_MAX: u32 = 10;
/// The same after a moved range boundary, and the pauses between: some five seconds in all.
const BOUNDS_ATTEMPTS_MAX: u32 = 32;
const BOUNDS_WAIT_INITIAL: Duration = Duration::from_millis(1);
const BOUNDS_WAIT_MAX: Duration = Duration::from_millis(250);
/// Writes that a staging record may name; beyond, they are made before the commit.
const IN_FLIGHT_MAX: usize = 512;
/// Keys of a piece up to which intents are told one by one.
const INTENT_POINTS_MAX: usize = 16;

/// What a transaction has left on servers, to be cleaned up.
pub(crate) struct Leftovers {
    meta: TxnMeta,
    /// Where intents may be.
    intents: Vec<Span>,
    /// Where in-memory locks may be.
    locks: Vec<Span>,
    recorded: bool,
    status: TxnStatus,
}

impl Leftovers {
    pub(crate) fn take(state: &mut State) -> Leftovers {
        let leftovers = Leftovers {
            meta: state.txn.meta.clone(),
            intents: state.flushed.to_vec(),
            locks: state.locks.spans(),
            recorded: state.recorded,
            status: TxnStatus::Aborted,
        };
        state.flushed.clear();
        state.locks.clear();
        leftovers
    }

    fn is_empty(&self) -> bool {
        self.intents.is_empty() && self.locks.is_empty() && !self.recorded
    }
}

/// Everything a commit needs, taken from the state at one moment.
struct Plan {
    header: Header,
    writes: WriteBlock,
    reads: Vec<Span>,
    claims: Vec<LockClaim>,
    flushed: FlushedSpans,
    deadline: Option<Timestamp>,
}

impl Txn {
    /// Makes the writes permanent. Answers with the commit timestamp. After an error nothing was committed,
    /// unless its disposition is `Ambiguous`; after `Restart` the transaction can be restarted.
    pub async fn commit(&self) -> Result<Timestamp, KvError> {
        let read_only = {
            let mut state = self.shared.state.lock();
            state.check_open()?;
            state.phase = Phase::Ending;
            state.buffer.has_nothing_pending() && state.flushed.is_empty()
        };
        if read_only {
            if let Err(error) = self.check_locks_of_reads().await {
                self.shared.state.lock().phase = Phase::Open;
                return Err(error);
            }
            return Ok(self.end_without_writes().await);
        }
        let result = self.commit_writes().await;
        let mut state = self.shared.state.lock();
        match &result {
            Ok(timestamp) => {
                self.shared.db.counts.commits.fetch_add(1, Ordering::Relaxed);
                state.phase = Phase::Committed(*timestamp);
            }
            Err(error) if error.is_ambiguous() => state.phase = Phase::Unknown,
            Err(error) => {
                state.phase = Phase::Open;
                state.aborted |= matches!(error, KvError::Restart { reason: RestartReason::Aborted, .. });
            }
        }
        if state.phase != Phase::Open && state.registered {
            state.registered = false;
            self.shared.db.unregister(state.txn.id());
        }
        result
    }

    /// What was read under a lock stands for the time of the last read only if the lock has held until then. Of interest to
    /// those alone whose read timestamp has moved since.
    async fn check_locks_of_reads(&self) -> Result<(), KvError> {
        let (header, claims) = {
            let state = self.shared.state.lock();
            if !state.tracks_reads() || state.locks.is_empty() || state.planted.has(Bug::NoLostUpdateCheck) {
                return Ok(());
            }
            let moved = |claim: &LockClaim| claim.since < state.txn.read_timestamp;
            let claims: Vec<LockClaim> = state.locks.claims(|_| false).into_iter().filter(moved).collect();
            (state.write_header(), claims)
        };
        self.shared.db.router.claim(&header, &claims).await
    }

    async fn end_without_writes(&self) -> Timestamp {
        let (timestamp, leftovers) = {
            let mut state = self.shared.state.lock();
            let timestamp = state.txn.read_timestamp;
            state.phase = Phase::Committed(timestamp);
            if state.registered {
                state.registered = false;
                self.shared.db.unregister(state.txn.id());
            }
            (timestamp, Leftovers::take(&mut state))
        };
        if !leftovers.is_empty() {
            Box::pin(self.shared.db.clean_up(leftovers)).await;
        }
        timestamp
    }

    async fn commit_writes(&self) -> Result<Timestamp, KvError> {
        let (mut attempts, mut bounds) = (0, Backoff::new(BOUNDS_WAIT_INITIAL, BOUNDS_WAIT_MAX));
        loop {
            let error = match self.try_commit().await {
                Ok(timestamp) => return Ok(timestamp),
                Err(error) => error,
            };
            attempts += u32::from(!matches!(error, KvError::RangeMismatch { .. }));
            match &error {
                _ if attempts >= ATTEMPTS_MAX => return Err(error),
                KvError::RangeMismatch { .. } | KvError::Restart { .. }
                    if self.shared.state.lock().aborted =>
                {
                    let timestamp = self.shared.state.lock().txn.meta.write_timestamp;
                    return Err(KvError::Restart { reason: RestartReason::Aborted, timestamp, key: None });
                }
                KvError::RangeMismatch { .. } if bounds.attempts() < BOUNDS_ATTEMPTS_MAX => {
                    // What the addressing records say may have to catch up with a split.
                    let env = &self.shared.db.env;
                    let pause = bounds.next_wait(&mut Prng::new(env.entropy()));
                    if bounds.attempts() > 2 {
                        env.sleep(pause).await;
                    }
                }
                KvError::RangeMismatch { .. } => {
                    return Err(KvError::unavailable("the ranges that are written to cannot be found yet"));
                }
                KvError::Restart { reason: RestartReason::DeadlineExceeded, timestamp, .. }
                    if self.may_commit_above(*timestamp) => {}
                KvError::Restart {
                    reason: RestartReason::WriteTooOld | RestartReason::Uncertainty,
                    timestamp,
                    ..
                } => {
                    let timestamp = *timestamp;
                    if !self.shared.state.lock().isolation().refreshes_reads() {
                        return Err(error);
                    }
                    Box::pin(self.refresh_to(timestamp)).await?;
                }
                _ => return Err(error),
            }
        }
    }

    /// A commit was pushed above where claims were verified: whether it may go up there once they are verified again.
    fn may_commit_above(&self, timestamp: Timestamp) -> bool {
        let mut state = self.shared.state.lock();
        if state.isolation().refreshes_reads() || state.deadline.is_some_and(|deadline| timestamp >= deadline)
        {
            return false;
        }
        state.txn.meta.write_timestamp = state.txn.meta.write_timestamp.max(timestamp);
        true
    }

    /// Verifies claims that the commit does not carry. Answers with the deadline of a commit that relies on them.
    async fn verify_claims(
        &self,
        header: &Header,
        claims: &[LockClaim],
        deadline: Option<Timestamp>,
    ) -> Result<Option<Timestamp>, KvError> {
        if claims.is_empty() {
            return Ok(deadline);
        }
        let mut header = header.clone();
        let mut verified = None;
        if let Some(txn) = header.txn.as_mut().filter(|txn| !txn.meta.isolation.refreshes_reads()) {
            txn.read_timestamp = txn.meta.write_timestamp.max(self.shared.db.clock.now());
            txn.meta.write_timestamp = txn.read_timestamp;
            verified = Some(txn.read_timestamp.next());
        }
        self.shared.db.router.claim(&header, claims).await?;
        Ok([deadline, verified].into_iter().flatten().min())
    }

    async fn try_commit(&self) -> Result<Timestamp, KvError> {
        let pushed_to = {
            let state = self.shared.state.lock();
            let pushed = state.txn.meta.write_timestamp > state.txn.read_timestamp;
            (pushed && state.isolation().refreshes_reads()).then_some(state.txn.meta.write_timestamp)
        };
        if let Some(timestamp) = pushed_to {
            Box::pin(self.refresh_to(timestamp)).await?;
        }
        let plan = self.plan();
        let router = &self.shared.db.router;
        if plan.flushed.is_empty() && !plan.writes.is_empty() {
            let route = router.route(plan.writes.key(0)).await?;
            let span = &route.descriptor.span;
            if span.contains(plan.writes.key(plan.writes.len() - 1)) {
                let span = span.clone();
                return self.commit_in_one_phase(plan, &span).await;
            }
        }
        Box::pin(self.commit_in_parallel(plan)).await
    }

    fn plan(&self) -> Plan {
        let mut state = self.shared.state.lock();
        let writes = state.buffer.pending();
        if !writes.is_empty() {
            state.anchor_at(writes.key(0), &self.shared.db.clock);
            state.attempt_writes(&writes);
        }
        let reads = if state.tracks_reads() { state.reads.spans().to_vec() } else { Vec::new() };
        let claims = if state.locks.is_empty() || state.planted.has(Bug::NoLostUpdateCheck) {
            Vec::new()
        } else {
            let written = |key: &Key| {
                let index = writes.lower_bound(key);
                index < writes.len() && writes.key(index) == &key[..]
            };
            state.locks.claims(written)
        };
        Plan {
            header: state.write_header(),
            writes,
            reads,
            claims,
            flushed: state.flushed.clone(),
            deadline: state.deadline,
        }
    }

    async fn commit_in_one_phase(&self, mut plan: Plan, range: &Span) -> Result<Timestamp, KvError> {
        let key = Key::copy_from(plan.writes.key(0));
        let (claims, elsewhere): (Vec<_>, Vec<_>) =
            plan.claims.into_iter().partition(|claim| range.contains(&claim.key));
        let deadline = match &elsewhere[..] {
            [] => plan.deadline,
            claims => Box::pin(self.verify_claims(&plan.header, claims, plan.deadline)).await?,
        };
        let all = plan.reads.len();
        plan.reads.retain(|span| range.contains_span(span));
        let request = CommitRequest {
            commit: true,
            writes: plan.writes,
            one_phase: true,
            in_flight: Vec::new(),
            intents: Vec::new(),
            locks: claims,
            refresh_is_complete: plan.reads.len() == all && elsewhere.is_empty(),
            refresh: plan.reads,
            deadline,
        };
        self.count_round();
        let response = self.send_commit(&key, plan.header, request).await?;
        if response.status != TxnStatus::Committed {
            return Err(KvError::corruption("a commit in one phase was answered otherwise"));
        }
        self.release_elsewhere(range);
        Ok(response.timestamp)
    }

    /// A step of a commit begins that waits for a round of consensus, in one range or in several at the same time.
    fn count_round(&self) {
        self.shared.db.counts.rounds.fetch_add(1, Ordering::Relaxed);
    }

    async fn send_commit(
        &self,
        key: &[u8],
        header: Header,
        request: CommitRequest,
    ) -> Result<CommitResponse, KvError> {
        let mut batch = BatchRequest::new(header, request);
        let mut response = self.shared.db.router.send_to(key, &mut batch).await?;
        match response.responses.pop() {
            Some(Response::Commit(response)) => Ok(response),
            other => Err(unexpected(other)),
        }
    }

    /// After a commit in one phase the range has released its locks; others are told in the background.
    fn release_elsewhere(&self, range: &Span) {
        let leftovers = {
            let mut state = self.shared.state.lock();
            if !state.recorded && state.locks.is_inside(range) {
                state.locks.clear();
                return;
            }
            Leftovers { status: TxnStatus::Committed, ..Leftovers::take(&mut state) }
        };
        self.shared.db.clone().spawn_clean_up(leftovers);
    }

    async fn commit_in_parallel(&self, mut plan: Plan) -> Result<Timestamp, KvError> {
        self.show_life(&anchor_of(&plan.header)?).await?;
        let anchor = anchor_of(&plan.header)?;
        let mut pieces = self.shared.db.router.cut_writes(&plan.writes).await?;
        let mut local = WriteBlock::new();
        let elsewhere: usize = pieces.iter().map(|piece| piece.len()).sum();
        if elsewhere > IN_FLIGHT_MAX {
            // Too many to name: make them first, all as intents, then commit explicitly.
            self.count_round();
            self.flush().await?;
            plan = self.plan();
            pieces.clear();
            if self.needs_refresh() {
                return Err(KvError::Restart {
                    reason: RestartReason::WriteTooOld,
                    timestamp: self.shared.state.lock().txn.meta.write_timestamp,
                    key: None,
                });
            }
        }
        let deadline = self.verify_claims(&plan.header, &plan.claims, plan.deadline).await?;
        if let Some(own) = self.piece_with(&plan.writes, &pieces, &anchor).await? {
            local = plan.writes.slice(pieces.remove(own));
        }
        let remote: Vec<WriteBlock> = pieces.into_iter().map(|piece| plan.writes.slice(piece)).collect();
        let intents = intent_spans(&plan.flushed, &local, &remote);
        let in_flight = in_flight_of(&remote);
        let stages = !in_flight.is_empty();
        let request = CommitRequest {
            commit: true,
            writes: local,
            one_phase: false,
            in_flight,
            intents: intents.clone(),
            locks: Vec::new(),
            refresh: Vec::new(),
            refresh_is_complete: false,
            deadline,
        };
        {
            let mut state = self.shared.state.lock();
            state.recorded = true;
            for span in &intents {
                state.flushed.add(span.clone());
            }
        }
        let header = &plan.header;
        let router = &self.shared.db.router;
        self.count_round();
        let commit = self.send_commit(&anchor, header.clone(), request.clone());
        let unanswered = AtomicBool::new(false);
        let writes = join_all(remote.into_iter().map(|piece| router.write_piece(header, piece, &unanswered)));
        let (committed, written) = join(commit, writes).await;
        if unanswered.load(Ordering::Relaxed) {
            self.shared.state.lock().doubt(&plan.writes);
        }
        // Refused for certain, it left no staging record: the same commit can be tried again at another timestamp.
        let may_stage = committed.as_ref().map_or_else(KvError::is_ambiguous, |_| true);
        let outcome = self.settle_parallel(committed, written, &anchor, &plan, request).await;
        match outcome {
            Ok(timestamp) => {
                self.finish_parallel(timestamp, stages, anchor, intents);
                Ok(timestamp)
            }
            Err(Unsettled { error, may_be_committed }) => {
                if !may_stage || error.is_ambiguous() {
                    return Err(error);
                }
                match self.abort_staged(may_be_committed).await {
                    // Somebody has found all writes in place and made the commit explicit.
                    Ok(CommitResponse { status: TxnStatus::Committed, timestamp }) => {
                        self.finish_parallel(timestamp, false, anchor, intents);
                        Ok(timestamp)
                    }
                    Ok(_) => Err(error),
                    Err(unknown) if may_be_committed => Err(KvError::ambiguous(unknown.to_string())),
                    Err(_) => Err(error),
                }
            }
        }
    }

    /// Which of the pieces goes along with the commit: the one in the anchor's range.
    async fn piece_with(
        &self,
        writes: &WriteBlock,
        pieces: &[std::ops::Range<usize>],
        anchor: &Key,
    ) -> Result<Option<usize>, KvError> {
        let route = self.shared.db.router.route(anchor).await?;
        Ok(pieces.iter().position(|piece| {
            route.descriptor.contains(writes.key(piece.start))
                && route.descriptor.contains(writes.key(piece.end - 1))
        }))
    }

    fn needs_refresh(&self) -> bool {
        let state = self.shared.state.lock();
        state.isolation().refreshes_reads() && state.txn.meta.write_timestamp > state.txn.read_timestamp
    }

    /// Everything was answered: is it committed, and at which timestamp? Commits again, explicitly, when a
    /// write was pushed above the staged timestamp.
    async fn settle_parallel(
        &self,
        committed: Result<CommitResponse, KvError>,
        written: Vec<Result<Timestamp, KvError>>,
        anchor: &Key,
        plan: &Plan,
        request: CommitRequest,
    ) -> Result<Timestamp, Unsettled> {
        let mut highest = Timestamp::ZERO;
        let mut failure: Option<KvError> = None;
        for result in written {
            match result {
                Ok(timestamp) => highest = highest.max(timestamp),
                // One write that is known to be missing keeps the staging from being a commit, whatever is unknown of others.
                Err(error) if failure.as_ref().is_none_or(KvError::is_ambiguous) => failure = Some(error),
                Err(_) => {}
            }
        }
        let committed = match (committed, failure) {
            (Ok(committed), None) => committed,
            // The staging may have happened, and with all writes in place it would be a commit.
            (Err(error), None) => return Err(error.into()),
            // The write may be there, or may yet come: only the end of the record rules out that this is a commit.
            (_, Some(KvError::Ambiguous { reason })) => {
                return Err(Unsettled { error: KvError::Unavailable { reason }, may_be_committed: true });
            }
            (_, Some(error)) => return Err(error.into()),
        };
        if committed.status == TxnStatus::Committed || highest <= committed.timestamp {
            return Ok(committed.timestamp);
        }
        Ok(self.commit_above(highest, anchor, plan, request).await?)
    }

    /// A write was pushed above the staged timestamp: commits explicitly, there.
    async fn commit_above(
        &self,
        highest: Timestamp,
        anchor: &Key,
        plan: &Plan,
        request: CommitRequest,
    ) -> Result<Timestamp, KvError> {
        self.shared.state.lock().txn.meta.write_timestamp = highest;
        if self.needs_refresh() {
            self.refresh_to(highest).await?;
        }
        let mut header = plan.header.clone();
        if let Some(txn) = &mut header.txn {
            txn.meta.write_timestamp = highest;
            txn.read_timestamp = txn.read_timestamp.max(self.shared.state.lock().txn.read_timestamp);
        }
        let deadline = self.verify_claims(&header, &plan.claims, plan.deadline).await?;
        let explicit =
            CommitRequest { writes: WriteBlock::new(), in_flight: Vec::new(), deadline, ..request };
        self.count_round();
        Ok(self.send_commit(anchor, header, explicit).await?.timestamp)
    }

    /// Makes an implicit commit explicit, which also resolves intents, and releases locks elsewhere.
    fn finish_parallel(&self, timestamp: Timestamp, stages: bool, anchor: Key, intents: Vec<Span>) {
        let (mut header, leftovers) = {
            let mut state = self.shared.state.lock();
            state.txn.meta.write_timestamp = timestamp;
            let header = state.write_header();
            state.flushed.clear();
            state.recorded = false;
            (header, Leftovers { status: TxnStatus::Committed, ..Leftovers::take(&mut state) })
        };
        if let Some(txn) = &mut header.txn {
            txn.read_timestamp = timestamp;
        }
        let db = self.shared.db.clone();
        let explicit = stages.then(|| CommitRequest {
            commit: true,
            writes: WriteBlock::new(),
            one_phase: false,
            in_flight: Vec::new(),
            intents,
            locks: Vec::new(),
            refresh: Vec::new(),
            refresh_is_complete: false,
            deadline: None,
        });
        let env = db.env.clone();
        drop(env.spawn(
            "finish-commit",
            Box::pin(async move {
                if let Some(explicit) = explicit {
                    let mut batch = BatchRequest::new(header, explicit);
                    if let Err(error) = db.router.send_to(&anchor, &mut batch).await {
                        // Whoever meets the record finds the transaction committed and finishes it. For that all intents must still
                        // be there: releasing locks would resolve those it meets, and the transaction would pass for aborted.
                        tracing::debug!(%error, "a commit was left staging");
                        return;
                    }
                }
                db.clean_up(leftovers).await;
            }),
        ));
    }

    /// A parallel commit failed: take the record and the intents back before anything else is tried under this identity. Answers
    /// with what the record says in the end.
    async fn abort_staged(&self, may_be_committed: bool) -> Result<CommitResponse, KvError> {
        let leftovers = {
            let mut state = self.shared.state.lock();
            state.aborted = true;
            Leftovers::take(&mut state)
        };
        let ended = self.shared.db.end_record(&leftovers).await;
        match &ended {
            Ok(Some(ended)) => {
                let leftovers = Leftovers { status: ended.status, ..leftovers };
                self.shared.db.release_locks(leftovers).await;
            }
            // Whoever finds out what has become of it releases them.
            Err(_) if may_be_committed => {}
            Ok(None) | Err(_) => self.shared.db.release_locks(leftovers).await,
        }
        ended?.ok_or_else(|| KvError::corruption("a staged commit has no record to end"))
    }

    /// Gives everything up. Never fails: what cannot be cleaned up now is found by others later.
    pub async fn rollback(&self) {
        let leftovers = {
            let mut state = self.shared.state.lock();
            if state.phase != Phase::Open {
                return;
            }
            state.phase = Phase::RolledBack;
            state.buffer.clear();
            state.reads.clear();
            if state.registered {
                state.registered = false;
                self.shared.db.unregister(state.txn.id());
            }
            Leftovers::take(&mut state)
        };
        if !leftovers.is_empty() {
            Box::pin(self.shared.db.clean_up(leftovers)).await;
        }
    }
}

/// A parallel commit that did not go through.
struct Unsettled {
    error: KvError,
    /// Unless its record is ended otherwise, it may be a commit all the same.
    may_be_committed: bool,
}

impl From<KvError> for Unsettled {
    fn from(error: KvError) -> Unsettled {
        Unsettled { error, may_be_committed: false }
    }
}

fn anchor_of(header: &Header) -> Result<Key, KvError> {
    let anchor = header.txn.as_ref().and_then(|txn| txn.meta.anchor.clone());
    anchor.ok_or_else(|| KvError::invalid("a transaction that writes has an anchor"))
}

fn in_flight_of(remote: &[WriteBlock]) -> Vec<IntentRef> {
    let writes = remote.iter().flat_map(|piece| piece.iter());
    writes.map(|write| IntentRef { key: Key::copy_from(write.key), sequence: write.sequence }).collect()
}

fn intent_spans(flushed: &FlushedSpans, local: &WriteBlock, remote: &[WriteBlock]) -> Vec<Span> {
    let mut spans = flushed.clone();
    for piece in std::iter::once(local).chain(remote).filter(|piece| !piece.is_empty()) {
        if piece.len() <= INTENT_POINTS_MAX {
            piece.keys().for_each(|key| spans.add(Span::point(Key::copy_from(key))));
        } else {
            let end = Key::copy_from(piece.key(piece.len() - 1)).next();
            spans.add(Span { start: Key::copy_from(piece.key(0)), end });
        }
    }
    spans.to_vec()
}

impl Inner {
    /// Aborts or finishes what a transaction has left. Failures are left to those who meet it.
    pub(crate) async fn clean_up(&self, leftovers: Leftovers) {
        // After a commit in one phase this removes a record that only heartbeats had made.
        if let Err(error) = self.end_record(&leftovers).await {
            tracing::debug!(%error, "a record was left behind");
        }
        self.release_locks(leftovers).await;
    }

    /// Aborts at the record, if there may be one. Answers with what it says in the end.
    async fn end_record(&self, leftovers: &Leftovers) -> Result<Option<CommitResponse>, KvError> {
        let Leftovers { meta, intents, recorded, .. } = leftovers;
        if (*recorded || !intents.is_empty())
            && let Some(anchor) = meta.anchor.clone()
        {
            let mut header = Header::default();
            header.txn = Some(kvapi::Txn {
                read_timestamp: meta.write_timestamp,
                read_sequence: meta.sequence,
                uncertainty_limit: meta.write_timestamp,
                observed: Default::default(),
                meta: meta.clone(),
            });
            let abort = CommitRequest {
                commit: false,
                writes: WriteBlock::new(),
                one_phase: false,
                in_flight: Vec::new(),
                intents: intents.clone(),
                locks: Vec::new(),
                refresh: Vec::new(),
                refresh_is_complete: false,
                deadline: None,
            };
            let mut response = self.router.send_to(&anchor, &mut BatchRequest::new(header, abort)).await?;
            return match response.responses.pop() {
                Some(Response::Commit(response)) => Ok(Some(response)),
                other => Err(unexpected(other)),
            };
        }
        Ok(None)
    }

    async fn release_locks(&self, leftovers: Leftovers) {
        let Leftovers { meta, locks, status, .. } = leftovers;
        if !locks.is_empty() {
            let update = IntentUpdate { span: Span::default(), txn: meta, status };
            if let Err(error) = self.router.resolve(&locks, &update).await {
                tracing::debug!(%error, "locks were left behind");
            }
        }
    }

    pub(crate) fn spawn_clean_up(self: std::sync::Arc<Self>, leftovers: Leftovers) {
        if leftovers.is_empty() {
            return;
        }
        let env = self.env.clone();
        drop(env.spawn("clean-up-transaction", Box::pin(async move { self.clean_up(leftovers).await })));
    }
}
