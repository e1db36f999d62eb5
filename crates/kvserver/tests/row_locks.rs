//! Locks of single keys: how they grow, whom they are passed over for, and when they are given back before the end.

mod common;

use std::time::Duration;

use common::{World, get, get_now, key, options, put_all, serializable};
use kvclient::{Isolation, KeyBlock, KvError, LockStrength, Locking, RestartReason, Txn, WaitPolicy};

const NO_WAIT_SHARE: Locking =
    Locking { strength: LockStrength::KeyShare, wait: WaitPolicy::NoWait, absent: false };
const NO_WAIT: Locking = Locking { strength: LockStrength::Update, wait: WaitPolicy::NoWait, absent: false };
const SKIP: Locking = Locking { strength: LockStrength::Update, wait: WaitPolicy::SkipLocked, absent: false };

/// Whether another transaction can have a lock of this kind on a key now.
async fn is_free(node: &common::Node, name: &str, locking: Locking) -> bool {
    let other = node.db.begin(options(Isolation::ReadCommitted));
    let outcome = get(&other, name, locking).await;
    other.rollback().await;
    match outcome {
        Ok(_) => true,
        Err(KvError::LockNotAvailable { .. }) => false,
        Err(error) => panic!("{error}"),
    }
}

async fn update(txn: &Txn, name: &str, value: &str) {
    get(txn, name, Locking::NO_KEY_UPDATE).await.unwrap();
    txn.put(&key(name), value.as_bytes()).unwrap();
    txn.begin_statement(true);
}

/// What a transaction has written it knows by itself: that must not keep it from asking for the stronger lock.
#[test]
fn the_lock_on_an_own_write_grows() {
    for isolation in [Isolation::ReadCommitted, Isolation::Snapshot, Isolation::Serializable] {
        World::new(1).run(
            |_, _| {},
            async move |node: common::Node| {
                put_all(&node.db, &[("a", "0"), ("b", "0"), ("c", "0")]).await;
                let txn = node.db.begin(options(isolation));
                for name in ["a", "b", "c"] {
                    update(&txn, name, "1").await;
                    assert!(is_free(&node, name, NO_WAIT_SHARE).await);
                }
                assert_eq!(get(&txn, "a", Locking::UPDATE).await.unwrap().as_deref(), Some("1"));
                assert!(!is_free(&node, "a", NO_WAIT_SHARE).await);
                let keys: KeyBlock = [&key("c")[..], &key("b")[..]].into_iter().collect();
                let rows = txn.multi_get(&keys, Locking::UPDATE).await.unwrap();
                assert_eq!((rows.value(0), rows.value(1)), (Some(&b"1"[..]), Some(&b"1"[..])));
                assert!(!is_free(&node, "b", NO_WAIT_SHARE).await);
                assert!(!is_free(&node, "c", NO_WAIT_SHARE).await);
                txn.delete(&key("a")).unwrap();
                txn.begin_statement(true);
                assert_eq!(get(&txn, "a", Locking::UPDATE).await.unwrap(), None);
                txn.commit().await.unwrap();
                assert!(is_free(&node, "b", NO_WAIT).await);
            },
        );
    }
}

#[test]
fn a_key_share_of_another_keeps_the_lock_on_an_own_write_from_growing() {
    World::new(2).run(
        |_, _| {},
        async |node: common::Node| {
            put_all(&node.db, &[("a", "0"), ("b", "0")]).await;
            let txn = node.db.begin(options(Isolation::ReadCommitted));
            update(&txn, "a", "1").await;
            let sharer = node.db.begin(options(Isolation::ReadCommitted));
            get(&sharer, "a", Locking::KEY_SHARE).await.unwrap();
            assert!(matches!(get(&txn, "a", NO_WAIT).await, Err(KvError::LockNotAvailable { .. })));
            assert_eq!(get(&txn, "a", SKIP).await.unwrap(), None);
            let keys: KeyBlock = [&key("a")[..], &key("b")[..]].into_iter().collect();
            let rows = txn.multi_get(&keys, SKIP).await.unwrap();
            assert_eq!(rows.len(), 1);
            assert_eq!(rows.key(0), &key("b")[..]);
            let (grown, ()) = futures::join!(get(&txn, "a", Locking::UPDATE), sharer.rollback());
            assert_eq!(grown.unwrap().as_deref(), Some("1"));
            txn.commit().await.unwrap();
        },
    );
}

