//! Which neighbours are merged, and how their leases come to one store.
//!
//! A pair is merged if one is smaller than `range_bytes_min`, both together have at most half of what splits a range, in bytes and in requests, and
//! that was so at [`LOOKS_MIN`] looks in a row. Not across a key where something else is wanted (`placing`), nor one that a statement has asked for:
//! each range keeps why it was cut off ([`keys::local::RangeItem::Origin`]); one of which that is not known stays. System ranges stay.
//!
//! Leases are spread over the stores, and a merge needs both on one. So whoever leads the right one of two that could be merged hands it over to
//! whoever leads the left one, which merges them some looks later; the spreading of leases leaves them alone until it has measured them. All
//! stores with replicas of small neighbours see the same run of them, and pair them off from the left: `(1 2) (3 4) 5`. So nobody gives a lease to
//! somebody who is just giving away the other.
//!
//! Where their replicas are on different stores, the leaseholder of the right one moves its replicas to the left one's first, one range at a look; if it has
//! no replica of the left one, that one's leaseholder does it the other way round. If that knows nothing of the right one either, the two stay apart until
//! balance has brought something else about.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use keys::local::{RangeItem, range_item};
use keys::{RangeId, Span, StoreId};
use kvapi::{ChangeReplicasRequest, KvError, RangeDescriptor, ReplicaKind, TransferLeaseRequest};
use placement::SpanConfigs;
use storage::Keyspace;

use crate::moves::Receivers;
use crate::placing::is_system;
use crate::replica::Replica;
use crate::splits::SplitReason;
use crate::store::{Inner, storage_error};
use crate::tuning::StoreTuning;

/// Looks in a row at which two ranges were small and quiet, before something is done about them.
const LOOKS_MIN: u32 = 10;
/// Leases handed over at one look: each may take a while.
const HAND_OVERS_MAX: usize = 4;

/// At how many looks in a row pairs were small and quiet, by the ranges' ids. `None`: that they are apart was asked for.
#[derive(Default)]
pub(crate) struct Looks(BTreeMap<(RangeId, RangeId), Option<u32>>);

/// What is to be done about two neighbours.
pub(crate) struct Due {
    pub left: Arc<Replica>,
    pub right: Arc<Replica>,
    pub step: Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Both are leased here.
    Merge,
    /// The left one is led from there.
    HandOver(StoreId),
    /// This one's replicas go to where the other's are.
    Gather(RangeId),
}

/// A range of which there is a replica here.
struct Known {
    replica: Arc<Replica>,
    descriptor: Arc<RangeDescriptor>,
    /// As far as known.
    leaseholder: Option<StoreId>,
}

/// Whether one ends where the other begins, and all replicas of both are voters, as many of each.
fn are_alike(left: &RangeDescriptor, right: &RangeDescriptor) -> bool {
    let votes = |range: &RangeDescriptor| range.replicas.iter().all(|it| it.kind == ReplicaKind::Voter);
    let as_many = left.replicas.len() == right.replicas.len();
    left.span.end == right.span.start && votes(left) && votes(right) && as_many
}

/// Whether all replicas of both neighbours are voters, on the same stores.
pub(crate) fn are_together(left: &RangeDescriptor, right: &RangeDescriptor) -> bool {
    are_alike(left, right) && right.replicas.iter().all(|there| left.replica_on(there.store).is_some())
}

/// What brings two mergeable neighbours closer, and which store is to do it.
fn next_step(left: &Known, right: &Known) -> Option<(Step, StoreId)> {
    let (left_holder, right_holder) = (left.leaseholder?, right.leaseholder?);
    let (left, right) = (&left.descriptor, &right.descriptor);
    if are_together(left, right) {
        let step = if left_holder == right_holder { Step::Merge } else { Step::HandOver(left_holder) };
        Some((step, right_holder))
    } else if left.replica_on(right_holder).is_some() {
        Some((Step::Gather(right.id), right_holder))
    } else {
        right.replica_on(left_holder).map(|_| (Step::Gather(left.id), left_holder))
    }
}

impl Inner {
    /// The pairs that have been small and quiet for long enough, with what is to be done about each.
    pub(crate) fn mergeable(&self, looks: &mut Looks) -> Result<Vec<Due>, KvError> {
        let own = self.ranges.config.store;
        let mut known: Vec<Known> =
            self.ranges.all().into_iter().map(|replica| self.known(replica)).collect();
        known.sort_by(|a, b| a.descriptor.span.start.cmp(&b.descriptor.span.start));
        let tuning = self.ranges.tuning.get();
        let wanted = self.configs.known();
        let looks_min = if self.ranges.config.merges_eagerly { 1 } else { LOOKS_MIN };
        let before = std::mem::take(&mut looks.0);
        let mut due = Vec::new();
        let mut hand_overs = 0;
        // Whether the left one is the right one of a pair.
        let mut is_taken = false;
        for pair in known.windows(2) {
            let [left, right] = pair else { continue };
            let was_taken = std::mem::replace(&mut is_taken, false);
            if was_taken || !self.may_merge(left, right, &tuning, &wanted) {
                continue;
            }
            let Some((step, actor)) = next_step(left, right) else { continue };
            let ids = (left.descriptor.id, right.descriptor.id);
            let count = match before.get(&ids) {
                None if self.is_apart_on_purpose(ids.1)? => None,
                None => Some(1),
                Some(count) => count.map(|count| count.saturating_add(1)),
            };
            is_taken = count.is_some();
            let is_due = actor == own && count.is_some_and(|count| count >= looks_min);
            let has_room = match step {
                Step::Merge => true,
                Step::HandOver(_) => hand_overs < HAND_OVERS_MAX,
                Step::Gather(_) => due.iter().all(|due: &Due| !matches!(due.step, Step::Gather(_))),
            };
            if !is_due || !has_room {
                looks.0.insert(ids, count);
                continue;
            }
            hand_overs += usize::from(matches!(step, Step::HandOver(_)));
            // One that fails begins anew.
            due.push(Due { left: left.replica.clone(), right: right.replica.clone(), step });
        }
        let candidates = looks.0.values().flatten().count() + due.len();
        self.ranges.merges.set_candidates(candidates as u64);
        Ok(due)
    }

