//! Transactions on one store, scenario by scenario.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{World, get, get_now, key, options, put_all, rows, scan, serializable, span};
use env::SimEnv;
use futures::future::{join, join_all};
use kvapi::Timestamp;
use kvclient::{
    Db, DbConfig, InsertCheck, Isolation, KvBlock, KvError, LockStrength, Locking, RestartReason,
    RestartScope, ScanOptions, Txn, TxnOptions, WaitPolicy,
};

fn no_wait(strength: LockStrength) -> Locking {
    Locking { strength, wait: WaitPolicy::NoWait, absent: false }
}

fn is_restart(error: &KvError, expected: RestartReason) -> bool {
    matches!(error, KvError::Restart { reason, .. } if *reason == expected)
}

#[test]
fn a_transaction_reads_what_it_has_written_and_nobody_else_does_before_the_commit() {
    World::new(1).run(
        |_, _| {},
        async |node: common::Node| {
            put_all(&node.db, &[("a", "1"), ("b", "2"), ("c", "3")]).await;
            let txn = serializable(&node.db);
            txn.put(&key("b"), b"new").unwrap();
            txn.delete(&key("c")).unwrap();
            txn.put(&key("d"), b"4").unwrap();
            assert_eq!(
                get(&txn, "b", Locking::NONE).await.unwrap().as_deref(),
                Some("2"),
                "its own statement"
            );
            txn.begin_statement(true);
            assert_eq!(scan(&txn, "a", "z").await.unwrap(), ["a=1", "b=new", "d=4"]);
            let reverse = txn.scan(ScanOptions::backward(span("a", "z")).limit(2));
            assert_eq!(rows(&txn, reverse).await.unwrap(), ["d=4", "b=new"]);
            assert_eq!(get_now(&node.db, "b").await.as_deref(), Some("2"));
            let committed = txn.commit().await.unwrap();
            assert_eq!(txn.commit_timestamp(), Some(committed));
            assert_eq!(scan(&serializable(&node.db), "a", "z").await.unwrap(), ["a=1", "b=new", "d=4"]);
            let past = TxnOptions { as_of: Some(committed.prev()), ..TxnOptions::default() };
            assert_eq!(scan(&node.db.begin(past), "a", "z").await.unwrap(), ["a=1", "b=2", "c=3"]);
        },
    );
}

#[test]
fn a_transaction_over_several_ranges_is_atomic() {
    World::new(2).run(
        |_, _| {},
        async |node: common::Node| {
            for boundary in ["g", "m", "t"] {
                node.db.split_at(&key(boundary)).await.unwrap();
            }
            let txn = serializable(&node.db);
            for name in ["a", "h", "n", "u"] {
                txn.put(&key(name), b"1").unwrap();
            }
            txn.commit().await.unwrap();
            assert_eq!(scan(&serializable(&node.db), "a", "z").await.unwrap(), ["a=1", "h=1", "n=1", "u=1"]);
            let reverse = serializable(&node.db);
            let scan_back = reverse.scan(ScanOptions::backward(span("b", "v")));
            assert_eq!(rows(&reverse, scan_back).await.unwrap(), ["u=1", "n=1", "h=1"]);
            node.env.sleep(Duration::from_secs(1)).await;
            assert_eq!(node.store.metrics().intents, 0, "resolved in the background");
            let ranges = node.db.ranges(&keys::Span::ALL).await.unwrap();
            assert_eq!(ranges.len(), 7);
            assert!(ranges.windows(2).all(|pair| pair[0].span.end == pair[1].span.start));
        },
    );
}

#[test]
fn a_commit_waits_for_one_round_of_consensus_in_one_range_and_in_several() {
    World::new(2).run(
        |_, _| {},
        async |node: common::Node| {
            node.db.split_at(&key("m")).await.unwrap();
            let cost = async |names: &[&str]| {
                let before = node.db.commit_counts();
                let txn = serializable(&node.db);
                for name in names {
                    txn.put(&key(name), b"1").unwrap();
                }
                txn.commit().await.unwrap();
                let after = node.db.commit_counts();
                (after.commits - before.commits, after.rounds - before.rounds)
            };
            assert_eq!(cost(&["a", "b"]).await, (1, 1));
            assert_eq!(cost(&["c", "n"]).await, (1, 1));
        },
    );
}

