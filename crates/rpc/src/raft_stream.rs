//! Raft messages to one peer: a bounded queue, and the stream that empties it.
//!
//! `send` only puts into the queue; what does not fit is lost, and so is everything while there is no connection: Raft
//! repeats what matters. The stream of the one open call takes whatever has gathered, many batches in one message, as
//! fast as the connection takes it. So one slow peer costs its queue's bound, and no sender waits.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures::Stream;
use keys::{RangeId, StoreId};
use parking_lot::Mutex;
use proto::v1;
use raft::Message;
use replication::{Envelope, RaftBatch};

use crate::limits;
use crate::metrics::Metrics;

/// - `bytes` is the size of what is in `batches`, and within the bound, as is their number.
/// - Empty unless `open` is the number of the stream that takes from it.
#[derive(Default)]
struct Inner {
    batches: VecDeque<(v1::RaftBatch, usize)>,
    bytes: usize,
    /// Streams are numbered, so that the end of an old one does not close its successor.
    open: Option<u64>,
    streams: u64,
    waker: Option<Waker>,
}

/// The queue of one peer. Lock order: leaf.
pub(crate) struct RaftQueue {
    inner: Mutex<Inner>,
    metrics: Arc<Metrics>,
}

impl RaftQueue {
    pub fn new(metrics: Arc<Metrics>) -> Arc<RaftQueue> {
        Arc::new(RaftQueue { inner: Mutex::new(Inner::default()), metrics })
    }

    /// Takes a batch, or loses it. Never waits.
    pub fn push(&self, to: StoreId, batch: RaftBatch) {
        let count = batch.envelopes.len() as u64;
        if self.inner.lock().open.is_none() {
            self.metrics.raft_lost.inc_by(count);
            return;
        }
        // Encoded outside of the lock: others push meanwhile.
        let (encoded, size) = encode(to, batch);
        let mut inner = self.inner.lock();
        let fits = inner.bytes + size <= limits::RAFT_QUEUE_BYTES_MAX
            && inner.batches.len() < limits::RAFT_QUEUE_COUNT_MAX;
        if inner.open.is_none() || !fits {
            self.metrics.raft_lost.inc_by(count);
            return;
        }
        self.metrics.raft_sent.inc_by(count);
        self.metrics.raft_queue_bytes.inc_by(size as i64);
        inner.bytes += size;
        inner.batches.push_back((encoded, size));
        if let Some(waker) = inner.waker.take() {
            drop(inner);
            waker.wake();
        }
    }

    /// The stream of a new connection; an older one ends.
    pub fn stream(self: &Arc<Self>) -> RaftStream {
        let mut inner = self.inner.lock();
        inner.streams += 1;
        let number = inner.streams;
        inner.open = Some(number);
        if let Some(waker) = inner.waker.take() {
            waker.wake();
        }
        RaftStream { queue: Arc::clone(self), number }
    }

    fn clear(&self, inner: &mut Inner) {
        self.metrics.raft_queue_bytes.dec_by(inner.bytes as i64);
        inner.batches.clear();
        inner.bytes = 0;
    }
}

/// What the open call sends.
pub(crate) struct RaftStream {
    queue: Arc<RaftQueue>,
    number: u64,
}

