//! Draining: a node that is about to stop gives away what others would miss.
//!
//! It says so to all nodes, so that it gets no new leases, and to load balancers, by its health page; then it hands its leases
//! over. It goes on to answer whoever is connected. It can be told to go back to normal.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rpc::{Network, Refusal};

/// How long handing over leases may take.
const HAND_OVER_TIME_MAX: Duration = Duration::from_secs(10);

/// Whether this node drains.
pub struct Drain {
    draining: AtomicBool,
    network: Option<Network>,
    store: kvserver::Store,
}

impl Drain {
    /// `network`: of a node that has one.
    pub fn new(network: Option<Network>, store: kvserver::Store) -> Arc<Drain> {
        Arc::new(Drain { draining: AtomicBool::new(false), network, store })
    }

    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Completes when the leases are handed over.
    pub async fn set(&self, draining: bool) -> Result<(), Refusal> {
        self.draining.store(draining, Ordering::Relaxed);
        let Some(network) = &self.network else { return Ok(()) };
        network.publish_draining(draining);
        let others = network.membership().nodes().len() > 1;
        if !draining || !others {
            return Ok(());
        }
        match self.store.hand_over_leases(HAND_OVER_TIME_MAX).await {
            0 => Ok(()),
            left => Err(Refusal::unavailable(format!(
                "the node drains, and still has the leases of {left} ranges that no other node could take within {HAND_OVER_TIME_MAX:?}"
            ))),
        }
    }
}