#[test]
fn concurrent_increments_wait_and_none_is_lost() {
    for isolation in [Isolation::Serializable, Isolation::ReadCommitted] {
        World::new(3).run(
            |_, _| {},
            async move |node: common::Node| {
                put_all(&node.db, &[("counter", "0")]).await;
                let increment = |_| async {
                    let txn = node.db.begin(options(isolation));
                    txn.begin_statement(true);
                    let before = get(&txn, "counter", Locking::NO_KEY_UPDATE).await.unwrap().unwrap();
                    let after = before.parse::<u32>().unwrap() + 1;
                    txn.put(&key("counter"), after.to_string().as_bytes()).unwrap();
                    txn.commit().await.expect("waiting makes restarts needless");
                };
                join_all((0..50).map(increment)).await;
                assert_eq!(get_now(&node.db, "counter").await.as_deref(), Some("50"));
                assert_eq!(node.store.metrics().locks, 0);
            },
        );
    }
}

#[test]
fn a_snapshot_refuses_to_write_over_a_newer_version() {
    World::new(4).run(
        |_, _| {},
        async |node: common::Node| {
            put_all(&node.db, &[("a", "1"), ("b", "1")]).await;
            let txn = node.db.begin(options(Isolation::Snapshot));
            get(&txn, "b", Locking::NONE).await.unwrap();
            put_all(&node.db, &[("a", "2")]).await;
            assert_eq!(
                get(&txn, "a", Locking::NONE).await.unwrap().as_deref(),
                Some("1"),
                "the snapshot stays"
            );
            let error = get(&txn, "a", Locking::NO_KEY_UPDATE).await.unwrap_err();
            assert!(is_restart(&error, RestartReason::WriteTooOld), "{error:?}");
            assert_eq!(txn.can_restart(&error), Some(RestartScope::Transaction));
            txn.restart(&error).await.unwrap();
            assert_eq!(get(&txn, "a", Locking::NO_KEY_UPDATE).await.unwrap().as_deref(), Some("2"));
            txn.put(&key("a"), b"3").unwrap();
            txn.commit().await.unwrap();
            // A blind write is refused as well.
            let blind = node.db.begin(options(Isolation::Snapshot));
            get(&blind, "b", Locking::NONE).await.unwrap();
            put_all(&node.db, &[("a", "4")]).await;
            blind.put(&key("a"), b"5").unwrap();
            assert!(blind.commit().await.unwrap_err().is_restart());
        },
    );
}

#[test]
fn write_skew_is_refused_by_serializable_and_let_through_by_snapshot() {
    for (isolation, expected) in [(Isolation::Serializable, 1), (Isolation::Snapshot, 2)] {
        World::new(5).run(
            |_, _| {},
            async move |node: common::Node| {
                put_all(&node.db, &[("a", "on"), ("b", "on")]).await;
                let (left, right) = (node.db.begin(options(isolation)), node.db.begin(options(isolation)));
                for txn in [&left, &right] {
                    assert_eq!(scan(txn, "a", "z").await.unwrap().len(), 2);
                }
                left.put(&key("a"), b"off").unwrap();
                right.put(&key("b"), b"off").unwrap();
                let outcomes = [left.commit().await, right.commit().await];
                assert_eq!(
                    outcomes.iter().filter(|outcome| outcome.is_ok()).count(),
                    expected,
                    "{isolation:?}"
                );
            },
        );
    }
}

/// Its writes were made before, and commit: what it has read must stand as well.
#[test]
fn who_turns_read_only_after_a_write_is_refused_write_skew_all_the_same() {
    World::new(5).run(
        |_, _| {},
        async move |node: common::Node| {
            put_all(&node.db, &[("a", "on"), ("b", "on")]).await;
            let (left, right) = (serializable(&node.db), serializable(&node.db));
            for (txn, own) in [(&left, "a"), (&right, "b")] {
                txn.put(&key(own), b"off").unwrap();
                txn.set_read_only();
                assert_eq!(scan(txn, "a", "z").await.unwrap().len(), 2);
            }
            let outcomes = [left.commit().await, right.commit().await];
            assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
        },
    );
}

