//! The sender's side.

use std::sync::Arc;

use env::{Env, Lane};
use keys::StoreId;
use parking_lot::Mutex;
use proto::v1;
use proto::v1::snapshot_part::Part;
use replication::{SendError, SnapshotStream};
use stdx::{Backoff, Prng};
use storage::{Checkpoint, StorageError};
use tonic::Code;

use super::RateLimit;
use crate::connection::Connection;
use crate::limits;
use crate::metrics::Metrics;
use crate::network::Shared;
use crate::peer::{Class, Peer};

/// The checkpoint, as far as it was read.
struct Reading {
    checkpoint: Box<dyn Checkpoint>,
    count: u32,
    /// Of the checksums so far.
    checksum: crc32fast::Hasher,
}

impl Reading {
    fn next(&mut self) -> Result<Option<v1::SnapshotChunk>, StorageError> {
        let Some(chunk) = self.checkpoint.next_chunk(limits::SNAPSHOT_CHUNK_BYTES)? else { return Ok(None) };
        let batch = chunk.into_bytes();
        let checksum = crc32fast::hash(&batch);
        self.checksum.update(&checksum.to_be_bytes());
        self.count += 1;
        Ok(Some(v1::SnapshotChunk { batch, checksum }))
    }

    /// So that the chunk of this number is the next one.
    fn go_to(&mut self, number: u32) -> Result<(), StorageError> {
        self.checkpoint.rewind();
        (self.count, self.checksum) = (0, crc32fast::Hasher::new());
        while self.count < number && self.next()?.is_some() {}
        Ok(())
    }

    fn end(&self) -> v1::SnapshotEnd {
        v1::SnapshotEnd { chunk_count: self.count, checksum: self.checksum.clone().finalize() }
    }
}

/// What sending needs.
struct Source {
    /// Locked on the lane alone.
    reading: Arc<Mutex<Reading>>,
    env: Arc<dyn Env>,
    lane: Lane,
    rate: Arc<RateLimit>,
    metrics: Arc<Metrics>,
}

#[derive(Clone, Copy)]
enum Next {
    Header,
    Chunk,
    Nothing,
}

impl Source {
    /// The next part. An error ends the stream without an end, which the receiver refuses.
    async fn next(&self, header: &v1::SnapshotHeader, next: Next) -> Option<(v1::SnapshotPart, Next)> {
        let (part, next) = match next {
            Next::Header => (Part::Header(header.clone()), Next::Chunk),
            Next::Chunk => {
                let reading = self.reading.clone();
                let read = self.lane.run(move || {
                    let mut reading = reading.lock();
                    let chunk = reading.next();
                    chunk.map(|chunk| chunk.ok_or_else(|| reading.end()))
                });
                match read.await {
                    Ok(Ok(chunk)) => {
                        let begin = self.rate.take(chunk.batch.len(), self.env.monotonic());
                        self.env.sleep_until(begin).await;
                        self.metrics.snapshot_bytes_sent.inc_by(chunk.batch.len() as u64);
                        (Part::Chunk(chunk), Next::Chunk)
                    }
                    Ok(Err(end)) => (Part::End(end), Next::Nothing),
                    Err(error) => {
                        tracing::error!(%error, "a snapshot cannot be read");
                        return None;
                    }
                }
            }
            Next::Nothing => return None,
        };
        Some((v1::SnapshotPart { part: Some(part) }, next))
    }
}

/// How an attempt failed.
enum Failure {
    /// The receiver does not want it, or it cannot be sent.
    Final(SendError),
    /// The connection broke, or could not be made.
    Broken(SendError),
}

fn broken(error: impl ToString) -> Failure {
    Failure::Broken(SendError(error.to_string()))
}

