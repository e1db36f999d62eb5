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
//! with [`WaitGraph::install_remote`] and look for victims among their own waiters alone ([`WaitGraph::victims_here`]): those
//! that are the weakest of some cycle. Where cycles share members, stores that each looked for any cycle could find different ones, and
//! each leave the victim to the other; but the weakest of a cycle waits somewhere, and is found there.

use std::cmp::Reverse;
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

    /// Replaces what is known of another node's edges.
    pub fn install_remote(&mut self, node: NodeId, edges: Vec<Edge>) {
        self.remote.insert(node, edges);
    }

    /// Those who wait here and are the weakest of some cycle, by all edges that are known.
    pub fn victims_here(&self) -> Vec<Deadlock> {
        let mut waiters: Vec<TxnId> = self.nodes.keys().copied().collect();
        waiters.sort_unstable();
        let victims = waiters.into_iter().filter_map(|waiter| {
            let own = self.weakness(waiter);
            let cycle = self.find_cycle(waiter, |other| self.weakness(other) < own)?;
            Some(Deadlock { cycle, tickets: self.nodes[&waiter].tickets.to_vec() })
        });
        victims.collect()
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

    /// By which the victim is chosen: the greatest of a cycle. `None` for who waits for nobody.
    fn weakness(&self, txn: TxnId) -> Option<(Reverse<Priority>, Timestamp, TxnId)> {
        let here = self.nodes.get(&txn).map(|node| node.rank);
        let remote = || self.remote.values().flatten().find(|edge| edge.waiter == txn).map(|edge| edge.rank);
        here.or_else(remote).map(|rank| (Reverse(rank.priority), rank.start, txn))
    }

    fn find_deadlock(&self, start: TxnId) -> Option<Deadlock> {
        self.find_cycle(start, |_| true).map(|cycle| self.condemn(cycle))
    }

    /// Depth first from `start`, looking for a way back to it, by way of those who may be on it.
    fn find_cycle(&self, start: TxnId, may_pass: impl Fn(TxnId) -> bool) -> Option<Vec<TxnId>> {
        let mut path: Vec<(TxnId, SmallVec<[TxnId; 4]>)> = vec![(start, self.blockers_of(start))];
        let mut visited: rustc_hash::FxHashSet<TxnId> = Default::default();
        while let Some((_, ahead)) = path.last_mut() {
            match ahead.pop() {
                None => {
                    path.pop();
                }
                Some(next) if next == start => {
                    return Some(path.into_iter().map(|(txn, _)| txn).collect());
                }
                Some(next) => {
                    if may_pass(next) && visited.insert(next) {
                        path.push((next, self.blockers_of(next)));
                    }
                }
            }
        }
        None
    }

    fn condemn(&self, mut cycle: Vec<TxnId>) -> Deadlock {
        let weakest = (0..cycle.len()).max_by_key(|index| self.weakness(cycle[*index]));
        let victim = weakest.expect("a cycle has members");
        cycle.rotate_left(victim);
        let tickets = self.nodes.get(&cycle[0]).map_or(Vec::new(), |node| node.tickets.to_vec());
        Deadlock { cycle, tickets }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stdx::Prng;

    fn rank(start: u64) -> Rank {
        Rank { priority: Priority::NORMAL, start: Timestamp::new(start, 0) }
    }

    /// Graphs of several stores, each knowing the edges of the others. Gives the victims that each finds.
    fn victims(stores: &[Vec<(u128, u128)>]) -> Vec<TxnId> {
        let graphs: Vec<WaitGraph> = stores
            .iter()
            .map(|edges| {
                let mut graph = WaitGraph::new();
                for (number, (waiter, blocker)) in edges.iter().enumerate() {
                    let ticket = Ticket(number as u64 + 1);
                    // Cycles within one store are found otherwise.
                    graph.wait(ticket, TxnId(*waiter), rank(*waiter as u64), &[TxnId(*blocker)]);
                }
                graph
            })
            .collect();
        let known: Vec<Vec<Edge>> = graphs.iter().map(WaitGraph::edges).collect();
        let mut found = Vec::new();
        for (own, mut graph) in graphs.into_iter().enumerate() {
            for (other, edges) in known.iter().enumerate().filter(|(other, _)| *other != own) {
                graph.install_remote(NodeId(other as u32 + 1), edges.clone());
            }
            for deadlock in graph.victims_here() {
                assert!(!deadlock.tickets.is_empty(), "it waits here");
                assert!(deadlock.cycle.iter().all(|member| *member <= deadlock.cycle[0]), "the weakest");
                found.push(deadlock.cycle[0]);
            }
        }
        found
    }

    /// Whether somebody waits for himself by way of others.
    fn is_stuck(edges: &[(u128, u128)]) -> bool {
        // Who waits for nobody that waits is let go, again and again.
        let mut left = edges.to_vec();
        loop {
            let waiting: Vec<u128> = left.iter().map(|(waiter, _)| *waiter).collect();
            let before = left.len();
            left.retain(|(_, blocker)| waiting.contains(blocker));
            if left.len() == before {
                return !left.is_empty();
            }
        }
    }

    #[test]
    fn of_every_cycle_some_store_finds_the_victim() {
        // Found by simulation: 1 waits for 2 there and 2 for 4 here, by way of 3 or not, and 4 for 1.
        assert!(!victims(&[vec![(1, 2)], vec![(2, 3), (2, 4), (3, 4), (4, 1)]]).is_empty());
        assert!(victims(&[vec![(1, 2)], vec![(2, 3)]]).is_empty());
        let mut prng = Prng::new(7);
        for _ in 0..2_000 {
            let mut stores = vec![Vec::new(); 1 + prng.index(3)];
            for _ in 0..prng.index(16) {
                let edge = (1 + prng.index(8) as u128, 1 + prng.index(8) as u128);
                let store = prng.index(stores.len());
                if edge.0 != edge.1 {
                    stores[store].push(edge);
                }
            }
            let found = victims(&stores);
            assert_eq!(is_stuck(&stores.concat()), !found.is_empty(), "{stores:?}");
            let left: Vec<(u128, u128)> =
                stores.concat().into_iter().filter(|edge| !found.contains(&TxnId(edge.0))).collect();
            assert!(!is_stuck(&left), "{stores:?}: {found:?} are not enough");
        }
    }
}
