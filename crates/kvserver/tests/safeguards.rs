//! What keeps transactions right when memory is lost, answers are lost, or garbage is collected under them.

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use common::{World, get, get_now, key, options, put_all, scan, serializable};
use env::Env;
use futures::future::{BoxFuture, join};
use kvapi::{BatchRequest, BatchResponse, NodeDialer, NodeId, Request, Sender, Unreachable};
use kvclient::{Db, DbConfig, Isolation, KvError, Locking, RestartReason};
use parking_lot::Mutex;
use stdx::Prng;

fn is_restart(error: &KvError, expected: RestartReason) -> bool {
    matches!(error, KvError::Restart { reason, .. } if *reason == expected)
}

/// Random writes, savepoints, flushes and reads of one transaction, against a model that copies everything.
#[test]
fn savepoints_and_flushes_agree_with_a_model() {
    for seed in 0..200 {
        World::new(seed).run(
            |_, db| db.buffer_bytes_max = 1,
            async move |node: common::Node| {
                let mut prng = Prng::new(seed);
                let names = ["a", "b", "c"];
                put_all(&node.db, &[("a", "0"), ("b", "0")]).await;
                let mut model: BTreeMap<&str, String> =
                    BTreeMap::from([("a", "0".to_string()), ("b", "0".to_string())]);
                let txn = serializable(&node.db);
                let mut savepoints = Vec::new();
                let mut done = Vec::new();
                for step in 0..30 {
                    let name = names[prng.index(names.len())];
                    let what = prng.below(10);
                    done.push(format!("{what} {name}"));
                    match what {
                        0..4 => {
                            txn.put(&key(name), step.to_string().as_bytes()).unwrap();
                            model.insert(name, step.to_string());
                        }
                        4 => {
                            txn.delete(&key(name)).unwrap();
                            model.remove(name);
                        }
                        5 => txn.flow().await.unwrap(),
                        6 | 7 => savepoints.push((txn.savepoint(), model.clone())),
                        _ if savepoints.is_empty() => {}
                        _ => {
                            savepoints.truncate(prng.index(savepoints.len()) + 1);
                            let (savepoint, before) = savepoints.last().expect("not empty");
                            match txn.rollback_to(*savepoint).await {
                                Ok(()) => model = before.clone(),
                                // It may say that it cannot.
                                Err(error) => {
                                    assert!(
                                        is_restart(&error, RestartReason::Aborted),
                                        "seed {seed}: {error}"
                                    );
                                    return;
                                }
                            }
                        }
                    }
                    txn.begin_statement(true);
                    let expected: Vec<String> =
                        model.iter().map(|(key, value)| format!("{key}={value}")).collect();
                    assert_eq!(
                        scan(&txn, "a", "z").await.unwrap(),
                        expected,
                        "seed {seed}, step {step}: {done:?}"
                    );
                }
                txn.commit().await.unwrap();
                let expected: Vec<String> =
                    model.iter().map(|(key, value)| format!("{key}={value}")).collect();
                assert_eq!(scan(&serializable(&node.db), "a", "z").await.unwrap(), expected, "seed {seed}");
            },
        );
    }
}

#[test]
fn what_a_locking_read_found_absent_does_not_move_along_with_a_later_range() {
    World::new(1).run(
        |_, _| {},
        async |node: common::Node| {
            node.db.split_at(&key("m")).await.unwrap();
            put_all(&node.db, &[("z", "0")]).await;
            let first = node.db.begin(options(Isolation::ReadCommitted));
            get(&first, "z", Locking::UPDATE).await.unwrap();
            let reader = serializable(&node.db);
            let keys: kvclient::KeyBlock = [&key("a")[..], &key("z")].into_iter().collect();
            let read = reader.multi_get(&keys, Locking::NO_KEY_UPDATE);
            let meanwhile = async {
                node.env.sleep(Duration::from_millis(50)).await;
                // The reader has found `a` absent and waits for `z`.
                put_all(&node.db, &[("a", "1")]).await;
                first.begin_statement(true);
                assert_eq!(get(&first, "a", Locking::NONE).await.unwrap().as_deref(), Some("1"));
                first.put(&key("z"), b"after a").unwrap();
                first.commit().await.unwrap();
            };
            let (rows, ()) = join(read, meanwhile).await;
            let saw_old_a = rows.as_ref().is_ok_and(|rows| rows.value(0).is_none());
            let saw_new_z = rows.as_ref().is_ok_and(|rows| rows.value(1) == Some(b"after a"));
            reader.put(&key("result"), b"x").unwrap();
            let committed = reader.commit().await.is_ok();
            assert!(!(committed && saw_old_a && saw_new_z), "it has read two different moments");
        },
    );
}