#[test]
fn a_pushed_commit_refreshes_its_reads_and_goes_through() {
    World::new(6).run(
        |_, _| {},
        async |node: common::Node| {
            node.db.split_at(&key("m")).await.unwrap();
            put_all(&node.db, &[("a", "1"), ("z", "1")]).await;
            let txn = serializable(&node.db);
            assert_eq!(get(&txn, "z", Locking::NONE).await.unwrap().as_deref(), Some("1"));
            // A later reader of "a" pushes the write of it.
            assert_eq!(get_now(&node.db, "a").await.as_deref(), Some("1"));
            txn.put(&key("a"), b"2").unwrap();
            let read = txn.read_timestamp();
            assert!(txn.commit().await.unwrap() > read);
            // The same, but what was read has changed in between.
            let txn = serializable(&node.db);
            assert_eq!(get(&txn, "z", Locking::NONE).await.unwrap().as_deref(), Some("1"));
            put_all(&node.db, &[("z", "2")]).await;
            get_now(&node.db, "a").await;
            txn.put(&key("a"), b"3").unwrap();
            let error = txn.commit().await.unwrap_err();
            assert!(is_restart(&error, RestartReason::RefreshFailed), "{error:?}");
            txn.restart(&error).await.unwrap();
            assert_eq!(get(&txn, "z", Locking::NONE).await.unwrap().as_deref(), Some("2"));
            txn.put(&key("a"), b"3").unwrap();
            txn.commit().await.unwrap();
        },
    );
}

#[test]
fn locks_conflict_as_postgresql_says() {
    World::new(7).run(
        |_, _| {},
        async |node: common::Node| {
            put_all(&node.db, &[("a", "1"), ("b", "2"), ("c", "3")]).await;
            let holder = serializable(&node.db);
            get(&holder, "b", Locking::NO_KEY_UPDATE).await.unwrap();
            let other = serializable(&node.db);
            assert!(get(&other, "b", no_wait(LockStrength::KeyShare)).await.unwrap().is_some());
            let error = get(&other, "b", no_wait(LockStrength::Share)).await.unwrap_err();
            assert!(matches!(&error, KvError::LockNotAvailable { holder: by, .. } if *by == holder.id()));
            let skip =
                Locking { strength: LockStrength::Update, wait: WaitPolicy::SkipLocked, absent: false };
            let third = serializable(&node.db);
            let skipping = third.scan(ScanOptions::forward(span("a", "z")).locking(skip));
            assert_eq!(rows(&third, skipping).await.unwrap(), ["a=1", "c=3"]);
            // A plain read never waits for a lock.
            assert_eq!(get_now(&node.db, "a").await.as_deref(), Some("1"));
            let impatient = serializable(&node.db);
            impatient.set_lock_timeout(Some(Duration::from_millis(50)));
            let error = get(&impatient, "a", Locking::UPDATE).await.unwrap_err();
            assert!(matches!(error, KvError::LockTimeout { .. }), "{error:?}");
            third.rollback().await;
            assert!(get(&impatient, "a", Locking::UPDATE).await.unwrap().is_some());
        },
    );
}

/// Who draws a number under a lock finds it taken if the lock was lost: that is no conflict to tell, but a reason to start over.
#[test]
fn a_key_that_is_taken_is_told_only_to_who_still_holds_its_locks() {
    World::new(8).run(
        |_, _| {},
        async |node: common::Node| {
            put_all(&node.db, &[("number", "1")]).await;
            let take = async |txn: &Txn| {
                let mut block = KvBlock::new();
                block.push(&key("order 1"), b"taken");
                txn.insert(&block, InsertCheck::Now).await
            };
            let loser = serializable(&node.db);
            assert!(get(&loser, "number", Locking::NO_KEY_UPDATE).await.unwrap().is_some());
            node.store.restart_leases();
            let winner = serializable(&node.db);
            assert!(get(&winner, "number", Locking::NO_KEY_UPDATE).await.unwrap().is_some());
            winner.put(&key("number"), b"2").unwrap();
            assert!(take(&winner).await.unwrap().is_none());
            winner.commit().await.unwrap();
            let error = take(&loser).await.expect_err("its lock is lost");
            assert!(loser.can_restart(&error).is_some(), "{error:?}");
            loser.rollback().await;
            let third = serializable(&node.db);
            assert!(get(&third, "number", Locking::NO_KEY_UPDATE).await.unwrap().is_some());
            assert!(take(&third).await.unwrap().is_some(), "a conflict for who has seen the newest number");
        },
    );
}

