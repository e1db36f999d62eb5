//! Transactions of appends and reads, judged by their dependencies. After Kingsbury and Alvaro, "Elle: Inferring Isolation
//! Anomalies from Experimental Observations" (VLDB 2020); definitions of the anomalies by Adya (1999).
//!
//! Every item is appended once, to one list. A read of a list shows what came before it, in order: so the longest committed read
//! of a list gives the order of its versions, and every other read must be a beginning of it. From that order follow the
//! dependencies between transactions:
//!
//! ```text
//!   ww  T1 -> T2   T2 appended what comes right after T1's item
//!   wr  T1 -> T2   T2 read a list whose last item is T1's
//!   rw  T1 -> T2   T1 read the list as it was right before T2's item
//!   rt  T1 -> T2   T1 had ended before T2 began (real time)
//! ```
//!
//! A committed item that no read shows comes after everything that was read: otherwise it would have been in between.
//!
//! If the transactions are serializable these edges agree with some order, so there is no cycle. What the cycle is made of
//! names the anomaly, and says under which isolation level it is a fault ([`Claim`]).
//!
//! What is found before any cycle: reads of items that an aborted transaction appended (G1a), that their own transaction went on
//! from (G1b), or that nobody appended; items twice in a list; reads of which neither is a beginning of the other; a transaction
//! that does not see its own appends; two transactions that both append to the same version of a list that they read (lost update).
//!
//! A transaction of unknown fate counts as committed if a committed one has seen an item of it, and is otherwise left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::graph::{Edge, Graph, Node};
use crate::journal::Tick;
use crate::workload::ClientNumber;

/// A list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(pub u64);

/// What is appended; no two appends of a history have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Item(pub u64);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    Append(Key, Item),
    Read(Key, Vec<Item>),
}

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Committed,
    Aborted,
    Unknown,
}

/// One transaction, as its client saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    pub client: ClientNumber,
    pub began: Tick,
    /// When its client was told the end.
    pub ended: Tick,
    pub end: End,
    pub operations: Vec<Operation>,
}

/// What the database promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    ReadCommitted,
    Snapshot,
    Serializable,
    StrictSerializable,
}

/// Dependencies, as in the module's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dependency {
    WriteWrite(Key),
    WriteRead(Key),
    ReadWrite(Key),
    RealTime,
}

/// What is wrong, by its name in the literature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Anomaly {
    /// An item is in a list that nobody appended there.
    Garbage,
    /// An item is in a list twice.
    Duplicate,
    /// Of two reads of a list neither is a beginning of the other.
    IncompatibleOrder,
    /// G1a: a committed transaction read what an aborted one appended.
    AbortedRead,
    /// G1b: a read ends with, or has a foreign item after, an append that its transaction went on from.
    IntermediateRead,
    /// A transaction does not see its own appends, or its reads do not agree with each other.
    Internal,
    /// P4: two transactions read one version of a list and both appended to it.
    LostUpdate,
    /// A cycle of ww.
    G0,
    /// A cycle of ww and wr.
    G1c,
    /// A cycle with one rw.
    GSingle,
    /// A cycle with several rw.
    G2,
    /// A cycle that needs real time, and has no rw.
    RealTimeG1,
    /// A cycle that needs real time, with rw: stale reads, lost writes.
    RealTimeG2,
}

impl Anomaly {
    /// Whether the claim rules it out.
    pub fn is_forbidden_by(self, claim: Claim) -> bool {
        use Anomaly::*;
        match self {
            Garbage | Duplicate | IncompatibleOrder | AbortedRead | IntermediateRead | G0 | G1c => true,
            Internal | LostUpdate | GSingle => claim != Claim::ReadCommitted,
            G2 => matches!(claim, Claim::Serializable | Claim::StrictSerializable),
            RealTimeG1 | RealTimeG2 => claim == Claim::StrictSerializable,
        }
    }
}

