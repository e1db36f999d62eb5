//! Reads of the past, by replicas without the lease: see `kvserver`'s `closed`.

use super::*;

/// Reads a row as of a timestamp through a node.
fn get_as_of(
    cluster: &Cluster,
    id: u32,
    name: &'static str,
    at: Timestamp,
) -> Result<Option<String>, KvError> {
    let db = cluster.running(id).db;
    let options = TxnOptions { as_of: Some(at), ..TxnOptions::default() };
    cluster.block_on(async move { get(&db.begin(options), name, Locking::NONE).await })
}

#[test]
fn every_replica_answers_reads_of_the_past_and_so_it_does_while_the_leaseholder_is_away() {
    for seed in 0..10 {
        let mut cluster = Cluster::new(300 + seed, 3);
        cluster.wait_until_replicated(3);
        let (leader, _) = cluster.tables();
        cluster.put(leader, "k", "old").expect("nobody is in the way");
        let old = cluster.running(leader).db.now();
        cluster.put(leader, "k", "new").expect("nobody is in the way");
        // Long enough for the groups to fall asleep, or not.
        cluster.run_for(if seed % 2 == 0 { 15.0 } else { 4.5 });
        for id in 1..=3 {
            assert!(cluster.running(id).db.follower_read_timestamp() > old);
            assert_eq!(get_as_of(&cluster, id, "k", old), Ok(Some("old".to_string())));
            let latest = cluster.running(id).db.follower_read_timestamp();
            assert_eq!(get_as_of(&cluster, id, "k", latest), Ok(Some("new".to_string())));
            let metrics = cluster.running(id).store.metrics();
            assert_eq!(
                metrics.follower_reads_served,
                if id == leader { 0 } else { 2 },
                "seed {seed}, node {id}"
            );
            assert!(metrics.closed_lag < Duration::from_secs(4), "{metrics:?}");
        }
        cluster.crash(leader);
        let other = if leader == 3 { 1 } else { 3 };
        let latest = cluster.running(other).db.follower_read_timestamp();
        let asked = cluster.simulation.now();
        assert_eq!(get_as_of(&cluster, other, "k", latest), Ok(Some("new".to_string())));
        assert!(cluster.simulation.now() - asked < Duration::from_millis(100), "nobody was elected so soon");
    }
}

#[test]
fn what_is_written_late_goes_above_what_is_closed() {
    let cluster = Cluster::new(311, 3);
    cluster.wait_until_replicated(3);
    let (leader, _) = cluster.tables();
    let follower = if leader == 3 { 1 } else { 3 };
    let db = cluster.running(leader).db;
    let late = db.begin(options(Isolation::Serializable));
    cluster.run_for(6.0);
    let closed = cluster.running(follower).db.follower_read_timestamp();
    assert_eq!(get_as_of(&cluster, follower, "k", closed), Ok(None));
    let written = cluster.block_on(async move {
        late.put(&key("k"), b"late")?;
        late.commit().await
    });
    assert!(written.expect("nobody is in the way") > closed, "what was read there stays");
    assert_eq!(get_as_of(&cluster, follower, "k", closed), Ok(None));
    assert!(cluster.running(follower).store.metrics().follower_reads_served >= 2);
}
