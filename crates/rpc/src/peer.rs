//! One other node: connections to it, whether it can be reached, how far its clock is off.
//!
//! ```text
//!            ┌────────── opens, greets ───────────┐
//!   link: down ──────────────────────────────▶ up: pings, the Raft stream
//!            ◀─ closed, or a ping not answered ───┘
//!              then waits (backoff with jitter) or is woken: it has called us, or has moved
//! ```
//!
//! A task per peer, the *link*, keeps one connection open and asks whether the peer lives. It is the circuit breaker too: while the link is
//! down nobody else tries, and whoever wants something of the peer is told at once why that cannot be had; the link's
//! attempts are the probes. When it goes down every connection to the peer is closed, so that calls under way end.
//!
//! Data has connections of its own, opened when first needed, so that a snapshot does not hold up a heartbeat.

use std::sync::{Arc, Weak};
use std::time::Duration;

use env::Env;
use keys::NodeId;
use parking_lot::Mutex;
use proto::v1;
use stdx::{Backoff, Prng, WallTime};

use crate::connection::{ConnectError, Connection};
use crate::limits;
use crate::network::Shared;
use crate::offset::{ClockOffset, OffsetWindow};
use crate::raft_stream::RaftQueue;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Batches of the key-value layer.
    Batches = 0,
    /// Snapshots.
    Bulk = 1,
}

/// Whether the peer can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Link {
    /// Nobody has tried yet: callers may wait for the first attempt.
    Untried,
    Up,
    /// And why.
    Down(String),
}

struct State {
    link: Link,
    main: Option<Arc<Connection>>,
    data: [Option<Arc<Connection>>; 2],
    offsets: OffsetWindow,
}

/// - Connections are open only while the link is not down.
/// - Lock order: `opening`, then `state`, which is a leaf and is not held across a wait.
pub(crate) struct Peer {
    pub node: NodeId,
    shared: Weak<Shared>,
    pub raft: Arc<RaftQueue>,
    state: Mutex<State>,
    /// One attempt at a time per class.
    opening: [tokio::sync::Mutex<()>; 2],
    /// The link has gone up or down.
    changed: tokio::sync::Notify,
    /// The link should try now.
    wake: tokio::sync::Notify,
}

impl Peer {
    /// Starts the link; it ends with the network, or when the node is decommissioned.
    pub fn start(shared: &Arc<Shared>, node: NodeId) -> Arc<Peer> {
        let peer = Arc::new(Peer {
            node,
            shared: Arc::downgrade(shared),
            raft: RaftQueue::new(Arc::clone(&shared.metrics)),
            state: Mutex::new(State {
                link: Link::Untried,
                main: None,
                data: [None, None],
                offsets: OffsetWindow::default(),
            }),
            opening: Default::default(),
            changed: tokio::sync::Notify::new(),
            wake: tokio::sync::Notify::new(),
        });
        drop(shared.env.spawn("peer-link", Box::pin(keep_link(Arc::downgrade(&peer), shared.env.clone()))));
        peer
    }

    /// Why it cannot be reached, as far as is known.
    pub fn unreachable(&self) -> Option<String> {
        match &self.state.lock().link {
            Link::Down(reason) => Some(reason.clone()),
            Link::Untried | Link::Up => None,
        }
    }

    /// How far its clock is off; `None` while it cannot be reached.
    pub fn clock_offset(&self) -> Option<ClockOffset> {
        self.state.lock().offsets.best()
    }

    /// There is reason to believe that it can be reached now.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// The connection of the link.
    pub fn main(&self) -> Option<Arc<Connection>> {
        self.state.lock().main.clone().filter(|connection| !connection.is_closed())
    }

    /// A connection for data; fails at once while the link is down.
    pub async fn connection(&self, class: Class) -> Result<Arc<Connection>, ConnectError> {
        if let Some(connection) = self.existing(class)? {
            return Ok(connection);
        }
        let _opening = self.opening[class as usize].lock().await;
        if let Some(connection) = self.existing(class)? {
            return Ok(connection);
        }
        self.tried().await;
        if let Some(reason) = self.unreachable() {
            return Err(ConnectError::Unreachable(reason));
        }
        let gone = || ConnectError::Unreachable("this node is stopping".to_string());
        let shared = self.shared.upgrade().ok_or_else(gone)?;
        let connection = Arc::new(shared.connect(self.node).await?);
        let mut state = self.state.lock();
        // It may have gone down meanwhile, and then this connection was missed.
        if let Link::Down(reason) = &state.link {
            return Err(ConnectError::Unreachable(reason.clone()));
        }
        state.data[class as usize] = Some(Arc::clone(&connection));
        Ok(connection)
    }

    fn existing(&self, class: Class) -> Result<Option<Arc<Connection>>, ConnectError> {
        let state = self.state.lock();
        if let Link::Down(reason) = &state.link {
            return Err(ConnectError::Unreachable(reason.clone()));
        }
        Ok(state.data[class as usize].clone().filter(|connection| !connection.is_closed()))
    }

