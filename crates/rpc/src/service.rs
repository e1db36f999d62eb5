//! What is answered to others, call by call.

use std::net::SocketAddr;
use std::sync::Arc;

use env::trace;
use keys::{Key, NodeId, RangeId, StoreId};
use kvapi::{BatchRequest, BatchResponse, KnownVersions, KvError, Standing, transit};
use parking_lot::Mutex;
use proto::v1;
use tonic::{Request, Response, Status, Streaming};
use tracing::Instrument;

use crate::generated::node_server::Node;
use crate::generated::operator_server::Operator;
use crate::identity::{Judge, Refusal, RefusalReason};
use crate::network::{Services, Shared, nanos};
use crate::tls::{Certified, NODE_NAME, OPERATOR_NAME};
use crate::{batches, gossip, raft_stream, report, snapshot};

/// Who has called, as far as it has said.
pub(crate) struct Caller {
    address: SocketAddr,
    /// Whose certificate it has shown; `None`: nobody is asked for one.
    certified: Option<Certified>,
    greeted: Mutex<Option<Greeted>>,
}

/// A caller that was welcomed.
#[derive(Clone, Copy, Debug)]
struct Greeted {
    role: v1::Role,
    /// Zero unless it is a node.
    node: NodeId,
    store: StoreId,
    versions: KnownVersions,
}

impl Caller {
    pub fn new(address: SocketAddr, certified: Option<Certified>) -> Caller {
        Caller { address, certified, greeted: Mutex::new(None) }
    }

    pub fn is_greeted(&self) -> bool {
        self.greeted.lock().is_some()
    }

    /// A caller of this role, that has introduced itself.
    fn expect(&self, roles: &[v1::Role]) -> Result<Greeted, Status> {
        let greeted = *self.greeted.lock();
        let greeted = greeted.ok_or_else(|| Status::unauthenticated("say Hello first"))?;
        match roles.contains(&greeted.role) {
            true => Ok(greeted),
            false => Err(Status::permission_denied("this call is for others")),
        }
    }

    fn expect_node(&self) -> Result<Greeted, Status> {
        self.expect(&[v1::Role::Node])
    }

    /// Whether its certificate gives it the right to a role.
    fn may_be(&self, role: v1::Role) -> Result<(), Refusal> {
        let Some(Certified { name, .. }) = &self.certified else { return Ok(()) };
        let allowed = match role {
            v1::Role::Node | v1::Role::Joiner => name == NODE_NAME,
            v1::Role::Operator => name == NODE_NAME || name == OPERATOR_NAME,
            v1::Role::Unspecified => false,
        };
        let detail = || format!("a certificate of \"{name}\" does not give the right to this");
        allowed.then_some(()).ok_or_else(|| Refusal::new(RefusalReason::Invalid, detail()))
    }
}

impl Caller {
    /// Whether others will believe its certificate when they call it.
    fn check_address(&self, rpc_address: &str) -> Result<(), Refusal> {
        let checked =
            self.certified.as_ref().map_or(Ok(()), |certified| certified.check_address(rpc_address));
        checked.map_err(|why| {
            let detail = format!(
                "other nodes could not talk to this one: it says that it is reached at {rpc_address}, and they would not take its certificate \
                 there: {why}"
            );
            Refusal::new(RefusalReason::Invalid, detail)
        })
    }
}

/// The calls between nodes.
pub(crate) struct NodeService {
    pub shared: Arc<Shared>,
    pub caller: Arc<Caller>,
}

