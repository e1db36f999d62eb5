//! Intents and locks in the way: find out what has become of their transactions, and get past them.
//!
//! ```text
//!                       push the transaction at its record
//!     ended  ------------------> resolve its intents here, go on
//!     pending, reader ---------> it was pushed above the reader: move its intents there, go on
//!     pending, writer ---------> queue for its lock, ask again every second whether it is alive
//!     staging, alive ----------> wait a little: it is about to end
//!     staging, expired --------> recover: are all its writes there? then it is committed, else aborted
//! ```
//!
//! Readers never wait for a pending writer (PostgreSQL's promise): they push it. The writer then finds at its commit that its
//! timestamp has moved and refreshes what it has read.

use std::sync::Arc;
use std::time::Duration;

use clock::Timestamp;
use concurrency::Ticket;
use env::timeout;
use keys::{Key, Span};
use kvapi::planted::Bug;
use kvapi::{
    BatchRequest, Header, IntentUpdate, KvError, Priority, PushKind, PushTxnRequest, QueryIntentRequest,
    RecoverTxnRequest, Response, TxnId, TxnMeta, TxnStanding, TxnStatus, WaitPolicy,
};
use storage::mvcc::{Conflict, Passed, ReadView};

use crate::store::Inner;
use crate::wait::{Told, WaitRoom};

/// The first pause before a staging transaction is looked at again; it doubles.
const STAGING_PAUSE: Duration = Duration::from_micros(500);
const STAGING_PAUSE_MAX: Duration = Duration::from_millis(50);
/// Rounds without anybody alive in the way after which a read pauses nevertheless.
const PATIENT_AFTER: u32 = 8;

/// What a read remembers while it gets past intents.
#[derive(Default)]
pub(crate) struct Rounds {
    /// For the pauses.
    count: u32,
    pub passed: Passed,
}

impl Inner {
    /// Gets the intents that a read has met out of its way.
    pub(crate) async fn read_past(
        self: &Arc<Self>,
        header: &Header,
        conflicts: Vec<Conflict>,
        view: &ReadView,
        rounds: &mut Rounds,
    ) -> Result<(), KvError> {
        let mut in_the_way: Vec<TxnId> = Vec::new();
        // What is uncertain to the reader must make way as well; what lies ahead of now cannot be: a commit pushed there
        // would lie in the future of readers to come.
        let limit = match &header.txn {
            // Too many take turns to be remembered: from there on none is uncertain.
            Some(txn) if rounds.count >= PATIENT_AFTER => txn.uncertainty_limit,
            _ => view.uncertainty_limit,
        };
        let push_to = view.timestamp.max(limit.min(self.ranges.clock.now()));
        for (txn, keys) in by_transaction(conflicts) {
            let standing = self.push_at_record(&txn, header, PushKind::Timestamp, push_to).await?;
            let passed = standing.status == TxnStatus::Pending && standing.txn.write_timestamp > push_to;
            if standing.status.is_final() || passed {
                self.resolve_at_keys(&standing, &keys).await?;
                if passed {
                    // Moving its intents makes values up to there uncertain, them included: without this, they would be met again.
                    rounds.passed.note(txn.id);
                }
            } else {
                in_the_way.push(txn.id);
            }
        }
        rounds.count += 1;
        if in_the_way.is_empty() && rounds.count < PATIENT_AFTER {
            return Ok(());
        }
        let doublings = (rounds.count - 1).min(16);
        self.pause_behind(header, &in_the_way, (STAGING_PAUSE * (1 << doublings)).min(STAGING_PAUSE_MAX))
            .await
    }

