use super::*;
use crate::{Isolation, ReplicaKind, WriteCheck, WriteEntry};
use keys::{ReplicaId, StoreId};

fn meta() -> TxnMeta {
    TxnMeta {
        id: TxnId(7),
        anchor: Some(Key::from("k")),
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
        observed: SmallVec::from_iter([(NodeId(2), Timestamp::new(6, 0))]),
    };
    Header {
        range: RangeId(4),
        txn: Some(txn),
        timestamp: Timestamp::ZERO,
        wait_policy: WaitPolicy::SkipLocked,
        lock_timeout: Some(Duration::from_millis(7)),
        can_forward_read: true,
    }
}

fn writes() -> WriteBlock {
    let mut writes = WriteBlock::new();
    let checks =
        [WriteCheck::None, WriteCheck::MustNotExist, WriteCheck::UnchangedSince(Timestamp::new(1, 2))];
    for (index, check) in checks.into_iter().enumerate() {
        let key = [b'a' + index as u8];
        let value: Option<&[u8]> = (index > 0).then_some(b"value");
        writes.push(WriteEntry { key: &key, value, check, sequence: index as u32 });
    }
    writes
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
        replicas: vec![replica],
        next_replica: ReplicaId(4),
    }
}

/// One of every kind.
fn requests() -> Vec<Request> {
    let (key, span, txn) = (Key::from("k"), Span::new("a", "b"), meta());
    let intent = IntentRef { key: key.clone(), sequence: 3 };
    let claim =
        LockClaim { key: key.clone(), strength: LockStrength::NoKeyUpdate, since: Timestamp::new(1, 0) };
    let keys: KeyBlock = [&b"a"[..], b"", b"bc"].into_iter().collect();
    let update = IntentUpdate { span: span.clone(), txn: txn.clone(), status: TxnStatus::Aborted };
    vec![
        GetRequest { key: key.clone(), lock: LockStrength::Update, lock_absent: true }.into(),
        MultiGetRequest { keys, lock: LockStrength::KeyShare, lock_absent: false }.into(),
        ScanRequest {
            span: span.clone(),
            reverse: true,
            lock: LockStrength::Share,
            rows_max: 1,
            bytes_max: 2,
        }
        .into(),
        WriteRequest { writes: writes() }.into(),
        CommitRequest {
            commit: true,
            writes: writes(),
            one_phase: false,
            in_flight: vec![intent.clone()],
            intents: vec![span.clone()],
            locks: vec![claim.clone()],
            refresh: vec![span.clone()],
            refresh_is_complete: true,
            deadline: Some(Timestamp::new(8, 0)),
        }
        .into(),
        RefreshRequest { spans: vec![span.clone()], from: Timestamp::new(1, 1), locks: vec![claim] }.into(),
        HeartbeatTxnRequest { now: Timestamp::new(2, 2) }.into(),
        PushTxnRequest {
            pushee: txn.clone(),
            pusher: Some(TxnId(9)),
            pusher_priority: Priority::HIGH,
            kind: PushKind::Inquire,
            push_to: Timestamp::new(4, 4),
            force: true,
        }
        .into(),
        QueryTxnRequest { txn: txn.clone() }.into(),
        QueryIntentRequest { txn: txn.clone(), intent }.into(),
        RecoverTxnRequest { txn: txn.clone(), implicitly_committed: true }.into(),
        ForgetTxnRequest { txn }.into(),
        ResolveIntentsRequest { updates: vec![update] }.into(),
        RevertRequest { spans: vec![span.clone()], sequence: 5 }.into(),
        ReleaseLocksRequest { keys: [&b"a"[..], b"bc"].into_iter().collect() }.into(),
        ClearSpanRequest { span, threshold: Timestamp::new(1, 0) }.into(),
        SplitRequest { at: key.clone() }.into(),
        GcRequest {
            threshold: Timestamp::new(1, 0),
            keys: vec![GarbageKey { key: key.clone(), timestamp: Timestamp::new(1, 0) }],
        }
        .into(),
        RangeStatusRequest { key: key.clone() }.into(),
        ChangeReplicasRequest {
            key: key.clone(),
            add: vec![(NodeId(1), StoreId(2))],
            remove: vec![StoreId(3)],
            generation: 4,
        }
        .into(),
        TransferLeaseRequest { key, to: StoreId(2) }.into(),
        FoldRequest {
            scan: ScanRequest {
                span: Span::new("a", "b"),
                rows_max: 3,
                bytes_max: 4,
                ..ScanRequest::default()
            },
            program: b"program".to_vec(),
        }
        .into(),
        ProbeRequest {
            keys: [&b"a"[..], b"bc"].into_iter().collect(),
            are_prefixes: true,
            from: Key::from("ab"),
            program: b"program".to_vec(),
        }
        .into(),
    ]
}

