//! Waiting: the asynchronous shell around `concurrency`.
//!
//! Whoever must wait enters the store's waiting room and gets a ticket and a receiver. Wakes that the synchronous part
//! returns are delivered here. Rooms are entered only when there is something to wait for: the fast paths never come here.

use std::sync::atomic::{AtomicU64, Ordering};

use concurrency::{Deadlock, Ticket, WaitGraph, Wake, WakeReason};
use futures::channel::oneshot;
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
}

impl WaitRoom {
    pub fn new() -> WaitRoom {
        WaitRoom {
            next: AtomicU64::new(1),
            waiting: Mutex::new(FxHashMap::default()),
            graph: Mutex::new(WaitGraph::new()),
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
        if let Some(Deadlock { cycle, tickets }) = deadlock {
            let mut waiting = self.waiting.lock();
            for ticket in tickets {
                if let Some(sender) = waiting.remove(&ticket) {
                    let _ = sender.send(Told::Deadlock(cycle.clone()));
                }
            }
        }
    }

    pub fn leave_graph(&self, ticket: Ticket) {
        self.graph.lock().done(ticket);
    }
}
