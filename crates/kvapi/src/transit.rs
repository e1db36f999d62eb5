//! The byte forms of what travels between nodes: batches, their answers, and errors.
//!
//! Unlike the records of [`crate::wire`] these bytes are never stored. Two nodes understand each other if the first byte, the
//! version, is the same; which versions nodes speak they tell each other when they connect. Within a version the
//! forms are frozen by the tests below.
//!
//! Integers are big-endian and of fixed width, lists and byte strings carry a 32-bit length, variants a byte. A reader bounds
//! what it allocates by the bytes that it was given.

use std::time::Duration;

use clock::Timestamp;
use keys::{Key, NodeId, RangeId, Span, StoreId};
use smallvec::SmallVec;

use crate::wire::{Malformed, Reader, Writer};
use crate::{
    BarMergeRequest, BatchRequest, BatchResponse, ChangeReplicasRequest, CheckOutcome, CheckReplicasRequest,
    ChecksumRequest, ChecksumStanding, ClearSpanRequest, CommitRequest, CommitResponse, FoldRequest,
    FoldResponse, ForgetTxnRequest, GarbageKey, GcRequest, GetRequest, Header, HeartbeatTxnRequest,
    IntentRef, IntentUpdate, KeyBlock, KvBlock, KvError, Lease, LockClaim, LockStrength, MultiGetRequest,
    Priority, ProbeRequest, ProbeResponse, PushKind, PushTxnRequest, QueryIntentRequest, QueryTxnRequest,
    RangeDescriptor, RangeStatusRequest, RangeStatusResponse, RecoverTxnRequest, RefreshRequest,
    ReleaseLocksRequest, ReplicaCheckResponse, ReplicaChecksum, ReplicaDescriptor, Request,
    ResolveIntentsRequest, Response, RestartReason, RevertRequest, ScanRequest, ScanResponse, SplitRequest,
    SplitResponse, TransferLeaseRequest, Txn, TxnId, TxnMeta, TxnStanding, TxnStatus, WaitPolicy, WriteBlock,
    WriteRequest,
};

/// The version of these forms.
pub const TRANSIT_VERSION: u8 = 1;

