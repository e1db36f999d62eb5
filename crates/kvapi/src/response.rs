//! Answers, one for each request of a batch, in the same order.

use std::fmt;

use clock::Timestamp;
use keys::{Key, NodeId, Span, StoreId};
use smallvec::SmallVec;

use crate::{IntentRef, KvBlock, Lease, RangeDescriptor, TxnMeta, TxnStatus};

/// What a batch answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchResponse {
    pub responses: SmallVec<[Response; 1]>,
    /// Where the batch read: the header's read timestamp, unless the server moved it up
    /// ([`crate::Header::can_forward_read`]). Locks were taken as of this timestamp.
    pub read_timestamp: Timestamp,
    /// Where writes were placed: at or above the transaction's write timestamp.
    pub write_timestamp: Timestamp,
    /// Who answered, and its clock.
    pub node: NodeId,
    pub now: Timestamp,
}

/// One answer. Each names the request that it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// `Get`
    Get(Option<Vec<u8>>),
    /// `MultiGet`, `Scan`
    Rows(ScanResponse),
    /// `Commit`
    Commit(CommitResponse),
    /// `HeartbeatTxn`, `PushTxn`, `QueryTxn`, `RecoverTxn`
    Txn(TxnStanding),
    /// `QueryIntent`: whether the write was found.
    QueryIntent(bool),
    /// `Split`
    Split(Box<SplitResponse>),
    /// `RangeStatus`
    RangeStatus(Box<RangeStatusResponse>),
    /// `Fold`
    Fold(FoldResponse),
    /// `CheckReplicas`
    ReplicaCheck(Box<ReplicaCheckResponse>),
    /// `Checksum`
    Checksum(ChecksumStanding),
    /// `Probe`
    Probe(ProbeResponse),
    /// `ChangeReplicas`: the range afterwards.
    Descriptor(Box<RangeDescriptor>),
    /// `Write`, `Refresh`, `ForgetTxn`, `ResolveIntents`, `Revert`, `Gc`, `TransferLease`, `ClearSpan`: done.
    Done,
}

/// Rows in the order asked for; `resume` is the part of the span that a bound has left unread.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScanResponse {
    pub rows: KvBlock,
    pub resume: Option<Span>,
}

/// What a program has made of the rows of a page.
///
/// - With `resume`, the rows read are those before it in the order of the scan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoldResponse {
    pub answer: Vec<u8>,
    /// How many rows were read, and their bytes.
    pub rows: u64,
    pub bytes: u64,
    pub resume: Option<Span>,
}

/// What a program has made of the rows found for the first of the keys asked for.
///
/// - All rows of the first `probed` keys are in; with `resume`, also those of the next one that lie before it.
/// - Something is always new: `probed` is not 0, or `resume` lies behind where the request began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProbeResponse {
    pub answer: Vec<u8>,
    /// How many rows were read, and their bytes.
    pub rows: u64,
    pub bytes: u64,
    pub probed: u32,
    pub resume: Option<Key>,
}

/// How a transaction ended.
///
/// - `status` is `Committed`, `Staging` (committed once the writes in flight are known to be made at or below
///   `timestamp`), or `Aborted` (only when an abort was asked for).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitResponse {
    pub status: TxnStatus,
    pub timestamp: Timestamp,
}

/// Where a transaction stands, by its record or by the rules for a missing one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxnStanding {
    pub txn: TxnMeta,
    pub status: TxnStatus,
    /// Whether a record exists; without one `status` follows from the transaction's age.
    pub recorded: bool,
    /// The coordinator has given no sign of life for too long: a staging transaction must be recovered.
    pub expired: bool,
    /// The writes on which a staging transaction's commit depends.
    pub in_flight: Vec<IntentRef>,
}

/// The two halves, or twice the same range when the key already started one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitResponse {
    pub left: RangeDescriptor,
    pub right: RangeDescriptor,
}

/// Sizes and counters for people and for balancing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeStatusResponse {
    pub descriptor: RangeDescriptor,
    pub lease: Lease,
    /// Approximate bytes of keys and values, all versions.
    pub size_bytes: u64,
    /// In-memory locks held, and requests waiting for one.
    pub locks: u64,
    pub lock_waiters: u64,
}

/// What a comparison of all replicas has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaCheckResponse {
    pub descriptor: RangeDescriptor,
    pub outcome: CheckOutcome,
    /// Up to here in the log the replicas were compared.
    pub index: u64,
    /// The checksum that more than half of the replicas have.
    pub majority: Option<u64>,
    pub replicas: Vec<ReplicaChecksum>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckOutcome {
    /// All have answered, and hold the same.
    Same,
    /// Some hold something else than others.
    Different,
    /// Those that have answered hold the same; not all have.
    Incomplete,
}

impl CheckOutcome {
    pub const fn name(self) -> &'static str {
        match self {
            CheckOutcome::Same => "same",
            CheckOutcome::Different => "different",
            CheckOutcome::Incomplete => "incomplete",
        }
    }
}

/// One replica in such a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaChecksum {
    pub node: NodeId,
    pub store: StoreId,
    pub standing: ChecksumStanding,
}

/// How far a replica has come with its checksum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChecksumStanding {
    /// It has not come to the check in its log, or was started after it.
    Unknown,
    Computing,
    Done {
        index: u64,
        checksum: u64,
    },
    /// It could not be read, and why.
    Failed(String),
}

impl ChecksumStanding {
    /// Whether nothing more is to be waited for.
    pub const fn is_final(&self) -> bool {
        matches!(self, ChecksumStanding::Done { .. } | ChecksumStanding::Failed(_))
    }
}

impl fmt::Display for ChecksumStanding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChecksumStanding::Unknown => f.write_str("no answer"),
            ChecksumStanding::Computing => f.write_str("not read to its end"),
            ChecksumStanding::Done { checksum, .. } => write!(f, "{checksum:016x}"),
            ChecksumStanding::Failed(why) => f.write_str(why),
        }
    }
}
