//! LISTEN and NOTIFY: messages between sessions, sent when their transaction commits.
//!
//! ```text
//!   NOTIFY ──▶ list of the transaction ──COMMIT──▶ order lock ─▶ room everywhere? ─▶ commit ─▶ inbox of each listener
//!                 (equal ones once)                     │ no: 54000, nothing is committed         │ wakes an idle session
//!                                                                                                ▼
//!                                                         NotificationResponse, outside of transaction blocks
//! ```
//!
//! The order lock is held from before the commit until the messages are in the inboxes: so every listener sees
//! transactions in the order of their commits. LISTEN and UNLISTEN take effect at commit as well.
//!
//! A node delivers to its own sessions; what it tells the others, and they deliver to theirs, is in `abroad`. Listeners everywhere see the
//! transactions of one node in the order of their commits; between transactions of different nodes there is no order.

mod abroad;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

use abroad::{Abroad, Heard};
use env::Env;
use kvapi::{NodeId, ReportRow};
use kvclient::{Db, Timestamp};
use parking_lot::Mutex;
use pgserver::Notification;
use types::descriptor::Oid;
use types::{PgError, PgResult, SqlState};

use crate::cluster::Surroundings;

/// Longest channel name, in bytes (NAMEDATALEN - 1).
const CHANNEL_BYTES_MAX: usize = 63;
/// Longest payload, in bytes (NOTIFY_PAYLOAD_MAX_LENGTH - 1).
const PAYLOAD_BYTES_MAX: usize = 7999;
/// Messages that wait for one session at most.
const INBOX_COUNT_MAX: usize = 100_000;

/// Messages that wait for a session.
#[derive(Default)]
pub struct Inbox {
    state: Mutex<InboxState>,
}

#[derive(Default)]
struct InboxState {
    waiting: VecDeque<Notification>,
    waker: Option<Waker>,
}

