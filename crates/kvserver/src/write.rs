//! Writes: sequenced, evaluated, replicated. What every command that changes keys has in common.
//!
//! ```text
//!   locks of others on the keys?   -> queue for the lock, and hold it as the transaction's own
//!   latches on the keys            -> first come first served; then look for locks again
//!   timestamp above reads of others
//!   mvcc::prepare                  -> conflicts with intents: settle or queue, from the start
//!   batch -> replicate -> give everything back
//! ```

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clock::Timestamp;
use env::{timeout, trace};
use kvapi::planted::Bug;
use kvapi::{
    BatchResponse, Header, Isolation, KeyBlock, KvError, LockStrength, Priority, Response, RestartReason,
    RevertRequest, TxnId, TxnMeta, TxnStatus, WaitPolicy, WriteBlock, WriteCheck, WriteEntry, WriteRequest,
};
use replication::ProposalError;
use smallvec::SmallVec;
use storage::WriteBatch;
use storage::mvcc::{self, MvccError, Prepared, Resolution, Statistics};

use crate::command::{self, Effects, Head};
use crate::consensus::Consensus;
use crate::machine::{ACCEPTED, REJECTED};
use crate::read::read_error;
use crate::replica::{Ended, HeldLease, LatchGuard, RangeState, Replica};
use crate::store::{Inner, storage_error};

/// How long a command of a range with several replicas may be under way before whoever waits for it is told that its outcome is
/// not known.
const REPLICATION_MAX: Duration = Duration::from_secs(10);
/// Intents that one command looks through or resolves.
pub(crate) const INTENTS_AT_ONCE: usize = 4_096;

/// Who writes: a transaction, or a single write that stands for itself.
pub(crate) struct Writer {
    /// Of a single write: made up, without anchor.
    pub meta: TxnMeta,
    pub is_txn: bool,
}

impl Writer {
    pub fn id(&self) -> Option<TxnId> {
        self.is_txn.then_some(self.meta.id)
    }
}

/// A write that holds its latches and knows its timestamp.
pub(crate) struct Sequenced {
    pub latch: LatchGuard,
    pub lease: HeldLease,
    /// At or above where the writer wanted, and above all reads of others.
    pub timestamp: Timestamp,
}

impl Inner {
    pub(crate) fn writer(&self, header: &Header) -> Writer {
        match &header.txn {
            Some(txn) => Writer { meta: txn.meta.clone(), is_txn: true },
            None => {
                let now = self.ranges.clock.now();
                let meta = TxnMeta {
                    id: TxnId(u128::from(self.ranges.room.number())),
                    anchor: None,
                    epoch: 0,
                    sequence: 0,
                    isolation: Isolation::ReadCommitted,
                    priority: Priority::NORMAL,
                    start: now,
                    write_timestamp: now,
                };
                Writer { meta, is_txn: false }
            }
        }
    }

    /// Waits for locks and latches of keys to be written. `extra` are keys to latch that are not written as
    /// keys of the range: records.
    pub(crate) async fn sequence_write(
        self: &Arc<Self>,
        replica: &Arc<Replica>,
        header: &Header,
        writer: &Writer,
        writes: &WriteBlock,
        extra: &[&[u8]],
    ) -> Result<Sequenced, KvError> {
        loop {
            let first = {
                let mut guard = replica.state.lock();
                let state = &mut *guard;
                state.check_lease(&self.ranges)?;
                if writer.is_txn && !writes.is_empty() {
                    state.check_not_aborted(&writer.meta)?;
                }
                self.check_writes(state, writes)?;
                match self.first_locked(state, header, writer, writes)? {
                    Some(pending) => Err(pending),
                    None => {
                        let keys = latch_keys(writes, extra);
                        let at = writer.meta.write_timestamp;
                        Ok(LatchGuard::take(replica, state, keys, SmallVec::new(), at))
                    }
                }
            };
            let mut latch = match first {
                Ok(latch) => latch,
                Err(pending) => {
                    Box::pin(self.wait_for_lock(replica, header, &writer.meta, pending)).await?;
                    continue;
                }
            };
            latch.granted().await?;
            let mut guard = replica.state.lock();
            let state = &mut *guard;
            let lease = state.check_lease(&self.ranges)?;
            self.check_writes(state, writes)?;
            let free = |key| state.manager.locks.may_write(key, writer.id());
            if !state.manager.locks.is_empty() && !writes.keys().all(free) {
                // Somebody locked a key while the latch was waited for: queue, and start again.
                continue;
            }
            let at = writer.meta.write_timestamp;
            let timestamp = if self.ranges.config.planted.has(Bug::NoTimestampCache) {
                at
            } else {
                state.manager.fix_write_timestamp(latch.id(), writes.keys(), at, writer.id())
            };
            return Ok(Sequenced { latch, lease, timestamp });
        }
    }

