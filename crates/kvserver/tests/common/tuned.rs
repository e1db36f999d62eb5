//! Values of stores that change while they run.

use super::*;

#[test]
fn stores_follow_what_they_are_tuned_to() {
    let mut cluster = Cluster::new(27, 5);
    cluster.wait_until_replicated(3);
    let tune = |cluster: &Cluster, change: fn(&mut kvserver::StoreTuning)| {
        for running in cluster.machines.values().filter_map(|machine| machine.running.as_ref()) {
            let mut tuning = running.store.tuning();
            change(&mut tuning);
            running.store.tune(tuning);
        }
    };
    let closed_lag = |cluster: &Cluster| {
        let running = cluster.machines.values().filter_map(|machine| machine.running.as_ref());
        running.map(|running| running.store.metrics().closed_lag).max().expect("some run")
    };
    cluster.run_for(5.0);
    assert!(closed_lag(&cluster) >= Duration::from_secs(3), "{:?}", closed_lag(&cluster));
    tune(&cluster, |tuning| tuning.closed_lag = Duration::from_millis(500));
    cluster.run_for(5.0);
    let lag = closed_lag(&cluster);
    assert!(lag >= Duration::from_millis(500) && lag < Duration::from_secs(2), "{lag:?}");
    tune(&cluster, |tuning| (tuning.replicas, tuning.system_replicas) = (5, 5));
    cluster.wait_until_replicated(5);
    tune(&cluster, |tuning| (tuning.replicas, tuning.system_replicas) = (3, 3));
    cluster.wait_until("there are fewer replicas", |cluster| {
        cluster.leased().len() >= 4 && cluster.leased().values().all(|(_, range)| range.replicas.len() == 3)
    });
    // Nothing is looked at for an hour; then the new interval and the new patience hold at once.
    tune(&cluster, |tuning| tuning.replicate_interval = Duration::from_secs(3600));
    let (leader, range) = cluster.tables();
    let dead = range.replicas.iter().map(|there| there.store.0).find(|id| *id != leader).expect("three");
    cluster.crash(dead);
    cluster.run_for(30.0);
    assert!(cluster.tables().1.replica_on(StoreId(dead)).is_some(), "nobody has looked");
    tune(&cluster, |tuning| {
        (tuning.replicate_interval, tuning.dead_after) =
            (Duration::from_millis(100), Duration::from_secs(3600));
    });
    cluster.run_for(30.0);
    assert!(cluster.tables().1.replica_on(StoreId(dead)).is_some(), "it is not taken for dead");
    tune(&cluster, |tuning| tuning.dead_after = Duration::from_secs(6));
    cluster.run_for(10.0);
    assert!(cluster.tables().1.replica_on(StoreId(dead)).is_none(), "it is replaced");
}

/// No node works without the system's tables either.
#[test]
fn system_tables_get_as_many_replicas_as_system_ranges_once_there_are_nodes_for_them() {
    let mut cluster = Cluster::new(28, 0);
    cluster.system_end = key("d");
    for id in 1..=4 {
        cluster.add(id);
    }
    cluster.wait_until_replicated(3);
    cluster.run_for(5.0);
    let (_, together) = cluster.tables();
    assert!(together.contains(&key("a")) && together.contains(&key("k")), "{together:?}");
    cluster.add(5);
    cluster.wait_until("system tables have five replicas, others three", |cluster| {
        let leased = cluster.leased();
        let count = |name: &str, end: keys::Key| {
            let found =
                leased.values().find(|(_, range)| range.contains(&key(name)) && range.span.end == end);
            found.map(|(_, range)| range.replicas.len())
        };
        count("a", key("d")) == Some(5) && count("k", keys::Key::MAX) == Some(3)
    });
}
