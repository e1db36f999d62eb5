//! Several nodes and one catalog: how a node knows that its picture is the newest, without asking.
//!
//! Every change of the catalog also writes the *version key*, in the same transaction. A node holds a *lease* on its picture: it has read the
//! version key at a timestamp that lies a little ahead. What was read at a timestamp cannot be written at or below it any more (the
//! timestamp cache of its range sees to that), so until then no change commits, and whoever commits a change commits it above all leases.
//!
//! ```text
//!   node B   reads the version key as of 1000 ──▶ its picture holds for every timestamp up to 1000;
//!            statements begin, and transactions commit, below that; it is prolonged before it ends
//!   node A   ALTER TABLE: writes the version key ──▶ is placed above 1000; waits until its clock has passed that;
//!            only then it says that it is done
//!   node B   finds another version when it prolongs ──▶ reads the catalog again
//! ```
//!
//! So a plan made under an old catalog never commits in the time of a new one, and who was told that a change is done finds it on
//! every node. A transaction that has used a table which changes before it commits must start over (40001).
//!
//! While a change is under way a note asks the nodes not to prolong; it ends by itself if the one who wrote it dies. A node that stands alone needs
//! none of this: its lease has no end, and nothing is asked or written but the version key.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use env::Env;
use executor::{ExecError, ExecResult};
use keys::{IndexId, Key, table};
use kvclient::{Db, KvError, Locking, RestartReason, Timestamp, Txn};
use parking_lot::Mutex;
use types::{PgError, SqlState};

use super::{SharedCatalog, store};
use crate::small_transaction::in_own_transaction;

/// How far ahead the version is read. Less than clocks may differ (500 ms): a change is placed above it, and a node refuses a timestamp that
/// lies further ahead of its clock than that.
const LEASE: Duration = Duration::from_millis(400);
/// How often.
const RENEWAL: Duration = Duration::from_millis(100);
/// What must be left of a lease for a statement to begin under it.
const MARGIN: Duration = Duration::from_millis(50);
/// How long others may be kept from prolonging, should the one who changes the catalog die.
const CHANGE_MAX: Duration = Duration::from_secs(5);
/// Before a statement that finds no lease gives up.
const PATIENCE: Duration = Duration::from_secs(20);
/// The same if it cannot be read.
const ERROR_PATIENCE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(20);
/// The wall time of a lease without end.
const ENDLESS: u64 = u64::MAX;

/// Whether other nodes are known.
pub type Others = Arc<dyn Fn() -> bool + Send + Sync>;

pub(super) fn version_key() -> Vec<u8> {
    let mut key = table::start_key(store::NAMES, IndexId::PRIMARY);
    key.extend_from_slice(&[0, 1]);
    key
}

fn change_key() -> Vec<u8> {
    let mut key = table::start_key(store::NAMES, IndexId::PRIMARY);
    key.extend_from_slice(&[0, 2]);
    key
}

