//! Networks over loopback in one process, with certificates made for the test.

#![allow(dead_code)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clock::{Clock, ClockConfig, WallSource};
use env::{BoxFuture, Env, RealEnv};
use keys::{NodeId, RangeId, ReplicaId, Span, StoreId, local};
use kvapi::{
    BatchRequest, BatchResponse, GetRequest, Header, KnownVersions, KvError, Request, Response, Sender,
    Timestamp,
};
use raft::Position;
use replication::{
    ApplyEffect, ApplyError, Committed, Leadership, NewRange, RaftTransport, StateMachine, Store,
    StoreOptions, StoreWorld,
};
use rpc::{
    Addresses, Admitted, ClusterId, Credentials, Identity, Network, NetworkConfig, Refusal, Services,
    Steward, Validity,
};
use stdx::WallTime;
use storage::{CursorOptions, Engine, Keyspace, MemoryEngine, WriteBatch};
use tokio::net::TcpListener;

pub const CLUSTER: ClusterId = ClusterId(77);

/// The wall clock, set wrong by some seconds.
struct Wall(Arc<dyn Env>, i64);

impl WallSource for Wall {
    fn wall(&self) -> stdx::WallTime {
        let seconds = Duration::from_secs(self.1.unsigned_abs());
        if self.1 < 0 { self.0.wall().saturating_sub(seconds) } else { self.0.wall().saturating_add(seconds) }
    }

    fn monotonic(&self) -> Duration {
        self.0.monotonic()
    }
}

pub fn environment() -> Arc<dyn Env> {
    RealEnv::new()
}

/// A folder with an authority, a node's certificate for loopback, and the superuser's.
pub fn certificates(env: &Arc<dyn Env>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let validity = Validity::starting(env.wall(), Duration::from_secs(3600));
    rpc::create_authority(folder.path(), validity).expect("an authority");
    rpc::create_node(folder.path(), &["127.0.0.1".into(), "localhost".into()], validity).expect("a node's");
    rpc::create_client(folder.path(), "postgres", validity).expect("a user's");
    folder
}

pub fn credentials(folder: &Path, env: &Arc<dyn Env>) -> Option<Credentials> {
    Some(Credentials::of_node(folder, env).expect("the certificates are sound"))
}

/// How a test node differs from others.
pub struct Settings {
    pub credentials: Option<Credentials>,
    pub cluster: ClusterId,
    pub versions: std::ops::RangeInclusive<u32>,
    /// How far its clock is off.
    pub clock_seconds: i64,
    pub incarnation: u64,
    /// What it has found in its folder.
    pub bound_found: Option<WallTime>,
}

impl Settings {
    pub fn new(credentials: Option<Credentials>) -> Settings {
        Settings {
            credentials,
            cluster: CLUSTER,
            versions: 1..=1,
            clock_seconds: 0,
            incarnation: 1,
            bound_found: None,
        }
    }
}

pub struct TestNode {
    pub network: Network,
    pub address: String,
    pub raft: Store,
    pub engine: Arc<dyn Engine>,
    pub env: Arc<dyn Env>,
}

impl Drop for TestNode {
    fn drop(&mut self) {
        self.network.stop();
    }
}

impl TestNode {
    /// Listens, is a member with this id, and knows of `others`.
    pub async fn start(
        env: &Arc<dyn Env>,
        id: u32,
        settings: Settings,
        batches: Arc<dyn Sender>,
    ) -> TestNode {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        TestNode::start_on(env, listener, id, settings, batches)
    }

    pub fn start_on(
        env: &Arc<dyn Env>,
        listener: TcpListener,
        id: u32,
        settings: Settings,
        batches: Arc<dyn Sender>,
    ) -> TestNode {
        let address = listener.local_addr().expect("it listens").to_string();
        TestNode::start_at(env, listener, address, id, settings, batches)
    }

    /// The others find it at `address`, which need not be where it listens.
    pub fn start_at(
        env: &Arc<dyn Env>,
        listener: TcpListener,
        address: String,
        id: u32,
        settings: Settings,
        batches: Arc<dyn Sender>,
    ) -> TestNode {
        let network = network(env, &address, &settings);
        network.serve(listener);
        let identity = Identity {
            cluster: settings.cluster,
            node: NodeId(id),
            store: StoreId(id),
            incarnation: settings.incarnation,
        };
        network.set_steward(Arc::new(NoSteward));
        network.become_member(identity, &[]);
        let engine: Arc<dyn Engine> = MemoryEngine::new();
        let raft = raft_store(env, &engine, network.transport(), id);
        network.attach(Services { batches, raft: raft.clone() });
        TestNode { network, address, raft, engine, env: env.clone() }
    }

