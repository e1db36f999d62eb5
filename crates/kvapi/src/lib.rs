//! The vocabulary in which clients and servers of the key-value layer speak.
//!
//! `kvclient` builds a [`BatchRequest`], a [`Sender`] carries it (in process, over gRPC, or a fake in a test),
//! `kvserver` evaluates it on the leaseholder of one range and answers with a [`BatchResponse`] or a
//! [`KvError`]. `storage` and `concurrency` share the nouns: transactions, lock strengths, packed rows.
//! This crate holds data and no behaviour beyond the invariants of that data: no I/O, no clock, no
//! randomness, and nothing that knows a table.
//!
//! # Transactions in one paragraph
//!
//! A transaction ([`Txn`]) reads at its read timestamp and commits at its write timestamp; a serializable
//! one must bring the two together (a refresh) before it commits. Writes stay in the coordinator's memory.
//! A locking read takes an in-memory lock ([`LockStrength`]) at the leaseholder. A commit ([`CommitRequest`])
//! carries the writes: when one range holds them all it is one replicated batch without record or intent
//! (one phase); otherwise intents and a `Staging` record go out together (parallel commit). Every buffered
//! write says what must not have happened since the row was read ([`WriteCheck`]), so that a lock which was
//! lost with its leaseholder costs a restart and never a lost update.
//!
//! | module | what |
//! | --- | --- |
//! | [`txn`] | identities, isolation, lock strengths, the transaction and its record |
//! | [`block`] | packed rows of a read, packed writes of a commit |
//! | [`range`] | range descriptors and leases |
//! | [`request`] | what can be asked of a range |
//! | [`response`] | what it answers |
//! | [`fold`] | programs that run where the rows of a read lie |
//! | [`error`] | why it did not, as a decision for the caller |
//! | [`membership`] | which nodes there are |
//! | [`version`] | what the programs of a cluster's nodes have in common |
//! | [`report`] | what a node tells of itself, for people |
//! | [`sender`] | the traits that carry batches |
//! | [`wire`] | the byte forms of what is persisted |
//! | [`planted`] | safeguards that a simulation takes away, to see that it notices |
//! | [`transit`] | the byte forms of what travels between nodes |

pub mod block;
pub mod error;
pub mod fold;
pub mod membership;
pub mod planted;
pub mod range;
pub mod report;
pub mod request;
pub mod response;
pub mod sender;
pub mod transit;
pub mod txn;
pub mod version;
pub mod wire;

pub use block::{KeyBlock, KvBlock, Row, WriteBlock, WriteCheck, WriteEntry};
pub use error::{Disposition, KvError, RestartReason};
pub use fold::{Fold, Processor, Progress, Refused};
pub use membership::{Capacity, FixedMembership, InvalidLocality, Locality, Membership, NodeInfo, Standing};
pub use range::{CLOSED_LAG, Lease, RangeDescriptor, ReplicaDescriptor, ReplicaKind};
pub use report::{REPORT_ROWS_MAX, Report, ReportRow, ReportValue, Reporter};
pub use request::{
    BarMergeRequest, BatchRequest, ChangeReplicasRequest, CheckReplicasRequest, ChecksumRequest,
    ClearSpanRequest, CommitRequest, FoldRequest, ForgetTxnRequest, GarbageKey, GcRequest, GetRequest,
    Header, HeartbeatTxnRequest, IntentRef, IntentUpdate, LockClaim, MultiGetRequest, ProbeRequest, PushKind,
    PushTxnRequest, QueryIntentRequest, QueryTxnRequest, RangeStatusRequest, RecoverTxnRequest,
    RefreshRequest, ReleaseLocksRequest, Request, ResolveIntentsRequest, RevertRequest, ScanRequest,
    SplitRequest, TransferLeaseRequest, WriteRequest,
};
pub use response::{
    BatchResponse, CheckOutcome, ChecksumStanding, CommitResponse, FoldResponse, ProbeResponse,
    RangeStatusResponse, ReplicaCheckResponse, ReplicaChecksum, Response, ScanResponse, SplitResponse,
    TxnStanding,
};
pub use sender::{NodeDialer, Sender, Unreachable};
pub use txn::{Isolation, LockStrength, Priority, Txn, TxnId, TxnMeta, TxnRecord, TxnStatus, WaitPolicy};

pub use version::{ClusterVersion, InvalidVersions, KnownVersions};

pub use clock::Timestamp;
pub use keys::{Key, NodeId, RangeId, ReplicaId, Span, StoreId};