/// Sends a snapshot to a store.
pub(crate) async fn send(
    shared: Arc<Shared>,
    to: StoreId,
    snapshot: SnapshotStream,
) -> Result<(), SendError> {
    let peer = shared.node_of(to).and_then(|node| shared.peer(node));
    let peer = peer.ok_or_else(|| SendError(format!("which node has store {to} is not known")))?;
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
        snapshot_id: shared.env.entropy(),
        first_chunk: 0,
    };
    let reading = Reading { checkpoint, count: 0, checksum: crc32fast::Hasher::new() };
    let source = Arc::new(Source {
        reading: Arc::new(Mutex::new(reading)),
        env: shared.env.clone(),
        lane: shared.snapshot_lane.clone(),
        rate: shared.snapshot_rate.clone(),
        metrics: shared.metrics.clone(),
    });
    drop(shared);
    let result = send_in_pieces(&peer, &source, header).await;
    match &result {
        Ok(()) => source.metrics.snapshots_sent.inc(),
        Err(_) => source.metrics.snapshots_failed.inc(),
    };
    result
}

/// Goes on where it was cut off, as long as that is not too long ago.
async fn send_in_pieces(
    peer: &Peer,
    source: &Arc<Source>,
    mut header: v1::SnapshotHeader,
) -> Result<(), SendError> {
    let mut prng = Prng::new(source.env.entropy());
    let mut backoff = Backoff::new(limits::RECONNECT_WAIT_INITIAL, limits::RECONNECT_WAIT_MAX);
    let mut give_up_at = None;
    loop {
        let error = match attempt(peer, source, &mut header, give_up_at.is_some()).await {
            Ok(()) => return Ok(()),
            Err(Failure::Final(error)) => return Err(error),
            Err(Failure::Broken(error)) => error,
        };
        let now = source.env.monotonic();
        if now >= *give_up_at.get_or_insert(now + limits::SNAPSHOT_RESUME_TIME_MAX) {
            return Err(error);
        }
        source.env.sleep(backoff.next_wait(&mut prng)).await;
    }
}

async fn attempt(
    peer: &Peer,
    source: &Arc<Source>,
    header: &mut v1::SnapshotHeader,
    is_again: bool,
) -> Result<(), Failure> {
    let connection = peer.connection(Class::Bulk).await.map_err(broken)?;
    if is_again {
        go_on(&connection, source, header).await?;
    }
    let (source, header) = (Arc::clone(source), Arc::new(header.clone()));
    let stream = futures::stream::unfold(Next::Header, move |next| {
        let (source, header) = (Arc::clone(&source), Arc::clone(&header));
        async move { source.next(&header, next).await }
    });
    match connection.node().snapshot(Box::pin(stream)).await {
        Ok(answer) => match answer.into_inner().refusal {
            refusal if refusal.is_empty() => Ok(()),
            refusal => Err(Failure::Final(SendError(refusal))),
        },
        Err(_) if connection.is_closed() => Err(broken(connection.reason())),
        Err(status) => Err(Failure::Final(SendError(status.message().to_string()))),
    }
}

/// Prepares to send what the receiver has not kept.
async fn go_on(
    connection: &Connection,
    source: &Arc<Source>,
    header: &mut v1::SnapshotHeader,
) -> Result<(), Failure> {
    let request = v1::SnapshotProgressRequest { snapshot_id: header.snapshot_id };
    header.first_chunk = match connection.node().snapshot_progress(request).await {
        Ok(answer) => answer.into_inner().chunk_count,
        // A node of a version that keeps nothing.
        Err(status) if status.code() == Code::Unimplemented => 0,
        Err(_) if connection.is_closed() => return Err(broken(connection.reason())),
        Err(status) => return Err(Failure::Final(SendError(status.message().to_string()))),
    };
    if header.first_chunk > 0 {
        source.metrics.snapshots_resumed.inc();
    }
    let (reading, first) = (source.reading.clone(), header.first_chunk);
    let gone = source.lane.run(move || reading.lock().go_to(first)).await;
    gone.map_err(|error| Failure::Final(SendError(error.to_string())))
}
