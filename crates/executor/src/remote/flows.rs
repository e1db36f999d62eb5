//! What nodes have done for a statement: EXPLAIN ANALYZE.

use std::collections::BTreeMap;
use std::sync::Arc;

use keys::NodeId;
use parking_lot::Mutex;

/// What one node has done. The gateway sends nothing: it counts what it has worked on itself, as rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    pub pages: u64,
    pub rows_read: u64,
    pub rows_sent: u64,
    pub bytes_sent: u64,
}

/// By node. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Flows(Arc<Mutex<BTreeMap<NodeId, Flow>>>);

impl Flows {
    /// Each node that has done something, by its id.
    pub fn all(&self) -> Vec<(NodeId, Flow)> {
        self.0.lock().iter().map(|(node, flow)| (*node, *flow)).collect()
    }

    pub(super) fn add(&self, node: NodeId, page: Flow) {
        let mut flows = self.0.lock();
        let flow = flows.entry(node).or_default();
        flow.pages += page.pages;
        flow.rows_read += page.rows_read;
        flow.rows_sent += page.rows_sent;
        flow.bytes_sent += page.bytes_sent;
    }
}
