//! What a node knows of all nodes, and how two nodes come to know the same. No I/O: see `gossip` for who is asked when.
//!
//! Each node has a record about itself, with a version that only it raises: how often it was started, and how often it has spoken
//! since. Whoever has a higher version of a record has the newer one. Two nodes compare digests (versions only) and give
//! each other what the other lacks; news reach everybody in a number of rounds that grows with the logarithm of the
//! number of nodes. As every node speaks regularly, an unchanged version means silence: nobody has heard of it.
//!
//! Beside the records travel facts that are decided in the keyspace: whether a node is meant to hold data (by edition), where the
//! first range is (by generation), and what version the cluster is at (which only goes up).

use std::collections::BTreeMap;
use std::time::Duration;

use keys::{NodeId, StoreId};
use kvapi::{Capacity, ClusterVersion, KnownVersions, Locality, NodeInfo, RangeDescriptor, Standing};
use proto::v1;

use crate::identity::{Past, Process};
use crate::limits::{NODES_MAX, TEXT_BYTES_MAX};

/// A node that is to leave and was silent for so long does not come back.
const SILENCE_OF_LEAVING: Duration = Duration::from_secs(5);

/// One node.
#[derive(Clone, Debug, Default)]
struct Entry {
    /// Empty (version 0.0) if only its standing is known.
    record: v1::NodeRecord,
    locality: Locality,
    /// When a newer version was last seen, by the monotonic clock.
    heard_at: Duration,
    standing: Standing,
    standing_edition: u64,
}

impl Entry {
    fn version(&self) -> (u64, u64) {
        version_of(&self.record)
    }

    fn past(&self) -> Past {
        let v1::NodeRecord { incarnation, process, clock, .. } = self.record;
        Past { standing: self.standing, incarnation, process, clock }
    }
}

fn version_of(record: &v1::NodeRecord) -> (u64, u64) {
    (record.incarnation, record.sequence)
}

/// What news have changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Nodes that are new, were started anew, or have another address.
    pub moved: Vec<NodeId>,
    /// Why the own node must stop: another process speaks as it.
    pub impostor: Option<String>,
    /// What other nodes' processes have said that cannot be their newest: it was not taken.
    pub doubtful: Vec<String>,
    /// The own standing is a new one.
    pub own_standing: Option<Standing>,
    /// The cluster is at a higher version than was known.
    pub cluster_version: Option<ClusterVersion>,
}

/// All that is known.
///
/// - The own record is written here alone; news about it are not taken.
/// - A record's version, a standing's edition, the first range's generation and the cluster's version never go down.
/// - At most `NODES_MAX` nodes.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    own: Option<NodeId>,
    /// The own clock when this process began.
    began: u64,
    entries: BTreeMap<NodeId, Entry>,
    stores: BTreeMap<StoreId, NodeId>,
    first_range: Option<RangeDescriptor>,
    /// What the cluster is at, once that was heard.
    cluster_version: Option<ClusterVersion>,
    /// Counts changes of anything but versions.
    revision: u64,
}

impl Roster {
    /// Becomes a member: from now on there is an own record. `began`: the own clock.
    pub fn become_member(&mut self, record: v1::NodeRecord, locality: Locality, now: Duration, began: u64) {
        let node = NodeId(record.node_id);
        (self.own, self.began) = (Some(node), began);
        self.stores.insert(StoreId(record.store_id), node);
        let entry = self.entries.entry(node).or_default();
        (entry.record, entry.locality, entry.heard_at) = (record, locality, now);
        self.revision += 1;
    }

    pub fn revision(&self) -> u64 {
        self.revision
    }

    pub fn first_range(&self) -> Option<&RangeDescriptor> {
        self.first_range.as_ref()
    }

    pub fn cluster_version(&self) -> Option<ClusterVersion> {
        self.cluster_version
    }

    /// True: the cluster is at a higher version than was known.
    pub fn learn_cluster_version(&mut self, version: ClusterVersion) -> bool {
        let is_new = self.cluster_version < Some(version);
        if is_new {
            self.cluster_version = Some(version);
            self.revision += 1;
        }
        is_new
    }

