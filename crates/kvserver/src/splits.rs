//! Why ranges are split, and how often.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use keys::Key;
use kvapi::{BatchResponse, KvError, Response, SplitRequest};

use crate::replica::Replica;
use crate::store::Inner;

/// Why a range is split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SplitReason {
    /// A statement asks for it.
    Statement,
    /// It is too large.
    Size,
    /// It is asked too often: see `hot`.
    Load,
    /// Something else is wanted of a part of its keys: see `placing`.
    Border,
}

impl SplitReason {
    const ALL: [SplitReason; 4] =
        [SplitReason::Statement, SplitReason::Size, SplitReason::Load, SplitReason::Border];

    /// As it is stored with the right half.
    pub fn code(self) -> u8 {
        self as u8 + 1
    }

    pub fn decode(stored: &[u8]) -> Option<SplitReason> {
        SplitReason::ALL.into_iter().find(|reason| stored == [reason.code()])
    }
}

/// Splits that were made here as the leaseholder since the store was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SplitReadings {
    pub by_statement: u64,
    pub by_size: u64,
    pub by_load: u64,
    pub by_border: u64,
}

/// Counts them.
#[derive(Debug, Default)]
pub(crate) struct SplitCounts([AtomicU64; 4]);

impl SplitCounts {
    fn count(&self, reason: SplitReason) {
        self.0[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub fn read(&self) -> SplitReadings {
        let read = |reason: SplitReason| self.0[reason as usize].load(Ordering::Relaxed);
        SplitReadings {
            by_statement: read(SplitReason::Statement),
            by_size: read(SplitReason::Size),
            by_load: read(SplitReason::Load),
            by_border: read(SplitReason::Border),
        }
    }
}

impl Inner {
    /// Splits a range at a key, for a reason.
    pub async fn split_for(
        self: &Arc<Self>,
        replica: Arc<Replica>,
        at: Key,
        reason: SplitReason,
    ) -> Result<BatchResponse, KvError> {
        let (range, rate) = (replica.id, replica.heat.rate());
        let response = self.split(replica, &SplitRequest { at }, reason).await?;
        if let Some(Response::Split(halves)) = response.responses.first()
            && halves.left.id != halves.right.id
        {
            self.ranges.splits.count(reason);
            let (right, at) = (halves.right.id, &halves.right.span.start);
            match reason {
                SplitReason::Statement => {}
                SplitReason::Load => {
                    tracing::info!(%range, %right, %at, rate, "a range was split that was asked too often");
                }
                SplitReason::Size | SplitReason::Border => {
                    tracing::debug!(%range, %right, %at, ?reason, "a range was split");
                }
            }
        }
        Ok(response)
    }
}
