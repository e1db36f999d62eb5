//! Transaction records: heartbeats, pushes, staging, ends, recovery.
//!
//! A record lies beside the transaction's anchor key and is read and written under a latch on its own key. It exists only for
//! transactions that need one: long ones (heartbeats) and those that commit in several ranges. For the others the leaseholder keeps
//! marks in memory; see `marks`.
//!
//! ```text
//!   (none) --heartbeat--> Pending --stage--> Staging --all writes there--> Committed --resolved--> (none)
//!     |                      |                  |
//!     |---stage/commit-------'                  '--a write is missing, coordinator gone--> Aborted
//!     '---expired, pushed--> Aborted
//! ```

use std::sync::Arc;
use std::time::Duration;

use clock::Timestamp;
use futures::future::join_all;
use keys::{Key, Span, local};
use kvapi::planted::Bug;
use kvapi::{
    BatchResponse, CommitRequest, CommitResponse, ForgetTxnRequest, Header, HeartbeatTxnRequest, KvError,
    PushKind, PushTxnRequest, QueryIntentRequest, QueryTxnRequest, RecoverTxnRequest, Response,
    RestartReason, Txn, TxnMeta, TxnRecord, TxnStanding, TxnStatus,
};
use storage::mvcc::{self, Resolution, Statistics};
use storage::{Keyspace, WriteBatch};

use crate::command::Effects;
use crate::commit::check_deadline;
use crate::conflict::anchor_of;
use crate::marks::Mark;
use crate::read::{Access, read_error};
use crate::replica::{Ended, Replica};
use crate::store::{Inner, storage_error};
use crate::write::{Sequenced, Writer};

/// Intents of before that one end resolves in its own batch.
const LOCAL_POINTS_MAX: usize = 128;
/// A transaction whose coordinator has been silent for this long is taken for dead; see `signs` for how that is measured. One of an
/// earlier process of this node is known to be dead at once.
const EXPIRY: Duration = Duration::from_secs(3);

/// Records made before a lease moves.
const RECORDED_AT_ONCE_MAX: usize = 1024;

pub(crate) fn record_key(txn: &TxnMeta, anchor: &[u8]) -> Key {
    local::transaction_record(anchor, &txn.id.to_bytes())
}

/// What is known of a transaction without record.
enum Unrecorded {
    Ended(TxnStatus, Timestamp),
    /// May make a record; must be placed above the timestamp.
    Open(Timestamp),
}

impl Inner {
    fn load_record(&self, key: &Key) -> Result<Option<TxnRecord>, KvError> {
        let stored = self.ranges.engine.get(Keyspace::RangeLocal, key).map_err(storage_error)?;
        let Some(stored) = stored else { return Ok(None) };
        let record = TxnRecord::decode(&stored);
        record
            .map(Some)
            .map_err(|error| KvError::corruption(format!("the transaction record {key}: {error}")))
    }

    /// Whether the range has forgotten what, if anything, became of the transaction.
    fn is_forgotten(&self, replica: &Replica, txn: &TxnMeta) -> bool {
        let state = replica.state.lock();
        state.marks.get(txn.id).is_none() && !state.marks.knows(txn)
    }

    fn unrecorded(&self, replica: &Replica, txn: &TxnMeta) -> Unrecorded {
        let state = replica.state.lock();
        match state.marks.get(txn.id) {
            Some(Mark::Committed(timestamp)) => Unrecorded::Ended(TxnStatus::Committed, timestamp),
            Some(Mark::Aborted) => Unrecorded::Ended(TxnStatus::Aborted, txn.write_timestamp),
            Some(Mark::PushedTo(timestamp)) => Unrecorded::Open(timestamp),
            None if !state.marks.knows(txn) => Unrecorded::Ended(TxnStatus::Aborted, txn.write_timestamp),
            None => Unrecorded::Open(Timestamp::ZERO),
        }
    }

    /// Whether the coordinator of a transaction without record is taken for dead: its process is gone, or has been silent for too long.
    fn has_expired(&self, txn: &TxnMeta) -> bool {
        self.is_orphaned(txn) || self.silence(txn) > EXPIRY
    }

