//! The store: opening, the first ranges, handles.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use env::{Env, Lane};
use futures::channel::oneshot;
use keys::local::{self, RaftItem, RangeItem};
use keys::{RangeId, ReplicaId, StoreId};
use parking_lot::RwLock;
use raft::{ConfChange, FollowerStatus, Group, Index, Position, Stored, Term};
use stdx::{Histogram, HistogramReading};
use storage::{Durability, Engine, Keyspace, WriteBatch};

use crate::failure::Failure;
use crate::outgoing::Turns;
use crate::range_log::{RangeLog, StoredLog};
use crate::record::{self, AppliedState};
use crate::recovery::{self, FoundLog};
use crate::replica::{RangeStatus, Replica, ReplicaState};
use crate::seam::raft_id;
use crate::ticker::Ticker;
use crate::waiters::Answer;
use crate::work::WorkQueue;
use crate::{
    INITIAL_INDEX, INITIAL_TERM, NewRange, OpenError, ProposalError, RaftBatch, RaftTransport,
    ReceivedSnapshot, SendError, StateMachine, Stopped,
};

/// The settings of a store.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// The unit in which groups count time.
    pub tick: Duration,
    /// Whether a log can be cut off is looked at when it has grown by this. In bytes.
    pub truncate_bytes: u64,
    /// The state is flushed when the logs have grown by this together since it last was. In bytes.
    pub log_bytes_max: u64,
    /// The settings of every group; id and seed are filled in.
    pub group: raft::Config,
    /// A planted bug, for simulations: who writes by itself takes for durable what is not synced.
    pub unsynced_here: bool,
}

impl Default for StoreOptions {
    fn default() -> StoreOptions {
        StoreOptions {
            tick: Duration::from_millis(100),
            truncate_bytes: 256 << 10,
            log_bytes_max: 256 << 20,
            group: raft::Config::new(raft::ReplicaId(1), 0),
            unsynced_here: false,
        }
    }
}

/// What a store stands on.
#[derive(Clone)]
pub struct StoreWorld {
    /// Which store this is.
    pub store: StoreId,
    pub env: Arc<dyn Env>,
    pub engine: Arc<dyn Engine>,
    pub machine: Arc<dyn StateMachine>,
    pub transport: Arc<dyn RaftTransport>,
}

/// A command that has been applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    pub position: Position,
    /// What the machine answered.
    pub answer: Bytes,
}

/// Many Raft groups on one store. Clones are the same store.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

/// What the parts of a store share.
pub(crate) struct Shared {
    pub own: StoreId,
    pub env: Arc<dyn Env>,
    pub engine: Arc<dyn Engine>,
    pub machine: Arc<dyn StateMachine>,
    pub transport: Arc<dyn RaftTransport>,
    pub options: StoreOptions,
    pub failure: Failure,
    pub writing: WorkQueue,
    pub applying: WorkQueue,
    pub write_times: Histogram,
    pub apply_times: Histogram,
    pub ticker: Ticker,
    pub turns: Turns,
    pub flusher: Lane,
    pub flushing: AtomicBool,
    pub log_bytes: AtomicU64,
    replicas: RwLock<BTreeMap<RangeId, Arc<Replica>>>,
    /// Held while a replica is made. Lock order: before everything else.
    pub making: parking_lot::Mutex<()>,
    /// Logs whose ranges do not exist yet: their parents' splits are to be applied again. Hard states of replicas that wait,
    /// or did, as well.
    pub orphans: parking_lot::Mutex<BTreeMap<RangeId, FoundLog>>,
    /// Ranges that are to be absorbed here, each with the one that waits for it. Lock order: leaf.
    pub absorbing: parking_lot::Mutex<BTreeMap<RangeId, RangeId>>,
    stopped: AtomicBool,
    /// How many ranges with this store's replica as the only voter have been started and do not lead yet.
    unsettled: AtomicUsize,
    settled: parking_lot::Mutex<Vec<oneshot::Sender<()>>>,
}