impl NodeService {
    fn judge(&self, hello: &v1::HelloRequest) -> Result<v1::Welcome, Refusal> {
        let shared = &self.shared;
        self.caller.may_be(hello.role())?;
        let own = shared.identity.get();
        let known = |node| shared.roster.read().past(node);
        let judge = Judge {
            own,
            own_process: shared.process,
            address: &shared.config.addresses.rpc,
            versions: shared.config.versions.clone(),
            cluster_version: shared.roster.read().cluster_version(),
            known: &known,
        };
        let protocol = judge.judge(hello)?;
        Ok(v1::Welcome {
            protocol,
            cluster_id: own.map(|own| own.cluster.to_bytes().to_vec()).unwrap_or_default().into(),
            node_id: own.map_or(0, |own| own.node.0),
            store_id: own.map_or(0, |own| own.store.0),
            incarnation: own.map_or(0, |own| own.incarnation),
            program_version: shared.config.program_version.clone(),
            process: shared.process,
            bound_found: shared.config.bound_found(),
            cluster_version: shared.roster.read().cluster_version().map_or(0, |version| version.0),
            version_min: shared.config.cluster_versions.oldest.0,
            version_max: shared.config.cluster_versions.newest.0,
        })
    }
}

impl NodeService {
    /// Serves a batch of a statement that is traced, and tells what was done.
    async fn traced(
        &self,
        services: &Services,
        batch: &BatchRequest,
        trace_id: u64,
    ) -> (Result<BatchResponse, KvError>, Vec<v1::TraceRecord>) {
        let node = self.shared.identity.get().map_or(0, |own| own.node.0);
        let recording = trace::Recording::begin(&self.shared.env, node, Some(trace_id));
        let root = recording.root("serve");
        // Some of the work is done before it is awaited.
        let work = root.in_scope(|| services.batches.send(batch));
        let answer = work.instrument(root).await;
        (answer, recording.finish().records.into_iter().map(batches::record_to_proto).collect())
    }
}

#[tonic::async_trait]
impl Node for NodeService {
    async fn hello(&self, request: Request<v1::HelloRequest>) -> Result<Response<v1::HelloResponse>, Status> {
        let hello = request.into_inner();
        let outcome = match self.judge(&hello) {
            Ok(welcome) => {
                let (node, store) = (NodeId(hello.node_id), StoreId(hello.store_id));
                *self.caller.greeted.lock() = Some(Greeted {
                    role: hello.role(),
                    node,
                    store,
                    versions: KnownVersions::told(hello.version_min, hello.version_max),
                });
                // It lives: whoever waits to try it again need not wait any longer.
                if hello.role() == v1::Role::Node
                    && let Some(peer) = self.shared.peer(node)
                    && peer.unreachable().is_some()
                {
                    peer.wake();
                }
                v1::hello_response::Outcome::Welcome(welcome)
            }
            Err(refusal) => {
                self.shared.metrics.connections_refused.inc();
                tracing::warn!(address = %self.caller.address, %refusal, "connection refused");
                v1::hello_response::Outcome::Refusal(refusal.to_proto())
            }
        };
        Ok(Response::new(v1::HelloResponse { outcome: Some(outcome) }))
    }

    async fn ping(&self, request: Request<v1::PingRequest>) -> Result<Response<v1::PingResponse>, Status> {
        let greeted = self.caller.expect_node()?;
        self.shared.heard(greeted.node);
        let number = request.into_inner().number;
        Ok(Response::new(v1::PingResponse { number, wall_nanos: self.shared.clock.wall().unix_nanos() }))
    }

    async fn batch(&self, request: Request<v1::BatchRequest>) -> Result<Response<v1::BatchResponse>, Status> {
        self.caller.expect_node()?;
        let v1::BatchRequest { batch: bytes, trace_id } = request.into_inner();
        let batch = BatchRequest::decode(&bytes)
            .map_err(|error| Status::invalid_argument(format!("the batch cannot be read: {error}")))?;
        drop(bytes);
        let metrics = &self.shared.metrics;
        let mut trace = Vec::new();
        let answer = match self.shared.services.get() {
            Some(services) => {
                let _serving = Serving::begin(metrics);
                match trace_id {
                    0 => services.batches.send(&batch).await,
                    trace_id => {
                        let answer;
                        (answer, trace) = self.traced(services, &batch, trace_id).await;
                        answer
                    }
                }
            }
            None => Err(KvError::unavailable("the node is starting")),
        };
        metrics.batches_served.inc();
        Ok(Response::new(v1::BatchResponse { answer: transit::encode_answer(&answer).into(), trace }))
    }

