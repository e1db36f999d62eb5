//! Random histories, compared with a model that keeps every version in a map.
//!
//! `STORAGE_MODEL_CASES` sets the number of histories (default: a second's worth).

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use clock::Timestamp;
use keys::Span;
use kvapi::{KeyBlock, TxnStatus, WriteBlock, WriteCheck, WriteEntry};
use proptest::prelude::*;
use storage::mvcc::{self, Changed, GarbageBudget, MvccError, ReadView, Resolution, Scan, Statistics};
use storage::{Durability, Engine, WriteBatch};

use support::{Disk, InMemory};

type Bytes = Vec<u8>;

/// What may happen.
#[derive(Debug, Clone)]
enum Step {
    Commit { writes: BTreeMap<Bytes, Option<Bytes>>, gap: u64 },
    Intend { name: u8, writes: BTreeMap<Bytes, Option<Bytes>>, gap: u64 },
    Resolve { name: u8, status: u8, gap: u64 },
    Collect { back: u64 },
    Read { start: Bytes, end: Bytes, back: u64, rows: usize },
    Flush,
}

/// Few keys, many of which begin with each other.
fn any_key() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(prop_oneof![Just(0u8), Just(b'a'), Just(b'b'), Just(0xff)], 1..4)
}

fn any_writes() -> impl Strategy<Value = BTreeMap<Bytes, Option<Bytes>>> {
    prop::collection::btree_map(
        any_key(),
        prop::option::weighted(0.75, prop::collection::vec(any::<u8>(), 0..4)),
        1..7,
    )
}

fn any_step() -> impl Strategy<Value = Step> {
    let gap = 0u64..3;
    prop_oneof![
        5 => (any_writes(), gap.clone()).prop_map(|(writes, gap)| Step::Commit { writes, gap }),
        2 => (0u8..3, any_writes(), gap.clone()).prop_map(|(name, writes, gap)| Step::Intend { name, writes, gap }),
        2 => (0u8..3, 0u8..3, gap).prop_map(|(name, status, gap)| Step::Resolve { name, status, gap }),
        1 => (0u64..10).prop_map(|back| Step::Collect { back }),
        5 => (any_key(), any_key(), 0u64..20, 0usize..4)
            .prop_map(|(start, end, back, rows)| Step::Read { start, end, back, rows }),
        1 => Just(Step::Flush),
    ]
}

struct ModelIntent {
    name: u8,
    timestamp: u64,
    value: Option<Bytes>,
}

/// The model, and what it is compared with.
struct World {
    engine: Arc<dyn Engine>,
    statistics: Statistics,
    versions: BTreeMap<Bytes, BTreeMap<u64, Option<Bytes>>>,
    intents: BTreeMap<Bytes, ModelIntent>,
    now: u64,
    threshold: u64,
}

fn at(wall: u64) -> Timestamp {
    // The parity decides about a logical part, so that both stored forms occur.
    Timestamp::new(wall, (wall % 2) as u32)
}

fn name_of(name: u8) -> String {
    char::from(b'A' + name).to_string()
}

fn all() -> Span {
    Span::new(vec![0], vec![0xff; 5])
}

impl World {
    fn newest(&self, key: &[u8]) -> u64 {
        self.versions.get(key).and_then(|versions| versions.keys().next_back()).copied().unwrap_or(0)
    }

    fn visible(&self, key: &[u8], timestamp: u64) -> Option<&Bytes> {
        self.versions.get(key)?.range(..=timestamp).next_back()?.1.as_ref()
    }

    /// A deletion of what does not exist has something to stand on.
    fn commit_one(&mut self, key: Bytes, timestamp: u64, value: Option<Bytes>) {
        let versions = self.versions.entry(key).or_default();
        if versions.is_empty() && value.is_none() {
            versions.insert(0, None);
        }
        versions.insert(timestamp, value);
    }

    fn apply(&mut self, batch: &WriteBatch, delta: &Statistics) {
        self.engine.write(batch, Durability::Buffered).expect("writes");
        self.statistics.add(delta);
        let counted = mvcc::compute_statistics(&*self.engine, &all()).expect("reads");
        assert_eq!(counted, self.statistics, "statistics are exact");
    }