/// What a store measures of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreReadings {
    /// Replicas that wait for the log writer, and for the applier.
    pub write_queue: usize,
    pub apply_queue: usize,
    /// Bytes written to the logs since they were last flushed and cut off.
    pub log_bytes: u64,
    /// Rounds of the log writer that wrote something, syncs included, and rounds of applying.
    pub write_times: HistogramReading,
    pub apply_times: HistogramReading,
}

impl Store {
    /// Reads everything and checks it. Nothing runs until [`Store::start`].
    pub fn open(world: StoreWorld, options: StoreOptions) -> Result<Store, OpenError> {
        let found = recovery::read(&*world.engine)?;
        let StoreWorld { store, env, engine, machine, transport } = world;
        let shared = Arc::new(Shared {
            own: store,
            writing: WorkQueue::new(env.lane("raft-writer")),
            applying: WorkQueue::new(env.lane("raft-applier")),
            write_times: Histogram::default(),
            apply_times: Histogram::default(),
            flusher: env.lane("raft-flusher"),
            env,
            engine,
            machine,
            transport,
            options,
            failure: Failure::default(),
            ticker: Ticker::default(),
            turns: Turns::default(),
            flushing: AtomicBool::new(false),
            log_bytes: AtomicU64::new(0),
            replicas: RwLock::new(BTreeMap::new()),
            making: parking_lot::Mutex::new(()),
            orphans: parking_lot::Mutex::new(found.logs),
            absorbing: parking_lot::Mutex::default(),
            stopped: AtomicBool::new(false),
            unsettled: AtomicUsize::new(0),
            settled: parking_lot::Mutex::new(Vec::new()),
        });
        for range in found.tombstones {
            // Destroyed for good, and flushed as such: now the log may go too.
            let mut orphans = shared.orphans.lock();
            if !found.applied.contains_key(&range)
                && let Some(log) = orphans.get_mut(&range)
            {
                (log.entries, log.truncated) = (None, None);
                // The hard state stays: a later replica of the range may have voted by it.
                let mut batch = WriteBatch::new();
                batch.delete_range(Keyspace::RaftLog, &local::raft_log_span(range, 0, u64::MAX));
                batch.delete(Keyspace::RaftLog, &local::raft_item(range, RaftItem::TruncatedState));
                shared.engine.write(&batch, Durability::Synced)?;
            }
        }
        for (range, applied) in found.applied {
            shared.open_replica(range, applied)?;
        }
        Ok(Store { shared })
    }

    /// How its queues stand, and how long rounds take.
    pub fn readings(&self) -> StoreReadings {
        let shared = &self.shared;
        StoreReadings {
            write_queue: shared.writing.len(),
            apply_queue: shared.applying.len(),
            log_bytes: shared.log_bytes.load(Ordering::Relaxed),
            write_times: shared.write_times.read(),
            apply_times: shared.apply_times.read(),
        }
    }

    /// Lets the groups run: those that have no other voters campaign at once, and apply again what a crash has
    /// taken from the state.
    pub fn start(&self) {
        let shared = &self.shared;
        // One for this call, so that the first range that leads does not settle the store.
        shared.unsettled.fetch_add(1, Ordering::AcqRel);
        for replica in &shared.replicas() {
            shared.start_replica(replica, false);
        }
        shared.settle(1);
    }

    /// Completes when every range of which this store has the only voter leads and has applied its log, or has found in it that there
    /// are other voters; those included that come to life again by that. Also if the store fails. Call it after [`Store::start`].
    pub fn settled(&self) -> impl Future<Output = ()> + Send + use<> {
        let (sender, receiver) = oneshot::channel();
        self.shared.settled.lock().push(sender);
        self.shared.settle(0);
        async move {
            // A dropped sender: the store is gone, and there is nothing to wait for.
            let _ = receiver.await;
        }
    }

