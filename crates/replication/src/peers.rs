//! The other stores: where their replicas are, what was promised to them, and replicas that exist only because they said so.
//!
//! # Promises
//!
//! A store may *support* another in an epoch (see [`StateMachine::supports`]): a promise that its replicas do not help to depose
//! leaders there. A promise is about one leader in one term, so a replica makes it by answering that leader: the envelope of the answer
//! carries the epoch, and the replica remembers it ([`Kept`]). From then on, until its store's epoch changes, it neither campaigns nor
//! votes, awake or asleep. A leader may so rely on a quorum without a message per range, as long as its store hears
//! from the stores.
//!
//! ```text
//!   leader                                   follower
//!     Append, Heartbeat ------------------->   follows it in this term
//!     followed(term, epoch) <---------------   answer, epoch = supports(the leader's store), remembered as kept
//!            ... both asleep; the stores keep the epoch alive between them ...
//!                                              the store withdraws: epoch over -> `reconsider`: wake, campaign
//! ```
//!
//! The promise ends with the leader as well: when the follower has applied the change that removes it, or hears from the leader's store that its
//! replica has ended there. A follower that hears nothing from a leader that it keeps asks.
//!
//! # Replicas that wait
//!
//! A replica that is added to a range hears of it by the leader's messages: it begins with nothing ([`Shared::create_waiting`])
//! and gets a snapshot. It may also be that the range is the right half of a split that was not applied here yet. Then the
//! split finds the waiting replica, and takes over its vote.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use keys::local::{RangeItem, range_item};
use keys::{RangeId, ReplicaId, StoreId};
use raft::{Body, Group, HardState, Index, Message, Position, Restraint};
use storage::{Durability, Keyspace, StorageError, WriteBatch};

use crate::record::AppliedState;
use crate::recovery::FoundLog;
use crate::replica::{Applying, Replica, ReplicaState};
use crate::seam::replica_id;
use crate::store::Shared;
use crate::{Envelope, OpenError, RaftBatch};

/// Ticks after which a campaign that got no answer is tried again, when a leader's store is known to be dead.
const RETRY_TICKS: u32 = 3;
/// Ticks between the campaigns of two replicas that lost the same leader: so that they do not split the votes.
const STAGGER_TICKS: u32 = 2;

/// The support that was promised to the leader of the present term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub store: StoreId,
    pub epoch: u64,
}

impl Shared {
    // ---- promises -----------------------------------------------------------------------------------

    /// Tells a group, which is about to be stepped or ticked, what its store has promised.
    pub fn restrain(&self, state: &mut ReplicaState) {
        let group = &state.group;
        if group.configuration().is_alone(group.id()) {
            return;
        }
        let restraint = if self.machine.is_forgetful() {
            Restraint::Forgetful
        } else if state.kept.is_some_and(|kept| self.machine.supports(kept.store) == kept.epoch) {
            Restraint::KeepsLeader
        } else {
            Restraint::None
        };
        state.group.set_restraint(restraint);
    }

    /// Tells a leader, which is about to be ticked, which followers' stores are not heard from. It stays awake while another has not
    /// promised to follow in the present epoch: nobody would ask it again, and the lease that rests on the promise would be gone for good.
    pub fn note_absent(&self, replica: &Replica, state: &mut ReplicaState) {
        if !state.group.is_leader() {
            return;
        }
        let (own, term) = (state.group.id(), state.group.term());
        let mut absent = Vec::new();
        let mut is_promised = true;
        for id in state.group.configuration().members() {
            let Some(store) = self.address(replica, state, id).filter(|_| id != own) else { continue };
            if !self.machine.is_supported_by(store) {
                absent.push(id);
                continue;
            }
            let promise = replica_id(id).and_then(|id| state.followers.get(&id));
            let epoch = promise.filter(|(promised, _)| *promised == term).map_or(0, |(_, epoch)| *epoch);
            is_promised &= self.machine.is_promised_by(store, epoch);
        }
        state.group.set_absent(absent);
        if !is_promised {
            state.group.stay_awake();
        }
    }