    fn has_record_expired(&self, record: &TxnRecord) -> bool {
        self.is_orphaned(&record.meta) || self.silence_of_record(record) > EXPIRY
    }

    /// For how long a transaction has been known here without giving a sign of life.
    pub(crate) fn silence(&self, txn: &TxnMeta) -> Duration {
        self.signs.silence(txn.id, txn.start, Duration::ZERO, self.env.monotonic())
    }

    /// How long ago the last sign of life that a record tells of has come.
    pub(crate) fn silence_of_record(&self, record: &TxnRecord) -> Duration {
        let credit = self.ranges.clock.now().wall_since(record.heartbeat);
        self.signs.silence(record.meta.id, record.heartbeat, credit, self.env.monotonic())
    }

    /// A sign of life has come in and is about to be recorded.
    fn note_sign(&self, record: &TxnRecord) {
        self.signs.silence(record.meta.id, record.heartbeat, Duration::ZERO, self.env.monotonic());
    }

    fn standing(txn: TxnMeta, status: TxnStatus, recorded: bool) -> TxnStanding {
        TxnStanding { txn, status, recorded, expired: false, in_flight: Vec::new() }
    }

    fn standing_of(record: TxnRecord, expired: bool) -> TxnStanding {
        let TxnRecord { meta, status, in_flight, .. } = record;
        TxnStanding { txn: meta, status, recorded: true, expired, in_flight }
    }

    fn answer(&self, standing: TxnStanding) -> BatchResponse {
        self.respond(Response::Txn(standing), Timestamp::ZERO, Timestamp::ZERO)
    }

    async fn write_record(
        &self,
        replica: &Arc<Replica>,
        sequenced: Sequenced,
        key: &Key,
        record: &TxnRecord,
    ) -> Result<(), KvError> {
        let mut batch = WriteBatch::new();
        batch.put(Keyspace::RangeLocal, key, &record.encode());
        self.replicate(replica, sequenced, Statistics::default(), Effects::default(), &batch, None).await
    }

    pub async fn heartbeat(
        self: &Arc<Self>,
        replica: Arc<Replica>,
        header: &Header,
        request: &HeartbeatTxnRequest,
    ) -> Result<BatchResponse, KvError> {
        let txn = header.txn.as_ref().ok_or_else(|| KvError::invalid("a heartbeat needs a transaction"))?;
        self.record_life(&replica, &txn.meta, request.now).await.map(|standing| self.answer(standing))
    }

    /// Writes down that a transaction was alive at a time, unless it has ended.
    async fn record_life(
        self: &Arc<Self>,
        replica: &Arc<Replica>,
        txn: &TxnMeta,
        at: Timestamp,
    ) -> Result<TxnStanding, KvError> {
        let anchor = anchor_of(txn)?;
        let key = record_key(txn, &anchor);
        let sequenced = self.latch_record(replica, &anchor, &key).await?;
        let record = match self.load_record(&key)? {
            Some(record) if record.status != TxnStatus::Pending || record.heartbeat >= at => {
                return Ok(Inner::standing_of(record, false));
            }
            Some(record) => TxnRecord { heartbeat: at, ..record },
            None => match self.unrecorded(replica, txn) {
                Unrecorded::Ended(status, timestamp) => {
                    let meta = TxnMeta { write_timestamp: timestamp, ..txn.clone() };
                    return Ok(Inner::standing(meta, status, false));
                }
                Unrecorded::Open(above) => TxnRecord {
                    meta: TxnMeta { write_timestamp: txn.write_timestamp.max(above), ..txn.clone() },
                    status: TxnStatus::Pending,
                    heartbeat: at,
                    in_flight: Vec::new(),
                    intents: Vec::new(),
                },
            },
        };
        self.note_sign(&record);
        self.write_record(replica, sequenced, &key, &record).await?;
        Ok(Inner::standing_of(record, false))
    }

