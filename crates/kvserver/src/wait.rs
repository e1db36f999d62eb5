//! Waiting: the asynchronous shell around `concurrency`.
//!
//! Whoever must wait enters the store's waiting room and gets a ticket and a receiver. Wakes that the synchronous part
//! returns are delivered here. Rooms are entered only when there is something to wait for: the fast paths never come here.
//!
//! Deadlocks over several stores: each tells the others who waits for whom, several times a second while somebody waits, and looks for
//! cycles in all of it. Every store picks the same victim; the one where it waits tells it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use concurrency::wait_graph::Edge;
use concurrency::{Deadlock, Ticket, WaitGraph, Wake, WakeReason};
use futures::channel::oneshot;
use keys::{NodeId, StoreId};
use kvapi::TxnId;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

/// What a waiting request is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Wake(WakeReason),
    /// It was chosen as the victim of a deadlock.
    Deadlock(Vec<TxnId>),
}

/// Edges that a store tells the others of, at most: a deadlock among more waits is found once some have ended.
const EDGES_MAX: usize = 256;
/// What another store has said of its waits counts for this long.
const HEARSAY_MAX: Duration = Duration::from_millis(1_500);

/// What other stores have said of who waits for whom there.
#[derive(Default)]
struct Hearsay {
    edges: BTreeMap<StoreId, (Duration, Vec<Edge>)>,
    /// Victims of cycles that were found at the last look. What others say is a little old, so that a cycle counts
    /// when it is found twice.
    suspects: Vec<TxnId>,
}

/// The receiving end of a ticket.
pub(crate) type Receiver = oneshot::Receiver<Told>;

/// Everybody who waits on this store.
///
/// - A ticket is in `waiting` from [`WaitRoom::enter`] until it is told something or leaves.
pub(crate) struct WaitRoom {
    next: AtomicU64,
    /// Lock order: leaf.
    waiting: Mutex<FxHashMap<Ticket, oneshot::Sender<Told>>>,
    /// Lock order: after a range's state.
    graph: Mutex<WaitGraph>,
    /// Lock order: before `graph`.
    hearsay: Mutex<Hearsay>,
}

impl WaitRoom {
    pub fn new() -> WaitRoom {
        WaitRoom {
            next: AtomicU64::new(1),
            waiting: Mutex::new(FxHashMap::default()),
            graph: Mutex::new(WaitGraph::new()),
            hearsay: Mutex::new(Hearsay::default()),
        }
    }

    pub fn enter(&self) -> (Ticket, Receiver) {
        let ticket = Ticket(self.next.fetch_add(1, Ordering::Relaxed));
        let (sender, receiver) = oneshot::channel();
        self.waiting.lock().insert(ticket, sender);
        (ticket, receiver)
    }

    /// A number that no ticket has: to name something that waits for nobody.
    pub fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    pub fn leave(&self, ticket: Ticket) {
        self.waiting.lock().remove(&ticket);
    }

    pub fn wake(&self, wakes: Vec<Wake>) {
        if wakes.is_empty() {
            return;
        }
        let mut waiting = self.waiting.lock();
        for wake in wakes {
            if let Some(sender) = waiting.remove(&wake.ticket) {
                // Whoever waited may have given up just now.
                let _ = sender.send(Told::Wake(wake.reason));
            }
        }
    }

    /// Enters a wait into the graph. A victim of the deadlock that this may complete is told.
    pub fn enter_graph(&self, ticket: Ticket, waiter: &kvapi::TxnMeta, blockers: &[TxnId]) {
        let rank = concurrency::wait_graph::Rank::of(waiter);
        let deadlock = self.graph.lock().wait(ticket, waiter.id, rank, blockers);
        if let Some(deadlock) = deadlock {
            self.tell_victim(deadlock);
        }
    }

    fn tell_victim(&self, Deadlock { cycle, tickets }: Deadlock) {
        let mut waiting = self.waiting.lock();
        for ticket in tickets {
            if let Some(sender) = waiting.remove(&ticket) {
                let _ = sender.send(Told::Deadlock(cycle.clone()));
            }
        }
    }

    // ---- several stores -----------------------------------------------------------------------------

    /// Who waits for whom here: for other stores.
    pub fn edges(&self) -> Vec<Edge> {
        let mut edges = self.graph.lock().edges();
        edges.truncate(EDGES_MAX);
        edges
    }

    /// Another store has said who waits for whom there.
    pub fn hear(&self, store: StoreId, now: Duration, edges: Vec<Edge>) {
        let mut hearsay = self.hearsay.lock();
        if edges.is_empty() {
            hearsay.edges.remove(&store);
        } else {
            hearsay.edges.insert(store, (now, edges));
        }
    }

    /// Looks for deadlocks over several stores. The victims that wait here are told.
    pub fn find_wide_deadlocks(&self, now: Duration) {
        let hearsay = &mut *self.hearsay.lock();
        hearsay.edges.retain(|_, (heard, _)| *heard + HEARSAY_MAX > now);
        if hearsay.edges.is_empty() {
            hearsay.suspects.clear();
            return;
        }
        let found = self.deadlocks_with(&hearsay.edges);
        let before = std::mem::take(&mut hearsay.suspects);
        hearsay.suspects = found.iter().map(|deadlock| deadlock.cycle[0]).collect();
        for deadlock in found.into_iter().filter(|deadlock| before.contains(&deadlock.cycle[0])) {
            self.tell_victim(deadlock);
        }
    }

    fn deadlocks_with(&self, edges: &BTreeMap<StoreId, (Duration, Vec<Edge>)>) -> Vec<Deadlock> {
        let mut graph = self.graph.lock();
        // The graph goes by any number that is one store's alone; a store's will do.
        let number = |store: &StoreId| NodeId(store.0);
        for (store, (_, edges)) in edges {
            graph.install_remote(number(store), edges.clone());
        }
        let found = graph.victims_here();
        for store in edges.keys() {
            graph.install_remote(number(store), Vec::new());
        }
        found
    }

    pub fn leave_graph(&self, ticket: Ticket) {
        self.graph.lock().done(ticket);
    }
}
