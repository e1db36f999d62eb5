//! Directed graphs with labelled edges: strongly connected components, shortest paths.
//!
//! Every cycle lies inside one strongly connected component, so components (found in linear time) say where to look for the
//! short cycles that people can read.

use std::collections::VecDeque;

/// A node, counted from 0.
pub type Node = usize;

/// An edge with a label of the caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge<L> {
    pub from: Node,
    pub to: Node,
    pub label: L,
}

/// - Edges leave a node in the order in which they were added; nothing here depends on anything else.
#[derive(Clone, Debug)]
pub struct Graph<L> {
    outgoing: Vec<Vec<Edge<L>>>,
}

impl<L: Copy + PartialEq> Graph<L> {
    pub fn new(nodes: usize) -> Graph<L> {
        Graph { outgoing: (0..nodes).map(|_| Vec::new()).collect() }
    }

    /// Adds an edge unless it is there already, or leads back to where it starts.
    pub fn add(&mut self, from: Node, to: Node, label: L) {
        let edge = Edge { from, to, label };
        if from != to && !self.outgoing[from].contains(&edge) {
            self.outgoing[from].push(edge);
        }
    }

    pub fn edges(&self) -> impl Iterator<Item = Edge<L>> + '_ {
        self.outgoing.iter().flatten().copied()
    }

    /// For every node the number of its component, by Tarjan's algorithm (1972), without recursion. Only edges that `admits`
    /// accepts count.
    pub fn components(&self, admits: impl Fn(L) -> bool) -> Vec<usize> {
        let count = self.outgoing.len();
        let mut search = Tarjan::new(count);
        for root in 0..count {
            if search.order[root].is_none() {
                search.run(self, root, &admits);
            }
        }
        search.component
    }

    /// The shortest path from one node to another over admitted edges; `None` if there is none. It is not empty: a path
    /// from a node to itself is a cycle.
    pub fn path(&self, from: Node, to: Node, admits: impl Fn(Edge<L>) -> bool) -> Option<Vec<Edge<L>>> {
        let mut reached_by: Vec<Option<Edge<L>>> = vec![None; self.outgoing.len()];
        let mut queue = VecDeque::from([from]);
        while let Some(node) = queue.pop_front() {
            for edge in self.outgoing[node].iter().filter(|edge| admits(**edge)) {
                if reached_by[edge.to].is_some() {
                    continue;
                }
                reached_by[edge.to] = Some(*edge);
                if edge.to == to {
                    return Some(unwind(&reached_by, from, to));
                }
                queue.push_back(edge.to);
            }
        }
        None
    }
}

fn unwind<L: Copy>(reached_by: &[Option<Edge<L>>], from: Node, to: Node) -> Vec<Edge<L>> {
    let mut path = Vec::new();
    let mut at = to;
    loop {
        let edge = reached_by[at].expect("every node of the path was reached");
        path.push(edge);
        at = edge.from;
        if at == from {
            path.reverse();
            return path;
        }
    }
}

struct Tarjan {
    next: usize,
    components: usize,
    order: Vec<Option<usize>>,
    low: Vec<usize>,
    on_stack: Vec<bool>,
    stack: Vec<Node>,
    component: Vec<usize>,
}

impl Tarjan {
    fn new(count: usize) -> Tarjan {
        Tarjan {
            next: 0,
            components: 0,
            order: vec![None; count],
            low: vec![0; count],
            on_stack: vec![false; count],
            stack: Vec::new(),
            component: vec![0; count],
        }
    }

    fn run<L: Copy>(&mut self, graph: &Graph<L>, root: Node, admits: &impl Fn(L) -> bool) {
        // Nodes being visited, each with the number of its next edge.
        let mut visiting = vec![(root, 0)];
        self.enter(root);
        while let Some((node, at)) = visiting.last_mut() {
            let node = *node;
            match graph.outgoing[node].get(*at) {
                Some(edge) => {
                    *at += 1;
                    if !admits(edge.label) {
                        continue;
                    }
                    match self.order[edge.to] {
                        None => {
                            self.enter(edge.to);
                            visiting.push((edge.to, 0));
                        }
                        Some(order) if self.on_stack[edge.to] => self.low[node] = self.low[node].min(order),
                        Some(_) => {}
                    }
                }
                None => {
                    visiting.pop();
                    if let Some((parent, _)) = visiting.last() {
                        self.low[*parent] = self.low[*parent].min(self.low[node]);
                    }
                    self.leave(node);
                }
            }
        }
    }

    fn enter(&mut self, node: Node) {
        self.order[node] = Some(self.next);
        self.low[node] = self.next;
        self.next += 1;
        self.stack.push(node);
        self.on_stack[node] = true;
    }

    /// If the node is the root of a component, takes the component off the stack.
    fn leave(&mut self, node: Node) {
        if Some(self.low[node]) != self.order[node] {
            return;
        }
        loop {
            let member = self.stack.pop().expect("the root itself is on the stack");
            self.on_stack[member] = false;
            self.component[member] = self.components;
            if member == node {
                break;
            }
        }
        self.components += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(edges: &[(Node, Node, char)]) -> Graph<char> {
        let mut graph = Graph::new(8);
        for (from, to, label) in edges {
            graph.add(*from, *to, *label);
        }
        graph
    }

    #[test]
    fn components_are_the_sets_that_reach_each_other() {
        let graph = graph(&[
            (0, 1, 'a'),
            (1, 2, 'a'),
            (2, 0, 'b'),
            (2, 3, 'a'),
            (3, 4, 'a'),
            (4, 3, 'a'),
            (5, 5, 'a'),
        ]);
        let all = graph.components(|_| true);
        assert!(all[0] == all[1] && all[1] == all[2]);
        assert!(all[3] == all[4] && all[3] != all[0]);
        assert!(all[5] != all[6]);
        let without = graph.components(|label| label != 'b');
        assert!(without[0] != without[1] && without[1] != without[2] && without[3] == without[4]);
    }

    #[test]
    fn paths_are_shortest_and_keep_to_what_is_admitted() {
        let graph = graph(&[(0, 1, 'a'), (1, 2, 'a'), (0, 2, 'b'), (2, 0, 'a')]);
        let nodes =
            |path: Option<Vec<Edge<char>>>| path.map(|path| path.iter().map(|e| e.to).collect::<Vec<_>>());
        assert_eq!(nodes(graph.path(0, 2, |_| true)), Some(vec![2]));
        assert_eq!(nodes(graph.path(0, 2, |edge| edge.label == 'a')), Some(vec![1, 2]));
        assert_eq!(nodes(graph.path(0, 0, |_| true)), Some(vec![2, 0]));
        assert_eq!(nodes(graph.path(3, 0, |_| true)), None);
    }

    #[test]
    fn a_long_chain_does_not_exhaust_the_stack() {
        let mut graph = Graph::new(200_000);
        for node in 0..199_999 {
            graph.add(node, node + 1, ());
        }
        graph.add(199_999, 0, ());
        let components = graph.components(|()| true);
        assert!(components.iter().all(|component| *component == 0));
    }
}