    /// A read gives staging transactions a moment to end. One of them may wait for the reader: the graph must know.
    async fn pause_behind(&self, header: &Header, ahead: &[TxnId], pause: Duration) -> Result<(), KvError> {
        let Some(txn) = &header.txn else {
            self.env.sleep(pause).await;
            return Ok(());
        };
        /// Leaves room and graph, however the pause ends.
        struct Leave<'a>(&'a WaitRoom, Ticket);
        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                self.0.leave_graph(self.1);
                self.0.leave(self.1);
            }
        }
        let room = &self.ranges.room;
        let (ticket, receiver) = room.enter();
        let _leave = Leave(room, ticket);
        room.enter_graph(ticket, &txn.meta, ahead);
        match timeout(&*self.env, pause, receiver).await {
            Ok(Ok(Told::Deadlock(cycle))) => Err(KvError::Deadlock { key: Key::MIN, cycle }),
            _ => Ok(()),
        }
    }

    /// What has become of the transactions whose intents a writer or locker has met. Those that ended are
    /// resolved; the others are given back, to be waited for.
    pub(crate) async fn settle_ended(
        self: &Arc<Self>,
        header: &Header,
        conflicts: Vec<Conflict>,
    ) -> Result<Vec<(TxnMeta, Vec<Key>)>, KvError> {
        let mut alive = Vec::new();
        for (txn, keys) in by_transaction(conflicts) {
            let standing = self.push_at_record(&txn, header, PushKind::Inquire, Timestamp::ZERO).await?;
            if standing.status.is_final() {
                self.resolve_at_keys(&standing, &keys).await?;
            } else if header.wait_policy == WaitPolicy::NoWait {
                return Err(KvError::LockNotAvailable { key: keys[0].clone(), holder: txn.id });
            } else {
                alive.push((txn, keys));
            }
        }
        Ok(alive)
    }

    /// Asks the record of a transaction where it stands, and settles a staging one that was left.
    pub(crate) async fn push_at_record(
        self: &Arc<Self>,
        pushee: &TxnMeta,
        header: &Header,
        kind: PushKind,
        push_to: Timestamp,
    ) -> Result<TxnStanding, KvError> {
        let pusher = header.txn.as_ref();
        let priority = pusher.map_or(Priority::NORMAL, |txn| txn.meta.priority);
        self.push_for(pushee, pusher.map(|txn| txn.meta.id), priority, kind, push_to).await
    }

    pub(crate) async fn push_for(
        self: &Arc<Self>,
        pushee: &TxnMeta,
        pusher: Option<TxnId>,
        pusher_priority: Priority,
        kind: PushKind,
        push_to: Timestamp,
    ) -> Result<TxnStanding, KvError> {
        let anchor = anchor_of(pushee)?;
        let request =
            PushTxnRequest { pushee: pushee.clone(), pusher, pusher_priority, kind, push_to, force: false };
        let standing = self.ask(&anchor, BatchRequest::new(Header::default(), request)).await?;
        if standing.status == TxnStatus::Staging && standing.expired {
            return self.recover(standing).await;
        }
        Ok(standing)
    }

    /// Finds out whether a staging transaction whose coordinator is gone has committed, and makes that explicit.
    async fn recover(self: &Arc<Self>, standing: TxnStanding) -> Result<TxnStanding, KvError> {
        let mut implicitly_committed = true;
        let unchecked = self.ranges.config.planted.has(Bug::RecoverUnchecked);
        for intent in standing.in_flight.iter().filter(|_| !unchecked) {
            let query = QueryIntentRequest { txn: standing.txn.clone(), intent: intent.clone() };
            let mut batch = BatchRequest::new(Header::default(), query);
            let mut response = self.db()?.send(&intent.key, &mut batch).await?;
            match response.responses.pop() {
                Some(Response::QueryIntent(true)) => {}
                Some(Response::QueryIntent(false)) => {
                    implicitly_committed = false;
                    break;
                }
                _ => return Err(KvError::corruption("a query for an intent was answered otherwise")),
            }
        }
        let anchor = anchor_of(&standing.txn)?;
        let request = RecoverTxnRequest { txn: standing.txn, implicitly_committed };
        self.ask(&anchor, BatchRequest::new(Header::default(), request)).await
    }

    async fn ask(&self, anchor: &Key, mut batch: BatchRequest) -> Result<TxnStanding, KvError> {
        let mut response = self.db()?.send(anchor, &mut batch).await?;
        match response.responses.pop() {
            Some(Response::Txn(standing)) => Ok(standing),
            _ => Err(KvError::corruption("a question about a transaction was answered otherwise")),
        }
    }

    /// Resolves the intents of a transaction on some keys, as its record says.
    pub(crate) async fn resolve_at_keys(&self, standing: &TxnStanding, keys: &[Key]) -> Result<(), KvError> {
        let update =
            IntentUpdate { span: Span::default(), txn: standing.txn.clone(), status: standing.status };
        let spans: Vec<Span> = keys.iter().map(|key| Span::point(key.clone())).collect();
        self.db()?.resolve(&spans, &update).await
    }
}

pub(crate) fn anchor_of(txn: &TxnMeta) -> Result<Key, KvError> {
    let anchor = txn.anchor.clone();
    anchor.ok_or_else(|| KvError::corruption("an intent or lock of a transaction without anchor"))
}

/// Conflicts grouped by transaction, in the order in which they were met.
fn by_transaction(conflicts: Vec<Conflict>) -> Vec<(TxnMeta, Vec<Key>)> {
    let mut grouped: Vec<(TxnMeta, Vec<Key>)> = Vec::new();
    for Conflict { key, txn } in conflicts {
        match grouped.iter_mut().find(|(other, _)| other.id == txn.id) {
            Some((_, keys)) => keys.push(key),
            None => grouped.push((txn, vec![key])),
        }
    }
    grouped
}
