//! [`Network`]: everything that a node has to do with others, in one object.
//!
//! ```text
//!   Network::new          knows nobody; serves newcomers and people once it listens
//!   Network::join         asks for an id, if the node has none
//!   Network::become_member   has an identity: links to peers, gossip, other nodes' greetings are answered
//!   Network::attach       has ranges: batches, Raft messages and snapshots are served
//!   Network::stop
//! ```

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use clock::Clock;
use env::{BoxFuture, Env, Lane};
use keys::{Key, NodeId, RangeId, StoreId};
use kvapi::{
    Capacity, ClusterVersion, KnownVersions, Locality, Membership, NodeDialer, NodeInfo, RangeDescriptor,
    ReplicaCheckResponse, Reporter, Sender, Standing,
};
use parking_lot::{Mutex, RwLock};
use prometheus_client::registry::Registry;
use prost::Message as _;
use proto::v1;
use replication::{RaftBatch, RaftTransport, SendError, SnapshotStream};
use stdx::WallTime;
use tokio::net::TcpListener;

use crate::batches::Dialer;
use crate::connection::{ConnectError, Connection};
use crate::identity::{ClusterId, Identity, PROTOCOL_VERSIONS, Process, Refusal, RefusalReason};
use crate::limits;
use crate::metrics::Metrics;
use crate::offset::{ClockOffset, verdict};
use crate::peer::Peer;
use crate::roster::{Roster, capacity_to_proto};
use crate::snapshot::{self, Kept, RateLimit};
use crate::tls::Credentials;
use crate::{gossip, server};

/// Where a node is reached, and what it says of itself.
#[derive(Clone, Debug, Default)]
pub struct Addresses {
    pub rpc: String,
    pub sql: String,
    pub http: String,
}

/// Settings of a network.
#[derive(Clone, Debug)]
pub struct NetworkConfig {
    /// Without credentials nothing is encrypted and everybody is believed.
    pub credentials: Option<Credentials>,
    /// As others reach them.
    pub addresses: Addresses,
    pub locality: Locality,
    pub program_version: String,
    /// RPC addresses to try when none of the known nodes can be reached.
    pub seeds: Vec<String>,
    /// The bound of the clock that an earlier process has left in the data folder, as it was when this process began.
    pub bound_found: Option<WallTime>,
    /// The protocol versions to speak: [`PROTOCOL_VERSIONS`], except in tests.
    pub versions: RangeInclusive<u32>,
    /// The versions of a cluster that the program knows: [`KnownVersions::OURS`], except in tests.
    pub cluster_versions: KnownVersions,
}

impl NetworkConfig {
    pub fn new(addresses: Addresses, program_version: &str) -> NetworkConfig {
        NetworkConfig {
            credentials: None,
            addresses,
            locality: Locality::default(),
            program_version: program_version.to_string(),
            seeds: Vec::new(),
            bound_found: None,
            versions: PROTOCOL_VERSIONS,
            cluster_versions: KnownVersions::OURS,
        }
    }

    /// In nanoseconds since 1970; zero: there was none.
    pub(crate) fn bound_found(&self) -> u64 {
        self.bound_found.map_or(0, WallTime::unix_nanos)
    }
}

/// What a node with ranges serves others with.
#[derive(Clone)]
pub struct Services {
    pub batches: Arc<dyn Sender>,
    pub raft: replication::Store,
}

/// A node id that was given to a newcomer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admitted {
    pub node: NodeId,
    pub store: StoreId,
}

/// What operators and newcomers ask of a node; the node decides.
pub trait Steward: Send + Sync {
    /// Gives a newcomer a node id, if its program knows the cluster's version.
    fn admit(&self, rpc_address: String, versions: KnownVersions)
    -> BoxFuture<'_, Result<Admitted, Refusal>>;

    /// Makes a new cluster, with this node as its first member.
    fn initialise(&self) -> BoxFuture<'_, Result<ClusterId, Refusal>>;

    /// Stops (or starts again) taking leases and clients.
    fn drain(&self, draining: bool) -> BoxFuture<'_, Result<(), Refusal>>;

