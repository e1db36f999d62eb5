//! Notifications on their way to the other nodes.
//!
//! ```text
//!   committed ──▶ a queue per node ──▶ one task while there is something in it ──tell──▶ hear ──▶ inboxes there
//!      (under the order lock)              told again with the same numbers              a number heard before: dropped
//!                                          until the node is given up
//! ```
//!
//! - A queue is filled under the order lock and emptied by one task: every node hears the messages of this one in the order of their commits.
//! - Each message has a number that rises, and the *run* of the teller, which differs after every start. Who tells again, because no answer came, tells
//!   the same numbers; the hearer takes of each run only what is above what it has heard.
//! - Before it is told, the teller's clock has passed the commit, and the hearer's passes the teller's: whoever reads because of a
//!   message sees what its transaction did.
//! - A node that cannot be reached misses messages, as one that is down does: nothing is kept for it beyond [`PATIENCE`]. PostgreSQL loses what has
//!   not been delivered in a crash as well.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use env::{Env, timeout};
use kvapi::{NodeId, ReportRow, Standing, report_row};
use kvclient::{Db, Timestamp};
use parking_lot::Mutex;
use pgserver::Notification;
use types::descriptor::Oid;

use crate::cluster::{Surroundings, topics};

/// Messages and their bytes that wait for one node at most.
const QUEUE_COUNT_MAX: usize = 100_000;
const QUEUE_BYTES_MAX: usize = 64 << 20;
/// What is told at once.
const CALL_COUNT_MAX: usize = 1_000;
const CALL_BYTES_MAX: usize = 1 << 20;
/// How long one call may take, and how long a node may fail to answer until what waits for it is given up.
const CALL_TIME_MAX: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(50);

/// A message for another node.
#[derive(Clone)]
struct Message {
    number: i64,
    database: Oid,
    /// The commit of its transaction.
    after: Timestamp,
    notification: Notification,
}

impl Message {
    fn size(&self) -> usize {
        size_of::<Message>() + self.notification.channel.len() + self.notification.payload.len()
    }

    fn row(&self, run: i64) -> ReportRow {
        let Notification { process_id, channel, payload } = &self.notification;
        let (database, process_id) = (i64::from(self.database.0), i64::from(*process_id));
        report_row![run, self.number, database, process_id, &**channel, &**payload]
    }
}

/// - `bytes` is the size of all of `waiting`.
/// - a task works on it while `is_busy`; what it tells is still in `waiting`.
#[derive(Default)]
struct Queue {
    waiting: VecDeque<Message>,
    bytes: usize,
    is_busy: bool,
}

impl Queue {
    fn forget(&mut self, count: usize) {
        for message in self.waiting.drain(..count) {
            self.bytes -= message.size();
        }
    }
}

/// The way to the other nodes.
pub(super) struct Abroad {
    env: Arc<dyn Env>,
    db: Db,
    own: NodeId,
    surroundings: Arc<dyn Surroundings>,
    /// Tells the starts of this node apart.
    run: OnceLock<i64>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    last_number: i64,
    queues: BTreeMap<NodeId, Queue>,
}

impl Abroad {
    pub fn new(env: Arc<dyn Env>, db: Db, own: NodeId, surroundings: Arc<dyn Surroundings>) -> Abroad {
        Abroad { env, db, own, surroundings, run: OnceLock::new(), state: Mutex::default() }
    }