/// An anomaly with the evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub anomaly: Anomaly,
    /// Positions in the history.
    pub transactions: Vec<usize>,
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.anomaly, self.what)
    }
}

/// Everything in the history that the claim rules out, worst first.
pub fn check(history: &[Transaction], claim: Claim) -> Vec<Finding> {
    let mut findings = anomalies(history);
    findings.retain(|finding| finding.anomaly.is_forbidden_by(claim));
    findings.sort_by_key(|finding| finding.anomaly);
    findings
}

/// Everything remarkable in the history, whatever was promised.
pub fn anomalies(history: &[Transaction]) -> Vec<Finding> {
    let mut analysis = Analysis::new(history);
    analysis.judge_items();
    analysis.judge_inside();
    let orders = analysis.version_orders();
    analysis.judge_lost_updates();
    // Without one order of versions there are no dependencies to speak of.
    if !analysis.findings.iter().any(|f| matches!(f.anomaly, Anomaly::IncompatibleOrder | Anomaly::Garbage)) {
        let graph = analysis.dependencies(&orders);
        analysis.judge_cycles(&graph);
    }
    analysis.findings
}

/// What a transaction read of a list before it appended to it itself.
#[derive(Clone, Debug)]
struct OuterRead {
    reader: Node,
    key: Key,
    items: Vec<Item>,
}

struct Analysis<'a> {
    history: &'a [Transaction],
    /// Who appended an item where, and whether it went on to append more to the same list.
    writers: BTreeMap<Item, (Node, Key)>,
    next_of_same: BTreeMap<Item, Item>,
    committed: BTreeSet<Node>,
    outer_reads: Vec<OuterRead>,
    findings: Vec<Finding>,
}