/// How a row is asked for with a lock.
#[derive(Clone, Copy, Debug)]
enum Asked {
    Get,
    MultiGet,
    Scan,
}

async fn ask_locked(txn: &Txn, asked: Asked) -> Result<usize, KvError> {
    match asked {
        Asked::Get => Ok(usize::from(get(txn, "r", Locking::NO_KEY_UPDATE).await?.is_some())),
        Asked::MultiGet => {
            let keys = [key("q"), key("r")].iter().map(|key| &key[..]).collect();
            let found = txn.multi_get(&keys, Locking::NO_KEY_UPDATE).await?;
            Ok(found.iter().filter(|row| row.value.is_some()).count())
        }
        Asked::Scan => {
            let options = ScanOptions::forward(span("q", "s")).locking(Locking::NO_KEY_UPDATE);
            Ok(rows(txn, txn.scan(options)).await?.len())
        }
    }
}

/// A row is deleted while others wait for its lock: who finds it gone does not keep the lock that was handed over.
#[test]
fn a_lock_on_a_row_that_was_deleted_meanwhile_is_given_back() {
    let cases = [Asked::Get, Asked::MultiGet, Asked::Scan].map(|asked| [(asked, false), (asked, true)]);
    for (asked, splits) in cases.into_iter().flatten() {
        for isolation in [Isolation::Serializable, Isolation::ReadCommitted] {
            World::new(16).run(
                |_, _| {},
                async move |node: common::Node| {
                    put_all(&node.db, &[("r", "1")]).await;
                    let deleter = serializable(&node.db);
                    get(&deleter, "r", Locking::UPDATE).await.unwrap();
                    deleter.delete(&key("r")).unwrap();
                    let waiter = node.db.begin(options(isolation));
                    let deletes = async {
                        node.env.sleep(Duration::from_millis(10)).await;
                        if splits {
                            node.db.split_at(&key("r")).await.unwrap();
                        }
                        deleter.commit().await.unwrap();
                    };
                    let asks = async {
                        match ask_locked(&waiter, asked).await {
                            // A scan has read what is now another range before the deletion.
                            Err(error) if splits && error.is_restart() => {
                                waiter.restart(&error).await.unwrap();
                                ask_locked(&waiter, asked).await
                            }
                            found => found,
                        }
                    };
                    let (found, ()) = join(asks, deletes).await;
                    assert_eq!(found.unwrap(), 0, "{asked:?} {isolation:?}");
                    let next = serializable(&node.db);
                    let took = next.get(&key("r"), no_wait(LockStrength::Update)).await;
                    // A scan that was sent a second time does not know where the first one has left a lock.
                    if !(splits && matches!(asked, Asked::Scan)) {
                        assert!(took.is_ok(), "{asked:?} {isolation:?} {splits}: {took:?}");
                        assert_eq!(node.store.metrics().locks, 0, "{asked:?} {isolation:?} {splits}");
                    }
                    waiter.commit().await.unwrap();
                    assert_eq!(node.store.metrics().locks, 0, "{asked:?} {isolation:?} {splits}");
                    assert!(next.get(&key("r"), no_wait(LockStrength::Update)).await.is_ok());
                },
            );
        }
    }
}