#[test]
fn a_get_passes_over_what_is_locked() {
    World::new(3).run(
        |_, _| {},
        async |node: common::Node| {
            put_all(&node.db, &[("a", "0"), ("b", "0")]).await;
            let holder = serializable(&node.db);
            get(&holder, "a", Locking::UPDATE).await.unwrap();
            let txn = serializable(&node.db);
            assert_eq!(get(&txn, "a", SKIP).await.unwrap(), None);
            assert_eq!(get(&txn, "b", SKIP).await.unwrap().as_deref(), Some("0"));
            holder.rollback().await;
            assert_eq!(get(&txn, "a", SKIP).await.unwrap().as_deref(), Some("0"));
        },
    );
}

#[test]
fn a_rollback_to_a_savepoint_releases_what_was_locked_since() {
    for isolation in [Isolation::ReadCommitted, Isolation::Snapshot, Isolation::Serializable] {
        World::new(4).run(
            |_, _| {},
            async move |node: common::Node| {
                node.db.split_at(&key("c")).await.unwrap();
                put_all(&node.db, &[("a", "0"), ("b", "0"), ("c", "0"), ("d", "0")]).await;
                let txn = node.db.begin(options(isolation));
                get(&txn, "a", Locking::UPDATE).await.unwrap();
                let savepoint = txn.savepoint();
                get(&txn, "a", Locking::UPDATE).await.unwrap();
                get(&txn, "b", Locking::UPDATE).await.unwrap();
                update(&txn, "c", "1").await;
                let inner = txn.savepoint();
                update(&txn, "c", "2").await;
                get(&txn, "d", Locking::UPDATE).await.unwrap();
                let free = async || {
                    let mut free = String::new();
                    for name in ["a", "b", "c", "d"] {
                        if is_free(&node, name, NO_WAIT).await {
                            free.push_str(name);
                        }
                    }
                    free
                };
                assert_eq!(free().await, "");
                txn.rollback_to(inner).await.unwrap();
                assert_eq!(free().await, "d");
                txn.rollback_to(savepoint).await.unwrap();
                assert_eq!(free().await, "bcd");
                txn.begin_statement(true);
                get(&txn, "c", Locking::UPDATE).await.unwrap();
                assert_eq!(free().await, "bd");
                txn.rollback_to(savepoint).await.unwrap();
                txn.begin_statement(true);
                update(&txn, "a", "3").await;
                assert_eq!(free().await, "bcd");
                txn.commit().await.unwrap();
                assert_eq!(free().await, "abcd");
            },
        );
    }
}

/// The client has seen what was read under a lock, whatever becomes of the lock.
#[test]
fn what_was_read_under_a_released_lock_is_still_refreshed() {
    World::new(5).run(
        |_, _| {},
        async |node: common::Node| {
            put_all(&node.db, &[("a", "0"), ("b", "0")]).await;
            let txn = serializable(&node.db);
            let savepoint = txn.savepoint();
            assert_eq!(get(&txn, "a", Locking::UPDATE).await.unwrap().as_deref(), Some("0"));
            txn.rollback_to(savepoint).await.unwrap();
            txn.begin_statement(true);
            let other = serializable(&node.db);
            assert_eq!(get(&other, "b", Locking::NONE).await.unwrap().as_deref(), Some("0"));
            update(&other, "a", "1").await;
            other.commit().await.unwrap();
            // A write of `b` goes above the other's read, which came with its write of `a`: neither can be before the other.
            update(&txn, "b", "1").await;
            let error = txn.commit().await.unwrap_err();
            let RestartReason::RefreshFailed = restart_reason(&error) else { panic!("{error:?}") };
        },
    );
}