#[test]
fn a_deletion_that_was_collected_still_counts_as_a_change() {
    let configure = |store: &mut kvserver::StoreConfig, _: &mut DbConfig| {
        store.gc_ttl = Duration::from_secs(1);
        store.sweep_interval = Duration::from_millis(200);
    };
    World::new(2).run(configure, async |node: common::Node| {
        put_all(&node.db, &[("a", "1"), ("b", "1"), ("c", "1")]).await;
        let refreshes = serializable(&node.db);
        get(&refreshes, "a", Locking::NONE).await.unwrap();
        let snapshot = node.db.begin(options(Isolation::Snapshot));
        get(&snapshot, "b", Locking::NONE).await.unwrap();
        let claims = serializable(&node.db);
        get(&claims, "c", Locking::UPDATE).await.unwrap();
        // The lock is lost; the row goes.
        node.store.restart_leases();
        let deletes = serializable(&node.db);
        for name in ["a", "b", "c"] {
            deletes.delete(&key(name)).unwrap();
        }
        deletes.commit().await.unwrap();
        node.env.sleep(Duration::from_secs(5)).await;
        refreshes.put(&key("x"), b"a was there").unwrap();
        let error = refreshes.commit().await.expect_err("a has changed");
        assert!(error.is_restart(), "{error:?}");
        snapshot.put(&key("b"), b"2").unwrap();
        let error = snapshot.commit().await.expect_err("b has changed");
        assert!(error.is_restart(), "{error:?}");
        // Its heartbeat may have told it already.
        let ended = match claims.put(&key("y"), b"c was there") {
            Ok(()) => claims.commit().await.map(drop),
            Err(error) => Err(error),
        };
        assert!(ended.expect_err("c has changed").is_restart());
        assert_eq!(scan(&serializable(&node.db), "a", "z").await.unwrap(), Vec::<String>::new());
    });
}

#[test]
fn a_lock_that_was_lost_and_taken_again_does_not_stand_for_the_time_in_between() {
    for writes in [false, true] {
        World::new(3).run(
            |_, _| {},
            async move |node: common::Node| {
                put_all(&node.db, &[("a", "1"), ("b", "1")]).await;
                let txn = serializable(&node.db);
                assert_eq!(get(&txn, "a", Locking::UPDATE).await.unwrap().as_deref(), Some("1"));
                node.store.restart_leases();
                put_all(&node.db, &[("a", "2"), ("b", "2")]).await;
                let again = get(&txn, "a", Locking::UPDATE).await;
                if writes && again.is_ok() {
                    txn.put(&key("c"), b"a was 1").unwrap();
                }
                let ended = match again {
                    Ok(_) => txn.commit().await.map(drop),
                    Err(error) => Err(error),
                };
                let error = ended.expect_err("a was 1 and then 2");
                assert!(error.is_restart(), "{error:?}");
            },
        );
    }
}