    /// Makes the first ranges of a store, with the state in `contents`; durable when it returns. Blocks on the disk.
    pub fn create(&self, ranges: &[NewRange], mut contents: WriteBatch) -> Result<(), OpenError> {
        let shared = &self.shared;
        for new in ranges {
            shared.put_new_range(new, &mut contents);
        }
        shared.engine.write(&contents, Durability::Buffered)?;
        shared.engine.flush()?;
        for new in ranges {
            let replica = shared.open_replica(new.range, first_state(new))?;
            shared.start_replica(&replica, false);
        }
        Ok(())
    }

    /// Makes a replica that has nothing and waits for the range's leader to send it a snapshot.
    pub fn create_waiting(&self, range: RangeId, replica: ReplicaId) -> Result<(), OpenError> {
        self.shared.create_waiting(range, replica).map(drop)
    }

    /// Forgets replicas that still wait for their first snapshot after so many ticks.
    pub fn drop_waiting(&self, ticks_min: u64) {
        self.shared.drop_waiting(ticks_min);
    }

    pub fn range(&self, range: RangeId) -> Option<RangeHandle> {
        let replica = self.shared.replica(range)?;
        Some(RangeHandle { shared: Arc::clone(&self.shared), replica })
    }

    /// The ranges that this store has a replica of, in order.
    pub fn ranges(&self) -> Vec<RangeId> {
        self.shared.replicas.read().keys().copied().collect()
    }

    /// Logs that were found without their ranges: splits that are to be applied again. Empty once the store has settled.
    pub fn pending_ranges(&self) -> Vec<RangeId> {
        let orphans = self.shared.orphans.lock();
        orphans.iter().filter(|(_, log)| log.entries.is_some()).map(|(range, _)| *range).collect()
    }

    /// Proposes a command to a range of this store.
    pub fn propose(&self, range: RangeId, command: Bytes) -> Proposal {
        match self.range(range) {
            Some(handle) => handle.propose(command),
            None => Proposal::refused(ProposalError::NoSuchRange { was_proposed: false }),
        }
    }

    /// Takes messages from other stores.
    pub fn receive(&self, batch: RaftBatch) {
        self.shared.receive(batch);
    }

    /// Takes a snapshot from another store, once it has arrived whole; see [`crate::SnapshotStream`].
    pub fn receive_snapshot(&self, snapshot: ReceivedSnapshot) -> Result<(), SendError> {
        self.shared.receive_snapshot(snapshot)
    }

    /// Sends a stamp without messages: see [`StateMachine::stamp`].
    pub fn send_stamp(&self, to: StoreId) {
        let batch = RaftBatch {
            from: self.shared.own,
            stamp: self.shared.machine.full_stamp(to),
            envelopes: Vec::new(),
        };
        self.shared.transport.send(to, batch);
    }

    /// Ends this store's replica of a range, which is no member any more, and deletes its state. Completes when that is done,
    /// at once if that replica has ended already: a later one that has taken its place stays.
    pub fn destroy(&self, range: RangeId, replica: ReplicaId) -> impl Future<Output = ()> + Send + use<> {
        let shared = Arc::clone(&self.shared);
        async move { shared.destroy(range, replica).await }
    }

    /// Support for a store is withdrawn, or begins in another epoch: groups that follow a leader there, and need it no longer,
    /// wake and elect another; those that lead with a follower there ask it to follow anew. `campaign`: elect at once.
    pub fn reconsider(&self, store: StoreId, campaign: bool) {
        self.shared.reconsider(store, campaign);
    }

    /// Why the store has stopped, if it has failed.
    pub fn failed(&self) -> Option<Stopped> {
        self.shared.failure.reason()
    }

    /// Completes when the store has failed. The process should end then.
    pub fn failure(&self) -> impl Future<Output = Stopped> + Send + use<> {
        let watch = self.shared.failure.watch();
        let shared = Arc::downgrade(&self.shared);
        async move {
            // A store that is dropped without failing never fails.
            let failed = watch.await.ok().and_then(|()| shared.upgrade()?.failure.reason());
            match failed {
                Some(stopped) => stopped,
                None => std::future::pending().await,
            }
        }
    }