    /// Records whether nodes are meant to hold data.
    fn set_standing(&self, nodes: Vec<NodeId>, standing: Standing) -> BoxFuture<'_, Result<(), Refusal>>;

    /// Compares all replicas of a range: of this one, or of the one that holds a key.
    fn check_range(
        &self,
        range: Option<RangeId>,
        key: Key,
    ) -> BoxFuture<'_, Result<ReplicaCheckResponse, Refusal>>;
}

/// Shared by all parts of a network.
///
/// - Lock order: `peers`, then `roster`; both are leaves otherwise and not held across a wait.
pub(crate) struct Shared {
    pub env: Arc<dyn Env>,
    pub clock: Arc<Clock>,
    pub config: NetworkConfig,
    pub metrics: Arc<Metrics>,
    pub identity: OnceLock<Identity>,
    /// Tells this process from others of its node; never zero.
    pub process: u64,
    /// Whether others are told the own clock.
    tells_clock: AtomicBool,
    /// Another node has refused this one because its folder is old.
    is_stale: AtomicBool,
    /// Since when others refuse this program as too new.
    too_new_since: Mutex<Option<Duration>>,
    /// True once another node has welcomed this one.
    welcomed: tokio::sync::watch::Sender<bool>,
    pub services: OnceLock<Services>,
    pub steward: RwLock<Option<Arc<dyn Steward>>>,
    pub reporter: RwLock<Option<Arc<dyn Reporter>>>,
    pub roster: RwLock<Roster>,
    peers: Mutex<BTreeMap<NodeId, Arc<Peer>>>,
    pub snapshot_lane: Lane,
    pub snapshot_rate: Arc<RateLimit>,
    /// Snapshots being taken in.
    pub snapshots: tokio::sync::Semaphore,
    /// Those that were cut off.
    pub snapshots_kept: Arc<Kept>,
    /// True once the network is to stop.
    stopping: tokio::sync::watch::Sender<bool>,
    /// Why the node must stop.
    fatal: tokio::sync::watch::Sender<Option<String>>,
}