    /// Makes records of the transactions that are anchored in the range, hold locks in it and have none yet: whoever takes the lease
    /// next knows of them by these alone, and would have to take them for ended. As many as find room: the others start over.
    pub(crate) async fn record_open(self: &Arc<Self>, replica: &Arc<Replica>) {
        let mut open = {
            let state = replica.state.lock();
            let mut holders = state.manager.locks.holders();
            holders.retain(|txn| txn.anchor.as_ref().is_some_and(|anchor| state.descriptor.contains(anchor)));
            holders
        };
        open.retain(|txn| !self.has_expired(txn));
        open.truncate(RECORDED_AT_ONCE_MAX);
        let records = open.iter().map(|txn| self.record_life(replica, txn, txn.start));
        for error in join_all(records).await.into_iter().filter_map(Result::err) {
            tracing::debug!(%error, range = %replica.id, "an open transaction may have to start over");
        }
    }

    pub async fn push(
        self: &Arc<Self>,
        replica: Arc<Replica>,
        request: &PushTxnRequest,
    ) -> Result<BatchResponse, KvError> {
        let anchor = anchor_of(&request.pushee)?;
        let key = record_key(&request.pushee, &anchor);
        let sequenced = self.latch_record(&replica, &anchor, &key).await?;
        let standing = match self.load_record(&key)? {
            None => self.push_unrecorded(&replica, request),
            Some(record) => self.push_recorded(&replica, request, record, sequenced, &key).await?,
        };
        Ok(self.answer(standing))
    }

    fn push_unrecorded(&self, replica: &Replica, request: &PushTxnRequest) -> TxnStanding {
        let pushee = &request.pushee;
        if let Unrecorded::Ended(status, timestamp) = self.unrecorded(replica, pushee) {
            let meta = TxnMeta { write_timestamp: timestamp, ..pushee.clone() };
            return Inner::standing(meta, status, false);
        }
        let expired = self.has_expired(pushee);
        let mut state = replica.state.lock();
        if expired || gives_in(request, pushee) {
            state.marks.set(pushee.id, pushee.start, Mark::Aborted);
            return Inner::standing(pushee.clone(), TxnStatus::Aborted, false);
        }
        let mut meta = pushee.clone();
        if request.kind == PushKind::Timestamp {
            let above = request.push_to.next();
            state.marks.set(pushee.id, pushee.start, Mark::PushedTo(above));
            meta.write_timestamp = meta.write_timestamp.max(above);
        }
        Inner::standing(meta, TxnStatus::Pending, false)
    }

    async fn push_recorded(
        &self,
        replica: &Arc<Replica>,
        request: &PushTxnRequest,
        mut record: TxnRecord,
        sequenced: Sequenced,
        key: &Key,
    ) -> Result<TxnStanding, KvError> {
        let expired = self.has_record_expired(&record);
        if record.status != TxnStatus::Pending {
            return Ok(Inner::standing_of(record, expired));
        }
        if expired || gives_in(request, &record.meta) {
            record.status = TxnStatus::Aborted;
        } else if request.kind == PushKind::Timestamp && record.meta.write_timestamp <= request.push_to {
            record.meta.write_timestamp = request.push_to.next();
        } else {
            return Ok(Inner::standing_of(record, expired));
        }
        self.write_record(replica, sequenced, key, &record).await?;
        Ok(Inner::standing_of(record, expired))
    }

    pub async fn query(
        self: &Arc<Self>,
        replica: Arc<Replica>,
        request: &QueryTxnRequest,
    ) -> Result<BatchResponse, KvError> {
        let anchor = anchor_of(&request.txn)?;
        let key = record_key(&request.txn, &anchor);
        let _sequenced = self.latch_record(&replica, &anchor, &key).await?;
        let standing = match self.load_record(&key)? {
            Some(record) => {
                let expired = self.has_record_expired(&record);
                Inner::standing_of(record, expired)
            }
            None => match self.unrecorded(&replica, &request.txn) {
                Unrecorded::Ended(status, timestamp) => Inner::standing(
                    TxnMeta { write_timestamp: timestamp, ..request.txn.clone() },
                    status,
                    false,
                ),
                Unrecorded::Open(_) => Inner::standing(request.txn.clone(), TxnStatus::Pending, false),
            },
        };
        Ok(self.answer(standing))
    }

