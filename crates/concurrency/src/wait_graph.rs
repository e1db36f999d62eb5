//! The wait-for graph of a store: finds deadlocks among the queues of all its ranges, and chooses a victim.
//!
//! A node is a transaction, an edge says that one of its requests waits for another transaction. Waiting is
//! entered when it begins; a cycle can only come about then, so that is when it is looked for, from the
//! transaction that has just begun to wait. Edges need not be taken back when a lock is handed on: a
//! transaction that has ended waits for nothing, and who waited for it behind another waiter has an edge to
//! that one already. The one exception, a holder that goes to the front of a queue for more, is entered by
//! calling [`WaitGraph::wait`] again for those behind it.
//!
//! The victim is the member of the cycle with the lowest priority, among equals the youngest, then the highest
//! id: every observer of one cycle picks the same one, so that two stores which find a cycle together kill one
//! transaction and not two.
//!
//! # Several stores
//!
//! A cycle may pass through several stores. Each can send [`WaitGraph::edges`] to the others, which enter them
//! with [`WaitGraph::install_remote`]; a victim that waits elsewhere is told by its id
//! ([`Deadlock::tickets`] is empty then) and the store where it waits finds the same cycle with its own copy.

use std::collections::BTreeMap;

use clock::Timestamp;
use keys::NodeId;
use kvapi::{Priority, TxnId, TxnMeta};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use crate::Ticket;

/// A cycle was found and somebody must give in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deadlock {
    /// The victim first, then each whom the one before waits for.
    pub cycle: Vec<TxnId>,
    /// The victim's waiting requests on this store: to be failed by the caller.
    pub tickets: Vec<Ticket>,
}

/// What choosing a victim needs to know of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rank {
    pub priority: Priority,
    pub start: Timestamp,
}

impl Rank {
    pub fn of(txn: &TxnMeta) -> Rank {
        Rank { priority: txn.priority, start: txn.start }
    }
}

/// One edge, as stores tell each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    pub waiter: TxnId,
    pub rank: Rank,
    pub blocker: TxnId,
}

struct Wait {
    waiter: TxnId,
    blockers: SmallVec<[TxnId; 2]>,
}

struct Node {
    rank: Rank,
    tickets: SmallVec<[Ticket; 1]>,
}

/// Who waits for whom.
///
/// - `nodes` lists exactly the tickets in `waits`, by waiter.
#[derive(Default)]
pub struct WaitGraph {
    waits: FxHashMap<Ticket, Wait>,
    nodes: FxHashMap<TxnId, Node>,
    remote: BTreeMap<NodeId, Vec<Edge>>,
}

impl WaitGraph {
    pub fn new() -> WaitGraph {
        WaitGraph::default()
    }

    pub fn is_empty(&self) -> bool {
        self.waits.is_empty()
    }

    /// Enters that a request of `waiter` waits for `blockers`, or replaces for whom it waits. Tells of the
    /// deadlock this completes, if any. The victim's edges stay until its requests are [`WaitGraph::done`].
    pub fn wait(
        &mut self,
        ticket: Ticket,
        waiter: TxnId,
        rank: Rank,
        blockers: &[TxnId],
    ) -> Option<Deadlock> {
        let wait = Wait { waiter, blockers: SmallVec::from_slice(blockers) };
        if self.waits.insert(ticket, wait).is_none() {
            let node = self.nodes.entry(waiter).or_insert(Node { rank, tickets: SmallVec::new() });
            node.tickets.push(ticket);
        }
        self.find_deadlock(waiter)
    }

    /// A request no longer waits.
    pub fn done(&mut self, ticket: Ticket) {
        let Some(wait) = self.waits.remove(&ticket) else { return };
        let node = self.nodes.get_mut(&wait.waiter).expect("a waiter has a node");
        node.tickets.retain(|other| *other != ticket);
        if node.tickets.is_empty() {
            self.nodes.remove(&wait.waiter);
        }
    }

    /// All edges that begin on this store, in a fixed order.
    pub fn edges(&self) -> Vec<Edge> {
        let waits = self.waits.values().flat_map(|wait| {
            let rank = self.nodes[&wait.waiter].rank;
            wait.blockers.iter().map(move |blocker| Edge { waiter: wait.waiter, rank, blocker: *blocker })
        });
        let mut edges: Vec<Edge> = waits.collect();
        edges.sort_unstable_by_key(|edge| (edge.waiter, edge.blocker));
        edges.dedup();
        edges
    }

    /// Replaces what is known of another node's edges, and looks for deadlocks through them.
    pub fn install_remote(&mut self, node: NodeId, edges: Vec<Edge>) -> Vec<Deadlock> {
        let waiters: Vec<TxnId> = edges.iter().map(|edge| edge.waiter).collect();
        self.remote.insert(node, edges);
        let mut found: Vec<Deadlock> = Vec::new();
        for waiter in waiters {
            if let Some(deadlock) = self.find_deadlock(waiter)
                && !found.iter().any(|other| other.cycle[0] == deadlock.cycle[0])
            {
                found.push(deadlock);
            }
        }
        found
    }

    fn blockers_of(&self, txn: TxnId) -> SmallVec<[TxnId; 4]> {
        let mut blockers: SmallVec<[TxnId; 4]> = SmallVec::new();
        if let Some(node) = self.nodes.get(&txn) {
            for ticket in &node.tickets {
                blockers.extend(self.waits[ticket].blockers.iter().copied());
            }
        }
        for edges in self.remote.values() {
            blockers.extend(edges.iter().filter(|edge| edge.waiter == txn).map(|edge| edge.blocker));
        }
        blockers
    }

    fn rank_of(&self, txn: TxnId) -> Rank {
        if let Some(node) = self.nodes.get(&txn) {
            return node.rank;
        }
        let mut remote = self.remote.values().flatten();
        let edge = remote.find(|edge| edge.waiter == txn).expect("a member of a cycle waits somewhere");
        edge.rank
    }

    /// Depth first from `start`, looking for a way back to it.
    fn find_deadlock(&self, start: TxnId) -> Option<Deadlock> {
        let mut path: Vec<(TxnId, SmallVec<[TxnId; 4]>)> = vec![(start, self.blockers_of(start))];
        let mut visited: rustc_hash::FxHashSet<TxnId> = Default::default();
        while let Some((_, ahead)) = path.last_mut() {
            match ahead.pop() {
                None => {
                    path.pop();
                }
                Some(next) if next == start => {
                    return Some(self.condemn(path.into_iter().map(|(txn, _)| txn).collect()));
                }
                Some(next) => {
                    if visited.insert(next) {
                        path.push((next, self.blockers_of(next)));
                    }
                }
            }
        }
        None
    }

    fn condemn(&self, mut cycle: Vec<TxnId>) -> Deadlock {
        let weakness = |txn: &TxnId| {
            let rank = self.rank_of(*txn);
            (std::cmp::Reverse(rank.priority), rank.start, *txn)
        };
        let victim =
            (0..cycle.len()).max_by_key(|index| weakness(&cycle[*index])).expect("a cycle has members");
        cycle.rotate_left(victim);
        let tickets = self.nodes.get(&cycle[0]).map_or(Vec::new(), |node| node.tickets.to_vec());
        Deadlock { cycle, tickets }
    }
}
