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

pub mod lease;
mod object;
mod roles;
pub mod session_catalog;
mod snapshot;
pub mod store;
mod user_types;

pub use object::{NameTarget, Object, RoleDescriptor, RoleSettings, Space};
pub use roles::{DATABASE_OWNER_ROLE, Securable};
pub use session_catalog::TransactionCatalog;
pub use snapshot::CatalogSnapshot;
pub use store::CatalogChange;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

/// The committed catalog of a node, shared by its sessions.
pub struct SharedCatalog {
    current: RwLock<Arc<CatalogSnapshot>>,
    /// `current.version`, readable without the lock: prepared plans compare it.
    version: AtomicU64,
}

impl SharedCatalog {
    pub fn new(snapshot: CatalogSnapshot) -> Self {
        let version = AtomicU64::new(snapshot.version);
        SharedCatalog { current: RwLock::new(Arc::new(snapshot)), version }
    }

    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    pub fn current(&self) -> Arc<CatalogSnapshot> {
        self.current.read().clone()
    }

    /// Another node has changed the catalog: takes all of it anew.
    pub fn replace(&self, mut next: CatalogSnapshot) {
        let mut current = self.current.write();
        next.version = current.version + 1;
        self.version.store(next.version, Ordering::Release);
        *current = Arc::new(next);
    }

    /// Makes a committed change visible. Called while the transaction still holds its table locks, so that changes of one
    /// object arrive in commit order.
    pub fn apply(&self, change: &CatalogChange) {
        if change.is_empty() {
            return;
        }
        let mut current = self.current.write();
        let mut next = CatalogSnapshot::clone(&current);
        change.apply_to(&mut next);
        next.version += 1;
        self.version.store(next.version, Ordering::Release);
        *current = Arc::new(next);
    }
}
