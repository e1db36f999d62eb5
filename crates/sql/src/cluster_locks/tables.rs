//! LOCK TABLE over nodes: how a strong mode makes itself heard by those whose weak locks nobody sees.
//!
//! ```text
//!   LOCK TABLE on A ─▶ its node's memory ─▶ the record (strong modes exclude each other there)
//!                   ─▶ the catalog's version is written, with a mark: it commits above every lease on a catalog (`catalog::lease`), because nodes read it ahead
//!                   ─▶ A's clock passes the commit: done
//!   node B            prolongs its lease: finds another version, reads the catalog and which tables are announced; only then the lease holds
//!                     a statement that wants the table in a conflicting mode asks the record, and waits there
//!                     a transaction that used it before: commits below its old lease, or not at all (40001)
//! ```
//!
//! So whatever has used the table without a claim commits below the announcement, where who holds the strong lock sees it; and nothing commits above it that conflicts. When
//! no strong mode is left the version changes again, and weak locks are a matter of memory as before.
//!
//! A strong lock that a node has taken while it was alone is not known to one that joins during the transaction.

use std::collections::BTreeMap;

use kvclient::ScanOptions;
use types::descriptor::Oid;

use super::*;

/// Tables that are locked in strong modes, with these modes as bits.
pub type Announced = BTreeMap<Oid, u8>;

impl ClusterLocks {
    /// Takes a claim on a table; `false`: it is not free, and the request would not wait.
    pub async fn acquire_table(
        self: &Arc<Self>,
        holder: (LockOwner, u32),
        table: Oid,
        mode: LockMode,
        waits: bool,
    ) -> ExecResult<bool> {
        if !self.is_settled.load(Ordering::Acquire) {
            self.settle().await?;
        }
        self.published().await?;
        self.acquire_shared(holder, LockTag::Table(table), mode, waits).await
    }
}

/// Which tables are locked in strong modes, as the transaction sees it.
pub async fn announced(txn: &Txn) -> ExecResult<Announced> {
    let mut announced = Announced::new();
    let mut scan = txn.scan(ScanOptions::forward(record::tables_span()));
    while let Some(page) = scan.next_page(txn).await? {
        for row in page.iter() {
            let record = LockRecord::decode(row.value.unwrap_or_default()).map_err(malformed)?;
            if let Some(LockTag::Table(table)) = record::parse_lock_key(row.key)
                && record.strong_modes() != 0
            {
                announced.insert(table, record.strong_modes());
            }
        }
    }
    Ok(announced)
}
