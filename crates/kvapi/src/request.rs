//! Requests. A batch goes to one range; the router cuts what spans several.

use std::time::Duration;

use clock::Timestamp;
use keys::{Key, NodeId, RangeId, Span, StoreId};
use smallvec::SmallVec;

use crate::block::KeyBlock;
use crate::{LockStrength, Priority, Txn, TxnId, TxnMeta, TxnStatus, WaitPolicy, WriteBlock};

/// What holds for every request of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The range addressed, filled in by the router.
    pub range: RangeId,
    /// The transaction; without one, a batch of reads is a read at `timestamp` and a write commits at once.
    pub txn: Option<Txn>,
    /// Where a batch without transaction reads. `Timestamp::ZERO`: the leaseholder's now.
    pub timestamp: Timestamp,
    pub wait_policy: WaitPolicy,
    /// Bounds each wait for a lock. `None`: no bound.
    pub lock_timeout: Option<Duration>,
    /// The transaction has read nothing whose validity depends on its read timestamp, so that the server may
    /// move that timestamp up (and say so in the answer) instead of answering `Restart`.
    pub can_forward_read: bool,
}

/// Requests to one range, evaluated together.
///
/// - Exactly one request: `kvserver` refuses more with `Invalid`. (Where many belong together one request carries them:
///   `MultiGet`, `Write`, `Commit`.)
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchRequest {
    pub header: Header,
    pub requests: SmallVec<[Request; 1]>,
}

impl BatchRequest {
    pub fn new(header: Header, request: impl Into<Request>) -> BatchRequest {
        BatchRequest { header, requests: SmallVec::from_iter([request.into()]) }
    }
}

/// What can be asked of a range. One file per command in `kvserver` evaluates each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    Get(GetRequest),
    MultiGet(MultiGetRequest),
    Scan(ScanRequest),
    Write(WriteRequest),
    Commit(Box<CommitRequest>),
    Refresh(RefreshRequest),
    HeartbeatTxn(HeartbeatTxnRequest),
    PushTxn(Box<PushTxnRequest>),
    QueryTxn(QueryTxnRequest),
    QueryIntent(Box<QueryIntentRequest>),
    RecoverTxn(Box<RecoverTxnRequest>),
    ForgetTxn(ForgetTxnRequest),
    ResolveIntents(ResolveIntentsRequest),
    Revert(RevertRequest),
    Split(SplitRequest),
    Gc(GcRequest),
    RangeStatus(RangeStatusRequest),
    ChangeReplicas(ChangeReplicasRequest),
    TransferLease(TransferLeaseRequest),
    ClearSpan(ClearSpanRequest),
    Fold(Box<FoldRequest>),
    CheckReplicas(CheckReplicasRequest),
    Checksum(ChecksumRequest),
    Probe(Box<ProbeRequest>),
    BarMerge(BarMergeRequest),
    ReleaseLocks(ReleaseLocksRequest),
}

impl Request {
    /// Its name, for people.
    pub fn kind(&self) -> &'static str {
        match self {
            Request::Get(get) if get.lock.is_locking() => "locking get",
            Request::Get(_) => "get",
            Request::MultiGet(get) if get.lock.is_locking() => "locking multi-get",
            Request::MultiGet(_) => "multi-get",
            Request::Scan(scan) if scan.lock.is_locking() => "locking scan",
            Request::Scan(_) => "scan",
            Request::Write(_) => "write",
            Request::Commit(commit) if !commit.commit => "rollback",
            Request::Commit(commit) if commit.one_phase => "commit in one phase",
            Request::Commit(_) => "commit",
            Request::Refresh(_) => "refresh",
            Request::HeartbeatTxn(_) => "heartbeat",
            Request::PushTxn(_) => "push",
            Request::QueryTxn(_) | Request::QueryIntent(_) => "query",
            Request::RecoverTxn(_) => "recovery",
            Request::ForgetTxn(_) => "forgetting",
            Request::ResolveIntents(_) => "resolution of intents",
            Request::Revert(_) => "revert",
            Request::ReleaseLocks(_) => "release of locks",
            Request::Fold(_) => "scan with a program",
            Request::Probe(_) => "probe",
            // Nothing that a statement asks for.
            _ => "system request",
        }
    }
}

/// Reads one key. Answered by `Response::Get`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GetRequest {
    pub key: Key,
    pub lock: LockStrength,
    /// Keep the lock when the key has no value. False also says that the transaction held no lock on the key before this request, which
    /// may be sent several times: whatever lock it has there by now is given back if there is no value.
    pub lock_absent: bool,
}

/// Reads many keys of one range. Answered by `Response::Rows`: a row for each key, in the same order,
/// without value where there is none; a key skipped as locked has no row.
///
/// - `keys` ascend strictly.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MultiGetRequest {
    pub keys: KeyBlock,
    pub lock: LockStrength,
    /// Keep the locks of keys without value. False also says that none of the keys was locked before: see [`GetRequest::lock_absent`].
    pub lock_absent: bool,
}

