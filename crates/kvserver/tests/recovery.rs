//! What becomes of a parallel commit that its coordinator cannot make explicit, and of a write that arrives late.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use common::{World, get, key, options, scan, serializable};
use futures::future::BoxFuture;
use keys::NodeId;
use kvapi::{BatchRequest, BatchResponse, KvError, NodeDialer, Request, Sender, Unreachable};
use kvclient::{Db, DbConfig, Isolation, LockStrength, Locking, WaitPolicy};
use parking_lot::Mutex;

/// Loses what only says that a staged transaction is committed.
#[derive(Clone)]
struct Lossy {
    store: kvserver::Store,
    lost: Arc<AtomicU32>,
}

impl NodeDialer for Lossy {
    fn dial(&self, _: NodeId) -> Result<Arc<dyn Sender>, Unreachable> {
        Ok(Arc::new(self.clone()))
    }
}

impl Sender for Lossy {
    fn send<'a>(&'a self, batch: &'a BatchRequest) -> BoxFuture<'a, Result<BatchResponse, KvError>> {
        match &batch.requests[0] {
            Request::Commit(commit)
                if commit.commit
                    && !commit.one_phase
                    && commit.writes.is_empty()
                    && commit.in_flight.is_empty() =>
            {
                self.lost.fetch_add(1, Ordering::Relaxed);
                let error = KvError::Ambiguous { reason: "the connection broke".to_string() };
                Box::pin(std::future::ready(Err(error)))
            }
            _ => self.store.send(batch),
        }
    }
}

/// The coordinator released its locks, which resolved intents beside them; whoever recovered the transaction missed those, took it
/// for aborted, and removed the others: an acknowledged write was lost (simulation, scenario `three`, seed 188).
#[test]
fn a_commit_that_was_left_staging_is_found_whole() {
    World::new(31).run(
        |_, _| {},
        async |node: common::Node| {
            for boundary in ["g", "m"] {
                node.db.split_at(&key(boundary)).await.unwrap();
            }
            let lossy = Lossy { store: node.store.clone(), lost: Arc::default() };
            let dialer: Arc<dyn NodeDialer> = Arc::new(lossy.clone());
            let config = DbConfig::new(NodeId(1));
            let db = Db::new(node.env.clone(), node.clock.clone(), dialer, node.store.first_range(), config);
            let txn = serializable(&db);
            let locking = Locking { strength: LockStrength::Update, wait: WaitPolicy::Block, absent: true };
            assert_eq!(get(&txn, "h", locking).await.unwrap(), None);
            for name in ["a", "h", "n"] {
                txn.put(&key(name), b"1").unwrap();
            }
            txn.commit().await.unwrap();
            drop(txn);
            // Until its coordinator is taken for dead.
            node.env.sleep(Duration::from_secs(30)).await;
            assert!(lossy.lost.load(Ordering::Relaxed) > 0, "the commit was to be staged");
            let read = serializable(&node.db);
            assert_eq!(get(&read, "n", Locking::NONE).await.unwrap().as_deref(), Some("1"));
            assert_eq!(scan(&serializable(&node.db), "a", "z").await.unwrap(), ["a=1", "h=1", "n=1"]);
        },
    );
}

/// Keeps the first write that it is given, and says that it could not be sent.
#[derive(Clone)]
struct Late {
    store: kvserver::Store,
    kept: Arc<Mutex<Option<BatchRequest>>>,
}

impl NodeDialer for Late {
    fn dial(&self, _: NodeId) -> Result<Arc<dyn Sender>, Unreachable> {
        Ok(Arc::new(self.clone()))
    }
}

impl Sender for Late {
    fn send<'a>(&'a self, batch: &'a BatchRequest) -> BoxFuture<'a, Result<BatchResponse, KvError>> {
        let is_write = matches!(batch.requests[0], Request::Write(_));
        let mut kept = self.kept.lock();
        if is_write && kept.is_none() {
            *kept = Some(batch.clone());
            return Box::pin(std::future::ready(Err(KvError::unavailable("the connection broke"))));
        }
        self.store.send(batch)
    }
}

/// A write was sent again because its first attempt was not answered; what it wrote is undone, and then the first attempt arrives.
#[test]
fn what_was_undone_does_not_come_true_when_it_arrives_once_more() {
    for isolation in [Isolation::ReadCommitted, Isolation::Serializable] {
        World::new(32).run(
            |_, _| {},
            async move |node: common::Node| {
                let late = Late { store: node.store.clone(), kept: Arc::default() };
                let dialer: Arc<dyn NodeDialer> = Arc::new(late.clone());
                let mut config = DbConfig::new(NodeId(1));
                config.buffer_bytes_max = 1;
                let db =
                    Db::new(node.env.clone(), node.clock.clone(), dialer, node.store.first_range(), config);
                let txn = db.begin(options(isolation));
                txn.put(&key("a"), b"1").unwrap();
                let savepoint = txn.savepoint();
                txn.put(&key("b"), b"1").unwrap();
                txn.flow().await.unwrap();
                let first = late.kept.lock().clone().expect("it was kept");
                let undone = txn.rollback_to(savepoint).await;
                node.store.send(&first).await.unwrap();
                match undone {
                    Ok(()) => drop(txn.commit().await.unwrap()),
                    Err(error) => assert!(txn.can_restart(&error).is_some(), "{error:?}"),
                }
                drop(txn);
                node.env.sleep(Duration::from_secs(10)).await;
                assert_eq!(get(&serializable(&node.db), "b", Locking::NONE).await.unwrap(), None);
            },
        );
    }
}