impl Shared {
    pub fn is_stopped(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Completes when the network stops.
    pub fn stopped(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut stopping = self.stopping.subscribe();
        async move {
            // A sender that is gone has stopped too.
            let _ = stopping.wait_for(|stopping| *stopping).await;
        }
    }

    /// The node cannot go on. The first reason counts.
    pub fn fail(&self, reason: String) {
        self.fatal.send_if_modified(|fatal| {
            let is_first = fatal.is_none();
            if is_first {
                tracing::error!(reason, "this node must stop");
                *fatal = Some(reason);
            }
            is_first
        });
    }

    pub fn hello(&self, role: v1::Role, expected: Option<NodeId>) -> v1::HelloRequest {
        let identity = self.identity.get().filter(|_| role == v1::Role::Node);
        v1::HelloRequest {
            role: role.into(),
            protocol_min: *self.config.versions.start(),
            protocol_max: *self.config.versions.end(),
            cluster_id: identity.map(|own| own.cluster.to_bytes().to_vec()).unwrap_or_default().into(),
            node_id: identity.map_or(0, |own| own.node.0),
            store_id: identity.map_or(0, |own| own.store.0),
            incarnation: identity.map_or(0, |own| own.incarnation),
            expected_node_id: expected.map_or(0, |node| node.0),
            rpc_address: self.config.addresses.rpc.clone(),
            program_version: self.config.program_version.clone(),
            process: identity.map_or(0, |_| self.process),
            bound_found: identity.map_or(0, |_| self.config.bound_found()),
            version_min: self.config.cluster_versions.oldest.0,
            version_max: self.config.cluster_versions.newest.0,
        }
    }

    /// Opens a connection to a member.
    pub async fn connect(&self, node: NodeId) -> Result<Connection, ConnectError> {
        let address = self.roster.read().address(node).map(str::to_string);
        let unknown = || ConnectError::Unreachable(format!("the address of node {node} is not known"));
        let address = address.filter(|address| !address.is_empty()).ok_or_else(unknown)?;
        self.connect_to(&address, self.hello(v1::Role::Node, Some(node))).await
    }

    /// Opens a connection to an address, and looks who answers.
    pub async fn connect_to(
        &self,
        address: &str,
        hello: v1::HelloRequest,
    ) -> Result<Connection, ConnectError> {
        let is_member = hello.role() == v1::Role::Node;
        let opened = Connection::open(&self.env, address, self.config.credentials.as_ref(), hello).await;
        let connection = opened.inspect_err(|_| {
            self.metrics.connect_failures.inc();
        })?;
        let cluster = ClusterId::from_bytes(&connection.welcome.cluster_id);
        match self.identity.get() {
            Some(own) if is_member && cluster != Some(own.cluster) => {
                Err(ConnectError::NotANode(format!("{address} answers for another cluster than it should")))
            }
            Some(own) if is_member && own.node.0 != connection.welcome.node_id => {
                self.judge_answerer(&connection.welcome).map(|()| connection)
            }
            _ => Ok(connection),
        }
    }

    /// Whoever would be refused is not called either.
    fn judge_answerer(&self, welcome: &v1::Welcome) -> Result<(), ConnectError> {
        if welcome.cluster_version > 0 {
            self.learn_cluster_version(ClusterVersion(welcome.cluster_version));
        }
        let known = KnownVersions::told(welcome.version_min, welcome.version_max);
        let cluster = self.roster.read().cluster_version();
        if let Some(objection) = cluster.and_then(|cluster| known.objection(cluster)) {
            return Err(ConnectError::NotANode(objection));
        }
        let node = NodeId(welcome.node_id);
        let past = self.roster.read().past(node);
        let objection = past.and_then(|past| past.objection(node, &Process::of_welcome(welcome)));
        objection.map_or(Ok(()), |objection| Err(ConnectError::NotANode(objection)))
    }

    /// Another node does not want us, and says why. Some reasons mean that this node cannot go on.
    pub fn refused(&self, error: &ConnectError) {
        if let ConnectError::Refused(refusal) = error
            && (refusal.reason.is_final() || self.is_too_new(refusal.reason))
        {
            if refusal.reason == RefusalReason::StaleFolder {
                self.is_stale.store(true, Ordering::Release);
            }
            self.fail(refusal.detail.clone());
        }
    }

    /// Whether this program is too new for good: who refuses it as that may not have heard of the cluster's version yet.
    fn is_too_new(&self, reason: RefusalReason) -> bool {
        let is_refused = reason == RefusalReason::VersionTooNew && !*self.welcomed.borrow();
        let now = self.env.monotonic();
        is_refused && now - *self.too_new_since.lock().get_or_insert(now) > limits::TOO_NEW_FOR
    }

    /// The own clock for others; zero: it is not told.
    pub fn told_clock(&self) -> u64 {
        match self.tells_clock.load(Ordering::Acquire) {
            true => self.clock.reached().unix_nanos(),
            false => 0,
        }
    }

    /// Another member, if it is one. Knows nothing of the own node.
    pub fn peer(self: &Arc<Self>, node: NodeId) -> Option<Arc<Peer>> {
        if let Some(peer) = self.peers.lock().get(&node) {
            return Some(Arc::clone(peer));
        }
        self.meet_peers();
        self.peers.lock().get(&node).cloned()
    }

    pub fn peers(&self) -> Vec<Arc<Peer>> {
        self.peers.lock().values().cloned().collect()
    }

    pub fn is_peer(&self, node: NodeId) -> bool {
        self.peers.lock().contains_key(&node)
    }

    /// Links to nodes that have become known, and forgets those that are gone for good.
    pub fn meet_peers(self: &Arc<Self>) {
        if self.identity.get().is_none() || self.is_stopped() {
            return;
        }
        let mut peers = self.peers.lock();
        let members = self.roster.read().peers();
        peers.retain(|node, _| members.contains(node));
        for node in members {
            peers.entry(node).or_insert_with(|| Peer::start(self, node));
        }
    }

    /// Takes in news from another node.
    pub fn absorb(self: &Arc<Self>, news: v1::News) {
        let changes = self.roster.write().absorb(news, self.env.monotonic());
        if let Some(reason) = changes.impostor {
            self.fail(reason);
        }
        for objection in changes.doubtful {
            tracing::debug!(objection, "what a process says of itself is not believed");
        }
        if changes.own_standing == Some(Standing::Decommissioned) {
            self.fail("this node was decommissioned: it cannot come back".to_string());
        }
        if let Some(version) = changes.cluster_version {
            self.cluster_version_rose(version);
        }
        self.meet_peers();
        for node in changes.moved {
            if let Some(peer) = self.peers.lock().get(&node) {
                peer.wake();
            }
        }
    }

    /// The cluster is at this version, or at a higher one.
    fn learn_cluster_version(&self, version: ClusterVersion) {
        if self.roster.write().learn_cluster_version(version) {
            self.cluster_version_rose(version);
        }
    }

    /// A program that is too old for the cluster's version cannot go on.
    fn cluster_version_rose(&self, version: ClusterVersion) {
        tracing::info!(%version, "the cluster's version");
        self.metrics.cluster_version.set(i64::from(version.0));
        let known = self.config.cluster_versions;
        if let Some(objection) = known.objection(version).filter(|_| known.are_too_old_for(version)) {
            self.fail(objection);
        }
    }

    pub fn node_of(&self, store: StoreId) -> Option<NodeId> {
        self.roster.read().node_of(store)
    }

    /// A node was heard directly.
    pub fn heard(&self, node: NodeId) {
        self.roster.write().heard(node, self.env.monotonic());
    }

    /// A peer has become reachable, or has stopped being so.
    pub fn link_changed(&self, node: NodeId, reason: Option<&str>) {
        match reason {
            None => {
                tracing::info!(%node, "a node is reachable");
                self.welcomed.send_replace(true);
            }
            Some(reason) => tracing::info!(%node, reason, "a node cannot be reached"),
        }
        let unreachable = self.peers().iter().filter(|peer| peer.unreachable().is_some()).count();
        self.metrics.peers_unreachable.set(unreachable as i64);
    }

    /// Stops the node if its clock is too far from the others'.
    pub fn judge_clock(&self) {
        let offsets: Vec<_> = self.peers().iter().filter_map(|peer| peer.clock_offset()).collect();
        let largest = offsets.iter().map(|offset| offset.distance_min()).max().unwrap_or_default();
        self.metrics.clock_offset_max_microseconds.set(largest.as_micros() as i64);
        if let Some(reason) = verdict(&offsets, self.clock.offset_max()) {
            self.fail(reason);
        }
    }

    pub fn steward(&self) -> Result<Arc<dyn Steward>, Refusal> {
        self.steward.read().clone().ok_or_else(|| Refusal::unavailable("the node is starting"))
    }
}

/// What a node has to do with others. Clones are the same network.
#[derive(Clone)]
pub struct Network {
    pub(crate) shared: Arc<Shared>,
}

impl Network {
    pub fn new(env: Arc<dyn Env>, clock: Arc<Clock>, config: NetworkConfig) -> Network {
        // Nothing was found that could be held against the clock.
        let tells_clock = AtomicBool::new(config.bound_found.is_none());
        let shared = Shared {
            clock,
            config,
            metrics: Arc::new(Metrics::default()),
            identity: OnceLock::new(),
            services: OnceLock::new(),
            steward: RwLock::new(None),
            reporter: RwLock::new(None),
            roster: RwLock::new(Roster::default()),
            peers: Mutex::new(BTreeMap::new()),
            process: env.entropy().max(1),
            tells_clock,
            is_stale: AtomicBool::new(false),
            too_new_since: Mutex::default(),
            welcomed: tokio::sync::watch::Sender::new(false),
            snapshot_lane: env.lane("snapshot-reader"),
            snapshot_rate: Arc::new(RateLimit::new(limits::SNAPSHOT_BYTES_PER_SECOND)),
            snapshots: tokio::sync::Semaphore::new(limits::SNAPSHOTS_INCOMING_MAX),
            snapshots_kept: Arc::default(),
            stopping: tokio::sync::watch::Sender::new(false),
            fatal: tokio::sync::watch::Sender::new(None),
            env,
        };
        Network { shared: Arc::new(shared) }
    }

