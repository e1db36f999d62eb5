//! What came of it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// What came of one file.
#[derive(Clone, Debug, Default)]
pub struct FileReport {
    pub path: PathBuf,
    pub passed: usize,
    pub skipped: usize,
    /// Failed as the list of known failures says.
    pub known: usize,
    /// What the server said of each record that wants a feature it does not have (0A000).
    pub unsupported: Vec<String>,
    pub failures: Vec<Failure>,
    pub time: Duration,
}

#[derive(Clone, Debug)]
pub struct Failure {
    pub line: u32,
    pub sql: String,
    pub difference: String,
}

impl FileReport {
    /// One line, and the first failures in full.
    pub fn print(&self, failures_shown: usize) {
        let verdict = if self.failures.is_empty() { "ok  " } else { "FAIL" };
        let mut line = format!("{verdict} {}: {} passed", self.path.display(), self.passed);
        for (count, what) in [
            (self.failures.len(), "FAILED"),
            (self.unsupported.len(), "unsupported"),
            (self.known, "known"),
            (self.skipped, "skipped"),
        ] {
            if count > 0 {
                line.push_str(&format!(", {count} {what}"));
            }
        }
        println!("{line} ({:.1} s)", self.time.as_secs_f64());
        for failure in self.failures.iter().take(failures_shown) {
            println!("  {}:{}", self.path.display(), failure.line);
            for line in failure.sql.trim_end().lines().take(20) {
                println!("    | {line}");
            }
            println!("  {}\n", failure.difference.replace('\n', "\n  "));
        }
        if self.failures.len() > failures_shown {
            println!("  ... and {} more failures in this file", self.failures.len() - failures_shown);
        }
    }
}

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    pub files: Vec<FileReport>,
}

impl Summary {
    pub fn passed(&self) -> usize {
        self.files.iter().map(|file| file.passed).sum()
    }

    pub fn failed(&self) -> usize {
        self.files.iter().map(|file| file.failures.len()).sum()
    }

    pub fn known(&self) -> usize {
        self.files.iter().map(|file| file.known).sum()
    }

    pub fn unsupported(&self) -> usize {
        self.files.iter().map(|file| file.unsupported.len()).sum()
    }

    /// Nothing failed, and no more is unsupported than was allowed.
    pub fn is_success(&self, unsupported_max: usize) -> bool {
        self.failed() == 0 && self.unsupported() <= unsupported_max
    }

    /// What is not supported, most wanted first.
    pub fn unsupported_features(&self) -> Vec<(usize, &str)> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for message in self.files.iter().flat_map(|file| &file.unsupported) {
            *counts.entry(message).or_default() += 1;
        }
        let mut features: Vec<(usize, &str)> =
            counts.into_iter().map(|(message, count)| (count, message)).collect();
        features.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
        features
    }

    pub fn skipped(&self) -> usize {
        self.files.iter().map(|file| file.skipped).sum()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} passed, {} failed, {} unsupported, {} known failures, {} skipped in {} files",
            self.passed(),
            self.failed(),
            self.unsupported(),
            self.known(),
            self.skipped(),
            self.files.len()
        )
    }
}