    /// The epoch to be sent with a message: not zero if it is an answer to the leader that this replica still follows.
    pub fn promise(&self, state: &mut ReplicaState, message: &Message, to: StoreId) -> u64 {
        let answers = matches!(
            message.body,
            Body::AppendResponse { .. } | Body::AppendRejected { .. } | Body::HeartbeatResponse { .. }
        );
        let group = &state.group;
        if !answers || message.term != group.term() || group.leader() != Some(message.to) {
            return 0;
        }
        let epoch = self.machine.supports(to);
        state.kept = (epoch != 0).then_some(Kept { store: to, epoch });
        epoch
    }

    /// A message has been taken in. Tells the machine if a follower's promise came with it.
    pub fn note_followed(&self, replica: &Replica, state: &mut ReplicaState, from: ReplicaId, epoch: u64) {
        let term = state.group.term();
        if epoch == 0 || !state.group.is_leader() || state.followers.get(&from) == Some(&(term, epoch)) {
            return;
        }
        state.followers.insert(from, (term, epoch));
        self.machine.followed(replica.range, from, term, epoch);
    }

    /// See [`crate::Store::reconsider`].
    pub fn reconsider(self: &Arc<Self>, store: StoreId, campaign: bool) {
        for replica in self.replicas() {
            let mut guard = replica.state.lock();
            let state = &mut *guard;
            if state.destroyed {
                continue;
            }
            let own = state.group.id();
            if state.group.is_leader() {
                let members = state.group.configuration().members();
                let affected = members
                    .into_iter()
                    .any(|member| member != own && self.address(&replica, state, member) == Some(store));
                if affected {
                    state.group.wake();
                }
            } else if let Some(leader) = state.group.leader() {
                if self.address(&replica, state, leader) != Some(store) {
                    continue;
                }
                self.restrain(state);
                let kept = state.kept.is_some_and(|kept| self.machine.supports(kept.store) == kept.epoch);
                if kept {
                    continue;
                }
                state.group.wake();
                if campaign {
                    self.campaign_after(state, leader);
                }
            }
            self.mark(&replica);
            self.after_change(&replica, state);
        }
    }

    /// The leader's store is dead: the first of the others campaigns now, and whoever was asked by one before it could answer; the next
    /// ones soon. The first may be refused because the others find out later, and tries again; they must not campaign just then.
    fn campaign_after(&self, state: &mut ReplicaState, leader: raft::ReplicaId) {
        let own = state.group.id();
        let voters = state.group.configuration().members();
        let rank = voters.iter().filter(|id| **id != leader).take_while(|id| **id != own).count() as u32;
        if rank == 0 || state.group.is_asked() {
            state.group.campaign();
            state.group.hasten(RETRY_TICKS);
        } else {
            state.group.hasten(rank * STAGGER_TICKS);
        }
    }

    // ---- addresses ----------------------------------------------------------------------------------

    /// Where another replica of the range is.
    pub fn address(&self, replica: &Replica, state: &ReplicaState, of: raft::ReplicaId) -> Option<StoreId> {
        let of = replica_id(of)?;
        self.machine.store_of(replica.range, of).or_else(|| state.addresses.get(&of).copied())
    }

    // ---- replicas that wait -------------------------------------------------------------------------

    /// The replica that a message is for. Made if it does not exist and may; `None` drops the message.
    pub fn addressee(self: &Arc<Self>, range: RangeId, message: &Message) -> Option<Arc<Replica>> {
        let to = replica_id(message.to)?;
        match self.replica(range) {
            Some(replica) if replica.id == to => return Some(replica),
            Some(replica) if replica.id > to => return None,
            Some(replica) => {
                // The one here was removed while this store was away.
                if !self.drop_if_waiting(&replica) {
                    self.machine.replaced(range, replica.id);
                    return None;
                }
            }
            None => {}
        }
        let may_begin = matches!(
            message.body,
            Body::Append { .. }
                | Body::Heartbeat { .. }
                | Body::Snapshot(_)
                | Body::Vote { .. }
                | Body::PreVote { .. }
        );
        if !may_begin || self.failure.is_failed() || self.is_stopped() {
            return None;
        }
        match self.create_waiting(range, to) {
            Ok(replica) => replica,
            Err(error) => {
                self.fail(&format!("range {range}: a replica cannot be made: {error}"));
                None
            }
        }
    }