    /// Takes the descriptor unless a newer one is known.
    pub fn learn_first_range(&mut self, descriptor: &RangeDescriptor) {
        let known = self.first_range.as_ref().map(|known| known.generation);
        if known.is_none_or(|known| known < descriptor.generation) {
            self.first_range = Some(descriptor.clone());
            self.revision += 1;
        }
    }

    /// Says that the own node lives, and has come to this time by its hybrid clock.
    pub fn speak(&mut self, now: Duration, clock: u64) {
        if let Some(entry) = self.own.and_then(|own| self.entries.get_mut(&own)) {
            (entry.record.sequence, entry.record.clock) = (entry.record.sequence + 1, clock);
            entry.heard_at = now;
        }
    }

    /// Changes what the own node says of itself; `change` tells whether it did.
    pub fn change_own(&mut self, change: impl FnOnce(&mut v1::NodeRecord) -> bool) {
        let Some(entry) = self.own.and_then(|own| self.entries.get_mut(&own)) else { return };
        if change(&mut entry.record) {
            entry.record.sequence += 1;
            self.revision += 1;
        }
    }

    pub fn node_of(&self, store: StoreId) -> Option<NodeId> {
        self.stores.get(&store).copied()
    }

    pub fn address(&self, node: NodeId) -> Option<&str> {
        self.entries.get(&node).map(|entry| entry.record.rpc_address.as_str())
    }

    /// What was heard of a node.
    pub fn past(&self, node: NodeId) -> Option<Past> {
        self.entries.get(&node).map(Entry::past)
    }

    /// Nodes to talk to: all but the own one and those that are gone for good.
    pub fn peers(&self) -> Vec<NodeId> {
        let talks = |(node, entry): &(&NodeId, &Entry)| {
            Some(**node) != self.own
                && entry.standing != Standing::Decommissioned
                && !entry.record.rpc_address.is_empty()
        };
        self.entries.iter().filter(talks).map(|(node, _)| *node).collect()
    }

    /// The member that says it listens at this address, and may come back there. What was merely admitted from there, and has said
    /// nothing since, does not count: it may ask again. Nor does what is to leave and is silent: another node is to take its place.
    pub fn member_at(&self, rpc_address: &str, now: Duration) -> Option<NodeId> {
        let comes_back = |entry: &Entry| match entry.standing {
            Standing::Active => true,
            Standing::Decommissioning | Standing::Shedding => {
                now.saturating_sub(entry.heard_at) < SILENCE_OF_LEAVING
            }
            Standing::Decommissioned => false,
        };
        let found = self.entries.iter().find(|(_, entry)| {
            entry.record.rpc_address == rpc_address && entry.record.incarnation > 0 && comes_back(entry)
        });
        found.map(|(node, _)| *node)
    }

    /// A node was heard directly.
    pub fn heard(&mut self, node: NodeId, now: Duration) {
        if let Some(entry) = self.entries.get_mut(&node) {
            entry.heard_at = entry.heard_at.max(now);
        }
    }

    /// Sets a node's standing, if the edition is newer than what is known.
    pub fn set_standing(&mut self, node: NodeId, edition: u64, standing: Standing) -> bool {
        if !self.entries.contains_key(&node) && self.entries.len() >= NODES_MAX {
            return false;
        }
        let entry = self.entries.entry(node).or_default();
        if entry.standing_edition >= edition {
            return false;
        }
        entry.record.node_id = node.0;
        (entry.standing, entry.standing_edition) = (standing, edition);
        self.revision += 1;
        true
    }

    pub fn standing_edition(&self, node: NodeId) -> u64 {
        self.entries.get(&node).map_or(0, |entry| entry.standing_edition)
    }

    pub fn records(&self) -> impl Iterator<Item = (&v1::NodeRecord, Standing)> {
        self.entries.values().map(|entry| (&entry.record, entry.standing))
    }

    pub fn nodes(&self, now: Duration) -> Vec<NodeInfo> {
        let spoke = self.entries.iter().filter(|(_, entry)| entry.record.store_id != 0);
        spoke.map(|(node, entry)| self.info(*node, entry, now)).collect()
    }

    pub fn node(&self, node: NodeId, now: Duration) -> Option<NodeInfo> {
        let entry = self.entries.get(&node).filter(|entry| entry.record.store_id != 0)?;
        Some(self.info(node, entry, now))
    }

