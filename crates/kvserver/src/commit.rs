//! Commit in one phase: all writes of a transaction in one range, one command, neither record nor intent.
//!
//! The commit timestamp is above every read of the keys by others and every version under them. When that lies above where a
//! serializable transaction has read, its reads must be refreshed. If the request names them all they are refreshed right here,
//! under the latches; otherwise, or if a write in flight is in the way (waiting for it while holding latches could deadlock), the
//! transaction is told where it has to refresh to.

use std::sync::Arc;

use clock::Timestamp;
use keys::Span;
use kvapi::planted::Bug;
use kvapi::{
    BatchResponse, CommitRequest, CommitResponse, Header, KvError, Response, RestartReason, Txn, TxnStatus,
};
use storage::WriteBatch;
use storage::mvcc::Statistics;

use crate::command::Effects;
use crate::marks::Mark;
use crate::read::holds;
use crate::replica::{Ended, Replica};
use crate::store::Inner;
use crate::write::{Sequenced, Writer};

impl Inner {
    pub async fn commit_in_one_phase(
        self: &Arc<Self>,
        replica: Arc<Replica>,
        header: &Header,
        request: &CommitRequest,
    ) -> Result<BatchResponse, KvError> {
        let txn = header.txn.as_ref().ok_or_else(|| KvError::invalid("a commit needs a transaction"))?;
        if !request.commit
            || !request.in_flight.is_empty()
            || !request.intents.is_empty()
            || request.writes.is_empty()
        {
            return Err(KvError::invalid("a commit in one phase writes, and has no intents"));
        }
        let mark = replica.state.lock().marks.get(txn.meta.id);
        if let Some(Mark::Committed(timestamp)) = mark {
            return Ok(self.committed(timestamp));
        }
        let writer = Writer { meta: txn.meta.clone(), is_txn: true };
        let (mut sequenced, prepared) = self.prepare(&replica, header, &writer, &request.writes, &[]).await?;
        if sequenced.timestamp > txn.read_timestamp {
            self.refresh_for_commit(&replica, txn, request, &mut sequenced)?;
        }
        self.check_claims(&replica, txn, request, &mut sequenced)?;
        check_deadline(request, sequenced.timestamp)?;
        let timestamp = sequenced.timestamp;
        let writes = &request.writes;
        let mut batch = WriteBatch::with_capacity(2 * writes.byte_size() + 64 * writes.len());
        let mut delta = Statistics::default();
        prepared.commit(timestamp, &mut batch, &mut delta);
        let mark = Some(Mark::Committed(timestamp));
        let ended = Ended { id: txn.meta.id, start: txn.meta.start, mark };
        self.replicate(&replica, sequenced, delta, Effects::default(), &batch, Some(ended)).await?;
        Ok(self.committed(timestamp))
    }

    pub(crate) fn committed(&self, timestamp: Timestamp) -> BatchResponse {
        let response = CommitResponse { status: TxnStatus::Committed, timestamp };
        self.respond(Response::Commit(response), Timestamp::ZERO, timestamp)
    }

    /// The commit timestamp lies above where the transaction has read: do its reads hold there?
    fn refresh_for_commit(
        &self,
        replica: &Replica,
        txn: &Txn,
        request: &CommitRequest,
        sequenced: &mut Sequenced,
    ) -> Result<(), KvError> {
        if !txn.meta.isolation.refreshes_reads() {
            return Ok(());
        }
        if self.ranges.config.planted.has(Bug::SkipRefresh) {
            return Ok(());
        }
        let timestamp = sequenced.timestamp;
        let refresh_yourself =
            || KvError::Restart { reason: RestartReason::WriteTooOld, timestamp, key: None };
        if !request.refresh_is_complete {
            return Err(refresh_yourself());
        }
        self.enter_refresh(replica, txn, &request.refresh, sequenced, refresh_yourself)?;
        let absent = replica.has_no_intents();
        for span in &request.refresh {
            if self.find_change(span, txn.read_timestamp, timestamp, txn.meta.id, absent)?.is_some() {
                return Err(refresh_yourself());
            }
        }
        if !request.refresh.is_empty() && !replica.state.lock().knows_changes_since(txn.read_timestamp) {
            return Err(KvError::Restart { reason: RestartReason::RefreshFailed, timestamp, key: None });
        }
        Ok(())
    }

    /// Enters reads at the commit timestamp; fails if a write in flight is in their way.
    fn enter_refresh(
        &self,
        replica: &Replica,
        txn: &Txn,
        spans: &[Span],
        sequenced: &Sequenced,
        in_the_way: impl Fn() -> KvError,
    ) -> Result<(), KvError> {
        let mut state = replica.state.lock();
        for span in spans {
            state.check_span(span, &self.ranges)?;
            if span.is_point() {
                state.manager.reads.read_key(&span.start, sequenced.timestamp, Some(txn.meta.id));
            } else {
                state.manager.reads.read_span(span, sequenced.timestamp, Some(txn.meta.id));
            }
        }
        let probe = concurrency::Ticket(self.ranges.room.number());
        if state.manager.has_writers(spans, sequenced.timestamp, Some(sequenced.latch.id()), probe) {
            return Err(in_the_way());
        }
        Ok(())
    }

    /// Locks that the transaction relies on without writing the key must have held up to now.
    fn check_claims(
        &self,
        replica: &Replica,
        txn: &Txn,
        request: &CommitRequest,
        sequenced: &mut Sequenced,
    ) -> Result<(), KvError> {
        if request.locks.is_empty() {
            return Ok(());
        }
        let timestamp = sequenced.timestamp;
        let lost = |key| KvError::Restart { reason: RestartReason::LockLost, timestamp, key: Some(key) };
        let mut doubtful = Vec::new();
        {
            let mut state = replica.state.lock();
            for claim in &request.locks {
                state.check_key(&claim.key, &self.ranges)?;
                state.manager.reads.read_key(&claim.key, timestamp, Some(txn.meta.id));
                if !holds(&state, claim, txn.meta.id) {
                    doubtful.push(claim);
                }
            }
        }
        for claim in doubtful {
            let span = Span::point(claim.key.clone());
            let lost = || lost(claim.key.clone());
            self.enter_refresh(replica, txn, std::slice::from_ref(&span), sequenced, lost)?;
            let absent = replica.has_no_intents();
            match self.find_change(&span, claim.since, timestamp, txn.meta.id, absent) {
                Ok(None) if replica.state.lock().knows_changes_since(claim.since) => {}
                Ok(_) | Err(KvError::Restart { .. }) => return Err(lost()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

pub(crate) fn check_deadline(request: &CommitRequest, timestamp: Timestamp) -> Result<(), KvError> {
    match request.deadline {
        Some(deadline) if timestamp >= deadline => {
            Err(KvError::Restart { reason: RestartReason::DeadlineExceeded, timestamp, key: None })
        }
        _ => Ok(()),
    }
}