    async fn raft(
        &self,
        request: Request<Streaming<v1::RaftMessages>>,
    ) -> Result<Response<v1::RaftResponse>, Status> {
        let greeted = self.caller.expect_node()?;
        let starting = || Status::unavailable("the node is starting");
        let services = self.shared.services.get().ok_or_else(starting)?;
        let own = self.shared.identity.get().ok_or_else(starting)?.store;
        let mut stream = request.into_inner();
        while let Some(messages) = stream.message().await? {
            for batch in messages.batches {
                if batch.to_store == own.0 && batch.from_store == greeted.store.0 {
                    services.raft.receive(raft_stream::decode(batch, &self.shared.metrics));
                }
            }
        }
        Ok(Response::new(v1::RaftResponse {}))
    }

    async fn snapshot(
        &self,
        request: Request<Streaming<v1::SnapshotPart>>,
    ) -> Result<Response<v1::SnapshotResponse>, Status> {
        let greeted = self.caller.expect_node()?;
        let answer = |refusal: String| Ok(Response::new(v1::SnapshotResponse { refusal }));
        let metrics = &self.shared.metrics;
        let (Some(services), Some(own)) = (self.shared.services.get(), self.shared.identity.get()) else {
            return answer("the node is starting".to_string());
        };
        let Ok(_permit) = self.shared.snapshots.try_acquire() else {
            return answer("the store takes as many snapshots as it can already".to_string());
        };
        let (env, kept) = (&self.shared.env, &self.shared.snapshots_kept);
        let taken = match snapshot::receive(env, kept, greeted.node, request.into_inner()).await {
            Ok((to, received)) if to == own.store && received.from == greeted.store => {
                services.raft.receive_snapshot(received)
            }
            Ok((to, _)) => {
                return answer(format!("the snapshot is for store {to}, this is store {}", own.store));
            }
            Err(error) => Err(error),
        };
        match taken {
            Ok(()) => {
                metrics.snapshots_received.inc();
                answer(String::new())
            }
            Err(error) => {
                metrics.snapshots_failed.inc();
                answer(error.0)
            }
        }
    }

    async fn snapshot_progress(
        &self,
        request: Request<v1::SnapshotProgressRequest>,
    ) -> Result<Response<v1::SnapshotProgressResponse>, Status> {
        let greeted = self.caller.expect_node()?;
        let chunk_count = self.shared.snapshots_kept.chunks(greeted.node, request.into_inner().snapshot_id);
        Ok(Response::new(v1::SnapshotProgressResponse { chunk_count }))
    }

    async fn gossip(
        &self,
        request: Request<v1::GossipRequest>,
    ) -> Result<Response<v1::GossipResponse>, Status> {
        self.caller.expect_node()?;
        Ok(Response::new(gossip::answer(&self.shared, request.into_inner())))
    }

    async fn report(
        &self,
        request: Request<v1::ReportRequest>,
    ) -> Result<Response<v1::ReportResponse>, Status> {
        self.caller.expect_node()?;
        Ok(Response::new(report::answer(&self.shared, request.get_ref())))
    }

    async fn tell(&self, request: Request<v1::TellRequest>) -> Result<Response<v1::TellResponse>, Status> {
        let from = self.caller.expect_node()?.node;
        Ok(Response::new(report::hear(&self.shared, from, request.into_inner())))
    }
}

/// Counts a batch as under way until it is dropped, which may be before it has ended.
struct Serving<'a>(&'a crate::metrics::Metrics);

