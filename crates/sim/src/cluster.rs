//! What is done to several nodes at once, and what must hold of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use env::Env;
use keys::{RangeId, local};
use kvapi::{
    BatchRequest, ChangeReplicasRequest, Header, Key, NodeId, RangeDescriptor, ReplicaDescriptor,
    ReplicaKind, Request, Span, StoreId, TransferLeaseRequest,
};
use storage::{CursorOptions, Engine, Keyspace, mvcc};
use workload::Drive;

use crate::machine::Serving;
use crate::run::{PATIENCE, Run};
use crate::wires::Weather;

/// How long a node stays down, at most.
const DOWN_MS_MAX: u64 = 4_000;
/// How long a cut lasts, at most.
const CUT_MS_MAX: u64 = 4_000;
/// Within this virtual time after the last fault every workload makes progress.
const RECOVERED_WITHIN: Duration = Duration::from_secs(20);
/// Within this virtual time without load replicas hold the same.
const AGREED_WITHIN: Duration = Duration::from_secs(30);
/// Rows told of each replica that others do not have.
const DIFFERENCES_SHOWN: usize = 3;

impl Run<'_> {
    pub fn serving(&self) -> Vec<Serving> {
        self.machines.iter().filter_map(|machine| machine.place().serving()).collect()
    }

    /// What the leaseholders say of their ranges.
    pub fn leased(&self) -> BTreeMap<RangeId, RangeDescriptor> {
        let all = self.serving().into_iter().flat_map(|serving| serving.node.store.descriptors());
        all.filter(|(_, is_leased)| *is_leased).map(|(descriptor, _)| (descriptor.id, descriptor)).collect()
    }

    /// Several nodes: until every range has its replicas.
    pub fn wait_until_replicated(&self) -> Result<(), String> {
        if self.wires.is_none() {
            return Ok(());
        }
        let deadline = self.simulation.now() + PATIENCE;
        let wanted = self.staying().len().min(3);
        loop {
            let ranges = self.leased();
            let is_voter = |there: &&ReplicaDescriptor| there.kind == ReplicaKind::Voter;
            let is_whole = |range: &RangeDescriptor| range.replicas.iter().filter(is_voter).count() >= wanted;
            if !ranges.is_empty() && ranges.values().all(is_whole) {
                return Ok(());
            }
            if self.simulation.now() >= deadline {
                return Err(self.stalled(&format!("the ranges are not replicated: {ranges:?}"), PATIENCE));
            }
            self.simulation.run_for(Duration::from_millis(50));
        }
    }

    pub fn begin_weather(&mut self) {
        let Some(wires) = &self.wires else { return };
        let network = &self.scenario.network;
        let mut weather = Weather {
            loss: network.loss,
            repetition: network.repetition,
            breaks: network.breaks,
            ..Weather::default()
        };
        if network.delay_ms > 0 {
            weather.delay.end = Duration::from_millis(network.delay_ms);
        }
        wires.set_weather(weather);
        for index in 0..self.machines.len() {
            self.skew(index);
        }
    }

    fn skew(&mut self, index: usize) {
        let reach = (self.scenario.skew_ms * 1_000_000) as i64;
        if reach > 0 {
            let offset = self.prng.below(2 * reach as u64) as i64 - reach;
            self.machines[index].env.set_wall_offset(offset);
        }
    }

    pub fn skew_one(&mut self) {
        let index = self.prng.index(self.machines.len());
        self.skew(index);
    }

    /// Runs, and lets come back what is due.
    pub fn run_until(&mut self, until: Duration) {
        loop {
            let emptied = self.emptied.iter().map(|(at, _)| *at);
            let comeback = self.comebacks.iter().map(|(at, _)| *at).chain(emptied).chain(self.healing).min();
            let Some(at) = comeback.filter(|at| *at < until) else {
                self.simulation.run_until(until);
                return;
            };
            self.simulation.run_until(at);
            self.come_back(at);
        }
    }

    fn come_back(&mut self, now: Duration) {
        self.empty_disks(|at| at <= now);
        let due: Vec<usize> =
            self.comebacks.iter().filter(|(at, _)| *at <= now).map(|(_, index)| *index).collect();
        self.comebacks.retain(|(at, _)| *at > now);
        due.into_iter().for_each(|index| self.machines[index].restart());
        if self.healing.is_some_and(|at| at <= now) {
            self.healing = None;
            if let Some(wires) = &self.wires {
                wires.heal();
            }
        }
    }

    /// A node goes down, and comes back after a while. Mostly a majority stays up.
    pub fn crash_one(&mut self) {
        let index = self.prng.index(self.machines.len());
        if !self.machines[index].is_up() {
            return;
        }
        self.crashes += 1;
        self.machines[index].crash(&mut self.prng);
        let millis = if self.prng.chance(0.5) { self.prng.below(100) } else { self.prng.below(DOWN_MS_MAX) };
        let at = self.simulation.now() + Duration::from_millis(millis + 1);
        self.journal.note(format_args!("node {} is down for {millis} ms", index + 1));
        self.comebacks.push((at, index));
    }

    /// One node is cut off from some others, one way or both.
    pub fn cut(&mut self) {
        let Some(wires) = self.wires.clone() else { return };
        let one = NodeId(self.prng.index(self.machines.len()) as u32 + 1);
        let from_all = self.prng.chance(0.6);
        let way = self.prng.below(4);
        let others: Vec<NodeId> = self.machines.iter().map(|machine| machine.identity.node).collect();
        for other in others.into_iter().filter(|other| *other != one) {
            if !from_all && self.prng.chance(0.5) {
                continue;
            }
            if way != 0 {
                wires.cut(one, other);
            }
            if way != 1 {
                wires.cut(other, one);
            }
        }
        let millis = self.prng.below(CUT_MS_MAX) + 1;
        self.journal.note(format_args!("node {} is cut off ({way}) for {millis} ms", one.0));
        let end = self.simulation.now() + Duration::from_millis(millis);
        self.healing = Some(self.healing.map_or(end, |before| before.max(end)));
    }

    /// Moves a replica or a lease, without waiting for it.
    pub fn move_something(&mut self) {
        let ranges: Vec<RangeDescriptor> = self.leased().into_values().collect();
        let serving = self.serving();
        if ranges.is_empty() || serving.is_empty() {
            return;
        }
        let range = &ranges[self.prng.index(ranges.len())];
        let from = range.replicas[self.prng.index(range.replicas.len())].store;
        let key = range.span.start.clone();
        let staying = self.staying().into_iter().map(|index| index as u32 + 1);
        let outside: Vec<u32> =
            staying.filter(|number| range.replica_on(StoreId(*number)).is_none()).collect();
        let request: Request = if outside.is_empty() || self.prng.chance(0.5) {
            TransferLeaseRequest { key: key.clone(), to: from }.into()
        } else {
            let to = outside[self.prng.index(outside.len())];
            let add = vec![(NodeId(to), StoreId(to))];
            ChangeReplicasRequest { key: key.clone(), add, remove: vec![from], generation: 0 }.into()
        };
        let node = serving[self.prng.index(serving.len())].node.clone();
        let (journal, id) = (self.journal.clone(), range.id);
        let task = async move {
            let mut batch = BatchRequest::new(Header::default(), request.clone());
            let outcome = node.db.send(&key, &mut batch).await;
            journal.note(format_args!("range {id}: {request:?}: {:?}", outcome.map(drop)));
        };
        drop(self.tester.spawn("move", Box::pin(task)));
    }

    // ---- the end ------------------------------------------------------------------------------------

    /// The network is whole, every node is up, the clocks stay as they are.
    pub fn end_faults(&mut self) -> Result<(), String> {
        if let Some(wires) = &self.wires {
            wires.heal();
            wires.set_weather(Weather::default());
        }
        self.healing = None;
        self.empty_disks(|_| true);
        for (_, index) in std::mem::take(&mut self.comebacks) {
            self.machines[index].restart();
        }
        self.wait_until_serving()
    }

    /// After the faults work goes on, within a bound.
    pub fn expect_progress(&mut self, drive: &Drive) -> Result<(), String> {
        if self.wires.is_none() {
            return Ok(());
        }
        let committed = |run: &Self| -> BTreeMap<&'static str, u64> {
            run.journal.counts().into_iter().map(|(name, counts)| (name, counts.committed)).collect()
        };
        let before = committed(self);
        let deadline = self.simulation.now() + RECOVERED_WITHIN;
        loop {
            self.simulation.run_for(Duration::from_millis(100));
            if let Some(failure) = self.failure() {
                return Err(failure);
            }
            // Then the clients have stopped.
            if let Some(found) = drive.violation() {
                return Err(found.to_string());
            }
            let now = committed(self);
            let stands = |name: &&&str| now.get(**name).copied().unwrap_or(0) <= before[**name];
            let standing: Vec<&&str> = before.keys().filter(stands).collect();
            if standing.is_empty() {
                return Ok(());
            }
            if self.simulation.now() >= deadline {
                let groups = self.groups();
                let what = format!("after the faults nothing is committed by {standing:?}; {groups}");
                return Err(self.stalled(&what, RECOVERED_WITHIN));
            }
        }
    }

    /// How every group is doing on every node that serves, a line each.
    pub fn groups(&self) -> String {
        let mut text = "the groups:".to_string();
        for serving in self.serving() {
            let (replication, node) = (&serving.node.replication, serving.node.world.identity.node);
            for group in replication.ranges().into_iter().filter_map(|range| replication.range(range)) {
                let followers: Vec<_> = group.followers().into_iter().map(|it| (it.id, it.text)).collect();
                text += &format!("\n    node {node}: {:?}, followers {followers:?}", group.status());
            }
        }
        text
    }

    /// Without load all replicas of a range come to hold the same, and each as many intents as it believes.
    pub fn compare_replicas(&self) -> Result<(), String> {
        let deadline = self.simulation.now() + AGREED_WITHIN;
        loop {
            let mut differences = self.miscounted();
            if self.wires.is_some() {
                differences.extend(self.differences());
                differences.extend(self.lingering());
            }
            if differences.is_empty() {
                return Ok(());
            }
            if self.simulation.now() >= deadline {
                return Err(format!("replicas differ: {differences:?}; {}", self.groups()));
            }
            self.simulation.run_for(Duration::from_millis(200));
        }
    }

    /// Whether every key is in a range that somebody serves.
    pub fn whole_keyspace_is_leased(&self) -> bool {
        let leased = self.leased();
        let mut spans: Vec<&Span> = leased.values().map(|range| &range.span).collect();
        spans.sort_by(|a, b| a.start.cmp(&b.start));
        let begins = spans.first().is_some_and(|span| span.start == Key::MIN);
        let ends = spans.last().is_some_and(|span| span.end == Key::MAX);
        begins && ends && spans.windows(2).all(|pair| pair[0].end == pair[1].start)
    }

    /// Reads look for intents only where there are any by the replica's count.
    fn miscounted(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for serving in self.serving() {
            let (node, engine) = (serving.node.world.identity.node, &serving.node.world.engine);
            for range in serving.node.store.range_standings() {
                let found = mvcc::find_intents(&**engine, &range.descriptor.span, usize::MAX);
                let found = found.expect("memory can be read").len() as i64;
                if found != range.intents {
                    let (id, counted) = (range.descriptor.id, range.intents);
                    wrong
                        .push(format!("node {node} counts {counted} intents in range {id}, and has {found}"));
                }
            }
        }
        wrong
    }

    fn differences(&self) -> Vec<String> {
        let serving = self.serving();
        let mut differences = Vec::new();
        let leased = self.leased();
        let mut end = Key::MIN;
        let mut by_key: Vec<&RangeDescriptor> = leased.values().collect();
        by_key.sort_by(|a, b| a.span.start.cmp(&b.span.start));
        for range in by_key {
            if range.span.start != end {
                differences.push(format!("nobody serves [{end}, {})", range.span.start));
            }
            end = range.span.end.clone();
            let here = |serving: &&Serving| range.replica_on(serving.node.world.identity.store).is_some();
            let rows = |serving: &Serving| {
                let world = &serving.node.world;
                (world.identity.node, replicated_rows(&*world.engine, range.id, &range.span))
            };
            let replicas: Vec<_> = serving.iter().filter(here).map(rows).collect();
            if replicas.len() != range.replicas.len()
                || replicas.windows(2).any(|pair| pair[0].1 != pair[1].1)
            {
                differences.push(describe_differences(range, &replicas));
            }
        }
        if end != Key::MAX {
            differences.push(format!("nobody serves from {end} on"));
        }
        differences.extend(serving.iter().flat_map(overlaps));
        differences
    }
}

