//! Sees to it that ranges are as they should be: the tasks around `liveness` and `placing`.
//!
//! | task | does |
//! | --- | --- |
//! | `store-liveness` | asks the neighbours for support, withdraws what has run out, closes timestamps |
//! | `store-support` | tells the groups whose promises have changed |
//! | `range-configs` | reads what is wanted of which ranges |
//! | `replicate` | looks at every range whose lease is here, and begins what is to be done; looks after replicas that may have been removed |
//! | `move` | one change of one range: a few at once, see `moves` |
//!
//! One move of a replica for balance per round. A round that finds no slot waits for one as long as the pause between rounds is; what is left is
//! looked at in the next. A range also ends where something else is wanted of its keys. A store without neighbours does next to nothing.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use env::timeout;
use keys::StoreId;
use kvapi::membership::Membership;
use kvapi::{ChangeReplicasRequest, Key, KvError, RangeDescriptor, RangeId, TransferLeaseRequest};
use placement::Decision;

use crate::liveness::{Change, RENEWAL};
use crate::moves::Receivers;
use crate::placing::{self, Decided, Placing};
use crate::replica::Replica;
use crate::splits::SplitReason;
use crate::store::{Inner, next_round};

/// How often promises are looked at.
const AUDIT: Duration = Duration::from_millis(100);
/// Renewals between two looks at who the neighbours are.
const NEIGHBOURS_EVERY: u32 = 4;
/// Renewals in which all stores are told who waits, after the last one has stopped waiting.
const WAITS_TOLD: u32 = 4;
/// Rounds in which a replica has known no leader, after which it asks whether it is still a member.
const LEADERLESS_ROUNDS: u32 = 3;
/// Rounds after which the next replica that seems to be well asks nevertheless.
const ASK_ANYWAY_ROUNDS: u32 = 30;

/// Starts the tasks.
pub(crate) fn start(inner: &Arc<Inner>, membership: Arc<dyn Membership>) -> Vec<env::TaskHandle> {
    let weak = || Arc::downgrade(inner);
    vec![
        inner.env.spawn("store-liveness", Box::pin(run_liveness(weak(), membership.clone()))),
        inner.env.spawn("store-support", Box::pin(run_support(weak()))),
        inner.env.spawn("range-configs", Box::pin(placing::run_configs(weak()))),
        inner.env.spawn("replicate", Box::pin(run_rounds(weak(), membership))),
    ]
}

async fn run_liveness(store: Weak<Inner>, membership: Arc<dyn Membership>) {
    let mut neighbours = Vec::new();
    let (mut renewals, mut next_renewal) = (0_u32, Duration::ZERO);
    // Renewals in which others are still told that nobody waits any more.
    let mut waits_told = 0;
    loop {
        let Some(inner) = store.upgrade() else { return };
        // Nothing was promised to anybody.
        let is_alone = neighbours.is_empty() && inner.ranges.is_alone.load(Ordering::Relaxed);
        let pause = inner.env.sleep(if is_alone { RENEWAL } else { AUDIT });
        inner.ranges.liveness.audit();
        let now = inner.env.monotonic();
        if now >= next_renewal {
            next_renewal = now + RENEWAL;
            if renewals % NEIGHBOURS_EVERY == 0 {
                inner.ranges.is_alone.store(membership.nodes().len() <= 1, Ordering::Relaxed);
                neighbours = inner.ranges.neighbours().into_iter().collect::<Vec<StoreId>>();
            }
            renewals = renewals.wrapping_add(1);
            inner.ranges.room.find_wide_deadlocks(now);
            let waits = !inner.ranges.room.edges().is_empty();
            waits_told = if waits { WAITS_TOLD } else { u32::saturating_sub(waits_told, 1) };
            // Leases need the neighbours; a deadlock may pass through any store.
            let others = waits_told > 0 && !inner.ranges.is_alone.load(Ordering::Relaxed);
            let all = others.then(|| membership.nodes().into_iter().map(|node| node.store));
            let all = all.map(|all| all.filter(|store| *store != inner.ranges.config.store).collect());
            if !neighbours.is_empty() {
                inner.close_ranges();
            }
            if let Ok(consensus) = inner.consensus() {
                let told: &Vec<StoreId> = all.as_ref().unwrap_or(&neighbours);
                told.iter().for_each(|store| consensus.send_stamp(*store));
            }
        }
        drop(inner);
        pause.await;
    }
}

