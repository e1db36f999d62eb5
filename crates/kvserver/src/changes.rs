//! Replicas come and go, and leases change hands.
//!
//! ```text
//!   add a learner ──▶ it gets a snapshot and the log ──▶ it is current ──▶ promote; exchange in one joint step
//!    {1,2,3} + 4'              (replication)                                {1,2,3}&{1,2,4} ──▶ {1,2,4}
//! ```
//!
//! Every step is a membership change of the Raft group whose context is a command with the new descriptor: both take effect at the
//! same entry, on every replica alike. Steps are guarded by the descriptor's generation; only one is under way at a time, because each holds the
//! latch of the descriptor. A leaseholder that dies between two steps leaves a range that is whole: the next one's
//! queue finds a learner, or a joint configuration, and ends what was begun.
//!
//! A replica that was removed may not hear of it: the others do not talk to it any more. It asks the range who its members are,
//! and ends itself ([`Inner::collect_replica`]).

use std::sync::Arc;
use std::time::Duration;

use clock::Timestamp;
use keys::{Key, NodeId, RangeId, ReplicaId, StoreId, local};
use kvapi::{
    BatchResponse, ChangeReplicasRequest, KvError, RangeDescriptor, ReplicaDescriptor, ReplicaKind, Response,
    TransferLeaseRequest,
};
use replication::{Change, ConfChange, Transition, raft_id};
use storage::mvcc::Statistics;
use storage::{Keyspace, WriteBatch};

use crate::command::{self, Effects, Head};
use crate::placing::SUSPECT_AFTER;
use crate::ranges::Ranges;
use crate::replica::Replica;
use crate::store::Inner;

/// How long a new replica may come no further on its way to the end of the log: its snapshot comes within this.
const CATCH_UP_STALL_MAX: Duration = Duration::from_secs(60);
/// How often is looked whether its node is still to get replicas.
const TARGET_LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// How long the store of a new replica may be silent meanwhile: then another is chosen sooner.
const CATCH_UP_SILENCE_MAX: Duration = Duration::from_secs(5);
/// How often is looked whether something has come about.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// How long a lease may take to change hands.
const TRANSFER_MAX: Duration = Duration::from_secs(3);

impl Inner {
    /// See [`ChangeReplicasRequest`].
    pub async fn change_replicas(
        self: &Arc<Self>,
        replica: Arc<Replica>,
        request: &ChangeReplicasRequest,
    ) -> Result<BatchResponse, KvError> {
        let descriptor = self.leased_descriptor(&replica, &request.key)?;
        if request.generation != 0 && descriptor.generation != request.generation {
            return Err(KvError::RangeMismatch { descriptors: vec![(*descriptor).clone()] });
        }
        if request.remove.contains(&self.ranges.config.store) {
            return Err(KvError::invalid("a leaseholder does not remove its own replica"));
        }
        let mut descriptor = (*descriptor).clone();
        if descriptor.is_joint() {
            descriptor = self.leave_joint(&replica, &descriptor).await?;
        }
        for (node, store) in &request.add {
            descriptor = self.add_learner(&replica, descriptor, *node, *store).await?;
        }
        let added: Vec<StoreId> = request.add.iter().map(|(_, store)| *store).collect();
        let caught_up = self.caught_up(&replica, &added).await;
        // The range may have been split meanwhile: then this half goes on.
        let mut descriptor = (*self.leased_descriptor(&replica, &request.key)?).clone();
        if let Err(error) = caught_up {
            // They are of no use as they are; whoever decides next may try others.
            drop(self.exchange(&replica, &descriptor, &[], &added).await);
            return Err(error);
        }
        descriptor = self.exchange(&replica, &descriptor, &added, &request.remove).await?;
        if descriptor.is_joint() {
            descriptor = self.leave_joint(&replica, &descriptor).await?;
        }
        let response = Response::Descriptor(Box::new(descriptor));
        Ok(self.respond(response, Timestamp::ZERO, Timestamp::ZERO))
    }

    fn leased_descriptor(&self, replica: &Replica, key: &Key) -> Result<Arc<RangeDescriptor>, KvError> {
        let mut state = replica.state.lock();
        state.check_lease(&self.ranges)?;
        state.check_key(key, &self.ranges)?;
        Ok(state.descriptor.clone())
    }

    async fn add_learner(
        &self,
        replica: &Arc<Replica>,
        before: RangeDescriptor,
        node: NodeId,
        store: StoreId,
    ) -> Result<RangeDescriptor, KvError> {
        match before.replica_on(store).map(|replica| replica.kind) {
            Some(ReplicaKind::Learner) => return Ok(before),
            Some(_) => return Err(KvError::invalid("the store has a replica of the range")),
            None => {}
        }
        let new = ReplicaDescriptor { node, store, replica: before.next_replica, kind: ReplicaKind::Learner };
        let mut after = RangeDescriptor {
            generation: before.generation + 1,
            next_replica: ReplicaId(before.next_replica.get() + 1),
            ..before
        };
        after.replicas.push(new);
        let change = ConfChange::simple(Change::AddLearner(raft_id(new.replica)));
        self.change(replica, change, &after).await?;
        Ok(after)
    }