impl Stream for RaftStream {
    type Item = v1::RaftMessages;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<v1::RaftMessages>> {
        let mut inner = self.queue.inner.lock();
        if inner.open != Some(self.number) {
            return Poll::Ready(None);
        }
        let (mut batches, mut taken) = (Vec::new(), 0);
        while taken < limits::RAFT_BATCH_BYTES && batches.len() < limits::RAFT_BATCH_COUNT {
            let Some((batch, size)) = inner.batches.pop_front() else { break };
            taken += size;
            batches.push(batch);
        }
        if batches.is_empty() {
            inner.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        inner.bytes -= taken;
        self.queue.metrics.raft_queue_bytes.dec_by(taken as i64);
        Poll::Ready(Some(v1::RaftMessages { batches }))
    }
}

impl Drop for RaftStream {
    fn drop(&mut self) {
        let mut inner = self.queue.inner.lock();
        if inner.open == Some(self.number) {
            inner.open = None;
            self.queue.clear(&mut inner);
        }
    }
}

/// What a batch counts for beside its messages.
const BATCH_OVERHEAD_BYTES: usize = 32;
const ENVELOPE_OVERHEAD_BYTES: usize = 24;

fn encode(to: StoreId, batch: RaftBatch) -> (v1::RaftBatch, usize) {
    let mut size = BATCH_OVERHEAD_BYTES + batch.stamp.len();
    let mut envelopes = Vec::with_capacity(batch.envelopes.len());
    for Envelope { range, support, message } in batch.envelopes {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        size += bytes.len() + ENVELOPE_OVERHEAD_BYTES;
        envelopes.push(v1::RaftEnvelope { range_id: range.0, support, message: bytes.into() });
    }
    let encoded = v1::RaftBatch { to_store: to.0, from_store: batch.from.0, stamp: batch.stamp, envelopes };
    (encoded, size)
}

/// Takes a batch that has arrived. Messages that cannot be read are left out, and counted.
pub(crate) fn decode(batch: v1::RaftBatch, metrics: &Metrics) -> RaftBatch {
    let mut envelopes = Vec::with_capacity(batch.envelopes.len());
    for v1::RaftEnvelope { range_id, support, message } in batch.envelopes {
        let message: Bytes = message;
        match Message::decode(&message) {
            Ok(message) => envelopes.push(Envelope { range: RangeId(range_id), support, message }),
            Err(error) => {
                metrics.raft_malformed.inc();
                tracing::warn!(range = range_id, %error, "a Raft message cannot be read");
            }
        }
    }
    metrics.raft_received.inc_by(envelopes.len() as u64);
    RaftBatch { from: StoreId(batch.from_store), stamp: batch.stamp, envelopes }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt;
    use raft::{Body, Entry, EntryKind, Index, ReplicaId, Term};

    fn batch(number: u64, payload: usize) -> RaftBatch {
        let entry = Entry {
            index: Index(number),
            term: Term(1),
            kind: EntryKind::Normal,
            payload: Bytes::from(vec![7; payload]),
        };
        let body = Body::Append {
            previous_index: Index(number - 1),
            previous_term: Term(1),
            entries: vec![entry],
            commit: Index(0),
        };
        let message = Message { from: ReplicaId(1), to: ReplicaId(2), term: Term(1), body };
        let envelope = Envelope { range: RangeId(3), support: 9, message };
        RaftBatch { from: StoreId(1), stamp: Bytes::from_static(b"now"), envelopes: vec![envelope] }
    }

    fn next(stream: &mut RaftStream) -> Option<Vec<v1::RaftBatch>> {
        stream.next().now_or_never().flatten().map(|messages| messages.batches)
    }

    use futures::FutureExt;

    #[test]
    fn what_gathers_travels_together_in_order() {
        let metrics = Arc::new(Metrics::default());
        let queue = RaftQueue::new(Arc::clone(&metrics));
        queue.push(StoreId(2), batch(1, 1));
        assert_eq!(metrics.raft_lost.get(), 1, "nobody takes them");
        let mut stream = queue.stream();
        for number in 2..5 {
            queue.push(StoreId(2), batch(number, 10));
        }
        let taken = next(&mut stream).expect("three are waiting");
        let decoded: Vec<RaftBatch> = taken.into_iter().map(|one| decode(one, &metrics)).collect();
        assert_eq!(decoded, (2..5).map(|number| batch(number, 10)).collect::<Vec<_>>());
        assert!(next(&mut stream).is_none());
        assert_eq!(metrics.raft_queue_bytes.get(), 0);
    }

    #[test]
    fn a_peer_that_takes_nothing_costs_no_more_than_the_bound() {
        let metrics = Arc::new(Metrics::default());
        let queue = RaftQueue::new(Arc::clone(&metrics));
        let stream = queue.stream();
        for number in 1..100 {
            queue.push(StoreId(2), batch(number, 1 << 20));
        }
        assert!(metrics.raft_lost.get() > 0);
        assert!(metrics.raft_queue_bytes.get() as usize <= limits::RAFT_QUEUE_BYTES_MAX);
        drop(stream);
        assert_eq!(metrics.raft_queue_bytes.get(), 0, "what was for a lost connection is lost");
    }

    #[test]
    fn the_end_of_an_old_connection_does_not_close_the_new_one() {
        let metrics = Arc::new(Metrics::default());
        let queue = RaftQueue::new(Arc::clone(&metrics));
        let mut old = queue.stream();
        let mut new = queue.stream();
        assert!(old.next().now_or_never().is_some_and(|end| end.is_none()));
        drop(old);
        queue.push(StoreId(2), batch(1, 1));
        assert!(next(&mut new).is_some());
    }
}