    /// Tells this node where another one is, as a join would.
    pub async fn learn(&self, other: &TestNode) {
        let news = other.network.to_remember();
        // A network of a joining node takes news by its join; here they are handed over as if remembered.
        self.network.take_news(&news);
    }
}

pub fn network(env: &Arc<dyn Env>, address: &str, settings: &Settings) -> Network {
    let clock = Arc::new(Clock::unbounded(Wall(env.clone(), settings.clock_seconds), ClockConfig::default()));
    let addresses = Addresses { rpc: address.to_string(), ..Addresses::default() };
    let config = NetworkConfig {
        credentials: settings.credentials.clone(),
        versions: settings.versions.clone(),
        bound_found: settings.bound_found,
        ..NetworkConfig::new(addresses, "test")
    };
    Network::new(env.clone(), clock, config)
}

/// Passes bytes on to an address until it is frozen: then it keeps all connections open and passes nothing on. A cut ends all
/// connections that there are; new ones may be made.
pub struct Relay {
    pub address: String,
    frozen: tokio::sync::watch::Sender<bool>,
    cuts: tokio::sync::watch::Sender<u32>,
}

impl Relay {
    pub async fn start(env: &Arc<dyn Env>, to: String) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it listens").to_string();
        let (frozen, is_frozen) = tokio::sync::watch::channel(false);
        let cuts = tokio::sync::watch::Sender::new(0);
        let cut = cuts.subscribe();
        let spawner = env.clone();
        let accepting = async move {
            while let Ok((near, _)) = listener.accept().await {
                let (to, is_frozen, mut cut) = (to.clone(), is_frozen.clone(), cut.clone());
                let passing = async move {
                    cut.mark_unchanged();
                    let Ok(far) = tokio::net::TcpStream::connect(&to).await else { return };
                    let (near_in, near_out) = near.into_split();
                    let (far_in, far_out) = far.into_split();
                    let both = futures::future::join(
                        pass(near_in, far_out, is_frozen.clone()),
                        pass(far_in, near_out, is_frozen),
                    );
                    futures::future::select(Box::pin(both), Box::pin(cut.changed())).await;
                };
                drop(spawner.spawn("relay", Box::pin(passing)));
            }
        };
        drop(env.spawn("relay", Box::pin(accepting)));
        Relay { address, frozen, cuts }
    }

    pub fn freeze(&self) {
        self.frozen.send_replace(true);
    }

    pub fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

async fn pass(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    is_frozen: tokio::sync::watch::Receiver<bool>,
) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut buffer = vec![0; 4096];
    loop {
        match from.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(_) if *is_frozen.borrow() => futures::future::pending().await,
            Ok(read) => {
                if to.write_all(&buffer[..read]).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Waits until something holds, for ten seconds at most.
pub async fn until(env: &Arc<dyn Env>, what: &str, holds: impl Fn() -> bool) {
    for _ in 0..1000 {
        if holds() {
            return;
        }
        env.sleep(Duration::from_millis(10)).await;
    }
    panic!("within ten seconds: {what}");
}

/// Gives every newcomer the id 9.
pub struct NoSteward;

impl Steward for NoSteward {
    fn admit(&self, _: String, _: KnownVersions) -> BoxFuture<'_, Result<Admitted, Refusal>> {
        Box::pin(async { Ok(Admitted { node: NodeId(9), store: StoreId(9) }) })
    }

    fn initialise(&self) -> BoxFuture<'_, Result<ClusterId, Refusal>> {
        Box::pin(async { Err(Refusal::new(rpc::RefusalReason::Initialised, "it was initialised before")) })
    }

    fn drain(&self, _: bool) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(async { Ok(()) })
    }

    fn set_standing(&self, _: Vec<NodeId>, _: kvapi::Standing) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(async { Ok(()) })
    }

    fn check_range(
        &self,
        _: Option<RangeId>,
        _: kvapi::Key,
    ) -> BoxFuture<'_, Result<kvapi::ReplicaCheckResponse, Refusal>> {
        Box::pin(async { Err(Refusal::new(rpc::RefusalReason::Invalid, "there are no ranges here")) })
    }
}