    /// Is a write of a staging transaction there? If not, entering a read at its timestamp keeps it from being made.
    pub async fn query_intent(
        self: &Arc<Self>,
        replica: Arc<Replica>,
        request: &QueryIntentRequest,
    ) -> Result<BatchResponse, KvError> {
        let (key, at) = (&request.intent.key, request.txn.write_timestamp);
        self.sequence_read(&replica, &Header::default(), &Access::Key(key), at).await?;
        let found = mvcc::find_intent(&*self.ranges.engine, key).map_err(storage_error)?;
        let found = found.is_some_and(|intent| {
            intent.txn.id == request.txn.id
                && intent.txn.sequence >= request.intent.sequence
                && intent.txn.write_timestamp <= at
        });
        Ok(self.respond(Response::QueryIntent(found), at, Timestamp::ZERO))
    }

    pub async fn recover_record(
        self: &Arc<Self>,
        replica: Arc<Replica>,
        request: &RecoverTxnRequest,
    ) -> Result<BatchResponse, KvError> {
        let anchor = anchor_of(&request.txn)?;
        let key = record_key(&request.txn, &anchor);
        let sequenced = self.latch_record(&replica, &anchor, &key).await?;
        let Some(mut record) = self.load_record(&key)? else {
            // Finished and removed in the meantime; what is remembered of it decides.
            let standing = match self.unrecorded(&replica, &request.txn) {
                Unrecorded::Ended(status, timestamp) => Inner::standing(
                    TxnMeta { write_timestamp: timestamp, ..request.txn.clone() },
                    status,
                    false,
                ),
                Unrecorded::Open(_) => Inner::standing(request.txn.clone(), TxnStatus::Aborted, false),
            };
            return Ok(self.answer(standing));
        };
        let same = record.meta.write_timestamp == request.txn.write_timestamp
            && record.meta.epoch == request.txn.epoch;
        if record.status != TxnStatus::Staging || !(same || request.implicitly_committed) {
            return Ok(self.answer(Inner::standing_of(record, false)));
        }
        record.status = if request.implicitly_committed { TxnStatus::Committed } else { TxnStatus::Aborted };
        record.in_flight.clear();
        self.write_record(&replica, sequenced, &key, &record).await?;
        self.finish_later(&record, &anchor);
        Ok(self.answer(Inner::standing_of(record, false)))
    }

