//! The network between nodes: batches and messages that are delayed, lost, repeated, overtaken, and cut off, one way or both.
//!
//! Raft messages behave like datagrams. A batch for another node behaves like a call over a connection: it is not lost alone,
//! but the connection may break while it is under way, and then the caller does not know whether it was carried out.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use env::{Env, SimEnv, TaskHandle};
use futures::future::BoxFuture;
use kvapi::membership::{Capacity, Membership, NodeInfo};
use kvapi::{
    BatchRequest, BatchResponse, ClusterVersion, KnownVersions, KvError, NodeDialer, NodeId, RangeDescriptor,
    Sender, StoreId, Unreachable,
};
use parking_lot::Mutex;
use replication::{RaftBatch, RaftTransport, ReceivedSnapshot, SendError, SnapshotStream};
use stdx::Prng;

use crate::safety::Safety;

/// How often a caller looks whether its connection still is.
const KEEP_ALIVE: Duration = Duration::from_millis(300);
/// Bytes of one piece of a snapshot.
const CHUNK_BYTES: usize = 4 << 10;

/// How bad the network is.
#[derive(Clone, Debug)]
pub struct Weather {
    pub delay: Range<Duration>,
    /// Of a Raft batch.
    pub loss: f64,
    pub repetition: f64,
    /// That a connection breaks under a call.
    pub breaks: f64,
}

impl Default for Weather {
    fn default() -> Weather {
        let delay = Duration::from_micros(50)..Duration::from_micros(600);
        Weather { delay, loss: 0.0, repetition: 0.0, breaks: 0.0 }
    }
}

/// A node's process, as the network reaches it.
#[derive(Clone)]
struct Attached {
    env: Arc<SimEnv>,
    groups: replication::Store,
    store: kvserver::Store,
}

struct State {
    weather: Weather,
    prng: Prng,
    attached: BTreeMap<NodeId, Attached>,
    /// From, to.
    cut: BTreeSet<(NodeId, NodeId)>,
    nodes: BTreeMap<NodeId, NodeInfo>,
    /// When a node was last up.
    seen: BTreeMap<NodeId, Duration>,
    first: Option<RangeDescriptor>,
    safety: Safety,
}

/// The network. One per run; outlives the processes of the nodes. A store has the number of its node.
pub struct Wires {
    /// Of a machine that does not crash.
    env: Arc<SimEnv>,
    state: Mutex<State>,
}

impl Wires {
    pub fn new(env: Arc<SimEnv>, prng: Prng) -> Arc<Wires> {
        let state = State {
            weather: Weather::default(),
            prng,
            attached: BTreeMap::new(),
            cut: BTreeSet::new(),
            nodes: BTreeMap::new(),
            seen: BTreeMap::new(),
            first: None,
            safety: Safety::default(),
        };
        Arc::new(Wires { env, state: Mutex::new(state) })
    }

    /// One node's end.
    pub fn end(self: &Arc<Self>, node: NodeId, env: Arc<SimEnv>) -> Arc<End> {
        let mut state = self.state.lock();
        state.nodes.entry(node).or_insert_with(|| NodeInfo::new(node, StoreId(node.0)));
        state.seen.insert(node, self.env.monotonic());
        Arc::new(End { wires: self.clone(), own: node, env })
    }

    pub fn set_weather(&self, weather: Weather) {
        self.state.lock().weather = weather;
    }

    /// The process of a node is gone.
    pub fn detach(&self, node: NodeId) {
        let mut state = self.state.lock();
        state.attached.remove(&node);
        state.seen.insert(node, self.env.monotonic());
    }

    pub fn cut(&self, from: NodeId, to: NodeId) {
        self.state.lock().cut.insert((from, to));
    }

    pub fn heal(&self) {
        self.state.lock().cut.clear();
    }

    /// What everybody is told of a node is changed.
    pub fn change_node(&self, node: NodeId, change: impl FnOnce(&mut NodeInfo)) {
        if let Some(info) = self.state.lock().nodes.get_mut(&node) {
            change(info);
        }
    }

