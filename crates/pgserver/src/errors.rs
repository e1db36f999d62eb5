//! Errors that clients were told, by class: the first two characters of the SQLSTATE.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use types::PgError;

/// Counts errors. Lock order: leaf.
#[derive(Debug, Default)]
pub(crate) struct ErrorCounts(Mutex<BTreeMap<String, u64>>);

impl ErrorCounts {
    pub fn count(&self, error: &PgError) {
        let code = error.code();
        let class = code.as_str().get(..2).unwrap_or("XX");
        let mut counts = self.0.lock();
        match counts.get_mut(class) {
            Some(count) => *count += 1,
            None => drop(counts.insert(class.to_string(), 1)),
        }
    }

    pub fn read(&self) -> Vec<(String, u64)> {
        self.0.lock().iter().map(|(class, count)| (class.clone(), *count)).collect()
    }
}