/// A value with a byte form.
pub(crate) trait Transit: Sized {
    fn put(&self, to: &mut Writer<'_>);
    fn get(from: &mut Reader<'_>) -> Result<Self, Malformed>;
}

/// Fields in the order given; none can be forgotten.
macro_rules! transit_struct {
    ($($name:ident { $($field:ident),* })*) => {$(
        impl Transit for $name {
            fn put(&self, to: &mut Writer<'_>) {
                let $name { $($field),* } = self;
                $($field.put(to);)*
            }

            fn get(from: &mut Reader<'_>) -> Result<Self, Malformed> {
                Ok($name { $($field: Transit::get(from)?),* })
            }
        }
    )*};
}

/// A byte for the variant, then its fields; no variant can be forgotten.
macro_rules! transit_enum {
    ($name:ident, $what:literal: $($code:literal $variant:ident $(($inner:ident))? $({ $($field:ident),* })?),*) => {
        impl Transit for $name {
            fn put(&self, to: &mut Writer<'_>) {
                match self {
                    $($name::$variant $(($inner))? $({ $($field),* })? => {
                        to.u8($code);
                        $($inner.put(to);)?
                        $($($field.put(to);)*)?
                    })*
                }
            }

            fn get(from: &mut Reader<'_>) -> Result<Self, Malformed> {
                Ok(match from.u8()? {
                    $($code => $name::$variant
                        $(({ let $inner = Transit::get(from)?; $inner }))?
                        $({ $($field: Transit::get(from)?),* })?,)*
                    _ => return Err(Malformed($what)),
                })
            }
        }
    };
}

transit_struct! {
    Header { range, txn, timestamp, wait_policy, lock_timeout, can_forward_read }
    Txn { meta, read_timestamp, read_sequence, uncertainty_limit, observed }
    GetRequest { key, lock, lock_absent }
    MultiGetRequest { keys, lock, lock_absent }
    ScanRequest { span, reverse, lock, rows_max, bytes_max }
    WriteRequest { writes }
    CommitRequest {
        commit, writes, one_phase, in_flight, intents, locks, refresh, refresh_is_complete, deadline
    }
    IntentRef { key, sequence }
    LockClaim { key, strength, since }
    RefreshRequest { spans, from, locks }
    HeartbeatTxnRequest { now }
    PushTxnRequest { pushee, pusher, pusher_priority, kind, push_to, force }
    QueryTxnRequest { txn }
    QueryIntentRequest { txn, intent }
    RecoverTxnRequest { txn, implicitly_committed }
    ForgetTxnRequest { txn }
    IntentUpdate { span, txn, status }
    ResolveIntentsRequest { updates }
    RevertRequest { spans, sequence }
    ReleaseLocksRequest { keys }
    SplitRequest { at }
    GarbageKey { key, timestamp }
    GcRequest { threshold, keys }
    ClearSpanRequest { span, threshold }
    FoldRequest { scan, program }
    ProbeRequest { keys, are_prefixes, from, program }
    RangeStatusRequest { key }
    ChangeReplicasRequest { key, add, remove, generation }
    TransferLeaseRequest { key, to }
    CheckReplicasRequest { key }
    ChecksumRequest { check }
    BarMergeRequest { key, range, generation }
    BatchResponse { responses, read_timestamp, write_timestamp, node, now }
    ScanResponse { rows, resume }
    FoldResponse { answer, rows, bytes, resume }
    ProbeResponse { answer, rows, bytes, probed, resume }
    CommitResponse { status, timestamp }
    TxnStanding { txn, status, recorded, expired, in_flight }
    SplitResponse { left, right }
    RangeStatusResponse { descriptor, lease, size_bytes, locks, lock_waiters }
    Lease { holder, term, start }
    ReplicaCheckResponse { descriptor, outcome, index, majority, replicas }
    ReplicaChecksum { node, store, standing }
}

transit_enum! {
    Request, "request":
    1 Get(request), 2 MultiGet(request), 3 Scan(request), 4 Write(request), 5 Commit(request), 6 Refresh(request),
    7 HeartbeatTxn(request), 8 PushTxn(request), 9 QueryTxn(request), 10 QueryIntent(request),
    11 RecoverTxn(request), 12 ForgetTxn(request), 13 ResolveIntents(request), 14 Revert(request),
    15 Split(request), 16 Gc(request), 17 RangeStatus(request), 18 ChangeReplicas(request), 19 TransferLease(request),
    20 ClearSpan(request), 21 Fold(request), 22 CheckReplicas(request), 23 Checksum(request), 24 Probe(request),
    25 BarMerge(request), 26 ReleaseLocks(request)
}

transit_enum! {
    Response, "response":
    1 Get(value), 2 Rows(rows), 3 Commit(commit), 4 Txn(standing), 5 QueryIntent(found), 6 Split(halves),
    7 RangeStatus(status), 8 Done, 9 Descriptor(descriptor), 10 Fold(answer), 11 ReplicaCheck(found),
    12 Checksum(standing), 13 Probe(answer)
}

transit_enum! {
    CheckOutcome, "outcome of a check":
    1 Same, 2 Different, 3 Incomplete
}

transit_enum! {
    ChecksumStanding, "standing of a checksum":
    1 Unknown, 2 Computing, 3 Done { index, checksum }, 4 Failed(why)
}

transit_enum! {
    KvError, "error":
    1 RangeMismatch { descriptors }, 2 RangeNotFound { range }, 3 NotLeaseholder { range, lease },
    4 Unavailable { reason }, 5 Restart { reason, timestamp, key }, 6 IntentConflict { intents },
    7 LockNotAvailable { key, holder }, 8 LockTimeout { key, holder }, 9 Deadlock { key, cycle },
    10 ConditionFailed { key, value }, 11 BelowGcThreshold { timestamp, threshold }, 12 Ambiguous { reason },
    13 Invalid { reason }, 14 Corruption { reason }
}

transit_enum! { WaitPolicy, "wait policy": 1 Block, 2 NoWait, 3 SkipLocked }
transit_enum! { PushKind, "kind of push": 1 Timestamp, 2 Abort, 3 Inquire }
transit_enum! {
    RestartReason, "reason of a restart":
    1 WriteTooOld, 2 RefreshFailed, 3 Uncertainty, 4 LockLost, 5 DeadlineExceeded, 6 Aborted
}
transit_enum! { TxnStatus, "transaction status": 1 Pending, 2 Staging, 3 Committed, 4 Aborted }
transit_enum! { LockStrength, "lock strength": 0 None, 1 KeyShare, 2 Share, 3 NoKeyUpdate, 4 Update }

/// Types that `wire` has a form for already.
macro_rules! transit_as_written {
    ($($name:ty: |$value:ident, $to:ident| $put:expr, |$from:ident| $get:expr;)*) => {$(
        impl Transit for $name {
            fn put(&self, $to: &mut Writer<'_>) {
                let $value = self;
                $put;
            }

            fn get($from: &mut Reader<'_>) -> Result<Self, Malformed> {
                $get
            }
        }
    )*};
}

transit_as_written! {
    u32: |value, to| to.u32(*value), |from| from.u32();
    u64: |value, to| to.u64(*value), |from| from.u64();
    NodeId: |value, to| to.u32(value.0), |from| from.u32().map(NodeId);
    StoreId: |value, to| to.u32(value.0), |from| from.u32().map(StoreId);
    RangeId: |value, to| to.u64(value.0), |from| from.u64().map(RangeId);
    Priority: |value, to| to.u8(value.0), |from| from.u8().map(Priority);
    Timestamp: |value, to| to.timestamp(*value), |from| from.timestamp();
    Key: |value, to| to.bytes(value), |from| from.key();
    Span: |value, to| to.span(value), |from| from.span();
    TxnMeta: |value, to| to.meta(value), |from| from.meta();
    Vec<u8>: |value, to| to.bytes(value), |from| from.bytes().map(<[u8]>::to_vec);
    KvBlock: |value, to| value.encode(to), |from| KvBlock::decode(from);
    KeyBlock: |value, to| value.encode(to), |from| KeyBlock::decode(from);
    WriteBlock: |value, to| value.encode(to), |from| WriteBlock::decode(from);
    ReplicaDescriptor: |value, to| to.replica(value), |from| from.replica();
    RangeDescriptor: |value, to| to.bytes(&value.encode()), |from| RangeDescriptor::decode(from.bytes()?);
}

impl Transit for bool {
    fn put(&self, to: &mut Writer<'_>) {
        to.u8(u8::from(*self));
    }

    fn get(from: &mut Reader<'_>) -> Result<bool, Malformed> {
        match from.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed("flag")),
        }
    }
}

