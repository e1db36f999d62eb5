//! Batches to other nodes: the way to a node as `kvclient` knows it.
//!
//! What an error means is decided here. As long as nothing of a call has left, nothing was done. After that only the answer
//! tells: without it, asking again is safe for what can be repeated, and for the rest the outcome is unknown.
//!
//! There is no time limit of its own on a batch: it may wait for a lock for as long as the holder lives. It ends when the
//! peer's link goes down, or when the caller drops it, which abandons it over there too.

use std::sync::{Arc, Weak};
use std::time::Duration;

use env::{BoxFuture, trace};
use keys::NodeId;
use kvapi::transit;
use kvapi::{BatchRequest, BatchResponse, KvError, NodeDialer, Sender, Unreachable};
use proto::v1;

use crate::connection::is_unsent;
use crate::limits;
use crate::network::{Shared, nanos};
use crate::peer::{Class, Peer};

/// A node that can be reached over the network.
struct RemoteSender {
    peer: Arc<Peer>,
    shared: Weak<Shared>,
}

impl Sender for RemoteSender {
    fn send<'a>(&'a self, batch: &'a BatchRequest) -> BoxFuture<'a, Result<BatchResponse, KvError>> {
        Box::pin(async move {
            let gone = || KvError::unavailable("this node is stopping");
            let shared = self.shared.upgrade().ok_or_else(gone)?;
            shared.metrics.batches_sent.inc();
            let result = self.call(&shared, batch).await;
            if matches!(&result, Err(KvError::Unavailable { .. } | KvError::Ambiguous { .. })) {
                shared.metrics.batches_failed.inc();
            }
            result
        })
    }
}

impl RemoteSender {
    async fn call(&self, shared: &Shared, batch: &BatchRequest) -> Result<BatchResponse, KvError> {
        let node = self.peer.node;
        let connection = self
            .peer
            .connection(Class::Batches)
            .await
            .map_err(|error| KvError::unavailable(format!("node {node} cannot be reached: {error}")))?;
        let bytes = batch.encode();
        if bytes.len() >= limits::MESSAGE_BYTES_MAX {
            let size = bytes.len();
            return Err(KvError::invalid(format!("a batch of {size} bytes is too large to be sent")));
        }
        let unanswered = |reason: String| match batch.is_repeatable() {
            true => KvError::unavailable(reason),
            false => KvError::ambiguous(reason),
        };
        let traced = trace::current().map(|place| (place.now(), place));
        let trace_id = traced.as_ref().map_or(0, |(_, place)| place.trace_id());
        let answer = match connection.node().batch(v1::BatchRequest { batch: bytes.into(), trace_id }).await {
            Ok(answer) => {
                let answer = answer.into_inner();
                if let Some((began, place)) = traced {
                    place.adopt(answer.trace.into_iter().map(record_from_proto).collect(), began);
                }
                answer.answer
            }
            Err(status) => {
                let reason = match connection.is_closed() {
                    true => connection.reason(),
                    false => status.message().to_string(),
                };
                // Of another version: nothing was done, and nothing will be.
                if status.code() == tonic::Code::InvalidArgument {
                    return Err(KvError::invalid(format!("node {node} does not take the batch: {reason}")));
                }
                let reason = format!("node {node} has not answered: {reason}");
                return Err(if is_unsent(&status) {
                    KvError::unavailable(reason)
                } else {
                    unanswered(reason)
                });
            }
        };
        let answer = transit::decode_answer(&answer)
            .map_err(|error| unanswered(format!("the answer of node {node} cannot be read: {error}")))?;
        if let Ok(response) = &answer {
            let observed = shared.clock.observe(response.now);
            observed.map_err(|error| unanswered(format!("the answer of node {node}: {error}")))?;
        }
        answer
    }
}

pub(crate) fn record_to_proto(record: trace::Record) -> v1::TraceRecord {
    v1::TraceRecord {
        parent: record.parent.map_or(0, |parent| parent + 1),
        node_id: record.node,
        what: record.what,
        began_nanos: nanos(record.began),
        took_nanos: nanos(record.took),
    }
}

fn record_from_proto(record: v1::TraceRecord) -> trace::Record {
    trace::Record {
        parent: record.parent.checked_sub(1),
        node: record.node_id,
        what: record.what,
        began: Duration::from_nanos(record.began_nanos),
        took: Duration::from_nanos(record.took_nanos),
    }
}

/// Finds the way to other nodes.
pub(crate) struct Dialer(Weak<Shared>);

impl Dialer {
    pub fn new(shared: &Arc<Shared>) -> Dialer {
        Dialer(Arc::downgrade(shared))
    }
}

impl NodeDialer for Dialer {
    fn dial(&self, node: NodeId) -> Result<Arc<dyn Sender>, Unreachable> {
        let unreachable = |reason: String| Unreachable { node, reason };
        let shared = self.0.upgrade().ok_or_else(|| unreachable("this node is stopping".to_string()))?;
        let peer = shared.peer(node).ok_or_else(|| unreachable("nothing is known of it".to_string()))?;
        match peer.unreachable() {
            Some(reason) => Err(unreachable(reason)),
            None => Ok(Arc::new(RemoteSender { peer, shared: self.0.clone() })),
        }
    }
}