/// Replicas of one store whose ranges overlap: one of them is of a range that is no more, or is not what its replica thinks.
fn overlaps(serving: &Serving) -> Vec<String> {
    let node = serving.node.world.identity.node;
    let mut all = serving.node.store.descriptors();
    all.sort_by(|(a, _), (b, _)| a.span.start.cmp(&b.span.start));
    let overlapping = all.windows(2).filter(|pair| pair[0].0.span.overlaps(&pair[1].0.span));
    overlapping.map(|pair| format!("node {node} has {:?} and {:?}", pair[0].0, pair[1].0)).collect()
}

/// Everything that is replicated of a range, but what is counted differently on each replica, as rows in order.
fn replicated_rows(engine: &dyn Engine, range: RangeId, span: &Span) -> Vec<Vec<u8>> {
    let own = local::range_span(range);
    let mut rows = Vec::new();
    for (keyspace, part) in mvcc::replicated_parts(range, span) {
        if keyspace == Keyspace::RangeLocal && part == own {
            continue;
        }
        let mut cursor = engine.cursor(keyspace, CursorOptions::span(&part)).expect("memory can be read");
        let mut valid = cursor.seek_first().expect("memory can be read");
        while valid {
            rows.push([format!("{keyspace:?} ").as_bytes(), cursor.key(), b"=", cursor.value()].concat());
            valid = cursor.next().expect("memory can be read");
        }
    }
    rows
}

/// What some have and others do not, a few of them.
fn describe_differences(range: &RangeDescriptor, replicas: &[(NodeId, Vec<Vec<u8>>)]) -> String {
    let mut text = format!("range {} [{}, {}):", range.id, range.span.start, range.span.end);
    for (node, rows) in replicas {
        text += &format!(" node {node} has {} rows", rows.len());
        let others = replicas.iter().filter(|(other, _)| other != node);
        let others: Vec<BTreeSet<&Vec<u8>>> = others.map(|(_, theirs)| theirs.iter().collect()).collect();
        let own = rows.iter().filter(|row| others.iter().any(|theirs| !theirs.contains(row)));
        for row in own.take(DIFFERENCES_SHOWN) {
            text += &format!(", alone {}", row.escape_ascii());
        }
    }
    text
}
