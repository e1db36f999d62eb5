//! What becomes of transactions that are open when a lease is given away: nothing.

use super::*;

impl Cluster {
    /// Gives the lease of a key's range to the next node.
    fn give_away(&self, name: &str) {
        let leased = self.leased();
        let found = leased.values().find(|(_, range)| range.contains(&key(name)));
        let (leader, descriptor) = found.expect("somebody leads it");
        let request =
            TransferLeaseRequest { key: descriptor.span.start.clone(), to: StoreId(leader % 3 + 1) };
        let batch = BatchRequest::new(Header { range: descriptor.id, ..Header::default() }, request);
        let store = self.running(*leader).store;
        self.block_on(async move { store.send(&batch).await.map(drop) }).expect("followers are current");
    }

    /// Three nodes, and a range on either side of `m` with a row.
    fn with_two_ranges(seed: u64) -> Cluster {
        let cluster = Cluster::new(seed, 3);
        cluster.wait_until_replicated(3);
        for name in ["k", "r"] {
            cluster.put(1, name, "1").expect("nobody is in the way");
        }
        let db = cluster.running(1).db;
        cluster.block_on(async move { db.split_at(&key("m")).await.expect("it can be split") });
        cluster
    }
}

#[test]
fn a_transaction_that_holds_locks_goes_on_when_their_range_gets_another_leaseholder() {
    // Before it has said that it is alive for the first time, about then, and long after.
    for (seed, age) in [(80, 0.0), (81, 0.3), (82, 0.9), (83, 1.1), (84, 1.9), (85, 4.0)] {
        for isolation in [Isolation::ReadCommitted, Isolation::Snapshot, Isolation::Serializable] {
            let cluster = Cluster::with_two_ranges(seed);
            let db = cluster.running(2).db;
            let open = cluster.block_on(async move {
                let txn = db.begin(options(isolation));
                for name in ["k", "r"] {
                    get(&txn, name, Locking::NO_KEY_UPDATE).await?;
                    txn.put(&key(name), b"2")?;
                }
                Ok::<_, KvError>(txn)
            });
            let open = open.expect("nobody is in the way");
            cluster.run_for(age);
            cluster.give_away("k");
            cluster.run_for(2.5);
            let committed = cluster.block_on(async move { open.commit().await });
            assert!(committed.is_ok(), "{isolation:?} after {age} s: {committed:?}");
            for name in ["k", "r"] {
                assert_eq!(cluster.get(3, name).as_deref(), Some("2"), "{isolation:?} after {age} s");
            }
        }
    }
}

#[test]
fn a_transaction_without_locks_does_not_care_who_leads() {
    for (seed, age) in [(86, 0.1), (87, 3.0)] {
        let cluster = Cluster::with_two_ranges(seed);
        let db = cluster.running(2).db;
        let open = serializable(&db);
        for name in ["l", "s"] {
            open.put(&key(name), b"2").expect("it is open");
        }
        cluster.run_for(age);
        // A failure, or a lease given away: there is nothing that could be lost.
        cluster.give_away("l");
        cluster.give_away("s");
        let committed = cluster.block_on(async move { open.commit().await });
        assert!(committed.is_ok(), "after {age} s: {committed:?}");
        assert_eq!(cluster.get(3, "s").as_deref(), Some("2"));
    }
}