    /// Completes when the replicas on these stores have the log. Fails as soon as one of them is not to be waited for.
    async fn caught_up(&self, replica: &Replica, stores: &[StoreId]) -> Result<(), KvError> {
        let unavailable = |why: String| Err(KvError::unavailable(format!("a new replica {why}")));
        let begin = self.env.monotonic();
        let (mut heard, mut looked) = (begin, begin);
        // How far they are, and since when.
        let mut reached = (0, begin);
        loop {
            let descriptor = replica.leased_descriptor()?;
            let followers = self.consensus()?.followers(replica.id);
            let mut lagging = 0;
            let mut matched = 0;
            for store in stores {
                let Some(there) = descriptor.replica_on(*store) else {
                    return unavailable(format!("on store {store} was removed by somebody else"));
                };
                let follower = followers.iter().find(|follower| follower.replica == there.replica);
                lagging += usize::from(!follower.is_some_and(|follower| follower.is_current));
                matched += follower.map_or(0, |follower| follower.matched);
            }
            let now = self.env.monotonic();
            if stores.iter().all(|store| self.ranges.liveness.is_supported_by(*store)) {
                heard = now;
                if lagging == 0 {
                    return Ok(());
                }
            }
            if matched > reached.0 {
                reached = (matched, now);
            }
            if self.tasks.is_stopped() {
                return unavailable("is not waited for: this node stops".to_string());
            }
            if now - heard >= CATCH_UP_SILENCE_MAX {
                return unavailable(format!("is on a store that is silent, among {stores:?}"));
            }
            if now - reached.1 >= CATCH_UP_STALL_MAX {
                return unavailable(format!("does not catch up: {followers:?}"));
            }
            if now - looked >= TARGET_LOOK_INTERVAL {
                looked = now;
                if now - reached.1 >= CATCH_UP_SILENCE_MAX {
                    tracing::debug!(range = %replica.id, ?stores, ?followers, "a new replica comes no further");
                }
                if let Some(store) = stores.iter().find(|store| !self.may_receive(**store)) {
                    return unavailable(format!(
                        "on store {store} is not wanted any more: its node leaves or is silent"
                    ));
                }
            }
            self.env.sleep(LOOK_INTERVAL).await;
        }
    }

    /// Whether the node of a store may get replicas, as far as it is known.
    pub(crate) fn may_receive(&self, store: StoreId) -> bool {
        let nodes = self.membership().map(|membership| membership.nodes()).unwrap_or_default();
        nodes.iter().find(|node| node.store == store).is_none_or(|node| node.takes_replicas(SUSPECT_AFTER))
    }

    /// Makes voters of learners, and removes replicas, in one step: joint if it moves more than one voter.
    async fn exchange(
        &self,
        replica: &Arc<Replica>,
        before: &RangeDescriptor,
        promote: &[StoreId],
        remove: &[StoreId],
    ) -> Result<RangeDescriptor, KvError> {
        let votes = |replica: &&ReplicaDescriptor| replica.kind == ReplicaKind::Voter;
        let going = before.replicas.iter().filter(|replica| remove.contains(&replica.store));
        let voters_moved = promote.len() + going.clone().filter(votes).count();
        let joint = voters_moved > 1;
        let mut changes = Vec::new();
        let mut after = RangeDescriptor { generation: before.generation + 1, ..before.clone() };
        after.replicas.clear();
        for replica in &before.replicas {
            let id = raft_id(replica.replica);
            let mut replica = *replica;
            if remove.contains(&replica.store) {
                changes.push(Change::Remove(id));
                if !(joint && replica.kind == ReplicaKind::Voter) {
                    continue;
                }
                replica.kind = ReplicaKind::VoterOutgoing;
            } else if promote.contains(&replica.store) && replica.kind == ReplicaKind::Learner {
                changes.push(Change::AddVoter(id));
                replica.kind = if joint { ReplicaKind::VoterIncoming } else { ReplicaKind::Voter };
            }
            after.replicas.push(replica);
        }
        if changes.is_empty() {
            return Ok(before.clone());
        }
        let transition = if joint { Transition::JointExplicit } else { Transition::Auto };
        let change = ConfChange { changes, transition, ..ConfChange::default() };
        self.change(replica, change, &after).await?;
        Ok(after)
    }

    /// Ends a step that moves several voters.
    pub(crate) async fn leave_joint(
        &self,
        replica: &Arc<Replica>,
        before: &RangeDescriptor,
    ) -> Result<RangeDescriptor, KvError> {
        let own = before.replica_on(self.ranges.config.store);
        if own.is_some_and(|own| own.kind == ReplicaKind::VoterOutgoing) {
            return Err(KvError::invalid("the leaseholder is on its way out: the lease must move first"));
        }
        let mut after = RangeDescriptor { generation: before.generation + 1, ..before.clone() };
        after.replicas.retain(|replica| replica.kind != ReplicaKind::VoterOutgoing);
        for replica in &mut after.replicas {
            if replica.kind == ReplicaKind::VoterIncoming {
                replica.kind = ReplicaKind::Voter;
            }
        }
        self.change(replica, ConfChange::leave(), &after).await?;
        Ok(after)
    }

