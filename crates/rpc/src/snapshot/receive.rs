//! The receiver's side.

use std::collections::BTreeMap;
use std::sync::Arc;

use env::Env;
use futures::{Stream, StreamExt};
use keys::{Key, NodeId, RangeId, Span, StoreId};
use parking_lot::Mutex;
use proto::v1;
use proto::v1::snapshot_part::Part;
use raft::Message;
use replication::{ReceivedSnapshot, SendError};
use storage::{Keyspace, WriteBatch};

use crate::limits;

/// A snapshot as far as it has come.
///
/// - `size` is the sum of the sizes of `chunks` as they travelled, `checksum` that of their checksums.
struct Taking {
    to: StoreId,
    received: ReceivedSnapshot,
    size: usize,
    checksum: crc32fast::Hasher,
}

fn damaged(why: &str) -> SendError {
    SendError(format!("the snapshot is damaged: {why}"))
}

impl Taking {
    fn begin(header: v1::SnapshotHeader) -> Result<Taking, SendError> {
        let message = Message::decode(&header.message).map_err(|error| damaged(&error.to_string()))?;
        let mut parts = Vec::with_capacity(header.parts.len());
        for span in header.parts {
            let keyspace = u8::try_from(span.keyspace).ok().and_then(Keyspace::from_code);
            let keyspace = keyspace.ok_or_else(|| damaged("it has an unknown keyspace"))?;
            parts.push((
                keyspace,
                Span { start: Key::copy_from(&span.start), end: Key::copy_from(&span.end) },
            ));
        }
        let received = ReceivedSnapshot {
            range: RangeId(header.range_id),
            from: StoreId(header.from_store),
            stamp: header.stamp,
            message,
            parts,
            chunks: Vec::new(),
        };
        let to = StoreId(header.to_store);
        Ok(Taking { to, received, size: 0, checksum: crc32fast::Hasher::new() })
    }

    fn take(&mut self, chunk: v1::SnapshotChunk) -> Result<(), SendError> {
        if crc32fast::hash(&chunk.batch) != chunk.checksum {
            return Err(damaged("a checksum is wrong"));
        }
        let size = self.size + chunk.batch.len();
        if size > limits::SNAPSHOT_BYTES_MAX {
            return Err(SendError(format!(
                "the snapshot has more than {} bytes",
                limits::SNAPSHOT_BYTES_MAX
            )));
        }
        let batch = WriteBatch::decode(chunk.batch.to_vec()).map_err(|error| damaged(&error.to_string()))?;
        self.size = size;
        self.checksum.update(&chunk.checksum.to_be_bytes());
        self.received.chunks.push(batch);
        Ok(())
    }

    fn end(self, end: &v1::SnapshotEnd) -> Result<(StoreId, ReceivedSnapshot), SendError> {
        let count = self.received.chunks.len();
        if end.chunk_count as usize != count || end.checksum != self.checksum.finalize() {
            return Err(damaged("it is not complete"));
        }
        Ok((self.to, self.received))
    }
}

/// Who sends, and the number that it drew.
type Name = (NodeId, u64);

/// Snapshots that were cut off, for a while.
///
/// - At most `SNAPSHOT_KEPT_BYTES_MAX` bytes; what has been kept longest makes room.
/// - `turn` counts what was ever kept: the one kept later has the higher.
#[derive(Default)]
pub(crate) struct Kept(Mutex<KeptState>);

#[derive(Default)]
struct KeptState {
    turn: u64,
    snapshots: BTreeMap<Name, (u64, Taking)>,
}

impl Kept {
    /// How many chunks of a snapshot are kept.
    pub fn chunks(&self, from: NodeId, id: u64) -> u32 {
        let state = self.0.lock();
        state.snapshots.get(&(from, id)).map_or(0, |(_, taking)| taking.received.chunks.len() as u32)
    }

    fn take(&self, name: Name) -> Option<Taking> {
        self.0.lock().snapshots.remove(&name).map(|(_, taking)| taking)
    }

    /// `None` if it is too large to be kept.
    fn keep(&self, name: Name, taking: Taking) -> Option<u64> {
        if taking.size > limits::SNAPSHOT_KEPT_BYTES_MAX {
            return None;
        }
        let mut state = self.0.lock();
        state.turn += 1;
        let turn = state.turn;
        state.snapshots.insert(name, (turn, taking));
        let bytes =
            |state: &KeptState| state.snapshots.values().map(|(_, taking)| taking.size).sum::<usize>();
        while bytes(&state) > limits::SNAPSHOT_KEPT_BYTES_MAX {
            let oldest = state.snapshots.iter().min_by_key(|(_, (turn, _))| *turn).map(|(name, _)| *name);
            state.snapshots.remove(&oldest?);
        }
        Some(turn)
    }

    fn forget(&self, name: Name, kept: u64) {
        let mut state = self.0.lock();
        if state.snapshots.get(&name).is_some_and(|(turn, _)| *turn == kept) {
            state.snapshots.remove(&name);
        }
    }

    /// Keeps it for a while.
    fn keep_for_a_while(self: &Arc<Self>, env: &Arc<dyn Env>, name: Name, taking: Taking) {
        let Some(turn) = self.keep(name, taking) else { return };
        let (kept, timer) = (Arc::downgrade(self), env.clone());
        let task = async move {
            timer.sleep(limits::SNAPSHOT_KEPT_TIME_MAX).await;
            if let Some(kept) = kept.upgrade() {
                kept.forget(name, turn);
            }
        };
        drop(env.spawn("snapshot-kept", Box::pin(task)));
    }
}

/// Takes a snapshot in, as it was sent by a node. What comes before a stream is cut off is kept.
pub(crate) async fn receive<S>(
    env: &Arc<dyn Env>,
    kept: &Arc<Kept>,
    from: NodeId,
    mut stream: S,
) -> Result<(StoreId, ReceivedSnapshot), SendError>
where
    S: Stream<Item = Result<v1::SnapshotPart, tonic::Status>> + Unpin,
{
    let Some(Part::Header(header)) = next_part(&mut stream).await? else {
        return Err(damaged("it has no header"));
    };
    let name = (from, header.snapshot_id);
    let before = kept.take(name).filter(|taking| taking.received.chunks.len() == header.first_chunk as usize);
    let mut taking = match (before, header.first_chunk) {
        (Some(before), _) => before,
        (None, 0) => Taking::begin(header)?,
        (None, _) => return Err(SendError("what came of the snapshot before is not kept".to_string())),
    };
    loop {
        match next_part(&mut stream).await {
            Ok(Some(Part::Chunk(chunk))) => taking.take(chunk)?,
            Ok(Some(Part::End(end))) => return taking.end(&end),
            Ok(Some(Part::Header(_))) => return Err(damaged("it has two headers")),
            Ok(None) => {
                kept.keep_for_a_while(env, name, taking);
                return Err(damaged("it ends too early"));
            }
            Err(error) => {
                kept.keep_for_a_while(env, name, taking);
                return Err(error);
            }
        }
    }
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