    /// Serves whoever connects, until the network stops.
    pub fn serve(&self, listener: TcpListener) {
        let task = server::accept(Arc::clone(&self.shared), listener);
        drop(self.shared.env.spawn("rpc-listener", Box::pin(task)));
    }

    /// Who decides what is asked of this node; replaces whoever did before.
    pub fn set_steward(&self, steward: Arc<dyn Steward>) {
        *self.shared.steward.write() = Some(steward);
    }

    /// Who answers other nodes that ask about a topic.
    pub fn set_reporter(&self, reporter: Arc<dyn Reporter>) {
        *self.shared.reporter.write() = Some(reporter);
    }

    /// Asks the node at an address for a node id. It comes with news of the cluster, which are taken in.
    pub async fn join(&self, address: &str) -> Result<Identity, ConnectError> {
        let shared = &self.shared;
        let connection = shared.connect_to(address, shared.hello(v1::Role::Joiner, None)).await?;
        let request = v1::JoinRequest { rpc_address: shared.config.addresses.rpc.clone() };
        let failed = |reason: String| ConnectError::Unreachable(format!("{address}: {reason}"));
        let call = connection.operator().join(request).await;
        let answer = call.map_err(|status| failed(status.message().to_string()))?.into_inner();
        match answer.outcome {
            Some(v1::join_response::Outcome::Admission(admission)) => {
                let cluster = ClusterId::from_bytes(&admission.cluster_id);
                let sound = admission.node_id != 0 && admission.store_id != 0;
                let cluster = cluster.filter(|_| sound);
                let cluster = cluster.ok_or_else(|| failed("its admission makes no sense".to_string()))?;
                shared.absorb(admission.news.unwrap_or_default());
                let (node, store) = (NodeId(admission.node_id), StoreId(admission.store_id));
                Ok(Identity { cluster, node, store, incarnation: 1 })
            }
            Some(v1::join_response::Outcome::Refusal(refusal)) => {
                Err(ConnectError::Refused(Refusal::from_proto(refusal)))
            }
            None => Err(failed("it answers with nothing".to_string())),
        }
    }