    /// Stops taking proposals, lets what is under way end, and makes the state durable so that the next start is short.
    pub fn stop(&self) -> impl Future<Output = Result<(), Stopped>> + Send + use<> {
        let shared = Arc::clone(&self.shared);
        shared.stopped.store(true, Ordering::Release);
        async move {
            shared.writer_barrier().await;
            shared.applying.lane().barrier().await;
            // Applying may have marked groups again.
            shared.writer_barrier().await;
            let flushing = Arc::clone(&shared);
            shared
                .flusher
                .run(move || match flushing.failure.reason() {
                    Some(stopped) => Err(stopped),
                    None => flushing.engine.flush().map_err(|error| Stopped(error.to_string())),
                })
                .await
        }
    }
}

/// One range of a store. Cheap to clone and to keep; see [`RangeHandle::is_gone`].
#[derive(Clone)]
pub struct RangeHandle {
    shared: Arc<Shared>,
    replica: Arc<Replica>,
}

impl RangeHandle {
    pub fn range(&self) -> RangeId {
        self.replica.range
    }

    /// Which replica of the range this is.
    pub fn replica(&self) -> ReplicaId {
        self.replica.id
    }

    /// Proposes a command. It is in the log when this returns, and applied when the future completes. Dropping the
    /// future does not take it back. If nobody else is writing, and this thread may block, it writes and applies by itself.
    pub fn propose(&self, command: Bytes) -> Proposal {
        self.propose_with(|state| state.propose(command))
    }

    /// Proposes a membership change; the machine sees its context as the command.
    pub fn propose_conf_change(&self, change: &ConfChange) -> Proposal {
        self.propose_with(|state| state.propose_conf_change(change))
    }

    fn propose_with(
        &self,
        propose: impl FnOnce(&mut ReplicaState) -> Result<Position, ProposalError>,
    ) -> Proposal {
        if self.shared.is_stopped() {
            return Proposal::refused(ProposalError::Busy("the store is stopping".to_string()));
        }
        let mut state = self.replica.state.lock();
        match propose(&mut state) {
            Ok(position) => {
                let receiver = state.waiters.add(position);
                let write_here = self.shared.mark_only(&self.replica);
                self.shared.tick_if_needed(&self.replica, &mut state);
                drop(state);
                if write_here {
                    self.shared.write_here();
                }
                if self.shared.failure.is_failed() {
                    // It failed since, and may have missed this waiter.
                    self.shared.abandon(&self.replica);
                }
                Proposal(Pending::Waiting(receiver))
            }
            Err(error) => Proposal::refused(error),
        }
    }

    /// The term that this store leads the range in with everything before it applied. One atomic load.
    pub fn leading(&self) -> Option<Term> {
        self.replica.leading()
    }

    pub fn applied_index(&self) -> Index {
        self.replica.applied_index()
    }

    pub fn status(&self) -> RangeStatus {
        self.replica.status()
    }

    /// As leader: how the other replicas are doing.
    pub fn followers(&self) -> Vec<FollowerStatus> {
        self.replica.state.lock().group.followers()
    }

    /// Asks for leadership.
    pub fn campaign(&self) {
        self.change(Group::campaign);
    }

    /// Wakes a sleeping group, because its leader's store is known to be dead.
    pub fn wake(&self) {
        self.change(Group::wake);
    }

    /// Hands leadership to another replica, as soon as that has the whole log.
    pub fn transfer_leadership(&self, to: ReplicaId) -> Result<(), raft::TransferError> {
        self.change(|group| group.transfer_leadership(raft_id(to)))
    }

    fn change<T>(&self, change: impl FnOnce(&mut Group) -> T) -> T {
        let mut state = self.replica.state.lock();
        self.shared.restrain(&mut state);
        let result = change(&mut state.group);
        self.shared.mark(&self.replica);
        self.shared.after_change(&self.replica, &mut state);
        result
    }

    /// Whether the replica was destroyed since the handle was taken.
    pub fn is_gone(&self) -> bool {
        self.replica.state.lock().destroyed
    }
}

/// A proposed command. Completes when it is applied on this store, or when it is known that it will not be.
#[must_use = "the command is proposed already; whether it was applied only this future knows"]
pub struct Proposal(Pending);

