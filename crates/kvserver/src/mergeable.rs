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
//! Not done: bringing replicas together. Neighbours whose replicas are on different stores stay apart until balance has put them on the same ones.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use keys::local::{RangeItem, range_item};
use keys::{RangeId, Span, StoreId};
use kvapi::{KvError, RangeDescriptor, ReplicaKind, TransferLeaseRequest};
use storage::Keyspace;

use crate::placing::is_system;
use crate::replica::Replica;
use crate::splits::SplitReason;
use crate::store::{Inner, storage_error};

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
}

/// A range of which there is a replica here.
struct Known {
    replica: Arc<Replica>,
    descriptor: Arc<RangeDescriptor>,
    /// As far as known.
    leaseholder: Option<StoreId>,
}

/// Whether all replicas of both are voters, on the same stores.
pub(crate) fn are_together(left: &RangeDescriptor, right: &RangeDescriptor) -> bool {
    let stores = |range: &RangeDescriptor| {
        let mut stores: Vec<StoreId> = range.replicas.iter().map(|replica| replica.store).collect();
        stores.sort_unstable();
        stores
    };
    let votes = |range: &RangeDescriptor| range.replicas.iter().all(|it| it.kind == ReplicaKind::Voter);
    left.span.end == right.span.start && votes(left) && votes(right) && stores(left) == stores(right)
}

impl Inner {
    /// The pairs that have been small and quiet for long enough, with what is to be done about each.
    pub(crate) fn mergeable(&self, looks: &mut Looks) -> Result<Vec<Due>, KvError> {
        let own = self.ranges.config.store;
        let mut known: Vec<Known> =
            self.ranges.all().into_iter().map(|replica| self.known(replica)).collect();
        known.sort_by(|a, b| a.descriptor.span.start.cmp(&b.descriptor.span.start));
        let looks_min = if self.ranges.config.merges_eagerly { 1 } else { LOOKS_MIN };
        let before = std::mem::take(&mut looks.0);
        let mut due = Vec::new();
        let mut hand_overs = 0;
        // Whether the left one is the right one of a pair.
        let mut is_taken = false;
        for pair in known.windows(2) {
            let [left, right] = pair else { continue };
            let was_taken = std::mem::replace(&mut is_taken, false);
            if was_taken || !self.may_merge(left, right) {
                continue;
            }
            let ids = (left.descriptor.id, right.descriptor.id);
            let count = match before.get(&ids) {
                None if self.is_apart_on_purpose(ids.1)? => None,
                None => Some(1),
                Some(count) => count.map(|count| count.saturating_add(1)),
            };
            is_taken = count.is_some();
            let step = match left.leaseholder {
                Some(store) if store == own => Step::Merge,
                Some(store) => Step::HandOver(store),
                None => continue,
            };
            let is_due = right.leaseholder == Some(own) && count.is_some_and(|count| count >= looks_min);
            let has_room = step == Step::Merge || hand_overs < HAND_OVERS_MAX;
            if !is_due || !has_room {
                looks.0.insert(ids, count);
                continue;
            }
            hand_overs += usize::from(step != Step::Merge);
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
            Err(_) => {
                state.leader.and_then(|leader| state.descriptor.replica(leader)).map(|there| there.store)
            }
        };
        let descriptor = state.descriptor.clone();
        drop(guard);
        Known { replica, descriptor, leaseholder }
    }

    /// Whether two neighbours are small and quiet, and nothing is in the way now.
    fn may_merge(&self, left: &Known, right: &Known) -> bool {
        let tuning = self.ranges.tuning.get();
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
        if !are_together(left, right)
            || is_system(left)
            || ![left, right].iter().all(|range| self.moves.is_due(range.id, now))
        {
            return false;
        }
        let whole = Span { start: left.span.start.clone(), end: right.span.end.clone() };
        self.configs.known().border_in(&whole).is_none()
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
}
