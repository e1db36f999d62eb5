//! Traces of statements: what `SET trace = on` keeps, and how a trace is shown.
//!
//! What is recorded, and how it comes from other nodes, is in `env::trace`. A statement is recorded while `trace` is on, while slow statements are to be logged (nobody
//! knows beforehand which will be slow), and by EXPLAIN (ANALYZE, TRACE).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use env::trace::{Finished, Record, Recording, TraceId};
use pgserver::ResultSink;
use planner::ast::StatementKind;
use tracing::Instrument;
use types::PgResult;

use super::Session;
use super::prepared::Prepared;
use super::statement::Run;

/// Records of a session that are kept; those of the oldest statements go first.
const KEPT_MAX: usize = 20_000;
/// Where a slow statement's time went, in so many lines at most.
const LOGGED_MAX: usize = 5;

/// A statement that was traced.
pub struct Traced {
    /// Counts from one, since the trace was switched on.
    pub statement: i32,
    pub trace: Finished,
}

/// The traces that a session keeps.
#[derive(Default)]
pub struct TraceLog {
    pub statements: VecDeque<Traced>,
    last: i32,
    records: usize,
}

impl TraceLog {
    fn keep(&mut self, trace: Finished) {
        self.last += 1;
        self.records += trace.records.len();
        self.statements.push_back(Traced { statement: self.last, trace });
        while self.records > KEPT_MAX
            && self.statements.len() > 1
            && let Some(oldest) = self.statements.pop_front()
        {
            self.records -= oldest.trace.records.len();
        }
    }
}