#[test]
fn a_lock_on_a_key_without_value_that_was_held_before_is_kept() {
    World::new(17).run(
        |_, _| {},
        async |node: common::Node| {
            for asked in [Asked::Get, Asked::MultiGet, Asked::Scan] {
                let holder = serializable(&node.db);
                assert_eq!(get(&holder, "r", Locking::INSERT).await.unwrap(), None);
                assert_eq!(ask_locked(&holder, asked).await.unwrap(), 0);
                let other = serializable(&node.db);
                let error = other.get(&key("r"), no_wait(LockStrength::Share)).await.unwrap_err();
                assert!(matches!(&error, KvError::LockNotAvailable { holder: by, .. } if *by == holder.id()));
                holder.rollback().await;
                assert_eq!(node.store.metrics().locks, 0, "{asked:?}");
            }
        },
    );
}

#[test]
fn a_deadlock_kills_one_and_lets_the_other_go_on() {
    World::new(8).run(|_, _| {}, async |node: common::Node| {
        node.db.split_at(&key("m")).await.unwrap();
        put_all(&node.db, &[("a", "1"), ("z", "1")]).await;
        let (older, younger) = (serializable(&node.db), serializable(&node.db));
        get(&older, "a", Locking::UPDATE).await.unwrap();
        get(&younger, "z", Locking::UPDATE).await.unwrap();
        let young = async {
            let error = get(&younger, "a", Locking::UPDATE).await.unwrap_err();
            younger.rollback().await;
            error
        };
        let (old, error) = join(get(&older, "z", Locking::UPDATE), young).await;
        assert_eq!(old.unwrap().as_deref(), Some("1"));
        assert!(matches!(&error, KvError::Deadlock { cycle, .. } if cycle.len() == 2 && cycle[0] == younger.id()));
        older.put(&key("a"), b"2").unwrap();
        older.commit().await.unwrap();
    });
}

#[test]
fn inserts_find_conflicts_now_or_at_commit() {
    World::new(9).run(|_, _| {}, async |node: common::Node| {
        put_all(&node.db, &[("b", "there")]).await;
        let block = |names: &[&str]| {
            let mut block = KvBlock::new();
            names.iter().for_each(|name| block.push(&key(name), b"new"));
            block
        };
        let txn = serializable(&node.db);
        let conflict = txn.insert(&block(&["c", "b", "a"]), InsertCheck::Now).await.unwrap().unwrap();
        assert_eq!((conflict.index, &conflict.value[..]), (1, &b"there"[..]));
        let conflict = txn.insert(&block(&["c", "c"]), InsertCheck::AtCommit).await.unwrap().unwrap();
        assert_eq!(conflict.index, 1, "conflicts with itself");
        assert_eq!(txn.insert(&block(&["c", "a"]), InsertCheck::Now).await.unwrap(), None);
        // A concurrent inserter of the same key waits.
        let other = serializable(&node.db);
        let inserting = block(&["a"]);
        let second = other.insert(&inserting, InsertCheck::Now);
        let first = async {
            node.env.sleep(Duration::from_millis(10)).await;
            txn.commit().await.unwrap();
        };
        let (second, ()) = join(second, first).await;
        assert_eq!(second.unwrap().unwrap().value, b"new");
        let late = serializable(&node.db);
        assert_eq!(late.insert(&block(&["b", "e"]), InsertCheck::AtCommit).await.unwrap(), None);
        let error = late.commit().await.unwrap_err();
        assert!(matches!(&error, KvError::ConditionFailed { key: at, value } if *at == key("b") && value == b"there"));
        assert_eq!(get_now(&node.db, "e").await, None);
        other.rollback().await;
        // A conflict leaves alone what the same statement has deleted.
        let both = serializable(&node.db);
        get(&both, "b", Locking::UPDATE).await.unwrap();
        both.delete(&key("b")).unwrap();
        let conflict = both.insert(&block(&["b", "a"]), InsertCheck::Now).await.unwrap().unwrap();
        assert_eq!(conflict.index, 1);
        both.begin_statement(true);
        assert_eq!(get(&both, "b", Locking::NONE).await.unwrap(), None);
        assert_eq!(both.insert(&block(&["b"]), InsertCheck::Now).await.unwrap(), None);
        both.rollback().await;
        // Deleted and inserted again by one transaction.
        let again = serializable(&node.db);
        get(&again, "b", Locking::UPDATE).await.unwrap();
        again.delete(&key("b")).unwrap();
        again.begin_statement(true);
        assert_eq!(again.insert(&block(&["b"]), InsertCheck::Now).await.unwrap(), None);
        again.commit().await.unwrap();
        assert_eq!(get_now(&node.db, "b").await.as_deref(), Some("new"));
    });
}

