//! Table statistics for the planner, as ANALYZE finds them.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;
use planner::Statistics;
use types::descriptor::Oid;

/// The newest statistics of each table of this node.
#[derive(Default)]
pub struct StatisticsCache {
    tables: RwLock<BTreeMap<Oid, Arc<Statistics>>>,
}

impl StatisticsCache {
    pub fn get(&self, table: Oid) -> Option<Arc<Statistics>> {
        self.tables.read().get(&table).cloned()
    }

    pub fn set(&self, table: Oid, statistics: Statistics) {
        self.tables.write().insert(table, Arc::new(statistics));
    }

    pub fn forget(&self, table: Oid) {
        self.tables.write().remove(&table);
    }
}