enum Pending {
    Refused(Option<ProposalError>),
    Waiting(oneshot::Receiver<Answer>),
}

impl Proposal {
    fn refused(error: ProposalError) -> Proposal {
        Proposal(Pending::Refused(Some(error)))
    }

    /// Whether it never got into the log.
    pub fn is_refused(&self) -> bool {
        matches!(self.0, Pending::Refused(_))
    }
}

impl Future for Proposal {
    type Output = Result<Applied, ProposalError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Pending::Refused(error) => {
                Poll::Ready(Err(error.take().expect("a completed future is not polled again")))
            }
            Pending::Waiting(receiver) => Pin::new(receiver).poll(context).map(|answer| {
                answer.unwrap_or_else(|_| Err(ProposalError::Unknown("the store is gone".to_string())))
            }),
        }
    }
}

/// The applied state that a range begins with.
pub(crate) fn first_state(new: &NewRange) -> AppliedState {
    AppliedState {
        position: Position { index: INITIAL_INDEX, term: INITIAL_TERM },
        base: INITIAL_INDEX,
        replica: new.replica,
        configuration: new.configuration.clone(),
    }
}

impl Shared {
    pub fn replica(&self, range: RangeId) -> Option<Arc<Replica>> {
        self.replicas.read().get(&range).cloned()
    }

    pub fn replicas(&self) -> Vec<Arc<Replica>> {
        self.replicas.read().values().cloned().collect()
    }

    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    // ---- ranges come and go -------------------------------------------------------------------------

    /// Opens the replica of a range whose applied state is known, with the log that was found for it.
    pub fn open_replica(&self, range: RangeId, applied: AppliedState) -> Result<Arc<Replica>, OpenError> {
        let replica = self.make_replica(range, applied)?;
        self.insert_replica(&replica);
        Ok(replica)
    }

    /// The same, but nobody finds it yet.
    pub fn make_replica(&self, range: RangeId, applied: AppliedState) -> Result<Arc<Replica>, OpenError> {
        let found = self.orphans.lock().remove(&range).unwrap_or_default();
        let reconciled = recovery::reconcile(range, &applied, found)?;
        if reconciled.discard {
            let mut batch = WriteBatch::new();
            batch.delete_range(Keyspace::RaftLog, &local::raft_log_span(range, 0, u64::MAX));
            record::put_truncated(&mut batch, range, reconciled.truncated);
            record::put_hard_state(&mut batch, range, reconciled.hard_state);
            self.engine.write(&batch, Durability::Synced)?;
        }
        let log = RangeLog {
            truncated: reconciled.truncated,
            last: reconciled.last,
            last_term: reconciled.last_term,
            bytes: reconciled.bytes,
            applied: applied.position,
            base: applied.base,
            configuration: applied.configuration.clone(),
            hard_state: reconciled.hard_state,
        };
        let config = raft::Config {
            id: raft_id(applied.replica),
            seed: self.env.entropy(),
            ..self.options.group.clone()
        };
        let stored = Stored {
            hard_state: reconciled.hard_state,
            applied: applied.position.index,
            configuration: applied.configuration,
        };
        let reader = StoredLog { engine: &*self.engine, range, log: &log };
        let group =
            Group::new(config, stored, &reader).map_err(|source| OpenError::Raft { range, source })?;
        Ok(Replica::new(range, applied.replica, group, log))
    }

    /// Lets a replica be found.
    pub fn insert_replica(&self, replica: &Arc<Replica>) {
        self.replicas.write().insert(replica.range, Arc::clone(replica));
    }

    /// Lets a replica run. It campaigns if nobody else could, or if `campaign` says so.
    pub fn start_replica(self: &Arc<Self>, replica: &Arc<Replica>, campaign: bool) {
        let mut state = replica.state.lock();
        let own = state.group.id();
        let alone = state.group.configuration().is_sole_voter(own);
        if alone && !std::mem::replace(&mut state.is_unsettled, true) {
            self.unsettled.fetch_add(1, Ordering::AcqRel);
        }
        self.restrain(&mut state);
        if campaign || alone {
            state.group.campaign();
        }
        self.mark(replica);
        self.after_change(replica, &mut state);
    }

