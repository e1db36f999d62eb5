//! Ranges that are asked too often are split where the load is halved: see `kvserver`'s `hot`.

use super::*;

const RATE_MAX: u64 = 100;

fn row(number: u64) -> keys::Key {
    key(&format!("k{number:04}"))
}

/// Reads rows for some seconds, 400 a second, in the middle of the keyspace of rows: `choose` draws which.
fn read_for(cluster: &mut Cluster, seconds: u64, choose: fn(&mut Prng) -> u64) {
    let (db, env, mut prng) = (cluster.running(1).db, cluster.running(1).env, cluster.prng.fork());
    cluster.block_on(async move {
        for _ in 0..seconds * 20 {
            let txn = db.begin(TxnOptions::default());
            for _ in 0..20 {
                // A range that is being split, or whose lease moves, is read later.
                let _ = txn.get(&row(choose(&mut prng)), Locking::NONE).await;
            }
            env.sleep(Duration::from_millis(50)).await;
        }
    });
}

fn with_rate(seed: u64, nodes: u32) -> Cluster {
    let cluster = Cluster::new(seed, nodes);
    cluster.wait_until_replicated(nodes as usize);
    for running in cluster.machines.values().filter_map(|machine| machine.running.as_ref()) {
        let tuning = running.store.tuning();
        running.store.tune(kvserver::StoreTuning { range_rate_max: RATE_MAX, ..tuning });
    }
    cluster
}

fn splits_by_load(cluster: &Cluster) -> u64 {
    let running = cluster.machines.values().filter_map(|machine| machine.running.as_ref());
    running.map(|running| running.store.readings().splits.by_load).sum()
}

fn skewed(prng: &mut Prng) -> u64 {
    if prng.chance(0.9) { 900 + prng.below(100) } else { prng.below(900) }
}

#[test]
fn a_hot_range_is_split_where_the_load_is_and_then_it_is_enough() {
    let mut cluster = with_rate(51, 3);
    read_for(&mut cluster, 8, skewed);
    assert_eq!(splits_by_load(&cluster), 0, "not at once");
    read_for(&mut cluster, 60, skewed);
    let leased = cluster.leased();
    let starts: Vec<&keys::Key> = leased.values().map(|(_, range)| &range.span.start).collect();
    let hot = starts.iter().filter(|start| ***start > row(890) && ***start < row(999)).count();
    assert!(hot >= 2, "{starts:?}");
    let splits = splits_by_load(&cluster);
    // 400 a second over ranges that bear 100: at least 4, and not one for each row.
    assert!((3..=9).contains(&splits), "{splits}");
    read_for(&mut cluster, 60, skewed);
    let later = splits_by_load(&cluster);
    assert!(later <= splits + 2, "it comes to rest: {splits}, {later}");
    cluster.put(2, "k0950", "still there").expect("nobody is in the way");
    assert_eq!(cluster.get(3, "k0950").as_deref(), Some("still there"));
}

#[test]
fn a_range_with_one_hot_row_and_a_node_that_stands_alone_split_nothing() {
    let mut cluster = with_rate(52, 3);
    read_for(&mut cluster, 60, |_| 5);
    assert_eq!(splits_by_load(&cluster), 0);
    let mut cluster = with_rate(53, 1);
    read_for(&mut cluster, 60, skewed);
    assert_eq!(splits_by_load(&cluster), 0);
}