fn responses() -> Vec<Response> {
    let mut rows = KvBlock::new();
    rows.push(b"a", b"1");
    rows.push_absent(b"b");
    rows.push(b"c", b"");
    let lease = Lease { holder: descriptor().replicas[0], term: 7, start: Timestamp::new(1, 0) };
    vec![
        Response::Get(Some(b"value".to_vec())),
        Response::Get(None),
        Response::Rows(ScanResponse { rows, resume: Some(Span::new("d", "e")) }),
        Response::Commit(CommitResponse { status: TxnStatus::Staging, timestamp: Timestamp::new(3, 0) }),
        Response::Txn(TxnStanding {
            txn: meta(),
            status: TxnStatus::Pending,
            recorded: true,
            expired: false,
            in_flight: vec![IntentRef { key: Key::from("x"), sequence: 1 }],
        }),
        Response::QueryIntent(true),
        Response::Split(Box::new(SplitResponse { left: descriptor(), right: descriptor() })),
        Response::RangeStatus(Box::new(RangeStatusResponse {
            descriptor: descriptor(),
            lease,
            size_bytes: 1,
            locks: 2,
            lock_waiters: 3,
        })),
        Response::Done,
        Response::Descriptor(Box::new(descriptor())),
        Response::Fold(FoldResponse {
            answer: b"answer".to_vec(),
            rows: 1,
            bytes: 2,
            resume: Some(Span::new("c", "d")),
        }),
        Response::Probe(ProbeResponse {
            answer: b"answer".to_vec(),
            rows: 1,
            bytes: 2,
            probed: 3,
            resume: Some(Key::from("c")),
        }),
    ]
}

fn errors() -> Vec<KvError> {
    let (key, lease) =
        (Key::from("k"), Lease { holder: descriptor().replicas[0], term: 7, start: Timestamp::ZERO });
    vec![
        KvError::RangeMismatch { descriptors: vec![descriptor()] },
        KvError::RangeNotFound { range: RangeId(1) },
        KvError::NotLeaseholder { range: RangeId(1), lease: Some(Box::new(lease)) },
        KvError::unavailable("no quorum"),
        KvError::Restart {
            reason: RestartReason::Uncertainty,
            timestamp: Timestamp::new(1, 0),
            key: Some(key.clone()),
        },
        KvError::IntentConflict { intents: vec![(key.clone(), meta())] },
        KvError::LockNotAvailable { key: key.clone(), holder: TxnId(1) },
        KvError::LockTimeout { key: key.clone(), holder: TxnId(1) },
        KvError::Deadlock { key: key.clone(), cycle: vec![TxnId(1), TxnId(2)] },
        KvError::ConditionFailed { key, value: b"old".to_vec() },
        KvError::BelowGcThreshold { timestamp: Timestamp::ZERO, threshold: Timestamp::new(1, 0) },
        KvError::ambiguous("lost"),
        KvError::invalid("wrong"),
        KvError::corruption("damaged"),
    ]
}

/// Whatever is cut off or put in place of a byte is refused or gives another value; nothing panics.
fn survives_damage<T>(bytes: &[u8], decode: impl Fn(&[u8]) -> Result<T, Malformed>) {
    for end in 0..bytes.len() {
        assert!(decode(&bytes[..end]).is_err(), "truncated at {end} of {}", bytes.len());
        for byte in [0, 1, 0x7f, 0xff] {
            let mut damaged = bytes.to_vec();
            damaged[end] = byte;
            // Either is fine: this looks for panics and for allocations beyond all bounds.
            drop(decode(&damaged));
        }
    }
    assert!(decode(&[bytes, &[0]].concat()).is_err(), "trailing bytes");
}

#[test]
fn every_request_travels_and_damage_is_refused() {
    let mut frozen = Vec::new();
    // Those that came later, one by one.
    let (mut fold, mut probe, mut release) = (Vec::new(), Vec::new(), Vec::new());
    for request in requests() {
        let to = match &request {
            Request::Fold(_) => &mut fold,
            Request::Probe(_) => &mut probe,
            Request::ReleaseLocks(_) => &mut release,
            _ => &mut frozen,
        };
        let batch = BatchRequest { header: header(), requests: SmallVec::from_iter([request]) };
        let bytes = batch.encode();
        assert_eq!(BatchRequest::decode(&bytes), Ok(batch));
        survives_damage(&bytes, BatchRequest::decode);
        to.extend(bytes);
    }
    assert_eq!(stdx::hash::fingerprint(&frozen), 9_761_814_115_880_110_192, "the format is frozen");
    assert_eq!(stdx::hash::fingerprint(&fold), 5_266_600_488_948_700_218, "the format is frozen");
    assert_eq!(stdx::hash::fingerprint(&probe), 9_758_010_075_452_967_190, "the format is frozen");
    assert_eq!(stdx::hash::fingerprint(&release), 12_907_247_287_831_109_901, "the format is frozen");
}