    /// Ends a transaction that has, or may have, intents: stages it, commits it explicitly, or aborts it.
    pub async fn end_transaction(
        self: &Arc<Self>,
        replica: Arc<Replica>,
        header: &Header,
        request: &CommitRequest,
    ) -> Result<BatchResponse, KvError> {
        let txn = header.txn.as_ref().ok_or_else(|| KvError::invalid("a commit needs a transaction"))?;
        let anchor = anchor_of(&txn.meta)?;
        replica.state.lock().check_key(&anchor, &self.ranges)?;
        let key = record_key(&txn.meta, &anchor);
        let writer = Writer { meta: txn.meta.clone(), is_txn: true };
        let (here, mut sequenced, prepared) = loop {
            let here = self.local_points(&replica, request);
            let mut extra: Vec<&[u8]> = here.iter().map(|key| &key[..]).collect();
            extra.push(&key);
            let (sequenced, prepared) =
                self.prepare(&replica, header, &writer, &request.writes, &extra).await?;
            let descriptor = {
                let state = replica.state.lock();
                state.check_key(&anchor, &self.ranges)?;
                state.descriptor.clone()
            };
            // A split may have passed while the latches were waited for.
            if here.iter().all(|key| descriptor.contains(key))
                || self.ranges.config.planted.has(Bug::NoBoundsAfterLatches)
            {
                break (here, sequenced, prepared);
            }
        };
        let record = self.load_record(&key)?;
        let is_forgotten = record.is_none() && !request.commit && self.is_forgotten(&replica, &txn.meta);
        let above = match self.may_end(&replica, txn, request, &record)? {
            MayEnd::Answer(response) => return Ok(self.end_response(response)),
            MayEnd::Above(timestamp) => timestamp,
        };
        if request.commit {
            let staged = record.as_ref().filter(|record| record.status == TxnStatus::Staging);
            sequenced.timestamp = match staged {
                // It may be committed already, at exactly this timestamp: it is not moved for readers any more.
                Some(_) => txn.meta.write_timestamp,
                None => sequenced.timestamp.max(above),
            };
            if sequenced.timestamp > txn.read_timestamp && txn.meta.isolation.refreshes_reads() {
                let (reason, timestamp) = (RestartReason::WriteTooOld, sequenced.timestamp);
                return Err(KvError::Restart { reason, timestamp, key: None });
            }
            check_deadline(request, sequenced.timestamp)?;
        }
        let meta = TxnMeta { write_timestamp: sequenced.timestamp, ..txn.meta.clone() };
        let mut batch = WriteBatch::with_capacity(2 * request.writes.byte_size() + 256);
        let mut delta = Statistics::default();
        let status = match (request.commit, request.in_flight.is_empty()) {
            (false, _) => TxnStatus::Aborted,
            (true, true) => TxnStatus::Committed,
            (true, false) => TxnStatus::Staging,
        };
        match status {
            TxnStatus::Staging => prepared.place_intents(&meta, &mut batch, &mut delta),
            TxnStatus::Committed => prepared.commit(meta.write_timestamp, &mut batch, &mut delta),
            _ => {}
        }
        let rest = if status.is_final() {
            self.resolve_local(&here, &meta, status, request, &mut batch, &mut delta)?
        } else {
            request.intents.clone()
        };
        let record = TxnRecord {
            heartbeat: self.ranges.clock.now(),
            in_flight: request.in_flight.clone(),
            intents: rest,
            status,
            meta,
        };
        let ended = self.put_end(&replica, sequenced, &key, record, batch, delta, &anchor).await;
        if is_forgotten {
            // It is at its end now. But it may have come to another before: staged, found committed, finished and forgotten.
            return Err(KvError::ambiguous(
                "what had become of the transaction is not remembered".to_string(),
            ));
        }
        ended
    }

    #[allow(clippy::too_many_arguments)]
    async fn put_end(
        self: &Arc<Self>,
        replica: &Arc<Replica>,
        sequenced: Sequenced,
        key: &Key,
        record: TxnRecord,
        mut batch: WriteBatch,
        delta: Statistics,
        anchor: &Key,
    ) -> Result<BatchResponse, KvError> {
        let finished = record.status.is_final() && record.intents.is_empty();
        if finished {
            batch.delete(Keyspace::RangeLocal, key);
        } else {
            batch.put(Keyspace::RangeLocal, key, &record.encode());
        }
        let mark = match record.status {
            TxnStatus::Committed => Some(Mark::Committed(record.meta.write_timestamp)),
            TxnStatus::Aborted => Some(Mark::Aborted),
            TxnStatus::Pending | TxnStatus::Staging => None,
        };
        let ended = mark.map(|mark| Ended { id: record.meta.id, start: record.meta.start, mark: Some(mark) });
        if ended.is_none() {
            self.note_sign(&record);
        }
        self.replicate(replica, sequenced, delta, Effects::default(), &batch, ended).await?;
        if finished {
            self.signs.forget(record.meta.id);
        }
        let response = CommitResponse { status: record.status, timestamp: record.meta.write_timestamp };
        if record.status.is_final() && !finished {
            self.finish_later(&record, anchor);
        }
        Ok(self.end_response(response))
    }

    fn end_response(&self, response: CommitResponse) -> BatchResponse {
        self.respond(Response::Commit(response), Timestamp::ZERO, response.timestamp)
    }