    fn info(&self, node: NodeId, entry: &Entry, now: Duration) -> NodeInfo {
        let record = &entry.record;
        let silence =
            if self.own == Some(node) { Duration::ZERO } else { now.saturating_sub(entry.heard_at) };
        NodeInfo {
            node,
            store: StoreId(record.store_id),
            incarnation: record.incarnation,
            rpc_address: record.rpc_address.clone(),
            sql_address: record.sql_address.clone(),
            http_address: record.http_address.clone(),
            locality: entry.locality.clone(),
            version: record.program_version.clone(),
            versions: KnownVersions::told(record.version_min, record.version_max),
            capacity: record.capacity.as_ref().map(capacity_from_proto).unwrap_or_default(),
            draining: record.draining,
            standing: entry.standing,
            silence,
        }
    }

    /// What is known, by version.
    pub fn digest(&self) -> v1::Digest {
        let entries = self.entries.iter().map(|(node, entry)| v1::digest::Entry {
            node_id: node.0,
            incarnation: entry.record.incarnation,
            sequence: entry.record.sequence,
            standing_edition: entry.standing_edition,
        });
        let first_range_generation = self.first_range.as_ref().map_or(0, |known| known.generation + 1);
        let cluster_version = self.cluster_version.map_or(0, |version| version.0);
        v1::Digest { entries: entries.collect(), first_range_generation, cluster_version }
    }

    /// What somebody with this digest lacks.
    pub fn news_for(&self, digest: &v1::Digest) -> v1::News {
        let theirs: BTreeMap<u32, &v1::digest::Entry> =
            digest.entries.iter().map(|entry| (entry.node_id, entry)).collect();
        let mut news = v1::News::default();
        for (node, entry) in &self.entries {
            let known = theirs.get(&node.0);
            if known.is_none_or(|known| (known.incarnation, known.sequence) < entry.version())
                && entry.record.store_id != 0
            {
                news.nodes.push(entry.record.clone());
            }
            if known.map_or(0, |known| known.standing_edition) < entry.standing_edition {
                news.standings.push(v1::StandingRecord {
                    node_id: node.0,
                    edition: entry.standing_edition,
                    standing: entry.standing as u32,
                });
            }
        }
        if let Some(descriptor) = &self.first_range
            && descriptor.generation + 1 > digest.first_range_generation
        {
            news.first_range = descriptor.encode().into();
        }
        let version = self.cluster_version.filter(|version| version.0 > digest.cluster_version);
        news.cluster_version = version.map_or(0, |version| version.0);
        news
    }

    /// Takes what is newer than what is known. What makes no sense is left out.
    pub fn absorb(&mut self, news: v1::News, now: Duration) -> Changes {
        let mut changes = Changes::default();
        for record in news.nodes {
            self.absorb_record(record, now, &mut changes);
        }
        for standing in news.standings {
            let code = u8::try_from(standing.standing).ok().and_then(Standing::from_code);
            if let Some(code) = code.filter(|_| standing.node_id != 0) {
                let node = NodeId(standing.node_id);
                if self.set_standing(node, standing.edition, code) && self.own == Some(node) {
                    changes.own_standing = Some(code);
                }
            }
        }
        if !news.first_range.is_empty()
            && let Ok(descriptor) = RangeDescriptor::decode(&news.first_range)
        {
            self.learn_first_range(&descriptor);
        }
        let version = ClusterVersion(news.cluster_version);
        if version.0 > 0 && self.learn_cluster_version(version) {
            changes.cluster_version = Some(version);
        }
        changes
    }

