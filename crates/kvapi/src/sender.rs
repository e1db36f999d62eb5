//! The narrow waist: whoever can carry a batch to a range is a [`Sender`].

use std::sync::Arc;

use futures::future::BoxFuture;
use keys::NodeId;

use crate::{BatchRequest, BatchResponse, KvError};

/// Carries batches. `kvserver`'s store and `kvclient`'s router implement it, gRPC carries it, tests fake it.
///
/// The batch is lent, not given: whoever sends it can send it again, unchanged and uncopied, when it was told that
/// nothing was done.
///
/// Dropping the future abandons the batch: its locks in waiting and latches are given back; a write that was
/// already proposed still happens.
pub trait Sender: Send + Sync {
    fn send<'a>(&'a self, batch: &'a BatchRequest) -> BoxFuture<'a, Result<BatchResponse, KvError>>;
}

/// There is no way to a node at the moment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("node {node:?} cannot be reached: {reason}")]
pub struct Unreachable {
    pub node: NodeId,
    pub reason: String,
}

/// Finds the way to a node. The own node's sender is the store itself: no serialisation, no task switch.
pub trait NodeDialer: Send + Sync {
    fn dial(&self, node: NodeId) -> Result<Arc<dyn Sender>, Unreachable>;
}
