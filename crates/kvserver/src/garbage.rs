//! Collecting what nobody may read any more.
//!
//! The threshold is raised in memory before anything is removed: reads below it are refused from then on, and a read
//! that was evaluated without latch looks at the threshold once more when it is done. Nothing is written at or below the threshold
//! either: a collected deletion would not push a write above itself any more. And whoever asks what has changed since a
//! time below the threshold is told that nobody knows.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clock::Timestamp;
use keys::local::{RangeItem, range_item};
use keys::{Key, Span};
use kvapi::planted::Bug;
use kvapi::{BatchResponse, ClearSpanRequest, GarbageKey, GcRequest, KeyBlock, KvError, Response};
use smallvec::{SmallVec, smallvec};
use storage::mvcc::{self, GarbageBudget, Statistics};
use storage::{Keyspace, WriteBatch};

use crate::command::Effects;
use crate::read::read_error;
use crate::replica::{LatchGuard, RangeState, Replica};
use crate::store::Inner;
use crate::write::Sequenced;

/// Keys that one command clears: what it reads and counts is not to hold up others.
const CLEARED_KEYS_MAX: usize = 16_384;
/// What one command looks at and removes.
const BUDGET: GarbageBudget = GarbageBudget { keys_max: 1_024, versions_max: 16_384 };

/// Something that may be removed now.
struct Removal {
    sequenced: Sequenced,
    /// Reads below it are refused.
    threshold: Timestamp,
}

impl Inner {
    pub async fn collect_garbage(
        self: &Arc<Self>,
        replica: Arc<Replica>,
        request: &GcRequest,
    ) -> Result<BatchResponse, KvError> {
        let threshold = request.threshold;
        let mut keys: Vec<&GarbageKey> = request.keys.iter().collect();
        keys.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        keys.dedup_by(|a, b| a.key == b.key);
        let latched: KeyBlock = keys.iter().map(|garbage| &garbage.key[..]).collect();
        let within = |state: &RangeState| {
            keys.iter().try_for_each(|garbage| state.check_key(&garbage.key, &self.ranges))
        };
        let removal = self.latch_removal(&replica, latched, SmallVec::new(), threshold, within).await?;
        let mut batch = WriteBatch::new();
        let mut delta = Statistics::default();
        let engine = &*self.ranges.engine;
        for garbage in keys {
            let removed = mvcc::remove_garbage(
                engine,
                &garbage.key,
                garbage.timestamp,
                threshold,
                &mut batch,
                &mut delta,
            );
            removed.map_err(read_error)?;
        }
        self.replicate_removal(&replica, removal, batch, delta).await?;
        Ok(self.respond(Response::Done, Timestamp::ZERO, Timestamp::ZERO))
    }

    /// Removes all that a part of the range holds, some keys with each command.
    pub async fn clear_span(
        self: &Arc<Self>,
        replica: Arc<Replica>,
        request: &ClearSpanRequest,
    ) -> Result<BatchResponse, KvError> {
        let mut rest = request.span.clone();
        while !rest.is_empty() {
            let next = self.clear_some(&replica, &rest, request.threshold).await?;
            rest.start = next.unwrap_or_else(|| rest.end.clone());
        }
        Ok(self.respond(Response::Done, Timestamp::ZERO, Timestamp::ZERO))
    }

    /// Answers where to go on.
    async fn clear_some(
        self: &Arc<Self>,
        replica: &Arc<Replica>,
        span: &Span,
        threshold: Timestamp,
    ) -> Result<Option<Key>, KvError> {
        let within = |state: &RangeState| state.check_span(span, &self.ranges);
        let spans = smallvec![span.clone()];
        let removal = self.latch_removal(replica, KeyBlock::new(), spans, threshold, within).await?;
        let mut batch = WriteBatch::new();
        let mut delta = Statistics::default();
        let engine = &*self.ranges.engine;
        let next = mvcc::clear_span(engine, span, CLEARED_KEYS_MAX, &mut batch, &mut delta);
        let next = next.map_err(read_error)?;
        self.replicate_removal(replica, removal, batch, delta).await?;
        Ok(next)
    }

    /// Raises the threshold, and latches what is to be removed: it must lie `within` the range before and after the wait, as a split
    /// may have passed.
    async fn latch_removal(
        &self,
        replica: &Arc<Replica>,
        keys: KeyBlock,
        spans: SmallVec<[Span; 1]>,
        threshold: Timestamp,
        within: impl Fn(&RangeState) -> Result<(), KvError>,
    ) -> Result<Removal, KvError> {
        let mut latch = {
            let mut guard = replica.state.lock();
            let state = &mut *guard;
            state.check_lease(&self.ranges)?;
            within(state)?;
            if !self.ranges.config.planted.has(Bug::CollectTooEarly) {
                state.raise_gc_threshold(threshold);
                replica.gc_threshold_wall.fetch_max(state.gc_threshold.wall, Ordering::AcqRel);
            }
            LatchGuard::take(replica, state, keys, spans, Timestamp::MAX)
        };
        latch.granted().await?;
        let mut state = replica.state.lock();
        within(&state)?;
        let lease = state.check_lease(&self.ranges)?;
        let threshold = state.gc_threshold.max(threshold);
        Ok(Removal { sequenced: Sequenced { latch, lease, timestamp: Timestamp::MAX }, threshold })
    }

    /// The threshold is kept together with what is removed below it.
    async fn replicate_removal(
        self: &Arc<Self>,
        replica: &Arc<Replica>,
        removal: Removal,
        mut batch: WriteBatch,
        delta: Statistics,
    ) -> Result<(), KvError> {
        let Removal { sequenced, threshold } = removal;
        let key = range_item(replica.id, RangeItem::GcThreshold);
        batch.put(Keyspace::RangeLocal, &key, &threshold.to_bytes());
        let effects = Effects { gc_threshold: Some(threshold), ..Effects::default() };
        self.replicate(replica, sequenced, delta, effects, &batch, None).await.map(drop)
    }

    /// Looks a range through and removes what is older than the time to live allows. Answers with the bytes freed.
    pub(crate) async fn sweep_garbage(self: &Arc<Self>, replica: &Arc<Replica>) -> Result<u64, KvError> {
        let now = self.ranges.clock.now();
        let early = self.ranges.config.planted.has(Bug::CollectTooEarly);
        let threshold =
            now.saturating_sub(if early { Duration::ZERO } else { self.ranges.tuning.get().gc_ttl });
        let mut freed = 0;
        let mut rest = Some(replica.state.lock().descriptor.span.clone());
        while let Some(span) = rest.take() {
            let found =
                mvcc::find_garbage(&*self.ranges.engine, &span, threshold, BUDGET).map_err(read_error)?;
            freed += found.bytes;
            rest = found.resume;
            if found.keys.is_empty() {
                continue;
            }
            let keys = found.keys.into_iter().map(|(key, timestamp)| GarbageKey { key, timestamp }).collect();
            let request = GcRequest { threshold, keys };
            self.collect_garbage(replica.clone(), &request).await?;
        }
        Ok(freed)
    }
}