    /// Who listens at an address: its cluster, if it belongs to one. For a node that wants to know whether its folder and its
    /// cluster go together.
    pub async fn probe(&self, address: &str) -> Result<Option<ClusterId>, ConnectError> {
        let shared = &self.shared;
        let connection = shared.connect_to(address, shared.hello(v1::Role::Joiner, None)).await?;
        Ok(ClusterId::from_bytes(&connection.welcome.cluster_id))
    }

    /// Has an identity from now on. `remembered` is what [`Network::to_remember`] gave an earlier process, or nothing.
    pub fn become_member(&self, identity: Identity, remembered: &[u8]) {
        let shared = &self.shared;
        assert!(shared.identity.set(identity).is_ok(), "a node becomes a member once");
        let config = &shared.config;
        let record = v1::NodeRecord {
            node_id: identity.node.0,
            store_id: identity.store.0,
            incarnation: identity.incarnation,
            sequence: 1,
            rpc_address: config.addresses.rpc.clone(),
            sql_address: config.addresses.sql.clone(),
            http_address: config.addresses.http.clone(),
            locality: config.locality.to_string(),
            program_version: config.program_version.clone(),
            draining: false,
            capacity: None,
            process: shared.process,
            bound_found: config.bound_found(),
            clock: shared.told_clock(),
            version_min: config.cluster_versions.oldest.0,
            version_max: config.cluster_versions.newest.0,
        };
        {
            let mut roster = shared.roster.write();
            let began = shared.clock.reached().unix_nanos();
            roster.become_member(record, config.locality.clone(), shared.env.monotonic(), began);
        }
        self.take_news(remembered);
        drop(shared.env.spawn("gossip", Box::pin(gossip::run(Arc::downgrade(shared), shared.env.clone()))));
    }

