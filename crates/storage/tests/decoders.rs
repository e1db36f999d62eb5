//! Bytes that come from a disk or from another node are read or refused: whatever they are, no decoder panics, and none allocates
//! more than a small multiple of what it was given.
//!
//! What is tried are sound bytes with damage (that gets deep into a decoder) and noise. The decoders of SQL rows, keys and client
//! messages have the like in `types`, `keys` and `pgserver`.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use bytes::Bytes;
use clock::Timestamp;
use keys::{Key, NodeId, RangeId, ReplicaId, Span, StoreId};
use kvapi::{
    BatchRequest, BatchResponse, CommitRequest, CommitResponse, Header, IntentRef, IntentUpdate, Isolation,
    KeyBlock, KvBlock, KvError, LockClaim, LockStrength, MultiGetRequest, Priority, RangeDescriptor,
    ReplicaDescriptor, ReplicaKind, Request, ResolveIntentsRequest, Response, ScanResponse, Txn, TxnId,
    TxnMeta, TxnRecord, TxnStatus, WriteBlock, WriteCheck, WriteEntry, WriteRequest, transit,
};
use proptest::prelude::*;
use storage::mvcc::{Intent, Statistics, Version, parse_history_key};
use storage::{Keyspace, WriteBatch};

thread_local! {
    /// Bytes allocated on this thread, freed or not.
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: hands everything to the system's allocator, unchanged; the counter touches no memory of theirs.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.with(|allocated| allocated.set(allocated.get() + layout.size()));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A byte of input may become a small structure, and lists grow by doubling.
const ALLOCATED_PER_BYTE_MAX: usize = 256;
const ALLOCATED_MIN: usize = 4 << 10;

/// Reads bytes, and complains about what that allocates.
fn read<T>(what: &str, bytes: &[u8], decode: impl Fn(&[u8]) -> T) -> T {
    let before = ALLOCATED.with(Cell::get);
    let decoded = decode(bytes);
    let allocated = ALLOCATED.with(Cell::get) - before;
    let bound = ALLOCATED_MIN + ALLOCATED_PER_BYTE_MAX * bytes.len();
    assert!(allocated <= bound, "{what}: {allocated} bytes allocated for {} of input", bytes.len());
    decoded
}

/// Every decoder reads the bytes.
fn read_all(bytes: &[u8]) {
    let shared = Bytes::copy_from_slice(bytes);
    drop(read("TxnMeta", bytes, TxnMeta::decode));
    drop(read("TxnRecord", bytes, TxnRecord::decode));
    drop(read("RangeDescriptor", bytes, RangeDescriptor::decode));
    if let Ok(batch) = read("BatchRequest", bytes, BatchRequest::decode) {
        batch.requests.iter().for_each(look_at);
    }
    drop(read("an answer", bytes, transit::decode_answer));
    drop(read("a Raft message", bytes, |_| raft::Message::decode(&shared)));
    drop(read("ConfChange", bytes, |_| raft::ConfChange::decode(&shared)));
    drop(read("Configuration", bytes, raft::Configuration::decode));
    if let Ok(batch) = read("WriteBatch", bytes, |bytes| WriteBatch::decode(bytes)) {
        assert_eq!(batch.iter().count(), batch.len());
    }
    drop(read("Intent", bytes, Intent::decode));
    drop(read("Version", bytes, |bytes| Version::decode(bytes).map(drop)));
    drop(read("Statistics", bytes, Statistics::decode));
    drop(read("a key of the history", bytes, parse_history_key));
}

/// What was read must hold together: its rows can be walked, and writes ascend as whoever evaluates them relies on.
fn look_at(request: &Request) {
    let ascends = |writes: &WriteBlock| {
        let keys: Vec<&[u8]> = writes.keys().collect();
        assert!(keys.windows(2).all(|pair| pair[0] < pair[1]), "writes that do not ascend were let in");
    };
    match request {
        Request::MultiGet(get) => assert_eq!(get.keys.iter().count(), get.keys.len()),
        Request::Probe(probe) => assert_eq!(probe.keys.iter().count(), probe.keys.len()),
        Request::Write(write) => ascends(&write.writes),
        Request::Commit(commit) => ascends(&commit.writes),
        _ => {}
    }
}

fn meta() -> TxnMeta {
    TxnMeta {
        id: TxnId::of(NodeId(1), 7),
        anchor: Some(Key::from("anchor")),
        epoch: 1,
        sequence: 2,
        isolation: Isolation::Serializable,
        priority: Priority::NORMAL,
        start: Timestamp::new(3, 4),
        write_timestamp: Timestamp::new(5, 6),
    }
}

fn header() -> Header {
    let txn = Txn {
        meta: meta(),
        read_timestamp: Timestamp::new(5, 0),
        read_sequence: 1,
        uncertainty_limit: Timestamp::new(9, 0),
        observed: Default::default(),
    };
    Header {
        range: RangeId(4),
        txn: Some(txn),
        lock_timeout: Some(Duration::from_millis(7)),
        ..Header::default()
    }
}

fn writes() -> WriteBlock {
    let mut writes = WriteBlock::new();
    for (index, name) in ["a", "b", "cc"].into_iter().enumerate() {
        let check = WriteCheck::UnchangedSince(Timestamp::new(1, 2));
        let value: Option<&[u8]> = (index > 0).then_some(b"value");
        writes.push(WriteEntry { key: name.as_bytes(), value, check, sequence: index as u32 });
    }
    writes
}

fn requests() -> Vec<Request> {
    let keys: KeyBlock = [&b"a"[..], b"bc"].into_iter().collect();
    let key = Key::from("k");
    let claim = LockClaim { key: key.clone(), strength: LockStrength::Share, since: Timestamp::new(1, 0) };
    let update = IntentUpdate { span: Span::new("a", "b"), txn: meta(), status: TxnStatus::Aborted };
    vec![
        MultiGetRequest { keys, lock: LockStrength::KeyShare, lock_absent: false }.into(),
        WriteRequest { writes: writes() }.into(),
        CommitRequest {
            commit: true,
            writes: writes(),
            one_phase: false,
            in_flight: vec![IntentRef { key, sequence: 3 }],
            intents: vec![Span::new("a", "b")],
            locks: vec![claim],
            refresh: vec![Span::new("c", "d")],
            refresh_is_complete: true,
            deadline: Some(Timestamp::new(8, 0)),
        }
        .into(),
        ResolveIntentsRequest { updates: vec![update] }.into(),
    ]
}

fn answers() -> Vec<Result<BatchResponse, KvError>> {
    let mut rows = KvBlock::new();
    rows.push(b"a", b"1");
    rows.push_absent(b"b");
    let commit = CommitResponse { status: TxnStatus::Staging, timestamp: Timestamp::new(2, 2) };
    let answer = |response| BatchResponse {
        responses: [response].into_iter().collect(),
        read_timestamp: Timestamp::new(1, 0),
        write_timestamp: Timestamp::ZERO,
        node: NodeId(1),
        now: Timestamp::new(9, 0),
    };
    vec![
        Ok(answer(Response::Rows(ScanResponse { rows, resume: Some(Span::new("c", "d")) }))),
        Ok(answer(Response::Commit(commit))),
        Err(KvError::IntentConflict { intents: vec![(Key::from("k"), meta())] }),
        Err(KvError::RangeMismatch { descriptors: vec![descriptor()] }),
    ]
}

fn descriptor() -> RangeDescriptor {
    let replica = ReplicaDescriptor {
        node: NodeId(1),
        store: StoreId(2),
        replica: ReplicaId(3),
        kind: ReplicaKind::Voter,
    };
    RangeDescriptor {
        id: RangeId(3),
        span: Span::new("a", "c"),
        generation: 4,
        replicas: vec![replica; 3],
        next_replica: ReplicaId(4),
    }
}

fn messages() -> Vec<Vec<u8>> {
    let entry = |number: u64| raft::Entry {
        index: raft::Index(number),
        term: raft::Term(3),
        kind: raft::EntryKind::Normal,
        payload: Bytes::from_static(b"payload"),
    };
    let configuration = raft::Configuration::of_voters([raft::ReplicaId(1), raft::ReplicaId(2)]);
    let snapshot = raft::Snapshot {
        index: raft::Index(7),
        term: raft::Term(3),
        configuration,
        metadata: Bytes::from_static(b"here"),
    };
    let append = raft::Body::Append {
        previous_index: raft::Index(1),
        previous_term: raft::Term(1),
        entries: vec![entry(2), entry(3)],
        commit: raft::Index(1),
    };
    let bodies = [append, raft::Body::Snapshot(snapshot)];
    let encode = |body| {
        let (from, to, term) = (raft::ReplicaId(1), raft::ReplicaId(2), raft::Term(4));
        let mut bytes = Vec::new();
        raft::Message { from, to, term, body }.encode(&mut bytes);
        bytes
    };
    bodies.into_iter().map(encode).collect()
}

/// Sound bytes of every kind.
fn sound() -> Vec<Vec<u8>> {
    let mut all = messages();
    all.extend(requests().into_iter().map(|request| BatchRequest::new(header(), request).encode()));
    all.extend(answers().iter().map(transit::encode_answer));
    all.push(descriptor().encode());
    let record = TxnRecord {
        meta: meta(),
        status: TxnStatus::Staging,
        heartbeat: Timestamp::new(9, 0),
        in_flight: vec![IntentRef { key: Key::from("a"), sequence: 1 }; 3],
        intents: vec![Span::new("a", "b"); 3],
    };
    all.push(record.encode());
    let mut encoded_meta = Vec::new();
    meta().encode(&mut encoded_meta);
    all.push(encoded_meta);
    let configuration = raft::Configuration::of_voters((1..5).map(raft::ReplicaId));
    all.push(configuration.encode().to_vec());
    let changes = vec![raft::Change::AddVoter(raft::ReplicaId(9)), raft::Change::Remove(raft::ReplicaId(1))];
    let change = raft::ConfChange {
        changes,
        transition: raft::Transition::Auto,
        context: Bytes::from_static(b"context"),
    };
    all.push(change.encode().to_vec());
    let mut batch = WriteBatch::new();
    batch.put(Keyspace::Current, b"key", b"value");
    batch.delete_range(Keyspace::History, &Span::new("a", "b"));
    all.push(batch.into_bytes().to_vec());
    all.push(Statistics::default().encode().to_vec());
    all
}

/// One thing done to sound bytes.
#[derive(Clone, Debug)]
enum Damage {
    Set(prop::sample::Index, u8),
    /// A number, as lengths are, becomes another.
    Number(prop::sample::Index, u32, bool),
    Cut(prop::sample::Index),
    Repeat(prop::sample::Index, prop::sample::Index),
    Append(Vec<u8>),
}

fn any_damage() -> impl Strategy<Value = Damage> {
    let index = any::<prop::sample::Index>;
    let number = prop_oneof![Just(0u32), Just(1), Just(u32::MAX), Just(1 << 31), Just(1 << 28), any::<u32>()];
    prop_oneof![
        3 => (index(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        3 => (index(), number, any::<bool>()).prop_map(|(at, number, big)| Damage::Number(at, number, big)),
        1 => index().prop_map(Damage::Cut),
        1 => (index(), index()).prop_map(|(from, to)| Damage::Repeat(from, to)),
        1 => prop::collection::vec(any::<u8>(), 1..20).prop_map(Damage::Append),
    ]
}

fn damage(bytes: &mut Vec<u8>, damage: &Damage) {
    if bytes.is_empty() {
        return;
    }
    match damage {
        Damage::Set(at, byte) => {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
        Damage::Number(at, number, big) => {
            let at = at.index(bytes.len());
            let number = if *big { number.to_be_bytes() } else { number.to_le_bytes() };
            let end = bytes.len().min(at + 4);
            bytes[at..end].copy_from_slice(&number[..end - at]);
        }
        Damage::Cut(at) => bytes.truncate(at.index(bytes.len())),
        Damage::Repeat(from, to) => {
            let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
            let piece = bytes[from.min(to)..from.max(to)].to_vec();
            bytes.extend(piece);
        }
        Damage::Append(more) => bytes.extend(more),
    }
}

#[test]
fn sound_bytes_are_read() {
    assert!(sound().len() > 15);
    for bytes in sound() {
        read_all(&bytes);
    }
    let first = BatchRequest::new(header(), requests().swap_remove(1));
    assert_eq!(BatchRequest::decode(&first.encode()), Ok(first));
}

#[test]
fn a_count_takes_no_memory_without_what_it_counts() {
    // A change of a membership that tells of 1,024 members, and has none.
    read_all(&[1, 0, 0, 4, 0, 0]);
    read_all(&[1, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn damaged_bytes_are_read_or_refused(
        which in any::<prop::sample::Index>(),
        done in prop::collection::vec(any_damage(), 1..5),
    ) {
        let sound = sound();
        let mut bytes = sound[which.index(sound.len())].clone();
        for one in &done {
            damage(&mut bytes, one);
        }
        read_all(&bytes);
    }

    #[test]
    fn noise_is_read_or_refused(version in 0u8..3, noise in prop::collection::vec(any::<u8>(), 0..80)) {
        read_all(&noise);
        read_all(&[&[version], &noise[..]].concat());
    }
}