impl<'a> Analysis<'a> {
    fn new(history: &'a [Transaction]) -> Analysis<'a> {
        let mut writers = BTreeMap::new();
        let mut next_of_same = BTreeMap::new();
        for (node, transaction) in history.iter().enumerate() {
            let mut last: BTreeMap<Key, Item> = BTreeMap::new();
            for operation in &transaction.operations {
                if let Operation::Append(key, item) = operation {
                    let earlier = writers.insert(*item, (node, *key));
                    assert!(earlier.is_none(), "{item:?} is appended twice: the history is malformed");
                    if let Some(previous) = last.insert(*key, *item) {
                        next_of_same.insert(previous, *item);
                    }
                }
            }
        }
        let committed = committed_nodes(history, &writers);
        Analysis { history, writers, next_of_same, committed, outer_reads: Vec::new(), findings: Vec::new() }
    }

    fn found(&mut self, anomaly: Anomaly, transactions: Vec<Node>, what: String) {
        let described: Vec<String> = transactions
            .iter()
            .map(|node| format!("\n  T{node}: {}", describe(&self.history[*node])))
            .collect();
        self.findings.push(Finding { anomaly, transactions, what: format!("{what}{}", described.concat()) });
    }

    /// Looks at each read by itself: does every item belong there?
    fn judge_items(&mut self) {
        let history = self.history;
        let committed = self.committed.clone();
        for reader in committed {
            for operation in &history[reader].operations {
                if let Operation::Read(key, items) = operation {
                    self.judge_read(reader, *key, items);
                }
            }
        }
    }

    fn judge_read(&mut self, reader: Node, key: Key, items: &[Item]) {
        let mut seen = BTreeSet::new();
        for (at, item) in items.iter().enumerate() {
            if !seen.insert(*item) {
                self.found(Anomaly::Duplicate, vec![reader], format!("{item:?} is twice in {key:?}"));
                return;
            }
            let Some(&(writer, home)) = self.writers.get(item).filter(|(_, home)| *home == key) else {
                let what = format!("{item:?} in {key:?} was not appended there by anybody");
                self.found(Anomaly::Garbage, vec![reader], what);
                return;
            };
            if self.history[writer].end == End::Aborted {
                let what = format!("T{reader} read {item:?} of {home:?}, which T{writer} had not committed");
                self.found(Anomaly::AbortedRead, vec![reader, writer], what);
            }
            let Some(next) = self.next_of_same.get(item).copied().filter(|_| writer != reader) else {
                continue;
            };
            if items.get(at + 1) != Some(&next) {
                let what =
                    format!("T{reader} read {item:?} without {next:?}, which T{writer} appended after it");
                self.found(Anomaly::IntermediateRead, vec![reader, writer], what);
            }
        }
    }

    /// Looks at each transaction by itself, and takes from its reads what is its own.
    fn judge_inside(&mut self) {
        let history = self.history;
        let committed = self.committed.clone();
        for reader in committed {
            let mut own: BTreeMap<Key, Vec<Item>> = BTreeMap::new();
            let mut outer: BTreeMap<Key, Vec<Item>> = BTreeMap::new();
            for operation in &history[reader].operations {
                match operation {
                    Operation::Append(key, item) => own.entry(*key).or_default().push(*item),
                    Operation::Read(key, items) => {
                        let own = own.get(key).map(Vec::as_slice).unwrap_or_default();
                        let Some(before) = items.strip_suffix(own) else {
                            let what = format!("T{reader} does not see its own {own:?} in {key:?}");
                            self.found(Anomaly::Internal, vec![reader], what);
                            continue;
                        };
                        let first = outer.entry(*key).or_insert_with(|| before.to_vec());
                        if first != before {
                            let what = format!("T{reader} read {key:?} as {first:?} and later as {before:?}");
                            self.found(Anomaly::Internal, vec![reader], what);
                        }
                    }
                }
            }
            let reads = outer.into_iter().map(|(key, items)| OuterRead { reader, key, items });
            self.outer_reads.extend(reads);
        }
    }

    /// The longest read of every list; every other must be a beginning of it.
    fn version_orders(&mut self) -> BTreeMap<Key, Vec<Item>> {
        let mut longest: BTreeMap<Key, OuterRead> = BTreeMap::new();
        let reads = self.whole_reads();
        for read in &reads {
            let known = longest.entry(read.key).or_insert_with(|| read.clone());
            if read.items.len() > known.items.len() {
                *known = read.clone();
            }
        }
        for read in &reads {
            let order = &longest[&read.key];
            if !order.items.starts_with(&read.items) {
                let what = format!("{:?} was read as {:?} and as {:?}", read.key, read.items, order.items);
                self.found(Anomaly::IncompatibleOrder, vec![read.reader, order.reader], what);
            }
        }
        longest.into_iter().map(|(key, read)| (key, read.items)).collect()
    }

    /// All reads of committed transactions, their own items included.
    fn whole_reads(&self) -> Vec<OuterRead> {
        let mut reads = Vec::new();
        for reader in self.committed.iter().copied() {
            for operation in &self.history[reader].operations {
                if let Operation::Read(key, items) = operation {
                    reads.push(OuterRead { reader, key: *key, items: items.clone() });
                }
            }
        }
        reads
    }

    fn judge_lost_updates(&mut self) {
        let mut updates: BTreeMap<(Key, Vec<Item>), Vec<Node>> = BTreeMap::new();
        for read in &self.outer_reads {
            let appends =
                |operation: &Operation| matches!(operation, Operation::Append(key, _) if *key == read.key);
            if self.history[read.reader].operations.iter().any(appends) {
                updates.entry((read.key, read.items.clone())).or_default().push(read.reader);
            }
        }
        for ((key, items), updaters) in updates {
            if updaters.len() > 1 {
                let what = format!("{updaters:?} all read {key:?} as {items:?} and appended to it");
                self.found(Anomaly::LostUpdate, updaters, what);
            }
        }
    }

    fn dependencies(&self, orders: &BTreeMap<Key, Vec<Item>>) -> Graph<Dependency> {
        let mut graph = Graph::new(self.history.len());
        let writer = |item: &Item| self.writers[item].0;
        for (key, order) in orders {
            for pair in order.windows(2) {
                graph.add(writer(&pair[0]), writer(&pair[1]), Dependency::WriteWrite(*key));
            }
        }
        for read in &self.outer_reads {
            if let Some(last) = read.items.last() {
                graph.add(writer(last), read.reader, Dependency::WriteRead(read.key));
            }
            let order = orders.get(&read.key).map(Vec::as_slice).unwrap_or_default();
            if let Some(next) = order.get(read.items.len()) {
                graph.add(read.reader, writer(next), Dependency::ReadWrite(read.key));
            }
        }
        self.add_unseen(&mut graph, orders);
        self.add_real_time(&mut graph);
        graph
    }

    /// Committed items that no read shows come after all that was read.
    fn add_unseen(&self, graph: &mut Graph<Dependency>, orders: &BTreeMap<Key, Vec<Item>>) {
        let seen: BTreeSet<Item> = orders.values().flatten().copied().collect();
        for (item, (node, key)) in &self.writers {
            if seen.contains(item) || !self.committed.contains(node) {
                continue;
            }
            let order = orders.get(key).map(Vec::as_slice).unwrap_or_default();
            if let Some(last) = order.last() {
                graph.add(self.writers[last].0, *node, Dependency::WriteWrite(*key));
            }
            for read in &self.outer_reads {
                if read.key == *key && read.items.len() == order.len() {
                    graph.add(read.reader, *node, Dependency::ReadWrite(*key));
                }
            }
        }
    }

    /// The edges of real time that the others follow from: to each transaction, from those ended before it began that have
    /// no successor which had also ended by then.
    fn add_real_time(&self, graph: &mut Graph<Dependency>) {
        enum Moment {
            Begin,
            End,
        }
        let mut moments = BTreeMap::new();
        for node in self.committed.iter().copied() {
            let transaction = &self.history[node];
            moments.insert(transaction.began, (node, Moment::Begin));
            // Of an unknown fate: it may have taken effect at any later time.
            if transaction.end == End::Committed {
                moments.insert(transaction.ended, (node, Moment::End));
            }
        }
        let mut frontier: BTreeSet<Node> = BTreeSet::new();
        let mut before: BTreeMap<Node, BTreeSet<Node>> = BTreeMap::new();
        for (node, moment) in moments.into_values() {
            match moment {
                Moment::Begin => {
                    for earlier in &frontier {
                        graph.add(*earlier, node, Dependency::RealTime);
                    }
                    before.insert(node, frontier.clone());
                }
                Moment::End => {
                    let implied = before.remove(&node).unwrap_or_default();
                    frontier.retain(|earlier| !implied.contains(earlier));
                    frontier.insert(node);
                }
            }
        }
    }

    /// Looks for cycles from the worst kind to the mildest; a component is reported once, as the worst.
    fn judge_cycles(&mut self, graph: &Graph<Dependency>) {
        use Dependency::*;
        let kinds: [(&dyn Fn(Dependency) -> bool, bool); 5] = [
            (&|label| matches!(label, WriteWrite(_)), false),
            (&|label| matches!(label, WriteWrite(_) | WriteRead(_)), false),
            (&|label| label != RealTime, true),
            (&|label| !matches!(label, ReadWrite(_)), false),
            (&|_| true, true),
        ];
        let mut reported: BTreeSet<Node> = BTreeSet::new();
        for (admits, has_read_write) in kinds {
            let components = graph.components(admits);
            let mut found_in = BTreeSet::new();
            for edge in graph.edges().filter(|edge| admits(edge.label)) {
                let component = components[edge.from];
                let is_candidate = component == components[edge.to]
                    && !found_in.contains(&component)
                    && !reported.contains(&edge.from)
                    && (!has_read_write || matches!(edge.label, ReadWrite(_)));
                if is_candidate && let Some(cycle) = shortest_cycle(graph, &components, edge, admits) {
                    found_in.insert(component);
                    reported.extend(cycle.iter().map(|edge| edge.from));
                    self.report_cycle(&cycle);
                }
            }
        }
    }

    fn report_cycle(&mut self, cycle: &[Edge<Dependency>]) {
        let path: Vec<String> = cycle
            .iter()
            .map(|edge| match edge.label {
                Dependency::WriteWrite(key) => format!("T{} -ww {key:?}->", edge.from),
                Dependency::WriteRead(key) => format!("T{} -wr {key:?}->", edge.from),
                Dependency::ReadWrite(key) => format!("T{} -rw {key:?}->", edge.from),
                Dependency::RealTime => format!("T{} -real time->", edge.from),
            })
            .collect();
        let what = format!("{} T{}", path.join(" "), cycle[0].from);
        self.found(classify(cycle), cycle.iter().map(|edge| edge.from).collect(), what);
    }
}

/// Committed transactions, and those of unknown fate that a committed one (or such a one) has seen.
fn committed_nodes(history: &[Transaction], writers: &BTreeMap<Item, (Node, Key)>) -> BTreeSet<Node> {
    let mut open: Vec<Node> =
        (0..history.len()).filter(|node| history[*node].end == End::Committed).collect();
    let mut committed: BTreeSet<Node> = open.iter().copied().collect();
    while let Some(reader) = open.pop() {
        for operation in &history[reader].operations {
            let Operation::Read(_, items) = operation else { continue };
            for (writer, _) in items.iter().filter_map(|item| writers.get(item)) {
                if history[*writer].end == End::Unknown && committed.insert(*writer) {
                    open.push(*writer);
                }
            }
        }
    }
    committed
}

/// The shortest cycle through an edge inside its component; one without a second rw, if there is any.
fn shortest_cycle(
    graph: &Graph<Dependency>,
    components: &[usize],
    first: Edge<Dependency>,
    admits: &dyn Fn(Dependency) -> bool,
) -> Option<Vec<Edge<Dependency>>> {
    let inside = |edge: Edge<Dependency>| admits(edge.label) && components[edge.to] == components[first.from];
    let without_read_write =
        |edge: Edge<Dependency>| inside(edge) && !matches!(edge.label, Dependency::ReadWrite(_));
    let back = graph
        .path(first.to, first.from, without_read_write)
        .or_else(|| graph.path(first.to, first.from, inside))?;
    Some(std::iter::once(first).chain(back).collect())
}

fn classify(cycle: &[Edge<Dependency>]) -> Anomaly {
    let count = |is: fn(Dependency) -> bool| cycle.iter().filter(|edge| is(edge.label)).count();
    let read_writes = count(|label| matches!(label, Dependency::ReadWrite(_)));
    let write_reads = count(|label| matches!(label, Dependency::WriteRead(_)));
    let real_times = count(|label| label == Dependency::RealTime);
    match (read_writes, write_reads, real_times) {
        (0, 0, 0) => Anomaly::G0,
        (0, _, 0) => Anomaly::G1c,
        (1, _, 0) => Anomaly::GSingle,
        (_, _, 0) => Anomaly::G2,
        (0, _, _) => Anomaly::RealTimeG1,
        _ => Anomaly::RealTimeG2,
    }
}

fn describe(transaction: &Transaction) -> String {
    let operations: Vec<String> = transaction
        .operations
        .iter()
        .map(|operation| match operation {
            Operation::Append(key, item) => format!("append {} to {}", item.0, key.0),
            Operation::Read(key, items) => {
                let items: Vec<String> = items.iter().map(|item| item.0.to_string()).collect();
                format!("read {} as [{}]", key.0, items.join(" "))
            }
        })
        .collect();
    let Transaction { client, began, ended, end, .. } = transaction;
    format!("client {}, ticks {} to {}, {end:?}: {}", client.0, began.0, ended.0, operations.join("; "))
}

#[cfg(test)]
mod tests;