#[test]
fn every_answer_travels_and_damage_is_refused() {
    let answers = responses().into_iter().map(|response| {
        Ok(BatchResponse {
            responses: SmallVec::from_iter([response]),
            read_timestamp: Timestamp::new(1, 2),
            write_timestamp: Timestamp::new(3, 4),
            node: NodeId(2),
            now: Timestamp::new(5, 6),
        })
    });
    let mut frozen = Vec::new();
    // Those that came later, one by one.
    let (mut fold, mut probe) = (Vec::new(), Vec::new());
    for answer in answers.chain(errors().into_iter().map(Err)) {
        let bytes = encode_answer(&answer);
        assert_eq!(decode_answer(&bytes), Ok(answer.clone()));
        survives_damage(&bytes, decode_answer);
        let response = answer.as_ref().ok().and_then(|response| response.responses.first());
        let to = match response {
            Some(Response::Fold(_)) => &mut fold,
            Some(Response::Probe(_)) => &mut probe,
            _ => &mut frozen,
        };
        to.extend(bytes);
    }
    assert_eq!(stdx::hash::fingerprint(&fold), 18_293_883_526_520_925_828, "the format is frozen");
    assert_eq!(stdx::hash::fingerprint(&probe), 9_737_876_750_851_334_361, "the format is frozen");
    assert_eq!(stdx::hash::fingerprint(&frozen), 12_705_392_009_405_869_465, "the format is frozen");
}

#[test]
fn only_what_may_have_made_something_is_not_repeatable() {
    let batch =
        |request: Request| BatchRequest { header: header(), requests: SmallVec::from_iter([request]) };
    let once: Vec<Request> =
        requests().into_iter().filter(|one| !batch(one.clone()).is_repeatable()).collect();
    assert!(matches!(once[..], [Request::Write(_), Request::Commit(_)]));
}

/// What replicas are compared by. Came later than the lists above: its bytes are frozen here.
#[test]
fn what_compares_replicas_travels() {
    let there_and_back = |request: Request, frozen: &[u8]| {
        let mut bytes = Vec::new();
        request.put(&mut Writer(&mut bytes));
        assert_eq!(bytes, frozen);
        assert_eq!(Request::get(&mut Reader(&bytes)), Ok(request));
    };
    there_and_back(CheckReplicasRequest { key: Key::from("k") }.into(), &[22, 0, 0, 0, 1, b'k']);
    there_and_back(ChecksumRequest { check: 9 }.into(), &[23, 0, 0, 0, 0, 0, 0, 0, 9]);
    let bar = BarMergeRequest { key: Key::from("k"), range: RangeId(5), generation: 6 };
    let frozen = [25, 0, 0, 0, 1, b'k', 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 6];
    there_and_back(bar.into(), &frozen);

    let standing = |standing: ChecksumStanding, frozen: &[u8]| {
        let mut bytes = Vec::new();
        let response = Response::Checksum(standing);
        response.put(&mut Writer(&mut bytes));
        assert_eq!(bytes, [&[12], frozen].concat());
        assert_eq!(Response::get(&mut Reader(&bytes)), Ok(response));
    };
    standing(ChecksumStanding::Unknown, &[1]);
    standing(ChecksumStanding::Computing, &[2]);
    let done = [3, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 6];
    standing(ChecksumStanding::Done { index: 5, checksum: 6 }, &done);
    standing(ChecksumStanding::Failed("no".to_string()), &[4, 0, 0, 0, 2, b'n', b'o']);

    let found = ReplicaCheckResponse {
        descriptor: descriptor(),
        outcome: CheckOutcome::Different,
        index: 5,
        majority: Some(6),
        replicas: vec![ReplicaChecksum {
            node: NodeId(1),
            store: StoreId(2),
            standing: ChecksumStanding::Unknown,
        }],
    };
    let response = Response::ReplicaCheck(Box::new(found));
    let mut bytes = Vec::new();
    response.put(&mut Writer(&mut bytes));
    let after_descriptor =
        [2, 0, 0, 0, 0, 0, 0, 0, 5, 1, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 1];
    assert!(bytes.starts_with(&[11]) && bytes.ends_with(&after_descriptor), "{bytes:?}");
    assert_eq!(Response::get(&mut Reader(&bytes)), Ok(response));
}
