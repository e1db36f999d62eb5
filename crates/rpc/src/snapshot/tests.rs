use std::sync::Arc;

use env::{Env, Simulation};
use futures::FutureExt;
use keys::{NodeId, RangeId, StoreId};
use proto::v1;
use proto::v1::snapshot_part::Part;
use raft::{Body, Message, ReplicaId, Term};
use replication::SendError;
use storage::{Keyspace, WriteBatch};

use super::{Kept, receive};

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
        snapshot_id: 5,
        first_chunk: 0,
    };
    let chunks = [chunk(1), chunk(2)];
    let mut checksum = crc32fast::Hasher::new();
    chunks.iter().for_each(|chunk| checksum.update(&chunk.checksum.to_be_bytes()));
    let end = v1::SnapshotEnd { chunk_count: 2, checksum: checksum.finalize() };
    let [first, second] = chunks;
    vec![Part::Header(header), Part::Chunk(first), Part::Chunk(second), Part::End(end)]
}

fn receive_all(parts: Vec<Part>) -> Result<usize, SendError> {
    receive_with(&Arc::default(), parts)
}

fn receive_with(kept: &Arc<Kept>, parts: Vec<Part>) -> Result<usize, SendError> {
    let env: Arc<dyn Env> = Simulation::new(1).machine();
    let stream = futures::stream::iter(parts.into_iter().map(|one| Ok(v1::SnapshotPart { part: Some(one) })));
    let received = receive(&env, kept, NodeId(1), stream).now_or_never().expect("nothing to wait for")?;
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
    assert_eq!(receive_all(damaged), Err(SendError("the snapshot is damaged: a checksum is wrong".into())));
    let mut unknown = parts();
    if let Part::Header(header) = &mut unknown[0] {
        header.parts[0].keyspace = 99;
    }
    assert!(receive_all(unknown).is_err());
}

#[test]
fn what_came_before_a_snapshot_was_cut_off_need_not_come_again() {
    let kept = Arc::new(Kept::default());
    let mut whole = parts();
    let rest = whole.split_off(2);
    assert!(receive_with(&kept, whole).is_err(), "cut off after a chunk");
    assert_eq!((kept.chunks(NodeId(1), 5), kept.chunks(NodeId(2), 5), kept.chunks(NodeId(1), 6)), (1, 0, 0));
    let header = |first_chunk| {
        let Part::Header(header) = parts().remove(0) else { panic!("it begins with a header") };
        Part::Header(v1::SnapshotHeader { first_chunk, ..header })
    };
    let with = |first_chunk| std::iter::once(header(first_chunk)).chain(rest.clone()).collect::<Vec<_>>();
    assert_eq!(receive_with(&kept, with(1)), Ok(2));
    assert_eq!(kept.chunks(NodeId(1), 5), 0, "it was used");
    let lost = "what came of the snapshot before is not kept";
    assert_eq!(receive_with(&kept, with(1)), Err(SendError(lost.into())));
    assert!(receive_with(&kept, with(0)).is_err(), "a chunk is missing");
    assert_eq!(kept.chunks(NodeId(1), 5), 0, "what is wrong is not kept");
}