    /// Takes a replica out of the map of all.
    pub fn remove_replica(&self, range: RangeId) -> Option<Arc<Replica>> {
        self.replicas.write().remove(&range)
    }

    /// Adds to a batch the applied state that a range begins with.
    pub fn put_new_range(&self, new: &NewRange, batch: &mut WriteBatch) {
        record::put_applied_state(batch, new.range, &first_state(new));
    }

    /// The tombstone says which replicas of the range may come after: those with the number in it and above.
    pub fn put_tombstone(&self, range: RangeId, ended: ReplicaId, batch: &mut WriteBatch) {
        let next = ended.get() + 1;
        batch.delete(Keyspace::RangeLocal, &record::applied_state_key(range));
        batch.put(Keyspace::RangeLocal, &local::range_item(range, RangeItem::Tombstone), &next.to_be_bytes());
    }

    /// The tombstone of a range that is no more: no replica of it may come after.
    pub fn put_last_tombstone(&self, range: RangeId, batch: &mut WriteBatch) {
        self.put_tombstone(range, ReplicaId(u32::MAX - 1), batch);
    }

    /// A replica has been destroyed. Its log stays until the destruction is known to be flushed: at the next opening.
    pub fn end_range(&self, range: RangeId) {
        let Some(replica) = self.remove_replica(range) else { return };
        let mut state = replica.state.lock();
        state.destroyed = true;
        state.waiters.fail(&ProposalError::NoSuchRange { was_proposed: true });
        if let Some(leadership) = replica.publish(&mut state) {
            self.machine.leadership_changed(range, leadership);
        }
        if std::mem::take(&mut state.is_unsettled) {
            self.settle(1);
        }
    }

    // ---- after every change -------------------------------------------------------------------------

    /// Publishes what a change has done to a replica, which is locked.
    pub fn after_change(self: &Arc<Self>, replica: &Arc<Replica>, state: &mut ReplicaState) {
        if let Some(leadership) = replica.publish(state) {
            self.machine.leadership_changed(replica.range, leadership);
        }
        // It may have led before anybody waited for it: `Store::create` starts the replicas that `Store::start` starts again.
        let leads = replica.leading().is_some();
        // Its log may tell that there are other voters by now: then it waits for nobody here.
        if state.is_unsettled && (leads || !state.group.configuration().is_sole_voter(state.group.id())) {
            state.is_unsettled = false;
            self.settle(1);
        }
        self.tick_if_needed(replica, state);
    }

    /// So many more ranges lead. Tells who waits for all of them.
    fn settle(&self, count: usize) {
        let update = |unsettled: usize| Some(unsettled.saturating_sub(count));
        // The closure always gives a value: the update cannot fail.
        let before = self.unsettled.fetch_update(Ordering::AcqRel, Ordering::Acquire, update).unwrap_or(0);
        if before.saturating_sub(count) == 0 || self.failure.is_failed() {
            for sender in self.settled.lock().drain(..) {
                // Who no longer waits does not need to know.
                let _ = sender.send(());
            }
        }
    }

    // ---- failure ------------------------------------------------------------------------------------

    /// Stops the store for good. May be called with a replica locked.
    pub fn fail(self: &Arc<Self>, reason: &str) {
        if !self.failure.set(reason) {
            return;
        }
        tracing::error!(reason, "the store has stopped");
        // On the flusher's lane: the caller may hold a replica's lock.
        let shared = Arc::clone(self);
        self.flusher.submit(move || {
            for replica in shared.replicas() {
                shared.abandon(&replica);
            }
            shared.settle(0);
        });
    }

    /// Tells who waits for a replica that the store has stopped.
    fn abandon(&self, replica: &Replica) {
        let reason = self.failure.reason().map_or_else(String::new, |stopped| stopped.0);
        replica.state.lock().waiters.fail(&ProposalError::Unknown(reason));
    }
}