impl Transit for TxnId {
    fn put(&self, to: &mut Writer<'_>) {
        to.0.extend_from_slice(&self.to_bytes());
    }

    fn get(from: &mut Reader<'_>) -> Result<TxnId, Malformed> {
        let bytes = from.take(16)?.try_into().map_err(|_| Malformed("transaction id"))?;
        Ok(TxnId::from_bytes(bytes))
    }
}

impl Transit for String {
    fn put(&self, to: &mut Writer<'_>) {
        to.bytes(self.as_bytes());
    }

    fn get(from: &mut Reader<'_>) -> Result<String, Malformed> {
        String::from_utf8(from.bytes()?.to_vec()).map_err(|_| Malformed("text"))
    }
}

impl Transit for Duration {
    fn put(&self, to: &mut Writer<'_>) {
        to.u64(u64::try_from(self.as_nanos()).unwrap_or(u64::MAX));
    }

    fn get(from: &mut Reader<'_>) -> Result<Duration, Malformed> {
        from.u64().map(Duration::from_nanos)
    }
}

impl<T: Transit> Transit for Box<T> {
    fn put(&self, to: &mut Writer<'_>) {
        (**self).put(to);
    }

    fn get(from: &mut Reader<'_>) -> Result<Box<T>, Malformed> {
        T::get(from).map(Box::new)
    }
}

impl<T: Transit> Transit for Option<T> {
    fn put(&self, to: &mut Writer<'_>) {
        self.is_some().put(to);
        if let Some(value) = self {
            value.put(to);
        }
    }

    fn get(from: &mut Reader<'_>) -> Result<Option<T>, Malformed> {
        bool::get(from)?.then(|| T::get(from)).transpose()
    }
}

impl<A: Transit, B: Transit> Transit for (A, B) {
    fn put(&self, to: &mut Writer<'_>) {
        self.0.put(to);
        self.1.put(to);
    }

    fn get(from: &mut Reader<'_>) -> Result<(A, B), Malformed> {
        Ok((A::get(from)?, B::get(from)?))
    }
}

impl<T: Transit> Transit for Vec<T> {
    fn put(&self, to: &mut Writer<'_>) {
        to.count(self.len());
        self.iter().for_each(|member| member.put(to));
    }

    // Grows as members are read: a count alone reserves nothing.
    fn get(from: &mut Reader<'_>) -> Result<Vec<T>, Malformed> {
        (0..from.count()?).map(|_| T::get(from)).collect::<Result<Vec<T>, Malformed>>()
    }
}

impl<T: Transit> Transit for SmallVec<[T; 1]> {
    fn put(&self, to: &mut Writer<'_>) {
        to.count(self.len());
        self.iter().for_each(|member| member.put(to));
    }

    fn get(from: &mut Reader<'_>) -> Result<SmallVec<[T; 1]>, Malformed> {
        (0..from.count()?).map(|_| T::get(from)).collect::<Result<SmallVec<[T; 1]>, Malformed>>()
    }
}

fn encode<T: Transit>(value: &T, capacity: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(capacity);
    let mut writer = Writer(&mut bytes);
    writer.u8(TRANSIT_VERSION);
    value.put(&mut writer);
    bytes
}

fn decode<T: Transit>(bytes: &[u8]) -> Result<T, Malformed> {
    let mut reader = Reader(bytes);
    if reader.u8()? != TRANSIT_VERSION {
        return Err(Malformed("a version of another time"));
    }
    let value = T::get(&mut reader)?;
    reader.finish()?;
    Ok(value)
}