    /// What leaders have said that cannot be.
    pub fn broken(&self) -> Option<String> {
        self.state.lock().safety.broken().cloned()
    }

    fn delay(&self) -> Duration {
        let state = &mut *self.state.lock();
        let spread = state.weather.delay.end.saturating_sub(state.weather.delay.start).as_nanos() as u64;
        state.weather.delay.start + Duration::from_nanos(state.prng.below(spread.max(1)))
    }

    /// Rain falls with some probability.
    fn happens(&self, what: impl FnOnce(&Weather) -> f64) -> bool {
        let state = &mut *self.state.lock();
        let probability = what(&state.weather);
        probability > 0.0 && state.prng.chance(probability)
    }

    fn is_open(&self, from: NodeId, to: NodeId) -> bool {
        !self.state.lock().cut.contains(&(from, to))
    }

    fn attached(&self, node: NodeId) -> Option<Attached> {
        self.state.lock().attached.get(&node).cloned()
    }

    fn deliver(self: &Arc<Self>, from: NodeId, to: NodeId, batch: RaftBatch) {
        let (wires, delay) = (self.clone(), self.delay());
        let task = async move {
            wires.env.sleep(delay).await;
            if !wires.is_open(from, to) {
                return;
            }
            if let Some(there) = wires.attached(to) {
                // On the receiver's machine: what it does dies with it.
                let groups = there.groups.clone();
                drop(there.env.spawn("raft-receive", Box::pin(async move { groups.receive(batch) })));
            }
        };
        drop(self.env.spawn("raft-message", Box::pin(task)));
    }
}

/// A node's end of the network.
pub struct End {
    wires: Arc<Wires>,
    own: NodeId,
    env: Arc<SimEnv>,
}

impl End {
    /// From now on the others reach this node's process.
    pub fn attach(&self, groups: replication::Store, store: kvserver::Store) {
        let mut state = self.wires.state.lock();
        if self.env.is_alive() {
            state.attached.insert(self.own, Attached { env: self.env.clone(), groups, store });
        }
    }
}

impl RaftTransport for End {
    fn send(&self, to: StoreId, batch: RaftBatch) {
        let to = NodeId(to.0);
        {
            let state = &mut *self.wires.state.lock();
            batch.envelopes.iter().for_each(|envelope| state.safety.watch(envelope));
        }
        if self.wires.happens(|weather| weather.loss) {
            return;
        }
        if self.wires.happens(|weather| weather.repetition) {
            self.wires.deliver(self.own, to, batch.clone());
        }
        self.wires.deliver(self.own, to, batch);
    }

    fn send_snapshot(
        &self,
        to: StoreId,
        snapshot: SnapshotStream,
    ) -> BoxFuture<'static, Result<(), SendError>> {
        let (wires, own, to) = (self.wires.clone(), self.own, NodeId(to.0));
        let (near, lost) = (self.env.clone(), |why: &str| SendError(why.to_string()));
        Box::pin(async move {
            let SnapshotStream { range, from, stamp, message, parts, mut checkpoint } = snapshot;
            let mut chunks = Vec::new();
            let next = |error: storage::StorageError| SendError(error.to_string());
            while let Some(chunk) = checkpoint.next_chunk(CHUNK_BYTES).map_err(next)? {
                near.sleep(wires.delay()).await;
                if !wires.is_open(own, to) || wires.happens(|weather| weather.breaks) {
                    return Err(lost("the connection broke"));
                }
                chunks.push(chunk);
            }
            let there = wires.attached(to).ok_or_else(|| lost("nobody is there"))?;
            let received = ReceivedSnapshot { range, from, stamp, message, parts, chunks };
            let groups = there.groups.clone();
            let far: Arc<dyn Env> = there.env.clone();
            let task = async move { groups.receive_snapshot(received) };
            env::spawn_with_result(&far, "snapshot-receive", task).await.unwrap_or(Err(lost("it crashed")))
        })
    }
}

