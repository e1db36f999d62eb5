//! Snapshots to other stores: a few at a time to each, and later again when one was refused.
//!
//! Many groups may find at the same moment that a replica of theirs needs a snapshot: a range was split a thousand times while
//! one of its replicas was away, a node is filled. If each sent at once and tried again with its next heartbeat, the
//! receiver would be busy with refusing, and those that the others wait for would not get their turn. So
//!
//! - to one store [`AT_ONCE_MAX`] snapshots are under way; the others wait in the order in which they came, which costs a parked task;
//! - one that has failed waits before it is reported to its group, the longer the more often (the group tries again after that).
//!
//! A wait is worth its time: the usual reason of a refusal is another range whose replica still holds the place, and which has to
//! get a snapshot of its own first.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use keys::StoreId;
use parking_lot::Mutex;
use raft::Message;
use stdx::{Backoff, Prng};
use tokio::sync::Semaphore;

use crate::replica::{Replica, ReplicaState};
use crate::store::Shared;
use crate::{SendError, SnapshotStream};

/// Snapshots under way from this store to one other.
const AT_ONCE_MAX: usize = 2;
/// How long a group waits after a failure.
const RETRY_WAIT_INITIAL: Duration = Duration::from_millis(100);
const RETRY_WAIT_MAX: Duration = Duration::from_secs(5);

/// Whose turn it is, by receiving store.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    /// Lock order: leaf.
    stores: Mutex<BTreeMap<StoreId, Arc<Semaphore>>>,
}

impl Turns {
    fn of(&self, store: StoreId) -> Arc<Semaphore> {
        let mut stores = self.stores.lock();
        Arc::clone(stores.entry(store).or_insert_with(|| Arc::new(Semaphore::new(AT_ONCE_MAX))))
    }
}

impl Shared {
    /// Reads a range's state and sends it when its turn comes, in a task of its own. The group hears how it ended.
    pub fn send_snapshot(self: &Arc<Self>, replica: Arc<Replica>, message: Message) {
        let shared = Arc::clone(self);
        let task = async move {
            let to = message.to;
            let result = shared.deliver_snapshot(&replica, message).await;
            let wait = shared.note_delivery(&replica, to, &result);
            if let Some(wait) = wait {
                shared.env.sleep(wait).await;
            }
            let mut state = replica.state.lock();
            state.group.report_snapshot(to, result.is_ok());
            shared.mark(&replica);
            shared.after_change(&replica, &mut state);
        };
        drop(self.env.spawn("raft-snapshot", Box::pin(task)));
    }

    /// How long the group is to wait before it is told of a failure.
    fn note_delivery(
        &self,
        replica: &Replica,
        to: raft::ReplicaId,
        result: &Result<(), SendError>,
    ) -> Option<Duration> {
        let mut state = replica.state.lock();
        let Err(error) = result else {
            state.snapshot_retries.remove(&to);
            return None;
        };
        let fresh = || Backoff::new(RETRY_WAIT_INITIAL, RETRY_WAIT_MAX);
        let retries = state.snapshot_retries.entry(to).or_insert_with(fresh);
        let wait = retries.next_wait(&mut Prng::new(self.env.entropy()));
        let attempts = retries.attempts();
        drop(state);
        // The first times are usual; one that goes on failing is told of ever more rarely.
        if attempts >= 4 && attempts.is_power_of_two() {
            tracing::info!(range = replica.range.get(), attempts, %error, "a snapshot is sent again later");
        } else {
            tracing::debug!(range = replica.range.get(), attempts, %error, "a snapshot is sent again later");
        }
        Some(wait)
    }

    async fn deliver_snapshot(&self, replica: &Replica, message: Message) -> Result<(), SendError> {
        let range = replica.range;
        let to = self.address(replica, &replica.state.lock(), message.to);
        let to = to.ok_or_else(|| SendError(format!("where replica {} is, is not known", message.to)))?;
        let turns = self.turns.of(to);
        let _turn = turns.acquire().await.map_err(|error| SendError(error.to_string()))?;
        if !still_sends(&replica.state.lock(), &message) {
            return Err(SendError(format!("range {range}: its leader has changed meanwhile")));
        }
        let parts = self.machine.snapshot_parts(range);
        let checkpoint = self.engine.checkpoint(&parts).map_err(|error| SendError(error.to_string()))?;
        let (from, stamp) = (self.own, self.machine.stamp(to));
        self.transport
            .send_snapshot(to, SnapshotStream { range, from, stamp, message, parts, checkpoint })
            .await
    }
}

/// Whether the replica still leads in the term in which the snapshot was decided on, with the receiver as a member.
fn still_sends(state: &ReplicaState, message: &Message) -> bool {
    let group = &state.group;
    !state.destroyed
        && group.is_leader()
        && group.term() == message.term
        && group.configuration().members().contains(&message.to)
}