    /// The others that can be reached.
    fn others(&self) -> impl Iterator<Item = NodeId> + '_ {
        let nodes = self.surroundings.nodes().into_iter();
        let reached = nodes.filter(|known| {
            known.info.node != self.own
                && known.info.standing != Standing::Decommissioned
                && known.unreachable.is_none()
        });
        reached.map(|known| known.info.node)
    }

    /// Whether every queue has room for some more.
    pub fn has_room(&self, count: usize, bytes: usize) -> bool {
        let state = self.state.lock();
        let fits = |queue: &Queue| {
            queue.waiting.len() + count <= QUEUE_COUNT_MAX && queue.bytes + bytes <= QUEUE_BYTES_MAX
        };
        state.queues.values().all(fits)
    }

    /// The fraction of the room that is taken in the fullest queue.
    pub fn usage(&self) -> f64 {
        let state = self.state.lock();
        let fullest = state.queues.values().map(|queue| queue.waiting.len()).max();
        fullest.unwrap_or(0) as f64 / QUEUE_COUNT_MAX as f64
    }

    /// Sends messages of a transaction to all other nodes. Called in the order of the commits.
    pub fn send(self: &Arc<Self>, database: Oid, after: Timestamp, notifications: &[Notification]) {
        let others: Vec<NodeId> = self.others().collect();
        if others.is_empty() || notifications.is_empty() {
            return;
        }
        let mut state = self.state.lock();
        let first = state.last_number + 1;
        state.last_number += notifications.len() as i64;
        for node in others {
            let queue = state.queues.entry(node).or_default();
            for (number, notification) in (first..).zip(notifications) {
                let notification = notification.clone();
                let message = Message { number, database, after, notification };
                queue.bytes += message.size();
                queue.waiting.push_back(message);
            }
            if !std::mem::replace(&mut queue.is_busy, true) {
                let task = self.clone().work(node);
                drop(self.env.spawn("notifications", Box::pin(task)));
            }
        }
    }

    /// What is to be told next; nothing: the task is over.
    fn next(&self, node: NodeId) -> Vec<Message> {
        let mut state = self.state.lock();
        let Some(queue) = state.queues.get_mut(&node) else { return Vec::new() };
        let mut bytes_left = CALL_BYTES_MAX;
        let fits = |message: &&Message| {
            let is_first = bytes_left == CALL_BYTES_MAX;
            let fits = is_first || message.size() <= bytes_left;
            bytes_left = bytes_left.saturating_sub(message.size());
            fits
        };
        let batch: Vec<Message> =
            queue.waiting.iter().take(CALL_COUNT_MAX).take_while(fits).cloned().collect();
        if batch.is_empty() {
            state.queues.remove(&node);
        }
        batch
    }

    async fn work(self: Arc<Self>, node: NodeId) {
        loop {
            let batch = self.next(node);
            let Some(last) = batch.last() else { return };
            while self.db.now() <= last.after {
                self.env.sleep(last.after.wall_since(self.db.now()) + Duration::from_millis(1)).await;
            }
            let told = self.tell(node, &batch).await;
            let mut state = self.state.lock();
            let Some(queue) = state.queues.get_mut(&node) else { return };
            let count = if told.is_ok() { batch.len() } else { queue.waiting.len() };
            queue.forget(count);
            if let Err(reason) = told {
                tracing::warn!(%node, count, reason, "notifications are lost to a node that cannot be reached");
            }
        }
    }

    async fn tell(&self, node: NodeId, batch: &[Message]) -> Result<(), String> {
        let deadline = self.env.monotonic() + PATIENCE;
        loop {
            let run = *self.run.get_or_init(|| self.db.unique_numbers(1));
            let rows = batch.iter().map(|message| message.row(run)).collect();
            let call = self.surroundings.tell(node, topics::NOTIFICATIONS, rows);
            let reason = match timeout(&*self.env, CALL_TIME_MAX, call).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(reason)) => reason,
                Err(_) => format!("it has not answered within {} ms", CALL_TIME_MAX.as_millis()),
            };
            if self.env.monotonic() >= deadline {
                return Err(reason);
            }
            self.env.sleep(PAUSE).await;
        }
    }
}

/// What has been heard of each node: its run, and the highest number of it.
#[derive(Default)]
pub(super) struct Heard(BTreeMap<NodeId, (i64, i64)>);

impl Heard {
    /// Reads a row, unless it was heard before. Errors: it makes no sense.
    pub fn take(&mut self, from: NodeId, row: &ReportRow) -> Result<Option<(Oid, Notification)>, String> {
        let read = || {
            let number = |position| u32::try_from(row.integer(position)?).ok();
            let (channel, payload) = (row.text(4)?.to_string(), row.text(5)?.to_string());
            let notification = Notification { process_id: number(3)?, channel, payload };
            Some((row.integer(0)?, row.integer(1)?, Oid(number(2)?), notification))
        };
        let (run, number, database, notification) = read().ok_or("a notification cannot be read")?;
        let known = self.0.entry(from).or_insert((run, 0));
        // Runs rise. A call of an earlier process that arrives late says nothing new.
        let is_new = (run, number) > *known;
        *known = (*known).max((run, number));
        Ok(is_new.then_some((database, notification)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(run: i64, number: i64) -> ReportRow {
        let notification = Notification { process_id: 7, channel: "c".into(), payload: number.to_string() };
        Message { number, database: Oid(5), after: Timestamp::ZERO, notification }.row(run)
    }

    #[test]
    fn what_is_told_twice_is_heard_once_and_a_new_run_begins_anew() {
        let mut heard = Heard::default();
        let mut numbers = |from: u32, rows: &[(i64, i64)]| -> Vec<String> {
            let taken = rows.iter().map(|(run, number)| heard.take(NodeId(from), &row(*run, *number)));
            taken.filter_map(|taken| taken.expect("it can be read")).map(|(_, told)| told.payload).collect()
        };
        assert_eq!(numbers(1, &[(10, 1), (10, 2)]), ["1", "2"]);
        assert_eq!(numbers(1, &[(10, 1), (10, 2), (10, 3), (10, 7)]), ["3", "7"]);
        assert_eq!(numbers(2, &[(10, 1)]), ["1"], "nodes count for themselves");
        assert_eq!(numbers(1, &[(11, 1), (10, 8)]), ["1"]);
        let mut row = row(12, 1);
        row.0.pop();
        assert!(heard.take(NodeId(1), &row).is_err());
    }
}