    /// Completes when the first attempt has ended.
    async fn tried(&self) {
        loop {
            let changed = self.changed.notified();
            if self.state.lock().link != Link::Untried {
                return;
            }
            changed.await;
        }
    }

    fn up(&self, connection: &Arc<Connection>) {
        {
            let mut state = self.state.lock();
            state.link = Link::Up;
            state.main = Some(Arc::clone(connection));
        }
        self.changed.notify_waiters();
    }

    /// All connections end. True if it was not down before.
    fn down(&self, reason: &str) -> bool {
        let (closing, is_new) = {
            let mut state = self.state.lock();
            let is_new = !matches!(state.link, Link::Down(_));
            state.link = Link::Down(reason.to_string());
            state.offsets.clear();
            let mut closing: Vec<Arc<Connection>> = state.main.take().into_iter().collect();
            closing.extend(state.data.iter_mut().filter_map(Option::take));
            (closing, is_new)
        };
        for connection in closing {
            connection.close(reason);
        }
        self.changed.notify_waiters();
        is_new
    }

    /// Asks whether it lives, as long as it does. Completes with why it is given up.
    async fn ping(&self, connection: &Connection, env: &dyn Env) -> String {
        let mut client = connection.node();
        for number in 1.. {
            let Some(shared) = self.shared.upgrade() else { return "this node is stopping".to_string() };
            let (sent, begun) = (shared.clock.wall(), env.monotonic());
            drop(shared);
            let call = client.ping(v1::PingRequest { number });
            let answer = env::timeout(env, limits::PING_TIME_MAX, call).await;
            let Some(shared) = self.shared.upgrade() else { return "this node is stopping".to_string() };
            match answer {
                Ok(Ok(answer)) if answer.get_ref().number == number => {
                    let theirs = WallTime::from_unix_nanos(answer.get_ref().wall_nanos);
                    let round_trip = env.monotonic().saturating_sub(begun);
                    self.state.lock().offsets.push(ClockOffset::measure(sent, round_trip, theirs));
                    shared.heard(self.node);
                    shared.judge_clock();
                }
                Ok(Ok(_)) => return "it answers another ping than the one sent".to_string(),
                Ok(Err(status)) => {
                    return match connection.is_closed() {
                        true => connection.reason(),
                        false => format!("a ping fails: {}", status.message()),
                    };
                }
                Err(env::Elapsed) => {
                    shared.metrics.pings_failed.inc();
                    return format!("it does not answer a ping within {:?}", limits::PING_TIME_MAX);
                }
            }
            drop(shared);
            env.sleep(limits::PING_INTERVAL).await;
        }
        unreachable!("there are 2^64 pings")
    }

    /// Sends what is in the Raft queue, as long as the connection is open.
    async fn stream_raft(&self, connection: &Connection, env: &dyn Env) {
        while !connection.is_closed() {
            let ended = connection.node().raft(self.raft.stream()).await;
            if let Err(status) = ended {
                tracing::debug!(node = %self.node, %status, "the stream of Raft messages has ended");
            }
            // The node may not have started its ranges yet.
            env.sleep(limits::RECONNECT_WAIT_INITIAL).await;
        }
    }
}

async fn keep_link(peer: Weak<Peer>, env: Arc<dyn Env>) {
    let mut prng = Prng::new(env.entropy());
    let mut backoff = Backoff::new(limits::RECONNECT_WAIT_INITIAL, limits::RECONNECT_WAIT_MAX);
    loop {
        let Some(held) = peer.upgrade() else { return };
        let Some(shared) = held.shared.upgrade() else { return };
        if shared.is_stopped() || !shared.is_peer(held.node) {
            held.down("it is no member of the cluster any more");
            return;
        }
        let opened = shared.connect(held.node).await;
        let was_up = opened.is_ok();
        let reason = match opened {
            Ok(connection) => {
                backoff.reset();
                let connection = Arc::new(connection);
                held.up(&connection);
                shared.link_changed(held.node, None);
                let stopped = shared.stopped();
                drop(shared);
                let reason = run_link(&held, &connection, &*env, stopped).await;
                // Whatever the messages were, they were for that connection.
                connection.close(&reason);
                reason
            }
            Err(error) => {
                shared.refused(&error);
                error.to_string()
            }
        };
        let is_new = held.down(&reason);
        if let Some(shared) = held.shared.upgrade()
            && (is_new || was_up)
        {
            shared.link_changed(held.node, Some(&reason));
        }
        let wait = backoff.next_wait(&mut prng);
        wait_or_wake(&held, &*env, wait).await;
    }
}

async fn run_link(
    peer: &Arc<Peer>,
    connection: &Connection,
    env: &dyn Env,
    stopped: impl Future<Output = ()>,
) -> String {
    tokio::select! {
        biased;
        () = stopped => "this node is stopping".to_string(),
        () = connection.closed() => connection.reason(),
        reason = peer.ping(connection, env) => reason,
        () = peer.stream_raft(connection, env) => connection.reason(),
    }
}

async fn wait_or_wake(peer: &Peer, env: &dyn Env, wait: Duration) {
    tokio::select! {
        biased;
        () = peer.wake.notified() => {}
        () = env.sleep(wait) => {}
    }
}