async fn run_support(store: Weak<Inner>) {
    loop {
        let Some(ranges) = store.upgrade().map(|inner| inner.ranges.clone()) else { return };
        let changes = ranges.liveness.changes().await;
        drop(ranges);
        let Some(inner) = store.upgrade() else { return };
        let Ok(consensus) = inner.consensus() else { return };
        for change in changes {
            match change {
                Change::Withdrawn(store) => {
                    consensus.reconsider(store, true);
                    consensus.send_stamp(store);
                }
                Change::Supported(store) => consensus.reconsider(store, false),
                Change::Answer(store) => consensus.send_stamp(store),
            }
        }
    }
}

/// What a store's rounds remember.
#[derive(Default)]
struct Rounds {
    count: u32,
    /// How long replicas have known no leader.
    leaderless: std::collections::BTreeMap<RangeId, u32>,
    /// Where the turn to ask anyway has come to.
    asked: RangeId,
}

async fn run_rounds(store: Weak<Inner>, membership: Arc<dyn Membership>) {
    let mut rounds = Rounds::default();
    let mut placing = Placing::new();
    loop {
        let Some(inner) = next_round(&store, |_, tuning| tuning.replicate_interval).await else { return };
        inner.replicate_round(&*membership, &mut placing).await;
        inner.collect_round(&mut rounds);
    }
}

/// What is done about one range.
#[derive(Clone, Debug)]
enum Step {
    /// Something else is wanted of it from here on.
    Split(Key),
    Place(Decision),
}

impl Step {
    fn receivers(&self) -> Receivers {
        match self {
            Step::Split(_) => Receivers::new(),
            Step::Place(decision) => placing::receivers(decision),
        }
    }
}

impl Inner {
    /// Looks at every range whose lease is here.
    async fn replicate_round(self: &Arc<Self>, membership: &dyn Membership, placing: &mut Placing) {
        let replicas = self.ranges.all();
        membership.publish_capacity(placing.capacity(self, &replicas));
        placing.begin_round();
        let nodes = membership.nodes().len();
        let is_alone = nodes <= 1;
        let mut picture = placing.picture(self, membership);
        let wait_until = self.env.monotonic() + self.ranges.tuning.get().replicate_interval;
        self.moves.retain(|range| replicas.iter().any(|replica| replica.id == range));
        for replica in replicas {
            // Again after a wait for a slot, or for room on the stores that are to get something.
            while !self.tasks.is_stopped() && self.moves.is_due(replica.id, self.env.monotonic()) {
                let Some(descriptor) = self.leased(&replica) else { break };
                let border = self.border_in(&descriptor, nodes).filter(|_| !descriptor.is_joint());
                if is_alone && border.is_none() {
                    break;
                }
                let has_slot = self.moves.has_slot();
                let step = match border {
                    Some(at) if has_slot => Some(Step::Split(at)),
                    None if has_slot => {
                        if placing.is_old(self, &picture) {
                            picture = placing.picture(self, membership);
                        }
                        match placing.decide(self, &mut picture, &replica, &descriptor) {
                            Decided::Do(decision) => Some(Step::Place(decision)),
                            Decided::Nothing => break,
                            Decided::NoRoom => None,
                        }
                    }
                    _ => None,
                };
                if let Some(step) = step {
                    self.begin_move(&replica, descriptor, step);
                    break;
                }
                let left = wait_until.saturating_sub(self.env.monotonic());
                if left.is_zero() || timeout(&*self.env, left, self.moves.freed()).await.is_err() {
                    break;
                }
            }
        }
        placing.end_round(self.env.monotonic());
    }

    /// Has something done about a range. What fails is not tried again at once.
    fn begin_move(self: &Arc<Self>, replica: &Arc<Replica>, descriptor: RangeDescriptor, step: Step) {
        let slot = self.moves.begin(replica.id, step.receivers());
        let (inner, replica) = (self.clone(), replica.clone());
        let task = async move {
            let outcome = inner.execute(&replica, &descriptor, step.clone()).await;
            let wait = slot.end(outcome.is_err(), inner.env.monotonic());
            if let (Err(error), Some(wait)) = (outcome, wait) {
                let range = replica.id;
                tracing::debug!(%error, %range, ?step, ?wait, "a range is not as it should be yet");
            }
        };
        drop(self.env.spawn("move", Box::pin(task)));
    }

