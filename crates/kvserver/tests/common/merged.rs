//! Neighbours that have become small are merged: see `kvserver`'s `merge`.

use storage::mvcc;

use super::*;

const NAMES: [&str; 8] = ["c", "e", "g", "i", "k", "m", "o", "q"];
/// Ranges of a cluster in which nothing was split.
const FIRST_RANGES: usize = 4;

impl Cluster {
    /// Three nodes with a row in each of nine ranges of rows, which may be merged although a statement has split them, and are not yet.
    fn with_many_ranges(seed: u64) -> Cluster {
        let mut cluster = Cluster::new(seed, 3);
        cluster.merges_eagerly = true;
        for id in 1..=3 {
            cluster.crash(id);
            cluster.restart(id);
        }
        cluster.merge_below(0);
        cluster.wait_until_replicated(3);
        for name in NAMES {
            cluster.put(1, name, "1").expect("nobody is in the way");
            let db = cluster.running(2).db;
            cluster.block_on(async move { db.split_at(&key(name)).await.expect("it can be split") });
        }
        cluster
    }

    fn merge_below(&self, range_bytes_min: u64) {
        for running in self.machines.values().filter_map(|machine| machine.running.as_ref()) {
            let tuning = running.store.tuning();
            running.store.tune(kvserver::StoreTuning { range_bytes_min, ..tuning });
        }
    }

    /// Gives all leases of ranges with rows to a node, as far as they move now.
    fn gather_leases(&self, id: u32) {
        for (range, (leader, descriptor)) in self.leased() {
            if leader == id || descriptor.span.start < key("") {
                continue;
            }
            let request = TransferLeaseRequest { key: descriptor.span.start.clone(), to: StoreId(id) };
            let batch = BatchRequest::new(Header { range, ..Header::default() }, request);
            let store = self.running(leader).store;
            // Whoever cannot take it now may be able to later.
            self.block_on(async move { store.send(&batch).await.map(drop) }).ok();
        }
    }

    fn merge_all(&self, id: u32) {
        self.merge_below(16 << 20);
        for _ in 0..100 {
            self.gather_leases(id);
            self.run_for(0.5);
            if self.leased().len() == FIRST_RANGES {
                return;
            }
        }
        panic!("ranges stay apart: {:?}; {}", self.leased(), self.describe());
    }

    fn merges(&self) -> kvserver::MergeReadings {
        let mut all = kvserver::MergeReadings::default();
        for running in self.machines.values().filter_map(|machine| machine.running.as_ref()) {
            let merges = running.store.readings().merges;
            all.merged += merges.merged;
            all.thawed += merges.thawed;
        }
        all
    }

    /// Every store that is up has the replicas of these ranges and no others, and addressing names no others.
    fn assert_nothing_is_left(&self) {
        let leased = self.leased();
        self.wait_until("ranges that were absorbed have ended everywhere", |cluster| {
            let running = cluster.machines.values().filter_map(|machine| machine.running.as_ref());
            running.flat_map(|running| running.raft.ranges()).all(|range| leased.contains_key(&range))
        });
        let records = keys::addressing::META2_SPAN;
        self.wait_until("addressing records of what was absorbed are gone", |cluster| {
            let up = cluster.machines.values().filter_map(|machine| machine.running.as_ref()).next();
            let engine = up.expect("somebody is up").engine.clone();
            let view = mvcc::ReadView::at(Timestamp::MAX);
            let page = mvcc::scan(&*engine, &records, &view, mvcc::Scan::default());
            page.is_ok_and(|page| {
                page.rows.iter().filter(|row| row.value.is_some()).count() == leased.len() - 2
            })
        });
    }
}

#[test]
fn ranges_that_are_small_become_one_again_and_keep_what_they_hold() {
    let cluster = Cluster::with_many_ranges(61);
    cluster.run_for(5.0);
    assert_eq!(cluster.leased().len(), FIRST_RANGES + NAMES.len(), "none is merged below zero bytes");
    cluster.merge_all(2);
    assert_eq!(cluster.merges().merged, NAMES.len() as u64);
    cluster.assert_nothing_is_left();
    for (id, name) in (1..=3).cycle().zip(NAMES) {
        assert_eq!(cluster.get(id, name).as_deref(), Some("1"), "{name} through {id}");
        cluster.put(id, name, "2").expect("nobody is in the way");
        assert_eq!(cluster.get(1, name).as_deref(), Some("2"));
    }
    // And can be split anew.
    cluster.merge_below(0);
    let db = cluster.running(3).db;
    cluster.block_on(async move { db.split_at(&key("k")).await.expect("it can be split") });
    cluster.wait_until("both halves serve", |cluster| cluster.leased().len() == FIRST_RANGES + 1);
    assert_eq!(cluster.get(1, "k").as_deref(), Some("2"));
}

#[test]
fn what_was_merged_is_whole_after_crashes_of_everybody() {
    for seed in 0..6 {
        let mut cluster = Cluster::with_many_ranges(620 + seed);
        cluster.merge_all(1 + seed as u32 % 3);
        for id in 1..=3 {
            cluster.crash(id);
        }
        for id in 1..=3 {
            cluster.restart(id);
        }
        cluster.wait_until_replicated(3);
        for (id, name) in (1..=3).cycle().zip(NAMES) {
            assert_eq!(cluster.get(id, name).as_deref(), Some("1"), "{name} through {id}, seed {seed}");
        }
        cluster.merge_below(16 << 20);
        cluster.wait_until("all have come back", |cluster| cluster.leased().len() == FIRST_RANGES);
        cluster.assert_nothing_is_left();
        for id in 1..=3 {
            assert!(cluster.running(id).raft.failed().is_none(), "{}", cluster.describe());
        }
    }
}