    fn check_writes(&self, state: &RangeState, writes: &WriteBlock) -> Result<(), KvError> {
        if writes.is_empty() {
            return Ok(());
        }
        state.check_key(writes.key(0), &self.ranges)?;
        state.check_key(writes.key(writes.len() - 1), &self.ranges)
    }

    /// Queues for the first lock of somebody else on the keys.
    fn first_locked(
        &self,
        state: &mut RangeState,
        header: &Header,
        writer: &Writer,
        writes: &WriteBlock,
    ) -> Result<Option<crate::lock::PendingLock>, KvError> {
        if state.manager.locks.is_empty() {
            return Ok(None);
        }
        for key in writes.keys() {
            if state.manager.locks.may_write(key, writer.id()) {
                continue;
            }
            let acquired = state.manager.locks.acquire(key, &writer.meta, LockStrength::Update, None);
            if let concurrency::Acquired::Conflict(wait) = acquired {
                if header.wait_policy == WaitPolicy::NoWait {
                    return Err(KvError::LockNotAvailable { key: key.into(), holder: wait.holder.id });
                }
                return Ok(Some(self.queue_for(state, key, &writer.meta, LockStrength::Update)));
            }
        }
        Ok(None)
    }

    /// Sequences writes and reads what is under them, past every conflict.
    pub(crate) async fn prepare<'w>(
        self: &Arc<Self>,
        replica: &Arc<Replica>,
        header: &Header,
        writer: &Writer,
        writes: &'w WriteBlock,
        extra: &[&[u8]],
    ) -> Result<(Sequenced, Prepared<'w>), KvError> {
        loop {
            let mut sequenced = self.sequence_write(replica, header, writer, writes, extra).await?;
            let absent = replica.has_no_intents();
            match mvcc::prepare(&*self.ranges.engine, writes, writer.id(), absent) {
                Ok(prepared) => {
                    self.check_memory(replica, writer, writes, sequenced.timestamp)?;
                    if prepared.newest() >= sequenced.timestamp {
                        sequenced.timestamp = prepared.newest().next();
                        replica.state.lock().manager.latches.raise(sequenced.latch.id(), sequenced.timestamp);
                    }
                    // A later transaction on this node must find the value in its past.
                    let observed = self.ranges.clock.observe(sequenced.timestamp);
                    observed.map_err(|error| KvError::unavailable(error.to_string()))?;
                    return Ok((sequenced, prepared));
                }
                Err(MvccError::Conflicts(conflicts)) => {
                    drop(sequenced);
                    Box::pin(self.discover(replica, header, conflicts)).await?;
                }
                Err(MvccError::Newer { key, timestamp }) => {
                    let reason = RestartReason::LockLost;
                    return Err(KvError::Restart { reason, timestamp, key: Some(key) });
                }
                Err(error) => return Err(read_error(error)),
            }
        }
    }

    /// A row that was locked or read before the garbage threshold and has no version now may have been deleted and collected since:
    /// it has not changed only if it was locked all the time.
    fn check_memory(
        &self,
        replica: &Replica,
        writer: &Writer,
        writes: &WriteBlock,
        timestamp: Timestamp,
    ) -> Result<(), KvError> {
        let threshold = replica.gc_threshold_wall.load(Ordering::Acquire);
        let is_old = |write: &WriteEntry<'_>| match write.check {
            WriteCheck::UnchangedSince(seen) => seen.wall <= threshold,
            WriteCheck::None | WriteCheck::MustNotExist => false,
        };
        for write in writes.iter().filter(is_old) {
            let WriteCheck::UnchangedSince(seen) = write.check else { continue };
            let state = replica.state.lock();
            let held = state.manager.locks.held_strength(write.key, writer.meta.id);
            if !state.knows_changes_since(seen) && held < LockStrength::NoKeyUpdate {
                let (reason, key) = (RestartReason::LockLost, Some(write.key.into()));
                return Err(KvError::Restart { reason, timestamp, key });
            }
        }
        Ok(())
    }

    /// Replicates a command and gives back what the write held once it is applied. If the caller is dropped meanwhile, a
    /// task waits in its place.
    pub(crate) async fn replicate(
        &self,
        replica: &Arc<Replica>,
        sequenced: Sequenced,
        delta: Statistics,
        effects: Effects,
        batch: &WriteBatch,
        ended: Option<Ended>,
    ) -> Result<(), KvError> {
        let head = Head { term: sequenced.lease.term, delta, effects };
        // Proposing may write and sync by itself.
        let began = self.env.monotonic();
        let command = command::encode(&head, batch);
        let step = trace::span(|| format!("replicate {} bytes in range {}", command.len(), replica.id));
        let proposal = step.in_scope(|| Ok(self.consensus()?.propose(replica.id, command)))?;
        let outcome = self.fly(replica, sequenced, proposal, ended).await;
        drop(step);
        self.ranges.replicate_times.observe(self.env.monotonic().saturating_sub(began));
        outcome
    }

    /// Waits for a proposal, and holds what it holds until it is known what became of it, also if nobody waits any more.
    pub(crate) async fn fly(
        &self,
        replica: &Replica,
        sequenced: Sequenced,
        proposal: Proposal,
        ended: Option<Ended>,
    ) -> Result<(), KvError> {
        let is_alone = sequenced.lease.is_alone;
        let mut flight = Flight {
            proposal: Some(proposal),
            landing: Some((sequenced.latch, ended)),
            env: &self.env,
            consensus: self.consensus()?,
        };
        let result = match &mut flight.proposal {
            Some(proposal) if is_alone => proposal.await,
            Some(proposal) => match timeout(&*self.env, REPLICATION_MAX, proposal).await {
                Ok(result) => result,
                // The command may yet go through: what it holds is given back when that is known.
                Err(_) => return Err(KvError::ambiguous(no_quorum(replica))),
            },
            None => unreachable!("set just above"),
        };
        flight.proposal = None;
        let accepted = outcome(replica, result);
        if let Some((latch, ended)) = flight.landing.take() {
            land(&flight.consensus, latch, ended.filter(|_| accepted.is_ok()));
        }
        accepted
    }

    /// Places intents; without a transaction, commits at once.
    pub async fn write(
        self: &Arc<Self>,
        replica: Arc<Replica>,
        header: &Header,
        request: &WriteRequest,
    ) -> Result<BatchResponse, KvError> {
        let writer = self.writer(header);
        if writer.is_txn && writer.meta.anchor.is_none() {
            return Err(KvError::invalid("a transaction that writes intents has an anchor"));
        }
        let result = self.write_sequenced(&replica, header, &writer, request).await;
        if !writer.is_txn || result.is_err() {
            // Locks that were queued for are held by now. A transaction's own reads' locks are not touched by an error:
            // what was queued for here is told to nobody, so it goes.
            self.release_single(&replica, &writer);
        }
        result
    }

    async fn write_sequenced(
        self: &Arc<Self>,
        replica: &Arc<Replica>,
        header: &Header,
        writer: &Writer,
        request: &WriteRequest,
    ) -> Result<BatchResponse, KvError> {
        let (sequenced, prepared) = self.prepare(replica, header, writer, &request.writes, &[]).await?;
        let timestamp = sequenced.timestamp;
        let mut batch = WriteBatch::with_capacity(request.writes.byte_size() + 64 * request.writes.len());
        let mut delta = Statistics::default();
        if writer.is_txn {
            let meta = TxnMeta { write_timestamp: timestamp, ..writer.meta.clone() };
            prepared.place_intents(&meta, &mut batch, &mut delta);
        } else {
            prepared.commit(timestamp, &mut batch, &mut delta);
        }
        if !batch.is_empty() {
            self.replicate(replica, sequenced, delta, Effects::default(), &batch, None).await?;
        }
        Ok(self.respond(Response::Done, Timestamp::ZERO, timestamp))
    }

    /// Releases what a write without transaction came to hold while it queued.
    fn release_single(&self, replica: &Replica, writer: &Writer) {
        if writer.is_txn {
            return;
        }
        let mut wakes = Vec::new();
        replica.state.lock().manager.locks.release_all(writer.meta.id, &mut wakes);
        self.ranges.room.wake(wakes);
    }

    /// Removes the transaction's own intents above a sequence.
    pub async fn revert(
        self: &Arc<Self>,
        replica: Arc<Replica>,
        header: &Header,
        request: &RevertRequest,
    ) -> Result<BatchResponse, KvError> {
        let txn = header.txn.as_ref().ok_or_else(|| KvError::invalid("a revert needs a transaction"))?;
        for span in &request.spans {
            let mut rest = span.clone();
            while !rest.is_empty() {
                let sequenced = self.latch_span(&replica, &rest, txn.meta.write_timestamp).await?;
                let found = mvcc::find_intents(&*self.ranges.engine, &rest, INTENTS_AT_ONCE)
                    .map_err(storage_error)?;
                let next = if found.len() < INTENTS_AT_ONCE {
                    rest.end.clone()
                } else {
                    found[found.len() - 1].0.next()
                };
                let own = found
                    .iter()
                    .filter(|(_, it)| it.txn.id == txn.meta.id && it.txn.sequence > request.sequence);
                let resolution = Resolution {
                    id: txn.meta.id,
                    epoch: txn.meta.epoch,
                    status: TxnStatus::Aborted,
                    timestamp: txn.meta.write_timestamp,
                };
                let mut batch = WriteBatch::new();
                let mut delta = Statistics::default();
                for (key, _) in own {
                    let engine = &*self.ranges.engine;
                    mvcc::resolve_key(engine, key, &resolution, &mut batch, &mut delta)
                        .map_err(read_error)?;
                }
                if !batch.is_empty() {
                    self.replicate(&replica, sequenced, delta, Effects::default(), &batch, None).await?;
                }
                rest.start = next;
            }
        }
        Ok(self.respond(Response::Done, Timestamp::ZERO, Timestamp::ZERO))
    }

    /// Latches a span of the range.
    pub(crate) async fn latch_span(
        &self,
        replica: &Arc<Replica>,
        span: &keys::Span,
        at: Timestamp,
    ) -> Result<Sequenced, KvError> {
        let mut latch = {
            let mut guard = replica.state.lock();
            let state = &mut *guard;
            state.check_lease(&self.ranges)?;
            state.check_span(span, &self.ranges)?;
            LatchGuard::take(replica, state, KeyBlock::new(), SmallVec::from_iter([span.clone()]), at)
        };
        latch.granted().await?;
        let mut state = replica.state.lock();
        let lease = state.check_lease(&self.ranges)?;
        state.check_span(span, &self.ranges)?;
        drop(state);
        Ok(Sequenced { latch, lease, timestamp: at })
    }

    /// Latches single keys that are no keys of the range: records. `anchor` must lie in the range.
    pub(crate) async fn latch_record(
        &self,
        replica: &Arc<Replica>,
        anchor: &[u8],
        record: &[u8],
    ) -> Result<Sequenced, KvError> {
        let mut latch = {
            let mut guard = replica.state.lock();
            let state = &mut *guard;
            state.check_lease(&self.ranges)?;
            state.check_key(anchor, &self.ranges)?;
            let keys = KeyBlock::from_iter([record]);
            LatchGuard::take(replica, state, keys, SmallVec::new(), Timestamp::MAX)
        };
        latch.granted().await?;
        let mut state = replica.state.lock();
        let lease = state.check_lease(&self.ranges)?;
        state.check_key(anchor, &self.ranges)?;
        drop(state);
        Ok(Sequenced { latch, lease, timestamp: Timestamp::ZERO })
    }
}