    pub(crate) fn leased(&self, replica: &Replica) -> Option<RangeDescriptor> {
        let mut state = replica.state.lock();
        state.check_lease(&self.ranges).ok()?;
        Some((*state.descriptor).clone())
    }

    async fn execute(
        self: &Arc<Self>,
        replica: &Arc<Replica>,
        descriptor: &RangeDescriptor,
        step: Step,
    ) -> Result<(), KvError> {
        let key = descriptor.span.start.clone();
        match step {
            Step::Split(at) => self.split_for(replica.clone(), at, SplitReason::Border).await.map(drop),
            Step::Place(Decision::LeaveJoint) => self.leave_joint(replica, descriptor).await.map(drop),
            Step::Place(Decision::TransferLease { to, .. }) => {
                self.transfer_lease(replica.clone(), &TransferLeaseRequest { key, to }).await.map(drop)
            }
            Step::Place(Decision::Change { add, remove, .. }) => {
                let generation = descriptor.generation;
                let request = ChangeReplicasRequest { key, add, remove, generation };
                self.change_replicas(replica.clone(), &request).await.map(drop)
            }
        }
    }

    /// Looks for replicas that may have been removed from their ranges without knowing it.
    fn collect_round(self: &Arc<Self>, rounds: &mut Rounds) {
        let Ok(consensus) = self.consensus() else { return };
        consensus.drop_waiting();
        rounds.count = rounds.count.wrapping_add(1);
        let unled = |replica: &Arc<Replica>| replica.state.lock().lease.is_none();
        let unled: Vec<RangeId> = self.ranges.all().iter().filter(|r| unled(r)).map(|r| r.id).collect();
        rounds.leaderless.retain(|range, _| unled.contains(range));
        let mut suspect = None;
        for range in &unled {
            if consensus.knows_leader(*range) {
                rounds.leaderless.remove(range);
                continue;
            }
            let count = rounds.leaderless.entry(*range).or_default();
            *count += 1;
            if *count >= LEADERLESS_ROUNDS {
                *count = 0;
                suspect = suspect.or(Some(*range));
            }
        }
        if suspect.is_none() && rounds.count % ASK_ANYWAY_ROUNDS == 0 {
            let next = unled.iter().find(|range| **range > rounds.asked).or(unled.first());
            suspect = next.copied();
            rounds.asked = suspect.unwrap_or_default();
        }
        if let Some(range) = suspect {
            self.ranges.events.replaced.tell(range, ());
        }
    }

    /// Hands over all leases, as far as others can take them, within some time. Answers with how many are left.
    pub(crate) async fn hand_over_leases(self: &Arc<Self>, limit: Duration) -> usize {
        let deadline = self.env.monotonic() + limit;
        loop {
            let mut left = 0;
            for replica in self.ranges.all() {
                let Some(descriptor) = self.leased(&replica) else { continue };
                if descriptor.replicas.len() == 1 {
                    continue;
                }
                left += 1;
                let Ok(consensus) = self.consensus() else { return left };
                let followers = consensus.followers(replica.id);
                let current = |id| followers.iter().any(|f| f.replica == id && f.is_current && f.is_active);
                let own = self.ranges.config.store;
                let mut others = descriptor.replicas.iter().filter(|other| other.store != own);
                let to = others.find(|other| other.kind.is_incoming_voter() && current(other.replica));
                let Some(to) = to.map(|to| to.store) else { continue };
                let key = descriptor.span.start.clone();
                match self.transfer_lease(replica.clone(), &TransferLeaseRequest { key, to }).await {
                    Ok(_) => left -= 1,
                    Err(error) => tracing::debug!(%error, range = %replica.id, "a lease stays for now"),
                }
            }
            if left == 0 || self.env.monotonic() >= deadline {
                return left;
            }
            self.env.sleep(AUDIT).await;
        }
    }
}