impl Inbox {
    /// The next message. Leaves a waker behind when there is none.
    pub fn poll_next(&self, context: &mut Context<'_>) -> Poll<Notification> {
        let mut state = self.state.lock();
        if let Some(next) = state.waiting.pop_front() {
            return Poll::Ready(next);
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }

    fn len(&self) -> usize {
        self.state.lock().waiting.len()
    }

    fn push(&self, notification: Notification) {
        let waker = {
            let mut state = self.state.lock();
            state.waiting.push_back(notification);
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// What a transaction does to a session's channels when it commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChannelChange {
    Listen(String),
    Unlisten(String),
    UnlistenAll,
}

/// What waits for the commit of a transaction.
#[derive(Clone, Debug, Default)]
pub struct PendingNotifications {
    messages: Vec<(String, String)>,
    changes: Vec<ChannelChange>,
}

/// Where ROLLBACK TO SAVEPOINT goes back to.
#[derive(Clone, Copy, Debug, Default)]
pub struct PendingMark {
    messages: usize,
    changes: usize,
}

fn invalid(message: &str) -> PgError {
    PgError::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

impl PendingNotifications {
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.changes.is_empty()
    }

    /// NOTIFY. Errors: 22023 for a channel or a payload that is too long.
    pub fn notify(&mut self, channel: &str, payload: &str) -> PgResult<()> {
        if channel.is_empty() {
            return Err(invalid("channel name cannot be empty"));
        }
        if channel.len() > CHANNEL_BYTES_MAX {
            return Err(invalid("channel name too long"));
        }
        if payload.len() > PAYLOAD_BYTES_MAX {
            return Err(invalid("payload string too long"));
        }
        let message = (channel.to_string(), payload.to_string());
        if !self.messages.contains(&message) {
            self.messages.push(message);
        }
        Ok(())
    }

    pub fn change(&mut self, change: ChannelChange) {
        self.changes.push(change);
    }

    pub fn mark(&self) -> PendingMark {
        PendingMark { messages: self.messages.len(), changes: self.changes.len() }
    }

    pub fn rollback_to(&mut self, mark: PendingMark) {
        self.messages.truncate(mark.messages);
        self.changes.truncate(mark.changes);
    }
}

/// A session's channels are those of its database.
type Channel = (Oid, String);

struct Listener {
    inbox: Arc<Inbox>,
    channels: BTreeSet<Channel>,
}

#[derive(Default)]
struct Registry {
    listeners: BTreeMap<u32, Listener>,
    by_channel: BTreeMap<Channel, BTreeSet<u32>>,
}

/// Who listens to what on this node.
#[derive(Default)]
pub struct Notifications {
    registry: Mutex<Registry>,
    /// Held by a committing transaction that notifies.
    order: futures::lock::Mutex<()>,
    /// Set once there may be other nodes.
    abroad: OnceLock<Arc<Abroad>>,
    /// Held while what another node tells is delivered, so that it stays in order.
    heard: Mutex<Heard>,
}

impl Notifications {
    /// Waits for the right to commit with messages. Errors: 54000 when a listener has too many waiting.
    pub async fn begin_commit(
        &self,
        database: Oid,
        pending: &PendingNotifications,
    ) -> PgResult<futures::lock::MutexGuard<'_, ()>> {
        let order = self.order.lock().await;
        let registry = self.registry.lock();
        let full = |process_id: &u32| {
            let listener = registry.listeners.get(process_id);
            listener.is_some_and(|l| l.inbox.len() + pending.messages.len() > INBOX_COUNT_MAX)
        };
        let heard = pending
            .messages
            .iter()
            .filter_map(|(channel, _)| registry.by_channel.get(&(database, channel.clone())));
        let bytes = pending.messages.iter().map(|(channel, payload)| channel.len() + payload.len()).sum();
        let fits = |abroad: &Arc<Abroad>| abroad.has_room(pending.messages.len(), bytes);
        if heard.flatten().any(full) || !self.abroad.get().is_none_or(fits) {
            return Err(PgError::new(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                "too many notifications in the NOTIFY queue",
            ));
        }
        drop(registry);
        Ok(order)
    }

    /// After the commit: the session's channels change, then its messages go out (to itself as well).
    pub fn committed(
        &self,
        database: Oid,
        process_id: u32,
        inbox: &Arc<Inbox>,
        (pending, at): (PendingNotifications, Timestamp),
    ) {
        self.change_channels(database, process_id, inbox, pending.changes);
        let message = |(channel, payload)| Notification { process_id, channel, payload };
        let messages: Vec<Notification> = pending.messages.into_iter().map(message).collect();
        if let Some(abroad) = self.abroad.get() {
            abroad.send(database, at, &messages);
        }
        for message in messages {
            self.deliver(database, message);
        }
    }

    /// From now on the other nodes are told; once.
    pub fn connect(&self, env: &Arc<dyn Env>, db: &Db, own: NodeId, surroundings: &Arc<dyn Surroundings>) {
        let abroad = Abroad::new(env.clone(), db.clone(), own, surroundings.clone());
        assert!(self.abroad.set(Arc::new(abroad)).is_ok(), "a node has one place");
    }

    /// Another node tells of a message. Errors: it makes no sense.
    pub fn hear(&self, from: NodeId, row: &ReportRow) -> Result<(), String> {
        let mut heard = self.heard.lock();
        if let Some((database, notification)) = heard.take(from, row)? {
            self.deliver(database, notification);
        }
        Ok(())
    }

    /// Puts a message into the inboxes of this node's listeners. One that reads nothing gets no more than it has room for.
    fn deliver(&self, database: Oid, notification: Notification) {
        let registry = self.registry.lock();
        let listeners = registry.by_channel.get(&(database, notification.channel.clone()));
        for process_id in listeners.into_iter().flatten() {
            if let Some(listener) = registry.listeners.get(process_id)
                && listener.inbox.len() < INBOX_COUNT_MAX
            {
                listener.inbox.push(notification.clone());
            }
        }
    }

    fn change_channels(
        &self,
        database: Oid,
        process_id: u32,
        inbox: &Arc<Inbox>,
        changes: Vec<ChannelChange>,
    ) {
        let registry = &mut *self.registry.lock();
        for change in changes {
            match change {
                ChannelChange::Listen(channel) => {
                    let channel = (database, channel);
                    let listener = registry
                        .listeners
                        .entry(process_id)
                        .or_insert_with(|| Listener { inbox: inbox.clone(), channels: BTreeSet::new() });
                    listener.channels.insert(channel.clone());
                    registry.by_channel.entry(channel).or_default().insert(process_id);
                }
                ChannelChange::Unlisten(channel) => registry.unlisten(process_id, &(database, channel)),
                ChannelChange::UnlistenAll => registry.leave(process_id),
            }
        }
    }

    /// The session has ended.
    pub fn leave(&self, process_id: u32) {
        self.registry.lock().leave(process_id);
    }

    /// The fraction of the room that is taken in the fullest inbox.
    pub fn usage(&self) -> f64 {
        let registry = self.registry.lock();
        let fullest = registry.listeners.values().map(|listener| listener.inbox.len()).max();
        let here = fullest.unwrap_or(0) as f64 / INBOX_COUNT_MAX as f64;
        self.abroad.get().map_or(here, |abroad| abroad.usage().max(here))
    }
}

impl Registry {
    fn unlisten(&mut self, process_id: u32, channel: &Channel) {
        if let Some(listener) = self.listeners.get_mut(&process_id) {
            listener.channels.remove(channel);
            if listener.channels.is_empty() {
                self.listeners.remove(&process_id);
            }
        }
        if let Some(processes) = self.by_channel.get_mut(channel) {
            processes.remove(&process_id);
            if processes.is_empty() {
                self.by_channel.remove(channel);
            }
        }
    }

    fn leave(&mut self, process_id: u32) {
        let channels = self.listeners.get(&process_id).map(|listener| listener.channels.clone());
        for channel in channels.into_iter().flatten() {
            self.unlisten(process_id, &channel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::task::noop_waker;

    const DATABASE: Oid = Oid(5);
    const AT: Timestamp = Timestamp::ZERO;

    fn received(inbox: &Inbox) -> Vec<(String, String)> {
        let waker = noop_waker();
        let mut context = Context::from_waker(&waker);
        let mut all = Vec::new();
        while let Poll::Ready(next) = inbox.poll_next(&mut context) {
            all.push((next.channel, next.payload));
        }
        all
    }

    fn pending(messages: &[(&str, &str)]) -> PendingNotifications {
        let mut pending = PendingNotifications::default();
        for (channel, payload) in messages {
            pending.notify(channel, payload).expect("valid");
        }
        pending
    }

    #[test]
    fn listeners_of_the_database_get_each_message_of_a_transaction_once() {
        let (here, elsewhere) = (Arc::new(Inbox::default()), Arc::new(Inbox::default()));
        let server = Notifications::default();
        let listen = |changes| PendingNotifications { messages: Vec::new(), changes };
        server.committed(DATABASE, 1, &here, (listen(vec![ChannelChange::Listen("a".into())]), AT));
        server.committed(Oid(6), 2, &elsewhere, (listen(vec![ChannelChange::Listen("a".into())]), AT));
        let sent = pending(&[("a", "1"), ("b", "1"), ("a", "1"), ("a", "2")]);
        server.committed(DATABASE, 3, &Arc::default(), (sent, AT));
        assert_eq!(received(&here), [("a".into(), "1".into()), ("a".into(), "2".into())]);
        assert!(received(&elsewhere).is_empty());
        server.committed(DATABASE, 1, &here, (listen(vec![ChannelChange::UnlistenAll]), AT));
        server.committed(DATABASE, 3, &Arc::default(), (pending(&[("a", "3")]), AT));
        assert!(received(&here).is_empty());
        assert!(server.registry.lock().by_channel.len() == 1);
    }

    #[test]
    fn a_savepoint_takes_messages_back() {
        let mut pending = pending(&[("a", "1")]);
        let mark = pending.mark();
        pending.notify("a", "2").expect("valid");
        pending.change(ChannelChange::UnlistenAll);
        pending.rollback_to(mark);
        assert_eq!(pending.messages, [("a".to_string(), "1".to_string())]);
        assert!(pending.changes.is_empty());
    }

    #[test]
    fn bounds_are_postgresqls() {
        let mut pending = PendingNotifications::default();
        assert!(pending.notify("", "x").is_err());
        assert!(pending.notify(&"c".repeat(64), "x").is_err());
        assert!(pending.notify("c", &"x".repeat(8000)).is_err());
        assert!(pending.notify(&"c".repeat(63), &"x".repeat(7999)).is_ok());
    }
}
