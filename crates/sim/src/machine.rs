//! A machine with a node on it: a disk that outlives the process, and a process that can crash at any moment.

use std::sync::Arc;

use env::{Env, SimEnv, Simulation};
use node::{Identity, Inbound, Node, NodeConfig, World};
use parking_lot::Mutex;
use pgserver::{Server, ServerOptions};
use sql::SqlBackend;
use stdx::Prng;
use storage::{MemoryDisk, MemoryOptions};

use crate::wires::{End, Wires};

/// A node that serves.
#[derive(Clone)]
pub struct Serving {
    pub env: Arc<SimEnv>,
    pub server: Arc<Server>,
    /// Lives as long as it serves.
    pub node: Arc<Node>,
}

/// What the present process has come to; looked at by clients and by the host of the simulation.
#[derive(Default)]
struct Process {
    serving: Option<Serving>,
    /// Why it did not start, or stopped by itself.
    failure: Option<String>,
}

/// Where clients find the node; empty while it is down.
#[derive(Clone, Default)]
pub struct Place(Arc<Mutex<Process>>);

impl Place {
    pub fn serving(&self) -> Option<Serving> {
        self.0.lock().serving.clone()
    }
}

/// Whether a machine's node belongs to the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// It has never been started.
    Spare,
    Member,
    /// A member that is to give up what it holds.
    Leaving,
    /// It has left, and will not be started again.
    Left,
}

/// - At most one process runs; the disk is open while it does.
/// - There is a process, or one will be started, only of a machine whose part is `Member` or `Leaving`.
pub struct Machine {
    pub env: Arc<SimEnv>,
    pub disk: MemoryDisk,
    pub identity: Identity,
    pub part: Part,
    /// Its disk is, or was, full while this process ran: it may fail, and then waits for being started again.
    pub is_excused: bool,
    /// `None`: it stands alone.
    wires: Option<Arc<Wires>>,
    config: NodeConfig,
    options: MemoryOptions,
    place: Place,
}

impl Machine {
    /// A machine with an empty disk, and no process.
    pub fn new(
        simulation: &Simulation,
        identity: Identity,
        wires: Option<Arc<Wires>>,
        config: NodeConfig,
        options: MemoryOptions,
    ) -> Machine {
        Machine {
            env: simulation.machine(),
            disk: MemoryDisk::new(),
            identity,
            part: Part::Spare,
            is_excused: false,
            wires,
            config,
            options,
            place: Place::default(),
        }
    }

    pub fn place(&self) -> Place {
        self.place.clone()
    }

    /// Whether it takes part in the cluster.
    pub fn is_member(&self) -> bool {
        matches!(self.part, Part::Member | Part::Leaving)
    }

    /// Starts a process for the first time.
    pub fn join(&mut self) {
        self.part = Part::Member;
        self.start();
    }

    /// Starts a process; it serves once [`Machine::is_serving`] says so.
    fn start(&self) {
        let (env, config, place) = (self.env.clone(), self.config.clone(), self.place.clone());
        let (disk, options) = (self.disk.clone(), self.options);
        let (identity, wires) = (self.identity, self.wires.clone());
        let task = async move {
            match begin(&env, &disk, options, identity, wires, &config).await {
                Ok(node) => {
                    let failure = node.replication.failure();
                    let backend = Arc::new(SqlBackend(node.sql.clone()));
                    let own: Arc<dyn Env> = env.clone();
                    let server = Server::new(own, backend.clone(), backend, ServerOptions::default());
                    place.0.lock().serving = Some(Serving { env, server, node });
                    let stopped = failure.await;
                    place.0.lock().failure = Some(format!("the store has failed: {stopped}"));
                }
                Err(failure) => place.0.lock().failure = Some(failure),
            }
        };
        drop(self.env.spawn("node", Box::pin(task)));
    }

    pub fn is_serving(&self) -> bool {
        self.place.0.lock().serving.is_some()
    }

    /// The process is there, whether or not it serves yet.
    pub fn is_up(&self) -> bool {
        self.is_member() && self.env.is_alive()
    }

    /// Why the process has ended by itself, or could not start.
    pub fn failure(&self) -> Option<String> {
        self.place.0.lock().failure.clone()
    }

    /// Whether the process cannot go on, be it that it does not know that yet.
    pub fn has_failed(&self) -> bool {
        let serving = self.place.serving();
        self.failure().is_some() || serving.is_some_and(|serving| serving.node.replication.failed().is_some())
    }

    /// Merges that the process has made as a leaseholder.
    pub fn merges(&self) -> u64 {
        self.place.serving().map_or(0, |serving| serving.node.store.readings().merges.merged)
    }

    /// How many reads the present process has answered without the lease.
    pub fn follower_reads(&self) -> u64 {
        self.place.serving().map_or(0, |serving| serving.node.store.metrics().follower_reads_served)
    }

    /// Every range of a node that serves forgets what only its leaseholder knows.
    pub fn restart_leases(&self) {
        if let Some(serving) = self.place.serving() {
            serving.node.store.restart_leases();
        }
    }

    /// The process dies, and the disk loses a drawn part of what was neither synced nor flushed.
    pub fn crash(&mut self, prng: &mut Prng) {
        let (log, state) = self.disk.pending_counts();
        // The disk first: a store that is dropped while its disk is sound would be closed in order.
        self.disk.crash(draw_kept(prng, log), draw_kept(prng, state));
        self.env.crash();
        *self.place.0.lock() = Process::default();
        if let Some(wires) = &self.wires {
            wires.detach(self.identity.node);
        }
    }

    /// A new process after a crash.
    pub fn restart(&mut self) {
        self.env = self.env.restart();
        self.start();
    }
}

/// All, nothing, or something in between.
fn draw_kept(prng: &mut Prng, pending: usize) -> usize {
    match prng.below(4) {
        0 => 0,
        1 => pending,
        _ => prng.index(pending + 1),
    }
}

async fn begin(
    env: &Arc<SimEnv>,
    disk: &MemoryDisk,
    options: MemoryOptions,
    identity: Identity,
    wires: Option<Arc<Wires>>,
    config: &NodeConfig,
) -> Result<Arc<Node>, String> {
    let engine = disk.open(options).map_err(|error| format!("the disk cannot be opened: {error}"))?;
    let alone = World { identity, ..World::alone(env.clone(), engine) };
    let world = match wires.map(|wires| wires.end(identity.node, env.clone())) {
        None => alone,
        Some(end) => World {
            membership: end.clone(),
            transport: end.clone(),
            dialer: Some(end.clone()),
            inbound: Some(end),
            ..alone
        },
    };
    let node = Node::start(config, world).await;
    node.map(Arc::new).map_err(|error| format!("the node does not start: {error:#}"))
}

impl Inbound for End {
    fn open(&self, groups: replication::Store, store: kvserver::Store) {
        self.attach(groups, store);
    }
}