/// A node's lease on its picture of the catalog.
///
/// - While `until` lies ahead, the shared picture is that of `seen`, and no other is committed at or below `until`.
pub struct CatalogLease {
    env: Arc<dyn Env>,
    db: Db,
    others: Option<Others>,
    catalog: Arc<SharedCatalog>,
    until: AtomicU64,
    seen: Mutex<Option<Vec<u8>>>,
    renewing: futures::lock::Mutex<()>,
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl CatalogLease {
    /// Keeps the lease until it is dropped.
    pub fn start(
        env: &Arc<dyn Env>,
        db: &Db,
        catalog: &Arc<SharedCatalog>,
        others: Option<Others>,
    ) -> Arc<CatalogLease> {
        let is_shared = others.as_ref().is_some_and(|others| others());
        let lease = Arc::new(CatalogLease {
            env: env.clone(),
            db: db.clone(),
            catalog: catalog.clone(),
            until: AtomicU64::new(if is_shared { 0 } else { ENDLESS }),
            seen: Mutex::new(None),
            renewing: futures::lock::Mutex::new(()),
            others,
        });
        if lease.others.is_some() {
            drop(env.spawn("catalog-lease", Box::pin(keep(env.clone(), Arc::downgrade(&lease)))));
        }
        lease
    }

    /// Whether there are other nodes whose changes must be reckoned with.
    pub fn is_shared(&self) -> bool {
        self.until.load(Ordering::Acquire) != ENDLESS
    }

    /// Completes when the shared picture may be used for a statement that begins now.
    pub async fn hold(&self) -> Result<(), PgError> {
        if !self.is_shared() || self.is_held() {
            return Ok(());
        }
        let began = self.env.monotonic();
        loop {
            let result = self.renew().await;
            if self.is_held() {
                return Ok(());
            }
            // What is out of reach has been waited for already, as long as that is worth it.
            let patience = if result.is_err() { ERROR_PATIENCE } else { PATIENCE };
            if self.env.monotonic() >= began + patience {
                let reason = result.err().map_or("a change takes too long".to_string(), |error| {
                    error.into_pg_error().message().to_string()
                });
                let text = format!("the catalog cannot be read: {reason}");
                return Err(PgError::new(SqlState::CANNOT_CONNECT_NOW, text));
            }
            self.env.sleep(PAUSE).await;
        }
    }

    /// Whether [`CatalogLease::hold`] would complete at once.
    pub fn is_held_now(&self) -> bool {
        !self.is_shared() || self.is_held()
    }

    fn is_held(&self) -> bool {
        self.db.now().wall.saturating_add(nanos(MARGIN)) < self.until.load(Ordering::Acquire)
    }

    /// Below this a transaction must commit that was planned under the present picture.
    pub fn deadline(&self) -> Option<Timestamp> {
        let until = self.until.load(Ordering::Acquire);
        (until != ENDLESS).then(|| Timestamp::new(until, 0))
    }

    /// Reads the version a little ahead of now, and the catalog if it has changed.
    async fn renew(&self) -> ExecResult<()> {
        let _renewing = self.renewing.lock().await;
        let now = self.db.now();
        if let Some(change) = self.read_at(change_key(), Timestamp::ZERO).await?
            && change.try_into().is_ok_and(|end| u64::from_be_bytes(end) > now.wall)
        {
            return Ok(());
        }
        let target = self.db.now().saturating_add(LEASE);
        let version = self.read_at(version_key(), target).await?.unwrap_or_default();
        if self.seen.lock().as_ref() != Some(&version) {
            return self.reload().await;
        }
        self.until.fetch_max(target.wall, Ordering::AcqRel);
        Ok(())
    }

    async fn read_at(&self, key: Vec<u8>, timestamp: Timestamp) -> ExecResult<Option<Vec<u8>>> {
        Ok(self.db.get_at(&key, timestamp).await?)
    }

    async fn reload(&self) -> ExecResult<()> {
        let db = &self.db;
        let loaded: ExecResult<_> = in_own_transaction!(db, |txn| async {
            let version = txn.get(&version_key(), Locking::NONE).await?;
            let snapshot = store::load(&txn).await?;
            Ok::<_, ExecError>((version, snapshot))
        }
        .await);
        let (version, snapshot) = loaded?;
        self.catalog.replace(snapshot, db.now());
        *self.seen.lock() = Some(version.unwrap_or_default());
        Ok(())
    }

    /// Writes, in the transaction of a change, that there is another version. Refuses if somebody else's change is not in the picture
    /// that this one was made on.
    pub async fn record_change(&self, txn: &Txn) -> ExecResult<()> {
        let key = version_key();
        if self.is_shared() {
            self.announce(CHANGE_MAX).await?;
            let version = txn.get(&key, Locking::NO_KEY_UPDATE).await?.unwrap_or_default();
            if self.seen.lock().as_ref() != Some(&version) {
                drop(self.renew().await);
                return Err(self.changed_meanwhile());
            }
        }
        txn.put(&key, &self.db.unique_numbers(1).to_be_bytes())?;
        Ok(())
    }

    /// Keeps others from prolonging for some time; zero: no longer.
    async fn announce(&self, time: Duration) -> ExecResult<()> {
        let end = if time.is_zero() { 0 } else { self.db.now().wall.saturating_add(nanos(time)) };
        let db = &self.db;
        in_own_transaction!(db, |txn| async {
            txn.put(&change_key(), &end.to_be_bytes())?;
            Ok::<_, ExecError>(())
        }
        .await)
    }

    /// The transaction used a definition that is not the present one any more.
    pub fn changed_meanwhile(&self) -> ExecError {
        let (reason, timestamp) = (RestartReason::RefreshFailed, self.db.now());
        ExecError::Kv(KvError::Restart { reason, timestamp, key: Some(Key::from(version_key())) })
    }

    /// A change has committed, or has failed. Completes when it is in the past of every clock that counts, and in the picture here.
    pub async fn settle(&self, committed: Option<Timestamp>) {
        if !self.is_shared() {
            return;
        }
        if let Some(at) = committed {
            while self.db.now() <= at {
                let ahead = at.wall_since(self.db.now());
                self.env.sleep(ahead + Duration::from_millis(1)).await;
            }
        }
        // Should this fail, the note ends by itself, and the picture is renewed before it is used again.
        drop(self.announce(Duration::ZERO).await);
        drop(self.renew().await);
    }
}

async fn keep(env: Arc<dyn Env>, lease: Weak<CatalogLease>) {
    loop {
        let Some(held) = lease.upgrade() else { return };
        let has_others = held.others.as_ref().is_some_and(|others| others());
        if has_others {
            // It may have been endless: from now on others may change the catalog.
            let _ = held.until.compare_exchange(ENDLESS, 0, Ordering::AcqRel, Ordering::Acquire);
            if let Err(error) = held.renew().await {
                tracing::debug!(error = %error.into_pg_error().message(), "the catalog's version is not known");
            }
        }
        drop(held);
        env.sleep(RENEWAL).await;
    }
}
