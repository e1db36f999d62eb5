//! Snapshots: the state of a range, streamed to another store.
//!
//! ```text
//!   header (range, message, parts)   chunk, chunk, ... (each with its checksum)   end (count, checksum of checksums)
//! ```
//!
//! The sender reads one chunk ahead of what the connection takes, on a lane, and keeps to a rate that all its snapshots
//! share. The receiver refuses before it takes anything in when it has enough to do, and gives up what becomes too large; what
//! it takes is handed over only when the end has come and all checksums are right.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use env::{Env, Lane};
use futures::{Stream, StreamExt};
use keys::{Key, RangeId, Span, StoreId};
use parking_lot::Mutex;
use proto::v1;
use proto::v1::snapshot_part::Part;
use raft::Message;
use replication::{ReceivedSnapshot, SendError, SnapshotStream};
use storage::{Checkpoint, Keyspace, WriteBatch};

use crate::limits;
use crate::metrics::Metrics;
use crate::network::Shared;
use crate::peer::Class;

/// A rate that several share: each takes a time slot for what it sends.
pub(crate) struct RateLimit {
    bytes_per_second: AtomicU64,
    /// When the slots given out end, by the monotonic clock.
    taken_until: Mutex<Duration>,
}

impl RateLimit {
    pub fn new(bytes_per_second: u64) -> RateLimit {
        RateLimit {
            bytes_per_second: AtomicU64::new(bytes_per_second),
            taken_until: Mutex::new(Duration::ZERO),
        }
    }

    /// Changes the rate of what is sent from now on.
    pub fn set(&self, bytes_per_second: u64) {
        self.bytes_per_second.store(bytes_per_second, Ordering::Relaxed);
    }

    /// Takes the next slot for so many bytes; when it begins.
    fn take(&self, bytes: usize, now: Duration) -> Duration {
        let rate = self.bytes_per_second.load(Ordering::Relaxed).max(1);
        let length = Duration::from_secs_f64(bytes as f64 / rate as f64);
        let mut taken_until = self.taken_until.lock();
        let begin = (*taken_until).max(now);
        *taken_until = begin + length;
        begin
    }
}

/// What is left to send.
enum Sending {
    Header(v1::SnapshotHeader, Box<dyn Checkpoint>),
    Chunks { checkpoint: Box<dyn Checkpoint>, count: u32, checksum: crc32fast::Hasher },
    Done,
}

/// What sending needs.
struct Source {
    env: Arc<dyn Env>,
    lane: Lane,
    rate: Arc<RateLimit>,
    metrics: Arc<Metrics>,
}

impl Source {
    /// The next part. An error ends the stream without an end, which the receiver refuses.
    async fn next(&self, sending: Sending) -> Option<(v1::SnapshotPart, Sending)> {
        match sending {
            Sending::Header(header, checkpoint) => {
                let rest = Sending::Chunks { checkpoint, count: 0, checksum: crc32fast::Hasher::new() };
                Some((part(Part::Header(header)), rest))
            }
            Sending::Chunks { mut checkpoint, count, mut checksum } => {
                let read = self.lane.run(move || {
                    let chunk = checkpoint.next_chunk(limits::SNAPSHOT_CHUNK_BYTES);
                    (chunk, checkpoint)
                });
                let (chunk, checkpoint) = read.await;
                match chunk {
                    Ok(Some(chunk)) => {
                        let bytes = chunk.into_bytes();
                        let begin = self.rate.take(bytes.len(), self.env.monotonic());
                        self.env.sleep_until(begin).await;
                        self.metrics.snapshot_bytes_sent.inc_by(bytes.len() as u64);
                        let own = crc32fast::hash(&bytes);
                        checksum.update(&own.to_be_bytes());
                        let chunk = v1::SnapshotChunk { batch: bytes, checksum: own };
                        let rest = Sending::Chunks { checkpoint, count: count + 1, checksum };
                        Some((part(Part::Chunk(chunk)), rest))
                    }
                    Ok(None) => {
                        let end = v1::SnapshotEnd { chunk_count: count, checksum: checksum.finalize() };
                        Some((part(Part::End(end)), Sending::Done))
                    }
                    Err(error) => {
                        tracing::error!(%error, "a snapshot cannot be read");
                        None
                    }
                }
            }
            Sending::Done => None,
        }
    }
}