/// Reads the keys of a span that have a value, in ascending or descending order. Answered by
/// `Response::Rows`. Of locks that the request came to hold those on rows of the answer stay; a request that fails may leave others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScanRequest {
    pub span: Span,
    pub reverse: bool,
    pub lock: LockStrength,
    /// Stop after this many rows; 0: no bound.
    pub rows_max: u64,
    /// Stop once the block holds this many bytes (at least one row is returned); 0: no bound.
    pub bytes_max: u64,
}

/// Reads a part of a span like [`ScanRequest`] and answers with what a program makes of the rows: see [`crate::fold`]. Answered by
/// `Response::Fold`; `Invalid` by who does not run the program.
///
/// - `scan` does not lock. Its bounds are of what is read; the range has bounds of its own beside them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoldRequest {
    pub scan: ScanRequest,
    pub program: Vec<u8>,
}

/// Reads many keys of one range, or all keys that begin with one of many prefixes, and answers with what a program makes of the rows, each
/// with the position of the key that it was found for: see [`crate::fold`]. Answered by `Response::Probe`; `Invalid` by who does not run the
/// program.
///
/// - `keys` ascend strictly, and no prefix begins another.
/// - Takes no locks. How much is read at once is for the range to say: the rest is asked for again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProbeRequest {
    pub keys: KeyBlock,
    pub are_prefixes: bool,
    /// Of the first prefix, keys before this one have been read already. Empty: none have.
    pub from: Key,
    pub program: Vec<u8>,
}

/// Places a transaction's writes as intents, or, without a transaction, commits them at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteRequest {
    pub writes: WriteBlock,
}

/// A write by key and sequence, for others to look for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IntentRef {
    pub key: Key,
    pub sequence: u32,
}

/// A lock that a transaction relies on without writing the key. It holds if the leaseholder still has it in
/// memory, or else if the key has no version after `since`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockClaim {
    pub key: Key,
    pub strength: LockStrength,
    /// Where the key was read when the lock was taken.
    pub since: Timestamp,
}

/// Ends a transaction. Sent to the range of the anchor key. When it has ended, all its in-memory locks in this
/// range are released.
///
/// - `one_phase` implies that `in_flight` and `intents` are empty and that `writes` are all there are.
/// - In an abort `writes`, `in_flight` and `refresh` are empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitRequest {
    /// False: abort.
    pub commit: bool,
    /// Writes in this range that ride along: all of them when `one_phase`, else made as intents.
    pub writes: WriteBlock,
    pub one_phase: bool,
    /// Writes sent to other ranges at the same time, whose success completes the commit (`Staging`).
    pub in_flight: Vec<IntentRef>,
    /// Where there are intents to resolve after the end, `writes` and `in_flight` included.
    pub intents: Vec<Span>,
    /// Locks of this range whose keys are not written: they must have held up to now.
    pub locks: Vec<LockClaim>,
    /// Reads of this range that must hold at the commit timestamp should it rise above the read timestamp.
    pub refresh: Vec<Span>,
    /// `refresh` names all reads of the transaction, so that the server may raise the commit timestamp
    /// itself once it has refreshed them.
    pub refresh_is_complete: bool,
    /// The commit timestamp must stay below this.
    pub deadline: Option<Timestamp>,
}

/// Succeeds when nothing in `spans` has changed after `from`, up to the transaction's read timestamp (which
/// the coordinator has already moved), when every lock claimed holds, and keeps both from changing there later.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RefreshRequest {
    pub spans: Vec<Span>,
    pub from: Timestamp,
    pub locks: Vec<LockClaim>,
}

/// Says that the coordinator is alive; writes the record if there is none. Answered by `Response::Txn`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeartbeatTxnRequest {
    pub now: Timestamp,
}

/// What a pusher wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PushKind {
    /// Move the pushee's write timestamp above `PushTxnRequest::push_to`: a reader wants to pass.
    Timestamp,
    /// Abort it: a writer wants its place.
    Abort,
    /// Change nothing unless the pushee has expired (then abort it): is it still alive?
    Inquire,
}

/// Settles a conflict at the pushee's record. Answered by `Response::Txn` with where the pushee stands now;
/// a pending status in the answer means that the pusher must wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushTxnRequest {
    pub pushee: TxnMeta,
    pub pusher: Option<TxnId>,
    pub pusher_priority: Priority,
    pub kind: PushKind,
    pub push_to: Timestamp,
    /// The pusher has waited beyond the deadlock timeout, or was told by the detector, and must get its way.
    pub force: bool,
}

/// Where does a transaction stand? Changes nothing. Answered by `Response::Txn`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryTxnRequest {
    pub txn: TxnMeta,
}

/// Is this write of a staging transaction there, at or below `txn.write_timestamp`? If not, the answer also
/// keeps it from being made later. Answered by `Response::QueryIntent`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryIntentRequest {
    pub txn: TxnMeta,
    pub intent: IntentRef,
}