    fn absorb_record(&mut self, record: v1::NodeRecord, now: Duration, changes: &mut Changes) {
        let texts = [&record.rpc_address, &record.sql_address, &record.http_address, &record.program_version];
        let sound = record.node_id != 0
            && record.store_id != 0
            && texts.iter().all(|text| text.len() <= TEXT_BYTES_MAX);
        let Some(locality) = sound.then(|| Locality::parse(&record.locality).ok()).flatten() else { return };
        let node = NodeId(record.node_id);
        if self.own == Some(node) {
            let (impostor, doubtful) = (&mut changes.impostor, &mut changes.doubtful);
            match self.judge_of_own(node, &record) {
                Some(Claim::Newer(reason)) => *impostor = Some(reason),
                Some(Claim::Copied(reason)) => doubtful.push(reason),
                None => {}
            }
            return;
        }
        if !self.entries.contains_key(&node) && self.entries.len() >= NODES_MAX {
            return;
        }
        let entry = self.entries.entry(node).or_default();
        if entry.version() >= version_of(&record) {
            return;
        }
        if let Some(objection) = entry.past().objection(node, &Process::of_record(&record)) {
            changes.doubtful.push(objection);
            return;
        }
        // What was heard stays heard, even if it was from a process that says less.
        let record = v1::NodeRecord { clock: record.clock.max(entry.record.clock), ..record };
        if entry.record.incarnation != record.incarnation || entry.record.rpc_address != record.rpc_address {
            changes.moved.push(node);
        }
        let (sequence, clock) = (record.sequence, record.clock);
        let before = v1::NodeRecord { sequence, clock, ..entry.record.clone() };
        if before != record {
            self.revision += 1;
        }
        self.stores.insert(StoreId(record.store_id), node);
        (entry.record, entry.locality, entry.heard_at) = (record, locality, now);
    }
}

/// What a record about the own node that this process has not written says.
enum Claim {
    /// There is, or was, a newer folder than ours.
    Newer(String),
    /// Somebody has started a copy of our folder.
    Copied(String),
}

impl Roster {
    /// `None`: an echo, or what an earlier process on this folder has said.
    fn judge_of_own(&self, node: NodeId, record: &v1::NodeRecord) -> Option<Claim> {
        let own = &self.entries.get(&node)?.record;
        let also = |what: String| {
            format!(
                "another process runs as node {node} too ({what}, this is start {}): there is a copy of the folder. Stop one of them",
                own.incarnation
            )
        };
        let starts = format!("start {} of its data folder", record.incarnation);
        if record.incarnation > own.incarnation {
            // It has found a bound that was written after this process had begun, so by this process: ours is the original.
            let is_ours = record.bound_found != 0 && self.began != 0 && record.bound_found >= self.began;
            return Some(if is_ours { Claim::Copied(also(starts)) } else { Claim::Newer(also(starts)) });
        }
        if record.incarnation == own.incarnation {
            let is_other = record.process != 0 && own.process != 0 && record.process != own.process;
            return is_other.then(|| Claim::Newer(also(starts)));
        }
        // Of earlier processes: they cannot have come further than the folder knows.
        let past = Past { clock: record.clock, ..Past::default() };
        past.objection(node, &Process::of_record(own)).map(Claim::Newer)
    }
}

pub(crate) fn capacity_from_proto(capacity: &v1::Capacity) -> Capacity {
    Capacity {
        ranges: capacity.ranges,
        leases: capacity.leases,
        used_bytes: capacity.used_bytes,
        available_bytes: capacity.available_bytes,
        requests_per_second: capacity.requests_per_second,
        written_bytes_per_second: capacity.written_bytes_per_second,
    }
}