/// Answers a Get with its key.
pub struct Echo(pub NodeId);

impl Sender for Echo {
    fn send<'a>(&'a self, batch: &'a BatchRequest) -> BoxFuture<'a, Result<BatchResponse, KvError>> {
        Box::pin(async move {
            let Request::Get(get) = &batch.requests[0] else { return Err(KvError::invalid("only Get")) };
            Ok(BatchResponse {
                responses: [Response::Get(Some(get.key.to_vec()))].into_iter().collect(),
                read_timestamp: Timestamp::ZERO,
                write_timestamp: Timestamp::ZERO,
                node: self.0,
                now: Timestamp::ZERO,
            })
        })
    }
}

pub fn get(key: &str) -> BatchRequest {
    BatchRequest::new(Header::default(), GetRequest { key: keys::Key::from(key), ..GetRequest::default() })
}

/// Keeps commands under their index.
struct Journal {
    engine: Arc<dyn Engine>,
}

pub const RANGE: RangeId = RangeId(5);

fn part() -> Span {
    Span::new("j", "k")
}

impl StateMachine for Journal {
    fn apply(
        &self,
        _: RangeId,
        command: &Committed,
        batch: &mut WriteBatch,
    ) -> Result<ApplyEffect, ApplyError> {
        let key = [b"j".as_slice(), &command.position.index.0.to_be_bytes()].concat();
        batch.put(Keyspace::Current, &key, &command.command);
        Ok(ApplyEffect { answer: Bytes::from_static(b"done"), change: None })
    }

    fn applied(&self, _: RangeId, _: Position, _: &[ApplyEffect]) {}

    fn leadership_changed(&self, _: RangeId, _: Leadership) {}

    fn snapshot_parts(&self, range: RangeId) -> Vec<(Keyspace, Span)> {
        vec![(Keyspace::Current, part()), (Keyspace::RangeLocal, local::range_span(range))]
    }

    fn store_of(&self, _: RangeId, replica: ReplicaId) -> Option<StoreId> {
        Some(StoreId(replica.get()))
    }
}

fn raft_store(
    env: &Arc<dyn Env>,
    engine: &Arc<dyn Engine>,
    transport: Arc<dyn RaftTransport>,
    id: u32,
) -> Store {
    let world = StoreWorld {
        env: env.clone(),
        engine: engine.clone(),
        machine: Arc::new(Journal { engine: engine.clone() }),
        transport,
        store: StoreId(id),
    };
    let mut options = StoreOptions { tick: Duration::from_millis(20), ..StoreOptions::default() };
    options.group.heartbeat_ticks = 1;
    // Logs are cut off soon: newcomers need snapshots.
    options.log_bytes_max = 1 << 20;
    let store = Store::open(world, options).expect("an empty store opens");
    store.start();
    store
}

/// A counter of a node's network.
pub fn counter(node: &TestNode, name: &str) -> u64 {
    let mut registry = prometheus_client::registry::Registry::default();
    node.network.register_metrics(&mut registry);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).expect("it can be written");
    let begin = format!("meridian_{name}_total ");
    let value = text.lines().find_map(|line| line.strip_prefix(&begin)).expect("there is such a counter");
    value.parse().expect("a number")
}

/// The commands that a node has applied.
pub fn journal(node: &TestNode) -> Vec<Vec<u8>> {
    let span = part();
    let mut cursor =
        node.engine.cursor(Keyspace::Current, CursorOptions::span(&span)).expect("memory is read");
    let mut commands = Vec::new();
    let mut found = cursor.seek(&span.start).expect("memory is read");
    while found {
        commands.push(cursor.value().to_vec());
        found = cursor.next().expect("memory is read");
    }
    commands
}

/// Begins the range on a node, with these voters.
pub fn create_range(node: &TestNode, id: u32, voters: &[u32]) {
    let configuration = replication::configuration_of(voters.iter().map(|id| ReplicaId(*id)));
    let range = NewRange { range: RANGE, replica: ReplicaId(id), configuration };
    node.raft.create(&[range], WriteBatch::new()).expect("the range begins");
}