    /// One step: the membership change with the descriptor as its context.
    async fn change(
        &self,
        replica: &Arc<Replica>,
        mut change: ConfChange,
        after: &RangeDescriptor,
    ) -> Result<(), KvError> {
        let start = &after.span.start;
        let record = local::range_descriptor(start);
        let sequenced = self.latch_record(replica, start, &record).await?;
        let before = replica.state.lock().descriptor.clone();
        if before.generation + 1 != after.generation || before.span != after.span {
            return Err(KvError::RangeMismatch { descriptors: vec![(*before).clone()] });
        }
        let mut batch = WriteBatch::new();
        batch.put(Keyspace::RangeLocal, &record, &after.encode());
        let effects = Effects { replicas: Some(Box::new(after.clone())), ..Effects::default() };
        let head = Head { term: sequenced.lease.term, delta: Statistics::default(), effects };
        change.context = command::encode(&head, &batch);
        let proposal = self.consensus()?.propose_change(replica.id, change);
        // A split that was evaluated while the change is in the log would take its descriptor back.
        self.fly(replica, sequenced, proposal, None).await
    }

    // ---- leases -------------------------------------------------------------------------------------

    /// See [`TransferLeaseRequest`].
    pub async fn transfer_lease(
        self: &Arc<Self>,
        replica: Arc<Replica>,
        request: &TransferLeaseRequest,
    ) -> Result<BatchResponse, KvError> {
        let done = || self.respond(Response::Done, Timestamp::ZERO, Timestamp::ZERO);
        let descriptor = self.leased_descriptor(&replica, &request.key)?;
        if request.to == self.ranges.config.store {
            return Ok(done());
        }
        let to = descriptor.replica_on(request.to).filter(|to| to.kind.is_incoming_voter());
        let to = to.ok_or_else(|| KvError::invalid("only a voter can take the lease"))?;
        let followers = self.consensus()?.followers(replica.id);
        let is_current = |follower: &&crate::Follower| follower.replica == to.replica && follower.is_current;
        if followers.iter().find(is_current).is_none() {
            return Err(KvError::unavailable("the replica that is to take the lease lags behind"));
        }
        self.record_open(&replica).await;
        let term = replica.state.lock().lease.map(|lease| lease.term);
        let transferred = self.consensus()?.transfer(replica.id, to.replica);
        transferred.map_err(KvError::unavailable)?;
        let deadline = self.env.monotonic() + TRANSFER_MAX;
        while self.env.monotonic() < deadline {
            let knows = self.consensus()?.knows_leader(replica.id);
            let lease = replica.state.lock().lease;
            if knows && lease.map(|lease| lease.term) != term {
                return Ok(done());
            }
            self.env.sleep(LOOK_INTERVAL).await;
        }
        Err(KvError::unavailable("the lease did not move in time"))
    }

    // ---- removed replicas ---------------------------------------------------------------------------

    /// Asks the range whether the replica here is still a member of it, and ends it if it is not. One call at a time: it is made by
    /// the task of the event queue alone.
    pub(crate) async fn collect_replica(self: &Arc<Self>, range: RangeId) -> Result<(), KvError> {
        let Ok(replica) = self.ranges.get(range) else { return Ok(()) };
        let own = replica.state.lock().descriptor.clone();
        let now = self.db()?.range_status(&own.span.start).await?.descriptor;
        let Some(own_id) = own.replica_on(self.ranges.config.store).map(|own| own.replica) else {
            return Ok(());
        };
        let is_over = now.id != range && Ranges::is_over(&own, &now.span, now.generation);
        let is_removed = now.id == range && now.generation > own.generation && now.replica(own_id).is_none();
        if !is_over && !is_removed {
            tracing::debug!(%range, ?own, ?now, "the replica here stays, as far as the range knows");
            return Ok(());
        }
        if is_over && let Some(left) = self.ranges.ending_at(&own.span.start) {
            let known = left.state.lock().descriptor.clone();
            let now = self.db()?.range_status(&known.span.start).await?.descriptor;
            if (now.id, now.generation) != (known.id, known.generation) {
                // It may be the one that has absorbed the range, and have yet to do so here: with what this replica holds.
                self.ranges.events.replaced.tell(left.id, ());
                return Ok(());
            }
        }
        // It may have ended by itself meanwhile, and a later one may be here.
        if !self.ranges.get(range).is_ok_and(|found| Arc::ptr_eq(&found, &replica)) {
            return Ok(());
        }
        tracing::info!(%range, is_over, "the replica here is no member of its range any more, and ends");
        // Nobody else may take the place before it is empty.
        if self.ranges.reserve(range, &own.span, false, 0).is_err() {
            return Err(KvError::unavailable("another range arrives in the place of one that ends"));
        }
        self.consensus()?.destroy(range, own_id).await;
        self.ranges.unreserve(range);
        Ok(())
    }
}
