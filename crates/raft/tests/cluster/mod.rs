//! A group of replicas in one thread, for tests: disks that lose what was not synced, a network that does as it is told.
//!
//! Writes become durable, state is flushed and messages arrive only when the test says so (or at once, in the
//! default mode). Everything that happens is written to a trace.

#![allow(dead_code)]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;

use raft::{
    Body, Bytes, Change, ConfChange, Config, Configuration, Entry, EntryKind, Group, HardState, Index,
    LogBounds, LogError, LogReader, Message, ReadReady, ReplicaId, RoleName, Snapshot, StepError, Stored,
    Term, Write,
};

/// The replicated state: every command in order, and where it came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    pub applied: Index,
    pub applied_term: Term,
    pub configuration: Configuration,
    pub commands: Vec<String>,
}

/// What survives a crash, and the state in memory that does not.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    pub hard_state: HardState,
    pub truncated: (Index, Term),
    pub entries: Vec<Entry>,
    pub flushed: State,
    /// Lost in a crash, unlike everything above.
    pub state: State,
    pub refuse_snapshots: bool,
}

impl Disk {
    pub fn last(&self) -> Index {
        Index(self.truncated.0.0 + self.entries.len() as u64)
    }

    fn position(&self, index: Index) -> usize {
        (index.0 - self.truncated.0.0 - 1) as usize
    }

    pub fn write(&mut self, write: &Write) {
        if let Some(snapshot) = &write.snapshot {
            let text = String::from_utf8(snapshot.metadata.to_vec()).expect("the tests write text");
            self.flushed = State {
                applied: snapshot.index,
                applied_term: snapshot.term,
                configuration: snapshot.configuration.clone(),
                commands: text.split_terminator('\n').map(str::to_string).collect(),
            };
            self.state = self.flushed.clone();
            self.truncated = (snapshot.index, snapshot.term);
            self.entries.clear();
        }
        if let Some(first) = write.entries.first() {
            assert!(first.index > self.truncated.0 && first.index <= self.last().next(), "no gap in the log");
            self.entries.truncate(self.position(first.index));
            self.entries.extend(write.entries.iter().cloned());
        }
        if let Some(hard_state) = write.hard_state {
            assert!(hard_state.term >= self.hard_state.term, "terms never go down");
            self.hard_state = hard_state;
        }
    }

    pub fn flush(&mut self) {
        self.flushed = self.state.clone();
    }

    pub fn truncate(&mut self, upto: Index) {
        assert!(upto <= self.flushed.applied, "the log is truncated only up to what is flushed");
        if upto > self.truncated.0 {
            let term = self.entries[self.position(upto)].term;
            self.entries.drain(..=self.position(upto));
            self.truncated = (upto, term);
        }
    }
}

impl LogReader for Disk {
    fn bounds(&self) -> Result<LogBounds, LogError> {
        let (truncated_index, truncated_term) = self.truncated;
        Ok(LogBounds { truncated_index, truncated_term, last: self.last() })
    }

    fn term(&self, index: Index) -> Result<Option<Term>, LogError> {
        if index == self.truncated.0 {
            return Ok(Some(self.truncated.1));
        }
        if index < self.truncated.0 || index > self.last() {
            return Ok(None);
        }
        Ok(Some(self.entries[self.position(index)].term))
    }

    fn entries(&self, range: Range<Index>, bytes_max: u64) -> Result<Vec<Entry>, LogError> {
        if range.start <= self.truncated.0 || range.end > self.last().next() {
            return Err(LogError(format!("{}..{} is not in the log", range.start, range.end)));
        }
        let mut bytes = 0;
        let mut entries = Vec::new();
        for entry in &self.entries[self.position(range.start)..self.position(range.end)] {
            bytes += entry.size();
            if !entries.is_empty() && bytes > bytes_max {
                break;
            }
            entries.push(entry.clone());
        }
        Ok(entries)
    }

    fn snapshot(&self) -> Result<Option<Snapshot>, LogError> {
        if self.refuse_snapshots {
            return Ok(None);
        }
        let text: String = self.state.commands.iter().flat_map(|command| [command, "\n"]).collect();
        Ok(Some(Snapshot {
            index: self.state.applied,
            term: self.state.applied_term,
            configuration: self.state.configuration.clone(),
            metadata: Bytes::from(text),
        }))
    }
}

/// One replica. `group` is `None` while it is crashed.
pub struct Node {
    pub id: ReplicaId,
    pub group: Option<Group>,
    pub disk: Disk,
    /// Handed out and not durable yet.
    pub writes: VecDeque<Write>,
    /// Handed out and not applied yet.
    pub committed: VecDeque<Entry>,
    pub reads: Vec<ReadReady>,
    pub holds_writes: bool,
    pub holds_applying: bool,
    last_role: (RoleName, Term),
    incarnation: u64,
}

