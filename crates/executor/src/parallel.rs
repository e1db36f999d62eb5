//! How much of the machine one statement may use at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The tasks of all sessions of a node that work for statements beside the sessions' own. Clones share the count.
#[derive(Clone, Default, Debug)]
pub struct Workers(Arc<AtomicUsize>);

/// One such task's place; given back on drop.
#[derive(Debug)]
pub(crate) struct Worker(Workers);

impl Workers {
    /// Takes a place if fewer than `most` are taken.
    fn take(&self, most: usize) -> Option<Worker> {
        let more = |taken| (taken < most).then_some(taken + 1);
        let taken = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.ok().map(|_| Worker(self.clone()))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a statement may do in parallel: the settings of PostgreSQL's names.
#[derive(Clone, Default, Debug)]
pub struct Parallelism {
    pub workers: Workers,
    /// `max_parallel_workers`: of the whole node, as this session sees it.
    pub workers_max: usize,
    /// `max_parallel_workers_per_gather`: of one scan. 0: nothing is done in parallel.
    pub scan_workers_max: usize,
    /// Bytes that a scan reads by itself first: an eighth of `min_parallel_table_scan_size`, because a scan learns how large its
    /// table is only by reading.
    pub serial_bytes: u64,
}

impl Parallelism {
    /// Whether no task works for any statement.
    pub fn is_idle(&self) -> bool {
        self.workers.0.load(Ordering::Relaxed) == 0
    }

    pub(crate) fn take_worker(&self) -> Option<Worker> {
        self.workers.take(self.workers_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_taken_up_to_the_bound_and_given_back() {
        let all = Parallelism { workers_max: 2, ..Parallelism::default() };
        let (first, second) = (all.take_worker(), all.take_worker());
        assert!(first.is_some() && second.is_some());
        assert!(all.clone().take_worker().is_none(), "clones share the count");
        drop(first);
        assert!(all.take_worker().is_some());
    }
}