    /// Whether what is known of the transaction lets it end in the way asked for.
    fn may_end(
        &self,
        replica: &Replica,
        txn: &Txn,
        request: &CommitRequest,
        record: &Option<TxnRecord>,
    ) -> Result<MayEnd, KvError> {
        let aborted = || KvError::Restart {
            reason: RestartReason::Aborted,
            timestamp: txn.meta.write_timestamp,
            key: None,
        };
        let (status, timestamp) = match record {
            Some(record) => (record.status, record.meta.write_timestamp),
            None => match self.unrecorded(replica, &txn.meta) {
                Unrecorded::Ended(status, timestamp) => (status, timestamp),
                Unrecorded::Open(above) => return Ok(MayEnd::Above(above)),
            },
        };
        match status {
            TxnStatus::Pending => Ok(MayEnd::Above(timestamp)),
            TxnStatus::Staging if request.commit => Ok(MayEnd::Above(timestamp)),
            TxnStatus::Staging => Ok(MayEnd::Above(Timestamp::ZERO)),
            // Committing twice commits once. An abort after a commit comes from cleaning up: there is nothing to do.
            TxnStatus::Committed => Ok(MayEnd::Answer(CommitResponse { status, timestamp })),
            TxnStatus::Aborted if request.commit => Err(aborted()),
            // Intents may still be there: abort again. The record may name fewer.
            TxnStatus::Aborted => Ok(MayEnd::Above(Timestamp::ZERO)),
        }
    }

    /// Single keys of this range that may have intents of before: resolved in the same batch, under their latches.
    /// Spans, and what is too much, are left to a resolution of their own.
    fn local_points(&self, replica: &Replica, request: &CommitRequest) -> Vec<Key> {
        let descriptor = replica.state.lock().descriptor.clone();
        let points =
            request.intents.iter().filter(|span| span.is_point() && descriptor.contains(&span.start));
        let before = points.filter(|span| !is_written(&request.writes, &span.start));
        before.take(LOCAL_POINTS_MAX).map(|span| span.start.clone()).collect()
    }

    /// Resolves intents on the given keys. Answers with the spans that neither this nor the batch's own writes settle.
    fn resolve_local(
        &self,
        here: &[Key],
        meta: &TxnMeta,
        status: TxnStatus,
        request: &CommitRequest,
        batch: &mut WriteBatch,
        delta: &mut Statistics,
    ) -> Result<Vec<Span>, KvError> {
        let resolution =
            Resolution { id: meta.id, epoch: meta.epoch, status, timestamp: meta.write_timestamp };
        for key in here {
            mvcc::resolve_key(&*self.ranges.engine, key, &resolution, batch, delta).map_err(read_error)?;
        }
        let settled = |span: &&Span| {
            span.is_point() && (here.contains(&span.start) || is_written(&request.writes, &span.start))
        };
        Ok(request.intents.iter().filter(|span| !settled(span)).cloned().collect())
    }

    /// Removes the record of an ended transaction: nothing refers to it any more.
    pub async fn forget(
        self: &Arc<Self>,
        replica: Arc<Replica>,
        request: &ForgetTxnRequest,
    ) -> Result<BatchResponse, KvError> {
        let anchor = anchor_of(&request.txn)?;
        let key = record_key(&request.txn, &anchor);
        let sequenced = self.latch_record(&replica, &anchor, &key).await?;
        if let Some(record) = self.load_record(&key)? {
            let mark = match record.status {
                TxnStatus::Committed => Mark::Committed(record.meta.write_timestamp),
                TxnStatus::Aborted => Mark::Aborted,
                TxnStatus::Pending | TxnStatus::Staging => {
                    return Err(KvError::invalid("a transaction that has not ended is not forgotten"));
                }
            };
            let mut batch = WriteBatch::new();
            batch.delete(Keyspace::RangeLocal, &key);
            let ended = Some(Ended { id: record.meta.id, start: record.meta.start, mark: Some(mark) });
            self.replicate(&replica, sequenced, Statistics::default(), Effects::default(), &batch, ended)
                .await?;
        }
        Ok(self.respond(Response::Done, Timestamp::ZERO, Timestamp::ZERO))
    }
}

fn is_written(written: &kvapi::WriteBlock, key: &[u8]) -> bool {
    let index = written.lower_bound(key);
    index < written.len() && written.key(index) == key
}

enum MayEnd {
    Answer(CommitResponse),
    Above(Timestamp),
}

/// Whether a pushee must make way alive.
fn gives_in(request: &PushTxnRequest, pushee: &TxnMeta) -> bool {
    request.kind == PushKind::Abort && (request.force || request.pusher_priority > pushee.priority)
}