#[test]
fn savepoints_undo_buffered_and_flushed_writes() {
    for flushes in [false, true] {
        World::new(10).run(
            |_, db| db.buffer_bytes_max = if flushes { 1 } else { 1 << 20 },
            async |node: common::Node| {
                node.db.split_at(&key("m")).await.unwrap();
                put_all(&node.db, &[("a", "0"), ("z", "0")]).await;
                let txn = serializable(&node.db);
                let write = async |name: &str, value: &str| {
                    txn.put(&key(name), value.as_bytes()).unwrap();
                    txn.flow().await.unwrap();
                };
                write("a", "1").await;
                write("b", "1").await;
                let savepoint = txn.savepoint();
                txn.begin_statement(true);
                write("a", "2").await;
                write("c", "2").await;
                write("z", "2").await;
                assert_eq!(scan(&txn, "a", "zz").await.unwrap(), ["a=1", "b=1", "z=0"]);
                txn.begin_statement(true);
                assert_eq!(scan(&txn, "a", "zz").await.unwrap(), ["a=2", "b=1", "c=2", "z=2"]);
                txn.rollback_to(savepoint).await.unwrap();
                txn.begin_statement(true);
                assert_eq!(scan(&txn, "a", "zz").await.unwrap(), ["a=1", "b=1", "z=0"]);
                write("d", "3").await;
                txn.commit().await.unwrap();
                let now = serializable(&node.db);
                assert_eq!(scan(&now, "a", "zz").await.unwrap(), ["a=1", "b=1", "d=3", "z=0"]);
                node.env.sleep(Duration::from_secs(1)).await;
                assert_eq!(node.store.metrics().intents, 0);
            },
        );
    }
}

#[test]
fn readers_pass_the_intents_of_a_long_transaction() {
    World::new(11).run(
        |_, db| db.buffer_bytes_max = 1,
        async |node: common::Node| {
            put_all(&node.db, &[("a", "0")]).await;
            let writer = serializable(&node.db);
            writer.put(&key("a"), b"1").unwrap();
            writer.flow().await.unwrap();
            assert_eq!(node.store.metrics().intents, 1);
            let before = node.env.monotonic();
            assert_eq!(get_now(&node.db, "a").await.as_deref(), Some("0"));
            assert!(
                node.env.monotonic() - before < Duration::from_millis(500),
                "it was pushed, not waited for"
            );
            // Long enough for heartbeats to matter.
            node.env.sleep(Duration::from_secs(20)).await;
            assert_eq!(get_now(&node.db, "a").await.as_deref(), Some("0"));
            let read = writer.read_timestamp();
            assert!(writer.commit().await.unwrap() > read, "above the readers");
            assert_eq!(get_now(&node.db, "a").await.as_deref(), Some("1"));
        },
    );
}

/// A client on another machine that writes its transactions' writes early.
fn client_on(machine: &Arc<SimEnv>, node: &common::Node) -> Db {
    let mut config = DbConfig::new(keys::NodeId(1));
    config.buffer_bytes_max = 1;
    let (dialer, first) = (node.store.dialer(None), node.store.first_range());
    Db::new(machine.clone(), node.clock.clone(), dialer, first, config)
}