/// The records of a trace as they are shown: parents, then their parts in the order in which they began; with how deep each lies.
pub fn in_order(trace: &Finished) -> Vec<(usize, &Record)> {
    let mut parts: BTreeMap<Option<u32>, Vec<u32>> = BTreeMap::new();
    for (index, record) in (0..).zip(&trace.records) {
        parts.entry(record.parent).or_default().push(index);
    }
    for some in parts.values_mut() {
        some.sort_by_key(|index| trace.records[*index as usize].began);
    }
    let mut ordered = Vec::with_capacity(trace.records.len());
    let mut pending: Vec<(usize, u32)> =
        parts.get(&None).into_iter().flatten().map(|root| (0, *root)).collect();
    while let Some((depth, index)) = pending.pop() {
        ordered.push((depth, &trace.records[index as usize]));
        pending.extend(parts.get(&Some(index)).into_iter().flatten().rev().map(|part| (depth + 1, *part)));
    }
    ordered
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// A trace as lines of text: since the start, how long, where, what.
pub fn lines(trace: &Finished) -> Vec<String> {
    let line = |(depth, record): (usize, &Record)| {
        let (began, took) = (milliseconds(record.began), milliseconds(record.took));
        format!(
            "{began:>10.3} ms {took:>10.3} ms  n{}  {:indent$}{}",
            record.node,
            "",
            record.what,
            indent = 2 * depth
        )
    };
    let mut lines = vec![format!("Trace {}:", TraceId(trace.id))];
    lines.extend(in_order(trace).into_iter().map(line));
    if trace.left_out > 0 {
        lines.push(format!("({} more are left out)", trace.left_out));
    }
    lines
}

/// Where the time went, without that of the parts: what took longest first.
fn longest(trace: &Finished) -> String {
    let mut own: Vec<Duration> = trace.records.iter().map(|record| record.took).collect();
    for record in &trace.records {
        if let Some(parent) = record.parent {
            own[parent as usize] = own[parent as usize].saturating_sub(record.took);
        }
    }
    let mut sums: BTreeMap<(u32, &str), (u32, Duration)> = BTreeMap::new();
    for (record, own) in trace.records.iter().zip(own) {
        // The statement itself is named already.
        let what = if record.parent.is_none() { "all else" } else { &record.what };
        let (count, sum) = sums.entry((record.node, what)).or_default();
        *count += 1;
        *sum += own;
    }
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_by_key(|(_, (_, sum))| std::cmp::Reverse(*sum));
    let part = |((node, what), (count, sum)): &((u32, &str), (u32, Duration))| {
        let times = if *count > 1 { format!(" ({count} times)") } else { String::new() };
        format!("{:.3} ms n{node} {what}{times}", milliseconds(*sum))
    };
    sums.iter().take(LOGGED_MAX).map(part).collect::<Vec<_>>().join("; ")
}

impl Session {
    /// A recording of what begins now, if there is to be one.
    pub(super) fn begin_recording(&self) -> Option<Arc<Recording>> {
        let is_wanted = self.is_traced || self.server.limits.log_min_duration().is_some();
        is_wanted.then(|| Recording::begin(&self.server.env, self.server.options.node_id, None))
    }

    /// Runs a statement and keeps, or logs, what was recorded of it.
    pub(super) async fn run_recorded(
        &mut self,
        recording: Arc<Recording>,
        run: Run<'_>,
        sink: &mut ResultSink,
    ) -> PgResult<()> {
        let prepared = run.prepared.clone();
        let began = self.server.env.monotonic();
        let root = recording.root(shown(&prepared));
        let result = self.run_measured(run, sink).instrument(root).await;
        let duration = self.server.env.monotonic().saturating_sub(began);
        let trace = recording.finish();
        if self.server.limits.log_min_duration().is_some_and(|threshold| duration >= threshold) {
            self.log_duration(&prepared, duration, &trace);
        }
        self.keep_trace(trace);
        result
    }

    /// Keeps a trace, if it is still wanted.
    pub(super) fn keep_trace(&self, trace: Finished) {
        if self.is_traced {
            self.traces.lock().keep(trace);
        }
    }

    /// log_min_duration_statement.
    fn log_duration(&self, prepared: &Prepared, duration: Duration, trace: &Finished) {
        self.server.slow_statements.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let milliseconds = milliseconds(duration);
        let (process, user, statement) = (self.process_id(), self.user.as_str(), shown(prepared));
        let (trace_id, longest) = (TraceId(trace.id), longest(trace));
        tracing::info!(
            process, user, trace = %trace_id, longest,
            "duration: {milliseconds:.3} ms  statement: {statement}"
        );
    }
}

/// A statement as others may see it: what may hold a password is not shown.
fn shown(prepared: &Prepared) -> &str {
    use StatementKind::{AlterRole, CreateRole};
    match prepared.kind() {
        Some(CreateRole(_) | AlterRole(_)) => "(a statement about a role)",
        _ => &prepared.text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(parent: Option<u32>, node: u32, what: &str, began: u64, took: u64) -> Record {
        let (began, took) = (Duration::from_millis(began), Duration::from_millis(took));
        Record { parent, node, what: what.to_string(), began, took }
    }

    fn trace() -> Finished {
        let records = vec![
            record(None, 1, "SELECT 1", 0, 100),
            record(Some(0), 1, "second", 50, 10),
            record(Some(0), 1, "first", 5, 30),
            record(Some(2), 2, "serve", 10, 20),
            record(Some(0), 1, "second", 70, 10),
        ];
        Finished { id: 0xab, records, left_out: 3 }
    }

    #[test]
    fn parts_stand_below_what_they_are_part_of_in_the_order_of_time() {
        let expected = [
            "Trace 00000000000000ab:",
            "     0.000 ms    100.000 ms  n1  SELECT 1",
            "     5.000 ms     30.000 ms  n1    first",
            "    10.000 ms     20.000 ms  n2      serve",
            "    50.000 ms     10.000 ms  n1    second",
            "    70.000 ms     10.000 ms  n1    second",
            "(3 more are left out)",
        ];
        assert_eq!(lines(&trace()), expected);
    }

    #[test]
    fn what_took_longest_by_itself_comes_first() {
        let expected =
            "50.000 ms n1 all else; 20.000 ms n1 second (2 times); 20.000 ms n2 serve; 10.000 ms n1 first";
        assert_eq!(longest(&trace()), expected);
    }

    #[test]
    fn a_session_keeps_the_newest() {
        let mut log = TraceLog::default();
        let long = |_| record(None, 1, "x", 0, 1);
        for _ in 0..7 {
            log.keep(Finished { records: (0..4_000).map(long).collect(), ..Finished::default() });
        }
        let kept: Vec<i32> = log.statements.iter().map(|traced| traced.statement).collect();
        assert_eq!(kept, [3, 4, 5, 6, 7]);
    }
}