    /// Makes a replica without anything, unless the range is here or the replica was destroyed here before.
    pub fn create_waiting(
        self: &Arc<Self>,
        range: RangeId,
        id: ReplicaId,
    ) -> Result<Option<Arc<Replica>>, OpenError> {
        let _making = self.making.lock();
        if let Some(replica) = self.replica(range) {
            return Ok((replica.id == id).then_some(replica));
        }
        let is_orphan = |found: &FoundLog| found.entries.is_some() || found.truncated.is_some();
        if self.orphans.lock().get(&range).is_some_and(is_orphan) {
            // It is to come to life by its parent's split, with what it has acknowledged.
            return Ok(None);
        }
        if self.is_entombed(range, id)? {
            return Ok(None);
        }
        self.bury(range)?;
        let applied = AppliedState {
            position: Position::default(),
            base: Index::ZERO,
            replica: id,
            configuration: raft::Configuration::default(),
        };
        let replica = self.open_replica(range, applied)?;
        self.start_replica(&replica, false);
        Ok(Some(replica))
    }

    /// Whether the replica was destroyed here.
    fn is_entombed(&self, range: RangeId, id: ReplicaId) -> Result<bool, StorageError> {
        let tombstone = self.engine.get(Keyspace::RangeLocal, &range_item(range, RangeItem::Tombstone))?;
        let next = tombstone.as_deref().and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
        Ok(next.is_some_and(|next| id.get() < u32::from_be_bytes(next)))
    }

    /// Nobody takes the message. If that is because its addressee has ended, a sender that waits for it is told.
    pub fn answer_for_gone(&self, from: StoreId, range: RangeId, message: &Message) {
        let (Some(id), Some(answer)) = (replica_id(message.to), Group::answer_for_gone(message)) else {
            return;
        };
        let is_gone = match self.replica(range) {
            Some(later) => Ok(later.id > id),
            None => self.is_entombed(range, id),
        };
        // Whoever could not be told asks again.
        if is_gone.unwrap_or(false) {
            let envelope = Envelope { range, support: 0, message: answer };
            let stamp = self.machine.stamp(from);
            self.transport.send(from, RaftBatch { from: self.own, stamp, envelopes: vec![envelope] });
        }
    }

    fn drop_if_waiting(&self, replica: &Arc<Replica>) -> bool {
        if !replica.state.lock().is_waiting() {
            return false;
        }
        self.retire(replica);
        true
    }

    /// Takes a replica that waits out of service.
    pub fn retire(&self, replica: &Arc<Replica>) -> HardState {
        self.remove_replica(replica.range);
        let mut state = replica.state.lock();
        state.destroyed = true;
        state.incoming.clear();
        state.group.hard_state()
    }

    /// See [`crate::Store::destroy`].
    pub async fn destroy(self: Arc<Self>, range: RangeId, id: ReplicaId) {
        let is_it = |replica: &Arc<Replica>| replica.id == id;
        let Some(replica) = self.replica(range).filter(is_it) else { return };
        loop {
            if self.failure.is_failed() {
                return;
            }
            if !replica.is_replaying() {
                let mut state = replica.state.lock();
                // Whatever is queued is not applied any more; what is being applied must end first.
                state.destroyed = true;
                if !matches!(state.applying, Applying::Running) {
                    break;
                }
            }
            self.env.sleep(self.options.tick / 20).await;
        }
        // It may have ended by what was being applied, or by another call.
        if self.replica(range).filter(is_it).is_none() {
            return;
        }
        let mut batch = WriteBatch::new();
        // Asked for only now: a split may have been the last thing that was applied.
        for (keyspace, span) in &self.machine.snapshot_parts(range) {
            batch.delete_range(*keyspace, span);
        }
        self.machine.ends(range);
        self.put_tombstone(range, id, &mut batch);
        let shared = Arc::clone(&self);
        let deleted = self.flusher.run(move || shared.engine.write(&batch, Durability::Buffered)).await;
        match deleted {
            Ok(()) => self.end_range(range),
            Err(error) => self.fail(&format!("range {range}: deleting its replica: {error}")),
        }
    }

    /// See [`crate::Store::drop_waiting`].
    pub fn drop_waiting(&self, ticks_min: u64) {
        for replica in self.replicas() {
            let waits = {
                let state = replica.state.lock();
                state.is_waiting() && state.ticks >= ticks_min && state.incoming.is_empty()
            };
            if waits {
                let hard_state = self.retire(&replica);
                let found = FoundLog { hard_state: Some(hard_state), ..FoundLog::default() };
                self.orphans.lock().insert(replica.range, found);
                replica.marked.store(false, Ordering::Release);
            }
        }
    }
}