    fn write(&mut self, writes: &BTreeMap<Bytes, Option<Bytes>>, txn: Option<u8>) {
        let mut block = WriteBlock::new();
        for (key, value) in writes {
            block.push(WriteEntry { key, value: value.as_deref(), check: WriteCheck::None, sequence: 1 });
        }
        let own = txn.map(|name| support::txn_id(&name_of(name)));
        let blocked =
            writes.keys().any(|key| self.intents.get(key).is_some_and(|intent| Some(intent.name) != txn));
        let engine = self.engine.clone();
        let prepared = match mvcc::prepare(&*engine, &block, own, self.intents.is_empty()) {
            Ok(prepared) => prepared,
            Err(MvccError::Conflicts(conflicts)) => {
                assert!(blocked && !conflicts.is_empty());
                return;
            }
            Err(error) => panic!("{error}"),
        };
        assert!(!blocked);
        let newest = writes.keys().map(|key| self.newest(key)).max().unwrap_or(0);
        assert_eq!(prepared.newest().wall, newest);
        self.now = self.now.max(newest + 1);
        let timestamp = self.now;
        let (mut batch, mut delta) = (WriteBatch::new(), Statistics::default());
        match txn {
            None => prepared.commit(at(timestamp), &mut batch, &mut delta),
            Some(name) => {
                let meta = support::txn(&name_of(name), 0, at(timestamp));
                prepared.place_intents(&meta, &mut batch, &mut delta);
            }
        }
        drop(prepared);
        self.apply(&batch, &delta);
        for (key, value) in writes.clone() {
            match txn {
                None => self.commit_one(key, timestamp, value),
                // The sequence is the same: the first write of a key stays.
                Some(name) => {
                    self.intents.entry(key).or_insert(ModelIntent { name, timestamp, value });
                }
            }
        }
    }

    fn resolve(&mut self, name: u8, status: u8) {
        let status = [TxnStatus::Committed, TxnStatus::Aborted, TxnStatus::Pending][status as usize];
        let own: Vec<Bytes> = self
            .intents
            .iter()
            .filter(|(_, intent)| intent.name == name)
            .map(|(key, _)| key.clone())
            .collect();
        let newest =
            own.iter().map(|key| self.newest(key).max(self.intents[key].timestamp)).max().unwrap_or(0);
        self.now = self.now.max(newest + 1);
        let resolution =
            Resolution { id: support::txn_id(&name_of(name)), epoch: 0, status, timestamp: at(self.now) };
        let mut span = all();
        let mut count = 0;
        loop {
            let (mut batch, mut delta) = (WriteBatch::new(), Statistics::default());
            let done = mvcc::resolve_span(&*self.engine, &span, &resolution, 2, &mut batch, &mut delta);
            let done = done.expect("resolves");
            self.apply(&batch, &delta);
            count += done.count;
            match done.resume {
                Some(rest) => span = rest,
                None => break,
            }
        }
        assert_eq!(count, own.len());
        for key in own {
            let now = self.now;
            match status {
                TxnStatus::Committed => {
                    let intent = self.intents.remove(&key).expect("it is there");
                    self.commit_one(key, now, intent.value);
                }
                TxnStatus::Aborted => drop(self.intents.remove(&key)),
                _ => self.intents.get_mut(&key).expect("it is there").timestamp = now,
            }
        }
    }

    fn collect(&mut self, back: u64) {
        self.threshold = self.threshold.max(self.now.saturating_sub(back));
        let threshold = at(self.threshold);
        let mut span = all();
        loop {
            let budget = GarbageBudget { keys_max: 3, versions_max: 5 };
            let found = mvcc::find_garbage(&*self.engine, &span, threshold, budget).expect("reads");
            let (mut batch, mut delta) = (WriteBatch::new(), Statistics::default());
            for (key, upto) in &found.keys {
                let removed =
                    mvcc::remove_garbage(&*self.engine, key, *upto, threshold, &mut batch, &mut delta);
                assert!(removed.expect("reads") > 0);
            }
            self.apply(&batch, &delta);
            match found.resume {
                Some(rest) => span = rest,
                None => break,
            }
        }
        for versions in self.versions.values_mut() {
            let keep = versions.range(..=self.threshold).next_back().map(|(timestamp, _)| *timestamp);
            if let Some(keep) = keep {
                let only_deletion = versions[&keep].is_none() && versions.range(keep + 1..).next().is_none();
                versions.retain(|timestamp, _| *timestamp >= keep && !(only_deletion && *timestamp == keep));
            }
        }
        // What had to stay stayed, and what could go went.
        let expected: usize = self.versions.values().map(BTreeMap::len).sum();
        let s = &self.statistics;
        assert_eq!((s.live_count + s.deletion_count + s.history_count) as usize, expected);
    }

    fn read(&self, start: Bytes, end: Bytes, back: u64, rows_max: usize) {
        let timestamp = self.now.saturating_sub(back).max(self.threshold);
        let (start, end) = if start <= end { (start, end) } else { (end, start) };
        let span = Span::new(start.clone(), end.clone());
        let view = ReadView::at(at(timestamp));
        let blocked = start < end
            && self
                .intents
                .range(start.clone()..end.clone())
                .any(|(_, intent)| intent.timestamp <= timestamp);
        let mut expected: Vec<(Bytes, Bytes)> = Vec::new();
        if start < end {
            for (key, _) in self.versions.range(start.clone()..end.clone()) {
                expected.extend(self.visible(key, timestamp).map(|value| (key.clone(), value.clone())));
            }
        }
        for reverse in [false, true] {
            let result = self.scan_all(&span, &view, Scan { reverse, rows_max, ..Scan::default() });
            match result {
                Err(MvccError::Conflicts(_)) => assert!(blocked),
                Err(error) => panic!("{error}"),
                Ok(mut rows) => {
                    assert!(!blocked);
                    if reverse {
                        rows.reverse();
                    }
                    assert_eq!(rows, expected, "at {timestamp}, reverse {reverse}");
                }
            }
        }
        self.read_points(timestamp);
        self.find_changes(&span, timestamp);
    }