#[test]
fn what_a_vanished_coordinator_has_left_is_cleared_away() {
    let world = World::new(12);
    let elsewhere = world.simulation.machine();
    world.run(
        |_, _| {},
        async move |node: common::Node| {
            put_all(&node.db, &[("a", "0"), ("b", "0")]).await;
            let vanished = serializable(&client_on(&elsewhere, &node));
            get(&vanished, "b", Locking::UPDATE).await.unwrap();
            vanished.put(&key("a"), b"1").unwrap();
            vanished.flow().await.unwrap();
            node.env.sleep(Duration::from_secs(10)).await;
            let probe = serializable(&node.db);
            assert!(
                get(&probe, "b", no_wait(LockStrength::Update)).await.is_err(),
                "kept alive by its heartbeats"
            );
            elsewhere.crash();
            let locker = serializable(&node.db);
            assert_eq!(get(&locker, "b", Locking::UPDATE).await.unwrap().as_deref(), Some("0"));
            assert_eq!(get(&locker, "a", Locking::UPDATE).await.unwrap().as_deref(), Some("0"));
            locker.put(&key("a"), b"2").unwrap();
            locker.commit().await.unwrap();
            assert_eq!(get_now(&node.db, "a").await.as_deref(), Some("2"));
        },
    );
}

/// Who lives and who is dead does not depend on wall clocks: they may stand still, and be set back or forward.
#[test]
fn the_dead_are_told_from_the_living_whatever_the_wall_clock_does() {
    let weathers: [fn(&env::SimEnv); 3] = [
        |machine| machine.set_wall_drift(-1_000_000),
        |machine| machine.jump_wall(-3_600_000_000_000),
        |machine| machine.jump_wall(3_600_000_000_000),
    ];
    for (number, weather) in weathers.into_iter().enumerate() {
        let world = World::new(18);
        let (machine, elsewhere) = (world.machine.clone(), world.simulation.machine());
        world.run(
            |_, _| {},
            async move |node: common::Node| {
                put_all(&node.db, &[("a", "0"), ("b", "0")]).await;
                let vanished = serializable(&client_on(&elsewhere, &node));
                get(&vanished, "b", Locking::UPDATE).await.unwrap();
                vanished.put(&key("a"), b"1").unwrap();
                vanished.flow().await.unwrap();
                weather(&machine);
                let began = node.env.monotonic();
                for _ in 0..3 {
                    let impatient = serializable(&node.db);
                    impatient.set_lock_timeout(Some(Duration::from_secs(4)));
                    let error = get(&impatient, "b", Locking::UPDATE).await.unwrap_err();
                    assert!(matches!(error, KvError::LockTimeout { .. }), "weather {number}: {error:?}");
                }
                elsewhere.crash();
                let locker = serializable(&node.db);
                locker.set_lock_timeout(Some(Duration::from_secs(8)));
                assert_eq!(get(&locker, "b", Locking::UPDATE).await.unwrap().as_deref(), Some("0"));
                assert_eq!(get(&locker, "a", Locking::UPDATE).await.unwrap().as_deref(), Some("0"));
                locker.commit().await.unwrap();
                assert!(node.env.monotonic() - began < Duration::from_secs(30), "weather {number}");
            },
        );
    }
}

#[test]
fn ranges_split_as_they_grow() {
    World::new(13).run(
        |store, _| store.range_bytes_max = 1 << 10,
        async |node: common::Node| {
            for batch in 0..20 {
                let txn = serializable(&node.db);
                for row in 0..20 {
                    txn.put(&key(&format!("{:04}", batch * 20 + row)), &[b'x'; 100]).unwrap();
                }
                txn.commit().await.unwrap();
            }
            node.env.sleep(Duration::from_secs(5)).await;
            let ranges = node.db.ranges(&keys::Span::ALL).await.unwrap();
            assert!(ranges.len() > 12, "{} ranges", ranges.len());
            let txn = serializable(&node.db);
            assert_eq!(scan(&txn, "0", "9").await.unwrap().len(), 400);
            // The addressing keyspace has grown too, and splits like any other.
            let meta2 = keys::addressing::META2_SPAN;
            let addressing = ranges.iter().filter(|range| range.span.overlaps(&meta2)).count();
            assert!(addressing > 1, "{addressing} addressing ranges");
        },
    );
}