pub(crate) fn capacity_to_proto(capacity: Capacity) -> v1::Capacity {
    v1::Capacity {
        ranges: capacity.ranges,
        leases: capacity.leases,
        used_bytes: capacity.used_bytes,
        available_bytes: capacity.available_bytes,
        requests_per_second: capacity.requests_per_second,
        written_bytes_per_second: capacity.written_bytes_per_second,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keys::{RangeId, ReplicaId, Span};

    const SECOND: Duration = Duration::from_secs(1);

    fn record(node: u32, incarnation: u64, sequence: u64) -> v1::NodeRecord {
        v1::NodeRecord {
            node_id: node,
            store_id: node,
            incarnation,
            sequence,
            rpc_address: format!("host{node}:1"),
            locality: "zone=a".to_string(),
            ..v1::NodeRecord::default()
        }
    }

    fn roster(node: u32) -> Roster {
        let mut roster = Roster::default();
        let locality = Locality::parse("zone=a").expect("sound");
        roster.become_member(record(node, 1, 0), locality, Duration::ZERO, 0);
        roster
    }

    /// One exchange: `left` calls.
    fn exchange(left: &mut Roster, right: &mut Roster, now: Duration) {
        let (news, digest) = (right.news_for(&left.digest()), right.digest());
        left.absorb(news, now);
        right.absorb(left.news_for(&digest), now);
    }

    fn descriptor(generation: u64) -> RangeDescriptor {
        RangeDescriptor {
            id: RangeId(1),
            span: Span::new("", "b"),
            generation,
            replicas: Vec::new(),
            next_replica: ReplicaId(2),
        }
    }

    #[test]
    fn news_reach_everybody_over_others_and_silence_is_measured() {
        let (mut a, mut b, mut c) = (roster(1), roster(2), roster(3));
        exchange(&mut a, &mut b, SECOND);
        exchange(&mut b, &mut c, SECOND);
        assert_eq!(c.peers(), [NodeId(1), NodeId(2)]);
        assert_eq!(a.peers(), [NodeId(2)]);
        exchange(&mut c, &mut a, 2 * SECOND);
        assert_eq!(a.node_of(StoreId(3)), Some(NodeId(3)));
        let silence = |roster: &Roster, now| roster.node(NodeId(2), now).map(|info| info.silence);
        assert_eq!(silence(&a, 5 * SECOND), Some(4 * SECOND));
        b.speak(5 * SECOND, 0);
        exchange(&mut b, &mut c, 5 * SECOND);
        let revision = a.revision();
        exchange(&mut a, &mut c, 6 * SECOND);
        assert_eq!(silence(&a, 6 * SECOND), Some(Duration::ZERO));
        assert_eq!(a.revision(), revision, "that somebody lives is no change");
        assert!(a.news_for(&c.digest()).nodes.is_empty(), "both know the same");
    }

    #[test]
    fn a_node_is_found_again_after_a_restart_elsewhere() {
        let mut a = roster(1);
        let news = |record: v1::NodeRecord| v1::News { nodes: vec![record], ..v1::News::default() };
        assert_eq!(a.absorb(news(record(2, 3, 9)), SECOND).moved, [NodeId(2)]);
        assert_eq!(a.absorb(news(record(2, 3, 10)), SECOND), Changes::default());
        let elsewhere = v1::NodeRecord { rpc_address: "other:1".to_string(), ..record(2, 4, 0) };
        assert_eq!(a.absorb(news(elsewhere), SECOND).moved, [NodeId(2)]);
        assert_eq!(a.absorb(news(record(2, 3, 11)), SECOND), Changes::default(), "old news");
        assert_eq!(a.address(NodeId(2)), Some("other:1"));
        assert_eq!(a.member_at("other:1", SECOND), Some(NodeId(2)));
        // It is to leave: whoever takes its place may be at its address, once it is silent.
        assert!(a.set_standing(NodeId(2), 1, Standing::Decommissioning));
        assert_eq!(a.member_at("other:1", 2 * SECOND), Some(NodeId(2)));
        assert_eq!(a.member_at("other:1", 9 * SECOND), None);
    }

    /// A process of node 1 or 2: the number of the start, the process, what it has found and where its clock is.
    fn process(
        node: u32,
        (incarnation, process, bound_found, clock): (u64, u64, u64, u64),
    ) -> v1::NodeRecord {
        v1::NodeRecord { process, bound_found, clock, ..record(node, incarnation, 1) }
    }

    #[test]
    fn what_an_older_folder_says_is_not_taken() {
        let mut a = roster(1);
        let mut hear = |said| {
            let news = v1::News { nodes: vec![process(2, said)], ..v1::News::default() };
            (a.absorb(news, SECOND).doubtful.len(), a.past(NodeId(2)).map(|past| (past.process, past.clock)))
        };
        assert_eq!(hear((5, 50, 100, 1_000)), (0, Some((50, 1_000))));
        assert_eq!(hear((6, 60, 900, 1_001)), (1, Some((50, 1_000))), "from a backup");
        assert_eq!(hear((6, 61, 1_000, 1_200)), (0, Some((61, 1_200))), "a restart");
        // A program that does not tell its clock does not make that forgotten.
        assert_eq!(hear((7, 0, 0, 0)), (0, Some((0, 1_200))));
        assert_eq!(hear((8, 80, 1_100, 1_300)), (1, Some((0, 1_200))));
        let next = v1::NodeRecord { sequence: 9, ..process(2, (7, 70, 1_300, 1_400)) };
        a.absorb(v1::News { nodes: vec![next], ..v1::News::default() }, SECOND);
        let other = v1::NodeRecord { sequence: 99, ..process(2, (7, 71, 1_300, 1_400)) };
        let changes = a.absorb(v1::News { nodes: vec![other], ..v1::News::default() }, SECOND);
        assert_eq!(changes.doubtful.len(), 1, "two with one number");
    }

    #[test]
    fn a_process_learns_that_its_own_folder_is_old() {
        let hear = |said| {
            let mut own = Roster::default();
            let locality = Locality::parse("zone=a").expect("sound");
            own.become_member(process(1, (6, 60, 1_000, 0)), locality, Duration::ZERO, 2_000);
            own.speak(SECOND, 3_000);
            let news = v1::News { nodes: vec![process(1, said)], ..v1::News::default() };
            let changes = own.absorb(news, SECOND);
            (changes.impostor.is_some(), changes.doubtful.len())
        };
        assert_eq!(hear((5, 50, 10, 1_000)), (false, 0), "what the one before has said");
        assert_eq!(hear((5, 50, 10, 1_001)), (true, 0), "the one before had come further");
        assert_eq!(hear((6, 60, 1_000, 2_900)), (false, 0), "an echo");
        assert_eq!(hear((6, 61, 1_000, 2_900)), (true, 0));
        assert_eq!(hear((7, 70, 1_500, 2_900)), (true, 0), "it was started before this one");
        assert_eq!(hear((7, 70, 2_500, 2_900)), (false, 1), "a copy that was made of this one while it ran");
        assert_eq!(hear((7, 0, 0, 0)), (true, 0), "of a program that tells less");
    }

    #[test]
    fn whoever_speaks_as_this_node_is_noticed() {
        let mut a = roster(1);
        let news = |incarnation| v1::News { nodes: vec![record(1, incarnation, 99)], ..v1::News::default() };
        assert_eq!(a.absorb(news(1), SECOND).impostor, None, "an echo");
        assert!(a.absorb(news(2), SECOND).impostor.is_some());
        assert_eq!(a.past(NodeId(1)).map(|past| past.incarnation), Some(1));
    }

    #[test]
    fn decisions_spread_by_edition_and_the_first_range_by_generation() {
        let (mut a, mut b) = (roster(1), roster(2));
        exchange(&mut a, &mut b, SECOND);
        a.learn_first_range(&descriptor(0));
        assert!(a.set_standing(NodeId(2), 1, Standing::Decommissioning));
        assert!(!a.set_standing(NodeId(2), 1, Standing::Active));
        let changes = b.absorb(a.news_for(&b.digest()), SECOND);
        assert_eq!(changes.own_standing, Some(Standing::Decommissioning));
        assert_eq!(b.first_range(), Some(&descriptor(0)));
        b.learn_first_range(&descriptor(4));
        b.learn_first_range(&descriptor(3));
        exchange(&mut a, &mut b, SECOND);
        assert_eq!(a.first_range(), Some(&descriptor(4)));
        assert!(a.learn_cluster_version(ClusterVersion(2)) && !a.learn_cluster_version(ClusterVersion(1)));
        assert_eq!(b.absorb(a.news_for(&b.digest()), SECOND).cluster_version, Some(ClusterVersion(2)));
        assert_eq!(a.news_for(&b.digest()).cluster_version, 0, "both know it");
        assert!(a.set_standing(NodeId(2), 2, Standing::Decommissioned));
        assert!(a.peers().is_empty());
    }

    #[test]
    fn news_that_make_no_sense_change_nothing() {
        let mut a = roster(1);
        let long = "x".repeat(TEXT_BYTES_MAX + 1);
        let wrong = [
            v1::NodeRecord { node_id: 0, ..record(2, 1, 1) },
            v1::NodeRecord { store_id: 0, ..record(2, 1, 1) },
            v1::NodeRecord { locality: "nowhere".to_string(), ..record(2, 1, 1) },
            v1::NodeRecord { rpc_address: long, ..record(2, 1, 1) },
        ];
        let standing = v1::StandingRecord { node_id: 2, edition: 1, standing: 77 };
        let news = v1::News {
            nodes: wrong.to_vec(),
            standings: vec![standing],
            first_range: vec![1, 2, 3].into(),
            cluster_version: 0,
        };
        let revision = a.revision();
        assert_eq!(a.absorb(news, SECOND), Changes::default());
        assert_eq!((a.revision(), a.nodes(SECOND).len(), a.first_range()), (revision, 1, None));
    }
}