    /// Completes when another node has welcomed this one.
    pub fn welcomed(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut welcomed = self.shared.welcomed.subscribe();
        async move {
            if welcomed.wait_for(|welcomed| *welcomed).await.is_err() {
                // The network is gone: nobody will.
                std::future::pending::<()>().await;
            }
        }
    }

    /// From now on others are told the own clock. Only once the bound on disk counts for the next process: they hold it against that.
    pub fn tell_clock(&self) {
        self.shared.tells_clock.store(true, Ordering::Release);
    }

    /// The bound that was found, if another node has refused this one because it is too low, or the folder is a copy.
    pub fn refused_with_bound(&self) -> Option<WallTime> {
        self.shared.config.bound_found.filter(|_| self.shared.is_stale.load(Ordering::Acquire))
    }

    /// Takes in what [`Network::to_remember`] gave, here or elsewhere.
    pub fn take_news(&self, remembered: &[u8]) {
        match v1::News::decode(remembered) {
            Ok(news) => self.shared.absorb(news),
            Err(error) => tracing::warn!(%error, "what was remembered of other nodes cannot be read"),
        }
    }

    /// Has ranges from now on.
    pub fn attach(&self, services: Services) {
        assert!(self.shared.services.set(services).is_ok(), "a node attaches its ranges once");
    }

    /// What is known of other nodes, for the next process on this folder.
    pub fn to_remember(&self) -> Vec<u8> {
        let roster = self.shared.roster.read();
        let mut news = roster.news_for(&v1::Digest::default());
        // Capacities are out of date by then, and change all the time.
        for record in &mut news.nodes {
            (record.capacity, record.sequence) = (None, 0);
        }
        drop(roster);
        news.encode_to_vec()
    }

    /// Whether what [`Network::to_remember`] gave tells of more than one node. What cannot be read may.
    pub fn remembers_others(remembered: &[u8]) -> bool {
        v1::News::decode(remembered).map_or(true, |news| news.nodes.len() > 1)
    }

    pub fn identity(&self) -> Option<Identity> {
        self.shared.identity.get().copied()
    }

    pub fn transport(&self) -> Arc<dyn RaftTransport> {
        Arc::new(Transport(Arc::clone(&self.shared)))
    }

    /// The ways to the other nodes.
    pub fn dialer(&self) -> Arc<dyn NodeDialer> {
        Arc::new(Dialer::new(&self.shared))
    }

    pub fn membership(&self) -> Arc<dyn Membership> {
        Arc::new(NetworkMembership(Arc::clone(&self.shared)))
    }

    /// The member, not decommissioned, that listens at this RPC address.
    pub fn member_at(&self, rpc_address: &str) -> Option<NodeId> {
        self.shared.roster.read().member_at(rpc_address, self.shared.env.monotonic())
    }

    /// A node id was given to a newcomer: from now on it counts as a member, before anything was heard of it.
    pub fn expect_member(&self, admitted: Admitted, rpc_address: &str) {
        // Below everything that it will say itself.
        let record = v1::NodeRecord {
            node_id: admitted.node.0,
            store_id: admitted.store.0,
            incarnation: 0,
            sequence: 1,
            rpc_address: rpc_address.to_string(),
            ..v1::NodeRecord::default()
        };
        self.shared.absorb(v1::News { nodes: vec![record], ..v1::News::default() });
    }

    /// Tells others whether this node is about to stop.
    pub fn publish_draining(&self, draining: bool) {
        self.shared.roster.write().change_own(|record| {
            let is_new = record.draining != draining;
            record.draining = draining;
            is_new
        });
    }

    /// Tells others what the keyspace says of a node's standing.
    pub fn publish_standing(&self, node: NodeId, edition: u64, standing: Standing) {
        self.shared.roster.write().set_standing(node, edition, standing);
        self.shared.meet_peers();
    }

    /// The versions of a cluster that this program knows.
    pub fn known_versions(&self) -> KnownVersions {
        self.shared.config.cluster_versions
    }