    fn scan_all(&self, span: &Span, view: &ReadView, what: Scan) -> Result<Vec<(Bytes, Bytes)>, MvccError> {
        let mut rows = Vec::new();
        let mut rest = Some(span.clone());
        while let Some(span) = rest {
            let result = mvcc::scan(&*self.engine, &span, view, what)?;
            assert!(what.rows_max == 0 || result.rows.len() <= what.rows_max);
            for row in result.rows.iter() {
                rows.push((row.key.to_vec(), row.value.expect("scans return rows with values").to_vec()));
            }
            assert!(rows.len() < 1000, "a scan comes to its end");
            rest = result.resume;
        }
        Ok(rows)
    }

    fn read_points(&self, timestamp: u64) {
        let view = ReadView::at(at(timestamp));
        let mut keys = KeyBlock::new();
        let candidates: Vec<&Bytes> = self.versions.keys().chain(self.intents.keys()).collect();
        let sorted: std::collections::BTreeSet<&Bytes> = candidates.into_iter().collect();
        for key in sorted {
            let locked = self.intents.get(key).is_some_and(|intent| intent.timestamp <= timestamp);
            match mvcc::get(&*self.engine, key, &view) {
                Err(MvccError::Conflicts(_)) => assert!(locked),
                Err(error) => panic!("{error}"),
                Ok(value) => {
                    assert!(!locked);
                    assert_eq!(value.as_ref(), self.visible(key, timestamp));
                    keys.push(key);
                }
            }
        }
        let rows = mvcc::get_many(&*self.engine, &keys, &view).expect("no key is locked");
        assert_eq!(rows.len(), keys.len());
        for row in rows.iter() {
            assert_eq!(row.value, self.visible(row.key, timestamp).map(|value| &value[..]));
        }
    }

    fn find_changes(&self, span: &Span, to: u64) {
        let from = self.threshold.max(to.saturating_sub(4));
        if span.is_empty() {
            return;
        }
        let bounds = span.start.to_vec()..span.end.to_vec();
        let changed = self
            .versions
            .range(bounds.clone())
            .any(|(_, versions)| from < to && versions.range(from + 1..=to).next().is_some());
        let blocked = from < to && self.intents.range(bounds).any(|(_, intent)| intent.timestamp <= to);
        match mvcc::find_change(&*self.engine, span, at(from), at(to), None, false).expect("reads") {
            None => assert!(!changed && !blocked),
            Some(Changed::Intent(_)) => assert!(blocked),
            Some(Changed::Version { key, timestamp }) => {
                assert!(changed && span.contains(&key) && timestamp > at(from) && timestamp <= at(to));
                assert!(self.versions[&key.to_vec()].contains_key(&timestamp.wall));
            }
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Commit { writes, gap } => {
                self.now += gap;
                self.write(&writes, None);
            }
            Step::Intend { name, writes, gap } => {
                self.now += gap;
                self.write(&writes, Some(name));
            }
            Step::Resolve { name, status, gap } => {
                self.now += gap;
                self.resolve(name, status);
            }
            Step::Collect { back } => self.collect(back),
            Step::Read { start, end, back, rows } => self.read(start, end, back, rows),
            Step::Flush => self.engine.flush().expect("flushes"),
        }
    }
}

fn run(mut disk: Box<dyn Disk>, steps: Vec<Step>) {
    let engine = disk.open().expect("opens");
    // Declared after the disk, and so closed before its folder is removed.
    let mut world = World {
        engine,
        statistics: Statistics::default(),
        versions: BTreeMap::new(),
        intents: BTreeMap::new(),
        now: 1,
        threshold: 0,
    };
    for step in steps {
        world.step(step);
    }
    world.read(vec![0], vec![0xff; 5], 0, 0);
    let found = mvcc::find_split_key(&*world.engine, &all(), storage::Keyspace::Current, 20).expect("reads");
    if let mvcc::SplitPoint::At(key) = found {
        let left =
            mvcc::compute_statistics(&*world.engine, &Span::new(all().start, key.clone())).expect("reads");
        let right = mvcc::compute_statistics(&*world.engine, &Span::new(key, all().end)).expect("reads");
        assert!(left.live_count + left.deletion_count > 0 && right.live_count + right.deletion_count > 0);
        let mut sum = left;
        sum.add(&right);
        assert_eq!(sum, world.statistics);
    }
}

fn cases(default: u32) -> ProptestConfig {
    let cases =
        std::env::var("STORAGE_MODEL_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn memory_agrees_with_the_model(steps in prop::collection::vec(any_step(), 1..60)) {
        run(Box::new(InMemory::new()), steps);
    }
}

#[cfg(feature = "rocks")]
proptest! {
    #![proptest_config(cases(12))]

    #[test]
    fn rocks_agrees_with_the_model(steps in prop::collection::vec(any_step(), 1..60)) {
        run(Box::new(support::rocks::InFolder::new()), steps);
    }
}