/// The replicas and the network between them.
pub struct Cluster {
    pub nodes: BTreeMap<ReplicaId, Node>,
    pub network: Vec<Message>,
    /// Links (from, to) on which every message is lost.
    pub cut: BTreeSet<(ReplicaId, ReplicaId)>,
    pub trace: Vec<String>,
    pub configure: fn(&mut Config),
    pub seed: u64,
}

impl Cluster {
    pub fn new(seed: u64, configure: fn(&mut Config)) -> Cluster {
        Cluster {
            nodes: BTreeMap::new(),
            network: Vec::new(),
            cut: BTreeSet::new(),
            trace: Vec::new(),
            configure,
            seed,
        }
    }

    /// Adds a replica that begins with this membership (empty: it waits to be added and sent the log).
    pub fn add(&mut self, id: ReplicaId, configuration: Configuration) {
        let mut disk = Disk::default();
        if !configuration.voters.is_empty() {
            // As if one entry had been applied and truncated away: a replica that waits needs a snapshot to begin.
            let begin = (Index(1), Term(1));
            disk.state =
                State { applied: begin.0, applied_term: begin.1, configuration, commands: Vec::new() };
            disk.flushed = disk.state.clone();
            disk.truncated = begin;
            disk.hard_state = HardState { term: begin.1, vote: None, commit: begin.0 };
        }
        self.add_with_disk(id, disk);
    }

    pub fn add_with_disk(&mut self, id: ReplicaId, disk: Disk) {
        let node = Node {
            id,
            group: None,
            disk,
            writes: VecDeque::new(),
            committed: VecDeque::new(),
            reads: Vec::new(),
            holds_writes: false,
            holds_applying: false,
            last_role: (RoleName::Follower, Term::ZERO),
            incarnation: 0,
        };
        self.nodes.insert(id, node);
        self.restart(id);
    }

    pub fn node(&mut self, id: ReplicaId) -> &mut Node {
        self.nodes.get_mut(&id).expect("the test names a replica that exists")
    }

    pub fn group(&mut self, id: ReplicaId) -> &mut Group {
        self.node(id).group.as_mut().expect("the test names a replica that runs")
    }

    pub fn ids(&self) -> Vec<ReplicaId> {
        self.nodes.keys().copied().collect()
    }

    /// Loses everything that is not durable.
    pub fn crash(&mut self, id: ReplicaId) {
        let node = self.node(id);
        node.group = None;
        node.writes.clear();
        node.committed.clear();
        node.reads.clear();
        node.disk.state = node.disk.flushed.clone();
        self.trace.push(format!("{id} crashes"));
    }

    pub fn restart(&mut self, id: ReplicaId) {
        let (seed, configure) = (self.seed, self.configure);
        let node = self.node(id);
        node.incarnation += 1;
        let mut config = Config::new(id, seed ^ (id.0 << 32) ^ node.incarnation);
        configure(&mut config);
        let stored = Stored {
            hard_state: node.disk.hard_state,
            applied: node.disk.state.applied,
            configuration: node.disk.state.configuration.clone(),
        };
        let group = Group::new(config, stored, &node.disk).expect("the test's disk is sound");
        node.last_role = (RoleName::Follower, group.term());
        node.group = Some(group);
    }

    pub fn step(&mut self, message: Message) -> Result<(), StepError> {
        let node = self.node(message.to);
        let Node { group, disk, .. } = node;
        match group {
            Some(group) => group.step(message, disk),
            None => Ok(()),
        }
    }

    /// Does what the replica wants done, as far as the test does not hold it back.
    pub fn process(&mut self, id: ReplicaId) {
        loop {
            let node = self.nodes.get_mut(&id).expect("known");
            let Some(group) = &mut node.group else { return };
            let role = (group.role(), group.term());
            if role != node.last_role {
                node.last_role = role;
                self.trace.push(format!("{id} is {:?} in term {}", role.0, role.1));
            }
            let ready = group.ready(&node.disk).expect("the test's log can be read");
            if ready.is_empty() && !node.may_go_on() {
                return;
            }
            for message in ready.messages {
                self.trace.push(message.to_string());
                self.network.push(message);
            }
            for read in ready.reads {
                self.trace.push(format!("{id} may read #{} at index {}", read.token, read.index));
                node.reads.push(read);
            }
            if let Some(write) = ready.write {
                if write.snapshot.is_some() {
                    node.committed.clear();
                }
                self.trace.push(format!("{id} writes {}", describe_write(&write)));
                node.writes.push_back(write);
            }
            node.committed.extend(ready.committed);
            if !node.holds_writes {
                self.persist(id, usize::MAX);
            }
            if !self.node(id).holds_applying {
                self.apply(id, usize::MAX);
            }
        }
    }

    /// Makes the first `count` writes in flight durable.
    pub fn persist(&mut self, id: ReplicaId, count: usize) {
        let node = self.nodes.get_mut(&id).expect("known");
        let Some(group) = &mut node.group else { return };
        let count = count.min(node.writes.len());
        let mut number = None;
        for write in node.writes.drain(..count) {
            node.disk.write(&write);
            number = Some(write.number);
        }
        if let Some(number) = number {
            group.persisted(number);
        }
    }

