//! The catalog as one transaction sees it: the committed one, with its own changes on top.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use executor::ExecResult;
use kvclient::{Timestamp, Txn};
use types::descriptor::Oid;

use super::SharedCatalog;
use super::object::Object;
use super::placement;
use super::snapshot::CatalogSnapshot;
use super::store::{self, CatalogChange};

/// Versions of private pictures: distinct from one another and from every committed version.
static PRIVATE_VERSION: AtomicU64 = AtomicU64::new(1 << 63);

/// A version that no other picture of this process has.
pub(super) fn private_version() -> u64 {
    PRIVATE_VERSION.fetch_add(1, Ordering::Relaxed)
}

/// See the module. `change` is what the transaction has changed so far; without any, the committed catalog is
/// looked at afresh for every statement.
pub struct TransactionCatalog {
    shared: Arc<SharedCatalog>,
    private: Option<Private>,
    change: CatalogChange,
    /// The catalog of the time that the transaction reads, if that is in the past.
    past: Option<Arc<CatalogSnapshot>>,
}

/// The committed catalog of version `base` with the transaction's changes on top.
#[derive(Clone)]
struct Private {
    base: u64,
    picture: Arc<CatalogSnapshot>,
}

/// What ROLLBACK TO SAVEPOINT goes back to.
#[derive(Clone)]
pub struct CatalogMark {
    private: Option<Private>,
    change: CatalogChange,
}

impl CatalogMark {
    /// The catalog as it was with the changes of the transaction; `None`: there were none.
    pub fn picture(&self) -> Option<&Arc<CatalogSnapshot>> {
        self.private.as_ref().map(|private| &private.picture)
    }
}

impl TransactionCatalog {
    pub fn new(shared: Arc<SharedCatalog>) -> Self {
        TransactionCatalog { shared, private: None, change: CatalogChange::default(), past: None }
    }

    /// For a transaction that reads the past, and so changes nothing.
    pub fn of_the_past(shared: Arc<SharedCatalog>, picture: Arc<CatalogSnapshot>) -> Self {
        TransactionCatalog { past: Some(picture), ..TransactionCatalog::new(shared) }
    }

    pub fn has_changes(&self) -> bool {
        !self.change.is_empty()
    }

    /// The picture for the next statement. What others have committed since the last one is taken in.
    pub fn current(&mut self) -> Arc<CatalogSnapshot> {
        if let Some(past) = &self.past {
            return past.clone();
        }
        let Some(private) = &self.private else { return self.shared.current() };
        if private.base != self.shared.version() {
            let shared = self.shared.current();
            let mut picture = CatalogSnapshot::clone(&shared);
            self.change.apply_to(&mut picture);
            self.keep_private(shared.version, picture);
        }
        self.private.as_ref().expect("checked above").picture.clone()
    }

    /// What a cached plan is compared with.
    pub fn version(&mut self) -> u64 {
        match (&self.private, &self.past) {
            (None, None) => self.shared.version(),
            _ => self.current().version,
        }
    }

    fn keep_private(&mut self, base: u64, mut picture: CatalogSnapshot) {
        picture.version = private_version();
        self.private = Some(Private { base, picture: Arc::new(picture) });
    }

    /// Stores a new or changed object.
    pub async fn put(&mut self, txn: &Txn, object: Object) -> ExecResult<()> {
        self.change(txn, object.id(), Some(object)).await
    }

    pub async fn remove(&mut self, txn: &Txn, id: Oid) -> ExecResult<()> {
        self.change(txn, id, None).await
    }

    async fn change(&mut self, txn: &Txn, id: Oid, object: Option<Object>) -> ExecResult<()> {
        let current = self.current();
        let base = self.private.as_ref().map_or(current.version, |private| private.base);
        store::write(txn, id, current.object(id), object.as_ref()).await?;
        let mut next = CatalogSnapshot::clone(&current);
        match &object {
            Some(object) => next.insert(object.clone()),
            None => drop(next.remove(id)),
        }
        placement::write_changes(txn, id, &current, &next).await?;
        self.keep_private(base, next);
        self.change.note(id, object);
        Ok(())
    }

    /// Stores a cluster setting; `None`: back to its default.
    pub fn put_setting(&mut self, txn: &Txn, name: &str, value: Option<String>) -> ExecResult<()> {
        let current = self.current();
        let base = self.private.as_ref().map_or(current.version, |private| private.base);
        store::write_setting(txn, name, value.as_deref())?;
        self.change.note_setting(name, value);
        let mut next = CatalogSnapshot::clone(&current);
        self.change.apply_to(&mut next);
        self.keep_private(base, next);
        Ok(())
    }

    pub fn mark(&self) -> CatalogMark {
        CatalogMark { private: self.private.clone(), change: self.change.clone() }
    }

    pub fn rollback_to(&mut self, mark: CatalogMark) {
        self.private = mark.private;
        self.change = mark.change;
    }

    /// After the transaction has committed, below `from`: shows its changes to everybody.
    pub fn publish(&mut self, from: Timestamp) {
        self.shared.apply(&self.change, from);
        self.forget();
    }

    /// After the transaction has rolled back.
    pub fn forget(&mut self) {
        self.private = None;
        self.change = CatalogChange::default();
    }
}