impl Serving<'_> {
    fn begin(metrics: &crate::metrics::Metrics) -> Serving<'_> {
        metrics.batches_serving.inc();
        Serving(metrics)
    }
}

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        self.0.batches_serving.dec();
    }
}

/// The calls of newcomers and people.
pub(crate) struct OperatorService {
    pub shared: Arc<Shared>,
    pub caller: Arc<Caller>,
}

impl OperatorService {
    fn expect_operator(&self) -> Result<(), Status> {
        self.caller.expect(&[v1::Role::Operator, v1::Role::Node]).map(|_| ())
    }

    async fn admit(&self, rpc_address: String, versions: KnownVersions) -> Result<v1::Admission, Refusal> {
        let not_yet = || {
            let address = &self.shared.config.addresses.rpc;
            let detail = format!("the node at {address} belongs to no cluster yet");
            Refusal::new(RefusalReason::NotInitialised, detail)
        };
        let identity = self.shared.identity.get().ok_or_else(not_yet)?;
        // Before it has an id: it would be a member that nobody can reach.
        self.caller.check_address(&rpc_address)?;
        let admitted = self.shared.steward()?.admit(rpc_address, versions).await?;
        let news = self.shared.roster.read().news_for(&v1::Digest::default());
        Ok(v1::Admission {
            cluster_id: identity.cluster.to_bytes().to_vec().into(),
            node_id: admitted.node.0,
            store_id: admitted.store.0,
            news: Some(news),
        })
    }

    fn node_statuses(&self) -> Vec<v1::NodeStatus> {
        let shared = &self.shared;
        let infos = shared.roster.read().nodes(shared.env.monotonic());
        let records: Vec<(v1::NodeRecord, Standing)> =
            shared.roster.read().records().map(|(record, standing)| (record.clone(), standing)).collect();
        let known = records.into_iter().filter(|(record, _)| record.store_id != 0);
        known
            .map(|(record, standing)| {
                let node = NodeId(record.node_id);
                let peer = shared.peer(node);
                let offset = peer.as_ref().and_then(|peer| peer.clock_offset());
                let silence = infos.iter().find(|info| info.node == node).map(|info| info.silence);
                v1::NodeStatus {
                    standing: standing as u32,
                    silence_nanos: nanos(silence.unwrap_or_default()),
                    clock_offset_nanos: offset.map(|offset| offset.nanos),
                    clock_uncertainty_nanos: offset.map(|offset| nanos(offset.uncertainty)),
                    unreachable: peer.and_then(|peer| peer.unreachable()).unwrap_or_default(),
                    record: Some(record),
                }
            })
            .collect()
    }

    async fn drain_node(&self, request: v1::DrainRequest) -> Result<(), Refusal> {
        let own = self.shared.identity.get().map(|own| own.node);
        let target = NodeId(request.node_id);
        if request.node_id == 0 || own == Some(target) {
            return self.shared.steward()?.drain(request.draining).await;
        }
        // Somebody else's matter: passed on.
        let unknown = || Refusal::new(RefusalReason::Invalid, format!("there is no node {target}"));
        let peer = self.shared.peer(target).ok_or_else(unknown)?;
        let unreachable =
            |why: String| Refusal::unavailable(format!("node {target} cannot be reached: {why}"));
        let connection = peer.main().ok_or_else(|| unreachable(peer.unreachable().unwrap_or_default()))?;
        let passed = v1::DrainRequest { node_id: 0, draining: request.draining };
        let answer = connection.operator().drain(passed).await;
        let answer = answer.map_err(|status| unreachable(status.message().to_string()))?;
        answer.into_inner().refusal.map_or(Ok(()), |refusal| Err(Refusal::from_proto(refusal)))
    }

    async fn change_standing(&self, request: v1::SetStandingRequest) -> Result<(), Refusal> {
        let code = u8::try_from(request.standing).ok().and_then(Standing::from_code);
        let standing = code.ok_or_else(|| Refusal::new(RefusalReason::Invalid, "an unknown standing"))?;
        let nodes = request.node_ids.into_iter().map(NodeId).collect();
        self.shared.steward()?.set_standing(nodes, standing).await
    }

