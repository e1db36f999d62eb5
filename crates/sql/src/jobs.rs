//! Long work that statements of this node have under way: rows written to new indexes and keyspaces, for people to watch.
//!
//! What goes on after a statement (dropped keyspaces to be cleared) is on record in the keyspace: see `garbage`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kvapi::{ReportRow, report_row};
use parking_lot::Mutex;
use types::descriptor::Oid;

/// A piece of work in progress.
pub struct Job {
    pub process_id: u32,
    /// What is done, as people call it.
    pub kind: &'static str,
    pub table: Oid,
    /// Names of the indexes that are filled.
    pub indexes: String,
    /// Microseconds since 2000-01-01 UTC.
    pub began: i64,
    rows_done: AtomicU64,
}

/// Work in progress on a node. Lock order: leaf.
#[derive(Default)]
pub struct Jobs {
    next: AtomicU64,
    running: Mutex<BTreeMap<u64, Arc<Job>>>,
}

/// A job that is listed until this is dropped.
pub struct Listed<'a> {
    jobs: &'a Jobs,
    number: u64,
    job: Arc<Job>,
}

impl Jobs {
    pub fn begin(
        &self,
        process_id: u32,
        kind: &'static str,
        table: Oid,
        indexes: String,
        began: i64,
    ) -> Listed<'_> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let job = Arc::new(Job { process_id, kind, table, indexes, began, rows_done: AtomicU64::new(0) });
        self.running.lock().insert(number, job.clone());
        Listed { jobs: self, number, job }
    }

    /// For `cluster::topics::JOBS`.
    pub fn rows(&self) -> Vec<ReportRow> {
        let row = |job: &Arc<Job>| {
            let done = job.rows_done.load(Ordering::Relaxed);
            let (process_id, table) = (i64::from(job.process_id), i64::from(job.table.0));
            report_row![process_id, job.kind, table, job.indexes.as_str(), job.began, done]
        };
        self.running.lock().values().map(row).collect()
    }
}

impl Listed<'_> {
    pub fn advance(&self, rows: usize) {
        self.job.rows_done.fetch_add(rows as u64, Ordering::Relaxed);
    }
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        self.jobs.running.lock().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_listed_while_it_runs() {
        let jobs = Jobs::default();
        let listed = jobs.begin(7, "fill indexes", Oid(16384), "a, b".into(), 5);
        listed.advance(10);
        listed.advance(3);
        let rows = jobs.rows();
        assert_eq!(rows, [report_row![7_i64, "fill indexes", 16384_i64, "a, b", 5_i64, 13_i64]]);
        drop(listed);
        assert!(jobs.rows().is_empty());
    }
}
