//! How a node comes by its identity.
//!
//! ```text
//!   the folder has one ─────────────────────────────────▶ that, one start more
//!   it has none, and there is nobody to join ───────────▶ a new cluster of one node
//!   it has none, and there are addresses to join:
//!       one of them is in a cluster ────────────────────▶ a node id from there
//!       none is: wait, until one is or `meridian init`
//!       names this node the first ──────────────────────▶ a new cluster
//! ```

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use env::{BoxFuture, Env};
use kvapi::{Key, KnownVersions, NodeId, RangeId, ReplicaCheckResponse, Standing};
use parking_lot::Mutex;
use rpc::{Admitted, ClusterId, ConnectError, Network, Refusal, RefusalReason, Steward};
use stdx::{Backoff, Prng};
use storage::Engine;
use tokio::sync::oneshot;

use crate::identity::{self, Stored};

/// Between rounds over all addresses.
const WAIT_INITIAL: Duration = Duration::from_millis(50);
const WAIT_MAX: Duration = Duration::from_millis(500);
/// A node that waits says so now and then.
const WAITING_NOTICE: Duration = Duration::from_secs(10);

/// The node's identity, written to its folder.
pub async fn settle(
    env: &Arc<dyn Env>,
    engine: &Arc<dyn Engine>,
    network: &Network,
    join: &[String],
    own_address: &str,
) -> anyhow::Result<Stored> {
    if let Some(stored) = identity::read(&**engine)? {
        return identity::start_again(&**engine, stored);
    }
    if identity::holds_ranges(&**engine)? {
        // Of a time when there were clusters of one node only.
        return found(env, engine);
    }
    let others: Vec<&String> = join.iter().filter(|address| *address != own_address).collect();
    if join.is_empty() {
        return found(env, engine);
    }
    let waiting = Arc::new(Waiting::default());
    network.set_steward(waiting.clone());
    let mut prng = Prng::new(env.entropy());
    let mut backoff = Backoff::new(WAIT_INITIAL, WAIT_MAX);
    let mut notice_at = env.monotonic();
    loop {
        let unanswered = match ask_all(network, &others).await? {
            Asked::Admitted(identity) => {
                let stored = Stored { identity, is_founder: false };
                stored.write(&**engine)?;
                return Ok(stored);
            }
            Asked::NotYet(why) => why,
        };
        if env.monotonic() >= notice_at {
            // Each with its address.
            let why = unanswered.join("; ");
            tracing::info!(why, "waiting for a cluster to join (meridian init makes one)");
            notice_at = env.monotonic() + WAITING_NOTICE;
        }
        if let Some(order) = waiting.next(&**env, backoff.next_wait(&mut prng)).await {
            match found_by_order(env, engine, network, &others).await? {
                Ok(stored) => {
                    order.answer(Ok(stored.identity.cluster));
                    return Ok(stored);
                }
                Err(refusal) => order.answer(Err(refusal)),
            }
        }
    }
}

fn found(env: &Arc<dyn Env>, engine: &Arc<dyn Engine>) -> anyhow::Result<Stored> {
    let id = (u128::from(env.entropy()) << 64) | u128::from(env.entropy());
    // An id of zero means that there is none.
    let stored = Stored::founder(ClusterId(id.max(1)));
    stored.write(&**engine)?;
    tracing::info!(cluster = %stored.identity.cluster, "a new cluster begins");
    Ok(stored)
}

/// Founds a cluster unless one of the others is in one already.
async fn found_by_order(
    env: &Arc<dyn Env>,
    engine: &Arc<dyn Engine>,
    network: &Network,
    others: &[&String],
) -> anyhow::Result<Result<Stored, Refusal>> {
    for address in others {
        let detail = match network.probe(address).await {
            Ok(Some(cluster)) => {
                format!("the node at {address} is in cluster {cluster} already: this node joins that")
            }
            // It is in one, whose version this program does not know.
            Err(ConnectError::Refused(refusal)) if refusal.reason.is_of_version() => {
                format!("the node at {address} is in a cluster already: {refusal}")
            }
            _ => continue,
        };
        return Ok(Err(Refusal::new(RefusalReason::Initialised, detail)));
    }
    found(env, engine).map(Ok)
}

