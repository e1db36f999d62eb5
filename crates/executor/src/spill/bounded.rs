//! A bound on what a session's statements spill (temp_file_limit), and a count of what all of a node's do.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use types::{PgError, PgResult, SqlState};

use super::{SpillFile, SpillStore};

/// A store whose files together hold at most so many bytes.
///
/// - `used` is the sum of the lengths of the files that have not been dropped.
#[derive(Debug)]
pub struct BoundedSpill {
    store: Arc<dyn SpillStore>,
    usage: Arc<Usage>,
}

#[derive(Debug)]
struct Usage {
    /// Bytes; [`u64::MAX`]: no bound.
    limit: AtomicU64,
    used: AtomicU64,
    /// Ever written.
    written: AtomicU64,
}

impl BoundedSpill {
    /// Over another store, without a bound so far.
    pub fn new(store: Arc<dyn SpillStore>) -> BoundedSpill {
        BoundedSpill {
            store,
            usage: Arc::new(Usage { limit: u64::MAX.into(), used: 0.into(), written: 0.into() }),
        }
    }

    /// Sets the bound, in bytes; files that exceed it already stay, but do not grow.
    pub fn set_limit(&self, bytes: Option<u64>) {
        self.usage.limit.store(bytes.unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Bytes that files hold now.
    pub fn used(&self) -> u64 {
        self.usage.used.load(Ordering::Relaxed)
    }

    /// Bytes that have ever been written.
    pub fn written(&self) -> u64 {
        self.usage.written.load(Ordering::Relaxed)
    }
}

impl SpillStore for BoundedSpill {
    fn create(&self) -> PgResult<Box<dyn SpillFile>> {
        Ok(Box::new(Counted { file: self.store.create()?, bytes: 0, usage: self.usage.clone() }))
    }
}

struct Counted {
    file: Box<dyn SpillFile>,
    bytes: u64,
    usage: Arc<Usage>,
}

impl SpillFile for Counted {
    fn append(&mut self, bytes: &[u8]) -> PgResult<()> {
        let more = bytes.len() as u64;
        let limit = self.usage.limit.load(Ordering::Relaxed);
        self.bytes += more;
        if self.usage.used.fetch_add(more, Ordering::Relaxed).saturating_add(more) > limit {
            let message = format!("temporary file size exceeds temp_file_limit ({}kB)", limit >> 10);
            return Err(PgError::new(SqlState::CONFIGURATION_LIMIT_EXCEEDED, message));
        }
        self.usage.written.fetch_add(more, Ordering::Relaxed);
        self.file.append(bytes)
    }

    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> PgResult<()> {
        self.file.read(offset, buffer)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.usage.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spill::MemorySpill;

    #[test]
    fn files_share_the_bound_and_give_back_what_they_held() {
        let store = BoundedSpill::new(Arc::new(MemorySpill::default()));
        let mut first = store.create().expect("made");
        first.append(&[1; 3000]).expect("no bound yet");
        store.set_limit(Some(4096));
        let mut second = store.create().expect("made");
        second.append(&[2; 1000]).expect("fits");
        let error = second.append(&[3; 1000]).expect_err("does not fit");
        assert_eq!(error.code(), SqlState::CONFIGURATION_LIMIT_EXCEEDED);
        assert_eq!(error.message(), "temporary file size exceeds temp_file_limit (4kB)");
        drop(first);
        let mut byte = [0];
        second.append(&[4; 1000]).expect("fits now");
        second.read(999, &mut byte).expect("reads");
        assert_eq!(byte, [2]);
    }
}
