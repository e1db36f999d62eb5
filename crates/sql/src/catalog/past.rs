//! The catalog as it was: for reads of the past.
//!
//! It is read as of then from the keyspace. The version key (see [`super::lease`]) tells whether that was done before: every change of the
//! catalog writes it, so two times with one version have one catalog.

use std::collections::VecDeque;
use std::sync::Arc;

use executor::ExecResult;
use kvclient::{Locking, Txn};
use parking_lot::Mutex;

use super::lease::version_key;
use super::session_catalog::private_version;
use super::{CatalogSnapshot, store};

/// Pictures of the past that are kept: readers mostly want the present one, or the one before.
const KEPT_MAX: usize = 4;

/// Pictures of the catalog by what the version key said then, newest use last.
#[derive(Default)]
pub struct PastCatalogs {
    /// Lock order: leaf.
    kept: Mutex<VecDeque<(Vec<u8>, Arc<CatalogSnapshot>)>>,
}

impl PastCatalogs {
    /// The catalog as of where the transaction reads.
    pub async fn as_of(&self, txn: &Txn) -> ExecResult<Arc<CatalogSnapshot>> {
        let version = txn.get(&version_key(), Locking::NONE).await?;
        if let Some(version) = &version
            && let Some(picture) = self.find(version)
        {
            return Ok(picture);
        }
        let mut picture = store::load(txn).await?;
        picture.version = private_version();
        let picture = Arc::new(picture);
        // Before the first change there are two catalogs: none, and the one that the cluster begins with.
        if let Some(version) = version {
            self.keep(version, picture.clone());
        }
        Ok(picture)
    }

    fn find(&self, version: &[u8]) -> Option<Arc<CatalogSnapshot>> {
        let mut kept = self.kept.lock();
        let position = kept.iter().position(|(known, _)| known == version)?;
        let found = kept.remove(position)?;
        let picture = found.1.clone();
        kept.push_back(found);
        Some(picture)
    }

    fn keep(&self, version: Vec<u8>, picture: Arc<CatalogSnapshot>) {
        let mut kept = self.kept.lock();
        kept.retain(|(known, _)| *known != version);
        if kept.len() >= KEPT_MAX {
            kept.pop_front();
        }
        kept.push_back((version, picture));
    }
}