    fn known(&self, replica: Arc<Replica>) -> Known {
        let mut guard = replica.state.lock();
        let state = &mut *guard;
        let leaseholder = match state.check_lease(&self.ranges) {
            Ok(_) => Some(self.ranges.config.store),
            Err(_) => state.known_leader().map(|leader| leader.store),
        };
        let descriptor = state.descriptor.clone();
        drop(guard);
        Known { replica, descriptor, leaseholder }
    }

    /// Whether two neighbours are small and quiet, and nothing is in the way now.
    fn may_merge(&self, left: &Known, right: &Known, tuning: &StoreTuning, wanted: &SpanConfigs) -> bool {
        let size = |known: &Known| known.replica.size_bytes.load(Ordering::Relaxed);
        let (smaller, larger) = {
            let sizes = [size(left), size(right)];
            (sizes[0].min(sizes[1]), sizes[0].max(sizes[1]))
        };
        let is_eager = self.ranges.config.merges_eagerly;
        let together_max = if is_eager { tuning.range_bytes_max } else { tuning.range_bytes_max / 2 };
        if smaller >= tuning.range_bytes_min || smaller + larger > together_max {
            return false;
        }
        let is_alone = self.ranges.is_alone.load(Ordering::Relaxed);
        let rate = left.replica.heat.rate() + right.replica.heat.rate();
        if tuning.range_rate_max > 0 && !is_alone && rate > tuning.range_rate_max as f64 / 2.0 {
            return false;
        }
        let (left, right) = (&left.descriptor, &right.descriptor);
        let now = self.env.monotonic();
        if !are_alike(left, right)
            || is_system(left)
            || right.span.start == self.ranges.config.system_end
            || ![left, right].iter().all(|range| self.moves.is_due(range.id, now))
        {
            return false;
        }
        let whole = Span { start: left.span.start.clone(), end: right.span.end.clone() };
        wanted.border_in(&whole).is_none()
    }

    /// Whether a statement has asked for a range to begin where it does, or that is not known.
    fn is_apart_on_purpose(&self, right: RangeId) -> Result<bool, KvError> {
        let origin = range_item(right, RangeItem::Origin);
        let origin = self.ranges.engine.get(Keyspace::RangeLocal, &origin).map_err(storage_error)?;
        let reason = origin.as_deref().and_then(SplitReason::decode);
        let is_eager = self.ranges.config.merges_eagerly;
        Ok(reason.is_none_or(|reason| !is_eager && reason == SplitReason::Statement))
    }

    /// Hands a lease to the store that leads the left neighbour.
    pub(crate) async fn hand_over_to(
        self: &Arc<Self>,
        right: &Arc<Replica>,
        to: StoreId,
    ) -> Result<(), KvError> {
        let key = right.leased_descriptor()?.span.start.clone();
        self.transfer_lease(right.clone(), &TransferLeaseRequest { key, to }).await?;
        tracing::debug!(range = %right.id, %to, "a lease was handed over so that two ranges can be merged");
        Ok(())
    }

    /// Moves the replicas of a range, leased here, to the stores of its neighbour.
    pub(crate) async fn gather(
        self: &Arc<Self>,
        moving: &Arc<Replica>,
        neighbour: &Arc<Replica>,
    ) -> Result<(), KvError> {
        let to = neighbour.state.lock().descriptor.clone();
        let from = moving.leased_descriptor()?;
        let missing = |range: &RangeDescriptor, other: &RangeDescriptor| -> Vec<_> {
            let apart = range.replicas.iter().filter(|there| other.replica_on(there.store).is_none());
            apart.map(|there| (there.node, there.store)).collect()
        };
        let add = missing(&to, &from);
        let remove: Vec<StoreId> = missing(&from, &to).into_iter().map(|(_, store)| store).collect();
        if remove.contains(&self.ranges.config.store)
            || !add.iter().all(|(_, store)| self.may_receive(*store))
        {
            return Err(KvError::unavailable("the neighbour's stores do not take it now"));
        }
        let receivers: Receivers = add.iter().map(|(_, store)| *store).collect();
        if !self.moves.is_due(moving.id, self.env.monotonic())
            || !self.moves.has_slot()
            || !self.moves.has_room(&receivers)
        {
            return Err(KvError::unavailable("enough replicas are moved already"));
        }
        let slot = self.moves.begin(moving.id, receivers);
        let (key, generation) = (from.span.start.clone(), from.generation);
        let request = ChangeReplicasRequest { key, add, remove, generation };
        let result = self.change_replicas(moving.clone(), &request).await.map(drop);
        slot.end(result.is_err(), self.env.monotonic());
        result
    }
}