#[test]
fn locks_taken_from_a_transaction_that_seemed_dead_are_not_given_again() {
    World::new(4).run(
        |_, _| {},
        async |node: common::Node| {
            put_all(&node.db, &[("a", "1")]).await;
            // Somebody aborts it; the transaction itself does not know and goes on.
            let silent = serializable(&node.db);
            get(&silent, "a", Locking::UPDATE).await.unwrap();
            let mut push = BatchRequest::new(
                Default::default(),
                kvapi::PushTxnRequest {
                    pushee: kvapi::TxnMeta {
                        id: silent.id(),
                        anchor: Some(key("a")),
                        epoch: 0,
                        sequence: 0,
                        isolation: Isolation::Serializable,
                        priority: kvapi::Priority::NORMAL,
                        start: silent.read_timestamp(),
                        write_timestamp: silent.read_timestamp(),
                    },
                    pusher: None,
                    pusher_priority: kvapi::Priority::NORMAL,
                    kind: kvapi::PushKind::Abort,
                    push_to: kvapi::Timestamp::ZERO,
                    force: true,
                },
            );
            node.db.send(&key("a"), &mut push).await.unwrap();
            let other = serializable(&node.db);
            get(&other, "a", Locking::UPDATE).await.unwrap();
            other.put(&key("a"), b"2").unwrap();
            other.commit().await.unwrap();
            let error = get(&silent, "a", Locking::UPDATE).await.expect_err("it was aborted");
            assert!(is_restart(&error, RestartReason::Aborted), "{error:?}");
        },
    );
}

#[test]
fn what_a_crashed_node_has_left_is_cleared_at_once() {
    let mut world = World::new(5);
    let configure = |_: &mut kvserver::StoreConfig, db: &mut DbConfig| db.buffer_bytes_max = 1;
    let node = world.start(configure);
    world.simulation.block_on(Duration::from_secs(60), node.raft.settled()).expect("every range leads");
    let work = async move {
        put_all(&node.db, &[("a", "0")]).await;
        let txn = serializable(&node.db);
        txn.put(&key("a"), b"1").unwrap();
        txn.flow().await.unwrap();
        // Long enough for a record.
        node.env.sleep(Duration::from_millis(2500)).await;
        std::future::pending::<()>().await;
        drop(txn);
    };
    drop(world.machine.clone().spawn("left", Box::pin(work)));
    world.simulation.run_for(Duration::from_secs(2));
    world.machine.crash();
    let (log, state) = world.disk.pending_counts();
    world.disk.crash(log, state);
    world.machine = world.machine.restart();
    world.run(configure, async |node: common::Node| {
        assert_eq!(node.store.metrics().intents, 1);
        let before = node.env.monotonic();
        let txn = serializable(&node.db);
        assert_eq!(get(&txn, "a", Locking::UPDATE).await.unwrap().as_deref(), Some("0"));
        txn.put(&key("a"), b"2").unwrap();
        txn.commit().await.unwrap();
        let took = node.env.monotonic() - before;
        assert!(took < Duration::from_millis(200), "{took:?}");
    });
}

/// A way to the store on which answers get lost.
struct Lossy {
    store: Arc<dyn Sender>,
    /// Aborts do not get through.
    aborts_get_lost: bool,
}

impl Sender for Lossy {
    fn send<'a>(&'a self, batch: &'a BatchRequest) -> BoxFuture<'a, Result<BatchResponse, KvError>> {
        Box::pin(async move {
            match &batch.requests[0] {
                Request::Commit(commit) if !commit.commit && self.aborts_get_lost => {
                    Err(KvError::unavailable("it did not get through"))
                }
                Request::Write(_) => {
                    self.store.send(batch).await?;
                    Err(KvError::ambiguous("the answer was lost"))
                }
                _ => self.store.send(batch).await,
            }
        })
    }
}

struct LossyDialer(Arc<Lossy>);

impl NodeDialer for LossyDialer {
    fn dial(&self, _: NodeId) -> Result<Arc<dyn Sender>, Unreachable> {
        Ok(self.0.clone())
    }
}

#[test]
fn a_commit_of_which_an_answer_is_lost_is_aborted_or_unknown() {
    for aborts_get_lost in [false, true] {
        World::new(6).run(
            |_, _| {},
            async move |node: common::Node| {
                node.db.split_at(&key("m")).await.unwrap();
                let store = node.store.dialer(None).dial(NodeId(1)).unwrap();
                let dialer = Arc::new(LossyDialer(Arc::new(Lossy { store, aborts_get_lost })));
                let config = DbConfig::new(NodeId(1));
                let first = node.store.first_range();
                let db = Db::new(node.env.clone(), node.clock.clone(), dialer, first, config);
                let txn = serializable(&db);
                txn.put(&key("a"), b"1").unwrap();
                txn.put(&key("z"), b"1").unwrap();
                let error = txn.commit().await.expect_err("an answer was lost");
                let there = get_now(&node.db, "z").await;
                assert_eq!(there, get_now(&node.db, "a").await, "whole or not at all");
                if error.is_ambiguous() {
                    assert!(aborts_get_lost, "it can be known: {error:?}");
                } else {
                    assert_eq!(there, None, "it was refused: {error:?}");
                }
            },
        );
    }
}

