//! What becomes of a parallel commit that its coordinator cannot make explicit.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use common::{World, get, key, scan, serializable};
use futures::future::BoxFuture;
use keys::NodeId;
use kvapi::{BatchRequest, BatchResponse, KvError, NodeDialer, Request, Sender, Unreachable};
use kvclient::{Db, DbConfig, LockStrength, Locking, WaitPolicy};

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