    /// Applies the first `count` committed entries.
    pub fn apply(&mut self, id: ReplicaId, count: usize) {
        let node = self.nodes.get_mut(&id).expect("known");
        let Some(group) = &mut node.group else { return };
        let count = count.min(node.committed.len());
        let committed: Vec<Entry> = node.committed.drain(..count).collect();
        for entry in &committed {
            if entry.index <= node.disk.state.applied {
                continue;
            }
            self.trace.push(format!("{id} applies {}", describe(entry)));
            let state = &mut node.disk.state;
            assert_eq!(entry.index, state.applied.next(), "entries are applied in order and once");
            state.applied = entry.index;
            state.applied_term = entry.term;
            match entry.kind {
                EntryKind::Normal => {
                    state.commands.push(String::from_utf8_lossy(&entry.payload).into_owned());
                }
                EntryKind::Empty => {}
                EntryKind::ConfChange => {
                    let change =
                        ConfChange::decode(&entry.payload).expect("the tests propose what can be read");
                    match group.apply_conf_change(entry.index, &change) {
                        Ok(configuration) => state.configuration = configuration.clone(),
                        Err(error) => self.trace.push(format!("{id} rejects the change: {error}")),
                    }
                    self.trace.push(format!("{id} has {}", group.configuration()));
                }
            }
        }
        if let Some(last) = committed.last() {
            group.applied(last.index);
        }
    }

    /// Delivers the messages that `select` chooses, in order. Answers go into the network and wait.
    pub fn deliver(&mut self, select: impl Fn(&Message) -> bool) -> usize {
        let (chosen, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.network).into_iter().partition(select);
        self.network = rest;
        let count = chosen.len();
        for message in chosen {
            self.deliver_one(message);
        }
        count
    }

    pub fn deliver_one(&mut self, message: Message) {
        let (from, to) = (message.from, message.to);
        let lost =
            self.cut.contains(&(from, to)) || self.nodes.get(&to).is_none_or(|node| node.group.is_none());
        let is_snapshot = matches!(message.body, Body::Snapshot(_));
        if lost {
            self.trace.push(format!("lost: {message}"));
        } else if let Err(error) = self.step(message.clone()) {
            self.trace.push(format!("{to} refuses {message}: {error}"));
        }
        if is_snapshot {
            if let Some(group) = self.nodes.get_mut(&from).and_then(|node| node.group.as_mut()) {
                group.report_snapshot(to, !lost);
            }
            self.process(from);
        }
        self.process(to);
    }

    /// Delivers until nothing is on its way. Panics if that takes too long.
    pub fn settle(&mut self) {
        for _ in 0..10_000 {
            for id in self.ids() {
                self.process(id);
            }
            if self.deliver(|_| true) == 0 {
                return;
            }
        }
        panic!("the group does not settle");
    }

    pub fn tick(&mut self, id: ReplicaId) {
        if let Some(group) = &mut self.node(id).group {
            group.tick();
        }
        self.process(id);
    }

    pub fn leader(&self) -> Option<ReplicaId> {
        let leaders =
            self.nodes.values().filter_map(|node| node.group.as_ref()).filter(|group| group.is_leader());
        leaders.max_by_key(|group| group.term()).map(Group::id)
    }
}

impl Node {
    fn may_go_on(&self) -> bool {
        (!self.writes.is_empty() && !self.holds_writes)
            || (!self.committed.is_empty() && !self.holds_applying)
    }
}

pub fn describe(entry: &Entry) -> String {
    let position = format!("{}@{}", entry.index, entry.term);
    match entry.kind {
        EntryKind::Normal => format!("{position} {}", String::from_utf8_lossy(&entry.payload)),
        EntryKind::Empty => format!("{position} -"),
        EntryKind::ConfChange => match ConfChange::decode(&entry.payload) {
            Ok(change) if change.changes.is_empty() => format!("{position} leave"),
            Ok(change) => {
                let changes = change.changes.iter().map(|change| match change {
                    Change::AddVoter(id) => format!("voter {id}"),
                    Change::AddLearner(id) => format!("learner {id}"),
                    Change::Remove(id) => format!("remove {id}"),
                });
                format!("{position} ({})", changes.collect::<Vec<_>>().join(", "))
            }
            Err(error) => format!("{position} {error}"),
        },
    }
}

fn describe_write(write: &Write) -> String {
    let mut text = format!("#{}", write.number);
    if let Some(snapshot) = &write.snapshot {
        text += &format!(" snapshot={}@{}", snapshot.index, snapshot.term);
    }
    if !write.entries.is_empty() {
        let entries: Vec<String> = write.entries.iter().map(describe).collect();
        text += &format!(" entries=[{}]", entries.join(", "));
    }
    if let Some(hard_state) = write.hard_state {
        let vote = hard_state.vote.map_or("-".to_string(), |vote| vote.to_string());
        text += &format!(" term={} vote={vote} commit={}", hard_state.term, hard_state.commit);
    }
    text
}