    async fn compare_replicas(&self, request: v1::CheckRangeRequest) -> Result<v1::CheckedRange, Refusal> {
        let range = Some(RangeId(request.range_id)).filter(|range| range.get() != 0);
        let found = self.shared.steward()?.check_range(range, Key::copy_from(&request.key)).await?;
        let replicas = found.replicas.iter().map(|replica| v1::CheckedReplica {
            node_id: replica.node.0,
            store_id: replica.store.0,
            standing: replica.standing.to_string(),
        });
        Ok(v1::CheckedRange {
            range_id: found.descriptor.id.get(),
            end_key: found.descriptor.span.end.to_vec().into(),
            index: found.index,
            outcome: found.outcome.name().to_string(),
            replicas: replicas.collect(),
        })
    }
}

#[tonic::async_trait]
impl Operator for OperatorService {
    async fn join(&self, request: Request<v1::JoinRequest>) -> Result<Response<v1::JoinResponse>, Status> {
        let caller = self.caller.expect(&[v1::Role::Joiner])?;
        let outcome = match self.admit(request.into_inner().rpc_address, caller.versions).await {
            Ok(admission) => v1::join_response::Outcome::Admission(admission),
            Err(refusal) => v1::join_response::Outcome::Refusal(refusal.to_proto()),
        };
        Ok(Response::new(v1::JoinResponse { outcome: Some(outcome) }))
    }

    async fn init(&self, _: Request<v1::InitRequest>) -> Result<Response<v1::InitResponse>, Status> {
        self.expect_operator()?;
        let initialised = match self.shared.steward() {
            Ok(steward) => steward.initialise().await,
            Err(refusal) => Err(refusal),
        };
        let outcome = match initialised {
            Ok(cluster) => v1::init_response::Outcome::ClusterId(cluster.to_bytes().to_vec().into()),
            Err(refusal) => v1::init_response::Outcome::Refusal(refusal.to_proto()),
        };
        Ok(Response::new(v1::InitResponse { outcome: Some(outcome) }))
    }

    async fn list_nodes(
        &self,
        _: Request<v1::ListNodesRequest>,
    ) -> Result<Response<v1::ListNodesResponse>, Status> {
        self.expect_operator()?;
        let cluster = self.shared.identity.get().map(|own| own.cluster.to_bytes().to_vec());
        let nodes = self.node_statuses();
        Ok(Response::new(v1::ListNodesResponse { cluster_id: cluster.unwrap_or_default().into(), nodes }))
    }

    async fn drain(&self, request: Request<v1::DrainRequest>) -> Result<Response<v1::DrainResponse>, Status> {
        self.expect_operator()?;
        let refusal = self.drain_node(request.into_inner()).await.err().map(|refusal| refusal.to_proto());
        Ok(Response::new(v1::DrainResponse { refusal }))
    }

    async fn set_standing(
        &self,
        request: Request<v1::SetStandingRequest>,
    ) -> Result<Response<v1::SetStandingResponse>, Status> {
        self.expect_operator()?;
        let refusal =
            self.change_standing(request.into_inner()).await.err().map(|refusal| refusal.to_proto());
        Ok(Response::new(v1::SetStandingResponse { refusal }))
    }
    async fn check_range(
        &self,
        request: Request<v1::CheckRangeRequest>,
    ) -> Result<Response<v1::CheckRangeResponse>, Status> {
        self.expect_operator()?;
        let outcome = match self.compare_replicas(request.into_inner()).await {
            Ok(range) => v1::check_range_response::Outcome::Range(range),
            Err(refusal) => v1::check_range_response::Outcome::Refusal(refusal.to_proto()),
        };
        Ok(Response::new(v1::CheckRangeResponse { outcome: Some(outcome) }))
    }
}