fn part(part: Part) -> v1::SnapshotPart {
    v1::SnapshotPart { part: Some(part) }
}

/// Sends a snapshot to a store.
pub(crate) async fn send(
    shared: Arc<Shared>,
    to: StoreId,
    snapshot: SnapshotStream,
) -> Result<(), SendError> {
    let peer = shared.node_of(to).and_then(|node| shared.peer(node));
    let peer = peer.ok_or_else(|| SendError(format!("which node has store {to} is not known")))?;
    let connection = peer.connection(Class::Bulk).await.map_err(|error| SendError(error.to_string()))?;
    let SnapshotStream { range, from, stamp, message, parts, checkpoint } = snapshot;
    let mut encoded = Vec::new();
    message.encode(&mut encoded);
    let spans = parts.into_iter().map(|(keyspace, span)| v1::SnapshotSpan {
        keyspace: keyspace as u32,
        start: span.start.to_vec().into(),
        end: span.end.to_vec().into(),
    });
    let header = v1::SnapshotHeader {
        to_store: to.0,
        from_store: from.0,
        stamp,
        range_id: range.0,
        message: encoded.into(),
        parts: spans.collect(),
    };
    let source = Arc::new(Source {
        env: shared.env.clone(),
        lane: shared.snapshot_lane.clone(),
        rate: shared.snapshot_rate.clone(),
        metrics: shared.metrics.clone(),
    });
    let metrics = Arc::clone(&shared.metrics);
    drop(shared);
    let stream = futures::stream::unfold(Sending::Header(header, checkpoint), move |sending| {
        let source = Arc::clone(&source);
        async move { source.next(sending).await }
    });
    let result = match connection.node().snapshot(Box::pin(stream)).await {
        Ok(answer) => match answer.into_inner().refusal {
            refusal if refusal.is_empty() => Ok(()),
            refusal => Err(SendError(refusal)),
        },
        Err(_) if connection.is_closed() => Err(SendError(connection.reason())),
        Err(status) => Err(SendError(status.message().to_string())),
    };
    match &result {
        Ok(()) => metrics.snapshots_sent.inc(),
        Err(_) => metrics.snapshots_failed.inc(),
    };
    result
}

/// Takes a snapshot in, as it was sent.
pub(crate) async fn receive<S>(mut stream: S) -> Result<(StoreId, ReceivedSnapshot), SendError>
where
    S: Stream<Item = Result<v1::SnapshotPart, tonic::Status>> + Unpin,
{
    let wrong = |why: &str| SendError(format!("the snapshot is damaged: {why}"));
    let Some(Part::Header(header)) = next_part(&mut stream).await? else {
        return Err(wrong("it has no header"));
    };
    let to = StoreId(header.to_store);
    let message = Message::decode(&header.message).map_err(|error| wrong(&error.to_string()))?;
    let mut parts = Vec::with_capacity(header.parts.len());
    for span in header.parts {
        let keyspace = u8::try_from(span.keyspace).ok().and_then(Keyspace::from_code);
        let keyspace = keyspace.ok_or_else(|| wrong("it has an unknown keyspace"))?;
        parts.push((keyspace, Span { start: Key::copy_from(&span.start), end: Key::copy_from(&span.end) }));
    }
    let (mut chunks, mut size, mut checksum) = (Vec::new(), 0, crc32fast::Hasher::new());
    loop {
        match next_part(&mut stream).await? {
            Some(Part::Chunk(chunk)) => {
                if crc32fast::hash(&chunk.batch) != chunk.checksum {
                    return Err(wrong("a checksum is wrong"));
                }
                checksum.update(&chunk.checksum.to_be_bytes());
                size += chunk.batch.len();
                if size > limits::SNAPSHOT_BYTES_MAX {
                    return Err(SendError(format!(
                        "the snapshot has more than {} bytes",
                        limits::SNAPSHOT_BYTES_MAX
                    )));
                }
                let batch =
                    WriteBatch::decode(chunk.batch.to_vec()).map_err(|error| wrong(&error.to_string()))?;
                chunks.push(batch);
            }
            Some(Part::End(end)) => {
                if end.chunk_count as usize != chunks.len() || end.checksum != checksum.finalize() {
                    return Err(wrong("it is not complete"));
                }
                break;
            }
            Some(Part::Header(_)) => return Err(wrong("it has two headers")),
            None => return Err(wrong("it ends too early")),
        }
    }
    let received = ReceivedSnapshot {
        range: RangeId(header.range_id),
        from: StoreId(header.from_store),
        stamp: header.stamp,
        message,
        parts,
        chunks,
    };
    Ok((to, received))
}