/// The keys to latch, ascending.
fn latch_keys(writes: &WriteBlock, extra: &[&[u8]]) -> KeyBlock {
    let mut keys = KeyBlock::with_capacity(writes.len() + extra.len(), writes.byte_size());
    if extra.is_empty() {
        writes.keys().for_each(|key| keys.push(key));
        return keys;
    }
    let mut all: Vec<&[u8]> = extra.iter().copied().chain(writes.keys()).collect();
    all.sort_unstable();
    all.dedup();
    all.into_iter().for_each(|key| keys.push(key));
    keys
}

fn no_quorum(replica: &Replica) -> String {
    let waited = REPLICATION_MAX.as_secs();
    format!("range {}: no quorum of its replicas has taken a command within {waited} s", replica.id)
}

/// Completes with what the state machine answered.
type Proposal = futures::future::BoxFuture<'static, Result<bytes::Bytes, ProposalError>>;

/// A command under way, and what it holds.
struct Flight<'a> {
    proposal: Option<Proposal>,
    landing: Option<(LatchGuard, Option<Ended>)>,
    env: &'a Arc<dyn env::Env>,
    consensus: &'a Arc<dyn Consensus>,
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        if let (Some(proposal), Some((latch, ended))) = (self.proposal.take(), self.landing.take()) {
            let consensus = self.consensus.clone();
            let landing = async move {
                let accepted = matches!(&proposal.await, Ok(answer) if answer[..] == *ACCEPTED);
                land(&consensus, latch, ended.filter(|_| accepted));
            };
            drop(self.env.spawn("land-command", Box::pin(landing)));
        }
    }
}

/// A command is through: gives its latches back, unless the store has stopped and nobody knows what became of the command.
fn land(consensus: &Arc<dyn Consensus>, latch: LatchGuard, ended: Option<Ended>) {
    if consensus.has_stopped() { latch.keep_for_good() } else { latch.finish(ended) }
}

fn outcome(replica: &Replica, result: Result<bytes::Bytes, ProposalError>) -> Result<(), KvError> {
    let range = replica.id;
    match result {
        Ok(answer) if answer[..] == *REJECTED => Err(KvError::NotLeaseholder { range, lease: None }),
        Ok(_) => Ok(()),
        Err(error) if error.is_ambiguous() => Err(KvError::ambiguous(error.to_string())),
        Err(ProposalError::NotLeader { .. }) => Err(KvError::NotLeaseholder { range, lease: None }),
        Err(ProposalError::NoSuchRange { .. }) => Err(KvError::RangeNotFound { range }),
        Err(error) => Err(KvError::unavailable(error.to_string())),
    }
}
