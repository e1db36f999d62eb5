//! The operator's side: what command lines ask of a node.

use std::sync::Arc;
use std::time::Duration;

use env::Env;
use keys::{NodeId, RangeId, StoreId};
use kvapi::{KnownVersions, Locality, NodeInfo, Standing};
use proto::v1;

use crate::connection::{ConnectError, Connection};
use crate::identity::{ClusterId, PROTOCOL_VERSIONS, Refusal, RefusalReason};
use crate::offset::ClockOffset;
use crate::roster::capacity_from_proto;
use crate::tls::Credentials;

/// A node as another one sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeStatus {
    pub info: NodeInfo,
    /// How far its clock is ahead of the asked node's; `None`: not measured.
    pub clock_offset: Option<ClockOffset>,
    /// Why the asked node cannot reach it, if it cannot.
    pub unreachable: Option<String>,
}

/// What a comparison of a range's replicas has found, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedRange {
    pub range: RangeId,
    /// Where the next range begins.
    pub end_key: Vec<u8>,
    /// Up to here in its log the replicas were compared.
    pub index: u64,
    /// A name of [`kvapi::CheckOutcome`].
    pub outcome: String,
    /// Checksums, or why there is none, by node.
    pub replicas: Vec<(NodeId, String)>,
}

/// A connection by which a person operates a cluster.
pub struct OperatorClient {
    connection: Connection,
}

impl OperatorClient {
    /// Connects to any node's RPC address.
    pub async fn connect(
        env: &Arc<dyn Env>,
        address: &str,
        credentials: Option<&Credentials>,
        program_version: &str,
    ) -> Result<OperatorClient, ConnectError> {
        let hello = v1::HelloRequest {
            role: v1::Role::Operator.into(),
            protocol_min: *PROTOCOL_VERSIONS.start(),
            protocol_max: *PROTOCOL_VERSIONS.end(),
            program_version: program_version.to_string(),
            ..v1::HelloRequest::default()
        };
        let connection = Connection::open(env, address, credentials, hello).await?;
        Ok(OperatorClient { connection })
    }

    /// The id of the node that was reached; `None`: it belongs to no cluster yet.
    pub fn node(&self) -> Option<NodeId> {
        Some(self.connection.welcome.node_id).filter(|id| *id != 0).map(NodeId)
    }

    /// Makes a new cluster with that node as its first member.
    pub async fn initialise(&self) -> Result<ClusterId, Refusal> {
        let answer = self.connection.operator().init(v1::InitRequest {}).await;
        match self.answered(answer)?.outcome {
            Some(v1::init_response::Outcome::ClusterId(id)) => {
                ClusterId::from_bytes(&id).ok_or_else(|| self.nonsense())
            }
            Some(v1::init_response::Outcome::Refusal(refusal)) => Err(Refusal::from_proto(refusal)),
            None => Err(self.nonsense()),
        }
    }

    /// What that node knows of all nodes, by id.
    pub async fn nodes(&self) -> Result<(Option<ClusterId>, Vec<NodeStatus>), Refusal> {
        let answer = self.connection.operator().list_nodes(v1::ListNodesRequest {}).await;
        let answer = self.answered(answer)?;
        let nodes =
            answer.nodes.into_iter().map(|status| status_from_proto(status).ok_or_else(|| self.nonsense()));
        Ok((ClusterId::from_bytes(&answer.cluster_id), nodes.collect::<Result<Vec<_>, Refusal>>()?))
    }

    /// Drains a node (`None`: the one that was reached), or lets it go on.
    pub async fn drain(&self, node: Option<NodeId>, draining: bool) -> Result<(), Refusal> {
        let request = v1::DrainRequest { node_id: node.map_or(0, |node| node.0), draining };
        let answer = self.connection.operator().drain(request).await;
        self.answered(answer)?.refusal.map_or(Ok(()), |refusal| Err(Refusal::from_proto(refusal)))
    }

    /// Changes whether nodes are meant to hold data.
    pub async fn set_standing(&self, nodes: &[NodeId], standing: Standing) -> Result<(), Refusal> {
        let node_ids = nodes.iter().map(|node| node.0).collect();
        let request = v1::SetStandingRequest { node_ids, standing: standing as u32 };
        let answer = self.connection.operator().set_standing(request).await;
        self.answered(answer)?.refusal.map_or(Ok(()), |refusal| Err(Refusal::from_proto(refusal)))
    }

    /// Compares all replicas of a range: of this one, or of the one that holds a key.
    pub async fn check_range(&self, range: Option<RangeId>, key: &[u8]) -> Result<CheckedRange, Refusal> {
        let request =
            v1::CheckRangeRequest { range_id: range.map_or(0, RangeId::get), key: key.to_vec().into() };
        let answer = self.connection.operator().check_range(request).await;
        match self.answered(answer)?.outcome {
            Some(v1::check_range_response::Outcome::Range(found)) => Ok(CheckedRange {
                range: RangeId(found.range_id),
                end_key: found.end_key.to_vec(),
                index: found.index,
                outcome: found.outcome,
                replicas: found
                    .replicas
                    .into_iter()
                    .map(|replica| (NodeId(replica.node_id), replica.standing))
                    .collect(),
            }),
            Some(v1::check_range_response::Outcome::Refusal(refusal)) => Err(Refusal::from_proto(refusal)),
            None => Err(self.nonsense()),
        }
    }

    fn answered<T>(&self, answer: Result<tonic::Response<T>, tonic::Status>) -> Result<T, Refusal> {
        match answer {
            Ok(answer) => Ok(answer.into_inner()),
            Err(_) if self.connection.is_closed() => Err(Refusal::unavailable(self.connection.reason())),
            Err(status) => {
                let detail = format!("{}: {}", self.connection.address, status.message());
                Err(Refusal::unavailable(detail))
            }
        }
    }

    fn nonsense(&self) -> Refusal {
        let detail = format!("the answer of {} makes no sense", self.connection.address);
        Refusal::new(RefusalReason::Invalid, detail)
    }
}

fn status_from_proto(status: v1::NodeStatus) -> Option<NodeStatus> {
    let record = status.record?;
    let info = NodeInfo {
        node: NodeId(record.node_id),
        store: StoreId(record.store_id),
        incarnation: record.incarnation,
        rpc_address: record.rpc_address,
        sql_address: record.sql_address,
        http_address: record.http_address,
        locality: Locality::parse(&record.locality).ok()?,
        version: record.program_version,
        versions: KnownVersions::told(record.version_min, record.version_max),
        capacity: record.capacity.as_ref().map(capacity_from_proto).unwrap_or_default(),
        draining: record.draining,
        standing: Standing::from_code(u8::try_from(status.standing).ok()?)?,
        silence: Duration::from_nanos(status.silence_nanos),
    };
    let clock_offset = status.clock_offset_nanos.map(|nanos| ClockOffset {
        nanos,
        uncertainty: Duration::from_nanos(status.clock_uncertainty_nanos.unwrap_or_default()),
    });
    let unreachable = Some(status.unreachable).filter(|reason| !reason.is_empty());
    Some(NodeStatus { info, clock_offset, unreachable })
}