/// Before the first commit of a transaction reaches the store all leases are lost, and another transaction writes a key.
struct Interrupted {
    node: common::Node,
    store: Arc<dyn Sender>,
    /// What is written then; nothing once it was.
    written: Mutex<Option<&'static str>>,
}

impl Sender for Interrupted {
    fn send<'a>(&'a self, batch: &'a BatchRequest) -> BoxFuture<'a, Result<BatchResponse, KvError>> {
        Box::pin(async move {
            let commits = matches!(&batch.requests[0], Request::Commit(commit) if commit.commit);
            let written = if commits { self.written.lock().take() } else { None };
            if let Some(name) = written {
                self.node.store.restart_leases();
                let other = serializable(&self.node.db);
                get(&other, name, Locking::UPDATE).await?;
                other.put(&key(name), b"changed")?;
                other.commit().await?;
                // The commit is to lie above that write.
                for name in ["x", "z"] {
                    get_now(&self.node.db, name).await;
                }
            }
            self.store.send(batch).await
        })
    }
}

struct InterruptedDialer(Arc<Interrupted>);

impl NodeDialer for InterruptedDialer {
    fn dial(&self, _: NodeId) -> Result<Arc<dyn Sender>, Unreachable> {
        Ok(self.0.clone())
    }
}

/// A lock on a row that is not written, in another range than the writes, holds until the commit or there is none: at every level, and
/// whether the writes lie in one range or in two.
#[test]
fn a_lock_in_another_range_that_is_lost_before_the_commit_fails_it() {
    let levels = [Isolation::ReadCommitted, Isolation::Snapshot, Isolation::Serializable];
    let cases = levels.into_iter().flat_map(|isolation| [(isolation, &["x"][..]), (isolation, &["x", "z"])]);
    for (isolation, writes) in cases {
        for written in ["a", "b"] {
            World::new(7).run(
                |_, _| {},
                async move |node: common::Node| {
                    node.db.split_at(&key("m")).await.unwrap();
                    node.db.split_at(&key("y")).await.unwrap();
                    put_all(&node.db, &[("a", "0"), ("b", "0"), ("x", "0"), ("z", "0")]).await;
                    let store = node.store.dialer(None).dial(NodeId(1)).unwrap();
                    let written_then = Mutex::new(Some(written));
                    let sender = Arc::new(Interrupted { node: node.clone(), store, written: written_then });
                    let config = DbConfig::new(NodeId(1));
                    let (first, dialer) = (node.store.first_range(), Arc::new(InterruptedDialer(sender)));
                    let db = Db::new(node.env.clone(), node.clock.clone(), dialer, first, config);
                    let txn = db.begin(options(isolation));
                    txn.begin_statement(true);
                    assert_eq!(get(&txn, "a", Locking::KEY_SHARE).await.unwrap().as_deref(), Some("0"));
                    for name in writes {
                        txn.put(&key(name), b"relies on a").unwrap();
                    }
                    // Long enough for a record, which outlives a lease.
                    node.env.sleep(Duration::from_millis(2500)).await;
                    let outcome = txn.commit().await;
                    let case = format!("{isolation:?} {writes:?} {written}: {outcome:?}");
                    assert_eq!(get_now(&node.db, written).await.as_deref(), Some("changed"), "{case}");
                    let took = get_now(&node.db, "x").await.as_deref() != Some("0");
                    assert_eq!(took, outcome.is_ok(), "{case}");
                    if written == "a" {
                        assert!(outcome.is_err_and(|error| error.is_restart()), "{isolation:?} {writes:?}");
                    } else if isolation != Isolation::Serializable {
                        assert!(outcome.is_ok(), "{case}");
                    }
                },
            );
        }
    }
}