#[test]
fn old_versions_are_collected() {
    let configure = |store: &mut kvserver::StoreConfig, _: &mut kvclient::DbConfig| {
        store.gc_ttl = Duration::from_secs(10);
        store.sweep_interval = Duration::from_secs(1);
    };
    World::new(14).run(configure, async |node: common::Node| {
        for number in 0..10 {
            put_all(&node.db, &[("a", &number.to_string()), ("b", "1")]).await;
        }
        let txn = serializable(&node.db);
        txn.delete(&key("b")).unwrap();
        let deleted = txn.commit().await.unwrap();
        let before = node.store.metrics().size_bytes;
        node.env.sleep(Duration::from_secs(30)).await;
        assert!(node.store.metrics().size_bytes < before);
        assert_eq!(scan(&serializable(&node.db), "a", "z").await.unwrap(), ["a=9"]);
        let past = TxnOptions { as_of: Some(deleted), ..TxnOptions::default() };
        let error = scan(&node.db.begin(past), "a", "z").await.unwrap_err();
        assert!(matches!(error, KvError::BelowGcThreshold { .. }), "{error:?}");
    });
}

#[test]
fn a_cleared_span_is_gone_in_all_its_ranges_and_older_reads_are_refused() {
    World::new(16).run(
        |_, _| {},
        async |node: common::Node| {
            put_all(&node.db, &[("a", "1"), ("b", "1"), ("c", "1"), ("d", "1")]).await;
            put_all(&node.db, &[("b", "2")]).await;
            let txn = serializable(&node.db);
            txn.delete(&key("c")).unwrap();
            let written = txn.commit().await.unwrap();
            node.db.split_at(&key("c")).await.unwrap();
            node.db.clear_span(&span("b", "d"), written).await.unwrap();
            assert_eq!(scan(&serializable(&node.db), "a", "z").await.unwrap(), ["a=1", "d=1"]);
            let before =
                TxnOptions { as_of: Some(Timestamp::new(written.wall - 1, 0)), ..TxnOptions::default() };
            let error = scan(&node.db.begin(before), "b", "c").await.unwrap_err();
            assert!(matches!(error, KvError::BelowGcThreshold { .. }), "{error:?}");
            // Nothing is left of what was there, and it can be written again.
            put_all(&node.db, &[("b", "3")]).await;
            assert_eq!(get_now(&node.db, "b").await.as_deref(), Some("3"));
            node.db.clear_span(&span("a", "z"), node.db.now()).await.unwrap();
            node.db.clear_span(&span("a", "z"), node.db.now()).await.unwrap();
            assert_eq!(scan(&serializable(&node.db), "a", "z").await.unwrap(), [""; 0]);
        },
    );
}

#[test]
fn read_committed_restarts_statements_and_keeps_its_locks() {
    World::new(15).run(
        |_, _| {},
        async |node: common::Node| {
            put_all(&node.db, &[("a", "1"), ("b", "1")]).await;
            let txn = node.db.begin(options(Isolation::ReadCommitted));
            txn.begin_statement(true);
            assert_eq!(get(&txn, "a", Locking::NONE).await.unwrap().as_deref(), Some("1"));
            put_all(&node.db, &[("a", "2")]).await;
            assert_eq!(get(&txn, "a", Locking::NONE).await.unwrap().as_deref(), Some("1"), "one statement");
            // A locking read takes the newest version, whatever the statement's snapshot.
            assert_eq!(get(&txn, "a", Locking::NO_KEY_UPDATE).await.unwrap().as_deref(), Some("2"));
            txn.begin_statement(true);
            assert_eq!(get(&txn, "a", Locking::NONE).await.unwrap().as_deref(), Some("2"));
            txn.put(&key("a"), b"3").unwrap();
            let error =
                KvError::Restart { reason: RestartReason::WriteTooOld, timestamp: node.db.now(), key: None };
            assert_eq!(txn.can_restart(&error), Some(RestartScope::Statement));
            txn.restart_statement(&error).await.unwrap();
            assert_eq!(
                get(&txn, "a", Locking::NONE).await.unwrap().as_deref(),
                Some("2"),
                "the write is undone"
            );
            let other = serializable(&node.db);
            assert!(get(&other, "a", no_wait(LockStrength::Update)).await.is_err(), "the lock is not");
            txn.put(&key("a"), b"4").unwrap();
            txn.commit().await.unwrap();
            assert_eq!(get_now(&node.db, "a").await.as_deref(), Some("4"));
        },
    );
}
