//! What happened, in order: the clock of histories, and the fingerprint of a run.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use parking_lot::Mutex;
use stdx::hash::Fingerprint;

use crate::transaction::Fate;
use crate::workload::ClientNumber;

/// How many lines are kept to be shown when something fails.
const LINES_KEPT_MAX: usize = 4_000;

/// A moment, as all clients of a run agree on it: if one tick is below another, it was taken before it in real time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tick(pub u64);

/// How transactions ended, of one workload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub committed: u64,
    pub aborted: u64,
    pub unknown: u64,
}

/// Shared by all clients of a run.
///
/// - Ticks are given out in strictly increasing order.
/// - The fingerprint covers every line ever noted: equal ones mean equal runs.
#[derive(Default)]
pub struct Journal(Mutex<State>);

#[derive(Default)]
struct State {
    tick: u64,
    fingerprint: Fingerprint,
    lines: VecDeque<String>,
    counts: BTreeMap<&'static str, Counts>,
}

impl Journal {
    pub fn new() -> Journal {
        Journal::default()
    }

    /// The present moment, which is never the same twice.
    pub fn tick(&self) -> Tick {
        let mut state = self.0.lock();
        state.tick += 1;
        Tick(state.tick)
    }

    /// Notes something that is not a client's.
    pub fn note(&self, what: fmt::Arguments<'_>) {
        self.add(what.to_string());
    }

    /// Notes how a client's transaction ended.
    pub fn ended<T>(
        &self,
        workload: &'static str,
        client: ClientNumber,
        what: fmt::Arguments<'_>,
        fate: &Fate<T>,
    ) {
        let end = match fate {
            Fate::Committed(_) => "committed".to_string(),
            Fate::Aborted(failure) => format!("aborted, {failure}"),
            Fate::Unknown(failure) => format!("unknown, {failure}"),
        };
        {
            let mut state = self.0.lock();
            let counts = state.counts.entry(workload).or_default();
            match fate {
                Fate::Committed(_) => counts.committed += 1,
                Fate::Aborted(_) => counts.aborted += 1,
                Fate::Unknown(_) => counts.unknown += 1,
            }
        }
        self.add(format!("client {}: {workload}: {what}: {end}", client.0));
    }

    fn add(&self, line: String) {
        let mut state = self.0.lock();
        let line = format!("[{}] {line}", state.tick);
        state.fingerprint.bytes(line.as_bytes());
        if state.lines.len() == LINES_KEPT_MAX {
            state.lines.pop_front();
        }
        state.lines.push_back(line);
    }

    pub fn fingerprint(&self) -> u64 {
        self.0.lock().fingerprint.value()
    }

    /// The last lines, oldest first.
    pub fn last_lines(&self, count: usize) -> Vec<String> {
        let state = self.0.lock();
        state.lines.iter().skip(state.lines.len().saturating_sub(count)).cloned().collect()
    }

    /// How the transactions of each workload ended.
    pub fn counts(&self) -> BTreeMap<&'static str, Counts> {
        self.0.lock().counts.clone()
    }
}