impl NodeDialer for End {
    fn dial(&self, node: NodeId) -> Result<Arc<dyn Sender>, Unreachable> {
        let (wires, own, env) = (self.wires.clone(), self.own, self.env.clone());
        Ok(Arc::new(Call { wires, own, to: node, env }))
    }
}

impl Membership for End {
    fn own(&self) -> NodeId {
        self.own
    }

    fn nodes(&self) -> Vec<NodeInfo> {
        let state = self.wires.state.lock();
        let now = self.env.monotonic();
        let all = state.nodes.values().map(|info| {
            let is_up =
                state.attached.contains_key(&info.node) && !state.cut.contains(&(info.node, self.own));
            let seen = state.seen.get(&info.node).copied().unwrap_or_default();
            let silence =
                if is_up || info.node == self.own { Duration::ZERO } else { now.saturating_sub(seen) };
            NodeInfo { silence, ..info.clone() }
        });
        all.collect()
    }

    fn revision(&self) -> u64 {
        0
    }

    /// All nodes run this program.
    fn cluster_version(&self) -> ClusterVersion {
        KnownVersions::OURS.newest
    }

    fn publish_capacity(&self, capacity: Capacity) {
        self.wires.change_node(self.own, |info| info.capacity = capacity);
    }

    fn first_range(&self) -> Option<RangeDescriptor> {
        self.wires.state.lock().first.clone()
    }

    fn publish_first_range(&self, descriptor: &RangeDescriptor) {
        let mut state = self.wires.state.lock();
        if state.first.as_ref().is_none_or(|known| known.generation < descriptor.generation) {
            state.first = Some(descriptor.clone());
        }
    }
}

/// Calls to one node.
struct Call {
    wires: Arc<Wires>,
    own: NodeId,
    to: NodeId,
    env: Arc<SimEnv>,
}

/// The task that carries a call out ends with the call.
struct Abort(TaskHandle);

impl Drop for Abort {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Call {
    async fn carry(&self, batch: BatchRequest) -> Result<BatchResponse, KvError> {
        let refused = || KvError::unavailable(format!("node {} does not answer", self.to));
        let is_repeatable = batch.is_repeatable();
        let broke = || {
            let reason = format!("the connection to node {} broke", self.to);
            if is_repeatable { KvError::Unavailable { reason } } else { KvError::Ambiguous { reason } }
        };
        self.env.sleep(self.wires.delay()).await;
        let open = || self.wires.is_open(self.own, self.to) && self.wires.is_open(self.to, self.own);
        if !open() {
            self.env.sleep(KEEP_ALIVE).await;
            return Err(refused());
        }
        let there = self.wires.attached(self.to).ok_or_else(refused)?;
        if self.wires.happens(|weather| weather.breaks / 2.0) {
            return Err(broke());
        }
        let (sender, mut receiver) = futures::channel::oneshot::channel();
        let store = there.store.clone();
        let task = async move {
            // The caller may be gone: then nobody wants to know.
            let _ = sender.send(store.send(&batch).await);
        };
        let _abort = Abort(there.env.spawn("call", Box::pin(task)));
        drop(there);
        let answer = loop {
            match env::timeout(&*self.env, KEEP_ALIVE, &mut receiver).await {
                Ok(Ok(answer)) => break answer,
                Ok(Err(_)) => return Err(broke()),
                Err(_) if !open() => return Err(broke()),
                Err(_) => {}
            }
        };
        self.env.sleep(self.wires.delay()).await;
        if !open() || self.wires.happens(|weather| weather.breaks / 2.0) {
            return Err(broke());
        }
        answer
    }
}

impl Sender for Call {
    fn send<'a>(&'a self, batch: &'a BatchRequest) -> BoxFuture<'a, Result<BatchResponse, KvError>> {
        Box::pin(self.carry(batch.clone()))
    }
}