/// Room for what surrounds keys and values.
const FRAME_BYTES: usize = 256;

impl Transit for BatchRequest {
    fn put(&self, to: &mut Writer<'_>) {
        let BatchRequest { header, requests } = self;
        header.put(to);
        requests.put(to);
    }

    fn get(from: &mut Reader<'_>) -> Result<BatchRequest, Malformed> {
        Ok(BatchRequest { header: Transit::get(from)?, requests: Transit::get(from)? })
    }
}

impl BatchRequest {
    /// The bytes in which it travels.
    pub fn encode(&self) -> Vec<u8> {
        let payload: usize = self.requests.iter().map(Request::payload_bytes).sum();
        encode(self, payload + FRAME_BYTES)
    }

    pub fn decode(bytes: &[u8]) -> Result<BatchRequest, Malformed> {
        decode(bytes)
    }

    /// Whether asking again is always safe, even if it may have been done already: nothing is made by it that could be made
    /// twice, or whose outcome the asker must know.
    pub fn is_repeatable(&self) -> bool {
        self.requests.iter().all(|request| match request {
            Request::Write(_) | Request::Commit(_) => false,
            Request::Get(_)
            | Request::MultiGet(_)
            | Request::Scan(_)
            | Request::Refresh(_)
            | Request::HeartbeatTxn(_)
            | Request::PushTxn(_)
            | Request::QueryTxn(_)
            | Request::QueryIntent(_)
            | Request::RecoverTxn(_)
            | Request::ForgetTxn(_)
            | Request::ResolveIntents(_)
            | Request::Revert(_)
            | Request::ReleaseLocks(_)
            | Request::Split(_)
            | Request::Gc(_)
            | Request::RangeStatus(_)
            | Request::ChangeReplicas(_)
            | Request::TransferLease(_)
            | Request::ClearSpan(_)
            | Request::Fold(_)
            | Request::CheckReplicas(_)
            | Request::Checksum(_)
            | Request::Probe(_)
            | Request::BarMerge(_) => true,
        })
    }
}

impl Request {
    /// What it holds in packed keys and values, roughly.
    fn payload_bytes(&self) -> usize {
        match self {
            Request::Write(write) => write.writes.byte_size() + 32 * write.writes.len(),
            Request::Commit(commit) => commit.writes.byte_size() + 32 * commit.writes.len(),
            Request::MultiGet(get) => get.keys.byte_size() + 4 * get.keys.len(),
            Request::ReleaseLocks(release) => release.keys.byte_size() + 4 * release.keys.len(),
            Request::Fold(fold) => fold.program.len(),
            Request::Probe(probe) => probe.keys.byte_size() + 4 * probe.keys.len() + probe.program.len(),
            _ => 0,
        }
    }
}

/// The bytes in which an answer travels.
pub fn encode_answer(answer: &Result<BatchResponse, KvError>) -> Vec<u8> {
    match answer {
        Ok(response) => {
            let rows = response.responses.iter().map(|response| match response {
                Response::Rows(answer) => answer.rows.byte_size() + 8 * answer.rows.len(),
                Response::Fold(fold) => fold.answer.len(),
                Response::Probe(probe) => probe.answer.len(),
                Response::Get(value) => value.as_ref().map_or(0, Vec::len),
                _ => 0,
            });
            encode(&Answer(Ok(response)), rows.sum::<usize>() + FRAME_BYTES)
        }
        Err(error) => encode(&Answer(Err(error)), FRAME_BYTES),
    }
}

/// Takes an answer back.
pub fn decode_answer(bytes: &[u8]) -> Result<Result<BatchResponse, KvError>, Malformed> {
    decode::<OwnedAnswer>(bytes).map(|answer| answer.0)
}

/// An answer on its way out.
struct Answer<'a>(Result<&'a BatchResponse, &'a KvError>);

impl Transit for Answer<'_> {
    fn put(&self, to: &mut Writer<'_>) {
        match self.0 {
            Ok(response) => {
                true.put(to);
                response.put(to);
            }
            Err(error) => {
                false.put(to);
                error.put(to);
            }
        }
    }

    fn get(_: &mut Reader<'_>) -> Result<Self, Malformed> {
        Err(Malformed("a borrowed answer is not read"))
    }
}

/// An answer that has come in.
struct OwnedAnswer(Result<BatchResponse, KvError>);

impl Transit for OwnedAnswer {
    fn put(&self, to: &mut Writer<'_>) {
        Answer(self.0.as_ref()).put(to);
    }

    fn get(from: &mut Reader<'_>) -> Result<OwnedAnswer, Malformed> {
        Ok(OwnedAnswer(match bool::get(from)? {
            true => Ok(BatchResponse::get(from)?),
            false => Err(KvError::get(from)?),
        }))
    }
}

#[cfg(test)]
mod tests;
