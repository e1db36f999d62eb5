//! Replicas that differ are found, and stores with a wrong one end: see `kvserver`'s `check`.

use kvapi::{CheckOutcome, CheckReplicasRequest, ReplicaCheckResponse, Response};
use storage::{Durability, Keyspace, Operation, WriteBatch};

use super::*;

impl Cluster {
    /// Has the replicas of the range with the rows compared.
    fn check_rows(&self) -> Result<ReplicaCheckResponse, KvError> {
        let db = self.running(self.tables().0).db;
        self.block_on(async move {
            let mut batch = BatchRequest::new(Header::default(), CheckReplicasRequest { key: key("k") });
            match db.send(&key("k"), &mut batch).await?.responses.pop() {
                Some(Response::ReplicaCheck(found)) => Ok(*found),
                other => panic!("{other:?}"),
            }
        })
    }

    fn engine(&self, id: u32) -> Arc<dyn Engine> {
        self.running(id).engine
    }

    /// Changes one stored byte of the row with a value on one store, as a fault of its disk or memory would.
    fn damage(&self, id: u32, value: &str) {
        let engine = self.engine(id);
        let span = self.tables().1.span;
        let mut checkpoint = engine.checkpoint(&[(Keyspace::Current, span)]).expect("memory can be read");
        let chunk = checkpoint.next_chunk(1 << 20).expect("memory can be read").expect("there are rows");
        for operation in chunk.iter() {
            let Operation::Put(keyspace, key, stored) = operation else { panic!("{operation:?}") };
            if stored.ends_with(value.as_bytes()) {
                let mut stored = stored.to_vec();
                *stored.last_mut().expect("it is not empty") ^= 1;
                let mut batch = WriteBatch::new();
                batch.put(keyspace, key, &stored);
                return engine.write(&batch, Durability::Buffered).expect("memory can be written");
            }
        }
        panic!("there is no row with {value}");
    }

    fn start_checking(&self, interval: Duration) {
        for running in self.machines.values().filter_map(|machine| machine.running.as_ref()) {
            let tuning = running.store.tuning();
            running.store.tune(kvserver::StoreTuning { check_interval: interval, ..tuning });
        }
    }
}

fn with_rows(seed: u64) -> Cluster {
    let cluster = Cluster::new(seed, 3);
    cluster.wait_until_replicated(3);
    for (name, value) in [("j", "one"), ("k", "two"), ("l", "three")] {
        cluster.put(1, name, value).expect("nobody is in the way");
    }
    cluster
}

#[test]
fn replicas_that_hold_the_same_are_found_to() {
    let mut cluster = with_rows(41);
    let found = cluster.check_rows().expect("the range can be checked");
    assert_eq!((found.outcome, found.replicas.len()), (CheckOutcome::Same, 3), "{found:?}");
    assert_eq!(found.majority.map(|_| ()), Some(()));
    // Somebody who is away does not make it wrong, and does not hold it up for ever.
    let away = found.replicas.iter().map(|there| there.node.0).find(|id| *id != cluster.tables().0);
    cluster.crash(away.expect("there are three"));
    cluster.run_for(10.0);
    let found = cluster.check_rows().expect("the range can be checked");
    assert_eq!(found.outcome, CheckOutcome::Incomplete, "{found:?}");
}

#[test]
fn every_range_is_checked_in_the_background() {
    let cluster = with_rows(42);
    cluster.start_checking(Duration::from_secs(20));
    cluster.run_for(45.0);
    let mut checked = BTreeMap::new();
    for (id, machine) in &cluster.machines {
        let store = &machine.running.as_ref().expect("all are up").store;
        let counts = store.readings().checks;
        assert_eq!((counts.different, counts.incomplete), (0, 0), "{counts:?}");
        checked.extend(store.check_reports().into_iter().map(|(range, _)| (range, *id)));
    }
    assert_eq!(checked.len(), cluster.leased().len(), "{checked:?}");
}

#[test]
fn a_store_with_another_copy_than_the_others_ends_for_good() {
    // A follower's, and the leaseholder's own.
    for (seed, of_leader) in [(43, false), (44, true)] {
        let mut cluster = with_rows(seed);
        let (leader, range) = cluster.tables();
        let others = range.replicas.iter().map(|there| there.node.0);
        let victim = others.into_iter().find(|id| (*id == leader) == of_leader).expect("there are three");
        cluster.damage(victim, "two");
        // Whoever asks the leaseholder may be told how it went before it ends, or not.
        if let Ok(found) = cluster.check_rows() {
            assert_eq!(found.outcome, CheckOutcome::Different, "{found:?}");
            assert!(found.majority.is_some(), "{found:?}");
        }
        cluster.wait_until("the store has ended", |cluster| cluster.running(victim).raft.failed().is_some());
        let reason = cluster.running(victim).raft.failed().expect("it has ended").0;
        assert!(reason.contains("differs from those on most other stores"), "{reason}");
        let well = cluster.machines.keys().filter(|id| **id != victim);
        assert!(well.clone().all(|id| cluster.running(*id).raft.failed().is_none()));
        // It does not come back.
        let machine = cluster.machines.get_mut(&victim).expect("a machine");
        machine.running = None;
        machine.env.crash();
        machine.disk.crash(usize::MAX, usize::MAX);
        cluster.wires.detach(NodeId(victim));
        let machine = &cluster.machines[&victim];
        let engine: Arc<dyn Engine> = machine.disk.open(MemoryOptions::default()).expect("the disk is free");
        let clock = machine.bound.lock().clone().expect("it had one");
        let config = StoreConfig::new(NodeId(victim), StoreId(victim));
        let refused = Store::open(machine.env.restart(), clock, engine, config).map(drop);
        assert!(refused.is_err_and(|error| error.to_string().contains("is not to be used any more")));
        // The others go on with what is right.
        let other = *cluster.machines.keys().find(|id| **id != victim).expect("there are three");
        assert_eq!(cluster.get(other, "k").as_deref(), Some("two"));
    }
}

#[test]
fn nobody_ends_where_nobody_can_tell_who_is_wrong() {
    let mut cluster = with_rows(45);
    let (leader, range) = cluster.tables();
    let others: Vec<u32> =
        range.replicas.iter().map(|there| there.node.0).filter(|id| *id != leader).collect();
    cluster.damage(others[0], "two");
    cluster.crash(others[1]);
    cluster.run_for(10.0);
    let found = cluster.check_rows().expect("the range can be checked");
    assert_eq!((found.outcome, found.majority), (CheckOutcome::Different, None), "{found:?}");
    cluster.run_for(5.0);
    for id in [leader, others[0]] {
        assert!(cluster.running(id).raft.failed().is_none());
    }
}

/// Statistics are kept as estimates, and lose what a crash takes: see `machine`.
#[test]
fn statistics_that_have_drifted_are_set_right_by_a_check() {
    let mut cluster = with_rows(46);
    for id in 1..=3 {
        cluster.crash(id);
        cluster.restart(id);
        cluster.wait_until_replicated(3);
        cluster.put(id, ["x", "y", "z"][id as usize - 1], "four").expect("nobody is in the way");
    }
    assert_eq!(cluster.check_rows().expect("the range can be checked").outcome, CheckOutcome::Same);
    for id in 1..=3 {
        let standings = cluster.running(id).store.range_standings();
        let standing = standings.iter().find(|standing| standing.descriptor.contains(&key("k")));
        let standing = standing.expect("it has a replica of each range");
        let counted = storage::mvcc::compute_statistics(&*cluster.engine(id), &standing.descriptor.span);
        assert_eq!(Ok(standing.statistics), counted, "on node {id}");
    }
}