    /// Tells others what version the keyspace says that the cluster is at.
    pub fn publish_cluster_version(&self, version: ClusterVersion) {
        self.shared.learn_cluster_version(version);
    }

    /// Counts the changes of a node's standing, as far as they are known here.
    pub fn standing_edition(&self, node: NodeId) -> u64 {
        self.shared.roster.read().standing_edition(node)
    }

    /// Changes how many bytes of snapshots are sent per second, all together.
    pub fn set_snapshot_rate(&self, bytes_per_second: u64) {
        self.shared.snapshot_rate.set(bytes_per_second);
    }

    /// How far a node's clock is ahead of this one's, as measured.
    pub fn clock_offset(&self, node: NodeId) -> Option<ClockOffset> {
        self.shared.peer(node)?.clock_offset()
    }

    /// Why a node cannot be reached from here, if it cannot.
    pub fn unreachable(&self, node: NodeId) -> Option<String> {
        self.shared.peer(node)?.unreachable()
    }

    /// Completes with the reason when the node must stop: its clock is wrong, it was decommissioned, or another process has its identity.
    pub fn fatal(&self) -> impl Future<Output = String> + Send + use<> {
        let mut fatal = self.shared.fatal.subscribe();
        async move {
            let reason = fatal.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
            match reason {
                Some(reason) => reason,
                // The network is gone, and with it what could be fatal.
                None => std::future::pending().await,
            }
        }
    }

    pub fn register_metrics(&self, registry: &mut Registry) {
        self.shared.metrics.register(registry);
    }

    /// Closes all connections, and takes no more.
    pub fn stop(&self) {
        self.shared.stopping.send_replace(true);
        self.shared.peers.lock().clear();
    }
}

/// The transport of `replication`.
struct Transport(Arc<Shared>);

impl RaftTransport for Transport {
    fn send(&self, to: StoreId, batch: RaftBatch) {
        let peer = self.0.node_of(to).and_then(|node| self.0.peer(node));
        match peer {
            Some(peer) => peer.raft.push(to, batch),
            None => {
                self.0.metrics.raft_lost.inc_by(batch.envelopes.len() as u64);
            }
        }
    }

    fn send_snapshot(
        &self,
        to: StoreId,
        snapshot: SnapshotStream,
    ) -> BoxFuture<'static, Result<(), SendError>> {
        Box::pin(snapshot::send(Arc::clone(&self.0), to, snapshot))
    }
}

/// The membership of `kvapi`.
struct NetworkMembership(Arc<Shared>);

impl Membership for NetworkMembership {
    fn own(&self) -> NodeId {
        self.0.identity.get().map_or(NodeId(0), |own| own.node)
    }

    fn nodes(&self) -> Vec<NodeInfo> {
        self.0.roster.read().nodes(self.0.env.monotonic())
    }

    fn node(&self, node: NodeId) -> Option<NodeInfo> {
        self.0.roster.read().node(node, self.0.env.monotonic())
    }

    fn node_of(&self, store: StoreId) -> Option<NodeId> {
        self.0.node_of(store)
    }

    fn revision(&self) -> u64 {
        self.0.roster.read().revision()
    }

    fn cluster_version(&self) -> ClusterVersion {
        self.0.roster.read().cluster_version().unwrap_or(ClusterVersion::FIRST)
    }

    fn publish_capacity(&self, capacity: Capacity) {
        self.0.roster.write().change_own(|record| {
            let capacity = Some(capacity_to_proto(capacity));
            let is_new = record.capacity != capacity;
            record.capacity = capacity;
            is_new
        });
    }

    fn first_range(&self) -> Option<RangeDescriptor> {
        self.0.roster.read().first_range().cloned()
    }

    fn publish_first_range(&self, descriptor: &RangeDescriptor) {
        let known = self.0.roster.read().first_range().map(|known| known.generation);
        if known.is_none_or(|known| known < descriptor.generation) {
            self.0.roster.write().learn_first_range(descriptor);
        }
    }
}

/// How long since a node was heard of, for people.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