/// What a round over all addresses has come to.
enum Asked {
    Admitted(rpc::Identity),
    /// Why each has not taken this node.
    NotYet(Vec<String>),
}

/// One round. An error is one that waiting does not mend, when no address is better.
async fn ask_all(network: &Network, others: &[&String]) -> anyhow::Result<Asked> {
    let (mut hopeless, mut may_pass, mut unanswered) = (None, others.is_empty(), Vec::new());
    for address in others {
        let error = match network.join(address).await {
            Ok(identity) => return Ok(Asked::Admitted(identity)),
            Err(error) => error,
        };
        if let ConnectError::Refused(refusal) = &error
            && refusal.reason.is_final()
        {
            bail!("cannot join the cluster at {address}: {error}");
        }
        let text = error.to_string();
        unanswered.push(if text.contains(*address) { text } else { format!("{address}: {text}") });
        let passes = match &error {
            ConnectError::Unreachable(_) => true,
            ConnectError::Refused(refusal) => refusal.reason.may_pass(),
            ConnectError::Insecure(_) | ConnectError::NotANode(_) => false,
        };
        if passes {
            may_pass = true;
        } else {
            tracing::warn!(address, %error, "cannot join there");
            hopeless.get_or_insert_with(|| (address.to_string(), error));
        }
    }
    match hopeless {
        Some((address, error)) if !may_pass => bail!("cannot join the cluster at {address}: {error}"),
        _ => Ok(Asked::NotYet(unanswered)),
    }
}

/// Serves operators while the node belongs to no cluster.
#[derive(Default)]
struct Waiting {
    order: Mutex<Option<Order>>,
    ordered: tokio::sync::Notify,
}

/// To found a cluster.
struct Order(oneshot::Sender<Result<ClusterId, Refusal>>);

impl Order {
    fn answer(self, answer: Result<ClusterId, Refusal>) {
        // Who asked may have gone: it will ask again, and hear that it was done.
        let _ = self.0.send(answer);
    }
}

impl Waiting {
    /// An order, if one comes in time.
    async fn next(&self, env: &dyn Env, wait: Duration) -> Option<Order> {
        // A permit left by an earlier order is as good as waiting a little less.
        let _ = env::timeout(env, wait, self.ordered.notified()).await;
        self.order.lock().take()
    }
}

fn no_cluster<T: Send + 'static>() -> BoxFuture<'static, Result<T, Refusal>> {
    let refusal = Refusal::new(RefusalReason::NotInitialised, "the node belongs to no cluster yet");
    Box::pin(std::future::ready(Err(refusal)))
}

impl Steward for Waiting {
    fn admit(&self, _: String, _: KnownVersions) -> BoxFuture<'_, Result<Admitted, Refusal>> {
        no_cluster()
    }

    fn initialise(&self) -> BoxFuture<'_, Result<ClusterId, Refusal>> {
        let (sender, receiver) = oneshot::channel();
        *self.order.lock() = Some(Order(sender));
        self.ordered.notify_one();
        Box::pin(async move {
            let gone = || Refusal::unavailable("another order came first, or the node is stopping");
            receiver.await.unwrap_or_else(|_| Err(gone()))
        })
    }

    fn drain(&self, _: bool) -> BoxFuture<'_, Result<(), Refusal>> {
        no_cluster()
    }

    fn set_standing(&self, _: Vec<NodeId>, _: Standing) -> BoxFuture<'_, Result<(), Refusal>> {
        no_cluster()
    }

    fn check_range(
        &self,
        _: Option<RangeId>,
        _: Key,
    ) -> BoxFuture<'_, Result<ReplicaCheckResponse, Refusal>> {
        no_cluster()
    }
}