/// Ends a staging transaction whose coordinator is gone, as its writes were found. Answered by
/// `Response::Txn`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoverTxnRequest {
    pub txn: TxnMeta,
    pub implicitly_committed: bool,
}

/// Removes the record of a transaction that has ended and all of whose intents are resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForgetTxnRequest {
    pub txn: TxnMeta,
}

/// Tells locks and intents in a span what has become of their transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntentUpdate {
    pub span: Span,
    /// With the final (or pushed) write timestamp.
    pub txn: TxnMeta,
    /// `Pending`: only the timestamp has moved.
    pub status: TxnStatus,
}

/// Also releases all in-memory locks that the ended transactions hold in the range, inside the spans or not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResolveIntentsRequest {
    pub updates: Vec<IntentUpdate>,
}

/// Removes the transaction's own intents of a higher sequence: what was flushed after a savepoint that is rolled
/// back to. The transaction goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RevertRequest {
    pub spans: Vec<Span>,
    /// Intents up to this sequence stay.
    pub sequence: u32,
}

/// Releases locks of a transaction that goes on: what it has locked since a savepoint that it has rolled back to. Intents stay. A
/// lock that is not held is no error.
///
/// - All keys lie in the range.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReleaseLocksRequest {
    pub keys: KeyBlock,
}

/// Splits the range in two at a key that becomes the start of the right one. A key that already starts a
/// range is no error. Answered by `Response::Split`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SplitRequest {
    pub at: Key,
}

/// Versions of a key that nobody may read any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GarbageKey {
    pub key: Key,
    /// Versions at or below this go.
    pub timestamp: Timestamp,
}

/// Removes old versions. The threshold is raised first, so that no read can miss them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GcRequest {
    pub threshold: Timestamp,
    pub keys: Vec<GarbageKey>,
}

/// Removes all that a part of a range holds, versions and intents included, as if it had never been written. For spans that nobody reads or
/// writes any more. The threshold is raised first: a read below it is refused rather than told that there is nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClearSpanRequest {
    pub span: Span,
    pub threshold: Timestamp,
}

/// Sizes and counters of the range that holds `key`. Answered by `Response::RangeStatus`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RangeStatusRequest {
    pub key: Key,
}

/// Moves replicas of the range that holds `key`: learners are added and caught up, then voters are exchanged in one step. The
/// leaseholder's own replica cannot be removed: transfer the lease first. Answered by `Response::Descriptor`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangeReplicasRequest {
    pub key: Key,
    /// Stores that get a replica.
    pub add: Vec<(NodeId, StoreId)>,
    /// Stores that lose theirs.
    pub remove: Vec<StoreId>,
    /// What the decision was made on: any other generation refuses. Zero: any.
    pub generation: u64,
}

/// Hands the lease of the range that holds `key` to the replica on another store. Answered when the own lease has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransferLeaseRequest {
    pub key: Key,
    pub to: StoreId,
}

/// Compares all replicas of the range that holds `key`. May take as long as it takes to read the range. Answered by
/// `Response::ReplicaCheck`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReplicasRequest {
    pub key: Key,
}

/// What the replica on the store that is asked, leaseholder or not, has come to in a check. Answered by `Response::Checksum`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChecksumRequest {
    /// The check, by the number that the leaseholder has drawn for it.
    pub check: u64,
}

/// If the range is the one named, and has this generation, it gets another: what was to happen to it under this one does not any more. Answered
/// by `Response::Descriptor`, of the range that holds `key` now, whichever it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BarMergeRequest {
    pub key: Key,
    pub range: RangeId,
    pub generation: u64,
}

macro_rules! request_from {
    ($($variant:ident: $request:ty),*) => {$(
        impl From<$request> for Request {
            fn from(request: $request) -> Request {
                Request::$variant(request.into())
            }
        }
    )*};
}

request_from! {
    Get: GetRequest, MultiGet: MultiGetRequest, Scan: ScanRequest, Write: WriteRequest, Commit: CommitRequest,
    Refresh: RefreshRequest, HeartbeatTxn: HeartbeatTxnRequest, PushTxn: PushTxnRequest, QueryTxn: QueryTxnRequest,
    QueryIntent: QueryIntentRequest, RecoverTxn: RecoverTxnRequest, ForgetTxn: ForgetTxnRequest, ResolveIntents: ResolveIntentsRequest,
    Revert: RevertRequest, Split: SplitRequest, Gc: GcRequest, RangeStatus: RangeStatusRequest,
    ChangeReplicas: ChangeReplicasRequest, TransferLease: TransferLeaseRequest, ClearSpan: ClearSpanRequest, Fold: FoldRequest,
    CheckReplicas: CheckReplicasRequest, Checksum: ChecksumRequest, Probe: ProbeRequest, BarMerge: BarMergeRequest,
    ReleaseLocks: ReleaseLocksRequest
}