fn restart_reason(error: &KvError) -> RestartReason {
    match error {
        KvError::Restart { reason, .. } => *reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn doing_a_statement_over_keeps_its_locks() {
    World::new(6).run(
        |_, _| {},
        async |node: common::Node| {
            put_all(&node.db, &[("a", "0")]).await;
            let txn = node.db.begin(options(Isolation::ReadCommitted));
            txn.savepoint();
            txn.begin_statement(true);
            get(&txn, "a", Locking::UPDATE).await.unwrap();
            let (reason, timestamp) = (RestartReason::WriteTooOld, txn.read_timestamp());
            txn.restart_statement(&KvError::Restart { reason, timestamp, key: None }).await.unwrap();
            assert!(!is_free(&node, "a", NO_WAIT).await);
            txn.abandon();
            txn.abandon();
            let next = serializable(&node.db);
            assert!(get(&next, "a", Locking::UPDATE).await.unwrap().is_some());
            assert!(matches!(txn.commit().await, Err(KvError::Invalid { .. })));
        },
    );
}

/// A transaction that lasts this long has a record.
const LONG_ENOUGH: Duration = Duration::from_millis(2_500);

/// Moves an intent above now, and so where its transaction commits.
async fn push(node: &common::Node, name: &str) {
    assert_eq!(get_now(&node.db, name).await.as_deref(), Some("0"));
}

/// A flush tells where its first and its last write are. A lock in between, on a key that is not written, is relied on like any other.
#[test]
fn a_lock_between_flushed_writes_is_missed_when_it_was_lost() {
    for isolation in [Isolation::ReadCommitted, Isolation::Snapshot, Isolation::Serializable] {
        World::new(3).run(
            |_, db| db.buffer_bytes_max = 1,
            async move |node: common::Node| {
                put_all(&node.db, &[("a", "0"), ("k", "0"), ("z", "0")]).await;
                let txn = node.db.begin(options(isolation));
                for name in ["a", "z"] {
                    update(&txn, name, "1").await;
                }
                txn.flow().await.unwrap();
                assert_eq!(get(&txn, "k", Locking::NO_KEY_UPDATE).await.unwrap().as_deref(), Some("0"));
                // Until there is a record, by which the transaction outlives its lock.
                node.env.sleep(LONG_ENOUGH).await;
                node.store.restart_leases();
                let other = serializable(&node.db);
                other.put(&key("k"), b"1").unwrap();
                other.commit().await.unwrap();
                push(&node, "a").await;
                let outcome = txn.commit().await;
                let is_lost =
                    matches!(outcome, Err(KvError::Restart { reason: RestartReason::LockLost, .. }));
                assert!(is_lost, "{isolation:?}: {outcome:?}");
            },
        );
    }
}

/// What was flushed under a lock needs it no more, until it is taken back.
#[test]
fn a_lost_lock_on_a_flushed_write_is_missed_once_the_write_is_undone() {
    for undoes in [false, true] {
        World::new(4).run(
            |_, db| db.buffer_bytes_max = 1,
            async move |node: common::Node| {
                put_all(&node.db, &[("a", "0"), ("k", "0")]).await;
                let txn = serializable(&node.db);
                update(&txn, "a", "1").await;
                get(&txn, "k", Locking::NO_KEY_UPDATE).await.unwrap();
                let savepoint = txn.savepoint();
                txn.put(&key("k"), b"2").unwrap();
                txn.flow().await.unwrap();
                node.env.sleep(LONG_ENOUGH).await;
                node.store.restart_leases();
                if undoes {
                    txn.rollback_to(savepoint).await.unwrap();
                    let other = serializable(&node.db);
                    other.put(&key("k"), b"1").unwrap();
                    other.commit().await.unwrap();
                }
                push(&node, "a").await;
                let outcome = txn.commit().await;
                assert_eq!(outcome.is_err(), undoes, "{outcome:?}");
            },
        );
    }
}

/// Of a key that is held for the server itself: neither savepoints nor the access mode have to do with it.
#[test]
fn a_held_key_stays_held_and_is_written_by_the_commit() {
    for isolation in [Isolation::ReadCommitted, Isolation::Snapshot, Isolation::Serializable] {
        World::new(5).run(
            |_, _| {},
            async move |node: common::Node| {
                let txn = node.db.begin(options(isolation));
                txn.set_read_only();
                let savepoint = txn.savepoint();
                assert_eq!(txn.hold(&key("h")).await.unwrap(), None);
                txn.rollback_to(savepoint).await.unwrap();
                assert!(!is_free(&node, "h", Locking { absent: true, ..NO_WAIT }).await);
                txn.put_held(&key("h"), b"done").unwrap();
                assert!(matches!(txn.put(&key("h"), b"x"), Err(KvError::Invalid { .. })));
                txn.commit().await.unwrap();
                assert_eq!(get_now(&node.db, "h").await.as_deref(), Some("done"));

                // The lock is lost, and somebody else writes there first.
                let (late, early) = (node.db.begin(options(isolation)), serializable(&node.db));
                assert_eq!(late.hold(&key("i")).await.unwrap(), None);
                node.store.restart_leases();
                assert_eq!(early.hold(&key("i")).await.unwrap(), None);
                early.put_held(&key("i"), b"first").unwrap();
                early.commit().await.unwrap();
                late.put_held(&key("i"), b"second").unwrap();
                let error = late.commit().await.expect_err("it is too late");
                assert!(
                    matches!(&error, KvError::Restart { key: Some(at), .. } if at[..] == *key("i")),
                    "{isolation:?}: {error:?}"
                );
                assert_eq!(get_now(&node.db, "i").await.as_deref(), Some("first"));
            },
        );
    }
}
