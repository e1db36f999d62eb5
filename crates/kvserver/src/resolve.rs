//! Resolving intents and releasing locks of transactions that have ended, or have been pushed.

use std::sync::Arc;

use clock::Timestamp;
use keys::Span;
use kvapi::{
    BatchResponse, Header, IntentUpdate, KvError, ReleaseLocksRequest, ResolveIntentsRequest, Response,
    TxnStatus,
};
use storage::WriteBatch;
use storage::mvcc::{self, Resolution, Statistics};

use crate::command::Effects;
use crate::marks::Mark;
use crate::read::read_error;
use crate::replica::{Ended, Replica};
use crate::store::Inner;

/// Intents resolved by one command.
const RESOLVED_AT_ONCE: usize = 2_048;

impl Inner {
    pub async fn resolve_intents(
        self: &Arc<Self>,
        replica: Arc<Replica>,
        request: &ResolveIntentsRequest,
    ) -> Result<BatchResponse, KvError> {
        for update in &request.updates {
            self.resolve_one(&replica, update).await?;
        }
        Ok(self.respond(Response::Done, Timestamp::ZERO, Timestamp::ZERO))
    }

    /// Releases locks of a transaction that goes on.
    pub fn release_locks(
        &self,
        replica: &Replica,
        header: &Header,
        request: &ReleaseLocksRequest,
    ) -> Result<BatchResponse, KvError> {
        let txn = header.txn.as_ref().ok_or_else(|| KvError::invalid("locks are a transaction's"))?;
        let mut wakes = Vec::new();
        {
            let mut state = replica.state.lock();
            state.check_lease(&self.ranges)?;
            request.keys.iter().try_for_each(|key| state.check_key(key, &self.ranges))?;
            state.manager.locks.release_some(request.keys.iter(), txn.meta.id, &mut wakes);
        }
        self.ranges.room.wake(wakes);
        Ok(self.respond(Response::Done, Timestamp::ZERO, Timestamp::ZERO))
    }

    async fn resolve_one(
        self: &Arc<Self>,
        replica: &Arc<Replica>,
        update: &IntentUpdate,
    ) -> Result<(), KvError> {
        let has_no_intents = {
            let mut state = replica.state.lock();
            state.check_lease(&self.ranges)?;
            state.check_span(&update.span, &self.ranges)?;
            // Under the mutex: a split that comes later counts the intents of the span with another range.
            replica.has_no_intents()
        };
        // With no intent there are only locks. An intent of this transaction cannot come later: it has ended.
        if !has_no_intents {
            self.resolve_span(replica, update).await?;
        }
        if update.status.is_final() {
            replica.release_locks_of(&update.txn, update.status);
        }
        Ok(())
    }

    async fn resolve_span(&self, replica: &Arc<Replica>, update: &IntentUpdate) -> Result<(), KvError> {
        let resolution = Resolution {
            id: update.txn.id,
            epoch: update.txn.epoch,
            status: update.status,
            timestamp: update.txn.write_timestamp,
        };
        let mut rest = Some(update.span.clone());
        while let Some(span) = rest.take() {
            let sequenced = self.latch_span(replica, &span, update.txn.write_timestamp).await?;
            {
                let mut state = replica.state.lock();
                state.moved_to = state.moved_to.max(update.txn.write_timestamp);
            }
            let mut batch = WriteBatch::new();
            let mut delta = Statistics::default();
            rest = self.resolve_some(&span, &resolution, &mut batch, &mut delta)?;
            if batch.is_empty() {
                continue;
            }
            let ended = update.status.is_final() && rest.is_none();
            let mark = (update.status == TxnStatus::Aborted).then_some(Mark::Aborted);
            let ended = ended.then_some(Ended { id: update.txn.id, start: update.txn.start, mark });
            self.replicate(replica, sequenced, delta, Effects::default(), &batch, ended).await?;
        }
        Ok(())
    }

    fn resolve_some(
        &self,
        span: &Span,
        resolution: &Resolution,
        batch: &mut WriteBatch,
        delta: &mut Statistics,
    ) -> Result<Option<Span>, KvError> {
        let engine = &*self.ranges.engine;
        if span.is_point() {
            mvcc::resolve_key(engine, &span.start, resolution, batch, delta).map_err(read_error)?;
            return Ok(None);
        }
        let resolved = mvcc::resolve_span(engine, span, resolution, RESOLVED_AT_ONCE, batch, delta);
        Ok(resolved.map_err(read_error)?.resume)
    }
}
