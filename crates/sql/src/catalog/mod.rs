//! The catalog: which databases, schemas, relations and roles exist.
//!
//! ```text
//!   KV tables (truth) ── load at start ──▶ Arc<CatalogSnapshot> shared by all sessions
//!         ▲                                        │ a statement takes the current one
//!         │ write-through, in the DDL's txn        ▼
//!   TransactionCatalog: the shared picture, or a private one once the transaction has changed something
//!         └── after COMMIT: CatalogChange applied to the shared picture, version + 1
//! ```
//!
//! With several nodes the picture of each is kept the newest by a lease: see [`lease`].
//!
//! DDL is atomic with the rest of its transaction because its writes are writes of that transaction. Others see a change
//! only after its commit; table locks (see [`crate::table_locks`]) see to it that nobody works on a table while its
//! definition changes.
//!
//! # Snapshots older than a definition
//!
//! A statement is planned with the newest catalog, whatever the snapshot that its transaction reads at. Where a change has stored a table
//! otherwise (an index filled, rows moved under another key or in bulk) an older snapshot would find nothing there, or a part. So
//! the picture remembers since when each such table can be read, and a transaction that comes to it moves up to there if it can and else
//! starts over: see `Session::lock_table`. A table that was emptied looks empty to older snapshots, as in PostgreSQL.

pub mod lease;
mod object;
mod past;
pub(crate) mod placement;
mod roles;
pub mod session_catalog;
mod snapshot;
pub mod store;
mod user_types;

pub use object::{NameTarget, Object, RoleDescriptor, RoleSettings, Space};
pub use past::PastCatalogs;
pub use roles::{DATABASE_OWNER_ROLE, Securable};
pub use session_catalog::TransactionCatalog;
pub use snapshot::CatalogSnapshot;
pub use store::CatalogChange;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use kvclient::Timestamp;
use parking_lot::RwLock;
use types::descriptor::{Oid, TableDescriptor};

/// The committed catalog of a node, shared by its sessions.
pub struct SharedCatalog {
    current: RwLock<Arc<CatalogSnapshot>>,
    /// `current.version`, readable without the lock: prepared plans compare it.
    version: AtomicU64,
    /// Tables that are stored otherwise than when this process began, and the timestamps from which on they can be read as
    /// `current` says. No transaction of this process is older. Lock order: after `current`.
    readable_from: RwLock<BTreeMap<Oid, Timestamp>>,
    /// There is such a table.
    is_any_stored_anew: AtomicBool,
    /// Told when cluster settings have changed. No lock is held then.
    settings_listener: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl SharedCatalog {
    pub fn new(snapshot: CatalogSnapshot) -> Self {
        let version = AtomicU64::new(snapshot.version);
        let readable_from = RwLock::default();
        SharedCatalog {
            current: RwLock::new(Arc::new(snapshot)),
            version,
            readable_from,
            is_any_stored_anew: AtomicBool::new(false),
            settings_listener: OnceLock::new(),
        }
    }

    /// Tells `listener`, from now on, when cluster settings have changed. There is one.
    pub fn listen_for_settings(&self, listener: Box<dyn Fn() + Send + Sync>) {
        assert!(self.settings_listener.set(listener).is_ok(), "settings have one listener");
    }

    fn tell_listener(&self, old: &CatalogSnapshot, new: &CatalogSnapshot) {
        if let Some(listener) = self.settings_listener.get()
            && old.settings != new.settings
        {
            listener();
        }
    }

    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    pub fn current(&self) -> Arc<CatalogSnapshot> {
        self.current.read().clone()
    }

    /// From which timestamp on a table can be read as the current picture says; `None`: from any.
    pub fn readable_from(&self, table: Oid) -> Option<Timestamp> {
        if !self.is_any_stored_anew.load(Ordering::Acquire) {
            return None;
        }
        self.readable_from.read().get(&table).copied()
    }

    fn note_readable(&self, current: &CatalogSnapshot, next: &CatalogSnapshot, at: Timestamp, id: Oid) {
        match (current.table(id), next.table(id)) {
            (Some(old), Some(new)) if is_stored_otherwise(old, new) => {
                self.readable_from.write().insert(id, at);
                self.is_any_stored_anew.store(true, Ordering::Release);
            }
            (_, None) => drop(self.readable_from.write().remove(&id)),
            _ => {}
        }
    }

    /// Another node has changed the catalog: takes all of it anew, as of `now`.
    pub fn replace(&self, mut next: CatalogSnapshot, now: Timestamp) {
        let mut current = self.current.write();
        let tables = current.objects().filter(|object| matches!(object, Object::Table(_)));
        tables.for_each(|table| self.note_readable(&current, &next, now, table.id()));
        next.version = current.version + 1;
        self.version.store(next.version, Ordering::Release);
        let next = Arc::new(next);
        let old = std::mem::replace(&mut *current, next.clone());
        drop(current);
        self.tell_listener(&old, &next);
    }

    /// Makes a committed change visible; what it has stored can be read from `from` on. Called while the transaction still holds its
    /// table locks, so that changes of one object arrive in commit order.
    pub fn apply(&self, change: &CatalogChange, from: Timestamp) {
        if change.is_empty() {
            return;
        }
        let mut current = self.current.write();
        let mut next = CatalogSnapshot::clone(&current);
        change.apply_to(&mut next);
        change.ids().for_each(|id| self.note_readable(&current, &next, from, id));
        next.version += 1;
        self.version.store(next.version, Ordering::Release);
        let next = Arc::new(next);
        let old = std::mem::replace(&mut *current, next.clone());
        drop(current);
        self.tell_listener(&old, &next);
    }
}

/// Whether rows or entries of a table lie where they did not lie before, so that an older snapshot does not find them.
fn is_stored_otherwise(old: &TableDescriptor, new: &TableDescriptor) -> bool {
    let moved = old.storage_id != new.storage_id;
    let was_there = |place: u32| old.all_indexes().any(|index| index.storage_index == place);
    if !moved && new.all_indexes().all(|index| was_there(index.storage_index)) {
        return false;
    }
    let emptied = TableDescriptor { storage_id: new.storage_id, version: new.version, ..old.clone() };
    emptied != *new
}