/// Whoever is away while ranges are merged cannot be: they wait for it. Whoever is cut off right after needs the log, or a snapshot.
#[test]
fn leaseholders_that_die_while_they_merge_leave_ranges_that_serve() {
    for seed in 0..12 {
        let mut cluster = Cluster::with_many_ranges(640 + seed);
        cluster.merge_below(16 << 20);
        cluster.gather_leases(2);
        // Somewhere within the merges.
        let millis = cluster.prng.range(1..600);
        cluster.run_for(millis as f64 / 1_000.0);
        cluster.crash(2);
        for (id, name) in [1, 3].into_iter().cycle().zip(NAMES) {
            cluster.put(id, name, "2").expect("the others are a quorum");
            assert_eq!(cluster.get(id, name).as_deref(), Some("2"), "{name} through {id}, seed {seed}");
        }
        cluster.restart(2);
        cluster.wait_until_replicated(3);
        cluster.merge_all(1);
        cluster.assert_nothing_is_left();
        for name in NAMES {
            assert_eq!(cluster.get(2, name).as_deref(), Some("2"), "{name}, seed {seed}");
        }
        for id in 1..=3 {
            assert!(cluster.running(id).raft.failed().is_none(), "{}", cluster.describe());
        }
    }
}

/// Nobody brings the leases together but the stores themselves.
#[test]
fn leases_of_small_neighbours_come_to_one_store() {
    let cluster = Cluster::with_many_ranges(67);
    let leased = cluster.leased();
    let rows = leased.values().filter(|(_, descriptor)| descriptor.span.start >= key(""));
    for (to, (leader, descriptor)) in (1..=3).cycle().zip(rows) {
        if to == *leader {
            continue;
        }
        let request = TransferLeaseRequest { key: descriptor.span.start.clone(), to: StoreId(to) };
        let batch = BatchRequest::new(Header { range: descriptor.id, ..Header::default() }, request);
        let store = cluster.running(*leader).store;
        cluster.block_on(async move { store.send(&batch).await.map(drop) }).expect("followers are current");
    }
    let leaders: std::collections::BTreeSet<u32> =
        cluster.leased().values().map(|(leader, _)| *leader).collect();
    assert_eq!(leaders.len(), 3, "each has some leases");
    cluster.merge_below(16 << 20);
    cluster.wait_until("all have become one", |cluster| cluster.leased().len() == FIRST_RANGES);
    cluster.assert_nothing_is_left();
    for (id, name) in (1..=3).cycle().zip(NAMES) {
        assert_eq!(cluster.get(id, name).as_deref(), Some("1"), "{name} through {id}");
    }
}

/// Nor the replicas, of neighbours that balance has spread over more stores than one range has replicas.
#[test]
fn replicas_of_small_neighbours_come_to_the_same_stores() {
    let mut cluster = Cluster::with_many_ranges(68);
    cluster.add(4);
    let range_of = |cluster: &Cluster, name: &str| {
        let leased = cluster.leased();
        leased.values().find(|(_, range)| range.contains(&key(name))).cloned()
    };
    let is_on_fourth = |cluster: &Cluster, name: &str| {
        range_of(cluster, name).is_some_and(|(_, range)| range.replica_on(StoreId(4)).is_some())
    };
    for name in ["g", "o"] {
        // Others may be at work on it.
        cluster.wait_until("node 4 gets a replica", |cluster| {
            let Some((leader, descriptor)) = range_of(cluster, name) else { return false };
            let from = descriptor.replicas.iter().find(|there| there.store != StoreId(leader));
            let change = ChangeReplicasRequest {
                key: descriptor.span.start.clone(),
                add: vec![(NodeId(4), StoreId(4))],
                remove: from.map(|there| there.store).into_iter().collect(),
                generation: descriptor.generation,
            };
            let batch = BatchRequest::new(Header { range: descriptor.id, ..Header::default() }, change);
            let store = cluster.running(leader).store;
            cluster.block_on(async move { store.send(&batch).await.map(drop) }).ok();
            is_on_fourth(cluster, name)
        });
    }
    cluster.merge_below(16 << 20);
    cluster.wait_until("all have become one", |cluster| cluster.leased().len() == FIRST_RANGES);
    for (id, name) in (1..=4).cycle().zip(NAMES) {
        assert_eq!(cluster.get(id, name).as_deref(), Some("1"), "{name} through {id}");
    }
}

#[test]
fn ranges_that_a_statement_has_split_stay_apart() {
    let cluster = Cluster::new(66, 3);
    cluster.wait_until_replicated(3);
    let db = cluster.running(1).db;
    cluster.block_on(async move { db.split_at(&key("k")).await.expect("it can be split") });
    for _ in 0..40 {
        cluster.gather_leases(2);
        cluster.run_for(0.5);
    }
    assert_eq!((cluster.merges().merged, cluster.leased().len()), (0, FIRST_RANGES + 1));
}