async fn next_part<S>(stream: &mut S) -> Result<Option<Part>, SendError>
where
    S: Stream<Item = Result<v1::SnapshotPart, tonic::Status>> + Unpin,
{
    match stream.next().await {
        None => Ok(None),
        Some(Err(status)) => Err(SendError(format!("the snapshot is cut off: {}", status.message()))),
        Some(Ok(part)) => Ok(Some(part.part.ok_or_else(|| SendError("a part of no kind".to_string()))?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use raft::{Body, ReplicaId, Term};

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn senders_share_one_rate() {
        let rate = RateLimit::new(1000);
        assert_eq!(rate.take(500, SECOND), SECOND);
        assert_eq!(rate.take(500, SECOND), SECOND + SECOND / 2);
        assert_eq!(rate.take(1, 5 * SECOND), 5 * SECOND, "what was not used is not saved up");
        rate.set(100);
        rate.take(100, 9 * SECOND);
        assert_eq!(rate.take(1, 9 * SECOND), 10 * SECOND, "another rate holds from the next slot on");
    }

    fn chunk(value: u8) -> v1::SnapshotChunk {
        let mut batch = WriteBatch::new();
        batch.put(Keyspace::Current, b"k", &[value]);
        let bytes = batch.into_bytes();
        v1::SnapshotChunk { checksum: crc32fast::hash(&bytes), batch: bytes }
    }

    fn parts() -> Vec<Part> {
        let message = Message { from: ReplicaId(1), to: ReplicaId(2), term: Term(1), body: Body::TimeoutNow };
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        let span = v1::SnapshotSpan { keyspace: 1, start: vec![1].into(), end: vec![2].into() };
        let header = v1::SnapshotHeader {
            to_store: 2,
            from_store: 1,
            stamp: vec![9].into(),
            range_id: 3,
            message: bytes.into(),
            parts: vec![span],
        };
        let chunks = [chunk(1), chunk(2)];
        let mut checksum = crc32fast::Hasher::new();
        chunks.iter().for_each(|chunk| checksum.update(&chunk.checksum.to_be_bytes()));
        let end = v1::SnapshotEnd { chunk_count: 2, checksum: checksum.finalize() };
        let [first, second] = chunks;
        vec![Part::Header(header), Part::Chunk(first), Part::Chunk(second), Part::End(end)]
    }

    fn receive_all(parts: Vec<Part>) -> Result<usize, SendError> {
        let stream = futures::stream::iter(parts.into_iter().map(|one| Ok(part(one))));
        let received = receive(stream).now_or_never().expect("nothing to wait for")?;
        assert_eq!((received.0, received.1.from, received.1.range), (StoreId(2), StoreId(1), RangeId(3)));
        Ok(received.1.chunks.len())
    }

    #[test]
    fn a_snapshot_is_taken_whole_or_not_at_all() {
        assert_eq!(receive_all(parts()), Ok(2));
        for missing in 0..4 {
            let mut some = parts();
            some.remove(missing);
            assert!(receive_all(some).is_err(), "without part {missing}");
        }
        let mut swapped = parts();
        swapped.swap(1, 2);
        assert!(receive_all(swapped).is_err(), "in another order");
        let mut damaged = parts();
        if let Part::Chunk(chunk) = &mut damaged[1] {
            let mut bytes = chunk.batch.to_vec();
            *bytes.last_mut().expect("it has bytes") ^= 1;
            chunk.batch = bytes.into();
        }
        assert_eq!(
            receive_all(damaged),
            Err(SendError("the snapshot is damaged: a checksum is wrong".into()))
        );
        let mut unknown = parts();
        if let Part::Header(header) = &mut unknown[0] {
            header.parts[0].keyspace = 99;
        }
        assert!(receive_all(unknown).is_err());
    }
}
