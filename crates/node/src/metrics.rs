//! What a node measures of itself: every queue, latency and class of error, each with a help text.
//!
//! The layers below count by themselves and know of no registry; this reads them when somebody asks. What the network measures
//! is registered by `rpc`.

use std::collections::BTreeMap;
use std::fmt::Error;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use kvapi::{ReportRow, report_row};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use rpc::Network;
use stdx::HistogramReading;
use stdx::histogram::BOUNDS_MICROS;

use crate::start::Node;

/// Reads the node's counts when it is asked for them.
struct NodeCollector {
    node: Arc<Node>,
    server: Arc<pgserver::Server>,
}

impl std::fmt::Debug for NodeCollector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeCollector").finish_non_exhaustive()
    }
}

/// Writes metrics; names get the prefix of all of them.
struct Output<'a>(DescriptorEncoder<'a>);

impl Output<'_> {
    fn gauges<const N: usize>(&mut self, gauges: [(&str, &str, u64); N]) -> Result<(), Error> {
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            let name = format!("meridian_{name}");
            gauge.encode(self.0.encode_descriptor(&name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }

    fn counters<const N: usize>(&mut self, counters: [(&str, &str, u64); N]) -> Result<(), Error> {
        for (name, help, value) in counters {
            let counter = ConstCounter::new(value);
            let name = format!("meridian_{name}");
            counter.encode(self.0.encode_descriptor(&name, help, None, counter.metric_type())?)?;
        }
        Ok(())
    }

    /// One counter per value of a label.
    fn family(
        &mut self,
        (name, help, label): (&str, &str, &str),
        counts: impl IntoIterator<Item = (String, u64)>,
    ) -> Result<(), Error> {
        let name = format!("meridian_{name}");
        let mut metric = self.0.encode_descriptor(&name, help, None, MetricType::Counter)?;
        for (value, count) in counts {
            let labels = [(label, value.as_str())];
            ConstCounter::new(count).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn histograms<const N: usize>(
        &mut self,
        histograms: [(&str, &str, HistogramReading); N],
    ) -> Result<(), Error> {
        for (name, help, reading) in histograms {
            let name = format!("meridian_{name}_seconds");
            let bounds = BOUNDS_MICROS.iter().map(|micros| *micros as f64 / 1e6).chain([f64::INFINITY]);
            let buckets: Vec<(f64, u64)> = bounds.zip(reading.counts).collect();
            let mut metric = self.0.encode_descriptor(&name, help, None, MetricType::Histogram)?;
            metric.encode_histogram::<NoLabelSet>(
                reading.sum.as_secs_f64(),
                reading.count(),
                &buckets,
                None,
            )?;
        }
        Ok(())
    }
}

impl Collector for NodeCollector {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let mut output = Output(encoder);
        self.encode_sql(&mut output)?;
        self.encode_store(&mut output)?;
        self.encode_log(&mut output)
    }
}

impl NodeCollector {
    fn encode_sql(&self, output: &mut Output<'_>) -> Result<(), Error> {
        let sql = &self.node.sql;
        let table_lock_waiters = sql.table_locks.rows().iter().filter(|lock| !lock.granted).count();
        output.gauges([
            ("sql_sessions", "Open client sessions", self.server.session_count() as u64),
            ("sql_memory_bytes", "Memory held by running statements", sql.memory.used()),
            (
                "sql_temporary_bytes",
                "Bytes of the temporary files of running statements",
                sql.spill.as_ref().map_or(0, |spill| spill.used()),
            ),
            (
                "sql_table_lock_waiters",
                "Requests that wait for a table or advisory lock",
                table_lock_waiters as u64,
            ),
            ("sql_jobs", "Indexes and tables being filled by statements", sql.job_count() as u64),
            (
                "sql_transactions_alive",
                "Transactions that hold locks or have sent writes ahead of their commit",
                self.node.db.transactions_alive() as u64,
            ),
        ])?;
        let commits = self.node.db.commit_counts();
        output.counters([
            ("txn_commits", "Transactions that wrote and were committed", commits.commits),
            (
                "txn_commit_rounds",
                "Rounds of consensus that commits have waited for, one after the other",
                commits.rounds,
            ),
            (
                "sql_temporary_bytes_written",
                "Bytes that statements have written to temporary files",
                sql.spill.as_ref().map_or(0, |spill| spill.written()),
            ),
            (
                "sql_statements_slow",
                "Statements that ran at least as long as log_min_duration_statement",
                sql.slow_statements.load(Ordering::Relaxed),
            ),
            (
                "sql_statement_retries",
                "Attempts of statements that were repeated inside the server",
                sql.statement_retries.load(Ordering::Relaxed),
            ),
        ])?;
        let errors = ("sql_errors", "Errors that clients were told, by the class of the SQLSTATE", "class");
        output.family(errors, self.server.error_counts())?;
        output.histograms([
            ("sql_statement", "Time of statements, failed ones included", sql.statement_times.read()),
            ("sql_commit", "Time of commits of SQL transactions", sql.commit_times.read()),
        ])
    }

    fn encode_store(&self, output: &mut Output<'_>) -> Result<(), Error> {
        let (node, readings) = (&self.node, self.node.store.readings());
        let held = node.store.metrics();
        output.gauges([
            ("ranges", "Ranges with a replica on this node", held.ranges),
            ("range_leases", "Ranges whose lease this node holds", held.leases),
            ("range_bytes", "Bytes of keys and values in all versions, before compression", held.size_bytes),
            ("range_intents", "Uncommitted writes in ranges", held.intents),
            ("range_locks", "Row locks held on ranges whose lease is here", held.locks),
            ("range_lock_waiters", "Requests that wait for row locks here", held.lock_waiters),
            (
                "range_addressing_queue",
                "Ranges whose addressing records are to be written",
                readings.addressing_queue as u64,
            ),
            ("range_split_queue", "Ranges that are to be split for their size", readings.split_queue as u64),
            (
                "range_merge_queue",
                "Pairs of neighbours whose leases are here and that are small enough to be merged",
                readings.merges.candidates,
            ),
            (
                "range_collection_queue",
                "Replicas that may have been removed and are to be looked after",
                readings.collection_queue as u64,
            ),
            (
                "transactions_finishing",
                "Ended transactions whose intents are being resolved",
                readings.finishing as u64,
            ),
            (
                "closed_timestamp_lag_milliseconds",
                "How far behind now the range lies that is closed least far, zero if none is: reads older than this are answered here \
                 without the leaseholder",
                held.closed_lag.as_millis() as u64,
            ),
            (
                "clock_ahead_microseconds",
                "How far the hybrid logical clock runs ahead of the wall clock",
                node.clock.ahead_of_wall().as_micros() as u64,
            ),
        ])?;
        output.counters([
            ("range_scan_rows", "Rows that scans of ranges here have answered with", held.scan_rows),
            (
                "range_scan_bytes",
                "Bytes of keys and values that scans of ranges here have answered with",
                held.scan_bytes,
            ),
            ("range_programs", "Pages of scans on which a part of a statement has run here", held.programs),
            (
                "range_program_rows_read",
                "Rows that parts of statements have read here",
                held.program_rows_read,
            ),
            (
                "range_program_bytes_read",
                "Bytes of keys and values that parts of statements have read here",
                held.program_bytes_read,
            ),
            (
                "range_program_bytes",
                "Bytes that parts of statements have answered with from here",
                held.program_bytes,
            ),
        ])?;
        output.counters([
            (
                "follower_reads_served",
                "Reads of the past answered here without the leaseholder",
                held.follower_reads_served,
            ),
            (
                "follower_reads_refused",
                "Reads of the past sent on from here to the leaseholder",
                held.follower_reads_refused,
            ),
        ])?;
        let checks = readings.checks;
        let outcomes =
            [("same", checks.same), ("different", checks.different), ("incomplete", checks.incomplete)];
        output.family(
            ("replica_checks", "Comparisons of all replicas of a range, by what they have found", "outcome"),
            outcomes.map(|(outcome, count)| (outcome.to_string(), count)),
        )?;
        output.counters([
            ("replica_check_bytes", "Bytes read here to compare replicas", checks.bytes),
            (
                "replica_recounts",
                "Replicas here whose statistics had drifted and were set right",
                checks.recounted,
            ),
        ])?;
        let splits = readings.splits;
        let reasons = [
            ("statement", splits.by_statement),
            ("size", splits.by_size),
            ("load", splits.by_load),
            ("placement", splits.by_border),
        ];
        output.family(
            ("range_splits", "Ranges split whose lease was here, by the reason", "reason"),
            reasons.map(|(reason, count)| (reason.to_string(), count)),
        )?;
        let merges = readings.merges;
        output.counters([
            ("range_merges", "Ranges that have absorbed a neighbour whose leases were here", merges.merged),
            ("range_merges_given_up", "Merges of ranges that were begun here and given up", merges.given_up),
            ("range_thaws", "Ranges that were frozen for a merge, and go on without", merges.thawed),
        ])?;
        let waits = ("range_lock_waits", "Waits for row locks that have ended, by how they did", "outcome");
        output.family(waits, readings.wait_ends.map(|(end, count)| (end.name().to_string(), count)))?;
        let errors =
            ("kv_errors", "Errors with which ranges have answered batches of this node, by kind", "kind");
        output.family(
            errors,
            node.db.error_counts().into_iter().map(|(kind, count)| (kind.to_string(), count)),
        )?;
        output.histograms([
            (
                "range_replicate",
                "Time from proposing a command to its effect on this node",
                readings.replicate_times,
            ),
            ("range_lock_wait", "Time of waits for row locks, however they ended", readings.lock_wait_times),
        ])
    }

    fn encode_log(&self, output: &mut Output<'_>) -> Result<(), Error> {
        let readings = self.node.replication.readings();
        output.gauges([
            ("raft_write_queue", "Replicas that wait for the log writer", readings.write_queue as u64),
            ("raft_apply_queue", "Replicas that wait for the applier", readings.apply_queue as u64),
            (
                "raft_log_bytes",
                "Bytes written to the Raft logs since they were last cut off",
                readings.log_bytes,
            ),
        ])?;
        output.histograms([
            ("raft_write", "Time of writes of the Raft log, syncs included", readings.write_times),
            ("raft_apply", "Time of rounds of applying commands", readings.apply_times),
        ])
    }
}

/// The registry of a node: its own counts and those of the process.
pub fn registry(node: Arc<Node>, server: Arc<pgserver::Server>, network: Option<&Network>) -> Registry {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(NodeCollector { node, server }));
    registry.register_collector(Box::new(admin::ProcessMetrics));
    if let Some(network) = network {
        network.register_metrics(&mut registry);
    }
    registry
}

/// All that is measured, for `sql::cluster::topics::METRICS`; of histograms the count and the sum.
pub fn rows(registry: &Registry) -> Vec<ReportRow> {
    let mut page = String::new();
    if encode(&mut page, registry).is_err() {
        return Vec::new();
    }
    let mut helps = BTreeMap::new();
    let mut rows = Vec::new();
    for line in page.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            helps.insert(name, help);
        }
        let Some((metric, value)) = line.rsplit_once(' ').filter(|_| !line.starts_with('#')) else {
            continue;
        };
        let (name, labels) = match metric.split_once('{') {
            Some((name, labels)) => (name, Some(labels.trim_end_matches('}'))),
            None => (metric, None),
        };
        if name.ends_with("_bucket") {
            continue;
        }
        let family = ["_total", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
        let help = helps.get(name).or_else(|| helps.get(family?)).copied();
        rows.push(report_row![name, labels, value, help]);
    }
    rows
}
